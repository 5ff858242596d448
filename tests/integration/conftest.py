"""A store of each kind, behind the same values."""

import os

import pytest

from tests.stores import GIVEN, MIB, Store, given_store, new_store

__all__ = ["MIB", "Store"]

STORES = ["given"] if os.environ.get(GIVEN) else ["moto", "rclone", "ministack", "versitygw"]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    """Each of the stores, or the one that was given."""
    return given_store() if request.param == "given" else new_store(request.getfixturevalue(request.param))
