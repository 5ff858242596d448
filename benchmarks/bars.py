"""The bars: what the figures must be, as data, and whether they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from .peers import LOCAL, PEERS, PLAIN
from .runner import Results
from .works import by_name, title

MB = 1e6
# A peak "independent of the object's size": so much larger than that of an object of a quarter of the size.
INDEPENDENT = 1.25


@dataclass(frozen=True)
class Bar:
    """One bar for ours. What `bound` means depends on `kind`:

    - "faster": the peer's time divided by ours is at least `bound`; without a peer, that of every peer is,
      the floor left out;
    - "peak": our peak memory is at most `bound` MB; "peak per object": `bound` times the object;
    - "independent": our peak is at most `bound` times that of the work `peer`;
    - "linear": our time per key is at most `bound` times that of the work `peer`;
    - "cpu": our CPU seconds are at most `bound` of obstore's, or at most the floor's;
    - "best": as "faster" without a peer, but peers that fail do not count;
    - "requests": ours are at most those of the best peer, or one for each 4 MiB and `bound` more;
    - "each": our requests for each object are at most `bound`;
    - "rate": MB a second are at least `bound`.
    """

    work: str
    kind: str
    bound: float
    peer: str = ""


# The everyday works of which each is to be as fast as the fastest peer, and as sparing with requests.
_EVERYDAY = (
    "text lines",
    "binary lines",
    "gzip text",
    "read 8192",
    "read 65536",
    "read 1 MiB",
    "read_csv",
    "parquet folder",
    "dask csv",
    "zarr",
    "opens",
    "get tree",
    "cat_ranges files",
    "gather",
)
NOISE = 0.95
_SLICE = 4 * 2**20

BARS = (
    *(bar for work in _EVERYDAY for bar in (Bar(work, "best", NOISE), Bar(work, "requests", 4))),
    Bar("text lines", "faster", 1.0, "s3fs"),
    Bar("read 8192", "faster", 1.0, "s3fs"),
    Bar("read big", "rate", 100),
    Bar("opens", "each", 1),
    Bar("loopback lines", "faster", 0.9, LOCAL),
    Bar("loopback csv", "faster", 0.9, LOCAL),
    *(
        Bar(f"zarr{work}{kind}", "faster", NOISE, "obstore native")
        for work in ("", " shards", " group", " write")
        for kind in ("", " own")
    ),
    Bar("get", "faster", 10.0, "s3fs"),
    Bar("get", "faster", 2.5, "obstore.fsspec"),
    Bar("get", "faster", 1.0, "obstore native"),
    Bar("cat", "faster", 8.0, "s3fs"),
    Bar("cat", "faster", 2.0, "obstore.fsspec"),
    Bar("ranges", "faster", 5.0, "s3fs"),
    Bar("ranges", "faster", 1.0, "obstore.fsspec"),
    Bar("ranges", "faster", 0.9, "obstore native"),
    Bar("ranges tls", "faster", 5.0, "s3fs"),
    Bar("ranges tls", "faster", 1.0, "obstore.fsspec"),
    Bar("ranges tls", "faster", 0.9, "obstore native"),
    Bar("get_file", "faster", 2.2, "s3fs"),
    Bar("get_file", "faster", 3.0, "obstore.fsspec"),
    Bar("get_file", "faster", 0.9, "floor"),
    Bar("get_file", "peak", 100),
    Bar("cat_file", "faster", 2.6, "s3fs"),
    Bar("cat_file", "faster", 1.8, "obstore.fsspec"),
    Bar("cat_file", "faster", 0.9, "floor"),
    Bar("cat_file", "peak per object", 1.1),
    Bar("cat_file tls", "faster", 1.0),
    Bar("get_file tls", "faster", 1.0),
    Bar("stream", "faster", 1.0, "s3fs"),
    Bar("stream", "faster", 1.0, "obstore native"),
    Bar("slow get_file", "faster", 1.0),
    Bar("slow ranges", "faster", 1.0),
    Bar("slow puts", "faster", 1.0),
    Bar("slow find", "faster", 1.0),
    Bar("put_file", "cpu", 0.5),
    Bar("put_file", "peak", 200),
    Bar("find few", "faster", 12.0, "s3fs"),
    Bar("find few", "faster", 1.0, "obstore.fsspec"),
    Bar("find many", "faster", 12.0, "s3fs"),
    Bar("find many", "faster", 1.0, "obstore.fsspec"),
    Bar("find many", "linear", 1.25, "find few"),
    Bar("parquet", "faster", 1.0, "s3fs"),
    Bar("parquet", "faster", 1.0, "obstore.fsspec"),
    Bar("parquet columns", "faster", 1.0, "s3fs"),
    Bar("parquet columns", "faster", 1.0, "obstore.fsspec"),
    Bar("dask", "faster", 1.0, "s3fs"),
    Bar("first byte", "faster", 2.0, "s3fs"),
    Bar("get_file", "independent", INDEPENDENT, "quarter get_file"),
    Bar("put_file", "independent", INDEPENDENT, "quarter put_file"),
    Bar("stream", "independent", INDEPENDENT, "quarter stream"),
)


@dataclass(frozen=True)
class Verdict:
    """A bar, the sentence about it, and whether it is met."""

    bar: Bar
    text: str
    met: bool


class _Missing(Exception):
    """A figure that a bar needs is not there."""


def verdicts(results: Results) -> list[Verdict]:
    """Every bar whose work was asked for. A figure that is missing is a bar not met."""
    found = []
    for bar in BARS:
        compared = {bar.peer} if bar.kind in ("independent", "linear") else set()
        if not {bar.work, *compared} <= results.runs.keys():
            continue
        name = title(by_name(bar.work), results.sizes)
        try:
            text, met = _judge(bar, results)
        except _Missing as missing:
            text, met = f"no figure for {missing}", False
        found.append(Verdict(bar, f"{name}: {text}", met))
    return found


def _judge(bar: Bar, results: Results) -> tuple[str, bool]:
    judge = _faster_than if bar.kind == "faster" and bar.peer else _JUDGES[bar.kind]
    return judge(bar, results)


def _faster_than(bar: Bar, results: Results) -> tuple[str, bool]:
    theirs = _figure(results, bar.work, bar.peer, "wall")
    ratio = theirs / _figure(results, bar.work, "ours", "wall")
    text = f"{ratio:.2f} times as fast as {bar.peer}, bar {bar.bound:g}"
    if PLAIN in results.runs[bar.work]:
        text += f"; {theirs / _figure(results, bar.work, PLAIN, 'wall'):.2f} without isal"
    return text, ratio >= bar.bound


def _others(bar: Bar, results: Results) -> list[str]:
    return [p for p in PEERS if p in results.runs[bar.work] and p not in ("ours", PLAIN, LOCAL, "floor")]


def _able(bar: Bar, results: Results) -> list[str]:
    """The peers that did the work each time."""
    runs = results.runs[bar.work]
    able = [p for p in _others(bar, results) if not any("error" in run for run in runs[p])]
    if not able:
        raise _Missing(f"any peer, {title(by_name(bar.work), results.sizes)}")
    return able


def _faster_than_all(bar: Bar, results: Results) -> tuple[str, bool]:
    others = (_able if bar.kind == "best" else _others)(bar, results)
    best = min(others, key=lambda peer: _figure(results, bar.work, peer, "wall"))
    ratio = _figure(results, bar.work, best, "wall") / _figure(results, bar.work, "ours", "wall")
    return f"{ratio:.2f} times as fast as the best peer, {best}, bar {bar.bound:g}", ratio >= bar.bound


def _requests(bar: Bar, results: Results) -> tuple[str, bool]:
    def most(peer: str) -> float:
        _figure(results, bar.work, peer, "requests")
        return max(results.values(bar.work, peer, "requests"))

    best = min(_able(bar, results), key=most)
    slices = _figure(results, bar.work, "ours", "size") / _SLICE + bar.bound
    limit = max(most(best), slices)
    text = f"{most('ours'):.0f} requests, the best peer, {best}, {most(best):.0f}, bar {limit:.0f}"
    return text, most("ours") <= limit


def _each(bar: Bar, results: Results) -> tuple[str, bool]:
    requests, objects = (_figure(results, bar.work, "ours", what) for what in ("requests", "objects"))
    text = f"{requests / objects:.2f} requests an object, bar {bar.bound:g}"
    return text, requests <= bar.bound * objects


def _rate(bar: Bar, results: Results) -> tuple[str, bool]:
    rate = _figure(results, bar.work, "ours", "size") / MB / _figure(results, bar.work, "ours", "wall")
    return f"{rate:.0f} MB/s, bar {bar.bound:g}", rate >= bar.bound


def _cpu(bar: Bar, results: Results) -> tuple[str, bool]:
    ours = _figure(results, bar.work, "ours", "cpu")
    obstore = min(_figure(results, bar.work, p, "cpu") for p in ("obstore.fsspec", "obstore native"))
    floor = _figure(results, bar.work, "floor", "cpu")
    text = f"CPU seconds {ours / obstore:.2f} of obstore's, bar {bar.bound:g}"
    text += f"; {ours / floor:.2f} of the floor's"
    text += f"; {_figure(results, bar.work, PLAIN, 'cpu') / obstore:.2f} of obstore's without isal"
    return text, ours <= max(bar.bound * obstore, floor)


def _linear(bar: Bar, results: Results) -> tuple[str, bool]:
    keys = results.sizes.many_keys / results.sizes.few_keys
    ratio = _figure(results, bar.work, "ours", "wall") / _figure(results, bar.peer, "ours", "wall") / keys
    return f"time per key {ratio:.2f} of that with fewer keys, bar {bar.bound:g}", ratio <= bar.bound


def _independent(bar: Bar, results: Results) -> tuple[str, bool]:
    ratio = _figure(results, bar.work, "ours", "peak") / _figure(results, bar.peer, "ours", "peak")
    text = f"peak memory {ratio:.2f} of that with a quarter of the size, bar {bar.bound:g}"
    return text, ratio <= bar.bound


def _peak(bar: Bar, results: Results) -> tuple[str, bool]:
    peak = _figure(results, bar.work, "ours", "peak")
    limit = bar.bound * MB * (results.sizes.megabytes if bar.kind == "peak per object" else 1)
    return f"peak memory {peak / MB:.0f} MB, bar {limit / MB:.0f} MB", peak <= limit


_JUDGES: dict[str, Callable[[Bar, Results], tuple[str, bool]]] = {
    "faster": _faster_than_all,
    "best": _faster_than_all,
    "requests": _requests,
    "each": _each,
    "rate": _rate,
    "cpu": _cpu,
    "linear": _linear,
    "independent": _independent,
    "peak": _peak,
    "peak per object": _peak,
}


def _figure(results: Results, work: str, peer: str, what: str) -> float:
    values = results.values(work, peer, what)
    if not values or len(values) < len(results.runs[work][peer]):
        raise _Missing(f"{peer}, {title(by_name(work), results.sizes)}")
    return median(values)
