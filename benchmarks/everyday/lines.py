"""Files read from front to back: lines of text, binary lines, and pieces of one size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..work import Job


def text(job: Job) -> Any:
    with job.peer.open("every/csv/table.csv", "r", encoding="utf-8") as file:
        lines = list(file)
    return len(lines), lines


def binary(job: Job) -> Any:
    with job.peer.open("every/lines/lines.bin") as file:
        lines = [file.readline() for _ in range(job.sizes.shapes.lines)]
    return [len(line) for line in lines], lines


def gzip_text(job: Job) -> Any:
    with job.peer.open("every/gzip/text.csv.gz", "rt", encoding="utf-8", compression="gzip") as file:
        return file.read()


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
