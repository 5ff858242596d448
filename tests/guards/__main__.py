"""`python -m tests.guards`: every scenario with every filesystem, and a table of what happened.

Exit code 1 when ours did not do what its scenario promises. Nothing is expected of the peers.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from tests.documents import between
from tests.guards.peers import OURS, PEERS
from tests.guards.run import SCENARIOS, Outcome, run
from tests.guards.scenario import Scenario

BEGIN, END = "<!-- guards:begin -->", "<!-- guards:end -->"
# What the README shows of it.
README = (
    "create, the response is lost",
    "mv under a rival",
    "exception in `with open(wb)`, multipart",
    "writer dropped without `close`",
    "body cut and object replaced, `get_file`",
    "open reader used on both sides of a fork",
)
PACKAGES = {OURS: "fsspec_guarded_s3", "s3fs": "s3fs", "obstore.fsspec": "obstore", "pyarrow": "pyarrow"}
Outcomes = dict[tuple[str, str], Outcome]


def table(scenarios: Sequence[Scenario], peers: Sequence[str], outcomes: Outcomes) -> str:
    """Markdown: one row a scenario, one column a filesystem."""
    heads = [f"{peer} {version(PACKAGES[peer])}" for peer in peers]
    lines = [f"| scenario | {' | '.join(heads)} |", "|---" * (len(peers) + 1) + "|"]
    for scenario in scenarios:
        cells = [outcomes[scenario.title, peer].cell(scenario) for peer in peers]
        lines.append(f"| {scenario.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def broken(scenarios: Sequence[Scenario], outcomes: Outcomes) -> list[str]:
    """What ours promised and did not do."""
    found = []
    for scenario in scenarios:
        outcome = outcomes.get((scenario.title, OURS))
        if outcome is not None and outcome.text != scenario.promise:
            said = f"promised: {scenario.promise}; happened: {outcome.text}"
            found.append(f"{scenario.title}: {said} ({outcome.detail.strip()})")
    return found


def write_table(path: Path, text: str) -> None:
    """Replace what is between the marks. Raises ValueError when they are not there."""
    path.write_text(between(path.read_text(), BEGIN, END, text))


def main() -> int:
    """Run what was asked for; 0 when ours kept all its promises."""
    parser = argparse.ArgumentParser(prog="python -m tests.guards", description=__doc__)
    parser.add_argument("--only", default="", help="part of a scenario's title")
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="a filesystem, instead of all")
    parser.add_argument("--json", type=Path, help="write all outcomes to this file")
    parser.add_argument("--tables", type=Path, help=f"replace what is between {BEGIN} and {END}")
    parser.add_argument("--readme", type=Path, help="the same, with a short table")
    parser.add_argument("--jobs", type=int, default=3, help="how many run at the same time")
    given = parser.parse_args()
    peers = given.peer or list(PEERS)
    scenarios = [scenario for scenario in SCENARIOS if given.only in scenario.title]
    began = time.monotonic()
    rows = [(scenario, peer) for scenario in scenarios for peer in peers]
    with ThreadPoolExecutor(given.jobs) as pool:
        results = list(pool.map(lambda row: run(*row), rows))
    outcomes = {(row[0].title, row[1]): result for row, result in zip(rows, results, strict=True)}
    text = table(scenarios, peers, outcomes)
    print(text)
    print(f"\n{len(rows)} runs in {time.monotonic() - began:.0f} s", file=sys.stderr)
    if given.json is not None:
        found = [{"scenario": title, "peer": peer, **asdict(o)} for (title, peer), o in outcomes.items()]
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    if given.tables is not None:
        write_table(given.tables, text)
    if given.readme is not None:
        short = [scenario for title in README for scenario in scenarios if scenario.title == title]
        write_table(given.readme, table(short, peers, outcomes))
    failures = broken(scenarios, outcomes)
    for failure in failures:
        print(f"ours: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
