"""The listing cache: off by default, no request where it knows, and never older than an own write."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Request, ScriptedServer, close, s3_error

KEYS = ["d/a", "d/b", "d/e/c", "top"]


@dataclass
class Place:
    """A filesystem that keeps listings, on a store in memory."""

    fs: GuardedS3FileSystem
    fake: FakeS3
    server: ScriptedServer
    seen: int = 0

    def asked(self) -> list[str]:
        """The methods since the last time, listings as LIST."""
        requests = self.server.requests[self.seen :]
        self.seen += len(requests)
        return ["LIST" if "list-type" in request.query else request.method for request in requests]


@pytest.fixture
def place() -> Iterator[Place]:
    fake = FakeS3("bucket")
    for key in KEYS:
        fake.put("bucket", key, key.encode())
    with ScriptedServer(handler=fake) as server:
        yield Place(filesystem(server.url, use_listings_cache=True, recent_listings=0), fake, server)


QUESTIONS: dict[str, Callable[[GuardedS3FileSystem], Any]] = {
    "ls": lambda fs: fs.ls("bucket/d", detail=True),
    "ls of a bucket": lambda fs: fs.ls("gs3://bucket/", detail=False),
    "info": lambda fs: {**fs.info("bucket/d/a"), "LastModified": None, "mtime": None},
    "info of a directory": lambda fs: fs.info("bucket/d"),
    "exists": lambda fs: fs.exists("bucket/d/e/c"),
    "isdir": lambda fs: fs.isdir("bucket/d/e"),
    "find": lambda fs: fs.find("bucket"),
    "find below": lambda fs: fs.find("bucket/d", withdirs=True, maxdepth=2),
    "find, one level": lambda fs: fs.find("bucket/d", maxdepth=1),
    "find by prefix": lambda fs: fs.find("bucket/d", prefix="e"),
    "glob": lambda fs: fs.glob("bucket/*/[ab]"),
    "walk": lambda fs: list(fs.walk("bucket")),
    "du": lambda fs: fs.du("bucket"),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_find_saw_is_answered_without_a_request(place: Place, name: str) -> None:
    """And by the same answer as without a cache."""
    place.fs.find("bucket")
    place.asked()
    found = QUESTIONS[name](place.fs)
    assert place.asked() == []
    wanted = QUESTIONS[name](filesystem(place.server.url))
    if name == "info":
        wanted = {key: value for key, value in wanted.items() if key in found}
    assert found == wanted
    assert place.asked() != []


def test_it_is_off_unless_asked_for(place: Place) -> None:
    fs = filesystem(place.server.url)
    for _ in range(2):
        fs.ls("bucket/d")
    assert place.asked() == ["LIST", "LIST"]
    assert not fs.dircache.use_listings_cache


def test_answers_are_copies(place: Place) -> None:
    for row in (*place.fs.ls("bucket/d", detail=True), *place.fs.find("bucket", detail=True).values()):
        row.clear()
    place.fs.info("bucket/d/a").clear()
    assert place.fs.info("bucket/d/a")["size"] == 3


def test_absence_is_never_kept(place: Place) -> None:
    """What somebody else writes is seen by name at once, in listings by refresh."""
    fs = place.fs
    assert not fs.exists("bucket/d/new")
    fs.find("bucket")
    assert not fs.exists("bucket/d/new")
    assert not fs.isdir("bucket/later")
    assert fs.find("bucket/later") == []
    for key in ("d/new", "later/x"):
        place.fake.put("bucket", key, b"new")
    assert fs.exists("bucket/d/new")
    assert fs.info("bucket/d/new")["size"] == 3
    assert fs.isdir("bucket/later")
    assert fs.find("bucket/later") == ["bucket/later/x"]
    assert "bucket/d/new" not in fs.ls("bucket/d", detail=False)
    assert "bucket/d/new" in fs.ls("bucket/d", detail=False, refresh=True)
    assert "bucket/d/new" in fs.ls("bucket/d", detail=False)
    fs.invalidate_cache()
    assert "bucket/later/x" in fs.find("bucket")


def test_refresh_asks_the_store(place: Place) -> None:
    place.fs.find("bucket")
    place.asked()
    assert place.fs.info("bucket/d/a", refresh=True)["ContentType"]
    assert place.fs.find("bucket", refresh=True) == place.fs.find("bucket")
    assert place.asked() == ["HEAD", "LIST"]


@pytest.mark.parametrize(
    "look",
    [
        lambda fs, **refresh: fs.ls("bucket/d", **refresh),
        lambda fs, **refresh: fs.find("bucket/d", **refresh),
        lambda fs, **refresh: fs.glob("bucket/d/*", **refresh),
        lambda fs, **refresh: fs.glob("buck*/d/*", **refresh),
        lambda fs, **refresh: fs.du("bucket/d", total=False, **refresh),
        lambda fs, **refresh: list(fs.walk("bucket/d", **refresh)),
    ],
)
def test_whoever_looks_can_refresh(place: Place, look: Callable[..., Any]) -> None:
    before = look(place.fs)
    place.fake.put("bucket", "d/new", b"")  # by somebody else
    assert look(place.fs) == before
    assert "new" in str(look(place.fs, refresh=True))


def test_listings_expire(place: Place) -> None:
    fs = filesystem(place.server.url, use_listings_cache=True, listings_expiry_time=0.05)
    fs.ls("bucket/d")
    place.fake.put("bucket", "d/new", b"")
    deadline = time.monotonic() + 10
    while len(fs.ls("bucket/d")) == 3 and time.monotonic() < deadline:
        pass
    assert len(fs.ls("bucket/d")) == 4


def test_max_paths_bounds_them(place: Place) -> None:
    fs = filesystem(place.server.url, use_listings_cache=True, max_paths=1)
    for path in ("bucket", "bucket/d", "bucket/d/e"):
        fs.ls(path)
    place.asked()
    fs.ls("bucket/d/e")
    fs.ls("bucket")
    assert place.asked() == ["LIST"]


def _write(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/d/a", "wb") as file:
        file.write(b"longer than it was")


def _append(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/d/a", "ab") as file:
        file.write(b"longer than it was")


def _transaction(fs: GuardedS3FileSystem) -> None:
    with fs.transaction:
        fs.pipe_file("bucket/new/x", b"1")
        fs.pipe_file("bucket/d/a", b"longer than it was")


def _put_tree(fs: GuardedS3FileSystem) -> None:
    fs.put(str(Path(__file__).parents[1] / "conformance"), "bucket/d/", recursive=True)


WRITES: dict[str, Callable[[GuardedS3FileSystem], Any]] = {
    "pipe_file": lambda fs: fs.pipe_file("bucket/d/new", b"x"),
    "pipe": lambda fs: fs.pipe({"bucket/new/deep/x": b"x", "bucket/d/new": b"y"}),
    "put_if_absent": lambda fs: fs.put_if_absent("bucket/d/new", b"x"),
    "put_file": lambda fs: fs.put_file(__file__, "bucket/d/a"),
    "put": _put_tree,
    "open(wb)": _write,
    "open(ab)": _append,
    "transaction": _transaction,
    "touch": lambda fs: fs.touch("bucket/d/a"),
    "update": lambda fs: fs.update("bucket/d/a", lambda old: old * 3),
    "cp_file": lambda fs: fs.cp_file("bucket/top", "bucket/d/e/copy"),
    "cp": lambda fs: fs.cp("bucket/d", "bucket/new", recursive=True),
    "mv": lambda fs: fs.mv("bucket/d/e", "bucket/f", recursive=True),
    "rm_file": lambda fs: fs.rm_file("bucket/d/a"),
    "rm": lambda fs: fs.rm(["bucket/d/a", "bucket/d/e/c"]),
    "rm of a tree": lambda fs: fs.rm("bucket/d", recursive=True),
}


@pytest.mark.parametrize("name", WRITES)
def test_own_writes_are_seen_at_once(place: Place, name: str) -> None:
    """By every question, also through another filesystem of this process, as each thread has from fsspec."""
    other = filesystem(place.server.url, use_listings_cache=True)
    for fs in (place.fs, other):
        fs.find("bucket")
        fs.ls("bucket/d")
    before = QUESTIONS["find below"](place.fs), place.fs.find("bucket", detail=True)
    WRITES[name](place.fs)
    plain = filesystem(place.server.url)
    for fs in (place.fs, other):
        for name, ask in QUESTIONS.items():
            try:
                wanted = ask(plain)
            except FileNotFoundError:
                with pytest.raises(FileNotFoundError):
                    ask(fs)
                continue
            found = ask(fs)
            if name == "info":
                wanted = {key: value for key, value in wanted.items() if key in found}
            assert found == wanted, name
    assert (QUESTIONS["find below"](place.fs), place.fs.find("bucket", detail=True)) != before


def test_a_write_whose_answer_was_lost_is_seen(place: Place) -> None:
    """It raises, and may have been applied: the listing from before must not be believed."""
    fs = filesystem(place.server.url, use_listings_cache=True, max_attempts=1)
    fs.find("bucket")
    place.fake.after = lambda request, reply: close() if request.method == "DELETE" else None
    with pytest.raises(OSError):
        fs.rm_file("bucket/d/a")
    place.fake.after = None
    assert not fs.exists("bucket/d/a")
    assert "bucket/d/a" not in fs.find("bucket")


def test_a_bucket_that_is_made_or_removed_is_seen(place: Place) -> None:
    fs = place.fs
    fs.mkdir("second")
    assert fs.ls("second") == []
    fs.pipe_file("second/x", b"")
    assert fs.find("second") == ["second/x"]
    fs.rm("second", recursive=True)
    assert not fs.exists("second")
    with pytest.raises(FileNotFoundError):
        fs.ls("second")


def test_a_listing_that_was_under_way_while_a_write_ended_is_not_kept(place: Place) -> None:
    """It may be of before the write."""
    listed, written = threading.Event(), threading.Event()

    def after(request: Request, reply: Any) -> None:
        if "list-type" in request.query and not written.is_set():
            listed.set()
            written.wait(10)

    place.fake.after = after
    thread = threading.Thread(target=place.fs.ls, args=("bucket/d",))
    thread.start()
    assert listed.wait(10)
    place.fs.pipe_file("bucket/d/new", b"")
    written.set()
    thread.join(10)
    assert "bucket/d/new" in place.fs.ls("bucket/d", detail=False)


def test_reads_do_not_use_it(place: Place, tmp_path: Path) -> None:
    """A stale ETag or size from a listing pins nothing."""
    fs = place.fs
    fs.find("bucket", detail=True)
    place.fake.put("bucket", "d/a", b"somebody's new and longer version")
    new = place.fake.objects["bucket", "d/a"].body
    assert fs.info("bucket/d/a")["size"] == 3
    assert fs.cat_file("bucket/d/a") == fs.cat_file("bucket/d/a", 0, None) == new
    assert fs.cat_ranges(["bucket/d/a"], 0, 100) == [new]
    with fs.open("bucket/d/a") as file:
        assert file.read() == new
    fs.get("bucket/d/a", str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == new
    assert fs.ukey("bucket/d/a") == filesystem(place.server.url).ukey("bucket/d/a")
    with pytest.raises(ObjectChangedError):
        fs.pipe_file("bucket/d/a", b"", if_match=fs.info("bucket/d/a")["ETag"])
    assert fs.cat_file("bucket/d/a") == new


def test_an_error_is_not_kept(place: Place) -> None:
    place.fake.fault = lambda request, _: s3_error(403, "AccessDenied")
    for ask in (lambda: place.fs.ls("bucket/d", detail=True), lambda: place.fs.info("bucket/d/a")):
        with pytest.raises(PermissionError):
            ask()
    place.fake.fault = None
    assert len(place.fs.ls("bucket/d")) == 3
