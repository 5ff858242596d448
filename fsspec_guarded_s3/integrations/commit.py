"""Commits: many objects of S3 that change together, by conditional creates alone.

    from fsspec_guarded_s3.integrations.commit import CommitLog, Pointer, Table

- `Table`: objects that change together, whose readers see all of a commit or nothing of it;
- `CommitLog`: an append-only log, whose numbers are given once each;
- `Pointer`: a value that changes by compare-and-swap.

docs/commits.md says what each promises, and what it costs.
"""

from __future__ import annotations

from .commit_log import CommitLog, LogEntry
from .commit_pointer import Pointer, PointerState
from .commit_snapshot import DataObject, Snapshot, SnapshotFileSystem
from .commit_table import Table
from .commit_transaction import TableTransaction

__all__ = [
    "CommitLog",
    "DataObject",
    "LogEntry",
    "Pointer",
    "PointerState",
    "Snapshot",
    "SnapshotFileSystem",
    "Table",
    "TableTransaction",
]

for _kind in (
    CommitLog,
    DataObject,
    LogEntry,
    Pointer,
    PointerState,
    Snapshot,
    SnapshotFileSystem,
    Table,
    TableTransaction,
):
    _kind.__module__ = __name__
