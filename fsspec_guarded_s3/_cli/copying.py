"""Commands that write: cp, mv, sync, rm, and those that make and remove buckets."""

from __future__ import annotations

import glob
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from fsspec.callbacks import Callback, TqdmCallback

from ..filesystem import GuardedS3FileSystem
from .arguments import Location, Pair, Text, Url, as_json_option, connecting, recursive_option
from .failures import FAILED, complain, exit_code, facts, print_json, shown
from .group import cli, expanded, open_filesystem
from .sync import Compare, differences, remove
from .transfers import STANDARD, Copy, Place, S3Url, move, plan, run

_verbose = click.option("-v", "--verbose", is_flag=True, help="Say what was done, file by file.")


@cli.command()
@click.argument("sources", type=Location(), nargs=-1, required=True)
@click.argument("target", type=Location())
@recursive_option(help="Copy whole trees.")
@click.option("--if-absent", is_flag=True, help="Only create: exit code 4 where the key is taken.")
@click.option("--if-match", type=Text(), metavar="ETAG", help="Only replace the version that has this ETag.")
@click.option("--content-type", type=Text(), metavar="TYPE", help="Instead of the one that the name tells.")
@click.option("--metadata", type=Pair(), multiple=True, help="May be repeated.")
@click.option("--storage-class", type=Text(), metavar="NAME", help="Such as STANDARD_IA.")
@click.option("--resume", type=Text(), metavar="ID", help="Go on with the upload of this id, see `uploads`.")
@_verbose
@as_json_option
@connecting
def cp(
    sources: tuple[Place, ...],
    target: Place,
    recursive: bool,
    if_absent: bool,
    if_match: str | None,
    content_type: str | None,
    metadata: tuple[tuple[str, str], ...],
    storage_class: str | None,
    resume: str | None,
    verbose: bool,
    as_json: bool,
    options: dict[str, Any],
) -> None:
    """Copy between here and S3, or inside S3.

    SOURCE and TARGET are URLs of S3, local paths, or - for standard input or output. A URL may be a pattern,
    in quotes: 's3://bucket/*.csv'.

    A TARGET that is a bucket, ends in a slash or is a local folder takes the source under its name;
    anything else is the name of the copy. With -r a source that ends in a slash gives what is in it.
    """
    given = {"ContentType": content_type, "Metadata": dict(metadata), "StorageClass": storage_class}
    writing: dict[str, Any] = {name: value for name, value in given.items() if value}
    if (writing or resume or if_absent or if_match is not None) and not isinstance(target, S3Url):
        raise click.UsageError("conditions, attributes and --resume are for a target in S3")
    is_of_here = not isinstance(sources[0], S3Url) and sources[0] != STANDARD
    if resume and (writing or recursive or len(sources) > 1 or not is_of_here):
        raise click.UsageError("--resume is about one local file; its attributes are those of the upload")
    if if_match is not None and (if_absent or recursive or len(sources) > 1):
        raise click.UsageError("--if-match is about one object, and excludes --if-absent")
    if as_json and target == STANDARD:
        raise click.UsageError("--json and the data cannot both be on standard output")
    writing |= {"mode": "create"} if if_absent else {"if_match": if_match} if if_match is not None else {}
    writing |= {"resume": resume} if resume else {}
    fs = open_filesystem(options)
    copies = plan(fs, _expanded(fs, sources), target, recursive)
    for copy in copies:
        copy.writing = writing
    _do(fs, copies, run, verbose, as_json)


@cli.command()
@click.argument("sources", type=Location(), nargs=-1, required=True)
@click.argument("target", type=Location())
@recursive_option(help="Move whole trees.")
@_verbose
@as_json_option
@connecting
def mv(
    sources: tuple[Place, ...],
    target: Place,
    recursive: bool,
    verbose: bool,
    as_json: bool,
    options: dict[str, Any],
) -> None:
    """Move between here and S3, or inside S3.

    Places are as for cp. A source is removed when its copy is there: in S3 only the version that was copied,
    so that what somebody else writes meanwhile stays (exit code 4).
    """
    if STANDARD in (*sources, target):
        raise click.UsageError("standard input and output cannot be moved: use cp")
    fs = open_filesystem(options)
    _do(fs, plan(fs, _expanded(fs, sources), target, recursive), move, verbose, as_json)


