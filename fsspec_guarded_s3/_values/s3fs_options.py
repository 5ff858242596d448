"""The option names of s3fs: what each becomes here, or what to use instead.

Invariant: a name means the same as in s3fs or is refused in words that say what to do; none is dropped.
Sources: `s3fs.S3FileSystem`, botocore's `Session.create_client` and `botocore.config.Config`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypedDict

from .._forks import importing

Found = dict[str, Any]


class S3fsOptions(TypedDict, total=False):
    """The names of s3fs that are taken here, for type checkers; `OPTIONS` says what becomes of each."""

    username: str | None
    password: str | None
    use_ssl: bool | None
    client_kwargs: Mapping[str, Any] | None
    config_kwargs: Mapping[str, Any] | None
    default_block_size: int | None
    default_cache_type: str | None
    default_fill_cache: bool | None
    cache_regions: bool | None
    local_expiry_check: bool | None
    verify: bool | str | None


class Rule(NamedTuple):
    """How one name is read.

    The value goes to the option `becomes`, is looked up in `values`, or is worked out by `convert`; each
    gives options of ours. A value that none of them takes is refused: `instead` says what to do.
    """

    meaning: str = ""
    becomes: str = ""
    values: Mapping[Any, Found] = MappingProxyType({})
    convert: Callable[[str, Any], Found] | None = None
    instead: str = ""


def translated(given: Mapping[str, Any], ours: Mapping[str, Any]) -> Found:
    """`given` in our own names: those in `ours` (name: default) stay as they are, s3fs's are translated.

    Raises ValueError for a name that nobody knows, a value that has no counterpart, or two that differ.
    """
    found: Found = {}
    for name, value in given.items():
        if name not in ours:
            _merge(found, _read("", name, value, OPTIONS, ours), name)
    own = {name: value for name, value in given.items() if name in ours and value is not None}
    _merge(found, own, "its namesake of s3fs")
    if "use_ssl" in found:
        _consent(found, found.pop("use_ssl"))
    ceiling = found.pop("max_pool_connections", None)
    if ceiling is not None:
        wanted = found.get("max_concurrency", ours["max_concurrency"])
        found["max_concurrency"] = min(ceiling, wanted) if isinstance(ceiling, int) else ceiling
    return found


def _consent(found: Found, use_ssl: Any) -> None:
    """Whoever says that there is to be no TLS has allowed plain http to the endpoint that goes with it."""
    if not isinstance(use_ssl, bool):
        raise TypeError(f"storage option use_ssl must be bool, not {type(use_ssl).__name__}")
    endpoint_url = found.get("endpoint_url")
    if not use_ssl and not endpoint_url:
        raise ValueError(f"storage option use_ssl=False is not possible here: {OPTIONS['use_ssl'].instead}")
    if not use_ssl and str(endpoint_url).lower().startswith("http://"):
        found.setdefault("allow_http", True)


def _read(place: str, name: Any, value: Any, rules: Mapping[str, Rule], known: Iterable[str]) -> Found:
    shown = f"{place}[{name!r}]" if place else str(name)
    rule = rules.get(name)
    if rule is None:
        what = f"{place} key {name!r}" if place else f"storage option {name!r}"
        raise ValueError(f"unknown {what}{_hint(str(name), place, [*rules, *known])}")
    if value is None:
        return {}
    if rule.becomes:
        return {rule.becomes: value}
    if rule.convert is not None:
        converted = rule.convert(shown, value)
        if converted is not _REFUSED:
            return converted
    elif isinstance(value, (str, bool)) and value in rule.values:
        return dict(rule.values[value])
    raise ValueError(f"storage option {shown} is not possible here: {rule.instead}")


def _hint(name: str, place: str, known: Iterable[str]) -> str:
    """What to pass in the place of a name that nobody knows, where that can be said."""
    with importing():
        import difflib

        from .guessed_options import INSTEAD
    instead = "" if place else INSTEAD.get(name.lower().replace("-", "_"), "")
    near = difflib.get_close_matches(name, known, n=1)
    return f": {instead}" if instead else f"; did you mean {near[0]!r}?" if near else ""


def _merge(found: Found, more: Found, name: str) -> None:
    for option, value in more.items():
        if option in found and found[option] != value:
            # The values are not shown: they may be secrets.
            raise ValueError(f"storage options {option} and {name} contradict each other: pass one of them")
        found[option] = value


# --- values that take more than a table ---

_REFUSED: Found = {}  # by identity: the value has no counterpart


def _group(rules: Mapping[str, Rule]) -> Callable[[str, Any], Found]:
    def convert(shown: str, value: Any) -> Found:
        if not isinstance(value, Mapping):
            raise TypeError(f"storage option {shown} must be a dict, not {type(value).__name__}")
        found: Found = {}
        for name, item in value.items():
            _merge(found, _read(shown, name, item, rules, ()), f"{shown}[{name!r}]")
        return found

    return convert


def _config_object(shown: str, value: Any) -> Found:
    """botocore's Config: whatever differs from its defaults, as if it were in config_kwargs."""
    defaults = getattr(type(value), "OPTION_DEFAULTS", None)
    if defaults is None:
        raise TypeError(f"storage option {shown} must be botocore's Config, not {type(value).__name__}")
    changed = {name: getattr(value, name) for name in defaults if getattr(value, name) != defaults[name]}
    return _group(CONFIG)(shown, changed)


