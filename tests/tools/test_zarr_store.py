"""`integrations.zarr`: zarr's contract holds, and what this store promises beside it."""

from __future__ import annotations

import asyncio
import builtins
import functools
import inspect
import pickle
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Request, ScriptedServer
from tests.stores import Store, new_store

zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed")

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest  # noqa: E402
from zarr.core.buffer import cpu, default_buffer_prototype  # noqa: E402
from zarr.testing.store import StoreTests  # noqa: E402

from fsspec_guarded_s3 import ObjectChangedError, PreconditionUnsupportedError  # noqa: E402
from fsspec_guarded_s3._fs import awaiting  # noqa: E402
from fsspec_guarded_s3._fs.awaiting import AwaitedCalls  # noqa: E402
from fsspec_guarded_s3.integrations.zarr import GuardedS3Store  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
VALUES = np.arange(40_000, dtype="i4").reshape(200, 200)
PROTOTYPE = default_buffer_prototype()


def buffer(data: bytes) -> Any:
    return cpu.Buffer.from_bytes(data)


# --- zarr's contract ---


@pytest.fixture(scope="module")
def bucket(request: pytest.FixtureRequest) -> Store:
    return new_store(request.getfixturevalue("moto"))


class TestZarrsContract(StoreTests[GuardedS3Store, cpu.Buffer]):
    """What zarr demands of every store, from its own test suite."""

    store_cls = GuardedS3Store
    buffer_cls = cpu.Buffer

    @pytest.fixture
    def store_kwargs(self, bucket: Store) -> dict[str, Any]:
        return {"fs": bucket.fs, "path": bucket.path(uuid.uuid4().hex)}

    @pytest.fixture
    def store(self, open_kwargs: dict[str, Any]) -> Any:
        return asyncio.run(self.store_cls.open(**open_kwargs))

    @pytest.fixture
    def store_not_open(self, store_kwargs: dict[str, Any]) -> Any:
        return self.store_cls(**store_kwargs)

    async def set(self, store: Any, key: str, value: Any) -> None:
        store.fs.pipe_file(f"{store.path}/{key}", value.to_bytes())

    async def get(self, store: Any, key: str) -> Any:
        return self.buffer_cls.from_bytes(store.fs.cat_file(f"{store.path}/{key}"))

    def test_store_repr(self, store: Any) -> None:
        assert repr(store) == f"GuardedS3Store('gs3://{store.path}')"
        assert str(store) == f"gs3://{store.path}"

    def test_store_supports_writes(self, store: Any) -> None:
        assert store.supports_writes and store.supports_deletes

    def test_store_supports_listing(self, store: Any) -> None:
        assert store.supports_listing


def in_a_loop(test: Callable[..., Any]) -> Callable[..., None]:
    """An asynchronous test as a plain one."""

    @functools.wraps(test)
    def run(*arguments: Any, **keywords: Any) -> None:
        asyncio.run(test(*arguments, **keywords))

    return run


for _name, _test in inspect.getmembers(StoreTests, inspect.iscoroutinefunction):
    if _name.startswith("test_"):
        setattr(TestZarrsContract, _name, in_a_loop(_test))


# --- arrays and groups ---


def test_arrays_are_written_and_read(store: Store) -> None:
    url, options = store.url("g.zarr"), store.options
    group = zarr.create_group(GuardedS3Store.from_url(url, storage_options=options))
    group.create_array("a", data=VALUES, chunks=(50, 50))
    group.create_array("s", data=VALUES, chunks=(10, 10), shards=(100, 100))
    zarr.consolidate_metadata(GuardedS3Store.from_url(url, storage_options=options))
    back = zarr.open_consolidated(
        GuardedS3Store.from_url(url, storage_options=options, read_only=True), mode="r"
    )
    assert (back["a"][:] == VALUES).all() and (back["s"][:, 33:37] == VALUES[:, 33:37]).all()
    by_url = zarr.open_group(url, mode="r", storage_options=options)
    assert (by_url["s"][5:25] == VALUES[5:25]).all()
    del group["a"]
    assert store.fs.find(store.path("g.zarr/a")) == []


def test_a_server_without_conditional_creates_is_refused(request: pytest.FixtureRequest) -> None:
    """zarr adds the groups above an array by `set_if_not_exists`; by URL they are written after a look."""
    store = new_store(request.getfixturevalue("rclone"))
    root = GuardedS3Store.from_url(store.url("g"), storage_options=store.options)
    zarr.create_array(root, data=VALUES, chunks=(100, 100))
    assert (zarr.open_array(root)[:50, 150:] == VALUES[:50, 150:]).all()
    with pytest.raises(PreconditionUnsupportedError):
        zarr.create_group(GuardedS3Store(root.fs, store.path("i")), path="a/b")
    zarr.create_group(store.url("h"), path="a/b", storage_options=store.options)


