"""Every cell of the fault matrix, on real sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from fsspec_guarded_s3 import TransactionError
from fsspec_guarded_s3._auth.endpoints import Endpoints
from fsspec_guarded_s3._auth.session import Session
from fsspec_guarded_s3._values.models import WRITE_TOKEN
from tests.fake_s3 import FakeS3, Part, Upload, crc32, md5_etag, now
from tests.faults.inject import (
    ANOTHER_ETAG,
    STALLS,
    Injector,
    let_time_pass_where_the_fault_is,
    unreachable,
)
from tests.faults.operations import ANSWER, LARGE, OLD, SMALL, STALE, Objects, World
from tests.faults.promises import FAULTS, GROUPS
from tests.faults.table import OUTCOMES, Cell, cells, rows
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer
from tests.single_faults import short_pauses  # noqa: F401

pytestmark = pytest.mark.timeout(300)

CELLS = list(cells())
WAITS: dict[str, dict[str, Any]] = {"stall": STALLS, "stall-body": STALLS, "trickle": {}}


@pytest.fixture(autouse=True)
def time_passes_where_the_fault_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """So no cell depends on how busy the machine is. test_waits.py tests what time-outs and rates do."""
    let_time_pass_where_the_fault_is(monkeypatch)


@pytest.fixture(autouse=True, scope="module")
def shared_rules() -> Iterator[None]:
    """botocore's session and endpoint rules are read once, which takes longer than a cell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "botocore", _once(Session.botocore))
        patch.setattr(Endpoints, "_provider", _once(Endpoints._provider))
        yield


