"""Which answers a write takes for success, for a refusal, and for nothing that could be known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    ConflictError,
    CredentialsError,
    GuardedS3Error,
    GuardedS3FileSystem,
    WriteOutcomeUnknownError,
)
from tests.fake_s3 import FakeS3, crc32
from tests.faults.inject import called
from tests.opening import MIB
from tests.opening import filesystem as any_filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close, respond, s3_error
from tests.single_faults import short_pauses  # noqa: F401

LARGE = bytes(11 * MIB)
PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in</body></html>"


def filesystem(url: str, **options: Any) -> GuardedS3FileSystem:
    return any_filesystem(url, part_size=5 * MIB, multipart_threshold=5 * MIB, **options)


def stream(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/new", "wb") as file:
        file.write(LARGE)


Call = Callable[[GuardedS3FileSystem], Any]
# (operation, call): every operation that changes something, by a verb that makes it.
WRITES: list[tuple[str, Call]] = [
    ("PutObject", lambda fs: fs.pipe_file("bucket/new", b"1")),
    ("PutObject", lambda fs: fs.pipe_file("bucket/new", b"1", mode="create")),
    ("PutObject", lambda fs: fs.pipe_file("bucket/new", b"")),
    ("PutObject", lambda fs: fs.update("bucket/old", lambda old: old + b"1")),
    ("CreateMultipartUpload", lambda fs: fs.pipe_file("bucket/new", LARGE)),
    ("UploadPart", lambda fs: fs.pipe_file("bucket/new", LARGE)),
    ("CompleteMultipartUpload", lambda fs: fs.pipe_file("bucket/new", LARGE)),
    ("CompleteMultipartUpload", lambda fs: fs.pipe_file("bucket/new", LARGE, mode="create")),
    ("CompleteMultipartUpload", stream),
    ("CopyObject", lambda fs: fs.cp_file("bucket/old", "bucket/new")),
    ("CopyObject", lambda fs: fs.cp_file("bucket/old", "bucket/new", mode="create")),
    ("CopyObject", lambda fs: fs.setxattr("bucket/old", a="1")),
    ("DeleteObject", lambda fs: fs.rm_file("bucket/old")),
    ("DeleteObject", lambda fs: fs.rm_file("bucket/old", if_match=fs.info("bucket/old")["ETag"])),
    ("DeleteObjects", lambda fs: fs.rm(["bucket/old", "bucket/large"])),
    ("AbortMultipartUpload", lambda fs: fs.abort_uploads("bucket", older_than=0)),
    ("PutObjectTagging", lambda fs: fs.put_tags("bucket/old", {"a": "1"})),
    ("DeleteObjectTagging", lambda fs: fs.put_tags("bucket/old", {})),
    ("PutObjectAcl", lambda fs: fs.chmod("bucket/old", "public-read")),
    ("CreateBucket", lambda fs: fs.mkdir("other")),
    ("DeleteBucket", lambda fs: fs.rmdir("empty")),
    ("PutBucketVersioning", lambda fs: fs.make_bucket_versioned("bucket")),
]
STRANGE: dict[str, Reply] = {
    "page": respond(200, PAGE, headers={"Content-Type": "text/html"}),
    "XHTML": respond(200, b'<html xmlns="http://www.w3.org/1999/xhtml"><body/></html>'),
    "JSON": respond(200, b'{"login": "https://portal.example/"}'),
}


def store(answer: Answer, name: str) -> FakeS3:
    """A store in front of which somebody answers one operation."""
    fake = FakeS3("bucket", "empty", fault=lambda request, _: answer if called(request) == name else None)
    fake.put("bucket", "old", b"old")
    fake.put("bucket", "large", LARGE)
    return fake


def ids(value: Any) -> str | None:
    return value if isinstance(value, str) else None


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize(("name", "call"), WRITES, ids=ids)
def test_a_page_in_place_of_the_answer_is_no_success(name: str, call: Call, strange: str) -> None:
    """A portal or a gateway says 200: the write fails, and says that it may have been applied or not."""
    fake = store(STRANGE[strange], name)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_attempts=2)
        if name == "AbortMultipartUpload":
            fake_upload(fs, fake)
        before = dict(fake.objects)
        with pytest.raises(GuardedS3Error) as caught:
            call(fs)
        asked = sum(called(request) == name for request in server.requests)
    assert asked >= 2, "an answer that cannot be understood is asked for again"
    assert dict(fake.objects) == before
    definite = ("CreateMultipartUpload", "UploadPart")  # of which nothing can be published
    assert caught.value.maybe_applied or name in definite or not fake.uploads


def fake_upload(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
    """Somebody's upload that was left."""
    fs._client.multipart.create_multipart_upload(fs._paths.object("bucket/left"), {})
    assert fake.uploads


