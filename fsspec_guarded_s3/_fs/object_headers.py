"""The headers of an object that is written, and the client that carries what its requests need.

Precedence: what a call names, then what the object has (where there is one), then the filesystem's
`s3_additional_kwargs`; of these, encryption, storage class, ACL and lock go before the object's own.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from .._s3.client import S3Client
from .._values.answer_fields import undescribed
from .._values.attributes import NONE, Attributes
from .._values.conditions import Condition
from .._values.models import SSE_S3, ObjectInfo
from .._values.paths import S3Path
from .._write.setting import tags_of
from .._write.upload import Upload


class ObjectHeaders:
    """Headers for objects and their next versions; `attributes` are those of all objects (options)."""

    def __init__(self, client: S3Client, attributes: Attributes) -> None:
        self._client = client
        self._attributes = attributes

    @property
    def are_plain(self) -> bool:
        """Whether the options ask for nothing that an object is to have."""
        return not self._attributes

    def client_for(self, given: Attributes) -> S3Client:
        """The client for an object that was written or is to be written with `given`."""
        if not given or not given.changes_access():
            return self._client
        return self._client.carrying(self._attributes.overlaid(given))

    def new(self, location: S3Path, given: Attributes) -> dict[str, str]:
        """For an object that is made of nothing."""
        headers = {"content-type": _guessed_type(location)}
        if not given and not self._attributes:
            return headers
        return given.applied_to(self._attributes.applied_to(headers))

    def asked(self, given: Attributes) -> dict[str, str]:
        """What a call or the options name, and nothing that is guessed."""
        return given.applied_to(self._attributes.applied_to({}))

    def kept(self, location: S3Path, info: ObjectInfo, given: Attributes = NONE) -> dict[str, str]:
        """For an object at `location` that follows the version `info`; its tags are not among them.

        On AWS SSE-S3 is what every bucket does at least, so it is not named there: the bucket's own may be
        stronger, and its policy may demand that. Elsewhere somebody asked for it.
        """
        before = info.write_headers()
        if before.items() >= {SSE_S3} and self._client.store.is_aws(location.bucket):
            del before[SSE_S3[0]]
        return given.applied_to(self._attributes.of_kinds("place", "access").applied_to(before))

    def copied(self, location: S3Path, info: ObjectInfo, given: Attributes) -> dict[str, str]:
        """For a copy at `location` of the version `info`, by MetadataDirective and TaggingDirective."""
        headers = self.kept(location, info, given)
        if given.directive("MetadataDirective") == "REPLACE":
            headers = given.applied_to({**undescribed(headers), "content-type": _guessed_type(location)})
        if given.directive("TaggingDirective") == "REPLACE":
            headers.setdefault("x-amz-tagging", "")
        return headers

    def tagging(self, location: S3Path, info: ObjectInfo, headers: Mapping[str, str]) -> dict[str, str]:
        """The header that gives another object the tags of this one, unless `headers` name others.

        GetObjectTagging, where there are tags.
        """
        if "x-amz-tagging" in headers:
            return {}
        tags = tags_of(self._client, location, info)
        return {"x-amz-tagging": urlencode(tags, quote_via=quote)} if tags else {}  # RGW keeps a "+"

    def new_upload(self, location: S3Path, condition: Condition, given: Attributes) -> Upload:
        """The upload of an object that is made of nothing."""
        return Upload(self.client_for(given), location, condition, self.new(location, given))

    def next_upload(self, location: S3Path, info: ObjectInfo, given: Attributes = NONE) -> Upload:
        """The upload of the version that replaces `info`, and nothing else, with its attributes and tags."""
        headers = self.kept(location, info, given)
        headers |= self.tagging(location, info, headers)
        return Upload(self.client_for(given), location, Condition(if_match=info.etag), headers)


def _guessed_type(location: S3Path) -> str:
    name = location.key
    known = mimetypes.guess_type(name)[0] if "." in name or name.startswith("data:") else None
    return known or "application/octet-stream"
