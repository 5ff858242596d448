"""Modes are those of Python's `open`, whose letters come in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", b"data")
    return fake


@pytest.fixture
def fs(fake: FakeS3) -> Iterator[GuardedS3FileSystem]:
    with ScriptedServer(handler=fake) as server:
        yield filesystem(server.url)


OPENINGS: dict[str, Callable[..., Any]] = {
    "open": lambda fs, mode: fs.open("bucket/key", mode),
    "open, a cache of fsspec": lambda fs, mode: fs.open("bucket/key", mode, cache_type="readahead"),
    "_open": lambda fs, mode: fs._open("bucket/key", mode),
}


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("mode", ["rb", "br", "r", "rt", "tr"])
def test_a_mode_for_reading_never_writes(
    fake: FakeS3, fs: GuardedS3FileSystem, opening: str, mode: str
) -> None:
    with OPENINGS[opening](fs, mode) as file:
        assert file.readable() and not file.writable()
        assert file.read() in (b"data", "data")
    assert fake.objects["bucket", "key"].body == b"data"


@pytest.mark.parametrize("opening", ["open", "_open"])
@pytest.mark.parametrize("mode", ["xb", "bx"])
def test_a_mode_that_creates_never_overwrites(
    fake: FakeS3, fs: GuardedS3FileSystem, opening: str, mode: str
) -> None:
    with pytest.raises(FileExistsError):
        OPENINGS[opening](fs, mode)
    assert fake.objects["bucket", "key"].body == b"data"


@pytest.mark.parametrize("opening", ["open", "_open"])
@pytest.mark.parametrize(("mode", "body"), [("wb", b"+"), ("bw", b"+"), ("ab", b"data+"), ("ba", b"data+")])
def test_a_binary_mode_for_writing(
    fake: FakeS3, fs: GuardedS3FileSystem, opening: str, mode: str, body: bytes
) -> None:
    with OPENINGS[opening](fs, mode) as file:
        file.write(b"+")
    assert fake.objects["bucket", "key"].body == body


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("mode", ["", "b", "+", "r++", "r+b+", "rbt+", "rbt", "bb", "rw", "U", "rU"])
def test_any_other_mode_is_refused(fake: FakeS3, fs: GuardedS3FileSystem, opening: str, mode: str) -> None:
    with pytest.raises(ValueError, match=r"is not supported: (use r, w, x or a|S3 cannot change)"):
        OPENINGS[opening](fs, mode)
    assert fake.objects["bucket", "key"].body == b"data"


@pytest.mark.parametrize("opening", ["open", "_open"])
@pytest.mark.parametrize("mode", ["r+b", "rb+", "br+", "+br", "b+r"])
def test_a_mode_that_changes_what_is_there(
    fake: FakeS3, fs: GuardedS3FileSystem, opening: str, mode: str
) -> None:
    with OPENINGS[opening](fs, mode) as file:
        assert file.read(1) == b"d"
        file.write(b"+")
    assert fake.objects["bucket", "key"].body == b"d+ta"


def test_a_file_of_an_event_loop_is_read_in_either_order(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    async def read() -> bytes:
        file: Any = await fs.open_async("bucket/key", "br")
        async with file:
            return bytes(await file.read())

    assert asyncio.run(read()) == b"data"
    assert fake.objects["bucket", "key"].body == b"data"
