"""The real upload, resolve and retry code on a simulated S3, in every history that the bounds allow.

A history is one call under one placement of faults, with a rival who acts between the requests. Each
operation is explored wide (every kind of fault, up to two of them) and deep (up to four, one of each kind
that the code can tell apart; up to three where there are parts). All histories are
enumerated, none is drawn by lot; how many there were is printed at the end of the run. What must hold after
each is in `violations`, one function per promise.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, _options, _parts, _threads, _upload
from fsspec_guarded_s3._errors import (
    GuardedS3Error,
    ObjectChangedError,
    PreconditionFailedError,
    WriteOutcomeUnknownError,
)
from fsspec_guarded_s3._models import Written
from fsspec_guarded_s3._retry import RetryPolicy
from tests.simulation import (
    AMBIGUOUS,
    BUCKET,
    FAULTS,
    FINE,
    KEY,
    PUBLISHING,
    REPRESENTATIVES,
    RIVAL,
    SOURCE,
    TOKEN,
    US,
    Change,
    Choices,
    Deed,
    Exchange,
    SimulatedS3,
    Version,
    enumerate_histories,
    version,
)

pytestmark = pytest.mark.no_cover  # tracing would take four times as long, and other tests cover the code

PATH = f"{BUCKET}/{KEY}"
FROM = f"{BUCKET}/{SOURCE}"
OLD = b"old-bytes"
OURS = b"our-new-bytes"
THEIRS = b"their-bytes"
ETAG = version("", OLD).etag
PART = 8  # bytes: OURS has two parts

SINGLE: Mapping[str, Any] = {"part_size": 64, "multipart_threshold": 64}
MULTI: Mapping[str, Any] = {"part_size": PART, "multipart_threshold": PART}


# --- what is called --------------------------------------------------------------------------------


Deeds = Callable[[SimulatedS3], list[tuple[str, Deed]]]


def _guarded_write(store: SimulatedS3) -> None:
    """Same bytes as ours, but its own token: equal content must not be taken for authorship."""
    store.write(RIVAL, OURS, {TOKEN: f"rival-{len(store.changes)}"})


def _plain_write(store: SimulatedS3) -> None:
    store.write(RIVAL, THEIRS)


def _increment(store: SimulatedS3) -> None:
    found = store.current
    assert found
    store.write(RIVAL, str(int(found.body) + 1).encode(), {TOKEN: f"rival-{len(store.changes)}"})


def _replace_source(store: SimulatedS3) -> None:
    store.write(RIVAL, THEIRS, key=SOURCE)


def writes_and_deletes(store: SimulatedS3) -> list[tuple[str, Deed]]:
    """A conditional write, a plain one and a delete."""
    deeds: list[tuple[str, Deed]] = [
        ("the rival writes on condition", _guarded_write),
        ("the rival overwrites", _plain_write),
    ]
    return [*deeds, ("the rival deletes", lambda it: it.delete(RIVAL))] if store.current else deeds


def with_source(store: SimulatedS3) -> list[tuple[str, Deed]]:
    """The same, and a change of the source of a copy."""
    found = writes_and_deletes(store)
    return found if store.source_changed else [*found, ("the rival replaces the source", _replace_source)]


def increments(store: SimulatedS3) -> list[tuple[str, Deed]]:
    """Another who counts."""
    return [("the rival increments", _increment)] if store.current else []


@dataclass(frozen=True)
class Bounds:
    """How far an exploration goes."""

    name: str
    kinds: Mapping[str, tuple[str, ...]]
    faults: int
    late: int

    def __str__(self) -> str:
        return self.name


WIDE = Bounds("wide", FAULTS, faults=2, late=1)
DEEP = Bounds("deep", REPRESENTATIVES, faults=4, late=1)


@dataclass(frozen=True)
class Operation:
    """A call; `least` is how many histories there must be, wide and deep."""

    name: str
    call: Callable[[GuardedS3FileSystem], object]
    least: tuple[int, int]
    before: bytes | None = None
    swaps: bool = False
    conditional: bool = True
    deletes: bool = False
    results: tuple[bytes, ...] = (OURS,)
    options: Mapping[str, Any] = field(default_factory=lambda: SINGLE)
    rival: Deeds = writes_and_deletes
    attempts: int = 2
    rivals: int = 1
    replayed: int = 200
    single_copy: int = 64
    min_part: int = 1

    def __str__(self) -> str:
        return self.name


def _append(fs: GuardedS3FileSystem) -> None:
    with fs.open(PATH, "ab") as file:
        file.write(OURS)


def _write(fs: GuardedS3FileSystem) -> None:
    with fs.open(PATH, "xb") as file:
        file.write(OURS)


def _plus_one(data: bytes) -> bytes:
    return str(int(data) + 1).encode()


# Appended to what was there when the call began, or to what the rival had written just before.
APPENDED = (OURS, OLD + OURS, OURS + OURS, THEIRS + OURS)

OPERATIONS = [
    Operation("put_if_absent", lambda fs: fs.put_if_absent(PATH, OURS), (900, 2000)),
    Operation("put_if_absent, 3 attempts", lambda fs: fs.put_if_absent(PATH, OURS), (900, 2000), attempts=3),
    Operation("put_if_absent, taken", lambda fs: fs.put_if_absent(PATH, OURS), (900, 2000), before=OLD),
    Operation(
        "create in parts", lambda fs: fs.pipe_file(PATH, OURS, mode="create"), (900, 2000), options=MULTI
    ),
    Operation(
        "create in parts, replay answers 404",
        lambda fs: fs.pipe_file(PATH, OURS, mode="create"),
        (900, 2000),
        options=MULTI,
        replayed=404,
    ),
    Operation("open xb", _write, (900, 2000), options=MULTI),
    Operation("swap", lambda fs: fs.pipe_file(PATH, OURS, if_match=ETAG), (900, 2000), OLD, swaps=True),
    Operation(
        "swap in parts",
        lambda fs: fs.pipe_file(PATH, OURS, if_match=ETAG),
        (900, 2000),
        OLD,
        swaps=True,
        options=MULTI,
        replayed=404,
    ),
    Operation("put", lambda fs: fs.pipe_file(PATH, OURS), (900, 2000), OLD, conditional=False),
    Operation(
        "put in parts",
        lambda fs: fs.pipe_file(PATH, OURS),
        (900, 2000),
        OLD,
        conditional=False,
        options=MULTI,
        replayed=404,
    ),
    Operation(
        "copy, create", lambda fs: fs.cp_file(FROM, PATH, mode="create"), (900, 2000), rival=with_source
    ),
    Operation(
        "copy, swap",
        lambda fs: fs.cp_file(FROM, PATH, if_match=ETAG),
        (900, 2000),
        OLD,
        swaps=True,
        rival=with_source,
    ),
    Operation(
        "copy in parts, create",
        lambda fs: fs.cp_file(FROM, PATH, mode="create"),
        (900, 2000),
        rival=with_source,
        single_copy=4,
    ),
    Operation(
        "delete on condition",
        lambda fs: fs.rm_file(PATH, if_match=ETAG),
        (200, 250),
        OLD,
        swaps=True,
        deletes=True,
        results=(),
    ),
    Operation(
        "update",
        lambda fs: fs.update(PATH, _plus_one, max_attempts=2),
        (900, 2000),
        b"10",
        swaps=True,
        results=tuple(str(number).encode() for number in range(11, 15)),
        rival=increments,
    ),
    Operation("append", _append, (900, 2000), OLD, swaps=True, results=APPENDED, min_part=64),
    Operation(
        "append in parts",
        _append,
        (900, 2000),
        OLD,
        swaps=True,
        results=APPENDED,
        options=MULTI,
    ),
]


# --- one history -----------------------------------------------------------------------------------


class _AtOnce(Executor):
    """Tasks of the pool are done when they are submitted: threads would be choices that nobody makes."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(call(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


