"""The demo: it ends well where the guarantees hold, says why, and fails loudly where they do not."""

import multiprocessing
import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fsspec_guarded_s3._cli import commands, demo
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, s3_error
from tests.servers import MotoServer, RcloneServer, reserved_port

GUARANTEES = (
    "what is read is what was written",
    "all partitions are there, once",
    "exactly one creates it, and is told so",
    "an error instead of mixed bytes",
    "neither object nor upload is left, and what was there stays",
    "the demo leaves nothing behind",
)
EVIDENCE = (
    "100,000 rows equal from both formats",
    "8 files, 10,000 rows equal, written by 2 other processes",
    "10 of 10 keys have one winner and hold what it wrote",
    "ObjectChangedError",
    "uploads when it failed: 2, after: 0; exists: False; old object: b'old'",
    "is gone",
)


def use(monkeypatch: pytest.MonkeyPatch, key: str = "k", secret: str = "s") -> None:
    """Credentials in the environment, where the demo and its processes find them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def only(monkeypatch: pytest.MonkeyPatch, *acts: Callable[[str, dict[str, Any]], None]) -> None:
    """Leave out the acts that are slow and beside the point."""
    monkeypatch.setattr(demo, "_ACTS", acts)


def assert_all_guaranteed(output: str) -> None:
    lines = output.splitlines()
    said = [line.removeprefix("  guaranteed: ") for line in lines if line.startswith("  guaranteed: ")]
    shown = [line for line in lines if line.startswith("  evidence: ")]
    assert said == list(GUARANTEES)
    assert [text in line for text, line in zip(EVIDENCE, shown, strict=True)] == [True] * len(EVIDENCE)
    assert lines[-1] == "every guarantee held"


def test_demo_runs_against_its_own_server(capsys: pytest.CaptureFixture[str]) -> None:
    """Every guarantee is told with its evidence, and the exit code is 0."""
    pytest.importorskip("distributed")
    assert commands.main(["demo"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("embedded S3 server at http://127.0.0.1:")
    assert_all_guaranteed(output)


def test_demo_runs_against_a_given_endpoint_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, moto: MotoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """With credentials from the environment, in a bucket that holds something else already."""
    pytest.importorskip("distributed")
    use(monkeypatch)
    fs = filesystem(moto.url)
    fs.mkdir("demo-bucket")
    fs.pipe_file("demo-bucket/mine", b"mine")
    assert commands.main(["demo", "s3://demo-bucket", "--endpoint-url", moto.url]) == 0
    output = capsys.readouterr().out
    assert_all_guaranteed(output)
    assert fs.find("demo-bucket") == ["demo-bucket/mine"]


def failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake: FakeS3) -> str:
    """What the demo says when it fails against this store."""
    use(monkeypatch)
    with ScriptedServer(handler=fake) as server:
        code = commands.main(["demo", "s3://bucket/folder/", "--endpoint-url", server.url])
    printed = capsys.readouterr()
    assert "every guarantee held" not in printed.out
    assert code == 1
    assert printed.err.startswith("guarded-s3: the demo FAILED: ")
    return printed.err


def test_demo_fails_where_conditions_are_ignored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store that takes every write: both racers would win."""
    only(monkeypatch, demo._race)
    fake = FakeS3("bucket", ignore_conditions=True)
    assert "exactly one creates it" in failure(monkeypatch, capsys, fake)
    assert fake.objects == {}


def test_demo_fails_where_versions_cannot_be_told_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store that gives every version the same ETag lets a reader mix them."""

    def same_etag(request: Request, reply: Reply) -> Answer:
        kept = {name: value for name, value in reply.headers.items() if name.lower() != "etag"}
        return replace(reply, headers={**kept, "ETag": '"always"'})

    only(monkeypatch, demo._replaced)
    fake = FakeS3("bucket", ignore_conditions=True, after=same_etag)
    told = failure(monkeypatch, capsys, fake)
    assert "NOT guaranteed: an error instead of mixed bytes" in told
    assert fake.objects == {}


def test_demo_fails_against_rclone(
    monkeypatch: pytest.MonkeyPatch, rclone: RcloneServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real store that ignores If-None-Match."""
    use(monkeypatch, rclone.key, rclone.secret)
    only(monkeypatch, demo._race)
    filesystem(rclone.url, key=rclone.key, secret=rclone.secret).mkdir("demo-bucket")
    assert commands.main(["demo", "s3://demo-bucket", "--endpoint-url", rclone.url]) == 1
    assert "the demo FAILED: " in capsys.readouterr().err


