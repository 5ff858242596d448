"""The log: each number is given once, an entry never changes, and a lost answer is settled."""

from __future__ import annotations

import json
import pickle
import threading
from dataclasses import replace
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    AccessDeniedError,
    CommitConflictError,
    GuardedS3Error,
    GuardedS3FileSystem,
    PreconditionUnsupportedError,
    WriteOutcomeUnknownError,
)
from fsspec_guarded_s3.integrations.commit import CommitLog, LogEntry
from tests.commits.lost import losing
from tests.directory_bucket import BUCKET as DIRECTORY
from tests.directory_bucket import directory
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer, s3_error
from tests.servers import MotoServer
from tests.stores import new_store

PATH = "bucket/table/log"
ENTRY = "table/log/{:020}.json"


def entry_of(version: int, token: str, data: Any) -> bytes:
    """An entry that another writer has made."""
    fields = {"kind": "entry", "format": 1, "version": version, "token": token, "data": data}
    return json.dumps(fields).encode()


def methods(server: ScriptedServer, since: int = 0) -> list[str]:
    """What was asked: the method, and LIST."""
    return ["LIST" if "list-type" in it.query else it.method for it in server.requests[since:]]


@pytest.mark.parametrize("name", ["table/log", "a [b]*?/log", "ü/ %2F+/log/"])
def test_entries_come_back_in_order(moto: MotoServer, name: str) -> None:
    store = new_store(moto)
    log = CommitLog(store.fs, f"gs3://{store.path(name)}")
    assert log.latest() == 0 and list(log.entries()) == []
    values: list[Any] = [{"a": [1, None, "ü"]}, None, 0, "text", [], {"nested": {"b": 1.5}}]
    made = [log.append(value) for value in values]
    assert [(entry.version, entry.data) for entry in made] == list(enumerate(values, 1))
    other = CommitLog(store.fs, store.path(name))
    assert other.latest() == 6
    assert list(other.entries()) == made and list(log.entries(3, 5)) == made[2:4]
    assert list(log.entries(4)) == made[3:] and list(log.entries(7)) == []
    assert list(log.entries(5, 100)) == made[4:]
    assert other.read(2) == made[1]
    assert len({entry.token for entry in made}) == 6


def test_what_is_returned_is_what_others_read() -> None:
    """JSON makes lists of tuples, and text of the names of a dict."""
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        log = CommitLog(filesystem(server.url), PATH)
        assert log.append({1: (2, 3)}).data == {"1": [2, 3]} == log.read(1).data


def test_requests() -> None:
    """As docs/commits.md says."""
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        log = CommitLog(fs, PATH)
        log.append(1)
        seen = len(server.requests)
        log.append(2)
        log.append(3, expected=2)
        assert methods(server, seen) == ["PUT", "PUT"]
        seen = len(server.requests)
        assert CommitLog(fs, PATH).latest() == 3
        assert methods(server, seen) == ["GET", "LIST"]
        seen = len(server.requests)
        assert log.latest() == 3
        assert methods(server, seen) == ["LIST"]
        seen = len(server.requests)
        assert len(list(log.entries(1, 4))) == 3
        assert methods(server, seen) == ["GET", "GET", "GET"]


def test_a_number_that_is_taken() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        log, other = CommitLog(fs, PATH), CommitLog(fs, PATH)
        assert log.append("a", expected=0).version == 1
        assert other.append("b").version == 2
        with pytest.raises(CommitConflictError, match="entry 2") as caught:
            log.append("c", expected=1)
        assert (caught.value.version, caught.value.maybe_applied) == (2, False)
        assert caught.value.key == ENTRY.format(2)
        assert pickle.loads(pickle.dumps(caught.value)).version == 2
        assert [entry.data for entry in log.entries()] == ["a", "b"]
        assert log.append("c").version == 3
        assert other.append("d").version == 4  # which did not know of 3


def test_check_sees_each_entry_that_came_before() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        log, other = CommitLog(fs, PATH), CommitLog(fs, PATH)
        log.append(0)
        others = [other.append(number) for number in (1, 2, 3)]
        seen: list[LogEntry] = []
        assert log.append("ours", expected=1, check=seen.append).version == 5
        assert seen == others

        def refuse(entry: LogEntry) -> None:
            raise LookupError(entry.version)

        with pytest.raises(LookupError, match="5"):
            log.append("never", expected=4, check=refuse)
        assert log.latest() == 5


def test_check_sees_entries_that_come_while_it_is_asked() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        log, other = CommitLog(fs, PATH), CommitLog(fs, PATH)
        other.append("first")
        seen: list[Any] = []

        def check(entry: LogEntry) -> None:
            seen.append(entry.data)
            if len(seen) < 4:
                other.append(f"rival {len(seen)}")

        assert log.append("ours", expected=0, check=check).version == 5
        assert seen == ["first", "rival 1", "rival 2", "rival 3"]


