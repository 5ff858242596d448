"""Directory buckets of S3 Express: sessions that sign, and what these buckets do otherwise than others."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.config
import botocore.session
import fsspec
import pytest

from fsspec_guarded_s3 import (
    AccessDeniedError,
    GuardedS3Error,
    GuardedS3FileSystem,
    ObjectExistsError,
    _forks,
)
from fsspec_guarded_s3._s3 import xml_answers
from fsspec_guarded_s3._s3.express import Sessions
from fsspec_guarded_s3._values.models import SessionCredentials
from fsspec_guarded_s3.errors import InvalidRequestError, ProtocolError
from tests.directory_bucket import BUCKET, directory, session
from tests.documents import DOCS, python_blocks
from tests.fake_s3 import CRC32, FakeS3, S3Error
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, respond, s3_error


def test_the_page_about_them_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line of Python of docs/express.md, which needs nothing else."""
    with directory() as (fs, _):
        made: list[str] = []

        def filesystem_of(protocol: str) -> GuardedS3FileSystem:
            made.append(protocol)
            return fs

        monkeypatch.setattr(fsspec, "filesystem", filesystem_of)
        space: dict[str, Any] = {}
        for block in python_blocks((DOCS / "express.md").read_text()):
            exec(compile(block.replace("my-data--use1-az4--x-s3", BUCKET), "express.md", "exec"), space)
        assert made == ["gs3"]
        assert space["names"] == [f"{BUCKET}/done/a.csv", f"{BUCKET}/hello.txt"]
        assert space["log"] == b"one\ntwo\n"


@pytest.mark.parametrize("size", [4, 11 * MIB])
@pytest.mark.parametrize("status", [400, 501])
def test_a_refused_crc_is_not_replaced_by_an_md5_which_they_do_not_take(status: int, size: int) -> None:
    """The body would go unchecked. `directory` refuses a Content-MD5."""
    fake = FakeS3(BUCKET)
    code = "InvalidArgument" if status == 400 else "NotImplemented"
    fake.unknown_headers = {CRC32: S3Error(status, code, f"Unsupported header '{CRC32}'")}
    parts = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}
    with directory(fake=fake, max_attempts=2, **parts) as (fs, store):
        with pytest.raises(InvalidRequestError, match=CRC32):
            fs.pipe_file(f"{BUCKET}/key", bytes(size))
        bodies = [request for request in store.asked if request.body and request.method == "PUT"]
        assert bodies and all(CRC32 in request.headers for request in bodies)
    assert not fake.objects


def test_what_goes_with_a_crc_may_be_left_out() -> None:
    fake = FakeS3(BUCKET)
    fake.unknown_headers = {"x-amz-sdk-checksum-algorithm": S3Error(501, "NotImplemented", "no such header")}
    with directory(fake=fake) as (fs, store):
        fs.pipe_file(f"{BUCKET}/key", b"content")
        assert all(CRC32 in request.headers for request in store.asked if request.body)
    assert fake.objects[BUCKET, "key"].body == b"content"


def test_one_session_signs_all_requests() -> None:
    """Also those of several threads that begin together."""
    with directory() as (fs, store):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: fs.pipe_file(f"{BUCKET}/d/{n}", b"content"), range(8)))
        assert fs.cat_file(f"{BUCKET}/d/3") == b"content"
        assert store.sessions == 1


def test_a_session_is_renewed_before_it_ends() -> None:
    """A request signed with one that ends on its way would fail."""
    with directory(lifetime=30) as (fs, store):
        fs.pipe_file(f"{BUCKET}/key", b"content")
        before = store.sessions
        assert fs.cat_file(f"{BUCKET}/key") == b"content"
        assert store.sessions > before >= 1


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken"])
def test_a_session_that_is_refused_is_replaced_once(code: str) -> None:
    with directory() as (fs, store):
        fs.pipe_file(f"{BUCKET}/key", b"content")
        store.refused = [s3_error(400, code)]
        assert fs.cat_file(f"{BUCKET}/key") == b"content"
        assert store.sessions == 2
        store.refused = [s3_error(400, code), s3_error(400, code)]
        with pytest.raises(AccessDeniedError):
            fs.cat_file(f"{BUCKET}/key")


def test_a_session_that_is_denied_leaves_the_write_unsent() -> None:
    """The error names CreateSession, and nothing was applied."""
    with ScriptedServer(handler=lambda request: s3_error(403, "AccessDenied")) as server:
        with pytest.raises(AccessDeniedError) as caught:
            filesystem(server.url).pipe_file(f"{BUCKET}/key", b"content", mode="create")
        methods = {request.method for request in server.requests}
    assert (caught.value.operation, caught.value.maybe_applied) == ("CreateSession", False)
    assert methods == {"GET"}


def test_an_anonymous_request_has_no_session() -> None:
    fake = FakeS3(BUCKET)
    fake.put(BUCKET, "key", b"content")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, key=None, secret=None, anon=True)
        assert fs.cat_file(f"{BUCKET}/key") == b"content"
        assert not [request for request in server.requests if "session" in request.query]


