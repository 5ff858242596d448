"""A transaction of a table is published as a whole, in one step, or not at all."""

from __future__ import annotations

import copy
import gzip
import io
import logging
import os
import pickle
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    AccessDeniedError,
    CommitConflictError,
    PreconditionUnsupportedError,
    TransactionError,
    WriteOutcomeUnknownError,
)
from fsspec_guarded_s3.integrations import commit_manifest
from fsspec_guarded_s3.integrations.commit import Snapshot, Table, TableTransaction
from tests.commits.tables import ENTRY, PATH, contents, data_of, losing_table, new_table, write
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import ScriptedServer, s3_error
from tests.servers import MotoServer
from tests.stores import new_store


def test_what_is_written_together_appears_together(moto: MotoServer, tmp_path: Path) -> None:
    store = new_store(moto)
    table = Table.create(store.fs, f"gs3://{store.path('a [b]/table/')}")
    local = tmp_path / "local"
    local.write_bytes(b"local")
    large = os.urandom(11 * MIB)
    with table.transaction() as t:
        t.pipe_file("a/b.csv", b"bytes")
        with t.open("text", "w", encoding="utf-16") as file:
            file.write("ü")
        with t.open("large", "xb") as file:
            file.write(large)
        with t.open("packed.gz", compression="gzip") as file:
            file.write(b"packed")
        with t.open("archive.zip", "w+b") as file, zipfile.ZipFile(file, "w") as archive:
            archive.writestr("one", b"1")
        t.put_file(str(local), "ü/put")
        t.pipe_file("empty", b"")
        assert len(table.snapshot()) == 0
    snapshot = Table(store.fs, store.path("a [b]/table")).snapshot()
    assert snapshot == t.published and snapshot.version == 2
    assert dict(snapshot) == dict(t.published or {})
    found = {name: snapshot.cat_file(name) for name in snapshot}
    assert found.pop("text").decode("utf-16") == "ü" and found.pop("large") == large
    assert gzip.decompress(found.pop("packed.gz")) == b"packed"
    assert zipfile.ZipFile(io.BytesIO(found.pop("archive.zip"))).namelist() == ["one"]
    assert found == {"a/b.csv": b"bytes", "ü/put": b"local", "empty": b""}
    snapshot.verify()
    assert store.fs.list_uploads(store.bucket) == []


def test_objects_are_replaced_and_removed(moto: MotoServer) -> None:
    store = new_store(moto)
    table = Table.create(store.fs, store.path("table"))
    write(table, a=b"1", b=b"1", c=b"1")
    with table.transaction() as t:
        t.pipe_file("a", b"2")
        t.rm_file("b")
        t.pipe_file("d", b"2")
        t.rm_file("d")
        t.rm_file("c")
        t.pipe_file("c", b"2")
        t.pipe_file("c", b"3")
    assert contents(table) == {"a": b"2", "c": b"3"}
    assert contents(table, 2) == {"a": b"1", "b": b"1", "c": b"1"} and contents(table, 1) == {}


def test_requests() -> None:
    """As docs/commits.md says."""
    with new_table() as (table, _, server):
        write(table, a=b"1")

        def asked(since: int) -> list[str]:
            return ["LIST" if "list-type" in it.query else it.method for it in server.requests[since:]]

        seen = len(server.requests)
        write(table, a=b"1", b=b"2")
        assert asked(seen) == ["LIST", "GET", "PUT", "PUT", "PUT"]
        seen = len(server.requests)
        with table.transaction() as t, t.open("c", "wb") as file:
            file.write(b"3")
        assert asked(seen) == ["LIST", "GET", "HEAD", "PUT", "LIST", "PUT"]
        seen = len(server.requests)
        snapshot = table.snapshot()
        assert asked(seen) == ["LIST", "GET"]
        seen = len(server.requests)
        assert snapshot.cat_file("a") == b"1" and snapshot.open("b").read() == b"2"
        assert asked(seen) == ["GET", "GET"]


def test_nothing_changed_is_no_version() -> None:
    with new_table() as (table, fake, _):
        with table.transaction() as t:
            pass
        assert t.published == table.snapshot() and len(fake.objects) == 1
        with table.transaction() as t:
            file = t.open("a")
            file.discard()
        assert t.published == table.snapshot() and table.log.latest() == 1


# --- exceptions, and files that are not whole ----------------------------------------------------------


