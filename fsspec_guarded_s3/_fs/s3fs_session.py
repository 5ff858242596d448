"""What s3fs's callers get of `connect` and `set_session`, and how they see the options that were passed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._s3.client import S3Client
from .._values.keywords import check_integer
from ..options import Options


class Session:
    """What `connect` and `set_session` return: it has the `close` that s3fs's callers await at the end."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f"<Session of {self._client!r}>"

    def close_now(self) -> None:
        """Close the idle connections, as `fs.close()` does: the filesystem can be used afterwards."""
        self._client.close()

    async def close(self) -> None:
        """What `close_now` does, for callers that await it."""
        self.close_now()


def delegated_options(client: S3Client, options: Options, seconds: int) -> dict[str, Any]:
    """Options by which a worker has, for `seconds`, the rights of the key in `options`."""
    check_integer("exp", seconds, 900)
    if options.role_arn or options.credential_provider is not None:  # what workers do not have
        keys = client.store.signer.credentials()
        return {"key": keys.access_key, "secret": keys.secret_key, "token": keys.token, "anon": False}
    if options.anon or not options.key:
        return {"anon": options.anon}
    if options.token:
        return {"key": options.key, "secret": options.secret, "token": options.token, "anon": False}
    keys = client.store.signer.delegated(seconds)
    return {"key": keys.access_key, "secret": keys.secret_key, "token": keys.token, "anon": False}


def given(storage_options: Mapping[str, Any], name: str, default: object) -> object:
    """What was passed as the storage option `name`; `default` where nothing, or None, was."""
    value = storage_options.get(name)
    return default if value is None else value


def given_dict(storage_options: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A copy of the dict that was passed as the storage option `name`, {} where none was."""
    value = storage_options.get(name)
    return dict(value) if isinstance(value, Mapping) else {}
