"""What runs the tests of other projects: how outcomes are sorted, and that its plugins do what they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.outside import place, table
from tests.outside.different import GUARDS, INTERNALS, ON_PURPOSE
from tests.outside.run import Result, sorted_out
from tests.outside.suites import BESIDE, SUITES
from tests.servers import reserved_port, running

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="they need links, and commands of POSIX systems"
)
KINDS = {"guards": GUARDS, "on purpose": ON_PURPOSE, "internals": INTERNALS}
FILE = """
import pytest

def test_is_ours():
    import fsspec, s3fs
    assert s3fs.S3FileSystem is fsspec.get_filesystem_class("s3")
    assert s3fs.S3FileSystem.__module__ == "fsspec_guarded_s3.s3fs_alias"
    with pytest.raises(ImportError):
        import tests.servers

def test_fails():
    assert 1 == 2, "said"

def test_skips():
    pytest.skip()

@pytest.mark.xfail
def test_expected():
    raise ValueError

@pytest.fixture
def broken():
    yield
    raise ValueError

@pytest.mark.parametrize("n", [1, 2])
def test_breaks_afterwards(broken, n):
    pass
"""


def test_the_plugins_put_ours_in_place_and_tell_outcomes(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FILE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "guarded_as_s3",
        "-p",
        "tell_outcomes",
        "test_it.py",
    ]
    with place.search_path() as searched:
        environment = {**os.environ, "PYTHONPATH": searched, "OUTCOMES": str(tmp_path / "told")}
        subprocess.run(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, check=False)
    told = json.loads((tmp_path / "told").read_text())
    assert told["outcomes"] == {
        "test_it.py::test_is_ours": "passed",
        "test_it.py::test_fails": "failed",
        "test_it.py::test_skips": "skipped",
        "test_it.py::test_expected": "xfailed",
        "test_it.py::test_breaks_afterwards[1]": "failed",
        "test_it.py::test_breaks_afterwards[2]": "failed",
    }
    assert "said" in told["said"]["test_it.py::test_fails"]


def test_outcomes_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is listed: a test as a whole, or with its parameters. Whatever else fails, failed."""
    monkeypatch.setitem(GUARDS, "it", {"why": ("t.py::test_a", "t.py::test_b[1]")})
    monkeypatch.setitem(INTERNALS, "it", {"why": ("t.py::test_c",)})
    outcomes = {
        "x/t.py::test_a[1]": "failed",
        "x/t.py::test_a[2]": "passed",
        "x/t.py::test_b[1]": "failed",
        "x/t.py::test_b[2]": "failed",
        "x/t.py::test_c": "failed",
        "x/t.py::test_cc": "failed",
        "x/t.py::test_d": "xpassed",
        "x/t.py::test_e": "xfailed",
    }
    result = sorted_out("it", outcomes, {"x/t.py::test_cc": "why"})
    assert result == Result(
        "it",
        passed=["t.py::test_a[2]", "t.py::test_d"],
        failed=["t.py::test_b[2]", "t.py::test_cc"],
        skipped=["t.py::test_e"],
        guards=["t.py::test_a[1]", "t.py::test_b[1]"],
        internals=["t.py::test_c"],
        better=["t.py::test_a[2]"],
        said={"t.py::test_cc": "why"},
    )
    assert result.portable == 4
    assert table.rows([result])[-1] == "| it | 2 | 2 | 2 | 0 | 1 | 1 | 50.0 % |"


def test_a_test_is_listed_once_and_of_a_suite_that_is_run() -> None:
    files = {suite.name: {Path(file).name for file in suite.files} for suite in SUITES}
    for kind in KINDS.values():
        assert kind.keys() <= files.keys()
    for name, known in files.items():
        ids = [one for kind in KINDS.values() for ones in kind.get(name, {}).values() for one in ones]
        assert len(ids) == len(set(ids))
        assert {one.partition("::")[0] for one in ids} <= known or name == "pandas"


def test_releases_are_pinned_once() -> None:
    pinned = dict(item.partition("==")[::2] for item in BESIDE if "==" in item)
    for suite in SUITES:
        beside = next(
            (pinned[name] for name in pinned if name.partition("[")[0] == suite.name), suite.version
        )
        assert beside == suite.version


def test_the_document_has_a_run_of_these_releases_in_which_nothing_failed() -> None:
    text = table.DOCUMENT.read_text().partition(table.BEGIN)[2].partition(table.END)[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()]
    assert lines[0] == list(table.HEAD)
    releases = [f"{suite.name} {suite.version}" for suite in SUITES]
    assert [line[0] for line in lines[2:]] == [name for name in releases if name in str(lines)]
    assert [line[0] for line in lines[2:] if line[2] != "0"] == []
    # Of a suite with 32 tests, one that is different on purpose is more than three of a hundred.
    least = {line[0]: 97 if int(line[1]) > 100 else 96 for line in lines[2:]}
    assert all(float(line[-1].rstrip(" %")) >= least[line[0]] for line in lines[2:])


@pytest.mark.parametrize("command", ["minio server --address {0}:{1} /nowhere", "moto_server s3 -p {1}"])
def test_a_command_that_stands_for_a_store_answers_as_one(command: str) -> None:
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
    with reserved_port() as port:
        url = f"http://127.0.0.1:{port}/"
        name, *arguments = command.format("127.0.0.1", port).split()
        started = [sys.executable, str(place.PLUGINS / "bin" / name), *arguments]
        with running(started, lambda _printed: url, {"PYTHONPATH": str(place.PLUGINS)}):
            with urllib.request.urlopen(f"{url}minio/health/live", timeout=60) as answer:
                assert answer.status == 200
            with urllib.request.urlopen(url, timeout=60) as answer:
                assert b"ListAllMyBucketsResult" in answer.read()
