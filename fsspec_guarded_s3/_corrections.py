"""What a refused request teaches about region, clock and credentials.

Each is learned once per request and on trial: unless the repetition shows that the store took it, it is
forgotten again, so that one wrong answer, of a proxy say, does not spoil the requests after it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from ._errors import ConnectError, CredentialsError, GuardedS3Error, ResponseError
from ._express import Sessions
from ._models import Request
from ._signing import MINUTE, Outset, Signer

logger = logging.getLogger("fsspec_guarded_s3")

_REFUSED = (400, 401, 403)
CORRECTABLE = (301, 307, *_REFUSED)  # statuses of answers that may teach something
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
    """What was learned from the refusals of one request.

    `ask` finds out why a HEAD was refused, whose answer has no body.
    """

    def __init__(
        self,
        signer: Signer,
        sessions: Sessions,
        request: Request,
        ask: Callable[[], ResponseError | None],
        outset: Outset,
    ) -> None:
        self._signer = signer
        self._sessions = sessions
        self._request = request
        self._ask = ask
        self._outset = outset
        self._tried: set[str] = set()
        self._settle: list[Callable[[bool], None]] = []
        self.reason: ResponseError | None = None  # why a HEAD was refused, where that was found out

    def __repr__(self) -> str:
        return f"<Corrections {sorted(self._tried)}>"

    def learn(self, error: ResponseError) -> bool:
        """Whether `error` taught something by which a repetition may succeed."""
        ways: Mapping[str, Callable[[ResponseError], bool]] = {
            "clock": self._learn_clock,
            "region": self._learn_region,
            "credentials": self._renew,
        }
        for name, way in ways.items():
            if name not in self._tried and way(error):
                self._tried.add(name)
                return True
        return False

    def settle(self, error: GuardedS3Error | None = None) -> None:
        """Keep what was learned, or forget it, after the last attempt, which ended by `error` if any."""
        if isinstance(error, ResponseError):
            proven = error.status not in CORRECTABLE or error.code not in _NO_PROOF
        else:
            proven = not isinstance(error, ConnectError)
        for settle in self._settle:
            settle(proven)

    # --- the ways ---

    def _learn_clock(self, error: ResponseError) -> bool:
        least = MINUTE
        if error.code not in _SKEWED:
            if error.code or error.status not in _REFUSED:
                return False
            least = _SUSPICIOUS  # a HEAD, which does not tell; other reasons are more likely
        before = self._signer.clock
        if not self._signer.learn_clock(error.server_date, self._outset.clock, least):
            return False
        learned = self._signer.clock
        self._settle.append(lambda proven: None if proven else self._signer.forget_clock(learned, before))
        return True

    def _learn_region(self, error: ResponseError) -> bool:
        bucket, region = self._request.bucket, error.region
        if not region or not self._signer.learn_region(bucket, region):
            return False
        self._settle.append(lambda proven: self._signer.settle_region(bucket, region, proven))
        return True

    def _renew(self, error: ResponseError) -> bool:
        if error.code not in _EXPIRED and not self._is_expired_head(error):
            return False
        if self._request.operation != "CreateSession" and self._sessions.forget(self._request.bucket):
            return True
        try:
            return self._signer.renew(self._outset)
        except CredentialsError as failed:
            logger.warning("the store says %s, and no others were found: %s", error.code or "400", failed)
            return False

    def _is_expired_head(self, error: ResponseError) -> bool:
        """Only credentials with a token expire; of others a HEAD that is refused says all there is to say."""
        head = self._request.method == "HEAD" and not error.code and error.status in _REFUSED
        if not head or not self._signer.is_temporary():
            return False
        reason = self._ask()
        if reason is None:
            return False
        expired = reason.code in _EXPIRED
        if expired or reason.status == error.status:
            self.reason = reason  # it says more than a status
        return expired
