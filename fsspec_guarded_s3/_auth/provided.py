"""Credentials that a program brings along: a function that gets them, botocore's own objects, or a role.

Loaded when one of these is passed. botocore refreshes what ends: ahead of time, by one thread, while the
others go on with what they have (`botocore.credentials.RefreshableCredentials`).
Invariant: nothing that a source says or logs shows a secret.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from numbers import Number
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.config
import botocore.credentials
import botocore.session

from .._values.models import s3_time
from .._values.paths import is_loopback
from ..errors import ConfigurationError, CredentialsError
from ..options import Options
from .rules import Rules, configured_endpoint
from .unconfigured import Keys

_METHOD = "credential_provider"
# What sources call the four values: botocore's own names, those of STS and of files, those of this package.
_NAMES = {
    "access_key": ("access_key", "AccessKeyId", "aws_access_key_id", "key"),
    "secret_key": ("secret_key", "SecretAccessKey", "aws_secret_access_key", "secret"),
    "token": ("token", "SessionToken", "Token", "aws_session_token"),
    "expiry_time": ("expiry_time", "Expiration", "expiration", "expires_at"),
}
_ADVISORY, _MANDATORY = 900, 600  # seconds before the end: botocore's own


def of_provider(provider: Any) -> Any:
    """The credentials that `provider` is, or returns when it is called. Raises CredentialsError."""
    if hasattr(provider, "get_frozen_credentials"):  # botocore's credentials, which refresh themselves
        return provider
    if hasattr(provider, "get_credentials"):  # a session of botocore or boto3
        found = provider.get_credentials()
        if found is None:
            raise CredentialsError("the session of credential_provider has no credentials")
        return found
    found = _called(provider)
    if hasattr(found, "get_frozen_credentials"):
        return found
    if inspect.iscoroutine(found):
        found.close()
        raise CredentialsError("credential_provider must return credentials, and must not be a coroutine")
    first = _values(found)
    if first["expiry_time"] is None:
        return Keys(first["access_key"], first["secret_key"], first["token"], _METHOD)
    left = (first["expiry_time"] - datetime.now(timezone.utc)).total_seconds()
    return botocore.credentials.RefreshableCredentials.create_from_metadata(
        _as_metadata(first),
        refresh_using=lambda: _as_metadata(_not_ended(_values(_called(provider)))),
        method=_METHOD,
        # Of credentials that live for minutes botocore's own times would make each request a refresh.
        advisory_timeout=int(min(_ADVISORY, max(0, left) / 3)),
        mandatory_timeout=int(min(_MANDATORY, max(0, left) / 6)),
    )


def _called(provider: Callable[[], Any]) -> Any:
    """What `provider` returns.

    What is wrong with the function itself is told here: further out it would look like an answer of STS or
    of a program that cannot be read (`chain`).
    """
    try:
        return provider()
    except Exception as error:
        trace = error.__traceback__
        is_of_the_call = trace is not None and trace.tb_next is None  # it takes arguments, or is no Python
        if not (is_of_the_call or isinstance(error, json.JSONDecodeError)):
            raise
        told = f"{type(error).__name__}: {error}"
    raise CredentialsError(f"credential_provider failed: {told}")


def _values(found: Any) -> dict[str, Any]:
    """The values of what a function returned, by botocore's names. Raises CredentialsError."""
    if not isinstance(found, Mapping):
        names = [name for name in ("access_key", "secret_key", "token") if hasattr(found, name)]
        found = {name: getattr(found, name) for name in names}
    nested = found.get("Credentials")  # an answer of STS
    found = nested if isinstance(nested, Mapping) else found
    values = {ours: next((found[n] for n in names if found.get(n)), None) for ours, names in _NAMES.items()}
    if values["access_key"] is None or values["secret_key"] is None:
        raise CredentialsError(
            "credential_provider must return a dict with access_key and secret_key, and where they end with "
            "token and expiry_time; an answer of STS; or credentials of botocore"
        )
    values["expiry_time"] = _time(values["expiry_time"])
    return values


