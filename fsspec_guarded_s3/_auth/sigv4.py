"""SigV4, as S3 has it: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html

And as Google Cloud Storage has it for requests in its own words, which differs by names alone:
https://docs.cloud.google.com/storage/docs/authentication/signatures

Signatures are those of botocore (tests/auth/test_signer.py compares), which is not asked for them: it takes
longer to load than all that a first request needs, and it logs tokens and signatures.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Set
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from .._values.bodies import wire_bytes
from .endpoints import Endpoint

EMPTY = hashlib.sha256().hexdigest()  # of no bytes: what a request without a body signs
# As botocore has it: they belong to one connection (RFC 9110, 7.6.1), or change on the way.
_NEVER_SIGNED = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)
# A hop may change these without changing what is asked for: Google's front end appends to Accept-Encoding,
# caches rewrite or drop Range (the answer says what was sent, and is checked), and a body may be framed anew.
# botocore signs no Accept-Encoding and no Content-Length either, since it adds them after it has signed.
_OF_A_HOP = frozenset({"accept-encoding", "content-length", "range"})
_UNSIGNED_HERE = _NEVER_SIGNED | _OF_A_HOP

TOKEN, SESSION_TOKEN = "x-amz-security-token", "x-amz-s3session-token"
_IN_QUERY = {TOKEN: "X-Amz-Security-Token", SESSION_TOKEN: "X-Amz-S3session-Token"}


class Scheme(NamedTuple):
    """The names in a signature: its algorithm, what the secret and the scope begin and end with, its headers.

    `service` is "" where the endpoint says which.
    """

    algorithm: str
    secret: str
    end: str
    prefix: str
    service: str = ""


AWS4 = Scheme("AWS4-HMAC-SHA256", "AWS4", "aws4_request", "x-amz-")
GOOG4 = Scheme("GOOG4-HMAC-SHA256", "GOOG4", "goog4_request", "x-goog-", "storage")


@lru_cache(maxsize=4)
def timestamp_of(second: int) -> str:
    """X-Amz-Date of a Unix time."""
    return datetime.fromtimestamp(second, timezone.utc).strftime("%Y%m%dT%H%M%SZ")


class _Signed:
    """All of a request's signature but its target, for one second."""

    __slots__ = ("_begin", "_canonical", "_headers", "_key", "_last", "_method", "_to_sign")

    def __init__(
        self, method: str, headers: dict[str, str], canonical: str, to_sign: str, key: bytes, begin: str
    ) -> None:
        self._method = method
        self._headers = headers
        self._canonical = canonical  # of the headers and the payload
        self._to_sign = to_sign  # but for the digest of the canonical request
        self._key = key
        self._begin = begin
        self._last = ("", "")

    def signature(self, target: str) -> str:
        """The signature, in hexadecimal digits; requests for one target (ranges of one object) share it."""
        last, signature = self._last
        if last != target:
            path, _, query = target.partition("?")
            canonical = f"{self._method}\n{path}\n{query}\n{self._canonical}"
            to_sign = self._to_sign + hashlib.sha256(wire_bytes(canonical)).hexdigest()
            signature = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
            self._last = (target, signature)
        return signature

    def headers(self, target: str) -> dict[str, str]:
        """All headers, with that which carries the signature."""
        return {**self._headers, "authorization": self._begin + self.signature(target)}


