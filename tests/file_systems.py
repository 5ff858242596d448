"""What the file system of a folder offers."""

import os
from pathlib import Path


def offers_nameless(folder: Path) -> bool:
    """Whether the file system of that folder has files without a name."""
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR))
    except (AttributeError, OSError):
        return False
    return True
