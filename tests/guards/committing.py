"""Scenarios of many objects that are to change in one step."""

from __future__ import annotations

from collections.abc import Callable

from fsspec_guarded_s3.integrations.commit import Table
from tests.fake_s3 import FakeS3
from tests.guards.peers import OURS
from tests.guards.scenario import BUCKET, SMALL, Client, Scenario, name_of, new, nothing, old
from tests.scripted_server import s3_error

SET = f"{BUCKET}/set"
NAMES = ("a", "b")


def _publish(client: Client, data: bytes) -> None:
    """Write both objects: ours in a transaction of a table, the others in one of fsspec's."""
    if client.peer.name == OURS:
        with Table.create(client.fs, SET, exist_ok=True).transaction() as t:
            for name in NAMES:
                t.pipe_file(name, data)
        return
    with client.fs.transaction:
        for name in NAMES:
            with client.fs.open(f"{SET}/{name}", "wb") as file:
                file.write(data)


def _reader(client: Client) -> Callable[[str], bytes]:
    """What reads both objects, as they are when the reading begins."""
    if client.peer.name == OURS:
        return Table(client.fs, SET).snapshot().cat_file
    return lambda name: bytes(client.fs.cat_file(f"{SET}/{name}"))


def _whose(data: bytes) -> str:
    return {old(SMALL): "old", new(SMALL): "new"}.get(data, "other")


def _read(client: Client) -> str:
    read = _reader(client)
    return " and ".join(_whose(read(name)) for name in NAMES)


def _refused_in_the_middle(client: Client) -> str:
    _publish(client, old(SMALL))
    try:
        _publish(client, new(SMALL))
    except Exception as error:
        return f"{name_of(error)}, a reader sees {_read(client)}"
    return f"no error, a reader sees {_read(client)}"


def _refusing_the_second() -> FakeS3:
    """A store that refuses the new bytes of one object."""
    fake = FakeS3(BUCKET)
    fake.fault = lambda request, _: (
        s3_error(403, "AccessDenied")
        if request.method == "PUT" and request.path.endswith("/b") and request.body == new(SMALL)
        else None
    )
    return fake


def _read_meanwhile(client: Client) -> str:
    _publish(client, old(SMALL))
    read = _reader(client)
    first = _whose(read(NAMES[0]))
    _publish(client, new(SMALL))
    return f"a reader sees {first} and {_whose(read(NAMES[1]))}, the next one {_read(client)}"


SCENARIOS = (
    Scenario(
        "two objects in one step, the second is refused",
        _refusing_the_second,
        _refused_in_the_middle,
        "PermissionError, a reader sees old and old",
        observe=nothing,
    ),
    Scenario(
        "two objects in one step, published while somebody reads both",
        lambda: FakeS3(BUCKET),
        _read_meanwhile,
        "a reader sees old and old, the next one new and new",
        observe=nothing,
    ),
)
