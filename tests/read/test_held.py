"""A file of up to six blocks keeps what has come of it: no byte is asked for twice."""

from __future__ import annotations

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsspec_guarded_s3._read.arriving import Piece
from fsspec_guarded_s3._read.held import Held
from fsspec_guarded_s3._read.read_ahead import PrefetchCache
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import ScriptedServer

DATA = period_free(3_000_000, seed=9)
SIZE = 300


class Fetcher:
    """Fetches from DATA, and remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def __call__(self, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        return DATA[start:stop]

    @property
    def bytes_asked(self) -> int:
        return sum(stop - start for start, stop in self.asked)


def cache(fetcher: Fetcher, *, block: int = 600_000, distant: bool = True) -> PrefetchCache:
    reader = PrefetchCache(block, fetcher, len(DATA))
    reader.is_distant = lambda: distant
    return reader


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, 90)), max_size=12), st.integers(0, 80))
def test_pieces_in_any_order(added: list[tuple[int, int]], worth: int) -> None:
    held, there = Held(), set[int]()
    for start, count in added:
        stop = min(start + count, SIZE)
        held.add(Piece(start, stop, DATA[start:stop]))
        there.update(range(start, stop))
    missing = [position for position in range(SIZE) if position not in there]
    for position in range(SIZE):
        piece = held.at(position)
        assert (piece is None) is (position not in there)
        if piece is not None:
            assert piece.start <= position < piece.stop and piece.data == DATA[piece.start : piece.stop]
        end = next((one for one in missing if one >= position), SIZE)
        assert held.end_of_run(position) == end
        assert held.covers(position, min(position + 20, SIZE)) is (end >= min(position + 20, SIZE))
    assert sum(len(piece.data) for piece in held._pieces) == len(there), "nothing twice"
    for position in missing:
        behind = [one for one in there if one > position]
        assert held.next(position, SIZE) == min(behind, default=SIZE)
        start, stop = held.missing(position, SIZE, worth)
        assert start in missing and stop - 1 in missing and start <= position < stop
        assert held.trimmed(max(0, position - 50), min(SIZE, position + 50)) == (
            min(one for one in missing if one >= position - 50),
            max(one for one in missing if one < position + 50) + 1,
        )
        if not worth:
            assert stop - start == len([one for one in missing if start <= one < stop])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(DATA)), st.integers(0, 900_000), st.booleans()), max_size=25),
    st.booleans(),
)
def test_any_reads_give_the_bytes_of_the_file(reads: list[tuple[int, int, bool]], distant: bool) -> None:
    fetcher = Fetcher()
    reader = cache(fetcher, distant=distant)
    place = 0
    for start, count, goes_on in reads:
        start = place if goes_on else start
        assert reader._fetch(start, start + count) == DATA[start : start + count]
        place = min(start + count, len(DATA))
    assert sum(len(piece.data) for piece in reader._held._pieces) <= len(DATA)
    reader.close()
    assert not reader._held._pieces


@pytest.mark.parametrize("distant", [True, False])
@pytest.mark.parametrize("count", [1000, 50_000, 300_000])
def test_a_second_pass_asks_for_nothing(distant: bool, count: int) -> None:
    fetcher = Fetcher()
    reader = cache(fetcher, distant=distant)
    for _ in range(3):
        for start in range(0, len(DATA), count):
            assert reader._fetch(start, start + count) == DATA[start : start + count]
    assert fetcher.bytes_asked == len(DATA)
    assert reader._fetch(0, len(DATA)) == DATA
    assert fetcher.bytes_asked == len(DATA)


@pytest.mark.parametrize("seed", range(4))
def test_a_scan_and_then_random_places_ask_for_hardly_more_than_the_file(seed: int) -> None:
    """An index of a tar, and then some of its members: the second part asked for most of it again."""
    fetcher = Fetcher()
    reader = cache(fetcher)
    for start in range(0, len(DATA), 90_000):
        assert reader._fetch(start, start + 512) == DATA[start : start + 512]
    choice = random.Random(seed)
    for _ in range(40):
        start = choice.randrange(len(DATA) - 70_000)
        assert reader._fetch(start, start + 70_000) == DATA[start : start + 70_000]
    assert fetcher.bytes_asked <= len(DATA) + 4 * 65536, "and a few short pieces, which cost no request more"
    assert len(fetcher.asked) <= 12


def test_what_came_before_a_jump_is_kept() -> None:
    fetcher = Fetcher()
    reader = cache(fetcher)
    for start in range(0, 500_000, 50_000):
        reader._fetch(start, start + 50_000)
    reader._fetch(2_900_000, 2_900_100)
    before = len(fetcher.asked)
    assert reader._fetch(100, 500_000) == DATA[100:500_000]
    assert len(fetcher.asked) == before


def test_a_larger_file_keeps_as_little_as_before() -> None:
    fetcher = Fetcher()
    reader = cache(fetcher, block=400_000)
    for _ in range(2):
        for start in range(0, len(DATA), 50_000):
            assert reader._fetch(start, start + 50_000) == DATA[start : start + 50_000]
    assert not reader._held._pieces
    assert fetcher.bytes_asked > len(DATA)


@pytest.mark.parametrize("rest", [sys.maxsize, 100_000])
def test_a_file_that_was_streamed_is_read_again_without_a_request(rest: int) -> None:
    fake = FakeS3("bucket")
    data = period_free(6 * MIB, seed=10)
    fake.put("bucket", "key", data)
    with ScriptedServer(handler=fake) as server, filesystem(server.url).open("bucket/key") as file:
        assert b"".join(iter(lambda: file.read(100_000), b"")) == data
        before = len(server.requests)
        file.seek(0)
        found = []
        while piece := file.read(rest):
            found.append(piece)
        assert b"".join(found) == data
        assert len(server.requests) == before
