"""pandas reads and writes every format by URL, plain and compressed; a write that fails publishes nothing."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from typing import Any

import pytest

from fsspec_guarded_s3 import ObjectChangedError
from tests.fake_s3 import FakeS3
from tests.scripted_server import Request, ScriptedServer, s3_error
from tests.stores import Store

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytest.importorskip("openpyxl")

FRAME = pd.DataFrame({"n": range(2_000), "text": [f"row {i} ü" for i in range(2_000)]})
Frame = Any

# How a person writes and reads each format; the suffix says how it is compressed.
FORMATS: dict[str, tuple[Callable[..., None], Callable[..., Frame]]] = {
    "csv": (lambda url, **more: FRAME.to_csv(url, index=False, **more), pd.read_csv),
    "json": (FRAME.to_json, pd.read_json),
    "jsonl": (
        lambda url, **more: FRAME.to_json(url, orient="records", lines=True, **more),
        lambda url, **more: pd.read_json(url, lines=True, **more),
    ),
    "pkl": (FRAME.to_pickle, pd.read_pickle),
    "parquet": (FRAME.to_parquet, pd.read_parquet),
    "feather": (FRAME.to_feather, pd.read_feather),
    "xlsx": (lambda url, **more: FRAME.to_excel(url, index=False, **more), pd.read_excel),
    "xml": (
        lambda url, **more: FRAME.to_xml(url, index=False, parser="etree", **more),
        lambda url, **more: pd.read_xml(url, parser="etree", **more),
    ),
    "dta": (lambda url, **more: FRAME.to_stata(url, write_index=False, version=118, **more), pd.read_stata),
}
COMPRESSED = ["", ".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tar.gz"]
PLAIN = [f"frame.{kind}" for kind in FORMATS if kind != "dta"]  # Stata seeks in what it wrote
NAMES = [*PLAIN, *(f"frame.csv{suffix}" for suffix in COMPRESSED[1:])]
NAMES += ["frame.json.gz", "frame.jsonl.zst", "frame.pkl.bz2", "frame.dta.gz"]


def of_zstandard(data: bytes) -> bytes:
    """What is compressed in `data`."""
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_comes_back(each_store: Store, name: str) -> None:
    """`frame.to_...(url)`, `pd.read_...(url)`: equal, one object, nothing beside it."""
    if name.endswith(".zst"):
        pytest.importorskip("zstandard", reason="zstandard is not installed")
    write, read = FORMATS[name.split(".")[1]]
    write(each_store.url(name), storage_options=each_store.options)
    found = read(each_store.url(name), storage_options=each_store.options)
    pd.testing.assert_frame_equal(found, FRAME, check_dtype=".dta" not in name)
    assert each_store.fs.find(each_store.bucket) == [each_store.path(name)]
    assert each_store.pending() == []


@pytest.mark.parametrize(
    "suffix, decompress",
    [
        ("", bytes),
        (".gz", gzip.decompress),
        (".bz2", bz2.decompress),
        (".xz", lzma.decompress),
        (".zst", of_zstandard),
    ],
)
def test_what_is_in_the_bucket_is_what_a_local_file_has(
    store: Store, suffix: str, decompress: Callable[[bytes], bytes]
) -> None:
    """The bytes are those of the format, for every other reader."""
    if suffix == ".zst":
        pytest.importorskip("zstandard", reason="zstandard is not installed")
    FRAME.to_csv(store.url(f"a.csv{suffix}"), index=False, storage_options=store.options)
    assert decompress(store.fs.cat_file(store.path(f"a.csv{suffix}"))) == FRAME.to_csv(index=False).encode()


@pytest.mark.parametrize("engine", ["c", "python", "pyarrow"])
def test_every_csv_engine_reads(store: Store, engine: str) -> None:
    FRAME.to_csv(store.url("a.csv.gz"), index=False, storage_options=store.options)
    found = pd.read_csv(store.url("a.csv.gz"), engine=engine, storage_options=store.options)
    pd.testing.assert_frame_equal(found, FRAME)


def test_some_columns_and_row_groups_of_parquet_are_read_alone(each_store: Store) -> None:
    FRAME.to_parquet(each_store.url("f.parquet"), row_group_size=500, storage_options=each_store.options)
    more = {"storage_options": each_store.options}
    found = pd.read_parquet(each_store.url("f.parquet"), columns=["n"], filters=[("n", ">=", 1_900)], **more)
    pd.testing.assert_frame_equal(found, FRAME.loc[1_900:, ["n"]].reset_index(drop=True))


def test_a_partitioned_dataset_is_written_and_filtered(each_store: Store) -> None:
    frame = FRAME.assign(kind=FRAME["n"] % 3)
    frame.to_parquet(each_store.url("set"), partition_cols=["kind"], storage_options=each_store.options)
    kinds = [name.split("/")[2] for name in each_store.fs.find(each_store.path("set"))]
    assert kinds == ["kind=0", "kind=1", "kind=2"]
    more = {"filters": [("kind", "==", 1)], "storage_options": each_store.options}
    assert list(pd.read_parquet(each_store.url("set"), **more)["n"]) == list(range(1, 2_000, 3))


def test_a_filesystem_is_taken_in_place_of_options(store: Store) -> None:
    FRAME.to_parquet(store.path("f.parquet"), filesystem=store.fs)
    pd.testing.assert_frame_equal(pd.read_parquet(store.path("f.parquet"), filesystem=store.fs), FRAME)


def test_sheets_of_one_workbook_are_published_together(store: Store) -> None:
    with pd.ExcelWriter(store.url("book.xlsx"), storage_options=store.options) as book:
        FRAME[:10].to_excel(book, sheet_name="first")
        FRAME[:20].to_excel(book, sheet_name="second")
        assert not store.fs.exists(store.path("book.xlsx"))
    sheets = pd.read_excel(store.url("book.xlsx"), sheet_name=None, storage_options=store.options)
    assert {name: len(sheet) for name, sheet in sheets.items()} == {"first": 10, "second": 20}


def test_rows_are_appended_to_a_csv(store: Store) -> None:
    FRAME.to_csv(store.url("a.csv"), index=False, storage_options=store.options)
    FRAME.to_csv(store.url("a.csv"), index=False, header=False, mode="a", storage_options=store.options)
    found = pd.read_csv(store.url("a.csv"), storage_options=store.options)
    pd.testing.assert_frame_equal(found, pd.concat([FRAME, FRAME], ignore_index=True))


def test_an_exclusive_csv_does_not_replace_one(store: Store) -> None:
    FRAME.to_csv(store.url("a.csv"), mode="x", index=False, storage_options=store.options)
    with pytest.raises(FileExistsError):
        FRAME[:1].to_csv(store.url("a.csv"), mode="x", storage_options=store.options)
    assert len(pd.read_csv(store.url("a.csv"), storage_options=store.options)) == len(FRAME)


# --- what goes wrong -----------------------------------------------------------------------------


class Unwritable:
    """A value that no format can write."""

    def __str__(self) -> str:
        raise KeyError("unwritable")

    __repr__ = __str__

    def __reduce__(self) -> Any:
        raise KeyError("unwritable")


BROKEN = pd.DataFrame({"a": pd.Series([*range(20_000), Unwritable()], dtype=object)})


@pytest.mark.parametrize(
    "name", ["b.csv", "b.csv.gz", "b.csv.zst", "b.csv.zip", "b.csv.tar", "b.pkl", "b.pkl.gz", "b.xlsx"]
)
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_write_that_fails_publishes_nothing(store: Store, name: str, old: bytes | None) -> None:
    """No truncated object, and what was there stays."""
    if name.endswith(".zst"):
        pytest.importorskip("zstandard", reason="zstandard is not installed")
    if old is not None:
        store.fs.pipe_file(store.path(name), old)
    rows = BROKEN[-200:] if name.endswith("xlsx") else BROKEN
    method = {"csv": "to_csv", "pkl": "to_pickle", "xlsx": "to_excel"}[name.split(".")[1]]
    with pytest.raises((KeyError, ValueError)):  # openpyxl: "cannot convert to Excel"
        getattr(rows, method)(store.url(name), storage_options=store.options)
    found = store.fs.cat([store.path(name)], on_error="omit")
    assert found == ({} if old is None else {store.path(name): old})
    assert store.pending() == []


def test_an_object_replaced_while_its_rows_are_read_is_an_error(store: Store) -> None:
    """Rows of two versions in one frame never happen."""
    long = pd.concat([FRAME] * 50)  # pandas reads 256 KiB at a time
    long.to_csv(store.url("a.csv"), index=False, storage_options=store.options)
    options = store.options | {"block_size": 1_000}
    with pd.read_csv(store.url("a.csv"), chunksize=10, storage_options=options) as chunks:
        assert len(next(chunks)) == 10
        long[::-1].to_csv(store.url("a.csv"), index=False, storage_options=store.options)
        with pytest.raises(ObjectChangedError):
            list(chunks)


@pytest.mark.parametrize("read", [pd.read_csv, pd.read_parquet, pd.read_json, pd.read_excel])
def test_what_is_not_there_is_file_not_found(store: Store, read: Callable[..., Frame]) -> None:
    with pytest.raises(FileNotFoundError):
        read(store.url("none"), storage_options=store.options)


def test_a_workbook_gets_another_sheet(store: Store) -> None:
    """ExcelWriter(mode="a") opens "r+b". After an exception the workbook is as it was."""
    url = store.url("book.xlsx")
    FRAME[:10].to_excel(url, storage_options=store.options)
    with pd.ExcelWriter(url, mode="a", storage_options=store.options) as book:
        FRAME[:5].to_excel(book, sheet_name="more")
    found = pd.read_excel(url, sheet_name=None, storage_options=store.options)
    assert {name: len(frame) for name, frame in found.items()} == {"Sheet1": 10, "more": 5}
    before = store.fs.cat_file(store.path("book.xlsx"))
    with (
        pytest.raises(ZeroDivisionError),
        pd.ExcelWriter(url, mode="a", storage_options=store.options) as book,
    ):
        FRAME[:5].to_excel(book, sheet_name="never")
        raise ZeroDivisionError
    assert store.fs.cat_file(store.path("book.xlsx")) == before


def test_a_refusal_is_a_permission_error_and_not_one_of_options() -> None:
    """pandas asks again with anon=True beside the credentials; the store's answer is what the caller gets."""

    def refuse(request: Request, _: FakeS3) -> Any:
        return s3_error(403, "AccessDenied")

    with ScriptedServer(handler=FakeS3("bucket", fault=refuse)) as server:
        options = {"endpoint_url": server.url, "key": "k", "secret": "s", "region": "us-east-1"}
        with pytest.raises(PermissionError, match="403"):
            pd.read_csv("gs3://bucket/a.csv", storage_options=options)
        signed = ["authorization" in request.headers for request in server.requests]
    assert signed[0] and not signed[-1]
