"""What a refused request teaches: region, clock, credentials, and headers that the store does not take.

Region, clock and credentials are learned once per request and on trial. What was learned is kept only if the
repetition shows that the store accepted it: one wrong answer, of a proxy say, must not spoil later requests.
Nor is it to fail this one, which is tried once more as it was. What another thread has corrected, or tried,
while a request was under way, is a reason to repeat it too.

Headers are left out one group after the other. Later requests go without them only if this one succeeded.

Who keeps what: `_auth.endpoints` the region, `_auth.signer` the clock, `_auth.session` the credentials,
`store_facts` the headers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from .._auth.signer import MINUTE, Outset
from .._values.models import Request, range_header
from ..errors import ConnectError, CredentialsError, GuardedS3Error, InvalidRequestError, ResponseError
from .optional_headers import leave_out, refused_headers
from .store import Store

logger = logging.getLogger("fsspec_guarded_s3")

_REFUSED = (400, 401, 403)
_ELSEWHERE = (301, 307)
CORRECTABLE = (*_ELSEWHERE, *_REFUSED)  # statuses of answers that may teach something
_SUSPICIOUS = 4 * MINUTE  # stores take requests that are off by up to 15 minutes, some by up to 5
_SKEWED = ("RequestTimeTooSkewed", "RequestExpired")
_EXPIRED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",  # the key was replaced, or the store forgets those that have expired
        "InvalidToken",
        "InvalidTokenId",
        "TokenRefreshRequired",
    }
)
# By these a store says that it could not make sense of who asks; other codes come after that.
_NO_PROOF = frozenset(
    {
        "",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "InvalidRegion",
        "PermanentRedirect",
        "SignatureDoesNotMatch",
        "TemporaryRedirect",
        *_SKEWED,
    }
)


class Corrections:
    """What was learned from the refusals of one request."""

    def __init__(
        self,
        store: Store,
        request: Request,
        outset: Outset,
        names_algorithm: bool,
        look: Callable[[Request], None],
    ) -> None:
        """`outset` is the state in which the request began; `look` makes one attempt at another request.

        `names_algorithm` says that the user chose the algorithm of the checksums, which then is kept.
        """
        self._store = store
        self._signer = store.signer
        self._request = request
        self._outset = outset
        self._names_algorithm = names_algorithm
        self._look = look
        self._tried: set[str] = set()
        self._settle: list[Callable[[bool], None]] = []
        self._left_out = frozenset[str]()
        self._ambiguous = False
        self._found: ResponseError | None = None  # why a HEAD was refused, where that was looked for
        self._reason: ResponseError | None = None  # the same, where it says more than the answer to the HEAD
        self._trial: GuardedS3Error | None = None  # how a repetition by what was learned was refused

    def __repr__(self) -> str:
        return f"<Corrections {sorted(self._tried | self._left_out)}>"

    def learn(self, error: GuardedS3Error) -> bool:
        """Whether `error` taught something by which a repetition may succeed. It is told what failed."""
        request = self._request
        error.operation = error.operation or request.operation
        error.bucket = error.bucket or request.bucket
        error.key = error.key or request.key
        changes = request.method not in ("GET", "HEAD")
        self._ambiguous = error.maybe_applied = changes and (error.maybe_applied or self._ambiguous)
        if self._leave_out(error):
            return True
        if not isinstance(error, ResponseError):
            return self._go_back(error)
        if error.status not in CORRECTABLE:
            return False
        if self._is_outdated(error):
            return True
        corrections: Mapping[str, Callable[[ResponseError], bool]] = {
            "clock": self._learn_clock,
            "region": self._learn_region,
            "credentials": self._renew,
        }
        for name, correct in corrections.items():
            if name not in self._tried and correct(error):
                self._tried.add(name)
                self._reason = None  # it was mended
                self._begin_anew()
                return True
        return self._go_back(error)

    def keep(self) -> None:
        """The request succeeded: what was learned holds for those that follow."""
        for settle in self._settle:
            settle(True)
        if self._left_out:
            request = self._request
            logger.info("%s goes without %s here", request.operation, ", ".join(sorted(self._left_out)))
            self._store.facts(request.bucket).leave_out(request.operation, self._left_out)

    def settle(self, error: GuardedS3Error) -> GuardedS3Error | None:
        """The request failed by `error`: what that does not prove is forgotten.

        Returns what says more than `error`, if anything does: why a HEAD was refused, where that was found
        out, or how the trial of what an answer had taught went.
        """
        proven = not _is_doubtful(error)
        for settle in self._settle:
            settle(proven)
        reason: GuardedS3Error | None = None
        if isinstance(error, ResponseError) and self._is_unexplained(error):
            self._find_reason(error)
            reason = self._reason
        reason = reason or (None if proven else self._trial)
        if reason is not None:
            reason.maybe_applied |= error.maybe_applied
        return reason

    def _begin_anew(self) -> None:
        self._outset = self._signer.outset(self._request.bucket)._replace(since=self._outset.since)

    def _is_outdated(self, error: ResponseError) -> bool:
        """Whether another thread has corrected something since the request began, and it may be repeated."""
        if "others" in self._tried or error.code not in _NO_PROOF | _EXPIRED:
            return False
        before = self._outset
        self._begin_anew()
        if self._outset == before:
            return False
        self._tried.add("others")
        return True

    def _go_back(self, error: GuardedS3Error) -> bool:
        """Whether something that was on trial is taken back, and the request may be repeated without.

        Another request may have put it on trial, which has not ended yet.
        """
        if "nothing" in self._tried or not _is_doubtful(error):
            return False
        trials, self._settle = self._settle, []
        for settle in trials:
            settle(False)
        if not trials and not self._signer.forget_trial(self._request.bucket):
            return False
        self._tried.add("nothing")
        self._trial = error if trials else None
        self._begin_anew()
        return True

    # --- the ways ---

    def _leave_out(self, error: GuardedS3Error) -> bool:
        if not isinstance(error, InvalidRequestError):
            return False
        names = refused_headers(self._request, error, self._names_algorithm)
        if names:
            leave_out(self._request, names)
            self._left_out |= names
        return bool(names)

    def _learn_clock(self, error: ResponseError) -> bool:
        least_correction = MINUTE
        if error.code not in _SKEWED:
            if error.code or error.status not in _REFUSED:
                return False
            least_correction = _SUSPICIOUS  # a HEAD, which does not tell; other reasons are more likely
        before = self._signer.clock
        if not self._signer.learn_clock(error.server_date, self._outset.clock, least_correction):
            return False
        learned = self._signer.clock
        self._settle.append(lambda proven: None if proven else self._signer.forget_clock(learned, before))
        return True

    def _learn_region(self, error: ResponseError) -> bool:
        bucket, region = self._request.bucket, error.region
        if not region and error.status in (400, *_ELSEWHERE) and self._is_unexplained(error):
            found = self._find_reason(error)  # AWS tells it with a HEAD too, others do not
            region = found.region if found is not None else ""
        if not region or not self._signer.learn_region(bucket, region):
            return False
        self._settle.append(lambda proven: self._signer.settle_region(bucket, region, proven))
        return True

    def _renew(self, error: ResponseError) -> bool:
        if error.code not in _EXPIRED and not self._is_expired_head(error):
            return False
        if self._request.operation != "CreateSession" and self._store.sessions.forget(self._request.bucket):
            return True
        try:
            return self._signer.renew(self._outset)
        except CredentialsError as failed:
            logger.warning("the store says %s, and no others were found: %s", error.code or "400", failed)
            return False

    def _is_expired_head(self, error: ResponseError) -> bool:
        """Only credentials with a token expire; of others a HEAD that is refused says all there is to say."""
        if not self._is_unexplained(error) or not self._signer.is_temporary():
            return False
        reason = self._find_reason(error)
        if self._signer.outset(self._request.bucket).reading != self._outset.reading:
            return True  # another thread found others meanwhile, by which the reason may have been granted
        return reason is not None and reason.code in _EXPIRED

    def _is_unexplained(self, error: ResponseError) -> bool:
        return self._request.method == "HEAD" and not error.code and error.status in CORRECTABLE

    def _find_reason(self, error: ResponseError) -> ResponseError | None:
        """Why the HEAD that ended with `error` was refused; asked once."""
        if "reason" not in self._tried:
            self._tried.add("reason")
            self._found = found = self._reason_of()
            if found is not None and (found.code in _EXPIRED or found.status == error.status):
                self._reason = found
        return self._found

    def _reason_of(self) -> ResponseError | None:
        """Why a HEAD was refused: its answer has no body, and that of a GET has one with an error code."""
        head = self._request
        request = replace(head, operation="GetObject", method="GET", unsigned={"range": range_header(0, 1)})
        if not head.key:
            query = (("list-type", "2"), ("max-keys", "0"))
            request = replace(head, operation="ListObjectsV2", method="GET", query=query)
        try:
            self._look(request)
        except ResponseError as error:
            error.operation = head.operation
            return error
        except GuardedS3Error:
            pass
        return None


def _is_doubtful(error: GuardedS3Error) -> bool:
    """Whether `error` may come of what was learned on trial: it does not prove that this was taken."""
    if isinstance(error, ResponseError):
        return error.status in CORRECTABLE and error.code in _NO_PROOF
    return isinstance(error, ConnectError)
