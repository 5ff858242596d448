"""Signatures are botocore's own, requests go to the right endpoint, and nothing secret is shown."""

import itertools
import json
import logging
import pickle
import re
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.session
import pytest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from fsspec_guarded_s3 import AccessDeniedError, ConnectError, GuardedS3Error, ResponseError
from fsspec_guarded_s3._auth.signer import MAX_EXPIRES, Signer
from fsspec_guarded_s3._values.models import Request as S3Request
from fsspec_guarded_s3._values.models import WireRequest
from fsspec_guarded_s3.options import Options
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, Step, expects, respond, s3_error
from tests.servers import RcloneServer
from tests.sigv4 import is_signed_right, signed_names

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "hush-secret", "hush-token"
SIGNED_DATE = "%Y%m%dT%H%M%SZ"
ODD_KEYS = [
    "plain",
    "a b",
    "a+b",
    "a%20b",
    "50%",
    "a#b",
    "what?",
    "a&b=c",
    "grün/日本/🦆",
    "combining-e\u0301",
    "a//b",
    "trailing/",
    "a/./b",
    "a/../b",
    "..hidden",
    "~tilde",
    "a'b\"c",
    "(a)[b]{c}*!",
    "a\\b|c^d`e<f>",
    "a,b;c:d@e$f",
    "a\nb\tc",
    "x" * 1024,
]


def signer(**options: Any) -> Signer:
    """A signer with credentials of its own."""
    chosen = {"key": KEY, "secret": SECRET, "region": "us-east-1", **options}
    return Signer(Options(**chosen))


def signature(headers: Any) -> str:
    found = re.search(r"Signature=([0-9a-f]{64})$", headers["authorization"])
    assert found
    return found[1]


def freeze(monkeypatch: pytest.MonkeyPatch, date: str) -> None:
    """Let all signers sign for this date."""
    monkeypatch.setattr(Signer, "_timestamp", lambda self: date)


def botocore_client(url: str) -> Any:
    """botocore's own client, as the judge of our URLs."""
    config = botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"})
    return botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        aws_session_token=TOKEN,
        config=config,
    )


# --- signatures ------------------------------------------------------------------------------------


def assert_signed_as_by_botocore(
    monkeypatch: pytest.MonkeyPatch, request: S3Request, *, sign_payload: bool, url: str
) -> WireRequest:
    """Botocore signs first, by its clock; ours has to come to the same signature at that time."""
    ours = signer(endpoint_url=url, token=TOKEN, sign_payload=sign_payload)
    target = ours.sign(request).target
    body = bytes(request.body)
    theirs = botocore.awsrequest.AWSRequest(
        request.method, f"{url}{target}", headers=dict(request.headers), data=body
    )
    signs = sign_payload or not body
    theirs.context["client_config"] = botocore.config.Config(s3={"payload_signing_enabled": signs})
    botocore.auth.S3SigV4Auth(Credentials(KEY, SECRET, TOKEN), "s3", "us-east-1").add_auth(theirs)

    freeze(monkeypatch, theirs.headers["X-Amz-Date"])
    wire = ours.sign(request)
    assert wire.headers["authorization"] == theirs.headers["Authorization"]
    for name in ("x-amz-content-sha256", "x-amz-security-token", "x-amz-date"):
        assert wire.headers[name] == theirs.headers[name]
    return wire


def ranged(key: str, start: int, **more: Any) -> S3Request:
    """A read whose range is left out of the signature."""
    return S3Request("GetObject", "GET", "bucket", key, unsigned={"range": f"bytes={start}-"}, **more)


LIKE = [
    ranged("a", 0),
    ranged("a", 1),
    ranged("b", 0),
    ranged("a", 0, query=(("versionId", "1"),)),
    ranged("a", 0, headers={"x-amz-request-payer": "requester"}),
    S3Request("GetObject", "GET", "bucket", "a"),
    S3Request("HeadObject", "HEAD", "bucket", "a"),
    S3Request("PutObject", "PUT", "bucket", "a"),
    S3Request("PutObject", "PUT", "bucket", "a", body=b"body"),
    S3Request("PutObject", "PUT", "bucket", "a", body=b"other"),
    S3Request("PutObject", "PUT", "bucket", "a", headers={"if-none-match": "*"}),
]


