"""Whoever listens is told of each request, once, with what became of it; and nothing of it is secret."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import pickle
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import fsspec_guarded_s3
from fsspec_guarded_s3 import (
    AttemptEvent,
    ConnectError,
    GuardedS3FileSystem,
    ObjectExistsError,
    ObjectNotFoundError,
    OperationEvent,
)
from tests.fake_s3 import FakeS3
from tests.scripted_server import (
    Answer,
    Request,
    ScriptedServer,
    Step,
    close,
    cut,
    eventually,
    expects,
    respond,
    s3_error,
)
from tests.servers import reserved_port

SECRETS = {"key": "AKIDSHOWNNOWHERE", "secret": "secretshownnowhere", "token": "tokenshownnowhere"}
PARTS = {"part_size": 5 * 2**20, "multipart_threshold": 5 * 2**20}


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3("bucket", "other")
    for number in range(30):
        fake.put("bucket", f"many/{number:02}", b"x" * number)
    fake.put("bucket", "large", bytes(12 * 2**20))
    return fake


@pytest.fixture
def server(fake: FakeS3) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=fake) as server:
        yield server


@pytest.fixture
def fs(server: ScriptedServer) -> GuardedS3FileSystem:
    return GuardedS3FileSystem(
        endpoint_url=server.url, probe="never", skip_instance_cache=True, **SECRETS, **PARTS
    )


class Heard(list[Any]):
    @property
    def attempts(self) -> list[AttemptEvent]:
        return [event for event in self if isinstance(event, AttemptEvent)]

    @property
    def operations(self) -> list[OperationEvent]:
        return [event for event in self if isinstance(event, OperationEvent)]


def write_in_parts(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/written", "xb") as file:
        file.write(bytes(11 * 2**20))


def read_by_lines(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/large") as file:
        assert sum(map(len, file)) == 12 * 2**20


async def gather(fs: GuardedS3FileSystem) -> None:
    await asyncio.gather(*[fs._cat_file(f"bucket/many/{number:02}") for number in range(20)])


WORKS: dict[str, Callable[[GuardedS3FileSystem], object]] = {
    "cat": lambda fs: fs.cat("bucket/many/*"),
    "cat_file": lambda fs: fs.cat_file("bucket/large"),
    "cat_ranges": lambda fs: fs.cat_ranges(["bucket/large"] * 40, list(range(40)), list(range(1, 41))),
    "coroutines": lambda fs: asyncio.run(gather(fs)),
    "copy": lambda fs: fs.cp("bucket/many", "other/many", recursive=True),
    "create": lambda fs: fs.put_if_absent("bucket/new", b"new"),
    "delete": lambda fs: fs.rm("bucket/many", recursive=True),
    "find": lambda fs: fs.find("bucket"),
    "move": lambda fs: fs.mv("bucket/many/03", "bucket/moved"),
    "read by lines": read_by_lines,
    "tags": lambda fs: fs.put_tags("bucket/large", {"a": "b"}),
    "write": lambda fs: fs.pipe("bucket/small", b"small"),
    "write in parts": write_in_parts,
}


@pytest.mark.parametrize("name", WORKS)
def test_each_request_is_told_of_once(fs: GuardedS3FileSystem, server: ScriptedServer, name: str) -> None:
    heard = Heard()
    before = len(server.requests)
    with fs.events(heard.append):
        WORKS[name](fs)
        fs.close()
    made = server.requests[before:]
    assert made
    attempts = heard.attempts
    assert Counter(event.method for event in attempts) == Counter(request.method for request in made)
    assert sum(event.sent for event in attempts) == sum(len(request.body) for request in made)
    for event in attempts:
        assert event.status is not None and event.first_byte is not None
        assert 0 <= event.first_byte <= event.seconds
        assert event.reused in (True, False)
        assert (event.host, event.region) == ("127.0.0.1", "us-east-1")
        assert f"127.0.0.1:{event.port}" in server.url
    for operation in heard.operations:
        own = [event for event in attempts if event.operation_id == operation.operation_id]
        assert [event.attempt for event in own] == list(range(1, operation.attempts + 1))
        assert sum(event.received for event in own) == operation.received
        assert sum(event.sent for event in own) == operation.sent
    assert {event.operation_id for event in attempts} == {event.operation_id for event in heard.operations}


async def cancel(fs: GuardedS3FileSystem, held: threading.Semaphore) -> None:
    fs.info("bucket/large")  # a connection is idle: but for the listener, the event loop would send
    tasks = [asyncio.create_task(fs._cat_file("bucket/many/05")) for _ in range(3)]
    tasks += [asyncio.create_task(fs._pipe_file("bucket/late", b"late")) for _ in range(3)]
    for _ in tasks:
        assert await asyncio.to_thread(held.acquire, timeout=60)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def fail_in_the_middle(fs: GuardedS3FileSystem, held: threading.Semaphore) -> None:
    with pytest.raises(PermissionError):
        fs.cat("bucket/many/*")


LOOP = "the thread of the loop"


def _in_a_thread_of_its_own(call: Callable[[], object]) -> None:
    thread = threading.Thread(target=call, name=LOOP)
    thread.start()
    thread.join()


GIVEN_UP: dict[str, Callable[[GuardedS3FileSystem, threading.Semaphore], object]] = {
    "the first error of many": fail_in_the_middle,
    "cancelled coroutines": lambda fs, held: _in_a_thread_of_its_own(partial(asyncio.run, cancel(fs, held))),
}


@pytest.mark.parametrize("name", GIVEN_UP)
def test_requests_that_were_sent_and_given_up_are_told_of(
    fs: GuardedS3FileSystem,
    fake: FakeS3,
    server: ScriptedServer,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They cost as much as others. Several are under way before the first answer is read.

    No event loop calls a listener: it is a thread that has sent, and is given up.
    """

    held, given_up = threading.Semaphore(0), threading.Event()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "PUT" or request.path.endswith("05"):
            held.release()
            given_up.wait(60)
            return s3_error(403, "AccessDenied")
        return s3_error(403, "AccessDenied") if request.path.endswith("00") else None

    fake.fault = fault
    monkeypatch.setattr(
        "fsspec_guarded_s3._s3.scheduler.DISTANT", float("inf")
    )  # one thread, which sends ahead
    heard = Heard()
    threads: set[str] = set()

    def note(event: AttemptEvent | OperationEvent) -> None:
        if event.key != "large":
            threads.add(threading.current_thread().name)
        heard.append(event)

    with fs.events(note), fs.trace() as trace:
        GIVEN_UP[name](fs, held)
    given_up.set()
    fs.close()

    def is_all_told() -> bool:  # a thread that was given up ends a moment later
        told = Counter(event.method for event in heard.attempts)
        return told == Counter(request.method for request in server.requests)

    eventually(is_all_told)
    assert "CancelledError" in {event.error for event in heard.attempts}
    assert trace.requests == len(heard.attempts)
    assert LOOP not in threads


