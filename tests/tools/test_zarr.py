"""zarr 3 and xarray by URL: written, appended to, consolidated, sharded; zarr's own contract holds.

zarr awaits the coroutines of the filesystem in a loop of its own, and finds them by itself.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.stores import Store, new_store

zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed")
FsspecStore = pytest.importorskip("zarr.storage").FsspecStore
cpu = pytest.importorskip("zarr.core.buffer").cpu
StoreTests = pytest.importorskip("zarr.testing.store").StoreTests

pytestmark = [
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    pytest.mark.filterwarnings("ignore:The data type"),  # strings have no specification in zarr 3 yet
]
VALUES = np.arange(2_000, dtype="i4").reshape(40, 50)


# --- zarr ----------------------------------------------------------------------------------------


def test_an_array_is_written_by_url_and_its_parts_are_read(each_store: Store) -> None:
    more = {"storage_options": each_store.options}
    array = zarr.create_array(each_store.url("a.zarr"), shape=(40, 50), chunks=(7, 20), dtype="i4", **more)
    array[:] = VALUES
    back = zarr.open_array(each_store.url("a.zarr"), mode="r", **more)
    assert (back[:] == VALUES).all()
    assert (back[5:9, 19:41] == VALUES[5:9, 19:41]).all()
    assert len(each_store.fs.find(each_store.path("a.zarr/c"))) == 6 * 3
    assert each_store.pending() == []


def test_an_array_is_appended_to_and_resized(store: Store) -> None:
    array = zarr.create_array(
        store.url("a.zarr"), shape=(40, 50), chunks=(8, 50), dtype="i4", storage_options=store.options
    )
    array[:] = VALUES
    array.append(VALUES[:10])
    back = zarr.open_array(store.url("a.zarr"), mode="r", storage_options=store.options)
    assert (back[:] == np.concatenate([VALUES, VALUES[:10]])).all()
    array.resize((8, 50))
    assert store.fs.find(store.path("a.zarr/c")) == [store.path("a.zarr/c/0/0")]


def test_chunks_that_are_not_there_are_the_fill_value(store: Store) -> None:
    """A 404 of a chunk is no error."""
    array = zarr.create_array(
        store.url("a.zarr"), shape=20, chunks=5, dtype="i4", fill_value=7, storage_options=store.options
    )
    array[5:10] = 1
    assert store.fs.find(store.path("a.zarr/c")) == [store.path("a.zarr/c/1")]
    assert list(array[:]) == [7] * 5 + [1] * 5 + [7] * 10


def test_shards_are_read_by_ranges(store: Store) -> None:
    """Inner chunks come by byte ranges: of the index at the end of the shard, and of the chunks asked for."""
    array = zarr.create_array(
        store.url("a.zarr"),
        shape=(40, 50),
        shards=(40, 50),
        chunks=(10, 10),
        dtype="i4",
        storage_options=store.options,
    )
    array[:] = VALUES
    assert store.fs.find(store.path("a.zarr/c")) == [store.path("a.zarr/c/0/0")]
    back = zarr.open_array(store.url("a.zarr"), mode="r", storage_options=store.options)
    assert (back[12:15, 31:33] == VALUES[12:15, 31:33]).all()
    assert (back[:] == VALUES).all()


def test_groups_are_consolidated_and_read_from_one_object(store: Store) -> None:
    root = zarr.open_group(store.url("g.zarr"), mode="w", storage_options=store.options)
    root.create_array("x", data=VALUES)
    root.create_array("deep/down/y", data=VALUES[:5])
    root.attrs["title"] = "grün"
    where = FsspecStore.from_url(store.url("g.zarr"), storage_options=store.options)
    zarr.consolidate_metadata(where)
    back = zarr.open_consolidated(where)
    assert back.attrs["title"] == "grün"
    assert sorted(name for name, _ in back.members(max_depth=None)) == [
        "deep",
        "deep/down",
        "deep/down/y",
        "x",
    ]
    assert (back["deep/down/y"][:] == VALUES[:5]).all()


def test_a_node_is_deleted_and_a_store_cleared(store: Store) -> None:
    root = zarr.open_group(store.url("g.zarr"), mode="w", storage_options=store.options)
    root.create_array("x", data=VALUES)
    root.create_array("xy", data=VALUES)
    del root["x"]
    assert list(root.array_keys()) == ["xy"]
    assert store.fs.find(store.path("g.zarr/x")) == []
    zarr.open_group(store.url("g.zarr"), mode="w", storage_options=store.options)
    assert store.fs.find(store.path("g.zarr")) == [store.path("g.zarr/zarr.json")]


def test_what_is_there_is_not_overwritten_unasked_and_what_is_not_there_is_an_error(store: Store) -> None:
    zarr.open_group(store.url("g.zarr"), mode="w-", storage_options=store.options)
    with pytest.raises(FileExistsError):
        zarr.open_group(store.url("g.zarr"), mode="w-", storage_options=store.options)
    with pytest.raises(FileNotFoundError):
        zarr.open_group(store.url("none.zarr"), mode="r", storage_options=store.options)


@pytest.mark.parametrize("version", [2, 3])
def test_an_fsspec_mapper_is_a_store(store: Store, version: int) -> None:
    """The older way of zarr 2: `fs.get_mapper(path)`."""
    mapper = store.fs.get_mapper(store.path("m.zarr"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", zarr.errors.ZarrUserWarning)
        zarr.create_array(mapper, data=VALUES, zarr_format=version)
        assert (zarr.open_array(mapper, mode="r")[:] == VALUES).all()
    assert store.fs.exists(store.path("m.zarr/zarr.json" if version == 3 else "m.zarr/.zarray"))


def test_no_wrapper_is_around_the_filesystem(store: Store) -> None:
    """By URL, and as it is, whichever loop it was made for: the same connections, nothing to warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_url = FsspecStore.from_url(store.url("a"), storage_options=store.options)
        as_it_is = FsspecStore(store.fs, path=store.path("a"))
        mapped = FsspecStore.from_mapper(store.fs.get_mapper(store.path("a")))
    assert type(by_url.fs) is GuardedS3FileSystem
    assert as_it_is.fs is mapped.fs is store.fs


