"""The connections of small reads and writes are made by the loop itself, where that need not wait."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._fs import awaiting, loop_connections
from fsspec_guarded_s3._fs.awaiting import AwaitedCalls
from fsspec_guarded_s3._http import connect
from fsspec_guarded_s3._http.transport import Transport
from fsspec_guarded_s3.errors import ConnectError, CredentialsError
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, close, delay, eventually, stall
from tests.servers import reserved_port

SMALL = b"0123456789"
NUMBER = 20
NAME = "store.test"


class Store:
    """A fake store, its server, what threads were given by coroutines, and the connections they made."""

    def __init__(self) -> None:
        self.fake = FakeS3("bucket")
        for number in range(NUMBER):
            self.fake.put("bucket", f"key-{number}", SMALL)
        self.server = ScriptedServer(handler=self.fake)
        self.by_threads: list[object] = []
        self.connected_by_threads = 0


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A name stays known, and the loop waits, for as long as a busy machine needs for many calls."""
    monkeypatch.setattr(connect, "_KNOWN_SECONDS", 60.0)
    monkeypatch.setattr(loop_connections, "_PATIENCE", 60.0)
    monkeypatch.setattr(awaiting, "_PATIENCE", 60.0)
    found = Store()
    start, make = AwaitedCalls._start, Transport._connect

    def counting(self: AwaitedCalls, call: Any, *others: Any) -> Any:
        found.by_threads.append(call)
        return start(self, call, *others)

    def connecting(self: Transport, *arguments: Any) -> Any:
        found.connected_by_threads += 1
        return make(self, *arguments)

    monkeypatch.setattr(AwaitedCalls, "_start", counting)
    monkeypatch.setattr(Transport, "_connect", connecting)
    monkeypatch.setattr(connect, "_looked_up", {})
    with found.server:
        yield found


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the system answers who looks NAME up, instead of its own answer; and how often it was asked."""
    found: list[Any] = []
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *arguments: Any, **keywords: Any) -> Any:
        if host != NAME:
            return real(host, port, *arguments, **keywords)
        assert threading.current_thread() is not threading.main_thread(), "a name is looked up in a thread"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return found


async def _all(fs: GuardedS3FileSystem, verb: str) -> list[Any]:
    if verb == "read":
        return await asyncio.gather(*(fs._cat_file(f"bucket/key-{number}") for number in range(NUMBER)))
    written = (fs._pipe_file(f"bucket/new-{number}", SMALL) for number in range(NUMBER))
    return [answer["ETag"] and SMALL for answer in await asyncio.gather(*written)]


@pytest.mark.parametrize("verb", ["read", "write"])
def test_one_thread_finds_out_what_all_calls_need_and_makes_no_connection(store: Store, verb: str) -> None:
    fs = filesystem(store.server.url)
    assert asyncio.run(_all(fs, verb)) == [SMALL] * NUMBER
    assert len(store.by_threads) == 1
    assert store.connected_by_threads == 0
    assert 0 < store.server.connections <= NUMBER
    assert len(store.server.requests) == NUMBER


@pytest.mark.parametrize("verb", ["read", "write"])
def test_a_name_is_looked_up_once_for_all(store: Store, addresses: list[Any], verb: str) -> None:
    addresses.append(("127.0.0.1", store.server.port))
    fs = filesystem(f"http://{NAME}:{store.server.port}", allow_http=True)
    assert asyncio.run(_all(fs, verb)) == [SMALL] * NUMBER
    assert len(store.by_threads) == 1
    assert store.connected_by_threads == 0


def test_an_address_at_which_nobody_is_does_no_harm(store: Store, addresses: list[Any]) -> None:
    with reserved_port() as nobody:
        addresses.extend([("127.0.0.1", nobody), ("127.0.0.1", store.server.port)])
        fs = filesystem(f"http://{NAME}:{store.server.port}", allow_http=True)
        assert asyncio.run(_all(fs, "read")) == [SMALL] * NUMBER
    assert len(store.server.requests) == NUMBER


def test_where_nobody_is_at_all_the_error_says_so(store: Store) -> None:
    with reserved_port() as nobody:
        fs = filesystem(f"http://127.0.0.1:{nobody}", max_attempts=1)
        with pytest.raises(ConnectError, match=f"no connection to 127.0.0.1:{nobody}") as caught:
            asyncio.run(fs._pipe_file("bucket/new", SMALL))
    assert not caught.value.maybe_applied


def test_a_connection_that_takes_long_is_left_to_a_thread(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where an address answers nothing: the time-outs of threads hold."""
    monkeypatch.setattr(loop_connections, "_PATIENCE", 0.05)
    fs = filesystem(store.server.url)

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        add_writer = loop.add_writer
        loop.add_writer = lambda *arguments: add_writer(silent.fileno(), lambda: None)  # type: ignore
        loop.remove_writer = lambda descriptor: True  # type: ignore[method-assign]
        return await fs._cat_file("bucket/key-0")

    silent, other = socket.socketpair()
    with silent, other:
        assert asyncio.run(main()) == SMALL
    assert store.connected_by_threads == 1


