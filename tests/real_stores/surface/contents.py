"""Bytes of all sizes, and their checksums."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable

from botocore.exceptions import ClientError

from tests.data import period_free
from tests.real_stores.checking import No, check, code_of
from tests.real_stores.place import IN_PARTS, MIB, Place, Spot, folder

PART = 5 * MIB


def _round_trip(place: Place, size: int) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    data = period_free(size, seed=size)
    fs.pipe_file(spot.path("piped"), data)
    assert fs.cat_file(spot.path("piped")) == data, "cat_file returns other bytes"
    with fs.open(spot.path("written"), "wb") as writer:
        writer.write(data)
    with fs.open(spot.path("written"), "rb") as reader:
        assert reader.read() == data, "a reader returns other bytes"
    with folder() as here:
        (here / "up").write_bytes(data)
        fs.put_file(str(here / "up"), spot.path("put"))
        fs.get_file(spot.path("put"), str(here / "down"))
        assert (here / "down").read_bytes() == data, "get_file writes other bytes"
    assert spot.body("put") == data, "boto3 reads other bytes"
    assert fs.size(spot.path("piped")) == size, "another size"


@check("sizes 0, 1 and 10,000 bytes", quick=True)
def small_sizes(place: Place) -> None:
    for size in (0, 1, 10_000):
        _round_trip(place, size)


@check("sizes of one part less a byte, one part, and a byte more", quick=True)
def sizes_about_a_part(place: Place) -> None:
    for size in (PART - 1, PART, PART + 1):
        _round_trip(place, size)


@check("64 MiB, in 13 parts")
def large_size(place: Place) -> None:
    _round_trip(place, 64 * MIB)


@check("slices, `cat_ranges`, head and tail", quick=True)
def slices(place: Place) -> None:
    spot, data = place.fresh(), period_free(3 * MIB, seed=3)
    fs, path = place.fs(range_size=MIB), spot.path("a")
    fs.pipe_file(path, data)
    bounds = [(0, 1), (1, 2 * MIB), (-1, None), (-2 * MIB, None), (MIB, MIB), (3 * MIB - 1, 4 * MIB)]
    for start, end in bounds:
        assert fs.cat_file(path, start, end) == data[start:end], f"the slice {start}:{end} is wrong"
    starts = list(range(0, 3 * MIB, 100_000))
    wanted = [data[start : start + 10] for start in starts]
    assert fs.cat_ranges([path] * len(starts), starts, [s + 10 for s in starts]) == wanted
    assert (fs.head(path, 7), fs.tail(path, 7)) == (data[:7], data[-7:])


@check("slices into buffers of yours: `cat_ranges_into`, `readinto`", quick=True)
def into_buffers(place: Place) -> None:
    spot, data = place.fresh(), period_free(3 * MIB, seed=13)
    fs, path, other = place.fs(range_size=MIB), spot.path("a"), spot.path("b")
    fs.pipe({path: data, other: data[::-1]})
    starts, ends = [0, 100_000, 2 * MIB, -10], [10, 2 * MIB, 4 * MIB, None]
    buffers = [bytearray(2 * MIB) for _ in range(8)]
    lengths = fs.cat_ranges_into([path] * 4 + [other] * 4, starts * 2, ends * 2, buffers)
    for number, (buffer, length) in enumerate(zip(buffers, lengths, strict=True)):
        whole = data if number < 4 else data[::-1]
        wanted = whole[starts[number % 4] : ends[number % 4]]
        assert bytes(buffer[:length]) == wanted, f"slice {number} has other bytes"
    with fs.open(path, "rb") as file:
        file.seek(MIB + 1)
        buffer = bytearray(MIB)
        assert file.readinto(buffer) == MIB and buffer == data[MIB + 1 : 2 * MIB + 1], "readinto: other bytes"


@check("an object that is read by 1 MiB, by 3,000 bytes, and by lines")
def in_pieces(place: Place) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    data, path = period_free(24 * MIB, seed=14), spot.path("a")
    fs.pipe_file(path, data)
    for length in (MIB, 3_000):
        with fs.open(path, "rb") as file:
            found = list(iter(lambda: file.read(length), b""))  # noqa: B023
        assert b"".join(found) == data, f"by {length}: other bytes"
        assert {len(piece) for piece in found[:-1]} == {length}, f"by {length}: short pieces"
    with fs.open(path, "rb") as file:
        assert b"".join(file) == data, "by lines: other bytes"


def _algorithm(name: str) -> Callable[[Place], str | None]:
    def run(place: Place) -> str | None:
        fs = place.fs(**IN_PARTS, s3_additional_kwargs={"ChecksumAlgorithm": name})
        spot, data = place.fresh(), period_free(PART + MIB, seed=4)
        fs.pipe_file(spot.path("small"), b"abc")
        fs.pipe_file(spot.path("parts"), data)
        assert fs.cat_file(spot.path("small")) == b"abc", "other bytes"
        assert fs.cat_file(spot.path("parts")) == data, "other bytes"
        kept = [_kept(spot, stored, name) for stored in ("small", "parts")]
        if name == "CRC32" and kept[0] and kept[0] != crc32(b"abc"):
            raise AssertionError("the checksum that is kept is not that of the bytes")
        if not any(kept):
            raise No("taken, and not kept")
        return None if all(kept) else "kept of small objects alone"

    return run


def _kept(spot: Spot, name: str, algorithm: str) -> str:
    head = spot.client.head_object(**spot.named(name), ChecksumMode="ENABLED")
    return str(head.get(f"Checksum{algorithm}", ""))


def crc32(data: bytes) -> str:
    """The CRC32, as S3 writes it."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


for _name in ("CRC32", "CRC32C", "CRC64NVME"):
    check(f"checksums of {_name}", quick=_name == "CRC32")(_algorithm(_name))


@check("damaged bytes are refused, by their CRC32", quick=True)
def damaged(place: Place) -> str | None:
    spot = place.fresh()
    wrong, right = base64.b64encode(bytes(4)).decode(), crc32(b"abc")
    named, client = spot.named("a"), spot.client
    taken = []
    if not _is_refused(lambda: client.put_object(**named, Body=b"abc", ChecksumCRC32=wrong)):
        taken.append("PUT")
    upload = client.create_multipart_upload(**named, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")[
        "UploadId"
    ]
    part = {**named, "UploadId": upload, "PartNumber": 1, "Body": b"abc"}
    if not _is_refused(lambda: client.upload_part(**part, ChecksumCRC32=wrong)):
        taken.append("part")
    etag = client.upload_part(**part, ChecksumCRC32=right)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag, "ChecksumCRC32": right}]}
    whole = {**named, "UploadId": upload, "MultipartUpload": parts, "ChecksumType": "FULL_OBJECT"}
    if not _is_refused(lambda: client.complete_multipart_upload(**whole, ChecksumCRC32=wrong)):
        taken.append("Complete")
    if len(taken) == 3:
        raise No("taken on PUT, part and Complete")
    return f"but not on {' and '.join(taken)}" if taken else None


def _is_refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError as error:
        return not code_of(error).startswith("501")
    return False
