"""What a scenario is made of: the store with its faults, what the client does, what is seen afterwards."""

from __future__ import annotations

import builtins
import errno
import http.client
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fake_s3 import FakeS3
from tests.guards.peers import MIB, NotOfferedError, Peer
from tests.scripted_server import Answer, Reply, Request

BUCKET = "bucket"
KEY = "key"
PATH = f"{BUCKET}/{KEY}"
DIRECTORY = "mine--use1-az4--x-s3"  # a directory bucket
SMALL = 2048
LARGE = 24 * MIB
_BLOCK = 1024
NOT_OFFERED = "not offered"
PUBLISH = ("PUT", "Complete")
_RIVAL = "x-guards-rival"


def body(letter: str, size: int) -> bytes:
    """Bytes that tell in every block whose they are and where they belong."""
    blocks = (f"{letter}{at:07d}".encode().ljust(_BLOCK, letter.encode()) for at in range(-(-size // _BLOCK)))
    return b"".join(blocks)[:size]


def old(size: int) -> bytes:
    return body("o", size)


def new(size: int) -> bytes:
    return body("n", size)


RIVAL = body("r", SMALL)


@dataclass(frozen=True)
class Client:
    """What the acting process has: the filesystem, a folder, and a rival who writes by plain HTTP."""

    peer: Peer
    url: str
    folder: Path

    @property
    def fs(self) -> Any:
        return self.peer.fs

    @property
    def local(self) -> Path:
        """Where a download goes."""
        return self.folder / "download" / "file"

    def rival_writes(self, data: bytes = RIVAL, path: str = PATH) -> None:
        """Replace the object behind the filesystem's back."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=10)
        connection.request("PUT", f"/{path}", data, {_RIVAL: "1"})
        if connection.getresponse().status != 200:
            raise RuntimeError("the rival could not write")
        connection.close()


def write_state(fake: FakeS3, folder: Path, whole: int) -> str:
    """What the store holds at the key, and what was left beside it. `whole`: the size that was meant."""
    stored = fake.objects.get((BUCKET, KEY))
    found = [_object_state(None if stored is None else stored.body, whole)]
    ours = [key for _, key in fake.objects if key not in (KEY, "warm")]
    if ours:
        found.append(f"{len(ours)} more published")
    if fake.uploads:
        found.append(f"{len(fake.uploads)} upload left")
    return ", ".join(found)


def _object_state(data: bytes | None, whole: int) -> str:
    if data is None:
        return "nothing published"
    if data == new(whole):
        return "published"
    for name, known in (("old object kept", old(whole)), ("rival's object kept", RIVAL)):
        if data == known:
            return name
    if data == old(whole) + new(whole):
        return "appended"
    if new(whole).startswith(data):
        return f"published {len(data)} of {whole} bytes"
    return f"published {len(data)} bytes"


def append_state(fake: FakeS3, folder: Path, whole: int) -> str:
    """What the directory bucket holds at the key, and whether that came by an append of its own."""
    stored = fake.objects.get((DIRECTORY, KEY))
    found = _object_state(None if stored is None else stored.body, whole)
    return f"{found}, by its offset" if fake.appended.get((DIRECTORY, KEY)) else found


def nothing(fake: FakeS3, folder: Path, whole: int) -> str:
    """For scenarios that the client alone can judge."""
    return ""


def file_state(fake: FakeS3, folder: Path, whole: int) -> str:
    """What a download left in its folder, where the file was there before with 1,000 bytes."""
    path = folder / "download" / "file"
    data = path.read_bytes() if path.exists() else None
    if data is None:
        found = "no file"
    elif data == b"before" * 200:
        found = "old file kept"
    elif data and not data.strip(b"\0"):
        found = "file zero-filled"
    else:
        found = f"file has {bytes_state(data, whole)}"
    beside = len(os.listdir(path.parent)) - path.exists()
    return f"{found}, {beside} file beside it" if beside else found


def bytes_state(data: bytes, whole: int) -> str:
    """Whose bytes these are."""
    for name, known in (("old", old(whole)), ("new", new(whole))):
        if data == known:
            return f"{name} bytes"
    if len(data) != whole:
        return f"{len(data)} of {whole} bytes"
    blocks = {data[at : at + 1] for at in range(0, whole, _BLOCK)}
    return "mixed bytes" if {b"o", b"n"} <= blocks else "wrong bytes"


def name_of(error: BaseException) -> str:
    """What a caller can catch: the builtin class where there is one that says something, with the errno."""
    if isinstance(error, NotOfferedError):
        return NOT_OFFERED
    for cls in type(error).__mro__:
        if cls in (OSError, Exception):
            break
        if getattr(builtins, cls.__name__, None) is cls:
            return cls.__name__
    if type(error) is OSError and error.errno is not None:
        return f"OSError {errno.errorcode.get(error.errno, error.errno)}"
    return type(error).__name__


@dataclass(frozen=True)
class Scenario:
    """One row of the table.

    `serve` makes the store, in the process that judges. `act` runs in a process of its own and says what it
    saw ("" where the store alone tells). `observe` looks at the store and the folder afterwards. `promise`
    is what ours must come to. `limit`: seconds until the process of a peer is ended. `timed`: show the
    seconds. `exits`: tell also how the process ended after it had said what it saw. `tells`: and whether it
    named the object on stderr, which nobody had configured.
    """

    title: str
    serve: Callable[[], FakeS3]
    act: Callable[[Client], str]
    promise: str
    observe: Callable[[FakeS3, Path, int], str] = write_state
    whole: int = SMALL
    limit: float = 20.0
    timed: bool = False
    exits: bool = False
    tells: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    """Storage options of ours for this scenario alone."""


# Stores and their faults


def operation(request: Request) -> str:
    """The S3 operation that asks for the key; "" for the rival and for everything else."""
    if request.path != f"/{PATH}" or _RIVAL in request.headers:
        return ""
    if "uploadId" in request.query:
        names = {"PUT": "UploadPart", "POST": "Complete", "DELETE": "Abort", "GET": "ListParts"}
        return names[request.method]
    return "CreateMultipartUpload" if request.method == "POST" else request.method


def holding(size: int | None = SMALL, **options: Any) -> FakeS3:
    """A store with the old object at the key; without it when `size` is None."""
    fake = FakeS3(BUCKET, **options)
    if size is not None:
        fake.put(BUCKET, KEY, old(size))
    return fake


def before(
    fake: FakeS3, names: tuple[str, ...], answer: Callable[[Request], Answer | None], times: int | None = 1
) -> FakeS3:
    """The first `times` requests (None: all) of these operations get `answer` and are not applied."""
    left = _counter(times)
    fake.fault = lambda request, _: answer(request) if operation(request) in names and left() else None
    return fake


def after(
    fake: FakeS3,
    names: tuple[str, ...],
    answer: Callable[[Request, Reply], Answer | None],
    times: int | None = 1,
) -> FakeS3:
    """The first `times` requests (None: all) of these operations are applied, and `answer` goes out."""
    left = _counter(times)
    fake.after = lambda request, reply: (
        answer(request, reply) if operation(request) in names and left() else None
    )
    return fake


def _counter(times: int | None) -> Callable[[], bool]:
    left = [None] * (times or 0)

    def count() -> bool:
        if times is None:
            return True
        try:
            left.pop()
        except IndexError:
            return False
        return True

    return count
