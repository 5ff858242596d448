"""An exchange by urllib3 itself: where a private part of it that ours needs is not what it was.

It is slower, since each request has a connection of its own, and holds the same promises, some of them later:
whether anybody still waits is looked at when something has moved, or a time-out is over.
"""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Iterator
from functools import cache

import urllib3
from urllib3 import BaseHTTPResponse, HTTPConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError

from .._values.bodies import body_chunks, body_size
from .._values.deadline import Deadline
from .._values.models import Arrival, WireRequest
from .._values.private_parts import say_once
from .._work import check
from ..errors import IncompleteBodyError
from ..options import Options
from .connect import Route, name_of_certificate
from .pace import Pace
from .response import HTTPBody, length_of, translated
from .unreachable import no_connection

_PIECE = 65536  # bytes that are read at once
# Of SSLTransport: what `nested_tls` and `timed_socket` use.
METHODS = ("send", "recv_into", "settimeout", "gettimeout", "fileno", "close")
ATTRIBUTES = ("incoming", "sslobj", "socket")  # which its constructor sets
_NOT_CONNECTED = (NewConnectionError, ConnectTimeoutError, ProxyError)


@cache
def missing_part() -> str:
    """What is not as `nested_tls` needs it, of urllib3's TLS within TLS; "" where all is."""
    try:
        from urllib3.util.ssltransport import SSLTransport
    except ImportError:
        return "urllib3.util.ssltransport.SSLTransport"
    parts = [name for name in METHODS if not callable(getattr(SSLTransport, name, None))]
    made = getattr(getattr(SSLTransport.__init__, "__code__", None), "co_names", ())
    parts += [name for name in ATTRIBUTES if name not in made]
    return f"SSLTransport.{parts[0]} of urllib3" if parts else ""


def say_why(missing: str) -> None:
    """Log why requests go this way, once per process."""
    say_once(missing, "requests that need it are made by urllib3's own exchange, which is slower")


class PlainSent:
    """A request whose answer is asked for when it is wanted. Stands for `transport.Sent`."""

    broken: OSError | None = None

    def __init__(self, route: Route, options: Options, wire: WireRequest) -> None:
        self._route = route
        self._options = options
        self._wire = wire
        self._whole = False  # whether all of the body was sent
        self._failed: BaseException | None = None  # of the local file
        self.since = time.monotonic()

    def answer(self, deadline: Deadline) -> HTTPBody:
        """Make the request, read the head of the answer and hand out its body."""
        options, wire = self._options, self._wire
        check()
        timeout = options.read_timeout
        if wire.slow_answer:
            timeout = max(timeout, options.request_deadline / 2)
        pool = _pool(self._route)
        try:
            response = pool.urlopen(
                wire.method,
                wire.target,
                body=self._body() if body_size(wire.body) else None,
                headers={"user-agent": "fsspec_guarded_s3", **wire.headers},
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(
                    connect=min(
                        options.send_timeout if wire.body else options.connect_timeout, deadline.left()
                    ),
                    read=min(timeout, deadline.left()),
                ),
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            pool.close()
            raise self._failure(error) from error
        except BaseException:
            pool.close()
            raise
        body = PlainBody(pool, response, wire.method, Pace(options, timeout, deadline, wire.slow_answer))
        if wire.body and not self._whole:
            body.close()
            if response.status < 300:
                raise IncompleteBodyError(f"the store answered {response.status} to a part of the request")
        return body

    def _body(self) -> Iterator[bytes]:
        try:
            for piece in body_chunks(self._wire.body):
                check()
                yield bytes(piece)
        except BaseException as error:
            self._failed = error
            raise
        self._whole = True

    def _failure(self, error: Exception) -> BaseException:
        if self._failed is not None:
            return self._failed
        origin = _origin(error)
        refused = isinstance(origin, ssl.SSLCertVerificationError)
        if refused or isinstance(error, _NOT_CONNECTED):
            return no_connection(self._route, self._options, origin)
        return translated(origin)

    def descriptor(self) -> int | None:
        """None: it is sent when its answer is wanted."""
        return None

    def arrival(self) -> Arrival:
        """Nothing."""
        return Arrival.NOTHING

    def is_lost(self) -> bool:
        """Nothing was sent yet that could be."""
        return False

    def close(self) -> None:
        """Nothing was sent, and nothing will be."""


class PlainBody(HTTPBody):
    """The body of an answer by urllib3. Its connection is closed at the end."""

    def __init__(self, pool: HTTPConnectionPool, response: BaseHTTPResponse, method: str, pace: Pace) -> None:
        self._pool = pool
        self._response = response
        self._pace = pace
        self._failed = None
        self._chunked = None
        self._must_check_end = False
        self.will_close = True
        self.status = response.status
        self.headers = {name.lower(): response.headers[name] for name in response.headers}
        self.length = self._remaining = length_of(self.headers, self.status, method)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._response.close()
        self._pool.close()

    def _taken(self, count: int) -> bytes | None:
        """None: urllib3 has the connection."""
        return None

    def _receive_some(self, view: memoryview) -> int:
        self._pace.allowance()
        try:
            data: bytes = self._response.read1(min(view.nbytes, _PIECE))
        except HTTPError as error:
            origin = _origin(error)
            known = isinstance(origin, (OSError, http.client.HTTPException))
            raise (origin if known else http.client.HTTPException(str(error))) from error
        view[: len(data)] = data
        self._pace.moved(len(data))
        return len(data)


def _pool(route: Route) -> HTTPConnectionPool:
    """A pool that makes one connection by `route`."""
    if route.proxy is not None:
        proxy = urllib3.ProxyManager(
            route.proxy.shown,
            proxy_headers={"proxy-authorization": route.proxy.authorization}
            if route.proxy.authorization
            else {},
            proxy_ssl_context=route.context,
            ssl_context=route.context,
        )
        return proxy.connection_from_host(route.host, route.port, route.scheme)
    if route.scheme == "https":
        return urllib3.HTTPSConnectionPool(
            route.host, route.port, ssl_context=route.context, server_hostname=name_of_certificate(route.host)
        )
    return urllib3.HTTPConnectionPool(route.host, route.port)


def _origin(error: Exception) -> Exception:
    """What urllib3's `error` is about: the exception of a socket, of TLS, of `http.client`."""
    while True:
        within = (error.__cause__, *error.args, getattr(error, "reason", None))
        inner = next((found for found in within if isinstance(found, Exception)), None)
        if inner is None:
            return error
        error = inner
