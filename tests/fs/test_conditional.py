"""Conditional delete, copy and upload: what the condition promises holds under faults and rivals."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from fsspec_guarded_s3 import (
    ConflictError,
    GuardedS3FileSystem,
    ObjectChangedError,
    PreconditionFailedError,
    WriteOutcomeUnknownError,
)
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close, s3_error
from tests.single_faults import always, lose, named, once, operation, short_pauses  # noqa: F401

PATH = "bucket/key"
SLOT = ("bucket", "key")
SMALL = period_free(1000)
LARGE = period_free(11 * MIB, seed=1)
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}
TOKEN = "gs3-write-token"
BODIES = pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "parts"])


def before(name: str, action: Callable[[FakeS3], object]) -> Callable[[Request, FakeS3], Answer | None]:
    """Do `action` once, just before the first request of that operation is applied."""
    left = [action]

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if left and operation(request) == name:
            left.pop()(fake)
        return None

    return fault


# --- delete ---


def test_delete_of_the_version_that_is_named_removes_it() -> None:
    fake = FakeS3("bucket")
    etag = fake.put(*SLOT, SMALL).etag
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).rm_file(PATH, if_match=etag)
        assert [request.headers.get("if-match") for request in named(server, "DELETE")] == [etag]
    assert not fake.objects


def test_delete_of_another_version_is_object_changed_and_deletes_nothing() -> None:
    fake = FakeS3("bucket")
    stale = fake.put(*SLOT, b"old").etag
    stored = fake.put(*SLOT, b"new")
    with ScriptedServer(handler=fake) as server, pytest.raises(ObjectChangedError):
        filesystem(server.url).rm_file(PATH, if_match=stale)
    assert fake.objects[SLOT] is stored


def test_conditional_delete_of_a_missing_key_is_file_not_found() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server, pytest.raises(FileNotFoundError) as caught:
        filesystem(server.url).rm_file(PATH, if_match="abc")
    assert not caught.value.maybe_applied


@pytest.mark.parametrize("max_attempts", [1, 5])
@pytest.mark.parametrize("rival", [False, True])
def test_conditional_delete_whose_answer_is_lost_is_unknown_and_spares_a_rivals_object(
    max_attempts: int, rival: bool
) -> None:
    """The version is gone, or another one is there; nothing proves who removed it."""
    left = [close()]

    def after(request: Request, reply: Reply) -> Answer | None:
        if request.method != "DELETE" or not left:
            return None
        if rival:
            fake.put(*SLOT, b"rival")
        return left.pop()

    fake = FakeS3("bucket", after=after)
    etag = fake.put(*SLOT, SMALL).etag
    with ScriptedServer(handler=fake) as server, pytest.raises(WriteOutcomeUnknownError) as caught:
        filesystem(server.url, max_attempts=max_attempts).rm_file(PATH, if_match=etag)
    assert caught.value.maybe_applied
    assert [stored.body for stored in fake.objects.values()] == ([b"rival"] if rival else [])


def test_conditional_delete_that_was_lost_before_it_was_applied_is_repeated() -> None:
    fake = FakeS3("bucket", fault=once("DELETE", close()))
    etag = fake.put(*SLOT, SMALL).etag
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).rm_file(PATH, if_match=etag)
    assert not fake.objects


def test_plain_delete_whose_answer_is_lost_succeeds() -> None:
    fake = FakeS3("bucket", after=lose("DELETE"))
    fake.put(*SLOT, SMALL)
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).rm_file(PATH)
    assert not fake.objects


@pytest.mark.parametrize("if_match", [None, "etag"])
def test_delete_with_a_conflict_is_tried_again(if_match: str | None) -> None:
    fake = FakeS3("bucket", fault=once("DELETE", s3_error(409, "ConditionalRequestConflict")))
    etag = fake.put(*SLOT, SMALL).etag
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).rm_file(PATH, if_match=if_match and etag)
    assert not fake.objects


# --- copy ---


def test_copy_to_a_free_key_creates_it_and_keeps_metadata_and_type() -> None:
    fake = FakeS3("bucket")
    stored = fake.put("bucket", "a", SMALL, owner="me")
    stored.headers["content-type"] = "text/plain"  # type: ignore[index]
    stored.headers["cache-control"] = "no-cache"  # type: ignore[index]
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fs.cp_file("bucket/a", "bucket/b", mode="create")
        info = fs.info("bucket/b")
    copy = fake.objects["bucket", "b"]
    assert copy.body == SMALL
    assert (copy.headers["content-type"], copy.headers["cache-control"]) == ("text/plain", "no-cache")
    assert info["metadata"] == {"owner": "me"}


def test_conditional_copy_to_a_taken_key_is_file_exists_and_changes_nothing() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "a", SMALL)
    stored = fake.put("bucket", "b", b"taken")
    with ScriptedServer(handler=fake) as server, pytest.raises(FileExistsError):
        filesystem(server.url).cp_file("bucket/a", "bucket/b", mode="create")
    assert fake.objects["bucket", "b"] is stored


def test_copy_under_the_etag_of_its_target_swaps() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "a", SMALL)
    etag = fake.put("bucket", "b", b"old").etag
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).cp_file("bucket/a", "bucket/b", if_match=etag)
    assert fake.objects["bucket", "b"].body == SMALL


def test_copy_under_a_stale_etag_of_its_target_is_object_changed() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "a", SMALL)
    stale = fake.put("bucket", "b", b"old").etag
    stored = fake.put("bucket", "b", b"new")
    with ScriptedServer(handler=fake) as server, pytest.raises(ObjectChangedError) as caught:
        filesystem(server.url).cp_file("bucket/a", "bucket/b", if_match=stale)
    assert caught.value.key == "b"
    assert fake.objects["bucket", "b"] is stored


@pytest.mark.parametrize("kind", ["plain", "create", "swap"])
def test_source_that_is_replaced_during_the_copy_is_object_changed_and_nothing_is_copied(kind: str) -> None:
    """It is the source that the error names, also where the target has a condition of its own."""
    fake = FakeS3("bucket", fault=before("PUT", lambda fake: fake.put("bucket", "a", b"replaced")))
    fake.put("bucket", "a", SMALL)
    options: dict[str, str] = {}
    if kind == "swap":
        options["if_match"] = fake.put("bucket", "b", b"old").etag
    elif kind == "create":
        options["mode"] = "create"
    with ScriptedServer(handler=fake) as server, pytest.raises(ObjectChangedError) as caught:
        filesystem(server.url).cp_file("bucket/a", "bucket/b", **options)
    if kind != "plain":
        assert caught.value.key == "a"
    there = fake.objects.get(("bucket", "b"))
    assert (there and there.body) == (b"old" if kind == "swap" else None)


def test_source_that_is_deleted_during_the_copy_is_file_not_found() -> None:
    fake = FakeS3("bucket", fault=before("PUT", lambda fake: fake.objects.clear()))
    fake.put("bucket", "a", SMALL)
    with ScriptedServer(handler=fake) as server, pytest.raises(FileNotFoundError):
        filesystem(server.url).cp_file("bucket/a", "bucket/b", mode="create")
    assert not fake.objects


@pytest.mark.parametrize("max_attempts", [1, 5])
@pytest.mark.parametrize("kind", ["plain", "create", "swap"])
def test_copy_whose_answer_is_lost_succeeds(kind: str, max_attempts: int) -> None:
    fake = FakeS3("bucket", after=lose("PUT"))
    fake.put("bucket", "a", SMALL, owner="me")
    options: dict[str, str] = {}
    if kind == "swap":
        options["if_match"] = fake.put("bucket", "b", b"old").etag
    elif kind == "create":
        options["mode"] = "create"
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, max_attempts=max_attempts).cp_file("bucket/a", "bucket/b", **options)
    assert fake.objects["bucket", "b"].body == SMALL
    assert fake.objects["bucket", "b"].metadata["owner"] == "me"


def test_copy_lost_and_a_rival_there_is_file_exists() -> None:
    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "PUT" and ("bucket", "b") not in fake.objects:
            fake.put("bucket", "b", SMALL)  # equal content is no proof of authorship
            return close()
        return None

    fake = FakeS3("bucket", fault=fault)
    fake.put("bucket", "a", SMALL)
    with ScriptedServer(handler=fake) as server, pytest.raises(FileExistsError):
        filesystem(server.url).cp_file("bucket/a", "bucket/b", mode="create")


def test_refused_copy_whose_target_cannot_be_looked_at_is_still_a_failed_condition() -> None:
    """The 412 is a definite answer; that a HEAD is forbidden must not hide it."""

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        forbidden = request.method == "HEAD" and request.path == "/bucket/b"
        return s3_error(403, "AccessDenied") if forbidden else None

    fake = FakeS3("bucket", fault=fault)
    fake.put("bucket", "a", SMALL)
    stored = fake.put("bucket", "b", b"taken")
    with ScriptedServer(handler=fake) as server, pytest.raises(PreconditionFailedError):
        filesystem(server.url).cp_file("bucket/a", "bucket/b", mode="create")
    assert fake.objects["bucket", "b"] is stored


def test_copies_do_not_spread_the_write_token() -> None:
    """Neither a plain nor a conditional copy carries the token of its source; info shows none."""
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fs.pipe_file("bucket/a", SMALL, mode="create")
        fs.cp_file("bucket/a", "bucket/plain")
        fs.cp_file("bucket/a", "bucket/create", mode="create")
        shown = [fs.info(f"bucket/{name}")["metadata"] for name in ("a", "plain", "create")]
    token = fake.objects["bucket", "a"].metadata[TOKEN]
    assert TOKEN not in fake.objects["bucket", "plain"].metadata
    assert fake.objects["bucket", "create"].metadata[TOKEN] != token
    assert shown == [{}, {}, {}]


def test_copy_with_a_conflict_is_tried_again() -> None:
    fake = FakeS3("bucket", fault=once("PUT", s3_error(409, "ConditionalRequestConflict")))
    fake.put("bucket", "a", SMALL)
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).cp_file("bucket/a", "bucket/b", mode="create")
        assert len(named(server, "PUT")) == 2
    assert fake.objects["bucket", "b"].body == SMALL


def test_copy_in_parts_keeps_metadata_and_leaves_no_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a single copy of up to 1 MiB instead of 5 GiB."""
    monkeypatch.setattr("fsspec_guarded_s3._fs.copy_version.MAX_SINGLE_PUT", MIB)
    monkeypatch.setattr("fsspec_guarded_s3._fs.copy_in_parts._COPY_PART", 10 * MIB)
    fake = FakeS3("bucket")
    fake.put("bucket", "a", LARGE, owner="me")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, part_size=5 * MIB)
        fs.cp_file("bucket/a", "bucket/b", mode="create")
        assert not any(request.path == "/bucket/a" for request in named(server, "GET"))
        with pytest.raises(FileExistsError):
            fs.cp_file("bucket/a", "bucket/b", mode="create")
    assert fake.objects["bucket", "b"].body == LARGE
    assert fake.objects["bucket", "b"].metadata["owner"] == "me"
    assert not fake.uploads


