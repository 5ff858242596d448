"""Whoever stops waiting stops the work: Ctrl-C, one error of many, close, del, the end of the process.
And what a fork renews.

The bound separates "ended", which takes 5 s where an upload is left, from "waited for a time-out".
"""

import _thread
import ast
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fsspec_guarded_s3
from fsspec_guarded_s3 import AccessDeniedError, GuardedS3FileSystem, _work
from fsspec_guarded_s3._forks import PerProcess, importing
from fsspec_guarded_s3._fs import listing_cache
from fsspec_guarded_s3._read.arriving import Arriving, Cut
from fsspec_guarded_s3._values.conditions import Condition
from fsspec_guarded_s3._values.paths import S3Path
from fsspec_guarded_s3._write import aborting
from fsspec_guarded_s3._write import upload as _upload
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, delay, eventually, s3_error, stall, trickle

BOUND = 50.0
DATA = bytes(range(256)) * (4096 * 40)  # 40 MiB
SLOW = {"read_timeout": 300, "send_timeout": 300, "min_rate": 0, "range_size": 4 * MIB}
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}
AT_EXIT = {True: 40.0, False: 0.5}  # seconds, by whether the store answers then


@pytest.fixture(autouse=True)
def as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aborting, "PATIENCE", 0.5)


class Store:
    """A store that goes silent, in one of several ways, for the requests that `silent` is true of."""

    def __init__(self, how: str = "stall") -> None:
        self.fake = FakeS3("bucket")
        self.fake.put("bucket", "key", DATA)
        for number in range(10):
            self.fake.put("bucket", f"many/{number}", b"x" * 1000)
        self.how = how
        self.silent: Callable[[Request], object] = lambda request: False
        self.asked = threading.Event()
        self.fake.fault = self._fault

    def _fault(self, request: Request, fake: FakeS3) -> Answer | None:
        if not self.silent(request):
            return None
        self.asked.set()
        if self.how == "503":
            return s3_error(503, "SlowDown")
        if self.how == "drip object":
            stored = self.fake.objects["bucket", request.path.removeprefix("/bucket/")]
            first, _, last = request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
            whole = f"{first}-{last}/{len(stored.body)}"
            fields = {"ETag": stored.etag} | ({"Content-Range": f"bytes {whole}"} if last else {})
            body = stored.body[int(first) : int(last or len(stored.body)) + 1]
            return trickle(206 if last else 200, body, interval=0.2, headers=fields)
        if self.how == "drip":
            fields = {"ETag": '"x"', "Content-Range": "bytes 0-999/1000"}
            return trickle(206, b"x" * 1000, interval=0.2, headers=fields)
        return stall(None)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def server(request: pytest.FixtureRequest, store: Store) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=store.fake, tls=request.param) as found:
        yield found


def opened(server: ScriptedServer, **options: Any) -> Any:
    if server.url.startswith("https"):
        options["ca_bundle"] = server.ca_path
    return filesystem(server.url, **(SLOW | options))


def seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


# --- one error of many ---


@pytest.mark.parametrize("verb", ["cat", "get", "cat_ranges", "cat_ranges_into"])
def test_the_first_error_of_many_is_raised_while_the_others_stall(
    store: Store, server: ScriptedServer, verb: str, tmp_path: Path
) -> None:
    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.path.endswith("many/3"):
            return delay(0.2, s3_error(403, "AccessDenied"))
        return stall(None) if "many/" in request.path and request.method in ("GET", "HEAD") else None

    store.fake.fault = fault
    fs = opened(server)
    paths = [f"bucket/many/{number}" for number in range(10)]
    calls: dict[str, Callable[[], object]] = {
        "cat": lambda: fs.cat(paths),
        "get": lambda: fs.get(paths, str(tmp_path / "there") + "/"),
        "cat_ranges": lambda: fs.cat_ranges(paths, [0] * 10, [10] * 10, on_error="raise"),
        "cat_ranges_into": lambda: fs.cat_ranges_into(paths, 0, 10, bytearray(100)),
    }

    def call() -> None:
        with pytest.raises(PermissionError):
            calls[verb]()

    assert seconds(call) < BOUND
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_part_that_fails_ends_the_others_and_the_upload_is_aborted_in_time_or_later(
    store: Store, server: ScriptedServer
) -> None:
    held = threading.Event()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.query.get("partNumber") == "2":
            return s3_error(403, "AccessDenied")
        if request.method == "DELETE":
            held.wait(60)
        return stall(None) if "partNumber" in request.query else None

    store.fake.fault = fault
    fs = opened(server, **PARTS)

    def call() -> None:
        with pytest.raises(AccessDeniedError):
            fs.pipe_file("bucket/new", DATA)

    assert seconds(call) < BOUND
    held.set()
    eventually(lambda: not store.fake.uploads, 30)


