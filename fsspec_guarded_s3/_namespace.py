"""fsspec's verbs that change names: copying, buckets, uploads left behind; no HTTP, no XML."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

from . import _janitor, _paths, _probe
from ._attribute_values import BUCKET_ACLS, one_of
from ._attributes import Attributes
from ._errors import AccessDeniedError, BucketExistsError, ObjectNotFoundError
from ._keywords import check_type, refuse
from ._listing import nothing_at
from ._models import Condition, ObjectInfo
from ._parameters import BucketAcl, Copying, Mode, NoMore, Path
from ._removal import Removal
from ._rows import UploadInfo

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
_REGION = re.compile(r"[A-Za-z0-9-]+")


class Namespace(Removal):
    """The part of the filesystem that changes names. Use `GuardedS3FileSystem`."""

    def cp_file(
        self,
        path1: Path,
        path2: Path,
        mode: Mode = "overwrite",
        if_match: str | None = None,
        **kwargs: Unpack[Copying],
    ) -> None:
        """Copy inside S3, pinned to the source's version.

        Attributes and tags go along, ACL and object lock do not, as S3 has it.
        `mode="create"` and `if_match` are conditions on `path2`, as in `pipe_file`; further keywords are
        attributes of the copy in S3's names, such as `StorageClass="GLACIER_IR"`. Raises ObjectChangedError
        when the source is replaced meanwhile.
        """
        self._copy_one(path1, path2, mode, if_match, **kwargs)

    def _copy_one(
        self, path1: Path, path2: Path, mode: str = "overwrite", if_match: str | None = None, **kwargs: Any
    ) -> ObjectInfo | None:
        """`cp_file`; returns which version was copied, None for a directory, which needs no copying.

        FileNotFoundError where there is neither.
        """
        condition = write_condition(mode, if_match)
        given = Attributes.parse(kwargs, self.cp_file)
        source, only_directory = self._location(path1)
        if only_directory or not source.key:
            if not self.isdir(path1):
                raise nothing_at(source)
            return None  # fsspec's trees name directories too
        target = self._target(path2)
        try:
            info = self._client_for(given.of_source()).reads.head_object(source)
        except ObjectNotFoundError:
            if self.isdir(path1):
                return None
            raise
        if source == target and not condition and not given:
            return info  # S3 refuses a copy that changes nothing
        if source != target:  # onto itself the pin is that of the current version
            source = self._client.reads.pinned(source, info)
        self._copy_version(source, info, target, condition, given)
        return info

    def mkdir(
        self,
        path: Path,
        create_parents: bool = True,
        acl: BucketAcl | None = None,
        region_name: str | None = None,
        mode: int | None = None,
        **kwargs: Unpack[NoMore],
    ) -> None:
        """Create a bucket when `path` names one; directories below need no creating. CreateBucket.

        `region_name` is where to (that of the options if None), `acl` a canned one: private, public-read,
        public-read-write or authenticated-read. FileExistsError when the bucket is there. With the option
        `create_buckets` a path below a bucket creates the bucket where it is missing, and is
        FileNotFoundError there without `create_parents`.
        `mode`, which pathlib's callers pass, is for stores that have permissions of POSIX; S3 has none.
        """
        refuse(self.mkdir, kwargs)
        if not isinstance(create_parents, bool):  # s3fs has the ACL in its place
            raise TypeError(f"create_parents must be bool, not {create_parents!r}: name the argument acl=")
        if acl:
            one_of(*BUCKET_ACLS)("acl", acl)
        check_type("region_name", region_name or "", str)
        if region_name and not _REGION.fullmatch(region_name):
            raise ValueError(f"region_name {region_name!r} is no name of a region")
        location = self._location(path)[0]
        if location.key and not self._options.create_buckets:
            return
        try:
            # First, since AWS answers 200 in us-east-1 for a bucket of ours, and resets its ACL.
            self._client.buckets.head_bucket(location.bucket)
            there = True
        except ObjectNotFoundError:
            if location.key and not create_parents:
                raise
            there = False
        except AccessDeniedError:  # somebody else's, or we may not look: CreateBucket tells
            there = bool(location.key)
        if not there:
            self._client.buckets.create_bucket(location.bucket, region_name, acl or None)
        elif not location.key:
            raise BucketExistsError("the bucket is there already", bucket=location.bucket)

    def makedirs(self, path: Path, exist_ok: bool = False) -> None:
        """Nothing to do below a bucket, and no request there; a bucket is created by `mkdir` only.

        With the option `create_buckets` a bucket that is missing is created.
        """
        location = self._location(path)[0]
        if self._options.create_buckets or not (location.key or exist_ok):
            try:
                self.mkdir(path)
            except BucketExistsError:
                if not exist_ok:
                    raise

    # --- uploads that were left behind, and what the store honours ---

    def list_uploads(self, path: Path) -> list[UploadInfo]:
        """Multipart uploads to `path` and below that are neither completed nor aborted, oldest first.

        Each with name, upload_id, initiated (UTC), age (seconds), size (bytes), parts, and `live`: whether a
        writer of this process holds it. ListMultipartUploads and ListParts.
        """
        location = _paths.parse(self._strip_protocol(path))
        found = [upload.details() for upload in _janitor.list_uploads(self._client, location)]
        return cast("list[UploadInfo]", found)

    def abort_uploads(self, path: Path, older_than: float | timedelta) -> list[UploadInfo]:
        """Abort the uploads at and below `path` that are older than `older_than` (seconds, or a timedelta).

        Never one of a live writer of this process. Returns those that were aborted; ListParts proved that
        nothing of them is left. ValueError for a negative age.
        """
        if not isinstance(older_than, (int, float, timedelta)):
            raise TypeError(f"older_than must be seconds or a timedelta, not {type(older_than).__name__}")
        limit = older_than if isinstance(older_than, timedelta) else timedelta(seconds=older_than)
        location = _paths.parse(self._strip_protocol(path))
        found = [upload.details() for upload in _janitor.abort_uploads(self._client, location, limit)]
        return cast("list[UploadInfo]", found)

    def probe(self, path: Path) -> _probe.Guards:
        """Find out which guards the store honours, by trying them on temporary keys beside `path`.

        Nothing is left of these keys. Raises AccessDeniedError when they may not be written or deleted.
        """
        return _probe.probe(self._client, _paths.parse(self._strip_protocol(path)))

    # --- URLs that others may use ---

    def sign(
        self,
        path: Path,
        expiration: int = 100,
        method: Literal["GET", "HEAD", "PUT", "DELETE"] = "GET",
        **parameters: Any,
    ) -> str:
        """A presigned URL for GET, HEAD, PUT or DELETE, valid for `expiration` seconds (1 to 604,800).

        `parameters` are those of the S3 operation by their names in boto3: VersionId (as a versioned path),
        ResponseContentType, ResponseContentDisposition ... of GET; UploadId and PartNumber for a part;
        IfMatch, IfNoneMatch, ContentType, Metadata ... These last are headers: they are signed, and whoever
        uses the URL has to send them. In a directory bucket a URL lives for 300 seconds at most.
        """
        if "client_method" in parameters:  # s3fs's name of it
            return self.url(path, expires=expiration, **parameters)
        client_method = _METHODS.get((method, "UploadId" in parameters))
        if client_method is None:
            raise ValueError(f"method must be GET, HEAD, PUT or DELETE, not {method!r}")
        return self.url(path, expiration, client_method, **parameters)

    def url(
        self, path: Path, expires: int = 3600, client_method: str = "get_object", **parameters: Any
    ) -> str:
        """The same for any operation on an object by its name in boto3, as in s3fs; `expires` in seconds."""
        return self._client.presigned_url(client_method, self._object(path), expires, parameters)


def write_condition(mode: str, if_match: str | None) -> Condition:
    """The condition that `mode` ("overwrite" or "create") and `if_match` (an ETag) ask for."""
    if mode not in ("overwrite", "create"):
        raise ValueError(f"mode must be 'overwrite' or 'create', not {mode!r}")
    if if_match is not None and not isinstance(if_match, str):
        raise TypeError(f"if_match must be an ETag as info() gives it, not {type(if_match).__name__}")
    return Condition(create=mode == "create", if_match=if_match)
