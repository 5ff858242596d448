"""polars over file objects, and over pyarrow's datasets. It reads URLs itself and knows no gs3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pyarrow.dataset as ds
import pytest
from polars.testing import assert_frame_equal

from tests.stores import Store

FRAME = pl.DataFrame({"n": range(5_000), "text": [f"row {i} ü" for i in range(5_000)]})

FORMATS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "parquet": (FRAME.write_parquet, pl.read_parquet),
    "csv": (FRAME.write_csv, pl.read_csv),
    "ndjson": (FRAME.write_ndjson, pl.read_ndjson),
    "arrow": (FRAME.write_ipc, pl.read_ipc),
    "avro": (FRAME.write_avro, pl.read_avro),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_frame_comes_back_through_file_objects(each_store: Store, kind: str) -> None:
    write, read = FORMATS[kind]
    with each_store.fs.open(each_store.path("a"), "wb") as file:
        write(file)
    with each_store.fs.open(each_store.path("a")) as file:
        assert_frame_equal(read(file), FRAME)
    assert each_store.fs.find(each_store.bucket) == [each_store.path("a")]


def test_a_lazy_frame_is_streamed_into_a_file_and_scanned(store: Store) -> None:
    with store.fs.open(store.path("a.parquet"), "wb") as file:
        FRAME.lazy().filter(pl.col("n") < 100).sink_parquet(file)
    with store.fs.open(store.path("a.parquet")) as file:
        found = pl.scan_parquet(file).select(pl.col("n").sum()).collect()
    assert found.item() == sum(range(100))


def test_a_dataset_of_pyarrow_is_scanned_lazily(each_store: Store) -> None:
    """Filters and columns are pushed down: the way for datasets of many objects."""
    more = {"partition_cols": ["kind"], "filesystem": each_store.fs}
    frame = FRAME.with_columns(kind=pl.col("n") % 3)
    frame.write_parquet(each_store.path("set"), use_pyarrow=True, pyarrow_options=more)
    found = ds.dataset(each_store.path("set"), filesystem=each_store.fs, partitioning="hive")
    lazy = pl.scan_pyarrow_dataset(found).filter(pl.col("kind") == 1).select("n")
    assert sorted(lazy.collect()["n"]) == list(range(1, 5_000, 3))


class RowsFailed(Exception):
    """The caller's own error."""


def failing_rows(batch: pl.DataFrame) -> pl.DataFrame:
    raise RowsFailed


def test_a_frame_that_fails_to_be_written_publishes_nothing(store: Store) -> None:
    broken = FRAME.lazy().map_batches(failing_rows)
    with (
        pytest.raises((RowsFailed, pl.exceptions.ComputeError)),
        store.fs.open(store.path("a.parquet"), "wb") as file,
    ):
        broken.sink_parquet(file)
    store.assert_nothing_left("a.parquet")


def test_a_url_of_ours_is_none_that_polars_reads(store: Store) -> None:
    """It is an error, not another object."""
    with store.fs.open(store.path("a.parquet"), "wb") as file:
        FRAME.write_parquet(file)
    with pytest.raises(FileNotFoundError):
        pl.read_parquet(store.url("a.parquet"))