@dataclass(frozen=True)
class History:
    """What one call did and said."""

    operation: Operation
    store: SimulatedS3
    result: object
    error: Exception | None

    @property
    def during(self) -> list[Change]:
        """What was at the key from before the call to its end, in order."""
        return self.store.changes[: self.store.ended_at]

    @property
    def ours(self) -> list[Change]:
        """What our call did to the key, then or later."""
        return [change for change in self.store.changes if change.author == US]

    @property
    def others(self) -> list[Version]:
        """Objects of somebody else that were there during the call."""
        return [change.version for change in self.during if change.version and change.author != US]

    @property
    def taken(self) -> bool:
        """Whether the call said that the key was taken."""
        return isinstance(self.error, FileExistsError) or self.result is False

    @property
    def succeeded(self) -> bool:
        return self.error is None and self.result is not False

    @property
    def publishing(self) -> list[Exchange]:
        return [exchange for exchange in self.store.exchanges if exchange.operation in PUBLISHING]

    @property
    def after_publishing(self) -> list[Exchange]:
        """The requests after the last that could publish."""
        exchanges = self.store.exchanges
        last = max((n for n, it in enumerate(exchanges) if it.operation in PUBLISHING), default=-1)
        return exchanges[last + 1 :]

    @property
    def ambiguous(self) -> bool:
        return any(exchange.fault in AMBIGUOUS for exchange in self.publishing)

    def __str__(self) -> str:
        said = f"{type(self.error).__name__}: {self.error}" if self.error else f"returned {self.result!r}"
        maybe = getattr(self.error, "maybe_applied", False)
        left = ", ".join(self.store.uploads) or "none"
        lines = [*self.store.trace, f"{said}, maybe_applied={maybe}", f"uploads left: {left}"]
        return "\n      ".join(lines)


