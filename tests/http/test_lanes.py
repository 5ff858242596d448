"""Large bodies on slow and fast lines: how many are under way at a time, and that all of them arrive."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3._http.lanes import AHEAD, AT_FIRST, LARGE, LEAST, Lanes
from fsspec_guarded_s3._work import Work, working_for
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import ScriptedServer, eventually

PIECE = 16 * MIB


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bodies:
    """Bodies of 16 MiB that want to begin on `lanes`, each in a thread, and end when they are told."""

    def __init__(self, lanes: Lanes, stack: contextlib.ExitStack) -> None:
        self._lanes = lanes
        self._lock = threading.Lock()
        self._end = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self.under_way = self.ended = 0
        stack.callback(self.finish)

    def want(self, count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=self._run)
            self._threads.append(thread)
            thread.start()

    def _run(self) -> None:
        with self._lanes.enter(PIECE):
            with self._lock:
                self.under_way += 1
            self._end.acquire()
            with self._lock:
                self.under_way -= 1
                self.ended += 1

    def end(self, count: int) -> None:
        """Let `count` of them end."""
        before = self.ended
        self._end.release(count)
        eventually(lambda: self.ended == before + count)

    def finish(self) -> None:
        self._end.release(len(self._threads))
        for thread in self._threads:
            thread.join()

    def settle(self, count: int) -> None:
        """`count` are under way, and stay so for a moment."""
        eventually(lambda: self.under_way == count)
        time.sleep(0.15)
        assert self.under_way == count


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bodies(clock: Clock) -> Iterator[Bodies]:
    with contextlib.ExitStack() as stack:
        yield Bodies(Lanes(clock), stack)


def test_some_begin_while_nothing_is_known(bodies: Bodies) -> None:
    bodies.want(AT_FIRST + 5)
    bodies.settle(AT_FIRST)


def test_all_begin_on_a_fast_line(bodies: Bodies, clock: Clock) -> None:
    bodies.want(60)
    bodies.settle(AT_FIRST)
    clock.now += 0.2
    bodies.end(1)
    bodies.settle(59)


@pytest.mark.parametrize(
    ("rate", "count"),
    [(625_000, int(625_000 * AHEAD / PIECE)), (125_000, LEAST), (1_000, LEAST)],
)
def test_few_are_under_way_on_a_slow_line(bodies: Bodies, clock: Clock, rate: int, count: int) -> None:
    bodies.want(60)
    bodies.settle(AT_FIRST)
    clock.now += AT_FIRST * PIECE / rate
    bodies.end(AT_FIRST)
    bodies.settle(count)


def test_line_that_becomes_faster_is_found_out(bodies: Bodies, clock: Clock) -> None:
    bodies.want(60)
    bodies.settle(AT_FIRST)
    clock.now += AT_FIRST * PIECE / 10_000
    bodies.end(AT_FIRST)
    bodies.settle(LEAST)
    for _ in range(5):
        clock.now += 0.1
        bodies.end(LEAST)
    bodies.finish()
    assert bodies._lanes.rate is not None
    assert bodies._lanes.rate > 10**6


def test_one_body_says_little_about_a_line(clock: Clock) -> None:
    """A store may give each connection little, and many of them much."""
    lanes = Lanes(clock)
    with lanes.enter(PIECE):
        clock.now += 1000
    assert lanes.rate is None


def test_what_has_arrived_is_measured_before_its_end(clock: Clock) -> None:
    lanes = Lanes(clock)
    arrived = 0
    with contextlib.ExitStack() as stack:
        for _ in range(AT_FIRST):
            stack.enter_context(lanes.enter(PIECE, lambda: arrived))
        arrived = MIB
        clock.now += 0.1
        with lanes.enter(PIECE):  # waits for no end
            assert lanes.rate == pytest.approx(AT_FIRST * MIB / 0.1)


def test_small_bodies_do_not_wait(clock: Clock) -> None:
    lanes = Lanes(clock)
    with contextlib.ExitStack() as stack:
        for _ in range(AT_FIRST):
            stack.enter_context(lanes.enter(PIECE))
        for _ in range(100):
            stack.enter_context(lanes.enter(LARGE - 1))


def test_body_that_fails_makes_room(clock: Clock) -> None:
    lanes = Lanes(clock)
    for _ in range(3 * AT_FIRST):
        with pytest.raises(OSError, match="broke"), lanes.enter(PIECE):
            raise OSError("broke")
    assert "under way=0" in repr(lanes)


def test_waiting_ends_when_nobody_wants_the_body(clock: Clock) -> None:
    lanes, work = Lanes(clock), Work()
    with contextlib.ExitStack() as stack:
        for _ in range(AT_FIRST):
            stack.enter_context(lanes.enter(PIECE))
        threading.Timer(0.1, work.end).start()
        with working_for(work), pytest.raises(CancelledError), lanes.enter(PIECE):
            pass


def test_ranges_are_smaller_on_a_slow_line(clock: Clock) -> None:
    lanes = Lanes(clock)
    assert lanes.piece(PIECE) == PIECE
    lanes.rate = 80e6
    assert lanes.piece(PIECE) == PIECE
    lanes.rate = 125_000
    assert lanes.piece(PIECE) == 125_000 * AHEAD // AT_FIRST
    lanes.rate = 10
    assert lanes.piece(PIECE) == LARGE


# --- on a line ---


class Line:
    """A line of so many bytes a second, each way, to a server; all connections share it."""

    def __init__(self, target: int, rate: float) -> None:
        self._target = target
        self._rate = rate
        self._lock = threading.Lock()
        self._free = {True: 0.0, False: 0.0}
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self._open: list[socket.socket] = [self._listener]
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket()
                far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                far.connect(("127.0.0.1", self._target))
                self._open += [near, far]
                for pair in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                with self._lock:
                    now = time.monotonic()
                    self._free[up] = max(self._free[up], now) + len(data) / self._rate
                    wait = self._free[up] - now
                time.sleep(wait)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def line(target: int, rate: float) -> Iterator[str]:
    found = Line(target, rate)
    try:
        yield found.url
    finally:
        found.close()


@pytest.mark.parametrize("way", ["put_file", "get_file"])
def test_transfer_that_takes_longer_than_all_bounds_ends_well(way: str, tmp_path: Path) -> None:
    """52 MiB on a line of 5 MiB a second, in parts of 5 MiB that share it, and bounds of 4 seconds."""
    content = os.urandom(MIB) * 52
    local = tmp_path / "file"
    fake = FakeS3("bucket")
    bounds: dict[str, Any] = dict.fromkeys(("read_timeout", "send_timeout", "request_deadline"), 4.0)
    with ScriptedServer(handler=fake) as server, line(server.port, 5 * MIB) as url:
        fs = filesystem(
            url,
            part_size=5 * MIB,
            range_size=5 * MIB,
            multipart_threshold=5 * MIB,
            min_rate_window=0.5,
            max_attempts=2,
            **bounds,
        )
        if way == "put_file":
            local.write_bytes(content)
            fs.put_file(str(local), "bucket/key")
        else:
            fake.put("bucket", "key", content)
            fs.get_file("bucket/key", str(local))
            same = local.read_bytes() == content
            assert same
        asked = [request.method for request in server.requests]
    right = fake.objects["bucket", "key"].body == content
    assert right
    assert asked.count("PUT") in (0, 11), "each part was sent once"
