"""Copies, moves and changes in place under a rival at every step, on stores that ignore conditions."""

import logging
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    DeleteObjectsError,
    GuardedS3Error,
    GuardedS3FileSystem,
    ObjectChangedError,
    OperationUnsupportedError,
    PreconditionUnsupportedError,
    WriteOutcomeUnknownError,
)
from fsspec_guarded_s3._fs import exact_delete
from fsspec_guarded_s3._fs.object_headers import ObjectHeaders
from fsspec_guarded_s3._values.attributes import NONE
from fsspec_guarded_s3._values.models import ObjectInfo
from fsspec_guarded_s3._values.paths import S3Path
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Reply, Request, ScriptedServer, close, respond, s3_error
from tests.single_faults import (
    is_probe,
    short_pauses,  # noqa: F401
)

OLD, THEIRS = b"old", b"{}"  # of the rival
ALL = ("delete_many", "delete", "copy_source", "copy_source_parts", "copy_create", "copy_swap")
WAYS = {
    "all guards": (),
    "no ETags in DeleteObjects": ALL[:1],
    "no condition of deletes": ALL[:2],
    "no pin of copies": ALL[2:4],
    "conditions of PutObject alone": ALL,
}
by_way = pytest.mark.parametrize("ignored", WAYS.values(), ids=WAYS)
Deed = Callable[[FakeS3], object]


def overwrite(fake: FakeS3) -> None:
    stored = fake.put("bucket", "a", THEIRS, owner="rival")
    fake.objects["bucket", "a"] = replace(
        stored, headers={**stored.headers, "content-type": "application/json"}
    )


def delete(fake: FakeS3) -> None:
    fake.objects.pop(("bucket", "a"), None)


class Rival:
    """Acts once, when the request number `at` of a call was applied, and before its answer is sent."""

    def __init__(self, fake: FakeS3, deed: Deed, at: int) -> None:
        self._fake, self._deed, self._at = fake, deed, at
        self.count = 0
        self.acted_after: Request | None = None
        fake.after = self

    def __call__(self, request: Request, reply: Reply) -> None:
        if is_probe(request):
            return
        with self._fake.lock:
            self.count += 1
            if self.count == self._at:
                self.acted_after = request
                self._deed(self._fake)


@contextmanager
def store(fake: FakeS3, **options: Any) -> Iterator[tuple[ScriptedServer, GuardedS3FileSystem]]:
    with ScriptedServer(handler=fake) as server:
        yield server, filesystem(server.url, probe="auto", **options)


def every_step(
    make: Callable[[], FakeS3], call: Callable[[GuardedS3FileSystem], object], deed: Deed
) -> Iterator[tuple[FakeS3, Rival, Exception | None]]:
    """The store, the rival and the error of a call, for a rival who acts after each of its requests."""
    at, last = 0, False
    while not last:
        at += 1
        fake = make()
        rival = Rival(fake, deed, at)
        with store(fake, max_concurrency=1) as (_, fs):  # else others' requests could come in between
            error: Exception | None = None
            try:
                call(fs)
            except (OSError, GuardedS3Error) as caught:
                error = caught
        last = rival.acted_after is None
        assert last or not fake.uploads
        yield fake, rival, error
    assert at >= 3


def body(fake: FakeS3, key: str) -> bytes | None:
    stored = fake.objects.get(("bucket", key))
    return None if stored is None else stored.body


# --- mv --------------------------------------------------------------------------------------------


