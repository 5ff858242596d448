"""S3 with many keys, without sockets, for calls that are about more than one object.

As `store`, which knows one key and its uploads: requests are applied atomically and in one order, and a
`ManyKeys` is forked before each step. What it notes: every change by a request of ours, whether an answer to
one was lost, and what should never happen to the object of a log, a table or a pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple
from xml.sax.saxutils import escape

from .store import (
    _STATUS,
    AMBIGUOUS,
    APPLIED,
    CONFLICT,
    DENIED,
    FAILED,
    FAULTS,
    FINE,
    LATE,
    LOST,
    TOUCHING,
    Answer,
    Asked,
    Headers,
    Reply,
    _error,
    md5,
)

TOUCHED = TOUCHING | {"ListObjectsV2"}
LONG_AGO = "2020-01-01T00:00:00.000Z"
NOW = "2026-01-01T00:00:00.000Z"
_HTTP_TIMES = {LONG_AGO: "Wed, 01 Jan 2020 00:00:00 GMT", NOW: "Thu, 01 Jan 2026 00:00:00 GMT"}
_CHANGING = ("PutObject", "DeleteObject", "DeleteObjects")
_BY_OPERATION: Mapping[str, tuple[str, ...]] = {**FAULTS, "ListObjectsV2": (LOST, FAILED, DENIED)}


class Kept(NamedTuple):
    """An object: how many changes of its key there had been before."""

    body: bytes
    headers: Headers = ()
    modified: str = NOW
    generation: int = 1

    @property
    def etag(self) -> str:
        return f'"{md5(self.body)}"'


class Change(NamedTuple):
    """A request of ours that was applied: an object was written, or removed (`body` is None)."""

    caller: str
    key: str
    body: bytes | None


Deed = Callable[["ManyKeys"], None]
Deeds = Callable[["ManyKeys"], list[tuple[str, Deed]]]


class ManyKeys:
    """The store, what is on the way to it, and what happened."""

    def __init__(self, objects: Mapping[str, Kept], rival: Deeds = lambda store: []) -> None:
        self.objects = dict(objects)
        self.rival = rival
        self.seen = {(key, it.etag): it.generation for key, it in objects.items()}
        self.on_the_way: tuple[tuple[str, Asked], ...] = ()
        self.changes: tuple[Change, ...] = ()
        self.doubted: frozenset[str] = frozenset()  # callers to whom an answer of a write was lost
        self.wrong: frozenset[str] = frozenset()
        self.acts = 0

    def fork(self) -> ManyKeys:
        """Another one in the same state."""
        other = object.__new__(ManyKeys)
        other.__dict__.update(self.__dict__)
        other.objects, other.seen = dict(self.objects), dict(self.seen)
        return other

    def key(self) -> tuple[object, ...]:
        """Two stores with the same key behave alike."""
        return (
            tuple(sorted(self.objects.items())),
            tuple(sorted(self.seen.items())),
            self.on_the_way,
            self.changes,
            self.doubted,
            self.wrong,
            self.acts,
        )

    def finish(self, caller: str) -> None:
        """The call has returned."""

    def deeds(self, rival: bool) -> list[tuple[str, Deed, bool]]:
        """What can happen now: requests land that are on their way, and the rival acts (True)."""
        landings = [
            (
                f"lands late: {sent[1].operation} {sent[1].key}",
                lambda store, sent=sent: store.land(sent),
                False,
            )
            for sent in self.on_the_way
        ]
        acts = self.rival(self) if rival else []
        return [*landings, *((name, deed, True) for name, deed in acts)]

    def land(self, sent: tuple[str, Asked]) -> None:
        """A request arrives that its caller gave up."""
        rest = list(self.on_the_way)
        rest.remove(sent)
        self.on_the_way = tuple(rest)
        self._apply(sent[0], sent[1])

    # --- a request and its fault ---

    def faults(self, asked: Asked) -> tuple[str, ...]:
        """What the request can meet now, besides going well."""
        possible: tuple[str, ...] = _BY_OPERATION[asked.operation]
        if asked.condition and asked.operation in ("PutObject", "DeleteObject"):
            possible = (*possible, CONFLICT)
        if asked.operation in _CHANGING and self._refusal(asked.key, asked.condition):
            possible = tuple(fault for fault in possible if fault not in APPLIED)
        return possible

    def exchange(self, caller: str, asked: Asked, fault: str) -> Reply:
        """One request of ours that meets `fault`; what `caller` gets."""
        answer = self._apply(caller, asked) if fault in APPLIED else None
        if asked.operation == "PutObject" and fault in AMBIGUOUS:
            self.doubted |= {caller}
        if fault == LATE:
            self.on_the_way = (*self.on_the_way, (caller, asked))
        if fault == FINE:
            assert answer is not None
            return answer
        return _error(_STATUS[fault]) if fault in _STATUS else fault

    def _refusal(self, key: str, condition: str) -> Answer | None:
        found = self.objects.get(key)
        if condition == "create":
            return _error(412) if found else None
        if not condition:
            return None
        if found is None:
            return _error(404, "NoSuchKey")
        return None if found.etag == condition else _error(412)

    def _apply(self, caller: str, asked: Asked) -> Answer:
        if asked.operation == "DeleteObjects":
            rows = ""
            for key, etag in zip(asked.key.split("\n"), asked.condition.split("\n"), strict=True):
                if self._refusal(key, etag):
                    rows += f"<Error><Key>{key}</Key><Code>PreconditionFailed</Code></Error>"
                else:
                    self.change(caller, key, None)
            return Answer(200, (), f"<DeleteResult>{rows}</DeleteResult>".encode())
        if asked.operation in _CHANGING:
            refusal = self._refusal(asked.key, asked.condition)
            if refusal is not None:
                return refusal
            if asked.condition not in ("", "create"):
                self._note_swap(asked.key, asked.condition)
            self.change(caller, asked.key, asked.body if asked.operation == "PutObject" else None, asked.kept)
            if asked.operation == "DeleteObject":
                return Answer(204)
            return Answer(200, (("etag", self.objects[asked.key].etag),))
        return self._list(*asked.listed) if asked.operation == "ListObjectsV2" else self._read(asked)

    def _note_swap(self, key: str, etag: str) -> None:
        """A swap is for the first object of its ETag: whoever has read that does not know of a later one."""
        if self.seen[key, etag] != self.objects[key].generation:
            self.wrong |= {f"a swap of {key} took a later object for the one that it was made for"}

    def change(self, caller: str, key: str, body: bytes | None, headers: Headers = ()) -> None:
        """A change that is applied; `caller` is "" of a rival."""
        before = self.objects.pop(key, None)
        is_entry = ("_log/" in key or key.startswith("log/")) and "latest" not in key
        if is_entry and before is not None:
            self.wrong |= {f"entry {key} was changed or removed"}
        if caller:
            self.changes = (*self.changes, Change(caller, key, body))
        if body is not None:
            number = 1 + max((it for (name, _), it in self.seen.items() if name == key), default=0)
            new = self.objects[key] = Kept(body, headers, NOW, number)
            self.seen.setdefault((key, new.etag), number)

    def _read(self, asked: Asked) -> Answer:
        found = self.objects.get(asked.key)
        if found is None:
            return _error(404, "NoSuchKey")
        if asked.operation == "GetObject" and asked.condition and asked.condition != found.etag:
            return _error(412)
        size = len(found.body)
        headers = (("etag", found.etag), ("last-modified", _HTTP_TIMES[found.modified]), *found.headers)
        if asked.operation == "HeadObject":
            return Answer(200, (*headers, ("content-length", str(size))))
        if asked.byte_range is None:
            return Answer(200, headers, found.body)
        first, last = asked.byte_range[0], min(asked.byte_range[1], size - 1)
        told = ("content-range", f"bytes {first}-{last}/{size}")
        return Answer(206, (*headers, told), found.body[first : last + 1])

    def _list(self, prefix: str, after: str) -> Answer:
        rows = "".join(
            f"<Contents><Key>{key}</Key><LastModified>{it.modified}</LastModified>"
            f"<ETag>{escape(it.etag)}</ETag><Size>{len(it.body)}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key, it in sorted(self.objects.items())
            if key.startswith(prefix) and key > after
        )
        return Answer(
            200, (), f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()
        )
