"""The files of `open_async`: the readers and writers of `open`, whose calls are made by threads.

A reader keeps its pin and reads ahead as far as `open` does, so a consumer that is slow holds it back. A
writer publishes only what was closed cleanly: `async with` discards on an exception, and so does a task that
is cancelled, and a call that failed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import CancelledError
from functools import partial
from types import TracebackType
from typing import Any, Literal

from .._forks import PerProcess
from .._read.pinned_file import before_beginning
from .._read.reader import PinnedReader
from .._values.annotations import Buffer, Self
from .._values.bodies import bytes_of
from .._values.keywords import check_bytes, check_integer, check_type
from .._work import Lock
from .._write.endings import being_handled, failure
from .._write.writer import GuardedWriter
from ..options import MIB
from .awaiting import AwaitedCalls

_SMALL = 256 * 1024  # bytes of small writes that go to a thread together


def opened(opening: Callable[[], Any]) -> Any:
    """The file that `opening` opens. Of a reader all is known then: what a listing told is not all."""
    file = opening()
    if isinstance(file, PinnedReader):
        file.info()
    return file


def check_async_mode(mode: str, compression: str | None) -> None:
    """Raise TypeError or ValueError for a file that `open_async` does not open, with what does."""
    check_type("mode", mode, str)
    instead = f"await asyncio.to_thread(fs.open, path, {mode!r})"
    if "+" in mode:
        raise ValueError(
            f"open_async does not open files that seek (mode {mode!r}), which are kept on this machine until "
            f"they are closed: {instead}, and close the file in a thread too"
        )
    if "b" not in mode:
        raise ValueError(
            f"open_async opens binary files, so mode must be 'rb', 'wb', 'xb' or 'ab', not {mode!r}: decode "
            f"what you read, encode what you write, or {instead}"
        )
    if compression:
        raise ValueError(f"open_async does not take compression ({compression!r}): {instead} with it")


class _Read:
    """A read that a task waits for: from where to where, once it was made."""

    __slots__ = ("is_given_up", "span")

    def __init__(self) -> None:
        self.is_given_up = False
        self.span: tuple[int, int] | None = None


class AsyncReader:
    """A file that reads one version of an object: a `PinnedReader` to await.

    Tasks may share one: each read gets the bytes behind those of the read before. A read that is cancelled
    gives its bytes back, unless another one has begun behind them.
    """

    mode: Literal["rb"] = "rb"

    def __init__(self, calls: AwaitedCalls, reader: PinnedReader) -> None:
        self._calls = calls
        self._reader = reader
        self._turn = PerProcess(Lock)
        self._position = reader.tell()
        self._latest: _Read | None = None
        self._moving = PerProcess(threading.Lock)  # of these two; nothing waits while it is held

    def __repr__(self) -> str:
        return f"<AsyncReader {self.path} etag={self.etag} size={self.size}>"

    @property
    def path(self) -> str:
        """The name of the object."""
        return self._reader.path

    @property
    def fs(self) -> Any:
        """The filesystem that opened it."""
        return self._reader.fs

    @property
    def size(self) -> int:
        """Of the object, in bytes."""
        return self._reader.size

    @property
    def etag(self) -> str:
        """The ETag that every read is pinned to."""
        return self._reader.etag

    @property
    def version_id(self) -> str | None:
        """The version that was opened, None where the bucket has none."""
        return self._reader.version_id

    @property
    def closed(self) -> bool:
        """Whether it can be read no more."""
        return self._reader.closed

    def metadata(self) -> dict[str, str]:
        """The user metadata of the version that was opened. No request."""
        return self._reader.metadata()

    def info(self) -> dict[str, Any]:
        """What `fs.info` told when it was opened. No request."""
        return self._reader.info()

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set where the next read begins, and return that position. No request.

        `whence` says from where it counts: 0 the beginning, 1 the present position, 2 the end.
        """
        check_integer("offset", offset)
        with self._moving():
            bases = {0: 0, 1: self._position, 2: self.size}
            if whence not in bases:
                raise ValueError(f"whence must be 0, 1 or 2, not {whence!r}")
            place = bases[whence] + offset
            if place < 0:
                raise before_beginning(self._reader.bucket, self._reader.key)
            self._position = place
        return place

    async def read(self, length: int | None = -1) -> bytes:
        """The next `length` bytes, fewer only at the end of the file; all that are left if None or -1."""
        return await self._make(partial(self._reader.read, length))

    async def readline(self, size: int | None = -1) -> bytes:
        """The next line with its line feed, at most `size` bytes of it."""
        return await self._make(partial(self._reader.readline, size))

    async def chunks(self, size: int = MIB) -> AsyncIterator[bytes]:
        """The bytes from here on, `size` of them at a time. The file is closed then, however it ends."""
        check_integer("size", size, 1)
        try:
            while data := await self.read(size):
                yield data
        finally:
            self._reader.close()

    async def _make(self, call: Callable[[], bytes]) -> bytes:
        """What `call` reads. Where the task is cancelled nothing was read: the next read has those bytes."""
        read = _Read()
        try:
            return await self._calls.make(partial(self._in_turn, call, read))
        except BaseException:
            with self._moving():
                read.is_given_up = True
                if read is self._latest and read.span is not None and self._position == read.span[1]:
                    self._position = read.span[0]
            raise

    def _in_turn(self, call: Callable[[], bytes], read: _Read) -> bytes:
        with self._turn():
            with self._moving():
                self._latest = read
                begin = self._position
            self._reader.seek(begin)
            data = call()
            with self._moving():
                if not read.is_given_up and self._position == begin:  # else somebody sought
                    self._position = begin + len(data)
                    read.span = begin, self._position
            return data

    async def close(self) -> None:
        """Drop what was read; the file cannot be read any more."""
        self._reader.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()


