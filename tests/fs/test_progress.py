"""Callbacks: right totals, for trees too, and never more than all, whatever had to be done again."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.callbacks import Callback, TqdmCallback

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Request, ScriptedServer, s3_error

OLD, NEW = period_free(100_000, seed=1), period_free(60_000, seed=2)
LARGE = period_free(12 * MIB)


class Watching(Callback):
    """Remembers every state it was in, and those of its branches."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int | None, int]] = []
        self.branches: dict[str, Watching] = {}

    def call(self, *args: Any, **kwargs: Any) -> None:
        self.seen.append((self.size, self.value))

    def branched(self, path_1: str, path_2: str, **kwargs: Any) -> Callback:
        assert path_1 not in self.branches
        self.branches[path_1] = Watching()
        return self.branches[path_1]

    def assert_complete(self, size: int) -> None:
        """It ended at 100 %, and was never above, nor below nothing."""
        assert (self.size, self.value) == (size, size)
        assert all(0 <= value <= (total if total is not None else value) for total, value in self.seen)


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", OLD)
    return fake


@pytest.fixture
def fs(fake: FakeS3) -> Iterator[GuardedS3FileSystem]:
    with ScriptedServer(handler=fake) as server:
        yield filesystem(
            server.url, range_size=7_000, part_size=5 * MIB, multipart_threshold=5 * MIB, max_concurrency=3
        )


def test_a_download_that_begins_anew_counts_anew(
    fs: GuardedS3FileSystem, fake: FakeS3, tmp_path: Path
) -> None:
    """The object was replaced by a shorter one after some ranges had come."""
    ranges = itertools.count(1)

    def fault(request: Request, fake: FakeS3) -> None:
        if "range" in request.headers and next(ranges) == 8:
            fake.put("bucket", "key", NEW)

    fake.fault = fault
    watching = Watching()
    fs.get_file("bucket/key", str(tmp_path / "f"), callback=watching)
    assert (tmp_path / "f").read_bytes() == NEW
    assert (len(OLD), 0) in watching.seen
    assert any(size == len(OLD) and value > 0 for size, value in watching.seen)
    watching.assert_complete(len(NEW))


def test_ranges_that_are_asked_for_again_count_once(
    fs: GuardedS3FileSystem, fake: FakeS3, tmp_path: Path
) -> None:
    failures = iter([True, False, True, True, False])

    def fault(request: Request, _: FakeS3) -> Any:
        return s3_error(500, "InternalError") if request.method == "GET" and next(failures, False) else None

    fake.fault = fault
    watching = Watching()
    fs.get_file("bucket/key", str(tmp_path / "f"), callback=watching)
    watching.assert_complete(len(OLD))


@pytest.mark.parametrize("code", ["InternalError", "ConditionalRequestConflict"])
def test_parts_that_are_sent_again_count_once(
    fs: GuardedS3FileSystem, fake: FakeS3, tmp_path: Path, code: str
) -> None:
    """A part after a 500; all of them after a 409 on Complete."""
    (tmp_path / "f").write_bytes(LARGE)
    failed: list[str] = []

    def fault(request: Request, _: FakeS3) -> Any:
        wanted = request.method == "POST" if code.startswith("Cond") else "partNumber" in request.query
        if wanted and "uploadId" in request.query and not failed:
            failed.append(code)
            return s3_error(409 if code.startswith("Cond") else 500, code)
        return None

    fake.fault = fault
    watching = Watching()
    fs.put_file(str(tmp_path / "f"), "bucket/large", callback=watching)
    assert failed
    assert fake.objects["bucket", "large"].body == LARGE
    watching.assert_complete(len(LARGE))


@pytest.mark.parametrize("size", [0, 1, 6 * MIB])
def test_single_files_end_at_all(fs: GuardedS3FileSystem, tmp_path: Path, size: int) -> None:
    """Of every size, also to and from file objects, and in a transaction."""
    (tmp_path / "f").write_bytes(LARGE[:size])
    for number in range(3):
        watching = Watching()
        if number == 1:
            with fs.transaction:
                fs.put_file(str(tmp_path / "f"), "bucket/f", callback=watching)
        else:
            fs.put_file(str(tmp_path / "f"), "bucket/f", callback=watching)
        watching.assert_complete(size)
        watching = Watching()
        target: Any = io.BytesIO() if number == 2 else str(tmp_path / "g")
        fs.get_file("bucket/f", target, callback=watching)
        watching.assert_complete(size)


