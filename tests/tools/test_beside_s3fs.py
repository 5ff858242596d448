"""What docs/s3fs.md calls the same is the same: each call with what s3fs answers, written down.

Where s3fs is installed, it is asked too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any
from urllib.parse import urlsplit

import pytest

from fsspec_guarded_s3.s3fs_alias import S3FileSystem
from tests.documents import DOCS
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


def _keys(fs: Any, b: str, folder: Path) -> Any:
    one = fs.ukey(f"{b}/a.txt")
    again = fs.ukey(f"{b}/a.txt")
    fs.pipe_file(f"{b}/a.txt", b"other")
    return [one == again, one == fs.ukey(f"{b}/a.txt"), type(one)]


def _read(fs: Any, b: str, folder: Path) -> Any:
    with fs.open(f"{b}/a.txt") as file:
        found = [file.readline(), file.seek(2) and file.read(2), file.tell(), file.seek(100) and file.read()]
    with fs.open(f"{b}/a.txt", "r") as file:
        found.append(file.readline())
    with fs.open(f"{b}/a.txt", "rt", block_size=2**20, cache_type="readahead") as file:
        found.append(list(file))
    with fs.open(f"{b}/a.txt", "rb", fill_cache=False) as file:
        return [*found, file.size, file.info()["ETag"] == fs.info(f"{b}/a.txt")["ETag"]]


def _written(fs: Any, b: str, folder: Path) -> Any:
    with fs.open(f"{b}/w", "wb", block_size=5 * 2**20) as file:
        file.write(b"1")
        file.flush()
        file.write(b"2")
    with fs.open(f"{b}/x", "w", newline="", ContentType="text/csv") as file:
        file.write("onetwo")
    file = fs.open(f"{b}/y", "wb", autocommit=False)
    file.write(b"new")
    file.close()
    absent = not fs.exists(f"{b}/y")
    file.commit()
    return fs.cat_file(f"{b}/w"), fs.cat_file(f"{b}/x"), fs.cat_file(f"{b}/y"), absent


def _compressed(fs: Any, b: str, folder: Path) -> Any:
    with fs.open(f"{b}/z.gz", "wb", compression="infer") as file:
        file.write(b"squeezed")
    with fs.open(f"{b}/z.gz", "rb", compression="gzip") as file:
        return file.read()


def _mapped(fs: Any, b: str, folder: Path) -> Any:
    mapper = fs.get_mapper(b)
    mapper["m"] = b"1"
    return set(mapper), mapper["m"], "none" not in mapper


def _piped(fs: Any, b: str, folder: Path) -> Any:
    fs.pipe(f"{b}/1", b"1")
    fs.write_bytes(f"{b}/2", b"2")
    fs.write_text(f"{b}/3", "3")
    fs.pipe({f"{b}/4": b"4"}, batch_size=1)
    return [fs.cat_file(f"{b}/1"), fs.read_bytes(f"{b}/2"), fs.read_text(f"{b}/3"), fs.cat(f"{b}/4")]


def _copied(fs: Any, b: str, folder: Path) -> Any:
    fs.cp(f"{b}/d/x", f"{b}/c/x")
    fs.copy(f"{b}/d", f"{b}/new", recursive=True)
    return [*fs.find(f"{b}/c"), *sorted(fs.find(f"{b}/new"))]


def _renamed(fs: Any, b: str, folder: Path) -> Any:
    fs.move(f"{b}/a.txt", f"{b}/one")
    fs.rename(f"{b}/one", f"{b}/two")
    fs.rm(f"{b}/d/x")
    return sorted(fs.find(b))


def _there_and_back(fs: Any, b: str, folder: Path) -> Any:
    (folder / "f").write_bytes(b"f")
    fs.upload(str(folder / "f"), f"{b}/f")
    fs.download(f"{b}/f", str(folder / "g"))
    return (folder / "g").read_bytes()


def _bucket_made(fs: Any, b: str, folder: Path) -> Any:
    fs.mkdir(f"{b}-one")
    fs.makedir(f"{b}-two", create_parents=True)
    made = fs.exists(f"{b}-one") and fs.exists(f"{b}-two")
    for name in ("one", "two"):
        fs.rmdir(f"{b}-{name}")
    fs.invalidate_cache()
    return [made, fs.exists(f"{b}-one")]


def _versions(fs: Any, b: str, folder: Path) -> Any:
    fs.make_bucket_versioned(b)
    path, options = f"{b}/v", {**fs.storage_options, "version_aware": True}
    aware = type(fs)(**options, skip_instance_cache=True)
    for data in (b"1", b"2"):
        aware.pipe_file(path, data)
    found = aware.object_version_info(path)
    old = found[1]["VersionId"]
    with aware.open(path, version_id=old) as file:
        data = file.read()
    latest = [version["IsLatest"] for version in found]
    aware.invalidate_cache()
    rows = [row for row in aware.ls(b, detail=True, versions=True) if row["name"].startswith(path)]
    return fs.is_bucket_versioned(b), latest, data, aware.cat_file(path), len(rows)


def _in_transaction(fs: Any, b: str, folder: Path) -> Any:
    with fs.transaction:
        with fs.open(f"{b}/t", "wb") as file:
            file.write(b"1")
        during = fs.exists(f"{b}/t")
    fs.invalidate_cache()
    return during, fs.exists(f"{b}/t"), fs.cat_file(f"{b}/t")


ROW = ("name", "type", "size", "StorageClass")
D_NAMES = ["B/d/e", "B/d/x"]
D_ROWS = [("B/d/e", "directory", 0), ("B/d/x", "file", 1)]

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
    "sizes": (
        lambda fs, b, _: [
            fs.sizes([f"{b}/a.txt", f"{b}/d", f"{b}/d/x"], **n) for n in ({}, {"batch_size": 2})
        ],
        [[10, 0, 1]] * 2,
    ),
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
    "find of a bucket, with directories, by levels": (
        lambda fs, b, _: [sorted(fs.find(b, withdirs=True, maxdepth=n)) for n in (1, 2)],
        [["B", "B/a.txt", "B/d"], ["B", "B/a.txt", "B/d", "B/d/e", "B/d/x"]],
    ),
    "find of a bucket, with directories": (
        lambda fs, b, _: sorted(fs.find(b, withdirs=True)),
        ["B/a.txt", "B/d", "B/d/e", "B/d/e/y", "B/d/x"],
    ),
    "glob of a tree": (
        lambda fs, b, _: [sorted(fs.glob(f"{b}/{k}")) for k in ("**", "d/**", "*", "*/", "d/[x]", "none*")],
        [
            ["B/a.txt", "B/d", "B/d/e", "B/d/e/y", "B/d/x"],
            ["B/d", "B/d/e", "B/d/e/y", "B/d/x"],
            ["B/a.txt", "B/d"],
            ["B/d"],
            ["B/d/x"],
            [],
        ],
    ),
    "glob with detail": (lambda fs, b, _: _names(fs.glob(f"{b}/d/*", detail=True).values()), D_ROWS),
    "listdir": (
        lambda fs, b, _: (fs.listdir(f"{b}/d", False), _names(fs.listdir(f"{b}/d"))),
        (D_NAMES, D_ROWS),
    ),
    "lexists, isdir of a bucket": (
        lambda fs, b, _: [
            fs.lexists(f"{b}/a.txt"),
            fs.lexists(f"{b}/no"),
            fs.isdir(b),
            fs.isdir(""),
            fs.isfile(b),
        ],
        [True, False, True, True, False],
    ),
    "stat, info": (
        lambda fs, b, _: [{k: f(f"{b}/a.txt")[k] for k in ROW} for f in (fs.stat, fs.info)],
        [{"name": "B/a.txt", "type": "file", "size": 10, "StorageClass": "STANDARD"}] * 2,
    ),
    "modified": (lambda fs, b, _: fs.modified(f"{b}/a.txt") == fs.info(f"{b}/a.txt")["LastModified"], True),
    "ukey": (_keys, [True, False, str]),
    "tree": (lambda fs, b, _: fs.tree(f"{b}/d").count("x"), 1),
    "open to read": (_read, [b"line\n", b"ne", 4, b"", "line\n", ["line\n", "next\n"], 10, True]),
    "open to write": (_written, (b"12", b"onetwo", b"new", True)),
    "open with compression": (_compressed, b"squeezed"),
    "a mapper": (_mapped, ({"a.txt", "d/x", "d/e/y", "m"}, b"1", True)),
    "pipe, write_bytes, write_text": (_piped, [b"1", b"2", "3", b"4"]),
    "read_bytes": (lambda fs, b, _: fs.read_bytes(f"{b}/a.txt", start=1, end=3), b"in"),
    "cp, copy of a tree": (_copied, ["B/c/x", "B/new/e/y", "B/new/x"]),
    "move, rename": (_renamed, ["B/d/e/y", "B/two"]),
    "delete": (lambda fs, b, _: [fs.delete(f"{b}/d", recursive=True), fs.find(b)][1], ["B/a.txt"]),
    "upload, download": (_there_and_back, b"f"),
    "mkdir, rmdir of a bucket": (_bucket_made, [True, False]),
    "chmod": (
        lambda fs, b, _: [fs.chmod(f"{b}/a.txt", "public-read"), fs.chmod(b, acl="private")],
        [None, None],
    ),
    "signed": (
        lambda fs, b, _: [urlsplit(f(f"{b}/a.txt")).path for f in (fs.url, fs.sign)],
        ["/B/a.txt", "/B/a.txt"],
    ),
    "serialized": (
        lambda fs, b, _: [
            type(fs).from_json(fs.to_json()) is not None,
            type(fs.from_dict(fs.to_dict())) is type(fs),
        ],
        [True, True],
    ),
    "versions": (_versions, (True, [True, False], b"1", b"2", 2)),
    "caches": (
        lambda fs, b, _: [
            fs.invalidate_cache(),
            fs.invalidate_cache(b),
            fs.invalidate_region_cache(),
            fs.ls(f"{b}/d"),
        ][3],
        D_NAMES,
    ),
    "instances": (
        lambda fs, b, _: (type(fs).current() is not None, type(fs).clear_instance_cache()),
        (True, None),
    ),
    "transaction": (_in_transaction, (False, True, b"1")),
    "touch": (lambda fs, b, _: [fs.touch(f"{b}/t"), fs.info(f"{b}/t")["size"]][1], 0),
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


def test_each_method_that_is_the_same_is_called() -> None:
    """docs/s3fs.md says "same" of no method that is not tried here, with s3fs where that is installed."""
    methods = (DOCS / "s3fs.md").read_text().split("<!-- methods -->\n")[1].split("\n\n")[0]
    same = set(re.findall(r"^\| `(\w+)\(.*\)` \| same \|", methods, re.M))
    functions = [value for value in globals().values() if isinstance(value, FunctionType)]
    functions += [call for call, _ in (*CALLS.values(), *RAISED.values())]
    called = {name for function in functions for code in _codes(function.__code__) for name in code.co_names}
    assert len(same) > 40
    assert same - called - {"close_session", "transaction_type"} == set()  # tests/fs/test_for_s3fs.py


def _codes(code: CodeType) -> list[CodeType]:
    inner = [below for item in code.co_consts if isinstance(item, CodeType) for below in _codes(item)]
    return [code, *inner]


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
