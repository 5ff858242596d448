"""Attributes of objects: written, told, kept by copies and changes, on a real server and header by header."""

from __future__ import annotations

import base64
import logging
import pickle
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import fsspec
import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Request, ScriptedServer
from tests.servers import MotoServer

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))
CUSTOMER = "x-amz-server-side-encryption-customer-key"
SOURCE = "x-amz-copy-source-server-side-encryption-customer-key"


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


# --- on a real server ---


@pytest.fixture
def fs(moto: MotoServer) -> GuardedS3FileSystem:
    return GuardedS3FileSystem(
        endpoint_url=moto.url, key="k", secret="s", region="us-east-1", skip_instance_cache=True
    )


@pytest.fixture
def s3(moto: MotoServer) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=moto.url,
        aws_access_key_id="k",
        aws_secret_access_key="s",
        region_name="us-east-1",
    )


@pytest.fixture
def bucket(fs: GuardedS3FileSystem) -> str:
    name = f"properties-{uuid.uuid4().hex}"
    fs.mkdir(name)
    return name


GIVEN: dict[str, Any] = {
    "ContentType": "text/csv",
    "CacheControl": "max-age=5",
    "ContentEncoding": "identity",
    "ContentDisposition": "attachment",
    "ContentLanguage": "de",
    "Metadata": {"owner": "me", "Under_score": "1"},
    "StorageClass": "STANDARD_IA",
    "Tagging": {"a": "1 + 2=3", "b": ""},
}


def assert_given(fs: GuardedS3FileSystem, path: str) -> None:
    info = fs.info(path)
    for name in set(GIVEN) - {"Metadata", "Tagging"}:
        assert info[name] == GIVEN[name], name
    assert info["metadata"] == {"owner": "me", "under_score": "1"}
    assert fs.metadata(path) == {"owner": "me", "under-score": "1"}
    assert fs.get_tags(path) == GIVEN["Tagging"]


def write_with_open(fs: GuardedS3FileSystem, path: str, folder: Path) -> None:
    with fs.open(path, "wb", **GIVEN) as file:
        file.write(b"data")


def write_in_parts(fs: GuardedS3FileSystem, path: str, folder: Path) -> None:
    with fs.open(path, "xb", block_size=5 * MIB, **GIVEN) as file:
        file.write(bytes(70 * MIB))


def write_a_file(fs: GuardedS3FileSystem, path: str, folder: Path) -> None:
    (folder / "f").write_bytes(b"data")
    fs.put(str(folder / "f"), path, **GIVEN)


def write_in_a_transaction(fs: GuardedS3FileSystem, path: str, folder: Path) -> None:
    with fs.transaction:
        fs.pipe_file(path, b"data", **GIVEN)


WRITES = {
    "pipe_file": lambda fs, path, folder: fs.pipe_file(path, b"data", **GIVEN),
    "pipe": lambda fs, path, folder: fs.pipe({path: b"data"}, **GIVEN),
    "create": lambda fs, path, folder: fs.pipe_file(path, b"data", mode="create", **GIVEN),
    "put_if_absent": lambda fs, path, folder: fs.put_if_absent(path, b"data", **GIVEN),
    "touch": lambda fs, path, folder: fs.touch(path, **GIVEN),
    "touch, not truncating": lambda fs, path, folder: fs.touch(path, truncate=False, **GIVEN),
    "open": write_with_open,
    "in parts": write_in_parts,
    "put": write_a_file,
    "transaction": write_in_a_transaction,
}


@pytest.mark.parametrize("way", WRITES)
def test_every_way_to_write_takes_attributes(
    fs: GuardedS3FileSystem, bucket: str, way: str, tmp_path: Path
) -> None:
    WRITES[way](fs, f"{bucket}/key", tmp_path)
    assert_given(fs, f"{bucket}/key")


def append(fs: GuardedS3FileSystem, path: str) -> str:
    with fs.open(path, "ab") as file:
        file.write(b"more")
    return path


