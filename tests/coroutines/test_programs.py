"""Programs with event loops: uvloop, forks, ASGI applications, what fsspec builds on a filesystem."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.asyn import sync
from fsspec.generic import GenericFileSystem
from fsspec.implementations.cached import SimpleCacheFileSystem
from fsspec.implementations.dirfs import DirFileSystem
from packaging.version import Version

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import ScriptedServer, eventually, stall


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3("bucket")
    for n in range(20):
        fake.put("bucket", f"d/{n}", str(n).encode())
    return fake


@pytest.fixture
def server(fake: FakeS3) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=fake) as server:
        yield server


async def _all(fs: GuardedS3FileSystem) -> list[bytes]:
    return await asyncio.gather(*[fs._cat_file(f"bucket/d/{n}") for n in range(20)])


ALL = [str(n).encode() for n in range(20)]


def test_uvloop(server: ScriptedServer, fake: FakeS3) -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed, or not for this system")
    fs = filesystem(server.url)

    async def main() -> list[bytes]:
        assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
        async with await fs.open_async("bucket/new", "wb") as file:
            await file.write(bytes(6 * MIB))
        slow = asyncio.ensure_future(fs._find("bucket"))
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        return await _all(fs)

    loop = uvloop.new_event_loop()
    try:
        assert loop.run_until_complete(main()) == ALL
    finally:
        loop.close()
    assert len(fake.objects["bucket", "new"].body) == 6 * MIB


def _in_a_child(url: str, fs: GuardedS3FileSystem, found: Any) -> None:
    found.put(asyncio.run(asyncio.wait_for(_all(fs), 60)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_uses_the_filesystem_of_its_parent_in_a_loop_of_its_own(server: ScriptedServer) -> None:
    """It forks while calls are under way, and while as many as may be are."""
    context = multiprocessing.get_context("fork")
    fs = filesystem(server.url, max_concurrency=4)

    async def main() -> list[bytes]:
        found = context.Queue()
        gathered = asyncio.ensure_future(_all(fs))
        await asyncio.sleep(0)
        child = context.Process(target=_in_a_child, args=(server.url, fs, found))
        child.start()
        theirs = await asyncio.to_thread(found.get, True, 120)
        child.join()
        assert await gathered == ALL
        return theirs  # type: ignore[no-any-return]

    assert asyncio.run(main()) == ALL


def test_it_is_pickled() -> None:
    import pickle

    fs = filesystem("http://127.0.0.1:9", asynchronous=True)
    again = pickle.loads(pickle.dumps(fs))
    assert (again.asynchronous, again == fs) == (True, True)


def test_no_loop_and_no_asyncio_thread_is_started(server: ScriptedServer) -> None:
    code = (
        "import sys, threading, fsspec\n"
        f"fs = fsspec.filesystem('gs3', endpoint_url={server.url!r}, key='k', secret='s')\n"
        "assert fs.cat_file('bucket/d/1') == b'1'\n"
        "assert 'fsspec.asyn' not in sys.modules\n"
        "assert [t.name for t in threading.enumerate() if not t.name.startswith('gs3')] == ['MainThread']\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)


LEAVES = """
import asyncio, threading, time, fsspec
fs = fsspec.filesystem("gs3", endpoint_url={url!r}, key="k", secret="s", probe="never", read_timeout=600)
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()  # as zarr and fsspec have it
asyncio.run_coroutine_threadsafe(fs._cat_file("bucket/key"), loop)
asyncio.run_coroutine_threadsafe(fs._pipe_file("bucket/new", b"1"), loop)
time.sleep(0.5)
"""


def test_a_program_ends_while_a_loop_in_another_thread_waits() -> None:
    fake = FakeS3("bucket", fault=lambda request, fake: stall())
    with ScriptedServer(handler=fake) as server:
        command = [sys.executable, "-c", LEAVES.format(url=server.url)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300)  # it stalls for 600 s
    assert (ended.returncode, ended.stderr) == (0, "")


# --- what fsspec asks of a filesystem with coroutines ---


def test_there_is_one_filesystem_for_each_thread_and_options() -> None:
    """As before: a transaction of one thread is none of another's."""
    options = {"anon": True, "endpoint_url": "http://127.0.0.1:9"}
    here = fsspec.filesystem("gs3", **options)
    there: list[Any] = []
    thread = threading.Thread(target=lambda: there.append(fsspec.filesystem("gs3", **options)))
    thread.start()
    thread.join()
    assert fsspec.filesystem("gs3", **options) is here is not there[0]
    assert fsspec.filesystem("gs3", asynchronous=True, **options) is not here


@pytest.mark.parametrize("asynchronous", [True, False])
def test_it_agrees_with_whatever_is_built_upon_it(asynchronous: bool) -> None:
    fs = filesystem("http://127.0.0.1:9")
    assert fs.async_impl and fs.asynchronous == asynchronous
    assert not asynchronous ^ fs.asynchronous
    assert DirFileSystem("bucket", fs, asynchronous=asynchronous).fs is fs
    assert filesystem("http://127.0.0.1:9", asynchronous=True).asynchronous is True


def test_fsspecs_own_loop_awaits_coroutines(server: ScriptedServer) -> None:
    fs = filesystem(server.url)
    assert sync(fs.loop, fs._cat_file, "bucket/d/3") == b"3"
    assert filesystem(server.url, asynchronous=True).loop is None
    loop = asyncio.new_event_loop()
    assert filesystem(server.url, loop=loop).loop is loop
    loop.close()


