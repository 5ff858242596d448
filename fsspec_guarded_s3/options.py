"""Storage options: each with its type, default, unit, meaning and check, in one place.

Invariant: an `Options` that exists is valid. The signature and the docstring of `GuardedS3FileSystem` and the
table of docs/options.md are written from here by `python -m tests.options_table`; a test keeps them together.
"""

from __future__ import annotations

import functools
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from ._values import s3fs_options
from ._values.attribute_values import LEFT_OUT
from ._values.attributes import NONE, Attributes
from ._values.s3_parameters import PARAMETERS

__all__ = ["Options", "OtherOptions"]

MIB = 2**20
MIN_PART_SIZE = 5 * MIB
MAX_PART_SIZE = 5 * 2**30
MAX_PARTS = 10_000
MAX_SINGLE_PUT = 5 * 2**30
REQUESTS = 64  # at a time, where nobody says otherwise
MAX_CONCURRENCY = 256
ATTEMPTS = 5  # where nobody says otherwise

_CUSTOMER_KEYS = frozenset({"SSECustomerKey", "CopySourceSSECustomerKey"})
_SECRET = frozenset(
    {"key", "secret", "token", "username", "password", "credential_provider"}
    | _CUSTOMER_KEYS
    | {
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "config",
    }
)

# Options of fsspec itself, which every filesystem tolerates.
FSSPEC_OPTIONS = frozenset({"skip_instance_cache", "asynchronous", "loop"})


class OtherOptions(s3fs_options.S3fsOptions, total=False):
    """What a filesystem takes beside the options of `Options`: those of fsspec itself, and s3fs's names."""

    skip_instance_cache: bool
    asynchronous: bool
    loop: Any


class Check(NamedTuple):
    """What must hold for the value of an option that is given, and the words that say so."""

    holds: Callable[[Any], bool]
    words: str


class About(NamedTuple):
    """What is said about an option: `line` in the docstring, `line` and `more` in docs/options.md.

    `unit` is that of a number. `unset` is what the default None stands for. `annotation` is the type that the
    filesystem takes, where `Options` holds another.
    """

    line: str
    unit: str
    unset: str
    more: str
    annotation: str
    check: Check | None


def _option(
    default: Any,
    line: str,
    unit: str = "",
    *,
    unset: str = "",
    more: str = "",
    annotation: str = "",
    check: Check | None = None,
    secret: bool = False,
) -> Any:
    about = About(line, unit, unset, more, annotation, check)
    return field(default=default, repr=not secret, metadata={"about": about})


_SOME_TIME = Check(lambda seconds: seconds > 0, "must be more than 0 seconds")
_SOME = Check(lambda number: number > 0, "must be more than 0")
_A_BYTE = Check(lambda size: size >= 1, "must be at least 1 byte")


def _is_part_size(size: int) -> bool:
    return MIN_PART_SIZE <= size <= MAX_PART_SIZE


def _between(least: int, most: int, words: str) -> Check:
    return Check(lambda value: least <= value <= most, f"must be {words}")


# A name, an IPv4 address, or an IPv6 address that may have a zone. Names of other alphabets are not encoded
# here, since there are two ways to do it (IDNA 2003 and 2008): write "xn--...".
_HOST = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*|[0-9A-Fa-f:.]+(%25[A-Za-z0-9._~-]+|%[A-Za-z0-9._~-]+)?")


def endpoint_fault(url: str) -> str | None:
    """What is wrong with the URL of an endpoint. It is not shown before it is known to hold no password."""
    if "@" in url:
        return "must not hold a user name or password: pass key and secret"
    if {*"?#"} & {*url}:
        return "must not have a query or a fragment"
    if not url.lower().startswith(("http://", "https://")):
        return "must begin with https:// or http://"
    with suppress(ValueError):  # brackets without an IPv6 address in them, or a port that is none
        parts = urlsplit(url)
        if _HOST.fullmatch(parts.hostname or "") and parts.port != 0 and url.isprintable():
            return None
    return f"must be http:// or https:// and a host, with a port of 1 to 65535 if there is one, not {url!r}"


