"""Scenarios of copies, moves and changes of metadata while a rival replaces the source."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from tests.fake_s3 import FakeS3
from tests.guards.peers import OURS, NotOfferedError
from tests.guards.scenario import BUCKET, DIRECTORY, KEY, PATH, RIVAL, SMALL, Client, Scenario, old
from tests.scripted_server import Reply, Request

TARGET = "moved"
_DELETES = ("delete_many", "delete")
_PINS = ("copy_source", "copy_source_parts", "copy_swap")


def _move(client: Client) -> str:
    client.fs.mv(PATH, f"{BUCKET}/{TARGET}")
    return "no error"


def _copy(client: Client) -> str:
    client.fs.cp_file(PATH, f"{BUCKET}/{TARGET}")
    return "no error"


def _move_in_directory(client: Client) -> str:
    client.fs.mv(f"{DIRECTORY}/{KEY}", f"{DIRECTORY}/{TARGET}")
    return "no error"


def _change_metadata(client: Client) -> str:
    if client.peer.name not in (OURS, "s3fs"):
        raise NotOfferedError
    client.fs.setxattr(PATH, reviewed="yes")
    return "no error"


def _holding(*ignored: str, bucket: str = BUCKET) -> FakeS3:
    """A store with the old object, which is the one owner's."""
    fake = FakeS3(bucket, ignored=ignored)
    fake.put(bucket, KEY, old(SMALL), owner="old")
    return fake


def _replace(fake: FakeS3, bucket: str) -> None:
    fake.put(bucket, KEY, RIVAL, owner="rival")


def _replaced_when_copied(*ignored: str, bucket: str = BUCKET) -> FakeS3:
    """A rival writes when the copy is there, and the original not deleted yet, or when it is renamed."""
    fake = _holding(*ignored, bucket=bucket)
    acted: list[str] = []

    def after(request: Request, reply: Reply) -> None:
        if not acted and (bucket, TARGET) in fake.objects:
            acted.append(request.path)
            _replace(fake, bucket)

    fake.after = after
    return fake


def _replaced_before_the_copy(*ignored: str, bucket: str = BUCKET) -> FakeS3:
    """A rival writes when the bytes are asked for, by whichever request."""
    fake = _holding(*ignored, bucket=bucket)
    acted: list[str] = []

    def fault(request: Request, _: FakeS3) -> None:
        copied = unquote(request.headers.get("x-amz-copy-source", "")).removeprefix("/")
        renamed = request.headers.get("x-amz-rename-source", "") == KEY
        reads = request.method == "GET" and request.path == f"/{bucket}/{KEY}"
        if not acted and (copied == f"{bucket}/{KEY}" or renamed or reads):
            acted.append(request.path)
            _replace(fake, bucket)

    fake.fault = fault
    return fake


def _places(fake: FakeS3, folder: Path, whole: int) -> str:
    """What became of the rival's object, and what is at the target."""
    found = {key: stored.body for (_, key), stored in fake.objects.items() if key in (KEY, TARGET)}
    words = ["rival's object kept" if RIVAL in found.values() else "rival's object lost"]
    names = {old(whole): "old object at the target", RIVAL: "rival's object at the target"}
    words += [names.get(found[TARGET], "other bytes at the target")] if TARGET in found else []
    return ", ".join(words)


def _metadata(fake: FakeS3, folder: Path, whole: int) -> str:
    """Whose bytes there are, with whose metadata."""
    stored = fake.objects[BUCKET, KEY]
    whose = "rival's" if stored.body == RIVAL else "old"
    return f"{whose} bytes with {stored.metadata.get('owner', 'no')} metadata"


SCENARIOS = (
    Scenario(
        "mv under a rival",
        _replaced_when_copied,
        _move,
        "ObjectChangedError, rival's object kept, old object at the target",
        observe=_places,
    ),
    Scenario(
        "mv under a rival, the store ignores ETags in DeleteObjects",
        lambda: _replaced_when_copied("delete_many"),
        _move,
        "ObjectChangedError, rival's object kept, old object at the target",
        observe=_places,
    ),
    Scenario(
        "mv under a rival, the store ignores conditions of deletes",
        lambda: _replaced_when_copied(*_DELETES),
        _move,
        "ObjectChangedError, rival's object kept, old object at the target",
        observe=_places,
    ),
    Scenario(
        "mv in a directory bucket, a rival writes when the object is at its target",
        lambda: _replaced_when_copied(bucket=DIRECTORY),
        _move_in_directory,
        "no error, rival's object kept, old object at the target",
        observe=_places,
    ),
    Scenario(
        "mv in a directory bucket, a rival replaces the object before",
        lambda: _replaced_before_the_copy(bucket=DIRECTORY),
        _move_in_directory,
        "ObjectChangedError, rival's object kept",
        observe=_places,
    ),
    Scenario(
        "copy under a rival",
        _replaced_before_the_copy,
        _copy,
        "ObjectChangedError, rival's object kept",
        observe=_places,
    ),
    Scenario(
        "copy under a rival, the store ignores the pin of copies",
        lambda: _replaced_before_the_copy(*_PINS),
        _copy,
        "ObjectChangedError, rival's object kept",
        observe=_places,
    ),
    Scenario(
        "change of metadata under a rival, the store ignores the pin of copies",
        lambda: _replaced_before_the_copy(*_PINS),
        _change_metadata,
        "ObjectChangedError, rival's bytes with rival metadata",
        observe=_metadata,
    ),
)
