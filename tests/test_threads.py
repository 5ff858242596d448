"""Work done side by side: how many calls at a time, and what one failure does to the others."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from fsspec_guarded_s3 import _runs
from fsspec_guarded_s3._runs import Question, ask_all, run_all
from fsspec_guarded_s3._s3 import scheduler
from fsspec_guarded_s3._s3.client import S3Client
from fsspec_guarded_s3._s3.store import Store
from fsspec_guarded_s3._threads import Task
from fsspec_guarded_s3._work import Work, check
from fsspec_guarded_s3.options import Options


def client(round_trip: float) -> S3Client:
    """A client whose store is that many seconds away."""
    found = S3Client(
        Store(Options(key="k", secret="s", endpoint_url=f"https://127.0.0.1:{9 + int(round_trip)}"))
    )
    found.store.transport.round_trip = round_trip
    return found


class Busy:
    """Calls that use the processor, and how many of them were under way at the most.

    The first `together` of them wait for each other: a thread may be long in starting.
    """

    def __init__(self, together: int) -> None:
        self._lock = threading.Lock()
        self._together = threading.Barrier(together)
        self._now = 0
        self._begun = 0
        self.most = 0

    def __call__(self) -> None:
        with self._lock:
            self._now += 1
            self._begun += 1
            is_early = self._begun <= self._together.parties
            self.most = max(self.most, self._now)
        if is_early:
            self._together.wait(30)
        end = time.thread_time() + 0.002
        while time.thread_time() < end:
            pass
        with self._lock:
            self._now -= 1


def test_a_distant_store_gets_all_calls_at_once() -> None:
    """Each waits for all others: they end only if all of them are under way together."""
    together = threading.Barrier(16)
    client(1.0).scheduler.run([lambda: together.wait(30) and None] * 16)
    assert not together.broken


def test_a_near_store_gets_two_calls_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "thread_time", time.perf_counter)  # a busy machine must not look like a wait
    busy = Busy(together=2)
    run_all([busy] * 60, limit=32, initial=2)
    assert busy.most == 2


@pytest.mark.parametrize("takes_turns", [True, False], ids=["by one", "by two"])
def test_small_reads_of_a_near_store_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, takes_turns: bool
) -> None:
    """By two threads where both can run, on a free-threaded Python; each is some questions ahead."""
    monkeypatch.setattr(scheduler, "_takes_turns", lambda: takes_turns)
    monkeypatch.setattr(time, "thread_time", time.perf_counter)  # a busy machine must not look like a wait
    together = threading.Barrier(1 if takes_turns else 2)
    asked: set[int] = set()
    answered: list[int] = []

    def ask(number: int) -> Callable[[], None]:
        if threading.get_ident() not in asked:
            together.wait(30)
        asked.add(threading.get_ident())
        return lambda: answered.append(number)

    client(0.0).scheduler.ask([lambda n=n: ask(n) for n in range(100)])  # type: ignore[misc]
    assert len(asked) == together.parties
    assert sorted(answered) == list(range(100))


def test_calls_that_wait_bring_more_threads() -> None:
    """A store that answers slowly is asked by ever more threads, up to the limit."""
    most = now = 0
    lock = threading.Lock()

    def wait() -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1

    run_all([wait] * 60, limit=8, initial=2)
    assert 4 <= most <= 9


def test_the_limit_of_one_is_the_callers_own_thread() -> None:
    seen: list[int] = []
    client(1.0).scheduler.run([lambda: seen.append(threading.get_ident())] * 3, limit=1)
    assert seen == [threading.get_ident()] * 3


def test_the_first_error_stops_the_rest_and_is_raised() -> None:
    made: list[int] = []

    def fail() -> None:
        made.append(1)
        raise KeyError("first")

    with pytest.raises(KeyError, match="first"):
        run_all([fail] * 1000, limit=4, initial=2)
    assert len(made) < 10


def test_an_error_of_the_iterator_is_raised_whichever_thread_asked_for_the_next_call() -> None:
    asked = threading.Event()

    def calls() -> Iterator[Callable[[], None]]:
        yield lambda: asked.wait(30) and None  # for the caller's thread or the other one
        asked.set()
        raise KeyError("iterator")

    for _ in range(20):
        asked.clear()
        with pytest.raises(KeyError, match="iterator"):
            run_all(calls(), limit=2, initial=2)


def test_an_interrupt_of_the_caller_between_two_calls_stops_the_other_threads() -> None:
    """They would go on with all calls that are left, while the caller waits for their end."""
    caller = threading.get_ident()
    begun, interrupted = threading.Event(), threading.Event()
    made: list[bool] = []

    def call() -> None:
        begun.set()
        made.append(interrupted.wait(30))
        time.sleep(0.001)  # so that they are not through before the caller can tell them to stop

    class Questions:
        """Left over are as many as anybody may want: a generator would end by the first exception."""

        def __iter__(self) -> Iterator[Question]:
            return self

        def __next__(self) -> Question:
            if threading.get_ident() == caller and begun.is_set():
                interrupted.set()
                raise KeyboardInterrupt
            if len(made) >= 10_000:
                raise StopIteration
            return lambda: call if threading.get_ident() != caller else lambda: begun.wait(30) and None

    with pytest.raises(KeyboardInterrupt):
        ask_all(Questions(), limit=4, initial=4, ahead=1)
    assert len(made) < 10_000


class Interrupt:
    """One KeyboardInterrupt by SIGINT in the main thread, and the notice that it came."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.restored = signal.signal(signal.SIGINT, self._arrive)

    def _arrive(self, number: int, frame: FrameType | None) -> None:
        if not self.arrived.is_set():
            self.arrived.set()
            raise KeyboardInterrupt

    def send(self) -> None:
        """Again and again: a signal that comes just before a lock is waited for does not end the wait."""
        for _ in range(600):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            if self.arrived.wait(0.05):
                return


