"""What an exception that is around when a writer is closed says about the writing.

`close()` is called by wrappers (text, gzip, pandas, `contextlib.closing`) and in `finally` while an exception
is on its way: the writing failed. It is also called in `except StopIteration:`, where it did not fail: that
is how the input ended. `sys.exc_info()` is the same in both. What tells them apart is what the code does next
with the exception: an `except` block that ends it leaves by the instruction POP_EXCEPT; `finally`, `with` and
`raise` pass it on by RERAISE or RAISE_VARARGS (https://docs.python.org/3/library/dis.html). So the answer is
read from the instructions that follow, in those frames that the exception came to and that still run.

Invariant: what cannot be read is taken for a failure, so nothing half-written is published.
"""

from __future__ import annotations

import asyncio
import dis
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, Protocol, overload

# The exceptions by which an input or a loop ends, in the standard library.
ENDS: tuple[type[BaseException], ...] = (
    StopIteration,
    StopAsyncIteration,
    GeneratorExit,
    EOFError,
    LookupError,
    queue.Empty,
    asyncio.QueueEmpty,
    *(vars(queue)[name] for name in ("ShutDown",) if hasattr(queue, name)),  # both from Python 3.13 on
    *(vars(asyncio)[name] for name in ("QueueShutDown",) if hasattr(asyncio, name)),
)
# Those that leave a `with` and may be seen by nobody: loops, generators and tasks swallow them.
UNSEEN = (*ENDS, asyncio.CancelledError)
_FINAL = frozenset({"RERAISE", "RAISE_VARARGS", "RETURN_VALUE", "RETURN_CONST"})
_SETUPS = frozenset(
    {"SETUP_FINALLY", "SETUP_WITH", "SETUP_ASYNC_WITH"}
)  # Python 3.10; they jump on errors only
_JUMPS = frozenset({*dis.hasjrel, *getattr(dis, "hasjabs", ())})


def being_handled() -> list[BaseException]:
    """The exception that is being handled in this thread, and those behind it."""
    found: list[BaseException] = []
    error = sys.exc_info()[1]
    while error is not None and error not in found:
        found.append(error)
        error = error.__context__
    return found


def is_success(error: BaseException, known: list[BaseException]) -> bool:
    """Whether the program ends itself and calls that a success: `sys.exit(0)`, with no error behind it.

    `known` are the exceptions that were being handled when the writer was opened.
    """
    behind = error.__context__
    return isinstance(error, SystemExit) and error.code in (None, 0) and (behind is None or behind in known)


class Spoilable(Protocol):
    """What publishes nothing after some exceptions."""

    def is_spoilt_by(self, error: BaseException) -> bool:
        """Whether nothing is to be published where `error` ends it."""


def failure(known: list[BaseException], file: Spoilable) -> BaseException | None:
    """The exception because of which `file`, which is closed here, has to publish nothing, None without one.

    `known` are the exceptions that were being handled when it was opened: they say nothing about it.
    """
    errors = [error for error in being_handled() if error not in known]
    if not errors:
        return None
    if is_success(errors[0], known):
        return errors[0] if file.is_spoilt_by(errors[0]) else None  # of a child that ends
    for error in errors:
        frames = list(_frames_it_came_to(error))
        if not frames and error is not errors[0]:  # it is over: no frame that handled it runs any more
            continue
        if not frames or not isinstance(error, ENDS) or not all(_ends_here(frame) for frame in frames):
            return error
    return None


class judged:
    """A method `close(failure)` that is called as `close()`, and is given what `failure` above finds.

    Who awaits `asyncio.to_thread(file.close)` has it called in another thread, which handles no exception.
    The method was looked up where the exception is, so it is looked for there as well.
    """

    def __init__(self, method: Callable[[Any, BaseException | None], None]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, file: None, owner: type) -> Callable[[Any], None]: ...

    @overload
    def __get__(self, file: object, owner: type) -> Callable[[], None]: ...

    def __get__(self, file: Any, owner: type) -> Callable[..., None]:
        if file is None:

            def close_it(file: object) -> None:
                self.__get__(file, owner)()

            return self._described(close_it)
        seen = failure(file.known_exceptions, file) if sys.exc_info()[1] is not None else None
        thread = threading.get_ident()

        def close() -> None:
            found = failure(file.known_exceptions, file)
            if found is None and threading.get_ident() != thread:
                found = seen
            self._method(file, found)

        return self._described(close)

    def _described(self, call: Callable[..., None]) -> Callable[..., None]:
        """`call` with the name and the docstring of the method, for `help`."""
        call.__name__, call.__qualname__ = self._method.__name__, self._method.__qualname__
        call.__doc__ = self._method.__doc__
        return call


def _frames_it_came_to(error: BaseException) -> Iterator[FrameType]:
    """The frames that `error` came to and that run in this thread now."""
    passed = set()
    trace = error.__traceback__
    while trace is not None:
        passed.add(trace.tb_frame)
        trace = trace.tb_next
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame in passed:
            yield frame
        frame = frame.f_back


def _ends_here(frame: FrameType) -> bool:
    """Whether the exception that `frame` handles goes no further, whatever its code does next."""
    try:
        within, behind = _following(frame.f_code, frame.f_lasti)
    except (KeyError, ValueError):  # instructions of a Python that is not known here
        return False
    return "POP_EXCEPT" in within and not within & {"RERAISE", "RAISE_VARARGS"} and "RERAISE" not in behind


@lru_cache(maxsize=64)
def _following(code: CodeType, start: int) -> tuple[frozenset[str], frozenset[str]]:
    """The instructions that can follow `start` if nothing else is raised: up to POP_EXCEPT, and behind it.

    A `raise` without an exception counts as RERAISE.
    """
    instructions = list(dis.get_instructions(code))
    now = max(
        place for place, item in enumerate(instructions) if item.offset <= start
    )  # or in its inline cache
    places = {instruction.offset: place for place, instruction in enumerate(instructions)}
    found: tuple[set[str], set[str]] = (set(), set())
    seen: set[tuple[int, bool]] = set()
    left = [(now, False)]
    while left:
        place, is_behind = step = left.pop()
        if step in seen or place >= len(instructions):
            continue
        seen.add(step)
        item = instructions[place]
        bare = item.opname == "RAISE_VARARGS" and item.arg == 0
        found[is_behind].add("RERAISE" if bare else item.opname)
        is_behind = is_behind or item.opname == "POP_EXCEPT"
        if item.opcode in _JUMPS and item.opname not in _SETUPS:
            left.append((places[item.argval], is_behind))
        unconditional = item.opname.startswith("JUMP_") and "_IF_" not in item.opname
        if not unconditional and item.opname not in _FINAL:
            left.append((place + 1, is_behind))
    return frozenset(found[False]), frozenset(found[True])
