"""The guarded writer: it publishes what was closed cleanly, and nothing else."""

import contextlib
import copy
import gc
import io
import pickle
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, eventually

PATH = "bucket/key"
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}
SMALL = b"data"
LARGE = bytes(6 * MIB)
SIZES = pytest.mark.parametrize("data", [SMALL, LARGE], ids=["one put", "multipart"])


class Store:
    """A fake store, its server and a filesystem on it."""

    def __init__(self, fake: FakeS3, server: ScriptedServer) -> None:
        self.fake = fake
        self.server = server
        self.fs: GuardedS3FileSystem = filesystem(server.url, **PARTS)

    @property
    def body(self) -> bytes | None:
        """What is published under the key."""
        stored = self.fake.objects.get(("bucket", "key"))
        return stored.body if stored else None

    def nothing(self) -> bool:
        """Whether there is no object, and soon no upload: a dropped file is aborted in the background."""
        deadline = time.monotonic() + 20.0
        while self.fake.uploads and time.monotonic() < deadline:
            time.sleep(0.01)
        return not self.fake.objects and not self.fake.uploads


@pytest.fixture
def store() -> Iterator[Store]:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        yield Store(fake, server)


# --- published ---


@SIZES
@pytest.mark.parametrize("mode", ["wb", "xb"])
def test_clean_close_publishes(store: Store, data: bytes, mode: str) -> None:
    with store.fs.open(PATH, mode) as file:
        assert file.write(data) == len(data)
        assert file.tell() == len(data)
        assert store.body is None
    assert store.body == data
    assert file.state == "COMPLETED"
    assert file.etag == store.fake.objects["bucket", "key"].etag
    assert not store.fake.uploads


def test_empty_file_is_published(store: Store) -> None:
    store.fs.open(PATH, "wb").close()
    assert store.body == b""


@SIZES
def test_close_twice_publishes_once(store: Store, data: bytes) -> None:
    file = store.fs.open(PATH, "xb")
    file.write(data)
    file.close()
    count = len(store.server.requests)
    file.close()
    file.commit()
    file.discard()
    assert store.body == data
    assert len(store.server.requests) == count


def test_write_after_close_is_value_error(store: Store) -> None:
    file = store.fs.open(PATH, "wb")
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.write(b"more")
    assert store.body == b""


def test_buffers_of_other_item_sizes_are_written_as_bytes(store: Store) -> None:
    with store.fs.open(PATH, "wb") as file:
        assert file.write(memoryview(bytes(8)).cast("q")) == 8
        assert file.write(bytearray(b"x")) == 1
    assert store.body == bytes(8) + b"x"


def test_written_buffer_may_be_changed_by_the_caller_afterwards(store: Store) -> None:
    data = bytearray(b"a" * 5 * MIB)
    with store.fs.open(PATH, "wb") as file:
        file.write(data)
        data[:] = b"b" * 5 * MIB
        file.write(data)
    assert store.body == b"a" * 5 * MIB + b"b" * 5 * MIB


def test_parts_are_put_together_in_order(store: Store) -> None:
    pieces = [bytes([number]) * 3_000_000 for number in range(12)]
    with store.fs.open(PATH, "wb") as file:
        for piece in pieces:
            file.write(piece)
    assert store.body == b"".join(pieces)


def test_open_and_close_inside_an_except_block_publishes(store: Store) -> None:
    try:
        raise LookupError("handled")
    except LookupError:
        file = store.fs.open(PATH, "wb")
        file.write(SMALL)
        file.close()
    assert store.body == SMALL


def test_close_after_an_exception_was_handled_publishes(store: Store) -> None:
    file = store.fs.open(PATH, "wb")
    file.write(SMALL)
    with contextlib.suppress(LookupError):
        raise LookupError("handled and gone")
    file.close()
    assert store.body == SMALL


@SIZES
def test_commit_publishes_even_in_a_handler(store: Store, data: bytes) -> None:
    file = store.fs.open(PATH, "wb")
    file.write(data)
    try:
        raise LookupError("on its way")
    except LookupError:
        file.commit()
    assert store.body == data


# --- not published ---


