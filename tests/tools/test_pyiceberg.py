"""pyiceberg's files by our FileIO: tables, racing commits, and creates that are conditional.

Where pyiceberg is not installed, all of this is skipped.
"""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.stores import Store

pytest.importorskip("pyiceberg", reason="pyiceberg is not installed")
pytest.importorskip("sqlalchemy", reason="pyiceberg[sql-sqlite] is not installed")

ROWS = pa.table({"n": pa.array(range(10), pa.int64())})
OURS = "fsspec_guarded_s3.integrations.pyiceberg.GuardedFileIO"


@pytest.fixture
def properties(store: Store, tmp_path: Path) -> dict[str, str]:
    return {
        "uri": f"sqlite:///{tmp_path}/catalog.db",
        "warehouse": f"s3://{store.bucket}/warehouse",
        "py-io-impl": OURS,
        "s3.endpoint": store.options["endpoint_url"],
        "s3.access-key-id": store.options["key"],
        "s3.secret-access-key": store.options["secret"],
        "s3.region": "us-east-1",
    }


def test_a_table_is_created_appended_to_and_read(store: Store, properties: dict[str, str]) -> None:
    from pyiceberg.catalog.sql import SqlCatalog

    from fsspec_guarded_s3.integrations.pyiceberg import GuardedFileIO

    catalog = SqlCatalog("c", **properties)
    catalog.create_namespace("n")
    table = catalog.create_table("n.t", schema=ROWS.schema)
    assert isinstance(table.io, GuardedFileIO)
    table.append(ROWS)
    assert table.scan().to_arrow()["n"].to_pylist() == list(range(10))
    assert store.fs.glob(f"{store.bucket}/warehouse/**/*.parquet")
    assert store.pending() == []


def test_racing_appends_are_all_there_or_told(store: Store, properties: dict[str, str]) -> None:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.exceptions import CommitFailedException

    catalog = SqlCatalog("c", **properties)
    catalog.create_namespace("n")
    catalog.create_table("n.t", schema=ROWS.schema)
    done: list[int] = []

    def append(number: int) -> None:
        try:
            SqlCatalog("c", **properties).load_table("n.t").append(ROWS)
        except CommitFailedException:
            return
        done.append(number)

    threads = [threading.Thread(target=append, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done
    assert len(catalog.load_table("n.t").scan().to_arrow()) == 10 * len(done)


def test_create_is_conditional(store: Store, properties: dict[str, str]) -> None:
    """Two streams to one location: the second is refused, at the latest when it is closed."""
    from fsspec_guarded_s3.integrations.pyiceberg import GuardedFileIO

    io = pickle.loads(pickle.dumps(GuardedFileIO(properties)))
    location = f"s3://{store.bucket}/one"
    first, second = io.new_output(location).create(), io.new_output(location).create()
    first.write(b"first")
    second.write(b"second")
    first.close()
    with pytest.raises(FileExistsError):
        second.close()
    with pytest.raises(FileExistsError):
        io.new_output(location).create()
    assert io.new_input(location).open().read() == b"first"
    with io.new_output(location).create(overwrite=True) as stream:
        stream.write(b"third")
    assert store.fs.cat_file(store.path("one")) == b"third"
    io.delete(location)
    assert not io.new_input(location).exists()


def test_properties_are_options_or_refused() -> None:
    from fsspec_guarded_s3.integrations.pyiceberg import options_of

    given: dict[str, Any] = {
        "s3.endpoint": "http://127.0.0.1:9",
        "client.access-key-id": "shared",
        "s3.access-key-id": "a",
        "s3.secret-access-key": "b",
        "client.region": "eu-west-1",
        "s3.connect-timeout": "2.5",
        "s3.force-virtual-addressing": "true",
        "s3.server-side-encryption": "aws:kms",
        "s3.sse-kms-key-id": "id",
        "gs3.max-concurrency": "7",
        "gs3.allow_http": "true",
        "warehouse": "s3://bucket",
    }
    assert options_of(given) == {
        "endpoint_url": "http://127.0.0.1:9",
        "key": "a",
        "secret": "b",
        "region": "eu-west-1",
        "connect_timeout": 2.5,
        "addressing_style": "virtual",
        "s3_additional_kwargs": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "id"},
        "max_concurrency": 7,
        "allow_http": True,
    }
    for name in ("s3.signer", "s3.proxy-uri", "s3.role-arn"):
        with pytest.raises(ValueError, match=f"{name} is not possible here"):
            options_of({name: "x"})
