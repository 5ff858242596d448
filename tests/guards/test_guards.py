"""Ours does what every scenario promises. The peers are compared by `python -m tests.guards`."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.guards.peers import OURS
from tests.guards.run import SCENARIOS, Outcome, run
from tests.guards.scenario import Scenario


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Outcome]]]:
    """The scenarios that were selected, three at a time, since most of their time is waiting."""
    calls = [item.callspec for item in request.session.items if hasattr(item, "callspec")]
    chosen = [call.params["scenario"] for call in calls if isinstance(call.params.get("scenario"), Scenario)]
    with ThreadPoolExecutor(3) as pool:
        yield {scenario.title: pool.submit(run, scenario, OURS) for scenario in chosen}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_promise(scenario: Scenario, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[scenario.title].result()
    assert outcome.text == scenario.promise, outcome.detail


def test_titles_are_distinct() -> None:
    assert len({scenario.title for scenario in SCENARIOS}) == len(SCENARIOS)
