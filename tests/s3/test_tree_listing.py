"""Listings of many keys from a distant store: directories are listed side by side, and nothing is lost."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace

import pytest

from fsspec_guarded_s3._threads import _Pool
from fsspec_guarded_s3._work import Work, working_for
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, s3_error, stall

PAGE = 10
TREES: dict[str, Sequence[str]] = {
    "wide": [f"data/{n % 7}/{n:03d}" for n in range(300)],
    "keys beside": [f"data/{n:03d}" for n in range(60)] + [f"data/{n:02d}/x" for n in range(30)],
    "one directory after the other": [f"data/a/b/c/{n % 3}/{n:03d}" for n in range(150)],
    "nested": [f"data/{a}/{b}/{c}" for a in range(5) for b in range(5) for c in range(5)],
    "markers": [f"data/{n}/" for n in range(40)] + [f"data/{n}/x" for n in range(0, 40, 3)],
    "odd names": [f"data/{name}/{n:02d}" for name in "a b#%é+\u20ac\U0001f600" for n in range(20)],
    "one level": [f"data/{n:03d}" for n in range(120)],
    "too many directories": [f"data/{n:03d}/x" for n in range(100)],
}


@pytest.fixture(autouse=True)
def distant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", -1.0)
    monkeypatch.setattr("fsspec_guarded_s3._s3.retry.BASE_SECONDS", 0.001)


class SmallPages(FakeS3):
    """A store whose pages of a flat listing hold `PAGE` entries, whatever is asked for."""

    def __call__(self, request: Request) -> Answer:
        if request.query.get("list-type") and "delimiter" not in request.query:
            request.query["max-keys"] = str(PAGE)
        return super().__call__(request)


def store(keys: Sequence[str], fault: Callable[[Request, FakeS3], Answer | None] | None = None) -> FakeS3:
    fake = SmallPages("bucket", fault=fault)
    for key in (*keys, "data.txt", "other/x"):
        fake.put("bucket", key, key.encode())
    return fake


def listings(server: ScriptedServer) -> list[str]:
    """The prefixes of the flat listings that were begun."""
    return [
        request.query["prefix"]
        for request in server.requests
        if "list-type" in request.query
        and "delimiter" not in request.query
        and "continuation-token" not in request.query
    ]


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("limit", [64, 8])
def test_every_key_is_found_once_and_in_order(name: str, limit: int) -> None:
    keys = sorted(key for key in TREES[name] if not key.endswith("/"))
    with ScriptedServer(handler=store(TREES[name])) as server:
        fs = filesystem(server.url, max_concurrency=limit)
        assert fs.find("bucket/data") == [f"bucket/{key}" for key in keys]
        rows = fs.find("bucket/data", detail=True, withdirs=True)
        assert [name for name, row in rows.items() if row["type"] == "file"] == [
            f"bucket/{key}" for key in keys
        ]
        assert all(rows[f"bucket/{key}"]["size"] == len(key.encode()) for key in keys)
        folders = {key[:end] for key in TREES[name] for end in range(len(key)) if key[end] == "/"}
        assert {name for name, row in rows.items() if row["type"] == "directory"} == {
            f"bucket/{folder}" for folder in folders
        }


@pytest.mark.parametrize("name", TREES)
def test_a_tree_is_removed_as_a_whole(name: str) -> None:
    fake = store(TREES[name])
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).rm("bucket/data", recursive=True)
    assert {key for _, key in fake.objects} == {"data.txt", "other/x"}


ORDERS: dict[str, Callable[[str], object]] = {
    "folder by folder": lambda key: key.split("/"),
    "files before folders": lambda key: [(name != "", name) for name in key.split("/")[::-1]],
    "backwards": lambda key: [-ord(char) for char in key],
    "without case": str.casefold,
    "by no rule": lambda key: hashlib.md5(key.encode()).digest(),
    "UTF-16": lambda key: key.encode("utf-16-be"),
    "the end of the name first": lambda key: key[::-1],
}
UNEVEN = [f"data/a/{n:03d}" for n in range(90)] + [f"data/a-b/{n:03d}" for n in range(40)] + ["data/z"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["uneven", *TREES])
def test_a_store_with_another_order_loses_and_doubles_nothing(name: str, order: str) -> None:
    """Whether the keys that came first are in S3's order, or look as if they were."""
    keys = UNEVEN if name == "uneven" else TREES[name]
    fake = store([*keys, "data/B/1", "data/b/2"])
    fake.order = ORDERS[order]
    there = sorted(key for _, key in fake.objects if key.startswith("data/") and not key.endswith("/"))
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert fs.find("bucket/data") == [f"bucket/{key}" for key in there]
        assert list(fs.find("bucket/data", detail=True)) == [f"bucket/{key}" for key in there]
        pages = list(fs._client.listings.list_tree("bucket", "data/"))
        listed = [key for page in pages for key in page.keys]
        assert len(listed) == len(set(listed))
        fs.rm("bucket/data", recursive=True)
    assert {key for _, key in fake.objects} == {"data.txt", "other/x"}


