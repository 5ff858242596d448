"""The command line `guarded-s3`: its commands, and what they print. Needs the extra `[cli]`.

Invariants: data and results go to standard output, all else to standard error; with `--json` standard output
is one JSON object, after a failure too.
"""

from __future__ import annotations

import glob
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click
from fsspec.callbacks import Callback, TqdmCallback

from .._values import paths
from ..filesystem import GuardedS3FileSystem
from ..options import Options
from .arguments import Age, Location, Url, connecting
from .demo import DemoFailedError, demo, embedded_demo
from .doctor import examine
from .failures import (
    FAILED,
    INTERRUPTED,
    Command,
    complain,
    exit_code,
    facts,
    print_json,
    shown,
    time_text,
)
from .findings import FAILED as FAILED_CHECK
from .findings import Finding
from .transfers import STANDARD, Copy, Place, S3Url, plan, read_to, run

_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class _Group(click.Group):
    command_class = Command


class _Uploads(_Group):
    """`uploads URL` is short for `uploads list URL`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


_Group.group_class = _Uploads


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fsspec_guarded_s3")
def cli() -> None:
    """S3 with conditional create, pinned reads and guarded writers.

    Credentials come from where AWS's tools take them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a
    profile, SSO, the machine's role.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 exists already or has changed, 5 access
    denied, 6 unknown whether it was written, 7 the store was not reached or asks to come back later.
    """


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        result = cli.main(arguments, prog_name="guarded-s3", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:  # Ctrl-C before a command had begun
        return INTERRUPTED


def _filesystem(options: dict[str, Any]) -> GuardedS3FileSystem:
    return GuardedS3FileSystem(**options, skip_instance_cache=True)


# --- what is there ---


@cli.command()
@click.argument("url", type=Url(), required=False)
@click.option("-l", "long", is_flag=True, help="With size, time (UTC) and ETag.")
@click.option("-r", "recursive", is_flag=True, help="All objects below, and no folders.")
@_as_json
@connecting
def ls(url: S3Url | None, long: bool, recursive: bool, as_json: bool, options: dict[str, Any]) -> None:
    """List what is at URL, or the buckets."""
    if recursive and url is None:
        raise click.UsageError("-r needs a URL")
    fs = _filesystem(options)
    scheme, path = url or ("s3", "")
    rows = fs.find(path, detail=True).values() if recursive else fs.ls(path, detail=True)
    entries = [_entry(scheme, row) for row in rows]
    if url and "/" in path and not entries:
        raise FileNotFoundError(f"there is nothing at {url}")
    if as_json:
        print_json({"ok": True, "entries": entries})
        return
    for entry in entries:
        facts = f"{entry['size']:>14}  {time_text(entry['modified']):20}  {entry['etag'] or '-':34}  "
        click.echo((facts if long else "") + shown(entry["url"]))


def _entry(scheme: str, row: Mapping[str, Any]) -> dict[str, Any]:
    folder = row["type"] == "directory"
    return {
        "url": f"{scheme}://{row['name']}{'/' if folder else ''}",
        "type": row["type"],
        "size": row["size"],
        "modified": row.get("LastModified") or row.get("CreationDate"),
        "etag": row.get("ETag"),
    }


@cli.command()
@click.argument("urls", type=Url(), nargs=-1, required=True)
@connecting
def cat(urls: tuple[S3Url, ...], options: dict[str, Any]) -> None:
    """Write objects to standard output.

    Each as one version of it: exit code 4 where it is replaced meanwhile.
    """
    fs = _filesystem(options)
    for url in urls:
        read_to(fs, url, sys.stdout.buffer, Callback())


# --- copying, removing ---


@cli.command()
@click.argument("sources", type=Location(), nargs=-1, required=True)
@click.argument("target", type=Location())
@click.option("-r", "recursive", is_flag=True, help="Copy whole trees.")
@click.option("--if-absent", is_flag=True, help="Only create: exit code 4 where the key is taken.")
@click.option("--if-match", metavar="ETAG", help="Only replace the version that has this ETag.")
@_as_json
@connecting
def cp(
    sources: tuple[Place, ...],
    target: Place,
    recursive: bool,
    if_absent: bool,
    if_match: str | None,
    as_json: bool,
    options: dict[str, Any],
) -> None:
    """Copy between here and S3, or inside S3.

    SOURCE and TARGET are URLs of S3, local paths, or - for standard input or output.

    A TARGET that is a bucket, ends in a slash or is a local folder takes the source under its name;
    anything else is the name of the copy. With -r a source that ends in a slash gives what is in it.
    """
    if if_match is not None and (if_absent or recursive or len(sources) > 1):
        raise click.UsageError("--if-match is about one object, and excludes --if-absent")
    if (if_absent or if_match is not None) and not isinstance(target, S3Url):
        raise click.UsageError("--if-absent and --if-match are conditions on a target in S3")
    if as_json and target == STANDARD:
        raise click.UsageError("--json and the data cannot both be on standard output")
    fs = _filesystem(options)
    copies = plan(fs, sources, target, recursive)
    with _progress(copies) as total:
        run(fs, copies, create=if_absent, if_match=if_match, total=total)
    _report(copies, as_json)


@contextmanager
def _progress(copies: Sequence[Copy]) -> Iterator[Callback]:
    """A bar of tqdm on standard error; none where that is no terminal, or the data goes to one."""
    to_terminal = any(copy.target == STANDARD for copy in copies) and sys.stdout.isatty()
    sizes = [copy.size for copy in copies]
    look = {
        "unit": "B",
        "unit_scale": True,
        "unit_divisor": 1024,
        "leave": False,
        "disable": True if to_terminal else None,  # None: where it is no terminal
        "file": sys.stderr,
    }
    bar = TqdmCallback(look, size=None if None in sizes else sum(size or 0 for size in sizes))
    try:
        yield bar
    finally:
        bar.close()


def _report(copies: Sequence[Copy], as_json: bool) -> None:
    errors = [copy.error for copy in copies if copy.error is not None]
    if as_json:
        print_json({"ok": not errors, "copies": [_copy_row(copy) for copy in copies]})
    for error in errors:
        complain(error)
    if errors and len(copies) > 1:
        click.echo(f"guarded-s3: {len(errors)} of {len(copies)} files were not copied", err=True)
    codes = {exit_code(error) for error in errors}
    if codes:
        click.get_current_context().exit(codes.pop() if len(codes) == 1 else FAILED)


def _copy_row(copy: Copy) -> dict[str, Any]:
    row = {"source": str(copy.source), "target": str(copy.target), "size": copy.size}
    return row if copy.error is None else row | {"error": facts(copy.error)}


@cli.command()
@click.argument("urls", type=Url(), nargs=-1, required=True)
@click.option("-r", "recursive", is_flag=True, help="All that is below too; never the bucket itself.")
@click.option("--if-match", metavar="ETAG", help="Only the version that has this ETag.")
@connecting
def rm(urls: tuple[S3Url, ...], recursive: bool, if_match: str | None, options: dict[str, Any]) -> None:
    """Remove objects."""
    if if_match is not None and (recursive or len(urls) > 1):
        raise click.UsageError("--if-match is about one object")
    if any("/" not in url.path.rstrip("/") for url in urls):
        raise click.UsageError("a whole bucket is not removed: name what is in it")
    fs = _filesystem(options)
    for url in urls:
        if recursive:
            fs.rm(glob.escape(url.path), recursive=True)  # names are literal, as everywhere here
        elif if_match is None and fs.info(url.path)["type"] == "directory":
            raise IsADirectoryError(f"{url} is a folder: -r removes all that is in it")
        else:
            fs.rm_file(url.path, if_match=if_match)


# --- uploads that were left behind ---


@cli.group()
def uploads() -> None:
    """List or abort uploads that were left behind.

    `uploads URL` is short for `uploads list URL`.
    """


@uploads.command("list")
@click.argument("url", type=Url())
@_as_json
@connecting
def list_uploads(url: S3Url, as_json: bool, options: dict[str, Any]) -> None:
    """List the uploads at URL and below, oldest first."""
    found = _filesystem(options).list_uploads(url.path)
    _print_uploads(url, "uploads", found, as_json)


@uploads.command("abort")
@click.argument("url", type=Url())
@click.option("--older-than", type=Age(), required=True, help="Like 12h, 7d; a number alone is seconds.")
@_as_json
@connecting
def abort_uploads(url: S3Url, older_than: timedelta, as_json: bool, options: dict[str, Any]) -> None:
    """Abort the old ones at URL and below.

    Prints those that it aborted. The parts of an aborted upload are gone; the object is as it was.
    """
    aborted = _filesystem(options).abort_uploads(url.path, older_than)
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
@_as_json
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
    width = min(110, shutil.get_terminal_size().columns)
    indent = " " * 22
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
