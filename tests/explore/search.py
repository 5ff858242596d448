"""All histories of our calls and a store, by enumeration. What follows a state is found out once.

A history is a sequence of steps: something happens meanwhile (a request of ours lands late, the rival acts),
then one of our calls makes its request, which goes well or meets a fault. The order of steps that cannot be
told apart is not varied: nothing happens before requests that only concern an upload of the caller's own.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from .program import Outcome, Program
from .store import FINE, LATE, TOUCHING, Asked, Reply, SimulatedS3

# The promises that a history breaks, from its last state.
Judge = Callable[[SimulatedS3, Sequence[Outcome]], list[str]]
MANY = 10**6


@contextmanager
def _few_full_collections() -> Iterator[None]:
    """States are kept, by the hundred thousand, and to go through all of them again and again takes time."""
    thresholds = gc.get_threshold()
    gc.set_threshold(thresholds[0], thresholds[1], 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


class Bounds(NamedTuple):
    """At most so many faults and requests that land late; `rivals` acts of a rival in all, one a step."""

    faults: int = 4
    late: int = 4
    rivals: int = MANY

    def after(self, fault: str) -> Bounds:
        """What is left after a request that met `fault`."""
        return self._replace(faults=self.faults - (fault != FINE), late=self.late - (fault == LATE))

    def allow(self, fault: str) -> bool:
        return self.faults > 0 and (self.late > 0 or fault != LATE)

    def after_rival(self) -> Bounds:
        return self if self.rivals == MANY else self._replace(rivals=self.rivals - 1)


Steps = tuple[str, ...]


@dataclass
class Found:
    """All histories from a state on: how many, how they end, and a short one for each violation."""

    histories: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    broken: dict[str, Steps] = field(default_factory=dict)

    def add(self, other: Found, times: int, steps: Steps) -> None:
        """Those that begin with `steps`, which can be taken in `times` ways."""
        self.histories += times * other.histories
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] += times * count
        for message, rest in other.broken.items():
            known = self.broken.get(message)
            if known is None or len(steps) + len(rest) < len(known):
                self.broken[message] = (*steps, *rest)

    def report(self) -> str:
        """The violations, each with one history."""
        return "\n".join("\n      ".join((f"{message}:", *steps)) for message, steps in self.broken.items())


class _Moment(NamedTuple):
    """A state of the whole: of each program, of the store, and what may still go wrong."""

    states: tuple[int, ...]
    store: int
    left: Bounds


class Search:
    """The product of programs and a store."""

    def __init__(
        self, programs: Sequence[Program], judge: Judge, touching: frozenset[str] = TOUCHING
    ) -> None:
        """`touching` are the operations before which it makes a difference what happens."""
        self._programs = programs
        self._judge = judge
        self._touching = touching
        self._stores: list[SimulatedS3] = []
        self._numbers: dict[object, int] = {}
        self._found: dict[_Moment, Found] = {}
        self._gaps: dict[tuple[int, bool], list[tuple[int, bool, int, Steps]]] = {}
        self._exchanges: dict[tuple[int, int, Asked], list[tuple[str, int, Reply]]] = {}

    @property
    def moments(self) -> int:
        """How many states there are."""
        return len(self._found)

    def explore(self, store: SimulatedS3, bounds: Bounds) -> Found:
        """All histories that begin with `store`."""
        start = _Moment(tuple(it.start for it in self._programs), self._number(store), bounds)
        with _few_full_collections():
            return self._from(start)

    def _number(self, store: SimulatedS3) -> int:
        key = store.key()
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._stores)
            self._stores.append(store)
        return number

    def _from(self, moment: _Moment) -> Found:
        found = self._found.get(moment)
        if found is None:
            found = Found()
            for following, times, steps in self._steps(moment):
                found.add(self._from(following), times, steps)
            if not found.histories:
                found = self._end(moment)
            self._found[moment] = found
        return found

    def _end(self, moment: _Moment) -> Found:
        store = self._stores[moment.store]
        outcomes = [it.at[state] for it, state in zip(self._programs, moment.states, strict=True)]
        ended = [it for it in outcomes if isinstance(it, Outcome)]
        broken = self._judge(store, ended)
        return Found(1, Counter([", ".join(map(str, ended))]), {message: () for message in broken})

    def _steps(self, moment: _Moment) -> Iterator[tuple[_Moment, int, Steps]]:
        """What can happen next: (the moment after it, in how many ways, told as)."""
        asking = [
            (index, asked)
            for index, state in enumerate(moment.states)
            if isinstance(asked := self._programs[index].at[state], Asked)
        ]
        waits = bool(self._stores[moment.store].on_the_way)
        alone = [it for it in asking if it[1].operation not in self._touching]
        if not asking:
            yield from self._landings(moment) if waits else ()
        elif alone and not waits:
            yield from self._requests(moment, alone[:1], 1, ())
        else:
            for store, acted, times, steps in self._meanwhile(moment.store, moment.left.rivals > 0):
                left = moment.left.after_rival() if acted else moment.left
                yield from self._requests(_Moment(moment.states, store, left), asking, times, steps)

    def _requests(
        self, moment: _Moment, asking: list[tuple[int, Asked]], times: int, before: Steps
    ) -> Iterator[tuple[_Moment, int, Steps]]:
        for index, asked in asking:
            program = self._programs[index]
            for fault, store, reply in self._exchange(moment.store, index, asked):
                if fault != FINE and not moment.left.allow(fault):
                    continue
                state = program.after(moment.states[index], reply)
                steps = (*before, told(program.caller, asked, fault, reply))
                states = (*moment.states[:index], state, *moment.states[index + 1 :])
                outcome = program.at[state]
                if isinstance(outcome, Outcome):
                    ended = self._stores[store].fork()
                    ended.finish(program.caller)
                    store, steps = (
                        self._number(ended),
                        (*steps, f"{program.caller}: {outcome}, {outcome.said}"),
                    )
                yield _Moment(states, store, moment.left.after(fault)), times, steps

    def _exchange(self, store: int, index: int, asked: Asked) -> list[tuple[str, int, Reply]]:
        """One request: each fault, and what comes of it."""
        key = (store, index, asked)
        found = self._exchanges.get(key)
        if found is None:
            found = self._exchanges[key] = []
            before = self._stores[store]
            for fault in (FINE, *before.faults(asked)):
                after = before.fork()
                reply = after.exchange(self._programs[index].caller, asked, fault)
                found.append((fault, self._number(after), reply))
        return found

    def _meanwhile(self, store: int, rival: bool) -> list[tuple[int, bool, int, Steps]]:
        """What may have happened until the next request: nothing, or landings and one act of the rival.

        Returns (store, whether the rival acted, in how many ways that can have happened, told as).
        """
        found = self._gaps.get((store, rival))
        if found is None:
            ways: dict[tuple[int, bool], tuple[int, Steps]] = {(store, False): (1, ())}
            for name, deed, acts in self._stores[store].deeds(rival):
                after = self._stores[store].fork()
                deed(after)
                for end, acted, times, steps in self._meanwhile(self._number(after), rival and not acts):
                    known, told_as = ways.get((end, acted or acts), (0, (name, *steps)))
                    ways[end, acted or acts] = (known + times, told_as)
            found = [(end, acted, times, steps) for (end, acted), (times, steps) in ways.items()]
            self._gaps[store, rival] = found
        return found

    def _landings(self, moment: _Moment) -> Iterator[tuple[_Moment, int, Steps]]:
        """All calls are over, and requests of theirs are on the way: the rival acts or not, one lands."""
        before = self._stores[moment.store]
        acts = [("", moment.store, moment.left)]
        for name, deed, is_rival in before.deeds(moment.left.rivals > 0):
            if is_rival:
                after = before.fork()
                deed(after)
                acts.append((name, self._number(after), moment.left.after_rival()))
        for name, store, left in acts:
            for sent in before.on_the_way:
                after = self._stores[store].fork()
                after.land(sent)
                steps = (name, f"lands after all: {sent[1].operation}")
                yield _Moment(moment.states, self._number(after), left), 1, tuple(filter(None, steps))


def told(caller: str, asked: Asked, fault: str, reply: Reply) -> str:
    """A step in words."""
    answered = f" ({reply.status})" if not isinstance(reply, str) else ""
    return f"{caller}: {asked.operation} {asked.key}: {fault}{answered}"