@pytest.mark.parametrize("order", ORDERS)
def test_a_key_that_a_store_shows_twice_is_found_once(order: str) -> None:
    """A marker beside the directories and in its own: what `delimiter` should have rolled up."""
    fake = store([*UNEVEN, "data/a/", "data/a-b/"])

    def after(request: Request, reply: Reply) -> Answer | None:
        if "delimiter" not in request.query:
            return None
        entry = b"<Contents><Key>data/a/</Key><Size>0</Size></Contents></ListBucketResult>"
        return replace(reply, body=reply.body.replace(b"</ListBucketResult>", entry))

    fake.order, fake.after = ORDERS[order], after
    with ScriptedServer(handler=fake) as server:
        pages = filesystem(server.url)._client.listings.list_tree("bucket", "data/")
        listed = [key for page in pages for key in page.keys]
    assert sorted(listed) == sorted([*UNEVEN, "data/a/", "data/a-b/"])


def test_directories_are_listed_side_by_side_and_as_a_whole() -> None:
    """Also that of which some keys came before: nothing relies on their order."""
    with ScriptedServer(handler=store(TREES["wide"])) as server:
        filesystem(server.url).find("bucket/data")
        assert sorted(listings(server)) == ["data/", *(f"data/{n}/" for n in range(7))]


def test_many_directories_are_not_worth_a_request_each() -> None:
    with ScriptedServer(handler=store(TREES["too many directories"])) as server:
        assert len(filesystem(server.url).find("bucket/data")) == 100
        assert listings(server) == ["data/"]


def test_a_near_store_is_asked_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", float("inf"))
    with ScriptedServer(handler=store(TREES["wide"])) as server:
        assert len(filesystem(server.url).find("bucket/data")) == 300
        assert listings(server) == ["data/"]


def test_names_below_a_path_that_begin_alike() -> None:
    keys = [f"data/a{n % 5}/{n:03d}" for n in range(100)] + [f"data/b/{n}" for n in range(50)]
    with ScriptedServer(handler=store(keys)) as server:
        found = filesystem(server.url).find("bucket/data", prefix="a")
    assert found == sorted(f"bucket/{key}" for key in keys if key.startswith("data/a"))


@pytest.mark.parametrize("times", [1, 1000])
def test_a_directory_that_cannot_be_listed_is_an_error_and_never_a_short_answer(times: int) -> None:
    left = [times]

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.query.get("prefix") == "data/5/" and left[0] > 0:
            left[0] -= 1
            return s3_error(500, "InternalError")
        return None

    with ScriptedServer(handler=store(TREES["wide"], fault)) as server:
        fs = filesystem(server.url)
        if times == 1:
            assert len(fs.find("bucket/data")) == 300
        else:
            with pytest.raises(OSError, match="InternalError"):
                fs.find("bucket/data")


def test_pages_are_told_as_they_come_and_none_waits_for_another_directory() -> None:
    """Kept until it is their turn they took several times the memory of their names."""
    told = threading.Event()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.query.get("prefix") == "data/0/" and "continuation-token" in request.query:
            assert told.wait(60), "what other directories hold is not told before this one has ended"
        return None

    with ScriptedServer(handler=store(TREES["wide"], fault)) as server:
        seen: set[str] = set()
        for page in filesystem(server.url)._client.listings.list_tree("bucket", "data/"):
            seen |= set(page.keys)
            if len(seen) >= 6 * 300 // 7:
                told.set()
    assert seen == set(TREES["wide"])


def test_directories_that_get_no_thread_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.listings.TURN", 0.01)

    def no_thread(pool: _Pool, job: object, most: int = 0) -> bool:
        return False

    monkeypatch.setattr(_Pool, "start", no_thread)
    with ScriptedServer(handler=store(TREES["wide"])) as server:
        assert len(filesystem(server.url).find("bucket/data")) == 300


def test_who_gives_up_does_not_wait_for_a_page() -> None:
    work = Work()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.query.get("prefix") == "data/0/":
            work.end()
            return stall(None)
        return None

    with ScriptedServer(handler=store(TREES["wide"], fault)) as server:
        fs = filesystem(server.url)
        with working_for(work), pytest.raises(CancelledError):
            fs.find("bucket/data")
