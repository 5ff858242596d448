"""One scenario with one filesystem: a store here, the client in a process of its own with a time limit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.guards import (
    abandoning,
    committing,
    completing,
    connecting,
    creating,
    moving,
    programs,
    reading,
    seeking,
)
from tests.guards.chunks import unchunked
from tests.guards.peers import OURS
from tests.guards.scenario import NOT_OFFERED, PATH, Scenario
from tests.scripted_server import ScriptedServer

SAID = "said.json"
PATIENCE = 300.0  # seconds, for ours, which never hangs: a busy machine may need half a minute to start it
MODULES = (creating, completing, moving, committing, abandoning, seeking, reading, connecting, programs)
SCENARIOS = tuple(scenario for module in MODULES for scenario in module.SCENARIOS)
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What happened. `text` holds no time; `detail`: the message of an exception, and what went to stderr."""

    text: str
    seconds: float
    detail: str

    def cell(self, scenario: Scenario) -> str:
        """The text for the table."""
        return f"{self.text}, after {self.seconds:.0f} s" if scenario.timed and self.seconds else self.text


def find(title: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.title == title)


def run(scenario: Scenario, peer: str) -> Outcome:
    """Run it, and say what came of it. Never raises for what the filesystem does."""
    fake = scenario.serve()
    with (
        ScriptedServer(handler=lambda request: fake(unchunked(request))) as server,
        tempfile.TemporaryDirectory() as name,
    ):
        folder = Path(name)
        ended, errors = _act(scenario, peer, server.url, folder)
        row = json.loads((folder / SAID).read_text()) if (folder / SAID).exists() else {}
        words = [row.get("said", ended)]
        if words != [NOT_OFFERED]:
            words.append(scenario.observe(fake, folder, scenario.whole))
        if row and scenario.exits:
            words.append(ended)
        if scenario.tells and PATH in errors:
            words.append("told")
        text = ", ".join(word for word in words if word)
        detail = "; ".join(word for word in (row.get("detail", ""), ended, errors) if word)
        return Outcome(text, row.get("seconds", 0.0), detail)


def _act(scenario: Scenario, peer: str, url: str, folder: Path) -> tuple[str, str]:
    """How the process ended, "" when well, and the end of what it wrote to stderr."""
    command = [sys.executable, "-m", "tests.guards.child", scenario.title, peer, url, str(folder)]
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,  # so that what it forked can be ended with it
        )
        ended = _wait(process, PATIENCE if peer == OURS else scenario.limit, folder)
    return ended, (folder / "stderr").read_text(errors="replace")[-2000:]


def _wait(process: subprocess.Popen[bytes], limit: float, folder: Path) -> str:
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if (folder / SAID).exists():
            return "process did not exit"
        return f"no end within {limit:.0f} s"
    if code == -signal.SIGKILL:
        return "killed"
    if code < 0:
        return f"process died of {signal.Signals(-code).name}"
    return f"exit code {code}" if code else ""


def _environment(folder: Path) -> dict[str, str]:
    """The machine's environment without its credentials, regions and proxies."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "FSSPEC_")) and not name.lower().endswith("_proxy")
    }
    nowhere = {
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
    }
    return {**kept, **nowhere, "AWS_EC2_METADATA_DISABLED": "true", "PYTHONWARNINGS": "ignore"}