def test_an_exception_publishes_nothing_and_leaves_nothing() -> None:
    with new_table() as (table, fake, _):
        write(table, kept=b"1")
        with pytest.raises(ZeroDivisionError), table.transaction() as t:
            t.pipe_file("a", b"1")
            with t.open("b") as file:
                file.write(b"1")
            t.rm_file("kept")
            still_open = t.open("c")
            still_open.write(b"1" * 100)
            raise ZeroDivisionError
        assert contents(table) == {"kept": b"1"} and table.log.latest() == 2
        assert data_of(fake) == ["kept"] and not fake.uploads
        assert still_open.state == "ABORTED"
        with pytest.raises(ValueError, match="discarded"):
            t.commit()


@pytest.mark.parametrize("error", [KeyError, StopIteration, GeneratorExit, KeyboardInterrupt, SystemExit(1)])
def test_every_exception_publishes_nothing(error: Any) -> None:
    with new_table() as (table, fake, _):
        kind = error if isinstance(error, type) else type(error)
        with pytest.raises(kind), table.transaction() as t:
            t.pipe_file("a", b"1")
            raise error
        assert table.log.latest() == 1 and data_of(fake) == []


def test_sys_exit_is_no_error() -> None:
    with new_table() as (table, _, _server):
        with pytest.raises(SystemExit), table.transaction() as t:
            t.pipe_file("a", b"1")
            raise SystemExit(0)
        assert contents(table) == {"a": b"1"}


def test_an_end_of_a_loop_that_swallows_it_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with new_table() as (table, _, _server):

        def writing() -> Any:
            with table.transaction() as t:
                t.pipe_file("a", b"1")
                yield

        generator = writing()
        next(generator)
        generator.close()
        assert table.log.latest() == 1
        [record] = [it for it in caplog.records if it.levelno == logging.WARNING]
        assert PATH in record.getMessage() and "GeneratorExit" in record.getMessage()


def test_a_file_that_is_left_open_is_an_error() -> None:
    with new_table() as (table, fake, _):
        with pytest.raises(ValueError, match="b was not closed"), table.transaction() as t:
            t.pipe_file("a", b"1")
            t.open("b").write(b"1")
        assert table.log.latest() == 1 and data_of(fake) == []


def test_a_file_that_failed_is_an_error() -> None:
    with new_table(max_attempts=1) as (table, fake, _):
        refuses = [False]
        fake.fault = lambda request, _: (
            s3_error(403, "AccessDenied")
            if refuses[0] and request.method == "PUT" and "/data/" in request.path
            else None
        )
        with pytest.raises(AccessDeniedError), table.transaction() as t:
            t.pipe_file("a", b"1")
            file = t.open("b")
            file.write(b"1")
            refuses[0] = True
            with pytest.raises(AccessDeniedError):
                file.close()
        assert table.log.latest() == 1 and data_of(fake) == []


def test_a_file_whose_exception_is_caught_changes_nothing() -> None:
    with new_table() as (table, _, _server):
        write(table, a=b"1")
        with table.transaction() as t:
            try:
                with t.open("a") as file:
                    file.write(b"half")
                    raise ZeroDivisionError
            except ZeroDivisionError:
                t.pipe_file("failed", b"yes")
        assert contents(table) == {"a": b"1", "failed": b"yes"}


def test_a_transaction_of_the_filesystem_has_no_part_in_it() -> None:
    with new_table() as (table, _, _server):
        with pytest.raises(ZeroDivisionError), table.fs.transaction:
            with table.transaction() as t:
                t.pipe_file("a", b"1")
                with t.open("b") as file:
                    file.write(b"2")
            assert contents(table) == {"a": b"1", "b": b"2"}
            raise ZeroDivisionError
        assert contents(table) == {"a": b"1", "b": b"2"}


# --- rivals --------------------------------------------------------------------------------------------


