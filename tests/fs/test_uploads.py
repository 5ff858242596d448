"""Uploads that somebody left behind: found, removed, or continued."""

import dataclasses
import logging
import os
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from fsspec.callbacks import Callback

from fsspec_guarded_s3 import (
    EncryptionUnsupportedError,
    GuardedS3FileSystem,
    ObjectNotFoundError,
    ProtocolError,
    WriteOutcomeUnknownError,
)
from fsspec_guarded_s3.errors import FileChangedError
from tests.data import period_free
from tests.fake_s3 import FakeS3, Part, Upload, md5_etag
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close, respond, s3_error
from tests.single_faults import always, lose, named, once, operation, short_pauses  # noqa: F401

PATH = "bucket/key"
DATA = period_free(12 * MIB)  # parts of 5, 5 and 2 MiB
PIECES = [DATA[: 5 * MIB], DATA[5 * MIB : 10 * MIB], DATA[10 * MIB :]]
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}
HOUR = 3600


def left(fake: FakeS3, name: str, key: str, parts: list[bytes] | None = None, *, age: float = HOUR) -> str:
    """Somebody's upload from `age` seconds ago."""
    began = datetime.now(timezone.utc) - timedelta(seconds=age)
    upload = Upload("bucket", key, {"content-type": "text/plain"}, composite=False, initiated=began)
    for number, body in enumerate(parts or [], 1):
        upload.parts[number] = Part(body, md5_etag(body))
    fake.uploads[name] = upload
    return name


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["upload_id"] for row in rows]


# --- list ---


def test_list_shows_name_age_size_and_parts_oldest_first() -> None:
    fake = FakeS3("bucket")
    left(fake, "young", "a/1", [b"x" * 10], age=60)
    left(fake, "old", "a/2", [b"x" * 10, b"y" * 5], age=HOUR)
    with ScriptedServer(handler=fake) as server:
        rows = filesystem(server.url).list_uploads("bucket")
    assert ids(rows) == ["old", "young"]
    assert [(row["name"], row["size"], row["parts"], row["live"]) for row in rows] == [
        ("bucket/a/2", 15, 2, False),
        ("bucket/a/1", 10, 1, False),
    ]
    assert rows[0]["initiated"].tzinfo == timezone.utc
    assert HOUR - 2 <= rows[0]["age"] <= HOUR + 300
    assert set(rows[0]) == {"name", "upload_id", "initiated", "age", "size", "parts", "live"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("bucket", ["dir", "dir.txt", "dir/a", "dir/b/c", "dir2/a", "z"]),
        ("bucket/", ["dir", "dir.txt", "dir/a", "dir/b/c", "dir2/a", "z"]),
        ("bucket/dir", ["dir", "dir/a", "dir/b/c"]),
        ("gs3://bucket/dir/", ["dir", "dir/a", "dir/b/c"]),
        ("bucket/dir/b", ["dir/b/c"]),
        ("bucket/di", []),
        ("bucket/nowhere", []),
    ],
)
def test_list_is_the_path_itself_and_below_but_no_sibling(path: str, expected: list[str]) -> None:
    fake = FakeS3("bucket")
    for key in ("dir", "dir.txt", "dir/a", "dir/b/c", "dir2/a", "z"):
        left(fake, key, key)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert sorted(ids(fs.list_uploads(path))) == expected
        assert sorted(ids(fs.abort_uploads(path, 0))) == expected


@pytest.mark.parametrize("key", ["a b", "ü/ö", "a+b%20c", "tab\there", "a&b<c>"])
def test_keys_are_kept_to_the_byte(key: str) -> None:
    fake = FakeS3("bucket")
    left(fake, "one", key)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert [row["name"] for row in fs.list_uploads("bucket")] == [f"bucket/{key}"]
        assert ids(fs.abort_uploads(f"bucket/{key}", 0)) == ["one"]
    assert not fake.uploads