@pytest.fixture
def interrupt() -> Iterator[Interrupt]:
    found = Interrupt()
    yield found
    signal.signal(signal.SIGINT, found.restored)


def test_an_interrupt_of_the_waiting_caller_is_raised_when_the_calls_under_way_have_ended(
    interrupt: Interrupt,
) -> None:
    """Whoever catches it may rely on nothing being under way any more: an upload is aborted then, say."""
    caller = threading.get_ident()
    taken, waiting, left = threading.Event(), threading.Event(), threading.Event()
    ended: list[bool] = []

    def call() -> None:
        if threading.get_ident() == caller:
            taken.wait(30)
            waiting.set()  # nothing is left to do but to wait for the other one
            return
        taken.set()
        waiting.wait(30)
        interrupt.send()
        left.wait(0.3)
        ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        run_all([call, call], limit=2, initial=2)
    assert ended == [True]
    left.set()


@pytest.mark.parametrize("limit", [1, 2, 8])
@pytest.mark.parametrize("ended_by", ["interrupt", "error"])
def test_calls_side_by_side_within_a_call_end_with_the_calls_around_them(
    limit: int, ended_by: str, interrupt: Interrupt
) -> None:
    """The ranges of one file among many, say: nobody waits for gigabytes after Ctrl-C."""
    caller = threading.get_ident()
    taken, failing = threading.Event(), threading.Event()
    made: list[int] = []

    def within() -> None:
        made.append(1)
        taken.set()
        if ended_by == "interrupt":
            interrupt.send()
        assert failing.wait(30)

    def call() -> None:
        if threading.get_ident() != caller:
            run_all([within] * 1000, limit, limit)
            return
        taken.wait(30)
        if ended_by == "error":
            failing.set()
            raise KeyError("the other file")
        interrupt.arrived.wait(30)

    threading.Thread(target=lambda: interrupt.arrived.wait(30) and failing.set()).start()
    with pytest.raises(KeyError if ended_by == "error" else KeyboardInterrupt):
        run_all([call, call], limit=2, initial=2)
    interrupt.arrived.set()
    assert 1 <= len(made) < 30


def test_calls_of_a_thread_that_was_stopped_before_are_made() -> None:
    """Threads are used again: what stopped one run is over with it."""
    for _ in range(10):
        with pytest.raises(KeyError):
            run_all([lambda: {}["missing"]] * 8, limit=8, initial=8)
        made: list[int] = []
        run_all([lambda made=made: run_all([lambda: made.append(1)] * 3, 2, 2)] * 20, limit=8, initial=8)
        assert len(made) == 60


def test_a_thread_that_was_added_is_not_ended_with_the_one_that_added_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Threads end and are dropped while those that they brought still work: nobody gave those up.

    Here the caller waits for the thread that adds another before it knows of that one.
    """
    caller = threading.get_ident()
    added, caller_waits, dropped = threading.Event(), threading.Event(), threading.Event()

    class Slow(Task[None]):
        """Its maker, if that is a thread of the run, gets it when the caller waits already."""

        def __init__(self, call: Callable[[], None], part_of: Work | None = None) -> None:
            super().__init__(call, part_of)
            self._is_of_caller = threading.get_ident() == caller
            assert self._is_of_caller or caller_waits.wait(30)

        def wait(self) -> None:
            caller_waits.set()
            super().wait()

        def __del__(self) -> None:
            super().__del__()
            if self._is_of_caller:
                dropped.set()

    first: list[int] = []

    def call() -> None:
        me = threading.get_ident()
        if me == caller:
            assert added.wait(30)
        elif not first:
            first.append(me)
            time.sleep(0.05)  # waits for the network, so that another thread would help
        else:
            added.set()
            assert dropped.wait(30)
            check()

    monkeypatch.setattr(_runs, "_WINDOW", 0.0)
    monkeypatch.setattr(_runs, "Task", Slow)
    run_all([call] * 3, 3, 2)
    assert dropped.is_set()


def test_what_an_open_file_does_outlives_the_call_that_began_it() -> None:
    """A file may be opened by one of many calls in parallel, and go on in another."""
    kept: list[Task[int]] = []
    begun, go = threading.Event(), threading.Event()

    def wait() -> int:
        begun.set()
        assert go.wait(60)
        check()
        return 1

    def call() -> None:
        kept.append(Task.in_background(wait))
        assert begun.wait(60)

    run_all([call, call], 2, 2)
    go.set()
    assert [task.wait() for task in kept] == [1, 1]
