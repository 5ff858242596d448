"""Connections that an event loop waits for, as for any socket, without a thread."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from .._work import Connecting

_PATIENCE = 0.5  # seconds, after which a thread makes another one, by all bounds of a wait


async def is_connected(loop: AbstractEventLoop, connect: Callable[[], Connecting | None]) -> bool:
    """Wait for the connection that `connect` begins, which is idle then, unless nobody was there.

    False where there is none, or it takes long: then a thread has to make one. Who is cancelled gives it up.
    """
    connecting = connect()
    if connecting is None:
        return False
    descriptor = connecting.descriptor()
    made: Future[bool] = loop.create_future()

    def end(is_made: bool) -> None:
        if not made.done():
            made.set_result(is_made)

    try:
        loop.add_writer(descriptor, end, True)
    except NotImplementedError:  # Windows: the loop that asyncio takes there
        connecting.close()
        return False
    late = loop.call_later(_PATIENCE, end, False)
    is_made = False
    try:
        is_made = await made
    finally:
        late.cancel()
        with suppress(RuntimeError):  # the loop is closed
            loop.remove_writer(descriptor)
        if not is_made:
            connecting.close()
    if is_made:
        connecting.keep()
    return is_made
