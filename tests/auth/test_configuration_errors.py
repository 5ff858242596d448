"""A wrong configuration is told, and never looks like an object that is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    AccessDeniedError,
    ConfigurationError,
    CredentialsError,
    GuardedS3FileSystem,
    ObjectNotFoundError,
    ProtocolError,
    ResponseError,
)
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, respond, s3_error

Look = Callable[[GuardedS3FileSystem], Any]
LOOKS: dict[str, Look] = {
    "cat": lambda fs: fs.cat("bucket/key"),
    "cat omit": lambda fs: fs.cat(["bucket/key", "bucket/other"], on_error="omit"),
    "exists": lambda fs: fs.exists("bucket/key"),
    "exists bucket": lambda fs: fs.exists("bucket"),
    "find": lambda fs: fs.find("bucket"),
    "glob": lambda fs: fs.glob("bucket/*"),
    "isdir": lambda fs: fs.isdir("bucket/dir"),
    "isdir bucket": lambda fs: fs.isdir("bucket"),
    "isfile": lambda fs: fs.isfile("bucket/key"),
    "ls": lambda fs: fs.ls("bucket"),
    "mapper get": lambda fs: fs.get_mapper("bucket").get("key", b"default"),
    "mapper in": lambda fs: "key" in fs.get_mapper("bucket"),
    "mapper getitems": lambda fs: fs.get_mapper("bucket").getitems(["key"], on_error="omit"),
    "open ab": lambda fs: fs.open("bucket/key", "ab"),
    "open rb": lambda fs: fs.open("bucket/key", "rb"),
    "open xb": lambda fs: fs.open("bucket/key", "xb"),
    "put_if_absent": lambda fs: fs.put_if_absent("bucket/key", b"1"),
    "rm": lambda fs: fs.rm("bucket/key"),
    "cat slice": lambda fs: fs.cat_file("bucket/key", 0, 5),
    "cat_ranges": lambda fs: fs.cat_ranges(["bucket/key"], [0], [5], on_error="raise"),
    "get_file": lambda fs: fs.get_file("bucket/key", "never-there"),
    "get": lambda fs: fs.get("bucket/key", "never-there"),
    "metadata": lambda fs: fs.metadata("bucket/key"),
    "get_tags": lambda fs: fs.get_tags("bucket/key"),
    "cp": lambda fs: fs.cp_file("bucket/key", "bucket/copy"),
    "update": lambda fs: fs.update("bucket/key", lambda old: old),
    "modified": lambda fs: fs.modified("bucket/key"),
    "walk": lambda fs: list(fs.walk("bucket")),
    "walk with a function": lambda fs: list(fs.walk("bucket", on_error=lambda error: None)),
}
every_look = pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)


def _no_bundle(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, Any]:
    return {"ca_bundle": str(folder / "gone.pem")}


def _no_bundle_of_the_environment(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, Any]:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(folder / "gone.pem"))
    return {}


def _bundle_without_certificates(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, Any]:
    (folder / "empty.pem").write_text("")
    return {"ca_bundle": str(folder / "empty.pem")}


def _no_client_certificate(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, Any]:
    return {"client_cert": str(folder / "gone.pem")}


WRONG = (
    _no_bundle,
    _no_bundle_of_the_environment,
    _bundle_without_certificates,
    _no_client_certificate,
)


@every_look
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_certificate_files_that_cannot_be_loaded(
    look: Look, wrong: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    options = wrong(monkeypatch, tmp_path)
    fs = filesystem("https://127.0.0.1:9", probe="never", **options)
    for _ in range(2):  # what failed once must not be there, half made, the second time
        with pytest.raises(ConfigurationError, match=r"storage option|AWS_CA_BUNDLE") as caught:
            look(fs)
        assert not isinstance(caught.value, (FileNotFoundError, IsADirectoryError, NotADirectoryError))


def test_certificate_file_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "gone.pem")
    with pytest.raises(ConfigurationError, match=r"storage option ca_bundle: .*gone\.pem.* cannot be loaded"):
        filesystem("https://127.0.0.1:9", ca_bundle=path).cat_file("bucket/key")


def test_a_wrong_configuration_is_no_answer_of_the_store_to_a_probe(tmp_path: Path) -> None:
    """Nothing is remembered of it: the same store by another filesystem is asked."""
    with ScriptedServer(handler=FakeS3("bucket"), tls=True) as server:
        wrong = filesystem(server.url, probe="auto", ca_bundle=str(tmp_path / "gone.pem"))
        for _ in range(2):
            with pytest.raises(ConfigurationError):
                wrong.put_if_absent("bucket/key", b"1")
            with pytest.raises(ConfigurationError):
                wrong.probe("bucket/key")
        assert filesystem(server.url, probe="auto", ca_bundle=server.ca_path).put_if_absent(
            "bucket/key", b"1"
        )


@pytest.fixture
def keyless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[GuardedS3FileSystem]:
    """A filesystem without credentials, at a store that would answer."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        yield GuardedS3FileSystem(
            endpoint_url=server.url, region="us-east-1", probe="never", skip_instance_cache=True
        )


@every_look
def test_missing_credentials(look: Look, keyless: GuardedS3FileSystem) -> None:
    with pytest.raises(CredentialsError):
        look(keyless)


# --- 404 that speaks of something else ---


