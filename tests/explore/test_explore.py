"""The real upload, resolve and retry code on a simulated S3, in every history that the bounds allow.

A history is one call, or two of ours at once, under one placement of faults of every kind, with a rival who
may write or delete at every step. All are enumerated, none is drawn by lot. How that can be done in the
time: equal states of code and store are gone into once (tests/explore), and what follows counts for all
histories that lead there. What must hold after each is in `tests/explore/promises.py`.

What is done in parts meets four faults with a rival who acts once, and two faults with one who acts at every
step; a move meets the latter. GUARDED_S3_EXPLORE=all (`make explore`) takes four faults and a rival at every
step for all of them, which takes minutes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._fs import copy_version, renaming
from fsspec_guarded_s3._s3.client import S3Client
from fsspec_guarded_s3._s3.deletions import Deletions
from fsspec_guarded_s3._values.conditions import same_etag
from fsspec_guarded_s3._values.models import Written
from fsspec_guarded_s3._write import appending, guards, outcome
from fsspec_guarded_s3._write import upload as _upload
from fsspec_guarded_s3.errors import GuardedS3Error
from tests.explore import fingerprint
from tests.explore.calls import OLD, OPERATIONS, OURS, Operation, nobody
from tests.explore.liveness import Alive
from tests.explore.plain import enumerate_plainly
from tests.explore.program import Program, Tokens
from tests.explore.promises import judge
from tests.explore.scene import explored, set_scene
from tests.explore.search import Bounds, Found, Search
from tests.explore.store import US

pytestmark = pytest.mark.no_cover  # tracing would take four times as long, and other tests cover the code

ALL = os.environ.get("GUARDED_S3_EXPLORE") == "all"
EVERYTHING = Bounds(faults=4, late=4)
DEEP = Bounds(faults=4, late=1, rivals=1)
WIDE = Bounds(faults=2, late=2)
NARROW = Bounds(faults=1, late=1)
NAMED = {operation.name: operation for operation in OPERATIONS}
# One of each kind of upload; the others differ from them in what feeds them, or in the store.
DEEPEST = ("create in parts", "resume, create", "copy in parts, create", "append in parts")


class Explorer:
    """Sets the scene for an operation: parts of a few bytes, no threads, a clock that stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, local: str) -> None:
        self._monkeypatch = monkeypatch
        self._local = local
        self.tokens = Tokens()
        set_scene(monkeypatch, self.tokens)

    def filesystem(self, operation: Operation) -> GuardedS3FileSystem:
        known = partial(_known, operation.ignored)
        self._monkeypatch.setattr(guards, "_known", known)
        self._monkeypatch.setattr(renaming, "is_directory_bucket", lambda bucket: operation.renames)
        self._monkeypatch.setattr(appending, "is_directory_bucket", lambda bucket: operation.at_end)
        self._monkeypatch.setattr(copy_version, "MIN_PART_SIZE", operation.min_part)
        self._monkeypatch.setattr(copy_version, "MAX_SINGLE_PUT", operation.single_copy)
        return explored(
            max_attempts=operation.attempts,
            dialect="gcs" if operation.generations else "s3",
            **operation.options,
        )

    def search(
        self, operation: Operation, callers: tuple[str, ...] = (US,), merge: bool = True
    ) -> tuple[Search, list[Program]]:
        """Calls of `operation`, each with a client of its own."""
        programs = []
        for caller in callers:
            fs = self.filesystem(operation)
            call = self.call(operation, fs)
            programs.append(Program(caller, call, fs, self.tokens, operation.attempts, merge))
        return Search(programs, judge(operation)), programs

    def call(self, operation: Operation, fs: GuardedS3FileSystem) -> Callable[[], object]:
        return lambda: operation.call(fs, self._local)

    def explore(
        self,
        operation: Operation,
        bounds: Bounds,
        callers: tuple[str, ...] = (US,),
        merge: bool = True,
        record: Callable[[str, object], None] | None = None,
    ) -> Found:
        """All histories; `record` gets the figures that conftest.py prints at the end of the run."""
        search, programs = self.search(operation, callers, merge)
        found = search.explore(operation.store(callers), bounds)
        if record:
            record("histories", found.histories)
            record("states", search.moments)
            record("runs", sum(program.runs for program in programs))
        return found

    def plainly(self, operation: Operation, bounds: Bounds) -> Found:
        """The same, one history after the other."""
        fs = self.filesystem(operation)
        call = self.call(operation, fs)
        start = operation.store()
        return enumerate_plainly(call, fs, self.tokens, operation.attempts, start, bounds, judge(operation))


def _known(ignored: frozenset[str], client: object, path: object, name: str) -> bool:
    """What a probe would have found out."""
    return name not in ignored


