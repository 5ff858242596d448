"""Sequential reads: bytes are read as they come, few requests bring them, and little is asked for in vain."""

from __future__ import annotations

import csv
import gc
import io
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

import fsspec_guarded_s3._threads
from fsspec_guarded_s3 import ObjectChangedError, ServerError
from fsspec_guarded_s3._http.response import HTTPBody
from fsspec_guarded_s3._http.transport import Transport
from fsspec_guarded_s3._read import arriving
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import (
    Answer,
    Reply,
    Request,
    ScriptedServer,
    certificate,
    cut,
    eventually,
    s3_error,
    stall_body,
)
from tests.single_faults import short_pauses  # noqa: F401

KIB = 1024
LINES = "".join(f"{number},{number * 7919 % 10007},line {number}\n" for number in range(800_000)).encode()
DATA = period_free(24 * MIB, seed=8)


@pytest.fixture(autouse=True)
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is."""
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", float("inf"))


@pytest.fixture
def distant(near: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", -1.0)


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3("bucket")
    fake.put("bucket", "lines", LINES)
    fake.put("bucket", "key", DATA)
    return fake


@pytest.fixture
def server(fake: FakeS3) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=fake) as server:
        yield server


def ranges(server: ScriptedServer, since: int = 0) -> list[tuple[int, int]]:
    """The ranges that were asked for; nothing else was."""
    found = []
    for request in server.requests[since:]:
        first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
        found.append((int(first), int(last) + 1))
    return found


def most(size: int) -> int:
    """The requests that reading `size` bytes may take."""
    return size // (4 * MIB) + 4


def all_of(read: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    return lambda file: b"".join(iter(lambda: read(file), b""))


def into(file: Any, size: int, name: str = "readinto") -> bytes:
    buffer = bytearray(size)
    return bytes(buffer[: getattr(file, name)(buffer)])


FRONT_TO_BACK: dict[str, tuple[Callable[[Any], bytes], dict[str, Any]]] = {
    **{f"read({size})": (all_of(lambda file, size=size: file.read(size)), {}) for size in (8192, 65536, MIB)},
    "read(1000)": (all_of(lambda file: file.read(1000)), {}),
    "read(3 MiB + 1)": (all_of(lambda file: file.read(3 * MIB + 1)), {}),
    "read()": (lambda file: file.read(), {}),
    "a header, and the rest": (lambda file: file.read(100) + file.read(), {}),
    "read1": (all_of(lambda file: file.read1(10_000)), {}),
    "readinto": (all_of(lambda file: into(file, 10_000)), {}),
    "readinto a MiB": (all_of(lambda file: into(file, MIB)), {}),
    "readinto1": (all_of(lambda file: into(file, MIB, "readinto1")), {}),
    "lines": (lambda file: b"".join(file), {}),
    "readline": (all_of(lambda file: file.readline()), {}),
    "text": (lambda file: "".join(file).encode(), {"mode": "r"}),
    "csv": (
        lambda file: "".join(",".join(row) + "\n" for row in csv.reader(file)).encode(),
        {"mode": "r", "newline": ""},
    ),
}


@pytest.mark.parametrize("is_distant", [False, True])
@pytest.mark.parametrize(("read", "how"), FRONT_TO_BACK.values(), ids=FRONT_TO_BACK)
def test_from_front_to_back_it_takes_few_requests(
    server: ScriptedServer,
    read: Callable[[Any], bytes],
    how: dict[str, Any],
    is_distant: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", -1.0 if is_distant else float("inf"))
    with filesystem(server.url).open("bucket/lines", **how) as file:
        assert read(file) == LINES
    asked = ranges(server)
    assert len(asked) <= most(len(LINES))
    assert sum(stop - start for start, stop in asked) <= len(LINES) + 64 * KIB + MIB


def test_the_second_request_is_a_large_one_and_is_asked_for_when_the_first_bytes_were_read(
    server: ScriptedServer,
) -> None:
    with filesystem(server.url).open("bucket/key") as file:
        for _ in range(8):
            file.read(8 * KIB)
        assert len(server.requests) == 1
        assert file.read(8 * KIB) == DATA[64 * KIB : 72 * KIB]
        assert ranges(server)[1] == (64 * KIB, 64 * KIB + 4 * MIB)


@pytest.mark.usefixtures("distant")
def test_a_distant_store_is_asked_for_two_blocks_then(server: ScriptedServer) -> None:
    with filesystem(server.url).open("bucket/key") as file:
        assert b"".join(file.read(8 * KIB) for _ in range(9)) == DATA[: 72 * KIB]
        eventually(lambda: len(server.requests) == 3)
        four = 4 * MIB + 64 * KIB
        assert sorted(ranges(server)) == [(0, 64 * KIB), (64 * KIB, four), (four, four + 4 * MIB)]


@pytest.fixture
def threads_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy this machine is: else the reader makes the call itself, and waits for all of the range."""
    monkeypatch.setattr("fsspec_guarded_s3._read.arriving._GRACE", 3.0)


