"""SHA, MD5 and XXHASH as checksums: sent with what is written, compared where bytes arrive in order."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import ChecksumMismatchError
from fsspec_guarded_s3._values import checksums
from fsspec_guarded_s3._values.checksums import (
    DIGESTS,
    Crc,
    ObjectDigest,
    body_crc,
    check_for,
    combined_crc,
    is_at_hand,
)
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Reply, Request, ScriptedServer
from tests.single_faults import short_pauses  # noqa: F401

DATA = period_free(10_000)
LARGE = period_free(11 * MIB)
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}
AVAILABLE = [name for name in DIGESTS if is_at_hand(name)]


def digest(name: str, data: bytes) -> str:
    """By hashlib; by ours, which the next test compares, where hashlib has none."""
    if name.startswith("xxhash"):
        return body_crc(data, name).text()
    return base64.b64encode(hashlib.new(name, data, usedforsecurity=False).digest()).decode()


# Of the specification of xxHash (doc/xxhash_spec.md) and its reference implementation, for no bytes.
XX = {"xxhash64": "ef46db3751d8e999", "xxhash3": "2d06800538d394c2"}
XX["xxhash128"] = "99aa06d3014798d86001c324468d497f"


@pytest.mark.parametrize("name", XX)
def test_xxhash_is_big_endian_in_base64(name: str) -> None:
    if not is_at_hand(name):
        pytest.skip("neither xxhash nor awscrt is installed")
    assert body_crc(b"", name).text() == base64.b64encode(bytes.fromhex(XX[name])).decode()


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha512", "md5"])
def test_digests_are_hashlibs(name: str) -> None:
    assert body_crc(DATA, name).text() == digest(name, DATA)
    assert body_crc(b"", name).text() == digest(name, b"")


def test_the_algorithms_are_those_of_botocores_model() -> None:
    import botocore.session

    model = botocore.session.Session().get_service_model("s3")
    known = {"CRC32", "CRC32C", "CRC64NVME", *(name.upper() for name in DIGESTS)}
    assert set(model.shape_for("ChecksumAlgorithm").enum) <= known


def test_digests_of_parts_have_none_together() -> None:
    assert combined_crc([(Crc("sha256", 1), 1), (Crc("sha256", 2), 1)]) is None


@pytest.mark.parametrize("name", AVAILABLE)
def test_a_digest_goes_with_the_put_and_with_every_part(name: str, tmp_path: Path) -> None:
    """The upload is COMPOSITE, and Complete repeats the digest of each part."""
    header, local = f"x-amz-checksum-{name}", tmp_path / "file"
    local.write_bytes(DATA)
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url, s3_additional_kwargs={"ChecksumAlgorithm": name.upper()}, **PARTS)
        fs.pipe_file("bucket/small", DATA)
        fs.put_file(local, "bucket/file")
        for request in server.requests:
            assert request.headers[header] == digest(name, DATA)
            assert request.headers["x-amz-sdk-checksum-algorithm"] == name.upper()
        fs.pipe_file("bucket/large", LARGE)
        create, *parts, complete = server.requests[2:]
        assert not [request for request in server.requests if "x-amz-checksum-crc32" in request.headers]
    assert create.headers["x-amz-checksum-algorithm"] == name.upper()
    assert create.headers["x-amz-checksum-type"] == "COMPOSITE"
    assert [part.headers[header] for part in parts] == [digest(name, part.body) for part in parts]
    assert header not in complete.headers
    assert complete.body.count(f"<Checksum{name.upper()}>".encode()) == len(parts) == 3


def test_an_algorithm_can_be_named_for_one_write() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        fs.pipe_file("bucket/key", DATA, ChecksumAlgorithm="SHA512")
        with fs.open("bucket/key", "wb", ChecksumAlgorithm="SHA256") as file:
            file.write(DATA)
        one, two = server.requests
    assert one.headers["x-amz-checksum-sha512"] == digest("sha512", DATA)
    assert two.headers["x-amz-checksum-sha256"] == digest("sha256", DATA)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksums, "_hash", lambda name: None)
    with pytest.raises(ValueError, match="XXHASH3 needs xxhash or awscrt: pip install xxhash"):
        filesystem("http://127.0.0.1:1", s3_additional_kwargs={"ChecksumAlgorithm": "XXHASH3"})
    with pytest.raises(ValueError, match="ChecksumAlgorithm must be"):
        filesystem("http://127.0.0.1:1", s3_additional_kwargs={"ChecksumAlgorithm": "SHA3"})


# --- what is read ---


def telling(name: str, value: str, kind: str = "FULL_OBJECT") -> Callable[[Request, Reply], Reply | None]:
    """A store that tells this checksum of what it sends whole."""

    def after(request: Request, reply: Reply) -> Reply | None:
        if request.method not in ("GET", "HEAD") or reply.status != 200:
            return None
        told = {f"x-amz-checksum-{name}": value, "x-amz-checksum-type": kind}
        return replace(reply, headers={**reply.headers, **told})

    return after


def holding(data: bytes) -> FakeS3:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", data)
    return fake


@pytest.mark.parametrize("name", AVAILABLE)
def test_what_is_read_is_compared(name: str, tmp_path: Path) -> None:
    fake = holding(DATA)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fake.after = telling(name, digest(name, DATA))
        assert fs.cat_file("bucket/key") == DATA
        fs.get_file("bucket/key", tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == DATA
        fake.after = telling(name, digest(name, b"other"))
        with pytest.raises(ChecksumMismatchError, match=name):
            fs.cat_file("bucket/key")
        with pytest.raises(ChecksumMismatchError, match=name):
            fs.get_file("bucket/key", tmp_path / "file")


@pytest.mark.parametrize("kind", ["COMPOSITE", "none"])
def test_a_digest_of_digests_says_nothing_of_the_bytes(kind: str) -> None:
    fake = holding(DATA)
    value = digest("sha256", b"other")
    fake.after = telling("sha256", f"{value}-2", "FULL_OBJECT" if kind == "none" else kind)
    with ScriptedServer(handler=fake) as server:
        assert filesystem(server.url).cat_file("bucket/key") == DATA


def test_bytes_that_come_in_any_order_are_not_compared() -> None:
    """Ranges are read in parallel; the ETag and the CRCs of the connection stand for them."""
    check: Any = check_for(("sha256", digest("sha256", DATA)))
    assert isinstance(check, ObjectDigest)
    check.add(0, memoryview(DATA[:10]))
    check.add(10, memoryview(DATA[10:]))
    check.verify()
    check = ObjectDigest("sha256", digest("sha256", b"other"))
    check.add(10, memoryview(DATA[10:]))
    check.add(0, memoryview(DATA[:10]))
    check.verify()
    check = ObjectDigest("sha256", digest("sha256", b"other"))
    check.add(0, memoryview(DATA))
    with pytest.raises(ChecksumMismatchError):
        check.verify()
    assert check_for(None) is None
