"""The group that all commands belong to, and what they share: the filesystem, patterns, rows of a listing.

Invariants: data and results go to standard output, all else to standard error; with `--json` standard output
is one JSON object, after a failure too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from glob import has_magic
from typing import Any

import click

from .._values.keywords import closest_name
from ..filesystem import GuardedS3FileSystem
from .arguments import connecting_all
from .failures import Command
from .guesses import COMMANDS_OF_OTHERS
from .transfers import S3Url


class _Group(click.Group):
    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; one that is unknown is answered with what is meant, as far as that is known."""
        name = args[0]
        if name not in self.commands:
            near = COMMANDS_OF_OTHERS.get(name) or closest_name(name, self.commands)
            if near is not None and not name.startswith("-"):
                raise click.UsageError(f"no such command {name!r}: did you mean {near}?", ctx)
        return super().resolve_command(ctx, args)


class _Uploads(_Group):
    """`uploads URL` is short for `uploads list URL`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


_Group.group_class = _Uploads


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fsspec_guarded_s3")
@connecting_all
def cli() -> None:
    """S3 with conditional create, pinned reads and guarded writers.

    Credentials come from where AWS's tools take them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a
    profile, SSO, the machine's role.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 exists already or has changed, 5 access
    denied, 6 unknown whether it was written, 7 the store was not reached or asks to come back later.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":  # https://no-color.org
        click.get_current_context().color = False


def open_filesystem(options: dict[str, Any]) -> GuardedS3FileSystem:
    """The filesystem of one command."""
    return GuardedS3FileSystem(**options, skip_instance_cache=True)


def expanded(fs: GuardedS3FileSystem, urls: Iterable[S3Url], *, objects: bool = False) -> list[S3Url]:
    """What each URL stands for: itself, or all that its pattern matches; with `objects` no folders of that.

    A name that is there is no pattern. Raises FileNotFoundError for a pattern that matches nothing.
    """
    found: list[S3Url] = []
    for url in urls:
        rows = matched(fs, url)
        if rows is None:
            found.append(url)
            continue
        names = [name for name, row in rows.items() if not objects or row["type"] == "file"]
        if not names:
            raise FileNotFoundError(f"{url} matches folders alone, and no object")
        found += [S3Url(url.scheme, name) for name in names]
    return found


def matched(fs: GuardedS3FileSystem, url: S3Url) -> Mapping[str, Mapping[str, Any]] | None:
    """The rows of what the pattern `url` matches, by name; None where it is none. Raises as `expanded`."""
    if not has_magic(url.path) or ("/" in url.path and fs.exists(url.path)):
        return None
    rows: Mapping[str, Mapping[str, Any]] = fs.glob(url.path, detail=True)
    if not rows:
        raise FileNotFoundError(f"nothing matches {url}")
    return rows


def entry(scheme: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a listing, as it is shown."""
    folder = row["type"] == "directory"
    return {
        "url": f"{scheme}://{row['name']}{'/' if folder else ''}",
        "type": row["type"],
        "size": row["size"],
        "modified": row.get("LastModified") or row.get("CreationDate"),
        "etag": row.get("ETag"),
    }
