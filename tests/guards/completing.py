"""Scenarios of multipart uploads, from the parts to Complete."""

from __future__ import annotations

from tests.fake_s3 import FakeS3
from tests.guards.creating import CONFLICT
from tests.guards.scenario import (
    BUCKET,
    KEY,
    LARGE,
    PATH,
    RIVAL,
    Client,
    Scenario,
    after,
    before,
    holding,
    new,
)
from tests.scripted_server import Request, close, s3_error

INTERNAL = s3_error(200, "InternalError")


def _create(client: Client) -> str:
    client.peer.create(PATH, new(LARGE))
    return "no error"


def _write(client: Client) -> str:
    with client.peer.write(PATH) as file:
        file.write(new(LARGE))
    return "no error"


def _taken_meanwhile() -> FakeS3:
    fake = FakeS3(BUCKET)

    def rival(request: Request) -> None:
        fake.put(BUCKET, KEY, RIVAL)

    return before(fake, ("Complete",), rival)


SCENARIOS = (
    Scenario(
        "multipart, the response of Complete is lost",
        lambda: after(holding(None), ("Complete",), lambda *_: close()),
        _write,
        "no error, published",
        whole=LARGE,
    ),
    Scenario(
        "multipart create, the response of Complete is lost",
        lambda: after(holding(None), ("Complete",), lambda *_: close()),
        _create,
        "no error, published",
        whole=LARGE,
    ),
    Scenario(
        "multipart create, a rival writes before Complete",
        _taken_meanwhile,
        _create,
        "FileExistsError, rival's object kept",
        whole=LARGE,
    ),
    Scenario(
        "multipart create, Complete answered 409 once",
        lambda: before(holding(None), ("Complete",), lambda _: CONFLICT),
        _create,
        "no error, published",
        whole=LARGE,
    ),
    Scenario(
        "streaming writer, Complete answered 409",
        lambda: before(holding(None), ("Complete",), lambda _: CONFLICT, times=None),
        _write,
        "ConflictError, nothing published",
        whole=LARGE,
    ),
    Scenario(
        "Complete answers 200 with an error, once",
        lambda: before(holding(None), ("Complete",), lambda _: INTERNAL),
        _write,
        "no error, published",
        whole=LARGE,
    ),
    Scenario(
        "Complete answers 200 with an error, always",
        lambda: before(holding(None), ("Complete",), lambda _: INTERNAL, times=None),
        _write,
        "ServerError, nothing published",
        whole=LARGE,
    ),
    Scenario(
        "a part is refused with 403",
        lambda: before(holding(None), ("UploadPart",), lambda _: s3_error(403, "AccessDenied"), times=None),
        _write,
        "PermissionError, nothing published",
        whole=LARGE,
    ),
)
