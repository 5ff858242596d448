"""Files of `open_async`: pinned readers and guarded writers, to await."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError, ObjectExistsError
from fsspec_guarded_s3._work import pause
from fsspec_guarded_s3.filesystem import AsyncReader, AsyncWriter, PinnedReader
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, eventually, s3_error

DATA = period_free(3 * MIB + 17, seed=5)


def run(use: Callable[[GuardedS3FileSystem, FakeS3], Coroutine[Any, Any, Any]], **options: Any) -> FakeS3:
    """Run `use` with a filesystem on a store that has `bucket/key`; the store, with no upload left."""
    fake = FakeS3("bucket")
    fake.put("bucket", "key", DATA, note="x")
    with ScriptedServer(handler=fake) as server:
        options = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB, **options}
        asyncio.run(use(filesystem(server.url, **options), fake))
        gc.collect()
        eventually(lambda: not fake.uploads, timeout=60)
    return fake


# --- readers ---


def test_a_reader_reads_all_of_one_version() -> None:
    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        async with await fs.open_async("bucket/key", block_size=100_000) as file:
            assert isinstance(file, AsyncReader) and (file.mode, file.path) == ("rb", "bucket/key")
            assert (file.size, file.tell(), file.closed) == (len(DATA), 0, False)
            pieces = []
            while piece := await file.read(70_000):
                pieces.append(piece)
            assert b"".join(pieces) == DATA
            assert file.seek(-7, 2) == len(DATA) - 7 and await file.read() == DATA[-7:]
            assert file.seek(5) == 5 and await file.read(3) == DATA[5:8] and file.tell() == 8
            assert file.metadata() == {"note": "x"} and file.info()["ETag"] == file.etag
            file.seek(0)
            assert await file.readline(10_000) == DATA[:10_000].split(b"\n")[0] + b"\n" * (
                b"\n" in DATA[:10_000]
            )
            fake.put("bucket", "key", DATA[::-1])
            file.seek(2_000_000)
            with pytest.raises(ObjectChangedError):
                await file.read()
        assert file.closed
        with pytest.raises(ValueError, match="closed"):
            await file.read(1)

    run(use)


def test_chunks_close_the_file_however_they_end() -> None:
    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        whole = await fs.open_async("bucket/key")
        assert b"".join([piece async for piece in whole.chunks(500_000)]) == DATA
        assert whole.closed
        half = await fs.open_async("bucket/key")
        chunks = half.chunks()
        assert await chunks.__anext__() == DATA[:MIB]
        await chunks.aclose()  # type: ignore[attr-defined]
        assert half.closed

    run(use)


def test_tasks_that_share_a_reader_get_all_bytes_once() -> None:
    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        async with await fs.open_async("bucket/key") as file:
            pieces = await asyncio.gather(*[file.read(100_000) for _ in range(32)])
        starts = sorted(DATA.index(piece) for piece in pieces)
        assert starts == list(range(0, len(DATA), 100_000))

    run(use)


def test_a_read_that_was_cancelled_can_be_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read = PinnedReader.read

    def stall_until_nobody_waits(self: PinnedReader, length: int | None = -1) -> bytes:
        pause(60)
        return b""

    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        async with await fs.open_async("bucket/key") as file:
            monkeypatch.setattr(PinnedReader, "read", stall_until_nobody_waits)
            with pytest.raises((asyncio.TimeoutError, TimeoutError)):
                await asyncio.wait_for(file.read(), 0.2)
            monkeypatch.setattr(PinnedReader, "read", read)
            assert await asyncio.wait_for(file.read(), 60) == DATA

    run(use)


def test_a_read_that_was_given_up_keeps_nothing_from_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread may still read, or have read: before, while and after the task is cancelled."""
    read = PinnedReader.read
    is_read, may_go_on = threading.Event(), threading.Event()

    def late(self: PinnedReader, length: int | None = -1) -> bytes:
        data = read(self, length)
        is_read.set()
        may_go_on.wait(60)
        return data

    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        async with await fs.open_async("bucket/key") as file:
            assert await file.read(10) == DATA[:10]
            monkeypatch.setattr(PinnedReader, "read", late)
            for seen_first in (False, True):  # by the thread, or by the loop: while this task keeps that
                may_go_on.clear()
                is_read.clear()
                task = asyncio.ensure_future(file.read(1000))
                while not is_read.is_set():
                    await asyncio.sleep(0.01)
                if seen_first:
                    may_go_on.set()
                    eventually(lambda: file.tell() != 10)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert file.tell() == 10
                may_go_on.set()
                assert await file.read(5) == DATA[10:15]
                assert file.seek(-5, 1) == 10
            file.seek(-4, 2)
            assert await file.read() == DATA[-4:]
            with pytest.raises(ValueError, match="before the beginning"):
                file.seek(-1)
            with pytest.raises(ValueError, match="whence"):
                file.seek(0, 3)

    run(use)


