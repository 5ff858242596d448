"""Bytes to test with."""

import random


def period_free(size: int, seed: int = 0) -> bytes:
    """Return `size` bytes that do not repeat, the same ones for the same seed.

    A pattern such as b"abc" * n looks right when two parts are swapped or a range is off by a
    multiple of its period. These bytes look wrong.
    """
    return random.Random(seed).randbytes(size)
