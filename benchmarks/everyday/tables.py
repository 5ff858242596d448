"""Tables: pandas, dask, pyarrow's data sets, DuckDB; and a pickle."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from ..uploads import KEPT
from ..work import Job
from .make_tables import frame
from .written import stored


def read_csv(job: Job) -> Any:
    return job.peer.read_csv("every/csv/table.csv")


def read_csv_loopback(job: Job) -> Any:
    found = job.peer.read_csv("every/loopback/table.csv")
    return len(found), list(found.columns), int(found["id"].sum()), int(found["flag"].sum())


def to_write(job: Job) -> Any:
    """The table that `write_partitions` stores."""
    import pyarrow as pa

    return pa.Table.from_pandas(frame(np.random.default_rng(job.sizes.seed + 20), job.sizes.shapes.written))


def write_partitions(job: Job) -> Any:
    """A data set by pyarrow, one partition for each of the names."""
    import pyarrow.dataset as ds

    ds.write_dataset(
        job.prepared,
        job.peer.path(f"{KEPT}{job.key}/hive"),
        filesystem=job.peer.arrow(),
        format="parquet",
        basename_template="part-{i}.parquet",
        partitioning=["name"],
        partitioning_flavor="hive",
        use_threads=False,
    )
    return lambda: stored(job)


def read_folder(job: Job) -> Any:
    return job.peer.read_parquet("every/tables", None)


def read_feather(job: Job) -> Any:
    import pandas as pd

    with job.peer.open("every/feather/table.feather") as file:
        return pd.read_feather(file)


def read_pickle(job: Job) -> Any:
    with job.peer.open("every/pickle/model.pickle") as file:
        return pickle.load(file)


def schemas(job: Job) -> Any:
    """The footers of Parquet files, one after the other."""
    import pyarrow.parquet as pq

    found = []
    for n in range(job.sizes.shapes.tables // 2):
        with job.peer.open(f"every/tables/part-{n:04d}.parquet") as file:
            found.append(pq.ParquetFile(file).metadata.num_rows)
    return found


def dask_csv(job: Job) -> Any:
    import dask.dataframe as dd

    found = dd.read_csv(job.peer.url("every/csvs/*.csv"), storage_options=job.peer.options)
    return [found.npartitions, list(found.columns), [str(kind) for kind in found.dtypes]]


def arrow_partitions(job: Job) -> Any:
    """Two columns of one year of a data set in partitions."""
    import pyarrow.dataset as ds

    found = ds.dataset(
        job.peer.path("every/hive"), filesystem=job.peer.arrow(), format="parquet", partitioning="hive"
    )
    table: Any = found.to_table(columns=["id", "value", "month"], filter=ds.field("year") == 2022)
    return table.sort_by("id")


def duckdb_folder(job: Job) -> Any:
    return _duckdb(job, "every/tables/*.parquet", "")


def duckdb_partitions(job: Job) -> Any:
    return _duckdb(job, "every/hive/**/*.parquet", "WHERE year = 2021")


def _duckdb(job: Job, names: str, where: str) -> Any:
    import duckdb

    with duckdb.connect() as connection:
        connection.register_filesystem(job.peer.for_duckdb())
        source = (
            f"read_parquet('{job.peer.duckdb_protocol}://{job.peer.path(names)}', hive_partitioning = true)"
        )
        asked = f"SELECT count(*), sum(count), min(id), max(id) FROM {source} {where}"
        return [int(figure) for figure in connection.execute(asked).fetchall()[0]]