def test_there_is_no_gap() -> None:
    """An entry behind one would not be found."""
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        log = CommitLog(filesystem(server.url), PATH)
        log.append(1)
        with pytest.raises(FileNotFoundError, match="there is no version 7"):
            log.append(2, expected=7)
        assert methods(server).count("PUT") == 1
        assert log.append(2).version == 2


def test_the_hint_is_only_a_hint() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        log = CommitLog(fs, PATH)
        for number in range(1, 103):
            log.append(number)
        hint = ("bucket", "table/log/latest.json")
        assert json.loads(fake.objects[hint].body)["version"] == 100
        seen = len(server.requests)
        assert CommitLog(fs, PATH).latest() == 102
        [listing] = [it for it in server.requests[seen:] if "list-type" in it.query]
        assert listing.query["start-after"] == ENTRY.format(99)
        for body in (b"", b"[]", b"{}", b"12", b"\xff", b'{"kind":"hint","format":1,"version":"x"}'):
            fake.put(*hint, body)
            assert CommitLog(fs, PATH).latest() == 102, body
        for version in (-3, 0, 5, 102, 4000, True):  # an old one, or one of another log
            fake.put(*hint, json.dumps({"kind": "hint", "format": 1, "version": version}).encode())
            assert CommitLog(fs, PATH).latest() == 102, version
            assert CommitLog(fs, PATH).append("x").version == 103
            del fake.objects["bucket", ENTRY.format(103)]


def test_an_entry_counts_though_the_hint_cannot_be_written() -> None:
    with losing() as (fs, store, _):
        log = CommitLog(fs, PATH)
        for number in range(1, 100):
            log.append(number)

        def after(request: Any, reply: Any) -> Any:
            return store._lose() if "latest" in request.path and request.method == "PUT" else None

        store.fake.after, store.puts = after, [True]
        assert log.append(100).version == 100
        assert store.lost == 1 and log.append(101).version == 101


def test_other_objects_beside_the_entries_are_no_entries() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        log = CommitLog(filesystem(server.url), PATH)
        log.append(1)
        for name in ("7.json", "z", f"{9:020}.json.bak", f"deep/{8:020}.json", f"{5:021}.json"):
            fake.put("bucket", f"table/log/{name}", b"{}")
        assert log.latest() == 1 and log.append(2).version == 2


def deep() -> list[Any]:
    """A list in a list in a list, deeper than JSON can be read."""
    found: list[Any] = []
    for _ in range(200_000):
        found = [found]
    return found


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"not JSON",
        pytest.param(b"[" * 200_000, id="deep"),
        entry_of(2, "t", 1),
        entry_of(1, "t", 1).replace(b'"format": 1', b'"format": 2'),
        b'{"kind":"entry","format":1,"version":1,"token":"t"}',
    ],
)
def test_what_is_no_entry_is_said_to_be_none(body: bytes) -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fake.put("bucket", ENTRY.format(1), body)
        log = CommitLog(filesystem(server.url), PATH)
        for call in (lambda: log.read(1), lambda: list(log.entries())):
            with pytest.raises(ValueError, match=r"bucket/table/log/0+1\.json"):
                call()


# --- answers that are lost ---------------------------------------------------------------------------


@pytest.mark.parametrize("puts", [[True], [False], [False, True], [False, False], [True, True]], ids=str)
def test_a_lost_answer_is_settled_by_the_entry(puts: list[bool]) -> None:
    """Nobody else is there: in the end the entry is ours, and there is one."""
    with losing(*puts) as (fs, store, _):
        log = CommitLog(fs, PATH)
        entry = log.append("ours")
        assert (entry.version, entry.data, store.lost) == (1, "ours", len(puts) - (puts == [True, True]))
        assert list(log.entries()) == [entry]
        assert log.append("next").version == 2


@pytest.mark.parametrize("applied", [True, False])
def test_a_rival_comes_while_the_answer_is_lost(applied: bool) -> None:
    """It has the number if ours was not applied; ours has the next one. Otherwise it has nothing."""
    with losing(applied) as (fs, store, _):
        theirs = entry_of(1, "rival", "theirs")

        def rival() -> None:
            if ("bucket", ENTRY.format(1)) not in store.fake.objects:
                store.fake.put("bucket", ENTRY.format(1), theirs)

        store.meanwhile = rival
        entry = CommitLog(fs, PATH).append("ours")
        assert entry.version == (1 if applied else 2)
        store.lost = 0
        log = CommitLog(fs, PATH)
        assert [it.data for it in log.entries()] == (["ours"] if applied else ["theirs", "ours"])