@by_way
@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
def test_mv_never_deletes_what_somebody_wrote_before_the_delete(
    ignored: tuple[str, ...], several: bool
) -> None:
    """Except, where no condition of a delete is honoured, right after the look."""

    def make() -> FakeS3:
        fake = FakeS3("bucket", ignored=ignored)
        fake.put("bucket", "a", OLD)
        for name in ("b", "c") if several else ():
            fake.put("bucket", name, name.encode())
        return fake

    names = [f"bucket/{name}" for name in ("a", "b", "c")] if several else "bucket/a"
    target = "bucket/moved/" if several else "bucket/moved/a"
    changed = 0
    for fake, rival, error in every_step(make, lambda fs: fs.mv(names, target), overwrite):
        if rival.acted_after is None:  # nobody disturbed it
            assert error is None and body(fake, "moved/a") == OLD and body(fake, "a") is None
            continue
        looked = "delete" in ignored and rival.acted_after.method == "HEAD" and body(fake, "moved/a") == OLD
        assert looked or THEIRS in (body(fake, "a"), body(fake, "moved/a"))
        assert body(fake, "moved/a") in (None, OLD, THEIRS)
        if error is not None:
            assert isinstance(error, ObjectChangedError)
            assert error.key == "a" and body(fake, "a") == THEIRS
            changed += 1
    assert changed >= 2  # before the copy, and between copy and delete


@by_way
def test_mv_of_what_somebody_deletes_moves_or_says_not_found(ignored: tuple[str, ...]) -> None:
    def make() -> FakeS3:
        fake = FakeS3("bucket", ignored=ignored)
        fake.put("bucket", "a", OLD)
        return fake

    for fake, _, error in every_step(make, lambda fs: fs.mv("bucket/a", "bucket/b"), delete):
        assert body(fake, "a") is None
        assert body(fake, "b") == OLD if error is None else isinstance(error, FileNotFoundError)


@by_way
def test_mv_names_every_object_that_was_replaced_and_stays(ignored: tuple[str, ...]) -> None:
    fake = FakeS3("bucket", ignored=ignored)
    names = ["a", "b", "c\x01d", "d"]  # one that DeleteObjects cannot name
    for name in names:
        fake.put("bucket", name, name.encode())

    def after(request: Request, reply: Reply) -> None:
        if request.path == "/bucket/moved/d" and request.method == "PUT":
            for name in ("a", "c\x01d"):
                fake.put("bucket", name, THEIRS)

    fake.after = after
    with store(fake, max_concurrency=1) as (_, fs), pytest.raises(DeleteObjectsError) as caught:
        fs.mv([f"bucket/{name}" for name in names], "bucket/moved/")
    assert set(caught.value.errors) == {"bucket/a", "bucket/c\x01d"}
    assert all(isinstance(error, ObjectChangedError) for error in caught.value.errors.values())
    assert {body(fake, name) for name in ("a", "c\x01d")} == {THEIRS}
    assert body(fake, "b") is None and body(fake, "d") is None


@by_way
def test_mv_whose_delete_is_applied_and_whose_answer_is_lost_is_done(ignored: tuple[str, ...]) -> None:
    fake = FakeS3("bucket", ignored=ignored)
    fake.put("bucket", "a", OLD)
    lost: list[Request] = []

    def after(request: Request, reply: Reply) -> object:
        deletes = request.method == "DELETE" or "delete" in request.query
        if deletes and not is_probe(request) and not lost:
            lost.append(request)
            return close()
        return None

    fake.after = after  # type: ignore[assignment]
    with store(fake) as (_, fs):
        fs.mv("bucket/a", "bucket/b")
    assert lost and body(fake, "a") is None and body(fake, "b") == OLD


def test_mv_sends_one_delete_for_all_where_etags_are_honoured_there() -> None:
    fake = FakeS3("bucket")
    for number in range(20):
        fake.put("bucket", f"t/{number}", OLD)
    with store(fake) as (server, fs):
        fs.mv("bucket/t", "bucket/u", recursive=True)
        deletes = [r for r in server.requests if "delete" in r.query and not is_probe(r)]
        assert len(deletes) == 1 and deletes[0].body.count(b"<ETag>") == 20


def test_a_store_without_conditions_of_deletes_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact_delete, "_warned", set())
    fake = FakeS3("bucket", ignored=ALL)
    for name in ("a", "b"):
        fake.put("bucket", name, OLD)
    with store(fake) as (_, fs), caplog.at_level(logging.WARNING, "fsspec_guarded_s3"):
        fs.mv("bucket/a", "bucket/c")
        fs.mv("bucket/b", "bucket/d")
    assert [record.message.count("honours no condition of a delete") for record in caplog.records] == [1]