@pytest.mark.parametrize("asynchronous", [None, True])
def test_kerchunk_and_xarray_read_netcdf_by_references(
    store: Store, tmp_path: Path, asynchronous: bool | None
) -> None:
    """With or without `asynchronous` in the options of the target."""
    hdf = pytest.importorskip("kerchunk.hdf", reason="kerchunk is not installed")
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("t", data=VALUES + 1, chunks=(10, 10))
    store.fs.put_file(tmp_path / "a.h5", store.path("a.h5"))
    with store.fs.open(store.path("a.h5")) as opened:
        references = hdf.SingleHdf5ToZarr(opened, store.url("a.h5")).translate()
    remote = store.options if asynchronous is None else {**store.options, "asynchronous": asynchronous}
    options = {"fo": references, "remote_protocol": "gs3", "remote_options": remote}
    with xr.open_dataset(
        "reference://", engine="zarr", backend_kwargs={"consolidated": False, "storage_options": options}
    ) as data:
        assert (data["t"].values == VALUES + 1).all()  # 0 is a fill value


# --- xarray --------------------------------------------------------------------------------------


def weather(days: range) -> Any:
    values = np.arange(len(days) * 4.0).reshape(len(days), 4) + days.start
    return xr.Dataset(
        {"t": (("day", "city"), values, {"unit": "K"})},
        coords={"day": list(days), "city": ["a", "b", "c", "ü"]},
    )


def test_a_dataset_is_written_appended_and_read_consolidated(each_store: Store) -> None:
    url, more = each_store.url("w.zarr"), {"storage_options": each_store.options}
    weather(range(3)).to_zarr(url, consolidated=True, **more)
    weather(range(3, 5)).to_zarr(url, append_dim="day", consolidated=True, **more)
    with xr.open_zarr(url, consolidated=True, **more) as back:
        assert back.load().identical(xr.concat([weather(range(3)), weather(range(3, 5))], "day"))
    with xr.open_dataset(url, engine="zarr", **more) as back:
        assert float(back["t"].sel(day=4, city="b")) == 8.0
    assert each_store.pending() == []


def test_a_region_of_a_dataset_is_replaced(store: Store) -> None:
    url, more = store.url("w.zarr"), {"storage_options": store.options}
    weather(range(4)).to_zarr(url, **more)
    part = weather(range(4)).isel(day=slice(1, 2)) * 0 + 9
    part.drop_vars("city").to_zarr(url, region={"day": slice(1, 2)}, **more)
    with xr.open_zarr(url, **more) as back:
        assert back["t"].sum("city").values.tolist() == [6, 36, 38, 54]


def test_a_dataset_is_not_overwritten_unasked(store: Store) -> None:
    weather(range(2)).to_zarr(store.url("w.zarr"), storage_options=store.options)
    with pytest.raises((FileExistsError, ValueError), match=r"exist|already"):
        weather(range(3)).to_zarr(store.url("w.zarr"), mode="w-", storage_options=store.options)
    with xr.open_zarr(store.url("w.zarr"), storage_options=store.options) as back:
        assert back.sizes["day"] == 2


# --- zarr's contract -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket(request: pytest.FixtureRequest) -> Store:
    return new_store(request.getfixturevalue("moto"))


class TestZarrsContract(StoreTests[FsspecStore, cpu.Buffer]):
    """What zarr demands of every store, from its own test suite."""

    store_cls = FsspecStore
    buffer_cls = cpu.Buffer
    # FsspecStore does not offer these.
    test_get_sync = test_get_sync_missing = test_set_sync = test_delete_sync = test_delete_sync_missing = None

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
        assert repr(store) == f"<FsspecStore(GuardedS3FileSystem, {store.path})>"

    def test_store_supports_writes(self, store: Any) -> None:
        assert store.supports_writes
        assert isinstance(store.fs, GuardedS3FileSystem)

    def test_store_supports_listing(self, store: Any) -> None:
        assert store.supports_listing


def in_a_loop(test: Callable[..., Any]) -> Callable[..., None]:
    """An asynchronous test as a plain one."""

    @functools.wraps(test)
    def run(*arguments: Any, **keywords: Any) -> None:
        asyncio.run(test(*arguments, **keywords))

    return run


for _name, _test in inspect.getmembers(StoreTests, inspect.iscoroutinefunction):
    if _name.startswith("test_") and getattr(TestZarrsContract, _name) is not None:
        setattr(TestZarrsContract, _name, in_a_loop(_test))
