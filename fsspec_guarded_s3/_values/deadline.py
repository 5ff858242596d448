"""How long a request may take, with its retries."""

from __future__ import annotations

import time


class Deadline:
    """A point in time that is put off by bodies that move.

    The bound is meant for what stands: connecting, waiting for an answer, pauses and attempts. How long a
    body may take is not bounded while it moves at the least rate.
    """

    __slots__ = ("at",)

    def __init__(self, seconds: float) -> None:
        """`seconds` from now."""
        self.at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until the deadline; 0 or less when it has passed."""
        return self.at - time.monotonic()

    def put_off(self, seconds: float) -> None:
        """Move the deadline `seconds` later: a body moved meanwhile, and that time does not count."""
        self.at += seconds
