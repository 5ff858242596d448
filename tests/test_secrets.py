"""Credentials are in nothing that is shown, logged, raised or stored, unless it is asked for by name."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import fsspec
import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3.options import Options
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer, close, s3_error

KEY, SECRET, TOKEN = "AKIAVERYSPECIALKEY", "hush-secret/+=", "hush-session-token"
CREDENTIALS = {"key": KEY, "secret": SECRET, "token": TOKEN}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", b"body")
    with ScriptedServer(handler=fake) as server:
        yield server


def assert_silent(shown: Any) -> None:
    """Neither in clear nor as JSON, a pickle or a URL would write it."""
    text = shown if isinstance(shown, str) else repr(shown)
    data = text.encode() + (shown if isinstance(shown, bytes) else b"")
    for secret in (SECRET, TOKEN, "hush-secret%2F", "hush-session"):
        assert secret.encode() not in data


SHOWN: dict[str, Callable[[GuardedS3FileSystem], Any]] = {
    "repr": repr,
    "str": str,
    "options": lambda fs: repr(fs._options),
    "client": lambda fs: repr([vars(fs._client), vars(fs._client.store)]),
    "signer": lambda fs: repr(vars(fs._client.store.signer)),
    "transport": lambda fs: repr(vars(fs._client.store.transport)),
    "to_json": lambda fs: fs.to_json(),
    "to_dict": lambda fs: fs.to_dict(),
    "token": lambda fs: fs._fs_token,
    "hash": hash,
    "info": lambda fs: fs.info("bucket/key"),
    "ls": lambda fs: fs.ls("bucket"),
    "reader": lambda fs: repr(fs.open("bucket/key")),
    "writer": lambda fs: repr(fs.open("bucket/new", "wb")),
    "mapper": lambda fs: repr(fs.get_mapper("bucket")),
    "open file": lambda fs: repr(fsspec.core.OpenFile(fs, "bucket/key")),
    "transaction": lambda fs: repr(fs.transaction),
    "glob": lambda fs: fs.glob("bucket/*", detail=True),
    "tree": lambda fs: fs.tree("bucket"),
    "dask's token": lambda fs: fs.__dask_tokenize__(),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", SHOWN)
def test_nothing_shown_holds_a_secret(server: ScriptedServer, name: str) -> None:
    assert_silent(SHOWN[name](filesystem(server.url, **CREDENTIALS)))


def test_what_is_asked_for_by_name_has_them_and_works(server: ScriptedServer) -> None:
    """A pickle and `include_password=True` open the same store elsewhere."""
    fs = filesystem(server.url, **CREDENTIALS)
    assert json.loads(fs.to_json(include_password=True))["secret"] == SECRET
    assert fs.to_dict(include_password=True)["token"] == TOKEN
    assert pickle.loads(pickle.dumps(fs))._options.secret == SECRET


def test_without_credentials_json_still_opens_the_same_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    fs = filesystem("http://127.0.0.1:1", **CREDENTIALS, part_size=6 * 2**20)
    clone = fsspec.AbstractFileSystem.from_json(fs.to_json())
    assert clone._options.endpoint_url == "http://127.0.0.1:1"
    assert clone._options.part_size == 6 * 2**20
    assert clone._client.store.signer._session.frozen().access_key == KEY


def test_a_token_does_not_depend_on_the_secret() -> None:
    """Not even a hash of it is given away."""
    tokens = {
        filesystem("http://127.0.0.1:1", **{**CREDENTIALS, "secret": secret})._fs_token
        for secret in (SECRET, "another")
    }
    assert len(tokens) == 1


def test_names_of_s3fs_are_hidden_too(server: ScriptedServer) -> None:
    pair = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "aws_session_token": TOKEN}
    fs = GuardedS3FileSystem(
        client_kwargs={"endpoint_url": server.url, "region_name": "us-east-1", **pair},
        skip_instance_cache=True,
    )
    assert fs.cat_file("bucket/key") == b"body"
    for shown in (fs.to_json(), fs.to_dict(), repr(fs), fs._fs_token):
        assert_silent(shown)


def test_a_customers_encryption_key_is_hidden_too(server: ScriptedServer) -> None:
    given = {"SSECustomerKey": "hush-secret/+=" + "k" * 18, "SSECustomerAlgorithm": "AES256"}
    fs = filesystem(server.url, s3_additional_kwargs=given)
    for shown in (repr(fs), repr(fs._options), repr(fs._client), fs.to_json(), fs.to_dict(), fs._fs_token):
        assert_silent(shown)
        assert base64.b64encode(b"hush-secret")[:12].decode() not in repr(shown)


@pytest.mark.parametrize("how", ["environment", "file"])
def test_what_comes_from_elsewhere_is_in_no_pickle(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    """Each process finds its own."""
    if how == "environment":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    else:
        (tmp_path / "credentials").write_text(
            f"[default]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\naws_session_token={TOKEN}\n"
        )
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    fs = GuardedS3FileSystem(endpoint_url=server.url, region="us-east-1", skip_instance_cache=True)
    with fs.open("bucket/key") as reader:
        assert reader.read() == b"body"
        for thing in (fs, reader, fs.info("bucket/key"), fs.get_mapper("bucket")):
            assert_silent(pickle.dumps(thing))
            assert_silent(pickle.dumps(thing, protocol=0))


FAILURES: dict[str, tuple[Any, dict[str, Any]]] = {
    "404": (lambda request, _: s3_error(404, "NoSuchKey"), {}),
    "403": (lambda request, _: s3_error(403, "SignatureDoesNotMatch"), {}),
    "expired": (lambda request, _: s3_error(400, "ExpiredToken"), {}),
    "500": (lambda request, _: s3_error(500, "InternalError"), {}),
    "closed": (lambda request, _: close(), {}),
    "refused": (None, {"endpoint_url": "http://127.0.0.1:1"}),
}


@pytest.mark.parametrize("verb", ["cat_file", "info", "pipe_file", "ls", "rm", "get_file", "cp_file", "open"])
@pytest.mark.parametrize("name", FAILURES)
def test_no_error_and_no_log_shows_them(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, tmp_path: Path, name: str, verb: str
) -> None:
    """Message, chain, traceback with the locals of every frame, pickle, and all loggers at DEBUG."""
    caplog.set_level(logging.DEBUG)
    fault, more = FAILURES[name]
    server._handler.fault = fault  # type: ignore[union-attr]
    fs = filesystem(**{"url": server.url, **CREDENTIALS, "max_attempts": 2})
    if more:
        fs = GuardedS3FileSystem(**CREDENTIALS, **more, region="us-east-1", max_attempts=2, probe="never")
    arguments = {"pipe_file": (b"x",), "get_file": (str(tmp_path / "f"),), "cp_file": ("bucket/copy",)}
    with pytest.raises(OSError) as caught:
        getattr(fs, verb)("bucket/key", *arguments.get(verb, ()))
    error = caught.value
    assert_silent("".join(traceback.format_exception(error)))
    assert_silent("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
    assert_silent(pickle.dumps(error))
    assert_silent(repr(vars(error)))
    assert caplog.records or name in ("404", "403", "expired")  # which nobody tries again
    assert_silent("\n".join(logging.Formatter().format(record) for record in caplog.records))


def test_options_that_are_refused_are_not_shown() -> None:
    for wrong in ({"token": None, "anon": 1}, {"secret": None}, {"part_size": 1}, {"secrett": SECRET}):
        with pytest.raises((TypeError, ValueError)) as caught:
            Options.parse({**CREDENTIALS, **wrong})
        assert_silent("".join(traceback.format_exception(caught.value)))


def test_a_signed_url_has_a_signature_and_no_secret(server: ScriptedServer) -> None:
    """The session token has to be in it (SigV4, query parameters); the secret never is."""
    url = filesystem(server.url, key=KEY, secret=SECRET).sign("bucket/key")
    assert_silent(url)
    assert "X-Amz-Signature=" in url


@pytest.mark.parametrize("key", [bytes(range(224, 256)), "0123456789abcdef0123456789abcdef"])
def test_a_customers_key_comes_back_from_json_or_is_missed(key: bytes | str) -> None:
    """A filesystem without it would write objects without encryption."""
    fs = GuardedS3FileSystem(
        endpoint_url="http://127.0.0.1:9",
        s3_additional_kwargs={"SSECustomerKey": key, "StorageClass": "STANDARD_IA"},
        skip_instance_cache=True,
    )
    kept = fs.to_json(include_password=True)
    again = cast("GuardedS3FileSystem", GuardedS3FileSystem.from_json(kept))
    assert again._options == fs._options
    shown = fs.to_json()
    assert str(key) not in shown and str(list(map(ord, str(key)))) not in shown
    with pytest.raises(ValueError, match="SSECustomerKey was left out: pass include_password=True"):
        GuardedS3FileSystem.from_json(shown)
