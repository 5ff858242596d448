"""What the path of a verb names, by the protocols of its filesystem and by whether it knows versions.

docs/paths.md has the rules for users, `_values.paths` what S3 accepts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._values import paths
from .._values.fsspec_rules import text_of
from .._values.keywords import check_type
from .._values.paths import S3Path


class PathRules:
    """The rules for the paths of one filesystem.

    `protocols` returns the names that may stand before "://": `register` adds to them at any time. With
    `version_aware` a "?versionId=..." at the end of a path names a version; else it is part of the key.
    """

    __slots__ = ("_protocols", "_version_aware")

    def __init__(self, protocols: Callable[[], tuple[str, ...]], *, version_aware: bool = False) -> None:
        self._protocols = protocols
        self._version_aware = version_aware

    @property
    def version_aware(self) -> bool:
        """Whether a path may name a version."""
        return self._version_aware

    def without_protocol(self, path: Any) -> str:
        """The path without its protocol and without slashes before the bucket; one at its end stays.

        TypeError for what is neither text nor an os.PathLike.
        """
        return paths.strip_protocol(text_of(path), self._protocols())

    def name(self, path: Any) -> str:
        """The path as listings show it: without protocol, and without the one slash that says "directory"."""
        return paths.without_slash(self.without_protocol(path))

    def says_directory(self, path: Any) -> bool:
        """Whether a slash at the end of the path says that it names a directory."""
        return self.without_protocol(path).endswith("/")

    def object(self, path: Any, version_id: str | None = None) -> S3Path:
        """The object that a path names, or a version of it. IsADirectoryError for a bucket or a directory."""
        location = paths.parse_object(self.without_protocol(path), self._version_aware)
        return location if version_id is None else _at_version(location, version_id)

    def target(self, path: Any) -> S3Path:
        """The object that is to be written. ValueError for a version, which nobody can write."""
        location = self.object(path)
        refuse_version(location)
        return location

    def location(self, path: Any, version_id: str | None = None) -> tuple[S3Path, bool]:
        """The bucket, object or directory that a path names, and whether it can only be a directory."""
        text = self.without_protocol(path)
        location = paths.parse(paths.without_slash(text), self._version_aware)
        return _at_version(location, version_id), text.endswith("/")

    def place(self, path: Any) -> S3Path:
        """The bucket or key that a path names, "?versionId=..." being part of the key."""
        return paths.parse(self.name(path))

    def bucket(self, path: Any) -> str:
        """The bucket that a path names. ValueError for the path of an object."""
        location = self.location(path)[0]
        if location.key:
            raise ValueError(f"bucket must be the name of a bucket, not of the object {location}")
        return location.bucket

    def split(self, path: Any) -> tuple[str, str, str | None]:
        """(bucket, key, version id) of a path; the key keeps a slash at its end."""
        location = paths.parse(self.without_protocol(path), self._version_aware)
        return location.bucket, location.key, location.version_id


def refuse_version(location: S3Path) -> None:
    """Raise ValueError where something is to be written to a version."""
    if location.version_id is not None:
        raise ValueError(f"{location} is a version: versions are read, copied and deleted, never written")


def _at_version(location: S3Path, version_id: str | None) -> S3Path:
    if version_id is None:
        return location
    check_type("version_id", version_id, str)
    if not version_id:
        raise ValueError("version_id is empty: None means the current version")
    if not location.key:
        raise ValueError(f"version_id {version_id!r} needs the path of an object, not of bucket {location}")
    if location.version_id not in (None, version_id):
        raise ValueError(f"version_id {version_id!r} and {location} name two versions: pass one of them")
    return S3Path(location.bucket, location.key, version_id)
