"""Appending: the old bytes stay in front, a rival's write is never lost, and a failure changes nothing."""

import base64
import gzip
import hashlib
import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest

from fsspec_guarded_s3 import (
    AccessDeniedError,
    GuardedS3FileSystem,
    ObjectChangedError,
    PreconditionUnsupportedError,
    ServerError,
)
from tests.data import period_free
from tests.fake_s3 import FakeS3, Part, crc32, md5_etag
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, eventually, respond, s3_error
from tests.single_faults import always, is_probe, lose, named, once, operation, short_pauses  # noqa: F401

PATH = "bucket/key.txt"
SLOT = ("bucket", "key.txt")
SMALL = period_free(10_000)
LARGE = period_free(6 * MIB, seed=1)
MORE = period_free(11 * MIB, seed=2)
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}


def append(fs: GuardedS3FileSystem, data: bytes, path: str = PATH) -> None:
    with fs.open(path, "ab") as file:
        file.write(data)


def copies(server: ScriptedServer) -> list[Request]:
    return [request for request in server.requests if "x-amz-copy-source" in request.headers]


def no_part_copy(answer: Answer) -> Callable[[Request, FakeS3], Answer | None]:
    """A store that has no UploadPartCopy."""
    return lambda request, fake: answer if "x-amz-copy-source" in request.headers else None


@pytest.mark.parametrize("data", [b"", SMALL, MORE], ids=["nothing", "small", "parts"])
def test_appending_to_a_missing_key_creates_it(data: bytes) -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        append(filesystem(server.url, **PARTS), data)
    assert fake.objects[SLOT].body == data
    assert fake.objects[SLOT].headers["content-type"] == "text/plain"
    assert not fake.uploads


@pytest.mark.parametrize("old", [b"", SMALL, LARGE[: 5 * MIB - 1], LARGE[: 5 * MIB], LARGE])
@pytest.mark.parametrize("new", [b"x", SMALL, MORE], ids=["byte", "small", "parts"])
def test_old_bytes_stay_in_front_of_the_new_ones(old: bytes, new: bytes) -> None:
    fake = FakeS3("bucket")
    fake.put(*SLOT, old)
    with ScriptedServer(handler=fake) as server:
        append(filesystem(server.url, **PARTS), new)
    assert fake.objects[SLOT].body == old + new
    assert not fake.uploads


def test_many_small_writes_end_up_in_order() -> None:
    fake = FakeS3("bucket")
    fake.put(*SLOT, LARGE)
    pieces = [MORE[at : at + 700_001] for at in range(0, len(MORE), 700_001)]
    with ScriptedServer(handler=fake) as server, filesystem(server.url, **PARTS).open(PATH, "ab") as file:
        for piece in pieces:
            file.write(piece)
    assert fake.objects[SLOT].body == LARGE + MORE


def test_large_object_is_copied_by_the_store_under_its_pin() -> None:
    """Not one of its bytes crosses the wire."""
    fake = FakeS3("bucket")
    old = fake.put(*SLOT, LARGE)
    with ScriptedServer(handler=fake) as server:
        append(filesystem(server.url, **PARTS), b"tail")
        assert not named(server, "GET")
        assert [request.headers["x-amz-copy-source-if-match"] for request in copies(server)] == [old.etag]
        assert [request.headers["if-match"] for request in named(server, "Complete")] == [old.etag]
    assert fake.objects[SLOT].body == LARGE + b"tail"


def appended(fs: GuardedS3FileSystem) -> None:
    append(fs, MORE)


def copied(fs: GuardedS3FileSystem) -> None:
    fs.cp_file(PATH, PATH, ContentType="text/html")


