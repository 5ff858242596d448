"""Connections, and one HTTP exchange on them: `WireRequest` -> `HTTPBody`.

The exchange is ours, because urllib3 sends under the connect time-out, copies bodies, and parses heads with
`email.parser` (half of the cost of a small GET). To load it takes as long as `_auth` and `_http` together, so
it is asked only for TLS within the TLS to a proxy (`nested_tls`).

Invariants:

- no connection that was idle for longer than `idle_timeout` is reused;
- every `send` and every `recv` is bounded: by its time-out, by `min_rate` and by the deadline;
- a connection goes back to the pool only after its response was read to the end;
- after a fork the child starts with an empty pool.
"""

from __future__ import annotations

import atexit
import errno
import http.client
import ssl
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from .._forks import PerProcess, importing, renew_after_fork
from .._values.bodies import wire_bytes
from .._values.deadline import Deadline
from .._values.models import Arrival, WireRequest
from .._work import Connecting, is_of_a_handler, must_wait, pause
from ..errors import ConfigurationError, ConnectError, IncompleteBodyError
from ..options import Options
from .connect import (
    Proxy,
    ProxyRefusedError,
    Route,
    addresses_at_hand,
    connected,
    look_up,
    proxy_for,
    socket_options_of,
    speaks_tls,
)
from .connecting import begin
from .descriptors import are_none_left, within_limit
from .lanes import Lanes
from .pace import Pace
from .pool import Connection, Pool, close_all_idle, close_all_outdated, is_any_open
from .response import HTTPBody
from .sending import Sender
from .trust import Trust
from .unreachable import PLAIN_TO_TLS, no_answer, no_connection

# By several reports AWS closes idle connections after 5 to 20 s: what must not be replayed takes a
# connection that is surely younger.
FRESH_SECONDS = 4.0
_POLL_SECONDS = 0.05
_FEW_SECONDS = 1.0  # that descriptors are taken to be few for, when there was none


class Sent:
    """A request on its way, on a connection of its own. Take its answer, or close it."""

    __slots__ = ("_conn", "_is_reused", "_pool", "_transport", "_wire", "awaited", "broken", "since")

    def __init__(
        self, transport: Transport, pool: Pool, conn: Connection, wire: WireRequest, is_reused: bool
    ) -> None:
        self._transport = transport
        self._pool = pool
        self._conn = conn
        self._wire = wire
        self._is_reused = is_reused
        self.since = 0.0  # when it was sent
        self.awaited = False  # whether somebody has waited for the answer since then
        self.broken: OSError | None = None  # by what, while sending: S3 may have answered early

    def answer(self, deadline: Deadline) -> HTTPBody:
        """Read the head of the answer and hand out its body."""
        options, wire = self._transport.options, self._wire
        incoming, began = self._conn.incoming, time.monotonic()
        timeout = options.read_timeout
        if wire.slow_answer:  # a store may work for minutes before it answers: two attempts fit in
            timeout = max(timeout, options.request_deadline / 2)
        incoming.expect(Pace(options, timeout, deadline, wire.slow_answer))
        try:
            body = HTTPBody(incoming, wire.method, partial(_release, self._pool, self._conn, wire))
        except BaseException as error:
            self.close()
            if not isinstance(error, (OSError, http.client.HTTPException, ValueError)):
                raise
            if self._is_reused:  # the next attempt goes through a new one
                self._pool.distrust()
            self._refuse_plain_to_tls(error, deadline)
            raise no_answer(self._pool.route, options, error, self.broken) from self.broken or error
        self._pool.answered = True
        body.is_reused = self._is_reused
        now = time.monotonic()
        passed = now - self.since
        self._transport.learn_round_trip(passed if self.awaited else now - began, passed)
        if body.status == 407:
            self._refuse_by_proxy(body)
        if self.broken is not None:
            body.will_close = True
            if body.status < 300:
                self.close()
                raise IncompleteBodyError(
                    f"the store answered {body.status} to a part of the request: {self.broken}"
                ) from self.broken
        return body

    def _refuse_plain_to_tls(self, error: Exception, deadline: Deadline) -> None:
        """Raise ConnectError where nobody understands plain http: by such a server nothing was applied."""
        route = self._pool.route
        if self._pool.answered or route.scheme != "http" or route.proxy or isinstance(error, TimeoutError):
            return
        if speaks_tls(route, self._transport.options, self._transport.socket_options, deadline):
            raise ConnectError(f"no connection to {route}: {PLAIN_TO_TLS}", given_up=True) from error

    def _refuse_by_proxy(self, body: HTTPBody) -> None:
        """Raise ConnectError where the proxy did not pass on a request of plain http (RFC 9110, 15.5.8)."""
        route = self._pool.route
        if route.scheme == "http" and route.proxy:
            self.close()
            raise no_connection(route, self._transport.options, ProxyRefusedError(body.status))

    def is_lost(self) -> bool:
        """Whether the store has closed the connection without an answer. It does not wait."""
        return self._conn.incoming.has_ended()

    def descriptor(self) -> int | None:
        """What an event loop can wait for until something of the answer is there; None where nothing is."""
        return None if self.broken is not None else self._conn.channel.descriptor()

    def arrival(self) -> Arrival:
        """Receive what has come of the answer, if that is no longer than a MiB. It does not wait."""
        self.awaited = True
        return self._conn.incoming.arrival()

    def close(self) -> None:
        """Close the connection without the answer: it cannot be used again."""
        self._conn.close()


