"""Headers that a store does not implement are left out and remembered; what was asked for is not."""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3.errors import ConfigurationError
from tests.data import period_free
from tests.fake_s3 import CRC32, FakeS3, S3Error
from tests.opening import MIB, filesystem
from tests.scripted_server import Request, ScriptedServer

PATH = "bucket/key"
SMALL, LARGE = b"small", period_free(11 * MIB)
NOT_IMPLEMENTED = S3Error(501, "NotImplemented", "A header you provided implies functionality")
NAMED = S3Error(
    400, "InvalidArgument", f"Unsupported header '{CRC32}' received for this API call."
)  # as Backblaze B2 says it
OPTIONAL = [
    "x-amz-mp-object-size",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-type",
    "x-amz-checksum-mode",
    "x-amz-sdk-checksum-algorithm",
    CRC32,
]
Verb = Callable[[GuardedS3FileSystem, str, Path], object]


def small(fs: GuardedS3FileSystem, path: str, local: Path) -> object:
    return fs.pipe_file(path, SMALL)


def empty(fs: GuardedS3FileSystem, path: str, local: Path) -> object:
    return fs.touch(path)


def large(fs: GuardedS3FileSystem, path: str, local: Path) -> object:
    return fs.pipe_file(path, LARGE)


def writer(fs: GuardedS3FileSystem, path: str, local: Path) -> object:
    with fs.open(path, "wb") as file:
        file.write(LARGE)
    return file


def create(fs: GuardedS3FileSystem, path: str, local: Path) -> object:
    return fs.pipe_file(path, LARGE, mode="create")


def upload(fs: GuardedS3FileSystem, path: str, local: Path) -> object:
    (local / "file").write_bytes(LARGE)
    return fs.put_file(str(local / "file"), path)


def small_upload(fs: GuardedS3FileSystem, path: str, local: Path) -> object:
    (local / "file").write_bytes(SMALL)
    return fs.put_file(str(local / "file"), path)


WRITES = [small, empty, large, writer, create, upload, small_upload]
CONTENT = {small: SMALL, small_upload: SMALL, empty: b""}


@contextlib.contextmanager
def store(fake: FakeS3, **options: Any) -> Iterator[tuple[ScriptedServer, GuardedS3FileSystem]]:
    given = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB, **options}
    with ScriptedServer(handler=fake) as server:
        yield server, filesystem(server.url, **given)


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("header", [*OPTIONAL, "all"])
def test_a_write_goes_on_without_what_is_not_implemented(header: str, verb: Verb, tmp_path: Path) -> None:
    """501 that names nothing, as of S3Proxy: found out once, remembered by all filesystems."""
    fake = FakeS3("bucket")
    fake.unknown_headers = dict.fromkeys(OPTIONAL if header == "all" else [header], NOT_IMPLEMENTED)
    with store(fake) as (server, fs):
        verb(fs, PATH, tmp_path)
        assert fake.objects["bucket", "key"].body == CONTENT.get(verb, LARGE)
        assert fs.cat_file(PATH) == CONTENT.get(verb, LARGE)
        seen = len(server.requests)
        verb(filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB), "bucket/b", tmp_path)
        again = server.requests[seen:]
        assert not any(name in request.headers for request in again for name in fake.unknown_headers)
    assert not fake.uploads


@pytest.mark.parametrize("verb", [small, empty, upload, writer])
def test_a_body_whose_crc_is_refused_by_name_is_checked_by_its_md5(verb: Verb, tmp_path: Path) -> None:
    fake = FakeS3("bucket")
    fake.unknown_headers = {CRC32: NAMED}
    with store(fake) as (server, fs):
        verb(fs, PATH, tmp_path)
        verb(fs, "bucket/b", tmp_path)
        assert fake.objects["bucket", "key"].body == CONTENT.get(verb, LARGE)
        assert all("content-md5" in request.headers for request in bodies(server) if taken(request))
        assert sum(not taken(request) for request in bodies(server)) <= 4  # of parts side by side


def bodies(server: ScriptedServer) -> list[Request]:
    return [request for request in server.requests if request.method == "PUT"]


def taken(request: Request) -> bool:
    return CRC32 not in request.headers


@pytest.mark.parametrize("code", ["InvalidRequest", "InvalidArgument", "BadDigest"])
@pytest.mark.parametrize("header", ["x-amz-mp-object-size", CRC32])
def test_what_complete_compares_is_not_left_out_because_it_does_not_fit(code: str, header: str) -> None:
    """Else the comparison would never refuse anything."""
    fake = FakeS3("bucket")

    def refuse(request: Request, fake: FakeS3) -> Any:
        if request.method == "POST" and header in request.headers:
            return S3Error(400, code, f"The value of {header} does not match").reply
        return None

    fake.fault = refuse
    with store(fake) as (_, fs), pytest.raises(OSError, match="does not match"):
        fs.pipe_file(PATH, LARGE)
    assert not fake.objects
    assert not fake.uploads


@pytest.mark.parametrize(
    ("header", "attributes"),
    [
        ("x-amz-tagging", {"Tagging": {"a": "b"}}),
        ("x-amz-acl", {"ACL": "public-read"}),
        ("x-amz-storage-class", {"StorageClass": "STANDARD_IA"}),
        ("x-amz-server-side-encryption", {"ServerSideEncryption": "AES256"}),
        ("x-amz-checksum-crc32", {"ChecksumAlgorithm": "CRC32"}),
    ],
)
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_what_the_user_asked_for_is_never_left_out(
    header: str, attributes: dict[str, Any], data: bytes
) -> None:
    fake = FakeS3("bucket")
    fake.unknown_headers = {header: NOT_IMPLEMENTED}
    with store(fake) as (_, fs), pytest.raises(OSError, match="NotImplemented"):
        fs.pipe_file(PATH, data, **attributes)
    assert not fake.objects
    assert not fake.uploads


