"""A plugin of pytest for the tests of s3fs: our class in the place of its own, in its own modules.

These tests import more of s3fs than programs do, so s3fs itself is there. Many of them make what they test by
the botocore client of a filesystem, which ours has not: `s3` and `_call_s3` are added here, by boto3.
"""

from __future__ import annotations

from typing import Any

import boto3
import fsspec
import s3fs
import s3fs.core
import s3fs.mapping
from surroundings import forget_this_machine

import fsspec_guarded_s3
from fsspec_guarded_s3.s3fs_alias import S3FileSystem

forget_this_machine()


class Client:
    """boto3's client with the options of a filesystem, whose operations are coroutines."""

    def __init__(self, fs: Any) -> None:
        options = fs._options
        self._client = boto3.client(
            "s3",
            endpoint_url=options.endpoint_url,
            region_name=options.region or "us-east-1",
            aws_access_key_id=options.key or "foo",
            aws_secret_access_key=options.secret or "foo",
        )
        self.meta = self._client.meta
        self._request_signer = self._client._request_signer

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._client, name)

        async def called(**parameters: Any) -> Any:
            return operation(**parameters)

        return called

    async def close(self) -> None:
        """Nothing: it goes with its filesystem."""


async def _call_s3(self: Any, operation: str, *groups: Any, **parameters: Any) -> Any:
    given = {name: value for group in groups for name, value in group.items()}
    return await getattr(Client(self), operation)(**given | parameters)


fsspec_guarded_s3.register("s3")
S3FileSystem.s3 = S3FileSystem._s3 = property(Client)  # type: ignore[attr-defined]
S3FileSystem._call_s3 = _call_s3  # type: ignore[attr-defined]
s3fs.S3FileSystem = s3fs.core.S3FileSystem = s3fs.mapping.S3FileSystem = S3FileSystem
for protocol in ("s3", "s3a"):
    fsspec.register_implementation(protocol, S3FileSystem, clobber=True)
