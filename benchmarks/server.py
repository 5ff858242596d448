"""A small S3 server that is never the slow side.

`python -m benchmarks.server --data FILE --big-size N` listens on a free loopback port, prints
`{"port": ...}` on one line, and ends when its standard input closes: a harness that dies, dies with
its server.

Why it is fast: worker processes share the listening socket (no common GIL), a connection is a thread
that blocks in the kernel, large bodies leave by `sendfile`, uploaded ones are dropped by the kernel
(`MSG_TRUNC`), heads are parsed by bytes methods, and listing entries are rendered before the fork.

Why it is stateless: workers share no memory that changes. The ETag of a part *is* its size and a
checksum of its two edges, so Complete needs nothing but the request's own body; the sizes of finished
objects go to one append-only file. So an aborted upload is not remembered as aborted, signatures are not
verified, and nothing here tells whether a client is correct: the test suite does that.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import gc
import itertools
import json
import mmap
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qsl

from benchmarks import corpus

_EDGE = 4096
"""Bytes at each end of an uploaded body that are compared with what had to be sent."""
_MIN_PART = 5 * 1024 * 1024
_INLINE = 256 * 1024
"""Up to here a body is cheaper to copy next to its head than to send by a second system call."""
_MORE = getattr(socket, "MSG_MORE", 0)
_DROP = socket.MSG_TRUNC if sys.platform == "linux" else 0  # tcp(7): the bytes are dropped, not copied
_MODIFIED_AT = 1_700_000_000
_MODIFIED = formatdate(_MODIFIED_AT, usegmt=True).encode()
_MODIFIED_XML = "2023-11-14T22:13:20.000Z"
_XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_COMMON = b"x-amz-request-id: BENCH\r\nServer: bench\r\nDate: %s\r\n" % formatdate(time.time(), usegmt=True).encode()
_REASONS = {200: b"OK", 204: b"No Content", 206: b"Partial Content", 304: b"Not Modified"}
_RANGE = re.compile(rb"bytes=(\d*)-(\d*)$")
_PART = re.compile(rb"<Part>(.*?)</Part>", re.DOTALL)
_PART_NUMBER = re.compile(rb"<PartNumber>\s*(\d+)\s*</PartNumber>")
_PART_ETAG = re.compile(rb"<ETag>[^<]*?([0-9a-f]{32})[^<]*?</ETag>")


@dataclass(frozen=True, slots=True)
class Stored:
    """An object: a slice of the data file."""

    offset: int
    size: int
    etag: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """A parsed request head."""

    method: bytes
    path: bytes
    query: Mapping[str, str]
    headers: Mapping[bytes, bytes]


class S3Error(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(status, code)
        self.status = status
        self.code = code


class ClosedError(Exception):
    """The client went away; the connection's thread ends."""


class Connection:
    """One socket, with what was received but not yet used."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self._pending = b""
        self._scratch = bytearray(1024 * 1024)

    def read_until(self, mark: bytes) -> bytes:
        """Everything up to `mark`, without it."""
        data = self._pending
        while (end := data.find(mark)) < 0:
            data += self._receive(65536)
        self._pending = data[end + len(mark) :]
        return data[:end]

    def read_exactly(self, size: int) -> bytes:
        """`size` bytes, for bodies that are looked at."""
        data = self._pending
        while len(data) < size:
            data += self._receive(size - len(data))
        self._pending = data[size:]
        return data[:size]

    def skip(self, size: int) -> None:
        """Take `size` bytes off the socket, without copying them where the kernel can drop them."""
        used = min(size, len(self._pending))
        self._pending = self._pending[used:]
        left = size - used
        while left:
            got = self.sock.recv_into(self._scratch, min(left, len(self._scratch)), _DROP)
            if not got:
                raise ClosedError
            left -= got

    def send_file(self, head: bytes, fd: int, offset: int, size: int) -> None:
        """A head and a large body, the body straight from the page cache."""
        self.sock.sendall(head, _MORE)
        while size:
            sent = os.sendfile(self.sock.fileno(), fd, offset, size)
            if not sent:
                raise ClosedError
            offset += sent
            size -= sent

    def _receive(self, size: int) -> bytes:
        data = self.sock.recv(size)
        if not data:
            raise ClosedError
        return data


class Finished:
    """Sizes of the objects that were uploaded, in a file that every worker appends to and reads.

    A short write under O_APPEND is atomic, so no lock is needed; the last line for a path counts.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("ab+", buffering=0)  # noqa: SIM115 - lives as long as we do

    def add(self, path: bytes, size: int) -> None:
        """Remember a finished object."""
        os.write(self._file.fileno(), b"%s %d\n" % (path, size))

    def size(self, path: bytes) -> int | None:
        """Its size, or None."""
        fd = self._file.fileno()
        lines = os.pread(fd, os.fstat(fd).st_size, 0).splitlines()
        found = [line for line in lines if line.startswith(path + b" ")]
        return int(found[-1].rsplit(b" ", 1)[1]) if found else None


