"""What has come of a file that is kept as a whole: pieces in order, of which none overlap."""

from __future__ import annotations

from bisect import bisect_right

from .arriving import Piece


class Held:
    """Pieces of a file. All that was added stays."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: list[Piece] = []

    def __repr__(self) -> str:
        return f"<Held {sum(len(piece.data) for piece in self._pieces)} bytes>"

    def at(self, position: int) -> Piece | None:
        """The piece that has the byte `position`."""
        index = bisect_right(self._starts, position) - 1
        if index < 0 or self._pieces[index].stop <= position:
            return None
        return self._pieces[index]

    def covers(self, start: int, stop: int) -> bool:
        """Whether all of [start, stop) is there."""
        return self.end_of_run(start) >= stop

    def end_of_run(self, position: int) -> int:
        """The first byte from `position` on that is missing."""
        while (piece := self.at(position)) is not None:
            position = piece.stop
        return position

    def next(self, position: int, stop: int) -> int:
        """Where the first piece behind `position`, which is missing, begins; at most `stop`."""
        index = bisect_right(self._starts, position)
        return min(self._starts[index], stop) if index < len(self._starts) else stop

    def add(self, piece: Piece) -> None:
        """Keep what is new of `piece`."""
        start = piece.start
        while start < piece.stop:
            if (known := self.at(start)) is not None:
                start = known.stop
                continue
            stop = self.next(start, piece.stop)
            # A slice of all of it is `piece.data` itself.
            new = Piece(start, stop, piece.data[start - piece.start : stop - piece.start])
            index = bisect_right(self._starts, start)
            self._starts.insert(index, start)
            self._pieces.insert(index, new)
            start = stop

    def trimmed(self, start: int, stop: int) -> tuple[int, int]:
        """[start, stop), some of which is missing, without what is there at its ends."""
        start = self.end_of_run(start)
        while (piece := self.at(stop - 1)) is not None:
            stop = piece.start
        return start, stop

    def missing(self, position: int, size: int, worth: int) -> tuple[int, int]:
        """What is missing around `position` in a file of `size` bytes, and what else one request brings.

        A request passes over what is there, up to `worth` bytes: that costs less than another one.
        """
        gaps = self._gaps(size)
        first = last = next(index for index, (_, stop) in enumerate(gaps) if stop > position)
        while first and gaps[first][0] - gaps[first - 1][1] <= worth:
            first -= 1
        while last + 1 < len(gaps) and gaps[last + 1][0] - gaps[last][1] <= worth:
            last += 1
        return gaps[first][0], gaps[last][1]

    def _gaps(self, size: int) -> list[tuple[int, int]]:
        found, begin = [], 0
        for piece in self._pieces:
            if piece.start > begin:
                found.append((begin, piece.start))
            begin = piece.stop
        return [*found, (begin, size)] if begin < size else found
