"""What the objects of a log, a pointer and a table hold: one JSON document each, which says what it is."""

from __future__ import annotations

import json
import secrets
from typing import Any

from ..filesystem import GuardedS3FileSystem

ATTRIBUTES: dict[str, Any] = {"ContentType": "application/json"}


def new_token() -> str:
    """What tells a writer's own record from that of another one, whatever else they have in common."""
    return secrets.token_hex(16)


def record(kind: str, **fields: Any) -> bytes:
    """A document of this `kind`. TypeError and ValueError for what JSON cannot hold."""
    document = {"kind": kind, "format": 1, **fields}
    try:
        return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    except TypeError as error:
        raise TypeError(f"{error}: pass what JSON can hold, or put it into an object and name that") from None
    except ValueError as error:
        raise ValueError(f"{error}: JSON has no NaN, no infinity and no circles") from None
    except RecursionError:
        raise ValueError("lists and dicts are nested too deeply for JSON") from None


def check_keys(name: str, value: Any) -> None:
    """Raise ValueError where keys of a dict in the argument `name` are one key in JSON, which has text only.

    One of the values would be lost.
    """
    seen: set[int] = set()  # of lists and dicts that were begun: a circle is `record`'s to find
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if not isinstance(item, (dict, list, tuple)) or id(item) in seen:
            continue
        seen.add(id(item))
        if not isinstance(item, dict):
            waiting.extend(item)
            continue
        waiting.extend(item.values())
        if all(type(key) is str for key in item):
            continue
        first: dict[str, Any] = {}
        for key in item:
            if not isinstance(key, (str, int, float)) and key is not None:
                continue  # `record` says that there is no such key
            text = key if isinstance(key, str) else json.dumps(key)
            other = first.setdefault(text, key)
            if other is not key:
                raise ValueError(
                    f"{name} has a dict with the keys {other!r} and {key!r}, which are one key in JSON: one "
                    "of their values would be lost"
                )


def parsed(kind: str, path: str, body: bytes) -> dict[str, Any]:
    """The fields of a document. ValueError for one of another kind, or of a later release."""
    try:
        found = json.loads(body)
        if found["kind"] == kind and found["format"] == 1:
            return dict(found)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise ValueError(f"{path} is not a {kind} that this release can read")


def name_of(fs: GuardedS3FileSystem, path: Any) -> str:
    """The name "bucket/key" of a path. TypeError and ValueError for what cannot be one."""
    if not isinstance(fs, GuardedS3FileSystem):
        raise TypeError(f"fs must be a GuardedS3FileSystem, not {type(fs).__name__}")
    bucket, key, version = fs.split_path(path)
    key = key.rstrip("/")
    if not bucket or not key or version is not None:
        raise ValueError(f"path must be a name in a bucket, such as 'my-bucket/table', not {path!r}")
    return f"{bucket}/{key}"
