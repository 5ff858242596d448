"""What `info` tells of an object that a listing has just shown; the rest is asked for when looked at."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from typing import Any

from .rows import Row


class KnownRow(dict[str, Any]):
    """The row of an object as its listing told of it: name, size, type, ETag, time and storage class.

    An `info` has more: content type, metadata, version and so on. The first look at anything of that kind, or
    at the row as a whole (its length, its items, a comparison, a pickle), calls `ask` once, which returns the
    row as HeadObject tells it, and raises as `info` does. So it has the same keys as any `info`.
    """

    __slots__ = ("_ask",)

    def __init__(self, row: Row, ask: Callable[[], Row]) -> None:
        super().__init__(row)
        self._ask: Callable[[], Row] | None = ask

    def _complete(self) -> None:
        if self._ask is not None:
            self.update(self._ask())
            self._ask = None

    def __missing__(self, name: str) -> Any:
        if self._ask is None:
            raise KeyError(name)
        self._complete()
        return self[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a name, or `default`."""
        return super().get(name, default) if name in self else default

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name):
            self._complete()
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        self._complete()
        return super().__iter__()

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
