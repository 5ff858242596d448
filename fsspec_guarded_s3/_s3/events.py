"""Events of requests, and who listens to them: no more than a program needs where nobody does.

`watched` has the events themselves.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from .._forks import renew_after_fork
from .._work import this_thread

logger = logging.getLogger("fsspec_guarded_s3")
_HASH_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What became of requests: an `AttemptEvent`, or an `OperationEvent` for all attempts of one operation.

    - is_operation: whether it is an `OperationEvent`
    - operation: name in S3, such as "GetObject"
    - operation_id: a number that all attempts of one operation have in common, in this process; 0 for none
    - method: of HTTP
    - bucket, key: "" where the operation has none; the key is hashed where the listener asked for that
    - started: when it began, in seconds since 1970
    - seconds: until the body of the answer was read, or it had failed
    - error: class of the exception by which it failed, or ""
    - code: S3's error code, or ""
    - sent, received: bytes of the bodies, without heads; of an answer as far as it was read
    - waited: seconds that attempts waited before they were sent, since the store had refused some as too many
    - origin: the context of OpenTelemetry in which the work began, under `integrations.otel`; else None
    """

    is_operation: ClassVar[bool] = False
    operation: str
    operation_id: int
    method: str
    bucket: str
    key: str
    started: float
    seconds: float
    error: str
    code: str
    sent: int
    received: int
    waited: float = 0.0
    origin: Any = field(default=None, repr=False, compare=False)


Listener = Callable[[Event], None]


class Listening:
    """Somebody listens until this is closed: by `close()`, or at the end of a `with`.

    What the listener itself asks a filesystem for, it is not told of.
    """

    def __init__(self, listener: Listener, among: list[Listening], hash_keys: bool) -> None:
        self._listener = listener
        self._hash_keys = hash_keys
        self._among = among
        self._has_raised = False
        among.append(self)

    def __repr__(self) -> str:
        return f"<Listening {'on' if self in self._among else 'closed'}>"

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more. Requests that are under way may still be told of. Harmless when repeated."""
        tell_given_up()
        with suppress(ValueError):  # it is closed
            self._among.remove(self)

    def tell(self, event: Event) -> None:
        """Call the listener. What it raises is logged, once, and does not matter."""
        before = this_thread.listeners
        if self in before:
            return
        try:
            this_thread.listeners = (*before, self)
            self._listener(replace(event, key=_hash(event.key)) if self._hash_keys else event)
        except Exception:
            if not self._has_raised:
                self._has_raised = True
                logger.warning("a listener to requests raised, which is logged once", exc_info=True)
        finally:
            this_thread.listeners = before


everywhere: list[Listening] = []  # those of all stores of the process
# What tells of a request that was sent before its turn, and whose answer nobody took. It waits here: that may
# show in a destructor, which must call no listener, since its thread may hold the lock that one takes.
given_up: deque[Callable[[], None]] = deque()
renew_after_fork(given_up.clear)  # the parent tells of its own


def tell_given_up() -> None:
    """Tell of the requests that were given up. Not within a listener, which would not be told itself."""
    while given_up and not this_thread.listeners:
        try:
            tell = given_up.popleft()
        except IndexError:  # another thread was faster
            return
        tell()


def _hash(key: str) -> str:
    import hashlib  # here, since nearly nobody needs it

    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:_HASH_DIGITS] if key else ""


def listen(listener: Listener, own: list[Listening] | None, *, hash_keys: bool = False) -> Listening:
    """Have `listener` called from now on: for one store, whose list of listeners is `own`, or for all.

    Raises TypeError for what cannot be called.
    """
    if not callable(listener):
        raise TypeError(f"callback must be a function that takes an event, not {type(listener).__name__}")
    return Listening(listener, everywhere if own is None else own, hash_keys)
