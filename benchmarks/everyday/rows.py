"""The rows of the everyday table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from ..work import EVERYDAY, Job, Work
from . import arrays, lines, tables, trees, written

_STORES = ("ours", "s3fs", "obstore.fsspec", "pyarrow")
_FSSPEC = ("local file", *_STORES)
_READERS = (*_FSSPEC, "obstore native")
_URLS = ("local file", "ours", "s3fs", "obstore.fsspec")
_ASYNC = ("ours", "s3fs", "obstore.fsspec", "obstore native")
_PARQUET = ("pandas", "pyarrow.dataset", "pyarrow.parquet")


def _row(
    name: str,
    title: str,
    dataset: str,
    call: Callable[[Job], Any],
    *modules: str,
    verb: str = "open",
    peers: tuple[str, ...] = _FSSPEC,
    ready: Callable[[Job], object] | None = None,
) -> Work:
    return Work(
        name,
        title,
        verb,
        "digest",
        call,
        endpoint="near",
        peers=peers,
        rounds=3,
        once=("pyarrow",),
        group=EVERYDAY,
        datasets=(dataset,) if dataset else (),
        modules=modules,
        ready=ready,
    )


def _zarr(kind: str, verb: str, peers: tuple[str, ...]) -> tuple[Work, ...]:
    """The works of zarr, by the stores that the peers' `verb` makes."""
    told = ", own store" if kind else ""
    works = (
        ("zarr", "{chunks} chunks", "chunks", arrays.chunks),
        ("zarr shards", "a column of {shard_rows} shards", "shards", arrays.shard_column),
        ("zarr group", "a consolidated group", "group", arrays.consolidated),
        ("zarr write", "{chunks} chunks written", "", arrays.write),
    )
    return tuple(
        _row(
            name + kind,
            f"zarr 3{told}, {title}",
            dataset,
            partial(call, verb=verb),
            "zarr",
            verb=verb,
            peers=peers,
            ready=arrays.to_write if call is arrays.write else None,
        )
        for name, title, dataset, call in works
    )


