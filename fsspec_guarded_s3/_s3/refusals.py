"""A request that was refused -> the exception that its caller gets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from .._http.response import HTTPBody
from .._values.models import Request
from ..errors import (
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    PreconditionFailedError,
    ResponseError,
)
from . import xml
from .error_codes import error_class, error_message, missing_permission
from .headers import is_named, seconds

_LONGEST = 2**20  # bytes of a document that is read
_REDIRECTIONS = (301, 302, 303, 307, 308)
# https://docs.aws.amazon.com/general/latest/gr/s3.html: the hosts of S3, older forms too.
_AWS_HOST = re.compile(
    r"(?:.+\.)?s3(?:-fips)?(?:[.-]dualstack)?[.-]([a-z]{2}(?:-[a-z]+)+-\d+)\.amazonaws\.com(?:\.cn)?"
)
# S3 says of each that "At least one of the pre-conditions you specified did not hold".
_WHY: dict[type[ResponseError], str] = {
    ObjectChangedError: "the object was replaced: its ETag is no longer the expected one",
    ObjectExistsError: "the object exists already",
}


def refusal(request: Request, body: HTTPBody) -> ResponseError:
    """The exception for an answer with a status of 300 and above.

    A 404 with a page or a text is of whoever answers in place of the store: it says nothing of the object.
    So it is without a body, where S3 has one that says what is missing: to all but HEAD, and to GetObject,
    into which `Exchange.doubt` looks.
    """
    data = b"" if request.method == "HEAD" else body.read(_LONGEST)
    fields = xml.parse_error(data)
    is_of_others = bool(data.strip()) or not (request.key or request.method == "HEAD")
    has_words = request.method != "HEAD" and request.operation != "GetObject"
    is_of_others |= has_words and not is_named(body.headers)
    if body.status == 404 and not fields and is_of_others:
        return ResponseError(
            "not found, says an answer that is not S3's: look at endpoint_url, and at gateways on the way",
            bucket=request.bucket,
            key=request.key,
            operation=request.operation,
            status=404,
            request_id=body.headers.get("x-amz-request-id", ""),
        )
    return refusal_of(request, body.status, fields, body.headers)


def refusal_of(
    request: Request, status: int, fields: Mapping[str, str], headers: Mapping[str, str]
) -> ResponseError:
    """The exception for the `fields` of S3's error document, {} where there was none.

    A 412 becomes what the condition of the request makes of it.
    """
    code = fields.get("Code", "")
    kind = error_class(status, code)
    message = fields.get("Message", "")
    if kind is PreconditionFailedError:
        kind = request.condition.failure
        message = _WHY.get(kind, message)
    region = headers.get("x-amz-bucket-region") or fields.get("Region", "")
    if status in _REDIRECTIONS and not region:
        host = _host_of(headers.get("location", "")) or fields.get("Endpoint", "").lower()
        found = _AWS_HOST.fullmatch(host)
        region = found[1] if found else ""
        if host and not found:  # a signature is for one host: nobody but the user can say whose this is
            message = f"{message.strip().rstrip('.') or 'redirected'}, to {host}: look at endpoint_url"
    # 404 for the current version, 405 for one by its id, which LocalStack says to HEAD without the header.
    is_head_of_version = request.operation == "HeadObject" and "versionId" in dict(request.query)
    if headers.get("x-amz-delete-marker") == "true" or (status == 405 and is_head_of_version):
        kind, message = ObjectNotFoundError, "the object was deleted: this version is a delete marker"
    return kind(
        error_message(status, code, message, request.operation),
        bucket=request.bucket,
        key=request.key,
        operation=request.operation,
        status=status,
        code=code,
        request_id=fields.get("RequestId") or headers.get("x-amz-request-id", ""),
        permission=missing_permission(message),
        argument=fields.get("Header") or fields.get("ArgumentName", ""),
        region=region,
        server_date=fields.get("ServerTime") or headers.get("date", ""),
        retry_after=seconds(headers.get("x-amz-retry-after") or headers.get("retry-after", "")),
    )


def _host_of(location: str) -> str:
    """The host of a Location, in lower case; nothing else of it is shown to anybody."""
    try:
        return urlsplit(location).hostname or ""
    except ValueError:
        return ""
