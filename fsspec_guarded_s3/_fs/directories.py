"""What the store has under a name: an object, a directory, both or nothing.

`path_rules` looks at the path alone: whether it ends with a slash, and so can only name a directory. The
functions here ask the store. `listing` puts both together for `info`, `ls`, `exists` and `isdir`.

By the one rule of docs/paths.md a prefix that has keys is a directory; a key that ends with a slash is a
marker, which makes a directory and is never shown. A file and a directory may have the same name: then the
name is the file's, with a slash behind it the directory's. 403 never means "absent".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from .._s3.client import S3Client
from .._values.models import ObjectInfo
from .._values.paths import S3Path
from ..errors import AccessDeniedError, CredentialsError, InvalidRequestError, ObjectNotFoundError


def is_object(client: S3Client, location: S3Path) -> bool:
    """Whether there is an object of this key. HeadObject."""
    try:
        client.reads.head_object(location)
    except ObjectNotFoundError:
        return False
    return True


def has_children(client: S3Client, location: S3Path) -> bool:
    """Whether there is a directory of this name: a key that begins with it and a slash. ListObjectsV2."""
    pages = client.listings.list_objects(location.bucket, location.prefix, max_keys=1)
    return any(page.keys or page.prefixes for page in pages)


def look_at(client: S3Client, location: S3Path) -> ObjectInfo:
    """What is there, where something must be. HeadObject.

    Raises ObjectNotFoundError, which a listing tells apart: an answer to HEAD does not say that it is the
    bucket that is missing.
    """
    try:
        return client.reads.head_object(location)
    except ObjectNotFoundError as error:
        if not error.code:
            with suppress(AccessDeniedError):
                has_children(client, location)
        raise


def look_before_write(client: S3Client, location: S3Path, *, is_needed: bool = False) -> ObjectInfo | None:
    """What is there before a write that does not depend on it; None where it is not shown. HeadObject.

    Credentials that may write need not be allowed to look, and an object with a customer's key is shown
    to nobody without it (400). Raises ObjectNotFoundError; that of `look_at` where an object `is_needed`.
    """
    try:
        return look_at(client, location) if is_needed else client.reads.head_object(location)
    except CredentialsError:
        raise
    except (AccessDeniedError, InvalidRequestError):
        return None


def directories_of(key: str, base: int, maxdepth: int | None) -> Iterator[str]:
    """The prefixes of the directories that `key` is in, below the first `base` characters.

    At most `maxdepth` of them, the uppermost first; None for all.
    """
    end = key.find("/", base)
    depth = 0
    while end >= 0 and (maxdepth is None or depth < maxdepth):
        yield key[: end + 1]
        end = key.find("/", end + 1)
        depth += 1


def nothing_at(location: S3Path, *, or_object: bool = False) -> ObjectNotFoundError:
    """The error about a directory that is not there, and with `or_object` no object either."""
    what = "neither an object nor a directory of this name" if or_object else "no such directory"
    return ObjectNotFoundError(f"there is {what}", bucket=location.bucket, key=location.key)


def refuse_everything(name: str, maxdepth: int | None) -> None:
    """Raise ValueError where `name` is the root and more than its first level is asked for.

    Whoever has an empty name in a variable does not mean the whole account.
    """
    if not name and maxdepth != 1:
        raise ValueError(
            "the path is empty, which would be all of S3: name a bucket; ls('') lists the buckets"
        )