@dataclass(frozen=True, slots=True)
class Options:
    """What a filesystem was opened with. Times are in seconds, sizes in bytes.

    A secret is left out of `repr`; `hash` and equality include it, since pools are shared by options. Raises
    ValueError for a value out of range, TypeError for a wrong type.
    """

    key: str | None = _option(None, "access key id", unset="botocore's chain", secret=True)
    secret: str | None = _option(None, "secret access key", unset="botocore's chain", secret=True)
    token: str | None = _option(None, "session token", unset="botocore's chain", secret=True)
    anon: bool = _option(False, "do not sign requests, even if there are credentials")
    profile: str | None = _option(None, "profile of the AWS configuration", unset="AWS_PROFILE")
    credential_provider: Any = _option(  # noqa: RUF009 - it is frozen
        None,
        "a function that returns credentials, credentials of botocore, or a session of botocore or boto3",
        unset="botocore's chain",
        more="see [credentials](#credentials)",
        secret=True,
    )
    role_arn: str | None = _option(None, "role to assume with the credentials, by STS")
    external_id: str | None = _option(
        None, "external id that the owner of the role demands; needs `role_arn`"
    )
    session_name: str | None = _option(
        None, "name of the role's session in AWS's logs", unset="botocore's own"
    )
    web_identity_token_file: str | None = _option(
        None, "file with the token of an identity provider, in place of credentials; needs `role_arn`"
    )
    endpoint_url: str | None = _option(
        None, "where the store is, with https:// or http://", unset="AWS configuration"
    )
    region: str | None = _option(
        None,
        "region of the buckets; if a bucket is in another one, the store's answer tells it",
        unset="AWS configuration",
    )
    dialect: Literal["auto", "s3", "r2", "gcs"] = _option(
        "auto",
        "whose names the requests use: s3, r2 (Cloudflare R2), gcs (Google Cloud Storage), "
        "or auto: decided by the host, or by what the store says",
        more="see [stores](stores.md#dialects)",
    )
    addressing_style: Literal["auto", "path", "virtual"] = _option(
        "auto", "the bucket in the path or in the name of the host: auto, path or virtual"
    )
    use_dualstack: bool = _option(False, "AWS endpoints with IPv6")
    use_accelerate: bool = _option(False, "S3 Transfer Acceleration")
    use_fips: bool = _option(False, "AWS endpoints with FIPS 140 cryptography")
    allow_http: bool = _option(False, "allow plain http to hosts other than loopback")
    sign_payload: bool = _option(False, "sign bodies too, for stores that demand it over plain http")
    ca_bundle: str | None = _option(
        None,
        "PEM file or folder of trusted certificates",
        unset="AWS_CA_BUNDLE, the profile's, REQUESTS_CA_BUNDLE",
        more="if nothing is set: those of the system, or of botocore if the system has none",
    )
    client_cert: str | None = _option(
        None, "PEM file with client certificate and key; the key must not be encrypted"
    )

    connect_timeout: float = _option(
        3.1, "longest wait for TCP, for each address of the host, and for TLS", "s", check=_SOME_TIME
    )
    send_timeout: float = _option(30.0, "longest wait of a single send", "s", check=_SOME_TIME)
    read_timeout: float = _option(30.0, "longest wait of a single receive", "s", check=_SOME_TIME)
    request_deadline: float = _option(
        900.0,
        "how long one S3 request may take with its retries; "
        "time in which a body moves at `min_rate` does not count",
        "s",
        check=_SOME_TIME,
    )
    min_rate: float = _option(
        1024.0,
        "lowest rate over `min_rate_window`, in both directions; 0: any rate",
        "bytes/s",
        check=Check(lambda rate: rate >= 0, "must be 0 (no minimum) or more bytes per second"),
    )
    min_rate_window: float = _option(30.0, "over how long `min_rate` is measured", "s", check=_SOME_TIME)
    idle_timeout: float = _option(
        30.0, "an idle connection that is older is not used again", "s", check=_SOME_TIME
    )
    max_attempts: int | None = _option(
        None,
        "attempts per request",
        "attempts",
        unset=f"AWS_MAX_ATTEMPTS, else {ATTEMPTS}",
        check=Check(lambda count: count >= 1, "must be at least 1"),
    )
    max_concurrency: int = _option(
        REQUESTS,
        "how many ranges, parts or objects are requested in parallel",
        "requests",
        more="pass less to use fewer connections. This is an upper bound: a store that answers within "
        "milliseconds gets 2 at first, and a slow line gets [fewer](guarantees.md#slow-lines) large bodies. "
        "Only `cat` and `cat_ranges` of a distant store, and the coroutines `_cat_file` and `_pipe_file`, "
        f"use more than 64. If you do not pass it, these two go up to {MAX_CONCURRENCY} where the store is "
        "distant and many of them wait",
        check=_between(1, MAX_CONCURRENCY, f"1 to {MAX_CONCURRENCY}"),
    )

    requester_pays: bool = _option(False, "pay for requests and traffic of a requester-pays bucket")
    s3_additional_kwargs: Attributes = _option(  # noqa: RUF009 - it is frozen
        NONE,
        "attributes of everything that is written or read, in S3's names",
        more="see below",
        annotation="Mapping[str, Any] | None",
    )

    block_size: int = _option(5 * MIB, "how far open files read ahead", "bytes", check=_A_BYTE)
    range_size: int = _option(
        16 * MIB, "size of one ranged GET of a large read; less on a slow line", "bytes", check=_A_BYTE
    )
    part_size: int = _option(
        16 * MIB,
        "size of a part of a multipart upload, 5 MiB to 5 GiB",
        "bytes",
        more="it doubles every 500 parts of a stream, up to 5 GiB; parts of a stream above 64 MiB are kept "
        "in temporary files (`TMPDIR`) until they are sent",
        check=Check(_is_part_size, "must be 5 MiB to 5 GiB"),
    )
    multipart_threshold: int = _option(
        64 * MIB,
        "size from which an upload is multipart",
        "bytes",
        check=_between(1, MAX_SINGLE_PUT, "1 B to 5 GiB"),
    )
    fixed_upload_size: bool = _option(False, "all parts have one size, as Cloudflare R2 demands")
    cache_type: str = _option(
        "prefetch",
        "the cache of open files: prefetch (of this package), "
        "or fsspec's readahead, bytes, block, all, none ...",
    )
    use_listings_cache: bool = _option(
        False, "keep directory listings", more="see [paths](paths.md#listing-cache)"
    )
    listings_expiry_time: float | None = _option(
        None, "how long a listing is kept; None: until it is dropped", "s", check=_SOME
    )
    max_paths: int | None = _option(
        None, "how many listings are kept; None: any number", "listings", check=_SOME
    )
    recent_listings: float = _option(
        5.0,
        "how long the results of `ls`, `find`, `glob` and `walk` also answer `info`, `exists`, `isfile`, "
        "`isdir`, `ukey` and `modified`; 0: these always ask the store",
        "s",
        more="see [paths](paths.md#right-after-a-listing)",
        check=Check(lambda seconds: seconds >= 0, "must be 0 (always ask) or more seconds"),
    )
    fsync: bool = _option(False, "flush downloads and their folder to disk")
    verify_checksums: bool | None = _option(
        None,
        "compare whole objects with the stored CRC, where there is one",
        unset="AWS configuration, else True",
    )
    request_checksum_calculation: Literal["when_supported", "when_required"] | None = _option(
        None,
        "when_required: bodies carry Content-MD5 in place of a CRC, "
        "for stores that refuse `x-amz-checksum-*`",
        unset="AWS configuration, else when_supported",
    )
    probe: Literal["auto", "always", "never"] = _option(
        "auto", "find out which conditions the store honours: auto (not on AWS), always, never"
    )
    version_aware: bool = _option(
        False,
        '"?versionId=..." at the end of a path names a version, and readers are pinned to their version',
        more="without it such text is part of the key",
    )
    create_buckets: bool = _option(
        False,
        "`makedirs`, and `mkdir` of a path below a bucket, create the bucket where it is missing, as in s3fs",
    )

    def __post_init__(self) -> None:
        kinds = _kinds()
        for option in fields(self):
            value = getattr(self, option.name)
            kinds[option.name].check(option.name, value)
            # Half of the credentials, or no certificate, is not what anybody asks for; no token is.
            _require(value != "" or option.name == "token", option.name, "must not be empty: leave it out")
            check: Check | None = option.metadata["about"].check
            if check is not None and value is not None:
                _require(check.holds(value), option.name, check.words)
        _require(
            (self.key is None) == (self.secret is None), "key", "and secret go together: pass both or none"
        )
        _require(self.token is None or self.key is not None, "token", "needs key and secret beside it")
        self._check_sources()
        if self.endpoint_url is not None:
            fault = endpoint_fault(self.endpoint_url)
            _require(fault is None, "endpoint_url", str(fault))

    def _check_sources(self) -> None:
        """Raise ValueError for credentials of two sources, and for a role without its beginning."""
        provider = self.credential_provider
        if provider is not None:
            known = callable(provider) or any(
                hasattr(provider, name) for name in ("get_frozen_credentials", "get_credentials")
            )
            if not known:
                raise TypeError(
                    "storage option credential_provider must be a function, or credentials or a session of "
                    f"botocore or boto3, not {type(provider).__name__}"
                )
            others = [name for name in ("key", "profile", "anon") if getattr(self, name)]
            _require(not others, "credential_provider", f"excludes {', '.join(others)}")
        for name in ("external_id", "session_name", "web_identity_token_file"):
            given = getattr(self, name) is not None
            _require(not given or self.role_arn is not None, name, "needs role_arn beside it")
        _require(self.role_arn is None or not self.anon, "role_arn", "excludes anon")

    @classmethod
    def parse(cls, storage_options: Mapping[str, Any]) -> Options:
        """Check `storage_options`, in our names or those of s3fs, and freeze them.

        Raises ValueError for an unknown option or a value out of range, TypeError for a wrong type.
        """
        given = {name: value for name, value in storage_options.items() if name not in FSSPEC_OPTIONS}
        for name in PARAMETERS.keys() & given:
            raise ValueError(f"unknown storage option {name!r}: pass s3_additional_kwargs={{{name!r}: ...}}")
        extra = given.get("s3_additional_kwargs")
        if isinstance(extra, Mapping):
            given["s3_additional_kwargs"] = Attributes.parse(extra, "s3_additional_kwargs").with_source()
            directives = given["s3_additional_kwargs"].of_kinds("copy", "copying").names
            _require(not directives, "s3_additional_kwargs", "has directives of a copy: pass them to cp_file")
        return cls(**s3fs_options.translated(given, {item.name: item.default for item in fields(cls)}))

    def attributes(self) -> Attributes:
        """What every object is written and every request is made with."""
        payer = {"RequestPayer": "requester"} if self.requester_pays else {}
        return Attributes.parse(payer, "requester_pays").overlaid(self.s3_additional_kwargs)

    def identity(self) -> str:
        """What tells filesystems apart: all options but the secret, and the session token that goes with it.

        Those who have them get at the same store by the same key.
        """
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        del values["secret"], values["token"]
        if self.credential_provider is not None:
            values["credential_provider"] = name_of(self.credential_provider)
        return repr(values | {"s3_additional_kwargs": self.s3_additional_kwargs.identity()})

    def with_part_size(self, part_size: int, name: str = "block_size") -> Options:
        """These options for parts of `part_size` bytes, given as the argument `name`.

        Raises TypeError, ValueError.
        """
        if not isinstance(part_size, int):
            raise TypeError(f"{name} must be int, not {type(part_size).__name__}")
        if not _is_part_size(part_size):
            raise ValueError(f"{name} of a write is its part size: 5 MiB to 5 GiB, not {part_size}")
        return replace(self, part_size=part_size)

    @classmethod
    def from_text(cls, name: str, value: Any) -> Any:
        """The value of the option `name` as fsspec's configuration has it.

        Its INI files hold text only, and what its environment variables hold is read as JSON if it can be. A
        variable that is empty says nothing.
        """
        if value == "":
            return None
        rule = s3fs_options.OPTIONS.get(name)
        ours = rule.becomes if rule else name
        kind = _kinds().get(ours)
        if kind is not None and kind.type is str:
            return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if isinstance(value, str):
            with suppress(ValueError):
                return json.loads(value.lower() if value.lower() in ("true", "false") else value)
        return value


