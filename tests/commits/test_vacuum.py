"""Vacuum removes what nobody can need any more, and nothing else, by the clock of the store."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from fsspec_guarded_s3 import AccessDeniedError, ObjectChangedError, TransactionError
from fsspec_guarded_s3.integrations import commit_manifest
from fsspec_guarded_s3.integrations.commit import Table
from tests import fake_s3
from tests.commits.tables import PATH, contents, data_of, new_table, write
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, s3_error

DAY = 86_400.0
GRACE = 7 * DAY


def age(fake: FakeS3, days: float, *, only: Callable[[str], bool] = lambda key: True) -> None:
    """Make objects older."""
    for slot, stored in list(fake.objects.items()):
        if only(slot[1]):
            fake.objects[slot] = replace(stored, modified=stored.modified - timedelta(days=days))


def leave(table: Table, name: str) -> None:
    """What a writer leaves who is killed before its commit."""
    table.transaction().pipe_file(name, b"left")


def test_young_objects_stay() -> None:
    with new_table() as (table, fake, _):
        write(table, a=b"1")
        write(table, a=b"2")
        leave(table, "left")
        before = dict(fake.objects)
        assert table.vacuum() == table.vacuum(10 * GRACE) == table.vacuum(dry_run=True) == []
        assert fake.objects == before


def test_old_objects_go_that_no_version_needs() -> None:
    with new_table() as (table, fake, _):
        write(table, a=b"1", kept=b"1")
        write(table, a=b"2")
        write(table, b=b"1")
        write(table, b=None)
        leave(table, "left")
        age(fake, 8)
        leave(table, "young")
        assert data_of(fake) == ["a", "a", "b", "kept", "left", "young"]
        wanted = table.vacuum(dry_run=True)
        assert sorted(path.rpartition("/")[2] for path in wanted) == ["a", "b", "left"]
        assert len(data_of(fake)) == 6
        assert table.vacuum() == wanted and table.vacuum() == []
        assert data_of(fake) == ["a", "kept", "young"]
        assert contents(table) == {"a": b"2", "kept": b"1"}
        table.snapshot().verify()
        with pytest.raises(FileNotFoundError):
            table.snapshot(2).cat_file("a")
        assert table.snapshot(2).cat_file("kept") == b"1"


def test_what_was_there_before_the_table_stays() -> None:
    """Somebody may make a table where a folder `data` is."""
    with new_table() as (table, fake, _):
        names = ["data/a.csv", "data/2024/1/a.csv", f"data/{'0' * 31}/1/a", f"data/{'0' * 32}", "data.csv"]
        for name in names:
            table.fs.pipe_file(f"{PATH}/{name}", b"1")
        leave(table, "left")
        age(fake, 8)
        assert [path.rpartition("/")[2] for path in table.vacuum()] == ["left"]
        assert [table.fs.cat_file(f"{PATH}/{name}") for name in names] == [b"1"] * len(names)


@pytest.mark.parametrize("older_than", [None, GRACE, timedelta(days=9), 9 * DAY])
def test_a_version_stays_readable_for_that_time_after_it_was_replaced(older_than: Any) -> None:
    days = 7 if older_than in (None, GRACE) else 9
    with new_table() as (table, fake, _):
        for number in range(6):
            write(table, a=b"%d" % number)
            age(fake, 2)
        # Version 7 is the newest. Version n was replaced (7 - n) * 2 days ago.
        table.vacuum(older_than)
        for version in range(2, 8):
            if (7 - version) * 2 < days:
                table.snapshot(version).verify()
            else:
                with pytest.raises(FileNotFoundError):
                    table.snapshot(version).verify()


def test_a_reader_is_not_disturbed() -> None:
    with new_table() as (table, fake, _):
        write(table, a=b"1", b=b"1")
        age(fake, 100)
        snapshot = table.snapshot()
        write(table, a=b"2", b=None)
        table.vacuum()
        assert snapshot.cat_file("a") == snapshot.cat_file("b") == b"1"


def test_a_transaction_at_work_is_not_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has half of the grace, and what it wrote stays for all of it. After that, it publishes nothing."""
    with new_table() as (table, fake, _):
        t = table.transaction()
        t.pipe_file("a", b"1")
        age(fake, 3.4)
        assert table.vacuum() == []
        write(table, b=b"1")
        assert table.vacuum() == []
        t.commit()
        assert contents(table) == {"a": b"1", "b": b"1"}

        late = table.transaction()
        late.pipe_file("c", b"1")
        age(fake, 8, only=lambda key: key.endswith("/c"))
        assert len(table.vacuum()) == 1
        monotonic = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 8 * DAY)
        with pytest.raises(TransactionError):
            late.commit()
        monkeypatch.undo()
        assert sorted(contents(table)) == ["a", "b"]


