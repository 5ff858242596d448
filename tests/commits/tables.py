"""A table on a store of the tests' own, for tests of tables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from fsspec_guarded_s3.integrations.commit import Table
from tests.commits.lost import Losing, losing
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer

PATH = "bucket/table"
ENTRY = "table/_log/{:020}.json"


@contextlib.contextmanager
def new_table(**options: Any) -> Iterator[tuple[Table, FakeS3, ScriptedServer]]:
    """A table, its store and its server."""
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        yield Table.create(filesystem(server.url, **options), PATH), fake, server


@contextlib.contextmanager
def losing_table() -> Iterator[tuple[Table, Losing]]:
    """A table on a store that loses answers as it is told to."""
    with losing() as (fs, store, _):
        yield Table.create(fs, PATH), store


def write(table: Table, **contents: bytes | None) -> int:
    """Publish these objects together, None removes one; the number of the version."""
    with table.transaction() as t:
        for name, content in contents.items():
            if content is None:
                t.rm_file(name)
            else:
                t.pipe_file(name, content)
    assert t.published is not None
    return t.published.version


def contents(table: Table, version: int | None = None) -> dict[str, bytes]:
    """What a reader sees."""
    snapshot = table.snapshot(version)
    return {name: snapshot.cat_file(name) for name in snapshot}


def data_of(fake: FakeS3) -> list[str]:
    """The data objects that are there, by their last part."""
    return sorted(key.split("/", 4)[4] for _, key in fake.objects if key.startswith("table/data/"))
