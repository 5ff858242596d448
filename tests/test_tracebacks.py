"""Tracebacks of our errors: the line of whoever called, a few of ours, the message."""

from __future__ import annotations

import inspect
import logging
import pickle
import pydoc
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from fsspec.callbacks import Callback

import fsspec_guarded_s3
from fsspec_guarded_s3 import GuardedS3Error, GuardedS3FileSystem
from fsspec_guarded_s3 import filesystem as public
from fsspec_guarded_s3._fs.content_reader import ContentReader
from tests import opening
from tests.fake_s3 import FakeS3
from tests.scripted_server import Answer, Request, ScriptedServer, close, s3_error
from tests.servers import reserved_port

A = "bucket/folder/a.csv"
NONE = "bucket/folder/none"
_OURS = str(Path(fsspec_guarded_s3.__file__).parent)
_RUNNERS = ("tenacity", "urllib3", "concurrent", "threading.py", "During handling")


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port at which nobody listens."""
    with reserved_port() as port:
        yield port


def _write(fs: GuardedS3FileSystem, size: int) -> None:
    with fs.open("bucket/new", "wb") as file:
        file.write(b"1" * size)


def _read_on(fs: GuardedS3FileSystem, path: str) -> None:
    with fs.open(path) as file:
        file.read()


VERBS: dict[str, Callable[[GuardedS3FileSystem, Path], object]] = {
    "open": lambda fs, d: _read_on(fs, NONE),
    "cat": lambda fs, d: fs.cat(NONE),
    "cat_file": lambda fs, d: fs.cat_file(NONE),
    "cat of two": lambda fs, d: fs.cat([NONE, f"{NONE}2"]),
    "info": lambda fs, d: fs.info(NONE),
    "ls": lambda fs, d: fs.ls(NONE),
    "walk": lambda fs, d: list(fs.walk(NONE, on_error="raise")),
    "get": lambda fs, d: fs.get(NONE, str(d / "got")),
    "get_file": lambda fs, d: fs.get_file(NONE, str(d / "got")),
    "read_text": lambda fs, d: fs.read_text(NONE),
    "cp_file": lambda fs, d: fs.cp_file(NONE, "bucket/b"),
    "mv": lambda fs, d: fs.mv(NONE, "bucket/b"),
    "rm": lambda fs, d: fs.rm(NONE),
}
WRITES: dict[str, Callable[[GuardedS3FileSystem, Path], object]] = {
    "pipe": lambda fs, d: fs.pipe("bucket/new", b"1"),
    "put_file": lambda fs, d: fs.put_file(__file__, "bucket/new"),
    "a writer": lambda fs, d: _write(fs, 1),
    "a writer of parts": lambda fs, d: _write(fs, 12_000_000),
}
# What refuses, by name, and how many lines the traceback may have beside those of the caller.
FAULTS: dict[str, tuple[Callable[[], Answer] | None, int]] = {
    "nobody listens": (None, 12),
    "a missing object": (None, 8),
    "a wrong secret": (lambda: s3_error(403, "SignatureDoesNotMatch"), 8),
    "an expired token": (lambda: s3_error(400, "ExpiredToken"), 8),
    "a connection that is cut": (close, 16),
}


@pytest.fixture
def store() -> Iterator[tuple[FakeS3, ScriptedServer]]:
    fake = FakeS3("bucket")
    fake.put("bucket", "folder/a.csv", b"1,2\n")
    with ScriptedServer(handler=fake) as server:
        yield fake, server


def _told(call: Callable[[], object]) -> tuple[GuardedS3Error, list[str]]:
    try:
        call()
    except GuardedS3Error as error:
        return error, traceback.format_exc().splitlines()
    pytest.fail("no error")


def _count(lines: list[str]) -> int:
    """Two for each frame, without those of this module, and all that is not of a frame.

    Python shows marks below a line from 3.11 on, and all lines of a statement from 3.13 on.
    """
    frames = [line for line in lines if line.startswith('  File "')]
    others = [line for line in lines if line.strip() and not line.startswith("  ")]
    return 2 * sum(not line.startswith(f'  File "{__file__}') for line in frames) + len(others)


@pytest.mark.parametrize(
    ("verb", "fault"),
    [
        (verb, fault)
        for fault in FAULTS
        for verb in (VERBS if fault == "a missing object" else VERBS | WRITES)  # a write needs none
    ],
)
def test_a_traceback_is_short(
    verb: str, fault: str, store: tuple[FakeS3, ScriptedServer], nobody: int, tmp_path: Path
) -> None:
    fake, server = store
    url = server.url
    answer, bound = FAULTS[fault]
    if fault == "nobody listens":
        url = f"http://127.0.0.1:{nobody}"
    fs = opening.filesystem(url, max_attempts=1)

    def refuse(request: Request, fake: FakeS3) -> Answer | None:
        return answer() if answer else None

    fake.fault = refuse
    error, lines = _told(lambda: (VERBS | WRITES)[verb](fs, tmp_path))
    text = "\n".join(lines)
    assert _count(lines) <= bound, text
    assert [word for word in _RUNNERS if word in text] == []
    assert sum(line.startswith(f'  File "{_OURS}') for line in lines) <= 4, text
    assert __file__ in text
    assert lines[-1].startswith(f"fsspec_guarded_s3.errors.{type(error).__name__}: ")


class _Nosy(Callback):
    """A callback of the user that asks the store, for what is not there."""

    def __init__(self, fs: GuardedS3FileSystem) -> None:
        super().__init__()
        self._fs = fs

    def relative_update(self, inc: int = 1) -> None:
        self._fs.cat_file(NONE)


def test_frames_of_the_caller_stay(store: tuple[FakeS3, ScriptedServer], tmp_path: Path) -> None:
    fs = opening.filesystem(store[1].url)
    _, lines = _told(lambda: fs.get_file(A, str(tmp_path / "got"), callback=_Nosy(fs)))
    assert any("in relative_update" in line for line in lines)


def test_what_was_being_handled_is_still_told(store: tuple[FakeS3, ScriptedServer]) -> None:
    fs = opening.filesystem(store[1].url)

    def call() -> None:
        try:
            raise KeyError("of the caller")
        except KeyError:
            fs.cat_file(NONE)

    error, lines = _told(call)
    assert isinstance(error.__context__, KeyError)
    assert any("of the caller" in line for line in lines)


def test_the_cause_is_kept_for_programs() -> None:
    fs = opening.filesystem("http://127.0.0.1:1", max_attempts=1)
    error, _ = _told(lambda: fs.cat_file(A))
    assert isinstance(error.__cause__, ConnectionRefusedError)


def test_what_the_caller_was_handling_stays_as_it_is(store: tuple[FakeS3, ScriptedServer]) -> None:
    fs = opening.filesystem(store[1].url)
    with pytest.raises(OSError) as theirs:
        try:
            urllib3.connection.HTTPConnection("127.0.0.1", 1).connect()
        except urllib3.exceptions.HTTPError as refused:
            raise OSError("theirs").with_traceback(refused.__traceback__) from None
    try:
        raise theirs.value
    except OSError as error:
        before = traceback.extract_tb(error.__traceback__)
        assert any("urllib3" in entry.filename for entry in before)
        caught, _ = _told(lambda: fs.cat_file(NONE))
        assert traceback.extract_tb(error.__traceback__) == before
    assert caught is not theirs.value


def test_at_debug_nothing_is_left_out(
    store: tuple[FakeS3, ScriptedServer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "fsspec_guarded_s3")
    _, lines = _told(lambda: opening.filesystem(store[1].url).cat_file(NONE))
    assert any("exchange.py" in line for line in lines)


def test_a_fault_of_ours_is_told_whole(
    store: tuple[FakeS3, ScriptedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, *args: Any, **kwargs: Any) -> bytes:
        return self.no_such_name  # type: ignore[no-any-return]

    monkeypatch.setattr(ContentReader, "cat_file", broken)
    with pytest.raises(AttributeError) as raised:
        opening.filesystem(store[1].url).cat_file(A)
    assert any(entry.name == "cat_file" for entry in traceback.extract_tb(raised.value.__traceback__))


@pytest.mark.parametrize("name", [*fsspec_guarded_s3.__all__, *public.__all__])
def test_public_names_show_where_they_can_be_imported_from(name: str) -> None:
    kind = getattr(fsspec_guarded_s3, name, None) or getattr(public, name)
    if not inspect.isclass(kind) or kind.__base__ is dict:  # types of rows, for type checkers alone
        return
    assert "._" not in kind.__module__
    assert pickle.loads(pickle.dumps(kind)) is kind
    assert f"class {kind.__name__}" in pydoc.plain(pydoc.render_doc(kind))


def test_verbs_keep_their_names_signatures_and_words() -> None:
    for name, verb in vars(GuardedS3FileSystem).items():
        if inspect.isfunction(verb) and not name.startswith("_"):
            assert verb.__name__ == name
            assert verb.__doc__
            assert "args" not in inspect.signature(verb).parameters
