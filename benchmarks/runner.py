"""Runs the measurements: each in a process of its own, with a clean environment, round by round."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
        """The works whose peers did not read or store the same bytes."""
        found = []
        for work, peers in self.runs.items():
            checks = {run["check"] for runs in peers.values() for run in runs if "error" not in run}
            if len(checks) > 1:
                found.append(work)
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
        self._count += 1
        url = str(self._scratch / GIVEN) if peer == LOCAL else getattr(self._endpoints, work.endpoint)
        command = [sys.executable, "-m"]
        given = ""
        local = self._scratch / "local"
        if work.result == "first byte":
            command += ["benchmarks.first_byte", peer, url, self._endpoints.ca]
        else:
            command += ["benchmarks.measure", peer, work.name]
            given = json.dumps(
                {
                    "sizes": self._sizes.as_dict(),
                    "url": url,
                    "ca": self._endpoints.ca,
                    "local": str(local),
                    "source": str(self._scratch / work.source),
                    "key": f"{UPLOADED}{self._count}",
                    "check_url": self._endpoints.http,
                    "profile": profile,
                }
            )
        try:
            done = subprocess.run(
                command, input=given, capture_output=True, text=True, timeout=TIMEOUT, env=self._environment
            )
        except subprocess.TimeoutExpired:
            return {"error": f"no end within {TIMEOUT} s"}
        finally:
            discard(self._endpoints.folder, f"{KEPT}{UPLOADED}")
            shutil.rmtree(local, ignore_errors=True)
            local.unlink(missing_ok=True)
        if done.returncode:
            return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return figures


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
        with serving(scratch, large, few, many, given=given, log=log) as (endpoints, data):
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
