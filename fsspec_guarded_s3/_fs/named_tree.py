"""An object, and the directory of the same name: what one listing tells of both.

To S3 `a` and `a/b` have nothing to do with each other, so a verb for trees that is given `a` wants to know of
both. The keys that begin with `a` are asked for, without the slash: the object is the first of them, and what
is in the directory follows. So nobody has to ask for the object by a HEAD.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .._s3.client import S3Client
from .._s3.listings import MAX_KEYS
from .._values.models import ListedObject, ListPage
from .._values.paths import S3Path, is_directory_bucket
from ..errors import AccessDeniedError, CredentialsError
from .recent_rows import RecentRows

_PAGE = MAX_KEYS - 1  # of a full page the next one would be asked for at once


class NamedTree(NamedTuple):
    """The object of a name, and the pages of all keys in the directory of that name; None without the one."""

    item: ListedObject | None
    pages: Iterator[ListPage]


class NamedTrees:
    """Tells of an object and a directory by one listing, where that can be."""

    def __init__(self, client: S3Client, recent: RecentRows) -> None:
        self._client = client
        self._recent = recent
        self._denied: set[str] = set()  # buckets where only what is below a name may be listed

    def of(self, location: S3Path) -> NamedTree | None:
        """The object and the tree of a name. ListObjectsV2, once more where the first page is not all.

        None where a listing does not tell of both: the caller asks for each. It is so in directory buckets,
        where a prefix ends with a slash; where a policy allows to list below the name alone; and where many
        keys begin with the name, and they do not come in order.
        """
        bucket, key = location.bucket, location.key
        if is_directory_bucket(bucket) or bucket in self._denied:
            return None
        listing = self._client.listings.list_objects(bucket, key, max_keys=_PAGE)
        pages = self._recent.keeping(bucket, key, listing, flat=True)
        try:
            first = next(pages)
        except CredentialsError:
            raise
        except AccessDeniedError:
            self._denied.add(bucket)
            return None
        item = next((item for item in first.objects() if item.key == key), None) if first.keys else None
        if first.next_token is None:
            next(pages, None)  # the end of the listing, which is kept then
            return NamedTree(item, iter([first.beginning_with(location.prefix)]))
        pages.close()
        if list(first.keys) != sorted(first.keys):
            return None
        below = self._client.listings.list_tree(bucket, location.prefix)
        return NamedTree(item, self._recent.keeping(bucket, location.prefix, below, flat=True))
