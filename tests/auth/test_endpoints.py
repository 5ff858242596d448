"""Every kind of bucket is reached where botocore's own client reaches it, and signed as it signs."""

import hashlib
import hmac
import re
import sys
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import botocore.awsrequest
import botocore.config
import botocore.session
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from fsspec_guarded_s3 import ConnectError
from fsspec_guarded_s3._auth import endpoints
from fsspec_guarded_s3._auth.signer import Signer
from fsspec_guarded_s3._s3.headers import copy_source
from fsspec_guarded_s3._values.models import Request as S3Request
from fsspec_guarded_s3._values.models import SessionCredentials
from fsspec_guarded_s3._values.paths import S3Path, parse
from fsspec_guarded_s3.options import Options
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "hush-secret", "hush-token"
SESSION = (
    b"<CreateSessionResult><Credentials><SessionToken>session-token</SessionToken>"
    b"<SecretAccessKey>session-secret</SecretAccessKey><AccessKeyId>session-key</AccessKeyId>"
    b"<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></CreateSessionResult>"
)
ACCESS_POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine"
ALIAS = "mine-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"
OUTPOST = "arn:aws:s3-outposts:eu-west-1:123456789012:outpost/op-01234567890123456/accesspoint/mine"
LAMBDA = "arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/mine"
MRAP = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"
EXPRESS = "mine--use1-az4--x-s3"

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "bucket": ("bucket", {}, {}),
    "bucket elsewhere": ("bucket", {"region": "eu-west-1"}, {}),
    "bucket in China": ("bucket", {"region": "cn-north-1"}, {}),
    "bucket of the government": ("bucket", {"region": "us-gov-west-1"}, {}),
    "dual-stack": ("bucket", {"use_dualstack": True}, {"use_dualstack_endpoint": True}),
    "FIPS": ("bucket", {"use_fips": True}, {"use_fips_endpoint": True}),
    "FIPS, dual-stack": (
        "bucket",
        {"use_fips": True, "use_dualstack": True},
        {"use_fips_endpoint": True, "use_dualstack_endpoint": True},
    ),
    "accelerate": ("bucket", {"use_accelerate": True}, {"s3": {"use_accelerate_endpoint": True}}),
    "accelerate, dual-stack": (
        "bucket",
        {"use_accelerate": True, "use_dualstack": True},
        {"s3": {"use_accelerate_endpoint": True}, "use_dualstack_endpoint": True},
    ),
    "path style": ("bucket", {"addressing_style": "path"}, {"s3": {"addressing_style": "path"}}),
    "dotted": ("dotted.bucket", {}, {}),
    "access point": (ACCESS_POINT, {}, {}),
    "access point, dual-stack": (ACCESS_POINT, {"use_dualstack": True}, {"use_dualstack_endpoint": True}),
    "access point, FIPS": (
        ACCESS_POINT.replace("eu-west-1", "us-east-2"),
        {"use_fips": True},
        {"use_fips_endpoint": True},
    ),
    "alias of an access point": (ALIAS, {}, {}),
    "object lambda": (LAMBDA, {}, {}),
    "multi-region access point": (MRAP, {}, {}),
    "directory bucket": (EXPRESS, {}, {}),
    "directory bucket, FIPS": (EXPRESS, {"use_fips": True}, {"use_fips_endpoint": True}),
    "access point of a directory bucket": ("mine--use1-az4--xa-s3", {}, {}),
}


def signer(**options: Any) -> Signer:
    chosen = {"key": KEY, "secret": SECRET, "token": TOKEN, "region": "us-east-1", **options}
    return Signer(Options(**chosen))


def ours(bucket: str, **options: Any) -> tuple[str, dict[str, str]]:
    """URL and headers of a GET of ours."""
    made = signer(**options)
    session = SessionCredentials("session-key", "session-secret", "session-token", 300)
    request = S3Request("GetObject", "GET", bucket, "a b/+c")
    wire = made.sign(request, session if made.needs_session(bucket) else None)
    return f"{wire.scheme}://{wire.headers['host']}{wire.target}", dict(wire.headers)


def theirs(bucket: str, region: str, **config: Any) -> tuple[str, dict[str, str]]:
    """URL and headers of the same by botocore's client, which is kept from sending it."""
    sent: list[Any] = []

    def answer(request: Any, **_: Any) -> botocore.awsrequest.AWSResponse:
        sent.append(request)
        body = SESSION if "session" in urlsplit(request.url).query else b""

        class Raw:
            def stream(self) -> Any:
                yield body

            def read(self, *_: Any) -> bytes:
                return body

        return botocore.awsrequest.AWSResponse(request.url, 200, {}, Raw())

    # Without it botocore goes to the old global endpoint for us-east-1.
    config["s3"] = {"us_east_1_regional_endpoint": "regional", **config.get("s3", {})}
    client = botocore.session.Session().create_client(
        "s3",
        region_name=region,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        aws_session_token=TOKEN,
        config=botocore.config.Config(**config),
    )
    client.meta.events.register("before-send.s3", answer)
    client.get_object(Bucket=bucket, Key="a b/+c")
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else value
        for name, value in sent[-1].headers.items()
    }
    return sent[-1].url, headers


