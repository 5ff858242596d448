"""Names of `typing` that the oldest Python has not. Annotations of the public classes can be read with them.

`typing.get_type_hints` is what makes forms, command lines and checks at run time of a signature. Where a
Python does not have a name, what stands for it there says less.
"""

from __future__ import annotations

import collections.abc
import typing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self, Unpack
else:

    class _Anything:
        def __class_getitem__(cls, item: object) -> object:
            return Any

    Buffer = getattr(collections.abc, "Buffer", bytes | bytearray | memoryview)  # from 3.12 on
    Self = getattr(typing, "Self", Any)  # from 3.11 on
    Unpack = getattr(typing, "Unpack", _Anything)  # from 3.11 on


class Tensor(typing.Protocol):
    """A tensor of torch, which is no buffer."""

    def data_ptr(self) -> int: ...


Writable = Buffer | Tensor  # memory that is read into

__all__ = ["Buffer", "Self", "Tensor", "Unpack", "Writable"]
