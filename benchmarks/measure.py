"""One measurement in a process of its own: `python -m benchmarks.measure PEER WORK...`, JSON on stdin.

Prints one line of JSON: wall seconds, CPU seconds, peak memory in bytes (of the process, and above what it
had before), and a CRC32 of what was read or stored. What is checked, is checked after the clock has stopped.
"""

from __future__ import annotations

import importlib
import io
import json
import shutil
import sys
import time
import traceback
import urllib.request
import zlib
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

from . import memory
from .counts import KINDS
from .everyday.digests import digest, folder
from .peers import peer_class
from .sizes import Sizes
from .work import EVERYDAY, Job, Work
from .works import by_name, small_contents

Figures = dict[str, float]
# What a peer still has under way arrives within this time, and is counted.
_QUIET = 0.15


def clocked(call: Callable[[], Any]) -> tuple[Any, Figures]:
    """What the call returns, and what it cost."""
    memory.forget_peak()
    before = memory.resident()
    began, used = time.perf_counter(), time.process_time()
    result = call()
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    peak = memory.peak()
    return result, {"wall": wall, "cpu": cpu, "peak": peak, "grown": peak - before}


def checksum(pieces: Iterable[Any]) -> int:
    """The CRC32 of the pieces, one after the other."""
    crc = 0
    for piece in pieces:
        crc = zlib.crc32(piece, crc)
    return crc


def measure(work: Work, job: Job) -> Figures:
    """Run the work once its peer is warm: one request made, and what reads Parquet loaded."""
    if work.group == EVERYDAY:
        return _everyday(work, job)
    job.peer.one_by_one(["small/warm-4096"])
    if work.result == "frame":
        from .frames import load

        load()
    if work.result == "stream":
        return _stream(work, job)
    result, figures = clocked(lambda: work.call(job))
    return {**figures, "check": _check(work, job, result)}


def _stream(work: Work, job: Job) -> Figures:
    """Read once by the clock, which counts bytes, and once for the checksum."""
    total = crc = 0

    def count(piece: Any) -> None:
        nonlocal total
        total += len(piece)

    def add(piece: Any) -> None:
        nonlocal crc
        crc = zlib.crc32(piece, crc)

    key = work.call(job)
    _, figures = clocked(lambda: job.peer.stream(key, count))
    if total != int(key.rpartition("-")[2]):
        raise ValueError(f"{total} bytes read")
    job.peer.stream(key, add)
    return {**figures, "check": crc}


def _everyday(work: Work, job: Job) -> Figures:
    """The same, and the requests counted."""
    for module in work.modules:
        importlib.import_module(module)
    job.peer.get_ready()
    if work.ready:
        job.prepared = work.ready(job)
    time.sleep(_QUIET)
    before = _counts(job)
    result, figures = clocked(lambda: _profiled(work, job) if job.profile else work.call(job))
    time.sleep(_QUIET)
    counted = {name: count - before[name] for name, count in _counts(job).items()}
    total = sum(counted[kind] for kind in KINDS)
    found = result() if callable(result) else result
    sizes = [
        len(content) for name in work.datasets for content in folder(f"{job.given}/every/{name}").values()
    ]
    read = {"size": sum(sizes), "objects": len(sizes)}
    return {**figures, **counted, **read, "requests": total, "check": digest(found)}


def _profiled(work: Work, job: Job) -> Any:
    import cProfile

    profile = cProfile.Profile()
    try:
        return profile.runcall(work.call, job)
    finally:
        profile.dump_stats(str(job.profile))


def _counts(job: Job) -> dict[str, int]:
    with urllib.request.urlopen(f"{job.check_url}/bench?counts") as answer:
        found: dict[str, int] = json.load(answer)
    return found


def _check(work: Work, job: Job, result: Any) -> int:
    if work.result == "read":
        return checksum(result)
    if work.result == "count":
        return len(result)
    if work.result == "file":
        with open(job.local, "rb") as file:
            return checksum(iter(lambda: file.read(2**20), b""))
    if work.result == "upload":
        with open(job.source, "rb") as file:
            return stored(f"{job.check_url}/bench/{job.key}", file)
    if work.result == "puts":
        contents = small_contents(job.sizes.slow_puts)
        for key, content in contents.items():
            stored(f"{job.check_url}/bench/{key}", io.BytesIO(content))
        return checksum(contents.values())
    from .frames import checksum_of

    return checksum_of(result)


def stored(url: str, sent: BinaryIO) -> int:
    """Compare what the server says it got, part by part, with what was sent; the CRC32 of all."""
    with urllib.request.urlopen(f"{url}?parts") as answer:
        parts = [tuple(map(int, part.split(":"))) for part in answer.read().decode().split(",")]
    whole = 0
    for size, crc in parts:
        data = sent.read(size)
        if len(data) != size or zlib.crc32(data) != crc:
            raise ValueError(f"{url}: other bytes were stored than were sent")
        whole = zlib.crc32(data, whole)
    if sent.read(1):
        raise ValueError(f"{url}: not all bytes were stored")
    return whole


def _measured(peer: str, name: str, given: dict[str, Any]) -> Figures:
    work = by_name(name)
    more = dict(given)
    sizes = Sizes(**more.pop("sizes"))
    url, ca = more.pop("url"), more.pop("ca")
    if work.result == "dask":
        from .cluster import measure_dask

        return measure_dask(peer_class(peer), url, ca, sizes.partitions, more["key"])
    return measure(work, Job(peer=peer_class(peer)(url, ca), sizes=sizes, **more))


def _together(peer: str, names: list[str], given: dict[str, Any]) -> None:
    """Several works in one process, for a quick look: a line of JSON each, what raises is told in it."""
    for number, name in enumerate(names):
        shutil.rmtree(given["local"], ignore_errors=True)
        figures = _told(peer, name, {**given, "key": f"{given['key']}-{number}"})
        print(json.dumps({"work": name, **figures}), flush=True)


def _told(peer: str, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The figures; {"error": ...} when the peer raises."""
    try:
        return dict(_measured(peer, name, given))
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Measure, and print a line for each work."""
    peer, *names = sys.argv[1:]
    given = json.load(sys.stdin)
    if len(names) > 1:
        _together(peer, names, given)
    else:
        print(json.dumps(_told(peer, names[0], given)))


if __name__ == "__main__":
    main()
