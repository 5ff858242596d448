"""Forms by which others may upload: a policy that says what they may send, signed.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html: conditions of a policy.
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html: fields of a form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from .._s3.client import S3Client
from .._values.keywords import check_integer, check_type
from .._values.parameters import Path
from .._values.s3_parameters import PARAMETERS
from .path_rules import PathRules
from .signed_urls import seconds

FILENAME = "${filename}"  # in a key: the name that the file has where it is uploaded
_SIZE = "content-length-range"
_KINDS = ("eq", "starts-with")
# What the policy says by itself, and what no condition is about.
_OWN = frozenset({"key", "bucket", "policy", "file"})
_SAME_NAME = frozenset({"acl", "expires", "tagging"})  # of a field of a form, and of a parameter
_SIGNED = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "x-amz-signature")

Condition = Mapping[str, str] | Sequence[Any]


class PostForm(TypedDict):
    """An HTML form that uploads one file: where it is sent, and its hidden fields. `file` comes last."""

    url: str
    fields: dict[str, str]


class PostedForms:
    """Makes signed forms; nothing is asked of the store."""

    def __init__(self, client: S3Client, paths: PathRules) -> None:
        self._client = client
        self._paths = paths

    def sign_post(
        self,
        path: Path,
        expires: int,
        fields: Mapping[str, str] | None,
        conditions: Iterable[Condition] | None,
        min_size: int,
        max_size: int | None,
        expiration: int | None,
    ) -> PostForm:
        """A form for an upload to `path`, valid for `expires` seconds. TypeError, ValueError."""
        if expiration is not None:
            expires = seconds("sign_post", {"expires": expires, "expiration": expiration}, 3600)
        location = self._paths.target(path)
        given = _checked_fields({} if fields is None else fields)
        wanted = [_checked(condition) for condition in (() if conditions is None else conditions)]
        named = {name for condition in wanted for name in _names(condition)}
        wanted += [{name: text} for name, text in given.items() if name.lower() not in named]
        if max_size is not None or min_size:
            wanted.append(_size_range(min_size, max_size))
        before, is_named, behind = location.key.partition(FILENAME)
        if behind:
            raise ValueError(f"path must end with {FILENAME} where it has that, not {path!r}")
        by_key: Condition = ["starts-with", "$key", before] if is_named else {"key": location.key}
        url, signed = self._client.presigned_post(location, expires, [*wanted, by_key])
        return PostForm(url=url, fields={**given, "key": location.key, **signed})


def _checked_fields(fields: Mapping[str, str]) -> dict[str, str]:
    check_type("fields", fields, Mapping)
    for name, text in fields.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError(f"fields must have text for each name, not {text!r} for {name!r}")
        if name.lower() in _OWN or name.lower() in _SIGNED:
            raise ValueError(f"fields must not have {name!r}: that is filled in, or the file's own")
        if name in PARAMETERS and name.lower() not in _SAME_NAME:  # S3 would take it, and do nothing with it
            raise ValueError(
                "fields must have names as in a form, such as 'Content-Type', 'acl' or 'x-amz-meta-n', "
                f"not {name!r}"
            )
    return dict(fields)


def _size_range(min_size: int, max_size: int | None) -> list[Any]:
    """The condition on the size of the file; S3 takes up to 5 GiB in a form."""
    limit = 5 * 2**30
    most = limit if max_size is None else check_integer("max_size", max_size, 0)
    if check_integer("min_size", min_size, 0) > most:
        raise ValueError(f"min_size must be at most max_size ({most} bytes), not {min_size}")
    return [_SIZE, min_size, most]


def _names(condition: Condition) -> list[str]:
    """The fields that a condition is about, in lower case."""
    if isinstance(condition, Mapping):
        return [name.lower() for name in condition]
    return [] if condition[0] == _SIZE else [str(condition[1]).removeprefix("$").lower()]


def _checked(condition: Any) -> Condition:
    """A condition as S3's policies have it. Raises TypeError, ValueError."""
    if isinstance(condition, Mapping):
        if not condition or not all(isinstance(text, str) for text in (*condition, *condition.values())):
            raise ValueError(f"conditions must be like {{'acl': 'private'}}, not {condition!r}")
        found: Condition = dict(condition)
    elif isinstance(condition, (list, tuple)) and len(condition) == 3:
        kind, first, second = condition
        if kind == _SIZE:
            _size_range(first, second)
        elif kind not in _KINDS or not str(first).startswith("$") or not isinstance(second, str):
            raise ValueError(
                f"conditions must be like ['starts-with', '$Content-Type', 'image/'], not {condition!r}"
            )
        found = [kind, first, second]
    else:
        raise TypeError(
            "conditions must be a list of dicts such as {'acl': 'private'}, and of lists such as "
            f"['starts-with', '$Content-Type', 'image/'], not {condition!r}"
        )
    for name in _names(found):
        if name in _OWN or name in _SIGNED:
            raise ValueError(f"conditions must not be about {name!r}: the path says that, or the signature")
    return found