def test_source_that_is_replaced_during_a_copy_in_parts_is_object_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._fs.copy_version.MAX_SINGLE_PUT", MIB)
    fake = FakeS3("bucket", fault=before("UploadPart", lambda fake: fake.put("bucket", "a", LARGE[::-1])))
    fake.put("bucket", "a", LARGE)
    with ScriptedServer(handler=fake) as server, pytest.raises(ObjectChangedError):
        filesystem(server.url, part_size=5 * MIB).cp_file("bucket/a", "bucket/b")
    assert ("bucket", "b") not in fake.objects
    assert not fake.uploads


def test_copy_on_moto_keeps_metadata_type_and_tags(moto: Any) -> None:
    fs = filesystem(moto.url, key=moto.key, secret=moto.secret)
    bucket = f"copy-{uuid.uuid4().hex}"
    fs.mkdir(bucket)
    keys = {"aws_access_key_id": moto.key, "aws_secret_access_key": moto.secret}
    s3 = boto3.client("s3", endpoint_url=moto.url, region_name="us-east-1", **keys)
    facts = {"ContentType": "text/x-a", "Metadata": {"owner": "me", TOKEN: "t"}, "Tagging": "team=x"}
    s3.put_object(Bucket=bucket, Key="a", Body=SMALL, **facts)
    fs.cp_file(f"{bucket}/a", f"{bucket}/b")
    head = s3.head_object(Bucket=bucket, Key="b")
    assert (head["ContentType"], head["Metadata"]) == ("text/x-a", {"owner": "me"})
    assert s3.get_object_tagging(Bucket=bucket, Key="b")["TagSet"] == [{"Key": "team", "Value": "x"}]


