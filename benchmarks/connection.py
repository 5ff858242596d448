"""One keep-alive connection of the benchmark server, and the verbs of S3 that the benchmarks use.

No signature is checked. Conditions, ranges, checksums and the parts of a multipart upload are: a peer that
skips work is refused instead of being fast.
"""

from __future__ import annotations

import base64
import hashlib
import json
import mmap
import re
import socket
import time
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import unescape

from .bodies import Body
from .content import Asked, Bytes, Keys, Stored, page, row
from .counts import Counts
from .given import ROOT, Given
from .link import Link
from .streams import Socket
from .uploads import KEPT, Refused, Uploads, etag

_DATE = "Mon, 23 Nov 2026 00:00:00 GMT"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_OBJECT = re.compile(r"<Object>(.*?)</Object>", re.S)
_PART = re.compile(r"<Part\b.*?</Part>", re.S)
_TOGETHER = 65536  # a body up to this size goes out with its head


@dataclass(frozen=True)
class Served:
    """Everything there is to serve."""

    data: Bytes
    listings: tuple[Keys, ...]
    uploads: Uploads
    counts: Counts
    given: Given | None = None
    log: str = ""  # a file that gets a line for each request


@dataclass
class Request:
    """A request's parsed head."""

    method: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]

    @classmethod
    def parse(cls, head: bytes) -> Request:
        """From the bytes of the head, path-style."""
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        url = urlsplit(target)
        query = {n: v[0] for n, v in parse_qs(url.query, keep_blank_values=True).items()} if url.query else {}
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return cls(method, unquote(url.path).lstrip("/").partition("/")[2], query, headers)


