"""Small reads and writes are made by the loop itself; by a thread wherever anything has to be waited for."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from itertools import product
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3Error, GuardedS3FileSystem, _work
from fsspec_guarded_s3._auth.session import Session
from fsspec_guarded_s3._fs import awaiting
from fsspec_guarded_s3._fs.awaiting import AwaitedCalls
from fsspec_guarded_s3._values.deadline import Deadline
from fsspec_guarded_s3.errors import AccessDeniedError, TransportError, WriteOutcomeUnknownError
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import (
    Answer,
    Reply,
    Request,
    ScriptedServer,
    close,
    cut,
    delay,
    eventually,
    raw,
    respond,
    s3_error,
    stall,
    trickle,
)

BOUND = 10.0  # seconds: what hangs here hangs for half a minute
SMALL, LARGE = b"0123456789", bytes(range(256)) * 256


class Store:
    """A fake store, the filesystem for it, and how many calls threads have made for its coroutines."""

    def __init__(self, server: ScriptedServer, fake: FakeS3, **options: Any) -> None:
        if server.ca_path is not None:
            options["ca_bundle"] = server.ca_path
        self.server, self.fake = server, fake
        self.fs = filesystem(server.url, **options)
        self.threads = 0

    def warm(self) -> None:
        """Have a connection that is idle."""
        self.fs.cat_file("bucket/key")


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """What was given to threads. The loop itself waits for answers however late this machine brings them."""
    monkeypatch.setattr(awaiting, "_PATIENCE", 60.0)
    given: list[object] = []
    start = AwaitedCalls._start

    def counting(self: AwaitedCalls, call: Any, *others: Any) -> Any:
        given.append(call)
        return start(self, call, *others)

    monkeypatch.setattr(AwaitedCalls, "_start", counting)
    yield given
    assert _work.this_thread.may_wait


@pytest.fixture(params=["plain", "tls"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", SMALL)
    fake.put("bucket", "large", LARGE)
    with ScriptedServer(handler=fake, tls=request.param == "tls") as server:
        found = Store(server, fake)
        found.warm()
        yield found


READS = {
    "whole": ("key", (), SMALL),
    "slice": ("key", (2, 5), SMALL[2:5]),
    "last": ("key", (-3,), SMALL[-3:]),
    "of large": ("large", (60_000, 60_010), LARGE[60_000:60_010]),
}


@pytest.mark.parametrize("name", READS)
def test_a_small_read_takes_no_thread(store: Store, name: str, counted: list[object]) -> None:
    key, slice_, expected = READS[name]
    before = len(store.server.requests)
    assert asyncio.run(store.fs._cat_file(f"bucket/{key}", *slice_)) == expected
    assert len(store.server.requests) == before + 1
    assert not counted
    assert store.server.connections == 1


@pytest.mark.parametrize("value", [b"", b"new", bytearray(b"new"), memoryview(bytes(12_000))], ids=len)
def test_a_small_write_takes_no_thread(store: Store, value: Any, counted: list[object]) -> None:
    answer = asyncio.run(store.fs._pipe_file("bucket/new", value))
    assert store.fake.objects[("bucket", "new")].body == bytes(value)
    assert answer["ETag"] == store.fs.info("bucket/new")["ETag"]
    assert not counted


@pytest.mark.parametrize("slice_", [(), (0, MIB)], ids=["whole", "slice"])
def test_an_answer_of_up_to_a_mib_is_received_by_the_loop(
    store: Store, slice_: tuple[int, ...], counted: list[object]
) -> None:
    """On one connection, longer ones and shorter ones in turn."""
    contents = {f"of-{size}": period_free(size) for size in (9_000, 300_000, 10, MIB - 2_000, 70_000, 8_000)}
    for name, content in contents.items():
        store.fake.put("bucket", name, content)

    async def main() -> None:
        for _ in range(2):
            for name, content in contents.items():
                assert await store.fs._cat_file(f"bucket/{name}", *slice_) == content

    asyncio.run(main())
    assert not counted
    assert store.server.connections == 1


def test_a_larger_answer_is_received_by_a_thread(store: Store, counted: list[object]) -> None:
    content = period_free(MIB + 1)
    store.fake.put("bucket", "larger", content)
    assert asyncio.run(store.fs._cat_file("bucket/larger")) == content
    assert len(counted) == 1
    assert store.server.connections == 1


def test_a_first_read_needs_a_thread_for_its_connection_alone(counted: list[object]) -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "large", LARGE)
    goes_on = threading.Event()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        goes_on.wait(BOUND)
        return None

    fake.fault = fault
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)

        async def main() -> bytes:
            read = asyncio.ensure_future(fs._cat_file("bucket/large"))
            await asyncio.to_thread(eventually, lambda: server.requests)
            await asyncio.to_thread(eventually, lambda: not fs._awaited._threads)
            goes_on.set()
            return await read

        assert asyncio.run(main()) == LARGE
    assert len(counted) == 1


def test_a_large_value_is_sent_by_a_thread(store: Store, counted: list[object]) -> None:
    asyncio.run(store.fs._pipe_file("bucket/new", bytes(MIB)))
    assert store.fake.objects[("bucket", "new")].body == bytes(MIB)
    assert len(counted) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda fs: fs._cat_file("bucket/missing"),
        lambda fs: fs._cat_file("bucket/missing", 0, 4),
        lambda fs: fs._cat_file("bucket/key", "x", 4),
        lambda fs: fs._cat_file("bucket"),
        lambda fs: fs._pipe_file("bucket/new", "text"),
        lambda fs: fs._pipe_file("bucket", b"x"),
        lambda fs: fs._pipe_file("bucket/key", b"x", mode="create"),
        lambda fs: fs._pipe_file("bucket/key", b"x", if_match="other"),
        lambda fs: fs._pipe_file("bucket/key", b"x", Nonsense=1),
    ],
)
def test_errors_are_those_of_the_verb(store: Store, call: Any) -> None:
    class Synchronous:
        """The same calls, made by the verbs."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store.fs, name[1:])

    with pytest.raises(Exception) as expected:
        call(Synchronous())
    with pytest.raises(type(expected.value)) as found:
        asyncio.run(call(store.fs))
    assert str(found.value) == str(expected.value)


