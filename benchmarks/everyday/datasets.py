"""Makes what the everyday works read: `python -m benchmarks.everyday.datasets FOLDER SEED SCALE NAME...`.

Each data set is a folder below FOLDER, named as the data set is. A process of its own makes them, since the
server must be forked from one without threads.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from . import make_arrays, make_files, make_tables
from .shapes import Shapes

DATASETS: dict[str, Callable[[Shapes, Path], None]] = {
    "csv": make_files.csv,
    "loopback": make_files.loopback,
    "lines": make_files.lines,
    "gzip": make_files.gzip_text,
    "json": make_files.json_lines,
    "big": make_files.big,
    "tar": make_files.tar,
    "zip": make_files.zipped,
    "singles": make_files.singles,
    "tree": make_files.tree,
    "tables": make_tables.tables,
    "csvs": make_tables.csv_parts,
    "hive": make_tables.hive,
    "feather": make_tables.feather,
    "pickle": make_tables.pickled,
    "npy": make_arrays.npy,
    "chunks": make_arrays.chunks,
    "shards": make_arrays.shards,
    "group": make_arrays.group,
    "netcdf": make_arrays.netcdf,
}


def main() -> None:
    """Make the data sets named on the command line."""
    root, seed, scale, *names = sys.argv[1:]
    shapes = Shapes.drawn(int(seed), float(scale))
    for name in names:
        folder = Path(root) / name
        folder.mkdir(parents=True)
        DATASETS[name](shapes, folder)


if __name__ == "__main__":
    main()
