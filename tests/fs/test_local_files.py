"""What stands at a local path: regular files, links, and what is neither and never opened or replaced."""

import errno
import io
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._read import target_file
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.file_systems import offers_nameless
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, respond, s3_error

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


opened: list[int] = []


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Paths of sockets must be short."""
    monkeypatch.chdir(tmp_path)
    yield
    while opened:
        os.close(opened.pop())


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


# --- get ---


@pytest.fixture
def full(store: Store) -> Store:
    """A store with an object of each size that takes another way."""
    store.fake.put("bucket", "key", DATA)
    store.fake.put("bucket", "empty", b"")
    return store


def entries() -> list[str]:
    return sorted(os.listdir())


Get = Callable[[GuardedS3FileSystem, str, str], None]
gets = pytest.mark.parametrize(
    "get",
    [
        lambda fs, key, path: fs.get_file(f"bucket/{key}", path),
        lambda fs, key, path: fs.get(f"bucket/{key}", path),
        lambda fs, key, path: fs.get([f"bucket/{key}"], [path]),
    ],
    ids=["get_file", "get", "get of lists"],
)


@gets
@pytest.mark.parametrize("key", ["key", "empty"])
def test_get_onto_a_link_replaces_the_file_behind_it(get: Get, key: str, full: Store) -> None:
    os.mkdir("deep")
    Path("deep/file").write_bytes(b"old")
    os.chmod("deep/file", 0o640)
    inode = os.stat("deep/file").st_ino
    os.symlink("deep/file", "first")
    os.symlink("first", "link")
    get(full.fs, key, "link")
    assert os.readlink("link") == "first"
    assert os.readlink("first") == "deep/file"
    assert Path("deep/file").read_bytes() == full.bodies()[key]
    assert stat.S_IMODE(os.stat("deep/file").st_mode) == 0o640
    assert os.stat("deep/file").st_ino != inode  # by a rename
    assert os.listdir("deep") == ["file"]
    assert entries() == ["deep", "first", "link"]


@gets
def test_get_onto_a_dangling_link_creates_what_it_names(get: Get, full: Store) -> None:
    os.mkdir("deep")
    os.symlink("deep/file", "link")
    get(full.fs, "key", "link")
    assert os.path.islink("link")
    assert Path("deep/file").read_bytes() == DATA


def test_get_onto_a_link_that_leads_in_a_circle_is_an_error_and_keeps_it(full: Store) -> None:
    os.symlink("b", "a")
    os.symlink("a", "b")
    with pytest.raises(OSError, match="symbolic links"):
        full.fs.get_file(PATH, "a")
    assert entries() == ["a", "b"]
    assert os.readlink("a") == "b"


def test_get_that_fails_keeps_link_and_file(full: Store) -> None:
    Path("file").write_bytes(b"old")
    os.symlink("file", "link")
    full.fake.fault = lambda request, fake: respond(403) if request.method == "GET" else None
    with pytest.raises(PermissionError):
        full.fs.get_file(PATH, "link")
    assert (entries(), Path("link").read_bytes()) == (["file", "link"], b"old")


def make_terminal() -> str:
    """A device that cannot be replaced, so that a failure does no harm."""
    opened.extend(os.openpty())
    return os.ttyname(opened[-1])


def make_descriptor() -> str:
    """The name of a file that is open: it would be replaced, and the descriptor would have the old one."""
    opened.append(os.open("special", os.O_RDWR | os.O_CREAT))
    return f"/dev/fd/{opened[-1]}"


def make_link_to_a_pipe() -> str:
    os.mkfifo("pipe")
    os.symlink("pipe", "special")
    return "special"


TARGETS = [make_pipe, make_socket, make_link_to_a_pipe, make_terminal, make_descriptor]


@gets
@pytest.mark.parametrize("make", TARGETS)
def test_get_never_replaces_what_is_no_regular_file(get: Get, make: Make, full: Store) -> None:
    path = make()
    before = (entries(), os.stat(path), os.lstat(path).st_mode)
    with pytest.raises(OSError, match=r"lpath is a pipe.*pass that as outfile") as caught:
        get(full.fs, "key", path)
    assert os.path.abspath(caught.value.filename) == os.path.abspath(path)
    after = (entries(), os.stat(path), os.lstat(path).st_mode)
    assert (after[0], after[1].st_ino, after[1].st_size, after[2]) == (
        before[0],
        before[1].st_ino,
        before[1].st_size,
        before[2],
    )


def test_get_of_a_tree_onto_what_is_no_file_writes_nothing(full: Store) -> None:
    full.fake.put("bucket", "tree/a", DATA)
    full.fake.put("bucket", "tree/special", DATA)
    os.mkdir("tree")
    os.mkfifo("tree/special")
    with pytest.raises(OSError, match="lpath is a pipe") as caught:
        full.fs.get("bucket/tree/", "tree", recursive=True)
    assert os.path.basename(caught.value.filename) == "special"
    assert os.listdir("tree") == ["special"]


def test_get_file_to_an_open_pipe_is_what_the_error_recommends(full: Store) -> None:
    os.mkfifo("pipe")
    read = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    full.fake.put("bucket", "key", b"piped")
    with open("pipe", "wb") as pipe:
        full.fs.get_file(PATH, "pipe", outfile=pipe)
    with open(read, "rb") as reader:
        assert reader.read() == b"piped"


class Narrow(io.RawIOBase):
    """A raw file that takes 1,000 bytes at a time, and `room` in all."""

    def __init__(self, room: int = len(DATA)) -> None:
        super().__init__()
        self.taken, self.room = b"", room

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int | None:
        piece = bytes(data)[: min(1000, self.room - len(self.taken))]
        self.taken += piece
        return len(piece) or None  # as a descriptor in non-blocking mode


@pytest.mark.parametrize("by", ["outfile", "lpath", "temporary"])
def test_an_open_file_without_a_buffer_gets_all_bytes(by: str, full: Store) -> None:
    full.fake.put("bucket", "key", DATA)
    file = Narrow()
    if by == "outfile":
        full.fs.get_file(PATH, "ignored", outfile=file)
    elif by == "lpath":
        full.fs.get_file(PATH, file)
    else:  # tempfile's wrapper, with buffering=0
        full.fs.get_file(PATH, "ignored", outfile=SimpleNamespace(file=file, write=file.write))
    assert file.taken == DATA


def test_an_open_file_that_takes_no_more_is_an_error(full: Store) -> None:
    full.fake.put("bucket", "key", DATA)
    with pytest.raises(BlockingIOError, match=f"{len(DATA) - 2500} bytes are left"):
        full.fs.get_file(PATH, "ignored", outfile=Narrow(2500))


def test_a_file_that_counts_in_its_own_way_is_written_to_once(full: Store) -> None:
    """Compressors return how many bytes came out, others None."""
    full.fake.put("bucket", "key", DATA)
    written: list[bytes] = []
    for answer in (7, None):
        full.fs.get_file(
            PATH,
            "ignored",
            outfile=SimpleNamespace(write=lambda data, n=answer: (written.append(data), n)[1]),
        )
    assert written == [DATA, DATA]


# --- the file that appears at once ---


def without_nameless(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """A system, a file system or a container that has no files without a name."""
    real_open, real_isdir = os.open, os.path.isdir

    def refusing(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(getattr(errno, reason), "not here")
        return real_open(path, flags, *rest, **more)

    if reason == "no flag":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif reason == "no proc":
        monkeypatch.setattr(os.path, "isdir", lambda path: path != "/proc/self/fd" and real_isdir(path))
    else:
        monkeypatch.setattr(os, "open", refusing)


REASONS = ["no flag", "no proc", "EOPNOTSUPP", "EISDIR", "ENOENT", "EINVAL"]


@pytest.mark.parametrize("reason", ["", *REASONS])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("fsync", [True, False])
def test_get_file_is_whole_has_the_right_mode_and_leaves_nothing_beside(
    reason: str, there: bool, fsync: bool, full: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        Path("file").write_bytes(b"old")
        os.chmod("file", 0o604)
    if reason:
        without_nameless(monkeypatch, reason)
    Path("plain").touch()
    filesystem(full.server.url, fsync=fsync).get_file(PATH, "file")
    assert Path("file").read_bytes() == DATA
    expected = 0o604 if there else stat.S_IMODE(os.stat("plain").st_mode)
    assert stat.S_IMODE(os.stat("file").st_mode) == expected
    assert entries() == ["file", "plain"]


@pytest.mark.parametrize("reason", ["", *REASONS])
def test_get_file_that_fails_leaves_nothing_beside(
    reason: str, full: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the middle nor at the last step."""
    Path("file").write_bytes(b"old")
    if reason:
        without_nameless(monkeypatch, reason)
    beside: list[list[str]] = []

    def refuse(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "GET":
            beside.append(entries())
            return s3_error(403, "AccessDenied")
        return None

    full.fake.fault = refuse
    with pytest.raises(PermissionError):
        full.fs.get_file(PATH, "file")
    full.fake.fault = None
    if not reason and offers_nameless(Path()):
        assert beside == [["file"]]
    monkeypatch.setattr(os, "replace", lambda *names: os.stat("nowhere"))
    with pytest.raises(FileNotFoundError):
        full.fs.get_file(PATH, "file")
    assert (entries(), Path("file").read_bytes()) == (["file"], b"old")


@pytest.mark.parametrize("reason", ["", "no flag"])
def test_get_file_to_a_name_as_long_as_names_may_be(
    reason: str, full: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 255 bytes, in characters of three: what is beside it for a while must not have a longer one."""
    if reason:
        without_nameless(monkeypatch, reason)
    name = "\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 85
    full.fs.get_file(PATH, name)
    assert entries() == [name]
    assert Path(name).read_bytes() == DATA


# --- its permissions ---


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """With another umask, which is the process's: no other test may run meanwhile."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.skipif(os.name != "posix", reason="there is no umask here")
@pytest.mark.parametrize("reason", ["", "no flag", "no umask in /proc"])
@pytest.mark.parametrize("mask", [0o077, 0o027, 0o000, 0o022])
@pytest.mark.parametrize("many", [True, False])
def test_a_new_file_has_the_mode_that_open_gives_it_now(
    reason: str, mask: int, many: bool, full: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The umask counts that is set when the file is written, not the one of the import."""
    if reason == "no flag":
        without_nameless(monkeypatch, reason)
    elif reason:
        monkeypatch.setattr(target_file, "_mode_of_new_files", lambda: None)
    with umask(mask):
        Path("plain").touch()
        full.fs.get([PATH], ["file"]) if many else full.fs.get_file(PATH, "file")
    assert mode_of("file") == mode_of("plain") == 0o666 & ~mask


def test_the_umask_is_never_set(full: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting it, even for a moment, changes the files that other threads create."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask was set"))
    full.fs.get_file(PATH, "file")
    assert Path("file").read_bytes() == DATA


@pytest.mark.skipif(os.name != "posix", reason="there are no such bits here")
@pytest.mark.parametrize("special", [0o4000, 0o2000, 0o6000, 0o1000])
@pytest.mark.parametrize("reason", ["", "no flag"])
def test_new_content_does_not_run_as_another_user(
    special: int, reason: str, full: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("tool").write_bytes(b"old")
    os.chmod("tool", special | 0o751)
    if reason:
        without_nameless(monkeypatch, reason)
    full.fs.get_file(PATH, "tool")
    assert Path("tool").read_bytes() == DATA
    assert mode_of("tool") == 0o751


@pytest.mark.skipif(os.name != "posix", reason="there are no such permissions here")
def test_a_private_file_is_private_while_it_is_replaced(full: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    without_nameless(monkeypatch, "no flag")
    Path("file").write_bytes(b"old")
    os.chmod("file", 0o600)
    seen: list[int] = []

    def look(request: Request, fake: FakeS3) -> None:
        seen.extend(mode_of(name) for name in entries() if name.endswith(".part"))

    full.fake.fault = look
    with umask(0):  # what comes behind the first range is asked for when there is a file
        filesystem(full.server.url, range_size=len(DATA) // 2).get_file(PATH, "file")
    assert set(seen) == {0o600}
    assert mode_of("file") == 0o600


# --- links in the target of a tree ---


@pytest.fixture
def tree(store: Store) -> Store:
    """`bucket/t/link/x` and `bucket/t/ok` in the store; `outside`, and `target`, here."""
    store.fake.put("bucket", "t/link/x", DATA)
    store.fake.put("bucket", "t/ok", DATA)
    os.makedirs("outside/deep")
    os.makedirs("target/inner")
    return store


def everything() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*") if path.is_file())


GetTree = Callable[[GuardedS3FileSystem], None]
TREES: list[GetTree] = [
    lambda fs: fs.get("bucket/t/", "target/", recursive=True),
    lambda fs: fs.get("bucket/t/**", "target/"),
]


@pytest.mark.parametrize("get", TREES, ids=["tree", "glob"])
@pytest.mark.parametrize("name", ["../outside", "../outside/deep", "../missing", "/", "inner/../../outside"])
def test_a_tree_is_never_written_through_a_link_out_of_its_target(
    get: GetTree, name: str, tree: Store
) -> None:
    os.symlink(name, "target/link")
    with pytest.raises(ValueError, match="behind a link that leads out of"):
        get(tree.fs)
    assert everything() == []
    assert os.readlink("target/link") == name


def test_a_file_of_a_tree_is_never_written_through_a_link_out_of_its_target(tree: Store) -> None:
    Path("outside/file").write_bytes(b"kept")
    os.symlink("../outside/file", "target/ok")
    with pytest.raises(ValueError, match="behind a link that leads out of"):
        tree.fs.get("bucket/t/", "target/", recursive=True)
    assert everything() == ["outside/file", "target/ok"]
    assert Path("outside/file").read_bytes() == b"kept"


@pytest.mark.parametrize("name", ["inner", ".", "../target/inner"])
def test_a_link_within_the_target_is_followed(name: str, tree: Store) -> None:
    os.symlink(name, "target/link")
    tree.fs.get("bucket/t/", "target/", recursive=True)
    assert Path("target/link/x").read_bytes() == Path("target/ok").read_bytes() == DATA
    assert os.path.islink("target/link")


@pytest.mark.parametrize("root", ["way", "way/", "way/deep"])
def test_a_target_that_is_a_link_itself_is_followed(root: str, tree: Store) -> None:
    os.symlink("outside", "way")
    tree.fs.get("bucket/t/", root if root.endswith("/") else f"{root}/", recursive=True)
    assert Path(root, "link", "x").read_bytes() == DATA


def test_lists_name_each_place_and_follow_links(tree: Store) -> None:
    os.symlink("../outside", "target/link")
    tree.fs.get(["bucket/t/ok"], ["target/link/ok"])
    assert Path("outside/ok").read_bytes() == DATA


def test_a_marker_of_a_directory_outside_makes_none(tree: Store) -> None:
    tree.fake.put("bucket", "t/../../evil/", b"")
    with pytest.raises(ValueError, match="outside of"):
        tree.fs.get("bucket/t/", "target/", recursive=True)
    assert not os.path.exists("../evil")
    assert everything() == []


# --- how a path is written ---


@pytest.mark.parametrize("verb", ["get_file", "get", "get list", "put_file", "put", "put list"])
@pytest.mark.parametrize("form", ["~/f", "file://{home}/f", "local://{home}/f"])
def test_a_local_path_means_the_same_to_one_file_and_to_many(
    form: str, verb: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(here)
    path = form.format(home=home.as_posix())
    if verb.startswith("get"):
        store.fake.put("bucket", "key", DATA)
        if verb == "get list":
            store.fs.get([PATH], [path])
        else:
            getattr(store.fs, verb)(PATH, path)
        assert (home / "f").read_bytes() == DATA
    else:
        (home / "f").write_bytes(DATA)
        if verb == "put list":
            store.fs.put([path], [PATH])
        else:
            getattr(store.fs, verb)(path, PATH)
        assert store.bodies() == {"key": DATA}
    assert not list(here.iterdir())
