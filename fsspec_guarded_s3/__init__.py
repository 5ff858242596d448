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
    TouchUnsupportedError,
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
    "TouchUnsupportedError",
    "TransactionError",
    "TransportError",
    "WriteOutcomeUnknownError",
    "__version__",
    "register",
]

__version__ = "0.1.0"
"""Of this package; the distribution has the same."""


_S3FS = ("s3", "s3a")  # its protocols


def register(protocol: str, *, s3fs: bool = False) -> None:
    """Take over another protocol name for this process, e.g. `register("s3")`.

    URLs of that protocol then open with `GuardedS3FileSystem`. "s3" and "s3a" go together, as in s3fs.

    With `s3fs` they open with `s3fs_alias.S3FileSystem`, a subclass, and `import s3fs` gives a module that
    has it, for code that says `from s3fs import S3FileSystem`. RuntimeError, and nothing is registered, when
    the real s3fs is imported already.
    """
    if not (protocol.isascii() and protocol.replace("-", "").isalnum()):
        raise ValueError(f"protocol must be ASCII letters, digits and hyphens, not {protocol!r}")
    kind = GuardedS3FileSystem
    if s3fs:
        if protocol not in _S3FS:
            raise ValueError(f"s3fs=True is for the protocols s3 and s3a, which are s3fs's, not {protocol!r}")
        from . import s3fs_alias

        s3fs_alias.install()
        kind = s3fs_alias.S3FileSystem
    known = GuardedS3FileSystem.protocol
    protocols = (known,) if isinstance(known, str) else known
    taken = _S3FS if protocol in _S3FS else (protocol,)
    GuardedS3FileSystem.protocol = (*protocols, *(name for name in taken if name not in protocols))
    for name in taken:
        fsspec.register_implementation(name, kind, clobber=True)
