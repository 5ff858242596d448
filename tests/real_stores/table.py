"""What happened, kept as one file for each store, and the part of docs/stores.md that is made from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.documents import between
from tests.real_stores.checking import Outcome

RESULTS = Path(__file__).parent / "results"
DOCUMENT = Path(__file__).parents[2] / "docs" / "stores.md"
BEGIN, END = "<!-- stores:begin -->", "<!-- stores:end -->"
GROUPS = {
    "guards": "What `fs.probe` finds, each held against requests of boto3",
    "surface": "What the filesystem does there",
}
WORDS = """*yes*: it works as promised. *no*: the store does not do it, and the filesystem says so or has
another way. **WRONG**: a promise did not hold there. If a store tells two writers that both of them won,
no client can mend that. A star means that the reason stands below."""
_REFUSED = re.compile("ConnectionRefusedError|EndpointConnectionError")  # the latter is boto3's
_LOST = re.compile("not atomic|of [0-9]+ lost")
_NONE_PASSED = re.compile("0 of [0-9]+ pass")


@dataclass(frozen=True)
class Result:
    """One run on one store. `missing` is why it could not be built; then there are no outcomes."""

    name: str
    heading: str
    missing: str
    outcomes: dict[str, list[Outcome]]

    def with_rows_of(self, other: Result) -> Result:
        """This with the rows that `other` has."""
        both = {group: _merged(self.outcomes[group], other.outcomes.get(group, [])) for group in GROUPS}
        return replace(self, heading=other.heading, outcomes=both)

    def with_lost_races_of(self, before: Result) -> Result:
        """This with the races that the same version has lost before: not to lose one proves nothing."""
        if self.heading != before.heading:
            return self
        lost = {
            outcome.title: outcome
            for outcomes in before.outcomes.values()
            for outcome in outcomes
            if _LOST.search(outcome.reason)
        }
        kept = {
            group: [lost.get(found.title, found) if found.word == "yes" else found for found in outcomes]
            for group, outcomes in self.outcomes.items()
        }
        return replace(self, outcomes=kept)

    def write(self) -> None:
        """Keep it. Seconds are not kept: they differ from run to run."""
        groups = {
            group: [{"title": o.title, "word": o.word, "reason": o.reason} for o in outcomes]
            for group, outcomes in self.outcomes.items()
        }
        said = {"heading": self.heading, "missing": self.missing, **groups}
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(said, indent=1, ensure_ascii=False) + "\n"
        (RESULTS / f"{self.name}.json").write_text(text, encoding="utf-8")


def _merged(before: list[Outcome], newer: list[Outcome]) -> list[Outcome]:
    found = {outcome.title: outcome for outcome in newer}
    return [found.pop(outcome.title, outcome) for outcome in before] + list(found.values())


def read(name: str) -> Result | None:
    """What was kept of a store, None if it was never run."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return None
    said = json.loads(path.read_text(encoding="utf-8"))
    outcomes = {group: [Outcome(**row) for row in said.get(group, [])] for group in GROUPS}
    return Result(name, said["heading"], said["missing"], outcomes)


def text(results: Sequence[Result]) -> str:
    """Markdown: a table of guards, a table of the surface, and the reasons."""
    ran = [_until_it_ended(result) for result in results if not result.missing]
    parts = [WORDS]
    for group, title in GROUPS.items():
        parts += [f"### {title}", "\n".join(_table(ran, group))]
    parts += ["### Reasons", *_reasons(ran)]
    parts += [
        f"**{result.heading}** was not tried: {result.missing}." for result in results if result.missing
    ]
    return "\n\n".join(parts)


def _until_it_ended(result: Result) -> Result:
    """Without what was asked of a store whose process had ended: that says nothing of what it does."""
    outcomes: dict[str, list[Outcome]] = {}
    for group, rows in result.outcomes.items():
        ended = [row for row in rows if _REFUSED.search(row.reason) or _NONE_PASSED.match(row.reason)]
        if not any(_REFUSED.search(row.reason) for row in ended):
            ended = []
        outcomes[group] = [row for row in rows if row not in ended]
        if ended:
            why = f"the store's process had ended, as it had for {len(ended) - 1} more rows, which show -"
            outcomes[group].append(Outcome(ended[0].title, "no", why))
    return replace(result, outcomes=outcomes)


def _table(results: Sequence[Result], group: str) -> Iterator[str]:
    titles = dict.fromkeys(outcome.title for result in results for outcome in result.outcomes[group])
    heads = [" ".join(result.heading.split()) for result in results]
    yield f"| | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 1) + "|"
    found = [{outcome.title: outcome for outcome in result.outcomes[group]} for result in results]
    for title in titles:
        yield f"| {title} | {' | '.join(_cell(row.get(title)) for row in found)} |"


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    word = f"**{outcome.word}**" if outcome.word == "WRONG" else outcome.word
    return f"{word}\\*" if outcome.reason else word


def _reasons(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        lines = [f"**{result.heading}**", ""]
        for group in GROUPS:
            for outcome in result.outcomes[group]:
                if outcome.reason:
                    lines.append(f"- {outcome.title}: {outcome.word}, {_escaped(outcome.reason)}")
        if len(lines) > 2:
            yield "\n".join(lines)


def _escaped(reason: str) -> str:
    """Markdown that shows a reason as it is: tags and emphasis of names are no markup."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in reason)
    parts = shown.split("`")
    for number in range(0, len(parts), 2):
        for mark in "<*_[":
            parts[number] = parts[number].replace(mark, f"\\{mark}")
    return "`".join(parts) if len(parts) % 2 else shown.replace("`", "'")


def document(results: Sequence[Result], before: str) -> str:
    """`before` with what is between the marks replaced. Raises ValueError when they are not there."""
    return between(before, BEGIN, END, text(results))
