"""Answers that no store should give: of a portal, of a proxy, of a listing without end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import ConnectError, GuardedS3FileSystem, PreconditionUnsupportedError, ProtocolError
from fsspec_guarded_s3._s3 import pages as _pages
from tests.opening import filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer

Verb = Callable[[GuardedS3FileSystem], Any]
READS: dict[str, Verb] = {
    "open": lambda fs: fs.open("bucket/key").read(),
    "cat": lambda fs: fs.cat("bucket/key"),
    "cat_file": lambda fs: fs.cat_file("bucket/key"),
    "cat_file, slice": lambda fs: fs.cat_file("bucket/key", 0, 5),
    "cat_ranges": lambda fs: fs.cat_ranges(["bucket/key"], [0], [5], on_error="raise"),
    "tail": lambda fs: fs.tail("bucket/key", 5),
}
LOOKS: dict[str, Verb] = {
    "exists": lambda fs: fs.exists("bucket/key"),
    "isfile": lambda fs: fs.isfile("bucket/key"),
    "info": lambda fs: fs.info("bucket/key"),
    "glob": lambda fs: fs.glob("bucket/key"),
    "in a mapper": lambda fs: "key" in fs.get_mapper("bucket"),
    "modified": lambda fs: fs.modified("bucket/key"),
}
every_read = pytest.mark.parametrize("read", READS.values(), ids=READS)
every_look = pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
DATE = {"last-modified": "Tue, 14 Nov 2023 22:13:20 GMT"}


def always(status: int, headers: dict[str, str], body: bytes) -> Callable[[Request], Answer]:
    return lambda request: Reply(status, body, headers)


@every_read
@pytest.mark.parametrize("etag", [{}, {"etag": ""}, {"etag": '""'}], ids=["none", "empty", "empty quotes"])
@pytest.mark.parametrize("body", [b"", b"<html>Welcome</html>"], ids=["empty", "page"])
def test_nothing_is_read_without_an_etag(
    read: Verb, etag: dict[str, str], body: bytes, tmp_path: Path
) -> None:
    with ScriptedServer(handler=always(200, {**DATE, **etag}, body)) as server:
        fs = filesystem(server.url, max_attempts=1)
        with pytest.raises(PreconditionUnsupportedError, match="no ETag"):
            read(fs)
        with pytest.raises(PreconditionUnsupportedError, match="no ETag"):
            fs.get_file("bucket/key", str(tmp_path / "file"))
        assert not list(tmp_path.iterdir())


@every_look
@pytest.mark.parametrize("status", [200, 204])
def test_a_page_of_a_portal_is_no_object(look: Verb, status: int) -> None:
    body = b"<html>Welcome</html>" if status == 200 else b""
    portal = always(status, {"content-type": "text/html"}, body)
    with ScriptedServer(handler=portal) as server, pytest.raises(ProtocolError):
        look(filesystem(server.url, max_attempts=1))


OMITTING: dict[str, Verb] = {
    "walk": lambda fs: list(fs.walk("bucket/folder")),
    "walk, omit": lambda fs: list(fs.walk("bucket/folder", on_error="omit")),
    "cat, omit": lambda fs: fs.cat(["bucket/a", "bucket/b"], on_error="omit"),
}


@pytest.mark.parametrize("verb", OMITTING.values(), ids=OMITTING)
def test_a_store_that_cannot_be_reached_is_not_an_empty_one(verb: Verb) -> None:
    with pytest.raises(ConnectError):
        verb(filesystem("http://127.0.0.1:1", max_attempts=1))


# --- listings ---


def page(rows: str, token: str = "") -> Reply:
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
    text = more if token else "<IsTruncated>false</IsTruncated>"
    return Reply(200, f"<ListBucketResult>{text}{rows}</ListBucketResult>".encode())


def rows(*keys: str) -> str:
    entry = "<Contents><Key>{}</Key><ETag>&quot;e&quot;</ETag><Size>3</Size></Contents>"
    return "".join([entry.format(key) for key in keys])


LISTS: dict[str, Verb] = {
    "ls": lambda fs: fs.ls("bucket/a"),
    "find": lambda fs: fs.find("bucket/a"),
    "glob": lambda fs: fs.glob("bucket/a/*"),
    "du": lambda fs: fs.du("bucket/a"),
}


@pytest.mark.parametrize("verb", LISTS.values(), ids=LISTS)
def test_empty_pages_with_ever_new_tokens_come_to_an_end(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pages, "MOST_EMPTY", 20)
    count = iter(range(10**9))
    endless = ScriptedServer(handler=lambda request: page("", f"t{next(count)}"))
    with endless as server, pytest.raises(ProtocolError, match="does not end"):
        verb(filesystem(server.url))


def test_some_empty_pages_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pages, "MOST_EMPTY", 2)
    pages = iter([page("", "1"), page("", "2"), page(rows("a/1"), "3"), page("", "4"), page(rows("a/2"))])
    with ScriptedServer(handler=lambda request: next(pages)) as server:
        assert filesystem(server.url).find("bucket/a") == ["bucket/a/1", "bucket/a/2"]


def test_a_key_that_comes_on_two_pages_is_found_once() -> None:
    def answer(request: Request) -> Answer:
        return page(rows("a/1", "a/2")) if "continuation-token" in request.query else page(rows("a/1"), "t")

    with ScriptedServer(handler=answer) as server:
        fs = filesystem(server.url)
        assert fs.find("bucket/a") == ["bucket/a/1", "bucket/a/2"]
        assert fs.du("bucket/a") == 6


def test_a_store_that_ignores_the_delimiter_has_directories() -> None:
    keys = rows("a/", "a/1", "a/b/2", "a/b/c/3", "a//4")

    def answer(request: Request) -> Answer:
        return page(keys) if request.query["prefix"] == "a/" else page(rows("a/b/2", "a/b/c/3"))

    with ScriptedServer(handler=answer) as server:
        fs = filesystem(server.url)
        assert fs.ls("bucket/a", detail=False) == ["bucket/a//", "bucket/a/1", "bucket/a/b"]
        assert fs.glob("bucket/a/*") == ["bucket/a/1", "bucket/a/b"]
        _, directories, files = next(iter(fs.walk("bucket/a")))
        assert (directories, files) == (["", "b"], ["1"])


def test_a_directory_within_itself_is_an_error() -> None:
    itself = page("<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>")
    with ScriptedServer(handler=lambda request: itself) as server:
        fs = filesystem(server.url)
        with pytest.raises(ProtocolError, match="within itself"):
            fs.ls("bucket/a")
        with pytest.raises(ProtocolError, match="within itself"):
            list(fs.walk("bucket/a", on_error="raise"))
