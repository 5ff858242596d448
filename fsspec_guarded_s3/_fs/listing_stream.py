"""All that is below a directory, as it is listed: `iter_find`, `iter_find_batches`.

Invariant: memory does not grow with the listing. What was told is forgotten: no listing is kept, and nothing
answers from it later. Names come in the order of the store, which on S3 is that of their bytes in UTF-8; so
a listing can go on behind a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from itertools import islice
from typing import Any

from .._forks import importing
from .._s3.client import S3Client
from .._values.fsspec_rules import text_of
from .._values.keywords import check_integer, check_type
from .._values.models import ListPage, s3_time
from .._values.parameters import Path
from .._values.paths import S3Path, is_directory_bucket
from ..errors import ObjectNotFoundError
from .path_rules import PathRules
from .rows import listed_row, object_row


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which objects are told of, by what a listing says of each."""

    modified_after: datetime | None = None
    modified_before: datetime | None = None
    min_size: int | None = None
    max_size: int | None = None

    def __post_init__(self) -> None:
        for name in ("modified_after", "modified_before"):
            time = getattr(self, name)
            if time is not None:
                check_type(name, time, datetime)
                if time.tzinfo is None:
                    raise ValueError(f"{name} must have a time zone, such as datetime.timezone.utc")
        for name in ("min_size", "max_size"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), 0)

    def take(self, modified: str, size: str) -> bool:
        """Whether an object is wanted. One of which the store tells no time is in no span of times."""
        if self.min_size is not None and int(size) < self.min_size:
            return False
        if self.max_size is not None and int(size) > self.max_size:
            return False
        if self.modified_after is None and self.modified_before is None:
            return True
        time = s3_time(modified)
        return time is not None and not (
            (self.modified_after is not None and time <= self.modified_after)
            or (self.modified_before is not None and time >= self.modified_before)
        )

    @property
    def is_everything(self) -> bool:
        """Whether all objects are wanted."""
        return self == _EVERYTHING


_EVERYTHING = Wanted()
# Of Arrow's batches: what a row of ours calls them.
_COLUMNS = {
    "name": "name",
    "size": "size",
    "ETag": "etag",
    "LastModified": "last_modified",
    "StorageClass": "storage_class",
}


class ListingStream:
    """Tells what is below a directory while it is listed."""

    def __init__(self, client: S3Client, paths: PathRules) -> None:
        self._client = client
        self._paths = paths

    def iter_find(
        self, path: Path, start_after: str | None, detail: bool, prefix: str, wanted: Wanted
    ) -> Iterator[Any]:
        """The names below `path`, or their rows; `path` itself when it is an object.

        Arguments that are wrong are told of at once, by ValueError and TypeError.
        """
        check_type("prefix", prefix, str)
        location, only_directory = self._paths.location(path)
        after = "" if start_after is None else self._key_after(location, start_after)
        may_be_object = bool(location.key) and not (prefix or only_directory)
        pages = self._client.listings.list_objects(
            location.bucket, location.prefix + prefix, start_after=after
        )
        return self._rows(location, pages, after, detail, wanted, may_be_object)

    def _rows(
        self,
        location: S3Path,
        pages: Iterator[ListPage],
        after: str,
        detail: bool,
        wanted: Wanted,
        may_be_object: bool,
    ) -> Iterator[Any]:
        is_any = False
        for page in pages:
            is_any = is_any or bool(page.keys)
            kept = _kept(page, wanted)
            if detail:
                yield from (listed_row(location.bucket, item) for item in kept.objects())
            else:
                root = location.bucket + "/"
                yield from (root + key for key in kept.keys)
        if may_be_object and not is_any and location.key > after:
            yield from self._itself(location, detail, wanted)

    def _itself(self, location: S3Path, detail: bool, wanted: Wanted) -> Iterator[Any]:
        """The object of the name that no directory has, where there is one and it is wanted."""
        try:
            info = self._client.reads.head_object(location)
        except ObjectNotFoundError:
            return
        row = object_row(location, info)
        modified = info.last_modified.isoformat() if info.last_modified else ""
        if wanted.take(modified, str(info.size)):
            yield row if detail else row["name"]

    def batches(
        self, path: Path, start_after: str | None, batch_size: int, prefix: str, wanted: Wanted
    ) -> Iterator[Any]:
        """What is below `path` as Arrow record batches of `batch_size` rows, the last with fewer."""
        with importing():
            pa = import_module("pyarrow")
        types = (pa.string(), pa.int64(), pa.string(), pa.timestamp("us", tz="UTC"), pa.string())
        schema = pa.schema(list(zip(_COLUMNS.values(), types, strict=True)))
        rows = self.iter_find(path, start_after, True, prefix, wanted)

        def batch(some: list[Any]) -> Any:
            try:
                return pa.record_batch([[row[name] for row in some] for name in _COLUMNS], schema=schema)
            except UnicodeEncodeError as error:
                raise ValueError(
                    f"Arrow has no text for a key that is not UTF-8: {error.object!r}; iter_find tells it"
                ) from error

        return map(batch, in_lists(rows, batch_size))

    def _key_after(self, location: S3Path, start_after: str) -> str:
        """The key that `start_after` names. ValueError for one of another bucket."""
        if is_directory_bucket(location.bucket):
            raise ValueError("start_after is not possible in a directory bucket, which lists in no order")
        check_type("start_after", text_of(start_after), str)
        bucket, _, key = self._paths.without_protocol(start_after).partition("/")
        if bucket != location.bucket or not key:
            raise ValueError(
                f"start_after must be the name of an object in {location.bucket}, not {start_after!r}"
            )
        return key


def _kept(page: ListPage, wanted: Wanted) -> ListPage:
    """The objects of a page that are wanted, without markers of directories."""
    keep: list[bool] = [key[-1:] != "/" for key in page.keys]
    if not wanted.is_everything:
        told = zip(page.modified, page.sizes, strict=True)
        keep = [kept and wanted.take(*each) for kept, each in zip(keep, told, strict=True)]
    return page if all(keep) else page.only(keep)


def in_lists(rows: Iterator[Any], batch_size: int) -> Iterator[list[Any]]:
    """`rows` in lists of `batch_size`, the last with fewer."""
    while some := list(islice(rows, batch_size)):
        yield some
