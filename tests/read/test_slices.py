"""A slice of an object is one request, and is what Python's slice of its bytes is."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError, ObjectNotFoundError, ProtocolError
from fsspec_guarded_s3._read import download
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, cut, respond, s3_error

SIZE = 1000
DATA = period_free(SIZE)
BOUNDS = [None, 0, 1, 299, 300, 301, 999, 1000, 1001, 5000, -1, -300, -301, -999, -1000, -1001]


def stored(**options: Any) -> FakeS3:
    fake = FakeS3("bucket", **options)
    fake.put("bucket", "key", DATA)
    fake.put("bucket", "empty", b"")
    return fake


@pytest.fixture
def fake() -> FakeS3:
    return stored()


@pytest.fixture
def server(fake: FakeS3) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=fake) as server:
        yield server


def ranges(server: ScriptedServer) -> list[str]:
    return [request.headers.get("range", request.method) for request in server.requests]


@pytest.mark.parametrize("too_many", [0, 128 * 1024])
@pytest.mark.parametrize("range_size", [300, MIB])
@pytest.mark.parametrize("key", ["key", "empty"])
def test_every_slice_is_that_of_python(
    server: ScriptedServer, key: str, range_size: int, too_many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the beginning, from the end, beyond both; in one range and in several; `cat_ranges` too."""
    monkeypatch.setattr(download, "_TOO_MANY", too_many)
    fs = filesystem(server.url, range_size=range_size)
    body = DATA if key == "key" else b""
    pairs = list(itertools.product(BOUNDS, BOUNDS))
    for start, end in pairs:
        assert fs.cat_file(f"bucket/{key}", start, end) == body[start:end], (start, end)
    for gap in (0, 50):
        for start, end in pairs:
            starts, ends = [start, 10, None], [end, 20, end]
            found = fs.cat_ranges([f"bucket/{key}"] * 3, starts, ends, max_gap=gap, on_error="raise")
            assert found == [body[start:end], body[10:20], body[None:end]], (start, end)


ONE: dict[tuple[int | None, int | None], str] = {
    (0, 500): "bytes=0-499",
    (10, 20): "bytes=10-19",
    (900, 5000): "bytes=900-4999",
    (-300, None): "bytes=-300",
    (-5000, None): "bytes=-5000",
    (-8, -4): "bytes=-8",
}


@pytest.mark.parametrize("span", ONE)
def test_a_slice_is_one_request(server: ScriptedServer, span: tuple[int, int | None]) -> None:
    assert filesystem(server.url).cat_file("bucket/key", *span) == DATA[slice(*span)]
    assert ranges(server) == [ONE[span]]


@pytest.mark.parametrize("told", ["bytes 0--1/0", "bytes 0-0/0", "bytes */0"])
@pytest.mark.parametrize("span", [(-5, None), (0, 5), (-5, -2), (3, 8)])
def test_a_store_may_answer_a_range_of_an_empty_object(
    fake: FakeS3, span: tuple[int, int | None], told: str
) -> None:
    """S3 answers 416. ministack answers the last bytes of nothing with 206 and no valid range."""

    def answer(request: Request) -> Answer:
        if request.method == "GET" and "range" in request.headers:
            etag = fake.objects["bucket", "empty"].etag
            return respond(206, etag=etag, headers={"content-range": told})
        return fake(request)

    with ScriptedServer(handler=answer) as server:
        fs = filesystem(server.url)
        assert fs.cat_file("bucket/empty", *span) == b""
        assert fs.cat_ranges(["bucket/empty"] * 2, *[[bound] * 2 for bound in span]) == [b"", b""]
        assert fs.tail("bucket/empty") == b""


@pytest.mark.parametrize("start", [1, 999])
def test_a_slice_to_the_end_is_one_request(server: ScriptedServer, start: int) -> None:
    assert filesystem(server.url).cat_file("bucket/key", start) == DATA[start:]
    assert len(server.requests) == 1


@pytest.mark.parametrize("span", [(1000, 1001), (1000, None), (5, 5), (7, 3), (0, 0), (500, -400 * MIB)])
def test_an_empty_slice_of_an_object_that_is_not_there_is_an_error(
    server: ScriptedServer, span: tuple[int, int | None]
) -> None:
    fs = filesystem(server.url)
    assert fs.cat_file("bucket/key", *span) == b""
    with pytest.raises(ObjectNotFoundError):
        fs.cat_file("bucket/none", *span)
    assert isinstance(fs.cat_ranges(["bucket/none"], *[[bound] for bound in span])[0], FileNotFoundError)


