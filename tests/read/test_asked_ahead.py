"""Many small reads from a near store: requests are sent ahead of the answers that are read."""

import threading
import time
from collections.abc import Callable

import pytest

from fsspec_guarded_s3 import ConnectError, ObjectChangedError
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close, cut, respond, s3_error
from tests.servers import reserved_port

DATA = period_free(MIB)
STARTS = list(range(0, MIB, 64 * 1024))
ENDS = [start + 100 for start in STARTS]
PIECES = [DATA[start:end] for start, end in zip(STARTS, ENDS, strict=True)]
PATHS = ["bucket/key"] * len(STARTS)
MANY = {f"bucket/{n}": DATA[n : n + 1000] for n in range(40)}
Fault = Callable[[Request, FakeS3], Answer | None]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries wait, but not for long."""
    monkeypatch.setattr("fsspec_guarded_s3._s3.retry.BASE_SECONDS", 0.001)


@pytest.fixture(autouse=True)
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not look like a distant store; and one thread asks, also where two could run."""
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler._takes_turns", lambda: True)
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", float("inf"))
    monkeypatch.setattr("fsspec_guarded_s3._runs._WINDOW", float("inf"))


def store(fault: Fault | None = None) -> FakeS3:
    fake = FakeS3("bucket", fault=fault)
    fake.put("bucket", "key", DATA)
    for path, content in MANY.items():
        fake.put("bucket", path.partition("/")[2], content)
    return fake


class Gate:
    """Answers no GET before `wanted` of them are there together."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._open = threading.Event()
        self._lock = threading.Lock()
        self._now = self.most = 0

    def __call__(self, request: Request, fake: FakeS3) -> Answer | None:
        if request.method != "GET":
            return None
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            if self._now == self._wanted:
                self._open.set()
        assert self._open.wait(20), f"never {self._wanted} requests together"
        with self._lock:
            self._now -= 1
        return None


def test_one_thread_has_several_ranges_under_way() -> None:
    """The store answers none of them before four are there."""
    gate = Gate(4)

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return gate(request, fake) if "if-match" in request.headers else None  # the first tells the ETag

    with ScriptedServer(handler=store(fault)) as server:
        assert filesystem(server.url).cat_ranges(PATHS, STARTS, ENDS, max_gap=0) == PIECES
    assert 4 <= gate.most <= 8


def test_one_thread_has_several_objects_under_way() -> None:
    gate = Gate(4)
    with ScriptedServer(handler=store(gate)) as server:
        assert filesystem(server.url).cat(list(MANY)) == MANY
    assert 4 <= gate.most <= 8


def test_max_concurrency_is_kept() -> None:
    gate = Gate(2)
    with ScriptedServer(handler=store(gate)) as server:
        assert filesystem(server.url, max_concurrency=2).cat(list(MANY)) == MANY
    assert gate.most == 2


def test_max_concurrency_of_one_asks_one_after_the_other() -> None:
    gate = Gate(1)
    with ScriptedServer(handler=store(gate)) as server:
        fs = filesystem(server.url, max_concurrency=1)
        assert fs.cat_ranges(PATHS, STARTS, ENDS, max_gap=0) == PIECES
        assert fs.cat(list(MANY)) == MANY
    assert gate.most == 1


def test_a_distant_store_gets_more_requests_at_once_than_there_are_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None is answered before 80 of them are there; a process has 64 threads for calls."""
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", -1.0)
    gate, fake = Gate(80), FakeS3("bucket")
    many = {f"bucket/m/{n}": b"%d" % n for n in range(200)}
    for name, body in many.items():
        fake.put("bucket", name.removeprefix("bucket/"), body)
    fake.fault = gate
    with ScriptedServer(handler=fake) as server:
        assert filesystem(server.url, max_concurrency=100).cat(list(many)) == many
    assert 80 <= gate.most <= 100