def run(operation: Operation, bounds: Bounds, fs: GuardedS3FileSystem, choices: Choices) -> History:
    """One call from scratch."""
    objects = {SOURCE: version("", OURS)}
    if operation.before is not None:
        objects[KEY] = version("", operation.before)
    store = SimulatedS3(
        choices,
        kinds=bounds.kinds,
        faults=min(bounds.faults, 3 if operation.options is MULTI or operation.single_copy < 64 else 4),
        late=bounds.late,
        rivals=operation.rivals,
        rival=operation.rival,
        objects=objects,
        replayed=operation.replayed,
    )
    client: Any = fs._client
    client._transport = store
    client._retry = RetryPolicy(operation.attempts, sleep=lambda seconds: None)
    result, failure = None, None
    try:
        result = operation.call(fs)
    except Exception as error:
        failure = error
    store.end()
    return History(operation, store, result, failure)


# --- what must hold --------------------------------------------------------------------------------


def violations(history: History) -> list[str]:
    """The promises that this history breaks."""
    return [message for promise in PROMISES for message in promise(history)]


def one_creator_wins(history: History) -> Iterator[str]:
    """Between two creates that succeeded somebody removed the object."""
    claimed = history.succeeded and history.operation.conditional and not history.operation.swaps
    free = history.operation.before is None
    winners = 0
    for change in history.during:
        if change.version is None:
            winners, free = 0, True
        elif change.condition == "create":
            winners += 1
            if winners > 1 or not free:
                yield "two creators won"
            free = False
        else:
            free = False
    if claimed and not any(change.condition == "create" for change in history.ours):
        yield "a creator won who created nothing"


def success_is_true(history: History) -> Iterator[str]:
    """Our bytes were published by this call; those of a plain write may have been published by anybody."""
    if not history.succeeded:
        return
    ours = [change for change in history.during if change.author == US]
    if history.operation.deletes:
        if not any(change.version is None for change in ours):
            yield "success, but we deleted nothing"
        return
    if not history.operation.conditional:
        ours += [
            it for it in history.during[1:] if it.version and it.version.body in history.operation.results
        ]
    if not any(change.version for change in ours):
        yield "success, but our bytes were never published"
    etags = [change.version.etag for change in ours if change.version]
    if isinstance(history.result, str) and history.result not in etags:
        yield "success with an ETag that is not ours"


def taken_is_true(history: History) -> Iterator[str]:
    """FileExistsError (and False) only if somebody else's object was there during the call."""
    if history.taken and not history.others:
        yield "the key was said to be taken, but nobody else had an object there"


def changed_is_true(history: History) -> Iterator[str]:
    """ObjectChangedError and FileNotFoundError only if the object was replaced, or gone."""
    error = history.error
    swaps = history.operation.swaps
    if isinstance(error, ObjectChangedError):
        first = history.during[0].version
        replaced = swaps and any(it is not first for it in history.others)
        about_source = getattr(error, "key", "") == SOURCE or "source" in str(error)
        if about_source and not history.store.source_changed:
            yield "the source was said to be replaced, and was not"
        elif not about_source and not replaced and not history.store.source_changed:
            yield "the object was said to be replaced, and was not"
    elif isinstance(error, FileNotFoundError) and all(it.version for it in history.during):
        yield "the object was said to be gone, and was not"


