"""Every wait ends in time, whatever signals, slow lines and early answers do; and what moves is not ended."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    AccessDeniedError,
    ConnectError,
    GuardedS3Error,
    GuardedS3FileSystem,
    ReadTimeoutError,
    TransportError,
)
from fsspec_guarded_s3._http import connect
from fsspec_guarded_s3._http.incoming import Incoming
from fsspec_guarded_s3._http.timed_socket import Channel
from fsspec_guarded_s3._values.bodies import FileSlice
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import (
    Answer,
    Link,
    Reply,
    Request,
    ScriptedServer,
    dont_read,
    respond,
    s3_error,
    stall,
    stall_body,
    trickle,
)

HUNG = 15.0  # seconds: ten times what the time-outs below allow
BODY = bytes(8 * MIB)


@contextlib.contextmanager
def ends_in_time() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < HUNG


@contextlib.contextmanager
def silent_listener() -> Iterator[int]:
    """A port at which the kernel takes connections, and nobody says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield listener.getsockname()[1]


@contextlib.contextmanager
def full_listener(host: str = "127.0.0.1") -> Iterator[tuple[str, int]]:
    """An address that takes no connection any more, and refuses none: its backlog is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((host, 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()


# --- signals ---


@pytest.fixture
def signals() -> Iterator[None]:
    """Twenty signals a second come to the main thread, and have a handler."""
    if not hasattr(signal, "pthread_kill"):
        pytest.skip("the system has no such signals")
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    done = threading.Event()
    main = threading.main_thread().ident
    assert main is not None

    def send() -> None:
        while not done.wait(0.05):
            signal.pthread_kill(main, signal.SIGUSR1)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        done.set()
        sender.join()
        signal.signal(signal.SIGUSR1, before)


SHORT: dict[str, Any] = {
    "read_timeout": 1.2,
    "send_timeout": 1.2,
    "connect_timeout": 1.2,
    "max_attempts": 1,
}


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("what", ["head", "body", "send", "send file"])
def test_signals_do_not_put_off_a_time_out(what: str, tls: bool, signals: None, tmp_path: Path) -> None:
    answers = {"head": stall(), "body": stall_body(200, b"0123456789", after=3, etag="one")}
    (tmp_path / "file").write_bytes(BODY)
    calls: dict[str, Callable[[GuardedS3FileSystem], object]] = {
        "send": lambda fs: fs.pipe_file("bucket/key", BODY),
        "send file": lambda fs: fs.put_file(str(tmp_path / "file"), "bucket/key"),
    }
    with ScriptedServer(
        handler=lambda request: answers[what],
        before_body=lambda request: dont_read() if what in calls and request.method == "PUT" else None,
        tls=tls,
        receive_buffer=65536,
    ) as server:
        answers |= dict.fromkeys(calls, s3_error(404, "NoSuchKey"))
        fs = filesystem(server.url, ca_bundle=server.ca_path, **SHORT)
        with ends_in_time(), pytest.raises(GuardedS3Error):
            calls.get(what, lambda fs: fs.cat_file("bucket/key"))(fs)


@pytest.mark.parametrize("what", ["connect", "handshake", "proxy"])
def test_signals_do_not_put_off_the_end_of_connecting(
    what: str, signals: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with silent_listener() as silent, full_listener() as (_, full):
        url = {"connect": f"http://127.0.0.1:{full}", "handshake": f"https://127.0.0.1:{silent}"}
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{silent}")
        fs = filesystem(url.get(what, "https://store.test"), **SHORT)
        with ends_in_time(), pytest.raises(ConnectError) as caught:
            fs.cat_file("bucket/key")
        assert not caught.value.maybe_applied


# --- the deadline of a request ---


def test_deadline_bounds_a_name_with_many_dead_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    with full_listener() as dead:
        rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", dead)] * 40
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
        fs = filesystem("http://store.test", allow_http=True, connect_timeout=1.0, request_deadline=1.5)
        with ends_in_time(), pytest.raises(ConnectError):
            fs.cat_file("bucket/key")


def test_address_that_is_dead_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with full_listener() as dead, ScriptedServer([respond(200, b"body", etag="one")]) as server:
        alive = ("127.0.0.1", server.port)
        rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (dead, alive)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
        fs = filesystem("http://store.test", allow_http=True, connect_timeout=0.2, max_attempts=1)
        assert fs.cat_file("bucket/key") == b"body"


def test_connection_that_was_made_while_this_process_stood_still_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = connect.begun

    def suspended(*arguments: Any) -> socket.socket:
        sock = begun(*arguments)
        time.sleep(0.3)
        return sock

    monkeypatch.setattr(connect, "begun", suspended)
    with ScriptedServer([respond(200, b"body", etag="one")]) as server:
        fs = filesystem(server.url, connect_timeout=0.2, max_attempts=1)
        assert fs.cat_file("bucket/key") == b"body"


def test_deadline_bounds_the_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()

    def resolve(*_: Any, **__: Any) -> Any:
        done.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    fs = filesystem("http://store.test", allow_http=True, request_deadline=1.0)
    try:
        with ends_in_time(), pytest.raises(ConnectError, match="not resolved"):
            fs.cat_file("bucket/key")
    finally:
        done.set()


def test_deadline_bounds_a_proxy_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_listener() as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with ends_in_time(), pytest.raises(ConnectError, match=f"proxy http://127.0.0.1:{port}"):
            filesystem("https://store.test", request_deadline=1.0).cat_file("bucket/key")


@pytest.mark.parametrize("tls", [False, True])
def test_body_that_arrives_at_a_rate_is_not_ended_by_the_deadline(tls: bool) -> None:
    """60 KB at 20 KB a second, under a deadline of two seconds."""
    body = os.urandom(60_000)
    with ScriptedServer([trickle(200, body, interval=0.05, chunk=1000, etag="one")], tls=tls) as server:
        fs = filesystem(server.url, ca_bundle=server.ca_path, request_deadline=2.0, max_attempts=1)
        assert fs.cat_file("bucket/key") == body


@pytest.mark.parametrize("min_rate", [0.0, 100_000.0])
def test_body_below_the_rate_or_without_one_is_ended_by_the_deadline(min_rate: float) -> None:
    with ScriptedServer([trickle(200, bytes(10**6), interval=0.05, etag="one")]) as server:
        fs = filesystem(server.url, request_deadline=1.0, max_attempts=1, min_rate=min_rate)
        with ends_in_time(), pytest.raises(ReadTimeoutError):
            fs.cat_file("bucket/key")


@dataclass(frozen=True)
class SlowReader(Answer):
    """Reads the body at some 300 KB a second, then answers."""

    size: int

    @property
    def reads_body(self) -> bool:
        return False

    def play(self, link: Link, request: Request) -> bool:
        left = self.size
        while left and (count := len(link.read(min(left, 15_000)))):
            left -= count
            time.sleep(0.05)
        respond(200, etag="one").play(link, request)
        return False


@pytest.mark.parametrize(("tls", "file"), [(False, False), (False, True), (True, False)])
def test_body_that_leaves_at_a_rate_is_not_ended_by_deadline_or_time_outs(
    tls: bool, file: bool, tmp_path: Path
) -> None:
    """The kernel takes megabytes at once: what it holds is on its way, while nothing can be sent or heard."""
    body = bytes(2 * MIB)
    (tmp_path / "file").write_bytes(body)
    with ScriptedServer(
        handler=lambda request: s3_error(404, "NoSuchKey"),
        before_body=lambda request: SlowReader(len(body)) if request.method == "PUT" else None,
        receive_buffer=65536,
        tls=tls,
    ) as server:
        bounds: dict[str, Any] = dict.fromkeys(("read_timeout", "send_timeout", "request_deadline"), 3.5)
        fs = filesystem(server.url, ca_bundle=server.ca_path, max_attempts=1, min_rate_window=0.3, **bounds)
        if file:
            fs.put_file(str(tmp_path / "file"), "bucket/key")
        else:
            fs.pipe_file("bucket/key", body)
        assert [request.method for request in server.requests] == ["PUT"]


# --- answers that come before the whole request ---


@dataclass(frozen=True)
class EarlyAndDeaf(Answer):
    """Answers at once, and neither reads the body nor closes."""

    reply: Reply

    @property
    def reads_body(self) -> bool:
        return False

    def play(self, link: Link, request: Request) -> bool:
        self.reply.play(link, request)
        link.wait(None)
        return False


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("interim", [False, True])
@pytest.mark.parametrize("file", [False, True])
def test_refusal_before_the_body_is_told_at_once(
    file: bool, interim: bool, tls: bool, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(BODY)
    refusal: Reply = s3_error(403, "AccessDenied")
    if interim:
        refusal = WithInterim(refusal.status, refusal.body, refusal.headers)
    with ScriptedServer(
        handler=lambda request: s3_error(404, "NoSuchKey"),
        before_body=lambda request: EarlyAndDeaf(refusal),
        receive_buffer=65536,
        tls=tls,
    ) as server:
        fs = filesystem(server.url, ca_bundle=server.ca_path, send_timeout=HUNG)
        with ends_in_time(), pytest.raises(AccessDeniedError) as caught:
            if file:
                fs.put_file(str(tmp_path / "file"), "bucket/key")
            else:
                fs.pipe_file("bucket/key", BODY)
        assert not caught.value.maybe_applied
        assert len(server.requests) == 1


class WithInterim(Reply):
    """A reply after 100 Continue, for which nobody asked."""

    def head(self) -> bytes:
        return b"HTTP/1.1 100 Continue\r\n\r\n" + super().head()


def test_interim_answer_does_not_stop_the_sending() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake, before_body=lambda request: None) as server:
        fs = filesystem(server.url)
        fs.pipe_file("bucket/key", BODY)
    assert fake.objects["bucket", "key"].body == BODY


def test_success_that_is_told_of_a_part_of_the_request_is_none() -> None:
    with ScriptedServer(
        handler=lambda request: s3_error(404, "NoSuchKey"),
        before_body=lambda request: (
            EarlyAndDeaf(respond(200, etag="one")) if request.method == "PUT" else None
        ),
        receive_buffer=65536,
    ) as server:
        fs = filesystem(server.url, send_timeout=1.2, max_attempts=1)
        with ends_in_time(), pytest.raises(GuardedS3Error) as caught:
            fs.pipe_file("bucket/key", BODY)
        assert caught.value.maybe_applied or isinstance(caught.value, TransportError)


# --- stores that work for long before they answer ---


@pytest.mark.parametrize("what", ["copy", "copy in parts", "complete"])
def test_slow_work_of_the_store_is_asked_for_once(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slow: list[str] = []

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if "x-amz-copy-source" in request.headers or (
            request.method == "POST" and "uploadId" in request.query
        ):
            slow.append(request.target)
            time.sleep(1.0)
        return None

    fake = FakeS3("bucket", fault=fault)
    fake.put("bucket", "key", bytes(6 * MIB))
    if what == "copy in parts":
        monkeypatch.setattr("fsspec_guarded_s3._fs.copy_version.MAX_SINGLE_PUT", 5 * MIB)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, read_timeout=0.3, request_deadline=60.0, multipart_threshold=5 * MIB)
        if what == "complete":
            fs.pipe_file("bucket/other", bytes(6 * MIB))
        else:
            fs.cp_file("bucket/key", "bucket/other")
    assert slow
    assert len(slow) == len(set(slow))
    assert fake.objects["bucket", "other"].body == bytes(6 * MIB)


# --- the local file ---


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.EIO, errno.EOVERFLOW])
def test_file_of_a_file_system_without_sendfile_is_uploaded(
    code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    content = os.urandom(MIB)
    (tmp_path / "file").write_bytes(content)
    monkeypatch.setattr(os, "sendfile", refuse, raising=False)
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).put_file(str(tmp_path / "file"), "bucket/key")
        assert server.connections == 1
    assert fake.objects["bucket", "key"].body == content


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_local_read_error_is_told_as_what_it_is(
    code: int, tls: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The bytes are read twice, for their CRC and to be sent: the second time fails."""

    def refuse(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    chunks = FileSlice.chunks
    times: list[FileSlice] = []

    def failing(piece: FileSlice) -> Iterator[memoryview]:
        times.append(piece)
        if len(times) > 1:
            raise OSError(code, os.strerror(code))
        yield from chunks(piece)

    (tmp_path / "file").write_bytes(bytes(MIB))
    monkeypatch.setattr(os, "sendfile", refuse, raising=False)
    monkeypatch.setattr(FileSlice, "chunks", failing)
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake, tls=tls) as server:
        fs = filesystem(server.url, ca_bundle=server.ca_path, read_timeout=HUNG)
        with ends_in_time(), pytest.raises(OSError, match=r"\[Errno") as caught:
            fs.put_file(str(tmp_path / "file"), "bucket/key")
        assert caught.value.errno == code
        assert not isinstance(caught.value, GuardedS3Error)
        assert len(times) == 2  # it was not sent again
    assert ("bucket", "key") not in fake.objects


@pytest.mark.parametrize("size", [3 * MIB, 12 * MIB])
def test_a_reset_that_is_found_between_two_pieces_is_an_error_of_the_connection(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, and never an error of the caller's file."""
    looked: list[None] = []
    answered = Incoming.answered

    def reset_once(incoming: Incoming) -> bool:
        looked.append(None)
        if len(looked) == 1:
            incoming._channel.sock.shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return answered(incoming)

    monkeypatch.setattr(Incoming, "answered", reset_once)
    quiet = Channel.is_quiet
    monkeypatch.setattr(Channel, "is_quiet", lambda channel: bool(looked) and quiet(channel))
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=10 * MIB)
        fs.pipe_file("bucket/key", bytes(size))
    assert looked
    assert len(fake.objects["bucket", "key"].body) == size
