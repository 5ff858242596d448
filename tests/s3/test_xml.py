"""XML: what S3 sends becomes models, and what cannot be right is an error."""

from datetime import datetime, timezone
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsspec_guarded_s3 import ProtocolError
from fsspec_guarded_s3._s3 import xml, xml_answers, xml_bodies, xml_listings
from fsspec_guarded_s3._values.checksums import Crc
from fsspec_guarded_s3._values.models import Part

SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def listing(inner: str) -> bytes:
    return f'<?xml version="1.0"?><ListBucketResult {SPACE}>{inner}</ListBucketResult>'.encode()


def test_a_listing_becomes_objects_and_prefixes() -> None:
    page = xml_listings.parse_list(
        listing(
            "<IsTruncated>false</IsTruncated><Contents><Key>a/b</Key><Size>5</Size><ETag>&quot;e&quot;</ETag>"
            "<LastModified>2024-01-02T03:04:05.000Z</LastModified><StorageClass>GLACIER</StorageClass></Contents>"
            "<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes>"
        )
    )
    (found,) = page.objects()
    assert (found.key, found.size, found.etag, found.storage_class) == ("a/b", 5, '"e"', "GLACIER")
    assert found.last_modified == datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert (page.prefixes, page.next_token) == (("d/",), None)


@pytest.mark.parametrize(
    "sent, key",
    [
        ("a+b", "a b"),
        ("a%2Bb", "a+b"),
        ("a%20b", "a b"),
        ("%C3%BC", "ü"),
        ("100%25", "100%"),
        ("%01", "\x01"),
    ],
)
def test_url_encoded_keys_are_decoded(sent: str, key: str) -> None:
    page = xml_listings.parse_list(
        listing(
            f"<EncodingType>url</EncodingType><Contents><Key>{sent}</Key><Size>1</Size></Contents>"
            f"<CommonPrefixes><Prefix>{sent}/</Prefix></CommonPrefixes>"
        )
    )
    assert (page.keys[0], page.prefixes) == (key, (key + "/",))


def test_keys_are_kept_where_the_store_did_not_encode() -> None:
    page = xml_listings.parse_list(listing("<Contents><Key>a+b%20c</Key><Size>1</Size></Contents>"))
    assert page.keys[0] == "a+b%20c"


def test_a_truncated_listing_has_the_next_token() -> None:
    body = listing("<IsTruncated>true</IsTruncated><NextContinuationToken>t/=</NextContinuationToken>")
    assert xml_listings.parse_list(body).next_token == "t/="


@pytest.mark.parametrize("token", ["", "<NextContinuationToken/>"])
def test_a_truncated_listing_without_a_token_is_an_error(token: str) -> None:
    with pytest.raises(ProtocolError, match="keys would be lost"):
        xml_listings.parse_list(listing(f"<IsTruncated>true</IsTruncated>{token}"))


@pytest.mark.parametrize(
    "dtd",
    [
        '<!DOCTYPE r [<!ENTITY x "boom">]>',
        "<!DOCTYPE ListBucketResult>",
        "<!-- -->" * 600 + "<!DOCTYPE r>",
    ],
)
def test_a_dtd_is_refused(dtd: str) -> None:
    with pytest.raises(ProtocolError, match="DTD"):
        xml_listings.parse_list(f'<?xml version="1.0"?>{dtd}<r/>'.encode())


def test_a_dtd_in_another_encoding_is_refused() -> None:
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE r [<!ENTITY x "boom">]><r>&x;</r>'
    with pytest.raises(ProtocolError, match="not UTF-8"):
        xml_listings.parse_list(text.encode("utf-16"))


