"""Processes publish in one table, and some are killed by SIGKILL in the middle of a request.

The server kills, at a request of a process and a point of it that a printed seed chose.
"""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from fsspec_guarded_s3.integrations.commit import CommitLog, Table
from tests.commits.tables import PATH, contents, data_of
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close

COMMITS = 4
# Publishes pairs of objects, notes each in a log, and says so.
CHILD = """
import json, sys
from fsspec_guarded_s3.integrations.commit import CommitLog, Table
from tests.opening import filesystem
url, name, commits = json.loads(sys.stdin.readline())
fs = filesystem(url, key=name)
table, log = Table(fs, "bucket/table"), CommitLog(fs, "bucket/log")
print("ready", flush=True)
sys.stdin.readline()
for number in range(commits):
    content = f"{name} {number}".encode()
    with table.transaction() as t:
        t.pipe_file(f"{name}-{number}-a", content)
        with t.open(f"{name}-{number}-b") as file:
            file.write(content)
    print("published", number, flush=True)
    print("appended", log.append([name, number]).version, number, flush=True)
"""


@dataclass
class Killer:
    """Hooks of a store: it kills a process at one of its requests, before that is applied or after."""

    at: dict[str, tuple[int, bool]]  # by the name of the process
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    killed: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, request: Request, fake: FakeS3) -> Answer | None:
        name = _name_of(request)
        with self.lock:
            self.seen[name] = self.seen.get(name, 0) + 1
            number, applied = self.at.get(name, (0, False))
            return self._kill(name) if self.seen[name] == number and not applied else None

    def after(self, request: Request, reply: Reply) -> Answer | None:
        name = _name_of(request)
        with self.lock:
            number, applied = self.at.get(name, (0, False))
            return self._kill(name) if applied and self.seen.get(name) == number else None

    def _kill(self, name: str) -> Answer:
        self.processes[name].send_signal(signal.SIGKILL)
        self.killed.add(name)
        return close()


def _name_of(request: Request) -> str:
    found = re.search(r"Credential=([^/]+)/", request.headers.get("authorization", ""))
    return found[1] if found else ""


def run(killer: Killer, names: list[str], url: str) -> dict[str, str]:
    """Start the processes, let them race, and wait; what each has said."""
    with ExitStack() as stack:
        for name in names:
            child = subprocess.Popen(
                [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            killer.processes[name] = stack.enter_context(child)
            stack.callback(child.kill)
            assert child.stdin is not None
            child.stdin.write(json.dumps([url, name, COMMITS]) + "\n")
            child.stdin.flush()
        for child in killer.processes.values():
            assert child.stdout is not None and child.stdin is not None
            assert child.stdout.readline() == "ready\n"
        for child in killer.processes.values():
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        said = {name: child.communicate(timeout=300)[0] for name, child in killer.processes.items()}
        for name, child in killer.processes.items():
            assert child.returncode == (-signal.SIGKILL if name in killer.killed else 0), name
        return said


@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL here")
def test_killed_processes_leave_whole_versions() -> None:
    """What was acknowledged is there, what is there is whole, and nobody waits for who was killed."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    at = {name: (dice.randint(1, 6 * COMMITS), dice.random() < 0.5) for name in ("one", "two", "three")}
    print(f"seed {seed}: {at}")
    names = [*at, "four"]
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        table, log = Table.create(fs, PATH), CommitLog(fs, "bucket/log")
        killer = Killer(at)
        fake.fault, fake.after = killer.fault, killer.after
        said = run(killer, names, server.url)
        fake.fault = fake.after = None
        assert killer.killed and "four" not in killer.killed

        found = contents(table)
        for name in names:
            for number in range(COMMITS):
                pair = {found.get(f"{name}-{number}-{part}") for part in "ab"}
                assert pair in ({None}, {f"{name} {number}".encode()}), "a version has a part of a commit"
                if f"published {number}\n" in said[name]:
                    assert pair != {None}, "a commit was acknowledged, and is lost"
        for version in range(1, table.log.latest() + 1):
            snapshot = table.snapshot(version)
            snapshot.verify()
            assert len(snapshot) % 2 == 0
        assert len(found) == 2 * (table.log.latest() - 1)

        entries = {entry.version: entry.data for entry in log.entries()}
        assert sorted(entries) == list(range(1, len(entries) + 1))
        assert len(set(map(tuple, entries.values()))) == len(entries), "an entry was appended twice"
        for name in names:
            for version, number in re.findall(r"appended (\d+) (\d+)\n", said[name]):
                assert entries[int(version)] == [name, int(number)]

        for slot, stored in list(fake.objects.items()):
            fake.objects[slot] = replace(stored, modified=stored.modified - timedelta(days=8))
        table.vacuum()
        assert contents(table) == found and data_of(fake) == sorted(found)
