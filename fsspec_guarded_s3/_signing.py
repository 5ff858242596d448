"""Signed requests: `Request` -> `WireRequest`. botocore's parts, never its client, which costs 0.6 ms of CPU
per request.

Invariant: date, credentials and region are those of the attempt, not of the call.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from ._bodies import body_chunks, body_size
from ._endpoints import Endpoint, Endpoints
from ._keywords import whole
from ._models import Request, SessionCredentials, WireRequest
from ._operations import request_of
from ._options import Options
from ._paths import S3Path
from ._session import Session
from ._sigv4 import EMPTY, SESSION_TOKEN, QuietAuth, timestamp_of
from ._sigv4a import AsymmetricAuth

logger = logging.getLogger("fsspec_guarded_s3")

Sign = Callable[[str], dict[str, str]]  # all headers of a request to a target
UNSIGNED = "UNSIGNED-PAYLOAD"
_MINUTE = timedelta(minutes=1)
MAX_EXPIRES = 604_800  # seconds; SigV4's limit for a presigned URL


class Signer:
    """Knows who we are and where the buckets are."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._session = Session(options)
        self._endpoints = Endpoints(options, self._session)
        self._clock_offset = timedelta()
        self._keys: dict[Any, bytes] = {}
        self._last: tuple[Any, Sign] = (None, lambda target: {})

    def __repr__(self) -> str:
        return f"<Signer {self._endpoints!r}>"

    # --- public ---

    def sign(self, request: Request, session: SessionCredentials | None = None) -> WireRequest:
        """Sign for now; called anew for each attempt, so that date and credentials are fresh.

        `session` is that of a directory bucket, which then signs in place of our own credentials.
        Raises CredentialsError when there are none, ConfigurationError for plain http to a foreign host.
        """
        endpoint = self.endpoint(request.bucket)
        target = self._target(endpoint, request)
        headers = self._signed(endpoint, request, session)(target)
        return WireRequest(
            method=request.method,
            scheme=endpoint.scheme,
            host=endpoint.host,
            port=endpoint.port,
            target=target,
            headers={**headers, **request.unsigned} if request.unsigned else headers,
            body=request.body,
            fresh=not request.idempotent,
            patient=request.patient,
        )

    def presign(self, request: Request, expires: int, session: SessionCredentials | None = None) -> str:
        """A URL that carries the signature in its query, valid for `expires` seconds (1 to 604,800).

        The headers of the request are signed too: whoever uses the URL has to send them.
        """
        if not 1 <= whole("expiration", expires) <= MAX_EXPIRES:
            raise ValueError(f"expiration must be 1 to {MAX_EXPIRES} seconds, not {expires}")
        endpoint = self.endpoint(request.bucket)
        target = self._target(endpoint, request)
        if not self._options.anon:
            headers = {"host": endpoint.netloc, **request.headers}
            auth = self._auth(endpoint, UNSIGNED, session)
            target = auth.presigned(request.method, target, headers, expires)
        return f"{endpoint.scheme}://{endpoint.netloc}{target}"

    def request_of(self, method: str, path: S3Path, parameters: Mapping[str, Any]) -> Request:
        """An operation by its name and parameters in botocore; see `_operations`."""
        return request_of(self._session, method, path, parameters)

    def needs_session(self, bucket: str) -> bool:
        """Whether requests to `bucket` are signed with a session, which CreateSession gives."""
        return not self._options.anon and self.endpoint(bucket).signature == "sigv4-s3express"

    def endpoint(self, bucket: str) -> Endpoint:
        """The endpoint of `bucket` ("" for the service itself), resolved once."""
        return self._endpoints.of(bucket)

    def is_aws(self, bucket: str) -> bool:
        """Whether `bucket` is at a host of AWS itself."""
        return self._endpoints.is_aws(bucket)

    def identity(self) -> tuple[str, str]:
        """The access key's id and the source it is from; nothing secret. Raises CredentialsError."""
        return self._session.identity()

    def learn_region(self, bucket: str, region: str) -> bool:
        """Remember that `bucket` is in `region`. Returns whether a retry makes sense."""
        return self._endpoints.learn(bucket, region)

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

    # --- signature ---

    def _signed(self, endpoint: Endpoint, request: Request, session: SessionCredentials | None) -> Sign:
        """Like requests of a second share it when they have no body."""
        if request.body:
            return self._sign(endpoint, request, session)
        credentials = None if self._options.anon else session or self._session.frozen()
        what = (request.method, request.headers, endpoint, credentials, self._timestamp())
        last, signed = self._last
        if last != what:
            signed = self._sign(endpoint, request, session)
            self._last = (what, signed)
        return signed

    def _sign(self, endpoint: Endpoint, request: Request, session: SessionCredentials | None) -> Sign:
        headers = {"host": endpoint.netloc, "accept-encoding": "identity", "user-agent": "fsspec_guarded_s3"}
        headers.update(request.headers)
        size = body_size(request.body)
        if size or request.method in ("PUT", "POST"):
            headers["content-length"] = str(size)
        if self._options.anon:
            return lambda target: headers
        return self._auth(endpoint, self._payload(request), session).signed(request.method, headers)

    def _target(self, endpoint: Endpoint, request: Request) -> str:
        path = endpoint.base_path
        path += "/" + quote(request.key, safe="/~") if request.key else "" if path else "/"
        if not request.query:
            return path
        # Sorted by what is sent, as SigV4 has it: "%5B" comes before "0", which "[" does not.
        pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in request.query)
        return f"{path}?{'&'.join(f'{name}={value}' for name, value in pairs)}"

    def _payload(self, request: Request) -> str:
        if not body_size(request.body):
            return EMPTY
        if not self._options.sign_payload:
            return UNSIGNED
        digest = hashlib.sha256()
        for chunk in body_chunks(request.body):
            digest.update(chunk)
        return digest.hexdigest()

    def _auth(
        self, endpoint: Endpoint, payload: str, session: SessionCredentials | None
    ) -> QuietAuth | AsymmetricAuth:
        timestamp = self._timestamp()
        if session is not None:
            return QuietAuth(session, endpoint, payload, timestamp, self._keys, SESSION_TOKEN)
        credentials = self._session.frozen()
        if endpoint.signature == "sigv4a":
            return AsymmetricAuth(credentials, endpoint, payload, timestamp)
        return QuietAuth(credentials, endpoint, payload, timestamp, self._keys)

    def _timestamp(self) -> str:
        return timestamp_of(int(time.time() + self._clock_offset.total_seconds()))