def test_trees_count_files_and_each_branch_its_bytes(fs: GuardedS3FileSystem, tmp_path: Path) -> None:
    """Directories are no files; the empty file is one."""
    bodies = {"a": b"", "d/b": b"12345", "d/e/c": LARGE[: 6 * MIB], "d/e/f/g": OLD}
    for name, body in bodies.items():
        (tmp_path / "up" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / name).write_bytes(body)
    up, down = Watching(), Watching()
    fs.put(f"{tmp_path}/up/", "bucket/t/", recursive=True, callback=up)
    fs.get("bucket/t/", f"{tmp_path}/down/", recursive=True, callback=down)
    for watching, root in ((up, f"{tmp_path}/up"), (down, "bucket/t")):
        watching.assert_complete(len(bodies))
        assert set(watching.branches) == {f"{root}/{name}" for name in bodies}
        for name, body in bodies.items():
            watching.branches[f"{root}/{name}"].assert_complete(len(body))
    for pattern, count in (("bucket/t/*", 1), (["bucket/t/a", "bucket/t/d/b"], 2)):
        watching = Watching()
        fs.get(pattern, f"{tmp_path}/more/", callback=watching)
        watching.assert_complete(count)


def test_tqdm_ends_at_all(fs: GuardedS3FileSystem, tmp_path: Path) -> None:
    fs.pipe({f"bucket/t/{n}": bytes(n) for n in range(20)})
    shown = io.StringIO()
    with TqdmCallback(tqdm_kwargs={"file": shown, "mininterval": 0}) as callback:
        fs.get("bucket/t", str(tmp_path / "t"), recursive=True, callback=callback)
        assert callback.tqdm.n == callback.tqdm.total == 20
    assert "100%" in shown.getvalue()
    assert len(list((tmp_path / "t").iterdir())) == 20


@pytest.mark.parametrize("way", ["put_file", "get_file"])
def test_one_request_shows_its_progress_while_it_goes(tmp_path: Path, way: str) -> None:
    """And not only at its end: 5 MB on a slow line take a minute."""
    size = 4 * MIB
    fake = FakeS3("bucket")
    fake.put("bucket", "key", LARGE[:size])
    (tmp_path / "local").write_bytes(LARGE[:size])
    watching = Watching()
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        if way == "put_file":
            fs.put_file(tmp_path / "local", "bucket/key", callback=watching)
        else:
            fs.get_file("bucket/key", tmp_path / "local", callback=watching)
        assert len(server.requests) == 1
    watching.assert_complete(size)
    assert len({value for _, value in watching.seen if 0 < value < size}) >= 3


def test_a_put_that_is_sent_again_begins_again(tmp_path: Path) -> None:
    size = 4 * MIB
    (tmp_path / "local").write_bytes(LARGE[:size])
    refused: list[Request] = []
    fake = FakeS3("bucket")

    def handler(request: Request) -> Any:
        if request.method == "PUT" and not refused:
            refused.append(request)
            return s3_error(503, "SlowDown")
        return fake(request)

    watching = Watching()
    with ScriptedServer(handler=handler) as server:
        filesystem(server.url).put_file(tmp_path / "local", "bucket/key", callback=watching)
    watching.assert_complete(size)
    values = [value for _, value in watching.seen]
    again = next(place for place, value in enumerate(values) if place and not value and values[place - 1])
    assert max(values[:again]) < size  # which it is when the object is there
    assert fake.objects["bucket", "key"].body == LARGE[:size]


@pytest.mark.parametrize("mode", ["overwrite", "create"])
@pytest.mark.parametrize("error", [RuntimeError, OSError])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_who_stops_a_put_by_its_progress_knows_what_became_of_it(
    tmp_path: Path, share: float, error: type[Exception], mode: str
) -> None:
    """Nothing is published by one that is stopped on its way; at the end the object is there."""
    size = 4 * MIB
    (tmp_path / "local").write_bytes(LARGE[:size])

    class Stopping(Callback):  # type: ignore[misc]  # fsspec has no types
        def relative_update(self, inc: int = 1) -> None:
            super().relative_update(inc)
            if self.value >= share * size:
                raise error("enough")

    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server, pytest.raises(error, match="enough"):
        filesystem(server.url).put_file(tmp_path / "local", "bucket/new", mode=mode, callback=Stopping())
    assert (("bucket", "new") in fake.objects) == (share == 1.0)


def test_an_empty_file_is_complete_too(fs: GuardedS3FileSystem, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    watching = Watching()
    fs.put_file(tmp_path / "empty", "bucket/empty", callback=watching)
    watching.assert_complete(0)
