"""Storage options, parsed and checked once. Invariant: an `Options` that exists is valid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any

from . import _s3fs_options
from ._attributes import NONE, PARAMETERS, Attributes

MIB = 2**20
MIN_PART_SIZE = 5 * MIB
MAX_PART_SIZE = 5 * 2**30
MAX_PARTS = 10_000
MAX_SINGLE_PUT = 5 * 2**30
ATTEMPTS = 5  # where nobody says otherwise
STYLES = ("auto", "path", "virtual")

_SECRET = frozenset(
    {"key", "secret", "token", "username", "password"}
    | {
        "SSECustomerKey",
        "CopySourceSSECustomerKey",
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "config",
    }
)

# Options of fsspec itself, which every filesystem tolerates.
FSSPEC_OPTIONS = frozenset({"skip_instance_cache", "asynchronous", "loop"})


@dataclass(frozen=True, slots=True)
class Options:
    """What a filesystem was opened with. Times are in seconds, sizes in bytes.

    A secret is left out of `repr`; `hash` and equality include it, since pools are shared by options.
    """

    key: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    anon: bool = False
    profile: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    addressing_style: str = "auto"
    use_dualstack: bool = False
    use_accelerate: bool = False
    use_fips: bool = False
    allow_http: bool = False
    sign_payload: bool = False
    ca_bundle: str | None = None
    client_cert: str | None = None

    connect_timeout: float = 3.1
    send_timeout: float = 30.0
    read_timeout: float = 30.0
    request_deadline: float = 900.0
    min_rate: float = 1024.0
    min_rate_window: float = 30.0
    idle_timeout: float = 30.0
    max_attempts: int | None = None  # AWS_MAX_ATTEMPTS, or ATTEMPTS
    max_concurrency: int = 64

    requester_pays: bool = False
    s3_additional_kwargs: Attributes = NONE

    block_size: int = 5 * MIB
    range_size: int = 16 * MIB
    part_size: int = 16 * MIB
    multipart_threshold: int = 64 * MIB
    fixed_upload_size: bool = False
    cache_type: str = "prefetch"
    use_listings_cache: bool = False
    listings_expiry_time: float | None = None
    max_paths: int | None = None
    fsync: bool = False
    verify_checksums: bool | None = None
    request_checksum_calculation: str | None = None
    probe: str = "auto"
    version_aware: bool = False
    create_buckets: bool = False

    def __post_init__(self) -> None:
        for option in fields(self):
            _check_type(option.name, str(option.type), getattr(self, option.name))
        for name in ("connect_timeout", "send_timeout", "read_timeout", "request_deadline", "idle_timeout"):
            _require(getattr(self, name) > 0, name, "must be more than 0 seconds")
        _require(self.min_rate >= 0, "min_rate", "must be 0 (no minimum) or more bytes per second")
        _require(self.min_rate_window > 0, "min_rate_window", "must be more than 0 seconds")
        _require(self.max_attempts is None or self.max_attempts >= 1, "max_attempts", "must be at least 1")
        for name in ("listings_expiry_time", "max_paths"):
            _require(getattr(self, name) is None or getattr(self, name) > 0, name, "must be more than 0")
        _require(1 <= self.max_concurrency <= 256, "max_concurrency", "must be 1 to 256")
        _require(self.block_size >= 1, "block_size", "must be at least 1 byte")
        _require(self.range_size >= 1, "range_size", "must be at least 1 byte")
        _require(MIN_PART_SIZE <= self.part_size <= MAX_PART_SIZE, "part_size", "must be 5 MiB to 5 GiB")
        _require(
            1 <= self.multipart_threshold <= MAX_SINGLE_PUT, "multipart_threshold", "must be 1 B to 5 GiB"
        )
        _require(self.addressing_style in STYLES, "addressing_style", f"must be one of {', '.join(STYLES)}")
        when = (None, "when_supported", "when_required")
        said = "must be when_supported or when_required"
        _require(self.request_checksum_calculation in when, "request_checksum_calculation", said)
        probes = ("auto", "always", "never")
        _require(self.probe in probes, "probe", f"must be one of {', '.join(probes)}")
        _require(
            (self.key is None) == (self.secret is None), "key", "and secret go together: pass both or none"
        )
        _require(self.token is None or self.key is not None, "token", "needs key and secret beside it")
        if self.endpoint_url is not None:
            ok = self.endpoint_url.startswith(("http://", "https://"))
            _require(ok, "endpoint_url", "must begin with https:// or http://")
            _require("@" not in self.endpoint_url, "endpoint_url", "must not hold a user name or password")
            _require(
                not {*"?#"} & {*self.endpoint_url}, "endpoint_url", "must not have a query or a fragment"
            )

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
            directives = given["s3_additional_kwargs"].of_kinds("copy").names
            _require(not directives, "s3_additional_kwargs", "has directives of a copy: pass them to cp_file")
        return cls(**_s3fs_options.translated(given, {item.name: item.default for item in fields(cls)}))

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
        return repr(values | {"s3_additional_kwargs": self.s3_additional_kwargs.identity()})

    def with_part_size(self, block_size: int) -> Options:
        """The same for a writer that was opened with `block_size`, in bytes."""
        if not isinstance(block_size, int):
            raise TypeError(f"block_size must be int, not {type(block_size).__name__}")
        if not MIN_PART_SIZE <= block_size <= MAX_PART_SIZE:
            raise ValueError(f"block_size of a writer is its part size: 5 MiB to 5 GiB, not {block_size}")
        return replace(self, part_size=block_size)

    @classmethod
    def from_text(cls, name: str, value: Any) -> Any:
        """The value of the option `name` as fsspec's configuration has it.

        Its INI files hold text only, and what its environment variables hold is read as JSON if it can be.
        """
        rule = _s3fs_options.OPTIONS.get(name)
        ours = rule.becomes if rule else name
        kinds = {item.name: str(item.type) for item in fields(cls)}
        if kinds.get(ours, "").startswith("str"):
            return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if isinstance(value, str):
            with suppress(ValueError):
                return json.loads(value.lower() if value.lower() in ("true", "false") else value)
        return value


def without_secrets(storage_options: Mapping[str, Any]) -> dict[str, Any]:
    """`storage_options` that may be shown."""
    kept = {name: value for name, value in storage_options.items() if name not in _SECRET}
    for name, value in kept.items():
        if isinstance(value, Mapping):
            kept[name] = {key: item for key, item in value.items() if key not in _SECRET}
    return kept


def _require(holds: bool, name: str, rule: str) -> None:
    if not holds:
        raise ValueError(f"storage option {name} {rule}")


def _check_type(name: str, annotation: str, value: Any) -> None:
    if value is None and "None" in annotation:
        return
    kind = annotation.split(" ")[0]
    if kind == "float":
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
    elif kind == "int":
        good = isinstance(value, int) and not isinstance(value, bool)
    else:
        good = isinstance(value, {"str": str, "bool": bool, "Attributes": Attributes}[kind])
    if not good:
        kind = "a dict of S3 parameters" if kind == "Attributes" else kind
        raise TypeError(f"storage option {name} must be {kind}, not {type(value).__name__}")


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
