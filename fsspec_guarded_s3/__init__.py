"""An fsspec filesystem for S3 with conditional create, pinned reads and guarded writers."""

from __future__ import annotations

import fsspec

from ._bodies import FileChangedError
from ._errors import (
    AccessDeniedError,
    BucketExistsError,
    ChecksumMismatchError,
    ConflictError,
    ConnectError,
    CredentialsError,
    DeleteObjectsError,
    DirectoryNotEmptyError,
    GuardedS3Error,
    IncompleteBodyError,
    InvalidRequestError,
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    PreconditionFailedError,
    PreconditionUnsupportedError,
    ProtocolError,
    RangeNotSatisfiableError,
    ReadTimeoutError,
    ResponseError,
    SendTimeoutError,
    ServerError,
    ThrottledError,
    TooLargeError,
    TransactionError,
    TransportError,
    WriteOutcomeUnknownError,
)
from ._filesystem import GuardedS3FileSystem

__all__ = [
    "AccessDeniedError",
    "BucketExistsError",
    "ChecksumMismatchError",
    "ConflictError",
    "ConnectError",
    "CredentialsError",
    "DeleteObjectsError",
    "DirectoryNotEmptyError",
    "FileChangedError",
    "GuardedS3Error",
    "GuardedS3FileSystem",
    "IncompleteBodyError",
    "InvalidRequestError",
    "ObjectChangedError",
    "ObjectExistsError",
    "ObjectNotFoundError",
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
    "TransactionError",
    "TransportError",
    "WriteOutcomeUnknownError",
    "register",
]


def register(protocol: str) -> None:
    """Take over another protocol name for this process, e.g. `register("s3")`.

    URLs of that protocol then open with `GuardedS3FileSystem`.
    """
    if not (protocol.isascii() and protocol.replace("-", "").isalnum()):
        raise ValueError(f"protocol must be ASCII letters, digits and hyphens, not {protocol!r}")
    known = GuardedS3FileSystem.protocol
    protocols = (known,) if isinstance(known, str) else known
    if protocol not in protocols:
        GuardedS3FileSystem.protocol = (*protocols, protocol)
    fsspec.register_implementation(protocol, GuardedS3FileSystem, clobber=True)
