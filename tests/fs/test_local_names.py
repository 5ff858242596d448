"""Keys that cannot be files here, or would be one file: refused before the first byte."""

import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._values import local_files, local_names
from tests.fake_s3 import FakeS3
from tests.folding_folder import FoldingFolder
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer

ACCENT = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
MEETING = [
    ("Readme", "README"),
    ("deep/er/Data", "deep/er/data"),
    ("Folder/x", "folder/x"),
    (f"caf{ACCENT[0]}", f"caf{ACCENT[1]}"),
    ("stra\u00dfe", "STRASSE"),
]
ON_WINDOWS = [
    *("a:b", "C:x", "a*", "what?", 'a"b', "a<b", "a>b", "a|b", "a\\b", "..\\x", "a\x01b", "a\nb"),
    *("CON", "con", "NUL.txt", "nul.tar.gz", "Aux", "COM1", "lpt9.log", "COM¹", "CONOUT$", "PRN .x"),
    *("a.", "a ", "...", "d./x", "d /x", "CON/x"),
]
FINE = ["a", "a.b", ".hidden", "console", "com0", "COM10", "nul_", "a b", "é", "x" * 40, "CONx/y"]


@pytest.fixture
def fake() -> FakeS3:
    return FakeS3("bucket")


@pytest.fixture
def server(fake: FakeS3) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=fake) as server:
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def put(fake: FakeS3, *names: str) -> None:
    for name in names:
        fake.put("bucket", f"tree/{name}", name.encode())


def get_tree(fs: GuardedS3FileSystem, names: list[str], target: Path) -> None:
    fs.get("bucket/tree/", str(target), recursive=True)


def get_glob(fs: GuardedS3FileSystem, names: list[str], target: Path) -> None:
    fs.get("bucket/tree/**", str(target))


def get_lists(fs: GuardedS3FileSystem, names: list[str], target: Path) -> None:
    fs.get([f"bucket/tree/{name}" for name in names], [f"{target}/{name}" for name in names])


def get_file(fs: GuardedS3FileSystem, names: list[str], target: Path) -> None:
    fs.get_file(f"bucket/tree/{names[0]}", f"{target}/{names[0]}")


def command_line(fs: GuardedS3FileSystem, names: list[str], target: Path) -> None:
    pytest.importorskip("click")
    from fsspec_guarded_s3._cli.transfers import S3Url, plan

    for copy in plan(fs, [S3Url("s3", "bucket/tree/")], str(target), recursive=True):
        if copy.error is not None:
            raise copy.error


Getting = Callable[[GuardedS3FileSystem, list[str], Path], None]
MANY: list[Getting] = [get_tree, get_glob, get_lists, command_line]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def assert_nothing_moved(server: ScriptedServer, target: Path) -> None:
    assert [request for request in server.requests if request.method == "GET" and not request.query] == []
    assert list(target.iterdir()) == []


# --- two keys, one file ---


