"""What the workers write down, content that says who it is, and what may be true of a key afterwards."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

BUCKET = "soak"
COUNTERS = [f"{BUCKET}/counters/{number}" for number in range(3)]
SMALL_LOG, LARGE_LOG = f"{BUCKET}/logs/small", f"{BUCKET}/logs/large"
COMMITS = f"{BUCKET}/commits"


def commit_path(number: int) -> str:
    return f"{COMMITS}/{number:08d}"


# Content


def payload(identity: str, size: int) -> bytes:
    """Bytes that name themselves, with their length and checksum in front."""
    body = random.Random(identity).randbytes(size)
    return f"{identity} {size} {zlib.crc32(body):08x}\n".encode() + body


def identify(content: bytes) -> str:
    """Whose `payload` this is; ValueError when it is not whole."""
    head, _, body = content.partition(b"\n")
    try:
        identity, size, crc = head.decode().split(" ")
        whole = len(body) == int(size) and zlib.crc32(body) == int(crc, 16)
    except ValueError:
        whole = False
    if not whole:
        raise ValueError(f"not whole: {len(content)} bytes, beginning with {content[:60]!r}")
    return identity


def line(text: str) -> bytes:
    """One line with its checksum: a record of a log, or the value of a counter."""
    return f"{text} {zlib.crc32(text.encode()):08x}\n".encode()


def text_of(stored: bytes) -> str:
    """The text of a `line`; ValueError when it is not whole."""
    text = stored.decode("ascii", "replace").rpartition(" ")[0]
    if stored != line(text):
        raise ValueError(f"not a whole line: {stored[:80]!r}")
    return text


# Journals


@dataclass(frozen=True)
class Record:
    """One operation and its end. `outcome` is ok, failed (definitely not applied), unknown or violation.

    `identity` is what `path` holds if it was applied, None for "no object". `needs` is what must have been
    there for a success: "absent", "present" or nothing. `error` is the exception's class, or the violation.
    """

    operation: str
    outcome: str
    path: str = ""
    identity: str | None = None
    error: str = ""
    needs: str = ""


class Journal:
    """A file of records, one JSON document a line. Of one thread."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("a")

    def write(self, record: Record) -> None:
        self._file.write(json.dumps(asdict(record)) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_journal(path: Path) -> Iterator[Record]:
    with path.open() as file:
        for text in file:
            yield Record(**json.loads(text))


# Keys of one writer


class OwnKeys:
    """What each key of a single writer may hold, by the outcomes of that writer's operations.

    The writer uses it to choose its operations, and the final check to judge them.
    """

    def __init__(self) -> None:
        self._possible: dict[str, set[str | None]] = {}

    def possible(self, path: str) -> set[str | None]:
        return self._possible.get(path, {None})

    def paths(self) -> list[str]:
        return list(self._possible)

    def apply(self, record: Record) -> str | None:
        """Take an outcome in; returns what is wrong with it, if anything is."""
        before = self.possible(record.path)
        present = before - {None}
        after, wrong = before, ""
        if record.outcome == "ok":
            after = {record.identity}
            if record.operation == "read" and record.identity not in before:
                wrong = "the content is none that may be there"
            elif record.needs == "absent" and None not in before:
                wrong = "it was created although it was there"
            elif record.needs == "present" and not present:
                wrong = "it succeeded although there was nothing"
        elif record.outcome == "unknown":
            after = before | {record.identity}
        elif record.error == "ObjectExistsError":
            after, wrong = present, "" if present else "it was not there: a false failure"
        elif record.error == "ObjectNotFoundError":
            after, wrong = {None}, "" if None in before else "it was there: a false failure"
        elif record.error == "ObjectChangedError":
            wrong = "nobody else writes here: a false failure"
        self._possible[record.path] = set(after)
        facts = f"{record.identity}, possible before: {sorted(map(str, before))}"
        return f"{record.operation} {record.path}: {wrong} ({facts})" if wrong else None
