"""An exchange that failed -> the exception for it, where the way to the store is at fault.

Invariant: after a ConnectError nothing was applied, since nobody who could have done so has understood the
request. What no further attempt would mend is not tried again.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl

from .._values.descriptors import none_left
from ..errors import ConnectError, IncompleteBodyError, SendTimeoutError, TransportError
from ..options import Options
from .connect import ProxyRefusedError, Route
from .descriptors import are_none_left
from .response import translated

# Alerts by which a handshake is refused (RFC 8446, 6.2), in OpenSSL's names; with TLS 1.3 they come in place
# of the first answer. Others, such as internal_error, may pass.
_REFUSED = re.compile(
    r"ALERT_.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE|PROTOCOL_VERSION|INSUFFICIENT_SECURITY"
    r"|NO_APPLICATION_PROTOCOL)|UNRECOGNIZED_NAME"
)
_OF_CERTIFICATE = re.compile("CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE")
# What OpenSSL makes of an answer that is no TLS.
_NO_TLS = re.compile("WRONG_VERSION_NUMBER|HTTP_REQUEST|RECORD_LAYER_FAILURE")
# What only the first host of the way can be the reason of: behind a proxy it answers for the others.
_OF_FIRST_HOP = (ConnectionRefusedError, socket.gaierror)
_NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH)
PLAIN_TO_TLS = "TLS is spoken at this port: use https:// in endpoint_url"


def no_connection(route: Route, options: Options, error: Exception) -> ConnectError:
    """The error for a connection that could not be made because of `error`."""
    if are_none_left(error):  # that was waited for already
        return ConnectError(f"no connection to {route}: {none_left()}", given_up=True, errno=errno.EMFILE)
    refusal = _refusal(error, options) or _no_tls(route, error)
    hopeless = bool(refusal) or isinstance(error, ssl.SSLCertVerificationError)
    if isinstance(error, ProxyRefusedError):
        hopeless = error.status < 500 and error.status not in (408, 429)
    told = refusal or (f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    place = str(route)
    is_of_first_hop = isinstance(error, _OF_FIRST_HOP) and not isinstance(error, ProxyRefusedError)
    if route.proxy and (is_of_first_hop or getattr(error, "errno", None) in _NO_WAY):
        place = f"the proxy {route.proxy.shown}, on the way to {route.host}:{route.port}"
    return ConnectError(f"no connection to {place}: {told}", given_up=hopeless)


def no_answer(route: Route, options: Options, error: Exception, broken: OSError | None) -> TransportError:
    """The error for a request without an answer: `error` ended the wait for it, `broken` the sending."""
    for cause in (error, broken):
        if isinstance(cause, ssl.SSLError) and _refusal(cause, options):
            return no_connection(route, options, cause)
    by = f", by the proxy {route.proxy.shown}" if route.proxy else ""
    if broken is None:
        failure = translated(error)
        failure.message += by
        failure.args = (failure.errno, failure.message)
        return failure
    if isinstance(broken, TimeoutError):  # of the kernel (TCP_USER_TIMEOUT), which has closed the connection
        return SendTimeoutError(f"the store stopped taking the request{by}: {broken}", request_sent=False)
    # What broke the sending is the cause. Part of the request is missing, so it cannot have been applied
    # (RFC 9112, 8).
    return IncompleteBodyError(f"the connection broke while sending{by}: {broken}", request_sent=False)


def _no_tls(route: Route, error: Exception) -> str:
    """What to do where who answered the handshake does not speak TLS, "" where that is not so."""
    if not isinstance(error, ssl.SSLError) or not _NO_TLS.search(getattr(error, "reason", None) or ""):
        return ""
    if route.proxy:
        return "no TLS is spoken there: look at the scheme of HTTPS_PROXY, and at endpoint_url"
    return "no TLS is spoken at this port: use http:// in endpoint_url, or the port of https"


def _refusal(error: Exception, options: Options) -> str:
    """What the alert of TLS means by which the other side refused, "" where `error` is none of these."""
    reason = getattr(error, "reason", None) or ""
    if not isinstance(error, ssl.SSLError) or not _REFUSED.search(reason):
        return ""
    told = reason.partition("ALERT_")[2] or reason
    remedy = ""
    if _OF_CERTIFICATE.search(told):
        remedy = ": pass client_cert, if it wants one" if not options.client_cert else ": check client_cert"
    return f"the other side refused TLS by the alert {told.lower()}{remedy}"
