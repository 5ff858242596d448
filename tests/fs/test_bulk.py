"""Verbs on many objects: the right pairs, merged ranges, and nothing deleted that was not copied."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fsspec.callbacks import Callback

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError, ObjectNotFoundError
from fsspec_guarded_s3._read.ranges import Wanted, merged
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, s3_error

DATA = random.Random(5).randbytes(300_000)


def test_ranges_are_merged_by_gap_and_split_by_limit() -> None:
    ranges = [Wanted(50, 60, 0), Wanted(0, 10, 1), Wanted(12, 20, 2), Wanted(60, 130, 3), Wanted(5, 8, 4)]
    groups = [[item.place for item in group] for group in merged(ranges, 2, 100)]
    assert groups == [[1, 4, 2], [0, 3]]
    assert [[item.place for item in group] for group in merged(ranges, 100, 60)] == [[1, 4, 2, 0], [3]]
    assert list(merged([], 0, 1)) == []


@pytest.mark.parametrize(("gap", "requests"), [(0, 4), (1000, 3), (None, 1)])
def test_near_ranges_are_read_together_and_come_in_the_order_asked_for(
    gap: int | None, requests: int
) -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", DATA)
    starts, ends = [5000, 0, 2000, 100_000, 2500], [6000, 1000, 3000, 100_001, 2600]
    with ScriptedServer(handler=fake) as server:
        found = filesystem(server.url).cat_ranges(["bucket/key"] * 5, starts, ends, max_gap=gap)
        gets = [request for request in server.requests if request.method == "GET"]
    assert found == [DATA[start:end] for start, end in zip(starts, ends, strict=True)]
    assert len(gets) == requests
    first, *others = gets
    assert "if-match" not in first.headers  # its answer tells the version
    assert {request.headers["if-match"] for request in others} <= {fake.objects["bucket", "key"].etag}


def test_a_range_of_a_missing_object_fails_alone() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", DATA)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        found = fs.cat_ranges(["bucket/none", "bucket/key", "bucket/none"], [0, 7, 1], [1, 9, 2])
        assert isinstance(found[0], ObjectNotFoundError)
        assert found[1] == DATA[7:9]
        assert isinstance(found[2], ObjectNotFoundError)
        with pytest.raises(FileNotFoundError):
            fs.cat_ranges(["bucket/none"], 0, 1, on_error="raise")


def test_mv_of_a_key_that_is_a_directory_too_moves_the_key() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "a", b"1")
    fake.put("bucket", "a/b", b"2")
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).mv("bucket/a", "bucket/z")
    assert {key: stored.body for (_, key), stored in fake.objects.items()} == {"z": b"1", "a/b": b"2"}


def test_mv_of_a_tree_deletes_only_what_it_copied() -> None:
    """A key that appears in the tree while it is moved stays."""

    def fault(request: object, fake: FakeS3) -> None:
        if "x-amz-copy-source" in request.headers:  # type: ignore[attr-defined]
            fake.put("bucket", "tree/late", b"late")

    fake = FakeS3("bucket", fault=fault)
    for name in ("tree/1", "tree/deep/2"):
        fake.put("bucket", name, name.encode())
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).mv("bucket/tree", "bucket/new", recursive=True)
    assert {key for _, key in fake.objects} == {"new/1", "new/deep/2", "tree/late"}


@pytest.mark.parametrize("files", [(), ("file", "deep/file"), ("deep/empty//x",)])
@pytest.mark.parametrize("target", ["bucket/new", "bucket/deep/new", "other/d", "other"])
def test_mv_of_a_tree_takes_its_markers_along(files: tuple[str, ...], target: str) -> None:
    """Also of a directory that is a marker and nothing else: what was moved is not there any more."""
    markers = {"d/": b"1", "d/deep/": b"", "d/deep/empty/": b"3", "d/deep//": b"4"}
    fake = FakeS3("bucket", "other")
    for key, content in markers.items():
        fake.put("bucket", key, content, colour=key)
    for key in files:
        fake.put("bucket", f"d/{key}", b"file")
    stay = {("bucket", "e/"), ("bucket", "dd/"), ("bucket", "deep/")}
    for bucket, key in stay:
        fake.put(bucket, key, b"")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fs.mv("bucket/d", target, recursive=True)
        assert not fs.exists("bucket/d")
        assert fs.isdir(target)
    bucket, _, prefix = target.partition("/")
    within = "d/" if target == "other" else f"{prefix}/"  # a bucket is there: the directory goes into it
    expected = {
        (bucket, within + key.removeprefix("d/")) for key in (*markers, *(f"d/{key}" for key in files))
    }
    assert set(fake.objects) == stay | expected
    for key, content in markers.items():
        found = fake.objects[bucket, within + key.removeprefix("d/")]
        assert (found.body, found.metadata["colour"]) == (content, key)


def test_mv_of_a_marker_that_cannot_be_copied_deletes_nothing() -> None:
    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return s3_error(403, "AccessDenied") if request.path.startswith("/bucket/new/deep/") else None

    fake = FakeS3("bucket", fault=fault)
    for key in ("d/", "d/deep/", "d/file"):
        fake.put("bucket", key, b"")
    with ScriptedServer(handler=fake) as server, pytest.raises(PermissionError):
        filesystem(server.url).mv("bucket/d", "bucket/new", recursive=True)
    assert {key for _, key in fake.objects} >= {"d/", "d/deep/", "d/file"}


def test_mv_whose_copy_fails_deletes_nothing() -> None:
    fake = FakeS3("bucket")

    def fault(request: object, _: FakeS3) -> object:
        return s3_error(403, "AccessDenied") if request.path.endswith("new/2") else None  # type: ignore[attr-defined]

    fake.fault = fault  # type: ignore[assignment]
    for name in ("tree/1", "tree/2"):
        fake.put("bucket", name, b"x")
    with ScriptedServer(handler=fake) as server, pytest.raises(PermissionError):
        filesystem(server.url).mv("bucket/tree", "bucket/new", recursive=True)
    assert {"tree/1", "tree/2"} <= {key for _, key in fake.objects}


def test_copy_onto_itself_changes_nothing() -> None:
    fake = FakeS3("bucket")
    before = fake.put("bucket", "a", b"1")
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).cp_file("bucket/a", "bucket/a")
        with pytest.raises(FileNotFoundError):
            filesystem(server.url).cp_file("bucket/b", "bucket/b")
    assert fake.objects["bucket", "a"] == before


class Counting(Callback):
    """Totals of files and of the bytes of the branches."""

    def __init__(self) -> None:
        super().__init__()
        self.branches: list[Callback] = []

    def branched(self, path_1: str, path_2: str, **kwargs: object) -> Callback:
        self.branches.append(Callback())
        return self.branches[-1]


def test_trees_come_and_go_side_by_side_with_right_totals(tmp_path: Path) -> None:
    source = tmp_path / "source"
    bodies = {f"d{n % 3}/f{n}": DATA[n * 1000 : n * 2500] for n in range(20)}
    for name, body in bodies.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(body)
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        up, down = Counting(), Counting()
        fs.put(f"{source}/", "bucket/tree/", recursive=True, callback=up)
        fs.get("bucket/tree/", f"{tmp_path}/back/", recursive=True, callback=down)
        assert fs.cat("bucket/tree", recursive=True) == {
            f"bucket/tree/{name}": body for name, body in bodies.items()
        }
    assert {name: (tmp_path / "back" / name).read_bytes() for name in bodies} == bodies
    for callback in (up, down):
        assert callback.value == callback.size == len(callback.branches)
        assert sum(branch.value for branch in callback.branches) == sum(map(len, bodies.values()))


@pytest.mark.parametrize("other", ["gs3://bucket/a", "/bucket/a", "guarded-s3://bucket/a"])
def test_pipe_of_two_names_of_one_object_writes_nothing(other: str) -> None:
    """Which of the two would be there in the end is chance."""
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server, pytest.raises(ValueError, match="both become 'bucket/a'"):
        filesystem(server.url).pipe({"bucket/a": b"1", "bucket/b": b"2", other: b"3"})
    assert not fake.objects


def test_pipe_writes_all_of_a_dict() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).pipe({f"bucket/{n}": str(n).encode() for n in range(50)})
    assert {key: stored.body for (_, key), stored in fake.objects.items()} == {
        str(n): str(n).encode() for n in range(50)
    }


class HandingOn(GuardedS3FileSystem):
    """A filesystem of a user's own, whose verbs hand on what they do not know."""

    seen: list[str]

    def put_file(self, lpath: Any, rpath: str, **kwargs: Any) -> None:
        self.seen.append("put_file")
        super().put_file(lpath, rpath, **kwargs)

    def get_file(self, rpath: str, lpath: Any, **kwargs: Any) -> None:
        self.seen.append("get_file")
        super().get_file(rpath, lpath, **kwargs)

    def pipe_file(self, path: str, value: Any, **kwargs: Any) -> Any:
        self.seen.append("pipe_file")
        return super().pipe_file(path, value, **kwargs)

    def cat_file(self, path: str, *args: Any, **kwargs: Any) -> bytes:
        self.seen.append("cat_file")
        return super().cat_file(path, *args, **kwargs)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        self.seen.append("cp_file")
        super().cp_file(path1, path2, **kwargs)


