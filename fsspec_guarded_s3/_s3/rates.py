"""How many requests a second a store gets that has refused some because they were too many.

Theory of operation. As long as nobody is refused, nothing here is called: `limits` is empty. A refusal (503
SlowDown, 429) makes a `RateLimit` for its bucket, of reads or of writes, since S3 limits them apart. It holds
for the key that was refused, and from the second key on for the directory that all refused keys have in
common: what a store counts together is not known (S3: a "partitioned prefix"), and one stray 503 shall not
hold up others. The limit belongs to the process: all threads, coroutines and filesystems share it. A minute
after the last refusal it is forgotten.

The rate begins low, and doubles within about a third of a second while requests are accepted. That finds
the rate of any store within one or two seconds. When it refuses more then, it follows CUBIC (RFC 9438): it
falls below what the store accepted in the second before, comes back to that within seconds, and only then
tries more.

Refusals come in batches: all that is on its way when a store has enough is refused. They say one thing
together. So a `Turn` has the number of the limit's last fall, and a refusal of what was sent before that
fall counts no more. And some stores refuse some requests whatever their number: one of many machines is busy.
If each of these lowered the rate, it would end at a twentieth of what the store takes. So a single one of a
second does not, nor do fewer than `STRAY`. What a store refuses while the rate is below what it took, or
after the rate has fallen in vain to one that any store takes, is its `usual` share. Only more than that
lowers the rate. A store with a limit refuses nothing there, so its usual share is none.

Who waits has a number, and goes when as many turns have come up, first come, first served. What a turn costs
those who need none is one look at `limits`. Nobody waits longer than the deadline of the request, nor for
what nobody wants any more (`_work.pause`).

Why this is none of botocore's (`botocore.retries.adaptive`, which is not documented for others): its limit
is of one client; each of fifty refusals that come at once lowers the rate by a third; a bucket of tokens for
a whole second lets a second's requests go at once; its waits have no end, cannot be interrupted and hold a
lock that a fork would copy; and its clock is that of the wall, which is set now and then.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html
"""

from __future__ import annotations

import logging
import threading
import time
from heapq import heappop, heappush

from .._auth.endpoints import Endpoint
from .._forks import PerProcess, renew_after_fork
from .._values.deadline import Deadline
from .._values.models import Request
from .._work import must_wait, pause
from ..errors import GuardedS3Error, ResponseError, ThrottledError

logger = logging.getLogger("fsspec_guarded_s3")

FIRST_RATE = 50.0  # requests a second after the first refusal
STEP = 2.5  # by which each request that is accepted raises that: it doubles in 0.3 s
MIN_RATE = 10.0  # below that the pauses before repetitions do what is needed
# CUBIC, RFC 9438, 4.1, in requests a second in the place of segments. It falls to 0.7 there.
SCALE = 0.4
FALL = 0.8
WINDOW = 0.5  # seconds: what a store accepts and refuses is seen in the last one to two of these
STRAY = 0.0075  # of its answers: up to so many refusals do not say that all are too many
SAMPLE = 200  # answers below what the store took, which tell a small usual share (up to `STRAY`)
LEAST = 0.001  # a usual share below that is none
VAIN = 3  # falls in a row from a rate of no more than FIRST_RATE, after which a larger share counts as usual,
VAIN_ANSWERS, VAIN_REFUSALS = 20, 3  # as told by so many answers since the first of them
TRIAL_SECONDS = 10.0  # between two trials whether that is so
SETTLED_SECONDS = 1.0  # after which a refusal counts where it is not known when its request was sent
FORGET_SECONDS = 60.0  # after the last refusal
MAX_WAIT = 20.0  # seconds: the most that Retry-After holds others up
HOLD_SECONDS = 0.05  # after a fall nothing is sent, until what is on its way has arrived
_SAVED_SECONDS = 0.05  # of turns that nobody took, which may be taken later
_TURN = 0.1  # seconds of sleep, after which the rate may be another
MAX_LIMITS = 1000  # of a process; what a bucket more is refused costs repetitions, as before