# --- upload of a file ---


@BODIES
def test_put_file_creates_a_free_key_and_refuses_a_taken_one(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f").write_bytes(data)
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **PARTS)
        fs.put_file(tmp_path / "f", PATH, mode="create")
        stored = fake.objects[SLOT]
        with pytest.raises(FileExistsError):
            fs.put_file(tmp_path / "f", PATH, mode="create")
    assert stored.body == data
    assert fake.objects[SLOT] is stored
    assert not fake.uploads


@BODIES
def test_put_file_swaps_under_the_etag_and_refuses_a_stale_one(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f").write_bytes(data)
    fake = FakeS3("bucket")
    old = fake.put(*SLOT, b"old")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **PARTS)
        fs.put_file(tmp_path / "f", PATH, if_match=old.etag)
        stored = fake.objects[SLOT]
        with pytest.raises(ObjectChangedError):
            fs.put_file(tmp_path / "f", PATH, if_match=old.etag)
    assert stored.body == data
    assert fake.objects[SLOT] is stored
    assert not fake.uploads


@BODIES
@pytest.mark.parametrize("mode", ["create", "overwrite"])
def test_put_file_whose_answer_is_lost_succeeds(tmp_path: Path, data: bytes, mode: str) -> None:
    (tmp_path / "f").write_bytes(data)
    name = "Complete" if data is LARGE else "PUT"
    fake = FakeS3("bucket", after=lose(name))
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, **PARTS).put_file(tmp_path / "f", PATH, mode=mode)
    assert fake.objects[SLOT].body == data
    assert not fake.uploads