@pytest.mark.parametrize(
    ("mode", "more", "words"),
    [
        ("r", {}, r"mode must be .*not 'r': .*to_thread\(fs.open, path, 'r'\)"),
        ("w", {}, "mode must be"),
        ("", {}, "mode must be"),
        ("r+b", {}, r"files that seek \(mode 'r\+b'\).*to_thread"),
        ("w+b", {}, "files that seek"),
        ("ab+", {}, "files that seek"),
        ("x+", {}, "files that seek"),
        ("rb", {"compression": "gzip"}, "compression"),
        ("rbz", {}, "'rbz' is not supported"),
        (None, {}, "mode must be str, not NoneType"),
    ],
)
def test_what_it_does_not_open_is_refused(mode: Any, more: dict[str, Any], words: str) -> None:
    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        before = dict(fake.objects)
        with pytest.raises(TypeError if mode is None else ValueError, match=words):
            await fs.open_async("bucket/key", mode, **more)
        assert fake.objects == before
        with pytest.raises(FileNotFoundError):
            await fs.open_async("bucket/none")
        with pytest.raises(TypeError, match="ContentType"):
            await fs.open_async("bucket/new", "wb", contenttype="x")  # type: ignore[call-overload]

    run(use)


# --- writers ---


@pytest.mark.parametrize("piece", [1000, MIB, 7 * MIB])
def test_a_writer_publishes_when_it_is_closed(piece: int) -> None:
    data = period_free(12 * MIB + 5, seed=2)

    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        async with await fs.open_async("bucket/new", "xb", ContentType="text/csv") as file:
            assert isinstance(file, AsyncWriter) and file.mode == "xb"
            for begin in range(0, len(data), piece):
                assert await file.write(data[begin : begin + piece]) == len(data[begin : begin + piece])
            assert file.tell() == len(data) and ("bucket", "new") not in fake.objects
        assert file.closed and file.state == "COMPLETED" and file.etag == fake.objects["bucket", "new"].etag
        await file.close()
        with pytest.raises(ValueError, match="closed"):
            await file.write(b"more")
        async with await fs.open_async("bucket/new", "ab") as file:
            await file.write(b"end")

    stored = run(use).objects["bucket", "new"]
    assert stored.body == data + b"end" and stored.headers["content-type"] == "text/csv"


def test_what_is_written_may_be_changed_afterwards() -> None:
    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        buffer = bytearray(b"a" * 1000)
        async with await fs.open_async("bucket/new", "wb") as file:
            for letter in b"abc":
                buffer[:] = bytes([letter]) * 300_000
                await file.write(buffer)

    assert run(use).objects["bucket", "new"].body == b"".join(c * 300_000 for c in (b"a", b"b", b"c"))


def test_tasks_that_share_a_writer_write_whole_pieces() -> None:
    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        async with await fs.open_async("bucket/new", "wb") as file:
            await asyncio.gather(*[file.write(bytes([n]) * 300_000) for n in range(40)])

    body = run(use).objects["bucket", "new"].body
    assert body == b"".join(bytes([n]) * 300_000 for n in range(40))


async def _rows() -> AsyncIterator[bytes]:
    yield b"row"


async def exception_in_the_block(opens: Callable[[], Any]) -> None:
    with pytest.raises(KeyError):
        async with await opens() as file:
            await file.write(b"half")
            raise KeyError("x")


