"""Connections: when they are reused, when not, and what a broken exchange becomes."""

import os
import pickle
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    AccessDeniedError,
    ConnectError,
    IncompleteBodyError,
    ProtocolError,
    ReadTimeoutError,
)
from fsspec_guarded_s3._http.transport import FRESH_SECONDS, Transport
from fsspec_guarded_s3._values.deadline import Deadline
from fsspec_guarded_s3._values.models import WireRequest
from fsspec_guarded_s3.options import Options
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import (
    Answer,
    Request,
    ScriptedServer,
    close,
    cut,
    delay,
    early,
    eventually,
    raw,
    respond,
    s3_error,
    stall,
    trickle,
)
from tests.servers import reserved_port

OK = respond(200, b"body", etag="one")


def get(server: ScriptedServer, *, fresh: bool = False, body: bytes = b"") -> WireRequest:
    """A request to the server, as the signer would hand it over."""
    headers = {"host": f"127.0.0.1:{server.port}", "content-length": str(len(body))}
    scheme = server.url.partition(":")[0]
    return WireRequest("GET", scheme, "127.0.0.1", server.port, "/bucket/key", headers, body, fresh)


def transport(**options: Any) -> Transport:
    """A transport of its own, with short time-outs."""
    return Transport(Options(**{"read_timeout": 5.0, **options}))


def fetch(used: Transport, wire: WireRequest) -> bytes:
    """The body of one exchange."""
    with used.exchange(wire, Deadline(30)) as body:
        return body.read()


def idle_connections(used: Transport) -> list[Any]:
    """The open connections that wait in the pools."""
    return [conn for pool in list(used._pools.values()) for conn in pool.idle()]


def age(used: Transport, seconds: float) -> None:
    """Make the idle connections older."""
    for conn in idle_connections(used):
        conn.idle_since -= seconds


# --- reuse ---


def test_connection_is_kept_alive_and_reused() -> None:
    with ScriptedServer([OK] * 5) as server:
        used = transport()
        assert [fetch(used, get(server)) for _ in range(5)] == [b"body"] * 5
        assert server.connections == 1


def test_filesystem_reuses_one_connection_for_all_operations() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fs.pipe_file("bucket/key", b"data", mode="create")
        assert fs.cat_file("bucket/key") == b"data"
        assert not fs.exists("bucket/nothing")
        assert fs.info("bucket/key")["size"] == 4
        fs.rm_file("bucket/key")
        assert server.connections == 1


@pytest.mark.parametrize(("seconds", "connections"), [(8.0, 1), (10.5, 2)])
def test_connection_idle_for_longer_than_idle_timeout_is_replaced(seconds: float, connections: int) -> None:
    with ScriptedServer([OK, OK]) as server:
        used = transport(idle_timeout=10.0)
        fetch(used, get(server))
        age(used, seconds)
        assert fetch(used, get(server)) == b"body"
        assert server.connections == connections
        eventually(lambda: server.open_connections == 1)


@pytest.mark.parametrize(("fresh", "connections"), [(False, 1), (True, 2)])
def test_request_that_must_not_be_replayed_takes_a_fresh_connection(fresh: bool, connections: int) -> None:
    with ScriptedServer([OK, OK]) as server:
        used = transport()
        fetch(used, get(server))
        age(used, FRESH_SECONDS + 0.5)
        assert fetch(used, get(server, fresh=fresh)) == b"body"
        assert server.connections == connections


def test_conditional_put_takes_a_fresh_connection() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fs.pipe_file("bucket/one", b"")
        age(fs._client.store.transport, FRESH_SECONDS + 0.5)
        fs.pipe_file("bucket/two", b"")
        assert server.connections == 1
        age(fs._client.store.transport, FRESH_SECONDS + 0.5)
        fs.pipe_file("bucket/three", b"", mode="create")
        assert server.connections == 2