# --- Ctrl-C ---

CHILD = """
import json, os, sys, threading, time, warnings
from fsspec_guarded_s3._write import aborting
from tests.opening import MIB, filesystem
url, verb, options, local = json.loads(sys.argv[1])
aborting.AT_EXIT = options.pop("at_exit")
fs = filesystem(url, **options)
def write():
    with fs.open("bucket/new", "wb") as file:
        for _ in range(40):
            file.write(bytes(MIB))
def append():
    with fs.open("bucket/key", "ab") as file:
        file.write(bytes(6 * MIB))
def read():
    with fs.open("bucket/key") as file:
        while file.read(MIB):
            pass
many = ["bucket/many/%d" % n for n in range(10)]
def put_file():
    with open(local + "/file", "wb") as file:
        file.truncate(40 * MIB)
    fs.put_file(local + "/file", "bucket/new")
calls = {
    "cat": lambda: fs.cat(many),
    "cat_file": lambda: fs.cat_file("bucket/key"),
    "cat_ranges": lambda: fs.cat_ranges(["bucket/key"] * 10, [n * MIB for n in range(10)], [10 * MIB] * 10),
    "get": lambda: fs.get(many, local + "/there/"),
    "get_file": lambda: fs.get_file("bucket/key", local + "/got"),
    "put": lambda: fs.pipe({name: b"x" for name in many}),
    "put_file": put_file,
    "find": lambda: fs.find("bucket"),
    "rm": lambda: fs.rm("bucket/many", recursive=True),
    "cp": lambda: fs.copy("bucket/many/", "bucket/copies/", recursive=True),
    "read": read,
    "write": write,
    "pipe_file": lambda: fs.pipe_file("bucket/new", b"x"),
    "append": append,
    "create": lambda: fs.pipe_file("bucket/new", bytes(6 * MIB), mode="create"),
    "pipe": lambda: fs.pipe({f"bucket/new/{n}": bytes(6 * MIB) for n in range(3)}),
}
print("begun", flush=True)
try:
    calls[verb]()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
VERBS = [
    "cat",
    "cat_file",
    "cat_ranges",
    "get",
    "get_file",
    "put",
    "put_file",
    "find",
    "rm",
    "cp",
    "read",
    "write",
    "pipe_file",
]


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), json.dumps(arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def interrupted(
    process: subprocess.Popen[str], asked: threading.Event, after: float = 0.0
) -> tuple[str, str]:
    """What `process` says, which gets Ctrl-C `after` seconds from when `asked` is set, and ends soon."""
    try:
        assert asked.wait(60)
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert time.monotonic() - began < BOUND
    return said


def silent_for_all_but_heads(request: Request) -> bool:
    """Uploads begin, and the first bytes of objects come: the silence is in the middle."""
    if request.method == "POST" and "uploads" in request.query:
        return False
    begins = request.headers.get("range", "").startswith("bytes=0-") and request.path.endswith("/key")
    return request.method != "HEAD" and not begins


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("how", ["stall", "503"])
def test_an_interrupt_ends_a_call_whatever_the_store_does(
    store: Store, server: ScriptedServer, verb: str, how: str, tmp_path: Path
) -> None:
    if how == "503" and server.url.startswith("https"):
        pytest.skip("the pause is one for both")
    store.how, store.silent = how, silent_for_all_but_heads
    options = SLOW | PARTS | {"max_attempts": 30, "at_exit": 0.5}
    if server.url.startswith("https"):
        options["ca_bundle"] = server.ca_path
    with child(CHILD, server.url, verb, options, str(tmp_path)) as process:
        said, errors = interrupted(process, store.asked, after=0.3)
    assert said.split() == ["begun", "interrupted"], errors
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in ("file",)]


@pytest.mark.parametrize("uploads_answer", [True, False])
def test_an_interrupted_upload_is_aborted_or_named(
    store: Store, server: ScriptedServer, uploads_answer: bool, tmp_path: Path
) -> None:
    """What the store does not take in time is said in a warning that the user sees."""
    store.silent = lambda request: (
        "partNumber" in request.query or (not uploads_answer and request.method == "DELETE")
    )
    options = SLOW | PARTS | {"at_exit": AT_EXIT[uploads_answer]}
    if server.url.startswith("https"):
        options["ca_bundle"] = server.ca_path
    with child(CHILD, server.url, "put_file", options, str(tmp_path)) as process:
        _, errors = interrupted(process, store.asked)
    assert bool(store.fake.uploads) is not uploads_answer
    assert ("could not abort upload" in errors) is not uploads_answer


def test_the_program_does_not_end_while_a_warning_is_being_written(
    store: Store, server: ScriptedServer
) -> None:
    """Two threads know that an upload stays: that whose time is over, and that which ends the program."""
    store.silent = lambda request: request.method == "DELETE"
    code = """
    import json, logging, sys, time
    from fsspec_guarded_s3._write import aborting
    from tests.opening import MIB, filesystem
    url, options = json.loads(sys.argv[1])
    logging.getLogger("fsspec_guarded_s3").addFilter(lambda record: time.sleep(1) or True)
    aborting.Removal.limit = lambda removal, seconds: removal._work.limit(seconds - 0.5)
    aborting.AT_EXIT = 1.0
    file = filesystem(url, **options).open("bucket/new", "wb")
    file.write(bytes(6 * MIB))
    file.discard()
    """
    options = SLOW | PARTS
    if server.url.startswith("https"):
        options["ca_bundle"] = server.ca_path
    with child(code, server.url, options) as process:
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert errors.count("could not abort upload") == len(store.fake.uploads) == 1, errors


@pytest.mark.parametrize("verb", ["write", "put_file", "append", "pipe"])
@pytest.mark.parametrize("answers", [True, False])
def test_an_upload_whose_id_is_on_its_way_is_aborted_or_named(
    store: Store, server: ScriptedServer, verb: str, answers: bool, tmp_path: Path
) -> None:
    """An interrupt comes while CreateMultipartUpload is applied and not answered yet."""
    asked = threading.Event()

    def late(request: Request, reply: Any) -> Any:
        if request.method != "POST" or "uploads" not in request.query:
            return reply
        asked.set()
        return delay(1.0, reply) if answers else stall(None)

    store.fake.after = late
    options = SLOW | PARTS | {"at_exit": AT_EXIT[answers]}
    if server.url.startswith("https"):
        options["ca_bundle"] = server.ca_path
    with child(CHILD, server.url, verb, options, str(tmp_path)) as process:
        said, errors = interrupted(process, asked)
    assert said.split() == ["begun", "interrupted"], errors
    assert bool(store.fake.uploads) is not answers
    assert ("could not abort upload" in errors) is not answers


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("answers", [True, False])
def test_an_interrupted_probe_is_not_waited_for_and_leaves_nothing(
    store: Store, server: ScriptedServer, method: str, answers: bool
) -> None:
    asked = threading.Event()

    def late(request: Request, reply: Any) -> Any:
        if ".gs3-probe" not in request.path or (request.method != method and not asked.is_set()):
            return reply
        asked.set()
        return delay(0.3, reply) if answers else stall(None)

    store.fake.after = late
    options = SLOW | PARTS | {"probe": "always", "at_exit": AT_EXIT[answers]}
    if server.url.startswith("https"):
        options["ca_bundle"] = server.ca_path
    with child(CHILD, server.url, "create", options, "") as process:
        said, errors = interrupted(process, asked)
    assert said.split() == ["begun", "interrupted"], errors
    if answers:
        assert not store.fake.uploads
        assert not [key for _, key in store.fake.objects if ".gs3-probe" in key]
    else:
        assert "could not remove what a probe made" in errors


def test_an_upload_that_is_refused_is_neither_aborted_nor_warned_of(
    store: Store, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    store.fake.fault = lambda request, fake: (
        s3_error(403, "AccessDenied") if "uploads" in request.query else None
    )
    with pytest.raises(AccessDeniedError):
        opened(server, **PARTS).pipe_file("bucket/new", bytes(6 * MIB))
    assert not caplog.records
    assert not [request for request in server.requests if request.method == "DELETE"]


# --- readers and writers that are given up ---


@pytest.mark.parametrize("how", ["close", "del", "seek"])
def test_a_reader_does_not_wait_for_what_it_read_ahead(
    store: Store, server: ScriptedServer, how: str
) -> None:
    fs = opened(server)
    file = fs.open("bucket/key", block_size=MIB)
    file.cache.is_distant = lambda: True
    store.silent = lambda request: request.method == "GET"
    for _ in range(3):
        store.silent = lambda request: False
        file.read(MIB)
    store.silent = lambda request: request.method == "GET"
    file.cache._ahead.append(Arriving(20 * MIB, 21 * MIB, file.cache.stream, Cut()))
    assert store.asked.wait(30)

    def give_up() -> None:
        nonlocal file
        if how == "close":
            file.close()
        elif how == "seek":
            file.cache._ahead.clear()
        else:
            file = None

    assert seconds(give_up) < BOUND
    eventually(lambda: fsspec_guarded_s3._threads._pool.is_idle())  # and it stops by itself


@pytest.mark.parametrize("how", ["discard", "del", "exception"])
def test_a_writer_does_not_wait_for_its_parts_nor_for_the_abort(
    store: Store, server: ScriptedServer, how: str
) -> None:
    fs = opened(server, **PARTS)
    file = fs.open("bucket/new", "wb")
    store.silent = lambda request: "partNumber" in request.query or request.method == "DELETE"
    file.write(bytes(6 * MIB))
    assert store.asked.wait(30)

    def give_up() -> None:
        nonlocal file
        if how == "discard":
            file.discard()
        elif how == "del":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                file = None
        else:
            with pytest.raises(LookupError), file:
                raise LookupError

    assert seconds(give_up) < BOUND
    assert ("bucket", "new") not in store.fake.objects


# --- the end of the process ---


@pytest.mark.parametrize("writers", [0, 1, 4])
def test_a_program_ends_whatever_it_left_open(store: Store, server: ScriptedServer, writers: int) -> None:
    code = """
    import json, sys, warnings
    from fsspec_guarded_s3._read.arriving import Arriving, Cut
    from tests.opening import MIB, filesystem
    warnings.simplefilter("ignore")
    url, options, writers = json.loads(sys.argv[1])
    fs = filesystem(url, **options)
    file = fs.open("bucket/key", block_size=MIB)
    for _ in range(3):
        file.read(MIB)
    left = [fs.open(f"bucket/new{n}", "wb") for n in range(writers)]
    for one in left:
        one.write(bytes(6 * MIB))
        one._upload._tasks[0].wait()
    print("ready", flush=True)
    sys.stdin.readline()
    file.cache._ahead.append(Arriving(20 * MIB, 21 * MIB, file.cache.stream, Cut()))
    print("end", flush=True)
    """
    options = SLOW | PARTS
    if server.url.startswith("https"):
        options["ca_bundle"] = server.ca_path
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), json.dumps([server.url, options, writers])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        try:
            assert process.stdout is not None and process.stdin is not None
            assert process.stdout.readline() == "ready\n"
            store.silent = lambda request: True
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "end\n"
            began = time.monotonic()
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert time.monotonic() - began < BOUND
    assert errors.count("could not abort upload") == writers == len(store.fake.uploads)


@pytest.mark.parametrize(
    ("act", "how"),
    [
        ("read", "stall"),
        ("read", "drip object"),
        ("lines", "stall"),
        ("text", "drip object"),
        ("cat_file", "drip object"),
        ("cat", "stall"),
        ("write", "stall"),
        ("coroutine", "stall"),
        ("coroutine", "drip object"),
        ("coroutines", "stall"),
        ("coroutine's write", "stall"),
    ],
)
def test_a_program_that_ends_beside_a_daemon_thread_prints_nothing_of_it(
    store: Store, server: ScriptedServer, act: str, how: str
) -> None:
    """Python stops such a thread where it is; what it waits for ends too, and is none of its errors."""
    code = """
    import asyncio, json, sys, threading
    from tests.opening import MIB, filesystem
    url, act, options = json.loads(sys.argv[1])
    fs = filesystem(url, **options)
    async def both():
        await asyncio.gather(fs._cat_file("bucket/key"), fs._cat_file("bucket/key"))
    def write():
        with fs.open("bucket/new", "wb") as file:
            for _ in range(60):
                file.write(bytes(MIB))
    acts = {
        "read": lambda: fs.open("bucket/key").read(MIB),
        "lines": lambda: list(fs.open("bucket/key")),
        "text": lambda: fs.open("bucket/key", "r", encoding="latin-1").read(),
        "cat_file": lambda: fs.cat_file("bucket/key"),
        "cat": lambda: fs.cat(["bucket/many/1", "bucket/many/2", "bucket/key"]),
        "write": write,
        "coroutine": lambda: asyncio.run(fs._cat_file("bucket/key")),
        "coroutines": lambda: asyncio.run(both()),
        "coroutine's write": lambda: asyncio.run(fs._pipe_file("bucket/new", bytes(60 * MIB))),
    }
    threading.Thread(target=acts[act], daemon=True).start()
    sys.stdin.readline()
    """
    store.how = how
    store.silent = lambda request: request.method == "GET" or "partNumber" in request.query
    options = SLOW | PARTS | {"max_attempts": 30}
    if server.url.startswith("https"):
        options["ca_bundle"] = server.ca_path
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), json.dumps([server.url, act, options])],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        try:
            assert store.asked.wait(60)
            time.sleep(0.2)
            began = time.monotonic()
            _, errors = process.communicate("\n", timeout=60)
        finally:
            process.kill()
    assert time.monotonic() - began < BOUND
    told = [line for line in errors.splitlines() if "bucket/new" not in line]
    assert told == [] and process.returncode == 0
    assert ("was open when the program ended" in errors) is (act == "write")


# --- after a fork ---


def in_child(call: Callable[[], object]) -> int:
    """The exit status of a forked child that makes `call`, None's where it did not end in time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # this process has threads
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if call() else 2
        finally:
            os._exit(status)
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("the child hangs")


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")