def test_demo_fails_where_uploads_are_not_aborted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An upload that stays is a guarantee that did not hold."""

    def fault(request: Request, _: FakeS3) -> Answer | None:
        aborts = request.method == "DELETE" and "uploadId" in request.query
        return s3_error(403, "AccessDenied") if aborts else None

    only(monkeypatch, demo._failed_write)
    told = failure(monkeypatch, capsys, FakeS3("bucket", fault=fault))
    assert "NOT guaranteed: neither object nor upload is left" in told
    assert "after: 2" in told


def test_demo_fails_where_the_store_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each racing process tells its error; nothing waits for the other for ever."""
    only(monkeypatch, demo._race)
    fake = FakeS3("bucket", fault=lambda request, _: s3_error(403, "AccessDenied"))
    assert "AccessDenied" in failure(monkeypatch, capsys, fake)


def test_demo_that_cannot_reach_the_store_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error of the first act is told, not that of the clean-up."""
    use(monkeypatch)
    only(monkeypatch, demo._replaced)
    with reserved_port() as port:
        url = f"http://127.0.0.1:{port}"
        assert commands.main(["demo", "s3://bucket", "--endpoint-url", url]) == 7
    assert "no connection to 127.0.0.1" in capsys.readouterr().err


def test_racers_that_say_nothing_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that died is not waited for for ever."""

    class Silent:
        def Queue(self) -> Any:
            return self

        def Barrier(self, parties: int) -> threading.Barrier:
            return threading.Barrier(parties)

        def Process(self, target: Any, args: Any) -> Any:
            return threading.Thread(target=lambda: None)

        def get(self, timeout: float) -> Any:
            raise queue.Empty

    monkeypatch.setattr(threading.Thread, "kill", lambda self: None, raising=False)
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: Silent())
    with pytest.raises(demo.DemoFailedError, match="no answer"):
        demo._race("gs3://bucket/demo", {})


def test_racer_creates_each_key_and_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs in the processes, in this one: a create per key, and the results."""
    answers: queue.Queue[Any] = queue.Queue()
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        options = {"endpoint_url": server.url, "key": "k", "secret": "s", "region": "us-east-1"}
        for name in (b"one", b"two"):
            demo._create(["bucket/a", "bucket/b"], options, name, threading.Barrier(1), answers)
        broken = {**options, "endpoint_url": "http://other.test"}
        with pytest.raises(ValueError, match="allow_http"):
            demo._create(["bucket/c"], broken, b"three", threading.Barrier(1), answers)
    assert [answers.get() for _ in range(2)] == [(b"one", [True, True]), (b"two", [False, False])]
    assert answers.get()[1].startswith("ConfigurationError: ")
    assert {stored.body for stored in fake.objects.values()} == {b"one"}


@pytest.mark.parametrize("options", [["--region", "us-east-1"], ["--allow-http"], ["-o", "probe=never"]])
def test_options_without_a_url_are_a_usage_error(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(["demo", *options]) == 2
    assert "s3://bucket is needed" in capsys.readouterr().err


@pytest.mark.parametrize("missing", [("moto",), ("pandas", "dask"), ("flask", "moto", "distributed")])
def test_what_the_demo_lacks_is_one_line_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: tuple[str, ...]
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name in missing else object())
    assert commands.main(["demo"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    packages = told[0].partition("pip install ")[2].split()
    assert packages == [f"'{name}'" for name in sorted({EXTRAS.get(name, name) for name in missing})]


EXTRAS = {"moto": "moto[server,s3]", "flask": "moto[server,s3]", "dask": "dask[dataframe]"}
