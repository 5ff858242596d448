"""What is said once when a part of another library, which nobody promises, is not what it was."""

from __future__ import annotations

import logging
from functools import cache

logger = logging.getLogger("fsspec_guarded_s3")


@cache
def say_once(missing: str, instead: str) -> None:
    """Log what is `missing`, and what is done instead, once per process."""
    logger.warning(
        "%s is not as this version knows it: %s. Please report it, with the version of that library",
        missing,
        instead,
    )
