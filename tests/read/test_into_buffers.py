"""`cat_ranges_into`: the bytes of `cat_ranges`, in memory of the caller, which is his alone afterwards."""

from __future__ import annotations

import array
import asyncio
import ctypes
import io
import json
import mmap
import multiprocessing
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from multiprocessing import shared_memory
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError, ObjectNotFoundError
from fsspec_guarded_s3._read.into_buffers import Gate
from fsspec_guarded_s3._work import uninterruptible
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import (
    Answer,
    Link,
    Reply,
    Request,
    ScriptedServer,
    cut,
    eventually,
    respond,
    s3_error,
)
from tests.threads import at_once

SIZE = 1000
DATA = period_free(SIZE)
LARGE = period_free(3 * MIB, seed=3)
BOUNDS = [None, 0, 1, 300, 999, 1000, 1001, 5000, -1, -300, -1000, -1001]
EDGE = 7  # bytes on each side of a buffer, which are nobody's


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", DATA)
    fake.put("bucket", "empty", b"")
    fake.put("bucket", "large", LARGE)
    return fake


@pytest.fixture
def server(fake: FakeS3) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=fake) as server:
        yield server


def ranges(server: ScriptedServer, first: int = 0) -> list[str]:
    return sorted(request.headers.get("range", request.method) for request in server.requests[first:])


class Edged:
    """A buffer with edges that no read may touch."""

    def __init__(self, size: int) -> None:
        self.memory = bytearray(b"\xee" * (size + 2 * EDGE))
        self.view = memoryview(self.memory)[EDGE : EDGE + size]

    def taken(self, count: int) -> bytes:
        assert self.memory[:EDGE] == self.memory[-EDGE:] == b"\xee" * EDGE
        return bytes(self.view[:count])


# --- the bytes ---


@pytest.mark.parametrize("range_size", [300, MIB])
@pytest.mark.parametrize("key", ["key", "empty"])
def test_every_slice_is_that_of_python(server: ScriptedServer, key: str, range_size: int) -> None:
    fs = filesystem(server.url, range_size=range_size)
    body = DATA if key == "key" else b""
    for gap in (0, 50):
        for start in BOUNDS:
            for end in BOUNDS:
                starts, ends = [start, 10, None], [end, 20, end]
                buffers = [Edged(6500) for _ in range(3)]
                counts = fs.cat_ranges_into(
                    [f"bucket/{key}"] * 3, starts, ends, [one.view for one in buffers], max_gap=gap
                )
                found = [one.taken(count) for one, count in zip(buffers, counts, strict=True)]
                assert found == [body[start:end], body[10:20], body[None:end]], (start, end)


@pytest.mark.parametrize("seed", range(6))
def test_slices_of_all_sizes_that_overlap_are_scattered(server: ScriptedServer, seed: int) -> None:
    """Small ones and large ones, near and far, one in another, of a body that comes in pieces."""
    rng = random.Random(seed)
    fs = filesystem(server.url, range_size=rng.choice([200_000, MIB, 8 * MIB]))
    starts = [rng.randrange(len(LARGE)) for _ in range(60)]
    ends = [start + rng.choice([1, 100, 5000, 65_536, 70_000, 500_000]) for start in starts]
    exact = rng.random() < 0.5
    buffers = [Edged(end - start + (0 if exact else 3)) for start, end in zip(starts, ends, strict=True)]
    views = [one.view for one in buffers]
    counts = fs.cat_ranges_into(
        ["bucket/large"] * 60, starts, ends, views, max_gap=rng.choice([0, 9000, MIB])
    )
    for start, end, one, count in zip(starts, ends, buffers, counts, strict=True):
        assert count == len(LARGE[start:end])
        assert one.taken(count) == LARGE[start:end]


