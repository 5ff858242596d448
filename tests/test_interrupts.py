"""What a signal's handler raises, KeyboardInterrupt above all, spoils nothing for what comes later."""

from __future__ import annotations

import contextlib
import gc
import io
import itertools
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, _runs, _threads, _work
from fsspec_guarded_s3._http.lanes import AT_FIRST, LARGE, Lanes
from fsspec_guarded_s3._write import aborting
from fsspec_guarded_s3._write.upload import State, Upload
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Request, ScriptedServer, eventually

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # in a destructor
]
ROUNDS = 600


class _Interrupt(BaseException):
    pass


def _raise(*args: object) -> None:
    raise _Interrupt


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, _raise)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def _interrupt(call: Callable[[], None], seconds: float) -> None:
    """Make the call again and again until a signal ends it; one that comes to a destructor ends nothing."""
    latest = time.monotonic() + 0.05
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while time.monotonic() < latest:
            call()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except _Interrupt:
        pass


def _is_free(lock: threading.Lock | threading.RLock | _work.Lock) -> bool:
    found: list[bool] = []

    def look() -> None:
        found.append(lock.acquire(timeout=5))
        if found[0]:
            lock.release()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]


def test_a_lock_is_not_left_locked() -> None:
    lock = _work.Lock()

    def take() -> None:
        for _ in range(100):
            with lock:
                pass

    for _ in range(ROUNDS):
        _interrupt(take, random.uniform(0.0001, 0.0005))
        assert _is_free(lock)


def test_an_event_loop_does_not_wait_for_a_lock() -> None:
    lock, taken, end = _work.Lock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            end.wait(60)

    def take() -> bool:
        with lock:
            return True

    assert _work.without_waiting(take)
    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(60)
    with pytest.raises(_work.MustWaitError):
        _work.without_waiting(take)
    end.set()
    thread.join()
    assert _work.without_waiting(take)


def test_the_pool_is_not_left_locked_and_the_thread_works_for_nobody() -> None:
    def work() -> None:
        _runs.run_all([lambda: None] * 3, 3, 3)

    for _ in range(ROUNDS // 2):
        _interrupt(work, random.uniform(0.0001, 0.002))
        assert _is_free(_threads._pool._lock)
        assert _work.current() is None
    eventually(_threads._pool.is_idle)  # no thread was lost: others would wait for it for ever


def test_a_large_body_that_was_interrupted_is_not_counted_on() -> None:
    """Neither while it waits for its turn, nor under way: a few of them would keep all others waiting."""
    lanes = Lanes()

    def transfer() -> None:
        with lanes.enter(LARGE), lanes.enter(LARGE):
            pass

    for full in (False, True):
        with contextlib.ExitStack() as stack:
            for _ in range(AT_FIRST - 1 if full else 0):
                stack.enter_context(lanes.enter(LARGE))
            for _ in range(ROUNDS // (10 if full else 1)):
                _interrupt(transfer, random.uniform(0.0001, 0.001))
                assert _is_free(lanes._lock)
            assert len(list(lanes._under_way)) == (AT_FIRST - 1 if full else 0)
            assert not list(lanes._waiting)
            lanes.rate = None


def test_a_reader_reads_on_after_an_interrupt() -> None:
    """Also within the `except`, where the traceback keeps alive whatever was under way."""
    data = period_free(3_000_000, seed=1)
    fake = FakeS3("bucket")
    fake.put("bucket", "key", data)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        for _ in range(60):
            with fs.open("bucket/key", block_size=100_000) as file:
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.02))
                    for _ in range(100):
                        file.read(30_000)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except _Interrupt:
                    at = file.tell()
                    assert file.read(50_000) == data[at : at + 50_000]


class _Alarm:
    """One alarm, soon after it was called the first time: the main thread waits for an answer then."""

    def __init__(self) -> None:
        self._calls = itertools.count()

    def __call__(self) -> None:
        if next(self._calls) == 0:
            signal.setitimer(signal.ITIMER_REAL, 0.05)


class _LimitError(Exception):
    """As task queues end a task by: no OSError, and no BaseException."""


PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}
NOT_RAISING: dict[str, Callable[[GuardedS3FileSystem], object]] = {
    "cat_ranges": lambda fs: fs.cat_ranges(["bucket/a"] * 2, [0, 50], [10, 60]),
    "cat_ranges_into": lambda fs: fs.cat_ranges_into(
        ["bucket/a"] * 2, [0, 50], [10, 60], bytearray(20), on_error="return"
    ),
    "cat, return": lambda fs: fs.cat(["bucket/a", "bucket/b"], on_error="return"),
    "cat, omit": lambda fs: fs.cat(["bucket/a", "bucket/b"], on_error="omit"),
    "getitems": lambda fs: fs.get_mapper("bucket").getitems(["a", "b"], on_error="return"),
}


