"""TLS to a store within the TLS to a proxy, by urllib3. Loaded when there is such a proxy."""

from __future__ import annotations

import errno
import ssl
import time
from typing import TYPE_CHECKING, Any

from urllib3.util.ssltransport import SSLTransport

from .._work import TURN, check, is_of_a_handler
from ..options import Options
from .readiness import is_writable

_RECORD = 2**14  # bytes that a record of TLS holds (RFC 8446, 5.1)


class _Outer:
    """The TLS to a proxy, below that to the store. Waiting on it ends when nobody wants its bytes any more.

    To receive ends by turns too, and loses nothing. To send does not: the rest of a record would be missing.
    """

    def __init__(self, sock: ssl.SSLSocket, options: Options, until: float) -> None:
        self._sock = sock
        self._send_timeout = options.send_timeout
        self.handshake_until = until

    if not TYPE_CHECKING:  # type checkers would take every name for one that is there

        def __getattr__(self, name: str) -> Any:
            return getattr(self._sock, name)

    def recv(self, size: int) -> bytes:
        while True:
            try:
                return self._sock.recv(size)
            except TimeoutError as error:
                if is_of_a_handler(error) or time.monotonic() >= self.handshake_until:
                    raise
                check()

    def sendall(self, data: bytes) -> None:
        """ConnectionAbortedError, after which nothing can be sent, where the proxy takes nothing for long."""
        view = memoryview(data)
        latest = time.monotonic() + self._send_timeout
        while view:
            try:
                view = view[self._sock.send(view) :]
                latest = time.monotonic() + self._send_timeout
            except (TimeoutError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                if is_of_a_handler(error):
                    raise
                check()
                if time.monotonic() >= latest:
                    raise ConnectionAbortedError(
                        errno.ECONNABORTED, f"the proxy took nothing for {self._send_timeout:g} s"
                    ) from None
                is_writable(self._sock, TURN)


class _Nested(SSLTransport):
    """TLS within the TLS of a proxy. It takes as much at once as two records hold."""

    def send(self, data: Any, flags: int = 0) -> int:
        return super().send(data[: 2 * _RECORD], flags)


def secure_within(
    sock: ssl.SSLSocket, name: str, context: ssl.SSLContext, options: Options, until: float
) -> SSLTransport:
    """TLS with the store that has a certificate for `name`, through `sock`, the TLS to a proxy.

    The handshake ends by the `time.monotonic()` value `until`. Raises ssl.SSLError.
    """
    sock.settimeout(TURN)
    outer = _Outer(sock, options, until)
    nested = _Nested(outer, context, name)  # type: ignore[arg-type]
    outer.handshake_until = 0.0
    return nested
