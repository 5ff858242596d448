"""Stores that ignore the name of a subresource: to them PUT key?tagging is a PutObject, and so on."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3Error, GuardedS3FileSystem, OperationUnsupportedError
from fsspec_guarded_s3._values.paths import S3Path
from tests.fake_s3 import FakeS3, md5_etag
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Link, Request, ScriptedServer, close, respond, s3_error
from tests.servers import rclone_binary, rclone_server
from tests.single_faults import short_pauses  # noqa: F401

PATH = "bucket/folder/key"
SLOT = ("bucket", "folder/key")
NAMES = ("tagging", "acl", "versioning")
Call = Callable[[GuardedS3FileSystem], Any]
CHANGES: dict[str, Call] = {
    "put_tags": lambda fs: fs.put_tags(PATH, {"a": "1"}),
    "put_tags merge": lambda fs: fs.put_tags(PATH, {"a": "1"}, mode="m"),
    "put_tags none": lambda fs: fs.put_tags(PATH, {}),
    "chmod": lambda fs: fs.chmod(PATH, "public-read"),
    "chmod recursive": lambda fs: fs.chmod("bucket/folder", "public-read", recursive=True),
    "chmod bucket": lambda fs: fs.chmod("bucket", "public-read"),
    "make_bucket_versioned": lambda fs: fs.make_bucket_versioned("bucket"),
}
OF_OBJECTS = [name for name in CHANGES if "bucket" not in name]


@contextmanager
def store(fake: FakeS3, **options: Any) -> Iterator[tuple[ScriptedServer, GuardedS3FileSystem]]:
    with ScriptedServer(handler=fake) as server:
        yield server, filesystem(server.url, **{"probe": "auto", **options})
    assert [key for _, key in fake.objects if ".gs3-probe-" in key] == []


@pytest.mark.parametrize("content", [b"", b"precious", b"<Tagging><TagSet/></Tagging>"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_store_that_would_change_what_is_above_is_not_asked_to(name: str, content: bytes) -> None:
    fake = FakeS3("bucket")
    fake.unknown_names = NAMES
    before = fake.put(*SLOT, content)
    with store(fake) as (server, fs):
        with pytest.raises(OperationUnsupportedError, match="does not know") as caught:
            CHANGES[name](fs)
        assert not caught.value.maybe_applied and caught.value.bucket == "bucket"
        seen = len(server.requests)
        with pytest.raises(NotImplementedError):
            CHANGES[name](fs)
    assert fake.objects == {SLOT: before}
    assert not any(r.method in ("PUT", "DELETE") for r in server.requests[seen:])


@pytest.mark.parametrize("probe", ["auto", "never"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_store_that_says_so_itself_is_believed(name: str, probe: str) -> None:
    """As Garage, s3s-fs and Cloudflare R2: 501 NotImplemented. Both words for it can be caught."""

    def fault(request: Request, _: FakeS3) -> Answer | None:
        return s3_error(501, "NotImplemented") if {*NAMES, "versions"} & set(request.query) else None

    fake = FakeS3("bucket", fault=fault)
    before = fake.put(*SLOT, b"precious")
    with store(fake, probe=probe) as (_, fs):
        with pytest.raises(OperationUnsupportedError) as caught:
            CHANGES[name](fs)
        assert isinstance(caught.value, NotImplementedError) and isinstance(caught.value, ValueError)
        assert not caught.value.maybe_applied
        assert fs.is_bucket_versioned("bucket") is False
        with pytest.raises(NotImplementedError):
            fs.object_version_info(PATH)
    assert fake.objects == {SLOT: before}


@pytest.mark.parametrize("name", CHANGES)
def test_a_store_that_knows_them_is_found_out_once(name: str) -> None:
    fake = FakeS3("bucket")
    fake.put(*SLOT, b"precious")
    with store(fake) as (server, fs):
        CHANGES[name](fs)
        seen = len(server.requests)
        CHANGES[name](fs)
        assert not any(".gs3-probe-" in request.target for request in server.requests[seen:])
    assert fake.objects[SLOT].body == b"precious"


@pytest.mark.parametrize("name", OF_OBJECTS)
def test_a_fault_that_passes_during_the_trial_leaves_the_object_alone_and_is_forgotten(name: str) -> None:
    down = True

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return (
            s3_error(503, "SlowDown") if down and ".gs3-probe-" in request.target and request.query else None
        )

    fake = FakeS3("bucket", fault=fault)
    before = fake.put(*SLOT, b"precious")
    with store(fake, max_attempts=1) as (_, fs):
        with pytest.raises(GuardedS3Error, match="nothing was written") as caught:
            CHANGES[name](fs)
        assert not isinstance(caught.value, OperationUnsupportedError) and not caught.value.maybe_applied
        assert fake.objects == {SLOT: before}
        down = False
        CHANGES[name](fs)


def test_a_store_that_refuses_says_so_itself() -> None:
    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return s3_error(501, "NotImplemented", "no tags here") if "tagging" in request.query else None

    fake = FakeS3("bucket", fault=fault)
    before = fake.put(*SLOT, b"precious")
    with store(fake) as (_, fs), pytest.raises(ValueError, match="no tags here"):
        fs.put_tags(PATH, {"a": "1"})
    assert fake.objects == {SLOT: before}


@pytest.mark.parametrize("size", [0, 3, 6 * MIB])
@pytest.mark.parametrize("verb", ["pipe_file", "cp_file"])
def test_tags_that_cannot_be_given_again_do_not_become_the_object(verb: str, size: int) -> None:
    fake = FakeS3("bucket")
    fake.unknown_names = ("tagging",)
    fake.after = lambda request, reply: _without_tags(fake)
    fake.put("bucket", "source", bytes(size))
    calls: dict[str, Call] = {
        "pipe_file": lambda fs: fs.pipe_file(PATH, bytes(size), Tagging={"a": "1"}),
        "cp_file": lambda fs: fs.cp_file("bucket/source", PATH, Tagging={"a": "1"}),
    }
    with store(fake, part_size=5 * MIB, multipart_threshold=5 * MIB) as (_, fs):
        with pytest.raises(OperationUnsupportedError, match="was written, but the store dropped") as caught:
            calls[verb](fs)
        assert caught.value.maybe_applied
        assert fs.cat_file(PATH) == bytes(size)


def _without_tags(fake: FakeS3) -> None:
    for stored in fake.objects.values():
        stored.tags.clear()


def test_versioning_that_is_accepted_and_not_kept_is_an_error() -> None:
    fake = FakeS3("bucket")
    fake.after = lambda request, reply: fake.versioning.clear()
    with store(fake) as (_, fs), pytest.raises(OperationUnsupportedError, match="did not keep"):
        fs.make_bucket_versioned("bucket")


@pytest.mark.parametrize("tags", [{}, {"a": "b"}])
def test_tags_may_come_with_the_etag_of_the_object(tags: dict[str, str]) -> None:
    fake = FakeS3("bucket")
    fake.put(*SLOT, b"precious")
    fake.after = lambda request, reply: (
        replace(reply, headers={**reply.headers, **OF_S3MOCK}) if "tagging" in request.query else None
    )
    with store(fake) as (_, fs):
        fs.put_tags(PATH, tags)
        assert fs.get_tags(PATH) == tags


OF_S3MOCK = {"ETag": md5_etag(b"precious"), "Last-Modified": "Fri, 27 Nov 2026 12:00:00 GMT"}


def test_tags_of_an_object_are_never_its_own_bytes() -> None:
    fake = FakeS3("bucket")
    fake.unknown_names = NAMES
    with store(fake) as (_, fs):
        for content in (
            b"x",
            b"<a/>",
            b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
        ):
            fake.put(*SLOT, content)
            with pytest.raises(OperationUnsupportedError):
                fs.get_tags(PATH)


QUESTIONS: dict[str, Call] = {
    "get_tags": lambda fs: fs.get_tags(PATH),
    "object_attributes": lambda fs: fs.object_attributes(PATH),
    "list_annotations": lambda fs: fs.list_annotations(PATH),
    "get_annotation": lambda fs: fs.get_annotation(PATH, "note"),
    "_get_tags": lambda fs: asyncio.run(fs._get_tags(PATH)),
    "_object_attributes": lambda fs: asyncio.run(fs._object_attributes(PATH)),
}
LARGE = 2**31  # bytes


class Huge(Answer):
    """An object of 2 GiB, sent for as long as somebody takes it."""

    def __init__(self, framing: str) -> None:
        self.sent = 0
        self._framing = {
            "length": f"Content-Length: {LARGE}",
            "chunks": "Transfer-Encoding: chunked",
            "close": "Connection: close",
        }[framing]
        self._chunked = framing == "chunks"

    def play(self, link: Link, request: Request) -> bool:
        of_object = 'ETag: "e"\r\nLast-Modified: Fri, 27 Nov 2026 12:00:00 GMT\r\nAccept-Ranges: bytes'
        link.send(f"HTTP/1.1 200 OK\r\n{of_object}\r\n{self._framing}\r\n\r\n".encode())
        piece = b"%x\r\n%s\r\n" % (MIB, bytes(MIB)) if self._chunked else bytes(MIB)
        while self.sent < LARGE:
            link.send(piece)
            self.sent += MIB
        return False


@pytest.mark.parametrize("probe", ["auto", "never"])
@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_an_object_in_the_place_of_what_was_asked_for_is_not_read(
    name: str, framing: str, probe: str
) -> None:
    """Whatever the head says of its size; and it is asked for once."""
    huge = Huge(framing)
    with ScriptedServer(handler=lambda request: huge) as server:
        with pytest.raises(OperationUnsupportedError, match=r"does not know .*: it answered with the object"):
            QUESTIONS[name](filesystem(server.url, probe=probe))
        assert len(server.requests) == 1
    assert huge.sent < 64 * MIB


@pytest.mark.parametrize("lock", ["retention", "legal-hold"])
@pytest.mark.parametrize("content", [b"precious", b"<Retention><Mode>GOVERNANCE</Mode></Retention>", b"<a/>"])
def test_a_lock_is_never_read_from_the_object(lock: str, content: bytes) -> None:
    fake = FakeS3("bucket")
    fake.unknown_names = ("retention", "legal-hold")
    fake.put(*SLOT, content)
    with store(fake) as (server, fs):
        with pytest.raises(OperationUnsupportedError, match="does not know GetObject"):
            fs._client.subresources.get_object_lock(S3Path(*SLOT), lock)
        assert len(server.requests) == 1


OF_BUCKETS: dict[str, Call] = {
    "is_bucket_versioned": lambda fs: fs.is_bucket_versioned("bucket"),
    "object_version_info": lambda fs: fs.object_version_info(PATH),
    "list_multipart_uploads": lambda fs: fs.list_multipart_uploads("bucket"),
}


@pytest.mark.parametrize("name", OF_BUCKETS)
def test_a_list_of_objects_in_the_place_of_what_was_asked_for_is_told(name: str) -> None:
    listing = (
        b"<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated><Contents><Key>folder/key</Key>"
        b"<Size>1</Size></Contents></ListBucketResult>"
    )
    with ScriptedServer(handler=lambda request: respond(200, listing)) as server:
        with pytest.raises(OperationUnsupportedError, match=r"does not know .*a list of objects"):
            OF_BUCKETS[name](filesystem(server.url))
        assert len(server.requests) == 1


def test_nothing_is_tried_where_the_store_is_trusted() -> None:
    fake = FakeS3("bucket")
    fake.put(*SLOT, b"precious")
    with store(fake, probe="never") as (server, fs):
        fs.put_tags(PATH, {"a": "1"})
        fs.chmod("bucket", "private")
        assert [request.method for request in server.requests] == ["PUT", "PUT"]


@pytest.mark.skipif(rclone_binary() is None, reason="there is no rclone")
@pytest.mark.parametrize("name", CHANGES)
def test_rclone_keeps_its_objects(name: str) -> None:
    with rclone_server() as rclone:
        given = {"key": rclone.key, "secret": rclone.secret, "probe": "auto"}
        fs = filesystem(rclone.url, **given)
        fs.mkdir("bucket")
        fs.pipe_file(PATH, b"precious")
        with pytest.raises((OperationUnsupportedError, ValueError)):
            CHANGES[name](fs)
        assert fs.cat_file(PATH) == b"precious" and fs.find("bucket") == [PATH]


@pytest.mark.parametrize("lost", [close(), s3_error(503, "SlowDown"), respond(502, b"")], ids=str)
@pytest.mark.parametrize(
    "read",
    [
        lambda fs: fs.cat_file(PATH),
        lambda fs: fs.cat_ranges([PATH], [0], [1], on_error="raise"),
        lambda fs: fs.info(PATH),
        lambda fs: fs.open(PATH).read(),
        lambda fs: fs.cp_file(PATH, "bucket/target"),
        lambda fs: fs.mv(PATH, "bucket/target"),
        lambda fs: fs.get_tags(PATH),
        lambda fs: fs.setxattr(PATH, a="1"),
    ],
    ids=["cat_file", "cat_ranges", "info", "open", "cp_file", "mv", "get_tags", "setxattr"],
)
def test_a_read_applies_nothing_whatever_became_of_its_answers(read: Call, lost: Answer) -> None:
    answers = [lost]
    fake = FakeS3("bucket", fault=lambda request, fake: answers.pop() if answers else None)
    with store(fake, probe="never") as (_, fs), pytest.raises(FileNotFoundError) as caught:
        read(fs)
    assert not answers
    assert not getattr(caught.value, "maybe_applied", False)
