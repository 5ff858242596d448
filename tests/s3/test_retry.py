"""What is tried again, how long is waited, and what an error says about the attempts before it."""

import errno
import pickle
import random
from collections.abc import Callable, Iterable
from functools import partial

import pytest

from fsspec_guarded_s3 import (
    AccessDeniedError,
    ConflictError,
    ConnectError,
    GuardedS3Error,
    IncompleteBodyError,
    InvalidRequestError,
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    ProtocolError,
    ReadTimeoutError,
    SendTimeoutError,
    ServerError,
    ThrottledError,
)
from fsspec_guarded_s3._s3.retry import (
    BASE_SECONDS,
    CAP_SECONDS,
    CONFLICT_CAP_SECONDS,
    RETRY_COST,
    THROTTLED_BASE_SECONDS,
    RetryBudget,
    RetryPolicy,
    is_ambiguous,
)
from fsspec_guarded_s3._values.deadline import Deadline

RETRIED = [
    ConnectError,
    ReadTimeoutError,
    SendTimeoutError,
    IncompleteBodyError,
    ProtocolError,
    ServerError,
    ThrottledError,
]
FINAL = [AccessDeniedError, ObjectNotFoundError, ObjectExistsError, ObjectChangedError, ConflictError]


class Attempts:
    """An attempt that raises the given errors in turn, then returns "done"."""

    def __init__(self, errors: Iterable[BaseException]) -> None:
        self.errors = list(errors)
        self.count = 0
        self.waits: list[float] = []

    def __call__(self) -> str:
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    def run(self, max_attempts: int = 5, *, seconds: float = 900.0, on_conflict: bool = False) -> str:
        policy = RetryPolicy(max_attempts, sleep=self.waits.append)
        return policy.call(self, deadline=Deadline(seconds), retry_on_conflict=on_conflict)


def constant(value: float) -> Callable[[], float]:
    return lambda: value


@pytest.mark.parametrize("kind", RETRIED)
def test_error_that_may_pass_is_retried(kind: type[GuardedS3Error]) -> None:
    attempts = Attempts([kind("one"), kind("two")])
    assert attempts.run() == "done"
    assert attempts.count == 3
    assert len(attempts.waits) == 2


@pytest.mark.parametrize("kind", FINAL)
def test_error_that_will_not_pass_is_raised_at_once(kind: type[GuardedS3Error]) -> None:
    attempts = Attempts([kind("one")])
    with pytest.raises(kind):
        attempts.run()
    assert attempts.count == 1
    assert not attempts.waits


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("bug")])
@pytest.mark.parametrize("before", [[], [ServerError("first")]])
def test_foreign_exception_is_never_retried(error: BaseException, before: list[BaseException]) -> None:
    attempts = Attempts([*before, error])
    with pytest.raises(type(error)):
        attempts.run()
    assert attempts.count == len(before) + 1


def test_conflict_is_retried_where_the_request_says_so() -> None:
    attempts = Attempts([ConflictError("one")])
    assert attempts.run(on_conflict=True) == "done"
    assert attempts.count == 2


@pytest.mark.parametrize("max_attempts", [1, 2, 5])
def test_attempts_are_counted_and_the_last_error_is_raised(max_attempts: int) -> None:
    errors = [ServerError(str(number)) for number in range(10)]
    attempts = Attempts(errors)
    with pytest.raises(ServerError) as caught:
        attempts.run(max_attempts)
    assert attempts.count == max_attempts
    assert caught.value is errors[max_attempts - 1]


def test_no_attempt_begins_after_the_deadline() -> None:
    attempts = Attempts([ServerError("one")])
    with pytest.raises(ServerError):
        attempts.run(seconds=-1)
    assert attempts.count == 1


def test_no_wait_reaches_past_the_deadline() -> None:
    attempts = Attempts([ServerError("one", retry_after=15.0)])
    with pytest.raises(ServerError):
        attempts.run(seconds=10)
    assert not attempts.waits


