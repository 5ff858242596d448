"""What the command line takes: kinds of arguments, and the options that say where the store is."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click

from ..options import Options, without_secrets
from .failures import in_words_of_the_shell
from .transfers import SCHEMES, S3Url

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kKMGT])(i?))?(B?)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Url(click.ParamType):
    """A URL of S3."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return S3Url.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Root(Url):
    """A URL of S3; None for s3:// alone, above all buckets."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        is_root = value.endswith("://") and value.removesuffix("://") in SCHEMES
        return None if is_root else super().convert(value, param, ctx)


class Location(Url):
    """A URL of S3, a local path, or - for standard input or output."""

    name = "location"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:
            self.fail("it is empty: '.' is the folder in which you are", param, ctx)
        return super().convert(value, param, ctx) if "://" in value else value


class Text(click.ParamType):
    """Text that is there: what a script passes by a variable that is not set would be ignored else."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail("it is empty: leave the option out", param, ctx)
        return str(value)


class Age(click.ParamType):
    """A number of seconds, or one with a unit: 90s, 30m, 12h, 1d, 2w."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        number, unit = (value[:-1], value[-1]) if value[-1:] in _SECONDS else (value, "s")
        try:
            age = timedelta(seconds=float(number) * _SECONDS[unit])
        except (ValueError, OverflowError):
            age = timedelta(-1)
        if age < timedelta(0):
            self.fail(f"{value!r} is no length of time, like 90s, 30m, 12h, 1d or 2w", param, ctx)
        return age


class Size(click.ParamType):
    """A number of bytes, or one with a unit, as `ls -h` shows it (MiB) or of thousands (MB)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(value.strip())
        if found is None:
            self.fail(f"{value!r} is no size, like 5000, 10MB or 64MiB", param, ctx)
        number, unit, binary, byte = found.groups()
        base = 1000 if byte and not binary else 1024
        return int(float(number) * base ** ("KMGT".index(unit.upper()) + 1 if unit else 0))


class Pair(click.ParamType):
    """name=value, of metadata or of a tag."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        name, mark, text = value.partition("=")
        if not (name and mark):
            self.fail(f"{value!r} is not of the form name=value", param, ctx)
        return name, text


class StorageOption(click.ParamType):
    """name=value of a storage option, with the type that `Options` gives it."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        name, mark, text = value.partition("=")
        if not mark:
            self.fail(f"{value!r} is not of the form name=value", param, ctx)
        if not text:
            self.fail(f"{name} is empty: leave the option out", param, ctx)
        if not without_secrets({name: text}):
            self.fail(
                f"{name} is not taken from the command line, where others could see it: "
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a profile",
                param,
                ctx,
            )
        return name, Options.from_text(name, text)


def connecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the options that say where the store is; it gets them, checked, as `options`.

    They may stand before the name of the command too, as `aws` has it. Those behind it go first.
    """

    @functools.wraps(command)
    def call(**given: Any) -> Any:
        options = dict(click.get_current_context().find_root().obj or {}) | _taken(given)
        try:
            Options.parse(options)
        except (ValueError, TypeError) as error:
            raise click.UsageError(in_words_of_the_shell(str(error))) from error
        return command(options=options, **given)

    return _with_flags(call)


def connecting_all(group: Callable[..., Any]) -> Callable[..., Any]:
    """The same options for a group: its commands find them at the root of their context."""

    @functools.wraps(group)
    @click.pass_context
    def call(ctx: click.Context, /, **given: Any) -> Any:
        ctx.obj = _taken(given)
        return group(**given)

    return _with_flags(call)


def _taken(given: dict[str, Any]) -> dict[str, Any]:
    """The storage options among what click found, which are removed from it."""
    options = {name: value for name in _FLAGS if (value := given.pop(name)) not in (None, False)}
    return options | dict(given.pop("storage"))


def _with_flags(call: Callable[..., Any]) -> Callable[..., Any]:
    for decorate in reversed((*_FLAGS.values(), _STORAGE)):
        call = decorate(call)
    return call


_FLAGS = {
    "endpoint_url": click.option("--endpoint-url", metavar="URL", help="The store, where it is not AWS."),
    "profile": click.option("--profile", metavar="NAME", help="A profile of the AWS configuration."),
    "region": click.option("--region", metavar="NAME", help="The region of the bucket."),
    "anon": click.option("--anon", is_flag=True, help="Do not sign, for public buckets."),
    "addressing_style": click.option(
        "--addressing-style",
        type=click.Choice(["auto", "path", "virtual"]),
        help="The bucket in the path, or in the name of the host.",
    ),
    "allow_http": click.option("--allow-http", is_flag=True, help="Allow plain http to another machine."),
}
_STORAGE = click.option(
    "-o", "storage", type=StorageOption(), multiple=True, help="Any other storage option; may be repeated."
)

recursive_option = functools.partial(click.option, "-r", "-R", "--recursive", "recursive", is_flag=True)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
