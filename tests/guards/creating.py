"""Scenarios of writes under a condition: create, compare-and-swap, conditional delete, append."""

from __future__ import annotations

import time
from dataclasses import replace

from tests.fake_s3 import FakeS3
from tests.guards.scenario import (
    BUCKET,
    DIRECTORY,
    KEY,
    PATH,
    PUBLISH,
    RIVAL,
    SMALL,
    Client,
    Scenario,
    after,
    append_state,
    before,
    holding,
    new,
    old,
)
from tests.scripted_server import Answer, Reply, Request, close, s3_error

CONFLICT = s3_error(409, "ConditionalRequestConflict")


def _create(client: Client) -> str:
    client.peer.create(PATH, new(SMALL))
    return "no error"


def _lost_to_a_rival() -> FakeS3:
    fake = FakeS3(BUCKET)

    def rival(request: Request) -> Answer:
        fake.put(BUCKET, KEY, RIVAL)
        return close()

    return before(fake, PUBLISH, rival)


def _exclusive_open(client: Client) -> str:
    with client.peer.write(PATH, "xb") as file:
        file.write(new(SMALL))
        client.rival_writes()
    return "no error"


def _swap(client: Client) -> str:
    client.peer.swap(PATH, new(SMALL), client.peer.etag(PATH))
    return "no error"


def _swap_too_late(client: Client) -> str:
    etag = client.peer.etag(PATH)
    client.rival_writes()
    client.peer.swap(PATH, new(SMALL), etag)
    return "no error"


def _delete_too_late(client: Client) -> str:
    etag = client.peer.etag(PATH)
    client.rival_writes()
    client.peer.delete_if(PATH, etag)
    return "no error"


def _append(client: Client) -> str:
    with client.peer.write(PATH, "ab") as file:
        file.write(new(SMALL))
    return "no error"


def _append_too_late(client: Client) -> str:
    with client.peer.write(PATH, "ab") as file:
        file.write(new(SMALL))
        client.rival_writes()
    return "no error"


def _append_in_directory(client: Client) -> str:
    with client.peer.write(f"{DIRECTORY}/{KEY}", "ab") as file:
        file.write(new(SMALL))
    return "no error"


def _append_in_directory_too_late(client: Client) -> str:
    with client.peer.write(f"{DIRECTORY}/{KEY}", "ab") as file:
        file.write(new(SMALL))
        client.rival_writes(path=f"{DIRECTORY}/{KEY}")
    return "no error"


def _directory(*, is_lost: bool = False) -> FakeS3:
    """A directory bucket with the old object; the answer to the first append is lost if it `is_lost`."""
    fake = FakeS3(DIRECTORY)
    fake.put(DIRECTORY, KEY, old(SMALL))
    left = [close()] if is_lost else []

    def lose(request: Request, reply: Reply) -> Answer | None:
        is_append = request.method == "PUT" and request.path == f"/{DIRECTORY}/{KEY}"
        return left.pop() if is_append and left else None

    fake.after = lose
    return fake


def _idle_then_create(client: Client) -> str:
    client.fs.cat_file(f"{BUCKET}/warm")
    time.sleep(0.3)
    return _create(client)


def _closing_idle_connections() -> FakeS3:
    """Every GET promises to keep the connection open, and closes it."""
    fake = FakeS3(BUCKET)
    fake.put(BUCKET, "warm", b"warm")
    fake.after = lambda request, reply: replace(reply, then_close=True) if request.method == "GET" else None
    return fake


SCENARIOS = (
    Scenario("create over an existing object", holding, _create, "FileExistsError, old object kept"),
    Scenario(
        "create, the response is lost",
        lambda: after(holding(None), PUBLISH, lambda *_: close()),
        _create,
        "no error, published",
    ),
    Scenario(
        "create, a rival is first and the response is lost",
        _lost_to_a_rival,
        _create,
        "FileExistsError, rival's object kept",
    ),
    Scenario(
        "create, answered 409 once",
        lambda: before(holding(None), PUBLISH, lambda _: CONFLICT),
        _create,
        "no error, published",
    ),
    Scenario(
        "`open(xb)`, a rival writes before `close`",
        lambda: holding(None),
        _exclusive_open,
        "FileExistsError, rival's object kept",
    ),
    Scenario(
        "create, on a connection that the store has closed",
        _closing_idle_connections,
        _idle_then_create,
        "no error, published",
    ),
    Scenario(
        "create over an existing object, the store ignores conditions",
        lambda: holding(ignore_conditions=True),
        _create,
        "PreconditionUnsupportedError, old object kept",
    ),
    Scenario(
        "compare-and-swap, a rival was faster",
        holding,
        _swap_too_late,
        "ObjectChangedError, rival's object kept",
    ),
    Scenario(
        "compare-and-swap, the response is lost",
        lambda: after(holding(), PUBLISH, lambda *_: close()),
        _swap,
        "no error, published",
    ),
    Scenario(
        "compare-and-swap, a rival was faster, the store ignores conditions",
        lambda: holding(ignore_conditions=True),
        _swap_too_late,
        "PreconditionUnsupportedError, rival's object kept",
    ),
    Scenario(
        "conditional delete, a rival was faster",
        holding,
        _delete_too_late,
        "ObjectChangedError, rival's object kept",
    ),
    Scenario("append", holding, _append, "no error, appended"),
    Scenario(
        "append, a rival writes meanwhile",
        holding,
        _append_too_late,
        "ObjectChangedError, rival's object kept",
    ),
    Scenario(
        "append in a directory bucket",
        _directory,
        _append_in_directory,
        "no error, appended, by its offset",
        observe=append_state,
    ),
    Scenario(
        "append in a directory bucket, a rival writes meanwhile",
        _directory,
        _append_in_directory_too_late,
        "ObjectChangedError, rival's object kept",
        observe=append_state,
    ),
    Scenario(
        "append in a directory bucket, the response is lost",
        lambda: _directory(is_lost=True),
        _append_in_directory,
        "WriteOutcomeUnknownError, appended, by its offset",
        observe=append_state,
    ),
)
