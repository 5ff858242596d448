"""Local files that change while they are uploaded, and files whose size is not what can be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._values.bodies import CHUNK
from fsspec_guarded_s3.errors import FileChangedError
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import ScriptedServer

SLOT = ("bucket", "key")
PIECES = 8
OLD = period_free(PIECES * CHUNK, seed=1)
NEW = period_free(PIECES * CHUNK, seed=2)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "local"
    path.write_bytes(OLD)
    return path


def before_reading(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], None]) -> None:
    """Do `act` before the piece `number` is read, counted over all readings; a look at the end is none."""
    real = os.preadv
    count = [0]

    def preadv(descriptor: int, buffers: list[memoryview], *position: int) -> int:
        if len(buffers[0]) > 2:
            if count[0] == number:
                act()
            count[0] += 1
        return real(descriptor, buffers, *position)

    monkeypatch.setattr("os.preadv", preadv)


def overwrite(path: Path, data: bytes, *, time_kept: bool) -> None:
    """In its place, as a program that updates a file does."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(data)
    moment = before.st_mtime_ns + (0 if time_kept else 1_000_000_000)
    os.utime(path, ns=(moment, moment))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("time_kept", [False, True], ids=["new time", "old time"])
@pytest.mark.parametrize("number", [1, PIECES // 2, PIECES - 1, PIECES, PIECES + 1, 2 * PIECES - 1])
def test_a_file_that_is_rewritten_while_one_request_sends_it_is_not_published(
    number: int, time_kept: bool, tls: bool, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the store compares no checksum, and where the time of the file says nothing."""
    fake = FakeS3("bucket")
    fake.compares = False
    before_reading(monkeypatch, number, lambda: overwrite(local, NEW, time_kept=time_kept))
    with ScriptedServer(handler=fake, tls=tls) as server:
        options = {"ca_bundle": str(server.ca_path)} if tls else {}
        with pytest.raises(FileChangedError):
            filesystem(server.url, **options).put_file(str(local), "bucket/key")
    assert not fake.objects


@pytest.mark.parametrize("number", [0, 1, PIECES, 2 * PIECES - 1])
def test_what_is_appended_meanwhile_is_left_out(
    number: int, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a log: the old bytes are still those that were there."""

    def grow() -> None:
        with local.open("ab") as file:
            file.write(b"a line more")

    fake = FakeS3("bucket")
    before_reading(monkeypatch, number, grow)
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).put_file(str(local), "bucket/key")
    assert fake.objects[SLOT].body == OLD


def test_a_file_that_becomes_shorter_is_not_published(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeS3("bucket")
    before_reading(monkeypatch, PIECES + 2, lambda: os.truncate(local, CHUNK))
    with ScriptedServer(handler=fake) as server, pytest.raises(FileChangedError):
        filesystem(server.url).put_file(str(local), "bucket/key")
    assert not fake.objects


# --- sizes that are not what can be read ---


def in_transaction(fs: GuardedS3FileSystem, path: str) -> None:
    with fs.transaction:
        fs.put_file(path, "bucket/key")


Call = Callable[[GuardedS3FileSystem, str], None]
CALLS: dict[str, Call] = {
    "put_file": lambda fs, path: fs.put_file(path, "bucket/key"),
    "create": lambda fs, path: fs.put_file(path, "bucket/key", mode="create"),
    "put": lambda fs, path: fs.put(path, "bucket/key"),
    "transaction": in_transaction,
}


def tell(monkeypatch: pytest.MonkeyPatch, path: Path, size: int) -> None:
    """Let the system say that the file has `size` bytes."""
    real, inode = os.fstat, path.stat().st_ino

    def fstat(descriptor: int) -> Any:
        found = real(descriptor)
        if found.st_ino != inode:
            return found
        return SimpleNamespace(st_size=size, st_mtime_ns=found.st_mtime_ns, st_mode=found.st_mode)

    monkeypatch.setattr("fsspec_guarded_s3._write.source_file.os.fstat", fstat)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("told", [0, 1, 4096, 6 * MIB, 60 * MIB])
@pytest.mark.parametrize("size", [1, 1415, 11 * MIB])
def test_a_file_is_published_as_it_can_be_read_whatever_its_size_is_said_to_be(
    size: int, told: int, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = period_free(size)
    path = tmp_path / "local"
    path.write_bytes(data)
    tell(monkeypatch, path, told)
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB)
        CALLS[call](fs, str(path))
    assert fake.objects[SLOT].body == data
    assert not fake.uploads


@pytest.mark.parametrize("call", CALLS)
def test_a_file_of_proc_is_published_as_it_can_be_read(call: str) -> None:
    path = Path("/proc/version")
    if not path.exists():
        pytest.skip("there is no /proc here")
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        CALLS[call](filesystem(server.url), str(path))
    assert fake.objects[SLOT].body == path.read_bytes() != b""


@pytest.mark.parametrize("size", [0, 1, 2, CHUNK, CHUNK + 1])
def test_a_plain_file_of_any_size_is_published_by_one_request(size: int, tmp_path: Path) -> None:
    path = tmp_path / "local"
    path.write_bytes(OLD[:size])
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).put_file(str(path), "bucket/key")
        assert [request.method for request in server.requests] == ["PUT"]
    assert fake.objects[SLOT].body == OLD[:size]


def test_a_read_that_fails_half_way_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file whose size is not what can be read: parts that were sent are removed."""

    def broken(file: Any) -> Any:
        yield bytes(11 * MIB)
        raise OSError(5, "Input/output error")

    path = tmp_path / "local"
    path.write_bytes(b"1")
    tell(monkeypatch, path, 0)
    monkeypatch.setattr("fsspec_guarded_s3._write.source_file.SourceFile.contents", broken)
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB)
        with pytest.raises(OSError, match="Input/output error"):
            fs.put_file(str(path), "bucket/key")
    assert not fake.objects and not fake.uploads