class Listing:
    """ListObjectsV2 over keys that never change; an entry is rendered once, before the fork."""

    def __init__(self, objects: Mapping[str, Stored]) -> None:
        self._keys = sorted(objects)
        self._entries = [_render_entry(key, objects[key]) for key in self._keys]
        self._pages: dict[tuple[int, int], bytes] = {}
        start = bisect.bisect_left(self._keys, f"{corpus.LISTED_PREFIX}/")
        end = start + corpus.LISTED_COUNT
        for first in range(start, end, 1000):
            last = min(first + 1000, end)
            self._pages[first, last] = b"".join(self._entries[first:last])

    def page(self, query: Mapping[str, str]) -> bytes:
        """One page. The continuation token is the index of the next key."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        limit = min(int(query.get("max-keys", "1000")), 1000)
        end = bisect.bisect_left(self._keys, prefix + "\U0010ffff")
        first = self._start(query, prefix)
        folders: list[str] = []
        last, contents = first, b""
        if not delimiter or not any(delimiter in key[len(prefix) :] for key in self._keys[first : first + 1000]):
            last = min(first + limit, end)
            contents = self._pages.get((first, last)) or b"".join(self._entries[first:last])
            count = last - first
        else:
            last, contents, folders, count = self._rolled_up(first, end, limit, prefix, delimiter)
        return _render_page(query, contents, folders, count, str(last) if last < end else None)

    def _start(self, query: Mapping[str, str], prefix: str) -> int:
        if token := query.get("continuation-token"):
            return int(token)
        first = bisect.bisect_left(self._keys, prefix)
        if after := query.get("start-after"):
            first = max(first, bisect.bisect_right(self._keys, after))
        return first

    def _rolled_up(
        self, first: int, end: int, limit: int, prefix: str, delimiter: str
    ) -> tuple[int, bytes, list[str], int]:
        folders: list[str] = []
        entries: list[bytes] = []
        while first < end and len(folders) + len(entries) < limit:
            cut = self._keys[first].find(delimiter, len(prefix))
            if cut < 0:
                entries.append(self._entries[first])
                first += 1
            else:
                folders.append(self._keys[first][: cut + len(delimiter)])
                first = bisect.bisect_left(self._keys, folders[-1] + "\U0010ffff")
        return first, b"".join(entries), folders, len(folders) + len(entries)


def _render_entry(key: str, stored: Stored) -> bytes:
    return (
        f"<Contents><Key>{key}</Key><LastModified>{_MODIFIED_XML}</LastModified>"
        f"<ETag>&quot;{stored.etag.decode()}&quot;</ETag><Size>{stored.size}</Size>"
        f"<StorageClass>STANDARD</StorageClass></Contents>"
    ).encode()


def _render_page(
    query: Mapping[str, str], contents: bytes, folders: list[str], count: int, token: str | None
) -> bytes:
    parts = [f"<Name>{corpus.BUCKET}</Name><Prefix>{query.get('prefix', '')}</Prefix>"]
    if "delimiter" in query:
        parts.append(f"<Delimiter>{query['delimiter']}</Delimiter>")
    if "encoding-type" in query:
        parts.append("<EncodingType>url</EncodingType>")
    parts.append(f"<KeyCount>{count}</KeyCount><MaxKeys>{query.get('max-keys', '1000')}</MaxKeys>")
    parts.append(f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>")
    if token:
        parts.append(f"<NextContinuationToken>{token}</NextContinuationToken>")
    folder_xml = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in folders)
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult {_XMLNS}>' + "".join(parts)
    return head.encode() + contents + folder_xml.encode() + b"</ListBucketResult>"


class Service:
    """Answers requests. Built once, before the fork; nothing in it changes but `Finished`."""

    def __init__(self, data: Path, big_size: int) -> None:
        self._file = data.open("rb")
        self._data = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        objects = _stored_objects(big_size)
        self._objects = {f"/{corpus.BUCKET}/{key}".encode(): stored for key, stored in objects.items()}
        self._listing = Listing(objects)
        self._finished = Finished()
        self._upload_ids = itertools.count(1)

    def serve(self, connection: Connection) -> None:
        """Requests of one connection, until either side closes it."""
        keep = True
        while keep:
            request = _parse_head(connection.read_until(b"\r\n\r\n"))
            keep = request.headers.get(b"connection", b"").lower() != b"close"
            if request.headers.get(b"expect", b"").lower() == b"100-continue":
                connection.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            try:
                self._answer(connection, request)
            except S3Error as error:
                body = f"<Error><Code>{error.code}</Code><Message>{error.code}</Message></Error>".encode()
                _send(connection, request, error.status, body)

    def _answer(self, connection: Connection, request: Request) -> None:
        if request.method in (b"GET", b"HEAD"):
            if request.path.count(b"/") > 1 and not request.path.endswith(b"/"):
                self._get_object(connection, request)
            else:
                _send(connection, request, 200, self._get_bucket(request))
        elif request.method == b"PUT":
            self._put(connection, request)
        elif request.method == b"POST":
            self._post(connection, request)
        elif request.method == b"DELETE":
            _send(connection, request, 204, b"")
        else:
            raise S3Error(501, "NotImplemented")

    def _get_bucket(self, request: Request) -> bytes:
        if "location" in request.query:
            return f"<LocationConstraint {_XMLNS}>us-east-1</LocationConstraint>".encode()
        if request.query.get("list-type") == "2":
            return self._listing.page(request.query)
        if request.method == b"HEAD":
            return b""
        raise S3Error(501, "NotImplemented")

    def _get_object(self, connection: Connection, request: Request) -> None:
        stored = self._lookup(request.path)
        if stored is None:
            raise S3Error(404, "NoSuchKey")
        wanted = request.headers.get(b"if-match")
        if wanted is not None and wanted != b"*" and stored.etag not in wanted:
            raise S3Error(412, "PreconditionFailed")
        unwanted = request.headers.get(b"if-none-match")
        if unwanted is not None and (unwanted == b"*" or stored.etag in unwanted):
            raise S3Error(304, "NotModified")
        start, end, status = 0, stored.size, b"200 OK"
        content_range = b""
        if (header := request.headers.get(b"range")) and (asked := _parse_range(header, stored.size)):
            start, end = asked
            status = b"206 Partial Content"
            content_range = b"Content-Range: bytes %d-%d/%d\r\n" % (start, end - 1, stored.size)
        head = (
            b'HTTP/1.1 %s\r\n%sETag: "%s"\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\n'
            b"Content-Type: binary/octet-stream\r\n%sContent-Length: %d\r\n\r\n"
        ) % (status, _COMMON, stored.etag, _MODIFIED, content_range, end - start)
        if request.method == b"HEAD":
            connection.sock.sendall(head)
        elif end - start <= _INLINE:
            connection.sock.sendall(head + self._data[stored.offset + start : stored.offset + end])
        else:
            connection.send_file(head, self._file.fileno(), stored.offset + start, end - start)

    def _lookup(self, path: bytes) -> Stored | None:
        if stored := self._objects.get(path):
            return stored
        size = self._finished.size(path)
        return None if size is None else Stored(0, size, b"%032x" % size)

    def _put(self, connection: Connection, request: Request) -> None:
        etag, size = _read_upload(connection, request.headers)
        if "partNumber" not in request.query:
            self._refuse_if_exists(request)
            self._verify([(etag, size)])
            self._finished.add(request.path, size)
        _send(connection, request, 200, b"", b'ETag: "%s"\r\n' % etag)

    def _post(self, connection: Connection, request: Request) -> None:
        body = connection.read_exactly(int(request.headers.get(b"content-length", b"0")))
        bucket, key = request.path[1:].split(b"/", 1)
        names = b"<Bucket>%s</Bucket><Key>%s</Key>" % (bucket, key)
        if "uploads" in request.query:
            upload_id = b"upload-%d-%d" % (os.getpid(), next(self._upload_ids))
            tag, content = b"InitiateMultipartUploadResult", b"<UploadId>%s</UploadId>" % upload_id
        elif "uploadId" in request.query:
            self._refuse_if_exists(request)
            size = self._complete(request.path, body)
            tag, content = b"CompleteMultipartUploadResult", b"<ETag>&quot;%032x&quot;</ETag>" % size
        else:
            raise S3Error(501, "NotImplemented")
        xml = b'<?xml version="1.0" encoding="UTF-8"?>\n<%s %s>%s%s</%s>' % (
            tag,
            _XMLNS.encode(),
            names,
            content,
            tag,
        )
        _send(connection, request, 200, xml)

    def _refuse_if_exists(self, request: Request) -> None:
        if request.headers.get(b"if-none-match") == b"*" and self._lookup(request.path):
            raise S3Error(412, "PreconditionFailed")

    def _complete(self, path: bytes, body: bytes) -> int:
        parts: list[tuple[int, bytes]] = []
        for part in _PART.findall(body):
            number, etag = _PART_NUMBER.search(part), _PART_ETAG.search(part)
            if not number or not etag:
                raise S3Error(400, "MalformedXML")
            parts.append((int(number[1]), etag[1]))
        if not parts:
            raise S3Error(400, "MalformedXML")
        if [number for number, _ in parts] != sorted({number for number, _ in parts}):
            raise S3Error(400, "InvalidPartOrder")
        sized = [(etag, int(etag[:16], 16)) for _, etag in parts]
        if any(size < _MIN_PART for _, size in sized[:-1]):
            raise S3Error(400, "EntityTooSmall")
        self._verify(sized)
        total = sum(size for _, size in sized)
        self._finished.add(path, total)
        return total

    def _verify(self, parts: list[tuple[bytes, int]]) -> None:
        """Each part's edges are those of the data file at the place where the part ends up."""
        offset = 0
        for etag, size in parts:
            if etag[16:] != b"0" * 16:
                edge = min(_EDGE, size)
                first = zlib.crc32(self._data[offset : offset + edge])
                last = zlib.crc32(self._data[offset + size - edge : offset + size])
                if etag[16:] != b"%08x%08x" % (first, last):
                    raise S3Error(400, "BadDigest")
            offset += size


