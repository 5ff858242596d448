"""Connections, and one HTTP exchange on them: `WireRequest` -> `HTTPBody`. The only importer of urllib3.

urllib3 keeps the connections, TLS and proxies. The exchange itself is ours, because urllib3 sends under
the connect time-out, copies bodies, and parses heads with `email.parser` (half of the cost of a small GET).

Invariants:

- no connection that was idle for longer than `idle_timeout` is reused;
- every `send` and every `recv` is bounded: by its time-out, by `min_rate` and by the deadline;
- a connection goes back to the pool only after its response was read to the end;
- after a fork the child starts with an empty pool.
"""

from __future__ import annotations

import atexit
import http.client
import os
import queue
import socket
import ssl
import sys
import threading
import time
import urllib.request
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from ._bodies import Buffer, FileChangedError, FileSlice, body_chunks, wire_bytes
from ._channel import Channel, Pace, channel_of
from ._errors import (
    ConfigurationError,
    ConnectError,
    IncompleteBodyError,
    SendTimeoutError,
)
from ._http import HTTPBody, Incoming, translated
from ._models import WireRequest
from ._options import Options
from ._paths import is_loopback

# By several reports AWS closes idle connections after 5 to 20 s: what must not be replayed takes a
# connection that is surely younger.
FRESH_SECONDS = 4.0
_SEND_SLICE = 256 * 1024


class _Idle:
    """Idle connections, last in, first out: `queue.LifoQueue` takes three locks where a list needs none."""

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self.queue: list[Any] = []

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            return self.queue.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if len(self.queue) >= self._maxsize:
            raise queue.Full
        self.queue.append(item)

    def qsize(self) -> int:
        return len(self.queue)


class _IdleEviction:
    """Mixed into urllib3's pools. Both methods are private there; test_transport.py would notice a change.

    urllib3's own `_get_conn` makes a poll object to learn whether the store has hung up.
    """

    idle_timeout: float = 30.0

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)  # type: ignore[misc]

    def _get_conn(self, timeout: float | None = None) -> Any:
        try:
            conn = self.pool.get()  # type: ignore[attr-defined]
        except queue.Empty:
            conn = None
        if conn is None:
            return self._new_conn()  # type: ignore[attr-defined]
        if not (conn.sock is None or conn.channel.is_quiet()):
            conn.close()
        self.close_if_older(conn, self.idle_timeout)
        return conn

    @staticmethod
    def close_if_older(conn: Any, seconds: float) -> None:
        if conn.sock is not None and time.monotonic() - getattr(conn, "idle_since", 0.0) > seconds:
            conn.close()


class GuardedHTTPConnectionPool(_IdleEviction, HTTPConnectionPool):
    """urllib3's pool with idle eviction."""

    QueueCls = _Idle  # type: ignore[assignment]


class GuardedHTTPSConnectionPool(_IdleEviction, HTTPSConnectionPool):
    """urllib3's TLS pool with idle eviction."""

    QueueCls = _Idle  # type: ignore[assignment]


def _socket_options(options: Options) -> list[tuple[int, int, int]]:
    found = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            found.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    if sys.platform == "linux":
        # Bounds a send to a peer that died without a word (RFC 5482); milliseconds.
        found.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(options.send_timeout * 1000)))
    return found


class Sent:
    """A request on its way, on a connection of its own. Take its answer, or close it."""

    __slots__ = ("_conn", "_options", "_pool", "_wire", "broken", "since")

    def __init__(self, options: Options, pool: Any, conn: HTTPConnection, wire: WireRequest) -> None:
        self._options = options
        self._pool = pool
        self._conn = conn
        self._wire = wire
        self.since = time.monotonic()
        self.broken: OSError | None = None  # by what, while sending: S3 may have answered early

    def answer(self, deadline: float) -> HTTPBody:
        """Read the head of the answer and hand out its body."""
        options, wire = self._options, self._wire
        incoming: Incoming = self._conn.incoming  # type: ignore[attr-defined]
        incoming.expect(Pace(options, options.read_timeout, deadline, wire.patient))
        try:
            body = HTTPBody(incoming, wire.method, partial(_release, self._pool, self._conn, wire))
        except BaseException as error:
            self.close()
            if not isinstance(error, (OSError, http.client.HTTPException, ValueError)):
                raise
            if self.broken is None:
                raise translated(error) from error
            # Nothing was answered: what broke the sending is the cause. Part of the request is missing, so
            # it cannot have been applied (RFC 9112, 8).
            raise IncompleteBodyError(
                f"the connection broke while sending: {self.broken}", request_sent=False
            ) from self.broken
        if self.broken is not None:
            body.will_close = True
        return body

    def close(self) -> None:
        """Nobody wants the answer: the connection cannot be used again."""
        self._conn.close()


