"""One measurement in a process of its own: `python -m benchmarks.measure PEER WORK URL MEGABYTES`.

Prints one line of JSON: wall seconds, CPU seconds, peak resident bytes, and a CRC32 of what was read.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from typing import Any

SMALL = 4096
SMALL_COUNT = 1000


def filesystem(peer: str, url: str) -> Any:
    """The peer's fsspec filesystem, with one request made so that connections and credentials are there."""
    if peer == "ours":
        from fsspec_guarded_s3 import GuardedS3FileSystem

        return GuardedS3FileSystem(key="k", secret="s", endpoint_url=url, region="us-east-1")
    if peer == "s3fs":
        import s3fs

        return s3fs.S3FileSystem(
            key="k", secret="s", endpoint_url=url, client_kwargs={"region_name": "us-east-1"}
        )
    if peer == "obstore.fsspec":
        from obstore.fsspec import FsspecStore

        return FsspecStore(
            "s3",
            access_key_id="k",
            secret_access_key="s",
            endpoint=url,
            region="us-east-1",
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import S3FileSystem

    host = url.removeprefix("http://")
    return ArrowFSWrapper(
        S3FileSystem(
            access_key="k", secret_key="s", endpoint_override=host, scheme="http", region="us-east-1"
        )
    )


def work(name: str, fs: Any, megabytes: int, local: str) -> Callable[[], Any]:
    """The measured call; what it returns is checksummed outside of the clock."""
    large = f"bench/large-{megabytes * 10**6}"
    if name == "GET 4 KiB, one at a time":
        return lambda: [fs.cat_file(f"bench/{n}-{SMALL}") for n in range(300)]
    if name == "cat 1,000 x 4 KiB":
        paths = [f"bench/{n}-{SMALL}" for n in range(SMALL_COUNT)]
        return lambda: [data for _, data in sorted(fs.cat(paths).items())]
    if name == "cat_file, large":
        return lambda: [fs.cat_file(large)]
    if name == "get_file, large":
        return lambda: fs.get_file(large, local)
    if name == "put_file, large":
        return lambda: fs.put_file(local, "bench/up")
    return lambda: [str(len(fs.find("bench/many"))).encode()]


def main() -> None:
    """Measure, and print the line."""
    peer, name, url, megabytes = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    if name == "import and instance":
        began, cpu = time.perf_counter(), time.process_time()
        filesystem(peer, url)
        wall, used = time.perf_counter() - began, time.process_time() - cpu
        peak, crc = _peak(), 0
    else:
        fs = filesystem(peer, url)
        fs.cat_file(f"bench/warm-{SMALL}")
        shared = "/dev/shm"
        with tempfile.TemporaryDirectory(dir=shared if os.path.isdir(shared) else None) as folder:
            local = os.path.join(folder, "large")
            if name == "put_file, large":
                from benchmarks.server import data

                with open(local, "wb") as file:
                    for _ in range(megabytes):
                        file.write(data(10**6))
            call = work(name, fs, megabytes, local)
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # forget the peak so far (proc(5))
            began, cpu = time.perf_counter(), time.process_time()
            result = call()
            wall, used = time.perf_counter() - began, time.process_time() - cpu
            peak = _peak()
            crc = _checksum(result, local if name == "get_file, large" else None)
    print(json.dumps({"wall": wall, "cpu": used, "peak": peak, "crc": crc}))


def _peak() -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _checksum(result: Any, local: str | None) -> int:
    crc = 0
    if local is not None:
        with open(local, "rb") as file:
            while chunk := file.read(2**20):
                crc = zlib.crc32(chunk, crc)
    for data in result or ():
        crc = zlib.crc32(data, crc)
    return crc


if __name__ == "__main__":
    main()
