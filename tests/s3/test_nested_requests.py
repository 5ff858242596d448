"""Requests within requests: each is made as often as `max_attempts` says, and no more."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import ChecksumMismatchError, GuardedS3Error
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close, cut, respond, s3_error
from tests.single_faults import short_pauses  # noqa: F401

ATTEMPTS = 3
CONTENT = bytes(range(256)) * 4096 * 5


FAULTS: dict[str, Callable[[Request, Reply], Answer]] = {
    "500": lambda request, reply: s3_error(500, "InternalError"),
    "408": lambda request, reply: respond(408, b"too slow"),
    "503": lambda request, reply: s3_error(503, "SlowDown"),
    "lost": lambda request, reply: close(),
    "cut": lambda request, reply: cut(reply.status, reply.body, after=100, headers=reply.headers),
}
READS: dict[str, Callable[[Any, Path], object]] = {
    "cat_file": lambda fs, folder: fs.cat_file("bucket/key"),
    "cat_file range": lambda fs, folder: fs.cat_file("bucket/key", 0, len(CONTENT)),
    "cat": lambda fs, folder: fs.cat(["bucket/key", "bucket/other"]),
    "get_file": lambda fs, folder: fs.get_file("bucket/key", str(folder / "file")),
    "open": lambda fs, folder: fs.open("bucket/key", "rb", cache_type="none").read(),
}


def begins(request: Request) -> int:
    """The first byte that a GetObject asks for."""
    return int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0])


@pytest.mark.parametrize("fault", sorted(FAULTS))
@pytest.mark.parametrize("read", sorted(READS))
@pytest.mark.parametrize("failing", [0, 3])
def test_range_that_always_fails_is_asked_for_max_attempts_times(
    failing: int, read: str, fault: str, tmp_path: Path
) -> None:
    """And what lies beside it is not loaded once more. A cut range goes on where it broke."""
    asked: Counter[int] = Counter()

    def after(request: Request, reply: Reply) -> Answer | None:
        if request.method != "GET" or request.path != "/bucket/key":
            return None
        number = begins(request) // MIB
        asked[number] += 1
        return FAULTS[fault](request, reply) if number == failing else None

    fake = FakeS3("bucket", after=after)
    fake.put("bucket", "key", CONTENT)
    fake.put("bucket", "other", b"")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_attempts=ATTEMPTS, range_size=MIB)
        with pytest.raises(GuardedS3Error):
            READS[read](fs, tmp_path)
    assert asked.pop(failing) == ATTEMPTS
    assert set(asked.values()) <= {1}


@pytest.mark.parametrize("read", ["cat_file", "cat", "get_file"])
def test_object_whose_stored_checksum_is_another_is_read_twice(read: str, tmp_path: Path) -> None:
    gets: Counter[str] = Counter()
    fake = FakeS3("bucket", fault=lambda request, fake: gets.update([request.method]))
    stored = fake.put("bucket", "key", b"content")
    fake.put("bucket", "other", b"")
    fake.objects["bucket", "key"] = dataclasses.replace(stored, crc32="AAAAAA==")
    with ScriptedServer(handler=fake) as server, pytest.raises(ChecksumMismatchError):
        READS[read](filesystem(server.url, max_attempts=5), tmp_path)
    assert gets["GET"] <= 2 + (read == "cat")


def test_answer_408_is_tried_again() -> None:
    with ScriptedServer([respond(408, b"too slow"), respond(200, b"body", etag="one")]) as server:
        assert filesystem(server.url).cat_file("bucket/key") == b"body"


def test_client_of_a_store_that_refuses_three_of_ten_requests_reads_on() -> None:
    """Every third answer is SlowDown: the budget of retries would be gone after 100 of them."""
    count = 0

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        nonlocal count
        count += 1
        return s3_error(503, "SlowDown") if count % 3 == 0 else None

    fake = FakeS3("bucket", fault=fault)
    fake.put("bucket", "key", b"x")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert [fs.cat_file("bucket/key") for _ in range(600)] == [b"x"] * 600
