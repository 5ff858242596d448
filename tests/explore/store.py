"""S3 without sockets, and all that can go wrong between it and us.

Requests are applied atomically and in one order, as S3 promises for a key; signatures are not looked at.
A `SimulatedS3` is forked before each step, and its `key()` is all that can make a difference later.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree

from fsspec_guarded_s3._values.bodies import body_chunks
from fsspec_guarded_s3._values.models import WRITE_TOKEN, WireRequest

from .facts import Facts, Ledger

US = "us"
RIVAL = "rival"
BEFORE = ""  # who wrote what was there before the calls
BUCKET = "bucket"
KEY = "key"
SOURCE = "source"
TARGET = "target"  # of what is moved from the key
TOKEN = f"x-amz-meta-{WRITE_TOKEN}"

# What a request can meet. "applied": S3 did it, and the answer was lost or an error.
FINE = "fine"
REFUSED = "connection refused"
LOST = "lost"
LOST_APPLIED = "applied, answer lost"
FAILED = "500"
FAILED_APPLIED = "applied, 500"
LATE = "timed out, lands later"
SLOW_DOWN_APPLIED = "applied, 503 SlowDown"
CONFLICT = "409"
ERROR_IN_200 = "200 with an error"
ERROR_IN_200_APPLIED = "applied, 200 with an error"
DENIED = "403"

# After these nobody but S3 knows whether the request was applied.
AMBIGUOUS = frozenset(
    {
        LOST,
        LOST_APPLIED,
        FAILED,
        FAILED_APPLIED,
        SLOW_DOWN_APPLIED,
        LATE,
        ERROR_IN_200,
        ERROR_IN_200_APPLIED,
    }
)
APPLIED = frozenset({FINE, LOST_APPLIED, FAILED_APPLIED, SLOW_DOWN_APPLIED, ERROR_IN_200_APPLIED})

PUBLISHING = frozenset(
    {"PutObject", "CopyObject", "CompleteMultipartUpload", "DeleteObject", "DeleteObjects", "RenameObject"}
)
# The others concern an upload that nobody else knows: when they happen makes no difference to the key.
TOUCHING = PUBLISHING | {"HeadObject", "GetObject", "UploadPartCopy"}
_PUBLISHING_FAULTS = (REFUSED, LOST, LOST_APPLIED, FAILED, FAILED_APPLIED, LATE, SLOW_DOWN_APPLIED)
FAULTS: Mapping[str, tuple[str, ...]] = {
    "PutObject": _PUBLISHING_FAULTS,
    "CopyObject": (*_PUBLISHING_FAULTS, ERROR_IN_200, ERROR_IN_200_APPLIED),
    "CompleteMultipartUpload": (*_PUBLISHING_FAULTS, CONFLICT, ERROR_IN_200, ERROR_IN_200_APPLIED),
    "RenameObject": (*_PUBLISHING_FAULTS, CONFLICT),
    "DeleteObject": _PUBLISHING_FAULTS,
    "DeleteObjects": _PUBLISHING_FAULTS,
    # A part that is sent twice is the same part, and nothing changes by looking: lost is lost.
    "HeadObject": (LOST, FAILED, DENIED),
    "GetObject": (LOST, FAILED, DENIED),
    "ListParts": (LOST, FAILED, DENIED),
    "UploadPart": (LOST, FAILED, DENIED),
    "UploadPartCopy": (LOST, FAILED, DENIED, ERROR_IN_200),
    "CreateMultipartUpload": (REFUSED, LOST, LOST_APPLIED, FAILED, FAILED_APPLIED, DENIED),
    "AbortMultipartUpload": (LOST, LOST_APPLIED, FAILED, FAILED_APPLIED, DENIED),
}
_STATUS = {FAILED: 500, FAILED_APPLIED: 500, SLOW_DOWN_APPLIED: 503, CONFLICT: 409, DENIED: 403}
_CODES = {
    403: "AccessDenied",
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    500: "InternalError",
    503: "SlowDown",
}

Headers = tuple[tuple[str, str], ...]


# --- values ----------------------------------------------------------------------------------------


class Version(NamedTuple):
    """One object that was published, and by whom; `generation` where conditions are on these."""

    author: str
    body: bytes
    etag: str
    headers: Headers = ()
    generation: int = 1

    def is_meant(self, condition: str) -> bool:
        """Whether `condition` is on this one, by its ETag or its generation."""
        return condition in (self.etag, f"generation {self.generation}")


class Pending(NamedTuple):
    """A multipart upload that is open, whose id was told to `caller`."""

    caller: str
    headers: Headers
    parts: tuple[tuple[int, Version], ...] = ()
    dead: bool = False  # Complete was answered 409: it never can be completed
    abort_failed: bool = False  # the last abort did not get through, or its answer did not


class Asked(NamedTuple):
    """A request as S3 reads it."""

    operation: str
    key: str
    upload_id: str
    part: int
    condition: str  # "" or "create" or the ETag, or "generation N", that must be there
    source: str
    source_etag: str
    byte_range: tuple[int, int] | None
    kept: Headers  # what an object is to keep
    replaces: bool
    size: str
    body: bytes
    token: str = ""  # of a rename
    offset: str = ""  # of an append
    listed: tuple[str, str] = ("", "")  # prefix, and behind which key the listing begins


class Answer(NamedTuple):
    """What S3 says."""

    status: int
    headers: Headers = ()
    body: bytes = b""


# What a caller gets: an answer, or the name of the fault that took it away.
Reply = Answer | str


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def version(author: str, body: bytes, headers: Headers = (), part_size: int = 0) -> Version:
    """An object made by one PUT, or in parts of `part_size` bytes."""
    if not part_size:
        return Version(author, body, f'"{md5(body)}"', headers)
    pieces = [body[at : at + part_size] for at in range(0, len(body), part_size)]
    return Version(author, body, multipart_etag([md5(piece) for piece in pieces]), headers)


def multipart_etag(digests: list[str]) -> str:
    return f'"{md5(bytes.fromhex("".join(digests)))}-{len(digests)}"'


def _error(status: int, code: str = "") -> Answer:
    code = code or _CODES[status]
    return Answer(status, (), f"<Error><Code>{code}</Code><Message>simulated</Message></Error>".encode())


def parse(wire: WireRequest) -> Asked:
    """The operation that `wire` asks for, path style."""
    path, _, text = wire.target.partition("?")
    query = dict(parse_qsl(text, keep_blank_values=True))
    bucket, _, key = path[1:].partition("/")
    assert bucket == BUCKET, wire.target
    headers: Mapping[str, str] = wire.headers
    generation = headers.get("x-goog-if-generation-match", "")
    if any(name.startswith("x-goog-") for name in headers):  # Google Cloud Storage's own words
        assert not any(name.startswith("x-amz-") for name in headers), headers
        headers = {name.replace("x-goog-", "x-amz-"): value for name, value in headers.items()}
    body = b"".join(map(bytes, body_chunks(wire.body)))
    operation = _operation(wire.method, query, "x-amz-copy-source" in headers)
    renamed = headers.get("x-amz-rename-source", "")
    if operation == "DeleteObjects":
        rows = ElementTree.fromstring(body).findall("{*}Object")
        key = "\n".join(row.findtext("{*}Key") or "" for row in rows)
        headers = {"if-match": "\n".join(row.findtext("{*}ETag") or "" for row in rows)}
    source = headers.get("x-amz-copy-source", "")
    byte_range = re.fullmatch(
        r"bytes=(\d+)-(\d+)", headers.get("range") or headers.get("x-amz-copy-source-range", "")
    )
    kept = ((k, v) for k, v in headers.items() if k.startswith("x-amz-meta-") or k == "content-type")
    return Asked(
        operation,
        unquote(key),
        query.get("uploadId", ""),
        int(query.get("partNumber", 0)),
        _condition_of(headers, generation),
        unquote(renamed or source.partition(f"/{BUCKET}/")[2]),
        headers.get("x-amz-rename-source-if-match" if renamed else "x-amz-copy-source-if-match", ""),
        (int(byte_range[1]), int(byte_range[2])) if byte_range else None,
        tuple(sorted(kept)),
        headers.get("x-amz-metadata-directive") == "REPLACE",
        headers.get("x-amz-mp-object-size", ""),
        body,
        headers.get("x-amz-client-token", ""),
        headers.get("x-amz-write-offset-bytes", ""),
        (query.get("prefix", ""), query.get("start-after", "")),
    )


def _condition_of(headers: Mapping[str, str], generation: str) -> str:
    if generation:
        return "create" if generation == "0" else f"generation {generation}"
    return "create" if "if-none-match" in headers else headers.get("if-match", "")


def _operation(method: str, query: Mapping[str, str], copies: bool) -> str:
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
    if "delete" in query:
        return "DeleteObjects"
    if "renameObject" in query:
        return "RenameObject"
    if method == "PUT":
        return "CopyObject" if copies else "PutObject"
    return {"HEAD": "HeadObject", "GET": "GetObject", "DELETE": "DeleteObject"}[method]


# --- S3 --------------------------------------------------------------------------------------------


Deed = Callable[["SimulatedS3"], None]
Deeds = Callable[["SimulatedS3"], list[tuple[str, Deed]]]


@dataclass(frozen=True)
class World:
    """What does not change.

    `replayed` is what a Complete that was applied before answers: 200 as AWS, or 404 as MinIO. `whole` are
    the bytes that an object may have, None for any; `wanted` those that our calls are to publish. `ignored`
    are the guards that the store ignores. `generations`: conditions of writes are on these alone.
    """

    callers: tuple[str, ...] = (US,)
    rival: Deeds = lambda store: []
    replayed: int = 200
    whole: frozenset[bytes] | None = None
    wanted: frozenset[bytes] = frozenset()
    ignored: frozenset[str] = frozenset()
    generations: bool = False


# The guard that a condition of an operation needs, by whether it is one of a create.
_GUARDS = {
    "PutObject": ("swap", "create"),
    "CopyObject": ("copy_swap", "copy_create"),
    "CompleteMultipartUpload": ("swap_on_complete", "create_on_complete"),
    "DeleteObject": ("delete", ""),
    "DeleteObjects": ("delete_many", ""),
    "RenameObject": ("rename_swap", "rename_create"),
}
_PINS = {
    "CopyObject": "copy_source",
    "UploadPartCopy": "copy_source_parts",
    "RenameObject": "rename_source",
}


class SimulatedS3:
    """The store, what is on the way to it, and the facts about what happened."""

    def __init__(
        self, world: World, objects: Mapping[str, Version], uploads: Mapping[str, Pending] | None = None
    ) -> None:
        self.world = world
        self.objects = dict(objects)
        self.uploads = dict(uploads or {})
        self.completed: dict[str, Answer] = {}
        self.renamed: frozenset[str] = frozenset()  # tokens
        self.on_the_way: tuple[tuple[str, Asked], ...] = ()
        self.told = dict.fromkeys(world.callers, 0)  # upload ids
        self.orphans = False  # uploads whose id was lost
        self.last = 1  # generation
        first = self.objects.get(KEY)
        self.first = first
        self.ledger = Ledger(free=first is None)
        self.facts = {caller: Facts(others=first is not None, gone=first is None) for caller in world.callers}

    def fork(self) -> SimulatedS3:
        """Another one in the same state."""
        other = object.__new__(SimulatedS3)
        other.__dict__.update(self.__dict__)
        for name in ("objects", "uploads", "completed", "told", "facts"):
            setattr(other, name, dict(getattr(self, name)))
        return other

    def key(self) -> tuple[object, ...]:
        """Two stores with the same key behave alike."""
        return (
            tuple(sorted(self.objects.items())),
            tuple(sorted(self.uploads.items())),
            tuple(sorted(self.completed.items())),
            self.renamed,
            self.on_the_way,
            tuple(self.told.values()),
            self.orphans,
            self.last,
            self.ledger,
            tuple(self.facts.values()),
        )

    @property
    def current(self) -> Version | None:
        return self.objects.get(KEY)

    # --- a request and its fault ---

    def faults(self, asked: Asked) -> tuple[str, ...]:
        """What the request can meet now, besides going well."""
        possible: tuple[str, ...] = FAULTS.get(asked.operation, ())
        if asked.condition and asked.operation in ("PutObject", "CopyObject", "DeleteObject"):
            possible = (*possible, CONFLICT)
        if asked.operation in PUBLISHING and self._refusal(asked):
            possible = tuple(fault for fault in possible if fault not in APPLIED)  # nothing to be applied
        return possible

    def exchange(self, caller: str, asked: Asked, fault: str) -> Reply:
        """One request of ours that meets `fault`; what `caller` gets."""
        lost = fault != FINE
        if asked.operation == "CreateMultipartUpload" and lost:
            self.orphans = self.orphans or fault in APPLIED
            answer = None
        else:
            answer = self._apply(asked, caller) if fault in APPLIED else None
        if asked.operation == "AbortMultipartUpload" and asked.upload_id in self.uploads:
            self._set_upload(asked.upload_id, abort_failed=lost)
        if fault == CONFLICT and asked.upload_id in self.uploads:
            self._set_upload(asked.upload_id, dead=True)
        if fault == LATE:
            self.on_the_way = (*self.on_the_way, (caller, asked))
        self._note(caller, asked, fault, answer)
        if fault == FINE:
            assert answer is not None
            return answer
        if fault in (ERROR_IN_200, ERROR_IN_200_APPLIED):
            return Answer(200, (), _error(500).body)
        return _error(_STATUS[fault]) if fault in _STATUS else fault

    def _note(self, caller: str, asked: Asked, fault: str, answer: Answer | None) -> None:
        facts = self.facts[caller]
        if asked.operation == "RenameObject":
            doubt = facts.ambiguous or fault in AMBIGUOUS
            facts = replace(facts, ambiguous=doubt, looked=False, seen="", saw_moved=False)
        elif asked.operation in PUBLISHING and asked.key != KEY:
            facts = replace(facts, ambiguous=facts.ambiguous or fault in AMBIGUOUS)
        elif asked.operation == "HeadObject" and asked.key == TARGET and fault == FINE:
            there = self.objects.get(TARGET)
            facts = replace(facts, saw_moved=there is not None and there.body in facts.moved)
        elif asked.operation in PUBLISHING:
            facts = replace(
                facts,
                ambiguous=facts.ambiguous or fault in AMBIGUOUS,
                saw_ours=False,
                saw_others=False,
                looked=False,
                saw_open=False,
                was_open=False,
            )
        elif asked.operation == "HeadObject" and asked.key == KEY:
            seen = self.current if fault == FINE else None
            ours = seen is not None and seen.author == caller
            facts = replace(
                facts,
                looked=fault == FINE,
                seen=seen.etag if seen else "",
                saw_ours=facts.saw_ours or ours,
                saw_others=facts.saw_others or (seen is not None and not ours),
            )
        elif asked.operation == "ListParts":
            facts = replace(facts, saw_open=facts.saw_open or (answer is not None and answer.status == 200))
        elif asked.operation == "AbortMultipartUpload" and fault == FINE and answer == Answer(204):
            facts = replace(facts, was_open=True, ambiguous=False) if facts.saw_open else facts
        self.facts[caller] = facts

    # --- what happens besides our requests ---

    def deeds(self, rival: bool) -> list[tuple[str, Deed, bool]]:
        """What can happen now: requests land that are on their way, and the rival acts (True)."""
        landings = [
            (f"lands late: {sent[1].operation}", lambda store, sent=sent: store.land(sent), False)
            for sent in self.on_the_way
        ]
        acts = self.world.rival(self) if rival else []
        return [*landings, *((name, deed, True) for name, deed in acts)]

    def land(self, sent: tuple[str, Asked]) -> None:
        """A request arrives that its caller gave up."""
        rest = list(self.on_the_way)
        rest.remove(sent)
        self.on_the_way = tuple(rest)
        self._apply(sent[1], sent[0])

    def finish(self, caller: str) -> None:
        """The call has returned."""
        now = self.current
        self.facts[caller] = replace(
            self.facts[caller], over=True, ours_at_the_end=now is not None and now.author == caller
        )

    def write(self, author: str, new: Version, key: str = KEY) -> None:
        """A rival's write, conditional where it brings a token: it knows what is there."""
        assert new.author == author
        if key != KEY:
            self.objects[key] = self._numbered(new)
            at_target = key == TARGET
            self.ledger = replace(
                self.ledger,
                source_changed=self.ledger.source_changed or not at_target,
                target_taken=self.ledger.target_taken or at_target,
            )
            return
        self._change(author, new, "create" if new.headers and self.current is None else "")

    def delete(self, author: str) -> None:
        """A rival's delete."""
        self._change(author, None, "")

    def _change(self, author: str, new: Version | None, condition: str) -> None:
        if new is None:
            self.objects.pop(KEY, None)
        else:
            self.objects[KEY] = self._numbered(new)
        self.ledger = self._entered(new, condition)
        for caller, facts in self.facts.items():
            self.facts[caller] = self._learned(facts, caller == author, new, condition)

    def _numbered(self, new: Version) -> Version:
        if not self.world.generations:
            return new
        self.last += 1
        return new._replace(generation=self.last)

    def _entered(self, new: Version | None, condition: str) -> Ledger:
        ledger = self.ledger
        if new is None:
            return replace(ledger, winner=False, free=True)
        torn = ledger.torn
        if self.world.whole is not None and new.body not in self.world.whole:
            torn = new.body
        created = condition == "create"
        return replace(
            ledger,
            winner=ledger.winner or created,
            two_winners=ledger.two_winners or (created and (ledger.winner or not ledger.free)),
            free=False,
            torn=torn,
            increments=ledger.increments + (self.world.whole is None),
        )

    def _learned(self, facts: Facts, ours: bool, new: Version | None, condition: str) -> Facts:
        if ours:
            facts = replace(
                facts,
                applied=min(facts.applied + 1, 2),
                created=facts.created or condition == "create",
            )
        if facts.over:
            return facts
        wanted = new is not None and new.body in self.world.wanted
        facts = replace(facts, wanted_there=facts.wanted_there or wanted)
        if new is None:
            return replace(facts, gone=True, deleted=facts.deleted or ours)
        if ours:
            return replace(facts, published=facts.published | {new.etag})
        return replace(facts, others=True, replaced=True)

    # --- the operations ---

    def _set_upload(self, name: str, **changes: object) -> None:
        self.uploads[name] = self.uploads[name]._replace(**changes)

    def _condition(self, asked: Asked) -> str:
        """The condition of the request, unless the store ignores it."""
        guard = _GUARDS[asked.operation][asked.condition == "create"]
        is_ignored = guard in self.world.ignored or (
            self.world.generations and asked.condition not in ("create",) and asked.condition[:1] == '"'
        )
        return "" if is_ignored else asked.condition

    def _refusal(self, asked: Asked) -> Answer | None:
        """Why a publishing request is not going to be applied, if so."""
        if asked.upload_id:
            upload = self.uploads.get(asked.upload_id)
            if upload is None:
                if asked.upload_id in self.completed and self.world.replayed == 200:
                    return self.completed[asked.upload_id]
                return _error(404, "NoSuchUpload")
            if upload.dead:
                return _error(409)
        if asked.token in self.renamed:
            return Answer(200)
        current, condition = self.objects.get(asked.key), self._condition(asked)
        if condition == "create" and current:
            return _error(412)
        if condition and condition != "create" and current is None:
            return _error(412) if self.world.generations else _error(404, "NoSuchKey")
        if current and condition not in ("", "create") and not current.is_meant(condition):
            return _error(412)
        if asked.offset and int(asked.offset) != len(current.body if current else b""):
            return _error(400, "InvalidWriteOffset")
        return self._source_refusal(asked)

    def _source_refusal(self, asked: Asked) -> Answer | None:
        if not asked.source:
            return None
        source = self.objects.get(asked.source)
        if source is None:
            return _error(404, "NoSuchKey")
        pinned = _PINS[asked.operation] not in self.world.ignored
        return _error(412) if pinned and source.etag != asked.source_etag else None

    def _apply(self, asked: Asked, author: str) -> Answer:
        if asked.operation in PUBLISHING:
            refusal = self._refusal(asked)
            if refusal is not None:
                return _deleted(asked, refusal) if asked.operation == "DeleteObjects" else refusal
            assert asked.key in (KEY, TARGET)
        return _OPERATIONS[asked.operation](self, asked, author)

    def _put(self, asked: Asked, author: str) -> Answer:
        new = version(author, asked.body, asked.kept)
        if asked.offset:
            old = self.objects[asked.key]
            new = version(author, old.body + asked.body, old.headers)
        self._publish(asked, author, new)
        return Answer(200, (("etag", new.etag),))

    def _publish(self, asked: Asked, author: str, new: Version) -> None:
        if asked.key == KEY:
            self._change(author, new, asked.condition)
            return
        self.objects[asked.key] = self._numbered(new)
        self.facts[author] = replace(self.facts[author], moved=self.facts[author].moved | {new.body})

    def _copy(self, asked: Asked, author: str) -> Answer:
        source = self.objects[asked.source]
        new = version(author, source.body, asked.kept if asked.replaces else source.headers)
        if source.etag != asked.source_etag:
            self.ledger = replace(self.ledger, unpinned=True)
        self._publish(asked, author, new)
        return Answer(200, (), f"<CopyObjectResult><ETag>{new.etag}</ETag></CopyObjectResult>".encode())

    def _rename(self, asked: Asked, author: str) -> Answer:
        renamed = self.objects[asked.source]
        rivals = TARGET in self.objects and self.objects[TARGET].author == RIVAL
        self.ledger = replace(
            self.ledger,
            lost=self.ledger.lost or renamed.etag != asked.source_etag,
            target_lost=self.ledger.target_lost or rivals,
        )
        self.objects[TARGET] = renamed
        self.renamed |= {asked.token}
        self.facts[author] = replace(self.facts[author], moved=self.facts[author].moved | {renamed.body})
        self._change(author, None, "")
        return Answer(200)

    def _delete(self, asked: Asked, author: str) -> Answer:
        removed = self.objects.get(KEY)
        if removed is not None:
            facts = self.facts[author]
            if removed.body not in facts.moved and not removed.is_meant(asked.condition):
                seen = facts.seen == removed.etag
                self.ledger = replace(self.ledger, lost=True, lost_seen=self.ledger.lost_seen or seen)
            self._change(author, None, asked.condition)
        return Answer(200, (), b"<DeleteResult/>") if asked.operation == "DeleteObjects" else Answer(204)

    def _head(self, asked: Asked, author: str) -> Answer:
        found = self.objects.get(asked.key)
        if found is None:
            return _error(404, "NoSuchKey")
        told = (("x-goog-generation", str(found.generation)),) if self.world.generations else ()
        length = ("content-length", str(len(found.body)))
        return Answer(200, (("etag", found.etag), length, *told, *found.headers))

    def _get(self, asked: Asked, author: str) -> Answer:
        found = self.objects.get(asked.key)
        if found is None:
            return _error(404, "NoSuchKey")
        if asked.condition and asked.condition != found.etag:
            return _error(412)
        headers = (("etag", found.etag), *found.headers)
        if asked.byte_range is None:
            return Answer(200, headers, found.body)
        first, last = asked.byte_range[0], min(asked.byte_range[1], len(found.body) - 1)
        told = ("content-range", f"bytes {first}-{last}/{len(found.body)}")
        return Answer(206, (*headers, told), found.body[first : last + 1])

    def _list(self, asked: Asked, author: str) -> Answer:
        return Answer(200, (), b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")

    def _create_upload(self, asked: Asked, author: str) -> Answer:
        self.told[author] += 1
        name = f"upload-{author}-{self.told[author]}"
        self.uploads[name] = Pending(author, asked.kept)
        text = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
        return Answer(200, (), text.encode())

    def _store_part(self, asked: Asked, author: str, body: bytes) -> Version:
        part = version(author, body)
        parts = dict(self.uploads[asked.upload_id].parts) | {asked.part: part}
        self._set_upload(asked.upload_id, parts=tuple(sorted(parts.items())))
        return part

    def _upload_part(self, asked: Asked, author: str) -> Answer:
        if asked.upload_id not in self.uploads:
            return _error(404, "NoSuchUpload")
        return Answer(200, (("etag", self._store_part(asked, author, asked.body).etag),))

    def _upload_part_copy(self, asked: Asked, author: str) -> Answer:
        if asked.upload_id not in self.uploads:
            return _error(404, "NoSuchUpload")
        refusal = self._source_refusal(asked)
        if refusal is not None:
            return refusal
        assert asked.byte_range
        piece = self.objects[asked.source].body[asked.byte_range[0] : asked.byte_range[1] + 1]
        etag = self._store_part(asked, author, piece).etag
        return Answer(200, (), f"<CopyPartResult><ETag>{etag}</ETag></CopyPartResult>".encode())

    def _list_parts(self, asked: Asked, author: str) -> Answer:
        upload = self.uploads.get(asked.upload_id)
        if upload is None:
            return _error(404, "NoSuchUpload")
        rows = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>{part.etag}</ETag><Size>{len(part.body)}</Size></Part>"
            for n, part in upload.parts
        )
        return Answer(200, (), f"<ListPartsResult>{rows}</ListPartsResult>".encode())

    def _complete(self, asked: Asked, author: str) -> Answer:
        upload = self.uploads[asked.upload_id]
        named = []
        for row in ElementTree.fromstring(asked.body):
            found = {child.tag.rpartition("}")[2]: child.text or "" for child in row}
            named.append((int(found["PartNumber"]), found["ETag"]))
        there = dict(upload.parts)
        parts = [there.get(number) for number, _ in named]
        if named != sorted(named) or any(
            part is None or part.etag != etag for part, (_, etag) in zip(parts, named, strict=True)
        ):
            return _error(400, "InvalidPart")
        body = b"".join(part.body for part in parts if part)
        if asked.size != str(len(body)):
            return _error(400, "InvalidRequest")
        etag = multipart_etag([tag.strip('"') for _, tag in named])
        self._change(author, Version(author, body, etag, upload.headers), asked.condition)
        del self.uploads[asked.upload_id]
        text = f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
        answer = self.completed[asked.upload_id] = Answer(200, (), text.encode())
        return answer

    def _abort(self, asked: Asked, author: str) -> Answer:
        if self.uploads.pop(asked.upload_id, None) is None:
            return _error(404, "NoSuchUpload")
        return Answer(204)


def _deleted(asked: Asked, refusal: Answer) -> Answer:
    """The answer of DeleteObjects about its one key."""
    error = ElementTree.fromstring(refusal.body)
    row = f"<Error><Key>{asked.key}</Key><Code>{error.findtext('Code')}</Code></Error>"
    return Answer(200, (), f"<DeleteResult>{row}</DeleteResult>".encode())


_OPERATIONS: Mapping[str, Callable[[SimulatedS3, Asked, str], Answer]] = {
    "PutObject": SimulatedS3._put,
    "CopyObject": SimulatedS3._copy,
    "RenameObject": SimulatedS3._rename,
    "DeleteObject": SimulatedS3._delete,
    "DeleteObjects": SimulatedS3._delete,
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