def test_more_than_there_are_threads(counted: list[object]) -> None:
    """With `max_concurrency` of 90 there are 90 requests under way at a time, where connections are idle."""
    number = 90
    fake = FakeS3("bucket")
    fake.put("bucket", "key", SMALL)
    under_way = threading.Barrier(number)
    waits = threading.Event()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if waits.is_set():
            under_way.wait(BOUND)
        return None

    fake.fault = fault
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_concurrency=number)
        fs.cat_file("bucket/key")
        pool = fs._client.store.transport._pool("http", "127.0.0.1", server.port)
        connect = fs._client.store.transport._connect
        made = [connect(pool, None, Deadline(BOUND), 1.0) for _ in range(number)]
        for connection in made:
            pool.give_back(connection)
        waits.set()

        async def main() -> list[bytes]:
            return await asyncio.gather(*(fs._cat_file("bucket/key") for _ in range(number)))

        assert asyncio.run(main()) == [SMALL] * number
    assert not counted


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_than_max_concurrency(limit: int) -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", SMALL)
    lock, now, most, goes_on = threading.Lock(), [0], [0], threading.Event()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        goes_on.wait(BOUND)
        threading.Event().wait(0.02)
        with lock:
            now[0] -= 1
        return None

    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_concurrency=limit)
        fs.cat_file("bucket/key")
        fake.fault = fault

        async def main() -> list[bytes]:
            reads = [asyncio.ensure_future(fs._cat_file("bucket/key")) for _ in range(20)]
            while now[0] < limit:
                await asyncio.sleep(0.01)
            for one in reads[5:15:2]:  # some of those that wait for their turn
                one.cancel()
            goes_on.set()
            found = await asyncio.gather(*reads, return_exceptions=True)
            return [data for data in found if isinstance(data, bytes)]

        found = asyncio.run(main())
    assert found == [SMALL] * len(found)
    assert len(found) == 15
    assert most[0] <= limit


