"""Uploads of unknown length: bounded memory, parts that can be sent again, room for what is appended."""

from __future__ import annotations

import errno
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, WriteOutcomeUnknownError
from fsspec_guarded_s3._fs import copy_in_parts
from fsspec_guarded_s3._values.bodies import FileSlice, body_chunks, body_size
from fsspec_guarded_s3._values.dialects import S3
from fsspec_guarded_s3._values.models import WRITE_TOKEN, ObjectInfo
from fsspec_guarded_s3._write import spool
from fsspec_guarded_s3._write.parts import PartBuffer
from fsspec_guarded_s3._write.spool import Gathered
from fsspec_guarded_s3.options import MAX_PART_SIZE, MAX_PARTS, Options
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close, s3_error
from tests.single_faults import always, named, once, short_pauses  # noqa: F401

SLOT = ("bucket", "key")
DATA = period_free(23 * MIB + 17)
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}
TIB = 2**40


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part goes through a temporary file."""
    monkeypatch.setattr(spool, "IN_MEMORY", MIB)


def stream(fs: GuardedS3FileSystem, data: bytes, step: int, mode: str = "wb") -> None:
    with fs.open("bucket/key", mode) as file:
        for start in range(0, len(data), step):
            file.write(data[start : start + step])


# --- memory ---


class Holding:
    """An upload whose store takes its time: parts stay until so many are under way."""

    may_start = False
    dialect = staticmethod(lambda: S3)

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.sizes: list[int] = []

    def send_part_in_background(self, number: int, data: Any, concurrency: int) -> None:
        while len(self.held) >= concurrency:
            sum(len(piece) for piece in body_chunks(self.held.pop(0)))
        self.held.append(data)
        self.sizes.append(body_size(data))


@pytest.mark.parametrize("parts", [0, 1000, 1500, 2000], ids=lambda parts: f"part {parts}")
@pytest.mark.parametrize("step", [4096, 3 * MIB, 90 * MIB])
def test_memory_of_a_stream_does_not_grow_with_its_length(
    step: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the part size has become, and however much is written at once."""
    monkeypatch.setattr(spool, "IN_MEMORY", 6 * MIB)
    upload = Holding()
    buffer = PartBuffer(upload, Options(part_size=5 * MIB))  # type: ignore[arg-type]
    buffer.follow(parts)
    data = memoryview(bytes(step))
    tracemalloc.start()
    try:
        for _ in range(-(-180 * MIB // step)):
            buffer.write(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert upload.sizes and set(upload.sizes) == {buffer._part_size()} == {5 * MIB << parts // 500}
    assert peak < 7 * 6 * MIB  # four under way, one that is filled, one that is handed over


def test_parts_of_the_default_size_hold_some_30_tib_and_none_is_too_large() -> None:
    upload = Holding()
    buffer = PartBuffer(upload, Options())  # type: ignore[arg-type]
    whole = 0
    for number in range(MAX_PARTS):
        buffer.follow(number)
        assert buffer._part_size() <= MAX_PART_SIZE
        whole += buffer._part_size()
    assert whole > 30 * TIB


# --- through temporary files ---


@pytest.mark.parametrize("step", [100_000, 7 * MIB, len(DATA)])
@pytest.mark.parametrize("mode", ["wb", "xb", "ab"])
def test_a_stream_through_temporary_files_is_published_as_it_was_written(
    mode: str, step: int, small_memory: None
) -> None:
    fake = FakeS3("bucket")
    before = DATA[: 6 * MIB] if mode == "ab" else b""
    if before:
        fake.put(*SLOT, before)
    with ScriptedServer(handler=fake) as server:
        stream(filesystem(server.url, **PARTS), DATA, step, mode)
    assert fake.objects[SLOT].body == before + DATA
    assert not fake.uploads


@pytest.mark.parametrize("size", [0, 1, MIB, MIB + 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 10 * MIB])
def test_a_stream_of_any_size_is_published_whole(size: int, small_memory: None) -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        stream(filesystem(server.url, **PARTS), DATA[:size], 300_001)
        assert (len(named(server, "PUT")) == 1) is (size < 5 * MIB)
    assert fake.objects[SLOT].body == DATA[:size]


@pytest.mark.parametrize("answer", [s3_error(500, "InternalError"), s3_error(503, "SlowDown"), close()])
def test_a_part_in_a_temporary_file_is_sent_again(answer: Answer, small_memory: None) -> None:
    fake = FakeS3("bucket", fault=once("UploadPart", answer))
    with ScriptedServer(handler=fake) as server:
        stream(filesystem(server.url, **PARTS), DATA, MIB)
    assert fake.objects[SLOT].body == DATA


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc here")
@pytest.mark.parametrize("how", ["published", "discarded", "refused"])
def test_temporary_files_are_gone_afterwards(how: str, small_memory: None) -> None:
    fake = FakeS3("bucket")
    if how == "refused":
        fake.fault = always("UploadPart", s3_error(403, "AccessDenied"))
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_concurrency=1, **PARTS)
        fs.pipe_file("bucket/other", b"1")
        before = open_descriptors()
        file = fs.open("bucket/key", "wb")
        try:
            for start in range(0, len(DATA), MIB):
                file.write(DATA[start : start + MIB])
            (file.discard if how == "discarded" else file.close)()
        except PermissionError:
            assert how == "refused"
        file.discard()
        fs._client.close()
        del file
        assert open_descriptors() <= before + 1  # a connection of the server, which is about to see the end
    assert (SLOT in fake.objects) is (how == "published")


def test_a_disk_that_is_full_is_an_error_and_nothing_is_published(
    small_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: Any, position: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **PARTS)
        file = fs.open("bucket/key", "wb")
        file.write(DATA[:1000])
        with monkeypatch.context() as disk:
            disk.setattr("fsspec_guarded_s3._write.spool.write_at", full)
            with pytest.raises(OSError, match=r"is kept in .* until it is sent.*TMPDIR") as caught:
                file.write(DATA)
        assert caught.value.errno == errno.ENOSPC and caught.value.filename
        with pytest.raises(OSError, match="until it is sent"):
            file.close()
    assert not fake.objects and not fake.uploads


def test_what_was_gathered_in_a_file_is_not_written_by_another_process(
    small_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parent and child would write into one file."""
    gathered = Gathered()
    gathered.write(bytes(2 * MIB))
    assert isinstance(gathered.body(), FileSlice)
    pid = os.getpid()
    monkeypatch.setattr("fsspec_guarded_s3._write.spool.os.getpid", lambda: pid + 1)
    with pytest.raises(ValueError, match="belongs to the process"):
        gathered.write(b"more")


@pytest.mark.parametrize("sizes", [[], [1], [MIB], [MIB, 1], [1, MIB], [3 * MIB, 5, 0, 2 * MIB]])
def test_gathered_bytes_are_those_that_were_written(sizes: list[int], small_memory: None) -> None:
    gathered, whole = Gathered(), b""
    for size in sizes:
        piece = DATA[len(whole) : len(whole) + size]
        gathered.write(memoryview(piece))
        whole += piece
        assert gathered.size == len(whole)
    assert b"".join(map(bytes, body_chunks(gathered.body()))) == whole
    if len(whole) > 2:
        assert b"".join(map(bytes, body_chunks(gathered.body(1, len(whole) - 1)))) == whole[1:-1]


# --- room for what is appended ---


class Copied:
    """An upload to which parts are copied."""

    may_start = False
    dialect = staticmethod(lambda: S3)

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def copy_part(self, number: int, source: Any, part: Any, etag: str) -> None:
        self.sizes.append(part.stop - part.start)


def together(calls: Any, limit: int | None = None) -> None:
    for call in calls:
        call()


@pytest.mark.parametrize("size", [5 * MIB, TIB // 8, 1_342_177_280_000, 5 * TIB, 20 * TIB, 48 * TIB])
def test_there_is_room_to_append_to_an_object_of_any_size(size: int) -> None:
    client: Any = SimpleNamespace(scheduler=SimpleNamespace(run=together))
    upload: Any = Copied()
    count = copy_in_parts._copy_parts(client, upload, None, ObjectInfo('"e"', size), None)  # type: ignore[arg-type]
    assert count == len(upload.sizes) <= max(1000, -(-size // MAX_PART_SIZE) + 1)
    assert sum(upload.sizes) == size and max(upload.sizes) <= MAX_PART_SIZE
    buffer = PartBuffer(upload, Options())
    buffer.follow(count)
    assert sum_of_parts(buffer, count) >= min(size // 50, MAX_PARTS * MAX_PART_SIZE - size - MAX_PART_SIZE)


def sum_of_parts(buffer: PartBuffer, count: int) -> int:
    whole = 0
    for number in range(count, MAX_PARTS):
        buffer.follow(number)
        whole += buffer._part_size()
    return whole


# --- ETags that are no MD5s ---

Call = Callable[[GuardedS3FileSystem], Any]


def put(fs: GuardedS3FileSystem, path: Path) -> None:
    path.write_bytes(DATA)
    fs.put_file(str(path), "bucket/key")


PLAIN: dict[str, Callable[[GuardedS3FileSystem, Path], Any]] = {
    "bytes": lambda fs, path: fs.pipe_file("bucket/key", DATA),
    "file": put,
    "stream": lambda fs, path: stream(fs, DATA, 3 * MIB),
    "much metadata": lambda fs, path: fs.pipe_file("bucket/key", DATA, Metadata={"a": "x" * 2000}),
}


@pytest.mark.parametrize("lost", ["closed", "500", "503"])
@pytest.mark.parametrize("call", PLAIN)
def test_a_plain_write_in_parts_is_proved_by_its_token(call: str, lost: str, tmp_path: Path) -> None:
    """Where a KMS encrypts, ETags prove nothing; the store answers the repetition with NoSuchUpload."""
    answers = {"closed": close(), "500": s3_error(500, "InternalError"), "503": s3_error(503, "SlowDown")}
    left = [answers[lost]]

    def after(request: Request, reply: Reply) -> Answer | None:
        return left.pop() if left and request.method == "POST" and "uploadId" in request.query else None

    fake = FakeS3("bucket", after=after)
    fake.opaque_etags = True
    with ScriptedServer(handler=fake) as server:
        PLAIN[call](filesystem(server.url, **PARTS), tmp_path / "local")
    assert fake.objects[SLOT].body == DATA
    assert not left


def test_a_plain_write_that_somebody_else_replaced_is_not_taken_for_ours() -> None:
    fake = FakeS3("bucket")
    fake.opaque_etags = True

    def after(request: Request, reply: Reply) -> Answer | None:
        if request.method == "POST" and "uploadId" in request.query and reply.status == 200:
            fake.put(*SLOT, b"another", **{WRITE_TOKEN: "another"})
            return close()
        return None

    fake.after = after
    with ScriptedServer(handler=fake) as server, pytest.raises(WriteOutcomeUnknownError):
        filesystem(server.url, **PARTS).pipe_file("bucket/key", DATA)
    assert fake.objects[SLOT].body == b"another"


def test_metadata_that_fills_what_s3_holds_leaves_no_room_for_a_token_of_a_plain_write() -> None:
    fake = FakeS3("bucket")
    given = {"a": "x" * 2047}
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **PARTS)
        fs.pipe_file("bucket/key", DATA, Metadata=given)
        assert fake.objects[SLOT].metadata == given
        fs.pipe_file("bucket/key", b"small", Metadata={"a": "1"})
        assert fake.objects[SLOT].metadata == {"a": "1"}, "a plain PUT needs no token"


def test_an_answer_that_was_lost_is_found_by_equal_content_too() -> None:
    """Where the store keeps no metadata."""
    fake = FakeS3("bucket")

    def after(request: Request, reply: Reply) -> Answer | None:
        if request.method == "POST" and "uploadId" in request.query and reply.status == 200:
            fake.objects[SLOT] = replace(fake.objects[SLOT], headers={})
            return close()
        return None

    fake.after = after
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, **PARTS).pipe_file("bucket/key", DATA)
    assert fake.objects[SLOT].body == DATA