class Transport:
    """A pool of connections for one `Options`, shared by threads."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, str, int], Any] = {}
        self._context: ssl.SSLContext | None = None
        self.round_trip = float("inf")  # seconds, as the last answers tell
        self.answers = 0  # that told it

    def __repr__(self) -> str:
        return f"<Transport pools={len(self._pools)}>"

    def exchange(self, wire: WireRequest, deadline: float) -> HTTPBody:
        """Send `wire`, read the head, hand out the body. `deadline` is a `time.monotonic()` value.

        The connection is reused when the body was read to its end, else closed. After an error answer only
        when the request had no body, of which the store may have left a part unread.
        """
        sent = self.send(wire, deadline)
        began = time.monotonic()
        body = sent.answer(deadline)
        self._learn_round_trip(time.monotonic() - began)
        return body

    def send(self, wire: WireRequest, deadline: float) -> Sent:
        """The first half of `exchange`: the answer is taken from what this returns, or given up with it."""
        pool = self._pool(wire.scheme, wire.host, wire.port)
        conn = self._connected(pool, wire)
        sent = Sent(self._options, pool, conn, wire)
        try:
            sent.broken = self._send(conn, wire, deadline)
        except BaseException:
            sent.close()
            raise
        return sent

    def close(self) -> None:
        """Close all idle connections. What is under way goes on, and later requests connect anew."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():  # not closed, since another thread may be about to use it
            with suppress(queue.Empty):
                while True:
                    conn = pool.pool.get(block=False)
                    if conn is not None:
                        conn.close()

    # --- connections ---

    def _pool(self, scheme: str, host: str, port: int) -> Any:
        pool = self._pools.get((scheme, host, port))
        if pool is None:
            with self._lock:
                pool = self._pools.get((scheme, host, port))
                if pool is None:
                    pool = self._pools[(scheme, host, port)] = self._new_pool(scheme, host, port)
        return pool

    def _new_pool(self, scheme: str, host: str, port: int) -> Any:
        keywords: dict[str, Any] = {
            "timeout": urllib3.Timeout(
                connect=self._options.connect_timeout, read=self._options.read_timeout
            ),
            "maxsize": max(32, self._options.max_concurrency * 4),
            "retries": False,
            "socket_options": _socket_options(self._options),
        }
        cls: Any = GuardedHTTPConnectionPool
        if scheme == "https":
            cls = GuardedHTTPSConnectionPool
            keywords["ssl_context"] = self.ssl_context()
        proxy = self.proxy(scheme, host)
        if proxy is not None:
            manager: Any = urllib3.ProxyManager(proxy, **keywords)
            manager.pool_classes_by_scheme = {
                "http": GuardedHTTPConnectionPool,
                "https": GuardedHTTPSConnectionPool,
            }
            pool = manager.connection_from_host(host, port, scheme)
        else:
            pool = cls(host, port, **keywords)
        pool.idle_timeout = self._options.idle_timeout
        return pool

    @staticmethod
    def proxy(scheme: str, host: str) -> str | None:
        """The URL of the proxy to `host` that the environment names; it may hold a password."""
        if is_loopback(host) or urllib.request.proxy_bypass(host):
            return None
        return urllib.request.getproxies().get(scheme) or None

    def ssl_context(self) -> ssl.SSLContext:
        """What decides which certificates are trusted. ConfigurationError for files that cannot be loaded."""
        if self._context is None:
            bundle = self._options.ca_bundle
            source = "storage option ca_bundle"
            for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
                if not bundle:
                    bundle, source = os.environ.get(name), name
            with _naming(source, bundle):
                context = ssl.create_default_context(cafile=bundle or None)
            if self._options.client_cert:
                with _naming("storage option client_cert", self._options.client_cert):
                    context.load_cert_chain(self._options.client_cert)
            self._context = context  # only now: one without its certificate must not be used
        return self._context

    def _connected(self, pool: Any, wire: WireRequest) -> HTTPConnection:
        conn = pool._get_conn()
        if wire.fresh:
            pool.close_if_older(conn, FRESH_SECONDS)
        if conn.sock is not None:
            return conn  # type: ignore[no-any-return]
        failure: BaseException | None = None
        try:
            conn.timeout = self._options.connect_timeout
            if pool.proxy is not None and wire.scheme == "https":
                pool._prepare_proxy(conn)
            else:
                conn.connect()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            conn.close()
            failure = _innermost(error)
        except BaseException:
            conn.close()
            raise
        if failure is not None:
            # urllib3's error holds the connection: it is neither cause nor context, since dask pickles both.
            raise ConnectError(f"no connection to {wire.host}:{wire.port}: {_told(failure)}") from failure
        conn.channel = channel_of(conn.sock, self._options)
        conn.incoming = Incoming(conn.channel)
        return conn  # type: ignore[no-any-return]

    # --- one exchange ---

    def _learn_round_trip(self, waited: float) -> None:
        self.answers += 1
        # An answer may take the store longer than the way, never shorter: down at once, up slowly.
        if waited < self.round_trip:
            self.round_trip = waited
        else:
            self.round_trip += (waited - self.round_trip) * 0.1

    def _send(self, conn: HTTPConnection, wire: WireRequest, deadline: float) -> OSError | None:
        """Send head and body. Returns what broke the connection."""
        target = wire.target
        if conn.proxy is not None and wire.scheme == "http":  # RFC 9112, 3.2.2: absolute form
            target = f"http://{wire.headers['host']}{target}"
        lines = [f"{wire.method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in wire.headers.items()]
        text = "\r\n".join([*lines, "", ""])
        if not text.count("\n") == text.count("\r") == len(lines) + 1:
            raise ValueError("a header value must not hold a line break")
        data = wire_bytes(text)
        pace = Pace(self._options, self._options.send_timeout, deadline, wire.patient)
        channel: Channel = conn.channel  # type: ignore[attr-defined]
        try:
            _send_buffer(channel, data, pace)
            if channel.sends_files and isinstance(wire.body, FileSlice):
                _send_file(channel, wire.body, pace)
            else:
                for piece in body_chunks(wire.body):
                    _send_buffer(channel, piece, pace)
        except TimeoutError as error:
            message = f"the store stopped taking the request: {error}"
            raise SendTimeoutError(message, request_sent=False) from error
        except OSError as error:
            return error
        return None


@contextmanager
def _naming(source: str, path: str | None) -> Iterator[None]:
    """What cannot be loaded is a wrong configuration, never a FileNotFoundError: that is a missing object."""
    try:
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; a path with a zero byte
        said = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{source}: {path!r} cannot be loaded: {said}") from error


def _release(pool: Any, conn: HTTPConnection, wire: WireRequest, clean: bool, status: int) -> None:
    if clean and not (wire.body and status >= 300):
        pool._put_conn(conn)
    else:
        conn.close()


def _send_buffer(channel: Channel, data: Buffer, pace: Pace) -> None:
    view = memoryview(data)
    while view.nbytes:
        count = channel.send(view[:_SEND_SLICE], pace.allowance())
        pace.moved(count)
        view = view[count:]


def _send_file(channel: Channel, body: FileSlice, pace: Pace) -> None:
    position = body.start
    while position < body.stop:
        count = channel.send_file(body.descriptor, position, body.stop - position, pace.allowance())
        if not count:
            raise FileChangedError("the local file became shorter while it was uploaded")
        pace.moved(count)
        position += count


def _innermost(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


# --- one transport per process and options ---------------------------------------------------------

# Weak: when the last filesystem and reader with these options are gone, so are their connections.
_shared: weakref.WeakValueDictionary[Options, Transport] = weakref.WeakValueDictionary()
_shared_lock = threading.Lock()


def shared_transport(options: Options) -> Transport:
    """The transport of this process for these options, made on first use."""
    with _shared_lock:
        transport = _shared.get(options)
        if transport is None:
            transport = _shared[options] = Transport(options)
        return transport


def _close_all() -> None:
    for transport in list(_shared.values()):
        with suppress(Exception):
            transport.close()


def _after_fork() -> None:
    # The parent's sockets and locks are not ours. Dropping a reference closes this process's copy of the
    # descriptor only: no shutdown, no TLS close_notify, so the parent's connection goes on.
    global _shared_lock
    _shared_lock = threading.Lock()
    for transport in list(_shared.values()):
        transport._lock = threading.Lock()
        transport._pools = {}


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
