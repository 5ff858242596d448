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
    """What botocore's algorithm needs of a request. Its own AWSRequest keeps headers in an email message.

    Of the URL only path and query are needed, since the host is a header.
    """

    params = None

    def __init__(self, method: str, url: str, headers: dict[str, str], timestamp: str) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.context = {"timestamp": timestamp}


class QuietAuth(botocore.auth.S3SigV4Auth):
    """botocore's SigV4 without its debug log, which shows tokens and signatures, and with our clock.

    Header names are lower-case and single, which makes their canonical form cheap. The signing key is derived
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
        request = _Signable(method, target, headers, self._timestamp)
        text = self.string_to_sign(request, self.canonical_request(request))
        names = self.signed_headers(self.headers_to_sign(request))
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.scope(request)}, SignedHeaders={names}, "
            f"Signature={self.signature(text, request)}"
        )
        return headers

    def payload(self, request: Any) -> str:
        return self._payload

    def headers_to_sign(self, request: Any) -> dict[str, str]:
        headers: dict[str, str] = request.headers
        return {name: headers[name] for name in sorted(headers) if name not in _NEVER_SIGNED}

    def canonical_headers(self, headers_to_sign: dict[str, str]) -> str:
        return "\n".join(f"{name}:{' '.join(value.split())}" for name, value in headers_to_sign.items())

    def signed_headers(self, headers_to_sign: dict[str, str]) -> str:
        return ";".join(headers_to_sign)

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
