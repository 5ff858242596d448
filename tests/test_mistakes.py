"""Mistakes that people make: the exact message, and how many requests it takes until it comes.

Each is made against a store that answers as AWS does: without a body to HEAD.
"""

from __future__ import annotations

import errno
import io
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fsspec_guarded_s3 import GuardedS3Error, GuardedS3FileSystem
from fsspec_guarded_s3._values.guessed_options import INSTEAD
from fsspec_guarded_s3._values.s3fs_options import OPTIONS
from fsspec_guarded_s3.options import Options
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, s3_error
from tests.servers import reserved_port

A = "bucket/folder/a.csv"


class Mistake(NamedTuple):
    """A call, and what is said of it: an exception and the beginning of its message; `{url}` is the store."""

    call: Callable[[GuardedS3FileSystem, Path], object]
    error: type[Exception]
    says: str
    requests: int  # until it comes
    fault: str = ""  # the code by which the store refuses everything


def _options(**given: Any) -> Callable[[GuardedS3FileSystem, Path], object]:
    return lambda fs, folder: GuardedS3FileSystem(skip_instance_cache=True, **given)


def _seek_first(fs: GuardedS3FileSystem, folder: Path) -> None:
    with fs.open("bucket/new", "wb") as file:
        file.seek(0)


WRONG = "SignatureDoesNotMatch"
SECRET = "scripted: the secret does not belong to the access key, or a proxy changed the request"
MISTAKES = {
    "a misspelt key": Mistake(
        lambda fs, d: fs.open("bucket/folder/b.csv"), FileNotFoundError, "The specified key", 2
    ),
    "a missing bucket, read": Mistake(
        lambda fs, d: fs.cat_file("none/a"),
        FileNotFoundError,
        "The specified bucket does not exist: check the bucket's name; buckets are created by mkdir only",
        1,
    ),
    "a missing bucket, written": Mistake(
        lambda fs, d: fs.pipe_file("none/a", b"1"),
        FileNotFoundError,
        "The specified bucket does not exist: check the bucket's name; buckets are created by mkdir only",
        1,
    ),
    "a missing bucket, info": Mistake(
        lambda fs, d: fs.info("none/a"), FileNotFoundError, "The specified bucket does not exist: check", 2
    ),
    "a missing bucket, info of itself": Mistake(
        lambda fs, d: fs.info("none"), FileNotFoundError, "The specified bucket does not exist: check", 2
    ),
    "a missing bucket, cp": Mistake(
        lambda fs, d: fs.cp_file("none/a", "bucket/b"),
        FileNotFoundError,
        "The specified bucket does not exist: check",
        2,
    ),
    "a missing bucket, get": Mistake(
        lambda fs, d: fs.get("none/a", str(d / "got")),
        FileNotFoundError,
        "The specified bucket does not exist: check",
        2,
    ),
    "a missing bucket, rm_file": Mistake(
        lambda fs, d: fs.rm_file("none/a"), FileNotFoundError, "The specified bucket does not exist: check", 2
    ),
    "a missing local file": Mistake(
        lambda fs, d: fs.put_file(str(d / "none"), "bucket/new"), FileNotFoundError, "[Errno 2]", 0
    ),
    "a folder read as a file": Mistake(
        lambda fs, d: fs.cat_file("bucket/folder/"),
        IsADirectoryError,
        "path 'bucket/folder/' names a directory",
        0,
    ),
    "a seek before the first byte": Mistake(
        _seek_first, io.UnsupportedOperation, "bucket/new is sent while it is written, so it", 0
    ),
    "a file to read and write": Mistake(lambda fs, d: fs.open(A, "wr+b"), ValueError, "mode", 0),
    "a misspelt mode": Mistake(lambda fs, d: fs.open(A, "rw"), ValueError, "mode", 0),
    "a misspelt keyword": Mistake(
        lambda fs, d: fs.cat_file(A, strat=1),  # type: ignore[call-arg]
        TypeError,
        "cat_file does not take strat; did you mean start?",
        0,
    ),
    "a wrong secret, info": Mistake(lambda fs, d: fs.info(A), PermissionError, SECRET, 2, WRONG),
    "a wrong secret, exists": Mistake(lambda fs, d: fs.exists(A), PermissionError, SECRET, 2, WRONG),
    "a wrong secret, cat": Mistake(lambda fs, d: fs.cat(A), PermissionError, SECRET, 1, WRONG),
    "a wrong secret, rm": Mistake(lambda fs, d: fs.rm(A), PermissionError, SECRET, 2, WRONG),
    "a wrong secret, cp": Mistake(
        lambda fs, d: fs.cp_file(A, "bucket/b"),
        PermissionError,
        SECRET,
        2,
        "SignatureDoesNotMatch",
    ),
    "an unknown key": Mistake(
        lambda fs, d: fs.info(A),
        PermissionError,
        "scripted: the access key is unknown here: check key, profile and endpoint_url",
        2,
        "InvalidAccessKeyId",
    ),
    "a missing permission": Mistake(
        lambda fs, d: fs.ls("bucket"),
        PermissionError,
        "scripted: check s3:ListBucket in the policies of bucket and credentials",
        1,
        "AccessDenied",
    ),
    "half of the credentials": Mistake(
        _options(key="k"), ValueError, "storage option key and secret go together: pass both or none", 0
    ),
    "boto3's key": Mistake(
        _options(aws_access_key_id="k"), ValueError, "unknown storage option 'aws_access_key_id': pass key", 0
    ),
    "no scheme": Mistake(
        _options(endpoint_url="127.0.0.1:9000"), ValueError, "storage option endpoint_url", 0
    ),
    "rm of a bucket's content by an empty name": Mistake(lambda fs, d: fs.rm("*/*"), ValueError, "", 0),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_at_once_and_in_words(mistake: Mistake, tmp_path: Path) -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "folder/a.csv", b"1,2\n")

    def refuse(request: Request, fake: FakeS3) -> Answer | None:
        return s3_error(403, mistake.fault) if mistake.fault else None

    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fake.fault = refuse
        with pytest.raises(mistake.error) as raised:
            mistake.call(fs, tmp_path)
        told = str(raised.value)
        assert told.startswith(mistake.says), told
        assert len(server.requests) == mistake.requests
        assert "\n" not in told
        words = [word.strip(" .") for word in re.split(r"[:;(]", told)]
        assert len(words) == len(set(words)), f"something is said twice: {told}"
        if isinstance(raised.value, GuardedS3Error) and raised.value.bucket:
            assert raised.value.filename.startswith(raised.value.bucket)
            assert raised.value.filename in told
            assert told in repr(raised.value) or repr(told) in repr(raised.value)


