"""A way that does not lead to the store is told by every verb, and nothing can have been written by it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from fsspec_guarded_s3 import ConnectError, GuardedS3FileSystem
from tests.auth.test_configuration_errors import LOOKS
from tests.fake_s3 import FakeS3
from tests.http.test_proxies import forwarder
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer, certificate, raw

Look = Callable[[GuardedS3FileSystem], Any]
VERBS: dict[str, Look] = LOOKS | {
    "create": lambda fs: fs.pipe_file("bucket/key", b"1", mode="create"),
    "pipe": lambda fs: fs.pipe_file("bucket/key", b"1"),
    "pipe large": lambda fs: fs.pipe_file("bucket/key", bytes(2**21)),
    "open wb": lambda fs: fs.open("bucket/key", "wb").close(),
    "rm_file": lambda fs: fs.rm_file("bucket/key"),
    "mkdir": lambda fs: fs.mkdir("bucket"),
}
NO = b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"
CLOSED = b""  # in place of an answer


@contextmanager
def refusing(context: ssl.SSLContext) -> Iterator[int]:
    """The port of a server that says nothing but what OpenSSL does."""

    def serve(near: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(near, server_side=True) as secure:
            secure.recv(1)
        near.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                threading.Thread(target=serve, args=(near,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            socket.socket.shutdown(listener, socket.SHUT_RDWR)


@contextmanager
def wants_a_certificate(monkeypatch: pytest.MonkeyPatch, version: Any) -> Iterator[tuple[str, Any]]:
    authority = trustme.CA()
    with certificate("127.0.0.1") as (context, ca_path):
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        context.maximum_version = version
        with refusing(context) as port:
            yield f"https://127.0.0.1:{port}", {"ca_bundle": ca_path}


@contextmanager
def speaks_tls(monkeypatch: pytest.MonkeyPatch, _: Any) -> Iterator[tuple[str, Any]]:
    with certificate("127.0.0.1") as (context, _), refusing(context) as port:
        yield f"http://127.0.0.1:{port}", {}


@contextmanager
def proxy_refuses(monkeypatch: pytest.MonkeyPatch, scheme: str) -> Iterator[tuple[str, Any]]:
    with forwarder(1, refusal=NO) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{proxy.port}")
        yield f"{scheme}://store.test", {"allow_http": True}


WAYS: dict[str, tuple[Any, Any, str]] = {
    "no client certificate, TLS 1.3": (wants_a_certificate, ssl.TLSVersion.TLSv1_3, "certificate required"),
    "no client certificate, TLS 1.2": (wants_a_certificate, ssl.TLSVersion.TLSv1_2, "pass client_cert"),
    "plain http to TLS": (speaks_tls, None, "https://"),
    "proxy refuses http": (proxy_refuses, "http", r"by the proxy http://.* answered 407: it wants user"),
    "proxy refuses https": (proxy_refuses, "https", r"by the proxy http://.* answered 407: it wants user"),
}


@pytest.mark.parametrize("probe", ["never", "auto"])
@pytest.mark.parametrize("way", WAYS)
def test_every_verb_tells_that_the_way_is_wrong(
    way: str, probe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, argument, words = WAYS[way]
    with opened(monkeypatch, argument) as (url, options):
        fs = filesystem(url, probe=probe, max_attempts=5, **options)
        for name, verb in VERBS.items():
            with pytest.raises(ConnectError, match=words.replace(" ", "[ _]")) as caught:
                pytest.fail(f"{name} gave {verb(fs)!r}")
            assert not caught.value.maybe_applied, name
            assert caught.value.given_up, f"{name}: no further attempt would mend it"


def test_client_certificate_that_the_store_does_not_take(tmp_path: Path) -> None:
    found = tmp_path / "client.pem"
    issued = trustme.CA().issue_cert("client@store.test")
    issued.private_key_and_cert_chain_pem.write_to_path(str(found))
    with certificate("127.0.0.1") as (context, ca_path):
        trustme.CA().configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        with refusing(context) as port:
            fs = filesystem(f"https://127.0.0.1:{port}", ca_bundle=ca_path, client_cert=str(found))
            with pytest.raises(ConnectError, match="check client_cert") as caught:
                fs.pipe_file("bucket/key", b"1")
    assert not caught.value.maybe_applied


def test_a_store_of_plain_http_whose_first_answer_is_lost_is_asked_again() -> None:
    """Who does not answer a ClientHello speaks no TLS: what was sent may have been applied."""
    fake = FakeS3("bucket")
    lost = [True]

    def answer(request: Any) -> Any:
        found = fake(request)
        return raw(CLOSED) if lost and lost.pop() else found

    with ScriptedServer(handler=answer) as server:
        fs = filesystem(server.url)
        fs.pipe_file("bucket/key", b"1", mode="create")
        assert fs.cat_file("bucket/key") == b"1"


def test_a_port_is_asked_for_tls_only_where_nothing_was_ever_answered() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", b"1")
    lost: list[bool] = []

    def answer(request: Any) -> Any:
        return raw(CLOSED) if lost and lost.pop() else fake(request)

    with ScriptedServer(handler=answer) as server:
        fs = filesystem(server.url)
        assert fs.cat_file("bucket/key") == b"1"
        lost.append(True)
        assert fs.cat_file("bucket/key") == b"1"
        assert server.connections == 2, "that of the lost answer, and that of the next attempt"