def scheme_of(headers: dict[str, str]) -> tuple[str, str, bool, bool, str | None]:
    """Algorithm, credential scope without date, how the token is called, regions of SigV4A."""
    found = re.match(r"(\S+) Credential=(\w[\w-]*)/\d{8}/(\S+),", headers["authorization"])
    assert found
    return (
        found[1],
        f"{found[2]} {found[3]}",
        "x-amz-security-token" in headers,
        "x-amz-s3session-token" in headers,
        headers.get("x-amz-region-set"),
    )


@pytest.mark.parametrize("case", CASES)
def test_endpoint_and_signature_are_botocores(case: str) -> None:
    """URL, region, service name, scheme and token."""
    bucket, options, config = CASES[case]
    url, headers = ours(bucket, **options)
    their_url, their_headers = theirs(bucket, options.get("region", "us-east-1"), **config)
    assert url == their_url
    assert scheme_of(headers) == scheme_of(their_headers)


def test_outposts_are_signed_by_the_cheaper_of_two_schemes() -> None:
    """They take SigV4A too, which botocore uses where awscrt is installed."""
    url, headers = ours(OUTPOST)
    their_url, their_headers = theirs(OUTPOST, "us-east-1")
    assert url == their_url
    assert scheme_of(headers)[1] == f"{KEY} eu-west-1/s3-outposts/aws4_request"
    assert scheme_of(their_headers)[1] == f"{KEY} s3-outposts/aws4_request"


@pytest.mark.parametrize("arn", [ACCESS_POINT, OUTPOST, LAMBDA, MRAP, MRAP.replace("/", ":")])
def test_an_arn_is_the_bucket_of_a_path(arn: str) -> None:
    assert parse(f"{arn}/a/b c") == S3Path(arn, "a/b c")
    assert parse(arn) == S3Path(arn)


def test_a_copy_names_its_source_as_an_object_of_the_access_point() -> None:
    """CopyObject, x-amz-copy-source."""
    assert copy_source(S3Path(ACCESS_POINT, "a b"), "e")["x-amz-copy-source"] == (
        f"{ACCESS_POINT}/object/a%20b"
    )
    assert copy_source(S3Path("bucket", "a b", "v1"), "e")["x-amz-copy-source"] == (
        "/bucket/a%20b?versionId=v1"
    )


# --- SigV4A ----------------------------------------------------------------------------------------


def public_key() -> ec.EllipticCurvePublicKey:
    """The key pair that SigV4A derives from a secret (NIST SP 800-108, counter mode), its public half."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for counter in range(1, 255):
        text = b"\0\0\0\1AWS4-ECDSA-P256-SHA256\0" + KEY.encode() + bytes([counter]) + b"\0\0\1\0"
        number = int.from_bytes(hmac.digest(f"AWS4A{SECRET}".encode(), text, "sha256"), "big")
        if number <= order - 2:
            return ec.derive_private_key(number + 1, ec.SECP256R1()).public_key()
    raise AssertionError("no key")


def verify(method: str, path: str, query: str, headers: dict[str, str], payload: str, signature: str) -> None:
    """Raises unless `signature` is right for the request; `headers` are those that are signed."""
    rows = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    canonical = f"{method}\n{path}\n{query}\n{rows}\n{';'.join(sorted(headers))}\n{payload}"
    date = headers.get("x-amz-date") or dict(parse_qsl(query))["X-Amz-Date"]
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-ECDSA-P256-SHA256\n{date}\n{date[:8]}/s3/aws4_request\n{digest}"
    public_key().verify(bytes.fromhex(signature), text.encode(), ec.ECDSA(hashes.SHA256()))


def test_multi_region_signature_is_right() -> None:
    """Verified with the public key; botocore's own passes the same check."""
    for url, headers in (ours(MRAP), theirs(MRAP, "us-east-1")):
        names, signature = re.search(  # type: ignore[union-attr]
            r"SignedHeaders=(\S+), Signature=(\w+)", headers["authorization"]
        ).groups()
        signed = {name: headers.get(name, urlsplit(url).netloc) for name in names.split(";")}
        assert {"host", "x-amz-region-set", "x-amz-security-token"} <= set(signed)
        assert not {"accept-encoding", "content-length", "user-agent"} & set(signed)
        parts = urlsplit(url)
        verify("GET", parts.path, parts.query, signed, headers["x-amz-content-sha256"], signature)


def test_multi_region_url_is_right() -> None:
    url = signer().presign(S3Request("GetObject", "GET", MRAP, "a b"), 60)
    parts = urlsplit(url)
    query, _, signature = parts.query.rpartition("&X-Amz-Signature=")
    assert dict(parse_qsl(query))["X-Amz-Region-Set"] == "*"
    ordered = "&".join(sorted(query.split("&")))
    verify("GET", parts.path, ordered, {"host": parts.netloc}, "UNSIGNED-PAYLOAD", signature)