def test_listings_of_many_pages_are_followed() -> None:
    fake = FakeS3("bucket")
    for number in range(1003):
        left(fake, f"id-{number:04}", "same" if number % 2 else f"key-{number}")
    with ScriptedServer(handler=fake) as server:
        found = filesystem(server.url, max_concurrency=16).list_uploads("bucket")
    assert len(found) == 1003
    assert len(set(ids(found))) == 1003


def test_upload_of_more_than_a_thousand_parts_has_its_whole_size() -> None:
    fake = FakeS3("bucket")
    left(fake, "one", "key", [b"%04d" % number for number in range(1001)])
    with ScriptedServer(handler=fake) as server:
        (row,) = filesystem(server.url).list_uploads(PATH)
    assert (row["parts"], row["size"]) == (1001, 4004)


@pytest.mark.parametrize(
    "markers", [b"", b"<NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>"]
)
def test_listing_that_never_ends_is_a_protocol_error(markers: bytes) -> None:
    """Truncated without a marker, or with the same one for ever."""
    page = b"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>%s</ListMultipartUploadsResult>"
    asked: list[Request] = []

    def handler(request: Request) -> Answer:
        asked.append(request)
        return respond(200, page % markers) if len(asked) < 20 else s3_error(403, "TooManyRequests")

    with ScriptedServer(handler=handler) as server, pytest.raises(ProtocolError):
        filesystem(server.url).list_uploads("bucket")
    assert len(asked) < 20


def test_missing_bucket_is_file_not_found() -> None:
    with ScriptedServer(handler=FakeS3("other")) as server:
        for verb in ("list_uploads", "abort_uploads"):
            with pytest.raises(FileNotFoundError):
                getattr(filesystem(server.url), verb)("bucket", *([0] if verb == "abort_uploads" else []))


def test_upload_that_ends_while_it_is_listed_is_left_out() -> None:
    fake = FakeS3("bucket", fault=once("ListParts", s3_error(404, "NoSuchUpload")))
    left(fake, "one", "key")
    with ScriptedServer(handler=fake) as server:
        assert filesystem(server.url).list_uploads("bucket") == []


# --- abort ---


@pytest.mark.parametrize("older_than", [600, 600.5, timedelta(minutes=10)])
def test_only_older_uploads_are_aborted_and_returned(older_than: Any) -> None:
    fake = FakeS3("bucket")
    left(fake, "old", "a", [b"x"], age=HOUR)
    left(fake, "young", "a", [b"x"], age=60)
    with ScriptedServer(handler=fake) as server:
        rows = filesystem(server.url).abort_uploads("bucket", older_than)
    assert ids(rows) == ["old"]
    assert set(fake.uploads) == {"young"}


@pytest.mark.parametrize("older_than", [-1, -0.001, timedelta(seconds=-1)])
def test_negative_age_is_a_value_error_and_asks_nothing(older_than: Any) -> None:
    fake = FakeS3("bucket")
    left(fake, "old", "a")
    with ScriptedServer(handler=fake) as server:
        with pytest.raises(ValueError, match="negative"):
            filesystem(server.url).abort_uploads("bucket", older_than)
        assert server.requests == []


@pytest.mark.parametrize("older_than", ["600", None])
def test_age_of_another_type_is_a_type_error(older_than: Any) -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server, pytest.raises(TypeError):
        filesystem(server.url).abort_uploads("bucket", older_than)


@pytest.mark.parametrize("date", [b"", b"<Initiated></Initiated>", b"<Initiated>long ago</Initiated>"])
def test_upload_without_a_date_is_listed_without_an_age_and_left_alone(date: bytes) -> None:
    def after(request: Request, reply: Reply) -> Answer | None:
        if "uploads" not in request.query:
            return None
        begin, end = reply.body.index(b"<Initiated>"), reply.body.index(b"</Initiated>") + 12
        body = reply.body[:begin] + date + reply.body[end:]
        return dataclasses.replace(reply, body=body)

    fake = FakeS3("bucket", after=after)
    left(fake, "one", "key")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        (row,) = fs.list_uploads("bucket")
        assert (row["initiated"], row["age"]) == (None, None)
        assert fs.abort_uploads("bucket", 0) == []
    assert set(fake.uploads) == {"one"}


