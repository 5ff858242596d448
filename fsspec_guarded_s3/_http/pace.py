"""How long one direction of an exchange may take, and how slow it may be."""

from __future__ import annotations

import time

from .._values.deadline import Deadline
from .._work import check
from ..options import Options

_DELAYED = 0.03  # seconds; Linux puts an acknowledgement off by 40 ms, TCP_DELACK_MIN


class Pace:
    """Bounds one direction of one exchange: a time-out per call, a minimum rate, a deadline.

    A body that moves at `min_rate` is not ended by the deadline, which it puts off. A patient request has no
    minimum rate, so that the deadline is its only bound.
    """

    __slots__ = (
        "_call_start",
        "_deadline",
        "_rate",
        "_timeout",
        "_window",
        "_window_bytes",
        "_window_seconds",
        "_window_start",
        "in_body",
        "was_slow",
    )

    def __init__(self, options: Options, timeout: float, deadline: Deadline, slow_answer: bool) -> None:
        self._timeout = timeout
        self._deadline = deadline
        self._rate = 0.0 if slow_answer else options.min_rate
        self._window = options.min_rate_window
        self._call_start = self._window_seconds = 0.0
        self._window_start: float | None = None  # None until something has moved
        self._window_bytes = 0
        self.in_body = True
        self.was_slow = False  # whether a call within a body has taken as long as a delayed acknowledgement

    def allowance(self) -> float:
        """A call begins; returns the seconds that it may take. TimeoutError when the deadline has passed."""
        check()
        self._call_start = now = time.monotonic()
        left = self._deadline.at - now
        if left <= 0:
            if not (self.in_body and self._is_fast(self._window_bytes, self._window_seconds)):
                raise TimeoutError("the deadline of the request has passed")
            self._next_window(now)
            left = self._deadline.left()
        return self._timeout if self._timeout < left else left

    def moved(self, count: int) -> None:
        """The call ended. Only time spent waiting for the peer counts, not the time the caller takes.

        How long the first byte takes is a matter of the time-out, not of the rate.
        """
        now = time.monotonic()
        if now - self._call_start > _DELAYED and self.in_body:
            self.was_slow = True
        if self._window_start is None:
            self._window_start = now
            self._window_bytes = count
            return
        self._window_bytes += count
        self._window_seconds += now - self._call_start
        if self._window_seconds < self._window:
            return
        if self._window_bytes < self._rate * self._window:
            raise TimeoutError(
                f"only {self._window_bytes} bytes in {self._window_seconds:.0f} s, slower than min_rate"
            )
        self._next_window(now)

    def _is_fast(self, count: int, seconds: float) -> bool:
        return self._rate > 0 and count > 0 and count >= self._rate * seconds

    def _next_window(self, now: float) -> None:
        if self.in_body and self._rate > 0 and self._window_start is not None:
            self._deadline.put_off(now - self._window_start)
        self._window_start, self._window_seconds, self._window_bytes = now, 0.0, 0

    def extend(self) -> float:
        """The allowance of a call is used up: more seconds where the deadline had cut it short and what moved
        before was fast enough, else TimeoutError.
        """
        now = time.monotonic()
        waited = now - self._call_start
        fast = self.in_body and self._is_fast(self._window_bytes, self._window_seconds + waited)
        if waited >= self._timeout or not fast:
            raise TimeoutError("timed out")
        self._next_window(now)
        return self.allowance()

    def is_kept_up(self, count: int, seconds: float) -> bool:
        """Whether `count` bytes of what was sent before went out in `seconds`, and so the peer lives."""
        if self._is_fast(count, seconds):
            self._deadline.put_off(seconds)
            return True
        return not self._rate and count > 0
