"""The public names: what `from fsspec_guarded_s3 import ...` promises."""

import inspect
import subprocess
import sys
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


def test_what_type_checkers_need_is_not_needed_at_run_time() -> None:
    """typing_extensions is no dependency; type checkers bring it."""
    code = "import sys; sys.modules['typing_extensions'] = None; import fsspec_guarded_s3"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