def test_live_writers_of_this_process_are_never_touched() -> None:
    """Whatever their age, and also through another filesystem; once discarded they are not live any more."""
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **PARTS)
        file = fs.open(PATH, "wb")
        file.write(DATA)
        for upload in fake.uploads.values():
            upload.initiated -= timedelta(days=30)
        other = filesystem(server.url)
        assert [row["live"] for row in other.list_uploads("bucket")] == [True]
        assert other.abort_uploads("bucket", 0) == []
        file.close()
        assert other.list_uploads("bucket") == []
    assert fake.objects["bucket", "key"].body == DATA


def test_upload_whose_writer_does_not_know_its_id_yet_is_not_aborted() -> None:
    """The store has made it, the answer is on its way."""
    aborted: list[dict[str, Any]] = []

    def after(request: Request, reply: Reply) -> Answer | None:
        if operation(request) == "CreateMultipartUpload":
            for upload in fake.uploads.values():
                upload.initiated -= timedelta(hours=1)  # as with a store whose clock is behind
            aborted.extend(filesystem(server.url).abort_uploads("bucket", 0))
        return None

    fake = FakeS3("bucket", after=after)
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, **PARTS).pipe_file(PATH, DATA)
    assert aborted == []
    assert fake.objects["bucket", "key"].body == DATA


def reappears(times: int) -> tuple[FakeS3, list[int]]:
    """A store where parts in flight bring the upload back after each of the first `times` aborts."""
    aborts: list[int] = []

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if operation(request) == "Abort" and len(aborts) < times:
            aborts.append(1)
            return respond(204)
        return None

    return FakeS3("bucket", fault=fault), aborts


@pytest.mark.parametrize("times", [1, 2])
def test_part_that_arrives_during_the_abort_is_aborted_again(times: int) -> None:
    fake, aborts = reappears(times)
    left(fake, "one", "key", [b"x"])
    with ScriptedServer(handler=fake) as server:
        assert ids(filesystem(server.url).abort_uploads("bucket", 0)) == ["one"]
    assert len(aborts) == times
    assert not fake.uploads


def test_upload_that_keeps_getting_parts_is_not_reported_as_aborted() -> None:
    fake, _ = reappears(1000)
    left(fake, "one", "key", [b"x"])
    with ScriptedServer(handler=fake) as server:
        assert filesystem(server.url).abort_uploads("bucket", 0) == []


def test_upload_that_was_completed_meanwhile_is_not_reported_as_aborted() -> None:
    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if operation(request) == "Abort" and fake.uploads:
            fake.uploads.clear()
            fake.put("bucket", "key", b"completed")
        return None

    fake = FakeS3("bucket", fault=fault)
    left(fake, "one", "key", [b"x"])
    with ScriptedServer(handler=fake) as server:
        assert filesystem(server.url).abort_uploads("bucket", 0) == []
    assert fake.objects["bucket", "key"].body == b"completed"


def test_abort_whose_answer_is_lost_is_reported_as_aborted() -> None:
    fake = FakeS3("bucket", after=lose("Abort"))
    left(fake, "one", "key", [b"x"])
    with ScriptedServer(handler=fake) as server:
        assert ids(filesystem(server.url).abort_uploads("bucket", 0)) == ["one"]
    assert not fake.uploads


def test_abort_that_is_forbidden_is_permission_error() -> None:
    fake = FakeS3("bucket", fault=always("Abort", s3_error(403, "AccessDenied")))
    left(fake, "one", "key")
    with ScriptedServer(handler=fake) as server, pytest.raises(PermissionError):
        filesystem(server.url).abort_uploads("bucket", 0)
    assert set(fake.uploads) == {"one"}