class OnItsWay(Protocol):
    """A request that was sent, or will be when its answer is wanted. Take its answer, or close it."""

    since: float

    def answer(self, deadline: Deadline) -> HTTPBody:
        """Read the head of the answer and hand out its body."""
        ...

    def is_lost(self) -> bool:
        """Whether the store has closed the connection without an answer."""
        ...

    def descriptor(self) -> int | None:
        """What an event loop can wait for until something of the answer is there; None where nothing is."""
        ...

    def arrival(self) -> Arrival:
        """Receive what has come of the answer, if that is no longer than a MiB. It does not wait."""
        ...

    def close(self) -> None:
        """Give the answer up."""
        ...


def _missing_for(route: Route) -> str:
    """The part of urllib3 that our connections by `route` need, where it is not what it was; else ""."""
    if route.proxy is None or route.proxy.scheme != "https" or route.scheme != "https":
        return ""
    with importing():
        from .plain import missing_part
    return missing_part()


def _by_urllib3(pool: Pool, options: Options, wire: WireRequest) -> OnItsWay:
    with importing():
        from .plain import PlainSent, say_why
    say_why(pool.missing)
    return PlainSent(pool.route, options, wire)


def _no_bundle() -> None:
    return None


class Transport:
    """A pool of connections for one `Options`, shared by threads.

    A connection is made by what environment and files say at that moment: proxies, certificates.
    """

    def __init__(self, options: Options, bundle_of_profile: Callable[[], str | None] = _no_bundle) -> None:
        self.options = options
        self.socket_options = socket_options_of(options)
        self._trust = Trust(options, bundle_of_profile)
        self._renew()
        renew_after_fork(self._renew)
        self.lanes = Lanes()
        self._few_until = 0.0
        self.round_trip = float("inf")  # seconds, as the last answers tell

    def _renew(self) -> None:
        # The sockets are the parent's. Dropping a reference closes this process's copy of the descriptor
        # only: no shutdown, no TLS close_notify, so the parent's connection goes on.
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, str, int], Pool] = {}

    def __repr__(self) -> str:
        return f"<Transport pools={len(self._pools)}>"

    def exchange(self, wire: WireRequest, deadline: Deadline) -> HTTPBody:
        """Send `wire`, read the head, hand out the body. `deadline` is put off while a body moves.

        The connection is reused when the body was read to its end, else closed. After an error answer only
        when the request had no body, of which the store may have left a part unread.
        """
        return self.send(wire, deadline).answer(deadline)

    def send(self, wire: WireRequest, deadline: Deadline, *, early: bool = False) -> OnItsWay:
        """The first half of `exchange`: the answer is taken from what this returns, or given up with it.

        An `early` request waits for nobody to give a descriptor back, and where they are few it is not sent,
        but a ConnectError: its own thread may have them all. In an event loop none is sent but an early one,
        by a connection that is idle.
        """
        if not early:
            must_wait()
        pool = self._pool(wire.scheme, wire.host, wire.port)
        if pool.missing:
            must_wait()
            return _by_urllib3(self._current(pool), self.options, wire)
        if early and time.monotonic() < self._few_until:
            raise no_connection(pool.route, self.options, OSError(errno.EMFILE, ""))
        youngest = FRESH_SECONDS if wire.fresh_connection else None
        conn = pool.take(youngest)
        is_reused = conn is not None and conn.has_answered
        if conn is None:
            must_wait()  # for the files of certificates, and for the connection
            pool = self._current(pool)
            conn = self._connect(pool, youngest, deadline, 0.0 if early else self.options.read_timeout)
        sent = Sent(self, pool, conn, wire, is_reused)
        try:
            sent.broken = self._send(conn, pool.route.proxy, wire, deadline)
            sent.since = time.monotonic()
        except BaseException:
            sent.close()
            raise
        return sent

    def has_idle(self, scheme: str, host: str, port: int) -> bool:
        """Whether a connection to this place is idle."""
        pool = self._pools.get((scheme, host, port))
        return pool is not None and pool.has_idle()

    def connecting(self, scheme: str, host: str, port: int) -> Connecting | None:
        """A connection that an event loop makes without a thread, begun; None where a thread has to.

        A thread looks names up. It makes TLS as well, which takes more of a processor than of waiting.
        """
        pool = self._pools.get((scheme, host, port))
        if pool is None or not pool.route.is_plain:
            return None
        if time.monotonic() < self._few_until or self._route(scheme, host, port) != pool.route:
            return None
        close_all_outdated()
        return begin(pool, self.options, self.socket_options)

    def prepare(self, scheme: str, host: str, port: int) -> None:
        """Find out how this place is reached, for which an event loop would wait for files and names."""
        if self._pool(scheme, host, port).route.is_plain:
            look_up(host, port, Deadline(self.options.connect_timeout))

    def is_prepared(self, scheme: str, host: str, port: int) -> bool:
        """Whether a loop may ask for a connection to this place (`connecting`). It does not wait."""
        pool = self._pools.get((scheme, host, port))
        return pool is not None and not (pool.route.is_plain and not addresses_at_hand(host, port))

    def close(self) -> None:
        """Close all idle connections. What is under way goes on, and later requests connect anew."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close_idle()

    def close_outdated(self) -> None:
        """Close the idle connections that would be made in another way now."""
        for pool in list(self._pools.values()):
            route = None
            with suppress(ConfigurationError):  # which the next request gets
                route = self._route(*pool.route[:3])
            if route != pool.route:
                self._drop(pool)

    # --- connections ---

    def _pool(self, scheme: str, host: str, port: int) -> Pool:
        pool = self._pools.get((scheme, host, port))
        if pool is None:
            must_wait()  # for the files of certificates
            with self._lock:
                pool = self._pools.get((scheme, host, port))
                if pool is None:
                    pool = self._pools[(scheme, host, port)] = self._new_pool(scheme, host, port)
        return pool

    def _new_pool(self, scheme: str, host: str, port: int) -> Pool:
        route = self._route(scheme, host, port)
        size = within_limit(max(32, self.options.max_concurrency * 4))
        return Pool(route, self.options.idle_timeout, size, _missing_for(route))

    def _route(self, scheme: str, host: str, port: int) -> Route:
        """The way to a store, as environment and files have it now. Raises ConfigurationError."""
        proxy = self.proxy(scheme, host, port)
        secure = "https" in (scheme, proxy.scheme if proxy else "")
        return Route(scheme, host, port, proxy, self.ssl_context() if secure else None)

    def _current(self, pool: Pool) -> Pool:
        """The pool to make a connection for: `pool`, or another where the way is another one by now."""
        if self._route(*pool.route[:3]) == pool.route:
            return pool
        self._drop(pool)
        return self._pool(*pool.route[:3])

    def _drop(self, pool: Pool) -> None:
        place = pool.route[:3]
        with self._lock:
            if self._pools.get(place) is pool:
                del self._pools[place]
        pool.close_idle()

    @staticmethod
    def proxy(scheme: str, host: str, port: int) -> Proxy | None:
        """The proxy to `host` that the environment names. Raises ConfigurationError for what is none."""
        return proxy_for(scheme, host, port)

    def ssl_context(self) -> ssl.SSLContext:
        """What decides which certificates are trusted. ConfigurationError for files that cannot be loaded."""
        return self._trust.context()

    def _connect(self, pool: Pool, youngest: float | None, deadline: Deadline, patience: float) -> Connection:
        """A new connection, or where this process may have none, one that is given back within `patience`."""
        must_wait()
        close_all_outdated()
        until = time.monotonic() + min(patience, deadline.left())
        while True:
            failure: Exception | None = None
            try:
                return Connection(connected(pool.route, self.options, self.socket_options, deadline))
            except (OSError, http.client.HTTPException) as error:
                if is_of_a_handler(error):
                    raise
                failure = error
            is_worth_it = False
            if are_none_left(failure):
                self._few_until = time.monotonic() + _FEW_SECONDS
                is_worth_it = close_all_idle() or _is_any_in_use(until)
            if not is_worth_it:
                raise no_connection(pool.route, self.options, failure) from failure
            conn = pool.take(youngest)
            if conn is not None:
                return conn

    # --- one exchange ---

    def learn_round_trip(self, waited: float, passed: float) -> None:
        """An answer came after `waited` seconds of waiting for it, and `passed` since its request was sent.

        The way took no less than the one, and no more than the other: requests may be sent long before
        anybody waits for their answers. An answer may take the store longer than the way, never shorter: so
        down at once, up slowly.
        """
        if passed < self.round_trip:
            self.round_trip = passed
        elif waited > self.round_trip:
            self.round_trip += (waited - self.round_trip) * 0.1

    def _send(
        self, conn: Connection, proxy: Proxy | None, wire: WireRequest, deadline: Deadline
    ) -> OSError | None:
        """Send head and body. Returns what broke the connection."""
        target = wire.target
        lines = [f"{name}: {value}" for name, value in wire.headers.items()]
        if proxy is not None and wire.scheme == "http":  # RFC 9112, 3.2.2: absolute form
            target = f"http://{wire.headers['host']}{target}"
            lines += [f"proxy-authorization: {proxy.authorization}"] if proxy.authorization else []
        lines.insert(0, f"{wire.method} {target} HTTP/1.1")
        text = "\r\n".join([*lines, "", ""])
        if not text.count("\n") == text.count("\r") == len(lines) + 1:
            raise ValueError("a header value must not hold a line break")
        data = wire_bytes(text)
        pace = Pace(self.options, self.options.send_timeout, deadline, wire.slow_answer)
        return Sender(conn.channel, conn.incoming, pace).send(data, wire)


def _is_any_in_use(until: float) -> bool:
    """Wait a moment for a descriptor; False where nobody of this package would give one back `until` then."""
    if time.monotonic() >= until or not is_any_open():
        return False
    pause(_POLL_SECONDS)
    return True


def _release(pool: Pool, conn: Connection, wire: WireRequest, clean: bool, status: int) -> None:
    if clean and not (wire.body and status >= 300):
        conn.has_answered = True
        pool.give_back(conn)
    else:
        conn.close()


# --- one transport per process, options and session -------------------------------------------------

# Weak: when the last filesystem and reader with these options are gone, so are their connections.
_shared: weakref.WeakValueDictionary[object, Transport] = weakref.WeakValueDictionary()
_shared_lock = PerProcess(threading.Lock)


def shared_transport(options: Options, bundle_of_profile: Callable[[], str | None]) -> Transport:
    """The transport of this process for these options and the session that `bundle_of_profile` is of.

    Made on first use. A later user gets no connection that it would not make itself.
    """
    key = options, bundle_of_profile
    with _shared_lock():
        transport = _shared.get(key)
        if transport is None:
            transport = _shared[key] = Transport(options, bundle_of_profile)
            return transport
    transport.close_outdated()
    return transport


def _close_all() -> None:
    with _shared_lock():
        transports = list(_shared.values())
    for transport in transports:
        with suppress(Exception):
            transport.close()


atexit.register(_close_all)
