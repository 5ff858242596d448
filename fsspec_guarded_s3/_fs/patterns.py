"""Patterns: `glob`. One listing below the last directory that is written out; level by level for buckets.

fsspec's own loses directories with an empty name (`a//b`), and lists every bucket for a glob of buckets.
"""

from __future__ import annotations

import re
from typing import Any

from .._values import paths as _paths
from .._values.fsspec_rules import pattern_of
from .._values.keywords import check_depth, refuse
from .._values.parameters import Path
from .listing import Lister
from .path_rules import PathRules
from .rows import Row, by_name, directory_row
from .trees import Trees

MAGIC = re.compile(r"[*?[]")


class Patterns:
    """Finds the names that match a pattern of `*`, `?`, `[...]` and `**`."""

    def __init__(self, paths: PathRules, lister: Lister, trees: Trees) -> None:
        self._paths = paths
        self._lister = lister
        self._trees = trees

    def glob(
        self,
        path: Path,
        maxdepth: int | None = None,
        detail: bool = False,
        refresh: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The names that match, in order; with `detail` {name: row}. "bucket/**" is what is in the bucket."""
        refuse(self.glob, kwargs)
        check_depth(maxdepth)
        rows = by_name(self.matching(path, maxdepth, refresh))
        bucket, _, pattern = self._paths.name(path).partition("/")
        if pattern and not MAGIC.search(bucket):
            rows.pop(bucket, None)
        return rows if detail else list(rows)

    def matching(self, path: Path, maxdepth: int | None, refresh: bool = False) -> list[Row]:
        """The rows that match, in no order; of a path without a pattern its own, where it is there."""
        name = self._paths.name(path)
        first = MAGIC.search(name)
        if first is None:
            try:
                return [self._lister.info(path, refresh=refresh)]
            except FileNotFoundError:
                return []
        only_directories = self._paths.says_directory(path)
        pattern = pattern_of(name + "/" if only_directories else name)
        if "/" not in name[: first.start()]:
            return self._of_buckets(name, pattern, maxdepth, refresh)
        start = name.rindex("/", 0, first.start()) + 1
        depth = _depth(name[start:], maxdepth)
        location = _paths.parse(_paths.without_slash(name[:start]))
        rows = self._trees.below(location, depth, True, name[start : first.start()], refresh)
        if rows is None:
            return []
        with_slash = only_directories or name.endswith("/**")
        found = [*rows, directory_row(str(location))]
        return [row for row in found if pattern.match(_matched_name(row, with_slash))]

    def _of_buckets(
        self, name: str, pattern: re.Pattern[str], maxdepth: int | None, refresh: bool
    ) -> list[Row]:
        head, _, rest = name.partition("/")
        every = "**" in head
        rows: list[Row] = []
        deeper = maxdepth - 1 if every and maxdepth is not None else maxdepth
        matching = pattern_of("*" if every else head)
        for row in self._lister.buckets():
            if pattern.match(row["name"]) or pattern.match(row["name"] + "/"):
                rows.append(row)
            if (rest or every) and matching.match(row["name"]) and deeper != 0:
                inner = f"{row['name']}/{'**/' if every and rest else ''}{rest or '**'}"
                below = self.matching(inner, deeper, refresh)
                rows += [found for found in below if found["name"] != row["name"]]
        return rows


def _depth(pattern: str, maxdepth: int | None) -> int | None:
    """How many levels below its first directory a pattern can match; None for any number."""
    if "**" not in pattern:
        return pattern.count("/") + 1
    return None if maxdepth is None else pattern[: pattern.find("**")].count("/") + maxdepth


def _matched_name(row: Row, with_slash: bool) -> str:
    name = str(row["name"]).removesuffix("/")
    return name + "/" if with_slash and row["type"] == "directory" else name
