"""What the benchmark server stores: the one description that server, harness and scenarios share.

All bytes come from one file of pseudo-random data without a period, so that a part in the wrong place
changes the checksum. Every object is a slice of that file, which lets the server answer from the page
cache and lets the harness work out each expected checksum without asking anybody.

Keys hold only characters that no client percent-encodes, so a path on the wire is the key.
"""

from __future__ import annotations

import random
from pathlib import Path

MB = 1_000_000
BUCKET = "bench"
BIG_KEY = "big"
SMALL_SIZE = 4096
SMALL_COUNT = 1000
LISTED_COUNT = 50_000
LISTED_SIZE = 1024
LISTED_PREFIX = "many"
UPLOAD_PREFIX = "upload"
RANGE_SIZE = 64 * 1024
RANGE_COUNT = 1000

SMALLEST_CORPUS = 8 * MB
"""Room for every small object (about 4 MB) as a slice of its own."""

_CHUNK = 8 * 1024 * 1024


def small_key(index: int) -> str:
    """Key of one 4 KiB object. Index `SMALL_COUNT` is the warm-up object, which nothing measures."""
    return f"small/{index:05d}"


def small_offset(index: int) -> int:
    """Where in the data file that object starts."""
    return index * SMALL_SIZE


def listed_key(index: int) -> str:
    """Key of one entry of the long listing; they are flat, so that every peer needs the same pages."""
    return f"{LISTED_PREFIX}/part-{index:08d}.parquet"


def random_ranges(size: int) -> list[tuple[int, int]]:
    """The same pseudo-random (start, end) pairs in every process, in no order."""
    rng = random.Random(64)
    starts = [rng.randrange(0, size - RANGE_SIZE) for _ in range(RANGE_COUNT)]
    return [(start, start + RANGE_SIZE) for start in starts]


def write_data(path: Path, size: int) -> None:
    """Write `size` bytes. A fixed seed: two runs of the benchmark read the same data."""
    rng = random.Random(4)
    with path.open("wb") as file:
        left = size
        while left:
            step = min(left, _CHUNK)
            file.write(rng.randbytes(step))
            left -= step
