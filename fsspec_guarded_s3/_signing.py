"""Credentials, endpoints and SigV4: `Request` -> `WireRequest`. The only importer of botocore.

botocore's parts, never its client, which costs 0.6 ms of CPU per request. Endpoint rules are evaluated
once per bucket. Invariant: credentials never leave over plain http to another host unless that is allowed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.configprovider
import botocore.credentials
import botocore.endpoint_provider
import botocore.exceptions
import botocore.session

from ._bodies import body_chunks, body_size
from ._errors import CredentialsError
from ._models import Request, WireRequest
from ._options import Options
from ._paths import is_loopback

logger = logging.getLogger("fsspec_guarded_s3")

UNSIGNED = "UNSIGNED-PAYLOAD"
_EMPTY = hashlib.sha256().hexdigest()
_NEVER_SIGNED = frozenset(botocore.auth.SIGNED_HEADERS_BLACKLIST)
_MINUTE = timedelta(minutes=1)
MAX_EXPIRES = 604_800  # seconds; SigV4's limit for a presigned URL


class Endpoint(NamedTuple):
    """Where a bucket is reached, and for which region requests to it are signed."""

    scheme: str
    host: str
    port: int
    netloc: str
    base_path: str
    region: str
    service: str


@lru_cache(maxsize=4)
def _timestamp(second: int) -> str:
    """X-Amz-Date of a Unix time."""
    return datetime.fromtimestamp(second, timezone.utc).strftime("%Y%m%dT%H%M%SZ")


class _Signable:
    """What botocore's algorithm needs of a request. Its own AWSRequest keeps headers in an email message.

    Of the URL only path and query are needed, since the host is a header.
    """

    params = None

    def __init__(self, method: str, url: str, headers: dict[str, str], timestamp: str) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.context = {"timestamp": timestamp}


class _QuietAuth(botocore.auth.S3SigV4Auth):
    """botocore's SigV4 without its debug log, which shows tokens and signatures, and with our clock.

    Header names are lower-case and single, which makes their canonical form cheap. The signing key is derived
    once a day, region and credential: `keys` holds the last one.
    """

    def __init__(
        self, credentials: Any, endpoint: Endpoint, payload: str, timestamp: str, keys: dict[Any, bytes]
    ) -> None:
        super().__init__(credentials, endpoint.service, endpoint.region)
        self._payload = payload
        self._keys = keys
        self._timestamp = timestamp

    def signed(self, method: str, target: str, headers: dict[str, str]) -> dict[str, str]:
        """`headers`, and those that carry the signature."""
        headers = {**headers, "x-amz-date": self._timestamp, "x-amz-content-sha256": self._payload}
        if self.credentials.token:
            headers["x-amz-security-token"] = self.credentials.token
        request = _Signable(method, target, headers, self._timestamp)
        text = self.string_to_sign(request, self.canonical_request(request))
        names = self.signed_headers(self.headers_to_sign(request))
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.scope(request)}, SignedHeaders={names}, "
            f"Signature={self.signature(text, request)}"
        )
        return headers

    def payload(self, request: Any) -> str:
        return self._payload

    def headers_to_sign(self, request: Any) -> dict[str, str]:
        headers: dict[str, str] = request.headers
        return {name: headers[name] for name in sorted(headers) if name not in _NEVER_SIGNED}

    def canonical_headers(self, headers_to_sign: dict[str, str]) -> str:
        return "\n".join(f"{name}:{' '.join(value.split())}" for name, value in headers_to_sign.items())

    def signed_headers(self, headers_to_sign: dict[str, str]) -> str:
        return ";".join(headers_to_sign)

    def signature(self, string_to_sign: str, request: Any) -> str:
        secret, day = self.credentials.secret_key, self._timestamp[:8]
        name = (secret, day, self._region_name, self._service_name)
        key = self._keys.get(name)
        if key is None:
            key = f"AWS4{secret}".encode()
            for step in (day, self._region_name, self._service_name, "aws4_request"):
                key = self._sign(key, step)
            self._keys.clear()
            self._keys[name] = key
        return str(self._sign(key, string_to_sign, hex=True))


class _QuietQueryAuth(botocore.auth.S3SigV4QueryAuth):
    """The same for presigned URLs."""

    def __init__(self, credentials: Any, service: str, region: str, expires: int, now: datetime) -> None:
        super().__init__(credentials, service, region, expires=expires)
        self._now = now

    def add_auth(self, request: Any) -> None:
        request.context["timestamp"] = self._now.strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))


class _Discretion(logging.Filter):
    """Drops botocore's debug records of a thread that fetches credentials.

    The clients of STS and SSO log their requests and answers whole: tokens, secrets, signatures.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()
        for name in ("botocore.auth", "botocore.endpoint", "botocore.parsers"):
            logging.getLogger(name).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG or not getattr(self._thread, "fetching", False)

    @contextmanager
    def fetching(self) -> Iterator[None]:
        self._thread.fetching = True
        try:
            yield
        finally:
            self._thread.fetching = False


_discretion = _Discretion()


_signers: weakref.WeakSet[Signer] = weakref.WeakSet()