def test_who_may_not_probe_moves_by_a_look_and_a_condition() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "a", OLD)
    fake.fault = lambda request, _: s3_error(403, "AccessDenied") if is_probe(request) else None
    with store(fake) as (server, fs):
        fs.mv("bucket/a", "bucket/b")
        [sent] = [r for r in server.requests if r.method == "DELETE" and not is_probe(r)]
        assert "if-match" in sent.headers
        assert not any("x-amz-copy-source" in r.headers for r in server.requests)  # read and sent
    assert body(fake, "b") == OLD and body(fake, "a") is None


# --- copies ----------------------------------------------------------------------------------------


@by_way
@pytest.mark.parametrize("in_parts", [False, True], ids=["single", "in parts"])
def test_a_copy_is_all_of_one_version(
    ignored: tuple[str, ...], in_parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes, metadata and type: those that were there when it was looked at, or ObjectChangedError."""
    old, theirs = (OLD, THEIRS) if not in_parts else (b"o" * 24 * MIB, b"N" * 24 * MIB)
    if in_parts:
        monkeypatch.setattr("fsspec_guarded_s3._fs.copy_version.MAX_SINGLE_PUT", MIB)
        monkeypatch.setattr("fsspec_guarded_s3._fs.copy_in_parts._COPY_PART", 8 * MIB)
        monkeypatch.setattr("fsspec_guarded_s3._fs.copy_in_parts._SENT_PART", 8 * MIB)

    def make() -> FakeS3:
        fake = FakeS3("bucket", ignored=ignored)
        fake.put("bucket", "a", old, owner="me")
        return fake

    def replaced(fake: FakeS3) -> None:
        fake.put("bucket", "a", theirs, owner="rival")

    for fake, _, error in every_step(make, lambda fs: fs.cp_file("bucket/a", "bucket/b"), replaced):
        copied = fake.objects.get(("bucket", "b"))
        if error is None:
            assert copied is not None
            assert (copied.body == old, copied.metadata["owner"]) == (True, "me")
        else:
            assert isinstance(error, ObjectChangedError) and error.key == "a" and copied is None


CHANGES: dict[str, Callable[[GuardedS3FileSystem], object]] = {
    "setxattr": lambda fs: fs.setxattr("bucket/a", reviewed="yes"),
    "cp_file onto itself": lambda fs: fs.cp_file("bucket/a", "bucket/a", StorageClass="STANDARD_IA"),
    "update": lambda fs: fs.update("bucket/a", lambda old: old + b"+ours", max_attempts=1),
    "append": lambda fs: append(fs),
}


def append(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/a", "ab") as file:
        file.write(b"+ours")


@by_way
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_in_place_loses_no_newer_version(
    ignored: tuple[str, ...], change: Callable[[GuardedS3FileSystem], object]
) -> None:
    """What the rival wrote stays as it was written, unless it came when the change was done."""

    def make() -> FakeS3:
        fake = FakeS3("bucket", ignored=ignored)
        fake.put("bucket", "a", OLD, owner="me")
        return fake

    for fake, rival, error in every_step(make, change, overwrite):
        stored = fake.objects["bucket", "a"]
        if rival.acted_after is None:
            assert error is None and stored.metadata["owner"] == "me" and stored.body.startswith(OLD)
            continue
        assert stored.body == THEIRS
        assert stored.headers["content-type"] == "application/json"
        assert {name: text for name, text in stored.metadata.items() if "token" not in name} == {
            "owner": "rival"
        }
        assert error is None or isinstance(error, ObjectChangedError)


def test_an_append_to_a_large_object_copies_no_newer_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The object changes, and changes back before the upload is completed: If-Match alone would not tell."""
    monkeypatch.setattr("fsspec_guarded_s3._fs.copy_in_parts._SENT_PART", 8 * MIB)
    old, theirs = b"o" * 12 * MIB, b"N" * 12 * MIB
    fake = FakeS3("bucket", ignored=["copy_source_parts"])
    before = fake.put("bucket", "a", old)

    def there_and_back(request: Request, _: FakeS3) -> None:
        if is_probe(request):
            return
        if "partNumber" in request.query and "x-amz-copy-source" in request.headers:
            fake.put("bucket", "a", theirs)
        elif request.method == "POST":
            fake.objects["bucket", "a"] = before

    fake.fault = there_and_back
    with store(fake) as (_, fs):
        append(fs)
    assert body(fake, "a") == old + b"+ours"


@pytest.mark.parametrize("size", [len(OLD), 12 * MIB])
def test_setxattr_is_refused_where_a_newer_version_could_be_lost(size: int) -> None:
    fake = FakeS3("bucket", ignore_conditions=True)
    stored = fake.put("bucket", "a", b"x" * size)
    with store(fake, multipart_threshold=5 * MIB) as (_, fs), pytest.raises(PreconditionUnsupportedError):
        fs.setxattr("bucket/a", reviewed="yes")
    assert fake.objects["bucket", "a"] == stored and not fake.uploads


def test_cp_create_uses_the_condition_that_the_store_honours() -> None:
    """versitygw and others keep the pin of a copy and If-None-Match on PutObject, but not on CopyObject."""
    fake = FakeS3("bucket", ignored=["copy_create", "copy_swap"])
    source = fake.put("bucket", "a", OLD, owner="me")
    fake.put("bucket", "taken", THEIRS)
    with store(fake) as (_, fs):
        fs.cp_file("bucket/a", "bucket/b", mode="create")
        with pytest.raises(FileExistsError):
            fs.cp_file("bucket/a", "bucket/taken", mode="create")
        with pytest.raises(ObjectChangedError):
            fs.cp_file("bucket/a", "bucket/taken", if_match=source.etag)
    assert fake.objects["bucket", "b"].metadata["owner"] == "me"
    assert body(fake, "taken") == THEIRS


def test_a_copy_of_an_object_without_an_etag_is_refused() -> None:
    fake = FakeS3("bucket")
    stored = fake.put("bucket", "a", OLD)
    fake.objects["bucket", "a"] = replace(stored, etag="")
    with store(fake) as (_, fs):
        for verb in (fs.cp_file, fs.mv):
            with pytest.raises(PreconditionUnsupportedError, match="no ETag"):
                verb("bucket/a", "bucket/b")
    assert body(fake, "a") == OLD and body(fake, "b") is None


# --- what an object has beside its bytes -----------------------------------------------------------

KEEPING: dict[str, tuple[str, Callable[[GuardedS3FileSystem], object]]] = {
    "cp_file": ("b", lambda fs: fs.cp_file("bucket/a", "bucket/b")),
    "cp_file with another type": ("b", lambda fs: fs.cp_file("bucket/a", "bucket/b", ContentType="a/b")),
    "mv": ("b", lambda fs: fs.mv("bucket/a", "bucket/b")),
    **{name: ("a", call) for name, call in CHANGES.items()},
}


@by_way
@pytest.mark.parametrize(("key", "call"), KEEPING.values(), ids=KEEPING)
@pytest.mark.parametrize("counted", [True, False], ids=["counted", "not counted"])
def test_tags_and_encryption_are_kept(
    counted: bool, ignored: tuple[str, ...], key: str, call: Callable[[GuardedS3FileSystem], object]
) -> None:
    fake = FakeS3("bucket", ignored=ignored, drops_tags=True)
    fake.counts_tags = counted
    stored = fake.put("bucket", "a", OLD, owner="me")
    headers = {**stored.headers, "x-amz-server-side-encryption": "AES256"}
    fake.objects["bucket", "a"] = replace(stored, tags={"team": "x & y", "empty": ""}, headers=headers)
    with store(fake) as (_, fs):
        call(fs)
    found = fake.objects["bucket", key]
    assert found.tags == {"team": "x & y", "empty": ""}
    assert found.headers["x-amz-server-side-encryption"] == "AES256"


@pytest.mark.parametrize(
    ("url", "named"), [(None, False), ("http://127.0.0.1:9", True), ("https://s3.example.com", True)]
)
def test_encryption_by_the_store_is_named_where_not_every_bucket_has_it(url: str | None, named: bool) -> None:
    """AWS encrypts every bucket so at least, and a bucket's own default may be stronger."""
    fs = GuardedS3FileSystem(anon=True, region="us-east-1", endpoint_url=url, skip_instance_cache=True)
    info = ObjectInfo('"e"', 3, headers={"x-amz-server-side-encryption": "AES256"})
    headers, location = ObjectHeaders(fs._client, NONE), S3Path("bucket", "a")
    kept = headers.kept(location, info)
    assert ("x-amz-server-side-encryption" in kept) is named
    kms = ObjectInfo('"e"', 3, headers={"x-amz-server-side-encryption": "aws:kms"})
    assert "x-amz-server-side-encryption" in headers.kept(location, kms)


def test_tags_of_a_write_in_parts_are_given_again() -> None:
    fake = FakeS3("bucket", drops_tags=True)
    with store(fake, multipart_threshold=5 * MIB) as (_, fs):
        fs.pipe_file("bucket/a", bytes(12 * MIB), Tagging={"team": "x"})
    assert fake.objects["bucket", "a"].tags == {"team": "x"}


def test_tags_that_a_store_does_not_count_are_not_given_twice() -> None:
    fake = FakeS3("bucket")
    fake.counts_tags = False
    with store(fake) as (server, fs):
        fs.pipe_file("bucket/a", OLD, Tagging={"team": "x"})
        assert not [r for r in server.requests if r.method == "PUT" and "tagging" in r.query]


def test_objects_without_tags_cost_no_request_where_tags_are_counted() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "a", OLD)
    with store(fake) as (server, fs):
        fs.update("bucket/a", lambda old: old + b"1")
        seen = len(server.requests)
        fs.update("bucket/a", lambda old: old + b"2")
        assert [request.method for request in server.requests[seen:]] == ["HEAD", "GET", "PUT"]