def test_put_file_in_parts_starts_again_after_a_conflict_on_complete(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(LARGE)
    fake = FakeS3("bucket", fault=once("Complete", s3_error(409, "ConditionalRequestConflict")))
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, **PARTS).put_file(tmp_path / "f", PATH, mode="create")
        assert len(named(server, "CreateMultipartUpload")) == 2
    assert fake.objects[SLOT].body == LARGE
    assert not fake.uploads


@BODIES
def test_conflict_without_end_is_conflict_error_and_leaves_nothing(data: bytes) -> None:
    name = "Complete" if data is LARGE else "PUT"
    fake = FakeS3("bucket", fault=always(name, s3_error(409, "ConditionalRequestConflict")))
    with ScriptedServer(handler=fake) as server:
        with pytest.raises(ConflictError):
            filesystem(server.url, max_attempts=3, **PARTS).pipe_file(PATH, data, mode="create")
        assert len(named(server, name)) == 3
    assert not fake.objects
    assert not fake.uploads


# --- the condition itself ---


@BODIES
@pytest.mark.parametrize("verb", ["pipe", "put", "open", "copy", "delete"])
def test_etag_without_quotes_is_accepted(tmp_path: Path, verb: str, data: bytes) -> None:
    (tmp_path / "f").write_bytes(data)
    fake = FakeS3("bucket")
    fake.put("bucket", "a", data)
    etag = fake.put(*SLOT, b"old").etag.strip('"')
    with ScriptedServer(handler=fake) as server:
        call(filesystem(server.url, **PARTS), verb, tmp_path / "f", data, etag)
    there = fake.objects.get(SLOT)
    assert (there and there.body) == (None if verb == "delete" else data)