class RateLimit:
    """How many requests under a prefix a store gets. Each method is told the time of the monotonic clock.

    Thread-safe.
    """

    def __init__(self, key: str, code: str, now: float, retry_after: float = 0.0) -> None:
        """`code` is what the refusal of `key` said, and `retry_after` the seconds that it asked for."""
        self.prefix = key
        self.is_of_one_key = True
        self.code = code
        self.falls = 0
        self.refused_at = now
        self._rate = FIRST_RATE
        self._top: float | None = None  # what the store was seen to accept; None before that was seen
        self._since = now  # the last fall
        self._accepted = self._accepted_before = 0  # in this window, and in the one before
        self._refused = self._refused_before = 0  # of what was sent since the last fall
        self._window = now  # its beginning
        self._usual = 0.0  # the share of requests that the store refuses whatever the rate
        self._seen = self._seen_refused = 0  # answers from which that is learned
        self._in_vain = 0  # falls in a row from a rate that any store takes
        self._trial_at = now  # when the next trial may be whether the store takes more
        self._numbers = 0  # how many have asked for a turn
        self._turns = 1.0  # how many have come up
        self._given_up: list[int] = []  # numbers of those who want their turn no more; a heap
        self._at = now + min(retry_after, MAX_WAIT)  # when that was so, or will be
        self._lock = PerProcess(threading.Lock)

    def __repr__(self) -> str:
        return f"<RateLimit {self.prefix!r} {self._rate:.0f}/s after {self.code}>"

    def covers(self, key: str) -> bool:
        """Whether it holds for `key`."""
        return key == self.prefix if self.is_of_one_key else key.startswith(self.prefix)

    def rate(self, now: float) -> float:
        """Requests a second."""
        if self._top is not None:
            back = (self._top * (1 - FALL) / SCALE) ** (1 / 3)  # seconds until it is at the top again
            self._rate = max(MIN_RATE, SCALE * (max(0.0, now - self._since) - back) ** 3 + self._top)
        return self._rate

    def number(self, now: float) -> int:
        """Ask for a turn."""
        with self._lock():
            self._advance(now)
            self._numbers += 1
            return self._numbers

    def give_back(self, number: int) -> None:
        """Who has `number` wants its turn no more. Those behind it move up, and nobody before it does."""
        with self._lock():
            heappush(self._given_up, number)
            self._skip()

    def wait(self, number: int, now: float) -> float:
        """Seconds until `number` has its turn, as far as can be told; 0: now."""
        with self._lock():
            self._advance(now)
            return max(0.0, self._at - now) + max(0.0, number - self._turns) / self._rate

    def _advance(self, now: float) -> None:
        rate = self.rate(now)
        if now > self._at:
            most = self._numbers + max(1.0, rate * _SAVED_SECONDS)
            self._turns = max(self._turns, min(most, self._turns + rate * (now - self._at)))
            self._at = now
            self._skip()

    def _skip(self) -> None:
        """Nobody takes the next turns, up to the first of somebody who wants it."""
        while self._given_up and self._given_up[0] <= self._turns + 1:
            heappop(self._given_up)
            self._turns += 1

    def accept(self, now: float) -> None:
        """The store has accepted a request."""
        with self._lock():
            self._look(now)
            self._accepted += 1
            self._see(now)
            if self._top is None:
                self._rate += STEP

    def _look(self, now: float) -> float:
        """Seconds of the window in which is counted what the store accepts."""
        seconds = now - self._window
        if seconds >= WINDOW:
            answers = self._refused + self._accepted
            expected = self._usual * answers
            if self._refused < expected - 2 * expected**0.5:  # by two standard deviations
                self._usual = (self._usual + self._refused / answers) / 2
            is_next = seconds < 2 * WINDOW
            self._accepted_before = self._accepted if is_next else 0
            self._refused_before = self._refused if is_next else 0
            self._accepted = self._refused = 0
            self._window += seconds // WINDOW * WINDOW
        return now - self._window

    def refuse(self, key: str, falls: int | None, now: float, retry_after: float = 0.0) -> bool:
        """The store has refused `key`, which was sent after so many `falls`, None where that is not known.

        Returns whether the rate falls by that.
        """
        with self._lock():
            self.refused_at = now
            if not self.covers(key):
                self._widen(key)
                return False
            if falls is None and now - self._since < SETTLED_SECONDS:
                return False
            if falls is not None and falls != self.falls:
                return False
            if self._top is None and now - self._since < WINDOW:
                return False
            self._look(now)
            self._refused += 1
            self._see(now, 1)
            if not retry_after and (self._is_stray(now) or self._tries_more(now)):
                return False
            self._fall(now, max(HOLD_SECONDS, min(retry_after, MAX_WAIT)))
            return True

    def _see(self, now: float, refused: int = 0) -> None:
        """An answer, `refused` (1) or not: from time to time it is learned which share is usual."""
        is_calm = now >= self._since + SETTLED_SECONDS and self._is_below(now)
        if not (self._in_vain or is_calm):
            return
        self._seen += 1
        self._seen_refused += refused
        if not self._in_vain and self._seen >= SAMPLE:
            share = min(STRAY, self._seen_refused / self._seen)
            self._usual = max(share, (self._usual + share) / 2)
            self._seen = self._seen_refused = 0

    def _is_below(self, now: float) -> bool:
        """Whether the rate is no more than what the store took."""
        return self._top is not None and self.rate(now) <= self._top

    def _is_stray(self, now: float) -> bool:
        """Whether this refusal says nothing: the store refuses no more than usual, or hardly any."""
        refused = self._refused_before + self._refused
        answers = refused + self._accepted_before + self._accepted
        expected = self._usual * answers
        if refused > max(1.0, STRAY * answers + 1.25 * expected + 2 * expected**0.5):
            return False
        return self._top is None or self._is_below(now) or self._usual >= LEAST

    def _tries_more(self, now: float) -> bool:
        """After falls in vain, take what the store refuses as usual, and begin as after the first refusal."""
        is_told = self._seen >= VAIN_ANSWERS and self._seen_refused >= VAIN_REFUSALS
        if self._in_vain < VAIN or not is_told or now < self._trial_at:
            return False
        self._usual = max(self._usual, self._seen_refused / self._seen)
        self._seen = self._seen_refused = self._in_vain = 0
        self._refused = self._refused_before = 0
        self._rate, self._top = FIRST_RATE, None
        self._since, self._trial_at = now, now + TRIAL_SECONDS
        return True

    def _fall(self, now: float, held: float) -> None:
        rate, seconds = self.rate(now), WINDOW + self._look(now)
        seen = (
            (self._accepted_before + self._accepted) / seconds / (1 - min(0.9, self._usual))
        )  # sent for that
        if self._top is not None and rate <= FIRST_RATE:
            self._in_vain += 1
        else:
            self._in_vain = self._seen = self._seen_refused = 0
        if self._top is None:  # it was at half of that a moment ago, and those refused at first may be asleep
            seen = max(seen, rate / 2)
        self._top = max(MIN_RATE, min(rate, seen))
        self._refused = self._refused_before = 0
        self._advance(now)
        self.falls += 1
        self._since = self._at = now + held
        self._turns = min(self._turns, float(self._numbers))

    def renew(self) -> None:
        """In the child of a fork: nobody waits."""
        self._given_up.clear()
        self._turns = max(self._turns, float(self._numbers))

    def _widen(self, key: str) -> None:
        self.prefix = _common_directory(self.prefix, key)
        self.is_of_one_key = False


