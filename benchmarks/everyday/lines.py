"""Files read from front to back: lines of text, binary lines, and pieces of one size; and random records."""

from __future__ import annotations

import gzip
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

from ..uploads import KEPT
from ..work import Job
from .make_files import WORDS
from .written import stored

_EVERY = 10  # one of so many members of an archive is read


def text(job: Job) -> Any:
    with job.peer.open("every/csv/table.csv", "r", encoding="utf-8") as file:
        lines = list(file)
    return len(lines), lines


def loopback(job: Job) -> Any:
    """Lines that are counted and let go: too many to be kept."""
    count = size = 0
    with job.peer.open("every/loopback/table.csv", "r", encoding="utf-8") as file:
        for line in file:
            count += 1
            size += len(line)
    return count, size


def to_write(job: Job) -> list[str]:
    """The lines that `write` stores."""
    generator = random.Random(job.sizes.seed + 19)
    return [f"{n},{generator.random()},{generator.choice(WORDS)}\n" for n in range(job.sizes.shapes.written)]


def write(job: Job) -> Any:
    """Text, line by line."""
    with job.peer.open(f"{KEPT}{job.key}/lines.csv", "w", encoding="utf-8") as file:
        for line in job.prepared:
            file.write(line)
    return lambda: stored(job)


def binary(job: Job) -> Any:
    with job.peer.open("every/lines/lines.bin") as file:
        lines = [file.readline() for _ in range(job.sizes.shapes.lines)]
    return [len(line) for line in lines], lines


def gzip_text(job: Job) -> Any:
    with job.peer.open("every/gzip/text.csv.gz", "rt", encoding="utf-8", compression="gzip") as file:
        return file.read()


def gzip_lines(job: Job) -> Any:
    with job.peer.open("every/gzip/text.csv.gz") as file, gzip.open(file) as lines:
        return list(lines)


def json_lines(job: Job) -> Any:
    with job.peer.open("every/json/events.jsonl", "r", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _all(job: Job, key: str, size: int) -> list[Any]:
    pieces = []
    with job.peer.open(key) as file:
        while piece := file.read(size):
            pieces.append(piece)
    return pieces


def reading(size: int) -> Callable[[Job], Any]:
    """A program that reads a file by `size` bytes."""
    return lambda job: _all(job, "every/csv/table.csv", size)


def reading_big(size: int) -> Callable[[Job], Any]:
    """The same with a larger file."""
    return lambda job: _all(job, "every/big/big.bin", size)


def records(job: Job) -> Any:
    """Records in a random order, each into a buffer, as the loader of a training reads them."""
    shapes = job.sizes.shapes
    generator = random.Random(shapes.seed)
    found = []
    with job.peer.open("every/big/big.bin") as file:
        for _ in range(shapes.records):
            buffer = memoryview(bytearray(shapes.record))
            file.seek(generator.randrange(shapes.big // shapes.record) * shapes.record)
            have = 0
            while have < len(buffer):
                count = file.readinto(buffer[have:])
                if not count:
                    raise EOFError("a record is cut")
                have += count
            found.append(buffer)
    return found


def strides(job: Job) -> Any:
    """Some bytes of every 100 kB, in order: the headers of an archive, a cell of each row."""
    shapes = job.sizes.shapes
    found = []
    with job.peer.open("every/big/big.bin") as file:
        for place in range(0, shapes.big // 2 - shapes.record, 100_000):
            file.seek(place)
            found.append(file.read(shapes.record))
    return found


def tar_members(job: Job) -> Any:
    with job.peer.open("every/tar/members.tar") as file, tarfile.open(fileobj=file, mode="r:") as archive:
        members = archive.getmembers()
        read = [archive.extractfile(member) for member in members[::_EVERY]]
        return [member.name for member in members], [part.read() for part in read if part]


def zip_members(job: Job) -> Any:
    with job.peer.open("every/zip/members.zip") as file, zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        return names, [archive.read(name) for name in names[::_EVERY]]