def once_refused(seen: set[str], request: Request) -> Answer | None:
    """A 500, a "slow down" and a rival: the first time each."""
    if request.method == "GET" and request.path.endswith(("/flaky", "/slow")) and request.path not in seen:
        seen.add(request.path)
        return (
            s3_error(500, "InternalError") if request.path.endswith("/flaky") else s3_error(503, "SlowDown")
        )
    if request.method == "PUT" and request.path.endswith("/rival") and "PUT" not in seen:
        seen.add("PUT")
        return s3_error(412, "PreconditionFailed")
    return None


def test_no_request_imports_anything_while_a_fork_does_not_wait(
    store: Store, server: ScriptedServer, tmp_path: Path
) -> None:
    """A child that is forked while a thread imports would find the lock of the module taken, for ever."""
    code = """
    import json, sys
    from fsspec_guarded_s3 import _forks
    from tests.opening import MIB, filesystem
    class Unguarded:
        def find_spec(name, path=None, target=None):
            if not _forks._imports._is_owned():
                print(f"{calling}: {name}")
    url, options, local = json.loads(sys.argv[1])
    fs = filesystem(url, **options)
    def write(mode, data, **chosen):
        with fs.open("bucket/written", mode, **chosen) as file:
            file.write(data)
    calls = {
        "cat_file": lambda: fs.cat_file("bucket/many/1"),
        "a range": lambda: fs.cat_file("bucket/many/1", 0, 5),
        "cat_ranges": lambda: fs.cat_ranges(["bucket/key"] * 3, [0, 5, 9], [3, 9, 20]),
        "read": lambda: fs.open("bucket/many/1").read(),
        "lines": lambda: list(fs.open("bucket/many/1", "r")),
        "encoded metadata": lambda: fs.info("bucket/encoded"),
        "a 500": lambda: fs.cat_file("bucket/flaky"),
        "a 503": lambda: fs.cat_file("bucket/slow"),
        "a 404": lambda: fs.exists("bucket/missing"),
        "pipe_file": lambda: fs.pipe_file("bucket/new", b"x"),
        "in parts": lambda: fs.pipe_file("bucket/large", bytes(11 * MIB)),
        "a rival": lambda: fs.update("bucket/rival", lambda old: old + b"x"),
        "write in parts": lambda: write("wb", bytes(6 * MIB)),
        "append": lambda: write("ab", b"x"),
        "text": lambda: write("w", "x"),
        "gzip": lambda: write("wb", b"x", compression="gzip"),
        "get": lambda: fs.get("bucket/many/", local + "/got/", recursive=True),
        "put": lambda: fs.put(local + "/got/", "bucket/put/", recursive=True),
        "mv": lambda: fs.mv("bucket/put/", "bucket/moved/", recursive=True),
        "listings": lambda: [fs.ls("bucket"), fs.glob("bucket/**"), list(fs.walk("bucket")), fs.du("bucket")],
        "rm": lambda: fs.rm("bucket/moved", recursive=True),
        "tags": lambda: [fs.put_tags("bucket/new", {"a": "b"}), fs.get_tags("bucket/new")],
        "setxattr": lambda: fs.setxattr("bucket/new", a="b"),
        "sign": lambda: fs.sign("bucket/new"),
        "uploads": lambda: fs.list_uploads("bucket"),
    }
    sys.meta_path.insert(0, Unguarded)
    for calling, call in calls.items():
        call()
    sys.meta_path.remove(Unguarded)
    assert "tenacity" in sys.modules
    """
    seen: set[str] = set()
    store.fake.fault = lambda request, fake: once_refused(seen, request)
    for key in ("flaky", "slow", "rival"):
        store.fake.put("bucket", key, b"x")
    store.fake.put("bucket", "encoded", b"x", a="=?UTF-8?Q?J=C3=BC?=")
    options = PARTS | ({"ca_bundle": server.ca_path} if server.url.startswith("https") else {})
    with child(code, server.url, options, str(tmp_path)) as process:
        said, errors = process.communicate(timeout=60)
    assert (said.split(), errors) == ([], "")
    assert len(seen) == 3


