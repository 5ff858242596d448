"""`seek` in a file that is only written: it moves to a local file, or is refused and nothing is published."""

from __future__ import annotations

import io
import logging
import tempfile
import wave
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectExistsError
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer

MIB = 2**20


@pytest.fixture
def fake() -> FakeS3:
    return FakeS3("bucket")


@pytest.fixture
def server(fake: FakeS3) -> Iterator[ScriptedServer]:
    with ScriptedServer(handler=fake) as server:
        yield server


@pytest.fixture
def fs(server: ScriptedServer) -> GuardedS3FileSystem:
    return filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB)


def body(fake: FakeS3, key: str = "key") -> bytes:
    return fake.objects["bucket", key].body


STEPS = st.one_of(
    st.tuples(st.just("write"), st.binary(min_size=1, max_size=300)),
    st.tuples(st.just("seek"), st.integers(0, 500)),
    st.tuples(st.just("seek from the end"), st.integers(-50, 50)),
    st.tuples(st.just("seek from here"), st.integers(0, 50)),
    st.tuples(st.just("truncate"), st.one_of(st.none(), st.integers(0, 500))),
    st.tuples(st.just("tell"), st.none()),
)


def do(file: Any, step: tuple[str, Any]) -> object:
    name, argument = step
    if name == "seek from the end":
        return file.seek(argument, io.SEEK_END)
    if name == "seek from here":
        return file.seek(argument, io.SEEK_CUR)
    return getattr(file, name)(*([] if name == "tell" else [argument]))


