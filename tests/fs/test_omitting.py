"""What cannot be read is never left out as if it were not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fsspec
import pytest

from fsspec_guarded_s3 import AccessDeniedError, GuardedS3FileSystem, ServerError, TransportError
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, close, respond, s3_error

Verb = Callable[[GuardedS3FileSystem], dict[str, Any]]
KEYS = ["there", "missing", "bad"]
VERBS: dict[str, Verb] = {
    "cat": lambda fs: fs.cat([f"bucket/{key}" for key in KEYS], on_error="omit"),
    "getitems": lambda fs: fs.get_mapper("bucket").getitems(KEYS, on_error="omit"),
    "getitems of fsspec": lambda fs: fsspec.FSMap("bucket", fs).getitems(KEYS, on_error="omit"),
}
FAILURES: dict[str, tuple[Answer, type[Exception]]] = {
    "403": (s3_error(403, "AccessDenied"), AccessDeniedError),
    "archived": (s3_error(403, "InvalidObjectState"), AccessDeniedError),
    "503": (s3_error(503, "SlowDown"), OSError),
    "500": (s3_error(500, "InternalError"), ServerError),
    "no answer": (close(), TransportError),
    "a page": (respond(200, b"<html>Sign in</html>", headers={"content-type": "text/html"}), OSError),
    "404 of a user": (s3_error(404, "XAdminUserNotFound"), AccessDeniedError),
}
every_verb = pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)


def store(answer: Answer | None) -> ScriptedServer:
    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return answer if request.path == "/bucket/bad" else None

    fake = FakeS3("bucket", fault=fault)
    fake.put("bucket", "there", b"1")
    return ScriptedServer(handler=fake)


@every_verb
@pytest.mark.parametrize("failure", FAILURES)
def test_what_cannot_be_read_is_an_error(verb: Verb, failure: str) -> None:
    answer, kind = FAILURES[failure]
    with store(answer) as server:
        fs = filesystem(server.url, max_attempts=1)
        with pytest.raises(kind) as caught:
            verb(fs)
        assert not isinstance(caught.value, (KeyError, FileNotFoundError))
        found = fs.get_mapper("bucket").getitems(KEYS, on_error="return")
        assert found["there"] == b"1" and isinstance(found["missing"], KeyError)
        assert isinstance(found["bad"], kind)


@every_verb
def test_what_is_not_there_is_left_out(verb: Verb) -> None:
    with store(None) as server:
        assert list(verb(filesystem(server.url)).values()) == [b"1"]


def test_mappers_of_other_filesystems_are_what_they_were() -> None:
    class Failing(fsspec.get_filesystem_class("memory")):  # type: ignore[misc]
        cachable = False

        def cat_file(self, *args: Any, **kwargs: Any) -> bytes:
            raise PermissionError

    assert fsspec.FSMap("", Failing()).getitems(["a"], on_error="omit") == {}