@pytest.mark.parametrize("call", NOT_RAISING.values(), ids=NOT_RAISING)
def test_a_time_limit_is_no_result(call: Callable[[GuardedS3FileSystem], object]) -> None:
    """What the handler raises ends the call: it is about no object, and is not handed out in place of one."""
    fake = FakeS3("bucket")
    fake.put("bucket", "a", bytes(100))
    fake.put("bucket", "b", bytes(100))
    ended, alarm = threading.Event(), _Alarm()

    def stall(request: Request, fake: FakeS3) -> None:
        if request.method == "GET":
            alarm()
            ended.wait(60)

    def limit(*args: object) -> None:
        raise _LimitError

    fake.fault = stall
    signal.signal(signal.SIGALRM, limit)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, read_timeout=60.0)
        try:
            with pytest.raises(_LimitError):
                call(fs)
        finally:
            ended.set()


ENDED: dict[str, Callable[[GuardedS3FileSystem], object]] = {
    "cat_ranges": NOT_RAISING["cat_ranges"],
    "cat, return": NOT_RAISING["cat, return"],
    "cat_file": lambda fs: fs.cat_file("bucket/a"),
    "ls": lambda fs: fs.ls("bucket"),
    "read": lambda fs: fs.open("bucket/a").read(),
    "pipe_file": lambda fs: fs.pipe_file("bucket/c", b"data"),
    "pipe_file, parts": lambda fs: fs.pipe_file("bucket/c", bytes(PARTS["part_size"] * 2)),
    "get_file": lambda fs: fs.get_file("bucket/a", io.BytesIO()),
}


@pytest.mark.parametrize(
    "kind, tls",
    [(TimeoutError, False), (TimeoutError, True), (ConnectionResetError, True), (OSError, False)],
    ids=lambda value: value.__name__ if isinstance(value, type) else "tls" if value else "plain",
)
@pytest.mark.parametrize("call", ENDED.values(), ids=ENDED)
def test_a_handlers_error_is_not_taken_for_one_of_the_connection(
    call: Callable[[GuardedS3FileSystem], object],
    kind: type[OSError],
    tls: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The alarm that raises TimeoutError is the usual way to limit the time of a block."""
    monkeypatch.setattr(aborting, "PATIENCE", 0.1)  # for an upload whose id never comes
    fake = FakeS3("bucket")
    fake.put("bucket", "a", bytes(100))
    fake.put("bucket", "b", bytes(100))
    ended, alarm = threading.Event(), _Alarm()

    def stall(request: Request, fake: FakeS3) -> None:
        alarm()
        ended.wait(60)

    def limit(*args: object) -> None:
        raise kind("the time is over")

    fake.fault = stall
    signal.signal(signal.SIGALRM, limit)
    with ScriptedServer(handler=fake, tls=tls) as server:
        trust = {"ca_bundle": server.ca_path} if tls else {}
        fs = filesystem(server.url, read_timeout=60.0, **PARTS, **trust)
        try:
            with pytest.raises(kind, match=r"^the time is over$"):
                call(fs)
        finally:
            ended.set()


# --- uploads in parts, interrupted between two steps ------------------------------------------------


def _large(fs: GuardedS3FileSystem) -> None:
    fs.pipe_file("bucket/a", bytes(6 * MIB))


def _written(fs: GuardedS3FileSystem) -> None:
    file = fs.open("bucket/a", "wb")
    file.write(bytes(6 * MIB))
    file.close()


def _appended(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/old", "ab") as file:
        file.write(b"1")


LARGE_WRITES = {"bytes": _large, "writer": _written, "append": _appended}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["start", "_publish", "OPEN", "COMPLETING"])
@pytest.mark.parametrize("write", LARGE_WRITES.values(), ids=LARGE_WRITES)
def test_an_upload_that_is_interrupted_between_two_steps_is_aborted(
    write: Callable[[GuardedS3FileSystem], None], step: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing surrounds these places by a `try`: the upload that is dropped has to see to itself."""
    is_move = step.isupper()
    name = "_move" if is_move else step
    real = getattr(Upload, name)

    def interrupted(self: Upload, *args: object) -> object:
        is_here = not is_move or args == (State[step],)
        if is_here and when == "before":
            raise _Interrupt
        result = real(self, *args)
        if is_here:
            raise _Interrupt
        return result

    fake = FakeS3("bucket")
    fake.put("bucket", "old", bytes(6 * MIB))
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB)
        with monkeypatch.context() as patch:
            patch.setattr(Upload, name, interrupted)
            with contextlib.suppress(_Interrupt):
                write(fs)
        gc.collect()
        eventually(lambda: not fake.uploads)
    assert len(fake.objects["bucket", "old"].body) in (6 * MIB, 6 * MIB + 1)


def test_a_writer_that_an_interrupt_left_half_made_is_dropped_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*args: object) -> None:
        raise _Interrupt

    unraisable: list[object] = []
    gc.collect()  # what other tests left
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    monkeypatch.setattr("fsspec_guarded_s3._write.writer.Lock", interrupted)
    with ScriptedServer(handler=FakeS3("bucket")) as server, pytest.raises(_Interrupt):
        filesystem(server.url).open("bucket/a", "wb")
    gc.collect()
    assert not unraisable
