"""`readinto` of an open file: the bytes of `read`, large ones from the socket into memory of the caller."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, cut
from tests.threads import at_once

DATA = period_free(3 * MIB + 77, seed=9)
EDGE = 5  # bytes on each side of a buffer, which are nobody's
CACHES = [
    "prefetch",
    "none",
    "readahead",
    "bytes",
    "all",
    "first",
]  # "blockcache" of fsspec 2024 fails at the end


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", DATA)
    return fake


@pytest.fixture
def server(fake: FakeS3) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=fake) as server:
        yield server


def opened(server: ScriptedServer, *, distant: bool = False, **options: Any) -> GuardedS3FileSystem:
    fs = filesystem(server.url, **{"block_size": MIB // 2, "range_size": MIB, **options})
    if distant:
        fs._client.store.transport.round_trip = 1.0
    return fs


def into(file: Any, size: int) -> bytes:
    """What `readinto` brings, whose edges are untouched."""
    memory = bytearray(b"\xee" * (size + 2 * EDGE))
    with memoryview(memory)[EDGE : EDGE + size] as view:
        count = file.readinto(view)
        assert memory[:EDGE] == memory[-EDGE:] == b"\xee" * EDGE
        assert bytes(view[count:]) == b"\xee" * (size - count)
        return bytes(view[:count])


SIZES = [0, 1, 1000, 65_535, 65_536, 65_537, 300_000, MIB // 2, MIB // 2 + 1, 2 * MIB, 4 * MIB]


@pytest.mark.parametrize("distant", [False, True], ids=["near", "distant"])
@pytest.mark.parametrize("cache_type", CACHES)
def test_it_brings_what_read_brings(server: ScriptedServer, cache_type: str, distant: bool) -> None:
    """In any order, between other reads, at the end of the file and behind it."""
    rng = random.Random(cache_type)
    with opened(server, distant=distant).open("bucket/key", cache_type=cache_type) as file:
        for _ in range(60):
            if rng.random() < 0.6:
                file.seek(
                    rng.choice([0, rng.randrange(len(DATA)), len(DATA) - 100, len(DATA), len(DATA) + 9])
                )
            position = file.tell()
            size = rng.choice(SIZES)
            kind = rng.choice(["readinto", "readinto", "read", "readline"])
            found = into(file, size) if kind == "readinto" else getattr(file, kind)(size)
            wanted = DATA[position : position + size]
            if kind == "readline":
                wanted = wanted[: wanted.find(b"\n") + 1 or None]
            assert found == wanted
            assert file.tell() == position + len(wanted)


@pytest.mark.parametrize("distant", [False, True], ids=["near", "distant"])
@pytest.mark.parametrize("cache_type", ["prefetch", "none"])
def test_the_requests_are_those_of_read(
    server: ScriptedServer, cache_type: str, distant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", -1.0 if distant else float("inf"))
    plans = [
        [(0, len(DATA))],
        [(100_000, 200_000), (2 * MIB, 65_537), (MIB, MIB), (0, 100)],
        [(len(DATA) - 100_000, 200_000), (5, 70_000), (5 + 70_000, 70_000)],
    ]
    for plan in plans:
        found = []
        for by in (lambda file, size: file.read(size), into):
            first = len(server.requests)
            with opened(server).open("bucket/key", cache_type=cache_type) as file:
                for position, size in plan:
                    file.seek(position)
                    assert by(file, size) == DATA[position : position + size]
            found.append(sorted(one.headers.get("range", one.method) for one in server.requests[first:]))
        assert found[0] == found[1]


NO_COPY = """
import json, sys, tracemalloc
from fsspec_guarded_s3._s3 import scheduler
from tests.opening import MIB, filesystem
url, cache_type, distant, position, size = json.loads(sys.argv[1])
fs = filesystem(url, block_size=MIB // 2)
scheduler.DISTANT = -1.0 if distant else float("inf")
fs.open("bucket/key", cache_type="none").readinto(bytearray(MIB))  # what is imported late
buffer = bytearray(size)
file = fs.open("bucket/key", cache_type=cache_type)
file.seek(position)
tracemalloc.start()
count = file.readinto(buffer)
print(json.dumps([count, tracemalloc.get_traced_memory()[1]]))
"""


@pytest.mark.parametrize(
    ("cache_type", "distant", "position", "size"),
    [
        ("prefetch", False, 0, 4 * MIB),
        ("prefetch", True, 0, 4 * MIB),
        ("prefetch", False, 99, 2 * MIB),
        ("prefetch", True, MIB, 400_000),
        ("none", True, 0, 3 * MIB),
        ("none", False, MIB, MIB),
    ],
)
def test_no_byte_is_held_anywhere_else(
    server: ScriptedServer, cache_type: str, distant: bool, position: int, size: int
) -> None:
    arguments = json.dumps([server.url, cache_type, distant, position, size])
    out = subprocess.run(
        [sys.executable, "-c", NO_COPY, arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    count, peak = json.loads(out)
    assert count == len(DATA[position : position + size])
    assert peak < 100_000 + count // 50


@pytest.mark.parametrize("skipped", [0, 64, 4096])
def test_who_passes_over_a_little_is_read_ahead_for(
    server: ScriptedServer, skipped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `torch.load` does between two tensors: the header of the next, and padding."""
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", -1.0)
    with opened(server).open("bucket/key") as file:
        file.seek(MIB // 2)
        for _ in range(10):
            begin = file.tell()
            assert into(file, 30) == DATA[begin : begin + 30]
            file.seek(skipped, 1)
            begin = file.tell()
            assert into(file, 200_000) == DATA[begin : begin + 200_000]
    starts = [int(one.headers["range"].removeprefix("bytes=").partition("-")[0]) for one in server.requests]
    assert len(starts) < 14  # two for each, were they at random


def test_who_passes_over_more_reads_at_random(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", -1.0)
    with opened(server).open("bucket/key") as file:
        file.seek(MIB // 2)
        for _ in range(5):
            begin = file.tell()
            assert into(file, 200_000) == DATA[begin : begin + 200_000]
            file.seek(MIB // 4 + 1, 1)  # a round trip is worth 1 MiB here, and a jump a quarter of it
    assert len(server.requests) == 6


def test_who_jumps_forward_by_less_is_read_ahead_for(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a loader does that takes every other record."""
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", -1.0)
    with opened(server).open("bucket/key") as file:
        file.seek(MIB // 4)
        for _ in range(20):
            begin = file.tell()
            assert into(file, 70_000) == DATA[begin : begin + 70_000]
            file.seek(70_000, 1)
    assert len(server.requests) <= 13  # 21, were they at random


# --- the buffer ---


def test_arrays_and_buffers_are_filled(server: ScriptedServer) -> None:
    numpy, pyarrow = pytest.importorskip("numpy"), pytest.importorskip("pyarrow")
    with opened(server).open("bucket/key") as file:
        for buffer in (
            numpy.zeros((100, 250), ">f4"),
            numpy.zeros(100_000, [("O", "u2"), ("b", "f8")]),
            pyarrow.allocate_buffer(200_000),
            memoryview(bytearray(200_000)).cast("I"),
        ):
            size = memoryview(buffer).nbytes
            file.seek(1000)
            assert file.readinto(buffer) == size
            assert memoryview(buffer).tobytes() == DATA[1000 : 1000 + size]
        assert file.readinto(numpy.zeros((0, 3))) == 0
        assert file.readinto1(numpy.zeros(8, "u1")) == 8


def test_a_tensor_is_filled(server: ScriptedServer) -> None:
    torch = pytest.importorskip("torch", reason="torch is large: the tests run without it too")
    tensor = torch.zeros(100, 1000, dtype=torch.bfloat16)
    with opened(server).open("bucket/key") as file:
        file.seek(7)
        assert file.readinto(tensor) == 200_000
        assert bytes(tensor.view(torch.uint8).reshape(-1).numpy()) == DATA[7:200_007]
        with pytest.raises(ValueError, match="on the device meta"):
            file.readinto(torch.zeros(100, device="meta"))


@pytest.mark.parametrize("size", [10, 200_000])
@pytest.mark.parametrize("verb", ["readinto", "readinto1"])
def test_a_bad_buffer_is_refused(server: ScriptedServer, verb: str, size: int) -> None:
    numpy = pytest.importorskip("numpy")
    bad: list[tuple[Any, type[Exception], str]] = [
        (bytes(size), TypeError, r"b is read-only \(bytes\)"),
        (memoryview(bytes(size)), TypeError, "b is read-only"),
        (size, TypeError, "b must be a bytearray.*not int"),
        ("text" * size, TypeError, "b must be a bytearray.*not str"),
        (numpy.zeros((size, 2), "u1")[:, 0], ValueError, "b is not contiguous"),
        (memoryview(bytearray(2 * size))[::2], ValueError, "b is not contiguous"),
        (numpy.zeros(size, object), TypeError, "b holds objects of Python"),
        (memoryview(numpy.zeros(size, object)), TypeError, "b holds objects of Python"),
    ]
    with opened(server).open("bucket/key") as file:
        asked = len(server.requests)
        for buffer, kind, words in bad:
            with pytest.raises(kind, match=words):
                getattr(file, verb)(buffer)
        assert file.tell() == 0
        assert len(server.requests) == asked


@pytest.mark.parametrize("cache_type", ["prefetch", "none"])
def test_a_bytearray_can_be_resized_while_the_error_lives(fake: FakeS3, cache_type: str) -> None:
    def handler(request: Request) -> Answer:
        answer = fake(request)
        assert isinstance(answer, Reply)
        is_large = len(answer.body) > 100_000
        return cut(206, answer.body, after=50_000, headers=answer.headers) if is_large else answer

    with ScriptedServer(handler=handler) as server:
        file = opened(server, max_attempts=1).open("bucket/key", cache_type=cache_type)
        buffer = bytearray(len(DATA))
        with pytest.raises(OSError) as caught:
            file.readinto(buffer)
        buffer.append(0)  # BufferError: existing exports of data
        assert str(caught.value)
        assert file.tell() == 0
        small = bytearray(10)
        file.readinto(small)
        small.append(0)


# --- one version, faults, interrupts ---


@pytest.mark.parametrize("cache_type", ["prefetch", "none"])
def test_a_body_that_breaks_goes_on_where_it_broke(fake: FakeS3, cache_type: str) -> None:
    broken: set[str] = set()

    def handler(request: Request) -> Answer:
        answer = fake(request)
        asked = request.headers.get("range", "")
        if not isinstance(answer, Reply) or len(answer.body) < 100_000 or len(broken) > 3:
            return answer
        broken.add(asked)
        return cut(206, answer.body, after=len(answer.body) // 3, headers=answer.headers)

    with (
        ScriptedServer(handler=handler) as server,
        opened(server).open("bucket/key", cache_type=cache_type) as file,
    ):
        file.seek(100)
        assert into(file, 2 * MIB) == DATA[100 : 100 + 2 * MIB]
    assert broken


@pytest.mark.parametrize("cache_type", ["prefetch", "none"])
def test_an_object_that_was_replaced_is_an_error(
    fake: FakeS3, server: ScriptedServer, cache_type: str
) -> None:
    with opened(server).open("bucket/key", cache_type=cache_type) as file:
        fake.put("bucket", "key", DATA[::-1])
        with pytest.raises(ObjectChangedError):
            file.readinto(bytearray(2 * MIB))
        assert file.tell() == 0


def test_a_file_that_was_listed_is_checked_by_its_first_read(fake: FakeS3, server: ScriptedServer) -> None:
    """Where the object is another one by then, it is the new one, of which more or less is there."""
    for other in (DATA[::-1] + DATA, DATA[: MIB + 5]):
        fake.put("bucket", "key", DATA)
        fs = opened(server)
        fs.ls("bucket", detail=True)
        file = fs.open("bucket/key")
        fake.put("bucket", "key", other)
        file.seek(MIB)
        asked = len(server.requests)
        assert into(file, 2 * MIB) == other[MIB : 3 * MIB]
        assert len(server.requests) > asked
        assert file.size == len(other)


def test_a_file_that_was_listed_and_is_unchanged_is_read(server: ScriptedServer) -> None:
    fs = opened(server)
    fs.ls("bucket", detail=True)
    file = fs.open("bucket/key")
    file.seek(MIB)
    assert into(file, 2 * MIB) == DATA[MIB : 3 * MIB]


INTERRUPTED = """
import json, signal, sys, threading, time
from tests.opening import MIB, filesystem
url, cache_type = json.loads(sys.argv[1])
fs = filesystem(url, range_size=MIB // 2, block_size=MIB // 2)
fs._client.store.transport.round_trip = 1.0
file = fs.open("bucket/key", cache_type=cache_type)
buffer = bytearray(4 * MIB)
def handle(number, frame):
    while frame is not None:
        if frame.f_code.co_name == "readinto" and frame.f_globals["__name__"].endswith("_read.reader"):
            raise KeyboardInterrupt
        frame = frame.f_back
def interrupt():
    sys.stdin.readline()
    for _ in range(3):
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.05)
signal.signal(signal.SIGINT, handle)
interrupts = threading.Thread(target=interrupt)
interrupts.start()
try:
    file.readinto(buffer)
except KeyboardInterrupt:
    buffer[:] = b"x" * len(buffer)
    buffer.append(0)
    print("interrupted", flush=True)
interrupts.join()
sys.stdin.readline()
time.sleep(0.7)
print(buffer.count(b"x"), flush=True)
file.seek(0)
print(file.readinto(buffer), flush=True)
"""


@pytest.mark.parametrize("cache_type", ["prefetch", "none"])
def test_nothing_is_written_after_ctrl_c_and_the_file_can_be_read_on(fake: FakeS3, cache_type: str) -> None:
    half, event = threading.Semaphore(0), threading.Event()

    class Held(Reply):
        def send_body(self, link: Any, payload: bytes) -> bool:
            link.send(payload[: len(payload) // 2])
            if len(payload) > 100_000:
                half.release()
                event.wait(30)
            link.send(payload[len(payload) // 2 :])
            return True

    def handler(request: Request) -> Answer:
        answer = fake(request)
        assert isinstance(answer, Reply)
        return Held(answer.status, answer.body, answer.headers)

    with ScriptedServer(handler=handler) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, json.dumps([server.url, cache_type])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in range(2):
                assert half.acquire(timeout=60)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "interrupted\n"
            event.set()
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{4 * MIB}\n"
            assert process.stdout.readline() == f"{len(DATA)}\n"


# --- threads, processes ---


def test_threads_read_one_file_each(server: ScriptedServer) -> None:
    fs = opened(server)

    def read(number: int) -> None:
        with fs.open("bucket/key") as file:
            for turn in range(5):
                start = (number * 300_007 + turn * 500_009) % len(DATA)
                file.seek(start)
                assert into(file, 600_000) == DATA[start : start + 600_000]

    at_once(read, 5)


def _in_child(file: Any) -> None:
    file.seek(MIB)
    assert into(file, MIB) == DATA[MIB : 2 * MIB]
    assert into(file, 3 * MIB) == DATA[2 * MIB :]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_process_reads_an_open_file(server: ScriptedServer, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    context = multiprocessing.get_context(method)
    file = opened(server).open("bucket/key")
    assert into(file, MIB) == DATA[:MIB]
    time.sleep(0.01)  # something is read ahead, maybe
    child = context.Process(target=_in_child, args=(file,))  # type: ignore[attr-defined]
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert into(file, MIB) == DATA[MIB : 2 * MIB]
