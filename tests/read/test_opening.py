"""An opening for reading is one GetObject of the first bytes, whose answer tells what `info` tells."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from fsspec_guarded_s3 import ObjectChangedError, PreconditionUnsupportedError, ProtocolError
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close, cut, raw, respond, s3_error

KIB = 1024
PATH = "bucket/key"
DATA = period_free(2 * MIB)
Fault = Callable[[Request, FakeS3], Answer | None]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.retry.BASE_SECONDS", 0.001)


@pytest.fixture(params=["near", "distant"])
def distance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    distant = -1.0 if request.param == "distant" else float("inf")
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", distant)
    return str(request.param)


def store(size: int, fault: Fault | None = None, **how: Any) -> FakeS3:
    fake = FakeS3("bucket", fault=fault, **how)
    fake.put("bucket", "key", DATA[:size])
    return fake


def asked(server: ScriptedServer) -> list[tuple[str, str, bool]]:
    """Method, range, and whether there is a pin, of each request."""
    return [
        (request.method, request.headers.get("range", ""), "if-match" in request.headers)
        for request in server.requests
    ]


FIRST = ("GET", "bytes=0-65535", False)


def into(file: Any) -> bytes:
    buffer = bytearray(100)
    return bytes(buffer[: file.readinto(buffer)])


READS: dict[str, Callable[[Any], bytes]] = {
    "read": lambda file: file.read(100),
    "readline": lambda file: file.readline(100),
    "read1": lambda file: file.read1(100),
    "peek": lambda file: file.peek(100),
    "readinto": into,
}


@pytest.mark.usefixtures("distance")
@pytest.mark.parametrize("size", [1, 1000, 64 * KIB - 1, 64 * KIB])
def test_a_small_file_takes_one_request(size: int) -> None:
    with ScriptedServer(handler=store(size)) as server:
        with filesystem(server.url).open(PATH) as file:
            assert file.read() == DATA[:size]
        assert asked(server) == [FIRST]


@pytest.mark.usefixtures("distance")
@pytest.mark.parametrize("read", READS)
def test_an_opening_and_a_small_read_take_one_request(read: str) -> None:
    with ScriptedServer(handler=store(2 * MIB)) as server:
        with filesystem(server.url).open(PATH) as file:
            found = READS[read](file)
            assert found
            assert DATA.startswith(found)
            assert file.size == file.seek(0, io.SEEK_END) == 2 * MIB
            assert file.info()["ETag"] == file.etag
        assert asked(server) == [FIRST]


@pytest.mark.parametrize("size", [64 * KIB + 1, 100 * KIB, 2 * MIB])
@pytest.mark.parametrize("step", [10 * KIB, 64 * KIB, 100 * KIB, 4 * MIB])
def test_a_larger_file_is_read_from_there_on(size: int, step: int) -> None:
    with ScriptedServer(handler=store(size)) as server, filesystem(server.url).open(PATH) as file:
        pieces = []
        while piece := file.read(step):
            pieces.append(piece)
        assert b"".join(pieces) == DATA[:size]
        file.seek(-10, 2)
        assert file.read() == DATA[size - 10 : size]
        assert all(pinned for _, _, pinned in asked(server)[1:])


def test_an_empty_file_is_empty() -> None:
    """It has no first byte, so HeadObject tells what is known of it."""
    with ScriptedServer(handler=store(0)) as server:
        fs = filesystem(server.url)
        with fs.open(PATH) as file:
            assert (file.read(), file.size) == (b"", 0)
            assert asked(server) == [FIRST, ("HEAD", "", False)]
            assert file.info() == fs.info(PATH)


def test_an_opened_file_tells_what_info_tells() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        for size in (10, MIB):
            fs.pipe_file(
                PATH,
                DATA[:size],
                Metadata={"colour": "blue"},
                ContentType="text/x",
                CacheControl="no-cache",
                Tagging={"a": "1"},
                StorageClass="STANDARD_IA",
            )
            with fs.open(PATH) as file:
                assert file.info() == file.details == fs.info(PATH)
                assert file.metadata() == fs.metadata(PATH) == {"colour": "blue"}
                assert file.version_id is None
                assert file.details["TagCount"] == 1


def test_a_file_that_is_not_there_is_file_not_found_and_a_directory_none() -> None:
    fake = store(10)
    fake.put("bucket", "folder/x", b"x")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        for path in ("bucket/none", "none/none"):
            with pytest.raises(FileNotFoundError):
                fs.open(path)
        with pytest.raises(IsADirectoryError):
            fs.open("bucket/folder")


def test_what_is_asked_of_the_version_is_looked_at() -> None:
    with ScriptedServer(handler=store(1000)) as server:
        fs = filesystem(server.url)
        etag = fs.info(PATH)["ETag"]
        with fs.open(PATH, if_match=etag, size=1000) as file:
            assert file.read() == DATA[:1000]
        for wrong in ({"if_match": '"another"'}, {"size": 999}):
            with pytest.raises(ObjectChangedError):
                fs.open(PATH, **wrong)
        with pytest.raises(PreconditionUnsupportedError):  # it has no versions, and answers for what is there
            fs.open(PATH, version_id="one")


# --- stores that answer otherwise ---


@pytest.mark.parametrize(("size", "dropped"), [(1000, False), (MIB, False), (2 * MIB, True)])
def test_of_a_store_that_ignores_ranges_a_small_object_is_taken_whole(size: int, dropped: bool) -> None:
    with ScriptedServer(handler=store(size, ignore_range=True)) as server:
        fs = filesystem(server.url, max_attempts=1)
        with fs.open(PATH) as file:
            assert file.read(100) == DATA[:100]
            assert file.read(60 * KIB) == DATA[100:size][: 60 * KIB]
            assert len(server.requests) == 1
        with fs.open(PATH) as file:
            assert file.read() == DATA[:size]
            assert len(server.requests) == 2 + dropped


def unknown_size(request: Request, reply: Reply) -> Answer | None:
    if request.method == "GET" and "content-range" in {name.lower() for name in reply.headers}:
        value = reply.headers["Content-Range"].replace(f"/{len(DATA)}", "/*").replace("/1000", "/*")
        return respond(206, reply.body, headers={**reply.headers, "Content-Range": value})
    return None


def in_chunks(request: Request, reply: Reply) -> Answer | None:
    if request.method != "GET":
        return None
    head = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(reply.body), reply.body)
    return raw(f"HTTP/1.1 {reply.status} OK\r\nTransfer-Encoding: chunked\r\n{head}\r\n".encode() + body)


def another_status(request: Request, reply: Reply) -> Answer | None:
    return respond(200, reply.body, headers=reply.headers) if request.method == "GET" else None


@pytest.mark.parametrize("after", [unknown_size, in_chunks, another_status])
@pytest.mark.parametrize("ignore_range", [False, True])
@pytest.mark.parametrize("size", [1000, 2 * MIB])
def test_an_answer_that_tells_less_is_understood(
    after: Callable[[Request, Reply], Answer | None], ignore_range: bool, size: int
) -> None:
    with ScriptedServer(handler=store(size, after=after, ignore_range=ignore_range)) as server:
        fs = filesystem(server.url)
        with fs.open(PATH) as file:
            assert (file.size, file.read(1000)) == (size, DATA[:1000])
            assert len(server.requests) <= 2
            assert file.info() == fs.info(PATH)


AMISS: dict[str, Callable[[], Answer]] = {
    "closed": close,
    "cut": lambda: cut(206, DATA[:1000], after=500, headers={"Content-Range": "bytes 0-999/1000"}),
    "500": lambda: s3_error(500, "InternalError"),
    "another range": lambda: respond(206, DATA[1:11], headers={"Content-Range": "bytes 1-10/1000"}, etag="e"),
    "fewer bytes": lambda: respond(206, DATA[:10], headers={"Content-Range": "bytes 0-9/1000"}, etag="e"),
    "no page of a store": lambda: respond(200, b"<html>log in</html>"),
}


@pytest.mark.parametrize("name", AMISS)
def test_whatever_is_amiss_it_is_asked_for_again(name: str) -> None:
    left = [AMISS[name]]

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return left.pop()() if left else None

    with ScriptedServer(handler=store(1000, fault)) as server:
        with filesystem(server.url).open(PATH) as file:
            assert file.read() == DATA[:1000]
        assert asked(server) == [FIRST, FIRST]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (AMISS["another range"], ProtocolError),
        (AMISS["fewer bytes"], ProtocolError),
        (AMISS["no page of a store"], ProtocolError),
        (lambda: s3_error(403, "AccessDenied"), PermissionError),
        (
            lambda: respond(
                206,
                DATA[:1000],
                headers={"Content-Range": "bytes 0-999/1000", "Last-Modified": "x"},
            ),
            PreconditionUnsupportedError,
        ),
    ],
)
def test_what_stays_amiss_is_an_error(answer: Callable[[], Answer], error: type[Exception]) -> None:
    with (
        ScriptedServer(handler=lambda request: answer()) as server,
        pytest.raises(error),
    ):
        filesystem(server.url).open(PATH)


def test_a_416_for_an_object_that_has_bytes_leaves_them_to_the_reads() -> None:
    """It was empty a moment ago, or the store does not count right."""
    left = [s3_error(416, "InvalidRange")]
    fake = store(1000, lambda request, fake: left.pop() if left and request.method == "GET" else None)
    with ScriptedServer(handler=fake) as server, filesystem(server.url).open(PATH) as file:
        assert file.read() == DATA[:1000]
        assert [pinned for method, _, pinned in asked(server) if method == "GET"] == [False, True]


# --- later ---


def test_a_file_that_is_replaced_later_is_object_changed_beyond_its_first_bytes() -> None:
    fake = store(2 * MIB)
    with ScriptedServer(handler=fake) as server, filesystem(server.url).open(PATH) as file:
        fake.put("bucket", "key", bytes(2 * MIB))
        assert file.read(1000) == DATA[:1000]
        file.seek(MIB)
        with pytest.raises(ObjectChangedError):
            file.read(10)


def test_of_an_object_that_is_overwritten_all_the_time_each_opening_reads() -> None:
    fake = store(1000)

    def fault(request: Request, fake: FakeS3) -> None:
        number = len(server.requests)
        fake.put("bucket", "key", period_free(1000, number))

    fake.fault = fault
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        for _ in range(10):
            with fs.open(PATH) as file:
                assert file.read() == period_free(1000, len(server.requests))


def test_a_reader_is_pickled_with_its_pin_and_without_the_bytes() -> None:
    with ScriptedServer(handler=store(1000)) as server, filesystem(server.url).open(PATH) as file:
        copy = pickle.loads(pickle.dumps(file))
        assert copy.read() == DATA[:1000]
        assert copy.etag == file.etag
        assert asked(server)[1:] == [("GET", "bytes=0-999", True)]


@pytest.mark.parametrize("cache_type", ["none", "readahead", "bytes"])
def test_other_caches_ask_for_what_they_want_themselves(cache_type: str) -> None:
    with ScriptedServer(handler=store(1000)) as server:
        with filesystem(server.url).open(PATH, cache_type=cache_type) as file:
            assert file.read() == DATA[:1000]
        assert asked(server)[0] == ("HEAD", "", False)
        assert all(pinned for _, _, pinned in asked(server)[1:])