def test_reading_and_conditional_writing_work_as_in_other_buckets() -> None:
    """ETags are compared and never computed: here they are no MD5s. In parts too."""
    with directory(part_size=5 * MIB, multipart_threshold=5 * MIB) as (fs, store):
        path = f"{BUCKET}/d/key"
        fs.pipe_file(path, b"one", mode="create")
        with pytest.raises(ObjectExistsError):
            fs.pipe_file(path, b"two", mode="create")
        fs.update(path, lambda old: old + b" more")
        assert fs.cat_file(path) == b"one more"
        data = bytes(range(256)) * (6 * MIB // 256)
        fs.pipe_file(f"{BUCKET}/big", data, mode="create")
        assert fs.cat_file(f"{BUCKET}/big") == data
        fs.cp_file(path, f"{BUCKET}/copy")
        assert fs.info(f"{BUCKET}/copy")["size"] == 8
        assert store.sessions == 1


def test_listings_ask_for_prefixes_that_end_with_a_slash() -> None:
    """Directory buckets take no others; what does not begin so is left out here."""
    with directory() as (fs, store):
        for key in ("a/one", "a/other", "a/two", "b"):
            store.fake.put(BUCKET, key, b"content")
        assert fs.find(f"{BUCKET}/a", prefix="o") == [f"{BUCKET}/a/one", f"{BUCKET}/a/other"]
        assert fs.glob(f"{BUCKET}/a/o*") == [f"{BUCKET}/a/one", f"{BUCKET}/a/other"]
        assert fs.ls(BUCKET, detail=False) == [f"{BUCKET}/a", f"{BUCKET}/b"]
        assert fs.list_uploads(f"{BUCKET}/a/one") == []


def test_uploads_are_listed_by_the_key_marker_alone() -> None:
    """Directory buckets know no other, and theirs is no key."""
    upload = "<Upload><Key>a/{0}</Key><UploadId>u{0}</UploadId></Upload>"
    first = upload.format(1) + (
        "<IsTruncated>true</IsTruncated><NextKeyMarker>opaque</NextKeyMarker>"
        "<NextUploadIdMarker></NextUploadIdMarker>"
    )
    pages = [upload.format(2), first]
    asked: list[Request] = []

    def handler(request: Request) -> Answer:
        if "session" in request.query:
            return respond(200, session(1))
        asked.append(request)
        body = f"<ListMultipartUploadsResult>{pages.pop()}</ListMultipartUploadsResult>"
        return respond(200, body.encode())

    with ScriptedServer(handler=handler) as server:
        found = filesystem(server.url)._client.multipart.list_multipart_uploads(BUCKET, "a/")
    assert [upload.key for upload in found] == ["a/1", "a/2"]
    assert asked[1].query["key-marker"] == "opaque"
    assert "upload-id-marker" not in asked[1].query


def test_removing_names_a_crc_and_no_md5() -> None:
    with directory() as (fs, store):
        for key in ("a/one", "a/two"):
            store.fake.put(BUCKET, key, b"content")
        fs.rm(f"{BUCKET}/a", recursive=True)
        assert fs.find(BUCKET) == []


@pytest.mark.parametrize("verb", ["mkdir", "rmdir"])
def test_buckets_are_not_made_here(verb: str) -> None:
    """Their endpoint and their rules are others; the error says where to make them."""
    with directory() as (fs, store):
        if verb == "mkdir":
            store.refused = [respond(404)]
        with pytest.raises(ValueError, match="console"):
            getattr(fs, verb)(BUCKET)


def test_a_url_carries_the_session_and_lives_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """As botocore makes it: query, token and signature."""
    with directory() as (fs, store):
        store.fake.put(BUCKET, "a b", b"content")
        url = fs.sign(f"{BUCKET}/a b", expiration=200)
        query = parse_qs(urlsplit(url).query)
        assert query["X-Amz-S3session-Token"] == ["hush-token-1"]
        assert query["X-Amz-Expires"] == ["200"]
        assert "X-Amz-Security-Token" not in query
        with pytest.raises(ValueError, match="at most 300"):
            fs.sign(f"{BUCKET}/a b", expiration=301)
        root = url.partition(f"/{BUCKET}")[0]
        client = botocore.session.Session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=root,
            aws_access_key_id="k",
            aws_secret_access_key="s",
            config=botocore.config.Config(s3={"addressing_style": "path"}),
        )
        theirs = client.generate_presigned_url(
            "get_object", Params={"Bucket": BUCKET, "Key": "a b"}, ExpiresIn=200
        )
        asked = parse_qs(urlsplit(theirs).query)
        token, date = asked["X-Amz-S3session-Token"][0], asked["X-Amz-Date"][0]
        number = int(token.rpartition("-")[2])
        signer = fs._client.store.signer
        monkeypatch.setattr(type(signer), "_timestamp", lambda self: date)
        credentials = SessionCredentials(f"SESSION{number}", f"hush-secret-{number}", token, 300)
        request = signer.request_of("get_object", fs._paths.object(f"{BUCKET}/a b"), {})
        ours = signer.presign(request, 200, credentials)
        assert urlsplit(ours)[:3] == urlsplit(theirs)[:3]
        assert parse_qs(urlsplit(ours).query) == asked


