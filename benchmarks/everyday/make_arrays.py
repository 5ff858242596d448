"""Data sets that are arrays: npy, zarr in chunks, in shards and in a group, netCDF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .shapes import Shapes


def normal(seed: int, shape: tuple[int, ...]) -> Any:
    """Random single floats."""
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def npy(shapes: Shapes, folder: Path) -> None:
    np.save(folder / "array.npy", normal(shapes.seed + 16, (shapes.npy // 4000, 1000)))


def chunked(shapes: Shapes) -> Any:
    """The values of the array of many chunks."""
    side = shapes.chunk_side
    return normal(shapes.seed + 7, (shapes.chunk_rows * side, shapes.chunk_columns * side))


def chunks(shapes: Shapes, folder: Path) -> None:
    import zarr

    values, side = chunked(shapes), shapes.chunk_side
    array: Any = zarr.create_array(folder / "array.zarr", shape=values.shape, chunks=(side, side), dtype="f4")
    array[:] = values


def shards(shapes: Shapes, folder: Path) -> None:
    import zarr

    side, rows = shapes.chunk_side, shapes.shard_rows
    values = normal(shapes.seed + 17, (rows * side, 4 * side))
    array: Any = zarr.create_array(
        folder / "array.zarr", shape=values.shape, chunks=(side, side), shards=(side, 4 * side), dtype="f4"
    )
    array[:] = values


def group(shapes: Shapes, folder: Path) -> None:
    import zarr

    root: Any = zarr.open_group(folder / "group.zarr", mode="w")
    for n in range(shapes.group_arrays):
        array = root.create_array(f"array-{n:03d}", shape=(100 + n,), chunks=(50,), dtype="f4")
        array[:] = normal(shapes.seed + n, (100 + n,))
    zarr.consolidate_metadata(folder / "group.zarr")


def netcdf(shapes: Shapes, folder: Path) -> None:
    import xarray as xr

    height, width = shapes.grid
    for n in range(shapes.netcdfs):
        measures = {
            name: (("time", "y", "x"), normal(shapes.seed + 20 * n + k, (24, height, width)))
            for k, name in enumerate(("temperature", "pressure", "wind"))
        }
        coordinates = {"time": np.arange(24 * n, 24 * (n + 1)), "y": np.arange(height), "x": np.arange(width)}
        parts = {name: {"chunksizes": (6, height, width)} for name in measures}
        frame = xr.Dataset(measures, coordinates)
        frame.to_netcdf(folder / f"day-{n:02d}.nc", engine="h5netcdf", encoding=parts)
