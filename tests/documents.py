"""Runs the Python of a document as printed.

`python tests/documents.py README.md` runs that of a document that needs nothing else, in any environment.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.stores import Store

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ENDPOINT = "http://127.0.0.1:9000"  # of every example


def python_blocks(text: str) -> list[str]:
    """What is fenced as Python, in order."""
    return re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M)


def between(text: str, begin: str, end: str, new: str) -> str:
    """`text` with what is between two marks, each on a line of its own, replaced. ValueError without them."""
    before, found, rest = text.partition(begin)
    _, closed, behind = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"there is no {begin} and {end}")
    return f"{before}{begin}\n{new}\n{end}{behind}"


def run(text: str, store: Store) -> dict[str, Any]:
    """Run all blocks in order in one namespace; only the endpoint and the bucket are the test's."""
    space: dict[str, Any] = {}
    for block in python_blocks(text):
        code = block.replace(ENDPOINT, store.options["endpoint_url"]).replace("my-bucket", store.bucket)
        exec(compile(code, "document", "exec"), space)
    return space


if __name__ == "__main__":
    names: dict[str, Any] = {}
    for block in python_blocks(Path(sys.argv[1]).read_text()):
        exec(compile(block, sys.argv[1], "exec"), names)
    print(f"{sys.argv[1]}: its lines ran")
