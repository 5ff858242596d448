"""Runs the Python of a document as printed."""

import re
from pathlib import Path
from typing import Any

from tests.stores import Store

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ENDPOINT = "http://127.0.0.1:9000"  # of every example


def python_blocks(text: str) -> list[str]:
    """What is fenced as Python, in order."""
    return re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M)


def run(text: str, store: Store) -> dict[str, Any]:
    """Run all blocks in order in one namespace; only the endpoint and the bucket are the test's."""
    space: dict[str, Any] = {}
    for block in python_blocks(text):
        code = block.replace(ENDPOINT, store.options["endpoint_url"]).replace("my-bucket", store.bucket)
        exec(compile(code, "document", "exec"), space)
    return space
