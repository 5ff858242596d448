"""Work done side by side: how many calls at a time, and what one failure does to the others."""

import threading
import time

import pytest

from fsspec_guarded_s3._client import S3Client
from fsspec_guarded_s3._options import Options
from fsspec_guarded_s3._threads import run_all


def client(round_trip: float) -> S3Client:
    """A client whose store is that many seconds away."""
    found = S3Client(Options(key="k", secret="s", endpoint_url=f"https://127.0.0.1:{9 + int(round_trip)}"))
    found._transport.round_trip = round_trip
    return found


class Busy:
    """Calls that use the processor, and how many of them were under way at the most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def __call__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        end = time.thread_time() + 0.002
        while time.thread_time() < end:
            pass
        with self._lock:
            self._now -= 1


def test_a_distant_store_gets_all_calls_at_once() -> None:
    """Each waits for all others: they end only if all of them are under way together."""
    together = threading.Barrier(16)
    client(1.0).side_by_side([lambda: together.wait(30) and None] * 16)
    assert not together.broken


def test_a_near_store_gets_two_calls_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "thread_time", time.perf_counter)  # a busy machine must not look like a wait
    busy = Busy()
    run_all([busy] * 60, limit=32, few=2)
    assert busy.most == 2


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

    run_all([wait] * 60, limit=8, few=2)
    assert 4 <= most <= 9


def test_the_limit_of_one_is_the_callers_own_thread() -> None:
    seen: list[int] = []
    client(1.0).side_by_side([lambda: seen.append(threading.get_ident())] * 3, limit=1)
    assert seen == [threading.get_ident()] * 3


def test_the_first_error_stops_the_rest_and_is_raised() -> None:
    made: list[int] = []

    def fail() -> None:
        made.append(1)
        raise KeyError("first")

    with pytest.raises(KeyError, match="first"):
        run_all([fail] * 1000, limit=4, few=2)
    assert len(made) < 10