def test_slow_answers_bring_threads_up_to_max_concurrency(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first answers none comes before ten requests are there, and one thread has sent eight."""
    monkeypatch.setattr("fsspec_guarded_s3._runs._WINDOW", 0.0)
    monkeypatch.setattr("fsspec_guarded_s3._runs._WAITING", 0.0)
    gate, late = Gate(10), sorted(MANY)[12:]

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return gate(request, fake) if request.path.removeprefix("/") in late else None

    with ScriptedServer(handler=store(fault)) as server:
        assert filesystem(server.url, max_concurrency=12).cat(list(MANY)) == MANY
    assert 10 <= gate.most <= 13


class Seen:
    """Counts GETs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def count(self, request: Request) -> int:
        with self._lock:
            self._count += request.method == "GET"
            return self._count


def faulty(nth: int, answer: Callable[[], Answer]) -> Fault:
    """The `nth` GET, and no other, gets `answer`."""
    seen = Seen()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return answer() if request.method == "GET" and seen.count(request) == nth else None

    return fault


FAULTS = {
    "closed": close,
    "500": lambda: s3_error(500, "InternalError"),
    "503": lambda: s3_error(503, "SlowDown"),
}


@pytest.mark.parametrize("nth", [1, 5, 16])
@pytest.mark.parametrize("name", FAULTS)
def test_a_range_that_fails_once_is_asked_for_again(name: str, nth: int) -> None:
    with ScriptedServer(handler=store(faulty(nth, FAULTS[name]))) as server:
        assert filesystem(server.url).cat_ranges(PATHS, STARTS, ENDS, max_gap=0, on_error="raise") == PIECES


@pytest.mark.parametrize("nth", [1, 5, 16])
def test_a_body_that_is_cut_is_read_on_from_where_it_broke(nth: int) -> None:
    seen = Seen()

    def after(request: Request, reply: Reply) -> Answer | None:
        if request.method != "GET" or seen.count(request) != nth:
            return None
        return cut(reply.status, reply.body, after=50, headers=reply.headers)

    fake = store()
    fake.after = after
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert fs.cat_ranges(PATHS, STARTS, ENDS, max_gap=0, on_error="raise") == PIECES
        (resumed,) = [request for request in server.requests if _first(request) % (64 * 1024) == 50]
        assert resumed.method == "GET"


def _first(request: Request) -> int:
    """Where the range begins that was asked for."""
    return int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0])


@pytest.mark.parametrize("name", FAULTS)
def test_an_object_that_fails_once_is_asked_for_again(name: str) -> None:
    with ScriptedServer(handler=store(faulty(5, FAULTS[name]))) as server:
        assert filesystem(server.url).cat(list(MANY)) == MANY


def test_the_request_that_was_sent_ahead_is_the_first_attempt() -> None:
    """No more attempts than `max_attempts`, whatever was sent ahead."""
    with ScriptedServer(
        handler=store(lambda request, fake: close() if request.method == "GET" else None)
    ) as server:
        fs = filesystem(server.url, max_attempts=2)
        assert fs.isfile("bucket/0")  # it is a store that answers
        found = fs.cat_ranges(list(MANY)[:4], 10, 20)
        assert all(isinstance(error, OSError) for error in found)
        assert len([request for request in server.requests if request.method == "GET"]) == 8


def test_the_first_error_is_raised_and_what_was_asked_for_is_given_up() -> None:
    """Connections with an answer that nobody read are closed, and none of them is used again."""
    with ScriptedServer(handler=store(faulty(3, lambda: s3_error(403, "AccessDenied")))) as server:
        fs = filesystem(server.url)
        with pytest.raises(PermissionError):
            fs.cat_ranges(
                PATHS * 16, list(range(0, MIB, 4096)), list(range(9, MIB, 4096)), max_gap=0, on_error="raise"
            )
        assert len(server.requests) < 30
        assert fs.cat_ranges(PATHS, STARTS, ENDS, max_gap=0, on_error="raise") == PIECES
        assert fs.cat(list(MANY)) == MANY


def test_errors_stand_in_the_places_of_what_could_not_be_read() -> None:
    with ScriptedServer(handler=store()) as server:
        found = filesystem(server.url).cat(["bucket/1", "bucket/none", "bucket/2"], on_error="return")
    assert isinstance(found["bucket/none"], FileNotFoundError)
    assert (found["bucket/1"], found["bucket/2"]) == (MANY["bucket/1"], MANY["bucket/2"])


