"""The doctor: what stands between this machine and a bucket, step by step, each finding with its remedy.

A generator of findings; it prints nothing. It goes on where it can: a check is skipped only when one that it
needs has failed. What it writes it removes again, and it writes nothing before it knows that it may delete.
The steps before HTTP are tried one by one here, with the transport's own proxies and certificates.
"""

from __future__ import annotations

import secrets
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from .._auth.endpoints import Endpoint
from .._read.download import read_range
from .._s3.client import S3Client
from .._s3.store import Store
from .._values.conditions import Condition
from .._values.models import ListPage
from .._values.paths import S3Path
from .._write.guards import probe
from ..errors import (
    AccessDeniedError,
    ConfigurationError,
    ConnectError,
    GuardedS3Error,
    ObjectNotFoundError,
    ResponseError,
    ServerError,
    ThrottledError,
    TransportError,
)
from ..options import Options

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"
_MINUTE = 60.0  # seconds; what a clock may be off
_ATTEMPTS, _DEADLINE = 2, 30.0  # of one request: a doctor must not keep one waiting
_REGION_CODES = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: `status` is ok, warning, failed or skipped; `remedy` may be ""."""

    name: str
    status: str
    seen: str
    remedy: str = ""


Seen = tuple[str, str, str]  # status, what was seen, the remedy


def _ok(seen: str) -> Seen:
    return OK, seen, ""


def _skipped(seen: str) -> Seen:
    return SKIPPED, seen, ""


def _failed(seen: object, remedy: str) -> Seen:
    return FAILED, str(seen), remedy


def _warning(seen: str, remedy: str) -> Seen:
    return WARNING, seen, remedy


def examine(options: Options, path: S3Path, read_only: bool = False) -> Iterator[Finding]:
    """All checks for `path` in their order, each as soon as it is done; none raises for what it finds.

    `read_only` leaves out those that write.
    """
    patient = _Patient(options, path, read_only)
    out: set[str] = set()  # failed, or skipped because of such
    for name, needs, check in _CHECKS:
        lacking = next((need for need in needs if need in out), None)
        if lacking:
            out.add(name)
            yield Finding(name, SKIPPED, f"needs {lacking}")
            continue
        try:
            status, seen, remedy = check(patient)
        except GuardedS3Error as error:
            status, seen, remedy = _failed(error, "the store's own words; its logs may say more")
        if status == FAILED:
            out.add(name)
        yield Finding(name, status, seen, remedy)


class _Patient:
    """The one that is examined, and what was learned so far."""

    def __init__(self, options: Options, path: S3Path, read_only: bool) -> None:
        attempts = min(_ATTEMPTS, options.max_attempts or _ATTEMPTS)
        options = replace(
            options, max_attempts=attempts, request_deadline=min(_DEADLINE, options.request_deadline)
        )
        self.options = options
        self.path = path
        self.read_only = read_only
        self.client = S3Client(Store(options))
        self.transport = self.client.store.transport
        folder = path.key.rpartition("/")[0]
        name = f".gs3-doctor-{secrets.token_hex(8)}"
        self.trial = path.child(f"{folder}/{name}" if folder else name)
        self.endpoint: Endpoint
        self.hop: tuple[str, int]  # the first machine on the way: the store's, or a proxy
        self.proxied = False
        self.page: ListPage | None = None
        self.refusal: ResponseError | None = None
        self.server_date = ""

    @property
    def code(self) -> str:
        """The code with which the store refused the first request, "" when it did not."""
        return self.refusal.code if self.refusal else ""


# --- before the first request ---------------------------------------------------------------------


def _endpoint(patient: _Patient) -> Seen:
    try:
        endpoint = patient.client.store.endpoint(patient.path.bucket)
    except ValueError as error:
        return _failed(error, "correct --endpoint-url, --profile, --region or the AWS configuration")
    try:
        proxy = patient.transport.proxy(endpoint.scheme, endpoint.host, endpoint.port)
    except ConfigurationError as error:
        return _failed(error, f"correct {endpoint.scheme.upper()}_PROXY in the environment")
    patient.endpoint = endpoint
    patient.hop = endpoint.host, endpoint.port
    seen = f"{endpoint.scheme}://{endpoint.netloc}"
    if proxy is None:
        return _ok(seen)
    patient.proxied = True
    patient.hop = proxy.host, proxy.port
    return _ok(f"{seen} through the proxy {proxy.host}:{proxy.port}")


def _dns(patient: _Patient) -> Seen:
    host, port = patient.hop
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        whose = "the proxy in the environment" if patient.proxied else "--endpoint-url and --region"
        remedy = f"look for a misspelling in {whose}; else see to this machine's name server or VPN"
        return _failed(f"the name {host} is not known: {error.strerror}", remedy)
    return _ok(", ".join(sorted({str(address[0]) for *_, address in found})[:3]))


def _tcp(patient: _Patient) -> Seen:
    host, port = patient.hop
    try:
        with socket.create_connection((host, port), timeout=patient.options.connect_timeout):
            return _ok(f"connected to port {port}")
    except ConnectionRefusedError:
        return _failed(f"{host}:{port} refuses connections", "start the server, or correct host and port")
    except OSError as error:
        remedy = "correct host and port; a firewall, a VPN or a missing proxy may be in the way"
        return _failed(f"no connection to {host}:{port}: {error.strerror or error}", remedy)


def _tls(patient: _Patient) -> Seen:
    endpoint = patient.endpoint
    if endpoint.scheme == "http":
        return _skipped("plain http")
    if patient.proxied:
        return _skipped("left to the proxy")
    try:
        context = patient.transport.ssl_context()
    except ConfigurationError as error:
        return _failed(error, f"correct {error.message.partition(':')[0].replace('storage option ', '-o ')}")
    try:
        with (
            socket.create_connection(patient.hop, timeout=patient.options.connect_timeout) as plain,
            context.wrap_socket(plain, server_hostname=endpoint.host) as secure,
        ):
            expires = (secure.getpeercert() or {}).get("notAfter")
            return _ok(f"{secure.version()}, certificate until {expires}")
    except ssl.SSLCertVerificationError as error:
        remedy = "set AWS_CA_BUNDLE to the PEM file of the authority that signed it, if you trust that"
        return _failed(f"the certificate is not trusted: {error.verify_message}", remedy)
    except OSError as error:
        remedy = "does this port speak TLS? Use http:// in --endpoint-url where it does not"
        return _failed(f"no TLS: {getattr(error, 'reason', None) or error}", remedy)


def _credentials(patient: _Patient) -> Seen:
    if patient.options.anon:
        return _skipped("requests are not signed")
    try:
        key, source = patient.client.store.identity()
    except AccessDeniedError as error:
        remedy = (
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or pass --profile; --anon for public buckets"
        )
        return _failed(error.message.partition(":")[0], remedy)
    shown = f"key {key[:4]}..." if len(key) >= 16 else "a key"  # of a short one too little would be hidden
    return _ok(f"{shown} from {source}")


# --- what the first request tells -----------------------------------------------------------------


_NO_S3 = "is --endpoint-url the address of the S3 API, and not of a console or web page?"

_NO_WAY = "correct what it names: the proxy in the environment, -o client_cert=, or http:// in --endpoint-url"


def _answer(patient: _Patient) -> Seen:
    path = patient.path
    try:
        patient.page = next(patient.client.listings.list_objects(path.bucket, path.key, max_keys=1))
    except ResponseError as error:
        patient.refusal = error
    except ConnectError as error:
        return _failed(error, _NO_WAY)
    except TransportError as error:
        return _failed(error, _NO_S3)
    refusal = patient.refusal
    if isinstance(refusal, (ServerError, ThrottledError)):
        return _failed(refusal, "the store is in trouble itself: see its logs, or come back later")
    if refusal and not refusal.code:
        return _failed(f"HTTP {refusal.status} without an error document: no S3", _NO_S3)
    try:
        patient.server_date = patient.client.buckets.bucket_headers(path.bucket).get("date", "")
    except ResponseError as error:
        patient.server_date = error.server_date
    return _ok("it speaks S3")


def _clock(patient: _Patient) -> Seen:
    server = None
    with suppress(TypeError, ValueError):
        server = parsedate_to_datetime(patient.server_date)
    if server is None:
        return _skipped("the store tells no time")
    aware = server if server.tzinfo else server.replace(tzinfo=timezone.utc)
    ahead = (datetime.now(timezone.utc) - aware).total_seconds()
    if abs(ahead) <= _MINUTE:
        return _ok("within a minute of the store's")
    remedy = "set this machine's clock, best by NTP"
    seen = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the store"
    if patient.code == "RequestTimeTooSkewed":
        return _failed(seen, remedy)
    return _warning(seen, f"{remedy}: here it is corrected for, other tools are refused")


def _region(patient: _Patient) -> Seen:
    before, now = patient.endpoint.region, patient.client.store.endpoint(patient.path.bucket).region
    if patient.refusal and patient.code in _REGION_CODES:
        region = patient.refusal.region
        return _failed(f"the bucket is not in {before}", f"pass --region {region or 'with the right one'}")
    if now != before:
        return _warning(f"the bucket is in {now}, not in {before}", f"pass --region {now}: saves a detour")
    return _ok(now)


def _accepted(patient: _Patient) -> Seen:
    if patient.options.anon:
        return _skipped("requests are not signed")
    code = patient.code
    if code in _NOT_ACCEPTED:
        seen, remedy = _NOT_ACCEPTED[code]
        return _failed(f"{seen} ({code})", remedy)
    return _ok("the store knows the key and the signature is right")


_EXPIRED = "the session token has expired or is not valid"
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
}


# --- the bucket, and what may be done there -------------------------------------------------------


def _denied(what: str, action: str) -> Seen:
    return _failed(
        f"{what} is not allowed", f"allow {action} in the policy of the bucket or of the credentials"
    )


def _bucket(patient: _Patient) -> Seen:
    name, refusal = patient.path.bucket, patient.refusal
    if patient.code == "NoSuchBucket":
        return _failed(f"there is no bucket {name}", "correct the name, or create the bucket first")
    if refusal and not isinstance(refusal, AccessDeniedError):
        return _failed(refusal, "the store's own words; its logs may say more")
    return _ok(f"{name} is there")


def _list(patient: _Patient) -> Seen:
    if patient.page is None:
        return _denied("listing", "s3:ListBucket")
    return _ok("allowed" if patient.page.keys else "allowed; there is nothing yet")


def _read(patient: _Patient) -> Seen:
    keys = list(patient.page.keys) if patient.page else [patient.path.key]
    key = next((key for key in keys if key and not key.endswith("/")), None)
    if key is None:
        return _skipped("there is nothing to read")
    path = patient.path.child(key)
    try:
        read_range(patient.client, path, patient.client.reads.head_object(path), 0, 1)
    except AccessDeniedError as error:
        if error.code == "InvalidObjectState":
            return _skipped(f"{path} is archived")
        return _denied(f"reading {path}", "s3:GetObject")
    except ObjectNotFoundError:
        return _skipped(f"{path} is not there")
    return _ok(f"allowed, tried with {path}")


def _delete(patient: _Patient) -> Seen:
    """Asked before anything is written: a key that is not there may be deleted by who may delete."""
    if patient.read_only:
        return _skipped("read-only")
    try:
        _remove(patient, None)
    except AccessDeniedError:
        status, seen, remedy = _denied("deleting", "s3:DeleteObject")
        return status, seen, f"{remedy}; until then nothing is written here, since it would stay"
    return _ok("allowed")


def _remove(patient: _Patient, version: str | None) -> None:
    """Delete a version of the trial's key, or all that shows, and the delete marker that this may leave."""
    path = S3Path(patient.trial.bucket, patient.trial.key, version)
    marker = patient.client.deletions.delete_object(path)
    if marker and version is None:
        patient.client.deletions.delete_object(S3Path(path.bucket, path.key, marker))


