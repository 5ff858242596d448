"""What a listing has just told of is opened without a request, and read under the listing's ETag."""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fsspec_guarded_s3 import ObjectChangedError
from fsspec_guarded_s3._http.transport import Transport
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Request, ScriptedServer

KIB = 1024
PATH = "bucket/folder/key"
OLD, NEW = period_free(2 * MIB, seed=1), period_free(3 * MIB, seed=2)
FIRST = ("GET", "bytes=0-65535", False)


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3("bucket")
    fake.put("bucket", "folder/key", OLD)
    return fake


@pytest.fixture
def server(fake: FakeS3) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=fake) as server:
        yield server


LISTINGS: dict[str, Callable[[Any], object]] = {
    "ls": lambda fs: fs.ls("bucket/folder"),
    "find": lambda fs: fs.find("bucket"),
    "glob": lambda fs: fs.glob("bucket/folder/*"),
    "walk": lambda fs: list(fs.walk("bucket")),
}


def listed(server: ScriptedServer, name: str = "find", **options: Any) -> Any:
    """A filesystem that has just listed the folder, and knows that however long a busy machine takes."""
    fs = filesystem(server.url, **{"recent_listings": 60, **options})
    LISTINGS[name](fs)
    return fs


def sent(server: ScriptedServer) -> list[Request]:
    """The requests that are no listings."""
    return [request for request in server.requests if "list-type" not in request.query]


def asked(server: ScriptedServer) -> list[tuple[str, str, bool]]:
    """Method, range, and whether there is a pin, of each request."""
    return [
        (request.method, request.headers.get("range", ""), "if-match" in request.headers)
        for request in sent(server)
    ]


@pytest.mark.parametrize("name", LISTINGS)
@pytest.mark.parametrize("mode", ["rb", "r"])
def test_opening_and_closing_sends_nothing(server: ScriptedServer, name: str, mode: str) -> None:
    with listed(server, name).open(PATH, mode):
        pass
    assert not sent(server)


def test_the_first_read_is_the_first_request(server: ScriptedServer) -> None:
    with listed(server).open(PATH) as file:
        assert (file.tell(), file.seekable(), file.read(0)) == (0, True, b"")
        assert not sent(server)
        assert file.read(10) == OLD[:10]
        assert asked(server) == [FIRST]
        assert file.read() == OLD[10:]


def into(file: Any) -> bytes:
    """What `readinto` brings."""
    buffer = bytearray(MIB)
    assert file.readinto(buffer) == MIB
    return bytes(buffer)


@pytest.mark.parametrize(
    ("read", "stop"),
    [
        (lambda file: file.read(), 2 * MIB),
        (lambda file: file.read(100 * MIB), 2 * MIB),
        (lambda file: file.read(MIB), MIB),
        (into, MIB),
    ],
)
@pytest.mark.parametrize("distant", [False, True])
def test_a_first_read_of_more_than_the_first_bytes_is_one_request(
    server: ScriptedServer, read: Callable[[Any], bytes], stop: int, distant: bool
) -> None:
    """As `open_files(...)` and `read()` of each: it was two, of which one brought 64 KiB."""
    fs = listed(server)
    fs._client.store.transport.round_trip = 1.0 if distant else 0.0
    with fs.open(PATH) as file:
        assert read(file) == OLD[:stop]
        last = (2 * MIB if distant else stop) - 1  # all of it takes no longer than its round trip
        assert asked(server) == [("GET", f"bytes=0-{last}", True)]
        assert file.read() == OLD[stop:]
        assert file.info()["size"] == len(OLD)


SMALL = b"a line of some bytes\n" * 20_000


@pytest.mark.parametrize("length", [None, len(SMALL), len(SMALL) + 1])
def test_a_block_that_is_all_of_a_file_is_one_request(
    server: ScriptedServer, fake: FakeS3, length: int | None
) -> None:
    """dask reads each file of `dd.read_csv("*.csv")` so, and looks for a delimiter at its end first."""
    fake.put("bucket", "folder/key", SMALL)
    fs = listed(server)
    assert fs.read_block(PATH, 0, length, b"\n") == SMALL
    assert asked(server) == [("GET", f"bytes=0-{len(SMALL) - 1}", True)]


