"""Many small files: opened, got, put, read by ranges, gathered, listed, copied, moved and removed."""

from __future__ import annotations

import os
import random
from typing import Any

from ..uploads import KEPT
from ..work import Job
from .digests import folder
from .written import stored


def tree_keys(job: Job) -> list[str]:
    """The files of the data set "tree"."""
    return [f"every/tree/{n % 7}/{n % 3}/leaf-{n:03d}.bin" for n in range(job.sizes.shapes.tree)]


def _singles(job: Job) -> list[str]:
    return [f"every/singles/single-{n:03d}.bin" for n in range(job.sizes.shapes.singles)]


def opens(job: Job) -> Any:
    return [job.peer.read(key) for key in _singles(job)]


def looks(job: Job) -> Any:
    """Each file is asked for, and then read."""
    fs = job.peer.fs
    paths = [job.peer.path(key) for key in _singles(job)]
    return [fs.cat_file(path) for path in paths if fs.exists(path)]


def get(job: Job) -> Any:
    job.peer.fs.get(job.peer.path("every/tree"), job.local, recursive=True)
    return lambda: folder(job.local)


def get_list(job: Job) -> Any:
    keys = tree_keys(job)[: job.sizes.shapes.listed]
    os.makedirs(job.local)
    local = [f"{job.local}/{n}" for n in range(len(keys))]
    job.peer.fs.get([job.peer.path(key) for key in keys], local)
    return lambda: folder(job.local)


def put_tree(job: Job) -> Any:
    job.peer.fs.put(f"{job.given}/every/tree", job.peer.path(f"{KEPT}{job.key}/put"), recursive=True)
    return lambda: stored(job)


def cat_tree(job: Job) -> Any:
    fs = job.peer.fs
    found = fs.cat(fs.find(job.peer.path("every/tree")))
    return {path.rpartition("every/tree/")[2]: content for path, content in found.items()}


def ranges(job: Job) -> Any:
    generator = random.Random(job.sizes.seed)
    keys = tree_keys(job)
    smallest = job.sizes.shapes.largest // 50
    starts = [generator.randrange(smallest // 2) for _ in keys]
    return job.peer.small_ranges(keys, starts, [start + smallest // 3 for start in starts])


def gather(job: Job) -> Any:
    return job.peer.gather(tree_keys(job))


def open_files(job: Job) -> Any:
    """The files of a pattern, not yet read."""
    import fsspec

    found = fsspec.open_files(job.peer.url("every/tree/*/*/leaf-*.bin"), **job.peer.options)
    return sorted(file.path.rpartition("every/tree/")[2] for file in found)


def walk(job: Job) -> Any:
    """All folders, and the size of each file."""
    sizes = {}
    for path, _, files in job.peer.fs.walk(job.peer.path("every/tree"), detail=True):
        for name, entry in files.items():
            sizes[f"{path.rpartition('every/tree')[2]}/{name}"] = entry["size"]
    return sizes


def copy(job: Job) -> Any:
    source, target = _places(job)
    job.peer.fs.copy(source, target, recursive=True)
    return lambda: stored(job)


def move(job: Job) -> Any:
    """One after the other: fsspec's recursive `mv` fails with every peer."""
    source, target = _places(job)
    for name in job.prepared:
        job.peer.fs.mv(f"{source}/{name}", f"{target}/{name}")
    return lambda: stored(job)


def remove(job: Job) -> Any:
    job.peer.fs.rm(_places(job)[0], recursive=True)
    return lambda: stored(job)


def _places(job: Job) -> tuple[str, str]:
    return job.peer.path(f"{KEPT}{job.key}/from"), job.peer.path(f"{KEPT}{job.key}/to")