def copy(fs: GuardedS3FileSystem, path: str, **given: Any) -> str:
    fs.cp_file(path, path + "-copy", **given)
    return path + "-copy"


def move(fs: GuardedS3FileSystem, path: str) -> str:
    fs.mv(path, path + "-moved")
    return path + "-moved"


def update(fs: GuardedS3FileSystem, path: str) -> str:
    fs.update(path, lambda old: old + b"more")
    return path


CHANGES = {"append": append, "copy": copy, "move": move, "update": update}


@pytest.mark.parametrize("way", CHANGES)
def test_attributes_are_kept(fs: GuardedS3FileSystem, bucket: str, way: str) -> None:
    fs.pipe_file(f"{bucket}/key", b"data", **GIVEN)
    assert_given(fs, CHANGES[way](fs, f"{bucket}/key"))


def test_the_content_type_is_guessed_where_none_is_given(fs: GuardedS3FileSystem, bucket: str) -> None:
    fs.pipe({f"{bucket}/a.json": b"{}", f"{bucket}/a": b""})
    assert fs.info(f"{bucket}/a.json")["ContentType"] == "application/json"
    assert fs.info(f"{bucket}/a")["ContentType"] == "application/octet-stream"


def test_a_copy_takes_attributes_of_its_own_and_keeps_the_rest(fs: GuardedS3FileSystem, bucket: str) -> None:
    fs.pipe_file(f"{bucket}/key", b"data", **GIVEN)
    copied = copy(fs, f"{bucket}/key", ContentType="text/plain", Metadata={"x": "y"}, Tagging="z=1")
    info = fs.info(copied)
    assert (info["ContentType"], info["metadata"]) == ("text/plain", {"x": "y"})
    assert (info["CacheControl"], info["StorageClass"]) == ("max-age=5", "STANDARD_IA")
    assert fs.get_tags(copied) == {"z": "1"}


def test_a_copy_that_replaces_the_metadata_keeps_none_of_it(fs: GuardedS3FileSystem, bucket: str) -> None:
    fs.pipe_file(f"{bucket}/key", b"data", **GIVEN)
    info = fs.info(copy(fs, f"{bucket}/key", MetadataDirective="REPLACE", ContentLanguage="fr"))
    assert (info["metadata"], info["ContentLanguage"]) == ({}, "fr")
    assert "CacheControl" not in info
    assert info["StorageClass"] == "STANDARD_IA"


def test_an_object_is_copied_onto_itself_to_change_its_storage_class(
    fs: GuardedS3FileSystem, bucket: str
) -> None:
    path = f"{bucket}/key"
    fs.pipe_file(path, b"data", Metadata={"a": "b"})
    fs.cp_file(path, path, StorageClass="GLACIER_IR")
    info = fs.info(path)
    assert (info["StorageClass"], info["metadata"]) == ("GLACIER_IR", {"a": "b"})


def test_attributes_of_the_filesystem_are_those_of_what_is_written(
    moto: MotoServer, fs: GuardedS3FileSystem, bucket: str
) -> None:
    """A call goes before them, and so does the content of what is copied; not its storage class."""
    extra = {"ServerSideEncryption": "AES256", "StorageClass": "STANDARD_IA", "CacheControl": "no-cache"}
    ours = GuardedS3FileSystem(
        endpoint_url=moto.url, key="k", secret="s", s3_additional_kwargs=extra, skip_instance_cache=True
    )
    fs.pipe_file(f"{bucket}/before", b"1", CacheControl="max-age=1")
    ours.pipe_file(f"{bucket}/new", b"1")
    ours.pipe_file(f"{bucket}/call", b"1", CacheControl="max-age=2")
    ours.cp_file(f"{bucket}/before", f"{bucket}/copy")
    rows = {name: fs.info(f"{bucket}/{name}") for name in ("new", "call", "copy")}
    assert {row["StorageClass"] for row in rows.values()} == {"STANDARD_IA"}
    assert {row["ServerSideEncryption"] for row in rows.values()} == {"AES256"}
    assert [rows[name]["CacheControl"] for name in rows] == ["no-cache", "max-age=2", "max-age=1"]


