"""docs/iam.md names the permissions of each group of calls: a store that refuses all others serves them.

The permission of each request is by the Service Authorization Reference of Amazon S3.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from fsspec_guarded_s3 import CommitConflictError, GuardedS3FileSystem
from fsspec_guarded_s3._s3.error_codes import _PERMISSIONS
from fsspec_guarded_s3.integrations.commit import CommitLog, Pointer, Table
from tests.documents import DOCS
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, s3_error

Call = Callable[[GuardedS3FileSystem, Path], object]
A, TREE, NEW = "data/tree/a", "data/tree", "data/new/a"
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}


def _write(fs: GuardedS3FileSystem, mode: str, size: int = 1, path: str = NEW) -> None:
    with fs.open(path, mode) as file:
        file.write(bytes(size))


def _put_tree(fs: GuardedS3FileSystem, folder: Path) -> None:
    (folder / "up").mkdir(exist_ok=True)
    (folder / "up" / "a").write_bytes(b"1")
    fs.put(str(folder / "up"), "data/up", recursive=True)


def _given_up(fs: GuardedS3FileSystem, folder: Path) -> None:
    """A large file that is not published: without the permission its parts stay, which a warning says."""
    file = fs.open("data/draft", "wb", block_size=5 * MIB)
    file.write(bytes(11 * MIB))
    file.discard()
    if fs.list_uploads("data"):
        raise PermissionError


@dataclass(frozen=True)
class Group:
    """Calls of a row of the table. What is `rare` serves failures alone."""

    row: str
    calls: tuple[Call, ...]
    rare: tuple[str, ...] = ()


def _commit(fs: GuardedS3FileSystem, folder: Path) -> None:
    log, pointer = CommitLog(fs, "data/log"), Pointer(fs, "data/pointer")
    log.append(1)
    with suppress(CommitConflictError):
        CommitLog(fs, "data/log").append(2, expected=0)
    assert [entry.data for entry in CommitLog(fs, "data/log").entries()] == [1]
    pointer.swap(2, pointer.create(1))
    pointer.update(lambda value: value + 1)
    table = Table.create(fs, "data/table")
    with suppress(CommitConflictError), table.transaction() as t:
        with table.transaction() as other:
            other.pipe_file("a", b"1")
        with t.open("b") as file:
            file.write(b"1")


def _vacuum(fs: GuardedS3FileSystem, folder: Path) -> None:
    assert len(Table(fs, "data/published").vacuum()) == 1


def _read_snapshot(fs: GuardedS3FileSystem, folder: Path) -> None:
    snapshot = Table(fs, "data/published").snapshot()
    assert snapshot.cat_file("a") == snapshot.open("a").read() == b"1"
    snapshot.verify()


GROUPS = (
    Group(
        "read objects that are there",
        (
            lambda fs, d: fs.open(A).read(),
            lambda fs, d: fs.cat_file(A),
            lambda fs, d: fs.cat_ranges([A], 0, 1),
            lambda fs, d: fs.cat_ranges_into([A], 0, 1, bytearray(1)),
            lambda fs, d: fs.get_file(A, str(d / "got")),
            lambda fs, d: fs.info(A),
            lambda fs, d: (fs.head(A), fs.tail(A)),
        ),
    ),
    Group("read, and be told", (lambda fs, d: fs.exists("data/none"), lambda fs, d: fs.isfile(A))),
    Group(
        "list:",
        (
            lambda fs, d: fs.ls(TREE),
            lambda fs, d: fs.find(TREE),
            lambda fs, d: fs.glob(f"{TREE}/*"),
            lambda fs, d: list(fs.walk(TREE)),
            lambda fs, d: fs.du(TREE),
            lambda fs, d: fs.isdir(TREE),
        ),
    ),
    Group(
        "read trees",
        (
            lambda fs, d: fs.get(TREE, str(d / "tree"), recursive=True),
            lambda fs, d: fs.cat(f"{TREE}/*"),
        ),
    ),
    Group(
        "write:",
        (
            lambda fs, d: fs.pipe_file(NEW, b"1"),
            lambda fs, d: _write(fs, "wb"),
            lambda fs, d: fs.pipe_file(NEW, bytes(11 * MIB)),
            lambda fs, d: fs.put_if_absent(NEW, b"1"),
        ),
        ("s3:AbortMultipartUpload",),
    ),
    Group("write trees", (_put_tree,), ("s3:AbortMultipartUpload",)),
    Group(
        "change:",
        (
            lambda fs, d: _write(fs, "ab", path=A),
            lambda fs, d: _write(fs, "ab", path="data/absent"),
            lambda fs, d: fs.update(A, lambda old: old + b"1"),
            lambda fs, d: fs.setxattr(A, kind="1"),
        ),
        ("s3:AbortMultipartUpload",),
    ),
    Group(
        "copy:",
        (lambda fs, d: fs.cp_file(A, NEW), lambda fs, d: fs.copy(TREE, "data/copy", recursive=True)),
        ("s3:AbortMultipartUpload",),
    ),
    Group(
        "move:",
        (lambda fs, d: fs.mv(A, NEW), lambda fs, d: fs.mv(TREE, "data/moved", recursive=True)),
        ("s3:AbortMultipartUpload",),
    ),
    Group(
        "delete:",
        (lambda fs, d: fs.rm(A), lambda fs, d: fs.rm_file(A), lambda fs, d: fs.rm(TREE, recursive=True)),
    ),
    Group("read tags", (lambda fs, d: fs.get_tags(A),)),
    Group(
        "write tags",
        (lambda fs, d: fs.put_tags(A, {"k": "1"}), lambda fs, d: fs.put_tags(A, {"k": "1"}, mode="m")),
    ),
    Group("write with tags", (lambda fs, d: fs.pipe_file(NEW, b"1", Tagging={"k": "1"}),)),
    Group("read a snapshot", (_read_snapshot,)),
    Group("clean up a table", (_vacuum,)),
    Group("append to a log", (_commit,)),
    Group("read checksums", (lambda fs, d: fs.object_attributes(A),)),
    Group(
        "find and remove",
        (lambda fs, d: fs.list_uploads("data"), lambda fs, d: fs.abort_uploads("data", older_than=0)),
    ),
)


def rows() -> dict[str, frozenset[str]]:
    """What each row of the document allows."""
    text = (DOCS / "iam.md").read_text().split("<!-- table:begin -->")[1].split("<!-- table:end -->")[0]
    found = {}
    for line in text.strip().splitlines()[2:]:
        title, *allowed = line.strip("|").split("|")
        found[title.strip()] = frozenset(re.findall(r"`(s3:\w+)`", " ".join(allowed)))
    return found


def row(group: Group) -> frozenset[str]:
    titles = [title for title in rows() if title.startswith(group.row)]
    assert len(titles) == 1
    return rows()[titles[0]]


def needed(request: Request) -> frozenset[str]:
    """The permissions that AWS asks of this request."""
    query, has_key = request.query, bool(request.path.strip("/").partition("/")[2])
    version = "Version" if "versionId" in query else ""
    if "attributes" in query:
        return frozenset({f"s3:GetObject{version}", f"s3:GetObject{version}Attributes"})
    if "tagging" in query:
        return frozenset({f"s3:{request.method.title()}ObjectTagging"})
    if not has_key:
        for name, action in (("versions", "ListBucketVersions"), ("uploads", "ListBucketMultipartUploads")):
            if name in query:
                return frozenset({f"s3:{action}"})
        return frozenset({"s3:DeleteObject" if request.method == "POST" else "s3:ListBucket"})
    if request.method in ("GET", "HEAD"):
        return frozenset({"s3:ListMultipartUploadParts" if "uploadId" in query else f"s3:GetObject{version}"})
    if request.method == "DELETE":
        return frozenset({"s3:AbortMultipartUpload" if "uploadId" in query else f"s3:DeleteObject{version}"})
    more = {"s3:GetObject"} if "x-amz-copy-source" in request.headers else set()
    more |= {"s3:PutObjectTagging"} if request.headers.get("x-amz-tagging") else set()
    return frozenset({"s3:PutObject", *more})


class Policy:
    """Refuses what it does not allow; a key that is missing is told to those who may list, as AWS does."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self.allowed = allowed
        self.asked: set[str] = set()

    def __call__(self, request: Request, fake: FakeS3) -> Answer | None:
        wanted = needed(request)
        self.asked |= wanted
        bucket, _, key = request.path.strip("/").partition("/")
        missing = request.method in ("GET", "HEAD") and key and (bucket, key) not in fake.objects
        missing = missing and "uploadId" not in request.query
        if missing and "s3:ListBucket" not in self.allowed:
            return s3_error(403, "AccessDenied")
        return None if wanted <= self.allowed else s3_error(403, "AccessDenied")


