"""The rule for directories, globs and trees (docs/paths.md), and how many requests they cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    DeleteObjectsError,
    DirectoryNotEmptyError,
    GuardedS3FileSystem,
    ObjectChangedError,
)
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, s3_error


@dataclass
class Place:
    """A filesystem on a store in memory, and the requests that were made."""

    fs: GuardedS3FileSystem
    fake: FakeS3
    server: ScriptedServer
    seen: int = 0

    def fill(self, *keys: str, bucket: str = "bucket") -> None:
        for key in keys:
            self.fake.put(bucket, key, key.encode())

    def left(self) -> set[str]:
        return {key for _, key in self.fake.objects}

    def asked(self) -> list[str]:
        """The methods since the last time, listings as LIST."""
        requests = self.server.requests[self.seen :]
        self.seen += len(requests)
        return ["LIST" if "list-type" in request.query else request.method for request in requests]


@pytest.fixture
def place() -> Iterator[Place]:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        yield Place(filesystem(server.url), fake, server)


def names(rows: Any) -> list[tuple[str, str]]:
    return [(row["name"], row["type"]) for row in rows]


# --- the rule --------------------------------------------------------------------------------------


def test_a_marker_makes_a_directory_and_is_shown_by_no_verb(place: Place) -> None:
    place.fill("d/marked/", "d/file")
    fs = place.fs
    assert names(fs.ls("bucket/d", detail=True)) == [
        ("bucket/d/file", "file"),
        ("bucket/d/marked", "directory"),
    ]
    assert fs.ls("bucket/d/marked") == []
    assert fs.find("bucket") == ["bucket/d/file"]
    assert fs.find("bucket/d/marked") == []
    assert fs.find("bucket/d/marked", withdirs=True) == ["bucket/d/marked"]
    assert fs.glob("bucket/d/*") == ["bucket/d/file", "bucket/d/marked"]
    assert fs.glob("bucket/d/*/") == ["bucket/d/marked"]
    assert list(fs.walk("bucket/d")) == [
        ("bucket/d", ["marked"], ["file"]),
        ("bucket/d/marked", [], []),
    ]
    assert fs.isdir("bucket/d/marked")
    assert fs.exists("bucket/d/marked/")
    assert not fs.isfile("bucket/d/marked")


def test_rmdir_removes_a_marker_that_is_alone_and_nothing_else(place: Place) -> None:
    place.fill("alone/", "full/", "full/file")
    place.fs.rmdir("bucket/alone")
    with pytest.raises(DirectoryNotEmptyError):
        place.fs.rmdir("bucket/full")
    with pytest.raises(FileNotFoundError):
        place.fs.rmdir("bucket/nothing")
    assert place.left() == {"full/", "full/file"}


def test_a_name_is_the_files_and_with_a_slash_the_directorys(place: Place) -> None:
    place.fill("k", "k/x")
    fs = place.fs
    assert names(fs.ls("bucket", detail=True)) == [("bucket/k", "file"), ("bucket/k", "directory")]
    assert fs.info("bucket/k")["type"] == "file"
    assert fs.info("bucket/k/")["type"] == "directory"
    assert fs.isfile("bucket/k")
    assert not fs.isfile("bucket/k/")
    assert fs.isdir("bucket/k")
    assert fs.find("bucket/k") == ["bucket/k/x"]
    assert fs.cat_file("bucket/k") == b"k"
    assert fs.glob("bucket/*", detail=True)["bucket/k"]["type"] == "file"


def test_trees_of_a_name_that_is_both(place: Place) -> None:
    """Without a slash both are taken, with one the directory alone."""
    place.fill("k", "k/x")
    place.fs.cp("bucket/k", "bucket/both", recursive=True)
    place.fs.cp("bucket/k/", "bucket/one", recursive=True)
    assert place.left() == {"k", "k/x", "both", "both/x", "one/x"}
    place.fs.rm("bucket/both", recursive=True)
    place.fs.rm("bucket/k/", recursive=True)
    assert place.left() == {"k", "one/x"}


def test_a_file_is_no_directory(place: Place) -> None:
    place.fill("k")
    fs = place.fs
    assert not fs.exists("bucket/k/")
    assert not fs.isdir("bucket/k/")
    assert fs.find("bucket/k/") == []
    assert fs.find("bucket/k") == ["bucket/k"]
    assert fs.ls("bucket/k", detail=False) == ["bucket/k"]
    for verb in (fs.info, fs.ls, lambda path: fs.rm(path, recursive=True)):
        with pytest.raises(FileNotFoundError):
            verb("bucket/k/")
    assert place.left() == {"k"}


@pytest.mark.parametrize(
    "call",
    [
        lambda fs: fs.cat_file("bucket/d/"),
        lambda fs: fs.open("bucket/d/"),
        lambda fs: fs.open("bucket/d/", "wb"),
        lambda fs: fs.pipe_file("bucket/d/", b"x"),
        lambda fs: fs.pipe("bucket/d/", b"x"),
        lambda fs: fs.pipe("gs3://bucket/d/", b"x"),
        lambda fs: fs.pipe({"bucket/d/": b"x"}),
        lambda fs: fs.put_file(__file__, "bucket/d/"),
        lambda fs: fs.cp_file("bucket/d", "bucket/e/"),
        lambda fs: fs.rm_file("bucket/d/"),
        lambda fs: fs.update("bucket/d/", bytes),
        lambda fs: fs.sign("bucket/d/"),
    ],
)
def test_a_path_with_a_slash_at_its_end_names_no_object(place: Place, call: Any) -> None:
    place.fill("d", "d/")
    with pytest.raises(IsADirectoryError, match="slash"):
        call(place.fs)
    assert place.left() == {"d", "d/"}


def test_walk_goes_where_the_caller_lets_it(place: Place) -> None:
    place.fill("a/1", "a/deep/2", "b/3")
    seen = []
    for root, directories, files in place.fs.walk("bucket"):
        directories[:] = [name for name in directories if name != "b"]
        seen.append((root, files))
    assert seen == [("bucket", []), ("bucket/a", ["1"]), ("bucket/a/deep", ["2"])]
    assert [root for root, _, _ in place.fs.walk("bucket", maxdepth=2, topdown=False)] == [
        "bucket/a",
        "bucket/b",
        "bucket",
    ]


# --- what it costs ---------------------------------------------------------------------------------


def test_questions_cost_as_few_requests_as_they_can(place: Place) -> None:
    place.fill("d/file", "d/e/file", *(f"d/e/{n}" for n in range(30)))
    fs = place.fs
    for call, wanted in [
        (lambda: fs.exists("bucket/d/file"), ["HEAD"]),
        (lambda: fs.exists("bucket/none"), ["HEAD", "LIST"]),
        (lambda: fs.exists("bucket/d/"), ["LIST"]),
        (lambda: fs.isfile("bucket/none"), ["HEAD"]),
        (lambda: fs.isdir("bucket/d"), ["LIST"]),
        (lambda: fs.ls("bucket/d"), ["LIST"]),
        (lambda: fs.ls("bucket/d/file"), ["LIST", "HEAD"]),
        (lambda: fs.find("bucket/d"), ["LIST"]),
        (lambda: fs.find("bucket/d", maxdepth=1), ["LIST"]),
        (lambda: fs.find("bucket/d/file"), ["LIST", "HEAD"]),
        (lambda: fs.glob("bucket/d/f*"), ["LIST"]),
        (lambda: fs.glob("bucket/d/e/*"), ["LIST"]),
        (lambda: fs.rm("bucket/d/e/1*"), ["LIST", "POST"]),
        (lambda: fs.rm("bucket/d/e/", recursive=True), ["LIST", "POST"]),
    ]:
        call()
        assert place.asked() == wanted


def test_a_glob_asks_only_for_names_that_begin_as_it_does(place: Place) -> None:
    place.fill("logs/2023-1", "logs/2024-1", "logs/2024-2/x", "other")
    assert place.fs.glob("bucket/logs/2024*") == ["bucket/logs/2024-1", "bucket/logs/2024-2"]
    (asked,) = [request.query for request in place.server.requests]
    assert (asked["prefix"], asked["delimiter"]) == ("logs/2024", "/")


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("maxdepth", [None, 1])
@pytest.mark.parametrize("detail", [True, False])
def test_find_by_prefix_finds_names_that_begin_so_and_no_others(
    place: Place, cached: bool, maxdepth: int | None, detail: bool
) -> None:
    place.fill("d/ab/1", "d/ac", "d/b")
    fs = filesystem(place.server.url, use_listings_cache=cached)
    find = partial(fs.find, "bucket/d", maxdepth=maxdepth, detail=detail)
    deep = ["bucket/d/ab/1"] if maxdepth is None else []
    assert list(find(prefix="a", withdirs=True)) == ["bucket/d/ab", *deep, "bucket/d/ac"]
    assert list(find(prefix="a")) == [*deep, "bucket/d/ac"]
    assert list(find(prefix="z", withdirs=True)) == []
    for whole in (None, ""):
        every = [*deep, "bucket/d/ac", "bucket/d/b"]
        assert list(find(prefix=whole)) == every
        assert list(find(prefix=whole, withdirs=True)) == sorted(["bucket/d", "bucket/d/ab", *every])
    with pytest.raises(TypeError, match="prefix must be str"):
        find(prefix=b"a")


# --- globs -----------------------------------------------------------------------------------------


def test_a_glob_at_the_root_lists_only_the_buckets_that_match(place: Place) -> None:
    """Others may be none of ours: a 403 of one that matches is an error."""
    place.fake.buckets |= dict.fromkeys(["logs-1", "logs-2", "private"], place.fake.buckets["bucket"])
    place.fill("2024/x", "y", bucket="logs-1")
    place.fill("2024/z", bucket="logs-2")
    place.fake.fault = lambda request, _: (
        s3_error(403, "AccessDenied") if request.path.startswith("/private") else None
    )
    fs = place.fs
    assert fs.glob("*") == ["bucket", "logs-1", "logs-2", "private"]
    assert fs.glob("logs-?") == ["logs-1", "logs-2"]
    assert fs.glob("gs3://logs-*/2*/*") == ["logs-1/2024/x", "logs-2/2024/z"]
    assert fs.glob("logs-[1]/**") == ["logs-1", "logs-1/2024", "logs-1/2024/x", "logs-1/y"]
    assert fs.glob("nothing*") == []
    with pytest.raises(PermissionError):
        fs.glob("priv*/x*")
    place.fake.fault = None
    assert fs.glob("**/2024/*") == ["logs-1/2024/x", "logs-2/2024/z"]
    assert set(fs.glob("**")) >= {"bucket", "logs-1/2024/x", "private"}
    assert fs.find("", maxdepth=1, withdirs=True, prefix="logs-") == ["logs-1", "logs-2"]


PATTERNS = ["d/*", "d/**", "d/*/*", "d/?", "d/[ab]", "d/**/f", "d/*/", "d/e", "d/none", "*"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_globs_are_those_of_the_memory_filesystem(place: Place, pattern: str) -> None:
    import fsspec

    keys = ["d/a", "d/b", "d/e/f", "d/e/g/h", "top", "d/f"]
    place.fill(*keys)
    memory = fsspec.filesystem("memory", skip_instance_cache=True)
    memory.store, memory.pseudo_dirs = {}, [""]
    memory.pipe({f"/bucket/{key}": b"" for key in keys})
    for depth in (None, 1, 2):
        wanted = [name.removeprefix("/") for name in memory.glob(f"/bucket/{pattern}", maxdepth=depth)]
        assert place.fs.glob(f"bucket/{pattern}", maxdepth=depth) == wanted


def test_a_name_that_is_there_is_no_pattern(place: Place) -> None:
    place.fill("a?b", "axb", "[1]", "9", "run[2]/x", "run[2]/y", "[3]", "3", "r[4]/x", "r4/x")
    fs = place.fs
    fs.rm("bucket/[1]")
    fs.rm("bucket/run[2]", recursive=True)
    assert place.left() == {"a?b", "axb", "9", "[3]", "3", "r[4]/x", "r4/x"}
    for path, recursive in [("bucket/[3]", False), ("bucket/r[4]", True), ("bucket/r[4]/", True)]:
        with pytest.raises(ValueError, match="pass a list"):
            fs.rm(path, recursive=recursive)
    fs.rm(["bucket/[3]", "bucket/r[4]"], recursive=True)
    assert place.left() == {"a?b", "axb", "9", "3", "r4/x"}
    with pytest.raises(ValueError, match=r"a\?b' is there, and as a pattern it matches 'bucket/axb'"):
        fs.rm("bucket/a?b")
    assert fs.cat(["bucket/a?b"]) == {"bucket/a?b": b"a?b"}
    fs.rm(["bucket/a?b"])
    fs.rm("bucket/?")
    assert place.left() == {"axb", "r4/x"}


# --- removing --------------------------------------------------------------------------------------


def test_rm_looks_for_all_before_it_deletes_the_first(place: Place) -> None:
    place.fill("a", "d/x")
    for path, kind in [
        (["bucket/a", "bucket/none"], FileNotFoundError),
        (["bucket/a", "bucket/d"], IsADirectoryError),
        ("bucket/d*", IsADirectoryError),
        ("bucket/none*", FileNotFoundError),
    ]:
        with pytest.raises(kind):
            place.fs.rm(path)
    assert place.left() == {"a", "d/x"}


def test_a_glob_without_recursive_removes_files_and_leaves_directories(place: Place) -> None:
    place.fill("t/a", "t/b", "t/d/x")
    place.fs.rm("bucket/t/*")
    assert place.left() == {"t/d/x"}


def test_rm_tells_which_keys_stayed_and_why(place: Place) -> None:
    """Each has the exception of its own code; those that could be deleted are."""
    place.fill("a", "b", "c", "d")

    refused = {"b": "AccessDenied", "c": "InvalidObjectState"}
    place.fake.refuse_delete = refused.get
    with pytest.raises(DeleteObjectsError) as caught:
        place.fs.rm([f"bucket/{key}" for key in "abcd"])
    assert place.left() == {"b", "c"}
    assert set(caught.value.errors) == {"bucket/b", "bucket/c"}
    assert isinstance(caught.value.errors["bucket/b"], PermissionError)
    assert caught.value.errors["bucket/c"].code == "InvalidObjectState"
    assert "2 of 4" in str(caught.value)


def test_one_key_that_stayed_is_its_own_error(place: Place) -> None:
    place.fill("a", "b")
    place.fake.refuse_delete = {"b": "AccessDenied"}.get
    with pytest.raises(PermissionError, match="bucket/b"):
        place.fs.rm("bucket/*")
    assert place.left() == {"b"}


def test_keys_that_the_store_was_too_busy_for_are_tried_again(place: Place) -> None:
    place.fill(*"abc")
    busy = ["InternalError", "InternalError"]
    place.fake.refuse_delete = lambda key: busy.pop() if key == "b" and busy else None
    place.fs.rm("bucket/*")
    assert place.left() == set()
    place.fill(*"ab")
    place.fake.refuse_delete = {"b": "InternalError"}.get
    with pytest.raises(OSError, match="InternalError"):
        place.fs.rm(["bucket/a", "bucket/b"])
    assert place.left() == {"b"}


@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("whole", [1, 2, 3])
def test_keys_and_requests_that_fail_in_turns_share_their_attempts(
    attempts: int, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`whole` requests are refused, then one goes through that could not delete a key, and so on."""
    monkeypatch.setattr("fsspec_guarded_s3._s3.retry.BASE_SECONDS", 0.001)
    asked: list[Request] = []

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.method != "POST":
            return None
        asked.append(request)
        return s3_error(500, "InternalError") if len(asked) % (whole + 1) else None

    fake = FakeS3("bucket", fault=fault)
    fake.refuse_delete = {"b": "InternalError"}.get
    for key in "ab":
        fake.put("bucket", key, b"")
    with ScriptedServer(handler=fake) as server, pytest.raises(OSError, match="InternalError"):
        filesystem(server.url, max_attempts=attempts).rm(["bucket/a", "bucket/b"])
    assert len(asked) == attempts
    assert ("bucket", "b") in fake.objects


