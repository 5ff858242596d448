"""`python -m fsspec_guarded_s3._cli demo`: the main job on real data, each guarantee with its evidence.

Without `--endpoint-url` an embedded S3 server (moto, on loopback) is started, and needs the extra `[demo]`.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import fsspec

from ._client import S3Client
from ._errors import ObjectChangedError
from ._filesystem import GuardedS3FileSystem
from ._options import MIN_PART_SIZE, Options


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


@contextmanager
def _embedded_server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would print every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


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

    _say("dask writes a partitioned dataset with two worker processes and reads it back")
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
        with cluster, Client(cluster):
            dd.from_pandas(frame, npartitions=8).to_parquet(f"{root}/parts", storage_options=options)
            total = dd.read_parquet(f"{root}/parts", storage_options=options)["n"].sum().compute()
    files = GuardedS3FileSystem(**options).glob(f"{root}/parts/*.parquet")
    holds = total == frame["n"].sum() and len(files) == 8
    _check(holds, "all partitions are there, once", f"{len(files)} files, sum of the column {total:,}")


def _create(path: str, options: dict[str, Any], name: bytes, results: Any) -> None:
    """What each of the racing processes does."""
    results.put((name, GuardedS3FileSystem(**options).put_if_absent(path, name)))


def _race(root: str, options: dict[str, Any]) -> None:
    _say("two processes race for one key")
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    path = f"{root}/lock"
    racers = [
        context.Process(target=_create, args=(path, options, name, results)) for name in (b"one", b"two")
    ]
    for racer in racers:
        racer.start()
    answers = [results.get(timeout=60) for _ in racers]
    for racer in racers:
        racer.join(60)
    winners = [name for name, created in answers if created]
    held = GuardedS3FileSystem(**options).cat_file(path)
    evidence = f"winner {winners}, the object holds {held!r}"
    _check(len(winners) == 1 and held == winners[0], "exactly one creates it", evidence)


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
    _say("an exception while writing 12 MB")
    fs = GuardedS3FileSystem(**options, part_size=MIN_PART_SIZE, multipart_threshold=MIN_PART_SIZE)
    path = f"{root}/half"
    try:
        with fs.open(path, "wb") as file:
            file.write(b"x" * 12_000_000)
            raise KeyError("the program failed here")
    except KeyError:
        pass
    bucket, _, key = fs._strip_protocol(path).partition("/")
    uploads = S3Client(Options.parse(options)).list_multipart_uploads(bucket, key)
    holds = not fs.exists(path) and not uploads
    _check(holds, "neither object nor upload is left", f"exists: {fs.exists(path)}, uploads: {len(uploads)}")


_ACTS: tuple[Callable[[str, dict[str, Any]], None], ...] = (_pandas, _dask, _race, _replaced, _failed_write)


def demo(options: dict[str, Any], bucket: str) -> None:
    """Run all acts in a fresh prefix of `bucket`, and remove it. Raises DemoFailedError."""
    fs = fsspec.filesystem("gs3", **options)
    root = f"gs3://{bucket}/demo-{uuid.uuid4().hex[:8]}"
    try:
        for act in _ACTS:
            act(root, options)
    finally:
        if fs.exists(root):
            fs.rm(root, recursive=True)
    _say("every guarantee held")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="guarded-s3", description=__doc__)
    command = parser.add_subparsers(required=True).add_parser("demo", help="show the guarantees")
    command.add_argument("--endpoint-url", help="S3 endpoint (default: an embedded server)")
    command.add_argument("--bucket", help="an existing bucket (needed with --endpoint-url or --region)")
    command.add_argument("--region")
    command.add_argument("--profile")
    given = vars(parser.parse_args(arguments))
    bucket = given.pop("bucket")
    options = {name: value for name, value in given.items() if value is not None}
    if bucket:
        demo(options, bucket)
        return 0
    if options:
        parser.error("--bucket is needed with --endpoint-url, --region or --profile")
    with _embedded_server() as url:
        _say(f"embedded S3 server at {url}")
        options = {"endpoint_url": url, "key": "demo", "secret": "demo", "region": "us-east-1"}
        GuardedS3FileSystem(**options).mkdir("guarded-demo")
        demo(options, "guarded-demo")
    return 0


if __name__ == "__main__":
    sys.exit(main())