# --- waits ---


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (ServerError, BASE_SECONDS),
        (ThrottledError, THROTTLED_BASE_SECONDS),
        (partial(ServerError, status=503, operation="HeadObject"), THROTTLED_BASE_SECONDS),  # it has no code
        (partial(ServerError, status=503, operation="HeadObject", code="InternalError"), BASE_SECONDS),
        (partial(ServerError, status=503, operation="GetObject"), BASE_SECONDS),
    ],
)
@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_wait_doubles_up_to_its_cap_with_full_jitter(
    kind: Callable[[str], GuardedS3Error], base: float, chance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.retry.random.random", constant(chance))
    attempts = Attempts([kind("busy") for _ in range(14)])
    assert attempts.run(20) == "done"
    assert attempts.waits == pytest.approx(
        [chance * min(CAP_SECONDS, base * 2**number) for number in range(14)]
    )


@pytest.mark.parametrize(("asked", "waited"), [(0.0, 0.0), (3.0, 3.0), (3600.0, CAP_SECONDS)])
def test_retry_after_is_heeded_within_the_cap(
    asked: float, waited: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.retry.random.random", constant(0.0))
    attempts = Attempts([ThrottledError("busy", retry_after=asked)])
    assert attempts.run() == "done"
    assert attempts.waits == [waited]


def test_rivals_for_a_key_wait_longer_each_time_and_never_for_more_than_seconds() -> None:
    """`update` with many attempts: a pause of 20 s helps nobody."""
    waits: list[float] = []

    def conflict() -> None:
        raise ObjectChangedError("another was faster")

    for _ in range(30):
        with pytest.raises(ObjectChangedError):
            RetryPolicy(1, waits.append).repeat_while(lambda error: True, conflict, 12)
    assert len(waits) == 30 * 11
    for number in range(11):
        longest = max(waits[number::11])
        assert longest <= min(CONFLICT_CAP_SECONDS, BASE_SECONDS * 2**number)
        assert longest > min(CONFLICT_CAP_SECONDS, BASE_SECONDS * 2**number) / 2  # 30 times below: 1 in 10**9
    assert CONFLICT_CAP_SECONDS <= 5


# --- budget ---


def test_budget_is_used_up_and_earned_back() -> None:
    budget = RetryBudget(10)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    for _ in range(5):
        budget.give_back()
    assert [budget.take() for _ in range(2)] == [True, False]


def test_budget_never_exceeds_its_capacity() -> None:
    budget = RetryBudget(5)
    for _ in range(100):
        budget.give_back()
    assert [budget.take() for _ in range(2)] == [True, False]


def test_budget_stops_a_storm_of_retries() -> None:
    """When everything fails, 100 retries are made, however many requests there are."""
    policy = RetryPolicy(5, sleep=lambda seconds: None)
    count = 0

    def attempt() -> None:
        nonlocal count
        count += 1
        raise ServerError("down")

    for _ in range(200):
        with pytest.raises(ServerError):
            policy.call(attempt, deadline=Deadline(900))
    assert count == 200 + 100


def test_success_after_a_retry_gives_back_what_the_retry_took() -> None:
    budget_of_one = RetryPolicy(2, sleep=lambda seconds: None)
    budget_of_one._budget = RetryBudget(RETRY_COST)
    for _ in range(20):
        assert budget_of_one.call(Attempts([ServerError("once")]), deadline=Deadline(900)) == "done"


def test_store_that_refuses_three_of_ten_requests_is_read_from() -> None:
    """As in the standard mode of the AWS SDKs: what fails has had five attempts, not an empty budget."""
    policy = RetryPolicy(5, sleep=lambda seconds: None)
    chance = random.Random(1)

    def attempt() -> None:
        if chance.random() < 0.3:
            raise ThrottledError("busy")

    failures = 0
    for _ in range(1500):
        try:
            policy.call(attempt, deadline=Deadline(900))
        except ThrottledError:
            failures += 1
    assert failures < 15  # 0.3 ** 5 of 1,500 are four


# --- attempts within attempts ---


def test_attempts_are_not_multiplied_by_those_around_them() -> None:
    inner, outer = RetryPolicy(5, lambda seconds: None), RetryPolicy(5, lambda seconds: None)
    attempts = Attempts([ServerError(str(number)) for number in range(100)])
    soon = Deadline(900)
    with pytest.raises(ServerError) as caught:
        outer.call(lambda: inner.call(attempts, deadline=soon), deadline=soon)
    assert attempts.count == 5
    assert caught.value.given_up
    assert pickle.loads(pickle.dumps(caught.value)).given_up


def test_repetitions_are_not_multiplied_by_attempts() -> None:
    policy = RetryPolicy(3, lambda seconds: None)
    attempts = Attempts([ConflictError(str(number)) for number in range(100)])
    soon = Deadline(900)

    def call() -> str:
        return policy.call(attempts, deadline=soon, retry_on_conflict=True)

    with pytest.raises(ConflictError):
        policy.repeat_while(lambda error: isinstance(error, ConflictError), call, 3)
    assert attempts.count == 3


def test_error_that_no_attempt_was_spent_on_may_be_repeated_around() -> None:
    policy = RetryPolicy(3, lambda seconds: None)
    attempts = Attempts([ConflictError("one"), ConflictError("two")])
    soon = Deadline(900)
    found = policy.repeat_while(lambda error: True, lambda: policy.call(attempts, deadline=soon), 3)
    assert (found, attempts.count) == ("done", 3)


def test_local_error_after_an_attempt_that_may_have_been_applied_names_it() -> None:
    lost = IncompleteBodyError("lost")
    with pytest.raises(OSError, match="disk") as caught:
        Attempts([lost, OSError(errno.EIO, "disk")]).run()
    assert caught.value.__cause__ is lost


# --- ambiguity ---


@pytest.mark.parametrize(
    ("error", "ambiguous"),
    [
        (ConnectError("x"), False),
        (ReadTimeoutError("x"), True),
        (IncompleteBodyError("x"), True),
        (IncompleteBodyError("x", request_sent=False), False),
        (SendTimeoutError("x", request_sent=False), False),
        (ProtocolError("x"), True),
        (ServerError("x"), True),
        (ThrottledError("x"), True),
        (ThrottledError("x", status=429), True),
        (ThrottledError("x", status=400, code="Throttling"), True),
        (AccessDeniedError("x"), False),
        (AccessDeniedError("x", status=403), False),
        (AccessDeniedError("x", status=503), True),
        (InvalidRequestError("x", status=501), True),
        (InvalidRequestError("x", status=501, code="NotImplemented"), False),
        (InvalidRequestError("x", status=409, code="ObjectParentIsFile"), False),
        (ObjectExistsError("x"), False),
        (ValueError("x"), False),
    ],
)
def test_error_is_ambiguous_when_the_request_may_have_been_applied(
    error: BaseException, ambiguous: bool
) -> None:
    assert is_ambiguous(error) is ambiguous


@pytest.mark.parametrize("earlier", [[], [ConnectError("x")], [ConnectError("x"), ConnectError("x")]])
def test_refusal_after_harmless_failures_is_certain(earlier: list[BaseException]) -> None:
    with pytest.raises(ObjectExistsError) as caught:
        Attempts([*earlier, ObjectExistsError("taken")]).run()
    assert not caught.value.maybe_applied


@pytest.mark.parametrize(
    "earlier", [[IncompleteBodyError("x")], [ServerError("x"), ConnectError("x")], [ThrottledError("x")]]
)
def test_refusal_after_an_ambiguous_attempt_may_be_our_own_doing(earlier: list[BaseException]) -> None:
    with pytest.raises(ObjectExistsError) as caught:
        Attempts([*earlier, ObjectExistsError("taken")]).run()
    assert caught.value.maybe_applied


def test_first_and_only_attempt_that_is_ambiguous_says_so() -> None:
    with pytest.raises(ReadTimeoutError) as caught:
        Attempts([ReadTimeoutError("lost")]).run(1)
    assert caught.value.maybe_applied
