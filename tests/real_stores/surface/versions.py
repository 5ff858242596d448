"""Buckets with versions."""

from __future__ import annotations

from tests.real_stores.checking import No, check
from tests.real_stores.place import Place, Spot


def _fresh(place: Place) -> Spot:
    if place.root and not place.versioned:
        raise No("no bucket with versions was given")
    spot = place.fresh(versioned=True)
    if not spot.fs.is_bucket_versioned(spot.bucket):
        raise No("the bucket has no versions after all")
    return spot


@check("versions: read, listed, restored, removed", quick=True)
def versions(place: Place) -> None:
    spot = _fresh(place)
    fs, path = spot.fs, spot.path("a")
    for data in (b"one", b"two"):
        fs.pipe_file(path, data)
    rows = fs.object_version_info(path)
    assert [row["IsLatest"] for row in rows] == [True, False], f"{len(rows)} versions are listed"
    old = rows[1]["VersionId"]
    assert fs.cat_file(path, version_id=old) == b"one", "another version is read"
    aware = place.fs(version_aware=True)
    assert aware.cat_file(f"{path}?versionId={old}") == b"one", "another version is read"
    assert len(aware.ls(spot.root, versions=True)) == 2, "ls shows other versions"
    fs.restore_version(path, old)
    assert fs.cat_file(path) == b"one", "it is not restored"
    fs.rm_file(path)
    assert not fs.exists(path), "it is still there"
    marker = fs.object_version_info(path)[0]
    assert marker["DeleteMarker"], "there is no delete marker"
    fs.rm_file(path, version_id=marker["VersionId"])
    assert fs.cat_file(path) == b"one", "it is not back without its delete marker"
    fs.rm(spot.root, recursive=True, versions=True)
    assert not fs.exists(path), "it is still there"


@check("a slice of an old version", quick=True)
def slice_of_version(place: Place) -> None:
    spot = _fresh(place)
    fs, path = spot.fs, spot.path("a")
    fs.pipe_file(path, b"0123456789")
    fs.pipe_file(path, b"abcdefghij")
    old = fs.object_version_info(path)[1]["VersionId"]
    aware = place.fs(version_aware=True)
    assert aware.cat_file(f"{path}?versionId={old}", 2, 5) == b"234", "other bytes"


@check("a reader of a version reads on after the object was replaced", quick=True)
def pinned_to_version(place: Place) -> None:
    spot = _fresh(place)
    aware, path, data = place.fs(version_aware=True), spot.path("a"), bytes(range(256)) * 2000
    aware.pipe_file(path, data)
    with aware.open(path, "rb", block_size=1000, cache_type="none") as file:
        assert file.read(10) == data[:10]
        spot.put("a", b"new")
        file.seek(400_000)
        assert file.read(10) == data[400_000:400_010], "other bytes"


@check("conditions in a bucket with versions", quick=True)
def conditions(place: Place) -> None:
    spot = _fresh(place)
    fs, path = spot.fs, spot.path("a")
    assert fs.put_if_absent(path, b"1") is True, "it was not created"
    assert fs.put_if_absent(path, b"2") is False, "it was created twice"
    fs.update(path, lambda old: old + b"+")
    assert fs.cat_file(path) == b"1+"
    fs.rm_file(path)
    if not fs.put_if_absent(path, b"3"):
        raise No("a delete marker counts as an object: create is refused after a delete")
    assert fs.cat_file(path) == b"3"
