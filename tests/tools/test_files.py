"""Libraries that take a file object: random `readinto` from threads and worker processes, numpy, joblib,
HDF5, tar and zip. What S3 cannot do (seeking in what is written) is an error that publishes nothing.
"""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pytest

from fsspec_guarded_s3 import ObjectChangedError
from tests.data import period_free
from tests.stores import Store

from .dataset import Samples

SIZE, COUNT = 1_500, 400
DATA = period_free(SIZE * COUNT)
ROWS = np.frombuffer(DATA, dtype="u1").reshape(COUNT, SIZE)


@pytest.fixture
def samples(store: Store) -> Samples:
    store.fs.pipe_file(store.path("samples.bin"), DATA)
    return Samples(store.fs, store.path("samples.bin"), SIZE, COUNT)


def shuffled(seed: int, count: int = 50) -> list[int]:
    return random.Random(seed).sample(range(COUNT), count)


# --- torch-style loading -------------------------------------------------------------------------


def test_threads_with_their_own_handles_read_into_buffers(samples: Samples) -> None:
    """Every sample is that of its index, whatever the others read meanwhile."""

    def work(seed: int) -> list[int]:
        with samples.open() as file:
            return [i for i in shuffled(seed) if (samples.read(file, i) != ROWS[i]).any()]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(8))) == [[]] * 8


@pytest.mark.parametrize("cache_type", ["none", "readahead", "bytes", "mmap", "blockcache", "background"])
def test_readinto_fills_what_there_is_with_every_cache(samples: Samples, cache_type: str) -> None:
    with samples.fs.open(samples.path, block_size=4_000, cache_type=cache_type) as file:
        for index in shuffled(1, 20):
            assert (samples.read(file, index) == ROWS[index]).all()
        floats = np.zeros(100, dtype="f8")  # a buffer of another item size
        file.seek(0)
        assert file.readinto(memoryview(floats)) == 800
        assert floats.tobytes() == DATA[:800]
        file.seek(-10, io.SEEK_END)
        assert file.readinto(floats) == 10
        assert file.readinto(floats) == 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_read_their_samples(store: Store, samples: Samples, method: str) -> None:
    """As a DataLoader does: the parent has read before, and hands the dataset to two workers."""
    given = {"options": store.options, "path": samples.path, "size": SIZE, "count": COUNT, "method": method}
    given["batches"] = [shuffled(seed, 30) for seed in range(4)]
    command = [sys.executable, "-m", "tests.tools.dataset"]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def test_samples_of_a_replaced_object_are_an_error(samples: Samples) -> None:
    assert (samples[3] == ROWS[3]).all()
    samples.fs.pipe_file(samples.path, DATA[::-1])
    with pytest.raises(ObjectChangedError):
        samples[4]


# --- to other processes --------------------------------------------------------------------------


def test_a_closure_over_a_filesystem_is_pickled_by_value(samples: Samples) -> None:
    fs, path = samples.fs, samples.path
    clone = cloudpickle.loads(cloudpickle.dumps(lambda start: fs.cat_file(path, start, start + 5)))
    assert clone(100) == DATA[100:105]


def test_joblib_workers_take_the_filesystem(samples: Samples) -> None:
    def size_of(fs: Any, path: str) -> tuple[str, int]:
        return type(fs).__name__, fs.size(path)

    found = joblib.Parallel(n_jobs=2)(joblib.delayed(size_of)(samples.fs, samples.path) for _ in range(4))
    assert found == [("GuardedS3FileSystem", len(DATA))] * 4


# --- files of libraries --------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("xz", 1)])
def test_joblib_dumps_and_loads(each_store: Store, compress: Any) -> None:
    model = {"weights": ROWS, "name": "grün"}
    with each_store.fs.open(each_store.path("model"), "wb") as file:
        joblib.dump(model, file, compress=compress)
    with each_store.fs.open(each_store.path("model")) as file:
        found = joblib.load(file)
    assert found["name"] == "grün"
    assert (found["weights"] == ROWS).all()