def _stored_objects(big_size: int) -> dict[str, Stored]:
    objects = {corpus.BIG_KEY: Stored(0, big_size, b"b" * 32)}
    for index in range(corpus.SMALL_COUNT + 1):
        etag = b"%032x" % (0xA000000 + index)
        objects[corpus.small_key(index)] = Stored(corpus.small_offset(index), corpus.SMALL_SIZE, etag)
    for index in range(corpus.LISTED_COUNT):
        etag = zlib.crc32(b"%d" % index).to_bytes(4, "big").hex().encode() * 4
        objects[corpus.listed_key(index)] = Stored(0, corpus.LISTED_SIZE, etag)
    return objects


def _parse_head(head: bytes) -> Request:
    line, _, rest = head.partition(b"\r\n")
    method, target, _version = line.split(b" ", 2)
    path, _, query = target.partition(b"?")
    headers: dict[bytes, bytes] = {}
    for field in rest.split(b"\r\n"):
        name, _, value = field.partition(b":")
        headers[name.lower()] = value.strip()
    pairs = dict(parse_qsl(query.decode(), keep_blank_values=True)) if query else {}
    return Request(method, path, pairs, headers)


def _parse_range(header: bytes, size: int) -> tuple[int, int] | None:
    """[start, end), or None for a form that RFC 9110 lets a server ignore."""
    found = _RANGE.match(header)
    if not found or found[0] == b"bytes=-":
        return None
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
    else:
        start, end = int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)
    if start >= end:
        raise S3Error(416, "InvalidRange")
    return start, end


