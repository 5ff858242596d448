"""A limit on what is written to somebody's bucket, kept by all processes of a run.

The counters are in a file that the environment names, and looked at before each request is sent. Removing is
not counted: it must go on when the limit is reached.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.client import BaseClient

from fsspec_guarded_s3._http.transport import Sent, Transport
from fsspec_guarded_s3._values.bodies import body_size

VARIABLE = "GUARDED_S3_BUDGET"
_FORMAT = struct.Struct("<6q")


class BudgetSpent(Exception):
    """A request was not sent, since it would have gone over the limit."""


@dataclass(frozen=True)
class Spent:
    """Requests that write, those that read, bytes sent and received; and the limits."""

    writes: int = 0
    reads: int = 0
    sent: int = 0
    received: int = 0
    most_writes: int = 0
    most_sent: int = 0

    @property
    def is_over(self) -> bool:
        """Whether a request was refused."""
        return self.writes > self.most_writes or self.sent > self.most_sent


def begin(path: Path, most_writes: int, most_sent: int) -> None:
    """Count from 0 in the file `path`, for this process and those that it starts."""
    path.write_bytes(_FORMAT.pack(0, 0, 0, 0, most_writes, most_sent))
    os.environ[VARIABLE] = str(path)
    install()


def end() -> None:
    """Count no more."""
    os.environ.pop(VARIABLE, None)


def spent() -> Spent:
    """What was counted so far, by all processes."""
    return Spent(*_FORMAT.unpack(Path(os.environ[VARIABLE]).read_bytes()))


def add(writes: int = 0, reads: int = 0, sent: int = 0, received: int = 0) -> None:
    """Count a request. Raises BudgetSpent when it is over the limit, and must not be sent."""
    path = os.environ.get(VARIABLE)
    if path is None:
        return
    import fcntl

    with open(path, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = Spent(*_FORMAT.unpack(file.read()))
        now = Spent(
            before.writes + writes,
            before.reads + reads,
            before.sent + sent,
            before.received + received,
            before.most_writes,
            before.most_sent,
        )
        file.seek(0)
        file.write(_FORMAT.pack(*(getattr(now, name) for name in Spent.__annotations__)))
    if now.is_over and (writes or sent):
        raise BudgetSpent(f"the limit is {now.most_writes:,} writes and {now.most_sent:,} bytes")


def _is_removal(method: str, url: str) -> bool:
    return method == "DELETE" or (method == "POST" and url.rstrip("=").endswith("?delete"))


def _count(method: str, url: str, size: int) -> None:
    if _is_removal(method, url):
        return
    if method in ("PUT", "POST"):
        add(writes=1, sent=size)
    else:
        add(reads=1)


_installed = False


def install() -> None:
    """Have this process count what the filesystem sends, where the variable says so."""
    global _installed
    if _installed or VARIABLE not in os.environ:
        return
    _installed = True
    send, answer = Transport.send, Sent.answer

    def counted_send(self: Transport, wire: Any, deadline: Any, **more: Any) -> Any:
        _count(wire.method, wire.target, body_size(wire.body))
        return send(self, wire, deadline, **more)

    def counted_answer(self: Sent, deadline: Any) -> Any:
        body = answer(self, deadline)
        add(received=body.length or 0)
        return body

    Transport.send, Sent.answer = counted_send, counted_answer


def watch(client: BaseClient) -> None:
    """Have a client of boto3 counted too."""
    if VARIABLE not in os.environ:
        return

    def before(request: Any, **_: Any) -> None:
        headers: Mapping[str, Any] = request.headers
        _count(request.method, request.url, int(headers.get("Content-Length") or 0))

    def after(response_dict: Any, **_: Any) -> None:
        add(received=int(response_dict["headers"].get("content-length") or 0))

    client.meta.events.register("before-send.s3", before)
    client.meta.events.register("response-received.s3", after)
