"""The processes of the benchmark server: forked workers on two listeners, http and https.

They end when the process that started them ends, however it does: each watches a pipe that only the starter
holds open. One of them then removes the scratch folder, which a killed starter cannot.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trustme

from .connection import Connection, Served
from .content import Bytes, Keys
from .counts import Counts
from .given import Given
from .link import FAR, NEAR, Link
from .proxy import Proxy
from .streams import Closed
from .uploads import Uploads

WORKERS = 2
HOST = "127.0.0.1"
FEW_KEYS, MANY_KEYS = "few/", "many/"


@dataclass(frozen=True)
class Endpoints:
    """Where a running server is: `slow` is http behind the latency proxy; `ca` is a file.

    `near` and `far` wait themselves before they answer, 25 and 100 ms unless links are given.
    """

    http: str
    https: str
    slow: str
    near: str
    far: str
    ca: str
    folder: Path


@contextmanager
def serving(
    scratch: Path,
    large: Sequence[str],
    few: int,
    many: int,
    *,
    given: Path | None = None,
    log: str = "",
    links: tuple[Link, Link] = (NEAR, FAR),
) -> Iterator[tuple[Endpoints, Bytes]]:
    """A server with the objects `large` and all smaller ones, and listings of `few` and `many` keys.

    The files of the folder `given` are objects too.
    `links` are those of `near` and `far`. `log` is a file that gets a line for each request.
    """
    folder = scratch / "server"
    folder.mkdir()
    data = Bytes(large)
    listings = (Keys(FEW_KEYS, few), Keys(MANY_KEYS, many))
    counts = Counts(WORKERS)
    served = Served(data, listings, Uploads(folder), counts, Given(given) if given else None, log)
    context, ca = _certificate(scratch)
    listeners = [socket.create_server((HOST, 0), backlog=1024) for _ in range(5)]
    plain, secure, slow, near, far = listeners
    ports = [listener.getsockname()[1] for listener in listeners]
    reader, writer = os.pipe()

    def work(number: int) -> None:
        counts.become(number)
        for given in (
            (secure, served, context),
            (near, served, None, links[0]),
            (far, served, None, links[1]),
        ):
            threading.Thread(target=_accept, args=given, daemon=True).start()
        _accept(plain, served, None)

    children: list[int] = []
    try:
        for number in range(WORKERS):
            children.append(_fork(partial(work, number), reader, writer, _leave))
        proxy = Proxy(slow, (HOST, ports[0]))
        children.append(_fork(proxy.run, reader, writer, lambda: shutil.rmtree(scratch, ignore_errors=True)))
        for listener in listeners:
            listener.close()
        urls = [f"http{'s' * (port == ports[1])}://{HOST}:{port}" for port in ports]
        yield Endpoints(*urls, ca=ca, folder=folder), data
    finally:
        os.close(writer)
        os.close(reader)
        for child in children:
            os.waitpid(child, 0)


def _certificate(scratch: Path) -> tuple[ssl.SSLContext, str]:
    authority = trustme.CA()
    ca = scratch / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "localhost").configure_cert(context)
    return context, str(ca)


def _leave() -> None:
    """Nothing to do at the end."""


def _fork(run: Callable[[], None], reader: int, writer: int, last: Callable[[], None]) -> int:
    """Run in a child that does `last` and ends as soon as the last writer of the pipe is closed."""
    child = os.fork()
    if child:
        return child
    try:
        os.close(writer)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        threading.Thread(target=_end_with, args=(reader, last), daemon=True).start()
        run()
    finally:
        os._exit(1)


def _end_with(reader: int, last: Callable[[], None]) -> None:
    os.read(reader, 1)
    try:
        last()
    finally:
        os._exit(0)


def _accept(
    listener: socket.socket, served: Served, context: ssl.SSLContext | None, link: Link | None = None
) -> None:
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_serve, args=(sock, served, context, link), daemon=True).start()


def _serve(sock: socket.socket, served: Served, context: ssl.SSLContext | None, link: Link | None) -> None:
    with suppress(OSError, Closed):  # a peer may hang up when it likes
        if context:
            sock = context.wrap_socket(sock, server_side=True)
        with sock:
            Connection(sock, served, link).serve()
