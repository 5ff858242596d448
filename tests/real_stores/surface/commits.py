"""What is built on conditional writes: logs, pointers and tables, while others write too."""

from __future__ import annotations

from functools import partial
from typing import Any

from fsspec_guarded_s3 import CommitConflictError, ObjectChangedError
from fsspec_guarded_s3.integrations.commit import CommitLog, Pointer, Table
from tests.real_stores.checking import check
from tests.real_stores.place import IN_PARTS, MIB, Place
from tests.real_stores.surface.races import raise_first, together

WRITERS, TIMES = 4, 5


@check(f"a log: {WRITERS} threads append, {TIMES} times each: each entry is there once")
def log_race(place: Place) -> None:
    spot = place.fresh()

    def run(number: int) -> list[int]:
        log = CommitLog(spot.fs, spot.path("log"))
        return [log.append([number, turn]).version for turn in range(TIMES)]

    found = together([partial(run, number) for number in range(WRITERS)])
    raise_first(found)
    entries = list(CommitLog(place.fs(), spot.path("log")).entries())
    assert [entry.version for entry in entries] == list(range(1, WRITERS * TIMES + 1)), (
        "the store is not atomic: the numbers have a gap"
    )
    wrong = [
        version
        for number, versions in enumerate(found)
        for turn, version in enumerate(versions)
        if entries[version - 1].data != [number, turn]
    ]
    assert not wrong, f"the store is not atomic: {len(wrong)} of {WRITERS * TIMES} entries are another's"


@check(f"a pointer: {WRITERS} threads change it, {TIMES} times each: all count")
def pointer_race(place: Place) -> None:
    spot = place.fresh()
    state = Pointer(spot.fs, spot.path("pointer")).create(0)

    def run() -> None:
        pointer = Pointer(spot.fs, spot.path("pointer"))
        for _ in range(TIMES):
            pointer.update(lambda value: value + 1, max_attempts=100)

    try:
        raise_first(together([run] * WRITERS))
    except ValueError as error:  # half of a value, or two in one
        raise AssertionError(f"the store is not atomic: {error}") from error
    pointer = Pointer(place.fs(), spot.path("pointer"))
    lost = WRITERS * TIMES - pointer.read().value
    assert not lost, f"the store is not atomic: {lost} of {WRITERS * TIMES} acknowledged changes are lost"
    try:
        pointer.swap(-1, state)
    except ObjectChangedError:
        return
    raise AssertionError("an old state was swapped")


@check(f"a table: transactions of {WRITERS} threads, snapshots, conflicts, vacuum")
def table_race(place: Place) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    table = Table.create(fs, spot.path("table"))

    def run(number: int) -> None:
        own = Table(fs, spot.path("table"))
        for turn in range(TIMES):
            with own.transaction() as t:
                t.pipe_file(f"{number}/{turn}", b"%d" % turn)
                with t.open(f"{number}/last", "wb") as file:
                    file.write(bytes([turn]) * (6 * MIB if turn == 2 else 10))

    raise_first(together([partial(run, number) for number in range(WRITERS)]))
    snapshot = Table(place.fs(), spot.path("table")).snapshot()
    lost = WRITERS * (TIMES + 1) - len(snapshot)
    assert not lost, f"the store is not atomic: {lost} objects of acknowledged transactions are lost"
    assert snapshot.version == WRITERS * TIMES + 1, f"version {snapshot.version}"
    _one_wins(table)
    assert snapshot.cat_file("0/3") == b"3" and "twice" not in snapshot
    _reads(table, snapshot)


def _one_wins(table: Table) -> None:
    first, second = table.transaction(), table.transaction()
    with first as t:
        t.pipe_file("twice", b"1")
        try:
            with second as u:
                u.pipe_file("twice", b"2")
        except CommitConflictError:
            raise AssertionError("the first of two transactions was a conflict") from None
        try:
            t.commit()
        except CommitConflictError:
            return
        raise AssertionError("the second of two transactions was no conflict")


def _reads(table: Table, old: Any) -> None:
    now = table.snapshot()
    assert now.cat_file("twice") == b"2", "another transaction's bytes"
    now.verify()
    old.verify()
    assert table.vacuum() == [], "vacuum removed what is young"
    assert len(now.filesystem().find("")) == len(now)