async def cancelled_in_the_block(opens: Callable[[], Any]) -> None:
    is_written = asyncio.Event()

    async def write() -> None:
        async with await opens() as file:
            await file.write(b"half")
            is_written.set()
            await asyncio.sleep(60)

    task = asyncio.ensure_future(write())
    await asyncio.wait_for(is_written.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def closed_in_finally(opens: Callable[[], Any]) -> None:
    file = await opens()
    with pytest.raises(KeyError):
        try:
            await file.write(b"half")
            raise KeyError("x")
        finally:
            await file.close()


async def closed_by_a_task_in_finally(opens: Callable[[], Any]) -> None:
    file = await opens()
    with pytest.raises(KeyError):
        try:
            await file.write(b"half")
            raise KeyError("x")
        finally:
            await asyncio.wait_for(asyncio.ensure_future(file.close()), 60)


async def closed_in_an_except_block(opens: Callable[[], Any]) -> None:
    file = await opens()
    try:
        await file.write(b"half")
        raise ValueError("x")
    except ValueError:
        await file.close()


async def dropped(opens: Callable[[], Any]) -> None:
    file = await opens()
    await file.write(b"half")
    del file
    gc.collect()


async def discarded(opens: Callable[[], Any]) -> None:
    async with await opens() as file:
        await file.write(b"half")
        await file.discard()


async def generator_that_is_closed(opens: Callable[[], Any]) -> None:
    async def steps() -> AsyncIterator[None]:
        async with await opens() as file:
            await file.write(b"half")
            yield

    running = steps()
    await running.__anext__()
    await running.aclose()  # type: ignore[attr-defined]


SPOILT = [
    exception_in_the_block,
    cancelled_in_the_block,
    closed_in_finally,
    closed_by_a_task_in_finally,
    closed_in_an_except_block,
    dropped,
    discarded,
    generator_that_is_closed,
]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("size", [10, 6 * MIB], ids=["one request", "in parts"])
@pytest.mark.parametrize("act", SPOILT)
def test_nothing_half_written_is_published(act: Callable[..., Any], size: int) -> None:
    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        async def opens() -> AsyncWriter:
            file = await fs.open_async("bucket/new", "wb")
            await file.write(bytes(size))
            return file

        await act(opens)

    assert ("bucket", "new") not in run(use).objects


async def end_of_the_input(opens: Callable[[], Any]) -> None:
    file = await opens()
    rows = _rows()
    while True:
        try:
            await file.write(await rows.__anext__())
        except StopAsyncIteration:
            await file.close()
            break


async def opened_and_closed_in_an_except_block(opens: Callable[[], Any]) -> None:
    try:
        raise ValueError("before")
    except ValueError:
        file = await opens()
        await file.write(b"row")
        await file.close()


async def committed_in_an_except_block(opens: Callable[[], Any]) -> None:
    file = await opens()
    try:
        await file.write(b"row")
        raise ValueError("x")
    except ValueError:
        await file.commit()


async def closed_by_a_task(opens: Callable[[], Any]) -> None:
    file = await opens()
    await file.write(b"row")
    await asyncio.ensure_future(file.close())


@pytest.mark.parametrize(
    "act",
    [
        end_of_the_input,
        opened_and_closed_in_an_except_block,
        committed_in_an_except_block,
        closed_by_a_task,
    ],
)
def test_what_is_closed_cleanly_is_published(act: Callable[..., Any]) -> None:
    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        await act(lambda: fs.open_async("bucket/new", "wb"))

    assert run(use).objects["bucket", "new"].body == b"row"


@pytest.mark.parametrize("size", [300_000, 7 * MIB], ids=["in memory", "sent"])
def test_a_write_that_was_cancelled_has_spoilt_the_file(size: int) -> None:
    """Whether or not its bytes were taken: nobody knows, so nothing is published."""

    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        file = await fs.open_async("bucket/new", "wb")
        task = asyncio.ensure_future(file.write(bytes(size)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for call in (file.write(b"1"), file.commit(), file.close()):
            with pytest.raises(concurrent.futures.CancelledError):
                await call

    assert ("bucket", "new") not in run(use).objects


def test_a_part_that_fails_spoils_the_file() -> None:
    def refuse(request: Request, fake: FakeS3) -> Answer | None:
        return None if "partNumber" not in request.query else _denied()

    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        fake.fault = refuse
        with pytest.raises(PermissionError):
            async with await fs.open_async("bucket/new", "wb") as file:
                for _ in range(40):
                    await file.write(bytes(MIB))

    assert ("bucket", "new") not in run(use).objects


def _denied() -> Answer:
    return s3_error(403, "AccessDenied")


def test_a_create_says_that_the_key_was_taken() -> None:
    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        with pytest.raises(FileExistsError):
            await fs.open_async("bucket/key", "xb")
        file = await fs.open_async("bucket/new", "xb")
        fake.put("bucket", "new", b"theirs")
        with pytest.raises(ObjectExistsError):
            await file.close()
        assert file.closed

    assert run(use).objects["bucket", "new"].body == b"theirs"


def test_a_transaction_publishes_at_its_end() -> None:
    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        with fs.transaction:
            async with await fs.open_async("bucket/new", "wb") as file:
                await file.write(b"1")
            assert ("bucket", "new") not in fake.objects

    assert run(use).objects["bucket", "new"].body == b"1"


def test_who_loses_bytes_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "fsspec_guarded_s3")

    async def use(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
        await cancelled_in_the_block(lambda: fs.open_async("bucket/new", "wb"))
        await closed_in_finally(lambda: fs.open_async("bucket/newer", "wb"))

    run(use)
    assert [name in caplog.text for name in ("bucket/new ", "bucket/newer ")] == [True, True]