@pytest.mark.parametrize("call", [appended, copied])
@pytest.mark.parametrize("part", [6 * MIB, 128 * MIB], ids=["several", "one"])
def test_completion_names_the_checksums_of_copied_parts(
    call: Callable[[GuardedS3FileSystem], None], part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some stores refuse a completion otherwise; where the whole object is checked, copied parts are too."""
    monkeypatch.setattr("fsspec_guarded_s3._fs.copy_in_parts._COPY_PART", part)
    monkeypatch.setattr("fsspec_guarded_s3._fs.copy_version.MAX_SINGLE_PUT", 5 * MIB)
    fake = FakeS3("bucket")
    fake.wants_checksums = True
    fake.put(*SLOT, MORE)
    with ScriptedServer(handler=fake) as server:
        call(filesystem(server.url, **PARTS))
        (complete,) = named(server, "Complete")
    assert fake.objects[SLOT].body == MORE + (MORE if call is appended else b"")
    assert complete.headers["x-amz-checksum-crc32"] == crc32(fake.objects[SLOT].body)


@pytest.mark.parametrize(
    "told", ["<ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME>", "", "<ChecksumCRC32/>"]
)
def test_checksum_of_a_copied_part_that_is_of_no_use_is_left_out(told: str) -> None:
    """One by another algorithm than that of the upload, none, or none that can be read."""
    fake = FakeS3("bucket")
    fake.put(*SLOT, LARGE)

    def after(request: Request, reply: Reply) -> Answer | None:
        if "x-amz-copy-source" not in request.headers:
            return None
        body = re.sub(rb"<ChecksumCRC32>.*</ChecksumCRC32>", told.encode(), reply.body)
        return replace(reply, body=body)

    fake.after = after
    with ScriptedServer(handler=fake) as server:
        append(filesystem(server.url, **PARTS), SMALL)
        (complete,) = named(server, "Complete")
    assert fake.objects[SLOT].body == LARGE + SMALL
    assert b"<Checksum" not in complete.body  # nor that of the other part
    assert "x-amz-checksum-crc32" not in complete.headers


def test_object_of_more_than_one_copied_part_keeps_all_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With copied parts of up to 10 MiB instead of 128."""
    monkeypatch.setattr("fsspec_guarded_s3._fs.copy_in_parts._COPY_PART", 10 * MIB)
    fake = FakeS3("bucket")
    old = period_free(21 * MIB + 1, seed=3)
    fake.put(*SLOT, old)
    with ScriptedServer(handler=fake) as server:
        append(filesystem(server.url, **PARTS), MORE)
        assert len(copies(server)) > 1
    assert fake.objects[SLOT].body == old + MORE


@pytest.mark.parametrize(
    "answer",
    [s3_error(501, "NotImplemented"), respond(501), respond(200)],
    ids=["501", "501-empty", "200-empty"],
)
def test_old_bytes_are_sent_where_the_store_cannot_copy_parts(answer: Answer) -> None:
    fake = FakeS3("bucket", fault=no_part_copy(answer))
    old = fake.put(*SLOT, LARGE)
    with ScriptedServer(handler=fake) as server:
        append(filesystem(server.url, **PARTS), SMALL)
        assert {request.headers["if-match"] for request in named(server, "GET")} == {old.etag}
    assert fake.objects[SLOT].body == LARGE + SMALL
    assert not fake.uploads


@pytest.mark.parametrize("source", ["parts", "whole"])
def test_old_bytes_are_sent_where_the_store_tells_a_digest_of_other_parts(source: str) -> None:
    """versitygw, of a range that is all of an object uploaded in parts: Complete would be refused."""
    part, digest = LARGE[: 5 * MIB], base64.b64encode(hashlib.sha256(LARGE[: 5 * MIB]).digest()).decode()
    told = f"{digest}-3" if source == "parts" else digest

    def after(request: Request, reply: Reply) -> Answer | None:
        if "x-amz-copy-source" not in request.headers or is_probe(request):
            return None
        digests = f"<ChecksumSHA256>{told}</ChecksumSHA256></CopyPartResult>".encode()
        return replace(reply, body=reply.body.replace(b"</CopyPartResult>", digests))

    fake = FakeS3("bucket", after=after)
    fake.tells_copied = False
    fake.put(*SLOT, part)
    with ScriptedServer(handler=fake) as server:
        attributes = {"ChecksumAlgorithm": "SHA256"}
        append(filesystem(server.url, s3_additional_kwargs=attributes, **PARTS), SMALL)
        complete = named(server, "Complete")[-1].body
    assert fake.objects[SLOT].body == part + SMALL
    assert f"<ChecksumSHA256>{digest}</ChecksumSHA256>".encode() in complete
    assert not fake.uploads


@pytest.mark.parametrize("replaceable", [True, False])
def test_store_that_answers_a_part_copy_with_an_empty_part_publishes_no_hole(replaceable: bool) -> None:
    """rclone: 200, no ETag, and an empty part is stored, which cannot be replaced: a new upload it takes."""

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if operation(request) != "UploadPart":
            return None
        upload, number = fake.uploads[request.query["uploadId"]], int(request.query["partNumber"])
        if "x-amz-copy-source" in request.headers:
            upload.parts[number] = Part(b"", md5_etag(b""))
            return respond(200)
        return s3_error(501, "NotImplemented") if number in upload.parts and not replaceable else None

    fake = FakeS3("bucket", fault=fault)
    fake.put(*SLOT, LARGE)
    with ScriptedServer(handler=fake) as server:
        append(filesystem(server.url, **PARTS), SMALL)
    assert fake.objects[SLOT].body == LARGE + SMALL
    assert not fake.uploads


@pytest.mark.parametrize("old", [SMALL, LARGE], ids=["small", "large"])
def test_metadata_and_content_type_are_kept_and_the_token_is_hidden(old: bytes) -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **PARTS)
        stored = fake.put(*SLOT, old, owner="me")
        stored.headers["content-type"] = "application/x-log"  # type: ignore[index]
        stored.headers["cache-control"] = "no-cache"  # type: ignore[index]
        append(fs, b"1")
        append(fs, b"2")
        info = fs.info(PATH)
    assert fake.objects[SLOT].body == old + b"12"
    assert info["metadata"] == {"owner": "me"}
    assert info["ContentType"] == "application/x-log"
    assert fake.objects[SLOT].headers["cache-control"] == "no-cache"


