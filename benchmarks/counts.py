"""What the server's workers count: requests by kind, bytes sent, connections."""

from __future__ import annotations

import mmap
import threading

KINDS = ("GET", "HEAD", "LIST", "PUT", "POST", "DELETE")
FIGURES = (*KINDS, "bytes", "connections")
_WIDTH = 8


class Counts:
    """Counters in memory that all workers share; each worker has a row of its own, so none waits."""

    def __init__(self, workers: int) -> None:
        self._memory = mmap.mmap(-1, workers * len(FIGURES) * _WIDTH)
        self._cells = memoryview(self._memory).cast("Q")
        self._workers = workers
        self._first = 0
        self._lock = threading.Lock()

    def become(self, worker: int) -> None:
        """Count in the row of `worker` from now on: what a worker does first."""
        self._first = worker * len(FIGURES)
        self._lock = threading.Lock()

    def add(self, figure: str, amount: int = 1) -> None:
        """Count `amount` more."""
        with self._lock:
            self._cells[self._first + FIGURES.index(figure)] += amount

    def totals(self) -> dict[str, int]:
        """The sums over all workers."""
        rows = [self._cells[n * len(FIGURES) : (n + 1) * len(FIGURES)].tolist() for n in range(self._workers)]
        return dict(zip(FIGURES, map(sum, zip(*rows, strict=True)), strict=True))