def test_attributes_of_s3fs_by_url(moto: MotoServer, fs: GuardedS3FileSystem, bucket: str) -> None:
    options = {"endpoint_url": moto.url, "key": "k", "secret": "s"}
    with fsspec.open(
        f"gs3://{bucket}/k", "w", s3_additional_kwargs={"ContentType": "a/b"}, **options
    ) as file:
        file.write("x")
    assert fs.info(f"{bucket}/k")["ContentType"] == "a/b"


def test_setxattr_changes_what_it_names_and_nothing_else(fs: GuardedS3FileSystem, bucket: str) -> None:
    path = f"{bucket}/key"
    fs.pipe_file(path, b"data", **GIVEN)
    fs.setxattr(path, copy_kwargs={"ContentType": "text/html"}, under_score="2", New="3", owner=None)
    info = fs.info(path)
    assert info["metadata"] == {"under-score": "2", "new": "3"}
    assert (info["ContentType"], info["CacheControl"]) == ("text/html", "max-age=5")
    assert (info["StorageClass"], fs.get_tags(path)) == ("STANDARD_IA", GIVEN["Tagging"])
    assert (fs.getxattr(path, "new"), fs.getxattr(path, "under_score")) == ("3", "2")
    assert fs.getxattr(path, "owner") is None
    assert fs.cat_file(path) == b"data"


def test_setxattr_of_what_is_so_already_sends_nothing(fs: GuardedS3FileSystem, bucket: str) -> None:
    path = f"{bucket}/key"
    fs.pipe_file(path, b"data", Metadata={"a": "1"})
    before = fs.modified(path), fs.info(path)
    fs.setxattr(path, a="1", b=None)
    assert (fs.modified(path), fs.info(path)) == before


def test_the_write_token_is_no_metadata_of_the_user(fs: GuardedS3FileSystem, s3: Any, bucket: str) -> None:
    path = f"{bucket}/key"
    fs.pipe_file(path, b"data", mode="create", Metadata={"a": "1"})
    assert set(s3.head_object(Bucket=bucket, Key="key")["Metadata"]) == {"a", "gs3-write-token"}
    assert fs.metadata(path) == fs.info(path)["metadata"] == {"a": "1"}
    assert "gs3-write-token" not in s3.head_object(Bucket=bucket, Key=copy(fs, path)[-8:])["Metadata"]


def test_tags_are_put_merged_and_emptied(fs: GuardedS3FileSystem, s3: Any, bucket: str) -> None:
    path = f"{bucket}/key"
    fs.pipe_file(path, b"data")
    fs.put_tags(path, {"a": "1", "b": "x/y@z 1"})
    fs.put_tags(path, {"a": "2", "c": ""}, mode="m")
    assert fs.get_tags(path) == {"a": "2", "b": "x/y@z 1", "c": ""}
    assert len(s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"]) == 3
    fs.put_tags(path, {"d": "4"})
    assert fs.get_tags(path) == {"d": "4"}
    assert fs.info(path)["TagCount"] == 1
    fs.put_tags(path, {})
    assert fs.get_tags(path) == {}


def grants(s3: Any, bucket: str, key: str = "") -> set[str]:
    answer = s3.get_object_acl(Bucket=bucket, Key=key) if key else s3.get_bucket_acl(Bucket=bucket)
    return {grant["Permission"] for grant in answer["Grants"] if "URI" in grant["Grantee"]}


def test_chmod_of_an_object_a_tree_and_a_bucket(fs: GuardedS3FileSystem, s3: Any, bucket: str) -> None:
    fs.pipe({f"{bucket}/key": b"", f"{bucket}/d/a": b"", f"{bucket}/d/b": b""})
    assert grants(s3, bucket, "key") == grants(s3, bucket) == set()
    fs.chmod(f"{bucket}/key", "public-read")
    fs.chmod(f"{bucket}/d", acl="public-read", recursive=True)
    fs.chmod(bucket, "public-read")
    assert grants(s3, bucket, "key") == grants(s3, bucket) == {"READ"}
    assert grants(s3, bucket, "d/a") == grants(s3, bucket, "d/b") == {"READ"}


def test_a_write_takes_a_canned_acl(fs: GuardedS3FileSystem, s3: Any, bucket: str) -> None:
    fs.pipe_file(f"{bucket}/a", b"", ACL="public-read")
    with fs.open(f"{bucket}/b", "wb", acl="public-read"):
        pass
    assert grants(s3, bucket, "a") == grants(s3, bucket, "b") == {"READ"}


def test_object_lock_is_written_and_told(fs: GuardedS3FileSystem, s3: Any) -> None:
    bucket = f"locked-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    until = "2099-01-01T00:00:00Z"
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    fs.pipe_file(f"{bucket}/key", b"", ObjectLockLegalHoldStatus="ON", **lock)
    info = fs.info(f"{bucket}/key")
    assert (info["ObjectLockMode"], info["ObjectLockLegalHoldStatus"]) == ("GOVERNANCE", "ON")
    assert info["ObjectLockRetainUntilDate"].startswith("2099-01-01T00:00:00")


# --- header by header ---


@pytest.fixture
def fake() -> FakeS3:
    return FakeS3("bucket")


@pytest.fixture
def server(fake: FakeS3) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=fake) as running:
        yield running


