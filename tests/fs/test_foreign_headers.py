"""Headers of objects that other tools wrote: the same bytes after each write of ours, and read as text."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._values.attribute_values import decoded
from fsspec_guarded_s3._values.bodies import wire_bytes
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Request, ScriptedServer

# name: (bytes on the wire, what a user reads)
VALUES: dict[str, tuple[bytes, str]] = {
    "UTF-8": ("Jürgen".encode(), "Jürgen"),
    "UTF-8 that ends like white space": ("voilà".encode(), "voilà"),  # C3 A0: a no-break space in Latin-1
    "UTF-8 with a byte that ends lines elsewhere": ("Å Å".encode(), "Å Å"),  # C3 85
    "UTF-8 outside of Latin-1": ("日本 語".encode(), "日本 語"),
    "Latin-1": ("Jürgen".encode("latin-1"), "Jürgen"),
    "RFC 2047": (b"=?UTF-8?B?SsO8cmdlbg==?=", "Jürgen"),
    "RFC 2047, quoted": (b"=?utf-8?Q?J=C3=BCrgen?=", "Jürgen"),
    "RFC 2047, two words": (b"=?UTF-8?B?SsO8?= =?UTF-8?B?cmdlbg==?=", "Jürgen"),
    "RFC 2047 of an unknown set": (b"=?no-such?B?SsO8?=", "=?no-such?B?SsO8?="),
    "RFC 2047 that is none": (b"=?UTF-8?B?A?=", "=?UTF-8?B?A?="),
    "ASCII": (b"a  b; c", "a  b; c"),
}
NAMES = ("x-amz-meta-owner", "content-disposition", "cache-control", "content-language")


def append(fs: GuardedS3FileSystem) -> None:
    with fs.open("bucket/key", "ab") as file:
        file.write(b"more")


Call = Callable[[GuardedS3FileSystem], Any]
CHANGES: dict[str, Call] = {
    "update": lambda fs: fs.update("bucket/key", lambda old: old + b"more"),
    "append": append,
    "setxattr": lambda fs: fs.setxattr("bucket/key", other="1"),
    "setxattr of a content header": lambda fs: fs.setxattr("bucket/key", {"ContentType": "text/plain"}),
    "copy onto itself": lambda fs: fs.cp_file("bucket/key", "bucket/key"),
    "copy there and back": lambda fs: (
        fs.cp_file("bucket/key", "bucket/b"),
        fs.cp_file("bucket/b", "bucket/key"),
    ),
    "create by a copy": lambda fs: (
        fs.cp_file("bucket/key", "bucket/b", mode="create"),
        fs.mv("bucket/b", "bucket/key"),
    ),
}


def stored(fake: FakeS3, raw: bytes, size: int = 3) -> None:
    """An object with such headers, put there by another tool."""
    made = fake.put("bucket", "key", bytes(size))
    text = raw.decode("latin-1")
    fake.objects["bucket", "key"] = replace(made, headers={**made.headers, **dict.fromkeys(NAMES, text)})


@pytest.mark.parametrize("size", [3, 6 * MIB], ids=["small", "in parts"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("value", VALUES)
def test_headers_of_other_tools_stay_as_they_are(value: str, change: str, size: int) -> None:
    """Three times the same change: nothing is encoded once more."""
    raw, _ = VALUES[value]
    fake = FakeS3("bucket")
    stored(fake, raw, size)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB)
        for _ in range(3):
            CHANGES[change](fs)
    found = fake.objects["bucket", "key"].headers
    assert {name: found[name].encode("latin-1") for name in NAMES} == dict.fromkeys(NAMES, raw)


@pytest.mark.parametrize("value", VALUES)
def test_headers_of_other_tools_are_read_as_text(value: str) -> None:
    raw, text = VALUES[value]
    fake = FakeS3("bucket")
    stored(fake, raw)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        info = fs.info("bucket/key")
        with fs.open("bucket/key") as file:
            assert file.metadata() == fs.metadata("bucket/key") == info["metadata"] == {"owner": text}
            assert file.getxattr("owner") == fs.getxattr("bucket/key", "owner") == text
    assert info["ContentDisposition"] == info["CacheControl"] == info["ContentLanguage"] == text


@pytest.mark.parametrize("value", VALUES)
def test_the_signature_is_that_of_the_bytes(value: str) -> None:
    """By SigV4's own rules, worked out from what arrived."""
    raw, _ = VALUES[value]
    fake = FakeS3("bucket")
    stored(fake, raw)
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).setxattr("bucket/key", other="1")
        (copy,) = [request for request in server.requests if request.method == "PUT"]
    fields = dict(
        piece.split("=", 1) for piece in copy.headers["authorization"].partition(" ")[2].split(", ")
    )
    assert "x-amz-meta-owner" in fields["SignedHeaders"]
    assert fields["Signature"] == signature(copy, fields["SignedHeaders"].split(";"))


def signature(request: Request, names: list[str]) -> str:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html"""
    values = {name: request.headers[name].encode("latin-1") for name in names}
    rows = [
        name.encode() + b":" + b" ".join(filter(None, value.split(b" "))) for name, value in values.items()
    ]
    payload = request.headers["x-amz-content-sha256"].encode()
    lines = [b"PUT", request.target.encode(), b"", *rows, b"", ";".join(names).encode(), payload]
    moment = request.headers["x-amz-date"]
    scope = f"{moment[:8]}/us-east-1/s3/aws4_request"
    digest = hashlib.sha256(b"\n".join(lines)).hexdigest()
    key = b"AWS4s"
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    return hmac.digest(key, f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}".encode(), "sha256").hex()


def test_what_no_header_can_carry_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="HTTP cannot carry") as caught:
        wire_bytes("authorization: secret \N{EURO SIGN}")
    assert "secret" not in repr(caught.value) and caught.value.__cause__ is None
    assert decoded("=?UTF-8?B?") == "=?UTF-8?B?"
