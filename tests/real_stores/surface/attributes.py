"""What goes with the bytes: headers, metadata, tags, encryption."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fsspec_guarded_s3 import EncryptionUnsupportedError, GuardedS3Error
from tests.data import period_free
from tests.real_stores.checking import No, check, said
from tests.real_stores.place import IN_PARTS, MIB, Place, Spot
from tests.real_stores.surface.contents import crc32

LARGE = period_free(6 * MIB, seed=8)
HEADERS = {
    "ContentType": "text/html; charset=utf-8",
    "CacheControl": "max-age=60",
    "ContentDisposition": 'attachment; filename="q.txt"',
    "ContentLanguage": "de",
    "ContentEncoding": "br",
}


@check("content headers are kept, by PUT, `update`, a copy, `setxattr` and in parts", quick=True)
def content_headers(place: Place) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    path, lost = spot.path("a"), []

    def look(name: str, where: str) -> None:
        head = spot.client.head_object(**spot.named(name))
        for key, value in HEADERS.items():
            if _plain(head.get(key, "")) != _plain(value):
                lost.append(f"{key} by {where}")

    fs.pipe_file(path, b"x", **HEADERS)
    look("a", "PUT")
    fs.update(path, lambda old: old + b"y")
    look("a", "`update`")
    fs.cp_file(path, spot.path("copy"))
    look("copy", "a copy")
    fs.setxattr(path, k="v")
    look("a", "`setxattr`")
    fs.pipe_file(spot.path("parts"), LARGE, **HEADERS)
    look("parts", "parts")
    if lost:
        raise No(f"lost: {', '.join(dict.fromkeys(lost))}")


def _plain(value: str) -> str:
    """A header without what may be written in two ways: blanks, and the case of a charset."""
    return value.replace(" ", "").lower()


@check("metadata: `setxattr`, `getxattr`, `metadata`", quick=True)
def metadata(place: Place) -> None:
    spot = place.fresh()
    fs, path = spot.fs, spot.path("a")
    fs.pipe_file(path, b"1", Metadata={"one-a": "1"})
    fs.setxattr(path, two="2")
    assert fs.metadata(path) == {"one-a": "1", "two": "2"}, f"{fs.metadata(path)}"
    assert fs.getxattr(path, "two") == "2"
    fs.setxattr(path, two=None)
    assert fs.metadata(path) == {"one-a": "1"}, f"{fs.metadata(path)}"
    assert spot.body("a") == b"1", "the bytes changed"


TAGS = {"k": "v w", "a+b": "c=d", "ü": "é"}


@check("tags: set, merged, kept by copies, `update` and parts", quick=True)
def tags(place: Place) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    path = spot.path("a")
    fs.pipe_file(path, b"1")
    fs.put_tags(path, TAGS)
    assert fs.get_tags(path) == TAGS, f"put_tags: {fs.get_tags(path)}"
    fs.put_tags(path, {"n": "2"}, mode="m")
    wanted = {**TAGS, "n": "2"}
    assert fs.get_tags(path) == wanted, f"merged: {fs.get_tags(path)}"
    fs.cp_file(path, spot.path("copy"))
    assert fs.get_tags(spot.path("copy")) == wanted, f"copied: {fs.get_tags(spot.path('copy'))}"
    fs.update(path, lambda old: old + b"2")
    assert fs.get_tags(path) == wanted, f"after `update`: {fs.get_tags(path)}"
    fs.pipe_file(spot.path("new"), b"", Tagging=TAGS)
    assert fs.get_tags(spot.path("new")) == TAGS, f"with a PUT: {fs.get_tags(spot.path('new'))}"
    fs.pipe_file(spot.path("parts"), LARGE, Tagging=TAGS)
    assert fs.get_tags(spot.path("parts")) == TAGS, f"in parts: {fs.get_tags(spot.path('parts'))}"
    fs.put_tags(path, {})
    assert fs.get_tags(path) == {}


def _encrypted(**wanted: Any) -> Callable[[Place], str | None]:
    def run(place: Place) -> str | None:
        spot, fs = place.fresh(), place.fs(**IN_PARTS, s3_additional_kwargs=wanted)
        for name, data in (("small", b"abc"), ("parts", LARGE)):
            try:
                fs.pipe_file(spot.path(name), data)
            except EncryptionUnsupportedError:
                of = "" if name == "small" else "of an upload in parts "
                raise No(f"{of}not done, and said so: `EncryptionUnsupportedError`") from None
            assert fs.cat_file(spot.path(name)) == data, "other bytes"
        if "SSECustomerKey" in wanted:
            return _without_key(spot)
        if not spot.client.head_object(**spot.named("parts")).get("ServerSideEncryption"):
            raise No("the store says nothing of it, which a log warning says")
        return None

    return run


def _without_key(spot: Spot) -> None:
    try:
        plain = spot.fs.cat_file(spot.path("small"))
    except GuardedS3Error:
        return
    raise AssertionError(f"an object with a customer's key is read without it: {plain!r}")


check("encryption by the store's key (SSE-S3)", quick=True)(_encrypted(ServerSideEncryption="AES256"))


@check("encryption by your key (SSE-C)")
def customer_key(place: Place) -> str | None:
    return _encrypted(SSECustomerKey=b"k" * 32)(place)


@check("ACLs: `ACL=` of a write, `chmod`")
def acls(place: Place) -> None:
    spot = place.fresh()
    spot.fs.pipe_file(spot.path("a"), b"1", ACL="private")
    try:
        spot.fs.chmod(spot.path("a"), "private")
    except OSError as error:
        raise No(f"`chmod`: {said(error) if isinstance(error, GuardedS3Error) else error}") from error
    finally:
        assert spot.body("a") == b"1", "the object is not what it was"


@check("`object_attributes`: checksums, parts and sizes", quick=True)
def object_attributes(place: Place) -> str | None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    fs.pipe({spot.path("small"): b"abc", spot.path("parts"): LARGE})
    missing = []
    for name, data in (("small", b"abc"), ("parts", LARGE)):
        found = fs.object_attributes(spot.path(name))
        assert found["ETag"] == spot.etag(name), f"{name}: another ETag"
        assert found["ObjectSize"] == len(data), f"{name}: another size"
        assert name == "parts" or "ObjectParts" not in found, "an object that was written whole has parts"
        if found.get("Checksum", {}).get("ChecksumCRC32") != crc32(data):
            missing.append(f"the CRC32 of {'an upload in parts' if name == 'parts' else 'a PUT'}")
    sizes = [part["Size"] for part in found.get("ObjectParts", {}).get("Parts", [])]
    if not sizes:
        missing.append("the parts")
    else:
        assert sizes == [5 * MIB, MIB], f"the parts have {sizes}"
    try:
        fs.object_attributes(spot.path("absent"))
    except FileNotFoundError:
        return f"without {' and '.join(missing)}" if missing else None
    raise AssertionError("what is not there has attributes")


@check("annotations")
def annotations(place: Place) -> None:
    spot = place.fresh()
    fs, path = spot.fs, spot.path("a")
    etag = spot.put("a", b"1")
    fs.put_annotation(path, "one", "text")
    assert (fs.get_annotation(path, "one"), spot.body("a")) == ("text", b"1")
    assert [row["AnnotationName"] for row in fs.list_annotations(path)] == ["one"]
    fs.delete_annotation(path, "one")
    assert (fs.list_annotations(path), spot.body("a"), spot.etag("a")) == ([], b"1", etag)