def test_a_missing_bucket_is_told_of_a_store_that_is_known() -> None:
    """Where the first answer was none of HEAD's: the look for a directory tells it."""
    fake = FakeS3("bucket")
    fake.put("bucket", "a", b"1")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert fs.cat_file("bucket/a") == b"1"
        for call in (fs.info, fs.size, lambda path: fs.cp_file(path, "bucket/b")):
            with pytest.raises(FileNotFoundError, match="The specified bucket does not exist: check"):
                call("none/a")
        with pytest.raises(FileNotFoundError, match="there is no such bucket: check the bucket's name"):
            fs.info("none")
        assert not fs.exists("none/a")
        assert not fs.exists("none")


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("aws_access_key_id", "key"),
        ("access_key", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("session_token", "token"),
        ("endpoint", "endpoint_url"),
        ("region_name", "region"),
        ("retries", "max_attempts"),
        ("default_acl", "s3_additional_kwargs"),
        ("verify_ssl", "ca_bundle"),
        ("no-sign-request", "anon"),
        ("bucket", "bucket/key"),
        ("storage_options", "**storage_options"),
    ],
)
def test_names_of_other_libraries_are_answered_with_ours(name: str, instead: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"unknown storage option {name!r}: ")) as raised:
        GuardedS3FileSystem(skip_instance_cache=True, **{name: "a-value-that-may-be-secret"})  # type: ignore[arg-type]
    assert instead in str(raised.value)
    assert "a-value-that-may-be-secret" not in str(raised.value)


def test_every_name_that_is_suggested_is_an_option() -> None:
    known = {field.name for field in fields(Options)}
    assert not INSTEAD.keys() & (known | OPTIONS.keys())
    for name, words in INSTEAD.items():
        if words.startswith("pass "):
            assert words.removeprefix("pass ").partition("=")[0].split(" ")[0].strip(",") in known, name


