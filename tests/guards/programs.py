"""Scenarios of whole programs: how they end their files, Ctrl-C, forks with open files, a second profile."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pickle
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec

from tests.fake_s3 import FakeS3
from tests.guards.connecting import in_a_fork
from tests.guards.peers import Peer
from tests.guards.reading import SIZE, spoiled, stalled
from tests.guards.scenario import (
    BUCKET,
    LARGE,
    PATH,
    Client,
    Scenario,
    bytes_state,
    holding,
    name_of,
    new,
    nothing,
)
from tests.scripted_server import ScriptedServer


class Stop(Exception):
    """What goes wrong in the middle of writing."""


# --- ends of files ---


def _absent() -> FakeS3:
    return holding(None)


def _ended(act: Callable[[Client], None]) -> Callable[[Client], str]:
    """A program that ends its file so, and whatever that raises is its own affair."""

    def run(client: Client) -> str:
        with contextlib.suppress(Stop):
            act(client)
        gc.collect()
        return ""

    return run


def _pickle(client: Client) -> None:
    pickle.dump(new(SIZE), client.peer.write(PATH))


def _zip(client: Client) -> None:
    with zipfile.ZipFile(client.peer.write(PATH), "w") as archive:
        archive.writestr("name", b"content")


def _parquet(client: Client) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"n": [1]})
    with pyarrow.parquet.ParquetWriter(client.peer.write(PATH), table.schema) as writer:
        writer.write_table(table)


def _generator(client: Client) -> None:
    def rows() -> Iterator[bytes]:
        with client.peer.write(PATH) as file:
            for at in range(0, SIZE, 1024):
                file.write(new(SIZE)[at : at + 1024])
                yield b""

    for number, _ in enumerate(rows()):
        if number == 3:
            break


def _compressed(client: Client) -> str:
    url = f"{client.peer.protocol}://{PATH}"
    opened = fsspec.open(url, "wb", compression="gzip", **client.peer.options)
    file = opened.open()
    file.write(b"row" * 1000)
    file.close()
    return "published by close" if client.fs.exists(PATH) else "nothing published by close"


def _stop_iteration(client: Client) -> None:
    file, rows = client.peer.write(PATH), iter([new(SIZE)])
    try:
        while True:
            file.write(next(rows))
    except StopIteration:
        file.close()


def _closed_in_a_thread(client: Client) -> None:
    async def main() -> None:
        file = await asyncio.to_thread(client.peer.write, PATH)
        try:
            await asyncio.to_thread(file.write, new(SIZE)[: SIZE // 2])
            raise Stop
        finally:
            await asyncio.to_thread(file.close)

    asyncio.run(main())


# --- Ctrl-C ---


def _interrupted(act: Callable[[Client], Any]) -> Callable[[Client], str]:
    """SIGINT a second after the beginning; how soon `act` is left then."""

    def run(client: Client) -> str:
        sent: list[float] = []

        def interrupt() -> None:
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        threading.Timer(1.0, interrupt).start()
        try:
            act(client)
        except KeyboardInterrupt:
            quick = time.monotonic() - sent[0] < 5.0
            return "KeyboardInterrupt" if quick else "KeyboardInterrupt, late"
        return "no KeyboardInterrupt"

    return run


def _write_for_long(client: Client) -> None:
    with client.peer.write(PATH) as file:
        for at in range(0, LARGE // 2, SIZE):
            file.write(new(LARGE)[at : at + SIZE])
        time.sleep(10.0)


# --- forks and profiles ---


def _read_on_after_fork(client: Client) -> str:
    """Half of the file here, then the rest of it in the child, and here."""
    with client.fs.open(PATH, "rb", block_size=SIZE // 8) as file:
        half = file.read(SIZE // 2)
        said = in_a_fork(client, lambda: bytes_state(half + file.read(), SIZE))
        return f"{said} in the child, {bytes_state(half + file.read(), SIZE)} in the parent"


def _write_on_after_fork(client: Client) -> str:
    """The child of a program that has a file open ends; the file is written to its end here."""
    with client.peer.write(PATH) as file:
        file.write(new(LARGE)[: LARGE // 2])
        in_a_fork(client, lambda: str(gc.collect()))
        file.write(new(LARGE)[LARGE // 2 :])
    return "no error"


def _second_profile(client: Client) -> str:
    """The first profile's store honours conditions, the second's does not; their buckets have one name."""
    with ScriptedServer(handler=FakeS3(BUCKET)) as honest:
        config = "".join(
            f"[{head}]\nregion = us-east-1\nendpoint_url = {url}\n"
            "aws_access_key_id = k\naws_secret_access_key = s\n"
            for head, url in (("profile first", honest.url), ("profile second", client.url))
        )
        Path(os.environ["AWS_CONFIG_FILE"]).write_text(config)
        Peer.open_profile(client.peer.name, "first").create(PATH, new(SIZE))
        try:
            Peer.open_profile(client.peer.name, "second").create(PATH, new(SIZE))
        except Exception as error:
            return name_of(error)
    return "no error"


SCENARIOS = (
    Scenario(
        "file dropped by `pickle.dump(x, fs.open(wb))`",
        _absent,
        _ended(_pickle),
        "nothing published, told",
        whole=SIZE,
        tells=True,
    ),
    Scenario(
        "file dropped below `zipfile.ZipFile(fs.open(wb), 'w')`",
        _absent,
        _ended(_zip),
        "nothing published, told",
        tells=True,
    ),
    Scenario(
        "file dropped below `pq.ParquetWriter(fs.open(wb))`",
        _absent,
        _ended(_parquet),
        "nothing published, told",
        tells=True,
    ),
    Scenario(
        "generator that writes is closed before its end",
        _absent,
        _ended(_generator),
        "nothing published, told",
        whole=SIZE,
        tells=True,
    ),
    Scenario(
        "`fsspec.open(wb, compression=).open()`, then `close`",
        _absent,
        _compressed,
        "published by close",
        nothing,
    ),
    Scenario(
        "`except StopIteration: file.close()` at the end of the input",
        _absent,
        _ended(_stop_iteration),
        "published",
        whole=SIZE,
    ),
    Scenario(
        "exception, and `await asyncio.to_thread(file.close)` in `finally`",
        _absent,
        _ended(_closed_in_a_thread),
        "nothing published, told",
        whole=SIZE,
        tells=True,
    ),
    Scenario(
        "Ctrl-C while a download is stalled",
        spoiled(stalled, times=None),
        _interrupted(lambda client: client.fs.cat_file(PATH)),
        "KeyboardInterrupt",
        nothing,
        SIZE,
        limit=30.0,
        exits=True,
        extra={"read_timeout": 60.0, "min_rate_window": 60.0},
    ),
    Scenario(
        "Ctrl-C in `with open(wb)`, multipart",
        _absent,
        _interrupted(_write_for_long),
        "KeyboardInterrupt, nothing published",
        whole=LARGE,
        exits=True,
    ),
    Scenario(
        "open reader used on both sides of a fork",
        partial(holding, SIZE),
        _read_on_after_fork,
        "old bytes in the child, old bytes in the parent",
        nothing,
        SIZE,
    ),
    Scenario(
        "open writer, and a child that ends",
        _absent,
        _write_on_after_fork,
        "no error, published",
        whole=LARGE,
    ),
    Scenario(
        "create by a second profile, whose store ignores conditions",
        partial(holding, SIZE, ignore_conditions=True),
        _second_profile,
        "PreconditionUnsupportedError, old object kept",
        whole=SIZE,
    ),
)
