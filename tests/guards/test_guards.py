"""Ours does what every scenario promises. The peers are compared by `python -m tests.guards`."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.guards.peers import OURS
from tests.guards.run import SCENARIOS, Outcome, run
from tests.guards.scenario import Scenario

AHEAD = 9  # scenarios


@pytest.fixture(scope="module")
def outcome_of(request: pytest.FixtureRequest) -> Iterator[Callable[[Scenario], Outcome]]:
    """Runs a scenario, and those behind it that were selected, three at a time: they wait most of the time.

    Not all of them at once: another process may have taken the rest.
    """
    calls = [item.callspec for item in request.session.items if hasattr(item, "callspec")]
    chosen = [call.params["scenario"] for call in calls if isinstance(call.params.get("scenario"), Scenario)]
    begun: dict[str, Future[Outcome]] = {}
    with ThreadPoolExecutor(3) as pool:

        def outcome(wanted: Scenario) -> Outcome:
            at = chosen.index(wanted)
            for scenario in chosen[at : at + AHEAD]:
                if scenario.title not in begun:
                    begun[scenario.title] = pool.submit(run, scenario, OURS)
            return begun[wanted.title].result()

        yield outcome


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_promise(scenario: Scenario, outcome_of: Callable[[Scenario], Outcome]) -> None:
    outcome = outcome_of(scenario)
    assert outcome.text == scenario.promise, outcome.detail


def test_titles_are_distinct() -> None:
    assert len({scenario.title for scenario in SCENARIOS}) == len(SCENARIOS)