@forks
def test_a_fork_waits_for_an_import_of_another_thread() -> None:
    forked, begun, end = threading.Event(), threading.Event(), threading.Event()

    def imports() -> None:
        with importing():
            begun.set()
            end.wait(BOUND)

    def forks_here() -> None:
        assert in_child(lambda: True) == 0
        forked.set()

    threads = [threading.Thread(target=imports), threading.Thread(target=forks_here)]
    threads[0].start()
    assert begun.wait(BOUND)
    threads[1].start()
    assert not forked.wait(0.3)
    end.set()
    assert forked.wait(BOUND)
    for thread in threads:
        thread.join()
    with importing():  # as in a signal's handler
        assert in_child(lambda: importing().__enter__() is None) == 0


@forks
def test_a_reader_goes_on_in_a_child_and_in_its_parent(store: Store, server: ScriptedServer) -> None:
    store.fake.after = lambda request, reply: delay(0.2, reply) if request.method == "GET" else None
    fs = opened(server)
    file = fs.open("bucket/key", block_size=MIB)
    for _ in range(4):
        file.read(MIB)
    last = file.cache._ahead[-1].stop
    file.cache._ahead.append(Arriving(last, last + MIB, file.cache.stream, Cut()))  # on its way
    assert in_child(lambda: file.read(8 * MIB) == DATA[4 * MIB : 12 * MIB]) == 0
    assert file.read(8 * MIB) == DATA[4 * MIB : 12 * MIB]


