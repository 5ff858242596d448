"""What stores call differently, each as data: Cloudflare R2, and the XML API of Google Cloud Storage.

A dialect says how a request is put. Which conditions are honoured in it is found out by trying all the same
(`_write.trials`), so a name in `hosts` is never taken for a guard.

Cloudflare R2: https://developers.cloudflare.com/r2/api/s3/api/ (regions, checksum types),
https://developers.cloudflare.com/r2/api/s3/conditional-operations/ (targets of copies).

Google Cloud Storage: https://docs.cloud.google.com/storage/docs/request-preconditions (writes have conditions
on generations, reads on ETags too), https://docs.cloud.google.com/storage/docs/xml-api/reference-headers. It
takes `x-amz-*` with AWS's signature or `x-goog-*` with its own, and never both in one request:
https://docs.cloud.google.com/storage/docs/authentication/signatures. So what needs a word of its own is put
wholly in its words (`in_own_words`), and all else as to any other store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import OperationUnsupportedError

AMZ, GOOG = "x-amz-", "x-goog-"
GENERATION = "x-goog-generation"
GENERATION_MATCH = "x-goog-if-generation-match"
# Headers of requests that Google Cloud Storage knows by its own name, and those that it can do without.
_IN_BOTH = frozenset(
    {
        "x-amz-acl",
        "x-amz-copy-source",
        "x-amz-copy-source-if-match",
        "x-amz-metadata-directive",
        "x-amz-storage-class",
    }
)
_LEFT_OUT = frozenset({"x-amz-mp-object-size", "x-amz-sdk-checksum-algorithm"})
_META = "x-amz-meta-"
_ON_PUT_ALONE = (
    "Google Cloud Storage has conditions on what is written by one request, not on uploads in parts: "
    "raise multipart_threshold, up to 5 GiB"
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to talk to a store.

    `name` is that of the option `dialect`, `title` says who talks so, `hosts` are names of endpoints with all
    below them. `region` is what requests are signed for where nobody names one. `one_part_size`: all parts
    of an upload but the last have one size. `compares_crc`: the CRC of a body is compared; else Content-MD5
    goes with it. `combines_crc`: that of a whole upload may be asked for. `renamed` are headers of an
    operation that have other names. `generations`: conditions of writes are on generations. `lacking` says
    why a guard is not there, by its name in `_write.guards.Guards`.
    """

    name: str
    title: str
    hosts: tuple[str, ...] = ()
    region: str = ""
    one_part_size: bool = False
    compares_crc: bool = True
    combines_crc: bool = True
    renamed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    generations: bool = False
    lacking: Mapping[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<Dialect {self.name}>"

    def is_at(self, host: str) -> bool:
        """Whether a store that talks so is known to be at `host`."""
        return any(host == name or host.endswith(f".{name}") for name in self.hosts)

    def put(self, operation: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The `headers` of a request as this store calls them.

        Raises OperationUnsupportedError for one that it has no word for, beside one that it alone has.
        """
        names = self.renamed.get(operation)
        if names:
            headers = {names.get(name, name): value for name, value in headers.items()}
        if self.generations and (operation == "CopyObject" or GENERATION_MATCH in headers):
            headers = in_own_words(operation, headers)
        return headers


def in_own_words(operation: str, headers: Mapping[str, str]) -> dict[str, str]:
    """`headers` in the words of Google Cloud Storage, none of S3's among them."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        if name in _LEFT_OUT or name.startswith("x-amz-checksum-"):
            continue
        if name.startswith(AMZ):
            if name not in _IN_BOTH and not name.startswith(_META):
                raise OperationUnsupportedError(
                    f"Google Cloud Storage takes no {name} with a condition or in a copy: leave it out",
                    operation=operation,
                )
            name = GOOG + name[len(AMZ) :]
        found[name] = value
    return found


def is_in_own_words(headers: Mapping[str, str]) -> bool:
    """Whether `headers` are those of `in_own_words`, which take another signature."""
    return GENERATION_MATCH in headers or "x-goog-copy-source" in headers


def in_words_of_s3(headers: Mapping[str, str]) -> dict[str, str]:
    """The `headers` of an answer of Google Cloud Storage, and what it calls otherwise by S3's names too.

    Its answers to requests with AWS's signature have S3's names for user metadata, others have its own.
    """
    told = {
        AMZ + name[len(GOOG) :]: value
        for name, value in headers.items()
        if name.startswith((f"{GOOG}meta-", f"{GOOG}storage-class"))
    }
    stored = headers.get("x-goog-stored-content-encoding", "identity")
    hashes = dict(item.strip().partition("=")[::2] for item in headers.get("x-goog-hash", "").split(","))
    if "crc32c" in hashes and stored == "identity":  # else what comes may be other bytes
        told["x-amz-checksum-crc32c"] = hashes["crc32c"]
    return {**told, **headers}


S3 = Dialect("s3", "S3")
R2 = Dialect(
    "r2",
    "Cloudflare R2",
    hosts=("r2.cloudflarestorage.com",),
    region="auto",
    one_part_size=True,
    combines_crc=False,
    renamed={
        "CopyObject": {
            "if-match": "cf-copy-destination-if-match",
            "if-none-match": "cf-copy-destination-if-none-match",
        }
    },
)
GCS = Dialect(
    "gcs",
    "Google Cloud Storage",
    hosts=("storage.googleapis.com", "rep.googleapis.com"),
    region="auto",
    compares_crc=False,
    combines_crc=False,
    generations=True,
    lacking={"create_on_complete": _ON_PUT_ALONE, "swap_on_complete": _ON_PUT_ALONE},
)
DIALECTS = {dialect.name: dialect for dialect in (S3, R2, GCS)}


def dialect_of(wanted: str, host: str) -> Dialect:
    """The dialect that the option says, or that is spoken at `host`."""
    if wanted != "auto":
        return DIALECTS[wanted]
    return next((dialect for dialect in DIALECTS.values() if dialect.is_at(host)), S3)


def is_decompressed(headers: Mapping[str, str]) -> bool:
    """Whether Google Cloud Storage says that the bytes of its answer are not those that it holds.

    https://cloud.google.com/storage/docs/transcoding
    """
    stored = headers.get("x-goog-stored-content-encoding", "identity")
    return stored not in ("identity", headers.get("content-encoding", "identity"))


def is_told(headers: Mapping[str, str]) -> bool:
    """Whether an answer shows that Google Cloud Storage gave it, under whatever name it is reached."""
    return GENERATION in headers and "x-guploader-uploadid" in headers
