"""pyarrow: datasets, Parquet, CSV, Feather and its own filesystem interface over ours."""

from __future__ import annotations

import datetime
import gc
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from fsspec_guarded_s3 import ObjectChangedError
from tests.data import period_free
from tests.scripted_server import eventually
from tests.stores import MIB, Store

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")
dataset = pytest.importorskip("pyarrow.dataset")
feather = pytest.importorskip("pyarrow.feather")
pafs = pytest.importorskip("pyarrow.fs")
pq = pytest.importorskip("pyarrow.parquet")

TABLE = pa.table({"n": range(6_000), "kind": [i % 3 for i in range(6_000)], "text": map(str, range(6_000))})
HIVE: dict[str, Any] = {"partitioning": ["kind"], "partitioning_flavor": "hive"}


def wrapped(store: Store) -> Any:
    return pafs.PyFileSystem(pafs.FSSpecHandler(store.fs))


def keys(store: Store, folder: str) -> list[str]:
    return [name.removeprefix(f"{store.bucket}/{folder}/") for name in store.fs.find(store.path(folder))]


# --- datasets ------------------------------------------------------------------------------------


def test_a_hive_dataset_is_written_and_pruned(each_store: Store) -> None:
    dataset.write_dataset(TABLE, each_store.path("set"), filesystem=each_store.fs, format="parquet", **HIVE)
    assert keys(each_store, "set") == [f"kind={kind}/part-0.parquet" for kind in range(3)]
    found = dataset.dataset(each_store.path("set"), filesystem=each_store.fs, partitioning="hive")
    assert found.count_rows() == TABLE.num_rows
    table = found.to_table(columns=["n"], filter=dataset.field("kind") == 1)
    assert sorted(table["n"].to_pylist()) == list(range(1, 6_000, 3))
    assert each_store.pending() == []


def test_existing_data_is_an_error_overwritten_or_deleted_as_asked(store: Store) -> None:
    def write(name: str, table: Any, behavior: str) -> None:
        more = {"basename_template": name + "-{i}.parquet", "existing_data_behavior": behavior}
        dataset.write_dataset(
            table, store.path("set"), filesystem=wrapped(store), format="parquet", **HIVE, **more
        )

    write("a", TABLE, "error")
    with pytest.raises(pa.ArrowInvalid, match="not empty"):
        write("b", TABLE, "error")
    write("b", TABLE.slice(0, 1), "delete_matching")  # one row: only the partition kind=0 is replaced
    assert keys(store, "set") == ["kind=0/b-0.parquet", "kind=1/a-0.parquet", "kind=2/a-0.parquet"]
    write("c", TABLE.slice(0, 1), "overwrite_or_ignore")
    assert keys(store, "set")[:2] == ["kind=0/b-0.parquet", "kind=0/c-0.parquet"]


def test_a_dataset_with_collected_metadata_is_opened_by_it(store: Store) -> None:
    collected: list[Any] = []
    pq.write_to_dataset(TABLE, store.path("set"), filesystem=store.fs, metadata_collector=collected)
    pq.write_metadata(
        TABLE.schema, store.path("set/_metadata"), metadata_collector=collected, filesystem=store.fs
    )
    found = dataset.parquet_dataset(store.path("set/_metadata"), filesystem=wrapped(store))
    assert found.to_table().sort_by("n").equals(TABLE)


def test_a_dataset_whose_rows_fail_publishes_nothing(store: Store) -> None:
    """The caller's exception comes out; no object and no upload is left."""

    def batches() -> Iterator[Any]:
        column = pa.array([period_free(MIB, seed=seed) for seed in range(12)])
        yield pa.record_batch([column], names=["blob"])
        raise KeyError("no more rows")

    schema = pa.schema([("blob", pa.binary())])
    with pytest.raises(KeyError, match="no more rows"):
        dataset.write_dataset(
            batches(), store.path("set"), schema=schema, filesystem=store.fs, format="parquet"
        )
    gc.collect()
    assert store.fs.find(store.bucket) == []
    eventually(lambda: store.pending() == [])  # pyarrow's threads may hold the file for a moment