def test_mv_whose_tags_cannot_be_kept_deletes_nothing_and_says_so() -> None:
    fake = FakeS3("bucket", drops_tags=True)
    stored = fake.put("bucket", "a", OLD, **{"gs3-write-token": "t"})  # which a copy replaces
    fake.objects["bucket", "a"] = replace(stored, tags={"team": "x"})
    fake.fault = lambda request, _: (
        s3_error(501, "NotImplemented") if request.method == "PUT" and "tagging" in request.query else None
    )
    with store(fake) as (_, fs), pytest.raises(GuardedS3Error, match="dropped its tags") as caught:
        fs.mv("bucket/a", "bucket/b")
    assert caught.value.maybe_applied
    assert body(fake, "a") == OLD


# --- doubt -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda fs: fs.put_if_absent("bucket/a", b"ours"),
        lambda fs: fs.touch("bucket/a", truncate=False),
    ],
    ids=["put_if_absent", "touch"],
)
def test_a_create_that_was_lost_and_replaced_is_doubt(call: Callable[[GuardedS3FileSystem], object]) -> None:
    fake = FakeS3("bucket")

    def after(request: Request, reply: Reply) -> object:
        if request.method == "PUT" and request.path == "/bucket/a" and reply.status == 200:
            fake.put("bucket", "a", THEIRS)
            return close()
        return None

    fake.after = after  # type: ignore[assignment]
    with store(fake) as (_, fs), pytest.raises(WriteOutcomeUnknownError) as caught:
        call(fs)
    assert caught.value.maybe_applied
    assert body(fake, "a") == THEIRS


