"""SeaweedFS keeps a directory when its last key goes: `rm`, `rmdir` and `mv` remove it, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from fsspec_guarded_s3 import DirectoryNotEmptyError
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Reply, Request, ScriptedServer

KEYS = ("t/dummy", "t/s/f", "t/s/m/n/g", "t/s/o/h")


class TreeOfFiles(FakeS3):
    """Every directory of a key is there from then on, under its name with a slash, which no listing has.

    A delete of one in which something is has no effect, and is answered as any other.
    """

    def __init__(self) -> None:
        super().__init__("bucket", after=self._grow)
        self.directories: set[str] = set()
        for key in KEYS:
            self.put("bucket", key, key.encode())
        self._keep()

    def _keep(self) -> None:
        for _, key in list(self.objects):
            parts = key.removesuffix("/").split("/")[:-1]
            for count in range(1, len(parts) + 1):
                name = "/".join(parts[:count]) + "/"
                self.directories.add(name)
                if ("bucket", name) not in self.objects:
                    self.put("bucket", name, b"")

    def _grow(self, _: Request, reply: Reply) -> Reply:
        self._keep()
        return replace(reply, headers={**reply.headers, "Server": "SeaweedFS 30GB 4.53"})

    def _entries(
        self, bucket: str, prefix: str, delimiter: str, last: str, *, resumed: bool
    ) -> Iterable[tuple[str, str | None]]:
        for name, key in super()._entries(bucket, prefix, delimiter, last, resumed=resumed):
            if key not in self.directories:
                yield name, key

    def left(self) -> list[str]:
        return sorted(key for _, key in self.objects)


def test_a_tree_goes_with_its_directories_and_leaves_those_above() -> None:
    fake = TreeOfFiles()
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fs.rm("bucket/t/s", recursive=True)
        assert fs.ls("bucket/t", detail=False) == ["bucket/t/dummy"]
    assert fake.left() == ["t/", "t/dummy"]


def test_a_list_of_trees_goes_with_their_directories() -> None:
    fake = TreeOfFiles()
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).rm(["bucket/t/s/m", "bucket/t/s/o/", "bucket/t/s/f"], recursive=True)
    assert fake.left() == ["t/", "t/dummy", "t/s/"]


def test_what_is_written_meanwhile_keeps_its_directory() -> None:
    """A rival writes after the keys were listed: neither its object nor the directory goes."""
    fake = TreeOfFiles()

    def write(request: Request, _: FakeS3) -> None:
        if request.method == "POST" and "delete" in request.query:
            fake.put("bucket", "t/s/m/new", b"new")

    fake.fault = write
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).rm("bucket/t/s", recursive=True)
    assert fake.left() == ["t/", "t/dummy", "t/s/", "t/s/m/", "t/s/m/new"]


def test_a_directory_without_keys_is_removed_by_rm_and_rmdir() -> None:
    fake = TreeOfFiles()
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        for name in ("t/s/m/n/g", "t/s/o/h"):
            fs.rm_file(f"bucket/{name}")
        with pytest.raises(DirectoryNotEmptyError):
            fs.rmdir("bucket/t/s/m")
        fs.rmdir("bucket/t/s/m/n")
        assert "t/s/m/n/" not in fake.left()
        fs.rm("bucket/t/s/m", recursive=True)
        fs.rm("bucket/t/s/o/", recursive=True)
        for call in (fs.rmdir, lambda path: fs.rm(path, recursive=True)):
            with pytest.raises(FileNotFoundError):
                call("bucket/t/s/m")
    assert fake.left() == ["t/", "t/dummy", "t/s/", "t/s/f"]


def test_a_tree_that_is_moved_leaves_no_directory() -> None:
    fake = TreeOfFiles()
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).mv("bucket/t/s", "bucket/u", recursive=True)
    assert fake.left() == ["t/", "t/dummy", "u/", "u/f", "u/m/", "u/m/n/", "u/m/n/g", "u/o/", "u/o/h"]


def test_a_depth_keeps_directories() -> None:
    fake = TreeOfFiles()
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).rm("bucket/t/s", recursive=True, maxdepth=1)
    assert fake.left() == ["t/", "t/dummy", "t/s/", "t/s/m/", "t/s/m/n/", "t/s/m/n/g", "t/s/o/", "t/s/o/h"]


def test_other_stores_are_asked_nothing_more() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        fs.pipe({f"bucket/{key}": b"1" for key in KEYS})
        fs.rm("bucket/t/s", recursive=True)
        assert [request.method for request in server.requests[len(KEYS) :]] == ["GET", "POST"]
