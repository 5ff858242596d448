"""Directory buckets of S3 Express: sessions that sign, and what these buckets do otherwise than others."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.config
import botocore.session
import pytest

from fsspec_guarded_s3 import AccessDeniedError, GuardedS3FileSystem, ObjectExistsError, _forks
from fsspec_guarded_s3._s3 import xml_answers
from fsspec_guarded_s3._s3.express import Sessions
from fsspec_guarded_s3._values.models import SessionCredentials
from fsspec_guarded_s3.errors import ProtocolError
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, respond, s3_error

BUCKET = "mine--use1-az4--x-s3"


def session(number: int, lifetime: float = 300.0) -> bytes:
    ends = (datetime.now(timezone.utc) + timedelta(seconds=lifetime)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f"<CreateSessionResult><Credentials><SessionToken>hush-token-{number}</SessionToken>"
        f"<SecretAccessKey>hush-secret-{number}</SecretAccessKey><AccessKeyId>SESSION{number}</AccessKeyId>"
        f"<Expiration>{ends}</Expiration></Credentials></CreateSessionResult>"
    ).encode()


class Directory:
    """A directory bucket: gives sessions, and takes none of its other requests without the last of them."""

    def __init__(self, lifetime: float = 300.0) -> None:
        self.fake = FakeS3(BUCKET)
        self.lifetime = lifetime
        self.sessions = 0
        self.refused: list[Answer] = []

    def __call__(self, request: Request) -> Answer:
        signed = request.headers["authorization"]
        assert "/us-east-1/s3express/aws4_request" in signed
        if "session" in request.query:
            assert "Credential=k/" in signed
            self.sessions += 1
            now = format_datetime(datetime.now(timezone.utc), usegmt=True)
            return respond(200, session(self.sessions, self.lifetime), headers={"Date": now})
        if self.refused:
            return self.refused.pop()
        token = request.headers["x-amz-s3session-token"]
        assert token == f"hush-token-{self.sessions}"
        assert f"Credential=SESSION{self.sessions}/" in signed
        assert "x-amz-s3session-token" in signed
        assert "x-amz-security-token" not in request.headers
        self._check(request)
        return self.fake(request)

    @staticmethod
    def _check(request: Request) -> None:
        """What the documentation says about requests to directory buckets."""
        assert "content-md5" not in request.headers
        if request.method == "GET" and {"list-type", "uploads"} & set(request.query):
            prefix = request.query.get("prefix", "")
            assert not prefix or prefix.endswith("/")
            assert request.query.get("delimiter", "/") == "/"


@contextmanager
def directory(lifetime: float = 300.0, **options: Any) -> Iterator[tuple[GuardedS3FileSystem, Directory]]:
    store = Directory(lifetime)
    with ScriptedServer(handler=store) as server:
        yield filesystem(server.url, token="hush-own-token", **options), store


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
    began = time.monotonic()
    assert [sessions.of(name, create).access_key for name in ("one", "two", "one")] == ["one", "two", "one"]
    assert asked == ["one", "two"]
    assert sessions.forget("one") and not sessions.forget("one")
    sessions.of("one", create)
    sessions.of("two", create, least=300 - (time.monotonic() - began) + 1)
    assert asked == ["one", "two", "one", "two"]


def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent() -> None:
    """Which held the lock when the process was copied, and is not there to release it."""
    sessions = Sessions()
    made = SessionCredentials("k", "s", "t", 300)
    with sessions._lock(), ThreadPoolExecutor(1) as pool:
        _forks._after_fork()  # what os.register_at_fork calls in the child
        assert pool.submit(sessions.of, "one", lambda bucket: made).result(timeout=10) == made
