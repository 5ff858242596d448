"""The exception tree; which of them an answer of S3 becomes is in `_s3.error_codes`.

Invariants:

- every exception is a `GuardedS3Error` and also the builtin that a caller would catch; `FileChangedError`,
  which is about a file here and no request, is a ValueError alone;
- every `GuardedS3Error` has an `errno`, survives pickling, and carries the S3 facts as attributes;
- nothing secret is ever in a message: no credential, no signature, no query string.
"""

from __future__ import annotations

import errno as _errno
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

__all__ = [
    "AccessDeniedError",
    "BucketExistsError",
    "ChecksumMismatchError",
    "CommitConflictError",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "CredentialsError",
    "DeleteObjectsError",
    "DirectoryNotEmptyError",
    "EncryptionUnsupportedError",
    "FileChangedError",
    "GuardedS3Error",
    "IncompleteBodyError",
    "InvalidRequestError",
    "ObjectChangedError",
    "ObjectExistsError",
    "ObjectNotFoundError",
    "OperationNotImplementedError",
    "OperationUnsupportedError",
    "PreconditionFailedError",
    "PreconditionUnsupportedError",
    "ProtocolError",
    "RangeNotSatisfiableError",
    "ReadTimeoutError",
    "ResponseError",
    "SendTimeoutError",
    "ServerError",
    "ThrottledError",
    "TooLargeError",
    "TouchUnsupportedError",
    "TransactionError",
    "TransportError",
    "WriteOutcomeUnknownError",
]


class GuardedS3Error(OSError):
    """Base of all errors that this package raises for a request that failed.

    Attributes
    ----------
    bucket, key, operation, code, request_id : str
        What S3 said, or "" if it said nothing. `operation` is the name of the S3 operation.
    status : int or None
        HTTP status, None when there was no response.
    maybe_applied : bool
        True if an attempt of this request may have taken effect although it failed. Always False for a read.
    """

    default_errno: ClassVar[int] = _errno.EIO
    given_up = False  # all attempts were made, or none would fare better

    def __init__(
        self,
        message: str,
        *,
        bucket: str = "",
        key: str = "",
        operation: str = "",
        status: int | None = None,
        code: str = "",
        request_id: str = "",
        maybe_applied: bool = False,
        **extra: Any,
    ) -> None:
        super().__init__(self.default_errno, message)
        self.message = message
        self.bucket = bucket
        self.key = key
        self.operation = operation
        self.status = status
        self.code = code
        self.request_id = request_id
        self.maybe_applied = maybe_applied
        for name, value in extra.items():
            setattr(self, name, value)

    @property
    def filename(self) -> Any:
        """The bucket, and the key if there is one: "bucket/key". None where neither is known.

        As of every OSError, it can be replaced: `error.filename = path`.
        """
        if "_filename" in self.__dict__:
            return self.__dict__["_filename"]
        return (f"{self.bucket}/{self.key}" if self.key else self.bucket) or None

    @filename.setter
    def filename(self, value: Any) -> None:
        self._filename = value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __str__(self) -> str:
        facts = [
            f"{self.operation} {self.filename or ''}".strip(),
            f"HTTP {self.status}" if self.status else "",
            self.code,
            f"request id {self.request_id}" if self.request_id else "",
        ]
        said = ", ".join(fact for fact in facts if fact)
        return f"{self.message} ({said})" if said else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, dict(self.__dict__), self.errno)


def _rebuild(
    cls: type[GuardedS3Error], message: str, state: dict[str, Any], number: int | None
) -> GuardedS3Error:
    error = cls(message)
    error.errno = number
    error.__dict__.update(state)
    return error


# --- nothing was asked ----------------------------------------------------------------------------


class ConfigurationError(GuardedS3Error, ValueError):
    """An option, an environment variable, or a file that one of them names cannot be used. Nothing was sent.

    Neither `exists` nor `walk` nor a mapper takes it for an object that is not there.
    """

    default_errno: ClassVar[int] = _errno.EINVAL


# --- no usable response ---------------------------------------------------------------------------


class TransportError(GuardedS3Error):
    """The request or its answer was lost. `request_sent` says whether S3 may have seen the request."""

    request_sent: bool = True


class ConnectError(TransportError, ConnectionError):
    """There was no connection: refused, unknown name, TLS failure or time-out. Nothing was sent.

    `errno` is EMFILE or ENFILE if no file descriptor was left.
    """

    default_errno: ClassVar[int] = _errno.ECONNREFUSED
    request_sent = False


class ReadTimeoutError(TransportError, TimeoutError):
    """Nothing arrived for `read_timeout` seconds, or bytes came slower than `min_rate`, or too late."""

    default_errno: ClassVar[int] = _errno.ETIMEDOUT


class SendTimeoutError(TransportError, TimeoutError):
    """The store accepted no byte of the request for `send_timeout` seconds."""

    default_errno: ClassVar[int] = _errno.ETIMEDOUT


class IncompleteBodyError(TransportError, ConnectionError):
    """The connection ended before the whole answer had arrived."""

    default_errno: ClassVar[int] = _errno.ECONNRESET


class ProtocolError(TransportError):
    """The answer is not HTTP, or is not an answer to this request; for example a page of a portal."""

    default_errno: ClassVar[int] = _errno.EPROTO


class ChecksumMismatchError(TransportError):
    """The bytes that arrived and those that are stored have different checksums."""

    default_errno: ClassVar[int] = _errno.EBADMSG


# --- S3 said no -----------------------------------------------------------------------------------


