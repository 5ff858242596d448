"""SigV4 by botocore's algorithm, without its cost per request and without its debug log."""

from __future__ import annotations

import hmac
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import botocore.auth

from ._endpoints import Endpoint

_NEVER_SIGNED = frozenset(botocore.auth.SIGNED_HEADERS_BLACKLIST)

TOKEN, SESSION_TOKEN = "x-amz-security-token", "x-amz-s3session-token"
_IN_QUERY = {TOKEN: "X-Amz-Security-Token", SESSION_TOKEN: "X-Amz-S3session-Token"}


@lru_cache(maxsize=4)
def timestamp_of(second: int) -> str:
    """X-Amz-Date of a Unix time."""
    return datetime.fromtimestamp(second, timezone.utc).strftime("%Y%m%dT%H%M%SZ")


class _Signable:
    """What botocore's algorithm asks of a request once its canonical form is there."""

    def __init__(self, timestamp: str) -> None:
        self.context = {"timestamp": timestamp}


class QuietAuth(botocore.auth.S3SigV4Auth):
    """botocore's SigV4 without its debug log, which shows tokens and signatures, and with our clock.

    Header names are lower-case and single, and path and query of a target are canonical already, which makes
    the canonical form cheap: botocore's takes an email message and a parsed URL. The signing key is derived
    once a day, region and credential: `keys` holds the last one.
    """

    def __init__(
        self,
        credentials: Any,
        endpoint: Endpoint,
        payload: str,
        timestamp: str,
        keys: dict[Any, bytes],
        token_name: str = TOKEN,
    ) -> None:
        super().__init__(credentials, endpoint.service, endpoint.region)
        self._token_name = token_name
        self._payload = payload
        self._keys = keys
        self._timestamp = timestamp

    def signed(self, method: str, target: str, headers: dict[str, str]) -> dict[str, str]:
        """`headers`, and those that carry the signature."""
        headers = {**headers, "x-amz-date": self._timestamp, "x-amz-content-sha256": self._payload}
        if self.credentials.token:
            headers[self._token_name] = self.credentials.token
        signed = [name for name in sorted(headers) if name not in _NEVER_SIGNED]
        names = ";".join(signed)
        request = _Signable(self._timestamp)
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.scope(request)}, SignedHeaders={names}, "
            f"Signature={self._signature_of(request, method, target, headers, signed)}"
        )
        return headers

    def presigned(self, method: str, target: str, headers: dict[str, str], expires: int) -> str:
        """`target` with the signature in its query, good for `expires` seconds; `headers` are signed."""
        signed = [name for name in sorted(headers) if name not in _NEVER_SIGNED]
        request = _Signable(self._timestamp)
        carried = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": self.scope(request),
            "X-Amz-Date": self._timestamp,
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": ";".join(signed),
        }
        if self.credentials.token:
            carried[_IN_QUERY[self._token_name]] = self.credentials.token
        path, _, query = target.partition("?")
        pieces = query.split("&") if query else []
        pieces += [f"{name}={quote(value, safe='-_.~')}" for name, value in carried.items()]
        target = f"{path}?{'&'.join(sorted(pieces, key=lambda piece: piece.partition('=')[0]))}"
        return f"{target}&X-Amz-Signature={self._signature_of(request, method, target, headers, signed)}"

    def _signature_of(
        self, request: _Signable, method: str, target: str, headers: dict[str, str], signed: list[str]
    ) -> str:
        path, _, query = target.partition("?")
        rows = [f"{name}:{' '.join(headers[name].split())}" for name in signed]
        canonical = "\n".join([method, path, query, *rows, "", ";".join(signed), self._payload])
        return self.signature(self.string_to_sign(request, canonical), request)

    def signature(self, string_to_sign: str, request: Any) -> str:
        secret, day = self.credentials.secret_key, self._timestamp[:8]
        name = (secret, day, self._region_name, self._service_name)
        key = self._keys.get(name)
        if key is None:
            key = f"AWS4{secret}".encode()
            for step in (day, self._region_name, self._service_name, "aws4_request"):
                key = self._sign(key, step)
            self._keys.clear()
            self._keys[name] = key
        return hmac.digest(key, string_to_sign.encode(), "sha256").hex()