@pytest.mark.parametrize("is_given", [False, True], ids=["by itself", "as the user says"])
@pytest.mark.parametrize("is_warm", [False, True], ids=["at first", "later"])
def test_many_small_reads_of_a_distant_store(is_given: bool, is_warm: bool) -> None:
    """They are asked for at once, by more connections than `max_concurrency` if nobody gave a bound."""
    number = 200
    fake = FakeS3("bucket")
    fake.put("bucket", "key", SMALL)
    lock, now, most, are_more = threading.Lock(), [0], [0], threading.Event()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
            if now[0] > 64:
                are_more.set()
        are_more.wait(0.3 if is_given else BOUND)  # however long it takes to ask so often
        with lock:
            now[0] -= 1
        return None

    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **({"max_concurrency": 64} if is_given else {}))
        if is_warm:
            fake.fault = lambda request, fake: delay(0.3, respond(200, SMALL, etag="e"))
            fs.cat_file("bucket/key")
        fake.fault = fault

        async def main() -> list[bytes]:
            return await asyncio.gather(*(fs._cat_file("bucket/key") for _ in range(number)))

        assert asyncio.run(main()) == [SMALL] * number
    assert 64 < most[0] <= 256 if not is_given else most[0] <= 64


FAULTS: dict[str, Answer] = {
    "503": s3_error(503, "SlowDown"),
    "500": s3_error(500, "InternalError"),
    "closed": close(),
    "in chunks": respond(503, s3_error(503, "SlowDown").body, chunked=True),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("verb", ["read", "write"])
def test_what_went_wrong_is_tried_again_by_a_thread(
    store: Store, verb: str, fault: str, counted: list[object]
) -> None:
    answers = [FAULTS[fault]]
    store.fake.fault = lambda request, fake: answers.pop() if answers else None
    if verb == "read":
        assert asyncio.run(store.fs._cat_file("bucket/key")) == SMALL
    else:
        asyncio.run(store.fs._pipe_file("bucket/new", b"new"))
        assert store.fake.objects[("bucket", "new")].body == b"new"
    assert not answers
    assert len(counted) == 1


def _wrong_range(reply: Reply) -> Answer:
    headers = {**reply.headers, "Content-Range": "bytes 0-2/999"}
    return respond(206, reply.body[:3], headers=headers)


def _error_within(reply: Reply) -> Answer:
    return respond(200, s3_error(500, "InternalError").body, headers=reply.headers)


def _other_checksum(reply: Reply) -> Answer:
    return respond(200, reply.body, headers={**reply.headers, "x-amz-checksum-crc32": "AAAAAA=="})


WRONG: dict[str, tuple[str, Callable[[Reply], Answer]]] = {
    "range": ("slice", _wrong_range),
    "checksum": ("whole", _other_checksum),
    "error within": ("write", _error_within),
    "lost": ("write", lambda reply: close()),
    "500": ("write", lambda reply: s3_error(500, "InternalError")),
    "403": ("write", lambda reply: s3_error(403, "AccessDenied")),
}


@pytest.mark.parametrize(
    ("name", "most"),
    [*product(("range", "checksum", "error within", "lost", "500", "403"), (1, 2, 3))],
)
def test_a_call_that_goes_wrong_in_the_loop_makes_no_more_requests_than_its_verb(
    name: str, most: int
) -> None:
    """What the loop received was granted, and is wrong: the first attempt is made, and counts."""
    kind, wrong = WRONG[name]
    method = "PUT" if kind == "write" else "GET"
    made = []
    for is_awaited in (False, True):
        fake = FakeS3("bucket")
        fake.put("bucket", "key", SMALL)
        with ScriptedServer(handler=fake) as server:
            fs = filesystem(server.url, max_attempts=most)
            fs.cat_file("bucket/key")
            before = len(server.requests)
            fake.after = lambda request, reply: wrong(reply) if request.method == method else None
            verb = {
                "slice": (fs.cat_file, fs._cat_file, ("bucket/key", 2, 5)),
                "whole": (fs.cat_file, fs._cat_file, ("bucket/key",)),
                "write": (fs.pipe_file, fs._pipe_file, ("bucket/new", b"new")),
            }[kind]
            error = None
            try:
                asyncio.run(verb[1](*verb[2])) if is_awaited else verb[0](*verb[2])
            except GuardedS3Error as caught:
                error = type(caught)
            requests = [request.method for request in server.requests[before:]]
            made.append((error, requests))
    assert made[0] == made[1]
    assert made[0][1].count(method) == {"checksum": 2, "403": 1}.get(name, most)


def connect(fs: GuardedS3FileSystem, server: ScriptedServer, number: int) -> None:
    """Have that many idle connections more."""
    transport = fs._client.store.transport
    pool = transport._pool("http", "127.0.0.1", server.port)
    for conn in [transport._connect(pool, None, Deadline(BOUND), 1.0) for _ in range(number)]:
        pool.give_back(conn)


def test_a_write_that_is_cancelled_before_a_thread_looks_at_its_answer_drops_kept_listings() -> None:
    """It was sent, and the only thread is at another call: the object is there all the same."""
    fake = FakeS3("bucket")
    fake.put("bucket", "key", SMALL)
    looks, goes_on = threading.Event(), threading.Event()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "HEAD":
            looks.set()
            goes_on.wait(BOUND)
        return None

    def after(request: Request, reply: Reply) -> Answer | None:
        return respond(200, b"", headers=reply.headers, chunked=True) if request.method == "PUT" else None

    fake.fault, fake.after = fault, after
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_concurrency=1, use_listings_cache=True)
        assert fs.ls("bucket", detail=False) == ["bucket/key"]
        connect(fs, server, 2)

        async def main() -> None:
            other = asyncio.ensure_future(fs._info("bucket/other"))
            assert await asyncio.to_thread(looks.wait, BOUND)
            write = asyncio.ensure_future(fs._pipe_file("bucket/new", b"new"))
            await asyncio.to_thread(eventually, lambda: fs._awaited._todo, BOUND)
            write.cancel()
            await asyncio.sleep(0)
            goes_on.set()
            await asyncio.gather(other, write, return_exceptions=True)
            assert write.cancelled()

        asyncio.run(main())
        assert fs.ls("bucket", detail=False) == ["bucket/key", "bucket/new"]