def test_a_create_that_came_too_late_is_no_doubt_even_after_a_lost_request() -> None:
    """The first request never arrived, which the retry cannot know: the object is older than both."""
    fake = FakeS3("bucket")
    fake.put("bucket", "a", THEIRS)
    with store(fake) as (_, fs):
        assert fs.put_if_absent("bucket/a", b"ours") is False


def test_a_change_of_metadata_that_was_lost_is_not_taken_for_done() -> None:
    """The bytes are the same before and after, so they prove nothing."""
    fake = FakeS3("bucket", ignored=["copy_swap"])
    before = fake.put("bucket", "a", OLD, owner="me")
    copies = "x-amz-copy-source"
    fake.fault = lambda request, _: close() if copies in request.headers and not is_probe(request) else None
    with store(fake) as (_, fs), pytest.raises(WriteOutcomeUnknownError):
        fs.setxattr("bucket/a", reviewed="yes")
    assert fake.objects["bucket", "a"] == before


def test_a_change_of_metadata_whose_answer_is_lost_is_done() -> None:
    fake = FakeS3("bucket", ignored=["copy_swap"])
    fake.put("bucket", "a", OLD, owner="me")
    fake.after = lambda request, reply: (
        close() if "x-amz-copy-source" in request.headers and not is_probe(request) else None
    )
    with store(fake) as (_, fs):
        fs.setxattr("bucket/a", reviewed="yes")
        assert fs.metadata("bucket/a") == {"owner": "me", "reviewed": "yes"}


