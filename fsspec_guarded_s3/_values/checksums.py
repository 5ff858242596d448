"""Checksums as S3 writes them, the CRC of a whole object from those of its ranges, and MD5 where S3 has that.

CRC32 is zlib's, or isal's where it is installed, which takes a quarter of the time. CRC32C and CRC64NVME need
awscrt, XXHASH xxhash or awscrt: without these objects that have only such a checksum are not verified. A
digest (SHA, MD5, XXHASH) of a whole object cannot be made of those of its parts. So an upload in parts has a
COMPOSITE one, and a download is verified by it where its bytes arrive in order.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple, Protocol

from .._forks import importing
from ..errors import ChecksumMismatchError
from .bodies import Buffer, RequestBody, body_chunks


class _Algorithm(NamedTuple):
    update: Callable[[Buffer, int], int]
    polynomial: int  # reflected
    bits: int


@cache
def _found(name: str) -> _Algorithm | None:
    if name in DIGESTS:
        return None
    with importing():
        if name == "crc32":
            try:
                from isal.isal_zlib import crc32
            except ImportError:
                from zlib import crc32
            return _Algorithm(crc32, 0xEDB88320, 32)
        try:
            from awscrt import checksums
        except ImportError:
            return None
    if name == "crc32c":
        return _Algorithm(checksums.crc32c, 0x82F63B78, 32)
    return _Algorithm(checksums.crc64nvme, 0x9A6C9329AC4BC9B5, 64) if name == "crc64nvme" else None


_PIECE = 2**20  # bytes


class _Hash(Protocol):
    def update(self, data: Any, /) -> object: ...

    def digest(self) -> bytes: ...


class _CrtsHash(Protocol):
    def update(self, data: bytes, /) -> object: ...

    def finalize(self) -> bytes: ...


class _CrtHash:
    """A hash of awscrt by hashlib's names. It takes bytes alone, so pieces of other buffers are copied."""

    def __init__(self, crt: _CrtsHash) -> None:
        self._crt = crt

    def update(self, data: Buffer, /) -> None:
        if isinstance(data, bytes):
            self._crt.update(data)
            return
        with memoryview(data) as view, view.cast("B") as flat:
            for start in range(0, flat.nbytes, _PIECE):
                self._crt.update(bytes(flat[start : start + _PIECE]))

    def digest(self) -> bytes:
        return self._crt.finalize()


# The digests that S3 has, by the name in their header, in bits.
DIGESTS = {
    "sha256": 256,
    "sha1": 160,
    "sha512": 512,
    "md5": 128,
    "xxhash64": 64,
    "xxhash3": 64,
    "xxhash128": 128,
}
_XXHASH = {"xxhash64": "xxh64", "xxhash3": "xxh3_64", "xxhash128": "xxh3_128"}  # names of the package xxhash
_XXHASH_CRT = {"xxhash64": "new_xxhash64", "xxhash3": "new_xxhash3_64", "xxhash128": "new_xxhash3_128"}


@cache
def _hash(name: str) -> Callable[[], _Hash] | None:
    """How a hash begins; None where what it needs is not installed, and for what is no digest."""
    if name not in DIGESTS:
        return None
    if name not in _XXHASH:
        return partial(hashlib.new, name, usedforsecurity=False)
    with importing():
        try:
            import xxhash

            found: Callable[[], _Hash] = getattr(xxhash, _XXHASH[name])
            return found
        except ImportError:
            pass
        try:
            from awscrt.checksums import XXHash
        except ImportError:  # or older than 0.31
            return None
    begin = getattr(XXHash, _XXHASH_CRT[name])
    return lambda: _CrtHash(begin())


def is_digest(name: str) -> bool:
    """Whether `x-amz-checksum-<name>` is a digest, and no CRC, of which that of a whole can be made."""
    return name in DIGESTS


def is_at_hand(name: str) -> bool:
    """Whether the algorithm of the header `x-amz-checksum-<name>` is installed."""
    return _found(name) is not None or _hash(name) is not None


def algorithm_of(name: str) -> _Algorithm:
    """The algorithm of the header `x-amz-checksum-<name>`, which `is_at_hand`; else KeyError."""
    found = _found(name)
    if found is None:
        raise KeyError(name)
    return found


class Crc(NamedTuple):
    """A CRC or a digest as a number, and by which algorithm: the lower-case name that S3's header has."""

    algorithm: str
    value: int

    def text(self) -> str:
        """The value in base64, as S3's headers have it."""
        bits = DIGESTS.get(self.algorithm) or algorithm_of(self.algorithm).bits
        return encoded(self.value, bits)

    def headers(self) -> dict[str, str]:
        """The header that carries it."""
        return {f"x-amz-checksum-{self.algorithm}": self.text()}


def body_crc(body: RequestBody, algorithm: str = "crc32") -> Crc:
    """The CRC, or the digest, of what a request carries. KeyError for an algorithm that is not installed."""
    if is_digest(algorithm):
        begin = _hash(algorithm)
        if begin is None:
            raise KeyError(algorithm)
        digest = begin()
        for chunk in body_chunks(body):
            digest.update(chunk)
        return Crc(algorithm, int.from_bytes(digest.digest(), "big"))
    update, crc = algorithm_of(algorithm).update, 0
    for chunk in body_chunks(body):
        crc = update(chunk, crc)
    return Crc(algorithm, crc)


