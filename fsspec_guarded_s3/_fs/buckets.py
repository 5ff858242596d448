"""Buckets: making them, their versioning and their region."""

from __future__ import annotations

import re
from typing import Any

from .._s3.client import S3Client
from .._values.attribute_values import BUCKET_ACLS, one_of
from .._values.keywords import check_type, refuse
from .._values.parameters import Path
from .._values.paths import S3Path
from .._write.setting import put_versioning
from ..errors import AccessDeniedError, BucketExistsError, ObjectNotFoundError
from .path_rules import PathRules

_REGION = re.compile(r"[A-Za-z0-9-]+")


class Buckets:
    """Makes buckets, and tells and changes what they are.

    With `create_below` a directory that is made in a bucket that is missing creates the bucket.
    """

    def __init__(self, client: S3Client, paths: PathRules, *, create_below: bool) -> None:
        self._client = client
        self._paths = paths
        self._create_below = create_below

    def mkdir(
        self,
        path: Path,
        create_parents: bool = True,
        acl: str | None = None,
        region_name: str | None = None,
        mode: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Create a bucket when `path` names one; directories below need no creating. CreateBucket.

        BucketExistsError (a FileExistsError) when the bucket is there.
        """
        refuse(self.mkdir, kwargs)
        if not isinstance(create_parents, bool):  # s3fs has the ACL in its place
            raise TypeError(f"create_parents must be bool, not {create_parents!r}: name the argument acl=")
        if acl:
            one_of(*BUCKET_ACLS)("acl", acl)
        check_type("region_name", region_name or "", str)
        if region_name and not _REGION.fullmatch(region_name):
            raise ValueError(f"region_name {region_name!r} is no name of a region")
        location = self._paths.location(path)[0]
        if location.key and not self._create_below:
            return
        if not self._is_there(location, create_parents):
            self._client.buckets.create_bucket(location.bucket, region_name, acl or None)
        elif not location.key:
            raise BucketExistsError("the bucket is there already", bucket=location.bucket)

    def _is_there(self, location: S3Path, create_parents: bool) -> bool:
        """Whether the bucket needs no creating.

        Asked first, since AWS answers 200 in us-east-1 for a bucket of ours, and resets its ACL. HeadBucket.
        """
        try:
            self._client.buckets.bucket_headers(location.bucket)
        except ObjectNotFoundError:
            if location.key and not create_parents:
                raise
            return False
        except AccessDeniedError:  # somebody else's, or we may not look: CreateBucket tells
            return bool(location.key)
        return True

    def makedirs(self, path: Path, exist_ok: bool = False) -> None:
        """Create a bucket that is missing, below one only if `create_below`; else there is nothing to do."""
        location = self._paths.location(path)[0]
        if self._create_below or not (location.key or exist_ok):
            try:
                self.mkdir(path)
            except BucketExistsError:
                if not exist_ok:
                    raise

    def is_bucket_versioned(self, bucket: str) -> bool:
        """Whether versioning is on; False when it was suspended. GetBucketVersioning."""
        return self._client.buckets.get_bucket_versioning(self._paths.bucket(bucket)) == "Enabled"

    def make_bucket_versioned(self, bucket: str, versioned: bool = True) -> None:
        """Switch versioning on, or suspend it: versions that are there stay. PutBucketVersioning."""
        check_type("versioned", versioned, bool)
        status = "Enabled" if versioned else "Suspended"
        put_versioning(self._client, self._paths.bucket(bucket), status)

    def bucket_region(self, bucket: str) -> str:
        """The region of a bucket, wherever it is. HeadBucket; FileNotFoundError without such a bucket."""
        return self._client.buckets.head_bucket(self._paths.bucket(bucket))
