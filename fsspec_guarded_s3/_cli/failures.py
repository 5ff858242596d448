"""How a command of the command line fails: one line on standard error and an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeGuard

import click

from ..errors import (
    ConfigurationError,
    ConflictError,
    GuardedS3Error,
    ObjectChangedError,
    ObjectExistsError,
    PreconditionFailedError,
    ServerError,
    ThrottledError,
    TransportError,
    WriteOutcomeUnknownError,
)
from .guesses import OPTIONS_OF_OTHERS

OK, FAILED, USAGE, NOT_FOUND, REFUSED, DENIED, UNKNOWN, UNAVAILABLE = range(8)
# As shells report what a signal ended.
INTERRUPTED, BROKEN_PIPE = 128 + 2, 128 + 13
_CODES: tuple[tuple[tuple[type[Exception], ...], int], ...] = (  # the first that fits
    ((ConfigurationError,), USAGE),
    ((WriteOutcomeUnknownError,), UNKNOWN),
    ((PreconditionFailedError, FileExistsError), REFUSED),
    ((FileNotFoundError,), NOT_FOUND),
    ((PermissionError,), DENIED),
    ((TransportError, ServerError, ThrottledError, ConflictError), UNAVAILABLE),
    ((OSError,), FAILED),
    ((ValueError,), USAGE),
)


def exit_code(error: Exception) -> int:
    """The exit code that stands for an expected failure."""
    if _is_doubt(error):
        return UNKNOWN
    return next(code for classes, code in _CODES if isinstance(error, classes))


class Command(click.Command):
    """A command whose expected failures become a line and an exit code; with `--json` an object too.

    Options that other programs have are answered with ours.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            words = OPTIONS_OF_OTHERS.get(error.option_name.lstrip("-"))
            if words is None:
                raise
            raise click.UsageError(f"no such option {error.option_name}: {words}", ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            ctx.exit(ended_by_reader())
        except KeyboardInterrupt:
            click.echo("guarded-s3: interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except (OSError, ValueError) as error:
            if ctx.params.get("as_json"):
                print_json({"ok": False, "error": facts(error)})
            complain(error)
            ctx.exit(exit_code(error))


def ended_by_reader() -> int:
    """Whoever read our output has seen enough: the exit code for that. Nothing more can be printed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes again
    return BROKEN_PIPE


def complain(error: Exception) -> None:
    """Say what went wrong on standard error."""
    click.echo(f"guarded-s3: {shown(_message(error))}", err=True)
    if exit_code(error) in (DENIED, UNAVAILABLE) and isinstance(error, GuardedS3Error):
        click.echo("guarded-s3: to find out why: guarded-s3 doctor URL, with the same options", err=True)


def facts(error: Exception) -> dict[str, Any]:
    """What went wrong, as fields of a JSON object."""
    names = ("operation", "bucket", "key", "status", "code", "request_id")
    known = {name: value for name in names if (value := getattr(error, name, None))}
    return {"type": type(error).__name__, "message": _message(error), "exit_code": exit_code(error), **known}


def _is_doubt(error: Exception) -> bool:
    """Whether a condition failed at last, and an attempt before may have been applied."""
    return isinstance(error, PreconditionFailedError) and error.maybe_applied


def _message(error: Exception) -> str:
    if _is_of_this_machine(error):
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError) and not isinstance(error, GuardedS3Error) and error.strerror:
        return str(error.strerror)  # without its number
    if _is_doubt(error):
        return f"{error}; an answer was lost before, so ours may have been there, too"
    if isinstance(error, ObjectExistsError):
        return f"s3://{error.bucket}/{error.key} exists already"
    if isinstance(error, ObjectChangedError) and error.code == "PreconditionFailed":
        return f"s3://{error.bucket}/{error.key} is another version by now: its ETag is a different one"
    if isinstance(error, GuardedS3Error):  # and not in what names the object
        return str(error).replace(error.message, in_words_of_the_shell(error.message), 1)
    return str(error)


# Verbs and options of the library that have other names here, as messages name them.
_MKDIR = re.compile(r"\bby mkdir only\b")
_FLAGS = re.compile(
    r"(?:\b(?:pass|set|storage option) )?\b(?:(endpoint_url|addressing_style)|(anon|allow_http)=True)\b"
    r"|(?<=set )(region)\b"
)


def in_words_of_the_shell(message: str) -> str:
    """A message of the library, with the commands and flags of the command line for its verbs and options."""

    def flag(found: re.Match[str]) -> str:
        name = next(filter(None, found.groups()))
        before = found[0].partition(" ")[0] + " " if found[0].startswith(("pass ", "set ")) else ""
        return f"{before}--{name.replace('_', '-')}"

    return _FLAGS.sub(flag, _MKDIR.sub("by guarded-s3 mb only", message))


def wants_json(words: Sequence[str]) -> bool:
    """Whether the `words` of a command line, which could not be understood, ask for JSON."""
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def print_usage_json(error: click.ClickException) -> None:
    """The object of a command that was called in a wrong way."""
    told = {"type": type(error).__name__, "message": error.format_message(), "exit_code": error.exit_code}
    print_json({"ok": False, "error": told})


def _is_of_this_machine(error: Exception) -> TypeGuard[OSError]:
    """Whether it is about a local file, which it names."""
    return isinstance(error, OSError) and not isinstance(error, GuardedS3Error) and error.filename is not None


def print_json(document: dict[str, Any]) -> None:
    """One JSON object on standard output; times in UTC as ISO 8601."""
    click.echo(json.dumps(document, indent=2, default=_jsonable))


def _jsonable(value: Any) -> Any:
    return time_text(value) if isinstance(value, datetime) else str(value)


def time_text(moment: datetime | None) -> str:
    """UTC as ISO 8601, to the second; "-" where there is none."""
    return "-" if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def shown(text: object) -> str:
    """On one line and without escape sequences: a key, or what a store says, may hold any character."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(text))
