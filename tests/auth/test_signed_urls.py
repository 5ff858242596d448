"""URLs that others may use: signed as botocore signs them, and taken by stores while nothing is altered."""

import asyncio
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.config
import botocore.session
import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._auth.signer import Signer
from fsspec_guarded_s3._values.conditions import Condition
from tests.opening import MIB, filesystem
from tests.servers import MotoServer, RcloneServer
from tests.stores import Store, new_store

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "hush-secret", "hush-token"
URL = "https://127.0.0.1:9"
LATER = datetime(2027, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def use(
    url: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes, Mapping[str, str]]:
    """Use a URL without S3: status, body and headers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data=body, method=method, headers=dict(headers or {}))
    if body is not None and "Content-type" not in request.headers:
        request.add_unredirected_header("Content-type", "application/octet-stream")
    try:
        with direct.open(request, timeout=300) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


# --- as botocore signs them ------------------------------------------------------------------------

OPERATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "get": ("get_object", {}),
    "get, overridden": (
        "get_object",
        {
            "ResponseContentType": "text/plain; charset=utf-8",
            "ResponseContentDisposition": 'attachment; filename="a b.txt"',
            "ResponseExpires": LATER,
        },
    ),
    "get of a version": ("get_object", {"VersionId": "v+1/a=="}),
    "get of a range": ("get_object", {"Range": "bytes=0-9", "IfMatch": '"etag"', "IfModifiedSince": LATER}),
    "head": ("head_object", {"IfNoneMatch": '"etag"'}),
    "put": ("put_object", {}),
    "create": ("put_object", {"IfNoneMatch": "*", "ContentType": "text/plain"}),
    "swap": ("put_object", {"IfMatch": '"etag"', "Metadata": {"note": "two  spaces", "Other": "1"}}),
    "delete": ("delete_object", {"VersionId": "null"}),
    "part": ("upload_part", {"UploadId": "u/1+2", "PartNumber": 7, "ContentLength": 5}),
    "abort": ("abort_multipart_upload", {"UploadId": "u1"}),
    "create upload": ("create_multipart_upload", {"StorageClass": "STANDARD_IA"}),
    "complete upload": ("complete_multipart_upload", {"UploadId": "u1", "IfNoneMatch": "*"}),
    "parts": ("list_parts", {"UploadId": "u1", "MaxParts": 5}),
    "tags": ("get_object_tagging", {}),
}


@pytest.mark.parametrize("case", OPERATIONS)
def test_url_is_botocores(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """Query and signature, for the same parameters by the same names."""
    operation, parameters = OPERATIONS[case]
    config = botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"})
    client = botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=URL,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        aws_session_token=TOKEN,
        config=config,
    )
    known = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
    if not set(parameters) <= set(known.input_shape.members):
        pytest.skip("conditions of writes came with botocore 1.35.70")
    theirs = client.generate_presigned_url(
        operation, Params={"Bucket": "bucket", "Key": "a b", **parameters}, ExpiresIn=77
    )
    asked = parse_qs(urlsplit(theirs).query, keep_blank_values=True)
    monkeypatch.setattr(Signer, "_timestamp", lambda self: asked["X-Amz-Date"][0])
    fs = filesystem(URL, key=KEY, secret=SECRET, token=TOKEN)
    ours = fs.url("bucket/a b", 77, operation, **parameters)
    assert parse_qs(urlsplit(ours).query, keep_blank_values=True) == asked
    assert urlsplit(ours)[:3] == urlsplit(theirs)[:3]


def test_sign_and_url_are_one_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`sign` by HTTP method, `url` by operation, and `sign` as s3fs has it."""
    monkeypatch.setattr(Signer, "_timestamp", lambda self: "20260102T030405Z")
    fs = filesystem(URL, version_aware=True)
    upload: dict[str, Any] = {"UploadId": "u", "PartNumber": 1}
    assert fs.sign("b-1/k") == fs.url("b-1/k", expires=100)
    assert fs.url("b-1/k") == fs.sign("b-1/k", 3600) != fs.sign("b-1/k")
    assert fs.sign("b-1/k", method="HEAD") == fs.url("b-1/k", 100, "head_object")
    assert fs.sign("b-1/k", method="PUT", **upload) == fs.url("b-1/k", 100, "upload_part", **upload)
    assert fs.sign("b-1/k", method="DELETE", UploadId="u") == fs.url(
        "b-1/k", 100, "abort_multipart_upload", UploadId="u"
    )
    assert fs.sign("b-1/k", client_method="put_object") == fs.sign("b-1/k", method="PUT")
    assert fs.sign("b-1/k?versionId=v") == fs.sign("b-1/k", VersionId="v") != fs.sign("b-1/k")


@pytest.mark.parametrize("name", ["expiration", "expires"])
@pytest.mark.parametrize("value", [60, 100, 3600])
def test_how_long_it_is_valid_has_two_names(name: str, value: int) -> None:
    """fsspec's `sign` says expiration, s3fs's `url` expires. Each verb takes both, and its coroutine too."""
    fs, given = filesystem(URL), {name: value}
    urls = [
        fs.sign("bucket/key", **given),
        fs.sign("bucket/key", client_method="get_object", **given),
        fs.url("bucket/key", **given),
        asyncio.run(fs._sign("bucket/key", **given)),
        asyncio.run(fs._url("bucket/key", **given)),
    ]
    assert {parse_qs(urlsplit(url).query)["X-Amz-Expires"][0] for url in urls} == {str(value)}
    if value != 3600:
        assert fs.sign_post("bucket/key", **given) != fs.sign_post("bucket/key")


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"method": "POST"}, ValueError, "GET, HEAD, PUT or DELETE"),
        ({"client_method": "get_objekt"}, ValueError, "no operation of S3"),
        ({"client_method": "list_objects_v2"}, ValueError, "no operation on an object"),
        ({"IfNonMatch": "*"}, TypeError, "IfNonMatch is no parameter of GetObject"),
        ({"method": "PUT", "Body": b"x"}, TypeError, "Body is no parameter"),
        ({"Key": "other"}, TypeError, "Key is no parameter"),
        ({"IfMatch": 5}, TypeError, "IfMatch must be string"),
        ({"PartNumber": "1"}, TypeError, "PartNumber must be integer"),
        ({"PartNumber": True}, TypeError, "PartNumber must be integer"),
        ({"expiration": 0}, ValueError, "expiration must be"),
        ({"expiration": 604_801}, ValueError, "expiration must be"),
    ],
)
def test_what_no_url_can_say_is_an_error(arguments: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        filesystem(URL).sign("bucket/key", **arguments)


def test_a_bucket_or_directory_has_no_url() -> None:
    for path in ("bucket", "bucket/key/"):
        with pytest.raises(IsADirectoryError):
            filesystem(URL).sign(path)


# --- used against stores ---------------------------------------------------------------------------


@pytest.fixture
def checked(rclone: RcloneServer) -> Store:
    """rclone checks every signature."""
    return new_store(rclone)


def test_urls_are_taken_by_a_store_that_checks_signatures(checked: Store) -> None:
    """GET, HEAD, PUT and DELETE of an odd name; each for its own method and key only."""
    fs, path = checked.fs, checked.path("a b+c/grün%20")
    put = fs.sign(path, method="PUT")
    assert use(put, "PUT", b"content")[0] == 200
    assert fs.cat_file(path) == b"content"
    get = fs.sign(path)
    assert use(get)[:2] == (200, b"content")
    assert use(fs.sign(path, method="HEAD"), "HEAD")[0] == 200
    assert use(put)[0] == 403 and use(get, "PUT", b"other")[0] == 403
    assert use(get.replace("a%20b", "a%20c"))[0] == 403
    assert use(fs.sign(path, method="DELETE"), "DELETE")[0] == 204
    assert not fs.exists(path)


def test_signed_headers_must_be_sent_as_they_were_signed(checked: Store) -> None:
    """A condition cannot be left out or altered by whoever has the URL."""
    fs, path = checked.fs, checked.path("key")
    url = fs.sign(path, method="PUT", IfNoneMatch="*", ContentType="text/plain", Metadata={"note": "1"})
    headers = {"If-None-Match": "*", "Content-type": "text/plain", "x-amz-meta-note": "1"}
    assert use(url, "PUT", b"content", {**headers, "x-amz-meta-note": "2"})[0] == 403
    assert use(url, "PUT", b"content", {**headers, "If-None-Match": '"other"'})[0] == 403
    del headers["If-None-Match"]
    assert use(url, "PUT", b"content", headers)[0] == 403
    assert not fs.exists(path)
    assert use(url, "PUT", b"content", {**headers, "If-None-Match": "*"})[0] == 200
    assert fs.info(path)["ContentType"] == "text/plain"


@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_parts_are_uploaded_by_urls(server: str, request: pytest.FixtureRequest) -> None:
    """One URL for each part; the upload is completed by whoever has the credentials."""
    store = new_store(request.getfixturevalue(server))
    fs, path = store.fs, store.path("parts")
    location = fs._paths.object(path)
    upload = fs._client.multipart.create_multipart_upload(location, {})
    pieces = {1: b"a" * 5 * MIB, 2: b"the end"}
    for number, piece in pieces.items():
        url = fs.sign(path, method="PUT", UploadId=upload, PartNumber=number)
        assert use(url, "PUT", piece)[0] == 200
    parts = fs._client.multipart.list_parts(location, upload)
    assert [part.size for part in parts] == [5 * MIB, 7]
    fs._client.multipart.complete_multipart_upload(location, upload, parts, Condition())
    assert fs.cat_file(path) == b"".join(pieces.values())


def test_an_upload_is_aborted_by_a_url(moto: MotoServer) -> None:
    store = new_store(moto)
    upload = store.fs._client.multipart.create_multipart_upload(store.fs._paths.object(store.path("key")), {})
    assert store.pending() == ["key"]
    assert use(store.fs.sign(store.path("key"), method="DELETE", UploadId=upload), "DELETE")[0] == 204
    assert store.pending() == []


def test_a_condition_in_a_url_is_one(moto: MotoServer) -> None:
    """Create and swap by URL, as by `pipe_file`."""
    store = new_store(moto)
    path = store.path("key")
    create = store.fs.sign(path, method="PUT", IfNoneMatch="*")
    assert use(create, "PUT", b"one", {"If-None-Match": "*"})[0] == 200
    assert use(create, "PUT", b"two", {"If-None-Match": "*"})[0] == 412
    etag = store.fs.info(path)["ETag"]
    swap = store.fs.sign(path, method="PUT", IfMatch=etag)
    assert use(swap, "PUT", b"two", {"If-Match": etag})[0] == 200
    assert use(swap, "PUT", b"three", {"If-Match": etag})[0] == 412
    assert store.fs.cat_file(path) == b"two"


def test_a_url_of_a_version_and_of_other_headers(moto: MotoServer) -> None:
    """The version that was named, as the type and under the name that were asked for."""
    made = new_store(moto)
    fs = GuardedS3FileSystem(**made.options, version_aware=True, skip_instance_cache=True)
    fs.make_bucket_versioned(made.bucket)
    path = made.path(uuid.uuid4().hex)
    fs.pipe_file(path, b"one")
    first = fs.info(path)["VersionId"]
    fs.pipe_file(path, b"two")
    url = fs.sign(
        f"{path}?versionId={first}",
        ResponseContentType="text/markdown",
        ResponseContentDisposition='attachment; filename="a b.md"',
    )
    status, body, headers = use(url)
    assert (status, body) == (200, b"one")
    assert headers["Content-Type"].partition(";")[0] == "text/markdown"
    assert headers["Content-Disposition"] == 'attachment; filename="a b.md"'
    assert use(fs.sign(path))[1] == b"two"