def test_a_request_that_is_refused_whole_is_that_error(place: Place) -> None:
    place.fill(*"ab")
    place.fake.fault = lambda request, _: s3_error(403, "AccessDenied") if request.method == "POST" else None
    with pytest.raises(PermissionError):
        place.fs.rm(["bucket/a", "bucket/b"])
    assert place.left() == {"a", "b"}


# --- moving and copying ----------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["gs3://bucket/a", "bucket/a", "/bucket/a"])
def test_mv_onto_itself_loses_nothing(place: Place, target: str) -> None:
    place.fill("a", "t/x")
    place.fs.mv("bucket/a", target)
    place.fs.mv(["bucket/a"], [target])
    place.fs.mv("bucket/t/", "gs3://bucket/t", recursive=True)
    assert place.left() == {"a", "t/x"}


def test_mv_keeps_a_source_that_was_replaced_after_it_was_copied(place: Place) -> None:
    """The new version was never copied, so deleting it would lose it."""
    place.fill("a", "b")

    def fault(request: Request, fake: FakeS3) -> None:
        if request.method == "POST" and "delete" in request.query:
            fake.put("bucket", "a", b"somebody's new version")

    place.fake.fault = fault
    with pytest.raises(ObjectChangedError):
        place.fs.mv("bucket/*", "bucket/moved/")
    assert place.left() == {"a", "moved/a", "moved/b"}
    assert place.fake.objects["bucket", "a"].body == b"somebody's new version"


