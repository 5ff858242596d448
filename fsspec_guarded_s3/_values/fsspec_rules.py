"""fsspec's rules for paths and patterns, written anew: nobody promises the functions that it has for them.

`tests/values/test_fsspec_rules.py` holds each against the one of fsspec, where that is there.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

from . import local_files

_PIECES = re.compile(r"\[(!?)(\]?[^\]]*)\]|(\*+)|(\?)|(.)", re.DOTALL)


def text_of(path: Any) -> Any:
    """The text of a path-like object, or of one with a `path`; anything else is returned as it is."""
    if isinstance(path, str):
        return path
    if hasattr(path, "__fspath__"):
        return path.__fspath__()
    return getattr(path, "path", path)


def is_file_like(thing: Any) -> bool:
    """Whether it is an open file rather than the path of one."""
    return all(hasattr(thing, name) for name in ("read", "close", "tell"))


def token_of(*values: Any) -> str:
    """The same text in each process for values whose `str` is the same: 32 hexadecimal digits."""
    return hashlib.sha256(str(values).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def absolute(path: str) -> str:
    """A local path with slashes, from the root on; `~` is expanded, and a slash at the end stays."""
    if local_files.WINDOWS:
        return _absolute_on_windows(path)
    if path.startswith("~"):
        return os.path.expanduser(path)
    if path.startswith("/"):
        return path
    return f"{os.getcwd()}/{'' if path == '.' else path.removeprefix('./')}"


def _absolute_on_windows(path: str) -> str:
    """Drives (`c:/`, and `/c:/` as URLs have it), shares (`//server/share`), and what is relative to them."""
    if path.startswith("~"):
        path = os.path.expanduser(path)
    path = path.replace("\\", "/")
    if path[:1] == "/" and path[2:3] == ":":
        path = path[1:]
    if path[1:2] == ":":
        return f"{path}/" if len(path) == 2 else path
    if path.startswith("//"):
        return path
    here = os.getcwd().replace("\\", "/")
    if path.startswith("/"):
        return here[:2] + path if here[1:2] == ":" else path
    return f"{here}/{'' if path == '.' else path.removeprefix('./')}"


def pattern_of(glob: str) -> re.Pattern[str]:
    """The regular expression for `*`, `?`, `[...]`, and `**` for any number of directories.

    ValueError where `**` has something beside it.
    """
    segments = glob.split("/")
    found = [_segment(segment, is_last=False) for segment in segments[:-1]]
    return re.compile(f"(?s:{''.join(found)}{_segment(segments[-1], is_last=True)})\\Z")


def _segment(segment: str, *, is_last: bool) -> str:
    """One segment of a pattern with the slash behind it. A star alone stands for a name that is not empty."""
    if segment == "**":
        return ".*" if is_last else "(?:.+/)?"
    if "**" in segment:
        raise ValueError("Invalid pattern: '**' can only be an entire path component")
    within = "[^/]+" if segment == "*" else _PIECES.sub(_piece, segment)
    return within if is_last else f"{within}/"


def _piece(found: re.Match[str]) -> str:
    negated, members, stars, one, letter = found.groups()
    if members is not None:
        return _members(members, bool(negated)) if members else re.escape(found[0])
    if stars:
        return "[^/]*"
    return "[^/]" if one else re.escape(letter)


def _members(members: str, negated: bool) -> str:
    """What `[...]` stands for: letters and ranges of them; a range from back to front has none."""
    ranges, position = [], 0
    while position < len(members):
        first = members[position]
        if members[position + 1 : position + 2] == "-" and position + 2 < len(members):
            last = members[position + 2]
            position += 3
        else:
            last = first
            position += 1
        if first <= last:
            ranges.append(f"{re.escape(first)}-{re.escape(last)}")
    if not ranges:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{''.join(ranges)}]"