def definite_is_definite(history: History) -> Iterator[str]:
    """An error that leaves no doubt: our bytes were not published and never will be."""
    error = history.error
    if error is None:
        return
    if not isinstance(error, GuardedS3Error):
        yield f"an error that is not ours: {error!r}"
    elif not isinstance(error, WriteOutcomeUnknownError) and not error.maybe_applied and history.ours:
        yield f"{type(error).__name__} is definite, but our write was applied"


def doubt_is_said(history: History) -> Iterator[str]:
    """A write that may have been published is unknown, or lost a condition; a raw error would not tell."""
    error = history.error
    if not isinstance(error, GuardedS3Error) or not error.maybe_applied or history.operation.deletes:
        return
    if isinstance(error, (WriteOutcomeUnknownError, PreconditionFailedError)) or not history.ambiguous:
        return
    yield f"{type(error).__name__} came out of a write that may have been published"


def unknown_is_needed(history: History) -> Iterator[str]:
    """WriteOutcomeUnknownError only where no proof could be had.

    There was an ambiguous answer; and of what was asked after the last publishing request

    - no HEAD showed our object (by author; by content for a plain write), nor, for a create, another's;
    - an upload was not seen open (ListParts) and then aborted (204), which would prove that it never was
      completed;
    - and where our object is the current version, the last look at the key was not answered.
    """
    if not isinstance(history.error, WriteOutcomeUnknownError):
        return
    operation = history.operation
    if not history.ambiguous:
        yield "unknown, but no answer was lost"
    if operation.deletes:
        return
    looks = [it for it in history.after_publishing if it.operation == "HeadObject"]
    seen = [it.seen for it in looks if it.fault == FINE]
    if any(found and found.author == US for found in seen):
        yield "unknown, but our object was seen"
    if operation.conditional and not operation.swaps and any(found and found.author != US for found in seen):
        yield "unknown, but another's object was seen"
    opened = False
    for exchange in history.after_publishing:
        opened = opened or (exchange.operation, exchange.status) == ("ListParts", 200)
        if opened and (exchange.operation, exchange.status) == ("AbortMultipartUpload", 204):
            yield "unknown, but the upload was proved to be open and was aborted"
            break
    now = history.during[-1]
    if now.author == US and now.version and looks and looks[-1].fault == FINE:
        yield "unknown, but our object is there"


def no_upload_is_left(history: History) -> Iterator[str]:
    """After a definite outcome no upload is open, unless its id was lost or its abort refused."""
    if isinstance(history.error, WriteOutcomeUnknownError):
        return
    for name in _left(history):
        yield f"{name} was left open after a definite outcome"


def _left(history: History) -> list[str]:
    """Open uploads whose id was told, and whose abort S3 did not refuse to the last attempt."""
    found = []
    for name, upload in history.store.uploads.items():
        aborts = [
            it
            for it in history.store.exchanges
            if it.upload_id == name and it.operation == "AbortMultipartUpload"
        ]
        if upload.known and not (aborts and aborts[-1].fault != FINE):
            found.append(name)
    return found


def bytes_are_whole(history: History) -> Iterator[str]:
    """Every version that was ever readable is all of somebody's bytes."""
    whole = {history.operation.before, OURS, THEIRS, *history.operation.results}
    for change in history.store.changes:
        counted = change.author == RIVAL and history.operation.rival is increments
        if change.version and change.version.body not in whole and not counted:
            yield f"a torn object was there: {change.version.body!r}"


def nothing_is_done_twice(history: History) -> Iterator[str]:
    """An increment counts once; what was acknowledged counts, and what definitely failed does not."""
    if history.operation.rival is not increments:
        return
    applied = len(history.ours)
    final = history.store.current
    theirs = sum(change.author == RIVAL for change in history.store.changes)
    if final is None or int(final.body) != 10 + theirs + applied:
        yield "an increment was lost"
    if applied > 1 or (history.succeeded and applied != 1):
        yield f"one increment was acknowledged or asked for, and {applied} were made"


PROMISES: tuple[Callable[[History], Iterator[str]], ...] = (
    one_creator_wins,
    success_is_true,
    taken_is_true,
    changed_is_true,
    definite_is_definite,
    doubt_is_said,
    unknown_is_needed,
    no_upload_is_left,
    bytes_are_whole,
    nothing_is_done_twice,
)


# --- all histories ---------------------------------------------------------------------------------


