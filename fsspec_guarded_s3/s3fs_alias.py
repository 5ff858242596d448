"""Code that says `from s3fs import S3FileSystem` gets this package's, after `register("s3", s3fs=True)`.

`install` makes `s3fs`, `s3fs.core`, `s3fs.mapping` and `s3fs.utils` importable, with the names that other
libraries import from them. It is done only when asked for, and never once the real s3fs is imported: classes
of both would be in one program.
"""

from __future__ import annotations

import importlib
import sys
from abc import ABC
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, ClassVar

from .filesystem import GuardedS3FileSystem, GuardedWriter, PinnedReader

__all__ = ["S3File", "S3FileSystem", "S3Map", "SSEParams", "install"]

VERSION = "2026.9.0"  # of s3fs, whose names and parameters these are


class S3FileSystem(GuardedS3FileSystem):
    """`GuardedS3FileSystem` with what programs for s3fs rely on: its protocols, and `create_buckets`.

    URLs that it makes begin with "s3://". docs/s3fs.md has what differs.
    """

    protocol = ("s3", "s3a")  # libraries know s3fs by these
    _defaults: ClassVar[Mapping[str, Any]] = {"create_buckets": True}

    @classmethod
    def _protocols(cls) -> tuple[str, ...]:
        ours = GuardedS3FileSystem.protocol
        others = (ours,) if isinstance(ours, str) else ours
        return (*cls.protocol, *(name for name in others if name not in cls.protocol))


class S3File(ABC):  # noqa: B024 - it is for isinstance alone
    """What `open` of an `S3FileSystem` returns, for `isinstance`: readers and writers."""


S3File.register(PinnedReader)
S3File.register(GuardedWriter)


def S3Map(root: str, s3: GuardedS3FileSystem, check: bool = False, create: bool = False) -> Any:
    """A mapping of the objects below `root`, as `s3.get_mapper(root)`."""
    return s3.get_mapper(root, check=check, create=create)


class SSEParams:
    """The parameters of server-side encryption, of which `to_kwargs` gives those that are set."""

    def __init__(
        self,
        server_side_encryption: str | None = None,
        sse_customer_algorithm: str | None = None,
        sse_customer_key: bytes | str | None = None,
        sse_kms_key_id: str | None = None,
    ) -> None:
        self._parameters = {
            "ServerSideEncryption": server_side_encryption,
            "SSECustomerAlgorithm": sse_customer_algorithm,
            "SSECustomerKey": sse_customer_key,
            "SSEKMSKeyId": sse_kms_key_id,
        }

    def __repr__(self) -> str:
        return f"<SSEParams {', '.join(self.to_kwargs())}>"

    def to_kwargs(self) -> dict[str, Any]:
        """Those that are set, in S3's names: for `s3_additional_kwargs`, or for a verb."""
        return {name: value for name, value in self._parameters.items() if value is not None}


_FILES = {"S3FileSystem": S3FileSystem, "S3File": S3File}
_CONTENTS: dict[str, dict[str, Any]] = {
    "s3fs": {**_FILES, "S3Map": S3Map, "__version__": VERSION},
    "s3fs.core": _FILES,
    "s3fs.mapping": {"S3Map": S3Map},
    "s3fs.utils": {"SSEParams": SSEParams, "ignoring": suppress},
}


class _Alias(MetaPathFinder, Loader):
    """Finds and makes the modules of s3fs."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _CONTENTS:
            return None
        return ModuleSpec(fullname, self, origin=__name__, is_package=fullname == "s3fs")

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(_CONTENTS[module.__name__])
        module.__doc__ = __doc__
        if module.__name__ == "s3fs":
            for name in _CONTENTS:
                importlib.import_module(name)


def install() -> None:
    """Make `import s3fs` give the names of this module, for this process. Twice is harmless.

    RuntimeError when the real s3fs is imported already.
    """
    found = sys.modules.get("s3fs")
    if found is not None and not isinstance(getattr(found.__spec__, "loader", None), _Alias):
        raise RuntimeError(
            "s3fs itself is imported already, so its name cannot be taken over: "
            'call fsspec_guarded_s3.register("s3", s3fs=True) before anything imports it'
        )
    if not any(isinstance(finder, _Alias) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Alias())
