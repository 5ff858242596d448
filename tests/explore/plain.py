"""One history after the other, each run from scratch: slow, and simple enough to be believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._s3.retry import RetryPolicy
from fsspec_guarded_s3._values.models import WireRequest

from .program import Outcome, SimulatedBody, Tokens, deliver, outcome_of
from .search import Bounds, Found, Judge
from .store import FINE, TOUCHING, SimulatedS3, parse


class Choices:
    """One path through a tree: the first steps are given, after them always the first branch."""

    def __init__(self, prefix: list[int]) -> None:
        self._prefix = prefix
        self.taken: list[tuple[int, int]] = []

    def pick(self, count: int) -> int:
        """One of `count` branches; which one is remembered."""
        depth = len(self.taken)
        choice = self._prefix[depth] if depth < len(self._prefix) else 0
        self.taken.append((choice, count))
        return choice


class _Transport:
    """Makes the choices where the search would branch."""

    round_trip = 0.0

    def __init__(self, choices: Choices, store: SimulatedS3, left: Bounds) -> None:
        self._choices = choices
        self._left = left
        self.store = store

    def exchange(self, wire: WireRequest, deadline: float) -> SimulatedBody:
        asked = parse(wire)
        if self.store.on_the_way or asked.operation in TOUCHING:
            self._meanwhile(self.store.deeds)
        faults = [FINE, *(it for it in self.store.faults(asked) if self._left.allow(it))]
        fault = faults[self._choices.pick(len(faults))]
        self._left = self._left.after(fault)
        return deliver(self.store.exchange("us", asked, fault), wire.method)

    def _meanwhile(self, deeds: Callable[[bool], list[Any]]) -> None:
        may_act = True
        while True:
            possible = deeds(may_act and self._left.rivals > 0)
            choice = self._choices.pick(1 + len(possible))
            if not choice:
                return
            _, deed, acts = possible[choice - 1]
            if acts:
                may_act, self._left = False, self._left.after_rival()
            deed(self.store)

    def end(self) -> None:
        """What is still on its way lands."""
        self.store.finish("us")
        while self.store.on_the_way:
            acts = [it for it in self.store.deeds(self._left.rivals > 0) if it[2]]
            choice = self._choices.pick(1 + len(acts))
            if choice:
                self._left = self._left.after_rival()
                acts[choice - 1][1](self.store)
            sent = self.store.on_the_way
            self.store.land(sent[self._choices.pick(len(sent))])


def enumerate_plainly(
    call: Callable[[], object],
    fs: GuardedS3FileSystem,
    tokens: Tokens,
    attempts: int,
    start: SimulatedS3,
    bounds: Bounds,
    judge: Judge,
) -> Found:
    """All histories, depth first."""
    client: Any = fs._client
    found, prefix = Found(), list[int]()
    while True:
        choices = Choices(prefix)
        transport = client.store.transport = _Transport(choices, start.fork(), bounds)
        client.store.retry = RetryPolicy(attempts, sleep=lambda seconds: None)
        tokens.__init__("us")  # type: ignore[misc]
        outcome: Outcome = outcome_of(call)
        transport.end()
        broken = judge(transport.store, [outcome])
        found.add(Found(1, Counter([str(outcome)]), {it: () for it in broken}), 1, ())
        if len(choices.taken) < len(prefix):
            raise AssertionError("a history did not repeat itself: something in it is not a choice")
        taken = choices.taken
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return found
        prefix = [choice for choice, _ in taken]
        prefix[-1] += 1
