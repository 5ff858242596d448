"""An HTTP/1.1 server on a real loopback socket that answers from a script, or breaks from it.

Faults are tested on a socket because that is where they happen: a mocked transport cannot send half
a body, reset a connection or stop reading. Each step looks at the request, then answers, breaks,
stalls or lies:

    with ScriptedServer([
        Step(close(), expects("PUT", "/bucket/key")),
        Step(respond(200, etag="abc"), expects("PUT", headers={"if-none-match": "*"})),
    ]) as server:
        ...  # talk to server.url

Steps are consumed in the order in which request heads arrive, over all connections. Where requests
run in parallel their order is not known; pass `handler=fn` instead, which is called once per request.

Invariants:
- Leaving the `with` never hangs: every wait of the server ends when its sockets are shut down.
- A failed expectation, an exception in a handler, a request after the end of the script and a step
  that nobody used are raised in the thread of the test, when it leaves the `with`. When the body has
  raised already, that exception goes on, with a note about ours.
- A client that goes away is never an error of the server.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

JOIN_TIMEOUT = 10.0
CHUNK = 64 * 1024
# struct linger: no waiting, a RST. Its numbers are short ones on Windows.
_LINGER_NOT = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


# What was asked


class Headers(Mapping[str, str]):
    """Header fields with lower-case names and lookup in any case; repeated fields joined by a comma."""

    def __init__(self, fields: Sequence[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, str] = {}
        for name, value in fields:
            key = name.lower()
            self._fields[key] = f"{self._fields[key]}, {value}" if key in self._fields else value

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


@dataclass(frozen=True)
class Request:
    """One request as it arrived. `complete` is false when its body ended early or was not read."""

    number: int
    connection: int
    method: str
    target: str
    path: str
    query: Mapping[str, str]
    headers: Headers
    body: bytes = field(default=b"", repr=False)
    complete: bool = True


Expectation = Callable[[Request], object]


def expects(
    method: str | None = None,
    path: str | None = None,
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    absent: Sequence[str] = (),
    body: bytes | None = None,
) -> Expectation:
    """Return an expectation: these values, these query and header fields among others, none of `absent`."""

    def check(request: Request) -> None:
        where = f"request {request.number}: {request.method} {request.target}"
        assert method in (None, request.method), f"{where}: expected the method {method}"
        assert path in (None, request.path), f"{where}: expected the path {path}"
        for name, value in (query or {}).items():
            found = request.query.get(name)
            assert found == value, f"{where}: query {name} is {found!r}, expected {value!r}"
        for name, value in (headers or {}).items():
            found = request.headers.get(name)
            assert found == value, f"{where}: header {name} is {found!r}, expected {value!r}"
        for name in absent:
            assert name not in request.headers, f"{where}: header {name} should not be there"
        assert body in (None, request.body), f"{where}: the body ({len(request.body)} bytes) differs"

    return check


# What is answered


class Answer:
    """What the server does with one request.

    `play` returns whether the connection may carry another request. `reads_body` says whether the
    request's body is read before.
    """

    @property
    def reads_body(self) -> bool:
        return True

    def play(self, link: Link, request: Request) -> bool:
        raise NotImplementedError


@dataclass(frozen=True)
class Reply(Answer):
    """A response. Its subclasses send the same head and spoil the body."""

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    chunked: bool = False
    close: bool = False
    then_close: bool = False

    def play(self, link: Link, request: Request) -> bool:
        link.send(self.head())
        bodiless = request.method == "HEAD" or self.status in (204, 304)
        alive = self.send_body(link, b"" if bodiless else self._framed())
        return alive and not (self.close or self.then_close)

    def head(self) -> bytes:
        """Return the status line and header fields, for the body of which the length is declared."""
        fields = dict(self.headers)
        given = {name.lower() for name in fields}
        if self.chunked:
            fields["Transfer-Encoding"] = "chunked"
        elif "content-length" not in given and self.status != 204:
            fields["Content-Length"] = str(len(self.body))
        if self.close and "connection" not in given:
            fields["Connection"] = "close"
        lines = [f"HTTP/1.1 {self.status} {_reason(self.status)}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def send_body(self, link: Link, payload: bytes) -> bool:
        link.send(payload)
        return True

    def _framed(self) -> bytes:
        if not self.chunked:
            return self.body
        pieces = [self.body[at : at + CHUNK] for at in range(0, len(self.body), CHUNK)]
        return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@dataclass(frozen=True)
class _Cut(Reply):
    after: int = 0
    reset: bool = False

    def send_body(self, link: Link, payload: bytes) -> bool:
        link.send(payload[: self.after])
        if self.reset:
            link.reset()
        return False


@dataclass(frozen=True)
class _StallBody(Reply):
    after: int = 0
    seconds: float | None = None

    def send_body(self, link: Link, payload: bytes) -> bool:
        link.send(payload[: self.after])
        link.wait(self.seconds)
        link.send(payload[self.after :])
        return True


@dataclass(frozen=True)
class _Trickle(Reply):
    interval: float = 1.0
    chunk: int = 1

    def send_body(self, link: Link, payload: bytes) -> bool:
        for at in range(0, len(payload), self.chunk):
            link.send(payload[at : at + self.chunk])
            link.wait(self.interval)
        return True


@dataclass(frozen=True)
class _Raw(Answer):
    data: bytes
    close: bool

    def play(self, link: Link, request: Request) -> bool:
        link.send(self.data)
        return not self.close


@dataclass(frozen=True)
class _Silence(Answer):
    """Reads the head and `body_bytes` of the body (None: all of it), waits, and closes or resets."""

    body_bytes: int | None = None
    seconds: float | None = 0.0
    reset: bool = False

    @property
    def reads_body(self) -> bool:
        return self.body_bytes is None

    def play(self, link: Link, request: Request) -> bool:
        if self.body_bytes:
            link.read(self.body_bytes)
        link.wait(self.seconds)
        if self.reset:
            link.reset()
        return False


@dataclass(frozen=True)
class _Early(Answer):
    answer: Answer

    @property
    def reads_body(self) -> bool:
        return False

    def play(self, link: Link, request: Request) -> bool:
        self.answer.play(link, request)
        link.drain()
        return False


@dataclass(frozen=True)
class _Before(Answer):
    """Waits, then runs an action, then answers."""

    answer: Answer
    seconds: float = 0.0
    action: Callable[[], object] | None = None

    @property
    def reads_body(self) -> bool:
        return self.answer.reads_body

    def play(self, link: Link, request: Request) -> bool:
        link.wait(self.seconds)
        if self.action is not None:
            self.action()
        return self.answer.play(link, request)


def respond(
    status: int = 200,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    etag: str | None = None,
    chunked: bool = False,
    close: bool = False,
    then_close: bool = False,
) -> Reply:
    """Answer as a store, which names itself by a header: `Reply` is anybody's answer.

    Content-Length is that of `body` unless `headers` say otherwise.

    `close` says Connection: close and does it. `then_close` promises keep-alive and closes without a
    word, which leaves the client with a stale connection in its pool.
    """
    return Reply(status, body, _fields(headers, etag), chunked, close, then_close)


def cut(
    status: int,
    body: bytes,
    *,
    after: int,
    headers: Mapping[str, str] | None = None,
    etag: str | None = None,
    reset: bool = False,
) -> Reply:
    """Declare the whole body, send `after` bytes of it, then close or (`reset`) send a RST.

    A RST discards what the kernel has not sent, so with `reset` a client may get less than `after`.
    """
    return _Cut(status, body, _fields(headers, etag), after=after, reset=reset)


def stall_body(
    status: int,
    body: bytes,
    *,
    after: int,
    seconds: float | None = None,
    headers: Mapping[str, str] | None = None,
    etag: str | None = None,
) -> Reply:
    """Send the head and `after` bytes of the body; the rest comes after `seconds`, or (None) never."""
    return _StallBody(status, body, _fields(headers, etag), after=after, seconds=seconds)


def trickle(
    status: int,
    body: bytes,
    *,
    interval: float,
    chunk: int = 1,
    headers: Mapping[str, str] | None = None,
    etag: str | None = None,
) -> Reply:
    """Send `chunk` bytes of the body every `interval` seconds: no single read times out."""
    return _Trickle(status, body, _fields(headers, etag), interval=interval, chunk=chunk)


def raw(data: bytes, *, close: bool = True) -> Answer:
    """Send exactly these bytes, head and all."""
    return _Raw(data, close)


def close() -> Answer:
    """Read the whole request, then close without an answer: the lost response."""
    return _Silence()


def close_before_body() -> Answer:
    """Read the head only, then reset."""
    return _Silence(body_bytes=0, reset=True)


def stall(seconds: float | None = None) -> Answer:
    """Read the whole request and say nothing, for `seconds` or until the server stops, then close."""
    return _Silence(seconds=seconds)


def dont_read(after: int = 0, seconds: float | None = None) -> Answer:
    """Read `after` bytes of the body and then no more, so that a sender of much stalls.

    The kernel's buffers take some megabytes first; `ScriptedServer(receive_buffer=...)` keeps that low.
    """
    return _Silence(body_bytes=after, seconds=seconds)


def early(answer: Answer) -> Answer:
    """Answer as soon as the head is there, then swallow the body and close.

    Closing over unread bytes would send a RST, which can destroy the answer before it is read.
    """
    return _Early(answer)


def delay(seconds: float, answer: Answer) -> Answer:
    """Answer after `seconds`."""
    return _Before(answer, seconds=seconds)


def apply(action: Callable[[], object], answer: Answer) -> Answer:
    """Run `action` between the request and the answer, for example to replace the object."""
    return _Before(answer, action=action)


def s3_error(
    status: int, code: str, message: str = "scripted", *, headers: Mapping[str, str] | None = None
) -> Reply:
    """Answer with an S3 error document. Nothing but the head is sent when the request is a HEAD."""
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{escape(code)}</Code>'
        f"<Message>{escape(message)}</Message><RequestId>SCRIPTED</RequestId><HostId>host</HostId></Error>"
    )
    fields = {"Content-Type": "application/xml", "x-amz-request-id": "SCRIPTED", **(headers or {})}
    return respond(status, body.encode(), headers=fields)


def quoted(etag: str) -> str:
    """Return the ETag as it is sent: in quotes, also when it came without."""
    return etag if '"' in etag else f'"{etag}"'


def _fields(headers: Mapping[str, str] | None, etag: str | None) -> dict[str, str]:
    fields = {"x-amz-request-id": "SCRIPTED", **(headers or {})}
    if etag is not None:
        fields["ETag"] = quoted(etag)
    return fields


def _reason(status: int) -> str:
    with contextlib.suppress(ValueError):
        return HTTPStatus(status).phrase
    return "Scripted"


# The connection


class _Gone(Exception):
    """The client has left, or the server is stopping: the end of a connection, not an error."""


class Link:
    """One accepted connection. Whatever goes wrong with its socket is `_Gone`."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.number = number
        self.peer: Any = None
        with contextlib.suppress(OSError):  # the client has left already
            self.peer = sock.getpeername()
        self._sock = sock
        self._reader = sock.makefile("rb")

    def handshake(self) -> None:
        """Begin TLS, where the socket speaks it."""
        if isinstance(self._sock, ssl.SSLSocket):
            with _leaving():
                self._sock.do_handshake()

    def read_request(self) -> Request | None:
        """Read one request head, or None when the client has no more to ask. `number` is set later.

        Who speaks TLS to a plain server is hung up on, as most servers do.
        """
        if not isinstance(self._sock, ssl.SSLSocket):
            with _leaving():
                if self._reader.peek(1)[:1] == b"\x16":
                    return None
        lines = self._read_lines()
        if not lines:
            return None
        method, target, _version = lines[0].decode("latin-1").split()
        fields = [line.decode("latin-1").partition(":") for line in lines[1:]]
        headers = Headers([(name.strip(), value.strip(" \t\r\n")) for name, _, value in fields])
        path, _, query = target.partition("?")
        pairs = dict(parse_qsl(query, keep_blank_values=True, errors="surrogateescape"))
        return Request(
            -1,
            self.number,
            method,
            target,
            unquote(path, errors="surrogateescape"),
            pairs,
            headers,
            complete=False,
        )

    def read_body(self, headers: Headers) -> tuple[bytes, bool]:
        """Read a body, and return it with whether all of it came."""
        if headers.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._read_chunked()
        length = int(headers.get("content-length", "0"))
        body = self.read(length)
        return body, len(body) == length

    def read(self, size: int) -> bytes:
        """Read `size` bytes, or fewer where the client stopped before."""
        pieces = []
        with contextlib.suppress(_Gone), _leaving():
            while size and (piece := self._reader.read(min(size, CHUNK))):
                pieces.append(piece)
                size -= len(piece)
        return b"".join(pieces)

    def send(self, data: bytes) -> None:
        with _leaving():
            self._sock.sendall(data)

    def wait(self, seconds: float | None) -> None:
        """Wait, for ever when None; `_Gone` as soon as the client leaves or the server stops.

        POLLRDHUP (Linux) shows a client that has left even where its bytes have not been read.
        """
        deadline = float("inf") if seconds is None else time.monotonic() + seconds
        if not hasattr(select, "poll"):
            self._wait_without_poll(deadline)
            return
        poll = select.poll()
        with _leaving():
            poll.register(self._sock, getattr(select, "POLLRDHUP", 0))
        while (remaining := deadline - time.monotonic()) > 0:
            if poll.poll(min(remaining, 1.0) * 1000):
                raise _Gone

    def _wait_without_poll(self, deadline: float) -> None:
        """Unread bytes hide the end of the connection from it."""
        while (remaining := deadline - time.monotonic()) > 0:
            with _leaving():
                if select.select([self._sock], [], [], min(remaining, 1.0))[0]:
                    if not socket.socket.recv(self._sock, 1, socket.MSG_PEEK):
                        raise _Gone
                    time.sleep(min(remaining, 0.05))

    def drain(self) -> None:
        """Swallow what the client still sends, until it closes."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_WR)
        while self.read(CHUNK):
            pass

    def reset(self) -> None:
        """Make the close that follows send a RST."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)

    def interrupt(self) -> None:
        """End every wait on this connection, from another thread.

        `SSLSocket.shutdown` would take the TLS object away from under the thread that uses it.
        """
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
            if sys.platform == "win32":  # there, under Wine at least, that wakes nobody up
                socket.close(self._sock.detach())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._reader.close()
        self._sock.close()

    def _read_lines(self) -> list[bytes]:
        """Read up to the empty line; nothing when the client ended the connection before it."""
        lines = []
        with _leaving():
            while (line := self._reader.readline()) not in (b"", b"\r\n"):
                lines.append(line)
        return lines if line else []

    def _read_chunked(self) -> tuple[bytes, bool]:
        body = bytearray()
        with contextlib.suppress(_Gone), _leaving():
            while line := self._reader.readline():
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    self._read_lines()
                    return bytes(body), True
                body += self.read(size)
                self._reader.readline()
        return bytes(body), False