def test_equal_data_of_a_rival_is_not_ours() -> None:
    """Without a token, the entry of the rival would be taken for ours: one job, done twice."""
    with losing(False) as (fs, store, _):
        store.meanwhile = lambda: store.fake.put("bucket", ENTRY.format(1), entry_of(1, "rival", "job 17"))
        log = CommitLog(fs, PATH)
        with pytest.raises(CommitConflictError):
            log.append("job 17", expected=0)


def test_what_cannot_be_settled_says_where_to_look() -> None:
    with losing(False, denies="GET") as (fs, store, _):
        log = CommitLog(fs, PATH)
        log._known = 4
        with pytest.raises(WriteOutcomeUnknownError, match="entry 5") as caught:
            log.append("ours")
        error: Any = pickle.loads(pickle.dumps(caught.value))
        assert error.maybe_applied and error.version == 5 and len(error.token) == 32
        assert error.key == ENTRY.format(5)
        assert error.token in str(error) and not store.fake.objects


def test_a_refusal_after_a_lost_answer_is_no_proof() -> None:
    """The first request may be there, whatever the second is told."""
    with losing(True) as (fs, store, _):
        log = CommitLog(fs, PATH)
        log._known = 4
        store.meanwhile = lambda: setattr(store, "denies", "PUT") or store.fake.objects.clear()
        with pytest.raises(WriteOutcomeUnknownError):
            log.append("ours")


def test_a_refusal_alone_is_told_as_it_is() -> None:
    with losing(denies="PUT") as (fs, _, _server):
        with pytest.raises(AccessDeniedError) as caught:
            CommitLog(fs, PATH).append("ours")
        assert not caught.value.maybe_applied


def test_a_number_that_is_taken_by_nothing_is_an_error() -> None:
    """A store that says so, or whose listing lags: the next number would be behind a gap."""
    with losing() as (fs, store, _):
        log = CommitLog(fs, PATH)
        log.append(1)
        real = store.fault

        def refuse(request: Any, fake: FakeS3) -> Any:
            if request.method == "PUT" and request.path.endswith("2.json"):
                return s3_error(412, "PreconditionFailed")
            return real(request, fake)

        store.fake.fault = refuse
        with pytest.raises(FileNotFoundError):
            log.append(2)
        store.fake.fault = real
        assert log.latest() == 1 and log.append(2).version == 2


def test_a_listing_that_lags_is_no_gap() -> None:
    with losing() as (fs, store, _):
        log, other = CommitLog(fs, PATH), CommitLog(fs, PATH)
        log.append(1)
        other.append(2)
        real = store.fake._list_objects
        store.fake._list_objects = lambda request, bucket: real(  # type: ignore[method-assign]
            replace(request, query={**request.query, "prefix": "table/log/" + "0" * 19 + "1"}), bucket
        )
        assert log.append(3).version == 3 and [it.data for it in log.entries(1, 4)] == [1, 2, 3]


# --- stores, programs --------------------------------------------------------------------------------


def test_a_store_that_ignores_conditions_is_refused() -> None:
    fake = FakeS3("bucket", ignore_conditions=True)
    with ScriptedServer(handler=fake) as server:
        log = CommitLog(filesystem(server.url, probe="always"), PATH)
        with pytest.raises(PreconditionUnsupportedError, match="create"):
            log.append(1)
        assert not fake.objects


def test_in_a_transaction_it_is_done_at_once() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        log = CommitLog(fs, PATH)
        with pytest.raises(KeyError), fs.transaction:
            for number in range(1, 101):
                log.append(number)
            assert log.latest() == 100 and fs.exists(f"{PATH}/latest.json")
            raise KeyError
        assert log.latest() == 100


def test_threads_share_a_log(moto: MotoServer) -> None:
    store = new_store(moto)
    log = CommitLog(store.fs, store.path("log"))
    made: list[LogEntry] = []

    def work(name: int) -> None:
        for number in range(8):
            made.append(log.append([name, number]))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made.sort(key=lambda entry: entry.version)
    assert [entry.version for entry in made] == list(range(1, 49))
    assert list(CommitLog(store.fs, store.path("log")).entries()) == made


