"""Type checkers, as users run them, find mistakes in a program and nothing in one that is right."""

import functools
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import fsspec_guarded_s3
from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._fs import rows
from fsspec_guarded_s3._values import parameters
from fsspec_guarded_s3._values.answer_fields import ANSWER_HEADERS
from fsspec_guarded_s3._values.attribute_values import BUCKET_ACLS, CANNED_ACLS, ENCRYPTIONS
from fsspec_guarded_s3._values.models import ListedObject, ObjectInfo, ObjectVersion
from fsspec_guarded_s3._values.paths import S3Path
from fsspec_guarded_s3._values.s3_parameters import PARAMETERS

PACKAGE = Path(fsspec_guarded_s3.__file__).parent
PROGRAMS = Path(__file__).parent / "typed"
Lines = dict[int, str]


def mypy(program: Path, cache: Path) -> Lines:
    """Its errors, by line."""
    pytest.importorskip("mypy")
    options = ["--strict", "--config-file", os.devnull, "--cache-dir", str(cache), "--no-error-summary"]
    options += ["--hide-error-context", "--no-color-output", "--python-executable", sys.executable]
    ran = _run([sys.executable, "-m", "mypy", *options, str(program)])
    assert ran.returncode in (0, 1), ran.stderr
    found = re.findall(rf"{re.escape(program.name)}:(\d+): error: (.*)", ran.stdout)
    assert bool(found) == bool(ran.returncode), ran.stdout
    return {int(line): message for line, message in found}


@functools.cache
def pyright_command() -> list[str]:
    """How pyright is run. What pip installs is a wrapper, which fetches pyright when it first runs."""
    pytest.importorskip("pyright", reason="pyright is not installed")
    command = [sys.executable, "-m", "pyright"]
    ran = _run([*command, "--version"])
    if ran.returncode:
        pytest.skip(f"pyright does not run here: {(ran.stderr or ran.stdout).strip()[-200:]}")
    return command


def pyright(program: Path, cache: Path) -> Lines:
    """Its errors, by line."""
    ran = _run([*pyright_command(), "--outputjson", "--pythonpath", sys.executable, str(program)])
    found = json.loads(ran.stdout)["generalDiagnostics"]
    errors = [item for item in found if item["severity"] == "error"]
    return {item["range"]["start"]["line"] + 1: item["message"] for item in errors}


def _run(command: list[str], folder: Path = PROGRAMS, **variables: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "MYPYPATH": ""} | variables
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=500)


# Their classes inherit from those of other libraries, of which a checker may know nothing.
OTHERS = (f"{PACKAGE.name}.integrations.", f"{PACKAGE.name}.s3fs_alias.")


def completeness() -> float:
    """How much of what the package exports has a type that is known, from 0 to 1, as pyright sees it."""
    options = ["--outputjson", "--pythonpath", sys.executable, "--ignoreexternal"]
    ran = _run([*pyright_command(), *options, "--verifytypes", PACKAGE.name])
    symbols = json.loads(ran.stdout)["typeCompleteness"]["symbols"]
    known = [
        symbol["isTypeKnown"]
        for symbol in symbols
        if symbol["isExported"] and not symbol["name"].startswith(OTHERS)
    ]
    return sum(known) / len(known)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For mypy, which need not read the standard library for each program."""
    return tmp_path_factory.mktemp("mypy")


CHECKERS = pytest.mark.parametrize("check", [mypy, pyright])


@CHECKERS
def test_a_program_that_is_right_has_no_errors(check: Callable[..., Lines], cache: Path) -> None:
    assert check(PROGRAMS / "right.py", cache) == {}


@CHECKERS
def test_every_mistake_is_found(check: Callable[..., Lines], cache: Path) -> None:
    program = PROGRAMS / "wrong.py"
    lines = enumerate(program.read_text().splitlines(), 1)
    mistakes = {number: line for number, line in lines if "# mistake: " in line}
    assert len(mistakes) > 40
    found = check(program, cache)
    assert not {number: line for number, line in mistakes.items() if number not in found}
    assert not {number: error for number, error in found.items() if number not in mistakes}


def test_the_types_are_complete() -> None:
    """All but the classes that inherit from fsspec's, which say nothing of types."""
    assert completeness() > 0.95


