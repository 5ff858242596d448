"""A snapshot gives out the bytes that were published with it, or an error."""

from __future__ import annotations

import errno
import pickle
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import fsspec
import pytest

from fsspec_guarded_s3 import ObjectChangedError
from fsspec_guarded_s3._values import local_files
from fsspec_guarded_s3.integrations import commit_vacuum
from fsspec_guarded_s3.integrations.commit import Snapshot, SnapshotFileSystem, Table
from tests.commits.tables import new_table, write
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.folding_folder import FoldingFolder
from tests.opening import MIB
from tests.scripted_server import Request, s3_error
from tests.servers import MotoServer
from tests.stores import new_store

READS: list[Callable[[Snapshot], Any]] = [
    lambda snapshot: snapshot.cat_file("a"),
    lambda snapshot: snapshot.cat_file("a", 1, 3),
    lambda snapshot: snapshot.open("a").read(),
    lambda snapshot: snapshot.open("a", "r").read(),
    lambda snapshot: snapshot.filesystem().cat_file("a"),
    lambda snapshot: snapshot.filesystem().open("a").read(),
    lambda snapshot: snapshot.filesystem().cat(["a"]),
    lambda snapshot: snapshot.filesystem().read_text("a"),
    lambda snapshot: snapshot.verify(),
]


def test_a_mapping_of_names(moto: MotoServer) -> None:
    store = new_store(moto)
    table = Table.create(store.fs, store.path("table"))
    write(table, a=b"1", **{"b/c": b"22"})
    snapshot = table.snapshot()
    assert sorted(snapshot) == ["a", "b/c"] and len(snapshot) == 2 and "a" in snapshot and "b" not in snapshot
    found = snapshot["b/c"]
    assert store.fs.cat_file(found.path) == b"22" and found.size == 2
    assert found.etag == store.fs.info(found.path)["ETag"]
    assert snapshot.get("zz") is None
    with pytest.raises(KeyError):
        snapshot["zz"]
    for call in (snapshot.object, snapshot.open, snapshot.cat_file):
        with pytest.raises(FileNotFoundError, match="version 2 of the table has no object 'zz'"):
            call("zz")
    assert snapshot == table.snapshot(2) != table.snapshot(1) and len({snapshot, table.snapshot(2)}) == 1
    other = pickle.loads(pickle.dumps(snapshot))
    assert other == snapshot and other.cat_file("a") == b"1" and dict(other) == dict(snapshot)
    assert "Snapshot 2 of" in repr(snapshot)


@pytest.mark.parametrize("size", [0, 1, 100_000, 40 * MIB])
def test_slices(size: int, moto: MotoServer) -> None:
    store = new_store(moto)
    table = Table.create(store.fs, store.path("table"))
    data = period_free(size, seed=3)
    write(table, a=data)
    snapshot = table.snapshot()
    for start, end in (
        (None, None),
        (0, 10),
        (-10, None),
        (5, -5),
        (size - 1, size + 9),
        (7, 3),
        (size, None),
    ):
        assert snapshot.cat_file("a", start, end) == data[start:end], (start, end)
    with snapshot.open("a") as file:
        assert file.read() == data and file.size == size and file.etag == snapshot["a"].etag


def test_an_older_snapshot_stays_what_it_was() -> None:
    with new_table() as (table, _, _server):
        write(table, a=b"old", b=b"old")
        old = table.snapshot()
        reader = old.open("b")
        write(table, a=b"new", b=None)
        assert (old.cat_file("a"), old.cat_file("b"), reader.read()) == (b"old", b"old", b"old")
        assert sorted(old) == ["a", "b"] and list(table.snapshot()) == ["a"]


@pytest.mark.parametrize("read", READS)
def test_a_data_object_that_was_replaced_is_an_error(read: Callable[[Snapshot], Any]) -> None:
    """Whoever did so: also by an object of the same size."""
    with new_table() as (table, fake, _):
        write(table, a=b"12345", b=b"other")
        snapshot = table.snapshot()
        fake.put(*snapshot["a"].path.split("/", 1), b"54321")
        with pytest.raises(ObjectChangedError):
            read(snapshot)
        assert snapshot.cat_file("b") == b"other"


