"""The file objects of `open(..., "wb" / "xb" / "ab")`. They publish only what was closed cleanly.

Wrappers (text, gzip, pandas, pyarrow, `contextlib.closing`) call plain `close()` while an exception is on
its way, so `__exit__` never sees it; what `close()` makes of that is in `endings`. Invariants: `__del__`
never publishes, a writer that saw one error publishes nothing, a write is published whole or not at all, only
the process that opened a writer publishes it, and whoever loses bytes is told once, by a warning that
Python's logging shows without configuration.
"""

from __future__ import annotations

import atexit
import io
import logging
import os
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, NoReturn, SupportsIndex

from .._forks import renew_after_fork
from .._values.annotations import Buffer
from .._values.bodies import bytes_of
from .._values.keywords import view_to_write
from .._values.tracebacks import short_tracebacks
from .._work import Living, Lock
from ..options import Options
from .endings import UNSEEN, being_handled, is_success, judged
from .local_contents import LocalContents, check_size, destination
from .parts import PartBuffer
from .small_writes import MANY, SMALL, SmallWrites
from .spool import TemporaryFile
from .upload import State, Upload

if TYPE_CHECKING:

    class BinaryFile(io.BufferedIOBase, BinaryIO):
        """A `BinaryIO` for type checkers, as every binary file of Python's own is."""

        mode: str
else:
    BinaryFile = io.BufferedIOBase

logger = logging.getLogger("fsspec_guarded_s3")
_DECIDE = "call commit() to publish it all the same, or discard() to give it up without this warning"
_open: Living[GuardedWriter] = Living()


def refuse_copy(path: str) -> NoReturn:
    """Raise the error of who copies or pickles a file that is open for writing."""
    raise TypeError(
        f"{path} is open for writing, and can be neither copied nor pickled: open it where it is written, "
        "or pass what fsspec.open returns, before its `with`"
    )


