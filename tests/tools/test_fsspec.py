"""fsspec's own layers over ours: mappings, rsync between filesystems, references, folders, many files."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.generic import GenericFileSystem, rsync, set_generic_fs
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
from fsspec.implementations.dirfs import DirFileSystem

from tests.data import period_free
from tests.stores import Store

# --- FSMap ---------------------------------------------------------------------------------------


def test_a_mapper_is_a_dict_of_bytes(each_store: Store) -> None:
    mapper = fsspec.get_mapper(each_store.url("map"), **each_store.options)
    assert dict(mapper) == {}
    mapper["a"] = b"1"
    mapper["d/b"] = bytearray(b"2")
    mapper["n"] = np.arange(3, dtype="i1")
    assert dict(mapper) == {"a": b"1", "d/b": b"2", "n": b"\0\1\2"}
    assert (len(mapper), "a" in mapper, "z" in mapper, sorted(mapper)) == (3, True, False, ["a", "d/b", "n"])
    assert each_store.fs.cat_file(each_store.path("map/d/b")) == b"2"
    assert mapper.pop("a") == b"1"
    assert mapper.pop("a", b"none") == b"none"
    del mapper["n"]
    for missing in (lambda: mapper["a"], lambda: mapper.__delitem__("a")):
        with pytest.raises(KeyError):
            missing()
    mapper.clear()
    assert each_store.fs.find(each_store.bucket) == []


def test_a_mapper_takes_many_keys_at_once(store: Store) -> None:
    mapper = store.fs.get_mapper(store.path("map"))
    mapper.setitems({f"k{i}": bytes([i]) for i in range(20)})
    assert mapper.getitems([f"k{i}" for i in range(20)]) == {f"k{i}": bytes([i]) for i in range(20)}
    assert mapper.getitems(["k1", "none"], on_error="omit") == {"k1": b"\1"}
    with pytest.raises(KeyError):
        mapper.getitems(["k1", "none"])
    mapper.delitems([f"k{i}" for i in range(1, 20)])
    assert list(mapper) == ["k0"]


def test_a_pickled_mapper_works(store: Store) -> None:
    mapper = store.fs.get_mapper(store.path("map"))
    mapper["a"] = b"1"
    assert dict(pickle.loads(pickle.dumps(mapper))) == {"a": b"1"}


# --- rsync ---------------------------------------------------------------------------------------


@pytest.fixture
def generic(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[GenericFileSystem]:
    """A filesystem that copies between protocols; what it knows is forgotten afterwards."""
    monkeypatch.setattr(import_module("fsspec.generic"), "_generic_fs", {})
    set_generic_fs("gs3", **store.options)
    set_generic_fs("file")
    set_generic_fs("memory")
    yield GenericFileSystem(default_method="generic", skip_instance_cache=True)


def test_a_tree_is_synchronised_both_ways(generic: Any, store: Store, tmp_path: Path) -> None:
    """`rsync(local, url)`: what is new or another size goes over, and what is gone goes when asked."""
    here, there = tmp_path / "here", tmp_path / "there"
    files = {"a": b"1", "d/b": period_free(100_000), "d/e/c": b""}
    for name, data in files.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(data)
    copied = rsync(here.as_uri(), store.url("set"), fs=generic)
    assert sorted(copied.values()) == [store.url(f"set/{name}") for name in sorted(files)]
    assert store.fs.cat(store.path("set"), recursive=True) == {
        store.path(f"set/{n}"): d for n, d in files.items()
    }
    assert rsync(here.as_uri(), store.url("set"), fs=generic) == {}

    (here / "a").write_bytes(b"other")
    (here / "d/b").unlink()
    rsync(here.as_uri(), store.url("set"), fs=generic, delete_missing=True)
    assert store.fs.find(store.bucket) == [store.path("set/a"), store.path("set/d/e/c")]
    rsync(store.url("set"), there.as_uri(), fs=generic)
    assert {str(p.relative_to(there)): p.read_bytes() for p in there.rglob("*") if p.is_file()} == {
        "a": b"other",
        "d/e/c": b"",
    }


def test_the_generic_filesystem_reads_writes_and_copies_by_url(generic: Any, store: Store) -> None:
    generic.pipe(store.url("a"), b"1")
    generic.cp([store.url("a")], [store.url("b")])  # lists: fsspec of 2024 does not take single names
    generic.cp([store.url("a")], ["memory://generic/a"])
    assert generic.cat("memory://generic/a") == b"1"
    generic.cp(["memory://generic/a"], [store.url("c")])
    generic.pipe(store.url("d"), b"2")
    assert store.fs.cat(store.bucket, recursive=True) == {
        store.path(name): data for name, data in {"a": b"1", "b": b"1", "c": b"1", "d": b"2"}.items()
    }
    assert generic.info(store.url("d"))["size"] == 1
    assert generic.find(f"gs3://{store.bucket}") == [store.url(name) for name in "abcd"]
    with pytest.raises(FileNotFoundError):
        generic.cat(store.url("none"))


# --- references ----------------------------------------------------------------------------------


def test_references_show_ranges_of_objects_as_files(each_store: Store) -> None:
    """kerchunk's JSON, itself in the bucket: slices, whole objects and inline data."""
    data = period_free(10_000)
    each_store.fs.pipe_file(each_store.path("data.bin"), data)
    refs = {
        "slice": [each_store.url("data.bin"), 1_000, 500],
        "next": [each_store.url("data.bin"), 1_500, 500],
        "whole": [each_store.url("data.bin")],
        "inline": "text",
        "packed": "base64:AAEC",
    }
    each_store.fs.pipe_file(each_store.path("refs.json"), json.dumps({"version": 1, "refs": refs}).encode())
    fs = fsspec.filesystem(
        "reference",
        fo=each_store.url("refs.json"),
        target_options=each_store.options,
        remote_protocol="gs3",
        remote_options=each_store.options,
        skip_instance_cache=True,
    )
    assert sorted(fs.find("")) == ["inline", "next", "packed", "slice", "whole"]
    assert fs.cat(["slice", "next", "whole", "inline", "packed"]) == {
        "slice": data[1_000:1_500],
        "next": data[1_500:2_000],
        "whole": data,
        "inline": b"text",
        "packed": b"\0\1\2",
    }
    assert fs.cat_file("slice", 10, 20) == data[1_010:1_020]
    assert fs.info("slice")["size"] == 500


