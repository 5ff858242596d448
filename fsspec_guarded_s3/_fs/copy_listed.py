"""Copying many objects as a listing told of them, without a look at each.

CopyObject under the ETag of the listing is pinned as one behind a HEAD is, and takes content headers,
metadata and tags along. What S3 does not take along, a copy has to name, and no listing tells of it: KMS
encryption and a redirection. So

- the newest of the objects is looked at. If it has any of that, all are looked at;
- the answer to each copy tells: the copy of an object that was written by one request has its ETag, unless
  one of the two is encrypted by a KMS or a customer's key. Where the ETag is another one, and the copy is not
  encrypted by a KMS itself, the object is looked at, and copied again if there is something to name;
- what was written in parts has another kind of ETag, and is looked at; so is what was replaced meanwhile.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html says what ETags are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import NamedTuple, TypeVar

from .._s3.client import S3Client
from .._values.answer_fields import undescribed
from .._values.attributes import NONE
from .._values.conditions import UNCONDITIONAL, same_etag
from .._values.models import SSE_S3, ObjectInfo
from .._values.paths import S3Path
from ..errors import GuardedS3Error, ObjectChangedError, ObjectNotFoundError
from .copy_object import Copier
from .copy_version import is_single, store_can_copy
from .object_headers import ObjectHeaders
from .rows import Row

K = TypeVar("K")
_NEVER = datetime.min.replace(tzinfo=timezone.utc)


class Listed(NamedTuple):
    """An object that is to be copied: its place, that of the copy, and what a listing told of it."""

    source: S3Path
    target: S3Path
    row: Row

    @property
    def info(self) -> ObjectInfo:
        """The version that was listed, and what is known of it."""
        row = self.row
        return ObjectInfo(row["ETag"], row["size"], storage_class=row["StorageClass"])

    @property
    def is_plain(self) -> bool:
        """Whether it was written by one request, and can be copied by one."""
        etag = self.row.get("ETag", "").strip('"')
        is_one = self.source.version_id is None and self.source != self.target
        return is_one and bool(etag) and "-" not in etag and is_single(self.info)


class ListedCopier:
    """Copies objects of a listing. `Copier` copies those that have to be looked at."""

    def __init__(self, client: S3Client, headers: ObjectHeaders, copier: Copier) -> None:
        self._client = client
        self._headers = headers
        self._copier = copier

    def alike(self, items: Mapping[K, Listed]) -> dict[K, Listed]:
        """Those of `items` that `copy` can copy, as one of them shows. HeadObject of that."""
        plain = {key: item for key, item in items.items() if item.is_plain and self._store_copies(item)}
        if len(plain) < 2:
            return {}
        newest = max(plain.values(), key=lambda item: item.row["LastModified"] or _NEVER)
        try:
            info = self._client.reads.head_object(newest.source)
        except ObjectNotFoundError:
            return {}
        return {} if info.tag_count or self._has_more(newest, info) else plain

    def _store_copies(self, item: Listed) -> bool:
        return store_can_copy(self._client, item.target, UNCONDITIONAL, item.info)

    def _has_more(self, item: Listed, info: ObjectInfo) -> bool:
        """Whether a copy of the version `info` has to name what the listing did not tell."""
        known, wanted = (self._headers.copied(item.target, told, NONE) for told in (item.info, info))
        return undescribed(known) != undescribed(wanted)

    def copy(self, item: Listed) -> ObjectInfo:
        """Copy an object; returns the version that was copied. CopyObject.

        FileNotFoundError where it has vanished.
        """
        info = item.info
        headers = self._headers.copied(item.target, info, NONE)
        try:
            written = self._copier.copy_by_store(item.source, info, item.target, headers)
        except ObjectChangedError as error:
            if error.maybe_applied:
                raise
            return self._copier.look_and_copy(item.source, item.target)
        if (
            same_etag(written.etag, info.etag)
            or SSE_S3[0] in headers
            or written.encryption.startswith("aws:kms")
        ):
            return info
        return self._look_after(item, info)

    def _look_after(self, item: Listed, info: ObjectInfo) -> ObjectInfo:
        """Copy once more where the copy has not the encryption of its source."""
        try:
            now = self._client.reads.head_object(item.source)
            if same_etag(now.etag, info.etag) and not self._has_more(item, now):
                return info
            return self._copier.copy_known(item.source, item.target, now)
        except GuardedS3Error as error:
            error.message = f"the object was copied, but perhaps without its encryption: {error.message}"
            error.maybe_applied = True
            raise
