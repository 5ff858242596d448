"""Other systems than this one: what they lack is never called, and their files are met as they are."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fsspec_guarded_s3._values import local_files
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import ScriptedServer

ROOT = Path(__file__).parent.parent
# The contract, and what deals with sockets, files and the terminal.
PROVING = (
    "tests/integration/test_contract.py tests/read/test_downloads.py tests/http/test_transport.py "
    "tests/cli/test_cli.py tests/fs/test_local_names.py tests/write/test_seeking_writers.py "
    "tests/test_systems.py"
)
FEWER = ("-k", "not (ministack or rclone)")  # two stores are enough: what is tried here is this side
DATA = period_free(11 * MIB)


@pytest.mark.skipif(sys.platform == "win32", reason="lacks them already")
@pytest.mark.skipif("tests.without" in sys.modules or sys.platform == "unknown", reason="is what it starts")
def test_all_works_without_what_only_some_systems_have() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.without", "-x", "--timeout=300", *FEWER, *PROVING.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=550,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert " passed" in done.stdout


# --- files without pread and pwrite ---


@pytest.fixture(params=["preadv", "pread", "nothing"])
def lacking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that has all, one without preadv, one without a way to read or write at a position."""
    gone: dict[str, tuple[str, ...]] = {
        "preadv": (),
        "pread": ("preadv",),
        "nothing": ("preadv", "pread", "pwrite", "sendfile"),
    }
    for name in gone[request.param]:
        monkeypatch.delattr(os, name, raising=False)


def test_a_file_goes_up_and_comes_down_in_parts_side_by_side(lacking: None, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(DATA)
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB, range_size=MIB)
        fs.put_file(str(tmp_path / "up"), "bucket/key")
        assert fake.objects["bucket", "key"].body == DATA
        fs.get_file("bucket/key", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == DATA


def test_bytes_of_a_position_are_those_at_it(lacking: None, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT | local_files.BINARY)
    try:
        assert local_files.write_at(descriptor, memoryview(b"line\r\n\x1aend"), 3) == 10
        buffer = memoryview(bytearray(20))
        assert local_files.read_at(descriptor, buffer, 1) == 12
        assert bytes(buffer[:12]) == b"\0\0line\r\n\x1aend"
        assert local_files.read_at(descriptor, buffer, 13) == 0
    finally:
        os.close(descriptor)


# --- a rename over a file that a program has open ---


def refusing(monkeypatch: pytest.MonkeyPatch, times: int) -> list[str]:
    """`os.replace` refuses so often, as that of Windows does; what it was called for."""
    real, called = os.replace, list[str]()

    def replace(source: str, target: str) -> None:
        called.append(target)
        if len(called) <= times:
            raise PermissionError(errno.EACCES, "The process cannot access the file", source, None, target)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(local_files, "_PATIENCE", 0.2)
    return called


def getting(tmp_path: Path) -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", b"new")
    (tmp_path / "file").write_bytes(b"old")
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).get_file("bucket/key", str(tmp_path / "file"))


def test_a_file_that_is_open_for_a_moment_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_files, "WINDOWS", True)
    monkeypatch.setattr(local_files, "_LONG", 10_000)
    called = refusing(monkeypatch, 2)
    getting(tmp_path)
    assert len(called) == 3
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"new"}


@pytest.mark.parametrize("windows", [True, False])
def test_a_file_that_stays_open_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, windows: bool
) -> None:
    monkeypatch.setattr(local_files, "WINDOWS", windows)
    monkeypatch.setattr(local_files, "_LONG", 10_000)
    called = refusing(monkeypatch, 1_000_000)
    with pytest.raises(PermissionError) as caught:
        getting(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"old"}
    if windows:
        assert caught.value.filename == str(tmp_path / "file")
        assert "has it open" in str(caught.value)
    else:
        assert len(called) == 1  # no answer of the store is of help: it is not asked again


# --- paths ---


@pytest.mark.parametrize(
    "path, extended",
    [
        ("C:\\short", "C:\\short"),
        ("C:\\" + "x" * 300, "\\\\?\\C:\\" + "x" * 300),
        ("\\\\server\\share\\" + "x" * 300, "\\\\?\\UNC\\server\\share\\" + "x" * 300),
        ("\\\\?\\C:\\" + "x" * 300, "\\\\?\\C:\\" + "x" * 300),
    ],
)
def test_long_paths_of_windows(path: str, extended: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_files, "WINDOWS", True)
    monkeypatch.setattr(os.path, "abspath", lambda path: path)
    assert local_files.extended(path) == extended
    monkeypatch.setattr(local_files, "WINDOWS", False)
    assert local_files.extended(path) == path


@pytest.mark.skipif(os.name != "nt", reason="Windows")
class TestWindows:
    """What only Windows itself can show."""

    @pytest.mark.parametrize(
        "spelt", [str, Path.as_posix, Path.as_uri], ids=["backslashes", "slashes", "url"]
    )
    def test_drives(self, tmp_path: Path, spelt: Callable[[Path], str]) -> None:
        (tmp_path / "up" / "deep").mkdir(parents=True)
        for name in ("a", "deep/b"):
            (tmp_path / "up" / name).write_bytes(b"line\r\n\x1aend")
        fake = FakeS3("bucket")
        with ScriptedServer(handler=fake) as server:
            fs = filesystem(server.url)
            fs.put(spelt(tmp_path / "up"), "bucket/tree", recursive=True)
            fs.put_file(spelt(tmp_path / "up" / "a"), "bucket/one")
            assert {key: stored.body for (_, key), stored in fake.objects.items()} == dict.fromkeys(
                ("tree/a", "tree/deep/b", "one"), b"line\r\n\x1aend"
            )
            fs.get("bucket/tree", spelt(tmp_path / "down"), recursive=True)
            fs.get_file("bucket/one", spelt(tmp_path / "one"))
            fs.get("bucket/tree/*", spelt(tmp_path / "glob") + "/")
        for name in ("down/a", "down/deep/b", "one", "glob/a"):
            assert (tmp_path / name).read_bytes() == b"line\r\n\x1aend"

    def test_paths_above_260_characters(self, tmp_path: Path) -> None:
        key = "/".join(["folder" * 8] * 8)
        fake = FakeS3("bucket")
        fake.put("bucket", f"tree/{key}/end", b"data")
        with ScriptedServer(handler=fake) as server:
            fs = filesystem(server.url)
            fs.get("bucket/tree/", str(tmp_path), recursive=True)
            fs.put_file(f"{tmp_path}\\{key}\\end".replace("/", "\\"), "bucket/again")
        assert fake.objects["bucket", "again"].body == b"data"

    def test_a_file_that_is_open_is_not_replaced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(local_files, "_PATIENCE", 0.2)
        (tmp_path / "file").touch()
        with open(tmp_path / "file", "rb"), pytest.raises(PermissionError, match="has it open"):
            getting(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
