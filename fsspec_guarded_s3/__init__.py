"""An fsspec filesystem for S3 with conditional create, pinned reads and guarded writers."""

from __future__ import annotations

import fsspec

# First, because they load botocore and urllib3: at the end of a long chain of imports CPython 3.11 maps and
# unmaps a piece of its stack for every call that crosses its border, thousands of times, a fifth of all.
from ._auth import session as _session  # noqa: F401
from ._http import transport as _transport  # noqa: F401
from .errors import (
    AccessDeniedError,
    BucketExistsError,
    ChecksumMismatchError,
    ConfigurationError,
    ConflictError,
    ConnectError,
    CredentialsError,
    DeleteObjectsError,
    DirectoryNotEmptyError,
    EncryptionUnsupportedError,
    FileChangedError,
    GuardedS3Error,
    IncompleteBodyError,
    InvalidRequestError,
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    OperationUnsupportedError,
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
from .filesystem import GuardedS3FileSystem

__all__ = [
    "AccessDeniedError",
    "BucketExistsError",
    "ChecksumMismatchError",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "CredentialsError",
    "DeleteObjectsError",
    "DirectoryNotEmptyError",
    "EncryptionUnsupportedError",
    "FileChangedError",
    "GuardedS3Error",
    "GuardedS3FileSystem",
    "IncompleteBodyError",
    "InvalidRequestError",
    "ObjectChangedError",
    "ObjectExistsError",
    "ObjectNotFoundError",
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
    "TransactionError",
    "TransportError",
    "WriteOutcomeUnknownError",
    "__version__",
    "register",
]

__version__ = "0.1.0"
"""Of this package; the distribution has the same."""


_S3FS = ("s3", "s3a")  # its protocols


def register(protocol: str) -> None:
    """Take over another protocol name for this process, e.g. `register("s3")`.

    URLs of that protocol then open with `GuardedS3FileSystem`. "s3" and "s3a" go together, as in s3fs.
    """
    if not (protocol.isascii() and protocol.replace("-", "").isalnum()):
        raise ValueError(f"protocol must be ASCII letters, digits and hyphens, not {protocol!r}")
    known = GuardedS3FileSystem.protocol
    protocols = (known,) if isinstance(known, str) else known
    taken = _S3FS if protocol in _S3FS else (protocol,)
    GuardedS3FileSystem.protocol = (*protocols, *(name for name in taken if name not in protocols))
    for name in taken:
        fsspec.register_implementation(name, GuardedS3FileSystem, clobber=True)