def test_tell_starts_at_the_old_size_and_counts_on() -> None:
    fake = FakeS3("bucket")
    fake.put(*SLOT, SMALL)
    with ScriptedServer(handler=fake) as server, filesystem(server.url).open(PATH, "ab") as file:
        before = file.tell()
        file.write(b"12345")
        assert (before, file.tell()) == (len(SMALL), len(SMALL) + 5)


@pytest.mark.parametrize("old", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("writes", [[], [b""]], ids=["no write", "empty write"])
def test_nothing_appended_changes_nothing_and_writes_nothing(old: bytes, writes: list[bytes]) -> None:
    fake = FakeS3("bucket")
    stored = fake.put(*SLOT, old)
    with ScriptedServer(handler=fake) as server:
        with filesystem(server.url, **PARTS).open(PATH, "ab") as file:
            for data in writes:
                file.write(data)
        assert {request.method for request in server.requests} == {"HEAD"}
    assert fake.objects[SLOT] is stored


@pytest.mark.parametrize("old", [None, SMALL, LARGE], ids=["missing", "small", "large"])
def test_exception_in_the_with_changes_nothing_and_leaves_no_upload(old: bytes | None) -> None:
    fake = FakeS3("bucket")
    if old is not None:
        fake.put(*SLOT, old)
    before = dict(fake.objects)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **PARTS)
        with pytest.raises(KeyError), fs.open(PATH, "ab") as file:
            file.write(MORE)
            raise KeyError
    assert fake.objects == before
    assert not fake.uploads


