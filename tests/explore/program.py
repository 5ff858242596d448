"""The real code as an automaton: what it asks S3 next, or how it ends, after every answer.

Nothing is known beforehand. For each answer that comes up in a state the real call is run from its beginning,
with the answers that lead there; at the next request its stack is compared with all that were seen. The
code is deterministic here: the clock stands still, tokens are counted, tasks run when they are submitted.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, NamedTuple

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._s3.retry import RetryPolicy
from fsspec_guarded_s3._values.models import WireRequest
from fsspec_guarded_s3.errors import ConnectError, IncompleteBodyError, ReadTimeoutError

from .fingerprint import fingerprint
from .store import LATE, REFUSED, Answer, Asked, Reply, parse


class AtOnce:
    """Tasks of the pool are done when they are started: threads would be choices that nobody makes."""

    def start(self, job: Any) -> None:
        job.run()
        if isinstance(job._error, BaseException) and not isinstance(job._error, Exception):
            raise job._error


class Tokens:
    """In place of `secrets`: every run has the same tokens, and no two callers share one."""

    def __init__(self, caller: str = "") -> None:
        self.caller, self._count = caller, 0

    def token_hex(self, size: int) -> str:
        self._count += 1
        return f"token-{self.caller}-{self._count}"


class SimulatedBody(AbstractContextManager["SimulatedBody"]):
    """What `Transport.exchange` gives: a head that was read, and the body that is still to come."""

    def __init__(self, answer: Answer, method: str) -> None:
        self.status = answer.status
        self.headers: Mapping[str, str] = {"x-amz-request-id": "EXPLORED", **dict(answer.headers)}
        self._data = b"" if method == "HEAD" else answer.body
        self.length: int | None = len(self._data)
        self._position = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def readinto(self, view: memoryview) -> int:
        piece = self._data[self._position : self._position + len(view)]
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def take(self, count: int) -> bytes:
        piece = self._data[self._position : self._position + count]
        self._position += len(piece)
        return piece

    def set_length(self, length: int) -> None:
        assert self.length == length

    def read(self, limit: int = 2**20) -> bytes:
        piece, self._position = self._data[self._position :], len(self._data)
        return piece


def deliver(reply: Reply, method: str) -> SimulatedBody:
    """What a transport does with `reply`: give the answer, or raise what a lost one raises."""
    if isinstance(reply, Answer):
        return SimulatedBody(reply, method)
    raise {REFUSED: ConnectError, LATE: ReadTimeoutError}.get(reply, IncompleteBodyError)("simulated")


class Outcome(NamedTuple):
    """How a call ended: with a result, or an error of a class."""

    result: object
    error: type[Exception] | None
    maybe_applied: bool = False
    key: str = ""
    said: str = ""

    def __str__(self) -> str:
        if self.error is None:
            return f"returned {self.result if isinstance(self.result, bool) else type(self.result).__name__}"
        return self.error.__name__


def outcome_of(call: Callable[[], object]) -> Outcome:
    try:
        return Outcome(call(), None)
    except Exception as error:
        maybe = getattr(error, "maybe_applied", False)
        return Outcome(None, type(error), maybe, getattr(error, "key", ""), str(error))


class _Stopped(BaseException):
    """The run is not needed any more."""


class _Line:
    """A transport that gives the answers it was made with, and stops the call at the request after them."""

    round_trip = 0.0

    def __init__(self, replies: tuple[Reply, ...], compare: bool) -> None:
        self._replies = iter(replies)
        self._compare = compare
        self.asked: Asked | None = None
        self.state = b""

    def exchange(self, wire: WireRequest, deadline: float) -> SimulatedBody:
        if self.asked is not None:
            raise _Stopped
        reply = next(self._replies, None)
        if reply is not None:
            return deliver(reply, wire.method)
        self.asked = parse(wire)
        if self._compare:
            self.state = fingerprint(sys._getframe(1), Program.run.__code__)
        raise _Stopped

    def send(self, wire: WireRequest, deadline: float, *, early: bool = False) -> None:
        """Nothing is sent before its turn: as where no file descriptor is left."""
        raise OSError(errno.EMFILE, "no request is sent ahead")

    def used_up(self) -> bool:
        return next(self._replies, None) is None


class Program:
    """One call of the real code. States are numbers; `at` says what the code does in each.

    Without `merge` two states are the same only if all answers so far were: the plain truth, to compare with.
    """

    def __init__(
        self,
        caller: str,
        call: Callable[[], object],
        fs: GuardedS3FileSystem,
        tokens: Tokens,
        attempts: int,
        merge: bool = True,
    ) -> None:
        self.caller = caller
        self._call = call
        self._client: Any = fs._client
        self._tokens = tokens
        self._attempts = attempts
        self._merge = merge
        self.at: list[Asked | Outcome] = []
        self._answers: list[tuple[Reply, ...]] = []  # that lead to each
        self._known: dict[object, int] = {}
        self._next: dict[tuple[int, Reply], int] = {}
        self.runs = 0
        self.start = self.run(())

    def after(self, state: int, reply: Reply) -> int:
        """The state that follows when the request of `state` is answered by `reply`."""
        found = self._next.get((state, reply))
        if found is None:
            found = self._next[state, reply] = self.run((*self._answers[state], reply))
        return found

    def run(self, replies: tuple[Reply, ...]) -> int:
        """The state that `replies` lead to."""
        self.runs += 1
        line = _Line(replies, self._merge)
        self._client.store.transport = line
        self._client.store.retry = RetryPolicy(self._attempts, sleep=_no_pause)
        self._tokens.__init__(self.caller)
        place: Asked | Outcome
        try:
            place = outcome_of(self._call)
        except _Stopped:
            assert line.asked is not None
            place = line.asked
        assert line.used_up(), "a run did not repeat itself: something in it is not an answer"
        known = (place, line.state) if self._merge else (place, replies)
        if known not in self._known:
            self._known[known] = len(self.at)
            self.at.append(place)
            self._answers.append(replies)
        return self._known[known]


def _no_pause(seconds: float) -> None:
    """Nobody waits."""