def test_a_store_is_pickled_and_compared(store: Store) -> None:
    one = GuardedS3Store(store.fs, store.path("a"))
    again = pickle.loads(pickle.dumps(one))
    assert (again, hash(again), again.fs) == (one, hash(one), one.fs)
    assert one != one.with_read_only(True) and one != GuardedS3Store(store.fs, store.path("b"))
    assert one.with_read_only(True).read_only and one != "a"
    with pytest.raises(ValueError, match="a bucket, or a prefix"):
        GuardedS3Store(store.fs, "gs3://")


def test_sizes_are_told_by_one_listing(store: Store) -> None:
    here = GuardedS3Store(store.fs, store.path("z"))

    async def main() -> Any:
        await here.set("a/b", buffer(b"123"))
        await here.set("ab", buffer(b"4"))
        sizes = [await here.getsize_prefix(prefix) for prefix in ("", "a", "a/", "c")]  # folders
        with pytest.raises(FileNotFoundError):
            await here.getsize("a")
        return sizes, await here.getsize("ab")

    assert asyncio.run(main()) == ([4, 3, 3, 0], 1)


def test_of_many_creates_one_is_kept(store: Store) -> None:
    """The default of zarr looks, and writes then: the last one would win."""
    here = GuardedS3Store(store.fs, store.path("z"))

    async def main() -> bytes:
        await asyncio.gather(*[here.set_if_not_exists("k", buffer(bytes([n]))) for n in range(20)])
        first = await here.get("k", PROTOTYPE)
        await here.set_if_not_exists("k", buffer(b"later"))
        again = await here.get("k", PROTOTYPE)
        assert first is not None and again is not None and first.to_bytes() == again.to_bytes()
        return bytes(first.to_bytes())

    assert len(asyncio.run(main())) == 1


def test_a_create_is_a_condition() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        here = GuardedS3Store(filesystem(server.url), "bucket/z")
        asyncio.run(here.set_if_not_exists("k", buffer(b"1")))
        asyncio.run(here.set_if_not_exists("k", buffer(b"2")))
        puts = [request for request in server.requests if request.method == "PUT"]
    assert [request.headers["if-none-match"] for request in puts] == ["*", "*"]
    assert fake.objects["bucket", "z/k"].body == b"1"


# --- one version of a shard ---


def _shards(fake: FakeS3) -> list[str]:
    return [key for _, key in fake.objects if "/c/" in key]


def _sharded(store: Any, values: Any) -> None:
    array = zarr.create_array(
        store, shape=values.shape, chunks=(10, 10), shards=(100, 100), dtype="i4", overwrite=True
    )
    array[:] = values


def test_a_shard_that_is_replaced_between_its_index_and_its_chunks_is_an_error() -> None:
    """Chunks of another size: what the old index says of the new bytes is wrong."""
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        store = GuardedS3Store(filesystem(server.url), "bucket/z")
        other = GuardedS3Store(filesystem(server.url), "bucket/other")
        _sharded(store, VALUES)
        _sharded(other, VALUES % 7)
        replaced: list[str] = []

        def replace(request: Request, reply: Any) -> None:
            if "/c/" in request.path and request.method == "GET" and not replaced:
                replaced.append(request.headers.get("range", ""))
                for key in _shards(fake):
                    if key.startswith("z/"):
                        fake.put("bucket", key, fake.objects["bucket", "other" + key[1:]].body)

        array = zarr.open_array(store, mode="r")
        fake.after = replace
        with pytest.raises(ObjectChangedError):
            array[0:10, 0:30]
        assert replaced[0].startswith("bytes=-")
        assert (array[0:10, 0:30] == VALUES[0:10, 0:30] % 7).all()


@pytest.mark.parametrize("index", ["start", "end"])
def test_whenever_a_shard_is_replaced_no_old_chunk_is_beside_a_new_one(index: str) -> None:
    """Without a codec the chunks of either version can be read; the shard begins by its index or a chunk."""
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        store = GuardedS3Store(filesystem(server.url), "bucket/z")
        shards = {"shape": (40, 40), "index_location": index}
        array = zarr.create_array(
            store, shape=(40, 40), chunks=(10, 10), shards=shards, dtype="i4", compressors=None
        )
        array[:] = 1
        old = {name: fake.objects[name] for name in list(fake.objects) if "/c/" in name[1]}
        array[:] = 2
        new = {name: fake.objects[name] for name in old}
        left: list[None] = []  # GETs of chunks before the shard is replaced

        def replace(request: Request, _: FakeS3) -> None:
            if "/c/" in request.path and request.method == "GET":
                if not left:
                    fake.objects.update(new)
                else:
                    left.pop()

        fake.fault = replace
        for number in range(1, 7):
            left[:] = [None] * number
            fake.objects.update(old)
            with pytest.raises(ObjectChangedError):
                array[0:20, 0:25]
            assert (array[0:20, 0:25] == 2).all()


