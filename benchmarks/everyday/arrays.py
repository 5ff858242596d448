"""Arrays: zarr, netCDF by xarray, npy."""

from __future__ import annotations

import random
from typing import Any

from ..uploads import KEPT
from ..work import Job
from .make_arrays import chunked
from .written import stored

CONCURRENCY = 64
_REFERENCES = 67


def chunks(job: Job, verb: str) -> Any:
    return _opened(job, verb, "every/chunks/array.zarr")[:]


def shard_column(job: Job, verb: str) -> Any:
    """The chunks of one column: a piece of each shard."""
    side = job.sizes.shapes.chunk_side
    return _opened(job, verb, "every/shards/array.zarr")[:, side : 2 * side]


def _opened(job: Job, verb: str, key: str) -> Any:
    import zarr

    zarr.config.set({"async.concurrency": CONCURRENCY})
    return zarr.open_array(getattr(job.peer, verb)(key), mode="r")


def consolidated(job: Job, verb: str) -> Any:
    import zarr

    store = getattr(job.peer, verb)("every/group/group.zarr")
    group: Any = zarr.open_group(store, mode="r", use_consolidated=True)
    return [[name, array.shape[0], str(array.dtype)] for name, array in sorted(group.arrays())]


def write(job: Job, verb: str) -> Any:
    import zarr

    zarr.config.set({"async.concurrency": CONCURRENCY})
    values, side = job.prepared, job.sizes.shapes.chunk_side
    store = getattr(job.peer, verb)(f"{KEPT}{job.key}", read_only=False)
    array: Any = zarr.create_array(store, shape=values.shape, chunks=(side, side), dtype="f4")
    array[:] = values
    return lambda: stored(job)


def to_write(job: Job) -> Any:
    """What `write` stores."""
    return chunked(job.sizes.shapes)


def netcdf(job: Job) -> Any:
    """One measure of one file."""
    import xarray as xr

    with job.peer.open("every/netcdf/day-00.nc") as file, xr.open_dataset(file, engine="h5netcdf") as found:
        return found["pressure"].to_numpy()


def netcdfs(job: Job) -> Any:
    """Some cells of all files, as one data set."""
    import xarray as xr

    keys = [f"every/netcdf/day-{n:02d}.nc" for n in range(job.sizes.shapes.netcdfs)]
    files = [job.peer.open(key) for key in keys]
    with xr.open_mfdataset(files, engine="h5netcdf", combine="by_coords") as found:
        return found["wind"].isel(y=slice(10, 20), x=slice(10, 20)).to_numpy()


def npy(job: Job) -> Any:
    import numpy as np

    with job.peer.open("every/npy/array.npy") as file:
        return np.load(file)


def references(job: Job) -> Any:
    """Ranges of a file by fsspec's reference filesystem, as kerchunk describes them."""
    import fsspec

    generator = random.Random(job.sizes.seed)
    shapes = job.sizes.shapes
    named = {}
    for n in range(_REFERENCES):
        url, size = job.peer.url("every/big/big.bin"), generator.randrange(1_000, 40_000)
        named[f"v/{n}"] = [url, generator.randrange(shapes.big - size), size]
    options = {"remote_protocol": job.peer.protocol, "remote_options": job.peer.options}
    found: dict[str, bytes] = fsspec.filesystem("reference", fo=named, **options).cat(list(named))
    return found