def held_back(after: int, free: threading.Event) -> Callable[[Request, Reply], Answer | None]:
    """Of each range but the first `after` bytes come, and the rest when `free` is set."""

    class HeldBack(Reply):
        def send_body(self, link: Any, payload: bytes) -> bool:
            link.send(payload[:after])
            while not free.is_set():
                link.wait(0.05)
            link.send(payload[after:])
            return True

    def answer(request: Request, reply: Reply) -> Answer | None:
        if request.headers.get("range", "bytes=0-").startswith("bytes=0-"):
            return None
        return HeldBack(reply.status, reply.body, reply.headers)

    return answer


READS: dict[str, Callable[[Any, int], bytes]] = {
    "read": lambda file, count: b"".join(file.read(8 * KIB) for _ in range(count // (8 * KIB))),
    "read at once": lambda file, count: file.read(count),
    "readinto": into,
    "read1": lambda file, count: b"".join(file.read1(8 * KIB) for _ in range(count // (8 * KIB))),
}


@pytest.mark.usefixtures("threads_begin")
@pytest.mark.parametrize("name", READS)
def test_bytes_are_read_as_they_come(server: ScriptedServer, fake: FakeS3, name: str) -> None:
    free = threading.Event()
    fake.after = held_back(200 * KIB, free)
    try:
        with filesystem(server.url).open("bucket/key") as file:
            assert READS[name](file, 192 * KIB) == DATA[: 192 * KIB], "while most of the range is not there"
            free.set()
            assert file.read() == DATA[192 * KIB :]
    finally:
        free.set()


@pytest.mark.usefixtures("threads_begin")
def test_who_is_given_up_in_the_middle_leaves_nothing_under_way(server: ScriptedServer, fake: FakeS3) -> None:
    for give_up in (lambda file: file.close(), lambda file: None):
        free = threading.Event()
        fake.after = held_back(100 * KIB, free)
        try:
            file = filesystem(server.url).open("bucket/key")
            assert file.read(100 * KIB) == DATA[: 100 * KIB]
            began = time.monotonic()
            give_up(file)
            del file
            assert time.monotonic() - began < 5
            eventually(fsspec_guarded_s3._threads._pool.is_idle)
        finally:
            free.set()


def test_who_stops_reading_has_asked_for_a_bounded_number_of_bytes(server: ScriptedServer) -> None:
    """At most eight times as many as it has read, or 4 MiB."""
    with filesystem(server.url).open("bucket/key") as file:
        for read in (100 * KIB, 400 * KIB, MIB, 2 * MIB):
            file.read(read - file.tell())
            eventually(fsspec_guarded_s3._threads._pool.is_idle)
            assert ranges(server)[-1][1] <= 64 * KIB + read + max(4 * MIB, 8 * read) + 5 * MIB * (read > MIB)


@pytest.mark.parametrize("size", [8 * KIB, 100 * KIB, MIB])
@pytest.mark.parametrize("after", [0, 1, 100 * KIB, 3 * MIB])
def test_a_body_that_breaks_is_resumed_behind_the_last_byte(
    server: ScriptedServer, fake: FakeS3, size: int, after: int
) -> None:
    broken: list[str] = []

    def answer(request: Request, reply: Reply) -> Answer | None:
        wanted = request.headers.get("range", "")
        if len(broken) > 3 or len(reply.body) <= max(after, 64 * KIB):
            return None
        broken.append(wanted)
        return cut(reply.status, reply.body, after=after, headers=reply.headers)

    fake.after = answer
    with filesystem(server.url, max_attempts=6).open("bucket/key") as file:
        assert all_of(lambda file: file.read(size))(file) == DATA
    assert broken
    asked = ranges(server)
    assert sum(stop - start for start, stop in asked) > len(DATA)
    assert all("if-match" in request.headers for request in server.requests[1:])


def test_an_error_is_raised_where_its_bytes_are_and_a_later_read_asks_again(
    server: ScriptedServer, fake: FakeS3
) -> None:
    """What came before it was read, and is right."""
    with filesystem(server.url, max_attempts=1).open("bucket/key") as file:
        found = file.read(64 * KIB)
        fake.fault = lambda request, fake: s3_error(500, "InternalError")
        for _ in range(2):
            with pytest.raises(ServerError):
                file.read(8 * KIB)
        fake.fault = None
        assert found + file.read() == DATA


def test_an_object_that_is_replaced_is_changed_behind_what_was_asked_for(
    server: ScriptedServer, fake: FakeS3
) -> None:
    with filesystem(server.url).open("bucket/key") as file:
        found = file.read(100 * KIB)
        eventually(fsspec_guarded_s3._threads._pool.is_idle)
        fake.put("bucket", "key", bytes(len(DATA)))
        with pytest.raises(ObjectChangedError):
            while piece := file.read(8 * KIB):
                found += piece
        assert found == DATA[: len(found)]
        assert len(found) > 4 * MIB


def test_where_there_are_no_more_threads_it_is_read_all_the_same(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fsspec_guarded_s3._threads._pool, "start", lambda job: None)
    with filesystem(server.url).open("bucket/key") as file:
        assert all_of(lambda file: file.read(MIB))(file) == DATA


@pytest.mark.usefixtures("threads_begin")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_after_a_fork_parent_and_child_go_on_in_the_middle_of_a_range(
    server: ScriptedServer, fake: FakeS3
) -> None:
    free = threading.Event()
    fake.after = held_back(200 * KIB, free)
    with filesystem(server.url).open("bucket/key") as file:
        assert file.read(160 * KIB) == DATA[: 160 * KIB]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # this process has threads
            pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = 0 if file.read(3 * MIB) + file.read() == DATA[160 * KIB :] else 2
            finally:
                os._exit(status)
        free.set()
        assert file.read(3 * MIB) + file.read() == DATA[160 * KIB :]
        assert os.waitpid(pid, 0)[1] == 0


def test_threads_that_share_a_file_get_its_bytes(server: ScriptedServer) -> None:
    lock, wrong = threading.Lock(), []
    with filesystem(server.url).open("bucket/key") as file:

        def read(number: int) -> None:
            for place in range(number * 100_000, len(DATA), 1_700_001):
                with lock:
                    file.seek(place)
                    if file.read(100_000) != DATA[place : place + 100_000]:
                        wrong.append(place)

        threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


# --- what was received is handed out, and not copied ---


def taken(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """The pieces that come from the store from here on: how long each is, by its identity. They are kept."""
    kept: list[bytes] = []
    found: dict[int, int] = {}
    take = HTTPBody.take

    def noted(self: HTTPBody, count: int) -> bytes:
        data = take(self, count)
        kept.append(data)
        found[id(data)] = len(data)
        return data

    monkeypatch.setattr(HTTPBody, "take", noted)
    return found


@pytest.mark.parametrize("is_distant", [False, True])
@pytest.mark.parametrize("size", [64 * KIB + 1, 100_000, 256 * KIB, MIB, MIB + 7, 3 * MIB])
def test_reads_that_are_as_long_as_each_other_are_not_copied(
    server: ScriptedServer, size: int, is_distant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", -1.0 if is_distant else float("inf"))
    pieces = taken(monkeypatch)
    with filesystem(server.url).open("bucket/key") as file:
        reads = list(iter(lambda: file.read(size), b""))
    assert b"".join(reads) == DATA
    same = sum(id(data) in pieces for data in reads)
    # The first read has bytes of the opening in it; a segment may come late, and be a piece of its own.
    assert same >= 0.7 * (len(reads) - 1), f"{same} of {len(reads)}"


LENGTHS: dict[str, Callable[[int], int]] = {
    "two by turns": lambda number: (70_000, 3 * MIB)[number % 2],
    "longer and longer": lambda number: 65_000 + 9_999 * number,
    "equal, then others": lambda number: MIB if number < 7 else 123_456 + number % 3,
    "equal, and small ones between": lambda number: 300_000 if number % 3 else 11,
    "more than a piece can be": lambda number: 4 * MIB + 1,
}


@pytest.mark.parametrize("is_distant", [False, True])
@pytest.mark.parametrize("name", LENGTHS)
def test_reads_of_other_lengths_have_the_right_bytes(
    server: ScriptedServer, name: str, is_distant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", -1.0 if is_distant else float("inf"))
    found, number = bytearray(), 0
    with filesystem(server.url).open("bucket/key") as file:
        while piece := file.read(LENGTHS[name](number)):
            found += piece
            number += 1
    assert found == DATA
    asked = ranges(server)
    assert sum(stop - start for start, stop in asked) <= len(DATA) + 64 * KIB
    assert len(asked) <= most(len(DATA)) + 4


@pytest.mark.usefixtures("threads_begin")
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
def test_who_reads_less_than_before_does_not_wait_for_as_much(fake: FakeS3, tls: bool, chunked: bool) -> None:
    free = threading.Event()
    held = held_back(1200 * KIB, free)

    def after(request: Request, reply: Reply) -> Answer | None:
        found = held(request, reply)
        return replace(found, chunked=True) if chunked and isinstance(found, Reply) else found

    fake.after = after
    with (
        certificate("127.0.0.1") as (context, ca_bundle),
        ScriptedServer(handler=fake, tls=context if tls else False) as server,
        filesystem(server.url, read_timeout=5, **({"ca_bundle": ca_bundle} if tls else {})) as fs,
    ):
        try:
            with fs.open("bucket/key") as file:
                for start in range(0, MIB, 512 * KIB):
                    assert file.read(512 * KIB) == DATA[start : start + 512 * KIB]
                assert file.read(100 * KIB) == DATA[MIB : MIB + 100 * KIB], "while no more is there"
                made = sorted(ranges(server))
                overlap = [one for one, following in pairwise(made) if one[1] > following[0]]
                assert not overlap, "nor was the rest asked for again, after `read_timeout`"
                free.set()
                assert file.read() == DATA[MIB + 100 * KIB :]
        finally:
            free.set()


# --- random readers ---


@pytest.mark.parametrize("place", [0, 100 * KIB, 999 * KIB])
def test_a_small_object_is_read_whole_by_the_first_random_read(
    server: ScriptedServer, fake: FakeS3, place: int
) -> None:
    fake.put("bucket", "small", DATA[:MIB])
    with filesystem(server.url).open("bucket/small") as file:
        file.seek(place)
        assert file.read(10) == DATA[place : place + 10]
        for there in (MIB - 10, 70 * KIB, 3, 500 * KIB):
            file.seek(there)
            assert file.read(10) == DATA[there : there + 10]
        file.seek(0)
        assert file.read() == DATA[:MIB]
    assert ranges(server) == [(0, 64 * KIB), (64 * KIB, MIB)]


@pytest.mark.parametrize(
    ("round_trip", "size", "randoms"),
    [
        (0.001, 3 * MIB + 100, 2),  # the least of a round trip is 1 MiB
        (0.025, 4 * MIB - 200_000, 0),  # is 2 MB
        (0.025, 4 * MIB + 100, 1),
        (0.020, 5 * MIB, 2),
        (0.100, 5 * MIB, 0),  # the most is 4 MiB
    ],
)
def test_a_larger_object_of_a_distant_store_is_read_whole_by_a_later_one(
    monkeypatch: pytest.MonkeyPatch,
    server: ScriptedServer,
    fake: FakeS3,
    round_trip: float,
    size: int,
    randoms: int,
) -> None:
    """As soon as that takes no longer than its opening and the random reads so far."""
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", -1.0)
    fake.put("bucket", "some", DATA[:size])
    fs = filesystem(server.url)
    monkeypatch.setattr(Transport, "learn_round_trip", lambda self, waited, passed: None)
    with fs.open("bucket/some") as file:
        fs._client.store.transport.round_trip = round_trip
        for place in (MIB, 20, size - 10, 100 * KIB, MIB // 2, size - 100 * KIB, MIB, 3):
            file.seek(place)
            assert file.read(10) == DATA[place : min(place + 10, size)]
    pieces = [(MIB, MIB + 64 * KIB), (size - 64 * KIB, size)][:randoms]
    end = size - 64 * KIB if randoms > 1 else size  # what is there already is not asked for again
    assert ranges(server) == [(0, 64 * KIB), *pieces, (64 * KIB, end)]


def test_a_footer_is_read_backwards_and_a_header_is_kept(server: ScriptedServer) -> None:
    size = len(DATA)
    with filesystem(server.url).open("bucket/key") as file:
        for back in (8, 20_000, 64 * KIB):
            file.seek(-back, io.SEEK_END)
            assert file.read(8) == DATA[size - back : size - back + 8]
        for place in (12 * MIB, 0, 12 * MIB + 50_000, size - 8, 12 * MIB):
            file.seek(place)
            assert file.read(8) == DATA[place : place + 8]
    assert ranges(server) == [(0, 64 * KIB), (size - 64 * KIB, size), (12 * MIB, 12 * MIB + 64 * KIB)]


def test_records_here_and_there_are_not_read_ahead_for(server: ScriptedServer) -> None:
    """However they are read: a long one is taken for the begin of more only when all of 64 KiB was read."""
    with filesystem(server.url).open("bucket/key") as file:
        for place in range(MIB, 23 * MIB, 2 * MIB):
            file.seek(place)
            file.read(30)
            assert file.read(40 * KIB) + file.read(10 * KIB) == DATA[place + 30 : place + 30 + 50 * KIB]
    asked = ranges(server)[1:]
    assert len(asked) == 11
    assert sum(stop - start for start, stop in asked) == 11 * 64 * KIB


def test_who_goes_on_from_elsewhere_is_read_ahead_for_carefully(server: ScriptedServer) -> None:
    with filesystem(server.url).open("bucket/key") as file:
        file.seek(4 * MIB)
        assert all_of(lambda file: file.read(8 * KIB))(file) == DATA[4 * MIB :]
    asked = ranges(server)[1:]
    assert asked[:2] == [(4 * MIB, 4 * MIB + 64 * KIB), (4 * MIB + 64 * KIB, 4 * MIB + 320 * KIB)]
    assert len(asked) <= most(20 * MIB) + 4
    assert sum(stop - start for start, stop in asked) == 20 * MIB


def test_a_small_parquet_file_takes_two_requests(server: ScriptedServer, fake: FakeS3) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    for rows, requests in ((500, 1), (8000, 2)):
        frame = pandas.DataFrame({f"c{n}": range(n, rows + n) for n in range(5)})
        whole = io.BytesIO()
        frame.to_parquet(whole)
        fake.put("bucket", "frame", whole.getvalue())
        before = len(server.requests)
        with filesystem(server.url).open("bucket/frame") as file:
            assert pandas.read_parquet(file).equals(frame)
        assert len(server.requests) - before == requests


def test_memory_of_a_reader_is_bounded_whatever_it_does(server: ScriptedServer) -> None:
    """Six blocks, and what random reads brought: 1 MiB, and the first bytes."""
    block = MIB
    with filesystem(server.url).open("bucket/key", block_size=block) as file:
        for place in (0, 5 * MIB, 20 * MIB, 100, 9 * MIB, 9 * MIB + 100, *range(0, 23 * MIB, MIB)):
            file.seek(place)
            for _ in range(30):
                file.read(50_000)
                held = [held.stop - held.start for held in (*file.cache._ahead, *file.cache._kept)]
                assert sum(held) <= 6 * block + MIB + 64 * KIB
        gc.collect()


def test_a_stalled_body_is_a_time_out_and_then_read_on(server: ScriptedServer, fake: FakeS3) -> None:
    left = [1]

    def answer(request: Request, reply: Reply) -> Answer | None:
        if left and len(reply.body) > MIB:
            left.pop()
            return stall_body(reply.status, reply.body, after=300 * KIB, headers=reply.headers)
        return None

    fake.after = answer
    with filesystem(server.url, read_timeout=0.5).open("bucket/key") as file:
        assert all_of(lambda file: file.read(8 * KIB))(file) == DATA
    assert not left


def test_who_read_few_bytes_of_the_end_gets_no_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip with one array a member: 22 bytes of its end, by `read()`, made 22 bytes the size of each piece.

    Every read then searched among as many pieces as there were: 150 members took minutes.
    """
    pieces: list[int] = []
    add = arriving._Pieces.add

    def counted(self: Any, data: bytes) -> None:
        pieces.append(len(data))
        add(self, data)

    monkeypatch.setattr(arriving._Pieces, "add", counted)
    data = period_free(2 * MIB, seed=8)
    fake = FakeS3("bucket")
    fake.put("bucket", "key", data)
    with ScriptedServer(handler=fake) as server, filesystem(server.url).open("bucket/key") as file:
        file.seek(-22, 2)
        assert file.read() == data[-22:]
        file.seek(0)
        found = []
        while piece := file.read(30_000):
            found.append(piece)
        assert b"".join(found) == data
    assert len(pieces) <= len(data) // 65536 + 10
