"""The plot for the README: how many times as long as ours each peer takes, on a logarithmic axis."""

from __future__ import annotations

from statistics import median
from typing import Any

from .runner import Results
from .work import EVERYDAY, TRANSFERS, Work
from .works import WORKS, title

_SHOWN = ("s3fs", "obstore.fsspec", "obstore native", "boto3", "pyarrow")
_COLOURS = ("#d95f02", "#7570b3", "#1b9e77", "#e6ab02", "#999999")
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


def plot(results: Results, path: str) -> None:
    """Write the PNG `path`: a panel a group, one group of bars a work, with the rounds' spread."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [(group, works) for group in (EVERYDAY, TRANSFERS) if (works := _works(results, group))]
    if not panels:
        return
    heights = [1 + len(works) for _, works in panels]
    figure, found = pyplot.subplots(
        len(panels),
        squeeze=False,
        figsize=(9, 1.2 + 0.5 * sum(heights)),
        layout="constrained",
        height_ratios=heights,
    )
    for (group, works), axes in zip(panels, found[:, 0], strict=True):
        _panel(results, works, axes)
        axes.set_title(f"{group} ({results.sizes.near_ms:g} ms a request)" if group == EVERYDAY else group)
    handles, labels = found[-1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(_SHOWN))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _works(results: Results, group: str) -> list[Work]:
    """The works that ours and a peer did."""
    works = [work for work in WORKS if work.group == group and len(results.runs.get(work.name, {})) > 1]
    return [work for work in works if results.values(work.name, "ours", "wall")]


def _panel(results: Results, works: list[Work], axes: Any) -> None:
    height = 0.8 / len(_SHOWN)
    for column, (peer, colour) in enumerate(zip(_SHOWN, _COLOURS, strict=True)):
        places, widths, lows, highs = [], [], [], []
        for row, work in enumerate(works):
            ours = median(results.values(work.name, "ours", "wall"))
            ratios = [value / ours for value in results.values(work.name, peer, "wall")]
            if ratios:
                middle = median(ratios)
                places.append(row + (column - (len(_SHOWN) - 1) / 2) * height)
                widths.append(middle - 1)
                lows.append(middle - min(ratios))
                highs.append(max(ratios) - middle)
        error = {"xerr": (lows, highs), "error_kw": {"lw": 0.7}}
        axes.barh(places, widths, height, left=1, label=peer, color=colour, **error)
    axes.axvline(1, color="black", lw=1)
    axes.set_xscale("log")
    axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
    axes.minorticks_off()
    axes.set_yticks(range(len(works)), [title(work, results.sizes).replace("`", "") for work in works])
    axes.set_ylim(len(works) - 0.5, -0.5)
    axes.set_xlabel("wall time as a multiple of ours: right of 1 is slower than ours")
    axes.grid(axis="x", alpha=0.3)
