"""Answers that no store should give: of a portal, of a proxy, of a listing without end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import ConnectError, GuardedS3FileSystem, PreconditionUnsupportedError, ProtocolError
from fsspec_guarded_s3._s3 import pages as _pages
from fsspec_guarded_s3._s3.exchange import Exchange
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, eventually, s3_error

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
        with pytest.raises((PreconditionUnsupportedError, ProtocolError), match=r"no ETag|no store"):
            read(fs)
        with pytest.raises((PreconditionUnsupportedError, ProtocolError), match=r"no ETag|no store"):
            fs.get_file("bucket/key", str(tmp_path / "file"))
        assert not list(tmp_path.iterdir())


@every_look
@pytest.mark.parametrize("status", [200, 204])
def test_a_page_of_a_portal_is_no_object(look: Verb, status: int) -> None:
    body = b"<html>Welcome</html>" if status == 200 else b""
    portal = always(status, {"content-type": "text/html"}, body)
    with ScriptedServer(handler=portal) as server, pytest.raises(ProtocolError):
        look(filesystem(server.url, max_attempts=1))


SLICES: dict[str, Verb] = {
    "slice": lambda fs: fs.cat_file("bucket/key", 2, 5),
    "last": lambda fs: fs.cat_file("bucket/key", -3),
    "rest": lambda fs: fs.cat_file("bucket/key", 5),
    "into": lambda fs: fs.cat_ranges_into(["bucket/key"], [2], [5], [bytearray(3)]),
    "in a loop": lambda fs: asyncio.run(fs._cat_file("bucket/key", 2, 5)),
}


@pytest.mark.parametrize("read", [*READS.values(), *SLICES.values()], ids=[*READS, *SLICES])
@pytest.mark.parametrize("status", [202, 203, 204])
def test_a_success_that_s3_does_not_know_is_no_content(read: Verb, status: int) -> None:
    """Of an object that has ten bytes, and of which all headers are right."""
    fake = FakeS3("bucket")
    stored = fake.put("bucket", "key", b"0123456789")

    def handler(request: Request) -> Answer:
        if request.method != "GET" or "list-type" in request.query:
            return fake(request)
        return Reply(status, b"", {"etag": stored.etag, "x-amz-request-id": "1", **DATE})

    with ScriptedServer(handler=handler) as server, pytest.raises(ProtocolError):
        read(filesystem(server.url, max_attempts=1))


# What frameworks make of a page: nothing in it is of S3, though it has an ETag and a time.
NAMELESS: dict[str, dict[str, str]] = {
    "HTML": {"content-type": "text/html; charset=utf-8", "etag": '"5f-18c"'},
    "weak ETag": {"content-type": "application/json", "etag": 'W/"1f-abc"'},
    "empty ETag": {"etag": "", **DATE},
}


@pytest.mark.parametrize("look", [*READS.values(), *LOOKS.values()], ids=[*READS, *LOOKS])
@pytest.mark.parametrize("headers", NAMELESS.values(), ids=NAMELESS)
def test_a_page_with_an_etag_is_no_object(look: Verb, headers: dict[str, str], tmp_path: Path) -> None:
    portal = always(200, headers, b"<html>Welcome</html>")
    with ScriptedServer(handler=portal) as server:
        fs = filesystem(server.url, max_attempts=2)
        with pytest.raises((ProtocolError, PreconditionUnsupportedError)):
            look(fs)
        with pytest.raises((ProtocolError, PreconditionUnsupportedError), match=r"no store|no ETag"):
            fs.get_file("bucket/key", str(tmp_path / "file"))
        assert not list(tmp_path.iterdir())


class Nameless:
    """A store whose answers have no header of S3; `pages` is what is said to be HTML."""

    def __init__(self, pages: Callable[[Request], bool] = lambda request: False) -> None:
        self._pages = pages
        self.fake = FakeS3("bucket", after=self._after)

    def _after(self, request: Request, reply: Reply) -> Answer:
        headers = {name: text for name, text in reply.headers.items() if not name.startswith("x-amz-")}
        if self._pages(request):
            headers = {name: text for name, text in headers.items() if name.lower() != "content-type"}
            headers["Content-Type"] = "text/html"
        return replace(reply, headers=headers)


def listings(server: ScriptedServer) -> int:
    return sum(request.query.get("list-type") == "2" for request in server.requests)


def test_a_store_that_does_not_name_itself_is_asked_for_one_listing() -> None:
    store = Nameless()
    with ScriptedServer(handler=store.fake) as server:
        fs = filesystem(server.url)
        for number in range(3):
            fs.pipe_file(f"bucket/{number}", b"content")
            assert fs.cat_file(f"bucket/{number}") == b"content"
            fs.put_tags(f"bucket/{number}", {"a": "1"})
        fs.cp_file("bucket/0", "bucket/copy")
        assert fs.info("bucket/copy")["size"] == 7
        fs.rm_file("bucket/0")
        filesystem(server.url).pipe_file("bucket/1", b"content")
        assert listings(server) == 1
        assert not fs.exists("bucket/0")


def test_pages_that_are_objects_of_such_a_store_are_read() -> None:
    store = Nameless(pages=lambda request: request.path.endswith(".html"))
    with ScriptedServer(handler=store.fake) as server:
        fs = filesystem(server.url)
        fs.pipe_file("bucket/a.html", b"<html>Welcome</html>")
        for read in (fs.cat_file, lambda path: fs.open(path).read()):
            assert read("bucket/a.html") == b"<html>Welcome</html>"
        assert fs.info("bucket/a.html")["size"] == 20
        assert listings(server) == 1


@pytest.mark.parametrize("refused", [s3_error(403, "AccessDenied"), s3_error(404, "NoSuchBucket")])
def test_who_may_not_list_can_write_to_such_a_store(refused: Reply) -> None:
    """A refusal by an error of S3 is a store's."""
    fake = Nameless().fake
    fake.fault = lambda request, _: (
        replace(refused, headers={}) if request.query.get("list-type") == "2" else None
    )
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).pipe_file("bucket/key", b"content")
    assert fake.objects["bucket", "key"].body == b"content"


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


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_answer_whose_check_is_ended_keeps_no_connection(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even while its error, which knows the frames that had the answer, is kept."""

    def ended(self: Exchange, bucket: str, *rest: Any, **how: Any) -> bool:
        raise error("while the store is asked whether it is one")

    monkeypatch.setattr(Exchange, "check_store", ended)
    with ScriptedServer(handler=always(200, {"content-type": "text/html"}, b"<html>")) as server:
        fs = filesystem(server.url, max_attempts=1)
        with pytest.raises(error) as kept:
            fs.cat_file("bucket/key")
        eventually(lambda: server.open_connections == 0)
        assert kept.value