@forks
def test_locks_that_threads_of_the_parent_hold_are_free_in_a_child(
    store: Store, server: ScriptedServer
) -> None:
    fs = opened(server, probe="always")
    file = fs.open("bucket/key")
    file.read(10)
    locks = [value for value in _locks_of([fs, file, file.cache, fs._client])]
    assert len(locks) >= 3
    ready, go = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        ready.set()
        go.wait()
        for lock in locks:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert ready.wait(10)

        def use() -> bool:
            fs._client.store.retry._budget.take()
            fs.pipe_file("bucket/created", b"x", mode="create")
            fs.cat(["bucket/many/1", "bucket/many/2"])
            return bool(file.read(5 * MIB)) and fs.cat_file("bucket/created") == b"x"

        assert in_child(use) == 0
    finally:
        go.set()
        thread.join()


def _locks_of(found: list[Any]) -> Iterator[Any]:
    """Every lock of this package that is within reach of `found`."""
    kinds = (type(threading.Lock()), type(threading.RLock()))
    seen: set[int] = set()
    while found:
        item = found.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, kinds):
            yield item
        elif isinstance(item, PerProcess):
            found.append(item())
        elif type(item).__module__.startswith("fsspec_guarded_s3"):
            found += vars(item).values() if hasattr(item, "__dict__") else []