@pytest.mark.parametrize("mode", ["wb", "xb"])
@given(first=st.binary(min_size=1, max_size=300), steps=st.lists(STEPS, max_size=25))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_does_what_a_local_file_does(
    fake: FakeS3, fs: GuardedS3FileSystem, mode: str, first: bytes, steps: list[tuple[str, Any]]
) -> None:
    fake.objects.pop(("bucket", "key"), None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key"
        with path.open(mode, buffering=0) as local, fs.open("bucket/key", mode) as file:
            assert file.write(first) == local.write(first)
            for step in steps:
                if step[0] == "seek from the end" and path.stat().st_size + step[1] < 0:
                    with pytest.raises(ValueError, match="before the beginning"):
                        do(file, step)
                    continue
                assert do(file, step) == do(local, step), step
                assert file.tell() == local.tell()
        assert body(fake) == path.read_bytes()


def test_what_has_moved_is_published_in_parts_too(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/key", "wb") as file:
        file.write(b"head")
        assert not file.seekable()
        file.seek(0)
        assert file.seekable() and not file.readable()
        file.write(b"HEAD")
        file.write(bytes(11 * MIB))
        file.seek(1)
        file.write(b"-")
    assert body(fake) == b"H-AD" + bytes(11 * MIB)
    assert fake.objects["bucket", "key"].etag.strip('"').endswith("-3")
    with pytest.raises(io.UnsupportedOperation), fs.open("bucket/key", "wb") as file:
        file.write(b"head")
        file.seek(0)
        file.read()


@pytest.mark.parametrize("asks", [lambda file: file.seek(0), lambda file: file.seek(0, 2)])
def test_before_the_first_byte_it_is_refused_and_spoils_nothing(
    fake: FakeS3, fs: GuardedS3FileSystem, asks: Callable[[Any], object]
) -> None:
    """zipfile and others ask so, and stream where they may not seek: an archive needs no local disk then."""
    with fs.open("bucket/key", "wb") as file:
        with pytest.raises(io.UnsupportedOperation, match=r"mode 'w\+b'"):
            asks(file)
        file.write(b"goes on")
    assert body(fake) == b"goes on"


def test_archives_are_sent_while_they_are_written(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/key", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        with archive.open("large", "w") as member:
            for _ in range(12):
                member.write(bytes(MIB))
        assert fake.uploads
        archive.writestr("small", "1")
    with zipfile.ZipFile(io.BytesIO(body(fake))) as archive:
        assert archive.namelist() == ["large", "small"]
        assert archive.testzip() is None


@pytest.mark.parametrize("change", [lambda file: file.seek(4), lambda file: file.truncate(4)])
@pytest.mark.parametrize("ends", ["close", "with"])
def test_after_its_beginning_was_sent_it_is_refused_and_nothing_is_published(
    fake: FakeS3, fs: GuardedS3FileSystem, change: Callable[[Any], object], ends: str
) -> None:
    """Also where a library swallows the error, as those do that are called from C, and goes on."""
    fake.put("bucket", "key", b"old")
    file = fs.open("bucket/key", "wb")
    file.write(bytes(6 * MIB))
    with pytest.raises(io.UnsupportedOperation, match=r"has been sent.*'w\+b'"):
        change(file)
    for call in (lambda: file.write(b"length"), lambda: file.seek(0)):
        with pytest.raises(io.UnsupportedOperation):
            call()
    with pytest.raises(io.UnsupportedOperation):
        if ends == "with":
            with file:
                pass
        file.close()
    fs.close()
    assert file.closed and body(fake) == b"old" and not fake.uploads


def test_a_seek_to_where_it_is_spoils_nothing(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/key", "wb") as file:
        file.write(bytes(6 * MIB))
        with pytest.raises(io.UnsupportedOperation):
            file.seek(0, io.SEEK_END)
        file.write(b"end")
    assert body(fake) == bytes(6 * MIB) + b"end"


@pytest.mark.parametrize("mode", ["w", "wt", "xt"])
def test_text_says_how_to_seek(fake: FakeS3, fs: GuardedS3FileSystem, mode: str) -> None:
    plus = mode.replace("t", "") + "+"
    with fs.open("bucket/key", mode) as file:
        file.write("text")
        with pytest.raises(io.UnsupportedOperation, match=rf"open it with mode '{plus[0]}\+'"):
            file.seek(0)
        file.write("more")
    assert body(fake) == b"textmore"
    if plus == "w+":
        with fs.open("bucket/key", plus) as file:
            file.write("text")
            file.seek(0)
            file.write("TEXT")
        assert body(fake) == b"TEXT"


def test_who_appends_does_not_seek(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    """All is written at the end, as in a local file, so nothing is spoilt."""
    fake.put("bucket", "key", b"old")
    with fs.open("bucket/key", "ab") as file:
        file.write(b"new")
        with pytest.raises(io.UnsupportedOperation, match=r"'a\+b'"):
            file.seek(0)
        file.write(b"er")
    assert body(fake) == b"oldnewer"


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda file: file.seek(-1), ValueError, "offset"),
        (lambda file: file.seek(-1), OSError, "offset"),
        (lambda file: file.seek(0, 3), ValueError, "whence"),
        (lambda file: file.seek("0"), TypeError, "offset"),
        (lambda file: file.truncate(-1), ValueError, "size"),
    ],
)
def test_what_is_wrong_is_told_and_spoils_nothing(
    fake: FakeS3, fs: GuardedS3FileSystem, call: Callable[[Any], object], kind: type[Exception], message: str
) -> None:
    with fs.open("bucket/key", "wb") as file:
        file.write(b"data")
        with pytest.raises(kind, match=message):
            call(file)
    assert body(fake) == b"data"


class Broken(Exception):
    pass


def test_its_guards_stay(fake: FakeS3, fs: GuardedS3FileSystem, caplog: pytest.LogCaptureFixture) -> None:
    def write(file: Any) -> None:
        file.write(b"data")
        file.seek(0)
        file.write(b"DATA")

    with pytest.raises(Broken), fs.open("bucket/key", "wb") as file:
        write(file)
        raise Broken
    file = fs.open("bucket/key", "wb")
    write(file)
    del file
    assert "what was written is lost" in caplog.text
    assert not fake.objects
    with pytest.raises(Broken), fs.transaction:
        with fs.open("bucket/key", "wb") as file:
            write(file)
        raise Broken
    assert not fake.objects
    with pytest.raises(ObjectExistsError), fs.open("bucket/key", "xb") as file:
        write(file)
        fake.put("bucket", "key", b"rival")
    assert body(fake) == b"rival"
    with fs.transaction, fs.open("bucket/key", "wb") as file:
        write(file)
    assert body(fake) == b"DATA"
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ValueError, match="closed"):
        file.seek(0)


def test_sounds_and_tables(fake: FakeS3, fs: GuardedS3FileSystem) -> None:
    """They go back to their beginning at the end."""
    with fs.open("bucket/key", "wb") as file, wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        for _ in range(3):
            sound.writeframes(bytes(1000))
    with wave.open(io.BytesIO(body(fake))) as back:
        assert back.getnframes() == 1500
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": range(1000)})
    frame.to_stata("gs3://bucket/t.dta", version=118, write_index=False, storage_options=fs.storage_options)
    assert pd.read_stata(io.BytesIO(body(fake, "t.dta")))["a"].sum() == 499500
