"""The coroutine of a verb: the same call, made by a thread while the event loop goes on.

`_cat_file = coroutine(cat_file)` in a class gives the coroutine the signature, the types and the docstring of
the verb. It calls the verb by its name, so that of a subclass is honoured.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from fsspec import AbstractFileSystem
from fsspec.config import conf as fsspec_configuration

from .._read.into_buffers import POLL_SECONDS, Gate
from .._s3.early import Asked
from ..options import name_of
from .awaiting import AwaitedCalls
from .known_row import KnownRow

P = ParamSpec("P")
T = TypeVar("T")
FS = TypeVar("FS", bound="Awaitable")


class Awaitable(Protocol):
    """What has coroutines."""

    _awaited: AwaitedCalls  # who makes their calls


class EitherWay:
    """The `asynchronous` of a filesystem that is used from event loops and without one.

    It is true, since there are coroutines for any loop. What is built upon a filesystem compares this with
    an `asynchronous` of its own, and refuses one that differs (`DirFileSystem`, `ReferenceFileSystem`): it
    agrees with both.
    """

    def __repr__(self) -> str:
        return "either way"

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (bool, EitherWay))

    def __hash__(self) -> int:
        return hash(EitherWay)

    def __xor__(self, other: object) -> bool:
        return False

    __rxor__ = __xor__


class ThisThread:
    """A number of the thread that looks at this attribute of a class.

    In the token of fsspec's cache it gives each thread filesystems of its own. Those with coroutines would be
    shared, and with them a transaction that one thread has under way.
    """

    def __get__(self, instance: object, owner: type) -> int:
        return threading.get_ident()


class _Asking(threading.local):
    """The `credential_provider` of the filesystem that this thread asks for."""

    provider: object = None


_asking = _Asking()


class ThisProvider:
    """What tells one `credential_provider` from another in the token of fsspec's cache.

    fsspec looks at the `repr` of options, and that of a session of boto3 names its region alone: who passes
    another one would be given the filesystem, and the credentials, of the first.
    """

    def __get__(self, instance: object, owner: type) -> tuple[object, ...] | None:
        return None if _asking.provider is None else name_of(_asking.provider)


def _configured_provider(protocol: str | tuple[str, ...]) -> object:
    """The one that the program has put into fsspec's configuration, of which fsspec takes the last."""
    names = [protocol] if isinstance(protocol, str) else protocol
    sections = [fsspec_configuration.get(name) or {} for name in reversed(names)]
    return next((one["credential_provider"] for one in sections if "credential_provider" in one), None)


if TYPE_CHECKING:  # to a type checker each subclass would have two metaclasses
    KeptByProvider = type
else:

    class KeptByProvider(type(AbstractFileSystem)):  # which has no public name
        """The class of classes whose instances fsspec keeps apart by their `credential_provider`."""

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            before = _asking.provider
            _asking.provider = kwargs.get("credential_provider", _configured_provider(cls.protocol))
            try:
                return super().__call__(*args, **kwargs)
            finally:
                _asking.provider = before


def coroutine(
    verb: Callable[Concatenate[FS, P], T],
) -> Callable[Concatenate[FS, P], Coroutine[Any, Any, T]]:
    """The coroutine of a verb that only reads: a task that is cancelled does not wait for its end."""
    return _coroutine(verb, is_settled=False)


def settled_coroutine(
    verb: Callable[Concatenate[FS, P], T],
) -> Callable[Concatenate[FS, P], Coroutine[Any, Any, T]]:
    """The coroutine of a verb that writes, or uses a local file: a task that is cancelled waits for its end.

    That takes a second at most.
    """
    return _coroutine(verb, is_settled=True)


def asked_coroutine(
    verb: Callable[Concatenate[FS, P], T],
    ask: Callable[[FS], Callable[..., Asked[T] | None]],
    *,
    is_settled: bool,
) -> Callable[Concatenate[FS, P], Coroutine[Any, Any, T]]:
    """The coroutine of a verb that makes one small request, as a rule: without a thread.

    `ask` gives the function that takes the arguments and sends the request. The verb of a subclass is called
    where it has one. With `is_settled` a task that is cancelled waits for its end.
    """
    name = verb.__name__

    @functools.wraps(verb)
    async def awaited(self: FS, /, *args: P.args, **kwargs: P.kwargs) -> T:
        own = getattr(self, name)
        call: Callable[[], T] = partial(own, *args, **kwargs)
        # Which `tracebacks.verbs_with_short_tracebacks` has wrapped when the class was made.
        found = getattr(own, "__func__", None)
        if verb not in (found, getattr(found, "__wrapped__", None)):
            return await self._awaited.make(call, is_settled=is_settled)
        asking: Callable[[], Asked[T] | None] = partial(ask(self), *args, **kwargs)
        return await self._awaited.make_asked(asking, call, is_settled=is_settled)

    return _named(awaited)


def _coroutine(
    verb: Callable[Concatenate[FS, P], T], *, is_settled: bool
) -> Callable[Concatenate[FS, P], Coroutine[Any, Any, T]]:
    name = verb.__name__

    @functools.wraps(verb)
    async def awaited(self: FS, /, *args: P.args, **kwargs: P.kwargs) -> T:
        call: Callable[[], T] = partial(_whole, partial(getattr(self, name), *args, **kwargs))
        return await self._awaited.make(call, is_settled=is_settled)

    return _named(awaited)


def _whole(call: Callable[[], Any]) -> Any:
    """What a verb returns, for who is in a loop: to look at it asks the store for nothing."""
    result = call()
    return dict(result) if isinstance(result, KnownRow) else result


def filling_coroutine(
    verb: Callable[Concatenate[FS, P], T],
) -> Callable[Concatenate[FS, P], Coroutine[Any, Any, T]]:
    """The coroutine of a verb that writes into memory of the caller: none does when its task goes on."""
    name = verb.__name__

    @functools.wraps(verb)
    async def awaited(self: FS, /, *args: P.args, **kwargs: P.kwargs) -> T:
        gate = Gate()
        call: Callable[[], T] = partial(getattr(self, name), *args, **kwargs)
        try:
            return await self._awaited.make(partial(gate.around, call), is_settled=True)
        finally:
            await _closed(gate)

    return _named(awaited)


async def _closed(gate: Gate) -> None:
    """Close `gate`: a thread may still be in a call that was given up, which gets credentials, say."""
    import asyncio

    while not gate.shut():
        with suppress(asyncio.CancelledError):  # once more: the first one is raised when this is over
            await asyncio.sleep(POLL_SECONDS)


def asynchronous_iterator(
    verb: Callable[Concatenate[FS, P], Iterator[T]],
) -> Callable[Concatenate[FS, P], AsyncIterator[T]]:
    """The asynchronous generator of a verb that is a generator. Each step is made by a thread."""
    name = verb.__name__

    @functools.wraps(verb)
    async def awaited(self: FS, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        steps: Iterator[T] = await self._awaited.make(partial(getattr(self, name), *args, **kwargs))
        end: Any = object()
        while (step := await self._awaited.make(partial(next, steps, end))) is not end:
            yield step

    return _named(awaited)


def _named(call: Callable[P, T]) -> Callable[P, T]:
    """`call`, whose name is that of its verb, with the name of the coroutine."""
    owner, _, name = call.__qualname__.rpartition(".")
    call.__name__, call.__qualname__ = f"_{name}", f"{owner}._{name}"
    return call
