"""DuckDB reads and writes by URL through `register_filesystem`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3.integrations.duckdb import DuckDBFileSystem
from tests.fake_s3 import FakeS3
from tests.scripted_server import ScriptedServer
from tests.stores import Store

# DuckDB 1, the last for Python 3.10, takes no URL of another filesystem in ATTACH.
IS_NEW = int(duckdb.__version__.split(".")[0]) >= 2
NEW = pytest.mark.skipif(not IS_NEW, reason="DuckDB 1 attaches files of the system alone")

SUM = sum(range(1_000))
KINDS = [(0, 334), (1, 333), (2, 333)]


@pytest.fixture
def connection() -> Iterator[Any]:
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def db(connection: Any, store: Store) -> Any:
    connection.register_filesystem(store.fs)
    return connection


def failing_copy(db: Any, store: Store, target: str) -> None:
    """A COPY that fails after some megabytes of text."""
    broken = "SELECT CASE WHEN range < 1_500_000 THEN range ELSE error('no more') END FROM range(2_000_000)"
    with pytest.raises(duckdb.InvalidInputException, match="no more"):
        db.execute(f"COPY ({broken}) TO '{store.url('a.csv')}' ({target})")


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.csv.gz", "a.json"])
def test_copy_writes_what_select_reads(connection: Any, each_store: Store, name: str) -> None:
    connection.register_filesystem(each_store.fs)
    connection.execute(f"COPY (SELECT range AS n FROM range(1000)) TO '{each_store.url(name)}'")
    assert connection.execute(f"SELECT sum(n) FROM '{each_store.url(name)}'").fetchall() == [(SUM,)]
    assert each_store.fs.find(each_store.bucket) == [each_store.path(name)]
    assert each_store.pending() == []


def test_each_file_of_a_folder_is_one_request(connection: Any) -> None:
    """Though DuckDB opens each twice; it keeps what it reads, until the time of the object is another.

    What has only just been written it reads twice.
    """
    fake = FakeS3("bucket")
    connection.execute("SET threads = 2")

    def fill(first: int, hours: int) -> None:
        for n in range(5):
            written = io.BytesIO()
            pd.DataFrame({"n": range(first, first + 100)}).to_parquet(written)
            stored = fake.put("bucket", f"d/{n}.parquet", written.getvalue())
            then = stored.modified - timedelta(hours=hours)
            fake.objects["bucket", f"d/{n}.parquet"] = replace(stored, modified=then)

    with ScriptedServer(handler=fake) as server:
        options = {"key": "k", "secret": "s", "endpoint_url": server.url, "skip_instance_cache": True}
        connection.register_filesystem(DuckDBFileSystem(**options, recent_listings=60))
        for first, hours in ((0, 3), (1_000, 2)):
            fill(first, hours)
            seen = len(server.requests)
            found = connection.execute("SELECT max(n) FROM 's3://bucket/d/*.parquet'").fetchone()
            assert found == (first + 99,)
            assert [r.method for r in server.requests[seen:]] == ["GET"] * 6
            assert sum("list-type" in r.query for r in server.requests[seen:]) == 1


def test_parquet_of_duckdb_is_read_by_others_and_theirs_by_duckdb(db: Any, store: Store) -> None:
    db.execute(f"COPY (SELECT range AS n FROM range(1000)) TO '{store.url('duck.parquet')}'")
    assert pq.read_table(store.path("duck.parquet"), filesystem=store.fs)["n"].to_pylist() == list(
        range(1_000)
    )
    frame = pd.DataFrame({"n": range(1_000)})
    frame.to_parquet(store.url("pandas.parquet"), storage_options=store.options)
    assert db.execute(f"SELECT sum(n) FROM '{store.url('pandas.parquet')}'").fetchall() == [(SUM,)]


def test_a_large_file_is_read_by_several_threads(db: Any, store: Store) -> None:
    """Each thread reads its row groups; not one byte comes from a wrong place."""
    db.execute("SET threads = 4")
    rows = "SELECT range AS n, hash(range) AS h FROM range(600_000)"
    db.execute(f"COPY ({rows}) TO '{store.url('a.parquet')}' (ROW_GROUP_SIZE 50_000)")
    query = "SELECT count(*), sum(n), bit_xor(h) FROM {} WHERE h % 3 = 0"
    wanted = db.execute(query.format(f"({rows})")).fetchall()
    assert db.execute(query.format(f"'{store.url('a.parquet')}'")).fetchall() == wanted


def test_a_glob_finds_files_and_their_names(db: Any, store: Store) -> None:
    for number in range(3):
        db.execute(f"COPY (SELECT {number} AS n) TO '{store.url(f'd/{number}.csv')}'")
    found = db.execute(
        f"SELECT n, filename FROM read_csv('{store.url('d/*.csv')}', filename = true) ORDER BY n"
    )
    assert found.fetchall() == [(number, store.url(f"d/{number}.csv")) for number in range(3)]
    with pytest.raises(duckdb.IOException, match="No files found"):
        db.execute(f"SELECT * FROM '{store.url('none/*.csv')}'")


def test_a_hive_dataset_is_written_and_pruned(connection: Any, store: Store) -> None:
    """OVERWRITE_OR_IGNORE is needed for a new one: else DuckDB lists a folder that S3 cannot make empty."""
    connection.register_filesystem(DuckDBFileSystem(**store.options))
    db = connection
    rows = "SELECT range AS n, range % 3 AS kind FROM range(1000)"
    write = f"COPY ({rows}) TO '{store.url('set')}' (FORMAT parquet, PARTITION_BY (kind)"
    if IS_NEW:
        with pytest.raises(duckdb.Error, match="404"):
            db.execute(f"{write})")
        assert store.fs.find(store.bucket) == []
    db.execute(f"{write}, OVERWRITE_OR_IGNORE)")
    read = f"FROM read_parquet('{store.url('set/**/*.parquet')}', hive_partitioning = true)"
    assert db.execute(f"SELECT kind, count(*) {read} GROUP BY kind ORDER BY kind").fetchall() == KINDS
    assert db.execute(f"SELECT count(*) {read} WHERE kind = 1").fetchall() == [(333,)]
    with pytest.raises(duckdb.IOException, match="not empty"):
        db.execute(f"{write})")


def test_duckdb_changes_nothing_in_a_dataset_that_it_cannot_list(db: Any, store: Store) -> None:
    """With rows of `ls` that are names, `PARTITION_BY` is possible with OVERWRITE_OR_IGNORE only."""
    write = f"COPY (SELECT 1 AS n, 2 AS kind) TO '{store.url('set')}' (FORMAT parquet, PARTITION_BY (kind)"
    db.execute(f"{write}, OVERWRITE_OR_IGNORE)")
    before = store.fs.find(store.bucket, detail=True)
    for option in ("", ", OVERWRITE true"):
        with pytest.raises(duckdb.Error, match="TypeError"):
            db.execute(f"{write}{option})")
    assert store.fs.find(store.bucket, detail=True) == before


def test_a_copy_over_a_file_replaces_it_when_it_is_whole(db: Any, store: Store) -> None:
    """DuckDB writes beside it and moves; the move is a copy inside S3."""
    store.fs.pipe_file(store.path("a.csv"), b"old\n")
    db.execute(f"COPY (SELECT 1 AS n) TO '{store.url('a.csv')}'")
    assert store.fs.cat(store.bucket, recursive=True) == {store.path("a.csv"): b"n\n1\n"}


@pytest.mark.parametrize("old", [None, b"old\n"])
def test_a_copy_that_fails_with_a_temporary_file_leaves_what_was_there(
    db: Any, store: Store, old: bytes | None
) -> None:
    """USE_TMP_FILE: the key is never shown half, whatever happens."""
    if old is not None:
        store.fs.pipe_file(store.path("a.csv"), old)
    failing_copy(db, store, "USE_TMP_FILE true")
    assert store.fs.cat([store.path("a.csv")], on_error="omit") == (
        {} if old is None else {store.path("a.csv"): old}
    )
    assert store.fs.find(store.bucket) == ([] if old is None else [store.path("a.csv")])
    assert store.pending() == []


def test_a_copy_that_fails_leaves_nothing(db: Any, store: Store) -> None:
    """DuckDB closes its file and then removes it, so for a moment the key is there: see docs/tools.md."""
    failing_copy(db, store, "FORMAT csv")
    assert store.fs.find(store.bucket) == []
    assert store.pending() == []


@NEW
def test_a_database_file_is_not_changed(db: Any, store: Store, tmp_path: Any) -> None:
    """ATTACH opens "rb+", and wants its log to be there before it is closed: what fails changes nothing."""
    with pytest.raises(duckdb.Error, match="NoSuchKey"):
        db.execute(f"ATTACH '{store.url('none.duckdb')}' AS other")
    with duckdb.connect(str(tmp_path / "a.duckdb")) as local:
        local.execute("CREATE TABLE t AS SELECT range AS n FROM range(1000)")
    store.fs.put_file(str(tmp_path / "a.duckdb"), store.path("a.duckdb"))
    before = store.fs.info(store.path("a.duckdb"))["ETag"]
    db.execute(f"ATTACH '{store.url('a.duckdb')}' AS other")
    with pytest.raises(duckdb.Error, match=r"a\.duckdb\.wal"):
        db.execute("INSERT INTO other.t VALUES (1)")
    db.close()
    assert store.fs.find(store.bucket) == [store.path("a.duckdb")]
    assert store.fs.info(store.path("a.duckdb"))["ETag"] == before


@NEW
def test_a_database_file_is_attached_for_reading(db: Any, store: Store, tmp_path: Any) -> None:
    with duckdb.connect(str(tmp_path / "a.duckdb")) as local:
        local.execute("CREATE TABLE t AS SELECT range AS n FROM range(1000)")
    store.fs.put_file(str(tmp_path / "a.duckdb"), store.path("a.duckdb"))
    db.execute(f"ATTACH '{store.url('a.duckdb')}' AS other (READ_ONLY)")
    assert db.execute("SELECT sum(n) FROM other.t").fetchall() == [(SUM,)]


def test_a_filesystem_is_registered_under_its_protocols(db: Any, store: Store) -> None:
    assert db.filesystem_is_registered("gs3")
    assert isinstance(store.fs, GuardedS3FileSystem)
    db.unregister_filesystem("gs3")
    assert not db.filesystem_is_registered("gs3")