def keys_as_text(storage_options: Mapping[str, Any]) -> dict[str, Any]:
    """`storage_options` with customer's keys as text: JSON has no bytes, of which fsspec makes lists."""
    kept = dict(storage_options)
    for name, value in kept.items():
        if isinstance(value, Mapping):
            lists = {key for key in _CUSTOMER_KEYS & value.keys() if isinstance(value[key], list)}
            kept[name] = {**value, **{key: bytes(value[key]).decode("latin-1") for key in lists}}
    return kept


def without_secrets(storage_options: Mapping[str, Any]) -> dict[str, Any]:
    """`storage_options` that may be shown.

    A customer's key is replaced: where it was missing, objects would be written without encryption.
    """
    kept = {name: value for name, value in storage_options.items() if name not in _SECRET}
    for name, value in kept.items():
        if isinstance(value, Mapping):
            kept[name] = {
                key: LEFT_OUT if key in _CUSTOMER_KEYS else item
                for key, item in value.items()
                if key not in _SECRET or key in _CUSTOMER_KEYS
            }
    return kept


def _require(holds: bool, name: str, rule: str) -> None:
    if not holds:
        raise ValueError(f"storage option {name} {rule}")


class _Kind(NamedTuple):
    """What the value of an option is: of a type, one of some choices, or None."""

    type: type
    choices: tuple[str, ...]
    optional: bool

    @classmethod
    def of(cls, hint: Any) -> _Kind:
        if hint is Any:
            return cls(object, (), True)
        united = typing.get_origin(hint) in (typing.Union, types.UnionType)
        members = typing.get_args(hint) if united else (hint,)
        chosen = typing.get_args(members[0])  # those of a Literal
        return cls(type(chosen[0]) if chosen else members[0], chosen, types.NoneType in members)

    def check(self, name: str, value: Any) -> None:
        """Raise TypeError for a value of another type, ValueError for one that is none of the choices."""
        if value is None and self.optional:
            return
        accepted = (int, float) if self.type is float else self.type
        if not isinstance(value, accepted) or (isinstance(value, bool) and self.type is not bool):
            wanted = "a dict of S3 parameters" if self.type is Attributes else self.type.__name__
            hint = _HINTS.get(self.type, "") if isinstance(value, str) else ""
            raise TypeError(f"storage option {name} must be {wanted}, not {type(value).__name__}{hint}")
        if self.choices:
            several = f"one of {', '.join(self.choices)}"
            words = several if len(self.choices) > 2 else " or ".join(self.choices)
            _require(value in self.choices, name, f"must be {words}")