def _after_fork() -> None:
    for signer in list(_signers):
        signer._lock = threading.RLock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Signer:
    """Knows who we are and where the buckets are."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.RLock()
        self._session: Any = None
        self._credentials: Any = None
        self._rules: Any = None
        self._endpoints: dict[str, Endpoint] = {}
        self._regions: dict[str, str] = {}
        self._clock_offset = timedelta()
        self._keys: dict[Any, bytes] = {}
        _signers.add(self)

    def __repr__(self) -> str:
        return f"<Signer endpoints={len(self._endpoints)}>"

    # --- public ---

    def sign(self, request: Request) -> WireRequest:
        """Sign for now; called anew for each attempt, so that date and credentials are fresh.

        Raises CredentialsError when there are none, ValueError for plain http to a foreign host.
        """
        endpoint = self.endpoint(request.bucket)
        target = self._target(endpoint, request)
        headers = {"host": endpoint.netloc, "accept-encoding": "identity", "user-agent": "fsspec_guarded_s3"}
        headers.update(request.headers)
        size = body_size(request.body)
        if size or request.method in ("PUT", "POST"):
            headers["content-length"] = str(size)
        if not self._options.anon:
            headers = self._signed_headers(request, endpoint, target, headers)
        return WireRequest(
            method=request.method,
            scheme=endpoint.scheme,
            host=endpoint.host,
            port=endpoint.port,
            target=target,
            headers=headers,
            body=request.body,
            fresh=not request.idempotent,
            patient=request.patient,
        )

    def presign(self, request: Request, expires: int) -> str:
        """A URL that carries the signature in its query, valid for `expires` seconds (1 to 604,800)."""
        if not 1 <= expires <= MAX_EXPIRES:
            raise ValueError(f"expiration must be 1 to {MAX_EXPIRES} seconds, not {expires}")
        endpoint = self.endpoint(request.bucket)
        url = f"{endpoint.scheme}://{endpoint.netloc}{self._target(endpoint, request)}"
        if self._options.anon:
            return url
        aws = botocore.awsrequest.AWSRequest(request.method, url, headers=dict(request.headers))
        _QuietQueryAuth(self._frozen(), endpoint.service, endpoint.region, expires, self._now()).add_auth(aws)
        return str(aws.url)

    def learn_region(self, bucket: str, region: str) -> bool:
        """Remember that `bucket` is in `region`. Returns whether a retry makes sense."""
        with self._lock:
            before = self._regions.get(bucket)
            if region and region == before:
                return True  # another thread learned it while this request was under way
            if not region or self.endpoint(bucket).region == region:
                return False
            self._regions[bucket] = region
            try:
                self._endpoints[bucket] = self._resolve(bucket)
            except ValueError:  # no region at all: the old endpoint stays
                self._regions.pop(bucket)
                if before:
                    self._regions[bucket] = before
                return False
            logger.info("bucket %s is in region %s; requests go there from now on", bucket, region)
            return True

    def learn_clock(self, server_date: str) -> bool:
        """Correct the clock by a response's Date header. Returns whether a retry makes sense."""
        try:
            server = parsedate_to_datetime(server_date)
        except (TypeError, ValueError):
            return False
        if server.tzinfo is None:  # "-0000", RFC 5322, 3.3: UTC, from who knows where
            server = server.replace(tzinfo=timezone.utc)
        offset = server - datetime.now(timezone.utc)
        if abs(offset - self._clock_offset) > _MINUTE:
            logger.warning("this machine's clock is off by %.0f s; corrected for S3", offset.total_seconds())
            self._clock_offset = offset
            return True
        return abs(offset) > _MINUTE  # another thread corrected it while this request was under way

    def endpoint(self, bucket: str) -> Endpoint:
        """The endpoint of `bucket` ("" for the service itself), resolved once."""
        found = self._endpoints.get(bucket)
        if found is None:
            with self._lock:
                found = self._endpoints[bucket] = self._resolve(bucket)
        return found

    # --- endpoint ---

    def _resolve(self, bucket: str) -> Endpoint:
        options, session = self._options, self._botocore()
        custom = _checked_url(options.endpoint_url or self._configured_endpoint())
        region = self._regions.get(bucket) or options.region or session.get_config_variable("region")
        profile = session.get_config_variable("s3") or {}
        style = options.addressing_style
        if style == "auto":
            style = profile.get("addressing_style", "auto")
        dual = (
            options.use_dualstack
            or bool(session.get_config_variable("use_dualstack_endpoint"))
            or bool(profile.get("use_dualstack_endpoint"))
        )
        fips = bool(session.get_config_variable("use_fips_endpoint"))
        parameters: dict[str, Any] = {
            "Region": region or "us-east-1",
            "UseFIPS": fips and not custom,
            "UseDualStack": dual and not custom,
            "ForcePathStyle": (style != "virtual") if custom else (style == "path"),
            "Accelerate": options.use_accelerate
            or (bool(profile.get("use_accelerate_endpoint")) and not custom),
            "UseGlobalEndpoint": False,
            "UseArnRegion": True,
            "DisableMultiRegionAccessPoints": False,
        }
        if bucket:
            parameters["Bucket"] = bucket
        if custom:
            parameters["Endpoint"] = custom
        try:
            rule = self._provider().resolve_endpoint(**parameters)
        except botocore.exceptions.BotoCoreError as error:
            raise ValueError(f"no endpoint for bucket {bucket!r}: {error}") from error
        schemes = rule.properties.get("authSchemes") or [{"name": "sigv4"}]
        scheme = next((scheme for scheme in schemes if scheme["name"] == "sigv4"), None)
        if scheme is None:
            wanted = schemes[0]["name"]
            raise ValueError(f"bucket {bucket!r} wants {wanted} signatures, which are not supported yet")
        return self._checked(rule.url, scheme.get("signingRegion") or parameters["Region"], scheme)

    def _checked(self, url: str, region: str, scheme: dict[str, Any]) -> Endpoint:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "http" and not (is_loopback(host) or self._options.allow_http):
            raise ValueError(
                f"endpoint_url is plain http to {host}: requests could be read on the way. "
                "Use https, or pass allow_http=True where the network is trusted"
            )
        port = parts.port or (443 if parts.scheme == "https" else 80)
        service = scheme.get("signingName", "s3")
        return Endpoint(parts.scheme, host, port, parts.netloc, parts.path.rstrip("/"), region, service)

    def _configured_endpoint(self) -> str | None:
        """AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's, as botocore's clients read them."""
        session = self._botocore()
        if session.get_config_variable("ignore_configured_endpoint_urls"):
            return None
        provider = botocore.configprovider.ConfiguredEndpointProvider(
            full_config=session.full_config,
            scoped_config=session.get_scoped_config(),
            client_name="s3",
        )
        url: str | None = provider.provide()
        return url

    def _provider(self) -> Any:
        if self._rules is None:
            loader = self._botocore().get_component("data_loader")
            self._rules = botocore.endpoint_provider.EndpointProvider(
                loader.load_service_model("s3", "endpoint-rule-set-1"), loader.load_data("partitions")
            )
        return self._rules

    # --- signature ---

    def _target(self, endpoint: Endpoint, request: Request) -> str:
        path = endpoint.base_path
        path += "/" + quote(request.key, safe="/~") if request.key else "" if path else "/"
        query = "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(request.query)
        )
        return f"{path}?{query}" if query else path

    def _signed_headers(
        self, request: Request, endpoint: Endpoint, target: str, headers: dict[str, str]
    ) -> dict[str, str]:
        if body_size(request.body) and not self._options.sign_payload:
            payload = UNSIGNED
        elif not body_size(request.body):
            payload = _EMPTY
        else:
            digest = hashlib.sha256()
            for chunk in body_chunks(request.body):
                digest.update(chunk)
            payload = digest.hexdigest()
        timestamp = _timestamp(int(time.time() + self._clock_offset.total_seconds()))
        auth = _QuietAuth(self._frozen(), endpoint, payload, timestamp, self._keys)
        return auth.signed(request.method, target, headers)

    def _now(self) -> datetime:
        return datetime.now(timezone.utc) + self._clock_offset

    # --- credentials ---

    def _botocore(self) -> Any:
        with self._lock:
            if self._session is None:
                try:
                    session = botocore.session.Session(profile=self._options.profile)
                    session.get_scoped_config()  # names a profile that does not exist
                except botocore.exceptions.ProfileNotFound as error:
                    raise ValueError(f"storage option profile: {error}") from error
                except botocore.exceptions.BotoCoreError as error:
                    raise ValueError(f"the AWS configuration cannot be used: {error}") from error
                self._session = session
            return self._session

    def _frozen(self) -> Any:
        """The credentials of this moment; botocore refreshes them when they are about to expire."""
        with _discretion.fetching():
            if self._credentials is None:
                with self._lock:
                    self._credentials = self._credentials or self._find_credentials()
            try:
                return self._credentials.get_frozen_credentials()
            except Exception as error:  # botocore's sources raise RuntimeError, KeyError, OSError ... too
                raise CredentialsError(f"the credentials could not be refreshed: {_said(error)}") from error

    def _find_credentials(self) -> Any:
        options = self._options
        if options.key:
            return botocore.credentials.Credentials(options.key, options.secret, options.token, "options")
        try:
            found = self._botocore().get_credentials()
        except Exception as error:  # a token file that is missing must not look like an object that is
            raise CredentialsError(f"the credentials could not be loaded: {_said(error)}") from error
        if found is None:
            raise CredentialsError(
                "no credentials found: pass key and secret, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "choose a profile, or pass anon=True for a public bucket"
            )
        return found


def _checked_url(url: str | None) -> str | None:
    """The endpoint that somebody configured. It is not shown before it is known to hold no password."""
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.username is not None:
        raise ValueError("endpoint_url must not hold a user name or password: pass key and secret")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"endpoint_url must be http:// or https:// and a host, not {url!r}")
    return url


def _said(error: Exception) -> str:
    """What botocore says; the texts of other exceptions are nothing without their type."""
    if isinstance(error, (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)):
        return str(error)
    return f"{type(error).__name__}: {error}"
