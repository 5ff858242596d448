"""What holds from page to page of a listing, whatever the store: it comes to an end.

A marker that comes again would list for ever. Invariant: every circle of markers is noticed, and one marker
alone is remembered for it.
"""

from __future__ import annotations

from ..errors import ProtocolError

MOST_EMPTY = 10_000  # pages without a row, one after the other


class Markers:
    """The markers of the pages of one listing, in the order in which they come."""

    def __init__(self, listing: str) -> None:
        self._listing = listing
        self._kept: object = None  # one of those that came, which every later one is compared with
        self._left = 1  # until another one is kept: twice as many each time (Brent's algorithm)
        self._span = 1
        self._empty = 0

    def check(self, marker: object, rows: int = 1) -> None:
        """Raises ProtocolError for a marker that leads round in circles, once the circle is complete.

        So it does where too many pages in sequence had no `rows`.
        """
        self._empty = 0 if rows else self._empty + 1
        if self._empty > MOST_EMPTY:
            raise ProtocolError(f"{self._listing} does not end: {self._empty} pages without a row")
        if marker == self._kept:
            raise ProtocolError(f"{self._listing} goes round in circles: the same marker came twice")
        self._left -= 1
        if not self._left:
            self._kept = marker
            self._span *= 2
            self._left = self._span
