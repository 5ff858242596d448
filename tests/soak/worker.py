"""A process of a soak. It reads its orders as a line of JSON, says when it is ready, and what leaked."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._s3 import rates
from tests.opening import MIB, filesystem
from tests.soak.operations import Actor
from tests.soak.store import READ_TIMEOUT

POOL_THREADS = 64  # the package's own, which stay for the next work


def actor_names(processes: int, threads: int) -> list[list[str]]:
    """The names of the threads of each process; the first warms up, before there are faults."""
    return [[f"p{p}-warm", *(f"p{p}-t{t}" for t in range(threads))] for p in range(processes)]


def soak_filesystem(url: str) -> GuardedS3FileSystem:
    return filesystem(
        url,
        part_size=5 * MIB,
        multipart_threshold=5 * MIB,
        range_size=MIB // 4,
        read_timeout=READ_TIMEOUT,
        request_deadline=60,
        max_attempts=4,
        max_concurrency=8,
    )


def resources(fs: GuardedS3FileSystem) -> dict[str, int]:
    """What this process holds after idle connections were closed: threads by name, descriptors by kind."""
    fs._client.store.transport.close()
    gc.collect()
    # A thread of `_thread` that said something in the log stays listed when it has ended (Python 3.11).
    alive = sys._current_frames()
    held = Counter(
        f"thread {thread.name}"
        for thread in threading.enumerate()
        if thread.ident in alive and not thread.name.startswith("gs3")
    )
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that lists
            target = os.readlink(f"/proc/self/fd/{descriptor}")
            held[f"descriptor {target.partition(':')[0]}"] += 1
    return dict(held)


def leaked(before: dict[str, int], after: dict[str, int], folder: Path, names: list[str]) -> list[str]:
    """What is there that was not there after the warm-up; files of `names` alone, since others work on."""
    more = {name: count - before.get(name, 0) for name, count in after.items()}
    found = [f"{count} more: {name}" for name, count in more.items() if count > 0]
    pool = sum(thread.name.startswith("gs3") for thread in threading.enumerate())
    found += [f"{pool} threads in the pool"] if pool > POOL_THREADS else []
    temporary = [path.name for name in names for path in folder.glob(f".{name}.bin.*.part")]
    return found + [f"temporary file {name}" for name in temporary]


def main() -> None:
    orders = json.loads(sys.stdin.readline())
    rates.MIN_RATE = 500.0  # its refusals are drawn by lot, however few requests there are
    folder, index = Path(orders["folder"]), orders["index"]
    names = actor_names(orders["processes"], orders["threads"])
    everybody = [name for process in names for name in process]
    shared = soak_filesystem(orders["url"])
    actors = [
        Actor(name, everybody, shared, soak_filesystem(orders["url"]), folder, orders["seed"])
        for name in names[index]
    ]
    for kind in [*actors[0].kinds, *actors[0].kinds]:  # swaps and copies need something to be there
        actors[0].step(kind)
    before = resources(shared)
    print("ready", flush=True)
    sys.stdin.readline()

    deadline = time.monotonic() + orders["seconds"]

    def work(actor: Actor) -> None:
        for kind in actor.kinds:
            actor.step(kind)
        while time.monotonic() < deadline:
            actor.step()

    threads = [threading.Thread(target=work, args=(actor,), name=actor.name) for actor in actors[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = leaked(before, resources(shared), folder, names[index])
    patience = time.monotonic() + 65  # uploads that were given up are aborted in the background, within 60 s
    while found and time.monotonic() < patience:
        time.sleep(0.5)
        found = leaked(before, resources(shared), folder, names[index])
    print(json.dumps(found), flush=True)
    sys.stdin.read()  # the parent looks whether its server has connections left


if __name__ == "__main__":
    main()
