"""mypy finds a misspelt attribute wherever one is read: of `self`, and of what `self` holds.

All are misspelt at once, in a copy of the package. A class that inherits from a library without type
information would hide each of its own: `tests/stubs` says what such a library has.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fsspec_guarded_s3

PACKAGE = Path(fsspec_guarded_s3.__file__).parent
ROOT = PACKAGE.parent
Line = tuple[str, int]

# What objects of libraries that have no types are held as; and `fs` of a reader, which may be any filesystem.
UNTYPED = {"_botocore", "_sock", "_compressor", "_thread", "_credentials", "_loader", "_provider", "fs"}


def of_self(node: ast.Attribute) -> bool:
    """`self.name`, where it is read."""
    return isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name) and node.value.id == "self"


def of_what_self_holds(node: ast.Attribute) -> bool:
    """`self.held.name`."""
    return isinstance(node.value, ast.Attribute) and of_self(node.value) and node.value.attr not in UNTYPED


@pytest.mark.parametrize("kind", [of_self, of_what_self_holds])
def test_a_misspelt_attribute_is_an_error(
    kind: Callable[[ast.Attribute], bool], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    pytest.importorskip("mypy")
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "stubs", tmp_path / "tests" / "stubs")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    modules = sorted((tmp_path / PACKAGE.name).rglob("*.py"))
    misspelt = {
        (str(module.relative_to(tmp_path)), line) for module in modules for line in misspell(module, kind)
    }
    assert len(misspelt) > 500
    kept = getattr(request.config, "cache", None)  # not with -p no:cacheprovider
    cache = kept.mkdir(f"mypy_{kind.__name__}") if kept else tmp_path / "cache"
    assert misspelt - errors(tmp_path, cache) == set()


def misspell(module: Path, kind: Callable[[ast.Attribute], bool]) -> Iterator[int]:
    """Change the names in a module; the numbers of the lines where that was done."""
    text = module.read_text(encoding="utf-8")
    lines = text.split("\n")
    nodes = [node for node in seen(ast.parse(text)) if isinstance(node, ast.Attribute) and kind(node)]
    for node in sorted(nodes, key=lambda node: (node.end_lineno, node.end_col_offset), reverse=True):
        at = (node.end_lineno or 0) - 1
        if not is_checked(lines, at):
            continue
        line = lines[at].encode()  # columns count bytes
        lines[at] = (line[: node.end_col_offset] + b"_misspelt" + line[node.end_col_offset or 0 :]).decode()
        yield at + 1
    module.write_text("\n".join(lines), encoding="utf-8")


def seen(node: ast.AST) -> Iterator[ast.AST]:
    """`node` and what is in it, but for what is hidden from type checkers."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "not TYPE_CHECKING"):
            yield from seen(child)


def is_checked(lines: list[str], at: int) -> bool:
    """Whether mypy looks at a line: not where it is told to pass it, or the line is for another system."""
    above = "\n".join(lines[max(0, at - 3) : at])
    of_another_system = 'sys.platform == "darwin"' in above
    return "type: ignore[attr-defined" not in lines[at] and not of_another_system


def errors(root: Path, cache: Path) -> set[Line]:
    """Where mypy finds an attribute that is not there."""
    command = [sys.executable, "-m", "mypy", "--platform", "linux", "--cache-dir", str(cache)]
    environment = os.environ | {"MYPYPATH": "", "PYTHONPATH": "", "NO_COLOR": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment, timeout=500)
    assert ran.returncode == 1, ran.stdout[-500:] + ran.stderr[-500:]
    found = re.findall(r"^(.+\.py):(\d+): error: .*_misspelt", ran.stdout, re.MULTILINE)
    return {(str(Path(name)), int(line)) for name, line in found}
