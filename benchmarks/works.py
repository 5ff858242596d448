"""The works of both groups: what is measured, by which peers, over which endpoint."""

from __future__ import annotations

import random
from typing import Any

from .everyday.rows import ROWS
from .sizes import Sizes
from .work import ALL, CHECKED, Job, Work

SMALL = 4096
RANGE = 65536
PARQUET_KEY = "kept/columns.parquet"


def _ranges(job: Job, count: int) -> list[Any]:
    size = job.sizes.megabytes * 10**6
    generator = random.Random(11)
    starts = [generator.randrange(size - RANGE) for _ in range(count)]
    found: list[Any] = job.peer.ranges(job.sizes.large, starts, [start + RANGE for start in starts])
    return found


def small_contents(count: int) -> dict[str, bytes]:
    """The objects of the small puts, all different."""
    generator = random.Random(13)
    return {f"small-put/{n}": generator.randbytes(SMALL) for n in range(count)}


def _elsewhere(job: Job) -> Any:
    raise NotImplementedError("this work has a module of its own")


_WHOLE = ("whole", "read", lambda job: [job.peer.whole(job.sizes.large)])
_FILE = ("download", "file", lambda job: job.peer.download(job.sizes.large, job.local))
_RANDOM = ("ranges", "read", lambda job: _ranges(job, job.sizes.small))
_STREAM = ("stream", "stream", lambda job: job.sizes.large)
_FSSPEC = ("ours", "s3fs", "obstore.fsspec", "pyarrow")
_ONLY = ("ours",)
# A round trip of 25 ms and 80 MB/s a connection: there is no floor of four threads.
_FAR = tuple(peer for peer in ALL if peer != "floor")

TRANSFER_ROWS = (
    Work(
        "get",
        "GET 4 KiB, {gets} one at a time",
        "one_by_one",
        "read",
        lambda job: job.peer.one_by_one(f"small/{n}-{SMALL}" for n in range(job.sizes.gets)),
    ),
    Work(
        "cat",
        "`cat` of {small:,} x 4 KiB",
        "cat",
        "read",
        lambda job: job.peer.cat([f"small/{n}-{SMALL}" for n in range(job.sizes.small)]),
    ),
    Work("ranges", "`cat_ranges`, {small:,} x 64 KiB random", *_RANDOM),
    Work("ranges tls", "the same over TLS", *_RANDOM, endpoint="https"),
    Work("cat_file", "`cat_file` of {megabytes:,} MB", *_WHOLE, peers=CHECKED),
    Work("get_file", "`get_file` of {megabytes:,} MB", *_FILE, peers=CHECKED),
    Work("cat_file tls", "`cat_file` of {megabytes:,} MB over TLS", *_WHOLE, endpoint="https", peers=CHECKED),
    Work("get_file tls", "`get_file` of {megabytes:,} MB over TLS", *_FILE, endpoint="https", peers=CHECKED),
    Work("stream", "`open` and read by 1 MiB, {megabytes:,} MB", *_STREAM),
    Work(
        "put_file",
        "`put_file` of {upload_megabytes} MB",
        "upload",
        "upload",
        lambda job: job.peer.upload(job.source, job.key),
        peers=CHECKED,
        source="upload",
    ),
    Work(
        "find few",
        "`find` of {few_keys:,} keys",
        "find",
        "count",
        lambda job: job.peer.find("few/"),
    ),
    Work(
        "find many",
        "`find` of {many_keys:,} keys",
        "find",
        "count",
        lambda job: job.peer.find("many/"),
        peers=("ours", "s3fs", "obstore.fsspec", "obstore native", "pyarrow"),
        once=("s3fs", "obstore native", "pyarrow"),
        rounds=3,
    ),
    Work("first byte", "import and first byte, new process", "one_by_one", "first byte", _elsewhere),
    Work(
        "slow get_file",
        "25 ms: `get_file` of {slow_megabytes} MB",
        "download",
        "file",
        lambda job: job.peer.download(job.sizes.slow_large, job.local),
        endpoint="slow",
        peers=_FAR,
    ),
    Work(
        "slow ranges",
        "25 ms: `cat_ranges`, {slow_ranges} x 64 KiB random",
        "ranges",
        "read",
        lambda job: _ranges(job, job.sizes.slow_ranges),
        endpoint="slow",
        peers=_FAR,
        once=("pyarrow",),
    ),
    Work(
        "slow puts",
        "25 ms: {slow_puts} puts of 4 KiB",
        "put_many",
        "puts",
        lambda job: job.peer.put_many(small_contents(job.sizes.slow_puts)),
        endpoint="slow",
        peers=_FAR,
        once=("pyarrow",),
    ),
    Work(
        "slow find",
        "25 ms: `find` of {few_keys:,} keys",
        "find",
        "count",
        lambda job: job.peer.find("few/"),
        endpoint="slow",
        peers=_FAR,
    ),
    Work(
        "parquet",
        "`pd.read_parquet`, {parquet_megabytes} MB, all of 50 columns",
        "read_parquet",
        "frame",
        lambda job: job.peer.read_parquet(PARQUET_KEY, None),
        peers=_FSSPEC,
    ),
    Work(
        "parquet columns",
        "`pd.read_parquet`, 3 of 50 columns",
        "read_parquet",
        "frame",
        lambda job: job.peer.read_parquet(PARQUET_KEY, ["c03", "c21", "c44"]),
        peers=_FSSPEC,
    ),
    Work(
        "dask",
        "dask, {partitions} partitions written and read",
        "find",
        "dask",
        _elsewhere,
        peers=("ours", "s3fs"),
        rounds=3,
    ),
    Work(
        "quarter get_file",
        "`get_file` of a quarter of it (memory)",
        "download",
        "file",
        lambda job: job.peer.download(job.sizes.quarter, job.local),
        peers=_ONLY,
        rounds=3,
    ),
    Work(
        "quarter put_file",
        "`put_file` of a quarter of it (memory)",
        "upload",
        "upload",
        lambda job: job.peer.upload(job.source, job.key),
        peers=_ONLY,
        rounds=3,
        source="quarter",
    ),
    Work(
        "quarter stream",
        "`open` and read, a quarter of it (memory)",
        "stream",
        "stream",
        lambda job: job.sizes.quarter,
        peers=_ONLY,
        rounds=3,
    ),
)


# Everyday works first.
WORKS = (*ROWS, *TRANSFER_ROWS)


def title(work: Work, sizes: Sizes) -> str:
    """The row's name with the sizes of this run."""
    return work.title.format(**sizes.for_titles())


def by_name(name: str) -> Work:
    """The work called `name`."""
    return next(work for work in WORKS if work.name == name)
