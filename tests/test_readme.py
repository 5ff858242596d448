"""The README's examples run as printed, and the table of options is the code's."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from fsspec_guarded_s3.options import Options
from tests import documents, options_table

README = (documents.ROOT / "README.md").read_text()
OPTIONS = options_table.DOCUMENT.read_text()


def test_examples_run_as_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All Python blocks run in order in one namespace, with the store that the first one starts."""
    pytest.importorskip("pandas")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):  # moto sets them, if they are not there
        monkeypatch.setenv(name, "any")
    space: dict[str, Any] = {}
    blocks = documents.python_blocks(README)
    assert len(blocks) == 2
    try:
        for block in blocks:
            exec(compile(block, "README.md", "exec"), space)
        assert (space["total"], space["first"], space["second"]) == (6, True, False)
        read = {key: space["fs"].cat_file(f"my-bucket/{key}") for key in ("lock", "run-17.csv", "a", "b")}
        assert read == {"lock": b"mine", "run-17.csv": b"n\n1\n2\n3\n", "a": b"1", "b": b"2"}
    finally:
        space["store"].stop()


def rows(table: str) -> dict[str, str]:
    """The options of a table in Markdown, with their defaults."""
    documented: dict[str, str] = {}
    for names, default in re.findall(r"^\| (`.*?`) \| (.*?) \|", table, re.M):
        options = re.findall(r"`(\w+)`", names)
        defaults = default.split(", ") if default.count(",") + 1 == len(options) else [default] * len(options)
        documented.update(zip(options, defaults, strict=True))
    return documented


FIELDS = {field.name: field for field in dataclasses.fields(Options)}
OWN = OPTIONS.split("## Our own")[1].split("\n## ")[0]


def assert_defaults(documented: dict[str, str]) -> None:
    for name, text in documented.items():
        default = FIELDS[name].default
        if isinstance(default, bool):
            assert text == str(default), name
        elif isinstance(default, (int, float)):
            value = float(text.removesuffix(" MiB")) * (2**20 if text.endswith("MiB") else 1)
            assert value == default, name


def test_every_option_is_in_the_document_with_its_default() -> None:
    """No option is undocumented, none is invented, and defaults are the code's."""
    documented = rows(OWN)
    assert set(documented) == set(FIELDS)
    assert_defaults(documented)
    texts = {name: field.default for name, field in FIELDS.items() if type(field.default) is str}
    assert {name: documented[name] for name in texts} == texts


def test_every_number_has_its_unit() -> None:
    units = dict(re.findall(r"^\| `(\w+)` \| .*? \| (.*?) \|", OWN, re.M))
    numbers = {
        name for name, field in FIELDS.items() if str(field.type).removesuffix(" | None") in ("int", "float")
    }
    assert {name for name, unit in units.items() if unit} == numbers
    assert {units[name] for name in numbers if name.endswith(("_timeout", "_deadline", "_window"))} == {"s"}
