"""`sync`: which files of a tree differ from those at the target, and what is there too much."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import md5
from typing import Literal

from ..filesystem import GuardedS3FileSystem
from .transfers import Copy, Place, S3Url, plan

Compare = Literal["time", "size", "etag"]


@dataclass
class Differences:
    """What `sync` is to do: copies, and places at the target that the source does not have."""

    copies: list[Copy] = field(default_factory=list)
    extra: list[Place] = field(default_factory=list)
    same: int = 0


@dataclass(frozen=True)
class _Known:
    """What is told of a file without reading it; `etag` of one in S3."""

    size: int
    modified: float
    etag: str = ""


def differences(
    fs: GuardedS3FileSystem, source: Place, target: Place, compare: Compare, delete: bool
) -> Differences:
    """What has to be copied so that each file below `source` is at `target`; extra ones if `delete`.

    "size": files of another size. "time": those too that are newer at the source. "etag": files of another
    size or content, by the MD5 that the ETag of an object is that went in one request; an ETag that is none
    (parts, a KMS) differs.
    """
    source, target = _as_folder(source), _as_folder(target)
    planned = plan(fs, [source], target, recursive=True)
    there = _files(fs, target)
    here = _files(fs, source)
    found = Differences()
    for copy in planned:
        old = there.get(_name(copy.target))
        new = here.get(_name(copy.source))
        if copy.error is None and old is not None and new is not None and _equal(copy, new, old, compare):
            found.same += 1
        else:
            found.copies.append(copy)
    if delete:
        wanted = {_name(copy.target) for copy in planned}
        found.extra = [_place(target, name) for name in there if name not in wanted]
    return found


def _as_folder(place: Place) -> Place:
    """The same with a slash at its end: `sync` gives what is in a folder, never the folder itself."""
    if isinstance(place, S3Url):
        return place if place.is_folder else S3Url(place.scheme, f"{place.path}/")
    return os.path.join(place, "")


def _name(place: Place) -> str:
    return place.path if isinstance(place, S3Url) else os.path.normpath(place)


def _place(target: Place, name: str) -> Place:
    return S3Url(target.scheme, name) if isinstance(target, S3Url) else name


def _files(fs: GuardedS3FileSystem, place: Place) -> dict[str, _Known]:
    if isinstance(place, S3Url):
        rows = fs.find(place.path, detail=True)
        return {
            name: _Known(row["size"], row["LastModified"].timestamp(), row["ETag"])
            for name, row in rows.items()
        }
    known = {}
    for folder, _, names in os.walk(place, followlinks=True):
        for name in names:
            path = os.path.normpath(os.path.join(folder, name))
            if os.path.isfile(path):
                told = os.stat(path)
                known[path] = _Known(told.st_size, told.st_mtime)
    return known


def _equal(copy: Copy, new: _Known, old: _Known, compare: Compare) -> bool:
    if new.size != old.size:
        return False
    if compare == "size":
        return True
    if compare == "time":
        return new.modified <= old.modified
    return _etag(copy.source, new) == _etag(copy.target, old)


def _etag(place: Place, known: _Known) -> str:
    """The ETag, or for a local file what it would be if the file went in one request."""
    if isinstance(place, S3Url):
        return known.etag
    with open(place, "rb") as file:
        content = md5(usedforsecurity=False)
        while data := file.read(2**20):
            content.update(data)
    return f'"{content.hexdigest()}"'


def remove(fs: GuardedS3FileSystem, places: Sequence[Place]) -> None:
    """Delete what is at the target alone."""
    remote = [place.path for place in places if isinstance(place, S3Url)]
    if remote:
        fs.rm(remote)
    for place in places:
        if not isinstance(place, S3Url):
            os.unlink(place)
