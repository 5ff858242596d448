"""Everyday work: the same seed draws the same shapes, requests are counted, results are compared."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks import measure
from benchmarks.content import Asked, page
from benchmarks.counts import Counts
from benchmarks.everyday.datasets import DATASETS
from benchmarks.everyday.digests import digest
from benchmarks.everyday.rows import OPTIONAL, ROWS
from benchmarks.everyday.shapes import Shapes
from benchmarks.everyday.written import contents
from benchmarks.given import Given
from benchmarks.link import Link
from benchmarks.sizes import Sizes
from tests.documents import ROOT

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the benchmarks need Linux")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )


# --- what is drawn ---------------------------------------------------------------------------------


def test_a_seed_draws_the_same_shapes_and_another_seed_others() -> None:
    assert Shapes.drawn(5) == Shapes.drawn(5)
    assert len({Shapes.drawn(seed).csv for seed in range(20)}) == 20


@pytest.mark.parametrize("seed", range(20))
def test_shapes_stay_near_their_middle(seed: int) -> None:
    shapes = Shapes.drawn(seed)
    assert 0.88 * 19e6 <= shapes.csv <= 1.12 * 19e6
    assert 176 <= shapes.tree <= 224
    assert shapes.listed < shapes.tree
    assert 370 <= shapes.chunks <= 400


def test_a_scale_shrinks_counts_and_sizes() -> None:
    small, large = Shapes.drawn(5, 0.1), Shapes.drawn(5)
    assert small.csv == pytest.approx(large.csv / 10, rel=0.01)
    assert small.tree == pytest.approx(large.tree / 10, abs=1)


def test_no_shape_hides_another_size() -> None:
    names = [{field.name for field in dataclasses.fields(kind)} for kind in (Shapes, Sizes)]
    assert set.intersection(*names) == {"seed"}


def test_every_work_reads_data_sets_that_can_be_made() -> None:
    assert {name for work in ROWS for name in work.datasets} == set(DATASETS)
    assert len({work.name for work in ROWS}) == len(ROWS)
    assert set(OPTIONAL) < {work.name for work in ROWS}


# --- what is compared ------------------------------------------------------------------------------

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
ARRAY = np.arange(6, dtype="f4")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([b"ab", b"c"], [b"a", bytearray(b"bc")]),
        ({"b": b"2", "a": b"1"}, {"a": b"1", "b": b"2"}),
        (FRAME, pa.Table.from_pandas(FRAME)),
        (ARRAY.reshape(2, 3).T, np.ascontiguousarray(ARRAY.reshape(2, 3).T)),
    ],
    ids=["pieces", "order of names", "table", "order in memory"],
)
def test_equal_results_have_one_digest(one: Any, other: Any) -> None:
    assert digest(one) == digest(other)


def test_an_error_in_place_of_bytes_is_no_result() -> None:
    with pytest.raises(OSError, match="cut"):
        digest([b"a", OSError("cut")])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([b"ab"], [b"ba"]),
        ({"a": b"1", "b": b"2"}, {"a": b"2", "b": b"1"}),
        (FRAME, FRAME.assign(a=[1, 3])),
        (ARRAY, ARRAY.reshape(2, 3)),
        ([1, 2], [2, 1]),
    ],
    ids=["bytes", "names", "frames", "shapes", "numbers"],
)
def test_other_results_have_another_digest(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)


def test_what_raises_in_a_process_of_several_works_is_told_of_that_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def measured(peer: str, name: str, given: dict[str, Any]) -> dict[str, float]:
        if name == "bad":
            raise ValueError("cut")
        return {"wall": 1.0}

    monkeypatch.setattr(measure, "_measured", measured)
    measure._together("ours", ["bad", "good"], {"key": "k", "local": str(tmp_path / "missing")})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [{"work": "bad", "error": "ValueError: cut"}, {"work": "good", "wall": 1.0}]


# --- the server ------------------------------------------------------------------------------------


def test_workers_count_side_by_side() -> None:
    counts = Counts(2)
    for worker, amount in ((0, 3), (1, 4)):
        counts.become(worker)
        counts.add("GET")
        counts.add("bytes", amount)
    assert counts.totals() == {**dict.fromkeys(counts.totals(), 0), "GET": 2, "bytes": 7}


def test_the_files_of_a_folder_are_objects_and_are_listed(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two").write_bytes(b"22")
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "empty").write_bytes(b"")
    given = Given(tmp_path)
    found = given.find("every/b/two")
    assert found and bytes(found[0]) == b"22"
    assert given.find("every/c") is None
    assert [key for key, _ in given.listing] == ["every/a", "every/b/two", "every/empty"]
    text = page(given.listing, Asked(prefix="every/", delimiter="/")).decode()
    assert "<Prefix>every/b/</Prefix>" in text and "<Size>1</Size>" in text and "two" not in text


def test_a_link_is_no_faster_than_its_rate_and_changes_no_byte() -> None:
    data = os.urandom(2 * 2**20)
    received = bytearray()
    near, far = socket.socketpair()

    def receive() -> None:
        while piece := far.recv(2**16):
            received.extend(piece)

    reader = threading.Thread(target=receive)
    reader.start()
    began = time.monotonic()
    Link(0.0, 20e6).send(near, data)
    took = time.monotonic() - began
    near.close()
    reader.join()
    far.close()
    assert bytes(received) == data
    assert took >= 0.08  # 0.105 s, less what the link lets through at once


# --- all of it -------------------------------------------------------------------------------------


def test_a_quick_look_runs_every_work_and_agrees_with_local_files(tmp_path: Path) -> None:
    found = tmp_path / "figures.json"
    done = run(
        *("benchmarks", "--group", "everyday", "--quick", "--seed", "5", "--json", str(found)),
        *("--peer", "ours", "--peer", "local file"),
    )
    assert found.exists(), done.stderr
    figures = json.loads(found.read_text())
    errors = {
        (work, peer): entry["error"]
        for work, peers in figures["runs"].items()
        for peer, entries in peers.items()
        for entry in entries
        if "error" in entry
    }
    assert not errors
    assert "All peers saw the same bytes." in done.stdout
    runs = {work: peers["ours"][0] for work, peers in figures["runs"].items()}
    assert len(runs) > 30
    shapes = Shapes.drawn(5, figures["sizes"]["scale"])
    assert runs["text lines"]["bytes"] >= runs["text lines"]["size"] > 0
    small = contents(shapes)
    copies = {f"/{folder}/{name}": small[name] for folder in ("from", "to") for name in small}
    assert runs["cp"]["check"] == digest(copies)
    assert runs["mv"]["check"] == digest({name: copies[name] for name in copies if name.startswith("/to/")})
    assert runs["rm"]["check"] == digest({})
    assert all(peers["local file"][0]["requests"] == 0 for peers in _with_local(figures))


def _with_local(figures: dict[str, Any]) -> list[dict[str, Any]]:
    found = [peers for peers in figures["runs"].values() if "local file" in peers]
    assert found
    return found


def test_one_work_by_hand_tells_every_request_that_it_counts() -> None:
    done = run("benchmarks.one", "opens", "ours", "--scale", "0.1", "--trace")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[0].partition(": ")[2])
    traced = [line for line in done.stdout.splitlines() if "every/singles/" in line]
    assert len(traced) == figures["requests"] >= Shapes.drawn(1, 0.1).singles
    assert figures["objects"] == Shapes.drawn(1, 0.1).singles