def _read_upload(connection: Connection, headers: Mapping[bytes, bytes]) -> tuple[bytes, int]:
    """Take an uploaded body off the socket; return the ETag that describes it, and its size.

    An encoded body (aws-chunked, chunked) is counted by the length it declares, not looked at.
    """
    decoded = headers.get(b"x-amz-decoded-content-length")
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        counted = _skip_chunks(connection)
        size = int(decoded) if decoded else counted
        return b"%016x" % size + b"0" * 16, size
    if b"content-length" not in headers:
        raise S3Error(411, "MissingContentLength")
    size = int(headers[b"content-length"])
    if decoded is not None:
        connection.skip(size)
        return b"%016x" % int(decoded) + b"0" * 16, int(decoded)
    edge = min(_EDGE, size)
    if size <= 2 * _EDGE:
        body = connection.read_exactly(size)
        first, last = body[:edge], body[size - edge :]
    else:
        first = connection.read_exactly(edge)
        connection.skip(size - 2 * edge)
        last = connection.read_exactly(edge)
    return b"%016x%08x%08x" % (size, zlib.crc32(first), zlib.crc32(last)), size


def _skip_chunks(connection: Connection) -> int:
    total = 0
    while size := int(connection.read_until(b"\r\n").split(b";")[0], 16):
        connection.skip(size + 2)
        total += size
    while connection.read_until(b"\r\n"):
        pass  # trailers
    return total


