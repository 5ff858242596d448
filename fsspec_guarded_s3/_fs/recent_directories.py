"""`fs.dircache` of a filesystem without a listing cache: what its listings told in the last seconds.

Programs for s3fs look there for what a listing brought, and clear it when they want to see what is new.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from .._values import paths
from .._values.paths import S3Path
from .recent_rows import RecentRows
from .rows import Row, directory_row, listed_row


class RecentDirectories(MutableMapping[str, list[Row]]):
    """The directories that were listed as a whole, and what was in them; the rows are copies.

    It shows `recent`, and keeps nothing: what is set is dropped, as by fsspec's cache when it is off.
    """

    use_listings_cache = False

    def __init__(self, recent: RecentRows) -> None:
        self._recent = recent

    def __repr__(self) -> str:
        return f"<RecentDirectories {list(self)}>"

    def __getitem__(self, name: str) -> list[Row]:
        location = _place(name)
        found = None if location is None else self._recent.directory(location)
        if location is None or found is None:
            raise KeyError(name)
        objects, prefixes = found
        rows = [directory_row(location.directory(prefix)) for prefix in prefixes]
        rows += [listed_row(location.bucket, item) for item in objects]
        return sorted(rows, key=lambda row: str(row["name"]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._recent.directories())

    def __len__(self) -> int:
        return len(self._recent.directories())

    def __setitem__(self, name: str, rows: list[Row]) -> None:
        """Nothing."""

    def __delitem__(self, name: str) -> None:
        """Forget the listings that may show a directory; KeyError without one."""
        location = _place(name)
        if location is None or self._recent.directory(location) is None:
            raise KeyError(name)
        self._recent.forget(location.bucket, location.prefix)

    def clear(self) -> None:
        """Forget all listings: the next question about a name is asked."""
        self._recent.clear()


def _place(name: object) -> S3Path | None:
    """The directory of a name; None for what names none."""
    try:
        return paths.parse(name) if isinstance(name, str) and name else None
    except ValueError:
        return None
