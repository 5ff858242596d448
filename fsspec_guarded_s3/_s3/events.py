"""Events of requests, and who listens to them: no more than a program needs where nobody does.

`watched` has the events themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

_HASH_DIGITS = 16


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
    - origin: the context of OpenTelemetry in which the work began, under `integrations.otel`; else None
    """

    __slots__ = ()
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
    origin: Any


Listener = Callable[[Event], None]
everywhere: list[Listener] = []  # those of all stores of the process


class Listening:
    """Somebody listens until this is closed: by `close()`, or at the end of a `with`."""

    def __init__(self, listener: Listener, among: list[Listener]) -> None:
        self._mine = [listener]  # until this is closed
        self._among = among
        among.append(listener)

    def __repr__(self) -> str:
        return f"<Listening {'on' if self._mine else 'closed'}>"

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more. Requests that are under way may still be told of. Harmless when repeated."""
        with suppress(IndexError):  # it is closed
            self._among.remove(self._mine.pop())


class _Hashing:
    """Tells a listener hashes in the place of keys."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def __call__(self, event: Event) -> None:
        self._listener(replace(event, key=_hash(event.key)))  # type: ignore[type-var]  # its classes are ones


def _hash(key: str) -> str:
    import hashlib  # here, since nearly nobody needs it

    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:_HASH_DIGITS] if key else ""


def listen(listener: Listener, own: list[Listener] | None, *, hash_keys: bool = False) -> Listening:
    """Have `listener` called from now on: for one store, whose list of listeners is `own`, or for all.

    Raises TypeError for what cannot be called.
    """
    if not callable(listener):
        raise TypeError(f"callback must be a function that takes an event, not {type(listener).__name__}")
    heard = _Hashing(listener) if hash_keys else listener
    return Listening(heard, everywhere if own is None else own)
