"""Copying one object inside S3, pinned to its version: `cp_file`, `restore_version`.

`copy_version` publishes the bytes; here is what a copy has beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._s3.client import S3Client
from .._values.attributes import NONE, Attributes
from .._values.conditions import UNCONDITIONAL, Condition
from .._values.models import ObjectInfo, Written
from .._values.parameters import Path
from .._values.paths import S3Path
from .._write.upload import Upload
from ..errors import ObjectNotFoundError
from .conditions import check_version, write_condition
from .copy_version import condition_onto_itself, copy_version, is_single, store_can_copy
from .directories import has_children, look_at, nothing_at
from .listing import Lister
from .object_headers import ObjectHeaders
from .path_rules import PathRules


class Copier:
    """Copies one object."""

    def __init__(self, client: S3Client, paths: PathRules, lister: Lister, headers: ObjectHeaders) -> None:
        self._client = client
        self._paths = paths
        self._lister = lister
        self._headers = headers

    def cp_file(
        self, path1: Path, path2: Path, mode: str = "overwrite", if_match: str | None = None, **kwargs: Any
    ) -> ObjectInfo | None:
        """Copy one object; returns which version was copied, None for a directory, which needs no copying.

        FileNotFoundError where there is neither.
        """
        condition = write_condition(mode, if_match)
        given = Attributes.parse(kwargs, self.cp_file)
        source, only_directory = self._paths.location(path1)
        if only_directory or not source.key:
            if not self._lister.isdir(path1):
                raise nothing_at(source)
            return None  # fsspec's trees name directories too
        target = self._paths.target(path2)
        client = self._headers.client_for(given.of_source())
        info = self.found(source, lambda: client.reads.head_object(source))
        return info and self.copy_known(source, target, info, condition, given)

    def found(self, source: S3Path, look: Callable[[], ObjectInfo]) -> ObjectInfo | None:
        """What `look` tells of a source, None for a directory. FileNotFoundError where there is neither."""
        try:
            return look()
        except ObjectNotFoundError as error:
            if error.code:  # as in `Lister.info`
                raise
            missing = error
        if source.version_id is None and has_children(
            self._client, source
        ):  # or raises what says more: that there is no such bucket
            return None
        raise missing

    def look_and_copy(self, source: S3Path, target: S3Path) -> ObjectInfo:
        """Copy what is there now; returns which version that was. FileNotFoundError where nothing is."""
        return self.copy_known(source, target, look_at(self._client, source))

    def copy_known(
        self,
        source: S3Path,
        target: S3Path,
        info: ObjectInfo,
        condition: Condition = UNCONDITIONAL,
        given: Attributes = NONE,
    ) -> ObjectInfo:
        """Copy the version `info`, of which HeadObject told; returns it."""
        if source == target and not condition and not given:
            return info  # S3 refuses a copy that changes nothing
        if source != target:  # onto itself the pin is that of the current version
            source = self._client.reads.pinned(source, info)
        self.publish(source, info, target, condition, given, self._headers.copied(target, info, given))
        return info

    def copy_by_store(
        self, source: S3Path, info: ObjectInfo, target: S3Path, headers: dict[str, str]
    ) -> Written:
        """Have the store copy the version `info`, with `headers`, and with metadata and tags as they are."""
        return Upload(self._client, target, UNCONDITIONAL, headers).copy_object(source, info)

    def publish(
        self,
        source: S3Path,
        info: ObjectInfo,
        target: S3Path,
        condition: Condition,
        given: Attributes,
        headers: dict[str, str],
    ) -> Written:
        """Write the version `info` of `source` to `target`, with `headers` and the tags of the source.

        CopyObject, UploadPartCopy above 5 GiB, or GetObject and PutObject where the store keeps no pin.
        """
        onto_itself = source == target
        if onto_itself and not condition:
            condition = condition_onto_itself(self._client, target, info)
        by_store = store_can_copy(self._client, target, condition, info)
        if not (by_store and is_single(info) and self._client.store.is_aws(target.bucket)):
            headers = headers | self._headers.tagging(source, info, headers)
        client = self._headers.client_for(given)
        upload = Upload(client, target, condition, headers, same_content=onto_itself)
        return copy_version(self._headers.client_for(given.of_source()), upload, source, info, by_store)

    def restore_version(
        self, path: Path, version_id: str | None = None, if_match: str | None = None
    ) -> str | None:
        """Copy an old version onto its key; returns the id of the version that is the current one then."""
        location = self._paths.object(path, version_id)
        if location.version_id is None:
            raise ValueError("restore_version needs version_id, or a path that names a version")
        condition = Condition(if_match=if_match)
        info = look_at(self._client, location)
        target = S3Path(location.bucket, location.key)
        current = self._current(target)
        check_version(target, current, if_match)
        if current is not None and current.version_id == location.version_id:
            return location.version_id
        headers = self._headers.copied(target, info, NONE)
        return self.publish(location, info, target, condition, NONE, headers).version_id

    def _current(self, location: S3Path) -> ObjectInfo | None:
        """The current version; None when the object is deleted."""
        try:
            return self._client.reads.head_object(location)
        except ObjectNotFoundError:
            return None
