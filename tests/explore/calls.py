"""The calls that are explored, and who acts against them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fsspec_guarded_s3 import GuardedS3FileSystem

from .store import (
    BEFORE,
    BUCKET,
    KEY,
    RIVAL,
    SOURCE,
    TARGET,
    TOKEN,
    US,
    Deed,
    Deeds,
    Pending,
    SimulatedS3,
    World,
    version,
)

PATH = f"{BUCKET}/{KEY}"
FROM = f"{BUCKET}/{SOURCE}"
OLD = b"old-bytes"
OURS = b"our-new-bytes"
THEIRS = b"their-bytes"
ETAG = version("", OLD).etag
PART = 8  # bytes: OURS has two parts
COPIED_PART = 7  # parts of a copy have one size
BEGUN = "upload-begun"  # by a process that was killed

SINGLE: Mapping[str, Any] = {"part_size": 64, "multipart_threshold": 64}
MULTI: Mapping[str, Any] = {"part_size": PART, "multipart_threshold": PART}


# --- the rival -------------------------------------------------------------------------------------


def _same_bytes(part_size: int) -> Deed:
    """The same bytes as ours and so the same ETag, but its own token: no proof of authorship."""
    new = version(RIVAL, OURS, ((TOKEN, "token-rival"),), part_size)
    return lambda store: store.write(RIVAL, new)


def _plain_write(store: SimulatedS3) -> None:
    store.write(RIVAL, version(RIVAL, THEIRS))


def _increment(store: SimulatedS3) -> None:
    found = store.current
    assert found
    store.write(RIVAL, version(RIVAL, str(int(found.body) + 1).encode(), ((TOKEN, "token-rival"),)))


def _delete(store: SimulatedS3) -> None:
    store.delete(RIVAL)


def _replace_source(store: SimulatedS3) -> None:
    store.write(RIVAL, version(RIVAL, THEIRS), key=SOURCE)


def _append_too(store: SimulatedS3) -> None:
    store.write(RIVAL, version(RIVAL, OLD + OURS))


def _take_target(store: SimulatedS3) -> None:
    store.write(RIVAL, version(RIVAL, THEIRS), key=TARGET)


def writes_and_deletes(part_size: int = 0) -> Deeds:
    """A write that is conditional where it can be, a plain one and a delete."""
    same_bytes = _same_bytes(part_size)

    def deeds(store: SimulatedS3) -> list[tuple[str, Deed]]:
        writes = [("the rival writes our bytes", same_bytes), ("the rival overwrites", _plain_write)]
        return [*writes, ("the rival deletes", _delete)] if store.current else writes

    return deeds


def with_source(part_size: int = 0) -> Deeds:
    """The same, and a change of the source of a copy."""
    others = writes_and_deletes(part_size)

    def deeds(store: SimulatedS3) -> list[tuple[str, Deed]]:
        found = others(store)
        if store.ledger.source_changed:
            return found
        return [*found, ("the rival replaces the source", _replace_source)]

    return deeds


def with_target(store: SimulatedS3) -> list[tuple[str, Deed]]:
    """Writes and deletes, and a write to the target of a move."""
    found = writes_and_deletes()(store)
    if store.ledger.target_taken or TARGET in store.objects:
        return found
    return [*found, ("the rival takes the target", _take_target)]


def with_append(store: SimulatedS3) -> list[tuple[str, Deed]]:
    """Writes and deletes, and an append of the bytes that we append, too."""
    found = writes_and_deletes()(store)
    if store.current is None or store.current.body != OLD:
        return found
    return [*found, ("the rival appends our bytes", _append_too)]


def increments(store: SimulatedS3) -> list[tuple[str, Deed]]:
    """Another who counts."""
    return [("the rival increments", _increment)] if store.current else []


def nobody(store: SimulatedS3) -> list[tuple[str, Deed]]:
    """No rival: the calls are rivals of each other."""
    return []


# --- what is called --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    """A call. `results` is what it may publish; `resumed` says that its upload was begun before."""

    name: str
    call: Callable[[GuardedS3FileSystem, str], object]  # gets the name of a local file with OURS
    before: bytes | None = None
    swaps: bool = False
    conditional: bool = True
    deletes: bool = False
    counts: bool = False
    moves: bool = False
    at_end: bool = False  # appends are made by the store, in a directory bucket
    renames: bool = False  # the bucket is a directory bucket
    spares_target: bool = False  # a move onto what is not there
    answers: bool = False  # by a bool, of which False is definite
    ignored: frozenset[str] = frozenset()  # guards that the store ignores, as a probe found out
    resumed: bool = False
    results: tuple[bytes, ...] = (OURS,)
    options: Mapping[str, Any] = field(default_factory=lambda: SINGLE)
    rival: Deeds = field(default_factory=writes_and_deletes)
    attempts: int = 2
    replayed: int = 200
    single_copy: int = 64
    costly: bool = False  # two faults would take a minute
    min_part: int = 1
    generations: bool = False  # as Google Cloud Storage has them

    def __str__(self) -> str:
        return self.name

    @property
    def in_parts(self) -> bool:
        return self.options is MULTI or self.single_copy < 64

    @property
    def has_many_steps(self) -> bool:
        """Whether two faults are many."""
        return self.in_parts or self.moves or self.at_end

    def store(self, callers: tuple[str, ...] = (US,)) -> SimulatedS3:
        """What there is before the calls."""
        whole = {OURS, THEIRS, *self.results, *([self.before] if self.before else [])}
        world = World(
            callers,
            self.rival,
            self.replayed,
            None if self.counts else frozenset(whole),
            frozenset(self.results),
            self.ignored,
            self.generations,
        )
        objects = {SOURCE: version(BEFORE, OURS)}
        if self.before is not None:
            objects[KEY] = version(BEFORE, self.before)
        if not self.resumed:
            return SimulatedS3(world, objects)
        headers = (("content-type", "application/octet-stream"), (TOKEN, "token-begun"))
        begun = Pending(US, headers, ((1, version(US, OURS[:PART])),))
        return SimulatedS3(world, objects, {BEGUN: begun})


def _append(fs: GuardedS3FileSystem, local: str) -> None:
    with fs.open(PATH, "ab") as file:
        file.write(OURS)


def _open_xb(fs: GuardedS3FileSystem, local: str) -> None:
    with fs.open(PATH, "xb") as file:
        file.write(OURS)


def _change(fs: GuardedS3FileSystem, local: str) -> None:
    with fs.open(PATH, "r+b") as file:
        file.write(OURS)
        file.truncate()


def _append_in_a_file(fs: GuardedS3FileSystem, local: str) -> None:
    with fs.open(PATH, "a+b") as file:
        file.write(OURS)


def _create_and_seek(fs: GuardedS3FileSystem, local: str) -> None:
    with fs.open(PATH, "xb") as file:
        file.write(OURS[:4])
        file.seek(0)
        file.write(OURS)


def _put_if_absent(fs: GuardedS3FileSystem, local: str) -> bool:
    return fs.put_if_absent(PATH, OURS)


def _create(fs: GuardedS3FileSystem, local: str) -> None:
    fs.pipe_file(PATH, OURS, mode="create")


def _create_from_file(fs: GuardedS3FileSystem, local: str) -> None:
    fs.put_file(local, PATH, mode="create")


def _resume_create(fs: GuardedS3FileSystem, local: str) -> None:
    fs.put_file(local, PATH, mode="create", resume=BEGUN)


def _resume_swap(fs: GuardedS3FileSystem, local: str) -> None:
    fs.put_file(local, PATH, if_match=ETAG, resume=BEGUN)


def _resume_put(fs: GuardedS3FileSystem, local: str) -> None:
    fs.put_file(local, PATH, resume=BEGUN)


def _swap(fs: GuardedS3FileSystem, local: str) -> None:
    fs.pipe_file(PATH, OURS, if_match=ETAG)


def _put(fs: GuardedS3FileSystem, local: str) -> None:
    fs.pipe_file(PATH, OURS)


def _copy_create(fs: GuardedS3FileSystem, local: str) -> None:
    fs.cp_file(FROM, PATH, mode="create")


def _copy_swap(fs: GuardedS3FileSystem, local: str) -> None:
    fs.cp_file(FROM, PATH, if_match=ETAG)


def _copy_plain(fs: GuardedS3FileSystem, local: str) -> None:
    fs.cp_file(FROM, PATH)


def _move(fs: GuardedS3FileSystem, local: str) -> None:
    fs.mv(PATH, f"{BUCKET}/{TARGET}")


def _move_create(fs: GuardedS3FileSystem, local: str) -> None:
    fs.mv(PATH, f"{BUCKET}/{TARGET}", mode="create")


def _set_metadata(fs: GuardedS3FileSystem, local: str) -> None:
    fs.setxattr(PATH, reviewed="yes")


def _delete_on_condition(fs: GuardedS3FileSystem, local: str) -> None:
    fs.rm_file(PATH, if_match=ETAG)


def _update(fs: GuardedS3FileSystem, local: str) -> str:
    return fs.update(PATH, lambda data: str(int(data) + 1).encode(), max_attempts=2)


# Appended to what was there when the call began, or to what the rival had written just before.
APPENDED = (OURS, OLD + OURS, OURS + OURS, THEIRS + OURS)
NO_COPY_SWAP = frozenset({"copy_swap"})
NO_COPIES = frozenset({"copy_source", "copy_source_parts", "copy_swap", "copy_create"})
NO_MANY = frozenset({"delete_many"})
SAME_IN_PARTS = writes_and_deletes(PART)

OPERATIONS = [
    Operation("put_if_absent", _put_if_absent, answers=True),
    Operation("put_if_absent, 3 attempts", _put_if_absent, attempts=3, answers=True),
    Operation("put_if_absent, taken", _put_if_absent, before=OLD, answers=True),
    Operation("swap", _swap, OLD, swaps=True),
    Operation("put", _put, OLD, conditional=False),
    Operation("create in parts", _create, options=MULTI, rival=SAME_IN_PARTS),
    Operation(
        "create in parts, replay answers 404", _create, options=MULTI, rival=SAME_IN_PARTS, replayed=404
    ),
    Operation("create from a file", _create_from_file, options=MULTI, rival=SAME_IN_PARTS),
    Operation("open xb", _open_xb, options=MULTI, rival=SAME_IN_PARTS),
    Operation("swap in parts", _swap, OLD, swaps=True, options=MULTI, rival=SAME_IN_PARTS, replayed=404),
    Operation("put in parts", _put, OLD, conditional=False, options=MULTI, rival=SAME_IN_PARTS, replayed=404),
    Operation("resume, create", _resume_create, resumed=True, options=MULTI, rival=SAME_IN_PARTS),
    Operation(
        "resume, swap", _resume_swap, OLD, swaps=True, resumed=True, options=MULTI, rival=SAME_IN_PARTS
    ),
    Operation(
        "resume, put",
        _resume_put,
        OLD,
        conditional=False,
        resumed=True,
        options=MULTI,
        rival=SAME_IN_PARTS,
        replayed=404,
    ),
    Operation("copy, create", _copy_create, results=(OURS, THEIRS), rival=with_source()),
    Operation("copy, swap", _copy_swap, OLD, swaps=True, results=(OURS, THEIRS), rival=with_source()),
    Operation(
        "copy in parts, create",
        _copy_create,
        results=(OURS, THEIRS),
        rival=with_source(COPIED_PART),
        single_copy=4,
    ),
    Operation(
        "copy in parts, swap",
        _copy_swap,
        OLD,
        swaps=True,
        results=(OURS, THEIRS),
        rival=with_source(COPIED_PART),
        single_copy=4,
        replayed=404,
    ),
    Operation("delete on condition", _delete_on_condition, OLD, swaps=True, deletes=True, results=()),
    Operation(
        "copy, read and sent, create",
        _copy_create,
        results=(OURS, THEIRS),
        rival=with_source(),
        ignored=NO_COPIES,
    ),
    Operation(
        "copy, read and sent, swap",
        _copy_swap,
        OLD,
        swaps=True,
        results=(OURS, THEIRS),
        rival=with_source(),
        ignored=NO_COPIES,
    ),
    Operation(
        "copy in parts, read and sent, swap",
        _copy_swap,
        OLD,
        swaps=True,
        results=(OURS, THEIRS),
        rival=with_source(COPIED_PART),
        single_copy=4,
        options=MULTI,
        ignored=NO_COPIES,
        costly=True,
    ),
    Operation(
        "copy, plain", _copy_plain, OLD, conditional=False, results=(OURS, THEIRS), rival=with_source()
    ),
    Operation(
        "copy, plain, read and sent",
        _copy_plain,
        OLD,
        conditional=False,
        results=(OURS, THEIRS),
        rival=with_source(),
        ignored=NO_COPIES,
    ),
    Operation("setxattr", _set_metadata, OLD, swaps=True, results=(OLD,)),
    Operation(
        "setxattr, the pin alone", _set_metadata, OLD, swaps=True, results=(OLD,), ignored=NO_COPY_SWAP
    ),
    Operation("setxattr, read and sent", _set_metadata, OLD, swaps=True, results=(OLD,), ignored=NO_COPIES),
    Operation("mv", _move, OLD, swaps=True, moves=True, results=()),
    Operation("mv, one delete each", _move, OLD, swaps=True, moves=True, results=(), ignored=NO_MANY),
    Operation("mv, by a look", _move, OLD, swaps=True, moves=True, results=(), ignored=NO_MANY | {"delete"}),
    Operation(
        "mv, read and sent", _move, OLD, swaps=True, moves=True, results=(), ignored=NO_MANY | NO_COPIES
    ),
    Operation("mv, renamed", _move, OLD, swaps=True, moves=True, renames=True, results=()),
    Operation(
        "mv, renamed, create",
        _move_create,
        OLD,
        swaps=True,
        moves=True,
        renames=True,
        spares_target=True,
        results=(),
        rival=with_target,
    ),
    Operation("update", _update, b"10", swaps=True, counts=True, rival=increments),
    Operation("append", _append, OLD, swaps=True, results=APPENDED, min_part=64),
    Operation("append in parts", _append, OLD, swaps=True, results=APPENDED, options=MULTI),
    Operation(
        "append at the end",
        _append,
        OLD,
        swaps=True,
        at_end=True,
        results=(*APPENDED, OLD + OURS + OURS),
        rival=with_append,
        min_part=64,
    ),
    Operation("append to nothing", _append, swaps=True, results=APPENDED, options=MULTI),
    Operation("open r+b", _change, OLD, swaps=True),
    Operation(
        "open r+b, in parts", _change, OLD, swaps=True, options=MULTI, rival=SAME_IN_PARTS, costly=True
    ),
    Operation("open a+b", _append_in_a_file, OLD, swaps=True, results=APPENDED),
    Operation("open xb, and seek", _create_and_seek, options=MULTI, rival=SAME_IN_PARTS),
    Operation("put_if_absent, generations", _put_if_absent, answers=True, generations=True),
    Operation("swap, generations", _swap, OLD, swaps=True, generations=True),
    Operation(
        "copy, swap, generations",
        _copy_swap,
        OLD,
        swaps=True,
        results=(OURS, THEIRS),
        rival=with_source(),
        generations=True,
        costly=True,
    ),
    Operation(
        "delete on condition, generations",
        _delete_on_condition,
        OLD,
        swaps=True,
        deletes=True,
        results=(),
        generations=True,
    ),
    Operation(
        "update, generations", _update, b"10", swaps=True, counts=True, rival=increments, generations=True
    ),
]
