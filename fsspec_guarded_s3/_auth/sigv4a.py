"""SigV4A, by which multi-region access points are signed for all regions at once. Needs awscrt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from .endpoints import Endpoint
from .sigv4 import is_signed, is_signed_in_a_url


def _awscrt() -> Any:
    try:
        import awscrt.auth
        import awscrt.http
    except ImportError as error:
        raise ImportError(
            "this bucket is a multi-region access point, whose signatures (SigV4A) need awscrt: "
            "pip install awscrt"
        ) from error
    return awscrt


class AsymmetricAuth:
    """One signature: with whose credentials, for which endpoint, payload and time."""

    def __init__(self, credentials: Any, endpoint: Endpoint, payload: str, timestamp: str) -> None:
        self._credentials = credentials
        self._endpoint = endpoint
        self._payload = payload
        self._date = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)

    def signed(self, method: str, headers: dict[str, str]) -> Callable[[str], dict[str, str]]:
        """Given a target: `headers`, and those that carry the signature."""

        def sign(target: str) -> dict[str, str]:
            found = self._sign(method, target, headers, None)
            return {name.lower(): value for name, value in found.headers}

        return sign

    def presigned(self, method: str, target: str, headers: dict[str, str], expires: int) -> str:
        """`target` with the signature in its query, good for `expires` seconds."""
        return str(self._sign(method, target, headers, expires).path)

    def _sign(self, method: str, target: str, headers: dict[str, str], expires: int | None) -> Any:
        crt = _awscrt()
        auth = crt.auth
        provider = auth.AwsCredentialsProvider.new_static(
            self._credentials.access_key, self._credentials.secret_key, self._credentials.token
        )
        kinds, shown = auth.AwsSignatureType, auth.AwsSignedBodyHeaderType
        config = auth.AwsSigningConfig(
            algorithm=auth.AwsSigningAlgorithm.V4_ASYMMETRIC,
            signature_type=kinds.HTTP_REQUEST_QUERY_PARAMS if expires else kinds.HTTP_REQUEST_HEADERS,
            credentials_provider=provider,
            region=self._endpoint.region,
            service=self._endpoint.service,
            date=self._date,
            # As for SigV4, S3 takes the path as it is.
            use_double_uri_encode=False,
            should_normalize_uri_path=False,
            should_sign_header=is_signed_in_a_url if expires else is_signed,
            signed_body_value=self._payload,
            signed_body_header_type=shown.NONE if expires else shown.X_AMZ_CONTENT_SHA_256,
            expiration_in_seconds=expires,
        )
        request = crt.http.HttpRequest(method, target, crt.http.HttpHeaders(list(headers.items())))
        return auth.aws_sign_request(request, config).result()
