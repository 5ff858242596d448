"""urllib3's own exchange, for the day when a private part of it is not what it was."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import urllib3
import urllib3.util.ssltransport

from fsspec_guarded_s3 import (
    ChecksumMismatchError,
    ConnectError,
    FileChangedError,
    IncompleteBodyError,
    ProtocolError,
    ReadTimeoutError,
)
from fsspec_guarded_s3._http import plain, transport
from fsspec_guarded_s3._http.connect import Proxy, Route
from fsspec_guarded_s3._values.bodies import FileSlice, body_size
from fsspec_guarded_s3._values.deadline import Deadline
from fsspec_guarded_s3._values.models import WireRequest
from fsspec_guarded_s3._work import Work, working_for
from fsspec_guarded_s3.options import Options
from tests.data import period_free
from tests.fake_s3 import FakeS3, crc32
from tests.opening import MIB, filesystem
from tests.scripted_server import (
    Answer,
    Request,
    ScriptedServer,
    close,
    cut,
    delay,
    raw,
    respond,
    stall,
    stall_body,
    trickle,
)
from tests.servers import reserved_port

ROOT = Path(__file__).parents[2]
DATA = period_free(3 * MIB)
BY_PROXY = Route("https", "bucket.test", 443, Proxy("https", "proxy.test", 3128, ""))


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    plain.missing_part.cache_clear()
    plain.say_once.cache_clear()
    yield
    plain.missing_part.cache_clear()
    plain.say_once.cache_clear()


@pytest.fixture
def by_urllib3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_missing_for", lambda route: "a part")


# --- when it is chosen ---


class Method:
    """urllib3's class without one method."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> type:
        kept = {
            key: value
            for key, value in vars(urllib3.util.ssltransport.SSLTransport).items()
            if key != self.name
        }
        return type(
            "SSLTransport",
            (),
            {key: value for key, value in kept.items() if key[:2] != "__"} | {"__init__": kept["__init__"]},
        )


