"""The file object of `open(..., "wb" / "xb" / "ab")`. It publishes only what was closed cleanly.

Wrappers (text, gzip, pandas, pyarrow, `contextlib.closing`) call plain `close()` while an exception is on
its way, so `__exit__` never sees it. `close()` therefore looks at `sys.exc_info()`: an exception that was
not being handled when the file was opened means that the writing failed. Invariants: `__del__` never
publishes, and a writer that saw one error publishes nothing.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ._options import Options
from ._parts import PartBuffer
from ._upload import State, Upload

logger = logging.getLogger("fsspec_guarded_s3")


def _exceptions_being_handled() -> list[BaseException]:
    """The exception that is being handled in this thread, and those behind it."""
    found: list[BaseException] = []
    error = sys.exc_info()[1]
    while error is not None and error not in found:
        found.append(error)
        error = error.__context__
    return found


class GuardedWriter(io.BufferedIOBase):
    """A binary file that becomes the object when it is closed cleanly.

    Leaving a `with` by an exception, `discard()`, garbage collection and interpreter exit publish nothing
    and leave no upload behind. `commit()` publishes, whatever else is going on. With `autocommit=False`
    `close()` only ends the writing, and `commit()` or `discard()` decides later (fsspec's transactions).

    Appending starts at `position`; `prepare` puts the old bytes in front before the first write.
    """

    def __init__(
        self,
        upload: Upload,
        options: Options,
        *,
        path: str,
        mode: str,
        autocommit: bool = True,
        position: int = 0,
        prepare: Callable[[PartBuffer], None] | None = None,
    ) -> None:
        super().__init__()
        self.path = path
        self.mode = mode
        self.autocommit = autocommit
        self._upload = upload
        self._parts = PartBuffer(upload, options)
        self._opened_while_handling = _exceptions_being_handled()
        self._failure: BaseException | None = None
        self._position = position
        self._prepare = prepare
        self._closed = False
        self._dropped = False
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"<GuardedWriter {self.path} {self.state} bytes={self._position}>"

    @property
    def state(self) -> str:
        """The state of the upload: NEW, OPEN, COMPLETING, COMPLETED, ABORTED or UNKNOWN."""
        return self._upload.state.value

    @property
    def etag(self) -> str:
        """The ETag of the published object, "" before."""
        return self._upload.written.etag

    @property
    def version_id(self) -> str | None:
        """The version that was published, None before, and where the bucket has no versions."""
        return self._upload.written.version_id

    @property
    def closed(self) -> bool:
        # IOBase asks during construction and destruction as well.
        return getattr(self, "_closed", True)

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        return self._position

    def write(self, data: Any, /) -> int:
        """Take bytes; full parts are sent in the background. Raises the first error of any part."""
        if self._dropped:
            return memoryview(data).nbytes
        if self._closed:
            raise ValueError(f"write to {self.path}: the file is closed")
        if self._failure is not None:
            raise self._failure
        view = memoryview(data).cast("B")
        try:
            if self._prepare is not None and view.nbytes:
                prepare, self._prepare = self._prepare, None
                prepare(self._parts)
            self._parts.write(view)
        except BaseException as error:
            self._failure = error
            self._upload.abort()
            raise
        self._position += view.nbytes
        return view.nbytes

    def flush(self) -> None:
        """Nothing to do: S3 shows an object whole or not at all."""

    @property
    def failure(self) -> BaseException | None:
        """The first error of the writing, after which nothing can be published."""
        return self._failure

    def commit(self) -> None:
        """Publish. Raises FileExistsError, ObjectChangedError, WriteOutcomeUnknownError, or the first error
        of a part; harmless when the file is published already.
        """
        if self._upload.state is State.COMPLETED:
            return
        self._closed = True
        self._opened_while_handling = []
        if self._failure is not None:
            raise self._failure
        if self._upload.state in (State.ABORTED, State.UNKNOWN):
            raise ValueError(f"{self.path} was discarded and cannot be published any more")
        if self._prepare is not None:  # appending nothing leaves the object as it is
            self._upload.abort()
            return
        try:
            self._parts.finish()
        except BaseException as error:
            self._failure = error
            self._upload.abort()
            raise

    def discard(self) -> None:
        """Publish nothing and remove what was uploaded. Does nothing when the file is published."""
        self._closed = True
        self._opened_while_handling = []
        self._upload.abort()

    def close(self) -> None:
        """Publish what was written, unless an exception is on its way; twice is harmless."""
        if self.closed:
            return
        if self._dropped:
            self._discard_dropped()
            return
        error = sys.exc_info()[1]
        if error is not None and error not in self._opened_while_handling:
            self.discard()
            message = (
                f"{self.path} was closed while {type(error).__name__} was being handled: nothing was "
                "published. Call commit() to publish anyway"
            )
            logger.warning(message)
            warnings.warn(message, RuntimeWarning, stacklevel=2)
            return
        if self._failure is not None:
            self._closed = True
            raise self._failure
        if self.autocommit:
            self.commit()
        self._closed = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
        elif not self._closed:
            if self.autocommit:
                self.commit()
            self._closed = True

    def _dealloc_warn(self, source: object) -> None:
        """CPython tells the buffer so when a text or buffered wrapper is garbage: its `close` follows."""
        self._dropped = True

    def _discard_dropped(self) -> None:
        self.discard()
        warnings.warn(
            f"{self.path} was dropped without close(): nothing was published", ResourceWarning, stacklevel=2
        )

    def __del__(self) -> None:
        if not self.closed and os.getpid() == self._pid:
            self._discard_dropped()


class CompressedWriter(io.BufferedIOBase):
    """A compressor over a `GuardedWriter`, closed and discarded as one file.

    fsspec's compressors do not close the file below them, so on success nobody would publish it.
    """

    def __init__(self, compressor: Any, file: GuardedWriter) -> None:
        super().__init__()
        self._compressor = compressor
        self._file = file

    def __repr__(self) -> str:
        return f"<CompressedWriter {self._file!r}>"

    @property
    def closed(self) -> bool:
        file = getattr(self, "_file", None)
        return file is None or file.closed

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        """Compress and pass on."""
        self._compressor.write(data)
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Nothing to do: see `GuardedWriter.flush`."""

    def commit(self) -> None:
        """End the compressed stream and publish."""
        self._compressor.close()
        self._file.commit()

    def discard(self) -> None:
        """Publish nothing."""
        self._file._dropped = True  # swallows the trailer that the compressor still writes
        self._file.discard()
        self._compressor.close()

    def close(self) -> None:
        """As `GuardedWriter.close`."""
        if self.closed:
            return
        self._compressor.close()
        self._file.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
        elif not self.closed:
            self._compressor.close()
            self._file.__exit__(None, None, None)

    def _dealloc_warn(self, source: object) -> None:
        self._file._dealloc_warn(source)

    def __del__(self) -> None:
        if not self.closed:
            self._file._dropped = True
            self._compressor.close()
            self._file.close()