@pytest.fixture
def plain_port() -> Iterator[int]:
    """A port at which plain http is spoken, by a server that refuses what is none, as most do."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    conn, _ = server.accept()
                    with conn:
                        conn.recv(10_000)
                        conn.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize("verb", ["ls", "cat", "info", "pipe_file"])
def test_https_to_a_port_of_http_says_which_scheme(verb: str, plain_port: int) -> None:
    fs = filesystem(f"https://127.0.0.1:{plain_port}")
    with pytest.raises(ConnectionError, match="no TLS is spoken at this port: use http://"):
        getattr(fs, verb)(A, *([b"1"] if verb == "pipe_file" else []))


BUCKET_IN_THE_ADDRESS = {
    "https://account.r2.cloudflarestorage.com/bucket": True,
    "https://account.r2.cloudflarestorage.com/bucket/": True,
    "https://bucket.s3.amazonaws.com": True,
    "https://bucket.s3.eu-west-1.amazonaws.com": True,
    "https://bucket.s3-accelerate.amazonaws.com": True,
    "https://bucket.account.r2.cloudflarestorage.com": True,
    "https://bucket.storage.googleapis.com": True,
    "https://bucket.fra1.digitaloceanspaces.com": True,
    "https://bucket.s3.example.com:9000": True,
    "https://bucket.example.com": False,  # a machine of that name
    "https://s3.example.com/storage/bucket-2": False,
    "https://s3.example.com/bucket/v1": False,
    "https://buckets.s3.example.com": False,
}


@pytest.mark.parametrize("url", BUCKET_IN_THE_ADDRESS)
def test_the_bucket_in_the_address_of_the_store_is_noticed(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Consoles show it like that. What is written would have the bucket in its key, and listings fail."""
    fs = GuardedS3FileSystem(endpoint_url=url, key="k", secret="s", skip_instance_cache=True)
    for _ in range(2):
        fs.sign("bucket/key")
        fs.sign("other/key")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == BUCKET_IN_THE_ADDRESS[url]
    assert all("endpoint_url has the bucket bucket in it" in message for message in told)


def test_nobody_at_the_port_is_told_by_host_and_port() -> None:
    with reserved_port() as port:
        fs = filesystem(f"http://127.0.0.1:{port}", max_attempts=1)
        refused = f"^no connection to 127.0.0.1:{port}: ConnectionRefusedError"
        with pytest.raises(ConnectionError, match=refused):
            fs.ls("bucket")


def test_a_target_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Not the temporary file beside it."""
    fake = FakeS3("bucket")
    fake.put("bucket", "a", b"1")
    with ScriptedServer(handler=fake) as server:
        target = str(tmp_path / "none" / os.pardir / "file" / "got")
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(OSError) as raised:
            filesystem(server.url).get_file("bucket/a", target)
        assert str(tmp_path / "file") in str(raised.value)
        assert ".part" not in str(raised.value)


_CALLS = {"written": ("pwrite", "write"), "flushed": ("fsync",), "named": ("link", "replace")}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG], ids=["disk full", "too large"])
@pytest.mark.parametrize("verb", ["get_file", "get"])
@pytest.mark.parametrize("when", _CALLS)
def test_a_disk_that_takes_no_more_is_told_by_the_target(
    verb: str, when: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "a", b"1" * 100)

    def refuse(*args: object, **kwargs: object) -> int:
        raise OSError(code, os.strerror(code), *([".part", None, "b"] if when == "named" else []))

    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, fsync=True)
        for name in _CALLS[when]:
            monkeypatch.setattr(os, name, refuse)
        target = str(tmp_path / "got")
        with pytest.raises(OSError) as raised:
            getattr(fs, verb)("bucket/a", target)
        monkeypatch.undo()
    assert raised.value.errno == code
    assert raised.value.filename == target
    assert str(raised.value) == f"[Errno {code}] {os.strerror(code)}: {target!r}"
    assert os.listdir(tmp_path) == []


def test_a_folder_that_may_not_be_written_is_told_by_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "a", b"1")
    real = os.open

    def refuse(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path).startswith(str(tmp_path)):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, *args, **kwargs)

    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(PermissionError) as raised:
            fs.get_file("bucket/a", str(tmp_path / "got"))
    assert raised.value.filename == str(tmp_path / "got")


def test_a_proxy_that_is_not_there_is_named_as_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    with reserved_port() as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:password@127.0.0.1:{port}")
        fs = filesystem("http://store.test", max_attempts=1, allow_http=True)
        with pytest.raises(ConnectionError) as raised:
            fs.ls("bucket")
    told = str(raised.value)
    assert told.startswith(
        f"no connection to the proxy http://127.0.0.1:{port}, on the way to store.test:80: "
    )
    assert "password" not in told
