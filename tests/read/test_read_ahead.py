"""The cache "prefetch": the bytes of the file, ahead where a reader goes on, never far more than asked."""

from __future__ import annotations

import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsspec_guarded_s3 import ObjectChangedError
from fsspec_guarded_s3._read.read_ahead import PrefetchCache
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import ScriptedServer

DATA = period_free(3_000_000, seed=5)
BLOCK = 200_000


class Fetcher:
    """Fetches from DATA, and remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.fails = False

    def __call__(self, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        if self.fails:
            raise ConnectionError("gone")
        return DATA[start:stop]


def cache(fetcher: Fetcher, block: int = BLOCK) -> PrefetchCache:
    return PrefetchCache(block, fetcher, len(DATA))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(DATA) + 10), st.integers(0, 500_000), st.booleans()), max_size=25),
    st.sampled_from([1, 1000, BLOCK, 10 * MIB]),
)
def test_any_reads_give_the_bytes_of_the_file(reads: list[tuple[int, int, bool]], block: int) -> None:
    """Here and there, or on from the last one."""
    reader = cache(Fetcher(), max(block, 1000))
    place = 0
    for start, count, goes_on in reads:
        start = place if goes_on else start
        assert reader._fetch(start, start + count) == DATA[start : start + count]
        place = min(start + count, len(DATA))
    reader.close()


def test_front_to_back_asks_for_every_byte_once_and_ahead() -> None:
    fetcher = Fetcher()
    reader = cache(fetcher)
    for start in range(0, 1_000_000, 50_000):
        assert reader._fetch(start, start + 50_000) == DATA[start : start + 50_000]
    reader.close()
    asked = sorted(fetcher.asked)
    assert [start for start, _ in asked[1:]] == [stop for _, stop in asked[:-1]], "no gap, nothing twice"
    assert asked[-1][1] > 1_000_000
    assert asked[-1][1] <= 1_000_000 + 5 * BLOCK, "bounded"
    assert max(stop - start for start, stop in asked) <= BLOCK


def test_reads_here_and_there_ask_for_little_more() -> None:
    fetcher = Fetcher()
    reader = cache(fetcher)
    for start in (2_000_000, 100_000, 1_500_000, 700_000, 2_900_000):
        assert reader._fetch(start, start + 1000) == DATA[start : start + 1000]
    reader.close()
    assert len(fetcher.asked) == 5
    assert sum(stop - start for start, stop in fetcher.asked) <= 5 * 65536


def forward(reader: PrefetchCache, count: int, passed: int, times: int = 1000) -> int:
    """Read `count` bytes and pass over some, up to the end of the file; where it came to."""
    place = 100
    for _ in range(times):
        if place + count > len(DATA):
            break
        assert reader._fetch(place, place + count) == DATA[place : place + count]
        place += count + passed
    reader.close()
    return place


@pytest.mark.parametrize(("count", "passed"), [(16, 130_000), (4000, 6000), (50_000, 100_000), (1, 65536)])
def test_who_goes_forward_by_short_jumps_is_read_ahead_for(count: int, passed: int) -> None:
    """The headers of a tar file, some bytes of each row: each read was a request, or every sixth of them."""
    fetcher = Fetcher()
    forward(cache(fetcher, 400_000), count, passed)
    assert len(fetcher.asked) <= 14
    assert max(stop - start for start, stop in fetcher.asked) <= 400_000
    assert sum(stop - start for start, stop in fetcher.asked) <= len(DATA)


def test_jumps_of_a_near_store_are_read_at_random() -> None:
    fetcher = Fetcher()
    reader = cache(fetcher, 400_000)
    reader.is_distant = lambda: False
    forward(reader, 16, 130_000)
    assert len(fetcher.asked) == 24


@pytest.mark.parametrize(("count", "passed"), [(512, 25_000), (16, 60_000), (20_000, 64_000)])
def test_who_goes_forward_by_less_than_a_request_costs_is_read_ahead_for_from_a_near_store(
    count: int, passed: int
) -> None:
    """The headers of a tar of small files: a request for every 64 KiB."""
    fetcher = Fetcher()
    reader = cache(fetcher, 400_000)
    reader.is_distant = lambda: False
    forward(reader, count, passed)
    assert len(fetcher.asked) <= 14
    assert sum(stop - start for start, stop in fetcher.asked) <= len(DATA)


def test_longer_jumps_are_read_at_random() -> None:
    """One is long that passes over more than a quarter of what a round trip is worth, 1 MiB here."""
    for passed, is_ahead in ((MIB // 4 - 65536, True), (MIB // 4 + 1, False)):
        fetcher = Fetcher()
        reads = 6
        reader = cache(fetcher, 400_000)
        forward(reader, 65536, passed, reads)
        sizes = [stop - start for start, stop in fetcher.asked]
        assert (max(sizes) > 65536) is is_ahead
        assert is_ahead or sizes == [65536] * reads


def test_who_stops_after_some_jumps_has_asked_for_a_few_times_as_much_as_it_came_over() -> None:
    for times in range(1, 8):
        fetcher = Fetcher()
        place = forward(cache(fetcher, 400_000), 1000, 100_000, times)
        assert max(stop for _, stop in fetcher.asked) <= max(place, 65536 + place) + 4 * place


def test_two_places_that_are_read_in_turns_are_no_jumps() -> None:
    fetcher = Fetcher()
    reader = cache(fetcher, 400_000)
    for number in range(40):
        for begin in (100, 1_500_000):
            place = begin + number * 10_000
            assert reader._fetch(place, place + 10_000) == DATA[place : place + 10_000]
    assert sum(stop - start for start, stop in fetcher.asked) <= 2 * 400_000 + 2 * 65536


@pytest.mark.parametrize("distant", [True, False])
@pytest.mark.parametrize("count", [10, 1000, 20_000])
@pytest.mark.parametrize("seed", range(4))
def test_random_reads_of_one_neighbourhood_take_few_requests(distant: bool, count: int, seed: int) -> None:
    """Each of 100 places of 512 KiB of a large file; it was a request for nearly every 64 KiB piece of it."""
    fetcher = Fetcher()
    reader = cache(fetcher, 450_000)
    reader.is_distant = lambda: distant
    choice = random.Random(seed)
    for _ in range(100):
        start = 1_000_000 + choice.randrange(MIB // 2)
        assert reader._fetch(start, start + count) == DATA[start : start + count]
    reader.close()
    assert (len(fetcher.asked) <= 10) is distant
    asked = sum(stop - start for start, stop in fetcher.asked)
    assert not distant or asked <= 4 * MIB // 2


@pytest.mark.parametrize("step", [100_000, -100_000])
def test_who_goes_on_in_a_neighbourhood_gets_the_side_to_which_it_goes(step: int) -> None:
    """In turns with another place, so that these are no jumps."""
    fetcher = Fetcher()
    reader = cache(fetcher, 450_000)
    begin = 1_500_000
    for number in range(3):
        for place in (begin + number * step, (100, 2_900_000)[number % 2]):
            assert reader._fetch(place, place + 1000) == DATA[place : place + 1000]
    asked = [(start, stop) for start, stop in fetcher.asked if stop - start > 65536]
    place = begin + 2 * step
    spans = 200_000 + (65_536 if step > 0 else 0)
    assert asked == [(place, begin + 2 * spans) if step > 0 else (begin - 2 * spans, place + 65_536)]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2_900_000), st.integers(1, 100_000)), max_size=60),
    st.sampled_from([100_000, 450_000]),
    st.sampled_from([200_000, MIB]),
)
def test_random_reads_never_lose_more_than_their_round_trips(
    reads: list[tuple[int, int]], block: int, worth: int
) -> None:
    """Every second request at most brings a neighbourhood; what is kept has a limit."""
    fetcher = Fetcher()
    reader = cache(fetcher, block)
    reader.worth_of_round_trip = lambda: worth
    for start, count in reads:
        before = len(fetcher.asked)
        assert bytes(reader.piece(start, start).data[:1]) or start >= len(DATA)
        piece = reader.piece(start, start)
        assert piece.data[start - piece.start :][:count] == DATA[start : min(start + count, piece.stop)]
        assert len(fetcher.asked) <= before + 1
    sizes = [stop - start for start, stop in fetcher.asked]
    wide = sum(size > 65536 for size in sizes)
    assert wide <= len(sizes) - wide
    assert max(sizes, default=0) <= max(65536, min(worth, block))
    assert sum(len(piece.data) for piece in reader._kept) <= 2 * block + MIB + 2 * 65536


def test_a_file_of_six_blocks_is_read_whole_when_its_random_reads_took_as_long() -> None:
    for block, whole in ((len(DATA) // 6 + 1, True), (len(DATA) // 6 - 1000, False)):
        fetcher = Fetcher()
        reader = cache(fetcher, block)
        for start in (2_000_000, 100_000, 1_500_000, 700_000, 2_400_000, 1_100_000):
            assert reader._fetch(start, start + 1000) == DATA[start : start + 1000]
        assert fetcher.asked[2:3] == ([(0, len(DATA))] if whole else [(1_500_000, 1_565_536)])
        assert len(fetcher.asked) == (3 if whole else 6)


def test_a_read_of_everything_is_asked_for_as_a_whole() -> None:
    """The planner of ranges splits it, and puts it into one buffer."""
    fetcher = Fetcher()
    assert cache(fetcher)._fetch(0, len(DATA)) == DATA
    assert fetcher.asked == [(0, len(DATA))]


def test_what_is_missing_of_a_read_is_asked_for_as_a_whole() -> None:
    fetcher = Fetcher()
    reader = cache(fetcher, 10 * MIB)
    assert reader._fetch(500_000, 501_000) == DATA[500_000:501_000]
    assert reader._fetch(500_500, 2_000_000) == DATA[500_500:2_000_000]
    assert fetcher.asked == [(500_000, 565_536), (565_536, 2_000_000)]


@pytest.mark.parametrize("distant", [False, True])
def test_large_reads_of_a_near_store_are_asked_for_as_they_come(distant: bool) -> None:
    """Small ones are read ahead wherever the store is."""
    fetcher = Fetcher()
    reader = cache(fetcher)
    reader.is_distant = lambda: distant
    bounds = [(0, 300_000), (300_000, 700_000), (700_000, 1_000_000)]
    for start, stop in bounds:
        assert reader._fetch(start, stop) == DATA[start:stop]
    assert (fetcher.asked == bounds) is not distant
    for start in range(1_000_000, 1_100_000, 10_000):
        assert reader._fetch(start, start + 10_000) == DATA[start : start + 10_000]
    reader.close()
    assert reader.total_requested_bytes > 1_100_000


def test_a_reader_tells_its_cache_how_far_away_the_store_is() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        fs.pipe_file("bucket/key", DATA)
        with fs.open("bucket/key", block_size=BLOCK) as file:
            assert isinstance(file.cache, PrefetchCache)
            fs._client.store.transport.round_trip = 0.0001
            assert not file.cache.is_distant()
            fs._client.store.transport.round_trip = 0.1
            assert file.cache.is_distant()


def test_an_error_is_raised_where_its_bytes_are_read_and_does_not_stay() -> None:
    fetcher = Fetcher()
    reader = cache(fetcher)
    assert reader._fetch(0, 1000) == DATA[:1000]
    fetcher.fails = True
    with pytest.raises(ConnectionError):
        reader._fetch(500_000, 501_000)
    fetcher.fails = False
    assert reader._fetch(500_000, 501_000) == DATA[500_000:501_000]
    reader.close()


def test_threads_may_share_one() -> None:
    reader = cache(Fetcher())
    wrong: list[int] = []

    def read(number: int) -> None:
        for start in range(number * 1000, len(DATA), 97_003):
            if reader._fetch(start, start + 3000) != DATA[start : start + 3000]:
                wrong.append(start)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    reader.close()
    assert not wrong


def test_what_was_read_ahead_of_a_replaced_object_is_of_the_old_version() -> None:
    """And what was not is an error: never bytes of the new one."""
    fake = FakeS3("bucket")
    fake.put("bucket", "key", DATA)
    with (
        ScriptedServer(handler=fake) as server,
        filesystem(server.url).open("bucket/key", block_size=BLOCK) as file,
    ):
        found = file.read(BLOCK) + file.read(BLOCK)
        fake.put("bucket", "key", bytes(len(DATA)))
        with pytest.raises(ObjectChangedError):
            while piece := file.read(BLOCK):
                found += piece
        assert found == DATA[: len(found)]
        assert len(found) < len(DATA)
