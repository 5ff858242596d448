"""What a listing has just told answers the questions right behind it, and never more than that."""

from __future__ import annotations

import copy
import json
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._fs import recent_rows
from fsspec_guarded_s3._fs.rows import Info
from fsspec_guarded_s3._values.answer_fields import ANSWER_HEADERS
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer

KEYS = ["d/a", "d/b", "d/e/c", "d/e/f/g", "top"]


@dataclass
class Place:
    """A filesystem on a store in memory; `time` is what its clock shows."""

    fs: GuardedS3FileSystem
    fake: FakeS3
    server: ScriptedServer
    time: float = 100.0
    seen: int = 0

    def asked(self) -> list[str]:
        """The methods since the last time, listings as LIST."""
        requests = self.server.requests[self.seen :]
        self.seen += len(requests)
        return ["LIST" if "list-type" in request.query else request.method for request in requests]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    fake = FakeS3("bucket")
    for key in KEYS:
        fake.put("bucket", key, key.encode(), owner="me")
    with ScriptedServer(handler=fake) as server:
        here = Place(filesystem(server.url), fake, server)
        monkeypatch.setattr(recent_rows, "clock", lambda: here.time)
        yield here


LISTINGS: dict[str, Callable[[GuardedS3FileSystem], Any]] = {
    "ls": lambda fs: fs.ls("bucket/d"),
    "ls with rows": lambda fs: fs.ls("bucket/d", detail=True),
    "find": lambda fs: fs.find("bucket/d"),
    "find with rows": lambda fs: fs.find("bucket/d", detail=True, withdirs=True),
    "find of the bucket": lambda fs: fs.find("bucket"),
    "find, one level": lambda fs: fs.find("bucket/d", maxdepth=1),
    "glob": lambda fs: fs.glob("bucket/d/*"),
    "glob of a tree": lambda fs: fs.glob("bucket/**"),
    "walk": lambda fs: list(fs.walk("bucket/d")),
    "du": lambda fs: fs.du("bucket/d"),
    "expand_path": lambda fs: fs.expand_path("bucket/d/*"),
}

