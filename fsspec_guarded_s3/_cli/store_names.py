"""Which store answers, as far as it says so itself: by its headers, the form of its errors, its host.

A name decides nothing. What the store honours is tried (`guard_report`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .._auth.endpoints import Endpoint
from .._values.dialects import S3
from .findings import Patient, Seen, ok


class Answered(NamedTuple):
    """What is looked at: the headers of an answer, in lower case, and the request id that it has."""

    headers: Mapping[str, str]
    request_id: str
    endpoint: Endpoint

    @property
    def server(self) -> str:
        """The Server header in lower case."""
        return self.headers.get("server", "").lower()


class _Known(NamedTuple):
    """A store, how it is known, and what is to be known of it, "" for nothing."""

    title: str
    is_it: Callable[[Answered], bool]
    note: str = ""


def _says(word: str) -> Callable[[Answered], bool]:
    return lambda answered: answered.server.startswith(word)


def _is_gofakes3(answered: Answered) -> bool:
    """It calls itself AmazonS3, and counts its requests."""
    return answered.server == "amazons3" and answered.request_id.startswith("0" * 8)


def _is_ministack(answered: Answered) -> bool:
    return "x-amz-bucket-arn" in answered.headers and "x-amzn-requestid" in answered.headers


def _is_ceph(answered: Answered) -> bool:
    """Releases before Reef do not name themselves: the ids of their transactions do."""
    own = answered.request_id.startswith("tx0000") or "x-rgw-object-count" in answered.headers
    return own or answered.server.startswith("ceph")


_KNOWN = (
    _Known(
        "versitygw",
        _says("versitygw"),
        "a delete under If-Match can lose a race against a writer; a//b, ./a and a are one object",
    ),
    _Known(
        "Ceph RGW",
        _is_ceph,
        "it honours no condition in a bucket with versions: switch them on in none that is written to so",
    ),
    _Known("SeaweedFS", _says("seaweedfs"), "a backslash in a key becomes a slash"),
    _Known("MinIO", _says("minio"), "list_uploads needs the exact key"),
    _Known("rclone serve s3", _says("rclone/"), "it honours no condition"),
    _Known("Wasabi", _says("wasabis3")),
    _Known("Google Cloud Storage", lambda answered: "x-guploader-uploadid" in answered.headers),
    _Known("Cloudflare R2", lambda answered: answered.endpoint.host.endswith(".r2.cloudflarestorage.com")),
    _Known(
        "LocalStack",
        lambda answered: "x-localstack" in answered.headers,
        "a test double: of several creates in parts at once more than one can win",
    ),
    _Known("ministack", _is_ministack, "a test double: nothing is kept"),
    _Known("gofakes3", _is_gofakes3, "a test double: it checks no signature"),
    _Known(
        "moto",
        lambda answered: answered.server.startswith("werkzeug") and "x-amzn-requestid" in answered.headers,
        "a test double: it checks no signature",
    ),
    _Known(
        "Garage", lambda answered: answered.endpoint.region == "garage", "it honours no condition of a write"
    ),
)


def store(patient: Patient) -> Seen:
    """Who answers, and how it is talked to."""
    answered = Answered(patient.headers, patient.request_id, patient.endpoint)
    dialect = patient.client.store.dialect(patient.path.bucket)
    spoken = "" if dialect is S3 else f", talked to as {dialect.title}"
    if patient.client.store.is_aws(patient.path.bucket):
        return ok("Amazon S3")
    for known in _KNOWN:
        if known.is_it(answered):
            spoken = "" if known.title == dialect.title else spoken
            return ok(f"{known.title}{spoken}{': ' if known.note else ''}{known.note}")
    said = patient.headers.get("server", "")
    if said.lower() == "amazons3":
        return ok(f"it calls itself AmazonS3, and is not at a host of AWS{spoken}")
    return ok(f"{said or 'it does not say which'}{spoken}")
