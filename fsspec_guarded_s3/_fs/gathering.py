"""The results of many calls that are made in parallel, in the order of the calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .._s3.client import S3Client
from .._work import is_of_a_handler


def gather(client: S3Client, calls: Sequence[Callable[[], Any]], *, raising: bool = True) -> list[Any]:
    """The result of each call; if not `raising`, the error of one that failed stands for its result.

    An error is an OSError or a ValueError. What else is raised, by a signal's handler say, ends all calls.
    """
    results: list[Any] = [None] * len(calls)
    client.scheduler.run(
        partial(_into_place, results, index, call, raising) for index, call in enumerate(calls)
    )
    return results


def gather_asked(
    client: S3Client, asks: Sequence[Callable[[], Callable[[], Any]]], *, raising: bool
) -> list[Any]:
    """The result of each of many small reads.

    Each of `asks` sends its request and returns the function that takes the answer: many requests are on
    their way at once. If not `raising`, the error of one that failed stands for its result, as in `gather`.
    """
    results: list[Any] = [None] * len(asks)

    def ask(index: int) -> Callable[[], None]:
        _into_place(results, index, asks[index], raising)
        take = results[index]
        return partial(_into_place, results, index, take, raising) if callable(take) else _nothing

    client.scheduler.ask(partial(ask, index) for index in range(len(asks)))
    return results


def _into_place(results: list[Any], index: int, call: Callable[[], Any], raising: bool) -> None:
    try:
        results[index] = call()
    except (OSError, ValueError) as error:
        if raising or is_of_a_handler(error):
            raise
        results[index] = error


def _nothing() -> None:
    """The answer to a question that could not be asked."""
