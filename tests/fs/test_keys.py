"""Keys that trip others up go through every verb unchanged (docs/paths.md)."""

from __future__ import annotations

import glob
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.fake_s3 import FakeS3
from tests.scripted_server import ScriptedServer
from tests.servers import MotoServer, RcloneServer

PLAIN = [
    "plain",
    "with space",
    " leading and trailing ",
    "plus+plus",
    "percent%41%2F%",
    "hash#tag",
    "question?mark=1&b",
    "a=b&c;d,e:f@g$h!",
    "star*star",
    "br[ack]et",
    "{brace}",
    "quote'\"`",
    "back\\slash",
    "<tag>&amp;",
    "~tilde",
    "umlaut-äöü",
    "e\u0301 decomposed",
    "\u00e9 composed",
    "emoji-\U0001f600",
    "\u4e2d\u6587",
    "right-to-left-\u05d0",
    "no-break\u00a0space",
    "...",
    "dir/file",
    "dir/deep/er/file",
    "dir.with.dots/.hidden",
    "dir with space/%/#/?/+",
    "k" * 1024,
]
SLASHES = [
    "/leading",
    "//two leading",
    "a//b",
    "a///c",
    "a/b//c//d",
    "./dot",
    "x/./dot",
    "x/../dots",
    "..",
    ".",
]
CONTROL = [
    "tab\there",
    "return\rhere",
    "bell\x07",
    "delete\x7f",
    "separator\u2028line",
    "\ufffe",
]
KEYS = [*PLAIN, *SLASHES, *CONTROL]


class Place:
    """A filesystem with a bucket of its own."""

    def __init__(self, server: Any) -> None:
        self.fs = GuardedS3FileSystem(
            endpoint_url=server.url,
            key=server.key,
            secret=server.secret,
            region="us-east-1",
            probe="never",
            skip_instance_cache=True,
        )
        self.bucket = f"keys-{uuid.uuid4().hex}"
        self.fs.mkdir(self.bucket)

    def listed(self) -> set[str]:
        """All keys, by the client alone."""
        return {key for page in self.fs._client.listings.list_objects(self.bucket) for key in page.keys}


@pytest.fixture
def place(moto: MotoServer) -> Place:
    return Place(moto)


def _pipe(fs: GuardedS3FileSystem, path: str, body: bytes, tmp: Path) -> None:
    fs.pipe_file(path, body)


def _write(fs: GuardedS3FileSystem, path: str, body: bytes, tmp: Path) -> None:
    with fs.open(path, "wb") as file:
        file.write(body)


def _put(fs: GuardedS3FileSystem, path: str, body: bytes, tmp: Path) -> None:
    (tmp / "up").write_bytes(body)
    fs.put_file(str(tmp / "up"), path)


def _copy(fs: GuardedS3FileSystem, path: str, body: bytes, tmp: Path) -> None:
    bucket = path.partition("/")[0]
    fs.pipe_file(f"{bucket}/source-of-copies", body)
    fs.cp_file(f"{bucket}/source-of-copies", path)
    fs.rm_file(f"{bucket}/source-of-copies")


def _move(fs: GuardedS3FileSystem, path: str, body: bytes, tmp: Path) -> None:
    bucket = path.partition("/")[0]
    fs.pipe_file(f"{bucket}/source-of-moves", body)
    fs.mv([f"{bucket}/source-of-moves"], [path])


def _read(fs: GuardedS3FileSystem, path: str, tmp: Path) -> bytes:
    with fs.open(path, "rb") as file:
        return bytes(file.read())


def _get(fs: GuardedS3FileSystem, path: str, tmp: Path) -> bytes:
    fs.get_file(path, str(tmp / "down"))
    return (tmp / "down").read_bytes()


def _signed(fs: GuardedS3FileSystem, path: str, tmp: Path) -> bytes:
    with urllib.request.urlopen(fs.sign(path, 60), timeout=300) as answer:
        return bytes(answer.read())


def _copied(fs: GuardedS3FileSystem, path: str, tmp: Path) -> bytes:
    bucket = path.partition("/")[0]
    fs.cp_file(path, f"{bucket}/a-copy")
    body = bytes(fs.cat_file(f"{bucket}/a-copy"))
    fs.rm_file(f"{bucket}/a-copy")
    return body


WRITES: dict[str, Callable[..., None]] = {
    "pipe_file": _pipe,
    "open": _write,
    "put_file": _put,
    "cp_file": _copy,
    "mv": _move,
}
READS: dict[str, Callable[[GuardedS3FileSystem, str, Path], bytes]] = {
    "cat_file": lambda fs, path, tmp: bytes(fs.cat_file(path)),
    "cat": lambda fs, path, tmp: bytes(fs.cat([path])[path]),
    "cat_ranges": lambda fs, path, tmp: bytes(fs.cat_ranges([path], 0, 100)[0]),
    "open": _read,
    "get_file": _get,
    "cp_file": _copied,
    "sign": _signed,
    "url": lambda fs, path, tmp: bytes(fs.cat_file(f"gs3://{path}")),
}


def through_every_verb(place: Place, key: str, tmp_path: Path) -> None:
    fs, path = place.fs, f"{place.bucket}/{key}"
    for verb, write in WRITES.items():
        write(fs, path, verb.encode(), tmp_path)
        assert place.listed() == {key}, verb
        assert fs.cat_file(path) == verb.encode()
    for name, read in READS.items():
        assert read(fs, path, tmp_path) == verb.encode(), name
    assert fs.info(path)["name"] == path
    assert fs.isfile(path)
    assert fs.find(place.bucket) == [path]
    assert [name for _, _, names in fs.walk(place.bucket) for name in names] == [key.rpartition("/")[2]]
    assert fs.ls(fs._parent(path), detail=False) == [path]
    assert fs.glob(f"{place.bucket}/**") == fs.find(place.bucket, withdirs=True)
    assert fs.glob(glob.escape(path)) == [path]
    fs.rm(path)
    assert place.listed() == set()
    assert not fs.exists(path)