class AsyncWriter:
    """A file that becomes the object when it is closed cleanly: a `GuardedWriter` to await.

    Leaving `async with` by an exception, a task that is cancelled, `discard()`, garbage collection and
    interpreter exit publish nothing and leave no upload behind. Small writes are gathered, up to 256 KiB;
    what is sent beyond that waits until the store has taken enough of it.
    """

    def __init__(self, calls: AwaitedCalls, writer: GuardedWriter) -> None:
        self._calls = calls
        self._writer = writer
        self._gathered = bytearray()
        self._full: deque[bytearray] = deque()
        self._turn = PerProcess(Lock)
        self._position = writer.tell()
        writer.known_exceptions = being_handled()  # by the task; the thread that made it handles none

    def __repr__(self) -> str:
        return f"<AsyncWriter {self.path} {self.state} bytes={self._position}>"

    @property
    def path(self) -> str:
        """The name of the object."""
        return self._writer.path

    @property
    def mode(self) -> str:
        """`wb`, `xb` or `ab`."""
        return self._writer.mode

    @property
    def state(self) -> str:
        """The state of the upload: NEW, OPEN, COMPLETING, COMPLETED, ABORTED or UNKNOWN."""
        return self._writer.state

    @property
    def etag(self) -> str:
        """The ETag of the published object, "" before."""
        return self._writer.etag

    @property
    def version_id(self) -> str | None:
        """The version that was published, None before, and where the bucket has no versions."""
        return self._writer.version_id

    @property
    def closed(self) -> bool:
        """Whether it takes no more bytes."""
        return self._writer.closed

    def tell(self) -> int:
        """How many bytes the object has so far."""
        return self._position

    async def write(self, data: Buffer) -> int:
        """Take bytes. Raises the first error of what was sent before; after one nothing is published.

        A task that is cancelled in here has spoilt the file, as what it wrote may be missing: later calls
        raise `concurrent.futures.CancelledError`.
        """
        check_bytes("data", data)
        if self.closed or self._writer.failure is not None:
            return self._writer.write(data)  # which says why it takes none
        size = memoryview(data).nbytes
        self._gathered += bytes_of(data)
        self._position += size
        if len(self._gathered) >= _SMALL:
            self._pass_on()
            await self._make(self._write)
        return size

    def _pass_on(self) -> None:
        """Here, in the loop: what threads have is not added to."""
        if self._gathered:
            self._full.append(self._gathered)
            self._gathered = bytearray()

    async def flush(self) -> None:
        """Nothing to do: S3 shows an object whole or not at all."""

    def close(self) -> Coroutine[Any, Any, None]:
        """Publish what was written, unless an exception is propagating; harmless when repeated.

        The page Guarantees has the rule for which exceptions count. They are looked for when `close()` is
        called, and not when its result is awaited.
        """
        return self._close(failure(self._writer.known_exceptions, self._writer))

    async def _close(self, failed: BaseException | None) -> None:
        if self.closed:
            return
        if failed is not None:
            await self._make(partial(self._writer.refuse, failed))
        else:
            self._pass_on()
            await self._make(self._end)

    async def commit(self) -> None:
        """Publish. Raises FileExistsError, ObjectChangedError, WriteOutcomeUnknownError, or the first error
        of a part; harmless when the file is published already.
        """
        self._pass_on()
        await self._make(self._commit)

    async def discard(self) -> None:
        """Publish nothing and remove what was uploaded. Does nothing when the file is published."""
        await self._make(self._writer.discard)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, GeneratorExit):  # nobody will go on with this coroutine
            self._writer.leave(error)
        elif error is not None and self._writer.is_spoilt_by(error):
            await self._make(partial(self._writer.leave, error))
        elif not self.closed:
            self._pass_on()
            await self._make(self._end)

    # --- made by threads ---

    async def _make(self, call: Callable[[], None]) -> None:
        try:
            await self._calls.make(call, is_settled=True)
        except BaseException as error:
            # Who closes the file later was not cancelled: it is an error like others for that task.
            failed = isinstance(error, Exception)
            self._writer.spoil(error if failed else CancelledError(f"a call of {self!r} was cancelled"))
            raise

    def _write(self) -> None:
        with self._turn():  # before anything is taken: what comes first is written first
            while self._full:
                self._writer.write(self._full.popleft())
        if self._writer.failure is not None:  # another task's write, which had these bytes too
            raise self._writer.failure

    def _end(self) -> None:
        if self._writer.failure is None:
            self._write()
        self._writer.end()

    def _commit(self) -> None:
        if not self.closed:
            self._write()
        self._writer.commit()
