"""Sizes and shapes of the everyday works: drawn with a seed, so that nobody can tune to one of them."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Shapes:
    """How much of everything; sizes in bytes where a name says nothing else."""

    seed: int
    csv: int
    lines: int
    line: int  # the mean size of a line
    gzip_text: int  # before it is compressed
    json: int
    loopback: int  # a CSV that is read without delay
    written: int  # lines
    big: int
    records: int  # that are read of the big file, at random
    record: int
    tables: int
    table_rows: int
    csv_parts: int
    csv_part: int
    months: int  # files of a data set in partitions
    feather_rows: int
    pickle: int
    npy: int
    chunk_rows: int  # chunks in each direction of the zarr array
    chunk_columns: int
    chunk_side: int  # elements in each direction of one chunk
    shard_rows: int
    group_arrays: int
    netcdfs: int
    grid: tuple[int, int]
    singles: int
    tree: int
    listed: int  # of the tree
    members: int
    moved: int  # small files that are copied, moved, removed
    largest: int  # small file

    @classmethod
    def drawn(cls, seed: int, scale: float = 1.0) -> Shapes:
        """The shapes of `seed`, each some 12 % around its middle; counts and sizes multiplied by `scale`."""
        generator = random.Random(seed)

        def around(middle: float) -> int:
            return max(4, round(middle * scale * generator.uniform(0.88, 1.12)))

        chunk_rows = generator.randint(16, 25)
        return cls(
            seed=seed,
            csv=around(19e6),
            lines=around(2000),
            line=generator.randint(3500, 4500),
            gzip_text=around(10e6),
            json=around(6e6),
            loopback=around(300e6),
            written=around(150_000),
            big=around(100e6),
            records=around(60),
            record=generator.randint(8_000, 30_000),
            tables=around(60),
            table_rows=generator.randint(1500, 2500),
            csv_parts=around(60),
            csv_part=generator.randint(50_000, 90_000),
            months=around(50),
            feather_rows=around(300_000),
            pickle=around(8e6),
            npy=around(12e6),
            chunk_rows=max(2, round(chunk_rows * scale)),
            chunk_columns=400 // chunk_rows,
            chunk_side=generator.randint(90, 150),
            shard_rows=around(44),
            group_arrays=around(30),
            netcdfs=around(12),
            grid=(generator.randint(80, 120), generator.randint(80, 120)),
            singles=around(50),
            tree=around(200),
            listed=around(62),
            members=around(150),
            moved=around(20),
            largest=generator.randint(20_000, 60_000),
        )

    @property
    def chunks(self) -> int:
        """Of the zarr array."""
        return self.chunk_rows * self.chunk_columns
