"""Logs, pointers and tables on a simulated S3 with many keys, in every history that the bounds allow.

As `test_explore`, of which this has the search, the faults and the real code. A writer who is killed has left
some of its requests: what others see of it is what a rival does here who never goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._write import guards
from fsspec_guarded_s3._write import upload as _upload
from fsspec_guarded_s3.errors import GuardedS3Error
from fsspec_guarded_s3.integrations import commit_pointer, commit_vacuum
from fsspec_guarded_s3.integrations.commit import (
    CommitLog,
    LogEntry,
    PointerState,
    Snapshot,
    Table,
    TableTransaction,
)
from fsspec_guarded_s3.integrations.commit_manifest import manifest_of
from tests.explore import commits
from tests.explore.commits import CASES, Case, pointer_body
from tests.explore.many_keys import TOUCHED
from tests.explore.program import Program, Tokens
from tests.explore.scene import explored, set_scene
from tests.explore.search import Bounds, Found, Search

pytestmark = pytest.mark.no_cover

ALL = os.environ.get("GUARDED_S3_EXPLORE") == "all"
NAMED = {case.title: case for case in CASES}
Record = Callable[[str, object], None]


class Explorer:
    """Sets the scene for a case."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.tokens = Tokens()
        set_scene(monkeypatch, self.tokens)

    def filesystem(self, case: Case) -> GuardedS3FileSystem:
        self._monkeypatch.setattr(guards, "_known", _all_known)
        return explored(max_attempts=case.attempts, dialect="s3", part_size=10**6, multipart_threshold=10**6)

    def explore(self, case: Case, bounds: Bounds, record: Record | None = None, merge: bool = True) -> Found:
        programs = []
        for caller, call in case.calls.items():
            fs = self.filesystem(case)
            programs.append(Program(caller, partial(call, fs), fs, self.tokens, case.attempts, merge))
        search = Search(programs, case.judge(), TOUCHED)
        start: Any = case.store()
        found = search.explore(start, bounds)
        if record:
            record("histories", found.histories)
            record("states", search.moments)
            record("runs", sum(program.runs for program in programs))
        return found


def _all_known(client: object, path: object, name: str) -> bool:
    """What a probe would have found out."""
    return True


@pytest.fixture
def explorer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Explorer]:
    yield Explorer(monkeypatch)
    for upload in _upload._live:
        _upload._live.discard(upload)
        upload.state = _upload.State.ABORTED


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_promised_holds(case: Case, explorer: Explorer, record_property: Record) -> None:
    bounds = Bounds(faults=3, late=2) if ALL else Bounds(faults=case.faults, late=1)
    found = explorer.explore(case, bounds, record_property)
    assert not found.broken, found.report()
    assert len(found.outcomes) >= 3 and found.histories > 1000


@pytest.mark.parametrize("title", ["append, and a rival with the same data", "swap, two at once"])
def test_states_of_the_code_are_merged_rightly(title: str, explorer: Explorer) -> None:
    """Merging by stack finds the same as by all answers so far."""
    bounds = Bounds(faults=1, late=1)
    found, by_answers = (explorer.explore(NAMED[title], bounds, merge=merge) for merge in (True, False))
    assert (found.histories, found.outcomes) == (by_answers.histories, by_answers.outcomes)


# --- that the promises are watched -----------------------------------------------------------------------


def _no_look(self: CommitLog, version: int) -> LogEntry:
    """The entry of a lost answer is taken for another's."""
    return LogEntry(version, "token-of-somebody", None)


def _content_alone(state: PointerState) -> bytes:
    """A pointer without versions and tokens, whose value may come again."""
    return pointer_body(state.value, 1, "token-before", ())


def _give_up_at_any_error(self: TableTransaction, rows: Any) -> Snapshot:
    try:
        return _PUBLISH(self, rows)
    except GuardedS3Error:
        self._give_up()
        raise


def _newest_for_each_object(self: Snapshot, name: str) -> bytes:
    now = Table(self.fs, self.path).snapshot()
    return now.fs.cat_file(now[name].path)


def _the_base_again(self: Table, at_least: int) -> Snapshot:
    """What others have published since is left out."""
    version = max(at_least, self.log.latest())
    return Snapshot(self.fs, self.path, version, self.snapshot(2).manifest)


def _no_conflict(self: TableTransaction, now: Snapshot, rows: Any) -> None:
    """Nothing is looked for."""


def _all_is_old(modified: Any, before: Any) -> bool:
    return True


def _the_newest_alone(log: CommitLog, before: Any) -> set[str]:
    return {place for place, _, _ in manifest_of(log, log.read(log.latest())).rows.values()}


_PUBLISH = TableTransaction._publish
BROKEN: list[tuple[str, str, Any, str, Any, str]] = [
    (
        "no look after a lost answer",
        "append, two at once",
        CommitLog,
        "read",
        _no_look,
        "one call appended two entries",
    ),
    (
        "the value alone is in the pointer",
        "swap, there and back",
        commit_pointer,
        "_body",
        _content_alone,
        "took a later object for the one that it was made for",
    ),
    (
        "objects are removed after any error",
        "publish, and a rival who is killed after it",
        TableTransaction,
        "_publish",
        _give_up_at_any_error,
        "has an object that is not there",
    ),
    (
        "each object is read from the newest version",
        "publish two objects, and a reader",
        Snapshot,
        "cat_file",
        _newest_for_each_object,
        "a reader saw a part of a commit",
    ),
    (
        "changes are published over those of others",
        "publish different objects, two at once",
        Table,
        "_newest",
        _the_base_again,
        "was acknowledged, and is lost",
    ),
    (
        "conflicts are not looked for",
        "publish the same objects, two at once",
        TableTransaction,
        "_refuse_conflict",
        _no_conflict,
        "have both changed the same object",
    ),
    (
        "vacuum removes what is young",
        "vacuum, and one who publishes",
        commit_vacuum,
        "_is_older",
        _all_is_old,
        "vacuum removed t/data/work",
    ),
    (
        "vacuum keeps the newest version alone",
        "vacuum, and one who publishes",
        commit_vacuum,
        "_needed",
        _the_newest_alone,
        "version 3 has an object that is not there",
    ),
]


@pytest.mark.parametrize("row", BROKEN, ids=[row[0] for row in BROKEN])
def test_broken_code_is_caught(
    row: tuple[str, str, Any, str, Any, str], explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, title, owner, name, broken, message = row
    monkeypatch.setattr(owner, name, broken)
    if broken is _content_alone:
        of_rival = [lambda value, *_: pointer_body(value, 1, "token-before", ())]
        monkeypatch.setattr(commits, "POINTER_BODY", of_rival)
    faults = {_no_look: 2, _give_up_at_any_error: 3}.get(broken, 1)  # the filesystem settles a lost answer
    found = explorer.explore(NAMED[title], Bounds(faults=faults, late=0)).broken
    assert any(message in text for text in found), found
