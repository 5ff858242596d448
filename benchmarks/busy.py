"""`python -m benchmarks.busy`: many small reads of a store that takes so many a second, and refuses others.

The store is a bucket of tokens: `--allowed` a second, of which it saves up to `--burst`. What comes beyond
that gets 503 SlowDown. Each load runs in processes of its own, one load after the other, and prints a row:
which share of the attempts the store refused, errors that the caller got, and which share of what the store
would have taken was used. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any
from urllib.request import urlopen

BODY = b"x" * 1024
REFUSAL = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
FIELDS = (
    'ETag: "e2c865db4162bed963bfaa9ef6ac18f0"\r\nLast-Modified: Sun, 29 Nov 2026 07:00:00 GMT\r\n'
    "Content-Type: binary/octet-stream\r\n"
)


class _Tokens:
    """How many requests the store takes, and what it has counted since the last look."""

    def __init__(self, allowed: float, burst: float) -> None:
        self._allowed, self._burst = allowed, burst
        self.counts()

    def take(self) -> bool:
        now = time.monotonic()
        self._saved = min(self._burst, self._saved + (now - self._at) * self._allowed)
        self._at, self._last = now, now
        self._first = self._first or now
        is_taken = self._saved >= 1
        self._saved -= is_taken
        self._taken += is_taken
        self._refused += not is_taken
        return is_taken

    def counts(self) -> dict[str, float]:
        """What was counted, of which nothing is known afterwards."""
        found = {} if not hasattr(self, "_taken") else self._found()
        self._saved, self._at = self._burst, time.monotonic()
        self._taken = self._refused = 0
        self._first = self._last = 0.0
        return found

    def _found(self) -> dict[str, float]:
        seconds = self._last - self._first
        used = self._taken / (self._burst + self._allowed * seconds)
        return {"taken": self._taken, "refused": self._refused, "seconds": seconds, "used": used}


class _Connection(asyncio.Protocol):
    """Answers GET and HEAD of any key; no request here has a body."""

    def __init__(self, tokens: _Tokens) -> None:
        self._tokens = tokens
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._received = (self._received + data).split(b"\r\n\r\n")
        for head in heads:
            method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
            if target == b"/counts":
                self._answer(200, "", json.dumps(self._tokens.counts()).encode(), method)
            elif self._tokens.take():
                self._answer(200, FIELDS, BODY, method)
            else:
                self._answer(503, "Content-Type: application/xml\r\n", REFUSAL, method)

    def _answer(self, status: int, fields: str, body: bytes, method: bytes) -> None:
        head = f"HTTP/1.1 {status} -\r\nx-amz-request-id: R\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + (b"" if method == b"HEAD" else body))


def _serve(pipe: Connection, allowed: float, burst: float) -> None:
    async def main() -> None:
        tokens = _Tokens(allowed, burst)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(tokens), "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


# --- loads ---

Load = Callable[[str, list[str], int], int]  # the URL, the keys, and how many at a time; errors


def _in_threads(read: Callable[[str], object], keys: list[str], threads: int) -> int:
    def is_error(key: str) -> bool:
        try:
            read(key)
        except Exception:  # of whichever library
            return True
        return False

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(is_error, keys))


def _ours(url: str, threads: int) -> Any:
    from fsspec_guarded_s3 import GuardedS3FileSystem

    return GuardedS3FileSystem(endpoint_url=url, key="k", secret="s", max_concurrency=threads)


def _by_threads(url: str, keys: list[str], threads: int) -> int:
    return _in_threads(_ours(url, threads).cat_file, keys, threads)


def _by_coroutines(url: str, keys: list[str], threads: int) -> int:
    fs = _ours(url, threads)

    async def main() -> list[Any]:
        return await asyncio.gather(*[fs._cat_file(key) for key in keys], return_exceptions=True)

    return sum(isinstance(found, BaseException) for found in asyncio.run(main()))


def _by_cat(url: str, keys: list[str], threads: int) -> int:
    found = _ours(url, threads).cat(keys, on_error="return")
    return sum(isinstance(each, Exception) for each in found.values())


def _by_s3fs(url: str, keys: list[str], threads: int) -> int:
    import s3fs

    fs = s3fs.S3FileSystem(endpoint_url=url, key="k", secret="s", client_kwargs={"region_name": "us-east-1"})
    return _in_threads(fs.cat_file, keys, threads)


def _by_obstore(url: str, keys: list[str], threads: int) -> int:
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        "bucket",
        endpoint=url,
        access_key_id="k",
        secret_access_key="s",
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    return _in_threads(lambda key: bytes(obstore.get(store, key.partition("/")[2]).bytes()), keys, threads)


def _by_boto3(mode: str) -> Load:
    def load(url: str, keys: list[str], threads: int) -> int:
        import boto3
        from botocore.config import Config

        config = Config(max_pool_connections=threads, retries={"mode": mode}, s3={"addressing_style": "path"})
        client = boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id="k",
            aws_secret_access_key="s",
            region_name="us-east-1",
            config=config,
        )

        def read(key: str) -> bytes:
            body: bytes = client.get_object(Bucket="bucket", Key=key.partition("/")[2])["Body"].read()
            return body

        return _in_threads(read, keys, threads)

    return load


LOADS: dict[str, tuple[str, Load]] = {  # which library it needs
    "ours, threads": ("fsspec_guarded_s3", _by_threads),
    "ours, coroutines": ("fsspec_guarded_s3", _by_coroutines),
    "ours, one `cat`": ("fsspec_guarded_s3", _by_cat),
    "s3fs, threads": ("s3fs", _by_s3fs),
    "obstore, threads": ("obstore", _by_obstore),
    "boto3 standard, threads": ("boto3", _by_boto3("standard")),
    "boto3 adaptive, threads": ("boto3", _by_boto3("adaptive")),
}


def _keys(count: int) -> list[str]:
    return [f"bucket/data/{number % 50:02}/part-{number:06}" for number in range(count)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.busy", description=__doc__)
    parser.add_argument("--allowed", type=float, default=200.0, help="requests a second (default: 200)")
    parser.add_argument("--burst", type=float, default=20.0, help="requests that it saves up (default: 20)")
    parser.add_argument("--requests", type=int, default=5000, help="of each process (default: 5000)")
    parser.add_argument("--threads", type=int, default=32, help="of each process (default: 32)")
    parser.add_argument("--processes", type=int, default=1, help="that ask at the same time (default: 1)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only loads whose name contains TEXT")
    parser.add_argument("--load", nargs=2, metavar=("NAME", "URL"), help=argparse.SUPPRESS)
    return parser.parse_args()


def _row(name: str, url: str, arguments: argparse.Namespace) -> str:
    command = [sys.executable, "-m", "benchmarks.busy", "--load", name, url]
    command += ["--requests", str(arguments.requests), "--threads", str(arguments.threads)]
    with urlopen(f"{url}/counts", timeout=60):
        pass
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(arguments.processes)
    ]
    errors = sum(int(process.communicate()[0] or arguments.requests) for process in running)
    with urlopen(f"{url}/counts", timeout=60) as answer:
        found = json.load(answer)
    refused = found["refused"] / (found["refused"] + found["taken"])
    return f"| {name} | {refused:.1%} | {errors} | {found['seconds']:.0f} s | {found['used']:.0%} |"


def main() -> None:
    """Run all loads, or as a child of that one of them."""
    arguments = _arguments()
    if arguments.load:
        name, url = arguments.load
        print(LOADS[name][1](url, _keys(arguments.requests), arguments.threads))
        return
    spawning = multiprocessing.get_context("spawn")
    mine, its = spawning.Pipe()
    server = spawning.Process(target=_serve, args=(its, arguments.allowed, arguments.burst), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{mine.recv()}"
        print("| load | refused | errors | time | of what the store would take |\n|---|---|---|---|---|")
        for name, (library, _) in LOADS.items():
            if arguments.only in name and find_spec(library) is not None:
                print(_row(name, url, arguments), flush=True)
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
