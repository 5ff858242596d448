"""All that is below a directory: `find`, `du` and `walk`.

In one flat listing of all keys, since a request per directory would cost as many requests; level by level
where only the first is asked for, and for `walk`, which is pruned on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Literal

from .._s3.client import S3Client
from .._values.keywords import check_depth, check_type, refuse
from .._values.models import ListPage
from .._values.parameters import Path
from .._values.paths import S3Path
from .._values.tracebacks import short_tracebacks_of_steps
from ..errors import HOPELESS, ConnectError, ObjectNotFoundError
from .directories import directories_of, refuse_everything
from .listing import Lister, beginning
from .listing_cache import ListingCache
from .named_tree import NamedTrees
from .path_rules import PathRules
from .recent_rows import RecentRows
from .rows import Row, by_name, directory_row, listed_row, object_row

OnError = Literal["omit", "raise"] | Callable[[OSError], object]


class Trees:
    """Tells what is below a directory, from the listing cache or from the store."""

    def __init__(
        self,
        client: S3Client,
        paths: PathRules,
        listings: ListingCache,
        recent: RecentRows,
        lister: Lister,
        named: NamedTrees,
    ) -> None:
        self._client = client
        self._paths = paths
        self._listings = listings
        self._recent = recent
        self._lister = lister
        self._named = named

    # --- the verbs ---

    def find(
        self,
        path: Path,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str | None = None,
        refresh: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The names below `path`, or `path` itself when it is an object; with `detail` {name: row}.

        ListObjectsV2. Nothing is there: an empty answer.
        """
        refuse(self.find, kwargs)
        check_depth(maxdepth)
        prefix = "" if prefix is None else prefix
        check_type("prefix", prefix, str)
        if not self._paths.name(path):
            refuse_everything("", maxdepth)
            rows = by_name(row for row in self._lister.buckets() if row["name"].startswith(prefix))
            return _shown(rows if withdirs else {}, detail)
        location, only_directory = self._paths.location(path)
        if location.version_id is not None:
            return _shown(self._object(location), detail)
        if maxdepth is None and not withdirs and not detail and not self._listings.enabled:
            names = self._names_below(location, prefix)
        else:
            below = self.below(location, maxdepth, withdirs, prefix, refresh)
            rows = by_name(below or ())
            # Of a bucket s3fs names the bucket itself where it goes by levels, and there alone.
            has_root = location.key or (maxdepth is not None and below)
            if withdirs and not prefix and below is not None and has_root:
                rows = {str(location): directory_row(str(location)), **rows}
            if detail and rows:
                return rows
            names = list(rows)
        if not names and location.key and not prefix and not only_directory:
            with suppress(ObjectNotFoundError):
                return _shown(self._object(location), detail)
        return {} if detail else names

    def _object(self, location: S3Path) -> dict[str, Row]:
        row = object_row(location, self._client.reads.head_object(location))
        return {row["name"]: row}

    def du(
        self,
        path: Path,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        refresh: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Bytes used below `path`, or {name: bytes} when `total` is False. ListObjectsV2."""
        refuse(self.du, kwargs)
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, refresh=refresh)
        sizes = {name: row["size"] for name, row in found.items()}
        return sum(sizes.values()) if total else sizes

    @short_tracebacks_of_steps
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
        """Like `os.walk`: (directory, directories in it, files in it), one listing per directory."""
        refuse(self.walk, kwargs)
        check_depth(maxdepth)
        if not callable(on_error) and on_error not in ("omit", "raise"):
            raise ValueError(f"on_error must be omit, raise or a function, not {on_error!r}")
        name = self._paths.name(path)
        refuse_everything(name, maxdepth)
        yield from self._levels(path, maxdepth, topdown, on_error, detail, refresh, is_root=True)

    def _levels(
        self,
        path: Path,
        maxdepth: int | None,
        topdown: bool,
        on_error: OnError,
        detail: bool,
        refresh: bool,
        *,
        is_root: bool,
    ) -> Iterator[tuple[str, Any, Any]]:
        name = self._paths.name(path)
        try:
            rows = self._lister.ls(path, detail=True, refresh=refresh)
        except (*HOPELESS, ConnectError):
            raise
        except OSError as error:
            if callable(on_error):
                on_error(error)
            elif on_error == "raise" or not _is_left_out(error, is_root):
                raise
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
                below = known[child]["name"]
                yield from self._levels(below, deeper, topdown, on_error, detail, refresh, is_root=False)
        if not topdown:
            yield level

    # --- the listings ---

    def below(
        self,
        location: S3Path,
        maxdepth: int | None,
        withdirs: bool,
        prefix: str = "",
        refresh: bool = False,
    ) -> list[Row] | None:
        """What is below a directory, up to `maxdepth` levels: files and, when `withdirs`, directories.

        None when there is no such directory; empty when it has a marker alone.
        """
        if maxdepth == 1:
            rows = self._lister.entries(location, prefix, refresh)
        elif self._listings.enabled:
            rows = self._kept_tree(location, maxdepth, prefix, refresh)
        else:
            return self._listed_tree(location, maxdepth, withdirs, prefix)
        return rows and [row for row in rows if withdirs or row["type"] == "file"]

    def named(self, location: S3Path) -> tuple[Row | None, list[Row] | None] | None:
        """The row of the object of a name, and those of all that is below it, directories too.

        None for what is not there; None alone where one listing does not tell both.
        """
        found = None if self._listings.enabled else self._named.of(location)
        if found is None:
            return None
        row = None if found.item is None else listed_row(location.bucket, found.item)
        return row, self._rows(location, found.pages, None, True)

    def _pages(self, location: S3Path, prefix: str) -> Iterator[ListPage]:
        start = location.prefix + prefix
        pages = self._client.listings.list_tree(location.bucket, start)
        return self._recent.keeping(location.bucket, start, pages, flat=True)

    def _names_below(self, location: S3Path, prefix: str) -> list[str]:
        root = location.bucket + "/"
        pages = self._pages(location, prefix)
        return sorted({root + key for page in pages for key in page.keys if key[-1:] != "/"})

    def _kept_tree(
        self, location: S3Path, maxdepth: int | None, prefix: str, refresh: bool
    ) -> list[Row] | None:
        """`_listed_tree` from the listing cache, or for it."""
        known = None if refresh else self._listings.tree(location, maxdepth)
        if known is not None:
            return beginning(known, location, prefix)
        began = self._listings.begin()
        rows = self._listed_tree(location, maxdepth, True, prefix)
        if rows is not None and maxdepth is None and not prefix:
            self._listings.keep_tree(location.directory(location.prefix), rows, began)
        return rows

    def _listed_tree(
        self, location: S3Path, maxdepth: int | None, withdirs: bool, prefix: str
    ) -> list[Row] | None:
        """What is below a directory, from one flat listing. None when there is no such directory."""
        return self._rows(location, self._pages(location, prefix), maxdepth, withdirs)

    def _rows(
        self, location: S3Path, pages: Iterator[ListPage], maxdepth: int | None, withdirs: bool
    ) -> list[Row] | None:
        """What `pages` show of a directory. None when they show no such directory."""
        rows: list[Row] = []
        directories: dict[str, None] = {}
        base = len(location.prefix)
        found = not location.key
        for page in pages:
            found = found or bool(page.keys)
            if withdirs:
                for key in page.keys:
                    directories.update(dict.fromkeys(directories_of(key, base, maxdepth)))
            for item in page.objects():
                deep = maxdepth is not None and item.key.count("/", base) >= maxdepth
                if not deep and item.key[-1:] != "/":
                    rows.append(listed_row(location.bucket, item))
        return rows + [directory_row(location.directory(name)) for name in directories] if found else None


def _shown(rows: dict[str, Row], detail: bool) -> Any:
    return rows if detail else list(rows)


def _is_left_out(error: OSError, is_root: bool) -> bool:
    """Whether a walk goes on without a directory: one that is gone, or one below that may not be listed."""
    return isinstance(error, FileNotFoundError) or (isinstance(error, PermissionError) and not is_root)