def test_numpy_saves_and_loads(store: Store) -> None:
    with store.fs.open(store.path("a.npy"), "wb") as file:
        np.save(file, ROWS)
    with store.fs.open(store.path("a.npz"), "wb") as file:
        np.savez(file, rows=ROWS, one=np.arange(3))
    with store.fs.open(store.path("a.npy")) as file:
        assert (np.load(file) == ROWS).all()
    with store.fs.open(store.path("a.npz")) as file, np.load(file) as arrays:
        assert (arrays["rows"] == ROWS).all()
        assert arrays["one"].tolist() == [0, 1, 2]


def test_tar_and_zip_are_written_and_read(store: Store) -> None:
    with store.fs.open(store.path("a.tar"), "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        member = tarfile.TarInfo("m")
        member.size = len(DATA)
        tar.addfile(member, io.BytesIO(DATA))
    with store.fs.open(store.path("a.zip"), "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("m", DATA)
    with store.fs.open(store.path("a.tar")) as file, tarfile.open(fileobj=file) as tar:
        member_file = tar.extractfile("m")
        assert member_file is not None
        assert member_file.read() == DATA
    with store.fs.open(store.path("a.zip")) as file, zipfile.ZipFile(file) as archive:
        assert archive.read("m") == DATA


def test_a_zip_that_fails_is_not_published(store: Store) -> None:
    """ZipFile writes its directory on the way out of an exception: a zip that looks whole would be there."""
    with (
        pytest.raises(KeyError),
        store.fs.open(store.path("a.zip"), "wb") as file,
        zipfile.ZipFile(file, "w") as archive,
    ):
        archive.writestr("first", "1")
        raise KeyError
    store.assert_nothing_left("a.zip")


def test_parts_of_hdf5_are_read(store: Store) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    local = io.BytesIO()
    with h5py.File(local, "w") as file:
        file.create_dataset("deep/rows", data=ROWS, chunks=(20, SIZE))
    store.fs.pipe_file(store.path("a.h5"), local.getvalue())
    with store.fs.open(store.path("a.h5"), block_size=16_384) as remote, h5py.File(remote) as file:
        assert (file["deep/rows"][123:125, 7:9] == ROWS[123:125, 7:9]).all()
        assert (file["deep/rows"][:] == ROWS).all()


def test_hdf5_cannot_be_written_in_place(store: Store) -> None:
    """It goes back in what it wrote. Write to a local file or a BytesIO, and put that."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with (
        pytest.raises(io.UnsupportedOperation, match="seek"),
        store.fs.open(store.path("a.h5"), "wb") as remote,
        h5py.File(remote, "w"),
    ):
        pass
    store.assert_nothing_left("a.h5")


@pytest.mark.parametrize("content", [b"", b"n\n1\n", bytes(21), bytes(300)])
def test_what_looks_from_the_end_takes_a_short_object_for_no_zip_as_a_local_file(
    store: Store, content: bytes
) -> None:
    """zipfile seeks 22 bytes back from the end, and takes an OSError for "too short"."""
    path = store.path("small")
    store.fs.pipe_file(path, content)
    with store.fs.open(path) as file:
        assert not zipfile.is_zipfile(file)
    with pytest.raises(zipfile.BadZipFile), store.fs.open(path, compression="zip") as file:
        file.read()


def test_a_seek_before_the_beginning_is_both_errors_and_goes_nowhere(store: Store) -> None:
    """A local file raises OSError there, `io.BytesIO` and fsspec's files ValueError."""
    path = store.path("small")
    store.fs.pipe_file(path, b"0123")
    with store.fs.open(path) as file:
        file.seek(2)
        for loc, whence in ((-1, 0), (-3, 1), (-5, 2)):
            for kind in (OSError, ValueError):
                with pytest.raises(kind, match="before the beginning"):
                    file.seek(loc, whence)
        with pytest.raises(ValueError, match="whence must be 0, 1 or 2, not 3"):
            file.seek(0, 3)
        assert file.read() == b"23"


def test_a_reader_is_one_text_in_a_cell_and_in_print(store: Store) -> None:
    path = store.path("small")
    store.fs.pipe_file(path, b"0123")
    with store.fs.open(path) as file:
        assert str(file) == repr(file) == f"<PinnedReader {file.path} etag={file.etag} size=4>"
