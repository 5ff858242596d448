"""The README says what is true: its examples run as printed and its option table is the code's."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import fsspec

from fsspec_guarded_s3._options import Options
from tests.servers import MotoServer

README = (Path(__file__).parent.parent / "README.md").read_text()


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


def test_every_option_is_in_the_table_with_its_default() -> None:
    """No option is undocumented, none is invented, and numeric defaults are the code's."""
    table = README.split("## Options")[1].split("##")[0]
    documented: dict[str, str] = {}
    for names, default in re.findall(r"^\| (`.*?`) \| (.*?) \|", table, re.M):
        options = re.findall(r"`(\w+)`", names)
        defaults = default.split(", ") if default.count(",") + 1 == len(options) else [default] * len(options)
        documented.update(zip(options, defaults, strict=True))
    fields = {field.name: field.default for field in dataclasses.fields(Options)}
    assert set(documented) == set(fields)
    for name, default in fields.items():
        if isinstance(default, bool):
            assert documented[name] == str(default), name
        elif isinstance(default, (int, float)):
            text = documented[name]
            value = float(text.removesuffix(" MiB")) * (2**20 if text.endswith("MiB") else 1)
            assert value == default, name
