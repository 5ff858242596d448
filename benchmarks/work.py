"""What a work is: one row of a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .peers import LOCAL, PEERS, PLAIN
from .sizes import Sizes

# The plain install takes part where much is checked by CRC32.
CHECKED = tuple(peer for peer in PEERS if peer != LOCAL)
ALL = tuple(peer for peer in CHECKED if peer != PLAIN)
TRANSFERS, EVERYDAY = "transfers", "everyday"


@dataclass
class Job:
    """What a work gets: a peer, the sizes, and local files (`local` to write, `source` to upload)."""

    peer: Any
    sizes: Sizes
    local: str
    source: str
    key: str
    check_url: str
    given: str = ""  # the folder of the data sets
    prepared: Any = None  # what the work's `ready` returned
    profile: str | None = None  # the file of a profile


@dataclass(frozen=True)
class Work:
    """One row of the table.

    `verb` is what a peer must offer. `rounds` limits what is slow; a peer of `once` is measured once.
    `result` says how the outcome is checked: "read" bytes, a "file", an "upload", "puts", "count", "frame",
    or "digest" (see `everyday.digests`). A "stream" is read by `measure` and its `call` names the key; "first
    byte" and "dask" have modules of their own.
    """

    name: str
    title: str
    verb: str
    result: str
    call: Callable[[Job], Any]
    endpoint: str = "http"
    peers: tuple[str, ...] = ALL
    rounds: int = 100
    once: tuple[str, ...] = ()
    source: str = ""  # which local file is uploaded: "upload" or "quarter"
    group: str = TRANSFERS
    datasets: tuple[str, ...] = ()  # of `everyday.datasets`
    modules: tuple[str, ...] = ()  # imported before the clock starts
    ready: Callable[[Job], object] | None = None  # what is done before the clock starts
