"""Filesystems and open files to their end: closing, threads, processes, pickles, garbage."""

from __future__ import annotations

import copy
import gc
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.caching import caches

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError
from fsspec_guarded_s3._values.attributes import Attributes
from fsspec_guarded_s3.options import Options
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Request, ScriptedServer, eventually

DATA = period_free(100_000)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", DATA)
    with ScriptedServer(handler=fake) as server:
        yield server


# --- closing ---------------------------------------------------------------------------------------


def test_with_closes_the_connections(server: ScriptedServer) -> None:
    with filesystem(server.url) as fs:
        assert fs.cat_file("bucket/key") == DATA
        assert server.open_connections
    eventually(lambda: server.open_connections == 0)


def test_after_close_everybody_can_go_on(server: ScriptedServer) -> None:
    """The one that was closed, another with the same options, an open reader and an open writer."""
    fs, other = filesystem(server.url), filesystem(server.url)
    reader = other.open("bucket/key", block_size=1000)
    assert reader.read(10) == DATA[:10]
    writer = other.open("bucket/new", "wb")
    writer.write(b"new")
    fs.close()
    fs.close()
    reader.seek(50_000)
    assert reader.read(10) == DATA[50_000:50_010]
    writer.close()
    assert other.cat_file("bucket/new") == fs.cat_file("bucket/new") == b"new"


def test_close_while_others_read_breaks_nothing(server: ScriptedServer) -> None:
    fs, other = filesystem(server.url, range_size=5_000), filesystem(server.url, range_size=5_000)
    done = threading.Event()

    def close_all_the_time() -> None:
        while not done.is_set():
            fs.close()

    closing = threading.Thread(target=close_all_the_time)
    closing.start()
    try:
        assert all(other.cat_file("bucket/key") == DATA for _ in range(30))
    finally:
        done.set()
        closing.join()


def test_close_drops_kept_listings(server: ScriptedServer) -> None:
    fs = filesystem(server.url, use_listings_cache=True)
    fs.ls("bucket")
    assert len(fs.dircache) == 1
    fs.close()
    assert len(fs.dircache) == 0


# --- garbage ---------------------------------------------------------------------------------------


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What goes away in here goes without the collector of cycles."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_connections_go_with_the_last_filesystem(server: ScriptedServer) -> None:
    """Neither a cycle nor a table of the package keeps them."""
    fs, other = filesystem(server.url), filesystem(server.url)
    assert fs.cat_file("bucket/key") == other.cat_file("bucket/key")
    fs.find("bucket")
    fs.pipe_file("bucket/other", b"x")
    gone = weakref.ref(fs)
    del fs
    assert gone() is None
    assert server.open_connections
    del other
    eventually(lambda: server.open_connections == 0)


@pytest.mark.usefixtures("no_collector")
def test_a_reader_that_was_dropped_keeps_nothing(server: ScriptedServer) -> None:
    for kind in sorted(name for name in caches if name not in (None, "parts", "mmap")):
        fs = filesystem(server.url)
        reader = fs.open("bucket/key", block_size=1000, cache_type=kind)
        assert reader.read(10) == DATA[:10]
        gone = weakref.ref(reader)
        del fs, reader
        assert gone() is None, kind
    eventually(lambda: server.open_connections == 0)


def test_a_process_ends_without_a_word(server: ScriptedServer) -> None:
    """With open files, with closed ones, with none: no ResourceWarning, no thread that hangs."""
    script = f"""
    import fsspec
    fs = fsspec.filesystem("gs3", endpoint_url={server.url!r}, key="k", secret="s", region="us-east-1")
    fs.pipe({{f"bucket/{{n}}": bytes(n) for n in range(50)}})
    fs.cat("bucket/*")
    with fs.open("bucket/key") as file:
        file.read(10)
    left = fs.open("bucket/key")
    left.read(10)
    dropped = fsspec.filesystem("gs3", endpoint_url={server.url!r}, key="k", secret="s", region="us-east-1",
                                max_attempts=2, skip_instance_cache=True)
    dropped.find("bucket")
    del dropped
    with fs:
        fs.ls("bucket")
    fs.ls("bucket")
    """
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", textwrap.dedent(script)],
        capture_output=True,
        timeout=600,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# --- instances and tokens --------------------------------------------------------------------------


def test_equal_options_give_the_same_instance_in_a_thread() -> None:
    options = {"key": "k", "secret": "s", "region": "us-east-1"}
    first = fsspec.filesystem("gs3", **options)
    assert fsspec.filesystem("gs3", **options) is first
    assert fsspec.filesystem("gs3", **options, part_size=8 * 2**20) is not first
    assert fsspec.filesystem("gs3", **options, skip_instance_cache=True) is not first
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(fsspec.filesystem, "gs3", **options).result()
    assert other == first
    assert other._client.store.transport is first._client.store.transport
    GuardedS3FileSystem.clear_instance_cache()


