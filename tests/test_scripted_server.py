"""The test servers themselves: every fault really happens, and every mistake of a script is reported."""

import base64
import contextlib
import hashlib
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.data import period_free
from tests.fake_s3 import FakeS3, crc32
from tests.scripted_server import (
    Answer,
    Request,
    ScriptedServer,
    Step,
    apply,
    close,
    close_before_body,
    cut,
    delay,
    dont_read,
    early,
    eventually,
    expects,
    raw,
    respond,
    s3_error,
    stall,
    stall_body,
    trickle,
)

MIB = 2**20
LONG = 10_000_000  # bytes: more than the kernel's buffers take
GENEROUS = 8.0  # seconds that something quick may take on a slow machine


opened: list[http.client.HTTPConnection] = []


@pytest.fixture(autouse=True)
def close_connections() -> Iterator[None]:
    """Close what `connect` has opened when the test ends."""
    yield
    while opened:
        opened.pop().close()


def connect(server: ScriptedServer, timeout: float = GENEROUS) -> http.client.HTTPConnection:
    opened.append(http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout))
    return opened[-1]


def ask(
    connection: http.client.HTTPConnection, method: str = "GET", target: str = "/", body: bytes | None = None
) -> tuple[int, bytes]:
    connection.request(method, target, body=body)
    response = connection.getresponse()
    return response.status, response.read()


# Answers


def test_steps_are_answered_in_order_and_requests_recorded() -> None:
    """Each request gets its step; what was asked is there to look at, in any case of header names."""
    with ScriptedServer([Step(respond(200, b"one", etag="e1")), respond(201, b"two")]) as server:
        connection = connect(server)
        connection.request("PUT", "/bucket/a%20b?x=1&empty", body=b"payload", headers={"X-Amz-Thing": "v"})
        response = connection.getresponse()
        assert (response.status, response.read(), response.headers["ETag"]) == (200, b"one", '"e1"')
        assert ask(connection) == (201, b"two")
    first, second = server.requests
    assert (first.number, first.connection, first.method) == (0, 0, "PUT")
    assert (first.target, first.path) == ("/bucket/a%20b?x=1&empty", "/bucket/a b")
    assert first.query == {"x": "1", "empty": ""}
    assert first.headers["X-AMZ-THING"] == "v"
    assert "x-amz-thing" in first.headers
    assert (first.body, first.complete) == (b"payload", True)
    assert second.number == 1


def test_connections_are_kept_alive_and_counted() -> None:
    """Two requests of one client share a connection; `close` ends it with a word, for both sides."""
    with ScriptedServer([respond(), respond(close=True), respond()]) as server:
        connection = connect(server)
        ask(connection)
        assert (server.connections, server.open_connections) == (1, 1)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.read() == b""
        assert response.headers["Connection"] == "close"
        eventually(lambda: server.open_connections == 0)
        ask(connection)
        assert server.connections == 2
        assert [request.connection for request in server.requests] == [0, 0, 1]


def test_then_close_leaves_a_stale_connection_behind() -> None:
    """The answer promises keep-alive, and the next request on the connection finds it closed."""
    with ScriptedServer([respond(200, b"fine", then_close=True)]) as server:
        connection = connect(server)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.read() == b"fine"
        assert not response.will_close
        eventually(lambda: server.open_connections == 0)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            ask(connection)


def test_chunked_bodies_go_both_ways() -> None:
    """A chunked request body is put together; a chunked answer is what it was."""
    body = period_free(200_000)
    with ScriptedServer([respond(200, body, chunked=True), respond(200, b"", chunked=True)]) as server:
        pool = urllib3.PoolManager()
        response = pool.request("PUT", server.url, body=iter([b"abc", b"def"]), retries=False)
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert response.data == body
        assert pool.request("GET", server.url, retries=False).data == b""
    assert server.requests[0].body == b"abcdef"


