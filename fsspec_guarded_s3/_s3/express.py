"""Sessions of S3 Express directory buckets: credentials of five minutes for one bucket, renewed in time.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateSession.html
Invariant: one CreateSession at a time for all threads; no request is signed with a session about to end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from .._forks import PerProcess
from .._values.models import SessionCredentials
from .._work import Lock
from ..errors import GuardedS3Error, ThrottledError
from .error_codes import without_remedy

_MARGIN = 60.0  # seconds that a session must have left for a request and its way


_OTHERWISE = {"NoSuchBucket", "InvalidAccessKeyId", "ExpiredToken", "InvalidToken", "RequestTimeTooSkewed"}


def say_no_sessions(error: GuardedS3Error) -> None:
    """Have `error`, of CreateSession and not of AWS, say why it was asked for. Few other stores know it.

    They call it a wrong signature or region, or take it for another request. What says something else stays.
    """
    is_busy = isinstance(error, ThrottledError) or ((error.status or 0) >= 500 and error.status != 501)
    if is_busy or error.code in _OTHERWISE:
        return
    told = without_remedy(error.code, error.message)
    error.message = (
        f"{told}; the bucket has a name of S3 Express (--x-s3), so a session was asked for, which this store "
        "does not seem to have: give the bucket another name"
    )


class _Open(NamedTuple):
    credentials: SessionCredentials
    ends: float  # by the monotonic clock, since this machine's other one may be off


class Sessions:
    """The session of each directory bucket, created when it is needed. Thread-safe."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._lock = PerProcess(Lock)

    def __repr__(self) -> str:
        return f"<Sessions {sorted(self._open)}>"

    def of(
        self, bucket: str, create: Callable[[str], SessionCredentials], least: float = _MARGIN
    ) -> SessionCredentials:
        """The credentials of `bucket`, good for `least` seconds where a session can be.

        `create` is CreateSession. It is passed and not kept: a client that holds its sessions would be held
        by them, and its connections with it.
        """
        found = self._good(bucket, least)
        if found is None:
            with self._lock():
                found = self._good(bucket, least)
                if found is None:
                    began = time.monotonic()
                    found = create(bucket)
                    self._open[bucket] = _Open(found, began + found.lifetime)
        return found

    def _good(self, bucket: str, least: float) -> SessionCredentials | None:
        found = self._open.get(bucket)
        return found.credentials if found and found.ends - time.monotonic() >= least else None

    def forget(self, bucket: str) -> bool:
        """The store took the session no longer. Returns whether there was one: a retry makes sense."""
        return self._open.pop(bucket, None) is not None
