"""What stands at a local path."""

from __future__ import annotations

import os
import stat

from .parameters import Path


def is_special(path: Path) -> bool:
    """A pipe, a socket or a device: it has no size, and cannot be read again. Links are followed."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
