"""Calls that block, made by threads of the pool for coroutines that wait for them.

Theory of operation. A coroutine hands its call to `AwaitedCalls.make` and sleeps. A thread makes the call, in
the context of the task (`contextvars`), and notes what came of it; then the loop is told, by
`call_soon_threadsafe`, and the coroutine goes on. Results that come while the loop is busy share one such
message. There is no loop of ours, and nothing belongs to a loop but the calls that wait in it: several loops
in several threads may use one filesystem.

Up to the option `max_concurrency` calls are under way at a time, and the others wait in a queue. A thread
that has made one takes the next from there. The threads are those of the process, except a few that each
filesystem gets where all others hang. The loop starts one thread, and each thread the next: to start
one takes until it runs, milliseconds where others are busy, in which a loop would stand still.

A task that is cancelled ends the work of its call (`_work`), and no other. What only reads is left to its
thread, which notices within `TURN` seconds. What writes, or has a local file open, is waited for, as Ctrl-C
waits for it: afterwards nobody uses the caller's bytes and files any more, and a write has been settled. A
loop that was closed meanwhile is told nothing.

Reading or writing a small object is one request, as a rule, which the loop makes itself (`make_asked`): it
sends it, waits for the answer as for any socket, and takes it when it is there as a whole. A thread for each
costs more than the request: it takes turns with the loop at Python's lock, at each step. So there may be more
such calls under way than threads. The loop also makes the connection, if that is plain TCP
(`loop_connections`), and where all calls need the same (credentials, the address), one thread finds it out
for all. Wherever something else has to be waited for (`_work.must_wait`: TLS, a second attempt, an answer of
many bytes, or of one that does not come), a thread of the pool makes the rest of the call, or all of it.

In the child of a fork no call is under way: the loop whose coroutines waited for them is the parent's.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from .._forks import renew_after_fork
from .._threads import background, others_wait, run_in_pool
from .._values.models import Arrival
from .._work import MustWaitError, Work, Worker, check, current, without_waiting, working_for
from ..errors import GuardedS3Error
from .loop_connections import is_connected
from .turns import Turns

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from .._s3.early import Asked
    from .._s3.scheduler import Scheduler

T = TypeVar("T")
_PATIENCE = 2.0  # seconds that a loop waits for an answer, before a thread does, by all bounds of a wait
_STEPS = 4  # that may come before a request: finding out, a connection, the same where another took it
_FEW = 2  # threads that a filesystem has also where the calls of others hang in all the rest
_POLL_SECONDS = 0.05  # after which is looked whether a call is in what cannot be interrupted


class _Call(Generic[T]):
    """A call that a coroutine waits for, and what came of it."""

    __slots__ = (
        "_call",
        "_context",
        "_error",
        "_is_begun",
        "_mailbox",
        "_result",
        "future",
        "is_made",
        "work",
        "worker",
    )

    def __init__(
        self, call: Callable[[], T], future: Future[None], mailbox: _Mailbox, is_begun: bool
    ) -> None:
        """`is_begun` says that a request was sent, by which something may have changed: `call` ends it."""
        self._is_begun = is_begun
        self.work = Work(current() or background())
        self.worker = Worker()
        self.is_made = False
        self.future = future  # done when the loop knows that the call was made, or the task was cancelled
        self._call: Callable[[], T] | None = call
        self._context = copy_context()
        self._mailbox = mailbox
        self._result: T | None = None
        self._error: BaseException | None = None

    def make(self) -> None:
        """Make the call in this thread, and tell the loop."""
        try:
            with working_for(self.work, self.worker):
                if not self._is_begun:
                    check()
                assert self._call is not None, "a call is made once"
                self._result = self._context.run(self._call)
        except BaseException as error:
            self._error = error
        finally:
            self._call = None  # with all that it holds
            self.is_made = True
            self._mailbox.put(self)
            del self  # the frame is in the error's traceback: a cycle otherwise

    def outcome(self) -> T:
        """Return or raise what the call did. Of one that was ended: asyncio's CancelledError."""
        try:
            if self._error is None:
                return self._result  # type: ignore[return-value]
            if isinstance(self._error, CancelledError) and self.work.is_over:
                from asyncio import CancelledError as Cancelled

                raise Cancelled(*self._error.args) from self._error
            raise self._error
        finally:
            self._error = self._result = None
            del self


