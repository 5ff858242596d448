"""SigV4 as a store checks it: an implementation that shares nothing with the package or botocore.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote, unquote

from tests.scripted_server import Answer, Request, respond, s3_error

SECRET = "hush-secret"
# What is signed is what the store gets to see: (path, headers) -> (path, headers).
Hop = Callable[[str, dict[str, str]], tuple[str, dict[str, str]]]
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
    r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)


def signed_names(request: Request) -> set[str]:
    """The headers that the signature of a request covers."""
    found = _AUTHORIZATION.fullmatch(request.headers["authorization"])
    assert found
    return set(found[5].split(";"))


def is_signed_right(method: str, target: str, headers: Mapping[str, str]) -> bool:
    """Whether the signature fits, by the canonical form of the *decoded* path, as Go's servers build it."""
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if not found:
        return False
    _, day, region, service, names, signature = found.groups()
    if any(name.startswith("x-amz-") and name not in names.split(";") for name in headers):
        return False  # as AWS has it: "There were headers present in the request which were not signed"
    path, _, query = target.partition("?")
    pairs = [pair if "=" in pair else f"{pair}=" for pair in query.split("&") if pair]
    pairs.sort(key=lambda pair: pair.partition("="))  # by name: "0" stands before "00"
    rows = [f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in names.split(";")]
    canonical = "\n".join(
        [
            method,
            quote(unquote(path), safe="/~"),
            "&".join(pairs),
            "".join(rows),
            names,
            headers["x-amz-content-sha256"],
        ]
    )
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            headers["x-amz-date"],
            f"{day}/{region}/{service}/aws4_request",
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    key = f"AWS4{SECRET}".encode()
    for step in (day, region, service, "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signature)


def checking(store: Callable[[Request], Answer], hop: Hop) -> Callable[[Request], Answer]:
    """`store` behind `hop`, which refuses what is not signed right."""

    def handle(request: Request) -> Answer:
        target, headers = hop(request.target, dict(request.headers.items()))
        if is_signed_right(request.method, target, headers):
            return store(request)
        return respond(403) if request.method == "HEAD" else s3_error(403, "SignatureDoesNotMatch")

    return handle
