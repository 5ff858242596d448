"""What is told of a run: tables with requests, bars, and the README between its marks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bars import BARS, verdicts
from benchmarks.report import README as SHORT
from benchmarks.report import as_json, everyday, markdown, write_readme, write_tables
from benchmarks.runner import Results
from benchmarks.sizes import Sizes
from tests.documents import DOCS, ROOT

MIB = 2**20


def results(work: str, **peers: dict[str, Any]) -> Results:
    """One round of `work`; a peer's name is written with underscores."""
    found = Results(Sizes(seed=5))
    for peer, figures in peers.items():
        whole = {"wall": 1.0, "cpu": 1.0, "peak": 1e6, "check": 1, "requests": 1, "size": 0, "objects": 1}
        run = figures if "error" in figures else {**whole, **figures}
        found.add(work, peer.replace("_", " "), run)
    return found


def judged(found: Results) -> dict[str, bool]:
    return {verdict.bar.kind: verdict.met for verdict in verdicts(found)}


def test_the_table_has_seconds_and_requests_and_says_who_fails() -> None:
    found = results("get tree", ours={"wall": 0.5, "requests": 1200}, s3fs={"error": "ValueError: no"})
    found.add("get tree", "local file", {"wall": 0.25, "requests": 0, "check": 1})
    row = everyday(found).splitlines()[-1]
    assert [cell.strip() for cell in row.split("|")[2:5]] == ["0.25 s", "0.50 s, 1,200", "fails"]
    assert "s3fs failed 1 of 1 times" in markdown(found, []) and "ValueError: no" in markdown(found, [])
    assert as_json(found, [])["runs"]["get tree"]["s3fs"] == [{"error": "ValueError: no"}]


def test_the_most_requests_of_all_rounds_are_shown() -> None:
    found = results("opens", ours={"requests": 9})
    found.add("opens", "ours", {"wall": 3.0, "requests": 4, "check": 1})
    assert "2.00 s, 9 |" in everyday(found)


def test_a_wrong_result_is_said() -> None:
    found = results("cp", ours={}, s3fs={"check": 2})
    assert found.disagreeing() == ["cp (ours 1, s3fs 2)"]
    assert "DIFFERENT bytes: cp" in markdown(found, [])
    assert results("cp", ours={}, s3fs={"error": "no"}).disagreeing() == []


@pytest.mark.parametrize(
    ("ours", "size", "met"),
    [(7, 0, True), (8, 0, False), (14, 40 * MIB, True), (15, 40 * MIB, False)],
    ids=["as the best peer", "more", "as the slices", "more than the slices"],
)
def test_the_bar_of_requests(ours: int, size: int, met: bool) -> None:
    found = results(
        "text lines", ours={"requests": ours, "size": size}, s3fs={"requests": 7}, pyarrow={"requests": 90}
    )
    assert judged(found)["requests"] is met


def test_the_bar_of_seconds_is_the_fastest_peer_that_does_the_work() -> None:
    others: dict[str, Any] = {"pyarrow": {"error": "no"}, "local_file": {"wall": 0.01}}
    assert judged(results("dask csv", ours={"wall": 1.05}, s3fs={}, **others))["best"]
    assert not judged(results("dask csv", ours={"wall": 1.06}, s3fs={}, **others))["best"]
    assert not judged(results("dask csv", ours={"error": "no"}, s3fs={}))["best"]
    assert not judged(results("dask csv", ours={}, **others))["best"]  # nobody to compare with


def test_the_bars_of_rate_and_of_requests_for_each_object() -> None:
    assert judged(results("read big", ours={"size": 100e6, "wall": 1.0}))["rate"]
    assert not judged(results("read big", ours={"size": 100e6, "wall": 1.1}))["rate"]
    opens = {"size": 5000, "objects": 50}
    assert judged(results("opens", ours={**opens, "requests": 50}, s3fs={}))["each"]
    assert not judged(results("opens", ours={**opens, "requests": 51}, s3fs={}))["each"]


def test_every_bar_is_of_a_work_that_there_is() -> None:
    from benchmarks.works import WORKS

    assert {bar.work for bar in BARS} <= {work.name for work in WORKS}


def test_tables_are_replaced_between_their_marks_only(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    text = (DOCS / "benchmarks.md").read_text()
    path.write_text(text)
    write_tables(path, results("opens", ours={"requests": 50}))
    once = path.read_text()
    assert "| 1.00 s, 50 |" in once and "with a seed, here 5" in once
    assert once.split("<!-- everyday:end -->")[1] == text.split("<!-- everyday:end -->")[1]
    write_tables(path, results("get", ours={"wall": 7.0}))
    twice = path.read_text()
    assert "| 7.00 s |" in twice and "| 1.00 s, 50 |" in twice
    path.write_text("no marks")
    with pytest.raises(ValueError, match="everyday:begin"):
        write_tables(path, results("opens", ours={}))


def test_the_readme_has_six_works_of_one_run(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    text = (ROOT / "README.md").read_text()
    path.write_text(text)
    write_readme(path, results("opens", ours={"requests": 50}))
    assert path.read_text() == text
    found = results(SHORT[0], ours={"requests": 50})
    for work in SHORT[1:]:
        found.add(work, "ours", found.runs[SHORT[0]]["ours"][0])
    write_readme(path, found)
    assert path.read_text().count("| 1.00 s, 50 |") == 6
    assert path.read_text().split("<!-- speed:end -->")[1] == text.split("<!-- speed:end -->")[1]


def test_the_readme_shows_rows_of_the_documents() -> None:
    """What is there was written by the same run, not by hand."""
    text = (ROOT / "README.md").read_text()
    for mark, page, begins in (("guards", "guards.md", "guards"), ("speed", "benchmarks.md", "everyday")):
        short = text.split(f"<!-- {mark}:begin -->")[1].split(f"<!-- {mark}:end -->")[0]
        whole = (DOCS / page).read_text().split(f"<!-- {begins}:begin -->")[1]
        rows = [line for line in short.splitlines() if line.startswith("|")][2:]
        assert len(rows) == 6
        assert [row for row in rows if row.split("|")[1] not in whole] == []


def test_json_holds_what_is_needed_to_repeat_a_run() -> None:
    told = as_json(results("opens", ours={}), [])
    assert told["groups"] == {"opens": "everyday"}
    assert told["sizes"]["seed"] == 5 and told["shapes"]["seed"] == 5
    json.dumps(told)


def test_each_group_that_was_measured_has_a_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="an extra of the benchmarks")
    from benchmarks.plot import plot

    found = results("opens", ours={}, s3fs={"wall": 2.0})
    found.add("text lines", "ours", {"wall": 1.0, "check": 1})  # no peer to compare with
    path = tmp_path / "plot.png"
    plot(found, path)
    assert [file.name for file in tmp_path.iterdir()] == ["plot-everyday.png"]
    for peer, seconds in (("ours", 1.0), ("s3fs", 3.0)):
        found.add("get", peer, {"wall": seconds, "check": 1})
    plot(found, path)
    assert path.read_bytes()[:4] == b"\x89PNG"
