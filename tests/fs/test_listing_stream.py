"""`iter_find` tells what `find` tells, while it is listed, and can go on where a program had stopped."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from fsspec_guarded_s3 import AccessDeniedError, GuardedS3FileSystem
from tests.fake_s3 import FakeS3, now
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, respond, s3_error

KEYS = [f"d/{number:05}" for number in range(2_345)] + ["d/é", "d/😀", "d/deep/a b%2F+", "top"]


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3("bucket")
    for size, key in enumerate(KEYS):
        fake.put("bucket", key, b"x" * (size % 7))
    fake.put("bucket", "d/marker/", b"")
    return fake


@pytest.fixture
def server(fake: FakeS3) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=fake) as server:
        yield server


@pytest.fixture
def fs(server: ScriptedServer) -> GuardedS3FileSystem:
    return filesystem(server.url)


@pytest.mark.parametrize(
    "path", ["bucket", "bucket/d", "bucket/d/", "bucket/d/deep", "gs3://bucket/top", "bucket/no"]
)
def test_it_tells_what_find_tells(fs: GuardedS3FileSystem, path: str) -> None:
    names = list(fs.iter_find(path))
    assert sorted(names) == fs.find(path)
    assert {row["name"]: row for row in fs.iter_find(path, detail=True)}.keys() == set(names)
    for row in fs.iter_find(path, detail=True):
        found = fs.find(path, detail=True)[row["name"]]
        assert {name: found[name] for name in ("name", "size", "ETag", "type")} == {
            name: row[name] for name in ("name", "size", "ETag", "type")
        }
        break


def test_names_come_in_the_order_of_their_bytes(fs: GuardedS3FileSystem) -> None:
    names = list(fs.iter_find("bucket"))
    assert names == sorted(names, key=str.encode)
    assert len(names) == len(KEYS)


@pytest.mark.parametrize("ignored", [False, True], ids=["known", "ignored"])
@pytest.mark.parametrize("at", [0, 1, 999, 1000, 2_346, 2_347])
def test_it_goes_on_behind_a_name(fake: FakeS3, at: int, ignored: bool) -> None:
    """Also where the store ignores start-after."""

    def handler(request: Any) -> Any:
        if ignored:
            kept = {name: value for name, value in request.query.items() if name != "start-after"}
            request = type(request)(**{**vars(request), "query": kept})
        return fake(request)

    with ScriptedServer(handler=handler) as server:
        fs = filesystem(server.url)
        names = list(fs.iter_find("bucket/d"))
        assert list(fs.iter_find("bucket/d", start_after=names[at])) == names[at + 1 :]
        assert list(fs.iter_find("bucket/d", start_after=f"gs3://{names[at]}")) == names[at + 1 :]


def test_it_asks_for_one_page_at_a_time(fs: GuardedS3FileSystem, server: ScriptedServer) -> None:
    rows = fs.iter_find("bucket")
    assert not server.requests
    next(rows)
    assert len(server.requests) <= 2  # the next page is on its way
    rows.close()  # type: ignore[attr-defined]


def test_lists_and_prefixes(fs: GuardedS3FileSystem) -> None:
    lists = list(fs.iter_find("bucket/d", batch_size=1_000, prefix="0"))
    assert [len(names) for names in lists] == [1_000, 1_000, 345]
    assert [name for names in lists for name in names] == [f"bucket/{key}" for key in KEYS[:2_345]]


def test_sizes_and_times(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    middle = now() + timedelta(days=10)
    for number in range(100):
        place = "bucket", f"d/{number:05}"
        fake.objects[place] = replace(fake.objects[place], modified=middle + timedelta(days=1))
    later = list(fs.iter_find("bucket", modified_after=middle))
    assert later == [f"bucket/d/{number:05}" for number in range(100)]
    assert set(fs.iter_find("bucket", modified_before=middle)) == set(fs.find("bucket")) - set(later)
    sizes = {row["size"] for row in fs.iter_find("bucket", detail=True, min_size=2, max_size=4)}
    assert sizes == {2, 3, 4}
    assert list(fs.iter_find("bucket/top", min_size=1_000)) == []


def test_batches_of_arrow(fs: GuardedS3FileSystem) -> None:
    pa = pytest.importorskip("pyarrow")
    batches = list(fs.iter_find_batches("bucket", batch_size=1_000))
    assert [batch.num_rows for batch in batches] == [1_000, 1_000, len(KEYS) - 2_000]
    table = pa.Table.from_batches(batches)
    assert table.column_names == ["name", "size", "etag", "last_modified", "storage_class"]
    found = fs.find("bucket", detail=True)
    for row in table.to_pylist():
        expected = found[row["name"]]
        assert (row["size"], row["etag"], row["last_modified"], row["storage_class"]) == (
            expected["size"],
            expected["ETag"],
            expected["LastModified"],
            expected["StorageClass"],
        )
    assert list(fs.iter_find_batches("bucket/none")) == []


def test_by_coroutines(fs: GuardedS3FileSystem) -> None:
    async def names() -> list[str]:
        return [name async for name in fs._iter_find("bucket/d", prefix="000")]

    async def rows() -> int:
        return sum([batch.num_rows async for batch in fs._iter_find_batches("bucket")])

    assert asyncio.run(names()) == [f"bucket/d/{number:05}" for number in range(100)]
    pytest.importorskip("pyarrow")
    assert asyncio.run(rows()) == len(KEYS)


@pytest.mark.parametrize(
    ("arguments", "kind", "word"),
    [
        ({"start_after": "other/key"}, ValueError, "start_after"),
        ({"start_after": "bucket"}, ValueError, "start_after"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": "9"}, TypeError, "batch_size"),
        ({"min_size": -1}, ValueError, "min_size"),
        ({"max_size": 1.5}, TypeError, "max_size"),
        ({"modified_after": "2026-01-01"}, TypeError, "modified_after"),
        ({"modified_before": datetime(2026, 1, 1)}, ValueError, "time zone"),
        ({"prefix": 3}, TypeError, "prefix"),
    ],
)
def test_wrong_arguments_are_told_of_at_once(
    fs: GuardedS3FileSystem,
    server: ScriptedServer,
    arguments: dict[str, Any],
    kind: type[Exception],
    word: str,
) -> None:
    with pytest.raises(kind, match=word):
        fs.iter_find("bucket", **arguments)
    assert not server.requests


def test_a_directory_bucket_cannot_go_on(fs: GuardedS3FileSystem) -> None:
    with pytest.raises(ValueError, match="directory bucket"):
        fs.iter_find("name--use1-az4--x-s3", start_after="name--use1-az4--x-s3/key")


def test_the_root_is_refused(fs: GuardedS3FileSystem) -> None:
    with pytest.raises(ValueError):
        fs.iter_find("")


def test_errors_of_the_store_come_while_it_is_listed() -> None:
    with ScriptedServer(handler=lambda request: s3_error(403, "AccessDenied")) as server:
        rows = filesystem(server.url).iter_find("bucket")
        with pytest.raises(AccessDeniedError):
            next(rows)


def test_times_of_rows_are_in_utc(fs: GuardedS3FileSystem) -> None:
    row = next(iter(fs.iter_find("bucket", detail=True)))
    assert row["LastModified"].tzinfo == timezone.utc


def test_a_key_that_arrow_cannot_hold_is_named(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
    fake.put("bucket", "other/\udcff", b"")
    assert list(fs.iter_find("bucket/other")) == ["bucket/other/\udcff"]
    with pytest.raises(ValueError, match=r"not UTF-8: 'bucket/other/\\udcff'"):
        list(fs.iter_find_batches("bucket/other"))


class EndlessPages:
    """Answers a listing of `pages` full pages, of which two take turns."""

    def __init__(self, pages: int) -> None:
        self._pages = pages
        rows = [
            "".join(
                f"<Contents><Key>data/{half}/{number:08}</Key><LastModified>2026-11-29T07:00:00.000Z"
                f'</LastModified><ETag>"{number:032x}"</ETag><Size>{number}</Size></Contents>'
                for number in range(1000)
            )
            for half in "ab"
        ]
        self._halves = [f"<Name>bucket</Name><Prefix>data/</Prefix>{row}" for row in rows]

    def __call__(self, request: Request) -> Answer:
        number = int(request.query.get("continuation-token", "0"))
        is_last = number + 1 == self._pages
        more = "" if is_last else f"<NextContinuationToken>{number + 1}</NextContinuationToken>"
        text = f"<IsTruncated>{str(not is_last).lower()}</IsTruncated>{more}{self._halves[number % 2]}"
        return respond(200, f"<ListBucketResult>{text}</ListBucketResult>".encode())


@pytest.mark.parametrize("detail", [False, True])
def test_memory_does_not_grow_with_the_listing(detail: bool) -> None:
    count, at_first = 0, 0
    with ScriptedServer(handler=EndlessPages(25)) as server:
        tracemalloc.start()
        try:
            for _ in filesystem(server.url).iter_find("bucket/data", detail=detail):
                count += 1
                if count == 5_000:
                    at_first = tracemalloc.get_traced_memory()[1]
                    tracemalloc.reset_peak()
            later = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert count == 25_000
    assert later < at_first + 2**20  # the names of the other pages alone are more than that
