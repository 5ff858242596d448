"""What is told of requests: an event at the end of each attempt, and one at the end of each operation.

Theory of operation. The crossing point (`exchange`) asks `Listeners` for something that watches a request,
and gets None while nobody listens. `WatchedOperation` stands around all attempts of an operation,
`WatchedAttempt` around one: it ends when the body of its answer was read or given up, or when there was no
answer. The operation of an attempt is that of its thread, since all attempts of an operation are made by one.

Invariants: nothing secret is in an event (no header, no query, no text of an error), and whoever listens
changes nothing: what a listener raises is logged, once, and the request goes on.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar

from .._http.response import HTTPBody
from .._values.bodies import body_size
from .._values.models import Request
from .._work import origin
from ..errors import GuardedS3Error, ResponseError
from .events import Event, Listening, given_up

if TYPE_CHECKING:
    from .._auth.endpoints import Endpoint

logger = logging.getLogger("fsspec_guarded_s3")
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEvent(Event):
    """One attempt at a request: what was asked for, and what came of it.

    - operation: name in S3, such as "GetObject"
    - operation_id: a number that all attempts of one operation have in common, in this process; 0 for none
    - method: of HTTP
    - bucket, key: "" where the operation has none; the key is hashed where the listener asked for that
    - host, port, region: where it was sent, and the region that it was signed for
    - range: the value of the Range header, or ""
    - attempt: 1, or more for a repetition
    - retry_reason: why it is a repetition: S3's error code of the attempt before, or the class of its error
    - waited: seconds before it was sent, since the store had refused requests as too many; 0.0 for none
    - wait_reason: what the store had refused them by: S3's error code, such as "SlowDown", or ""
    - started: when it began, in seconds since 1970, after it had waited
    - first_byte: seconds until the head of the answer had come; None without one
    - seconds: until its body was read, or the attempt had failed
    - status: of HTTP; None without an answer
    - code: S3's error code, or ""
    - error: class of the exception, or ""
    - request_id: `x-amz-request-id` of the answer, or ""
    - sent, received: bytes of the bodies, without heads; of an answer as far as it was read
    - reused: whether the connection had served before; None where there was none
    - origin: the context of OpenTelemetry in which the work began, under `integrations.otel`; else None
    """

    host: str
    port: int
    region: str
    range: str
    attempt: int
    retry_reason: str
    first_byte: float | None
    status: int | None
    request_id: str
    reused: bool | None
    wait_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationEvent(Event):
    """One operation of S3: all its attempts, and the pauses between them.

    - operation, operation_id, method, bucket, key, started, origin: as of `AttemptEvent`
    - attempts: how many were made
    - seconds: from the beginning to the end
    - error: class of the exception that the caller got, or ""
    - code: S3's error code of that exception, or ""
    - sent, received: bytes of the bodies of all attempts
    - waited: seconds that attempts waited before they were sent, since the store had refused some as too many
    """

    is_operation: ClassVar[bool] = True
    attempts: int


class _ThisThread(threading.local):
    operation: WatchedOperation | None = None


_this_thread = _ThisThread()


class WatchedOperation:
    """Stands around all attempts of an operation; `with` tells of it at its end."""

    def __init__(self, listeners: Sequence[Listening], request: Request) -> None:
        self._listeners = listeners
        self._request = request
        self.number = next(_numbers)
        self.attempts = self.sent = self.received = 0
        self.waited = 0.0
        self.reason = ""  # why the last attempt failed
        self.last: WatchedAttempt | None = None

    def __enter__(self) -> None:
        self._around = _this_thread.operation
        _this_thread.operation = self
        self._started, self._began = time.time(), time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _this_thread.operation = self._around
        request = self._request
        event = OperationEvent(
            operation=request.operation,
            operation_id=self.number,
            method=request.method,
            bucket=request.bucket,
            key=request.key,
            started=self._started,
            seconds=time.monotonic() - self._began,
            attempts=self.attempts,
            error=type(error).__name__ if error is not None else "",
            code=_code(error),
            sent=self.sent,
            received=self.received,
            origin=origin(),
            waited=self.waited,
        )
        _tell(self._listeners, event)


class WatchedAttempt:
    """One attempt: it is told of once, when its answer has ended or it has failed."""

    def __init__(
        self,
        listeners: Sequence[Listening],
        request: Request,
        endpoint: Callable[[str], Endpoint],
        is_ahead: bool,
    ) -> None:
        """`endpoint` tells where a bucket is reached. `is_ahead` of its turn it is of no operation yet."""
        self._listeners = listeners
        self._endpoint = endpoint
        self._request = request
        self._operation = None if is_ahead else _this_thread.operation
        self._origin = origin() if is_ahead else None  # it may be told of from anywhere
        self._pid = os.getpid()
        self._began = time.monotonic()
        self._first_byte: float | None = None
        self._body: HTTPBody | None = None
        self._is_told = False
        self._attempt, self._reason = 1, ""
        self._waited, self._wait_reason = 0.0, ""
        self._until: float | None = None
        operation = self._operation
        if operation is not None:
            if operation.last is not None:
                operation.last.broken_off()
            operation.last = self
            operation.attempts += 1
            self._attempt, self._reason = operation.attempts, operation.reason

    def sent_before(self, since: float) -> None:
        """The request had been sent at `since`, of the monotonic clock, before its turn."""
        self._began = since or self._began

    def had_turn(self, waited: float, reason: str) -> None:
        """It was sent after it had `waited` for its turn, for that `reason`."""
        self._waited, self._wait_reason = waited, reason if waited else ""
        self._began = time.monotonic()

    def answered(self, body: HTTPBody) -> None:
        """The head of the answer has come; `body` tells when it has ended."""
        self._body, self._first_byte = body, time.monotonic() - self._began
        body.when_ended(self._ended)

    def broken_off(self) -> None:
        """Another attempt begins: if the body broke off, that goes on for it, and this one has ended."""
        if self._body is not None and self._body.failed is not None:
            self._ended(self._body.failed)

    def give_up(self) -> None:
        """Nobody wants the answer any more. It is told of later, since this may be a destructor."""
        if self._pid == os.getpid():
            self._until = time.monotonic()
            given_up.append(partial(self._ended, CancelledError()))

    def failed(self, error: BaseException) -> None:
        """There is no answer, or none that can be used."""
        self._ended(error)

    def _ended(self, error: BaseException | None) -> None:
        if self._is_told:
            return
        self._is_told = True
        if error is None and self._body is not None:
            error = self._body.failed
        event = self._event(error)
        operation = self._operation
        if operation is not None:
            operation.sent += event.sent
            operation.received += event.received
            operation.waited += event.waited
            operation.reason = event.code or event.error
        _tell(self._listeners, event)
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s", _Line(event))

    def _event(self, error: BaseException | None) -> AttemptEvent:
        request, body = self._request, self._body
        seconds = (self._until or time.monotonic()) - self._began
        host, port, region = self._place()
        return AttemptEvent(
            operation=request.operation,
            operation_id=self._operation.number if self._operation is not None else 0,
            method=request.method,
            bucket=request.bucket,
            key=request.key,
            host=host,
            port=port,
            region=region,
            range=request.unsigned.get("range", request.headers.get("range", "")),
            attempt=self._attempt,
            retry_reason=self._reason,
            started=time.time() - seconds,
            first_byte=self._first_byte,
            seconds=seconds,
            status=body.status if body is not None else None,
            code=_code(error),
            error=type(error).__name__ if error is not None else "",
            request_id=body.headers.get("x-amz-request-id", "") if body is not None else "",
            sent=body_size(request.body),
            received=body.received if body is not None else 0,
            reused=body.is_reused if body is not None else None,
            origin=self._origin or origin(),
            waited=self._waited,
            wait_reason=self._wait_reason,
        )

    def _place(self) -> tuple[str, int, str]:
        try:
            endpoint = self._endpoint(self._request.bucket)
        except GuardedS3Error:  # which the request has told already
            return "", 0, ""
        return endpoint.host, endpoint.port, endpoint.region


class _Line:
    """An event as a line of the log; made only where somebody writes it."""

    def __init__(self, event: AttemptEvent) -> None:
        self._event = event

    def __str__(self) -> str:
        event = self._event
        place = "/".join(filter(None, (event.bucket, event.key))) or "-"
        parts = [f"{event.operation} {place}", str(event.status or event.error)]
        parts += [name for name in (event.code, event.range) if name]
        parts += [f"{event.sent} bytes sent"] if event.sent else []
        parts += [f"{event.received} bytes received", f"{event.seconds * 1000:.1f} ms"]
        parts += [f"attempt {event.attempt} after {event.retry_reason}"] if event.attempt > 1 else []
        parts += [f"waited {event.waited * 1000:.1f} ms after {event.wait_reason}"] if event.waited else []
        parts += ["new connection"] if event.reused is False else []
        return ", ".join(parts)


def _code(error: BaseException | None) -> str:
    return error.code or "" if isinstance(error, ResponseError) else ""


def _tell(listeners: Sequence[Listening], event: Event) -> None:
    for listening in listeners:
        listening.tell(event)
