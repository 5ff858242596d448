"""`UPath("gs3://bucket/key")` of universal_pathlib, which finds this module by its entry point.

Its own class for filesystems that it does not know does all that S3 needs, and warns that it is untested.
"""

from __future__ import annotations

import fsspec
from upath import UPath

from .._values.paths import PROTOCOLS

for _protocol in PROTOCOLS:
    fsspec.get_filesystem_class(_protocol)  # UPath takes the rules for paths from fsspec's registry


class GuardedS3Path(UPath):
    """A path of `GuardedS3FileSystem` with pathlib's verbs; storage options are its keywords."""

    __slots__ = ()
