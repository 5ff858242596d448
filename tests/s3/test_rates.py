"""A store that refuses requests because they are too many gets fewer, by all of the process, for a while."""

from __future__ import annotations

import _thread
import asyncio
import heapq
import itertools
import logging
import os
import pickle
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import pytest

from fsspec_guarded_s3 import AttemptEvent, GuardedS3Error, GuardedS3FileSystem, ServerError, ThrottledError
from fsspec_guarded_s3._runs import run_all
from fsspec_guarded_s3._s3 import rates
from fsspec_guarded_s3._s3.rates import FORGET_SECONDS, RateLimit
from fsspec_guarded_s3._s3.retry import RetryPolicy
from fsspec_guarded_s3._values.deadline import Deadline
from fsspec_guarded_s3._values.models import Request as S3Request
from fsspec_guarded_s3._work import MustWaitError, Work, without_waiting, working_for
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, respond, s3_error

BOUND = 10.0
SLOW_DOWN = s3_error(503, "SlowDown")


# --- how many requests: by a clock of our own ---


class Run:
    """A load on a store that takes `allowed` requests a second and saves up to `burst` of them.

    It refuses a share of `stray` of them, whatever their number.

    Each of `processes` has `workers`, which ask one thing after the other and repeat what is refused.
    """

    def __init__(
        self,
        allowed: float,
        burst: int,
        processes: int = 1,
        round_trip: float = 0.003,
        stray: float = 0.0,
        attempts: int = 5,
    ) -> None:
        self._stray, self._attempts = stray, attempts
        self._allowed, self._burst, self._round_trip = allowed, burst, round_trip
        self._saved, self._at = float(burst), 0.0
        self._limits: list[RateLimit | None] = [None] * processes
        self._todo: list[tuple[float, int, Callable[[float], None]]] = []
        self._order, self._chance = itertools.count(), random.Random(1)
        self._keys: list[Iterator[str]] = [iter(())] * processes
        self.served = self.refused = 0
        self.seconds = 0.0

    def load(self, requests: int, workers: int) -> Run:
        self._keys = [
            iter([f"data/{n % 7}/part-{n}" for n in range(requests // len(self._keys))]) for _ in self._keys
        ]
        for process in range(len(self._keys)):
            for _ in range(workers):
                self._later(self._chance.random() * 0.01, self._next(process))
        while self._todo:
            now, _, do = heapq.heappop(self._todo)
            do(now)
        return self

    @property
    def limit(self) -> RateLimit:
        """Of the first process."""
        (limit, *_) = self._limits
        assert limit is not None
        return limit

    @property
    def share_refused(self) -> float:
        return self.refused / (self.refused + self.served)

    @property
    def share_used(self) -> float:
        """Of what the store would have taken."""
        return self.served / (self._burst + self._allowed * self.seconds)

    def _later(self, at: float, do: Callable[[float], None]) -> None:
        heapq.heappush(self._todo, (at, next(self._order), do))

    def _next(self, process: int) -> Callable[[float], None]:
        def begin(now: float) -> None:
            key = next(self._keys[process], None)
            if key is not None:
                self._ask(process, key, 1)(now)

        return begin

    def _ask(self, process: int, key: str, attempt: int) -> Callable[[float], None]:
        def ask(now: float) -> None:
            limit = self._limits[process]
            if limit is None or not limit.covers(key):
                self._later(now + self._round_trip / 2, self._arrive(process, key, attempt, None))
            else:
                self._wait(limit, limit.number(now), process, key, attempt)(now)

        return ask

    def _wait(
        self, limit: RateLimit, number: int, process: int, key: str, attempt: int
    ) -> Callable[[float], None]:
        def wait(now: float) -> None:
            seconds = limit.wait(number, now)
            if seconds:
                late = self._chance.random() * 0.002  # threads wake up when they can
                self._later(now + min(seconds, 0.1) + late, self._wait(limit, number, process, key, attempt))
            else:
                self._later(now + self._round_trip / 2, self._arrive(process, key, attempt, limit.falls))

        return wait

    def _arrive(self, process: int, key: str, attempt: int, falls: int | None) -> Callable[[float], None]:
        def arrive(now: float) -> None:
            self._saved = min(self._burst, self._saved + (now - self._at) * self._allowed)
            self._at = now
            is_taken = self._saved >= 1 and not (self._stray and self._chance.random() < self._stray)
            self._saved -= is_taken
            self._later(now + self._round_trip / 2, self._answer(process, key, attempt, falls, is_taken))

        return arrive

    def _answer(
        self, process: int, key: str, attempt: int, falls: int | None, is_taken: bool
    ) -> Callable[[float], None]:
        def answer(now: float) -> None:
            limit = self._limits[process]
            if is_taken:
                if limit is not None and falls is not None:
                    limit.accept(now)
                self.served, self.seconds = self.served + 1, now
                self._next(process)(now)
                return
            self.refused += 1
            if limit is None:
                self._limits[process] = RateLimit(key, "SlowDown", now)
            else:
                limit.refuse(key, falls, now)
            assert attempt < self._attempts, "the caller would get an error"
            pause = self._chance.random() * min(20.0, 2.0 ** (attempt - 1))
            self._later(now + pause, self._ask(process, key, attempt + 1))

        return answer


LOADS = {
    "200 a second": (Run(200, 200), 5_000, 32),
    "200 a second, 20 saved": (Run(200, 20), 5_000, 32),
    "200 a second, from afar": (Run(200, 200, round_trip=0.03), 5_000, 32),
    "200 a second, two processes": (Run(200, 20, processes=2), 10_000, 32),
    "1,000 a second": (Run(1000, 1000), 20_000, 64),
    "S3's reads of a prefix": (Run(5500, 5500, round_trip=0.03), 60_000, 256),
}


@pytest.mark.parametrize("name", LOADS)
def test_hardly_any_request_is_refused_and_the_store_is_used(name: str) -> None:
    run, requests, workers = LOADS[name]
    run.load(requests, workers)
    assert run.served == requests
    assert run.share_refused < 0.01
    assert run.share_used > 0.85


def refuse(limit: RateLimit, now: float) -> bool:
    """The store refuses two requests that were sent now: one may be a stray. Whether the rate falls."""
    falls = limit.falls
    first, second = limit.refuse("a/1", falls, now), limit.refuse("a/1", falls, now)
    return first or second


def falling() -> RateLimit:
    """A limit whose rate has just fallen, at 0.0, since the store takes 200 a second."""
    limit = RateLimit("a/1", "SlowDown", -20.0)
    limit.refuse("a/2", None, -20.0)
    assert refuse(limit, -15.0)
    for n in range(3000):
        limit.accept(-15.0 + n / 200)
    assert limit.rate(0.0) > 200
    assert refuse(limit, 0.0)
    return limit


def test_a_batch_of_refusals_is_one_fall() -> None:
    limit = falling()
    rate = limit.rate(0.0)
    assert rate == pytest.approx(0.8 * 200, rel=0.05)
    sent_before = [limit.refuse(f"a/{n}", 1, 0.01) for n in range(50)]
    assert not any(sent_before)
    assert limit.rate(0.0) == rate
    assert refuse(limit, 1.0)
    assert limit.rate(1.0) < rate


@pytest.mark.parametrize("share", [0.0005, 0.001, 0.002])
@pytest.mark.parametrize("workers", [64, 256])
def test_a_store_that_refuses_some_whatever_their_number_gets_hardly_fewer(
    share: float, workers: int
) -> None:
    run = Run(1e9, 10**9, round_trip=0.03, stray=share).load(60_000, workers)
    assert run.served == 60_000
    assert run.share_refused < 2 * share
    assert run.served / run.seconds > 0.6 * workers / 0.03


@pytest.mark.parametrize(
    ("share", "seconds"),  # before usual shares were learned: 160, 340, 1,400 and 3,200 seconds
    [(0.005, 60), (0.01, 80), (0.05, 80), (0.33, 200)],
)
def test_a_store_that_refuses_more_of_them_whatever_their_number_is_used_nevertheless(
    share: float, seconds: float
) -> None:
    run = Run(1e9, 10**9, round_trip=0.03, stray=share, attempts=20).load(20_000, 256)
    assert run.served == 20_000
    assert run.share_refused < 1.5 * share
    assert run.seconds < seconds


def test_what_is_usual_is_forgotten_when_the_store_refuses_no_more() -> None:
    run = Run(1e9, 10**9, stray=0.33, attempts=20).load(2_000, 64)
    assert run.refused > 500
    limit = run.limit
    for n in range(20_000):
        limit.accept(run.seconds + n / 1000)
    now = run.seconds + 20.0
    falls = limit.falls
    assert any(limit.refuse("data/1/x", falls, now) for _ in range(200))  # of a thousand a second


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_a_store_with_a_limit_that_refuses_others_too_is_used_and_not_flooded(share: float) -> None:
    run = Run(200, 20, stray=share, attempts=20).load(5_000, 32)
    assert run.share_refused < share + 0.025
    assert run.share_used > 0.3


def test_strays_lower_no_rate_and_more_do() -> None:
    limit = RateLimit("a/1", "SlowDown", 0.0)
    limit.refuse("a/2", None, 0.0)
    now = 1.0
    for n in range(10_000):  # one of 500, and of each half second
        now = 1.0 + n / 1000
        limit.accept(now)
        if n % 500 == 499:
            assert not limit.refuse("a/1", limit.falls, now)
    assert limit.rate(now) > 10_000
    falls = limit.falls
    fallen = [limit.refuse("a/1", falls, now) for _ in range(30)]
    assert fallen[:2] == [False, False] and sum(fallen) == 1


def test_a_stray_counts_where_the_store_is_asked_for_more_than_it_took_before() -> None:
    limit = falling()
    assert not limit.refuse("a/1", limit.falls, 1.0)
    assert not limit.refuse("a/1", limit.falls, 3.0)
    assert limit.rate(9.0) > 200
    assert limit.refuse("a/1", limit.falls, 9.0)
    assert limit.rate(9.0) < 200


def test_what_is_sent_at_once_is_no_more_than_the_rate() -> None:
    limit = falling()
    numbers = [limit.number(0.0) for _ in range(1000)]
    for now in (0.1, 0.5, 1.0):
        free = sum(limit.wait(number, now) == 0 for number in numbers)
        assert free <= limit.rate(now) * now + 1
        assert [limit.wait(number, now) == 0 for number in numbers] == [True] * free + [False] * (1000 - free)


@pytest.mark.parametrize("order", ["first", "last", "any"])
def test_who_gives_up_leaves_the_turn_to_those_behind(order: str) -> None:
    limit = falling()
    numbers = [limit.number(0.0) for _ in range(100)]
    given_up = numbers[:]
    if order == "last":
        given_up.reverse()
    elif order == "any":
        random.Random(1).shuffle(given_up)
    for number in given_up:
        if number != numbers[99]:
            limit.give_back(number)
    assert limit.wait(numbers[99], 0.1) == 0.0


def test_who_gives_up_lets_nobody_before_it_go_sooner() -> None:
    limit, other = falling(), falling()
    numbers = [limit.number(0.0) for _ in range(200)]
    for number in numbers[20:]:
        limit.give_back(number)
    for number in numbers[:20]:
        assert other.number(0.0) == number
    for now in (0.01, 0.05, 0.1):
        waits = [limit.wait(number, now) for number in numbers[:20]]
        assert waits == [other.wait(number, now) for number in numbers[:20]]
        assert waits[-1]
    behind = limit.number(0.1)  # comes next after those that are left
    assert limit.wait(behind, 0.1)
    assert limit.wait(behind, 0.3) == 0.0


def test_an_idle_limit_recovers() -> None:
    limit = falling()
    assert limit.rate(30.0) > 1000
    numbers = [limit.number(30.0) for _ in range(100)]  # but does not save up all that nobody sent
    assert sum(limit.wait(number, 30.0) == 0 for number in numbers) < 1 + 0.05 * limit.rate(30.0)


def test_the_rate_never_falls_so_far_that_callers_hang() -> None:
    limit = falling()
    for n in range(100):
        refuse(limit, 1.0 + n)
    assert limit.rate(100.0) >= rates.MIN_RATE
    limit = RateLimit("a/1", "SlowDown", 0.0)
    for n in range(100):
        refuse(limit, 1.0 + n)
    assert limit.rate(100.0) >= rates.MIN_RATE


def test_what_the_store_asks_for_holds_all_up() -> None:
    limit = falling()
    assert limit.refuse("a/1", limit.falls, 5.0, retry_after=3.0)
    number = limit.number(6.0)
    assert limit.wait(number, 6.0) == pytest.approx(2.0, abs=0.3)
    assert limit.wait(number, 8.4) == 0.0
    assert limit.refuse("a/1", limit.falls, 20.0, retry_after=1e9)
    assert limit.wait(limit.number(21.0), 21.0) < rates.MAX_WAIT


def test_one_refusal_concerns_one_key_and_more_what_the_keys_have_in_common() -> None:
    limit = RateLimit("data/year=1/a", "SlowDown", 0.0)
    assert limit.covers("data/year=1/a") and not limit.covers("data/year=1/b")
    assert not limit.refuse("data/year=1/ab", None, 0.1)
    assert limit.covers("data/year=1/c") and not limit.covers("data/year=10/c")
    limit.refuse("data/year=10/a", None, 0.2)
    assert limit.prefix == "data/"
    assert limit.covers("data/x") and not limit.covers("other")
    limit.refuse("other", None, 0.3)
    assert limit.covers("") and limit.covers("anything")


# --- of which requests: on a socket ---


class BusyStore(FakeS3):
    """Answers a number of requests by `answer`, of those that `is_meant`."""

    def __init__(self, refusals: int = 0, answer: Answer = SLOW_DOWN) -> None:
        super().__init__("bucket", "other")
        for number in range(40):
            self.put("bucket", f"data/{number:02}", b"%d" % number)
        self.put("bucket", "elsewhere", b"e")
        self.put("other", "data/00", b"o")
        self.left, self.answer = refusals, answer
        self.is_meant: Callable[[Request], bool] = lambda request: True
        self._counting = threading.Lock()
        self.fault = self._refuse

    def _refuse(self, request: Request, fake: FakeS3) -> Answer | None:
        with self._counting:
            if self.left <= 0 or not self.is_meant(request):
                return None
            self.left -= 1
            return self.answer


@pytest.fixture
def store() -> BusyStore:
    return BusyStore()


@pytest.fixture
def server(store: BusyStore) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=store) as server:
        yield server


@pytest.fixture
def fs(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> GuardedS3FileSystem:
    monkeypatch.setattr("fsspec_guarded_s3._s3.retry.THROTTLED_BASE_SECONDS", 0.01)
    monkeypatch.setattr("fsspec_guarded_s3._s3.retry.BASE_SECONDS", 0.01)
    return filesystem(server.url)


def only_limit() -> RateLimit:
    (limit,) = rates.limits.values()
    return limit


def write_in_threads(fs: GuardedS3FileSystem) -> None:
    with ThreadPoolExecutor(32) as threads:
        list(threads.map(lambda n: fs.pipe_file(f"bucket/data/{n:02}", b"new"), range(40)))


def read_in_threads(fs: GuardedS3FileSystem) -> None:
    with ThreadPoolExecutor(32) as threads:
        got = list(threads.map(lambda n: fs.cat_file(f"bucket/data/{n:02}"), range(40)))
    assert got == [b"%d" % n for n in range(40)]


def read_in_coroutines(fs: GuardedS3FileSystem) -> None:
    async def gather() -> list[bytes]:
        return await asyncio.gather(*[fs._cat_file(f"bucket/data/{n:02}") for n in range(40)])

    assert asyncio.run(gather()) == [b"%d" % n for n in range(40)]


def read_many(fs: GuardedS3FileSystem) -> None:
    assert len(fs.cat([f"bucket/data/{n:02}" for n in range(40)])) == 40


def look(fs: GuardedS3FileSystem) -> None:
    with ThreadPoolExecutor(32) as threads:
        found = list(threads.map(lambda n: fs.info(f"bucket/data/{n:02}", refresh=True), range(40)))
    assert len(found) == 40


def first_of_its_key() -> Callable[[Request], bool]:
    """Whether a request is the first that asks for its key."""
    seen: set[str] = set()

    def is_first(request: Request) -> bool:
        is_new = request.path not in seen
        seen.add(request.path)
        return is_new

    return is_first


WORKS: dict[str, Callable[[GuardedS3FileSystem], None]] = {
    "threads": read_in_threads,
    "coroutines": read_in_coroutines,
    "one call": read_many,
    "writes": write_in_threads,
    "HEAD, which tells no code": look,
}


@pytest.mark.parametrize("name", WORKS)
def test_refusals_of_a_load_reach_no_caller_and_limit_its_directory(
    store: BusyStore, fs: GuardedS3FileSystem, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each key one: where a thread runs ahead of the others, all of its attempts could be refused."""
    store.left, store.is_meant = 20, first_of_its_key()
    with fs.trace() as trace:
        WORKS[name](fs)
    limit = only_limit()
    assert limit.prefix == "data/"
    assert trace.repeated == 20
    pause = rates.pause

    def open_and_pause(seconds: float) -> None:
        with limit._lock():
            limit._at = min(limit._at, time.monotonic())
        pause(seconds)

    monkeypatch.setattr(rates, "pause", open_and_pause)
    limit._at += 3600  # nobody has a turn before somebody waits for it
    with fs.trace() as trace:
        WORKS[name](fs)
    assert trace.waited > 0
    assert "s waited since the store refused some" in str(trace)


@pytest.mark.parametrize(
    "error", [ThrottledError("slower"), ServerError("", status=503, operation="HeadObject")], ids=["", "HEAD"]
)
def test_more_refusals_at_once_than_the_budget_has_are_repeated(error: GuardedS3Error) -> None:
    policy, count = RetryPolicy(2, sleep=lambda seconds: None), 0

    def attempt() -> None:
        nonlocal count
        count += 1
        if count % 2:
            raise error

    for _ in range(300):
        policy.call(attempt, deadline=Deadline(900))


def test_nobody_waits_for_turns_as_long_as_nobody_was_refused(
    fs: GuardedS3FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("asked for a turn")

    monkeypatch.setattr(rates, "turn", never)
    monkeypatch.setattr(rates, "limit_of", never)
    for work in WORKS.values():
        work(fs)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is limited has to wait, however slow this machine is: the rate is low, and remains so."""
    monkeypatch.setattr(rates, "FIRST_RATE", 5.0)
    monkeypatch.setattr(rates, "MIN_RATE", 5.0)
    monkeypatch.setattr(rates, "STEP", 0.0)


@pytest.mark.usefixtures("slow")
def test_filesystems_share_it_and_other_buckets_and_writes_do_not(
    store: BusyStore, server: ScriptedServer, fs: GuardedS3FileSystem
) -> None:
    store.left = 2
    assert fs.cat_file("bucket/data/00") == b"0"
    store.left = 2
    assert fs.cat_file("bucket/data/01") == b"1"
    only_limit()
    other = filesystem(server.url, connect_timeout=3)

    def waited(call: Callable[[], object]) -> bool:
        with fs.events(heard.append), other.events(heard.append):
            heard.clear()
            for _ in range(5):
                call()
        return any(event.waited for event in heard)

    heard: list[Any] = []
    assert waited(lambda: other.cat_file("bucket/data/02"))
    assert not waited(lambda: other.cat_file("bucket/elsewhere"))
    assert not waited(lambda: other.cat_file("other/data/00"))
    assert not waited(lambda: other.pipe_file("bucket/data/02", b"2"))
    assert waited(lambda: fs.cat_file("bucket/data/02"))
    assert waited(lambda: fs.cat(["bucket/data/02", "bucket/data/03"]))


@pytest.mark.parametrize(
    "answer",
    [
        SLOW_DOWN,
        s3_error(429, "TooManyRequests"),
        respond(429, b""),
        s3_error(400, "ThrottlingException"),
        s3_error(503, "SlowDownRead"),
        s3_error(503, "RequestLimitExceeded"),
    ],
    ids=["SlowDown", "429", "429 of a proxy", "Throttling", "MinIO", "RequestLimitExceeded"],
)
def test_what_says_that_requests_are_too_many(
    store: BusyStore, fs: GuardedS3FileSystem, answer: Answer
) -> None:
    store.left, store.answer = 1, answer
    assert fs.cat_file("bucket/elsewhere") == b"e"
    assert only_limit().covers("elsewhere")


@pytest.mark.parametrize(
    "answer",
    [
        s3_error(503, "ServiceUnavailable"),
        s3_error(500, "InternalError"),
        respond(503, b"<html>no backend</html>"),
        respond(502, b""),
    ],
    ids=["ServiceUnavailable", "InternalError", "503 of a proxy", "502"],
)
def test_what_says_nothing_of_how_many_there_are(
    store: BusyStore, fs: GuardedS3FileSystem, answer: Answer
) -> None:
    store.left, store.answer = 3, answer
    assert fs.cat_file("bucket/elsewhere") == b"e"
    assert rates.limits == {}


def test_a_refusal_within_an_answer_of_200_counts(store: BusyStore, fs: GuardedS3FileSystem) -> None:
    store.is_meant = lambda request: "x-amz-copy-source" in request.headers
    store.left, store.answer = 1, respond(200, SLOW_DOWN.body)
    fs.copy("bucket/elsewhere", "bucket/copied")
    assert only_limit().covers("copied")
    assert not only_limit().covers("elsewhere")


def test_a_key_that_is_refused_within_delete_objects_counts(
    store: BusyStore, fs: GuardedS3FileSystem
) -> None:
    body = (
        b"<DeleteResult><Deleted><Key>data/00</Key></Deleted><Error><Key>data/01</Key><Code>SlowDown</Code>"
        b"<Message>slower</Message></Error></DeleteResult>"
    )
    store.is_meant = lambda request: request.method == "POST"
    store.left, store.answer = 1, respond(200, body)
    fs.rm(["bucket/data/00", "bucket/data/01"])
    assert only_limit().code == "SlowDown"


def test_listings_are_limited_by_their_prefix(store: BusyStore, fs: GuardedS3FileSystem) -> None:
    store.left = 1
    assert len(fs.ls("bucket/data", refresh=True)) == 40
    assert only_limit().prefix == "data/"


def test_limits_are_few_and_are_forgotten(
    store: BusyStore, fs: GuardedS3FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "MAX_LIMITS", 1)
    store.left = 1
    fs.cat_file("bucket/elsewhere")
    store.left = 1
    fs.cat_file("other/data/00")
    limit = only_limit()
    assert limit.covers("elsewhere")
    limit.refused_at -= FORGET_SECONDS + 1
    fs.cat_file("bucket/elsewhere")
    assert rates.limits == {}
    store.left = 1
    fs.cat_file("bucket/elsewhere")
    assert only_limit() is not limit
    only_limit().refused_at -= FORGET_SECONDS + 1
    store.left = 1
    fs.cat_file("other/data/00")
    assert only_limit().covers("data/00")


@pytest.mark.usefixtures("slow")
def test_events_and_log_say_who_waited_and_why(
    store: BusyStore, fs: GuardedS3FileSystem, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []
    store.left = 1
    with fs.events(heard.append), caplog.at_level(logging.DEBUG, "fsspec_guarded_s3"):
        for _ in range(5):
            fs.cat_file("bucket/elsewhere")
    attempts = [event for event in heard if isinstance(event, AttemptEvent)]
    assert (attempts[0].waited, attempts[0].wait_reason) == (0.0, "")
    waited = [event for event in attempts if event.waited]
    assert waited and {event.wait_reason for event in waited} == {"SlowDown"}
    assert any("ms after SlowDown" in line for line in caplog.messages)
    assert {event.wait_reason for event in attempts if not event.waited} == {""}
    operations = [event for event in heard if event.is_operation]
    assert sum(event.waited for event in operations) == pytest.approx(sum(event.waited for event in waited))


def test_the_log_says_when_there_is_a_limit_and_when_it_falls(
    store: BusyStore,
    fs: GuardedS3FileSystem,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates, "WINDOW", 600.0)  # two refusals that come late are none of two windows
    for number in (1, 2):
        caplog.clear()
        store.left = number
        with caplog.at_level(logging.INFO, "fsspec_guarded_s3"):
            fs.cat_file("bucket/elsewhere")
        said = [line for line in caplog.messages if line.startswith("reads of bucket/elsewhere: at most")]
        assert len(said) == 1 and "(SlowDown)" in said[0]
        only_limit()._since -= 600


def test_threads_that_are_refused_at_once_agree_on_one_limit(fs: GuardedS3FileSystem) -> None:
    endpoint, together = fs._client.store.endpoint("bucket"), threading.Barrier(16)

    def refuse(number: int) -> None:
        together.wait(60)
        request = S3Request("GetObject", "GET", "bucket", f"data/{number}")
        rates.refused(endpoint, request, ThrottledError("slower", code="SlowDown"))

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(refuse, range(16)))
    assert only_limit().prefix == "data/"


# --- waits end ---


@pytest.fixture
def closed(fs: GuardedS3FileSystem, store: BusyStore) -> RateLimit:
    """A limit of all reads of the bucket, by which nobody gets a turn for long."""
    fs.cat_file("bucket/elsewhere")  # a connection is idle
    store.left = 1
    fs.cat_file("bucket/elsewhere")
    store.left = 1
    fs.cat_file("bucket/data/00")
    limit = only_limit()
    assert limit.covers("anything")
    limit._at, limit._turns = limit._at + 3600, float(limit._numbers)
    return limit


def test_who_has_no_turn_until_the_deadline_gets_an_error_and_nothing_is_sent(
    closed: RateLimit, server: ScriptedServer
) -> None:
    fs = filesystem(server.url, request_deadline=0.3)
    before = len(server.requests)
    with pytest.raises(ThrottledError, match="no turn within request_deadline") as caught:
        fs.cat_file("bucket/data/00")
    error = caught.value
    assert (error.bucket, error.key, error.code) == ("bucket", "data/00", "SlowDown")
    assert not error.request_sent and not error.maybe_applied
    assert not pickle.loads(pickle.dumps(error)).request_sent
    assert len(server.requests) == before


def test_a_write_without_a_turn_is_not_applied(
    store: BusyStore, server: ScriptedServer, fs: GuardedS3FileSystem
) -> None:
    store.left = 1
    fs.pipe_file("bucket/new", b"1")
    only_limit()._at += 3600
    fs = filesystem(server.url, request_deadline=0.3)
    for mode in ("overwrite", "create"):
        with pytest.raises(ThrottledError) as caught:
            fs.pipe_file("bucket/new", b"2", mode=mode)
        assert not caught.value.maybe_applied
    assert store.objects["bucket", "new"].body == b"1"


def test_a_turn_that_comes_after_the_deadline_is_left_to_others_and_nothing_is_sent(
    store: BusyStore, server: ScriptedServer, fs: GuardedS3FileSystem
) -> None:
    store.left = 1
    fs.cat_file("bucket/data/00")
    endpoint, limit = fs._client.store.endpoint("bucket"), only_limit()
    request = S3Request("GetObject", "GET", "bucket", "data/00")
    limit._turns = limit._numbers + 5.0  # it is there at once
    with pytest.raises(ThrottledError, match="no turn within request_deadline") as caught:
        rates.turn(endpoint, request, Deadline(-0.001))
    assert not caught.value.request_sent and caught.value.given_up
    assert limit._turns >= limit._numbers + 5.0
    assert rates.turn(endpoint, request, Deadline(900)) is not None


def test_work_that_was_given_up_waits_no_more(closed: RateLimit, fs: GuardedS3FileSystem) -> None:
    work, ended = Work(), list[BaseException]()

    def wait() -> None:
        try:
            with working_for(work):
                fs.cat_file("bucket/data/00")
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    while closed._numbers <= closed._turns:
        time.sleep(0.01)
    work.end()
    thread.join(BOUND)
    assert not thread.is_alive()
    assert isinstance(ended[0], CancelledError)
    assert closed._turns >= closed._numbers  # nobody waits behind it


def test_ctrl_c_ends_a_wait(
    closed: RateLimit, fs: GuardedS3FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, pause = threading.Event(), rates.pause

    def noticed(seconds: float) -> None:
        waits.set()
        pause(seconds)

    def interrupt() -> None:
        assert waits.wait(60)
        _thread.interrupt_main()

    monkeypatch.setattr(rates, "pause", noticed)
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        fs.cat_file("bucket/data/00")
    assert closed._turns >= closed._numbers


def test_an_error_of_many_calls_ends_those_that_wait(closed: RateLimit, fs: GuardedS3FileSystem) -> None:
    def fail() -> None:
        while closed._numbers <= closed._turns:
            time.sleep(0.01)
        raise LookupError("another call")

    with pytest.raises(LookupError):
        run_all([fail, lambda: print(fs.cat_file("bucket/data/00"))], 2, 2)


def test_a_loop_goes_on_while_its_tasks_wait(closed: RateLimit, fs: GuardedS3FileSystem) -> None:
    async def main() -> None:
        tasks = [asyncio.ensure_future(fs._cat_file(f"bucket/data/{n:02}")) for n in range(5)]
        while closed._numbers - closed._turns < 5:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), BOUND)
        assert all(isinstance(error, asyncio.CancelledError) for error in ended)

    asyncio.run(main())


def test_a_loop_does_not_wait_itself(closed: RateLimit, fs: GuardedS3FileSystem) -> None:
    endpoint = fs._client.store.endpoint("bucket")
    request = S3Request("GetObject", "GET", "bucket", "data/00")
    with pytest.raises(MustWaitError):
        without_waiting(lambda: rates.turn(endpoint, request, Deadline(900)))
    assert closed._turns >= closed._numbers


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_keeps_the_limit_and_none_of_those_who_wait(
    store: BusyStore, fs: GuardedS3FileSystem
) -> None:
    store.left = 1
    fs.cat_file("bucket/elsewhere")
    limit = only_limit()
    for _ in range(1000):
        limit.number(time.monotonic())
    with limit._lock():  # as another thread might, while this one forks
        child = os.fork()
        if not child:
            free = limit.number(time.monotonic()) <= limit._turns + 1 and only_limit() is limit
            os._exit(0 if free else 1)
    deadline = time.monotonic() + BOUND
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        assert time.monotonic() < deadline, "the child hangs"
        time.sleep(0.01)
    assert ended[1] == 0


def test_a_store_that_refuses_all_is_given_up(store: BusyStore, fs: GuardedS3FileSystem) -> None:
    store.left = 10**6
    with pytest.raises(ThrottledError) as caught:
        fs.cat_file("bucket/elsewhere")
    assert caught.value.request_sent
    store.answer = s3_error(500, "InternalError")
    with pytest.raises(ServerError):
        fs.cat_file("bucket/elsewhere")