class ResponseError(GuardedS3Error):
    """S3 answered with an error. `region` and `server_date` hold what the answer told, or "".

    `permission` is the IAM action that was missing, such as "s3:PutObject", and `argument` the header or
    parameter that was refused, where S3 named it.
    """

    permission: str = ""
    argument: str = ""
    region: str = ""
    server_date: str = ""
    retry_after: float = 0.0


class InvalidRequestError(ResponseError, ValueError):
    """S3 refused the request as malformed, or as not allowed for this bucket or object."""

    default_errno: ClassVar[int] = _errno.EINVAL


class ObjectNotFoundError(ResponseError, FileNotFoundError):
    """There is no such key, version, upload or bucket."""

    default_errno: ClassVar[int] = _errno.ENOENT


class PreconditionFailedError(ResponseError):
    """A condition of the request did not hold (412)."""

    default_errno: ClassVar[int] = _errno.ESTALE


class ObjectExistsError(PreconditionFailedError, FileExistsError):
    """A conditional create found that there is an object of this name."""

    default_errno: ClassVar[int] = _errno.EEXIST


class ObjectChangedError(PreconditionFailedError):
    """The object is not the version that the reader is pinned to, or that `if_match` named."""

    default_errno: ClassVar[int] = _errno.ESTALE


class CommitConflictError(PreconditionFailedError):
    """Another writer was faster: entry `version` of a log, or version `version` of a table, is theirs.

    Nothing of yours was appended or published.
    """

    version: int = 0


class RangeNotSatisfiableError(ResponseError, ValueError):
    """The range is outside of the object (416), or a `seek` leads before its beginning."""

    default_errno: ClassVar[int] = _errno.EINVAL


class AccessDeniedError(ResponseError, PermissionError):
    """The credentials are missing, wrong or expired, or are not allowed to do this."""

    default_errno: ClassVar[int] = _errno.EACCES


class CredentialsError(AccessDeniedError):
    """No credentials were found, or they could not be refreshed. Nothing was sent."""


# Whoever goes on after a failure stops at these: they say nothing about one object, and the next fails too.
HOPELESS = (ConfigurationError, CredentialsError)


class ConflictError(ResponseError):
    """Another operation on the same key or bucket is under way (409 ConditionalRequestConflict,
    OperationAborted): proves nothing about either, and passes. Any other 409 is an InvalidRequestError.
    """

    default_errno: ClassVar[int] = _errno.EBUSY


class BucketExistsError(ResponseError, FileExistsError):
    """There is a bucket of this name, yours or somebody else's."""

    default_errno: ClassVar[int] = _errno.EEXIST


class DirectoryNotEmptyError(ResponseError, FileExistsError):
    """The bucket still has objects or versions, or the directory has a key beside its marker.

    It is a FileExistsError with `errno` ENOTEMPTY, as POSIX allows for `rmdir`.
    """

    default_errno: ClassVar[int] = _errno.ENOTEMPTY


class TooLargeError(ResponseError, ValueError):
    """The object, part or request is larger than S3 allows."""

    default_errno: ClassVar[int] = _errno.EFBIG


class ThrottledError(ResponseError):
    """S3 asks to slow down (503 SlowDown, 429). The request may have been applied or not.

    `request_sent` is False if requests had to wait because S3 had refused some, and this one waited until
    `request_deadline`.
    """

    default_errno: ClassVar[int] = _errno.EAGAIN
    request_sent: bool = True


class ServerError(ResponseError):
    """S3 failed (status 500 or more). The request may have been applied or not."""


# --- what only this package can say ---------------------------------------------------------------


class WriteOutcomeUnknownError(GuardedS3Error):
    """The answer to a write was lost, and nothing proves whether the write happened."""


class PreconditionUnsupportedError(GuardedS3Error):
    """The store does not honour the condition that the call needs, or tells no ETag. Nothing was written."""

    default_errno: ClassVar[int] = _errno.ENOTSUP


class OperationUnsupportedError(GuardedS3Error, NotImplementedError):
    """The store does not know the operation, or did not do all of it.

    For example, a store that does not know PutObjectTagging takes it for a PutObject, which would replace the
    object by its tags. If `maybe_applied` is False, nothing was sent.
    """

    default_errno: ClassVar[int] = _errno.ENOTSUP


class OperationNotImplementedError(InvalidRequestError, OperationUnsupportedError):
    """The store said itself that it does not have the operation, or a header of it: NotImplemented."""

    default_errno: ClassVar[int] = _errno.ENOTSUP


class TouchUnsupportedError(OperationUnsupportedError, ValueError):
    """`touch(truncate=False)` found an object, and S3 cannot change its time. Nothing was written."""

    default_errno: ClassVar[int] = _errno.EEXIST


class EncryptionUnsupportedError(GuardedS3Error):
    """The store did not confirm that it encrypted the object with the key that you named.

    If `maybe_applied` is True, the object was written, and is not encrypted as you asked.
    """

    default_errno: ClassVar[int] = _errno.ENOTSUP


class TransactionError(GuardedS3Error):
    """A transaction failed while it published. `published` and `unpublished` list the paths of its files."""

    published: Sequence[str] = ()
    unpublished: Sequence[str] = ()


class DeleteObjectsError(GuardedS3Error):
    """Some objects could not be deleted. `errors` is a dict {path: exception}."""

    errors: Mapping[str, GuardedS3Error] = MappingProxyType({})


# --- a file here ----------------------------------------------------------------------------------


class FileChangedError(ValueError):
    """A local file was rewritten or became shorter during its upload. Nothing was published."""
