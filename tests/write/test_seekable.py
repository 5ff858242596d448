"""Files of modes with "+": they behave as local files do, and what they publish is guarded."""

from __future__ import annotations

import errno
import gc
import io
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsspec_guarded_s3 import (
    ConfigurationError,
    GuardedS3FileSystem,
    ObjectChangedError,
    PreconditionUnsupportedError,
)
from fsspec_guarded_s3._write import spool
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer, s3_error

DATA = bytes(range(256)) * 40
MIB = 2**20


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", DATA)
    return fake


@pytest.fixture
def server(fake: FakeS3) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=fake) as server:
        yield server


@pytest.fixture
def fs(server: ScriptedServer) -> GuardedS3FileSystem:
    return filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB)


def body(fake: FakeS3, key: str = "key") -> bytes:
    return fake.objects["bucket", key].body


# --- as a local file ---

STEPS = st.one_of(
    st.tuples(st.just("read"), st.integers(-1, 300)),
    st.tuples(st.just("readline"), st.integers(-1, 300)),
    st.tuples(st.just("readinto"), st.integers(0, 300)),
    st.tuples(st.just("write"), st.binary(max_size=300)),
    st.tuples(st.just("seek"), st.integers(0, 12_000)),
    st.tuples(st.just("seek from the end"), st.integers(-200, 50)),
    st.tuples(st.just("seek from here"), st.integers(0, 500)),
    st.tuples(st.just("truncate"), st.one_of(st.none(), st.integers(0, 11_000))),
    st.tuples(st.just("tell"), st.none()),
)


def do(file: Any, step: tuple[str, Any]) -> object:
    name, argument = step
    if name == "readinto":
        buffer = bytearray(argument)
        return file.readinto(buffer), bytes(buffer)
    if name == "seek from the end":
        return file.seek(argument, io.SEEK_END)
    if name == "seek from here":
        return file.seek(argument, io.SEEK_CUR)
    return getattr(file, name)(*([] if name == "tell" else [argument]))


@pytest.mark.parametrize("mode", ["r+b", "w+b", "a+b", "x+b"])
@given(steps=st.lists(STEPS, max_size=25))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_does_what_a_local_file_does(
    fake: FakeS3, fs: GuardedS3FileSystem, mode: str, steps: list[tuple[str, Any]]
) -> None:
    key = "new" if mode == "x+b" else "key"
    fake.objects.pop(("bucket", "new"), None)
    fake.put("bucket", "key", DATA)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / key
        if mode != "x+b":
            path.write_bytes(DATA)
        # Without a buffer, whose position is wrong between a write with "a+b" and a flush.
        with path.open(mode, buffering=0) as local, fs.open(f"bucket/{key}", mode) as file:
            for step in steps:
                if step[0] == "seek from the end" and os.fstat(local.fileno()).st_size + step[1] < 0:
                    continue
                assert do(file, step) == do(local, step), step
                assert file.tell() == local.tell()
        assert body(fake, key) == path.read_bytes()