def open_on(server: Any) -> tuple[GuardedS3FileSystem, str]:
    fs = filesystem(server.url, key=server.key, secret=server.secret, **PARTS)
    bucket = f"uploads-{uuid.uuid4().hex}"
    fs.mkdir(bucket)
    return fs, bucket


@pytest.mark.parametrize("name", ["moto", "rclone"])
def test_uploads_of_a_real_store_are_found_and_removed(name: str, request: pytest.FixtureRequest) -> None:
    """rclone answers 404 NoSuchUpload for a bucket that has none."""
    fs, bucket = open_on(request.getfixturevalue(name))
    assert fs.list_uploads(bucket) == []
    assert fs.abort_uploads(bucket, 0) == []
    location = fs._paths.object(f"{bucket}/dir/key")
    upload_id = fs._client.multipart.create_multipart_upload(location, {})
    fs._client.multipart.upload_part(location, upload_id, 1, PIECES[0])
    (row,) = fs.list_uploads(f"{bucket}/dir")
    assert (row["upload_id"], row["name"], row["live"]) == (upload_id, f"{bucket}/dir/key", False)
    assert (row["parts"], row["size"]) == (1, 5 * MIB)
    assert fs.list_uploads(f"{bucket}/di") == []
    if row["age"] is not None and row["age"] >= 0:
        assert ids(fs.abort_uploads(bucket, 0)) == [upload_id]
        assert fs.list_uploads(bucket) == []


@pytest.mark.parametrize("key", ["a b", "ü/ö", "a+b%20c", "a&b<c>"])
def test_keys_on_moto_are_kept_to_the_byte(key: str, moto: Any) -> None:
    fs, bucket = open_on(moto)
    upload_id = fs._client.multipart.create_multipart_upload(fs._paths.object(f"{bucket}/{key}"), {})
    assert [row["name"] for row in fs.list_uploads(bucket)] == [f"{bucket}/{key}"]
    location = fs._paths.object(f"{bucket}/{key}")
    fs._client.multipart.abort_multipart_upload(location, upload_id)
    assert fs.list_uploads(bucket) == []


def test_upload_whose_first_answer_was_lost_is_left_to_the_janitor_who_finds_it() -> None:
    """Nobody knows its id, so nobody can abort it; it is not live, whatever was published since."""
    fake = FakeS3("bucket", after=lose("CreateMultipartUpload"))
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **PARTS)
        fs.pipe_file(PATH, DATA)
        rows = fs.list_uploads(PATH)
        assert [(row["live"], row["parts"]) for row in rows] == [(False, 0)]
        assert ids(fs.abort_uploads(PATH, 0)) == ids(rows)
    assert fake.objects["bucket", "key"].body == DATA
    assert not fake.uploads


# --- resume ---


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "local"
    path.write_bytes(DATA)
    return path


class Counting(Callback):  # type: ignore[misc]
    """Adds up what it is told."""


def resume(fake: FakeS3, local: Path, upload_id: str = "one", **options: Any) -> list[str]:
    """Continue the upload; returns the numbers of the parts that were sent."""
    with ScriptedServer(handler=fake) as server:
        try:
            filesystem(server.url, **PARTS).put_file(local, PATH, resume=upload_id, **options)
        finally:
            sent = sorted(request.query["partNumber"] for request in named(server, "UploadPart"))
    return sent


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([], ["1", "2", "3"]),
        ([1], ["2", "3"]),
        ([2], ["1", "3"]),
        ([3], ["1", "2"]),
        ([1, 3], ["2"]),
        ([1, 2, 3], []),
    ],
)
def test_only_the_missing_parts_are_sent(local: Path, there: list[int], expected: list[str]) -> None:
    fake = FakeS3("bucket")
    left(fake, "one", "key", PIECES)
    fake.uploads["one"].parts = {n: part for n, part in fake.uploads["one"].parts.items() if n in there}
    assert resume(fake, local) == expected
    assert fake.objects["bucket", "key"].body == DATA
    assert not fake.uploads


