"""One writer in several threads, in a signal handler, and on both sides of a fork."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import ScriptedServer

PATH = "bucket/key"
RECORD = 997
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}


@pytest.fixture
def fake() -> FakeS3:
    return FakeS3("bucket")


@pytest.fixture
def fs(fake: FakeS3) -> Iterator[GuardedS3FileSystem]:
    with ScriptedServer(handler=fake) as server:
        yield filesystem(server.url, **PARTS)


def slow_writes(file: Any, entered: Callable[[], None]) -> None:
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


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="needs signals")
@pytest.mark.parametrize("call", ["close", "commit", "write"])
def test_a_signal_handler_in_the_middle_of_a_write_publishes_no_half(
    call: str, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    file = fs.open(PATH, "wb")
    slow_writes(file, lambda: signal.raise_signal(signal.SIGINT))
    before = signal.signal(
        signal.SIGINT, lambda *_: file.write(b"more") if call == "write" else getattr(file, call)()
    )
    try:
        with pytest.raises(RuntimeError, match="in the middle of a write"):
            file.write(b"1" * RECORD)
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(RuntimeError):
        file.close()
    assert not fake.objects


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
