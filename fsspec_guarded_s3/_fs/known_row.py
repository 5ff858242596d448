"""What `info` tells of an object that a listing has just shown; the rest is asked for when looked at."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from typing import Any

from .._values.annotations import Self
from .rows import Info, Row

_NAMES = Info.__required_keys__ | Info.__optional_keys__  # that a row of an object may have


class KnownRow(dict[str, Any]):
    """The row of an object as its listing told of it: name, size, type, ETag, time and storage class.

    An `info` has more: content type, metadata, version and so on. The first look at anything of that kind, or
    at the row as a whole (its length, its items, a comparison, a pickle), calls `ask` once, which returns the
    row as HeadObject tells it, and raises as `info` does. So it has the same keys as any `info`. What no row
    of an object has, such as the `mode` and `uid` that UPath and FUSE look for, is missing without a request.
    What its holder changes stays changed. To set a name asks for nothing, and the answer does not replace it.
    A name is removed from the whole row.
    """

    __slots__ = ("_ask", "_set")

    def __init__(self, row: Row, ask: Callable[[], Row]) -> None:
        super().__init__(row)
        self._ask: Callable[[], Row] | None = ask
        self._set: Row = {}

    def _complete(self) -> None:
        if self._ask is not None:
            super().update(self._ask() | self._set)
            self._ask = None

    def __missing__(self, name: str) -> Any:
        if self._ask is None or name not in _NAMES:
            raise KeyError(name)
        self._complete()
        return self[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a name, or `default`."""
        return super().get(name, default) if name in self else default

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name) and name in _NAMES:
            self._complete()
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        self._complete()
        return super().__iter__()

    def __bool__(self) -> bool:
        return super().__len__() > 0  # `len` asks, and nothing has fewer names than it has now

    def __len__(self) -> int:
        self._complete()
        return super().__len__()

    def keys(self) -> KeysView[str]:  # type: ignore[override]  # dict's own is a class
        """All names."""
        self._complete()
        return super().keys()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """All values."""
        self._complete()
        return super().values()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """All names with their values."""
        self._complete()
        return super().items()

    def __reversed__(self) -> Iterator[str]:
        self._complete()
        return super().__reversed__()

    def __setitem__(self, name: str, value: Any) -> None:
        self._set[name] = value
        super().__setitem__(name, value)

    def update(self, *rows: Any, **names: Any) -> None:
        """Set all names of a mapping or of pairs, and those of `names`."""
        changes = dict(*rows, **names)
        self._set.update(changes)
        super().update(changes)

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]  # dict's own is overloaded
        self.update(other)
        return self

    def setdefault(self, name: str, default: Any = None) -> Any:
        """The value of a name, which is set to `default` if the whole row does not have it."""
        if name not in self:
            self[name] = default
        return self[name]

    def __delitem__(self, name: str) -> None:
        self._complete()
        super().__delitem__(name)

    def pop(self, name: str, *default: Any) -> Any:
        """Remove a name of the whole row; its value, or `default`."""
        self._complete()
        return super().pop(name, *default)

    def popitem(self) -> tuple[str, Any]:
        """Remove the last name of the whole row; it and its value."""
        self._complete()
        return super().popitem()

    def clear(self) -> None:
        """Remove all names."""
        self._ask = None
        super().clear()

    def copy(self) -> Row:
        """A plain dict of it."""
        return dict(self)

    def __eq__(self, other: object) -> bool:
        self._complete()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __repr__(self) -> str:
        self._complete()
        return super().__repr__()

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)
