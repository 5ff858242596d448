"""What fsspec's abstract tests ask of a filesystem: one, and a place of its own to write to."""

import uuid
from collections.abc import Callable, Iterator

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.servers import MotoServer


class GuardedS3Fixtures:
    """Fixtures that fsspec's abstract classes leave to the filesystem. Each test has its own bucket."""

    @pytest.fixture
    def fs(self, moto: MotoServer) -> GuardedS3FileSystem:
        return GuardedS3FileSystem(
            endpoint_url=moto.url,
            key=moto.key,
            secret=moto.secret,
            region="us-east-1",
            skip_instance_cache=True,
        )

    @pytest.fixture
    def fs_path(self, fs: GuardedS3FileSystem) -> Iterator[str]:
        bucket = f"conformance-{uuid.uuid4().hex}"
        fs.mkdir(bucket)
        yield bucket
        fs.rm(bucket, recursive=True)

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False