@pytest.mark.parametrize("mode", ["r+", "w+", "a+", "r+t", "+r", "w+t"])
def test_text_does_what_a_local_file_does(fs: GuardedS3FileSystem, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "key"
    text = "erste Zeile\nzweite: äöü €\nthird\n" * 50
    path.write_text(text, encoding="utf-8")
    fs.pipe_file("bucket/text", text.encode())
    with path.open(mode, encoding="utf-8") as local, fs.open("bucket/text", mode, encoding="utf-8") as file:
        for each in (local, file):
            each.seek(0)
        assert file.readline() == local.readline()
        assert file.read(20) == local.read(20)
        place = local.tell()
        assert file.tell() == place
        for each in (local, file):
            each.seek(0, io.SEEK_END)
            each.write("neu €\n")
            each.seek(place)
        assert file.read() == local.read()
        assert list(file) == list(local) == []
    assert fs.cat_file("bucket/text") == path.read_bytes()


def test_what_is_asked_of_it(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/key", "r+b") as file:
        assert (file.readable(), file.writable(), file.seekable(), file.closed) == (True, True, True, False)
        assert (file.mode, file.path, file.size, file.tell()) == ("r+b", "bucket/key", len(DATA), 0)
        assert b"".join(file) == DATA
        with pytest.raises(OSError):
            file.fileno()
    assert file.closed
    for call in (file.read, file.tell, file.readline, lambda: file.seek(0), lambda: file.truncate(0)):
        with pytest.raises(ValueError, match="closed"):
            call()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda file: file.seek(-1), ValueError, "offset"),
        (lambda file: file.seek(-1), OSError, "offset"),
        (lambda file: file.seek(0, 3), ValueError, "whence"),
        (lambda file: file.seek("0"), TypeError, "offset"),
        (lambda file: file.seek(2**63), ValueError, "offset"),
        (lambda file: file.truncate(-1), ValueError, "size"),
        (lambda file: file.truncate(2**63), ValueError, "size"),
        (lambda file: file.truncate("1"), TypeError, "size"),
        (lambda file: file.write("text"), TypeError, "bytes"),
    ],
)
def test_what_is_wrong_is_told_and_spoils_nothing(
    fake: FakeS3,
    fs: GuardedS3FileSystem,
    call: Callable[[Any], object],
    kind: type[Exception],
    message: str,
) -> None:
    with fs.open("bucket/key", "r+b") as file:
        with pytest.raises(kind, match=message):
            call(file)
        file.write(b"!")
    assert body(fake) == b"!" + DATA[1:]


