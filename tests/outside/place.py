"""Where the tests of others are kept, and the environment that they run in: both are made once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import fsspec_guarded_s3
from tests.outside.suites import BESIDE, SUITES, Suite
from tests.real_stores.cache import cache_folder, locked

PLUGINS = Path(__file__).parent / "plugins"
_BIN = "Scripts" if sys.platform == "win32" else "bin"


def folder() -> Path:
    """`~/.cache/fsspec_guarded_s3/outside`, or below XDG_CACHE_HOME."""
    return cache_folder().with_name("outside")


def environment() -> Path:
    """A virtual environment with all projects, of this Python; its interpreter. It takes some minutes."""
    wanted = sorted({*BESIDE, *(suite.release for suite in SUITES)})
    key = hashlib.sha256(repr((sys.version_info[:2], wanted)).encode()).hexdigest()[:12]
    place = folder() / f"venv-{key}"
    python = place / _BIN / "python"
    done = place / "complete"
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.with_name(f".{place.name}.lock")):
        if not done.exists():
            venv.create(place, with_pip=True, clear=True)
            install = [python, "-m", "pip", "install", "--quiet", "--upgrade"]
            subprocess.run([*install, "pip"], check=True)  # an old one takes very long over the others
            subprocess.run([*install, *wanted], check=True)
            done.touch()
    return python


def source(suite: Suite, python: Path) -> Path:
    """The folder below which the tests of `suite` are."""
    if suite.package:
        code = f"import importlib.util; print(importlib.util.find_spec({suite.package!r}).origin)"
        told = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
        return Path(told.stdout.strip()).parent
    place = folder() / "sources" / f"{suite.name}-{suite.version}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.with_name(f".{place.name}.lock")):
        if not place.is_dir():
            _unpack(suite, python, place)
    return place


def _unpack(suite: Suite, python: Path, place: Path) -> None:
    """Get the source distribution of `suite`; `place` becomes what is in it."""
    with tempfile.TemporaryDirectory(dir=place.parent) as staging:
        download = ["download", "--quiet", "--no-deps", "--no-binary", suite.name, "--dest", staging]
        subprocess.run([python, "-m", "pip", *download, suite.release], check=True)
        (archive,) = Path(staging).glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            if hasattr(tarfile, "data_filter"):
                packed.extraction_filter = tarfile.data_filter
            packed.extractall(staging)
        archive.unlink()
        (inner,) = Path(staging).iterdir()
        shutil.move(inner, place)


@contextlib.contextmanager
def search_path() -> Iterator[str]:
    """Folders for PYTHONPATH: our package, without our own `tests` beside it, and the plugins."""
    with tempfile.TemporaryDirectory() as alone:
        os.symlink(Path(fsspec_guarded_s3.__file__).parent, Path(alone) / "fsspec_guarded_s3")
        yield os.pathsep.join([alone, str(PLUGINS)])
