"""What every store must do, checked on some that share no code.

`make stores` runs it on every store that can be had, `make aws` on a bucket of yours.
"""

import contextlib
import io
import pickle
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError, PreconditionUnsupportedError
from tests.data import period_free

from .conftest import MIB, Store

SMALL = period_free(10_000)
LARGE = period_free(12 * MIB, seed=1)  # 5 + 5 + 2 MiB


@pytest.mark.parametrize(
    "data", [b"", b"x", SMALL, LARGE[: 5 * MIB - 1], LARGE[: 5 * MIB], LARGE[: 5 * MIB + 1], LARGE]
)
def test_piped_bytes_come_back(store: Store, data: bytes) -> None:
    store.fs.pipe_file(store.path("a"), data)
    assert store.fs.cat_file(store.path("a")) == data
    assert store.fs.size(store.path("a")) == len(data)
    assert store.pending() == []


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "multipart"])
def test_files_go_up_and_come_down_unchanged(store: Store, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "up").write_bytes(data)
    store.fs.put_file(str(tmp_path / "up"), store.path("a"))
    store.fs.get_file(store.path("a"), str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == data
    assert sorted(p.name for p in tmp_path.iterdir()) == ["down", "up"]


def test_get_file_writes_to_a_file_object(store: Store) -> None:
    store.fs.pipe_file(store.path("a"), SMALL)
    buffer = io.BytesIO()
    store.fs.get_file(store.path("a"), buffer)
    assert buffer.getvalue() == SMALL


BOUNDS = [None, 0, 1, 9_999, 10_000, 10_001, -1, -9_999, -10_000, -10_001]


def test_cat_file_slices_by_pythons_rules(store: Store) -> None:
    store.fs.pipe_file(store.path("a"), SMALL)
    wrong = [
        (start, end)
        for start in BOUNDS
        for end in BOUNDS
        if store.fs.cat_file(store.path("a"), start, end) != SMALL[start:end]
    ]
    assert wrong == []


def test_cat_file_slices_across_ranges_of_a_large_object(store: Store) -> None:
    store.fs.pipe_file(store.path("a"), LARGE)
    for start, end in [(4 * MIB - 1, 8 * MIB + 1), (1, None), (-5 * MIB, None), (0, -1)]:
        assert store.fs.cat_file(store.path("a"), start, end) == LARGE[start:end]


def test_cat_file_of_an_empty_object_is_empty_for_any_slice(store: Store) -> None:
    store.fs.pipe_file(store.path("a"), b"")
    assert [store.fs.cat_file(store.path("a"), *s) for s in [(0, 5), (-5, None), (3, 1)]] == [b""] * 3


def test_cat_ranges_keeps_the_order_and_returns_errors(store: Store) -> None:
    a, b = store.path("a"), store.path("b")
    store.fs.pipe({a: SMALL, b: SMALL[::-1]})
    found = store.fs.cat_ranges([a, b, a], [0, -10, 5], [10, None, 6])
    assert found == [SMALL[:10], SMALL[::-1][-10:], SMALL[5:6]]
    found = store.fs.cat_ranges([a, store.path("none")], 0, 4)
    assert found[0] == SMALL[:4]
    assert isinstance(found[1], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        store.fs.cat_ranges([store.path("none")], 0, 4, on_error="raise")


def test_cat_of_many_is_a_dict(store: Store) -> None:
    store.fs.pipe({store.path("d/a"): b"1", store.path("d/b"): b"2"})
    wanted = {store.path("d/a"): b"1", store.path("d/b"): b"2"}
    assert store.fs.cat([store.path("d/a"), store.path("d/b")]) == wanted
    assert store.fs.cat(store.path("d/*")) == wanted
    assert store.fs.cat(store.path("d"), recursive=True) == wanted


def test_head_and_tail_are_the_ends(store: Store) -> None:
    store.fs.pipe_file(store.path("a"), SMALL)
    assert store.fs.head(store.path("a"), 7) == SMALL[:7]
    assert store.fs.tail(store.path("a"), 7) == SMALL[-7:]
    assert store.fs.tail(store.path("a"), 20_000) == SMALL
    assert store.fs.tail(store.path("a"), 0) == b""


def test_a_reader_behaves_like_a_file(store: Store) -> None:
    data = b"".join(b"line %d\n" % i for i in range(5_000))
    store.fs.pipe_file(store.path("a"), data)
    local = io.BytesIO(data)
    with store.fs.open(store.path("a"), "rb", block_size=1000) as file:
        assert file.readline() == local.readline()
        assert file.read(3_000) == local.read(3_000)
        for offset, whence in [(10, 0), (-20, 1), (-100, 2), (0, 0), (len(data), 0)]:
            assert file.seek(offset, whence) == local.seek(offset, whence)
            assert file.read(50) == local.read(50)
            assert file.tell() == local.tell()
        file.seek(0)
        assert list(file) == data.splitlines(keepends=True)
        assert file.read() == b""


def test_a_reader_reads_a_large_object_whole(store: Store) -> None:
    store.fs.pipe_file(store.path("a"), LARGE)
    with store.fs.open(store.path("a"), "rb") as file:
        assert file.read() == LARGE


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "multipart"])
def test_a_writer_publishes_at_the_end_of_with(store: Store, data: bytes) -> None:
    with store.fs.open(store.path("a"), "wb") as file:
        for start in range(0, len(data), 777_777):
            file.write(data[start : start + 777_777])
        assert file.tell() == len(data)
        assert not store.fs.exists(store.path("a"))
    assert store.fs.cat_file(store.path("a")) == data
    assert store.pending() == []


