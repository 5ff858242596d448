"""pandas and pyarrow reach the stores by URL."""

import pytest

from .conftest import Store

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


@pytest.fixture
def frame() -> "pd.DataFrame":
    return pd.DataFrame({"a": range(50_000), "b": [f"row {i}" for i in range(50_000)]})


def test_parquet_comes_back(store: Store, frame: "pd.DataFrame") -> None:
    frame.to_parquet(store.url("f.parquet"), storage_options=store.options)
    found = pd.read_parquet(store.url("f.parquet"), storage_options=store.options)
    pd.testing.assert_frame_equal(found, frame)
    assert store.pending() == []


def test_one_column_of_parquet_comes_back(store: Store, frame: "pd.DataFrame") -> None:
    frame.to_parquet(store.url("f.parquet"), storage_options=store.options)
    found = pd.read_parquet(store.url("f.parquet"), columns=["a"], storage_options=store.options)
    pd.testing.assert_frame_equal(found, frame[["a"]])
    assert list(found.columns) == ["a"]


@pytest.mark.parametrize("name", ["f.csv", "f.csv.gz"])
def test_csv_comes_back(store: Store, frame: "pd.DataFrame", name: str) -> None:
    frame.to_csv(store.url(name), index=False, storage_options=store.options)
    found = pd.read_csv(store.url(name), storage_options=store.options)
    pd.testing.assert_frame_equal(found, frame)
    assert store.fs.ls(store.bucket, detail=False) == [store.path(name)]
