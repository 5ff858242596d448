"""What a hop between us and the store may change is not signed, and what guards a write is."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest

from fsspec_guarded_s3 import AccessDeniedError
from fsspec_guarded_s3._auth.signer import Signer
from fsspec_guarded_s3._auth.sigv4 import is_signed
from fsspec_guarded_s3._values.models import Request as S3Request
from fsspec_guarded_s3.options import Options
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Request, ScriptedServer
from tests.sigv4 import SECRET, Hop, checking, is_signed_right, signed_names


def with_header(name: str, change: Callable[[str], str | None]) -> Hop:
    """A hop that changes one header where it is there; None drops it."""

    def hop(target: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
        if name in headers:
            value = change(headers.pop(name))
            if value is not None:
                headers[name] = value
        return target, headers

    return hop


HOPS: dict[str, Hop] = {
    "nothing": lambda target, headers: (target, headers),
    "Google's front end": with_header("accept-encoding", lambda value: f"{value},gzip(gfe)"),
    "a rewritten Accept-Encoding": with_header("accept-encoding", lambda value: "gzip, br"),
    "no Accept-Encoding": with_header("accept-encoding", lambda value: None),
    "a User-Agent with the proxy's": with_header("user-agent", lambda value: f"{value} proxy/1"),
    "a cache that asks for all of it": with_header("range", lambda value: None),
    "a cache that asks for more": with_header("range", lambda value: "bytes=0-1048575"),
    "a body that is framed anew": with_header("content-length", lambda value: None),
    "Connection": with_header("connection", lambda value: "close"),
    "a Host in lower case": with_header("host", str.lower),
    "a Host without the port of the scheme": with_header("host", lambda v: re.sub(r":(80|443)$", "", v)),
    "a path that was decoded": lambda target, headers: (
        unquote(target.partition("?")[0]) + "".join(target.partition("?")[1:]),
        headers,
    ),
    "a trace": lambda target, headers: (target, {**headers, "traceparent": "00-1", "x-forwarded-for": "::1"}),
}


@pytest.mark.parametrize("name", HOPS)
def test_every_verb_passes_a_hop_that_changes_what_a_hop_may_change(name: str) -> None:
    """Reads, ranges, listings, writes of one and of many parts, copies, deletes, tags."""
    fake = FakeS3("bucket")
    with ScriptedServer(handler=checking(fake, HOPS[name])) as server:
        fs = filesystem(server.url, secret=SECRET, part_size=5 * MIB, multipart_threshold=6 * MIB)
        fs.pipe_file(
            "bucket/a b/+ü", b"content", mode="create", ContentType="text/plain", CacheControl="no-cache"
        )
        fs.pipe_file("bucket/large", bytes(7 * MIB), Metadata={"owner": "me"})
        assert fs.cat_file("bucket/a b/+ü") == b"content"
        assert fs.cat_ranges(["bucket/large"] * 2, [0, 6 * MIB], [2, 6 * MIB + 3], max_gap=0) == [
            bytes(2),
            bytes(3),
        ]
        assert fs.info("bucket/large")["size"] == 7 * MIB
        assert sorted(fs.find("bucket")) == ["bucket/a b/+ü", "bucket/large"]
        fs.cp_file("bucket/a b/+ü", "bucket/copy")
        fs.put_tags("bucket/copy", {"a": "b"})
        fs.rm(["bucket/copy", "bucket/large"])
        with fs.open("bucket/a b/+ü") as file:
            assert file.read(3) == b"con"
        fs.rm_file("bucket/a b/+ü")
    assert {request.method for request in server.requests} == {"GET", "HEAD", "PUT", "POST", "DELETE"}


def test_the_server_of_these_tests_refuses_a_wrong_signature() -> None:
    """The test above would hold for one that looks at nothing."""
    handler = checking(FakeS3("bucket"), HOPS["nothing"])
    with ScriptedServer(handler=handler) as server, pytest.raises(AccessDeniedError):
        filesystem(server.url, secret="another").ls("bucket")


STRIPPED = {
    "the condition of a create": ("if-none-match", {"mode": "create"}),
    "the condition of a swap": ("if-match", {"if_match": '"etag"'}),
    "the content type": ("content-type", {"ContentType": "text/plain"}),
    "the cache control": ("cache-control", {"CacheControl": "no-store"}),
    "the metadata": ("x-amz-meta-owner", {"Metadata": {"owner": "me"}}),
    "the checksum": ("x-amz-checksum-crc32", {}),
}


@pytest.mark.parametrize("case", STRIPPED)
def test_a_write_is_refused_when_a_hop_strips(case: str) -> None:
    """An unsigned If-None-Match would make an overwrite of it, unnoticed."""
    name, options = STRIPPED[case]
    fake = FakeS3("bucket")
    fake.put("bucket", "key", b"before")
    with ScriptedServer(handler=checking(fake, with_header(name, lambda value: None))) as server:
        with pytest.raises(AccessDeniedError, match="a proxy changed the request"):
            filesystem(server.url, secret=SECRET).pipe_file("bucket/key", b"after", **options)
        assert filesystem(server.url, secret=SECRET).cat_file("bucket/key") == b"before"


def test_reads_sign_host_and_amz_headers_alone() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        fs.pipe_file("bucket/key", b"content")
        fs.cat_file("bucket/key")
        fs.ls("bucket")
        fs.info("bucket/key")
        for request in server.requests:
            if request.method in ("GET", "HEAD"):
                assert all(name == "host" or name.startswith("x-amz-") for name in signed_names(request))


@pytest.mark.parametrize("name", ["accept-encoding", "content-length", "range", "user-agent", "expect", "te"])
def test_header_of_a_hop_is_not_signed(name: str) -> None:
    assert not is_signed(name)


# --- the Host header and the path of endpoint_url --------------------------------------------------


def sent(url: str, **options: Any) -> tuple[str, str, int, str]:
    """(Host header, host to connect to, port, target) of a GET."""
    chosen = {"key": "k", "secret": SECRET, "region": "us-east-1", "allow_http": True, **options}
    wire = Signer(Options(endpoint_url=url, **chosen)).sign(S3Request("GetObject", "GET", "bucket", "a b"))
    headers = dict(wire.headers)
    assert is_signed_right("GET", wire.target, headers), "by the header as it is sent"
    return headers["host"], wire.host, wire.port, wire.target


HOSTS = {
    "https://store.test": ("store.test", "store.test", 443),
    "https://store.test:443": ("store.test", "store.test", 443),
    "http://store.test:80/": ("store.test", "store.test", 80),
    "https://store.test:80": ("store.test:80", "store.test", 80),
    "http://store.test:443": ("store.test:443", "store.test", 443),
    "https://Store.TEST:9000": ("store.test:9000", "store.test", 9000),
    "https://store.test.": ("store.test", "store.test.", 443),
    "https://store.test.:9000": ("store.test:9000", "store.test.", 9000),
    "http://[::1]": ("[::1]", "::1", 80),
    "https://[2001:DB8::1]:443": ("[2001:db8::1]", "2001:db8::1", 443),
    "https://[fe80::1%25eth0]:9000": ("[fe80::1]:9000", "fe80::1%eth0", 9000),
    "http://0.0.0.0:9000": ("0.0.0.0:9000", "0.0.0.0", 9000),
    "http://minio.localhost:9000": ("minio.localhost:9000", "localhost", 9000),
    "https://minio.localhost:9000": ("minio.localhost:9000", "minio.localhost", 9000),
}


@pytest.mark.parametrize("url", HOSTS)
def test_host_is_signed_as_every_hop_would_write_it(url: str) -> None:
    assert sent(url)[:3] == HOSTS[url]


def test_host_of_a_virtual_hosted_bucket_is_normalised_too() -> None:
    assert sent("https://Store.Test:443", addressing_style="virtual")[0] == "bucket.store.test"


PREFIXES = {
    "": "",
    "/": "",
    "//": "",
    "/s3": "/s3",
    "/s3/v1/": "/s3/v1",
    "/my prefix": "/my%20prefix",
    "/my%20prefix": "/my%20prefix",
    "/a+b(c)=d": "/a%2Bb%28c%29%3Dd",
    "/ü": "/%C3%BC",
    "/%c3%bc": "/%C3%BC",
    "/%FF": "/%FF",
    "/a%2Fb": "/a%2Fb",
    "/100%": "/100%25",
    "/~me": "/~me",
}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_path_of_the_endpoint_is_sent_as_it_is_signed(prefix: str) -> None:
    """Encoded once, whichever way it was written."""
    wire = Signer(
        Options(key="k", secret=SECRET, region="r", endpoint_url=f"https://store.test{prefix}")
    ).sign(S3Request("GetObject", "GET", "bucket", "a b"))
    assert wire.target == f"{PREFIXES[prefix]}/bucket/a%20b"


@pytest.mark.parametrize("prefix", ["", "/s3/v1", "/my prefix", "/ü+(x)", "/my%20prefix/"])
def test_store_below_a_path_takes_every_request(prefix: str) -> None:
    """Whatever the store makes of an encoded path before it checks the signature."""
    fake = FakeS3("bucket")

    def below(request: Request) -> Any:
        assert unquote(request.path).startswith(unquote(prefix).rstrip("/"))
        return fake(without_prefix(request, len(unquote(prefix).rstrip("/"))))

    with ScriptedServer(handler=checking(below, HOPS["nothing"])) as server:
        fs = filesystem(server.url + prefix, secret=SECRET)
        fs.pipe_file("bucket/key", b"content")
        assert fs.cat_file("bucket/key") == b"content"
        assert fs.find("bucket") == ["bucket/key"]


def without_prefix(request: Request, length: int) -> Request:
    """The request as the store below the prefix sees it; `path` is decoded."""
    return replace(request, path=unquote(request.path)[length:])


@pytest.mark.parametrize(
    "url",
    [
        "https://name:hush-secret@store.test",
        "https://hush-secret@store.test/path",
        "https://store.test?sig=hush-secret",
        "https://store.test/#hush-secret",
        "https://store.test:port",
        "https://store.test:0",
        "https://store.test:70000",
        "https://[::1",
        "https://bad host",
        "https://store.test\n",
        "https://st\u00f6re.test",
        "https://",
        "store.test",
        "//store.test",
        "name:hush-secret@store.test",
    ],
)
@pytest.mark.parametrize("place", ["option", "environment"])
def test_endpoint_url_that_is_none_is_refused_and_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, url: str, place: str
) -> None:
    if place == "environment":
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    options = {"endpoint_url": url} if place == "option" else {}
    with pytest.raises(ValueError, match="endpoint_url") as caught:
        Signer(Options(key="k", secret="s", region="r", **options)).endpoint("bucket")
    assert "hush" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("region", ["us east", "us-east-1\r\nX-Evil: 1", "\u00fc", "a/b", "-", " us-east-1"])
def test_region_that_would_break_the_signature_is_refused(region: str) -> None:
    with pytest.raises(ValueError, match="region"):
        Signer(Options(key="k", secret="s", region=region, endpoint_url="https://store.test")).endpoint(
            "bucket"
        )
