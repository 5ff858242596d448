"""A front end that sends a request to the store twice: the answer that comes back is the second one.

nginx (`proxy_next_upstream non_idempotent`) and load balancers do so when a connection to the store breaks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError
from tests.fake_s3 import FakeS3
from tests.faults.inject import called
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Request, ScriptedServer

LARGE = bytes(11 * MIB)
PUBLISHING = ("PutObject", "CopyObject", "CompleteMultipartUpload")
Call = Callable[[GuardedS3FileSystem], Any]


class Doubling:
    """Sends some operations twice, and answers what the store said last. Trials go through once."""

    def __init__(self, operations: Sequence[str] = PUBLISHING, *, trials: bool = False) -> None:
        self.store = FakeS3("bucket", replay_ok=False)
        self.store.put("bucket", "old", b"old")
        self.between: Callable[[], object] = lambda: None
        self._operations = operations
        self._trials = trials

    def __call__(self, request: Request) -> Answer:
        if called(request) in self._operations and (self._trials or ".gs3-probe-" not in request.target):
            self.store(request)
            self.between()
        return self.store(request)

    def body(self, key: str) -> bytes | None:
        stored = self.store.objects.get(("bucket", key))
        return stored.body if stored else None


def etag(fs: GuardedS3FileSystem) -> str:
    return str(fs.info("bucket/old")["ETag"])


def append(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/old", "ab") as file:
        file.write(b"1")


def stream(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/new", "xb") as file:
        file.write(LARGE)


# (call, key, what is there afterwards)
WRITES: dict[str, tuple[Call, str, bytes]] = {
    "put_if_absent": (lambda fs: fs.put_if_absent("bucket/new", b"1"), "new", b"1"),
    "create": (lambda fs: fs.pipe_file("bucket/new", b"1", mode="create"), "new", b"1"),
    "swap": (lambda fs: fs.pipe_file("bucket/old", b"1", if_match=etag(fs)), "old", b"1"),
    "update": (lambda fs: fs.update("bucket/old", lambda old: old + b"1"), "old", b"old1"),
    "append": (append, "old", b"old1"),
    "copy": (lambda fs: fs.cp_file("bucket/old", "bucket/new", mode="create"), "new", b"old"),
    "parts": (lambda fs: fs.pipe_file("bucket/new", LARGE), "new", LARGE),
    "parts, create": (lambda fs: fs.pipe_file("bucket/new", LARGE, mode="create"), "new", LARGE),
    "parts, swap": (lambda fs: fs.pipe_file("bucket/old", LARGE, if_match=etag(fs)), "old", LARGE),
    "stream, create": (stream, "new", LARGE),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_was_sent_twice_is_done_once(name: str) -> None:
    call, key, body = WRITES[name]
    front = Doubling()
    with ScriptedServer(handler=front) as server:
        fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB)
        result = call(fs)
        assert front.body(key) == body
        assert result is not False
    assert not front.store.uploads


@pytest.mark.parametrize("key", ["new", "old"])
def test_a_refusal_that_is_meant_is_one(key: str) -> None:
    front = Doubling()
    front.store.put("bucket", "new", b"another's")
    with ScriptedServer(handler=front) as server:
        fs = filesystem(server.url)
        if key == "new":
            assert fs.put_if_absent("bucket/new", b"1") is False
            assert front.body("new") == b"another's"
        else:
            with pytest.raises(ObjectChangedError) as caught:
                fs.pipe_file("bucket/old", b"1", if_match='"0"')
            assert not caught.value.maybe_applied
            assert front.body("old") == b"old"


DELETES: dict[str, Call] = {
    "rm_file": lambda fs: fs.rm_file("bucket/old"),
    "rm": lambda fs: fs.rm("bucket/old"),
    "rm of a tree": lambda fs: fs.rm("bucket", recursive=True),
    "mv": lambda fs: fs.mv("bucket/old", "bucket/new"),
    "mv of many": lambda fs: fs.mv(["bucket/old"], ["bucket/new"]),
}


@pytest.mark.parametrize("name", DELETES)
def test_a_delete_that_was_sent_twice_is_done(name: str) -> None:
    front = Doubling(("DeleteObject", "DeleteObjects"))
    with ScriptedServer(handler=front) as server:
        DELETES[name](filesystem(server.url))
    assert front.body("old") is None


@pytest.mark.parametrize("rival", [False, True])
def test_a_conditional_delete_that_was_sent_twice_says_what_is_there_now(rival: bool) -> None:
    """Nothing in the store shows who has removed the version: docs/guarantees.md says so."""
    front = Doubling(("DeleteObject",))
    if rival:
        front.between = lambda: front.store.put("bucket", "old", b"rival")
    with ScriptedServer(handler=front) as server:
        fs = filesystem(server.url)
        with pytest.raises(ObjectChangedError if rival else FileNotFoundError):
            fs.rm_file("bucket/old", if_match=etag(fs))
    assert front.body("old") == (b"rival" if rival else None)


def test_the_upload_that_nobody_knows_is_found() -> None:
    """Of two CreateMultipartUpload the answer of one has come."""
    front = Doubling(("CreateMultipartUpload",))
    with ScriptedServer(handler=front) as server:
        fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB)
        fs.pipe_file("bucket/new", LARGE, mode="create")
        assert front.body("new") == LARGE
        assert len(front.store.uploads) == len(fs.list_uploads("bucket")) == 1
        assert len(fs.abort_uploads("bucket", older_than=0)) == 1
    assert not front.store.uploads


def test_a_trial_that_was_sent_twice_leaves_nothing() -> None:
    front = Doubling(trials=True)
    with ScriptedServer(handler=front) as server:
        fs = filesystem(server.url)
        fs.probe("bucket")
    assert [key for _, key in front.store.objects] == ["old"]
