"""Copies and moves: one version of the source, whatever the store keeps."""

from __future__ import annotations

from unittest import mock

from fsspec_guarded_s3 import ObjectChangedError
from fsspec_guarded_s3._fs import copy_version
from fsspec_guarded_s3._s3.multipart import Multipart
from tests.data import period_free
from tests.real_stores.checking import check
from tests.real_stores.place import IN_PARTS, MIB, Place, metadata_of

LARGE = period_free(16 * MIB, seed=7)


@check("copy and move, of small objects and of some in parts", quick=True)
def copies(place: Place) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    for name, data in (("small", b"abc"), ("parts", LARGE)):
        fs.pipe_file(spot.path(name), data, ContentType="text/csv", Metadata={"m": "1"})
        fs.cp_file(spot.path(name), spot.path(f"{name}-copy"))
        fs.mv(spot.path(f"{name}-copy"), spot.path(f"{name}-moved"))
        assert spot.body(name) == spot.body(f"{name}-moved") == data, "other bytes"
        assert not fs.exists(spot.path(f"{name}-copy")), "the source of a move is still there"
        head = spot.client.head_object(**spot.named(f"{name}-moved"))
        kept = head["ContentType"], metadata_of(head).get("m")
        assert kept == ("text/csv", "1"), f"the attributes are lost: {head['ContentType']} {head['Metadata']}"


@check("copy in parts by the store, as above 5 GiB")
def copy_in_parts(place: Place) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    fs.pipe_file(spot.path("a"), LARGE)
    with mock.patch.object(copy_version, "MAX_SINGLE_PUT", 5 * MIB):
        fs.cp_file(spot.path("a"), spot.path("b"))
    assert spot.body("b") == LARGE, "other bytes"


@check("a source that is replaced while it is copied in parts: no mixture")
def source_replaced(place: Place) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS, max_concurrency=1)
    old, new = b"A" * 16 * MIB, b"B" * 16 * MIB
    fs.pipe_file(spot.path("a"), old)
    fs.probe(spot.path("a"))
    sent, asked = Multipart.upload_part, Multipart.upload_part_copy
    calls = []

    def after_one(which):
        def call(self, *args, **kwargs):
            calls.append(1)
            if len(calls) == 2:
                spot.put("a", new)
            return which(self, *args, **kwargs)

        return call

    with (
        mock.patch.object(copy_version, "MAX_SINGLE_PUT", 5 * MIB),
        mock.patch.object(Multipart, "upload_part", after_one(sent)),
        mock.patch.object(Multipart, "upload_part_copy", after_one(asked)),
    ):
        try:
            fs.cp_file(spot.path("a"), spot.path("b"))
        except ObjectChangedError:
            return
    assert spot.body("b") in (old, new), "the copy is a mixture of two versions"