class Attribute:
    """urllib3's class, which keeps something elsewhere."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> type:
        others = "; ".join(f"self.{name} = None" for name in plain.ATTRIBUTES if name != self.name)
        space: dict[str, Any] = {}
        exec(f"def __init__(self): {others}", space)
        return type(
            "SSLTransport", (urllib3.util.ssltransport.SSLTransport,), {"__init__": space["__init__"]}
        )


@pytest.mark.parametrize(
    "part", [*map(Method, plain.METHODS), *map(Attribute, plain.ATTRIBUTES)], ids=lambda p: p.name
)
def test_a_part_that_is_missing_is_found_and_named(
    part: Callable[[], type], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plain.missing_part() == ""
    plain.missing_part.cache_clear()
    monkeypatch.setattr(urllib3.util.ssltransport, "SSLTransport", part())
    assert plain.missing_part() == f"SSLTransport.{part.name} of urllib3"  # type: ignore[attr-defined]
    assert transport._missing_for(BY_PROXY) == plain.missing_part()


def test_a_module_that_is_missing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "urllib3.util.ssltransport", None)
    assert plain.missing_part() == "urllib3.util.ssltransport.SSLTransport"


@pytest.mark.parametrize(
    "route",
    [
        Route("https", "bucket.test", 443, None),
        Route("https", "bucket.test", 443, Proxy("http", "proxy.test", 3128, "")),
        Route("http", "bucket.test", 80, Proxy("https", "proxy.test", 3128, "")),
    ],
    ids=["direct", "proxy", "plain store"],
)
def test_only_what_needs_the_part_goes_that_way(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "urllib3.util.ssltransport", None)
    assert transport._missing_for(route) == ""


def test_it_is_logged_once(by_urllib3: None, caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeS3("bucket")
    with caplog.at_level(logging.WARNING), ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        for number in range(3):
            fs.pipe_file(f"bucket/{number}", b"data")
    assert [record.message for record in caplog.records if "a part" in record.message] == [
        "a part is not as this version knows it: requests that need it are made by urllib3's own exchange, "
        "which is slower. Please report it, with the version of that library"
    ]


# --- what holds by it ---


def test_the_contract_holds_by_it() -> None:
    files = ["tests/integration/test_contract.py", "tests/read/test_downloads.py", "tests/s3/test_retry.py"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-p",
            "tests.by_urllib3",
            "-k",
            "not (ministack or rclone)",  # two stores are enough: what is tried here is this side
            *files,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert " passed" in done.stdout


def wire(server: ScriptedServer, body: Any = b"", method: str = "GET") -> WireRequest:
    """A request, as the signer would hand it over."""
    headers = {"host": f"127.0.0.1:{server.port}", "content-length": str(body_size(body))}
    scheme = server.url.partition(":")[0]
    return WireRequest(method, scheme, "127.0.0.1", server.port, "/bucket/a/../key%2F", headers, body, False)


def fetch(server: ScriptedServer, request: WireRequest, seconds: float = 30.0, **options: Any) -> bytes:
    used = transport.Transport(Options(**{"read_timeout": 60.0, "min_rate": 0.0, **options}))
    with used.exchange(request, Deadline(seconds)) as body:
        return body.read()


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("tls", [True, False])
def test_a_request_comes_as_it_was_signed(by_urllib3: None, tls: bool, chunked: bool) -> None:
    pytest.importorskip("trustme")
    with ScriptedServer(handler=lambda request: respond(200, DATA, chunked=chunked), tls=tls) as server:
        options = {"ca_bundle": server.ca_path} if tls else {}
        assert fetch(server, wire(server, b"x" * 100_000, "PUT"), **options) == DATA
        (seen,) = server.requests
    assert (seen.method, seen.body, seen.target) == ("PUT", b"x" * 100_000, "/bucket/a/../key%2F")
    assert "transfer-encoding" not in seen.headers


@pytest.mark.parametrize(
    "answer, expected",
    [
        (cut(200, DATA, after=100_000), IncompleteBodyError),
        (cut(200, DATA, after=100_000, reset=True), IncompleteBodyError),
        (stall_body(200, DATA, after=100_000), ReadTimeoutError),
        (stall(None), ReadTimeoutError),
        (close(), IncompleteBodyError),
        (raw(b"nonsense\r\n\r\n"), ProtocolError),
    ],
    ids=["cut", "reset", "stalled", "silent", "closed", "nonsense"],
)
def test_what_breaks_is_told_as_ever(by_urllib3: None, answer: Answer, expected: type[Exception]) -> None:
    with ScriptedServer(handler=lambda request: answer) as server, pytest.raises(expected) as caught:
        fetch(server, wire(server), read_timeout=0.3 if expected is ReadTimeoutError else 60.0)
    assert caught.value.request_sent  # type: ignore[attr-defined]  # it may have been applied


def test_nobody_listens(by_urllib3: None) -> None:
    with ScriptedServer(handler=lambda request: respond()) as server, reserved_port() as port:
        request = replace(wire(server), port=port)
        with pytest.raises(ConnectError):
            fetch(server, request)


def test_a_certificate_that_is_not_trusted(by_urllib3: None) -> None:
    pytest.importorskip("trustme")
    with ScriptedServer(handler=lambda request: respond(), tls=True) as server, pytest.raises(ConnectError):
        fetch(server, wire(server))


@pytest.mark.parametrize("in_body", [True, False])
def test_a_deadline_ends_it(by_urllib3: None, in_body: bool) -> None:
    answer = trickle(200, DATA, interval=0.02) if in_body else delay(20, respond())
    with ScriptedServer(handler=lambda request: answer) as server, pytest.raises(ReadTimeoutError):
        fetch(server, wire(server), 0.5, read_timeout=10.0)


def test_work_that_nobody_wants_ends(by_urllib3: None) -> None:
    work = Work()
    with ScriptedServer(handler=lambda request: trickle(200, DATA, interval=0.02)) as server:
        threading.Timer(0.3, work.end).start()
        with working_for(work), pytest.raises(CancelledError):
            fetch(server, wire(server), read_timeout=60.0)


def test_a_part_of_a_request_is_not_taken_for_all_of_it(
    by_urllib3: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """urllib3 reads the answer of a store that has hung up on the body."""

    class Hasty:
        status, headers = 200, urllib3.HTTPHeaderDict()

        def urlopen(self, *arguments: Any, body: Iterator[bytes], **keywords: Any) -> Any:
            next(body)
            return self

        def close(self) -> None:
            pass

    monkeypatch.setattr(plain, "_pool", lambda route: Hasty())
    with ScriptedServer(handler=lambda request: respond()) as server:
        request = wire(server, b"x" * MIB, "PUT")
    with pytest.raises(IncompleteBodyError, match="part of the request"):
        fetch(server, request)


def test_a_file_that_becomes_shorter_is_its_own_error(by_urllib3: None, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"short")
    server = ScriptedServer(handler=lambda request: respond())
    with server, open(tmp_path / "file", "rb") as file, pytest.raises(FileChangedError):
        fetch(server, wire(server, FileSlice(file.fileno(), 0, 500_000), "PUT"))


def test_bytes_that_changed_on_the_way_are_no_object(by_urllib3: None) -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", DATA)
    stored = fake.objects["bucket", "key"]
    fake.objects["bucket", "key"] = replace(stored, crc32=crc32(b"other bytes"))
    with ScriptedServer(handler=fake) as server, pytest.raises(ChecksumMismatchError):
        filesystem(server.url, max_attempts=1).cat_file("bucket/key")


def test_a_body_that_breaks_goes_on_where_it_broke(by_urllib3: None) -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", DATA)
    etag = fake.objects["bucket", "key"].etag
    broken = iter([cut(200, DATA, after=100_000, etag=etag.strip('"'))])
    with ScriptedServer(handler=lambda request: next(broken, None) or fake(request)) as server:
        assert filesystem(server.url).cat_file("bucket/key") == DATA
        assert server.requests[-1].headers["range"].startswith("bytes=")


def test_a_create_whose_answer_is_lost_is_settled(by_urllib3: None) -> None:
    fake, lost = FakeS3("bucket"), []

    def answer(request: Request) -> Answer:
        found = fake(request)
        if request.method == "PUT" and not lost:
            lost.append(request)
            return close()
        return found

    with ScriptedServer(handler=answer) as server:
        filesystem(server.url).pipe_file("bucket/key", b"data", mode="create")
    assert fake.objects["bucket", "key"].body == b"data"
