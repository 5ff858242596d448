"""Runs the measurements: each in a process of its own, with a clean environment, round by round."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .frames import write_parquet
from .peers import LOCAL, peer_class
from .server import Endpoints, serving
from .sizes import Sizes
from .uploads import KEPT, deposit, discard
from .work import EVERYDAY, Work
from .works import PARQUET_KEY

TIMEOUT = 300
EVERYDAY_TIMEOUT = 120
UPLOADED = "uploaded-"
GIVEN = "given"
# Settings of the user that would reach one peer and not another.
# An installed package has its byte code; without this, ours alone would be compiled in each process.
_FOREIGN = ("AWS_", "BOTO", "FSSPEC_", "DASK_", "PYTHONDONTWRITEBYTECODE")


@dataclass
class Results:
    """All measurements, by work and peer; an error is a measurement too."""

    sizes: Sizes
    runs: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)

    def add(self, work: str, peer: str, figures: dict[str, Any]) -> None:
        """Remember one."""
        self.runs.setdefault(work, {}).setdefault(peer, []).append(figures)

    def values(self, work: str, peer: str, what: str) -> list[float]:
        """The figures `what` of all rounds that ended well."""
        runs = self.runs.get(work, {}).get(peer, [])
        return [figures[what] for figures in runs if "error" not in figures]

    def disagreeing(self) -> list[str]:
        """The works whose peers did not read or store the same bytes, with the checksums."""
        found = []
        for work, peers in self.runs.items():
            checks = {
                (peer, run["check"]) for peer, runs in peers.items() for run in runs if "error" not in run
            }
            if len({check for _, check in checks}) > 1:
                found.append(f"{work} ({', '.join(f'{peer} {check:x}' for peer, check in sorted(checks))})")
        return found


def environment(scratch: Path) -> dict[str, str]:
    """Ours without credentials, proxies and settings of any peer."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and not name.lower().endswith("_proxy")
    }
    nowhere = str(scratch / "missing")
    return {**kept, "AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere}


@dataclass(frozen=True)
class Ended:
    """A process: its exit code (None when it was ended because it took too long) and what it wrote."""

    returncode: int | None
    stdout: str
    stderr: str


class Runner:
    """Measures against a running server."""

    def __init__(self, endpoints: Endpoints, scratch: Path, sizes: Sizes) -> None:
        self._endpoints = endpoints
        self._scratch = scratch
        self._sizes = sizes
        self._environment = environment(scratch)
        self._count = 0

    def run(self, work: Work, peer: str, profile: str | None = None) -> dict[str, Any]:
        """One measurement; {"error": ...} when the peer fails. `profile` is a file for the work's profile."""
        command = ["benchmarks.measure", peer, work.name]
        if work.result == "first byte":
            command = [
                "benchmarks.first_byte",
                peer,
                getattr(self._endpoints, work.endpoint),
                self._endpoints.ca,
            ]
        limit = EVERYDAY_TIMEOUT if work.group == EVERYDAY else TIMEOUT
        done = self._process(command, self._given(work, peer, profile), limit)
        if done.returncode is None:
            return {"error": f"no end within {limit} s"}
        if done.returncode:
            return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return figures

    def run_together(self, works: Sequence[Work], peer: str) -> dict[str, dict[str, Any]]:
        """Works of one endpoint in one process, one after the other; by the names of the works."""
        command = ["benchmarks.measure", peer, *(work.name for work in works)]
        done = self._process(command, self._given(works[0], peer), EVERYDAY_TIMEOUT)
        last = (done.stderr.strip().splitlines() or ["no end in time"])[-1]
        found: dict[str, dict[str, Any]] = {work.name: {"error": last} for work in works}
        for line in done.stdout.splitlines():
            if not line.startswith("{"):  # DuckDB draws a bar when a query takes long
                continue
            figures = json.loads(line)
            found[figures.pop("work")] = figures
        return found

    def _given(self, work: Work, peer: str, profile: str | None = None) -> str:
        """What a measuring process reads from its standard input."""
        self._count += 1
        url = str(self._scratch / GIVEN) if peer == LOCAL else getattr(self._endpoints, work.endpoint)
        return json.dumps(
            {
                "sizes": self._sizes.as_dict(),
                "url": url,
                "ca": self._endpoints.ca,
                "local": str(self._scratch / "local"),
                "source": str(self._scratch / work.source),
                "key": f"{UPLOADED}{self._count}",
                "check_url": self._endpoints.http,
                "given": str(self._scratch / GIVEN),
                "profile": profile,
            }
        )

    def _process(self, command: list[str], given: str, limit: float) -> Ended:
        """Run the module `command` until its end, at most `limit` seconds, and remove what it left."""
        started = [sys.executable, "-m", *command]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            code = None
            with suppress(subprocess.TimeoutExpired):
                code = subprocess.run(
                    started,
                    input=given,
                    stdout=out,
                    stderr=err,
                    text=True,
                    timeout=limit,
                    env=self._environment,
                ).returncode
            discard(self._endpoints.folder, f"{KEPT}{UPLOADED}")
            local = self._scratch / "local"
            shutil.rmtree(local, ignore_errors=True)
            local.unlink(missing_ok=True)
            out.seek(0)
            err.seek(0)
            return Ended(code, out.read(), err.read())


@contextmanager
def prepared(sizes: Sizes, works: list[Work], log: str = "") -> Iterator[Runner]:
    """A running server and the local files that the works need, in memory where the system has a place."""
    shared = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="benchmarks-", dir=shared) as folder:
        scratch = Path(folder)
        large = (sizes.large, sizes.quarter, sizes.slow_large)
        wanted = {work.name for work in works}
        few = sizes.few_keys if wanted & {"find few", "slow find"} else 1
        many = sizes.many_keys if "find many" in wanted else 1
        given = _given(scratch, sizes, works)
        with serving(scratch, large, few, many, given=given, log=log, links=sizes.links) as (endpoints, data):
            if any(work.result == "upload" for work in works):
                size = sizes.upload_megabytes * 10**6
                (scratch / "upload").write_bytes(data.view[:size])
                (scratch / "quarter").write_bytes(data.view[: size // 4])
            if any(work.result == "frame" for work in works):
                write_parquet(scratch / "parquet", sizes.parquet_megabytes)
                deposit(endpoints.folder, PARQUET_KEY, scratch / "parquet")
                (scratch / "parquet").unlink()
            yield Runner(endpoints, scratch, sizes)


def _given(scratch: Path, sizes: Sizes, works: list[Work]) -> Path | None:
    """The folder of the data sets that the works read, made by a process of its own."""
    names = {name for work in works if work.group == EVERYDAY for name in work.datasets}
    if not names:
        return None
    folder = scratch / GIVEN
    made = [sys.executable, "-m", "benchmarks.everyday.datasets", str(folder / "every")]
    subprocess.run([*made, str(sizes.seed), str(sizes.scale), *sorted(names)], check=True)
    return folder / "every"


def offers(peer: str, work: Work) -> bool:
    """Whether the peer takes part in the work."""
    return peer in work.peers and hasattr(peer_class(peer), work.verb)
