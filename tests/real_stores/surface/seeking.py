"""Files of a mode with "+": they seek, and are published whole, under the guard of their mode."""

from __future__ import annotations

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError
from tests.data import period_free
from tests.real_stores.checking import check
from tests.real_stores.place import IN_PARTS, MIB, Place, Spot

LARGE = period_free(6 * MIB, seed=12)
SMALL = b"0123456789"


@check('files that seek: `"w+b"`, small and in parts', quick=True)
def replaced(place: Place) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    for data in (SMALL, LARGE):
        with fs.open(spot.path("a"), "w+b") as file:
            file.write(data)
            file.seek(3)
            assert file.read(4) == data[3:7], "other bytes are read back"
            file.seek(1)
            file.write(b"XY")
            file.seek(0, 2)
            file.write(b"end")
        assert spot.body("a") == data[:1] + b"XY" + data[3:] + b"end", "other bytes are published"
        _given_up(spot, "a", "w+b", fs)
    spot.assert_no_uploads()


def _created(place: Place, data: bytes) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    with fs.open(spot.path("a"), "x+b") as file:
        file.write(data)
        file.seek(0)
        file.write(b"AB")
    assert spot.body("a") == b"AB" + data[2:], "other bytes are published"
    try:
        with fs.open(spot.path("rival"), "x+b") as file:
            file.write(data)
            spot.put("rival", b"rival")
    except FileExistsError:
        pass
    else:
        raise AssertionError("the condition was ignored")
    assert spot.body("rival") == b"rival", "the object of a rival is gone"
    spot.assert_no_uploads()


@check('files that seek: `"x+b"` creates')
def created(place: Place) -> None:
    _created(place, SMALL)


@check('files that seek: `"x+b"` creates in parts')
def created_in_parts(place: Place) -> None:
    _created(place, LARGE)


def _changed(place: Place, data: bytes) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    for mode in ("r+b", "a+b"):
        spot.put("a", data, Metadata={"kept": "yes"})
        with fs.open(spot.path("a"), mode) as file:
            if mode == "r+b":
                file.seek(2)
            file.write(b"new")
            file.seek(0)
            assert file.read(2) == data[:2], "other bytes are read back"
        wanted = data + b"new" if mode == "a+b" else data[:2] + b"new" + data[5:]
        assert spot.body("a") == wanted, f"{mode}: other bytes are published"
        assert fs.metadata(spot.path("a")) == {"kept": "yes"}, f"{mode}: the metadata is lost"
        try:
            with fs.open(spot.path("a"), mode) as file:
                file.write(b"lost")
                spot.put("a", b"rival")
        except ObjectChangedError:
            pass
        else:
            raise AssertionError(f"{mode}: the object of a rival was replaced")
        assert spot.body("a") == b"rival", f"{mode}: the object of a rival is gone"
        _given_up(spot, "a", mode, fs)
    spot.assert_no_uploads()


@check('files that seek: `"r+b"` and `"a+b"` change an object, unless somebody else has')
def changed(place: Place) -> None:
    _changed(place, SMALL)


@check('files that seek: `"r+b"` and `"a+b"` change an object in parts')
def changed_in_parts(place: Place) -> None:
    _changed(place, LARGE)


def _given_up(spot: Spot, name: str, mode: str, fs: GuardedS3FileSystem) -> None:
    before = spot.body(name)
    try:
        with fs.open(spot.path(name), mode) as file:
            file.write(LARGE)
            raise KeyError
    except KeyError:
        pass
    assert spot.body(name) == before, "something was published after an exception"
