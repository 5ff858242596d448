"""Directories that a store keeps when their last key goes: SeaweedFS has a tree of files.

No listing has a key of such a directory, and the listing of the one above shows it all the same. HeadObject
and DeleteObject know it by its name with a slash behind. It is not deleted while something is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .._s3.client import S3Client
from .._values.paths import S3Path
from .directories import is_object
from .gathering import gather


def is_kept(client: S3Client, location: S3Path) -> bool:
    """Whether the store keeps a directory of this name, though it has no keys. HeadObject, of some stores."""
    return _may_be(client, location) and is_object(client, location.child(location.prefix))


def kept_levels(client: S3Client, location: S3Path) -> list[list[S3Path]]:
    """A directory and those in it, as what their keys would be: each level by itself, the deepest first.

    [] where the store keeps none. ListObjectsV2 of each.
    """
    if not _may_be(client, location):
        return []
    levels = [[location.child(location.prefix)]]
    while levels[-1]:
        calls: list[Callable[[], list[S3Path]]] = [
            partial(_directories_in, client, path) for path in levels[-1]
        ]
        levels.append([path for found in gather(client, calls) for path in found])
    return levels[-2::-1]


def _may_be(client: S3Client, location: S3Path) -> bool:
    facts = client.store.facts(location.bucket)
    # A bucket with versions shows none: there a delete would leave a delete marker.
    return bool(location.key) and facts.keeps_directories and not facts.has_versions


def _directories_in(client: S3Client, path: S3Path) -> list[S3Path]:
    pages = client.listings.list_objects(path.bucket, path.key, "/")
    return [path.child(prefix) for page in pages for prefix in page.prefixes]
