"""What may be tried again, and when. The only importer of tenacity.

Invariants: the error and the request decide, nothing else; a shared budget stops retry storms; attempts are
not multiplied by attempts around them; an error leaves with `maybe_applied` set when any attempt may have
taken effect.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ._bodies import FileChangedError
from ._deadline import Deadline
from ._errors import (
    ChecksumMismatchError,
    ConflictError,
    GuardedS3Error,
    ResponseError,
    ServerError,
    ThrottledError,
    TransportError,
)
from ._work import pause, renew_after_fork

if TYPE_CHECKING:
    import tenacity  # at run time where something failed: a process that just reads need not load it

logger = logging.getLogger("fsspec_guarded_s3")
T = TypeVar("T")

# Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
BASE_SECONDS = 0.05
THROTTLED_BASE_SECONDS = 1.0
CAP_SECONDS = 20.0
RETRY_COST = 5
# Of rivals for one key. Of 64 whose attempts take 100 ms the last is through after 13 s, under a cap of 20 s
# after 22 s; under one of 2 s more of them run out of their ten attempts.
CONFLICT_CAP_SECONDS = 5.0


class RetryBudget:
    """A token bucket, as in the standard mode of the AWS SDKs: 500 tokens, of which a retry takes 5.

    A success after a retry gives back what the last retry took, any other success gives one: a store that
    refuses three of ten requests does not use the budget up, one that refuses all does after 100 retries.
    https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
    """

    def __init__(self, capacity: int = 500) -> None:
        self._capacity = capacity
        self._left = capacity
        self._renew()
        renew_after_fork(self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether another retry may be made."""
        with self._lock:
            if self._left < RETRY_COST:
                return False
            self._left -= RETRY_COST
            return True

    def give_back(self, tokens: int = 1) -> None:
        """After a success."""
        if self._left < self._capacity:
            with self._lock:
                self._left = min(self._capacity, self._left + tokens)


def is_ambiguous(error: BaseException) -> bool:
    """Whether the failed attempt may have been applied by S3.

    A proxy or a gateway answers 5xx and 429 for a store that went on working, and a busy store may do so for
    what it has done (RFC 9110, 15.6). Definite is alone what says that the operation is not there at all, or
    not for such a request: NotImplemented.
    """
    if isinstance(error, TransportError):
        return error.request_sent
    if isinstance(error, (ServerError, ThrottledError)):
        return True
    return isinstance(error, ResponseError) and (error.status or 0) >= 500 and error.code != "NotImplemented"


class RetryPolicy:
    """Calls an attempt until it succeeds, fails for good, or attempts, budget or deadline are used up."""

    def __init__(self, max_attempts: int | Callable[[], int], sleep: Callable[[float], None] = pause) -> None:
        """`max_attempts` may be a function, which is asked when an attempt has failed."""
        self._max_attempts = max_attempts if callable(max_attempts) else lambda: max_attempts
        self._sleep = sleep
        self._budget = RetryBudget()

    def call(
        self,
        attempt: Callable[[], T],
        *,
        deadline: Deadline,
        retry_on_conflict: bool = False,
        failed: GuardedS3Error | None = None,
    ) -> T:
        """Return what `attempt` returns.

        `failed` is how a first attempt ended that was made elsewhere: it counts as one.
        """
        if failed is None:
            try:
                result = attempt()
            except GuardedS3Error as error:
                failed = error
            else:
                self._budget.give_back()
                return result
        if not self._retriable(failed, retry_on_conflict):
            failed.maybe_applied = failed.maybe_applied or is_ambiguous(failed)
            raise failed
        return self._again(attempt, failed, deadline, retry_on_conflict)

    def repeat(self, call: Callable[[], T], holds: Callable[[BaseException], bool], attempts: int) -> T:
        """Make `call` until it succeeds or `holds` is false for its error: rivals, with jittered pauses."""
        import tenacity

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(attempts),
            wait=lambda state: _jittered(BASE_SECONDS, CONFLICT_CAP_SECONDS, state),
            retry=tenacity.retry_if_exception(lambda error: not _given_up(error) and holds(error)),
            before_sleep=_log_retry,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(call)

    def _retriable(self, error: BaseException, retry_on_conflict: bool) -> bool:
        if _given_up(error) or isinstance(error, ChecksumMismatchError):  # whoever compared decides
            return False
        if isinstance(error, ConflictError):
            return retry_on_conflict
        return isinstance(error, (TransportError, ServerError, ThrottledError))

    def _again(
        self, attempt: Callable[[], T], first: GuardedS3Error, deadline: Deadline, retry_on_conflict: bool
    ) -> T:
        """tenacity counts the attempt that already failed as its first."""
        import tenacity

        try:
            most = self._max_attempts()
        except GuardedS3Error as error:  # a setting that is no number says nothing about what was sent
            error.maybe_applied = is_ambiguous(first)
            raise error from first
        failed: list[GuardedS3Error] = [first]
        latest = first
        ambiguous = False

        def attempt_or_first_failure() -> T:
            nonlocal ambiguous, latest
            try:
                if failed:
                    raise failed.pop()
                return attempt()
            except GuardedS3Error as error:
                ambiguous = ambiguous or is_ambiguous(error)
                error.maybe_applied = ambiguous
                latest = error
                raise
            except (FileChangedError, OSError) as error:  # the local file cannot be read, or not as it was
                # It was not sent once more, but an attempt before may have been applied.
                raise error from latest if ambiguous else error.__cause__

        retrying = tenacity.Retrying(
            stop=self._stop_at(most, deadline),
            wait=self._wait,
            retry=tenacity.retry_if_exception(lambda error: self._retriable(error, retry_on_conflict)),
            before_sleep=_log_retry,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            result = retrying(attempt_or_first_failure)
        except GuardedS3Error as error:
            error.given_up = error.given_up or self._retriable(error, retry_on_conflict)
            raise
        self._budget.give_back(RETRY_COST)
        return result

    def _stop_at(self, most: int, deadline: Deadline) -> tenacity.stop.StopBaseT:
        def stop(retry_state: tenacity.RetryCallState) -> bool:
            used_up = retry_state.attempt_number >= most
            late = deadline.left() <= retry_state.upcoming_sleep
            return used_up or late or not self._budget.take()

        return stop

    @staticmethod
    def _wait(retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        base = THROTTLED_BASE_SECONDS if isinstance(error, ThrottledError) else BASE_SECONDS
        asked = error.retry_after if isinstance(error, ResponseError) else 0.0
        return max(_jittered(base, CAP_SECONDS, retry_state), min(asked, CAP_SECONDS))


def _given_up(error: BaseException) -> bool:
    """Whether a policy inside of this one has made all the attempts that there are."""
    return isinstance(error, GuardedS3Error) and error.given_up


def _jittered(base: float, cap: float, retry_state: tenacity.RetryCallState) -> float:
    return random.random() * min(cap, base * 2.0 ** (retry_state.attempt_number - 1))


def _log_retry(retry_state: tenacity.RetryCallState) -> None:
    error = retry_state.outcome.exception() if retry_state.outcome else None
    logger.info("attempt %d failed, trying again: %s", retry_state.attempt_number, error)
