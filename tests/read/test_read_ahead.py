"""The cache "prefetch": the bytes of the file, ahead where a reader goes on, never far more than asked."""

from __future__ import annotations

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
