"""Buckets: created by mkdir alone, where and how it was asked for, and removed when they are empty."""

import contextlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from fsspec_guarded_s3 import BucketExistsError, DirectoryNotEmptyError, ObjectNotFoundError
from tests.opening import filesystem
from tests.scripted_server import Reply, ScriptedServer, Step, expects, respond, s3_error
from tests.servers import MotoServer

MISSING = respond(404)
CREATED = respond(200)


def fresh() -> str:
    return f"buckets-{uuid.uuid4().hex}"


@pytest.mark.parametrize("is_made", [True, False])
def test_the_region_of_a_bucket_is_kept_if_it_was_created_there(is_made: bool) -> None:
    """A refusal says nothing of where the bucket is, and a later one does not unsettle what is known."""
    answers = [MISSING, CREATED if is_made else s3_error(409, "BucketAlreadyExists")]
    regions = []

    def answer(request: Any) -> Reply:
        regions.append(request.headers["authorization"].split("/")[2])
        return answers.pop(0) if answers else s3_error(403, "SignatureDoesNotMatch")

    with ScriptedServer(handler=answer) as server:
        fs = filesystem(server.url)
        with contextlib.nullcontext() if is_made else pytest.raises(OSError):
            fs.mkdir("bucket", region_name="eu-west-1")
        for _ in range(2):
            with pytest.raises(PermissionError):
                fs.cat_file("bucket/key")
    assert regions[2:] == ["eu-west-1" if is_made else "us-east-1"] * 2


def test_mkdir_creates_where_and_how_it_is_asked_for() -> None:
    """Asked for first, since AWS resets the ACL of a bucket of ours in us-east-1. Signed for that region."""
    region = b"<LocationConstraint>eu-west-1</LocationConstraint>"

    def in_region(request: Any) -> None:
        assert (request.method, request.path) == ("PUT", "/bucket")
        assert region in request.body
        assert "/eu-west-1/s3/" in request.headers["authorization"]

    steps = [
        Step(MISSING, expects("HEAD", "/bucket")),
        Step(CREATED, in_region),
        Step(MISSING),
        Step(CREATED, expects("PUT", "/plain", absent=["x-amz-acl"], body=b"")),
        Step(MISSING),
        Step(CREATED, expects("PUT", "/shown", headers={"x-amz-acl": "public-read"})),
    ]
    with ScriptedServer(steps) as server:
        fs = filesystem(server.url)
        fs.mkdir("bucket", region_name="eu-west-1")
        fs.mkdir("plain")
        fs.mkdir("shown", acl="public-read")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"acl": "public"}, ValueError),
        ({"region_name": "evil.test/"}, ValueError),
        ({"regoin_name": "eu-west-1"}, TypeError),
    ],
)
def test_mkdir_refuses_what_it_cannot_do(options: dict[str, Any], error: type[Exception]) -> None:
    """Nothing is created, in no other region and with no other ACL than was asked for."""
    with ScriptedServer(handler=lambda request: MISSING) as server:
        with pytest.raises(error):
            filesystem(server.url).mkdir("bucket", **options)
        assert {request.method for request in server.requests} <= {"HEAD"}


@pytest.mark.parametrize("answer", [respond(200), s3_error(403, "AccessDenied")])
def test_mkdir_of_a_bucket_that_is_there_is_an_error(answer: Reply) -> None:
    """Ours is not touched; of another's CreateBucket tells, and a listing why HEAD was refused."""

    def handler(request: Any) -> Reply:
        return answer if request.method == "HEAD" else s3_error(409, "BucketAlreadyExists")

    with ScriptedServer(handler=handler) as server:
        with pytest.raises(BucketExistsError):
            filesystem(server.url).mkdir("bucket")
        methods = [request.method for request in server.requests]
    assert methods == (["HEAD"] if answer.status == 200 else ["HEAD", "GET", "PUT"])


def writes(fs: Any, bucket: str, local: Path) -> dict[str, Callable[[], object]]:
    return {
        "pipe_file": lambda: fs.pipe_file(f"{bucket}/key", b"content"),
        "open": lambda: fs.open(f"{bucket}/key", "wb").close(),
        "put": lambda: fs.put(str(local), f"{bucket}/key"),
        "makedirs": lambda: fs.makedirs(f"{bucket}/a/b"),
        "mkdir": lambda: fs.mkdir(f"{bucket}/a/b"),
        "makedirs of the bucket": lambda: fs.makedirs(bucket, exist_ok=True),
    }


@pytest.mark.parametrize("verb", ["pipe_file", "open", "put", "makedirs", "mkdir", "makedirs of the bucket"])
def test_no_other_verb_creates_a_bucket(moto: MotoServer, tmp_path: Path, verb: str) -> None:
    fs = filesystem(moto.url)
    (tmp_path / "file").write_bytes(b"content")
    bucket = fresh()
    try:
        writes(fs, bucket, tmp_path / "file")[verb]()
    except ObjectNotFoundError as error:
        assert error.code == "NoSuchBucket"
    assert not fs.exists(bucket)


