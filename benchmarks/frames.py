"""The Parquet file of the benchmarks: 50 columns as a real table has them, and the checksum of a frame."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

COLUMNS = 50
_ROW_BYTES = 175  # of a row in the file, about; the last factor is found by writing
_GROUP_ROWS = 100_000


def write_parquet(path: Path, megabytes: int) -> None:
    """A file of about `megabytes` MB: measures, counters, times, categories and names, some missing."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    generator = np.random.default_rng(17)
    writer = None
    rows = 0
    with open(path, "wb") as file:
        while file.tell() < megabytes * 10**6:
            count = max(1000, min(_GROUP_ROWS, int((megabytes * 10**6 - file.tell()) / _ROW_BYTES)))
            table = pa.table({f"c{n:02d}": _column(n, count, rows, generator) for n in range(COLUMNS)})
            writer = writer or pq.ParquetWriter(file, table.schema, compression="snappy")
            writer.write_table(table)
            rows += count
        if writer:
            writer.close()


def _column(n: int, count: int, first: int, generator: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    kind = n % 6
    if kind == 0:
        return pa.array(generator.normal(size=count))
    if kind == 1:
        return pa.array(generator.integers(0, 10 ** (n % 9 + 1), count))
    if kind == 2:
        return pa.array(
            generator.normal(100, 15, count).astype("float32"), mask=generator.random(count) < 0.05
        )
    if kind == 3:
        times = np.datetime64("2026-01-01", "us") + np.arange(first, first + count) * 1_000_003
        return pa.array(times)
    if kind == 4:
        names = [f"category {i}" for i in range(n * 5)]
        return pa.array(names).take(pa.array(generator.integers(0, len(names), count)))
    return pa.array([f"{i:010x}" for i in generator.integers(0, 2**40, count)])


def load() -> None:
    """Have everything imported that reading Parquet through pandas imports."""
    import io

    import pandas as pd

    file = io.BytesIO(pd.DataFrame({"a": [1]}).to_parquet())
    pd.read_parquet(file)


class _Sum:
    """A file that only sums up."""

    closed = False

    def __init__(self) -> None:
        self.crc = 0

    def write(self, data: Any) -> int:
        self.crc = zlib.crc32(data, self.crc)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


def checksum_of(frame: Any) -> int:
    """The CRC32 of a frame's values as an Arrow stream."""
    import pyarrow as pa

    total = _Sum()
    table = pa.Table.from_pandas(frame).combine_chunks()
    with pa.ipc.new_stream(pa.PythonFile(total, mode="w"), table.schema) as writer:
        writer.write_table(table)
    return total.crc