class _Mailbox:
    """What is to be told to one loop. Many threads put in, the loop takes out."""

    __slots__ = ("__weakref__", "_is_called", "_made", "turns")

    def __init__(self) -> None:
        self._made: deque[_Call[Any]] = deque()
        self._is_called = False
        self.turns: WeakKeyDictionary[AwaitedCalls, Turns] = WeakKeyDictionary()

    def put(self, call: _Call[Any]) -> None:
        """Have the loop go on with the coroutine that waits for `call`."""
        self._made.append(call)
        if not self._is_called:
            self._is_called = True
            try:
                call.future.get_loop().call_soon_threadsafe(self._open)
            except RuntimeError:  # the loop is closed, and nobody waits: its calls would keep it alive
                self._is_called = False  # before they are dropped: what comes behind that is another message
                self._made.clear()

    def _open(self) -> None:
        self._is_called = False  # before the look: what comes behind it is another message
        while self._made:
            future = self._made.popleft().future
            if not future.done():
                future.set_result(None)


_OVER = Work()
_OVER.end()


class _Loops(threading.local):
    """The mailboxes of the loops that this thread runs, or ran."""

    def __init__(self) -> None:
        self.mailboxes: WeakKeyDictionary[AbstractEventLoop, _Mailbox] = WeakKeyDictionary()


_loops = _Loops()


def _here() -> tuple[AbstractEventLoop, _Mailbox]:
    from asyncio import get_running_loop

    loop = get_running_loop()
    mailbox = _loops.mailboxes.get(loop)
    if mailbox is None:
        for other in list(_loops.mailboxes):
            if other.is_closed():  # a message that it has not opened would keep it alive
                del _loops.mailboxes[other]
        mailbox = _loops.mailboxes[loop] = _Mailbox()
    return loop, mailbox