def test_mv_is_content_when_somebody_else_deleted_the_source(place: Place) -> None:
    place.fill("a")
    place.fake.fault = lambda request, fake: (
        fake.objects.pop(("bucket", "a"), None) and None if request.method == "POST" else None
    )
    place.fs.mv("bucket/a", "bucket/b")
    assert place.left() == {"b"}


@pytest.mark.parametrize("verb", ["cp", "mv"])
def test_sources_and_targets_that_meet_are_refused_before_anything_moves(place: Place, verb: str) -> None:
    place.fill("x/f", "y/f", "a", "b", "t/f", "t/t/f")
    call = getattr(place.fs, verb)
    for source, target, recursive, words in [
        (["bucket/x/f", "bucket/y/f"], "bucket/out/", False, "would both become 'bucket/out/f'"),
        (["bucket/a", "bucket/b"], ["bucket/c", "gs3://bucket/c"], False, "would both become 'bucket/c'"),
        (["bucket/a", "bucket/b"], ["bucket/b", "bucket/c"], False, "'bucket/b' is a source and a target"),
        ("bucket/t/", "bucket/t/t", True, "'bucket/t/t/f' is a source and a target"),
        (["bucket/a", "bucket/b"], ["bucket/c"], False, "2 sources, but 1 targets"),
        ("bucket/[ab]", ["bucket/c"], False, "2 sources, but 1 targets"),
    ]:
        with pytest.raises(ValueError, match=words.replace("[", r"\[")):
            call(source, target, recursive=recursive)
    assert place.left() == {"x/f", "y/f", "a", "b", "t/f", "t/t/f"}