def test_a_session_is_shown_nowhere() -> None:
    with directory() as (fs, _):
        fs.pipe_file(f"{BUCKET}/key", b"content")
        sessions = fs._client.store.sessions
        session = sessions.of(BUCKET, fs._client._exchange.create_session)
        shown = f"{sessions!r} {session!r} {fs!r} {fs._client!r}"
    assert BUCKET in shown
    assert "hush" not in shown and "SESSION" not in shown


def test_the_life_of_a_session_is_counted_by_the_stores_clock() -> None:
    """This machine's may be off; without a Date it is five minutes."""
    body = session(1, lifetime=3600 + 200)
    there = format_datetime(datetime.now(timezone.utc) + timedelta(hours=1), usegmt=True)
    assert 195 < xml_answers.parse_session(body, there).lifetime < 205
    assert xml_answers.parse_session(body, "yesterday").lifetime == 300
    with pytest.raises(ProtocolError, match="without credentials"):
        xml_answers.parse_session(b"<CreateSessionResult/>", "")


def test_sessions_are_kept_per_bucket() -> None:
    asked: list[str] = []

    def create(bucket: str) -> SessionCredentials:
        asked.append(bucket)
        return SessionCredentials(bucket, "s", "t", 300)

    sessions = Sessions()
    assert [sessions.of(name, create).access_key for name in ("one", "two", "one")] == ["one", "two", "one"]
    assert asked == ["one", "two"]
    assert sessions.forget("one") and not sessions.forget("one")
    sessions.of("one", create)
    left = sessions._open["two"].ends - time.monotonic()
    sessions.of("two", create, least=left + 1)
    assert asked == ["one", "two", "one", "two"]


def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent() -> None:
    """Which held the lock when the process was copied, and is not there to release it."""
    sessions = Sessions()
    made = SessionCredentials("k", "s", "t", 300)
    with sessions._lock(), ThreadPoolExecutor(1) as pool:
        _forks._after_fork()  # what os.register_at_fork calls in the child
        assert pool.submit(sessions.of, "one", lambda bucket: made).result(timeout=10) == made


WITHOUT_SESSIONS: dict[str, Answer] = {
    "versitygw": s3_error(400, "AuthorizationHeaderMalformed", 'incorrect service "s3express"'),
    "a signature": s3_error(403, "SignatureDoesNotMatch", "the signatures differ"),
    "no operation": s3_error(501, "NotImplemented", "not implemented"),
    "no key": s3_error(404, "NoSuchKey", "no such key"),
    "a listing": respond(200, b"<ListBucketResult><Name>b</Name></ListBucketResult>"),
}


@pytest.mark.parametrize("answer", WITHOUT_SESSIONS)
@pytest.mark.parametrize("bucket", ["name--x-s3", "point--use1-az1--xa-s3"])
@pytest.mark.parametrize("verb", ["ls", "pipe_file"])
def test_a_store_without_sessions_is_told_why_one_was_asked_for(answer: str, bucket: str, verb: str) -> None:
    fake = FakeS3(bucket)
    fake.fault = lambda request, fake: WITHOUT_SESSIONS[answer] if "session" in request.query else None
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_attempts=1)
        with pytest.raises(
            GuardedS3Error, match=r"name of S3 Express .*: give the bucket another name"
        ) as caught:
            getattr(fs, verb)(f"{bucket}/k", *((b"1",) if verb == "pipe_file" else ()))
    assert "region" not in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("verb", ["mkdir", "rmdir"])
def test_a_bucket_that_only_aws_can_make_is_not_made_elsewhere(verb: str) -> None:
    with ScriptedServer(handler=FakeS3("name--x-s3")) as server:
        fs = filesystem(server.url, create_buckets=True)
        with pytest.raises(
            ValueError, match=r"name of a directory bucket .*: in another store, take another name"
        ):
            getattr(fs, verb)("new--x-s3" if verb == "mkdir" else "name--x-s3")


@pytest.mark.parametrize(
    "answer", [s3_error(404, "NoSuchBucket"), s3_error(503, "SlowDown"), s3_error(403, "InvalidAccessKeyId")]
)
def test_what_says_something_else_of_a_session_stays(answer: Answer) -> None:
    fake = FakeS3(BUCKET)
    fake.fault = lambda request, fake: answer if "session" in request.query else None
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_attempts=1)
        with pytest.raises(GuardedS3Error) as caught:
            fs.cat_file(f"{BUCKET}/k")
    assert "S3 Express" not in str(caught.value)
