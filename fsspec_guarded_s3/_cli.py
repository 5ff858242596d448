"""The command line `guarded-s3`, described in docs/cli.md. Needs the extra `[cli]`: click and rich.

Invariants: stdout carries results only; an error is one line on stderr with its remedy, and an exit code that
says what kind it is; progress is shown on a terminal only.
"""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from typing import Any, TypeVar

try:
    import click
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn
except ImportError:
    sys.stderr.write("guarded-s3 needs click and rich: pip install 'fsspec_guarded_s3[cli]'\n")
    raise SystemExit(2) from None

from fsspec.callbacks import Callback

from . import _demo, _doctor
from ._errors import GuardedS3Error, PreconditionFailedError, TransportError, WriteOutcomeUnknownError
from ._filesystem import GuardedS3FileSystem

F = TypeVar("F", bound=Callable[..., Any])
_CHUNK = 16 * 2**20
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_REMOTE = re.compile(r"(?:s3|s3a|gs3|guarded-s3)://(.*)", re.S)

# The first kind that fits counts. What no kind fits has the exit code 1.
_KINDS: tuple[tuple[type[BaseException], int, str], ...] = (
    (WriteOutcomeUnknownError, 6, "look at the object with `guarded-s3 stat` before you try again"),
    (PreconditionFailedError, 5, "look at the object with `guarded-s3 stat`"),
    (FileExistsError, 5, "choose another target, or leave out --if-absent"),
    (TransportError, 7, "`guarded-s3 doctor URL` finds out where it ends"),
    (PermissionError, 4, "`guarded-s3 doctor URL` shows which credentials are used and what they may do"),
    (FileNotFoundError, 3, "look at the names with `guarded-s3 ls`"),
    (IsADirectoryError, 1, "pass -r for what is below it"),
    (GuardedS3Error, 1, "`guarded-s3 doctor URL` looks closer"),
    (OSError, 1, ""),
    (ValueError, 2, "`guarded-s3 --help`"),
)
_EXIT_CODES = """\b
Exit codes: 0 all right, 1 a check failed or another error, 2 wrong usage, 3 not found,
4 access denied or credentials, 5 a condition did not hold (it exists, or it changed),
6 nobody knows whether the write was applied, 7 network, 130 interrupted, 141 the reader
of the output went away."""


# --- options of all commands, in front of the command or behind it ---


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and parameter.name:
        context.ensure_object(dict)[parameter.name] = value


def _connection(command: F) -> F:
    """Give a command the options that say where S3 is and who asks."""
    options: Iterable[tuple[str, dict[str, Any]]] = (
        ("--endpoint-url", {"help": "S3 endpoint; without it AWS's configuration."}),
        ("--region", {"help": "Region of the bucket."}),
        ("--profile", {"help": "Profile of the AWS configuration."}),
        ("--anon", {"is_flag": True, "help": "Do not sign requests."}),
        ("--allow-http", {"is_flag": True, "help": "Plain http to a host other than this one."}),
        ("--addressing-style", {"type": click.Choice(("auto", "path", "virtual"))}),
        ("--json", {"is_flag": True, "help": "Machine-readable output."}),
    )
    for name, settings in reversed(list(options)):
        command = click.option(name, callback=_keep, expose_value=False, **settings)(command)
    return command


def _storage_options() -> dict[str, Any]:
    given = click.get_current_context().ensure_object(dict)
    return {name: value for name, value in given.items() if name != "json"}


def _filesystem(**extra: Any) -> GuardedS3FileSystem:
    return GuardedS3FileSystem(**_storage_options(), **extra)


def _path(url: str) -> str:
    """The path that a URL names; s3:// and no protocol at all are taken too."""
    found = _REMOTE.fullmatch(url)
    return found.group(1).lstrip("/") if found else url


# --- output ---


def _wants_json() -> bool:
    return bool(click.get_current_context().ensure_object(dict).get("json"))


def _print_json(document: Any) -> None:
    def plain(value: Any) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    click.echo(json.dumps(document, default=plain))