@pytest.mark.parametrize(("name", "call"), WRITES, ids=ids)
def test_the_same_calls_succeed_on_a_store_that_answers(name: str, call: Call) -> None:
    """The test above would hold for calls that always fail too."""
    fake = store(respond(500), "none")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        if name == "AbortMultipartUpload":
            fake_upload(fs, fake)
        call(fs)
        assert any(called(request) == name for request in server.requests)


@pytest.mark.parametrize("name", ["PutObject", "UploadPart", "CompleteMultipartUpload", "CopyObject"])
def test_an_answer_without_an_etag_proves_nothing(name: str) -> None:
    """Status 200 and not a byte; the store saw nothing of it."""
    call = next(call for operation, call in WRITES if operation == name)
    fake = store(respond(200), name)
    with ScriptedServer(handler=fake) as server, pytest.raises(GuardedS3Error):
        call(filesystem(server.url, max_attempts=2))
    assert ("bucket", "new") not in fake.objects
    assert not fake.uploads


def test_a_portal_that_answers_everything_is_never_taken_for_the_store() -> None:
    """Not even for another writer's object."""
    portal = STRANGE["page"]
    with ScriptedServer(handler=lambda request: portal) as server:
        fs = filesystem(server.url, max_attempts=2)
        for mode in ("overwrite", "create"):
            with pytest.raises(WriteOutcomeUnknownError, match="without an ETag"):
                fs.pipe_file("bucket/key", b"1", mode=mode)


PORTALS: dict[str, Reply] = {
    "nothing": Reply(200),
    "no content": Reply(204),
    "page": Reply(200, PAGE, {"Content-Type": "text/html"}),
    "page with an ETag": Reply(200, PAGE, {"ETag": '"1f-abc"', "Content-Type": "text/html"}),
    "page with a weak ETag": Reply(200, PAGE, {"ETag": 'W/"1f-abc"', "Content-Type": "text/html"}),
    "JSON with a weak ETag": Reply(200, b"{}", {"ETag": 'W/"1f-abc"', "Content-Type": "application/json"}),
}


@pytest.mark.parametrize(
    ("name", "call", "portal"),
    [
        (name, call, portal)
        for name, call in WRITES
        for portal in PORTALS
        # S3's own answer to these is the same.
        if portal != "no content" or name not in ("DeleteBucket", "DeleteObjectTagging")
    ],
    ids=ids,
)
def test_no_write_succeeds_where_a_portal_answers_everything(name: str, call: Call, portal: str) -> None:
    """Nor is the bucket said to be there already, nor a copy proven by an answer of the portal to HEAD."""
    with ScriptedServer(handler=lambda request: PORTALS[portal]) as server:
        fs = filesystem(server.url, max_attempts=2)
        with pytest.raises(GuardedS3Error) as caught:
            call(fs)
    assert server.requests
    assert not isinstance(caught.value, FileExistsError | FileNotFoundError)