# --- single files --------------------------------------------------------------------------------


def test_parquet_is_written_and_read_by_row_groups(each_store: Store) -> None:
    path, fs = each_store.path("t.parquet"), each_store.fs
    pq.write_table(TABLE, path, filesystem=fs, row_group_size=1_000)
    assert pq.read_metadata(path, filesystem=fs).num_row_groups == 6
    assert pq.read_schema(path, filesystem=fs).names == ["n", "kind", "text"]
    assert pq.read_table(path, filesystem=fs).equals(TABLE)
    with pq.ParquetFile(path, filesystem=fs) as file:
        assert file.read_row_group(5, columns=["n"])["n"].to_pylist() == list(range(5_000, 6_000))
    found = pq.read_table(path, filesystem=fs, filters=[("n", "<", 10)], columns=["text"])
    assert found["text"].to_pylist() == [str(i) for i in range(10)]


@pytest.mark.parametrize("pre_buffer", [False, True])
def test_columns_are_decoded_by_threads_over_one_file(store: Store, pre_buffer: bool) -> None:
    """pyarrow's threads share one handle, and every range is a request of its own."""
    pq.write_table(TABLE, store.path("t.parquet"), filesystem=store.fs, row_group_size=500)
    with store.fs.open(store.path("t.parquet"), cache_type="none") as file:
        assert pq.ParquetFile(file, pre_buffer=pre_buffer).read(use_threads=True).equals(TABLE)


def test_csv_and_feather_come_back(each_store: Store) -> None:
    with each_store.fs.open(each_store.path("t.csv"), "wb") as file:
        csv.write_csv(TABLE.select(["n", "kind"]), file)
    with each_store.fs.open(each_store.path("t.csv")) as file:
        assert csv.read_csv(file).equals(TABLE.select(["n", "kind"]))
    with each_store.fs.open(each_store.path("t.feather"), "wb") as file:
        feather.write_feather(TABLE, file)
    with each_store.fs.open(each_store.path("t.feather")) as file:
        assert feather.read_table(file, columns=["text"]).equals(TABLE.select(["text"]))


def test_a_parquet_writer_publishes_at_the_end_of_with(store: Store) -> None:
    with pq.ParquetWriter(store.path("t.parquet"), TABLE.schema, filesystem=store.fs) as writer:
        for start in range(0, TABLE.num_rows, 1_000):
            writer.write_table(TABLE.slice(start, 1_000))
        assert not store.fs.exists(store.path("t.parquet"))
    assert pq.read_table(store.path("t.parquet"), filesystem=store.fs).equals(TABLE)


def test_a_file_that_is_replaced_while_it_is_read_is_an_error(store: Store) -> None:
    """Row groups of two versions never meet in one table; the exception is ours, not one of pyarrow's."""
    path, small = store.path("t.parquet"), fsspec.filesystem("gs3", **store.options, block_size=1_000)
    table = pa.concat_tables([TABLE] * 3)  # of a distant store the first 64 KiB come when it is opened
    pq.write_table(table, path, filesystem=store.fs, row_group_size=500)
    with pq.ParquetFile(path, filesystem=small) as file:
        assert file.read_row_group(0).num_rows == 500
        pq.write_table(table.slice(1), path, filesystem=store.fs, row_group_size=500)
        with pytest.raises(ObjectChangedError):
            file.read_row_group(20)


# --- pyarrow's filesystem ------------------------------------------------------------------------


