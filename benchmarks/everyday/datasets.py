"""Makes what the everyday works read: `python -m benchmarks.everyday.datasets FOLDER SEED SCALE NAME...`.

Each data set is a folder below FOLDER, named as the data set is. A process of its own makes them, since the
server must be forked from one without threads.
"""

from __future__ import annotations

import gzip
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .shapes import Shapes

_WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "harbour", "Zürich", "Ærø", "naïve")


def _rows(generator: random.Random, size: int) -> str:
    """Lines of a CSV with a head, of about `size` characters."""
    lines = ["id,name,place,value,price,flag"]
    total = 0
    while total < size:
        name = generator.choice(_WORDS)
        place = f"{generator.choice(_WORDS)} {generator.randrange(10**6)}"
        figures = f"{generator.gauss(0, 1):.9f},{generator.uniform(1, 999):.2f},{generator.randrange(2)}"
        lines.append(f"{len(lines)},{name},{place},{figures}")
        total += len(lines[-1]) + 1
    return "\n".join(lines) + "\n"


def _csv(shapes: Shapes, folder: Path) -> None:
    text = _rows(random.Random(shapes.seed + 1), shapes.csv)
    (folder / "table.csv").write_text(text, encoding="utf-8")


def _lines(shapes: Shapes, folder: Path) -> None:
    generator = random.Random(shapes.seed + 2)
    with open(folder / "lines.bin", "wb") as file:
        for _ in range(shapes.lines):
            size = generator.randint(shapes.line // 10, shapes.line * 19 // 10)
            file.write(generator.randbytes(size).replace(b"\n", b"\0") + b"\n")


def _gzip_text(shapes: Shapes, folder: Path) -> None:
    text = _rows(random.Random(shapes.seed + 3), shapes.gzip_text)
    with gzip.open(folder / "text.csv.gz", "wt", compresslevel=6, encoding="utf-8") as file:
        file.write(text)


def _big(shapes: Shapes, folder: Path) -> None:
    (folder / "big.bin").write_bytes(random.Random(shapes.seed + 4).randbytes(shapes.big))


def _frame(generator: Any, rows: int) -> Any:
    import numpy as np
    import pandas as pd

    return pd.DataFrame(
        {
            "id": np.arange(rows) + int(generator.integers(10**9)),
            "count": generator.integers(0, 1000, rows),
            "value": generator.normal(size=rows),
            "price": generator.normal(100, 15, rows).round(2),
            "name": [_WORDS[n] for n in generator.integers(0, len(_WORDS), rows)],
        }
    )


def _tables(shapes: Shapes, folder: Path) -> None:
    import numpy as np

    generator = np.random.default_rng(shapes.seed + 5)
    for n in range(shapes.tables):
        _frame(generator, shapes.table_rows).to_parquet(folder / f"part-{n:04d}.parquet")


def _csv_parts(shapes: Shapes, folder: Path) -> None:
    generator = random.Random(shapes.seed + 6)
    for n in range(shapes.csv_parts):
        size = generator.randint(shapes.csv_part // 2, shapes.csv_part * 3 // 2)
        (folder / f"part-{n:04d}.csv").write_text(_rows(generator, size), encoding="utf-8")


def _chunks(shapes: Shapes, folder: Path) -> None:
    import numpy as np
    import zarr

    side = shapes.chunk_side
    shape = shapes.chunk_rows * side, shapes.chunk_columns * side
    array: Any = zarr.create_array(folder / "array.zarr", shape=shape, chunks=(side, side), dtype="f4")
    array[:] = np.random.default_rng(shapes.seed + 7).normal(size=shape).astype("f4")


def _files(seed: int, count: int, largest: int, folder: Path, names: Callable[[int], str]) -> None:
    generator = random.Random(seed)
    for n in range(count):
        path = folder / names(n)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(generator.randbytes(generator.randint(largest // 50, largest)))


def _singles(shapes: Shapes, folder: Path) -> None:
    _files(shapes.seed + 8, shapes.singles, shapes.small, folder, lambda n: f"single-{n:03d}.bin")


def _tree(shapes: Shapes, folder: Path) -> None:
    _files(shapes.seed + 9, shapes.tree, shapes.small, folder, lambda n: f"{n % 7}/{n % 3}/leaf-{n:03d}.bin")


DATASETS: dict[str, Callable[[Shapes, Path], None]] = {
    "csv": _csv,
    "lines": _lines,
    "gzip": _gzip_text,
    "big": _big,
    "tables": _tables,
    "csvs": _csv_parts,
    "chunks": _chunks,
    "singles": _singles,
    "tree": _tree,
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
