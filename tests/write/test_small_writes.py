"""Small writes are gathered, and nobody sees it but by the clock."""

import array
import csv
import gzip
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._write.small_writes import MANY, SMALL
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import ScriptedServer, s3_error

PATH = "bucket/key"
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}


@pytest.fixture
def fake() -> FakeS3:
    return FakeS3("bucket")


@pytest.fixture
def fs(fake: FakeS3) -> Iterator[GuardedS3FileSystem]:
    with ScriptedServer(handler=fake) as server:
        yield filesystem(server.url, **PARTS)


def body(fake: FakeS3) -> bytes:
    return fake.objects["bucket", "key"].body


class Unseekable(io.BytesIO):
    """Which gets no byte order mark of UTF-16 from Python."""

    def seekable(self) -> bool:
        return False


SIZES = [1, 0, 7, SMALL - 1, SMALL, SMALL + 1, 3, 2 * SMALL, 0, 5]


@pytest.mark.parametrize("times", [1, MANY // 4, MANY])
def test_writes_of_all_sizes_come_in_their_order(times: int, fs: GuardedS3FileSystem, fake: FakeS3) -> None:
    pieces = [bytes([65 + at]) * size for at, size in enumerate(SIZES)] * times
    told = 0
    with fs.open(PATH, "wb") as file:
        for piece in pieces:
            assert file.write(piece) == len(piece)
            told += len(piece)
            assert file.tell() == told
    assert body(fake) == b"".join(pieces)


@pytest.mark.parametrize("times", [1, MANY // 4])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("newline", [None, "", "\n", "\r\n"])
def test_text_is_what_a_local_file_has(
    newline: str | None, encoding: str, times: int, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    pieces = [("a\n\u00e9\r\n" * SMALL)[:size] for size in SIZES] * times
    local = Unseekable()
    wrapper = io.TextIOWrapper(local, encoding=encoding, newline=newline)
    with fs.open(PATH, "w", encoding=encoding, newline=newline) as file:
        for piece in pieces:
            assert file.write(piece) == wrapper.write(piece)
    wrapper.flush()
    assert body(fake) == local.getvalue()


def test_what_is_written_to_the_file_below_comes_where_it_was_written(
    fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    with fs.open(PATH, "w") as file:
        file.write("1")
        file.flush()
        file.buffer.write(b"2")
        file.write("3")
        file.reconfigure(newline="\r\n")
        file.write("\n")
    assert body(fake) == b"123\r\n"


def test_a_file_that_is_detached_has_all(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
    file = fs.open(PATH, "w")
    file.write("1")
    below = file.detach()
    with pytest.raises(ValueError, match="detached"):
        file.write("2")
    below.write(b"3")
    below.close()
    assert body(fake) == b"13"


@pytest.mark.parametrize("errors", ["strict", "replace"])
def test_what_cannot_be_encoded_is_told_where_it_is_written(
    errors: str, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    with fs.open(PATH, "w", encoding="ascii", errors=errors) as file:
        file.write("1")
        if errors == "strict":
            with pytest.raises(UnicodeEncodeError):
                file.write("\u00e9")
        else:
            file.write("\u00e9")
        file.write("2")
    assert body(fake) == (b"12" if errors == "strict" else b"1?2")


def test_a_wrong_type_is_told_where_it_is_written(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
    with fs.open(PATH, "wb") as file, pytest.raises(TypeError):
        file.write("text")  # type: ignore[arg-type]
    with fs.open(PATH, "w") as text, pytest.raises(TypeError):
        text.write(b"bytes")


def test_a_buffer_may_be_used_again_behind_its_write(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
    buffer = bytearray(b"one")
    with fs.open(PATH, "wb") as file:
        file.write(buffer)
        buffer[:] = b"two"
        file.write(memoryview(buffer))
        assert file.write(array.array("i", [1, 2])) == 8
        assert file.write(memoryview(b"")) == 0
    assert body(fake) == b"onetwo" + array.array("i", [1, 2]).tobytes()


ENDS: dict[str, Callable[[Any], object]] = {
    "close": lambda file: file.close(),
    "commit": lambda file: file.commit(),
    "discard": lambda file: file.discard(),
}


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("mode", ["w", "wb"])
@pytest.mark.parametrize("end", ENDS)
def test_a_file_that_has_ended_takes_nothing_small(
    end: str, mode: str, compression: str | None, fs: GuardedS3FileSystem
) -> None:
    piece: Any = "1" if mode == "w" else b"1"
    file: Any = fs.open(PATH, mode, compression=compression)
    file.write(piece)
    ENDS[end](file)
    with pytest.raises(ValueError, match="closed"):
        file.write(piece)


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_after_an_error_of_a_part_small_writes_fail_and_nothing_is_published(
    mode: str, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    piece: Any = "1" * 4000 if mode == "w" else b"1" * 4000
    fake.fault = lambda request, _: s3_error(403, "AccessDenied") if request.method == "PUT" else None
    file: Any = fs.open(PATH, mode)
    with pytest.raises(PermissionError):
        for _ in range(100 * MIB // 4000):
            file.write(piece)
    with pytest.raises(PermissionError):
        for _ in range(MANY + 1):
            file.write(piece)
    with pytest.raises(PermissionError):
        file.close()
    assert not fake.objects
    assert not fake.uploads


def test_an_append_of_small_pieces_comes_behind_what_is_there(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
    fs.pipe_file(PATH, b"old")
    with fs.open(PATH, "ab") as file:
        for _ in range(3):
            file.write(b"+1")
        assert file.tell() == 9
    assert body(fake) == b"old+1+1+1"
    with fs.open(PATH, "a") as text:
        text.write("+2")
    assert body(fake) == b"old+1+1+1+2"


@pytest.mark.parametrize("text", [False, True], ids=["bytes", "text"])
def test_small_writes_to_a_compressor_come_in_their_order(
    text: bool, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    pieces = [bytes([65 + at]) * size for at, size in enumerate(SIZES)] * (MANY // 4)
    with fs.open(PATH, "w" if text else "wb", compression="gzip") as file:
        for piece in pieces:
            file.write(piece.decode() if text else piece)
    assert gzip.decompress(body(fake)) == b"".join(pieces)


def test_an_archive_asks_where_it_is(fs: GuardedS3FileSystem, fake: FakeS3) -> None:
    with fs.open(PATH, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        for number in range(2 * MANY):
            archive.writestr(str(number), str(number) * 3)
    with zipfile.ZipFile(io.BytesIO(body(fake))) as archive:
        assert archive.testzip() is None
        assert archive.read(str(MANY)) == str(MANY).encode() * 3


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_an_exception_behind_small_writes_publishes_nothing(
    compression: str | None, fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    for mode in ("w", "wb"):
        piece: Any = "1" if mode == "w" else b"1"
        with pytest.raises(KeyError), fs.open(PATH, mode, compression=compression) as file:
            file.write(piece)
            raise KeyError
    assert not fake.objects


PROGRAMS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "csv": ("w", lambda file: csv.writer(file).writerows([[n, "\u00e9", 1.5] for n in range(3000)])),
    "json": ("w", lambda file: json.dump([{"n": n, "\u00e9": [n] * 3} for n in range(500)], file)),
    "print": ("w", lambda file: [print(n, "a", file=file) for n in range(2000)]),
    "pickle": ("wb", lambda file: pickle.dump([str(n) for n in range(5000)], file)),
    "lines": ("wb", lambda file: file.writelines(b"%d\n" % n for n in range(5000))),
}


@pytest.mark.parametrize(("mode", "program"), PROGRAMS.values(), ids=PROGRAMS)
def test_programs_write_what_they_write_to_a_local_file(
    mode: str, program: Callable[[Any], object], fs: GuardedS3FileSystem, fake: FakeS3
) -> None:
    local = io.BytesIO()
    wrapped: Any = io.TextIOWrapper(local, encoding="utf-8", newline="") if mode == "w" else local
    program(wrapped)
    wrapped.flush()
    options = {"encoding": "utf-8", "newline": ""} if mode == "w" else {}
    with fs.open(PATH, mode, **options) as file:
        program(file)
    assert body(fake) == local.getvalue()