def test_a_writer_replaces_an_object(store: Store) -> None:
    store.fs.pipe_file(store.path("a"), SMALL)
    with store.fs.open(store.path("a"), "wb") as file:
        file.write(b"new")
    assert store.fs.cat_file(store.path("a")) == b"new"


def test_text_comes_back(store: Store) -> None:
    with store.fs.open(store.path("a"), "w", encoding="utf-8", newline="\n") as file:
        file.write("grün\nzwei\n")
    assert store.fs.cat_file(store.path("a")) == "grün\nzwei\n".encode()
    with store.fs.open(store.path("a"), "r", encoding="utf-8") as file:
        assert file.readlines() == ["grün\n", "zwei\n"]


@pytest.mark.parametrize("mode", ["b", "t"])
def test_gzip_comes_back(store: Store, mode: str) -> None:
    import gzip

    data = SMALL if mode == "b" else "grün\n" * 100
    with store.fs.open(store.path("a.gz"), f"w{mode}", compression="infer") as file:
        file.write(data)
    plain = gzip.decompress(store.fs.cat_file(store.path("a.gz")))
    assert (plain if mode == "b" else plain.decode()) == data
    with fsspec.open(store.url("a.gz"), f"r{mode}", compression="gzip", **store.options) as file:
        assert file.read() == data


TREE = ["a.txt", "d/b.txt", "d/e/c.txt", "d2/x.txt"]


@pytest.fixture
def tree(store: Store) -> Store:
    store.fs.pipe({store.path(key): key.encode() for key in TREE})
    return store


def test_ls_shows_one_level(tree: Store) -> None:
    assert tree.fs.ls(tree.root, detail=False) == [tree.path(k) for k in ["a.txt", "d", "d2"]]
    rows = {row["name"]: (row["type"], row["size"]) for row in tree.fs.ls(tree.path("d"), detail=True)}
    assert rows == {tree.path("d/b.txt"): ("file", 7), tree.path("d/e"): ("directory", 0)}
    assert tree.fs.ls(tree.path("a.txt"), detail=False) == [tree.path("a.txt")]
    with pytest.raises(FileNotFoundError):
        tree.fs.ls(tree.path("none"))


def test_the_root_lists_buckets(tree: Store) -> None:
    assert tree.bucket in tree.fs.ls("", detail=False)
    assert tree.bucket in tree.fs.ls("gs3://")


def test_find_is_deep_and_sorted(tree: Store) -> None:
    assert tree.fs.find(tree.root) == sorted(tree.path(key) for key in TREE)
    assert tree.fs.find(tree.path("d")) == [tree.path("d/b.txt"), tree.path("d/e/c.txt")]
    assert tree.fs.find(tree.path("d"), maxdepth=1) == [tree.path("d/b.txt")]
    dirs = [tree.path(k) for k in ["d", "d/b.txt", "d/e", "d/e/c.txt"]]
    assert tree.fs.find(tree.path("d"), withdirs=True) == dirs
    assert tree.fs.find(tree.path("a.txt")) == [tree.path("a.txt")]
    assert tree.fs.find(tree.path("none")) == []


def test_glob_walk_and_du_see_the_tree(tree: Store) -> None:
    assert tree.fs.glob(tree.path("*.txt")) == [tree.path("a.txt")]
    assert tree.fs.glob(tree.path("**/*.txt")) == sorted(tree.path(key) for key in TREE)
    assert tree.fs.glob(tree.path("d*")) == [tree.path("d"), tree.path("d2")]
    assert [(root, sorted(dirs), sorted(files)) for root, dirs, files in tree.fs.walk(tree.root)] == [
        (tree.root, ["d", "d2"], ["a.txt"]),
        (tree.path("d"), ["e"], ["b.txt"]),
        (tree.path("d/e"), [], ["c.txt"]),
        (tree.path("d2"), [], ["x.txt"]),
    ]
    assert tree.fs.du(tree.root) == sum(map(len, TREE))
    assert tree.fs.du(tree.path("d"), total=False) == {tree.path("d/b.txt"): 7, tree.path("d/e/c.txt"): 9}


