"""A real store, a fresh bucket of it and the options that open it: one value for every server."""

import uuid
from dataclasses import dataclass
from typing import Any

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectNotFoundError
from tests.scripted_server import eventually

MIB = 2**20


@dataclass(frozen=True)
class Store:
    """A filesystem and a fresh bucket of it; `options` open the same store by URL."""

    fs: GuardedS3FileSystem
    bucket: str
    options: dict[str, Any]

    def path(self, key: str) -> str:
        return f"{self.bucket}/{key}"

    def url(self, key: str) -> str:
        return f"gs3://{self.bucket}/{key}"

    def pending(self) -> list[str]:
        """The keys of uploads that were neither completed nor aborted."""
        try:
            return [
                upload.key for upload in self.fs._client.multipart.list_multipart_uploads(self.bucket, "")
            ]
        except ObjectNotFoundError as error:
            if error.code != "NoSuchUpload":  # rclone's answer for a bucket that never had an upload
                raise
            return []

    def assert_nothing_left(self, key: str) -> None:
        """Nothing was published, and no upload is left. Those of dropped writers are aborted later."""
        eventually(lambda: self.pending() == [], timeout=60)
        assert not self.fs.exists(self.path(key))


def new_store(server: Any) -> Store:
    options = {
        "endpoint_url": server.url,
        "key": server.key,
        "secret": server.secret,
        "region": "us-east-1",
        "part_size": 5 * MIB,
        "multipart_threshold": 5 * MIB,
        "range_size": 4 * MIB,
    }
    fs = GuardedS3FileSystem(**options, skip_instance_cache=True)
    bucket = f"contract-{uuid.uuid4().hex}"
    fs.mkdir(bucket)
    return Store(fs, bucket, options)
