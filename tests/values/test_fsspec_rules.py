"""Our words for fsspec's rules say what its functions say, which nobody promises."""

import os
import re
from pathlib import Path
from typing import Any

import fsspec.implementations.local
import fsspec.utils
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsspec_guarded_s3._values import local_files
from fsspec_guarded_s3._values.fsspec_rules import absolute, is_file_like, pattern_of, text_of, token_of

TRANSLATE = getattr(fsspec.utils, "glob_translate", None)
ABSOLUTE = getattr(fsspec.implementations.local, "make_path_posix", None)
STRINGIFY = getattr(fsspec.utils, "stringify_path", None)


@pytest.mark.skipif(TRANSLATE is None, reason="fsspec has it no longer")
@given(
    st.text("ab-/*?[]!^\\.&~|{", max_size=9),
    st.lists(st.text("ab-/*?[]!^\\.&~|{\n", max_size=6), min_size=1, max_size=30),
)
def test_patterns_match_what_fsspecs_do(pattern: str, names: list[str]) -> None:
    assert TRANSLATE is not None
    try:
        theirs = re.compile(TRANSLATE(pattern))
    except ValueError as error:
        with pytest.raises(ValueError, match="component"):
            pattern_of(pattern)
        assert "component" in str(error)
        return
    ours = pattern_of(pattern)
    for name in [*names, pattern, pattern.replace("*", "").replace("?", "a")]:
        assert bool(ours.match(name)) == bool(theirs.match(name)), (
            pattern,
            name,
            ours.pattern,
            theirs.pattern,
        )


@pytest.mark.skipif(ABSOLUTE is None or os.sep != "/", reason="fsspec has it no longer, or another system")
@pytest.mark.parametrize(
    "path", ["", ".", "./", "./a", "a", "a/", "/a", "/", "~", "~/a", "../a", "a b", "./.", "//a"]
)
def test_a_local_path_is_made_absolute_as_fsspec_does(path: str) -> None:
    assert ABSOLUTE is not None
    assert absolute(path) == ABSOLUTE(path)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("c:", "c:/"),
        ("c:\\", "c:/"),
        ("/c:/a", "c:/a"),
        ("c:\\a\\b", "c:/a/b"),
        ("c:x", "c:x"),
        ("\\\\server\\share\\a", "//server/share/a"),
        ("//server/share", "//server/share"),
        ("\\a", "D:/a"),
        ("a\\b", "D:/here/a/b"),
        (".\\a", "D:/here/a"),
        (".", "D:/here/"),
        ("a/", "D:/here/a/"),
    ],
)
def test_on_windows(path: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_files, "WINDOWS", True)
    monkeypatch.setattr(os, "getcwd", lambda: "D:\\here")
    assert absolute(path) == wanted


class WithPath:
    path = "bucket/a"


@pytest.mark.skipif(STRINGIFY is None, reason="fsspec has it no longer")
@pytest.mark.parametrize("thing", ["a", Path("a/b"), WithPath(), b"a", 3, None])
def test_the_text_of_a_path_is_that_of_fsspec(thing: Any) -> None:
    assert STRINGIFY is not None
    assert text_of(thing) == STRINGIFY(thing)


def test_an_open_file_is_no_path(tmp_path: Path) -> None:
    with open(tmp_path / "a", "wb") as file:
        assert is_file_like(file)
    assert not is_file_like(tmp_path / "a")
    assert not is_file_like("a")


def test_tokens_differ_where_values_do() -> None:
    assert token_of("a", 1) == token_of("a", 1) != token_of("a", 2)
    assert len(token_of("\udc80")) == 32
