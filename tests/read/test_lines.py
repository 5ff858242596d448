"""Lines and small reads of an open file: what a local file gives, and few requests for it."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import pickle
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fsspec.caching import caches
from hypothesis import given, settings
from hypothesis import strategies as st

from fsspec_guarded_s3._read.read_ahead import MIN_REQUEST
from fsspec_guarded_s3._s3.scheduler import Scheduler
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import ScriptedServer

TEXT = "".join(f"{number},{number * 7919 % 10007},line {number}\n" for number in range(150_000)).encode()
MIXED = b"\n\n" + period_free(30_000, seed=3) + b"\n" * 50 + b"x" * 200_000 + b"\nend without a line feed"
PICKLED = {number: str(number) for number in range(60_000)}


@pytest.fixture(autouse=True)
def store_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine answers come late, and a store seems to be so far away that more is read at once."""
    monkeypatch.setattr(Scheduler, "is_distant", lambda self: False)
    monkeypatch.setattr(Scheduler, "worth_of_round_trip", lambda self: 2**20)


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    fake = FakeS3("bucket")
    fake.put("bucket", "text", TEXT)
    fake.put("bucket", "mixed", MIXED)
    fake.put("bucket", "empty", b"")
    fake.put("bucket", "text.gz", gzip.compress(TEXT, 1))
    fake.put("bucket", "pickle", pickle.dumps(PICKLED))
    with ScriptedServer(handler=fake) as server:
        yield server


# --- the bytes ---

counts = st.one_of(st.none(), st.integers(-1, 300), st.integers(300, 150_000))
steps = st.one_of(
    st.tuples(st.sampled_from(["read", "read1", "readline", "readlines"]), counts),
    st.tuples(st.sampled_from(["readinto", "seek", "peek"]), st.integers(0, len(MIXED) + 10)),
    st.tuples(st.sampled_from(["next", "tell", "readuntil"]), st.none()),
    st.tuples(st.just("move"), st.integers(-500, 500)),
    st.tuples(st.just("end"), st.integers(-70_000, 10)),
)


def step(file: Any, name: str, count: int | None) -> Any:
    """What a step of a program tells; the same for every file."""
    if name == "next":
        return next(file, b"no more")
    if name == "seek":
        return file.seek(count)
    if name == "move":
        return file.seek(max(0, file.tell() + count))
    if name == "end":
        return file.seek(count, io.SEEK_END)
    if name == "readinto":
        buffer = bytearray(count)
        return file.readinto(buffer), bytes(buffer)
    if name == "readuntil":  # fsspec's
        return file.readuntil(b"\n") if hasattr(file, "readuntil") else file.readline()
    return getattr(file, name)() if count is None else getattr(file, name)(count)


def compare(file: Any, program: list[tuple[str, int | None]], kind: str) -> None:
    local = io.BufferedReader(io.BytesIO(MIXED))  # type: ignore[arg-type]
    for name, count in program:
        if name == "peek":
            seen = file.peek(count)
            assert local.read(len(seen)) == seen
            assert bool(seen) == (local.tell() > file.tell() or file.tell() < len(MIXED))
            local.seek(file.tell())
        elif name == "read1":
            piece = file.read1() if count is None else file.read1(count)
            assert local.read(len(piece)) == piece
            assert piece or count == 0 or file.tell() >= len(MIXED), "nothing is the end"
            assert count is None or count < 0 or len(piece) <= count
        else:
            assert step(file, name, count) == step(local, name, count), (kind, name, count)
        assert file.tell() == local.tell(), name


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=25), st.sampled_from([1000, 50_000, 5 * MIB]))
def test_any_program_gets_what_a_local_file_gives(
    server: ScriptedServer, program: list[tuple[str, int | None]], block: int
) -> None:
    with filesystem(server.url).open("bucket/mixed", block_size=block) as file:
        compare(file, program, "prefetch")


PROGRAM: list[tuple[str, int | None]] = [
    *[("next", None), ("readline", 5), ("read", 10), ("readline", None), ("read1", 10), ("tell", None)] * 3,
    *[("peek", 10), ("seek", 29_990), ("next", None), ("readlines", 100), ("move", -7), ("read", 5)],
    *[("readinto", 40_000), ("readline", 70_000), ("readuntil", None), ("end", -20), ("next", None)],
    *[("readline", None), ("next", None), ("read1", None), ("seek", 3), ("readlines", None), ("read", None)],
    *[("seek", len(MIXED) + 5), ("readline", None), ("next", None), ("read1", 5), ("peek", 5), ("read", 3)],
]


@pytest.mark.parametrize("kind", sorted(name for name in caches if name not in (None, "parts")))
def test_every_cache_gives_it(server: ScriptedServer, kind: str) -> None:
    with filesystem(server.url).open("bucket/mixed", cache_type=kind, block_size=20_000) as file:
        compare(file, PROGRAM, kind)


def test_an_empty_file_has_no_lines(server: ScriptedServer) -> None:
    with filesystem(server.url).open("bucket/empty") as file:
        assert (file.readline(), file.peek(), file.read1(), file.readlines(), list(file)) == (
            b"",
            b"",
            b"",
            [],
            [],
        )


@pytest.mark.parametrize("name", ["read", "read1", "readline", "readlines", "peek", "__next__"])
def test_a_closed_file_gives_nothing(server: ScriptedServer, name: str) -> None:
    file = filesystem(server.url).open("bucket/text")
    file.readline()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        getattr(file, name)()


def test_a_pickled_reader_goes_on_with_the_next_line(server: ScriptedServer) -> None:
    with filesystem(server.url).open("bucket/text") as file:
        lines = TEXT.splitlines(keepends=True)
        assert file.readline() == lines[0]
        with pickle.loads(pickle.dumps(file)) as other:
            assert other.readline() == file.readline() == lines[1]


