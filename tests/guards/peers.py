"""The filesystems that are compared, opened alike: through fsspec's registry, as a user opens them.

Their time-outs are short where there is an option for it, so that a stall is seen in seconds: 2 s of silence
for all; 5 s for a whole request in obstore, which has 30 s there by default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import fsspec

MIB = 2**20
OURS = "ours"


def _open_ours(url: str) -> tuple[str, dict[str, Any]]:
    options: dict[str, Any] = {"key": "k", "secret": "s", "endpoint_url": url, "region": "us-east-1"}
    options |= {"part_size": 5 * MIB, "multipart_threshold": 10 * MIB, "range_size": 5 * MIB}
    return "gs3", options | {"read_timeout": 2.0, "send_timeout": 2.0, "min_rate_window": 2.0}


def _open_s3fs(url: str) -> tuple[str, dict[str, Any]]:
    options: dict[str, Any] = {"key": "k", "secret": "s", "endpoint_url": url}
    options |= {"client_kwargs": {"region_name": "us-east-1"}, "default_block_size": 5 * MIB}
    return "s3", options | {"config_kwargs": {"read_timeout": 2, "connect_timeout": 2}}


def _open_obstore(url: str) -> tuple[str, dict[str, Any]]:
    from obstore.fsspec import register

    register("s3")
    options: dict[str, Any] = {"access_key_id": "k", "secret_access_key": "s", "endpoint": url}
    options |= {"region": "us-east-1", "virtual_hosted_style_request": False}
    times = {"allow_http": True, "read_timeout": "2s", "timeout": "5s"}
    return "s3", options | {"client_options": times}


def _open_pyarrow(url: str) -> tuple[str, dict[str, Any]]:
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import S3FileSystem

    class PyarrowS3(ArrowFSWrapper):
        """pyarrow's filesystem under a protocol of its own, so that URLs open with it."""

        protocol = "arrows3"

        def __init__(self, **options: Any) -> None:
            super().__init__(S3FileSystem(**options))

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return path.removeprefix("arrows3://")

    fsspec.register_implementation("arrows3", PyarrowS3, clobber=True)
    options: dict[str, Any] = {"access_key": "k", "secret_key": "s", "region": "us-east-1", "scheme": "http"}
    host = url.removeprefix("http://")
    return "arrows3", options | {"endpoint_override": host, "request_timeout": 2, "connect_timeout": 2}


PEERS: dict[str, Callable[[str], tuple[str, dict[str, Any]]]] = {
    OURS: _open_ours,
    "s3fs": _open_s3fs,
    "obstore.fsspec": _open_obstore,
    "pyarrow": _open_pyarrow,
}


class NotOfferedError(Exception):
    """The filesystem has no call for this."""


@dataclass(frozen=True)
class Peer:
    """One filesystem on one endpoint, and the calls that fsspec does not name."""

    name: str
    protocol: str
    options: dict[str, Any]
    fs: Any

    @classmethod
    def open(cls, name: str, url: str, extra: dict[str, Any]) -> Peer:
        protocol, options = PEERS[name](url)
        options |= extra
        return cls(name, protocol, options, fsspec.filesystem(protocol, **options))

    @classmethod
    def open_profile(cls, name: str, profile: str) -> Peer:
        """With what a profile of the AWS configuration says, and nothing else."""
        protocols = {OURS: "gs3", "s3fs": "s3"}
        if name not in protocols:
            raise NotOfferedError
        options = {"profile": profile}
        return cls(name, protocols[name], options, fsspec.filesystem(protocols[name], **options))

    def create(self, path: str, data: bytes) -> None:
        """Write unless the key is taken; large data as a multipart upload."""
        extra = {"chunksize": 5 * MIB} if self.name == "s3fs" else {}
        self.fs.pipe_file(path, data, mode="create", **extra)

    def write(self, path: str, mode: str = "wb", **extra: Any) -> Any:
        """A file to write to."""
        return self.fs.open(path, mode, **extra)

    def swap(self, path: str, data: bytes, etag: str) -> None:
        """Write if the object still has this ETag."""
        names = {OURS: "if_match", "s3fs": "IfMatch"}
        if self.name not in names:
            raise NotOfferedError
        self.fs.pipe_file(path, data, **{names[self.name]: etag})

    def etag(self, path: str) -> str:
        return str(self.fs.info(path).get("ETag"))

    def delete_if(self, path: str, etag: str) -> None:
        """Delete if the object still has this ETag."""
        if self.name != OURS:
            raise NotOfferedError
        self.fs.rm_file(path, if_match=etag)

    def clean(self, bucket: str, older_than: float) -> None:
        """Remove multipart uploads that were left; those of that age where the filesystem asks for one."""
        if self.name == OURS:
            self.fs.abort_uploads(bucket, older_than=older_than)
        elif self.name == "s3fs":
            self.fs.clear_multipart_uploads(bucket)
        else:
            raise NotOfferedError
