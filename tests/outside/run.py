"""Runs one suite, and sorts what became of its tests."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.outside import place
from tests.outside.different import GUARDS, INTERNALS, ON_PURPOSE, Reasons
from tests.outside.suites import Suite
from tests.servers import moto_server


@dataclass
class Result:
    """The tests of a suite, by what became of them; `said` is what those that failed said."""

    suite: str
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    guards: list[str] = field(default_factory=list)
    on_purpose: list[str] = field(default_factory=list)
    internals: list[str] = field(default_factory=list)
    better: list[str] = field(default_factory=list)
    said: Mapping[str, str] = field(default_factory=dict)

    @property
    def portable(self) -> int:
        """How many tests ask for what a guarded filesystem can have that is not s3fs."""
        return len(self.passed) + len(self.failed) + len(self.on_purpose)


def run(suite: Suite, python: Path) -> Result:
    """Run the tests of `suite` by the interpreter of its environment; what pytest says goes to a log."""
    where = place.source(suite, python)
    with place.search_path() as searched, _store(suite) as url, tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch, "outcomes.json")
        path = os.pathsep.join([str(place.PLUGINS / "bin"), str(python.parent), os.environ["PATH"]])
        log = place.folder() / f"{suite.name}.log"
        with log.open("w") as written:
            ended = subprocess.run(
                _command(suite, python, where, url),
                cwd=scratch if suite.package else where,
                env={**os.environ, "PYTHONPATH": searched, "PATH": path, "OUTCOMES": str(told)},
                stdout=written,
                stderr=subprocess.STDOUT,
            )
        if not told.exists():
            raise RuntimeError(f"pytest ended with {ended.returncode} and told nothing: see {log}")
        found = json.loads(told.read_text())
    return sorted_out(suite.name, found["outcomes"], found["said"])


def _command(suite: Suite, python: Path, where: Path, url: str) -> list[str]:
    plugins = ["-p", suite.plugin, "-p", "tell_outcomes", "-p", "no:cacheprovider"]
    loops = ["-o", "asyncio_default_fixture_loop_scope=function"]  # a warning is an error in some suites
    command = [str(python), "-m", "pytest", "-q", "--timeout", "300", *plugins, *loops]
    command += [argument.format(url=url) for argument in suite.arguments]
    command += ["-k", suite.chosen] if suite.chosen else []
    return command + [str(where / file) for file in suite.files]


def sorted_out(suite: str, outcomes: Mapping[str, str], said: Mapping[str, str]) -> Result:
    """`outcomes` by test id, sorted; a test that is listed as different and passes is `better` too."""
    result = Result(suite, said={_short(name): text for name, text in said.items()})
    different = (
        (result.guards, GUARDS.get(suite, {})),
        (result.on_purpose, ON_PURPOSE.get(suite, {})),
        (result.internals, INTERNALS.get(suite, {})),
    )
    for name, outcome in outcomes.items():
        short = _short(name)
        listed = next((kind for kind, reasons in different if _listed(short, reasons)), None)
        if outcome in ("skipped", "xfailed"):
            result.skipped.append(short)
        elif outcome == "failed":
            (result.failed if listed is None else listed).append(short)
        else:
            result.passed.append(short)
            if listed is not None:
                result.better.append(short)
    return result


def _short(name: str) -> str:
    """A test id without the folders of its file."""
    file, parts, rest = name.partition("::")
    return f"{file.rpartition('/')[2]}{parts}{rest}"


def _listed(name: str, reasons: Reasons) -> bool:
    """Whether a test is listed, with its parameters or as a whole."""
    return any(name == one or name.startswith(f"{one}[") for ids in reasons.values() for one in ids)


@contextlib.contextmanager
def _store(suite: Suite) -> Iterator[str]:
    """The URL of a store with the bucket that `suite` wants; "" where its tests start their own."""
    if not suite.bucket:
        yield ""
        return
    with moto_server() as moto:
        options = {"endpoint_url": moto.url, "key": moto.key, "secret": moto.secret}
        GuardedS3FileSystem(**options, region="us-east-1", skip_instance_cache=True).mkdir(suite.bucket)
        yield moto.url
