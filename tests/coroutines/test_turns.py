"""How many small requests a loop has under way at a time, by the distance of the store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fsspec_guarded_s3._fs.turns import Turns

COST = 0.0005  # seconds for a connection


async def _under_way(turns: Turns, number: int) -> tuple[int, list[asyncio.Task[Any]]]:
    """How many of `number` calls get a turn at once, and all of them."""
    loop = asyncio.get_running_loop()
    tasks = [asyncio.ensure_future(turns.take(loop)) for _ in range(number)]
    for _ in range(3):
        await asyncio.sleep(0)
    return sum(task.done() for task in tasks), tasks


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("seconds", "most", "number", "expected"),
    [
        (0.001, 256, 1000, 64),  # near: a connection would take longer than the way
        (0.025, 256, 200, 100),
        (0.1, 256, 200, 200),
        (0.1, 256, 1000, 256),
        (0.1, 128, 1000, 128),
        (0.1, 64, 1000, 64),  # as the user says
        (0.1, 256, 50, 50),
    ],
)
def test_calls_get_a_turn_by_what_connections_cost(
    seconds: float, most: int, number: int, expected: int
) -> None:
    async def main() -> int:
        found, tasks = await _under_way(Turns(64, most, lambda: seconds, COST), number)
        await _end(tasks)
        return found

    assert asyncio.run(main()) == expected


def test_while_the_first_answer_does_not_come_more_get_a_turn() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        now = [loop.time()]
        real, looks = loop.call_later, []
        loop.time = lambda: now[0]  # type: ignore[method-assign]
        loop.call_later = lambda seconds, look, *given: looks.append((look, given)) or real(0, lambda: None)  # type: ignore
        turns = Turns(64, 256, lambda: float("inf"), COST)
        first, tasks = await _under_way(turns, 300)
        counts = [first]
        for seconds in (0.5, 0.02, 0.1, 1.0):  # at first nothing was sent
            now[0] += seconds
            if len(counts) == 2:
                turns.since = now[0] - seconds
            ((look, given),) = looks
            looks.clear()
            look(*given)
            await asyncio.sleep(0)
            counts.append(sum(task.done() for task in tasks))
        await _end(tasks)
        return counts

    assert asyncio.run(main()) == [64, 64, 109, 256, 256]


def test_with_time_there_are_as_many_as_keep_the_loop_busy() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        turns = Turns(64, 256, lambda: 0.012, COST)
        now = [0]
        most = [0]

        async def call() -> None:
            await turns.take(loop)
            now[0] += 1
            most[0] = max(most[0], now[0])
            await asyncio.sleep(0)
            now[0] -= 1
            turns.give_back(loop)

        await asyncio.gather(*(call() for _ in range(100)))
        assert most[0] == 64  # the root of 100 times 0.012 / 0.0005 is less
        for _ in range(10):
            await asyncio.gather(*(call() for _ in range(150)))
        return most[0]

    assert asyncio.run(main()) == 120  # 0.012 seconds of a loop that takes 0.0001 for each
