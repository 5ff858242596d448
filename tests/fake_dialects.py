"""Stores in memory that talk otherwise, by their public documentation: Google Cloud Storage, Cloudflare R2.

Google's: https://docs.cloud.google.com/storage/docs/xml-api/reference-headers, .../request-preconditions,
.../authentication/signatures, .../xml-api/delete-object, .../xml-api/post-object-complete. Its signatures are
worked out here once more from that text. Cloudflare's: https://developers.cloudflare.com/r2/api/s3/api/ and
.../conditional-operations/.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.fake_s3 import FakeS3, S3Error, StoredObject
from tests.scripted_server import Answer, Headers, Reply, Request

AWS4 = ("AWS4", "s3", "aws4_request", "x-amz-")
GOOG4 = ("GOOG4", "storage", "goog4_request", "x-goog-")
CHANGING = frozenset({"PUT", "POST", "DELETE"})


def check_signature(request: Request, secret: str) -> str:
    """Compare the signature in the Authorization header; returns the region that it is for."""
    headers = request.headers
    found = re.fullmatch(
        r"(AWS4|GOOG4)-HMAC-SHA256 Credential=[^/]+/([^/]+)/([^/]+)/([^/]+)/([^,]+), "
        r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})",
        headers.get("authorization", ""),
    )
    if not found:
        raise S3Error(403, "AccessDenied", "no signature")
    kind, day, region, service, end, names, signature = found.groups()
    _, own_service, own_end, prefix = AWS4 if kind == "AWS4" else GOOG4
    if (service, end) != (own_service, own_end):
        raise S3Error(403, "SignatureDoesNotMatch", "the scope is another's")
    signed = names.split(";")
    if [name for name in headers if name.startswith(prefix) and name not in signed]:
        raise S3Error(403, "AccessDenied", "headers that are not signed")
    path, _, query = request.target.partition("?")
    lines = [f"{name}:{' '.join(headers[name].split())}\n" for name in signed]
    payload = headers[f"{prefix}content-sha256"]
    canonical = "\n".join([request.method, path, query, "".join(lines), names, payload])
    scope = f"{day}/{region}/{service}/{end}"
    digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    to_sign = f"{kind}-HMAC-SHA256\n{headers[f'{prefix}date']}\n{scope}\n{digest}"
    key = (kind + secret).encode()
    for step in (day, region, service, end):
        key = hmac.new(key, step.encode(), "sha256").digest()
    if hmac.new(key, to_sign.encode(), "sha256").hexdigest() != signature:
        raise S3Error(403, "SignatureDoesNotMatch", "the signature is another one")
    return region


def _renamed(headers: Mapping[str, str], names: Mapping[str, str]) -> Headers:
    """`headers` with other names; those that have the name "" are gone."""
    pairs = [(names.get(name, name), value) for name, value in headers.items()]
    return Headers([(name, value) for name, value in pairs if name])


class FakeGCS(FakeS3):
    """Google Cloud Storage's XML API, with HMAC keys.

    `anonymous` takes requests that are not signed, `compares_on_complete` makes a store that has conditions
    on uploads in parts too.
    """

    def __init__(self, *buckets: str, secret: str = "s", anonymous: bool = False, **options: Any) -> None:
        super().__init__(*buckets, **{"min_part_size": 5 * 2**20, **options})
        self.ignored = frozenset({"create_on_complete", "swap_on_complete", "delete_many"})
        self.tells_checksums = False
        self.secret = secret
        self.anonymous = anonymous
        self._known: dict[tuple[str, str], tuple[StoredObject, int]] = {}
        self._last = 1_700_000_000_000_000

    def generation(self, bucket: str, key: str) -> int:
        """The generation of what is there now, 0 of nothing."""
        stored = self.objects.get((bucket, key))
        if stored is None:
            return 0
        known = self._known.get((bucket, key))
        if known is None or known[0] is not stored:
            self._last += 17
            known = self._known[bucket, key] = stored, self._last
        return known[1]

    def __call__(self, request: Request) -> Answer:
        answer = super().__call__(request)
        if not isinstance(answer, Reply):
            return answer
        fields = {name: text for name, text in answer.headers.items() if name.lower() != "x-amz-request-id"}
        fields |= {"X-GUploader-UploadID": "ABPtcPo", "Server": "UploadServer"}
        return replace(answer, headers=fields)

    def _dispatch(self, request: Request) -> Reply:
        headers = request.headers
        kinds = {prefix for prefix in ("x-amz-", "x-goog-") for name in headers if name.startswith(prefix)}
        if len(kinds) > 1:
            raise S3Error(400, "InvalidArgument", "Requests cannot specify both x-amz and x-goog headers")
        own = "x-goog-" in kinds
        if not self.anonymous:
            check_signature(request, self.secret)
            if own is headers["authorization"].startswith("AWS4"):
                raise S3Error(403, "SignatureDoesNotMatch", "the words of one and the signature of another")
        bucket, _, key = request.path.removeprefix("/").partition("/")
        if request.method in CHANGING and key and "uploadId" not in request.query:
            self._check_generation(headers, bucket, key)
        if request.method == "DELETE" and key and not request.query and (bucket, key) not in self.objects:
            raise S3Error(404, "NoSuchKey", "The specified key does not exist.")
        if "partNumber" in request.query and {"x-amz-copy-source", "x-goog-copy-source"} & set(headers):
            raise S3Error(400, "InvalidArgument", "parts are not copied")
        reply = super()._dispatch(replace(request, headers=_understood(request)))
        return self._told(request, reply, bucket, key, own)

    def _check_generation(self, headers: Headers, bucket: str, key: str) -> None:
        wanted = headers.get("x-goog-if-generation-match")
        if wanted is not None and int(wanted) != self.generation(bucket, key):
            raise S3Error(412, "PreconditionFailed", "At least one of the pre-conditions did not hold.")

    def _told(self, request: Request, reply: Reply, bucket: str, key: str, own: bool) -> Reply:
        """The answer in Google's words."""
        fields = {name.lower(): text for name, text in reply.headers.items()}
        if not key:
            body = re.sub(rb"<KeyCount>\d+</KeyCount>", b"", reply.body)
            extra = b"</Key><Generation>1700000000000017</Generation><MetaGeneration>1</MetaGeneration>"
            body = body.replace(b"</Key><LastModified>", extra + b"<LastModified>")
            return replace(reply, body=body, headers=fields)
        if request.method in ("GET", "HEAD", "PUT") and self.generation(bucket, key):
            stored = self.objects[bucket, key]
            md5 = base64.b64encode(hashlib.md5(stored.body).digest()).decode()
            fields |= {
                "x-goog-generation": str(self.generation(bucket, key)),
                "x-goog-metageneration": "1",
                "x-goog-hash": f"crc32c=AAAAAA==,md5={md5}" if self.tells_checksums else f"md5={md5}",
                "x-goog-storage-class": "STANDARD",
                "x-goog-stored-content-encoding": "identity",
                "x-goog-stored-content-length": str(len(stored.body)),
            }
        if own or self.anonymous:
            fields = {re.sub(r"^x-amz-meta-", "x-goog-meta-", name): text for name, text in fields.items()}
        return replace(reply, headers=fields)