def test_changes_of_different_objects_are_both_there() -> None:
    with new_table() as (table, _, _server):
        write(table, a=b"1", b=b"1", c=b"1")
        with table.transaction() as ours:
            ours.pipe_file("a", b"ours")
            ours.rm_file("c")
            for number in range(5):
                write(table, b=b"%d" % number, **{f"new-{number}": b"theirs"})
        assert ours.published is not None and ours.published.version == 8
        expected = {"a": b"ours", "b": b"4", **{f"new-{number}": b"theirs" for number in range(5)}}
        assert contents(table) == expected == contents(table, 8)
        assert dict(ours.published) == dict(table.snapshot())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"a": b"2"}, {"a": b"3"}),
        ({"a": b"2"}, {"a": b"2"}),
        ({"a": b"1"}, {"a": b"1"}),
        ({"a": None}, {"a": b"3"}),
        ({"a": b"2"}, {"a": None}),
        ({"a": None}, {"a": None}),
        ({"new": b"2"}, {"new": b"2"}),
        ({"b": b"2", "new": b"2"}, {"new": b"3", "c": b"3"}),
    ],
)
def test_changes_of_the_same_object_are_a_conflict(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    with new_table() as (table, fake, _):
        write(table, a=b"1", b=b"1")
        with pytest.raises(CommitConflictError, match="changed") as caught, table.transaction() as t:
            for name, content in ours.items():
                t.rm_file(name) if content is None else t.pipe_file(name, content)
            write(table, **theirs)
        assert caught.value.version == 3 == table.log.latest() and not caught.value.maybe_applied
        wanted = {"a": b"1", "b": b"1", **theirs}
        assert contents(table) == {name: it for name, it in wanted.items() if it is not None}
        assert t.published is None and data_of(fake).count("new") == ("new" in theirs)


def test_changed_and_changed_back_is_a_conflict_too() -> None:
    """The same bytes are another object of the table."""
    with new_table() as (table, _, _server):
        write(table, a=b"1")
        with pytest.raises(CommitConflictError), table.transaction() as t:
            t.pipe_file("a", b"ours")
            write(table, a=b"2")
            write(table, a=b"1")
        assert contents(table) == {"a": b"1"}


def test_an_expected_version_stands_for_all_objects() -> None:
    with new_table() as (table, _, _server):
        write(table, a=b"1")
        seen = table.snapshot()
        with table.transaction(expected=seen) as t:
            t.pipe_file("b", b"1")
        with pytest.raises(CommitConflictError, match="version 3"), table.transaction(seen) as t:
            t.pipe_file("c", b"1")
        assert contents(table) == {"a": b"1", "b": b"1"}


def test_a_snapshot_of_another_store_is_none_of_this_table() -> None:
    """Its version would be published here, with objects that are there."""
    with new_table() as (table, fake, _), new_table() as (other, _, _server):
        write(other, a=b"1")
        write(table, b=b"1")
        before = dict(fake.objects)
        with pytest.raises(ValueError, match="not version 2 of this table, but one of another store"):
            table.transaction(expected=other.snapshot())
        write(other, a=b"2")
        with pytest.raises(FileNotFoundError, match="there is no version 3"):
            table.transaction(expected=other.snapshot())
        assert fake.objects == before


def test_a_snapshot_that_was_read_with_another_filesystem_is_expected_too() -> None:
    with new_table() as (table, _, server):
        write(table, a=b"1")
        seen = Table(filesystem(server.url, block_size=MIB), PATH).snapshot()
        with table.transaction(expected=seen) as t:
            t.pipe_file("b", b"1")
        assert contents(table) == {"a": b"1", "b": b"1"} and t.base.fs is table.fs
        with pytest.raises(CommitConflictError), table.transaction(expected=seen) as t:
            t.pipe_file("b", b"1")


def test_check_decides_what_others_may_have_done() -> None:
    with new_table() as (table, _, _server):
        write(table, a=b"1")
        seen = table.snapshot()
        write(table, b=b"1")
        calls: list[Snapshot] = []

        def check(now: Snapshot) -> None:
            calls.append(now)
            if "forbidden" in now:
                raise LookupError
            if len(calls) == 1:
                write(table, c=b"1")

        with table.transaction(seen, check) as t:
            t.pipe_file("d", b"1")
        assert [it.version for it in calls] == [3, 4] and t.published is not None and t.published.version == 5
        assert sorted(contents(table)) == ["a", "b", "c", "d"]
        write(table, forbidden=b"1")
        with pytest.raises(LookupError), table.transaction(seen, check) as t:
            t.pipe_file("e", b"1")
        assert "e" not in contents(table)
        with pytest.raises(CommitConflictError), table.transaction(seen, lambda now: None) as t:
            t.pipe_file("forbidden", b"2")


def test_many_writers_lose_nothing(moto: MotoServer) -> None:
    store = new_store(moto)
    table = Table.create(store.fs, store.path("table"))

    def work(name: int) -> None:
        for number in range(4):
            write(table, **{f"{name}-{number}": b"%d %d" % (name, number)})

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table.log.latest() == 17
    assert contents(table) == {f"{a}-{b}": b"%d %d" % (a, b) for a in range(4) for b in range(4)}
    for version in range(1, 18):
        assert len(table.snapshot(version)) == version - 1


def test_threads_share_a_transaction(moto: MotoServer) -> None:
    store = new_store(moto)
    table = Table.create(store.fs, store.path("table"))
    with table.transaction() as t:
        calls = [(f"n{number}", b"%d" % number) for number in range(24)]
        threads = [threading.Thread(target=t.pipe_file, args=call) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert contents(table) == dict(calls) and table.log.latest() == 2


# --- answers that are lost -----------------------------------------------------------------------------


@pytest.mark.parametrize("puts", [[True], [False], [False, False], [False, True]], ids=str)
def test_a_lost_answer_is_settled(puts: list[bool]) -> None:
    with losing_table() as (table, store):
        with table.transaction() as t:
            t.pipe_file("a", b"1")
            store.puts = list(puts)
        store.lost = 0
        assert contents(table) == {"a": b"1"} and table.log.latest() == 2


def test_after_an_unknown_outcome_no_object_is_removed() -> None:
    """Readers may see the version. Removing its objects would make it one that nobody can read."""
    with losing_table() as (table, store):
        with pytest.raises(WriteOutcomeUnknownError), table.transaction() as t:
            t.pipe_file("a", b"1")
            store.puts, store.denies = [True], "GET"
        assert "of unknown outcome" in repr(t)
        store.denies, store.lost = "", 0
        assert contents(table) == {"a": b"1"}
        with pytest.raises(ValueError, match="unknown"):
            t.pipe_file("b", b"1")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("applied", [True, False])
def test_an_interrupted_commit_removes_no_object(
    error: type[BaseException], applied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_table() as (table, fake, _):
        real = table.log.claim

        def claim(*arguments: Any) -> bool:
            if applied:
                real(*arguments)
            raise error

        monkeypatch.setattr(table.log, "claim", claim)
        with pytest.raises(error), table.transaction() as t:
            t.pipe_file("a", b"1")
        assert data_of(fake) == ["a"]
        assert contents(Table(table.fs, PATH)) == ({"a": b"1"} if applied else {})


def test_a_refused_entry_leaves_nothing() -> None:
    with new_table(max_attempts=1) as (table, fake, _):
        fake.fault = lambda request, _: (
            s3_error(403, "AccessDenied") if request.method == "PUT" and "/_log/" in request.path else None
        )
        with pytest.raises(AccessDeniedError), table.transaction() as t:
            t.pipe_file("a", b"1")
        assert data_of(fake) == [] and table.log.latest() == 1


def test_what_may_not_be_removed_stays_and_the_error_is_the_first_one() -> None:
    with new_table() as (table, fake, _):
        with pytest.raises(ZeroDivisionError), table.transaction() as t:
            t.pipe_file("a", b"1")
            fake.fault = lambda request, _: (
                s3_error(403, "AccessDenied") if request.method in ("DELETE", "POST") else None
            )
            raise ZeroDivisionError
        assert data_of(fake) == ["a"] and table.log.latest() == 1


def test_the_listing_lacks_an_object() -> None:
    """As where a store lists late: HeadObject tells of it."""
    with new_table() as (table, fake, _):
        with table.transaction() as t:
            with t.open("a") as file:
                file.write(b"1")
            fake.order = lambda key: key
            real = fake._list_objects
            fake._list_objects = lambda request, bucket: real(  # type: ignore[method-assign]
                request, bucket if "data" not in request.query.get("prefix", "") else "none"
            )
        assert contents(table) == {"a": b"1"}


# --- time, processes, stores -----------------------------------------------------------------------------


@pytest.mark.parametrize("clock", ["monotonic", "time"])
def test_a_transaction_that_took_too_long_publishes_nothing(
    clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vacuum may have removed what it wrote at its beginning."""
    with new_table() as (table, fake, _):
        half = 7 * 86_400 / 2
        real = getattr(time, clock)
        t = table.transaction()
        t.pipe_file("a", b"1")
        monkeypatch.setattr(time, clock, lambda: real() + half - 100)
        late = table.transaction()
        assert t.commit().version == 2
        late.pipe_file("b", b"1")
        monkeypatch.setattr(time, clock, lambda: real() + 2 * half)
        with pytest.raises(TransactionError, match="half of the table's grace") as caught:
            late.commit()
        monkeypatch.setattr(time, clock, real)
        assert contents(table) == {"a": b"1"} and data_of(fake) == ["a"]
        assert [path.rpartition("/")[2] for path in caught.value.unpublished] == ["b"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_neither_writes_nor_publishes() -> None:
    with new_table() as (table, fake, _):
        with table.transaction() as t:
            t.pipe_file("a", b"1")
            child = os.fork()
            if not child:
                failed = 0
                for call in (lambda: t.pipe_file("b", b""), t.commit, t.discard, lambda: t.rm_file("a")):
                    try:
                        call()
                    except RuntimeError as error:
                        failed += "process" in str(error)
                t.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
                os._exit(failed)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
            assert data_of(fake) == ["a"]
        assert contents(table) == {"a": b"1"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_has_transactions_of_its_own() -> None:
    with new_table() as (table, _, _server):
        write(table, a=b"1")
        child = os.fork()
        if not child:
            status = 1
            try:
                status = 0 if write(table, b=b"1") == 3 else 1
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert write(table, c=b"1") == 4 and sorted(contents(table)) == ["a", "b", "c"]


def test_a_transaction_is_not_copied() -> None:
    with new_table() as (table, _, _server):
        t = table.transaction()
        for call in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="process"):
                call(t)


def test_a_table_is_pickled() -> None:
    with new_table() as (table, _, _server):
        other = pickle.loads(pickle.dumps(table))
        assert write(other, a=b"1") == 2 and contents(table) == {"a": b"1"}
        assert repr(other) == repr(table) == "<Table bucket/table>"


def test_a_store_that_ignores_conditions_is_refused() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, probe="always")
        fake.ignore_conditions = True
        with pytest.raises(PreconditionUnsupportedError):
            Table.create(fs, PATH)
        assert not fake.objects
        fake.ignore_conditions = False
    with new_table() as (_, fake, server):
        other = Table(filesystem(server.url, probe="always"), PATH)
        t = other.transaction()
        fake.ignore_conditions = True
        with pytest.raises(PreconditionUnsupportedError):
            t.pipe_file("a", b"1")
        assert data_of(fake) == []


def test_a_table_is_created_once() -> None:
    with new_table() as (table, fake, _):
        write(table, a=b"1")
        with pytest.raises(FileExistsError, match=r"Table\(fs, path\) opens it"):
            Table.create(table.fs, PATH)
        assert contents(Table.create(table.fs, PATH, exist_ok=True)) == {"a": b"1"}
        fake.objects.clear()
        for call in (Table(table.fs, PATH).snapshot, Table(table.fs, PATH).transaction):
            with pytest.raises(FileNotFoundError, match=r"Table\.create"):
                call()


def test_many_changes_are_no_work_for_each_other() -> None:
    """Each looked at all before it: 50,000 took a minute."""
    with new_table() as (table, _, _server):
        names = [f"{number:05}" for number in range(50_000)]
        rows = {name: (f"data/{'0' * 32}/1/{name}", '"e"', 1) for name in names}
        assert table.log.claim(2, "token", commit_manifest.whole(rows, 7 * 86_400.0))
        t = table.transaction()
        began = time.thread_time()  # what others do on this machine is no work of ours
        for name in names:
            t.rm_file(name)
        assert time.thread_time() - began < 6
        assert t.commit().version == 3 and len(table.snapshot()) == 0


def test_names_that_are_there_or_not() -> None:
    with new_table() as (table, _, _server):
        write(table, a=b"1")
        with table.transaction() as t:
            for call in (
                lambda: t.open("a", "x"),
                lambda: t.pipe_file("a", b"", mode="create"),
                lambda: t.put_file("nowhere", "a", mode="create"),
            ):
                with pytest.raises(FileExistsError):
                    call()
            for name in ("b", "a/b", ""):
                with pytest.raises(FileNotFoundError):
                    t.rm_file(name)
            t.rm_file("a")
            with pytest.raises(FileNotFoundError, match="removed"):
                t.rm_file("a")
            t.pipe_file("a", b"2", mode="create")
            with pytest.raises(FileExistsError):
                t.open("a", "xb")
        assert contents(table) == {"a": b"2"}


def _begun(fs: Any) -> TableTransaction:
    manifest = commit_manifest.Manifest({}, 1, {}, 7 * 86_400)
    return Table(fs, PATH).transaction(Snapshot(fs, PATH, 1, manifest))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda fs: Table(fs, "bucket"), ValueError, "path"),
        (
            lambda fs: Table.create(fs, PATH, grace=60),
            ValueError,
            "grace must be 86400 to [0-9]+ seconds, not 60",
        ),
        (lambda fs: Table.create(fs, PATH, grace=float("nan")), ValueError, "grace"),
        (lambda fs: Table.create(fs, PATH, grace=float("inf")), ValueError, "grace"),
        (lambda fs: Table.create(fs, PATH, grace="1 week"), TypeError, "grace must be a number of seconds"),
        (lambda fs: Table.create(fs, PATH, grace=True), TypeError, "grace"),
        (lambda fs: Table(fs, PATH).snapshot(0), ValueError, "version must be at least 1"),
        (lambda fs: Table(fs, PATH).transaction(1), TypeError, "expected must be Snapshot, not int"),
        (lambda fs: Table(fs, PATH).transaction(check=print), ValueError, "check needs expected"),
        (
            lambda fs: Table(fs, PATH).transaction(_begun(fs).base, check=3),
            TypeError,
            "check must be a function, not int",
        ),
        *(
            (
                lambda fs, call=call: call(_begun(fs)),
                TypeError,
                "does not take if_match: the commit finds out",
            )
            for call in (
                lambda t: t.open("a", "wb", if_match='"e"'),
                lambda t: t.pipe_file("a", b"", if_match='"e"'),
                lambda t: t.put_file(__file__, "a", if_match='"e"'),
            )
        ),
        (
            lambda fs: Table(fs, "bucket/x").transaction(_begun(fs).base),
            ValueError,
            "snapshot of bucket/table",
        ),
        (lambda fs: _begun(fs).open("a", "rb"), ValueError, "mode must be of the kind 'w' or 'x'"),
        (lambda fs: _begun(fs).open("a", "ab"), ValueError, "mode"),
        (lambda fs: _begun(fs).open("a", None), ValueError, "mode"),
        (lambda fs: _begun(fs).pipe_file("a", b"", mode="x"), ValueError, "mode must be 'overwrite' or"),
        (lambda fs: _begun(fs).pipe_file("a", "text"), TypeError, "bytes"),
        (lambda fs: _begun(fs).pipe_file("a", b"", colour="red"), TypeError, "colour"),
        (lambda fs: _begun(fs).pipe_file(7, b""), TypeError, "name must be str, not int"),
        *(
            (lambda fs, name=name: _begun(fs).pipe_file(name, b""), ValueError, "relative path")
            for name in ("", "/a", "a/", "a//b", ".", "../a", "a/./b", "a/..")
        ),
    ],
)
def test_bad_input_is_told_before_anything_is_sent(call: Any, error: type[Exception], words: str) -> None:
    with ScriptedServer([]) as server, pytest.raises(error, match=words):
        call(filesystem(server.url))


# --- large tables --------------------------------------------------------------------------------------


def test_entries_of_a_large_table_say_what_is_different(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what readers see is what was written, whichever of them a version is read from."""
    monkeypatch.setattr(commit_manifest, "_WHOLE", 4)
    with new_table() as (table, _, _server):
        wanted: dict[str, bytes] = {}
        versions: dict[int, dict[str, bytes]] = {}
        for number in range(60):
            change: dict[str, bytes | None] = {f"n{number}": b"%d" % number, f"r{number % 7}": b"%d" % number}
            if number > 10 and f"n{number - 9}" in wanted and number % 3 == 0:
                change[f"n{number - 9}"] = None
            versions[write(table, **change)] = wanted = {
                name: it for name, it in {**wanted, **change}.items() if it is not None
            }
        entries = [entry.data for entry in table.log.entries()]
        bases = [data["base"] for data in entries]
        assert bases.count(None) < 25 and len(set(bases)) > 3
        assert all(entries[base - 1]["base"] is None for base in bases if base)
        rows = sum(len(data["objects"]) for data in entries)
        assert rows < 0.6 * sum(map(len, versions.values()))
        for version, expected in list(versions.items())[::7]:
            assert contents(table, version) == expected
            assert contents(Table(table.fs, PATH), version) == expected


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"base": None, "objects": {}, "removed": []},
        {"base": None, "objects": {"a": ["x"]}, "removed": [], "grace": 1},
        {"base": "x", "objects": {}, "removed": [], "grace": 1},
    ],
)
def test_an_entry_of_something_else_is_said_to_be_none(data: Any) -> None:
    with new_table() as (table, _, _server):
        table.log.append(data)
        with pytest.raises(ValueError, match=ENTRY.format(2)):
            table.snapshot()
