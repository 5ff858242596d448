"""Whether a socket can be read or written, waiting a while for it. A socket that failed is ready for both."""

from __future__ import annotations

import select
from typing import Any


def is_readable(sock: Any, seconds: float) -> bool:
    """Whether a byte, the end or an error comes within `seconds`."""
    if not hasattr(select, "poll"):
        return any(select.select((sock,), (), (), seconds))
    return _is_ready(sock, select.POLLIN, seconds)


def is_writable(sock: Any, seconds: float) -> bool:
    """Whether it takes bytes, or has connected or failed to, within `seconds`."""
    if not hasattr(select, "poll"):
        return any(select.select((), (sock,), (sock,), seconds))  # Windows tells a failure by the third
    return _is_ready(sock, select.POLLOUT, seconds)


def _is_ready(sock: Any, event: int, seconds: float) -> bool:
    ready = select.poll()  # select() knows no descriptor above 1,023
    ready.register(sock, event)
    return bool(ready.poll(seconds * 1000))
