"""Multipart uploads that somebody left behind, usually a process that was killed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, cast

from .._s3.client import S3Client
from .._values.models import PendingUpload
from .._values.parameters import Path
from .._values.paths import S3Path
from .._write.upload import is_starting, live_upload_ids
from ..errors import ObjectNotFoundError
from .path_rules import PathRules
from .rows import UploadInfo

logger = logging.getLogger("fsspec_guarded_s3")


@dataclass(frozen=True, slots=True)
class StaleUpload:
    """A multipart upload that was neither completed nor aborted; `live` if this process writes it.

    `initiated` and `listed` are times of the store: the clock of this machine may be off.
    """

    path: S3Path
    upload_id: str
    initiated: datetime | None
    size: int
    parts: int
    live: bool
    listed: datetime | None = None

    @property
    def age(self) -> float | None:
        """Seconds since it was started by the store's clock, None where the store does not tell.

        A Date has whole seconds (RFC 9110, 5.6.7), the time of an upload may have parts of them: one that was
        started in the same second is not younger than nothing.
        """
        if self.initiated is None or self.listed is None:
            return None
        return max(0.0, (self.listed - self.initiated).total_seconds())

    def details(self) -> dict[str, Any]:
        """This upload as one of the dicts that `list_uploads` returns."""
        return {
            "name": str(self.path),
            "upload_id": self.upload_id,
            "initiated": self.initiated,
            "age": self.age,
            "size": self.size,
            "parts": self.parts,
            "live": self.live,
        }


class StaleUploads:
    """Finds and aborts what was left behind."""

    def __init__(self, client: S3Client, paths: PathRules) -> None:
        self._client = client
        self._paths = paths

    def list_uploads(self, path: Path) -> list[UploadInfo]:
        """The uploads to `path` and below it, oldest first. ListMultipartUploads, ListParts."""
        found = [upload.details() for upload in list_uploads(self._client, self._paths.place(path))]
        return cast("list[UploadInfo]", found)

    def of_bucket(self, bucket: str) -> list[dict[str, Any]]:
        """The uploads to a bucket, in S3's names. ListMultipartUploads."""
        found = _pending(self._client, S3Path(self._paths.bucket(bucket)))
        return [{"Key": item.key, "UploadId": item.upload_id, "Initiated": item.initiated} for item in found]

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Abort one upload. ValueError for one that a writer of this process holds. AbortMultipartUpload."""
        if upload_id in live_upload_ids():
            raise ValueError(f"{bucket}/{key} is being written by this process: call discard() of its file")
        self._client.multipart.abort_multipart_upload(S3Path(self._paths.bucket(bucket), key), upload_id)

    def abort_uploads(self, path: Path, older_than: float | timedelta) -> list[UploadInfo]:
        """Abort those that are older than `older_than` (seconds, or a timedelta); returns them."""
        if not isinstance(older_than, (int, float, timedelta)):
            raise TypeError(f"older_than must be seconds or a timedelta, not {type(older_than).__name__}")
        limit = older_than if isinstance(older_than, timedelta) else timedelta(seconds=older_than)
        location = self._paths.place(path)
        found = [upload.details() for upload in abort_uploads(self._client, location, limit)]
        return cast("list[UploadInfo]", found)


def list_uploads(client: S3Client, path: S3Path) -> list[StaleUpload]:
    """The uploads to `path` and below it, oldest first, each with the size that its parts have."""
    pending = [item for item in _pending(client, path) if _is_at_or_below(item.key, path.key)]
    starting = {path.child(item.key) for item in pending if is_starting(path.child(item.key))}
    live = live_upload_ids()  # after `starting`: who has got its id since is in here
    found: list[StaleUpload] = []

    def measure(item: PendingUpload) -> None:
        where = path.child(item.key)
        try:
            parts = client.multipart.list_parts(where, item.upload_id)
        except ObjectNotFoundError:
            return  # completed or aborted since
        size = sum(part.size for part in parts)
        found.append(
            StaleUpload(
                where,
                item.upload_id,
                item.initiated,
                size,
                len(parts),
                item.upload_id in live or where in starting,
                item.listed,
            )
        )

    client.scheduler.run(partial(measure, item) for item in pending)
    latest = datetime.max.replace(tzinfo=timezone.utc)
    return sorted(found, key=lambda upload: (upload.initiated or latest, upload.path.key, upload.upload_id))


def _pending(client: S3Client, path: S3Path) -> Iterable[PendingUpload]:
    try:
        return client.multipart.list_multipart_uploads(path.bucket, path.key)
    except ObjectNotFoundError as error:
        if error.code == "NoSuchUpload":  # rclone's answer for a bucket that has none
            return ()
        raise


def _is_at_or_below(key: str, root: str) -> bool:
    return not root or key == root or key.startswith(root.rstrip("/") + "/")


def abort_uploads(client: S3Client, path: S3Path, older_than: timedelta) -> list[StaleUpload]:
    """Abort the uploads at and below `path` that are older; those of this process's writers never.

    Ages are by the store's clock, the Date of its answer. An upload without a date is left alone, since
    nothing says that it is old. What was aborted is looked at again: a part that was on its way may have
    arrived after the abort.
    """
    if older_than < timedelta(0):
        raise ValueError(f"older_than must not be negative, not {older_than}")
    aborted = []
    for upload in list_uploads(client, path):
        age = upload.age
        if upload.live or age is None or age < older_than.total_seconds():
            continue
        if _abort(client, upload):
            aborted.append(upload)
    return aborted


def _abort(client: S3Client, upload: StaleUpload) -> bool:
    aborted = False
    for _ in range(3):
        try:
            client.multipart.abort_multipart_upload(upload.path, upload.upload_id)
        except ObjectNotFoundError as error:
            return aborted or error.maybe_applied  # else somebody else completed or aborted it
        aborted = True
        try:
            left = client.multipart.list_parts(upload.path, upload.upload_id)
        except ObjectNotFoundError:
            return True
        if not left:
            return True
    logger.warning("upload %s of %s still has parts: its writer is at work", upload.upload_id, upload.path)
    return False
