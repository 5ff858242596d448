"""Names of objects that need escaping somewhere on their way."""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Sequence

from botocore.exceptions import ClientError

from fsspec_guarded_s3 import GuardedS3Error
from tests.real_stores.checking import No, check
from tests.real_stores.place import Place, Spot, fetch

PLAIN = ["a b", "a+b", "100%", "%2F", "h#t", "q?x=1", "q?versionId=1", "ü", "日本語", "😀", "a&b<c>\"d'"]
PLAIN += ["a=b", "a:b", "a;b", "a,b", "a@b", "a*b", "[x]", "{y}", "~t", "$v", "^", "`", "(p)", "!", ".hidden"]
PLAIN += [" lead", "trail ", "trail.", "e\u0301", "\u2028ls", "con", "x" * 255, "d/" * 100 + "z"]
SLASHES = ["a//b", "//lead", "a/./b", "a/../b", "back\\slash"]
CONTROL = ["tab\tx", "nl\nx", "cr\rx", "ctl\x01x", "del\x7fx"]


@check("odd names: spaces, `%`, `?`, umlauts, emoji and 30 more", quick=True)
def odd_names(place: Place) -> None:
    _try_all(place, PLAIN)


@check("names with `//`, `./`, `../` and a backslash", quick=True)
def odd_slashes(place: Place) -> None:
    _try_all(place, SLASHES)


@check("names with control characters", quick=True)
def control_characters(place: Place) -> None:
    _try_all(place, CONTROL)


@check("a name of 1,024 bytes", quick=True)
def longest_name(place: Place) -> None:
    spot = place.fresh()
    _try_and_remove(spot, "y" * (1024 - len(spot.prefix)))


def _try_all(place: Place, names: Sequence[str]) -> None:
    spot, refused = place.fresh(), []
    for name in names:
        try:
            _try_and_remove(spot, name)
        except (No, GuardedS3Error, OSError) as error:
            words = str(error) if isinstance(error, No) else type(error).__name__
            refused.append(f"{name[:20]!r} {words}")
            spot = place.fresh()
    if refused:
        raise No(f"{len(refused)} of {len(names)}: {'; '.join(refused)}")


def _try_and_remove(spot: Spot, name: str) -> None:
    try:
        _try(spot, name)
    finally:  # by its name: what is listed in another way could not be removed afterwards
        with contextlib.suppress(ClientError):
            version = spot.client.head_object(**spot.named(name)).get("VersionId", "null")
            which = {} if version == "null" else {"VersionId": version}  # no delete marker, which stays
            spot.client.delete_object(**spot.named(name), **which)


def _try(spot: Spot, name: str) -> None:
    fs, path, data = spot.fs, spot.path(name), name.encode()
    fs.pipe_file(path, data)
    if not fs.exists(path):
        raise No("is written and not there")
    assert fs.cat_file(path) == data, f"{name!r}: other bytes"
    found = fs.find(spot.root)
    if found != [path]:
        raise No(f"is listed as {[row.removeprefix(spot.path('')) for row in found]}")
    assert fs.info(path)["size"] == len(data)
    fs.cp_file(path, spot.path("copy"))
    assert spot.body("copy") == data, f"{name!r}: the copy has other bytes"
    status, body = fetch(urllib.request.Request(fs.sign(path, expiration=60)), spot.place)
    if (status, body) != (200, data):
        raise No(f"by a signed URL {status}")
    fs.rm([path, spot.path("copy")])
    left = fs.find(spot.root)
    if left:
        raise No("is not removed")
