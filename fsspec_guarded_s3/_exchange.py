"""The crossing point: every request of this package is signed, sent, checked and retried here.

Per attempt: sign -> send -> check the status. Around it: the retry policy. Each operation says in its
`Request` what a repetition would mean. An answer is parsed inside the attempt: one that cannot be understood
is one that got lost.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TypeVar

from . import _xml
from ._attributes import CUSTOMER_KEY, Attributes
from ._bodies import body_size
from ._corrections import CORRECTABLE, Corrections
from ._deadline import Deadline
from ._encryption import KEY_MD5, SSE, confirm
from ._endpoints import Endpoint
from ._error_codes import error_class, error_message, missing_permission
from ._errors import (
    ConfigurationError,
    EncryptionUnsupportedError,
    GuardedS3Error,
    InvalidRequestError,
    ObjectNotFoundError,
    PreconditionFailedError,
    ResponseError,
)
from ._express import Sessions
from ._headers import seconds
from ._http import HTTPBody
from ._lanes import LARGE
from ._models import Request, Response, SessionCredentials, WireRequest
from ._optional_headers import leave_out, refused_headers
from ._options import ATTEMPTS, Options
from ._paths import is_loopback
from ._retry import RetryPolicy
from ._signing import Signer
from ._store_facts import StoreFacts, facts_of, is_any_refusing
from ._threads import Question, ask_all, run_all
from ._transport import FRESH_SECONDS, Sent, shared_transport
from ._work import check

logger = logging.getLogger("fsspec_guarded_s3")
T = TypeVar("T")
E = TypeVar("E", bound="Exchange")
MAX_SESSION = 300  # seconds that a session of a directory bucket lives
_DISTANT = 0.005  # seconds of a round trip
_FEW = 2
_SURE = 4  # answers that tell how far away a store is
_NO_LANE = nullcontext()
_AHEAD = 8  # requests that one thread has under way


class Early:
    """A request that was sent before its turn: the store works on it while other answers are read.

    It stands for the sending of a first attempt. What went wrong with it is told when its answer is wanted.
    """

    def __init__(self, request: Request, send: Callable[[], Sent]) -> None:
        self.request = request
        self._sent: Sent | None = None
        self._failed: Exception | None = None
        try:
            self._sent = send()
        except Exception as error:
            self._failed = error

    def take(self) -> Sent | None:
        """What was sent, the first time; None when nobody asked for it for so long that it may be lost."""
        sent, failed = self._sent, self._failed
        self._sent = self._failed = None
        if failed is not None:
            raise failed
        if sent is not None and time.monotonic() - sent.since > FRESH_SECONDS:
            sent.close()
            return None
        return sent

    def __del__(self) -> None:
        if self._sent is not None:  # another error came first, and nobody wants the answer any more
            self._sent.close()


class Exchange:
    """What all operations share. Thread-safe."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._transport = shared_transport(options)
        self._lanes = self._transport.lanes
        self._signer = Signer(options)
        self._transport.bundle_of_profile = self._signer.ca_bundle
        # Not a method: a cycle would keep the connections of a filesystem that is gone.
        self._retry = RetryPolicy(partial(_attempts, options, self._signer))
        self._sessions = Sessions()
        self._welcome = False  # whether the store has granted a request
        self.changed: Callable[[str, str], None] | None = None  # told of bucket and key after each write
        self._carry(options.attributes())

    def __repr__(self) -> str:
        return f"<S3Client {self.options.endpoint_url or 'AWS'}>"

    def _carry(self, attributes: Attributes) -> None:
        self.attributes = attributes
        self._standing = attributes.standing()  # headers of every request of an operation
        self._key_md5 = self._standing.get("HeadObject", {}).get(KEY_MD5, "")
        self._algorithm = attributes.checksum_algorithm()
        self._algorithm_named = "ChecksumAlgorithm" in attributes.names

    def carrying(self: E, attributes: Attributes) -> E:
        """The same client with other attributes: for one object that needs a key of its own, say."""
        clone = copy.copy(self)
        clone._carry(attributes)
        return clone

    def close(self) -> None:
        """Close the idle connections of this process for these options; later requests connect anew.

        Credentials are read anew too.
        """
        self._transport.close()
        self._signer.close()

    def is_aws(self, bucket: str) -> bool:
        """Whether `bucket` is on AWS itself, which honours every condition."""
        return self._signer.is_aws(bucket)

    def endpoint(self, bucket: str) -> Endpoint:
        """Where `bucket` is reached, as far as is known. Raises ConfigurationError for a wrong one."""
        return self._signer.endpoint(bucket)

    def facts(self, bucket: str) -> StoreFacts:
        """What is known of `bucket`, where its requests go."""
        return facts_of(self._signer.endpoint(bucket), bucket)

    def identity(self) -> tuple[str, str]:
        """The access key's id and the source it is from. Raises CredentialsError."""
        return self._signer.identity()

    def repeat_while(self, holds: Callable[[BaseException], bool], call: Callable[[], T], attempts: int) -> T:
        """Make `call` up to `attempts` times, with pauses, while `holds(error)` says that it is worth it."""
        return self._retry.repeat(call, holds, attempts)

    def attempts(self) -> int:
        """How often a request is tried: the option `max_attempts`, AWS's setting, or 5."""
        return _attempts(self.options, self._signer)

    def side_by_side(self, calls: Iterable[Callable[[], None]], limit: int | None = None) -> None:
        """Make all calls, up to `limit` (the option `max_concurrency`) at a time. The first error stops all.

        A near store keeps the processor busy with two threads, and more would be in each other's way. A
        distant one gets all of them at once, since every one of them waits.
        """
        todo = list(calls)
        limit = self._at_once(todo, limit)
        run_all(todo, limit, limit if self.is_distant() else _FEW)

    def ask_side_by_side(self, questions: Iterable[Question]) -> None:
        """The same for many small reads.

        A near store is asked by one thread, which sends ahead of the answers that it reads: two threads would
        spend half of their time on taking turns.
        """
        todo = list(questions)
        limit = self._at_once(todo)
        if self.is_distant():
            ask_all(todo, limit, limit, 1)
        else:
            ask_all(todo, limit, 1, min(_AHEAD, limit))

    def _at_once(self, todo: Sequence[object], limit: int | None = None) -> int:
        """No more than there is to do."""
        return max(1, min(limit or self.options.max_concurrency, len(todo)))

    def range_size(self) -> int:
        """Bytes of each of many ranges: the option, or fewer on a line that was found to be slow."""
        return self._lanes.piece(self.options.range_size)

    def _lane(self, size: int, moved: Callable[[], int] = lambda: 0) -> AbstractContextManager[None]:
        """What a request waits for whose body has `size` bytes, of which `moved` tells how many arrived."""
        return _NO_LANE if size < LARGE else self._lanes.enter(size, moved)

    def is_distant(self) -> bool:
        """Whether the way to the store takes most of the time of a small request."""
        return self._transport.round_trip > _DISTANT

    def _is_surely_distant(self) -> bool:
        """The same when more than a few answers say so: for what would be wasted on a near store."""
        return self._transport.answers >= _SURE and self.is_distant()

    # --- the crossing point ---

    def _exchange(self, request: Request, deadline: Deadline, early: Early | None = None) -> HTTPBody:
        """One attempt. Every request of this package passes here."""
        check()
        sent = early.take() if early is not None else None
        body = sent.answer(deadline) if sent else self._transport.exchange(self._wire(request), deadline)
        if body.status >= 300:
            with body:
                raise self._error(request, body)
        if (self._key_md5 or SSE in request.headers) and request.operation != "CreateMultipartUpload":
            self._confirm(request, body)
        self._welcome = True
        if "x-amz-version-id" in body.headers:
            self.facts(request.bucket).see_version()
        return body

    def _confirm(self, request: Request, body: HTTPBody) -> None:
        try:
            confirm(request, self._key_md5, body.headers)
        except EncryptionUnsupportedError:
            with body:  # which is not read
                raise

    def _ahead(self, request: Request) -> Early:
        """Send `request` now; `_exchange` takes its answer later."""
        deadline = Deadline(self.options.request_deadline)
        self._leave_out_refused(request)
        return Early(request, lambda: self._transport.send(self._wire(request), deadline))

    def _wire(self, request: Request) -> WireRequest:
        standing = self._standing.get(request.operation)
        if standing:
            request = replace(request, headers={**standing, **request.headers})
        wire = self._signer.sign(request, self._session_of(request))
        if standing:
            _keep_keys_private(wire)
        return wire

    def _session_of(self, request: Request, least: float | None = None) -> SessionCredentials | None:
        """The session that signs a request to a directory bucket, good for `least` seconds."""
        if request.operation == "CreateSession" or not self._signer.needs_session(request.bucket):
            return None
        create = self._create_session
        if least is None:
            return self._sessions.of(request.bucket, create)
        return self._sessions.of(request.bucket, create, least)

    def _create_session(self, bucket: str) -> SessionCredentials:
        request = Request("CreateSession", "GET", bucket, query=(("session", ""),))
        return self._ask(
            request, lambda answer: _xml.parse_session(answer.body, answer.headers.get("date", ""))
        )

    def presign(self, request: Request, expires: int) -> str:
        """A URL that carries the signature of `request` in its query, valid for `expires` seconds."""
        if self._signer.needs_session(request.bucket) and expires > MAX_SESSION:
            raise ValueError(
                f"expiration must be at most {MAX_SESSION} seconds in a directory bucket, whose sessions end "
                f"then, not {expires}"
            )
        return self._signer.presign(request, expires, self._session_of(request, expires))

    def _send(self, request: Request) -> Response:
        """An operation whose answer has no document that matters: sent, retried, and its body read."""

        def check(answer: Response) -> Response:
            _xml.refuse_page(answer.body, request.operation)
            return answer

        return self._ask(request, check)

    def _ask(self, request: Request, parse: Callable[[Response], T], early: Early | None = None) -> T:
        """An operation whose answer is small: sent, retried, and parsed.

        An answer that cannot be understood is one that got lost.
        """

        with self._lane(body_size(request.body)):
            return self._repeat(request, lambda deadline: self._once(request, parse, deadline, early))

    def _once(
        self,
        request: Request,
        parse: Callable[[Response], T],
        deadline: Deadline,
        early: Early | None = None,
    ) -> T:
        """One attempt of `_ask`."""
        with self._exchange(request, deadline, early) as body:
            answer = Response(body.status, body.headers, body.read())
            # Complete and the copies may answer 200 and then an error (S3 CopyObject, "200 OK" note).
            fields = _xml.parse_error(answer.body)
            if fields:
                status = 500 if fields.get("Code") == "InternalError" else 200
                raise self._build_error(request, status, fields, {})
            return parse(answer)

    def _repeat(
        self,
        request: Request,
        attempt: Callable[[Deadline], T],
        deadline: Deadline | None = None,
        failed: GuardedS3Error | None = None,
    ) -> T:
        """Run `attempt` under the retry policy; wrong region, clock and credentials are corrected.

        `failed` is how the first attempt ended, where that was made before.
        """
        try:
            return self._repeat_attempt(request, attempt, deadline, failed)
        finally:
            if self.changed is not None and request.method not in ("GET", "HEAD"):
                self.changed(request.bucket, request.key)  # also after an error: it may have been applied

    def _repeat_attempt(
        self,
        request: Request,
        attempt: Callable[[Deadline], T],
        deadline: Deadline | None,
        failed: GuardedS3Error | None,
    ) -> T:
        deadline = deadline or Deadline(self.options.request_deadline)
        self._leave_out_refused(request)
        outset = self._signer.outset()
        self._session_of(request)  # here, so that its failure is none of the request, which was not sent
        corrections: Corrections | None = None
        ambiguous = False
        refused = frozenset[str]()
        while True:
            try:
                result = self._retry.call(
                    lambda: attempt(deadline),
                    deadline=deadline,
                    retry_on_conflict=request.retry_on_conflict,
                    failed=failed,
                )
                if corrections is not None:
                    corrections.settle()
                if refused:
                    logger.info("%s goes without %s here", request.operation, ", ".join(sorted(refused)))
                    self.facts(request.bucket).leave_out(request.operation, refused)
                return result
            except GuardedS3Error as error:
                failed = None
                error.operation = error.operation or request.operation
                error.bucket = error.bucket or request.bucket
                error.key = error.key or request.key
                ambiguous = error.maybe_applied = error.maybe_applied or ambiguous
                more = self._refused(request, error)
                if more:
                    leave_out(request, more)
                    refused |= more
                    continue
                if isinstance(error, ResponseError) and error.status in CORRECTABLE:
                    corrections = corrections or Corrections(
                        self._signer,
                        self._sessions,
                        request,
                        partial(self._reason_of, request, deadline),
                        outset,
                    )
                    if corrections.learn(error):
                        continue
                if corrections is not None:
                    corrections.settle(error)
                    if corrections.reason is not None:
                        raise corrections.reason from error
                raise

    def _refused(self, request: Request, error: GuardedS3Error) -> frozenset[str]:
        """The optional headers of `request` for which the store may have refused it."""
        if not isinstance(error, InvalidRequestError):
            return frozenset()
        return refused_headers(request, error, self._algorithm_named)

    def _leave_out_refused(self, request: Request) -> None:
        """Leave out what the store of `request` does not take, where there is such a store at all."""
        if is_any_refusing() and not self._algorithm_named:
            names = self.facts(request.bucket).refused.get(request.operation)
            if names:
                leave_out(request, names)

    def _reason_of(self, head: Request, deadline: Deadline) -> ResponseError | None:
        """Why `head` was refused: its answer has no body, and that of a GET has one with an error code."""
        request = replace(head, operation="GetObject", method="GET", unsigned={"range": "bytes=0-0"})
        if not head.key:
            query = (("list-type", "2"), ("max-keys", "0"))
            request = replace(head, operation="ListObjectsV2", method="GET", query=query)
        try:
            with self._exchange(request, deadline):
                return None
        except ResponseError as error:
            error.operation = head.operation
            return error
        except GuardedS3Error:
            return None

    def _error(self, request: Request, body: HTTPBody) -> ResponseError:
        data = b"" if request.method == "HEAD" else body.read(2**20)
        return self._build_error(request, body.status, _xml.parse_error(data), body.headers)

    def _build_error(
        self, request: Request, status: int, fields: Mapping[str, str], headers: Mapping[str, str]
    ) -> ResponseError:
        code = fields.get("Code", "")
        cls = error_class(status, code)
        if cls is PreconditionFailedError:
            cls = request.precondition_error
        said = fields.get("Message", "")
        if headers.get("x-amz-delete-marker") == "true":  # 404 for the current version, 405 for one by its id
            cls, said = ObjectNotFoundError, "the object was deleted: this version is a delete marker"
        return cls(
            error_message(status, code, said, request.operation),
            bucket=request.bucket,
            key=request.key,
            operation=request.operation,
            status=status,
            code=code,
            request_id=fields.get("RequestId") or headers.get("x-amz-request-id", ""),
            permission=missing_permission(said),
            argument=fields.get("Header") or fields.get("ArgumentName", ""),
            region=headers.get("x-amz-bucket-region") or fields.get("Region", ""),
            server_date=fields.get("ServerTime") or headers.get("date", ""),
            retry_after=seconds(headers.get("x-amz-retry-after") or headers.get("retry-after", "")),
        )


def _attempts(options: Options, signer: Signer) -> int:
    return options.max_attempts or signer.configured_attempts() or ATTEMPTS


def _keep_keys_private(wire: WireRequest) -> None:
    if wire.scheme == "http" and not is_loopback(wire.host) and CUSTOMER_KEY & wire.headers.keys():
        raise ConfigurationError(f"a customer's key would be readable on the way to {wire.host}: use https")