def body_md5(body: RequestBody) -> bytes:
    """The MD5 of what a request carries: for stores whose ETags are MD5s, and for Content-MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in body_chunks(body):
        digest.update(chunk)
    return digest.digest()


def md5_header(body: RequestBody) -> dict[str, str]:
    """Content-MD5 (RFC 1864) of what a request carries; S3 compares it."""
    return {"content-md5": base64.b64encode(body_md5(body)).decode()}


def encoded(crc: int, bits: int = 32) -> str:
    """A CRC as S3's headers carry it: big-endian, base64."""
    return base64.b64encode(crc.to_bytes(bits // 8, "big")).decode()


def combined_crc(parts: list[tuple[Crc, int]]) -> Crc | None:
    """The CRC of bytes whose consecutive parts have these (CRC, length).

    None for different algorithms, and for digests.
    """
    names = {crc.algorithm for crc, _ in parts}
    if len(names) != 1 or names & DIGESTS.keys():
        return None
    (name,) = names
    combined = 0
    for crc, length in parts:
        combined = combine(combined, crc.value, length, name)
    return Crc(name, combined)


def combine(first: int, second: int, length: int, algorithm: str) -> int:
    """The CRC of two byte strings in a row, the second of `length` bytes, from the CRCs of both.

    Appending zeros to a string multiplies its CRC by a power of x modulo the polynomial: a matrix of bits.
    """
    if not first:
        return second
    _, polynomial, bits = algorithm_of(algorithm)
    return _times(_zeros(length, polynomial, bits), first) ^ second


def _times(matrix: tuple[int, ...], vector: int) -> int:
    total = 0
    for row in matrix:
        if not vector:
            break
        if vector & 1:
            total ^= row
        vector >>= 1
    return total


@lru_cache(maxsize=64)
def _zeros(length: int, polynomial: int, bits: int) -> tuple[int, ...]:
    """The matrix that appends `length` zero bytes, by squaring the one that appends a zero bit."""
    power = (polynomial, *(1 << n for n in range(bits - 1)))
    for _ in range(3):  # one bit -> eight
        power = tuple(_times(power, row) for row in power)
    result = tuple(1 << n for n in range(bits))
    while length:
        if length & 1:
            result = tuple(_times(power, row) for row in result)
        power = tuple(_times(power, row) for row in power)
        length >>= 1
    return result


class ObjectChecksum:
    """Takes the bytes of one object as they arrive, in several threads, and compares at the end.

    The bytes of each range come in order; ranges come in any order.
    """

    def __init__(self, algorithm: str, stored: str) -> None:
        self._algorithm = algorithm
        self._stored = stored
        self._update, _, self._bits = algorithm_of(algorithm)
        self._runs: dict[int, tuple[int, int]] = {}  # where a run ends: (where it began, its CRC)

    def add(self, position: int, data: memoryview) -> None:
        """`data` arrived for `position`."""
        began, crc = self._runs.pop(position, (position, 0))
        self._runs[position + data.nbytes] = (began, self._update(data, crc))

    def verify(self) -> None:
        """Raises ChecksumMismatchError, which names both values."""
        combined = 0
        for stop, (began, crc) in sorted(self._runs.items()):
            combined = combine(combined, crc, stop - began, self._algorithm)
        _compare(self._algorithm, encoded(combined, self._bits), self._stored)


class ObjectDigest:
    """Takes the bytes of one object as they arrive, and compares at the end, if they came in order.

    Where ranges come in any order, nothing is compared.
    """

    def __init__(self, algorithm: str, stored: str) -> None:
        begin = _hash(algorithm)
        if begin is None:
            raise KeyError(algorithm)
        self._algorithm = algorithm
        self._stored = stored
        self._hash = begin()
        self._next: int | None = 0  # None: a range came out of order

    def add(self, position: int, data: memoryview) -> None:
        """`data` arrived for `position`. No lock: of several threads one at most has the next position."""
        if position != self._next:
            self._next = None
            return
        self._hash.update(data)
        if self._next is not None:  # no other thread came meanwhile
            self._next = position + data.nbytes

    def verify(self) -> None:
        """Raises ChecksumMismatchError, which names both values."""
        if self._next is not None:
            _compare(self._algorithm, base64.b64encode(self._hash.digest()).decode(), self._stored)


def check_for(checksum: tuple[str, str] | None) -> ObjectChecksum | ObjectDigest | None:
    """The check against what the store holds, or None when there is nothing to compare with."""
    if not checksum or not is_at_hand(checksum[0]):
        return None
    return ObjectDigest(*checksum) if is_digest(checksum[0]) else ObjectChecksum(*checksum)


def _compare(algorithm: str, found: str, stored: str) -> None:
    if found != stored:
        raise ChecksumMismatchError(
            f"the bytes that arrived have {algorithm} {found}, the stored object has {stored}"
        )
