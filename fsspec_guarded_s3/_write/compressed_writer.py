"""A compressor over a guarded writer, closed and discarded as one file.

fsspec keeps its compressors in a registry, from which its `OpenFile` takes them after `fs.open` has given it
the file. They do not close that file, so nobody would publish it. Those that are called with a guarded writer
therefore give a `CompressedWriter`; for all other files they are what they were.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, SupportsIndex

from .._values.annotations import Buffer
from .._values.keywords import view_to_write
from .._values.private_parts import say_once
from .endings import judged
from .small_writes import MANY, SMALL, SmallWrites
from .writer import BinaryFile, GuardedWriter, refuse_copy


def adopt_compressors() -> bool:
    """Let every compressor that is registered with fsspec know guarded writers; False where none is found."""
    try:
        from fsspec.compression import compr
    except ImportError:
        say_once("fsspec.compression.compr", "compressed files can be read, and are not written")
        return False
    for name, compress in list(compr.items()):
        if name is not None and not isinstance(compress, _Compressor):
            compr[name] = _Compressor(compress)
    return True


def refuse_to_seek(mode: str) -> NoReturn:
    """Raise the error of who opens a file in a `mode` with "+" and compresses it."""
    raise ValueError(f"compression must be None with mode {mode!r}: what is compressed cannot seek")


class _Compressor:
    """One of fsspec's compressors, which gives a `CompressedWriter` for a `GuardedWriter`."""

    def __init__(self, compress: Callable[..., Any]) -> None:
        self._compress = compress

    def __call__(self, file: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(file, GuardedWriter) and "+" in file.mode:
            file.discard()  # `fsspec.open` opens it first, and would compress over the beginning of its bytes
            refuse_to_seek(file.mode)
        if isinstance(file, GuardedWriter):  # "w" for "x" and "a" too, which are the writer's affair
            return CompressedWriter(partial(self._compress, mode="w"), file)
        return self._compress(file, *args, **kwargs)


class _Below(io.BufferedIOBase):
    """What a compressor writes to: the writer, without its end. Some compressors close it, others do not."""

    def __init__(self, file: GuardedWriter) -> None:
        super().__init__()
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()


class CompressedWriter(BinaryFile):
    """A compressor over a `GuardedWriter`, closed and discarded as one file.

    `compress` makes the compressor of a file. Those that fsspec registers do not close the file below them,
    so on success nobody would publish it.
    """

    def __init__(self, compress: Callable[[Any], Any], file: GuardedWriter) -> None:
        super().__init__()
        self._compressor = compress(_Below(file))
        self._file = file
        self.mode = file.mode
        self.lock = file.lock
        self._small: SmallWrites[bytes] = SmallWrites()
        self._is_writing = False

    def __repr__(self) -> str:
        return f"<CompressedWriter {self._file!r}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """TypeError, as of the writer below."""
        refuse_copy(self._file.path)

    @property
    def guarded(self) -> GuardedWriter:
        """The file below."""
        return self._file

    @property
    def etag(self) -> str:
        """The ETag of the published object, "" before."""
        return self._file.etag

    @property
    def version_id(self) -> str | None:
        """The version that was published, None before, and where the bucket has no versions."""
        return self._file.version_id

    @property
    def known_exceptions(self) -> list[BaseException]:
        """What was being handled when the file was opened."""
        return self._file.known_exceptions

    @property
    def closed(self) -> bool:
        file = getattr(self, "_file", None)
        return file is None or file.closed

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        """Compress `data` and write it. Threads take turns. Raises as `GuardedWriter.write` does."""
        file = self._file
        if file.gathers and type(data) is bytes and len(data) < SMALL:
            small = self._small
            small.append(data)
            if len(small) >= MANY or not file.gathers:
                self._hand_on()
            return len(data)
        view = view_to_write(data, file.path)
        file.check_process()  # here: what the compressor gathers first is not seen below
        with self.lock:
            self._check_reentry()
            self._hand_on()
            self._compress(data)
        return view.nbytes

    def _hand_on(self) -> None:
        """Compress what small writes left. Nothing is published where some of it is lost."""
        with self.lock:
            if not self._small or self._is_writing:  # which a signal's handler interrupts
                return
            try:
                self._compress(b"".join(self._small.take()))
            except BaseException as error:
                self._file.spoil(error)
                raise

    def _compress(self, data: Buffer) -> None:
        self._is_writing = True
        try:
            self._compressor.write(data)
        finally:
            self._is_writing = False

    def _check_reentry(self) -> None:
        if self._is_writing:
            raise RuntimeError(
                f"{self._file.path} is in the middle of a write, which a signal handler interrupts"
            )

    def flush(self) -> None:
        """Nothing to do: S3 shows an object whole or not at all."""

    def commit(self) -> None:
        """End the compressed stream and publish."""
        with self.lock:
            self._finish_compression()
            self._file.commit()

    def discard(self) -> None:
        """Publish nothing."""
        self._end_without_trailer(self._file.discard)

    @judged
    def close(self, failure: BaseException | None) -> None:
        """Publish what was written, unless an exception is propagating; harmless when repeated."""
        if self.closed:
            return
        if self._file.is_dropped:
            self._end_without_trailer(self._file.drop)
        elif failure is not None:
            self.refuse(failure)
        else:
            self.end()

    def end(self) -> None:
        """Close cleanly: end the compressed stream, and publish as `GuardedWriter.end` does."""
        with self.lock:
            if not self.closed:  # by another thread meanwhile
                self._finish_compression()
                self._file.end()

    def refuse(self, error: BaseException) -> None:
        """Publish nothing because of `error`, which its caller may never see, and log a warning."""
        self._end_without_trailer(lambda: self._file.refuse(error))

    def is_spoilt_by(self, error: BaseException) -> bool:
        """Whether nothing is to be published where `error` leaves the `with` block."""
        return self._file.is_spoilt_by(error)

    def leave(self, error: BaseException) -> None:
        """Publish nothing since `error` leaves the `with` block; warn of one that callers swallow."""
        self._end_without_trailer(lambda: self._file.leave(error))

    def _finish_compression(self) -> None:
        self._check_reentry()
        self._file.gathers = False
        try:
            self._hand_on()
            self._compressor.close()
        except BaseException:
            self._file.discard()
            raise

    def _end_without_trailer(self, end: Callable[[], None]) -> None:
        self._file.swallow()  # the trailer that the compressor still writes
        end()
        with suppress(Exception):  # another thread may be in the middle of a write: nobody wants that either
            self._compressor.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self.is_spoilt_by(error):
            self.leave(error)
        elif not self.closed:
            self.end()

    def _dealloc_warn(self, source: object) -> None:
        self._file._dealloc_warn(source)

    def __del__(self) -> None:
        if not self.closed:
            self._end_without_trailer(self._file.drop)