def _once(method: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The method, which is called for the first object only."""
    found: list[Any] = []
    lock = threading.RLock()

    def shared(owner: Any) -> Any:
        with lock:
            if not found:
                found.append(method(owner))
            return found[0]

    return shared


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Local files to upload."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "small").write_bytes(SMALL)
    (folder / "large").write_bytes(LARGE)
    return folder


@pytest.fixture
def folder(tmp_path: Path, sources: Path) -> Path:
    """A folder with `old`, which get_file replaces, and the files to upload."""
    (tmp_path / "old").write_bytes(OLD)
    for name in ("small", "large"):
        (tmp_path / name).symlink_to(sources / name)
    return tmp_path


def objects(fake: FakeS3) -> Objects:
    """What is published, as in `operations`."""
    with fake.lock:
        found = {f"{bucket}/": b"" for bucket in fake.buckets}
        found |= {f"{bucket}/?acl": acl.encode() for bucket, acl in fake.bucket_acls.items()}
        found |= {f"{bucket}/?versioning": status.encode() for bucket, status in fake.versioning.items()}
        found |= {STALE: fake.uploads[STALE].parts[1].body} if STALE in fake.uploads else {}
        for (bucket, key), stored in fake.objects.items():
            beside = {f"x-amz-meta-{name}": text for name, text in stored.metadata.items()}
            beside |= {"tagging": urlencode(stored.tags), "acl": stored.acl.replace("private", "")}
            beside.pop(f"x-amz-meta-{WRITE_TOKEN}", None)
            found |= {f"{bucket}/{key}?{name}": text.encode() for name, text in beside.items() if text}
            notes = fake.notes.get((bucket, key), {})
            found |= {f"{bucket}/{key}?annotation={name}": text for name, text in notes.items()}
            found[f"{bucket}/{key}"] = stored.body
        return found


def prepared(fake: FakeS3, before: Mapping[str, bytes]) -> None:
    """Make the store hold what `objects` would show of it."""
    plain = {name: body for name, body in before.items() if "?" not in name and name != STALE}
    for name, body in plain.items():
        bucket, _, key = name.partition("/")
        fake.buckets.setdefault(bucket, now())
        if key:
            beside = {
                n.partition("?")[2]: text.decode() for n, text in before.items() if n.startswith(f"{name}?")
            }
            notes = {n: beside.pop(n).encode() for n in [*beside] if n.startswith("annotation=")}
            fake.notes[bucket, key] = {n.removeprefix("annotation="): text for n, text in notes.items()}
            meta = {n.removeprefix("x-amz-meta-"): text for n, text in beside.items() if n != "tagging"}
            stored = fake.put(bucket, key, body, **meta)
            tags = dict(parse_qsl(beside.get("tagging", "")))
            fake.objects[bucket, key] = replace(stored, crc32=crc32(body), tags=tags)
    if STALE in before:
        parts = {1: Part(before[STALE], md5_etag(before[STALE]))}
        fake.uploads[STALE] = Upload("bucket", "key", {}, composite=False, parts=parts)


def run(cell: Cell, server: ScriptedServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the call; its result."""
    operation = cell.operation
    if operation.copy_limit is not None:
        monkeypatch.setattr("fsspec_guarded_s3._fs.copy_version.MAX_SINGLE_PUT", operation.copy_limit)
    attempts = 3 if not cell.lasting else 1 if cell.fault in WAITS else 2
    options = {"max_attempts": attempts, **operation.options, **WAITS.get(cell.fault, {})}
    fs = filesystem(server.url, **options)
    try:
        with ExitStack() as stack:
            if cell.fault in ("refused", "dns"):
                stack.enter_context(unreachable(cell.fault, cell.lasting))
            return operation.run(World(fs, folder))
    finally:
        fs._client.store.transport.close()


@pytest.mark.parametrize("cell", CELLS, ids=[cell.id for cell in CELLS])
def test_cell(cell: Cell, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = cell.operation
    injector = Injector(cell.fault, cell.target, cell.lasting)
    fake = FakeS3("bucket", fault=injector.before, after=injector.after)
    prepared(fake, operation.before)
    assert objects(fake) == operation.before
    result: Any = None
    error: Exception | None = None
    with ScriptedServer(handler=fake, tls=cell.fault == "tls") as server:
        try:
            result = run(cell, server, folder, monkeypatch)
        except Exception as raised:
            error = raised
    assert injector.count or not cell.target, "the fault did not hit any request"
    assert cell.outcome.allows(error), f"promised {cell.outcome.names}, got {error!r}"
    check_objects(cell, fake, error)
    check_uploads(cell, fake, injector)
    check_local_files(folder, error)
    if error is None:
        expected = [operation.result]
        if operation.result is ANSWER:
            told = {
                fake.objects["bucket", "key"].etag,
                ANOTHER_ETAG if cell.fault == "wrong-etag" else "",
            } - {""}
            expected = [{"ETag": etag, "VersionId": None} for etag in told]
        right = result in expected
        assert right, "the result is wrong"


def check_objects(cell: Cell, fake: FakeS3, error: Exception | None) -> None:
    """All or nothing is published; success only if all is; a definite error only if nothing is."""
    found, before, after = objects(fake), cell.operation.before, cell.operation.after
    if isinstance(error, TransactionError) and cell.operation.halfway is not None:
        there = found in ({**before, **cell.operation.halfway}, after)
        assert there, "the error is wrong about what was published"
        assert [*error.published] == [*cell.operation.halfway]
        return
    # Compared outside of `assert`, which would print megabytes.
    old, new = found == before, found == after
    others = {name: len(body) for name, body in found.items() if after.get(name) != body}
    assert old or new, f"something between old and new is published: lengths {others}"
    if error is None:
        assert new, "success was reported, and it is not there"
    elif not getattr(error, "maybe_applied", False):
        assert old, f"{error!r} claims that nothing was published"


def check_uploads(cell: Cell, fake: FakeS3, injector: Injector) -> None:
    """No upload is left, but empty ones whose id got lost with the answer to CreateMultipartUpload."""
    left = [upload for upload_id, upload in fake.uploads.items() if upload_id != STALE]
    lost = injector.count if cell.target == "CreateMultipartUpload" else 0
    assert len(left) <= lost, f"{len(left)} uploads are left"
    assert not any(upload.parts for upload in left), "parts are left"


def check_local_files(folder: Path, error: Exception | None) -> None:
    """The target of get_file is old or new, and there is no temporary file."""
    assert sorted(entry.name for entry in folder.iterdir()) == ["large", "old", "small"]
    old = (folder / "old").read_bytes()
    assert old in (OLD, SMALL)
    assert error is None or old == OLD


def test_the_table_is_whole() -> None:
    """Every fault has a row for every column, every column is used, every word has a meaning."""
    used = {column for cell in CELLS for column in (*cell.operation.calls.values(), "any request")}
    seen: set[str] = set()
    for group in GROUPS:
        head, *lines = rows(group)
        assert {line[0] for line in lines} <= set(FAULTS)
        assert len(lines) == (4 if group == "No connection" else len(FAULTS) - 4)
        seen |= set(head[1:])
    assert seen == used
    for cell in CELLS:
        assert {name.rstrip("?") for name in cell.outcome.names} <= {"ok", *OUTCOMES}
    assert len({cell.id for cell in CELLS}) == len(CELLS)