@SIZES
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit(1), GeneratorExit])
def test_exception_in_the_block_publishes_nothing(store: Store, data: bytes, error: Any) -> None:
    kind = error if isinstance(error, type) else type(error)
    with pytest.raises(kind), store.fs.open(PATH, "wb") as file:
        file.write(data)
        raise error
    assert store.nothing()
    assert file.closed
    assert file.state == "ABORTED"


@SIZES
def test_discard_publishes_nothing_and_close_stays_harmless(store: Store, data: bytes) -> None:
    file = store.fs.open(PATH, "wb")
    file.write(data)
    file.discard()
    file.discard()
    file.close()
    assert store.nothing()
    with pytest.raises(ValueError, match="discarded"):
        file.commit()
    assert store.nothing()


@SIZES
def test_close_in_a_handler_of_a_file_opened_before_discards_with_a_warning(
    store: Store, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = store.fs.open(PATH, "wb")
    file.write(data)
    try:
        raise ValueError("on its way")
    except ValueError:
        file.close()
    assert "commit()" in caplog.text
    assert store.nothing()
    assert file.closed


@SIZES
@pytest.mark.parametrize("wrap", [contextlib.closing, io.BufferedWriter, io.TextIOWrapper])
def test_exception_under_a_wrapper_that_only_calls_close_publishes_nothing(
    store: Store, data: bytes, wrap: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(LookupError), wrap(store.fs.open(PATH, "wb")) as file:
        file.write(data.decode() if wrap is io.TextIOWrapper else data)
        raise LookupError
    assert "nothing was published" in caplog.text
    assert store.nothing()


@SIZES
def test_exception_in_a_compressed_file_publishes_nothing(store: Store, data: bytes) -> None:
    with pytest.raises(LookupError), store.fs.open(PATH, "wb", compression="gzip") as file:
        file.write(data)
        raise LookupError
    assert store.nothing()


def assert_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """By the log, which is shown without configuration, and not by a warning of Python's too."""
    [told] = [record.getMessage() for record in caplog.records]
    assert told.startswith(f"{PATH} was dropped without close(): nothing was published")


@SIZES
def test_dropped_file_discards_with_one_warning(
    store: Store, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = store.fs.open(PATH, "wb")
    file.write(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del file
        gc.collect()
    assert_told_once(caplog)
    eventually(store.nothing)


@SIZES
def test_file_in_a_dropped_cycle_discards_with_one_warning(
    store: Store, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cycle: list[Any] = [store.fs.open(PATH, "wb")]
    cycle[0].write(data)
    cycle.append(cycle)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del cycle
        gc.collect()
    assert_told_once(caplog)
    eventually(store.nothing)


@SIZES
@pytest.mark.parametrize("options", [{"mode": "w"}, {"mode": "wb", "compression": "gzip"}])
def test_dropped_wrapper_discards_with_one_warning(
    store: Store, data: bytes, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    file = store.fs.open(PATH, **options)
    file.write(data.decode() if options["mode"] == "w" else data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del file
        gc.collect()
    assert_told_once(caplog)
    assert store.nothing()


def test_dropped_buffered_wrapper_discards(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    file = io.BufferedWriter(store.fs.open(PATH, "wb"))
    file.write(SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del file
        gc.collect()
    assert_told_once(caplog)
    assert store.nothing()


EXIT_SCRIPT = """
import os, sys
from tests.opening import MIB, filesystem
fs = filesystem(sys.argv[1], part_size=5 * MIB, multipart_threshold=5 * MIB)
file = fs.open("bucket/key", "wb")
file.write(bytes(int(sys.argv[2])))
print("written", flush=True)
"""


@pytest.mark.parametrize("size", [4, 6 * MIB])
@pytest.mark.parametrize(
    ("ending", "code"),
    [("", 0), ("sys.exit(3)", 3), ("raise LookupError", 1), ("raise KeyboardInterrupt", None)],
)
def test_interpreter_exit_leaves_neither_object_nor_upload(
    store: Store, size: int, ending: str, code: int | None
) -> None:
    command = [sys.executable, "-c", EXIT_SCRIPT + ending, store.server.url, str(size)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600, check=False)
    assert done.stdout == "written\n", done.stderr
    assert code is None or done.returncode == code
    assert store.nothing()
    assert ("uploads" in [name for request in store.server.requests for name in request.query]) is (size > 4)


# --- transactions ---


def test_transaction_publishes_at_its_end(store: Store) -> None:
    with store.fs.transaction:
        for name, data in (("one", SMALL), ("two", LARGE)):
            with store.fs.open(f"bucket/{name}", "wb") as file:
                file.write(data)
        assert not store.fake.objects
    assert {key: stored.body for (_, key), stored in store.fake.objects.items()} == {
        "one": SMALL,
        "two": LARGE,
    }
    assert not store.fake.uploads


def test_transaction_that_fails_publishes_nothing(store: Store) -> None:
    with pytest.raises(LookupError), store.fs.transaction:
        for name, data in (("one", SMALL), ("two", LARGE)):
            with store.fs.open(f"bucket/{name}", "wb") as file:
                file.write(data)
        raise LookupError
    assert store.nothing()


def test_create_in_a_transaction_is_checked_at_its_end(store: Store) -> None:
    with pytest.raises(FileExistsError), store.fs.transaction:
        with store.fs.open(PATH, "xb") as file:
            file.write(SMALL)
        store.fake.put("bucket", "key", b"rival")
    assert store.body == b"rival"


# --- memory ---


@pytest.mark.parametrize("concurrency", [1, 2, 4])
def test_at_most_max_concurrency_parts_are_under_way(concurrency: int) -> None:
    lock = threading.Lock()
    now, peak = [0], [0]

    def slow(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "PUT":
            time.sleep(0.02)
            with lock:
                now[0] -= 1
        return None

    def count(request: Request) -> Answer | None:
        if request.method == "PUT":
            with lock:
                now[0] += 1
                peak[0] = max(peak[0], now[0])
        return None

    fake = FakeS3("bucket", fault=slow)
    with ScriptedServer(handler=fake, before_body=count) as server:
        fs = filesystem(server.url, max_concurrency=concurrency, **PARTS)
        with fs.open(PATH, "wb") as file:
            for _ in range(10):
                file.write(bytes(5 * MIB))
    assert len(fake.objects["bucket", "key"].body) == 50 * MIB
    assert 1 <= peak[0] <= concurrency


@pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}], ids=["plain", "gzip"])
def test_a_writer_is_neither_copied_nor_pickled(
    store: Store, take: Callable[[Any], object], options: dict[str, str]
) -> None:
    """Two that share the parts of an upload would lose what one of them wrote."""
    with store.fs.open(PATH, "wb", **options) as file:
        file.write(LARGE)
        with pytest.raises(TypeError, match="is open for writing, and can be neither copied nor pickled"):
            take(file)
        file.write(SMALL)
    assert store.fs.cat_file(PATH) == LARGE + SMALL or options


ARRAYS = {
    "every second": memoryview(bytes(range(200)))[::2],
    "every second of many": memoryview(bytes(range(256)) * 40_000)[::2],
    "two axes": memoryview(bytes(range(12))).cast("B", (3, 4)),
    "numbers": memoryview(bytes(16)).cast("d"),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("by", ["write", "pipe_file", "put_if_absent"])
def test_arrays_are_written_in_the_order_of_c_wherever_they_lie_in_memory(by: str, array: memoryview) -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        if by == "write":
            with fs.open("bucket/a", "wb") as file:
                assert file.write(array) == array.nbytes
        else:
            getattr(fs, by)("bucket/a", array)
    assert fake.objects["bucket", "a"].body == array.tobytes()


@pytest.mark.parametrize("by", ["write", "pipe_file"])
def test_an_array_with_an_axis_of_no_length_is_no_bytes(by: str) -> None:
    numpy = pytest.importorskip("numpy")
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        if by == "write":
            with fs.open("bucket/a", "wb") as file:
                file.write(numpy.zeros((0, 5)))
        else:
            fs.pipe_file("bucket/a", numpy.zeros((0, 5)))
    assert fake.objects["bucket", "a"].body == b""
