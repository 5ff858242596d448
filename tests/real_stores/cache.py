"""Programs that are built once and kept in the user's cache folder.

What is built has its version in its name and is never changed. It appears there by one rename, and whoever
finds it being built waits: parallel test workers and two checkouts share it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def cache_folder() -> Path:
    """Where programs are kept: `$XDG_CACHE_HOME/fsspec_guarded_s3/stores`, ~/.cache without the variable."""
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(chosen) if os.path.isabs(chosen) else Path.home() / ".cache"  # the XDG rules ask for absolute
    return base / "fsspec_guarded_s3" / "stores"


def kept(name: str) -> Path | None:
    """The folder `name` of the cache, None when nothing was built under that name."""
    found = cache_folder() / name
    return found if found.is_dir() else None


def build_once(name: str, build: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache; `build` fills an empty folder that becomes it, unless it is there.

    When `build` raises, nothing is kept.
    """
    target = cache_folder() / name
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_name(f".{name}.lock")):
        if target.is_dir():  # by somebody who had the lock before
            return target
        staging = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=target.parent))
        try:
            build(staging)
            staging.chmod(0o755)
            staging.rename(target)
        finally:
            if staging.exists():
                shutil.rmtree(staging, ignore_errors=True)
    return target


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process. Windows has none here: there the last rename fails."""
    with path.open("wb") as file:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
