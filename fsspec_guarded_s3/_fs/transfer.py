"""What `get` and `put` of many files have in common: in parallel, each with a branch of the callback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK

from .._s3.client import S3Client
from .._values.keywords import Verb

_METHODS = ("set_size", "absolute_update", "relative_update", "branched")


def callback_of(callback: Any) -> Any:
    """The callback that a caller gave; one that does nothing for None. TypeError for what is none."""
    if callback is None:
        return DEFAULT_CALLBACK
    if isinstance(callback, type) or not all(callable(getattr(callback, name, None)) for name in _METHODS):
        kind = callback.__name__ if isinstance(callback, type) else type(callback).__name__
        raise TypeError(f"callback must be an instance of fsspec's Callback, not {kind}")
    return callback


def transfer(
    client: S3Client,
    pairs: Sequence[tuple[str, str]],
    verb: Verb,
    callback: Any,
    kwargs: Mapping[str, Any],
) -> None:
    """Call `verb(source, target)` for each pair; `callback` counts files, its branches what `verb` tells."""
    callback.set_size(len(pairs))
    lock = threading.Lock()  # callbacks are not made for threads

    def one(source: str, target: str) -> None:
        with lock:
            branch = callback.branched(source, target)
        with branch as child:
            verb(source, target, callback=child, **kwargs)
        with lock:
            callback.relative_update(1)

    client.scheduler.run(partial(one, *pair) for pair in pairs)


def counting(callback: Any) -> Callable[[int], None]:
    """A function that tells fsspec's callback of bytes; several threads may call it, as callbacks may not."""
    lock = threading.Lock()

    def progress(count: int) -> None:
        with lock:
            callback.relative_update(count)

    return progress
