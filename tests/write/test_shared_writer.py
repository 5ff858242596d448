"""One writer in several threads, in a signal handler, and on both sides of a fork."""

import asyncio
import gzip
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.core import OpenFile

from fsspec_guarded_s3 import GuardedS3FileSystem, WriteOutcomeUnknownError
from fsspec_guarded_s3._write.text_writer import TextWriter
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close, s3_error
from tests.single_faults import operation

PATH = "bucket/key"
RECORD = 4999  # as many bytes as are handed on at once
FEW = 37  # and as many as are gathered
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}


@pytest.fixture
def fake() -> FakeS3:
    return FakeS3("bucket")


@pytest.fixture
def fs(fake: FakeS3) -> Iterator[GuardedS3FileSystem]:
    with ScriptedServer(handler=fake) as server:
        yield filesystem(server.url, **PARTS)


def slow_writes(file: Any, entered: Callable[[], object]) -> None:
    """Call `entered` in the middle of every write to `file`, when half of the bytes are taken."""
    parts = file._parts
    write = parts.write

    def in_two(data: memoryview) -> None:
        write(data[: len(data) // 2])
        entered()
        write(data[len(data) // 2 :])

    parts.write = in_two


@pytest.mark.parametrize("end", ["close", "commit"])
def test_a_write_that_meets_close_is_published_whole_or_refused(
    end: str, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    file = fs.open(PATH, "wb")
    halfway = threading.Event()

    def entered() -> None:
        halfway.set()
        time.sleep(0.2)

    slow_writes(file, entered)
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(file.write(b"1" * RECORD)))
    thread.start()
    assert halfway.wait(10)
    getattr(file, end)()
    thread.join()
    assert done == [RECORD]
    assert fake.objects["bucket", "key"].body == b"1" * RECORD
    with pytest.raises(ValueError, match="closed"):
        file.write(b"2")


def test_writes_of_several_threads_do_not_mix(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
    with fs.open(PATH, "wb") as file:
        slow_writes(file, lambda: time.sleep(0.001))
        threads = [
            threading.Thread(target=lambda digit=digit: [file.write(digit * RECORD) for _ in range(20)])
            for digit in (b"1", b"2", b"3", b"4")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    body = fake.objects["bucket", "key"].body
    assert len(body) == 4 * 20 * RECORD
    records = [body[start : start + RECORD] for start in range(0, len(body), RECORD)]
    assert all(len(set(record)) == 1 for record in records)


def opened(fs: GuardedS3FileSystem, how: str, compression: str | None, text: bool) -> Any:
    """A file by `fs.open`, or by fsspec's `OpenFile`."""
    mode = "w" if text else "wb"
    if how == "fs.open":
        return fs.open(PATH, mode, compression=compression)
    return OpenFile(fs, PATH, mode, compression=compression).open()


def unpacked(fake: FakeS3, compression: str | None) -> bytes:
    body = fake.objects["bucket", "key"].body
    return gzip.decompress(body) if compression else body


every_file = pytest.mark.parametrize(
    ("how", "compression", "text"),
    [
        ("fs.open", None, False),
        ("fs.open", None, True),
        ("fs.open", "gzip", False),
        ("fs.open", "gzip", True),
        ("OpenFile", None, True),
        ("OpenFile", "gzip", False),
        ("OpenFile", "gzip", True),
    ],
)


@every_file
@pytest.mark.parametrize("size", [RECORD, FEW])
def test_threads_may_share_text_and_compressed_files(
    size: int, how: str, compression: str | None, text: bool, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    count = 200 if size == RECORD else 3000
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        file = opened(fs, how, compression, text)

        def write(digit: str) -> None:
            for number in range(count):
                record = f"{digit * size} {number}\n"
                file.write(record if text else record.encode())

        threads = [threading.Thread(target=write, args=(digit,)) for digit in "1234"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        file.close()
    finally:
        sys.setswitchinterval(interval)
    lines = unpacked(fake, compression).decode().splitlines()
    for digit in "1234":  # what a thread wrote is there, in its order
        mine = [line for line in lines if line[0] == digit]
        assert mine == [f"{digit * size} {number}" for number in range(count)]
    assert len(lines) == 4 * count


@every_file
@pytest.mark.parametrize("size", [RECORD, FEW])
def test_what_was_written_beside_close_is_published_or_refused(
    size: int, how: str, compression: str | None, text: bool, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    """Each write whole, wherever the close came."""
    for _ in range(15):
        file = opened(fs, how, compression, text)
        written: list[int] = []

        def write(file: Any = file, written: list[int] = written) -> None:
            with suppress(ValueError, RuntimeError):
                for _ in range(10**6):
                    written.append(file.write("1" * size if text else b"1" * size))

        thread = threading.Thread(target=write)
        thread.start()
        while not written:
            time.sleep(0)
        file.close()
        thread.join()
        assert len(unpacked(fake, compression)) == sum(written) == size * len(written)


@every_file
def test_close_in_another_thread_knows_the_exception_where_it_was_looked_up(
    how: str, compression: str | None, text: bool, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    async def fails() -> None:
        file = opened(fs, how, compression, text)
        try:
            file.write("half" if text else b"half")
            raise KeyError
        finally:
            await asyncio.to_thread(file.close)

    with pytest.raises(KeyError):
        asyncio.run(fails())
    assert not fake.objects


@pytest.mark.parametrize("size", [RECORD, 6 * MIB])
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_discard_that_comes_too_late_says_what_is_there(size: int, is_lost: bool, fake: FakeS3) -> None:
    """The request that publishes was applied, and its answer is on its way."""
    applied, go = threading.Event(), threading.Event()

    def after(request: Request, reply: Reply) -> Answer | None:
        if operation(request) not in ("PUT", "Complete"):
            return None
        applied.set()
        assert go.wait(60)
        return close() if is_lost else None

    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_attempts=1, **PARTS)
        fs.isfile("bucket/warm")
        fake.after = after
        if is_lost:
            fake.fault = lambda request, _: (
                s3_error(403, "AccessDenied") if request.method == "HEAD" else None
            )
        file = fs.open(PATH, "wb")
        file.write(b"1" * size)
        errors: list[BaseException] = []

        def publish() -> None:
            try:
                file.close()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=publish)
        thread.start()
        assert applied.wait(60)
        file.discard()
        go.set()
        thread.join(60)
    assert len(fake.objects["bucket", "key"].body) == size and len(errors) == 1
    if is_lost:
        assert isinstance(errors[0], WriteOutcomeUnknownError)
    else:
        assert isinstance(errors[0], ValueError) and "it is there all the same" in str(errors[0])


@every_file
@pytest.mark.parametrize("end", ["discard", "commit"])
def test_text_and_compressed_files_can_be_committed_and_discarded(
    end: str, how: str, compression: str | None, text: bool, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    file = opened(fs, how, compression, text)
    file.write("some" if text else b"some")
    getattr(file, end)()
    file.close()
    assert ("bucket", "key") in fake.objects if end == "commit" else not fake.objects


def test_files_have_the_mode_in_which_they_were_opened(fs: GuardedS3FileSystem) -> None:
    for mode in ("w", "wt", "wb", "x", "xt", "xb", "a", "at", "ab", "r", "rt", "rb"):
        if mode[0] == "x":
            fs.rm(PATH)
        with fs.open(PATH, mode) as file:
            assert file.mode == mode
    for mode in ("w", "wt"):
        with OpenFile(fs, PATH, mode) as file:
            assert file.mode == "w"


def test_text_files_of_other_filesystems_are_what_they_were(fs: GuardedS3FileSystem, tmp_path: Path) -> None:
    fs.open(PATH, "w").close()
    (tmp_path / "file").write_text("lines\n")
    url = f"file://{tmp_path / 'file'}"
    with fsspec.open(url, "r") as file:
        assert isinstance(file, fsspec.core.PickleableTextIOWrapper)
        assert not isinstance(file, TextWriter)
        assert file.read() == "lines\n"
    with fsspec.open("memory://file", "w") as file:
        file.write("text")
    assert fsspec.open("memory://file", "r").open().read() == "text"
    fs.pipe_file(PATH, b"of ours")
    reader = OpenFile(fs, PATH, "r").open()
    assert pickle.loads(pickle.dumps(reader)).read() == reader.read() == "of ours"


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="needs signals")
@pytest.mark.parametrize("call", ["close", "commit", "write"])
def test_a_signal_handler_in_the_middle_of_a_write_publishes_no_half(
    call: str, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    file = fs.open(PATH, "wb")
    slow_writes(file, lambda: signal.raise_signal(signal.SIGINT))
    before = signal.signal(
        signal.SIGINT, lambda *_: file.write(b"more" * RECORD) if call == "write" else getattr(file, call)()
    )
    try:
        with pytest.raises(RuntimeError, match="in the middle of a write"):
            file.write(b"1" * RECORD)
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(RuntimeError):
        file.close()
    assert not fake.objects


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="needs signals")
@pytest.mark.parametrize("text", [False, True], ids=["bytes", "text"])
def test_the_small_write_of_a_signal_handler_comes_behind_the_write_that_it_interrupts(
    text: bool, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    more, record = ("2", "1") if text else (b"2", b"1")
    file: Any = fs.open(PATH, "w" if text else "wb")
    signals = iter([signal.SIGINT])
    slow_writes(file.buffer if text else file, lambda: [signal.raise_signal(one) for one in signals])
    before = signal.signal(signal.SIGINT, lambda *_: file.write(more))
    try:
        file.write(record * 3 * RECORD)
    finally:
        signal.signal(signal.SIGINT, before)
    file.close()
    assert fake.objects["bucket", "key"].body == b"1" * 3 * RECORD + b"2"


# --- a child process --------------------------------------------------------------------------------

OPENED: dict[str, dict[str, Any]] = {
    "bytes": {"mode": "wb"},
    "text": {"mode": "w"},
    "gzip": {"mode": "wb", "compression": "gzip"},
    "append": {"mode": "ab"},
}
REFUSED = ("write", "close", "commit")
QUIET = ("sys.exit(0)", "sys.exit(0), close", "error", "discard", "del")


def in_child(act: Callable[[], Any]) -> int:
    """0 where `act` returned in a forked child, 1 where it was refused, 2 for another exception."""
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            act()
            code = 0
        except RuntimeError as error:
            code = 1 if "which opened it" in str(error) else 2
        except BaseException:
            code = 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def leave(file: Any, error: BaseException) -> None:
    try:
        with file:
            raise error
    except type(error):
        pass


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("size", [10, 11 * MIB], ids=["small", "parts"])
@pytest.mark.parametrize("opened", OPENED)
@pytest.mark.parametrize("act", [*REFUSED, *QUIET])
def test_a_child_neither_writes_nor_publishes_what_its_parent_opened(
    act: str, opened: str, size: int, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    data: Any = "1" * size if opened == "text" else b"1" * size
    options = dict(OPENED[opened])
    file = fs.open(PATH, options.pop("mode"), **options)
    file.write(data)

    def child() -> None:
        if act == "write":
            for _ in range(2):
                file.write(data)
            file.flush()
            if opened == "gzip":
                file.close()
        elif act == "sys.exit(0)":
            leave(file, SystemExit(0))
        elif act == "sys.exit(0), close":
            leave(closing(file), SystemExit(0))
        elif act == "error":
            leave(file, OSError())
        elif act == "del":
            file.__del__()
        else:
            getattr(file, act)()

    assert in_child(child) == (1 if act in REFUSED else 0)
    assert not fake.objects
    file.write(data)
    file.close()
    expected = data * 2
    with fs.open(PATH, "r" if opened == "text" else "rb", **options) as reader:
        assert reader.read() == expected
    assert not fake.uploads


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("before", [0, 1], ids=["first", "later"])
@pytest.mark.parametrize("opened", OPENED)
def test_the_first_write_in_a_child_is_refused_however_small(
    opened: str, before: int, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    """Also where something between would have gathered it, and `close` alone would have said so."""
    options = dict(OPENED[opened])
    file = fs.open(PATH, options.pop("mode"), **options)
    data: Any = "1" if opened == "text" else b"1"
    for _ in range(before):
        file.write(data)
    assert in_child(lambda: file.write(data)) == 1
    file.write(data)
    file.close()
    with fs.open(PATH, "rb", compression=options.get("compression")) as reader:
        assert reader.read() == b"1" * (before + 1)
