"""Appending in a directory bucket: only the new bytes are sent, to the end of the version that was looked at.

One PutObject with `x-amz-write-offset-bytes` appends all that was written, or nothing: readers see the object
before or after it. So the bytes are gathered until the file is closed. In these cases the object is published
as elsewhere, by a copy of the old bytes with the new ones behind them in parts: the bytes become more than a
single request is used for (`multipart_threshold`); the store refuses the append (10,000 are the limit; the
object is encrypted otherwise, or has another kind of checksum); the store does not know how to append.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/directory-buckets-objects-append.html
"""

from __future__ import annotations

from collections.abc import Callable

from .._s3.client import S3Client
from .._values.bodies import RequestBody
from .._values.models import ObjectInfo, Written
from .._values.paths import S3Path, is_directory_bucket
from .guards import has_operation
from .upload import Upload

OPERATION = "append"  # of the trial


class Appending:
    """What follows the version `info`; `copy_old` puts the old bytes in front where it cannot be appended."""

    def __init__(
        self, client: S3Client, upload: Upload, path: S3Path, info: ObjectInfo, copy_old: Callable[[], None]
    ) -> None:
        self._client = client
        self._upload = upload
        self._path = path
        self._info = info
        self.copy_old = copy_old

    def __repr__(self) -> str:
        return f"<Appending to {self._path} at {self._info.size}>"

    @staticmethod
    def suits(path: S3Path) -> bool:
        """Whether objects there can be appended to, if the store is what the name of the bucket says."""
        return is_directory_bucket(path.bucket)

    def publish(self, data: RequestBody) -> Written | None:
        """Append `data`; None where that is not possible. A trial finds out, outside of AWS."""
        if not has_operation(self._client, self._path, OPERATION):
            return None
        return self._upload.append_object(data, self._info)
