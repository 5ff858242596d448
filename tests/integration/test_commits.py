"""Logs, pointers and tables on each store: as promised, or refused where the store ignores the condition."""

from __future__ import annotations

import pytest

from fsspec_guarded_s3 import CommitConflictError, ObjectChangedError, PreconditionUnsupportedError
from fsspec_guarded_s3.integrations.commit import CommitLog, Pointer, Table

from .conftest import MIB, Store


def test_a_log(store: Store) -> None:
    log, other = (CommitLog(store.fs, store.path("log")) for _ in range(2))
    if not store.fs.probe(store.path("probed")).create:
        with pytest.raises(PreconditionUnsupportedError):
            log.append(1)
        assert log.latest() == 0
        return
    assert log.append("a").version == 1 and other.append("b").version == 2
    with pytest.raises(CommitConflictError):
        log.append("c", expected=1)
    assert log.append("c").version == 3 and other.latest() == 3
    assert [entry.data for entry in other.entries()] == ["a", "b", "c"]


def test_a_pointer(store: Store) -> None:
    guards = store.fs.probe(store.path("probed"))
    pointer = Pointer(store.fs, store.path("pointer"))
    if not (guards.create and guards.swap):
        with pytest.raises(PreconditionUnsupportedError):
            pointer.swap("b", pointer.create("a"))
        return
    seen = pointer.create("a")
    assert pointer.swap("a", seen).version == 2
    with pytest.raises(ObjectChangedError):
        pointer.swap("b", seen)
    assert pointer.update(lambda value: value + "c").value == "ac" == pointer.read().value


def test_a_table(store: Store) -> None:
    guards = store.fs.probe(store.path("probed"))
    if not guards.create:
        with pytest.raises(PreconditionUnsupportedError):
            Table.create(store.fs, store.path("table"))
        return
    table = Table.create(store.fs, store.path("table"))
    large = bytes(range(256)) * (24 * 1024)
    with table.transaction() as t:
        t.pipe_file("a/ü b", b"1")
        with t.open("text", "w") as file:
            file.write("2")
        if guards.create_on_complete:
            assert len(large) > 5 * MIB
            with t.open("large") as file:
                file.write(large)
    snapshot = table.snapshot()
    assert snapshot == t.published and snapshot.version == 2
    assert (snapshot.cat_file("a/ü b"), snapshot.open("text", "r").read()) == (b"1", "2")
    if guards.create_on_complete:
        assert snapshot.cat_file("large") == large
    snapshot.verify()

    with table.transaction() as ours:
        ours.pipe_file("b", b"1")
        with table.transaction() as theirs:
            theirs.pipe_file("c", b"1")
    assert {"b", "c"} <= set(table.snapshot()) and table.log.latest() == 4
    with pytest.raises(CommitConflictError), table.transaction() as ours:
        ours.pipe_file("b", b"2")
        with table.transaction() as theirs:
            theirs.rm_file("b")
    assert "b" not in table.snapshot()
    with pytest.raises(ZeroDivisionError), table.transaction() as t:
        t.pipe_file("never", b"1")
        raise ZeroDivisionError
    there = [
        name for name in store.fs.find(store.path("table/data"), refresh=True) if name.endswith("/never")
    ]
    assert there == []
    assert table.vacuum() == [] and table.log.times().keys() == {1, 2, 3, 4, 5}
