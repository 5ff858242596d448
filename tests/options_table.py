"""What is written from `Options` and its neighbours: `python -m tests.options_table`.

The tables in docs/options.md, and the signature and the docstring of `GuardedS3FileSystem`.
"""

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._auth.settings import SETTINGS
from fsspec_guarded_s3._values.attributes import NONE
from fsspec_guarded_s3._values.s3fs_options import CLIENT, CONFIG, OPTIONS, RETRIES, S3, Rule
from fsspec_guarded_s3.options import MIB, About, Options

DOCUMENT = Path(__file__).parent.parent / "docs" / "options.md"
FACADE = Path(inspect.getfile(GuardedS3FileSystem))
FIELDS = dataclasses.fields(Options)
GROUPS: dict[str, Mapping[str, Rule]] = {
    "": OPTIONS,
    "client_kwargs": CLIENT,
    "config_kwargs": CONFIG,
    "config_kwargs['s3']": S3,
    "config_kwargs['retries']": RETRIES,
}
UNITS = {"s": "seconds", "bytes": "bytes", "bytes/s": "bytes per second"}  # those that are said


def about(field: "dataclasses.Field[Any]") -> About:
    found: About = field.metadata["about"]
    return found


def own() -> Iterator[str]:
    """The table of our own options, line by line."""
    yield "| option | default | unit | meaning |"
    yield "|---|---|---|---|"
    for field in FIELDS:
        said = about(field)
        meaning = f"{said.line}; {said.more}" if said.more else said.line
        yield f"| `{field.name}` | {_shown_default(field)} | {said.unit} | {meaning} |"


def _shown_default(field: "dataclasses.Field[Any]") -> str:
    value = field.default
    if value is None or value == NONE:
        return about(field).unset or "none"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value // MIB} MiB" if value >= MIB else f"{value:g}"


def parameters() -> Iterator[str]:
    """The parameters of `GuardedS3FileSystem.__init__`, line by line."""
    for field in FIELDS:
        kind = about(field).annotation or str(field.type).replace("'", '"')
        yield f"        {field.name}: {kind} = {_written_default(field.default)},"


def _written_default(value: Any) -> str:
    if value is None or value == NONE:
        return "None"
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value // MIB} * MIB" if isinstance(value, int) and value >= MIB else repr(value)


def sentences() -> Iterator[str]:
    """The options as the docstring has them, line by line."""
    for field in FIELDS:
        said = about(field)
        unit = f", in {UNITS[said.unit]}" if said.unit in UNITS else ""
        unset = f" (default: {said.unset})" if said.unset else ""
        text = f"- {field.name}{unit}: {said.line}{unset}"
        yield from textwrap.wrap(text, 110, initial_indent=" " * 4, subsequent_indent=" " * 6)


def rows() -> Iterator[str]:
    """The table of s3fs's names, line by line."""
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
            f"{setting.meaning}; a warning in the log says: {setting.instead}"
            if setting.name
            else setting.meaning
        )
        yield f"| {variables} | {setting.place} | {said} |"


def document() -> str:
    """The document as it should be."""
    text = DOCUMENT.read_text()
    for name, lines in (("own", own()), ("s3fs", rows()), ("settings", settings())):
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        text = _replaced(text, begin, lines, end)
    return text


def facade() -> str:
    """The module of the filesystem as it should be."""
    text = FACADE.read_text()
    text = _replaced(text, "    Storage options:\n\n", sentences(), '    """\n')
    return _replaced(text, "        self,\n        *,\n", parameters(), "        **others: ")


def _replaced(text: str, begin: str, lines: Iterator[str], end: str) -> str:
    pattern = re.compile(f"({re.escape(begin)}).*?({re.escape(end)})", re.S)
    assert pattern.search(text), begin
    return pattern.sub(lambda found: found[1] + "\n".join(lines) + "\n" + found[2], text, count=1)


if __name__ == "__main__":
    DOCUMENT.write_text(document())
    FACADE.write_text(facade())
