"""An fsspec filesystem for S3 with conditional create, pinned reads and guarded writers.

Importing it registers the protocols `gs3` and `guarded-s3`, so libraries that use fsspec open `gs3://bucket/key`:

    import fsspec
    fs = fsspec.filesystem("gs3")  # AWS, with the credentials that AWS's own tools would use
    first = fs.put_if_absent("my-bucket/lock", b"mine")  # True: this call created the object

`help(GuardedS3FileSystem)` lists the options and the methods. Errors are subclasses of `GuardedS3Error`
and of the builtin that you would catch, such as FileNotFoundError. `register("s3")` takes over `s3://` URLs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _program  # noqa: F401  before all that takes time to load

# isort: split
import fsspec

# First, because they load botocore and urllib3: at the end of a long chain of imports CPython 3.11 maps and
# unmaps a piece of its stack for every call that crosses its border, thousands of times, a fifth of all.
from ._auth import session as _session  # noqa: F401
from ._http import transport as _transport  # noqa: F401
from ._s3.events import Event, Listening
from ._s3.events import listen as _listen
from ._s3.trace import Trace, TraceRow
from .errors import (
    AccessDeniedError,
    BucketExistsError,
    ChecksumMismatchError,
    CommitConflictError,
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
    OperationNotImplementedError,
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

if TYPE_CHECKING:
    from ._s3.watched import AttemptEvent, OperationEvent

__all__ = [
    "AccessDeniedError",
    "AttemptEvent",
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
    "Event",
    "FileChangedError",
    "GuardedS3Error",
    "GuardedS3FileSystem",
    "IncompleteBodyError",
    "InvalidRequestError",
    "Listening",
    "ObjectChangedError",
    "ObjectExistsError",
    "ObjectNotFoundError",
    "OperationEvent",
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
    "Trace",
    "TraceRow",
    "TransactionError",
    "TransportError",
    "WriteOutcomeUnknownError",
    "__version__",
    "events",
    "register",
    "trace",
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


def events(callback: Callable[[Event], None], *, hash_keys: bool = False) -> Listening:
    """Have `callback` called with what becomes of each request of all filesystems of this process.

    Otherwise like `GuardedS3FileSystem.events`. It is for programs that leave it to a library to make the
    filesystem: pandas, dask, zarr. TypeError for a `callback` that cannot be called.
    """
    return _listen(callback, None, hash_keys=hash_keys)


def trace() -> Trace:
    """Count the requests of all filesystems of this process: `with fsspec_guarded_s3.trace() as trace: ...`.

    Otherwise like `GuardedS3FileSystem.trace`.
    """
    return Trace(None)


def __getattr__(name: str) -> Any:
    """The events: few programs name them, and to make their classes takes milliseconds."""
    if name not in ("AttemptEvent", "OperationEvent"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._s3 import watched

    kind = getattr(watched, name)
    kind.__module__ = __name__
    return kind


# What help, tracebacks and pickles call them: where they can be imported from.
for _kind in (Event, Listening, Trace, TraceRow):
    _kind.__module__ = __name__
