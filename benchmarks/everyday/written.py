"""Objects that works write or change: put there before the clock starts, and compared when it has stopped."""

from __future__ import annotations

import random
import re
import urllib.request
from typing import Any

from ..uploads import KEPT
from ..work import Job


def names(job: Job) -> list[str]:
    """The small files that `put` writes."""
    return [f"{n % 3}/file-{n:03d}.bin" for n in range(job.sizes.shapes.moved)]


def put(job: Job) -> None:
    """Small files below this job's own folder."""
    shapes = job.sizes.shapes
    generator = random.Random(shapes.seed + 30)
    for name in names(job):
        content = generator.randbytes(generator.randint(shapes.small // 50, shapes.small))
        url = f"{job.check_url}/bench/{KEPT}{job.key}/from/{name}"
        urllib.request.urlopen(urllib.request.Request(url, content, method="PUT")).close()


def stored(job: Job) -> Any:
    """What is below this job's own folder now: names, ETags and sizes.

    Markers of folders, which some peers write, are left out.
    """
    url = f"{job.check_url}/bench?list-type=2&prefix={KEPT}{job.key}/"
    with urllib.request.urlopen(url) as answer:
        found = re.findall(r"<Key>(.*?)</Key>.*?<ETag>(.*?)</ETag><Size>(.*?)</Size>", answer.read().decode())
    return [[key.partition(job.key)[2], tag, size] for key, tag, size in found if not key.endswith("/")]