def test_an_object_that_is_overwritten_all_the_time_is_read(fake: FakeS3, server: ScriptedServer) -> None:
    """Each answer is of one version, and there is no other request that could see another."""
    fs, others = filesystem(server.url), [bytes([number]) * SIZE for number in range(9)]
    stop = threading.Event()

    def overwrite() -> None:
        for body in itertools.cycle(others):
            fake.put("bucket", "key", body)
            if stop.is_set():
                return

    writer = threading.Thread(target=overwrite)
    writer.start()
    try:
        for _ in range(100):
            for start, end in ((0, 500), (-500, None), (100, 300)):
                found = fs.cat_file("bucket/key", start, end)
                assert found == DATA[start:end] or len(set(found)) == 1
            (found,) = fs.cat_ranges(["bucket/key"], [100], [900], on_error="raise")
            assert len(found) == 800
    finally:
        stop.set()
        writer.join()


def test_the_ranges_of_one_object_are_of_one_version(fake: FakeS3, server: ScriptedServer) -> None:
    """The first answer tells which; the others carry its ETag."""
    fs = filesystem(server.url)
    found = fs.cat_ranges(["bucket/key"] * 5, [0, 200, 400, 600, 800], [9, 209, 409, 609, 809], max_gap=0)
    assert found == [DATA[start : start + 9] for start in range(0, 1000, 200)]
    first, *others = server.requests
    assert "if-match" not in first.headers
    assert [request.headers["if-match"] for request in others] == [fake.objects["bucket", "key"].etag] * 4


def test_near_ranges_are_one_request(server: ScriptedServer) -> None:
    found = filesystem(server.url).cat_ranges(["bucket/key"] * 3, [500, 0, 20], [510, 9, 5000])
    assert found == [DATA[500:510], DATA[:9], DATA[20:]]
    assert ranges(server) == ["bytes=0-4999"]


def test_one_range_of_each_object_is_one_request_for_each(fake: FakeS3, server: ScriptedServer) -> None:
    names = [fake.put("bucket", f"n{number}", DATA[number:]) and f"bucket/n{number}" for number in range(20)]
    fs = filesystem(server.url)
    assert fs.cat_ranges(names, 5, 10) == [DATA[number:][5:10] for number in range(20)]
    assert ranges(server) == ["bytes=5-9"] * 20


def test_the_etag_of_a_listing_saves_the_first_round_trip(fake: FakeS3, server: ScriptedServer) -> None:
    """All ranges are asked for under it at once; the sizes clip those that are beyond."""
    fs = filesystem(server.url)
    fs.find("bucket")
    found = fs.cat_ranges(["bucket/key"] * 4, [0, 500, -7, 2000], [5, 505, None, 3000], max_gap=0)
    assert found == [DATA[:5], DATA[500:505], DATA[-7:], b""]
    assert all("if-match" in request.headers for request in server.requests[1:])
    assert len(server.requests) == 4


@pytest.mark.parametrize("ignore_conditions", [False, True])
@pytest.mark.parametrize("new", [b"n" * 1000, b"n" * 10, b""], ids=["as long", "short", "empty"])
def test_an_object_that_was_replaced_since_it_was_listed_is_read_anew(
    ignore_conditions: bool, new: bytes
) -> None:
    fake = stored(ignore_conditions=ignore_conditions)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fs.find("bucket")
        fake.put("bucket", "key", new)
        found = fs.cat_ranges(["bucket/key", "bucket/key"], [0, 500], [5, 505], max_gap=0, on_error="raise")
        assert found == [new[:5], new[500:505]]
        assert fs.info("bucket/key")["size"] == len(new)


