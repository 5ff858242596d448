"""Paths: what is a bucket, what is a key, and that keys stay as they are."""

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._values import paths
from fsspec_guarded_s3._values.paths import S3Path, parse, parse_object, strip_protocol

ACCESS_POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine"


@pytest.mark.parametrize(
    "url, stripped",
    [
        ("gs3://bucket/key", "bucket/key"),
        ("guarded-s3://bucket/key", "bucket/key"),
        ("gs3::bucket/key", "bucket/key"),
        ("/bucket/key", "bucket/key"),
        ("bucket/key", "bucket/key"),
        ("gs3://", ""),
        ("s3://bucket/key", "s3://bucket/key"),
        ("gs3://bucket/a//b/./../c%2F", "bucket/a//b/./../c%2F"),
    ],
)
def test_strip_protocol_takes_the_protocol_only(url: str, stripped: str) -> None:
    assert strip_protocol(url) == stripped


@pytest.mark.parametrize(
    "path, parsed",
    [
        ("bucket", S3Path("bucket")),
        ("bucket/", S3Path("bucket")),
        ("bucket/a/b", S3Path("bucket", "a/b")),
        ("bucket/a//b", S3Path("bucket", "a//b")),
        ("bucket//a", S3Path("bucket", "/a")),
        ("bucket/./../%41+ ", S3Path("bucket", "./../%41+ ")),
        ("bucket/grün", S3Path("bucket", "grün")),
        ("bucket/http://x", S3Path("bucket", "http://x")),
        (ACCESS_POINT, S3Path(ACCESS_POINT)),
        (f"{ACCESS_POINT}/a/b", S3Path(ACCESS_POINT, "a/b")),
        (f"{ACCESS_POINT}/a\nb", S3Path(ACCESS_POINT, "a\nb")),
        (ACCESS_POINT.replace("accesspoint/", "accesspoint:") + "/k", None),
    ],
)
def test_parse_splits_at_the_first_slash_and_keeps_the_key(path: str, parsed: S3Path | None) -> None:
    wanted = parsed or S3Path(ACCESS_POINT.replace("accesspoint/", "accesspoint:"), "k")
    assert parse(path) == wanted


@pytest.mark.parametrize("bucket", ["abc", "a.b-c", "My_Old_Bucket", "1234"])
def test_bucket_names_that_s3_has_are_accepted(bucket: str) -> None:
    assert parse(bucket).bucket == bucket


@pytest.mark.parametrize(
    "bucket", ["ab", "-abc", "abc-", "a..b", "192.168.0.1", "a b", "bücket", "a" * 256, "abc\n", "abc?"]
)
def test_bucket_names_that_s3_refuses_are_a_value_error(bucket: str) -> None:
    with pytest.raises(ValueError, match=r"bucket name .* is not valid"):
        parse(bucket + "/key")


@pytest.mark.parametrize("key", ["k" * 1024, "ü" * 512, "\U0001f600" * 256])
def test_a_key_may_have_1024_bytes_and_no_more(key: str) -> None:
    assert parse(f"bucket/{key}").key == key
    with pytest.raises(ValueError, match="at most 1024"):
        parse(f"bucket/{key}k")


def test_a_key_that_is_not_unicode_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="not valid Unicode"):
        parse("bucket/\ud800")


@pytest.mark.parametrize("path", ["bucket", "bucket/"])
def test_parse_object_refuses_a_bucket_alone(path: str) -> None:
    with pytest.raises(IsADirectoryError, match="names a bucket"):
        parse_object(path)


def test_a_path_can_be_printed_and_parsed_again() -> None:
    for text in ["bucket", "bucket/a//b", f"{ACCESS_POINT}/a"]:
        assert str(parse(text)) == text


@pytest.mark.parametrize("path", ["AKIA:hush@bucket/key", "AKIA:hush@bucket", "s3://AKIA:hush@bucket/key"])
def test_credentials_in_a_path_are_refused_and_not_shown(path: str) -> None:
    with pytest.raises(ValueError, match="credentials do not go into URLs: pass key and secret") as caught:
        parse(path)
    assert "hush" not in str(caught.value) and "AKIA" not in str(caught.value)
    assert [parse(f"bucket/{key}").key for key in ("a@b", "x://y@z/k")] == ["a@b", "x://y@z/k"]


def test_the_filesystem_strips_lists_and_trailing_slashes() -> None:
    strip = GuardedS3FileSystem._strip_protocol
    assert strip(["gs3://bucket/d/", "/bucket/k"]) == ["bucket/d", "bucket/k"]
    assert GuardedS3FileSystem._parent("gs3://bucket/d/k") == "bucket/d"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost",
        "localhost.",
        "minio.localhost",
        "bucket.minio.localhost.",
        "127.0.0.1",
        "127.1.2.3",
        "::1",
        "[::1]",
        "0.0.0.0",
        "::",
        "::ffff:127.0.0.1",
    ],
)
def test_loopback_hosts_are_this_machine(host: str) -> None:
    assert paths.is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "127.example.com",
        "example.com",
        "10.0.0.1",
        "localhost.example.com",
        "notlocalhost",
        "1.0.0.0",
        "2001:db8::1",
        "::ffff:10.0.0.1",
        "",
    ],
)
def test_a_name_that_only_looks_like_loopback_is_another_host(host: str) -> None:
    """Plain http to it would show credentials on the way."""
    assert not paths.is_loopback(host)
