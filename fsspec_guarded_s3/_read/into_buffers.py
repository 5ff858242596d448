"""Slices that are read into memory of the caller.

Theory of operation. A slice that has a request of its own goes from the socket straight to its place. Where
one request brings several, each of `_SMALL` bytes or more does so too, and small ones, and what lies between
slices, go through a little buffer (`_scattered`).

The memory is the caller's again once the call has ended, whatever ended it. An error or an interrupt ends the
threads of a call (`_threads`), but nobody waits for one that gets credentials from a program, not even where
that one waits for others. So each step that writes passes the `Gate` of its call: when that is closed, no
step begins any more, and those that have begun are waited for. That takes no longer than a turn of a wait on
a socket. The gate of a coroutine is around those of the calls that a thread makes for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from .._forks import forks
from .._s3.client import S3Client
from .._s3.reads import Cursor, Drain
from .._s3.slices import Span
from .._values.models import Body, ObjectInfo, within
from .._values.paths import S3Path
from .download import Fill, ask_range, fetch_ranges, receive_span
from .ranges import Sliced, Wanted

T = TypeVar("T")
POLL_SECONDS = 0.02
_PIECE = 2**20
_SMALL = 64 * 1024  # bytes that are cheaper to copy than to receive apart


class Gate:
    """Lets threads write into memory of the caller, each within a `with`, until it is closed."""

    def __init__(self) -> None:
        self._is_closed = False
        self._writing: list[int] = []  # the threads that do; each step here is one of the interpreter's
        self.inner: list[Gate] = []
        self._forks = forks()
        self._around = _around.get()
        if self._around is not None:
            self._around.inner.append(self)

    def __repr__(self) -> str:
        return f"<Gate {'closed' if self.is_closed else 'open'}>"

    @property
    def is_closed(self) -> bool:
        """Whether nobody may write any more."""
        return self._is_closed or (self._around is not None and self._around.is_closed)

    def __enter__(self) -> None:
        self._writing.append(threading.get_ident())
        if self.is_closed:  # only now: whoever closes it looks for this thread afterwards
            self._writing.remove(threading.get_ident())
            raise CancelledError("the call has ended, and the memory is its caller's again")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writing.remove(threading.get_ident())

    def shut(self) -> bool:
        """Let no thread begin to write; returns whether none does any more, but for this one."""
        self._is_closed = True
        if self._forks != forks():  # the threads are the parent's
            return True
        # This thread does not write, whatever an exception of a signal's handler left here.
        this = threading.get_ident()
        is_quiet = all(thread == this for thread in tuple(self._writing))
        return all([is_quiet, *(inner.shut() for inner in tuple(self.inner))])

    def close(self) -> None:
        """Return when no thread writes any more, and none ever will."""
        interrupt: BaseException | None = None
        while not self.shut():
            try:
                time.sleep(POLL_SECONDS)
            except BaseException as error:  # a signal's, which has to wait until the memory is left alone
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def around(self, call: Callable[[], T]) -> T:
        """What `call` returns, the gates of which are closed with this one."""
        token = _around.set(self)
        try:
            return call()
        finally:
            _around.reset(token)


_around: ContextVar[Gate | None] = ContextVar("fsspec_guarded_s3 gate", default=None)


class IntoBuffers:
    """Where slices go that are read into `views`; each result is a number of bytes.

    If not `raising`, an error stands for the result of a slice that is longer than its view.
    """

    def __init__(self, views: Sequence[memoryview], gate: Gate, *, raising: bool) -> None:
        self.results: list[Any] = [0] * len(views)
        self._views = views
        self._gate = gate
        self._raising = raising

    def most(self, place: int, longest: int) -> int:
        """How many bytes to ask for where the length of a slice is not known."""
        return min(longest, max(1, self._views[place].nbytes))

    def admits(self, place: int, count: int) -> bool:
        """Whether `count` bytes are to be read, which fit."""
        self.results[place] = 0
        room = self._views[place].nbytes
        if count <= room:
            return count > 0
        error = ValueError(f"buffers[{place}] has {room} bytes, and its slice of the object {count}")
        if self._raising:
            raise error
        self.results[place] = error
        return False

    def put(self, place: int, data: bytes) -> None:
        """Take what the `cat_file` of a subclass has returned."""
        if self.admits(place, len(data)):
            with self._gate, self._views[place][: len(data)] as view:
                view[:] = data
            self.results[place] = len(data)

    def ask_first(
        self, client: S3Client, path: S3Path, span: Span, end: int | None, group: Sequence[Sliced]
    ) -> Callable[[], ObjectInfo]:
        """Send the request for `span`, which brings `group`; the result reads the answer."""

        def take(info: ObjectInfo, first: int, stop: int, fill: Fill) -> ObjectInfo:
            wanted = [Wanted(*within(one.start, one.end, info.size), one.place) for one in group]
            wanted = [one for one in wanted if self.admits(one.place, one.stop - one.start)]
            if wanted:  # not the one whose length the object tells, and which does not fit
                self._fill(fill, wanted)
            return info

        early = client.slices.send(path, span)
        return partial(receive_span, client, path, span, end, take, early)

    def ask_group(
        self, client: S3Client, path: S3Path, pin: ObjectInfo, group: Sequence[Wanted]
    ) -> Callable[[], None]:
        """Send the request for a group, whose slices fit; the result reads the answer."""
        fill = ask_range(client, path, pin, group[0].start, max(one.stop for one in group))
        return partial(self._fill, fill, group)

    def _fill(self, fill: Fill, wanted: Sequence[Wanted]) -> None:
        fill(_scattered(sorted(wanted), self._views, self._gate))
        for one in wanted:
            self.results[one.place] = one.stop - one.start


def read_into(
    client: S3Client, path: S3Path, pin: ObjectInfo, start: int, view: memoryview, gate: Gate
) -> None:
    """Fill `view` with the bytes from `start` on of the version `pin`, which has them."""
    if view.nbytes:
        stop = start + view.nbytes
        fetch_ranges(client, path, pin, start, stop, _scattered([Wanted(start, stop, 0)], [view], gate))


def _scattered(wanted: Sequence[Wanted], views: Sequence[memoryview], gate: Gate) -> Drain:
    """Brings each of `wanted`, which are sorted and may overlap, to the view at its place."""

    def drain(body: Body, cursor: Cursor) -> None:
        little = memoryview(b"")
        at = 0
        while (position := cursor.position) < cursor.stop:
            while at < len(wanted) and wanted[at].stop <= position:
                at += 1
            here = wanted[at] if at < len(wanted) else None
            with gate:
                if here is not None and _is_received_apart(here, cursor):
                    begin = position - here.start
                    stop = min(here.stop - here.start, cursor.stop - here.start, begin + _PIECE)
                    # Released on every way out: an exception holds it, and a bytearray keeps its size.
                    with views[here.place][begin:stop] as piece:
                        count = body.readinto(piece)
                        _copy(piece, position, count, wanted, at + 1, views)
                else:
                    little = little or memoryview(bytearray(min(_SMALL, cursor.stop - position)))
                    stop = _next_large(wanted, at, position, min(position + len(little), cursor.stop))
                    with little[: stop - position] as piece:
                        count = body.readinto(piece)
                        _copy(piece, position, count, wanted, at, views)
            if not count:
                return
            cursor.position += count

    return drain


def _is_received_apart(here: Wanted, cursor: Cursor) -> bool:
    """Whether what comes next goes straight into the view of `here`."""
    if here.start > cursor.position:
        return False
    return here.stop - cursor.position >= _SMALL or here.stop >= cursor.stop


def _next_large(wanted: Sequence[Wanted], at: int, position: int, stop: int) -> int:
    """Where the first slice in [position, stop) begins that is received apart; else `stop`."""
    for one in wanted[at:]:
        if one.start >= stop:
            break
        if one.start > position and one.stop - one.start >= _SMALL:
            return one.start
    return stop


def _copy(
    piece: memoryview,
    position: int,
    count: int,
    wanted: Sequence[Wanted],
    at: int,
    views: Sequence[memoryview],
) -> None:
    """Bring the `count` bytes at `position`, which are in `piece`, to the slices from `at` on."""
    stop = position + count
    for index in range(at, len(wanted)):
        one = wanted[index]
        if one.start >= stop:
            break
        first, end = max(one.start, position), min(one.stop, stop)
        if first < end:
            with (
                piece[first - position : end - position] as found,
                views[one.place][first - one.start : end - one.start] as view,
            ):
                view[:] = found
