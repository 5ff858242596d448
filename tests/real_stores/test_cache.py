"""Programs are built once, whole, and by one of all that want them."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.real_stores.building import Go, NotBuilt, Pip
from tests.real_stores.cache import build_once, cache_folder, kept
from tests.real_stores.catalogue import PROGRAMS


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_the_cache_is_the_users(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_cache in cache_folder().parents
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert Path.home() / ".cache" in cache_folder().parents


def test_what_was_built_is_not_built_again() -> None:
    def build(folder: Path) -> None:
        (folder / "program").write_text("1")

    def never(folder: Path) -> None:
        raise AssertionError

    assert kept("p-1") is None
    assert build_once("p-1", build) == build_once("p-1", never) == kept("p-1")
    assert [path.name for path in cache_folder().iterdir() if not path.name.startswith(".")] == ["p-1"]


def test_a_build_that_fails_leaves_nothing() -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("1")
        raise NotBuilt("no")

    with pytest.raises(NotBuilt):
        build_once("p-1", fail)
    assert kept("p-1") is None
    assert [path for path in cache_folder().iterdir() if path.is_dir()] == []


BUILDER = """
import sys, time
from pathlib import Path
from tests.real_stores.cache import build_once

def build(folder):
    with open(sys.argv[1], "a") as log:
        log.write("built\\n")
    (folder / "first").write_text("1")
    time.sleep(1)
    (folder / "second").write_text("2")

print(sorted(path.name for path in build_once("p-1", build).iterdir()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no lock on Windows")
def test_of_many_processes_one_builds_and_all_see_it_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", BUILDER, str(log)]
    processes = []
    for _ in range(4):
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        time.sleep(0.1)
    printed = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert printed == ["['first', 'second']"] * 4
    assert log.read_text() == "built\n"


def test_without_go_the_reason_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotBuilt, match="go is not installed"):
        Go("versitygw", "v0.0.1", module="m", command="m/c").build()


def test_each_version_and_each_python_has_a_folder_of_its_own() -> None:
    labels = [program.source.label for program in PROGRAMS]
    assert len(labels) == len(set(labels))
    assert Pip("a", "1").label == f"a-1-py{sys.version_info.major}{sys.version_info.minor}"
    commit = "v0.0.0-20261109003541-7506e5f91cd6"
    assert Go("a", commit).label == f"a-{commit}"
    assert (Go("a", commit).told_version(), Go("a", "v1.8.0").told_version()) == ("of 2026-11-09", "1.8.0")
