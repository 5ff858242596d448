"""What `fs.probe` says of a store, field by field, held against requests of boto3 that ask for the same.

Each function says whether the store honours one guard: what the condition forbids is refused and changes
nothing, and what it allows is done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from tests.real_stores.checking import Outcome
from tests.real_stores.place import MIB, NO_SUCH, Place, Spot, metadata_of

GUARDS: dict[str, Callable[[Spot], bool]] = {}
TITLES = {
    "create": "create: `If-None-Match` on PUT",
    "swap": "swap: `If-Match` on PUT",
    "create_on_complete": "create on Complete",
    "swap_on_complete": "swap on Complete",
    "delete": "`If-Match` on DELETE",
    "delete_many": "ETags in DeleteObjects",
    "pinned_get": "`If-Match` on GET",
    "copy_source": "pin of CopyObject",
    "copy_source_parts": "pin of UploadPartCopy",
    "copy_create": "create on CopyObject",
    "copy_swap": "swap on CopyObject",
    "token": "metadata is kept",
}


def guard_outcomes(place: Place) -> Iterator[Outcome]:
    """One for each field of `Guards`; WRONG where the probe says yes and that is not so.

    A no that is a yes costs a detour and breaks nothing: it stays a no, and says so.
    """
    spot = place.fresh()
    said = spot.fs.probe(spot.path("probe"))
    for name, honours in GUARDS.items():
        try:
            found = honours(spot)
        except ClientError:
            found = False  # what it asks for is not known there
        claimed = bool(getattr(said, name))
        title = TITLES[name]
        if claimed and not found:
            yield Outcome(title, "WRONG", "`fs.probe` says yes, requests of boto3 say no")
        elif found and not claimed:
            yield Outcome(title, "no", "`fs.probe` says no, requests of boto3 say yes")
        else:
            yield Outcome(title, "yes" if found else "no")


@contextlib.contextmanager
def headers(spot: Spot, operation: str, added: Mapping[str, str]) -> Iterator[None]:
    """Add headers to the next requests of an operation: boto3 is younger than some of them."""

    def add(request: Any, **_: Any) -> None:
        for name, value in added.items():
            request.headers[name] = value

    event, events = f"before-sign.s3.{operation}", spot.client.meta.events
    events.register_first(event, add, unique_id="added")
    try:
        yield
    finally:
        events.unregister(event, unique_id="added")


def refuses(call: Callable[[], object]) -> bool:
    """Whether a request is refused because of its condition: 412, or 404 where nothing is there."""
    try:
        call()
    except ClientError as error:
        status = error.response["ResponseMetadata"].get("HTTPStatusCode")
        if status in (404, 409, 412):
            return True
        raise
    return False


def guard(run: Callable[[Spot], bool]) -> Callable[[Spot], bool]:
    """Make a function the proof of the guard of its name."""
    GUARDS[run.__name__] = run
    return run


def _put(spot: Spot, name: str, data: bytes, condition: Mapping[str, str]) -> None:
    with headers(spot, "PutObject", condition):
        spot.put(name, data)


def _forms(etag: str) -> tuple[str, str]:
    """An ETag as it is meant, and without its quotes, which is how some releases of Ceph compare it."""
    return etag, etag.strip('"')


def _swaps(spot: Spot, name: str, write: Callable[[bytes, str], None]) -> bool:
    """Whether `write` refuses another ETag and takes the right one, in either form."""
    spot.put(name, b"one")
    for form in _forms(NO_SUCH):
        if not refuses(lambda form=form: write(b"other", form)) or spot.body(name) != b"one":
            return False
    etag = spot.etag(name)
    return any(
        not refuses(lambda form=form: write(b"right", form)) and spot.body(name) == b"right"
        for form in _forms(etag)
    )


@guard
def create(spot: Spot) -> bool:
    spot.put("create", b"one")
    absent = {"If-None-Match": "*"}
    refused = refuses(lambda: _put(spot, "create", b"other", absent)) and spot.body("create") == b"one"
    return refused and not refuses(lambda: _put(spot, "create-new", b"new", absent))


@guard
def swap(spot: Spot) -> bool:
    return _swaps(spot, "swap", lambda data, etag: _put(spot, "swap", data, {"If-Match": etag}))


def _complete(spot: Spot, name: str, data: bytes, condition: Mapping[str, str], copied: str = "") -> None:
    """An upload of one part; the key is left alone where Complete is refused."""
    client, named = spot.client, spot.named(name)
    upload = client.create_multipart_upload(**named)["UploadId"]
    part = client.upload_part(**named, UploadId=upload, PartNumber=1, Body=data)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    try:
        with headers(spot, "CompleteMultipartUpload", condition):
            client.complete_multipart_upload(**named, UploadId=upload, MultipartUpload=parts)
    except ClientError:
        with contextlib.suppress(ClientError):
            client.abort_multipart_upload(**named, UploadId=upload)
        raise


@guard
def create_on_complete(spot: Spot) -> bool:
    spot.put("complete", b"one")
    absent = {"If-None-Match": "*"}
    refused = refuses(lambda: _complete(spot, "complete", b"other", absent))
    kept = refused and spot.body("complete") == b"one"
    return kept and not refuses(lambda: _complete(spot, "complete-new", b"new", absent))


@guard
def swap_on_complete(spot: Spot) -> bool:
    name = "complete-swap"
    return _swaps(spot, name, lambda data, etag: _complete(spot, name, data, {"If-Match": etag}))


def _delete(spot: Spot, name: str, etag: str) -> None:
    with headers(spot, "DeleteObject", {"If-Match": etag}):
        spot.client.delete_object(**spot.named(name))


def _is_there(spot: Spot, name: str) -> bool:
    try:
        spot.client.head_object(**spot.named(name))
    except ClientError as error:
        if error.response["ResponseMetadata"].get("HTTPStatusCode") != 404:
            raise
        return False
    return True


@guard
def delete(spot: Spot) -> bool:
    spot.put("delete", b"one")
    if not refuses(lambda: _delete(spot, "delete", NO_SUCH)) or not _is_there(spot, "delete"):
        return False
    etag = spot.etag("delete")
    return not refuses(lambda: _delete(spot, "delete", etag)) and not _is_there(spot, "delete")


@guard
def delete_many(spot: Spot) -> bool:
    def ask(etag: str) -> bool:
        keys = [{"Key": spot.named("many")["Key"], "ETag": etag}]
        return bool(
            spot.client.delete_objects(Bucket=spot.bucket, Delete={"Objects": keys, "Quiet": False}).get(
                "Errors"
            )
        )

    spot.put("many", b"one")
    if not ask(NO_SUCH) or not _is_there(spot, "many"):
        return False
    return not ask(spot.etag("many")) and not _is_there(spot, "many")


@guard
def pinned_get(spot: Spot) -> bool:
    etag, named = spot.put("get", b"one"), spot.named("get")
    ranged = {"Range": "bytes=0-0"}
    for more in ({}, ranged):
        if not refuses(lambda more=more: spot.client.get_object(**named, IfMatch=NO_SUCH, **more)):
            return False
    return bool(spot.client.get_object(**named, IfMatch=etag)["Body"].read() == b"one")


def _copy(spot: Spot, source: str, target: str, condition: Mapping[str, str], **more: Any) -> None:
    with headers(spot, "CopyObject", condition):
        spot.client.copy_object(**spot.named(target), CopySource=spot.named(source), **more)


@guard
def copy_source(spot: Spot) -> bool:
    return any(_pins(spot, f"copied-{number}", name) for number, name in enumerate(PINS))


# S3's name, and that of Ceph RGW.
PINS = ("x-amz-copy-source-if-match", "x-amz-copy-if-match")


def _pins(spot: Spot, target: str, name: str) -> bool:
    etag = spot.put("source", b"one")
    pinned = refuses(lambda: _copy(spot, "source", target, {name: NO_SUCH}))
    if not pinned or _is_there(spot, target):
        return False
    return not refuses(lambda: _copy(spot, "source", target, {name: etag})) and spot.body(target) == b"one"


@guard
def copy_source_parts(spot: Spot) -> bool:
    client, named = spot.client, spot.named("parts-copied")
    etag = spot.put("parts-source", bytes(MIB))
    upload = client.create_multipart_upload(**named)["UploadId"]

    def copy(pin: str) -> object:
        asked = {"UploadId": upload, "PartNumber": 1, "CopySource": spot.named("parts-source")}
        return client.upload_part_copy(**named, **asked, CopySourceIfMatch=pin)

    try:
        return refuses(lambda: copy(NO_SUCH)) and not refuses(lambda: copy(etag))
    finally:
        with contextlib.suppress(ClientError):
            client.abort_multipart_upload(**named, UploadId=upload)


@guard
def copy_create(spot: Spot) -> bool:
    spot.put("source", b"one")
    spot.put("taken", b"two")
    absent = {"If-None-Match": "*"}
    refused = refuses(lambda: _copy(spot, "source", "taken", absent)) and spot.body("taken") == b"two"
    return refused and not refuses(lambda: _copy(spot, "source", "copy-new", absent))


@guard
def copy_swap(spot: Spot) -> bool:
    def write(data: bytes, etag: str) -> None:
        spot.put("source", data)
        _copy(spot, "source", "copy-swap", {"If-Match": etag})

    return _swaps(spot, "copy-swap", write)


@guard
def token(spot: Spot) -> bool:
    named = spot.named("token")
    spot.put("token", b"one", Metadata={"gs3-token": "abc"})
    kept = metadata_of(spot.client.head_object(**named)).get("gs3-token") == "abc"
    upload = spot.client.create_multipart_upload(**named, Metadata={"gs3-token": "def"})["UploadId"]
    part = spot.client.upload_part(**named, UploadId=upload, PartNumber=1, Body=b"two")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    spot.client.complete_multipart_upload(**named, UploadId=upload, MultipartUpload=parts)
    return bool(kept and metadata_of(spot.client.head_object(**named)).get("gs3-token") == "def")
