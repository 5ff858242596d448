"""The results in words: Markdown tables of ratios, memory per key, errors; and as JSON."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from .bars import MB, Verdict
from .peers import LOCAL, PEERS
from .runner import Results
from .work import EVERYDAY, TRANSFERS, Work
from .works import WORKS, by_name, title

_PACKAGES = (
    "fsspec_guarded_s3",
    "fsspec",
    "urllib3",
    "isal",
    "s3fs",
    "obstore",
    "boto3",
    "pyarrow",
    "pandas",
    "dask",
    "zarr",
    "xarray",
    "h5netcdf",
    "duckdb",
)
_TITLES = {"wall": "wall time", "cpu": "CPU seconds", "peak": "peak memory"}


def table(results: Results, what: str) -> str:
    """Markdown: a row a work, a column a peer; ours in figures, the peers as multiples of ours."""
    return _table(results, TRANSFERS, _TITLES[what], lambda work, peer: _cell(results, work, peer, what))


def everyday(results: Results) -> str:
    """Markdown: a row a work, a column a peer; seconds and requests."""
    return _table(results, EVERYDAY, "seconds, requests", lambda work, peer: _counted(results, work, peer))


def _table(results: Results, group: str, head: str, cell: Callable[[Work, str], str]) -> str:
    works = [work for work in WORKS if work.group == group and work.name in results.runs]
    if not works:
        return ""
    peers = [peer for peer in PEERS if any(peer in work.peers for work in works)]
    lines = [f"| {head} | {' | '.join(peers)} |", "|---" * (len(peers) + 1) + "|"]
    for work in works:
        cells = " | ".join(cell(work, peer) for peer in peers)
        lines.append(f"| {title(work, results.sizes)} | {cells} |")
    return "\n".join(lines)


# What the README shows of the memory.
_MEMORY = (
    "get",
    "cat_file",
    "get_file",
    "stream",
    "put_file",
    "find few",
    "find many",
    "quarter get_file",
    "quarter put_file",
    "quarter stream",
)


# What the README shows of it: work that people know, one row a kind.
README = ("text lines", "read_csv", "parquet folder", "zarr", "opens", "get tree")
_README = "speed"


def write_tables(path: Path, results: Results) -> None:
    """Replace the tables of the groups that were measured. Raises ValueError when the marks are not there."""
    memory = dataclasses.replace(results, runs={n: r for n, r in results.runs.items() if n in _MEMORY})
    tables = {
        EVERYDAY: [everyday(results), _told(results), "![The same as a plot](benchmarks-everyday.png)"],
        TRANSFERS: [table(results, "wall"), table(memory, "peak"), "![The same as a plot](benchmarks.png)"],
    }
    text = path.read_text()
    for group, parts in tables.items():
        if parts[0]:
            text = _between(text, group, "\n\n".join(part for part in parts if part))
    path.write_text(text)


def write_readme(path: Path, results: Results) -> None:
    """Replace the short table, if all of its works were measured. Raises ValueError without marks."""
    if set(README) <= results.runs.keys():
        short = dataclasses.replace(results, runs={name: results.runs[name] for name in README})
        path.write_text(_between(path.read_text(), _README, f"{everyday(short)}\n\n{_told(results)}"))


def _told(results: Results) -> str:
    sizes = results.sizes
    return (
        f"The store answers after {sizes.near_ms:g} ms and sends 80 MB/s on a connection. "
        "Each cell has the median time, and\nthe most requests of a round. "
        f"Sizes are drawn with a seed, here {sizes.seed}. "
        '"local file" is the same program on local files.'
    )


def _between(text: str, group: str, new: str) -> str:
    begin, end = f"<!-- {group}:begin -->", f"<!-- {group}:end -->"
    before, found, rest = text.partition(begin)
    _, closed, behind = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"there are no marks {begin} and {end}")
    return f"{before}{begin}\n{new}\n{end}{behind}"


def _counted(results: Results, work: Work, peer: str) -> str:
    if peer not in results.runs[work.name]:
        return "-"
    seconds = results.values(work.name, peer, "wall")
    if not seconds:
        return "fails"
    if peer == LOCAL:
        return f"{_short(median(seconds))} s"
    requests = max(results.values(work.name, peer, "requests"))
    return f"{_short(median(seconds))} s, {requests:,.0f}"


def _cell(results: Results, work: Work, peer: str, what: str) -> str:
    if peer not in results.runs[work.name]:
        return "-"
    ours = results.values(work.name, "ours", what)
    values = results.values(work.name, peer, what)
    if not values or not ours:
        return "fails"
    if peer == "ours":
        return _spread(values, 1 / MB if what == "peak" else 1, " MB" if what == "peak" else " s")
    return _spread(values, 1 / median(ours), "")


def _spread(values: list[float], factor: float, unit: str) -> str:
    low, middle, high = (_short(v * factor) for v in (min(values), median(values), max(values)))
    return f"{middle}{unit}" + (f" ({low}-{high})" if len(values) > 1 else "")


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def notes(results: Results) -> list[str]:
    """What does not fit into a table: memory per key, CPU per GB, rounds, errors."""
    lines = []
    for work, keys in (("find few", results.sizes.few_keys), ("find many", results.sizes.many_keys)):
        found = [(peer, results.values(work, peer, "grown")) for peer in PEERS]
        told = [f"{peer} {median(values) / keys:.0f}" for peer, values in found if values]
        if told:
            lines.append(
                f"Bytes of memory per key, {title(by_name(work), results.sizes)}: {', '.join(told)}."
            )
    sent = results.sizes.upload_megabytes * MB / 1e9
    uploads = [(peer, results.values("put_file", peer, "cpu")) for peer in PEERS]
    told = [f"{peer} {median(values) / sent:.2f}" for peer, values in uploads if values]
    if told:
        lines.append(f"CPU seconds per GB of `put_file`: {', '.join(told)}.")
    for work_name, peers in results.runs.items():
        for peer, runs in peers.items():
            errors = [run["error"] for run in runs if "error" in run]
            if errors:
                name = title(by_name(work_name), results.sizes)
                lines.append(
                    f"{peer} failed {len(errors)} of {len(runs)} times at {name}: {errors[-1][:160]}"
                )
    return lines


def markdown(results: Results, judged: list[Verdict]) -> str:
    """Everything, as it is printed."""
    parts = [
        *_headed(
            f"Everyday work, {results.sizes.near_ms:g} ms a request: median seconds, and the most requests "
            f"of a round. Seed {results.sizes.seed}.",
            everyday(results),
        ),
        *_headed(
            "Median (smallest-largest) of the rounds. Ours in figures; a peer's 2.00 is twice ours.",
            *(table(results, what) for what in _TITLES),
        ),
        "\n".join(notes(results)),
        "\n".join(f"{'met    ' if verdict.met else 'NOT met'} {verdict.text}" for verdict in judged),
    ]
    wrong = results.disagreeing()
    parts.append(
        f"Peers saw DIFFERENT bytes: {', '.join(wrong)}" if wrong else "All peers saw the same bytes."
    )
    return "\n\n".join(part for part in parts if part)


def _headed(head: str, *tables: str) -> list[str]:
    found = [table for table in tables if table]
    return [head, *found] if found else []


def as_json(results: Results, judged: list[Verdict]) -> dict[str, Any]:
    """Everything, for a machine."""
    return {
        "machine": {
            "cpus": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "versions": {name: _version(name) for name in _PACKAGES},
        "sizes": results.sizes.as_dict(),
        "shapes": dataclasses.asdict(results.sizes.shapes),
        "groups": {work: by_name(work).group for work in results.runs},
        "titles": {work: title(by_name(work), results.sizes) for work in results.runs},
        "runs": results.runs,
        "bars": [{"text": verdict.text, "met": verdict.met} for verdict in judged],
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