@pytest.mark.parametrize("old", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("moment", ["before the first write", "after the first write"])
def test_a_faster_writer_is_object_changed_and_its_bytes_stay(old: bytes, moment: str) -> None:
    fake = FakeS3("bucket")
    fake.put(*SLOT, old)
    with ScriptedServer(handler=fake) as server:
        file = filesystem(server.url, **PARTS).open(PATH, "ab")
        if moment == "after the first write":
            file.write(SMALL)
        fake.put(*SLOT, b"rival")
        with pytest.raises(ObjectChangedError):
            file.write(SMALL)
            file.close()
    assert fake.objects[SLOT].body == b"rival"
    assert not fake.uploads


def test_of_two_appenders_one_is_refused_and_no_bytes_are_lost() -> None:
    fake = FakeS3("bucket")
    fake.put(*SLOT, SMALL)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        one, other = fs.open(PATH, "ab"), fs.open(PATH, "ab")
        one.write(b"one")
        other.write(b"other")
        one.close()
        with pytest.raises(ObjectChangedError):
            other.close()
    assert fake.objects[SLOT].body == SMALL + b"one"


def test_missing_key_that_somebody_creates_meanwhile_is_file_exists_error() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        file = filesystem(server.url).open(PATH, "ab")
        file.write(SMALL)
        fake.put(*SLOT, b"rival")
        with pytest.raises(FileExistsError):
            file.close()
    assert fake.objects[SLOT].body == b"rival"


@pytest.mark.parametrize("old", [SMALL, LARGE], ids=["small", "large"])
def test_object_deleted_meanwhile_is_an_error_and_not_created_anew(old: bytes) -> None:
    fake = FakeS3("bucket")
    fake.put(*SLOT, old)
    with ScriptedServer(handler=fake) as server:
        file = filesystem(server.url, **PARTS).open(PATH, "ab")
        file.write(b"tail")
        fake.objects.clear()
        with pytest.raises((FileNotFoundError, ObjectChangedError)):
            file.close()
    assert not fake.objects
    assert not fake.uploads


def test_append_under_a_stale_etag_is_object_changed_at_once() -> None:
    fake = FakeS3("bucket")
    stale = fake.put(*SLOT, b"old").etag
    fake.put(*SLOT, b"new")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        with pytest.raises(ObjectChangedError):
            fs.open(PATH, "ab", if_match=stale)
        with pytest.raises(FileNotFoundError):
            fs.open("bucket/missing", "ab", if_match=stale)
    assert fake.objects[SLOT].body == b"new"


@pytest.mark.parametrize("name", ["PUT", "UploadPart", "Complete"])
@pytest.mark.parametrize("replay_ok", [True, False])
def test_append_whose_answer_is_lost_is_applied_once(name: str, replay_ok: bool) -> None:
    """Twice would show as doubled bytes, a false failure as ObjectChangedError."""
    old = SMALL if name == "PUT" else LARGE
    fake = FakeS3("bucket", after=lose(name), replay_ok=replay_ok)
    fake.put(*SLOT, old)
    with ScriptedServer(handler=fake) as server:
        append(filesystem(server.url, **PARTS), b"tail")
    assert fake.objects[SLOT].body == old + b"tail"
    assert not fake.uploads


@pytest.mark.parametrize("answer", [s3_error(500, "InternalError"), s3_error(503, "SlowDown")])
def test_part_copy_that_fails_once_is_tried_again(answer: Answer) -> None:
    fake = FakeS3("bucket", fault=once("UploadPart", answer))
    fake.put(*SLOT, LARGE)
    with ScriptedServer(handler=fake) as server:
        append(filesystem(server.url, **PARTS), b"tail")
        assert len(copies(server)) == 2
        assert not named(server, "GET")
    assert fake.objects[SLOT].body == LARGE + b"tail"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(s3_error(403, "AccessDenied"), AccessDeniedError), (s3_error(500, "InternalError"), ServerError)],
)
def test_part_copy_that_fails_for_good_changes_nothing(answer: Answer, expected: type[Exception]) -> None:
    """The writer is spoiled: close() raises the same error and publishes nothing."""
    fake = FakeS3("bucket", fault=always("UploadPart", answer))
    stored = fake.put(*SLOT, LARGE)
    with ScriptedServer(handler=fake) as server:
        file = filesystem(server.url, max_attempts=2, **PARTS).open(PATH, "ab")
        with pytest.raises(expected):
            file.write(b"tail")
        with pytest.raises(expected):
            file.close()
    assert fake.objects[SLOT] is stored
    assert not fake.uploads


def test_old_bytes_that_cannot_be_read_change_nothing() -> None:
    fake = FakeS3("bucket", fault=always("GET", s3_error(403, "AccessDenied")))
    stored = fake.put(*SLOT, SMALL)
    with ScriptedServer(handler=fake) as server:
        file = filesystem(server.url).open(PATH, "ab")
        with pytest.raises(PermissionError):
            file.write(b"tail")
        with pytest.raises(PermissionError):
            file.close()
    assert fake.objects[SLOT] is stored


def test_conflict_on_complete_says_to_write_again_and_changes_nothing() -> None:
    fake = FakeS3("bucket", fault=once("Complete", s3_error(409, "ConditionalRequestConflict")))
    stored = fake.put(*SLOT, LARGE)
    with ScriptedServer(handler=fake) as server:
        file = filesystem(server.url, **PARTS).open(PATH, "ab")
        file.write(b"tail")
        with pytest.raises(OSError, match="write the object again"):
            file.close()
    assert fake.objects[SLOT] is stored
    assert not fake.uploads


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_appended_text_is_read_back_as_one(compression: str | None) -> None:
    """A gzip file is made longer by one more member, which every reader takes as one text."""
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        for line in ("ä\n", "b\n", "c\n"):
            with fs.open(PATH, "at", encoding="utf-8", compression=compression) as file:
                file.write(line)
        with fs.open(PATH, "rt", encoding="utf-8", compression=compression) as file:
            assert file.read() == "ä\nb\nc\n"
    body = fake.objects[SLOT].body
    assert (gzip.decompress(body) if compression else body).decode() == "ä\nb\nc\n"


