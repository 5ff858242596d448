"""A store of each kind, behind the same values."""

import pytest

from tests.stores import MIB, Store, new_store

__all__ = ["MIB", "Store"]


@pytest.fixture(params=["moto", "rclone"])
def store(request: pytest.FixtureRequest) -> Store:
    """moto, then rclone."""
    return new_store(request.getfixturevalue(request.param))


@pytest.fixture
def moto_store(request: pytest.FixtureRequest) -> Store:
    """moto only: rclone ignores If-Match and If-None-Match."""
    return new_store(request.getfixturevalue("moto"))
