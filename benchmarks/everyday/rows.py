"""The rows of the everyday table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ..work import EVERYDAY, Job, Work
from . import arrays, lines, tables, trees

_FSSPEC = ("local file", "ours", "s3fs", "obstore.fsspec", "pyarrow")
_ASYNC = ("ours", "s3fs", "obstore.fsspec", "obstore native")


def _row(
    name: str,
    title: str,
    dataset: str,
    call: Callable[[Job], Any],
    *modules: str,
    verb: str = "open",
    peers: tuple[str, ...] = _FSSPEC,
    once: tuple[str, ...] = ("pyarrow",),
) -> Work:
    return Work(
        name,
        title,
        verb,
        "digest",
        call,
        endpoint="near",
        peers=peers,
        rounds=5,
        once=once,
        group=EVERYDAY,
        datasets=(dataset,),
        modules=modules,
    )


_NEAR = (
    _row("text lines", "text lines of a CSV, {csv_mb} MB", "csv", lines.text),
    _row("binary lines", "{lines:,} binary lines", "lines", lines.binary),
    _row("gzip text", "gzip text", "gzip", lines.gzip_text),
    _row("read 8192", "`read(8192)` to the end, {csv_mb} MB", "csv", lines.reading(8192)),
    _row("read 65536", "`read(65536)`", "csv", lines.reading(65536)),
    _row("read 1 MiB", "`read(1 MiB)`", "csv", lines.reading(2**20)),
    _row("read big", "`read(8192)`, {big_mb} MB", "big", lines.reading_big(8192)),
    _row("read_csv", "`pd.read_csv`, {csv_mb} MB", "csv", tables.read_csv, "pandas"),
    _row(
        "parquet folder",
        "`pd.read_parquet` of a folder of {tables} files",
        "tables",
        tables.read_folder,
        "pandas",
        "pyarrow.dataset",
        "pyarrow.parquet",
    ),
    _row(
        "dask csv",
        "`dd.read_csv` of {csv_parts} files, the graph only",
        "csvs",
        tables.dask_csv,
        "dask.dataframe",
        verb="url",
    ),
    _row("zarr", "zarr 3, {chunks} chunks", "chunks", arrays.chunks, "zarr", verb="zarr_store", peers=_ASYNC),
    _row("opens", "{singles} small files, `open` and read", "singles", trees.opens),
    _row("get tree", "`get` of a tree of {tree} small files", "tree", trees.get),
    _row(
        "cat_ranges files",
        "`cat_ranges`, one range of each of {tree} files",
        "tree",
        trees.ranges,
        verb="small_ranges",
        peers=(*_FSSPEC, "obstore native"),
    ),
    _row("gather", "{tree} `_cat_file` in a gather", "tree", trees.gather, verb="gather", peers=_ASYNC),
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
    name, title = f"far {work.name}", f"100 ms: {work.title}"
    return dataclasses.replace(work, name=name, title=title, endpoint="far", rounds=3, peers=peers)


ROWS = (*_NEAR, *map(_from_afar, _NEAR))
# The works of `ROWS` that are left out unless they are asked for.
OPTIONAL = tuple(f"far {work.name}" for work in _NEAR if work.name not in _FAR)
