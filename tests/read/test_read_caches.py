"""fsspec's caches of open files, and its caching and nested filesystems: always bytes of one version."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.caching import caches

from fsspec_guarded_s3 import ObjectChangedError
from fsspec_guarded_s3._read.block_cache import PinnedBlocks
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer, s3_error

OLD, NEW = period_free(100_000, seed=1), period_free(100_000, seed=2)
BLOCK = 1000


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", OLD)
    return fake


@pytest.fixture
def server(fake: FakeS3) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=fake) as server:
        yield server


def options(server: ScriptedServer) -> dict[str, Any]:
    return {"endpoint_url": server.url, "key": "k", "secret": "s", "region": "us-east-1"}


KINDS = sorted(name for name in caches if name is not None)
GIVEN = {"parts": {"data": {(0, 5 * BLOCK): OLD[: 5 * BLOCK]}}}


@pytest.mark.parametrize("kind", KINDS)
def test_every_cache_reads_what_a_file_would(server: ScriptedServer, kind: str) -> None:
    fs = filesystem(server.url)
    local = io.BytesIO(OLD)
    with fs.open("bucket/key", block_size=BLOCK, cache_type=kind, cache_options=GIVEN.get(kind)) as file:
        for offset, size in [(0, 10), (10, 2 * BLOCK), (BLOCK - 1, 2), (4 * BLOCK, BLOCK), (5, 5)]:
            file.seek(offset)
            local.seek(offset)
            assert file.read(size) == local.read(size)
        if kind != "parts":  # it knows no more
            file.seek(-10, 2)
            assert file.read() == OLD[-10:]
            file.seek(0)
            assert file.read() == OLD


@pytest.mark.parametrize("kind", KINDS)
def test_no_cache_mixes_versions(server: ScriptedServer, fake: FakeS3, kind: str) -> None:
    """After a replacement each read has old bytes, from the cache, or fails."""
    fs = filesystem(server.url)
    with fs.open("bucket/key", block_size=BLOCK, cache_type=kind, cache_options=GIVEN.get(kind)) as file:
        assert file.read(10) == OLD[:10]
        fake.put("bucket", "key", NEW)
        failed = 0
        for offset in (0, 5, BLOCK - 2, BLOCK, 2 * BLOCK + 7, 50 * BLOCK, 99 * BLOCK, 3):
            file.seek(offset)
            try:
                assert file.read(20) == OLD[offset : offset + 20]
            except ObjectChangedError:
                failed += 1
            except ValueError:
                assert kind == "parts"
                failed += 1
        assert failed or kind == "all"


def test_an_unknown_cache_is_refused(server: ScriptedServer) -> None:
    with pytest.raises(ValueError, match="cache_type must be one of"):
        filesystem(server.url).open("bucket/key", cache_type="readahed")


# --- caching filesystems ---------------------------------------------------------------------------


def opened(server: ScriptedServer, chain: str, folder: Path, **cache: Any) -> Any:
    return fsspec.open(
        f"{chain}::gs3://bucket/key",
        gs3=options(server),
        **{chain: {"cache_storage": str(folder), **cache}},
    )


def test_simplecache_has_one_version(server: ScriptedServer, fake: FakeS3, tmp_path: Path) -> None:
    with opened(server, "simplecache", tmp_path) as file:
        assert file.read(10) == OLD[:10]
        fake.put("bucket", "key", NEW)
        assert file.read() == OLD[10:]


@pytest.mark.parametrize("check", [True, False])
def test_filecache_notices_a_new_version_when_it_checks(
    server: ScriptedServer, fake: FakeS3, tmp_path: Path, check: bool
) -> None:
    """By `ukey`; one that does not check goes on with the old version, whole."""
    for body, wanted in [(OLD, OLD), (NEW, NEW if check else OLD)]:
        fake.put("bucket", "key", body)
        with opened(server, "filecache", tmp_path, check_files=check) as file:
            assert file.read() == wanted


@pytest.mark.parametrize(("kind", "kept", "listings"), [("filecache", True, 2), ("simplecache", False, 1)])
def test_a_pattern_takes_few_listings(
    server: ScriptedServer, fake: FakeS3, tmp_path: Path, kind: str, kept: bool, listings: int
) -> None:
    for number in range(7):
        fake.put("bucket", f"folder/part-{number}", b"%d" % number)
    options = {**filesystem(server.url).storage_options, "use_listings_cache": kept}
    urls = f"{kind}::gs3://bucket/folder/part-*"
    found = fsspec.open_local(urls, **{kind: {"cache_storage": str(tmp_path)}, "gs3": options})
    assert [Path(name).read_bytes() for name in found] == [b"%d" % number for number in range(7)]
    assert sum("list-type" in request.query for request in server.requests) == listings
    assert sum(request.method == "GET" for request in server.requests) == listings + 7


def test_blockcache_notices_a_new_version_when_it_checks(
    server: ScriptedServer, fake: FakeS3, tmp_path: Path
) -> None:
    """Blocks of the old version are thrown away, also where some were never fetched."""
    for body in (OLD, NEW):
        fake.put("bucket", "key", body)
        with opened(server, "blockcache", tmp_path, check_files=True) as opened_file:
            opened_file.seek(5 * BLOCK)
            assert opened_file.read(10) == body[5 * BLOCK : 5 * BLOCK + 10]
    with opened(server, "blockcache", tmp_path, check_files=True) as opened_file:
        assert opened_file.read() == NEW


@pytest.mark.parametrize("check", [True, False])
def test_blockcache_does_not_mix_versions(
    server: ScriptedServer, fake: FakeS3, tmp_path: Path, check: bool
) -> None:
    """Neither in an open file nor from one opening to the next; it keeps whole files of one version."""
    target = filesystem(server.url)
    fs = fsspec.filesystem(
        "blockcache", fs=target, cache_storage=str(tmp_path), check_files=check, skip_instance_cache=True
    )
    with fs.open("bucket/key", block_size=BLOCK) as file:
        assert file.read(10) == OLD[:10]
        fake.put("bucket", "key", NEW)
        assert file.read(10) == OLD[10:20]
        for length in (10, 10 * BLOCK):
            file.seek(20 * BLOCK)
            with pytest.raises(ObjectChangedError):
                file.read(length)
    for _ in range(2):
        with fs.open("bucket/key", block_size=BLOCK) as file:
            file.seek(50 * BLOCK)
            assert file.read() == NEW[50 * BLOCK :]
    with fs.open("bucket/key", block_size=BLOCK):
        """What was read before is not taken for a whole file."""
    asked = len(server.requests)
    with fs.open("bucket/key", block_size=BLOCK) as file:
        assert file.read() == NEW
    assert len(server.requests) > asked + 1
    asked = len(server.requests)
    with fs.open("bucket/key", block_size=BLOCK) as file:
        assert file.read() == NEW
    assert {request.method for request in server.requests[asked:]} <= {"HEAD"}
    assert not list(tmp_path.glob("*.part"))


def test_a_zip_inside_is_of_one_version(server: ScriptedServer, fake: FakeS3) -> None:
    def archive(body: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            file.writestr("a.bin", body)
            file.writestr("d/b.bin", body[::-1])
        return buffer.getvalue()

    fake.put("bucket", "z.zip", archive(OLD))
    files = fsspec.open_files("zip://*/*.bin::gs3://bucket/z.zip", gs3=options(server))
    with files[0] as file:
        assert file.read() == OLD[::-1]
    fs = fsspec.filesystem(
        "zip", fo="gs3://bucket/z.zip", target_protocol="gs3", target_options=options(server)
    )
    assert sorted(fs.find("")) == ["a.bin", "d/b.bin"]
    with fs.open("a.bin") as file:
        assert file.read(10) == OLD[:10]
        fake.put("bucket", "z.zip", archive(NEW))
        try:
            rest = file.read()
        except ObjectChangedError:
            pass
        else:
            assert rest == OLD[10:]
    with fsspec.open("zip://a.bin::gs3://bucket/z.zip", gs3=options(server)) as file:
        assert file.read() == NEW


def test_ukey_and_checksum_change_with_the_object_and_only_then(server: ScriptedServer, fake: FakeS3) -> None:
    """Also with a listing cache that still has the old one."""
    asking = {"recent_listings": 0}
    for fs in (filesystem(server.url, **asking), filesystem(server.url, use_listings_cache=True, **asking)):
        fake.put("bucket", "key", OLD)
        fs.find("bucket", refresh=True)
        before = fs.ukey("bucket/key"), fs.checksum("bucket/key")
        assert (fs.ukey("gs3://bucket/key"), fs.checksum("bucket/key")) == before
        fake.put("bucket", "key", NEW)
        after = fs.ukey("bucket/key"), fs.checksum("bucket/key")
        assert before[0] != after[0]
        assert before[1] != after[1]
        fake.put("bucket", "key", OLD)
        assert (fs.ukey("bucket/key"), fs.checksum("bucket/key")) == before


def test_blocks_that_are_on_their_way_are_not_taken_for_read() -> None:
    """By another thread: fsspec marks them before it has them, and gave it zeros."""
    asked: list[tuple[int, int]] = []
    is_asked, is_awaited = threading.Event(), threading.Event()

    def fetch(start: int, stop: int) -> bytes:
        asked.append((start, stop))
        is_asked.set()
        is_awaited.wait(0.2)
        return OLD[start:stop]

    blocks = PinnedBlocks(BLOCK, fetch, len(OLD), None, set())
    found: list[bytes] = []

    def read() -> None:
        found.append(blocks._fetch(10, 20))

    first, second = threading.Thread(target=read), threading.Thread(target=read)
    first.start()
    assert is_asked.wait(30)
    second.start()
    second.join(0.1)
    is_awaited.set()
    for thread in (first, second):
        thread.join(30)
    assert found == [OLD[10:20]] * 2
    assert len(asked) == 1


@pytest.mark.parametrize("kind", ["mmap", "blockcache"])
def test_blocks_that_could_not_be_read_are_not_taken_for_read(
    server: ScriptedServer, fake: FakeS3, tmp_path: Path, kind: str
) -> None:
    """fsspec marks them before it has them, and would go on with zeros."""
    more: dict[str, Any] = {"cache_type": "mmap"} if kind == "mmap" else {}
    fs = filesystem(server.url, max_attempts=1)
    if kind == "blockcache":
        fs = fsspec.filesystem("blockcache", fs=fs, cache_storage=str(tmp_path))
    with fs.open("bucket/key", block_size=BLOCK, **more) as file:
        file.seek(30 * BLOCK)
        assert file.read(10) == OLD[30 * BLOCK : 30 * BLOCK + 10]
        fake.fault = lambda request, _: s3_error(500, "InternalError")
        file.seek(25 * BLOCK)
        with pytest.raises(OSError):
            file.read(20 * BLOCK)
        fake.fault = None
        file.seek(29 * BLOCK)
        assert file.read(5 * BLOCK) == OLD[29 * BLOCK : 34 * BLOCK]
    with fs.open("bucket/key", block_size=BLOCK, **more) as file:
        assert file.read() == OLD