@pytest.mark.parametrize("mode", ["overwrite", "create"])
@pytest.mark.parametrize("page", [b"<html>log in</html>", b"\n<!DOCTYPE html><html>log in</html>"])
def test_a_page_with_an_etag_is_no_success(mode: str, page: bytes) -> None:
    """Web frameworks give every page an ETag."""
    portal = respond(200, page, headers={"ETag": 'W/"1f-abc"', "Content-Type": "text/html"})
    with ScriptedServer(handler=lambda request: portal) as server:
        fs = filesystem(server.url, max_attempts=2)
        with pytest.raises(GuardedS3Error):
            fs.pipe_file("bucket/key", b"1", mode=mode)
    assert server.requests


# --- busy ---


BUSY = [
    s3_error(503, "SlowDown"),
    s3_error(429, "TooManyRequests"),
    s3_error(503, "ServiceUnavailable"),
    respond(502, b"<html>Bad Gateway</html>"),
    respond(504),
    s3_error(500, "InternalError"),
    respond(599),
]


@pytest.mark.parametrize("answer", BUSY, ids=lambda answer: str(answer.status))
@pytest.mark.parametrize(
    ("name", "data"), [("PutObject", b"ours"), ("CompleteMultipartUpload", LARGE)], ids=ids
)
def test_a_create_that_was_applied_and_answered_busy_is_found_by_its_token(
    name: str, data: bytes, answer: Reply
) -> None:
    """The repetition finds the key taken: by ourselves."""
    left = [answer]

    def after(request: Request, reply: Reply) -> Answer | None:
        return left.pop() if left and called(request) == name else None

    fake = FakeS3("bucket", after=after)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert fs.put_if_absent("bucket/new", data) is True
    assert fake.objects["bucket", "new"].body == data
    assert not left


@pytest.mark.parametrize("answer", BUSY, ids=lambda answer: str(answer.status))
def test_a_write_that_was_never_answered_clearly_says_so(answer: Reply) -> None:
    fake = store(answer, "PutObject")
    with ScriptedServer(handler=fake) as server, pytest.raises(WriteOutcomeUnknownError) as caught:
        filesystem(server.url, max_attempts=2).pipe_file("bucket/new", b"1", mode="create")
    assert caught.value.maybe_applied


# --- conflicts ---

PARTS: list[tuple[str, Call]] = [
    ("CompleteMultipartUpload", lambda fs: fs.pipe_file("bucket/new", LARGE)),
    ("CompleteMultipartUpload", stream),
    ("CopyObject", lambda fs: fs.cp_file("bucket/old", "bucket/new")),
    ("DeleteObject", lambda fs: fs.rm_file("bucket/old")),
    ("PutObject", lambda fs: fs.pipe_file("bucket/new", b"1")),
    ("PutObjectTagging", lambda fs: fs.put_tags("bucket/old", {"a": "1"})),
]


@pytest.mark.parametrize("code", ["ObjectParentIsFile", "InvalidBucketState", ""])
@pytest.mark.parametrize(("name", "call"), PARTS, ids=ids)
def test_a_conflict_that_does_not_pass_is_told_at_once(name: str, call: Call, code: str) -> None:
    """No part is sent twice for it."""
    fake = store(s3_error(409, code) if code else respond(409), name)
    with ScriptedServer(handler=fake) as server, pytest.raises(ValueError) as caught:
        call(filesystem(server.url))
    assert isinstance(caught.value, GuardedS3Error) and not caught.value.maybe_applied
    assert sum(called(request) == name for request in server.requests) == 1
    assert sum(called(request) == "UploadPart" for request in server.requests) <= 3
    assert not fake.uploads


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted"])
@pytest.mark.parametrize(("name", "call"), PARTS, ids=ids)
def test_a_conflict_that_passes_is_asked_again(name: str, call: Call, code: str, tmp_path: Path) -> None:
    fake = store(s3_error(409, code), name)
    with ScriptedServer(handler=fake) as server, pytest.raises(ConflictError):
        call(filesystem(server.url, max_attempts=3))
    again = 1 if call is stream else 3  # a stream is not kept
    assert sum(called(request) == name for request in server.requests) == again


