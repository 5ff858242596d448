"""Tracebacks of our errors, without the steps between the verb that was called and the socket.

A `GuardedS3Error` says itself which operation failed, of which object, and why. To its reader each further
frame of this package is one more to skip. So the verbs, and the files that they open, leave them out: those
of this package, and of the libraries that run its calls. Frames of anybody else stay: of a callback, of a
subclass, of the handler of a signal. So does all of any other exception, which may be a fault of ours; and
all of everything while the logger `fsspec_guarded_s3` is at DEBUG.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import ParamSpec, TypeVar

from ..errors import GuardedS3Error

P = ParamSpec("P")
T = TypeVar("T")
logger = logging.getLogger("fsspec_guarded_s3")
_OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
_LIBRARIES = ("concurrent.futures", "fsspec", "tenacity", "urllib3")  # that run our calls


def shortened(error: GuardedS3Error) -> GuardedS3Error:
    """`error`, whose traceback has lost the frames of this package; so have those of its causes.

    What the caller was handling when it called, which is the context of `error`, stays as it is: it was
    caught by the caller, and its traceback begins there.
    """
    if not logger.isEnabledFor(logging.DEBUG):
        folders = tuple(_folders())
        for link in _chain(error):
            trace = link.__traceback__
            if trace is not None and _is_within(folders, trace):
                link.__traceback__ = _without(folders, trace)
    return error


def short_tracebacks(call: Callable[P, T]) -> Callable[P, T]:
    """`call`, whose errors come with a short traceback."""

    @functools.wraps(call)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except GuardedS3Error as error:
            raise shortened(error)  # noqa: B904  it is the same one

    return told


def short_tracebacks_of_steps(call: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """The same of a generator."""

    @functools.wraps(call)
    def told(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        try:
            yield from call(*args, **kwargs)
        except GuardedS3Error as error:
            raise shortened(error)  # noqa: B904  it is the same one

    return told


def verbs_with_short_tracebacks(kind: type[T]) -> type[T]:
    """The class `kind`, whose public methods have `short_tracebacks` now."""
    for name, verb in list(vars(kind).items()):
        if inspect.isfunction(verb) and not name.startswith("_"):
            setattr(kind, name, short_tracebacks(verb))
    return kind


def _folders() -> Iterator[str]:
    yield _OURS
    for name in _LIBRARIES:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file:
            yield os.path.join(os.path.dirname(file), "")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error`, and what it came of, as far as that is of a request or of the system."""
    link: BaseException | None = error
    seen: set[int] = set()
    while isinstance(link, OSError) and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _is_within(folders: tuple[str, ...], trace: TracebackType) -> bool:
    return trace.tb_frame.f_code.co_filename.startswith(folders)


def _without(folders: tuple[str, ...], trace: TracebackType | None) -> TracebackType | None:
    kept = []
    while trace is not None:
        if not _is_within(folders, trace):
            kept.append(trace)
        trace = trace.tb_next
    rest = None
    for item in reversed(kept):
        rest = TracebackType(rest, item.tb_frame, item.tb_lasti, item.tb_lineno)
    return rest