@pytest.fixture
def explorer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Explorer]:
    local = tmp_path / "local"
    local.write_bytes(OURS)
    yield Explorer(monkeypatch, str(local))
    for upload in _upload._live:  # runs were stopped half-way; no exit handler has to care
        _upload._live.discard(upload)
        upload.state = _upload.State.ABORTED  # nor a destructor


Record = Callable[[str, object], None]


# --- all histories ---------------------------------------------------------------------------------


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_a_rival_at_every_step(operation: Operation, explorer: Explorer, record_property: Record) -> None:
    """Up to four faults of every kind, two where there are many steps, and a rival who never rests."""
    bounds = EVERYTHING if ALL or not operation.has_many_steps else NARROW if operation.costly else WIDE
    found = explorer.explore(operation, bounds, record=record_property)
    assert not found.broken, found.report()
    assert len(found.outcomes) >= 3 and found.histories > 10_000


@pytest.mark.timeout(600)
@pytest.mark.skipif(ALL, reason="test_a_rival_at_every_step goes as far")
@pytest.mark.parametrize("name", DEEPEST)
def test_four_faults_where_there_are_parts(name: str, explorer: Explorer, record_property: Record) -> None:
    """Up to four faults of every kind and one act of the rival."""
    found = explorer.explore(NAMED[name], DEEP, record=record_property)
    assert not found.broken, found.report()
    assert len(found.outcomes) >= 9 and found.histories > 500_000


def _two(name: str, **changes: Any) -> Operation:
    fields = {**vars(NAMED[name]), "rival": nobody, **changes}
    return Operation(**fields)


TWO = [
    (_two("put_if_absent"), EVERYTHING),
    (_two("swap"), EVERYTHING),
    (_two("delete on condition"), EVERYTHING),
    (_two("copy, create"), EVERYTHING),
    (_two("mv, renamed, create"), Bounds(faults=2, late=1)),
    (_two("create in parts"), Bounds(faults=2, late=1)),
    (_two("create in parts, replay answers 404"), Bounds(faults=2, late=1)),
    (_two("update"), Bounds(faults=3, late=1)),
    (_two("append at the end", results=(OURS, OLD + OURS, OLD + 2 * OURS)), Bounds(faults=2, late=1)),
    (_two("append", results=(OURS, OLD + OURS, OLD + 2 * OURS)), Bounds(faults=3, late=2)),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("operation", "bounds"), TWO, ids=str)
def test_two_of_ours_at_once(
    operation: Operation, bounds: Bounds, explorer: Explorer, record_property: Record
) -> None:
    """Their requests in every order. Of two that create, swap or delete at most one is told that it did."""
    found = explorer.explore(operation, bounds, ("us-1", "us-2"), record=record_property)
    assert not found.broken, found.report()
    single = operation.conditional and not operation.counts and not operation.name.startswith("append")
    won = {"returned True, returned True", "returned NoneType, returned NoneType"}
    assert not (single and won & set(found.outcomes)), found.outcomes
    assert found.histories > 1000


@pytest.mark.timeout(600)
def test_two_of_ours_and_a_rival(explorer: Explorer, record_property: Record) -> None:
    """Two creators, and one who writes and deletes at every step."""
    bounds = Bounds(faults=2, late=2)
    found = explorer.explore(NAMED["put_if_absent"], bounds, ("us-1", "us-2"), record=record_property)
    assert not found.broken, found.report()
    assert found.histories > 1_000_000


# --- that the short way is the same as the long one ------------------------------------------------


def _same(one: Found, other: Found) -> bool:
    return (one.histories, one.outcomes) == (other.histories, other.outcomes)


PLAIN = [
    ("put_if_absent", Bounds(faults=3, late=2, rivals=1)),
    ("delete on condition", Bounds(faults=2, late=2, rivals=2)),
    ("create in parts", Bounds(faults=2, late=1, rivals=0)),
    ("append in parts", Bounds(faults=1, late=1, rivals=1)),
    ("copy in parts, create", Bounds(faults=1, late=1, rivals=1)),
]


@pytest.mark.parametrize(("name", "bounds"), PLAIN, ids=str)
def test_plain_enumeration_finds_the_same(name: str, bounds: Bounds, explorer: Explorer) -> None:
    """The same number of histories, and of each outcome, when each is run from scratch."""
    plain = explorer.plainly(NAMED[name], bounds)
    found = explorer.explore(NAMED[name], bounds)
    print(f"{name}: {plain.histories} histories run, {found.histories} found by states")
    assert _same(plain, found), (plain, found)
    assert plain.histories > 300


