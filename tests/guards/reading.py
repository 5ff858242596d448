"""Scenarios of downloads: objects that change, bodies that break or stall, stores that lie."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace

from tests.fake_s3 import FakeS3, crc32
from tests.guards.scenario import (
    BUCKET,
    KEY,
    LARGE,
    PATH,
    Client,
    Scenario,
    after,
    bytes_state,
    file_state,
    holding,
    new,
    nothing,
    old,
    operation,
)
from tests.scripted_server import Answer, Reply, Request, cut, s3_error, stall_body

SIZE = 2**20


def _get_file(client: Client) -> str:
    client.fs.get_file(PATH, str(client.local))
    return "no error"


def _get_file_over_old(client: Client) -> str:
    client.local.write_bytes(b"before" * 200)
    return _get_file(client)


def _be_killed(client: Client) -> str:
    client.local.write_bytes(b"before" * 200)
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return _get_file(client)


def cat_file(whole: int) -> Callable[[Client], str]:
    return lambda client: bytes_state(client.fs.cat_file(PATH), whole)


def _read_on(client: Client) -> str:
    with client.fs.open(PATH, "rb") as file:
        data = file.read(LARGE // 4)
        client.rival_writes(new(LARGE))
        while piece := file.read(LARGE // 4):
            data += piece
    return bytes_state(data, LARGE)


def _slice(client: Client) -> str:
    data = client.fs.cat_file(PATH, start=100_000, end=200_000)
    if data == old(SIZE)[100_000:200_000]:
        return "the right bytes"
    return "other bytes" if len(data) == 100_000 else f"{len(data)} of 100000 bytes"


def _replaced_half_way() -> FakeS3:
    """The object is replaced when the first bytes are out and a range of the second half is asked for.

    Who asks for all in one request gets the old bytes.
    """
    fake, replacement, begun = holding(LARGE), [new(LARGE)], threading.Event()

    def replace_late(request: Request, _: FakeS3) -> None:
        if operation(request) == "GET" and _first_byte(request) >= LARGE // 2:
            begun.wait(5.0)
            with fake.lock:
                if replacement:
                    fake.put(BUCKET, KEY, replacement.pop())

    def note(request: Request, reply: Reply) -> None:
        if operation(request) == "GET" and _first_byte(request) == 0:
            begun.set()

    fake.fault, fake.after = replace_late, note
    return fake


def _first_byte(request: Request) -> int:
    return int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").split("-")[0])


def _cut_and_replaced() -> FakeS3:
    """The first GET breaks in the middle of the old bytes; then the object is another."""
    fake, replacement = holding(SIZE), new(SIZE)

    def answer(request: Request, reply: Reply) -> Answer:
        fake.put(BUCKET, KEY, replacement)
        return _half(reply)

    return after(fake, ("GET",), answer)


def spoiled(spoil: Callable[[Reply], Answer], times: int | None = 1) -> Callable[[], FakeS3]:
    return lambda: after(holding(SIZE), ("GET",), lambda _, reply: spoil(reply), times)


def _half(reply: Reply) -> Answer:
    return cut(reply.status, reply.body, after=len(reply.body) // 2, headers=reply.headers)


def stalled(reply: Reply) -> Answer:
    return stall_body(reply.status, reply.body, after=len(reply.body) // 2, headers=reply.headers)


def _short(reply: Reply) -> Answer:
    """Half of the range, declared as such and complete in itself."""
    if reply.status != 206:
        return reply
    name = next(name for name in reply.headers if name.lower() == "content-range")
    first, rest = reply.headers[name].removeprefix("bytes ").split("-")
    half = len(reply.body) // 2
    said = f"bytes {first}-{int(first) + half - 1}/{rest.split('/')[1]}"
    return replace(reply, body=reply.body[:half], headers={**reply.headers, name: said})


def _wrong_checksum() -> FakeS3:
    fake = holding(SIZE)
    stored = fake.objects[BUCKET, KEY]
    fake.objects[BUCKET, KEY] = replace(stored, crc32=crc32(new(SIZE)))
    return fake


def _failing_after_first_half() -> FakeS3:
    """The first GET breaks in the middle, and no other is answered."""
    fake, seen = holding(SIZE), [0]

    def answer(request: Request, reply: Reply) -> Answer | None:
        if operation(request) != "GET":
            return None
        seen[0] += 1
        return _half(reply) if seen[0] == 1 else s3_error(403, "AccessDenied")

    fake.after = answer
    return fake


SCENARIOS = (
    Scenario(
        "object replaced during `get_file`",
        _replaced_half_way,
        _get_file,
        "no error, file has new bytes",
        file_state,
        LARGE,
    ),
    Scenario(
        "object replaced during `cat_file`",
        _replaced_half_way,
        cat_file(LARGE),
        "ObjectChangedError",
        nothing,
        LARGE,
    ),
    Scenario(
        "object replaced under an open reader",
        lambda: holding(LARGE),
        _read_on,
        "ObjectChangedError",
        nothing,
        LARGE,
    ),
    Scenario(
        "object replaced under an open reader, the store ignores conditions",
        lambda: holding(LARGE, ignore_conditions=True),
        _read_on,
        "ObjectChangedError",
        nothing,
        LARGE,
    ),
    Scenario(
        "body cut, `get_file`",
        spoiled(_half),
        _get_file,
        "no error, file has old bytes",
        file_state,
        SIZE,
    ),
    Scenario("body cut, `cat_file`", spoiled(_half), cat_file(SIZE), "old bytes", nothing, SIZE),
    Scenario(
        "body cut and object replaced, `get_file`",
        _cut_and_replaced,
        _get_file,
        "no error, file has new bytes",
        file_state,
        SIZE,
    ),
    Scenario(
        "body cut and object replaced, `cat_file`",
        _cut_and_replaced,
        cat_file(SIZE),
        "ObjectChangedError",
        nothing,
        SIZE,
    ),
    Scenario(
        "`get_file` fails over an old file",
        _failing_after_first_half,
        _get_file_over_old,
        "PermissionError, old file kept",
        file_state,
        SIZE,
    ),
    Scenario(
        "process is killed in `get_file` over an old file",
        spoiled(stalled, times=None),
        _be_killed,
        "killed, old file kept",
        file_state,
        SIZE,
    ),
    Scenario(
        "store ignores Range",
        lambda: holding(SIZE, ignore_range=True),
        _slice,
        "ProtocolError",
        nothing,
        SIZE,
    ),
    Scenario(
        "store answers a range with half of it", spoiled(_short), _slice, "the right bytes", nothing, SIZE
    ),
    Scenario(
        "stored CRC32 differs from the bytes",
        _wrong_checksum,
        cat_file(SIZE),
        "ChecksumMismatchError",
        nothing,
        SIZE,
    ),
)
