"""What `cp` and `cat` do: which file goes where, and the copying itself. Prints nothing.

Invariants: a failure of one file does not stop the others, and every one is told; a key never leaves the
folder that it is downloaded into; what is not a regular file (a pipe, a device) is streamed, never replaced.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from fsspec.callbacks import Callback

from .._fs.placement import into_itself, meeting, meeting_here, outside, overwriting, refuse, unnameable
from .._read.target_file import is_stream, write_all
from .._runs import run_all
from .._values import paths
from .._values.local_files import is_special
from .._values.local_names import refusal_of_key
from .._work import check
from ..errors import PreconditionUnsupportedError
from ..filesystem import GuardedS3FileSystem

SCHEMES = ("s3", "s3a", *paths.PROTOCOLS)
STANDARD = "-"  # standard input or output
_CHUNK = 32 * 2**20  # bytes of one read of a stream: two ranges in parallel
SIDE_BY_SIDE = 32  # files


class S3Url(NamedTuple):
    """A place in S3: "s3://bucket/key" is `S3Url("s3", "bucket/key")`."""

    scheme: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"

    @property
    def is_folder(self) -> bool:
        """Whether things are put into it: a bucket, or a name that ends in a slash."""
        return "/" not in self.path or self.path.endswith("/")

    def below(self, name: str) -> S3Url:
        """The place `name` in this folder."""
        return S3Url(self.scheme, f"{self.path.rstrip('/')}/{name}")

    @classmethod
    def parse(cls, text: str) -> S3Url:
        """Raises ValueError for what is no URL of S3, or names no valid bucket."""
        scheme, mark, _ = text.partition("://")
        if not mark or scheme not in SCHEMES:
            raise ValueError(f"{text!r} is no URL of S3, like s3://bucket/key")
        path = paths.strip_protocol(text, SCHEMES)
        paths.parse(path)
        return cls(scheme, path)


Place = S3Url | str  # a local path, or STANDARD


class Told(NamedTuple):
    """What is told of a file without reading it: `modified` in seconds since 1970, `etag` of one in S3.

    A store may tell neither.
    """

    size: int
    modified: float | None
    etag: str = ""

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Told:
        """Of a row of a listing."""
        modified = row["LastModified"]
        return cls(row["size"], modified.timestamp() if modified else None, row["ETag"])

    @classmethod
    def of_file(cls, path: str) -> Told:
        """Of a local file. Raises OSError."""
        told = os.stat(path)
        return cls(told.st_size, told.st_mtime)


@dataclass
class Copy:
    """One file to be copied, and what became of it: `error` is None when all went well.

    `writing` are arguments of `put_file`, `cp_file` and `open`: conditions on a target in S3, and attributes.
    `told` is what the listing of a tree told of the source. With `spares_conditions` it is made without them
    where the store honours none.
    """

    source: Place
    target: Place
    size: int | None = None
    error: Exception | None = None
    writing: dict[str, Any] = field(default_factory=dict)
    told: Told | None = None
    spares_conditions: bool = False


class _Share(Callback):
    """The callback of all files: what each moves counts for `total`. fsspec's are not made for threads.

    An interrupt reaches the main thread only; the others end at the next bytes that they move.
    """

    def __init__(self, total: Callback) -> None:
        super().__init__()
        self._total = total
        self._lock = threading.Lock()

    def relative_update(self, inc: int = 1) -> None:
        check()
        with self._lock:
            self._total.relative_update(inc)


# --- which file goes where ------------------------------------------------------------------------


def plan(fs: GuardedS3FileSystem, sources: Sequence[Place], target: Place, recursive: bool) -> list[Copy]:
    """What is to be copied. A folder takes a source under its name: a bucket, a name with a slash at its
    end, a local folder. Anything else becomes the name of the copy. A tree whose name ends in a slash
    gives what is in it.

    Raises FileNotFoundError for a source that is not there, IsADirectoryError for a tree that is not
    `recursive`, ValueError for what makes no sense, such as a tree that would be copied into itself.
    """
    if len(sources) > 1 and not _is_folder(target):
        raise ValueError(f"several sources need a folder as target, not {target}: end it with a slash")
    if not isinstance(target, S3Url) and not all(isinstance(source, S3Url) for source in sources):
        raise ValueError("source or target must be in S3, like s3://bucket/key")
    one = _tree if recursive else _single
    copies = [copy for source in sources for copy in one(fs, source, target)]
    _note_misplaced([copy for copy in copies if copy.error is None], target)
    return copies


def _note_misplaced(copies: Sequence[Copy], target: Place) -> None:
    """Give an error to each copy that would meet another one, or leave the folder that was named."""
    if isinstance(target, S3Url):
        pairs = [(_path(copy.source), _path(copy.target)) for copy in copies]
        remote = [pair for pair, copy in zip(pairs, copies, strict=True) if isinstance(copy.source, S3Url)]
        misplaced = dict(chain(overwriting(remote), meeting([place for _, place in pairs])))
    else:
        places = [_path(copy.target) for copy in copies if copy.target != STANDARD]
        named = [
            (str(copy.source), _path(copy.target)) for copy in copies if not is_stream(_path(copy.target))
        ]
        misplaced = dict(chain(outside(places, target), meeting_here(places), unnameable(named, None)))
    for copy in copies:
        why = misplaced.get(_path(copy.target))
        copy.error = ValueError(why) if why else None


def _path(place: Place) -> str:
    return place.path if isinstance(place, S3Url) else place


def _is_folder(place: Place) -> bool:
    if isinstance(place, S3Url):
        return place.is_folder
    return place != STANDARD and (place.endswith((os.sep, os.altsep or os.sep)) or os.path.isdir(place))


def _single(fs: GuardedS3FileSystem, source: Place, target: Place) -> list[Copy]:
    size: int | None = None
    if isinstance(source, S3Url):
        info = fs.info(source.path)
        if info["type"] == "directory":
            raise IsADirectoryError(f"{source} is a folder: -r takes all that is in it")
        size = info["size"]
    elif source != STANDARD:
        if os.path.isdir(source):
            raise IsADirectoryError(f"{source} is a folder: -r takes all that is in it")
        size = os.stat(source).st_size if os.path.isfile(source) else None
    if not _is_folder(target):
        return [Copy(source, target, size)]
    if source == STANDARD:
        raise ValueError(f"standard input has no name: say which key of {target} it is to be")
    name = _name(source)
    why = "" if isinstance(target, S3Url) else refusal_of_key(name)
    return [Copy(source, _below(target, name), size, ValueError(f"{source}: {why}") if why else None)]


def _tree(fs: GuardedS3FileSystem, source: Place, target: Place) -> list[Copy]:
    if STANDARD in (source, target):
        raise ValueError("standard input and output hold no tree")
    if _is_folder(target) and _name(source):
        target = _below(target, _name(source))
    if isinstance(source, S3Url):
        return list(_remote_tree(fs, source, target))
    if os.path.isdir(source):
        return list(_local_tree(source, target))
    return [Copy(source, target, os.stat(source).st_size)]


def _remote_tree(fs: GuardedS3FileSystem, source: S3Url, target: Place) -> Iterator[Copy]:
    found = fs.find(source.path, detail=True)
    root = source.path.rstrip("/")
    if not found:
        raise nothing_at(source)
    if isinstance(target, S3Url) and found.keys() != {root}:
        refuse(into_itself([(root, target.path.rstrip("/"))]))
    for name, row in found.items():
        key = name[len(root) + 1 :]
        place = S3Url(source.scheme, name)
        if name == root:
            yield Copy(place, target, row["size"], told=Told.of_row(row))
        elif isinstance(target, S3Url) or not (why := _unsafe(key)):
            yield Copy(place, _below(target, key), row["size"], told=Told.of_row(row))
        else:
            yield Copy(place, target, error=ValueError(f"{place} cannot be a file below {target}: {why}"))


def nothing_at(url: S3Url) -> FileNotFoundError:
    """The error of a command that needs something to be there."""
    return FileNotFoundError(f"there is nothing at {url}")


def _unsafe(key: str) -> str:
    """Why `key` as a relative path does not stay below its folder, or is not the only key of that path; or
    it is no name of a file here. "" where it is a good one.
    """
    if {"", ".", ".."} & set(key.split("/")) or "\0" in key:
        return "its name would lead elsewhere"
    return refusal_of_key(key)


def _local_tree(source: str, target: Place) -> Iterator[Copy]:
    for path in _files_below(source):
        name = os.path.relpath(path, source).replace(os.sep, "/")
        copy = Copy(path, _below(target, name))
        if os.path.isfile(path):
            copy.told = Told.of_file(path)
            copy.size = copy.told.size
        else:
            copy.error = OSError(errno.EINVAL, "not a regular file", path)
        yield copy


def _files_below(root: str) -> Iterator[str]:
    """All that is in a folder, in order; links to folders are followed."""
    for folder, names, files in os.walk(root, followlinks=True, onerror=_raise):
        here = os.path.realpath(folder)
        for name in names:
            path = os.path.join(folder, name)
            if os.path.commonpath([here, os.path.realpath(path)]) == os.path.realpath(path):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        names.sort()
        yield from (os.path.join(folder, name) for name in sorted(files))


def _raise(error: OSError) -> None:
    raise error


def _name(place: Place) -> str:
    """The last part of a path, "" where it ends in a slash or means a folder by its contents."""
    path = place.path if isinstance(place, S3Url) else place.replace(os.sep, "/")
    name = path.rpartition("/")[2]
    return "" if name in (".", "..") else name


def _below(target: Place, name: str) -> Place:
    return target.below(name) if isinstance(target, S3Url) else os.path.join(target, *name.split("/"))


# --- copying --------------------------------------------------------------------------------------


def run(
    fs: GuardedS3FileSystem,
    copies: Iterable[Copy],
    *,
    total: Callback,
    told: Callable[[Copy], object] = lambda copy: None,
) -> None:
    """Do all copies, in parallel; what went wrong is noted in each. `total` counts the bytes of all, and
    `told` is called with each copy that was made.
    """
    share = _Share(total)

    def one(copy: Copy) -> None:
        try:
            try:
                _copy(fs, copy, share)
            except PreconditionUnsupportedError:  # nothing was sent
                if not copy.spares_conditions:
                    raise
                copy.writing = {}
                _copy(fs, copy, share)
            told(copy)
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            copy.error = error

    todo = [partial(one, copy) for copy in copies if copy.error is None]
    at_once = min(SIDE_BY_SIDE, max(1, len(todo)))
    run_all(todo, at_once, at_once)


def move(
    fs: GuardedS3FileSystem,
    copies: Sequence[Copy],
    *,
    total: Callback,
    told: Callable[[Copy], object] = lambda copy: None,
) -> None:
    """As `run`, and remove each source that was copied: in S3 only the version that was copied."""
    within = [copy for copy in copies if _within_s3(copy) and copy.error is None]
    if within:
        fs.mv([_path(copy.source) for copy in within], [_path(copy.target) for copy in within])
        for copy in within:
            total.relative_update(copy.size or 0)
            told(copy)
    others = [copy for copy in copies if not _within_s3(copy)]
    etags = {
        copy.source: fs.info(copy.source.path)["ETag"]
        for copy in others
        if isinstance(copy.source, S3Url) and copy.error is None
    }

    def remove(copy: Copy) -> None:
        if isinstance(copy.source, S3Url):
            fs.rm_file(copy.source.path, if_match=etags[copy.source])
        else:
            os.unlink(copy.source)
        told(copy)

    run(fs, others, total=total, told=remove)


def _within_s3(copy: Copy) -> bool:
    return isinstance(copy.source, S3Url) and isinstance(copy.target, S3Url)


def _copy(fs: GuardedS3FileSystem, copy: Copy, callback: Callback) -> None:
    source, target = copy.source, copy.target
    if isinstance(source, S3Url) and isinstance(target, S3Url):
        fs.cp_file(source.path, target.path, **copy.writing)
        callback.relative_update(copy.size or 0)
    elif isinstance(source, S3Url):
        _to_here(fs, source, str(target), callback)
    elif isinstance(target, S3Url):
        _from_here(fs, source, target, copy.writing, callback)


def _to_here(fs: GuardedS3FileSystem, source: S3Url, target: str, callback: Callback) -> None:
    if target == STANDARD:
        read_to(fs, source, sys.stdout.buffer, callback)
    elif is_stream(target):
        with open(target, "wb") as file:
            read_to(fs, source, file, callback)
    else:
        fs.get_file(source.path, target, callback=callback)


def _from_here(
    fs: GuardedS3FileSystem, source: str, target: S3Url, writing: dict[str, Any], callback: Callback
) -> None:
    if source == STANDARD:
        _write_from(fs, sys.stdin.buffer, target, writing, callback)
    elif is_special(source):
        with open(source, "rb") as file:
            _write_from(fs, file, target, writing, callback)
    else:
        fs.put_file(source, target.path, callback=callback, **writing)


def read_to(fs: GuardedS3FileSystem, source: S3Url, file: BinaryIO, callback: Callback) -> None:
    """Write the bytes of one version of `source` to `file`."""
    with fs.open(source.path, "rb", cache_type="none") as reader:
        _pump(reader, file, callback)
    file.flush()


def _write_from(
    fs: GuardedS3FileSystem, file: BinaryIO, target: S3Url, writing: dict[str, Any], callback: Callback
) -> None:
    rest = {name: value for name, value in writing.items() if name != "mode"}
    with fs.open(target.path, "xb" if writing.get("mode") == "create" else "wb", **rest) as writer:
        _pump(file, writer, callback)


def _pump(source: Any, target: Any, callback: Callback) -> None:
    while data := source.read(_CHUNK):
        write_all(target, data)
        callback.relative_update(len(data))
