"""How far away the store of these tests is."""

from __future__ import annotations

import pytest

from fsspec_guarded_s3._http.transport import Transport

NEAR = 0.0001  # seconds


@pytest.fixture(autouse=True)
def each_answer_says_that_the_store_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for depends on the way to the store, and one late answer makes that long.

    Tests of a distant store set `round_trip` behind the last answer, or DISTANT.
    """
    monkeypatch.setattr(
        Transport, "learn_round_trip", lambda self, waited, passed: setattr(self, "round_trip", NEAR)
    )
