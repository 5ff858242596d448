"""What AWS's settings are read from: variables and files. A change in any of them shows in a value.

fsspec returns a filesystem again for equal options. With this value among them it does so only while the
settings that the options leave open are the same: endpoint, credentials, region, certificates.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

_READ = ("AWS_", "BOTO_CONFIG", "HOME", "USERPROFILE")
FILES = (("AWS_CONFIG_FILE", "~/.aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"))
RECENT = 4

Surroundings = tuple[object, ...]


class _Variables(NamedTuple):
    """The environment at some moment, what of it is read, as a digest, and the files that it names."""

    all: Mapping[Any, Any]
    digest: bytes
    files: tuple[str, ...]


_known = _Variables({}, b"", ())
_recent: deque[Surroundings] = deque(maxlen=RECENT)


def surroundings() -> Surroundings:
    """A value that is another one when a variable or a file was changed. Nothing secret can be read from it.

    Looked at whenever a filesystem is asked for: some microseconds.
    """
    global _known
    # As the system has it: to decode every variable would take some fifty microseconds.
    now = getattr(os.environ, "_data", os.environ)
    known = _known
    if known.all != now:
        known = _known = _read(now.copy())
    return (known.digest, *map(_state, known.files))


def is_recent(value: Surroundings) -> bool:
    """Whether `value` is one of the last few that `remember` was told."""
    return value in list(_recent)


def remember(value: Surroundings) -> None:
    """Note that a filesystem was made in these surroundings."""
    if not is_recent(value):
        _recent.append(value)


def _read(variables: Mapping[Any, Any]) -> _Variables:
    read = sorted(item for item in os.environ.items() if item[0].startswith(_READ))
    digest = hashlib.sha256(repr(read).encode("utf-8", "surrogatepass")).digest()
    names = (os.environ.get(name) or usual for name, usual in FILES)
    return _Variables(
        variables, digest, tuple(os.path.expanduser(os.path.expandvars(name)) for name in names)
    )


def _state(path: str) -> tuple[int, int, int] | None:
    """What changes when a file is written; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class SurroundingsOfNow:
    """An attribute of a class: `surroundings` of the moment in which it is read."""

    def __get__(self, instance: object, owner: type | None = None) -> Surroundings:
        return surroundings()
