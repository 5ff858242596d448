"""One trial for each guard: whether the store honours it, tried on fresh keys beside the one to be written.

Each trial stands alone and has two controls: what must be refused is refused, and what must be allowed is
allowed. What it made is removed whatever happens (`temporary_objects`).
"""

from __future__ import annotations

import enum
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import TracebackType

from .._s3.client import S3Client
from .._values.conditions import Condition
from .._values.models import META, WRITE_TOKEN
from .._values.paths import S3Path
from ..errors import (
    AccessDeniedError,
    ConfigurationError,
    ConflictError,
    GuardedS3Error,
    ObjectNotFoundError,
    PreconditionFailedError,
    ProtocolError,
    ResponseError,
    ServerError,
    ThrottledError,
    TransportError,
)
from .aborting import in_background, wait_briefly
from .temporary_objects import DATA, TemporaryObjects

logger = logging.getLogger("fsspec_guarded_s3")
_WRONG = '"00000000000000000000000000000000"'
_WRONG_GENERATION = "1"  # microseconds after 1970
_CREATE = Condition(create=True)
_OTHER = DATA[::-1]  # other bytes, and as many: whether they are there still, a read tells at once
# What passes, or is the fault of a configuration: it says nothing about the store.
_PASSING = (ConfigurationError, TransportError, ServerError, ThrottledError, ConflictError)
# What a store says without an error code where it does not know a request: a proxy's 407, a redirect and the
# like are said by who stands before it.
_BARE_REFUSALS = frozenset({400, 404, 405, 412, 501})


