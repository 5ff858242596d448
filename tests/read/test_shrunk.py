"""An object that is replaced by a shorter one meanwhile: ObjectChangedError or a new start, never 416."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    GuardedS3FileSystem,
    ObjectChangedError,
    ObjectNotFoundError,
    RangeNotSatisfiableError,
)
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, s3_error

OLD = period_free(3 * MIB, seed=1)
NEW = {"empty": b"", "short": period_free(1000, seed=2), "half": period_free(MIB, seed=3)}
every_new = pytest.mark.parametrize("new", NEW.values(), ids=NEW)
every_store = pytest.mark.parametrize("ignores", [True, False], ids=["ignores If-Match", "honours If-Match"])


def store(ignores: bool, new: bytes | None, when: Callable[[Request], bool]) -> FakeS3:
    """Holds OLD, and from the first answer on for which `when` holds `new`, or nothing if that is None."""
    fake = FakeS3("bucket", ignore_conditions=ignores)
    fake.put("bucket", "key", OLD)

    def after(request: Request, reply: Reply) -> Answer | None:
        if when(request):
            fake.after = None
            if new is None:
                del fake.objects["bucket", "key"]
            else:
                fake.put("bucket", "key", new)
        return None

    fake.after = after
    return fake


def is_first(request: Request) -> bool:
    """Whatever tells the version that is read: replaced behind the first answer."""
    return True


def is_whole(request: Request) -> bool:
    return request.method == "GET" and "range" not in request.headers


def opened(fs: GuardedS3FileSystem) -> bytes:
    with fs.open("bucket/key", cache_type="none") as file:
        file.seek(2 * MIB)
        return bytes(file.read(10))


READS: dict[str, Callable[[GuardedS3FileSystem], Any]] = {
    "open": opened,
    "open, ahead": lambda fs: fs.open("bucket/key").read(),
    "a slice": lambda fs: fs.cat_file("bucket/key", 1000, -1),
    "a slice of known size": lambda fs: fs.cat_file("bucket/key", 1000, 2 * MIB + 2000),
    "the end": lambda fs: fs.cat_file("bucket/key", -2 * MIB),
    "a slice by HEAD": lambda fs: fs.cat_file("bucket/key", 1000, -MIB),
    "cat_ranges": lambda fs: fs.cat_ranges(["bucket/key"] * 2, [0, 2 * MIB], [10, 3 * MIB], on_error="raise"),
    "cat_ranges, one": lambda fs: fs.cat_ranges(["bucket/key"], [9], [3 * MIB], on_error="raise"),
    "tail": lambda fs: fs.tail("bucket/key", 2 * MIB),
}


@every_store
@every_new
@pytest.mark.parametrize("name", READS)
def test_a_pinned_read_says_that_the_object_was_replaced(name: str, new: bytes, ignores: bool) -> None:
    with ScriptedServer(handler=store(ignores, new, is_first)) as server, pytest.raises(ObjectChangedError):
        READS[name](filesystem(server.url, range_size=MIB))


@every_store
@every_new
def test_the_rest_of_a_whole_object_too(new: bytes, ignores: bool) -> None:
    with ScriptedServer(handler=store(ignores, new, is_whole)) as server, pytest.raises(ObjectChangedError):
        filesystem(server.url, range_size=MIB).cat_file("bucket/key")


@every_store
@every_new
def test_a_download_starts_anew(new: bytes, ignores: bool, tmp_path: Path) -> None:
    with ScriptedServer(handler=store(ignores, new, is_first)) as server:
        filesystem(server.url, range_size=MIB).get_file("bucket/key", str(tmp_path / "key"))
    assert (tmp_path / "key").read_bytes() == new


@pytest.mark.parametrize("name", READS)
def test_an_object_that_is_deleted_meanwhile_is_not_there(name: str) -> None:
    with ScriptedServer(handler=store(True, None, is_first)) as server, pytest.raises(ObjectNotFoundError):
        READS[name](filesystem(server.url, range_size=MIB))


def test_416_for_an_object_that_is_the_same_stays_what_it_is() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", OLD)

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return s3_error(416, "InvalidRange") if "range" in request.headers else None

    fake.fault = fault
    with ScriptedServer(handler=fake) as server, pytest.raises(RangeNotSatisfiableError):
        filesystem(server.url).cat_file("bucket/key", 1, 2)