@dataclass
class Exploration:
    """What came of all histories of one operation; the shortest history of each violation."""

    histories: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    shortest: dict[str, tuple[int, str]] = field(default_factory=dict)

    def take(self, history: History) -> None:
        """Check one history and count it."""
        outcome = (
            type(history.error).__name__ if history.error else f"returned {type(history.result).__name__}"
        )
        self.outcomes[outcome] += 1
        uploads = history.store.uploads
        if any(not upload.known for upload in uploads.values()):
            self.outcomes["(left: an upload whose id was lost)"] += 1
        if any(upload.known for upload in uploads.values()) and not _left(history):
            self.outcomes["(left: an upload whose abort never got through)"] += 1
        broken = violations(history)
        for message in broken:
            self.found[message] += 1
            length = sum(it.fault != FINE for it in history.store.exchanges) * 100 + len(history.store.trace)
            if message not in self.shortest or length < self.shortest[message][0]:
                self.shortest[message] = (length, str(history))

    def report(self) -> str:
        """The violations, each with its shortest history."""
        return "\n".join(
            f"{self.found[message]} x {message}:\n      {text}"
            for message, (_, text) in self.shortest.items()
        )


def explore(operation: Operation, bounds: Bounds) -> Exploration:
    """All histories of `operation` within `bounds`."""
    fs = GuardedS3FileSystem(
        anon=True,
        endpoint_url="http://127.0.0.1",
        region="us-east-1",
        probe="never",
        max_attempts=operation.attempts,
        max_concurrency=1,
        skip_instance_cache=True,
        verify_checksums=False,
        **operation.options,
    )
    exploration = Exploration()
    exploration.histories = enumerate_histories(
        lambda choices: exploration.take(run(operation, bounds, fs, choices))
    )
    return exploration


@pytest.fixture(autouse=True)
def small_scale(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Parts of a few bytes, no threads, no log."""
    monkeypatch.setattr(_options, "MIN_PART_SIZE", 1)
    monkeypatch.setattr(_options, "MIB", 1)
    monkeypatch.setattr(_parts, "_COPY_PART", PART)
    monkeypatch.setattr(_threads, "_executor", _AtOnce())
    monkeypatch.setattr(logging.getLogger("fsspec_guarded_s3"), "disabled", True)
    yield


@pytest.fixture
def scaled(monkeypatch: pytest.MonkeyPatch) -> Callable[[Operation], None]:
    """Sets the sizes from which an operation goes in parts."""

    def scale(operation: Operation) -> None:
        monkeypatch.setattr(_parts, "MIN_PART_SIZE", operation.min_part)
        monkeypatch.setattr(_parts, "MAX_SINGLE_PUT", operation.single_copy)

    return scale


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bounds", [WIDE, DEEP], ids=str)
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_every_history(
    operation: Operation,
    bounds: Bounds,
    scaled: Callable[[Operation], None],
    record_property: Callable[[str, object], None],
) -> None:
    """conftest.py prints the recorded numbers at the end of the run."""
    scaled(operation)
    exploration = explore(operation, bounds)
    record_property("histories", exploration.histories)
    assert not exploration.found, exploration.report()
    assert exploration.histories >= operation.least[bounds is DEEP]


# --- that the promises are watched -----------------------------------------------------------------


def _trust_412(self: _upload.Upload, error: GuardedS3Error, digest: str) -> Written:
    error.maybe_applied = False
    raise self._failed(error)


def _trust_content(self: _upload.Upload, found: Any, digest: str) -> bool:
    return bool(found.etag.strip('"') == digest)


def _no_abort(self: _upload.Upload) -> bool:
    return False


def _never_ambiguous(error: BaseException) -> bool:
    return False


_ROOT = "fsspec_guarded_s3"
BROKEN: list[tuple[str, int, str, Any, str]] = [
    ("a 412 is trusted", 0, "_upload.Upload._resolve", _trust_412, "but nobody else had an object there"),
    ("equal content is trusted", 0, "_upload.Upload._is_ours", _trust_content, "success, but our bytes"),
    ("no abort", 3, "_upload.Upload._remove_upload", _no_abort, "was left open after a definite outcome"),
    ("no doubt", 0, "_retry.is_ambiguous", _never_ambiguous, "is definite, but our write was applied"),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("index", "target", "broken", "message"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_broken_code_is_caught(
    index: int,
    target: str,
    broken: Any,
    message: str,
    scaled: Callable[[Operation], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scaled(OPERATIONS[index])
    monkeypatch.setattr(f"{_ROOT}.{target}", broken)
    found = explore(OPERATIONS[index], WIDE).found
    assert any(message in text for text in found), found