@pytest.mark.parametrize("gap", [0, 1000, None])
@pytest.mark.parametrize("range_size", [300, MIB])
def test_the_requests_are_those_of_cat_ranges(
    fake: FakeS3, server: ScriptedServer, gap: int | None, range_size: int
) -> None:
    starts = [500, 0, 200, 990, 250, 700, -20, 5]
    ends = [600, 100, 300, 2000, 260, 1000, None, -5]
    paths = ["bucket/key"] * 7 + ["bucket/other"]
    fake.put("bucket", "other", DATA)
    filesystem(server.url, range_size=range_size).cat_ranges(paths, starts, ends, max_gap=gap)
    wanted = ranges(server)
    buffers = [bytearray(2 * MIB) for _ in paths]
    filesystem(server.url, range_size=range_size).cat_ranges_into(paths, starts, ends, buffers, max_gap=gap)
    assert ranges(server, len(wanted)) == wanted


def test_a_slice_to_the_end_asks_for_what_fits(server: ScriptedServer) -> None:
    """One request, also where the object turns out to be longer than the buffer."""
    fs = filesystem(server.url)
    assert fs.cat_ranges_into(["bucket/key"], 0, None, [bytearray(2000)]) == [1000]
    with pytest.raises(ValueError, match=r"buffers\[0\] has 200 bytes, and its slice of the object 1000"):
        fs.cat_ranges_into(["bucket/key"], 0, None, [bytearray(200)])
    assert fs.cat_ranges_into(["bucket/empty"], 0, None, [bytearray()]) == [0]
    assert ranges(server) == ["HEAD", "bytes=0-0", "bytes=0-199", "bytes=0-1999"]


def test_one_that_does_not_fit_fails_alone(server: ScriptedServer) -> None:
    fs = filesystem(server.url)
    buffers = [bytearray(10), bytearray(10), bytearray(5), bytearray(10)]
    starts, ends = [0, 5, 0, 0], [None, 15, -990, 4]
    paths = ["bucket/key"] * 3 + ["bucket/none"]
    first, second, third, fourth = fs.cat_ranges_into(paths, starts, ends, buffers, on_error="return")
    assert isinstance(first, ValueError)
    assert second == 10
    assert isinstance(third, ValueError)
    assert isinstance(fourth, ObjectNotFoundError)
    assert buffers == [bytes(10), DATA[5:15], bytes(5), bytes(10)]


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint64", "int64"])
def test_numbers_of_numpy_do_not_overflow(server: ScriptedServer, kind: str) -> None:
    numpy = pytest.importorskip("numpy")
    fs = filesystem(server.url)
    starts, ends = numpy.array([3, 120, 60], kind), numpy.array([100, 127, 70], kind)
    wanted = [DATA[3:100], DATA[120:127], DATA[60:70]]
    buffers = [bytearray(97), bytearray(7), bytearray(10)]
    assert fs.cat_ranges_into(["bucket/key"] * 3, starts, ends, buffers) == [97, 7, 10]
    assert buffers == wanted
    assert fs.cat_ranges(["bucket/key"] * 3, starts, ends, on_error="raise") == wanted


def test_one_object_that_is_named_in_several_ways_is_read_in_one_version(
    fake: FakeS3, server: ScriptedServer
) -> None:
    """And near slices of it by one request."""
    fs = filesystem(server.url)
    paths = ["bucket/key", "gs3://bucket/key", "guarded-s3://bucket/key"]
    memory = bytearray(30)
    assert fs.cat_ranges_into(paths, [0, 20, 40], [10, 30, 50], memory) == [10, 10, 10]
    assert memory == DATA[:10] + DATA[20:30] + DATA[40:50]
    assert ranges(server) == ["bytes=0-49"]
    fs.cat_ranges(paths, [0, 300, 600], [10, 310, 610], max_gap=0)
    etag = fake.objects["bucket", "key"].etag
    assert [request.headers.get("if-match") for request in server.requests[1:]] == [None, etag, etag]


# --- the buffers ---


def test_one_buffer_takes_slices_back_to_back(server: ScriptedServer) -> None:
    """Each at the place that full slices give it, although one is shorter."""
    memory = bytearray(b"\xee" * 45)
    counts = filesystem(server.url).cat_ranges_into(
        ["bucket/key"] * 3, [0, 995, 100], [10, 1015, 110], memory
    )
    assert counts == [10, 5, 10]
    assert memory[:15] == DATA[:10] + DATA[995:]
    assert memory[30:] == DATA[100:110] + b"\xee" * 5


