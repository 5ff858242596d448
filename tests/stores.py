"""A real store, a fresh bucket of it and the options that open it: one value for every server."""

import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec_guarded_s3 import GuardedS3FileSystem, InvalidRequestError, ObjectNotFoundError
from tests.scripted_server import eventually

MIB = 2**20
GIVEN = "GUARDED_S3_STORE"  # names a file with a store that takes the place of the tests' own ones


@dataclass(frozen=True)
class Store:
    """A filesystem and a fresh bucket of it; `options` open the same store by URL.

    In a bucket of somebody's, all is below `prefix`.
    """

    fs: GuardedS3FileSystem
    bucket: str
    options: dict[str, Any]
    prefix: str = ""

    @property
    def root(self) -> str:
        """The bucket, or what is a directory of it."""
        return f"{self.bucket}/{self.prefix}".rstrip("/")

    def path(self, key: str) -> str:
        return f"{self.bucket}/{self.prefix}{key}"

    def url(self, key: str) -> str:
        return f"gs3://{self.path(key)}"

    def pending(self) -> list[str]:
        """The keys of uploads that were neither completed nor aborted."""
        try:
            listed = self.fs._client.multipart.list_multipart_uploads(self.bucket, self.prefix)
            return [upload.key.removeprefix(self.prefix) for upload in listed]
        except ObjectNotFoundError as error:
            if error.code != "NoSuchUpload":  # rclone's answer for a bucket that never had an upload
                raise
            return []
        except InvalidRequestError as error:
            if error.status != 501:  # a store that cannot list its uploads
                raise
            return []

    def assert_nothing_left(self, key: str) -> None:
        """Nothing was published, and no upload is left. Those of dropped writers are aborted later."""
        eventually(lambda: self.pending() == [], timeout=60)
        assert not self.fs.exists(self.path(key))


SMALL_PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB, "range_size": 4 * MIB}


def new_store(server: Any) -> Store:
    options = {"endpoint_url": server.url, "key": server.key, "secret": server.secret, "region": "us-east-1"}
    return _fresh({**options, **SMALL_PARTS})


def given_store() -> Store:
    """A fresh place of the store that the variable names."""
    given = json.loads(Path(os.environ[GIVEN]).read_text())
    return _fresh({**given["options"], **SMALL_PARTS}, given["root"])


def _fresh(options: dict[str, Any], root: str = "") -> Store:
    fs = GuardedS3FileSystem(**options, skip_instance_cache=True)
    name = f"contract-{uuid.uuid4().hex}"
    if root:
        bucket, _, prefix = f"{root}/{name}".partition("/")
        return Store(fs, bucket, options, f"{prefix}/")
    fs.mkdir(name)
    return Store(fs, name, options)
