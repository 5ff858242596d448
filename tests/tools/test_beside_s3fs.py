"""What docs/s3fs.md calls the same is the same: each call with what s3fs answers, written down.

Where s3fs is installed, it is asked too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3.s3fs_alias import S3FileSystem
from tests.servers import MotoServer
from tests.stores import new_store

FILES = {"a.txt": b"line\nnext\n", "d/x": b"1", "d/e/y": b"22"}
Call = Callable[[Any, str, Path], Any]


def _names(rows: Any) -> list[tuple[str, str, int]]:
    return sorted((row["name"], row["type"], row["size"]) for row in rows)


def _saved(fs: Any, b: str, folder: Path) -> Any:
    fs.get(f"{b}/d", str(folder / "got"), recursive=True)
    files = [path for path in (folder / "got").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder / "got")): path.read_bytes() for path in files}


def _sent(fs: Any, b: str, folder: Path) -> Any:
    (folder / "tree" / "in").mkdir(parents=True)
    (folder / "tree" / "in" / "f").write_bytes(b"f")
    fs.put(str(folder / "tree"), f"{b}/new", recursive=True)
    return fs.find(f"{b}/new")


def _appended(fs: Any, b: str, folder: Path) -> Any:
    with fs.open(f"{b}/d/x", "ab") as file:
        file.write(b"2")
    return fs.cat_file(f"{b}/d/x")


def _moved(fs: Any, b: str, folder: Path) -> Any:
    fs.mv(f"{b}/d/x", f"{b}/moved")
    return fs.find(b)


def _attributes(fs: Any, b: str, folder: Path) -> Any:
    fs.pipe_file(f"{b}/m", b"1", ContentType="text/csv", Metadata={"one": "1"})
    fs.setxattr(f"{b}/m", two="2")
    return fs.metadata(f"{b}/m"), fs.getxattr(f"{b}/m", "two"), fs.info(f"{b}/m", refresh=True)["ETag"]


def _tags(fs: Any, b: str, folder: Path) -> Any:
    fs.put_tags(f"{b}/a.txt", {"k": "v"})
    fs.put_tags(f"{b}/a.txt", {"l": "w"}, mode="m")
    return fs.get_tags(f"{b}/a.txt")


def _made(fs: Any, b: str, folder: Path) -> Any:
    fs.makedirs(f"{b}-below/a/b", exist_ok=True)
    fs.rmdir(f"{b}-below")
    return fs.exists(f"{b}-below")


def _pieces(fs: Any, b: str, folder: Path) -> Any:
    fs.get_file(f"{b}/a.txt", str(folder / "a"), chunksize=4, max_concurrency=2)
    return (folder / "a").read_bytes(), fs.cat_file(f"{b}/a.txt", chunksize=4, max_concurrency=2)


# The call, and what it answers; `B` stands for the bucket.
CALLS: dict[str, tuple[Call, Any]] = {
    "ls": (lambda fs, b, _: sorted(fs.ls(b)), ["B/a.txt", "B/d"]),
    "ls with detail": (
        lambda fs, b, _: _names(fs.ls(b, detail=True)),
        [("B/a.txt", "file", 10), ("B/d", "directory", 0)],
    ),
    "ls of an object": (lambda fs, b, _: fs.ls(f"{b}/a.txt"), ["B/a.txt"]),
    "find": (lambda fs, b, _: sorted(fs.find(b)), ["B/a.txt", "B/d/e/y", "B/d/x"]),
    "find below, with directories": (
        lambda fs, b, _: sorted(fs.find(f"{b}/d", withdirs=True)),
        ["B/d", "B/d/e", "B/d/e/y", "B/d/x"],
    ),
    "find with maxdepth": (lambda fs, b, _: sorted(fs.find(f"{b}/d", maxdepth=1)), ["B/d/x"]),
    "find with a prefix": (lambda fs, b, _: fs.find(f"{b}/d", prefix="x"), ["B/d/x"]),
    "find with the prefix None": (lambda fs, b, _: len(fs.find(b, prefix=None)), 3),
    "glob": (lambda fs, b, _: sorted(fs.glob(f"{b}/**/[xy]")), ["B/d/e/y", "B/d/x"]),
    "walk": (
        lambda fs, b, _: [(top, sorted(dirs), sorted(files)) for top, dirs, files in fs.walk(b)],
        [("B", ["d"], ["a.txt"]), ("B/d", ["e"], ["x"]), ("B/d/e", [], ["y"])],
    ),
    "du": (lambda fs, b, _: (fs.du(b), fs.disk_usage(f"{b}/d")), (13, 3)),
    "exists": (
        lambda fs, b, _: [fs.exists(f"{b}/{k}") for k in ("a.txt", "d", "d/", "none")],
        [True] * 3 + [False],
    ),
    "isfile, isdir": (
        lambda fs, b, _: [(fs.isfile(f"{b}/{k}"), fs.isdir(f"{b}/{k}")) for k in ("a.txt", "d", "none")],
        [(True, False), (False, True), (False, False)],
    ),
    "info of a bucket": (
        lambda fs, b, _: {k: fs.info(b)[k] for k in ("name", "type", "size", "StorageClass", "VersionId")},
        {"name": "B", "type": "directory", "size": 0, "StorageClass": "DIRECTORY", "VersionId": None},
    ),
    "size": (lambda fs, b, _: fs.size(f"{b}/a.txt"), 10),
    "cat": (lambda fs, b, _: fs.cat([f"{b}/d/x", f"{b}/d/e/y"]), {"B/d/x": b"1", "B/d/e/y": b"22"}),
    "cat_file": (lambda fs, b, _: fs.cat_file(f"{b}/a.txt", start=2, end=-1), b"ne\nnext"),
    "cat_ranges": (lambda fs, b, _: fs.cat_ranges([f"{b}/a.txt"] * 2, [0, 5], [4, 9]), [b"line", b"next"]),
    "pieces of a call": (_pieces, (b"line\nnext\n", b"line\nnext\n")),
    "head, tail": (lambda fs, b, _: (fs.head(f"{b}/a.txt", 2), fs.tail(f"{b}/a.txt", 2)), (b"li", b"t\n")),
    "read_block": (lambda fs, b, _: fs.read_block(f"{b}/a.txt", 0, 6, b"\n"), b"line\nnext\n"),
    "read_text": (lambda fs, b, _: fs.read_text(f"{b}/a.txt"), "line\nnext\n"),
    "get a tree": (_saved, {"x": b"1", "e/y": b"22"}),
    "put a tree": (_sent, ["B/new/in/f"]),
    "append": (_appended, b"12"),
    "mv": (_moved, ["B/a.txt", "B/d/e/y", "B/moved"]),
    "rm": (lambda fs, b, _: {f"{b}/d/x", f"{b}/d/e/y"} <= {*fs.rm(f"{b}/d", recursive=True)}, True),
    "rm of one": (lambda fs, b, _: fs.rm(f"{b}/a.txt"), ["B/a.txt"]),
    "metadata": (_attributes, ({"one": "1", "two": "2"}, "2", '"c4ca4238a0b923820dcc509a6f75849b"')),
    "tags": (_tags, {"k": "v", "l": "w"}),
    "makedirs, rmdir": (_made, False),
    "split_path": (lambda fs, b, _: fs.split_path(f"{b}/d/x"), ("B", "d/x", None)),
    "uploads": (lambda fs, b, _: fs.list_multipart_uploads(b), []),
    "versioning": (lambda fs, b, _: fs.is_bucket_versioned(b), False),
}
RAISED: dict[str, tuple[Call, type[Exception]]] = {
    "info of nothing": (lambda fs, b, _: fs.info(f"{b}/none"), FileNotFoundError),
    "open of nothing": (lambda fs, b, _: fs.open(f"{b}/none"), FileNotFoundError),
    "ls of nothing": (lambda fs, b, _: fs.ls(f"{b}/none"), FileNotFoundError),
    "find of everything": (lambda fs, b, _: fs.find(""), ValueError),
    "mkdir of what is there": (lambda fs, b, _: fs.mkdir(b), FileExistsError),
    "rmdir of what is not empty": (lambda fs, b, _: fs.rmdir(f"{b}/d"), FileExistsError),
    "rmdir of nothing": (lambda fs, b, _: fs.rmdir(f"{b}/none"), FileNotFoundError),
    "touch without truncating": (lambda fs, b, _: fs.touch(f"{b}/a.txt", truncate=False), ValueError),
    "create of what is there": (
        lambda fs, b, _: fs.pipe_file(f"{b}/a.txt", b"", mode="create"),
        FileExistsError,
    ),
    "setxattr of a writer": (lambda fs, b, _: fs.open(f"{b}/w", "wb").setxattr(a="1"), NotImplementedError),
}


def _bucket(moto: MotoServer, kind: Any = S3FileSystem) -> tuple[Any, str]:
    """A filesystem of a class, and a bucket with some files."""
    store = new_store(moto)
    store.fs.pipe({store.path(key): data for key, data in FILES.items()})
    options = {"key": moto.key, "secret": moto.secret, "client_kwargs": {"endpoint_url": moto.url}}
    return kind(**options, use_listings_cache=False, skip_instance_cache=True), store.bucket


def _named(value: Any, bucket: str) -> Any:
    """`value` with "B" for the name of the bucket."""
    if isinstance(value, str):
        return value.replace(bucket, "B")
    if isinstance(value, dict):
        return {_named(key, bucket): _named(item, bucket) for key, item in value.items()}
    return type(value)(_named(item, bucket) for item in value) if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("name", CALLS)
def test_a_call_answers_as_s3fs_does(moto: MotoServer, name: str, tmp_path: Path) -> None:
    call, expected = CALLS[name]
    fs, bucket = _bucket(moto)
    assert _named(call(fs, bucket, tmp_path), bucket) == expected


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", RAISED)
def test_a_call_fails_as_s3fs_does(moto: MotoServer, name: str, tmp_path: Path) -> None:
    call, kind = RAISED[name]
    fs, bucket = _bucket(moto)
    with pytest.raises(kind):
        call(fs, bucket, tmp_path)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_s3fs_itself_does_so(moto: MotoServer, tmp_path: Path) -> None:
    s3fs = pytest.importorskip("s3fs", reason="s3fs, an extra of the benchmarks, is not installed")
    answers: dict[str, Any] = {}
    for name, (call, _) in [*CALLS.items(), *RAISED.items()]:
        fs, bucket = _bucket(moto, s3fs.S3FileSystem)
        folder = tmp_path / name
        folder.mkdir()
        try:
            answers[name] = _named(call(fs, bucket, folder), bucket)
        except Exception as error:
            answers[name] = error
    assert {name: answers[name] for name in CALLS} == {
        name: expected for name, (_, expected) in CALLS.items()
    }
    assert [name for name, (_, kind) in RAISED.items() if not isinstance(answers[name], kind)] == []