def test_a_log_is_pickled_with_its_filesystem() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        log = CommitLog(filesystem(server.url), PATH)
        log.append(1)
        other = pickle.loads(pickle.dumps(log))
        assert other.append(2).version == 2 and log.append(3).version == 3
        assert repr(other) == repr(log) == "<CommitLog bucket/table/log>"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda fs: CommitLog(fs, "bucket"), ValueError, "path must be a name in a bucket"),
        (lambda fs: CommitLog(fs, ""), ValueError, "path"),
        (lambda fs: CommitLog("fs", "bucket/log"), TypeError, "fs must be a GuardedS3FileSystem, not str"),
        (lambda fs: CommitLog(fs, PATH).append({1, 2}), TypeError, "set is not JSON serializable"),
        (lambda fs: CommitLog(fs, PATH).append(float("nan")), ValueError, "JSON has no NaN"),
        (lambda fs: CommitLog(fs, PATH).append(deep()), ValueError, "nested too deeply"),
        (lambda fs: CommitLog(fs, PATH).append(b"1"), TypeError, "bytes is not JSON serializable"),
        (lambda fs: CommitLog(fs, PATH).append(1, check=print), ValueError, "check needs expected"),
        (
            lambda fs: CommitLog(fs, PATH).append(1, expected=0, check=3),
            TypeError,
            "check must be a function",
        ),
        (lambda fs: CommitLog(fs, PATH).append(1, expected=-1), ValueError, "expected must be at least 0"),
        (lambda fs: CommitLog(fs, PATH).append(1, expected="1"), TypeError, "expected must be int"),
        (lambda fs: CommitLog(fs, PATH).read(0), ValueError, "version must be at least 1"),
        (lambda fs: CommitLog(fs, PATH).entries(0), ValueError, "start must be at least 1"),
        (lambda fs: CommitLog(fs, PATH).entries(1, "2"), TypeError, "end must be int"),
    ],
)
def test_bad_input_is_told_before_anything_is_sent(call: Any, error: type[Exception], words: str) -> None:
    with ScriptedServer([]) as server, pytest.raises(error, match=words):
        call(filesystem(server.url))


def test_a_path_with_a_version_is_none() -> None:
    fs = GuardedS3FileSystem(anon=True, endpoint_url="http://127.0.0.1:9", version_aware=True)
    with pytest.raises(ValueError, match="path"):
        CommitLog(fs, "bucket/log?versionId=7")


def test_in_a_directory_bucket() -> None:
    """Which lists in no order, and from the beginning."""
    with directory() as (fs, bucket):
        fake = bucket.fake
        fake.order = lambda key: key[::-1]
        log = CommitLog(fs, f"{DIRECTORY}/log")
        for number in range(1, 104):
            assert log.append(number).version == number
        assert CommitLog(fs, f"{DIRECTORY}/log").latest() == log.latest() == 103
        assert CommitLog(fs, f"{DIRECTORY}/log").append(0, expected=103).version == 104


@pytest.mark.parametrize("known", [2, 100, 101, 137])
@pytest.mark.parametrize("more", [0, 1, 2, 3, 7, 8, 64, 100, 1000])
def test_in_a_directory_bucket_a_look_takes_as_long_however_many_entries_there_are(
    known: int, more: int
) -> None:
    with directory() as (fs, bucket):
        for number in range(1, known + more + 1):
            bucket.fake.put(DIRECTORY, f"log/{number:020}.json", entry_of(number, "t", None))
        log = CommitLog(fs, f"{DIRECTORY}/log")
        log.read(known)
        seen = len(bucket.asked)
        assert log.latest() == known + more
        asked = bucket.asked[seen:]
        assert {request.method for request in asked} == {"HEAD"}
        assert len(asked) <= 2 + 2 * more.bit_length()
        seen = len(bucket.asked)
        assert log.latest() == known + more
        assert len(bucket.asked) - seen == 2
        assert log.append(1, expected=known + more).version == known + more + 1


def test_in_a_directory_bucket_a_hint_of_a_log_that_was_there_before_is_seen_through() -> None:
    with directory() as (fs, bucket):
        bucket.fake.put(DIRECTORY, "log/latest.json", b'{"kind": "hint", "format": 1, "version": 500}')
        log = CommitLog(fs, f"{DIRECTORY}/log")
        assert log.latest() == 0
        assert [log.append(number).version for number in range(3)] == [1, 2, 3]
        assert CommitLog(fs, f"{DIRECTORY}/log").latest() == 3


def test_in_a_directory_bucket_what_cannot_be_looked_at_is_no_end_of_the_log() -> None:
    with directory(max_attempts=1) as (fs, bucket):
        log = CommitLog(fs, f"{DIRECTORY}/log")
        for number in range(5):
            log.append(number)
        other = CommitLog(fs, f"{DIRECTORY}/log")
        other.read(2)
        for status in (403, 500):
            bucket.fake.fault = lambda request, fake, status=status: (
                s3_error(status, "AccessDenied" if status == 403 else "InternalError")
                if request.method == "HEAD" and request.path.endswith("3.json")
                else None
            )
            with pytest.raises(GuardedS3Error):
                other.latest()
        bucket.fake.fault = None
        assert other.latest() == 5
