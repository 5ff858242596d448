"""What fsspec's abstract tests ask of a filesystem: one, and a place of its own to write to."""

import os
from collections.abc import Callable, Iterator

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.stores import GIVEN, SMALL_PARTS, Store, given_store, new_store


class GuardedS3Fixtures:
    """Fixtures that fsspec's abstract classes leave to the filesystem. Each test has its own bucket."""

    @pytest.fixture
    def fresh_store(self, request: pytest.FixtureRequest) -> Store:
        return given_store() if os.environ.get(GIVEN) else new_store(request.getfixturevalue("moto"))

    @pytest.fixture
    def fs(self, fresh_store: Store) -> GuardedS3FileSystem:
        options = fresh_store.options.items()
        mine = {name: value for name, value in options if name not in SMALL_PARTS}
        return GuardedS3FileSystem(**mine, skip_instance_cache=True)

    @pytest.fixture
    def fs_path(self, fresh_store: Store) -> Iterator[str]:
        yield fresh_store.root
        if fresh_store.fs.exists(fresh_store.root):  # below a prefix there is no bucket that stays
            fresh_store.fs.rm(fresh_store.root, recursive=True)

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False