@pytest.mark.parametrize("verb", ["makedirs", "mkdir", "makedirs of the bucket"])
def test_create_buckets_is_s3fs_way(moto: MotoServer, tmp_path: Path, verb: str) -> None:
    fs = filesystem(moto.url, create_buckets=True)
    bucket = fresh()
    create = writes(fs, bucket, tmp_path)[verb]
    create()
    create()  # it is there now
    assert fs.isdir(bucket)
    with pytest.raises(FileExistsError):
        fs.makedirs(bucket)


def test_create_buckets_is_for_fsspec_open_too(moto: MotoServer) -> None:
    """Which makes the directories of what it writes."""
    bucket = fresh()
    options = {"key": "k", "secret": "s", "endpoint_url": moto.url, "create_buckets": True}
    with fsspec.open(f"gs3://{bucket}/a/b", "wb", **options) as file:
        file.write(b"content")
    fs = filesystem(moto.url, create_buckets=True)
    assert fs.cat_file(f"{bucket}/a/b") == b"content"


def test_a_directory_without_its_parents_needs_the_bucket(moto: MotoServer) -> None:
    """With `create_buckets`, since without it nothing below a bucket is ever looked for."""
    fs, bucket = filesystem(moto.url, create_buckets=True), fresh()
    with pytest.raises(FileNotFoundError):
        fs.mkdir(f"{bucket}/a", create_parents=False)
    assert not fs.exists(bucket)
    fs.mkdir(bucket, create_parents=False)
    fs.mkdir(f"{bucket}/a", create_parents=False)
    assert fs.ls(bucket) == []
    filesystem(moto.url).mkdir(f"{fresh()}/a", create_parents=False)


def test_buckets_come_page_by_page() -> None:
    def page(name: str, more: str) -> bytes:
        return (
            f"<ListAllMyBucketsResult><Buckets><Bucket><Name>{name}</Name>"
            f"<CreationDate>2026-01-02T03:04:05Z</CreationDate></Bucket></Buckets>{more}"
            "</ListAllMyBucketsResult>"
        ).encode()

    more = "<ContinuationToken>a+b</ContinuationToken>"
    steps = [
        Step(respond(200, page("one-bucket", more)), expects("GET", "/")),
        Step(respond(200, page("two-bucket", "")), expects("GET", "/", query={"continuation-token": "a+b"})),
    ]
    with ScriptedServer(steps) as server:
        rows = filesystem(server.url).ls("", detail=True)
    assert [(row["name"], row["type"]) for row in rows] == [
        ("one-bucket", "directory"),
        ("two-bucket", "directory"),
    ]
    assert rows[0]["CreationDate"].year == 2026


def test_the_region_of_a_bucket_is_found_wherever_it_is(moto: MotoServer) -> None:
    fs = filesystem(moto.url)
    bucket = fresh()
    fs.mkdir(bucket, region_name="ap-southeast-2")
    assert filesystem(moto.url).bucket_region(f"gs3://{bucket}") == "ap-southeast-2"
    with pytest.raises(FileNotFoundError):
        fs.bucket_region(fresh())
    with pytest.raises(ValueError, match="name of a bucket"):
        fs.bucket_region(f"{bucket}/key")


def test_rmdir_looks_where_the_store_would_delete_a_bucket_with_all_that_is_in_it() -> None:
    """s3s-fs does so. Who may not list is not kept from removing a bucket."""
    asked: list[str] = []
    keys, allowed = ["key"], [True]

    def handler(request: Any) -> Reply:
        asked.append(request.method)
        if request.method == "DELETE":
            return respond(204)
        found = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
        page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
        return respond(200, page.encode()) if allowed[0] else s3_error(403, "AccessDenied")

    with ScriptedServer(handler=handler) as server:
        fs = filesystem(server.url)
        with pytest.raises(DirectoryNotEmptyError, match="the bucket is not empty"):
            fs.rmdir("bucket")
        assert asked == ["GET"]
        allowed[0] = False
        fs.rmdir("bucket")
        keys.clear()
        allowed[0] = True
        fs.rmdir("bucket")
    assert asked[1:] == ["GET", "DELETE", "GET", "DELETE"]


def test_rmdir_removes_an_empty_bucket_only(moto: MotoServer) -> None:
    fs = filesystem(moto.url)
    bucket = fresh()
    fs.mkdir(bucket)
    fs.pipe_file(f"{bucket}/key", b"content")
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir(bucket)
    fs.rm(bucket, recursive=True)
    assert not fs.exists(bucket)
    with pytest.raises(FileNotFoundError):
        fs.rmdir(bucket)