def test_there_is_one_registry_of_what_a_fork_renews() -> None:
    """And each lock that outlives a call is made by what that registry calls."""
    folder = Path(fsspec_guarded_s3.__file__).parent
    for path in folder.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert ("register_at_fork" in text) == (path.name == "_forks.py"), path.name
        if "renew_after_fork(" in text or path.name in ("demo.py", "aborting.py"):
            continue
        for node in ast.walk(ast.parse(text)):
            made = isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("threading.")
            lasting = made and "Lock" in ast.unparse(node.value)
            names = [ast.unparse(target) for target in node.targets] if lasting else []
            allowed = ("lock", "self._lock")  # of one call
            assert all(name in allowed for name in names), (path.name, names)


# --- garbage ---


@pytest.mark.parametrize("where", ["pool", "budget", "task"])
def test_a_dropped_writer_may_be_collected_while_any_lock_is_held(
    store: Store, server: ScriptedServer, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = opened(server, **PARTS)
    file = fs.open("bucket/new", "wb")
    file.write(bytes(6 * MIB))
    file._upload._tasks[0].wait()
    cycle: list[Any] = [file]
    cycle.append(cycle)
    gc.collect()
    locks = {
        "pool": fs._client.store.transport._lock,
        "budget": fs._client.store.retry._budget._lock(),
        "task": fsspec_guarded_s3._threads._pool._lock,
    }
    collected = threading.Event()

    def collect() -> None:
        nonlocal cycle, file
        with locks[where], warnings.catch_warnings():
            warnings.simplefilter("ignore")
            del file, cycle
            gc.collect()
        collected.set()

    threading.Thread(target=collect, daemon=True).start()
    assert collected.wait(BOUND)
    eventually(lambda: not store.fake.uploads)


# --- what threads share ---


def _churned(change: Callable[[], object], look: Callable[[], object]) -> None:
    stop = threading.Event()
    failed: list[BaseException] = []

    def go_on(call: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                call()
        except BaseException as error:
            failed.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=go_on, args=(call,)) for call in (change, change, look, look)]
    try:
        for thread in threads:
            thread.start()
        time.sleep(2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    assert not failed


def test_open_uploads_are_listed_while_others_begin() -> None:
    fs = filesystem("http://127.0.0.1:9")

    def change() -> None:
        uploads = [_upload.Upload(fs._client, S3Path("b", "k"), Condition(), {}) for _ in range(20)]
        for upload in uploads:
            upload._move(_upload.State.OPEN)

    _churned(change, _upload.live_upload_ids)


def test_writes_drop_listings_while_filesystems_come_and_go() -> None:
    def change() -> None:
        for _ in range(10):
            filesystem("http://127.0.0.1:9", use_listings_cache=True)

    _churned(change, lambda: listing_cache.forget("bucket", "key"))


# --- the flag itself ---


def test_work_ends_with_all_that_it_is_part_of_and_when_its_time_is_over() -> None:
    around, other = _work.Work(), _work.Work()
    within = _work.Work(around, other)
    assert not within.is_over
    other.end()
    assert within.is_over and not around.is_over
    limited = _work.Work(limit=100)
    limited.limit(-1)
    assert limited.is_over


def test_a_pause_ends_when_nobody_waits_any_more() -> None:
    work = _work.Work()
    threading.Timer(0.1, work.end).start()

    def call() -> None:
        with _work.working_for(work), pytest.raises(_work.CancelledError):
            _work.pause(100)

    assert seconds(call) < BOUND


def test_a_task_that_is_dropped_is_given_up() -> None:
    begun, ended = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        try:
            _work.pause(100)
        finally:
            ended.set()

    task = fsspec_guarded_s3._threads.Task(call)
    assert begun.wait(BOUND)
    del task
    assert ended.wait(BOUND)


def test_a_thread_that_cannot_be_interrupted_is_not_waited_for() -> None:
    free = threading.Event()
    parked = threading.Event()

    def stuck() -> None:
        with _work.uninterruptible():
            parked.set()
            free.wait(60)

    def fail() -> None:
        if not parked.wait(30):
            raise AssertionError
        raise KeyError("the other")

    caller = threading.get_ident()

    def call() -> None:
        fail() if threading.get_ident() == caller else stuck()

    def run() -> None:
        with pytest.raises(KeyError, match="the other"):
            fsspec_guarded_s3._runs.run_all([call, call], limit=2, initial=2)

    try:
        assert seconds(run) < BOUND
    finally:
        free.set()


def _piped(fs: GuardedS3FileSystem) -> None:
    fs.pipe({f"bucket/new/{number}": DATA[: 6 * MIB] for number in range(12)})


def _in_a_transaction(fs: GuardedS3FileSystem) -> None:
    with fs.transaction:
        _piped(fs)
        time.sleep(60)


def _many_writers(fs: GuardedS3FileSystem) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(12):
            file = stack.enter_context(fs.open(f"bucket/new/{number}", "wb"))
            file.write(DATA[: 6 * MIB])
        time.sleep(60)


@pytest.mark.parametrize("call", [_in_a_transaction, _many_writers])
def test_who_gives_many_uploads_up_waits_once_for_their_aborts(
    call: Callable[[GuardedS3FileSystem], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock of the waiting: how long a busy machine takes for the rest is another matter."""
    waited: list[float] = []
    sleep = time.sleep

    def noted(seconds: float) -> None:
        if seconds == 60:
            raise KeyboardInterrupt
        if threading.current_thread() is threading.main_thread() and seconds == aborting._POLL_SECONDS:
            waited.append(seconds)
        sleep(seconds)

    answers = threading.Event()

    def fault(request: Request, fake: FakeS3) -> None:
        if request.method == "DELETE":
            answers.wait(60)

    fake = FakeS3("bucket", fault=fault)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **SLOW, **PARTS)
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", noted)
            with pytest.raises(KeyboardInterrupt):
                call(fs)
        assert len(fake.uploads) == 12
        answers.set()
        eventually(lambda: not fake.uploads)
    assert sum(waited) <= 2 * aborting.PATIENCE


def test_an_upload_that_is_given_up_while_it_begins_is_not_begun_again() -> None:
    """Each attempt may make another upload, and nobody wants any."""
    asked, go_on = threading.Event(), threading.Event()
    begun: list[Request] = []

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if "uploads" not in request.query or request.method != "POST":
            return None
        begun.append(request)
        asked.set()
        go_on.wait(60)
        return s3_error(503, "SlowDown")

    def interrupt() -> None:
        asked.wait(60)
        _thread.interrupt_main()

    with ScriptedServer(handler=FakeS3("bucket", fault=fault)) as server:
        fs = filesystem(server.url, **SLOW, **PARTS)
        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            fs.pipe_file("bucket/new", DATA[: 6 * MIB])
        interrupter.join()
        go_on.set()
        eventually(lambda: not aborting._under_way)
    assert len(begun) == 1


@pytest.mark.parametrize("threads", [2, 8])
def test_the_end_does_not_wait_for_calls_of_daemons(threads: int) -> None:
    """Their threads of the pool are told to stop, and the daemon ends without a word."""
    code = """
        import json, sys, threading
        from fsspec_guarded_s3 import _runs, _threads, _work

        (threads,) = json.loads(sys.argv[1])
        _threads._EXIT_SECONDS = 100
        begun = threading.Semaphore(0)

        def call():
            begun.release()
            _work.pause(1000)

        daemon = threading.Thread(target=_runs.run_all, args=([call] * 20, threads, threads), daemon=True)
        daemon.start()
        for _ in range(threads):
            begun.acquire()
        print("end", flush=True)
    """
    with child(code, threads) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "end\n"
            began = time.monotonic()
            _, errors = process.communicate(timeout=90)
        finally:
            process.kill()
    assert time.monotonic() - began < BOUND
    assert (process.returncode, errors) == (0, "")