def is_keyed(request: Request) -> bool:
    """Whether S3 wants the customer's key with it."""
    return request.method != "DELETE" and "list-type" not in request.query and "delete" not in request.query


def test_a_customers_key_goes_with_every_request_about_bytes_and_no_other(
    server: ScriptedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    extra = {"SSECustomerKey": KEY}
    small = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB, "range_size": 4 * MIB}
    fs = filesystem(server.url, s3_additional_kwargs=extra, **small)
    data = period_free(6 * MIB)
    fs.pipe_file("bucket/small", b"data", mode="create")
    fs.pipe_file("bucket/large", data)
    append(fs, "bucket/large")
    with fs.open("bucket/large", block_size=1000) as file:
        assert pickle.loads(pickle.dumps(file)).read(10) == data[:10]
    assert fs.cat_file("bucket/large", 5, 9) == data[5:9]
    fs.get_file("bucket/large", tmp_path / "large")
    fs.setxattr("bucket/small", a="1")
    update(fs, move(fs, "bucket/small"))
    keyed = [request for request in server.requests if is_keyed(request)]
    assert {request.method for request in keyed} == {"GET", "HEAD", "PUT", "POST"}
    assert {request.headers.get(CUSTOMER) for request in keyed} == {text(KEY)}
    others = [request for request in server.requests if not is_keyed(request)]
    assert others and not [request for request in others if CUSTOMER in request.headers]
    copies = [request for request in keyed if "x-amz-copy-source" in request.headers]
    assert {request.headers.get(SOURCE) for request in copies} == {text(KEY)}
    assert text(KEY) not in caplog.text
    assert text(KEY) not in fs.to_json(include_password=False) + repr(fs) + repr(fs._client.options)


def test_one_object_may_have_a_key_of_its_own(server: ScriptedServer, fake: FakeS3) -> None:
    """Written, read, read after a pickle, copied to another key, and copied to none."""
    fs = filesystem(server.url)
    with fs.open("bucket/key", "xb", SSECustomerKey=KEY) as file:
        file.write(b"data")
    with fs.open("bucket/key", SSECustomerKey=KEY) as reader:
        assert pickle.loads(pickle.dumps(reader)).read() == b"data"
    assert fs.cat_file("bucket/key", SSECustomerKey=KEY) == b"data"
    assert fs.cat_ranges(["bucket/key"], 1, 3, SSECustomerKey=KEY) == [b"at"]
    to_object = [request for request in server.requests[1:] if request.target.startswith("/bucket/key")]
    assert {request.headers.get(CUSTOMER) for request in to_object} == {text(KEY)}
    before = len(server.requests)
    fs.cp_file("bucket/key", "bucket/other", CopySourceSSECustomerKey=KEY, SSECustomerKey=OTHER)
    head, put = server.requests[before:]
    assert (head.headers[CUSTOMER], put.headers[CUSTOMER]) == (text(KEY), text(OTHER))
    assert put.headers[SOURCE] == text(KEY)
    fs.cp_file("bucket/key", "bucket/plain", CopySourceSSECustomerKey=KEY, ServerSideEncryption="AES256")
    put = server.requests[-1]
    assert CUSTOMER not in put.headers and put.headers["x-amz-server-side-encryption"] == "AES256"
    fs.cat_file("bucket/plain")
    assert CUSTOMER not in server.requests[-1].headers