@pytest.mark.parametrize("verb", ["cp", "mv"])
def test_a_directory_is_not_copied_or_moved_into_itself(place: Place, verb: str) -> None:
    place.fill("t", "t/f", "t/sub/g", "u/sub/sub/f")
    before, call = place.left(), getattr(place.fs, verb)
    for source, target, depth in [
        ("bucket/t", "bucket/t/sub", None),
        ("bucket/t", "bucket/t/new", None),
        ("gs3://bucket/t/", "bucket/t/new/", None),
        ("bucket/t", "bucket/t", None),  # there it would be bucket/t/t
        ("bucket", "bucket/copy", None),
        ("bucket/t/*", "bucket/t/sub", None),
        (["bucket/t"], "bucket/t/sub/", None),
        ("bucket/t", "bucket/t/new", 2),
        ("bucket/t/**", "bucket/t/new/", None),
    ]:
        recursive = "**" not in source
        with pytest.raises(
            ValueError, match=r"'bucket.*' cannot be copied or moved into itself, to 'bucket/"
        ):
            call(source, target, recursive=recursive, maxdepth=depth)
    assert place.left() == before


@pytest.mark.parametrize("verb", ["cp", "mv"])
def test_what_only_looks_like_a_copy_into_itself_is_made(place: Place, verb: str) -> None:
    call = getattr(place.fs, verb)
    for keys, source, target, recursive, depth, made in [
        (("t/f", "t/sub/g"), "bucket/t", "bucket/t2", True, None, {"t2/f", "t2/sub/g"}),
        (("t/f",), "bucket/t/f", "bucket/t/f/copy", True, None, {"t/f/copy"}),
        (("t/f", "t/sub/g"), "bucket/t/*", "bucket/t/sub/", False, None, {"t/sub/f", "t/sub/g"}),
        (("t/f", "t/h", "t/sub/g"), "bucket/t/", "bucket/t/new", True, 1, {"t/new/f", "t/sub/g"}),
        (("t/sub/sub/f",), "bucket/t/sub/", "bucket/t/", True, None, {"t/sub/f"}),
    ]:
        place.fill(*keys)
        call(source, target, recursive=recursive, maxdepth=depth)
        assert made <= place.left(), (source, target)
        place.fs.rm([f"bucket/{key}" for key in place.left()])