@pytest.mark.parametrize("read", READS)
def test_a_data_object_that_was_removed_is_an_error(read: Callable[[Snapshot], Any]) -> None:
    with new_table() as (table, fake, _):
        write(table, a=b"12345")
        snapshot = table.snapshot()
        fake.objects.pop(tuple(snapshot["a"].path.split("/", 1)))
        with pytest.raises(FileNotFoundError, match=r"'a' of version 2 .*vacuum has removed it"):
            read(snapshot)


@pytest.mark.parametrize("mode", ["rb", "r"])
def test_a_data_object_that_is_removed_while_it_is_read_says_so(mode: str) -> None:
    with new_table() as (table, fake, _):
        write(table, a=b"a" * 40 * MIB)
        with table.snapshot().open("a", mode) as file:
            assert len(file.read(10)) == 10
            fake.objects.clear()
            with pytest.raises(FileNotFoundError, match=r"'a' of version 2 .*vacuum has removed it"):
                file.read()


def test_vacuum_says_so_to_whoever_reads_what_it_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    with new_table() as (table, _, _server):
        write(table, a=b"old")
        write(table, a=b"new")
        later = datetime.now(timezone.utc) + timedelta(days=30)
        monkeypatch.setattr(commit_vacuum, "_now", lambda fs, path: later)
        assert len(table.vacuum()) == 1
        with pytest.raises(FileNotFoundError, match="read the newest version"):
            table.snapshot(2).cat_file("a")
        assert table.snapshot().cat_file("a") == b"new"


def test_a_missing_bucket_is_not_put_down_to_vacuum() -> None:
    with new_table() as (table, fake, _):
        write(table, a=b"1")
        snapshot = table.snapshot()
        fake.fault = lambda request, _: s3_error(404, "NoSuchBucket")
        with pytest.raises(FileNotFoundError) as caught:
            snapshot.cat_file("a")
        assert "vacuum" not in str(caught.value)


@pytest.mark.parametrize("protocol", ["blockcache", "filecache", "simplecache"])
def test_caches_of_fsspec_read_a_snapshot(protocol: str, tmp_path: Path) -> None:
    content = period_free(3 * MIB, seed=1)
    with new_table() as (table, _, _server):
        write(table, **{"a/b": content})
        cache = fsspec.filesystem(
            protocol,
            fs=table.snapshot().filesystem(),
            cache_storage=str(tmp_path),
            skip_instance_cache=True,
        )
        with cache.open("a/b") as file:
            assert file.read(100) == content[:100]
            file.seek(2 * MIB)
            assert file.read() == content[2 * MIB :]
        assert cache.cat_file("a/b", 5, 10) == content[5:10]
        assert cache.cat(["a/b"])["a/b"] == content


def replaced_while_read(table: Table, fake: FakeS3) -> None:
    """Somebody replaces the object `a` behind the table's back, after its first bytes were read."""
    _, key, _ = table.fs.split_path(table.snapshot()["a"].path)
    asked: list[str] = []

    def fault(request: Request, _: FakeS3) -> None:
        asked.append(request.method)
        if len(asked) == 2:
            fake.put("bucket", key, b"rival")

    fake.fault = fault


def test_a_download_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    with new_table() as (table, fake, _server):
        write(table, a=period_free(30 * MIB, seed=1), b=b"")
        fs = table.snapshot().filesystem()
        (tmp_path / "here").write_bytes(b"old")
        replaced_while_read(table, fake)
        for target in ("here", "new"):
            with pytest.raises(ObjectChangedError):
                fs.get("a", str(tmp_path / target))
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"here": b"old"}
        fs.get("b", str(tmp_path / "d" / "here"))
        assert (tmp_path / "d" / "here").read_bytes() == b""


