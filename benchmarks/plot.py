"""The plots of the documents: how many times as long as ours each peer takes, on a logarithmic axis."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from .report import README
from .runner import Results
from .work import EVERYDAY, TRANSFERS, Work
from .works import WORKS, title

_COLOURS = {
    "s3fs": "#d95f02",
    "obstore.fsspec": "#7570b3",
    "obstore native": "#1b9e77",
    "boto3": "#e6ab02",
    "pyarrow": "#999999",
}
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


def plot(results: Results, path: Path) -> None:
    """Write the PNG `path` of the transfers, and beside it those of everyday work, of what was measured.

    One of these has all works, the other those of the README. A group of bars is a work, with its spread.
    """
    everyday = _works(results, EVERYDAY)
    shown = {work.name: work for work in everyday if work.name in README}
    short = [shown[name] for name in README if len(shown) == len(README)]
    for works, end in ((_works(results, TRANSFERS), ""), (everyday, f"-{EVERYDAY}"), (short, "-readme")):
        if works:
            _draw(results, works, str(path.with_stem(path.stem + end)))


def _draw(results: Results, works: list[Work], path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [peer for peer in _COLOURS if any(peer in results.runs[work.name] for work in works)]
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.1 * len(shown) * len(works)), layout="constrained")
    _panel(results, works, shown, axes)
    figure.legend(loc="outside upper center", ncols=len(shown))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _works(results: Results, group: str) -> list[Work]:
    """The works that ours and a peer of the plot did."""
    works = [
        work
        for work in WORKS
        if work.group == group and results.runs.get(work.name, {}).keys() & _COLOURS.keys()
    ]
    return [work for work in works if results.values(work.name, "ours", "wall")]


def _panel(results: Results, works: list[Work], shown: list[str], axes: Any) -> None:
    height = 0.8 / len(shown)
    for column, peer in enumerate(shown):
        places, widths, lows, highs = [], [], [], []
        for row, work in enumerate(works):
            ours = median(results.values(work.name, "ours", "wall"))
            ratios = [value / ours for value in results.values(work.name, peer, "wall")]
            if ratios:
                middle = median(ratios)
                places.append(row + (column - (len(shown) - 1) / 2) * height)
                widths.append(middle - 1)
                lows.append(middle - min(ratios))
                highs.append(max(ratios) - middle)
        error = {"xerr": (lows, highs), "error_kw": {"lw": 0.7}}
        axes.barh(places, widths, height, left=1, label=peer, color=_COLOURS[peer], **error)
    axes.axvline(1, color="black", lw=1)
    axes.set_xscale("log")
    axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
    axes.minorticks_off()
    axes.set_yticks(range(len(works)), [title(work, results.sizes).replace("`", "") for work in works])
    axes.set_ylim(len(works) - 0.5, -0.5)
    axes.set_xlabel("wall time as a multiple of ours: right of 1 is slower than ours")
    axes.grid(axis="x", alpha=0.3)
