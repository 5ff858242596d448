"""The table of what passed, as it is printed and as docs/s3fs.md has it."""

from __future__ import annotations

from collections.abc import Sequence

from tests.documents import DOCS, between
from tests.outside.run import Result
from tests.outside.suites import SUITES

DOCUMENT = DOCS / "s3fs.md"
BEGIN, END = "<!-- outside:begin -->", "<!-- outside:end -->"
HEAD = ("tests of", "passed", "failed", "a guard", "on purpose", "inside of s3fs", "skipped", "of portable")


def rows(results: Sequence[Result]) -> list[str]:
    """The lines of the table, as Markdown."""
    releases = {suite.name: f"{suite.name} {suite.version}" for suite in SUITES}
    lines = [f"| {' | '.join(HEAD)} |", "|---|" + "---:|" * (len(HEAD) - 1)]
    for one in results:
        counts = (one.passed, one.failed, one.guards, one.on_purpose, one.internals, one.skipped)
        share = f"{100 * len(one.passed) / one.portable:.1f} %" if one.portable else "-"
        cells = [releases.get(one.suite, one.suite), *(str(len(tests)) for tests in counts), share]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def written(results: Sequence[Result]) -> str:
    """docs/s3fs.md with the table of `results`."""
    return between(DOCUMENT.read_text(), BEGIN, END, "\n".join(rows(results)))
