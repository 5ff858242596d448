"""How a connection is made: name, TCP, proxy, TLS. Each wait has a deadline of its own and goes by turns.

`connect_timeout` bounds TCP and TLS, for each address that the name has; the deadline of the request bounds
them all, and the answers of resolver and proxy.
"""

from __future__ import annotations

import base64
import encodings.idna  # noqa: F401 - see below
import errno
import os
import queue
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from .._forks import importing
from .._values.deadline import Deadline
from .._values.paths import is_loopback
from .._work import TURN, check, is_of_a_handler
from ..errors import ConfigurationError
from ..options import Options
from .incoming import Incoming
from .pace import Pace
from .readiness import is_readable, is_writable
from .response import HTTPBody
from .timed_socket import Channel, channel_of

# getaddrinfo() and TLS load `encodings.idna` for the first name that they get. A process that is forked while
# a thread imports leaves the lock of that module taken in its child, which then waits for ever.
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN)
_PORTS = {"http": 80, "https": 443}
_RECORD = 2**14  # bytes that a record of TLS holds (RFC 8446, 5.1)
_TLS_SECONDS = 1.0  # within which who speaks TLS answers a ClientHello
_KNOWN_SECONDS = 1.0  # that a proxy, and the addresses of a name, are good for: connections of one burst
_MAX_KNOWN = 64
_looked_up: dict[tuple[str, int], tuple[float, list[Any]]] = {}  # when, and what was found
_PROXY_VARIABLES = [
    name for one in ("http", "https", "all", "no") for name in (f"{one}_proxy", f"{one.upper()}_PROXY")
]
# When, by which values of these variables, and what was found. `urllib` knows other spellings as well.
_proxies: dict[tuple[str, str, int], tuple[float, tuple[str | None, ...], Proxy | None]] = {}


class Proxy(NamedTuple):
    """A proxy, and what it wants to be told. Its `repr` and `shown` hold no password."""

    scheme: str
    host: str
    port: int
    authorization: str  # the value of Proxy-Authorization, or ""

    @property
    def shown(self) -> str:
        """The URL, without user and password."""
        return f"{self.scheme}://{_with_port(self.host, self.port)}"

    def __repr__(self) -> str:
        return f"<Proxy {self.shown}>"


def proxy_for(scheme: str, host: str, port: int) -> Proxy | None:
    """The proxy to `host` that the environment or the system names.

    ALL_PROXY stands in for a variable of the scheme that is not set. NO_PROXY may name a host with its port.
    A URL without a scheme is one of http, as botocore has it. Raises ConfigurationError for what is none.
    """
    if is_loopback(host):
        return None
    place, settings = (scheme, host, port), tuple(map(os.environ.get, _PROXY_VARIABLES))
    known = _proxies.get(place)
    if known is not None and known[1] == settings and time.monotonic() - known[0] < _KNOWN_SECONDS:
        return known[2]
    found = _named_proxy(scheme, host, port)
    if len(_proxies) >= _MAX_KNOWN:
        _proxies.clear()
    _proxies[place] = time.monotonic(), settings, found
    return found


def _named_proxy(scheme: str, host: str, port: int) -> Proxy | None:
    """As `proxy_for`. To ask for it takes a third of a millisecond, as long as TCP and HTTP together."""
    with importing():
        import urllib.request
    if any(map(urllib.request.proxy_bypass, (host, _with_port(host, port)))):
        return None
    proxies = urllib.request.getproxies()
    name = next((name for name in (scheme, "all") if proxies.get(name, "").strip()), "")
    if not name:
        return None
    url = proxies[name].strip()
    with suppress(ValueError):  # an address or a port that is none; what the error says may be a password
        parts = urlsplit(url if "://" in url else f"http://{url.removeprefix('//')}")
        is_whole = "@" not in parts.path + parts.query + parts.fragment  # else what precedes is of a password
        if "[" in parts.netloc:  # Python before 3.11.4 takes anything between brackets
            is_whole = is_whole and _is_address((parts.hostname or "").partition("%")[0])
        if parts.hostname and parts.scheme in _PORTS and parts.port != 0 and is_whole:
            port = parts.port or _PORTS[parts.scheme]
            host = parts.hostname.replace("%25", "%")  # the zone of an address (RFC 6874, 1)
            return Proxy(parts.scheme, host, port, _basic(parts.username, parts.password))
    raise ConfigurationError(
        f"{name.upper()}_PROXY must be http://host:port or https://host:port, with user and password if it "
        "wants them: letters that stand for something in a URL are written as %40, say"
    )


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _basic(user: str | None, password: str | None) -> str:
    """Basic authentication (RFC 7617) of what a URL has, where it is escaped."""
    if user is None:
        return ""
    plain = f"{unquote(user)}:{unquote(password or '')}"
    return f"Basic {base64.b64encode(plain.encode()).decode()}"


