"""Which guards a store honours, found out by trying them on keys of our own.

A store that ignores a condition answers 200 and overwrites, so asking is the only way to know. Invariant:
the keys that are tried are new, random and beside the one to be written, and nothing of them is left.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TypeVar

from ._client import Cursor, S3Client
from ._errors import (
    AccessDeniedError,
    GuardedS3Error,
    ObjectNotFoundError,
    PreconditionFailedError,
    PreconditionUnsupportedError,
)
from ._models import WRITE_TOKEN, Body, ByteRange, Condition, ObjectInfo, Written
from ._paths import S3Path

logger = logging.getLogger("fsspec_guarded_s3")
T = TypeVar("T")
_WRONG = '"00000000000000000000000000000000"'
_CREATE = Condition(create=True)
_SWAP = Condition(if_match=_WRONG)


@dataclass(frozen=True, slots=True)
class Guards:
    """What a store honours. False: it ignores the condition, or refuses the request that carries it.

    `create` and `swap` are If-None-Match and If-Match on PutObject, the same `_on_complete` and `copy_`;
    `delete` is If-Match on DeleteObject, `delete_many` the ETags in DeleteObjects, `pinned_get` If-Match on
    GetObject; `copy_source` is the pin of CopyObject, `copy_source_parts` that of UploadPartCopy; `token`
    says that user metadata is kept, by which a write whose answer was lost is recognised.
    """

    create: bool = True
    swap: bool = True
    create_on_complete: bool = True
    swap_on_complete: bool = True
    delete: bool = True
    delete_many: bool = True
    pinned_get: bool = True
    copy_source: bool = True
    copy_source_parts: bool = True
    copy_create: bool = True
    copy_swap: bool = True
    token: bool = True

    def missing(self) -> tuple[str, ...]:
        """The names of the guards that are not there."""
        return tuple(field.name for field in fields(self) if not getattr(self, field.name))


_found: dict[tuple[str | None, str], Guards] = {}
_lock = threading.Lock()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def known_guards(client: S3Client, path: S3Path) -> Guards:
    """The guards of the bucket of `path`: all where the option `probe` says not to ask, else probed once."""
    mode = client.options.probe
    if mode == "never" or (mode == "auto" and client.is_aws(path.bucket)):
        return Guards()
    with _lock:  # two writers of one process must not probe twice; a probe takes some ten requests
        name = (client.options.endpoint_url, path.bucket)
        if name not in _found:
            _found[name] = probe(client, path)
        return _found[name]


def require_guard(
    client: S3Client, path: S3Path, condition: Condition, *, multipart: bool, copy: bool = False
) -> None:
    """Raise PreconditionUnsupportedError when the store would ignore `condition` on this kind of write."""
    if not condition:
        return
    name = "create" if condition.create else "swap"
    name = f"copy_{name}" if copy else f"{name}_on_complete" if multipart else name
    require(client, path, name)


def require(client: S3Client, path: S3Path, name: str) -> None:
    """Raise PreconditionUnsupportedError when the store does not honour the guard `name`."""
    if not getattr(known_guards(client, path), name):
        raise PreconditionUnsupportedError(
            f"the store does not honour the condition of this request ({name}, as a probe found out): "
            "nothing was sent, since it could have overwritten another writer's object",
            bucket=path.bucket,
            key=path.key,
        )


def honours(client: S3Client, path: S3Path, name: str) -> bool | None:
    """Whether the store honours the guard `name`, for callers that have another way where it does not.

    None where the credentials may not find out.
    """
    try:
        return bool(getattr(known_guards(client, path), name))
    except AccessDeniedError as error:
        logger.info("what the store honours cannot be found out: %s", error)
        return None


def keeps_tokens(client: S3Client, path: S3Path) -> bool:
    """Whether an object without a token proves that another writer made it."""
    return known_guards(client, path).token


def probe(client: S3Client, path: S3Path) -> Guards:
    """Try every condition with two small temporary objects beside `path`, and remove them.

    Raises AccessDeniedError when the credentials may not write, read or delete there.
    """
    folder = path.key.rpartition("/")[0]
    name = f"{folder}/" if folder else ""
    key = path.child(f"{name}.gs3-probe-{secrets.token_hex(8)}")
    try:
        return _Trial(client, key).run()
    except AccessDeniedError as error:
        raise AccessDeniedError(
            f"the probe of the store's guards was refused ({error.message}): it has to put, get and delete "
            f"{key.key} and its neighbour. Allow that, or pass probe='never' where the store is known to "
            "honour conditions",
            bucket=error.bucket,
            key=error.key,
            operation=error.operation,
            status=error.status,
            code=error.code,
        ) from error


class _Trial:
    """One probe: the keys it uses, and the versions that it made of them."""

    def __init__(self, client: S3Client, key: S3Path) -> None:
        self._client = client
        self._key = key
        self._other = key.child(key.key + "-copy")
        self._made: list[S3Path] = []

    def run(self) -> Guards:
        """Try all; what was made is removed whatever happens."""
        try:
            return self._all()
        finally:
            self._clean()

    def _all(self) -> Guards:
        self._may_delete()
        first = self._put(Condition())
        swap = self._refused(lambda: self._put(_SWAP)) and self._works(
            lambda: self._put(Condition(if_match=first.etag))
        )
        create = self._refused(lambda: self._put(_CREATE))
        now = self._client.head_object(self._key).etag
        pinned = self._refused(lambda: self._get(_WRONG))
        copies = self._works(lambda: self._copy(now, Condition()))
        return Guards(
            create=create,
            swap=swap,
            create_on_complete=self._refused(lambda: self._complete(_CREATE)),
            swap_on_complete=self._refused(lambda: self._complete(_SWAP)),
            pinned_get=pinned,
            copy_source=copies and self._refused(lambda: self._copy(_WRONG, Condition())),
            copy_source_parts=copies and self._refused(self._copy_part),
            copy_create=copies and self._refused(lambda: self._copy(now, _CREATE)),
            copy_swap=copies and self._refused(lambda: self._copy(now, _SWAP)),
            token=self._token_was_kept(),
            # Last, each of an object that was just written: a store that ignores the condition removes it.
            delete_many=self._refused(self._delete_many),
            delete=self._refused(self._delete_new),
        )

    def _may_delete(self) -> None:
        """Ask before anything is written that could not be removed again; there is no such key yet."""
        try:
            self._delete(_WRONG)
        except AccessDeniedError:
            raise
        except GuardedS3Error as error:
            logger.debug("deleting a key that is not there: %s", error)

    def _delete(self, etag: str) -> None:
        marker = self._client.delete_object(self._key, if_match=etag)
        if marker:  # a versioned bucket whose store ignored the condition
            self._made.append(S3Path(self._key.bucket, self._key.key, marker))

    def _delete_new(self) -> None:
        self._put(Condition())
        self._delete(_WRONG)

    def _delete_many(self) -> None:
        """DeleteObjects of a new object under an ETag that it does not have."""
        written = self._put(Condition())
        error = self._client.delete_objects(self._key.bucket, {self._key.key: _WRONG}).get(self._key.key)
        if error is None:
            if written.version_id:  # DeleteObjects tells only what failed, and not the marker that it made
                for page in self._client.list_versions(self._key.bucket, self._key.key):
                    self._made += [S3Path(self._key.bucket, row.key, row.version_id) for row in page.versions]
            raise GuardedS3Error("an ETag was ignored by DeleteObjects")
        raise error

    def _refused(self, call: Callable[[], object]) -> bool:
        """Whether the store refused what it had to refuse, for the right reason."""
        try:
            call()
        except PreconditionFailedError:
            return True
        except AccessDeniedError:
            raise
        except GuardedS3Error as error:
            logger.info("the store failed a conditional request: %s", error)
        return False

    def _works(self, call: Callable[[], object]) -> bool:
        try:
            call()
        except AccessDeniedError:
            raise
        except GuardedS3Error as error:
            logger.info("the store failed a request of the probe: %s", error)
            return False
        return True

    def _put(self, condition: Condition, headers: dict[str, str] | None = None) -> Written:
        return self._made_by(
            self._key, lambda: self._client.put_object(self._key, b"probe", condition, headers or {})
        )

    def _get(self, etag: str) -> None:
        """A pinned read; the client compares ETags itself, so the status decides here."""

        def drain(body: Body, cursor: Cursor) -> None:
            cursor.position += body.readinto(memoryview(bytearray(8)))

        try:
            self._client.read_range(self._key, Cursor(0, 1), ObjectInfo(etag, 5), drain)
        except PreconditionFailedError as error:
            if error.status != 412:
                raise GuardedS3Error("If-Match was ignored by a GET") from error
            raise

    def _copy(self, etag: str, condition: Condition) -> Written:
        written = self._made_by(
            self._other, lambda: self._client.copy_object(self._key, self._other, etag, condition)
        )
        if not written.etag:
            raise GuardedS3Error("CopyObject was answered without an ETag")
        return written

    def _complete(self, condition: Condition) -> Written:
        def publish(upload_id: str) -> Written:
            part = self._client.upload_part(self._key, upload_id, 1, b"probe")
            return self._client.complete_multipart_upload(self._key, upload_id, [part], condition)

        return self._note(self._key, self._in_upload(publish))

    def _copy_part(self) -> None:
        """UploadPartCopy of a version that is not there; the upload is never completed."""
        whole = ByteRange(0, len(b"probe"))

        def copy(upload_id: str) -> None:
            self._client.upload_part_copy(self._key, upload_id, 1, self._key, whole, _WRONG)
            raise GuardedS3Error("the pin was ignored by UploadPartCopy")

        self._in_upload(copy)

    def _in_upload(self, call: Callable[[str], T]) -> T:
        try:
            upload_id = self._client.create_multipart_upload(self._key, {})
        except GuardedS3Error as error:
            if error.maybe_applied:  # the key is ours alone, so are the uploads to it
                with suppress(GuardedS3Error):
                    for item in self._client.list_multipart_uploads(self._key.bucket, self._key.key):
                        self._client.abort_multipart_upload(self._key.child(item.key), item.upload_id)
            raise
        try:
            return call(upload_id)
        except GuardedS3Error:
            with suppress(ObjectNotFoundError):
                self._client.abort_multipart_upload(self._key, upload_id)
            raise

    def _token_was_kept(self) -> bool:
        token = secrets.token_hex(8)
        self._put(Condition(), {f"x-amz-meta-{WRITE_TOKEN}": token})
        return self._client.head_object(self._key).write_token == token

    def _made_by(self, path: S3Path, call: Callable[[], Written]) -> Written:
        try:
            return self._note(path, call())
        except GuardedS3Error as error:
            if error.maybe_applied:
                self._made.append(path)
            raise

    def _note(self, path: S3Path, written: Written) -> Written:
        self._made.append(S3Path(path.bucket, path.key, written.version_id))
        return written

    def _clean(self) -> None:
        for path in dict.fromkeys(self._made):
            try:
                self._client.delete_object(path)
            except ObjectNotFoundError:
                continue
            except GuardedS3Error as error:
                logger.warning("could not delete %s, which a probe left behind: %s", path, error)
