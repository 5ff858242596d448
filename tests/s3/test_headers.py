"""Response headers become values, or a clear error."""

from datetime import datetime, timezone

import pytest

from fsspec_guarded_s3 import ProtocolError
from fsspec_guarded_s3._s3.headers import content_range, copy_source, object_info, seconds, written
from fsspec_guarded_s3._values.paths import S3Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes 0-0/1", (0, 1, 1)),
        ("bytes 5-9/10", (5, 10, 10)),
        ("bytes 5-9/*", (5, 10, None)),
        ("bytes 0-53687091199999/53687091200000", (0, 53687091200000, 53687091200000)),
    ],
)
def test_content_range_is_start_exclusive_stop_and_size(text: str, expected: tuple[int, int, int]) -> None:
    assert content_range({"content-range": text}) == expected


@pytest.mark.parametrize(
    "text",
    ["", "bytes", "bytes */10", "bytes 5-/10", "bytes -5/10", "bytes 0-9", "items 0-9/10", "bytes 0-9/ten"],
)
def test_content_range_that_names_no_range_is_a_protocol_error(text: str) -> None:
    with pytest.raises(ProtocolError, match="Content-Range"):
        content_range({"content-range": text})


def test_missing_content_range_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="Content-Range"):
        content_range({})


def test_object_info_without_headers_has_defaults() -> None:
    info = object_info({}, 0)
    assert (info.etag, info.size, info.last_modified, info.version_id) == ("", 0, None, None)
    assert (info.metadata, info.headers, info.tag_count, info.checksum) == ({}, {}, 0, None)
    assert info.storage_class == "STANDARD"


def test_object_info_takes_what_s3_told() -> None:
    info = object_info(
        {
            "etag": '"abc"',
            "last-modified": "Tue, 24 Nov 2026 04:18:36 GMT",
            "content-type": "text/plain",
            "x-amz-version-id": "v1",
            "x-amz-storage-class": "GLACIER_IR",
            "x-amz-tagging-count": "3",
            "x-amz-meta-owner": "me",
            "server": "nobody",
        },
        7,
    )
    assert info.last_modified == datetime(2026, 11, 24, 4, 18, 36, tzinfo=timezone.utc)
    assert (info.etag, info.size, info.content_type, info.version_id) == ('"abc"', 7, "text/plain", "v1")
    assert (info.storage_class, info.tag_count, info.metadata) == ("GLACIER_IR", 3, {"owner": "me"})


def test_last_modified_of_another_zone_is_shown_in_utc() -> None:
    info = object_info({"last-modified": "Tue, 24 Nov 2026 04:18:36 +0200"}, 0)
    assert info.last_modified == datetime(2026, 11, 24, 2, 18, 36, tzinfo=timezone.utc)


@pytest.mark.parametrize("text", ["yesterday", "0", "Tue, 99 Nov 2026 04:18:36 GMT"])
def test_last_modified_that_cannot_be_read_is_none_as_in_listings(text: str) -> None:
    assert object_info({"last-modified": text}, 0).last_modified is None


@pytest.mark.parametrize("text", ["", "many", "-1", "1.5"])
def test_tag_count_that_is_no_number_counts_as_none(text: str) -> None:
    assert object_info({"x-amz-tagging-count": text}, 0).tag_count == 0


def test_write_token_is_told_apart_from_the_users_metadata() -> None:
    info = object_info({"x-amz-meta-gs3-write-token": "t", "x-amz-meta-a": "1"}, 0)
    assert info.write_token == "t"
    assert info.metadata == {"a": "1"}
    assert "x-amz-meta-gs3-write-token" not in info.write_headers()


def test_write_headers_carry_all_that_a_replacing_copy_has_to_name_again() -> None:
    kept = {
        "cache-control": "no-cache",
        "content-disposition": "attachment",
        "content-encoding": "gzip",
        "content-language": "de",
        "expires": "Tue, 24 Nov 2026 04:18:36 GMT",
        "x-amz-website-redirect-location": "/elsewhere",
    }
    given = {**kept, "content-type": "text/plain", "x-amz-meta-a": "1", "x-amz-storage-class": "STANDARD_IA"}
    info = object_info({**given, "etag": '"e"', "x-amz-request-id": "r"}, 1)
    assert info.write_headers() == given


def test_standard_storage_class_is_not_named() -> None:
    assert object_info({"x-amz-storage-class": "STANDARD"}, 1).write_headers() == {}


@pytest.mark.parametrize("algorithm", ["crc32", "crc32c", "crc64nvme"])
def test_full_object_checksum_is_taken_with_its_algorithm(algorithm: str) -> None:
    headers = {f"x-amz-checksum-{algorithm}": "AAAAAA==", "x-amz-checksum-type": "FULL_OBJECT"}
    assert object_info(headers, 1).checksum == (algorithm, "AAAAAA==")


def test_checksum_without_a_type_is_one_of_the_whole_object() -> None:
    assert object_info({"x-amz-checksum-crc32": "AAAAAA=="}, 1).checksum == ("crc32", "AAAAAA==")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "COMPOSITE"},
        {"x-amz-checksum-crc32": "AAAAAA==-3"},
        {"x-amz-checksum-crc32": ""},
        {"x-amz-checksum-sha3": "AAAA"},
        {"x-amz-checksum-type": "FULL_OBJECT"},
    ],
)
def test_checksum_of_parts_or_of_no_known_kind_is_none(headers: dict[str, str]) -> None:
    assert object_info(headers, 1).checksum is None


def test_copy_source_names_the_version_and_pins_the_etag() -> None:
    headers = copy_source(S3Path("bucket", "a b/ü+%?~", "v/1"), "abc")
    assert headers == {
        "x-amz-copy-source": "/bucket/a%20b/%C3%BC%2B%25%3F~?versionId=v/1",
        "x-amz-copy-source-if-match": '"abc"',
    }


@pytest.mark.parametrize(
    ("text", "expected"), [("5", 5.0), ("0", 0.0), ("", 0.0), ("soon", 0.0), ("-1", 0.0)]
)
def test_retry_after_is_seconds_or_nothing(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_written_takes_the_version_where_there_is_one() -> None:
    assert written({"x-amz-version-id": "v"}, '"e"') == ('"e"', "v", "")
    assert written({}, '"e"') == ('"e"', None, "")
