"""A download is one GET of a small object: its answer tells size, ETag and checksum."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fsspec_guarded_s3 import ChecksumMismatchError, ObjectChangedError
from tests.data import period_free
from tests.fake_s3 import FakeS3, crc32
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer

DATA = period_free(3 * MIB)


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3("bucket")
    fake.put("bucket", "large", DATA)
    fake.put("bucket", "empty", b"")
    for number in range(20):
        fake.put("bucket", f"tree/{number % 3}/{number}", DATA[number : number + 1000])
    for place, stored in fake.objects.items():
        fake.objects[place] = replace(stored, crc32=crc32(stored.body))
    return fake


@pytest.fixture
def server(fake: FakeS3) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=fake) as server:
        yield server


def asked(server: ScriptedServer) -> list[str]:
    """The requests: listings as LIST, ranges as such."""
    return [
        "LIST" if "list-type" in request.query else request.headers.get("range", request.method)
        for request in server.requests
    ]


@pytest.mark.parametrize("key", ["tree/0/0", "empty", "large"])
def test_a_file_is_one_get(fake: FakeS3, server: ScriptedServer, key: str, tmp_path: Path) -> None:
    filesystem(server.url).get_file(f"bucket/{key}", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == fake.objects["bucket", key].body
    assert asked(server) == ["GET"]


def test_a_large_file_goes_on_in_ranges_under_the_etag_of_the_first_answer(
    fake: FakeS3, server: ScriptedServer, tmp_path: Path
) -> None:
    filesystem(server.url, range_size=MIB).get_file("bucket/large", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == DATA
    assert sorted(asked(server)) == ["GET", f"bytes={MIB}-{2 * MIB - 1}", f"bytes={2 * MIB}-{3 * MIB - 1}"]
    pinned = [request for request in server.requests if "range" in request.headers]
    assert {request.headers["if-match"] for request in pinned} == {fake.objects["bucket", "large"].etag}


def test_a_tree_is_one_get_for_each_file_beside_its_listing(
    fake: FakeS3, server: ScriptedServer, tmp_path: Path
) -> None:
    filesystem(server.url).get("bucket/tree", str(tmp_path / "tree"), recursive=True)
    found = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {str(number): DATA[number : number + 1000] for number in range(20)}
    # That "bucket/tree" is no object too is told by a HEAD.
    assert asked(server).count("GET") == 20
    assert len(server.requests) <= 23


def test_a_pattern_is_one_get_for_each_file_beside_its_listing(
    server: ScriptedServer, tmp_path: Path
) -> None:
    filesystem(server.url).get("bucket/tree/0/*", str(tmp_path) + "/")
    assert sorted(set(asked(server))) == ["GET", "LIST"]
    assert asked(server).count("GET") == 7


def test_a_file_that_was_replaced_since_it_was_listed_is_the_new_one(
    fake: FakeS3, server: ScriptedServer, tmp_path: Path
) -> None:
    fs = filesystem(server.url)
    fs.find("bucket")
    fake.put("bucket", "tree/0/0", b"new")
    fs.get_file("bucket/tree/0/0", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "always"])
def test_a_replaced_file_is_begun_anew_once(
    fake: FakeS3, server: ScriptedServer, lasting: bool, tmp_path: Path
) -> None:
    """The target stays what it was until all of one version is there."""
    (tmp_path / "file").write_bytes(b"old")
    bodies = [bytes([number]) * len(DATA) for number in range(9)]

    def after(request: Request, reply: Reply) -> Answer | None:
        assert (tmp_path / "file").read_bytes() == b"old"
        if "range" not in request.headers:
            fake.put("bucket", "large", bodies.pop(0))
            fake.after = after if lasting else None
        return None

    fake.after = after
    fs = filesystem(server.url, range_size=MIB)
    if lasting:
        with pytest.raises(ObjectChangedError):
            fs.get_file("bucket/large", tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == b"old"
    else:
        fs.get_file("bucket/large", tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == bytes(len(DATA))


def test_a_checksum_that_differs_publishes_nothing(
    fake: FakeS3, server: ScriptedServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    fake.objects["bucket", "large"] = replace(fake.objects["bucket", "large"], crc32=crc32(b"other"))
    with pytest.raises(ChecksumMismatchError):
        filesystem(server.url, range_size=MIB).get_file("bucket/large", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["ENOSPC", "EFBIG", "EDQUOT"])
def test_a_full_disk_is_told_by_the_name_of_the_file(
    fake: FakeS3, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    number = getattr(errno, name, errno.ENOSPC)

    def full(descriptor: int, view: memoryview, position: int) -> int:
        raise OSError(number, os.strerror(number))

    fake.put("bucket", "big", period_free(MIB))
    monkeypatch.setattr("fsspec_guarded_s3._read.download.write_at", full)
    with pytest.raises(OSError, match="there") as caught:
        filesystem(server.url).get_file("bucket/big", str(tmp_path / "there"))
    assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / "there"))
    assert not list(tmp_path.iterdir())