def _verify(shown: str, value: Any) -> Found:
    if isinstance(value, str) and value:
        return {"ca_bundle": value}
    return {} if value is True else _REFUSED


def _signature(shown: str, value: Any) -> Found:
    if type(value).__name__ == "UNSIGNED":  # botocore's mark, which has no other name
        return {"anon": True}
    return {} if value in ("s3v4", "v4") else _REFUSED


def _more_attempts(shown: str, value: Any) -> Found:
    """botocore counts the retries here, not the first attempt."""
    return {"max_attempts": value + 1} if isinstance(value, int) else _REFUSED


def _client_cert(shown: str, value: Any) -> Found:
    return {"client_cert": value} if isinstance(value, str) else _REFUSED


def _anything(shown: str, value: Any) -> Found:
    return {}


_SAME: dict[Any, Found] = {True: {}, False: {}}
_ALWAYS = "no effect: it is always so"
_NO_SUCH = "no effect on S3"

RETRIES: dict[str, Rule] = {
    "max_attempts": Rule(
        "`max_attempts` - 1: retries after the first attempt",
        convert=_more_attempts,
        instead="it must be a whole number of retries",
    ),
    "total_max_attempts": Rule("`max_attempts`", becomes="max_attempts"),
    "mode": Rule(
        "no effect: retries have full jitter and a budget, and the rate always adapts",
        values={"standard": {}, "legacy": {}, "adaptive": {}},
        instead="leave it out: it must be standard, legacy or adaptive",
    ),
}

S3: dict[str, Rule] = {
    "addressing_style": Rule("`addressing_style`", becomes="addressing_style"),
    "use_accelerate_endpoint": Rule("`use_accelerate`", becomes="use_accelerate"),
    "use_dualstack_endpoint": Rule("`use_dualstack`", becomes="use_dualstack"),
    "payload_signing_enabled": Rule("`sign_payload`", becomes="sign_payload"),
    "use_arn_region": Rule("True: " + _ALWAYS, values={True: {}}, instead="an ARN's region is always used"),
    "us_east_1_regional_endpoint": Rule(
        "regional: " + _ALWAYS, values={"regional": {}}, instead="the regional endpoint is always used"
    ),
}