def _answers(code: str) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        return respond(404) if request.method == "HEAD" else s3_error(404, code)

    return answer


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NoSuchVersion"])
def test_404_of_an_object_is_not_found(code: str) -> None:
    answer = s3_error(404, code)
    with ScriptedServer(handler=lambda request: answer) as server, pytest.raises(ObjectNotFoundError):
        filesystem(server.url).cat_file("bucket/key")


def test_404_without_a_document_is_not_found_where_the_store_lists() -> None:
    fake = FakeS3(
        "bucket", fault=lambda request, fake: respond(404) if request.path == "/bucket/key" else None
    )
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        with pytest.raises(ObjectNotFoundError):
            fs.cat_file("bucket/key")
        assert not fs.exists("bucket/key")


@pytest.mark.parametrize(
    ("code", "kind"),
    [("XAdminUserNotFound", AccessDeniedError), ("NoSuchEntity", ResponseError), ("Http404", ResponseError)],
)
@pytest.mark.parametrize(
    "look",
    [
        pytest.param(look, id=name)
        for name, look in LOOKS.items()
        if name not in ("open xb", "walk with a function")  # the write is refused; the function is told
    ],
)
def test_404_of_something_else_is_told(look: Look, code: str, kind: type[ResponseError]) -> None:
    """A user who is unknown, a page that is not there: nothing that speaks of the object."""
    with ScriptedServer(handler=_answers(code)) as server:
        fs = filesystem(server.url, probe="never")
        with pytest.raises(kind) as caught:
            look(fs)
        assert not isinstance(caught.value, FileNotFoundError)
        assert caught.value.code == code


PAGES = {
    "html": b"<!doctype html><html><body>Not found</body></html>",
    "text": b"default backend - 404",
    "json": b'{"message": "no Route matched with those values"}',
    "xml": b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>',
    "nothing": b"",
}


@pytest.mark.parametrize(
    ("look", "page"),
    [
        pytest.param(look, page, id=f"{name}-{page}")
        for name, look in LOOKS.items()
        for page in PAGES
        if name not in ("open xb", "walk with a function")
        and (page, name) != ("nothing", "get_tags")  # not found, an error
    ],
)
def test_404_of_a_gateway_is_told(look: Look, page: str) -> None:
    """Of a wrong path in the URL, say: no answer of it is S3's."""

    def answer(request: Request) -> Answer:
        return Reply(404, b"" if request.method == "HEAD" else PAGES[page])

    with ScriptedServer(handler=answer) as server:
        with pytest.raises(ResponseError, match=r"not S3's") as caught:
            look(filesystem(server.url + "/wrong"))
        assert type(caught.value) is ResponseError


@pytest.mark.parametrize(
    "call",
    [
        lambda fs: fs.cat_file("bucket/key"),
        lambda fs: fs.cat_file("bucket/key", 0, 5),
        lambda fs: fs.cat(["bucket/key", "bucket/other"], on_error="omit"),
        lambda fs: fs.pipe_file("bucket/key", b""),
        lambda fs: fs.put_if_absent("bucket/key", b""),
        lambda fs: fs.open("bucket/key", "wb").close(),
        lambda fs: fs.get_mapper("bucket").get("key", b"default"),
    ],
    ids=["cat_file", "slice", "omit", "pipe_file", "put_if_absent", "open", "mapper"],
)
def test_an_empty_404_of_a_gateway_is_told_when_a_store_has_answered_before(call: Look) -> None:
    """A route that is taken down meanwhile: what is read and written there is not missing."""
    fake = FakeS3("bucket")
    fake.put("bucket", "key", b"data")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert fs.cat_file("bucket/key") == b"data"
        fake.fault = lambda request, fake: Reply(404)
        with pytest.raises(ResponseError, match=r"not S3's") as caught:
            call(fs)
        assert type(caught.value) is ResponseError


@pytest.mark.parametrize("page", PAGES)
def test_200_of_a_gateway_is_no_bucket(page: str) -> None:
    def answer(request: Request) -> Answer:
        return Reply(200, b"" if request.method == "HEAD" else PAGES[page])

    with ScriptedServer(handler=answer) as server:
        fs = filesystem(server.url, max_attempts=1)
        for look in (fs.exists, fs.isdir, fs.info):
            with pytest.raises(ProtocolError):
                look("bucket")


@pytest.mark.parametrize("listed", [None, s3_error(403, "AccessDenied"), s3_error(404, "NoSuchBucket")])
def test_a_store_that_says_little_of_a_bucket_is_one(listed: Answer | None) -> None:
    """Whatever it answers to a listing, as long as it is of a store; one without a bucket has none."""

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return Reply(200) if request.method == "HEAD" else listed

    with ScriptedServer(handler=FakeS3("bucket", fault=fault)) as server:
        assert filesystem(server.url).exists("bucket")


def test_a_walk_leaves_out_what_may_not_be_listed_below_and_nothing_else() -> None:
    refused: dict[str, Answer] = {}

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return refused.get(request.query.get("prefix", ""))

    fake = FakeS3("bucket", fault=fault)
    for key in ("a/b/1", "a/c/2"):
        fake.put("bucket", key, b"")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_attempts=1)
        refused["a/b/"] = denied = s3_error(403, "AccessDenied")
        assert [name for name, _, _ in fs.walk("bucket/a")] == ["bucket/a", "bucket/a/c"]
        for where, answer in (("a/b/", s3_error(503, "SlowDown")), ("a/b/", respond(404)), ("a/", denied)):
            refused[where] = answer
            with pytest.raises(ResponseError):
                list(fs.walk("bucket/a"))
        assert list(fs.walk("bucket/missing")) == []
