"""URLs that others may use: presigned, for one operation on one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._s3.client import S3Client
from .._values.parameters import Path
from .path_rules import PathRules

# By HTTP method, and whether it is about a multipart upload.
_METHODS = {
    ("GET", False): "get_object",
    ("HEAD", False): "head_object",
    ("PUT", False): "put_object",
    ("DELETE", False): "delete_object",
    ("GET", True): "list_parts",
    ("PUT", True): "upload_part",
    ("DELETE", True): "abort_multipart_upload",
}


def seconds(verb: str, given: Mapping[str, int], default: int) -> int:
    """How long something is valid. fsspec says `expiration`, s3fs `expires`; `given` has both.

    TypeError where both of them are another than `default`.
    """
    told = [value for value in given.values() if value != default]
    if len(told) > 1:
        raise TypeError(f"{verb} takes expiration or expires, not both: they are two names for one time")
    return told[0] if told else default


class SignedUrls:
    """Makes presigned URLs; nothing is asked of the store."""

    def __init__(self, client: S3Client, paths: PathRules) -> None:
        self._client = client
        self._paths = paths

    def sign(self, path: Path, expiration: int = 100, method: str = "GET", **parameters: Any) -> str:
        """A URL for an HTTP method, valid for `expiration` seconds. ValueError for another method."""
        expiration = seconds(
            "sign", {"expiration": expiration, "expires": parameters.pop("expires", 100)}, 100
        )
        if "client_method" in parameters:  # s3fs's name of it
            return self.url(path, expires=expiration, **parameters)
        client_method = _METHODS.get((method, "UploadId" in parameters))
        if client_method is None:
            raise ValueError(f"method must be GET, HEAD, PUT or DELETE, not {method!r}")
        return self.url(path, expiration, client_method, **parameters)

    def url(
        self, path: Path, expires: int = 3600, client_method: str = "get_object", **parameters: Any
    ) -> str:
        """A URL for an operation by its name in boto3, valid for `expires` seconds."""
        given = {"expires": expires, "expiration": parameters.pop("expiration", 3600)}
        expires = seconds("url", given, 3600)
        return self._client.presigned_url(client_method, self._paths.object(path), expires, parameters)
