"""The filesystem must pass fsspec's abstract tests, none of which is skipped; S3 has no empty directories.

That of mv tries the local filesystem only: ours is in tests/fs/test_bulk.py and tests/fs/test_directories.py.
"""

from fsspec.tests import abstract

from .conftest import GuardedS3Fixtures


class Fixtures(GuardedS3Fixtures, abstract.AbstractFixtures):
    """Ours first, since fsspec's raise NotImplementedError."""


class TestCopy(Fixtures, abstract.AbstractCopyTests):
    """cp and copy, of files, trees, globs and lists."""


class TestGet(Fixtures, abstract.AbstractGetTests):
    """get, of files, trees, globs and lists."""


class TestPut(Fixtures, abstract.AbstractPutTests):
    """put, of files, trees, globs and lists."""


class TestPipe(Fixtures, abstract.AbstractPipeTests):
    """pipe, with and without an existing key."""


class TestOpen(Fixtures, abstract.AbstractOpenTests):
    """open, exclusively."""
