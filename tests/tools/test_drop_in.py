"""After `register("s3")` code that was written for s3fs keeps its URLs and its options, tool by tool.

Each script runs in a fresh interpreter, since a registration lasts as long as the process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from tests.stores import Store

PREFACE = """
    import json, sys
    import fsspec_guarded_s3
    fsspec_guarded_s3.register("s3")
    bucket, options = json.loads(sys.argv[1])

    def ours(fs):
        assert type(fs).__name__ == "GuardedS3FileSystem", fs
        return fs
"""

# pyarrow's I/O threads let go of Python files a moment after the last read. A process that ends meanwhile
# aborts ("terminate called without an active exception"), with every fsspec filesystem, that of memory too.
ENDING = """
    import time
    time.sleep(1.0)
"""

FSSPEC = """
    import fsspec
    with fsspec.open(f"s3://{bucket}/a.txt.gz", "wt", compression="gzip", **options) as file:
        file.write("text")
    fs, path = fsspec.url_to_fs(f"s3://{bucket}/a.txt.gz", **options)
    assert ours(fs).ls(f"s3://{bucket}", detail=False) == [path] == [f"{bucket}/a.txt.gz"]
    with fsspec.open(f"s3://{bucket}/a.txt.gz", "rt", compression="gzip", **options) as file:
        assert file.read() == "text"
"""

PANDAS = """
    import fsspec, pandas as pd
    frame = pd.DataFrame({"n": range(100)})
    frame.to_parquet(f"s3://{bucket}/a.parquet", storage_options=options)
    frame.to_csv(f"s3://{bucket}/a.csv", index=False, storage_options=options)
    assert pd.read_parquet(f"s3://{bucket}/a.parquet", storage_options=options).equals(frame)
    assert pd.read_csv(f"s3a://{bucket}/a.csv", storage_options=options).equals(frame)
    ours(fsspec.filesystem("s3", **options))
"""

DASK = """
    import dask, dask.bag as db, dask.dataframe as dd, pandas as pd
    dask.config.set(scheduler="threads")
    frame = pd.DataFrame({"n": range(100)})
    dd.from_pandas(frame, npartitions=3).to_parquet(f"s3://{bucket}/set", storage_options=options)
    back = dd.read_parquet(f"s3://{bucket}/set", storage_options=options)
    assert list(back.compute()["n"]) == list(range(100))
    db.from_sequence(["a", "b"], npartitions=2).to_textfiles(f"s3://{bucket}/*.txt", storage_options=options)
    assert sorted(db.read_text(f"s3://{bucket}/*.txt", storage_options=options).compute()) == ["a", "b"]
    ours(__import__("fsspec").filesystem("s3", **options))
"""

PYARROW = """
    import fsspec, pyarrow as pa, pyarrow.dataset as ds, pyarrow.parquet as pq
    fs = ours(fsspec.filesystem("s3", **options))
    table = pa.table({"n": range(100), "kind": [i % 2 for i in range(100)]})
    ds.write_dataset(table, f"{bucket}/set", filesystem=fs, format="parquet", partitioning=["kind"])
    assert ds.dataset(f"{bucket}/set", filesystem=fs).count_rows() == 100
    pq.write_table(table, f"{bucket}/a.parquet", filesystem=fs)
    assert pq.read_table(f"{bucket}/a.parquet", filesystem=fs).equals(table)
"""

ZARR_AND_XARRAY = """
    import numpy as np, xarray as xr
    data = xr.Dataset({"t": ("x", np.arange(10.0))})
    data.to_zarr(f"s3://{bucket}/a.zarr", storage_options=options, consolidated=False)
    back = xr.open_zarr(f"s3://{bucket}/a.zarr", storage_options=options, consolidated=False)
    assert back.load().identical(data)
    ours(__import__("fsspec").filesystem("s3", **options))
"""

UPATH = """
    from upath import UPath
    path = UPath(f"s3://{bucket}/d/a.txt", **options)
    path.write_text("text")
    assert type(path).__name__ == "S3Path" and ours(path.fs)
    assert path.parts == (f"{bucket}/", "d", "a.txt")
    assert [str(item) for item in path.parent.iterdir()] == [f"s3://{bucket}/d/a.txt"]
    assert path.copy(path.with_name("b.txt")).read_text() == "text"
"""

DUCKDB = """
    import duckdb, fsspec
    db = duckdb.connect()
    db.register_filesystem(ours(fsspec.filesystem("s3", **options)))
    db.execute(f"COPY (SELECT range AS n FROM range(100)) TO 's3://{bucket}/a.parquet'")
    assert db.execute(f"SELECT count(*) FROM 's3://{bucket}/*.parquet'").fetchall() == [(100,)]
"""

# As the documents say. Where this fails, pandas asks fsspec first, and they can say so.
PANDAS_WITHOUT_OPTIONS = """
    import os
    os.environ["AWS_ENDPOINT_URL"] = options["client_kwargs"]["endpoint_url"]
    os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = options["key"], options["secret"]
    os.environ["AWS_REGION"] = "us-east-1"
    import pandas as pd, pyarrow.fs
    asked = []

    real = pyarrow.fs.FileSystem

    class AsReal(type):
        def __instancecheck__(cls, item):
            return isinstance(item, real)

    class NotOurs(metaclass=AsReal):  # pyarrow's own client, asked, says that it does not know the URL
        @staticmethod
        def from_uri(url):
            asked.append(url)
            raise TypeError(url)

    pyarrow.fs.FileSystem = NotOurs
    frame, url = pd.DataFrame({"n": range(3)}), f"s3://{bucket}/a.parquet"
    frame.to_parquet(url, storage_options={})
    assert pd.read_parquet(url, storage_options={}).equals(frame)
    assert asked == [], asked
    assert pd.read_parquet(url).equals(frame)
    frame.to_parquet(url)
    assert asked == [url, url], asked
"""

SCRIPTS = {
    "fsspec": FSSPEC,
    "pandas": PANDAS,
    "pandas without storage_options": PANDAS_WITHOUT_OPTIONS,
    "dask": DASK,
    "pyarrow": PYARROW,
    "xarray": ZARR_AND_XARRAY,
    "upath": UPATH,
    "duckdb": DUCKDB,
}


@pytest.mark.parametrize("tool", SCRIPTS)
def test_s3_urls_and_options_of_s3fs_work(store: Store, tool: str) -> None:
    if tool == "xarray":
        pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed")
    options = {
        "key": store.options["key"],
        "secret": store.options["secret"],
        "client_kwargs": {"endpoint_url": store.options["endpoint_url"], "region_name": "us-east-1"},
    }
    code = "".join(map(textwrap.dedent, (PREFACE, SCRIPTS[tool], ENDING)))
    command = [sys.executable, "-c", code, json.dumps([store.bucket, options])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert store.fs.find(store.bucket) != []
    assert store.pending() == []