class AwaitedCalls:
    """The calls of one filesystem that coroutines wait for, up to `limit` of them at a time.

    Those that a loop makes are up to `most`, where the store is so distant that it pays.
    """

    def __init__(self, limit: int, most: int, scheduler: Scheduler) -> None:
        self._limit = limit
        self._most = most
        self._scheduler = scheduler
        self._renew()
        renew_after_fork(self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._todo: deque[_Call[Any]] = deque()
        self._threads = 0
        self._coming = 0  # of them, that have not come to look yet

    def __repr__(self) -> str:
        return f"<AwaitedCalls threads={self._threads} waiting={len(self._todo)}>"

    async def make(self, call: Callable[[], T], *, is_settled: bool = False, is_begun: bool = False) -> T:
        """What `call` returns or raises, made in a thread of the pool.

        If the task is cancelled, the work of the call ends; with `is_settled` its end is waited for. One that
        has not been made yet is not made any more, unless it `is_begun`: it goes on from a request.
        """
        awaited = self._start(call, is_begun)
        try:
            await awaited.future
        except BaseException as error:
            awaited.work.end()
            if is_settled and not isinstance(error, GeneratorExit):  # nobody will go on with this coroutine
                await _settled(awaited)
            raise
        return awaited.outcome()

    async def make_asked(
        self, ask: Callable[[], Asked[T] | None], call: Callable[[], T], *, is_settled: bool = False
    ) -> T:
        """As `make`, of a call whose first request `ask` sends: in the loop, as far as that need not wait.

        A write must be one without a condition, which may be made again.
        """
        loop, mailbox = _here()
        turns = mailbox.turns.get(self)
        if turns is None:
            turns = mailbox.turns[self] = self._turns()
        await turns.take(loop)
        try:
            asked = await self._asked_here(loop, turns, ask)
            if asked is None and not is_settled:  # a thread makes a connection, and sends by it
                asked = await self.make(partial(_asked, ask))
            if asked is None:
                return await self.make(call, is_settled=is_settled)
            turns.since = min(turns.since, loop.time())
            if await _is_answered(loop, asked):
                try:
                    return without_waiting(asked.take)
                except MustWaitError as error:
                    rest = error.rest
                if rest is not None:
                    return await self.make(rest, is_settled=is_settled)
                again = partial(_again, call, is_settled)
                return await self.make(again, is_settled=is_settled)
            return await self.make(asked.take, is_settled=is_settled, is_begun=True)
        finally:
            turns.give_back(loop)

    async def _asked_here(
        self, loop: AbstractEventLoop, turns: Turns, ask: Callable[[], Asked[T] | None]
    ) -> Asked[T] | None:
        """What was asked by the loop; None where a thread has to do it.

        What all calls would have to wait for one thread finds out, and the loop makes a connection.
        """
        has_prepared = False
        for _ in range(_STEPS):
            try:
                return without_waiting(partial(_asked, ask))
            except MustWaitError as error:
                prepare, connect = error.prepare, error.connect
            if prepare is not None and not has_prepared:
                has_prepared = await turns.once(loop, partial(self.make, partial(_quietly, prepare)))
            elif connect is None or not await is_connected(loop, connect):
                break
        return None

    def _turns(self) -> Turns:
        scheduler = self._scheduler
        most = scheduler.within_limit(self._most)
        return Turns(self._limit, most, scheduler.round_trip, scheduler.connection_seconds())

    def _start(self, call: Callable[[], T], is_begun: bool = False) -> _Call[T]:
        loop, mailbox = _here()
        awaited = _Call(call, loop.create_future(), mailbox, is_begun)
        with self._lock:
            self._todo.append(awaited)
            is_served = self._coming or not self._comes()
            is_urgent = self._threads <= _FEW
        if not (
            is_served or run_in_pool(self._serve, is_urgent=is_urgent)
        ):  # the system gives no thread at all
            self._serve()
        return awaited

    def _comes(self) -> bool:
        """Count one more thread, if there may be one and it has something to do."""
        if not self._todo or self._threads >= self._limit:
            return False
        self._threads += 1
        self._coming += 1
        return True

    def _serve(self) -> None:
        """Make calls until none is waiting. Who comes brings the next one."""
        with self._lock:
            self._coming -= 1
        while True:
            with self._lock:
                if not self._todo:
                    self._threads -= 1
                    return
                call = self._todo.popleft()
                brings = not self._coming and self._comes()
                is_urgent = self._threads <= _FEW
            if brings and not run_in_pool(self._serve, is_urgent=is_urgent):
                with self._lock:
                    self._coming -= 1
                    self._threads -= 1
            call.make()
            del call  # its result may be large, and the next may be long in coming
            if others_wait() and self._steps_back():
                return

    def _steps_back(self) -> bool:
        """Have this thread make the calls of others, and come again behind them."""
        with self._lock:
            if not self._todo:
                return False
            self._coming += 1
        if run_in_pool(self._serve):
            return True
        with self._lock:
            self._coming -= 1
        return False


async def _settled(awaited: _Call[Any]) -> None:
    """Wait until no thread is at a call that was ended, or none that would use what is the caller's."""
    import asyncio

    while not (awaited.is_made or awaited.worker.uninterruptible):
        awaited.future = asyncio.get_running_loop().create_future()  # of the old one the task was cancelled
        with suppress(asyncio.CancelledError):  # once more: the first one is raised when this is over
            await asyncio.wait([awaited.future], timeout=_POLL_SECONDS)


def _quietly(prepare: Callable[[], object]) -> None:
    """Each call gets its errors for itself."""
    with suppress(Exception):
        prepare()


def _asked(ask: Callable[[], Asked[T] | None]) -> Asked[T] | None:
    """What was asked; None where a thread is to make the call, and get its errors."""
    try:
        return ask()
    except Exception:  # whatever it is, the call raises it again
        return None


async def _is_answered(loop: AbstractEventLoop, asked: Asked[Any]) -> bool:
    """Wait until something of the answer is there, and say whether it is all of it.

    False too where it does not come for long, and where a loop cannot wait for it. Who is cancelled ends the
    call.
    """
    early = asked.early
    descriptor = early.descriptor()
    if descriptor is None:
        return False
    arrived: Future[Arrival] = loop.create_future()

    def look() -> None:
        arrival = early.arrival()
        if arrival is not Arrival.NOTHING:
            end(arrival)

    def end(arrival: Arrival) -> None:
        _stop_waiting(loop, descriptor)  # what is left is for another to receive
        if not arrived.done():
            arrived.set_result(arrival)

    try:
        loop.add_reader(descriptor, look)
    except NotImplementedError:  # Windows: the loop that asyncio takes there
        return False
    late = loop.call_later(_PATIENCE, end, Arrival.PART)
    try:
        return await arrived is Arrival.WHOLE
    except BaseException:
        _stop_waiting(loop, descriptor)
        with suppress(CancelledError), working_for(_OVER):
            asked.take()
        early.close()
        raise
    finally:
        late.cancel()


def _stop_waiting(loop: AbstractEventLoop, descriptor: int) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.remove_reader(descriptor)


def _again(call: Callable[[], T], writes: bool) -> T:
    """What a call returns whose first attempt the loop made; one that `writes` may have been applied."""
    work = current()
    assert work is not None, "a thread of the pool makes it"
    work.attempts_made = 1
    try:
        return call()
    except GuardedS3Error as error:
        error.maybe_applied |= writes
        raise