def test_text_append_with_an_exception_changes_nothing() -> None:
    fake = FakeS3("bucket")
    stored = fake.put(*SLOT, b"old")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        with pytest.raises(KeyError), fs.open(PATH, "at") as file:
            file.write("new")
            raise KeyError
    assert fake.objects[SLOT] is stored


def test_dropped_appender_changes_nothing_and_leaves_no_upload(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeS3("bucket")
    stored = fake.put(*SLOT, LARGE)
    with ScriptedServer(handler=fake) as server:
        file = filesystem(server.url, **PARTS).open(PATH, "ab")
        file.write(MORE)
        del file
        assert "was dropped without close()" in caplog.text
        eventually(lambda: not fake.uploads)  # aborted in the background, while there is a server
    assert fake.objects[SLOT] is stored


# --- stores that share no code with FakeS3 ---


def new_bucket(server: Any, **options: Any) -> tuple[GuardedS3FileSystem, str]:
    chosen: dict[str, Any] = {"key": server.key, "secret": server.secret, "probe": "auto", **options}
    fs = filesystem(server.url, **PARTS, **chosen)
    bucket = f"append-{uuid.uuid4().hex}"
    fs.mkdir(bucket)
    return fs, bucket


def client_of(server: Any) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=server.key,
        aws_secret_access_key=server.secret,
    )


@pytest.mark.parametrize(("old", "probe"), [(SMALL, "auto"), (LARGE, "never")], ids=["small", "large"])
def test_append_on_moto_keeps_bytes_metadata_and_tags(moto: Any, old: bytes, probe: str) -> None:
    fs, bucket = new_bucket(moto, probe=probe)
    s3 = client_of(moto)
    s3.put_object(
        Bucket=bucket,
        Key="a",
        Body=old,
        ContentType="application/x-log",
        Metadata={"owner": "me"},
        Tagging="team=a%20b&x=%2B",
    )
    append(fs, b"tail", f"{bucket}/a")
    assert fs.cat_file(f"{bucket}/a") == old + b"tail"
    assert fs.info(f"{bucket}/a")["metadata"] == {"owner": "me"}
    assert fs.info(f"{bucket}/a")["ContentType"] == "application/x-log"
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket=bucket, Key="a")["TagSet"]}
    assert tags == {"team": "a b", "x": "+"}
    assert fs.list_uploads(bucket) == []


def test_append_on_moto_in_parts_is_refused_since_complete_ignores_if_match(moto: Any) -> None:
    fs, bucket = new_bucket(moto)
    fs.pipe_file(f"{bucket}/a", LARGE)
    with pytest.raises(PreconditionUnsupportedError):
        append(fs, b"tail", f"{bucket}/a")
    assert fs.cat_file(f"{bucket}/a") == LARGE
    assert fs.list_uploads(bucket) == []


@pytest.mark.parametrize("old", [None, SMALL, LARGE], ids=["missing", "small", "large"])
def test_append_on_rclone_is_refused_since_it_ignores_conditions(rclone: Any, old: bytes | None) -> None:
    fs, bucket = new_bucket(rclone)
    if old is not None:
        fs.pipe_file(f"{bucket}/a", old)
    with pytest.raises(PreconditionUnsupportedError):
        append(fs, b"tail", f"{bucket}/a")
    assert [fs.cat_file(name) for name in fs.find(bucket)] == ([] if old is None else [old])
    assert fs.list_uploads(bucket) == []


@pytest.mark.parametrize("old", [SMALL, LARGE], ids=["small", "large"])
def test_append_on_rclone_without_a_probe_re_sends_the_old_bytes(rclone: Any, old: bytes) -> None:
    """Whoever passes probe="never" takes the risk, and gets no hole where rclone cannot copy parts."""
    fs, bucket = new_bucket(rclone, probe="never")
    fs.pipe_file(f"{bucket}/a", old)
    append(fs, MORE, f"{bucket}/a")
    assert fs.cat_file(f"{bucket}/a") == old + MORE
