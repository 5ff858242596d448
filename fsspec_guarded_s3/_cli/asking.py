"""The doctor's checks by requests: what the first one tells, the bucket, and what may be done there.

What they write they remove again, and they write nothing before they know that they may delete.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from .._read.download import read_range
from .._s3.client import S3Client
from .._s3.store import Store
from .._values.conditions import Condition
from .._values.paths import S3Path
from ..errors import (
    AccessDeniedError,
    ConnectError,
    GuardedS3Error,
    ObjectNotFoundError,
    ResponseError,
    ServerError,
    ThrottledError,
    TransportError,
)
from .findings import Patient, Seen, failed, ok, skipped, warning

_MINUTE = 60.0  # seconds; what a clock may be off
_REGION_CODES = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")


_NO_S3 = "is --endpoint-url the address of the S3 API, and not of a console or web page?"

_NO_WAY = "correct what it names: the proxy in the environment, -o client_cert=, or http:// in --endpoint-url"


def answer(patient: Patient) -> Seen:
    path = patient.path
    try:
        patient.page = next(patient.client.listings.list_objects(path.bucket, path.key, max_keys=1))
    except ResponseError as error:
        patient.refusal = error
    except ConnectError as error:
        return failed(error, _NO_WAY)
    except TransportError as error:
        return failed(error, _NO_S3)
    refusal = patient.refusal
    if isinstance(refusal, (ServerError, ThrottledError)):
        return failed(refusal, "the store is in trouble itself: see its logs, or come back later")
    if refusal and not refusal.code:
        return failed(f"HTTP {refusal.status} without an error document: no S3", _NO_S3)
    try:
        patient.headers = patient.client.buckets.bucket_headers(path.bucket)
        patient.request_id = patient.headers.get("x-amz-request-id", "")
        patient.server_date = patient.headers.get("date", "")
    except ResponseError as error:
        patient.request_id, patient.server_date = error.request_id, error.server_date
    return ok("it speaks S3")


def clock(patient: Patient) -> Seen:
    server = None
    with suppress(TypeError, ValueError):
        server = parsedate_to_datetime(patient.server_date)
    if server is None:
        return skipped("the store tells no time")
    aware = server if server.tzinfo else server.replace(tzinfo=timezone.utc)
    ahead = (datetime.now(timezone.utc) - aware).total_seconds()
    if abs(ahead) <= _MINUTE:
        return ok("within a minute of the store's")
    remedy = _SET_CLOCK
    seen = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the store"
    if patient.code == "RequestTimeTooSkewed":
        return failed(seen, remedy)
    return warning(seen, f"{remedy}: here it is corrected for, other tools are refused")


def region(patient: Patient) -> Seen:
    before, now = patient.endpoint.region, patient.client.store.endpoint(patient.path.bucket).region
    if patient.refusal and patient.code in _REGION_CODES:
        region = patient.refusal.region
        return failed(f"the bucket is not in {before}", f"pass --region {region or 'with the right one'}")
    if now != before:
        return warning(f"the bucket is in {now}, not in {before}", f"pass --region {now}: saves a detour")
    return ok(now)


def accepted(patient: Patient) -> Seen:
    if patient.options.anon:
        return skipped("requests are not signed")
    code, refusal = patient.code, patient.refusal
    if code in _NOT_ACCEPTED:
        seen, remedy = _NOT_ACCEPTED[code]
        return failed(f"{seen} ({code})", remedy)
    if refusal and patient.is_denied_without_reason():
        words = refusal.message.partition(": check ")[0]
        return skipped(f"the store says {words!r}, and may say so of a wrong key or secret, too")
    if refusal and refusal.status in _REFUSALS and code not in ("AccessDenied", "NoSuchBucket"):
        return failed(refusal, "are key, secret and token those of this store? Else its logs may say more")
    if patient.client.store.is_aws(patient.path.bucket):
        return ok("the store knows the key and the signature is right")
    if patient.page is None:  # some look for the bucket before they look at the signature
        return ok("the store does not refuse the key or the signature")
    if _is_wrong_secret_taken(patient):
        return ok("a wrong secret is taken as well: the store lets in whoever reaches it")
    return ok("the store knows the key and the signature is right")


def _is_wrong_secret_taken(patient: Patient) -> bool:
    """Whether the first request is answered as well when another secret signs it."""
    key, _ = patient.client.store.identity()
    wrong = replace(
        patient.options,
        key=key,
        secret=secrets.token_hex(20),
        token=None,
        credential_provider=None,
        role_arn=None,
        external_id=None,
        session_name=None,
        web_identity_token_file=None,
    )
    try:
        listings = S3Client(Store(wrong)).listings
        next(listings.list_objects(patient.path.bucket, patient.path.key, max_keys=1))
    except GuardedS3Error:
        return False
    return True


_REFUSALS = (401, 403, 404)  # some stores have words of their own for a key that they do not know
_EXPIRED = "the session token has expired or is not valid"
_SET_CLOCK = "set this machine's clock, best by NTP"
_SIGN_IN = "sign in again (aws sso login), or renew AWS_SESSION_TOKEN and the keys with it"
_NOT_ACCEPTED = {
    "InvalidAccessKeyId": (
        "the store does not know this access key",
        "correct AWS_ACCESS_KEY_ID or --profile; are they for this --endpoint-url?",
    ),
    "SignatureDoesNotMatch": (
        "the secret does not belong to the access key",
        "correct AWS_SECRET_ACCESS_KEY or --profile; else a proxy changes the requests",
    ),
    "ExpiredToken": (_EXPIRED, _SIGN_IN),
    "ExpiredTokenException": (_EXPIRED, _SIGN_IN),
    "InvalidToken": (_EXPIRED, _SIGN_IN),
    "TokenRefreshRequired": (_EXPIRED, _SIGN_IN),
    "RequestTimeTooSkewed": ("the clocks of this machine and of the store differ too much", _SET_CLOCK),
}


# --- the bucket, and what may be done there -------------------------------------------------------


def _denied(what: str, action: str) -> Seen:
    return failed(
        f"{what} is not allowed", f"allow {action} in the policy of the bucket or of the credentials"
    )


def bucket(patient: Patient) -> Seen:
    name, refusal = patient.path.bucket, patient.refusal
    if patient.code == "NoSuchBucket":
        return failed(f"there is no bucket {name}", "correct the name, or create the bucket first")
    if refusal and not isinstance(refusal, AccessDeniedError):
        return failed(refusal, "the store's own words; its logs may say more")
    if patient.is_denied_without_reason():
        return skipped(f"the store does not tell whether {name} is there")
    return ok(f"{name} is there")


def listing(patient: Patient) -> Seen:
    if patient.page is None:
        status, seen, remedy = _denied("listing", "s3:ListBucket")
        unsure = "; or correct key and secret" if patient.is_denied_without_reason() else ""
        return status, seen, remedy + unsure
    return ok("allowed" if patient.page.keys else "allowed; there is nothing yet")


def read(patient: Patient) -> Seen:
    keys = list(patient.page.keys) if patient.page else [patient.path.key]
    key = next((key for key in keys if key and not key.endswith("/")), None)
    if key is None:
        return skipped("there is nothing to read")
    path = patient.path.child(key)
    try:
        read_range(patient.client, path, patient.client.reads.head_object(path), 0, 1)
    except AccessDeniedError as error:
        if error.code == "InvalidObjectState":
            return skipped(f"{path} is archived")
        return _denied(f"reading {path}", "s3:GetObject")
    except ObjectNotFoundError:
        return skipped(f"{path} is not there")
    return ok(f"allowed, tried with {path}")


def delete(patient: Patient) -> Seen:
    """Asked before anything is written: a key that is not there may be deleted by who may delete."""
    if patient.read_only:
        return skipped("read-only")
    try:
        _remove(patient, None)
    except AccessDeniedError:
        status, seen, remedy = _denied("deleting", "s3:DeleteObject")
        return status, seen, f"{remedy}; until then nothing is written here, since it would stay"
    return ok("allowed")


def _remove(patient: Patient, version: str | None) -> None:
    """Delete a version of the trial's key, or all that shows, and the delete marker that this may leave."""
    path = S3Path(patient.trial.bucket, patient.trial.key, version)
    marker = patient.client.deletions.delete_object(path)
    if marker and version is None:
        patient.client.deletions.delete_object(S3Path(path.bucket, path.key, marker))


def write(patient: Patient) -> Seen:
    if patient.read_only:
        return skipped("read-only")
    client, trial = patient.client, patient.trial
    try:
        version = client.writes.put_object(trial, b"doctor", Condition(), {}).version_id
    except AccessDeniedError:
        return _denied("writing", "s3:PutObject")
    try:
        kept = read_range(client, trial, client.reads.head_object(trial), 0, 6)
    except AccessDeniedError:
        found = _denied("reading what was written", "s3:GetObject")
    else:
        other = failed("what was written is not what is read", "do not use this store")
        found = ok("allowed, and read back") if kept == b"doctor" else other
    try:
        _remove(patient, version)
    except GuardedS3Error as error:
        return failed(f"what was written cannot be removed: {error.message}", f"delete {trial} by hand")
    return found