def test_what_was_read_is_counted(fs: GuardedS3FileSystem) -> None:
    heard = Heard()
    with fs.events(heard.append):
        assert len(fs.cat_file("bucket/large", 5, 105)) == 100
    (event,) = heard.attempts
    assert (event.operation, event.bucket, event.key, event.range) == (
        "GetObject",
        "bucket",
        "large",
        "bytes=5-104",
    )
    assert (event.status, event.received, event.code, event.error) == (206, 100, "", "")


def test_a_refusal_has_its_code(fs: GuardedS3FileSystem) -> None:
    heard = Heard()
    with fs.events(heard.append):
        with pytest.raises(ObjectNotFoundError):
            fs.cat_file("bucket/none")
        with pytest.raises(ObjectExistsError):
            fs.pipe_file("bucket/large", b"", mode="create")
    assert [(event.status, event.code) for event in heard.attempts[:2]] == [
        (404, "NoSuchKey"),
        (412, "PreconditionFailed"),
    ]
    assert [event.error for event in heard.operations if event.error] == [
        "ObjectNotFoundError",
        "ObjectExistsError",
    ]


def test_a_repetition_says_why() -> None:
    busy = b"<Error><Code>SlowDown</Code></Error>"
    steps = (
        Step(respond(503, busy), expects("PUT")),
        Step(close(), expects("PUT")),
        Step(respond(200, etag="e"), expects("PUT")),
    )
    heard = Heard()
    with ScriptedServer(list(steps)) as server:
        fs = GuardedS3FileSystem(endpoint_url=server.url, probe="never", **SECRETS)
        with fs.events(heard.append):
            fs.pipe_file("bucket/key", b"12345")
    first, second, third = heard.attempts
    assert (first.status, first.code, first.error, first.retry_reason) == (
        503,
        "SlowDown",
        "ThrottledError",
        "",
    )
    assert (second.status, second.first_byte, second.attempt) == (None, None, 2)
    assert second.retry_reason == "SlowDown"
    assert second.error
    assert (third.attempt, third.retry_reason, third.status, third.error) == (3, second.error, 200, "")
    (operation,) = heard.operations
    assert (operation.attempts, operation.sent, operation.error) == (3, 15, "")


