"""Writing that fails publishes nothing and leaves no upload behind, whatever wraps the writer."""

import contextlib
import gc
from collections.abc import Callable
from typing import Any

import fsspec
import pytest

from tests.data import period_free

from .conftest import MIB, Store

LARGE = period_free(12 * MIB, seed=2)  # parts are on their way when it fails
TEXT = LARGE.hex()  # 24 MiB that gzip cannot take below two parts


class WritingFailed(Exception):
    """The caller's own error."""


def fs_open(store: Store) -> None:
    with store.fs.open(store.path("a"), "wb") as file:
        file.write(LARGE)
        raise WritingFailed


def fsspec_open(store: Store) -> None:
    with fsspec.open(store.url("a"), "wb", **store.options) as file:
        file.write(LARGE)
        raise WritingFailed


def text(store: Store) -> None:
    with store.fs.open(store.path("a"), "w") as file:
        file.write(TEXT)
        raise WritingFailed


def fsspec_text(store: Store) -> None:
    with fsspec.open(store.url("a"), "wt", **store.options) as file:
        file.write(TEXT)
        raise WritingFailed


def gzip(store: Store) -> None:
    with store.fs.open(store.path("a"), "wb", compression="gzip") as file:
        file.write(LARGE)
        raise WritingFailed


def fsspec_gzip(store: Store) -> None:
    with fsspec.open(store.url("a"), "wb", compression="gzip", **store.options) as file:
        file.write(LARGE)
        raise WritingFailed


def gzip_text(store: Store) -> None:
    with store.fs.open(store.path("a"), "wt", compression="gzip") as file:
        file.write(TEXT)
        raise WritingFailed


def closing(store: Store) -> None:
    with contextlib.closing(store.fs.open(store.path("a"), "wb")) as file:
        file.write(LARGE)
        raise WritingFailed


def try_finally(store: Store) -> None:
    file = store.fs.open(store.path("a"), "wb")
    try:
        file.write(LARGE)
        raise WritingFailed
    finally:
        file.close()


def small_bytes(store: Store) -> None:
    with store.fs.open(store.path("a"), "wb") as file:
        file.write(b"only a few")
        raise WritingFailed


class Unprintable:
    def __str__(self) -> str:
        raise WritingFailed

    __repr__ = __str__


def pandas_csv(store: Store) -> None:
    pd = pytest.importorskip("pandas")
    rows: list[Any] = list(range(200_000))
    frame = pd.DataFrame({"a": pd.Series([*rows, Unprintable()], dtype=object)})
    frame.to_csv(store.url("a"), storage_options=store.options, chunksize=1000)


def parquet_writer(store: Store) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table({"a": [LARGE[i : i + MIB] for i in range(0, len(LARGE), MIB)]})
    with store.fs.open(store.path("a"), "wb") as file, pq.ParquetWriter(file, table.schema) as writer:
        writer.write_table(table)
        raise WritingFailed


def parquet_writer_by_path(store: Store) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table({"a": [LARGE[i : i + MIB] for i in range(0, len(LARGE), MIB)]})
    with pq.ParquetWriter(store.path("a"), table.schema, filesystem=store.fs) as writer:
        writer.write_table(table)
        raise WritingFailed


WAYS = [
    fs_open,
    fsspec_open,
    text,
    fsspec_text,
    gzip,
    fsspec_gzip,
    gzip_text,
    closing,
    try_finally,
    small_bytes,
    pandas_csv,
    parquet_writer,
    parquet_writer_by_path,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_an_exception_publishes_nothing(store: Store, way: Callable[[Store], None]) -> None:
    with pytest.raises(WritingFailed):
        way(store)
    gc.collect()
    store.assert_nothing_left("a")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_an_exception_keeps_the_old_object(store: Store, way: Callable[[Store], None]) -> None:
    store.fs.pipe_file(store.path("a"), b"old")
    with pytest.raises(WritingFailed):
        way(store)
    gc.collect()
    assert store.fs.cat_file(store.path("a")) == b"old"


@pytest.mark.parametrize("mode, compression", [("wb", None), ("w", None), ("wb", "gzip"), ("wt", "gzip")])
def test_a_writer_that_is_dropped_publishes_nothing(
    store: Store, mode: str, compression: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    file = store.fs.open(store.path("a"), mode, compression=compression)
    file.write(LARGE if mode == "wb" else TEXT)
    del file
    gc.collect()
    assert "nothing was published" in caplog.text
    store.assert_nothing_left("a")


def test_a_failed_transaction_publishes_nothing(store: Store) -> None:
    with pytest.raises(WritingFailed), store.fs.transaction:
        with store.fs.open(store.path("a"), "wb") as file:
            file.write(LARGE)
        raise WritingFailed
    store.assert_nothing_left("a")


def test_a_transaction_publishes_at_its_end(store: Store) -> None:
    with store.fs.transaction:
        with store.fs.open(store.path("a"), "wb") as file:
            file.write(LARGE)
        assert not store.fs.exists(store.path("a"))
    assert store.fs.cat_file(store.path("a")) == LARGE