def test_a_header_is_not_left_out_for_a_refusal_that_has_another_reason() -> None:
    fake = FakeS3("bucket")
    refused = True

    def fault(request: Request, fake: FakeS3) -> Any:
        return S3Error(501, "NotImplemented").reply if refused and request.method == "PUT" else None

    fake.fault = fault
    with store(fake) as (server, fs):
        with pytest.raises(OSError, match="NotImplemented"):
            fs.pipe_file(PATH, SMALL)
        refused = False
        fs.pipe_file(PATH, SMALL)
        assert CRC32 in server.requests[-1].headers


# --- request_checksum_calculation ---


@pytest.mark.parametrize("how", ["option", "s3fs", "environment", "profile"])
@pytest.mark.parametrize("verb", [small, empty, large, writer, upload])
def test_when_required_sends_and_wants_no_checksum_but_md5(
    how: str, verb: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {}
    names = ("request_checksum_calculation", "response_checksum_validation")
    if how == "option":
        options = {"request_checksum_calculation": "when_required", "verify_checksums": False}
    elif how == "s3fs":
        options = {"config_kwargs": dict.fromkeys(names, "when_required")}
    elif how == "environment":
        for name in names:
            monkeypatch.setenv(f"AWS_{name.upper()}", "when_required")
    else:
        lines = ["[default]", *(f"{name} = when_required" for name in names)]
        (tmp_path / "config").write_text("\n".join(lines))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    fake = FakeS3("bucket")
    with store(fake, **options) as (server, fs):
        verb(fs, PATH, tmp_path)
        assert fs.cat_file(PATH) == CONTENT.get(verb, LARGE)
        sent = {name for request in server.requests for name in request.headers if "checksum" in name}
        assert sent == set()
        assert all("content-md5" in request.headers for request in bodies(server))


def test_options_go_before_the_settings_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
    given = {"request_checksum_calculation": "when_supported", "verify_checksums": True}
    with store(FakeS3("bucket"), **given) as (server, fs):
        fs.pipe_file(PATH, SMALL)
        fs.cat_file(PATH)
        assert CRC32 in server.requests[0].headers
        assert "x-amz-checksum-mode" in server.requests[1].headers


@pytest.mark.parametrize("name", ["REQUEST_CHECKSUM_CALCULATION", "RESPONSE_CHECKSUM_VALIDATION"])
def test_a_setting_that_is_none_is_a_configuration_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, f"AWS_{name}", "sometimes")
    with store(FakeS3("bucket")) as (_, fs), pytest.raises(ConfigurationError, match=f"AWS_{name}"):
        fs.pipe_file(PATH, SMALL)
        fs.cat_file(PATH)


def test_an_unknown_value_of_the_option_is_refused() -> None:
    with pytest.raises(ValueError, match="request_checksum_calculation must be when_supported or"):
        filesystem("http://127.0.0.1:1", request_checksum_calculation="never")


# --- Object Lock ---


@pytest.fixture
def locked(moto: Any) -> tuple[Any, str]:
    """A bucket whose objects are kept for a day, and which takes none without a checksum."""
    keys = {"aws_access_key_id": moto.key, "aws_secret_access_key": moto.secret}
    s3 = boto3.client("s3", endpoint_url=moto.url, region_name="us-east-1", **keys)
    bucket = f"locked-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": retention}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)
    return s3, bucket


def copy(fs: GuardedS3FileSystem, path: str, local: Path) -> object:
    fs.pipe_file(f"{path}-source", SMALL)
    return fs.cp_file(f"{path}-source", path)


def attributes(fs: GuardedS3FileSystem, path: str, local: Path) -> object:
    fs.pipe_file(path, SMALL)
    return fs.setxattr(path, colour="blue")


def once(fs: GuardedS3FileSystem, path: str, local: Path) -> object:
    return fs.put_if_absent(path, SMALL)


def update(fs: GuardedS3FileSystem, path: str, local: Path) -> object:
    fs.pipe_file(path, b"sm")
    return fs.update(path, lambda old: old + b"all")


def append(fs: GuardedS3FileSystem, path: str, local: Path) -> object:
    fs.pipe_file(path, b"sm")
    with fs.open(path, "ab") as file:
        file.write(b"all")
    return file


@pytest.mark.parametrize("checksums", ["when_supported", "when_required"])
@pytest.mark.parametrize("verb", [*WRITES, copy, attributes, once, update, append])
def test_buckets_with_a_default_retention_take_every_write(
    moto: Any, locked: tuple[Any, str], verb: Verb, checksums: str, tmp_path: Path
) -> None:
    _, bucket = locked
    fs = filesystem(
        moto.url,
        key=moto.key,
        secret=moto.secret,
        probe="auto",
        part_size=5 * MIB,
        multipart_threshold=5 * MIB,
        request_checksum_calculation=checksums,
    )
    path = f"{bucket}/key"
    verb(fs, path, tmp_path)
    wanted = CONTENT.get(verb, LARGE if verb in WRITES else SMALL)
    assert fs.cat_file(path) == wanted
    assert [name for name in fs.find(bucket) if "gs3-probe" in name] == []