TOKEN = """
import json, sys
import fsspec
from dask.base import tokenize
fs = fsspec.filesystem("gs3", **json.loads(sys.argv[1]))
print(json.dumps([fs._fs_token, tokenize(fs), hash(fs)]))
"""


def test_tokens_are_equal_across_processes_and_tell_stores_apart() -> None:
    """Whatever the order of the options, the hash seed or the secret; another key is another filesystem."""

    def token(seed: str, **options: Any) -> list[Any]:
        command = [sys.executable, "-c", TOKEN, json.dumps(options)]
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        return json.loads(subprocess.check_output(command, env=environment, timeout=600))  # type: ignore[no-any-return]

    first = token("1", key="k", secret="s", region="us-east-1")
    assert token("2", region="us-east-1", secret="another", key="k") == first
    fs = filesystem("http://127.0.0.1:1")
    assert fs == filesystem("http://127.0.0.1:1")
    assert fs != filesystem("http://127.0.0.1:2")
    assert fs != filesystem("http://127.0.0.1:1", key="other")
    assert fs != filesystem("http://127.0.0.1:1", version_aware=True)
    assert fs._fs_token == filesystem("http://127.0.0.1:1", secret="other")._fs_token


SSE_KMS = {"ServerSideEncryption": "aws:kms"}
# By option: two values that read or write differently.
DIFFERENT: dict[str, tuple[Any, Any]] = {
    "SSE-C key": ({"SSECustomerKey": b"1" * 32}, {"SSECustomerKey": b"2" * 32}),
    "SSE-C key of the source": (
        {"CopySourceSSECustomerKey": b"1" * 32},
        {"CopySourceSSECustomerKey": b"2" * 32},
    ),
    "ACL": ({"ACL": "private"}, {"ACL": "public-read"}),
    "grant": ({"GrantRead": "id=1"}, {"GrantRead": "id=2"}),
    "KMS key": (SSE_KMS | {"SSEKMSKeyId": "alias/a"}, SSE_KMS | {"SSEKMSKeyId": "alias/b"}),
    "KMS context": (
        SSE_KMS | {"SSEKMSEncryptionContext": {"a": "1"}},
        SSE_KMS | {"SSEKMSEncryptionContext": {"a": "2"}},
    ),
    "encryption": ({"ServerSideEncryption": "AES256"}, SSE_KMS),
    "storage class": ({"StorageClass": "STANDARD"}, {"StorageClass": "GLACIER_IR"}),
    "type": ({"ContentType": "text/csv"}, {"ContentType": "text/plain"}),
    "metadata": ({"Metadata": {"a": "1"}}, {"Metadata": {"a": "2"}}),
    "names of metadata": ({"Metadata": {"a": "1"}}, {"Metadata": {"b": "1"}}),
    "tags": ({"Tagging": {"a": "1"}}, {"Tagging": {"a": "2"}}),
    "owner": ({"ExpectedBucketOwner": "1" * 12}, {"ExpectedBucketOwner": "2" * 12}),
    "nothing": ({}, {"ChecksumAlgorithm": "CRC32"}),
    "one more": ({"ContentType": "text/csv"}, {"ContentType": "text/csv", "ACL": "private"}),
}


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_filesystems_that_read_or_write_differently_are_different(pair: tuple[Any, Any]) -> None:
    first, second = (filesystem("http://127.0.0.1:1", s3_additional_kwargs=given) for given in pair)
    tokenize = pytest.importorskip("dask.base").tokenize
    assert first != second
    assert hash(first) != hash(second)
    assert tokenize(first) != tokenize(second)
    assert len({first: 1, second: 2}) == 2
    for fs, given in zip((first, second), pair, strict=True):
        shuffled = dict(reversed(given.items()))
        again = filesystem("http://127.0.0.1:1", s3_additional_kwargs=shuffled)
        assert (again == fs, hash(again) == hash(fs), tokenize(again) == tokenize(fs)) == (True, True, True)


def test_every_option_tells_filesystems_apart() -> None:
    """But the secret and what goes with it, and so does an option that is added some day."""
    plain, acl = Options(key="k", secret="s"), Attributes.parse({"ACL": "private"}, "test")
    same = []
    for item in fields(Options):
        other = copy.copy(plain)
        changed = acl if item.name == "s3_additional_kwargs" else "another"
        object.__setattr__(other, item.name, changed)
        if other.identity() == plain.identity():
            same.append(item.name)
    assert same == ["secret", "token"]


