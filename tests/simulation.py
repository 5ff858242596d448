"""S3 without sockets, and all that can go wrong between it and us, for exploration by enumeration.

A `SimulatedS3` takes the place of a client's transport. Wherever something can happen - a fault of a
request, a deed of a rival, a request that lands late - it asks `Choices` which of the possibilities it is.
`enumerate_histories` runs a call again and again until every sequence of choices was taken. Requests are
applied atomically and in one order, as S3 promises for a key; signatures are not looked at.

The order of deeds that cannot be told apart is not varied: a rival acts before requests that see or change
the key, not before those that only concern an upload, unless a request is still on its way to the key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree

from fsspec_guarded_s3._bodies import RequestBody, body_chunks
from fsspec_guarded_s3._errors import ConnectError, IncompleteBodyError, ReadTimeoutError
from fsspec_guarded_s3._models import WRITE_TOKEN, WireRequest

US = "us"
RIVAL = "rival"
BUCKET = "bucket"
KEY = "key"
SOURCE = "source"
TOKEN = f"x-amz-meta-{WRITE_TOKEN}"

# What a request can meet. "applied": S3 did it, and the answer was lost or an error.
FINE = "fine"
REFUSED = "connection refused"
LOST = "lost"
LOST_APPLIED = "applied, answer lost"
FAILED = "500"
FAILED_APPLIED = "applied, 500"
LATE = "timed out, lands later"
SLOW_DOWN = "503 SlowDown"
CONFLICT = "409"
ERROR_IN_200 = "200 with an error"
ERROR_IN_200_APPLIED = "applied, 200 with an error"
DENIED = "403"

# After these nobody but S3 knows whether the request was applied.
AMBIGUOUS = frozenset({LOST, LOST_APPLIED, FAILED, FAILED_APPLIED, LATE, ERROR_IN_200, ERROR_IN_200_APPLIED})
_APPLIED = frozenset({FINE, LOST_APPLIED, FAILED_APPLIED, ERROR_IN_200_APPLIED})

PUBLISHING = frozenset({"PutObject", "CopyObject", "CompleteMultipartUpload", "DeleteObject"})
_TOUCHING = PUBLISHING | {"HeadObject", "GetObject", "UploadPartCopy"}
_PUBLISHING_FAULTS = (REFUSED, LOST, LOST_APPLIED, FAILED, FAILED_APPLIED, LATE, SLOW_DOWN)
FAULTS: Mapping[str, tuple[str, ...]] = {
    "PutObject": _PUBLISHING_FAULTS,
    "CopyObject": (*_PUBLISHING_FAULTS, ERROR_IN_200, ERROR_IN_200_APPLIED),
    "CompleteMultipartUpload": (*_PUBLISHING_FAULTS, CONFLICT, ERROR_IN_200, ERROR_IN_200_APPLIED),
    "DeleteObject": _PUBLISHING_FAULTS,
    # A part that is sent twice is the same part, and nothing changes by looking: lost is lost.
    "HeadObject": (LOST, FAILED, DENIED),
    "GetObject": (LOST, FAILED, DENIED),
    "ListParts": (LOST, FAILED, DENIED),
    "UploadPart": (LOST, FAILED, DENIED),
    "UploadPartCopy": (LOST, FAILED, DENIED, ERROR_IN_200),
    "CreateMultipartUpload": (REFUSED, LOST, LOST_APPLIED, FAILED, FAILED_APPLIED, DENIED),
    "AbortMultipartUpload": (LOST, LOST_APPLIED, FAILED, FAILED_APPLIED, DENIED),
}

# One fault of each kind that the code can tell apart: a 500 and a closed connection are ambiguous alike.
REPRESENTATIVES: Mapping[str, tuple[str, ...]] = {
    "PutObject": (REFUSED, LOST, LOST_APPLIED, LATE),
    "CopyObject": (REFUSED, LOST, LOST_APPLIED, LATE),
    "CompleteMultipartUpload": (REFUSED, LOST, LOST_APPLIED, LATE, CONFLICT),
    "DeleteObject": (REFUSED, LOST, LOST_APPLIED, LATE),
    "HeadObject": (LOST, DENIED),
    "GetObject": (DENIED,),
    "ListParts": (DENIED,),
    "UploadPart": (DENIED,),
    "UploadPartCopy": (DENIED,),
    "CreateMultipartUpload": (LOST_APPLIED, DENIED),
    "AbortMultipartUpload": (LOST_APPLIED, DENIED),
}

_CODES = {
    403: "AccessDenied",
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    500: "InternalError",
    503: "SlowDown",
}


# --- choices ---------------------------------------------------------------------------------------


class Choices:
    """One path through a tree: the first steps are given, after them always the first branch."""

    def __init__(self, prefix: list[int]) -> None:
        self._prefix = prefix
        self.taken: list[tuple[int, int]] = []

    def pick(self, count: int) -> int:
        """One of `count` branches; which one is remembered."""
        if count == 1:
            return 0
        depth = len(self.taken)
        choice = self._prefix[depth] if depth < len(self._prefix) else 0
        self.taken.append((choice, count))
        return choice


def enumerate_histories(run: Callable[[Choices], None]) -> int:
    """Call `run` once for every path through the tree of its choices, depth first; returns how many."""
    prefix: list[int] = []
    count = 0
    while True:
        choices = Choices(prefix)
        run(choices)
        count += 1
        if len(choices.taken) < len(prefix):
            raise AssertionError("a history did not repeat itself: something in it is not a choice")
        taken = choices.taken
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return count
        prefix = [choice for choice, _ in taken]
        prefix[-1] += 1


# --- what is stored --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """One object that was published, and by whom."""

    author: str
    body: bytes
    etag: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def token(self) -> str:
        return self.headers.get(TOKEN, "")


@dataclass
class PendingParts:
    """A multipart upload that is open; `known` says whether its id was told to anybody."""

    headers: Mapping[str, str]
    parts: dict[int, Version] = field(default_factory=dict)
    known: bool = False
    dead: bool = False


@dataclass(frozen=True)
class Change:
    """The object at KEY from then on, and who made it so."""

    author: str
    version: Version | None
    condition: str = ""


@dataclass(frozen=True)
class Exchange:
    """One request of ours: what it met, what was answered (None: nothing), what was at KEY then."""

    operation: str
    upload_id: str
    fault: str
    status: int | None
    seen: Version | None


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def version(author: str, body: bytes, headers: Mapping[str, str] | None = None) -> Version:
    return Version(author, body, _etag(body), headers or {})


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _error(status: int, code: str = "") -> Answer:
    code = code or _CODES[status]
    return Answer(status, {}, f"<Error><Code>{code}</Code><Message>simulated</Message></Error>".encode())


class SimulatedBody(AbstractContextManager["SimulatedBody"]):
    """What `Transport.exchange` gives: a head that was read, and the body that is still to come."""

    def __init__(self, answer: Answer, method: str) -> None:
        self.status = answer.status
        self.headers = dict(answer.headers)
        self._data = b"" if method == "HEAD" else answer.body
        self.length: int | None = len(self._data)
        self._position = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def readinto(self, view: memoryview) -> int:
        piece = self._data[self._position : self._position + len(view)]
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def read(self, limit: int = 2**20) -> bytes:
        piece, self._position = self._data[self._position :], len(self._data)
        return piece


@dataclass(frozen=True)
class Parsed:
    """A request as S3 reads it."""

    operation: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def upload_id(self) -> str:
        return self.query.get("uploadId", "")

    @property
    def condition(self) -> str:
        """ "" or "create" or the ETag that must be there."""
        return "create" if "if-none-match" in self.headers else self.headers.get("if-match", "")


def _bytes(body: RequestBody) -> bytes:
    return b"".join(map(bytes, body_chunks(body)))


def parse(wire: WireRequest) -> Parsed:
    """The operation that `wire` asks for, path style."""
    path, _, text = wire.target.partition("?")
    query = dict(parse_qsl(text, keep_blank_values=True))
    bucket, _, key = path[1:].partition("/")
    assert bucket == BUCKET, wire.target
    return Parsed(
        _operation(wire.method, query, wire.headers), unquote(key), query, wire.headers, _bytes(wire.body)
    )


def _operation(method: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    copies = "x-amz-copy-source" in headers
    if "uploads" in query and method == "POST":
        return "CreateMultipartUpload"
    if "uploadId" in query:
        part = "UploadPartCopy" if copies else "UploadPart"
        return {
            "PUT": part,
            "POST": "CompleteMultipartUpload",
            "DELETE": "AbortMultipartUpload",
            "GET": "ListParts",
        }[method]
    if "list-type" in query:
        return "ListObjectsV2"
    if method == "PUT":
        return "CopyObject" if copies else "PutObject"
    return {"HEAD": "HeadObject", "GET": "GetObject", "DELETE": "DeleteObject"}[method]


# --- S3 --------------------------------------------------------------------------------------------


Deed = Callable[["SimulatedS3"], None]


class SimulatedS3:
    """The store, the way to it, and the rival. Interface of a transport: `exchange`.

    `rival` tells the deeds that are possible now, as (name, deed); at most `rivals` of them are done.
    Faults are of `kinds`, at most `late` of them requests that land later.
    `replayed` is what a Complete that was applied before answers: 200 as AWS, or 404 as MinIO.
    """

    round_trip = 0.0

    def __init__(
        self,
        choices: Choices,
        *,
        faults: int,
        rivals: int,
        rival: Callable[[SimulatedS3], list[tuple[str, Deed]]],
        objects: Mapping[str, Version],
        replayed: int = 200,
        kinds: Mapping[str, tuple[str, ...]] = FAULTS,
        late: int = 4,
    ) -> None:
        self.choices = choices
        self.objects: dict[str, Version] = dict(objects)
        self.uploads: dict[str, PendingParts] = {}
        self.changes: list[Change] = [Change("", self.objects.get(KEY))]
        self.source_changed = False
        self.exchanges: list[Exchange] = []
        self.trace: list[str] = []
        self.ended_at = 0
        self._faults = faults
        self._rivals = rivals
        self._rival = rival
        self._replayed = replayed
        self._kinds = kinds
        self._late = late
        self._completed: dict[str, Answer] = {}
        self._on_the_way: list[Parsed] = []
        self._number = 0

    @property
    def current(self) -> Version | None:
        return self.objects.get(KEY)

    # --- the transport's interface ---

    def exchange(self, wire: WireRequest, deadline: float) -> SimulatedBody:
        """One request, and what befalls it."""
        request = parse(wire)
        if self._on_the_way or request.operation in _TOUCHING:
            self._meanwhile()
        fault = self._fault(request)
        answer = self._apply(request, US) if fault in _APPLIED else None
        self.trace.append(f"{request.operation} {request.key}: {self._told(fault, answer)}")
        answer = self._answer(request, fault, answer)
        self.exchanges.append(
            Exchange(request.operation, request.upload_id, fault, answer and answer.status, self.current)
        )
        if answer is not None:
            return SimulatedBody(answer, wire.method)
        if fault == REFUSED:
            raise ConnectError("simulated")
        if fault == LATE:
            self._on_the_way.append(request)
            raise ReadTimeoutError("simulated")
        raise IncompleteBodyError("simulated")

    @staticmethod
    def _told(fault: str, answer: Answer | None) -> str:
        return f"{fault} ({answer.status})" if answer else fault

    def _answer(self, request: Parsed, fault: str, answer: Answer | None) -> Answer | None:
        if fault == FINE:
            if request.operation == "CreateMultipartUpload" and answer and answer.status == 200:
                self.uploads[f"upload-{self._number}"].known = True
            return answer
        if fault in (FAILED, FAILED_APPLIED):
            return _error(500)
        if fault in (ERROR_IN_200, ERROR_IN_200_APPLIED):
            return Answer(200, {}, _error(500).body)
        if fault == CONFLICT and request.upload_id in self.uploads:
            self.uploads[request.upload_id].dead = True
        status = {SLOW_DOWN: 503, CONFLICT: 409, DENIED: 403}.get(fault)
        return _error(status) if status else None

    def _fault(self, request: Parsed) -> str:
        if not self._faults:
            return FINE
        possible: tuple[str, ...] = self._kinds.get(request.operation, ())
        if request.condition and request.operation in ("PutObject", "CopyObject", "DeleteObject"):
            possible = (*possible, CONFLICT)
        if request.operation in PUBLISHING and self._refusal(request):
            possible = tuple(fault for fault in possible if fault not in _APPLIED)  # nothing to be applied
        if not self._late:
            possible = tuple(fault for fault in possible if fault != LATE)
        choice = self.choices.pick(1 + len(possible))
        if choice == 0:
            return FINE
        self._faults -= 1
        self._late -= possible[choice - 1] == LATE
        return possible[choice - 1]

    # --- what happens besides our requests ---

    def _meanwhile(self) -> None:
        """Let requests land that are on their way, and the rival act, in every order, or do nothing."""
        while True:
            deeds: list[tuple[str, Deed]] = [
                (f"lands late: {request.operation}", lambda store, request=request: store._land(request))
                for request in self._on_the_way
            ]
            rival = self._rival(self) if self._rivals else []
            choice = self.choices.pick(1 + len(deeds) + len(rival))
            if choice == 0:
                return
            name, deed = (*deeds, *rival)[choice - 1]
            if choice > len(deeds):
                self._rivals -= 1
            self.trace.append(name)
            deed(self)

    def _land(self, request: Parsed) -> None:
        self._on_the_way.remove(request)
        self._apply(request, US)

    def end(self) -> None:
        """Our call has returned. What is still on its way lands now, one after the other."""
        self.ended_at = len(self.changes)
        self.trace.append("the call is over")
        while self._on_the_way:
            self._meanwhile()
            if self._on_the_way:
                self._land(self._on_the_way[0])

    def write(
        self, author: str, body: bytes, headers: Mapping[str, str] | None = None, key: str = KEY
    ) -> None:
        """A rival's write, whether conditional or not: it knows what is there."""
        if key != KEY:
            self.objects[key] = version(author, body, headers)
            self.source_changed = True
            return
        condition = "create" if headers and KEY not in self.objects else ""
        self._change(author, version(author, body, headers), condition)

    def delete(self, author: str) -> None:
        """A rival's delete."""
        self._change(author, None, "")

    def _change(self, author: str, new: Version | None, condition: str) -> None:
        if new is None:
            self.objects.pop(KEY, None)
        else:
            self.objects[KEY] = new
        self.changes.append(Change(author, new, condition))

    # --- the operations ---

    def _refusal(self, request: Parsed) -> Answer | None:
        """Why a publishing request is not going to be applied, if so."""
        if request.upload_id:
            upload = self.uploads.get(request.upload_id)
            if upload is None:
                if request.upload_id in self._completed and self._replayed == 200:
                    return self._completed[request.upload_id]
                return _error(404, "NoSuchUpload")
            if upload.dead:
                return _error(409)
        current = self.objects.get(request.key)
        if request.condition == "create":
            return _error(412) if current else None
        if request.condition and current is None:
            return _error(404, "NoSuchKey")
        if current and request.condition and request.condition != current.etag:
            return _error(412)
        return self._source_refusal(request)

    def _source_refusal(self, request: Parsed) -> Answer | None:
        if "x-amz-copy-source" not in request.headers:
            return None
        source = self._source(request)
        if source is None:
            return _error(404, "NoSuchKey")
        return _error(412) if source.etag != request.headers["x-amz-copy-source-if-match"] else None

    def _source(self, request: Parsed) -> Version | None:
        return self.objects.get(unquote(request.headers["x-amz-copy-source"].split("/", 2)[2]))

    def _apply(self, request: Parsed, author: str) -> Answer:
        if request.operation in PUBLISHING:
            refusal = self._refusal(request)
            if refusal is not None:
                return refusal
        return _OPERATIONS[request.operation](self, request, author)

    def _publish(self, request: Parsed, new: Version) -> None:
        assert request.key == KEY
        self._change(new.author, new, request.condition)

    def _put(self, request: Parsed, author: str) -> Answer:
        new = version(author, request.body, _kept(request.headers))
        self._publish(request, new)
        return Answer(200, {"etag": new.etag})

    def _copy(self, request: Parsed, author: str) -> Answer:
        source = self._source(request)
        assert source
        replace = request.headers.get("x-amz-metadata-directive") == "REPLACE"
        new = version(author, source.body, _kept(request.headers) if replace else source.headers)
        self._publish(request, new)
        return Answer(200, {}, f"<CopyObjectResult><ETag>{new.etag}</ETag></CopyObjectResult>".encode())

    def _delete(self, request: Parsed, author: str) -> Answer:
        if KEY in self.objects:
            self._change(author, None, request.condition)
        return Answer(204)

    def _head(self, request: Parsed, author: str) -> Answer:
        found = self.objects.get(request.key)
        if found is None:
            return _error(404, "NoSuchKey")
        headers = {"etag": found.etag, "content-length": str(len(found.body)), **found.headers}
        return Answer(200, headers)

    def _get(self, request: Parsed, author: str) -> Answer:
        found = self.objects.get(request.key)
        if found is None:
            return _error(404, "NoSuchKey")
        if request.condition and request.condition != found.etag:
            return _error(412)
        headers = {"etag": found.etag, **found.headers}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        if wanted is None:
            return Answer(200, headers, found.body)
        first, last = int(wanted[1]), min(int(wanted[2]), len(found.body) - 1)
        headers["content-range"] = f"bytes {first}-{last}/{len(found.body)}"
        return Answer(206, headers, found.body[first : last + 1])

    def _list(self, request: Parsed, author: str) -> Answer:
        return Answer(200, {}, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")

    def _create_upload(self, request: Parsed, author: str) -> Answer:
        self._number += 1
        name = f"upload-{self._number}"
        self.uploads[name] = PendingParts(_kept(request.headers))
        text = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
        return Answer(200, {}, text.encode())

    def _upload_part(self, request: Parsed, author: str) -> Answer:
        upload = self.uploads.get(request.upload_id)
        if upload is None:
            return _error(404, "NoSuchUpload")
        part = upload.parts[int(request.query["partNumber"])] = version(author, request.body)
        return Answer(200, {"etag": part.etag})

    def _upload_part_copy(self, request: Parsed, author: str) -> Answer:
        upload = self.uploads.get(request.upload_id)
        if upload is None:
            return _error(404, "NoSuchUpload")
        refusal = self._source_refusal(request)
        if refusal is not None:
            return refusal
        source = self._source(request)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["x-amz-copy-source-range"])
        assert source and wanted
        piece = source.body[int(wanted[1]) : int(wanted[2]) + 1]
        part = upload.parts[int(request.query["partNumber"])] = version(author, piece)
        return Answer(200, {}, f"<CopyPartResult><ETag>{part.etag}</ETag></CopyPartResult>".encode())

    def _list_parts(self, request: Parsed, author: str) -> Answer:
        upload = self.uploads.get(request.upload_id)
        if upload is None:
            return _error(404, "NoSuchUpload")
        rows = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>{part.etag}</ETag><Size>{len(part.body)}</Size></Part>"
            for n, part in sorted(upload.parts.items())
        )
        return Answer(200, {}, f"<ListPartsResult>{rows}</ListPartsResult>".encode())

    def _complete(self, request: Parsed, author: str) -> Answer:
        upload = self.uploads[request.upload_id]
        named = []
        for row in ElementTree.fromstring(request.body):
            found = {child.tag.rpartition("}")[2]: child.text or "" for child in row}
            named.append((int(found["PartNumber"]), found["ETag"]))
        parts = [upload.parts.get(number) for number, _ in named]
        if named != sorted(named) or any(
            part is None or part.etag != etag for part, (_, etag) in zip(parts, named, strict=True)
        ):
            return _error(400, "InvalidPart")
        body = b"".join(part.body for part in parts if part)
        if request.headers["x-amz-mp-object-size"] != str(len(body)):
            return _error(400, "InvalidRequest")
        digests = b"".join(bytes.fromhex(etag.strip('"')) for _, etag in named)
        etag = f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(named)}"'
        self._publish(request, Version(author, body, etag, upload.headers))
        del self.uploads[request.upload_id]
        text = f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
        answer = self._completed[request.upload_id] = Answer(200, {}, text.encode())
        return answer

    def _abort(self, request: Parsed, author: str) -> Answer:
        if self.uploads.pop(request.upload_id, None) is None:
            return _error(404, "NoSuchUpload")
        return Answer(204)


def _kept(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name.startswith("x-amz-meta-") or name == "content-type"
    }


_OPERATIONS: Mapping[str, Callable[[SimulatedS3, Parsed, str], Answer]] = {
    "PutObject": SimulatedS3._put,
    "CopyObject": SimulatedS3._copy,
    "DeleteObject": SimulatedS3._delete,
    "HeadObject": SimulatedS3._head,
    "GetObject": SimulatedS3._get,
    "ListObjectsV2": SimulatedS3._list,
    "CreateMultipartUpload": SimulatedS3._create_upload,
    "UploadPart": SimulatedS3._upload_part,
    "UploadPartCopy": SimulatedS3._upload_part_copy,
    "ListParts": SimulatedS3._list_parts,
    "CompleteMultipartUpload": SimulatedS3._complete,
    "AbortMultipartUpload": SimulatedS3._abort,
}
