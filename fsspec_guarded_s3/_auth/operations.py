"""Operations by their names and parameters in botocore: what s3fs's `url` and boto3 users know.

botocore's service model tells which parameter goes into the query and which is a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any

from .._values.models import Request
from .._values.paths import S3Path
from .session import Session

# Conditions of writes, which botocore's model has from 1.35.70 on.
_CONDITIONS = {"IfMatch": "if-match", "IfNoneMatch": "if-none-match"}


def request_of(session: Session, method: str, path: S3Path, parameters: Mapping[str, Any]) -> Request:
    """The request of an operation on an object, such as "get_object", with VersionId from `path`.

    Raises ValueError for what is no such operation, TypeError for a parameter it does not have, that goes
    into its body, or that is of a wrong type.
    """
    model = session.botocore().get_service_model("s3")
    name = "".join(word.capitalize() for word in method.split("_"))
    if name not in model.operation_names:
        raise ValueError(f"client_method {method!r} is no operation of S3, such as get_object or put_object")
    operation = model.operation_model(name)
    uri, _, constant = operation.http["requestUri"].partition("?")
    if "{Key+}" not in uri:
        raise ValueError(f"client_method {method!r} is no operation on an object: its URL would have no key")
    if path.version_id is not None:
        parameters = {"VersionId": path.version_id, **parameters}
    query = [tuple(pair.partition("=")[::2]) for pair in constant.split("&") if pair]
    headers: dict[str, str] = {}
    for parameter, value in parameters.items():
        member = operation.input_shape.members.get(parameter)
        if member is None and parameter in _CONDITIONS and isinstance(value, str):
            headers[_CONDITIONS[parameter]] = value
            continue
        place = member.serialization.get("location") if member is not None else None
        if place not in ("querystring", "header", "headers"):
            raise TypeError(f"{parameter} is no parameter of {name} that a URL could have")
        wire = member.serialization["name"]
        if place == "querystring":
            query.append((wire, _text(parameter, member, value, "iso8601")))
        elif place == "header":
            headers[wire.lower()] = _text(parameter, member, value, "rfc822")
        else:
            headers |= {f"{wire}{key}".lower(): str(text) for key, text in dict(value).items()}
    return Request(name, operation.http["method"], path.bucket, path.key, tuple(query), headers)


def _text(parameter: str, member: Any, value: Any, dates: str) -> str:
    kind = member.type_name
    if kind == "timestamp" and isinstance(value, datetime):
        moment = value.astimezone(timezone.utc)
        if member.serialization.get("timestampFormat", dates) == "rfc822":
            return format_datetime(moment, usegmt=True)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    if kind == "boolean" and isinstance(value, bool):
        return "true" if value else "false"
    if kind in ("integer", "long") and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if kind in ("string", "timestamp") and isinstance(value, str):
        return value
    raise TypeError(f"{parameter} must be {kind}, not {type(value).__name__}")
