"""The crossing point: every request of this package is signed, sent, checked and retried here.

Theory of operation
-------------------

A *request* says what S3 is asked for, and what a repetition of it would mean. An *attempt* at it is: sign
for now, send, read status and headers, raise for a status of 300 and above. Whoever asks adds what else
belongs to an attempt: to read the body, to parse it, to compare the ETag. An answer that cannot be
understood is one that got lost, and is retried like one.

Around the attempts stand two loops. The inner one, `RetryPolicy.call`, waits and tries again what may pass
by itself: within one deadline, one number of attempts, and one budget of the filesystem. The outer one,
`Exchange.repeat`, tries again at once what failed for a reason that can be mended (`Corrections`): the
region of the bucket, the clock of this machine, credentials that have expired, and headers that this store
does not know and that the request can do without. What was learned is kept if the repetition shows that the
store accepted it, and forgotten otherwise.

An attempt is *ambiguous* if S3 may have applied it although it failed: the request had been sent and no
answer came, or one that a proxy may have given (5xx, 429). Every error of the same request then leaves with
`maybe_applied` set, a later refusal too: the object that is in the way may be our own. Reads, which change
nothing, never have it. This module does not find out what happened: `Upload` asks the store
(`_write.outcome`).

A store that refuses requests because they are too many gets fewer for a while, from all of the process
(`rates`).

Whoever listens (`listeners`) is told of each attempt and each operation from here.

After a request that may have changed something, also after one that failed, `Store.changed` is called, which
drops kept listings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from .._http.response import HTTPBody
from .._values.attributes import Attributes
from .._values.bodies import body_size
from .._values.deadline import Deadline
from .._values.dialects import is_decompressed, is_told
from .._values.models import Request, Response, SessionCredentials, WireRequest
from .._values.paths import is_loopback
from .._values.s3_parameters import CUSTOMER_KEY
from .._work import check, must_wait
from ..errors import (
    ConfigurationError,
    GuardedS3Error,
    ObjectNotFoundError,
    OperationUnsupportedError,
    ProtocolError,
    ResponseError,
)
from . import rates, xml, xml_answers, xml_listings
from .corrections import Corrections
from .early import Early
from .encryption import KEY_MD5, SSE, confirm
from .express import say_no_sessions
from .headers import is_like_page, is_named
from .optional_headers import leave_out
from .pinned import check_as_stored
from .refusals import refusal, refusal_of
from .store import Store
from .store_facts import is_any_refusing

if TYPE_CHECKING:
    from .._http.transport import OnItsWay
    from .watched import WatchedAttempt

T = TypeVar("T")
MAX_SESSION = 300  # seconds that a session of a directory bucket lives
_LISTING = "ListObjectsV2"
_TRUSTED_SECONDS = 10.0  # after a listing, for a store whose answers do not tell that they are S3's


class Exchange:
    """Requests to one store, each with the headers that `attributes` ask for. Thread-safe."""

    def __init__(self, store: Store, attributes: Attributes) -> None:
        self._store = store
        self._standing = attributes.standing()  # headers of every request of an operation
        self._key_md5 = self._standing.get("HeadObject", {}).get(KEY_MD5, "")
        self._names_algorithm = "ChecksumAlgorithm" in attributes.names

    def __repr__(self) -> str:
        return f"<Exchange with {self._store!r}>"

    # --- operations ---

    def send(self, request: Request) -> Response:
        """An operation whose answer has no document that matters: sent, retried, and its body read."""

        def look(answer: Response) -> Response:
            xml.refuse_page(answer.body, request.operation)
            return answer

        return self.ask(request, look)

    def ask(
        self,
        request: Request,
        parse: Callable[[Response], T],
        early: Early | None = None,
        read: Callable[[HTTPBody], bytes] | None = None,
    ) -> T:
        """An operation whose answer is small: sent, retried, read and parsed.

        `early` is its first attempt, where that was sent before. `read` reads the body, where it matters how.
        """
        with self._store.lanes.enter(body_size(request.body)):
            return self.repeat(
                request, lambda deadline: self.once(request, parse, deadline, early, read), early=early
            )

    def ahead(self, request: Request) -> Early:
        """Send `request` now; an attempt takes its answer later."""
        deadline = Deadline(self._store.options.request_deadline)
        self._leave_out_refused(request)
        return Early(
            request,
            self._store.signer.outset(request.bucket),
            lambda: self._send_ahead(request, deadline),
            self._store.listeners.attempt(request, is_ahead=True),
        )

    def _send_ahead(self, request: Request, deadline: Deadline) -> OnItsWay | None:
        """None where it is to have its turn later, since the store refuses what is too much."""
        if rates.limits and rates.limit_of(self._store.endpoint(request.bucket), request) is not None:
            must_wait()
            return None
        return self._store.transport.send(self._wire(request), deadline, early=True)

    def presign(self, request: Request, expires: int) -> str:
        """A URL that carries the signature of `request` in its query, valid for `expires` seconds."""
        signer = self._store.signer
        if signer.needs_session(request.bucket) and expires > MAX_SESSION:
            raise ValueError(
                f"expiration must be at most {MAX_SESSION} seconds in a directory bucket, whose sessions end "
                f"then, not {expires}"
            )
        return signer.presign(request, expires, self._session_of(request, expires))

    # --- around the attempts ---

    def repeat(
        self,
        request: Request,
        attempt: Callable[[Deadline], T],
        deadline: Deadline | None = None,
        early: Early | None = None,
    ) -> T:
        """Run `attempt` under the retry policy, and again after what a refusal taught.

        `deadline` is that of something that this is a part of. `early` is what the first attempt takes.
        """
        watched = self._store.listeners.operation(request)
        deadline = deadline or Deadline(self._store.options.request_deadline)
        try:
            if watched is None:
                return self._repeat(request, attempt, deadline, early)
            with watched:
                return self._repeat(request, attempt, deadline, early)
        finally:
            if self._store.changed is not None and request.method not in ("GET", "HEAD"):
                self._store.changed(request.bucket, request.key)  # after an error it may have been applied

    def _repeat(
        self,
        request: Request,
        attempt: Callable[[Deadline], T],
        deadline: Deadline,
        early: Early | None,
    ) -> T:
        store = self._store
        self._leave_out_refused(request)
        outset = store.signer.outset(request.bucket) if early is None else early.outset
        self._session_of(request)  # here, so that its failure is none of the request, which was not sent
        corrections: Corrections | None = None
        while True:
            try:
                result = store.retry.call(
                    partial(attempt, deadline),
                    deadline=deadline,
                    retry_on_conflict=request.retry_on_conflict,
                )
            except GuardedS3Error as error:
                if corrections is None:
                    look = partial(self._look, deadline)
                    corrections = Corrections(store, request, outset, self._names_algorithm, look)
                if corrections.learn(error):
                    continue
                reason = corrections.settle(error)
                if reason is not None:
                    raise reason from None  # the answer to the HEAD says less, and nothing else
                raise
            else:
                if corrections is not None:
                    corrections.keep()
                return result

    def doubt(self, error: ObjectNotFoundError) -> None:
        """Look into a 404 without a code: raises what else it may have meant.

        versitygw says so to an access key that it does not know, gateways to a path that they do not. An
        answer to a HEAD is believed once a request was granted, one to a GET where it has a header of S3 too.
        """
        is_told = self._store.welcome and (error.operation != "GetObject" or error.request_id)
        if not error.code and not is_told:
            self.check_store(error.bucket, tells_missing=True)

    def check_store(
        self, bucket: str, deadline: Deadline | None = None, *, tells_missing: bool = False
    ) -> bool:
        """Ask for a listing, since an answer to HEAD does not tell who gave it. Raises what is no store's,
        and with `tells_missing` that the bucket is missing.

        Returns whether a store answered, as far as that can be told.
        """
        request = Request(_LISTING, "GET", bucket, query=(("list-type", "2"), ("max-keys", "1")))

        def attempt(deadline: Deadline) -> None:
            self.once(request, lambda answer: xml_listings.parse_list(answer.body), deadline)

        try:
            self.repeat(request, attempt, deadline)
        except ObjectNotFoundError as missing:
            if tells_missing and missing.code:
                raise missing from None
            return True
        except ResponseError as error:
            if error.status == 404:
                raise
            self._store.welcome = bool(error.code)  # it is a store, which knows who asks
            return self._store.welcome
        self._store.welcome = True
        return True

    def _look(self, deadline: Deadline, request: Request) -> None:
        with self.attempt(request, deadline):
            pass

    def _leave_out_refused(self, request: Request) -> None:
        """Leave out what the store of `request` does not take, where there is such a store at all."""
        if is_any_refusing() and not self._names_algorithm:
            names = self._store.facts(request.bucket).refused.get(request.operation)
            if names:
                leave_out(request, names)

    # --- one attempt ---

    def once(
        self,
        request: Request,
        parse: Callable[[Response], T],
        deadline: Deadline,
        early: Early | None = None,
        read: Callable[[HTTPBody], bytes] | None = None,
    ) -> T:
        """One attempt whose answer is read, by `read` if there is one, and parsed."""
        with self.attempt(request, deadline, early) as body:
            answer = Response(body.status, body.headers, body.read() if read is None else read(body))
            # Complete and the copies may answer 200 and then an error (S3 CopyObject, "200 OK" note).
            fields = xml.parse_error(answer.body)
            if fields:
                status = 500 if fields.get("Code") == "InternalError" else 200
                error = refusal_of(request, status, fields, {})
                self.refused(request, error)
                raise error
            return parse(answer)

    def attempt(self, request: Request, deadline: Deadline, early: Early | None = None) -> HTTPBody:
        """One attempt, up to the head of the answer. Every request of this package passes here."""
        check()
        watched = self._store.listeners.attempt(request)
        if watched is None:
            return self._attempt(request, deadline, early)
        try:
            return self._attempt(request, deadline, early, watched)
        except BaseException as error:
            watched.failed(error)
            raise

    def _attempt(
        self,
        request: Request,
        deadline: Deadline,
        early: Early | None,
        watched: WatchedAttempt | None = None,
    ) -> HTTPBody:
        store = self._store
        sent = early.take() if early is not None else None
        if watched is not None and sent is not None:
            watched.sent_before(sent.since)
        turn: rates.Turn | None = None
        if sent is None and rates.limits:
            turn = rates.turn(store.endpoint(request.bucket), request, deadline)
            if turn is not None and watched is not None:
                watched.had_turn(turn.waited, turn.code)
        body = sent.answer(deadline) if sent else store.transport.exchange(self._wire(request), deadline)
        if watched is not None:
            watched.answered(body)
        try:
            if body.status >= 300:
                error = refusal(request, body)
                self._learn(request, error, turn)
                raise error
            if turn is not None:
                turn.accept()
            if (self._key_md5 or SSE in request.headers) and request.operation != "CreateMultipartUpload":
                self.confirm(request, body.headers)
            if "x-amz-request-id" not in body.headers and request.bucket and request.operation != _LISTING:
                self._check_answer(request, body, deadline)
            store.welcome = True
            if "x-amz-version-id" in body.headers:
                store.facts(request.bucket).see_version()
        except BaseException:
            with body:  # which is not read on
                raise
        return body

    def _learn(self, request: Request, error: GuardedS3Error, turn: rates.Turn | None) -> None:
        """How many requests a store takes, from what it answered to one of them."""
        if rates.is_too_many(error):
            rates.refused(self._store.endpoint(request.bucket), request, error, turn)
        elif turn is not None:
            turn.accept()

    def refused(self, request: Request, error: GuardedS3Error) -> None:
        """An answer to `request` was no refusal, and has one within, which may mean that it was too much."""
        self._learn(request, error, None)

    def _check_answer(self, request: Request, body: HTTPBody, deadline: Deadline) -> None:
        """Raises ProtocolError for an answer that a portal or a gateway gave in the place of a store.

        Its headers have nothing of S3. Some stores' never have: where an answer says nothing else either, a
        listing tells, once. What looks like a page is looked into again. As after a lost answer, what was
        asked for may have been done.
        """
        if is_named(body.headers):
            if is_told(body.headers):
                self._store.signer.learn_dialect()
            if request.operation == "GetObject" and is_decompressed(body.headers):
                check_as_stored(body.headers)
            return
        facts, is_read = self._store.facts(request.bucket), request.operation in ("HeadObject", "GetObject")
        is_page = is_like_page(body.headers, of_head=request.operation == "HeadObject")
        is_plain = request.method == "DELETE" and body.status == 204  # who serves pages knows none of that
        says_nothing = not (is_plain or body.length or "etag" in body.headers)
        since = facts.seconds_since_listed()
        is_due = is_page or (says_nothing and not is_read and since == float("inf"))
        if since < _TRUSTED_SECONDS or not is_due:
            return
        cause: GuardedS3Error | None = None
        try:
            if self.check_store(request.bucket, deadline) or is_read:
                facts.see_listing()
                return
        except GuardedS3Error as error:
            cause = error
        raise ProtocolError(
            f"{request.operation} was answered by something that is no store: a portal or a gateway",
            given_up=cause is not None and cause.given_up,
        ) from cause

    def confirm(self, request: Request, headers: Mapping[str, str]) -> None:
        """Raises EncryptionUnsupportedError unless the answer's `headers` confirm what was asked for."""
        confirm(request, self._key_md5, headers)

    def _wire(self, request: Request) -> WireRequest:
        standing = self._standing.get(request.operation)
        if standing:
            request = replace(request, headers={**standing, **request.headers})
        wire = self._store.signer.sign(request, self._session_of(request))
        if standing:
            _keep_keys_private(wire)
        return wire

    def _session_of(self, request: Request, least: float | None = None) -> SessionCredentials | None:
        """The session that signs a request to a directory bucket, good for `least` seconds."""
        store = self._store
        if request.operation == "CreateSession" or not store.signer.needs_session(request.bucket):
            return None
        must_wait()
        if least is None:
            return store.sessions.of(request.bucket, self.create_session)
        return store.sessions.of(request.bucket, self.create_session, least)

    def create_session(self, bucket: str) -> SessionCredentials:
        """CreateSession of a directory bucket."""
        request = Request("CreateSession", "GET", bucket, query=(("session", ""),))
        try:
            return self.ask(
                request, lambda answer: xml_answers.parse_session(answer.body, answer.headers.get("date", ""))
            )
        except (ResponseError, ProtocolError, OperationUnsupportedError) as error:
            if not self._store.signer.is_aws(bucket):
                say_no_sessions(error)
            raise


def _keep_keys_private(wire: WireRequest) -> None:
    if wire.scheme == "http" and not is_loopback(wire.host) and CUSTOMER_KEY & wire.headers.keys():
        raise ConfigurationError(f"a customer's key would be readable on the way to {wire.host}: use https")