@pytest.mark.parametrize("body", [b"", b"<a>", b"not xml", b"<a/><b/>", b"<a>\x01</b>"])
def test_broken_xml_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="cannot be parsed"):
        xml_listings.parse_list(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html/>", "an HTML page"),
        (b"<Error><Code>InternalError</Code></Error>", "ListBucketResult"),
        (b"<Other/>", "ListBucketResult"),
    ],
)
def test_another_document_is_not_an_empty_listing(body: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        xml_listings.parse_list(body)


def test_a_size_that_is_no_number_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        xml_listings.parse_list(listing("<Contents><Key>a</Key><Size>many</Size></Contents>"))


@pytest.mark.parametrize(
    "body, fields",
    [
        (
            b"<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>",
            {"Code": "NoSuchKey", "Message": "gone"},
        ),
        (b"\n  <Error><Code>SlowDown</Code></Error>", {"Code": "SlowDown"}),
        (b"<ErrorResponse><Error><Code>X</Code></Error></ErrorResponse>", {"Code": "X"}),
        (b"<DeleteResult><Error><Code>X</Code></Error></DeleteResult>", {}),
        (b"<Error><Code/></Error>", {"Code": ""}),
        (b"<Error><Code>Broken", {}),
        (b"<html>busy</html>", {}),
        (b"", {}),
    ],
)
def test_error_documents_become_fields(body: bytes, fields: dict[str, str]) -> None:
    assert xml.parse_error(body) == fields


def test_buckets_have_names_and_times() -> None:
    body = (
        b"<ListAllMyBucketsResult><Buckets><Bucket><Name>one</Name><CreationDate>2024-01-02T00:00:00Z"
        b"</CreationDate></Bucket><Bucket><Name>two</Name></Bucket></Buckets></ListAllMyBucketsResult>"
    )
    made = datetime(2024, 1, 2, tzinfo=timezone.utc)
    assert xml_listings.parse_buckets(body) == ([("one", made), ("two", None)], None)


def test_an_upload_needs_an_id() -> None:
    assert xml_answers.parse_upload_id(b"<R><UploadId>u1</UploadId></R>") == "u1"
    with pytest.raises(ProtocolError, match="UploadId"):
        xml_answers.parse_upload_id(b"<R/>")


def test_parts_and_uploads_carry_their_markers() -> None:
    parts, marker, kind = xml_listings.parse_parts(
        b"<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>1</NextPartNumberMarker>"
        b"<Part><PartNumber>1</PartNumber><ETag>e</ETag><Size>5</Size></Part></ListPartsResult>"
    )
    assert (parts, marker, kind) == ([Part(1, "e", 5)], "1", "")
    uploads, markers, told = xml_listings.parse_uploads(
        b"<ListMultipartUploadsResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>a%2Bb</NextKeyMarker>"
        b"<NextUploadIdMarker>u</NextUploadIdMarker><Upload><Key>a+b</Key><UploadId>u</UploadId></Upload></ListMultipartUploadsResult>"
    )
    # As they stand: `Multipart` decodes them, where the uploads tell that they are encoded.
    assert (uploads[0].key, uploads[0].upload_id, markers, told) == ("a+b", "u", ("a%2Bb", "u"), True)


def test_a_truncated_list_of_parts_without_a_marker_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="parts would be lost"):
        xml_listings.parse_parts(b"<ListPartsResult><IsTruncated>true</IsTruncated></ListPartsResult>")


def test_keys_that_were_not_deleted_are_told() -> None:
    error = b"<Error><Key>k</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
    body = b"<DeleteResult>" + error + b"</DeleteResult>"
    assert xml_answers.parse_deleted(body) == [("k", "AccessDenied", "no")]


def test_bodies_are_escaped_and_parts_ascend() -> None:
    assert b"<Key>a&amp;&lt;b&gt;</Key>" in xml_bodies.delete_body({"a&<b>": None})
    crc = Crc("crc32", 0x01020304)
    body = xml_bodies.complete_body([Part(2, "b", 1, crc), Part(1, "a", 1, crc)])
    assert body.index(b"<PartNumber>1<") < body.index(b"<PartNumber>2<")
    assert body.count(b"<ChecksumCRC32>AQIDBA==</ChecksumCRC32>") == 2


def test_where_one_part_was_sent_without_a_checksum_none_is_named() -> None:
    """Another tool began the upload, without an algorithm: versitygw finds no part that has one then."""
    body = xml_bodies.complete_body([Part(1, "a", 1), Part(2, "b", 1, Crc("crc32", 0x01020304))])
    assert b"Checksum" not in body