@pytest.mark.parametrize("protocol", ["filecache", "simplecache"])
def test_a_cache_of_whole_files_keeps_no_half_of_one(protocol: str, tmp_path: Path) -> None:
    with new_table() as (table, fake, _server):
        write(table, a=period_free(30 * MIB, seed=1))
        fs = table.snapshot().filesystem()
        replaced_while_read(table, fake)
        options: dict[str, Any] = {"cache_storage": str(tmp_path), "skip_instance_cache": True}
        cache = fsspec.filesystem(protocol, fs=fs, **options)
        for _ in range(2):
            with pytest.raises(ObjectChangedError), cache.open("a") as file:
                file.read()


@pytest.mark.parametrize("name", ["a:b", "CON", "..\\x"])
def test_a_name_that_windows_has_no_file_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_table() as (table, _fake, _server):
        write(table, **{name: b"1"})
        fs = table.snapshot().filesystem()
        monkeypatch.setattr(local_files, "WINDOWS", True)
        with pytest.raises(ValueError, match="cannot become a file"):
            fs.get_file(name, str(tmp_path / "here"))
        assert list(tmp_path.iterdir()) == []


def test_what_a_snapshot_knows_itself() -> None:
    with new_table() as (table, _, _server):
        write(table, a=b"12345")
        snapshot = table.snapshot()
        for opening in (snapshot.open, snapshot.filesystem().open):
            assert opening("a", size=2).read() == b"12345"
            with pytest.raises(TypeError, match="does not take if_match"):
                opening("a", if_match='"other"')
        for call in (snapshot.filesystem().to_json, snapshot.filesystem().to_dict):
            with pytest.raises(TypeError, match=r"pickle it, .*snapshot\(version\)"):
                call()


@pytest.mark.parametrize("read", READS[:-1])
def test_a_data_object_that_is_replaced_after_a_listing_is_an_error(read: Callable[[Snapshot], Any]) -> None:
    """What a listing has just told is no reason to open another version."""
    with new_table() as (table, fake, _):
        write(table, a=b"12345")
        snapshot = table.snapshot()
        table.fs.find(table.path)
        fake.put(*snapshot["a"].path.split("/", 1), b"54321")
        table.fs.find(table.path, refresh=True)
        with pytest.raises(ObjectChangedError):
            read(snapshot)


@pytest.mark.parametrize("read", READS[:-1])
def test_a_store_that_ignores_the_pin_is_found_out(read: Callable[[Snapshot], Any]) -> None:
    with new_table() as (table, fake, _):
        write(table, a=b"12345")
        snapshot = table.snapshot()
        fake.put(*snapshot["a"].path.split("/", 1), b"54321")
        fake.ignore_conditions = True
        with pytest.raises(ObjectChangedError):
            read(snapshot)


def test_an_object_of_the_same_etag_and_another_size_is_another() -> None:
    with new_table() as (table, fake, _):
        write(table, a=b"12345")
        snapshot = table.snapshot()
        slot = tuple(snapshot["a"].path.split("/", 1))
        fake.objects[slot] = replace(fake.objects[slot], body=b"1234567")
        for read in (READS[2], READS[-1]):
            with pytest.raises(ObjectChangedError):
                read(snapshot)


def test_it_is_read_only() -> None:
    with new_table() as (table, _, _server):
        write(table, a=b"1")
        snapshot = table.snapshot()
        for mode in ("wb", "ab", "r+b", "x"):
            with pytest.raises(ValueError, match="never changes"):
                snapshot.open("a", mode)
        fs = snapshot.filesystem()
        for call in (
            lambda: fs.pipe_file("a", b"2"),
            lambda: fs.open("a", "wb"),
            lambda: fs.rm("a"),
            lambda: fs.rm_file("a"),
            lambda: fs.mv("a", "b"),
            lambda: fs.cp_file("a", "b"),
            lambda: fs.touch("b"),
            lambda: fs.touch("a", truncate=False),
            lambda: fs.write_text("a", "2"),
            lambda: fs.pipe({"a": b"2"}),
            lambda: fs.put_file(__file__, "a"),
            lambda: fs.put(__file__, "b"),
            lambda: fs.copy("a", "b"),
            lambda: fs.rename("a", "b"),
            lambda: fs.delete("a"),
            lambda: fs.open("a", "r+b"),
            lambda: fs.open("a", "at"),
            lambda: fs.mkdir("d"),
            lambda: fs.makedirs("d/e"),
            lambda: fs.makedirs("d/e", exist_ok=True),
            lambda: fs.mkdirs(""),
            lambda: fs.rmdir(""),
        ):
            with pytest.raises(OSError) as caught:
                call()
            assert caught.value.errno == errno.EROFS
        fs.makedirs("", exist_ok=True)
        assert snapshot.cat_file("a") == b"1" and list(table.snapshot()) == ["a"]


