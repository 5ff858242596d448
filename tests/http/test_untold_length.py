"""Answers whose head tells no length, or another coding: read whole and right, or refused by a true word."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    GuardedS3FileSystem,
    PreconditionUnsupportedError,
    ProtocolError,
    TransportError,
)
from tests.data import period_free
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, raw, respond, s3_error

DATA = period_free(300_000, seed=9)
READS: dict[str, Callable[[GuardedS3FileSystem], bytes]] = {
    "cat_file": lambda fs: fs.cat_file("bucket/key"),
    "cat": lambda fs: fs.cat(["bucket/key"])["bucket/key"],
    "a slice": lambda fs: DATA[:100] + fs.cat_file("bucket/key", 100, 200) + DATA[200:],
    "cat_ranges": lambda fs: b"".join(
        fs.cat_ranges(["bucket/key"] * 3, [0, 10, 200_000], [10, 200_000, None], max_gap=0, on_error="raise")
    ),
    "open": lambda fs: fs.open("bucket/key").read(),
    "open, little by little": lambda fs: b"".join(iter(lambda: file_of(fs).read(7000), b"")),
    "get_file": lambda fs: got(fs),
}
files: dict[int, Any] = {}


def file_of(fs: GuardedS3FileSystem) -> Any:
    return files.setdefault(id(fs), fs.open("bucket/key", cache_type="none"))


def got(fs: GuardedS3FileSystem) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        fs.get_file("bucket/key", f"{folder}/key")
        with open(f"{folder}/key", "rb") as file:
            return file.read()


def chunks(data: bytes) -> bytes:
    pieces = [data[at : at + 50_000] for at in range(0, len(data), 50_000)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def in_chunks(head: bytes, data: bytes) -> Answer:
    return raw(b"HTTP/1.1 " + head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(data), close=False)


def until_the_end(head: bytes, data: bytes) -> Answer:
    return raw(b"HTTP/1.0 " + head + b"\r\n" + data)


FRAMES = {"chunks": in_chunks, "HTTP/1.0": until_the_end}
every_frame = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
Frame = Callable[[bytes, bytes], Answer]


def store(frame: Frame, data: bytes = DATA, *, ranges: bool = True, told: int | None = None) -> Any:
    """A store that tells no length but to HEAD; `told` is what it says there."""

    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            size = len(data) if told is None else told
            return respond(200, headers={"content-length": str(size)}, etag="e")
        asked = request.headers.get("range")
        if asked is None or not ranges:
            return frame(b'200 OK\r\nETag: "e"\r\n', data)
        first, last = (int(text) for text in asked.removeprefix("bytes=").split("-"))
        last = min(last, len(data) - 1)
        head = f'206 P\r\nETag: "e"\r\nContent-Range: bytes {first}-{last}/{len(data)}\r\n'
        return frame(head.encode(), data[first : last + 1])

    return answer


@every_frame
@pytest.mark.parametrize("range_size", [70_000, 8 * 2**20])
@pytest.mark.parametrize("name", READS)
def test_every_read_gets_the_object(name: str, frame: Frame, range_size: int) -> None:
    with ScriptedServer(handler=store(frame)) as server:
        fs = filesystem(server.url, range_size=range_size)
        assert READS[name](fs) == DATA
    files.clear()


@every_frame
def test_an_empty_object_is_empty(frame: Frame) -> None:
    with ScriptedServer(handler=store(frame, b"")) as server:
        fs = filesystem(server.url)
        assert fs.cat_file("bucket/key") == b""
        assert fs.open("bucket/key").read() == b""


def test_connections_are_used_again_after_chunks() -> None:
    with ScriptedServer(handler=store(in_chunks)) as server:
        fs = filesystem(server.url)
        for _ in range(5):
            assert fs.cat_file("bucket/key") == DATA
        assert server.connections <= 2, "one for the object, one for its size meanwhile"


@every_frame
@pytest.mark.parametrize("stored", [gzip.compress(DATA[:1000] * 300), b""], ids=["a gzip file", "nothing"])
def test_what_is_decompressed_on_its_way_is_refused_by_that_word(frame: Frame, stored: bytes) -> None:
    """HEAD tells what is stored; the body is another one, and may be no part of it."""
    with ScriptedServer(handler=store(frame, DATA[:1000] * 300, ranges=False, told=len(stored))) as server:
        fs = filesystem(server.url)
        with pytest.raises(PreconditionUnsupportedError, match="decompress what has a Content-Encoding"):
            fs.cat_file("bucket/key")
        assert len(server.requests) == 2, "once is enough"
        if stored:
            with pytest.raises(PreconditionUnsupportedError, match="decompress what has a Content-Encoding"):
                fs.open("bucket/key").read()


def test_a_whole_object_of_another_length_is_refused_by_that_word() -> None:
    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            return respond(200, headers={"content-length": "100"}, etag="e")
        return respond(200, bytes(5000), etag="e")

    refused = pytest.raises(ProtocolError, match=r"range.*decompress what has a Content-Encoding")
    with ScriptedServer(handler=answer) as server, refused:
        filesystem(server.url).cat_file("bucket/key", 10, 20)


def test_a_size_that_is_not_told_for_that_reason() -> None:
    """As Google Cloud Storage answers for an object that it decompresses."""
    head = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nx-goog-stored-content-encoding: gzip\r\n'
    answer = raw(head + b"Transfer-Encoding: chunked\r\n\r\n", close=False)
    with ScriptedServer(handler=lambda request: answer) as server:
        fs = filesystem(server.url)
        with pytest.raises(PreconditionUnsupportedError, match=r"without a size.*decompress"):
            fs.info("bucket/key")
        with pytest.raises(PreconditionUnsupportedError, match=r"not the bytes.*decompress"):
            fs.open("bucket/key")


@every_frame
def test_a_body_that_is_cut_is_never_the_object(frame: Frame) -> None:
    """The end of a connection is no proof, and neither is a last chunk."""
    with ScriptedServer(handler=store(frame, DATA[:200_000], told=len(DATA))) as server:
        fs = filesystem(server.url, max_attempts=2)
        with pytest.raises(TransportError):
            fs.cat_file("bucket/key")


def test_an_object_that_is_replaced_before_its_size_is_known_is_read_anew() -> None:
    etags = iter(["old", "new", "new", "new"])

    def answer(request: Request) -> Answer:
        etag = next(etags)
        if request.method == "HEAD":
            return respond(200, headers={"content-length": "3"}, etag=etag)
        return in_chunks(f'200 OK\r\nETag: "{etag}"\r\n'.encode(), etag.encode())

    with ScriptedServer(handler=answer) as server:
        assert filesystem(server.url).cat_file("bucket/key") == b"new"


# --- HEAD without a length ---


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_size_that_head_does_not_tell_is_that_of_a_get(
    read: Callable[[GuardedS3FileSystem], bytes], ranges: bool
) -> None:
    """Proxies leave the length out of what they might compress."""

    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            return raw(b'HTTP/1.1 200 OK\r\nETag: "e"\r\nx-amz-meta-a: b\r\n\r\n', close=False)
        first, _, last = request.headers.get("range", "").removeprefix("bytes=").partition("-")
        if not last or not ranges:
            return respond(200, DATA, etag="e")
        piece = DATA[int(first) : int(last) + 1]
        return respond(206, piece, etag="e", headers={"content-range": f"bytes {first}-{last}/{len(DATA)}"})

    with ScriptedServer(handler=answer) as server:
        fs = filesystem(server.url)
        info = fs.info("bucket/key")
        assert (info["size"], info["ETag"]) == (len(DATA), '"e"')
        assert fs.metadata("bucket/key") == {"a": "b"}
        if ranges or read is READS["cat_file"] or read is READS["cat"]:
            assert read(fs) == DATA


def test_an_empty_object_whose_size_head_does_not_tell() -> None:
    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            return raw(b'HTTP/1.1 200 OK\r\nETag: "e"\r\n\r\n', close=False)
        if "range" in request.headers:
            return s3_error(416, "InvalidRange")
        return respond(200, b"", etag="e")

    with ScriptedServer(handler=answer) as server:
        fs = filesystem(server.url)
        assert fs.info("bucket/key")["size"] == 0
        assert fs.cat_file("bucket/key") == fs.open("bucket/key").read() == b""


def test_an_object_that_is_replaced_before_its_size_is_told_is_the_new_one() -> None:
    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            return raw(b'HTTP/1.1 200 OK\r\nETag: "old"\r\n\r\n', close=False)
        return respond(206, b"n", etag="new", headers={"content-range": "bytes 0-0/3"})

    with ScriptedServer(handler=answer) as server:
        info = filesystem(server.url).info("bucket/key")
        assert (info["ETag"], info["size"]) == ('"new"', 3)


def test_a_size_that_nobody_tells_is_an_error() -> None:
    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            return raw(b'HTTP/1.1 200 OK\r\nETag: "e"\r\n\r\n', close=False)
        return in_chunks(b'200 OK\r\nETag: "e"\r\n', DATA)

    with ScriptedServer(handler=answer) as server, pytest.raises(ProtocolError, match="size"):
        filesystem(server.url, max_attempts=1).info("bucket/key")


# --- chunks ---


@pytest.mark.parametrize(
    "size", [b"-1", b"-0", b"+5", b"0x5", b"1_0", b"", b" ", b"5 5", b"g", b"f" * 17, b"-f" * 9]
)
@pytest.mark.parametrize("verb", ["cat_file", "ls"])
def test_a_chunk_whose_size_is_no_number_is_a_broken_answer(verb: str, size: bytes) -> None:
    """At once: nobody waits for what cannot come."""
    document = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"

    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            return respond(200, headers={"content-length": "10"}, etag="e")
        begin = document if verb == "ls" else b"12345"
        whole = b"%x\r\n%b\r\n%b\r\n12345\r\n0\r\n\r\n" % (len(begin), begin, size)
        head = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n'
        return raw(head + whole, close=False)

    with ScriptedServer(handler=answer) as server, pytest.raises(ProtocolError, match="chunk"):
        fs = filesystem(server.url, max_attempts=1, read_timeout=20)
        fs.cat_file("bucket/key") if verb == "cat_file" else fs.ls("bucket")


# --- transfer codings ---


@pytest.mark.parametrize(
    "coding", ["gzip, chunked", "gzip", "deflate", "chunked, gzip", "chunked, chunked", "x", ""]
)
@pytest.mark.parametrize("name", ["cat_file", "a slice"])
def test_a_coding_that_is_not_understood_is_no_data(name: str, coding: str) -> None:
    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            return respond(200, headers={"content-length": "300000"}, etag="e")
        head = "HTTP/1.1 206 P\r\nContent-Range: bytes 100-199/300000" if "range" in request.headers else ""
        head = head or "HTTP/1.1 200 OK"
        text = f'{head}\r\nETag: "e"\r\nTransfer-Encoding: {coding}\r\n\r\n'
        return raw(text.encode() + chunks(gzip.compress(DATA)))

    with ScriptedServer(handler=answer) as server, pytest.raises(ProtocolError, match="transfer coding"):
        READS[name](filesystem(server.url, max_attempts=1))


@pytest.mark.parametrize("coding", ["chunked", "Chunked", " chunked "])
def test_chunks_are_understood_however_they_are_written(coding: str) -> None:
    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            return respond(200, headers={"content-length": "5"}, etag="e")
        return raw(
            f'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: {coding}\r\n\r\n'.encode() + chunks(b"hello")
        )

    with ScriptedServer(handler=answer) as server:
        assert filesystem(server.url).cat_file("bucket/key") == b"hello"


@pytest.mark.parametrize("length", [5, 15, 3])
def test_two_lengths_in_one_head_are_refused(length: int) -> None:
    """RFC 9112, 6.3: it may be an attempt to have the rest read as the next answer."""
    text = f'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n'
    refused = pytest.raises(ProtocolError, match="Content-Length and a Transfer-Encoding")
    with ScriptedServer(handler=lambda request: raw(text.encode() + chunks(b"hello"))) as server, refused:
        filesystem(server.url, max_attempts=1).cat_file("bucket/key")
