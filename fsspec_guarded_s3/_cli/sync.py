"""`sync`: which files of a tree differ from those at the target, and what is there too much.

Invariant: what was compared is what is replaced or deleted. An upload creates, or replaces the version of
the target that the listing told, where the store can see to that; so does a delete. A copy
within S3 does not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import md5
from typing import Any, Literal

from .._fs.placement import is_below
from .._runs import run_all
from .._values.conditions import is_weak
from .._values.local_names import Spellings
from ..errors import ObjectNotFoundError, PreconditionUnsupportedError
from ..filesystem import GuardedS3FileSystem
from .transfers import SIDE_BY_SIDE, Copy, Place, S3Url, Told, plan

Compare = Literal["time", "size", "etag"]


@dataclass
class Differences:
    """What `sync` is to do: copies, and what the target has and the source has not, by its place."""

    copies: list[Copy] = field(default_factory=list)
    extra: dict[Place, Told] = field(default_factory=dict)
    same: int = 0


def differences(
    fs: GuardedS3FileSystem, source: Place, target: Place, compare: Compare, delete: bool
) -> Differences:
    """What has to be copied so that each file below `source` is at `target`; extra ones if `delete`.

    "size": files of another size. "time": those too that are newer at the source. "etag": files of another
    size or content, by the MD5 that the ETag of an object is that went in one request; an ETag that is none
    (parts, a KMS) differs.
    """
    source, target = _as_folder(source), _as_folder(target)
    if delete and isinstance(source, S3Url) and isinstance(target, S3Url):
        _refuse_within(source, target)
    planned = plan(fs, [source], target, recursive=True)
    there = _files(fs, target)
    spelt = _spelling(target, there)
    found = Differences()
    for copy in planned:
        old = there.get(spelt(copy.target))
        if copy.error is None and old is not None and _equal(copy, old, compare):
            found.same += 1
            continue
        if isinstance(copy.target, S3Url) and not isinstance(copy.source, S3Url):
            copy.writing = {"mode": "create"} if old is None else _only(old)
            copy.spares_conditions = True
        found.copies.append(copy)
    if delete:
        wanted = {spelt(copy.target) for copy in planned}
        found.extra = {
            _place(target, name): told
            for name, told in there.items()
            if name not in wanted and (isinstance(target, S3Url) or not _is_behind_link(target, name))
        }
    return found


def _refuse_within(source: S3Url, target: S3Url) -> None:
    """ValueError for a source that is in the target, where all of it would be deleted as extra files."""
    if is_below(source.path.rstrip("/"), target.path.rstrip("/")):
        raise ValueError(
            f"{source} is in {target}: --delete would delete it, since a copy of it is elsewhere"
        )


def _is_behind_link(target: str, name: str) -> bool:
    """Whether a link to a folder leads to a local file: it belongs to another tree, or is there twice."""
    folder = os.path.dirname(name)
    direct = os.path.join(os.path.realpath(target), os.path.relpath(folder, target))
    return os.path.realpath(folder) != os.path.normpath(direct)


def _as_folder(place: Place) -> Place:
    """The same with a slash at its end: `sync` gives what is in a folder, never the folder itself."""
    if isinstance(place, S3Url):
        if place.path.endswith("//"):  # what is above it was not meant, and would be deleted
            raise ValueError(f"{place} ends with a folder that has no name, which sync does not know")
        return S3Url(place.scheme, f"{place.path.rstrip('/')}/")
    return os.path.join(place, "")


def _only(told: Told) -> dict[str, Any]:
    """The condition that what was listed is still there; none where the store tells nothing to name it by."""
    return {} if not told.etag or is_weak(told.etag) else {"if_match": told.etag}


def _name(place: Place) -> str:
    return place.path if isinstance(place, S3Url) else os.path.normpath(place)


def _spelling(target: Place, there: Iterable[str]) -> Callable[[Place], str]:
    """What gives the name by which a place is `there`, if it is.

    Many folders of macOS and Windows have one file by several names, and the names that they list need not be
    those that were written: the copy of `README` must not be deleted as the extra file `readme`.
    """
    if isinstance(target, S3Url):
        return _name
    spellings = Spellings()

    def of(name: str) -> str:
        return spellings.of(os.path.normcase(os.path.abspath(name)))

    names = {of(name): name for name in there}
    return lambda place: names.get(of(_name(place)), _name(place))


def _place(target: Place, name: str) -> Place:
    return S3Url(target.scheme, name) if isinstance(target, S3Url) else name


def _files(fs: GuardedS3FileSystem, place: Place) -> dict[str, Told]:
    if isinstance(place, S3Url):
        return {name: Told.of_row(row) for name, row in fs.find(place.path, detail=True).items()}
    known = {}
    for folder, _, names in os.walk(place, followlinks=True):
        for name in names:
            path = os.path.normpath(os.path.join(folder, name))
            if os.path.isfile(path):
                known[path] = Told.of_file(path)
    return known


def _equal(copy: Copy, old: Told, compare: Compare) -> bool:
    new = copy.told
    if new is None or new.size != old.size:
        return False
    if compare == "size":
        return True
    if compare == "time":
        return new.modified is not None and old.modified is not None and new.modified <= old.modified
    return _etag(copy.source, new) == _etag(copy.target, old)


def _etag(place: Place, known: Told) -> str:
    """The ETag, or for a local file what it would be if the file went in one request."""
    if isinstance(place, S3Url):
        return known.etag
    with open(place, "rb") as file:
        content = md5(usedforsecurity=False)
        while data := file.read(2**20):
            content.update(data)
    return f'"{content.hexdigest()}"'


def remove(fs: GuardedS3FileSystem, extra: dict[Place, Told], told: Callable[[Place], object]) -> None:
    """Delete what is at the target alone, in S3 the versions that were found; `told` is called with each.

    Raises ObjectChangedError for one that was written meanwhile, and deletes the others.
    """
    changed: list[OSError] = []

    def one(place: Place) -> None:
        try:
            _remove(fs, place, extra[place])
            told(place)
        except OSError as error:
            changed.append(error)

    calls: Sequence[Callable[[], None]] = [partial(one, place) for place in extra]
    if calls:
        at_once = min(SIDE_BY_SIDE, len(calls))
        run_all(calls, at_once, at_once)
    if changed:
        raise changed[0]


def _remove(fs: GuardedS3FileSystem, place: Place, found: Told) -> None:
    if not isinstance(place, S3Url):
        os.unlink(place)
        return
    try:
        fs.rm_file(place.path, **_only(found))
    except PreconditionUnsupportedError:  # nothing was sent
        fs.rm_file(place.path)
    except ObjectNotFoundError:  # somebody else has removed it
        pass
