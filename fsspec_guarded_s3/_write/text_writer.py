"""Text over a guarded writer."""

from __future__ import annotations

import io
from types import TracebackType
from typing import cast

from .compressed_writer import CompressedWriter
from .endings import judged
from .writer import GuardedWriter


class TextWriter(io.TextIOWrapper):
    """Text over a guarded writer, with its `commit` and `discard`."""

    @property
    def _below(self) -> GuardedWriter | CompressedWriter:
        return cast("GuardedWriter | CompressedWriter", self.buffer)

    def __repr__(self) -> str:
        return f"<TextWriter {self.buffer!r}>"

    @property
    def etag(self) -> str:
        """The ETag of the published object, "" before."""
        return self._below.etag

    @property
    def version_id(self) -> str | None:
        """The version that was published, None before, and where the bucket has no versions."""
        return self._below.version_id

    @property
    def known_exceptions(self) -> list[BaseException]:
        """What was being handled when the file was opened."""
        return self._below.known_exceptions

    def commit(self) -> None:
        """Publish, whatever else is going on."""
        self.flush()
        self._below.commit()

    def discard(self) -> None:
        """Publish nothing."""
        self._below.discard()

    def is_spoilt_by(self, error: BaseException) -> bool:
        """Whether nothing is to be published where `error` leaves the `with` block."""
        return self._below.is_spoilt_by(error)

    @judged
    def close(self, failure: BaseException | None) -> None:
        """Publish what was written, unless an exception is on its way; twice is harmless."""
        if failure is not None and not self.closed and not getattr(self, "_finalizing", False):
            self._below.refuse(failure)
        super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self.is_spoilt_by(error):
            self._below.leave(error)
        self.close()