QUESTIONS: dict[str, Callable[[GuardedS3FileSystem], Any]] = {
    "info": lambda fs: {
        name: fs.info("bucket/d/a")[name] for name in ("name", "size", "type", "ETag", "Key")
    },
    "info: time": lambda fs: fs.info("bucket/d/a")["LastModified"],
    "info of a directory": lambda fs: fs.info("bucket/d/e"),
    "info of a directory with a slash": lambda fs: fs.info("gs3://bucket/d/e/"),
    "exists": lambda fs: fs.exists("bucket/d/a"),
    "exists, a directory": lambda fs: fs.exists("bucket/d/e"),
    "exists, the root of the listing": lambda fs: fs.exists("bucket/d"),
    "isfile": lambda fs: fs.isfile("bucket/d/b"),
    "isdir": lambda fs: fs.isdir("bucket/d/e"),
    "isdir of the root of the listing": lambda fs: fs.isdir("bucket/d/"),
    "isdir of a file": lambda fs: fs.isdir("bucket/d/a"),
    "ukey": lambda fs: fs.ukey("bucket/d/a"),
    "checksum": lambda fs: fs.checksum("bucket/d/a"),
    "modified": lambda fs: fs.modified("bucket/d/a"),
    "created": lambda fs: fs.created("bucket/d/a"),
    "size": lambda fs: fs.size("bucket/d/a"),
    "sizes": lambda fs: fs.sizes(["bucket/d/a", "bucket/d/b"]),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("listing", LISTINGS)
def test_what_was_listed_is_answered_as_the_store_would_without_a_request(
    place: Place, listing: str, question: str
) -> None:
    expected = QUESTIONS[question](filesystem(place.server.url, recent_listings=0))
    LISTINGS[listing](place.fs)
    place.asked()
    assert QUESTIONS[question](place.fs) == expected
    assert place.asked() == []


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_option_switches_it_off(place: Place, question: str) -> None:
    fs = filesystem(place.server.url, recent_listings=0)
    fs.find("bucket/d")
    place.asked()
    QUESTIONS[question](fs)
    assert place.asked()


@pytest.mark.parametrize("question", QUESTIONS)
def test_after_its_seconds_the_store_is_asked(place: Place, question: str) -> None:
    place.fs.find("bucket/d")
    place.time += 5.1
    place.asked()
    QUESTIONS[question](place.fs)
    assert place.asked()


@pytest.mark.parametrize(
    "name", ["bucket/d/new", "bucket/d/a/", "bucket/d/e/f/g/h", "bucket/other", "bucket/d/e/"]
)
def test_that_something_is_absent_is_asked(place: Place, name: str) -> None:
    """Whoever waits for a name sees it at once."""
    place.fs.find("bucket/d")
    key = name.removeprefix("bucket/")
    place.fake.put("bucket", key + "x" if key.endswith("/") else key, b"1")
    assert place.fs.exists(name)
    assert place.fs.info(name)["type"] == ("directory" if name.endswith("/") else "file")
    assert place.fs.isdir(name) if name.endswith("/") and name != "bucket/d/a/" else True


WRITES: dict[str, Callable[[GuardedS3FileSystem], Any]] = {
    "pipe": lambda fs: fs.pipe_file("bucket/d/a", b"longer than before"),
    "a writer": lambda fs: fs.open("bucket/d/a", "wb").close(),
    "rm": lambda fs: fs.rm("bucket/d/a"),
    "rm of many": lambda fs: fs.rm(["bucket/d/a", "bucket/d/b"]),
    "rm of a tree": lambda fs: fs.rm("bucket/d", recursive=True),
    "copy": lambda fs: fs.copy("bucket/top", "bucket/d/a"),
    "mv": lambda fs: fs.mv("bucket/d/a", "bucket/elsewhere"),
    "setxattr": lambda fs: fs.setxattr("bucket/d/a", owner="you"),
    "invalidate_cache": lambda fs: fs.invalidate_cache("bucket/d/a"),
    "invalidate_cache of all": lambda fs: fs.invalidate_cache(),
    "close": lambda fs: fs.close(),
}


@pytest.mark.parametrize("same", [True, False], ids=["by itself", "by another filesystem"])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_of_this_process_drops_what_it_changes(place: Place, write: str, same: bool) -> None:
    place.fs.ls("bucket/d")
    place.fs.find("bucket")
    if not same and not (write.startswith("invalidate") or write == "close"):
        WRITES[write](filesystem(place.server.url))
    else:
        WRITES[write](place.fs)
    place.asked()
    place.fs.exists("bucket/d/a")
    assert place.asked()


def test_a_write_elsewhere_keeps_what_it_cannot_change(place: Place) -> None:
    place.fs.find("bucket/d")
    place.fs.pipe_file("bucket/out/a", b"1")
    place.asked()
    assert place.fs.info("bucket/d/a")["size"] == 3
    assert place.asked() == []


def test_a_listing_under_way_during_a_write_is_not_kept(place: Place) -> None:
    """Its page was made before the write, and comes after it."""
    waiting, written = threading.Event(), threading.Event()

    def after(request: Request, reply: Any) -> Answer | None:
        if "list-type" in request.query and not waiting.is_set():
            waiting.set()
            assert written.wait(30)
        return None

    place.fake.after = after
    lister = threading.Thread(target=place.fs.find, args=("bucket/d",))
    lister.start()
    assert waiting.wait(30)
    place.fake.after = None
    filesystem(place.server.url).pipe_file("bucket/d/a", b"longer")
    written.set()
    lister.join(30)
    assert place.fs.info("bucket/d/a")["size"] == 6


def test_refresh_asks_and_drops_a_row_that_is_wrong(place: Place) -> None:
    """What was seen to be new is not old again."""
    place.fs.find("bucket/d")
    place.fake.put("bucket", "d/a", b"somebody's new version")
    assert place.fs.info("bucket/d/a")["size"] == 3
    assert place.fs.info("bucket/d/a", refresh=True)["size"] == 22
    assert place.fs.info("bucket/d/a")["size"] == 22
    place.fs.find("bucket/d")
    del place.fake.objects["bucket", "d/a"]
    assert place.fs.exists("bucket/d/a")
    with pytest.raises(FileNotFoundError):
        place.fs.info("bucket/d/a", refresh=True)
    assert not place.fs.exists("bucket/d/a")


def test_an_info_answers_no_other_info(place: Place) -> None:
    """Whoever asks again and again sees what changes; `isfile` and `isdir` behind it cost nothing."""
    assert place.fs.info("bucket/d/a")["size"] == 3
    assert place.fs.info("bucket/d")["type"] == "directory"
    place.asked()
    assert place.fs.isfile("bucket/d/a")
    assert place.fs.isdir("bucket/d")
    assert place.asked() == []
    place.fake.put("bucket", "d/a", b"longer")
    assert place.fs.info("bucket/d/a")["size"] == 6
    first = place.fs.ukey("bucket/d/a")
    del place.fake.objects["bucket", "d/a"]
    assert not place.fs.exists("bucket/d/a")
    place.fake.put("bucket", "d/a", b"again another")
    assert place.fs.ukey("bucket/d/a") != first


def test_a_verb_does_not_decide_by_it(place: Place) -> None:
    place.fs.find("bucket")
    for key in ("d/e/c", "d/e/f/g", "d/a"):
        del place.fake.objects["bucket", key]
    assert place.fs.isdir("bucket/d/e")  # as the listing said
    with pytest.raises(FileNotFoundError):
        place.fs.rm("bucket/d/a")
    place.fs.copy("bucket/top", "bucket/d/e")  # no directory by now, in which the copy would be "top"
    assert ("bucket", "d/e") in place.fake.objects


def test_no_read_has_the_size_or_bytes_of_the_old_version(place: Place) -> None:
    place.fs.find("bucket")
    place.fake.put("bucket", "d/a", b"somebody's new and longer version")
    new = place.fake.objects["bucket", "d/a"].body
    assert place.fs.cat_file("bucket/d/a") == place.fs.cat_file("bucket/d/a", 0, None) == new
    assert place.fs.cat_file("bucket/d/a", -7) == new[-7:]
    assert place.fs.cat_ranges(["bucket/d/a"], [0], [100]) == [new]
    assert place.fs.cat(["bucket/d/a", "bucket/d/b"])["bucket/d/a"] == new


LOOKS: dict[str, Callable[[Any], Any]] = {
    "an item": lambda row: row["metadata"],
    "get": lambda row: row.get("ContentType"),
    "in": lambda row: "VersionId" in row,
    "items": lambda row: sorted(map(str, row.items())),
    "keys": lambda row: set(row.keys()),
    "values": lambda row: list(map(str, row.values())),
    "its length": len,
    "iteration": list,
    "a plain dict": dict,
    "unpacked": lambda row: {**row},
    "united": lambda row: row | {"more": 1},
    "repr": repr,
    "JSON": lambda row: json.dumps(row, default=str),
    "pickle": lambda row: pickle.loads(pickle.dumps(row)),
    "copy": lambda row: row.copy(),
    "copy of the module": copy.copy,
    "deep copy": copy.deepcopy,
    "equality": lambda row: row == {"name": 1},
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_row_of_a_listing_has_what_every_info_has(place: Place, look: str) -> None:
    """What only HeadObject tells is asked for once, when somebody looks."""
    expected = LOOKS[look](place.fs.info("bucket/d/a"))
    place.fs.find("bucket/d")
    place.asked()
    row = place.fs.info("bucket/d/a")
    assert row["size"] == 3 and row.get("type") == "file" and "ETag" in row
    assert place.asked() == []
    assert LOOKS[look](row) == expected
    assert LOOKS[look](row) == expected
    assert place.asked() == ["HEAD"]


def united_in_place(row: Any) -> None:
    row |= {"size": 7, "mine": 1}


CHANGES: dict[str, Callable[[Any], Any]] = {
    "a name is set": lambda row: row.__setitem__("size", 7),
    "a name that is not told yet is set": lambda row: row.__setitem__("ContentType", "x"),
    "a new name is set": lambda row: row.__setitem__("mine", 7),
    "update": lambda row: row.update({"size": 7, "mine": 1}, name="n"),
    "update by pairs": lambda row: row.update([("metadata", {})]),
    "union in place": united_in_place,
    "setdefault of what is told": lambda row: row.setdefault("size", 7),
    "setdefault of what is not told yet": lambda row: row.setdefault("ContentType", "x"),
    "setdefault of a new name": lambda row: row.setdefault("mine", 7),
    "del": lambda row: row.__delitem__("ETag"),
    "pop of what is told": lambda row: row.pop("ETag"),
    "pop of what is not told yet": lambda row: row.pop("ContentType"),
    "pop of no name": lambda row: row.pop("mine", 7),
    "clear": lambda row: row.clear(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_in_a_row_of_a_listing_stays_changed(place: Place, change: str) -> None:
    """As in any dict, also when the rest of the row is asked for after that."""
    expected = dict(place.fs.info("bucket/d/a"))
    told = CHANGES[change](expected)
    place.fs.find("bucket/d")
    row = place.fs.info("bucket/d/a")
    assert CHANGES[change](row) == told
    for name in ("size", "ETag", "mine"):
        assert row.get(name) == expected.get(name)
    assert dict(row) == expected
    assert (sorted(reversed(row)), len(row), bool(row)) == (sorted(expected), len(expected), bool(expected))


def test_to_set_a_name_in_a_row_of_a_listing_asks_nothing(place: Place) -> None:
    place.fs.find("bucket/d")
    place.asked()
    row = place.fs.info("bucket/d/a")
    row["name"] = "a"
    assert (row["name"], row["size"]) == ("a", 3)
    assert place.asked() == []


@pytest.mark.parametrize("name", ["mode", "uid", "created", "islink", "ino", "", 5])
def test_what_no_row_of_an_object_has_is_missing_without_a_request(place: Place, name: Any) -> None:
    place.fs.find("bucket")
    row = place.fs.info("bucket/d/a")
    place.asked()
    assert row and row.get(name, 1) == 1 and name not in row
    with pytest.raises(KeyError):
        row[name]
    assert place.asked() == []
    row[name] = 2
    assert (row.get(name), row[name], name in row) == (2, 2, True)
    assert name not in place.fs.info("bucket/d/a", refresh=True)


def test_every_name_of_an_answer_is_among_those_that_are_asked_for() -> None:
    assert set(ANSWER_HEADERS.values()) <= Info.__required_keys__ | Info.__optional_keys__


def test_a_row_whose_object_is_gone_says_so_when_more_is_looked_at(place: Place) -> None:
    place.fs.find("bucket/d")
    row = place.fs.info("bucket/d/a")
    del place.fake.objects["bucket", "d/a"]
    with pytest.raises(FileNotFoundError):
        row["metadata"]
    assert row["size"] == 3
    place.fake.put("bucket", "d/a", b"newer")
    assert row["metadata"] == {}
    assert row["size"] == 5  # all of one version
    with pytest.raises(KeyError, match="no such name"):
        row["no such name"]


def test_what_is_kept_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_rows, "MAX_ROWS", 6)
    monkeypatch.setattr(recent_rows, "MAX_LISTINGS", 2)
    monkeypatch.setattr(recent_rows, "MAX_LOOKS", 2)
    for name in ("bucket/d", "bucket/d/e", "bucket/d/e/f"):
        place.fs.ls(name)
    place.asked()
    place.fs.isdir("bucket/d/e/f")
    assert place.asked() == []
    place.fs.isfile("bucket/d/a")
    assert place.asked() == ["HEAD"]
    for number in range(9):
        place.fake.put("bucket", f"many/{number}", b"1")
    place.fs.find("bucket/many")  # more than are kept
    place.asked()
    place.fs.isfile("bucket/many/1")
    assert place.asked() == ["HEAD"]
    for key in ("d/a", "d/b", "d/e/c", "top"):
        place.fs.info("bucket/" + key)
    assert len(place.fs._recent._looks) <= 2


def test_a_name_that_is_a_file_and_a_directory(place: Place) -> None:
    place.fake.put("bucket", "d/e", b"the file")
    for listing in ("ls", "find", "find of the bucket", "glob"):
        LISTINGS[listing](place.fs)
        place.asked()
        assert place.fs.info("bucket/d/e")["type"] == "file"
        assert place.fs.info("bucket/d/e/")["type"] == "directory"
        assert place.fs.isfile("bucket/d/e") and place.fs.isdir("bucket/d/e")
        assert place.asked() == []


@pytest.mark.parametrize("others", [0, 30], ids=["few listings", "more listings than letters in a key"])
def test_the_newest_listing_decides(place: Place, others: int) -> None:
    place.fs.find("bucket")
    for n in range(others):
        place.fs.glob(f"bucket/other-{n}/*")
    place.fake.put("bucket", "d/a", b"longer")
    del place.fake.objects["bucket", "d/b"]
    place.time += 1
    place.fs.ls("bucket/d")
    assert place.fs.info("bucket/d/a")["size"] == 6
    assert not place.fs.exists("bucket/d/b")


def test_a_listing_without_etags_answers_nothing(place: Place) -> None:
    for key, stored in list(place.fake.objects.items()):
        place.fake.objects[key] = type(stored)(stored.body, '""', stored.headers)
    place.fs.find("bucket/d")
    place.asked()
    assert place.fs.exists("bucket/d/a")
    assert place.asked() == ["HEAD"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_asks_for_itself(place: Place) -> None:
    """Nobody tells it what its parent writes."""
    place.fs.find("bucket/d")
    assert place.fs._recent.listed(place.fs._paths.object("bucket/d/a")) is not None
    pid = os.fork()
    if pid == 0:
        os._exit(0 if place.fs._recent.listed(place.fs._paths.object("bucket/d/a")) is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_threads_list_write_and_ask_at_once(place: Place) -> None:
    """And nobody is told of a version that his own write had replaced."""
    wrong: list[str] = []

    def work(number: int) -> None:
        name = f"bucket/t/{number}"
        for size in range(1, 15):
            place.fs.pipe_file(name, b"x" * size)
            place.fs.find("bucket/t")
            if place.fs.info(name)["size"] != size:
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