class ProxyRefusedError(ConnectionRefusedError):
    """A proxy answered `status`: it does not let the request pass."""

    def __init__(self, status: int) -> None:
        why = ": it wants user and password in its URL" if status == 407 else ""
        super().__init__(errno.ECONNREFUSED, f"the proxy answered {status}{why}")
        self.status = status


class Route(NamedTuple):
    """Where a connection goes, by which proxy, and who is trusted on the way."""

    scheme: str
    host: str
    port: int
    proxy: Proxy | None
    context: ssl.SSLContext | None = None  # where TLS is spoken, to the store or to the proxy

    @property
    def is_plain(self) -> bool:
        """Whether TCP to the store itself is all of it."""
        return self.proxy is None and self.context is None

    def __str__(self) -> str:
        by = f" by the proxy {self.proxy.shown}" if self.proxy else ""
        return f"{self.host}:{self.port}{by}"


def connected(
    route: Route,
    options: Options,
    socket_options: list[tuple[int, int, int]],
    deadline: Deadline,
) -> Channel:
    """A connection to speak HTTP on. Raises OSError."""
    proxy, context = route.proxy, route.context
    sock: Any = dial(*(proxy[1:3] if proxy else route[1:3]), options, socket_options, deadline)
    try:
        if context is not None and proxy is not None and proxy.scheme == "https":
            sock = secure(sock, proxy.host, context, options, deadline)
        if context is not None and route.scheme == "https":
            if proxy is not None:
                _tunnel(sock, route, proxy, options, deadline)
            if isinstance(sock, ssl.SSLSocket):
                with importing():
                    from .nested_tls import secure_within
                sock = secure_within(
                    sock, name_of_certificate(route.host), context, options, _until(options, deadline)
                )
            else:
                sock = secure(sock, route.host, context, options, deadline)
        return channel_of(sock, options)
    except BaseException:
        sock.close()
        raise


def _seconds(options: Options, deadline: Deadline) -> float:
    """What a step of connecting may take."""
    seconds = min(options.connect_timeout, deadline.left())
    if seconds <= 0:
        raise TimeoutError("the deadline of the request has passed")
    return seconds


def _until(options: Options, deadline: Deadline) -> float:
    """When a step of connecting that begins now must have ended, by `time.monotonic()`."""
    return time.monotonic() + _seconds(options, deadline)


def _wait(ready: Callable[[Any, float], bool], sock: Any, until: float) -> None:
    """Wait until `sock` is `ready`, or raise TimeoutError at the `time.monotonic()` value `until`.

    It is looked at least once: this process may have stood still meanwhile.
    """
    left = until - time.monotonic()
    while not ready(sock, max(0.0, min(left, TURN))):
        check()
        if left <= 0:
            raise TimeoutError("timed out")
        left = until - time.monotonic()


# --- TCP ---


def dial(
    host: str,
    port: int,
    options: Options,
    socket_options: list[tuple[int, int, int]],
    deadline: Deadline,
) -> socket.socket:
    """A TCP connection to the first address of `host` that takes one."""
    failure: OSError | None = None
    for family, kind, protocol, _, address in _addresses(host, port, deadline):
        try:
            return _dial(family, kind, protocol, address, options, socket_options, deadline)
        except OSError as error:
            if is_of_a_handler(error):
                raise
            failure = error
            if deadline.left() <= 0:
                break
    raise failure or OSError(f"the name {host} has no address")


def _dial(
    family: int,
    kind: int,
    protocol: int,
    address: Any,
    options: Options,
    socket_options: list[tuple[int, int, int]],
    deadline: Deadline,
) -> socket.socket:
    until = _until(options, deadline)
    sock = begun(family, kind, protocol, address, socket_options)
    try:
        _wait(is_writable, sock, until)
        refuse_failed(sock)
        return sock
    except BaseException:
        sock.close()
        raise


def begun(
    family: int, kind: int, protocol: int, address: Any, socket_options: list[tuple[int, int, int]]
) -> socket.socket:
    """A socket that connects to `address`, or has failed to. It does not wait."""
    sock = socket.socket(family, kind, protocol)
    try:
        for option in socket_options:
            with suppress(OSError):  # not every system, or sandbox, knows all that its headers name
                sock.setsockopt(*option)
        sock.setblocking(False)
        code = sock.connect_ex(address)
        if code not in _UNDER_WAY:
            _raise(code)
        return sock
    except BaseException:
        sock.close()
        raise