class Narrow(GuardedS3FileSystem):
    """One that takes less."""

    def put_file(self, lpath: Any, rpath: str, callback: Any = None) -> None:  # type: ignore[override]
        super().put_file(lpath, rpath, callback=callback)


def own(kind: type[GuardedS3FileSystem], url: str) -> Any:
    """One of these."""
    options = {"key": "k", "secret": "s", "region": "us-east-1", "probe": "never"}
    return kind(endpoint_url=url, skip_instance_cache=True, **options)


def test_a_subclass_that_overrides_a_verb_is_given_the_keywords_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = own(HandingOn, server.url)
        fs.seen = []
        fs.put(str(tmp_path / "file"), "bucket/put", mode="create")
        fs.pipe({"bucket/pipe": DATA}, mode="create")
        for verb in (
            lambda: fs.put(str(tmp_path / "file"), "bucket/put", mode="create"),
            lambda: fs.pipe({"bucket/pipe": DATA}, mode="create"),
        ):
            with pytest.raises(FileExistsError):
                verb()
        assert fs.cat(["bucket/put", "bucket/pipe"], start=0, end=9) == {
            "bucket/put": DATA[:9],
            "bucket/pipe": DATA[:9],
        }
        fs.get(["bucket/put"], [str(tmp_path / "got")], version_id=None)
        assert (tmp_path / "got").read_bytes() == DATA
        assert sorted(set(fs.seen)) == ["cat_file", "get_file", "pipe_file", "put_file"]
        for call in (
            lambda: fs.put(str(tmp_path / "file"), "bucket/put", mood="create"),
            lambda: fs.pipe({"bucket/pipe": DATA}, mood="create"),
            lambda: fs.cat("bucket/put", begin=0),
        ):
            with pytest.raises(TypeError, match=r"does not take (mood|begin)"):
                call()


