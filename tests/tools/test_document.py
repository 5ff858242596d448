"""docs/tools.md says what is true: its lines run as printed."""

from __future__ import annotations

from importlib import import_module

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.documents import DOCS, python_blocks, run
from tests.stores import Store

DOCUMENT = (DOCS / "tools.md").read_text()


@pytest.fixture(autouse=True)
def unregistered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the document registers is forgotten afterwards."""
    monkeypatch.setattr(GuardedS3FileSystem, "protocol", GuardedS3FileSystem.protocol)
    monkeypatch.setitem(import_module("fsspec.registry")._registry, "s3", GuardedS3FileSystem)
    monkeypatch.setattr(import_module("fsspec.generic"), "_generic_fs", {})


@pytest.mark.filterwarnings("ignore:The inplace keyword", "ignore:Consolidated metadata")
def test_examples_run_as_printed(store: Store) -> None:
    """All blocks in order in one namespace; only the endpoint and the bucket are the test's."""
    pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed")
    assert len(python_blocks(DOCUMENT)) == 14
    space = run(DOCUMENT, store)

    assert list(space["back"]["n"]) == list(range(1_000))
    assert store.fs.cat_file(store.path("log.csv")).count(b"\n") == 1_001
    assert space["total"] == sum(range(1_000))
    assert space["ones"]["n"].to_pylist() == list(range(1, 1_000, 3))
    assert space["small"]["n"].to_list() == list(range(10))
    assert space["lazy"].collect().item() == sum(range(1, 1_000, 3))
    assert space["count"] == (4_000,)
    assert (space["array"][:].sum(), space["column"].sum()) == (1_000, 800)
    assert space["opened"]["day"].values.tolist() == [0, 1, 2, 3]
    assert (space["names"], space["head"]) == (["a.txt"], b"hell")
    assert len(space["copied"]) == 1
    assert space["model"]["weights"].tolist() == list(range(10))
    assert space["sample"].tobytes() == store.fs.cat_file(store.path("rows.parquet"), 100, 500)
    assert (space["first"], space["second"]) == (0, 1)
    assert store.pending() == []
