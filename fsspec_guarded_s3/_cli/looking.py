"""Commands that look: ls, stat, find, du, tree, versions, and those for tags and signed URLs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

import click

from .._values.sizes import size_text
from ..filesystem import GuardedS3FileSystem
from .arguments import Age, Pair, Root, Size, Text, Url, as_json_option, connecting, recursive_option
from .failures import print_json, shown, time_text
from .group import cli, entry, expanded, matched, open_filesystem
from .transfers import S3Url, nothing_at

_Method = Literal["GET", "HEAD", "PUT", "DELETE"]
_LONG = {"context_settings": {"help_option_names": ["--help"]}}  # -h is for sizes


@cli.command(**_LONG)
@click.argument("url", type=Root(), required=False)
@click.option("-l", "long", is_flag=True, help="With size, time (UTC) and ETag.")
@click.option("-h", "--human-readable", "human", is_flag=True, help="Sizes with units.")
@recursive_option(help="All objects below, and no folders.")
@as_json_option
@connecting
def ls(
    url: S3Url | None, long: bool, human: bool, recursive: bool, as_json: bool, options: dict[str, Any]
) -> None:
    """List what is at URL, or the buckets.

    URL may be a pattern, in quotes: 's3://bucket/*.csv'.
    """
    if recursive and url is None:
        raise click.UsageError("-r needs a URL")
    fs = open_filesystem(options)
    entries = _listed(fs, url, recursive)
    if as_json:
        print_json({"ok": True, "entries": entries})
        return
    _print_entries(entries, long, human)


def _listed(fs: GuardedS3FileSystem, url: S3Url | None, recursive: bool) -> list[dict[str, Any]]:
    if url is None:
        return [entry("s3", row) for row in fs.ls("", detail=True)]
    rows = matched(fs, url)
    if rows is not None and not recursive:  # what a pattern matches is shown itself, and not what is in it
        return [entry(url.scheme, row) for row in rows.values()]
    if recursive:
        names = [url.path] if rows is None else list(rows)
        found = [entry(url.scheme, row) for name in names for row in fs.find(name, detail=True).values()]
    else:
        found = [entry(url.scheme, row) for row in fs.ls(url.path, detail=True)]
    if "/" in url.path and not found:
        raise nothing_at(url)
    return found


def _print_entries(entries: Iterable[Mapping[str, Any]], long: bool, human: bool) -> None:
    for row in entries:
        size = _size(row["size"], human)
        facts = f"{size:>14}  {time_text(row['modified']):20}  {row['etag'] or '-':34}  "
        click.echo((facts if long else "") + shown(row["url"]))


@cli.command()
@click.argument("urls", type=Url(), nargs=-1, required=True)
@as_json_option
@connecting
def stat(urls: tuple[S3Url, ...], as_json: bool, options: dict[str, Any]) -> None:
    """Show all that the store tells of an object: size, time, ETag, attributes, metadata.

    Does not read the object. Exit code 3 when nothing is there.
    """
    fs = open_filesystem(options)
    rows = (_facts(fs, url) for url in expanded(fs, urls))
    if as_json:
        print_json({"ok": True, "objects": list(rows)})
        return
    for number, row in enumerate(rows):  # each as soon as it is there: an error of another hides none
        if number:
            click.echo()
        for name, value in row.items():
            if name == "mtime":  # LastModified is the same time
                continue
            click.echo(f"{name:22}  {shown(time_text(value) if name == 'LastModified' else value)}")


_SAME = ("name", "Key", "Size")  # told by another name too


def _facts(fs: GuardedS3FileSystem, url: S3Url) -> dict[str, Any]:
    info: dict[str, Any] = {**fs.info(url.path)}
    info = {name: value for name, value in info.items() if name not in _SAME}
    metadata: dict[str, str] = info.pop("metadata", None) or {}
    known = {name: value for name, value in info.items() if value not in (None, "", {})}
    return {"url": str(url), **known, **{f"metadata {name}": text for name, text in metadata.items()}}


@cli.command()
@click.argument("url", type=Url())
@click.option(
    "--name", type=Text(), metavar="PATTERN", help="Only objects whose last part matches, such as '*.csv'."
)
@click.option("--larger", type=Size(), help="Only objects of more bytes: 5000, 10MB, 64MiB.")
@click.option("--older-than", type=Age(), help="Only objects older than that: 90s, 12h, 7d.")
@as_json_option
@connecting
def find(
    url: S3Url,
    name: str | None,
    larger: int | None,
    older_than: timedelta | None,
    as_json: bool,
    options: dict[str, Any],
) -> None:
    """List all objects below URL."""
    entries = _all_below(open_filesystem(options), url)
    if name is not None:
        entries = [row for row in entries if fnmatchcase(row["url"].rpartition("/")[2], name)]
    if larger is not None:
        entries = [row for row in entries if row["size"] > larger]
    if older_than is not None:
        limit = datetime.now(timezone.utc) - older_than
        entries = [row for row in entries if row["modified"] < limit]
    if as_json:
        print_json({"ok": True, "entries": entries})
    else:
        _print_entries(entries, False, False)


def _all_below(fs: GuardedS3FileSystem, url: S3Url) -> list[dict[str, Any]]:
    entries = [entry(url.scheme, row) for row in fs.find(url.path, detail=True).values()]
    if not entries and "/" in url.path:
        raise nothing_at(url)
    return entries


@cli.command(**_LONG)
@click.argument("urls", type=Url(), nargs=-1, required=True)
@click.option("-h", "--human-readable", "human", is_flag=True, help="Sizes with units.")
@as_json_option
@connecting
def du(urls: tuple[S3Url, ...], human: bool, as_json: bool, options: dict[str, Any]) -> None:
    """Add up the sizes of all objects at each URL and below."""
    fs = open_filesystem(options)
    rows = []
    for url in expanded(fs, urls):
        entries = _all_below(fs, url)
        rows.append({"url": str(url), "size": sum(row["size"] for row in entries), "objects": len(entries)})
    if as_json:
        print_json({"ok": True, "places": rows})
        return
    for row in rows:
        size = _size(int(row["size"]), human)
        click.echo(f"{size:>14}  {row['objects']:>9} objects  {shown(row['url'])}")


@cli.command()
@click.argument("url", type=Url())
@click.option("-L", "--depth", type=click.IntRange(1), help="Levels that are shown.")
@connecting
def tree(url: S3Url, depth: int | None, options: dict[str, Any]) -> None:
    """Show what is below URL as a tree."""
    fs = open_filesystem(options)
    root = url.path.rstrip("/")
    rows = fs.find(root, detail=True, withdirs=True, maxdepth=depth)
    if not rows and "/" in url.path:
        raise nothing_at(url)
    click.echo(shown(url))
    for name in sorted(rows.keys() - {root}):
        below = name[len(root) + 1 :]
        mark = "/" if rows[name]["type"] == "directory" else ""
        click.echo(f"{'    ' * (below.count('/') + 1)}{shown(below.rpartition('/')[2])}{mark}")


@cli.command()
@click.argument("url", type=Url())
@as_json_option
@connecting
def versions(url: S3Url, as_json: bool, options: dict[str, Any]) -> None:
    """List the versions of an object, newest first."""
    found = open_filesystem(options).object_version_info(url.path)
    if as_json:
        print_json({"ok": True, "versions": found})
        return
    for row in found:
        size = "deleted" if row["DeleteMarker"] else str(row["Size"])
        click.echo(f"{size:>14}  {time_text(row['LastModified']):20}  {row['VersionId']}")


@cli.command()
@click.argument("url", type=Url())
@click.argument("tags", type=Pair(), nargs=-1)
@click.option("--replace", is_flag=True, help="Remove the other tags.")
@as_json_option
@connecting
def tag(
    url: S3Url, tags: tuple[tuple[str, str], ...], replace: bool, as_json: bool, options: dict[str, Any]
) -> None:
    """Show the tags of an object, or set TAGS, each as name=value."""
    fs = open_filesystem(options)
    if tags or replace:
        fs.put_tags(url.path, dict(tags), mode="o" if replace else "m")
    found = fs.get_tags(url.path)
    if as_json:
        print_json({"ok": True, "tags": found})
        return
    for name, text in found.items():
        click.echo(shown(f"{name}={text}"))


@cli.command()
@click.argument("url", type=Url())
@click.option("--expires", type=Age(), default="1h", help="Like 90s, 30m, 12h, 7d; an hour if not given.")
@click.option("--method", type=click.Choice(get_args(_Method)), default="GET")
@connecting
def sign(url: S3Url, expires: timedelta, method: _Method, options: dict[str, Any]) -> None:
    """Print a signed URL: whoever has it can do that one thing until it expires."""
    fs = open_filesystem(options)
    click.echo(fs.sign(url.path, expiration=int(expires.total_seconds()), method=method))


def _size(size: int, human: bool) -> str:
    return size_text(size) if human else str(size)
