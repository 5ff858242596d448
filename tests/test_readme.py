"""The README says what is true: its examples run as printed and the option tables are the code's."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import fsspec

from fsspec_guarded_s3._options import Options
from tests import options_table
from tests.servers import MotoServer

README = (Path(__file__).parent.parent / "README.md").read_text()
OPTIONS = options_table.DOCUMENT.read_text()


def test_examples_run_as_printed(moto: MotoServer) -> None:
    """All Python blocks run in order in one namespace, only the endpoint is the test server's."""
    fs = fsspec.filesystem("gs3", key="...", secret="...", endpoint_url=moto.url)
    fs.mkdir("my-bucket")
    space: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    for block in blocks:
        exec(block.replace("http://127.0.0.1:9000", moto.url), space)
    assert len(blocks) == 4
    assert fs.cat_file("my-bucket/run-17.lock") == b"mine"
    assert fs.cat_file("my-bucket/commits/00000001.json") == b"[]\n"
    assert fs.cat(["my-bucket/log.txt", "my-bucket/a", "my-bucket/b"]) == {
        "my-bucket/log.txt": b"one line\n",
        "my-bucket/a": b"1",
        "my-bucket/b": b"2",
    }


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


def test_options_of_the_readme_are_the_codes() -> None:
    """None is invented, numeric defaults are the code's, and the document with all of them is named."""
    section = README.split("## Options")[1].split("\n## ")[0]
    documented = rows(section)
    assert len(documented) > 10
    assert set(documented) <= set(FIELDS)
    assert_defaults(documented)
    assert "(docs/options.md)" in section


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


def test_the_table_of_s3fss_names_is_the_codes() -> None:
    """Written by `python -m tests.options_table`."""
    assert options_table.document() == OPTIONS