def test_info_and_questions_agree(tree: Store) -> None:
    info = tree.fs.info(tree.path("d/b.txt"))
    assert (info["name"], info["type"], info["size"]) == (tree.path("d/b.txt"), "file", 7)
    assert info["ETag"]
    assert tree.fs.modified(tree.path("d/b.txt")).utcoffset().total_seconds() == 0
    assert tree.fs.info(tree.url("d"))["type"] == "directory"
    assert tree.fs.info(tree.root)["type"] == "directory"
    kinds = {
        name: (
            tree.fs.exists(tree.path(name)),
            tree.fs.isfile(tree.path(name)),
            tree.fs.isdir(tree.path(name)),
        )
        for name in ["a.txt", "d", "d/", "none", "a"]
    }
    file, folder, nothing = (True, True, False), (True, False, True), (False, False, False)
    assert kinds == {"a.txt": file, "d": folder, "d/": folder, "none": nothing, "a": nothing}


@pytest.mark.parametrize("key", ["a b", "a+b", "100%", "%2F", "ü", "a&b<c>", "q?x=1", "h#t", "it's", "a=b"])
def test_odd_keys_are_kept_to_the_byte(store: Store, key: str) -> None:
    store.fs.pipe_file(store.path(key), b"1")
    assert store.fs.ls(store.root, detail=False) == [store.path(key)]
    assert store.fs.cat_file(store.path(key)) == b"1"
    store.fs.cp_file(store.path(key), store.path("copy"))
    store.fs.rm([store.path(key)])
    assert store.fs.find(store.root) == [store.path("copy")]


def test_rm_removes_one_many_and_trees(tree: Store) -> None:
    tree.fs.rm_file(tree.path("a.txt"))
    assert not tree.fs.exists(tree.path("a.txt"))
    with pytest.raises(FileNotFoundError):
        tree.fs.rm_file(tree.path("a.txt"))
    with pytest.raises(IsADirectoryError):
        tree.fs.rm(tree.path("d"))
    tree.fs.rm(tree.path("d"), recursive=True)
    assert tree.fs.find(tree.root) == [tree.path("d2/x.txt")]
    tree.fs.pipe({tree.path(f"n{i}"): b"" for i in range(20)})
    tree.fs.rm([tree.path(f"n{i}") for i in range(20)])
    assert tree.fs.find(tree.root) == [tree.path("d2/x.txt")]


def test_rm_recursive_removes_a_bucket(tree: Store) -> None:
    tree.fs.rm(tree.root, recursive=True)
    assert not tree.fs.exists(tree.root)


def test_cp_and_mv_keep_the_bytes(store: Store) -> None:
    store.fs.pipe({store.path("a"): SMALL, store.path("big"): LARGE})
    store.fs.cp(store.path("a"), store.path("b"))
    store.fs.cp(store.path("big"), store.path("big2"))
    store.fs.mv(store.path("a"), store.path("c"))
    assert store.fs.find(store.root) == [store.path(k) for k in ["b", "big", "big2", "c"]]
    assert store.fs.cat_file(store.path("b")) == store.fs.cat_file(store.path("c")) == SMALL
    assert store.fs.cat_file(store.path("big2")) == LARGE
    with pytest.raises(FileNotFoundError):
        store.fs.mv(store.path("none"), store.path("z"))


def test_mv_of_a_tree_leaves_nothing_behind(tree: Store) -> None:
    tree.fs.mv(tree.path("d"), tree.path("new"), recursive=True)
    wanted = ["a.txt", "d2/x.txt", "new/b.txt", "new/e/c.txt"]
    assert tree.fs.find(tree.root) == [tree.path(key) for key in wanted]


def test_put_and_get_move_trees(store: Store, tmp_path: Path) -> None:
    for key in TREE:
        (tmp_path / "up" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / key).write_text(key)
    store.fs.put(f"{tmp_path}/up/", store.path("t/"), recursive=True)
    store.fs.get(store.path("t/"), f"{tmp_path}/down/", recursive=True)
    found = {str(p.relative_to(tmp_path / "down")): p.read_text() for p in tmp_path.rglob("down/**/*.txt")}
    assert found == {key: key for key in TREE}


