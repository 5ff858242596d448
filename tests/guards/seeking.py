"""Scenarios of files that are changed in place, or whose writer goes back."""

from __future__ import annotations

import contextlib
from functools import partial

from tests.fake_s3 import FakeS3
from tests.guards.abandoning import Stop
from tests.guards.scenario import (
    LARGE,
    PATH,
    SMALL,
    Client,
    Scenario,
    holding,
    new,
)

HEAD = 16  # bytes that are known at the end


def _absent() -> FakeS3:
    return holding(None)


def _change(client: Client) -> str:
    with client.peer.write(PATH, "r+b") as file:
        file.write(new(SMALL))
    return "no error"


def _change_too_late(client: Client) -> str:
    with client.peer.write(PATH, "r+b") as file:
        file.write(new(SMALL))
        client.rival_writes()
    return "no error"


def _change_and_stop(client: Client) -> str:
    try:
        with client.peer.write(PATH, "r+b") as file:
            file.write(new(SMALL)[: SMALL // 2])
            raise Stop
    except Stop:
        return ""


def _go_back(size: int, client: Client) -> str:
    """As soundfile does: the length goes into the head at the end, and errors of `seek` get lost."""
    with client.peer.write(PATH) as file:
        file.write(bytes(HEAD) + new(size)[HEAD:])
        with contextlib.suppress(OSError, NotImplementedError):
            file.seek(0)
        with contextlib.suppress(OSError):
            file.write(new(size)[:HEAD])
    return "no error"


SCENARIOS = (
    Scenario("file changed in place by `open(r+b)`", partial(holding, SMALL), _change, "no error, published"),
    Scenario(
        "file changed in place, a rival was faster",
        partial(holding, SMALL),
        _change_too_late,
        "ObjectChangedError, rival's object kept",
    ),
    Scenario("exception in `with open(r+b)`", partial(holding, SMALL), _change_and_stop, "old object kept"),
    Scenario(
        "library writes the head at the end, and ignores errors of `seek`",
        _absent,
        partial(_go_back, SMALL),
        "no error, published",
    ),
    Scenario(
        "library writes the head at the end, and ignores errors of `seek`, multipart",
        _absent,
        partial(_go_back, LARGE),
        "UnsupportedOperation, nothing published",
        whole=LARGE,
    ),
)