def test_only_us_east_1_creates_a_bucket_without_a_body() -> None:
    assert xml_bodies.bucket_body("us-east-1") == b""
    assert b"<LocationConstraint>eu-west-1</LocationConstraint>" in xml_bodies.bucket_body("eu-west-1")


TEXTS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Z")), max_size=12)


@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS, st.integers(0, 2**50), TEXTS), max_size=5),
    blank=st.sampled_from(["", "\n  "]),
    token=TEXTS,
)
def test_a_page_is_the_same_by_the_fast_way_and_by_the_tree(
    rows: list[tuple[str, str, int, str]], blank: str, token: str
) -> None:
    """An attribute on the entries, which no store sends, forces the tree."""

    def page(mark: str) -> bytes:
        entries = "".join(
            f"<Contents{mark}>{blank}<Key>{escape(key)}</Key>{blank}<LastModified>{escape(time)}</LastModified>"
            f"<ETag>&quot;{size}&quot;</ETag><ChecksumType>x</ChecksumType>{blank}<Size>{size}</Size>"
            f"<Owner><ID>1</ID></Owner><StorageClass>{escape(storage)}</StorageClass></Contents>"
            for key, time, size, storage in rows
        )
        after = f"<NextContinuationToken>{escape(token)}-</NextContinuationToken>"
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        inner = f"{entries}<IsTruncated>true</IsTruncated>{after}"
        return f'<ListBucketResult xmlns="{space}">{inner}</ListBucketResult>'.encode()

    fast, slow = xml_listings.parse_list(page("")), xml_listings.parse_list(page(" a='b'"))
    assert fast == slow
    assert [item.size for item in fast.objects()] == [size for _, _, size, _ in rows]
    assert xml_listings.next_token(page("")) == fast.next_token


def test_entries_in_a_comment_are_no_entries() -> None:
    entry = (
        "<Contents><Key>k</Key><LastModified></LastModified><ETag></ETag><Size>1</Size>"
        "<StorageClass></StorageClass></Contents>"
    )
    assert not xml_listings.parse_list(f"<ListBucketResult><!--{entry}--></ListBucketResult>".encode()).keys


CONTROL = [chr(code) for code in range(1, 32) if chr(code) not in "\t\n\r"]


@pytest.mark.parametrize("form", ["{}", "&#{:d};", "&#0{:d};", "&#x{:x};", "&#X{:02X};"])
@pytest.mark.parametrize("char", CONTROL, ids=lambda char: f"U+{ord(char):04X}")
def test_what_xml_cannot_write_is_read_as_it_was_meant(char: str, form: str) -> None:
    """Ceph RGW sends prefixes and tokens with control characters so, and XML 1.0 has none of them."""
    sent = char if form == "{}" else form.format(ord(char))
    private = "\ue001\ue03f"  # of a key of somebody's, which stays
    document = listing(
        f"<Prefix>a{sent}</Prefix><IsTruncated>true</IsTruncated>"
        f"<NextContinuationToken>a{sent}/b&amp;c</NextContinuationToken><Contents><Key>a{sent}/{private}</Key>"
        '<LastModified>2024-01-02T03:04:05.000Z</LastModified><ETag>"e"</ETag><Size>5</Size>'
        f"<StorageClass>STANDARD</StorageClass></Contents><CommonPrefixes><Prefix>a{sent}/d/</Prefix></CommonPrefixes>"
    )
    page = xml_listings.parse_list(document)
    assert (page.keys, page.prefixes) == ([f"a{char}/{private}"], (f"a{char}/d/",))
    assert page.next_token == xml_listings.next_token(document) == f"a{char}/b&c"


@pytest.mark.parametrize(
    "text", ["<Prefix>a&#1;</Prefix", "<Prefix>&#32768000;</Prefix>", "<Prefix>\x01<</Prefix>"]
)
def test_what_is_no_xml_stays_an_error(text: str) -> None:
    with pytest.raises(ProtocolError, match="cannot be parsed"):
        xml_listings.parse_list(listing(text))