def test_a_loop_over_lines_sees_what_else_is_done_with_the_file(server: ScriptedServer) -> None:
    """As one over a local file without a buffer: it goes on where the file is."""
    lines = TEXT.splitlines(keepends=True)
    with filesystem(server.url).open("bucket/text") as file:
        for number, line in enumerate(file):
            assert line == lines[number]
            assert file.tell() == sum(map(len, lines[: number + 1]))
            if number == 100:
                break
        assert next(file) == lines[101]
        assert file.readline() == lines[102]
        pairs = zip(file, file, strict=True)
        assert [next(pairs) for _ in range(3)] == [tuple(lines[at : at + 2]) for at in (103, 105, 107)]
        found = []
        for line in file:
            found.append(line)
            if len(found) == 1:
                assert file.read(5) == lines[110][:5]
            if len(found) == 3:
                file.seek(0)
            if len(found) == 5:
                file.seek(0, io.SEEK_END)
        assert found == [lines[109], lines[110][5:], lines[111], lines[0], lines[1]]
        file.seek(0)
        with pytest.raises(ValueError, match="closed"):
            for _ in file:
                file.close()


# --- the requests ---


def gets(server: ScriptedServer, read: Callable[[Any], object], path: str = "bucket/text", **how: Any) -> int:
    """The GETs that reading took."""
    fs = filesystem(server.url)
    with fs.open(path, **how) as file:
        before = len(server.requests)
        read(file)
    return sum(request.method == "GET" for request in server.requests[before:])


def reads(size: int) -> Callable[[Any], object]:
    return lambda file: sum(1 for _ in iter(lambda: file.read(size), b""))


def lines(file: Any) -> None:
    assert sum(1 for _ in file) == TEXT.count(b"\n")


WHOLE: dict[str, tuple[Callable[[Any], object], dict[str, Any]]] = {
    "lines of bytes": (lines, {}),
    "lines of text": (lines, {"mode": "rt"}),
    "csv": (lambda file: lines(csv.reader(file)), {"mode": "rt", "newline": ""}),
    "gzip text": (lines, {"mode": "rt", "path": "bucket/text.gz", "compression": "gzip"}),
    "readline": (lambda file: lines(iter(file.readline, b"")), {}),
    "readline(n)": (lambda file: all(iter(lambda: file.readline(10), b"")), {}),
    "read1": (lambda file: all(iter(lambda: file.read1(8192), b"")), {}),
    "pickle": (lambda file: pickle.load(file), {"path": "bucket/pickle"}),
    **{
        f"read({size})": (reads(size), {})
        for size in (100, 1024, 8192, 10_000, MIN_REQUEST, MIN_REQUEST + 1, 100_000)
    },
}


@pytest.mark.parametrize(("read", "how"), WHOLE.values(), ids=WHOLE)
def test_a_file_that_is_read_to_its_end_takes_few_requests(
    server: ScriptedServer, read: Callable[[Any], object], how: dict[str, Any]
) -> None:
    """Growing blocks, however little is read at a time: 64 KiB for ever were 50 requests."""
    assert gets(server, read, **how) <= 16


def test_the_first_lines_come_with_the_opening(server: ScriptedServer) -> None:
    assert gets(server, lambda file: list(itertools.islice(file, 2000))) == 0
    assert gets(server, lambda file: list(itertools.islice(file, 2000)), mode="rt") == 0


def test_lines_after_a_seek_take_one_request_there(server: ScriptedServer) -> None:
    def here_and_there(file: Any) -> None:
        for place in (3_000_000, 1_000_000, 2_000_000):
            file.seek(place)
            for _ in range(100):
                assert file.readline()

    assert gets(server, here_and_there) == 3


def asked(server: ScriptedServer, read: Callable[[Any], object], path: str) -> int:
    """The bytes that reading asked for."""
    before = len(server.requests)
    with filesystem(server.url).open(path) as file:
        read(file)
    total = 0
    for request in server.requests[before:]:
        if request.method == "GET":
            first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
            total += int(last) - int(first) + 1
    return total


def test_small_reads_here_and_there_ask_for_little_more(server: ScriptedServer) -> None:
    def here_and_there(file: Any) -> None:
        for place in range(0, 3_000_000, 300_000):
            file.seek(place)
            file.read(100)
            file.seek(50, io.SEEK_CUR)
            file.read(100)

    assert asked(server, here_and_there, "bucket/text") == 10 * MIN_REQUEST


def test_members_of_a_zip_file_ask_for_little_more() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(100):
            archive.writestr(f"{number}.bin", period_free(50_000, seed=number))
    fake = FakeS3("bucket")
    fake.put("bucket", "zip", packed.getvalue())

    def some(file: Any) -> None:
        with zipfile.ZipFile(file) as archive:
            for number in (7, 60, 31):
                assert archive.read(f"{number}.bin") == period_free(50_000, seed=number)

    with ScriptedServer(handler=fake) as server:
        assert asked(server, some, "bucket/zip") <= 5 * MIN_REQUEST


@pytest.mark.parametrize("size", [1000, 8192, MIN_REQUEST, 100_000, MIB])
def test_memory_is_bounded(size: int) -> None:
    """Six blocks at most, the one that lines come out of included; here no random read has brought any."""
    block = 200_000
    fake = FakeS3("bucket")
    fake.put("bucket", "key", period_free(4 * MIB))
    with (
        ScriptedServer(handler=fake) as server,
        filesystem(server.url).open("bucket/key", block_size=block) as file,
    ):
        while file.read(size):
            held = [held.stop - held.start for held in (*file.cache._ahead, *file.cache._kept)]
            assert sum(held) + len(file._block[0]) <= 6 * max(block, MIN_REQUEST) + size