class Connection:
    """Answers requests until the peer closes."""

    def __init__(self, sock: socket.socket, served: Served, link: Link | None = None) -> None:
        self._sock = sock
        self._source = Socket(sock)
        self._served = served
        self._link = link
        self._counted = False

    def serve(self) -> None:
        """Until the peer closes; raises OSError or `streams.Closed` when a connection breaks."""
        if self._link:
            self._link.wait()
        while (head := self._source.head()) is not None:
            request = Request.parse(head)
            if request.headers.get("expect", "").lower() == "100-continue":
                self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = Body(self._source, request.headers)
            try:
                self._answer(request, body)
            except Refused as refused:
                body.drain()
                error = f"<Error><Code>{refused.code}</Code><Message>{request.key}</Message></Error>"
                self._send(request, refused.status, error.encode())

    def _answer(self, request: Request, body: Body) -> None:
        query, method, key = request.query, request.method, request.key
        if method in ("GET", "HEAD"):
            self._read(request)
        elif method == "PUT" and "partNumber" in query:
            part, name = self._receive(key, body)
            self._served.uploads.put_part(query["uploadId"], int(query["partNumber"]), part, name)
            self._send(request, 200, b"", {"ETag": f'"{etag([part])}"'})
        elif method == "PUT" and "x-amz-copy-source" in request.headers:
            self._copy(request, body)
        elif method == "PUT" and key:
            self._condition(request)
            part, name = self._receive(key, body)
            self._served.uploads.publish(key, [part], name)
            self._send(request, 200, b"", {"ETag": f'"{etag([part])}"'})
        elif method == "POST":
            self._post(request, body.text())
        elif method == "DELETE" and "uploadId" in query:
            self._served.uploads.abort(query["uploadId"])
            self._send(request, 204, b"")
        elif method == "DELETE":
            self._condition(request)
            self._served.uploads.remove(key)
            self._send(request, 204, b"")
        else:
            raise Refused(501, "NotImplemented")

    def _copy(self, request: Request, body: Body) -> None:
        """CopyObject."""
        body.drain()
        source = unquote(request.headers["x-amz-copy-source"]).lstrip("/").partition("/")[2]
        content, tag, _ = self._content(source)
        if request.headers.get("x-amz-copy-source-if-match", tag).strip('"') != tag:
            raise Refused(412, "PreconditionFailed")
        self._condition(request)
        part, name = self._served.uploads.receive(request.key, [content])
        self._served.uploads.publish(request.key, [part], name)
        when = "<LastModified>2026-11-23T00:00:00.000Z</LastModified>"
        text = f"<CopyObjectResult><ETag>&quot;{etag([part])}&quot;</ETag>{when}</CopyObjectResult>"
        self._send(request, 200, text.encode())

    def _receive(self, key: str, body: Body) -> tuple[dict[str, int], str]:
        part, name = self._served.uploads.receive(key, body.pieces())
        body.check(part["crc"])
        return part, name

    def _post(self, request: Request, text: str) -> None:
        uploads, key = self._served.uploads, request.key
        if "delete" in request.query:
            rows = "".join(self._deleted(row, "<Quiet>true</Quiet>" in text) for row in _OBJECT.findall(text))
            self._send(request, 200, f"<DeleteResult>{rows}</DeleteResult>".encode())
        elif "uploads" in request.query:
            started = (
                f"<InitiateMultipartUploadResult><Bucket>bench</Bucket><Key>{key}</Key>"
                f"<UploadId>{uploads.start()}</UploadId></InitiateMultipartUploadResult>"
            )
            self._send(request, 200, started.encode())
        elif "uploadId" in request.query:
            self._condition(request)
            named = [(int(_tag(p, "PartNumber")), _tag(p, "ETag").strip('"')) for p in _PART.findall(text)]
            uploads.complete(key, request.query["uploadId"], named)
            found = uploads.find(key)
            tag = etag(found[0]) if found else ""
            self._send(
                request,
                200,
                f"<CompleteMultipartUploadResult><Bucket>bench</Bucket><Key>{key}</Key>"
                f"<ETag>&quot;{tag}&quot;</ETag></CompleteMultipartUploadResult>".encode(),
            )
        else:
            raise Refused(501, "NotImplemented")

    def _deleted(self, row: str, quiet: bool) -> str:
        """One object of DeleteObjects, under its ETag if it has one; what the answer says of it."""
        name, wanted = _tag(row, "Key"), unescape(_tag(row, "ETag")).strip('"')
        found = self._served.uploads.find(unescape(name))
        if wanted and found is not None and wanted != etag(found[0]):
            return f"<Error><Key>{name}</Key><Code>PreconditionFailed</Code></Error>"
        self._served.uploads.remove(unescape(name))
        return "" if quiet else f"<Deleted><Key>{name}</Key></Deleted>"

    def _condition(self, request: Request) -> None:
        """If-Match and If-None-Match of a write."""
        wanted = request.headers.get("if-match", "")
        if not wanted and request.headers.get("if-none-match") != "*":
            return
        found = self._served.uploads.find(request.key)
        if found is None and wanted:
            raise Refused(404, "NoSuchKey")
        if found is not None and wanted.strip('"') not in ("*", etag(found[0])):
            raise Refused(412, "PreconditionFailed")

    def _read(self, request: Request) -> None:
        query, key = request.query, request.key
        if "counts" in query:  # ours, not S3's
            self._send(request, 200, json.dumps(self._served.counts.totals()).encode())
        elif "parts" in query:  # ours, not S3's: what arrived, for the check after the clock
            found = self._served.uploads.find(key)
            parts = found[0] if found else []
            self._send(request, 200, ",".join(f"{p['size']}:{p['crc']}" for p in parts).encode())
        elif key:
            self._object(request)
        elif "location" in query:
            self._send(request, 200, b"<LocationConstraint></LocationConstraint>")
        elif request.method == "HEAD":
            self._send(request, 200, b"")
        else:
            self._list(query, request)

    def _list(self, query: dict[str, str], request: Request) -> None:
        asked = Asked(
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            after=query.get("start-after", ""),
            token=query.get("continuation-token", ""),
            most=min(1000, int(query.get("max-keys", "1000"))),
        )
        given = self._served.given
        if given and asked.prefix.startswith(ROOT):
            self._send(request, 200, page(given.listing, asked), {"Content-Type": "application/xml"})
            return
        for keys in self._served.listings:
            if asked.prefix and keys[0].startswith(asked.prefix.split("/")[0] + "/"):
                self._send(request, 200, page(keys, asked), {"Content-Type": "application/xml"})
                return
        stored = Stored()
        for key in self._served.uploads.below(asked.prefix):
            found = self._served.uploads.find(key)
            if found:
                size = sum(part["size"] for part in found[0])
                stored.append((key, row(key, "00:00:00", etag(found[0]), size)))
        self._send(request, 200, page(stored, asked), {"Content-Type": "application/xml"})

    def _object(self, request: Request) -> None:
        content, tag, crc = self._content(request.key)
        wanted = request.headers.get("if-match", "*").strip('"')
        if wanted not in ("*", tag):
            raise Refused(412, "PreconditionFailed")
        size, headers = len(content), {"ETag": f'"{tag}"', "Accept-Ranges": "bytes"}
        asked = _RANGE.fullmatch(request.headers.get("range", ""))
        if asked is None:
            if request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED" and crc is not None:
                headers["x-amz-checksum-crc32"] = base64.b64encode(crc.to_bytes(4, "big")).decode()
                headers["x-amz-checksum-type"] = "FULL_OBJECT"
            self._send(request, 200, content, headers)
            return
        start = int(asked[1]) if asked[1] else max(0, size - int(asked[2]))
        stop = min(int(asked[2]) + 1, size) if asked[1] and asked[2] else size
        if start >= stop:
            raise Refused(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self._send(request, 206, content[start:stop], headers)

    def _content(self, key: str) -> tuple[memoryview, str, int | None]:
        """An object's bytes, ETag, and CRC32 where that is known."""
        synthetic = None if key.startswith(KEPT) else self._served.data.object(key)
        if synthetic is not None:
            tag = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()
            return synthetic, tag, self._served.data.checksum(key, synthetic)
        given = self._served.given
        if given and (there := given.find(key)):
            return there
        found = self._served.uploads.find(key)
        if found is None:
            raise Refused(404, "NoSuchKey")
        parts, path = found
        size = sum(part["size"] for part in parts)
        if not path or not size:
            return memoryview(bytes(0) if not size else bytes(size)), etag(parts), None
        with open(path, "rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return content, etag(parts), parts[0]["crc"] if len(parts) == 1 else None

    def _send(
        self, request: Request, status: int, body: bytes | memoryview, headers: dict[str, str] | None = None
    ) -> None:
        fields = {"Content-Type": "binary/octet-stream", "Last-Modified": _DATE, **(headers or {})}
        length = "" if status == 204 else f"Content-Length: {len(body)}\r\n"
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        head = f"HTTP/1.1 {status} X\r\n{length}x-amz-request-id: BENCH\r\n{lines}\r\n".encode()
        if request.method == "HEAD":
            body = b""
        self._count(request, status, len(body))
        if self._link:
            self._link.wait()
        if len(body) <= _TOGETHER:
            self._sock.sendall(head + body)
        elif self._link:
            self._sock.sendall(head)
            self._link.send(self._sock, body)
        else:
            self._sock.sendall(head)
            self._sock.sendall(body)

    def _count(self, request: Request, status: int, size: int) -> None:
        if request.query.keys() & {"counts", "parts"}:
            return
        kind = "LIST" if request.method == "GET" and not request.key else request.method
        self._served.counts.add(kind)
        if not self._counted:
            self._served.counts.add("connections")
            self._counted = True
        self._served.counts.add("bytes", size)
        if self._served.log:
            query = "&".join(f"{name}={value}" for name, value in request.query.items())
            asked = request.headers.get("range", "")
            line = f"{time.time():.4f} {kind} {request.key} {query or '-'} {asked or '-'} {status} {size}\n"
            with open(self._served.log, "a") as file:
                file.write(line)


def _tag(xml: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", xml, re.S)
    return found[1].replace("&quot;", '"').replace("&#34;", '"').strip() if found else ""
