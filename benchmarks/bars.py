"""The bars: what the figures must be, as data, and whether they are."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from .peers import PEERS, PLAIN
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
    - "cpu": our CPU seconds are at most `bound` of obstore's, or at most the floor's.
    """

    work: str
    kind: str
    bound: float
    peer: str = ""


BARS = (
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
    if bar.kind == "faster" and bar.peer:
        theirs = _figure(results, bar.work, bar.peer, "wall")
        ratio = theirs / _figure(results, bar.work, "ours", "wall")
        text = f"{ratio:.2f} times as fast as {bar.peer}, bar {bar.bound:g}"
        if PLAIN in results.runs[bar.work]:
            text += f"; {theirs / _figure(results, bar.work, PLAIN, 'wall'):.2f} without isal"
        return text, ratio >= bar.bound
    if bar.kind == "faster":
        others = [p for p in PEERS if p in results.runs[bar.work] and p not in ("ours", PLAIN, "floor")]
        best = min(others, key=lambda peer: _figure(results, bar.work, peer, "wall"))
        ratio = _figure(results, bar.work, best, "wall") / _figure(results, bar.work, "ours", "wall")
        return f"{ratio:.2f} times as fast as the best peer, {best}, bar {bar.bound:g}", ratio >= bar.bound
    if bar.kind == "cpu":
        ours = _figure(results, bar.work, "ours", "cpu")
        obstore = min(_figure(results, bar.work, p, "cpu") for p in ("obstore.fsspec", "obstore native"))
        floor = _figure(results, bar.work, "floor", "cpu")
        text = f"CPU seconds {ours / obstore:.2f} of obstore's, bar {bar.bound:g}"
        text += f"; {ours / floor:.2f} of the floor's"
        text += f"; {_figure(results, bar.work, PLAIN, 'cpu') / obstore:.2f} of obstore's without isal"
        return text, ours <= max(bar.bound * obstore, floor)
    if bar.kind == "linear":
        sizes = results.sizes
        keys = sizes.many_keys / sizes.few_keys
        ratio = _figure(results, bar.work, "ours", "wall") / _figure(results, bar.peer, "ours", "wall") / keys
        return f"time per key {ratio:.2f} of that with fewer keys, bar {bar.bound:g}", ratio <= bar.bound
    peak = _figure(results, bar.work, "ours", "peak")
    if bar.kind == "independent":
        ratio = peak / _figure(results, bar.peer, "ours", "peak")
        return (
            f"peak memory {ratio:.2f} of that with a quarter of the size, bar {bar.bound:g}",
            ratio <= bar.bound,
        )
    limit = bar.bound * MB * (results.sizes.megabytes if bar.kind == "peak per object" else 1)
    return f"peak memory {peak / MB:.0f} MB, bar {limit / MB:.0f} MB", peak <= limit


def _figure(results: Results, work: str, peer: str, what: str) -> float:
    values = results.values(work, peer, what)
    if not values or len(values) < len(results.runs[work][peer]):
        raise _Missing(f"{peer}, {title(by_name(work), results.sizes)}")
    return median(values)
