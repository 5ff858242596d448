"""Many writers at the same time: one wins, and what was acknowledged is there."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from fsspec_guarded_s3 import GuardedS3Error, ObjectChangedError
from tests.data import period_free
from tests.real_stores.checking import No, check
from tests.real_stores.place import IN_PARTS, MIB, Place, Spot

PROCESSES, ROUNDS = 16, 5
THREADS, TIMES = 8, 10


def together(calls: list[Callable[[], Any]]) -> list[Any]:
    """What each of the calls returned or raised; they begin at the same moment."""
    barrier, found = threading.Barrier(len(calls)), [None] * len(calls)

    def run(number: int) -> None:
        barrier.wait()
        try:
            found[number] = calls[number]()
        except Exception as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=[number]) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _race(place: Place, root: str, number: int, begin: Any, won: Any) -> None:
    fs = place.fs()
    wins = []
    for turn in range(ROUNDS):
        begin.wait()
        try:
            if fs.put_if_absent(f"{root}/{turn}", b"%d" % number):
                wins.append(turn)
        except Exception as error:
            wins.append(f"{type(error).__name__}: {error}")
    won.put((number, wins))


@check(f"{PROCESSES} processes race for one key, {ROUNDS} times: one creates it")
def processes_race(place: Place) -> None:
    spot = place.fresh()
    spot.fs.put_if_absent(spot.path("first"), b"")  # a store without creates says so here
    context = multiprocessing.get_context("fork")
    begin, won = context.Barrier(PROCESSES), context.Queue()
    given = [(place, spot.root, number, begin, won) for number in range(PROCESSES)]
    processes = [context.Process(target=_race, args=args, daemon=True) for args in given]
    for process in processes:
        process.start()
    found = dict(won.get(timeout=240) for _ in processes)
    for process in processes:
        process.join()
    errors = [win for wins in found.values() for win in wins if isinstance(win, str)]
    assert not errors, errors[0]
    _one_winner(spot, {turn: [n for n, wins in found.items() if turn in wins] for turn in range(ROUNDS)})


def _one_winner(spot: Spot, winners: dict[int, list[int]]) -> None:
    wrong = [turn for turn, won in winners.items() if len(won) != 1]
    assert not wrong, (
        f"the store is not atomic: in {len(wrong)} of {len(winners)} races it told several that they won"
    )
    for turn, (number,) in winners.items():
        assert spot.body(str(turn)) == b"%d" % number, "the bytes of another than the winner are there"


@check(f"{THREADS} threads race to create, 20 times: one does")
def threads_race(place: Place) -> None:
    spot, winners = place.fresh(), {}
    for turn in range(20):
        path = spot.path(str(turn))
        writers = [partial(spot.fs.put_if_absent, path, b"%d" % n) for n in range(THREADS)]
        found = together(writers)
        raise_first(found)
        winners[turn] = [number for number, won in enumerate(found) if won]
    _one_winner(spot, winners)


@check("4 writers in parts race to create, 3 times: one does")
def parts_race(place: Place) -> None:
    spot, fs, winners = place.fresh(), place.fs(**IN_PARTS), {}
    bodies = [period_free(5 * MIB + 1, seed=number) for number in range(4)]
    for turn in range(3):
        found = together([partial(fs.put_if_absent, spot.path(str(turn)), body) for body in bodies])
        raise_first(found)
        winners[turn] = [number for number, won in enumerate(found) if won]
        wrong = len(winners[turn]) != 1
        assert not wrong, f"the store is not atomic: {len(winners[turn])} of 4 were told that they won"
        assert spot.body(str(turn)) == bodies[winners[turn][0]], "the bytes of another are there"
    spot.assert_no_uploads()


def raise_first(found: list[Any]) -> None:
    for error in found:
        if isinstance(error, Exception):
            raise error


@check(f"`update` by {THREADS} threads, {TIMES} times each: all count")
def updates_race(place: Place) -> None:
    spot = place.fresh()
    path = spot.path("counter")
    spot.fs.pipe_file(path, b"0")

    def count() -> None:
        for _ in range(TIMES):
            spot.fs.update(path, lambda old: b"%d" % (int(old) + 1), max_attempts=100)

    found = together([count] * THREADS)
    lost = THREADS * TIMES - int(spot.body("counter"))
    errors = [error for error in found if isinstance(error, Exception)]
    raise_first(errors)
    assert lost == 0, f"the store is not atomic: {lost} of {THREADS * TIMES} acknowledged updates are lost"


@check("appending by 4 threads, 5 times each: each line is there once")
def appends_race(place: Place) -> str | None:
    spot = place.fresh()
    path = spot.path("log")
    spot.fs.pipe_file(path, b"")
    acknowledged: list[bytes] = []

    def run(number: int) -> None:
        for turn in range(5):
            line = b"%d-%d\n" % (number, turn)
            while True:  # who comes second is told so, and appends again
                try:
                    with spot.fs.open(path, "ab") as file:
                        file.write(line)
                except ObjectChangedError:
                    continue
                acknowledged.append(line)
                break

    raise_first(together([partial(run, number) for number in range(4)]))
    lines = spot.body("log").splitlines(keepends=True)
    lost = [line for line in acknowledged if line not in lines]
    assert not lost, (
        f"the store is not atomic: {len(lost)} of {len(acknowledged)} acknowledged lines are lost"
    )
    assert len(lines) == len(set(lines)), "a line is there twice"
    return None


MOVES = 60


@check(f"`mv` under a rival that writes to its source, {MOVES} times: nothing acknowledged is lost")
def moves_race(place: Place) -> None:
    spot, lost, met = place.fresh(), 0, 0
    fs, source, target = spot.fs, spot.path("source"), spot.path("target")
    guards = fs.probe(source)
    for turn in range(MOVES):
        fs.pipe_file(source, b"old")
        mine = b"rival %d" % turn

        def write(pause: float = turn % 12 / 600, mine: bytes = mine) -> None:
            time.sleep(pause)
            fs.pipe_file(source, mine)

        moved, written = together([partial(fs.mv, source, target), write])
        if isinstance(written, Exception):
            raise written
        if isinstance(moved, Exception) and not isinstance(moved, (ObjectChangedError, FileNotFoundError)):
            if not isinstance(moved, GuardedS3Error):
                raise moved
            met += 1
        lost += mine not in (_bytes(spot, "source"), _bytes(spot, "target"))
    if lost and not (guards.delete or guards.delete_many):
        raise No(
            f"the store keeps no condition of a delete: {lost} of {MOVES} lost, which a log warning says"
        )
    assert not lost, f"the store's delete is not atomic: {lost} of {MOVES} acknowledged writes are lost"


def _bytes(spot: Spot, name: str) -> bytes:
    return spot.body(name) if spot.fs.exists(spot.path(name)) else b""


@check("a swap against a delete of the same version, 300 times: one of the two")
def swap_against_delete(place: Place) -> None:
    spot, both = place.fresh(), 0
    fs, path = spot.fs, spot.path("a")
    for _ in range(300):
        etag = spot.put("a", b"old")
        swapped, deleted = together(
            [partial(fs.pipe_file, path, b"new", if_match=etag), partial(fs.rm_file, path, if_match=etag)]
        )
        refused = [found for found in (swapped, deleted) if isinstance(found, Exception)]
        for error in refused:
            if not isinstance(error, (ObjectChangedError, FileNotFoundError)):
                raise error
        both += not refused
    assert not both, f"the store is not atomic: in {both} of 300 races both were acknowledged"
