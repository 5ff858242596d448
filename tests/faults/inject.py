"""How each fault is made: what the server does with the requests that it is to hit.

A fault without `applied` takes the place of the request, which S3 then never sees. One with `applied` is
made after the request has taken effect, from the answer that S3 would have sent.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from fsspec_guarded_s3._http.incoming import Incoming
from fsspec_guarded_s3._http.timed_socket import Channel
from fsspec_guarded_s3.options import Options
from tests.fake_s3 import FakeS3
from tests.scripted_server import Answer, Link, Reply, Request, close, respond, s3_error
from tests.servers import reserved_port

TRICKLE_SECONDS = 0.05
# Addresses of the client on which the store stalls or trickles now.
STALLED: set[Any] = set()
TRICKLING: set[Any] = set()
# Options of who meets a stall: a turn of waiting is as long as the window of the rate.
STALLS: dict[str, Any] = {"min_rate_window": 0.05, "min_rate": 0.0}
LESS = 10  # bytes by which a length is wrong


def called(request: Request) -> str:
    """The name of the S3 operation that a request asks for."""
    query, method = request.query, request.method
    copied = "x-amz-copy-source" in request.headers
    beside = {"tagging": "ObjectTagging", "acl": "ObjectAcl", "attributes": "ObjectAttributes"}
    if not request.path.strip("/"):
        return "ListBuckets"
    if not request.path.strip("/").partition("/")[2]:
        return _called_of_bucket(method, query)
    for name in beside.keys() & query.keys():
        return method.capitalize() + beside[name]
    if "renameObject" in query:
        return "RenameObject"
    if "annotation" in query:
        return (
            f"{method.capitalize()}ObjectAnnotation" if "annotationName" in query else "ListObjectAnnotations"
        )
    if "uploadId" in query:
        part = "UploadPartCopy" if copied else "UploadPart"
        names = {"PUT": part, "GET": "ListParts", "DELETE": "AbortMultipartUpload"}
        return names.get(method, "CompleteMultipartUpload")
    names = {"GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
    names |= {"POST": "CreateMultipartUpload", "PUT": "CopyObject" if copied else "PutObject"}
    return names[method]


def _called_of_bucket(method: str, query: Mapping[str, str]) -> str:
    for name in query.keys() & {"acl", "versioning"}:
        return f"{method.capitalize()}Bucket{name.capitalize()}"
    if "session" in query:
        return "CreateSession"
    if method == "GET":
        return "ListMultipartUploads" if "uploads" in query else "ListObjectsV2"
    names = {"PUT": "CreateBucket", "HEAD": "HeadBucket", "POST": "DeleteObjects", "DELETE": "DeleteBucket"}
    return names[method]


def hits(request: Request, target: str) -> bool:
    """Whether a request is the target: an operation; its first or other ranges; or that of one key."""
    name, _, which = target.partition(" ")
    if called(request) != name:
        return False
    if which in ("first", "other"):
        begins = request.headers.get("range", "bytes=0-").startswith("bytes=0-")
        return begins is (which == "first")
    return request.path.endswith(which)


@dataclass(frozen=True)
class Broken(Answer):
    """An answer of which only a part comes: then the end (`cut`), silence, or one byte at a time."""

    reply: Reply
    how: str

    def play(self, link: Link, request: Request) -> bool:
        bodiless = request.method == "HEAD" or self.reply.status in (204, 304)
        head, body = self.reply.head(), b"" if bodiless else self.reply.body
        at = len(head) + len(body) // 2 if body else len(head) - LESS
        if self.how == "trickle":
            at = len(head) if body else LESS
        if self.how == "stall":
            _stall(link, (head + body)[:at])
        elif self.how == "trickle":
            with _listed(link, TRICKLING):
                link.send((head + body)[:at])
                for byte in (head + body)[at:]:
                    link.send(bytes([byte]))
                    link.wait(TRICKLE_SECONDS)
        else:
            link.send((head + body)[:at])
        return False


@dataclass(frozen=True)
class Silent(Answer):
    """Not a byte, until the client gives up."""

    def play(self, link: Link, request: Request) -> bool:
        _stall(link, b"")
        return False


def _stall(link: Link, begin: bytes) -> None:
    with _listed(link, STALLED):
        link.send(begin)
        link.wait(None)


@contextmanager
def _listed(link: Link, among: set[Any]) -> Iterator[None]:
    among.add(link.peer)
    try:
        yield
    finally:
        among.discard(link.peer)


def let_time_pass_where_the_fault_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which the store stalls or trickles has used up its time at once, and no other has."""
    queued, receive = Channel._queued, Incoming._receive

    def stalled(channel: Channel) -> int:
        if channel.sock.getsockname() in STALLED:
            raise TimeoutError("timed out")
        return queued(channel)

    def trickled(incoming: Incoming, *arguments: Any, **keywords: Any) -> int:
        count = receive(incoming, *arguments, **keywords)
        if incoming._channel.sock.getsockname() in TRICKLING:
            pace = incoming._pace
            assert pace is not None
            if pace._rate:
                raise TimeoutError("slower than min_rate")
            pace._deadline.put_off(-2 * Options().request_deadline)
        return count

    monkeypatch.setattr(Channel, "_queued", stalled)
    monkeypatch.setattr(Incoming, "_receive", trickled)


