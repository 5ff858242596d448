"""A small S3 in memory, strongly consistent, that keeps S3's conditions, or lies where it is told to.

    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        ...  # talk to server.url, path style
    assert fake.objects["bucket", "key"].body == b"..."

It answers what AWS answers, as far as the operation pages and recorded behaviour say, and 501 to what it
does not know. Signatures are not checked. Keys and ETags are kept as they are on the wire (ETags in
quotes). Everything happens under one lock, except the hooks `fault` and `after`, which may block.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, quote_plus, unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.scripted_server import Answer, Headers, Reply, Request, quoted, respond, s3_error

KEPT = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
)
LOCKS = {  # header, root and field of what tells it, by the name in the query
    "retention": ("x-amz-object-lock-mode", "Retention", "Mode"),
    "legal-hold": ("x-amz-object-lock-legal-hold", "LegalHold", "Status"),
}
CRC32 = "x-amz-checksum-crc32"
CONDITIONS = frozenset({"if-match", "if-none-match"})
CHECKED = ("x-amz-checksum-algorithm", "x-amz-checksum-type")

Fields = Sequence[tuple[str, object]]  # the children of an XML element


def md5_etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def crc32(body: bytes) -> str:
    """Return the CRC32 as S3 writes it."""
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class StoredObject:
    """An object; `headers` are the kept ones (content type and the like, x-amz-meta-*)."""

    body: bytes = field(repr=False)
    etag: str
    headers: Mapping[str, str]
    crc32: str | None = None
    modified: datetime = field(default_factory=now)
    tags: Mapping[str, str] = field(default_factory=dict)
    acl: str = "private"
    lock: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[bytes] = ()  # of an upload in parts

    @property
    def metadata(self) -> dict[str, str]:
        prefix = "x-amz-meta-"
        return {
            name.removeprefix(prefix): text for name, text in self.headers.items() if name.startswith(prefix)
        }


@dataclass(frozen=True)
class Part:
    body: bytes = field(repr=False)
    etag: str
    modified: datetime = field(default_factory=now)


@dataclass
class Upload:
    """A multipart upload that is open. `composite`: Complete must repeat the checksum of every part."""

    bucket: str
    key: str
    headers: Mapping[str, str]
    composite: bool
    parts: dict[int, Part] = field(default_factory=dict)
    initiated: datetime = field(default_factory=now)
    tags: Mapping[str, str] = field(default_factory=dict)
    acl: str = "private"
    lock: Mapping[str, str] = field(default_factory=dict)


class S3Error(Exception):
    """Ends a request with an error document."""

    def __init__(
        self, status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.reply = s3_error(status, code, message or code, headers=headers)


class FakeS3:
    """The handler of a ScriptedServer.

    `fault(request, fake)` is asked before a request is applied, `after(request, reply)` when it was: an
    answer of theirs goes out instead, so `after=lambda request, reply: close()` loses a response.
    `ignore_conditions` and `ignore_range` make a store that answers 200 and does as it likes; `ignored` are
    the guards that it ignores, by their names in `_write.guards.Guards`. `drops_tags` makes one that loses
    the tags of copies with other metadata and of uploads in parts.
    `etag_override` is the ETag that GET responses (not HEAD's) claim. `replay_ok` answers a repeated
    Complete as AWS does, instead of with NoSuchUpload. `min_part_size` is the least size of a part
    that is not the last. `refuse_delete(key)` is the code with which DeleteObjects answers for a key.
    """

    def __init__(
        self,
        *buckets: str,
        fault: Callable[[Request, FakeS3], Answer | None] | None = None,
        after: Callable[[Request, Reply], Answer | None] | None = None,
        ignore_conditions: bool = False,
        ignored: Collection[str] = (),
        drops_tags: bool = False,
        ignore_range: bool = False,
        etag_override: str | None = None,
        replay_ok: bool = False,
        min_part_size: int = 5 * 2**20,
    ) -> None:
        self.buckets: dict[str, datetime] = {bucket: now() for bucket in buckets}
        self.bucket_acls: dict[str, str] = {}
        self.versioning: dict[str, str] = {}  # a status that is told, and no versions
        self.objects: dict[tuple[str, str], StoredObject] = {}
        self.uploads: dict[str, Upload] = {}
        self.completed: dict[str, tuple[list[tuple[int, str]], Reply]] = {}
        self.lock = threading.RLock()
        self.fault = fault
        self.after = after
        self.ignore_conditions = ignore_conditions
        self.ignored = frozenset(ignored)
        self.drops_tags = drops_tags
        self.ignore_range = ignore_range
        self.etag_override = etag_override
        self.replay_ok = replay_ok
        self.min_part_size = min_part_size
        self.encrypts = True  # says that it does, as it was asked to
        self.opaque_etags = False  # no MD5s, as where a KMS encrypts
        self.compares = True  # what arrives with the checksums that came with it
        self.tells_checksums = True  # in its answer to CreateMultipartUpload, as AWS does
        # CopyPartResult has the CRC, as on AWS; Complete refuses parts whose CRC it does not name.
        self.tells_copied = True
        self.wants_checksums = False
        self.refuse_delete: Callable[[str], str | None] = lambda key: None
        self.order: Callable[[str], Any] | None = None  # of listings, as in `sorted`: another one than S3's
        self.ignores: Callable[[Request], bool] = lambda request: False  # whose conditions are ignored
        self.unquoted_if_match = False  # as Ceph RGW: an ETag with quotes is never the one of a PUT
        self.pins_as_rgw = False  # CopyObject is pinned by another header, as on Ceph RGW, and parts by none
        self.hides_encoding = False  # of keys of uploads, as Ceph RGW
        self.most_uploads = 1000  # of a page
        self.refuses_upload_marker = False  # which it has sent itself, as versitygw
        self.tells_date = True
        self.clock = timedelta()  # how far its Date is ahead of this machine
        self.tells_versions = False  # version ids, of which none is kept but the last
        self.same_key: Callable[[str], str] = lambda key: key  # what a store on a file system makes of one
        self.abort_deletes = False  # the object at the key, as S3Mock
        self.counts_tags = True  # in answers to HEAD and GET
        # Of objects: "" for none, "shown" by a HEAD too, "told" by GetObjectRetention and GetObjectLegalHold
        # alone, or "partly": shown, and dropped where the object is uploaded in parts, as moto and ministack.
        self.locks = ""
        self.drops: Collection[str] = ()  # headers that describe an object, as gofakes3
        self.another_etag = False  # of an object in parts than Complete told, as rclone
        self.unknown_names: Collection[str] = ()  # of subresources: ignored, and what is above them is meant
        self.two_steps = 0.0  # seconds between the comparison of a PUT's condition and the write, as S3Mock
        self.unknown_headers: Mapping[str, S3Error] = {}  # how a request that carries them is refused
        self.annotates = True
        self.notes: dict[tuple[str, str], dict[str, bytes]] = {}  # annotations
        self.most_notes = 1000  # of a page
        self.most_parts = 1000  # of a page of attributes
        self.appends = True  # to objects of directory buckets
        self.appended: dict[tuple[str, str], int] = {}  # how often
        self.most_appends = 10_000
        self.renames = True  # objects of directory buckets
        self.renamed: dict[str, tuple[str | None, ...]] = {}  # what was asked for, by client token
        self._upload_numbers = itertools.count(1)
        self._opaque = itertools.count(1)
        self._versions = itertools.count(1)
        self._ignoring = False

    def put(self, bucket: str, key: str, body: bytes, **metadata: str) -> StoredObject:
        """Store an object, without a request."""
        headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
        stored = StoredObject(body, md5_etag(body), {"content-type": "binary/octet-stream", **headers})
        with self.lock:
            self.objects[bucket, key] = stored
        return stored

    def __call__(self, request: Request) -> Answer:
        answer = self.fault(request, self) if self.fault is not None else None
        if answer is not None:
            return answer
        try:
            if self.two_steps and request.method == "PUT" and CONDITIONS & set(request.headers):
                request = self._compared(request)
            with self.lock:
                reply = self._dispatch(request)
        except S3Error as error:
            reply = error.reply
        if self.encrypts and reply.status < 300:
            reply = replace(reply, headers={**reply.headers, **_encryption(request)})
        answer = self.after(request, reply) if self.after is not None else None
        return answer if answer is not None else reply

    def _compared(self, request: Request) -> Request:
        """Compare now; what is returned is written later, and whatever is there by then."""
        bucket, _, key = request.path.removeprefix("/").partition("/")
        with self.lock:
            self._check_write(request.headers, bucket, key)
        time.sleep(self.two_steps)
        left = [(name, text) for name, text in request.headers.items() if name not in CONDITIONS]
        return replace(request, headers=Headers(left))

    def _dispatch(self, request: Request) -> Reply:
        for name, error in self.unknown_headers.items():
            if name in request.headers:
                raise error
        self._ignoring = self.ignore_conditions or self.ignores(request)
        known = {name: value for name, value in request.query.items() if name not in self.unknown_names}
        request = replace(request, query=known)
        reply = self._operate(request)
        if self.tells_versions and request.method == "PUT" and not request.query:
            return replace(reply, headers={**reply.headers, "x-amz-version-id": f"v{next(self._versions)}"})
        return reply

    def _operate(self, request: Request) -> Reply:
        bucket, _, key = request.path.removeprefix("/").partition("/")
        key = self.same_key(key)
        if not bucket:
            return self._list_buckets()
        if not key:
            return self._bucket_operation(request, bucket)
        self._need_bucket(bucket)
        return self._object_operation(request, bucket, key)

    def _need_bucket(self, bucket: str) -> None:
        if bucket not in self.buckets:
            raise S3Error(404, "NoSuchBucket", "The specified bucket does not exist")

    # Buckets

    def _list_buckets(self) -> Reply:
        found = [("Bucket", [("Name", name), ("CreationDate", at)]) for name, at in self.buckets.items()]
        return _xml("ListAllMyBucketsResult", [("Buckets", found)])

    def _create_session(self) -> Reply:
        """Of a directory bucket. Nobody checks what is signed with it."""
        ends = now() + timedelta(minutes=5)
        names = [("SessionToken", "t"), ("SecretAccessKey", "s"), ("AccessKeyId", "k"), ("Expiration", ends)]
        return _xml("CreateSessionResult", [("Credentials", names)])

    def _bucket_operation(self, request: Request, bucket: str) -> Reply:
        if request.method == "GET" and "session" in request.query:
            self._need_bucket(bucket)
            return self._create_session()
        method, query = request.method, request.query
        if method == "PUT" and not query:
            if bucket in self.buckets:
                raise S3Error(409, "BucketAlreadyOwnedByYou")
            self.buckets[bucket] = now()
            return respond(200, headers={"Location": f"/{bucket}"})
        self._need_bucket(bucket)
        if method == "GET" and "acl" in query:
            return _xml("AccessControlPolicy", [])
        if method == "PUT" and "acl" in query:
            self.bucket_acls[bucket] = request.headers["x-amz-acl"]
            return respond(200)
        if "versioning" in query:
            return self._bucket_versioning(request, bucket)
        if method == "HEAD":
            return respond(200, headers={"x-amz-bucket-region": "us-east-1"})
        if method == "DELETE" and not query:
            return self._delete_bucket(bucket)
        if method == "POST" and "delete" in query:
            return self._delete_objects(request, bucket)
        if method == "GET" and "location" in query:
            return _xml("LocationConstraint", [])
        if method == "GET" and "uploads" in query:
            return self._list_uploads(request, bucket)
        if method == "GET" and (query.get("list-type") == "2" or not query):
            return self._list_objects(request, bucket)
        raise S3Error(501, "NotImplemented")

    def _bucket_versioning(self, request: Request, bucket: str) -> Reply:
        if request.method == "PUT":
            _verify(request)
            self.versioning[bucket] = _parse(request.body).findtext("Status") or ""
            return respond(200)
        status = self.versioning.get(bucket)
        return _xml("VersioningConfiguration", [("Status", status)] if status else [])

    def _delete_bucket(self, bucket: str) -> Reply:
        if any(name == bucket for name, _key in self.objects):
            raise S3Error(409, "BucketNotEmpty")
        del self.buckets[bucket]
        return respond(204)

    def _delete_objects(self, request: Request, bucket: str) -> Reply:
        if not any(name == "content-md5" or name.startswith("x-amz-checksum-") for name in request.headers):
            raise S3Error(400, "InvalidRequest", "Missing required header for this request: Content-MD5")
        _verify(request)
        root = _parse(request.body)
        wanted = root.findall("Object")
        if not 1 <= len(wanted) <= 1000:
            raise S3Error(400, "MalformedXML")
        result: list[tuple[str, object]] = []
        for item in wanted:
            key, etag = self.same_key(item.findtext("Key") or ""), item.findtext("ETag")
            try:
                refused = self.refuse_delete(key)
                if refused:
                    raise S3Error(200, refused)
                condition = Headers([("If-Match", etag)] if etag else [])
                self._check_write(condition, bucket, key, swap="delete_many")
            except S3Error as error:
                result.append(("Error", [("Key", key), ("Code", str(error)), ("Message", str(error))]))
                continue
            self.objects.pop((bucket, key), None)
            if root.findtext("Quiet") != "true":
                result.append(("Deleted", [("Key", key)]))
        return _xml("DeleteResult", result)

    # Listings

    def _list_objects(self, request: Request, bucket: str) -> Reply:
        query = request.query
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        encode = quote_keys if query.get("encoding-type") == "url" else str
        limit = min(int(query.get("max-keys", "1000")), 1000)
        token = query.get("continuation-token")
        last = base64.b64decode(token).decode() if token else query.get("start-after", "")
        page: list[tuple[str, str | None]] = []
        more = False
        for name, key in self._entries(bucket, prefix, delimiter, last, resumed=token is not None):
            if len(page) == limit:
                more = limit > 0
                break
            page.append((name, key))
        fields: list[tuple[str, object]] = [
            ("Name", bucket),
            ("Prefix", encode(prefix)),
            *([("Delimiter", encode(delimiter))] if delimiter else []),
            *([("StartAfter", encode(query["start-after"]))] if "start-after" in query else []),
            *([("EncodingType", "url")] if "encoding-type" in query else []),
            ("KeyCount", len(page)),
            ("MaxKeys", limit),
            ("IsTruncated", more),
        ]
        if more:
            fields.append(("NextContinuationToken", base64.b64encode(page[-1][0].encode()).decode()))
        fields += [("Contents", self._listed(bucket, key, encode)) for _, key in page if key is not None]
        fields += [("CommonPrefixes", [("Prefix", encode(name))]) for name, key in page if key is None]
        return _xml("ListBucketResult", fields)

    def _entries(
        self, bucket: str, prefix: str, delimiter: str, last: str, *, resumed: bool
    ) -> Iterable[tuple[str, str | None]]:
        """Yield (name, key) for keys and (common prefix, None), in order, after `last`.

        A page that ended with a common prefix goes on after all that is below it; `start-after`, which
        only looks like one, does not.
        """
        if self.order is not None:
            yield from self._entries_in_order(bucket, prefix, delimiter, last)
            return
        seen = None
        for key in sorted(key for name, key in self.objects if name == bucket and key.startswith(prefix)):
            if key <= last:
                continue
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            if end < 0:
                yield key, key
                continue
            common = key[: end + len(delimiter)]
            if common != seen and not (resumed and common == last):
                yield common, None
            seen = common

    def _entries_in_order(
        self, bucket: str, prefix: str, delimiter: str, last: str
    ) -> Iterable[tuple[str, str | None]]:
        """Yield the same in the order of this store, which knows what it listed by name, not by comparing."""
        entries: dict[str, str | None] = {}
        for key in sorted(
            [key for name, key in self.objects if name == bucket and key.startswith(prefix)], key=self.order
        ):
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            name = key if end < 0 else key[: end + len(delimiter)]
            entries.setdefault(name, key if end < 0 else None)
        names = list(entries)
        for name in names[names.index(last) + 1 if last in entries else 0 :]:
            yield name, entries[name]

    def _listed(self, bucket: str, key: str, encode: Callable[[str], str]) -> Fields:
        stored = self.objects[bucket, key]
        return [
            ("Key", encode(key)),
            ("LastModified", stored.modified),
            ("ETag", stored.etag),
            ("Size", len(stored.body)),
            ("StorageClass", "STANDARD"),
        ]

    def _list_uploads(self, request: Request, bucket: str) -> Reply:
        query = request.query
        if self.refuses_upload_marker and "upload-id-marker" in query:
            raise S3Error(400, "InvalidArgument", "Invalid uploadId marker")
        encode = quote_keys if query.get("encoding-type") == "url" else str
        marker = query.get("key-marker", ""), query.get("upload-id-marker", "\U0010ffff")
        limit = min(int(query.get("max-uploads", "1000")), self.most_uploads)
        found = sorted(
            (upload.key, upload_id)
            for upload_id, upload in self.uploads.items()
            if upload.bucket == bucket and upload.key.startswith(query.get("prefix", ""))
        )
        found = [entry for entry in found if entry > marker]
        page = found[:limit]
        fields: list[tuple[str, object]] = [("Bucket", bucket), ("IsTruncated", len(found) > limit)]
        fields += [("EncodingType", "url")] if "encoding-type" in query and not self.hides_encoding else []
        if len(found) > limit:
            fields += [("NextKeyMarker", encode(page[-1][0])), ("NextUploadIdMarker", page[-1][1])]
        for key, upload_id in page:
            entry = [("Key", encode(key)), ("UploadId", upload_id)]
            fields.append(("Upload", [*entry, ("Initiated", self.uploads[upload_id].initiated)]))
        reply = _xml("ListMultipartUploadsResult", fields)
        date = format_datetime(now() + self.clock, usegmt=True)
        return replace(reply, headers={**reply.headers, "Date": date} if self.tells_date else reply.headers)

    # Objects

    def _object_operation(self, request: Request, bucket: str, key: str) -> Reply:
        method, query = request.method, request.query
        if method == "POST" and "uploads" in query:
            return self._create_upload(request, bucket, key)
        if "uploadId" in query:
            return self._upload_operation(request, bucket, key)
        if {"tagging", "acl", *LOCKS} & set(query):
            return self._subresource(request, bucket, key)
        if "annotation" in query and self.annotates:
            return self._annotation(request, bucket, key)
        if method == "GET" and "attributes" in query:
            return self._get_attributes(request, bucket, key)
        if method in ("GET", "HEAD"):
            return self._get_object(request, bucket, key)
        if method == "PUT" and "renameObject" in query and bucket.endswith("--x-s3") and self.renames:
            return self._rename_object(request, bucket, key)
        if method == "PUT" and "x-amz-copy-source" in request.headers:
            return self._copy_object(request, bucket, key)
        if method == "PUT" and not set(query) - {"x-id"}:
            return self._put_object(request, bucket, key)
        if method == "DELETE":
            self._check_write(request.headers, bucket, key, swap="delete")
            self.objects.pop((bucket, key), None)
            return respond(204)
        raise S3Error(501, "NotImplemented")

    def _stored(self, bucket: str, key: str) -> StoredObject:
        stored = self.objects.get((bucket, key))
        if stored is None:
            raise S3Error(404, "NoSuchKey", "The specified key does not exist.")
        return stored

    def _subresource(self, request: Request, bucket: str, key: str) -> Reply:
        stored = self._stored(bucket, key)
        if request.method == "PUT" and "acl" in request.query:
            self.objects[bucket, key] = replace(stored, acl=request.headers["x-amz-acl"])
            return respond(200)
        if request.method == "GET" and "tagging" in request.query:
            rows = [("Tag", [("Key", name), ("Value", text)]) for name, text in stored.tags.items()]
            return _xml("Tagging", [("TagSet", rows)])
        if request.method == "PUT":
            _verify(request)
            tags = {
                t.findtext("Key") or "": t.findtext("Value") or "" for t in _parse(request.body).iter("Tag")
            }
            self.objects[bucket, key] = replace(stored, tags=tags)
            return respond(200)
        if request.method == "DELETE" and "tagging" in request.query:
            self.objects[bucket, key] = replace(stored, tags={})
            return respond(204)
        for name, (header, root, item) in LOCKS.items():
            if request.method == "GET" and name in request.query and self.locks:
                if header not in stored.lock:
                    raise S3Error(404, "NoSuchObjectLockConfiguration")
                return _xml(root, [(item, stored.lock[header])])
        raise S3Error(501, "NotImplemented")

    def _annotation(self, request: Request, bucket: str, key: str) -> Reply:
        stored, name = self._stored(bucket, key), request.query.get("annotationName")
        notes = self.notes.setdefault((bucket, key), {})
        wanted = request.headers.get("x-amz-object-if-match")
        if wanted is not None and not _matches(wanted, stored.etag):
            raise _precondition_failed("x-amz-object-if-match")
        if name is None:
            prefix, after = (request.query.get(f, "") for f in ("annotation-prefix", "continuation-token"))
            names = [n for n in sorted(notes) if n.startswith(prefix) and n > after]
            page, more = names[: self.most_notes], names[self.most_notes :]
            rows = []
            for each in page:
                sizes = [("AnnotationName", each), ("Size", len(notes[each])), ("LastModified", now())]
                rows.append(("AnnotationEntry", [*sizes, ("ETag", md5_etag(notes[each]))]))
            fields: list[tuple[str, object]] = [("Annotations", rows), ("AnnotationCount", len(page))]
            fields += [("NextContinuationToken", page[-1])] if more else []
            return _xml("ListObjectAnnotationsResult", fields)
        if request.method == "PUT":
            _verify(request)
            notes[name] = request.body
            return respond(200, etag=md5_etag(request.body))
        if request.method == "DELETE":
            notes.pop(name, None)
            return respond(204)
        if name not in notes:
            raise S3Error(404, "NoSuchAnnotation", "The specified annotation does not exist.")
        return respond(200, notes[name], etag=md5_etag(notes[name]), headers={CRC32: crc32(notes[name])})

    def _get_attributes(self, request: Request, bucket: str, key: str) -> Reply:
        stored = self._stored(bucket, key)
        asked = request.headers["x-amz-object-attributes"].split(",")
        fields: list[tuple[str, object]] = []
        if "ETag" in asked:
            fields.append(("ETag", stored.etag.strip('"')))  # as AWS
        if "Checksum" in asked and stored.crc32:
            whole = [("ChecksumCRC32", stored.crc32), ("ChecksumType", "FULL_OBJECT")]
            fields.append(("Checksum", whole))
        if "ObjectParts" in asked and stored.parts:
            after = int(request.headers.get("x-amz-part-number-marker", "0"))
            page = [*enumerate(stored.parts, 1)][after : after + self.most_parts]
            more = after + len(page) < len(stored.parts)
            rows: list[tuple[str, object]] = [("IsTruncated", more), ("PartsCount", len(stored.parts))]
            rows += [("NextPartNumberMarker", after + len(page)), ("MaxParts", self.most_parts)]
            for number, body in page:
                sizes = [("PartNumber", number), ("Size", len(body)), ("ChecksumCRC32", crc32(body))]
                rows.append(("Part", sizes))
            fields.append(("ObjectParts", rows))
        fields += [("StorageClass", "STANDARD")] if "StorageClass" in asked else []
        fields += [("ObjectSize", len(stored.body))] if "ObjectSize" in asked else []
        reply = _xml("GetObjectAttributesResponse", fields)
        modified = format_datetime(stored.modified, usegmt=True)
        return replace(reply, headers={**reply.headers, "Last-Modified": modified})

    def _kept(self, headers: Headers) -> dict[str, str]:
        kept = {
            name: text for name, text in headers.items() if name in KEPT or name.startswith("x-amz-meta-")
        }
        kept = {name: text for name, text in kept.items() if name not in self.drops}
        return {"content-type": "binary/octet-stream", **kept}

    def _get_object(self, request: Request, bucket: str, key: str) -> Reply:
        stored = self._stored(bucket, key)
        if "pinned_get" not in self.ignored:
            self._check_read(request.headers, stored, prefix="")
        etag = stored.etag
        if request.method == "GET" and self.etag_override is not None:
            etag = quoted(self.etag_override)
        fields = {
            "ETag": etag,
            "Last-Modified": format_datetime(stored.modified, usegmt=True),
            "Accept-Ranges": "bytes",
            **stored.headers,
            **(stored.lock if self.locks in ("shown", "partly") else {}),
            **({"x-amz-tagging-count": str(len(stored.tags))} if stored.tags and self.counts_tags else {}),
        }
        size = len(stored.body)
        wanted = None if self.ignore_range else _byte_range(request.headers.get("range"), size)
        if wanted is not None:
            first, last = wanted
            fields["Content-Range"] = f"bytes {first}-{last}/{size}"
            return respond(206, stored.body[first : last + 1], headers=fields)
        if request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED" and stored.crc32:
            fields |= {CRC32: stored.crc32, "x-amz-checksum-type": "FULL_OBJECT"}
        return respond(200, stored.body, headers=fields)

    def _etag_of(self, body: bytes) -> str:
        """A new one each time, or the MD5."""
        return f'"{next(self._opaque):032x}"' if self.opaque_etags else md5_etag(body)

    def _put_object(self, request: Request, bucket: str, key: str) -> Reply:
        if self.compares:
            _verify(request)
        self._check_write(request.headers, bucket, key)
        if "x-amz-write-offset-bytes" in request.headers and "append" not in self.ignored:
            return self._append_object(request, bucket, key)
        sent = request.headers.get(CRC32)
        stored = StoredObject(
            request.body,
            self._etag_of(request.body),
            self._kept(request.headers),
            sent,
            **_beside(request.headers),
        )
        self.objects[bucket, key] = stored
        return respond(200, etag=stored.etag, headers={CRC32: sent} if sent else {})

    def _append_object(self, request: Request, bucket: str, key: str) -> Reply:
        """As the operation page says: to the size that there is, in a directory bucket."""
        if not (bucket.endswith("--x-s3") and self.appends):
            raise S3Error(501, "NotImplemented", "A header you provided implies functionality ...")
        offset, found = int(request.headers["x-amz-write-offset-bytes"]), self.objects.get((bucket, key))
        if offset != (len(found.body) if found else 0):
            raise S3Error(400, "InvalidWriteOffset", "The write offset value does not match the size")
        if found is None:
            found = StoredObject(b"", "", self._kept(request.headers))
        if self.appended.get((bucket, key), 0) >= self.most_appends:
            raise S3Error(400, "TooManyParts", "You have attempted to add more parts than 10000")
        self.appended[bucket, key] = self.appended.get((bucket, key), 0) + 1
        body = found.body + request.body
        whole = crc32(body) if CRC32 in request.headers else None
        stored = replace(found, body=body, etag=self._etag_of(body), crc32=whole, modified=now())
        self.objects[bucket, key] = stored
        return respond(200, etag=stored.etag, headers={"x-amz-object-size": str(len(body))})

    def _copy_object(self, request: Request, bucket: str, key: str) -> Reply:
        source = self._copy_source(request, "copy_source")
        self._check_write(request.headers, bucket, key, "copy_create", "copy_swap")
        replaced = request.headers.get("x-amz-metadata-directive", "COPY") == "REPLACE"
        headers = self._kept(request.headers) if replaced else source.headers
        beside = _beside(request.headers)
        if request.headers.get("x-amz-tagging-directive", "COPY") == "COPY":
            beside["tags"] = source.tags
        if self.drops_tags and replaced:
            beside["tags"] = {}
        stored = StoredObject(source.body, self._etag_of(source.body), headers, source.crc32, **beside)
        self.objects[bucket, key] = stored
        return _xml("CopyObjectResult", [("LastModified", stored.modified), ("ETag", stored.etag)])

    def _copy_source(self, request: Request, guard: str) -> StoredObject:
        bucket, _, key = (
            unquote(request.headers["x-amz-copy-source"], errors="surrogateescape")
            .removeprefix("/")
            .partition("/")
        )
        key = self.same_key(key)
        self._need_bucket(bucket)
        stored = self._stored(bucket, key)
        if self.pins_as_rgw:
            own = request.headers.get("x-amz-copy-if-match") if guard == "copy_source" else None
            self._check_read(Headers([("if-match", own)] if own else []), stored, prefix="")
        elif guard not in self.ignored:
            self._check_read(request.headers, stored, prefix="x-amz-copy-source-")
        return stored

    def _rename_object(self, request: Request, bucket: str, key: str) -> Reply:
        """As its operation page says; a token that comes again renames nothing more."""
        headers, token = request.headers, request.headers["x-amz-client-token"]
        source = unquote(headers["x-amz-rename-source"], errors="surrogateescape")
        asked = (key, source, headers.get("if-match"), headers.get("if-none-match"))
        if token in self.renamed:
            if self.renamed[token] != asked:
                raise S3Error(400, "IdempotencyParameterMismatch")
            return respond(200)
        if source.endswith("/") or key.endswith("/"):
            raise S3Error(400, "InvalidRequest", "Keys that end with a slash are not renamed")
        stored = self._stored(bucket, source)
        if "rename_source" not in self.ignored:
            self._check_read(headers, stored, prefix="x-amz-rename-source-")
        self._check_write(headers, bucket, key, "rename_create", "rename_swap")
        self.objects[bucket, key] = self.objects.pop((bucket, source))
        self.renamed[token] = asked
        return respond(200)

    # Multipart uploads

    def _create_upload(self, request: Request, bucket: str, key: str) -> Reply:
        headers = request.headers
        composite = "x-amz-checksum-algorithm" in headers and (
            headers.get("x-amz-checksum-type", "COMPOSITE") == "COMPOSITE"
        )
        upload_id = f"upload-{next(self._upload_numbers)}"
        self.uploads[upload_id] = Upload(bucket, key, self._kept(headers), composite, **_beside(headers))
        fields = [("Bucket", bucket), ("Key", key), ("UploadId", upload_id)]
        reply = _xml("InitiateMultipartUploadResult", fields)
        told = {name: headers[name] for name in CHECKED if name in headers and self.tells_checksums}
        return replace(reply, headers={**reply.headers, **told})

    def _upload_operation(self, request: Request, bucket: str, key: str) -> Reply:
        upload_id, method = request.query["uploadId"], request.method
        upload = self.uploads.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            if method == "POST" and self.replay_ok and upload_id in self.completed:
                return self._replay(request, upload_id)
            raise S3Error(404, "NoSuchUpload", "The specified multipart upload does not exist.")
        if method == "PUT":
            return self._upload_part(request, upload)
        if method == "GET":
            return self._list_parts(request, upload_id, upload)
        if method == "POST":
            return self._complete(request, upload_id, upload)
        if method == "DELETE":
            del self.uploads[upload_id]
            if self.abort_deletes:
                self.objects.pop((bucket, key), None)
            return respond(204)
        raise S3Error(501, "NotImplemented")

    def _upload_part(self, request: Request, upload: Upload) -> Reply:
        number = int(request.query["partNumber"])
        if not 1 <= number <= 10_000:
            raise S3Error(400, "InvalidArgument", "Part number must be from 1 to 10000")
        if "x-amz-copy-source" in request.headers:
            source = self._copy_source(request, "copy_source_parts").body
            wanted = _byte_range(request.headers.get("x-amz-copy-source-range"), len(source))
            body = source[wanted[0] : wanted[1] + 1] if wanted else source
            part = upload.parts[number] = Part(body, self._etag_of(body))
            fields: list[tuple[str, object]] = [("LastModified", part.modified), ("ETag", part.etag)]
            fields += [("ChecksumCRC32", crc32(body))] if self.tells_copied else []
            return _xml("CopyPartResult", fields)
        if self.compares:
            _verify(request)
        part = upload.parts[number] = Part(request.body, self._etag_of(request.body))
        sent = request.headers.get(CRC32)
        return respond(200, etag=part.etag, headers={CRC32: sent} if sent else {})

    def _list_parts(self, request: Request, upload_id: str, upload: Upload) -> Reply:
        marker = int(request.query.get("part-number-marker", "0"))
        limit = int(request.query.get("max-parts", "1000"))
        numbers = sorted(number for number in upload.parts if number > marker)
        page, more = numbers[:limit], len(numbers) > limit
        fields: list[tuple[str, object]] = [("Bucket", upload.bucket), ("Key", upload.key)]
        fields += [("UploadId", upload_id), ("IsTruncated", more)]
        fields += [("NextPartNumberMarker", page[-1])] if page else []
        for number in page:
            part = upload.parts[number]
            sizes = [("ETag", part.etag), ("Size", len(part.body)), ("LastModified", part.modified)]
            fields.append(("Part", [("PartNumber", number), *sizes]))
        return _xml("ListPartsResult", fields)

    def _complete(self, request: Request, upload_id: str, upload: Upload) -> Reply:
        named = self._check_parts(request, upload)
        parts = [upload.parts[number] for number, _etag in named]
        body = b"".join(part.body for part in parts)
        _verify_whole(request.headers, body)
        self._check_write(
            request.headers, upload.bucket, upload.key, "create_on_complete", "swap_on_complete"
        )
        digests = b"".join(hashlib.md5(part.body).digest() for part in parts)
        etag = f'{self._etag_of(digests)[:-1]}-{len(parts)}"'
        whole = request.headers.get(CRC32)
        self.objects[upload.bucket, upload.key] = StoredObject(
            body,
            md5_etag(body) if self.another_etag else etag,
            upload.headers,
            whole,
            tags={} if self.drops_tags else upload.tags,
            acl=upload.acl,
            lock={} if self.locks == "partly" else upload.lock,
            parts=[part.body for part in parts],
        )
        del self.uploads[upload_id]
        fields = [("Location", request.path), ("Bucket", upload.bucket), ("Key", upload.key), ("ETag", etag)]
        reply = _xml("CompleteMultipartUploadResult", fields)
        self.completed[upload_id] = named, reply
        return reply

    def _check_parts(self, request: Request, upload: Upload) -> list[tuple[int, str]]:
        """Return (number, ETag) of the parts that a Complete names, if they are what was uploaded."""
        named = _named_parts(request)
        numbers = [number for number, _etag in named]
        if not named:
            raise S3Error(400, "MalformedXML")
        if numbers != sorted(set(numbers)):
            raise S3Error(400, "InvalidPartOrder")
        for number, etag in named:
            if number not in upload.parts or upload.parts[number].etag != etag:
                raise S3Error(400, "InvalidPart")
        if any(len(upload.parts[number].body) < self.min_part_size for number in numbers[:-1]):
            raise S3Error(400, "EntityTooSmall")
        rows = [*_parse(request.body).iter("Part")]
        checksums = [item.findtext("ChecksumCRC32") for item in rows]
        have = all(any(child.tag.startswith("Checksum") for child in item) for item in rows)
        if (upload.composite or self.wants_checksums) and not have:
            raise S3Error(400, "InvalidRequest", "The upload was created using a checksum")
        for number, sent in zip(numbers, checksums, strict=True):
            if sent is not None and sent != crc32(upload.parts[number].body):
                raise S3Error(400, "InvalidPart")
        return named

    def _replay(self, request: Request, upload_id: str) -> Reply:
        named, reply = self.completed[upload_id]
        if _named_parts(request) != named:
            raise S3Error(404, "NoSuchUpload", "The specified multipart upload does not exist.")
        return reply

    # Conditions

    def _check_write(
        self, headers: Headers, bucket: str, key: str, create: str = "create", swap: str = "swap"
    ) -> None:
        """`create` and `swap` are the names of the guards that this request asks for."""
        if self._ignoring:
            return
        stored = self.objects.get((bucket, key))
        if "if-none-match" in headers and create not in self.ignored:
            if headers["if-none-match"] != "*":
                raise S3Error(501, "NotImplemented", "If-None-Match takes * alone")
            if stored is not None:
                raise _precondition_failed("If-None-Match")
        if "if-match" in headers and swap not in self.ignored:
            if stored is None:
                raise S3Error(404, "NoSuchKey", "The specified key does not exist.")
            unknown = self.unquoted_if_match and '"' in headers["if-match"]
            if unknown or not _matches(headers["if-match"], stored.etag):
                raise _precondition_failed("If-Match")

    def _check_read(self, headers: Headers, stored: StoredObject, *, prefix: str) -> None:
        """A copy source that was not modified fails with 412, a GET with 304."""
        if self._ignoring:
            return
        match, none_match = headers.get(f"{prefix}if-match"), headers.get(f"{prefix}if-none-match")
        if match is not None and not _matches(match, stored.etag):
            raise _precondition_failed(f"{prefix}If-Match")
        if none_match is not None and _matches(none_match, stored.etag):
            if prefix:
                raise _precondition_failed(f"{prefix}If-None-Match")
            raise S3Error(304, "NotModified", headers={"ETag": stored.etag})


# Requests


def _encryption(request: Request) -> dict[str, str]:
    """What an answer repeats of the encryption that was asked for."""
    names = ("", "-customer-algorithm", "-customer-key-md5")
    found = {f"x-amz-server-side-encryption{name}" for name in names}
    return {name: text for name, text in request.headers.items() if name in found}


def _beside(headers: Headers) -> dict[str, Any]:
    """What an object has that is not in the headers of an answer."""
    tags = dict(parse_qsl(headers.get("x-amz-tagging", ""), keep_blank_values=True))
    lock = {name: headers[name] for name, _, _ in LOCKS.values() if name in headers}
    return {"tags": tags, "acl": headers.get("x-amz-acl", "private"), "lock": lock}


def _verify(request: Request) -> None:
    """Compare the body with the checksums that came with it."""
    headers = request.headers
    if headers.get("content-encoding", "").startswith("aws-chunked"):
        raise S3Error(501, "NotImplemented", "aws-chunked")
    sent = headers.get("content-md5")
    if sent is not None and sent != base64.b64encode(hashlib.md5(request.body).digest()).decode():
        raise S3Error(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
    if CRC32 in headers and headers[CRC32] != crc32(request.body):
        raise S3Error(400, "BadDigest", "The CRC32 you specified did not match the calculated checksum.")


def _verify_whole(headers: Headers, body: bytes) -> None:
    """Compare an object that is complete with what Complete says of it."""
    if headers.get("x-amz-mp-object-size", str(len(body))) != str(len(body)):
        raise S3Error(400, "InvalidRequest", "The object size does not match x-amz-mp-object-size")
    if "-" not in headers.get(CRC32, "-") and headers[CRC32] != crc32(body):
        raise S3Error(400, "BadDigest", "The CRC32 you specified did not match the calculated checksum.")


def _matches(condition: str, etag: str) -> bool:
    wanted = [candidate.strip().strip('"') for candidate in condition.split(",")]
    return "*" in wanted or etag.strip('"') in wanted


def _precondition_failed(condition: str) -> S3Error:
    message = "At least one of the pre-conditions you specified did not hold"
    return S3Error(412, "PreconditionFailed", f"{message}: {condition}")


def _byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first and the last byte, or None when all is wanted (or the header is no range)."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if found is None or found.group(0) == "bytes=-":
        return None
    start, end = found.groups()
    first = int(start) if start else max(size - int(end), 0)
    last = min(int(end), size - 1) if start and end else size - 1
    if start and end and int(end) < int(start):
        return None
    if first >= size:
        raise S3Error(
            416,
            "InvalidRange",
            "The requested range is not satisfiable",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return first, last


def _parse(body: bytes) -> ElementTree.Element:
    """Parse a document and forget its namespace, which S3 does not insist on."""
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise S3Error(400, "MalformedXML", str(error)) from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _named_parts(request: Request) -> list[tuple[int, str]]:
    return [
        (int(part.findtext("PartNumber") or "0"), quoted(part.findtext("ETag") or ""))
        for part in _parse(request.body).iter("Part")
    ]


# Responses


def quote_keys(text: str) -> str:
    """Encode as listings do under encoding-type=url: a space is a plus sign, a slash stays."""
    return quote_plus(text, safe="/*", errors="surrogateescape")


def _xml(name: str, fields: Fields) -> Reply:
    document = f'<{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{_elements(fields)}</{name}>'
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{document}'.encode()
    return respond(200, body, headers={"Content-Type": "application/xml"})


def _elements(fields: Fields) -> str:
    return "".join(f"<{name}>{_text(content)}</{name}>" for name, content in fields)


def _text(content: object) -> str:
    if isinstance(content, list):
        return _elements(content)
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, datetime):
        return content.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return re.sub(r"[\x00-\x1f]", lambda found: f"&#x{ord(found[0]):X};", escape(str(content)))