def test_a_customers_key_never_leaves_this_machine_over_plain_http() -> None:
    fs = filesystem("http://s3.invalid", allow_http=True, s3_additional_kwargs={"SSECustomerKey": KEY})
    with pytest.raises(
        ValueError, match=r"readable on the way to bucket\.s3\.invalid|way to s3\.invalid: use https"
    ):
        fs.cat_file("bucket/key")


KMS = {
    "x-amz-server-side-encryption": "aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id": "arn:key",
    "x-amz-server-side-encryption-bucket-key-enabled": "true",
}


def put_encrypted(fake: FakeS3) -> None:
    stored = fake.put("bucket", "key", b"data")
    fake.objects["bucket", "key"] = replace(stored, headers={**stored.headers, **KMS})


@pytest.mark.parametrize("way", CHANGES)
def test_the_kms_key_that_an_object_has_is_kept(server: ScriptedServer, fake: FakeS3, way: str) -> None:
    put_encrypted(fake)
    CHANGES[way](filesystem(server.url), "bucket/key")
    written = [request for request in server.requests if request.method == "PUT"]
    assert len(written) == 1
    assert {name: written[0].headers.get(name) for name in KMS} == KMS


def test_another_encryption_replaces_the_one_that_an_object_has(server: ScriptedServer, fake: FakeS3) -> None:
    put_encrypted(fake)
    copy(filesystem(server.url), "bucket/key", ServerSideEncryption="AES256")
    sent = {name: value for name, value in server.requests[-1].headers.items() if "encryption" in name}
    assert sent == {"x-amz-server-side-encryption": "AES256"}


def test_setxattr_is_pinned_to_the_version_that_it_saw(server: ScriptedServer, fake: FakeS3) -> None:
    fake.put("bucket", "key", b"data")
    fs = filesystem(server.url)
    fs.setxattr("bucket/key", a="1")
    _, put = server.requests
    etag = fake.objects["bucket", "key"].etag
    assert (put.headers["if-match"], put.headers["x-amz-copy-source-if-match"]) == (etag, etag)
    assert put.headers["x-amz-metadata-directive"] == "REPLACE"


def test_requester_pays_is_said_with_every_request_that_takes_it(
    server: ScriptedServer, fake: FakeS3
) -> None:
    fs = filesystem(server.url, requester_pays=True, part_size=5 * MIB, multipart_threshold=5 * MIB)
    fs.pipe_file("bucket/key", period_free(6 * MIB))
    fs.cat_file("bucket/key")
    fs.find("bucket")
    fs.rm("bucket/key")
    assert len(server.requests) > 6
    assert {request.headers.get("x-amz-request-payer") for request in server.requests} == {"requester"}
    assert "x-amz-request-payer=requester" in fs.sign("bucket/key")


