"""Writing objects as a whole: `pipe_file`, `pipe`, and what is built on a condition: `update`, `touch`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .._read.download import read_range
from .._s3.client import S3Client
from .._s3.early import Asked
from .._values.annotations import Buffer
from .._values.attributes import NONE, Attributes, check_names
from .._values.conditions import UNCONDITIONAL, Condition
from .._values.keywords import Verb, check_bytes, check_integer, check_type
from .._values.parameters import Path
from .._values.paths import S3Path
from .._write.sources import ask_bytes, upload_bytes
from ..errors import (
    ObjectChangedError,
    ObjectExistsError,
    PreconditionFailedError,
    TouchUnsupportedError,
    WriteOutcomeUnknownError,
)
from .conditions import write_condition
from .gathering import gather
from .object_headers import ObjectHeaders
from .path_rules import PathRules, refuse_version
from .placement import meeting, refuse
from .rows import Answer
from .selection import is_one
from .transaction import joined


class ContentWriter:
    """Writes the bytes of objects; `pipe_file` is the verb for each, a subclass's where it has one."""

    def __init__(self, client: S3Client, paths: PathRules, headers: ObjectHeaders) -> None:
        self._client = client
        self._paths = paths
        self._headers = headers

    def pipe_file(
        self,
        opening: Verb | None,
        /,
        path: Path,
        value: Any = None,
        mode: str = "overwrite",
        if_match: str | None = None,
        *,
        data: Any = None,
        chunksize: int | None = None,
        max_concurrency: int | None = None,
        **kwargs: Any,
    ) -> Answer:
        """Write bytes under a condition; returns what S3 answered. PutObject, or a multipart upload.

        `data` is s3fs's name of `value`.

        In a transaction by the file that `opening` opens, which is published with the others: nothing is
        answered yet.
        """
        value = _one_of(value, data)
        client = self._client.in_pieces(chunksize, max_concurrency, writing=True)
        condition = write_condition(mode, if_match)
        given = Attributes.parse(kwargs, self.pipe_file)
        if opening is not None:
            with opening(path, "xb" if condition.create else "wb", if_match=if_match, **kwargs) as file:
                file.write(value)
            return {}
        location = self._paths.target(path)
        written = upload_bytes(client, self._headers.new_upload(location, condition, given), value)
        return {"ETag": written.etag, "VersionId": written.version_id}

    def ask_file(
        self,
        is_in_transaction: bool,
        /,
        path: Path,
        value: Any,
        mode: str = "overwrite",
        if_match: str | None = None,
        **others: Any,
    ) -> Asked[Answer] | None:
        """As `pipe_file`: its request is sent now.

        None where somebody listens, and where it is not one small request.
        """
        is_plain = mode == "overwrite" and if_match is None and not others and self._headers.are_plain
        if not is_plain or is_in_transaction:
            return None
        check_bytes("value", value)
        location = self._paths.target(path)
        if not self._client.store.is_at_hand(location.bucket):
            return None
        upload = self._headers.new_upload(location, UNCONDITIONAL, NONE)
        asked = ask_bytes(self._client, upload, value)
        if asked is None:
            return None

        def take() -> Answer:
            written = asked.take()
            return {"ETag": written.etag, "VersionId": written.version_id}

        return Asked(asked.early, take)

    def pipe(
        self,
        pipe_file: Verb,
        /,
        path: Any,
        value: Any = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Write bytes to one path, or each value of a dict to its path; in parallel.

        ValueError, before anything is written, when two of the names are those of one object.
        """
        client = self._client.in_batches(batch_size)
        check_names(kwargs, self.pipe, pipe_file)
        if is_one(path):
            pipe_file(self._paths.without_protocol(path), value, **kwargs)
        elif isinstance(path, dict):
            refuse(meeting([self._paths.name(name) for name in path]))
            write = joined(pipe_file)
            calls = [partial(write, name, data, **kwargs) for name, data in path.items()]
            gather(client, calls)
        else:
            raise ValueError(f"path must be a path, or a dict of paths and bytes, not {type(path).__name__}")

    def put_if_absent(self, pipe_file: Verb, /, path: Path, data: Buffer, **kwargs: Any) -> bool:
        """Create an object. True when it was created, False when the key was taken."""
        try:
            pipe_file(path, data, mode="create", **kwargs)
        except ObjectExistsError as error:
            _refuse_doubt(error, "the answer to the create was lost and another object is there now")
            return False
        return True

    def touch(self, pipe_file: Verb, /, path: Path, truncate: bool = True, **kwargs: Any) -> Answer:
        """Write an empty object; with truncate=False only when there is none, else TouchUnsupportedError."""
        given = Attributes.parse(kwargs, self.touch)
        check_type("truncate", truncate, bool)
        if self._paths.says_directory(path):
            return self._mark(path, truncate, given)
        try:
            found: Answer = pipe_file(path, b"", mode="overwrite" if truncate else "create", **kwargs)
        except ObjectExistsError as error:
            _refuse_doubt(error, "the answer to the create was lost and another object is there now")
            raise TouchUnsupportedError(
                "S3 cannot change the time of an object: truncate=True replaces it",
                bucket=error.bucket,
                key=error.key,
            ) from None
        return found

    def _mark(self, path: Path, truncate: bool, given: Attributes) -> Answer:
        """Write the marker of a directory, which shows that it is there although nothing is in it."""
        location = self._paths.location(path)[0]
        if not location.key:
            raise IsADirectoryError(f"{path!r} names a bucket, which mkdir creates")
        refuse_version(location)
        marker = S3Path(location.bucket, location.prefix)
        condition = Condition(create=not truncate)
        try:
            written = upload_bytes(self._client, self._headers.new_upload(marker, condition, given), b"")
        except ObjectExistsError as error:
            _refuse_doubt(error, "the answer to the create was lost and another marker is there now")
            return {}
        return {"ETag": written.etag, "VersionId": written.version_id}

    def update(self, path: Path, fn: Callable[[bytes], bytes], max_attempts: int = 10) -> str:
        """Replace the content by `fn(content)` under If-Match, anew on a conflict; returns the new ETag."""
        check_integer("max_attempts", max_attempts, 1)
        location = self._paths.target(path)
        failed: dict[str, BaseException] = {}

        def once() -> str:
            info = self._client.reads.head_object(location)
            old = read_range(self._client, location, info, 0, info.size)
            try:
                new = fn(old)
            except BaseException as error:
                failed["fn"] = error
                raise
            if not isinstance(new, (bytes, bytearray, memoryview)):
                raise TypeError(f"fn must return bytes, not {type(new).__name__}; nothing was written")
            upload = self._headers.next_upload(location, info)
            try:
                return upload_bytes(self._client, upload, new).etag
            except ObjectChangedError as error:
                _refuse_doubt(error, "the answer to the swap was lost and another version is there now")
                raise

        def conflict(error: BaseException) -> bool:
            return isinstance(error, ObjectChangedError) and error is not failed.get("fn")

        return self._client.store.retry.repeat_while(conflict, once, max_attempts)


def _one_of(value: Any, data: Any) -> Any:
    """The bytes to write, which `pipe_file` was given by one of its two names."""
    if data is not None:
        if value is not None:
            raise TypeError("pipe_file takes the bytes once: as value, or as data, as s3fs calls it")
        value = data
    check_bytes("value", value)
    return value


def _refuse_doubt(error: PreconditionFailedError, said: str) -> None:
    """Raise WriteOutcomeUnknownError where our write may have been applied before, and built upon."""
    if error.maybe_applied:
        raise WriteOutcomeUnknownError(
            f"{said}, which may have come after it",
            bucket=error.bucket,
            key=error.key,
            operation=error.operation,
            status=error.status,
            maybe_applied=True,
        ) from error