@pytest.mark.parametrize("bounds", [(0, 5), (400, 405), (-10, None), (None, None), (250, None), (-20, -10)])
@pytest.mark.parametrize("listed", [b"", b"o" * 10, b"o" * 250], ids=["empty", "short", "longer"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("is_gone", [False, True])
def test_a_slice_that_was_beyond_the_end_when_it_was_listed_is_asked_for(
    fake: FakeS3,
    server: ScriptedServer,
    bounds: tuple[int | None, int | None],
    listed: bytes,
    count: int,
    is_gone: bool,
) -> None:
    """The object may have grown since, or be gone: that there are no bytes is told by an answer, too."""
    fs = filesystem(server.url)
    fake.put("bucket", "key", listed)
    fs.find("bucket")
    fake.put("bucket", "key", DATA)
    if is_gone:
        del fake.objects["bucket", "key"]
    found = fs.cat_ranges(["bucket/key"] * count, *bounds)
    if is_gone:
        assert all(isinstance(one, ObjectNotFoundError) for one in found)
    else:
        assert found == [DATA[slice(*bounds)]] * count


WRONG: dict[str, dict[str, str]] = {
    "other bytes": {"content-range": "bytes 1-100/1000"},
    "fewer bytes": {"content-range": "bytes 0-98/1000"},
    "no range": {"content-range": "nonsense"},
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("verb", ["cat_file", "cat_ranges"])
def test_an_answer_with_other_bytes_is_refused(wrong: str, verb: str) -> None:
    def lie(request: Request) -> Answer:
        return respond(206, DATA[:100], headers=WRONG[wrong], etag='"e"')

    with ScriptedServer(handler=lie) as server, pytest.raises(ProtocolError):
        fs = filesystem(server.url, max_attempts=1)
        if verb == "cat_file":
            fs.cat_file("bucket/key", 0, 100)
        else:
            fs.cat_ranges(["bucket/key"], [0], [100], on_error="raise")


def test_a_store_that_ignores_ranges_is_read_where_the_slice_is_the_object() -> None:
    with ScriptedServer(handler=stored(ignore_range=True)) as server:
        fs = filesystem(server.url, max_attempts=1)
        assert fs.cat_file("bucket/key", 0, 5000) == fs.cat_file("bucket/key", -5000) == DATA
        assert fs.cat_file("bucket/key", 0, -1) == DATA[:-1]
        with pytest.raises(ProtocolError):
            fs.cat_file("bucket/key", 1, 5)


def test_a_size_that_the_answer_does_not_tell_is_asked_for() -> None:
    """`bytes 0-99/*`: HeadObject tells it, of the same version."""
    fake = stored()

    def after(request: Request, reply: Reply) -> Answer | None:
        if request.method == "GET":
            reply.headers["Content-Range"] = reply.headers["Content-Range"].rpartition("/")[0] + "/*"  # type: ignore[index]
        return None

    fake.after = after
    with ScriptedServer(handler=fake) as server:
        assert filesystem(server.url).cat_file("bucket/key", 0, 100) == DATA[:100]
        assert ranges(server) == ["bytes=0-99", "HEAD"]


def test_a_body_that_breaks_is_read_on_under_the_etag_of_its_answer() -> None:
    fake = stored()
    with ScriptedServer(handler=fake) as server:

        def after(request: Request, reply: Reply) -> Answer | None:
            fake.after = None
            return cut(reply.status, reply.body, after=40, headers=reply.headers)

        fake.after = after
        fs: GuardedS3FileSystem = filesystem(server.url)
        assert fs.cat_file("bucket/key", -300) == DATA[-300:]
        assert ranges(server) == ["bytes=-300", "bytes=740-999"]
        assert server.requests[1].headers["if-match"] == fake.objects["bucket", "key"].etag


def test_a_body_that_breaks_of_an_object_that_is_replaced_then_is_an_error() -> None:
    fake = stored()
    with ScriptedServer(handler=fake) as server:

        def after(request: Request, reply: Reply) -> Answer | None:
            fake.after = None
            fake.put("bucket", "key", b"new" * 400)
            return cut(reply.status, reply.body, after=40, headers=reply.headers)

        fake.after = after
        with pytest.raises(ObjectChangedError):
            filesystem(server.url).cat_file("bucket/key", 100, 400)


def test_416_for_bytes_that_are_there_is_looked_into() -> None:
    """A store that refuses suffix ranges is asked for the size, and for bytes by their places."""
    fake = stored()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return s3_error(416, "InvalidRange") if "bytes=-" in request.headers.get("range", "") else None

    fake.fault = fault
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert fs.cat_file("bucket/key", -10) == DATA[-10:]
        assert fs.cat_ranges(["bucket/key"], [-10], None) == [DATA[-10:]]


MISTAKEN: dict[str, tuple[str, int, int]] = {  # the range that is asked for, and the bytes that are answered
    "a byte more at the front": ("bytes=0-0", 0, 2),
    "the whole of the front": ("bytes=0-0", 0, len(DATA)),
    "the first in place of the last": ("bytes=-1", 0, 1),
    "one more at the end": ("bytes=-1", len(DATA) - 2, len(DATA)),
    "nothing of the end": ("bytes=-1", len(DATA) - 1, len(DATA) - 1),
}


@pytest.mark.parametrize("wrong", MISTAKEN)
def test_a_store_that_takes_a_range_wrong_gives_an_error_and_never_wrong_bytes(wrong: str) -> None:
    """s3rver does so to single bytes at both ends."""
    asked, start, stop = MISTAKEN[wrong]
    fake = FakeS3("bucket")
    fake.put("bucket", "key", DATA)

    def after(request: Request, reply: Reply) -> Answer | None:
        if request.headers.get("range") != asked:
            return None
        told = f"bytes {start}-{max(stop - 1, start)}/{len(DATA)}"
        return replace(reply, body=DATA[start:stop], headers={**reply.headers, "Content-Range": told})

    fake.after = after
    calls: list[tuple[Callable[[Any], bytes], bytes]] = [
        (lambda fs: fs.cat_file("bucket/key", 0, 1), DATA[:1]),
        (lambda fs: fs.cat_file("bucket/key", -1), DATA[-1:]),
        (lambda fs: fs.cat_ranges(["bucket/key"], [-1], None, on_error="raise")[0], DATA[-1:]),
        (lambda fs: fs.head("bucket/key", 1), DATA[:1]),
        (lambda fs: fs.tail("bucket/key", 1), DATA[-1:]),
    ]
    with ScriptedServer(handler=fake) as server:
        for call, right in calls:
            with contextlib.suppress(ProtocolError):
                assert call(filesystem(server.url, max_attempts=1)) == right
        assert any(request.headers.get("range") == asked for request in server.requests)
