"""Signed URLs, used by a client that knows nothing of S3."""

from __future__ import annotations

import time
import urllib.request
from typing import Any

from urllib3.filepost import encode_multipart_formdata

from tests.real_stores.checking import No, check
from tests.real_stores.place import Place, fetch

PLAIN = {"Content-Type": "text/plain"}  # else urllib says that it sends a form


@check("signed URLs: GET and PUT", quick=True)
def signed(place: Place) -> None:
    spot = place.fresh()
    fs = spot.fs
    fs.pipe_file(spot.path("a b+c"), b"hello")
    got = fetch(urllib.request.Request(fs.sign(spot.path("a b+c"), expiration=60)), place)
    assert got == (200, b"hello"), f"GET answers {got[0]}"
    put = fs.sign(spot.path("new"), expiration=60, method="PUT")
    status, _ = fetch(urllib.request.Request(put, b"sent", PLAIN, method="PUT"), place)
    assert status == 200 and spot.body("new") == b"sent", f"PUT answers {status}"


@check("a signed URL that creates, once", quick=True)
def signed_create(place: Place) -> None:
    spot = place.fresh()
    url = spot.fs.sign(spot.path("once"), expiration=60, method="PUT", IfNoneMatch="*")
    asked = {"headers": {"If-None-Match": "*", **PLAIN}, "method": "PUT"}
    first, second = (fetch(urllib.request.Request(url, body, **asked), place)[0] for body in (b"1", b"2"))
    if first == 200 and second == 200:
        raise No("the condition is ignored: ask `fs.probe` before such a URL is given away")
    if first != 200:
        raise No(f"PUT answers {first}")
    assert second in (409, 412) and spot.body("once") == b"1", f"the second PUT answers {second}"


@check("a signed URL that was changed or is too old is refused")
def refused(place: Place) -> None:
    spot = place.fresh()
    spot.put("a", b"1")
    path, taken = spot.path("a"), []
    url = spot.fs.sign(path, expiration=60)
    other = "0" if not url.endswith("0") else "1"
    if fetch(urllib.request.Request(url[:-1] + other), place)[0] == 200:
        taken.append("one that was changed")
    short = spot.fs.sign(path, expiration=1)
    time.sleep(3)
    if fetch(urllib.request.Request(short), place)[0] == 200:
        taken.append("one that is too old")
    if taken:
        raise No(f"{' and '.join(taken)} is taken")


@check("a signed form uploads one file, of no other name and size")
def form(place: Place) -> None:
    spot, taken = place.fresh(), []
    posted = spot.fs.sign_post(spot.path("a"), fields={"Content-Type": "text/plain"}, max_size=10)
    answer = _post(posted, b"hello", place)
    if answer not in (200, 201, 204):
        raise No(f"POST answers {answer}")
    assert spot.body("a") == b"hello", "other bytes are there"
    if _post(posted, b"hello" * 3, place) in (200, 201, 204):
        taken.append("one of 15 bytes, where 10 are allowed")
    other = {**posted, "fields": {**posted["fields"], "key": f"{spot.prefix}other"}}
    if _post(other, b"hello", place) in (200, 201, 204):
        taken.append("one of another name")
    if taken:
        raise No(f"{' and '.join(taken)} is taken")


def _post(posted: Any, data: bytes, place: Place) -> int:
    fields = {**posted["fields"], "file": ("a.txt", data)}
    body, content_type = encode_multipart_formdata(fields)
    request = urllib.request.Request(posted["url"], body, {"Content-Type": content_type}, method="POST")
    return fetch(request, place)[0]