def expired(request: Request) -> Answer | None:
    """The refusal of the old key."""
    return s3_error(400, "ExpiredToken") if "Credential=old/" in request.headers["authorization"] else None


def skewed(request: Request) -> Answer | None:
    """The refusal of who takes it to be an hour earlier."""
    there = datetime.now(timezone.utc) + timedelta(hours=1)
    told = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    if there - told < timedelta(minutes=15):
        return None
    date = format_datetime(there, usegmt=True)
    return s3_error(403, "RequestTimeTooSkewed", headers={"Date": date})


@pytest.mark.parametrize("refusal", [expired, skewed])
@pytest.mark.parametrize("verb", ["read", "write", "many"])
def test_all_that_was_sent_before_a_correction_is_sent_again(
    verb: str, refusal: Callable[[Request], Answer | None]
) -> None:
    """Their answers come one after the other: when the last is taken, the first has corrected the state."""
    fake = FakeS3("bucket")
    for name in ("key", "0", "1", "2", "3"):
        fake.put("bucket", name, SMALL)
    lock, refused, are_new, are_two = threading.Lock(), [0], threading.Event(), threading.Event()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        answer = refusal(request) if are_new.is_set() else None
        if answer is None:
            return None
        with lock:
            refused[0] += 1
            number = refused[0]
        if number > 1:
            are_two.set()
        are_two.wait(BOUND)  # however late the second one is sent
        return delay(0.2 * number, answer)

    fake.fault = fault

    def provider() -> dict[str, str]:
        return {"access_key": "new" if are_new.is_set() else "old", "secret_key": "s", "token": "t"}

    with ScriptedServer(handler=fake) as server:
        fs = GuardedS3FileSystem(
            endpoint_url=server.url,
            region="us-east-1",
            credential_provider=provider,
            skip_instance_cache=True,
        )
        fs.cat_file("bucket/key")
        connect(fs, server, 4)
        are_new.set()

        async def main() -> None:
            if verb == "read":
                await asyncio.gather(*(fs._cat_file("bucket/key") for _ in range(4)))
            else:
                await asyncio.gather(*(fs._pipe_file(f"bucket/{name}", b"new") for name in range(4)))

        if verb == "many":
            assert set(fs.cat([f"bucket/{name}" for name in range(4)]).values()) == {SMALL}
        else:
            asyncio.run(main())
    assert refused[0] > 1


def by_and_by(reply: Reply) -> Reply:
    return trickle(reply.status, reply.body, interval=0.02, chunk=1000, headers=reply.headers)


def cut_off(reply: Reply) -> Reply:
    return cut(reply.status, reply.body, after=1000, headers=reply.headers)


