"""What of `integrations.commit` is explored, and what must hold after each history."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3.errors import (
    CommitConflictError,
    GuardedS3Error,
    ObjectChangedError,
    WriteOutcomeUnknownError,
)
from fsspec_guarded_s3.integrations.commit import CommitLog, Pointer, PointerState, Table
from fsspec_guarded_s3.integrations.commit_manifest import whole
from fsspec_guarded_s3.integrations.commit_records import record

from .many_keys import LONG_AGO, Deeds, Kept, ManyKeys
from .program import Outcome
from .search import Judge
from .store import BUCKET

GRACE = 7 * 86_400.0
Call = Callable[[GuardedS3FileSystem], object]


class Published(NamedTuple):
    """What a call returns: the number that it got, and the newest one that it had seen when it began."""

    version: int
    seen: int


Promise = Callable[[ManyKeys, Mapping[str, Outcome]], Iterator[str]]


def entry(version: int, token: str, data: Any) -> bytes:
    return record("entry", version=version, token=token, data=data)


def name(path: str, version: int) -> str:
    return f"{path}/{version:020}.json"


def nobody(store: ManyKeys) -> list[tuple[str, Any]]:
    """No rival beside the calls."""
    return []


def appender(path: str) -> Deeds:
    """Another writer, who is killed right after: it takes the next number, once."""

    def deeds(store: ManyKeys) -> list[tuple[str, Any]]:
        return [("the rival appends", _append)] if store.acts == 0 else []

    def _append(store: ManyKeys) -> None:
        store.acts += 1
        taken = len(entries(store, path))
        before = entries(store, path)[taken]["data"] if taken else "ours"
        body = entry(taken + 1, "token-rival", before if path != "log" else "ours")
        store.change("", name(path, taken + 1), body)

    return deeds


def entries(store: ManyKeys, path: str) -> dict[int, Any]:
    """The entries of a log, by the numbers of their objects."""
    return {
        int(key[-25:-5]): json.loads(it.body)
        for key, it in store.objects.items()
        if re.fullmatch(re.escape(path) + r"/\d{20}\.json", key)
    }


@dataclass(frozen=True)
class Case:
    """Calls that are made at once, by caller; what is there before; and what must hold."""

    title: str
    calls: Mapping[str, Call]
    promises: Sequence[Promise]
    objects: Mapping[str, bytes] = field(default_factory=dict)
    old: frozenset[str] = frozenset()  # keys of objects that were written long ago
    rival: Deeds = nobody
    attempts: int = 1
    faults: int = 2

    def __str__(self) -> str:
        return self.title

    def store(self) -> ManyKeys:
        found = {
            key: Kept(body, (), LONG_AGO) if key in self.old else Kept(body)
            for key, body in self.objects.items()
        }
        return ManyKeys(found, self.rival)

    def judge(self) -> Judge:
        """Which promises a history breaks."""

        def broken(store: Any, outcomes: Sequence[Outcome]) -> list[str]:
            by_caller = dict(zip(self.calls, outcomes, strict=True))
            found = sorted(store.wrong)
            found += [
                f"an error that is not ours: {it.error.__name__}: {it.said}"
                for it in outcomes
                if it.error is not None and not issubclass(it.error, GuardedS3Error)
            ]
            return found + [said for promise in self.promises for said in promise(store, by_caller)]

        return broken


def is_of(caller: str, token: str) -> bool:
    return token.startswith(f"token-{caller}-")


def is_unknown(outcome: Outcome) -> bool:
    return outcome.error is not None and issubclass(outcome.error, WriteOutcomeUnknownError)


def is_definite(outcome: Outcome) -> bool:
    return outcome.error is not None and not outcome.maybe_applied


# --- logs ------------------------------------------------------------------------------------------------


def there_is_no_gap(path: str) -> Promise:
    def promise(store: ManyKeys, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
        found = entries(store, path)
        if sorted(found) != list(range(1, len(found) + 1)):
            yield f"there is a gap: {sorted(found)}"
        if any(version != it["version"] for version, it in found.items()):
            yield "an entry has another number than its object"

    return promise


def an_entry_is_appended_once(path: str) -> Promise:
    """What a call says is true; a definite error appended nothing, and one in doubt says where."""

    def promise(store: ManyKeys, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
        for caller, outcome in outcomes.items():
            ours = [version for version, it in entries(store, path).items() if is_of(caller, it["token"])]
            if len(ours) > 1:
                yield "one call appended two entries"
            if (
                outcome.error is None
                and isinstance(outcome.result, Published)
                and ours != [outcome.result.version]
            ):
                yield f"a call was told another number than its entry has: {outcome.result}, {ours}"
            if is_definite(outcome) and ours:
                yield f"{outcome} is definite, but the entry is there"
            if is_unknown(outcome):
                place = re.search(r"entry (\d+) ", outcome.said)
                if ours and (place is None or int(place[1]) != ours[0]):
                    yield "an unknown outcome names another entry than the one that is ours"
                if caller not in store.doubted:
                    yield "unknown, but no answer was lost"

    return promise


def a_conflict_is_true(path: str, after: int) -> Promise:
    """It is said if, and only if, somebody else has the number after the expected one."""

    def promise(store: ManyKeys, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
        for caller, outcome in outcomes.items():
            there = entries(store, path).get(after + 1)
            theirs = there is not None and not is_of(caller, there["token"])
            if outcome.error is not None and issubclass(outcome.error, CommitConflictError) and not theirs:
                yield "a conflict was said, and there was none"
            if outcome.error is None and theirs:
                yield "there was a conflict, and it was not said"

    return promise


def _appending(fs: GuardedS3FileSystem) -> Published:
    return Published(CommitLog(fs, f"{BUCKET}/log").append("ours").version, 0)


def _appending_after_1(fs: GuardedS3FileSystem) -> Published:
    return Published(CommitLog(fs, f"{BUCKET}/log").append("ours", expected=1).version, 1)


def _checking(fs: GuardedS3FileSystem) -> Published:
    log = CommitLog(fs, f"{BUCKET}/log")
    return Published(log.append("ours", expected=1, check=lambda entry: None).version, 1)


LOG = (there_is_no_gap("log"), an_entry_is_appended_once("log"))
ONE = {name("log", 1): entry(1, "token-before", "ours")}


# --- pointers --------------------------------------------------------------------------------------------


def pointer_body(value: str, version: int, token: str, before: Sequence[tuple[int, str]]) -> bytes:
    return record(
        "pointer",
        version=version,
        token=token,
        origin="token-before",
        before=[list(it) for it in before],
        value=value,
    )


AT_A = pointer_body("A", 1, "token-before", ())


def _state(body: bytes) -> PointerState:
    found = json.loads(body)
    return PointerState(
        found["value"], found["version"], found["token"], Kept(body).etag, found["origin"], {}
    )


def _swapping(fs: GuardedS3FileSystem) -> int:
    return Pointer(fs, f"{BUCKET}/pointer").swap("B", _state(AT_A)).version


def _updating(fs: GuardedS3FileSystem) -> int:
    return Pointer(fs, f"{BUCKET}/pointer").update(lambda value: value + "+", max_attempts=2).version


def _creating(fs: GuardedS3FileSystem) -> int:
    return Pointer(fs, f"{BUCKET}/pointer").create("A").version


def there_and_back(store: ManyKeys) -> list[tuple[str, Any]]:
    """A rival who changes the value, and changes it back: A, B, A, as others write it through a pointer."""

    def swap(store: ManyKeys) -> None:
        store.acts += 1
        now = json.loads(store.objects["pointer"].body)
        value = "B" if now["value"] == "A" else "A"
        before = [(int(v), t) for v, t in now.get("before", [])] + [(now["version"], now["token"])]
        body = POINTER_BODY[0](value, now["version"] + 1, f"token-rival-{store.acts}", before)
        store.change("", "pointer", body)

    return [("the rival swaps", swap)] if store.acts < 2 and "pointer" in store.objects else []


POINTER_BODY = [pointer_body]  # what a rival writes: another one where a broken pointer is tried


def swaps_are_true(store: ManyKeys, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    written = [json.loads(it.body) for it in store.changes if it.key == "pointer" and it.body is not None]
    for caller, outcome in outcomes.items():
        ours = [it["version"] for it in written if is_of(caller, it["token"])]
        if len(ours) > 1:
            yield "one swap was done twice"
        if outcome.error is None and ours != [outcome.result]:
            yield "a swap succeeded that was not done"
        if is_definite(outcome) and ours:
            yield f"{outcome} is definite, but the swap was done"
        if outcome.error is not None and issubclass(outcome.error, (ObjectChangedError, FileExistsError)):
            theirs = store.acts or any(not is_of(caller, it["token"]) for it in written)
            if not theirs:
                yield "another writer was said to be faster, and there was none"
        if is_unknown(outcome) and caller not in store.doubted:
            yield "unknown, but no answer was lost"


def no_version_is_lost(store: ManyKeys, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    """The version counts all that were written."""
    if "pointer" in store.objects:
        ours = sum(it.key == "pointer" for it in store.changes)
        now = json.loads(store.objects["pointer"].body)["version"]
        first = 1 if store.objects["pointer"].generation > 1 or not ours else 0
        if now != first + ours + store.acts and now != ours + store.acts:
            yield f"version {now} is there after {ours} swaps of ours and {store.acts} of others"


# --- tables ----------------------------------------------------------------------------------------------


def row(place: str, body: bytes) -> list[Any]:
    return [place, Kept(body).etag, len(body)]


def table_of(**versions: Mapping[str, bytes]) -> dict[str, bytes]:
    """A table: version 1 is empty; `v2`, `v3` and so on have these objects, each written with its version."""
    found = {name("t/_log", 1): entry(1, "token-before-1", whole({}, GRACE))}
    for version, contents in versions.items():
        number = int(version[1:])
        rows = {}
        for key, body in contents.items():
            place = f"data/{body.decode().replace(' ', '-')}/1/{key}"
            found[f"t/{place}"] = body
            rows[key] = row(place, body)
        found[name("t/_log", number)] = entry(number, f"token-before-{number}", whole(rows, GRACE))
    return found


def _opened(fs: GuardedS3FileSystem) -> Table:
    return Table(fs, f"{BUCKET}/t")


def _publishing_both(caller: str) -> Call:
    def call(fs: GuardedS3FileSystem) -> Published:
        with _opened(fs).transaction() as t:
            for key in ("a", "b"):
                t.pipe_file(key, caller.encode())
        assert t.published is not None
        return Published(t.published.version, t.base.version)

    return call


def _publishing(key: str) -> Call:
    def call(fs: GuardedS3FileSystem) -> Published:
        with _opened(fs).transaction() as t:
            t.pipe_file(key, key.encode() * 2)
        assert t.published is not None
        return Published(t.published.version, t.base.version)

    return call


def _reading(fs: GuardedS3FileSystem) -> tuple[bytes, bytes]:
    snapshot = _opened(fs).snapshot()
    return snapshot.cat_file("a"), snapshot.cat_file("b")


def _vacuuming(fs: GuardedS3FileSystem) -> tuple[str, ...]:
    return tuple(_opened(fs).vacuum())


def rows_of(store: ManyKeys) -> dict[int, Any]:
    return {version: it["data"]["objects"] for version, it in entries(store, "t/_log").items()}


def what_is_read_is_of_one_version(store: ManyKeys, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    outcome = outcomes["reader"]
    if outcome.error is None and isinstance(outcome.result, tuple) and outcome.result[0] != outcome.result[1]:
        yield f"a reader saw a part of a commit: {outcome.result}"
    if outcome.error is not None and issubclass(outcome.error, ObjectChangedError):
        yield "a reader was told that an object changed, and none ever does"


def every_version_has_its_objects(store: ManyKeys, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    """Of those that were not there long ago."""
    for version, rows in rows_of(store).items():
        following = store.objects.get(name("t/_log", version + 1))
        if following is not None and following.modified == LONG_AGO:
            continue
        for key, (place, etag, size) in rows.items():
            there = store.objects.get(f"t/{place}")
            if there is None or there.etag != etag or len(there.body) != size:
                yield f"version {version} has an object that is not there: {key}"


def both_or_none_is_published(store: ManyKeys, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    for version, rows in rows_of(store).items():
        if {"a", "b"} <= set(rows) and rows["a"][0].split("/")[1] != rows["b"][0].split("/")[1]:
            yield f"version {version} has a part of a commit"


def no_change_is_lost(keys: Mapping[str, str]) -> Promise:
    """What was acknowledged is in the newest version, where each caller changes a key of its own."""

    def promise(store: ManyKeys, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
        found = rows_of(store)
        newest = found[max(found)]
        for caller, key in keys.items():
            if outcomes[caller].error is None and not is_of(caller, newest.get(key, ["/"])[0].split("/")[1]):
                yield f"the change of {key} was acknowledged, and is lost"

    return promise


def of_two_who_change_the_same_one_wins(store: ManyKeys, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    """Unless the other began after it."""
    won = sorted(it.result for it in outcomes.values() if isinstance(it.result, Published))
    if len(won) == 2 and won[1].seen < won[0].version:
        yield "two who had seen the same version have both changed the same object"


def what_is_old_is_removed(store: ManyKeys, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    """By a vacuum that says so; and never what is young."""
    if outcomes["vacuum"].error is None and "t/data/left/1/x" in store.objects:
        yield "vacuum left what nobody needs"
    for change in store.changes:
        is_removal = change.caller == "vacuum" and change.body is None and "/clock" not in change.key
        if is_removal and change.key not in ("t/data/left/1/x", "t/data/oldest/1/a"):
            yield f"vacuum removed {change.key}"


TABLE = (
    there_is_no_gap("t/_log"),
    an_entry_is_appended_once("t/_log"),
    every_version_has_its_objects,
    both_or_none_is_published,
)
BOTH = table_of(v2={"a": b"before", "b": b"before"})
AGED = {
    **table_of(v2={"a": b"oldest"}, v3={"a": b"recent"}, v4={"a": b"newest"}),
    "t/data/left/1/x": b"left",
    "t/data/work/1/x": b"at work",
}

CASES = [
    Case("append, two at once", {"us-1": _appending, "us-2": _appending}, LOG),
    Case("append, and a rival with the same data", {"us-1": _appending}, LOG, rival=appender("log")),
    Case("append, 2 attempts", {"us-1": _appending}, LOG, rival=appender("log"), attempts=2),
    Case(
        "append after 1, two at once",
        {"us-1": _appending_after_1, "us-2": _appending_after_1},
        (*LOG, a_conflict_is_true("log", 1)),
        ONE,
    ),
    Case(
        "append after 1, checked, two at once",
        {"us-1": _checking, "us-2": _checking},
        LOG,
        ONE,
    ),
    Case(
        "swap, there and back",
        {"us-1": _swapping},
        (swaps_are_true, no_version_is_lost),
        {"pointer": AT_A},
        rival=there_and_back,
    ),
    Case(
        "swap, two at once",
        {"us-1": _swapping, "us-2": _swapping},
        (swaps_are_true, no_version_is_lost),
        {"pointer": AT_A},
    ),
    Case(
        "update, and a rival",
        {"us-1": _updating},
        (swaps_are_true, no_version_is_lost),
        {"pointer": AT_A},
        rival=there_and_back,
    ),
    Case("create, two at once", {"us-1": _creating, "us-2": _creating}, (swaps_are_true, no_version_is_lost)),
    Case(
        "publish two objects, and a reader",
        {"us-1": _publishing_both("us-1"), "reader": _reading},
        (*TABLE, what_is_read_is_of_one_version),
        BOTH,
    ),
    Case(
        "publish the same objects, two at once",
        {"us-1": _publishing_both("us-1"), "us-2": _publishing_both("us-2")},
        (*TABLE, of_two_who_change_the_same_one_wins),
        BOTH,
        faults=1,
    ),
    Case(
        "publish different objects, two at once",
        {"us-1": _publishing("a"), "us-2": _publishing("c")},
        (*TABLE[:3], no_change_is_lost({"us-1": "a", "us-2": "c"})),
        BOTH,
        faults=1,
    ),
    Case(
        "publish, and a rival who is killed after it",
        {"us-1": _publishing("a")},
        TABLE[:3],
        BOTH,
        rival=appender("t/_log"),
        faults=3,
    ),
    Case(
        "vacuum, and one who publishes",
        {"us-1": _publishing("b"), "vacuum": _vacuuming},
        (*TABLE[:3], what_is_old_is_removed),
        AGED,
        faults=1,
        old=frozenset(set(AGED) - {"t/data/work/1/x", name("t/_log", 4)}),
    ),
]