class GuardedWriter(BinaryFile):
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
        fs: object = None,
        path: str,
        mode: str,
        autocommit: bool = True,
        position: int = 0,
        prepare: Callable[[PartBuffer], None] | None = None,
        to_file: Callable[[TemporaryFile], LocalContents] | None = None,
        contents: LocalContents | None = None,
    ) -> None:
        super().__init__()
        self.path = path
        self.mode = mode
        self.autocommit = autocommit
        self.known_exceptions = being_handled()
        self.fs = fs
        self.blocksize = options.part_size  # bytes
        self._upload = upload
        self._parts = PartBuffer(upload, options)
        self._contents = contents  # in the place of the buffer, from the first `seek` on
        self._to_file = to_file
        self._failure: BaseException | None = None
        self._position = position
        self._prepare = None if prepare is None else partial(prepare, self._parts)
        self._small: SmallWrites[bytes] = SmallWrites()
        # Whether small writes need no look: the file is open here, nothing failed, and what is to be there
        # before them is there, so that a first write raises what keeps it from that.
        self.gathers = prepare is None
        self.is_dropped = False  # what is written from then on is swallowed
        self._pid = os.getpid()
        self.lock = Lock()  # for writing and publishing alone: giving up waits for nobody
        self._is_writing = False
        self._closed = False  # last: what an interrupt left half-made is closed to `__del__`
        _open.add(self)

    def __repr__(self) -> str:
        size = self._position + sum(map(len, self._small))
        if self._contents is not None:
            size = max(size, self._contents.size)
        return f"<GuardedWriter {self.path} {self.state} bytes={size}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """TypeError: a copy would have a part of the upload, and so would this file."""
        refuse_copy(self.path)

    @property
    def guarded(self) -> GuardedWriter:
        """This file; of a compressor the one below."""
        return self

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
        return self._contents is not None

    @short_tracebacks
    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to `offset` bytes from the beginning, the position or the end; returns the new position.

        What is written behind the end has zeros before it, as in a local file. Raises ValueError.

        A file that is sent while it is written moves into a local temporary file at its first `seek`, if
        nothing of it was sent yet. Otherwise that is an io.UnsupportedOperation, and nothing is published:
        who goes on would write to a wrong place. So is a `seek` to the beginning of an empty file, which
        spoils nothing: in this way zipfile and others ask whether they may seek, and write without if not.
        """
        self.check_process()
        with self.lock:
            self._check_reentry()
            self._check_open()
            self._take_small()
            if self._contents is None:
                target = destination(offset, whence, self._position, self._position)
                self._move_to_file(target)
            assert self._contents is not None
            self._contents.seek(offset, whence)
            self._position = self._contents.position
            return self._position

    @short_tracebacks
    def truncate(self, size: int | None = None, /) -> int:
        """Have the file be `size` bytes long, by default up to the position. Returns the size.

        Errors as of `seek`.
        """
        if size is not None:
            check_size("size", size)
        self.check_process()
        with self.lock:
            self._check_reentry()
            self._check_open()
            self._take_small()
            if self._contents is None:
                self._move_to_file(self._position if size is None else size)
            contents = self._contents
            assert contents is not None
            size = contents.position if size is None else size
            self._change(partial(contents.truncate, size))
            return size

    def _move_to_file(self, target: int) -> None:
        """Have the bytes in a local file from now on, where they are still here. `target` is asked for."""
        moves = target != self._position
        to_file = self._to_file
        if to_file is None or not (moves or self._position):
            raise self._cannot_seek("")
        if not self._upload.may_start:
            error = self._cannot_seek(", and its beginning has been sent")
            if moves:
                self._spoil(error)
            raise error

        def move() -> None:
            contents = to_file(TemporaryFile())
            self._parts.hand_over(contents.write)
            self._contents = contents

        self._change(move)

    def _cannot_seek(self, why: str) -> io.UnsupportedOperation:
        return io.UnsupportedOperation(
            f"{self.path} is sent while it is written{why}, so it cannot seek: open it with mode "
            f"{self.mode.replace('b', '+b')!r} to keep it in a local temporary file until it is closed"
        )

    def tell(self) -> int:
        with self.lock:
            return self._position + self._small.size()

    @property
    def loc(self) -> int:
        """Where the next write goes, as fsspec's files have it."""
        return self.tell()

    def setxattr(self, copy_kwargs: object = None, **kw_args: object) -> NoReturn:
        """NotImplementedError: the attributes of what is written are keywords of `open`, or set later."""
        raise NotImplementedError(
            f"{self.path} is open for writing: pass Metadata= to open, or call fs.setxattr after close()"
        )

    def write(self, data: Buffer, /) -> int:
        """Take bytes; full parts are sent in the background. Raises the first error of any part.

        Threads take turns. RuntimeError in a child of the process that opened the file.
        """
        if self.gathers and type(data) is bytes and 0 < len(data) < SMALL:
            small = self._small
            small.append(data)
            if len(small) >= MANY or not self.gathers:
                self._hand_on()
            return len(data)
        view = view_to_write(data, self.path)
        if self.gathers and 0 < view.nbytes < SMALL:
            return self.write(view.tobytes())
        if not self.is_dropped:
            self._write(view)
        return view.nbytes

    @short_tracebacks
    def _write(self, view: memoryview) -> None:
        self.check_process()
        with self.lock:
            self._check_reentry()
            self._check_open()
            self._take_small()
            if view.nbytes:
                self._take(lambda: bytes_of(view))

    @short_tracebacks
    def _hand_on(self) -> None:
        """Take what small writes left, unless whoever closed the file has done so. Raises as `write` does."""
        self.check_process()
        with self.lock:
            if self._small and not self._is_writing and not self.is_dropped:
                self._check_open()
                self._take_small()

    def _take_small(self) -> None:
        if self._small:
            self._take(lambda: memoryview(b"".join(self._small.take())))

    def _take(self, data: Callable[[], memoryview]) -> None:
        """Take what `data` gives."""
        self._change(partial(self._take_now, data))

    def _take_now(self, data: Callable[[], memoryview]) -> None:
        view = data()
        if self._prepare is not None:
            prepare, self._prepare = self._prepare, None
            prepare()
            self._gather()
        (self._contents or self._parts).write(view)
        self._position += view.nbytes

    def _change(self, change: Callable[[], None]) -> None:
        """Make a change. An error of it, also an interrupt, is the end: bytes may be missing."""
        self._is_writing = True
        try:
            change()
        except BaseException as error:
            self._spoil(error)
            raise
        finally:
            self._is_writing = False

    def _spoil(self, error: BaseException) -> None:
        self._fail(error)
        self._upload.abort()
        self._release()

    def _release(self) -> None:
        """What was written is not needed any more: who keeps a closed file keeps no bytes of it."""
        if self._contents is not None:
            self._contents.release()

    def _gather(self) -> None:
        """Gather small writes from now on. Who gives up waits for no lock, so that is looked at last."""
        self.gathers = True
        if self._closed or self.is_dropped or self._failure is not None:
            self.gathers = False

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self.gathers = False

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"write to {self.path}: the file is closed")
        if self._failure is not None:
            raise self._failure

    @property
    def _is_inherited(self) -> bool:
        return self._pid != os.getpid()

    def check_process(self) -> None:
        """Raise RuntimeError in a child of the process that opened the file."""
        if self._is_inherited:
            raise RuntimeError(
                f"{self.path} belongs to process {self._pid}, which opened it: a child of that can neither "
                "write nor publish it"
            )

    def _check_reentry(self) -> None:
        if self._is_writing:
            raise RuntimeError(f"{self.path} is in the middle of a write, which a signal handler interrupts")

    def flush(self) -> None:
        """Nothing to do: S3 shows an object whole or not at all."""

    @property
    def writes(self) -> bool:
        """Whether publishing it changes the object: appending nothing does not."""
        return self._prepare is None

    @property
    def is_conditional(self) -> bool:
        """Whether it is published only if the object is as it was when the file was opened."""
        return self._upload.is_conditional

    @property
    def failure(self) -> BaseException | None:
        """The first error of the writing, after which nothing can be published."""
        return self._failure

    def spoil(self, error: BaseException) -> None:
        """Have nothing be published because of `error`, which whoever closes the file gets. Does not wait."""
        self._fail(error)
        self._upload.abandon()

    @short_tracebacks
    def commit(self) -> None:
        """Publish. Raises FileExistsError, ObjectChangedError, WriteOutcomeUnknownError, or the first error
        of a part; harmless when the file is published already.
        """
        if self._upload.state is State.COMPLETED:
            return
        self.check_process()
        with self.lock:
            self._check_reentry()
            self._publish()

    def _publish(self) -> None:
        if self._upload.state is State.COMPLETED:  # by another thread meanwhile
            return
        self._mark_closed()
        if self._failure is not None:
            raise self._failure
        if self._upload.state in (State.ABORTED, State.UNKNOWN):
            raise ValueError(f"{self.path} was discarded and cannot be published any more")
        self._take_small()
        if self._prepare is not None:  # appending nothing leaves the object as it is
            self._upload.abort()
            return
        try:
            (self._contents or self._parts).finish()
        except BaseException as error:
            self._spoil(error)
            raise
        self._release()

    def discard(self) -> None:
        """Publish nothing and remove what was uploaded. Does nothing when the file is published."""
        self._mark_closed()
        self._upload.abort()
        self._release()

    @judged
    def close(self, failure: BaseException | None) -> None:
        """Publish what was written, unless an exception is propagating; harmless when repeated.

        After an exception nothing is published. The page Guarantees has the rule for which exceptions count.
        """
        if self.closed:
            return
        if self.is_dropped:
            self.drop()
        elif failure is not None:
            self.refuse(failure)
        else:
            self.end()

    def end(self) -> None:
        """Close cleanly: publish, or with `autocommit=False` be ready to. Raises as `commit` does."""
        if self._failure is not None:
            self._mark_closed()
            raise self._failure
        if self.autocommit:
            self.commit()
            return
        self.check_process()
        with self.lock:
            self._check_reentry()
            self._mark_closed()

    def refuse(self, error: BaseException) -> None:
        """Publish nothing because of `error`, which its caller may never see, and log a warning."""
        self.discard()
        if not self._is_inherited:
            kind = type(error).__name__
            logger.warning(
                "%s was closed while %s was being handled: nothing was published; %s",
                self.path,
                kind,
                _DECIDE,
            )

    def drop(self) -> None:
        """Publish nothing because nobody closed the file, and warn unless an error was raised before."""
        self.swallow()  # compressors and archives may be finalized later, and write their end then
        self._mark_closed()
        self._upload.abandon()
        if self._failure is None and not self._is_inherited:
            self._warn_dropped("was dropped without close()")

    def swallow(self) -> None:
        """Take nothing any more that is written."""
        self.is_dropped = True
        self.gathers = False

    def _warn_dropped(self, what: str) -> None:
        logger.warning(
            "%s %s: nothing was published, what was written is lost; write it in a with block "
            "(with fs.open(...) as file:), or call close() at the end",
            self.path,
            what,
        )

    def _mark_closed(self) -> None:
        self._closed = True
        self.gathers = False
        self.known_exceptions = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self.is_spoilt_by(error):
            self.leave(error)
        elif not self._closed:
            self.end()

    def is_spoilt_by(self, error: BaseException) -> bool:
        """Whether nothing is to be published where `error` leaves the `with` block."""
        return self._is_inherited or not is_success(error, self.known_exceptions)

    def leave(self, error: BaseException) -> None:
        """Publish nothing since `error` leaves the `with` block; warn of one that callers swallow."""
        if isinstance(error, UNSEEN) and not self._closed:
            self.refuse(error)
        else:
            self.discard()

    def _dealloc_warn(self, source: object) -> None:
        """CPython tells the buffer so when a text or buffered wrapper is garbage: its `close` follows."""
        self.swallow()

    @property
    def _is_undecided(self) -> bool:
        return self._upload.state in (State.NEW, State.OPEN) and self._failure is None

    def __del__(self) -> None:
        if not self.closed:
            self.drop()
        elif os is not None and getattr(self, "_pid", None) == os.getpid() and self._is_undecided:
            # `os` is None where the interpreter has emptied its modules: `warn_at_exit` came before.
            self._upload.abandon()
            self._warn_dropped("was closed with autocommit=False and never committed")

    def warn_at_exit(self) -> None:
        """Warn that nothing was published. `_write.aborting` aborts the uploads of a program that ends."""
        if self._pid == os.getpid() and self._is_undecided:
            self._mark_closed()
            self.swallow()
            self._failure = RuntimeError(f"{self.path} was open when the program ended")
            self._warn_dropped("was open when the program ended")


def _gather_nothing() -> None:
    """In a child each write is to be refused."""
    for writer in _open:
        writer.gathers = False


renew_after_fork(_gather_nothing)


@atexit.register
def _warn_at_exit() -> None:
    for writer in _open:
        writer.warn_at_exit()
