"""The quick part of `make stores`, on stores that are at hand: each row is as docs/stores.md has it."""

import pytest

from tests.real_stores import surface  # noqa: F401
from tests.real_stores.checking import CHECKS, Check, outcome_of
from tests.real_stores.guards import guard_outcomes
from tests.real_stores.place import Place, place_of
from tests.real_stores.starting import Server
from tests.real_stores.table import read

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
    assert found.word == _documented(place, "surface")[checked.title], found.reason


def test_the_guards_are_as_documented_and_as_the_probe_says(place: Place) -> None:
    found = {outcome.title: outcome.word for outcome in guard_outcomes(place)}
    assert found == _documented(place, "guards")
