"""A distant store is asked for the first block of a file together with its head: one round trip for both."""

import pickle
import threading
from collections.abc import Callable

import pytest

from fsspec_guarded_s3 import ObjectChangedError
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, close, cut, respond, s3_error

KIB = 1024
PATH = "bucket/key"
DATA = period_free(2 * MIB)
Fault = Callable[[Request, FakeS3], Answer | None]


@pytest.fixture(autouse=True)
def distant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", -1.0)
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.SURE", 0)
    monkeypatch.setattr("fsspec_guarded_s3._s3.retry.BASE_SECONDS", 0.001)


def store(size: int, fault: Fault | None = None) -> FakeS3:
    fake = FakeS3("bucket", fault=fault)
    fake.put("bucket", "key", DATA[:size])
    return fake


def gets(server: ScriptedServer) -> list[Request]:
    return [request for request in server.requests if request.method == "GET"]


@pytest.mark.parametrize("size", [1, 1000, 64 * KIB - 1, 64 * KIB])
def test_a_small_file_takes_one_round_trip(size: int) -> None:
    """Its head is answered when the first block has been asked for, and nothing else is asked for."""
    asked = threading.Event()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "GET":
            asked.set()
        assert asked.wait(20), "the first block was not asked for before the head was there"
        return None

    with ScriptedServer(handler=store(size, fault)) as server:
        with filesystem(server.url).open(PATH) as file:
            assert file.read() == DATA[:size]
        assert len(server.requests) == 2


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


def test_an_empty_file_is_empty() -> None:
    with ScriptedServer(handler=store(0)) as server, filesystem(server.url).open(PATH) as file:
        assert file.read() == b""


def test_a_file_that_is_not_there_is_file_not_found_and_a_directory_none() -> None:
    fake = store(10)
    fake.put("bucket", "folder/x", b"x")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        with pytest.raises(FileNotFoundError):
            fs.open("bucket/none")
        with pytest.raises(IsADirectoryError):
            fs.open("bucket/folder")


AMISS = {
    "closed": close,
    "cut": lambda: cut(206, DATA[:1000], after=500, headers={"Content-Range": "bytes 0-999/1000"}),
    "500": lambda: s3_error(500, "InternalError"),
    "403": lambda: s3_error(403, "AccessDenied"),
    "another range": lambda: respond(206, DATA[1:11], headers={"Content-Range": "bytes 1-10/1000"}),
    "no range": lambda: respond(200, DATA[:1000]),
    "another version": lambda: respond(
        206, DATA[500:1500], etag="other", headers={"Content-Range": "bytes 0-999/1000"}
    ),
}


@pytest.mark.parametrize("name", AMISS)
def test_whatever_is_amiss_with_the_first_block_it_is_asked_for_again_under_the_pin(name: str) -> None:
    left = [AMISS[name]]

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return left.pop()() if left and request.method == "GET" else None

    with ScriptedServer(handler=store(1000, fault)) as server:
        with filesystem(server.url).open(PATH) as file:
            assert file.read() == DATA[:1000]
        assert not left
        assert [("if-match" in request.headers) for request in gets(server)] == [False, True]


def test_a_file_that_is_replaced_later_is_object_changed_beyond_its_first_block() -> None:
    fake = store(2 * MIB)
    with ScriptedServer(handler=fake) as server, filesystem(server.url).open(PATH) as file:
        fake.put("bucket", "key", bytes(2 * MIB))
        assert file.read(1000) == DATA[:1000]
        file.seek(MIB)
        with pytest.raises(ObjectChangedError):
            file.read(10)


def test_a_reader_is_pickled_with_its_pin_and_without_the_block() -> None:
    with ScriptedServer(handler=store(1000)) as server, filesystem(server.url).open(PATH) as file:
        copy = pickle.loads(pickle.dumps(file))
        assert copy.read() == DATA[:1000]
        assert copy.etag == file.etag


@pytest.mark.parametrize("cache_type", ["none", "readahead", "bytes"])
def test_other_caches_ask_for_what_they_want_themselves(cache_type: str) -> None:
    with ScriptedServer(handler=store(1000)) as server:
        with filesystem(server.url).open(PATH, cache_type=cache_type) as file:
            assert file.read() == DATA[:1000]
        assert all("if-match" in request.headers for request in gets(server))


def test_a_near_store_is_not_asked_for_more_than_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", float("inf"))
    with ScriptedServer(handler=store(1000)) as server:
        fs = filesystem(server.url)
        for _ in range(6):
            fs.open(PATH).close()
        assert not gets(server)


def test_one_slow_answer_does_not_make_a_store_distant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.SURE", 4)
    with ScriptedServer(handler=store(1000)) as server:
        fs = filesystem(server.url)
        for _ in range(4):
            fs.open(PATH).close()
        assert not gets(server)
        fs.open(PATH).close()
        assert len(gets(server)) == 1
