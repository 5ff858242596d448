"""S3's parameters become headers, or are refused by name; the tables are those of S3's own model."""

import ast
import base64
import hashlib
import pickle
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import botocore.session
import pytest

import fsspec_guarded_s3
from fsspec_guarded_s3._values import attribute_values as values
from fsspec_guarded_s3._values.answer_fields import fields_of_answer
from fsspec_guarded_s3._values.attributes import NONE, Attributes
from fsspec_guarded_s3._values.checksums import DIGESTS
from fsspec_guarded_s3._values.s3_parameters import INSTEAD, PARAMETERS
from fsspec_guarded_s3.options import Options
from tests.options_table import DOCUMENT

MODEL = botocore.session.get_session().get_service_model("s3")
KEY = bytes(range(32))
KEY_TEXT = base64.b64encode(KEY).decode()
KEY_MD5 = base64.b64encode(hashlib.md5(KEY).digest()).decode()


def attributes(**given: Any) -> Attributes:
    return Attributes.parse(given, "call")


def headers(**given: Any) -> dict[str, str]:
    return attributes(**given).applied_to({})


# --- the tables ---


def operations_of_the_package() -> set[str]:
    """The names in every `Request("Name", ...)` of the package."""
    found = set()
    for path in Path(fsspec_guarded_s3.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            named = (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Request"
            )
            if named and isinstance(node.args[0], ast.Constant):  # type: ignore[attr-defined]
                found.add(node.args[0].value)  # type: ignore[attr-defined]
    return found & set(MODEL.operation_names)


def test_the_operations_of_the_package_are_found() -> None:
    """The test below would hold for none too."""
    assert {"PutObject", "HeadObject", "ListObjectsV2", "CopyObject"} <= operations_of_the_package()


@pytest.mark.parametrize("operation", sorted(operations_of_the_package()))
def test_each_parameter_goes_to_the_operations_that_take_it_under_its_header(operation: str) -> None:
    shape = MODEL.operation_model(operation).input_shape
    taken = {
        name: member.serialization["name"].lower()
        for name, member in (shape.members if shape else {}).items()
        if member.serialization.get("location") in ("header", "headers")
    }
    ours = {name: p.header for name, p in PARAMETERS.items() if operation in p.operations}
    assert ours == {name: header for name, header in taken.items() if name in ours}
    everywhere = {name for name, p in PARAMETERS.items() if p.kind == "access"}
    assert everywhere & set(taken) <= set(ours)


def test_every_header_that_a_write_can_carry_is_known_or_refused_with_what_to_do() -> None:
    """Of the model of today: those that came later than this list are refused as unknown."""
    later = {"ObjectLockEventHold", "ObjectLockEventHoldDurationDays", "ObjectLockEventHoldDurationYears"}
    for operation in ("PutObject", "CreateMultipartUpload", "CopyObject"):
        for name, member in MODEL.operation_model(operation).input_shape.members.items():
            if member.serialization.get("location") in ("header", "headers") and name not in later:
                known = name in PARAMETERS or name in INSTEAD
                assert known or name.startswith(("Checksum", "CopySourceIf", "WriteOffset", "Annotation")), (
                    name
                )


def test_every_parameter_is_in_the_document() -> None:
    section = DOCUMENT.read_text().split("## Attributes of objects")[1].split("\n## ")[0]
    documented = set(re.findall(r"`([A-Z]\w+)`", section))
    derived = {name for name in PARAMETERS if name.endswith(("CustomerAlgorithm", "CustomerKeyMD5"))}
    words = {
        "CRC32",
        "CRC32C",
        "CRC64NVME",
        *(digest.upper() for digest in DIGESTS),
        "COPY",
        "EXCLUDE",
        "REPLACE",
        "AES256",
        "GOVERNANCE",
        "COMPLIANCE",
        "ON",
        "OFF",
    }
    assert documented - words == set(PARAMETERS) - derived


@pytest.mark.parametrize(
    "shape, words",
    [("ObjectCannedACL", values.CANNED_ACLS), ("BucketCannedACL", values.BUCKET_ACLS)],
)
def test_words_are_those_of_the_model(shape: str, words: tuple[str, ...]) -> None:
    assert set(words) == set(MODEL.shape_for(shape).enum)


def test_encryptions_are_in_the_model() -> None:
    assert {"AES256", "aws:kms", "aws:kms:dsse"} <= set(values.ENCRYPTIONS)
    assert set(values.ENCRYPTIONS) - {"aws:fsx"} <= set(MODEL.shape_for("ServerSideEncryption").enum)


# --- values ---

TIME = datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1)))
AS_SENT: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"ContentType": "text/csv"}, {"content-type": "text/csv"}),
    ({"ContentType": None}, {}),
    ({"Metadata": {"Owner_1": "me", "b": ""}}, {"x-amz-meta-owner_1": "me", "x-amz-meta-b": ""}),
    ({"Tagging": {"a b": "ü&=", "c": ""}}, {"x-amz-tagging": "a%20b=%C3%BC%26%3D&c="}),
    ({"Tagging": "a=1&b=2"}, {"x-amz-tagging": "a=1&b=2"}),
    ({"Expires": TIME}, {"expires": "Wed, 02 Jan 2030 02:04:05 GMT"}),
    ({"Expires": "2030-01-02T02:04:05Z"}, {"expires": "Wed, 02 Jan 2030 02:04:05 GMT"}),
    ({"Expires": "Wed, 02 Jan 2030 02:04:05 GMT"}, {"expires": "Wed, 02 Jan 2030 02:04:05 GMT"}),
    ({"StorageClass": "GLACIER_IR"}, {"x-amz-storage-class": "GLACIER_IR"}),
    ({"ACL": "public-read"}, {"x-amz-acl": "public-read"}),
    ({"ServerSideEncryption": "AES256"}, {"x-amz-server-side-encryption": "AES256"}),
    (
        {"ServerSideEncryption": "aws:kms:dsse", "SSEKMSKeyId": "id", "BucketKeyEnabled": False},
        {
            "x-amz-server-side-encryption": "aws:kms:dsse",
            "x-amz-server-side-encryption-aws-kms-key-id": "id",
            "x-amz-server-side-encryption-bucket-key-enabled": "false",
        },
    ),
    (
        {"ServerSideEncryption": "aws:kms", "SSEKMSEncryptionContext": {"a": "b"}},
        {
            "x-amz-server-side-encryption": "aws:kms",
            "x-amz-server-side-encryption-context": base64.b64encode(b'{"a": "b"}').decode(),
        },
    ),
    (
        {
            "ObjectLockMode": "GOVERNANCE",
            "ObjectLockRetainUntilDate": TIME,
            "ObjectLockLegalHoldStatus": "ON",
        },
        {
            "x-amz-object-lock-mode": "GOVERNANCE",
            "x-amz-object-lock-retain-until-date": "2030-01-02T02:04:05.000Z",
            "x-amz-object-lock-legal-hold": "ON",
        },
    ),
    ({"RequestPayer": "requester"}, {"x-amz-request-payer": "requester"}),
    (
        {"SSECustomerKey": KEY},
        {
            "x-amz-server-side-encryption-customer-algorithm": "AES256",
            "x-amz-server-side-encryption-customer-key": KEY_TEXT,
            "x-amz-server-side-encryption-customer-key-md5": KEY_MD5,
        },
    ),
    ({"CopySourceSSECustomerKey": KEY, "MetadataDirective": "REPLACE"}, {}),
]