def test_without_awscrt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "awscrt.auth", None)
    with pytest.raises(ImportError, match="pip install awscrt"):
        ours(MRAP)


def test_cases_of_the_table_are_distinct() -> None:
    """The comparison above would hold for a table of one case."""
    assert len({ours(bucket, **options)[0] for bucket, options, _ in CASES.values()}) == len(CASES)


URLS = [
    None,  # AWS
    "http://127.0.0.1:9000",
    "https://store.example/",
    "https://h.example:81/base/x/",
    "https://[::1]",
    "https://h/a b/%C3%BC",
]
BUCKETS = [
    "bucket",
    ALIAS,
    "my.dotted.bucket",
    "1-2",
    "a" * 63,
    "192.168.0.1",
    "ab",
    "-a-b",
    "abc-",
    "x--x-s3",
    "a--b",
    "Upper_Case",
]
REGIONS = [
    None,
    "us-east-1",
    "eu-west-1",
    "ap-southeast-5",
    "us-iso-east-1",
    "eusc-de-east-1",
    "cn-north-1",
    "xx-west-1",
    "us-west-1b",
    "auto",
    "garage",
    "aws-global",
    "us-gov-west-1",
    "a b",
]
MORE: list[dict[str, Any]] = [
    {},
    {"addressing_style": "path"},
    {"addressing_style": "virtual"},
    {"use_accelerate": True},
    {"use_fips": True, "use_dualstack": True},
]


@pytest.mark.parametrize("more", MORE, ids=str)
@pytest.mark.parametrize("url", URLS)
def test_plain_bucket_is_where_the_rules_have_it(
    monkeypatch: pytest.MonkeyPatch, url: str | None, more: dict[str, Any]
) -> None:
    def found() -> list[Any]:
        places: list[Any] = []
        for region in REGIONS:
            made = signer(endpoint_url=url, region=region, **more)
            for bucket in BUCKETS:
                try:
                    places.append(made.endpoint(bucket))
                except ValueError as error:
                    places.append(str(error))
        return places

    short = found()
    for plain in ("_PLAIN", "_PLAIN_LABEL"):
        monkeypatch.setattr(endpoints, plain, re.compile("(?!)"))
    assert short == found()


def test_every_region_of_aws_is_where_the_rules_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = botocore.session.Session().get_component("data_loader").load_data("partitions")
    regions = [region for partition in data["partitions"] for region in partition["regions"]]
    short = [signer(region=region).endpoint("bucket") for region in regions]
    monkeypatch.setattr(endpoints, "_PLAIN_LABEL", re.compile("(?!)"))
    assert short == [signer(region=region).endpoint("bucket") for region in regions]
    assert len(short) > 40


def test_plain_bucket_needs_no_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> Any:
        raise AssertionError("botocore's rules were loaded")

    monkeypatch.setattr(endpoints, "_botocores", load)
    assert signer(endpoint_url="http://127.0.0.1:9000").endpoint("bucket").base_path == "/bucket"
    assert signer(region="eu-west-1").endpoint("bucket").host == "bucket.s3.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    "host", ["[::1%25lo]", "[::1]", "[::ffff:127.0.0.1]", "localhost.", "LOCALHOST", "a.localhost."]
)
def test_every_name_of_this_machine_is_reached_or_refused_as_a_connection(host: str) -> None:
    """A zone, a dot at the end, upper case: no error but that of a connection."""
    fake = FakeS3("bucket")
    fake.put("bucket", "key", b"1")
    with ScriptedServer(handler=fake) as server:
        port = server.url.rpartition(":")[2]
        fs = filesystem(f"http://{host}:{port}", max_attempts=1)
        try:
            assert fs.cat_file("bucket/key") == b"1"
        except ConnectError:
            assert ":" in host, "the server listens on 127.0.0.1 only"


@pytest.mark.parametrize(
    ("url", "is_aws"),
    [
        (None, True),
        ("https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com", True),
        ("http://127.0.0.1:9000", False),
        ("http://[::1]:9000", False),
        ("http://localhost:9000", False),
        ("https://minio:9000", False),
    ],
)
def test_most_hosts_are_known_as_those_of_aws_or_of_others_without_botocore(
    url: str | None, is_aws: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "_botocores", lambda: pytest.fail("botocore is loaded"))
    assert signer(endpoint_url=url, region="us-east-1", allow_http=True).is_aws("bucket") is is_aws


@pytest.mark.parametrize(
    ("url", "is_aws"),
    [
        ("https://s3.cn-north-1.amazonaws.com.cn", True),
        ("https://s3.example.com", False),
        ("https://amazonaws.com.example.org", False),
    ],
)
def test_other_hosts_are_looked_for_in_the_partitions(url: str, is_aws: bool) -> None:
    assert signer(endpoint_url=url, region="us-east-1").is_aws("bucket") is is_aws
