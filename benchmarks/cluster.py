"""The dask benchmark: partitions written as Parquet and read back by a cluster of two worker processes."""

from __future__ import annotations

import time
from typing import Any

from . import memory
from .peers import BUCKET
from .uploads import KEPT

WORKERS = 2
ROWS = 20_000


def partition(n: int) -> Any:
    """Partition `n`: the same for every peer."""
    import numpy as np
    import pandas as pd

    generator = np.random.default_rng(n)
    return pd.DataFrame(
        {
            "id": np.arange(n * ROWS, (n + 1) * ROWS),
            "count": generator.integers(0, 1000, ROWS),
            "value": generator.normal(size=ROWS),
            "price": generator.normal(100, 15, ROWS).round(2),
            "name": [f"{i:08x}" for i in generator.integers(0, 2**32, ROWS)],
        }
    )


def measure_dask(peer: Any, url: str, ca: str, partitions: int, key: str) -> dict[str, float]:
    """Write and read; CPU seconds are those of the workers, the peak is the larger one's."""
    import dask
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    place = f"{peer.protocol}://{BUCKET}/{KEPT}{key}"
    options = peer.storage_options(url, ca)
    source = dd.from_map(partition, range(partitions))
    with (
        dask.config.set({"distributed.admin.log-level": "error"}),
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.run(_ready, peer, url, ca)
        used = sum(client.run(time.process_time).values())
        client.run(memory.forget_peak)
        before = max(client.run(memory.resident).values())
        began = time.perf_counter()
        source.to_parquet(place, storage_options=options, write_index=False)
        found = dd.read_parquet(place, storage_options=options)
        rows, ids, counts = dask.compute(found.shape[0], found["id"].sum(), found["count"].sum())
        wall = time.perf_counter() - began
        cpu = sum(client.run(time.process_time).values()) - used
        peak = max(client.run(memory.peak).values())
    if rows != partitions * ROWS or ids != rows * (rows - 1) // 2:
        raise ValueError("other rows were read than were written")
    return {"wall": wall, "cpu": cpu, "peak": peak, "grown": peak - before, "check": int(counts)}


def _ready(peer: Any, url: str, ca: str) -> None:
    """Import what is needed in a worker before the clock starts."""
    import dask.dataframe  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    peer(url, ca).one_by_one(["small/warm-4096"])
