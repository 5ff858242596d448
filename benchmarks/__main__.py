"""`python -m benchmarks`: every peer and every work in a process of its own, interleaved, best of the rounds.

Prints Markdown tables of ratios to ours (wall, CPU) and of peak memory, then whether the bars are met.
Exit code 1 when one is not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from .server import serving

PEERS = ("ours", "s3fs", "obstore.fsspec", "pyarrow")
WORKS = (
    "GET 4 KiB, one at a time",
    "cat 1,000 x 4 KiB",
    "cat_file, large",
    "get_file, large",
    "put_file, large",
    "find 50,000 keys",
    "import and instance",
)
# (work, peer, how many times faster than the peer)
BARS = (
    ("GET 4 KiB, one at a time", "s3fs", 5.0),
    ("cat_file, large", "obstore.fsspec", 1.7),
    ("cat_file, large", "s3fs", 2.5),
    ("get_file, large", "s3fs", 2.0),
    ("get_file, large", "obstore.fsspec", 2.5),
    ("find 50,000 keys", "s3fs", 8.0),
)
Runs = dict[tuple[str, str], list[dict[str, Any]]]


def run(peer: str, work: str, url: str, megabytes: int) -> dict[str, Any]:
    """One measurement; {"error": ...} when the peer fails."""
    command = [sys.executable, "-m", "benchmarks.measure", peer, work, url, str(megabytes)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        return {"error": "no end within 180 s"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1][:80]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def best(runs: list[dict[str, Any]], what: str) -> float | None:
    """The smallest figure of all rounds that ended well."""
    return min((r[what] for r in runs if "error" not in r), default=None)


def table(runs: Runs, what: str, title: str) -> str:
    """Markdown: one row a work, one column a peer."""
    lines = [f"| {title} | " + " | ".join(PEERS) + " |", "|---" * (len(PEERS) + 1) + "|"]
    for work in WORKS:
        ours = best(runs.get(("ours", work), []), what)
        if ours is None:
            continue
        cells = []
        for peer in PEERS:
            value = best(runs[(peer, work)], what)
            if value is None:
                cells.append("fails")
            else:
                cells.append(f"{value / 1e6:.0f} MB" if what == "peak" else f"{value / ours:.2f}")
        lines.append(f"| {work} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def bars(runs: Runs, megabytes: int) -> list[tuple[str, bool]]:
    """Every bar in words, and whether it is met."""
    found = []
    for work, peer, least in BARS:
        if ("ours", work) not in runs:
            continue  # not asked for
        ours, theirs = best(runs[("ours", work)], "wall"), best(runs[(peer, work)], "wall")
        if ours is None or theirs is None:
            found.append((f"{work}: no figure for ours or {peer}", False))
        else:
            text = f"{work}: {theirs / ours:.2f} times faster than {peer}, bar {least}"
            found.append((text, theirs / ours >= least))
    limits = {"put_file, large": 200e6, "get_file, large": 200e6, "cat_file, large": 1.15e6 * megabytes}
    for work, limit in limits.items():
        if ("ours", work) not in runs:
            continue
        peak = best(runs[("ours", work)], "peak")
        if peak is None:
            found.append((f"{work}: no figure for ours", False))
        else:
            found.append(
                (f"{work}: peak memory {peak / 1e6:.0f} MB, bar {limit / 1e6:.0f} MB", peak <= limit)
            )
    return found


def main() -> int:
    """Run all; 0 when every bar is met and all peers read the same bytes."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--only", help="part of a work's name")
    given = parser.parse_args()
    runs: Runs = {}
    with serving(given.megabytes * 10**6) as url:
        for _ in range(given.rounds):
            for work in WORKS:
                if given.only and given.only not in work:
                    continue
                size = given.megabytes // 2 if work.startswith("put") else given.megabytes
                for peer in PEERS:
                    runs.setdefault((peer, work), []).append(run(peer, work, url, size))
    print("Ratios to ours: 2.00 takes twice as long.\n")
    for what, title in (("wall", "wall time"), ("cpu", "CPU time"), ("peak", "peak memory")):
        print(table(runs, what, title), "\n")
    for (peer, work), rows in runs.items():
        for row in rows:
            if "error" in row:
                print(f"{peer}, {work}: {row['error']}")
    results = bars(runs, given.megabytes)
    for text, met in results:
        print("met    " if met else "NOT met", text)
    sums = {
        work: {r["crc"] for (_, w), rows in runs.items() if w == work for r in rows if "crc" in r}
        for work in WORKS
    }
    agree = all(len(found) <= 1 for found in sums.values())
    print("all peers read the same bytes" if agree else f"peers read DIFFERENT bytes: {sums}")
    return 0 if agree and all(met for _, met in results) else 1


if __name__ == "__main__":
    sys.exit(main())
