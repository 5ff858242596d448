"""What stands at a local path: regular files, links, and what is neither and never opened or replaced."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer

PATH = "bucket/key"
DATA = period_free(100_000)


class Store:
    """An empty bucket, and a filesystem on it."""

    def __init__(self, server: ScriptedServer, fake: FakeS3) -> None:
        self.server, self.fake = server, fake
        self.fs: GuardedS3FileSystem = filesystem(server.url)

    def bodies(self) -> dict[str, bytes]:
        return {key: stored.body for (_, key), stored in self.fake.objects.items()}


@pytest.fixture
def store() -> Iterator[Store]:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        yield Store(server, fake)


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of sockets must be short."""
    monkeypatch.chdir(tmp_path)


def make_pipe() -> str:
    os.mkfifo("special")
    return "special"


def make_socket() -> str:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("special")
    return "special"


def make_link_to_a_device() -> str:
    os.symlink(os.devnull, "special")
    return "special"


SPECIAL = [make_pipe, make_socket, make_link_to_a_device, lambda: os.devnull]
specials = pytest.mark.parametrize("make", SPECIAL, ids=["pipe", "socket", "link", "device"])
Make = Callable[[], str]


# --- put ---


@specials
@pytest.mark.parametrize("in_transaction", [True, False])
def test_put_file_of_what_has_no_size_is_an_error_that_says_what_to_do(
    make: Make, in_transaction: bool, store: Store
) -> None:
    """Nobody writes to the pipe, so whoever opens it waits for ever."""
    path = make()
    with pytest.raises(OSError, match=r"lpath is a pipe.*fs\.open\(rpath, 'wb'\)") as caught:
        if in_transaction:
            with store.fs.transaction:
                store.fs.put_file(path, PATH)
        else:
            store.fs.put_file(path, PATH)
    assert caught.value.filename == path
    assert store.bodies() == {}
    assert not store.fake.uploads


@pytest.mark.parametrize("make", SPECIAL[:3], ids=["pipe", "socket", "link"])
@pytest.mark.parametrize("kind", ["tree", "glob", "list", "lists", "single"])
def test_put_of_many_says_which_one_it_is_before_anything_is_sent(
    make: Make, kind: str, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "tree").mkdir()
    os.chdir("tree")
    make()
    Path("a").write_bytes(DATA)
    os.chdir("..")
    arguments: dict[str, tuple[object, object]] = {
        "tree": ("tree/", "bucket/t"),
        "glob": ("tree/*", "bucket/t/"),
        "list": (["tree/a", "tree/special"], "bucket/t/"),
        "lists": (["tree/a", "tree/special"], ["bucket/t/a", "bucket/t/b"]),
        "single": ("tree/special", "bucket/t/"),
    }
    with pytest.raises(OSError, match="lpath is a pipe") as caught:
        store.fs.put(*arguments[kind], recursive=kind == "tree")
    assert os.path.basename(caught.value.filename) == "special"
    assert store.bodies() == {}
    assert not [request for request in store.server.requests if request.method == "PUT"]


def test_put_file_of_a_pipe_by_way_of_an_open_file_is_what_the_error_recommends(store: Store) -> None:
    path = make_pipe()
    read = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(path, "wb", buffering=0) as pipe:
        pipe.write(b"piped")
    with open(read, "rb") as source, store.fs.open(PATH, "wb") as target:
        target.write(source.read())
    assert store.bodies() == {"key": b"piped"}


def test_put_file_follows_a_link_to_a_file(store: Store) -> None:
    Path("file").write_bytes(DATA)
    os.symlink("file", "link")
    store.fs.put_file("link", PATH)
    store.fs.put("link", "bucket/other")
    assert store.bodies() == {"key": DATA, "other": DATA}