# --- credentials that may write and not look ---


@pytest.mark.parametrize("refused", [s3_error(403, "AccessDenied"), s3_error(400, "InvalidRequest")])
def test_a_look_that_only_informs_does_not_fail_a_write(refused: Reply) -> None:
    """Neither for credentials that may not read, nor for an object whose key is the customer's."""
    fake = FakeS3("bucket", fault=lambda request, _: refused if request.method in ("GET", "HEAD") else None)
    fake.put("bucket", "there", b"old")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        with fs.open("bucket/new", "xb") as file:
            file.write(b"1")
        with fs.open("bucket/text", "x") as file:
            file.write("1")
        with pytest.raises(FileExistsError), fs.open("bucket/there", "xb") as file:
            file.write(b"2")
        with pytest.raises(FileExistsError):
            fs.open("bucket/there", "xb").close()
        assert fs.put_if_absent("bucket/new", b"2") is False
        fs.pipe_file("bucket/large", LARGE, mode="create")
        fs.rm_file("bucket/text")
    assert {key: stored.body for (_, key), stored in fake.objects.items()} == {
        "new": b"1",
        "there": b"old",
        "large": LARGE,
    }


def test_missing_credentials_are_told_when_a_file_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when it is closed, after the work."""
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url, key=None, secret=None, profile=None)
        monkeypatch.setattr(fs._client.store.signer, "sign", _no_credentials)
        with pytest.raises(CredentialsError):
            fs.open("bucket/new", "xb")


def _no_credentials(*arguments: Any) -> Any:
    raise CredentialsError("there are none")


# --- a rival that keeps the metadata, and with it the write token -----------------------------------


def _created(fs: GuardedS3FileSystem) -> str:
    with fs.open("bucket/new", "xb") as file:
        file.write(b"mine")
    return str(file.etag)


def _swapped(fs: GuardedS3FileSystem) -> str:
    with fs.open("bucket/old", "wb", if_match=fs.info("bucket/old")["ETag"]) as file:
        file.write(b"mine")
    return str(file.etag)


def _streamed(fs: GuardedS3FileSystem) -> str:
    with fs.open("bucket/new", "wb") as file:
        file.write(LARGE)
    return str(file.etag)


TOLD: dict[str, Callable[[GuardedS3FileSystem], str]] = {
    "create": _created,
    "swap": _swapped,
    "parts": _streamed,
    "update": lambda fs: fs.update("bucket/old", lambda old: b"mine"),
}


@pytest.mark.parametrize("replacement", ["longer", "equally long", "the same bytes"])
@pytest.mark.parametrize("call", TOLD.values(), ids=TOLD)
def test_the_etag_of_whoever_replaced_ours_and_kept_its_token_is_not_told(
    call: Callable[[GuardedS3FileSystem], str], replacement: str
) -> None:
    """Else a swap with that ETag would overwrite the rival's object."""
    fake = FakeS3("bucket")
    fake.put("bucket", "old", b"old")
    fake.opaque_etags = True  # so ETags tell nothing of the bytes

    def rival(request: Request, reply: Reply) -> Answer | None:
        publishes = (request.method == "PUT" and not request.query) or request.method == "POST"
        if reply.status != 200 or not publishes or "uploads" in request.query:
            return None
        slot = ("bucket", request.path.rpartition("/")[2])
        ours = fake.objects[slot]
        body = {"longer": ours.body + b"!", "equally long": b"!" + ours.body[1:]}.get(replacement, ours.body)
        theirs = fake.put(*slot, body)
        fake.objects[slot] = replace(theirs, headers=ours.headers, crc32=crc32(body))
        return close()

    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fake.after = rival
        etag = call(fs)
        fake.after = None
        there = fs.info("bucket/old" if call in (_swapped, TOLD["update"]) else "bucket/new")["ETag"]
    assert etag == (there if replacement == "the same bytes" else "")