@pytest.mark.parametrize("dead", [close(), stall(None)], ids=["closed", "silent"])
@pytest.mark.parametrize("call", ["read", "write", "list"])
def test_one_dead_connection_is_enough_to_distrust_all_that_idled_then(call: str, dead: Answer) -> None:
    """A load balancer that starts anew, or a gateway that forgets, has given up all of them at once."""
    fake = FakeS3("bucket")
    for number in range(8):
        fake.put("bucket", f"key/{number}", b"data")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_attempts=2, recent_listings=0)
        used = fs._client.store.transport
        opened = [used.send(get(server), Deadline(30)) for _ in range(8)]
        for sent in opened:
            with sent.answer(Deadline(30)) as body:
                body.read()
        assert len(idle_connections(used)) == 8
        known, patient = server.connections, used.options

        def fault(request: Request, fake: FakeS3) -> Answer | None:
            used.options = patient
            return dead if request.connection < known else None

        fake.fault = fault
        used.options = replace(patient, read_timeout=0.5)  # for the first attempt
        calls = {
            "read": lambda: fs.cat_file("bucket/key/0"),
            "write": lambda: fs.pipe_file("bucket/key/0", b"new"),
            "list": lambda: fs.ls("bucket/key"),
        }
        calls[call]()
        assert server.connections == known + 1


def test_idle_connection_that_the_server_closed_is_no_error() -> None:
    with ScriptedServer([respond(200, b"body", etag="one", then_close=True), OK]) as server:
        fs = filesystem(server.url)
        assert fs.cat_file("bucket/key") == b"body"
        eventually(lambda: server.open_connections == 0)
        assert fs.cat_file("bucket/key") == b"body"
        assert server.connections == 2


def test_connection_close_is_heeded() -> None:
    with ScriptedServer([respond(200, b"body", close=True), OK]) as server:
        used = transport()
        fetch(used, get(server))
        assert not idle_connections(used)
        assert fetch(used, get(server)) == b"body"


def test_connection_whose_body_broke_is_not_reused() -> None:
    with ScriptedServer([cut(200, b"0123456789", after=4), OK]) as server:
        used = transport()
        with pytest.raises(IncompleteBodyError):
            fetch(used, get(server))
        assert not idle_connections(used)
        assert fetch(used, get(server)) == b"body"
        assert server.connections == 2


def test_connection_whose_body_was_not_read_is_not_reused() -> None:
    with ScriptedServer([respond(200, bytes(MIB)), OK]) as server:
        used = transport()
        with used.exchange(get(server), Deadline(30)) as body:
            assert body.readinto(memoryview(bytearray(10))) == 10
        assert not idle_connections(used)
        assert fetch(used, get(server)) == b"body"


def test_connection_is_not_reused_after_an_exception_of_the_caller() -> None:
    with ScriptedServer([OK]) as server:
        used = transport()
        with pytest.raises(KeyboardInterrupt), used.exchange(get(server), Deadline(30)):
            raise KeyboardInterrupt
        assert not idle_connections(used)


@pytest.mark.parametrize("status", [204, 304])
def test_response_without_a_body_leaves_the_connection_clean(status: int) -> None:
    with ScriptedServer([respond(status), OK]) as server:
        used = transport()
        assert fetch(used, get(server)) == b""
        assert fetch(used, get(server)) == b"body"
        assert server.connections == 1


def test_head_response_with_a_length_leaves_the_connection_clean() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", bytes(100))
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert [fs.size("bucket/key") for _ in range(3)] == [100] * 3
        assert server.connections == 1


def test_close_leaves_no_connection() -> None:
    with ScriptedServer([OK]) as server:
        used = transport()
        fetch(used, get(server))
        used.close()
        eventually(lambda: server.open_connections == 0)
        assert repr(used) == "<Transport pools=0>"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_child_of_a_fork_reads_with_connections_of_its_own() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", b"0123456789" * 10)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, range_size=20)
        assert len(fs.cat_file("bucket/key")) == 100
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if fs.cat_file("bucket/key") == b"0123456789" * 10 else 2
            finally:
                os._exit(code)
        status: list[int] = []

        def ended() -> bool:
            found, result = os.waitpid(child, os.WNOHANG)
            status.extend([result] if found else [])
            return bool(found)

        eventually(ended, timeout=30)
        assert os.waitstatus_to_exitcode(status[0]) == 0
        assert len(fs.cat_file("bucket/key")) == 100


# --- the connection itself ---


def test_tls_is_verified() -> None:
    with ScriptedServer([], tls=True) as server:
        with pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED") as caught:
            filesystem(server.url, max_attempts=1).cat_file("bucket/key")
        assert not caught.value.request_sent
        assert not caught.value.maybe_applied


