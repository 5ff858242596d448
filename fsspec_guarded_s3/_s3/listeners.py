"""Who is told of each request: the listeners of a store, those of the whole process, and the log at DEBUG.

Nearly always nobody listens. So this module is all that a request pays for: it looks, and loads `watched`,
which does the telling, only for somebody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from .._forks import importing
from .._values.models import Request
from .events import Listening, everywhere, tell_given_up

if TYPE_CHECKING:
    from .._auth.endpoints import Endpoint
    from .watched import WatchedAttempt, WatchedOperation

logger = logging.getLogger("fsspec_guarded_s3")
_is_logged = logger.isEnabledFor


class Listeners:
    """Who listens to the requests to one store. Thread-safe: each change is one step of the interpreter's."""

    __slots__ = ("_endpoint", "own")

    def __init__(self, endpoint: Callable[[str], Endpoint]) -> None:
        """`endpoint` tells where a bucket is reached. It must not refer to what holds this object."""
        self._endpoint = endpoint
        self.own: list[Listening] = []

    def __repr__(self) -> str:
        return f"<Listeners {len(self.own)}>"

    def is_anybody(self) -> bool:
        """Whether anybody is told of requests."""
        return bool(self.own or everywhere or _is_logged(logging.DEBUG))

    def operation(self, request: Request) -> WatchedOperation | None:
        """What tells of an operation, all attempts together, for a `with` around them; None for nobody."""
        if not self.is_anybody():
            return None
        tell_given_up()
        with importing():
            from .watched import WatchedOperation
        return WatchedOperation([*self.own, *everywhere], request)

    def attempt(self, request: Request, is_ahead: bool = False) -> WatchedAttempt | None:
        """What tells of one attempt at a request; None where nobody listens.

        One that `is_ahead` was sent before its turn. It is told of where nobody takes its answer.
        """
        if not self.is_anybody():
            return None
        with importing():
            from .watched import WatchedAttempt
        return WatchedAttempt([*self.own, *everywhere], request, self._endpoint, is_ahead)