@contextlib.contextmanager
def _leaving() -> Iterator[None]:
    """Turn what a socket that ends can raise into `_Gone` (ValueError: closed while it was used)."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise _Gone from error


# The server


@contextlib.contextmanager
def certificate(*names: str) -> Iterator[tuple[ssl.SSLContext, str]]:
    """A context for servers of these names, and the file of the authority that signed them.

    A test that needs it is skipped where trustme is not: some Pythons have no cffi.
    """
    import pytest  # here, so that servers without TLS do without it

    trustme = pytest.importorskip("trustme", reason="trustme is not installed")

    with tempfile.TemporaryDirectory() as folder:
        authority = trustme.CA()
        ca_path = str(Path(folder) / "ca.pem")
        authority.cert_pem.write_to_path(ca_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(context)
        yield context, ca_path


@dataclass(frozen=True)
class Step:
    """One request of a sequence: what it must look like, and what it gets."""

    answer: Answer
    expect: Expectation | None = None


class ScriptedServer:
    """Serves `steps` in order, or calls `handler` per request, on 127.0.0.1 inside a `with`.

    `before_body` belongs to `handler`: it sees the head only, and where it returns an answer the
    handler is not asked. It is how a handler does `dont_read`, `early` or `close_before_body`. `delays`
    leaves out TCP_NODELAY: the second of two small sends waits until the first is acknowledged.
    """

    def __init__(
        self,
        steps: Sequence[Step | Answer] | None = None,
        *,
        handler: Callable[[Request], Answer] | None = None,
        before_body: Callable[[Request], Answer | None] | None = None,
        tls: bool | ssl.SSLContext = False,
        receive_buffer: int | None = None,
        delays: bool = False,
    ) -> None:
        if (steps is None) == (handler is None):
            raise ValueError("give either steps or a handler")
        self._steps = [step if isinstance(step, Step) else Step(step) for step in steps or ()]
        self._handler = handler
        self._before_body = before_body
        self._tls = bool(tls)
        self._receive_buffer = receive_buffer
        self._delays = delays
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._numbers = itertools.count()
        self._requests: dict[int, Request] = {}
        self._links: set[Link] = set()
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []
        self._accepted = 0
        self._cleanup = contextlib.ExitStack()
        self._context = tls if isinstance(tls, ssl.SSLContext) else None
        self.ca_path: str | None = None
        self.port = 0

    # What a test asks

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """The requests that were read so far, in the order in which their heads arrived."""
        with self._lock:
            return [self._requests[number] for number in sorted(self._requests)]

    @property
    def connections(self) -> int:
        """How many connections were accepted."""
        with self._lock:
            return self._accepted

    @property
    def open_connections(self) -> int:
        """How many of them neither side has closed."""
        with self._lock:
            return len(self._links)

    # Start and stop

    def __enter__(self) -> ScriptedServer:
        if self._tls and self._context is None:
            names = certificate("127.0.0.1", "localhost")
            self._context, self.ca_path = self._cleanup.enter_context(names)
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._cleanup.callback(self._listener.close)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self._listener.settimeout(0.5)  # for the systems where a shutdown does not wake accept()
        self.port = self._listener.getsockname()[1]
        self._start(self._accept, name=f"scripted-server-{self.port}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        problem = self._problem()
        if problem is None:
            return
        if raised is None:
            raise problem
        if hasattr(raised, "add_note"):  # Python 3.11
            raised.add_note(f"The scripted server also reports {type(problem).__name__}: {problem}")

    def _stop(self) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(JOIN_TIMEOUT)  # the one that accepts: nothing is added after it
        with self._lock:
            links = list(self._links)
        for link in links:
            link.interrupt()
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT)
        self._cleanup.close()

    def _problem(self) -> BaseException | None:
        if self._errors:
            return self._errors[0]
        alive = [thread.name for thread in self._threads if thread.is_alive()]
        if alive:
            return AssertionError(f"server threads did not end: {alive}")
        if self._steps:
            return AssertionError(f"{len(self._steps)} scripted steps were not used, next: {self._steps[0]}")
        return None

    # Threads

    def _start(self, target: Callable[..., None], *arguments: object, name: str) -> None:
        thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _address = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, not self._delays)
            link = self._enlist(sock)
            self._start(self._serve, link, name=f"scripted-server-{self.port}-{link.number}")

    def _enlist(self, sock: socket.socket) -> Link:
        """Make a link of a socket. TLS takes the socket over before `_stop` can see and interrupt it."""
        if self._context is not None:
            with contextlib.suppress(OSError, ValueError):  # the client has left already
                sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            link = Link(sock, self._accepted)
            self._accepted += 1
            self._links.add(link)
        return link

    def _serve(self, link: Link) -> None:
        try:
            link.handshake()
            while self._exchange(link):
                pass
        except _Gone:
            pass
        except BaseException as error:  # to be raised in the thread of the test
            self._fail(error)
        finally:
            link.close()
            with self._lock:
                self._links.discard(link)

    # One request

    def _exchange(self, link: Link) -> bool:
        head = link.read_request()
        if head is None:
            return False
        with self._lock:
            request = replace(head, number=next(self._numbers))
            step = self._steps.pop(0) if self._steps else None
        try:
            answer = self._choose_early(request, step)
            request = self._finish_reading(link, request, answer)
            if not request.complete and (answer is None or answer.reads_body):
                return False
            answer = self._choose(request, step, answer)
        except _Gone:
            raise
        except BaseException as error:  # to be raised in the thread of the test
            self._fail(error)
            answer = s3_error(400, "ScriptFailed", str(error))
        return answer.play(link, request) and request.headers.get("connection", "").lower() != "close"

    def _choose_early(self, request: Request, step: Step | None) -> Answer | None:
        """Return what is known from the head alone."""
        if self._handler is None:
            return step.answer if step is not None else None
        return self._before_body(request) if self._before_body is not None else None

    def _finish_reading(self, link: Link, request: Request, answer: Answer | None) -> Request:
        if answer is None or answer.reads_body:
            body, complete = link.read_body(request.headers)
            request = replace(request, body=body, complete=complete)
        with self._lock:
            self._requests[request.number] = request
        return request

    def _choose(self, request: Request, step: Step | None, answer: Answer | None) -> Answer:
        if self._handler is not None:
            return answer if answer is not None else self._handler(request)
        if self._errors:
            raise self._errors[0]
        if step is None:
            what = f"request {request.number} ({request.method} {request.target})"
            raise AssertionError(f"{what} came after the end of the script")
        if step.expect is not None:
            step.expect(request)
        return step.answer

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._errors.append(error)


def eventually(condition: Callable[[], object], timeout: float = 60.0) -> None:
    """Wait until `condition()` is true; an AssertionError when that takes longer than `timeout`."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not true within {timeout} s"
        time.sleep(0.005)