def name_of(provider: Any) -> tuple[object, ...]:
    """What tells one `credential_provider` from another: its `repr` may be that of others too.

    Of a function of a module it is the same in each process.
    """
    module, name = getattr(provider, "__module__", None), getattr(provider, "__qualname__", None)
    if module and name and getattr(sys.modules.get(module), name, None) is provider:
        return module, name
    try:
        return type(provider).__qualname__, hash(provider)  # a bound method is another object each time
    except TypeError:
        return type(provider).__qualname__, id(provider)


# Of text where none is wanted, as a configuration or a command line has it.
_HINTS = {
    int: ": a number, without a unit",
    float: ": a number, without a unit",
    bool: ": true or false in files and variables",
}


@functools.cache
def _kinds() -> dict[str, _Kind]:
    """The kind of each option."""
    return {name: _Kind.of(hint) for name, hint in typing.get_type_hints(Options).items()}


def choices_of(name: str) -> tuple[str, ...]:
    """The values that the option `name` may have, where only some are possible."""
    return _kinds()[name].choices


def part_size_for(size: int, part_size: int) -> int:
    """The part size that holds `size` bytes in 10,000 parts: a whole MiB, never below `part_size`.

    Raises ValueError when S3 cannot hold the object (10,000 parts of 5 GiB, 48.8 TiB).
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
    """
    if size > MAX_PARTS * MAX_PART_SIZE:
        raise ValueError(
            f"size {size} is over what S3 holds in one object ({MAX_PARTS * MAX_PART_SIZE} bytes)"
        )
    least = -(-size // MAX_PARTS)
    return max(part_size, -(-least // MIB) * MIB)
