"""Spans and metrics of OpenTelemetry for each request. It needs the package opentelemetry-api (`[otel]`).

    from fsspec_guarded_s3.integrations import otel

    otel.instrument()  # all filesystems of this process, by the providers that the program has set

Names are those of OpenTelemetry's semantic conventions for the AWS SDK, S3 and HTTP clients:
https://opentelemetry.io/docs/specs/semconv/object-stores/s3/
https://opentelemetry.io/docs/specs/semconv/http/
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from opentelemetry import context, metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from .. import AttemptEvent, Event, OperationEvent, events
from .._forks import PerProcess
from .._work import carry

if TYPE_CHECKING:
    from ..filesystem import GuardedS3FileSystem

_NAME = "fsspec_guarded_s3"
_NANOSECONDS = 1_000_000_000
_MOST_OPEN = 1000  # operations whose attempts wait for their end
_open: list[Instrumentation] = []


class Instrumentation:
    """What tells OpenTelemetry of requests, until it is closed: by `close()`, or at the end of a `with`."""

    def __init__(
        self,
        fs: GuardedS3FileSystem | None,
        tracer_provider: trace.TracerProvider | None,
        meter_provider: metrics.MeterProvider | None,
        hash_keys: bool,
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        self._seconds = meter.create_histogram("http.client.request.duration", "s")
        self._sent = meter.create_histogram("http.client.request.body.size", "By")
        self._received = meter.create_histogram("http.client.response.body.size", "By")
        self._attempts: dict[int, list[AttemptEvent]] = {}  # until their operation ends
        self._lock = PerProcess(threading.Lock)
        _open.append(self)
        carry(context.get_current)
        listen = events if fs is None else fs.events
        self._listening = listen(self._hear, hash_keys=hash_keys)

    def __repr__(self) -> str:
        return f"<Instrumentation {self._listening!r}>"

    def __enter__(self) -> Instrumentation:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Tell of no more requests. Harmless when repeated."""
        self._listening.close()
        self._tell_oldest(0)
        if self in _open:
            _open.remove(self)
        if not _open:
            carry(None)

    def _hear(self, event: Event) -> None:
        if isinstance(event, OperationEvent):
            with self._lock():
                attempts = self._attempts.pop(event.operation_id, [])
            self._tell_operation(event, attempts)
            return
        assert isinstance(event, AttemptEvent)
        self._measure(event)
        if not event.operation_id:
            self._tell_attempt(event, event.origin)
            return
        with self._lock():
            self._attempts.setdefault(event.operation_id, []).append(event)
        self._tell_oldest(_MOST_OPEN)

    def _tell_oldest(self, most: int) -> None:
        """Tell of attempts alone whose operation may never end, until those of `most` operations wait."""
        while len(self._attempts) > most:
            with self._lock():
                oldest = self._attempts.pop(next(iter(self._attempts), 0), [])
            for attempt in oldest:
                self._tell_attempt(attempt, attempt.origin)

    def _measure(self, event: AttemptEvent) -> None:
        attributes = _of_http(event) | {"rpc.service": "S3", "rpc.method": event.operation}
        self._seconds.record(event.seconds, attributes)
        self._sent.record(event.sent, attributes)
        self._received.record(event.received, attributes)

    def _tell_operation(self, event: OperationEvent, attempts: list[AttemptEvent]) -> None:
        attributes = _of_s3(event)
        if attempts and attempts[-1].region:
            attributes["cloud.region"] = attempts[-1].region
        span = self._begin(f"S3/{event.operation}", event, event.origin, attributes)
        within = trace.set_span_in_context(span, event.origin)
        for attempt in attempts:
            self._tell_attempt(attempt, within)
        _end(span, event)

    def _tell_attempt(self, event: AttemptEvent, within: Any) -> None:
        attributes = _of_s3(event) | _of_http(event)
        attributes |= {"http.request.body.size": event.sent, "http.response.body.size": event.received}
        if event.attempt > 1:
            attributes["http.request.resend_count"] = event.attempt - 1
        if event.waited:
            attributes["fsspec_guarded_s3.waited"] = event.waited
        if event.request_id:
            attributes["aws.request_id"] = event.request_id
        _end(self._begin(event.method, event, within, attributes), event)

    def _begin(self, name: str, event: Event, within: Any, attributes: dict[str, Any]) -> trace.Span:
        began = int(event.started * _NANOSECONDS)
        return self._tracer.start_span(name, within, SpanKind.CLIENT, attributes, start_time=began)


def instrument(
    fs: GuardedS3FileSystem | None = None,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
    hash_keys: bool = False,
) -> Instrumentation:
    """Make spans and metrics of the requests of `fs`, or of all filesystems of this process.

    Each operation of S3 is a span ("S3/GetObject"), a child of the span that is current where the program
    calls the filesystem, also where other threads make the request. Each attempt is a child of that ("GET").
    The metrics are `http.client.request.duration` (seconds), `http.client.request.body.size` and
    `http.client.response.body.size` (bytes), of each attempt.

    Without `tracer_provider` and `meter_provider` those are used that the program has set. With `hash_keys`
    spans have a hash in the place of each key. No header, query or credential is told.

    Returns an `Instrumentation`, whose `close()` ends it.
    """
    return Instrumentation(fs, tracer_provider, meter_provider, hash_keys)


def _of_s3(event: Event) -> dict[str, Any]:
    attributes = {"rpc.system": "aws-api", "rpc.service": "S3", "rpc.method": event.operation}
    if event.bucket:
        attributes["aws.s3.bucket"] = event.bucket
    if event.key:
        attributes["aws.s3.key"] = event.key
    return attributes


def _of_http(event: AttemptEvent) -> dict[str, Any]:
    attributes: dict[str, Any] = {"http.request.method": event.method}
    if event.host:
        attributes |= {"server.address": event.host, "server.port": event.port}
    if event.status is not None:
        attributes["http.response.status_code"] = event.status
    if event.error:
        attributes["error.type"] = event.code or event.error
    return attributes


def _end(span: trace.Span, event: Event) -> None:
    if event.error:
        span.set_attribute("error.type", event.code or event.error)
        span.set_status(Status(StatusCode.ERROR, event.code or event.error))
    span.end(int((event.started + event.seconds) * _NANOSECONDS))
