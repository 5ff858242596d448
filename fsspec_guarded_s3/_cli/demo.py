"""The demo: the main job on real data, each guarantee with its evidence.

Against a given store, or an embedded S3 server (moto, on loopback), which needs the extra `[demo]`.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

import fsspec

from .._s3.client import S3Client
from .._s3.store import Store
from ..errors import ObjectChangedError
from ..filesystem import GuardedS3FileSystem
from ..options import MIN_PART_SIZE, Options

_ROUNDS = 10  # of the race
_PARTS = 8  # of dask's dataset


class DemoFailedError(AssertionError):
    """A guarantee did not hold."""


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _check(holds: object, guaranteed: str, evidence: str) -> None:
    if not holds:
        raise DemoFailedError(f"NOT guaranteed: {guaranteed} - {evidence}")
    _say(f"  guaranteed: {guaranteed}")
    _say(f"  evidence:   {evidence}")


# What the acts import -> what to install.
_NEEDED = {"pandas": "pandas", "pyarrow": "pyarrow", "dask": "dask[dataframe]", "distributed": "distributed"}

_MOTO = {"moto": "moto[server,s3]", "flask": "moto[server,s3]"}


def _require(modules: dict[str, str]) -> None:
    """Raise DemoFailedError with one line that installs all that is missing."""
    missing = {package for module, package in modules.items() if not find_spec(module)}
    if missing:
        packages = " ".join(f"'{package}'" for package in sorted(missing))
        raise DemoFailedError(f"it needs packages that are not installed: pip install {packages}")


@contextmanager
def _embedded_server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would print every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _one_at_a_time(server._server)
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def _one_at_a_time(server: Any) -> None:
    """Let moto answer one request after the other.

    It looks whether a key exists and stores the object a moment later (5.2), so that two writers who race for
    it can both be told that they created it.
    """
    app, lock = server.app, threading.Lock()

    def answer(environ: Any, start_response: Any) -> Any:
        with lock:
            return app(environ, start_response)

    server.app = answer


def _pandas(root: str, options: dict[str, Any]) -> None:
    import pandas as pd

    _say("pandas writes and reads Parquet and CSV")
    frame = pd.DataFrame({"n": range(100_000), "square": [n * n for n in range(100_000)]})
    frame.to_parquet(f"{root}/squares.parquet", storage_options=options)
    back = pd.read_parquet(f"{root}/squares.parquet", storage_options=options)
    frame.to_csv(f"{root}/squares.csv", index=False, storage_options=options)
    again = pd.read_csv(f"{root}/squares.csv", storage_options=options)
    same = frame.equals(back) and frame.equals(again)
    _check(same, "what is read is what was written", f"{len(back):,} rows equal from both formats")


def _dask(root: str, options: dict[str, Any]) -> None:
    import dask.dataframe as dd
    import pandas as pd
    from distributed import Client, LocalCluster

    _say("dask writes a partitioned dataset with a cluster of two processes and reads it back")
    frame = pd.DataFrame({"n": range(10_000)})
    with tempfile.TemporaryDirectory() as scratch:
        cluster = LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            local_directory=scratch,
            host="127.0.0.1",
        )
        with cluster, Client(cluster) as client:
            processes = set(client.run(os.getpid).values()) - {os.getpid()}
            parts = dd.from_pandas(frame, npartitions=_PARTS)
            parts.to_parquet(f"{root}/parts", storage_options=options)
            back = dd.read_parquet(f"{root}/parts", storage_options=options).compute()
    files = GuardedS3FileSystem(**options).glob(f"{root}/parts/*.parquet")
    same = sorted(back["n"]) == list(frame["n"])
    holds = same and len(files) == _PARTS and len(processes) == 2
    evidence = f"{len(files)} files, {len(back):,} rows equal, written by {len(processes)} other processes"
    _check(holds, "all partitions are there, once", evidence)


def _create(paths: list[str], options: dict[str, Any], name: bytes, start: Any, results: Any) -> None:
    """What each of the racing processes does: one create per round, together with its rival."""
    try:
        fs = GuardedS3FileSystem(**options)
        won = []
        for path in paths:
            start.wait(60)
            won.append(fs.put_if_absent(path, name))
        results.put((name, won))
    except BaseException as error:
        start.abort()
        results.put((name, f"{type(error).__name__}: {error}"))
        raise


def _answers(racers: list[Any], results: Any) -> dict[bytes, Any]:
    """What the racers tell, by their names. A racer that died without a word is a failure."""
    answers: dict[bytes, Any] = {}
    while len(answers) < len(racers):
        alive = any(racer.is_alive() for racer in racers)
        try:
            name, told = results.get(timeout=1)
        except queue.Empty:
            if not alive:
                raise DemoFailedError("the racing processes gave no answer") from None
        else:
            answers[name] = told
    return answers


def _race(root: str, options: dict[str, Any]) -> None:
    _say(f"two processes race for one key, {_ROUNDS} times")
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    start = context.Barrier(2)
    paths = [f"{root}/locks/{number}" for number in range(_ROUNDS)]
    names = (b"one", b"two")
    racers = [context.Process(target=_create, args=(paths, options, name, start, results)) for name in names]
    for racer in racers:
        racer.start()
    try:
        answers = _answers(racers, results)
    finally:
        for racer in racers:
            racer.join(10)
            racer.kill()
    failed = [f"{name.decode()}: {won}" for name, won in answers.items() if isinstance(won, str)]
    if failed:
        raise DemoFailedError(f"NOT guaranteed: exactly one creates it - {'; '.join(failed)}")
    fs = GuardedS3FileSystem(**options)
    winners = [[name for name in names if answers[name][number]] for number in range(_ROUNDS)]
    held = [fs.cat_file(path) for path in paths]
    right = [winner == [content] for winner, content in zip(winners, held, strict=True)]
    tally = ", ".join(f"{name.decode()} won {winners.count([name])}" for name in names)
    evidence = f"{tally}; {right.count(True)} of {_ROUNDS} keys have one winner and hold what it wrote"
    _check(all(right), "exactly one creates it, and is told so", evidence)


def _replaced(root: str, options: dict[str, Any]) -> None:
    _say("an object is replaced while a reader is open")
    fs = GuardedS3FileSystem(**options)
    fs.pipe_file(f"{root}/data", b"a" * 100_000)
    with fs.open(f"{root}/data", "rb", block_size=1000, cache_type="none") as reader:
        first = reader.read(50_000)
        fs.pipe_file(f"{root}/data", b"b" * 100_000)
        try:
            mixed = first + reader.read(50_000)
        except ObjectChangedError as error:
            _check(True, "an error instead of mixed bytes", f"{type(error).__name__}: {error.message}")
        else:
            _check(False, "an error instead of mixed bytes", f"got {len(mixed)} bytes of two versions")


def _failed_write(root: str, options: dict[str, Any]) -> None:
    _say("an exception while writing 12 MB, to a free key and over an object")
    fs = GuardedS3FileSystem(**options, part_size=MIN_PART_SIZE, multipart_threshold=MIN_PART_SIZE)
    client = S3Client(Store(Options.parse(options)))
    fs.pipe_file(f"{root}/old", b"old")
    open_before = 0
    for name in ("half", "old"):
        bucket, key, _ = fs.split_path(f"{root}/{name}")
        with suppress(KeyError), fs.open(f"{root}/{name}", "wb") as file:
            file.write(b"x" * 12_000_000)
            open_before += len(client.multipart.list_multipart_uploads(bucket, key))
            raise KeyError("the program failed here")
    bucket, prefix, _ = fs.split_path(root)
    uploads = client.multipart.list_multipart_uploads(bucket, f"{prefix}/")
    there = fs.exists(f"{root}/half")
    old = fs.cat_file(f"{root}/old")
    _check(
        not there and not uploads and old == b"old" and open_before == 2,
        "neither object nor upload is left, and what was there stays",
        f"uploads when it failed: {open_before}, after: {len(uploads)}; exists: {there}; old object: {old!r}",
    )


_ACTS: tuple[Callable[[str, dict[str, Any]], None], ...] = (_pandas, _dask, _race, _replaced, _failed_write)


def demo(options: dict[str, Any], path: str) -> None:
    """Run all acts in a fresh prefix of `path`, and remove it. Raises DemoFailedError."""
    _require(_NEEDED)
    fs = fsspec.filesystem("gs3", **options)
    root = f"gs3://{path.rstrip('/')}/demo-{uuid.uuid4().hex[:8]}"
    try:
        for act in _ACTS:
            act(root, options)
    except BaseException:
        with suppress(Exception):  # the first error is the one to be told
            fs.rm(root, recursive=True)
        raise
    fs.rm(root, recursive=True)
    _check(not fs.exists(root), "the demo leaves nothing behind", f"{root} is gone")
    _say("every guarantee held")


def embedded_demo() -> None:
    """Run the demo against a server of its own."""
    _require(_NEEDED | _MOTO)
    with _embedded_server() as url:
        _say(f"embedded S3 server at {url}")
        options: dict[str, Any] = {
            "endpoint_url": url,
            "key": "demo",
            "secret": "demo",
            "region": "us-east-1",
        }
        GuardedS3FileSystem(**options).mkdir("guarded-demo")
        demo(options, "guarded-demo")