def test_the_wrapped_filesystem_tells_what_is_there(each_store: Store) -> None:
    fs, before = wrapped(each_store), datetime.datetime.now(datetime.timezone.utc)
    each_store.fs.pipe({each_store.path("d/a"): b"12", each_store.path("d/e/b"): b""})
    asked = [each_store.path(name) for name in ("d/a", "d", "none")]
    file, folder, nothing = fs.get_file_info(asked)
    assert (file.type, file.size) == (pafs.FileType.File, 2)
    assert abs(file.mtime - before) < datetime.timedelta(hours=1)
    assert (folder.type, nothing.type) == (pafs.FileType.Directory, pafs.FileType.NotFound)
    deep = fs.get_file_info(pafs.FileSelector(each_store.path("d"), recursive=True))
    assert sorted(info.path for info in deep) == [each_store.path(name) for name in ("d/a", "d/e", "d/e/b")]
    assert fs.get_file_info(pafs.FileSelector(each_store.path("none"), allow_not_found=True)) == []
    with pytest.raises(FileNotFoundError):
        fs.get_file_info(pafs.FileSelector(each_store.path("none")))


def test_the_wrapped_filesystem_copies_moves_and_removes(store: Store) -> None:
    fs = wrapped(store)
    fs.create_dir(store.path("d"))
    store.fs.pipe({store.path("d/a"): b"1", store.path("d/b"): b"2"})
    fs.copy_file(store.path("d/a"), store.path("c"))
    fs.move(store.path("d/b"), store.path("m"))
    fs.delete_file(store.path("c"))
    with pytest.raises(FileNotFoundError):
        fs.delete_file(store.path("c"))
    assert store.fs.cat(store.bucket, recursive=True) == {store.path("d/a"): b"1", store.path("m"): b"2"}
    fs.delete_dir(store.path("d"))
    with pytest.raises(FileNotFoundError):
        fs.delete_dir_contents(store.path("d"))
    fs.delete_dir_contents(store.path("d"), missing_dir_ok=True)
    assert store.fs.find(store.bucket) == [store.path("m")]


def test_the_wrapped_filesystem_streams(store: Store) -> None:
    fs = wrapped(store)
    with fs.open_output_stream(store.path("a")) as out:
        out.write(b"one ")
    with fs.open_append_stream(store.path("a")) as out:
        out.write(b"two")
    with fs.open_input_stream(store.path("a")) as file:
        assert file.read() == b"one two"
    with fs.open_input_file(store.path("a")) as file:
        assert (file.size(), file.read_at(3, 4), file.seek(1), file.read(2)) == (7, b"two", 1, b"ne")
    with pytest.raises(FileNotFoundError):
        fs.open_input_file(store.path("none"))


def test_an_output_stream_that_is_dropped_publishes_nothing(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    out = wrapped(store).open_output_stream(store.path("a"))
    out.write(b"half")
    del out
    gc.collect()
    assert "nothing was published" in caplog.text
    store.assert_nothing_left("a")


def test_the_wrapped_filesystem_is_pickled_and_compared(store: Store) -> None:
    store.fs.pipe_file(store.path("a"), b"12")
    clone = pickle.loads(pickle.dumps(wrapped(store)))
    assert clone == wrapped(store)
    assert clone.get_file_info(store.path("a")).size == 2


def test_trees_are_copied_to_a_local_folder(store: Store, tmp_path: Path) -> None:
    store.fs.pipe({store.path("d/a"): b"1", store.path("d/e/b"): b"2"})
    pafs.copy_files(
        store.path("d"),
        str(tmp_path / "out"),
        source_filesystem=wrapped(store),
        destination_filesystem=pafs.LocalFileSystem(),
    )
    found = {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"a": b"1", "e/b": b"2"}


def test_an_fsspec_uri_leads_to_us(store: Store) -> None:
    """`fsspec+gs3://` is pyarrow's own way; options come from the environment or fsspec's configuration."""
    fs, path = pafs.FileSystem.from_uri(f"fsspec+{store.url('d/a')}")
    assert (type(fs.handler.fs), path) == (type(store.fs), store.path("d/a"))