def test_a_writer_that_streams_says_how_to_seek(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/other", "wb") as file:
        with pytest.raises(io.UnsupportedOperation, match=r"mode 'w\+b'"):
            file.seek(0)
        file.write(b"goes on")
    assert fs.cat_file("bucket/other") == b"goes on"


@pytest.mark.parametrize("mode", ["r+b", "w+b", "a+b", "r+"])
def test_fsspec_open_compresses_nothing_that_seeks(
    fake: FakeS3, server: ScriptedServer, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It opens the file first: the compressed bytes would replace the beginning, and leave the old rest."""
    fake.put("bucket", "key.gz", DATA)
    options = {"endpoint_url": server.url, "key": "k", "secret": "s"}
    opening = fsspec.open("gs3://bucket/key.gz", mode, compression="infer", **options)
    with pytest.raises(ValueError, match="compression must be None"), opening as file:
        file.write(b"new")
    gc.collect()
    assert body(fake, "key.gz") == DATA
    assert not caplog.records, "nothing was written, and nothing is lost"


@pytest.mark.parametrize("mode", ["r+b", "w+b"])
def test_what_is_compressed_cannot_seek(fake: FakeS3, fs: GuardedS3FileSystem, mode: str) -> None:
    for compression, path in (("gzip", "bucket/key"), ("infer", "bucket/key.gz")):
        with pytest.raises(ValueError, match="compression must be None"):
            fs.open(path, mode, compression=compression)
    assert body(fake) == DATA


# --- what is published ---


def test_what_is_not_changed_is_not_written(
    fake: FakeS3, fs: GuardedS3FileSystem, server: ScriptedServer
) -> None:
    for mode in ("r+b", "a+b"):
        with fs.open("bucket/key", mode) as file:
            file.seek(0)
            assert file.read() == DATA
            file.truncate(len(DATA))
        file.close()
        file.commit()
    assert [request.method for request in server.requests if request.method not in ("GET", "HEAD")] == []


def test_a_file_that_is_empty_is_written(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/empty", "w+b"):
        pass
    with fs.open("bucket/key", "r+b") as file:
        file.truncate(0)
    assert (body(fake, "empty"), body(fake)) == (b"", b"")


@pytest.mark.parametrize("mode", ["r+b", "w+b", "a+b"])
def test_large_files_go_in_parts(fake: FakeS3, fs: GuardedS3FileSystem, mode: str) -> None:
    start = bytes(6 * MIB)
    fake.put("bucket", "large", start)
    with fs.open("bucket/large", mode) as file:
        file.seek(0, io.SEEK_END)
        file.write(b"x" * (6 * MIB))
        file.seek(3)
        file.write(b"abc")
    base = b"" if mode == "w+b" else start
    expected = bytearray(base + b"x" * (6 * MIB))
    if mode == "a+b":
        expected += b"abc"
    else:
        expected[3:6] = b"abc"
    assert body(fake, "large") == bytes(expected)
    assert fake.objects["bucket", "large"].etag.strip('"').endswith(("-2", "-3"))
    assert not fake.uploads


@pytest.mark.parametrize("mode", ["r+b", "w+b", "wb"])
def test_the_size_of_parts_can_be_given(fake: FakeS3, fs: GuardedS3FileSystem, mode: str) -> None:
    with fs.open("bucket/key", mode, block_size=6 * MIB) as file:
        file.write(b"head")
        file.seek(1)
        file.write(bytes(17 * MIB))
    assert body(fake) == b"h" + bytes(17 * MIB)
    assert fake.objects["bucket", "key"].etag.strip('"').endswith("-3")


KEPT: dict[str, Any] = {
    "ContentType": "image/tiff",
    "ContentEncoding": "zstd",
    "ContentDisposition": "attachment",
    "ContentLanguage": "de",
    "CacheControl": "no-cache",
    "StorageClass": "STANDARD_IA",
    "ServerSideEncryption": "aws:kms",
    "SSEKMSKeyId": "arn:aws:kms:us-east-1:123456789012:key/one",
    "Metadata": {"a": "b"},
}


@pytest.mark.parametrize("size", [2, 6 * MIB])
@pytest.mark.parametrize("mode", ["r+b", "a+b"])
def test_attributes_are_kept(fake: FakeS3, fs: GuardedS3FileSystem, mode: str, size: int) -> None:
    """Also by an upload in parts."""
    fs.pipe_file("bucket/about", bytes(size), **KEPT, Tagging="x=y")
    before = dict(fake.objects["bucket", "about"].headers)
    with fs.open("bucket/about", mode) as file:
        file.write(b"3")
    after = fake.objects["bucket", "about"].headers
    token = "x-amz-meta-gs3-write"
    assert {name: value for name, value in after.items() if token not in name} == {
        name: value for name, value in before.items() if token not in name
    }
    assert "image/tiff" in after.values() and "STANDARD_IA" in after.values()
    assert "aws:kms" in after.values() and KEPT["SSEKMSKeyId"] in after.values()
    assert (fs.metadata("bucket/about"), fs.get_tags("bucket/about")) == ({"a": "b"}, {"x": "y"})


def test_the_key_of_a_customer_is_passed_again(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "0" * 32}
    with fs.open("bucket/about", "w+b", **key) as file:
        file.write(b"12")
    with fs.open("bucket/about", "r+b", **key) as file:
        file.write(b"3")
    assert fs.cat_file("bucket/about", **key) == b"32"


def test_attributes_can_be_given(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/about", "w+b", ContentType="image/tiff") as file:
        file.write(b"3")
    assert fs.info("bucket/about")["ContentType"] == "image/tiff"


def test_what_must_be_there_is_missed(fs: GuardedS3FileSystem) -> None:
    with pytest.raises(FileNotFoundError):
        fs.open("bucket/none", "r+b")
    fs.pipe_file("bucket/folder/file", b"")
    with pytest.raises(IsADirectoryError):
        fs.open("bucket/folder", "r+b")
    with pytest.raises(FileExistsError):
        fs.open("bucket/key", "x+b")


@pytest.mark.parametrize("mode", ["r+b", "a+b"])
def test_a_rivals_write_is_not_lost(fake: FakeS3, fs: GuardedS3FileSystem, mode: str) -> None:
    with pytest.raises(ObjectChangedError), fs.open("bucket/key", mode) as file:
        file.write(b"ours")
        fake.put("bucket", "key", b"rival")
    assert body(fake) == b"rival"


@pytest.mark.parametrize("mode", ["x+b", "a+b"])
def test_a_rival_that_creates_is_not_overwritten(fake: FakeS3, fs: GuardedS3FileSystem, mode: str) -> None:
    with pytest.raises(FileExistsError), fs.open("bucket/new", mode) as file:
        file.write(b"ours")
        fake.put("bucket", "new", b"rival")
    assert body(fake, "new") == b"rival"


def test_a_condition_of_the_callers(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    etag = fs.info("bucket/key")["ETag"]
    for mode in ("r+b", "a+b"):
        with pytest.raises(ObjectChangedError):
            fs.open("bucket/key", mode, if_match='"other"')
    with fs.open("bucket/key", "w+b", if_match=etag) as file:
        file.write(b"ours")
    with pytest.raises(ObjectChangedError), fs.open("bucket/key", "w+b", if_match=etag) as file:
        file.write(b"again")
    assert body(fake) == b"ours"


@pytest.mark.parametrize(("mode", "guard"), [("r+b", "swap"), ("a+b", "swap"), ("x+b", "create")])
def test_a_store_without_the_guard_is_told_of_before_anything_is_written(mode: str, guard: str) -> None:
    fake = FakeS3("bucket", ignored={guard})
    fake.put("bucket", "key", DATA)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, probe="always")
        with pytest.raises(PreconditionUnsupportedError):
            fs.open("bucket/new" if mode == "x+b" else "bucket/key", mode)
        with fs.open("bucket/plain", "w+b") as file:
            file.write(b"works")
    assert body(fake) == DATA


class Broken(Exception):
    pass


@pytest.mark.parametrize("mode", ["r+b", "w+b", "a+b", "x+b", "r+", "w+"])
def test_after_an_exception_nothing_is_published(fake: FakeS3, fs: GuardedS3FileSystem, mode: str) -> None:
    key = "bucket/new" if mode[0] == "x" else "bucket/key"
    with pytest.raises(Broken), fs.open(key, mode) as file:
        file.write(b"half" if "b" in mode else "half")
        raise Broken
    assert body(fake) == DATA
    assert ("bucket", "new") not in fake.objects


def test_a_wrapper_that_closes_on_the_way_of_an_exception(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    file = fs.open("bucket/key", "r+b")

    def write() -> None:
        try:
            file.write(b"half")
            raise Broken
        finally:
            file.close()

    with pytest.raises(Broken):
        write()
    assert body(fake) == DATA


@pytest.mark.parametrize("is_changed", [False, True])
def test_what_is_dropped_is_not_published(
    fake: FakeS3, fs: GuardedS3FileSystem, is_changed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The log tells of a loss, where there is one."""
    file = fs.open("bucket/key", "r+b")
    assert file.read() == DATA
    if is_changed:
        file.write(b"more")
    del file
    gc.collect()
    assert ("what was written is lost" in caplog.text) == is_changed
    assert body(fake) == DATA


def test_discard(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    file = fs.open("bucket/key", "r+b")
    file.write(b"half")
    file.discard()
    file.close()
    assert body(fake) == DATA


def test_an_answer_that_is_lost(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    """What was written is known by its token, as every conditional write is."""
    from tests.scripted_server import close

    lost: list[str] = []

    def handler(request: Any) -> Any:
        answer = fake(request)
        if request.method == "PUT" and not lost:
            lost.append(request.path)
            return close()
        return answer

    with ScriptedServer(handler=handler) as server:
        other = filesystem(server.url)
        with other.open("bucket/key", "r+b") as file:
            file.write(b"ours")
    assert lost
    assert body(fake) == b"ours" + DATA[4:]


@pytest.mark.parametrize("mode", ["r+b", "w+b", "a+b"])
def test_transactions_publish_it_with_the_others(fake: FakeS3, fs: GuardedS3FileSystem, mode: str) -> None:
    with fs.transaction:
        with fs.open("bucket/key", mode) as file:
            file.write(b"ours")
        assert body(fake) == DATA
        with fs.open("bucket/beside", "wb") as other:
            other.write(b"beside")
    assert b"ours" in body(fake)
    with pytest.raises(Broken), fs.transaction:
        with fs.open("bucket/key", mode) as file:
            file.write(b"never")
        raise Broken
    assert b"never" not in body(fake)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_neither_writes_nor_moves_its_parents_position(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/key", "r+b") as file:
        file.write(b"one")
        child = os.fork()
        if child == 0:
            refused = 0
            for call in (lambda: file.write(b"child"), lambda: file.seek(0), file.read, file.close):
                try:
                    call()
                except RuntimeError:
                    refused += 1
            os._exit(refused)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) >= 3
        file.write(b"two")
    assert body(fake) == b"onetwo" + DATA[6:]


def test_threads_take_turns(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/shared", "w+b") as file:

        def write(letter: bytes) -> None:
            for _ in range(200):
                file.write(letter * 10)

        threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    written = body(fake, "shared")
    pieces = {written[start : start + 10] for start in range(0, len(written), 10)}
    assert len(written) == 6000
    assert pieces == {b"a" * 10, b"b" * 10, b"c" * 10}


def test_it_cannot_be_pickled(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/key", "r+b") as file, pytest.raises(TypeError, match="open for writing"):
        pickle.dumps(file)


# --- what can go wrong with the disk ---

_SMALL_DISK = """
import errno, os, resource, sys
from tests.opening import MIB, filesystem
fs = filesystem(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))  # Python ignores SIGXFSZ: EFBIG, as of a full disk
try:
    with fs.open(sys.argv[2], sys.argv[3]) as file:
        if "w" in sys.argv[3]:
            file.write(b"head")
            file.seek(0)
        if sys.argv[4] == "truncate":
            file.truncate(2 * MIB)
        else:
            file.write(bytes(2 * MIB))
        file.write(b"goes on")
except OSError as error:
    print(errno.errorcode[error.errno], error.filename, error)
    file = fs = None
print(os.listdir(os.environ["TMPDIR"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no limit of a file's size")
@pytest.mark.parametrize(
    ("key", "mode", "grow"),
    [
        ("key", "r+b", "write"),
        ("key", "r+b", "truncate"),
        ("large", "r+b", "write"),  # it does not even fit to be opened
        ("key", "w+b", "write"),
        ("key", "wb", "write"),
    ],
)
def test_a_full_disk_is_told_and_nothing_is_published(
    fake: FakeS3, server: ScriptedServer, tmp_path: Path, key: str, mode: str, grow: str
) -> None:
    fake.put("bucket", "large", bytes(3 * MIB))
    before = dict(fake.objects)
    arguments = [sys.executable, "-c", _SMALL_DISK, server.url, f"bucket/{key}", mode, grow]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    child = subprocess.run(arguments, env=environment, timeout=120, capture_output=True, text=True)
    assert child.stdout.startswith(f"EFBIG {tmp_path} "), child
    assert "Make room there, or set TMPDIR to a larger folder" in child.stdout
    assert child.stdout.endswith("[]\n")
    assert (fake.objects, fake.uploads) == (before, {})


@pytest.mark.parametrize("mode", ["r+b", "w+b", "x+b", "wb"])
def test_a_temporary_folder_that_is_missing_is_no_missing_object(
    fake: FakeS3, fs: GuardedS3FileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Who creates what `open` does not find must not replace an object."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    key = "bucket/new" if mode == "x+b" else "bucket/key"
    with pytest.raises(ConfigurationError, match="Set TMPDIR to a folder that is there") as raised:
        if mode == "wb":
            with fs.open(key, mode) as file:
                file.write(b"head")
                file.seek(0)
        else:
            fs.open(key, mode)
    assert not isinstance(raised.value, FileNotFoundError)
    assert str(tmp_path / "gone") in str(raised.value)
    assert (body(fake), len(fake.objects)) == (DATA, 1)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="who is root may write anywhere")
def test_a_temporary_folder_that_may_not_be_written(
    fake: FakeS3, fs: GuardedS3FileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(
        PermissionError, match="Set TMPDIR to a folder where this program may write"
    ) as raised:
        fs.open("bucket/key", "r+b")
    assert raised.value.filename == str(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="an open file has a name there")
def test_a_temporary_folder_that_is_removed_meanwhile(
    fake: FakeS3, fs: GuardedS3FileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has no name, so nobody can take it away."""
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with fs.open("bucket/key", "r+b") as file:
        file.write(b"one")
        folder.rmdir()
        file.write(b"two")
    assert body(fake) == b"onetwo" + DATA[6:]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_leaves_its_parents_bytes(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/key", "r+b") as file:
        file.write(b"ours")
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                file.discard()
            os._exit(0)
        os.waitpid(child, 0)
    assert body(fake) == b"ours" + DATA[4:]


_KILLED = """
import os, signal, sys
from tests.opening import filesystem
with filesystem(sys.argv[1]).open("bucket/key", "r+b") as file:
    file.write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_process_leaves_neither_half_an_object_nor_a_file(
    fake: FakeS3, server: ScriptedServer, tmp_path: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    child = subprocess.run([sys.executable, "-c", _KILLED, server.url], env=environment, timeout=120)
    assert child.returncode == -signal.SIGKILL
    assert (body(fake), os.listdir(tmp_path)) == (DATA, [])


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Else it may close, in the middle of a test, what another test has left."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("mode", ["r+b", "w+b", "wb"])
@pytest.mark.parametrize("end", ["close", "discard", "fail"])
def test_a_file_that_is_closed_takes_no_room_on_the_disk(
    fs: GuardedS3FileSystem, fake: FakeS3, mode: str, end: str
) -> None:
    """Although somebody keeps it, as a notebook does with the name of a `with`."""

    def count() -> int:
        found = 0
        for number in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # that of the list itself
                found += "(deleted)" in os.readlink(f"/proc/self/fd/{number}")
        return found

    before = count()
    kept = fs.open("bucket/key", mode)
    kept.write(b"new")
    kept.seek(0)
    assert count() == before + 1
    if end == "fail":
        fake.fault = lambda request, fake: s3_error(403, "AccessDenied")
        with pytest.raises(PermissionError):
            kept.close()
    else:
        getattr(kept, end)()
    assert count() == before
    with pytest.raises(ValueError, match="closed"):
        kept.seek(0)
    assert "bytes=" in repr(kept)


def _refused_by_the_store(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    fake.fault = lambda request, fake: s3_error(403, "AccessDenied")


def _replaced(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    fake.put("bucket", "key", b"rival")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("mode", ["r+b", "a+b", "r+"])
@pytest.mark.parametrize("size", [MIB, 6 * MIB])
@pytest.mark.parametrize(
    "spoil", [None, _refused_by_the_store, _replaced, "raise", "load", "guard", "no room"]
)
def test_an_error_that_is_kept_keeps_no_room_on_the_disk(
    fs: GuardedS3FileSystem, fake: FakeS3, mode: str, size: int, spoil: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its traceback has the frames that had the file; `sys.last_exc` of a notebook is there for long."""

    def room() -> int:
        found = 0
        for number in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # that of the list itself
                link = f"/proc/self/fd/{number}"
                found += os.stat(link).st_size if "(deleted)" in os.readlink(link) else 0
        return found

    before = room()
    fake.put("bucket", "key", b"x" * size)
    if spoil == "load":
        fake.after = lambda request, reply: s3_error(403, "AccessDenied") if "key" in request.path else None
    if spoil == "guard":
        fs = filesystem(fs.endpoint_url, probe="always", part_size=5 * MIB, multipart_threshold=5 * MIB)
        fake.ignore_conditions = True
    kept: BaseException | None = None
    try:
        with fs.open("bucket/key", mode) as file:
            file.write("new" if mode == "r+" else b"new")
            assert room() >= before + size or mode == "r+"
            if callable(spoil):
                spoil(fake, fs)
            elif spoil == "raise":
                raise RuntimeError(spoil)
            elif spoil == "no room":
                monkeypatch.setattr(spool, "write_at", _no_room)
                file.write("new" if mode == "r+" else b"new")
    except (OSError, RuntimeError, NotImplementedError) as error:
        kept = error
    assert room() == before
    assert (kept is None) == (spoil is None)


def _no_room(*_: Any) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


# --- what libraries do with it ---


def test_zip_members_are_added(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/a.zip", "w+b") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("one", "1" * 1000)
    with fs.open("bucket/a.zip", "r+b") as file, zipfile.ZipFile(file, "a") as archive:
        archive.writestr("two", "2" * 1000)
    with fs.open("bucket/a.zip") as file, zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["one", "two"]
        assert archive.testzip() is None


@pytest.mark.parametrize(("mode", "there"), [("r+b", b"no archive"), ("r+b", b""), ("w+b", b"gone")])
def test_zip_members_are_added_to_what_is_no_archive(
    fake: FakeS3, fs: GuardedS3FileSystem, mode: str, there: bytes
) -> None:
    """`zipfile` looks for the end of an archive before the beginning of a short file: an OSError says so."""
    fake.put("bucket", "a.zip", there)
    with fs.open("bucket/a.zip", mode) as file, zipfile.ZipFile(file, "a") as archive:
        archive.writestr("one", "1")
    with zipfile.ZipFile(io.BytesIO(body(fake, "a.zip"))) as archive:
        assert archive.read("one") == b"1"
    assert body(fake, "a.zip").startswith(there if mode == "r+b" else b"PK")


def test_hdf5(fs: GuardedS3FileSystem) -> None:
    h5py = pytest.importorskip("h5py")
    with fs.open("bucket/a.h5", "w+b") as file, h5py.File(file, "w") as new:
        new["one"] = list(range(1000))
    with fs.open("bucket/a.h5", "r+b") as file, h5py.File(file, "a") as old:
        old["two"] = [1]
        old["one"][5] = 77
    with fs.open("bucket/a.h5") as file, h5py.File(file) as found:
        assert sorted(found) == ["one", "two"]
        assert found["one"][5] == 77


def test_pandas(fs: GuardedS3FileSystem, server: ScriptedServer) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("openpyxl")
    storage_options = fs.storage_options
    frame = pd.DataFrame({"a": [1, 2]})
    frame.to_excel("gs3://bucket/a.xlsx", sheet_name="one", storage_options=storage_options)
    with pd.ExcelWriter(
        "gs3://bucket/a.xlsx", mode="a", engine="openpyxl", storage_options=storage_options
    ) as book:
        frame.to_excel(book, sheet_name="two")
    assert pd.ExcelFile("gs3://bucket/a.xlsx", storage_options=storage_options).sheet_names == ["one", "two"]
    with fs.open("bucket/a.dta", "w+b") as file:
        frame.to_stata(file, write_index=False)
    assert pd.read_stata("gs3://bucket/a.dta", storage_options=storage_options)["a"].sum() == 3


def test_fsspec_open(server: ScriptedServer, fs: GuardedS3FileSystem, fake: FakeS3) -> None:
    import fsspec

    with fsspec.open("gs3://bucket/key", "r+b", **fs.storage_options) as file:
        file.seek(4)
        file.write(b"four")
    with fsspec.open("gs3://bucket/text", "w+", **fs.storage_options) as file:
        file.write("text")
        file.seek(0)
        assert file.read() == "text"
    assert body(fake) == DATA[:4] + b"four" + DATA[8:]
    assert body(fake, "text") == b"text"