def _whole(request: Request, fake: FakeS3) -> Answer | None:
    bucket, _, key = request.path.strip("/").partition("/")
    stored = fake.objects[bucket, key]
    return respond(200, stored.body, etag=stored.etag)


def _skewed() -> Reply:
    theirs = datetime.now(timezone.utc) + timedelta(hours=3)
    return s3_error(403, "RequestTimeTooSkewed", headers={"Date": format_datetime(theirs, usegmt=True)})


ANOTHER_ETAG = f'"{"0123456789abcdef" * 2}"'


def _wrong_etag(request: Request, reply: Reply) -> Reply:
    """Another ETag in the head, or in the document."""
    other = ANOTHER_ETAG.strip('"')
    headers = {name: ANOTHER_ETAG if name == "ETag" else text for name, text in reply.headers.items()}
    before, tag, rest = reply.body.partition(b"<ETag>")
    if request.method == "GET" or not tag:
        return replace(reply, headers=headers)
    after = rest.partition(b"</ETag>")[2]
    return replace(reply, body=b"%s<ETag>&quot;%s&quot;</ETag>%s" % (before, other.encode(), after))


def _short(request: Request, reply: Reply) -> Reply:
    """Fewer bytes than the object or range has, or half a document; the length that is declared fits."""
    keep = len(reply.body) - LESS if request.method in ("GET", "HEAD") and "ETag" in reply.headers else None
    return replace(reply, body=reply.body[: len(reply.body) // 2 if keep is None else keep])


def _long(request: Request, reply: Reply) -> Reply:
    return replace(reply, body=reply.body + bytes(LESS))


Instead = Callable[[Request, FakeS3], Answer | None]
Spoil = Callable[[Request, Reply], Answer]

# What is answered in place of the request, which is not applied.
INSTEAD: dict[str, Instead] = {
    "lost-before": lambda request, fake: close(),
    "500-before": lambda request, fake: s3_error(500, "InternalError"),
    "slow-down": lambda request, fake: s3_error(503, "SlowDown"),
    "409": lambda request, fake: s3_error(409, "ConditionalRequestConflict"),
    "412": lambda request, fake: s3_error(412, "PreconditionFailed"),
    "200-error": lambda request, fake: s3_error(200, "InternalError"),
    "range-ignored": _whole,
    "expired-400": lambda request, fake: s3_error(400, "ExpiredToken"),
    "expired-403": lambda request, fake: s3_error(403, "ExpiredToken"),
    "skew": lambda request, fake: _skewed(),
}

# What becomes of the answer to a request that was applied, whatever it was.
AFTER: dict[str, Spoil] = {
    "lost-after": lambda request, reply: close(),
    "cut": lambda request, reply: Broken(reply, "cut"),
    "stall": lambda request, reply: Silent(),
    "stall-body": lambda request, reply: Broken(reply, "stall"),
    "trickle": lambda request, reply: Broken(reply, "trickle"),
    "500-after": lambda request, reply: s3_error(500, "InternalError"),
    "slow-after": lambda request, reply: s3_error(503, "SlowDown"),
    "idle": lambda request, reply: replace(reply, then_close=True),
}

# What becomes of a good answer.
SPOILED: dict[str, Callable[[Request, Reply], Reply]] = {
    "wrong-etag": _wrong_etag,
    "short": _short,
    "long": _long,
}


class Injector:
    """Hits the first request to `target`, or all of them (`lasting`); "" is any request."""

    def __init__(self, fault: str, target: str, lasting: bool) -> None:
        self._fault = fault
        self._target = target
        self._lasting = lasting
        self._lock = threading.Lock()
        self.count = 0

    def _takes(self, request: Request) -> bool:
        if self._target and not hits(request, self._target):
            return False
        with self._lock:
            if self.count and not self._lasting:
                return False
            self.count += 1
            return True

    def before(self, request: Request, fake: FakeS3) -> Answer | None:
        """FakeS3's `fault`."""
        instead = INSTEAD.get(self._fault)
        return instead(request, fake) if instead is not None and self._takes(request) else None

    def after(self, request: Request, reply: Reply) -> Answer | None:
        """FakeS3's `after`."""
        if self._fault in AFTER and self._takes(request):
            return AFTER[self._fault](request, reply)
        if self._fault in SPOILED and reply.status < 300 and self._takes(request):
            return SPOILED[self._fault](request, reply)
        return None


# --- no connection ---


@contextmanager
def unreachable(fault: str, lasting: bool) -> Iterator[None]:
    """Names resolve to a port at which nobody listens (`refused`), or not at all (`dns`)."""
    real = socket.getaddrinfo
    left = [True]

    def resolve(host: Any, port: Any, *arguments: Any, **keywords: Any) -> Any:
        if not left:
            return real(host, port, *arguments, **keywords)
        if not lasting:
            left.clear()
        if fault == "dns":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, dead, *arguments, **keywords)

    with reserved_port() as dead, pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        yield
