"""Import and first byte: `python -m benchmarks.first_byte PEER URL CA`, by the clock from line one.

Imports as little as it can, so that a peer pays for what it loads itself.
"""

import time

_BEGAN, _USED = time.perf_counter(), time.process_time()

import sys  # noqa: E402

from benchmarks.peers import peer_class  # noqa: E402


def main() -> None:
    """Measure, and print wall seconds, CPU seconds and the bytes' CRC32."""
    name, url, ca = sys.argv[1:]
    data = peer_class(name)(url, ca).one_by_one(["small/first-1"])[0]
    wall, cpu = time.perf_counter() - _BEGAN, time.process_time() - _USED
    import json
    import zlib

    from benchmarks.memory import peak

    print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak(), "grown": peak(), "check": zlib.crc32(data)}))


if __name__ == "__main__":
    main()
