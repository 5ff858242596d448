"""What a program asked a store for, summed up: requests, bytes, repetitions, and what they cost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from .._forks import PerProcess
from .._values.sizes import size_text
from .events import Event, Listening, listen

if TYPE_CHECKING:
    from .watched import AttemptEvent

# S3 Standard in us-east-1, US dollars for 1,000 requests: https://aws.amazon.com/s3/pricing/ (2026-11).
WRITE_PRICE = 0.005  # PUT, COPY, POST, LIST
READ_PRICE = 0.0004  # GET, SELECT and all other requests
_FREE = {"DeleteObject", "DeleteObjects", "DeleteBucket", "AbortMultipartUpload", "DeleteObjectTagging"}
_HEADINGS = ("operation", "requests", "repeated", "failed", "sent", "received", "mean ms", "max ms")


class TraceRow:
    """The sums of one operation of S3, such as GetObject.

    - requests: attempts that were made, repetitions among them
    - repeated: attempts that were repetitions
    - failed: attempts that failed, by S3's error code or the class of the error
    - sent, received: bytes of bodies
    - seconds: of all attempts together, which may have run side by side
    - slowest: seconds of the slowest attempt
    - new_connections: attempts that a connection was made for
    - waited: seconds that attempts waited together before they were sent, since the store had refused some
    """

    def __init__(self, operation: str) -> None:
        self.operation: str = operation
        self.requests: int = 0
        self.repeated: int = 0
        self.failed: Counter[str] = Counter()
        self.sent: int = 0
        self.received: int = 0
        self.seconds: float = 0.0
        self.slowest: float = 0.0
        self.new_connections: int = 0
        self.waited: float = 0.0

    def __repr__(self) -> str:
        return f"<TraceRow {self.operation} {self.requests} requests>"

    def add(self, event: AttemptEvent) -> None:
        """Count one attempt."""
        self.requests += 1
        self.repeated += event.attempt > 1
        if event.error:
            self.failed[event.code or event.error] += 1
        self.sent += event.sent
        self.received += event.received
        self.seconds += event.seconds
        self.slowest = max(self.slowest, event.seconds)
        self.new_connections += event.reused is False
        self.waited += event.waited

    @property
    def cost(self) -> float:
        """US dollars for the requests, at the prices of S3 Standard in us-east-1, without traffic."""
        if self.operation in _FREE:
            return 0.0
        is_dear = self.operation.startswith(("Put", "Copy", "Create", "Upload", "Complete", "List", "Post"))
        return self.requests * (WRITE_PRICE if is_dear else READ_PRICE) / 1000

    def cells(self) -> tuple[str, ...]:
        """The row as it is shown."""
        failed = ", ".join(f"{count} {code}" for code, count in self.failed.most_common())
        counts = (
            f"{self.requests:,}",
            f"{self.repeated:,}",
            failed or "0",
            size_text(self.sent),
            size_text(self.received),
        )
        mean = self.seconds / self.requests if self.requests else 0.0
        return (self.operation, *counts, f"{mean * 1000:.1f}", f"{self.slowest * 1000:.1f}")


class Trace:
    """Sums of what was asked for since it was made, until it is closed. Thread-safe.

    Printed, or shown by a notebook, it is a table. Use it in a `with`, or call `close()`.
    """

    def __init__(self, own: list[Listening] | None) -> None:
        """Of the store whose listeners are `own`, or of all stores of the process."""
        self._rows: dict[str, TraceRow] = {}
        self._lock = PerProcess(threading.Lock)
        self._began = time.monotonic()
        self._until: float | None = None
        self.operations_failed: Counter[str] = Counter()
        """Operations that failed for good, by the class of the error that the caller got."""
        self._listening: Listening = listen(self._hear, own)

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Count no more. The sums stay. Harmless when repeated."""
        self._listening.close()
        if self._until is None:
            self._until = time.monotonic()

    def _hear(self, event: Event) -> None:
        with self._lock():
            if event.is_operation:
                if event.error:
                    self.operations_failed[event.error] += 1
                return
            row = self._rows.get(event.operation)
            if row is None:
                row = self._rows[event.operation] = TraceRow(event.operation)
            row.add(cast("AttemptEvent", event))

    @property
    def rows(self) -> list[TraceRow]:
        """The sums of each operation, the most frequent first."""
        with self._lock():
            return sorted(self._rows.values(), key=lambda row: (-row.requests, row.operation))

    @property
    def seconds(self) -> float:
        """Since this was made, or until it was closed."""
        return (self._until or time.monotonic()) - self._began

    @property
    def requests(self) -> int:
        """All attempts at requests."""
        return sum(row.requests for row in self.rows)

    @property
    def repeated(self) -> int:
        """Attempts that were repetitions."""
        return sum(row.repeated for row in self.rows)

    @property
    def waited(self) -> float:
        """Seconds that attempts waited together before they were sent, since the store had refused some."""
        return sum(row.waited for row in self.rows)

    @property
    def sent(self) -> int:
        """Bytes of the bodies of requests."""
        return sum(row.sent for row in self.rows)

    @property
    def received(self) -> int:
        """Bytes of the bodies of answers."""
        return sum(row.received for row in self.rows)

    @property
    def cost(self) -> float:
        """An estimate in US dollars: requests at the prices of S3 Standard in us-east-1, without traffic."""
        return sum(row.cost for row in self.rows)

    def __repr__(self) -> str:
        return f"<Trace {self.requests} requests>"

    def __str__(self) -> str:
        lines = [_HEADINGS, *(row.cells() for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join([*(_line(cells, widths) for cells in lines), self._summary()])

    def _repr_html_(self) -> str:
        import html  # for notebooks alone

        head = _html("th", _HEADINGS)
        body = "".join(_html("td", map(html.escape, row.cells())) for row in self.rows)
        return (
            f"<table><thead>{head}</thead><tbody>{body}</tbody></table><p>{html.escape(self._summary())}</p>"
        )

    def _summary(self) -> str:
        made = sum(row.new_connections for row in self.rows)
        waited = self.waited
        held = f", {waited:.2f} s waited since the store refused some" if waited else ""
        return (
            f"{self.requests:,} requests in {self.seconds:.2f} s, {made:,} new connections{held}, "
            f"about ${self.cost:.6f} for requests on S3 Standard"
        )


def _line(cells: Iterable[str], widths: list[int]) -> str:
    (name, *numbers), (first, *others) = cells, widths
    columns = [text.rjust(width) for text, width in zip(numbers, others, strict=True)]
    return "  ".join([name.ljust(first), *columns])


def _html(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{text}</{tag}>" for text in cells) + "</tr>"