def test_a_filesystem_without_attributes_sends_none(server: ScriptedServer) -> None:
    fs = filesystem(server.url)
    fs.pipe_file("bucket/key", b"data")
    fs.cat_file("bucket/key")
    names = {name for request in server.requests for name in request.headers}
    assert not [name for name in names if "encryption" in name or "payer" in name or "acl" in name]


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "pipe_file": (lambda fs: fs.pipe_file("bucket/k", b"", ContentTyp="x"), TypeError, "ContentType?"),
    "chunksize": (lambda fs: fs.pipe_file("bucket/k", b"", chunksize=1), ValueError, "chunksize of a write"),
    "put_file": (lambda fs: fs.put_file(__file__, "bucket/k", Metdata={}), TypeError, "Metadata?"),
    "cp_file": (lambda fs: fs.cp_file("bucket/k", "bucket/l", Storageclass="x"), TypeError, "StorageClass?"),
    "copy": (lambda fs: fs.copy("bucket/k", "bucket/l", preserve_etag=True), TypeError, "preserve_etag"),
    "mv": (lambda fs: fs.mv("bucket/k", "bucket/l", Tags={}), TypeError, "does not take Tags"),
    "touch": (lambda fs: fs.touch("bucket/k", data=b"x"), TypeError, "touch does not take data"),
    "open w": (lambda fs: fs.open("bucket/k", "wb", ContentTyp="x"), TypeError, "open does not take"),
    "open acl": (lambda fs: fs.open("bucket/k", "wb", acl="public"), ValueError, "ACL must be one of"),
    "open r": (lambda fs: fs.open("bucket/k", "rb", ContentType="x"), TypeError, "that is for writing"),
    "cat_file": (lambda fs: fs.cat_file("bucket/k", SSECustomerKy=b""), TypeError, "SSECustomerKey?"),
    "setxattr": (lambda fs: fs.setxattr("bucket/k", a=1), TypeError, "Metadata['a'] must be str, not int"),
    "setxattr kw": (lambda fs: fs.setxattr("bucket/k", {"ACL": "x"}), ValueError, "ACL must be one of"),
    "setxattr meta": (lambda fs: fs.setxattr("bucket/k", {"Metadata": {}}), TypeError, "as keywords"),
    "tags": (lambda fs: fs.put_tags("bucket/k", {"a": 1}), TypeError, "tags must be a dict of str"),
    "tags mode": (lambda fs: fs.put_tags("bucket/k", {}, mode="x"), ValueError, "mode must be 'o'"),
    "chmod": (lambda fs: fs.chmod("bucket/k", "0644"), ValueError, "acl must be one of private"),
    "chmod nothing": (
        lambda fs: fs.chmod("bucket/none", "private", recursive=True),
        FileNotFoundError,
        "nothing below bucket/none",
    ),
    "open block_size": (lambda fs: fs.open("bucket/k", block_size="5MB"), TypeError, "must be int, not str"),
    "open block_size -5": (lambda fs: fs.open("bucket/k", block_size=-5), ValueError, "at least 1 byte"),
    "head": (lambda fs: fs.head("bucket/k", -1), ValueError, "size must be at least 0"),
    "truncate": (lambda fs: fs.touch("bucket/k", truncate="no"), TypeError, "truncate must be bool"),
    "text": (lambda fs: fs.pipe_file("bucket/k", "text"), TypeError, "value must be bytes-like, not str"),
    "chmod bucket": (lambda fs: fs.chmod("bucket", "bucket-owner-read"), ValueError, "acl must be one of"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_s3fs_would_drop_is_refused_and_changes_nothing(
    server: ScriptedServer, fake: FakeS3, name: str
) -> None:
    fake.put("bucket", "k", b"data")
    call, kind, words = BAD[name]
    with pytest.raises(kind) as caught:
        call(filesystem(server.url))
    assert words in str(caught.value)
    assert {request.method for request in server.requests} <= {"HEAD", "GET"}
    assert fake.objects["bucket", "k"].body == b"data" and len(fake.objects) == 1


def test_a_rivals_version_is_not_given_attributes(fake: FakeS3) -> None:
    fake.put("bucket", "key", b"data")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_attempts=1)
        head = fs._client.reads.head_object

        def then_a_rival(path: Any) -> Any:
            info = head(path)
            fake.put("bucket", "key", b"rival")
            return info

        fs._client.reads.head_object = then_a_rival  # type: ignore[method-assign]
        with pytest.raises(ObjectChangedError):
            fs.setxattr("bucket/key", a="1")
    assert "x-amz-meta-a" not in fake.objects["bucket", "key"].headers