@pytest.mark.parametrize("get", MANY)
@pytest.mark.parametrize("names", MEETING)
@pytest.mark.skipif(os.name == "nt", reason="has such folders of its own")
def test_keys_that_one_file_would_have_are_refused(
    fake: FakeS3,
    server: ScriptedServer,
    target: Path,
    names: tuple[str, str],
    get: Getting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(fake, *names, "another")
    fs = filesystem(server.url)
    FoldingFolder(target, monkeypatch)
    with pytest.raises(ValueError, match=r"would both become|a file and a folder"):
        get(fs, list(names), target)
    assert_nothing_moved(server, target)


@pytest.mark.parametrize("get", [get_tree, get_glob, get_lists])
@pytest.mark.skipif(os.name == "nt", reason="has such folders of its own")
def test_an_object_that_would_be_a_folder_is_named_and_the_rest_is_got(
    fake: FakeS3, server: ScriptedServer, target: Path, get: Getting, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(fake, "a", "A/b", "another")
    fs = filesystem(server.url)
    FoldingFolder(target, monkeypatch)
    with pytest.warns(UserWarning, match="bucket/tree/a: not downloaded"):
        get(fs, ["a", "A/b", "another"], target)
    assert contents(target) == {"A/b": b"A/b", "another": b"another"}


@pytest.mark.skipif(os.name == "nt", reason="has such folders of its own")
def test_the_command_line_refuses_an_object_that_would_be_a_folder(
    fake: FakeS3, server: ScriptedServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(fake, "a", "A/b", "another")
    FoldingFolder(target, monkeypatch)
    with pytest.raises(ValueError, match="a file and a folder"):
        command_line(filesystem(server.url), ["a", "A/b"], target)
    assert_nothing_moved(server, target)


@pytest.mark.skipif(os.name == "nt", reason="has such folders of its own")
def test_what_is_only_in_one_folder_of_two_names_is_got(
    fake: FakeS3, server: ScriptedServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(fake, "Folder/x", "folder/y")
    FoldingFolder(target, monkeypatch)
    get_tree(filesystem(server.url), [], target)
    assert contents(target) == {"Folder/x": b"Folder/x", "Folder/y": b"folder/y"}


@pytest.mark.parametrize("get", [get_tree, get_lists])
def test_a_folder_that_tells_such_names_apart_gets_both(
    fake: FakeS3, server: ScriptedServer, target: Path, get: Getting
) -> None:
    if local_names.is_one_name(str(target), "a", "A"):
        pytest.skip("this one does not")
    names = [name for pair in MEETING[:-1] for name in pair]
    put(fake, *names)
    get(filesystem(server.url), names, target)
    assert contents(target) == {name: name.encode() for name in names}


def test_a_folder_is_only_asked_where_names_could_meet(
    fake: FakeS3, server: ScriptedServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(local_names, "is_one_name", lambda *names: asked.append(names))
    put(fake, "a", "b/c", "b/d", "é")
    get_tree(filesystem(server.url), [], target)
    assert len(contents(target)) == 4
    assert asked == []


def test_a_folder_where_nothing_can_be_made_is_no_reason_to_refuse(target: Path) -> None:
    (target / "file").touch()
    assert not local_names.is_one_name(str(target), "x" * 300, "X" * 300)
    assert not local_names.is_one_name(str(target / "not" / "there"), "a", "b")
    assert [path.name for path in target.iterdir()] == ["file"]


# --- names that Windows refuses, or takes for something else ---


@pytest.mark.parametrize("name", ON_WINDOWS)
@pytest.mark.parametrize("get", [get_tree, get_lists, get_file, command_line])
def test_names_that_windows_refuses(
    fake: FakeS3,
    server: ScriptedServer,
    target: Path,
    name: str,
    get: Getting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "\\" in name and get in (get_lists, get_file):
        pytest.skip("what a user names may have folders that are parted by backslashes")
    put(fake, name, "fine")
    monkeypatch.setattr(local_files, "WINDOWS", True)
    with pytest.raises(ValueError) as caught:
        get(filesystem(server.url), [name], target)
    named = name.split("/")[0]
    assert named in str(caught.value) or repr(named)[1:-1] in str(caught.value)
    assert "Windows" in str(caught.value)
    assert_nothing_moved(server, target)


@pytest.mark.parametrize("get", [get_tree, get_lists, get_file, command_line])
def test_names_that_windows_takes(
    fake: FakeS3, server: ScriptedServer, target: Path, get: Getting, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(fake, *FINE)
    monkeypatch.setattr(local_files, "WINDOWS", True)
    get(filesystem(server.url), FINE, target)


@pytest.mark.parametrize(
    "path", [r"C:\x", "C:/x/y", "c:x", r"\\server\share\x", r"..\x", r"\\?\C:\a:b", "~/x"]
)
def test_drives_and_folders_are_no_part_of_a_name(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_files, "WINDOWS", True)
    assert local_names.refusal_of_path(path) == ""


@pytest.mark.parametrize("name", ON_WINDOWS[:-3])
def test_other_systems_take_them(fake: FakeS3, server: ScriptedServer, target: Path, name: str) -> None:
    if os.name == "nt":
        pytest.skip("this one does not")
    put(fake, name)
    get_tree(filesystem(server.url), [], target)
    assert contents(target) == {name: name.encode()}


_IN_ANOTHER_LOCALE = """
import os, sys
from tests.opening import filesystem
fs = filesystem(sys.argv[1])
for get in (
    lambda: fs.get("bucket/tree", sys.argv[2], recursive=True),
    lambda: fs.get_file("bucket/tree/\\xfc", os.path.join(sys.argv[2], "\\xfc")),
):
    try:
        get()
    except UnicodeEncodeError:
        print("of a codec")
    except ValueError as error:
        print(ascii(str(error)))
print(os.listdir(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are always Unicode here")
def test_a_name_that_the_locale_has_no_letters_for_is_named(
    fake: FakeS3, server: ScriptedServer, target: Path
) -> None:
    put(fake, "\xfc", "fine")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", _IN_ANOTHER_LOCALE, server.url, str(target)]
    child = subprocess.run(command, env={**os.environ, **locale}, capture_output=True, text=True, timeout=120)
    tree, one, left = child.stdout.splitlines()
    for told in (tree, one):
        assert r"bucket/tree/\xfc" in told and "PYTHONUTF8=1" in told, child
    assert left == "[]"


@pytest.mark.skipif(os.name == "nt", reason="it has a rule of its own")
def test_a_key_with_a_nul_is_no_file(fake: FakeS3, server: ScriptedServer, target: Path) -> None:
    put(fake, "a\0b", "fine")
    with pytest.raises(ValueError, match="no file has a NUL in its name"):
        filesystem(server.url).get_file("bucket/tree/a\0b", str(target / "a\0b"))
    assert_nothing_moved(server, target)
