"""A store for every tool: moto, which honours conditions; and where a test asks for it, each store."""

import pytest

from tests.stores import Store, new_store


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Store:
    """A fresh bucket of moto."""
    return new_store(request.getfixturevalue("moto"))


@pytest.fixture(params=["moto", "rclone"])
def each_store(request: pytest.FixtureRequest) -> Store:
    """A fresh bucket of moto, then of rclone."""
    return new_store(request.getfixturevalue(request.param))
