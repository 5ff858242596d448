"""`UPath("gs3://bucket/key")` of universal_pathlib, which finds this module by its entry point.

It is one of that library's paths for object stores: the bucket is the anchor, may be passed as `bucket=`, and
`mkdir` of what is there raises. Which protocols have an anchor is a table of the library's, which has no
other way in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import fsspec
from upath._flavour import WrappedFileSystemFlavour
from upath.implementations.cloud import CloudPath

from .._values.annotations import Self
from .._values.paths import PROTOCOLS

_TABLES = ("netloc_is_anchor", "supports_empty_parts")

for _protocol in PROTOCOLS:
    fsspec.get_filesystem_class(_protocol)  # UPath takes the rules for paths from fsspec's registry
    for _table in _TABLES:
        cast("dict[str, Any]", WrappedFileSystemFlavour.protocol_config)[_table].add(_protocol)


class GuardedS3Path(CloudPath):
    """A path of `GuardedS3FileSystem` with pathlib's verbs; storage options are its keywords."""

    __slots__ = ()

    def iterdir(self) -> Iterator[Self]:
        """The paths in this directory. ListObjectsV2; NotADirectoryError where there is none."""
        base = self.parent if self.parts[-1:] == ("",) else self
        try:
            names = cast("Any", base.fs).ls(base.path, detail=False)
        except FileNotFoundError:
            raise NotADirectoryError(str(self)) from None
        if names == [base.path]:  # an object alone
            raise NotADirectoryError(str(self))
        for name in names:
            yield base.with_segments(base.path, name.rpartition("/")[2])
