"""`python -m benchmarks`: every work by every peer, interleaved; prints tables of ratios and the bars.

Exit code 1 when a bar is missed, a figure that a bar needs is missing, or peers saw different bytes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import secrets
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from .bars import verdicts
from .everyday.rows import OPTIONAL
from .peers import PEERS
from .plot import plot
from .report import as_json, markdown, write_readme, write_tables
from .runner import Results, Runner, offers, prepared
from .sizes import Sizes
from .work import EVERYDAY, TRANSFERS, Work
from .works import WORKS, title


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: 5)")
    parser.add_argument("--megabytes", type=int, help="size of a large object (default: 1000)")
    parser.add_argument("--only", metavar="TEXT", help="only works whose name or title contains TEXT")
    parser.add_argument("--group", choices=(EVERYDAY, TRANSFERS), help="only this group (default: both)")
    parser.add_argument(
        "--seed", type=int, help="of the everyday sizes and shapes (default: another each time)"
    )
    parser.add_argument(
        "--far", action="store_true", help="all everyday works with 100 ms too, not only a few"
    )
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="a peer, instead of all")
    parser.add_argument("--quick", action="store_true", help="small sizes and one round: does all work?")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures to FILE")
    parser.add_argument("--tables", metavar="FILE", type=Path, help="replace the tables in FILE")
    parser.add_argument("--readme", metavar="FILE", type=Path, help="replace the short table in FILE")
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="draw the PNG file FILE; of everyday work, two beside it"
    )
    return parser


def _measure(runner: Runner, results: Results, works: list[Work], names: list[str], rounds: int) -> None:
    """All rounds; the order of the peers changes from round to round."""
    for number in range(rounds):
        turned = names[number % len(names) :] + names[: number % len(names)]
        for work in works:
            if number >= work.rounds:
                continue
            began = time.monotonic()
            for peer in turned:
                if offers(peer, work) and not (number and peer in work.once):
                    results.add(work.name, peer, runner.run(work, peer))
            took = time.monotonic() - began
            print(f"round {number + 1}: {title(work, results.sizes)}: {took:.1f} s", file=sys.stderr)


def _look(runner: Runner, results: Results, works: list[Work], names: list[str]) -> None:
    """A quick look at everyday works: all of a peer in one process."""
    for endpoint in dict.fromkeys(work.endpoint for work in works):
        for peer in names:
            offered = [work for work in works if work.endpoint == endpoint and offers(peer, work)]
            for work, figures in runner.run_together(offered, peer).items() if offered else ():
                results.add(work, peer, figures)


def _installed(work: Work) -> bool:
    missing = {module.partition(".")[0] for module in work.modules}
    missing = {module for module in missing if not find_spec(module)}
    if missing:
        print(f"left out: {work.name}, {', '.join(sorted(missing))} is not installed", file=sys.stderr)
    return not missing


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def main() -> int:
    """Run all; 0 when every bar is met and all peers saw the same bytes."""
    parser = _parser()
    given = parser.parse_args()
    if given.plot and not find_spec("matplotlib"):
        parser.error("--plot needs matplotlib")
    sizes = Sizes.quick() if given.quick else Sizes()
    if given.megabytes:
        sizes = dataclasses.replace(sizes, megabytes=given.megabytes)
    seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    sizes = dataclasses.replace(sizes, seed=seed)
    only = given.only or ""
    works = [work for work in WORKS if only in work.name or only in title(work, sizes)]
    works = [work for work in works if given.group in (None, work.group)]
    if not given.far:
        works = [work for work in works if work.name not in OPTIONAL or work.name == given.only]
    if given.quick and not given.far:
        works = [work for work in works if work.group != EVERYDAY or work.endpoint == "near"]
    print(f"seed {seed}", file=sys.stderr)
    works = [work for work in works if _installed(work)]
    if not works:
        parser.error(f"no work is called {only!r}; there are: {', '.join(work.name for work in WORKS)}")
    signal.signal(signal.SIGTERM, _stop)
    results = Results(sizes)
    with prepared(sizes, works) as runner:
        names = given.peer or list(PEERS)
        if given.quick:
            _look(runner, results, [work for work in works if work.group == EVERYDAY], names)
            works = [work for work in works if work.group != EVERYDAY]
        _measure(runner, results, works, names, 1 if given.quick else given.rounds)
    judged = verdicts(results)
    print(markdown(results, judged))
    if given.json:
        given.json.write_text(json.dumps(as_json(results, judged), indent=1) + "\n")
    if given.tables:
        write_tables(given.tables, results)
    if given.readme:
        write_readme(given.readme, results)
    if given.plot:
        plot(results, given.plot)
    return 0 if all(verdict.met for verdict in judged) and not results.disagreeing() else 1


if __name__ == "__main__":
    sys.exit(main())