def call(fs: GuardedS3FileSystem, verb: str, local: Path, data: bytes, if_match: Any) -> None:
    if verb == "pipe":
        fs.pipe_file(PATH, data, if_match=if_match)
    elif verb == "put":
        fs.put_file(local, PATH, if_match=if_match)
    elif verb == "copy":
        fs.cp_file("bucket/a", PATH, if_match=if_match)
    elif verb == "delete":
        fs.rm_file(PATH, if_match=if_match)
    else:
        with fs.open(PATH, "ab" if verb == "append" else "wb", if_match=if_match) as file:
            file.write(data)


@pytest.mark.parametrize("verb", ["pipe", "put", "open", "append", "copy", "delete"])
@pytest.mark.parametrize(
    ("wrong", "expected"), [(5, TypeError), (b"abc", TypeError), (True, TypeError), ("", ValueError)]
)
def test_if_match_that_is_no_etag_is_refused_and_changes_nothing(
    tmp_path: Path, verb: str, wrong: Any, expected: type[Exception]
) -> None:
    (tmp_path / "f").write_bytes(SMALL)
    fake = FakeS3("bucket")
    fake.put("bucket", "a", SMALL)
    stored = fake.put(*SLOT, b"old")
    with ScriptedServer(handler=fake) as server, pytest.raises(expected):
        call(filesystem(server.url), verb, tmp_path / "f", SMALL, wrong)
    assert fake.objects[SLOT] is stored


@pytest.mark.parametrize("mode", ["create", "x"])
def test_create_and_if_match_exclude_each_other_and_modes_are_checked(tmp_path: Path, mode: str) -> None:
    (tmp_path / "f").write_bytes(SMALL)
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        for attempt in (
            lambda: fs.pipe_file(PATH, SMALL, mode=mode, if_match="e"),
            lambda: fs.put_file(tmp_path / "f", PATH, mode=mode, if_match="e"),
            lambda: fs.cp_file(PATH, "bucket/b", mode=mode, if_match="e"),
        ):
            with pytest.raises(ValueError, match="mode"):
                attempt()
        assert server.requests == []


def test_reading_under_an_etag_that_is_stale_is_object_changed() -> None:
    """`open(..., "rb", if_match=)` must not hand out another version in silence."""
    fake = FakeS3("bucket")
    stale = fake.put(*SLOT, b"old").etag
    fake.put(*SLOT, b"new")
    with ScriptedServer(handler=fake) as server, pytest.raises(ObjectChangedError):
        filesystem(server.url).open(PATH, "rb", if_match=stale).read()


def test_info_shows_no_token_after_any_conditional_write(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(LARGE)
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **PARTS)
        fs.pipe_file("bucket/a", SMALL, mode="create")
        fs.put_file(tmp_path / "f", "bucket/b", mode="create")
        fs.update("bucket/a", lambda old: old + b"!")
        assert [fs.info(name)["metadata"] for name in ("bucket/a", "bucket/b")] == [{}, {}]
    assert all(TOKEN in stored.metadata for stored in fake.objects.values())


@BODIES
def test_a_condition_that_does_not_hold_is_told_in_words(data: bytes) -> None:
    """S3's own sentence, of pre-conditions that were specified, names neither what nor why."""
    fake = FakeS3("bucket")
    stale = fake.put(*SLOT, b"old").etag
    fake.put(*SLOT, b"new")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **PARTS)
        with pytest.raises(FileExistsError, match=r"^the object exists already \(\w+ bucket/key, HTTP 412"):
            fs.pipe_file(PATH, data, mode="create")
        for call in (
            lambda: fs.pipe_file(PATH, data, if_match=stale),
            lambda: fs.rm_file(PATH, if_match=stale),
            lambda: fs.cp_file(PATH, PATH, if_match=stale, StorageClass="STANDARD_IA"),
        ):
            with pytest.raises(ObjectChangedError, match=r"^the object was replaced: "):
                call()
