"""The plot for the README: how many times as long as ours each peer takes, on a logarithmic axis."""

from __future__ import annotations

from statistics import median

from .runner import Results
from .work import TRANSFERS
from .works import WORKS, title

_SHOWN = ("s3fs", "obstore.fsspec", "obstore native", "boto3", "pyarrow")
_COLOURS = ("#d95f02", "#7570b3", "#1b9e77", "#e6ab02", "#999999")
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


def plot(results: Results, path: str) -> None:
    """Write the PNG `path`: one group of bars a work, with the smallest and largest of the rounds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    works = [work for work in WORKS if work.group == TRANSFERS and len(results.runs.get(work.name, {})) > 1]
    works = [work for work in works if results.values(work.name, "ours", "wall")]
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.5 * len(works)), layout="constrained")
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
    figure.legend(loc="outside upper center", ncols=len(_SHOWN))
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