def _send(connection: Connection, request: Request, status: int, body: bytes, fields: bytes = b"") -> None:
    reason = _REASONS.get(status, b"Error")
    if body:
        fields += b"Content-Type: application/xml\r\n"
    length = b"" if status in (204, 304) else b"Content-Length: %d\r\n" % len(body)
    head = b"HTTP/1.1 %d %s\r\n%s%s%s\r\n" % (status, reason, _COMMON, fields, length)
    bodiless = request.method == b"HEAD" or status in (204, 304)
    connection.sock.sendall(head if bodiless else head + body)


def _serve_quietly(service: Service, sock: socket.socket) -> None:
    """One connection. A client that goes away in the middle is not news."""
    with sock, contextlib.suppress(ClosedError, OSError):
        service.serve(Connection(sock))


def _work(service: Service, listener: socket.socket, parent: int) -> None:
    """A worker process: accept for ever, end with the process that forked it."""

    def end_with_parent() -> None:
        os.read(parent, 1)  # nothing is ever written: this returns when the parent is gone
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_serve_quietly, args=(service, sock), daemon=True).start()


def main() -> None:
    """Fork the workers, say the port, wait for the end of standard input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--big-size", type=int, required=True)
    parser.add_argument("--workers", type=int, default=max(4, os.cpu_count() or 1))
    options = parser.parse_args()

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the harness's; it then closes our stdin
    service = Service(options.data, options.big_size)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    gc.freeze()  # a collection in a worker would copy every shared page that it looks at
    read_end, write_end = os.pipe()
    workers: list[int] = []
    for _ in range(options.workers):
        pid = os.fork()
        if pid == 0:
            os.close(write_end)
            try:
                _work(service, listener, read_end)
            finally:
                os._exit(1)
        workers.append(pid)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    sys.stdin.buffer.read()
    os.close(write_end)
    for pid in workers:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