def _shown(name: str) -> str:
    """A name as it is; on a terminal without the control characters that would drive it."""
    if not sys.stdout.isatty():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _url(row: dict[str, Any]) -> str:
    return _shown(f"gs3://{row['name']}" + "/" * (row["type"] == "directory"))


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    unit = next((unit for unit in "dhm" if seconds >= _UNITS[unit]), "s")
    return f"{seconds / _UNITS[unit]:.0f}{unit}"


def _duration(context: click.Context, parameter: click.Parameter, value: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", value)
    if not found:
        raise click.BadParameter(f"{value!r} is no duration: write 30m, 12h, 7d, or seconds")
    return float(found[1]) * _UNITS[found[2]]


def _span(context: click.Context, parameter: click.Parameter, value: str) -> slice:
    found = re.fullmatch(r"(-?\d+)?:(-?\d+)?", value)
    if not found:
        raise click.BadParameter(f"{value!r} is no range: write START:END, START: or :END")
    return slice(*(None if end is None else int(end) for end in found.groups()))


class _UploadsGroup(click.Group):
    """`uploads URL` is `uploads list URL`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["list", *args])


# --- commands ---


@click.group(epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("fsspec_guarded_s3"), prog_name="guarded-s3")
@_connection
def cli() -> None:
    """S3 with guards: look at it, copy under conditions, clean up."""


@cli.command()
@click.argument("url")
@click.option("--read-only", is_flag=True, help="Write nothing: skip delete, write and guards.")
@_connection
def doctor(url: str, read_only: bool) -> int:
    """Look at everything between this machine and the bucket, and say what to do about what fails."""
    fs = _filesystem(max_attempts=2, request_deadline=60)
    checks = []
    for check in _doctor.Doctor(fs, _path(url), read_only).examine():
        checks.append(check)
        if not _wants_json():
            colour = {_doctor.OK: "green", _doctor.FAILED: "red"}.get(check.status, "yellow")
            click.echo(f"{click.style(f'{check.status:8}', fg=colour)} {check.name:12} {check.seen}")
            if check.remedy:
                click.echo(f"{'':21} -> {check.remedy}")
    fine = all(check.status != _doctor.FAILED for check in checks)
    if _wants_json():
        _print_json({"url": url, "ok": fine, "checks": [asdict(check) for check in checks]})
    return 0 if fine else 1


@cli.group(cls=_UploadsGroup)
@_connection
def uploads() -> None:
    """Multipart uploads that were left: `uploads URL` lists them, `uploads abort URL` removes them."""


def _print_uploads(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if _wants_json():
            _print_json(row)
        else:
            live = "live" if row["live"] else "-"
            click.echo(
                f"{_age(row['age']):>8} {row['size']:>14} bytes {row['parts']:>5} parts  {live:4}  "
                f"gs3://{_shown(row['name'])}  {row['upload_id']}"
            )


@uploads.command("list", hidden=True)
@click.argument("url")
@_connection
def uploads_list(url: str) -> None:
    """The uploads to URL and below it, oldest first: age, size, parts, live, key, id."""
    _print_uploads(_filesystem().list_uploads(_path(url)))


@uploads.command("abort")
@click.argument("url")
@click.option("--older-than", callback=_duration, required=True, help="Such as 30m, 12h, 7d, or seconds.")
@click.option("--dry-run", is_flag=True, help="Show what would be aborted.")
@_connection
def uploads_abort(url: str, older_than: float, dry_run: bool) -> None:
    """Abort the uploads to URL and below it that are older, and print them."""
    fs = _filesystem()
    if not dry_run:
        _print_uploads(fs.abort_uploads(_path(url), older_than))
        return
    rows = fs.list_uploads(_path(url))
    _print_uploads(
        [row for row in rows if not row["live"] and row["age"] is not None and row["age"] >= older_than]
    )


@cli.command()
@click.argument("url", default="gs3://")
@click.option("-l", "long", is_flag=True, help="Size, time and ETag too.")
@click.option("-r", "recursive", is_flag=True, help="All objects below.")
@_connection
def ls(url: str, long: bool, recursive: bool) -> None:
    """List what is directly below URL; the buckets without a URL."""
    fs, path = _filesystem(), _path(url)
    rows = list(fs.find(path, detail=True).values()) if recursive else fs.ls(path)
    if not rows:
        fs.info(path)  # FileNotFoundError where there is nothing
    for row in rows:
        if _wants_json():
            _print_json(row)
        elif long:
            when = row.get("LastModified") or row.get("CreationDate")
            moment = when.strftime("%Y-%m-%dT%H:%M:%SZ") if when else "-"
            click.echo(f"{row['size']:>14} {moment:20} {row.get('ETag') or '-':34} {_url(row)}")
        else:
            click.echo(_url(row))


@cli.command("stat")
@click.argument("url")
@_connection
def stat_(url: str) -> None:
    """What S3 knows of an object: size, ETag, time, type, metadata."""
    info = _filesystem().info(_path(url))
    if _wants_json():
        _print_json(info)
        return
    for name, value in info.items():
        said = value.isoformat() if isinstance(value, datetime) else value
        click.echo(f"{name + ':':14} {_shown(str(said))}")


@cli.command()
@click.argument("url")
@click.option("--range", "span", callback=_span, default=":", help="START:END in bytes, as Python's slices.")
@_connection
def cat(url: str, span: slice) -> None:
    """Write the bytes of one version of an object to stdout."""
    out = click.get_binary_stream("stdout")
    with _filesystem().open(_path(url), "rb", cache_type="none") as reader:
        first, stop, _ = span.indices(reader.size)
        reader.seek(first)
        while reader.tell() < stop:
            out.write(reader.read(min(_CHUNK, stop - reader.tell())))
    out.flush()


@cli.command()
@click.argument("source")
@click.argument("target")
@click.option("--if-absent", is_flag=True, help="Only where TARGET is not there yet.")
@click.option("--if-match", metavar="ETAG", help="Only where TARGET is an object with this ETag.")
@click.option(
    "-r", "recursive", is_flag=True, help="All that is below SOURCE, to the same names below TARGET."
)
@_connection
def cp(source: str, target: str, if_absent: bool, if_match: str | None, recursive: bool) -> None:
    """Copy between this machine and S3, or inside S3. What is in S3 begins with gs3:// or s3://."""
    if if_absent and if_match is not None:
        raise click.UsageError("--if-absent and --if-match exclude each other")
    if if_match is not None and (recursive or not _REMOTE.fullmatch(target)):
        raise click.UsageError("--if-match is for one target in S3")
    if not (_REMOTE.fullmatch(source) or _REMOTE.fullmatch(target)):
        raise click.UsageError("SOURCE or TARGET must begin with gs3:// or s3://")
    fs = _filesystem()
    down = not _REMOTE.fullmatch(target)
    remote = bool(_REMOTE.fullmatch(source))
    found = _remote_files(fs, _path(source), recursive) if remote else _local_files(source, recursive)
    sources = list(found)
    targets = [_target(target, name, below, recursive) for name, (below, _) in found.items()]
    condition: dict[str, Any] = {"mode": "create" if if_absent else "overwrite", "if_match": if_match}
    with _progress(sum(size for _, size in found.values())) as bar:
        if down:
            _download(fs, sources, targets, if_absent, bar)
        elif remote:
            fs.copy(sources, targets, **condition)
        else:
            fs.put(sources, targets, callback=bar, **condition)
    if _wants_json():
        _print_json({"source": source, "target": target, "files": len(sources)})


@cli.command()
@click.option("--bucket", help="An existing bucket; needed with any other option.")
@_connection
def demo(bucket: str | None) -> int:
    """Show each guarantee with its evidence, against an embedded server or a bucket of yours."""
    options = _storage_options()
    if options and not bucket:
        raise click.UsageError("--bucket is needed with any other option")
    try:
        _demo.run(options, bucket)
    except (_demo.DemoFailedError, GuardedS3Error) as error:
        click.echo(f"the demo FAILED: {type(error).__name__}: {error}", err=True)
        return 1
    return 0


# --- copying ---


def _remote_files(fs: GuardedS3FileSystem, path: str, recursive: bool) -> dict[str, tuple[str, int]]:
    """The objects to copy: below which name they belong, and their size."""
    if not recursive:
        info = fs.info(path)
        if info["type"] == "directory":
            raise IsADirectoryError(f"gs3://{path} is a directory")
        return {info["name"]: (info["name"].rpartition("/")[2], info["size"])}
    root = fs._strip_protocol(path) + "/"
    rows = fs.find(path, detail=True)
    if not rows:
        raise FileNotFoundError(f"there is nothing below gs3://{path}")
    return {name: (name.removeprefix(root), row["size"]) for name, row in rows.items()}


def _local_files(path: str, recursive: bool) -> dict[str, tuple[str, int]]:
    names = [path]
    if os.path.isdir(path):
        if not recursive:
            raise IsADirectoryError(f"{path} is a directory")
        names = [os.path.join(folder, name) for folder, _, files in os.walk(path) for name in sorted(files)]
    rows = {}
    for name in names:
        facts = os.stat(name)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(f"{name} is no regular file")
        below = os.path.basename(name) if name == path else os.path.relpath(name, path)
        rows[name] = (below.replace(os.sep, "/"), facts.st_size)
    return rows


def _target(target: str, source: str, below: str, recursive: bool) -> str:
    """Where a file goes: below the target when that is a folder or a tree is copied, else to the target."""
    remote = _REMOTE.fullmatch(target)
    if remote:
        path = _path(target)
        inside = recursive or path.endswith("/") or "/" not in path
        return f"{path.rstrip('/')}/{below}" if inside else path
    if not recursive and not (os.path.isdir(target) or target.endswith("/")):
        return target
    name = os.path.normpath(below)
    if os.path.isabs(below) or name.split(os.sep)[0] == "..":
        raise OSError(f"gs3://{source} would be written outside of {target}: copy it by itself")
    return os.path.join(target, name)


def _download(
    fs: GuardedS3FileSystem, sources: list[str], targets: list[str], if_absent: bool, bar: Callback
) -> None:
    if len(set(targets)) < len(targets):
        raise OSError("two of the keys would become the same file: copy them one by one")
    if not if_absent:
        fs.get(sources, targets, callback=bar)
        return
    for target in targets:
        if os.path.lexists(target):
            raise FileExistsError(f"{target} exists")
    # A hard link is refused where the name is taken meanwhile, which a rename is not.
    fresh = [f"{target}.{secrets.token_hex(8)}" for target in targets]
    try:
        fs.get(sources, fresh, callback=bar)
        for temporary, target in zip(fresh, targets, strict=True):
            os.link(temporary, target)
    finally:
        for temporary in fresh:
            with suppress(FileNotFoundError):
                os.unlink(temporary)


class _Bar(Callback):  # type: ignore[misc]
    """fsspec's callback that moves one bar for all files. Its branches count bytes, itself files."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        super().__init__()
        self._advance = advance

    def branched(self, path_1: str, path_2: str, **kwargs: Any) -> Callback:
        return _Bytes(self._advance)


class _Bytes(Callback):  # type: ignore[misc]
    """One file of a `_Bar`."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        super().__init__()
        self._advance = advance

    def relative_update(self, inc: int = 1) -> None:
        self._advance(inc)


@contextmanager
def _progress(total: int) -> Iterator[Callback]:
    """A bar on stderr if that is a terminal, and nothing otherwise."""
    if not sys.stderr.isatty():
        yield Callback()
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield _Bar(lambda count: progress.advance(task, count))


# --- errors ---


def _failed(error: Exception) -> int:
    """Say in one line what happened and what to do; the exit code of this kind of error."""
    _, code, remedy = next((kind for kind in _KINDS if isinstance(error, kind[0])), (Exception, 1, ""))
    known = code != 1 or isinstance(error, OSError)
    text = " ".join(str(error).split()) if known else f"unexpected {type(error).__name__}: {error}"
    click.echo(f"guarded-s3: {text}{f' - {remedy}' if remedy else ''}", err=True)
    return code


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a key is not lost because of a locale
    try:
        code = cli.main(arguments, prog_name="guarded-s3", standalone_mode=False)
        sys.stdout.flush()
        return code or 0
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        # Python would flush stdout once more when it ends, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        return _failed(error)


if __name__ == "__main__":
    sys.exit(main())