BULK: dict[str, tuple[str, Callable[[Any, Path], Any]]] = {
    "get": ("get_file", lambda fs, folder: fs.get("bucket/a", str(folder / "a"))),
    "get a tree": ("get_file", lambda fs, folder: fs.get("bucket/d/", f"{folder}/", recursive=True)),
    "get a list": ("get_file", lambda fs, folder: fs.get(["bucket/a"], [str(folder / "a")])),
    "download": ("get_file", lambda fs, folder: fs.download("bucket/a", str(folder / "a"))),
    "copy": ("cp_file", lambda fs, folder: fs.copy("bucket/a", "bucket/to")),
    "copy a tree": ("cp_file", lambda fs, folder: fs.copy("bucket/d/", "bucket/to/", recursive=True)),
    "mv": ("cp_file", lambda fs, folder: fs.mv("bucket/a", "bucket/to")),
    "mv a tree": ("cp_file", lambda fs, folder: fs.mv("bucket/d/", "bucket/to/", recursive=True)),
    "rename": ("cp_file", lambda fs, folder: fs.rename("bucket/a", "bucket/to")),
    "cat a list": ("cat_file", lambda fs, folder: fs.cat(["bucket/a"])),
    "cat a tree": ("cat_file", lambda fs, folder: fs.cat("bucket/d", recursive=True)),
    "cat_ranges": ("cat_file", lambda fs, folder: fs.cat_ranges(["bucket/a"], 0, 1)),
    "head": ("cat_file", lambda fs, folder: fs.head("bucket/a", 1)),
    "pipe": ("pipe_file", lambda fs, folder: fs.pipe({"bucket/to": DATA})),
    "put": ("put_file", lambda fs, folder: fs.put(__file__, "bucket/to")),
    "tail": ("cat_file", lambda fs, folder: fs.tail("bucket/a", 1)),
    "pipe to one path": ("pipe_file", lambda fs, folder: fs.pipe("bucket/to", DATA)),
    "put_if_absent": ("pipe_file", lambda fs, folder: fs.put_if_absent("bucket/to", DATA)),
    "touch": ("pipe_file", lambda fs, folder: fs.touch("bucket/to")),
}