@cli.command()
@click.argument("source", type=Location())
@click.argument("target", type=Location())
@click.option(
    "--compare",
    type=click.Choice(["time", "size", "etag"]),
    default="time",
    help="What makes a file differ, beside its size: a newer source (time), nothing (size), its MD5 (etag).",
)
@click.option("--delete", is_flag=True, help="Delete what the source does not have.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done.")
@_verbose
@as_json_option
@connecting
def sync(
    source: Place,
    target: Place,
    compare: Compare,
    delete: bool,
    dry_run: bool,
    verbose: bool,
    as_json: bool,
    options: dict[str, Any],
) -> None:
    """Make TARGET have what is in the folder SOURCE: copies what is missing or differs.

    What was copied is not copied again, so run it again after a failure. With --delete nothing is deleted
    when a copy failed, nor what is behind a link to another folder.
    """
    if STANDARD in (source, target):
        raise click.UsageError("standard input and output hold no tree")
    fs = open_filesystem(options)
    found = differences(fs, source, target, compare, delete)
    if not dry_run:
        with _progress(found.copies) as total:
            run(fs, found.copies, total=total, told=_teller(verbose))
    deleted = {} if any(copy.error for copy in found.copies) else found.extra
    if not dry_run:
        remove(fs, deleted, _deletion_teller(verbose))
    elif not as_json:
        _print_plan(found.copies, deleted)
    _report(found.copies, as_json, deleted=[str(place) for place in deleted], same=found.same)


def _print_plan(copies: Sequence[Copy], deleted: Iterable[Place]) -> None:
    for copy in copies:
        if copy.error is None:
            click.echo(f"copy {shown(copy.source)} to {shown(copy.target)}")
    for place in deleted:
        click.echo(f"delete {shown(place)}")


def _expanded(fs: GuardedS3FileSystem, sources: Sequence[Place]) -> list[Place]:
    places: list[Place] = []
    for source in sources:
        places += expanded(fs, [source]) if isinstance(source, S3Url) else [source]
    return places


def _do(
    fs: GuardedS3FileSystem, copies: Sequence[Copy], how: Callable[..., None], verbose: bool, as_json: bool
) -> None:
    with _progress(copies) as total:
        how(fs, copies, total=total, told=_teller(verbose))
    _report(copies, as_json)


def _teller(verbose: bool) -> Callable[[Copy], object]:
    def tell(copy: Copy) -> None:
        if verbose:
            click.echo(f"{shown(copy.source)} -> {shown(copy.target)}", err=True)

    return tell


def _deletion_teller(verbose: bool) -> Callable[[Place], object]:
    def tell(place: Place) -> None:
        if verbose:
            click.echo(f"deleted {shown(place)}", err=True)

    return tell


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


def _report(copies: Sequence[Copy], as_json: bool, **more: Any) -> None:
    errors = [copy.error for copy in copies if copy.error is not None]
    if as_json:
        print_json({"ok": not errors, "copies": [_copy_row(copy) for copy in copies], **more})
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
@recursive_option(help="All that is below too; never the bucket itself.")
@click.option("--if-match", type=Text(), metavar="ETAG", help="Only the version that has this ETag.")
@_verbose
@connecting
def rm(
    urls: tuple[S3Url, ...], recursive: bool, if_match: str | None, verbose: bool, options: dict[str, Any]
) -> None:
    """Remove objects.

    URL may be a pattern, in quotes: 's3://bucket/*.csv'.
    """
    if if_match is not None and (recursive or len(urls) > 1):
        raise click.UsageError("--if-match is about one object")
    if any("/" not in url.path.rstrip("/") for url in urls):
        raise click.UsageError("a whole bucket is not removed: with -r, 's3://bucket/*' is all that is in it")
    fs = open_filesystem(options)
    for url in expanded(fs, urls):
        if recursive:
            fs.rm(glob.escape(url.path), recursive=True)
        elif if_match is None and fs.info(url.path)["type"] == "directory":
            raise IsADirectoryError(f"{url} is a folder: -r removes all that is in it")
        else:
            fs.rm_file(url.path, if_match=if_match)
        if verbose:
            click.echo(f"removed {shown(url)}", err=True)


@cli.command()
@click.argument("urls", type=Url(), nargs=-1, required=True)
@connecting
def mb(urls: tuple[S3Url, ...], options: dict[str, Any]) -> None:
    """Make buckets."""
    fs = open_filesystem(options)
    for url in _buckets(urls):
        fs.mkdir(url.path)


@cli.command()
@click.argument("urls", type=Url(), nargs=-1, required=True)
@connecting
def rb(urls: tuple[S3Url, ...], options: dict[str, Any]) -> None:
    """Remove buckets, which must be empty."""
    fs = open_filesystem(options)
    for url in _buckets(urls):
        fs.rmdir(url.path)


def _buckets(urls: Sequence[S3Url]) -> Sequence[S3Url]:
    for url in urls:
        if "/" in url.path.rstrip("/"):
            raise click.UsageError(f"{url} is no bucket, like s3://bucket")
    return urls
