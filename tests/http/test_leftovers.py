"""Bytes behind an answer are never the next answer, wherever they wait: here, in TLS, in the kernel."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from fsspec_guarded_s3 import GuardedS3Error, GuardedS3FileSystem, ObjectNotFoundError
from fsspec_guarded_s3._http.pace import Pace
from fsspec_guarded_s3._http.timed_socket import Channel, _buffered_check
from fsspec_guarded_s3._values.deadline import Deadline
from fsspec_guarded_s3.options import Options
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, raw, respond

EVIL = b'HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: "evil"\r\n\r\nWRONG!'
RIGHT = respond(200, b"right!", etag="right")


def plain(size: int) -> bytes:
    return b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: "e"\r\n\r\n' % size + b"a" * size


CHUNKED = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'
ENDS: dict[str, tuple[bytes, Callable[[GuardedS3FileSystem], object]]] = {
    **{f"a body of {size}": (plain(size), lambda fs: fs.cat_file("bucket/a")) for size in (0, 1, 5, 8192)},
    **{f"a body of {size}": (plain(size), lambda fs: fs.cat_file("bucket/a")) for size in (20_000, 300_000)},
    "chunks": (CHUNKED, lambda fs: fs.open("bucket/a", cache_type="none")),
    "the head for HEAD": (plain(9)[:-9], lambda fs: fs.info("bucket/a")),
    "a body for HEAD": (plain(9), lambda fs: fs.info("bucket/a")),
    "an error": (
        b"HTTP/1.1 404 N\r\nContent-Length: 37\r\n\r\n<Error><Code>NoSuchKey</Code></Error>",
        lambda fs: fs.cat_file("bucket/a"),
    ),
    "no content": (
        b"HTTP/1.1 204 N\r\n\r\n",
        lambda fs: fs._client.deletions.delete_object(fs._paths.object("bucket/a")),
    ),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(("first", "call"), ENDS.values(), ids=ENDS)
def test_what_comes_behind_an_answer_is_not_the_next_one(
    first: bytes, call: Callable[[GuardedS3FileSystem], object], tls: bool
) -> None:
    """In the same record of TLS, which no poll() shows."""

    def answer(request: Request) -> Answer:
        return raw(first + EVIL, close=False) if request.path == "/bucket/a" else RIGHT

    with ScriptedServer(handler=answer, tls=tls) as server:
        fs = filesystem(server.url, max_attempts=2, **({"ca_bundle": server.ca_path} if tls else {}))
        for _ in range(3):
            try:
                call(fs)
            except ObjectNotFoundError:
                assert b"404" in first
            except GuardedS3Error:  # the store is out of its mind, and the answer was refused
                pass
            assert fs.cat_file("bucket/b") == b"right!"


class Silent:
    """A socket to whom nothing has come."""

    def __init__(self, left: int = 0) -> None:
        self._left = left

    def pending(self) -> int:
        return self._left


def test_every_layer_of_tls_is_asked() -> None:
    """TLS to the store within TLS to a proxy: urllib3 keeps what was received in memory."""
    assert not _buffered_check(SimpleNamespace())()
    assert not _buffered_check(Silent())()
    assert _buffered_check(Silent(1))()

    def nested(inner: int = 0, received: bytes = b"", outer: int = 0) -> SimpleNamespace:
        incoming = ssl.MemoryBIO()
        incoming.write(received)
        return SimpleNamespace(incoming=incoming, sslobj=Silent(inner), socket=Silent(outer))

    assert not _buffered_check(nested())()
    assert _buffered_check(nested(inner=1))()
    assert _buffered_check(nested(received=b"x"))()
    assert _buffered_check(nested(outer=1))()


def test_a_socket_of_tls_that_holds_bytes_is_not_quiet() -> None:
    with ScriptedServer(handler=lambda request: raw(b"x" * 1000, close=False), tls=True) as server:
        context = ssl.create_default_context(cafile=server.ca_path)
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock,
            context.wrap_socket(sock, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            channel = Channel(secure)
            assert channel.receive(memoryview(bytearray(1)), Pace(Options(), 10, Deadline(10), False)) == 1
            assert channel.has_buffered()
            assert not channel.is_quiet()
