"""dask with a cluster of worker processes: dataframe, bag, array by URL; a worker that dies while it writes.

Datasets of several objects are published object by object; each of them is whole or not there.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from fsspec_guarded_s3 import ObjectChangedError
from tests.data import period_free
from tests.stores import MIB, Store

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
pd = pytest.importorskip("pandas")
da = pytest.importorskip("dask.array")
db = pytest.importorskip("dask.bag")
dd = pytest.importorskip("dask.dataframe")

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # dask's use of pandas

FRAME = pd.DataFrame({"n": range(1_000), "kind": ["xyz"[i % 3] for i in range(1_000)]})
Client = Any


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of two worker processes, which dask's verbs use from here on."""
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            host="127.0.0.1",
            local_directory=str(tmp_path_factory.mktemp("dask")),
        ) as workers,
        distributed.Client(workers) as client,
    ):
        yield client


def parts(store: Store, folder: str) -> list[str]:
    return [name.removeprefix(f"{store.bucket}/{folder}/") for name in store.fs.find(store.path(folder))]


def rows(frame: Any) -> list[int]:
    return sorted(frame.compute()["n"])


# --- dataframe -----------------------------------------------------------------------------------


def test_a_parquet_dataset_is_written_by_the_workers_and_read_back(cluster: Client, store: Store) -> None:
    frame = dd.from_pandas(FRAME, npartitions=4)
    frame.to_parquet(store.url("set"), write_metadata_file=True, storage_options=store.options)
    found = [f"part.{number}.parquet" for number in range(4)]
    assert parts(store, "set") == ["_common_metadata", "_metadata", *found]
    back = dd.read_parquet(store.url("set"), storage_options=store.options)
    assert list(back.compute()["n"]) == list(FRAME["n"])
    assert store.pending() == []


def test_a_parquet_dataset_is_appended_to_and_overwritten(cluster: Client, store: Store) -> None:
    first, second = dd.from_pandas(FRAME[:500], npartitions=2), dd.from_pandas(FRAME[500:], npartitions=2)
    first.to_parquet(store.url("set"), storage_options=store.options)
    second.to_parquet(store.url("set"), append=True, storage_options=store.options)
    assert rows(dd.read_parquet(store.url("set"), storage_options=store.options)) == list(FRAME["n"])
    second.to_parquet(store.url("set"), overwrite=True, storage_options=store.options)
    assert parts(store, "set") == ["part.0.parquet", "part.1.parquet"]
    assert rows(dd.read_parquet(store.url("set"), storage_options=store.options)) == list(range(500, 1_000))


def test_a_partitioned_dataset_is_filtered(cluster: Client, store: Store) -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    frame.to_parquet(store.url("set"), partition_on=["kind"], storage_options=store.options)
    assert parts(store, "set") == [f"kind={kind}/part.{i}.parquet" for kind in "xyz" for i in range(2)]
    back = dd.read_parquet(store.url("set"), filters=[("kind", "==", "y")], storage_options=store.options)
    assert rows(back) == list(range(1, 1_000, 3))


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "json"])
def test_text_formats_are_written_by_the_workers_and_read_back(
    cluster: Client, store: Store, kind: str
) -> None:
    frame, url = dd.from_pandas(FRAME, npartitions=3), store.url(f"set/*.{kind}")
    more: dict[str, Any] = {"storage_options": store.options}
    if kind == "json":
        frame.to_json(url, **more)
        back = dd.read_json(url, **more)
    else:
        packed = "gzip" if kind.endswith("gz") else None
        frame.to_csv(url, index=False, compression=packed, **more)
        back = dd.read_csv(url, blocksize=None if packed else 2_000, compression=packed, **more)
    assert parts(store, "set") == [f"{number}.{kind}" for number in range(3)]
    assert rows(back) == list(FRAME["n"])


def test_a_single_csv_is_put_together_by_appending(cluster: Client, store: Store) -> None:
    """Each worker appends its partition to the object that is there, in order."""
    frame = dd.from_pandas(FRAME, npartitions=3)
    frame.to_csv(store.url("one.csv"), single_file=True, index=False, storage_options=store.options)
    assert store.fs.cat_file(store.path("one.csv")) == FRAME.to_csv(index=False).encode()
    assert store.pending() == []


# --- bag and array -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_bag_is_written_as_text_and_read_back_in_blocks(cluster: Client, store: Store, suffix: str) -> None:
    lines = [f"line {i} ü" for i in range(300)]
    bag = db.from_sequence(lines, npartitions=3)
    bag.to_textfiles(store.url(f"text/*.txt{suffix}"), storage_options=store.options)
    more = {"storage_options": store.options, "blocksize": None if suffix else 500}
    found = db.read_text(store.url(f"text/*.txt{suffix}"), **more).compute()
    assert [line.rstrip("\n") for line in found] == lines


