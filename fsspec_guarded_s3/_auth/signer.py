"""Signed requests: `Request` -> `WireRequest`. botocore's parts, never its client, which costs 0.6 ms of CPU
per request.

Two things are kept, since most requests differ little from the one before. `Signer._signed` keeps what the
last request signed beside its target, for one second; `sigv4.SymmetricAuth` keeps the signing key, for a day.

Invariant: date, credentials and region are those of the attempt, not of the call.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from .._values.bodies import body_chunks, body_size
from .._values.dialects import S3, is_in_own_words
from .._values.keywords import check_integer
from .._values.models import Request, SessionCredentials, WireRequest, s3_time
from .._values.paths import NOT_TEXT, S3Path, is_directory_bucket
from ..errors import CredentialsError, OperationUnsupportedError
from ..options import Options
from .endpoints import Endpoint, Endpoints
from .operations import request_of
from .session import Session, shared_session
from .settings import attempts, is_when_required, variable
from .sigv4 import AWS4, EMPTY, GOOG4, SESSION_TOKEN, Scheme, SymmetricAuth, timestamp_of
from .sigv4a import AsymmetricAuth
from .unconfigured import Keys

logger = logging.getLogger("fsspec_guarded_s3")

Sign = Callable[[str], dict[str, str]]  # all headers of a request to a target
UNSIGNED = "UNSIGNED-PAYLOAD"
AGENT = "fsspec_guarded_s3"
_NO_TOKEN = re.compile(r"[^A-Za-z0-9!#$%&'*+.^_`|~-]")  # RFC 9110, 5.6.2
MINUTE = timedelta(minutes=1)
_CONDITIONS = frozenset({"if-match", "if-none-match"})
_UNQUOTED = re.compile(r"[A-Za-z0-9_.~/-]*")  # what is sent of a key as it is
_CENTURY = timedelta(days=36_525)
MAX_EXPIRES = 604_800  # seconds; SigV4's limit for a presigned URL


class Outset(NamedTuple):
    """The state in which a request begins: `Session.reading`, the clock's correction, the region of its
    bucket, `time.monotonic()`.
    """

    reading: int
    clock: timedelta
    region: str
    since: float


class _Configured(NamedTuple):
    """What AWS's settings say about every request: its User-Agent, how often it is tried, whether bodies are
    signed.
    """

    agent: str
    sign_payload: bool
    attempts: int | None


class Signer:
    """Knows who we are and where the buckets are."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._session: Session = shared_session(options)
        self._endpoints = Endpoints(options, self._session)
        self._clock_offset = timedelta()
        self._keys: dict[Any, bytes] = {}
        self._settings: _Configured | None = None
        self._last: tuple[Any, Sign] = (None, lambda target: {})

    def __repr__(self) -> str:
        return f"<Signer {self._endpoints!r}>"

    # --- public ---

    def sign(self, request: Request, session: SessionCredentials | None = None) -> WireRequest:
        """Sign for now; called anew for each attempt, so that date and credentials are fresh.

        `session` is that of a directory bucket, which then signs in place of our own credentials.
        Raises CredentialsError when there are none, ConfigurationError for plain http to a foreign host.
        """
        endpoint = self._endpoints.of(request.bucket)
        if endpoint.dialect is not S3:
            request = replace(request, headers=endpoint.dialect.put(request.operation, request.headers))
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
            fresh_connection=not request.idempotent,
            slow_answer=request.slow_answer,
        )

    def presign(self, request: Request, expires: int, session: SessionCredentials | None = None) -> str:
        """A URL that carries the signature in its query, valid for `expires` seconds (1 to 604,800).

        The headers of the request are signed too: whoever uses the URL has to send them.
        """
        if not 1 <= check_integer("expiration", expires) <= MAX_EXPIRES:
            raise ValueError(f"expiration must be 1 to {MAX_EXPIRES} seconds, not {expires}")
        endpoint = self.endpoint(request.bucket)
        if endpoint.dialect.generations and request.method != "GET" and _CONDITIONS & request.headers.keys():
            raise OperationUnsupportedError(
                f"{endpoint.dialect.title} would ignore the condition of this URL: nothing was signed",
                operation=request.operation,
            )
        target = self._target(endpoint, request)
        if not self._options.anon:
            headers = {"host": endpoint.netloc, **request.headers}
            auth = self._auth(endpoint, UNSIGNED, session)
            target = auth.presigned(request.method, target, headers, expires)
        return f"{endpoint.scheme}://{endpoint.netloc}{target}"

    def presign_post(
        self, bucket: str, expires: int, conditions: Sequence[Any]
    ) -> tuple[str, dict[str, str]]:
        """Where a form is sent that uploads to `bucket`, and its fields with the policy and the signature.

        `expires` is in seconds (1 to 604,800), `conditions` are those of the policy beside that on the
        bucket. Raises OperationUnsupportedError where there is no such upload, CredentialsError without any.
        """
        if not 1 <= check_integer("expires", expires) <= MAX_EXPIRES:
            raise ValueError(f"expires must be 1 to {MAX_EXPIRES} seconds, not {expires}")
        endpoint = self.endpoint(bucket)
        reason = _why_no_form(endpoint)
        if reason:
            raise OperationUnsupportedError(
                f"{reason}: sign a PUT by fs.sign instead", bucket=bucket, operation="PostObject"
            )
        if self._options.anon:
            raise CredentialsError(
                "a form has to be signed, and anon=True says that nothing is", bucket=bucket
            )
        auth = self._auth(endpoint, UNSIGNED, None)
        assert isinstance(auth, SymmetricAuth)
        seconds = self._now() + self._clock_offset.total_seconds() + expires
        ends = datetime.fromtimestamp(int(seconds), timezone.utc)
        policy = {
            "expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "conditions": [*conditions, {"bucket": bucket}],
        }
        target = self._target(endpoint, Request("PostObject", "POST", bucket))
        return f"{endpoint.scheme}://{endpoint.netloc}{target}", auth.posted(policy)

    def is_when_required(self, name: str) -> bool:
        """Whether AWS's setting `name`, about checksums, is "when_required". Raises ConfigurationError."""
        return is_when_required(self._session.configuration(), name)

    def configured_attempts(self) -> int | None:
        """How many attempts per request AWS's settings ask for, if they do."""
        return self._configured().attempts

    def request_of(self, method: str, path: S3Path, parameters: Mapping[str, Any]) -> Request:
        """An operation by its name and parameters in botocore; see `operations`."""
        return request_of(self._session, method, path, parameters)

    def delegated(self, seconds: int) -> Keys:
        """The key of the options as credentials that end after `seconds`. GetSessionToken of STS."""
        return self._session.delegated(seconds, self._endpoints.of("").region)

    def credentials(self) -> Keys:
        """The credentials of this moment. Raises CredentialsError."""
        found = self._session.frozen()
        return Keys(found.access_key, found.secret_key, found.token, "session")

    def needs_session(self, bucket: str) -> bool:
        """Whether requests to `bucket` are signed with a session, which CreateSession gives."""
        if self._options.anon or not is_directory_bucket(bucket):
            return False
        return self._endpoints.of(bucket).signature == "sigv4-s3express"

    def endpoint(self, bucket: str) -> Endpoint:
        """The endpoint of `bucket` ("" for the service itself), resolved once."""
        return self._endpoints.of(bucket)

    def known_endpoint(self, bucket: str) -> Endpoint | None:
        """As `endpoint`; None where it has not been resolved. It does not wait."""
        return self._endpoints.known(bucket)

    def is_aws(self, bucket: str) -> bool:
        """Whether `bucket` is at a host of AWS itself."""
        return self._endpoints.is_aws(bucket)

    @property
    def ca_bundle(self) -> Callable[[], str | None]:
        """Tells the file of trusted certificates that the AWS profile names; one for all of a session."""
        return self._session.ca_bundle

    def identity(self) -> tuple[str, str]:
        """The access key's id and the source it is from; nothing secret. Raises CredentialsError."""
        return self._session.identity()

    def learn_region(self, bucket: str, region: str) -> bool:
        """Remember that `bucket` is in `region`, on trial. Returns whether a retry makes sense."""
        return self._endpoints.learn(bucket, region)

    def settle_region(self, bucket: str, region: str, proven: bool) -> None:
        """Keep a region that was learned, or forget it."""
        self._endpoints.settle(bucket, region, proven)

    def forget_trial(self, bucket: str) -> bool:
        """Forget the region of `bucket` if it was learned and no request was taken by it; whether it was."""
        return self._endpoints.forget_trial(bucket)

    def forget_regions(self) -> None:
        """Forget every region that was learned: the store tells them again."""
        self._endpoints.forget_regions()

    @property
    def clock(self) -> timedelta:
        """How far the clock of the store is before that of this machine, as far as is known."""
        return self._clock_offset

    def learn_clock(self, told: str, used: timedelta, least: timedelta = MINUTE) -> bool:
        """Correct the clock by the time that a response tells. Returns whether a retry makes sense.

        It does when the request, which was signed by the correction `used`, was off by more than `least`:
        another thread may have corrected the clock while it was under way.
        """
        server = _moment(told)
        if server is None:
            return False
        offset = timedelta(seconds=server.timestamp() - self._now())
        if abs(offset) > _CENTURY or abs(offset - used) <= least:
            return False
        if abs(offset - self._clock_offset) > MINUTE:
            if abs(offset) > MINUTE:
                off = offset.total_seconds()
                logger.warning("this machine's clock is off by %.0f s; corrected for S3", off)
            else:
                logger.warning("this machine's clock is right again")
            self._clock_offset = offset
        return True

    def forget_clock(self, learned: timedelta, before: timedelta) -> None:
        """The correction `learned` was of no use: go back to `before`, unless there is another by now."""
        if self._clock_offset == learned != before:
            logger.warning("the correction of the clock did not help, and is taken back")
            self._clock_offset = before

    def learn_dialect(self) -> None:
        """An answer showed that Google Cloud Storage is behind the endpoint, under another name."""
        self._endpoints.learn_dialect()

    def outset(self, bucket: str) -> Outset:
        """What a request to `bucket` begins with, for the corrections that it may need."""
        region = self._endpoints.of(bucket).region
        return Outset(self._session.reading, self._clock_offset, region, time.monotonic())

    def renew(self, outset: Outset) -> bool:
        """Read the credentials anew, by which a request of that outset was signed; see `Session.renew`."""
        return self._session.renew(outset.reading, outset.since)

    def is_temporary(self) -> bool:
        """Whether the credentials have a session token, and so an end."""
        return not self._options.anon and bool(self._session.frozen().token)

    def close(self) -> None:
        """Forget the credentials: they are read anew when they are wanted."""
        self._session.forget()

    # --- signature ---

    def _signed(self, endpoint: Endpoint, request: Request, session: SessionCredentials | None) -> Sign:
        """All headers of `request`, as a function of its target.

        Requests without a body that differ in their target alone share it for a second (`_last`).
        """
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
        headers = {
            "host": endpoint.netloc,
            "accept-encoding": "identity",
            "user-agent": self._configured().agent,
        }
        headers.update(request.headers)
        size = body_size(request.body)
        if size or request.method in ("PUT", "POST"):
            headers["content-length"] = str(size)
        if self._options.anon:
            return lambda target: headers
        scheme = GOOG4 if endpoint.dialect.generations and is_in_own_words(request.headers) else AWS4
        return self._auth(endpoint, self._payload(request), session, scheme).signed(request.method, headers)

    def _target(self, endpoint: Endpoint, request: Request) -> str:
        path, key = endpoint.base_path, request.key
        if not _UNQUOTED.fullmatch(key):
            key = quote(key, safe="/~", errors=NOT_TEXT)
        path += "/" + key if key else "" if path else "/"
        if not request.query:
            return path
        # Sorted by what is sent, as SigV4 has it: "%5B" comes before "0", which "[" does not.
        pairs = sorted(
            (quote(name, safe="-_.~"), quote(value, safe="-_.~", errors=NOT_TEXT))
            for name, value in request.query
        )
        return f"{path}?{'&'.join(f'{name}={value}' for name, value in pairs)}"

    def _payload(self, request: Request) -> str:
        if not body_size(request.body):
            return EMPTY
        if not (self._options.sign_payload or self._configured().sign_payload):
            return UNSIGNED
        digest = hashlib.sha256()
        for chunk in body_chunks(request.body):
            digest.update(chunk)
        return digest.hexdigest()

    def _configured(self) -> _Configured:
        if self._settings is None:
            session = self._session.configuration()
            app = variable(session, "user_agent_appid")
            agent = f"{AGENT} app/{_NO_TOKEN.sub('-', str(app))[:50]}" if app else AGENT
            signs = bool((variable(session, "s3") or {}).get("payload_signing_enabled"))
            # Read before anything is sent: a wrong one must not be found out by a request that failed.
            most = self._options.max_attempts or attempts(session)
            self._settings = _Configured(agent, signs, most)
        return self._settings

    def _auth(
        self, endpoint: Endpoint, payload: str, session: SessionCredentials | None, scheme: Scheme = AWS4
    ) -> SymmetricAuth | AsymmetricAuth:
        timestamp = self._timestamp()
        if session is not None:
            return SymmetricAuth(session, endpoint, payload, timestamp, self._keys, SESSION_TOKEN)
        credentials = self._session.frozen()
        if endpoint.signature == "sigv4a":
            return AsymmetricAuth(credentials, endpoint, payload, timestamp)
        return SymmetricAuth(credentials, endpoint, payload, timestamp, self._keys, scheme=scheme)

    def _timestamp(self) -> str:
        return timestamp_of(int(self._now() + self._clock_offset.total_seconds()))

    @staticmethod
    def _now() -> float:
        return time.time()


def _why_no_form(endpoint: Endpoint) -> str:
    """Why nothing can be uploaded by a form there; "" where it can, as far as is known."""
    if endpoint.dialect is not S3:
        return f"{endpoint.dialect.title} takes no form that is signed as S3's are"
    if endpoint.signature != "sigv4":
        return "directory buckets and multi-region access points take no forms"
    return ""


def _moment(text: str) -> datetime | None:
    """The time in a Date header, or in the ServerTime of an error's document; None where it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return s3_time(text)
    if moment.tzinfo is None:  # "-0000", RFC 5322, 3.3: UTC, from who knows where
        moment = moment.replace(tzinfo=timezone.utc)
    return moment