class SymmetricAuth:
    """One signature: with whose credentials, for which endpoint, payload and time.

    Header names are lower-case and single, and path and query of a target are canonical already, which makes
    the canonical form cheap. The signing key is derived once a day, region and credential: `keys` holds the
    last one.
    """

    def __init__(
        self,
        credentials: Any,
        endpoint: Endpoint,
        payload: str,
        timestamp: str,
        keys: dict[Any, bytes],
        token_name: str = TOKEN,
        scheme: Scheme = AWS4,
    ) -> None:
        self._credentials = credentials
        self._region = endpoint.region
        self._service = scheme.service or endpoint.service
        self._scheme = scheme
        self._payload = payload
        self._timestamp = timestamp
        self._scope = f"{timestamp[:8]}/{endpoint.region}/{self._service}/{scheme.end}"
        self._keys = keys
        self._token_name = token_name

    def signed(self, method: str, headers: dict[str, str]) -> Callable[[str], dict[str, str]]:
        """Given a target: `headers`, and those that carry the signature."""
        prefix = self._scheme.prefix
        headers = {**headers, f"{prefix}date": self._timestamp, f"{prefix}content-sha256": self._payload}
        if self._credentials.token and self._scheme is AWS4:  # Google's HMAC keys have none
            headers[self._token_name] = self._credentials.token
        return self._signed(method, headers, _UNSIGNED_HERE).headers

    def presigned(self, method: str, target: str, headers: dict[str, str], expires: int) -> str:
        """`target` with the signature in its query, good for `expires` seconds; `headers` are signed."""
        carried = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self._credentials.access_key}/{self._scope}",
            "X-Amz-Date": self._timestamp,
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": ";".join(_sorted(headers, _NEVER_SIGNED)),
        }
        if self._credentials.token:
            carried[_IN_QUERY[self._token_name]] = self._credentials.token
        path, _, query = target.partition("?")
        pieces = query.split("&") if query else []
        pieces += [f"{name}={quote(value, safe='-_.~')}" for name, value in carried.items()]
        target = f"{path}?{'&'.join(sorted(pieces, key=lambda piece: piece.partition('=')))}"
        return f"{target}&X-Amz-Signature={self._signed(method, headers, _NEVER_SIGNED).signature(target)}"

    def posted(self, policy: Mapping[str, Any]) -> dict[str, str]:
        """The fields of a form that carry `policy` and its signature.

        https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-UsingHTTPPOST.html
        """
        fields = {
            "x-amz-algorithm": self._scheme.algorithm,
            "x-amz-credential": f"{self._credentials.access_key}/{self._scope}",
            "x-amz-date": self._timestamp,
        }
        if self._credentials.token:
            fields[self._token_name] = self._credentials.token
        conditions = [*policy["conditions"], *({name: text} for name, text in fields.items())]
        text = json.dumps({**policy, "conditions": conditions})
        encoded = base64.b64encode(text.encode()).decode()
        signature = hmac.digest(self._key(), encoded.encode(), "sha256").hex()
        return {**fields, "policy": encoded, "x-amz-signature": signature}

    def _signed(self, method: str, headers: dict[str, str], left_out: Set[str]) -> _Signed:
        signed = _sorted(headers, left_out)
        names = ";".join(signed)
        rows = [f"{name}:{_collapsed(headers[name])}" for name in signed]
        return _Signed(
            method,
            headers,
            canonical="\n".join([*rows, "", names, self._payload]),
            to_sign=f"{self._scheme.algorithm}\n{self._timestamp}\n{self._scope}\n",
            key=self._key(),
            begin=(
                f"{self._scheme.algorithm} Credential={self._credentials.access_key}/{self._scope}, "
                f"SignedHeaders={names}, Signature="
            ),
        )

    def _key(self) -> bytes:
        secret, day = self._credentials.secret_key, self._timestamp[:8]
        name = (secret, day, self._region, self._service, self._scheme)
        key = self._keys.get(name)
        if key is None:
            key = f"{self._scheme.secret}{secret}".encode()
            for step in (day, self._region, self._service, self._scheme.end):
                key = hmac.digest(key, step.encode(), "sha256")
            self._keys.clear()
            self._keys[name] = key
        return key


def is_signed(name: str) -> bool:
    """Whether the signature of a request covers the header `name`, in lower case.

    Host, x-amz-*, what describes the object (Content-Type, Content-MD5, Cache-Control ...) and the conditions
    of a write: whoever strips If-None-Match on the way must not turn a create into an overwrite.
    """
    return name not in _UNSIGNED_HERE


def is_signed_in_a_url(name: str) -> bool:
    """Whether a presigned URL signs this header: a range and a length too, if its maker asks for them."""
    return name not in _NEVER_SIGNED


def _collapsed(value: str) -> str:
    """A value whose spaces are single and not at its ends; bytes that are not ASCII are no spaces."""
    if " " not in value and value.isprintable():
        return value
    if value.isascii():
        return " ".join(value.split())
    return " ".join(filter(None, value.replace("\t", " ").split(" ")))


def _sorted(headers: Iterable[str], left_out: Set[str]) -> list[str]:
    return [name for name in sorted(headers) if name not in left_out]
