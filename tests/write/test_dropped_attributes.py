"""What a store drops, though it answers 200: tags are given again, locks an error, the log tells the rest."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3Error, GuardedS3FileSystem, OperationUnsupportedError
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, s3_error

LARGE = bytes(6 * MIB)
TAGS = {"team": "x"}
RETENTION = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": "2040-01-01T00:00:00Z"}
HOLD = {"ObjectLockLegalHoldStatus": "ON"}
Write = Callable[..., object]


def stream(fs: GuardedS3FileSystem, data: bytes, **given: Any) -> None:
    with fs.open("bucket/a", "wb", **given) as file:
        file.write(data)


WRITES: dict[str, Write] = {
    "bytes": lambda fs, **given: fs.pipe_file("bucket/a", b"1", **given),
    "writer": lambda fs, **given: stream(fs, b"1", **given),
    "copy": lambda fs, **given: fs.cp_file("bucket/old", "bucket/a", **given),
}
UPLOADS: dict[str, Write] = {
    "bytes in parts": lambda fs, **given: fs.pipe_file("bucket/a", LARGE, **given),
    "writer in parts": lambda fs, **given: stream(fs, LARGE, **given),
}


def write(fake: FakeS3, call: Write, **given: Any) -> list[Request]:
    """The requests of a write to `fake`."""
    fake.put("bucket", "old", b"old")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB, max_attempts=1)
        call(fs, **given)
        return list(server.requests)


@pytest.mark.parametrize("given", [RETENTION, HOLD, RETENTION | HOLD], ids=["retention", "hold", "both"])
@pytest.mark.parametrize("call", (WRITES | UPLOADS).values(), ids=WRITES | UPLOADS)
def test_a_lock_that_the_store_drops_is_an_error_that_says_what_is_there(
    call: Write, given: dict[str, Any]
) -> None:
    fake = FakeS3("bucket")
    with pytest.raises(OperationUnsupportedError, match="was written, but the store dropped") as caught:
        write(fake, call, **given)
    assert caught.value.maybe_applied and ("bucket", "a") in fake.objects
    for name in {"ObjectLockMode", "ObjectLockLegalHoldStatus"} & set(given):
        assert name in str(caught.value)


@pytest.mark.parametrize("call", UPLOADS.values(), ids=UPLOADS)
def test_a_lock_that_the_store_drops_of_uploads_in_parts_alone_is_found_out(call: Write) -> None:
    fake = FakeS3("bucket")
    fake.locks = "partly"
    write(fake, WRITES["bytes"], **RETENTION)
    with pytest.raises(OperationUnsupportedError, match="dropped its ObjectLockMode: it is not locked"):
        write(fake, call, **RETENTION)


@pytest.mark.parametrize("locks", ["shown", "told"])
@pytest.mark.parametrize("given", [RETENTION, HOLD, RETENTION | HOLD], ids=["retention", "hold", "both"])
@pytest.mark.parametrize("call", (WRITES | UPLOADS).values(), ids=WRITES | UPLOADS)
def test_a_lock_that_is_there_is_no_error_whether_a_head_shows_it_or_not(
    call: Write, given: dict[str, Any], locks: str
) -> None:
    fake = FakeS3("bucket")
    fake.locks = locks
    write(fake, call, **given)


def test_a_hold_that_is_off_is_not_looked_for() -> None:
    requests = write(FakeS3("bucket"), WRITES["bytes"], ObjectLockLegalHoldStatus="OFF")
    assert [request.method for request in requests] == ["PUT"]


@pytest.mark.parametrize("forbidden", ["HEAD", "GET"])
def test_a_lock_that_nobody_may_look_at_is_a_warning(
    forbidden: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return s3_error(403, "AccessDenied") if request.method == forbidden else None

    with caplog.at_level(logging.WARNING, "fsspec_guarded_s3"):
        write(FakeS3("bucket", fault=fault), WRITES["bytes"], **RETENTION)
    (told,) = [record for record in caplog.records if "could not look whether bucket/a" in record.message]
    assert told.levelno == logging.WARNING


def refuse_tags(request: Request, fake: FakeS3) -> Answer | None:
    is_asked = request.method == "PUT" and "tagging" in request.query
    return s3_error(501, "NotImplemented") if is_asked else None


@pytest.mark.parametrize("call", UPLOADS.values(), ids=UPLOADS)
@pytest.mark.parametrize("taken", [True, False], ids=["tags are taken", "tags are refused"])
def test_tags_are_looked_at_where_the_etag_is_another_than_complete_told(taken: bool, call: Write) -> None:
    fake = FakeS3("bucket", drops_tags=True)
    fake.another_etag = True
    if not taken:
        fake.fault = refuse_tags
        with pytest.raises(GuardedS3Error, match="dropped its tags") as caught:
            write(fake, call, Tagging=TAGS)
        assert caught.value.maybe_applied
        return
    write(fake, call, Tagging=TAGS)
    assert fake.objects["bucket", "a"].tags == TAGS


def test_a_rivals_object_is_not_given_tags() -> None:
    fake = FakeS3("bucket", drops_tags=True)

    def after(request: Request, reply: Any) -> None:
        if request.method == "POST" and "uploadId" in request.query:
            fake.put("bucket", "a", b"rival's")

    fake.after = after
    write(fake, UPLOADS["bytes in parts"], Tagging=TAGS)
    assert fake.objects["bucket", "a"].tags == {}


DESCRIPTIONS = {
    "StorageClass": ("STANDARD_IA", "x-amz-storage-class"),
    "Expires": ("Thu, 01 Jan 2040 00:00:00 GMT", "expires"),
    "ContentLanguage": ("de", "content-language"),
    "ContentEncoding": ("gzip", "content-encoding"),
    "ContentDisposition": ("inline", "content-disposition"),
    "CacheControl": ("no-cache", "cache-control"),
    "WebsiteRedirectLocation": ("/b", "x-amz-website-redirect-location"),
}


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings."""
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("name", DESCRIPTIONS)
@pytest.mark.parametrize("call", (WRITES | UPLOADS).values(), ids=WRITES | UPLOADS)
def test_what_the_store_drops_of_a_description_is_told(
    call: Write, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    value, header = DESCRIPTIONS[name]
    fake = FakeS3("bucket")
    fake.drops = {header}
    with caplog.at_level(logging.WARNING, "fsspec_guarded_s3"):
        write(fake, call, **{name: value})
    (message,) = told(caplog)
    assert f"bucket/a was written without its {name}, which the store dropped" in message


@pytest.mark.parametrize("call", (WRITES | UPLOADS).values(), ids=WRITES | UPLOADS)
def test_what_the_store_keeps_of_a_description_is_not_told(
    call: Write, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "fsspec_guarded_s3"):
        write(FakeS3("bucket"), call, **{name: value for name, (value, _) in DESCRIPTIONS.items()})
    assert told(caplog) == []


@pytest.mark.parametrize("drops", [(), ("expires", "content-language")], ids=["kept", "dropped"])
def test_descriptions_are_looked_for_once_for_each_way_of_writing(
    drops: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """So no write but the first pays a request for it, and the log is not filled."""
    fake = FakeS3("bucket")
    fake.drops = drops
    given = {"Expires": DESCRIPTIONS["Expires"][0], "ContentLanguage": "de"}
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB)
        for _ in range(3):
            fs.pipe_file("bucket/a", b"1", **given)
            fs.pipe_file("bucket/a", LARGE, **given)
        fs.pipe_file("bucket/a", b"1", **given, CacheControl="no-cache")
        heads = [request for request in server.requests if request.method == "HEAD"]
    assert len(heads) == 3, "a PUT, an upload in parts, and a PUT with something else"
    assert len(told(caplog)) == (2 if drops else 0)


def test_who_may_not_look_for_descriptions_pays_for_it_once() -> None:
    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return s3_error(403, "AccessDenied") if request.method == "HEAD" else None

    with ScriptedServer(handler=FakeS3("bucket", fault=fault)) as server:
        fs = filesystem(server.url)
        for _ in range(3):
            fs.pipe_file("bucket/a", b"1", CacheControl="no-cache")
        assert [request.method for request in server.requests].count("HEAD") == 1
