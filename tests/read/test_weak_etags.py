"""Front ends that may change a body make a weak ETag of a strong one (RFC 9110, 8.8.1), and not always."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer

DATA = bytes(range(256)) * 400
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}
WEAK = ("HEAD", "GET", "list", "PUT")


def weakening(fake: FakeS3, where: tuple[str, ...]) -> Callable[[Request, Reply], Answer | None]:
    """Makes the ETags of answers to the requests `where` weak ones."""

    def after(request: Request, reply: Reply) -> Answer | None:
        kind = "list" if "list-type" in request.query else request.method
        if kind not in where:
            return None
        headers = {
            name: f"W/{value}" if name.lower() == "etag" else value for name, value in reply.headers.items()
        }
        return replace(reply, headers=headers, body=reply.body.replace(b"<ETag>", b"<ETag>W/"))

    return after


CALLS: dict[str, Callable[[GuardedS3FileSystem, Path], Any]] = {
    "cat_file": lambda fs, target: fs.cat_file("bucket/key") == DATA,
    "ranges of one": lambda fs, target: fs.cat_file("bucket/key", 0, len(DATA)) == DATA,
    "cat_ranges": lambda fs, target: (
        fs.cat_ranges(["bucket/key"] * 2, [0, 90_000], [1, 90_001]) == [b"\0", b"\x90"]
    ),
    "open": lambda fs, target: fs.open("bucket/key").read() == DATA,
    "open without cache": lambda fs, target: fs.open("bucket/key", cache_type="none").read() == DATA,
    "open what is listed": lambda fs, target: fs.ls("bucket") and fs.open("bucket/key").read() == DATA,
    "get_file": lambda fs, target: fs.get_file("bucket/key", target) or target.read_bytes() == DATA,
    "copy": lambda fs, target: fs.cp_file("bucket/key", "bucket/new") or fs.cat_file("bucket/new") == DATA,
    "mv": lambda fs, target: fs.mv("bucket/key", "bucket/new") or not fs.exists("bucket/key"),
    "swap": lambda fs, target: (
        fs.pipe_file("bucket/key", b"", if_match=fs.info("bucket/key")["ETag"]) or True
    ),
    "update": lambda fs, target: bool(fs.update("bucket/key", lambda old: old + b"1")),
    "append": lambda fs, target: append(fs) == len(DATA) + 1,
    "upload in parts": lambda fs, target: (
        fs.pipe_file("bucket/new", bytes(6 * MIB)) or fs.size("bucket/new") == 6 * MIB
    ),
    "rm_file": lambda fs, target: fs.rm_file("bucket/key", if_match=fs.info("bucket/key")["ETag"]) or True,
}


def append(fs: GuardedS3FileSystem) -> int:
    with fs.open("bucket/key", "ab") as file:
        file.write(b"1")
    return len(fs.cat_file("bucket/key"))


@pytest.mark.parametrize("where", [*((kind,) for kind in WEAK), WEAK], ids="-".join)
@pytest.mark.parametrize("call", CALLS)
def test_weak_and_strong_are_one_version(call: str, where: tuple[str, ...], tmp_path: Path) -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", DATA)
    fake.after = weakening(fake, where)
    with ScriptedServer(handler=fake) as server:
        assert CALLS[call](filesystem(server.url, range_size=30_000, **PARTS), tmp_path / "target")


@pytest.mark.parametrize(
    "call", ["cat_file", "open", "open without cache", "open what is listed", "get_file"]
)
def test_reads_do_without_a_condition_that_never_holds(call: str, tmp_path: Path) -> None:
    """A store whose own ETags are weak: If-Match compares strongly (RFC 9110, 13.1.1)."""
    fake = FakeS3("bucket")
    fake.put("bucket", "key", DATA)
    fake.after = weakening(fake, WEAK)
    asked: list[str] = []
    fake.fault = lambda request, fake: asked.append(request.headers.get("if-match", ""))
    with ScriptedServer(handler=fake) as server:
        assert CALLS[call](filesystem(server.url, range_size=30_000, **PARTS), tmp_path / "target")
    assert set(asked) == {""}


def test_another_weak_one_is_another_version() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", DATA)
    fake.after = weakening(fake, WEAK)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        with fs.open("bucket/key", cache_type="none") as file:
            assert file.read(10) == DATA[:10]
            fake.put("bucket", "key", DATA[::-1])
            with pytest.raises(ObjectChangedError):
                file.read(90_000)
        old = 'W/"abc"'
        with pytest.raises(ObjectChangedError):
            fs.pipe_file("bucket/key", b"", if_match=old)
