"""What a request carries: memory, or a slice of a file that is read as it is sent."""

from pathlib import Path

import pytest

from fsspec_guarded_s3._values.bodies import CHUNK, FileSlice, body_chunks, body_size
from fsspec_guarded_s3._values.checksums import body_crc
from fsspec_guarded_s3.errors import FileChangedError
from tests.data import period_free

DATA = period_free(2 * CHUNK + 3)
SLICES = [(0, 0), (0, 1), (0, CHUNK), (1, CHUNK + 1), (CHUNK - 1, 2 * CHUNK + 1), (0, len(DATA)), (7, 7)]


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    return path


def whole(piece: FileSlice) -> bytes:
    """All bytes of the slice; a chunk is valid until the next one."""
    return b"".join(map(bytes, piece.chunks()))


@pytest.mark.parametrize(("start", "stop"), SLICES)
def test_slice_is_the_bytes_of_the_file_in_bounded_chunks(local: Path, start: int, stop: int) -> None:
    with local.open("rb") as file:
        piece = FileSlice(file.fileno(), start, stop)
        chunks = [bytes(chunk) for chunk in piece.chunks()]
        assert b"".join(chunks) == DATA[start:stop]
        assert body_size(piece) == stop - start
        assert all(0 < len(chunk) <= CHUNK for chunk in chunks)


def test_slice_can_be_read_again_from_its_start(local: Path) -> None:
    """A request may have to be repeated; the position of the file does not matter and does not move."""
    with local.open("rb") as file:
        file.seek(11)
        piece = FileSlice(file.fileno(), 5, 50)
        half_read = piece.chunks()
        next(half_read)
        assert whole(piece) == whole(piece) == DATA[5:50]
        assert file.tell() == 11


def test_slices_of_one_file_can_be_read_by_turns(local: Path) -> None:
    with local.open("rb") as file:
        one = FileSlice(file.fileno(), 0, CHUNK + 1).chunks()
        other = FileSlice(file.fileno(), CHUNK, len(DATA)).chunks()
        first = bytes(next(one))
        second = bytes(next(other))
        assert first + bytes(next(one)) == DATA[: CHUNK + 1]
        assert second + b"".join(map(bytes, other)) == DATA[CHUNK:]


def test_file_that_is_shorter_than_the_slice_is_file_changed_error(local: Path) -> None:
    with local.open("rb") as file:
        chunks = FileSlice(file.fileno(), 0, len(DATA)).chunks()
        next(chunks)
        local.write_bytes(DATA[:CHUNK])
        with pytest.raises(FileChangedError, match="shorter"):
            list(chunks)


def test_file_changed_error_is_a_value_error() -> None:
    assert issubclass(FileChangedError, ValueError)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_memory_comes_as_one_chunk_and_is_not_copied(kind: type) -> None:
    body = kind(DATA)
    (chunk,) = body_chunks(body)
    assert chunk is body
    assert body_size(body) == len(DATA)


def test_size_of_a_view_is_counted_in_bytes_not_in_items() -> None:
    assert body_size(memoryview(bytearray(16)).cast("I")) == 16


def test_empty_body_has_no_chunks(local: Path) -> None:
    with local.open("rb") as file:
        assert list(body_chunks(FileSlice(file.fileno(), 3, 3))) == []
    assert list(body_chunks(b"")) == list(body_chunks(memoryview(b""))) == []


def test_crc32_of_a_slice_is_that_of_its_bytes(local: Path) -> None:
    with local.open("rb") as file:
        for start, stop in SLICES:
            assert body_crc(FileSlice(file.fileno(), start, stop)) == body_crc(DATA[start:stop])
