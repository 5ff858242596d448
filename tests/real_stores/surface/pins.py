"""Reads of objects that are replaced meanwhile: one version, or an error."""

from __future__ import annotations

import threading

from fsspec_guarded_s3 import ObjectChangedError
from tests.data import period_free
from tests.real_stores.checking import check
from tests.real_stores.place import MIB, Place, folder


@check("a reader of a replaced or deleted object raises", quick=True)
def replaced(place: Place) -> None:
    spot, data = place.fresh(), period_free(2 * MIB, seed=9)
    for change in (lambda: spot.put("a", data[::-1]), lambda: spot.fs.rm_file(spot.path("a"))):
        spot.put("a", data)
        with spot.fs.open(spot.path("a"), "rb", block_size=65536, cache_type="none") as file:
            assert file.read(10) == data[:10]
            change()
            file.seek(MIB)
            try:
                got = file.read(10)
            except (ObjectChangedError, FileNotFoundError):
                continue
            raise AssertionError(f"no error, and {'old' if got == data[MIB : MIB + 10] else 'other'} bytes")


@check("`get_file` and `cat_file` under a writer that replaces: never a mixture")
def raced(place: Place) -> None:
    spot, fs = place.fresh(), place.fs(range_size=MIB, max_concurrency=4)
    bodies = [bytes([n]) * (8 * MIB) for n in (1, 2)]
    spot.put("a", bodies[0])
    is_over = threading.Event()

    def replace() -> None:
        turn = 0
        while not is_over.wait(0.05) and turn < 40:
            turn += 1
            spot.put("a", bodies[turn % 2])

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for _ in range(6):
            _read(fs, spot.path("a"), bodies)
    finally:
        is_over.set()
        writer.join()


def _read(fs, path: str, bodies: list[bytes]) -> None:
    with folder() as here:
        for read in (lambda: fs.cat_file(path), lambda: fs.get_file(path, str(here / "got"))):
            try:
                got = read()
            except ObjectChangedError:
                continue
            whole = got if got is not None else (here / "got").read_bytes()
            assert whole in bodies, "a mixture of two versions"