def refuse_failed(sock: socket.socket) -> None:
    """Raises the error by which `sock`, for which was waited, has failed to connect."""
    _raise(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def _raise(code: int) -> None:
    if code:
        # Python makes it a ConnectionRefusedError, for example. Windows has its texts elsewhere.
        raise OSError(code, getattr(socket, "errorTab", {}).get(code) or os.strerror(code))


def addresses_at_hand(host: str, port: int) -> list[Any]:
    """The addresses of `host`, if it is one, or was looked up just now; else none. It does not wait."""
    if _is_address(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    since, found = _looked_up.get((host, port), (0.0, []))
    return found if time.monotonic() - since < _KNOWN_SECONDS else []


def forget_address(host: str, port: int, address: Any) -> None:
    """Nobody is at `address`, which is one of several that the name has."""
    since, found = _looked_up.get((host, port), (0.0, []))
    if found:
        _looked_up[host, port] = since, [item for item in found if item[4] != address]


def look_up(host: str, port: int, deadline: Deadline) -> None:
    """Have the addresses of `host` at hand for a while. Raises OSError."""
    if not addresses_at_hand(host, port):
        _addresses(host, port, deadline)


def _addresses(host: str, port: int, deadline: Deadline) -> list[Any]:
    """What the resolver knows. It has no time-out, so a thread of its own waits for it."""
    if _is_address(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    answers: queue.SimpleQueue[list[Any] | BaseException] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except BaseException as error:
            answers.put(error)

    try:
        threading.Thread(target=ask, name="gs3-resolver", daemon=True).start()
    except RuntimeError:  # the interpreter is going down: no new threads
        ask()
    while (left := deadline.left()) > 0:
        check()
        with suppress(queue.Empty):
            answer = answers.get(timeout=min(left, TURN))
            if isinstance(answer, BaseException):
                raise answer.with_traceback(None)  # the steps of that thread tell nobody anything
            if len(_looked_up) >= _MAX_KNOWN:
                _looked_up.clear()
            _looked_up[host, port] = time.monotonic(), answer
            return answer
    raise TimeoutError(f"the name {host} was not resolved before the deadline of the request")


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return True
    return False


# --- TLS ---


def secure(
    sock: socket.socket, host: str, context: ssl.SSLContext, options: Options, deadline: Deadline
) -> ssl.SSLSocket:
    """TLS on a connected socket, which it takes over. Raises ssl.SSLError."""
    until = _until(options, deadline)
    tls = context.wrap_socket(sock, server_hostname=name_of_certificate(host), do_handshake_on_connect=False)
    try:
        tls.setblocking(False)
        while True:
            try:
                tls.do_handshake()
                return tls
            except ssl.SSLWantReadError:
                ready = is_readable
            except ssl.SSLWantWriteError:
                ready = is_writable
            _wait(ready, tls, until)
    except BaseException:
        tls.close()
        raise


def speaks_tls(
    route: Route, options: Options, socket_options: list[tuple[int, int, int]], deadline: Deadline
) -> bool:
    """Whether who listens there answers a ClientHello by a TLS record (RFC 8446, 5.1): plain text is nothing
    to it.
    """
    hello = ssl.MemoryBIO()
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), hello, server_hostname="s3")
    with suppress(ssl.SSLWantReadError):
        asking.do_handshake()
    with suppress(OSError), dial(route.host, route.port, options, socket_options, deadline) as sock:
        sock.sendall(hello.read())
        _wait(is_readable, sock, time.monotonic() + min(_TLS_SECONDS, _seconds(options, deadline)))
        return is_tls(sock.recv(3))
    return False


def is_tls(data: bytes) -> bool:
    """Whether `data` begins with an alert or a handshake record of TLS."""
    return data[:2] in (b"\x15\x03", b"\x16\x03")


def name_of_certificate(host: str) -> str:
    """The name that a certificate has: without the dot of a rooted name, and the zone of an address."""
    return host.rstrip(".").partition("%")[0]


# --- a tunnel through a proxy ---


def _tunnel(sock: Any, route: Route, proxy: Proxy, options: Options, deadline: Deadline) -> None:
    """CONNECT (RFC 9110, 9.3.6). Raises OSError when the proxy refuses."""
    authority = _with_port(route.host, route.port)
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    channel = channel_of(sock, options)
    view = memoryview("\r\n".join([*lines, "", ""]).encode("latin-1"))
    pace = Pace(options, options.send_timeout, deadline, slow_answer=False)
    while view:
        view = view[channel.send(view, pace) :]
    incoming = Incoming(channel)
    incoming.expect(Pace(options, options.read_timeout, deadline, slow_answer=False))
    answer = HTTPBody(incoming, "HEAD", lambda clean, status: None)  # what follows 2xx is the tunnel
    if not 200 <= answer.status < 300:
        raise ProxyRefusedError(answer.status)
    if not incoming.is_empty:
        raise ConnectionAbortedError(errno.ECONNABORTED, "the proxy sent more than an answer to CONNECT")


def socket_options_of(options: Options) -> list[tuple[int, int, int]]:
    """What every socket is made with: no delay, keep-alive, and an end to waiting for a peer that is gone."""
    found = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            found.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    if sys.platform == "linux" and hasattr(socket, "TCP_USER_TIMEOUT"):
        # Bounds a send to a peer that died without a word (RFC 5482); milliseconds.
        found.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(options.send_timeout * 1000)))
    return found