def test_a_pickled_filesystem_works(store: Store) -> None:
    store.fs.pipe_file(store.path("a"), SMALL)
    clone = pickle.loads(pickle.dumps(store.fs))
    assert clone.cat_file(store.path("a")) == SMALL
    assert clone == store.fs


def test_a_pickled_reader_keeps_position_and_pin(store: Store) -> None:
    store.fs.pipe_file(store.path("a"), SMALL)
    with store.fs.open(store.path("a"), "rb", block_size=100) as file:
        file.read(10)
        frozen = pickle.dumps(file)
    with pickle.loads(frozen) as clone:
        assert clone.read(10) == SMALL[10:20]
    store.fs.pipe_file(store.path("a"), SMALL[::-1])
    with pickle.loads(frozen) as clone, pytest.raises(ObjectChangedError):
        clone.read()


def test_a_reader_of_a_replaced_object_raises(store: Store) -> None:
    data = SMALL * 200  # a store that answers slowly is asked for the first 64 KiB when the file is opened
    store.fs.pipe_file(store.path("a"), data)
    with store.fs.open(store.path("a"), "rb", block_size=100) as file:
        assert file.read(10) == data[:10]
        store.fs.pipe_file(store.path("a"), data[::-1])
        file.seek(len(data) - 5_000)
        with pytest.raises(ObjectChangedError):
            file.read(10)


# What a store does not honour is refused beforehand, and the object stays as it is.


@contextlib.contextmanager
def honoured(store: Store, *guards: str) -> Iterator[None]:
    """What needs these guards: done on a store that has them, refused on another."""
    missing = set(guards) & set(store.fs.probe(store.root).missing())
    if missing:
        with pytest.raises(PreconditionUnsupportedError):
            yield
    else:
        yield


def test_create_refuses_a_taken_key(store: Store) -> None:
    fs, path = store.fs, store.path("a")
    fs.pipe_file(path, b"1")
    with honoured(store, "create"), pytest.raises(FileExistsError):
        fs.pipe_file(path, b"2", mode="create")
    with honoured(store, "create"):
        assert fs.put_if_absent(path, b"3") is False
    with pytest.raises(FileExistsError):
        fs.open(path, "xb")
    assert fs.cat_file(path) == b"1"
    with honoured(store, "create"):
        assert fs.put_if_absent(store.path("b"), b"3") is True


@pytest.mark.parametrize(
    ("data", "guard"), [(SMALL, "create"), (LARGE, "create_on_complete")], ids=["small", "multipart"]
)
def test_an_exclusive_writer_loses_to_one_that_came_between(store: Store, data: bytes, guard: str) -> None:
    fs, path = store.fs, store.path("a")
    with honoured(store, guard), pytest.raises(FileExistsError), fs.open(path, "xb") as file:
        fs.pipe_file(path, b"rival")
        file.write(data)
    assert fs.cat_file(path) == b"rival"
    assert store.pending() == []


@pytest.mark.parametrize(
    ("data", "guard"), [(SMALL, "swap"), (LARGE, "swap_on_complete")], ids=["small", "multipart"]
)
def test_if_match_swaps_one_known_version_only(store: Store, data: bytes, guard: str) -> None:
    fs, path = store.fs, store.path("a")
    fs.pipe_file(path, b"1")
    etag = fs.info(path)["ETag"]
    with honoured(store, guard):
        fs.pipe_file(path, data, if_match=etag)
    kept = fs.cat_file(path)
    assert kept in (b"1", data)
    fs.pipe_file(path, b"2")
    for write in (lambda: fs.pipe_file(path, data, if_match=etag), lambda: _write(fs, path, data, etag)):
        with honoured(store, guard), pytest.raises(ObjectChangedError):
            write()
    assert fs.cat_file(path) == b"2"
    assert store.pending() == []


def _write(fs: GuardedS3FileSystem, path: str, data: bytes, etag: str) -> None:
    with fs.open(path, "wb", if_match=etag) as file:
        file.write(data)


def test_put_file_and_copy_with_create_refuse_a_taken_key(store: Store, tmp_path: Path) -> None:
    fs, path = store.fs, store.path("a")
    (tmp_path / "f").write_bytes(SMALL)
    fs.pipe_file(path, b"kept")
    with honoured(store, "create"), pytest.raises(FileExistsError):
        fs.put_file(str(tmp_path / "f"), path, mode="create")
    fs.pipe_file(store.path("source"), b"other")
    with honoured(store, "create"), pytest.raises(FileExistsError):
        fs.cp_file(store.path("source"), path, mode="create")
    assert fs.cat_file(path) == b"kept"
