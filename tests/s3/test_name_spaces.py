"""Name spaces of XML: none, S3's as default, a prefix on the root or on all elements. All read the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from fsspec_guarded_s3 import AccessDeniedError, ServerError
from fsspec_guarded_s3._s3 import xml, xml_answers, xml_listings
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, respond

URI = "http://s3.amazonaws.com/doc/2006-03-01/"
ENTRY = (
    "<Contents><Key>{}</Key><LastModified>2025-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
    "<Size>7</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


def bare(document: str) -> str:
    return document


def default(document: str) -> str:
    return re.sub(r"^<(\w+)", rf'<\1 xmlns="{URI}"', document)


def on_the_root(document: str) -> str:
    """As JAXB writes it, where children are of no name space."""
    root = re.match(r"<(\w+)", document)[1]  # type: ignore[index]
    inner = document[len(root) + 2 : -len(root) - 3]
    return f'<ns2:{root} xmlns:ns2="{URI}">{inner}</ns2:{root}>'


def everywhere(document: str) -> str:
    prefixed = re.sub(r"<(/?)(\w)", r"<\1ns2:\2", document)
    return re.sub(r"^<(ns2:\w+)", rf'<\1 xmlns:ns2="{URI}"', prefixed)


def after_a_declaration(document: str) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>\n<!-- a store -->\n' + everywhere(document)


def after_white_space(document: str) -> str:
    """As S3 keeps a connection alive while it works."""
    return "\n  \n" + everywhere(document)


WAYS = (default, on_the_root, everywhere, after_a_declaration)
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
PARSERS: dict[str, tuple[Callable[[bytes], Any], str]] = {
    "ListObjectsV2": (
        xml_listings.parse_list,
        "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
        f"<NextContinuationToken>t&amp;u</NextContinuationToken>{ENTRY.format('a%20b')}{ENTRY.format('c')}"
        "<CommonPrefixes><Prefix>d%2F</Prefix></CommonPrefixes></ListBucketResult>",
    ),
    "its token": (
        xml_listings.next_token,
        "<ListBucketResult><NextContinuationToken>t&amp;u</NextContinuationToken></ListBucketResult>",
    ),
    "ListObjectVersions": (
        xml_listings.parse_versions,
        "<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
        "<Version><Key>k</Key><VersionId>v</VersionId><IsLatest>true</IsLatest><Size>7</Size></Version>"
        "<DeleteMarker><Key>m</Key><VersionId>w</VersionId></DeleteMarker>"
        "<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes></ListVersionsResult>",
    ),
    "ListBuckets": (
        xml_listings.parse_buckets,
        "<ListAllMyBucketsResult><Buckets><Bucket><Name>b</Name></Bucket></Buckets>"
        "<ContinuationToken>t</ContinuationToken></ListAllMyBucketsResult>",
    ),
    "ListParts": (
        xml_listings.parse_parts,
        "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>1</NextPartNumberMarker>"
        "<Part><PartNumber>1</PartNumber><ETag>e</ETag><Size>7</Size></Part></ListPartsResult>",
    ),
    "ListMultipartUploads": (
        xml_listings.parse_uploads,
        "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
        "<Upload><Key>k</Key><UploadId>u</UploadId></Upload></ListMultipartUploadsResult>",
    ),
    "CreateMultipartUpload": (
        xml_answers.parse_upload_id,
        "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
    ),
    "GetBucketVersioning": (
        xml_answers.parse_versioning,
        "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    ),
    "GetObjectTagging": (
        xml_answers.parse_tags,
        "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    ),
    "DeleteObjects": (
        xml_answers.parse_deleted,
        "<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code></Error></DeleteResult>",
    ),
    "an error": (xml.parse_error, "<Error><Code>SlowDown</Code><Message>slower</Message></Error>"),
    "an error in an answer": (
        xml.parse_error,
        "<ErrorResponse><Error><Code>SlowDown</Code></Error></ErrorResponse>",
    ),
}


@every_way
@pytest.mark.parametrize("name", PARSERS)
def test_every_document_reads_the_same(name: str, way: Callable[[str], str]) -> None:
    parse, document = PARSERS[name]
    expected = parse(bare(document).encode())
    assert expected
    assert parse(way(document).encode()) == expected


def test_a_document_that_is_no_error_is_none() -> None:
    """Whatever keys it has."""
    for body in ("<a><Error><Code>x</Code></Error></a>", ENTRY.format("<Error>"), "", "text", "<Errors/>"):
        assert xml.parse_error(body.encode()) == {}


@pytest.mark.parametrize("way", [*WAYS, after_white_space], ids=lambda way: way.__name__)
def test_an_error_keeps_its_code(way: Callable[[str], str]) -> None:
    """Behind its status, and with 200, as Complete and the copies may answer."""
    document = way("<Error><Code>AccessDenied</Code><Message>no</Message></Error>").encode()
    with ScriptedServer([respond(403, document)]) as server, pytest.raises(AccessDeniedError) as caught:
        filesystem(server.url).cat_file("bucket/key")
    assert (caught.value.code, caught.value.status) == ("AccessDenied", 403)
    document = way("<Error><Code>InternalError</Code><Message>no</Message></Error>").encode()
    head = respond(200, headers={"content-length": "1"}, etag="e")

    def answer(request: Request) -> Answer:
        return head if request.method == "HEAD" else respond(200, document)

    with ScriptedServer(handler=answer) as server, pytest.raises(ServerError, match="InternalError"):
        fs = filesystem(server.url, max_attempts=1)
        fs._client.writes.copy_object(fs._paths.object("bucket/a"), fs._paths.object("bucket/b"), "e")


@every_way
def test_listings_lose_neither_pages_nor_directories(way: Callable[[str], str]) -> None:
    first = (
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
        f"<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes>{ENTRY.format('a')}</ListBucketResult>"
    )
    second = f"<ListBucketResult><IsTruncated>false</IsTruncated>{ENTRY.format('b')}</ListBucketResult>"

    def answer(request: Request) -> Answer:
        return respond(200, way(second if "continuation-token" in request.query else first).encode())

    with ScriptedServer(handler=answer) as server:
        assert filesystem(server.url).ls("bucket") == ["bucket/a", "bucket/b", "bucket/d"]


@pytest.mark.parametrize(
    ("said", "more"),
    [
        ("<IsTruncated>true</IsTruncated>", True),
        ("<IsTruncated> True </IsTruncated>", True),
        ("", True),
        ("<IsTruncated/>", True),
        ("<IsTruncated>false</IsTruncated>", False),
        ("<IsTruncated>False</IsTruncated>", False),
    ],
)
def test_a_token_leads_on_unless_the_store_says_that_it_is_the_end(said: str, more: bool) -> None:
    token = "<NextContinuationToken>t</NextContinuationToken>"
    page = xml_listings.parse_list(f"<ListBucketResult>{said}{token}</ListBucketResult>".encode())
    assert (page.next_token == "t") is more
