"""How a store is started: on loopback, on free ports, with its data in a folder that goes with it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import ServerDidNotStart, reserved_port, running

ATTEMPTS = 3
KEY, SECRET = "GK31c2f218a2e44f485b94239e", "b892c0665f0ada8a4755dae98baa3b133590e11dae3bcc1f9d769d67f16c3835"


@dataclass(frozen=True)
class Certificate:
    """PEM files of a server's certificate, its key, and the authority that a client has to trust."""

    chain: Path
    key: Path
    authority: Path


@dataclass(frozen=True)
class Seat:
    """What a store is started with: its program, a folder of its own, keys, and how it gets ports."""

    program: Path
    folder: Path
    key: str
    secret: str
    certificate: Certificate | None
    reserved: contextlib.ExitStack
    ports: list[int] = field(default_factory=list)

    def port(self, number: int = 0) -> int:
        """The number-th free port; that of S3 is 0."""
        while len(self.ports) <= number:
            self.ports.append(self.reserved.enter_context(reserved_port()))
        return self.ports[number]

    def file(self, name: str, text: str) -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.write_text(text)
        return path

    def made(self, name: str) -> Path:
        """A folder below the folder."""
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path


@dataclass(frozen=True)
class Launch:
    """One process: what is run, and with which variables. `url` is what has to answer before it counts."""

    command: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    url: str = ""


Starter = Callable[[Seat, contextlib.ExitStack], None]


@dataclass(frozen=True)
class Server:
    """A store that runs: what opens it. `authority` is the PEM file to trust for TLS."""

    url: str
    key: str
    secret: str
    region: str = "us-east-1"
    authority: Path | None = None


@contextlib.contextmanager
def started(
    start: Starter, program: Path, keys: tuple[str, str], certificate: Certificate | None
) -> Iterator[Server]:
    """Run a store until the `with` ends. A port that somebody took in between costs another attempt."""
    with contextlib.ExitStack() as stack:
        for attempt in range(1, ATTEMPTS + 1):
            with contextlib.ExitStack() as trial:
                folder = trial.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
                seat = Seat(program, Path(folder), *keys, certificate, trial)
                try:
                    start(seat, trial)
                except ServerDidNotStart:
                    if attempt == ATTEMPTS:
                        raise
                else:
                    stack.push(trial.pop_all())
                    break
        scheme, host = ("http", "127.0.0.1") if certificate is None else ("https", "localhost")
        authority = certificate.authority if certificate is not None else None
        yield Server(f"{scheme}://{host}:{seat.port()}", seat.key, seat.secret, authority=authority)


def launch(stack: contextlib.ExitStack, launched: Launch) -> None:
    """Run a process until the stack ends, and wait until it answers."""
    url = launched.url or None
    command = [str(part) for part in launched.command]
    stack.enter_context(running(command, lambda _printed: url or "", launched.environment, bool(url)))


@contextlib.contextmanager
def certificate() -> Iterator[Certificate]:
    """A certificate for localhost and 127.0.0.1, from an authority of its own."""
    import trustme

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        here = Path(folder)
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(here / "ca.pem")
        issued.private_key_pem.write_to_path(here / "key.pem")
        for number, pem in enumerate(issued.cert_chain_pems):
            pem.write_to_path(here / "chain.pem", append=number > 0)
        yield Certificate(here / "chain.pem", here / "key.pem", here / "ca.pem")
