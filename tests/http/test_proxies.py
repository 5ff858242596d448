"""Proxies that the environment names: what they are told, and what is told of them."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

from fsspec_guarded_s3 import ConfigurationError, ConnectError, TransportError
from fsspec_guarded_s3._http import plain
from fsspec_guarded_s3._http.connect import Proxy, proxy_for
from fsspec_guarded_s3._work import Work, working_for
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import (
    Answer,
    Request,
    ScriptedServer,
    certificate,
    dont_read,
    eventually,
    raw,
    respond,
    stall,
    stall_body,
)

SECRET = "pa ss:w@rd"
CREDENTIALS = "user:pa%20ss%3Aw%40rd@"


class Forwarder:
    """A proxy that sends everything to one server: CONNECT and absolute URLs. `heads` is what it was told."""

    def __init__(self, target: int, context: ssl.SSLContext | None, refusal: bytes = b"") -> None:
        self._target = target
        self._context = context
        self._refusal = refusal
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        self.port: int = self._listener.getsockname()[1]
        self.heads: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for sock in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._open.append(near)
            if self._context is not None:
                near = self._context.wrap_socket(near, server_side=True)
                self._open.append(near)
            data = b""
            while b"\r\n\r\n" not in data:
                data += near.recv(65536)
            head = data.partition(b"\r\n\r\n")[0].decode()
            self.heads.append(head)
            if self._refusal:
                near.sendall(self._refusal)
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            self._open.append(far)
            if head.startswith("CONNECT"):
                near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                far.sendall(_origin_form(data))
            threading.Thread(target=_carry, args=(far, near), daemon=True).start()
            _carry(near, far)


def _origin_form(data: bytes) -> bytes:
    """What the test's server understands, of a request as a proxy gets it."""
    return data.replace(b" http://store.test/", b" /")


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(_origin_form(data))
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sink, socket.SHUT_RDWR)