@pytest.mark.parametrize("given, sent", AS_SENT)
def test_a_parameter_becomes_the_header_of_a_write(given: dict[str, Any], sent: dict[str, str]) -> None:
    assert headers(**given) == sent


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"ContentTyp": "x"}, TypeError, "call does not take ContentTyp; did you mean ContentType?"),
    ({"contenttype": "x"}, TypeError, "call does not take contenttype; did you mean ContentType?"),
    ({"chunksize": 1}, TypeError, "call does not take chunksize"),
    ({"IfMatch": "e"}, TypeError, "does not take IfMatch: pass if_match="),
    ({"Body": b""}, TypeError, "does not take Body: the bytes are an argument"),
    ({"ContentMD5": "x"}, TypeError, "leave it out: a CRC is sent"),
    ({"ContentType": 1}, TypeError, "ContentType must be str, not int"),
    ({"ContentType": ""}, ValueError, "ContentType must not be empty"),
    ({"ContentType": "a\r\nx-evil: 1"}, ValueError, "ContentType must be printable ASCII"),
    ({"ContentDisposition": "attachment; filename=ü"}, ValueError, "urllib.parse.quote"),
    ({"CacheControl": " no-cache"}, ValueError, "begins or ends with white space"),
    ({"Metadata": [("a", "b")]}, TypeError, "Metadata must be a dict of str, not list"),
    ({"Metadata": {"a": 1}}, TypeError, "Metadata['a'] must be str, not int"),
    ({"Metadata": {"a": "ü"}}, ValueError, "Metadata['a'] must be printable ASCII"),
    ({"Metadata": {"a b": "x"}}, ValueError, "'a b' cannot be the name of a header"),
    ({"Metadata": {"A": "x", "a": "y"}}, ValueError, "is there twice"),
    ({"Metadata": {"a": "x" * 2048}}, ValueError, "2049 bytes in names and values; S3 holds at most 2048"),
    ({"Metadata": {"gs3-write-token": "x"}}, ValueError, "recognises its own writes"),
    ({"Tagging": 1}, TypeError, "Tagging must be a dict of str, not int"),
    ({"Tagging": "a"}, ValueError, 'must be a dict or text like "a=1&b=2"'),
    ({"Tagging": "a=1&a=2"}, ValueError, "names a tag twice"),
    ({"Tagging": {"a": 1}}, TypeError, "must be a dict of str; 'a' is not"),
    ({"Tagging": {str(n): "" for n in range(11)}}, ValueError, "11 tags; S3 holds at most 10"),
    ({"Tagging": {"k" * 129: ""}}, ValueError, "1 to 128"),
    ({"Expires": "soon"}, ValueError, "Expires must be a datetime or a date as"),
    ({"Expires": datetime(2030, 1, 1)}, ValueError, "Expires must have a time zone"),
    ({"Expires": 5}, TypeError, "Expires must be datetime or str, not int"),
    ({"ACL": "public"}, ValueError, "ACL must be one of private, public-read"),
    ({"ACL": "private", "GrantRead": "id=1"}, ValueError, "ACL and Grant... exclude each other"),
    ({"ServerSideEncryption": "aes256"}, ValueError, "ServerSideEncryption must be one of AES256, aws:kms"),
    ({"SSEKMSKeyId": "id"}, ValueError, "SSEKMSKeyId needs ServerSideEncryption='aws:kms'"),
    ({"BucketKeyEnabled": "true"}, TypeError, "BucketKeyEnabled must be bool, not str"),
    (
        {"ServerSideEncryption": "aws:kms", "SSEKMSEncryptionContext": "x"},
        ValueError,
        "must be a dict, or the base64 text of its JSON",
    ),
    ({"ObjectLockMode": "GOVERNANCE"}, ValueError, "ObjectLockRetainUntilDate go together"),
    ({"ObjectLockLegalHoldStatus": True}, TypeError, "ObjectLockLegalHoldStatus must be str"),
    ({"SSECustomerKey": KEY_TEXT}, ValueError, "the 32 bytes of an AES-256 key (not base64), not 44 bytes"),
    ({"SSECustomerKey": 5}, TypeError, "SSECustomerKey must be bytes, not int"),
    ({"SSECustomerKey": KEY, "SSECustomerKeyMD5": "x"}, ValueError, "is not the digest of SSECustomerKey"),
    ({"SSECustomerAlgorithm": "AES256"}, ValueError, "need SSECustomerKey"),
    ({"SSECustomerKey": KEY, "ServerSideEncryption": "AES256"}, ValueError, "exclude each other"),
    ({"RequestPayer": "me"}, ValueError, "RequestPayer must be one of requester"),
    ({"ExpectedBucketOwner": 123456789012}, ValueError, "12 digits as str"),
    ({"ChecksumAlgorithm": "SHA3"}, ValueError, "ChecksumAlgorithm must be one of CRC32"),
]


