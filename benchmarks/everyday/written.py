"""Objects that works write or change: put there before the clock starts, and compared when it has stopped."""

from __future__ import annotations

import random
import re
import urllib.request
from urllib.parse import quote

from ..uploads import KEPT
from ..work import Job
from .shapes import Shapes


def contents(shapes: Shapes) -> dict[str, bytes]:
    """The small files that `put` writes."""
    generator = random.Random(shapes.seed + 30)
    return {
        f"{n % 3}/file-{n:03d}.bin": generator.randbytes(
            generator.randint(shapes.largest // 50, shapes.largest)
        )
        for n in range(shapes.moved)
    }


def put(job: Job) -> list[str]:
    """Write them below this job's own folder, by no peer; their names."""
    for name, content in contents(job.sizes.shapes).items():
        url = f"{job.check_url}/bench/{KEPT}{job.key}/from/{name}"
        urllib.request.urlopen(urllib.request.Request(url, content, method="PUT")).close()
    return list(contents(job.sizes.shapes))


def stored(job: Job) -> dict[str, bytes]:
    """What is below this job's own folder now. Markers of folders, which some peers write, are left out."""
    with urllib.request.urlopen(f"{job.check_url}/bench?list-type=2&prefix={KEPT}{job.key}/") as answer:
        keys = re.findall(r"<Key>(.*?)</Key>", answer.read().decode())
    found = {}
    for key in keys:
        if not key.endswith("/"):
            with urllib.request.urlopen(f"{job.check_url}/bench/{quote(key)}") as answer:
                found[key.partition(job.key)[2]] = answer.read()
    return found
