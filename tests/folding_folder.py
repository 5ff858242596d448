"""A folder as macOS has it: names are one that differ in case only, or in how an accent is written."""

import builtins
import functools
import io
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ONE_PATH = "open stat lstat mkdir listdir scandir unlink remove rmdir access truncate readlink chmod utime"
TWO_PATHS = "rename replace link symlink"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class FoldingFolder:
    """While the test runs, every call of the system finds what is in `root` by each of its names."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root = str(root)
        self._listdir = os.listdir
        for paths, names in ((1, ONE_PATH), (2, TWO_PATHS)):
            for name in names.split():
                monkeypatch.setattr(os, name, self._finding(getattr(os, name), paths))
        opening = self._finding(builtins.open, 1)
        monkeypatch.setattr(builtins, "open", opening)
        monkeypatch.setattr(io, "open", opening)

    def _finding(self, call: Callable[..., Any], paths: int) -> Callable[..., Any]:
        @functools.wraps(call)
        def find(*arguments: Any, **keywords: Any) -> Any:
            return call(*map(self._found, arguments[:paths]), *arguments[paths:], **keywords)

        return find

    def _found(self, path: Any) -> Any:
        """The name by which the real folder has `path`."""
        if not isinstance(path, (str, os.PathLike)):
            return path
        text = os.fspath(path)
        if not isinstance(text, str) or not text.startswith(self._root + os.sep):
            return path
        found = self._root
        for name in text[len(self._root) + 1 :].split(os.sep):
            try:
                there = self._listdir(found)
            except OSError:
                there = []
            found = os.path.join(found, next((e for e in there if _folded(e) == _folded(name)), name))
        return found
