"""Arrays: zarr."""

from __future__ import annotations

from typing import Any

from ..work import Job

CONCURRENCY = 64


def chunks(job: Job) -> Any:
    import zarr

    with zarr.config.set({"async.concurrency": CONCURRENCY}):
        store = job.peer.zarr_store("every/chunks/array.zarr")
        array: Any = zarr.open_array(store, mode="r")
        return array[:]
