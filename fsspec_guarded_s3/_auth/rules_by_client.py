"""Where a client of botocore's sends a request, and how it signs it: by its documented parts alone.

Used where the class that evaluates the rules is not what it was (`rules`). A client takes a tenth of a second
and more to make, and each bucket a request that is made, signed by keys of nobody's, and not sent.
"""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any, NoReturn
from urllib.parse import urlsplit

import botocore.config
import botocore.exceptions
import botocore.session

_KEY = "x"  # of the object that is asked for, and of nobody
_SIGNED = re.compile(r"AWS4-(HMAC-SHA256|ECDSA-P256-SHA256) Credential=[^/]+/\d{8}/([^,]+)/aws4_request,")


class _SeenError(Exception):
    """The request was made, and is not to be sent."""


class AskedClient:
    """Stands for `EndpointProvider`. One client for each way of asking."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self._seen: list[Any] = []  # the requests of the call that is under way

    def __repr__(self) -> str:
        return f"<AskedClient {len(self._clients)}>"

    def resolve_endpoint(self, *, Bucket: str = "", **parameters: Any) -> Any:
        """`url` and `properties` of the rule for a bucket. Raises BotoCoreError where there is none."""
        made_of = json.dumps(parameters, sort_keys=True)
        client = self._clients.get(made_of)
        if client is None:
            client = self._clients[made_of] = self._made(parameters)
        self._seen.clear()
        try:
            if Bucket:
                client.get_object(Bucket=Bucket, Key=_KEY)
            else:
                client.list_buckets()
        except Exception:
            if not self._seen:  # of a directory bucket it is the one for its session
                raise
        return _rule(self._seen[0])

    def _made(self, parameters: dict[str, Any]) -> Any:
        client = botocore.session.Session().create_client(
            "s3",
            region_name=parameters["Region"],
            endpoint_url=parameters.get("Endpoint"),
            aws_access_key_id="nobody",
            aws_secret_access_key="nobody",
            config=_configuration(parameters),
        )
        client.meta.events.register_first("before-send.s3", self._see)
        return client

    def _see(self, request: Any, **_: Any) -> NoReturn:
        self._seen.append(request)
        raise _SeenError


def _configuration(parameters: dict[str, Any]) -> Any:
    """That of a client, which says all that environment and profile may say."""
    settings: dict[str, Any] = {
        "use_dualstack_endpoint": parameters["UseDualStack"],
        "use_fips_endpoint": parameters["UseFIPS"],
        "retries": {"total_max_attempts": 1},
        "s3": {
            "addressing_style": "path" if parameters["ForcePathStyle"] else "virtual",
            "us_east_1_regional_endpoint": "regional",
            "use_accelerate_endpoint": parameters["Accelerate"],
            "use_dualstack_endpoint": parameters["UseDualStack"],
            "use_arn_region": parameters["UseArnRegion"],
            "s3_disable_multiregion_access_points": parameters["DisableMultiRegionAccessPoints"],
        },
    }
    if parameters["DisableS3ExpressSessionAuth"]:  # older versions have no such setting
        settings["s3_disable_express_session_auth"] = True
    return botocore.config.Config(ignore_configured_endpoint_urls=True, **settings)


def _rule(request: Any) -> Any:
    """What the rule must have said, by the request that came of it."""
    parts = urlsplit(request.url)
    path = parts.path.removesuffix(_KEY).removesuffix("/")
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    signed = _SIGNED.match(headers.get("authorization", ""))
    if signed is None:
        raise botocore.exceptions.UnknownSignatureVersionError(signature_version="of the request")
    *region, service = signed[2].split("/")
    scheme: dict[str, Any] = {"name": "sigv4", "signingName": service}
    if region:
        scheme["signingRegion"] = region[0]
    else:
        scheme |= {"name": "sigv4a", "signingRegionSet": headers["x-amz-region-set"].split(",")}
    if service == "s3express" and "session" in parts.query:
        scheme["name"] = "sigv4-s3express"
    return SimpleNamespace(url=f"{parts.scheme}://{parts.netloc}{path}", properties={"authSchemes": [scheme]})


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
