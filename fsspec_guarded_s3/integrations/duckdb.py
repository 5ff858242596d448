"""A filesystem for `duckdb.connect().register_filesystem(...)`.

DuckDB calls `ls(path)` and wants dicts, where most filesystems of fsspec give names. It keeps what it reads
of names that it takes for remote ones, such as those of `s3://`.
"""

from __future__ import annotations

from typing import Any

from .._values import paths as _paths
from ..filesystem import GuardedS3FileSystem


class DuckDBFileSystem(GuardedS3FileSystem):
    """`GuardedS3FileSystem` for DuckDB: `ls` gives dicts unless names are asked for, and `s3://` is ours."""

    protocol = ("s3", *_paths.PROTOCOLS)

    def ls(self, path: Any, detail: bool = True, *args: Any, **kwargs: Any) -> Any:
        """What `GuardedS3FileSystem.ls` tells, with `detail` unless it is False."""
        return super().ls(path, detail, *args, **kwargs)
