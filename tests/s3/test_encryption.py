"""Encryption that a store does not confirm is never taken for encryption."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fsspec_guarded_s3 import EncryptionUnsupportedError, GuardedS3FileSystem
from fsspec_guarded_s3._s3 import encryption
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Reply, Request, ScriptedServer

KEY = bytes(range(32))
ASKED: dict[str, dict[str, Any]] = {
    "SSE-C": {"SSECustomerKey": KEY},
    "SSE-KMS": {"ServerSideEncryption": "aws:kms"},
    "SSE-KMS, a key": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "one"},
    "DSSE-KMS": {"ServerSideEncryption": "aws:kms:dsse"},
}
LARGE = period_free(6 * MIB)
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}


def write(fs: GuardedS3FileSystem, **given: Any) -> None:
    with fs.open("bucket/new", "wb", **given) as file:
        file.write(b"1")


def stream(fs: GuardedS3FileSystem, **given: Any) -> None:
    with fs.open("bucket/new", "xb", **given) as file:
        file.write(LARGE)


Call = Callable[..., Any]
PUTS: dict[str, Call] = {
    "bytes": lambda fs, **given: fs.pipe_file("bucket/new", b"1", **given),
    "create": lambda fs, **given: fs.pipe_file("bucket/new", b"1", mode="create", **given),
    "writer": write,
    "copy": lambda fs, **given: fs.cp_file("bucket/old", "bucket/new", **given),
}
UPLOADS: dict[str, Call] = {
    "bytes": lambda fs, **given: fs.pipe_file("bucket/new", LARGE, **given),
    "writer": stream,
}


@pytest.fixture
def fake() -> FakeS3:
    found = FakeS3("bucket")
    found.encrypts = False
    found.put("bucket", "old", b"old")
    return found


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("call", PUTS)
def test_one_request_that_is_not_confirmed_is_an_error_that_says_what_is_there(
    call: str, asked: str, fake: FakeS3
) -> None:
    with ScriptedServer(handler=fake) as server, pytest.raises(EncryptionUnsupportedError) as caught:
        PUTS[call](filesystem(server.url), **ASKED[asked])
    assert caught.value.maybe_applied and "delete it" in str(caught.value)
    assert sum(request.method == "PUT" for request in server.requests) == 1


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("call", UPLOADS)
def test_an_upload_in_parts_that_is_not_confirmed_sends_nothing(call: str, asked: str, fake: FakeS3) -> None:
    with ScriptedServer(handler=fake) as server, pytest.raises(EncryptionUnsupportedError) as caught:
        UPLOADS[call](filesystem(server.url, **PARTS), **ASKED[asked])
    assert not caught.value.maybe_applied
    assert not fake.uploads and ("bucket", "new") not in fake.objects
    assert not [request for request in server.requests if request.method == "PUT"]


TRIED: dict[str, Call] = {
    "create": lambda fs: fs.put_if_absent("bucket/new", b"1"),
    "swap": lambda fs: fs.pipe_file("bucket/old", b"1", if_match='"an-etag"'),
    "tags": lambda fs: fs.put_tags("bucket/old", {"a": "b"}),
}


@pytest.mark.parametrize("call", TRIED)
def test_what_a_trial_finds_unconfirmed_is_no_object_to_delete(call: str, fake: FakeS3) -> None:
    before = dict(fake.objects)
    with ScriptedServer(handler=fake) as server, pytest.raises(EncryptionUnsupportedError) as caught:
        fs = filesystem(server.url, probe="always", s3_additional_kwargs={"SSECustomerKey": KEY})
        TRIED[call](fs)
    assert fake.objects == before
    assert str(caught.value).startswith("the store did not confirm ")
    assert "of a temporary object: nothing was written" in str(caught.value)
    assert "delete it" not in str(caught.value) and not caught.value.maybe_applied


READS: dict[str, Call] = {
    "cat_file": lambda fs, **given: fs.cat_file("bucket/old", **given),
    "slice": lambda fs, **given: fs.cat_file("bucket/old", 1, 2, **given),
    "open": lambda fs, **given: fs.open("bucket/old", **given).read(),
    "metadata": lambda fs, **given: fs.metadata("bucket/old", **given),
}


@pytest.mark.parametrize("call", READS)
def test_a_read_whose_key_the_store_ignores_is_an_error(call: str, fake: FakeS3) -> None:
    with ScriptedServer(handler=fake) as server, pytest.raises(EncryptionUnsupportedError):
        READS[call](filesystem(server.url), SSECustomerKey=KEY)


@pytest.mark.parametrize("asked", [*ASKED, "SSE-S3"])
@pytest.mark.parametrize("call", [*PUTS, *UPLOADS])
def test_what_is_confirmed_is_written(call: str, asked: str) -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "old", b"old")
    given = ASKED.get(asked, {"ServerSideEncryption": "AES256"})
    with ScriptedServer(handler=fake) as server:
        (PUTS | UPLOADS)[call](filesystem(server.url, **PARTS), **given)
    assert ("bucket", "new") in fake.objects


def test_encryption_by_the_stores_own_key_that_is_not_confirmed_is_a_warning(
    fake: FakeS3, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encryption, "_warned", set())
    with ScriptedServer(handler=fake) as server, caplog.at_level(logging.WARNING):
        fs = filesystem(server.url)
        for _ in range(2):
            fs.pipe_file("bucket/new", b"1", ServerSideEncryption="AES256")
    assert len([record for record in caplog.records if "ServerSideEncryption" in record.message]) == 1
    assert fake.objects["bucket", "new"].body == b"1"


@pytest.mark.parametrize(
    ("told", "is_taken"), [("{0}, {0}", True), ("{0},{0}", True), ("{0}, another", False)]
)
def test_a_key_that_is_confirmed_twice_is_confirmed(told: str, is_taken: bool) -> None:
    """SeaweedFS has the header twice in its answers to GET and HEAD."""
    fake = FakeS3("bucket")
    fake.put("bucket", "old", b"old")
    name = "x-amz-server-side-encryption-customer-key-md5"

    def twice(request: Request, reply: Reply) -> Reply:
        headers = dict(reply.headers)
        if name in request.headers:
            headers[name] = told.format(request.headers[name])
        return replace(reply, headers=headers)

    fake.after = twice
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, s3_additional_kwargs={"SSECustomerKey": KEY})
        for call in READS.values():
            if is_taken:
                call(fs)
            else:
                with pytest.raises(EncryptionUnsupportedError):
                    call(fs)
