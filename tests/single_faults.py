"""One fault at a request that is named by its S3 operation, and which requests a server saw of it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.fake_s3 import FakeS3
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries wait, but not for long."""
    monkeypatch.setattr("fsspec_guarded_s3._s3.retry.BASE_SECONDS", 0.001)
    monkeypatch.setattr("fsspec_guarded_s3._s3.retry.THROTTLED_BASE_SECONDS", 0.001)
    monkeypatch.setattr("fsspec_guarded_s3._s3.rates.FIRST_RATE", 1000.0)
    monkeypatch.setattr("fsspec_guarded_s3._s3.rates.MIN_RATE", 1000.0)
    monkeypatch.setattr("fsspec_guarded_s3._s3.rates.HOLD_SECONDS", 0.001)


def operation(request: Request) -> str:
    """The S3 operation that a request to a key asks for."""
    if "uploadId" in request.query:
        return {"PUT": "UploadPart", "POST": "Complete", "DELETE": "Abort", "GET": "ListParts"}[
            request.method
        ]
    if request.method == "POST":
        return "CreateMultipartUpload"
    return request.method


def named(server: ScriptedServer, name: str) -> list[Request]:
    """The requests of one operation that the server saw."""
    return [request for request in server.requests if operation(request) == name]


def once(name: str, answer: Answer) -> Callable[[Request, FakeS3], Answer | None]:
    """A fault: the first request of that operation gets `answer` and is not applied."""
    left = iter([answer])  # in one step: requests come in several threads

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return next(left, None) if operation(request) == name else None

    return fault


def always(name: str, answer: Answer) -> Callable[[Request, FakeS3], Answer | None]:
    """A fault: no request of that operation is applied."""
    return lambda request, fake: answer if operation(request) == name else None


def lose(name: str) -> Callable[[Request, Reply], Answer | None]:
    """The first request of that operation is applied and its response lost."""
    left = iter([close()])
    return lambda request, reply: next(left, None) if operation(request) == name else None


def changed(name: str, **fields: str | None) -> Callable[[Request, Reply], Answer | None]:
    """Responses of that operation get other header fields; None takes one away."""

    def after(request: Request, reply: Reply) -> Answer | None:
        if operation(request) != name or reply.status >= 300:
            return None
        replaced = {key.replace("_", "-"): value for key, value in fields.items()}
        headers = {key: value for key, value in reply.headers.items() if key.lower() not in replaced}
        headers |= {key: value for key, value in replaced.items() if value is not None}
        return replace(reply, headers=headers)

    return after


def is_probe(request: Request) -> bool:
    """Whether a request is of the trials by which guards are found out."""
    return ".gs3-probe-" in request.target or b".gs3-probe-" in request.body
