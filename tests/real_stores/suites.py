"""The contract of this repository and fsspec's own conformance tests, run by pytest on a given store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from tests.real_stores.checking import Outcome
from tests.real_stores.place import Place
from tests.stores import GIVEN

ROOT = Path(__file__).parents[2]
SUITES = {"the contract": "tests/integration/test_contract.py tests/integration/test_nothing_published.py"}
SUITES |= {"fsspec's conformance tests": "tests/conformance"}


def suite_outcomes(place: Place, only: str = "") -> Iterator[Outcome]:
    """One for each suite in whose title `only` is."""
    for title, paths in SUITES.items():
        if only in title:
            yield _run(title, paths.split(), place)


def _run(title: str, paths: list[str], place: Place) -> Outcome:
    with tempfile.TemporaryDirectory() as name:
        given, report = Path(name, "store.json"), Path(name, "report.xml")
        given.touch(mode=0o600)
        given.write_text(json.dumps({"options": dict(place.options), "root": place.root}))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        done = subprocess.run(
            [*command, *paths],
            cwd=ROOT,
            env={**os.environ, GIVEN: str(given)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=3600,
        )
        if not report.exists():
            return Outcome(title, "WRONG", f"pytest did not run: {done.stdout[-300:]}")
        return _read(title, report)


def _read(title: str, report: Path) -> Outcome:
    names, failed, skipped, seconds = 0, [], [], 0.0
    for case in ET.parse(report).iter("testcase"):
        name = case.attrib["name"].removeprefix("test_").removesuffix("[given]")
        name = name.replace("[given-", "[")
        names += 1
        seconds += float(case.attrib.get("time", 0))
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is not None:
            skipped.append(name)
    seconds = round(seconds, 1)
    if failed or skipped or not names:
        passed = names - len(failed) - len(skipped)
        said = ", ".join(f"`{name}`".replace("|", r"\|") for name in [*failed, *skipped][:12])
        return Outcome(title, "no", f"{passed} of {names} pass; not {said}", seconds)
    return Outcome(title, "yes", f"all {names}", seconds)
