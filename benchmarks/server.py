"""An S3 server for benchmarks: bytes from memory, bodies counted and dropped, no signature checked.

Several forked processes accept on one socket, so that the server is not what is measured. Only what the
measured verbs need is there; it is no test server.
"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, unquote, urlsplit

WORKERS = 2
KEYS = 50_000
_BLOCK = random.Random(7).randbytes(2**20 + 7)  # an odd length: no period at part or range bounds
_RANGE = re.compile(rb"\r\nrange: bytes=(\d+)-(\d*)", re.I)
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.I)
_ETAG = '"0123456789abcdef0123456789abcdef"'
_DATE = "Mon, 23 Nov 2026 00:00:00 GMT"


class Connection:
    """One keep-alive connection."""

    def __init__(self, sock: socket.socket, data: memoryview) -> None:
        self._sock = sock
        self._data = data
        self._sink = bytearray(2**20)

    def serve(self) -> None:
        """Answer requests until the peer closes."""
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                received = self._sock.recv(65536)
                if not received:
                    return
                buffer += received
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            method, target, _ = head.split(b" ", 2)
            length = _LENGTH.search(head)
            wanted = int(length[1]) if length else 0
            if b"transfer-encoding: chunked" in head.lower():
                self._send(411, b"")  # like S3, which wants the length of what is stored
                return
            if b"100-continue" in head.lower():
                self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            taken = min(wanted, len(buffer))
            buffer, left = buffer[taken:], wanted - taken
            while left:
                received_now = self._sock.recv_into(self._sink, min(left, len(self._sink)))
                if not received_now:
                    return  # an upload that broke off is not answered
                left -= received_now
            self._answer(method.decode(), urlsplit(target.decode()), head)

    def _answer(self, method: str, url: object, head: bytes) -> None:
        query = parse_qs(url.query, keep_blank_values=True)  # type: ignore[attr-defined]
        key = unquote(url.path).lstrip("/").partition("/")[2]  # type: ignore[attr-defined]
        if method == "HEAD" and not key:
            self._send(200, b"")  # the bucket
        elif method == "GET" and not key:
            self._send(200, _page(query))
        elif method in ("GET", "HEAD"):
            self._object(method, key, head)
        elif "uploads" in query:
            upload = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
            self._send(200, upload.encode())
        elif method == "POST":
            done = f"<CompleteMultipartUploadResult><ETag>{_ETAG}</ETag></CompleteMultipartUploadResult>"
            self._send(200, done.encode())
        else:
            self._send(204 if method == "DELETE" else 200, b"")

    def _object(self, method: str, key: str, head: bytes) -> None:
        size_text = key.rpartition("-")[2]  # the size is part of the name: "object-4096"
        if not size_text.isdigit():
            self._send(404, b"" if method == "HEAD" else b"<Error><Code>NoSuchKey</Code></Error>")
            return
        size = int(size_text)
        start, stop, status, extra = 0, size, 200, ""
        asked = _RANGE.search(head)
        if asked:
            start, stop = int(asked[1]), min(int(asked[2] or size) + 1, size)
            status, extra = 206, f"Content-Range: bytes {start}-{stop - 1}/{size}\r\n"
        self._send(status, self._data[start:stop], extra, head_only=method == "HEAD")

    def _send(self, status: int, body: bytes | memoryview, extra: str = "", head_only: bool = False) -> None:
        lines = (
            f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nETag: {_ETAG}\r\n"
            f"Last-Modified: {_DATE}\r\nAccept-Ranges: bytes\r\n"
            f"Content-Type: binary/octet-stream\r\n{extra}\r\n"
        )
        if head_only or len(body) > 65536:
            self._sock.sendall(lines.encode())
            if not head_only:
                self._sock.sendall(body)
        else:
            self._sock.sendall(lines.encode() + body)


_pages: dict[tuple[int, bool], bytes] = {}


def _page(query: dict[str, list[str]]) -> bytes:
    """A page of 1,000 of the `KEYS` keys of the prefix "many/"; rendered once."""
    prefix = query.get("prefix", [""])[0]
    if not ("many/".startswith(prefix) or prefix == "many/"):
        return b"<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>"
    start = int(query.get("continuation-token", ["0"])[0])
    count = min(1000, int(query.get("max-keys", ["1000"])[0]))
    if (start, count == 1000) not in _pages:
        rows = "".join(
            f"<Contents><Key>many/{n:08d}</Key><LastModified>2026-11-23T00:00:00.000Z</LastModified>"
            f"<ETag>{_ETAG}</ETag><Size>{n}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for n in range(start, min(start + count, KEYS))
        )
        more = start + count < KEYS
        token = f"<NextContinuationToken>{start + count}</NextContinuationToken>" if more else ""
        head = (
            f"<Name>bench</Name><Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount><MaxKeys>1000</MaxKeys>"
        )
        space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        _pages[(start, count == 1000)] = (
            f"<ListBucketResult {space}>{head}<IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}"
            "</ListBucketResult>"
        ).encode()
    return _pages[(start, count == 1000)]


def _work(listener: socket.socket, data: memoryview) -> None:
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def serve(sock: socket.socket = sock) -> None:
            try:
                Connection(sock, data).serve()
            except OSError:
                pass
            finally:
                sock.close()

        threading.Thread(target=serve, daemon=True).start()


def data(size: int) -> memoryview:
    """`size` bytes whose only period is 1 MiB + 7 bytes."""
    return memoryview((_BLOCK * (size // len(_BLOCK) + 1))[:size])


@contextmanager
def serving(largest: int) -> Iterator[str]:
    """The URL of a server whose objects have up to `largest` bytes."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    content = data(largest)
    children = []
    for _ in range(WORKERS):
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                _work(listener, content)
            finally:
                os._exit(1)
        children.append(child)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