def _time(value: Any) -> datetime | None:
    """When credentials end. Raises CredentialsError for what is no time, or has no time zone."""
    if value is None:
        return None
    time = s3_time(value) if isinstance(value, str) else value
    if isinstance(time, Number) and not isinstance(time, bool):
        with suppress(TypeError, ValueError, OverflowError, OSError):  # milliseconds are in no calendar
            time = datetime.fromtimestamp(float(time), timezone.utc)  # type: ignore[arg-type]
    if not isinstance(time, datetime) or time.tzinfo is None:
        raise CredentialsError(
            "expiry_time of credential_provider must be a time with a time zone, or seconds since 1970"
        )
    return time


def _not_ended(values: dict[str, Any]) -> dict[str, Any]:
    """`values`. CredentialsError where they are over: the store would refuse them."""
    ends = values["expiry_time"]
    if ends is not None and ends <= datetime.now(timezone.utc):
        raise CredentialsError(f"credential_provider returned credentials that ended at {ends.isoformat()}")
    return values


def _as_metadata(values: Mapping[str, Any]) -> dict[str, Any]:
    ends = values["expiry_time"] or datetime.now(timezone.utc) + timedelta(hours=1)
    return {**values, "expiry_time": ends.isoformat()}


def of_role(options: Options, session: Any, source: Callable[[], Any]) -> Any:
    """Credentials of the role `role_arn`, which STS gives and botocore refreshes. AssumeRole.

    `source` gives those that ask for it; a file with a token of an identity provider needs none
    (AssumeRoleWithWebIdentity). Raises CredentialsError, ConfigurationError.
    """
    extra = {"ExternalId": options.external_id, "RoleSessionName": options.session_name}
    extra = {name: value for name, value in extra.items() if value is not None}
    client = partial(sts_client, options, session)
    cache: dict[str, Any] = {}  # of botocore
    if options.web_identity_token_file is not None:
        load = Path(options.web_identity_token_file).read_text
        fetcher = botocore.credentials.AssumeRoleWithWebIdentityCredentialFetcher(
            client, load, options.role_arn, extra_args=extra, cache=cache
        )
        method = "assume-role-with-web-identity"
    else:
        fetcher = botocore.credentials.AssumeRoleCredentialFetcher(
            client, source(), options.role_arn, extra_args=extra, cache=cache
        )
        method = "assume-role"

    def fetch() -> Any:
        try:
            return fetcher.fetch_credentials()
        except BaseException:
            cache.clear()  # an answer without credentials would be read again, for good
            raise

    return botocore.credentials.DeferredRefreshableCredentials(fetch, method)


def sts_endpoint(options: Options, session: Any) -> str | None:
    """Where STS is, by AWS's configuration; None for that of AWS.

    ConfigurationError where the store is not AWS and nothing says which STS knows its keys, its roles and
    its identity provider: AWS is not to see them; and for plain http, as of the store itself.
    """
    url = configured_endpoint(session, "sts")
    store = urlsplit(options.endpoint_url or configured_endpoint(session) or "").hostname
    if url is None and store:
        if not store.endswith(tuple(f".{domain}" for domain in Rules(session).domains())):
            raise ConfigurationError(
                "the store is not AWS: set AWS_ENDPOINT_URL_STS to the STS that knows its keys and roles"
            )
        return None
    parts = urlsplit(url or "")
    if parts.scheme == "http" and not (is_loopback(parts.hostname or "") or options.allow_http):
        raise ConfigurationError(
            f"STS is asked by plain http at {parts.hostname}: credentials could be read on the way. "
            "Use https, or pass allow_http=True where the network is trusted"
        )
    return url


def sts_client(
    options: Options, session: Any, service: str = "sts", region: str | None = None, **kwargs: Any
) -> Any:
    """botocore's client of STS."""
    url = sts_endpoint(options, session)
    config = botocore.config.Config(
        connect_timeout=options.connect_timeout, read_timeout=options.read_timeout
    ).merge(kwargs.pop("config", None) or botocore.config.Config())
    region = region or options.region or session.get_config_variable("region") or "us-east-1"
    return session.create_client(
        service, region_name=region, endpoint_url=url, verify=options.ca_bundle, config=config, **kwargs
    )


def botocores(keys: Any) -> Any:
    """`keys` as credentials of botocore's."""
    if isinstance(keys, Keys):
        return botocore.credentials.Credentials(keys.access_key, keys.secret_key, keys.token)
    return keys
