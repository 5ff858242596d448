"""Few file descriptors: less in parallel, and a connection that finds none left waits for one, or says so."""

import errno
import json
import os
import pickle
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest

from fsspec_guarded_s3 import ConnectError
from fsspec_guarded_s3._http import descriptors
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
MANY = 100
START = f"""
    import json, os, resource, sys, tempfile, threading
    from tests.opening import MIB, filesystem

    url, verb, most = json.loads(sys.argv[1])
    names = [f"bucket/many/{{number}}" for number in range({MANY})]
    fs = filesystem(url, part_size=5 * MIB, multipart_threshold=5 * MIB, read_timeout=20)
    folder = tempfile.mkdtemp()
    for number in range({MANY}):
        with open(f"{{folder}}/{{number}}", "wb") as file:
            file.write(b"x" * 1000)
    fs.exists("bucket")
    if most < 64:
        fs._client.store.transport.round_trip = 0.0  # else all at once, until answers tell
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
"""


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3("bucket")
    for number in range(MANY):
        fake.put("bucket", f"many/{number}", b"x" * 1000)
    return fake


def said(code: str, *arguments: object) -> Any:
    """What a program prints as JSON."""
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(START) + textwrap.dedent(code), json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


VERBS = """
    def in_threads():
        threads = [threading.Thread(target=lambda: found.append(fs.cat_file(names[0]))) for _ in range(80)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(found)

    found = []
    calls = {
        "cat": lambda: sum(map(len, fs.cat(names).values())),
        "cat_ranges": lambda: sum(map(len, fs.cat_ranges(names, [0] * len(names), [1000] * len(names)))),
        "pipe": lambda: fs.pipe({name + "-": b"y" for name in names}),
        "get": lambda: fs.get("bucket/many/", folder + "/got/", recursive=True),
        "put": lambda: fs.put(folder + "/", "bucket/put/", recursive=True),
        "copy": lambda: fs.copy("bucket/many/", "bucket/copy/", recursive=True),
        "rm": lambda: fs.rm("bucket/many", recursive=True) and None,
        "upload": lambda: fs.pipe_file("bucket/large", bytes(100 * MIB)) and None,
        "threads": in_threads,
    }
    print(json.dumps(calls[verb]()))
"""


@pytest.mark.parametrize("most", [20, 64])
@pytest.mark.parametrize(
    ("verb", "result", "left"),
    [
        ("cat", 1000 * MANY, MANY),
        ("cat_ranges", 1000 * MANY, MANY),
        ("pipe", None, 2 * MANY),
        ("get", None, MANY),
        ("put", None, 2 * MANY),
        ("copy", None, 2 * MANY),
        ("rm", None, 0),
        ("upload", None, MANY + 1),
        ("threads", 80, MANY),
    ],
)
def test_calls_do_with_few_descriptors(verb: str, result: object, left: int, most: int, fake: FakeS3) -> None:
    with ScriptedServer(handler=fake) as server:
        assert said(VERBS, server.url, verb, most) == result
    assert len(fake.objects) == left


def test_none_left_is_said_with_the_limit(fake: FakeS3) -> None:
    code = """
        fs.pipe_file(names[0], b"x" * 1000)  # loads what it needs
        held = []
        fs.close()
        try:
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        errors = []
        one = names[0]
        here = folder + "/here"
        calls = [
            lambda: fs.cat_file(one),
            lambda: fs.cat(names),
            lambda: fs.pipe_file(one, b""),
            lambda: fs.get_file(one, here),
            lambda: fs.get(names[:2], folder + "/there/"),
            lambda: fs.put_file(folder + "/1", one),
            lambda: fs.put(folder + "/", "bucket/put/", recursive=True),
        ]
        for call in calls:
            try:
                call()
            except OSError as error:
                errors.append([type(error).__name__, error.errno, str(error), error.maybe_applied])
        for descriptor in held:
            os.close(descriptor)
        print(json.dumps([errors, len(fs.cat_file(names[0]))]))
    """
    with ScriptedServer(handler=fake) as server:
        errors, size = said(code, server.url, "", 64)
    assert size == 1000
    assert len(errors) == 7
    assert not [key for _, key in fake.objects if key.startswith("put")]
    for name, number, text, maybe_applied in errors:
        assert (name, number, maybe_applied) == ("ConnectError", errno.EMFILE, False)
        assert "which it may have 64" in text
        assert "ulimit -n" in text


def test_its_errno_survives_pickling() -> None:
    error = ConnectError("no connection", errno=errno.EMFILE)
    assert pickle.loads(pickle.dumps(error)).errno == errno.EMFILE


@pytest.mark.parametrize(
    ("limit", "calls", "expected"),
    [(None, 64, 64), (1024, 64, 64), (256, 64, 62), (64, 64, 14), (9, 64, 1), (3, 64, 1), (24, 2, 2)],
)
def test_share_of_the_limit(
    limit: int | None, calls: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "limit", lambda: limit)
    assert descriptors.within_limit(calls) == expected


def test_what_idles_too_long_is_closed_though_nobody_asks_there_any_more(
    fake: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filesystems stay in fsspec's cache for ever: those of credentials of the past, for one."""
    with ScriptedServer(handler=fake) as server:
        past = [filesystem(server.url, token=str(number), idle_timeout=60) for number in range(5)]
        for fs in past:
            fs.cat_file("bucket/many/0")
        pools = [pool for fs in past for pool in fs._client.store.transport._pools.values()]
        assert all(pool.idle() for pool in pools)
        now = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: now() + 61)
        filesystem(server.url, token="now").cat_file("bucket/many/0")
        assert len(pools) == 5
        assert not any(pool.idle() for pool in pools)