@pytest.mark.parametrize("is_pickled", [False, True])
def test_the_attributes_of_its_files_are_not_changed(is_pickled: bool) -> None:
    """That would write the object anew, which this and other versions of the table have."""
    with new_table() as (table, fake, _server):
        write(table, a=b"123")
        snapshot = table.snapshot()
        before = dict(fake.objects)
        texts = snapshot.open("a", "r"), snapshot.filesystem().open("a", "r")
        for file in (
            snapshot.open("a"),
            texts[0].buffer,
            snapshot.filesystem().open("a"),
            texts[1].buffer,
            snapshot.filesystem().open("a", cache_type="readahead"),
        ):
            if is_pickled:
                file = pickle.loads(pickle.dumps(file))
            with pytest.raises(OSError, match="a snapshot never changes") as caught:
                file.setxattr(owner="me")
            assert caught.value.errno == errno.EROFS
            assert file.read() == b"123"
        assert fake.objects == before
        with table.fs.open(snapshot["a"].path) as file:  # of the store itself
            file.setxattr(owner="me")
            assert file.getxattr("owner") == "me"


def local_tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_trees_are_downloaded_as_from_the_store(tmp_path: Path) -> None:
    contents = {"a": b"1", "d/b": b"22", "d/e/c": b"333", "d/e": b"object and folder", "x[1]": b"4"}
    with new_table() as (table, _fake, server):
        write(table, **contents)
        table.fs.pipe({f"bucket/plain/{name}": content for name, content in contents.items()})
        fs = table.snapshot().filesystem()
        for number, (path, target, options) in enumerate(
            [
                ("", "new", {"recursive": True}),
                ("", ".", {"recursive": True}),
                ("d", "new", {"recursive": True}),
                ("d", ".", {"recursive": True}),
                ("d/", "new/", {"recursive": True}),
                ("d", "new", {"recursive": True, "maxdepth": 1}),
                ("d/*", "new/", {}),
                ("**", "new/", {}),
                (["a", "d/b"], "new/", {}),
                ("a", "new", {}),
                ("a", ".", {}),
                ("d", "new", {}),
            ]
        ):
            trees = []
            for kind, of in (("snapshot", fs), ("store", table.fs)):
                folder = tmp_path / f"{number}-{kind}" / "in"
                folder.mkdir(parents=True)
                full: Any = path
                if of is table.fs:
                    full = (
                        [f"bucket/plain/{p}" for p in path]
                        if isinstance(path, list)
                        else f"bucket/plain/{path}"
                    )
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    of.get(full, f"{folder}/{target}".replace("/.", ""), **options)
                trees.append(local_tree(folder))
            if path == "" and target == ".":  # the store's folder has a name, that of a snapshot has none
                trees[1] = {name.removeprefix("plain/"): data for name, data in trees[1].items()}
            assert trees[0] == trees[1], (path, target, options)
        assert server.requests


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("d/Readme", "d/README"), "would both become"),
        (("d/A/x", "d/a/y", "d/a/X"), "would both become"),
        (("d/caf\u00e9", "d/cafe\u0301"), "would both become"),
    ],
)
def test_what_cannot_be_files_is_refused_before_the_first_byte(
    names: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_table() as (table, _fake, server):
        write(table, **dict.fromkeys(names, b"1"))
        fs = table.snapshot().filesystem()
        (tmp_path / "down").mkdir()
        FoldingFolder(tmp_path / "down", monkeypatch)
        for path in ("d/", "d/**", [f for f in names if "up" not in f]):
            asked = len(server.requests)
            with pytest.raises(ValueError, match=words):
                fs.get(path, f"{tmp_path}/down/", recursive=path == "d/")
            assert len(server.requests) == asked
            assert local_tree(tmp_path) == {}


def test_a_filesystem_for_libraries(moto: MotoServer) -> None:
    store = new_store(moto)
    table = Table.create(store.fs, store.path("table"))
    assert table.snapshot().filesystem().ls("") == []
    write(table, a=b"1", **{"b/c": b"22", "b/d/e.csv": b"x\n1\n", "b/d/f": b""})
    fs = table.snapshot().filesystem()
    assert fs.ls("", detail=False) == ["a", "b"] and fs.ls("b/", detail=False) == ["b/c", "b/d"]
    assert fs.find("") == ["a", "b/c", "b/d/e.csv", "b/d/f"] and fs.find("b/d") == ["b/d/e.csv", "b/d/f"]
    assert fs.glob("b/**/*.csv") == ["b/d/e.csv"] and fs.ls("a", detail=False) == ["a"]
    assert fs.isdir("b") and fs.isdir("") and fs.isfile("b/c") and not fs.exists("zz") and fs.size("b/c") == 2
    assert fs.info("b/c") == {"name": "b/c", "size": 2, "type": "file", "ETag": table.snapshot()["b/c"].etag}
    assert list(fs.walk("b")) == [("b", ["d"], ["c"]), ("b/d", [], ["e.csv", "f"])]
    assert fs.cat(["a", "b/c"]) == {"a": b"1", "b/c": b"22"} and fs.cat_ranges(["b/c"], [1], [2]) == [b"2"]
    assert fs.du("") == 7 and fs.ukey("a") == table.snapshot()["a"].etag
    with fs.open("b/d/e.csv", "r") as file:
        assert file.readlines() == ["x\n", "1\n"]
    for call in (fs.info, fs.ls, fs.cat_file, fs.ukey):
        with pytest.raises(FileNotFoundError):
            call("zz")
    other = pickle.loads(pickle.dumps(fs))
    assert isinstance(other, SnapshotFileSystem) and other.find("") == fs.find("")
    assert "Snapshot 2" in repr(other)


@pytest.mark.parametrize("names", [["k", "k/a/b", "k/a"], ["k/a/b", "k/a", "k"]], ids=str)
def test_a_name_of_an_object_and_of_a_folder(names: list[str]) -> None:
    """As in the filesystem itself: docs/paths.md."""
    with new_table() as (table, _, _server):
        write(table, **dict.fromkeys(names, b"1"))
        fs = table.snapshot().filesystem()
        assert sorted(fs.find("")) == fs.glob("**") == ["k", "k/a", "k/a/b"]
        assert [(row["name"], row["type"]) for row in fs.ls("")] == [("k", "directory"), ("k", "file")]
        assert fs.ls("k", detail=False) == ["k/a", "k/a"] and fs.find("k/a") == ["k/a/b"]
        assert list(fs.walk("k")) == [("k", ["a"], ["a"]), ("k/a", [], ["b"])]
        assert (
            fs.info("k")["type"] == "file" and fs.isfile("k/a") and fs.isdir("k/a") and not fs.isdir("k/a/b")
        )
        assert fs.du("") == 3 and fs.isdir("") and not fs.isdir("none")


def test_a_name_that_is_there_is_no_pattern(tmp_path: Path) -> None:
    with new_table() as (table, _, _server):
        names = {"[x]": b"1", "x": b"2", "a*": b"3", "ab": b"4", "d[1]/e?": b"5", "d1/ef": b"6"}
        write(table, **names)
        fs = table.snapshot().filesystem()
        assert dict(fs.get_mapper("")) == names
        assert fs.cat("[x]") == b"1" and fs.cat("d[1]/e?") == b"5"
        assert fs.cat("[x-z]") == {"x": b"2"} and sorted(fs.cat("a?")) == ["a*", "ab"]
        assert fs.expand_path("d[1]", recursive=True) == ["d[1]", "d[1]/e?"]
        assert fs.expand_path("d[1]", recursive=True, maxdepth=1) == ["d[1]", "d[1]/e?"]
        assert fs.expand_path(["[x]", "a*", "d?"]) == ["[x]", "a*", "d1"]
        fs.get("d[1]", f"{tmp_path}/d", recursive=True)
        assert (tmp_path / "d" / "e?").read_bytes() == b"5"
        with pytest.raises(FileNotFoundError):
            fs.cat("[q]")


def test_pandas_and_pyarrow_read_a_snapshot(moto: MotoServer) -> None:
    pandas = pytest.importorskip("pandas")
    dataset = pytest.importorskip("pyarrow.dataset")
    store = new_store(moto)
    table = Table.create(store.fs, store.path("table"))
    with table.transaction() as t:
        for day in range(3):
            with t.open(f"days/{day}.parquet") as file:
                pandas.DataFrame({"day": [day], "n": [day * 10]}).to_parquet(file)
    old = table.snapshot()
    write(table, **{"days/0.parquet": None, "days/1.parquet": None, "days/2.parquet": None})
    fs = old.filesystem()
    assert pandas.read_parquet("days", filesystem=fs)["n"].tolist() == [0, 10, 20]
    assert dataset.dataset("days", filesystem=fs).to_table().num_rows == 3


@pytest.mark.parametrize(
    "path", ["days", "days/", "/days", "days/*.parquet", ["days/0.parquet", "days/1.parquet"]]
)
def test_dask_reads_a_snapshot(path: str | list[str], moto: MotoServer) -> None:
    pandas = pytest.importorskip("pandas")
    frames = pytest.importorskip("dask.dataframe")
    store = new_store(moto)
    table = Table.create(store.fs, store.path("table"))
    with table.transaction() as t:
        for day in range(2):
            with t.open(f"days/{day}.parquet") as file:
                pandas.DataFrame({"n": [day, 10]}).to_parquet(file)
    old = table.snapshot()
    write(table, **{"days/0.parquet": None})
    found = frames.read_parquet(path, filesystem=old.filesystem())["n"].sum()
    assert found.compute(scheduler="sync") == 21
    assert pickle.loads(pickle.dumps(old.filesystem())).ls("/", detail=False) == ["days"]


def test_a_slash_before_a_name_is_none_of_its_own() -> None:
    with new_table() as (table, _, _server):
        write(table, **{"a/b": b"1", "c": b"2"})
        fs = table.snapshot().filesystem()
        assert fs.find("/") == fs.find("") == ["a/b", "c"] and fs.find("/a/") == ["a/b"]
        assert fs.cat_file("/a/b") == fs.open("/a/b").read() == b"1" and fs.info("/a/b")["name"] == "a/b"
        assert (
            fs.isdir("/a")
            and fs.exists("/c")
            and not fs.exists("/d")
            and fs.cat(["/c", "a/b"])
            == {
                "c": b"2",
                "a/b": b"1",
            }
        )


def test_filesystems_of_snapshots_are_equal_if_their_snapshots_are() -> None:
    """dask takes equal ones for the same, in other processes too."""
    with new_table() as (table, _, _server), new_table() as (other, _, _other_server):
        for each in (table, other):
            write(each, a=b"1")
        fs, same = table.snapshot().filesystem(), table.snapshot(2).filesystem()
        assert fs == same == pickle.loads(pickle.dumps(fs)) and hash(fs) == hash(same)
        with ThreadPoolExecutor() as pool:
            assert pool.submit(table.snapshot(2).filesystem).result() == fs
        assert fs != other.snapshot().filesystem() and fs != table.snapshot(1).filesystem()