@pytest.mark.parametrize("size", [4_000, 40_000])
@pytest.mark.parametrize("play", [by_and_by, cut_off])
def test_a_body_that_comes_in_pieces(store: Store, play: Callable[[Reply], Reply], size: int) -> None:
    content = period_free(size)
    store.fake.put("bucket", "longer", content)
    played: list[Reply] = []

    def after(request: Request, reply: Reply) -> Answer | None:
        if played:
            return None
        played.append(play(reply))
        return played[0]

    store.fake.after = after
    assert asyncio.run(store.fs._cat_file("bucket/longer")) == content
    assert played
    assert asyncio.run(store.fs._cat_file("bucket/key")) == SMALL


def test_a_thread_goes_on_with_what_came_of_an_answer(
    store: Store, monkeypatch: pytest.MonkeyPatch, counted: list[object]
) -> None:
    monkeypatch.setattr(awaiting, "_PATIENCE", 0.1)
    content = period_free(40_000)
    store.fake.put("bucket", "longer", content)
    store.fake.after = lambda request, reply: by_and_by(reply)
    assert asyncio.run(store.fs._cat_file("bucket/longer")) == content
    assert len(counted) == 1


@pytest.mark.parametrize("size", [10, 40_000])
def test_bytes_behind_an_answer_are_none_of_it(store: Store, size: int) -> None:
    content = period_free(size)
    store.fake.put("bucket", "longer", content)

    def after(request: Request, reply: Reply) -> Answer | None:
        if request.method != "GET":
            return None
        head = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: %d\r\nx-amz-request-id: 1\r\n\r\n' % size
        return raw(head + content + b"HTTP/1.1 200 OK\r\n", close=False)

    store.fake.after = after
    assert asyncio.run(store.fs._cat_file("bucket/longer")) == content
    store.fake.after = None
    assert asyncio.run(store.fs._cat_file("bucket/key")) == SMALL


def test_another_checksum_is_read_once_more(store: Store, counted: list[object]) -> None:
    """The second request is a thread's: the loop waits for one answer, and no more."""
    answers = ["AAAAAA=="]

    def after(request: Request, reply: Reply) -> Answer | None:
        if request.method == "GET" and answers:
            return respond(200, reply.body, headers={**reply.headers, "x-amz-checksum-crc32": answers.pop()})
        return None

    store.fake.after = after
    assert asyncio.run(store.fs._cat_file("bucket/key")) == SMALL
    assert not answers
    assert len(counted) == 1


def test_who_waits_long_waits_in_a_thread(
    store: Store, monkeypatch: pytest.MonkeyPatch, counted: list[object]
) -> None:
    monkeypatch.setattr(awaiting, "_PATIENCE", 0.05)
    fake_fault = [delay(0.4, respond(200, SMALL, etag="e"))]
    store.fake.fault = lambda request, fake: fake_fault.pop() if fake_fault else None
    assert asyncio.run(store.fs._cat_file("bucket/key")) == SMALL
    assert len(counted) == 1
    assert len(store.server.requests) == 2  # that of the beginning, and this one


def test_a_store_that_does_not_answer_is_given_up_in_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awaiting, "_PATIENCE", 0.05)
    options = {"ca_bundle": store.server.ca_path} if store.server.ca_path else {}
    fs = filesystem(store.server.url, max_attempts=1, **options)
    fs.cat_file("bucket/key")
    transport = fs._client.store.transport
    transport.options = replace(transport.options, read_timeout=0.3)  # which that answer may have taken
    store.fake.fault = lambda request, fake: stall()
    with pytest.raises(TransportError):
        asyncio.run(asyncio.wait_for(fs._cat_file("bucket/key"), BOUND))


@pytest.mark.parametrize("lost", [close(), s3_error(500, "InternalError")], ids=["closed", "500"])
def test_a_write_whose_answers_are_lost_may_have_been_applied(lost: Answer) -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", SMALL)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_attempts=2)
        fs.cat_file("bucket/key")
        fake.fault = lambda request, fake: lost if request.method == "PUT" else None
        with pytest.raises((TransportError, WriteOutcomeUnknownError, OSError)) as caught:
            asyncio.run(fs._pipe_file("bucket/new", b"new"))
    assert getattr(caught.value, "maybe_applied", False) or ("bucket", "new") not in fake.objects


