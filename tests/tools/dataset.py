"""A torch-style dataset: samples of equal size in one object, each read into a buffer of its own."""

from __future__ import annotations

import json
import multiprocessing
import sys
from typing import Any

import numpy as np

from fsspec_guarded_s3 import GuardedS3FileSystem


class Samples:
    """Map-style: `len()` and `[index]`. Each process has a handle of its own."""

    def __init__(self, fs: Any, path: str, size: int, count: int) -> None:
        self.fs, self.path, self.size, self.count = fs, path, size, count
        self._file: Any = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        if self._file is None:
            self._file = self.open()
        return self.read(self._file, index)

    def open(self) -> Any:
        return self.fs.open(self.path, cache_type="none")

    def read(self, file: Any, index: int) -> Any:
        sample = np.empty(self.size, dtype="u1")
        file.seek(index * self.size)
        assert file.readinto(memoryview(sample)) == self.size
        return sample

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None}  # a worker opens its own


def fetch(work: tuple[Samples, list[int]]) -> list[bytes]:
    """What a worker does."""
    dataset, indexes = work
    return [dataset[index].tobytes() for index in indexes]


def main() -> None:
    """Two worker processes read samples of the dataset that this process has read from before.

    In an interpreter of its own: libraries that a test loads beside (polars, DuckDB) do not survive a fork.
    """
    given = json.load(sys.stdin)
    fs = GuardedS3FileSystem(**given["options"])
    samples = Samples(fs, given["path"], given["size"], given["count"])
    whole = fs.cat_file(given["path"])
    rows = [whole[i * samples.size : (i + 1) * samples.size] for i in range(samples.count)]
    assert samples[3].tobytes() == rows[3]
    with multiprocessing.get_context(given["method"]).Pool(2) as pool:
        found = pool.map(fetch, [(samples, batch) for batch in given["batches"]])
    assert found == [[rows[i] for i in batch] for batch in given["batches"]]
    assert samples[7].tobytes() == rows[7]


if __name__ == "__main__":
    main()
