"""Scenarios of writers that do not come to their end, and of what they leave behind."""

from __future__ import annotations

import gc
import gzip
import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from tests.fake_s3 import FakeS3, Upload, now
from tests.guards.scenario import BUCKET, KEY, LARGE, PATH, SMALL, Client, Scenario, holding, new

DAY = 24 * 3600.0


class Stop(Exception):
    """What goes wrong in the middle of writing."""


class Unprintable:
    """A cell that cannot be written to a CSV file."""

    def __str__(self) -> str:
        raise Stop


def _absent() -> FakeS3:
    return holding(None)


def _stopped(write: Callable[[Client], None]) -> Callable[[Client], str]:
    def act(client: Client) -> str:
        try:
            write(client)
        except Stop:
            return ""
        return "exception lost"

    return act


def _in_with(client: Client) -> None:
    with client.peer.write(PATH) as file:
        file.write(new(SMALL)[: SMALL // 2])
        raise Stop


def _in_with_multipart(client: Client) -> None:
    with client.peer.write(PATH) as file:
        file.write(new(LARGE)[: LARGE - 2**20])
        raise Stop


def _under_text(client: Client) -> None:
    with client.peer.write(PATH, "w") as file:
        file.write("text")
        raise Stop


def _under_gzip(client: Client) -> None:
    with gzip.open(client.peer.write(PATH), "wb") as file:
        file.write(b"text")
        raise Stop


def _under_fsspec_compression(client: Client) -> None:
    with client.peer.write(PATH, compression="gzip") as file:
        file.write(b"text")
        raise Stop


def _under_pandas(client: Client) -> None:
    import pandas

    frame = pandas.DataFrame({"a": [*range(1000), Unprintable()]})
    frame.to_csv(f"{client.peer.protocol}://{PATH}", storage_options=client.peer.options)


def _in_transaction(client: Client) -> None:
    with client.fs.transaction:
        for name in (PATH, f"{PATH}2"):
            with client.peer.write(name) as file:
                file.write(new(SMALL))
        raise Stop


def _drop(client: Client) -> str:
    file = client.peer.write(PATH)
    file.write(new(LARGE)[: LARGE - 2**20])
    del file
    gc.collect()
    return ""


def _leave_open(client: Client) -> str:
    file = client.peer.write(PATH)
    file.write(new(LARGE)[: LARGE - 2**20])
    KEPT_OPEN.append(file)
    return ""


KEPT_OPEN: list[object] = []


def _be_killed(client: Client) -> str:
    file = client.peer.write(PATH)
    file.write(new(LARGE)[: LARGE - 2**20])
    time.sleep(0.5)  # parts are on their way
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


def _with_uploads() -> FakeS3:
    """A store with an upload that is three days old, and one that somebody has just begun."""
    fake = FakeS3(BUCKET)
    fake.uploads["stale"] = Upload(BUCKET, KEY, {}, False, initiated=now() - timedelta(days=3))
    fake.uploads["fresh"] = Upload(BUCKET, KEY, {}, False)
    return fake


def _clean(client: Client) -> str:
    client.peer.clean(BUCKET, DAY)
    return ""


def _uploads(fake: FakeS3, folder: Path, whole: int) -> str:
    words = {True: "kept", False: "removed"}
    return ", ".join(f"{name} upload {words[name in fake.uploads]}" for name in ("stale", "fresh"))


def _clean_while_writing(client: Client) -> str:
    with client.peer.write(PATH) as file:
        file.write(new(LARGE)[: LARGE // 2])
        client.peer.clean(BUCKET, 0.0)
        file.write(new(LARGE)[LARGE // 2 :])
    return "no error"


SCENARIOS = (
    Scenario("exception in `with open(wb)`", _absent, _stopped(_in_with), "nothing published"),
    Scenario(
        "exception in `with open(wb)`, multipart",
        _absent,
        _stopped(_in_with_multipart),
        "nothing published",
        whole=LARGE,
    ),
    Scenario("exception under `open(w)`, text", _absent, _stopped(_under_text), "nothing published"),
    Scenario("exception under `gzip.open(file)`", _absent, _stopped(_under_gzip), "nothing published"),
    Scenario(
        "exception under `open(wb, compression=)`",
        _absent,
        _stopped(_under_fsspec_compression),
        "nothing published",
    ),
    Scenario("exception in pandas' `to_csv(url)`", _absent, _stopped(_under_pandas), "nothing published"),
    Scenario(
        "exception in `with fs.transaction`, two files",
        _absent,
        _stopped(_in_transaction),
        "nothing published",
    ),
    Scenario("writer dropped without `close`", _absent, _drop, "nothing published", whole=LARGE),
    Scenario(
        "process ends with an open writer",
        _absent,
        _leave_open,
        "nothing published",
        whole=LARGE,
        exits=True,
    ),
    Scenario(
        "process is killed with an open writer",
        _absent,
        _be_killed,
        "killed, nothing published, 1 upload left",
        whole=LARGE,
    ),
    Scenario(
        "clean-up of uploads older than a day",
        _with_uploads,
        _clean,
        "stale upload removed, fresh upload kept",
        _uploads,
    ),
    Scenario(
        "clean-up while a writer of this process is open",
        _absent,
        _clean_while_writing,
        "no error, published",
        whole=LARGE,
    ),
)
