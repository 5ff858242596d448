"""One work by one peer: `python -m benchmarks.one WORK PEER`: seconds, requests by kind, bytes, memory.

With `--trace` every request is printed, with `--profile FILE` the process runs under cProfile.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from .peers import PEERS
from .runner import prepared
from .sizes import Sizes
from .works import WORKS, by_name, title


def _traced(path: Path) -> None:
    """The requests, by the time of their answers in ms; the bytes of the counts are left out."""
    lines = path.read_text().splitlines() if path.exists() else []
    rows = sorted((float(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in lines)
    for when, what in rows:
        print(f"{(when - rows[0][0]) * 1000:8.1f} ms {what}")


def main() -> int:
    """Measure and print; 1 when the peer fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.one", description=__doc__)
    parser.add_argument("work", choices=[work.name for work in WORKS], metavar="WORK")
    parser.add_argument("peer", choices=list(PEERS), nargs="+", metavar="PEER")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="of everyday sizes and counts")
    parser.add_argument("--trace", action="store_true", help="print every request")
    parser.add_argument("--profile", metavar="FILE", help="write a profile for pstats or snakeviz")
    given = parser.parse_args()
    work = by_name(given.work)
    sizes = dataclasses.replace(Sizes(), seed=given.seed, scale=given.scale)
    failed = False
    print(title(work, sizes), file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "requests"
        with prepared(sizes, [work], log=str(log) if given.trace else "") as runner:
            for _ in range(given.rounds):
                for peer in given.peer:
                    log.unlink(missing_ok=True)
                    figures = runner.run(work, peer, profile=given.profile)
                    print(f"{peer}: {json.dumps(figures)}")
                    failed = failed or "error" in figures
                    _traced(log)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
