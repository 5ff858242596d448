"""What is there under many names: one listing in the place of a HeadObject for each.

Whoever removes a list of names has mostly found them in one folder. A listing of what begins as all
of them do tells of up to a thousand. Where few of what it shows was asked for, the others are left to
whoever asks for each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from .._s3.client import S3Client
from .._s3.listings import MAX_KEYS
from .._values.paths import S3Path, is_directory_bucket
from ..errors import AccessDeniedError, CredentialsError

_FEWEST = 13  # names for which a listing is asked: S3 bills it as 12.5 HeadObjects
_PAGE = MAX_KEYS - 1  # of a full page the next one would be asked for at once


class ListedNames:
    """Tells of many names by listings, where these are fewer requests."""

    def __init__(self, client: S3Client) -> None:
        self._client = client
        self._denied: set[str] = set()  # buckets that may not be listed

    def of(self, locations: Iterable[S3Path]) -> set[S3Path]:
        """Those of `locations` at which listings showed an object. ListObjectsV2.

        Nothing is known of the others: they may be there.
        """
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        for location in locations:
            if location.key and location.version_id is None:
                wanted[location.bucket].add(location.key)
        return {S3Path(bucket, key) for bucket, keys in wanted.items() for key in self._in(bucket, keys)}

    def _in(self, bucket: str, keys: set[str]) -> set[str]:
        """Pages come as long as each shows enough of `keys`."""
        found: set[str] = set()
        if len(keys) < _FEWEST or is_directory_bucket(bucket) or bucket in self._denied:
            return found
        try:
            for page in self._client.listings.list_objects(bucket, _beginning(keys), max_keys=_PAGE):
                shown = keys.intersection(page.keys)
                found |= shown
                if len(shown) < _FEWEST or len(keys) - len(found) < _FEWEST:
                    break
        except CredentialsError:
            raise
        except AccessDeniedError:
            self._denied.add(bucket)
        return found


def _beginning(keys: set[str]) -> str:
    """What all of `keys` begin with."""
    first, last = min(keys), max(keys)
    end = next(
        (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first)
    )
    return first[:end]