def made(call: Call, allowed: frozenset[str], folder: Path) -> set[str]:
    """Make the call under a policy; what was asked."""
    fake = FakeS3("data")
    for key in ("tree/a", "tree/b"):
        fake.put("data", key, b"1" * 10)
    with ScriptedServer(handler=fake) as server:
        _begin_upload(server.url)
        table = Table.create(filesystem(server.url), "data/published")
        with table.transaction() as t:
            t.pipe_file("a", b"1")
        fake.put("data", f"published/data/{0:032x}/1/b", b"1")  # of a transaction that was killed
        for slot, stored in fake.objects.items():
            fake.objects[slot] = replace(stored, modified=stored.modified - timedelta(days=8))
        fake.fault = policy = Policy(allowed)
        call(filesystem(server.url, **PARTS), folder)
    return policy.asked


def _begin_upload(url: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{url}/data/left?uploads", method="POST")).read()


CALLS = [(group, number) for group in GROUPS for number in range(len(group.calls))]


@pytest.mark.parametrize(("group", "number"), CALLS, ids=[f"{group.row} {number}" for group, number in CALLS])
def test_these_permissions_are_enough(group: Group, number: int, tmp_path: Path) -> None:
    made(group.calls[number], row(group), tmp_path)


@pytest.mark.parametrize("group", GROUPS, ids=[group.row for group in GROUPS])
def test_none_of_them_is_too_much(group: Group, tmp_path: Path) -> None:
    """Without any one of them a call of the group fails, but for those that serve what is rare."""
    for permission in row(group) - set(group.rare):
        failed = []
        for number, call in enumerate(group.calls):
            try:
                made(call, row(group) - {permission}, tmp_path)
            except PermissionError:
                failed.append(number)
        assert failed, f"{group.row} {permission} is not needed"


def test_parts_that_are_given_up_are_removed_with_the_permission_to_abort(tmp_path: Path) -> None:
    allowed = frozenset({"s3:PutObject", "s3:AbortMultipartUpload", "s3:ListBucketMultipartUploads"})
    allowed |= {"s3:ListMultipartUploadParts"}
    with pytest.raises(PermissionError):
        made(_given_up, allowed - {"s3:AbortMultipartUpload"}, tmp_path)


def test_every_row_is_run_or_read_alone() -> None:
    """What no group runs here is tested elsewhere or needs versions, which this store does not have."""
    ran = [title for title in rows() for group in GROUPS if title.startswith(group.row)]
    left = set(rows()) - set(ran)
    assert {title.partition(":")[0] for title in left} == {
        "list versions",
        "read an old version",
        "list buckets",
    }


def test_the_actions_are_spelt_as_in_errors() -> None:
    known = set(re.findall(r"s3:\w+", " ".join(_PERMISSIONS.values()))) | {"s3:GetObjectVersion"}
    assert set().union(*rows().values()) <= known


def test_the_policy_allows_what_its_title_says() -> None:
    """Reading and writing: all rows but those of versions and of the list of buckets."""
    (block,) = re.findall("```json\n(.*?)```", (DOCS / "iam.md").read_text(), re.S)
    policy = json.loads(block)
    given = {
        (statement["Resource"], action)
        for statement in policy["Statement"]
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
    }
    text = (DOCS / "iam.md").read_text().split("<!-- table:begin -->")[1].split("<!-- table:end -->")[0]
    wanted = set()
    for line in text.strip().splitlines()[2:]:
        title, bucket, objects = line.strip("|").split("|")
        if "version" not in title:
            wanted |= {("arn:aws:s3:::my-bucket", name) for name in re.findall(r"`(s3:\w+)`", bucket)}
            wanted |= {("arn:aws:s3:::my-bucket/*", name) for name in re.findall(r"`(s3:\w+)`", objects)}
    assert given == wanted
