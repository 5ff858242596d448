"""Data sets that are tables: Parquet, CSV, feather, pickle."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np

from .make_files import WORDS, csv_text
from .shapes import Shapes


def frame(generator: Any, rows: int) -> Any:
    """`rows` rows of numbers and names."""
    import pandas as pd

    return pd.DataFrame(
        {
            "id": np.arange(rows) + int(generator.integers(10**9)),
            "count": generator.integers(0, 1000, rows),
            "value": generator.normal(size=rows),
            "price": generator.normal(100, 15, rows).round(2),
            "name": [WORDS[n] for n in generator.integers(0, len(WORDS), rows)],
        }
    )


def tables(shapes: Shapes, folder: Path) -> None:
    generator = np.random.default_rng(shapes.seed + 5)
    for n in range(shapes.tables):
        frame(generator, shapes.table_rows).to_parquet(folder / f"part-{n:04d}.parquet")


def csv_parts(shapes: Shapes, folder: Path) -> None:
    generator = random.Random(shapes.seed + 6)
    for n in range(shapes.csv_parts):
        size = generator.randint(shapes.csv_part // 2, shapes.csv_part * 3 // 2)
        (folder / f"part-{n:04d}.csv").write_text(csv_text(generator, size), encoding="utf-8")


def hive(shapes: Shapes, folder: Path) -> None:
    generator = np.random.default_rng(shapes.seed + 13)
    for n in range(shapes.months):
        path = folder / f"year={2020 + n % 5}" / f"month={n // 5 + 1}" / "part-0.parquet"
        path.parent.mkdir(parents=True)
        frame(generator, shapes.table_rows).to_parquet(path)


def feather(shapes: Shapes, folder: Path) -> None:
    made = frame(np.random.default_rng(shapes.seed + 14), shapes.feather_rows)
    made.to_feather(folder / "table.feather")


def pickled(shapes: Shapes, folder: Path) -> None:
    generator = np.random.default_rng(shapes.seed + 15)
    model = {
        "weights": [generator.normal(size=shapes.pickle // 64) for _ in range(8)],
        "vocabulary": {f"{WORDS[n % len(WORDS)]} {n}": n for n in range(shapes.pickle // 1000)},
    }
    with open(folder / "model.pickle", "wb") as file:
        pickle.dump(model, file, protocol=5)