def test_a_bucket_that_is_gone_is_no_array_of_fill_values() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        store = GuardedS3Store(filesystem(server.url), "bucket/z")
        _sharded(store, VALUES)
        array = zarr.open_array(store, mode="r")
        fake.buckets.clear()
        with pytest.raises(FileNotFoundError):
            array[0:10, 0:30]
        with pytest.raises(FileNotFoundError):
            asyncio.run(store.get_partial_values(PROTOTYPE, [("k", None)]))


def test_folders_and_values_can_be_deleted_by_several(store: Store) -> None:
    here = GuardedS3Store(store.fs, store.path("z"))

    async def main() -> list[str]:
        for _ in range(3):
            await asyncio.gather(*[here.set(f"a/{n}", buffer(b"1")) for n in range(20)])
            await asyncio.gather(
                *[here.delete_dir("a") for _ in range(4)], *[here.delete(f"a/{n}") for n in range(20)]
            )
        return [key async for key in here.list()]

    assert asyncio.run(main()) == []


def test_the_ranges_of_a_shard_are_merged() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        store = GuardedS3Store(filesystem(server.url), "bucket/z")
        asyncio.run(store.set("k", buffer(bytes(range(256)) * 1000)))
        before = len(server.requests)

        async def main() -> list[bytes]:
            wanted = [("k", RangeByteRequest(n * 100, n * 100 + 5)) for n in range(50)]
            return [value.to_bytes() for value in await store.get_partial_values(PROTOTYPE, wanted)]

        found = asyncio.run(main())
        assert found == [(bytes(range(256)) * 1000)[n * 100 : n * 100 + 5] for n in range(50)]
        assert len(server.requests) - before == 1


def test_ranges_are_those_of_one_version_for_each_task() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "z/k", b"0123456789")
    with ScriptedServer(handler=fake) as server:
        store = GuardedS3Store(filesystem(server.url), "bucket/z")

        async def ranges() -> dict[int, bytes]:
            found: dict[int, bytes] = {}
            wanted = [RangeByteRequest(2, 4), SuffixByteRequest(1), OffsetByteRequest(8), None]
            async for group in store.get_ranges("k", wanted, prototype=PROTOTYPE):
                found |= {index: value.to_bytes() for index, value in group if value is not None}
            return found

        async def main() -> None:
            assert await ranges() == {0: b"23", 1: b"9", 2: b"89", 3: b"0123456789"}
            index = await store.get("k", PROTOTYPE, SuffixByteRequest(2))
            assert index is not None and index.to_bytes() == b"89"
            fake.put("bucket", "z/k", b"abcdefghijkl")
            assert (await asyncio.ensure_future(ranges()))[0] == b"cd"  # of another task
            with pytest.raises(ObjectChangedError):
                await ranges()
            assert (await ranges())[0] == b"cd"
            fake.objects.clear()
            with pytest.raises(builtins.BaseExceptionGroup) as caught:
                await ranges()
            assert [type(error) for error in caught.value.exceptions] == [FileNotFoundError]
            assert await store.get("k", PROTOTYPE, SuffixByteRequest(0)) is None

        asyncio.run(main())


def test_a_part_of_a_value_takes_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the index of a shard nor a chunk, with a connection that is idle; one request each."""
    threads: list[object] = []
    start = AwaitedCalls._start

    def counting(self: AwaitedCalls, call: Any, *others: Any) -> Any:
        threads.append(call)
        return start(self, call, *others)

    fake = FakeS3("bucket")
    content = bytes(range(256)) * 1000
    fake.put("bucket", "z/k", content)
    with ScriptedServer(handler=fake) as server:
        store = GuardedS3Store(filesystem(server.url), "bucket/z")
        store.fs.cat_file("bucket/z/k", 0, 1)
        before = len(server.requests)
        monkeypatch.setattr(AwaitedCalls, "_start", counting)
        monkeypatch.setattr(awaiting, "_PATIENCE", 60.0)  # however busy this machine is

        async def main() -> None:
            for wanted, expected in (
                (SuffixByteRequest(20), content[-20:]),
                (RangeByteRequest(5, 20_005), content[5:20_005]),
                (OffsetByteRequest(len(content) - 7), content[-7:]),
                (RangeByteRequest(len(content) - 3, len(content) + 9), content[-3:]),
            ):
                value = await store.get("k", PROTOTYPE, wanted)
                assert value is not None and value.to_bytes() == expected
            assert len(server.requests) - before == 4
            assert not threads
            nothing = await store.get("k", PROTOTYPE, RangeByteRequest(len(content), len(content) + 9))
            assert nothing is not None and nothing.to_bytes() == b""

        asyncio.run(main())