@pytest.mark.parametrize("ignore_conditions", [False, True])
def test_an_object_that_is_replaced_while_its_ranges_are_asked_for(ignore_conditions: bool) -> None:
    """No range has bytes of the new version, also when the store ignores If-Match."""

    def replace() -> None:
        fake.put("bucket", "key", bytes(len(DATA)))

    fake = store(faulty(6, replace))  # type: ignore[arg-type, return-value]
    fake.ignore_conditions = ignore_conditions
    with ScriptedServer(handler=fake) as server:
        found = filesystem(server.url).cat_ranges(PATHS, STARTS, ENDS, max_gap=0)
    assert any(isinstance(piece, ObjectChangedError) for piece in found)
    assert all(
        piece == right or isinstance(piece, ObjectChangedError)
        for piece, right in zip(found, PIECES, strict=True)
    )


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_an_answer_that_waited_for_long_is_asked_for_once(tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow line what was sent ahead waits for the answers before it, and is there."""
    monkeypatch.setattr("fsspec_guarded_s3._s3.early.FRESH_SECONDS", -1.0)
    with ScriptedServer(handler=store(), tls=tls) as server:
        bundle = {"ca_bundle": server.ca_path} if tls else {}
        fs = filesystem(server.url, max_attempts=1, **bundle)
        assert fs.cat(list(MANY)) == MANY
        assert fs.cat_ranges(PATHS, STARTS, ENDS, max_gap=0, on_error="raise") == PIECES
        assert len([request for request in server.requests if request.method == "GET"]) == len(MANY) + len(
            PATHS
        )


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_connection_that_was_closed_while_its_answer_waited_is_no_attempt(
    tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.early.FRESH_SECONDS", -1.0)
    closed = threading.Event()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.path == "/bucket/0":  # the first that is taken, when the store has hung up on the next
            assert closed.wait(20)
            time.sleep(0.3)
        elif request.path == "/bucket/1" and not closed.is_set():
            closed.set()
            return close()
        return None

    with ScriptedServer(handler=store(fault), tls=tls) as server:
        bundle = {"ca_bundle": server.ca_path} if tls else {}
        fs = filesystem(server.url, max_attempts=1, **bundle)
        assert fs.cat(["bucket/0", "bucket/1"]) == {path: MANY[path] for path in ("bucket/0", "bucket/1")}


def test_nothing_is_asked_for_ahead_of_slow_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._runs._SLOW", 0.0)
    late, lock = sorted(MANY)[8:], threading.Lock()
    now, most = 0, 0

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        nonlocal now, most
        if request.path.removeprefix("/") in late:
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.02)
            with lock:
                now -= 1
        return None

    with ScriptedServer(handler=store(fault)) as server:
        assert filesystem(server.url).cat(list(MANY)) == MANY
    assert most == 1


def test_a_store_that_is_not_there_is_a_connect_error_for_each() -> None:
    with reserved_port() as port:
        fs = filesystem(f"http://127.0.0.1:{port}", max_attempts=1)
        found = fs.cat(["bucket/1", "bucket/2"], on_error="return")
    assert [type(error) for error in found.values()] == [ConnectError, ConnectError]


def test_a_wrong_region_is_corrected_for_all_that_was_asked_for() -> None:
    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "GET" and "/us-east-1/" in request.headers["authorization"]:
            return respond(301, headers={"x-amz-bucket-region": "eu-west-1"})
        return None

    with ScriptedServer(handler=store(fault)) as server:
        assert filesystem(server.url).cat(list(MANY)) == MANY
        assert len(server.requests) <= len(MANY) + 8


def test_a_range_larger_than_range_size_is_split() -> None:
    with ScriptedServer(handler=store()) as server:
        fs = filesystem(server.url, range_size=MIB // 4)
        assert fs.cat_ranges(["bucket/key"] * 2, [0, 10], [MIB, 20], max_gap=0) == [DATA, DATA[10:20]]


def test_one_request_for_each_of_many_objects() -> None:
    with ScriptedServer(handler=store()) as server:
        found = filesystem(server.url).cat_ranges(list(MANY), 10, 20)
        assert found == [content[10:20] for content in MANY.values()]
        assert len(server.requests) == len(MANY)
