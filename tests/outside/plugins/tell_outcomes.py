"""A plugin of pytest: writes what became of each test to the file that OUTCOMES names, as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_outcomes: dict[str, str] = {}
_said: dict[str, str] = {}


def pytest_runtest_logreport(report: Any) -> None:
    """One of: passed, failed, skipped, xfailed, xpassed. An error around a test is a failure of it."""
    if report.when == "call" or report.outcome != "passed":
        outcome = report.outcome
        if hasattr(report, "wasxfail"):
            outcome = "xfailed" if outcome == "skipped" else "xpassed"
        if _outcomes.get(report.nodeid) != "failed":
            _outcomes[report.nodeid] = outcome
        if outcome == "failed":
            crash = getattr(report.longrepr, "reprcrash", None)
            _said[report.nodeid] = str(getattr(crash, "message", report.longrepr)).partition("\n")[0]


def pytest_collectreport(report: Any) -> None:
    """A file that cannot be imported is a test that failed."""
    if report.failed:
        _outcomes[report.nodeid] = "failed"
        _said[report.nodeid] = str(report.longrepr)[-500:]


def pytest_sessionfinish() -> None:
    """Write them."""
    Path(os.environ["OUTCOMES"]).write_text(json.dumps({"outcomes": _outcomes, "said": _said}))
