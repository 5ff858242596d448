"""Conditions as the store has them: on ETags, or on generations (Google Cloud Storage).

An ETag becomes a generation by one HeadObject, and the generation is what the write is bound to. So there is
no window: an object that is replaced behind that look has another generation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .._values.conditions import Condition, same_etag
from .._values.dialects import GENERATION
from .._values.models import ObjectInfo
from .._values.paths import S3Path
from ..errors import (
    GuardedS3Error,
    ObjectChangedError,
    ObjectNotFoundError,
    PreconditionFailedError,
    PreconditionUnsupportedError,
)
from .store import Store

_NONE = "0"  # of a key without an object


class Generations:
    """The generations that conditions stand for. Thread-safe."""

    def __init__(self, store: Store, head_object: Callable[[S3Path], ObjectInfo]) -> None:
        self._store = store
        self._head_object = head_object

    def pinned(self, path: S3Path, condition: Condition) -> Condition:
        """`condition` of a write to `path` as the store has it.

        Raises ObjectChangedError where the object has another ETag, ObjectNotFoundError where there is none.
        """
        if not condition or condition.generation or not self._store.dialect(path.bucket).generations:
            return condition
        if condition.if_match is None:
            return replace(condition, generation=_NONE)
        found = self._head_object(path)
        if not same_etag(found.etag, condition.if_match):
            raise ObjectChangedError(
                f"the object has ETag {found.etag}, not {condition.if_match}",
                bucket=path.bucket,
                key=path.key,
                operation="HeadObject",
                status=412,
            )
        generation = found.headers.get(GENERATION, "")
        if not generation.isdecimal():
            raise PreconditionUnsupportedError(
                "the store told no generation of the object, by which its writes are bound: nothing was sent",
                bucket=path.bucket,
                key=path.key,
            )
        return replace(condition, generation=generation)

    def explained(self, path: S3Path, condition: Condition) -> _Explained:
        """A context that says of a refusal under a pinned `condition` whether there is an object at all."""
        return _Explained(path, condition, self._head_object)


class _Explained:
    """Google says 412 to a generation that is not there, whether another is or none; S3 says 404 to none."""

    __slots__ = ("_condition", "_head_object", "_path")

    def __init__(
        self, path: S3Path, condition: Condition, head_object: Callable[[S3Path], ObjectInfo]
    ) -> None:
        self._path = path
        self._condition = condition
        self._head_object = head_object

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._condition.generation in ("", _NONE) or not isinstance(error, PreconditionFailedError):
            return
        if error.maybe_applied or not self._is_gone():  # who has a doubt to settle looks himself
            return
        raise ObjectNotFoundError(
            "there is no object any more",
            bucket=self._path.bucket,
            key=self._path.key,
            operation=error.operation,
            status=404,
            code="NoSuchKey",
            request_id=error.request_id,
        ) from error

    def _is_gone(self) -> bool:
        try:
            self._head_object(self._path)
        except ObjectNotFoundError:
            return True
        except GuardedS3Error:  # then the refusal is all that is known
            pass
        return False