# --- to local folders ------------------------------------------------------------------------------


def test_get_writes_nothing_where_keys_do_not_fit_into_folders(place: Place, tmp_path: Path) -> None:
    (tmp_path / "down").mkdir()
    for keys, words in [
        (("out/../../up", "out/b"), "outside of"),
        (("two//x", "two/x"), "would both become"),
        (("dot/./x", "dot/x"), "would both become"),
    ]:
        place.fill(*keys)
        with pytest.raises(ValueError, match=words):
            place.fs.get(f"bucket/{keys[0].partition('/')[0]}/", str(tmp_path / "down"), recursive=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_get_into_a_missing_folder_makes_it_only_for_what_is_there(place: Place, tmp_path: Path) -> None:
    place.fill("d/file")
    with pytest.raises(FileNotFoundError):
        place.fs.get_file("bucket/none", str(tmp_path / "a" / "b"))
    with pytest.raises(FileNotFoundError):
        place.fs.get("bucket/none*", str(tmp_path / "a") + "/")
    assert list(tmp_path.iterdir()) == []
    place.fs.get("bucket/d/file", str(tmp_path / "a" / "b" / "c"))
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"d/file"


def test_get_file_onto_a_folder_is_refused_before_the_download(place: Place, tmp_path: Path) -> None:
    place.fill("file")
    with pytest.raises(IsADirectoryError, match="folder"):
        place.fs.get_file("bucket/file", str(tmp_path))
    assert "GET" not in place.asked()
    assert list(tmp_path.iterdir()) == []


def test_directories_without_recursive_are_left_alone_as_in_fsspec(place: Place, tmp_path: Path) -> None:
    place.fill("d/file", "e/x")
    place.fs.get("bucket/d", str(tmp_path / "down"))
    place.fs.cp("bucket/d", "bucket/copy")
    assert list(tmp_path.iterdir()) == []
    assert place.left() == {"d/file", "e/x"}


@pytest.mark.parametrize("verb", ["get", "put", "copy"])
def test_a_directory_that_is_passed_over_is_named_in_the_log(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture, verb: str
) -> None:
    """fsspec's rule: without `recursive` nothing is transferred, and it is no error."""
    place.fill("d/a", "d/e/b")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_bytes(b"1")
    source, target = {
        "get": ("bucket/d", str(tmp_path / "got")),
        "put": (str(tmp_path / "tree"), "bucket/new"),
        "copy": ("bucket/d", "bucket/new"),
    }[verb]
    transfer = getattr(place.fs, verb)
    transfer(source, target)
    assert place.left() == {"d/a", "d/e/b"}
    assert not (tmp_path / "got").exists()
    assert [record.getMessage() for record in caplog.records] == [
        f"nothing was copied: {source} is a directory, and recursive=True was not passed"
    ]
    caplog.clear()
    transfer(source, target, recursive=True)
    transfer(source + "/a", target)
    assert not caplog.records
