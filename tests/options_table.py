"""Writes the table of s3fs's options into docs/options.md: `python -m tests.options_table`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from fsspec_guarded_s3._s3fs_options import CLIENT, CONFIG, OPTIONS, RETRIES, S3, Rule

DOCUMENT = Path(__file__).parent.parent / "docs" / "options.md"
BEGIN, END = "<!-- s3fs:begin -->\n", "<!-- s3fs:end -->"
GROUPS: dict[str, Mapping[str, Rule]] = {
    "": OPTIONS,
    "client_kwargs": CLIENT,
    "config_kwargs": CONFIG,
    "config_kwargs['s3']": S3,
    "config_kwargs['retries']": RETRIES,
}


def rows() -> Iterator[str]:
    """The table, line by line."""
    yield "| s3fs | here | where it is refused |"
    yield "|---|---|---|"
    for group, rules in GROUPS.items():
        for name, rule in rules.items():
            shown = f"{group}[{name!r}]" if group else name
            yield f"| `{shown}` | {rule.meaning or 'refused'} | {rule.instead} |"


def document() -> str:
    """The document as it should be."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    return before + BEGIN + "\n".join(rows()) + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    DOCUMENT.write_text(document())
