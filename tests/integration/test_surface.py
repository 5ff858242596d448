"""The quick part of `make stores`, on stores that are at hand: each row is as docs/stores.md has it."""

import botocore
import pytest
from botocore.exceptions import ParamValidationError
from packaging.version import Version

from tests.real_stores import surface  # noqa: F401
from tests.real_stores.checking import CHECKS, Check, outcome_of
from tests.real_stores.guards import guard_outcomes
from tests.real_stores.place import Place, place_of
from tests.real_stores.starting import Server
from tests.real_stores.table import read

# What boto3 is asked for here: ChecksumType, and an ETag for each object that is deleted.
OLD_BOTO = Version(botocore.__version__) < Version("1.37")
QUICK = [checked for checked in CHECKS if checked.is_quick]


@pytest.fixture(params=["ministack", "versitygw"])
def place(request: pytest.FixtureRequest) -> Place:
    server: Server = request.getfixturevalue(request.param)
    return place_of(request.param, server)


def _documented(place: Place, group: str) -> dict[str, str]:
    result = read(place.name)
    assert result is not None
    return {outcome.title: outcome.word for outcome in result.outcomes[group]}


@pytest.mark.parametrize("checked", QUICK, ids=lambda checked: checked.title)
def test_a_row_is_as_documented(place: Place, checked: Check) -> None:
    found = outcome_of(checked, place)
    if OLD_BOTO and "ParamValidationError" in found.reason:
        pytest.skip("boto3 of this environment does not know what it is asked for")
    assert found.word == _documented(place, "surface")[checked.title], found.reason


def test_the_guards_are_as_documented_and_as_the_probe_says(place: Place) -> None:
    try:
        found = {outcome.title: outcome.word for outcome in guard_outcomes(place)}
    except ParamValidationError:
        if OLD_BOTO:
            pytest.skip("boto3 of this environment does not know what it is asked for")
        raise
    assert found == _documented(place, "guards")