def _understood(request: Request) -> Headers:
    """The headers of a request by S3's names, without those that Google Cloud Storage does not know."""
    names = {name: re.sub(r"^x-goog-", "x-amz-", name) for name in request.headers}
    ignored = ("x-amz-checksum-", "x-amz-tagging", "x-amz-mp-object-size", "x-amz-sdk-")
    names |= {name: "" for name in names if name.startswith(ignored)}
    if request.method in CHANGING:
        names |= {"if-match": "", "if-none-match": ""}
    return _renamed(request.headers, names)


class FakeR2(FakeS3):
    """Cloudflare R2."""

    def __init__(self, *buckets: str, secret: str = "s", **options: Any) -> None:
        super().__init__(*buckets, **options)
        self.ignored = frozenset({"delete", "delete_many"})
        self.secret = secret

    def _dispatch(self, request: Request) -> Reply:
        headers, query = request.headers, request.query
        if check_signature(request, self.secret) not in ("auto", "us-east-1"):
            raise S3Error(400, "InvalidRegionName", "the region must be auto")
        if {"tagging", "acl", "versioning"} & set(query) or "x-amz-tagging" in headers:
            raise S3Error(501, "NotImplemented", "not implemented")
        if "uploads" in query and headers.get("x-amz-checksum-type") == "FULL_OBJECT":
            raise S3Error(400, "InvalidArgument", "the type of this checksum is COMPOSITE only")
        if "x-amz-copy-source" in headers and "partNumber" not in query:
            here = {"if-match": "", "if-none-match": ""}
            there = {f"cf-copy-destination-{name}": name for name in here}
            request = replace(request, headers=_renamed(headers, here | there))
        if request.method == "POST" and "uploadId" in query and query["uploadId"] in self.uploads:
            parts = self.uploads[query["uploadId"]].parts
            sizes = [len(parts[number].body) for number in sorted(parts)]
            if len(set(sizes[:-1])) > 1 or (len(sizes) > 1 and sizes[-1] > sizes[0]):
                raise S3Error(400, "InvalidPart", "All non-trailing parts must have the same length.")
        return super()._dispatch(request)
