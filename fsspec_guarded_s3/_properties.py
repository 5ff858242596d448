"""fsspec's and s3fs's verbs for what an object has beside its bytes: metadata, tags, access; no HTTP, no XML.

Precedence: what a call names, then what the object has (where there is one), then the filesystem's
`s3_additional_kwargs`; of these, encryption, storage class, ACL and lock go before the object's own.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from . import _attribute_values as values
from . import _paths
from ._attribute_values import META
from ._attributes import Attributes, described, undescribed
from ._client import S3Client
from ._copying import condition_onto_itself, copy_version, is_single, store_can_copy
from ._keywords import check_type
from ._listing import Listing
from ._models import SSE_S3, Condition, ObjectInfo, Written
from ._parameters import CannedAcl, Path, Reading
from ._paths import S3Path
from ._upload import Upload

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Properties(Listing):
    """The part of the filesystem that knows attributes. Use `GuardedS3FileSystem`."""

    _attributes: Attributes  # of all objects, from the options

    # --- headers of a write ---

    def _client_for(self, given: Attributes) -> S3Client:
        """The client for an object that was written or is to be written with `given`."""
        if not given.changes_access():
            return self._client
        return self._client.carrying(self._attributes.overlaid(given))

    def _new_headers(self, location: S3Path, given: Attributes) -> dict[str, str]:
        """For an object that is made of nothing."""
        return given.over(self._attributes.over({"content-type": _guessed_type(location)}))

    def _kept_headers(self, location: S3Path, info: ObjectInfo, given: Attributes) -> dict[str, str]:
        """For an object at `location` that follows the version `info`; its tags are not among them.

        On AWS SSE-S3 is what every bucket does at least, so it is not named there: the bucket's own may be
        stronger, and its policy may demand that. Elsewhere somebody asked for it.
        """
        before = info.write_headers()
        if before.items() >= {SSE_S3} and self._client.store.is_aws(location.bucket):
            del before[SSE_S3[0]]
        return given.over(self._attributes.of_kinds("place", "access").over(before))

    def _tagging(self, location: S3Path, info: ObjectInfo, headers: Mapping[str, str]) -> dict[str, str]:
        """The header that gives another object the same tags, unless `headers` name others."""
        if not info.tag_count or "x-amz-tagging" in headers:
            return {}
        return {"x-amz-tagging": urlencode(self._client.subresources.get_object_tagging(location))}

    def _copy_version(
        self, source: S3Path, info: ObjectInfo, target: S3Path, condition: Condition, given: Attributes
    ) -> Written:
        headers = self._kept_headers(target, info, given)
        if given.directive("MetadataDirective") == "REPLACE":
            headers = given.over({**undescribed(headers), "content-type": _guessed_type(target)})
        if given.directive("TaggingDirective") == "REPLACE":
            headers.setdefault("x-amz-tagging", "")
        return self._copy_with(source, info, target, condition, given, headers)

    def _copy_with(
        self,
        source: S3Path,
        info: ObjectInfo,
        target: S3Path,
        condition: Condition,
        given: Attributes,
        headers: dict[str, str],
    ) -> Written:
        onto_itself = source == target
        if onto_itself and not condition:
            condition = condition_onto_itself(self._client, target, info)
        by_store = store_can_copy(self._client, target, condition, info)
        if not (by_store and is_single(info) and self._client.store.is_aws(target.bucket)):
            headers |= self._tagging(source, info, headers)
        client = self._client_for(given)
        upload = Upload(client, target, condition, headers, same_content=onto_itself)
        return copy_version(self._client_for(given.of_source()), upload, source, info, by_store)

    # --- metadata ---

    def metadata(self, path: Path, refresh: bool = False, **kwargs: Unpack[Reading]) -> dict[str, str]:
        """The user metadata of an object, by name in lower case with hyphens.

        It is asked for each time, so `refresh` changes nothing. HeadObject.
        """
        given = Attributes.parse(kwargs, self.metadata)
        info = self._client_for(given).reads.head_object(self._object(path))
        return {name.replace("_", "-"): values.said(value) for name, value in info.metadata.items()}

    def getxattr(self, path: Path, attr_name: str, **kwargs: Unpack[Reading]) -> str | None:
        """One name of the user metadata, None where there is none."""
        check_type("attr_name", attr_name, str)
        return self.metadata(path, **kwargs).get(attr_name.replace("_", "-").lower())

    def setxattr(
        self, path: Path, copy_kwargs: Mapping[str, Any] | None = None, **kw_args: str | None
    ) -> None:
        """Change names of the user metadata, None removes one; all that is not named stays.

        `copy_kwargs` are further attributes in S3's names, such as {"ContentType": "text/csv"}. One copy of
        the object onto itself, pinned to the version that was looked at: ObjectChangedError when another
        version is there by then, PreconditionUnsupportedError where the store could not tell. An ETag does
        not cover metadata, so of two such changes to the same bytes at the same time the later one wins.
        """
        check_type("copy_kwargs", copy_kwargs or {}, Mapping)
        given = Attributes.parse(copy_kwargs or {}, "setxattr")
        if "Metadata" in given.names:
            raise TypeError("setxattr takes names of the metadata as keywords, not in copy_kwargs")
        location = self._target(path)
        info = self._client_for(given.of_source()).reads.head_object(location)
        headers = self._kept_headers(location, info, given)
        before = {name: value for name, value in headers.items() if not name.startswith(META)}
        headers = before | {META + name: text for name, text in _changed(info.metadata, kw_args).items()}
        if not given and described(headers) == described(info.write_headers()):
            return
        self._copy_with(location, info, location, Condition(), given, headers)

    # --- tags ---

    def get_tags(self, path: Path) -> dict[str, str]:
        """The tags of an object. GetObjectTagging."""
        return dict(self._client.subresources.get_object_tagging(self._object(path)))

    def put_tags(self, path: Path, tags: Mapping[str, str], mode: Literal["o", "m"] = "o") -> None:
        """Give an object these tags and no others, or with mode "m" merge them into those it has.

        PutObjectTagging. S3 has no condition for it: of two merges at the same time one may get lost.
        """
        if mode not in ("o", "m"):
            raise ValueError(f"mode must be 'o' (overwrite) or 'm' (merge), not {mode!r}")
        location = self._object(path)
        wanted = values.tags("tags", tags)
        if mode == "m":
            wanted = values.tags(
                "tags", dict(self._client.subresources.get_object_tagging(location)) | wanted
            )
        self._client.subresources.put_object_tagging(location, wanted)

    # --- access ---

    def chmod(self, path: Path, acl: CannedAcl, recursive: bool = False) -> None:
        """Give an object, all objects below a path, or a bucket a canned ACL such as "public-read".

        PutObjectAcl, PutBucketAcl. AccessDeniedError or InvalidRequestError where the bucket has ACLs off.
        """
        location = _paths.parse(self._strip_protocol(path))
        allowed = values.CANNED_ACLS if location.key or recursive else values.BUCKET_ACLS
        values.one_of(*allowed)("acl", acl)
        if recursive:
            found = [self._object(name) for name in self.find(path)]
            if not found:
                raise FileNotFoundError(f"there is nothing below {path}")
            calls = (partial(self._client.subresources.put_object_acl, item, acl) for item in found)
            self._client.scheduler.run(calls)
        elif location.key:
            self._client.subresources.put_object_acl(location, acl)
        else:
            self._client.buckets.put_bucket_acl(location.bucket, acl)


def _guessed_type(location: S3Path) -> str:
    return mimetypes.guess_type(location.key)[0] or "application/octet-stream"


def _changed(before: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """User metadata after `changes`; names match whether they have hyphens or underscores."""
    wanted = {name.replace("_", "-").lower(): value for name, value in changes.items()}
    kept = {name: value for name, value in before.items() if name.replace("_", "-") not in wanted}
    return kept | values.metadata({name: value for name, value in wanted.items() if value is not None})