@pytest.mark.parametrize(
    ("size", "round_trip", "count"),
    [(420, 0.1, 1), (1000, 0.1, 1), (1100, 0.1, 2), (600, 0.006, 2), (420, 0.0, 2)],
)
def test_a_small_file_of_a_distant_store_is_read_whole_at_once(
    server: ScriptedServer,
    fake: FakeS3,
    size: int,
    round_trip: float,
    count: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What comes much sooner than one more answer: lines of each of some hundred files."""
    monkeypatch.setattr(Transport, "learn_round_trip", lambda self, waited, passed: None)
    data = (SMALL * 3)[: size * KIB]
    fake.put("bucket", "folder/key", data)
    fs = listed(server)
    fs._client.store.transport.round_trip = round_trip
    with fs.open(PATH) as file:
        assert b"".join(file) == data
    assert len(sent(server)) == count


@pytest.mark.parametrize("ignores", [False, True])
@pytest.mark.parametrize("told", [False, True])
def test_who_reads_at_the_end_first_is_told_of_another_version(
    server: ScriptedServer, fake: FakeS3, ignores: bool, told: bool
) -> None:
    fake.put("bucket", "folder/key", SMALL)
    fs = listed(server)
    fake.put("bucket", "folder/key", NEW)
    fake.ignore_conditions = ignores
    with fs.open(PATH) as file:
        assert not told or file.size == len(SMALL)
        file.seek(len(SMALL))
        if told:
            with pytest.raises(ObjectChangedError, match="after it was listed"):
                file.read(10)
        else:
            assert file.read(10) == NEW[len(SMALL) : len(SMALL) + 10]
            file.seek(0)
            assert file.read() == NEW


def test_a_footer_is_read_under_the_etag_of_the_listing(server: ScriptedServer) -> None:
    with listed(server).open(PATH) as file:
        assert file.seek(0, io.SEEK_END) == len(OLD)
        assert not sent(server)
        file.seek(-8, io.SEEK_END)
        assert file.read() == OLD[-8:]
        assert asked(server) == [("GET", f"bytes={len(OLD) - 64 * KIB}-{len(OLD) - 1}", True)]
        file.seek(0)
        assert file.read() == OLD


def test_what_it_tells_is_what_info_tells(server: ScriptedServer) -> None:
    fs = listed(server)
    with fs.open(PATH) as file:
        assert file.size == len(OLD)
        assert file.etag
        assert not sent(server)
        assert file.info() == file.details
        assert asked(server) == [FIRST]
        assert file.read(10) == OLD[:10]
        assert (file.metadata(), file.version_id, len(sent(server))) == ({}, None, 1)
        assert file.info() == filesystem(server.url).info(PATH)


READS: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], bytes]]] = {
    "the begin": (lambda file: file.read(10), lambda data: data[:10]),
    "a line": (lambda file: file.readline(), lambda data: data[: data.index(b"\n") + 1]),
    "all": (lambda file: file.read(), lambda data: data),
    "a piece": (lambda file: (file.seek(MIB), file.read(10))[1], lambda data: data[MIB : MIB + 10]),
    "a large piece": (
        lambda file: (file.seek(MIB), file.read(MIB - 1))[1],
        lambda data: data[MIB : 2 * MIB - 1],
    ),
    "a large piece of the begin": (lambda file: file.read(MIB), lambda data: data[:MIB]),
    "behind the old end": (
        lambda file: (file.seek(2 * MIB + 10), file.read(10))[1],
        lambda data: data[2 * MIB + 10 : 2 * MIB + 20],
    ),
    "its size": (lambda file: b"%d" % file.info()["size"], lambda data: b"%d" % len(data)),
    "pickled": (lambda file: pickle.loads(pickle.dumps(file)).read(10), lambda data: data[:10]),
}


@pytest.mark.parametrize("ignores", [False, True])
@pytest.mark.parametrize("name", READS)
def test_what_was_replaced_since_the_listing_is_read_anew(
    server: ScriptedServer, fake: FakeS3, name: str, ignores: bool
) -> None:
    """Nobody was told anything of the old one."""
    fake.ignore_conditions = ignores
    fs = listed(server)
    read, wanted = READS[name]
    with fs.open(PATH) as file:
        fake.put("bucket", "folder/key", NEW)
        assert read(file) == wanted(NEW)
        file.seek(0)
        assert file.read() == NEW
        assert (file.size, file.info()) == (len(NEW), filesystem(server.url).info(PATH))


TOLD: dict[str, Callable[[Any], object]] = {
    "size": lambda file: file.size,
    "etag": lambda file: file.etag,
    "the end": lambda file: (file.seek(-100, io.SEEK_END), file.seek(0)),
    "bytes": lambda file: (file.seek(MIB), file.read(10), file.seek(0)),
    "info": lambda file: file.info(),
}


@pytest.mark.parametrize("ignores", [False, True])
@pytest.mark.parametrize("name", [name for name in READS if name not in ("its size", "pickled")])
@pytest.mark.parametrize("told", TOLD)
def test_what_has_told_of_the_old_version_is_object_changed(
    server: ScriptedServer, fake: FakeS3, told: str, name: str, ignores: bool
) -> None:
    """Or it has old bytes that had come: never any of the new one. What is opened then is the new one."""
    fake.ignore_conditions = ignores
    fs = listed(server)
    read, wanted = READS[name]
    with fs.open(PATH) as file:
        TOLD[told](file)
        fake.put("bucket", "folder/key", NEW)
        try:
            assert read(file) == wanted(OLD)
            assert told in ("bytes", "info") or not wanted(OLD)
        except ObjectChangedError as error:
            if told in ("size", "etag", "the end"):  # nobody has read of it
                assert "was replaced after it was listed" in str(error) and "open it again" in str(error)
            with fs.open(PATH) as other:
                assert other.read() == NEW


def test_an_object_that_is_gone_is_not_found_by_the_read(server: ScriptedServer, fake: FakeS3) -> None:
    for place in (0, MIB):
        fake.put("bucket", "folder/key", OLD)
        fs = listed(server)
        with fs.open(PATH) as file:
            del fake.objects["bucket", "folder/key"]
            file.seek(place)
            with pytest.raises(FileNotFoundError):
                file.read(10)
        with pytest.raises(FileNotFoundError):
            fs.open(PATH)


def test_an_empty_object_is_looked_at_before_it_is_said_to_be_empty(
    server: ScriptedServer, fake: FakeS3
) -> None:
    fake.put("bucket", "folder/key", b"")
    fs = listed(server)
    with fs.open(PATH) as file:
        fake.put("bucket", "folder/key", NEW)
        assert file.read() == NEW


@pytest.mark.parametrize(
    "how",
    [{"if_match": "*"}, {"size": len(OLD)}, {"cache_type": "all"}, {"version_id": "null"}],
    ids=str,
)
def test_whoever_asks_for_a_version_has_it_looked_at(server: ScriptedServer, how: dict[str, Any]) -> None:
    fs = listed(server)
    if "if_match" in how:
        how = {"if_match": fs.find("bucket", detail=True)[PATH]["ETag"]}
    with fs.open(PATH, **how):
        assert len(sent(server)) == 1 + ("cache_type" in how)  # which is one that reads all as it is opened


@pytest.mark.parametrize("options", [{"recent_listings": 0}, {"version_aware": True}], ids=str)
def test_options_that_want_to_know_more_ask_at_once(server: ScriptedServer, options: dict[str, Any]) -> None:
    with listed(server, **options).open(PATH):
        assert len(sent(server)) == 1


def test_a_write_of_this_process_is_seen(server: ScriptedServer) -> None:
    fs = listed(server)
    filesystem(server.url).pipe_file(PATH, NEW)
    with fs.open(PATH) as file:
        assert file.size == len(NEW)


def test_threads_that_read_first_agree_on_one_version(server: ScriptedServer, fake: FakeS3) -> None:
    for _ in range(10):
        fake.put("bucket", "folder/key", OLD)
        fs = listed(server)
        with fs.open(PATH) as file:
            fake.put("bucket", "folder/key", NEW)
            found: list[bytes] = []

            def read(place: int, file: Any = file, found: list[bytes] = found) -> None:
                found.extend(bytes(piece) for piece in file.cache.pieces(place, place + 10, place))

            def first(file: Any = file) -> None:
                file.readline()

            threads = [threading.Thread(target=first) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            read(MIB)
            assert found == [NEW[MIB : MIB + 10]]


def test_a_folder_of_small_files_takes_a_listing_and_one_request_for_each(
    server: ScriptedServer, fake: FakeS3
) -> None:
    for number in range(10):
        fake.put("bucket", f"many/{number}", OLD[: 1000 * number])
    fs = filesystem(server.url)
    found = []
    for path in fs.glob("bucket/many/*"):
        with fs.open(path) as file:
            found.append(file.read())
    assert found == [OLD[: 1000 * number] for number in range(10)]
    assert len(server.requests) == 1 + 10 + 1, "and a look at the empty one"


# --- files with one of fsspec's own caches: dask and pyarrow's data sets open Parquet so ---

ASK_WHEN_READ = ["none", "readahead", "bytes", "blockcache", "background", "first", "mmap"]


@pytest.mark.parametrize("kind", ASK_WHEN_READ)
@pytest.mark.parametrize("name", READS)
def test_a_cache_of_fsspec_is_opened_by_its_first_read(server: ScriptedServer, name: str, kind: str) -> None:
    fs = listed(server)
    read, wanted = READS[name]
    with fs.open(PATH, cache_type=kind, block_size=MIB) as file:
        assert not sent(server)
        assert read(file) == wanted(OLD)
        heads = [request for request in sent(server) if request.method == "HEAD"]
        # What tells more than a listing does is asked for, and what is behind the end.
        assert len(heads) == (name in ("its size", "pickled", "behind the old end"))
        assert all("if-match" in request.headers for request in sent(server) if request.method == "GET")
        file.seek(0)
        assert file.read() == OLD


@pytest.mark.parametrize("kind", ASK_WHEN_READ)
@pytest.mark.parametrize(
    "read", [lambda file: file.read(), lambda file: into(file), lambda file: file.readline()]
)
def test_a_cache_of_fsspec_keeps_a_request_for_each_file(
    server: ScriptedServer, kind: str, read: Callable[[Any], bytes]
) -> None:
    with listed(server).open(PATH, cache_type=kind, block_size=len(OLD)) as file:
        found = read(file)
        assert OLD.startswith(found) and found
        assert [request.method for request in sent(server)] == ["GET"]


@pytest.mark.parametrize("ignores", [False, True])
@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("kind", ASK_WHEN_READ)
def test_a_cache_of_fsspec_begins_anew_with_what_replaced_the_object(
    server: ScriptedServer, fake: FakeS3, kind: str, name: str, ignores: bool
) -> None:
    fake.ignore_conditions = ignores
    fs = listed(server)
    read, wanted = READS[name]
    with fs.open(PATH, cache_type=kind, block_size=MIB) as file:
        fake.put("bucket", "folder/key", NEW)
        assert read(file) == wanted(NEW)
        file.seek(0)
        assert file.read() == NEW
        assert (file.cache.name, file.size) == (kind, len(NEW))
        buffer = bytearray(MIB)
        file.seek(0)
        assert (file.readinto(buffer), bytes(buffer)) == (MIB, NEW[:MIB])


@pytest.mark.parametrize("ignores", [False, True])
@pytest.mark.parametrize("kind", ASK_WHEN_READ)
def test_a_cache_of_fsspec_that_has_told_of_the_old_version_is_object_changed(
    server: ScriptedServer, fake: FakeS3, kind: str, ignores: bool
) -> None:
    fake.ignore_conditions = ignores
    fs = listed(server)
    for read in (lambda file: file.read(), into, lambda file: file.readline()):
        fake.put("bucket", "folder/key", OLD)
        fs.find("bucket")
        with fs.open(PATH, cache_type=kind, block_size=MIB) as file:
            assert file.size == len(OLD)
            fake.put("bucket", "folder/key", NEW)
            with pytest.raises(ObjectChangedError, match="after it was listed"):
                read(file)
            with fs.open(PATH, cache_type=kind) as other:
                assert other.read() == NEW


@pytest.mark.parametrize("kind", [*ASK_WHEN_READ, "parts"])
def test_a_cache_of_fsspec_over_an_object_that_is_gone(
    server: ScriptedServer, fake: FakeS3, kind: str
) -> None:
    fs = listed(server)
    del fake.objects["bucket", "folder/key"]
    with pytest.raises(FileNotFoundError), fs.open(PATH, cache_type=kind) as file:
        file.read(10)
    with pytest.raises(FileNotFoundError):
        fs.open(PATH, cache_type=kind)


def test_an_empty_object_is_looked_at_by_a_cache_of_fsspec_too(server: ScriptedServer, fake: FakeS3) -> None:
    fake.put("bucket", "folder/key", b"")
    fs = listed(server)
    with fs.open(PATH, cache_type="none") as file:
        fake.put("bucket", "folder/key", NEW)
        assert file.read() == NEW
    fake.put("bucket", "folder/key", b"")
    fs.find("bucket")
    with fs.open(PATH, cache_type="none") as file:
        assert file.read() == b""
