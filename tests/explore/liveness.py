"""Which variables of a frame can still be read, from its bytecode.

What cannot be read any more - the error of an attempt that was repeated, an answer that is asked for again -
makes no difference, and two states that differ in it are one. Where the interpreter keeps no exception table
(before 3.11) everything counts as alive: that only takes longer.
"""

from __future__ import annotations

import dis
import types
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

_ENDS = ("RETURN", "RAISE", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_ABSOLUTE")


class Alive(NamedTuple):
    """At one place: the variables that may be read later, and whether an exception may be raised again."""

    names: frozenset[str]
    raises_again: bool


def alive(frame: types.FrameType) -> Alive:
    """Of a frame that has called another one."""
    offsets, found = _analysed(frame.f_code)
    # f_lasti may be in the cache behind the call; a generator that was not started has -1.
    return found[max(0, bisect_right(offsets, frame.f_lasti) - 1)]


@cache
def _analysed(code: types.CodeType) -> tuple[list[int], list[Alive]]:
    flow = _Flow(code)
    return flow.offsets, [flow.alive(index) for index in range(len(flow.offsets))]


class _Flow:
    """The flow of control in one code object; places are indexes of instructions."""

    def __init__(self, code: types.CodeType) -> None:
        self._code = code
        self._all = list(dis.get_instructions(code))
        self.offsets = [it.offset for it in self._all]
        self._index = {offset: index for index, offset in enumerate(self.offsets)}
        self._next = [list(self._normal(index)) for index in range(len(self._all))]
        self._handlers: list[list[int]] = [[] for _ in self._all]
        for entry in getattr(dis.Bytecode(code), "exception_entries", ()):
            for index, offset in enumerate(self.offsets):
                if entry.start <= offset < entry.end:
                    self._handlers[index].append(self._index[entry.target])
        self._live = self._fixpoint()
        # Functions that hold a cell may read it, wherever they are.
        self._always = self._loop_variables().union(code.co_cellvars)

    def _loop_variables(self) -> frozenset[str]:
        """They stand for the iterator, which is out of sight, whether they are read or not."""
        found: set[str] = set()
        for index, it in enumerate(self._all):
            if it.opname == "FOR_ITER":
                behind = index + 1
                while self._all[behind].opname.startswith(("UNPACK", "STORE")):
                    names = self._all[behind].argval
                    found.update(names if isinstance(names, tuple) else (names,))
                    behind += 1
        return frozenset(name for name in found if isinstance(name, str))

    def _normal(self, index: int) -> Iterator[int]:
        """Where an instruction goes when it raises nothing."""
        it = self._all[index]
        if it.opcode in dis.hasjrel or it.opcode in dis.hasjabs:
            yield self._index[it.argval]
        if not it.opname.startswith(_ENDS) and index + 1 < len(self._all):
            yield index + 1

    def _fixpoint(self) -> list[frozenset[str]]:
        """The variables that are alive before each instruction."""
        live: list[frozenset[str]] = [frozenset()] * len(self._all)
        changed = True
        while changed:
            changed = False
            for index in reversed(range(len(self._all))):
                reads, writes = _access(self._all[index])
                found = reads | (self._after(index, live) - writes)
                found = found.union(*(live[handler] for handler in self._handlers[index]))
                changed = changed or found != live[index]
                live[index] = found
        return live

    def _after(self, index: int, live: list[frozenset[str]]) -> frozenset[str]:
        return frozenset().union(*(live[following] for following in self._next[index]))

    def alive(self, index: int) -> Alive:
        """After the call at `index`, whether it returns or raises."""
        code = self._code
        if not hasattr(code, "co_exceptiontable"):
            return Alive(frozenset(code.co_varnames + code.co_cellvars + code.co_freevars), True)
        names = self._after(index, self._live).union(*(self._live[it] for it in self._handlers[index]))
        return Alive(names | self._always, self._raises_again(index))

    def _raises_again(self, index: int) -> bool:
        """By a bare `raise`, or by the end of a `finally` or `with` that was entered by the exception.

        A RERAISE behind another exception raises that one.
        """
        explicit = (self._all[it] for it in self._reachable(index, handlers=True))
        if any(it.opname == "RAISE_VARARGS" and it.arg == 0 for it in explicit):
            return True
        return any(self._all[it].opname == "RERAISE" for it in self._reachable(index, handlers=False))

    def _reachable(self, index: int, *, handlers: bool) -> set[int]:
        found: set[int] = set()
        todo = [index]
        while todo:
            at = todo.pop()
            for following in (*self._next[at], *(self._handlers[at] if handlers else ())):
                if following not in found:
                    found.add(following)
                    todo.append(following)
        return found


def _access(it: dis.Instruction) -> tuple[frozenset[str], frozenset[str]]:
    """The variables that an instruction reads and those that it only writes."""
    if "FAST" not in it.opname and "DEREF" not in it.opname and "CLOSURE" not in it.opname:
        return frozenset(), frozenset()
    names = frozenset(it.argval if isinstance(it.argval, tuple) else (it.argval,))
    if it.opname in ("STORE_FAST", "DELETE_FAST"):
        return frozenset(), names
    return (frozenset(), frozenset()) if it.opname == "STORE_DEREF" else (names, frozenset())
