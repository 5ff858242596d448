"""Threads share a filesystem, on a Python where they take turns at one lock and on one where they do not."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import fsspec_guarded_s3
from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer
from tests.threads import at_once

THREADS = 8
ROUNDS = 12


def read(fs: GuardedS3FileSystem, number: int) -> None:
    keys = [f"bucket/{n}" for n in range(20)]
    assert fs.cat(keys) == {key: key.encode() * 50 for key in keys}
    assert fs.cat_ranges(keys, [1] * 20, [9] * 20) == [(key.encode() * 50)[1:9] for key in keys]


def open_and_read(fs: GuardedS3FileSystem, number: int) -> None:
    with fs.open(f"bucket/{number}", "rb") as file:
        assert file.read(10) + file.read() == f"bucket/{number}".encode() * 50


def write(fs: GuardedS3FileSystem, number: int) -> None:
    fs.pipe_file(f"bucket/new/{number}", b"x" * number)
    assert fs.cat_file(f"bucket/new/{number}") == b"x" * number


def look(fs: GuardedS3FileSystem, number: int) -> None:
    assert {f"bucket/{n}" for n in range(20)} <= set(fs.ls("bucket"))
    assert fs.info("bucket/0")["size"] == 400


def close(fs: GuardedS3FileSystem, number: int) -> None:
    fs.close()


def begin_anew(fs: GuardedS3FileSystem, number: int) -> None:
    """Another filesystem of the same options shares connections and session."""
    fresh = GuardedS3FileSystem(**fs.storage_options, skip_instance_cache=True)
    assert fresh.cat_file("bucket/0") == b"bucket/0" * 50


@pytest.mark.parametrize("listings", [False, True], ids=["", "with a listing cache"])
def test_threads_share_a_filesystem(listings: bool) -> None:
    """Whatever some of them do, the others get what is there."""
    fake = FakeS3("bucket")
    for n in range(20):
        fake.put("bucket", str(n), f"bucket/{n}".encode() * 50)
    verbs = (read, open_and_read, write, look, close, begin_anew)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, use_listings_cache=listings)

        def work(number: int) -> None:
            for turn in range(ROUNDS):
                verbs[(number + turn) % len(verbs)](fs, number)

        at_once(work, THREADS)
        assert fs.cat_file("bucket/19") == b"bucket/19" * 50


def test_importing_brings_no_lock_back() -> None:
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("this Python has its lock")
    program = "import sys, fsspec_guarded_s3; sys.exit(sys._is_gil_enabled())"
    assert subprocess.run([sys.executable, "-c", program], timeout=300).returncode == 0


def test_all_locks_are_listed() -> None:
    """A lock that nobody knows of is one that nobody has thought through."""
    text = (Path(fsspec_guarded_s3.__file__).parents[1] / "docs" / "design.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([\w.]+)` \|", text.partition("## Locks")[2], re.M))
    making = re.compile(r"\b(threading\.(R?Lock|Condition|Semaphore)|PerProcess\(|Lock\(\)|_locked\(\))")
    package = Path(fsspec_guarded_s3.__file__).parent
    having = {
        ".".join(path.relative_to(package).with_suffix("").parts)
        for path in package.rglob("*.py")
        if making.search(path.read_text(encoding="utf-8"))
    }
    assert having - {"_work"} == listed  # `_work` is where `Lock` is made