@pytest.mark.parametrize("given, kind, words", REFUSED)
def test_what_cannot_be_sent_as_it_is_is_refused(
    given: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        attributes(**given)
    assert words in str(caught.value)


def test_metadata_of_two_kilobytes_is_taken() -> None:
    assert headers(Metadata={"a": "x" * 2047}) == {"x-amz-meta-a": "x" * 2047}


# --- combining ---


def test_encryption_metadata_and_acl_are_replaced_as_a_whole() -> None:
    before = headers(ServerSideEncryption="aws:kms", SSEKMSKeyId="id", Metadata={"a": "1"}, ContentType="t/t")
    assert attributes(ServerSideEncryption="AES256").applied_to(before) == {
        "x-amz-server-side-encryption": "AES256",
        "x-amz-meta-a": "1",
        "content-type": "t/t",
    }
    assert "x-amz-meta-a" not in attributes(Metadata={}).applied_to(before)
    kms = attributes(ServerSideEncryption="aws:kms", SSEKMSKeyId="id")
    assert kms.overlaid(attributes(SSECustomerKey=KEY)) == attributes(SSECustomerKey=KEY)
    grant = attributes(GrantRead="id=1", CacheControl="x")
    assert grant.overlaid(attributes(ACL="private")).applied_to({}) == {
        "x-amz-acl": "private",
        "cache-control": "x",
    }


def test_nothing_over_something_changes_nothing() -> None:
    some = attributes(ContentType="t/t")
    assert some.overlaid(NONE) == some == NONE.overlaid(some)
    assert (bool(NONE), bool(some), bool(attributes(Metadata={}))) == (False, True, True)


def test_a_filesystems_key_reads_the_sources_of_copies_too() -> None:
    standing = Options.parse({"s3_additional_kwargs": {"SSECustomerKey": KEY}}).attributes().standing()
    assert set(standing) == {
        "PutObject", "CreateMultipartUpload", "CopyObject", "UploadPart", "UploadPartCopy",
        "CompleteMultipartUpload", "ListParts", "GetObject", "GetObjectAttributes", "HeadObject",
    }  # fmt: skip
    source = "x-amz-copy-source-server-side-encryption-customer-key"
    assert {name for name, sent in standing.items() if source in sent} == {"CopyObject", "UploadPartCopy"}


def test_options_with_attributes_are_values() -> None:
    """Pools are shared by options, and options are pickled."""
    given = {"s3_additional_kwargs": {"SSECustomerKey": KEY, "CacheControl": "x"}, "requester_pays": True}
    options = Options.parse(given)
    assert options == Options.parse(given) == pickle.loads(pickle.dumps(options))
    assert hash(options) == hash(Options.parse(given))
    assert options != Options.parse({"requester_pays": True})


def test_a_customers_key_is_in_no_repr() -> None:
    options = Options.parse({"s3_additional_kwargs": {"SSECustomerKey": KEY}})
    for shown in (repr(options), repr(options.attributes()), str(attributes(SSECustomerKey=KEY))):
        assert KEY_TEXT not in shown
        assert "SSECustomerKey" in shown


def test_directives_are_of_one_copy_and_not_of_a_filesystem() -> None:
    with pytest.raises(
        ValueError, match="s3_additional_kwargs has directives of a copy: pass them to cp_file"
    ):
        Options.parse({"s3_additional_kwargs": {"MetadataDirective": "REPLACE"}})
    with pytest.raises(TypeError, match="s3_additional_kwargs must be a dict of S3 parameters, not list"):
        Options.parse({"s3_additional_kwargs": []})


def test_what_s3_told_has_s3s_names_and_types() -> None:
    assert fields_of_answer(
        {
            "content-encoding": "gzip",
            "x-amz-server-side-encryption": "aws:kms",
            "x-amz-server-side-encryption-bucket-key-enabled": "true",
            "x-amz-tagging-count": "2",
            "x-amz-restore": 'ongoing-request="true"',
            "etag": '"e"',
            "x-amz-meta-a": "1",
        }
    ) == {
        "ContentEncoding": "gzip",
        "ServerSideEncryption": "aws:kms",
        "BucketKeyEnabled": True,
        "TagCount": 2,
        "Restore": 'ongoing-request="true"',
    }
