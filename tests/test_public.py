"""The public names: what may be imported, and will be there in the next version too."""

import inspect
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import get_type_hints

import pytest

import fsspec_guarded_s3
from fsspec_guarded_s3 import GuardedS3FileSystem, errors, filesystem

PACKAGE = Path(fsspec_guarded_s3.__file__).parent
PUBLIC = ("errors", "filesystem", "options", "s3fs_alias")
MODULES = ["fsspec_guarded_s3", *(f"fsspec_guarded_s3.{name}" for name in PUBLIC)]


def test_the_version_is_that_of_the_distribution() -> None:
    assert fsspec_guarded_s3.__version__ == version("fsspec_guarded_s3")


def test_no_other_module_is_public() -> None:
    """But those that libraries find by their entry points."""
    found = {path.stem for path in PACKAGE.iterdir() if not path.name.startswith((".", "_"))}
    assert found == {"errors", "filesystem", "integrations", "options", "py", "s3fs_alias"}


@pytest.mark.parametrize("module", MODULES)
def test_a_public_module_says_which_of_its_names_are_public(module: str) -> None:
    found = import_module(module)
    assert list(found.__all__) == sorted(found.__all__)
    assert not [name for name in found.__all__ if not hasattr(found, name)]


@pytest.mark.parametrize("module", MODULES)
def test_what_is_public_explains_itself(module: str) -> None:
    found = import_module(module)
    public = {name: getattr(found, name) for name in found.__all__ if name != "__version__"}
    assert not [name for name, value in public.items() if not inspect.getdoc(value)]


def _verbs() -> list[str]:
    """The public methods that the filesystem has of its own."""
    kinds = (staticmethod, classmethod)
    found = vars(GuardedS3FileSystem).items()
    return [
        name
        for name, value in found
        if name[:1] != "_" and (inspect.isfunction(value) or isinstance(value, kinds))
    ]


@pytest.mark.parametrize("name", _verbs())
def test_the_docstring_of_a_verb_names_each_argument(name: str) -> None:
    """All but the path or bucket that it is about; S3's names of attributes are listed in docs/options.md."""
    verb = getattr(GuardedS3FileSystem, name)
    text = inspect.getdoc(verb) or ""
    arguments = set(inspect.signature(verb).parameters) - {"self", "path", "bucket", "kwargs", "kw_args"}
    assert {
        argument for argument in arguments if not re.search(rf"`{argument}`|\b{argument}=", text)
    } == set()
    assert text.partition("\n")[0].endswith((".", ":", '"'))


def test_the_package_has_all_errors_and_nothing_else_that_is_not_meant() -> None:
    known = {name for name, value in vars(errors).items() if inspect.isclass(value) and name[:1] != "_"}
    assert known - {"Any", "ClassVar", "Mapping", "Sequence", "MappingProxyType"} == set(errors.__all__)
    found = {
        name
        for name, value in vars(fsspec_guarded_s3).items()
        if not name.startswith("_") and name != "annotations" and not inspect.ismodule(value)
    }
    found -= {"Any", "Callable", "TYPE_CHECKING"}
    events = {"Event", "Listening", "Trace", "TraceRow", "events", "trace"}
    assert found == {*errors.__all__, *events, "GuardedS3FileSystem", "register"}
    assert found | {"__version__", "AttemptEvent", "OperationEvent"} == set(fsspec_guarded_s3.__all__)


def test_what_type_checkers_need_is_not_needed_at_run_time() -> None:
    """typing_extensions is no dependency; type checkers bring it."""
    code = "import sys; sys.modules['typing_extensions'] = None; import fsspec_guarded_s3"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)


def test_the_types_of_signatures_can_be_read_at_run_time() -> None:
    """As those do who make command lines and checks of them: typer, pydantic, Sphinx."""
    public = vars(filesystem)
    read = 0
    for name in filesystem.__all__:
        for _, member in inspect.getmembers(public[name], inspect.isfunction):
            if member.__module__.startswith(fsspec_guarded_s3.__name__):
                get_type_hints(member)
                read += 1
    assert read > 200
    assert get_type_hints(filesystem.GuardedS3FileSystem.__init__)["max_concurrency"] is int
