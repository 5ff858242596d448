"""fsspec's transactions: all files are published at the end, or none after an exception."""

from __future__ import annotations

from collections import deque
from typing import Any

from fsspec.transaction import Transaction

from ._errors import TransactionError
from ._upload import State
from ._writer import GuardedWriter


class GuardedTransaction(Transaction):
    """Collects the files that are written in `with fs.transaction:`.

    S3 has no way to publish several objects in one step. When one of them cannot be published, those after
    it are discarded, and TransactionError says which ones are there already.
    """

    fs: Any
    files: deque[GuardedWriter]

    def complete(self, commit: bool = True) -> None:
        """Publish all files, or discard all. Called at the end of the `with` block."""
        files, self.files = list(self.files), deque()
        fs, self.fs = self.fs, None
        fs._intrans = False
        fs._transaction = None
        published: list[str] = []
        try:
            if commit:
                self._publish(files, published)
        finally:
            for file in files:
                file.discard()  # does nothing to those that are published

    @staticmethod
    def _publish(files: list[GuardedWriter], published: list[str]) -> None:
        failed = next((file.failure for file in files if file.failure is not None), None)
        if failed is not None:
            raise failed
        wanted = [file for file in files if file.state != State.ABORTED.value]  # discarded on purpose
        still_open = [file.path for file in wanted if not file.closed]
        if still_open:
            raise ValueError(f"nothing was published: not closed at the end: {', '.join(still_open)}")
        for at, file in enumerate(wanted):
            try:
                file.commit()
            except Exception as error:
                if not published:
                    raise
                left = [other.path for other in wanted[at:]]
                raise TransactionError(
                    f"{file.path} could not be published ({error}); published before it: "
                    f"{', '.join(published)}; not published: {', '.join(left)}",
                    published=tuple(published),
                    unpublished=tuple(left),
                    maybe_applied=getattr(error, "maybe_applied", False),
                ) from error
            published.append(file.path)
