"""What may be tried again by itself, and when. The only importer of tenacity.

`RetryPolicy.call` runs the attempts of one request. It is a loop of our own and not tenacity's, since most
requests succeed at once and should not pay for tenacity. `repeat_while` repeats a whole write, by tenacity,
when another writer was faster. `_may_pass` says which errors are tried again. `exchange` explains how
attempts, retries and corrections go together.

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

from .._forks import PerProcess, importing
from .._values.deadline import Deadline
from .._work import pause, this_thread
from ..errors import (
    ChecksumMismatchError,
    ConflictError,
    FileChangedError,
    GuardedS3Error,
    ResponseError,
    ServerError,
    ThrottledError,
    TransportError,
)
from .rates import is_too_many

if TYPE_CHECKING:
    import tenacity  # at run time where a write is repeated: it takes a tenth of the time of our own import

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
        self.used = 0  # tokens
        self._lock = PerProcess(threading.Lock)

    def __repr__(self) -> str:
        return f"<RetryBudget {self._capacity - self.used} of {self._capacity}>"

    def take(self) -> bool:
        """Whether another retry may be made."""
        with self._lock():
            if self.used + RETRY_COST > self._capacity:
                return False
            self.used += RETRY_COST
            return True

    def give_back(self, tokens: int = 1) -> None:
        """After a success, if any are used."""
        with self._lock():
            self.used = max(0, self.used - tokens)


def is_ambiguous(error: BaseException) -> bool:
    """Whether the failed attempt may have been applied by S3.

    A proxy or a gateway answers 5xx and 429 for a store that went on working, and a busy store may do so for
    what it has done (RFC 9110, 15.6). Definite is alone what says that the operation is not there at all, or
    not for such a request: NotImplemented.
    """
    if isinstance(error, (TransportError, ThrottledError)):
        return error.request_sent
    if isinstance(error, ServerError):
        return True
    return isinstance(error, ResponseError) and (error.status or 0) >= 500 and error.code != "NotImplemented"


class RetryPolicy:
    """Calls an attempt until it succeeds, fails for good, or attempts, budget or deadline are used up."""

    def __init__(self, max_attempts: int | Callable[[], int], sleep: Callable[[float], None] = pause) -> None:
        """`max_attempts` may be a function, which is asked when an attempt has failed."""
        self._max_attempts = max_attempts if callable(max_attempts) else lambda: max_attempts
        self._sleep = sleep
        self._budget = RetryBudget()

    def __repr__(self) -> str:
        return f"<RetryPolicy {self._budget!r}>"

    @property
    def may_repeat(self) -> bool:
        """Whether a request may have more than one attempt."""
        return self._max_attempts() > 1

    def call(self, attempt: Callable[[], T], *, deadline: Deadline, retry_on_conflict: bool = False) -> T:
        """What `attempt` returns, or its last error, which then tells what may have been applied."""
        made, work = 1, this_thread.work
        if work is not None and work.attempts_made:
            made += work.attempts_made
            work.attempts_made = 0
        ambiguous: GuardedS3Error | None = None  # the first attempt that may have been applied
        try:
            while True:
                try:
                    result = attempt()
                    break
                except GuardedS3Error as error:
                    error.maybe_applied |= ambiguous is not None or is_ambiguous(error)
                    seconds = self._pause_after(error, made, deadline, retry_on_conflict)
                    if seconds is None:
                        raise
                    made += 1
                    if error.maybe_applied and ambiguous is None:
                        ambiguous = error
                except (FileChangedError, OSError) as error:  # of the local file: nothing was sent this time
                    if ambiguous is not None:
                        raise error from ambiguous
                    raise
                self._sleep(seconds)
        finally:
            ambiguous = None  # it would keep this frame, and this frame it
        if self._budget.used:  # which nearly always is 0
            self._budget.give_back(RETRY_COST if made > 1 else 1)
        return result

    def _pause_after(
        self, error: GuardedS3Error, made: int, deadline: Deadline, retry_on_conflict: bool
    ) -> float | None:
        """Seconds to wait after the attempt number `made`, which failed by `error`; None to give up."""
        work = this_thread.work
        if not _may_pass(error, retry_on_conflict) or (work is not None and work.is_last_attempt):
            return None
        seconds = _pause(error, made)
        is_over = made >= self._max_attempts() or deadline.left() <= seconds
        # What the store refuses as too much waits for its turn (`rates`), and however many do are no storm.
        if is_over or not (is_too_many(error) or self._budget.take()):
            error.given_up = True
            return None
        logger.info("attempt %d failed, trying again: %s", made, error)
        return seconds

    def repeat_while(
        self, holds: Callable[[BaseException], bool], call: Callable[[], T], attempts: int | None = None
    ) -> T:
        """Make `call` while `holds` is true for its error, `attempts` times at most, with jittered pauses.

        `attempts` are those of a request, where they are not told. For rivals, and for what has attempts of
        its own within: what these have given up is not repeated.
        """
        with importing():
            import tenacity

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: not _given_up(error) and holds(error)),
            stop=tenacity.stop_after_attempt(attempts or self._max_attempts()),
            wait=tenacity.wait_random_exponential(BASE_SECONDS, CONFLICT_CAP_SECONDS),
            before_sleep=_log_repetition,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(call)


def _may_pass(error: GuardedS3Error, retry_on_conflict: bool) -> bool:
    if error.given_up or isinstance(error, ChecksumMismatchError):  # whoever compared decides
        return False
    if isinstance(error, ConflictError):
        return retry_on_conflict
    return isinstance(error, (TransportError, ServerError, ThrottledError))


def _given_up(error: BaseException) -> bool:
    """Whether a policy inside of this one has made all the attempts that there are."""
    return isinstance(error, GuardedS3Error) and error.given_up


def _pause(error: GuardedS3Error, made: int) -> float:
    """Seconds until the next attempt: with full jitter, and no fewer than the store asks for."""
    base = THROTTLED_BASE_SECONDS if is_too_many(error) else BASE_SECONDS
    asked = error.retry_after if isinstance(error, ResponseError) else 0.0
    return max(random.random() * min(CAP_SECONDS, base * 2.0 ** (made - 1)), min(asked, CAP_SECONDS))


def _log_repetition(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.info("attempt %d failed, trying again: %s", state.attempt_number, error)