@contextlib.contextmanager
def forwarder(
    target: int, context: ssl.SSLContext | None = None, refusal: bytes = b""
) -> Iterator[Forwarder]:
    found = Forwarder(target, context, refusal)
    try:
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("credentials", ["", CREDENTIALS])
@pytest.mark.parametrize("by", ["http", "https", ""])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_store_is_reached_by_a_proxy(
    scheme: str, by: str, credentials: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By http and https, to http and https, with and without a scheme and a user in its URL."""
    fake = FakeS3("bucket")
    with (
        certificate("127.0.0.1", "store.test") as (context, ca_path),
        ScriptedServer(handler=fake, tls=context if scheme == "https" else False) as server,
        forwarder(server.port, context if by == "https" else None) as proxy,
    ):
        url = f"{by}://{credentials}127.0.0.1:{proxy.port}".removeprefix("://")
        monkeypatch.setenv(f"{scheme}_proxy", url)
        fs = filesystem(f"{scheme}://store.test", allow_http=True, ca_bundle=ca_path)
        fs.pipe_file("bucket/key", bytes(MIB))
        assert fs.cat_file("bucket/key") == bytes(MIB)
    expected = f"Basic {base64.b64encode(f'user:{SECRET}'.encode()).decode()}"
    for head in proxy.heads:
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
        assert fields.get("proxy-authorization") == (expected.lower() if credentials else None)
    assert proxy.heads[0].startswith(
        "CONNECT store.test:443" if scheme == "https" else "PUT http://store.test/"
    )
    if scheme == "https":
        seen = [request.headers for request in server.requests]
        assert not any("proxy-authorization" in headers for headers in seen), "that is for the proxy alone"


@pytest.mark.parametrize("credentials", ["", CREDENTIALS])
def test_store_is_reached_within_the_tls_of_a_proxy_without_the_private_part_of_urllib3(
    credentials: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain.missing_part.cache_clear()
    plain.say_once.cache_clear()
    monkeypatch.setattr("urllib3.util.ssltransport.SSLTransport", type("Another", (), {}))
    try:
        test_store_is_reached_by_a_proxy("https", "https", credentials, monkeypatch)
    finally:
        plain.missing_part.cache_clear()
    assert [r.levelname for r in caplog.records if "SSLTransport" in r.message] == ["WARNING"]
    assert SECRET not in caplog.text


@pytest.mark.parametrize("by", ["http", "https"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("size", [1, 8192, 20_000, 100_000])
def test_what_comes_behind_an_answer_is_not_the_next_one(
    size: int, scheme: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever layer it waits in: TLS to the store, TLS to the proxy, or TLS in TLS."""
    first = b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: "e"\r\n\r\n' % size + b"a" * size
    wrong = b'HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: "w"\r\n\r\nWRONG!'

    def answer(request: Request) -> Answer:
        return (
            raw(first + wrong, close=False) if request.path.endswith("/a") else respond(200, b"r", etag="r")
        )

    with (
        certificate("127.0.0.1", "store.test") as (context, ca_path),
        ScriptedServer(handler=answer, tls=context if scheme == "https" else False) as server,
        forwarder(server.port, context if by == "https" else None) as proxy,
    ):
        monkeypatch.setenv(f"{scheme}_proxy", f"{by}://127.0.0.1:{proxy.port}")
        fs = filesystem(f"{scheme}://store.test", allow_http=True, ca_bundle=ca_path)
        for _ in range(3):
            assert fs.cat_file("bucket/a") == b"a" * size
            assert fs.cat_file("bucket/b") == b"r"


@contextlib.contextmanager
def silent_listener() -> Iterator[int]:
    """The port of a server that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found.getsockname()[1]


@pytest.mark.parametrize("by", ["http", "https"])
@pytest.mark.parametrize("waits", ["handshake", "answer", "body", "send"])
def test_work_that_ends_does_not_wait_for_what_is_behind_a_proxy(
    waits: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By turns in each layer: the time-outs are far longer than what is waited for here."""
    asked = threading.Event()

    def answer(request: Request) -> Answer:
        asked.set()
        if waits == "body":
            return stall_body(200, bytes(100_000), after=50_000, etag="e")
        return stall()

    def silent(request: Request) -> Answer:
        asked.set()
        return dont_read()

    with (
        certificate("127.0.0.1", "store.test") as (context, ca_path),
        silent_listener() as nobody,
        ScriptedServer(handler=silent if waits == "send" else answer, tls=context) as server,
        forwarder(
            nobody if waits == "handshake" else server.port, context if by == "https" else None
        ) as proxy,
    ):
        monkeypatch.setenv("https_proxy", f"{by}://127.0.0.1:{proxy.port}")
        long = dict.fromkeys(("connect_timeout", "read_timeout", "send_timeout", "request_deadline"), 200.0)
        fs = filesystem("https://store.test", ca_bundle=ca_path, max_attempts=1, min_rate=0, **long)
        work, ended = Work(), threading.Event()

        def use() -> None:
            with working_for(work), contextlib.suppress(CancelledError):
                fs.pipe_file("bucket/key", bytes(64 * MIB)) if waits == "send" else fs.cat_file("bucket/key")
            ended.set()

        threading.Thread(target=use, daemon=True).start()
        if waits == "handshake":
            eventually(lambda: proxy.heads)
        else:
            assert asked.wait(60)
        time.sleep(0.3)
        assert not ended.is_set()
        work.end()
        assert ended.wait(20)


@pytest.mark.parametrize("status", [407, 502, 403])
def test_refusal_of_a_proxy_names_it_and_not_its_password(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status
    with forwarder(1, refusal=refusal) as proxy:
        monkeypatch.setenv("https_proxy", f"http://{CREDENTIALS}127.0.0.1:{proxy.port}")
        with pytest.raises(ConnectError) as caught:
            filesystem("https://store.test", max_attempts=1, read_timeout=status / 10).cat_file("bucket/key")
    said = f"{caught.value!r} {caught.value}"
    assert f"http://127.0.0.1:{proxy.port}" in said
    assert str(status) in said
    assert "user" not in said.replace("user and password", "")
    assert "pa%20ss" not in said
    assert not caught.value.maybe_applied


@pytest.mark.parametrize(
    "url", ["socks5://127.0.0.1:1080", "http://", "http://host:port", "ftp://host", "//"]
)
def test_what_is_no_proxy_is_a_wrong_configuration(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", url)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY"):
        filesystem("https://store.test").cat_file("bucket/key")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY"):
        filesystem("https://store.test").exists("bucket/key")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("proxy:3128", "http://proxy:3128"),
        ("//proxy:3128", "http://proxy:3128"),
        ("http://proxy", "http://proxy:80"),
        ("https://proxy/", "https://proxy:443"),
        ("http://user:secret@proxy:1", "http://proxy:1"),
        ("user:secret@proxy:1", "http://proxy:1"),
        ("http://[::1]:3128", "http://[::1]:3128"),
        ("http://[fe80::1%25eth0]:3128", "http://[fe80::1%eth0]:3128"),
        (" HTTP://proxy:3128 ", "http://proxy:3128"),
    ],
)
def test_url_of_a_proxy_is_read_as_botocore_does_and_shown_without_its_user(
    url: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", url)
    found = proxy_for("https", "store.test", 443)
    assert isinstance(found, Proxy)
    assert found.shown == shown
    assert "secret" not in repr(found)
    assert bool(found.authorization) is ("user" in url)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("fault", [stall(), raw(b""), dont_read()], ids=["hangs", "closes", "takes nothing"])
def test_a_proxy_that_does_not_answer_is_named(
    fault: Answer, tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks for the fault at the store looks in the wrong place."""
    scheme = "https" if tls else "http"
    with ScriptedServer(handler=lambda request: fault) as server:
        monkeypatch.setenv(f"{scheme}_proxy", f"http://{CREDENTIALS}127.0.0.1:{server.port}")
        fs = filesystem(
            f"{scheme}://store.test", allow_http=True, max_attempts=1, read_timeout=0.5, send_timeout=0.5
        )
        for call in (lambda: fs.cat_file("bucket/key"), lambda: fs.put_tags("bucket/key", {"a": "1"})):
            with pytest.raises(
                TransportError, match=f"by the proxy http://127.0.0.1:{server.port}"
            ) as caught:
                call()
            assert "pa%20ss" not in f"{caught.value!r} {caught.value}"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_all_proxy_stands_in_for_that_of_the_scheme(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for curl."""
    monkeypatch.setenv("all_proxy", "http://all:1")
    found = proxy_for(scheme, "store.test", 443)
    assert found is not None
    assert found.shown == "http://all:1"
    monkeypatch.setenv(f"{scheme}_proxy", "http://own:2")
    found = proxy_for(scheme, "store.test", 443)
    assert found is not None
    assert found.shown == "http://own:2"
    monkeypatch.setenv("no_proxy", "store.test")
    assert proxy_for(scheme, "store.test", 443) is None


def test_all_proxy_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://user:PASSWORD@host:1080")
    with pytest.raises(ConfigurationError, match="ALL_PROXY must be") as caught:
        filesystem("https://store.test").exists("bucket/key")
    assert "PASS" not in "".join(traceback.format_exception(caught.value))


# --- what changes while the process lives ---


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_new_filesystem_goes_by_the_proxy_of_now_while_an_older_one_lives(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share connections, of which none is kept that would be made otherwise."""
    fake = FakeS3("bucket")
    fake.put("bucket", "key", b"1")
    with (
        certificate("127.0.0.1", "store.test") as (context, ca_path),
        ScriptedServer(handler=fake, tls=context if scheme == "https" else False) as server,
        forwarder(server.port) as first,
        forwarder(server.port) as second,
    ):

        def new() -> Any:
            return filesystem(f"{scheme}://store.test", allow_http=True, ca_bundle=ca_path, max_attempts=1)

        monkeypatch.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{first.port}")
        older = new()
        assert older.cat_file("bucket/key") == b"1"
        monkeypatch.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{second.port}")
        assert new().cat_file("bucket/key") == b"1"
        assert (len(first.heads), len(second.heads)) == (1, 1)
        monkeypatch.setenv("no_proxy", "store.test")
        with pytest.raises(ConnectError, match=r"no connection to store\.test:\d+: "):
            new().cat_file("bucket/key")
        monkeypatch.delenv("no_proxy")
        monkeypatch.setenv(f"{scheme}_proxy", "http://[")
        with pytest.raises(ConfigurationError, match=f"{scheme.upper()}_PROXY"):
            new().cat_file("bucket/key")
        monkeypatch.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{second.port}")
        assert older.cat_file("bucket/key") == b"1", "the older one connects by what the environment says now"
        assert (len(first.heads), len(second.heads)) == (1, 2)


@pytest.mark.parametrize(
    "named", ["store.test", "STORE.test", ".test", "store.test:8443", "other, store.test:8443", "*"]
)
def test_no_proxy_may_name_the_port(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", named)
    assert proxy_for("https", "store.test", 8443) is None


@pytest.mark.parametrize("named", ["store.test:8444", "store", "tore.test", "store.test.org", ""])
def test_no_proxy_that_names_another(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", named)
    assert proxy_for("https", "store.test", 8443) is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://user:PASSWORD@[::1",
        "http://user:PASSWORD@[zz]:1",
        "http://user:PASSWORD@host:bad",
        "http://user:PASSWORD@host:0",
        "http://user:PASSWORD@host:99999",
        "http://user:PASS[WORD@host:1",
        "http://user:PASSWORD@",
        "socks5://user:PASSWORD@host",
        "http://user:p@PASS/WORD@host:1",
        "http://user:p@PASSWORD?w@host:1",
        "http://user:p@PASSWORD#w@host:1",
        "http://user:1/PASSWORD@host:1",
        "user:p@PASS/WORD@host:1",
    ],
)
def test_a_wrong_proxy_is_named_by_its_variable_and_its_password_is_not_shown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", url)
    fs = filesystem("http://store.test", allow_http=True)
    looks: list[Any] = [
        lambda: fs.cat(["bucket/a", "bucket/b"], on_error="omit"),
        lambda: list(fs.walk("bucket")),
        lambda: fs.exists("bucket/a"),
        lambda: fs.pipe_file("bucket/a", b"1"),
    ]
    for look in looks:
        with pytest.raises(ConfigurationError, match="HTTP_PROXY must be") as caught:
            look()
        shown = "".join(traceback.format_exception(caught.value))
        assert "PASS" not in shown