@pytest.mark.parametrize("key", KEYS, ids=ascii)
def test_a_key_goes_through_every_verb_unchanged(place: Place, key: str, tmp_path: Path) -> None:
    """However it is written it is this key and no other; however it is read these are its bytes."""
    through_every_verb(place, key, tmp_path)


def test_a_line_feed_goes_through_every_verb(tmp_path: Path) -> None:
    """moto does not find its way with one; S3 does."""
    with ScriptedServer(handler=FakeS3()) as server:
        through_every_verb(Place(MotoServer(server.url)), "line\nfeed/\n", tmp_path)


def test_all_of_them_together_survive_the_bulk_verbs(place: Place) -> None:
    """Lists of names that find returned: none is lost, none is taken for a pattern of others."""
    fs, bucket = place.fs, place.bucket
    bodies = {f"{bucket}/{key}": key.encode() for key in KEYS}
    fs.pipe(bodies)
    assert place.listed() == set(KEYS)
    assert fs.cat(fs.find(bucket)) == bodies
    short = [path for path in bodies if len(path) < 1000]
    fs.cp(short, [f"{bucket}/new/{path.partition('/')[2]}" for path in short])
    assert fs.cat(f"{bucket}/new", recursive=True) == {
        f"{bucket}/new/{path.partition('/')[2]}": bodies[path] for path in short
    }
    fs.cp(f"{bucket}/new/", f"{bucket}/again/", recursive=True)
    fs.mv(f"{bucket}/again", f"{bucket}/moved", recursive=True)
    assert {key for key in place.listed() if key.startswith(("again/", "moved/"))} == {
        f"moved/{path.partition('/')[2]}" for path in short
    }
    fs.rm(f"{bucket}/new/", recursive=True)
    fs.rm(f"{bucket}/moved", recursive=True)
    assert place.listed() == set(KEYS)
    fs.rm(fs.find(bucket))
    assert place.listed() == set()


def test_every_directory_that_is_listed_can_be_listed(place: Place) -> None:
    """Also those with an empty name: walk, and ls from name to name, come to every key."""
    fs, bucket = place.fs, place.bucket
    fs.pipe({f"{bucket}/{key}": b"" for key in SLASHES})
    reached, todo = set(), [bucket]
    while todo:
        for row in fs.ls(todo.pop(), detail=True):
            todo += [row["name"]] if row["type"] == "directory" else []
            reached |= {row["name"]} if row["type"] == "file" else set()
    assert reached == {f"{bucket}/{key}" for key in SLASHES}
    walked = {os.path.join(root, name) for root, _, names in fs.walk(bucket) for name in names}
    assert walked == reached
    for root, directories, _ in fs.walk(bucket, detail=True):
        for row in directories.values():
            assert fs.isdir(row["name"])
            assert fs.info(os.path.join(row["name"], "")) == row
            assert fs._parent(row["name"]) == root
    assert {bucket, *(name for name in fs.find(bucket, withdirs=True) if fs.isdir(name))} == {
        root for root, _, _ in fs.walk(bucket)
    }


def test_local_trees_hold_what_a_file_system_can_hold(place: Place, tmp_path: Path) -> None:
    """Trees of names with anything but slashes and dots alone go down and come up as they are."""
    fs, bucket = place.fs, place.bucket
    keys = [key for key in PLAIN if len(key) < 200] + [key for key in CONTROL]
    bodies = {f"{bucket}/t/{key}": key.encode() for key in keys}
    fs.pipe(bodies)
    fs.get(f"{bucket}/t/", str(tmp_path / "t"), recursive=True)
    found = [path for path in (tmp_path / "t").rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path / "t")): path.read_bytes() for path in found} == {
        key: key.encode() for key in keys
    }
    fs.put(f"{tmp_path}/t/", f"{bucket}/back", recursive=True)
    assert fs.cat(f"{bucket}/back", recursive=True) == {f"{bucket}/back/{key}": key.encode() for key in keys}
    fs.put(str(tmp_path / "t" / "br[ack]et"), f"{bucket}/one")
    assert fs.cat_file(f"{bucket}/one") == b"br[ack]et"


# rclone keeps objects as files, so it has no empty names and dots alone.
ON_RCLONE = [
    "with space",
    "plus+plus",
    "percent%41%2F%",
    "hash#tag",
    "question?mark=1&b",
    "a=b&c;d,e:f@g$h!",
    "br[ack]et*",
    "<tag>&amp;",
    "umlaut-äöü",
    "emoji-\U0001f600",
    "tab\there",
    "dir with space/%/#/?/+",
]


@pytest.mark.parametrize("key", ON_RCLONE, ids=ascii)
def test_rclone_keeps_the_key_too(rclone: RcloneServer, key: str, tmp_path: Path) -> None:
    """rclone checks signatures, so these are signed as they are sent."""
    place = Place(rclone)
    fs, path = place.fs, f"{place.bucket}/{key}"
    fs.pipe_file(path, b"piped")
    assert fs.find(place.bucket) == [path]
    for name, read in READS.items():
        assert read(fs, path, tmp_path) == b"piped", name
    fs.rm(path)
    assert not fs.exists(path)
    with pytest.raises(urllib.error.HTTPError):
        _signed(fs, path, tmp_path)
