"""Memory of the caller that is read into: arrays of numpy, tensors of torch, buffers of pyarrow, bytearrays.

What cannot be filled is refused before anything is asked for, in words that name the argument. Nothing here
imports numpy or torch: whoever has a tensor has done so.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from types import ModuleType
from typing import NamedTuple

from .annotations import Buffer

_INTO = "a bytearray, an array of numpy or a tensor of torch"
_FIELD_NAMES = re.compile(r":[^:]*:")  # in the format of a structured type (PEP 3118)


class Memory(NamedTuple):
    """The bytes of a buffer; and how many rows it has, None where it has one dimension."""

    view: memoryview
    rows: int | None


def writable(name: str, buffer: object) -> Memory:
    """The memory of the argument `name`, which the caller releases when nothing is written any more.

    TypeError for what is no writable memory, ValueError for memory with gaps.
    """
    with _memory(name, buffer) as view:
        if view.readonly:
            raise TypeError(f"{name} is read-only ({type(buffer).__name__}): read into {_INTO}")
        if "O" in view.format and "O" in _FIELD_NAMES.sub("", view.format):
            raise TypeError(f"{name} holds objects of Python, not bytes: use an array of another dtype")
        if not view.c_contiguous:
            raise ValueError(f"{name} is not contiguous: read into a new array, and copy that")
        rows = view.shape[0] if view.shape and view.ndim > 1 else None
        if not view.nbytes:  # an array with an axis of no length cannot be cast
            return Memory(memoryview(bytearray()), rows)
        return Memory(view.cast("B"), rows)


def _memory(name: str, buffer: object) -> memoryview:
    try:
        return memoryview(buffer)  # type: ignore[arg-type]
    except TypeError:
        torch = sys.modules.get("torch")
        if torch is None or not isinstance(buffer, torch.Tensor):
            raise TypeError(f"{name} must be {_INTO}, not {type(buffer).__name__}") from None
        return memoryview(_array_of_tensor(name, buffer, torch))
    except (ValueError, BufferError) as error:  # an array of dates, a closed mmap
        raise ValueError(f"{name} does not give its memory ({error}): pass array.view('u1')") from error


def _array_of_tensor(name: str, buffer: object, torch: ModuleType) -> Buffer:
    """The array of numpy that shares the memory of a tensor of torch, which is no buffer."""
    tensor: object = buffer
    device = buffer.device.type  # type: ignore[attr-defined]
    if device != "cpu":
        raise ValueError(f"{name} is on the device {device}: read into a tensor of the CPU, and copy that")
    if buffer.requires_grad:  # type: ignore[attr-defined]
        raise ValueError(f"{name} requires grad: pass {name}.detach(), which shares its memory")
    if buffer.layout is not torch.strided:  # type: ignore[attr-defined]
        raise ValueError(f"{name} is not dense: read into a dense tensor")
    if not buffer.is_contiguous():  # type: ignore[attr-defined]
        raise ValueError(f"{name} is not contiguous: read into a new tensor, and copy that")
    try:  # as bytes, since numpy does not know all types of torch, such as bfloat16
        if buffer.dim() == 0:  # type: ignore[attr-defined]
            tensor = buffer.reshape(1)  # type: ignore[attr-defined]
        array: Buffer = tensor.view(torch.uint8).numpy()  # type: ignore[attr-defined]
        return array
    except (TypeError, RuntimeError) as error:  # without numpy; a type with a bit of its own
        raise TypeError(f"{name} does not give its memory: {error}") from error


class Places:
    """Where slices go: the memory of each, which `release` gives back to the caller."""

    def __init__(self, buffers: object, most: Sequence[int | None]) -> None:
        """`most` says how many bytes each slice has at most, None where only the store knows.

        A list has a buffer for each slice. One buffer takes the slices back to back; with more dimensions
        than one it takes one in each row.
        """
        self.views: list[memoryview] = []
        self._whole: list[memoryview] = []
        try:
            if isinstance(buffers, (list, tuple)):
                self._of_each(buffers, most)
            else:
                self._of_one(buffers, most)
            _check_apart(self.views)
        except BaseException:
            self.release()
            raise

    def __repr__(self) -> str:
        return f"<Places {len(self.views)}>"

    def _of_each(self, buffers: Sequence[object], most: Sequence[int | None]) -> None:
        if len(buffers) != len(most):
            raise ValueError(f"buffers has {len(buffers)} items for {len(most)} paths")
        for index, (buffer, count) in enumerate(zip(buffers, most, strict=True)):
            self.views.append(writable(f"buffers[{index}]", buffer).view)
            _check_room(f"buffers[{index}]", self.views[-1].nbytes, count)

    def _of_one(self, buffer: object, most: Sequence[int | None]) -> None:
        whole, rows = writable("buffers", buffer)
        self._whole.append(whole)
        if rows is not None:
            if rows != len(most):
                raise ValueError(f"buffers has {rows} rows for {len(most)} paths")
            size = whole.nbytes // max(rows, 1)
            for index, count in enumerate(most):
                _check_room(f"buffers[{index}]", size, count)
                self.views.append(whole[index * size : (index + 1) * size])
            return
        begin = 0
        for count in most:
            if count is None:
                raise ValueError(
                    "buffers is one buffer, and a slice has no end that tells its length: pass a list of "
                    "buffers, or an array with a row for each slice"
                )
            self.views.append(whole[begin : begin + count])
            begin += count
        if begin > whole.nbytes:
            raise ValueError(f"buffers has {whole.nbytes} bytes, and the slices have {begin}")

    def release(self) -> None:
        """Give the memory back: a bytearray can be resized again."""
        for view in (*self.views, *self._whole):
            view.release()


def most_of(start: int | None, end: int | None) -> int | None:
    """How many bytes the slice [start, end) has at most; None where that depends on the object."""
    first = start or 0
    if end is None:
        return -first if first < 0 else None
    if (first < 0) == (end < 0):
        return max(0, end - first)
    return min(-first, end) if first < 0 else None


def _check_room(name: str, room: int, count: int | None) -> None:
    if count is not None and count > room:
        raise ValueError(f"{name} has {room} bytes, and its slice {count}")


def _check_apart(views: Iterable[memoryview]) -> None:
    """Raise ValueError for memory that two slices share: one would overwrite the other."""
    from ctypes import addressof, c_char

    spans = sorted(
        (address, address + view.nbytes, index)
        for index, view in enumerate(views)
        if view.nbytes
        for address in (addressof(c_char.from_buffer(view)),)
    )
    for (_, stop, one), (start, _, other) in pairwise(spans):
        if start < stop:
            first, second = sorted((one, other))
            raise ValueError(f"buffers[{first}] and buffers[{second}] share memory: give each its own")
