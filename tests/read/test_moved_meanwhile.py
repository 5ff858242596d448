"""A read begins where the file was when it was called: other threads may move it while it waits.

DuckDB's threads share a file. Each of them seeks and reads in one go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Request, ScriptedServer

DATA = period_free(9 * MIB)
PATH = "bucket/folder/key"


def _readinto(file: Any, count: int) -> bytes:
    buffer = bytearray(count)
    assert file.readinto(buffer) == count
    return bytes(buffer)


READS: dict[str, Callable[[Any, int], bytes]] = {
    "read": lambda file, count: file.read(count),
    "readinto": _readinto,
    "read1": lambda file, count: file.read1(count),
    "peek": lambda file, count: file.peek(count)[:count],
    "readline": lambda file, count: file.readline(count),
}
LOOKS: dict[str, Callable[[GuardedS3FileSystem], object]] = {
    "opened": lambda fs: None,
    "listed": lambda fs: fs.ls("bucket/folder"),
    "looked at": lambda fs: fs.info(PATH),
}


@pytest.mark.parametrize("cache_type", ["prefetch", "none", "bytes"])
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("place", [1000, 3 * MIB])
@pytest.mark.parametrize("count", [100, 600_000])
@pytest.mark.parametrize("name", READS)
def test_a_read_that_waits_is_not_moved(
    name: str, count: int, place: int, look: str, cache_type: str
) -> None:
    fake, asked, moved = FakeS3("bucket"), threading.Event(), threading.Event()
    fake.put("bucket", "folder/key", DATA)

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "GET" and request.path.endswith("/key") and reading:
            asked.set()
            moved.wait(20)
        return None

    fake.fault = fault
    reading: list[bool] = []
    with ScriptedServer(handler=fake) as server, ThreadPoolExecutor(1) as pool:
        fs = filesystem(server.url)
        LOOKS[look](fs)
        with fs.open(PATH, cache_type=cache_type) as file:
            reading.append(True)
            file.seek(place)
            read = pool.submit(READS[name], file, count)
            while not (asked.wait(0.01) or read.done()):
                pass
            file.seek(7 * MIB)
            moved.set()
            found = read.result(60)
            assert found
            assert found == DATA[place : place + len(found)]
            file.seek(5 * MIB)
            assert file.read(10) == DATA[5 * MIB : 5 * MIB + 10]
