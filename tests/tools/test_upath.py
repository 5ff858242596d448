"""universal_pathlib: `UPath("gs3://...")` has pathlib's verbs over our filesystem."""

from __future__ import annotations

import pickle
import stat
import subprocess
import sys
import warnings
from typing import Any

import pytest
from upath import UPath

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3.integrations.upath import GuardedS3Path
from tests.fake_s3 import FakeS3
from tests.scripted_server import ScriptedServer
from tests.stores import Store


def path(store: Store, key: str = "") -> Any:
    return UPath(store.url(key), **store.options)


def test_a_url_is_our_class_without_a_warning() -> None:
    """In a fresh interpreter that imported nothing of ours: by the entry point."""
    code = "from upath import UPath; print(repr(UPath('gs3://bucket/d/a', anon=True) / 'b'))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=600
    )
    assert done.stdout == "GuardedS3Path('bucket/d/a/b', protocol='gs3')\n", done.stderr


def test_the_longer_protocol_goes_by_keyword() -> None:
    """UPath knows no protocol with a hyphen in a URL."""
    found = UPath("bucket/a", protocol="guarded-s3", anon=True)
    assert (type(found), str(found)) == (GuardedS3Path, "guarded-s3://bucket/a")
    assert isinstance(found.fs, GuardedS3FileSystem)


def test_text_and_bytes_are_written_and_read(each_store: Store) -> None:
    target = path(each_store) / "d" / "a.txt"
    target.write_text("grün\n", encoding="utf-8")
    assert target.read_text(encoding="utf-8") == "grün\n"
    assert target.read_bytes() == each_store.fs.cat_file(each_store.path("d/a.txt")) == "grün\n".encode()
    assert (target.exists(), target.is_file(), target.is_dir()) == (True, True, False)
    assert (target.parent.exists(), target.parent.is_file(), target.parent.is_dir()) == (True, False, True)
    assert target.stat().st_size == 6
    assert target.stat().st_mtime == each_store.fs.modified(each_store.path("d/a.txt")).timestamp()


def test_names_and_parents_are_those_of_the_url(store: Store) -> None:
    target = path(store, "d/a.tar.gz")
    assert (target.name, target.stem, target.suffix) == ("a.tar.gz", "a.tar", ".gz")
    assert str(target.with_suffix(".xz")) == store.url("d/a.tar.xz")
    assert str(target.parent) == store.url("d")
    assert str(target.parent.parent) == f"gs3://{store.bucket}/"
    assert (target.drive, target.root, target.anchor) == (store.bucket, "/", f"{store.bucket}/")
    assert target.path == store.path("d/a.tar.gz")


@pytest.mark.parametrize("key", ["a b", "a+b", "a%20b", "a#b", "a?b", "ü", "a:b", "a//b", "a/./b", "a/../b"])
def test_odd_keys_are_kept_to_the_byte(store: Store, key: str) -> None:
    (path(store) / key).write_bytes(b"1")
    assert [item["name"] for item in store.fs.find(store.bucket, detail=True).values()] == [store.path(key)]
    assert (path(store) / key).read_bytes() == b"1"


def test_folders_are_listed_walked_and_globbed(each_store: Store) -> None:
    each_store.fs.pipe({each_store.path(key): b"" for key in ("a.txt", "d/b.txt", "d/e/c.bin")})
    root = path(each_store)
    assert sorted(item.name for item in root.iterdir()) == ["a.txt", "d"]
    assert [str(item) for item in root.glob("**/*.txt")] == [
        each_store.url("a.txt"),
        each_store.url("d/b.txt"),
    ]
    assert sorted(item.name for item in (root / "d").rglob("*")) == ["b.txt", "c.bin", "e"]
    found = [(str(top), sorted(dirs), sorted(files)) for top, dirs, files in (root / "d").walk()]
    assert found == [(each_store.url("d"), ["e"], ["b.txt"]), (each_store.url("d/e"), [], ["c.bin"])]


def test_objects_are_copied_renamed_and_removed(store: Store) -> None:
    first = path(store, "a")
    first.write_bytes(b"1")
    first.copy(path(store, "copy"))
    second = first.rename(first.with_name("b"))
    assert store.fs.cat(store.bucket, recursive=True) == {store.path("b"): b"1", store.path("copy"): b"1"}
    second.unlink()
    second.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        second.unlink()
    with pytest.raises(FileNotFoundError):
        second.read_bytes()
    assert store.fs.find(store.bucket) == [store.path("copy")]