def test_a_refused_copy_that_may_be_about_its_source_is_not_said_to_be_about_its_target() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "a", OLD)

    def fault(request: Request, _: FakeS3) -> Reply | None:
        if "x-amz-copy-source" in request.headers and not is_probe(request):
            fake.put("bucket", "a", THEIRS)
            fake.fault = lambda request, _: s3_error(403, "AccessDenied")
            return s3_error(412, "PreconditionFailed")
        return None

    fake.fault = fault
    with store(fake) as (_, fs), pytest.raises(PermissionError):
        fs.cp_file("bucket/a", "bucket/b", mode="create")


def test_mv_whose_delete_may_have_been_applied_says_so() -> None:
    """It was, its answer was lost, and somebody wrote the object again."""
    fake = FakeS3("bucket")
    fake.put("bucket", "a", OLD)
    lost: list[Request] = []

    def after(request: Request, reply: Reply) -> object:
        if "delete" in request.query and not is_probe(request) and not lost:
            lost.append(request)
            fake.put("bucket", "a", THEIRS)
            return close()
        return None

    fake.after = after  # type: ignore[assignment]
    with store(fake) as (_, fs), pytest.raises(ObjectChangedError) as caught:
        fs.mv("bucket/a", "bucket/b")
    assert caught.value.maybe_applied
    assert body(fake, "a") == THEIRS and body(fake, "b") == OLD


# --- names -----------------------------------------------------------------------------------------


@pytest.fixture
def place() -> Iterator[tuple[FakeS3, GuardedS3FileSystem]]:
    fake = FakeS3("bucket", "other")
    for key in ("obj", "dir/x", "dir/deep/y"):
        fake.put("bucket", key, OLD)
    with store(fake) as (_, fs):
        yield fake, fs


@pytest.mark.parametrize(
    "path", ["*", "gs3:///*", "**", "b*", "b*/obj", "buck[e]t/obj", "?ucket/*", ["obj", "*"]]
)
@pytest.mark.parametrize(
    "call",
    [
        lambda fs, path: fs.rm(path),
        lambda fs, path: fs.rm(path, recursive=True),
        lambda fs, path: fs.rm(path, recursive=True, versions=True),
        lambda fs, path: fs.mv(path, "other/"),
        lambda fs, path: fs.mv(path, "other/", recursive=True),
    ],
    ids=["rm", "rm -r", "rm versions", "mv", "mv -r"],
)
def test_a_pattern_in_the_place_of_the_bucket_deletes_and_moves_nothing(
    place: tuple[FakeS3, GuardedS3FileSystem], call: Any, path: Any
) -> None:
    fake, fs = place
    before = dict(fake.objects), dict(fake.buckets)
    with pytest.raises(ValueError, match="pattern in the place of the bucket"):
        call(fs, path)
    assert (fake.objects, fake.buckets) == before


