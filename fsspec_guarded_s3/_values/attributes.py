"""The attributes of an object: S3's parameter names <-> request headers, checked before anything is sent.

Invariants: an `Attributes` that exists can be sent; a customer's key is in no repr. Metadata, encryption and
grants are each replaced as a whole, never mixed from two sources.
Names and operations: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import attribute_values as values
from .attribute_values import META, Check
from .keywords import keywords_of, takes_any_keyword, unknown

WRITES = frozenset({"PutObject", "CreateMultipartUpload", "CopyObject"})
# What reads or writes the bytes of an object, and so needs the key that they are encrypted with.
KEYED = WRITES | {
    "UploadPart",
    "UploadPartCopy",
    "CompleteMultipartUpload",
    "ListParts",
    "GetObject",
    "HeadObject",
}
COPIES = frozenset({"CopyObject", "UploadPartCopy"})
PAID = KEYED | {
    "AbortMultipartUpload",
    "DeleteObject",
    "DeleteObjects",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectTagging",
    "ListMultipartUploads",
    "ListObjectVersions",
    "ListObjectsV2",
    "PutObjectAcl",
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
    kind: str = "content"  # content | place | access | checksum | copy


_CUSTOMER = "x-amz-server-side-encryption-customer-"
_SOURCE = "x-amz-copy-source-server-side-encryption-customer-"
_SSE = "x-amz-server-side-encryption"
CUSTOMER_KEY = frozenset({_CUSTOMER + "key", _SOURCE + "key"})
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
    "ServerSideEncryption": Parameter(_SSE, check=values.one_of(*values.ENCRYPTIONS), kind="place"),
    "SSEKMSKeyId": Parameter(_SSE + "-aws-kms-key-id", kind="place"),
    "SSEKMSEncryptionContext": Parameter(_SSE + "-context", check=values.context, kind="place"),
    "BucketKeyEnabled": Parameter(_SSE + "-bucket-key-enabled", check=values.flag, kind="place"),
    "ObjectLockMode": Parameter(
        "x-amz-object-lock-mode", check=values.one_of("GOVERNANCE", "COMPLIANCE"), kind="place"
    ),
    "ObjectLockRetainUntilDate": Parameter(
        "x-amz-object-lock-retain-until-date", check=values.iso_date, kind="place"
    ),
    "ObjectLockLegalHoldStatus": Parameter(
        "x-amz-object-lock-legal-hold", check=values.one_of("ON", "OFF"), kind="place"
    ),
    "SSECustomerAlgorithm": Parameter(_CUSTOMER + "algorithm", KEYED, values.one_of("AES256"), "access"),
    "SSECustomerKey": Parameter(_CUSTOMER + "key", KEYED, values.customer_key, "access"),
    "SSECustomerKeyMD5": Parameter(_CUSTOMER + "key-md5", KEYED, kind="access"),
    "CopySourceSSECustomerAlgorithm": Parameter(
        _SOURCE + "algorithm", COPIES, values.one_of("AES256"), "access"
    ),
    "CopySourceSSECustomerKey": Parameter(_SOURCE + "key", COPIES, values.customer_key, "access"),
    "CopySourceSSECustomerKeyMD5": Parameter(_SOURCE + "key-md5", COPIES, kind="access"),
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
    "ChecksumType": "leave it out: checksums are those of the whole object",
    "ChecksumMode": "use the storage option verify_checksums",
    "batch_size": "leave it out; the storage option max_concurrency is the upper bound",
    "max_concurrency": "leave it out; it is a storage option",
    "chunksize": "leave it out; part_size and range_size are storage options",
    "preserve_etag": "leave it out; the ETag of a copy is the store's",
    "data": "an object that has content is written by pipe_file",
}
_ENCRYPTION = frozenset(name for name, parameter in PARAMETERS.items() if parameter.header.startswith(_SSE))
_OF_SOURCE = frozenset(name for name in PARAMETERS if name.startswith("CopySource"))
# What goes together: naming one of a group replaces the others of it.
_GROUPS = (
    frozenset({"Metadata"}),
    _ENCRYPTION,
    _OF_SOURCE,
    frozenset(name for name in PARAMETERS if name == "ACL" or name.startswith("Grant")),
    frozenset({"ObjectLockMode", "ObjectLockRetainUntilDate"}),
)


Taker = str | Callable[..., Any]  # a method, or what to call one


class Item(NamedTuple):
    """One parameter, as a header."""

    parameter: str
    header: str
    value: str


@dataclass(frozen=True, slots=True, repr=False)
class Attributes:
    """Checked parameters of S3 for one object, or for all of a filesystem."""

    items: tuple[Item, ...] = ()
    names: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<Attributes {', '.join(sorted(self.names))}>"

    def __bool__(self) -> bool:
        return bool(self.names)

    def identity(self) -> list[tuple[str, str]]:
        """What tells these from others, in one order: headers and values; of a customer's key the digest.

        S3 names that digest in its answers, so nothing is given away by it.
        """
        return sorted((item.header, item.value) for item in self.items if item.header not in CUSTOMER_KEY)

    @classmethod
    def parse(cls, given: Mapping[str, Any], taker: Taker) -> Attributes:
        """Check `given`, in S3's names; None stands for nothing. `taker` is whom an error is about.

        Raises TypeError for a parameter that S3 does not have here, ValueError for a value that it refuses.
        """
        items: list[Item] = []
        wanted = {name: value for name, value in given.items() if value is not None}
        for name, value in wanted.items():
            parameter = PARAMETERS.get(name)
            if parameter is None:
                raise _not_taken(taker, name)
            if name == "Metadata":
                items += [Item(name, META + key, text) for key, text in values.metadata(value).items()]
            else:
                items.append(Item(name, parameter.header, parameter.check(name, value)))
        items += _derived_from_keys(wanted)
        found = cls(tuple(items), frozenset(wanted) | {item.parameter for item in items})
        found._check_combinations(_name(taker))
        return found

    @classmethod
    def parse_reading(cls, given: Mapping[str, Any], taker: Taker) -> Attributes:
        """Check `given` for a read; errors as of `parse`, and TypeError for what only a write takes."""
        found = cls.parse(given, taker)
        writing = found.names - found.of_kinds("access").names
        if writing:
            raise TypeError(f"{_name(taker)} does not take {', '.join(sorted(writing))}: that is for writing")
        return found

    def _check_combinations(self, taker: str) -> None:
        has = self.names
        sent = {item.parameter: item.value for item in self.items}
        for prefix in ("SSECustomer", "CopySourceSSECustomer"):
            if has & {prefix + "KeyMD5", prefix + "Algorithm"} and prefix + "Key" not in has:
                raise ValueError(f"{taker}: {prefix}Algorithm and {prefix}KeyMD5 need {prefix}Key")
        if "SSECustomerKey" in has and has & _ENCRYPTION - {n for n in has if n.startswith("SSECustomer")}:
            raise ValueError(f"{taker}: SSECustomerKey and ServerSideEncryption exclude each other")
        kms = {"SSEKMSKeyId", "SSEKMSEncryptionContext"} & has
        if kms and not sent.get("ServerSideEncryption", "").startswith("aws:kms"):
            raise ValueError(
                f"{taker}: {', '.join(sorted(kms))} needs ServerSideEncryption='aws:kms' beside it"
            )
        if len(has & {"ObjectLockMode", "ObjectLockRetainUntilDate"}) == 1:
            raise ValueError(f"{taker}: ObjectLockMode and ObjectLockRetainUntilDate go together")
        if "ACL" in has and any(name.startswith("Grant") for name in has):
            raise ValueError(f"{taker}: ACL and Grant... exclude each other")

    # --- combining ---

    def overlaid(self, more: Attributes) -> Attributes:
        """These parameters, and `more` in place of those that they replace."""
        if not more or not self:
            return more or self
        dropped = set(more.names)
        for group in _GROUPS:
            if more.names & group:
                dropped |= group
        kept = tuple(item for item in self.items if item.parameter not in dropped)
        return Attributes((*kept, *more.items), (self.names - dropped) | more.names)

    def of_kinds(self, *kinds: str) -> Attributes:
        """The parameters of some kinds: content, place, access, checksum or copy."""
        names = frozenset(name for name in self.names if PARAMETERS[name].kind in kinds)
        return Attributes(tuple(item for item in self.items if item.parameter in names), names)

    def of_source(self) -> Attributes:
        """What reads the source of a copy, as parameters for reading it."""
        prefix = "CopySource"
        items = [
            Item(item.parameter[len(prefix) :], item.header.replace(_SOURCE, _CUSTOMER), item.value)
            for item in self.items
            if item.parameter in _OF_SOURCE
        ]
        return Attributes(tuple(items), frozenset(item.parameter for item in items))

    def with_source(self) -> Attributes:
        """These parameters, for a copy whose source is encrypted with the same customer's key."""
        items = [
            Item("CopySource" + item.parameter, item.header.replace(_CUSTOMER, _SOURCE), item.value)
            for item in self.items
            if item.parameter.startswith("SSECustomer")
        ]
        source = Attributes(tuple(items), frozenset(item.parameter for item in items))
        return source.overlaid(self)

    def changes_access(self) -> bool:
        """Whether requests about the object carry other headers for these."""
        return bool(self.of_kinds("access", "checksum") or self.names & _ENCRYPTION)

    # --- as headers ---

    def applied_to(self, headers: Mapping[str, str]) -> dict[str, str]:
        """`headers` of a write, with these over them."""
        prefixes = [META] if "Metadata" in self.names else []
        prefixes += [_SSE] if self.names & _ENCRYPTION else []
        kept = {name: value for name, value in headers.items() if not name.startswith(tuple(prefixes))}
        taken = (item for item in self.items if "PutObject" in PARAMETERS[item.parameter].operations)
        return kept | {item.header: item.value for item in taken}

    def standing(self) -> dict[str, dict[str, str]]:
        """The headers that give access, by operation: every request of that operation carries them."""
        found: dict[str, dict[str, str]] = {}
        for item in self.items:
            parameter = PARAMETERS[item.parameter]
            for operation in parameter.operations if parameter.kind in ("access", "checksum") else ():
                found.setdefault(operation, {})[item.header] = item.value
        return found

    def checksum_algorithm(self) -> str:
        """By which algorithm what is written is checked."""
        given = (item.value for item in self.items if item.parameter == "ChecksumAlgorithm")
        return next(given, "CRC32").lower()

    def directive(self, name: str) -> str:
        """The value of MetadataDirective or TaggingDirective, "COPY" where it is not given."""
        return next((item.value for item in self.items if item.parameter == name), "COPY")


