"""The tables of s3fs's options and AWS's settings in docs/options.md: `python -m tests.options_table`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from fsspec_guarded_s3._s3fs_options import CLIENT, CONFIG, OPTIONS, RETRIES, S3, Rule
from fsspec_guarded_s3._settings import SETTINGS

DOCUMENT = Path(__file__).parent.parent / "docs" / "options.md"
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


def settings() -> Iterator[str]:
    """The table of AWS's settings, line by line."""
    yield "| variable | profile | here |"
    yield "|---|---|---|"
    for setting in SETTINGS:
        variables = ", ".join(f"`{name}`" for name in setting.variable.split(", ") if name)
        said = (
            f"{setting.meaning}, and said in the log: {setting.instead}" if setting.name else setting.meaning
        )
        yield f"| {variables} | {setting.place} | {said} |"


def document() -> str:
    """The document as it should be."""
    text = DOCUMENT.read_text()
    for name, lines in (("s3fs", rows()), ("settings", settings())):
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        before, _, rest = text.partition(begin)
        text = before + begin + "\n".join(lines) + "\n" + end + rest.partition(end)[2]
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(document())
