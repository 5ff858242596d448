"""`object_attributes`: checksums, parts and sizes of one version, by GetObjectAttributes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import boto3
import pytest

from fsspec_guarded_s3 import (
    AccessDeniedError,
    GuardedS3FileSystem,
    ObjectChangedError,
    OperationUnsupportedError,
)
from fsspec_guarded_s3.errors import ProtocolError
from tests.data import period_free
from tests.fake_s3 import FakeS3, crc32, md5_etag
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, respond, s3_error
from tests.servers import MotoServer
from tests.single_faults import short_pauses  # noqa: F401
from tests.stores import new_store

PATH = "bucket/d/key"
LARGE = period_free(11 * MIB)
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}


def written(fs: GuardedS3FileSystem, data: bytes) -> dict[str, Any]:
    fs.pipe_file(PATH, data)
    found: dict[str, Any] = dict(fs.object_attributes(PATH))
    return found


def asked(server: ScriptedServer) -> list[Request]:
    return [request for request in server.requests if "attributes" in request.query]


def test_a_small_object_has_its_checksum() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        found = written(filesystem(server.url), b"content")
        (request,) = asked(server)
    assert isinstance(found.pop("LastModified"), datetime)
    assert found == {
        "ETag": md5_etag(b"content"),
        "VersionId": None,
        "StorageClass": "STANDARD",
        "ObjectSize": 7,
        "Checksum": {"ChecksumCRC32": crc32(b"content"), "ChecksumType": "FULL_OBJECT"},
    }
    names = request.headers["x-amz-object-attributes"]
    assert set(names.split(",")) == {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}


@pytest.mark.parametrize("most", [1000, 2, 1])
def test_all_parts_are_listed(most: int) -> None:
    """Page by page."""
    fake = FakeS3("bucket")
    fake.most_parts = most
    with ScriptedServer(handler=fake) as server:
        found = written(filesystem(server.url, **PARTS), LARGE)
        assert len(asked(server)) == -(-3 // most)
    parts = found["ObjectParts"]
    assert parts["TotalPartsCount"] == 3
    assert [part["PartNumber"] for part in parts["Parts"]] == [1, 2, 3]
    start = 0
    for part in parts["Parts"]:
        assert part["ChecksumCRC32"] == crc32(LARGE[start : start + part["Size"]])
        start += part["Size"]
    assert start == len(LARGE) == found["ObjectSize"]


def test_parts_are_of_one_version() -> None:
    """Also where the ETag was not asked for."""
    fake = FakeS3("bucket")
    fake.most_parts = 1
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **PARTS)
        fs.pipe_file(PATH, LARGE)

        def replaced(request: Request, reply: Reply) -> None:
            fake.after = None
            fs.pipe_file(PATH, LARGE[::-1])

        fake.after = replaced
        with pytest.raises(ObjectChangedError, match="replaced while"):
            fs.object_attributes(PATH, ["ObjectParts"])


def test_only_what_is_asked_for_comes() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        fs.pipe_file(PATH, b"1")
        found = fs.object_attributes(PATH, ["ObjectSize"])
        assert set(found) == {"ObjectSize", "LastModified", "VersionId"}
        assert set(fs.object_attributes(PATH, ("ETag",))) == {"ETag", "LastModified", "VersionId"}


@pytest.mark.parametrize("wrong", [["Size"], [], ["ETag", 3]])
def test_an_attribute_that_s3_does_not_know_is_named(wrong: Any) -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        with pytest.raises(ValueError, match="attributes must be some of ETag, Checksum"):
            filesystem(server.url).object_attributes(PATH, wrong)
        assert not server.requests


def test_the_etag_can_be_a_condition() -> None:
    """S3 tells it without quotes here, and with them elsewhere."""
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        etag = written(fs, b"old")["ETag"]
        assert etag == fs.info(PATH)["ETag"]
        fs.pipe_file(PATH, b"new", if_match=etag)


def test_a_version_and_a_key_of_a_customer_are_passed_on() -> None:
    def handler(request: Request) -> Answer:
        assert request.query["versionId"] == "v1"
        assert request.headers["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
        body = b"<GetObjectAttributesOutput><ObjectSize>3</ObjectSize></GetObjectAttributesOutput>"
        headers = {"x-amz-version-id": "v1"}
        for name in ("algorithm", "key-md5"):
            name = f"x-amz-server-side-encryption-customer-{name}"
            headers[name] = request.headers[name]
        return respond(200, body, headers=headers)

    with ScriptedServer(handler=handler) as server:
        found = filesystem(server.url).object_attributes(PATH, version_id="v1", SSECustomerKey=bytes(32))
    assert (found["ObjectSize"], found["VersionId"]) == (3, "v1")


def test_a_missing_object_is_missing() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server, pytest.raises(FileNotFoundError):
        filesystem(server.url).object_attributes(PATH)


def test_a_store_that_answers_with_the_object_does_not_know_it() -> None:
    fake = FakeS3("bucket")
    fake.unknown_names = {"attributes"}
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        with pytest.raises(OperationUnsupportedError, match="does not know GetObjectAttributes"):
            written(fs, b"<html>an object</html>")
        with pytest.raises(OperationUnsupportedError):
            written(fs, b"<GetObjectTaggingResult/>")


def test_an_object_of_no_part_has_no_parts() -> None:
    """As ministack tells of an object that was written whole."""
    told = (
        b"<GetObjectAttributesResponse><ObjectParts><IsTruncated>false</IsTruncated><MaxParts>1000</MaxParts>"
        b"<TotalPartsCount>0</TotalPartsCount></ObjectParts><ObjectSize>3</ObjectSize>"
        b"</GetObjectAttributesResponse>"
    )
    with ScriptedServer(handler=lambda request: respond(200, told)) as server:
        assert "ObjectParts" not in filesystem(server.url).object_attributes(PATH)


def test_refusals_say_what_is_missing() -> None:
    answers = [s3_error(403, "AccessDenied"), s3_error(501, "NotImplemented")]
    with ScriptedServer(handler=lambda request: answers.pop()) as server:
        fs = filesystem(server.url)
        with pytest.raises(OperationUnsupportedError):
            fs.object_attributes(PATH)
        with pytest.raises(AccessDeniedError, match="s3:GetObjectAttributes"):
            fs.object_attributes(PATH)


@pytest.mark.parametrize(
    "body",
    [
        b"<GetObjectAttributesResponse><ObjectSize>many</ObjectSize></GetObjectAttributesResponse>",
        b"<GetObjectAttributesResponse><ObjectSize>1</Obj",
        b"<html>login</html>",
    ],
)
def test_an_answer_that_cannot_be_understood_is_an_error(body: bytes) -> None:
    with ScriptedServer(handler=lambda request: respond(200, body)) as server, pytest.raises(ProtocolError):
        filesystem(server.url, max_attempts=2).object_attributes(PATH)


def test_moto_tells_the_same_as_to_boto3(moto: MotoServer) -> None:
    store = new_store(moto)
    client: Any = boto3.client(
        "s3",
        endpoint_url=moto.url,
        aws_access_key_id=moto.key,
        aws_secret_access_key=moto.secret,
        region_name="us-east-1",
    )
    store.fs.pipe_file(store.path("key"), b"content")
    names: list[Any] = ["ETag", "StorageClass", "ObjectSize"]
    ours = store.fs.object_attributes(store.path("key"), names)
    theirs = client.get_object_attributes(Bucket=store.bucket, Key="key", ObjectAttributes=names)
    assert ours["ETag"].strip('"') == theirs["ETag"].strip('"')
    assert (ours["ObjectSize"], ours["StorageClass"]) == (theirs["ObjectSize"], theirs["StorageClass"])