@pytest.mark.parametrize("call", BULK)
def test_verbs_for_many_objects_go_through_those_that_a_subclass_overrides(call: str, tmp_path: Path) -> None:
    """A filesystem that encrypts or counts by `get_file` is not passed over."""
    verb, ask = BULK[call]
    fake = FakeS3("bucket")
    for key in ("a", "d/e"):
        fake.put("bucket", key, DATA)
    with ScriptedServer(handler=fake) as server:
        plain, fs = filesystem(server.url), own(HandingOn, server.url)
        fs.seen = []
        answer = ask(fs, tmp_path / "own")
        assert fs.seen == [verb]
        left = {key: stored.body for (_, key), stored in fake.objects.items()}
        fake.objects.clear()
        for key in ("a", "d/e"):
            fake.put("bucket", key, DATA)
        assert ask(plain, tmp_path / "plain") == answer
        assert {key: stored.body for (_, key), stored in fake.objects.items()} == left
    files = [
        sorted(path.name for path in (tmp_path / kind).rglob("*") if path.is_file())
        for kind in ("own", "plain")
    ]
    assert files[0] == files[1]


def test_a_move_by_a_verb_of_a_subclass_keeps_what_was_written_meanwhile() -> None:
    class Slow(GuardedS3FileSystem):
        def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
            super().cp_file(path1, path2, **kwargs)
            fake.put("bucket", "a", b"newer")

    fake = FakeS3("bucket")
    fake.put("bucket", "a", DATA)
    with ScriptedServer(handler=fake) as server, pytest.raises(ObjectChangedError):
        own(Slow, server.url).mv("bucket/a", "bucket/to")
    assert fake.objects["bucket", "a"].body == b"newer"
    assert fake.objects["bucket", "to"].body == DATA


def test_a_subclass_that_takes_fewer_keywords_is_not_given_more(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = own(Narrow, server.url)
        with pytest.raises(TypeError, match="put does not take mode"):
            fs.put(str(tmp_path / "file"), "bucket/put", mode="create")
        fs.put(str(tmp_path / "file"), "bucket/put")
    assert fake.objects["bucket", "put"].body == DATA


@pytest.mark.parametrize("verb", ["cat", "get", "put", "copy", "mv", "rm", "rm of versions", "expand_path"])
@pytest.mark.parametrize("value", ["no", "false", "", b"0"])
def test_recursive_is_no_text(verb: str, value: Any, tmp_path: Path) -> None:
    """Text out of a configuration would be true, whatever it says."""
    fake = FakeS3("bucket")
    for key in ("d/a", "d/b"):
        fake.put("bucket", key, DATA)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(DATA)
    calls: dict[str, tuple[Any, ...]] = {
        "get": ("bucket/d", str(tmp_path / "got")),
        "put": (str(tmp_path / "tree"), "bucket/to"),
        "copy": ("bucket/d", "bucket/to"),
        "mv": ("bucket/d", "bucket/to"),
    }
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        given: dict[str, Any] = {"versions": True} if verb == "rm of versions" else {}
        with pytest.raises(TypeError, match=r"recursive must be bool, not (str|bytes)"):
            getattr(fs, verb.split()[0])(*calls.get(verb, ("bucket/d",)), recursive=value, **given)
        with pytest.raises(IsADirectoryError):
            fs.rm("bucket/d", recursive=0)  # type: ignore[arg-type]
    assert sorted(key for _, key in fake.objects) == ["d/a", "d/b"]
    assert not (tmp_path / "got").exists()


def test_links_to_folders_that_are_left_out_of_a_tree_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree = tmp_path / "tree"
    for name in ("real", "other", "empty"):
        (tree / name).mkdir(parents=True)
    (tree / "real" / "file").write_bytes(b"1")
    (tree / "link").symlink_to("real")
    (tree / "other" / "up").symlink_to("..")
    (tree / "other" / "none").symlink_to("../empty")
    (tree / "file").symlink_to("real/file")
    (tmp_path / "way").symlink_to("tree")
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fs.put(f"{tree}/", "bucket/a/", recursive=True)
        assert sorted(key for _, key in fake.objects) == ["a/file", "a/real/file"]
        told = [record.getMessage() for record in caplog.records]
        assert told == [
            f"{tree}/link and 1 more: links to folders are not followed, and left out of the tree"
        ]
        caplog.clear()
        fs.put(f"{tmp_path}/way", "bucket/b", recursive=True)  # one that is named is followed
        assert fake.objects["bucket", "b/real/file"].body == b"1"
        caplog.clear()
        fs.put(f"{tree}/real", "bucket/c", recursive=True)
        fs.put(f"{tree}/*", "bucket/d/")
    assert not caplog.records