def test_a_body_that_breaks_off_is_an_attempt_that_failed() -> None:
    whole = cut(200, b"0123456789", after=5, etag="e")
    rest = respond(206, b"56789", etag="e", headers={"content-range": "bytes 5-9/10"})
    heard = Heard()
    with ScriptedServer([Step(whole), Step(rest)]) as server:
        fs = GuardedS3FileSystem(endpoint_url=server.url, probe="never", **SECRETS)
        with fs.events(heard.append):
            assert fs.cat_file("bucket/key") == b"0123456789"
    broken, second = heard.attempts
    assert (broken.status, broken.received, broken.error) == (200, 5, "IncompleteBodyError")
    assert (second.status, second.received, second.retry_reason) == (206, 5, "IncompleteBodyError")


def test_a_store_that_is_not_there() -> None:
    heard = Heard()
    with reserved_port() as port:
        fs = GuardedS3FileSystem(endpoint_url=f"http://127.0.0.1:{port}", max_attempts=1, **SECRETS)
        with fs.events(heard.append), pytest.raises(ConnectError):
            fs.cat_file("bucket/key")
    (event,) = heard.attempts
    assert (event.status, event.first_byte, event.error, event.reused) == (None, None, "ConnectError", None)


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("no")])
def test_what_a_listener_raises_does_not_matter(
    fs: GuardedS3FileSystem, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()

    def raising(event: object) -> None:
        raise error

    with fs.events(raising), fs.events(heard.append):
        assert fs.cat_file("bucket/many/03") == b"xxx"
        assert fs.cat_file("bucket/many/04") == b"xxxx"
    assert len(heard.attempts) == 2
    assert [record.levelname for record in caplog.records].count("WARNING") == 1


def test_each_listener_that_raises_is_told_of(
    fs: GuardedS3FileSystem, caplog: pytest.LogCaptureFixture
) -> None:
    """Also one that comes to be where another was, which is gone."""
    for number in range(20):

        def raising(event: object, number: int = number) -> None:
            raise ValueError(f"of {number}")

        with fs.events(raising):
            fs.cat_file("bucket/many/03")
        del raising
    assert [f"of {number}" in caplog.text for number in range(20)] == [True] * 20


@pytest.mark.parametrize("verb", ["cat", "cat_file", "open", "coroutine"])
def test_a_listener_may_use_the_filesystem(fs: GuardedS3FileSystem, verb: str) -> None:
    """It is not told of what it asks for itself, also where other threads do that: it would never end."""
    heard, others = Heard(), Heard()

    def asking(event: Any) -> None:
        heard.append(event)
        fs.cat("bucket/many/1*")
        with fs.open("bucket/large") as file:
            file.read(5 * 2**20)

    with fs.events(asking), fs.events(others.append):
        if verb == "open":
            with fs.open("bucket/many/03") as file:
                assert file.read() == b"xxx"
        elif verb == "coroutine":
            asyncio.run(fs._cat_file("bucket/many/03"))
        else:
            getattr(fs, verb)("bucket/many/03")
    assert [event.key for event in heard.attempts] == ["many/03"]
    assert len(others.attempts) > 20


def test_a_listener_that_is_slow_keeps_up_nobody_else(fs: GuardedS3FileSystem) -> None:
    held, go_on = threading.Event(), threading.Event()

    def slow(event: Any) -> None:
        if event.key == "many/03":
            held.set()
            assert go_on.wait(60)

    with fs.events(slow):
        thread = threading.Thread(target=fs.cat_file, args=("bucket/many/03",))
        thread.start()
        assert held.wait(60)
        assert fs.cat_file("bucket/many/04") == b"xxxx"
        assert fs.cat("bucket/many/1*")
        assert thread.is_alive()
        go_on.set()
        thread.join()


def test_who_has_closed_hears_no_more(fs: GuardedS3FileSystem) -> None:
    heard = Heard()
    listening = fs.events(heard.append)
    fs.cat_file("bucket/many/03")
    listening.close()
    listening.close()
    told = len(heard)
    fs.cat_file("bucket/many/03")
    assert told == len(heard) == 2


def test_who_closes_twice_does_not_close_another(fs: GuardedS3FileSystem) -> None:
    heard = Heard()
    listening, same_listener = fs.events(heard.append), fs.events(heard.append)
    listening.close()
    listening.close()
    fs.cat_file("bucket/many/03")
    assert len(heard) == 2
    assert "closed" in repr(listening) and "on" in repr(same_listener)


def test_all_filesystems_of_the_process(fs: GuardedS3FileSystem, server: ScriptedServer) -> None:
    other: GuardedS3FileSystem = pickle.loads(pickle.dumps(fs))
    own, everything = Heard(), Heard()
    with fs.events(own.append), fsspec_guarded_s3.events(everything.append):
        thread = threading.Thread(target=lambda: other.cat_file("bucket/many/03"))
        thread.start()
        thread.join()
        fs.cat_file("bucket/many/04")
    assert [event.key for event in own.attempts] == ["many/04"]
    here = [event.key for event in everything.attempts if event.port == server.port]
    assert here == ["many/03", "many/04"]


@pytest.mark.parametrize("callback", [None, "print", 3])
def test_what_cannot_be_called_is_refused(fs: GuardedS3FileSystem, callback: Any) -> None:
    with pytest.raises(TypeError, match="callback"):
        fs.events(callback)


def test_keys_can_be_hashed(fs: GuardedS3FileSystem) -> None:
    heard = Heard()
    with fs.events(heard.append, hash_keys=True):
        fs.cat_file("bucket/many/03")
        fs.cat_file("bucket/many/03")
        fs.ls("bucket")
    keys = {event.key for event in heard if event.operation == "GetObject"}
    assert len(keys) == 1
    assert len(keys.pop()) == 16
    assert {event.key for event in heard if event.operation != "GetObject"} == {""}
    assert "many" not in repr(heard)


def test_nothing_secret_is_told(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    customers = "0123456789abcdef0123456789abcdef"
    fs = GuardedS3FileSystem(
        endpoint_url=server.url, **SECRETS, s3_additional_kwargs={"Metadata": {"private": "metadatum"}}
    )
    heard = Heard()
    caplog.set_level(logging.DEBUG, "fsspec_guarded_s3")
    with fs.events(heard.append), fs.trace() as trace:
        fs.pipe_file("bucket/k", b"contents", SSECustomerAlgorithm="AES256", SSECustomerKey=customers)
        fs.find("bucket")
        fs.sign("bucket/k")
        fs.rm("bucket/k")
    shown = repr(heard) + caplog.text + str(trace) + trace._repr_html_()
    assert len(heard.attempts) >= 3
    for secret in (*SECRETS.values(), customers, "metadatum", "contents", "Signature", "uthorization"):
        assert secret not in shown


def test_each_request_is_a_line_of_the_log(fs: GuardedS3FileSystem, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "fsspec_guarded_s3")
    fs.cat_file("bucket/many/07", 1, 3)
    with pytest.raises(FileNotFoundError):
        fs.cat_file("bucket/none")
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert lines[0].startswith("GetObject bucket/many/07, 206, bytes=1-2, 2 bytes received, ")
    assert lines[0].endswith("new connection")
    assert lines[1].startswith("GetObject bucket/none, 404, NoSuchKey, ")
    assert "connection" not in lines[1]


def test_a_trace_sums_up(fs: GuardedS3FileSystem, server: ScriptedServer) -> None:
    with fs.trace() as trace:
        fs.cat("bucket/many/*")
        fs.pipe("bucket/new", b"12345")
        with pytest.raises(FileNotFoundError):
            fs.cat_file("bucket/none")
    fs.cat_file("bucket/large")
    rows = {row.operation: row for row in trace.rows}
    assert rows["GetObject"].requests == 31
    assert rows["GetObject"].received == sum(range(30)) + _length_of_refusal(server)
    assert rows["GetObject"].failed == {"NoSuchKey": 1}
    assert (rows["PutObject"].requests, rows["PutObject"].sent) == (1, 5)
    assert trace.requests == sum(row.requests for row in trace.rows)
    assert trace.operations_failed == {"ObjectNotFoundError": 1}
    assert trace.cost == pytest.approx(31 * 0.0004 / 1000 + 0.005 / 1000 + rows["ListObjectsV2"].cost)
    text = str(trace)
    assert "GetObject" in text and "1 NoSuchKey" in text and f"{trace.requests} requests in" in text
    assert trace._repr_html_().count("<tr>") == len(rows) + 1


def _length_of_refusal(server: ScriptedServer) -> int:
    fs = GuardedS3FileSystem(endpoint_url=server.url, skip_instance_cache=True, **SECRETS)
    heard = Heard()
    with fs.events(heard.append), pytest.raises(FileNotFoundError):
        fs.cat_file("bucket/none")
    return heard.attempts[0].received


def test_a_trace_of_the_process_sees_what_libraries_make(server: ScriptedServer) -> None:
    pd = pytest.importorskip("pandas")
    storage_options = {"endpoint_url": server.url, **SECRETS}
    with fsspec_guarded_s3.trace() as trace:
        pd.DataFrame({"a": [1, 2]}).to_csv("gs3://bucket/t.csv", index=False, storage_options=storage_options)
        assert pd.read_csv("gs3://bucket/t.csv", storage_options=storage_options)["a"].sum() == 3
    assert {"GetObject", "PutObject"} <= {row.operation for row in trace.rows}


def test_an_empty_trace_is_a_table_too(fs: GuardedS3FileSystem) -> None:
    with fs.trace() as trace:
        pass
    assert "0 requests" in str(trace)
    assert (trace.requests, trace.cost, trace.rows) == (0, 0, [])


def test_nobody_is_told_by_a_child_of_what_its_parent_does(fs: GuardedS3FileSystem) -> None:
    """After a fork both go on alone: each hears its own."""
    if not hasattr(__import__("os"), "fork"):
        pytest.skip("this system has no fork")
    import multiprocessing

    heard = Heard()
    queue: Any = multiprocessing.get_context("fork").Queue()

    def in_child() -> None:
        fs.cat_file("bucket/many/05")
        queue.put([event.key for event in heard.attempts])

    with fs.events(heard.append):
        fs.cat_file("bucket/many/04")
        child = multiprocessing.get_context("fork").Process(target=in_child)
        child.start()
        assert queue.get(timeout=60) == ["many/04", "many/05"]
        child.join()
    assert [event.key for event in heard.attempts] == ["many/04"]


# --- OpenTelemetry ---


@pytest.fixture
def spans() -> Iterator[tuple[Any, Any, Any]]:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, reader, provider = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter, reader, (provider, MeterProvider([reader]))


@pytest.mark.parametrize("name", ["cat", "cat_ranges", "coroutines", "write in parts", "read by lines"])
def test_spans_are_children_of_the_callers(
    fs: GuardedS3FileSystem, server: ScriptedServer, spans: tuple[Any, Any, Any], name: str
) -> None:
    """Also where other threads make the requests."""
    from fsspec_guarded_s3.integrations import otel

    exporter, reader, (provider, meters) = spans
    before = len(server.requests)
    with otel.instrument(fs, tracer_provider=provider, meter_provider=meters):
        tracer = provider.get_tracer("test")
        with tracer.start_as_current_span("callers") as callers:
            WORKS[name](fs)
        fs.close()
    made = server.requests[before:]
    finished = [span for span in exporter.get_finished_spans() if span.name != "callers"]
    operations = {span.context.span_id: span for span in finished if span.name.startswith("S3/")}
    attempts = [span for span in finished if span.context.span_id not in operations]
    assert len(attempts) == len(made)
    for span in operations.values():
        assert span.parent.span_id == callers.get_span_context().span_id
        assert span.attributes["rpc.service"] == "S3"
        assert span.start_time <= span.end_time
    for span in attempts:
        operation = operations[span.parent.span_id]
        assert span.attributes["rpc.method"] == operation.attributes["rpc.method"]
        assert span.attributes["http.response.status_code"] in (200, 204, 206, 404)
        assert span.attributes["server.address"] == "127.0.0.1"
    counts = _points(reader, "http.client.request.duration")
    assert sum(point.count for point in counts) == len(made)


def _points(reader: Any, name: str) -> list[Any]:
    data = reader.get_metrics_data()
    metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
    return [point for metric in metrics if metric.name == name for point in metric.data.data_points]


def test_a_span_of_what_failed_says_so(fs: GuardedS3FileSystem, spans: tuple[Any, Any, Any]) -> None:
    from fsspec_guarded_s3.integrations import otel

    exporter, _, (provider, meters) = spans
    instrumentation = otel.instrument(fs, tracer_provider=provider, meter_provider=meters)
    with pytest.raises(FileNotFoundError):
        fs.cat_file("bucket/none")
    instrumentation.close()
    fs.cat_file("bucket/many/03")
    attempt, operation = exporter.get_finished_spans()
    assert (operation.name, attempt.name) == ("S3/GetObject", "GET")
    for span in (attempt, operation):
        assert not span.status.is_ok
        assert span.attributes["error.type"] == "NoSuchKey"


def test_a_span_says_how_long_its_request_waited(
    fs: GuardedS3FileSystem, spans: tuple[Any, Any, Any]
) -> None:
    from fsspec_guarded_s3.integrations import otel

    exporter, _, (provider, meters) = spans
    heard = Heard()
    with fs.events(heard.append):
        fs.cat_file("bucket/many/03")
    with otel.instrument(fs, tracer_provider=provider, meter_provider=meters) as instrumentation:
        for waited in (0.0, 0.5):
            event = dataclasses.replace(heard.attempts[0], operation_id=0, waited=waited)
            instrumentation._hear(event)
    at_once, later = exporter.get_finished_spans()
    assert "fsspec_guarded_s3.waited" not in at_once.attributes
    assert later.attributes["fsspec_guarded_s3.waited"] == 0.5


def test_attempts_whose_operation_never_ends_are_told_of(
    fs: GuardedS3FileSystem, spans: tuple[Any, Any, Any]
) -> None:
    """Else they would gather without end."""
    from fsspec_guarded_s3.integrations import otel

    exporter, _, (provider, meters) = spans
    heard = Heard()
    with fs.events(heard.append):
        fs.cat_file("bucket/many/03")
    with otel.instrument(fs, tracer_provider=provider, meter_provider=meters) as instrumentation:
        for number in range(3000):
            instrumentation._hear(dataclasses.replace(heard.attempts[0], operation_id=number + 1))
        assert len(exporter.get_finished_spans()) == 2000
    assert len(exporter.get_finished_spans()) == 3000


def test_the_package_loads_none_of_it_for_nobody() -> None:
    import subprocess

    program = "import fsspec_guarded_s3, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert "fsspec_guarded_s3._s3.listeners" in done.stdout
    assert "fsspec_guarded_s3._s3.watched" not in done.stdout
