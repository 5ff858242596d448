"""Uploads in parts that were left, and those that must not be."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time

from botocore.exceptions import ClientError

from tests.data import period_free
from tests.real_stores.checking import No, check
from tests.real_stores.place import IN_PARTS, MIB, Place, Spot, folder

LARGE = period_free(12 * MIB, seed=10)


def _begin(spot: Spot, name: str) -> str:
    return str(spot.client.create_multipart_upload(**spot.named(name))["UploadId"])


@check("uploads that were left: listed, and aborted by age", quick=True)
def left(place: Place) -> None:
    spot, name = place.fresh(), "x/ü +left"
    upload = _begin(spot, name)
    spot.client.upload_part(**spot.named(name), UploadId=upload, PartNumber=1, Body=b"1")
    assert spot.uploads() == [name], f"listed: {spot.uploads()}"
    (listed,) = spot.fs.list_uploads(spot.root)
    if listed["age"] is None or listed["age"] > 3600:
        raise No(f"the store does not tell when it began, or wrongly: {listed['initiated']}")
    assert spot.fs.abort_uploads(spot.root, older_than=3600) == [], "a young one was aborted"
    assert len(spot.fs.abort_uploads(spot.root, older_than=0)) == 1, "it was not aborted"
    assert spot.uploads() == [], "it is still listed"


@check("1,100 uploads, beyond one page")
def pages(place: Place) -> None:
    spot = place.fresh()
    began: dict[str, str] = {}
    try:
        for number in range(1100):
            began[f"u{number:04}"] = _begin(spot, f"u{number:04}")
        found = len(spot.uploads())
        if found != 1100:
            raise No(f"{found} are listed")
        spot.fs.abort_uploads(spot.root, older_than=0)
        assert spot.uploads() == []
    finally:
        for name, upload in began.items():  # some stores take no other upload before
            with contextlib.suppress(ClientError):
                spot.client.abort_multipart_upload(**spot.named(name), UploadId=upload)


@check("an abort leaves the object that was there", quick=True)
def abort_keeps_object(place: Place) -> None:
    spot = place.fresh()
    spot.put("a", b"kept")
    upload = _begin(spot, "a")
    spot.client.upload_part(**spot.named("a"), UploadId=upload, PartNumber=1, Body=b"1")
    spot.client.abort_multipart_upload(**spot.named("a"), UploadId=upload)
    if not spot.fs.exists(spot.path("a")):
        raise No("the store deletes the object at the key of an upload that is aborted")
    assert spot.body("a") == b"kept"


@check("a writer that gives up publishes nothing and leaves no upload", quick=True)
def given_up(place: Place) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    try:
        with fs.open(spot.path("a"), "wb") as file:
            file.write(LARGE)
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert not fs.exists(spot.path("a")), "something was published"
    deadline = time.monotonic() + 60
    while spot.uploads() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert spot.uploads() == [], "an upload is left"


KILLED = """
import os, sys, time
from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.real_stores import budget
budget.install()
options, path = eval(sys.stdin.read())
file = GuardedS3FileSystem(**options).open(path, "wb")
file.write(bytes(22 * 2**20))
time.sleep(1)
os.kill(os.getpid(), 9)
"""


@check("a process that is killed publishes nothing; its upload is found, resumed, or aborted")
def killed(place: Place) -> None:
    spot = place.fresh()
    for name in ("a", "b"):
        given = repr(({**place.options, **IN_PARTS}, spot.path(name)))
        subprocess.run([sys.executable, "-c", KILLED], input=given, text=True, check=False, timeout=120)
        assert not spot.fs.exists(spot.path(name)), "something was published"
    assert spot.uploads() == ["a", "b"], f"uploads: {spot.uploads()}"
    (upload,) = spot.fs.list_uploads(spot.path("a"))
    with folder() as here:
        (here / "file").write_bytes(bytes(22 * MIB))
        place.fs(**IN_PARTS).put_file(str(here / "file"), spot.path("a"), resume=upload["upload_id"])
    assert spot.body("a") == bytes(22 * MIB), "other bytes"
    spot.fs.abort_uploads(spot.root, older_than=0)
    assert spot.uploads() == []


@check("an upload that another tool left, without checksums, is resumed", quick=True)
def resumed(place: Place) -> None:
    spot, fs = place.fresh(), place.fs(**IN_PARTS)
    upload = _begin(spot, "a")
    spot.client.upload_part(**spot.named("a"), UploadId=upload, PartNumber=1, Body=LARGE[: 5 * MIB])
    with folder() as here:
        (here / "file").write_bytes(LARGE)
        fs.put_file(str(here / "file"), spot.path("a"), resume=upload)
    assert spot.body("a") == LARGE, "other bytes"
    spot.assert_no_uploads()