class Turn:
    """One request that had to have its turn.

    - limit: what it had its turn by
    - falls: of the rate, before it was sent
    - waited: seconds
    - code: S3's error code for which the rate is limited, or ""
    """

    __slots__ = ("code", "falls", "limit", "waited")

    def __init__(self, limit: RateLimit, waited: float) -> None:
        self.limit = limit
        self.falls = limit.falls
        self.waited = waited
        self.code = limit.code

    def accept(self) -> None:
        """The store has accepted the request."""
        self.limit.accept(time.monotonic())


Place = tuple[str, str, int, str, str, str, bool]
limits: dict[Place, RateLimit] = {}  # of the process; empty as long as no store has refused any request
_looked_at = 0.0  # when was looked last which of them are old


def turn(endpoint: Endpoint, request: Request, deadline: Deadline) -> Turn | None:
    """Wait until `request` may be sent; None where its rate is not limited.

    Raises ThrottledError when its deadline comes first, CancelledError when nobody waits for it any more.
    """
    limit = limit_of(endpoint, request)
    return None if limit is None else _wait(limit, request, deadline)


def limit_of(endpoint: Endpoint, request: Request) -> RateLimit | None:
    """What limits `request`, None where nothing does."""
    now, limit = time.monotonic(), limits.get(_place(endpoint, request))
    if limit is None or now - limit.refused_at > FORGET_SECONDS:
        if limit is not None or now - _looked_at > FORGET_SECONDS:
            _forget_old(now)
        return None
    return limit if limit.covers(_key(request)) else None