@pytest.mark.parametrize("name", ["update", "create in parts"])
def test_states_of_the_code_are_merged_rightly(
    name: str, explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Merging by stack finds the same as by all answers so far, and living variables as much as all."""
    bounds = Bounds(faults=2, late=1, rivals=1)
    found = explorer.explore(NAMED[name], bounds)
    by_answers = explorer.explore(NAMED[name], bounds, merge=False)
    monkeypatch.setattr(fingerprint, "alive", _all_alive)
    by_all_variables = explorer.explore(NAMED[name], bounds)
    assert _same(found, by_answers) and _same(found, by_all_variables)


def _all_alive(frame: Any) -> Alive:
    code = frame.f_code
    return Alive(frozenset(code.co_varnames + code.co_cellvars + code.co_freevars), True)


def test_two_callers_are_merged_rightly(explorer: Explorer) -> None:
    operation, callers, bounds = _two("put_if_absent"), ("us-1", "us-2"), Bounds(faults=2, late=1)
    found = explorer.explore(operation, bounds, callers)
    assert _same(found, explorer.explore(operation, bounds, callers, merge=False))


# --- that the promises are watched -----------------------------------------------------------------


def _trust_412(self: _upload.Upload, error: GuardedS3Error, *others: Any) -> Written:
    error.maybe_applied = False
    raise self._failed(error)


def _trust_content(self: outcome.PendingWrite, found: Any) -> bool:
    return found is not None and same_etag(found.etag, self.content.etag)


def _no_abort(self: _upload.Upload) -> None:
    """Leave the upload as it is."""


def _never_ambiguous(error: BaseException) -> bool:
    return False


def _always_taken(client: S3Client, found: Any, write: outcome.PendingWrite) -> bool:
    return True


def _never_ours(self: outcome.PendingWrite, found: Any) -> bool:
    return False


_DELETE_OBJECTS = Deletions.delete_objects


def _any_version(self: Deletions, bucket: str, etags: Any) -> Any:
    return _DELETE_OBJECTS(self, bucket, dict.fromkeys(etags))


def _believed(*arguments: Any) -> None:
    """No answer, and yet success."""


def _grown(client: S3Client, info: Any, write: outcome.PendingWrite, error: GuardedS3Error) -> Any:
    found, _ = outcome.look(client, write.path)
    grown = found is not None and found.size == write.content.size
    return outcome.Settled(outcome.Outcome.APPLIED if grown else outcome.Outcome.UNKNOWN)


_RENAME = renaming.Renamer.rename


def _unconditional(self: renaming.Renamer, source: Any, target: Any, info: Any, condition: Any) -> bool:
    return _RENAME(self, source, target, info)


def _pin_is_trusted(*arguments: Any) -> bool:
    return True


_ROOT = "fsspec_guarded_s3"
_SETTLE = "_write.upload.Upload._settle"
BROKEN: list[tuple[str, str, str, Any, str]] = [
    ("a 412 is trusted", "put_if_absent", _SETTLE, _trust_412, "but nobody else had an object there"),
    (
        "equal content is trusted",
        "put_if_absent",
        "_write.outcome.PendingWrite.has_made",
        _trust_content,
        "success, but our bytes",
    ),
    (
        "a token is not known",
        "put_if_absent",
        "_write.outcome.PendingWrite.has_made",
        _never_ours,
        "unknown, but our object was seen",
    ),
    (
        "no abort",
        "create in parts",
        "_write.upload.Upload._remove_upload",
        _no_abort,
        "was left open after a definite outcome",
    ),
    (
        "no doubt",
        "put_if_absent",
        "_s3.retry.is_ambiguous",
        _never_ambiguous,
        "is definite, but our write was applied",
    ),
    (
        "everything proves another's write",
        "swap",
        "_write.outcome._defeats",
        _always_taken,
        "was said to be replaced, and was not",
    ),
    (
        "a move deletes whatever is there",
        "mv",
        "_s3.deletions.Deletions.delete_objects",
        _any_version,
        "deleted a version that it had not copied",
    ),
    (
        "a rename that shows at the target proves itself under a condition",
        "mv, renamed, create",
        "_fs.renaming.Renamer._settle",
        _believed,
        "a move succeeded, but nothing was moved",
    ),
    (
        "bytes at the end are believed to be ours",
        "append at the end",
        "_write.upload.settle_append",
        _grown,
        "success, but our bytes were never published",
    ),
    (
        "a rename carries no condition",
        "mv, renamed, create",
        "_fs.renaming.Renamer.rename",
        _unconditional,
        "which it was not to",
    ),
    (
        "a pin is trusted that is not kept",
        "copy, plain, read and sent",
        "_fs.copy_object.store_can_copy",
        _pin_is_trusted,
        "not the one that was looked at",
    ),
    (
        "equal bytes prove a change of metadata",
        "setxattr, the pin alone",
        "_write.outcome.PendingWrite.has_made",
        _trust_content,
        "success, but our bytes",
    ),
]


@pytest.mark.parametrize(
    ("name", "target", "broken", "message"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_broken_code_is_caught(
    name: str, target: str, broken: Any, message: str, explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{_ROOT}.{target}", broken)
    found = explorer.explore(NAMED[name], Bounds(faults=2, late=1, rivals=1)).broken
    assert any(message in text for text in found), found
