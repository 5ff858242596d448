"""Small writes of a program, kept until there are enough of them to be worth a lock.

A program that writes lines or records makes a call for each. To take a lock and to copy for each would cost
it more than all else it does. So what is small is appended to a list, which is one step of the interpreter,
and whoever finds the list full takes the lock and hands on what is in it. Threads may append meanwhile: what
each of them writes stays in its order.

Who ends the file says first that nothing is gathered any more, and then takes what is there. A writer looks
once more after it has appended: if that was said meanwhile, it asks under the lock what became of its piece.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T", str, bytes)
SMALL = 4096  # bytes or characters: what has as many is handed on at once
MANY = 512  # pieces, which are handed on together


class SmallWrites(list[T]):
    """Pieces in the order in which they came."""

    _counted = 0, 0  # of so many pieces the size is known

    def take(self) -> list[T]:
        """The pieces, which are gone from here then. For one thread at a time; others may append."""
        pieces = self[:]
        del self[: len(pieces)]
        self._counted = 0, 0
        return pieces

    def size(self) -> int:
        """The bytes or characters of all pieces. For one thread at a time, as `take` is."""
        count, size = self._counted
        more = self[count:]
        size += sum(map(len, more))
        self._counted = count + len(more), size
        return size
