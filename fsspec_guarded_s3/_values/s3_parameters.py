"""The parameters of S3's API that this package takes: their headers, their operations, the checks of their
values.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

from typing import NamedTuple

from . import attribute_values as values
from .attribute_values import Check
from .models import META

WRITES = frozenset({"PutObject", "CreateMultipartUpload", "CopyObject"})
# What reads or writes the bytes of an object, and so needs the key that they are encrypted with.
KEYED = WRITES | {
    "UploadPart",
    "UploadPartCopy",
    "CompleteMultipartUpload",
    "ListParts",
    "GetObject",
    "GetObjectAttributes",
    "HeadObject",
}
COPIES = frozenset({"CopyObject", "UploadPartCopy"})
PAID = KEYED | {
    "AbortMultipartUpload",
    "DeleteObject",
    "DeleteObjectAnnotation",
    "DeleteObjects",
    "GetObjectAcl",
    "GetObjectAnnotation",
    "GetObjectTagging",
    "ListMultipartUploads",
    "ListObjectAnnotations",
    "ListObjectVersions",
    "ListObjectsV2",
    "PutObjectAcl",
    "PutObjectAnnotation",
    "PutObjectTagging",
    "RestoreObject",
}
OWNED = PAID | {
    "DeleteBucket",
    "DeleteObjectTagging",
    "GetBucketAcl",
    "GetBucketLocation",
    "GetBucketVersioning",
    "HeadBucket",
    "PutBucketAcl",
    "PutBucketVersioning",
}


class Parameter(NamedTuple):
    """A parameter of S3's API: its header, the operations that take it, and how its value is checked."""

    header: str
    operations: frozenset[str] = WRITES
    check: Check = values.text
    kind: str = "content"  # content | place | access | checksum | copy | copying


CUSTOMER = "x-amz-server-side-encryption-customer-"
SOURCE = "x-amz-copy-source-server-side-encryption-customer-"
SSE = "x-amz-server-side-encryption"
CUSTOMER_KEY = frozenset({CUSTOMER + "key", SOURCE + "key"})
_GRANTS = "x-amz-grant-"

PARAMETERS: dict[str, Parameter] = {
    "CacheControl": Parameter("cache-control"),
    "ContentDisposition": Parameter("content-disposition"),
    "ContentEncoding": Parameter("content-encoding"),
    "ContentLanguage": Parameter("content-language"),
    "ContentType": Parameter("content-type"),
    "Expires": Parameter("expires", check=values.http_date),
    "WebsiteRedirectLocation": Parameter("x-amz-website-redirect-location"),
    "Metadata": Parameter(META, check=values.refuse),  # one header for each name
    "Tagging": Parameter("x-amz-tagging", check=values.tagging),
    "ACL": Parameter("x-amz-acl", check=values.one_of(*values.CANNED_ACLS), kind="place"),
    "GrantFullControl": Parameter(_GRANTS + "full-control", kind="place"),
    "GrantRead": Parameter(_GRANTS + "read", kind="place"),
    "GrantReadACP": Parameter(_GRANTS + "read-acp", kind="place"),
    "GrantWriteACP": Parameter(_GRANTS + "write-acp", kind="place"),
    "StorageClass": Parameter("x-amz-storage-class", kind="place"),
    "ServerSideEncryption": Parameter(SSE, check=values.one_of(*values.ENCRYPTIONS), kind="place"),
    "SSEKMSKeyId": Parameter(SSE + "-aws-kms-key-id", kind="place"),
    "SSEKMSEncryptionContext": Parameter(SSE + "-context", check=values.context, kind="place"),
    "BucketKeyEnabled": Parameter(SSE + "-bucket-key-enabled", check=values.flag, kind="place"),
    "ObjectLockMode": Parameter(
        "x-amz-object-lock-mode", check=values.one_of("GOVERNANCE", "COMPLIANCE"), kind="place"
    ),
    "ObjectLockRetainUntilDate": Parameter(
        "x-amz-object-lock-retain-until-date", check=values.iso_date, kind="place"
    ),
    "ObjectLockLegalHoldStatus": Parameter(
        "x-amz-object-lock-legal-hold", check=values.one_of("ON", "OFF"), kind="place"
    ),
    "SSECustomerAlgorithm": Parameter(CUSTOMER + "algorithm", KEYED, values.one_of("AES256"), "access"),
    "SSECustomerKey": Parameter(CUSTOMER + "key", KEYED, values.customer_key, "access"),
    "SSECustomerKeyMD5": Parameter(CUSTOMER + "key-md5", KEYED, kind="access"),
    "CopySourceSSECustomerAlgorithm": Parameter(
        SOURCE + "algorithm", COPIES, values.one_of("AES256"), "access"
    ),
    "CopySourceSSECustomerKey": Parameter(SOURCE + "key", COPIES, values.customer_key, "access"),
    "CopySourceSSECustomerKeyMD5": Parameter(SOURCE + "key-md5", COPIES, kind="access"),
    "RequestPayer": Parameter("x-amz-request-payer", PAID, values.one_of("requester"), "access"),
    "ExpectedBucketOwner": Parameter("x-amz-expected-bucket-owner", OWNED, values.account, "access"),
    "ExpectedSourceBucketOwner": Parameter(
        "x-amz-source-expected-bucket-owner", COPIES, values.account, "access"
    ),
    "ChecksumAlgorithm": Parameter(
        "x-amz-checksum-algorithm",
        frozenset({"CreateMultipartUpload", "CopyObject"}),
        values.checksum_algorithm,
        "checksum",
    ),
    "MetadataDirective": Parameter(
        "x-amz-metadata-directive", frozenset({"CopyObject"}), values.one_of("COPY", "REPLACE"), "copy"
    ),
    "AnnotationDirective": Parameter(
        "x-amz-object-annotation-directive",
        frozenset({"CopyObject"}),
        values.one_of("COPY", "EXCLUDE"),
        "copying",
    ),
    "TaggingDirective": Parameter(
        "x-amz-tagging-directive", frozenset({"CopyObject"}), values.one_of("COPY", "REPLACE"), "copy"
    ),
}

# Parameters of S3 that something else stands for here.
INSTEAD: dict[str, str] = {
    "IfMatch": "pass if_match=",
    "IfNoneMatch": "pass mode='create', or open it with 'xb'",
    "VersionId": "name the version in the path",
    "Body": "the bytes are an argument of their own",
    "Bucket": "name the bucket in the path",
    "Key": "name the key in the path",
    "CopySource": "it is the first path",
    "Range": "pass start and end",
    "ContentLength": "leave it out: it is the size of what is written",
    "ContentMD5": "leave it out: a CRC is sent with every write",
    "ChecksumCRC32": "leave it out: by ChecksumAlgorithm it is worked out and sent with every write",
    "ChecksumType": "leave it out: it follows from ChecksumAlgorithm",
    "ChecksumMode": "use the storage option verify_checksums",
    "preserve_etag": "leave it out; the ETag of a copy is the store's",
    "data": "an object that has content is written by pipe_file",
}
ENCRYPTION = frozenset(name for name, parameter in PARAMETERS.items() if parameter.header.startswith(SSE))
OF_SOURCE = frozenset(name for name in PARAMETERS if name.startswith("CopySource"))
# What goes together: naming one of a group replaces the others of it.
GROUPS = (
    frozenset({"Metadata"}),
    ENCRYPTION,
    OF_SOURCE,
    frozenset(name for name in PARAMETERS if name == "ACL" or name.startswith("Grant")),
    frozenset({"ObjectLockMode", "ObjectLockRetainUntilDate"}),
)