def test_a_folder_of_it_has_coroutines(server: ScriptedServer) -> None:
    folder = DirFileSystem("bucket/d", filesystem(server.url), asynchronous=True)

    async def main() -> Any:
        walked = [step async for step in folder._walk("")]
        async with await folder.open_async("3", "rb") as file:
            read = await file.read()
        return await folder._cat("3"), await folder._info("4"), len(await folder._find("")), walked, read

    cat, info, found, walked, read = asyncio.run(main())
    assert (cat, info["size"], found, len(walked[0][2]), read) == (b"3", 1, 20, 20, b"3")


@pytest.mark.skipif(
    Version(fsspec.__version__) < Version("2025.5"), reason="fsspec before 2025.5 copies lists of paths alone"
)
def test_a_generic_filesystem_copies_with_it(server: ScriptedServer, tmp_path: Path) -> None:
    GuardedS3FileSystem.clear_instance_cache()
    filesystem(server.url, skip_instance_cache=False)
    generic = GenericFileSystem(default_method="current")
    try:
        generic.cp("gs3://bucket/d/7", f"file://{tmp_path}/seven")
        generic.copy("gs3://bucket/d/7", "gs3://bucket/copy")
        assert generic.cat("gs3://bucket/copy") == (tmp_path / "seven").read_bytes() == b"7"
    finally:
        GuardedS3FileSystem.clear_instance_cache()


def test_a_local_cache_of_it_has_coroutines(server: ScriptedServer, tmp_path: Path) -> None:
    cached = fsspec.filesystem("simplecache", fs=filesystem(server.url), cache_storage=str(tmp_path))

    async def main() -> Any:
        return await cached._cat_file("bucket/d/5"), await cached._cat_ranges(["bucket/d/11"], [1], [2])

    assert asyncio.run(main()) == (b"5", [b"1"])
    if "_cat_file" in vars(SimpleCacheFileSystem):  # older releases of fsspec keep nothing in coroutines
        assert len(list(tmp_path.iterdir())) == 2


def test_a_reference_filesystem_reads_from_it(server: ScriptedServer) -> None:
    options = {"endpoint_url": server.url, "key": "k", "secret": "s"}
    references = {"a": ["gs3://bucket/d/12", 1, 1], "b": ["gs3://bucket/d/3"]}

    def open_it(**more: Any) -> Any:
        return fsspec.filesystem(
            "reference",
            fo=references,
            remote_protocol="gs3",
            remote_options=options,
            skip_instance_cache=True,
            **more,
        )

    assert open_it().cat(["a", "b"]) == {"a": b"2", "b": b"3"}
    fs = open_it(asynchronous=True)

    async def main() -> Any:
        return await fs._cat_ranges(["a", "b"], [None, 0], [None, 1])

    assert asyncio.run(main()) == [b"2", b"3"]


# --- ASGI ---


async def _asgi(app: Any, path: str, received: list[dict[str, Any]], method: str = "GET") -> list[Any]:
    """What `app` sends to a client that sends `received`, and then goes away."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return received.pop(0) if received else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "root_path": "",
        "scheme": "http",
        "server": ("test", 80),
        "client": ("test", 1),
    }
    await app(scope, receive, send)
    return sent


@pytest.fixture
def app(server: ScriptedServer) -> Any:
    applications = pytest.importorskip("starlette.applications", reason="starlette is not installed")
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB)

    async def download(request: Request) -> Any:
        file = await fs.open_async(f"bucket/{request.path_params['name']}")
        return StreamingResponse(file.chunks(), headers={"content-length": str(file.size)})

    async def upload(request: Request) -> Any:
        async with await fs.open_async(f"bucket/{request.path_params['name']}", "wb") as file:
            async for data in request.stream():
                await file.write(data)
        return PlainTextResponse(file.etag)

    routes = [
        Route("/{name:path}", download, methods=["GET"]),
        Route("/{name:path}", upload, methods=["PUT"]),
    ]
    return applications.Starlette(routes=routes)


def test_an_asgi_application_streams_both_ways(app: Any, fake: FakeS3) -> None:
    client = pytest.importorskip("starlette.testclient", reason="httpx is not installed").TestClient(app)
    body = bytes(range(256)) * 50_000
    put = client.put("/new", content=(body[n : n + 100_000] for n in range(0, len(body), 100_000)))
    assert (put.status_code, put.text) == (200, fake.objects["bucket", "new"].etag)
    assert client.get("/new").content == body == fake.objects["bucket", "new"].body


def test_an_upload_whose_client_goes_away_is_not_published(app: Any, fake: FakeS3) -> None:
    errors = pytest.importorskip("starlette.requests")
    first = {"type": "http.request", "body": bytes(6 * MIB), "more_body": True}
    with pytest.raises(errors.ClientDisconnect):
        asyncio.run(_asgi(app, "/new", [first], "PUT"))
    eventually(lambda: not fake.uploads, timeout=60)
    assert ("bucket", "new") not in fake.objects


def test_a_download_whose_client_goes_away_ends(app: Any, fake: FakeS3) -> None:
    fake.put("bucket", "large", bytes(20 * MIB))
    request = {"type": "http.request", "body": b"", "more_body": False}
    sent = asyncio.run(_asgi(app, "/large", [request]))
    assert sent[0]["status"] == 200
    assert sum(len(message.get("body", b"")) for message in sent[1:]) < 20 * MIB