@pytest.mark.parametrize("path", ["bucket/*", "bucket/**", "bucket/?*", ["bucket/**", "bucket/obj"]])
def test_rm_of_a_pattern_never_deletes_the_bucket(
    place: tuple[FakeS3, GuardedS3FileSystem], path: Any
) -> None:
    fake, fs = place
    fs.rm(path, recursive=True)
    assert set(fake.buckets) == {"bucket", "other"} and not fake.objects


@pytest.mark.parametrize("path", ["bucket", "gs3://bucket/", ["bucket"], "/bucket"])
def test_rm_of_a_bucket_by_its_name_deletes_it(place: tuple[FakeS3, GuardedS3FileSystem], path: Any) -> None:
    fake, fs = place
    fs.rm(path, recursive=True)
    assert set(fake.buckets) == {"other"}


@pytest.mark.parametrize("root", ["", "gs3://", "/"])
@pytest.mark.parametrize(
    "call",
    [
        lambda fs, root: fs.find(root),
        lambda fs, root: fs.find(root, detail=True, withdirs=True),
        lambda fs, root: list(fs.walk(root)),
        lambda fs, root: list(fs.walk(root, maxdepth=2)),
        lambda fs, root: fs.du(root),
        lambda fs, root: fs.rm(root, recursive=True),
        lambda fs, root: fs.mv(root, "other/x", recursive=True),
        lambda fs, root: fs.cp(root, "other/x", recursive=True),
    ],
)
def test_the_root_is_not_traversed(place: tuple[FakeS3, GuardedS3FileSystem], call: Any, root: str) -> None:
    with pytest.raises(ValueError, match="path is empty"):
        call(place[1], root)


def test_the_buckets_can_be_listed(place: tuple[FakeS3, GuardedS3FileSystem]) -> None:
    fs = place[1]
    assert fs.ls("") == fs.glob("*") == fs.find("", maxdepth=1, withdirs=True) == ["bucket", "other"]
    assert list(fs.walk("", maxdepth=1)) == [("", ["bucket", "other"], [])]


@pytest.mark.parametrize(
    "name", ["bucket/missing/", "bucket/obj/", "bucket/dir/x/", "bucket/missing", "none/"]
)
@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("verb", ["cp", "mv", "get", "rm"])
def test_what_is_not_there_is_not_found(
    place: tuple[FakeS3, GuardedS3FileSystem],
    verb: str,
    several: bool,
    recursive: bool,
    name: str,
    tmp_path: Any,
) -> None:
    """With a slash at its end a path names a directory, and never an object."""
    fake, fs = place
    before = dict(fake.objects)
    target = {"cp": "other/t", "mv": "other/t", "get": str(tmp_path / "t"), "rm": None}[verb]
    names, targets = ([name], [target]) if several else (name, target)  # type: ignore[assignment]
    arguments = [names] if target is None else [names, targets]
    with pytest.raises(FileNotFoundError):
        if verb == "cp":
            fs.cp(*arguments, recursive=recursive, on_error="raise")
        else:
            getattr(fs, verb)(*arguments, recursive=recursive)
    assert fake.objects == before and not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["bucket/dir", "bucket/dir/", "bucket/d*", ["bucket/dir"], ["bucket/dir/"]])
def test_mv_of_a_directory_without_recursive_says_so(
    place: tuple[FakeS3, GuardedS3FileSystem], path: Any
) -> None:
    fake, fs = place
    before = dict(fake.objects)
    with pytest.raises(IsADirectoryError, match="recursive=True"):
        fs.mv(path, "bucket/new")
    assert fake.objects == before
    fs.mv(path, "bucket/new", recursive=True)
    assert body(fake, "obj") == OLD and body(fake, "dir/x") is None


