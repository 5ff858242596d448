"""Conditions of single writes: honoured, or refused beforehand; never ignored."""

from __future__ import annotations

from collections.abc import Callable

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError
from tests.data import period_free
from tests.real_stores.checking import check
from tests.real_stores.place import IN_PARTS, MIB, NO_SUCH, Place, Spot

SMALL = period_free(1_000, seed=5)
LARGE = period_free(6 * MIB, seed=6)


def _raises(kind: type[BaseException], call: Callable[[], object]) -> None:
    try:
        call()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}: the condition was ignored")


def _create(place: Place, data: bytes) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    path = spot.path("a")
    assert fs.put_if_absent(path, data) is True, "it was not created"
    assert fs.put_if_absent(path, b"2") is False, "it was created twice"
    _raises(FileExistsError, lambda: fs.pipe_file(path, data[::-1], mode="create"))
    _raises(FileExistsError, lambda: _write(fs, path, data[::-1], "xb"))
    assert spot.body("a") == data, "the object that was there is not there any more"
    rival = spot.path("rival")
    _raises(FileExistsError, lambda: _write(fs, rival, data, "xb", lambda: spot.put("rival", b"rival")))
    assert spot.body("rival") == b"rival", "the object of a rival is gone"
    spot.assert_no_uploads()


def _write(
    fs: GuardedS3FileSystem, path: str, data: bytes, mode: str, meanwhile: Callable[[], object] = lambda: None
) -> None:
    with fs.open(path, mode) as file:
        file.write(data)
        meanwhile()


@check("create on PUT", quick=True)
def create_small(place: Place) -> None:
    _create(place, SMALL)


@check("create in parts", quick=True)
def create_large(place: Place) -> None:
    _create(place, LARGE)


def _swap(place: Place, data: bytes) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    path = spot.path("a")
    fs.pipe_file(path, b"1")
    etag = fs.info(path)["ETag"]
    fs.pipe_file(path, data, if_match=etag)
    assert spot.body("a") == data, "the swap was not applied"
    _raises(ObjectChangedError, lambda: fs.pipe_file(path, data[::-1], if_match=etag))
    assert spot.body("a") == data, "an object that had changed is not there any more"
    absent = spot.path("absent")
    _raises((ObjectChangedError, FileNotFoundError), lambda: fs.pipe_file(absent, data, if_match=NO_SUCH))
    assert not fs.exists(absent), "a swap created an object"


@check("swap on PUT", quick=True)
def swap_small(place: Place) -> None:
    _swap(place, SMALL)


@check("swap in parts", quick=True)
def swap_large(place: Place) -> None:
    _swap(place, LARGE)


def _taken(spot: Spot) -> GuardedS3FileSystem:
    spot.put("source", b"new")
    spot.put("taken", b"old")
    return spot.fs


@check("create by a copy", quick=True)
def create_by_copy(place: Place) -> None:
    spot = place.fresh()
    fs, source = _taken(spot), spot.path("source")
    fs.cp_file(source, spot.path("fresh"), mode="create")
    assert spot.body("fresh") == b"new", "it was not copied"
    _raises(FileExistsError, lambda: fs.cp_file(source, spot.path("taken"), mode="create"))
    assert spot.body("taken") == b"old", "the object that was there is not there any more"


@check("swap by a copy", quick=True)
def swap_by_copy(place: Place) -> None:
    spot = place.fresh()
    fs, source, taken = _taken(spot), spot.path("source"), spot.path("taken")
    _raises(ObjectChangedError, lambda: fs.cp_file(source, taken, if_match=NO_SUCH))
    assert spot.body("taken") == b"old", "an object with another ETag is not there any more"
    fs.cp_file(source, taken, if_match=spot.etag("taken"))
    assert spot.body("taken") == b"new", "the swap was not applied"


@check("delete of one version", quick=True)
def delete_one(place: Place) -> str | None:
    spot = place.fresh()
    fs, path = spot.fs, spot.path("a")
    etag = spot.put("a", b"1")
    spot.put("a", b"2")
    _raises(ObjectChangedError, lambda: fs.rm_file(path, if_match=etag))
    assert spot.body("a") == b"2", "another version was deleted"
    fs.rm_file(path, if_match=spot.etag("a"))
    assert not fs.exists(path), "it is still there"
    return None


@check("append: to nothing, a small object, and one in parts", quick=True)
def append(place: Place) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    for name, old in (("small", b"one\n"), ("parts", LARGE)):
        fs.pipe_file(spot.path(name), old, ContentType="text/x-log", Metadata={"kept": "yes"})
        for _ in range(2):
            _write(fs, spot.path(name), b"more\n", "ab")
        assert spot.body(name) == old + b"more\n" * 2, f"{name}: other bytes"
        assert fs.metadata(spot.path(name)) == {"kept": "yes"}, f"{name}: the metadata is lost"
    _write(fs, spot.path("new"), b"first\n", "ab")
    assert spot.body("new") == b"first\n"


@check("append to an object of 6 MiB, where `multipart_threshold` is more", quick=True)
def append_in_one(place: Place) -> None:
    spot, fs = place.fresh(), place.fs(part_size=5 * MIB)
    path = spot.path("a")
    spot.put("a", LARGE, Metadata={"kept": "yes"})
    _write(fs, path, b"more\n", "ab")
    assert spot.body("a") == LARGE + b"more\n", "other bytes"
    assert fs.metadata(path) == {"kept": "yes"}, "the metadata is lost"
    _raises(ObjectChangedError, lambda: _write(fs, path, b"lost", "ab", lambda: spot.put("a", b"rival")))
    assert spot.body("a") == b"rival", "the object of a rival is gone"
    spot.assert_no_uploads()
