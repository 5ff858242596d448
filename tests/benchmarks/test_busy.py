"""The benchmark of a store that refuses what is too much: it counts, and no caller of ours gets an error."""

import re
import subprocess
import sys

from tests.documents import ROOT


def test_it_counts_what_the_store_refuses() -> None:
    command = [sys.executable, "-m", "benchmarks.busy", "--only", "ours, threads", "--threads", "8"]
    command += ["--requests", "60", "--burst", "30"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    rows = re.findall(r"^\| ours, [^|]+ \| ([0-9.]+)% \| (\d+) \|", run.stdout, re.MULTILINE)
    assert [errors for _, errors in rows] == ["0"]
    assert any(float(refused) for refused, _ in rows)