def test_part_size_of_the_first_process_is_found_out(local: Path) -> None:
    """It may have had another option: here parts of 6 MiB."""
    fake = FakeS3("bucket")
    left(fake, "one", "key", [DATA[: 6 * MIB]])
    assert resume(fake, local) == ["2"]
    assert fake.objects["bucket", "key"].body == DATA


def test_upload_of_a_killed_writer_is_found_by_the_janitor_and_continued(local: Path) -> None:
    """Its metadata and type are those that the first process gave it."""
    fake = FakeS3("bucket", fault=always("Complete", s3_error(403, "AccessDenied")))
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **PARTS)
        upload_id = fs._client.multipart.create_multipart_upload(
            fs._paths.object(PATH), {"content-type": "text/x-mine"}
        )
        fs._client.multipart.upload_part(fs._paths.object(PATH), upload_id, 1, PIECES[0])
        fake.fault = None
        (row,) = fs.list_uploads(PATH)
        fs.put_file(local, PATH, resume=row["upload_id"])
    assert fake.objects["bucket", "key"].body == DATA
    assert fake.objects["bucket", "key"].headers["content-type"] == "text/x-mine"


def test_an_upload_that_was_begun_without_checksums_is_continued_without(local: Path) -> None:
    """Garage refuses a part with a CRC then, and versitygw to complete with the CRCs of some parts."""

    def refuse(request: Request, fake: FakeS3) -> Answer | None:
        if any(name.startswith("x-amz-checksum-") for name in request.headers):
            return s3_error(400, "InvalidRequest")
        return s3_error(400, "InvalidPart") if b"<Checksum" in request.body else None

    fake = FakeS3("bucket", fault=refuse)
    left(fake, "one", "key", [PIECES[0]])
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, **PARTS).put_file(local, PATH, resume="one")
    assert fake.objects["bucket", "key"].body == DATA
    sent = [request for request in server.requests if "partNumber" in request.query]
    assert len(sent) == 2 and all("content-md5" in request.headers for request in sent)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"ContentType": "a/b"}, "content-type"),
        ({"Metadata": {"owner": "me"}}, "x-amz-meta-owner"),
        ({"StorageClass": "GLACIER"}, "x-amz-storage-class"),
        ({"ServerSideEncryption": "AES256"}, "x-amz-server-side-encryption"),
        ({"CacheControl": "no-store", "ContentLanguage": "de"}, "cache-control, content-language"),
    ],
)
def test_attributes_that_a_resumed_upload_was_not_begun_with_are_named(
    local: Path, given: dict[str, Any], named: str, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeS3("bucket")
    left(fake, "one", "key", PIECES[:1])
    resume(fake, local, **given)
    (told,) = [record for record in caplog.records if "asked for" in record.getMessage()]
    assert f"bucket/key does not show what was asked for ({named})" in told.getMessage()
    assert told.levelno == logging.WARNING


def test_attributes_that_a_resumed_upload_was_begun_with_are_no_matter(
    local: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeS3("bucket")
    left(fake, "one", "key", PIECES[:1])
    fake.uploads["one"].headers = {"content-type": "a/b", "x-amz-meta-owner": "me"}
    resume(fake, local, ContentType="a/b", Metadata={"owner": "me"}, StorageClass="STANDARD")
    assert not [record for record in caplog.records if "asked for" in record.getMessage()]


@pytest.mark.parametrize("counted", [True, False])
def test_tags_of_a_resumed_upload_are_given_and_not_warned_of(
    local: Path, counted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeS3("bucket")
    fake.counts_tags = counted
    left(fake, "one", "key", PIECES[:1])
    resume(fake, local, Tagging={"team": "x"})
    assert fake.objects["bucket", "key"].tags == {"team": "x"}
    assert not [record for record in caplog.records if "asked for" in record.getMessage()]


def test_a_kms_that_a_resumed_upload_was_not_begun_with_is_an_error(local: Path) -> None:
    fake = FakeS3("bucket")
    left(fake, "one", "key", PIECES[:1])
    with pytest.raises(EncryptionUnsupportedError, match="begun without the KMS") as caught:
        resume(fake, local, ServerSideEncryption="aws:kms")
    assert caught.value.maybe_applied and fake.objects["bucket", "key"].body == DATA


@pytest.mark.parametrize(("upload_id", "error"), [("", ValueError), (7, TypeError)])
def test_what_is_no_id_of_an_upload_is_refused(local: Path, upload_id: Any, error: type[Exception]) -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server, pytest.raises(error, match="resume must be"):
        filesystem(server.url).put_file(local, PATH, resume=upload_id)
    assert not server.requests


@pytest.mark.parametrize("at", [0, 5 * MIB - 1, 7 * MIB])
def test_changed_file_is_a_value_error_and_the_upload_is_kept(local: Path, at: int) -> None:
    changed = bytearray(DATA)
    changed[at] ^= 1
    local.write_bytes(changed)
    fake = FakeS3("bucket")
    left(fake, "one", "key", PIECES[:2])
    with pytest.raises(ValueError, match="does not match the local file"):
        resume(fake, local)
    assert len(fake.uploads["one"].parts) == 2
    assert not fake.objects


@pytest.mark.parametrize("size", [0, 1, 5 * MIB - 1, 5 * MIB, 10 * MIB, 12 * MIB - 1, 12 * MIB + 1, 16 * MIB])
def test_shorter_or_longer_file_is_a_value_error_and_the_upload_is_kept(local: Path, size: int) -> None:
    local.write_bytes((DATA + period_free(4 * MIB, seed=1))[:size])
    fake = FakeS3("bucket")
    left(fake, "one", "key", PIECES)
    with pytest.raises(ValueError, match="does not match the local file"):
        resume(fake, local)
    assert len(fake.uploads["one"].parts) == 3
    assert not fake.objects


def test_file_that_grew_after_whole_parts_is_published_as_it_is_now(local: Path) -> None:
    fake = FakeS3("bucket")
    left(fake, "one", "key", PIECES[:2])
    local.write_bytes(DATA + b"more")
    assert resume(fake, local) == ["3"]
    assert fake.objects["bucket", "key"].body == DATA + b"more"


@pytest.mark.parametrize(("upload_id", "error"), [("unknown", FileNotFoundError), ("", ValueError)])
def test_unknown_id_is_an_error_and_publishes_nothing(
    local: Path, upload_id: str, error: type[Exception]
) -> None:
    fake = FakeS3("bucket")
    left(fake, "one", "key", PIECES)
    with pytest.raises(error):
        resume(fake, local, upload_id)
    assert set(fake.uploads) == {"one"}
    assert not fake.objects


def test_id_of_another_key_is_file_not_found(local: Path) -> None:
    fake = FakeS3("bucket")
    left(fake, "one", "another", PIECES)
    with pytest.raises(FileNotFoundError):
        resume(fake, local)
    assert set(fake.uploads) == {"one"}


def test_parts_without_a_checksum_that_proves_them_are_sent_again(local: Path) -> None:
    """An ETag that is no MD5 proves nothing."""
    fake = FakeS3("bucket")
    left(fake, "one", "key", PIECES)
    fake.uploads["one"].parts[2] = Part(PIECES[1], '"opaque-etag"')
    assert resume(fake, local) == ["2"]
    assert fake.objects["bucket", "key"].body == DATA


def with_checksums(value: Callable[[bytes], str]) -> Callable[[Request, Reply], Answer | None]:
    """ListParts tells a CRC32 for every part, as AWS does."""

    def after(request: Request, reply: Reply) -> Answer | None:
        if operation(request) != "ListParts" or reply.status != 200:
            return None
        body = reply.body
        for piece in PIECES:
            found = f"<ETag>{md5_etag(piece)}</ETag>".replace('"', "&quot;").encode()
            plain = f"<ETag>{md5_etag(piece)}</ETag>".encode()
            crc = f"<ChecksumCRC32>{value(piece)}</ChecksumCRC32>".encode()
            body = body.replace(found, found + crc).replace(plain, plain + crc)
        kind = b"<ChecksumType>FULL_OBJECT</ChecksumType><UploadId>"
        return dataclasses.replace(reply, body=body.replace(b"<UploadId>", kind))

    return after


def test_checksums_of_listed_parts_are_trusted_and_go_into_complete(local: Path) -> None:
    from tests.fake_s3 import crc32

    fake = FakeS3("bucket", after=with_checksums(crc32))
    left(fake, "one", "key", PIECES[:1])
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, **PARTS).put_file(local, PATH, resume="one")
        (complete,) = named(server, "Complete")
    assert complete.headers["x-amz-checksum-crc32"] == crc32(DATA)
    assert fake.objects["bucket", "key"].body == DATA


def test_checksum_of_a_listed_part_that_differs_is_a_value_error(local: Path) -> None:
    fake = FakeS3("bucket", after=with_checksums(lambda piece: "AAAAAA=="))
    left(fake, "one", "key", PIECES[:1])
    with pytest.raises(ValueError, match="part 1"):
        resume(fake, local)
    assert set(fake.uploads) == {"one"}


def test_resumed_create_on_a_free_key_creates(local: Path) -> None:
    fake = FakeS3("bucket")
    left(fake, "one", "key", PIECES[:1])
    assert resume(fake, local, mode="create") == ["2", "3"]
    assert fake.objects["bucket", "key"].body == DATA


def test_resumed_create_on_a_taken_key_is_file_exists(local: Path) -> None:
    fake = FakeS3("bucket")
    stored = fake.put("bucket", "key", b"rival")
    left(fake, "one", "key", PIECES[:1])
    with pytest.raises(FileExistsError):
        resume(fake, local, mode="create")
    assert fake.objects["bucket", "key"] is stored


@pytest.mark.parametrize("replay_ok", [True, False])
def test_resume_whose_answer_is_lost_succeeds(local: Path, replay_ok: bool) -> None:
    fake = FakeS3("bucket", after=lose("Complete"), replay_ok=replay_ok)
    left(fake, "one", "key", PIECES[:1])
    resume(fake, local)
    assert fake.objects["bucket", "key"].body == DATA


def test_part_that_fails_while_resuming_keeps_the_upload_for_another_attempt(local: Path) -> None:
    fake = FakeS3("bucket", fault=always("UploadPart", s3_error(403, "AccessDenied")))
    left(fake, "one", "key", PIECES[:1])
    with pytest.raises(PermissionError):
        resume(fake, local)
    assert set(fake.uploads) == {"one"}
    fake.fault = None
    resume(fake, local)
    assert fake.objects["bucket", "key"].body == DATA


@pytest.mark.parametrize("answer", [s3_error(500, "InternalError"), close(), s3_error(503, "SlowDown")])
@pytest.mark.parametrize("mode", ["overwrite", "create"])
def test_completion_that_fails_while_resuming_keeps_the_upload_for_another_attempt(
    local: Path, answer: Answer, mode: str
) -> None:
    """The parts of hours are not given up for a proof: one more attempt is what `resume` is for."""
    fake = FakeS3("bucket", fault=always("Complete", answer))
    left(fake, "one", "key", PIECES[:1])
    with pytest.raises(WriteOutcomeUnknownError, match="resume it again"):
        resume(fake, local, mode=mode)
    assert set(fake.uploads) == {"one"}
    assert not fake.objects
    fake.fault = None
    assert resume(fake, local, mode=mode) == []
    assert fake.objects["bucket", "key"].body == DATA
    assert not fake.uploads


def test_conflict_on_complete_of_a_resumed_upload_sends_the_file_again(local: Path) -> None:
    """The local file is still there, so the parts are not lost."""
    fake = FakeS3("bucket", fault=once("Complete", s3_error(409, "ConditionalRequestConflict")))
    left(fake, "one", "key", PIECES[:1])
    resume(fake, local)
    assert fake.objects["bucket", "key"].body == DATA
    assert not fake.uploads


def resume_while(local: Path, part: str, change: Callable[[], Answer | None], said: str) -> FakeS3:
    """Resume an upload, and do `change` when that part arrives: FileChangedError, nothing is published."""

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        arrives = operation(request) == "UploadPart" and request.query["partNumber"] == part
        return change() if arrives else None

    fake = FakeS3("bucket", fault=fault)
    left(fake, "one", "key", PIECES[:1])
    with pytest.raises(FileChangedError, match=said):
        resume(fake, local)
    assert not fake.objects
    return fake


def write_backwards(local: Path) -> None:
    with local.open("r+b") as file:
        file.write(DATA[::-1])


def test_file_that_is_rewritten_while_resuming_is_file_changed_and_not_published(local: Path) -> None:
    resume_while(local, "2", lambda: write_backwards(local), "while it was uploaded")


def test_file_that_is_rewritten_between_crc_and_sending_while_resuming_is_file_changed(local: Path) -> None:
    """The store sees bytes that are not those of the CRC, and refuses the part."""

    def change() -> Answer:
        write_backwards(local)
        os.utime(local, ns=(10**18, 10**18))
        return s3_error(400, "BadDigest")

    fake = resume_while(local, "2", change, "changed while it was uploaded")
    assert set(fake.uploads) == {"one"}  # kept, as after every failure


def test_file_that_is_replaced_by_a_longer_one_while_resuming_is_not_published(local: Path) -> None:
    def change() -> None:
        local.write_bytes(DATA[::-1] + b"more")

    resume_while(local, "3", change, "while it was uploaded")


def test_resumed_upload_is_live_while_it_is_resumed(local: Path) -> None:
    aborted: list[dict[str, Any]] = []
    lock = threading.Lock()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if operation(request) == "UploadPart":
            with lock:
                aborted.extend(filesystem(server.url).abort_uploads("bucket", 0))
        return None

    fake = FakeS3("bucket", fault=fault)
    left(fake, "one", "key", PIECES[:1])
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, **PARTS).put_file(local, PATH, resume="one")
    assert aborted == []
    assert fake.objects["bucket", "key"].body == DATA


@pytest.mark.parametrize("kind", ["plain", "resumed", "conflict", "replayed part"])
def test_progress_adds_up_to_the_size_of_the_file(local: Path, kind: str) -> None:
    """Also where parts were sent twice."""
    fake = FakeS3("bucket")
    if kind == "conflict":
        fake.fault = once("Complete", s3_error(409, "ConditionalRequestConflict"))
    elif kind == "replayed part":
        fake.fault = once("UploadPart", s3_error(500, "InternalError"))
    left(fake, "one", "key", PIECES[:1])
    callback = Counting()
    with ScriptedServer(handler=fake) as server:
        upload_id = "one" if kind == "resumed" else None
        filesystem(server.url, **PARTS).put_file(local, PATH, resume=upload_id, callback=callback)
    assert (callback.size, callback.value) == (len(DATA), len(DATA))
    assert fake.objects["bucket", "key"].body == DATA


@pytest.mark.parametrize("name", ["moto", "rclone"])
def test_upload_on_a_real_store_is_resumed(name: str, local: Path, request: pytest.FixtureRequest) -> None:
    fs, bucket = open_on(request.getfixturevalue(name))
    location = fs._paths.object(f"{bucket}/key")
    upload_id = fs._client.multipart.create_multipart_upload(location, {})
    fs._client.multipart.upload_part(location, upload_id, 1, PIECES[0])
    fs.put_file(local, f"{bucket}/key", resume=upload_id)
    assert fs.cat_file(f"{bucket}/key") == DATA
    assert fs.list_uploads(bucket) == []
    with pytest.raises(ObjectNotFoundError):
        fs.put_file(local, f"{bucket}/key", resume=upload_id)
