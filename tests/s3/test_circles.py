"""A listing comes to an end, or is an error: whatever markers a store sends, and whatever it answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsspec_guarded_s3 import GuardedS3FileSystem, ProtocolError
from fsspec_guarded_s3._s3.pages import Markers
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, respond

ENTRY = (
    "<Contents><Key>{0}</Key><LastModified>2024-01-01T00:00:00Z</LastModified><ETag>e</ETag><Size>1</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)
LISTINGS: dict[str, tuple[str, Callable[[GuardedS3FileSystem], Any]]] = {
    "ListObjectsV2": (
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{0}</NextContinuationToken>"
        + ENTRY.replace("{0}", "k{1}")
        + "</ListBucketResult>",
        lambda fs: fs.find("bucket"),
    ),
    "ListObjectVersions": (
        "<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>{0}</NextKeyMarker>"
        "<NextVersionIdMarker>v</NextVersionIdMarker></ListVersionsResult>",
        lambda fs: list(fs._client.listings.list_object_versions("bucket")),
    ),
    "ListBuckets": (
        "<ListAllMyBucketsResult><Buckets><Bucket><Name>b{1}</Name></Bucket></Buckets>"
        "<ContinuationToken>{0}</ContinuationToken></ListAllMyBucketsResult>",
        lambda fs: fs.ls(""),
    ),
    "ListMultipartUploads": (
        "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>{0}</NextKeyMarker>"
        "<NextUploadIdMarker>u</NextUploadIdMarker></ListMultipartUploadsResult>",
        lambda fs: fs.list_uploads("bucket"),
    ),
    "ListParts": (
        "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>{0}</NextPartNumberMarker>"
        "</ListPartsResult>",
        lambda fs: fs._client.multipart.list_parts(fs._paths.object("bucket/key"), "upload"),
    ),
}


@pytest.mark.parametrize("period", [1, 2, 3, 7])
@pytest.mark.parametrize(("document", "call"), LISTINGS.values(), ids=LISTINGS)
def test_markers_that_come_again_are_an_error(
    document: str, call: Callable[[GuardedS3FileSystem], Any], period: int
) -> None:
    numbers = itertools.count()

    def answer(request: Request) -> Answer:
        number = next(numbers)
        return respond(200, document.format(1 + number % period, number).encode())

    with ScriptedServer(handler=answer) as server:
        with pytest.raises(ProtocolError, match="in circles"):
            call(filesystem(server.url))
        assert len(server.requests) <= 4 * period + 4


def test_the_same_page_under_ever_new_tokens_is_an_error() -> None:
    """A store that does not look at the token that it gave."""
    numbers = itertools.count()
    document = LISTINGS["ListObjectsV2"][0].replace("k{1}", "k")
    with (
        ScriptedServer(
            handler=lambda request: respond(200, document.format(next(numbers)).encode())
        ) as server,
        pytest.raises(ProtocolError, match="the same page"),
    ):
        filesystem(server.url).find("bucket")


def test_keys_outside_of_the_prefix_are_an_error_and_nothing_is_deleted() -> None:
    """A store that does not look at the prefix would have `rm` delete what nobody named."""
    page = f"<ListBucketResult>{ENTRY.format('dir/a')}{ENTRY.format('precious')}</ListBucketResult>".encode()

    def answer(request: Request) -> Answer:
        return respond(404) if request.method == "HEAD" else respond(200, page)

    with ScriptedServer(handler=answer) as server:
        fs = filesystem(server.url)
        for call in (lambda: fs.rm("bucket/dir", recursive=True), lambda: fs.find("bucket/dir")):
            with pytest.raises(ProtocolError, match="do not begin with the prefix 'dir"):
                call()
        assert {request.method for request in server.requests} <= {"GET", "HEAD"}


def test_versions_outside_of_the_prefix_are_an_error_and_none_is_deleted() -> None:
    row = "<Version><Key>{}</Key><VersionId>v</VersionId><Size>1</Size></Version>"
    page = f"<ListVersionsResult>{row.format('dir/a')}{row.format('precious')}</ListVersionsResult>".encode()

    def answer(request: Request) -> Answer:
        return respond(404) if request.method == "HEAD" else respond(200, page)

    with ScriptedServer(handler=answer) as server:
        fs = filesystem(server.url, version_aware=True)
        with pytest.raises(ProtocolError, match="do not begin with the prefix 'dir"):
            fs.rm("bucket/dir", recursive=True, versions=True)
        assert {request.method for request in server.requests} <= {"GET", "HEAD"}


@given(st.integers(0, 60), st.integers(1, 60))
def test_every_circle_is_noticed(before: int, period: int) -> None:
    markers = Markers("it")

    def come() -> Iterator[int]:
        yield from range(before)
        yield from itertools.cycle(range(before, before + period))

    with pytest.raises(ProtocolError, match="it goes round in circles"):
        for marker in itertools.islice(come(), 4 * (before + period) + 4):
            markers.check(marker)


def test_many_markers_are_no_circle() -> None:
    markers = Markers("it")
    for marker in range(10_000):
        markers.check(str(marker))
