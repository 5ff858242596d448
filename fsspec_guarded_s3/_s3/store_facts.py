"""What a bucket was found to do, by where its requests go: kept in the process, for all clients.

Facts are which conditions it honours, which headers it refuses, whether it has versions, and that a store
answers there. Its region is none of them: `_auth.endpoints` keeps that.

A store or the front end before it may be replaced while a process runs. So an answer about a condition counts
for an hour (`GUARD_SECONDS`), a "yes" as well as a "no"; then it is tried again.

Invariants: no lock is held while a request is under way; what was learned before the bucket had versions does
not count afterwards.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from .._auth.endpoints import Endpoint
from .._forks import renew_after_fork

GUARD_SECONDS = 3600.0  # that the answer of a trial counts


@dataclass(slots=True)
class StoreFacts:
    """One bucket at one endpoint.

    `guards` are the answers of trials, with the time of each by `time.monotonic()`, `unquoted` the guards
    that hold for an ETag without quotes only, `running` the trials under way. `pins_as_rgw` says that
    CopyObject is pinned by a header of Ceph RGW's. `refused` names, by operation, optional headers that are
    not implemented, `looked_for` those of which was looked whether the store keeps them. `keeps_directories`
    says that a directory stays when its last key goes, as on SeaweedFS. `listed` is when a
    listing proved that a store answers there, by `time.monotonic()`: looked for where other answers do not
    tell. `age` grows when the bucket changes.
    """

    guards: dict[str, tuple[bool, float]] = field(default_factory=dict)
    unquoted: set[str] = field(default_factory=set)
    running: dict[str, tuple[object, Future[bool]]] = field(default_factory=dict)
    pins_as_rgw: bool = False
    refused: dict[str, frozenset[str]] = field(default_factory=dict)
    looked_for: set[tuple[str, str]] = field(default_factory=set)
    has_versions: bool = False
    keeps_directories: bool = False
    listed: float = float("-inf")
    age: int = 0
    lock: Any = field(default_factory=threading.RLock)

    def guard(self, name: str) -> bool | None:
        """What a trial of `name` found, None where none was made, or too long ago."""
        found = self.guards.get(name)
        return found[0] if found is not None and time.monotonic() - found[1] < GUARD_SECONDS else None

    def change(self) -> None:
        """The bucket is not what it was: forget the answers about its guards."""
        with self.lock:
            self.age += 1
            self.guards.clear()
            self.unquoted.clear()

    def see_version(self) -> None:
        """An answer carried a version id. RGW, for one, honours conditions only where there are none."""
        if not self.has_versions:
            with self.lock:
                if not self.has_versions:
                    self.has_versions = True
                    self.change()

    def see_listing(self) -> None:
        """A listing proved that a store answers there."""
        self.listed = time.monotonic()

    def seconds_since_listed(self) -> float:
        """Seconds since a listing proved that; infinite where none did."""
        return time.monotonic() - self.listed

    def leave_out(self, operation: str, names: frozenset[str]) -> None:
        """Requests of `operation` fared better without the headers `names`."""
        global _refusing
        with self.lock:
            self.refused[operation] = self.refused.get(operation, frozenset()) | names
            _refusing = True


_all: dict[tuple[str, str, int, str, str, str, str], StoreFacts] = {}
_refusing = False


def facts_of(endpoint: Endpoint, bucket: str) -> StoreFacts:
    """What is known of `bucket` where `endpoint` is, as it is talked to.

    Its region says nothing about what it does.
    """
    where = (endpoint.scheme, endpoint.host, endpoint.port, endpoint.netloc, endpoint.base_path)
    key = (*where, endpoint.dialect.name, bucket)
    found = _all.get(key)
    return found if found is not None else _all.setdefault(key, StoreFacts())


def is_any_refusing() -> bool:
    """Whether some store of this process refused an optional header: else nobody needs to look."""
    return _refusing


def _renew() -> None:
    for facts in list(_all.values()):
        facts.lock = threading.RLock()
        facts.running = {}  # the trials of the parent's threads end there


renew_after_fork(_renew)