def is_too_many(error: GuardedS3Error) -> bool:
    """Whether `error` says that requests are too many. An answer to HEAD has no code: any 503 may say so."""
    return isinstance(error, ThrottledError) or (
        error.status == 503 and not error.code and error.operation.startswith("Head")
    )


def refused(endpoint: Endpoint, request: Request, error: GuardedS3Error, turn: Turn | None = None) -> None:
    """The store has refused `request`, which had its `turn`: there is a limit now, or its rate falls."""
    now, place, key = time.monotonic(), _place(endpoint, request), _key(request)
    seconds = error.retry_after if isinstance(error, ResponseError) else 0.0
    if place not in limits or now - limits[place].refused_at > FORGET_SECONDS:
        _forget_old(now)
        if len(limits) >= MAX_LIMITS:
            return
    new = RateLimit(key, error.code or str(error.status), now, seconds)
    limit = limits.setdefault(place, new)  # another thread may be the first
    if limit is new or limit.refuse(key, turn.falls if turn is not None else None, now, seconds):
        logger.info(
            "%s of %s/%s: at most %.0f a second for now, since the store refuses more (%s)",
            "writes" if place[-1] else "reads",
            request.bucket,
            limit.prefix,
            limit.rate(now),
            limit.code,
        )


def _wait(limit: RateLimit, request: Request, deadline: Deadline) -> Turn:
    began = now = time.monotonic()
    number, is_given = limit.number(now), False
    try:
        while seconds := limit.wait(number, now):
            must_wait()
            if deadline.left() <= 0:
                raise _late(limit, request)
            pause(min(seconds, _TURN, deadline.left()))
            now = time.monotonic()
        if deadline.left() <= 0:  # sent now it would be one that the store did not answer
            raise _late(limit, request)
        is_given = True
    finally:
        if not is_given:
            limit.give_back(number)
    return Turn(limit, now - began)


def _late(limit: RateLimit, request: Request) -> ThrottledError:
    error = ThrottledError(
        f"the store refuses requests ({limit.code}), and this one had no turn within request_deadline: ask "
        "for less at a time, or allow more time",
        bucket=request.bucket,
        key=request.key,
        operation=request.operation,
        code=limit.code,
        request_sent=False,
    )
    error.given_up = True
    return error


def _common_directory(one: str, other: str) -> str:
    """The longest beginning of both that ends with a slash; "" where there is none."""
    names = []
    for name, name_of_other in zip(one.split("/")[:-1], other.split("/")[:-1], strict=False):
        if name != name_of_other:
            break
        names.append(f"{name}/")
    return "".join(names)


def _place(endpoint: Endpoint, request: Request) -> Place:
    where = (endpoint.scheme, endpoint.host, endpoint.port, endpoint.netloc, endpoint.base_path)
    return (*where, request.bucket, request.method not in ("GET", "HEAD"))


def _key(request: Request) -> str:
    """What is limited: the key, or the prefix of a listing."""
    return request.key or dict(request.query).get("prefix", "")


def _forget_old(now: float) -> None:
    global _looked_at
    _looked_at = now
    for place, limit in list(limits.items()):
        if now - limit.refused_at > FORGET_SECONDS:
            limits.pop(place, None)


def _renew() -> None:
    for limit in list(limits.values()):
        limit.renew()


renew_after_fork(_renew)