NONE = Attributes()


def _derived_from_keys(given: Mapping[str, Any]) -> Iterable[Item]:
    """The algorithm and the digest of each customer's key, which S3 wants beside it."""
    for prefix in ("SSECustomer", "CopySourceSSECustomer"):
        if prefix + "Key" not in given:
            continue
        digest = values.key_digest(prefix + "Key", given[prefix + "Key"])
        if given.get(prefix + "KeyMD5", digest) != digest:
            raise ValueError(f"{prefix}KeyMD5 is not the digest of {prefix}Key: leave it out")
        for name, value in (("Algorithm", "AES256"), ("KeyMD5", digest)):
            if prefix + name not in given:
                yield Item(prefix + name, PARAMETERS[prefix + name].header, value)


def check_names(given: Collection[str], taker: Callable[..., Any], passed_on_to: Callable[..., Any]) -> None:
    """Raise TypeError for a keyword of `taker` that is no parameter of S3, and not passed on either."""
    if given:
        takers = _takers(passed_on_to)
        for name in given:
            if name not in PARAMETERS and name not in keywords_of(*takers):
                raise _not_taken(taker, name, *takers)


def _takers(method: Callable[..., Any]) -> list[Callable[..., Any]]:
    """`method`, and those of its base classes that it may hand keywords on to."""
    takers = [method]
    overridden = [vars(cls).get(method.__name__) for cls in type(getattr(method, "__self__", None)).__mro__]
    for base in filter(callable, overridden):
        if not takes_any_keyword(takers[-1]):
            break
        takers.append(base)
    return takers