@pytest.mark.parametrize("verb", ["read", "write"])
def test_a_task_that_is_cancelled_gives_up_its_connection(
    store: Store, verb: str, counted: list[object]
) -> None:
    asked = threading.Event()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        asked.set()
        return stall()

    store.fake.fault = fault

    async def main() -> None:
        fs = store.fs
        work = fs._cat_file("bucket/key") if verb == "read" else fs._pipe_file("bucket/key", b"new")
        task = asyncio.ensure_future(work)
        while not asked.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert not counted
    eventually(lambda: store.server.open_connections == 0)
    store.fake.fault = None
    assert store.fs.cat_file("bucket/key") == SMALL


def test_a_loop_that_is_stopped_leaves_nothing_behind(store: Store) -> None:
    store.fake.fault = lambda request, fake: stall()
    loop = asyncio.new_event_loop()
    task = loop.create_task(store.fs._cat_file("bucket/key"))
    loop.call_later(0.2, loop.stop)
    loop.run_forever()
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    del task
    store.fake.fault = None
    assert asyncio.run(store.fs._cat_file("bucket/key")) == SMALL


def test_a_loop_that_is_closed_before_calls_have_their_turn_is_forgotten(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    asked = threading.Event()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        asked.set()
        return stall()

    store.fake.fault = fault
    fs = filesystem(store.server.url, max_concurrency=1, ca_bundle=store.server.ca_path)
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(fs._cat_file("bucket/key")) for _ in range(5)]

    async def begin() -> None:
        while not asked.is_set():
            await asyncio.sleep(0.01)

    loop.run_until_complete(begin())
    loop.close()
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    del task
    gone = weakref.ref(loop)
    while tasks:  # the first one first: it had the turn
        del tasks[0]
        gc.collect()
    del loop
    gc.collect()
    assert not unraisable
    assert gone() is None
    store.fake.fault = None
    assert asyncio.run(fs._cat_file("bucket/key")) == SMALL


def test_the_verb_of_a_subclass_is_called(store: Store) -> None:
    class Other(GuardedS3FileSystem):
        def cat_file(self, *args: Any, **kwargs: Any) -> Any:
            return b"other"

        def pipe_file(self, *args: Any, **kwargs: Any) -> Any:
            return {"ETag": "other"}

    fs = Other(endpoint_url=store.server.url, key="k", secret="s", skip_instance_cache=True)
    assert asyncio.run(fs._cat_file("bucket/key")) == b"other"
    assert asyncio.run(fs._pipe_file("bucket/key", b"")) == {"ETag": "other"}


def test_in_a_transaction_nothing_is_published_before_its_end(store: Store) -> None:
    async def main() -> None:
        with store.fs.transaction:
            await store.fs._pipe_file("bucket/new", b"new")
            assert ("bucket", "new") not in store.fake.objects

    asyncio.run(main())
    assert store.fake.objects[("bucket", "new")].body == b"new"


def test_credentials_that_are_to_be_refreshed_are_waited_for_in_a_thread(
    store: Store, monkeypatch: pytest.MonkeyPatch, counted: list[object]
) -> None:
    session = store.fs._client.store.signer._session
    refreshed: list[bool] = []

    def frozen(credentials: Any) -> Any:
        refreshed.append(_work.this_thread.may_wait)
        return credentials

    monkeypatch.setattr(session, "_static", None)
    monkeypatch.setattr(Session, "_is_at_hand", staticmethod(lambda credentials: False))
    monkeypatch.setattr(Session, "_frozen", staticmethod(frozen))
    assert asyncio.run(store.fs._cat_file("bucket/key")) == SMALL
    assert refreshed
    assert all(refreshed)
    assert len(counted) == 1


def test_a_kept_listing_is_dropped(store: Store) -> None:
    assert store.fs.ls("bucket", detail=False) == ["bucket/key", "bucket/large"]
    asyncio.run(store.fs._pipe_file("bucket/new", b"new"))
    assert store.fs.ls("bucket", detail=False) == ["bucket/key", "bucket/large", "bucket/new"]


def test_a_refusal_is_raised_as_it_is(store: Store) -> None:
    store.fake.fault = lambda request, fake: s3_error(403, "AccessDenied")
    with pytest.raises(AccessDeniedError):
        asyncio.run(store.fs._pipe_file("bucket/new", b"new"))
