"""A directory bucket of S3 Express on a socket: it gives sessions, and takes nothing without them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, respond

BUCKET = "mine--use1-az4--x-s3"


def session(number: int, lifetime: float = 300.0) -> bytes:
    """What CreateSession answers."""
    ends = (datetime.now(timezone.utc) + timedelta(seconds=lifetime)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f"<CreateSessionResult><Credentials><SessionToken>hush-token-{number}</SessionToken>"
        f"<SecretAccessKey>hush-secret-{number}</SecretAccessKey><AccessKeyId>SESSION{number}</AccessKeyId>"
        f"<Expiration>{ends}</Expiration></Credentials></CreateSessionResult>"
    ).encode()


class Directory:
    """A directory bucket: gives sessions, and takes none of its other requests without the last of them."""

    def __init__(self, lifetime: float = 300.0, fake: FakeS3 | None = None) -> None:
        self.fake = FakeS3(BUCKET) if fake is None else fake
        self.asked: list[Request] = []
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
        self.asked.append(request)
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
def directory(
    lifetime: float = 300.0, fake: FakeS3 | None = None, **options: Any
) -> Iterator[tuple[GuardedS3FileSystem, Directory]]:
    """A filesystem on such a bucket, and the bucket."""
    store = Directory(lifetime, fake)
    with ScriptedServer(handler=store) as server:
        yield filesystem(server.url, token="hush-own-token", **options), store
