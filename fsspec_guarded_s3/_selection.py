"""fsspec's verbs that find names: walk, glob, and what a path, a glob or a list means to the bulk verbs.

fsspec's own lose directories with an empty name (`a//b`), list every bucket for a glob of buckets, and ask
for each name again what it is. A path that names an existing object is that object, also where it has `*`,
`?` or `[`.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, overload

from fsspec.utils import glob_translate, stringify_path

from . import _paths
from ._errors import HOPELESS, ConnectError
from ._keywords import check_depth, flag, refuse
from ._listing import nothing_at, refuse_everything
from ._parameters import NoMore, Path
from ._paths import S3Path
from ._rows import ListedInfo, by_name, directory_row
from ._versions import Versions

if TYPE_CHECKING:
    from typing_extensions import Unpack


OnError = Literal["omit", "raise"] | Callable[[OSError], object]
MAGIC = re.compile(r"[*?[]")


class Source(NamedTuple):
    """A name that a bulk verb is to work on; `kind` is "file", "directory", or "" where nobody asked yet."""

    name: str
    kind: str


class Selection(Versions):
    """The part of the filesystem that finds names. Use `GuardedS3FileSystem`."""

    # --- trees and patterns ---

    @overload
    def walk(
        self,
        path: Path,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: OnError = "omit",
        detail: Literal[False] = False,
        refresh: bool = False,
    ) -> Iterator[tuple[str, list[str], list[str]]]: ...

    @overload
    def walk(
        self,
        path: Path,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: OnError = "omit",
        *,
        detail: Literal[True],
        refresh: bool = False,
    ) -> Iterator[tuple[str, dict[str, ListedInfo], dict[str, ListedInfo]]]: ...

    @overload
    def walk(
        self,
        path: Path,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: OnError = "omit",
        detail: bool = False,
        refresh: bool = False,
    ) -> Iterator[tuple[str, Any, Any]]: ...

    def walk(
        self,
        path: Path,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: OnError = "omit",
        detail: bool = False,
        refresh: bool = False,
        **kwargs: Any,
    ) -> Iterator[tuple[str, Any, Any]]:
        """Like `os.walk`: (directory, names of directories, names of files), level by level.

        `on_error` is "omit", "raise" or a function of the OSError; a wrong configuration, and a store
        that cannot be reached, are always raised.
        With `detail` the names are the keys of dicts of `info`s. From the top down, directories that are
        removed from the second are not walked into.
        With a listing cache as it was when it was listed; `refresh` asks the store. ValueError for the root,
        which is all of S3, unless `maxdepth` is 1.
        """
        refuse(self.walk, kwargs)
        check_depth(maxdepth)
        if not callable(on_error) and on_error not in ("omit", "raise"):
            raise ValueError(f"on_error must be omit, raise or a function, not {on_error!r}")
        name = self._strip_protocol(path)
        refuse_everything(name, maxdepth)
        try:
            rows = self.ls(path, detail=True, refresh=refresh)
        except (*HOPELESS, ConnectError):
            raise
        except OSError as error:
            if on_error == "raise":
                raise
            if callable(on_error):
                on_error(error)
            return
        base = len(f"{name}/") - name.endswith("/") if name else 0
        known = {row["name"][base:].removesuffix("/"): row for row in rows if row["type"] == "directory"}
        files = {row["name"][base:]: row for row in rows if row["type"] == "file"}
        level = (name, dict(known), files) if detail else (name, list(known), list(files))
        if topdown:
            yield level
        if maxdepth is None or maxdepth > 1:
            deeper = None if maxdepth is None else maxdepth - 1
            for child in [child for child in level[1] if child in known]:
                yield from self.walk(known[child]["name"], deeper, topdown, on_error, detail, refresh)
        if not topdown:
            yield level

    @overload
    def glob(
        self,
        path: Path,
        maxdepth: int | None = None,
        detail: Literal[False] = False,
        refresh: bool = False,
    ) -> list[str]: ...

    @overload
    def glob(
        self,
        path: Path,
        maxdepth: int | None = None,
        *,
        detail: Literal[True],
        refresh: bool = False,
    ) -> dict[str, ListedInfo]: ...

    @overload
    def glob(
        self,
        path: Path,
        maxdepth: int | None = None,
        detail: bool = False,
        refresh: bool = False,
    ) -> list[str] | dict[str, ListedInfo]: ...

    def glob(
        self,
        path: Path,
        maxdepth: int | None = None,
        detail: bool = False,
        refresh: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Names that match a pattern of `*`, `?`, `[...]` and `**`; with a slash at its end directories only.

        In one listing below the last directory that is written out; of buckets, only those that match are
        listed. `maxdepth` bounds `**`. `glob.escape` of the standard library writes a name as a pattern.
        With a listing cache as it was when it was listed; `refresh` asks the store.
        """
        refuse(self.glob, kwargs)
        check_depth(maxdepth)
        rows = by_name(self._glob(path, maxdepth, refresh))
        return rows if detail else list(rows)

    def _glob(self, path: Path, maxdepth: int | None, refresh: bool = False) -> list[dict[str, Any]]:
        name = self._strip_protocol(path)
        first = MAGIC.search(name)
        if first is None:
            try:
                return [cast("dict[str, Any]", self.info(path, refresh=refresh))]
            except FileNotFoundError:
                return []
        only_directories = self._without_protocol(path).endswith("/")
        pattern = re.compile(glob_translate(name + "/" if only_directories else name))
        if "/" not in name[: first.start()]:
            return self._glob_buckets(name, pattern, maxdepth, refresh)
        start = name.rindex("/", 0, first.start()) + 1
        depth = _glob_depth(name[start:], maxdepth)
        location = _paths.parse(_paths.without_slash(name[:start]))
        rows = self._below(location, depth, True, name[start : first.start()], refresh)
        if rows is None:
            return []
        with_slash = only_directories or name.endswith("/**")
        found = [*rows, directory_row(str(location))]
        return [row for row in found if pattern.match(_matched_name(row, with_slash))]

    def _glob_buckets(
        self, name: str, pattern: re.Pattern[str], maxdepth: int | None, refresh: bool
    ) -> list[dict[str, Any]]:
        head, _, rest = name.partition("/")
        every = "**" in head
        rows: list[dict[str, Any]] = []
        deeper = maxdepth - 1 if every and maxdepth is not None else maxdepth
        matching = re.compile(glob_translate("*" if every else head))
        for row in cast("list[dict[str, Any]]", self.ls("", detail=True)):
            if pattern.match(row["name"]) or pattern.match(row["name"] + "/"):
                rows.append(row)
            if (rest or every) and matching.match(row["name"]) and deeper != 0:
                inner = f"{row['name']}/{'**/' if every and rest else ''}{rest or '**'}"
                below = self._glob(inner, deeper, refresh)
                rows += [found for found in below if found["name"] != row["name"]]
        return rows

    # --- what the bulk verbs work on ---

    def expand_path(
        self,
        path: Path | Iterable[Path],
        recursive: bool = False,
        maxdepth: int | None = None,
        assume_literal: bool = False,
        **kwargs: Unpack[NoMore],
    ) -> list[str]:
        """The names that a path, a glob or a list of them stands for; with what is below them if `recursive`.

        FileNotFoundError when a glob matches nothing, or there is nothing to recurse into. `assume_literal`,
        which s3fs has, changes nothing: a name that is there is no pattern.
        """
        refuse(self.expand_path, kwargs)
        return sorted({source.name for source in self._select(path, recursive, maxdepth)})

    def _select(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> list[Source]:
        """`expand_path`, with what each name is where that was seen; both, where it is both."""
        check_depth(maxdepth)
        recursive = flag("recursive", recursive)
        return sorted(set(self._each(path, lambda p, alone: self._select_one(p, recursive, maxdepth, alone))))

    def _roots(self, path: Any, recursive: bool) -> list[Source]:
        """The same without what is below. `recursive` tells whether directories are asked for."""
        recursive = flag("recursive", recursive)
        return sorted(set(self._each(path, lambda p, alone: self._root(p, recursive, None, alone)[0])))

    def _in_named_buckets(self, path: Any, verb: str) -> Any:
        """`path`, as a list where it is several. ValueError for a pattern in the place of a bucket.

        Whoever writes f"{bucket}/*" and has no name in `bucket` does not mean the whole account.
        """
        alone = isinstance(path, (str, os.PathLike))
        if not alone and (isinstance(path, bytes) or not isinstance(path, Iterable)):
            return path  # a TypeError where it is looked at
        paths = [path] if alone else list(path)
        for name in map(self._strip_protocol, paths):
            if MAGIC.search(name.partition("/")[0]):
                raise ValueError(
                    f"{name!r} has a pattern in the place of the bucket: {verb} takes buckets by name only"
                )
        return path if alone else paths

    def _each(self, path: Any, find: Callable[[str, bool], list[Source]]) -> list[Source]:
        alone = isinstance(path, (str, os.PathLike))
        if not alone and (isinstance(path, bytes) or not isinstance(path, Iterable)):
            raise TypeError(f"path must be a str, os.PathLike or a list of them, not {type(path).__name__}")
        calls = [partial(find, stringify_path(p), alone) for p in ([path] if alone else path)]
        found = [source for sources in self._gather(calls, raising=True) for source in sources]
        if not found:
            raise FileNotFoundError(errno.ENOENT, "nothing matches", str(path))
        return found

    def _select_one(self, path: str, recursive: bool, maxdepth: int | None, alone: bool) -> list[Source]:
        roots, matched = self._root(path, recursive, maxdepth, alone)
        if not recursive or (matched and maxdepth == 1):
            return roots
        if matched:  # a pattern is the first level of its trees
            deeper = None if maxdepth is None else maxdepth - 1
            trees = [_paths.parse(root.name) for root in roots if root.kind == "directory"]
            below = self._gather([partial(self._tree, tree, deeper) for tree in trees], raising=True)
            return roots + [source for sources in below for source in sources]
        location, only_directory = self._location(path)
        if location.version_id is not None:
            return roots
        found = self._tree(location, maxdepth)
        if location.key and not only_directory and self._is_object(location):
            found.append(Source(str(location), "file"))
        if not found:
            raise nothing_at(location)
        return found

    def _root(
        self, path: str, recursive: bool, maxdepth: int | None, alone: bool
    ) -> tuple[list[Source], bool]:
        """What a path is itself, or matches; and whether it was taken as a pattern."""
        name = self._strip_protocol(path)
        if MAGIC.search(name) and not self._is_literal(path, name, recursive, alone):
            return [Source(row["name"], row["type"]) for row in self._glob(path, maxdepth)], True
        if not self._without_protocol(path).endswith("/"):
            return [Source(name, "")], False
        if not recursive:  # else the tree tells
            self.info(path)  # FileNotFoundError where there is no such directory
        return [Source(name, "directory")], False

    def _tree(self, location: S3Path, maxdepth: int | None) -> list[Source]:
        """A directory and what is below it; empty when there is none."""
        rows = self._below(location, maxdepth, True)
        if rows is None:
            return []
        return [Source(row["name"], row["type"]) for row in [*rows, directory_row(str(location))]]

    def _is_literal(self, path: str, name: str, recursive: bool, alone: bool) -> bool:
        """Whether a name that could be a pattern is that of an object, or of a directory to recurse into."""
        if MAGIC.search(name.partition("/")[0]):
            return False
        location, only_directory = self._location(path)
        if location.version_id is not None:
            return True
        if not (
            (not only_directory and bool(location.key) and self._is_object(location))
            or ((recursive or only_directory) and self._has_children(location))
        ):
            return False
        others = [row["name"] for row in self._glob(path, None) if row["name"] != name] if alone else []
        if others:
            raise ValueError(
                f"{name!r} is there, and as a pattern it matches {others[0]!r} too: pass a list, or "
                "glob.escape(path), for the name alone"
            )
        return True

    def _has_own(self, verb: str) -> bool:
        """Whether a subclass has a `verb` of its own, which verbs for many objects are to call for each."""
        owner = next(kind for kind in type(self).__mro__ if verb in vars(kind))
        return verb in vars(self) or not owner.__module__.startswith(f"{__package__}.")

    def _gather(self, calls: Sequence[Callable[[], Any]], *, raising: bool) -> list[Any]:
        """The results of calls made side by side; an exception stands for a result if not `raising`."""
        results: list[Any] = [None] * len(calls)
        self._client.scheduler.run(
            partial(_into_place, results, index, call, raising) for index, call in enumerate(calls)
        )
        return results

    def _gather_asked(self, asks: Sequence[Callable[[], Callable[[], Any]]], *, raising: bool) -> list[Any]:
        """The same of many small reads: each asks, and returns the function that takes the answer."""
        results: list[Any] = [None] * len(asks)

        def ask(index: int) -> Callable[[], None]:
            _into_place(results, index, asks[index], raising)
            take = results[index]
            return partial(_into_place, results, index, take, raising) if callable(take) else _nothing

        self._client.scheduler.ask(partial(ask, index) for index in range(len(asks)))
        return results


def _into_place(results: list[Any], index: int, call: Callable[[], Any], raising: bool) -> None:
    try:
        results[index] = call()
    except Exception as error:
        if raising:
            raise
        results[index] = error


def _nothing() -> None:
    """There was nothing to ask for."""


def _glob_depth(pattern: str, maxdepth: int | None) -> int | None:
    """How many levels below its first directory a pattern can match; None for any number."""
    if "**" not in pattern:
        return pattern.count("/") + 1
    return None if maxdepth is None else pattern[: pattern.find("**")].count("/") + maxdepth


def _matched_name(row: dict[str, Any], with_slash: bool) -> str:
    name = str(row["name"]).removesuffix("/")
    return name + "/" if with_slash and row["type"] == "directory" else name
