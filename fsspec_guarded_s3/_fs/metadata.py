"""What an object has beside its bytes: user metadata, tags, access."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, cast

from .._s3.client import S3Client
from .._values import attribute_values as values
from .._values.answer_fields import described
from .._values.attributes import Attributes
from .._values.conditions import Condition, same_etag
from .._values.keywords import check_type
from .._values.models import META
from .._values.parameters import Path
from .._write.setting import put_bucket_acl, put_object_acls, put_tags
from ..errors import ObjectChangedError
from .copy_object import Copier
from .directories import look_at
from .object_headers import ObjectHeaders
from .path_rules import PathRules
from .rows import ObjectAttributes
from .trees import Trees

_ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


class Metadata:
    """Reads attributes, and reads and changes metadata, tags and ACLs of objects."""

    def __init__(
        self, client: S3Client, paths: PathRules, trees: Trees, headers: ObjectHeaders, copier: Copier
    ) -> None:
        self._client = client
        self._paths = paths
        self._trees = trees
        self._headers = headers
        self._copier = copier

    # --- metadata ---

    def metadata(self, path: Path, refresh: bool = False, **kwargs: Any) -> dict[str, str]:
        """The user metadata of an object, by name in lower case with hyphens. HeadObject."""
        given = Attributes.parse(kwargs, self.metadata)
        info = look_at(self._headers.client_for(given), self._paths.object(path))
        return {name.replace("_", "-"): values.decoded(value) for name, value in info.metadata.items()}

    def getxattr(self, path: Path, attr_name: str, **kwargs: Any) -> str | None:
        """One name of the user metadata, None where there is none. HeadObject."""
        check_type("attr_name", attr_name, str)
        return self.metadata(path, **kwargs).get(attr_name.replace("_", "-").lower())

    def setxattr(
        self, path: Path, copy_kwargs: Mapping[str, Any] | None, changes: Mapping[str, str | None]
    ) -> None:
        """Change names of the user metadata, None removes one, by a copy of the object onto itself."""
        check_type("copy_kwargs", copy_kwargs or {}, Mapping)
        given = Attributes.parse(copy_kwargs or {}, "setxattr")
        if "Metadata" in given.names:
            raise TypeError("setxattr takes names of the metadata as keywords, not in copy_kwargs")
        location = self._paths.target(path)
        info = look_at(self._headers.client_for(given.of_source()), location)
        headers = self._headers.kept(location, info, given)
        before = {name: value for name, value in headers.items() if not name.startswith(META)}
        headers = before | {META + name: text for name, text in _changed(info.metadata, changes).items()}
        if not given and described(headers) == described(info.write_headers()):
            return
        self._copier.publish(location, info, location, Condition(), given, headers)

    # --- attributes ---

    def object_attributes(
        self, path: Path, attributes: Iterable[str] | None, version_id: str | None, **kwargs: Any
    ) -> ObjectAttributes:
        """Attributes of one version of an object. GetObjectAttributes, for each 1,000 parts once."""
        given = Attributes.parse_reading(kwargs, "object_attributes")
        location = self._paths.object(path, version_id)
        names = _checked(attributes)
        asked = names if "ETag" in names else (*names, "ETag")  # all pages are to be of one version
        ask = partial(self._headers.client_for(given).subresources.get_object_attributes, location, asked)
        found, marker = ask()
        etag = found.get("ETag", "")
        while marker:
            page, marker = ask(marker)
            if not same_etag(page.get("ETag", ""), etag):
                raise ObjectChangedError(
                    "the object was replaced while its parts were listed",
                    bucket=location.bucket,
                    key=location.key,
                    operation="GetObjectAttributes",
                )
            found["ObjectParts"]["Parts"] += page["ObjectParts"]["Parts"]
        if "ETag" not in names:
            found.pop("ETag", None)
        return cast("ObjectAttributes", found)

    # --- tags ---

    def get_tags(self, path: Path) -> dict[str, str]:
        """The tags of an object. GetObjectTagging."""
        return dict(self._client.subresources.get_object_tagging(self._paths.object(path)))

    def put_tags(self, path: Path, tags: Mapping[str, str], mode: str = "o") -> None:
        """Give an object these tags and no others, or with mode "m" merge them into those it has.

        PutObjectTagging.
        """
        if mode not in ("o", "m"):
            raise ValueError(f"mode must be 'o' (overwrite) or 'm' (merge), not {mode!r}")
        location = self._paths.object(path)
        wanted = values.tags("tags", tags)
        if mode == "m":
            before = self._client.subresources.get_object_tagging(location)
            wanted = values.tags("tags", dict(before) | wanted)
        put_tags(self._client, location, wanted)

    # --- access ---

    def chmod(self, path: Path, acl: str, recursive: bool = False) -> None:
        """Give an object, all objects below a path, or a bucket a canned ACL. PutObjectAcl, PutBucketAcl."""
        location = self._paths.place(path)
        allowed = values.CANNED_ACLS if location.key or recursive else values.BUCKET_ACLS
        values.one_of(*allowed)("acl", acl)
        if recursive:
            found = [self._paths.object(name) for name in self._trees.find(path)]
            if not found:
                raise FileNotFoundError(f"there is nothing below {path}")
            put_object_acls(self._client, found, acl)
        elif location.key:
            put_object_acls(self._client, [location], acl)
        else:
            put_bucket_acl(self._client, location.bucket, acl)


def _checked(attributes: Iterable[str] | None) -> tuple[str, ...]:
    """The names of attributes that are asked for, all of them for None. TypeError, ValueError."""
    if attributes is None:
        return _ATTRIBUTES
    names = (attributes,) if isinstance(attributes, str) else tuple(attributes)
    unknown = [name for name in names if name not in _ATTRIBUTES]
    if unknown or not names:
        allowed = ", ".join(_ATTRIBUTES)
        raise ValueError(
            f"attributes must be some of {allowed}, not {', '.join(map(repr, unknown)) or 'none'}"
        )
    return names


def _changed(before: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """User metadata after `changes`; names match whether they have hyphens or underscores."""
    wanted = {name.replace("_", "-").lower(): value for name, value in changes.items()}
    kept = {name: value for name, value in before.items() if name.replace("_", "-") not in wanted}
    return kept | values.metadata({name: value for name, value in wanted.items() if value is not None})
