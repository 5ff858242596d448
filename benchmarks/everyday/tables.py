"""Tables: pandas, dask."""

from __future__ import annotations

from typing import Any

from ..work import Job


def read_csv(job: Job) -> Any:
    return job.peer.read_csv("every/csv/table.csv")


def read_folder(job: Job) -> Any:
    return job.peer.read_parquet("every/tables", None)


def dask_csv(job: Job) -> Any:
    import dask.dataframe as dd

    frame = dd.read_csv(job.peer.url("every/csvs/*.csv"), storage_options=job.peer.options)
    return [frame.npartitions, list(frame.columns), [str(kind) for kind in frame.dtypes]]