_TEXT = (
    _row("text lines", "text lines of a CSV, {csv_mb} MB", "csv", lines.text),
    _row("binary lines", "{lines:,} binary lines", "lines", lines.binary, peers=_URLS),
    _row("gzip text", "gzip text", "gzip", lines.gzip_text),
    _row("gzip lines", "`for line in` a gzip", "gzip", lines.gzip_lines),
    _row("json lines", "JSON lines", "json", lines.json_lines),
    _row("read 8192", "`read(8192)` to the end, {csv_mb} MB", "csv", lines.reading(8192), peers=_READERS),
    _row("read 65536", "`read(65536)`", "csv", lines.reading(65536), peers=_READERS),
    _row("read 1 MiB", "`read(1 MiB)`", "csv", lines.reading(2**20), peers=_READERS),
    _row(
        "read big",
        "`read(8192)`, {big_mb} MB",
        "big",
        lines.reading_big(8192),
        peers=(*_URLS, "obstore native"),
    ),
    _row("records", "{records} random records, `readinto`", "big", lines.records),
    _row(
        "strides",
        "some bytes of every 100 kB of {big_mb} MB, to its middle",
        "big",
        lines.strides,
        peers=_URLS,
    ),
    _row("tar", "a tenth of the {members} members of a tar", "tar", lines.tar_members),
    _row("zip", "a tenth of the {members} members of a zip", "zip", lines.zip_members),
)
_WRITING = (
    _row(
        "write lines",
        "{written:,} lines of text written",
        "",
        lines.write,
        peers=_STORES,
        ready=lines.to_write,
    ),
    _row(
        "write partitions",
        "pyarrow, a data set of 11 partitions written",
        "",
        tables.write_partitions,
        *_PARQUET,
        verb="arrow",
        peers=_STORES,
        ready=tables.to_write,
    ),
)
_TABLES = (
    _row("read_csv", "`pd.read_csv`, {csv_mb} MB", "csv", tables.read_csv, "pandas"),
    _row("feather", "`pd.read_feather`", "feather", tables.read_feather, "pandas", "pyarrow.feather"),
    _row("pickle", "`pickle.load`", "pickle", tables.read_pickle, "numpy"),
    _row(
        "parquet folder",
        "`pd.read_parquet` of a folder of {tables} files",
        "tables",
        tables.read_folder,
        *_PARQUET,
    ),
    _row("parquet footers", "the footers of half of them", "tables", tables.schemas, "pyarrow.parquet"),
    _row(
        "arrow partitions",
        "pyarrow, one of 5 years",
        "hive",
        tables.arrow_partitions,
        *_PARQUET,
        verb="arrow",
    ),
    _row(
        "duckdb folder", "DuckDB over {tables} files", "tables", tables.duckdb_folder, "duckdb", peers=_URLS
    ),
    _row(
        "duckdb partitions", "DuckDB, one of 5 years", "hive", tables.duckdb_partitions, "duckdb", peers=_URLS
    ),
    _row(
        "dask csv",
        "`dd.read_csv` of {csv_parts} files, the graph only",
        "csvs",
        tables.dask_csv,
        "dask.dataframe",
        peers=_URLS,
    ),
)
_ARRAYS = (
    *_zarr("", "zarr_store", _ASYNC),
    *_zarr(" own", "own_zarr_store", ("ours", "obstore native")),
    _row("netcdf", "xarray, one of 3 measures of a file", "netcdf", arrays.netcdf, "xarray", "h5netcdf"),
    _row(
        "netcdfs",
        "`xr.open_mfdataset` of {netcdfs} files, some cells",
        "netcdf",
        arrays.netcdfs,
        "xarray",
        "h5netcdf",
        "dask.array",
    ),
    _row("npy", "`np.load`", "npy", arrays.npy, "numpy"),
    _row(
        "references",
        "67 ranges by the reference filesystem",
        "big",
        arrays.references,
        "fsspec.implementations.reference",
        peers=_URLS,
    ),
)
_TREES = (
    _row(
        "opens", "{singles} small files, `open` and read", "singles", trees.opens, verb="read", peers=_READERS
    ),
    _row("looks", "{singles} small files, `exists` and `cat_file`", "singles", trees.looks),
    _row("get tree", "`get` of a tree of {tree} small files", "tree", trees.get),
    _row("get list", "`get` of a list of {listed} small files", "tree", trees.get_list),
    _row("put tree", "`put` of a tree of {tree} small files", "tree", trees.put_tree, peers=_STORES),
    _row("cat tree", "`find` and `cat` of the tree", "tree", trees.cat_tree, peers=_STORES),
    _row(
        "cat_ranges files",
        "`cat_ranges`, one range of each of {tree} files",
        "tree",
        trees.ranges,
        verb="small_ranges",
        peers=_READERS,
    ),
    _row("gather", "{tree} `_cat_file` in a gather", "tree", trees.gather, verb="gather", peers=_ASYNC),
    _row("open_files", "`open_files` of {tree} names, not read", "tree", trees.open_files, peers=_URLS),
    _row("walk", "`walk` of the tree", "tree", trees.walk),
    _row("cp", "`cp` of {moved} objects", "", trees.copy, peers=_STORES, ready=written.put),
    _row(
        "mv", "`mv` of {moved} objects, one after the other", "", trees.move, peers=_STORES, ready=written.put
    ),
    _row("rm", "`rm` of {moved} objects", "", trees.remove, peers=_STORES, ready=written.put),
)
_NEAR = (*_TEXT, *_TABLES, *_ARRAYS, *_TREES, *_WRITING)
# What a program gains or loses by a store beside it: nothing but the way of the bytes.
_LOOPBACK = (
    _row("loopback lines", "no delay: text lines, {loopback_mb} MB", "loopback", lines.loopback, peers=_URLS),
    _row(
        "loopback csv",
        "no delay: `pd.read_csv`, {loopback_mb} MB",
        "loopback",
        tables.read_csv_loopback,
        "pandas",
        peers=_URLS,
    ),
)

# What is measured with a round trip of 100 ms as well, unless all is asked for.
_FAR = (
    "text lines",
    "read 8192",
    "read_csv",
    "parquet folder",
    "zarr",
    "opens",
    "cat_ranges files",
    "gather",
)


def _from_afar(work: Work) -> Work:
    peers = tuple(peer for peer in work.peers if peer not in work.once)
    name, title = f"far {work.name}", f"{{far_ms:g}} ms: {work.title}"
    return dataclasses.replace(work, name=name, title=title, endpoint="far", rounds=3, peers=peers)


ROWS = (
    *_NEAR,
    *map(_from_afar, _NEAR),
    *(dataclasses.replace(work, endpoint="http") for work in _LOOPBACK),
)
# The works of `ROWS` that are left out unless they are asked for.
OPTIONAL = tuple(f"far {work.name}" for work in _NEAR if work.name not in _FAR)