def test_what_is_written_down_of_untyped_libraries_is_what_they_have(tmp_path: Path) -> None:
    """By the versions that are installed; a parameter that is new there is none of ours."""
    pytest.importorskip("mypy")
    known = tmp_path / "known"
    known.write_text(
        "fsspec.spec._Cached.*\n"
        "fsspec.spec.AbstractBufferedFile.readlines?\n"  # io.IOBase has a parameter more
        "fsspec.mapping.FSMap.pop\n"
    )
    options = ["--concise", "--ignore-missing-stub", "--ignore-unused-allowlist", "--allowlist", str(known)]
    ran = _run(
        [sys.executable, "-m", "mypy.stubtest", "fsspec", *options],
        tmp_path,  # where it leaves its cache
        MYPYPATH=str(Path(__file__).parent / "stubs"),
    )
    assert not [line for line in ran.stdout.splitlines() if "stub does not have parameter" not in line]
    assert ran.returncode in (0, 1) and not ran.stderr


# --- what type checkers are told is what the code does ---


def test_the_parameters_of_s3_are_those_that_are_checked() -> None:
    access = {name for name, item in PARAMETERS.items() if item.kind == "access"}
    of_copies = {name for name, item in PARAMETERS.items() if item.kind in ("copy", "copying")}
    of_copies |= {name for name in access if name.startswith(("CopySource", "ExpectedSource"))}
    assert set(parameters.Reading.__annotations__) == access - of_copies
    assert set(parameters.Writing.__annotations__) == set(PARAMETERS) - of_copies
    assert set(parameters.Copying.__annotations__) == set(PARAMETERS)


@pytest.mark.parametrize("name, hint", get_type_hints(parameters.Copying).items())
def test_the_words_of_a_parameter_are_those_that_are_accepted(name: str, hint: Any) -> None:
    words = _words(hint)
    for word in words:
        assert PARAMETERS[name].check(name, word) == word
    if words:
        with pytest.raises(ValueError, match=f"{name} must be one of"):
            PARAMETERS[name].check(name, "nothing")


def test_all_words_are_there() -> None:
    hints = get_type_hints(parameters.Writing)
    assert set(_words(hints["ACL"])) == set(CANNED_ACLS)
    assert set(_words(parameters.BucketAcl)) == set(BUCKET_ACLS)
    assert set(_words(hints["ServerSideEncryption"])) == set(ENCRYPTIONS)


def _words(hint: Any) -> list[str]:
    """The values that the Literals of a type name."""
    return [hint] if isinstance(hint, str) else [word for item in get_args(hint) for word in _words(item)]


@pytest.mark.parametrize(
    "each, verb",
    [
        (parameters.CatEach, GuardedS3FileSystem.cat_file),
        (parameters.GetEach, GuardedS3FileSystem.get_file),
        (parameters.PipeEach, GuardedS3FileSystem.pipe_file),
        (parameters.PutEach, GuardedS3FileSystem.put_file),
        (parameters.CopyEach, GuardedS3FileSystem.cp_file),
    ],
)
def test_a_verb_for_many_hands_on_what_the_verb_for_one_takes(each: Any, verb: Callable[..., Any]) -> None:
    known = list(inspect.signature(verb).parameters)
    own = {name for name in each.__annotations__ if name[:1].islower()}
    paths = {"self", "path", "path1", "path2", "rpath", "lpath", "value", "data", "callback", "kwargs"}
    assert own == set(known) - paths


def test_rows_have_the_keys_that_are_declared() -> None:
    listed = rows.listed_row("bucket", ListedObject("key", 1, '"e"', datetime.now(), "STANDARD"))
    assert set(listed) == rows.ListedInfo.__required_keys__
    assert set(rows.directory_row("bucket")) < rows.ListedInfo.__required_keys__
    version = ObjectVersion("key", "id", True, 1, '"e"', datetime.now(), "STANDARD", False)
    assert set(rows.version_row("bucket", version)) == rows.VersionInfo.__required_keys__
    assert set(version.details()) == rows.VersionDetails.__required_keys__
    headers = {header: "1" for header in ANSWER_HEADERS}
    row = rows.object_row(S3Path("bucket", "key"), ObjectInfo('"e"', 1, headers=headers))
    assert rows.Info.__required_keys__ <= set(row)
    assert set(row) | {"CreationDate"} == set(rows.Info.__annotations__)