def _write(patient: _Patient) -> Seen:
    if patient.read_only:
        return _skipped("read-only")
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
        other = _failed("what was written is not what is read", "do not use this store")
        found = _ok("allowed, and read back") if kept == b"doctor" else other
    try:
        _remove(patient, version)
    except GuardedS3Error as error:
        return _failed(f"what was written cannot be removed: {error.message}", f"delete {trial} by hand")
    return found


def _guards(patient: _Patient) -> Seen:
    if patient.read_only:
        return _skipped("read-only")
    missing = probe(patient.client, patient.trial).missing()
    if not missing:
        return _ok("all are honoured")
    remedy = "writes that need one are refused, never done without it; copies and moves take another way"
    return _warning(f"not honoured: {', '.join(missing)}", remedy)


_CHECKS: tuple[tuple[str, tuple[str, ...], Callable[[_Patient], Seen]], ...] = (
    ("endpoint", (), _endpoint),
    ("dns", ("endpoint",), _dns),
    ("tcp", ("dns",), _tcp),
    ("tls", ("tcp",), _tls),
    ("credentials", ("endpoint",), _credentials),
    ("answer", ("tls", "credentials"), _answer),
    ("clock", ("answer",), _clock),
    ("region", ("answer",), _region),
    ("accepted", ("clock", "region"), _accepted),
    ("bucket", ("accepted",), _bucket),
    ("list", ("bucket",), _list),
    ("read", ("bucket",), _read),
    ("delete", ("bucket",), _delete),
    ("write", ("delete",), _write),
    ("guards", ("write",), _guards),
)
