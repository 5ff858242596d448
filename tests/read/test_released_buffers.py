"""A failed read keeps no slice of a BytesIO: such slices crash CPython 3.12.1 and make 3.13.0 print."""

from __future__ import annotations

import gc
import io
from collections.abc import Callable
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3Error, GuardedS3FileSystem
from fsspec_guarded_s3._http import response
from fsspec_guarded_s3._read import download
from tests.data import period_free
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, cut, raw, respond

DATA = period_free(400_000, seed=4)
CHUNKS = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n30000\r\n' + DATA[:100_000]


def content_range(request: Request) -> tuple[bytes, dict[str, str]]:
    asked = request.headers.get("range")
    if asked is None:
        return DATA, {}
    first, last = (int(text) for text in asked.removeprefix("bytes=").split("-"))
    last = min(last, len(DATA) - 1)
    return DATA[first : last + 1], {"content-range": f"bytes {first}-{last}/{len(DATA)}"}


def broken(request: Request) -> Answer:
    data, headers = content_range(request)
    return cut(206 if headers else 200, data, after=len(data) // 2, headers=headers, etag="e")


def replaced(request: Request) -> Answer:
    data, headers = content_range(request)
    if headers and int(headers["content-range"].split()[1].partition("-")[0]) > 10:
        return respond(206, data, headers=headers, etag="other")
    return broken(request)


def wrong_sum(request: Request) -> Answer:
    data, headers = content_range(request)
    headers |= {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "FULL_OBJECT"}
    return respond(206 if "content-range" in headers else 200, data, headers=headers, etag="e")


FAULTS: dict[str, Callable[[Request], Answer]] = {
    "broken": broken,
    "replaced": replaced,
    "chunks that break": lambda request: raw(CHUNKS),
    "another checksum": wrong_sum,
}
READS: dict[str, Callable[[GuardedS3FileSystem], Any]] = {
    "cat_file": lambda fs: fs.cat_file("bucket/key"),
    "a slice": lambda fs: fs.cat_file("bucket/key", 10, 300_000),
    "cat_ranges": lambda fs: fs.cat_ranges(["bucket/key"] * 2, [0, 200_000], [10, 300_000], on_error="raise"),
    "open": lambda fs: fs.open("bucket/key", cache_type="none").read(),
    "open, ahead": lambda fs: fs.open("bucket/key").read(399_000),
}


@pytest.mark.parametrize("range_size", [100_000, 2**23])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", READS)
def test_no_slice_outlives_a_failed_read(
    name: str, fault: str, range_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A BytesIO that is exported refuses to change its size: that tells, while the exception lives."""
    made: list[io.BytesIO] = []

    def sized(size: int) -> io.BytesIO:
        made.append(io.BytesIO(bytes(size)))
        return made[-1]

    monkeypatch.setattr(download, "zeros", sized)
    monkeypatch.setattr(response, "zeros", sized)

    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            return respond(200, headers={"content-length": str(len(DATA))}, etag="e")
        if request.headers.get("range") == "bytes=0-65535":  # the opening
            data, headers = content_range(request)
            return respond(206, data, headers=headers, etag="e")
        return FAULTS[fault](request)

    with ScriptedServer(handler=answer) as server:
        fs = filesystem(server.url, range_size=range_size, max_attempts=2)
        try:
            READS[name](fs)
        except GuardedS3Error as error:
            kept = error
        else:
            assert fault == "another checksum", "only whole objects are compared"
            return
        assert made or "ahead" in name or fault == "chunks that break"  # refused before there is a buffer
        for buffer in made:
            buffer.truncate(0)  # BufferError: existing exports of data
        assert str(kept)
    del kept
    gc.collect()
