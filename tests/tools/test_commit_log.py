"""A table's commit log, as Delta Lake and Iceberg keep it, written by 32 racing processes.

Every version is a key that exactly one writer creates (`put_if_absent`); pointers to the newest state are
changed by compare-and-swap (`update`). No version is missing, none is claimed twice, no commit and no swap is
lost - also where answers of the store are lost on their way.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close
from tests.stores import new_store

POINTERS = 4

# What a writer does: append its commits to the log, each as the next free version, and then move the pointer.
WRITER = """
import json, sys
from fsspec_guarded_s3 import GuardedS3FileSystem, WriteOutcomeUnknownError

options, table, pointer, name, commits = json.loads(sys.stdin.readline())
fs = GuardedS3FileSystem(**options)
print("ready", flush=True)
sys.stdin.readline()
committed, version = {}, 0

def claim(path, commit):
    try:
        return fs.put_if_absent(path, json.dumps(commit).encode())
    except WriteOutcomeUnknownError:  # the answer was lost: nobody replaces an entry, so it says whose it is
        return json.loads(fs.cat_file(path)) == commit

for number in range(commits):
    while not claim(f"{table}/log/{version:020}.json", [name, number]):
        version += 1
    committed[version] = [name, number]
add = lambda old: json.dumps(json.loads(old) + [name]).encode()
while name not in json.loads(fs.cat_file(pointer)):
    try:
        fs.update(pointer, add, max_attempts=100)
    except WriteOutcomeUnknownError:
        pass  # the answer was lost and others wrote since: the state says whether our swap was done
print(json.dumps(committed))
"""


class LosesAnswers:
    """Every seventh write is applied, and its answer does not arrive."""

    def __init__(self) -> None:
        self.lock, self.writes, self.lost = threading.Lock(), 0, 0

    def after(self, request: Request, reply: Reply) -> Answer | None:
        if request.method != "PUT":
            return None
        with self.lock:
            self.writes += 1
            if self.writes % 7:
                return None
            self.lost += 1
        return close()


@dataclass(frozen=True)
class Table:
    """Where the table is, the options of its writers, how many they are, and the commits of each."""

    fs: GuardedS3FileSystem
    path: str
    options: dict[str, Any]
    writers: int
    commits: int

    def pointer(self, writer: int) -> str:
        return f"{self.path}/current-{writer % POINTERS}"


@pytest.fixture(params=["moto", "answers are lost"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    if request.param == "moto":
        store = new_store(request.getfixturevalue("moto"))
        yield Table(store.fs, store.path("table"), store.options | {"probe": "never"}, writers=32, commits=2)
        return
    loses = LosesAnswers()
    with ScriptedServer(handler=FakeS3("bucket", after=loses.after)) as server:
        options = {"endpoint_url": server.url, "key": "k", "secret": "s", "region": "us-east-1"}
        options["probe"] = "never"
        yield Table(filesystem(server.url), "bucket/table", options, writers=12, commits=4)
    assert loses.lost > 12


def race(table: Table) -> list[dict[str, Any]]:
    """What each writer says that it has committed: {version: [writer, number]}."""
    command = [sys.executable, "-c", WRITER]
    with ExitStack() as stack:
        writers = []
        for number in range(table.writers):
            writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            writers.append(stack.enter_context(writer))
            stack.callback(writer.kill)
            given = [table.options, table.path, table.pointer(number), f"writer-{number}", table.commits]
            tell(writer, given)
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            tell(writer, "go")
        told = [writer.communicate(timeout=900)[0] for writer in writers]
        assert [writer.returncode for writer in writers] == [0] * table.writers
    return [json.loads(said) for said in told]


def tell(writer: subprocess.Popen[str], what: Any) -> None:
    assert writer.stdin is not None
    writer.stdin.write(json.dumps(what) + "\n")
    writer.stdin.flush()


@pytest.mark.timeout(1200)
def test_racing_writers_commit_every_version_once(table: Table) -> None:
    table.fs.pipe({table.pointer(number): b"[]" for number in range(POINTERS)})
    told = race(table)

    claimed = {int(version): commit for said in told for version, commit in said.items()}
    assert len(claimed) == sum(map(len, told)), "two writers claim one version"
    assert sorted(claimed) == list(range(table.writers * table.commits)), "a gap"
    found = table.fs.cat(f"{table.path}/log", recursive=True)
    log = {int(name[-25:-5]): json.loads(body) for name, body in found.items()}
    assert log == claimed, "the log is not what the writers were told"
    names = [f"writer-{number}" for number in range(table.writers)]
    wanted = [[name, number] for name in names for number in range(table.commits)]
    assert sorted(log.values()) == sorted(wanted), "a commit is lost"
    current = [json.loads(table.fs.cat_file(table.pointer(number))) for number in range(POINTERS)]
    assert [sorted(state) for state in current] == [sorted(names[i::POINTERS]) for i in range(POINTERS)]
    assert table.fs.list_uploads(table.path) == []
