"""Objects that works write or change: put there before the clock starts, and compared when it has stopped."""

from __future__ import annotations

import random
import re
import urllib.request
from typing import Any

from ..uploads import KEPT
from ..work import Job
from .shapes import Shapes


def contents(shapes: Shapes) -> dict[str, bytes]:
    """The small files that `put` writes."""
    generator = random.Random(shapes.seed + 30)
    return {
        f"{n % 3}/file-{n:03d}.bin": generator.randbytes(generator.randint(shapes.small // 50, shapes.small))
        for n in range(shapes.moved)
    }


def put(job: Job) -> list[str]:
    """Write them below this job's own folder, by no peer; their names."""
    for name, content in contents(job.sizes.shapes).items():
        url = f"{job.check_url}/bench/{KEPT}{job.key}/from/{name}"
        urllib.request.urlopen(urllib.request.Request(url, content, method="PUT")).close()
    return list(contents(job.sizes.shapes))


def stored(job: Job) -> Any:
    """What is below this job's own folder now: names, ETags and sizes.

    Markers of folders, which some peers write, are left out.
    """
    url = f"{job.check_url}/bench?list-type=2&prefix={KEPT}{job.key}/"
    with urllib.request.urlopen(url) as answer:
        found = re.findall(r"<Key>(.*?)</Key>.*?<ETag>(.*?)</ETag><Size>(.*?)</Size>", answer.read().decode())
    return [[key.partition(job.key)[2], tag, size] for key, tag, size in found if not key.endswith("/")]
