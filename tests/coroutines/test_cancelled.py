"""A task that is cancelled ends the work of its own call, and what that wrote has been settled then."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, _threads
from fsspec_guarded_s3._work import current
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, eventually, stall

BOUND = 10.0  # seconds: what hangs here hangs for half a minute
Cancel = Callable[[Coroutine[Any, Any, Any]], Coroutine[Any, Any, None]]


async def by_cancel(work: Coroutine[Any, Any, Any]) -> None:
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_wait_for(work: Coroutine[Any, Any, Any]) -> None:
    with pytest.raises((asyncio.TimeoutError, TimeoutError)):
        await asyncio.wait_for(work, 0.3)


async def by_anyio(work: Coroutine[Any, Any, Any]) -> None:
    with anyio.move_on_after(0.3) as scope:
        await work
    assert scope.cancelled_caught


async def by_an_error_beside_it(work: Coroutine[Any, Any, Any]) -> None:
    async def fail() -> None:
        await asyncio.sleep(0.3)
        raise KeyError("beside")

    async def run() -> None:
        await work

    with pytest.raises(BaseException) as caught:  # an ExceptionGroup, which Python 3.10 has not
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            group.start_soon(fail)
    assert [type(error) for error in caught.value.exceptions] == [KeyError]  # type: ignore[attr-defined]


CANCELS = [by_cancel, by_wait_for, by_anyio, by_an_error_beside_it]


class Stalling:
    """A store that does not answer the requests that `stalls` names, until the test ends."""

    def __init__(self, stalls: Callable[[Request], bool]) -> None:
        self.fake = FakeS3("bucket", fault=self._fault)
        self.fake.put("bucket", "key", b"0123456789")
        self.stalls = stalls
        self.stalled = threading.Event()

    def _fault(self, request: Request, fake: FakeS3) -> Answer | None:
        if not self.stalls(request):
            return None
        self.stalled.set()
        return stall()


def calls(fs: GuardedS3FileSystem, folder: Path) -> dict[str, Coroutine[Any, Any, Any]]:
    (folder / "file").write_bytes(b"x")
    return {
        "cat_file": fs._cat_file("bucket/key"),
        "info": fs._info("bucket/key"),
        "cat": fs._cat(["bucket/key", "bucket/key2"]),
        "get_file": fs._get_file("bucket/key", str(folder / "got")),
        "pipe_file": fs._pipe_file("bucket/new", b"1"),
        "put_file": fs._put_file(str(folder / "file"), "bucket/new"),
        "pipe": fs._pipe({"bucket/new": b"1", "bucket/newer": b"2"}),
        "rm": fs._rm("bucket/key"),
        "ls": fs._ls("bucket"),
        "open_async": fs.open_async("bucket/key"),
    }


def is_idle() -> bool:
    return _threads._pool.is_idle()


@pytest.mark.parametrize("cancel", CANCELS)
@pytest.mark.parametrize(
    "verb",
    ["cat_file", "info", "cat", "get_file", "pipe_file", "put_file", "pipe", "rm", "ls", "open_async"],
)
def test_it_ends_the_work(verb: str, cancel: Cancel, tmp_path: Path) -> None:
    store = Stalling(lambda request: True)
    with ScriptedServer(handler=store.fake) as server:
        fs = filesystem(server.url)
        began = time.monotonic()

        async def main() -> None:
            works = calls(fs, tmp_path)
            work = works.pop(verb)
            for other in works.values():
                other.close()
            await cancel(work)

        asyncio.run(main())
        assert time.monotonic() - began < BOUND
        eventually(is_idle)
    assert not (tmp_path / "got").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name != "file"] == []


def test_the_others_go_on() -> None:
    store = Stalling(lambda request: request.path.endswith("/slow"))
    store.fake.put("bucket", "slow", b"")
    with ScriptedServer(handler=store.fake) as server:
        fs = filesystem(server.url)

        async def main() -> list[Any]:
            slow = [asyncio.ensure_future(fs._cat_file("bucket/slow")) for _ in range(5)]
            quick = [fs._cat_file("bucket/key") for _ in range(50)]
            some = await asyncio.gather(*quick[:25])
            for task in slow:
                task.cancel()
            return [*some, *await asyncio.gather(*quick[25:])]

        assert asyncio.run(main()) == [b"0123456789"] * 50


@pytest.mark.parametrize("verb", ["pipe_file", "get_file"])
def test_nothing_uses_what_is_the_callers_afterwards(verb: str, tmp_path: Path) -> None:
    """What writes, or has a local file open, is over when the task goes on."""
    working: list[str] = []
    began = threading.Event()

    class Slow(GuardedS3FileSystem):
        def _work(self) -> None:
            working.append("begun")
            began.set()
            try:
                while not current().is_over:  # type: ignore[union-attr]
                    time.sleep(0.01)
                time.sleep(0.3)
            finally:
                working.append("over")

        def pipe_file(self, *args: Any, **kwargs: Any) -> None:
            self._work()

        def get_file(self, *args: Any, **kwargs: Any) -> None:
            self._work()

    fs = Slow(endpoint_url="http://127.0.0.1:9", key="k", secret="s", skip_instance_cache=True)

    async def main() -> None:
        task = asyncio.ensure_future(getattr(fs, f"_{verb}")("bucket/key", b"value"))
        while not began.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.05)
        task.cancel()  # an impatient caller does not hurry it
        with pytest.raises(asyncio.CancelledError):
            await task
        assert working == ["begun", "over"]

    asyncio.run(main())


def test_an_upload_that_is_cancelled_leaves_nothing() -> None:
    store = Stalling(lambda request: "partNumber" in request.query)
    with ScriptedServer(handler=store.fake) as server:
        fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB)

        async def main() -> None:
            task = asyncio.ensure_future(fs._pipe_file("bucket/new", bytes(12 * MIB)))
            while not store.stalled.is_set():
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        eventually(lambda: not store.fake.uploads, timeout=30)
    assert ("bucket", "new") not in store.fake.objects


def test_a_call_that_waits_for_its_turn_is_never_made() -> None:
    store = Stalling(lambda request: request.method == "GET")
    with ScriptedServer(handler=store.fake) as server:
        fs = filesystem(server.url, max_concurrency=1)

        async def main() -> None:
            first = asyncio.ensure_future(fs._cat_file("bucket/key"))
            while not store.stalled.is_set():
                await asyncio.sleep(0.01)
            second = asyncio.ensure_future(fs._pipe_file("bucket/new", b"1"))
            await asyncio.sleep(0.05)
            second.cancel()
            first.cancel()
            await asyncio.wait([first, second])
            await fs._info("bucket/key")

        asyncio.run(main())
    assert ("bucket", "new") not in store.fake.objects


def test_a_cancelled_walk_ends() -> None:
    store = Stalling(lambda request: "list-type" in request.query)
    with ScriptedServer(handler=store.fake) as server:
        fs = filesystem(server.url)

        async def walk() -> None:
            async for _ in fs._walk("bucket"):
                pass

        asyncio.run(by_wait_for(walk()))
        eventually(is_idle)


def test_ctrl_c_ends_what_a_loop_waits_for() -> None:
    """`asyncio.run` cancels the tasks that are left, and waits for them."""
    store = Stalling(lambda request: True)
    with ScriptedServer(handler=store.fake) as server:
        fs = filesystem(server.url)

        async def main() -> None:
            left = asyncio.ensure_future(fs._pipe_file("bucket/new", b"1"))
            while not store.stalled.is_set():
                await asyncio.sleep(0.01)
            assert not left.done()
            raise KeyboardInterrupt

        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(main())
        assert time.monotonic() - began < BOUND
        eventually(is_idle)


@pytest.mark.parametrize("verb", ["_cat_file", "_info"])  # by the loop, by a thread
def test_a_loop_that_was_closed_is_told_nothing(verb: str) -> None:
    """The coroutine is garbage then, and its call ends."""
    store = Stalling(lambda request: True)
    with ScriptedServer(handler=store.fake) as server:
        fs = filesystem(server.url)
        loop = asyncio.new_event_loop()
        coroutine = getattr(fs, verb)("bucket/key")

        async def start() -> Any:
            awaited = coroutine.send(None)
            while not store.stalled.is_set():
                if awaited.done():
                    awaited = coroutine.send(None)
                await asyncio.sleep(0.01)
            return awaited

        loop.run_until_complete(start())
        loop.close()
        coroutine.close()
        eventually(is_idle)
        store.stalls = lambda request: False
        assert asyncio.run(fs._cat_file("bucket/key")) == b"0123456789"


def test_a_loop_that_was_closed_before_its_calls_had_ended_is_not_kept() -> None:
    """What they bring is told to nobody."""
    store = Stalling(lambda request: True)
    loops: list[weakref.ref[Any]] = []
    with ScriptedServer(handler=store.fake) as server:
        fs = filesystem(server.url)

        async def main() -> None:
            loops.append(weakref.ref(asyncio.get_running_loop()))
            store.stalled.clear()
            left = asyncio.ensure_future(fs._info("bucket/key"))
            while not store.stalled.is_set():
                await asyncio.sleep(0.01)
            assert not left.done()

        for _ in range(5):
            asyncio.run(main())
        eventually(is_idle)
    eventually(lambda: gc.collect() >= 0 and not any(loop() for loop in loops))


# --- loops, threads and contexts ---


def test_several_loops_in_several_threads_use_one_filesystem() -> None:
    fake = FakeS3("bucket")
    for n in range(50):
        fake.put("bucket", str(n), str(n).encode())
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_concurrency=8)

        async def main() -> list[bytes]:
            return await asyncio.gather(*[fs._cat_file(f"bucket/{n}") for n in range(50)])

        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(lambda _: asyncio.run(main()), range(8)))
    assert results == [[str(n).encode() for n in range(50)]] * 8


def test_context_variables_are_those_of_the_task() -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")

    class Telling(GuardedS3FileSystem):
        def ukey(self, path: Any) -> str:
            return request.get()

    fs = Telling(endpoint_url="http://127.0.0.1:9", key="k", secret="s", skip_instance_cache=True)

    async def one(name: str) -> str:
        request.set(name)
        return await fs._ukey("x")

    async def main() -> list[str]:
        return await asyncio.gather(*[one(str(n)) for n in range(20)])

    assert asyncio.run(main()) == [str(n) for n in range(20)]


def test_a_stop_iteration_is_an_error_and_not_an_end() -> None:
    class Odd(GuardedS3FileSystem):
        def ukey(self, path: Any) -> str:
            raise StopIteration(path)

    fs = Odd(endpoint_url="http://127.0.0.1:9", key="k", secret="s", skip_instance_cache=True)
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(asyncio.wait_for(fs._ukey("x"), 30))


def test_a_verb_may_be_called_inside_of_a_coroutine() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", b"1")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, asynchronous=True)

        async def main() -> tuple[bytes, bytes]:
            return fs.cat_file("bucket/key"), await fs._cat_file("bucket/key")

        assert asyncio.run(main()) == (b"1", b"1")


def test_no_more_calls_are_under_way_than_the_option_says() -> None:
    under_way, most, lock = 0, 0, threading.Lock()
    five_are_there = threading.Barrier(5, timeout=60)

    class Counting(GuardedS3FileSystem):
        def ukey(self, path: Any) -> str:
            nonlocal under_way, most
            with lock:
                under_way += 1
                most = max(most, under_way)
            five_are_there.wait()
            time.sleep(0.01)
            with lock:
                under_way -= 1
            return ""

    fs = Counting(
        endpoint_url="http://127.0.0.1:9", key="k", secret="s", max_concurrency=5, skip_instance_cache=True
    )

    async def main() -> None:
        await asyncio.gather(*[fs._ukey("x") for _ in range(40)])

    asyncio.run(main())
    assert most == 5


def test_calls_that_hang_hold_up_no_other_filesystem() -> None:
    """They fill the pool that all share, for as long as their store likes."""
    goes_on = threading.Event()
    hanging = threading.Semaphore(0)

    class Hanging(GuardedS3FileSystem):
        def ukey(self, path: Any) -> str:
            if path == "hang":
                hanging.release()
                goes_on.wait(60)
            return "told"

    def make() -> Hanging:
        return Hanging(endpoint_url="http://127.0.0.1:9", key="k", secret="s", skip_instance_cache=True)

    async def main() -> None:
        first, *others = [make() for _ in range(4)]
        calls = [asyncio.ensure_future(first._ukey("hang")) for _ in range(200)]
        try:
            while not hanging.acquire(blocking=False) or not others_wait():
                await asyncio.sleep(0.01)
            for fs in others:
                told = await asyncio.wait_for(asyncio.gather(*[fs._ukey("x") for _ in range(50)]), 30)
                assert told == ["told"] * 50
            assert not any(call.done() for call in calls)
        finally:
            goes_on.set()
        assert await asyncio.gather(*calls) == ["told"] * 200

    def others_wait() -> bool:
        return len(_threads._pool._serving) >= _threads.MAX_THREADS

    asyncio.run(main())


def test_a_busy_filesystem_leaves_threads_to_others() -> None:
    """There are some 64 in all, and one filesystem may keep them busy for as long as it likes."""

    class Slow(GuardedS3FileSystem):
        def ukey(self, path: Any) -> str:
            time.sleep(0.005)
            return ""

    def make() -> Slow:
        return Slow(endpoint_url="http://127.0.0.1:9", key="k", secret="s", skip_instance_cache=True)

    async def main() -> None:
        busy, other = make(), make()
        is_done = False

        async def go_on() -> None:
            while not is_done:
                await asyncio.gather(*[busy._ukey("x") for _ in range(3)])

        tasks = [asyncio.ensure_future(go_on()) for _ in range(1000)]
        await asyncio.sleep(0.5)
        for _ in range(3):
            await asyncio.wait_for(other._ukey("x"), 30)
        is_done = True
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_it_is_made_where_the_system_gives_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "_pool", _threads._Pool())

    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        if self.name.startswith("gs3_"):  # those of the server are not of this system
            raise RuntimeError("can't start new thread")
        start(self)

    fake = FakeS3("bucket")
    fake.put("bucket", "key", b"1")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        monkeypatch.setattr(threading.Thread, "start", refuse)

        async def main() -> list[bytes]:
            return await asyncio.gather(*[fs._cat_file("bucket/key") for _ in range(3)])

        assert asyncio.run(main()) == [b"1"] * 3