def test_where_there_is_no_descriptor_a_thread_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*arguments: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("fsspec_guarded_s3._http.connecting.begun", none_left)
    assert asyncio.run(_all(filesystem(store.server.url), "read")) == [SMALL] * NUMBER
    assert store.connected_by_threads > 0


def test_who_is_cancelled_while_it_connects_leaves_no_connection(store: Store) -> None:
    fs = filesystem(store.server.url)
    begun: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_writer = lambda *arguments: begun.append(arguments)  # type: ignore
        loop.remove_writer = lambda descriptor: True  # type: ignore[method-assign]
        task = asyncio.ensure_future(fs._cat_file("bucket/key-0"))
        while not begun:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    eventually(lambda: store.server.open_connections == 0)
    assert not store.server.requests
    assert fs.cat_file("bucket/key-0") == SMALL


def test_a_new_connection_that_breaks_is_no_old_one(store: Store) -> None:
    """What was idle may break without a fault of the store, and is tried again at once."""
    store.fake.fault = lambda request, fake: close()
    fs = filesystem(store.server.url, max_attempts=2)
    with pytest.raises(ConnectionError):
        asyncio.run(fs._cat_file("bucket/key-0"))
    assert 2 <= len(store.server.requests) <= 3  # a thread that makes the call anew may take one more


def _failing() -> Any:
    raise ValueError("the vault is closed")


@pytest.mark.parametrize("verb", ["read", "write"])
def test_what_fails_for_all_is_the_error_of_each(store: Store, verb: str) -> None:
    fs = filesystem(store.server.url, key=None, secret=None, credential_provider=_failing)

    async def main() -> list[Any]:
        calls: list[Callable[[], Any]] = [
            lambda: fs._cat_file("bucket/key-0") if verb == "read" else fs._pipe_file("bucket/new", SMALL)
        ] * 5
        return await asyncio.gather(*(call() for call in calls), return_exceptions=True)

    found = asyncio.run(main())
    assert [type(error) for error in found] == [CredentialsError] * 5
    assert not store.server.requests


def test_who_finds_out_for_others_may_be_cancelled(store: Store) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def provide() -> dict[str, str]:
        asked.set()
        go_on.wait(20)
        return {"access_key": "k", "secret_key": "s"}

    fs = filesystem(store.server.url, key=None, secret=None, credential_provider=provide)

    async def main() -> list[Any]:
        first = asyncio.ensure_future(fs._cat_file("bucket/key-0"))
        while not asked.is_set():
            await asyncio.sleep(0.01)
        others = [asyncio.ensure_future(fs._cat_file("bucket/key-1")) for _ in range(3)]
        await asyncio.sleep(0.05)
        first.cancel()
        others[1].cancel()
        await asyncio.sleep(0.05)
        go_on.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    first, second, third, fourth = asyncio.run(main())
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(third, asyncio.CancelledError)
    assert (second, fourth) == (SMALL, SMALL)


def test_two_loops_make_connections_of_their_own(store: Store) -> None:
    fs = filesystem(store.server.url)
    found: list[Any] = []

    def run() -> None:
        found.append(asyncio.run(_all(fs, "read")))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [[SMALL] * NUMBER] * 2


def test_the_answers_are_awaited_as_by_any_connection(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that stalls ends by the time-out, and one that is slow is waited for."""
    monkeypatch.setattr(awaiting, "_PATIENCE", 0.5)

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return stall() if request.path.endswith("key-0") else None

    store.fake.fault = fault
    store.fake.after = lambda request, reply: delay(0.1, reply)
    impatient, patient = (
        filesystem(store.server.url, read_timeout=wait, max_attempts=1) for wait in (0.5, 30)
    )

    async def main() -> list[Any]:
        calls = (
            fs._cat_file(f"bucket/key-{number}") for number, fs in enumerate((impatient, patient, patient))
        )
        return await asyncio.gather(*calls, return_exceptions=True)

    began = time.monotonic()
    first, second, third = asyncio.run(main())
    assert isinstance(first, TimeoutError)
    assert (second, third) == (SMALL, SMALL)
    assert time.monotonic() - began < 30


def test_a_proxy_and_tls_are_met_by_threads(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        tls = stack.enter_context(ScriptedServer(handler=store.fake, tls=True))
        fs = filesystem(tls.url, ca_bundle=tls.ca_path)
        assert asyncio.run(_all(fs, "read")) == [SMALL] * NUMBER
        assert store.connected_by_threads == tls.connections > 0
        before = store.connected_by_threads
        monkeypatch.setenv("HTTP_PROXY", store.server.url)  # which takes requests for any store
        fs = filesystem("http://elsewhere.test", allow_http=True)
        store.fake.fault = lambda request, fake: close()
        with pytest.raises(ConnectionError):
            asyncio.run(fs._cat_file("bucket/key-0"))
        assert store.connected_by_threads > before