class _Outcome(enum.Enum):
    """What became of a request: `REFUSED` by its condition, `FAILED` by anything else that is definite."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    FAILED = "failed"


class Trial:
    """Trials of guards in the folder of `path`, a context manager that removes what they made.

    `unquoted` says whether the guard that was tried last holds for an ETag without its quotes only.
    """

    def __init__(self, client: S3Client, path: S3Path) -> None:
        self._client = client
        self._objects = TemporaryObjects(client, path)
        self._may_delete = False
        self._wrong = Condition(if_match=_WRONG)
        self.unquoted = False

    def __repr__(self) -> str:
        return f"<Trial {self._objects.key}>"

    def __enter__(self) -> Trial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, GuardedS3Error):
            self._objects.remove()
        else:  # an interrupt: nobody waits for the store any more
            task = f"remove what a probe made, whose keys begin with {self._objects.key}"
            wait_briefly(self._client, in_background(self._objects.remove, task))

    @property
    def age(self) -> int:
        """How old the bucket's facts (`StoreFacts.age`) were when the last trial had written an object.

        -1 if it wrote none. What the trial found holds while the facts have this age.
        """
        return self._objects.age

    def run(self, name: str) -> bool:
        """Whether the store honours the guard `name`.

        Raises AccessDeniedError when the credentials may not find out, and the errors of requests that may
        fare better later; those are no answer.
        """
        self._objects.begin()
        self.unquoted = False
        dialect = self._client.store.dialect(self._objects.key.bucket)
        self._wrong = Condition(if_match=_WRONG, generation=_WRONG_GENERATION if dialect.generations else "")
        self._require_delete()
        try:
            return _TRIALS[name](self)
        except (
            PreconditionFailedError
        ) as error:  # of a request without any; to the caller it would be a rival
            raise ProtocolError(
                "a request without a condition was answered 412: that is no store", operation=error.operation
            ) from error

    def _require_delete(self) -> None:
        """Delete a key that is not there: what could not be removed again must not be written."""
        if self._may_delete:
            return
        try:
            self._objects.delete(self._objects.fresh(), self._wrong)
        except (AccessDeniedError, *_PASSING):
            raise
        except GuardedS3Error as error:
            logger.debug("deleting a key that is not there: %s", error)
        self._may_delete = True

    # --- what is tried ---

    def create(self) -> bool:
        key = self._objects.fresh()
        return self._accepts(lambda: self._objects.put(key, _CREATE)) and self._refuses(
            lambda: self._objects.put(key, _CREATE)
        )

    def swap(self) -> bool:
        key = self._objects.fresh()
        if self._outcome(lambda: self._objects.put(key, self._wrong)) is _Outcome.ACCEPTED:
            return False  # it would bring back an object that somebody deleted
        etag = self._objects.put(key).etag
        return self._swaps(etag, lambda condition: self._objects.put(key, condition))

    def create_on_complete(self) -> bool:
        key = self._objects.fresh()
        return (
            self._accepts(lambda: self._objects.complete(key, _CREATE))
            and self._refuses(lambda: self._objects.complete(key, _CREATE))
            and self._objects.survives_abort(key)
        )

    def swap_on_complete(self) -> bool:
        key = self._objects.fresh()
        etag = self._objects.put(key).etag
        swaps = self._swaps(etag, lambda condition: self._objects.complete(key, condition))
        return swaps and self._objects.survives_abort(key)

    # A refused copy must leave the target as it was: LocalStack 4.14 answers 412, and writes into it.

    def copy_create(self) -> bool:
        source, target, taken = self._objects.fresh(), self._objects.fresh(), self._objects.fresh()
        etag = self._objects.put(source).etag
        if not self._accepts(lambda: self._objects.copy(source, etag, target, _CREATE)):
            return False
        there = self._objects.put(taken, data=_OTHER).etag
        refuses = self._refuses(lambda: self._objects.copy(source, etag, taken, _CREATE))
        return refuses and self._objects.holds(taken, there, _OTHER)

    def copy_swap(self) -> bool:
        source, target = self._objects.fresh(), self._objects.fresh()
        pin, etag = self._objects.put(source).etag, self._objects.put(target, data=_OTHER).etag

        def copy(condition: Condition) -> None:
            self._objects.copy(source, pin, target, condition)

        spares = self._refuses(lambda: copy(self._wrong)) and self._objects.holds(target, etag, _OTHER)
        return spares and self._swaps(etag, copy)

    def copy_source(self) -> bool:
        source, target = self._objects.fresh(), self._objects.fresh()
        etag = self._objects.put(source).etag
        for as_rgw in (False, True):  # Ceph RGW reads the pin from a header of its own
            copy = partial(self._objects.copy, source, target=target, as_rgw=as_rgw)
            if self._refuses(partial(copy, etag=_WRONG)) and self._accepts(partial(copy, etag=etag)):
                self._client.store.facts(target.bucket).pins_as_rgw = as_rgw
                return True
        return False

    def copy_source_parts(self) -> bool:
        source, target = self._objects.fresh(), self._objects.fresh()
        etag = self._objects.put(source).etag
        upload_id = self._objects.start(target)

        return self._refuses(
            lambda: self._objects.copy_part(source, _WRONG, target, upload_id)
        ) and self._accepts(lambda: self._objects.copy_part(source, etag, target, upload_id))

    def delete(self) -> bool:
        key = self._objects.fresh()
        right = Condition(if_match=self._objects.put(key).etag)
        return self._refuses(lambda: self._objects.delete(key, self._wrong)) and self._accepts(
            lambda: self._objects.delete(key, right)
        )

    def delete_many(self) -> bool:
        key = self._objects.fresh()
        etag = self._objects.put(key).etag
        return self._refuses(lambda: self._objects.delete_many(key, _WRONG)) and self._accepts(
            lambda: self._objects.delete_many(key, etag)
        )

    def pinned_get(self) -> bool:
        key = self._objects.fresh()
        etag = self._objects.put(key).etag
        return self._refuses(lambda: self._objects.get(key, _WRONG)) and self._accepts(
            lambda: self._objects.get(key, etag)
        )

    def token(self) -> bool:
        key, token = self._objects.fresh(), secrets.token_hex(8)
        self._objects.put(key, headers={META + WRITE_TOKEN: token})
        return self._client.reads.head_object(key).write_token == token

    def tag_count(self) -> bool:
        """False: objects have tags here, and HeadObject does not tell how many."""
        key = self._objects.fresh()
        if not self._accepts(lambda: self._objects.put(key, headers={"x-amz-tagging": "gs3=probe"})):
            return True
        if self._client.reads.head_object(key).tag_count:
            return True
        found: list[tuple[str, str]] = []
        self._outcome(lambda: found.extend(self._client.subresources.get_object_tagging(key)))
        return not found

    def rename_object(self) -> bool:
        """A store that does not know it takes it for a PutObject, and would leave an empty object."""
        source, target = self._objects.fresh(), self._objects.fresh()
        etag, taken = self._objects.put(source).etag, self._objects.put(target, data=DATA * 2).etag
        rename = partial(self._objects.rename, source, target=target)
        return (
            self._refuses(lambda: rename(etag=_WRONG))
            and self._refuses(lambda: rename(etag=etag, condition=_CREATE))
            and self._refuses(lambda: rename(etag=etag, condition=self._wrong))
            and self._accepts(lambda: rename(etag=etag, condition=Condition(if_match=taken)))
            and self._objects.is_version(target, etag)
            and self._objects.is_version(source, "")
        )

    def append(self) -> bool:
        """A store that does not know offsets replaces the object by what is to be appended."""
        key, size = self._objects.fresh(), len(DATA)
        right = Condition(if_match=self._objects.put(key).etag)
        append = partial(self._objects.append, key)
        return (
            self._refuses(lambda: append(size + 1, right))
            and self._refuses(lambda: append(size, self._wrong))
            and self._accepts(lambda: append(size, right))
            and self._objects.size(key) == 2 * size
        )

    # An object that was changed has other bytes: those of the tags, or none.

    def put_object_tagging(self) -> bool:
        return self._spares(lambda key: self._client.subresources.put_object_tagging(key, {"gs3": "probe"}))

    def delete_object_tagging(self) -> bool:
        return self._spares(lambda key: self._client.subresources.put_object_tagging(key, {}))

    def object_annotations(self) -> bool:
        """That they are kept, too: a store that refuses them spares the object as well."""
        kept: list[str] = []

        def annotate(key: S3Path) -> None:
            annotations = self._client.annotations
            annotations.put_object_annotation(key, "probe", DATA * 2, None)
            kept.append(annotations.get_object_annotation(key, "probe"))
            annotations.delete_object_annotation(key, "probe", None)

        return self._spares(annotate) and kept == [(DATA * 2).decode()]

    def put_object_acl(self) -> bool:
        return self._spares(lambda key: self._client.subresources.put_object_acl(key, "private"))

    def _spares(self, change: Callable[[S3Path], None]) -> bool:
        """Whether an object has its bytes after a `change` of what is beside them, refused or not."""
        key = self._objects.fresh()
        self._objects.put(key)
        self._objects.set_unsure(key, True)
        self._outcome(lambda: change(key))
        try:
            spared = self._client.reads.head_object(key).size == len(DATA)
        except ObjectNotFoundError:
            return False
        self._objects.set_unsure(key, not spared)
        return spared

    def _swaps(self, etag: str, write: Callable[[Condition], object]) -> bool:
        """Whether `write` needs the right ETag; RGW knows it without its quotes only."""
        for unquoted in (False, True):
            wrong = replace(self._wrong, unquoted=unquoted)
            if not self._refuses(lambda wrong=wrong: write(wrong)):  # type: ignore[misc]
                return False
            right = Condition(if_match=etag, unquoted=unquoted)
            if self._accepts(lambda right=right: write(right)):  # type: ignore[misc]
                self.unquoted = unquoted
                return True
        return False

    # --- what an answer means ---

    def _accepts(self, call: Callable[[], object]) -> bool:
        return self._outcome(call) is _Outcome.ACCEPTED

    def _refuses(self, call: Callable[[], object]) -> bool:
        return self._outcome(call) is _Outcome.REFUSED

    def _outcome(self, call: Callable[[], object]) -> _Outcome:
        try:
            call()
        except PreconditionFailedError as error:
            if error.maybe_applied:  # perhaps an attempt before was accepted, and this is its doing
                raise TransportError("an answer was lost", operation=error.operation) from error
            self._prove_store(error)
            return _Outcome.REFUSED
        except (AccessDeniedError, *_PASSING):
            raise
        except GuardedS3Error as error:
            if isinstance(error, ObjectNotFoundError) and error.code == "NoSuchBucket":
                raise
            if isinstance(error, ResponseError) and not error.code and error.status not in _BARE_REFUSALS:
                raise
            self._prove_store(error)
            logger.info("the store failed a request of a probe: %s", error)
            return _Outcome.FAILED
        return _Outcome.ACCEPTED

    def _prove_store(self, refusal: GuardedS3Error) -> None:
        """Raise the error of a write without any condition, where nothing proves that a store has refused.

        A proxy or a portal that answers everything alike has no error document, and takes no object.
        """
        if not (refusal.code or refusal.request_id or self._objects.age >= 0):
            self._objects.put(self._objects.fresh())


_TRIALS: dict[str, Callable[[Trial], bool]] = {
    "create": Trial.create,
    "swap": Trial.swap,
    "create_on_complete": Trial.create_on_complete,
    "swap_on_complete": Trial.swap_on_complete,
    "delete": Trial.delete,
    "delete_many": Trial.delete_many,
    "pinned_get": Trial.pinned_get,
    "copy_source": Trial.copy_source,
    "copy_source_parts": Trial.copy_source_parts,
    "copy_create": Trial.copy_create,
    "copy_swap": Trial.copy_swap,
    "RenameObject": Trial.rename_object,
    "append": Trial.append,
    "token": Trial.token,
    "tag_count": Trial.tag_count,
    "PutObjectTagging": Trial.put_object_tagging,
    "DeleteObjectTagging": Trial.delete_object_tagging,
    "PutObjectAnnotation": Trial.object_annotations,
    "DeleteObjectAnnotation": Trial.object_annotations,
    "PutObjectAcl": Trial.put_object_acl,
}
