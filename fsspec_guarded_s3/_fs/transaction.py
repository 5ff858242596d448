"""fsspec's transactions: all files are published at the end, or none after an exception.

Theory of operation. A transaction belongs to the context (`contextvars`) that began it: to a thread, or to a
task of asyncio. What other threads and tasks write meanwhile with the same filesystem is not of it, and is
published at once: they have not begun it, do not know when it ends, and would lose what they wrote when it
fails. `asyncio.to_thread`, tasks that are started in it, and the threads of one call (`joined`) have a copy
of the context, and belong to it. A task that has ended leaves its transaction to its thread: each cell of a
notebook is a task of its own, and one may begin what another ends.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fsspec.transaction import Transaction

from .._write.compressed_writer import CompressedWriter
from .._write.endings import UNSEEN, being_handled, failure, is_success
from .._write.upload import State
from .._write.writer import GuardedWriter
from ..errors import TransactionError

if TYPE_CHECKING:
    from asyncio import Task

logger = logging.getLogger("fsspec_guarded_s3")


class GuardedTransaction(Transaction):
    """Collects the files that are written in `with fs.transaction:`.

    The files are published one after the other at the end of the block, because S3 has no step for several
    objects. If one cannot be published, those after it are discarded, and TransactionError says which ones
    are there already. After an exception in the block, none is published; the rule is that of a writer
    (`_write.endings`). A transaction belongs to the thread or task, and to the process, that began it.
    """

    fs: Any
    files: deque[GuardedWriter | CompressedWriter]

    def __init__(self, fs: Any, **kwargs: Any) -> None:
        super().__init__(fs, **kwargs)
        self._known = being_handled()
        self._is_entered = False
        self._pid = os.getpid()
        self._thread = threading.get_ident()
        self._task: Task[Any] | None = None

    def start(self) -> None:
        """Begin. ValueError inside of another one: its files would be published apart from these."""
        if self._is_entered or self.files:
            raise nested_error()
        self.begin()
        self._is_entered = True

    def begin(self) -> None:
        """Have what this thread or task writes from now on belong to it."""
        if under_way(self.fs) not in (None, self):
            raise nested_error()
        self._known = being_handled()
        self._pid, self._thread, self._task = os.getpid(), threading.get_ident(), _current_task()
        _everywhere.add(self)
        _begun.set((*_still_under_way(), self))

    @property
    def is_left_to_this_thread(self) -> bool:
        """Whether the task that began it has ended, in this thread."""
        return self._task is not None and self._task.done() and self._thread == threading.get_ident()

    @property
    def _is_inherited(self) -> bool:
        return self._pid != os.getpid()

    def refuse_child(self) -> None:
        """RuntimeError in a child of the process that began: its copy of the list of files ends with it."""
        if self._is_inherited:
            raise RuntimeError(
                f"the transaction belongs to process {self._pid}, which began it: a child of that neither "
                "writes in it nor publishes it; fs.transaction.complete(commit=False) leaves it"
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.fs is None:  # ended inside of the block
            return
        is_clean = error is None or not self.is_spoilt_by(error)
        if error is not None and not is_clean and isinstance(error, UNSEEN):
            self._say_lost(error)
        self._end(is_clean)

    def complete(self, commit: bool = True) -> None:
        """Publish all files, or discard all; also, with a warning, while an exception is propagating."""
        error = failure(self._known, self) if commit else None
        if error is not None:
            self._say_lost(error)
        self._end(commit and error is None)

    def is_spoilt_by(self, error: BaseException) -> bool:
        """Whether nothing is to be published where `error` ends it."""
        return self._is_inherited or not is_success(error, self._known)

    def _say_lost(self, error: BaseException) -> None:
        if self._is_inherited:  # nothing of it is lost, as long as the parent goes on
            return
        paths = [file.path for file in self._writers() if file.state != State.ABORTED.value]
        if paths:
            logger.warning(
                "a transaction ended while %s was being handled: nothing was published of %s",
                type(error).__name__,
                ", ".join(paths),
            )

    def _writers(self) -> list[GuardedWriter]:
        """What publishes each of the files: fsspec's `open` of 2025 adds what compresses it."""
        return [file.guarded if isinstance(file, CompressedWriter) else file for file in self.files]

    def _end(self, commit: bool) -> None:
        self._known = []
        files, self.files = self._writers(), deque()
        self.fs = None
        _everywhere.discard(self)
        _begun.set(_still_under_way())
        published: list[str] = []
        try:
            if commit:
                self.refuse_child()
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
        _refuse_conflict(wanted)
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


def _refuse_conflict(files: list[GuardedWriter]) -> None:
    """ValueError for a file whose condition another one, which is published before it, makes fail."""
    before: set[str] = set()
    for file in files:
        if file.is_conditional and file.path in before:
            raise ValueError(
                f"nothing was published: {file.path} is written twice, and the second time it appends, "
                "creates, or changes the version that was there. A transaction publishes at its end, so that "
                "is not what the first one wrote. Write all of it at once, or in two transactions"
            )
        if file.writes:
            before.add(file.path)


# None: what is written belongs to no transaction.
_begun: ContextVar[tuple[GuardedTransaction, ...] | None] = ContextVar("gs3_transactions", default=())
_everywhere: set[GuardedTransaction] = set()  # of all threads and tasks


def _still_under_way() -> tuple[GuardedTransaction, ...]:
    return tuple(begun for begun in _begun.get() or () if begun.fs is not None)


def under_way(fs: object) -> GuardedTransaction | None:
    """The transaction of `fs` that this thread or task has begun, or was left."""
    here = _here()
    return next((begun for begun in here if begun.fs is fs), None) if here else None


def _here() -> tuple[GuardedTransaction, ...]:
    """Those of this context, which takes over what was left to its thread."""
    here = _begun.get()
    if here is None:
        return ()
    left = [it for it in list(_everywhere) if it.is_left_to_this_thread and it not in here]
    if left:
        here = (*here, *left)
        _begun.set(here)
    return here


def _current_task() -> Task[Any] | None:
    asyncio: Any = sys.modules.get("asyncio")  # else there is no task
    try:
        task: Task[Any] | None = asyncio and asyncio.current_task()
        return task
    except RuntimeError:  # no loop runs in this thread
        return None


def end(fs: object) -> None:
    """Publish what the transaction here has. RuntimeError where others have one, which they have to end."""
    if (here := under_way(fs)) is not None:
        here.complete()
    elif any(begun.fs is fs for begun in list(_everywhere)):
        raise RuntimeError(
            "the transaction that is under way was begun by another thread or task: the one that called "
            "start_transaction() has to end it"
        )


def joined(verb: Callable[..., Any]) -> Callable[..., Any]:
    """`verb` for other threads that work for this one: what it writes belongs to the transaction here."""
    if not _here():
        return verb
    context = copy_context()
    return lambda *args, **kwargs: context.copy().run(verb, *args, **kwargs)  # no two threads may share one


@contextmanager
def outside() -> Iterator[None]:
    """What is written in the block is published at once: its caller is told what became of it."""
    before = _begun.set(None)
    try:
        yield
    finally:
        _begun.reset(before)


def nested_error() -> ValueError:
    """The error of who begins a transaction inside of another."""
    return ValueError(
        "a transaction of this filesystem is under way: fs.end_transaction() publishes it, "
        "fs.transaction.complete(commit=False) gives it up"
    )