def test_the_clock_of_this_machine_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it is 30 days later than in the store. What was just written is young."""
    monkeypatch.setattr(fake_s3, "now", lambda: datetime.now(timezone.utc) - timedelta(days=30))
    with new_table() as (table, fake, _):
        write(table, a=b"1")
        write(table, a=b"2")
        leave(table, "left")
        for slot, stored in fake.objects.items():  # whose own default was made before
            fake.objects[slot] = replace(stored, modified=fake_s3.now())
        _stamp(fake)
        assert table.vacuum() == [] and data_of(fake) == ["a", "a", "left"]


def _stamp(fake: FakeS3) -> None:
    """Objects that are written have the time of the store."""

    def after(request: Request, reply: Any) -> None:
        slot = tuple(request.path.strip("/").split("/", 1))
        if request.method == "PUT" and slot in fake.objects:
            fake.objects[slot] = replace(fake.objects[slot], modified=fake_s3.now())  # type: ignore[index]

    fake.after = after  # type: ignore[assignment]


def test_a_store_whose_clock_is_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    with new_table() as (table, fake, _):
        write(table, a=b"1")
        leave(table, "left")
        monkeypatch.setattr(fake_s3, "now", lambda: datetime.now(timezone.utc) + timedelta(days=30))
        _stamp(fake)
        assert [path.rpartition("/")[2] for path in table.vacuum()] == ["left"]


def test_an_object_that_is_replaced_before_the_delete_stays() -> None:
    """Nobody may do so; and if somebody does, nothing of theirs is deleted."""
    with new_table() as (table, fake, _):
        leave(table, "left")
        age(fake, 8)
        [slot] = [slot for slot in fake.objects if slot[1].endswith("/left")]

        def fault(request: Request, _: FakeS3) -> Answer | None:
            if request.method == "POST" and "delete" in request.query:
                fake.put(*slot, b"somebody's")
            return None

        fake.fault = fault
        with pytest.raises(ObjectChangedError):
            table.vacuum()
        assert fake.objects[slot].body == b"somebody's"


def test_a_store_without_conditional_deletes(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeS3("bucket", ignored=("delete", "delete_many"))
    with ScriptedServer(handler=fake) as server:
        table = Table.create(filesystem(server.url, probe="always"), PATH)
        write(table, a=b"1")
        leave(table, "left")
        age(fake, 8)
        caplog.set_level(logging.ERROR)
        assert len(table.vacuum()) == 1
        assert data_of(fake) == ["a"] and contents(table) == {"a": b"1"}


def test_what_may_not_be_deleted_is_told() -> None:
    with new_table() as (table, fake, _):
        leave(table, "left")
        age(fake, 8)
        fake.fault = lambda request, _: s3_error(403, "AccessDenied") if request.method == "POST" else None
        with pytest.raises(AccessDeniedError):
            table.vacuum()
        fake.fault = None
        assert len(table.vacuum()) == 1


def test_the_object_that_shows_the_time_is_removed() -> None:
    with new_table() as (table, fake, _):
        table.vacuum()
        assert data_of(fake) == []
        fake.fault = lambda request, _: s3_error(403, "AccessDenied") if request.method == "HEAD" else None
        with pytest.raises(PermissionError):
            table.vacuum()
        fake.fault = None
        age(fake, 8)
        assert [path.rpartition("/")[2] for path in table.vacuum()] in (["clock"], [])
        assert data_of(fake) == []


def test_two_at_once() -> None:
    with new_table() as (table, fake, _):
        write(table, a=b"1")
        for number in range(20):
            leave(table, f"left-{number}")
        age(fake, 8)
        found: list[list[str]] = []
        threads = [threading.Thread(target=lambda: found.append(table.vacuum())) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3 and max(map(len, found)) == 20
        assert data_of(fake) == ["a"] and contents(table) == {"a": b"1"}


def test_entries_that_say_what_is_different_keep_all_that_they_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_manifest, "_WHOLE", 4)
    with new_table() as (table, fake, _):
        for number in range(40):
            write(table, **{f"n{number}": b"1", f"r{number % 5}": b"%d" % number})
            if number == 20:
                age(fake, 8)
        wanted = contents(table)
        newest = table.log.latest()
        table.vacuum()
        assert contents(table) == wanted
        for version in range(23, newest + 1, 3):
            table.snapshot(version).verify()
        age(fake, 8)
        table.vacuum()
        assert contents(table) == wanted and len(data_of(fake)) == len(wanted)


def test_a_listing_without_times_removes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with new_table() as (table, fake, _):
        write(table, a=b"1")
        write(table, a=b"2")
        leave(table, "left")
        age(fake, 8)
        real = table.fs.iter_find

        def untimed(*arguments: Any, **options: Any) -> Any:
            for row in real(*arguments, **options):
                yield {name: value for name, value in row.items() if name != "LastModified"}

        monkeypatch.setattr(table.fs, "iter_find", untimed)
        assert table.vacuum() == []


@pytest.mark.parametrize(
    ("older_than", "error", "words"),
    [
        (GRACE - 1, ValueError, "older_than must be 604800 to"),
        (0, ValueError, "older_than"),
        (-1, ValueError, "older_than"),
        (timedelta(days=6), ValueError, "older_than"),
        (float("nan"), ValueError, "older_than"),
        (1e30, ValueError, "older_than"),
        ("8 days", TypeError, "older_than must be a number of seconds or a timedelta, not str"),
        (True, TypeError, "older_than"),
    ],
)
def test_bad_input_removes_nothing(older_than: Any, error: type[Exception], words: str) -> None:
    with new_table() as (table, fake, _):
        leave(table, "left")
        age(fake, 8)
        with pytest.raises(error, match=words):
            table.vacuum(older_than)
        assert data_of(fake) == ["left"]
        fake.objects.clear()
        with pytest.raises(FileNotFoundError, match=r"Table\.create"):
            table.vacuum()
