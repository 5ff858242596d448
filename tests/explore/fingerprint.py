"""The state of a single-threaded call, read off its stack.

A fingerprint covers every frame of the call - the code, the place in it, all local variables and what they
lead to - and the exceptions that are being handled. Whatever is not known here is an error and not ignored.
Left out is what cannot make a difference: the client with its options, locks, loggers, and the retry budget,
which lasts for a hundred retries. Out of sight is the interpreter's own stack of intermediate values, such
as the iterator of a `for`; its loop variable is seen. tests/explore/test_explore.py proves that it is enough.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import io
import itertools
import logging
import marshal
import re
import sys
import threading
import types
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from datetime import date, timedelta
from typing import Any

from fsspec.callbacks import Callback

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._s3.checks import Checks
from fsspec_guarded_s3._s3.client import S3Client
from fsspec_guarded_s3._s3.deletions import Deletions
from fsspec_guarded_s3._s3.exchange import Exchange
from fsspec_guarded_s3._s3.listings import Listings
from fsspec_guarded_s3._s3.multipart import Multipart
from fsspec_guarded_s3._s3.reads import Reads
from fsspec_guarded_s3._s3.retry import RetryPolicy
from fsspec_guarded_s3._s3.scheduler import Scheduler
from fsspec_guarded_s3._s3.store import Store
from fsspec_guarded_s3._s3.subresources import Subresources
from fsspec_guarded_s3._s3.writes import Writes

from .liveness import alive

_ATOMS = frozenset({int, str, bytes, bool, float, type(None)})
_CONSTANT = (
    Callback,
    Executor,
    GuardedS3FileSystem,
    S3Client,
    Checks,
    Deletions,
    Exchange,
    Listings,
    Multipart,
    Reads,
    RetryPolicy,
    Scheduler,
    Store,
    Subresources,
    Writes,
    logging.Logger,
    io.BufferedReader,
    type(threading.Lock()),
    type(threading.RLock()),
)
_ITERATORS = (type(iter([])), type(iter(())), type(iter(range(0))))


def fingerprint(frame: types.FrameType | None, end: types.CodeType) -> bytes:
    """Of the stack from `frame` down to, and without, the frame that runs `end`."""
    frames: list[types.FrameType] = []
    while frame is not None and frame.f_code is not end:
        frames.append(frame)
        frame = frame.f_back
    walk = _Walk()
    for it in reversed(frames):
        walk.frame(it)
    for error in _handled(frames):
        walk.value(error)
    return hashlib.blake2b(marshal.dumps(walk.atoms, 2), digest_size=16).digest()


def _handled(frames: list[types.FrameType]) -> Iterator[BaseException]:
    """The exceptions that a frame of the stack has caught and may raise again.

    The others are left over from a handler that has ended, or that will not come back to them.
    """
    stack = {id(frame) for frame in frames if alive(frame).raises_again}
    error = sys.exc_info()[1]
    while error is not None:
        trace = error.__traceback__
        while trace is not None and id(trace.tb_frame) not in stack:
            trace = trace.tb_next
        if trace is not None:
            yield error
        error = error.__context__


class _Walk:
    """Turns objects into a flat list of plain values; an object that comes again becomes its number."""

    def __init__(self) -> None:
        self.atoms: list[Any] = []
        self._seen: dict[int, int] = {}
        self._kept: list[object] = []  # or the id of a temporary would be given to another object

    def frame(self, frame: types.FrameType) -> None:
        self._place(frame.f_code, frame.f_lasti)
        names = alive(frame).names
        for name, value in frame.f_locals.items():
            if name in names:
                self.atoms.append(name)
                self.value(value)

    def _place(self, code: types.CodeType, at: int) -> None:
        self.atoms += (code.co_filename, code.co_firstlineno, code.co_name, at)

    def value(self, it: Any) -> None:
        kind = type(it)
        if kind in _ATOMS:
            self.atoms.append(it)
            return
        number = self._seen.get(id(it))
        if number is not None:
            self.atoms += ("again", number)
            return
        self._seen[id(it)] = len(self._seen)
        self._kept.append(it)
        self.atoms += ("a", kind.__name__)
        self._contents(it, kind)

    def _contents(self, it: Any, kind: type) -> None:
        if isinstance(it, _CONSTANT):
            pass
        elif isinstance(it, (type, types.ModuleType, types.BuiltinFunctionType)):
            self.atoms.append(it.__name__)
        elif isinstance(it, BaseException):
            self._all(it.args)
            self._attributes(it.__dict__)
        elif isinstance(it, (tuple, list, deque)):
            self._all(it)
        elif isinstance(it, dict):
            self._attributes(it)
        elif isinstance(it, (set, frozenset)):
            self._all(sorted(it))
        elif isinstance(it, enum.Enum):
            self.atoms.append(it.name)
        elif isinstance(it, (bytearray, memoryview, io.BytesIO)):
            self.atoms.append(_data(it))
        elif isinstance(it, _ITERATORS):
            self._all(it.__reduce__()[1:])
        elif isinstance(it, (range, date, timedelta, itertools.count)):
            self.atoms.append(repr(it))
        elif isinstance(it, re.Pattern):
            self._all((it.pattern, it.flags))
        elif isinstance(it, Future):
            self._all((it._state, it._result, it._exception))
        else:
            self._code_or_object(it, kind)

    def _code_or_object(self, it: Any, kind: type) -> None:
        if isinstance(it, types.FunctionType):
            self._place(it.__code__, 0)
            self._all((it.__closure__, it.__defaults__, it.__kwdefaults__))
        elif isinstance(it, types.CellType):
            self._all([it.cell_contents] if _filled(it) else ())
        elif isinstance(it, types.MethodType):
            self._all((it.__func__, it.__self__))
        elif isinstance(it, functools.partial):
            self._all((it.func, it.args, it.keywords))
        elif isinstance(it, types.GeneratorType):
            self._place(it.gi_code, it.gi_running)
            if it.gi_frame is not None and not it.gi_running:  # else it is on the stack
                self.frame(it.gi_frame)
        else:
            self._object(it, kind)

    def _object(self, it: Any, kind: type) -> None:
        slots = [name for base in kind.__mro__ for name in _slots(base)]
        if not hasattr(it, "__dict__") and not slots and kind is not object:
            raise TypeError(f"no fingerprint of {kind}")
        self._attributes(getattr(it, "__dict__", {}))
        for name in slots:
            self.value(getattr(it, name, None))

    def _all(self, values: Any) -> None:
        self.atoms.append(len(values))
        for value in values:
            self.value(value)

    def _attributes(self, values: dict[Any, Any]) -> None:
        self.atoms.append(len(values))
        for name, value in values.items():
            self.value(name)
            self.value(value)


def _slots(kind: type) -> tuple[str, ...]:
    names = kind.__dict__.get("__slots__", ())
    names = (names,) if isinstance(names, str) else names
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def _data(it: bytearray | memoryview | io.BytesIO) -> bytes | None:
    if isinstance(it, io.BytesIO):
        return it.getvalue()
    try:
        return bytes(it)
    except ValueError:  # a memoryview that was released
        return None


def _filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is cell.cell_contents
    except ValueError:  # a variable that is not assigned yet
        return False