# --- answers of a kind of their own ----------------------------------------------------------------


def test_tags_of_an_untagged_object_may_be_an_empty_answer() -> None:
    """S3Mock 5."""
    with ScriptedServer([respond(200)]) as server:
        assert filesystem(server.url).get_tags("bucket/a") == {}


@pytest.mark.parametrize("root", ["ListVersionsResult", "ListBucketVersionsResult", "ListBucketResult"])
def test_listings_of_versions_have_several_names(root: str) -> None:
    """AWS, gofakes3, S3Mock."""
    version = "<Key>a</Key><VersionId>1</VersionId><IsLatest>true</IsLatest><Size>3</Size><ETag>e</ETag>"
    answer = f"<{root}><IsTruncated>false</IsTruncated><Version>{version}</Version></{root}>"
    with ScriptedServer([respond(200, answer.encode())]) as server:
        [row] = filesystem(server.url).object_version_info("bucket/a")
    assert row["VersionId"] == "1"


def test_a_listing_of_objects_is_none_of_versions() -> None:
    answer = b"<ListBucketResult><Contents><Key>a</Key><Size>3</Size></Contents></ListBucketResult>"
    with (
        ScriptedServer([respond(200, answer)]) as server,
        pytest.raises(GuardedS3Error, match="a list of objects, not with <ListVersionsResult>"),
    ):
        filesystem(server.url, max_attempts=1).object_version_info("bucket/a")


# --- names of one object ---

SAME: dict[str, tuple[str, str, Callable[[str], str]]] = {
    "slashes": ("d//e", "d/e", lambda key: re.sub("/+", "/", key)),
    "a dot": ("./e", "e", lambda key: key.removeprefix("./")),
    "two dots": ("d/../e", "e", posixpath.normpath),
    "a leading slash": ("/e", "e", lambda key: key.lstrip("/")),
    "a backslash": ("d\\e", "d/e", lambda key: key.replace("\\", "/")),
    "case": ("Some", "some", str.lower),
    "an accent": ("e\u0301", "\u00e9", lambda key: unicodedata.normalize("NFC", key)),
    "an end": ("e.", "e", lambda key: key.rstrip(".")),
}


@pytest.mark.parametrize("way", [False, True], ids=["there", "back"])
@by_way
@pytest.mark.parametrize("name", SAME)
def test_mv_between_two_names_of_one_object_deletes_nothing(
    name: str, ignored: tuple[str, ...], way: bool
) -> None:
    one, other, same = SAME[name]
    source, target = (other, one) if way else (one, other)
    fake = FakeS3("bucket", ignored=ignored)
    fake.same_key = same
    before = fake.put("bucket", same(source), OLD)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, probe="auto")
        with pytest.raises(OperationUnsupportedError, match="may be one object"):
            fs.mv(f"bucket/{source}", f"bucket/{target}")
        assert not any(request.method in ("PUT", "DELETE", "POST") for request in server.requests)
    assert fake.objects == {("bucket", same(source)): before}


@pytest.mark.parametrize("there", [None, b"other"])
@pytest.mark.parametrize("name", SAME)
def test_mv_between_names_that_are_two_to_the_store(name: str, there: bytes | None) -> None:
    source, target, _ = SAME[name]
    fake = FakeS3("bucket")
    fake.put("bucket", source, OLD)
    if there is not None:
        fake.put("bucket", target, there)
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, probe="auto").mv(f"bucket/{source}", f"bucket/{target}")
    assert {key: stored.body for key, stored in fake.objects.items()} == {("bucket", target): OLD}


def test_other_moves_ask_nothing_more() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "a", OLD)
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).mv("bucket/a", "bucket/b")
        asked = [request.method for request in server.requests if request.target.startswith("/bucket/")]
    assert asked.count("HEAD") == 1
