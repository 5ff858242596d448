"""What is called: every operation, what is there before it and after it, and which requests it makes.

`calls` names, for each request that a fault is to hit, the column of `table` that holds the promises.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3.integrations import commit_log, commit_pointer
from fsspec_guarded_s3.integrations.commit import CommitLog, Pointer, PointerState, Snapshot
from fsspec_guarded_s3.integrations.commit_manifest import Manifest
from fsspec_guarded_s3.integrations.commit_records import record
from tests.fake_s3 import md5_etag
from tests.opening import MIB

# By "bucket/key"; "bucket/" is the bucket itself. "bucket/key?tagging", "?acl" and "?x-amz-meta-name" are
# what it has beside its bytes, where it has any. STALE is the first part of an upload.
Objects = dict[str, bytes]

_random = random.Random(3)  # without a period, so that swapped ranges and parts show
SMALL = _random.randbytes(1000)
OLD = _random.randbytes(600)
LARGE = _random.randbytes(5 * MIB + 1000)
ETAG = md5_etag(OLD)

PATH = "bucket/key"
DIRECTORY = "mine--use1-az4--x-s3"
STALE = "the upload of a process that was killed"
COPY = "bucket/copy"
BIG = "bucket/big"
RANGES: dict[str, Any] = {"range_size": 300}
PARTS: dict[str, Any] = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}


@dataclass
class World:
    """The filesystem of one cell, and a folder with `old` (a file of OLD), `small` and `large`."""

    fs: GuardedS3FileSystem
    folder: Path


ANSWER = object()


@dataclass(frozen=True)
class Operation:
    """A call. `objects` are there before, `changes` (None: gone) after.

    `result` is what it must return: ANSWER is the ETag of what was published, and no version.
    """

    name: str
    run: Callable[[World], object]
    calls: Mapping[str, str]
    objects: Mapping[str, bytes] = field(default_factory=lambda: {PATH: OLD})
    changes: Mapping[str, bytes | None] = field(default_factory=dict)
    result: object = None
    options: Mapping[str, Any] = field(default_factory=dict)
    copy_limit: int | None = None  # of a single copy, in bytes
    halfway: Mapping[str, bytes] | None = None  # what a TransactionError may leave

    @property
    def before(self) -> Objects:
        return {"bucket/": b"", **self.objects}

    @property
    def after(self) -> Objects:
        found = {**self.before, **self.changes}
        return {name: body for name, body in found.items() if body is not None}


def _write(world: World, mode: str, data: bytes, **options: Any) -> None:
    with world.fs.open(PATH, mode, **options) as file:
        for start in range(0, len(data), MIB):
            file.write(data[start : start + MIB])


def _read(world: World) -> bytes:
    with world.fs.open(PATH, "rb", block_size=100, cache_type="none") as file:
        file.seek(600)
        data: bytes = file.read()
        return data


def _get(world: World) -> bytes:
    world.fs.get_file(PATH, world.folder / "old")
    return (world.folder / "old").read_bytes()


def _cat_ranges(world: World) -> Any:
    return world.fs.cat_ranges([PATH, PATH], [-300, 0], [None, 100], on_error="raise")


def _cat_ranges_into(world: World) -> Any:
    buffers = bytearray(310), bytearray(110)  # longer than the slices
    counts = world.fs.cat_ranges_into([PATH, PATH], [-300, 0], [None, 100], buffers)
    return [bytes(buffer[:count]) for buffer, count in zip(buffers, counts, strict=True)]


def _reading(name: str, run: Callable[[World], object], result: object, **calls: str) -> Operation:
    named = {target.replace("_", " "): column for target, column in calls.items()}
    # One thread: which request of cat_ranges comes first would be left to chance.
    options = RANGES if name in ("cat_file-large", "get_file") else {"max_concurrency": 1}
    objects = {PATH: SMALL, "bucket/folder/one": b"1", "bucket/folder/two": b"2"}
    if run is _read_on:
        objects[BIG] = LARGE[:200_000]
    return Operation(name, run, named, objects, result=result, options=options)


def _read_ahead(world: World) -> bytes:
    with world.fs.open(PATH, "rb") as file:
        file.seek(100)
        data: bytes = file.read(200) + file.read()
        return data


def _read_listed(world: World) -> bytes:
    world.fs.find("bucket")
    return _read_ahead(world)


def _read_on(world: World) -> bytes:
    with world.fs.open(BIG, "rb") as file:
        data: bytes = file.read(1000) + file.read(100_000) + file.read()
        return data


def _names(world: World) -> list[str]:
    return sorted(world.fs.find("bucket"))


READS = (
    _reading("info", lambda w: w.fs.info(PATH)["size"], 1000, HeadObject="stat"),
    _reading("exists", lambda w: w.fs.exists(PATH), True, HeadObject="stat"),
    _reading("metadata", lambda w: w.fs.metadata(PATH), {}, HeadObject="stat"),
    _reading("bucket_region", lambda w: w.fs.bucket_region("bucket"), "us-east-1", HeadBucket="stat"),
    _reading("ls-buckets", lambda w: w.fs.ls("", detail=False), ["bucket"], ListBuckets="list"),
    _reading(
        "object_attributes",
        lambda w: w.fs.object_attributes(PATH)["ObjectSize"],
        1000,
        GetObjectAttributes="list",
    ),
    _reading("get_tags", lambda w: w.fs.get_tags(PATH), {}, GetObjectTagging="list"),
    _reading(
        "is_bucket_versioned", lambda w: w.fs.is_bucket_versioned("bucket"), False, GetBucketVersioning="list"
    ),
    _reading(
        "ls",
        lambda w: sorted(w.fs.ls("bucket/folder", detail=False)),
        ["bucket/folder/one", "bucket/folder/two"],
        ListObjectsV2="list",
    ),
    _reading("find", _names, ["bucket/folder/one", "bucket/folder/two", PATH], ListObjectsV2="list"),
    _reading("cat_file", lambda w: w.fs.cat_file(PATH), SMALL, GetObject="whole"),
    _reading(
        "cat_file-large",
        lambda w: w.fs.cat_file(PATH),
        SMALL,
        GetObject_first="first",
        GetObject_other="range",
    ),
    _reading(
        "cat_file-slice",
        lambda w: w.fs.cat_file(PATH, -300),
        SMALL[-300:],
        GetObject="slice",
    ),
    _reading(
        "cat_ranges",
        _cat_ranges,
        [SMALL[-300:], SMALL[:100]],
        GetObject_first="first slice",
        GetObject_other="range",
    ),
    _reading(
        "cat_ranges_into",
        _cat_ranges_into,
        [SMALL[-300:], SMALL[:100]],
        GetObject_first="first slice",
        GetObject_other="range",
    ),
    _reading("open-rb", _read, SMALL[600:], HeadObject="pin", GetObject="range"),
    _reading("open-rb-prefetch", _read_ahead, SMALL[100:], GetObject="opening"),
    _reading("open-rb-listed", _read_listed, SMALL[100:], GetObject="opening"),
    _reading("open-rb-ahead", _read_on, LARGE[:200_000], GetObject_other="range"),
    _reading("get_file", _get, SMALL, GetObject_first="file first", GetObject_other="file range"),
)


def _single(
    name: str, run: Callable[[World], object], column: str, data: bytes = SMALL, **calls: str
) -> Operation:
    objects = {} if column == "create" else {PATH: OLD}
    named = {"PutObject": column, **calls}
    return Operation(name, run, named, objects, {PATH: data}, result=_answer(name))


def _answer(name: str) -> object:
    return ANSWER if name.partition("-")[0] in ("pipe_file", "touch") else None


WRITES = (
    _single("pipe_file", lambda w: w.fs.pipe_file(PATH, SMALL), "plain"),
    _single("pipe_file-create", lambda w: w.fs.pipe_file(PATH, SMALL, mode="create"), "create"),
    _single("pipe_file-if_match", lambda w: w.fs.pipe_file(PATH, SMALL, if_match=ETAG), "swap"),
    _single("put_file", lambda w: w.fs.put_file(w.folder / "small", PATH), "plain"),
    _single("put_file-create", lambda w: w.fs.put_file(w.folder / "small", PATH, mode="create"), "create"),
    _single("put_file-if_match", lambda w: w.fs.put_file(w.folder / "small", PATH, if_match=ETAG), "swap"),
    _single("open-wb", lambda w: _write(w, "wb", SMALL), "plain"),
    _single("open-xb", lambda w: _write(w, "xb", SMALL), "create", HeadObject="look"),
    _single("open-wb-if_match", lambda w: _write(w, "wb", SMALL, if_match=ETAG), "swap"),
    _single("touch", lambda w: w.fs.touch(PATH), "plain", b""),
)


def _multipart(name: str, run: Callable[[World], object], column: str) -> Operation:
    calls = {
        "CreateMultipartUpload": "start",
        "UploadPart": "part",
        "CompleteMultipartUpload": column,
    }
    objects = {} if "create" in column else {PATH: OLD}
    return Operation(name, run, calls, objects, {PATH: LARGE}, result=_answer(name), options=PARTS)


MULTIPART = (
    _multipart("pipe_file-parts", lambda w: w.fs.pipe_file(PATH, LARGE), "complete"),
    _multipart(
        "pipe_file-parts-create", lambda w: w.fs.pipe_file(PATH, LARGE, mode="create"), "complete create"
    ),
    _multipart(
        "pipe_file-parts-if_match", lambda w: w.fs.pipe_file(PATH, LARGE, if_match=ETAG), "complete swap"
    ),
    _multipart("put_file-parts", lambda w: w.fs.put_file(w.folder / "large", PATH), "complete"),
    _multipart(
        "put_file-parts-create",
        lambda w: w.fs.put_file(w.folder / "large", PATH, mode="create"),
        "complete create",
    ),
    Operation(
        "put_file-resume",
        lambda w: w.fs.put_file(w.folder / "large", PATH, resume=STALE),
        {"ListParts": "list", "UploadPart": "part", "CompleteMultipartUpload": "complete resumed"},
        {PATH: OLD, STALE: LARGE[: 5 * MIB]},
        {PATH: LARGE, STALE: None},
        options=PARTS,
    ),
    _multipart("open-wb-parts", lambda w: _write(w, "wb", LARGE), "stream"),
    _multipart("open-xb-parts", lambda w: _write(w, "xb", LARGE), "stream create"),
)

_SOURCE = {PATH: SMALL}
_TARGET = {PATH: SMALL, COPY: OLD}
_COPIED: dict[str, bytes | None] = {COPY: SMALL}
_COPY_CALLS = {"HeadObject": "source", "CopyObject": "copy"}
_COPY_PARTS = {
    "CreateMultipartUpload": "start",
    "UploadPartCopy": "part copy",
    "CompleteMultipartUpload": "complete",
}

OTHERS = (
    Operation("cp_file", lambda w: w.fs.cp_file(PATH, COPY), _COPY_CALLS, _TARGET, _COPIED),
    Operation(
        "cp_file-create",
        lambda w: w.fs.cp_file(PATH, COPY, mode="create"),
        {"CopyObject": "copy create"},
        _SOURCE,
        _COPIED,
    ),
    Operation(
        "cp_file-if_match",
        lambda w: w.fs.cp_file(PATH, COPY, if_match=ETAG),
        {"CopyObject": "copy swap"},
        _TARGET,
        _COPIED,
    ),
    Operation(
        "cp_file-parts", lambda w: w.fs.cp_file(PATH, COPY), _COPY_PARTS, _TARGET, _COPIED, copy_limit=100
    ),
    Operation(
        "rm_file",
        lambda w: w.fs.rm_file(PATH),
        {"HeadObject": "look", "DeleteObject": "delete"},
        changes={PATH: None},
    ),
    Operation(
        "rm",
        lambda w: w.fs.rm(["bucket/one", "bucket/two"]),
        {"DeleteObjects": "bulk delete"},
        {"bucket/one": b"1", "bucket/two": b"2", PATH: OLD},
        {"bucket/one": None, "bucket/two": None},
        result=["bucket/one", "bucket/two"],
    ),
    Operation(
        "mkdir", lambda w: w.fs.mkdir("another"), {"CreateBucket": "bucket"}, changes={"another/": b""}
    ),
)


_COLOUR, _TAGS, _ACL = f"{PATH}?x-amz-meta-colour", f"{PATH}?tagging", f"{PATH}?acl"

_NOTE, _TEXT = f"{PATH}?annotation=note", b"a text of some length"

BESIDE = (
    Operation(
        "put_annotation",
        lambda w: w.fs.put_annotation(PATH, "note", _TEXT.decode()),
        {"PutObjectAnnotation": "tags"},
        {PATH: OLD, _NOTE: b"old"},
        {_NOTE: _TEXT},
    ),
    Operation(
        "delete_annotation",
        lambda w: w.fs.delete_annotation(PATH, "note"),
        {"DeleteObjectAnnotation": "tags"},
        {PATH: OLD, _NOTE: b"old"},
        {_NOTE: None},
    ),
    Operation(
        "get_annotation",
        lambda w: w.fs.get_annotation(PATH, "note"),
        {"GetObjectAnnotation": "list"},
        {PATH: OLD, _NOTE: _TEXT},
        result=_TEXT.decode(),
    ),
    Operation(
        "list_annotations",
        lambda w: [row["AnnotationName"] for row in w.fs.list_annotations(PATH)],
        {"ListObjectAnnotations": "list"},
        {PATH: OLD, _NOTE: _TEXT},
        result=["note"],
    ),
    Operation(
        "setxattr",
        lambda w: w.fs.setxattr(PATH, colour="blue"),
        {"HeadObject": "source", "CopyObject": "copy swap"},
        {PATH: OLD, _COLOUR: b"red", _TAGS: b"a=1"},
        {_COLOUR: b"blue"},
    ),
    Operation(
        "put_tags",
        lambda w: w.fs.put_tags(PATH, {"b": "2"}),
        {"PutObjectTagging": "tags"},
        {PATH: OLD, _TAGS: b"a=1"},
        {_TAGS: b"b=2"},
    ),
    Operation(
        "put_tags-merge",
        lambda w: w.fs.put_tags(PATH, {"b": "2"}, mode="m"),
        {"GetObjectTagging": "list", "PutObjectTagging": "tags"},
        {PATH: OLD, _TAGS: b"a=1"},
        {_TAGS: b"a=1&b=2"},
    ),
    Operation(
        "put_tags-none",
        lambda w: w.fs.put_tags(PATH, {}),
        {"DeleteObjectTagging": "setting"},
        {PATH: OLD, _TAGS: b"a=1"},
        {_TAGS: None},
    ),
    Operation(
        "chmod",
        lambda w: w.fs.chmod(PATH, "public-read"),
        {"PutObjectAcl": "setting"},
        changes={_ACL: b"public-read"},
    ),
    Operation(
        "chmod-bucket",
        lambda w: w.fs.chmod("bucket", "public-read"),
        {"PutBucketAcl": "setting"},
        changes={"bucket/?acl": b"public-read"},
    ),
    Operation(
        "make_bucket_versioned",
        lambda w: w.fs.make_bucket_versioned("bucket"),
        {"PutBucketVersioning": "setting"},
        changes={"bucket/?versioning": b"Enabled"},
    ),
    Operation(
        "rmdir",
        lambda w: w.fs.rmdir("empty"),
        {"DeleteBucket": "bucket removal"},
        {"empty/": b""},
        {"empty/": None},
    ),
)


def _append(name: str, old: bytes | None, **calls: str) -> Operation:
    objects = {} if old is None else {PATH: old}
    options = {**RANGES, "part_size": 5 * MIB}
    return Operation(
        name, lambda w: _write(w, "ab", SMALL), calls, objects, {PATH: (old or b"") + SMALL}, options=options
    )


def _update(world: World) -> None:
    world.fs.update(PATH, lambda data: data[::-1])


def _transaction(world: World) -> None:
    with world.fs.transaction:
        world.fs.pipe_file("bucket/one", SMALL)
        world.fs.pipe_file("bucket/two", SMALL)


_BOTH = {"bucket/one": SMALL, "bucket/two": SMALL}

GUARDED = (
    Operation(
        "rm_file-if_match",
        lambda w: w.fs.rm_file(PATH, if_match=ETAG),
        {"DeleteObject": "delete version"},
        changes={PATH: None},
    ),
    Operation(
        "update",
        _update,
        {"HeadObject": "file pin", "GetObject": "file range", "PutObject": "update"},
        changes={PATH: OLD[::-1]},
        options=RANGES,
    ),
    _append("open-ab", OLD, HeadObject="pin", GetObject="range", PutObject="swap"),
    _append("open-ab-new", None, HeadObject="stat", PutObject="create"),
    _append(
        "open-ab-parts",
        LARGE,
        CreateMultipartUpload="start",
        UploadPartCopy="part copy",
        UploadPart="part",
        CompleteMultipartUpload="stream swap",
    ),
    Operation(
        "transaction",
        _transaction,
        {"PutObject": "plain", "PutObject two": "second file"},
        {},
        _BOTH,
        halfway={"bucket/one": SMALL},
    ),
    Operation(
        "list_uploads",
        lambda w: [row["size"] for row in w.fs.list_uploads(PATH)],
        {"ListMultipartUploads": "list", "ListParts": "list"},
        {STALE: SMALL},
        result=[len(SMALL)],
    ),
    Operation(
        "abort_uploads",
        lambda w: len(w.fs.abort_uploads(PATH, older_than=0)),
        {"ListMultipartUploads": "list", "ListParts": "list", "AbortMultipartUpload": "delete"},
        {STALE: SMALL},
        {STALE: None},
        result=1,
    ),
)

_MOVED: dict[str, Any] = {
    "objects": {f"{DIRECTORY}/": b"", f"{DIRECTORY}/key": OLD},
    "changes": {f"{DIRECTORY}/key": None, f"{DIRECTORY}/moved": OLD},
}


def _move(world: World, mode: str) -> None:
    world.fs.mv(f"{DIRECTORY}/key", f"{DIRECTORY}/moved", mode=mode)


def _append_at_end(world: World) -> None:
    with world.fs.open(f"{DIRECTORY}/key", "ab") as file:
        file.write(SMALL)


EXPRESS = (
    Operation(
        "open-ab-directory",
        _append_at_end,
        {"PutObject": "append"},
        {f"{DIRECTORY}/": b"", f"{DIRECTORY}/key": OLD},
        {f"{DIRECTORY}/key": OLD + SMALL},
    ),
    Operation("mv-renamed", lambda w: _move(w, "overwrite"), {"RenameObject": "rename"}, **_MOVED),
    Operation("mv-renamed-create", lambda w: _move(w, "create"), {"RenameObject": "rename create"}, **_MOVED),
)


LOG, POINTER = "bucket/log", "bucket/pointer"
ENTRY_1, ENTRY_2 = (f"{LOG}/{number:020}.json" for number in (1, 2))


def _entry(number: int) -> bytes:
    return record("entry", version=number, token="token", data=number)


def _pointer(version: int, before: list[list[Any]]) -> bytes:
    tokens = {"token": "token", "origin": "token", "before": before}
    return record("pointer", version=version, **tokens, value=version)


def _with_known_tokens(call: Callable[[], Any]) -> Any:
    """What `call` returns, whose writer has a token that is no random one."""

    def known() -> str:
        return "token"

    with patch.object(commit_log, "new_token", known), patch.object(commit_pointer, "new_token", known):
        return call()


def _append_entry(world: World) -> Any:
    log = CommitLog(world.fs, LOG)
    return _with_known_tokens(lambda: log.append(2, expected=1).version)


def _create_pointer(world: World) -> Any:
    return _with_known_tokens(lambda: Pointer(world.fs, POINTER).create(1).version)


def _swap_pointer(world: World) -> Any:
    body = _pointer(1, [])
    state = PointerState(1, 1, "token", md5_etag(body), "token", {})
    return _with_known_tokens(lambda: Pointer(world.fs, POINTER).swap(2, state).version)


def _read_snapshot(world: World) -> bytes:
    row = ("key", md5_etag(SMALL), len(SMALL))
    return Snapshot(world.fs, "bucket", 1, Manifest({"a": row}, 1, {}, 0.0)).cat_file("a", 300)


COMMITS = (
    Operation(
        "log.append",
        _append_entry,
        {"PutObject": "log entry"},
        {ENTRY_1: _entry(1)},
        {ENTRY_2: _entry(2)},
        result=2,
    ),
    Operation(
        "log.read",
        lambda w: CommitLog(w.fs, LOG).read(1).data,
        {"GetObject": "whole"},
        {ENTRY_1: _entry(1)},
        result=1,
    ),
    Operation(
        "pointer.create",
        _create_pointer,
        {"PutObject": "create"},
        {},
        {POINTER: _pointer(1, [])},
        result=1,
    ),
    Operation(
        "pointer.swap",
        _swap_pointer,
        {"PutObject": "swap"},
        {POINTER: _pointer(1, [])},
        {POINTER: _pointer(2, [[1, "token"]])},
        result=2,
    ),
    Operation("snapshot.cat_file", _read_snapshot, {"GetObject": "range"}, {PATH: SMALL}, result=SMALL[300:]),
)


def _change(world: World, mode: str, data: bytes, **options: Any) -> None:
    with world.fs.open(PATH, mode, **options) as file:
        file.write(data[100:])
        file.seek(0)
        file.write(data)


def _changing(name: str, mode: str, column: str, **calls: str) -> Operation:
    objects = {} if column == "create" else {PATH: OLD}
    named = {**calls, "PutObject": column}
    options = RANGES if "GetObject first" in calls else {}
    return Operation(name, lambda w: _change(w, mode, SMALL), named, objects, {PATH: SMALL}, options=options)


_LOADED = {"GetObject first": "load first", "GetObject other": "file range"}

SEEKING = (
    _changing("open-r+b", "r+b", "swap", **_LOADED),
    _changing("open-x+b", "x+b", "create", HeadObject="look"),
    _changing("open-wb-seek", "wb", "plain"),
    Operation(
        "open-r+b-parts",
        lambda w: _change(w, "r+b", LARGE),
        {
            "GetObject": "load",
            "CreateMultipartUpload": "start",
            "UploadPart": "part",
            "CompleteMultipartUpload": "complete swap",
        },
        changes={PATH: LARGE},
        options=PARTS,
    ),
)

OPERATIONS = (*READS, *WRITES, *MULTIPART, *OTHERS, *BESIDE, *GUARDED, *EXPRESS, *COMMITS, *SEEKING)
