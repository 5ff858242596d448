"""Starts the store and the processes of a soak, and collects what they did."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.scripted_server import eventually
from tests.soak.checks import check, check_uploads
from tests.soak.records import read_journal
from tests.soak.store import SoakServer, Store
from tests.soak.worker import actor_names

START_SECONDS = 60.0
END_SECONDS = 180.0  # after the time is up: the longest deadline of one operation, and the retries around it
OUTCOMES = ("ok", "failed", "unknown")


@dataclass
class Report:
    """What a soak found."""

    seed: int
    seconds: float = 0.0
    requests: int = 0
    operations: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    uploads_left: int = 0
    leaks: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = sorted({operation for operation, _ in self.operations})
        rows = [("operation", *OUTCOMES)]
        rows += [(kind, *(str(self.operations[kind, outcome]) for outcome in OUTCOMES)) for kind in kinds]
        sums = [sum(self.operations[kind, outcome] for kind in kinds) for outcome in OUTCOMES]
        rows.append(("all", *map(str, sums)))
        lines = [f"{row[0]:<14}{row[1]:>9}{row[2]:>9}{row[3]:>9}" for row in rows]
        lines += ["", f"{'fault':<18}{'times':>9}"]
        lines += [f"{kind:<18}{count:>9}" for kind, count in sorted(self.faults.items())]
        lines += ["", f"seed {self.seed}, {self.seconds:.0f} s, {self.requests} requests"]
        lines += [f"{self.uploads_left} empty uploads of which nobody had the id, aborted at the end"]
        for name, found in (("leaks", self.leaks), ("violations", self.violations)):
            lines += [f"{name}: {len(found)}", *(f"  {text}" for text in found[:50])]
        return "\n".join(lines)


class Worker:
    """One process, and the lines that it says."""

    def __init__(self, orders: dict[str, object]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.tell(json.dumps(orders))

    def tell(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()

    def hear(self, seconds: float) -> str:
        """The next line; "" when the process ended or hung, in which case it is killed."""
        assert self._process.stdout is not None
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            return self._process.stdout.readline()
        finally:
            timer.cancel()

    def end(self, seconds: float) -> int:
        """Let it go; returns its exit code."""
        try:
            self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        return self._process.returncode


def soak(seconds: float, seed: int, processes: int = 2, threads: int = 4) -> Report:
    """Run for `seconds`, and check everything."""
    store, report = Store(seed), Report(seed)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        server = stack.enter_context(SoakServer(store))
        orders = {"url": server.url, "folder": folder, "seed": seed, "seconds": seconds}
        orders |= {"processes": processes, "threads": threads}
        workers = [Worker({**orders, "index": index}) for index in range(processes)]
        for worker in workers:
            stack.callback(worker.end, 0)
        _run(workers, store, report, seconds)
        try:
            eventually(lambda: server.open_connections == 0)
        except AssertionError:
            report.leaks.append(f"{server.open_connections} connections are open at the end")
        for number, worker in enumerate(workers):
            code = worker.end(START_SECONDS)
            if code != 0:
                report.violations.append(f"process {number} ended with {code}")
        journals = [Path(folder, f"{n}.jsonl") for names in actor_names(processes, threads) for n in names]
        there = [read_journal(path) for path in journals if path.exists()]
        report.operations, violations = check(there, store)
        report.violations += violations
        report.uploads_left, violations = check_uploads(server.url, store)
        report.violations += violations
    report.faults, report.requests = store.faults.counts, store.faults.requests
    return report


def _run(workers: list[Worker], store: Store, report: Report, seconds: float) -> None:
    for number, worker in enumerate(workers):
        if worker.hear(START_SECONDS) != "ready\n":
            report.violations.append(f"process {number} did not start")
            return
    store.faults.on = True
    began = time.monotonic()
    for worker in workers:
        worker.tell("go")
    for number, worker in enumerate(workers):
        said = worker.hear(seconds + END_SECONDS)
        if said:
            report.leaks += [f"process {number}: {text}" for text in json.loads(said)]
        else:
            report.violations.append(f"process {number} hung or died")
    report.seconds = time.monotonic() - began
    store.faults.on = False