def test_an_array_is_read_by_references_into_other_files(store: Store) -> None:
    """What kerchunk does with NetCDF: zarr reads chunks out of an object that is no zarr."""
    zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed")
    values = np.arange(1_000, dtype="<i4").reshape(100, 10)
    store.fs.pipe_file(store.path("raw.bin"), b"header" + values.tobytes())
    meta = {"zarr_format": 2, "shape": [100, 10], "chunks": [25, 10], "dtype": "<i4", "order": "C"}
    meta |= {"compressor": None, "filters": None, "fill_value": 0}
    refs: dict[str, Any] = {".zarray": json.dumps(meta), ".zattrs": "{}"}
    refs |= {f"{i}.0": [store.url("raw.bin"), 6 + i * 1_000, 1_000] for i in range(4)}
    options = {"fo": refs, "remote_protocol": "gs3", "remote_options": store.options}
    array = zarr.open_array("reference://", mode="r", storage_options=options)
    assert (array[:] == values).all()
    assert (array[30:60, 3] == values[30:60, 3]).all()


# --- others --------------------------------------------------------------------------------------


def test_a_folder_is_a_filesystem_of_its_own(store: Store) -> None:
    folder = DirFileSystem(store.path("home"), store.fs)
    folder.pipe({"a": b"1", "d/b": b"2"})
    assert folder.find("") == ["a", "d/b"]
    assert folder.cat("d/b") == store.fs.cat_file(store.path("home/d/b")) == b"2"
    folder.mv("a", "c")
    with folder.open("c") as file:
        assert file.read() == b"1"
    assert folder.ls("", detail=False) == ["c", "d"]


def test_the_asynchronous_wrapper_works_in_a_loop(store: Store) -> None:
    """Who needs coroutines wraps the filesystem; its calls run side by side in threads."""
    fs = AsyncFileSystemWrapper(store.fs, asynchronous=True)

    async def work() -> list[bytes]:
        await fs._pipe({store.path(str(i)): bytes([i]) for i in range(10)})
        return list(await asyncio.gather(*(fs._cat_file(store.path(str(i))) for i in range(10))))

    assert asyncio.run(work()) == [bytes([i]) for i in range(10)]


def test_many_files_are_written_and_read_by_one_url(store: Store) -> None:
    with fsspec.open_files(store.url("d/*.txt"), "w", num=3, **store.options) as files:
        for number, file in enumerate(files):
            file.write(f"{number}")
    assert store.fs.cat(store.path("d"), recursive=True) == {
        store.path(f"d/{number}.txt"): f"{number}".encode() for number in range(3)
    }
    with fsspec.open_files(store.url("d/*.txt"), "r", **store.options) as files:
        assert [file.read() for file in files] == ["0", "1", "2"]


def test_many_files_are_not_published_after_an_exception(store: Store) -> None:
    files = fsspec.open_files(store.url("d/*.txt"), "w", num=3, **store.options)
    with pytest.raises(KeyError), files as opened:
        for file in opened:
            file.write("half")
        raise KeyError
    assert store.fs.find(store.bucket) == []


def test_a_local_copy_is_opened_by_those_who_need_a_file(store: Store, tmp_path: Path) -> None:
    """`open_local("simplecache::...")` for libraries that take nothing but a path."""
    store.fs.pipe_file(store.path("a.bin"), period_free(10_000))
    cache = {"cache_storage": str(tmp_path)}
    local = fsspec.open_local(f"simplecache::{store.url('a.bin')}", gs3=store.options, simplecache=cache)
    assert os.path.dirname(local) == str(tmp_path)
    assert Path(local).read_bytes() == period_free(10_000)


# --- writing through a cache ---------------------------------------------------------------------


@pytest.mark.parametrize("cache", ["simplecache", "filecache"])
def test_a_cache_of_fsspecs_publishes_half_a_file_after_an_exception(
    store: Store, tmp_path: Path, cache: str
) -> None:
    """fsspec does so, which paths.md and tools.md say; a mode with "+" is what to use in its place."""
    store.fs.pipe_file(store.path("old"), b"whole")
    options = {"gs3": store.options, cache: {"cache_storage": str(tmp_path)}}
    for name, mode in (("new", "wb"), ("old", "wb")):
        with (
            pytest.raises(ZeroDivisionError),
            fsspec.open(f"{cache}::{store.url(name)}", mode, **options) as file,
        ):
            file.write(b"half")
            raise ZeroDivisionError
        assert store.fs.cat_file(store.path(name)) == b"half"
    store.fs.pipe_file(store.path("old"), b"whole")
    for name, mode in (("other", "w+b"), ("old", "w+b"), ("old", "r+b")):
        with pytest.raises(ZeroDivisionError), fsspec.open(store.url(name), mode, **store.options) as file:
            file.write(b"half")
            file.seek(0)
            raise ZeroDivisionError
    assert store.fs.cat_file(store.path("old")) == b"whole"
    assert not store.fs.exists(store.path("other"))