def test_an_array_is_written_to_zarr_and_read_back(cluster: Client, store: Store) -> None:
    pytest.importorskip("zarr", reason="zarr 3 is not installed")
    array = da.arange(6_400, chunks=800).reshape(80, 80)
    array.to_zarr(store.url("a.zarr"), storage_options=store.options)
    back = da.from_zarr(store.url("a.zarr"), storage_options=store.options)
    assert (back.compute() == array.compute()).all()
    assert store.pending() == []


# --- a worker that dies --------------------------------------------------------------------------


def long_lines(numbers: Iterator[int], options: dict[str, Any], bucket: str) -> Iterator[str]:
    """14 MiB of lines for each number. The worker that writes number 1 first is killed at 12 MiB."""
    fs = fsspec.filesystem("gs3", **options)
    for number in numbers:
        dice = random.Random(number)
        if number == 1 and fs.exists(f"{bucket}/killed"):
            target = fs.exists(f"{bucket}/text/1.txt")
            fs.pipe_file(f"{bucket}/seen-by-the-retry", str(target).encode())
        for megabyte in range(14):
            if number == 1 and megabyte == 12 and fs.put_if_absent(f"{bucket}/killed", b""):
                os.kill(os.getpid(), signal.SIGKILL)
            yield dice.randbytes(MIB // 2).hex()


def test_a_worker_killed_while_it_writes_publishes_nothing_and_its_task_completes(
    cluster: Client, store: Store
) -> None:
    """All parts are whole in the end. The dead worker left one upload, and `abort_uploads` removes it."""
    before = set(cluster.run(os.getpid).values())
    numbers = db.from_sequence(range(3), npartitions=3)
    bag = numbers.map_partitions(long_lines, store.options, store.bucket)
    bag.to_textfiles(store.url("text/*.txt"), storage_options=store.options)

    assert store.fs.exists(store.path("killed"))
    cluster.wait_for_workers(2, timeout=600)
    assert set(cluster.run(os.getpid).values()) != before
    assert store.fs.cat_file(store.path("seen-by-the-retry")) == b"False"
    for number in range(3):
        dice = random.Random(number)
        wanted = "\n".join(dice.randbytes(MIB // 2).hex() for _ in range(14)).encode()
        assert store.fs.cat_file(store.path(f"text/{number}.txt")) == wanted

    left = store.fs.list_uploads(store.bucket)
    assert [(upload["name"], upload["live"]) for upload in left] == [(store.path("text/1.txt"), False)]
    aborted = store.fs.abort_uploads(store.bucket, older_than=0)
    assert [upload["upload_id"] for upload in aborted] == [left[0]["upload_id"]]
    assert store.fs.list_uploads(store.bucket) == []
    assert parts(store, "text") == ["0.txt", "1.txt", "2.txt"]


class PartitionFailed(Exception):
    """The caller's own error."""


def failing_lines(numbers: Iterator[int]) -> Iterator[str]:
    for number in numbers:
        for megabyte in range(12):
            if number == 1 and megabyte == 11:
                raise PartitionFailed
            yield period_free(MIB // 2, seed=megabyte).hex()


def test_a_partition_that_fails_publishes_nothing_and_leaves_no_upload(cluster: Client, store: Store) -> None:
    bag = db.from_sequence(range(2), npartitions=2).map_partitions(failing_lines)
    with pytest.raises(PartitionFailed):
        bag.to_textfiles(store.url("text/*.txt"), storage_options=store.options)
    assert not store.fs.exists(store.path("text/1.txt"))
    assert store.fs.list_uploads(store.path("text/1.txt")) == []  # partition 0 may be under way still


# --- what goes to the workers --------------------------------------------------------------------


def token_of(thing: Any) -> Any:
    return dask.base.tokenize(thing)


def test_a_filesystem_has_one_token_in_all_processes(cluster: Client, store: Store) -> None:
    """A task that takes the filesystem is recognised as the same everywhere."""
    tokens = cluster.run(token_of, store.fs)
    assert len(tokens) == 2
    assert set(tokens.values()) == {token_of(store.fs)}


def read_on(file: Any, size: int) -> bytes:
    found: bytes = file.read(size)
    return found


def test_an_open_reader_goes_to_a_worker_with_its_position_and_its_pin(
    cluster: Client, store: Store, tmp_path: Path
) -> None:
    old = period_free(10_000)
    store.fs.pipe_file(store.path("a"), old)
    with store.fs.open(store.path("a"), block_size=100) as file:
        file.read(10)
        assert cluster.submit(read_on, file, 20, pure=False).result() == old[10:30]
        store.fs.pipe_file(store.path("a"), period_free(10_000, seed=1))
        with pytest.raises(ObjectChangedError) as caught:
            cluster.submit(read_on, file, 20, pure=False).result()
    assert caught.value.key == "a"


def test_a_dataset_is_written_and_read_by_threads_too(store: Store) -> None:
    """dask's own scheduler in this process: one filesystem, several threads."""
    with dask.config.set(scheduler="threads", num_workers=4):
        frame = dd.from_pandas(FRAME, npartitions=8)
        frame.to_parquet(store.url("set"), storage_options=store.options)
        back = dd.read_parquet(store.url("set"), storage_options=store.options)
        assert rows(back) == list(FRAME["n"])
