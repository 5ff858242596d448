"""A `FileIO` for pyiceberg, whose files are guarded and whose creates are conditional.

Name it in the properties of a catalog or a table:
`{"py-io-impl": "fsspec_guarded_s3.integrations.pyiceberg.GuardedFileIO", "s3.endpoint": ...}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pyiceberg.io import OutputStream
from pyiceberg.io.fsspec import FsspecFileIO, FsspecOutputFile

from ..filesystem import GuardedS3FileSystem
from ..options import Options

_SCHEMES = ("s3", "s3a", "s3n", "gs3", "guarded-s3")
_OURS = "gs3."  # before the name of one of our options, as a property

# The properties of pyiceberg, in the order in which they are looked at, and the option that each one is.
# https://py.iceberg.apache.org/configuration/#s3
_PROPERTIES = {
    "client.access-key-id": "key",
    "client.secret-access-key": "secret",
    "client.session-token": "token",
    "client.region": "region",
    "client.profile-name": "profile",
    "s3.endpoint": "endpoint_url",
    "s3.access-key-id": "key",
    "s3.secret-access-key": "secret",
    "s3.session-token": "token",
    "s3.region": "region",
    "s3.profile-name": "profile",
    "s3.connect-timeout": "connect_timeout",
    "s3.request-timeout": "read_timeout",
    "s3.anonymous": "anon",
}
_ADDITIONAL = {"s3.server-side-encryption": "ServerSideEncryption", "s3.sse-kms-key-id": "SSEKMSKeyId"}
_REFUSED = {
    "s3.signer": "requests are signed here, by credentials: leave it out",
    "s3.proxy-uri": "set HTTPS_PROXY, HTTP_PROXY and NO_PROXY in the environment",
    "s3.role-arn": "name a profile that assumes the role, by s3.profile-name",
}


def options_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The storage options that pyiceberg's properties stand for; those with "gs3." are ours by name.

    ValueError for what has no counterpart here.
    """
    for name, instead in _REFUSED.items():
        if properties.get(name):
            raise ValueError(f"the property {name} is not possible here: {instead}")
    options = {
        option: Options.from_text(option, properties[name])
        for name, option in _PROPERTIES.items()
        if properties.get(name) not in (None, "")
    }
    extra = {parameter: properties[name] for name, parameter in _ADDITIONAL.items() if properties.get(name)}
    if extra:
        options["s3_additional_kwargs"] = extra
    if str(properties.get("s3.force-virtual-addressing", "")).lower() == "true":
        options["addressing_style"] = "virtual"
    for name, value in properties.items():
        if name.startswith(_OURS):
            option = name[len(_OURS) :].replace("-", "_")
            options[option] = Options.from_text(option, value)
    return options


class GuardedOutputFile(FsspecOutputFile):
    """A file of pyiceberg's that is not there until it is written as a whole."""

    def create(self, overwrite: bool = False) -> OutputStream:
        """A stream to write to; what was written appears when it is closed cleanly.

        Without `overwrite` by a conditional create: of several programs that create one location at a time,
        one writes it and the others get FileExistsError, here or when they close the stream.
        """
        fs: GuardedS3FileSystem = self._fs
        return fs.open(self.location, "wb" if overwrite else "xb")


class GuardedFileIO(FsspecFileIO):
    """pyiceberg's files on S3 by `GuardedS3FileSystem`; those of other schemes by pyiceberg's own ways."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        super().__init__(properties=dict(properties))
        self._scheme_to_fs.update(dict.fromkeys(_SCHEMES, _filesystem))  # each FileIO has its own

    def new_output(self, location: str) -> FsspecOutputFile:
        """The file at `location`, to be written."""
        scheme = urlsplit(location).scheme
        if scheme not in _SCHEMES:
            return super().new_output(location)
        return GuardedOutputFile(location=location, fs=self.get_fs(scheme))


def _filesystem(properties: Mapping[str, Any]) -> GuardedS3FileSystem:
    return _ForIceberg(**options_of(properties))


class _ForIceberg(GuardedS3FileSystem):
    """A filesystem that knows the URLs of tables that were written by others."""

    protocol = _SCHEMES
