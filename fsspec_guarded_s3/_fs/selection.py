"""What a path, a glob or a list of them means to the verbs for many objects, and `expand_path`.

How a verb for many objects (`get`, `put`, `copy`, `mv`, `rm`, `cat`, `chmod`) works:

1. `path_rules` takes off the protocol and splits bucket, key and version. A slash at the end is
   remembered: it says "directory".
2. This module finds the sources. A name with `*`, `?` or `[` is a pattern, unless an object has exactly this
   name (or, with `recursive`, a directory): then the name means that one. If the pattern would match others
   too, you have to say which you mean: ValueError. `patterns` lists the last directory that is written out
   without `*`, once, and matches the pattern against that. `trees` lists what is below a directory: one flat
   listing of all keys, however deep. `Source.kind` keeps what a listing has told about a name, so that nobody
   asks again. `directories` asks the store about names that were in no listing.
3. `placement` says where each source goes, by fsspec's rules. It raises ValueError before the first byte
   moves if two sources would go to one place, if a source would be overwritten before it was read, or if one
   would go outside of a local target, by `..` or by a link.
4. The verb for one object is called for each, in parallel (`gathering`, `transfer`, the client's scheduler).
   Where a subclass has its own verb for one object, `GuardedS3FileSystem` passes that in. The first error
   ends the others, except where the verb reports errors by name (`cat` with `on_error`, `rm`).

`rm` and `mv` look for all sources before they delete the first (`removal`, `delete_batches`, `exact_delete`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from .._s3.client import S3Client
from .._values import paths as _paths
from .._values.fsspec_rules import text_of
from .._values.keywords import check_depth, flag, refuse
from .._values.paths import S3Path, without_slash
from . import recent_rows
from .directories import has_children, is_object, nothing_at
from .gathering import gather
from .listing import Lister
from .path_rules import PathRules
from .patterns import MAGIC, Patterns
from .recent_rows import RecentRows
from .rows import Row, directory_row
from .trees import Trees


class Source(NamedTuple):
    """A name that a bulk verb is to work on; `kind` is "file", "directory", or "" where nobody asked yet.

    `row` is what a listing told of it.
    """

    name: str
    kind: str
    row: Row | None = None


def is_one(path: Any) -> bool:
    """Whether `path` is one path, and not a list of them."""
    return isinstance(path, (str, os.PathLike))


def without_directories(path: Any, sources: list[Source], whole_tree: bool) -> list[Source]:
    """Directories of one path go along with a whole tree only (fsspec's rule)."""
    if whole_tree or not is_one(path):
        return sources
    return [source for source in sources if source.kind != "directory"]


class Selector:
    """Finds what a verb for many objects is to work on."""

    def __init__(
        self,
        client: S3Client,
        paths: PathRules,
        recent: RecentRows,
        lister: Lister,
        trees: Trees,
        patterns: Patterns,
    ) -> None:
        self._client = client
        self._paths = paths
        self._recent = recent
        self._lister = lister
        self._trees = trees
        self._patterns = patterns

    def expand_path(
        self,
        path: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        assume_literal: bool = False,
        **kwargs: Any,
    ) -> list[str]:
        """The names that a path, a glob or a list of them stands for; with what is below them if `recursive`.

        FileNotFoundError when a glob matches nothing, or there is nothing to recurse into.
        """
        refuse(self.expand_path, kwargs)
        return sorted({source.name for source in self.select(path, recursive, maxdepth)})

    def select(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> list[Source]:
        """The names of `expand_path`, with what each is where that was seen; both, where it is both."""
        check_depth(maxdepth)
        recursive = flag("recursive", recursive)
        return self._each(path, recursive, lambda p, alone: self._select_one(p, recursive, maxdepth, alone))

    def sources(self, path: Any, target: Any, recursive: bool, maxdepth: int | None) -> list[Source]:
        """The names that `get` and `copy` transfer: directories are among them for a whole tree.

        Where `target` is a list too, each path is taken as it is, for its own target.
        """
        if isinstance(path, list) and isinstance(target, list):
            return [Source(os.fspath(p), "") for p in path]
        found = self.select(path, recursive, maxdepth)
        return without_directories(path, found, recursive and maxdepth is None)

    def roots(self, path: Any, recursive: bool) -> list[Source]:
        """The names that a path, a glob or a list stands for, without what is below them.

        `recursive` tells whether directories are asked for.
        """
        recursive = flag("recursive", recursive)
        return self._each(path, recursive, lambda p, alone: self._root(p, recursive, None, alone)[0])

    def in_named_buckets(self, path: Any, verb: str) -> Any:
        """`path`, as a list where it is several. ValueError for a pattern in the place of a bucket.

        Whoever writes f"{bucket}/*" and has no name in `bucket` does not mean the whole account.
        """
        alone = is_one(path)
        if not alone and (isinstance(path, bytes) or not isinstance(path, Iterable)):
            return path  # a TypeError where it is looked at
        paths = [path] if alone else list(path)
        for name in map(self._paths.name, paths):
            if MAGIC.search(name.partition("/")[0]):
                raise ValueError(
                    f"{name!r} has a pattern in the place of the bucket: {verb} takes buckets by name only"
                )
        return path if alone else paths

    def _each(self, path: Any, recursive: bool, find: Callable[[str, bool], list[Source]]) -> list[Source]:
        """What `find` makes of each path. Where a path names one thing only, nobody is asked for it."""
        alone = is_one(path)
        if not alone and (isinstance(path, bytes) or not isinstance(path, Iterable)):
            raise TypeError(f"path must be a str, os.PathLike or a list of them, not {type(path).__name__}")
        found: dict[tuple[str, str], Source] = {}
        calls = []
        for text in map(text_of, [path] if alone else path):
            stripped = self._paths.without_protocol(text)
            name = without_slash(stripped)
            if recursive or MAGIC.search(name) or stripped.endswith("/"):
                calls.append(partial(find, text, alone))
            else:
                found[name, ""] = Source(name, "")
        for sources in gather(self._client, calls) if calls else ():
            found.update((source[:2], source) for source in sources)
        if not found:
            raise FileNotFoundError(errno.ENOENT, "nothing matches", str(path))
        files = {name for name, kind in found if kind == "file"}  # by a pattern, and maybe by name too
        return [found[name, kind] for name, kind in sorted(found) if kind or name not in files]

    def _select_one(self, path: str, recursive: bool, maxdepth: int | None, alone: bool) -> list[Source]:
        roots, matched = self._root(path, recursive, maxdepth, alone)
        if not recursive or (matched and maxdepth == 1):
            return roots
        if matched:  # a pattern is the first level of its trees
            deeper = None if maxdepth is None else maxdepth - 1
            trees = [_paths.parse(root.name) for root in roots if root.kind == "directory"]
            below = gather(self._client, [partial(self._tree, tree, deeper) for tree in trees])
            return roots + [source for sources in below for source in sources]
        location, only_directory = self._paths.location(path)
        if location.version_id is not None:
            return roots
        found = None
        if location.key and not only_directory and maxdepth is None:
            found = self._named(location)
        if found is None:
            found = self._tree_and_object(location, only_directory, maxdepth)
        if not found:
            raise nothing_at(location, or_object=bool(location.key) and not only_directory)
        return found

    def _named(self, location: S3Path) -> list[Source] | None:
        """The object of a name, its directory and what is below; None where no listing tells of both."""
        told = self._trees.named(location)
        if told is None:
            return None
        row, below = told
        return _sources(location, below) + ([] if row is None else [_source(row)])

    def _tree_and_object(self, location: S3Path, only_directory: bool, maxdepth: int | None) -> list[Source]:
        """The same, asked for apart: ListObjectsV2 and HeadObject."""
        calls: list[Callable[[], Any]] = [partial(self._tree, location, maxdepth)]
        if location.key and not only_directory:
            calls.append(partial(is_object, self._client, location))
        listed, *are_files = gather(self._client, calls)
        found: list[Source] = listed
        if True in are_files:
            found.append(Source(str(location), "file"))
        return found

    def _root(
        self, path: str, recursive: bool, maxdepth: int | None, alone: bool
    ) -> tuple[list[Source], bool]:
        """What a path is itself, or matches; and whether it was taken as a pattern."""
        name = self._paths.name(path)
        if MAGIC.search(name):
            since = recent_rows.clock()
            # Listed first: that tells mostly whether there is an object of this very name.
            rows = self._patterns.matching(path, maxdepth) if alone else None
            if not self._is_literal(path, name, recursive, alone, since):
                rows = self._patterns.matching(path, maxdepth) if rows is None else rows
                return [_source(row) for row in rows], True
        if not self._paths.says_directory(path):
            return [Source(name, "")], False
        if not recursive:  # else the tree tells
            self._lister.info(path)  # FileNotFoundError where there is no such directory
        return [Source(name, "directory")], False

    def _tree(self, location: S3Path, maxdepth: int | None) -> list[Source]:
        """A directory and what is below it; empty when there is none."""
        return _sources(location, self._trees.below(location, maxdepth, True))

    def _is_literal(self, path: str, name: str, recursive: bool, alone: bool, since: float) -> bool:
        """Whether a name that could be a pattern is that of an object, or of a directory to recurse into.

        A listing that was made after `since` may tell; else the store is asked.
        """
        if MAGIC.search(name.partition("/")[0]):
            return False
        location, only_directory = self._paths.location(path)
        if location.version_id is not None:
            return True
        shown = self._recent.shown(location, since)
        if shown is not None:
            is_file, is_directory = shown
            is_file = is_file and not only_directory
        else:
            is_file = not only_directory and bool(location.key) and is_object(self._client, location)
            may_be = not is_file and (recursive or only_directory)
            is_directory = may_be and has_children(self._client, location)
        if not is_file and not ((recursive or only_directory) and is_directory):
            return False
        matching = self._patterns.matching(path, None) if alone else []
        others = [row["name"] for row in matching if row["name"] != name]
        if others:
            raise ValueError(
                f"{name!r} is there, and as a pattern it matches {others[0]!r} too: pass a list, or "
                "glob.escape(path), for the name alone"
            )
        return True


def _source(row: Row) -> Source:
    return Source(row["name"], row["type"], row)


def _sources(location: S3Path, below: list[Row] | None) -> list[Source]:
    """A directory and what is below it; nothing where there is none (None)."""
    return [] if below is None else [_source(row) for row in [*below, directory_row(str(location))]]
