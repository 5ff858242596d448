"""The soak in a short form."""

from __future__ import annotations

import random
import sys

import pytest

from tests.soak.run import soak
from tests.soak.store import BODY_RESET, WEIGHTS

KINDS = {
    "read",
    "list",
    "write",
    "multipart",
    "create",
    "commit",
    "swap",
    "update",
    "append",
    "delete",
    "copy",
    "transaction",
}


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_nothing_is_lost_and_nothing_leaks() -> None:
    report = soak(10, seed=random.randrange(2**32), processes=2, threads=3)
    print(report)
    assert not report.violations, report
    assert not report.leaks, report
    assert {kind for kind, outcome in report.operations if outcome == "ok"} == KINDS
    assert report.faults and set(report.faults) <= {*WEIGHTS, BODY_RESET}
