"""SigV4 by botocore's algorithm, without its cost per request and without its debug log."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

import botocore.auth

from ._endpoints import Endpoint

_NEVER_SIGNED = frozenset(botocore.auth.SIGNED_HEADERS_BLACKLIST)


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
        self, credentials: Any, endpoint: Endpoint, payload: str, timestamp: str, keys: dict[Any, bytes]
    ) -> None:
        super().__init__(credentials, endpoint.service, endpoint.region)
        self._payload = payload
        self._keys = keys
        self._timestamp = timestamp

    def signed(self, method: str, target: str, headers: dict[str, str]) -> dict[str, str]:
        """`headers`, and those that carry the signature."""
        headers = {**headers, "x-amz-date": self._timestamp, "x-amz-content-sha256": self._payload}
        if self.credentials.token:
            headers["x-amz-security-token"] = self.credentials.token
        signed = [name for name in sorted(headers) if name not in _NEVER_SIGNED]
        names = ";".join(signed)
        path, _, query = target.partition("?")
        rows = [f"{name}:{' '.join(headers[name].split())}" for name in signed]
        canonical = "\n".join([method, path, query, *rows, "", names, self._payload])
        request = _Signable(self._timestamp)
        text = self.string_to_sign(request, canonical)
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.scope(request)}, SignedHeaders={names}, "
            f"Signature={self.signature(text, request)}"
        )
        return headers

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
        return str(self._sign(key, string_to_sign, hex=True))


class QuietQueryAuth(botocore.auth.S3SigV4QueryAuth):
    """The same for presigned URLs."""

    def __init__(self, credentials: Any, service: str, region: str, expires: int, now: datetime) -> None:
        super().__init__(credentials, service, region, expires=expires)
        self._now = now

    def add_auth(self, request: Any) -> None:
        request.context["timestamp"] = self._now.strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))