def test_tls_works_with_the_bundle_of_its_authority() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake, tls=True) as server:
        fs = filesystem(server.url, ca_bundle=server.ca_path)
        fs.pipe_file("bucket/key", bytes(MIB))
        assert fs.cat_file("bucket/key") == bytes(MIB)
        assert server.connections == 1


def test_ca_bundle_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer([OK], tls=True) as server:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(server.ca_path))
        assert filesystem(server.url).cat_file("bucket/key") == b"body"


def test_socket_options_are_set() -> None:
    with ScriptedServer([OK]) as server:
        used = transport(send_timeout=7.0)
        fetch(used, get(server))
        (conn,) = idle_connections(used)
        assert conn.channel.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert conn.channel.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if sys.platform == "linux":
            assert conn.channel.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000


def test_refused_connection_says_that_nothing_was_sent() -> None:
    with reserved_port() as port, pytest.raises(ConnectError) as caught:
        filesystem(f"http://127.0.0.1:{port}", max_attempts=1).pipe_file("bucket/key", b"", mode="create")
    assert isinstance(caught.value, ConnectionError)
    assert not caught.value.request_sent
    assert not caught.value.maybe_applied
    assert "0x" not in str(caught.value)


def around(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes and its contexts."""
    yield error
    for other in (error.__cause__, error.__context__):
        if other is not None:
            yield from around(other)


@pytest.mark.parametrize("reason", [ConnectionRefusedError, TimeoutError, socket.gaierror])
def test_failed_connection_is_pickled_with_its_cause(
    reason: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """dask's workers send errors with causes and contexts, and urllib3's would hold the connection."""
    tblib = pytest.importorskip("tblib.pickling_support", reason="it comes with distributed")

    def fail(*_: Any, **__: Any) -> None:
        raise reason(1, "scripted")

    with ScriptedServer([OK, respond(200, b"body", headers={"connection": "close"})]) as server:
        used = transport()
        assert [fetch(used, get(server)) for _ in range(2)] == [b"body"] * 2
        monkeypatch.setattr("fsspec_guarded_s3._http.connect.dial", fail)
        with pytest.raises(ConnectError) as caught:  # on a connection that was used before
            fetch(used, get(server))
    tblib.install(*around(caught.value))
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (ConnectError, str(caught.value))
    assert type(again.__cause__) is reason


def test_proxy_of_the_environment_is_used_for_other_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer([OK, OK]) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        fs = filesystem("http://example.test", allow_http=True)
        assert fs.cat_file("bucket/key") == b"body"
        assert fs.cat_file("bucket/key") == b"body"
        first = proxy.requests[0]
        assert first.target == "http://example.test/bucket/key"
        assert first.headers["host"] == "example.test"
        assert proxy.connections == 1


def test_proxy_of_the_environment_is_not_used_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer([]) as proxy, ScriptedServer([OK]) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert filesystem(server.url).cat_file("bucket/key") == b"body"
        assert proxy.connections == 0


def test_no_proxy_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer([]) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "invalid")
        with pytest.raises(ConnectError):
            filesystem("http://nowhere.invalid", allow_http=True, max_attempts=1).cat_file("bucket/key")
        assert proxy.connections == 0


# --- heads and bodies ---


def test_chunked_response_is_read_and_its_connection_reused() -> None:
    with ScriptedServer([respond(200, bytes(200_000), chunked=True), OK]) as server:
        used = transport()
        assert fetch(used, get(server)) == bytes(200_000)
        assert fetch(used, get(server)) == b"body"
        assert server.connections == 1


def test_chunked_response_that_is_cut_is_incomplete() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with ScriptedServer([raw(head + b"a\r\n01234")]) as server, pytest.raises(IncompleteBodyError):
        fetch(transport(), get(server))


def test_chunked_error_document_is_read() -> None:
    body = b"<Error><Code>AccessDenied</Code></Error>"
    with ScriptedServer([respond(403, body, chunked=True)]) as server:
        with pytest.raises(AccessDeniedError) as caught:
            filesystem(server.url).cat_file("bucket/key")
        assert caught.value.code == "AccessDenied"


def test_folded_and_repeated_header_lines_are_joined() -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Long: one\r\n two\r\nX-Two: a\r\nx-two: b\r\nContent-Length: 0\r\n\r\n"
    soon = Deadline(30)
    with ScriptedServer([raw(head)]) as server, transport().exchange(get(server), soon) as body:
        assert body.headers["x-long"] == "one two"
        assert body.headers["x-two"] == "a, b"


def test_interim_responses_are_skipped() -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
    with ScriptedServer([raw(data)]) as server:
        assert fetch(transport(), get(server)) == b"body"


def test_body_without_a_length_ends_with_the_connection_and_is_not_reused() -> None:
    with ScriptedServer([raw(b"HTTP/1.1 200 OK\r\n\r\nbody"), OK]) as server:
        used = transport()
        assert fetch(used, get(server)) == b"body"
        assert fetch(used, get(server)) == b"body"
        assert server.connections == 2


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 200 OK\r\n : x\r\n\x00\r\n\r\n",
    ],
    ids=lambda data: repr(data[:70]),
)
def test_garbage_is_protocol_error_or_an_incomplete_body(data: bytes) -> None:
    with ScriptedServer([raw(data)]) as server, pytest.raises((ProtocolError, IncompleteBodyError)):
        fetch(transport(), get(server))


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nX: y\r\n"])
def test_head_that_is_cut_is_a_transport_error(data: bytes) -> None:
    with ScriptedServer([raw(data)]) as server, pytest.raises((IncompleteBodyError, ProtocolError)):
        fetch(transport(), get(server))


def test_endless_interim_responses_end_at_the_deadline() -> None:
    """A server that sends nothing but 100 Continue, slowly, is bounded like any other."""
    answer = trickle(100, b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, interval=0.02, chunk=25)
    with ScriptedServer([answer]) as server, pytest.raises(ReadTimeoutError):
        transport().exchange(get(server), Deadline(0.5))


def test_small_answer_that_is_endless_is_refused() -> None:
    soon = Deadline(30)
    with (
        ScriptedServer([respond(200, bytes(100))]) as server,
        transport().exchange(get(server), soon) as body,
        pytest.raises(ProtocolError),
    ):
        body.read(limit=99)


@pytest.mark.parametrize("size", [MIB, 32 * MIB])
def test_early_error_during_a_large_put_is_that_error(size: int) -> None:
    """The store answers before it has read the body: its answer counts, not the broken pipe."""

    def before_body(request: Request) -> Answer | None:
        return early(s3_error(403, "AccessDenied")) if request.method == "PUT" else None

    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake, before_body=before_body) as server:
        with pytest.raises(AccessDeniedError) as caught:
            filesystem(server.url, max_attempts=1).pipe_file("bucket/key", bytes(size))
        assert not caught.value.maybe_applied


def test_header_value_with_a_line_break_is_refused() -> None:
    with ScriptedServer([]) as server:
        wire = get(server)
        bad = WireRequest("GET", "http", wire.host, wire.port, "/", {"host": "x\r\nevil: 1"}, b"")
        with pytest.raises(ValueError, match="line break"):
            fetch(transport(), bad)


def test_the_round_trip_is_that_of_the_quickest_answers() -> None:
    """It decides how many requests go out at once; a slow answer alone makes no store distant."""
    used = transport()
    assert used.round_trip == float("inf"), "not known yet: as if it were distant"
    told = []
    for waited in (0.3, 0.01, 0.31):
        used.learn_round_trip(waited, waited)
        told.append(used.round_trip)
    assert told == pytest.approx([0.3, 0.01, 0.04])


def test_the_first_answer_tells_the_round_trip() -> None:
    used = transport()
    with ScriptedServer([respond(200, b"x")]) as server:
        fetch(used, get(server))
    assert 0 < used.round_trip < 30


def test_an_answer_that_nobody_waited_for_does_not_make_a_store_near() -> None:
    """It was there already when it was asked for; the way took no longer than from sending it until then."""
    with ScriptedServer([delay(0.2, OK)]) as server:
        used = transport()
        sent = used.send(get(server), Deadline(30))
        time.sleep(0.4)
        with sent.answer(Deadline(30)) as body:
            body.read()
    assert 0.2 < used.round_trip < 30
    told = used.round_trip
    used.learn_round_trip(0.0, 2 * told)
    assert used.round_trip == told
    used.learn_round_trip(0.0, told / 2)
    assert used.round_trip == told / 2
    used.learn_round_trip(told, 2 * told)
    assert told / 2 < used.round_trip < told
