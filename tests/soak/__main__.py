"""The command: prints the figures; ends with 1 when anything was lost or leaked."""

from __future__ import annotations

import argparse
import random
import sys

from tests.soak.run import soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="A soak under random faults.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="of the faults and operations")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=4, help="of each process")
    chosen = parser.parse_args()
    seed = random.randrange(2**32) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    report = soak(chosen.minutes * 60, seed, chosen.processes, chosen.threads)
    print(report)
    return 1 if report.violations or report.leaks else 0


if __name__ == "__main__":
    sys.exit(main())