@pytest.mark.parametrize(
    "options",
    [{}, {"token": TOKEN}, {"sign_payload": True}, {"anon": True, "key": None, "secret": None}],
    ids=["key", "token", "payload", "anon"],
)
def test_what_was_signed_before_changes_no_signature(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Like requests of a second share what they can; it is never the wrong part."""
    dates = ["20261127T000000Z", "20261128T000001Z"]
    alone = {}
    for date, number in itertools.product(dates, range(len(LIKE))):
        freeze(monkeypatch, date)
        alone[date, number] = signer(**options).sign(LIKE[number])
    ours = signer(**options)
    for first, second in itertools.product(range(len(LIKE)), repeat=2):
        for date, number in ((dates[0], first), (dates[0], second), (dates[1], second)):
            freeze(monkeypatch, date)
            assert ours.sign(LIKE[number]) == alone[date, number]


def test_ranges_leave_out_of_the_signature_what_shows_in_the_answer() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        fs.pipe_file("bucket/key", bytes(range(250)) * 4)
        assert fs.cat_ranges(["bucket/key"] * 2, [0, 600], [2, 602], max_gap=0) == [b"\0\1", b"de"]
        ranges = [request for request in server.requests if "range" in request.headers]
    assert len(ranges) == 2
    assert [request for request in ranges if "if-match" in request.headers]
    for request in ranges:
        assert signed_names(request) == {"host", "x-amz-content-sha256", "x-amz-date"}


def test_the_condition_of_a_write_is_signed() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        fs.pipe_file("bucket/key", b"one", mode="create")
        fs.rm_file("bucket/key", if_match=fs.info("bucket/key")["ETag"])
        create, delete = (request for request in server.requests if request.method in ("PUT", "DELETE"))
    assert "if-none-match" in signed_names(create)
    assert "if-match" in signed_names(delete)


@pytest.mark.parametrize("key", ODD_KEYS)
def test_signature_of_a_key_is_botocores(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    request = S3Request("GetObject", "GET", "bucket", key)
    assert_signed_as_by_botocore(monkeypatch, request, sign_payload=False, url="https://127.0.0.1:9")


@pytest.mark.parametrize(
    "query",
    [
        (("uploads", ""),),
        (("uploadId", "a+b/c=="), ("partNumber", "7")),
        (("prefix", "a b/grün?&=%"), ("list-type", "2"), ("delimiter", "/"), ("encoding-type", "url")),
        (("versionId", "null"),),
        (("continuation-token", "1~a_b-c.d*e(f)"), ("prefix", "")),
    ],
)
def test_signature_of_a_query_is_botocores(
    monkeypatch: pytest.MonkeyPatch, query: tuple[tuple[str, str], ...]
) -> None:
    request = S3Request("Any", "GET", "bucket", query=query)
    wire = assert_signed_as_by_botocore(monkeypatch, request, sign_payload=False, url="https://127.0.0.1:9")
    sent = parse_qs(urlsplit(wire.target).query, keep_blank_values=True)
    assert sent == {name: [value] for name, value in query}


@pytest.mark.parametrize("sign_payload", [True, False])
@pytest.mark.parametrize("url", ["https://127.0.0.1:9", "http://127.0.0.1:9"])
def test_signature_of_a_body_is_botocores(
    monkeypatch: pytest.MonkeyPatch, sign_payload: bool, url: str
) -> None:
    """With sign_payload the body is hashed, else it is declared unsigned."""
    headers = {"x-amz-meta-note": "two  spaces", "content-type": "text/plain", "if-none-match": "*"}
    request = S3Request("PutObject", "PUT", "bucket", "a b", headers=headers, body=b"content")
    wire = assert_signed_as_by_botocore(monkeypatch, request, sign_payload=sign_payload, url=url)
    assert (wire.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD") is not sign_payload
    assert wire.headers["content-length"] == "7"


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_an_empty_body_is_declared_and_hashed(method: str) -> None:
    """Without Content-Length some stores answer 411."""
    wire = signer().sign(S3Request("Any", method, "bucket", "key"))
    assert wire.headers["content-length"] == "0"
    assert wire.headers["x-amz-content-sha256"].startswith("e3b0c44298fc1c14")


@pytest.mark.parametrize("key", ODD_KEYS)
def test_presigned_url_is_botocores(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """Path and query are those of botocore's generate_presigned_url, signature included."""
    parameters = {"Bucket": "bucket", "Key": key}
    theirs = botocore_client("https://127.0.0.1:9").generate_presigned_url(
        "get_object", Params=parameters, ExpiresIn=77
    )
    asked = parse_qs(urlsplit(theirs).query)
    freeze(monkeypatch, asked["X-Amz-Date"][0])
    request = S3Request("presign", "GET", "bucket", key)
    ours = signer(endpoint_url="https://127.0.0.1:9", token=TOKEN).presign(request, 77)
    assert urlsplit(ours)[:3] == urlsplit(theirs)[:3]
    assert parse_qs(urlsplit(ours).query) == asked
    assert asked["X-Amz-Expires"] == ["77"]


@pytest.mark.parametrize("expires", [1, MAX_EXPIRES])
def test_presigned_url_takes_the_limits_of_sigv4(expires: int) -> None:
    url = signer().presign(S3Request("presign", "GET", "bucket", "key"), expires)
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == [str(expires)]


@pytest.mark.parametrize("expires", [0, -1, MAX_EXPIRES + 1])
def test_presigned_url_out_of_the_limits_is_a_value_error(expires: int) -> None:
    with pytest.raises(ValueError, match="expiration"):
        signer().presign(S3Request("presign", "GET", "bucket", "key"), expires)


def test_presigned_url_of_an_anonymous_filesystem_is_plain() -> None:
    ours = Signer(Options(anon=True, endpoint_url="https://127.0.0.1:9"))
    assert (
        ours.presign(S3Request("presign", "GET", "bucket", "a b"), 60) == "https://127.0.0.1:9/bucket/a%20b"
    )


def fetched(url: str) -> tuple[int, bytes]:
    """GET without S3: whoever has the URL may read."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=300) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_presigned_url_is_accepted_until_it_expires(
    monkeypatch: pytest.MonkeyPatch, rclone: RcloneServer
) -> None:
    """rclone checks signatures: it takes ours, and not when it is altered or over its time."""
    fs = filesystem(rclone.url, key=rclone.key, secret=rclone.secret)
    fs.mkdir("presigned")
    fs.pipe_file("presigned/a b+c/grün", b"content")
    url = fs.sign("presigned/a b+c/grün", expiration=60)
    assert fetched(url) == (200, b"content")
    assert fetched(url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"))[0] == 403
    past = datetime.now(timezone.utc) - timedelta(hours=1)
    freeze(monkeypatch, past.strftime(SIGNED_DATE))
    assert fetched(fs.sign("presigned/a b+c/grün", expiration=60))[0] == 400  # what AWS answers with 403


def test_a_wrong_secret_is_refused_by_a_store_that_checks(rclone: RcloneServer) -> None:
    """The test above would hold for a store that checks nothing."""
    fs = filesystem(rclone.url, key=rclone.key, secret="hush-secret", max_attempts=1)
    with pytest.raises(AccessDeniedError) as caught:
        fs.ls("presigned-nowhere")
    assert "hush" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("sign_payload", [True, False])
def test_sign_payload_hashes_the_body_that_is_sent(sign_payload: bool) -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, sign_payload=sign_payload).pipe_file("bucket/key", b"content")
        (put,) = [request for request in server.requests if request.method == "PUT"]
    hashed = put.headers["x-amz-content-sha256"]
    assert (hashed == "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73") is sign_payload
    assert (hashed == "UNSIGNED-PAYLOAD") is not sign_payload


def test_anonymous_requests_carry_no_signature() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", b"content")
    with ScriptedServer(handler=fake) as server:
        assert filesystem(server.url, key=None, secret=None, anon=True).cat_file("bucket/key") == b"content"
        names = {name for request in server.requests for name in request.headers}
    signed = {"authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"}
    assert names
    assert not names & signed


# --- generated requests ----------------------------------------------------------------------------

HOST_FORMS = [
    "https://store.test",
    "https://store.test:443",
    "https://Store.TEST:9000/",
    "http://127.0.0.1:80",
    "http://127.0.0.1:9000",
    "http://localhost:443",
    "https://[::1]",
    "https://[2001:DB8::A]:8443",
    "https://store.test/a/base/path",
    "https://store.test:443/s3/~me/",
]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30).map(str.strip)
meta = st.from_regex(r"x-amz-meta-[a-z0-9._-]{1,20}", fullmatch=True)
known = st.sampled_from(
    ["content-type", "content-md5", "content-encoding", "cache-control", "expires", "if-match"]
) | st.sampled_from(
    ["if-none-match", "x-amz-acl", "x-amz-checksum-crc32", "x-amz-copy-source", "x-amz-tagging"]
)
# Names of the signature itself are no parameters of an operation.
parameter_names = texts.filter(lambda name: name and not name.startswith("X-Amz-"))
requests = st.builds(
    S3Request,
    st.just("Any"),
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    st.sampled_from(["bucket", "my.dotted-bucket", "1-2"]),
    texts,
    st.dictionaries(parameter_names, texts, max_size=4).map(lambda query: tuple(query.items())),
    st.dictionaries(st.one_of(known, meta), values.filter(bool), max_size=5),
    st.binary(max_size=20),
)


@given(
    request=requests,
    url=st.sampled_from(HOST_FORMS),
    region=st.sampled_from(["us-east-1", "auto", "eu-central-1"]),
    token=st.sampled_from([None, TOKEN]),
    sign_payload=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_request_is_signed_as_by_botocore(
    request: S3Request, url: str, region: str, token: str | None, sign_payload: bool
) -> None:
    """Botocore gets the URL as the user wrote it, and our path and query; both sign for one second."""
    ours = signer(endpoint_url=url, region=region, token=token, sign_payload=sign_payload)
    target = ours.sign(request).target
    body = bytes(request.body)
    parts = urlsplit(url)
    theirs = botocore.awsrequest.AWSRequest(
        request.method, f"{parts.scheme}://{parts.netloc}{target}", headers=dict(request.headers), data=body
    )
    signs = sign_payload or not body
    theirs.context["client_config"] = botocore.config.Config(s3={"payload_signing_enabled": signs})
    botocore.auth.S3SigV4Auth(Credentials(KEY, SECRET, token), "s3", region).add_auth(theirs)
    with pytest.MonkeyPatch.context() as patch:
        freeze(patch, theirs.headers["X-Amz-Date"])
        wire = ours.sign(request)
    assert wire.headers["authorization"] == theirs.headers["Authorization"]
    assert wire.headers["x-amz-content-sha256"] == theirs.headers["X-Amz-Content-SHA256"]
    assert is_signed_right(request.method, target, wire.headers)
    path, _, query = target.partition("?")
    assert unquote(path.removeprefix(parts.path.rstrip("/"))) == f"/{request.bucket}" + (
        f"/{request.key}" if request.key else ""
    )
    assert parse_qsl(query, keep_blank_values=True, errors="strict") == sorted(
        request.query, key=lambda pair: [quote(text, safe="-_.~") for text in pair]
    )


@given(
    request=requests,
    url=st.sampled_from(HOST_FORMS),
    token=st.sampled_from([None, TOKEN]),
    expires=st.integers(1, MAX_EXPIRES),
)
@settings(max_examples=100, deadline=None)
def test_any_presigned_url_is_botocores(
    request: S3Request, url: str, token: str | None, expires: int
) -> None:
    """The same parameters and the same signature, over the same headers."""
    ours = signer(endpoint_url=url, token=token)
    parts = urlsplit(url)
    target = ours.sign(request).target
    theirs = botocore.awsrequest.AWSRequest(
        request.method, f"{parts.scheme}://{parts.netloc}{target}", headers=dict(request.headers)
    )
    auth = botocore.auth.S3SigV4QueryAuth(Credentials(KEY, SECRET, token), "s3", "us-east-1", expires)
    auth.add_auth(theirs)
    asked = parse_qs(urlsplit(theirs.url).query, keep_blank_values=True)
    with pytest.MonkeyPatch.context() as patch:
        freeze(patch, asked["X-Amz-Date"][0])
        presigned = urlsplit(ours.presign(request, expires))
    assert parse_qs(presigned.query, keep_blank_values=True) == asked
    assert presigned.path == urlsplit(theirs.url).path
    assert presigned.netloc == botocore.auth._host_from_url(url)


# --- endpoints -------------------------------------------------------------------------------------


def place(bucket: str = "bucket", **options: Any) -> tuple[str, str]:
    """(URL, region) of a bucket."""
    found = signer(**options).endpoint(bucket)
    return f"{found.scheme}://{found.netloc}{found.base_path}", found.region


ARN = "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine"
OUTPOST = "arn:aws:s3-outposts:eu-west-1:123456789012:outpost/op-01234567890123456/accesspoint/mine"


@pytest.mark.parametrize(
    ("bucket", "options", "url"),
    [
        ("bucket", {}, "https://bucket.s3.us-east-1.amazonaws.com"),
        ("bucket", {"region": "eu-west-1"}, "https://bucket.s3.eu-west-1.amazonaws.com"),
        ("bucket", {"region": "cn-north-1"}, "https://bucket.s3.cn-north-1.amazonaws.com.cn"),
        ("bucket", {"addressing_style": "virtual"}, "https://bucket.s3.us-east-1.amazonaws.com"),
        ("bucket", {"addressing_style": "path"}, "https://s3.us-east-1.amazonaws.com/bucket"),
        ("dotted.bucket", {}, "https://s3.us-east-1.amazonaws.com/dotted.bucket"),
        ("Old_Bucket", {}, "https://s3.us-east-1.amazonaws.com/Old_Bucket"),
        ("", {}, "https://s3.us-east-1.amazonaws.com"),
        ("bucket", {"use_dualstack": True}, "https://bucket.s3.dualstack.us-east-1.amazonaws.com"),
        ("bucket", {"use_accelerate": True}, "https://bucket.s3-accelerate.amazonaws.com"),
        (
            "bucket",
            {"use_accelerate": True, "use_dualstack": True},
            "https://bucket.s3-accelerate.dualstack.amazonaws.com",
        ),
        ("bucket", {"endpoint_url": "https://store.test"}, "https://store.test/bucket"),
        ("bucket", {"endpoint_url": "https://store.test/"}, "https://store.test/bucket"),
        ("bucket", {"endpoint_url": "https://store.test:9000/s3"}, "https://store.test:9000/s3/bucket"),
        (
            "bucket",
            {"endpoint_url": "https://store.test", "addressing_style": "virtual"},
            "https://bucket.store.test",
        ),
        ("", {"endpoint_url": "https://store.test"}, "https://store.test"),
    ],
)
def test_endpoint(bucket: str, options: dict[str, Any], url: str) -> None:
    assert place(bucket, **options) == (url, options.get("region", "us-east-1"))


@pytest.mark.parametrize(
    ("arn", "url", "service"),
    [
        (ARN, "https://mine-123456789012.s3-accesspoint.eu-west-1.amazonaws.com", "s3"),
        (
            OUTPOST,
            "https://mine-123456789012.op-01234567890123456.s3-outposts.eu-west-1.amazonaws.com",
            "s3-outposts",
        ),
    ],
)
def test_access_point_is_reached_and_signed_for_its_own_region(arn: str, url: str, service: str) -> None:
    assert place(arn) == (url, "eu-west-1")
    wire = signer().sign(S3Request("GetObject", "GET", arn, "a b"))
    assert wire.target == "/a%20b"
    assert f"/eu-west-1/{service}/aws4_request" in wire.headers["authorization"]


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "https://bucket.s3-fips.us-east-1.amazonaws.com"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://bucket.s3.dualstack.us-east-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL_S3": "https://s3.test"}, "https://s3.test/bucket"),
        ({"AWS_ENDPOINT_URL": "https://all.test"}, "https://all.test/bucket"),
        (
            {"AWS_ENDPOINT_URL": "https://all.test", "AWS_ENDPOINT_URL_S3": "https://s3.test"},
            "https://s3.test/bucket",
        ),
        (
            {"AWS_ENDPOINT_URL_S3": "https://s3.test", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            "https://bucket.s3.us-east-1.amazonaws.com",
        ),
        (
            {"AWS_ENDPOINT_URL_S3": "https://s3.test", "AWS_USE_FIPS_ENDPOINT": "true"},
            "https://s3.test/bucket",
        ),
    ],
)
def test_endpoint_by_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert place()[0] == url


def test_endpoint_of_the_environment_without_a_scheme_is_a_value_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "localhost:9000")
    with pytest.raises(ValueError, match="https:// or http://"):
        place()


def test_endpoint_by_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.test")
    assert place(endpoint_url="https://option.test")[0] == "https://option.test/bucket"


def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))


@pytest.mark.parametrize(
    ("text", "url", "region"),
    [
        ("region = eu-west-1", "https://bucket.s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("endpoint_url = https://all.test", "https://all.test/bucket", "us-east-1"),
        (
            "services = mine\nendpoint_url = https://all.test\n"
            "[services mine]\ns3 =\n  endpoint_url = https://s3.test",
            "https://s3.test/bucket",
            "us-east-1",
        ),
        ("s3 =\n  addressing_style = path", "https://s3.us-east-1.amazonaws.com/bucket", "us-east-1"),
        (
            "s3 =\n  use_dualstack_endpoint = true",
            "https://bucket.s3.dualstack.us-east-1.amazonaws.com",
            "us-east-1",
        ),
        ("s3 =\n  use_accelerate_endpoint = true", "https://bucket.s3-accelerate.amazonaws.com", "us-east-1"),
        ("use_fips_endpoint = true", "https://bucket.s3-fips.us-east-1.amazonaws.com", "us-east-1"),
    ],
)
def test_endpoint_and_region_by_profile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, url: str, region: str
) -> None:
    config(monkeypatch, tmp_path, f"[profile work]\n{text}\n")
    ours = Signer(Options(profile="work"))
    found = ours.endpoint("bucket")
    assert (f"{found.scheme}://{found.netloc}{found.base_path}", found.region) == (url, region)


def test_region_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert place(region=None) == ("https://bucket.s3.eu-central-1.amazonaws.com", "eu-central-1")
    assert place(region="eu-west-1")[1] == "eu-west-1"


@pytest.mark.parametrize(
    ("bucket", "options", "said"),
    [
        ("dotted.bucket", {"use_accelerate": True}, "no endpoint for bucket"),
        ("bucket", {"region": "evil.test"}, "no endpoint for bucket"),
        ("bucket", {"region": "evil.test/"}, "region must be a name"),
        ("bucket", {"endpoint_url": "https://"}, "http:// or https:// and a host"),
        ("bucket", {"endpoint_url": "https://store.test?query=1"}, "must not have a query"),
        ("bucket", {"endpoint_url": "https://name:hush-secret@store.test"}, "must not hold"),
    ],
)
def test_endpoint_that_cannot_be_is_a_value_error(bucket: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        signer(**options).sign(S3Request("GetObject", "GET", bucket, "key"))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://store.test", "http://127.example.com", "http://10.0.0.1:9000"])
def test_plain_http_to_another_host_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """By option and by environment, for requests and presigned URLs; nothing is sent."""
    request = S3Request("GetObject", "GET", "bucket", "key")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    for ours in (signer(endpoint_url=url), signer()):
        with pytest.raises(ValueError, match="allow_http"):
            ours.sign(request)
        with pytest.raises(ValueError, match="allow_http"):
            ours.presign(request, 60)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://store.test", {"allow_http": True}),
        ("http://127.0.0.1:9000", {}),
        ("http://localhost:9000", {}),
        ("http://[::1]:9000", {}),
    ],
)
def test_plain_http_is_allowed_on_loopback_or_by_option(url: str, options: dict[str, Any]) -> None:
    assert place(endpoint_url=url, **options)[0] == f"{url}/bucket"


# --- wrong region ----------------------------------------------------------------------------------


def region_of(request: Request) -> str:
    return request.headers["authorization"].split("/")[2]


REGION_HEADER = {"x-amz-bucket-region": "eu-west-1"}
MALFORMED = (
    b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong</Message>"
    b"<Region>eu-west-1</Region></Error>"
)
WRONG_REGION = {
    "301": s3_error(301, "PermanentRedirect", headers=REGION_HEADER),
    "400 with the header": s3_error(400, "AuthorizationHeaderMalformed", headers=REGION_HEADER),
    "400 with the region in its body": respond(400, MALFORMED),
    "307": s3_error(307, "TemporaryRedirect", headers=REGION_HEADER),
    "307 with a place": respond(307, headers={"Location": "https://bucket.s3-eu-west-1.amazonaws.com/key"}),
    "307 with another": respond(
        307, headers={"Location": "https://s3.dualstack.eu-west-1.amazonaws.com/bucket"}
    ),
    "301 with an endpoint": respond(
        301,
        b"<Error><Code>PermanentRedirect</Code><Endpoint>bucket.s3.eu-west-1.amazonaws.com</Endpoint></Error>",
    ),
}


def regional(wrong: Answer) -> FakeS3:
    """A store in eu-west-1 that answers `wrong` to what is signed for another region."""
    fake = FakeS3("bucket", fault=lambda request, _: None if region_of(request) == "eu-west-1" else wrong)
    fake.put("bucket", "key", b"content")
    return fake


@pytest.mark.parametrize("case", WRONG_REGION)
def test_wrong_region_is_followed_once_and_remembered(case: str, caplog: pytest.LogCaptureFixture) -> None:
    """One request more, the first time only, with a line in the log."""
    caplog.set_level("INFO", logger="fsspec_guarded_s3")
    with ScriptedServer(handler=regional(WRONG_REGION[case])) as server:
        fs = filesystem(server.url)
        assert fs.cat_file("bucket/key") == b"content"
        learning = [region_of(request) for request in server.requests]
        assert fs.cat_file("bucket/key") == b"content"
        regions = [region_of(request) for request in server.requests]
    assert learning == ["us-east-1", "eu-west-1"]
    assert set(regions[2:]) == {"eu-west-1"}
    assert ["bucket bucket is in region eu-west-1" in text for text in caplog.messages].count(True) == 1


def test_wrong_region_of_a_head_is_followed() -> None:
    """A HEAD has no body: the header is all there is."""
    wrong = respond(400, headers=REGION_HEADER)
    with ScriptedServer(handler=regional(wrong)) as server:
        assert filesystem(server.url).info("bucket/key")["size"] == 7
        assert region_of(server.requests[0]) == "us-east-1"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "https://login.example/s3?token=secret",
        "https://s3.eu-west-1.amazonaws.com.evil.example/bucket",
        "https://evils3.eu-west-1.amazonaws.com/bucket?token=secret",
        "https://[",
        "",
    ],
)
@pytest.mark.parametrize("verb", ["cat_file", "info", "ls", "put_if_absent"])
def test_a_redirection_to_another_place_is_told_and_not_followed(
    verb: str, location: str, status: int
) -> None:
    """What is signed goes nowhere else. The host is named, and nothing behind it."""
    answer = respond(status, headers={"Location": location})
    with ScriptedServer(handler=lambda request: answer) as server:
        with pytest.raises(ResponseError) as caught:
            getattr(filesystem(server.url), verb)("bucket/key", *([b"1"] if verb == "put_if_absent" else []))
        # A HEAD that is told of another region, without words, is explained by a GET of the same place.
        assert len(server.requests) == (2 if verb == "info" and status in (301, 307) else 1)
    assert caught.value.status == status
    assert not isinstance(caught.value, FileNotFoundError)
    assert "secret" not in str(caught.value)
    assert ("login.example" in str(caught.value)) is ("login" in location)


def test_wrong_region_is_followed_once_only() -> None:
    """A store that goes on refusing is believed at last, after one look at its first word."""
    wrong = s3_error(400, "AuthorizationHeaderMalformed", headers=REGION_HEADER)
    with ScriptedServer([Step(wrong), Step(wrong), Step(wrong)]) as server:
        with pytest.raises(ResponseError, match="set region"):
            filesystem(server.url).cat_file("bucket/key")
        assert [region_of(request) for request in server.requests] == ["us-east-1", "eu-west-1", "us-east-1"]


def test_wrong_region_is_followed_by_threads_that_learn_it_together() -> None:
    """The second thread finds the region learned already, and has to try again all the same."""
    together = Barrier(4)
    wrong = s3_error(301, "PermanentRedirect", headers=REGION_HEADER)

    def fault(request: Request, _: FakeS3) -> Answer | None:
        if region_of(request) == "eu-west-1":
            return None
        together.wait(timeout=300)
        return wrong

    fake = FakeS3("bucket", fault=fault)
    fake.put("bucket", "key", b"content")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(fs.cat_file, ["bucket/key"] * 4)) == [b"content"] * 4


def test_region_is_learned_for_its_bucket_only() -> None:
    ours = signer()
    assert ours.learn_region("bucket", "eu-west-1")
    assert ours.endpoint("bucket").netloc == "bucket.s3.eu-west-1.amazonaws.com"
    assert ours.endpoint("other").netloc == "other.s3.us-east-1.amazonaws.com"


def test_region_that_is_no_news_is_no_reason_to_retry() -> None:
    ours = signer()
    assert not ours.learn_region("bucket", "us-east-1")
    assert not ours.learn_region("bucket", "")


def test_region_that_is_none_is_not_learned() -> None:
    """A store cannot send us to a host of its choice, and the bucket stays usable."""
    ours = signer()
    for hostile in ("evil.test/", "a@evil.test", "x#"):
        assert not ours.learn_region("bucket", hostile)
        assert ours.endpoint("bucket").netloc == "bucket.s3.us-east-1.amazonaws.com"
    assert ours.learn_region("bucket", "eu-west-1")
    assert not ours.learn_region("bucket", "evil.test/")
    assert ours.endpoint("bucket").netloc == "bucket.s3.eu-west-1.amazonaws.com"


# --- clock -----------------------------------------------------------------------------------------


def test_clock_skew_is_learned_and_the_request_repeated(caplog: pytest.LogCaptureFixture) -> None:
    """The second attempt is dated by the store's clock, and so are the requests after it."""
    there = datetime.now(timezone.utc) + timedelta(hours=5)
    skewed = s3_error(403, "RequestTimeTooSkewed", headers={"Date": format_datetime(there, usegmt=True)})
    good = respond(200, b"body", etag="one")
    with ScriptedServer([Step(skewed), Step(good), Step(good)]) as server:
        fs = filesystem(server.url)
        assert [fs.cat_file("bucket/key"), fs.cat_file("bucket/key")] == [b"body", b"body"]
        dates = [datetime.strptime(request.headers["x-amz-date"], SIGNED_DATE) for request in server.requests]
    assert dates[0] < there.replace(tzinfo=None) - timedelta(hours=4)
    assert all(date >= there.replace(tzinfo=None, microsecond=0) for date in dates[1:])
    assert "clock is off by" in caplog.text


def test_clock_that_was_corrected_by_another_thread_is_a_reason_to_retry() -> None:
    ours = signer()
    there = format_datetime(datetime.now(timezone.utc) - timedelta(hours=1), usegmt=True)
    assert ours.learn_clock(there, timedelta())
    assert ours.learn_clock(there, timedelta())
    assert not ours.learn_clock(there, ours.clock)


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 99 Foo 2020 00:00:00 GMT"])
def test_clock_is_not_learned_from_nonsense(date: str) -> None:
    assert not signer().learn_clock(date, timedelta())


@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
def test_clock_that_is_right_is_no_reason_to_retry(zone: str) -> None:
    """Also when the date comes without a time zone that means something."""
    now = datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S")
    assert not signer().learn_clock(f"{now} {zone}", timedelta())


# --- nothing secret is shown -----------------------------------------------------------------------


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All loggers at DEBUG, botocore's and urllib3's too."""
    caplog.set_level(logging.DEBUG)
    yield caplog


def failing(request: Request) -> Answer:
    if request.path.endswith("denied"):
        return s3_error(403, "AccessDenied")
    return s3_error(500, "InternalError")


def test_no_secret_is_shown_anywhere(everything_logged: pytest.LogCaptureFixture) -> None:
    """Not in logs, warnings, reprs, error texts, pickled errors, and JSON without passwords."""
    hidden = (SECRET, TOKEN, "Signature=", "X-Amz-Signature")
    options = {"key": KEY, "secret": SECRET, "token": TOKEN, "max_attempts": 2}
    fake = FakeS3("bucket")
    errors: list[GuardedS3Error] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with ScriptedServer(handler=fake) as server:
            fs = filesystem(server.url, **options)
            fs.pipe_file("bucket/key", b"content")
            assert fs.cat_file("bucket/key") == b"content"
            assert SECRET not in fs.sign("bucket/key")
            file = fs.open("bucket/key")
            with pytest.raises(GuardedS3Error) as caught:
                fs.cat_file("bucket/missing")
            errors.append(caught.value)
        for name in ("denied", "broken"):
            with ScriptedServer(handler=failing) as server, pytest.raises(GuardedS3Error) as caught:
                filesystem(server.url, **options).cat_file(f"bucket/{name}")
            errors.append(caught.value)
        with pytest.raises(ConnectError) as caught:  # nobody listens there any more
            fs.cat_file("bucket/key")
        errors.append(caught.value)
    client = fs._client
    request = S3Request("GetObject", "GET", "bucket", "key")
    wire = client.store.signer.sign(request)
    objects = [
        fs,
        file,
        fs._options,
        client,
        client.store.signer,
        client.store.transport,
        request,
        wire,
        *errors,
    ]
    shown = [everything_logged.text, fs.to_json(include_password=False)]
    shown += [str(warning.message) for warning in warned]
    shown += [f"{thing!r} {thing!s}" for thing in objects]
    shown += [str(pickle.dumps(error)) for error in errors]
    assert len(errors) == 4
    assert "botocore" in everything_logged.text
    assert not [(secret, text) for secret in hidden for text in shown if secret in text]


def test_json_with_passwords_is_the_callers_wish() -> None:
    """The default of fsspec keeps the options, so that the filesystem can be rebuilt."""
    fs = filesystem("https://store.test", key=KEY, secret=SECRET)
    assert json.loads(fs.to_json(include_password=True))["secret"] == SECRET


def test_debug_log_of_botocore_is_muted_for_credentials_only(
    everything_logged: pytest.LogCaptureFixture,
) -> None:
    """Others in this process who use botocore keep its log, and warnings always pass."""
    logger = logging.getLogger("botocore.endpoint")
    ours = signer()
    ours.sign(S3Request("GetObject", "GET", "bucket", "key"))
    logger.debug("somebody else's request")
    assert "somebody else's request" in everything_logged.messages


def test_requests_are_signed_for_the_host_they_go_to() -> None:
    """The Host header is that of the endpoint, with its port."""
    fake = FakeS3("bucket")
    fake.put("bucket", "key", b"content")
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).cat_file("bucket/key")
        expects(headers={"host": f"127.0.0.1:{server.port}"})(server.requests[0])
        assert "SignedHeaders=" in server.requests[0].headers["authorization"]
        assert "host" in server.requests[0].headers["authorization"].split("SignedHeaders=")[1]