# --- pickles and processes -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(name for name in caches if name is not None))
def test_a_pickled_reader_keeps_pin_position_and_cache(server: ScriptedServer, kind: str) -> None:
    given = {"parts": {"data": {(0, 10): DATA[:10]}}, "background": {"maxblocks": 3}}
    fs = filesystem(server.url)
    with fs.open("bucket/key", block_size=1000, cache_type=kind, cache_options=given.get(kind)) as file:
        file.seek(5)
        frozen = pickle.dumps(file)
        with pickle.loads(frozen) as clone:
            assert (clone.tell(), clone.etag, clone.size) == (5, file.etag, len(DATA))
            assert type(clone.cache) is type(file.cache)
            assert clone.blocksize == file.blocksize
            assert clone.read(5) == DATA[5:10]
            if kind == "background":
                assert clone.cache.maxblocks == 3
    if kind == "parts":  # which never asks
        return
    fs.pipe_file("bucket/key", DATA[::-1])
    with pytest.raises(ObjectChangedError), pickle.loads(frozen) as clone:
        clone.seek(50_000)
        clone.read(10)


def test_a_pickled_filesystem_is_equal_and_keeps_its_options(server: ScriptedServer) -> None:
    fs = filesystem(server.url, use_listings_cache=True, part_size=6 * 2**20)
    fs.ls("bucket")
    clone = pickle.loads(pickle.dumps(fs))
    assert clone == fs
    assert hash(clone) == hash(fs)
    assert clone._options == fs._options
    assert clone.cat_file("bucket/key") == DATA
    same = fsspec.AbstractFileSystem.from_json(fs.to_json(include_password=True))
    assert same == fs
    assert same.cat_file("bucket/key") == DATA


def _read_on(pickled: bytes, answers: Any) -> None:
    fs, reader = pickle.loads(pickled)
    answers.put((os.getpid(), reader.read(10), fs.cat_file("bucket/key") == DATA))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("method", sorted({"spawn", "fork"} & set(multiprocessing.get_all_start_methods())))
def test_other_processes_read_on(server: ScriptedServer, method: str) -> None:
    """With connections of their own, while this one goes on with its own."""
    fs = filesystem(server.url)
    context = multiprocessing.get_context(method)
    with fs.open("bucket/key", block_size=1000) as reader:
        reader.seek(100)
        answers = context.Queue()
        child = context.Process(target=_read_on, args=(pickle.dumps((fs, reader)), answers))
        child.start()
        assert answers.get(timeout=600) == (child.pid, DATA[100:110], True)
        child.join(60)
        assert child.exitcode == 0
        assert reader.read(10) == DATA[100:110]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_of_a_fork_uses_what_it_inherited(server: ScriptedServer) -> None:
    """Filesystem, open reader, kept listings; whatever locks other threads of the parent held."""
    fs = filesystem(server.url, use_listings_cache=True, range_size=1000)
    fs.ls("bucket")
    reader = fs.open("bucket/key", block_size=100)
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            fs.ls("bucket", refresh=True)
            fs.cat_file("bucket/key")

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    good = fs.cat_file("bucket/key") == DATA and reader.read(50) == DATA[:50]
                    good = good and "bucket/key" in fs.ls("bucket", detail=False)
                    fs.pipe_file(f"bucket/of-{os.getpid()}", b"x")
                    code = 0 if good and fs.exists(f"bucket/of-{os.getpid()}") else 2
                finally:
                    os._exit(code)
            ended: list[int] = []

            def over(child: int = child, ended: list[int] = ended) -> bool:
                found, status = os.waitpid(child, os.WNOHANG)
                ended.extend([status] if found else [])
                return bool(found)

            eventually(over, timeout=30)
            assert os.waitstatus_to_exitcode(ended[0]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert reader.read(50) == DATA[:50]


def test_threads_share_a_filesystem(server: ScriptedServer, tmp_path: Path) -> None:
    fs = filesystem(server.url, use_listings_cache=True)

    def work(number: int) -> None:
        path = f"bucket/threads/{number}"
        for turn in range(5):
            fs.pipe_file(path, DATA[: number * 100 + turn])
            assert fs.info(path)["size"] == number * 100 + turn
            assert fs.cat_file(path) == DATA[: number * 100 + turn]
            assert path in fs.find("bucket/threads")
        fs.get(path, str(tmp_path / str(number)))
        fs.rm(path)
        assert not fs.exists(path)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    assert fs.find("bucket") == ["bucket/key"]


def test_a_request_of_one_thread_does_not_wait_for_another(server: ScriptedServer) -> None:
    """A stalled store holds up only whoever asked it."""
    stalled, go_on = threading.Event(), threading.Event()
    fake: Any = server._handler

    def fault(request: Request, _: FakeS3) -> None:
        if request.path.endswith("/slow"):
            stalled.set()
            go_on.wait(10)

    fake.fault = fault
    fs = filesystem(server.url)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(fs.exists, "bucket/slow")
        assert stalled.wait(10)
        assert fs.cat_file("bucket/key") == DATA
        go_on.set()
        assert slow.result(10) is False