def test_an_exclusive_open_and_touch_do_not_replace(store: Store) -> None:
    target = path(store, "a")
    with target.open("xb") as file:
        file.write(b"1")
    with pytest.raises(FileExistsError):
        target.open("xb")
    with pytest.raises(FileExistsError):
        target.touch(exist_ok=False)
    target.touch()
    assert target.read_bytes() == b"1"


def test_mkdir_makes_nothing_below_a_bucket(store: Store) -> None:
    path(store, "d/e").mkdir(parents=True, exist_ok=True)
    assert store.fs.find(store.bucket, withdirs=True) == []


def test_an_exception_in_with_publishes_nothing(store: Store) -> None:
    with pytest.raises(KeyError), path(store, "a").open("wb") as file:
        file.write(b"half")
        raise KeyError
    store.assert_nothing_left("a")


def test_a_pickled_path_is_equal_and_works(store: Store) -> None:
    store.fs.pipe_file(store.path("a"), b"1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clone = pickle.loads(pickle.dumps(path(store, "a")))
    assert clone == path(store, "a")
    assert clone.read_bytes() == b"1"


def test_a_path_has_its_bucket_as_the_anchor(store: Store) -> None:
    """As with `s3://`."""
    assert str(UPath("gs3://", bucket=store.bucket, **store.options)) == f"gs3://{store.bucket}/"
    assert str(path(store, "d/a").joinpath("/x")) == f"gs3://{store.bucket}/d/a//x"
    assert str(UPath(f"s3://{store.bucket}/d/a").joinpath("/x")) == f"s3://{store.bucket}/d/a//x"
    assert path(store, "d/a").parts == (f"{store.bucket}/", "d", "a")
    assert path(store).anchor == f"{store.bucket}/"


def test_mkdir_of_what_is_there_raises(store: Store) -> None:
    store.fs.pipe_file(store.path("d/a"), b"1")
    for key in ("d", "d/a"):
        with pytest.raises(FileExistsError):
            path(store, key).mkdir()
    path(store, "d").mkdir(exist_ok=True)
    path(store, "new").mkdir()


def test_a_loop_over_directories_takes_a_listing_each_and_a_get_for_each_file() -> None:
    """`iterdir` took two listings, and `stat` of a file that was listed a HEAD."""
    fake = FakeS3("bucket")
    for key in ("d/a/1.txt", "d/a/2.txt", "d/b/3.txt", "d/4.txt"):
        fake.put("bucket", key, key.encode())
    with ScriptedServer(handler=fake) as server:
        options: dict[str, Any] = {"key": "k", "secret": "s", "region": "us-east-1"}
        options |= {"endpoint_url": server.url, "recent_listings": 60}  # seconds, of a busy machine too
        found = []
        for entry in sorted(UPath("gs3://bucket/d", **options).iterdir(), key=str):
            for item in sorted(entry.iterdir(), key=str) if entry.is_dir() else [entry]:
                assert item.is_file() and stat.S_ISREG(item.stat().st_mode)
                assert (item.stat().st_uid, item.stat().st_mtime > 0, item.exists()) == (0, True, True)
                found.append((item.name, item.stat().st_size, item.read_text()))
        assert found == [("4.txt", 7, "d/4.txt")] + [
            (f"{n}.txt", 9, f"d/{'aab'[n - 1]}/{n}.txt") for n in (1, 2, 3)
        ]
        kinds = ["LIST" if "list-type" in request.query else request.method for request in server.requests]
        assert sorted(kinds) == ["GET"] * 4 + ["LIST"] * 3


def test_iterdir_of_what_is_no_directory(each_store: Store) -> None:
    (path(each_store) / "d" / "a.txt").write_bytes(b"1")
    for name in ("d/a.txt", "missing", "d/a.txt/b"):
        with pytest.raises(NotADirectoryError, match=name):
            next(path(each_store, name).iterdir())
    assert [item.name for item in path(each_store, "d").iterdir()] == ["a.txt"]
    assert [item.path for item in path(each_store, "d/").iterdir()] == [each_store.path("d/a.txt")]
    assert "d" in [item.name for item in path(each_store).iterdir()]


def test_iterdir_of_a_directory_that_has_the_name_of_an_object(store: Store) -> None:
    for key in ("d/a", "d/a/same"):
        (path(store) / key).write_bytes(b"2")
    assert [item.name for item in path(store, "d/a").iterdir()] == ["same"]