def _not_taken(taker: Taker, name: str, *others: Callable[..., Any]) -> TypeError:
    if name in INSTEAD:
        return TypeError(f"{_name(taker)} does not take {name}: {INSTEAD[name]}")
    own = () if isinstance(taker, str) else keywords_of(taker, *others)
    return unknown(_name(taker), name, [*PARAMETERS, *own])


def _name(taker: Taker) -> str:
    return taker if isinstance(taker, str) else taker.__name__


# What MetadataDirective decides about: S3 takes it from the source, or from the request.
_DESCRIBING = (
    META,
    *(PARAMETERS[name].header for name in ("CacheControl", "ContentDisposition", "ContentEncoding")),
    *(PARAMETERS[name].header for name in ("ContentLanguage", "ContentType", "Expires")),
)


def described(headers: Mapping[str, str]) -> dict[str, str]:
    """The part of `headers` that a copy takes from its source unless MetadataDirective is REPLACE."""
    return {name: value for name, value in headers.items() if name.startswith(_DESCRIBING)}


def undescribed(headers: Mapping[str, str]) -> dict[str, str]:
    """The part of `headers` that a copy does not take from its source with MetadataDirective COPY."""
    return {name: value for name, value in headers.items() if not name.startswith(_DESCRIBING)}


# --- what S3 tells about an object -----------------------------------------------------------------

_ANSWER_HEADERS = {
    parameter.header: name
    for name, parameter in PARAMETERS.items()
    if parameter.kind in ("content", "place")
    and name not in ("ContentType", "Metadata", "Tagging", "ACL", "StorageClass", "SSEKMSEncryptionContext")
    and not name.startswith("Grant")
} | {
    _CUSTOMER + "algorithm": "SSECustomerAlgorithm",
    _CUSTOMER + "key-md5": "SSECustomerKeyMD5",
    "x-amz-archive-status": "ArchiveStatus",
    "x-amz-expiration": "Expiration",
    "x-amz-mp-parts-count": "PartsCount",
    "x-amz-replication-status": "ReplicationStatus",
    "x-amz-request-charged": "RequestCharged",
    "x-amz-restore": "Restore",
    "x-amz-tagging-count": "TagCount",
}


def fields_of_answer(headers: Mapping[str, str]) -> dict[str, Any]:
    """The fields of an answer to HeadObject or GetObject beside size and ETag, in S3's names, as text.

    BucketKeyEnabled is a bool, TagCount and PartsCount are numbers.
    """
    found: dict[str, Any] = {
        name: values.decoded(headers[header]) for header, name in _ANSWER_HEADERS.items() if header in headers
    }
    if "BucketKeyEnabled" in found:
        found["BucketKeyEnabled"] = found["BucketKeyEnabled"] == "true"
    for name in ("TagCount", "PartsCount"):
        if str(found.get(name, "")).isdecimal():
            found[name] = int(found[name])
    return found
