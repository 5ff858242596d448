"""fsspec's mapper over this filesystem: a key that cannot be read is not one that is not there.

`FSMap.getitems(on_error="omit")` leaves out whatever failed. zarr 2 reads chunks so, and gives fill values
for those that it does not get: a 403 or a time-out would become wrong data. `fsspec.get_mapper` makes an
`FSMap` without asking the filesystem, so the method itself is told of ours; for all others it is what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from fsspec.mapping import FSMap

Getitems = Callable[..., dict[str, Any]]


def tell_failures(kind: type) -> None:
    """Let mappers over filesystems of `kind` raise what keeps a key from being read."""
    if not hasattr(FSMap.getitems, "tells_failures"):
        FSMap.getitems = _telling(FSMap.getitems, kind)


def _telling(getitems: Getitems, kind: type) -> Getitems:
    @wraps(getitems)
    def found(self: FSMap, keys: Iterable[str], on_error: str = "raise") -> dict[str, Any]:
        if on_error != "omit" or not isinstance(self.fs, kind):
            return getitems(self, keys, on_error)
        rows = getitems(self, keys, "return")
        for value in rows.values():
            if isinstance(value, BaseException) and not isinstance(value, KeyError):
                raise value
        return {key: value for key, value in rows.items() if not isinstance(value, KeyError)}

    found.tells_failures = True  # type: ignore[attr-defined]
    return found