CONFIG: dict[str, Rule] = {
    "region_name": Rule("`region`", becomes="region"),
    "signature_version": Rule(
        "s3v4 or v4: always so; botocore.UNSIGNED: `anon=True`",
        convert=_signature,
        instead="requests are signed by Signature Version 4 (s3v4); pass anon=True to sign none",
    ),
    "connect_timeout": Rule("`connect_timeout`", becomes="connect_timeout"),
    "read_timeout": Rule("`read_timeout`", becomes="read_timeout"),
    "max_pool_connections": Rule("`max_concurrency`, as an upper bound", becomes="max_pool_connections"),
    "retries": Rule("see below", convert=_group(RETRIES)),
    "s3": Rule("see below", convert=_group(S3)),
    "use_dualstack_endpoint": Rule("`use_dualstack`", becomes="use_dualstack"),
    "use_fips_endpoint": Rule("`use_fips`", becomes="use_fips"),
    "client_cert": Rule("`client_cert`", convert=_client_cert, instead="pass one PEM file with both"),
    "proxies": Rule(instead="set HTTPS_PROXY, HTTP_PROXY and NO_PROXY in the environment"),
    "proxies_config": Rule(instead="set HTTPS_PROXY in the environment, and ca_bundle for its certificate"),
    "user_agent": Rule(instead="leave it out: the user agent names this package"),
    "user_agent_extra": Rule(instead="leave it out: the user agent names this package"),
    "user_agent_appid": Rule(instead="leave it out: the user agent names this package"),
    "request_checksum_calculation": Rule(
        "`request_checksum_calculation`; the CRC goes in a plain header, never in a trailer",
        values={name: {"request_checksum_calculation": name} for name in ("when_supported", "when_required")},
        instead="it must be when_supported or when_required",
    ),
    "response_checksum_validation": Rule(
        "when_supported or when_required: `verify_checksums` True or False",
        values={"when_supported": {"verify_checksums": True}, "when_required": {"verify_checksums": False}},
        instead="it must be when_supported or when_required",
    ),
    "tcp_keepalive": Rule("True: " + _ALWAYS, values={True: {}}, instead="keep-alive is always on"),
    "parameter_validation": Rule(
        "True: " + _ALWAYS, values={True: {}}, instead="parameters are always checked"
    ),
    "ignore_configured_endpoint_urls": Rule(
        "False: no effect",
        values={False: {}},
        instead="set AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true in the environment",
    ),
    "inject_host_prefix": Rule(_NO_SUCH, values=_SAME),
    "endpoint_discovery_enabled": Rule(_NO_SUCH, convert=_anything),
    "account_id_endpoint_mode": Rule(_NO_SUCH, convert=_anything),
    "request_min_compression_size_bytes": Rule(_NO_SUCH, convert=_anything),
    "disable_request_compression": Rule(_NO_SUCH, values=_SAME),
    "s3_disable_express_session_auth": Rule(
        "False: no effect", values={False: {}}, instead="directory buckets are reached by sessions only"
    ),
    "client_context_params": Rule(instead="use the options of this package, such as addressing_style"),
    "auth_scheme_preference": Rule(instead="leave it out: the endpoint decides how requests are signed"),
    "sigv4a_signing_region_set": Rule(instead="leave it out: the endpoint decides how requests are signed"),
    "defaults_mode": Rule(instead="set connect_timeout, read_timeout and max_attempts themselves"),
}

CLIENT: dict[str, Rule] = {
    "region_name": Rule("`region`", becomes="region"),
    "endpoint_url": Rule("`endpoint_url`", becomes="endpoint_url"),
    "aws_access_key_id": Rule("`key`", becomes="key"),
    "aws_secret_access_key": Rule("`secret`", becomes="secret"),
    "aws_session_token": Rule("`token`", becomes="token"),
    "use_ssl": Rule("as `use_ssl`", becomes="use_ssl"),
    "verify": Rule(
        "True: no effect; a path: `ca_bundle`",
        convert=_verify,
        instead="TLS is always verified; pass ca_bundle with the certificate of your store's issuer",
    ),
    "config": Rule("botocore's Config, read as `config_kwargs`", convert=_config_object),
    "api_version": Rule(
        "2006-03-01: no effect", values={"2006-03-01": {}}, instead="S3 has the version 2006-03-01 only"
    ),
    "aws_account_id": Rule(_NO_SUCH, convert=_anything),
}

OPTIONS: dict[str, Rule] = {
    "username": Rule("`key`", becomes="key"),
    "password": Rule("`secret`", becomes="secret"),
    "use_ssl": Rule(
        "True: no effect; False beside a plain http `endpoint_url`: `allow_http`",
        becomes="use_ssl",
        instead="pass endpoint_url='http://...' beside it",
    ),
    "client_kwargs": Rule("see below", convert=_group(CLIENT)),
    "config_kwargs": Rule("see below", convert=_group(CONFIG)),
    "default_block_size": Rule("`block_size`", becomes="block_size"),
    "default_cache_type": Rule("`cache_type`", becomes="cache_type"),
    "default_fill_cache": Rule("no effect, as in s3fs: `cache_type` decides", values=_SAME),
    "cache_regions": Rule("no effect: regions are learned, and kept per bucket", values=_SAME),
    "local_expiry_check": Rule("no effect: the ETag of every answer is compared", values=_SAME),
    "session": Rule(instead="pass profile, or key, secret and token, or let AWS's own chain find them"),
    "verify": Rule(
        "as in `client_kwargs`", convert=_verify, instead="TLS is always verified; pass ca_bundle"
    ),
}
