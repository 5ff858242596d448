"""Tables: pandas, dask, pyarrow's data sets, DuckDB; and a pickle."""

from __future__ import annotations

import pickle
from typing import Any

from ..work import Job


def read_csv(job: Job) -> Any:
    return job.peer.read_csv("every/csv/table.csv")


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

    frame = dd.read_csv(job.peer.url("every/csvs/*.csv"), storage_options=job.peer.options)
    return [frame.npartitions, list(frame.columns), [str(kind) for kind in frame.dtypes]]


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
        connection.register_filesystem(job.peer.fs)
        source = f"read_parquet('{job.peer.url(names)}', hive_partitioning = true)"
        asked = f"SELECT count(*), sum(count), min(id), max(id) FROM {source} {where}"
        return [int(figure) for figure in connection.execute(asked).fetchall()[0]]
