"""The public names: what `from fsspec_guarded_s3 import ...` promises."""

import inspect
from importlib.metadata import version

import fsspec_guarded_s3


def test_the_version_is_that_of_the_distribution() -> None:
    assert fsspec_guarded_s3.__version__ == version("fsspec_guarded_s3")


def test_all_names_are_there_and_no_others() -> None:
    found = {
        name
        for name, value in vars(fsspec_guarded_s3).items()
        if not name.startswith("_") and name != "annotations" and not inspect.ismodule(value)
    }
    assert found | {"__version__"} == set(fsspec_guarded_s3.__all__)
    assert fsspec_guarded_s3.__all__ == sorted(fsspec_guarded_s3.__all__)
