"""The command line `guarded-s3`: what runs it, and the commands cat, uploads, doctor and demo.

The other commands are in `looking` and `copying`.
"""

from __future__ import annotations

import io
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click
from fsspec.callbacks import Callback

from .._values import paths
from ..options import Options
from . import copying, looking  # noqa: F401  they have commands
from .arguments import Age, Url, as_json_option, connecting
from .demo import DemoFailedError, demo, embedded_demo
from .doctor import examine
from .failures import (
    FAILED,
    INTERRUPTED,
    complain,
    ended_by_reader,
    print_json,
    print_usage_json,
    shown,
    time_text,
    wants_json,
)
from .findings import FAILED as FAILED_CHECK
from .findings import Finding
from .group import cli, expanded, open_filesystem
from .transfers import S3Url, read_to


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):  # a key may hold what the terminal's encoding cannot say
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except BrokenPipeError:
        return ended_by_reader()
    except OSError as error:  # help, or an object of JSON, could not be printed
        complain(error)
        return FAILED


def _run(words: list[str]) -> int:
    try:
        result = cli.main(words, prog_name="guarded-s3", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:  # wrong usage: no command has seen its options yet
        if wants_json(words):
            print_usage_json(error)
        error.show()
        return error.exit_code
    except click.Abort:  # Ctrl-C before a command had begun
        return INTERRUPTED


@cli.command()
@click.argument("urls", type=Url(), nargs=-1, required=True)
@connecting
def cat(urls: tuple[S3Url, ...], options: dict[str, Any]) -> None:
    """Write objects to standard output.

    Each as one version of it: exit code 4 where it is replaced meanwhile. Of a pattern the objects alone.
    """
    fs = open_filesystem(options)
    for url in expanded(fs, urls, objects=True):
        read_to(fs, url, sys.stdout.buffer, Callback())


# --- uploads that were left behind ---


@cli.group()
def uploads() -> None:
    """List or abort uploads that were left behind.

    `uploads URL` is short for `uploads list URL`.
    """


@uploads.command("list")
@click.argument("url", type=Url())
@as_json_option
@connecting
def list_uploads(url: S3Url, as_json: bool, options: dict[str, Any]) -> None:
    """List the uploads at URL and below, oldest first."""
    found = open_filesystem(options).list_uploads(url.path)
    _print_uploads(url, "uploads", found, as_json)


@uploads.command("abort")
@click.argument("url", type=Url())
@click.option("--older-than", type=Age(), required=True, help="Like 12h, 7d; a number alone is seconds.")
@as_json_option
@connecting
def abort_uploads(url: S3Url, older_than: timedelta, as_json: bool, options: dict[str, Any]) -> None:
    """Abort the old ones at URL and below.

    Prints those that it aborted. The parts of an aborted upload are gone; the object is as it was.
    """
    aborted = open_filesystem(options).abort_uploads(url.path, older_than)
    _print_uploads(url, "aborted", aborted, as_json)


def _print_uploads(url: S3Url, title: str, found: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    names = ("upload_id", "initiated", "age", "size", "parts")
    rows = [{"url": f"{url.scheme}://{row['name']}", **{name: row[name] for name in names}} for row in found]
    if as_json:
        print_json({"ok": True, title: rows})
        return
    for row in rows:
        began = f"{time_text(row['initiated']):20}  {row['size']:>14}  {row['parts']:>5} parts"
        click.echo(f"{began}  {row['upload_id']}  {shown(row['url'])}")
    if not rows:
        click.echo(f"none {'aborted ' if title == 'aborted' else ''}at {url}", err=True)


# --- what is wrong, what it promises ---


@cli.command()
@click.argument("url", type=Url())
@click.option("--read-only", is_flag=True, help="Leave out the checks that write.")
@as_json_option
@connecting
def doctor(url: S3Url, read_only: bool, as_json: bool, options: dict[str, Any]) -> None:
    """Find out what is wrong, and what to do.

    Goes from the name of the server to what may be done at URL, and says what to do about each finding. It
    removes what it writes. Exit code 1 when a check failed.
    """
    path = paths.parse(url.path)
    checks = []
    for found in examine(Options.parse(options), path, read_only):
        checks.append(found)
        if not as_json:
            _print_finding(found)
    failed = [found for found in checks if found.status == FAILED_CHECK]
    if as_json:
        print_json({"ok": not failed, "checks": [asdict(found) for found in checks]})
    else:
        counts = Counter(found.status for found in checks)
        click.echo(", ".join(f"{count} {status}" for status, count in counts.items()))
    if failed:
        click.get_current_context().exit(FAILED)


_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}


def _print_finding(found: Finding) -> None:
    status = click.style(f"{found.status:8}", fg=_COLOURS[found.status])
    indent = " " * 22
    width = max(len(indent) + 30, min(110, shutil.get_terminal_size().columns))  # else a column of letters
    seen = click.wrap_text(shown(found.seen), width, indent, indent).lstrip()
    click.echo(f"{status} {found.name:12} {seen}")
    for line in found.remedy.splitlines():
        click.echo(click.wrap_text(f"-> {line}", width, indent, indent + "   "))


@cli.command("demo")
@click.argument("url", type=Url(), required=False)
@connecting
def show_demo(url: S3Url | None, options: dict[str, Any]) -> None:
    """Show each guarantee on real data.

    Without URL in a server of its own; with URL in a temporary folder there. Needs the extra [demo].
    """
    if options and url is None:
        raise click.UsageError("a URL like s3://bucket is needed with any other option")
    try:
        if url is None:
            embedded_demo()
        else:
            demo(options, url.path)
    except DemoFailedError as error:
        raise OSError(f"the demo FAILED: {error}") from error
