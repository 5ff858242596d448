"""fsspec's cache of blocks in a local file, made safe: for `cache_type="mmap"` and for `blockcache::`.

fsspec's `MMapCache` counts blocks as there before it has them, so that after an error, and to another thread
meanwhile, it returns zeros. The cache of fsspec's `blockcache::` has more faults: it keeps blocks from one
opening to the next without a look at the version, mixes its lists of blocks with those of older versions, and
fetches missing blocks under another pin. Here blocks belong to one open file, under its pin, and
`blockcache::` keeps whole files of one version.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from contextlib import suppress

from fsspec.caching import MMapCache

from .._forks import PerProcess
from .._work import Lock


class PinnedBlocks(MMapCache):
    """Blocks that `fetch` has brought, in a temporary file or in one beside `target`.

    On closing a file with all blocks becomes `target`, any other is removed. `known_blocks` is a set of their
    numbers, in which `blockcache::` looks and to which they are added.
    """

    def __init__(
        self,
        blocksize: int,
        fetch: Callable[[int, int], bytes],
        size: int,
        target: str | None,
        known_blocks: set[int],
    ) -> None:
        self._target = target
        self._known_blocks = known_blocks
        self._lock = PerProcess(Lock)
        place = None
        if target is not None:
            with suppress(FileNotFoundError):
                os.unlink(target)  # of parts, since a whole one would have been opened instead
            place = f"{target}.{uuid.uuid4().hex}.part"
        super().__init__(blocksize, fetch, size, place, set())

    def _fetch(self, start: int | None, end: int | None) -> bytes:
        with self._lock():
            before = set(self.blocks)
            try:
                data: bytes = super()._fetch(start, end)
            except BaseException:
                self.blocks.intersection_update(before)
                raise
            self._known_blocks.update(self.blocks)
            return data

    def close(self) -> None:
        """Rename a complete file to `target`, and remove any other."""
        if self._target is None or self.location is None or not os.path.exists(self.location):
            return
        if self.blocks.issuperset(range(-(-self.size // self.blocksize))):
            os.replace(self.location, self._target)
        else:
            os.unlink(self.location)