def test_rows_take_one_slice_each(server: ScriptedServer) -> None:
    numpy = pytest.importorskip("numpy")
    rows = numpy.zeros((3, 2, 8), "u1")
    counts = filesystem(server.url).cat_ranges_into(["bucket/key"] * 3, [0, 995, -9], [16, None, -4], rows)
    assert counts == [16, 5, 5]
    assert [bytes(row.reshape(-1)[:n]) for row, n in zip(rows, counts, strict=True)] == [
        DATA[:16],
        DATA[995:],
        DATA[-9:-4],
    ]


def _numpy(dtype: Any) -> Any:
    return pytest.importorskip("numpy").zeros(16 // pytest.importorskip("numpy").dtype(dtype).itemsize, dtype)


def _shared() -> Any:
    memory = shared_memory.SharedMemory(create=True, size=16)
    memory.unlink()
    return memory


KINDS: dict[str, Callable[[], Any]] = {
    "bytearray": lambda: bytearray(16),
    "memoryview": lambda: memoryview(bytearray(16)),
    "array": lambda: array.array("d", [0.0, 0.0]),
    "ctypes": lambda: (ctypes.c_uint32 * 4)(),
    "mmap": lambda: mmap.mmap(-1, 16),
    "BytesIO": lambda: io.BytesIO(bytes(16)).getbuffer(),
    "numpy": lambda: _numpy("u1"),
    "numpy, big-endian": lambda: _numpy(">f8"),
    "numpy, complex": lambda: _numpy("c16"),
    "numpy, structured": lambda: _numpy([("O", "i4"), ("b", "f4")]),
    "numpy, of two axes": lambda: _numpy("i2").reshape(2, 4),
    "numpy, one number": lambda: pytest.importorskip("numpy").zeros((), "c16"),
    "pyarrow": lambda: pytest.importorskip("pyarrow").allocate_buffer(16),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_writable_memory_is_filled(server: ScriptedServer, kind: str) -> None:
    buffer = KINDS[kind]()
    assert filesystem(server.url).cat_ranges_into(["bucket/key"], 3, 19, [buffer]) == [16]
    assert memoryview(buffer).tobytes() == DATA[3:19]


def test_shared_memory_is_filled_and_can_be_closed(server: ScriptedServer) -> None:
    memory = _shared()
    assert filesystem(server.url).cat_ranges_into(["bucket/key"], 3, 19, [memory.buf]) == [16]
    assert bytes(memory.buf[:16]) == DATA[3:19]
    memory.close()  # BufferError: cannot close exported pointers exist


def test_tensors_are_filled(server: ScriptedServer) -> None:
    torch = pytest.importorskip("torch", reason="torch is large: the tests run without it too")
    fs = filesystem(server.url)
    one, many = torch.zeros(8, dtype=torch.bfloat16), torch.zeros(2, 4, dtype=torch.float32)
    assert fs.cat_ranges_into(["bucket/key"], 0, 16, [one]) == [16]
    assert bytes(one.view(torch.uint8).tolist()) == DATA[:16]
    assert fs.cat_ranges_into(["bucket/key"] * 2, [0, 16], [16, 32], many) == [16, 16]
    assert bytes(many.view(torch.uint8).reshape(-1).tolist()) == DATA[:32]
    bad = {
        "on the device meta": torch.zeros(16, dtype=torch.uint8, device="meta"),
        "requires grad": torch.zeros(4, requires_grad=True),
        "not contiguous": torch.zeros(4, 4).T,
        "not dense": torch.zeros(4, 4).to_sparse(),
    }
    for words, tensor in bad.items():
        with pytest.raises(ValueError, match=words):
            fs.cat_ranges_into(["bucket/key"], 0, 16, [tensor])


class NoBuffer:
    """What a bad argument is."""


def _bad() -> dict[str, tuple[Any, type[Exception], str]]:
    numpy = pytest.importorskip("numpy")
    array, view = bytearray(20), memoryview(bytearray(20))
    locked = numpy.zeros(20, "u1")
    locked.flags.writeable = False
    return {
        "text": (["text", array], TypeError, r"buffers\[0\] must be a bytearray.*not str"),
        "all text": ("text", TypeError, "buffers must be a bytearray.*not str"),
        "nothing": (None, TypeError, "buffers must be.*not NoneType"),
        "an object": ([array, NoBuffer()], TypeError, r"buffers\[1\] must be.*not NoBuffer"),
        "bytes": ([array, bytes(10)], TypeError, r"buffers\[1\] is read-only"),
        "a locked array": (locked, TypeError, "buffers is read-only"),
        "with gaps": (
            [array, numpy.zeros((10, 2), "u1")[:, 0]],
            ValueError,
            r"buffers\[1\] is not contiguous",
        ),
        "by columns": ([array, numpy.zeros((5, 2), order="F")], ValueError, "not contiguous"),
        "objects": ([array, numpy.zeros(10, object)], TypeError, "holds objects"),
        "objects in it": ([array, numpy.zeros(10, [("a", "O")])], TypeError, "holds objects"),
        "dates": ([array, numpy.zeros(10, "M8[s]")], ValueError, r"pass array.view\('u1'\)"),
        "a closed map": ([array, _closed(mmap.mmap(-1, 16))], ValueError, "does not give its memory"),
        "released": ([array, _released(memoryview(bytearray(16)))], ValueError, "does not give its memory"),
        "one too few": ([array], ValueError, "buffers has 1 items for 2 paths"),
        "one too small": ([array, bytearray(9)], ValueError, r"buffers\[1\] has 9 bytes, and its slice 10"),
        "all too small": (bytearray(19), ValueError, "buffers has 19 bytes, and the slices have 20"),
        "a row too few": (numpy.zeros((1, 20), "u1"), ValueError, "buffers has 1 rows for 2 paths"),
        "rows too short": (numpy.zeros((2, 9), "u1"), ValueError, r"buffers\[0\] has 9 bytes"),
        "one twice": ([array, array], ValueError, r"buffers\[0\] and buffers\[1\] share memory"),
        "overlapping": ([view[:11], view[10:]], ValueError, "share memory"),
    }


def _closed(memory: mmap.mmap) -> mmap.mmap:
    memory.close()
    return memory


def _released(view: memoryview) -> memoryview:
    view.release()
    return view


def test_a_bad_buffer_is_refused_before_anything_is_asked_for(server: ScriptedServer) -> None:
    fs = filesystem(server.url)
    for name, (buffers, kind, words) in _bad().items():
        with pytest.raises(kind, match=words):
            fs.cat_ranges_into(["bucket/key"] * 2, [0, 50], [10, 60], buffers, on_error="return")
        assert not server.requests, name
        if isinstance(buffers, list) and isinstance(buffers[0], bytearray):
            buffers[0].append(0)  # BufferError: existing exports of data
    for start, end in ((0, None), (3, -3)):
        with pytest.raises(ValueError, match="a slice has no end that tells its length"):
            fs.cat_ranges_into(["bucket/key"], start, end, bytearray(2000))
    with pytest.raises(ValueError, match="on_error must be one of raise, return"):
        fs.cat_ranges_into(["bucket/key"], 0, 1, [bytearray(1)], on_error="omit")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="paths must be a list"):
        fs.cat_ranges_into("bucket/key", 0, 1, [bytearray(1)])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cat_ranges_into does not take buffer; did you mean buffers"):
        fs.cat_ranges_into(["bucket/key"], 0, 1, [bytearray(1)], buffer=1)  # type: ignore[call-arg]
    assert not server.requests


def test_a_bytearray_can_be_resized_afterwards(server: ScriptedServer, fake: FakeS3) -> None:
    """Whatever came of it, and while the exception lives."""
    fs = filesystem(server.url, range_size=MIB, max_attempts=2)
    buffers = [bytearray(2 * MIB), bytearray(10)]
    args: tuple[Any, ...] = (["bucket/large"] * 2, [0, 5], [2 * MIB, 15], buffers)
    assert fs.cat_ranges_into(*args) == [2 * MIB, 10]
    buffers[0].append(0)
    fake.fault = lambda request, fake: cut(206, LARGE, after=5000, etag="e")
    with pytest.raises(OSError) as caught:
        fs.cat_ranges_into(*args)
    for buffer in buffers:
        buffer.append(0)  # BufferError: existing exports of data
    assert str(caught.value)


# --- one version, faults ---


def test_a_body_that_breaks_goes_on_where_it_broke(fake: FakeS3) -> None:
    def handler(request: Request) -> Answer:
        answer = fake(request)
        assert isinstance(answer, Reply)
        breaks = len(server.requests) in (1, 2) and request.method == "GET"
        half = len(answer.body) // 2
        return cut(206, answer.body, after=half, headers=answer.headers) if breaks else answer

    with ScriptedServer(handler=handler) as server:
        fs = filesystem(server.url, range_size=8 * MIB)
        starts, ends = [0, 500_000, 600_000, 700_000], [490_000, 500_100, 600_000 + 65_536, 700_001]
        buffers = [Edged(end - start) for start, end in zip(starts, ends, strict=True)]
        views = [one.view for one in buffers]
        counts = fs.cat_ranges_into(["bucket/large"] * 4, starts, ends, views, max_gap=MIB)
        assert len(server.requests) > 1
    for start, end, one, count in zip(starts, ends, buffers, counts, strict=True):
        assert one.taken(count) == LARGE[start:end]


def test_slices_of_a_replaced_object_are_an_error(fake: FakeS3, server: ScriptedServer) -> None:
    def replace(request: Request, fake: FakeS3) -> None:
        if len(server.requests) == 2:
            fake.fault = None
            fake.put("bucket", "large", LARGE[::-1])

    fake.fault = replace
    fs = filesystem(server.url, max_concurrency=1)
    buffers = [bytearray(9) for _ in range(3)]
    starts = [0, MIB, 2 * MIB]
    args: tuple[Any, ...] = (["bucket/large"] * 3, starts, [one + 9 for one in starts], buffers)
    found = fs.cat_ranges_into(*args, on_error="return")
    assert [type(one) for one in found] == [int, ObjectChangedError, ObjectChangedError]
    assert fs.cat_ranges_into(*args) == [9, 9, 9]
    assert buffers == [LARGE[::-1][start : start + 9] for start in starts]


def test_an_object_that_changed_since_it_was_listed_is_read_anew(
    fake: FakeS3, server: ScriptedServer
) -> None:
    fs = filesystem(server.url)
    fs.ls("bucket", detail=True)
    fake.put("bucket", "key", DATA[::-1][:500])
    buffers = [bytearray(600), bytearray(5)]
    assert fs.cat_ranges_into(["bucket/key"] * 2, [0, -5], [600, None], buffers, max_gap=0) == [500, 5]
    assert [buffers[0][:500], buffers[1]] == [DATA[::-1][:500], DATA[::-1][495:500]]


def test_a_subclass_reads_each_slice_by_its_own_cat_file(server: ScriptedServer) -> None:
    class Upper(GuardedS3FileSystem):
        def cat_file(self, path: Any, start: Any = None, end: Any = None, **others: Any) -> bytes:  # type: ignore[override]
            if path == "bucket/none":
                raise FileNotFoundError(path)
            return b"x" * 5

    fs = Upper(endpoint_url=server.url, key="k", secret="s", skip_instance_cache=True)
    buffers = [bytearray(8), bytearray(8), bytearray(4)]
    found = fs.cat_ranges_into(
        ["bucket/key", "bucket/none", "bucket/key"], 0, None, buffers, on_error="return"
    )
    assert [type(one) for one in found] == [int, FileNotFoundError, ValueError]
    assert found[0] == 5
    assert buffers[0][:5] == b"xxxxx"
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges_into(["bucket/none"], 0, None, buffers[:1])


# --- no copy ---

NO_COPY = """
import json, sys, tracemalloc
from tests.opening import MIB, filesystem
url, starts, ends, gap = json.loads(sys.argv[1])
fs = filesystem(url, range_size=4 * MIB)
buffers = [bytearray(end - start) for start, end in zip(starts, ends)]
read = lambda into: fs.cat_ranges_into(["bucket/large"] * len(starts), starts, ends, into, max_gap=gap)
read(buffers)  # what is imported late
tracemalloc.start()
counts = read(buffers)
print(json.dumps([sum(counts), tracemalloc.get_traced_memory()[1]]))
"""
_M = MIB
MANY: dict[str, tuple[list[int], list[int], int]] = {
    "one large slice": ([0], [3 * _M], 0),
    "far apart": ([0, _M, 2 * _M], [_M // 2, _M + _M // 2, 3 * _M], 0),
    "joined": ([0, _M, 2 * _M], [_M - 9, 2 * _M - 9, 3 * _M], 100),
    "one in another": ([0, 5, _M], [3 * _M, 2 * _M, 2 * _M], 100),
    "small and joined": ([*range(0, 3 * _M, 4096)], [*range(4000, 3 * _M, 4096)], 100),
}


@pytest.mark.parametrize("case", MANY)
def test_no_byte_is_held_anywhere_else(server: ScriptedServer, case: str) -> None:
    """What a call allocates is less than a tenth of what it reads."""
    starts, ends, gap = MANY[case]
    out = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(NO_COPY), json.dumps([server.url, starts, ends, gap])],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    read, peak = json.loads(out)
    assert read == sum(end - start for start, end in zip(starts, ends, strict=True))
    allowed = 3 * MIB // 10 + 1000 * len(starts)
    assert peak < allowed


# --- the memory is the caller's when the call has ended ---


@dataclass(frozen=True)
class Held(Reply):
    """Half of the body, and the other half when `event` is set."""

    event: threading.Event | None = None

    def send_body(self, link: Link, payload: bytes) -> bool:
        link.send(payload[: len(payload) // 2])
        assert self.event is not None
        self.event.wait(30)
        link.send(payload[len(payload) // 2 :])
        return True


class HalfStore:
    """Answers slices by halves of them, and those at `fails` by an error when halves have come."""

    def __init__(self, fake: FakeS3, fails: str = "none") -> None:
        self.fake, self.fails = fake, fails
        self.event, self.half = threading.Event(), threading.Semaphore(0)

    def __call__(self, request: Request) -> Answer:
        answer = self.fake(request)
        assert isinstance(answer, Reply)
        if request.path.endswith(self.fails):
            for _ in range(3):
                assert self.half.acquire(timeout=30)
            time.sleep(0.2)
            return s3_error(403, "AccessDenied")
        self.half.release()
        return Held(answer.status, answer.body, answer.headers, event=self.event)


def _is_left_alone(buffers: list[bytearray], store: HalfStore) -> None:
    for buffer in buffers:
        buffer[:] = b"\xee" * len(buffer)
        buffer.append(0xEE)  # BufferError: existing exports of data
    store.event.set()
    time.sleep(0.7)  # more than a turn of a wait
    assert all(buffer.count(0xEE) == len(buffer) for buffer in buffers)


@pytest.mark.parametrize("range_size", [MIB // 2, 8 * MIB])
def test_nothing_is_written_after_an_error(fake: FakeS3, range_size: int) -> None:
    store = HalfStore(fake, fails="denied")
    with ScriptedServer(handler=store) as server:
        fs = filesystem(server.url, range_size=range_size, max_concurrency=8)
        fs._client.store.transport.round_trip = 1.0  # as of a distant store: threads
        buffers = [bytearray(3 * MIB), bytearray(3 * MIB), bytearray(3 * MIB), bytearray(1)]
        fake.put("bucket", "two", LARGE)
        fake.put("bucket", "three", LARGE)
        paths = ["bucket/large", "bucket/two", "bucket/three", "bucket/denied"]
        with pytest.raises(PermissionError):
            fs.cat_ranges_into(paths, 0, [3 * MIB] * 3 + [1], buffers)
        _is_left_alone(buffers, store)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("how", ["cancel", "wait_for"])
def test_nothing_is_written_after_a_task_was_cancelled(fake: FakeS3, how: str, loop: str) -> None:
    policy: Any = asyncio if loop == "asyncio" else pytest.importorskip("uvloop")
    store = HalfStore(fake)
    with ScriptedServer(handler=store) as server:
        fs = filesystem(server.url, range_size=8 * MIB)
        buffers = [bytearray(3 * MIB), bytearray(1000)]
        paths = ["bucket/large", "bucket/key"]

        async def main() -> None:
            work = fs._cat_ranges_into(paths, 0, [3 * MIB, 1000], buffers)
            if how == "wait_for":
                with pytest.raises((asyncio.TimeoutError, TimeoutError)):
                    await asyncio.wait_for(work, 0.5)
            else:
                task = asyncio.ensure_future(work)
                await asyncio.to_thread(store.half.acquire, timeout=30)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            _is_left_alone(buffers, store)

        runner = policy.new_event_loop()
        try:
            runner.run_until_complete(main())
        finally:
            runner.close()


def test_nothing_is_written_while_the_calls_thread_cannot_be_interrupted(server: ScriptedServer) -> None:
    """Nobody waits for a thread that gets credentials from a program: the gate keeps the others away."""
    event, begun, back = threading.Event(), threading.Semaphore(0), threading.Event()

    class Slow(GuardedS3FileSystem):
        def cat_file(self, path: Any, start: Any = None, end: Any = None, **others: Any) -> bytes:  # type: ignore[override]
            begun.release()
            frame = sys._getframe()
            while frame.f_back is not None:
                if frame.f_code.co_name == "cat_ranges_into":  # in the thread of the call
                    with uninterruptible():
                        back.wait(30)
                frame = frame.f_back
            event.wait(30)
            return b"x" * 1000

    fs = Slow(endpoint_url=server.url, key="k", secret="s", skip_instance_cache=True)
    fs._client.store.transport.round_trip = 1.0  # as of a distant store: threads
    buffers = [bytearray(1000) for _ in range(3)]

    async def main() -> None:
        task = asyncio.ensure_future(fs._cat_ranges_into(["bucket/key"] * 3, 0, 1000, buffers))
        for _ in range(3):
            assert await asyncio.to_thread(begun.acquire, timeout=30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        event.set()
        await asyncio.sleep(0.3)
        back.set()

    asyncio.run(main())
    eventually(lambda: not any(_is_exported(buffer) for buffer in buffers))
    assert buffers == [bytes(1000)] * 3


INTERRUPTED = """
import json, signal, sys, threading, time
from tests.opening import MIB, filesystem
fs = filesystem(json.loads(sys.argv[1]), range_size=MIB)
fs._client.store.transport.round_trip = 1.0
buffer = bytearray(3 * MIB)
def handle(number, frame):
    while frame is not None:
        if frame.f_code.co_name == "cat_ranges_into":
            raise KeyboardInterrupt
        frame = frame.f_back
def interrupt():
    sys.stdin.readline()
    for _ in range(3):
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.05)
signal.signal(signal.SIGINT, handle)
try:
    interrupts = threading.Thread(target=interrupt)
    interrupts.start()
    fs.cat_ranges_into(["bucket/large"], 0, 3 * MIB, [buffer])
except KeyboardInterrupt:
    buffer[:] = b"x" * len(buffer)
    buffer.append(0)
    print("interrupted", flush=True)
interrupts.join()
sys.stdin.readline()
time.sleep(0.7)
print(buffer.count(b"x"), flush=True)
"""


def test_nothing_is_written_after_ctrl_c(fake: FakeS3) -> None:
    """Three of them, while the first is being worked off."""
    store = HalfStore(fake)
    with ScriptedServer(handler=store) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, json.dumps(server.url)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert store.half.acquire(timeout=60)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "interrupted\n"
            store.event.set()
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{3 * MIB}\n"


def test_a_gate_waits_for_who_writes_and_lets_nobody_begin() -> None:
    """A thread that is in a look-up of the system when its call ends, writes nothing when it comes back."""
    around = Gate()
    gate, going_on, begun = around.around(Gate), threading.Event(), threading.Event()
    wrote: list[str] = []

    def write() -> None:
        with gate:
            begun.set()
            going_on.wait(30)
            wrote.append("begun before")
        with pytest.raises(CancelledError), gate:
            wrote.append("begun after")
        wrote.append("refused")

    thread = threading.Thread(target=write)
    thread.start()
    assert begun.wait(30)
    assert not around.shut()
    assert gate.is_closed
    closing = threading.Thread(target=around.close)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    going_on.set()
    closing.join(30)
    thread.join(30)
    assert wrote == ["begun before", "refused"]


# --- threads, processes ---


def test_threads_have_buffers_of_their_own(server: ScriptedServer) -> None:
    fs = filesystem(server.url, range_size=MIB)

    def read(number: int) -> None:
        memory = bytearray(20_000)
        for turn in range(10):
            starts = [(number * 7919 + turn * 104_729 + at * 300_000) % (2 * MIB) for at in range(4)]
            counts = fs.cat_ranges_into(["bucket/large"] * 4, starts, [s + 5000 for s in starts], memory)
            assert counts == [5000] * 4
            assert memory == b"".join(LARGE[start : start + 5000] for start in starts)

    at_once(read, 6)


def _in_child(fs: GuardedS3FileSystem, memory: Any) -> None:
    view = memoryview(memory)
    fs.cat_ranges_into(["bucket/large"] * 2, [0, MIB], [1000, MIB + 1000], view)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_process_fills_memory_that_is_shared(server: ScriptedServer, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    context = multiprocessing.get_context(method)
    fs = filesystem(server.url)
    fs.cat_ranges_into(["bucket/key"], 0, 5, [bytearray(5)])
    memory = context.RawArray(ctypes.c_ubyte, 2000)
    child = context.Process(target=_in_child, args=(fs, memory))  # type: ignore[attr-defined]
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert bytes(memory) == LARGE[:1000] + LARGE[MIB : MIB + 1000]


def test_coroutines_in_parallel(server: ScriptedServer) -> None:
    fs = filesystem(server.url)
    buffers = [bytearray(100) for _ in range(30)]

    async def main() -> list[list[int]]:
        return await asyncio.gather(
            *(
                fs._cat_ranges_into(["bucket/large"], at * 100, at * 100 + 100, [buffer])
                for at, buffer in enumerate(buffers)
            )
        )

    assert asyncio.run(main()) == [[100]] * 30
    assert b"".join(buffers) == LARGE[:3000]
    eventually(lambda: not any(_is_exported(buffer) for buffer in buffers))


def _is_exported(buffer: bytearray) -> bool:
    try:
        buffer.append(0)
    except BufferError:
        return True
    buffer.pop()
    return False


def test_what_else_a_read_takes(server: ScriptedServer) -> None:
    """A version, a customer's key, a limit of requests."""
    fs = filesystem(server.url)
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    assert fs.cat_ranges_into(["bucket/empty"], 0, 0, [bytearray()], batch_size=1) == [0]
    fs.cat_ranges_into(["bucket/key"], 0, 1, [bytearray(1)], **key)  # type: ignore[arg-type]
    assert "x-amz-server-side-encryption-customer-key" in server.requests[-1].headers


def test_an_answer_of_the_whole_object_is_an_error(fake: FakeS3) -> None:
    with ScriptedServer(handler=lambda request: respond(200, DATA, etag="e")) as server:
        buffer = bytearray(10)
        with pytest.raises(OSError):
            filesystem(server.url, max_attempts=1).cat_ranges_into(["bucket/key"], 5, 10, [buffer])
        assert buffer == bytes(10)