def test_expect_100_continue_is_answered_before_the_body() -> None:
    """A client that waits for 100 Continue gets it, and then the answer."""
    with (
        ScriptedServer([respond(200, b"ok")]) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=GENEROUS) as client,
    ):
        client.sendall(b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.requests[0].body == b"abc"


def test_head_gets_no_body_whatever_the_step_says() -> None:
    """Also an error to a HEAD is a head alone, and the connection stays in step."""
    with ScriptedServer(
        [s3_error(404, "NoSuchKey"), respond(200, headers={"Content-Length": "77"})]
    ) as server:
        connection = connect(server)
        assert ask(connection, "HEAD") == (404, b"")
        connection.request("HEAD", "/")
        assert connection.getresponse().headers["Content-Length"] == "77"
    assert server.connections == 1


def test_s3_error_is_an_error_document() -> None:
    """Code, escaped message, request id and content type are S3's."""
    with ScriptedServer([s3_error(503, "SlowDown", "a < b", headers={"Retry-After": "1"})]) as server:
        connection = connect(server)
        connection.request("GET", "/")
        response = connection.getresponse()
        text = response.read().decode()
    assert response.status == 503
    assert response.headers["Content-Type"] == "application/xml"
    assert response.headers["Retry-After"] == "1"
    assert "<Code>SlowDown</Code><Message>a &lt; b</Message><RequestId>" in text


def test_raw_sends_exactly_these_bytes() -> None:
    """Nothing is added to raw bytes."""
    with ScriptedServer([raw(b"HTTP/1.1 200 Fine\r\nX: y\r\n\r\nuntil the end")]) as server:
        connection = connect(server)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert (response.reason, response.getheaders()) == ("Fine", [("X", "y")])
        assert response.read() == b"until the end"


# Faults


def test_cut_declares_all_and_sends_some() -> None:
    """The client sees the whole length declared and the connection end before it."""
    with ScriptedServer([cut(200, b"0123456789", after=4, etag="e")]) as server:
        connection = connect(server)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.headers["Content-Length"] == "10"
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
        assert caught.value.partial == b"0123"


def test_cut_with_reset_sends_a_rst() -> None:
    """The client's read fails with a connection reset, not with an end."""
    with (
        ScriptedServer([cut(200, b"x" * 1000, after=4, reset=True)]) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=GENEROUS) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            while client.recv(10):
                pass


def test_close_reads_all_and_answers_nothing() -> None:
    """The request arrived whole, and its response is lost."""
    body = period_free(MIB)
    with ScriptedServer([close()]) as server, pytest.raises(http.client.RemoteDisconnected):
        ask(connect(server), "PUT", "/", body)
    assert server.requests[0].body == body


def test_close_before_body_resets_the_sender() -> None:
    """The sender of a large body is reset, and the body was not read."""
    with (
        ScriptedServer([close_before_body()]) as server,
        pytest.raises((ConnectionError, http.client.RemoteDisconnected)),
    ):
        ask(connect(server), "PUT", "/", bytes(LONG))
    assert (server.requests[0].body, server.requests[0].complete) == (b"", False)


def test_stall_says_nothing_until_the_client_gives_up() -> None:
    """The client times out, the server notices that it went, and leaving the `with` does not hang."""
    with ScriptedServer([stall(), stall()]) as server:
        connection = connect(server, timeout=0.2)
        with pytest.raises(TimeoutError):
            ask(connection)
        eventually(lambda: server.requests)
        assert server.open_connections == 1
        connection.close()
        eventually(lambda: server.open_connections == 0)
        patient = connect(server)
        patient.request("GET", "/")
        eventually(lambda: len(server.requests) == 2)
        started = time.monotonic()
    assert time.monotonic() - started < GENEROUS


def test_stall_with_an_end_closes_without_an_answer() -> None:
    """After its seconds, a stall closes."""
    with ScriptedServer([stall(0.05)]) as server, pytest.raises(http.client.RemoteDisconnected):
        ask(connect(server))


def test_stall_body_stops_after_some_bytes() -> None:
    """The head and some bytes come, the rest does not; with seconds it does."""
    with ScriptedServer(
        [stall_body(200, b"abcdef", after=3), stall_body(200, b"abcdef", after=3, seconds=0.05)]
    ) as s:
        connection = connect(s)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.read(3) == b"abc"
        connection.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            response.read(3)
        response.close()
        assert ask(connect(s)) == (200, b"abcdef")


def test_trickle_never_stalls_one_read() -> None:
    """The body takes longer than the timeout of one read, and arrives."""
    with ScriptedServer([trickle(200, b"abcdefghij", interval=0.05, chunk=2)]) as server:
        started = time.monotonic()
        assert ask(connect(server, timeout=5)) == (200, b"abcdefghij")
        assert time.monotonic() - started >= 0.15


def test_dont_read_stalls_the_sender() -> None:
    """A large body does not go out; the server took no more than it was told to."""
    with ScriptedServer([dont_read(after=1000)], receive_buffer=16 * 1024) as server:
        with pytest.raises(TimeoutError):
            ask(connect(server, timeout=0.3), "PUT", "/", bytes(LONG))
        eventually(lambda: server.requests)
    assert not server.requests[0].complete


def test_early_answers_a_large_upload_from_its_head() -> None:
    """The answer is readable, although the body was not asked for."""
    with (
        ScriptedServer([early(s3_error(503, "SlowDown"))]) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=GENEROUS) as client,
    ):
        client.sendall(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nsome")
        assert client.recv(100).startswith(b"HTTP/1.1 503 ")
    assert server.requests[0].body == b""


def test_delay_and_apply_come_before_the_answer() -> None:
    """The action has run when the answer arrives, and a delay waits at least its time."""
    events: list[str] = []
    with ScriptedServer([apply(lambda: events.append("applied"), delay(0.1, respond(200, b"ok")))]) as server:
        started = time.monotonic()
        assert ask(connect(server)) == (200, b"ok")
        assert time.monotonic() - started >= 0.1
    assert events == ["applied"]


def test_tls_is_verified_with_its_own_authority() -> None:
    """A client that trusts `ca_path` is served, another one refuses, and a cut body ends early."""
    with ScriptedServer([respond(200, b"secret"), cut(200, b"0123456789", after=4)], tls=True) as server:
        assert server.url.startswith("https://127.0.0.1:")
        trusting = urllib3.PoolManager(ca_certs=server.ca_path, retries=False)
        assert trusting.request("GET", server.url).data == b"secret"
        with pytest.raises(urllib3.exceptions.SSLError):
            urllib3.PoolManager(retries=False).request("GET", server.url)
        with pytest.raises(urllib3.exceptions.ProtocolError):
            trusting.request("GET", server.url)
    assert server.connections == 2


def test_tls_server_stops_while_a_client_has_not_shaken_hands() -> None:
    """Leaving the `with` does not wait for a client that connects and says nothing."""
    with ScriptedServer([], tls=True) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        eventually(lambda: server.open_connections == 1)
        started = time.monotonic()
    client.close()
    assert time.monotonic() - started < GENEROUS


def test_tls_stall_ends_with_the_server() -> None:
    """A stalled TLS connection does not hold the server up either."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with ScriptedServer([stall()], tls=True) as server:
        opened.append(http.client.HTTPSConnection("127.0.0.1", server.port, context=context))
        opened[-1].request("GET", "/")
        eventually(lambda: server.requests)
        started = time.monotonic()
    assert time.monotonic() - started < GENEROUS


def test_handler_serves_in_parallel() -> None:
    """Requests that wait for each other are all answered: the handler is called concurrently."""
    barrier = threading.Barrier(4, timeout=GENEROUS)

    def handler(request: Request) -> Answer:
        barrier.wait()
        return respond(200, request.path.encode())

    results: list[tuple[int, bytes]] = []
    with ScriptedServer(handler=handler) as server:
        threads = [
            threading.Thread(target=lambda n=n: results.append(ask(connect(server), target=f"/{n}")))
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(results) == [(200, f"/{n}".encode()) for n in range(4)]


def test_before_body_answers_from_the_head() -> None:
    """A handler is not asked where `before_body` has answered."""

    def before_body(request: Request) -> Answer | None:
        return close_before_body() if request.method == "PUT" else None

    with ScriptedServer(handler=lambda _: respond(200, b"ok"), before_body=before_body) as server:
        assert ask(connect(server)) == (200, b"ok")
        with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
            ask(connect(server), "PUT", "/", bytes(LONG))


def test_a_client_that_breaks_off_its_body_is_recorded_as_incomplete() -> None:
    """Half a body is no request to answer, and no error of the server."""
    with ScriptedServer(handler=lambda _: respond()) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
        eventually(lambda: server.requests)
    assert (server.requests[0].body, server.requests[0].complete) == (b"abc", False)


# Mistakes of a script


def test_failed_expectation_is_raised_on_leaving() -> None:
    """The client gets a 400 that is not worth a retry, the test the assertion."""
    with (
        pytest.raises(AssertionError, match="expected the method PUT"),
        ScriptedServer([Step(respond(), expects("PUT"))]) as server,
    ):
        status, body = ask(connect(server))
        assert status == 400
        assert b"ScriptFailed" in body


def test_unused_steps_are_raised_on_leaving() -> None:
    """A script that was not played to its end fails."""
    with (
        pytest.raises(AssertionError, match="1 scripted steps were not used"),
        ScriptedServer([respond(), respond()]) as server,
    ):
        ask(connect(server))


def test_request_after_the_end_of_the_script_is_raised_on_leaving() -> None:
    """A request too many fails, also where the client was content with its answer."""
    with (
        pytest.raises(AssertionError, match=r"request 1 .*after the end of the script"),
        ScriptedServer([respond()]) as server,
    ):
        ask(connect(server))
        ask(connect(server), target="/again")


@pytest.mark.parametrize("place", ["handler", "action"])
def test_exception_in_a_callback_is_raised_on_leaving(place: str) -> None:
    """Whatever a callback raises reaches the test, even an OSError, which is no client that left."""

    def fail(*_: object) -> Any:
        raise FileNotFoundError("from the callback")

    handler: Callable[[Request], Answer] = fail if place == "handler" else lambda _: apply(fail, respond())
    with (
        pytest.raises(FileNotFoundError, match="from the callback"),
        ScriptedServer(handler=handler) as server,
    ):
        with_callback = connect(server)
        with_callback.request("GET", "/")
        try:
            with_callback.getresponse().read()
        except http.client.RemoteDisconnected:
            assert place == "action"


def test_exception_of_the_body_is_not_masked() -> None:
    """The exception of the `with` body goes on, and carries the server's problem as a note."""
    with pytest.raises(KeyError) as caught, ScriptedServer([respond()]):
        raise KeyError("mine")
    assert "not used" in "".join(
        getattr(caught.value, "__notes__", ["not used: notes are new in Python 3.11"])
    )


def test_expects_checks_what_it_was_given() -> None:
    """Query, headers, absent headers and body are each able to fail."""
    head = b"PUT /b/k?n=1 HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nhi"
    with (
        ScriptedServer(handler=lambda _: respond()) as server,
        socket.create_connection(("127.0.0.1", server.port)) as client,
    ):
        client.sendall(head)
        client.recv(100)
    request = server.requests[0]
    expects("PUT", "/b/k", query={"n": "1"}, headers={"x-a": "1"}, absent=["x-b"], body=b"hi")(request)
    wrong: list[dict[str, Any]] = [
        {"path": "/b"},
        {"query": {"n": "2"}},
        {"headers": {"x-b": "1"}},
        {"absent": ["X-A"]},
        {"body": b"ho"},
    ]
    for arguments in wrong:
        with pytest.raises(AssertionError):
            expects(**arguments)(request)


# The S3 in memory


@pytest.fixture
def fake() -> FakeS3:
    return FakeS3("bucket")


@pytest.fixture
def s3(fake: FakeS3) -> Iterator[Any]:
    with ScriptedServer(handler=fake) as server:
        client = boto_client(server.url)
        yield client
        client.close()


def boto_client(url: str, key: str = "key", secret: str = "secret") -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def code(call: Callable[..., object], **arguments: object) -> str:
    """Return the error code that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_fake_objects_come_back_as_they_were_put(s3: Any, fake: FakeS3) -> None:
    """Bytes, ETag, metadata, content type and checksum of a PUT are those of GET and HEAD."""
    body = period_free(1000)
    put = s3.put_object(Bucket="bucket", Key="a b/ü", Body=body, Metadata={"tok": "1"}, ContentType="text/x")
    etag = f'"{hashlib.md5(body).hexdigest()}"'
    got = s3.get_object(Bucket="bucket", Key="a b/ü", ChecksumMode="ENABLED")
    head = s3.head_object(Bucket="bucket", Key="a b/ü")
    assert put["ETag"] == got["ETag"] == head["ETag"] == etag
    assert got["Body"].read() == body
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (1000, "text/x", {"tok": "1"})
    assert got["ChecksumCRC32"] == crc32(body)
    assert fake.objects["bucket", "a b/ü"].metadata == {"tok": "1"}
    s3.delete_object(Bucket="bucket", Key="a b/ü")
    assert code(s3.get_object, Bucket="bucket", Key="a b/ü") == "NoSuchKey"
    assert code(s3.head_object, Bucket="bucket", Key="a b/ü") == "404"


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=990-5000", 990, 1000),
        ("bytes=990-", 990, 1000),
        ("bytes=-10", 990, 1000),
        ("bytes=-5000", 0, 1000),
    ],
)
def test_fake_ranges(s3: Any, fake: FakeS3, header: str, start: int, stop: int) -> None:
    """A range is 206 with its bytes and Content-Range."""
    body = period_free(1000)
    fake.put("bucket", "k", body)
    got = s3.get_object(Bucket="bucket", Key="k", Range=header)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ContentRange"] == f"bytes {start}-{stop - 1}/1000"
    assert got["Body"].read() == body[start:stop]


def test_fake_range_behind_the_end_is_416(s3: Any, fake: FakeS3) -> None:
    """Also of an empty object, of which no range exists."""
    fake.put("bucket", "k", b"abc")
    fake.put("bucket", "empty", b"")
    assert code(s3.get_object, Bucket="bucket", Key="k", Range="bytes=3-") == "InvalidRange"
    assert code(s3.get_object, Bucket="bucket", Key="empty", Range="bytes=0-0") == "InvalidRange"


def test_fake_conditions_of_reads_and_deletes(s3: Any, fake: FakeS3) -> None:
    """If-Match fails with 412, If-None-Match with 304, and a DELETE deletes only what it names."""
    etag = fake.put("bucket", "k", b"abc").etag
    key = {"Bucket": "bucket", "Key": "k"}
    assert s3.get_object(**key, IfMatch=etag)["Body"].read() == b"abc"
    assert code(s3.get_object, **key, IfMatch='"other"') == "PreconditionFailed"
    assert code(s3.head_object, **key, IfMatch='"other"') == "412"
    assert code(s3.get_object, **key, IfNoneMatch=etag) == "304"
    assert code(s3.delete_object, **key, IfMatch='"other"') == "PreconditionFailed"
    s3.delete_object(**key, IfMatch=etag)
    assert fake.objects == {}


def test_fake_conditions_of_writes(s3: Any, fake: FakeS3) -> None:
    """Create and compare-and-swap hold; If-Match on a missing key is NoSuchKey."""
    key = {"Bucket": "bucket", "Key": "k"}
    etag = s3.put_object(**key, Body=b"1", IfNoneMatch="*")["ETag"]
    assert code(s3.put_object, **key, Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
    assert code(s3.put_object, **key, Body=b"2", IfMatch='"other"') == "PreconditionFailed"
    assert code(s3.put_object, Bucket="bucket", Key="missing", Body=b"2", IfMatch=etag) == "NoSuchKey"
    assert fake.objects["bucket", "k"].body == b"1"
    s3.put_object(**key, Body=b"3", IfMatch=etag)
    assert fake.objects["bucket", "k"].body == b"3"


@pytest.mark.parametrize(
    "header", [{"ChecksumCRC32": "AAAAAA=="}, {"ContentMD5": base64.b64encode(bytes(16)).decode()}]
)
def test_fake_refuses_a_body_that_is_not_what_was_sent(s3: Any, fake: FakeS3, header: dict[str, str]) -> None:
    """A wrong checksum is BadDigest, and nothing is stored."""
    assert code(s3.put_object, Bucket="bucket", Key="k", Body=b"1", **header) == "BadDigest"
    assert fake.objects == {}


def upload_parts(s3: Any, bodies: list[bytes], key: str = "k") -> tuple[str, dict[str, Any]]:
    created = s3.create_multipart_upload(
        Bucket="bucket", Key=key, Metadata={"tok": "1"}, ChecksumAlgorithm="CRC32"
    )
    upload_id = created["UploadId"]
    parts = []
    for number, body in enumerate(bodies, 1):
        sent = s3.upload_part(Bucket="bucket", Key=key, UploadId=upload_id, PartNumber=number, Body=body)
        checksum = {"ChecksumCRC32": sent["ChecksumCRC32"]} if "ChecksumCRC32" in sent else {}
        parts.append({"PartNumber": number, "ETag": sent["ETag"], **checksum})
    return upload_id, {"Parts": parts}


def test_fake_multipart_upload(s3: Any, fake: FakeS3) -> None:
    """Parts are listed, nothing is visible before Complete, and the ETag is that of S3."""
    bodies = [period_free(5 * MIB, 1), period_free(100, 2)]
    upload_id, parts = upload_parts(s3, bodies)
    upload = {"Bucket": "bucket", "Key": "k", "UploadId": upload_id}
    assert fake.objects == {}
    assert [found["UploadId"] for found in s3.list_multipart_uploads(Bucket="bucket")["Uploads"]] == [
        upload_id
    ]
    first = s3.list_parts(**upload, MaxParts=1)
    rest = s3.list_parts(**upload, PartNumberMarker=first["NextPartNumberMarker"])
    assert (first["IsTruncated"], rest["IsTruncated"]) == (True, False)
    assert [part["Size"] for part in first["Parts"] + rest["Parts"]] == [5 * MIB, 100]
    done = s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    digests = b"".join(hashlib.md5(body).digest() for body in bodies)
    assert done["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-2"'
    stored = fake.objects["bucket", "k"]
    assert (stored.body, stored.metadata) == (b"".join(bodies), {"tok": "1"})
    assert fake.uploads == {}


def test_fake_complete_keeps_its_conditions_and_the_upload(s3: Any, fake: FakeS3) -> None:
    """A Complete that fails with 412 leaves the upload open, and Abort ends it."""
    fake.put("bucket", "k", b"there")
    upload_id, parts = upload_parts(s3, [b"1"])
    upload = {"Bucket": "bucket", "Key": "k", "UploadId": upload_id}
    complete = s3.complete_multipart_upload
    assert code(complete, **upload, MultipartUpload=parts, IfNoneMatch="*") == "PreconditionFailed"
    assert code(complete, **upload, MultipartUpload=parts, IfMatch='"other"') == "PreconditionFailed"
    assert fake.objects["bucket", "k"].body == b"there"
    assert list(fake.uploads) == [upload_id]
    s3.abort_multipart_upload(**upload)
    assert code(s3.abort_multipart_upload, **upload) == "NoSuchUpload"
    assert fake.uploads == {}


def test_fake_complete_checks_what_it_is_told(s3: Any) -> None:
    """Wrong ETags, a wrong order, small parts, a wrong size and no parts are each an error."""
    upload_id, parts = upload_parts(s3, [b"1", b"2"])
    one, two = parts["Parts"]
    upload = {"Bucket": "bucket", "Key": "k", "UploadId": upload_id}

    def failure(listed: list[dict[str, Any]], **more: object) -> str:
        return code(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": listed}, **more)

    assert failure([one | {"ETag": '"no"'}]) == "InvalidPart"
    assert failure([two, one]) == "InvalidPartOrder"
    assert failure([one, two]) == "EntityTooSmall"
    assert failure([one], MpuObjectSize=7) == "InvalidRequest"
    assert failure([{"PartNumber": 1, "ETag": one["ETag"]}]) == "InvalidRequest"
    assert failure([]) == "MalformedXML"


@pytest.mark.parametrize("replay_ok", [False, True])
def test_fake_replayed_complete(s3: Any, fake: FakeS3, replay_ok: bool) -> None:
    """A second Complete is NoSuchUpload, or the same answer where the store does as AWS does."""
    fake.replay_ok = replay_ok
    upload_id, parts = upload_parts(s3, [b"1"])
    complete = {"Bucket": "bucket", "Key": "k", "UploadId": upload_id, "MultipartUpload": parts}
    etag = s3.complete_multipart_upload(**complete)["ETag"]
    if replay_ok:
        assert s3.complete_multipart_upload(**complete)["ETag"] == etag
    else:
        assert code(s3.complete_multipart_upload, **complete) == "NoSuchUpload"


def test_fake_copies(s3: Any, fake: FakeS3) -> None:
    """Copies keep or replace metadata, keep conditions on both sides, and parts can be copied."""
    etag = fake.put("bucket", "a b", b"0123456789", tok="1").etag
    source = {"Bucket": "bucket", "Key": "a b"}
    copy = {"Bucket": "bucket", "CopySource": source}
    assert s3.copy_object(**copy, Key="c", CopySourceIfMatch=etag)["CopyObjectResult"]["ETag"] == etag
    assert fake.objects["bucket", "c"].metadata == {"tok": "1"}
    assert code(s3.copy_object, **copy, Key="d", CopySourceIfMatch='"no"') == "PreconditionFailed"
    assert code(s3.copy_object, **copy, Key="c", IfNoneMatch="*") == "PreconditionFailed"
    s3.copy_object(**copy, Key="c", Metadata={"tok": "2"}, MetadataDirective="REPLACE")
    assert fake.objects["bucket", "c"].metadata == {"tok": "2"}
    upload_id = s3.create_multipart_upload(Bucket="bucket", Key="p")["UploadId"]
    part = {"Key": "p", "UploadId": upload_id, "PartNumber": 1, "CopySourceRange": "bytes=2-4"}
    assert code(s3.upload_part_copy, **copy, **part, CopySourceIfMatch='"no"') == "PreconditionFailed"
    s3.upload_part_copy(**copy, **part, CopySourceIfMatch=etag)
    assert fake.uploads[upload_id].parts[1].body == b"234"


def test_fake_tags_and_access(s3: Any, fake: FakeS3) -> None:
    """Tags come with a write, are replaced, removed and counted; copies keep them, but no ACL."""
    key = {"Bucket": "bucket", "Key": "k"}
    s3.put_object(**key, Body=b"1", Tagging="a=1&b=%20", ACL="public-read")
    assert fake.objects["bucket", "k"].acl == "public-read"
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": " "}]
    assert s3.get_object_tagging(**key)["TagSet"] == tags
    assert s3.head_object(**key)["ResponseMetadata"]["HTTPHeaders"]["x-amz-tagging-count"] == "2"
    source = {"Bucket": "bucket", "CopySource": key}
    s3.copy_object(**source, Key="copy")
    assert (fake.objects["bucket", "copy"].tags, fake.objects["bucket", "copy"].acl) == (
        {"a": "1", "b": " "},
        "private",
    )
    s3.copy_object(**source, Key="copy", TaggingDirective="REPLACE", Tagging="c=3")
    assert fake.objects["bucket", "copy"].tags == {"c": "3"}
    s3.put_object_tagging(**key, Tagging={"TagSet": [{"Key": "d", "Value": "<&>"}]})
    assert fake.objects["bucket", "k"].tags == {"d": "<&>"}
    s3.delete_object_tagging(**key)
    assert s3.get_object_tagging(**key)["TagSet"] == []
    s3.put_object_acl(**key, ACL="authenticated-read")
    assert fake.objects["bucket", "k"].acl == "authenticated-read"
    assert code(s3.get_object_tagging, Bucket="bucket", Key="none") == "NoSuchKey"
    upload = {
        "Key": "p",
        "UploadId": s3.create_multipart_upload(Bucket="bucket", Key="p", Tagging="e=5")["UploadId"],
    }
    etag = s3.upload_part(Bucket="bucket", **upload, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(Bucket="bucket", **upload, MultipartUpload=parts)
    assert fake.objects["bucket", "p"].tags == {"e": "5"}


LISTED = ["a", "b/1", "b/2", "c d", "c/x/y", "d+", "é", "\uf900", "😀"]


def listing(s3: Any, **arguments: object) -> list[str]:
    """Return the names of all pages, of keys and common prefixes, each page sorted."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="bucket", **arguments)
    names: list[str] = []
    for page in pages:
        found = [item["Key"] for item in page.get("Contents", [])]
        found += [item["Prefix"] for item in page.get("CommonPrefixes", [])]
        assert page["KeyCount"] == len(found)
        names += sorted(found)
    return names


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_fake_listings_come_in_pages(s3: Any, fake: FakeS3, size: int) -> None:
    """Every key and common prefix comes once and in order, whatever the size of the pages."""
    for key in LISTED:
        fake.put("bucket", key, b"")
    pages = {"PaginationConfig": {"PageSize": size}}
    assert listing(s3, **pages) == LISTED
    assert listing(s3, Delimiter="/", **pages) == ["a", "b/", "c d", "c/", "d+", "é", "\uf900", "😀"]
    assert listing(s3, Prefix="b/", Delimiter="/", **pages) == ["b/1", "b/2"]
    assert listing(s3, Prefix="c", Delimiter="/", **pages) == ["c d", "c/"]
    assert listing(s3, StartAfter="b/1", **pages) == LISTED[2:]
    assert listing(s3, StartAfter="b/1", Delimiter="/", Prefix="b", **pages) == ["b/"]
    assert listing(s3, Prefix="none", **pages) == []


def test_fake_listing_encodes_keys_as_s3_does(s3: Any, fake: FakeS3) -> None:
    """encoding-type=url turns a space into a plus sign, keeps slashes, and carries control characters."""
    for key in ("c d/e", "d+", "tab\tend\x01"):
        fake.put("bucket", key, b"")
    with ScriptedServer(handler=fake) as server:
        _, body = ask(connect(server), target="/bucket?list-type=2&encoding-type=url")
    assert re.findall("<Key>(.*?)</Key>", body.decode()) == ["c+d/e", "d%2B", "tab%09end%01"]
    assert listing(s3) == ["c d/e", "d+", "tab\tend\x01"]


def test_fake_deletes_objects_together(s3: Any, fake: FakeS3) -> None:
    """Each key is deleted or reported, missing ones count as deleted, and a checksum is demanded."""
    for key in ("a&b", "c"):
        fake.put("bucket", key, b"")
    wanted = [{"Key": "a&b"}, {"Key": "c", "ETag": '"no"'}, {"Key": "missing"}]
    result = s3.delete_objects(Bucket="bucket", Delete={"Objects": wanted})
    assert [item["Key"] for item in result["Deleted"]] == ["a&b", "missing"]
    assert [(item["Key"], item["Code"]) for item in result["Errors"]] == [("c", "PreconditionFailed")]
    assert list(fake.objects) == [("bucket", "c")]
    with ScriptedServer(handler=fake) as server:
        assert ask(connect(server), "POST", "/bucket?delete", b"<Delete/>")[0] == 400


def test_fake_buckets(s3: Any, fake: FakeS3) -> None:
    """Buckets are created, listed, and deleted when empty; others do not exist."""
    s3.create_bucket(Bucket="second")
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["bucket", "second"]
    fake.put("second", "k", b"")
    assert code(s3.delete_bucket, Bucket="second") == "BucketNotEmpty"
    s3.put_bucket_acl(Bucket="second", ACL="public-read")
    assert fake.bucket_acls == {"second": "public-read"}
    assert "Status" not in s3.get_bucket_versioning(Bucket="second")
    s3.put_bucket_versioning(Bucket="second", VersioningConfiguration={"Status": "Suspended"})
    assert s3.get_bucket_versioning(Bucket="second")["Status"] == "Suspended"
    fake.objects.clear()
    s3.delete_bucket(Bucket="second")
    assert code(s3.head_bucket, Bucket="second") == "404"
    assert code(s3.put_object, Bucket="second", Key="k") == "NoSuchBucket"


def test_fake_lies_where_told(s3: Any, fake: FakeS3) -> None:
    """Ignored conditions overwrite, an ignored range is 200 with all, and GET claims another ETag."""
    key = {"Bucket": "bucket", "Key": "k"}
    fake.put("bucket", "k", b"abc")
    fake.ignore_conditions = fake.ignore_range = True
    fake.etag_override = "lie"
    s3.put_object(**key, Body=b"new", IfNoneMatch="*")
    got = s3.get_object(**key, Range="bytes=0-0", IfMatch='"other"')
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (got["Body"].read(), got["ETag"]) == (b"new", '"lie"')
    assert s3.head_object(**key)["ETag"] == fake.objects["bucket", "k"].etag


def test_fake_hooks_come_before_and_after_the_change(fake: FakeS3) -> None:
    """`fault` prevents the change, `after` loses the answer of one that was made."""
    with ScriptedServer(handler=fake) as server:
        fake.fault = lambda request, _: s3_error(503, "SlowDown") if request.method == "PUT" else None
        assert ask(connect(server), "PUT", "/bucket/k", b"1")[0] == 503
        assert fake.objects == {}
        fake.fault = None
        fake.after = lambda _request, reply: close() if reply.status == 200 else None
        with pytest.raises(http.client.RemoteDisconnected):
            ask(connect(server), "PUT", "/bucket/k", b"1")
        assert fake.objects["bucket", "k"].body == b"1"


# Real servers


@pytest.mark.parametrize("name", ["moto", "rclone"])
def test_real_servers_store_objects(name: str, request: pytest.FixtureRequest) -> None:
    """Each real server takes a PUT and a multipart upload, lists both at once, and gives them back."""
    server = request.getfixturevalue(name)
    client = boto_client(server.url, server.key, server.secret)
    with contextlib.suppress(client.exceptions.BucketAlreadyExists):
        client.create_bucket(Bucket="bucket")
    body = period_free(5 * MIB + 100)
    client.put_object(Bucket="bucket", Key="dir/small", Body=body[:100])
    upload_id, parts = upload_parts(client, [body[: 5 * MIB], body[5 * MIB :]], key="dir/large")
    upload = {"Bucket": "bucket", "Key": "dir/large", "UploadId": upload_id}
    client.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert listing(client, Prefix="dir/") == ["dir/large", "dir/small"]
    assert client.get_object(Bucket="bucket", Key="dir/large")["Body"].read() == body


def test_moto_forgets_on_reset(moto: Any) -> None:
    """After `reset` there is no bucket."""
    client = boto_client(moto.url, moto.key, moto.secret)
    client.create_bucket(Bucket="forgotten")
    moto.reset()
    assert client.list_buckets()["Buckets"] == []


def test_rclone_checks_signatures(rclone: Any) -> None:
    """A wrong secret is refused, and so is a request without a signature."""
    client = boto_client(rclone.url, rclone.key, "wrong")
    assert code(client.list_buckets) == "SignatureDoesNotMatch"
    response = urllib3.PoolManager().request("GET", rclone.url, retries=False)
    assert response.status in (400, 403)
