"""Many small files: opened, got, read by ranges, gathered."""

from __future__ import annotations

import random
from typing import Any

from ..work import Job
from .digests import folder


def tree_keys(job: Job) -> list[str]:
    """The files of the data set "tree"."""
    return [f"every/tree/{n % 7}/{n % 3}/leaf-{n:03d}.bin" for n in range(job.sizes.shapes.tree)]


def opens(job: Job) -> Any:
    found = []
    for n in range(job.sizes.shapes.singles):
        with job.peer.open(f"every/singles/single-{n:03d}.bin") as file:
            found.append(file.read())
    return found


def get(job: Job) -> Any:
    job.peer.fs.get(job.peer.path("every/tree"), job.local, recursive=True)
    return lambda: folder(job.local)


def ranges(job: Job) -> Any:
    generator = random.Random(job.sizes.seed)
    keys = tree_keys(job)
    smallest = job.sizes.shapes.small // 50
    starts = [generator.randrange(smallest // 2) for _ in keys]
    return job.peer.small_ranges(keys, starts, [start + smallest // 3 for start in starts])


def gather(job: Job) -> Any:
    return job.peer.gather(tree_keys(job))
