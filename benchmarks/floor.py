"""The floor: what the machine can do from Python, with raw sockets and request bytes written by hand.

No signature, no check, no retry: nothing that a filesystem must do. Four threads, `recv_into`, `pwrite` and
`sendfile`.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

from .peers import BLOCK, BUCKET, Sink

THREADS = 4
PART = 16 * 2**20
_LENGTH = re.compile(rb"content-length: (\d+)", re.I)


class _Wire:
    """One connection."""

    def __init__(self, url: str, ca: str) -> None:
        where = urlsplit(url)
        self._host = where.netloc
        self._sock = socket.create_connection((where.hostname or "", where.port or 0))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A plain socket fills the buffer in one call; a TLS socket takes no flags.
        self._flags: int = socket.MSG_WAITALL
        if where.scheme == "https":
            context = ssl.create_default_context(cafile=ca)
            self._sock = context.wrap_socket(self._sock, server_hostname=where.hostname)
            self._flags = 0

    def ask(self, method: str, target: str, header: str = "", length: int = 0) -> None:
        """Send a request's head."""
        text = f"{method} /{BUCKET}/{target} HTTP/1.1\r\nHost: {self._host}\r\n{header}"
        self._sock.sendall(f"{text}Content-Length: {length}\r\n\r\n".encode())

    def send_file(self, file: int, start: int, count: int) -> None:
        """Send a body straight from a file."""
        while count:
            sent = os.sendfile(self._sock.fileno(), file, start, count)
            start, count = start + sent, count - sent

    def send(self, data: bytes) -> None:
        """Send a body."""
        self._sock.sendall(data)

    def answer(self) -> tuple[bytes, int, bytes]:
        """The response's head, the length of its body, and what came of the body."""
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            more = self._sock.recv(4096)
            if not more:
                raise ConnectionError("the server hung up")
            received += more
        head = received[:end]
        if head[9:10] != b"2":
            raise OSError(head.decode())
        length = _LENGTH.search(head)
        return head, int(length[1]) if length else 0, received[end + 4 :]

    def body(self) -> bytearray:
        """The response's body."""
        _, length, begun = self.answer()
        data = bytearray(length)
        self.fill(memoryview(data), begun)
        return data

    def fill(self, view: memoryview, begun: bytes = b"") -> None:
        """Receive until `view` is full."""
        view[: len(begun)] = begun
        done = len(begun)
        while done < len(view):
            count = self._sock.recv_into(view[done:], 0, self._flags)
            if not count:
                raise ConnectionError("the server hung up")
            done += count


class Floor:
    """The verbs, bare."""

    def __init__(self, url: str, ca: str) -> None:
        self._wires = [_Wire(url, ca) for _ in range(THREADS)]

    def whole(self, key: str) -> bytearray:
        wire = self._wires[0]
        wire.ask("HEAD", key)
        data = bytearray(wire.answer()[1])

        def fetch(wire: _Wire, start: int, stop: int) -> None:
            wire.ask("GET", key, f"Range: bytes={start}-{stop - 1}\r\n")
            wire.fill(memoryview(data)[start:stop], wire.answer()[2])

        self._in_ranges(len(data), fetch)
        return data

    def one_by_one(self, keys: Iterable[str]) -> list[bytearray]:
        found = []
        for key in keys:
            self._wires[0].ask("GET", key)
            found.append(self._wires[0].body())
        return found

    def cat(self, keys: Iterable[str]) -> list[bytearray]:
        wanted = [(key, "") for key in keys]
        return self._many(wanted)

    def ranges(self, key: str, starts: Sequence[int], ends: Sequence[int]) -> list[bytearray]:
        bounds = zip(starts, ends, strict=True)
        return self._many([(key, f"Range: bytes={start}-{stop - 1}\r\n") for start, stop in bounds])

    def download(self, key: str, local: str) -> None:
        wire = self._wires[0]
        wire.ask("HEAD", key)
        size = wire.answer()[1]
        file = os.open(local, os.O_CREAT | os.O_WRONLY)

        def fetch(wire: _Wire, start: int, stop: int) -> None:
            wire.ask("GET", key, f"Range: bytes={start}-{stop - 1}\r\n")
            begun = wire.answer()[2]
            buffer = memoryview(bytearray(BLOCK))
            while start < stop:
                count = min(BLOCK, stop - start)
                wire.fill(buffer[:count], begun)
                begun = b""
                start += os.pwrite(file, buffer[:count], start)

        os.truncate(file, size)
        self._in_ranges(size, fetch)
        os.close(file)

    def stream(self, key: str, sink: Sink) -> None:
        wire = self._wires[0]
        wire.ask("GET", key)
        _, left, begun = wire.answer()
        buffer = memoryview(bytearray(BLOCK))
        while left:
            piece = buffer[: min(BLOCK, left)]
            wire.fill(piece, begun)
            begun = b""
            left -= len(piece)
            sink(piece)

    def upload(self, local: str, key: str) -> None:
        wire = self._wires[0]
        wire.ask("POST", f"{key}?uploads")
        upload = _between(bytes(wire.body()), b"<UploadId>", b"</UploadId>").decode()
        size = os.path.getsize(local)
        tags = [b""] * -(-size // PART)
        file = os.open(local, os.O_RDONLY)

        def send(wire: _Wire, first: int) -> None:
            for n in range(first, len(tags), THREADS):
                start, count = n * PART, min(PART, size - n * PART)
                wire.ask("PUT", f"{key}?partNumber={n + 1}&uploadId={upload}", length=count)
                wire.send_file(file, start, count)
                tags[n] = _between(wire.answer()[0], b"ETag: ", b"\r\n")

        self._in_threads(send)
        os.close(file)
        rows = [
            b"<Part><PartNumber>%d</PartNumber><ETag>%b</ETag></Part>" % (n, tag)
            for n, tag in enumerate(tags, 1)
        ]
        document = b"<CompleteMultipartUpload>%b</CompleteMultipartUpload>" % b"".join(rows)
        wire.ask("POST", f"{key}?uploadId={upload}", length=len(document))
        wire.send(document)
        wire.body()

    def _many(self, wanted: Sequence[tuple[str, str]]) -> list[bytearray]:
        found = [bytearray()] * len(wanted)

        def fetch(wire: _Wire, first: int) -> None:
            for n in range(first, len(wanted), THREADS):
                wire.ask("GET", *wanted[n])
                found[n] = wire.body()

        self._in_threads(fetch)
        return found

    def _in_ranges(self, size: int, fetch: Callable[[_Wire, int, int], None]) -> None:
        step = -(-size // THREADS)
        self._in_threads(lambda wire, n: fetch(wire, n * step, min((n + 1) * step, size)))

    def _in_threads(self, call: Callable[[_Wire, int], None]) -> None:
        threads = [threading.Thread(target=call, args=(wire, n)) for n, wire in enumerate(self._wires)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _between(data: bytes, left: bytes, right: bytes) -> bytes:
    return data.partition(left)[2].partition(right)[0]
