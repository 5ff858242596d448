"""The README says what is true: its examples run as printed and the option tables are the code's."""

from __future__ import annotations

import dataclasses
import re

from fsspec_guarded_s3.options import Options
from tests import documents, options_table
from tests.servers import MotoServer
from tests.stores import new_store

README = (documents.ROOT / "README.md").read_text()
OPTIONS = options_table.DOCUMENT.read_text()


def test_examples_run_as_printed(moto: MotoServer) -> None:
    """All Python blocks run in order in one namespace, only endpoint and bucket are the test server's."""
    store = new_store(moto)
    assert len(documents.python_blocks(README)) == 4
    documents.run(README, store)
    written = {"run-17.lock": b"mine", "commits/00000001.json": b"[]\n", "log.txt": b"one line\n"}
    for key, content in (written | {"a": b"1", "b": b"2"}).items():
        assert store.fs.cat_file(store.path(key)) == content


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
