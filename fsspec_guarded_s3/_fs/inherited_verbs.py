"""fsspec's class with the types of what the filesystem inherits from it: its other names for our verbs.

fsspec says nothing of types. When the program runs, this is fsspec's class and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, overload

from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK

from .._values.annotations import Buffer, Self, Unpack
from .._values.parameters import (
    BucketAcl,
    CopyEach,
    GetEach,
    OpenReading,
    OpenWriting,
    Path,
    Paths,
    PipeEach,
    PutEach,
    Reading,
)
from .rows import Info, ListedInfo
from .transaction import GuardedTransaction

if TYPE_CHECKING:
    from fsspec import FSMap

    class InheritedVerbs(AbstractFileSystem):
        """What the filesystem has of fsspec's."""

        storage_options: dict[str, Any]
        dircache: Any
        blocksize: int
        transaction: GuardedTransaction

        @classmethod
        def current(cls) -> Self: ...
        @classmethod
        def clear_instance_cache(cls) -> None: ...
        @staticmethod
        def from_json(blob: str) -> AbstractFileSystem: ...
        @staticmethod
        def from_dict(dct: dict[str, Any]) -> AbstractFileSystem: ...
        def unstrip_protocol(self, name: str) -> str: ...
        def get_mapper(
            self,
            root: Path = "",
            check: bool = False,
            create: bool = False,
            missing_exceptions: tuple[type[BaseException], ...] | None = None,
        ) -> FSMap: ...
        def read_bytes(
            self, path: Path, start: int | None = None, end: int | None = None, **kwargs: Unpack[Reading]
        ) -> bytes: ...
        def write_bytes(self, path: Path, value: Buffer, **kwargs: Unpack[PipeEach]) -> None: ...
        def read_text(
            self,
            path: Path,
            encoding: str | None = None,
            errors: str | None = None,
            newline: str | None = None,
            **kwargs: Unpack[OpenReading],
        ) -> str: ...
        def write_text(
            self,
            path: Path,
            value: str,
            encoding: str | None = None,
            errors: str | None = None,
            newline: str | None = None,
            **kwargs: Unpack[OpenWriting],
        ) -> int: ...
        def read_block(
            self, fn: Path, offset: int, length: int | None, delimiter: bytes | None = None
        ) -> bytes: ...
        def size(self, path: Path) -> int | None: ...
        def stat(self, path: Path, version_id: str | None = None, refresh: bool = False) -> Info: ...
        def lexists(self, path: Path) -> bool: ...
        @overload
        def listdir(self, path: Path, detail: Literal[True] = True) -> list[ListedInfo]: ...
        @overload
        def listdir(self, path: Path, detail: Literal[False]) -> list[str]: ...
        def listdir(self, path: Path, detail: bool = True) -> list[Any]: ...
        @overload
        def disk_usage(self, path: Path, total: Literal[True] = True, maxdepth: int | None = None) -> int: ...
        @overload
        def disk_usage(
            self, path: Path, total: Literal[False], maxdepth: int | None = None
        ) -> dict[str, int]: ...
        def disk_usage(self, path: Path, total: bool = True, maxdepth: int | None = None) -> Any: ...
        def makedir(
            self,
            path: Path,
            create_parents: bool = True,
            *,
            acl: BucketAcl | None = None,
            region_name: str | None = None,
        ) -> None: ...
        def mkdirs(self, path: Path, exist_ok: bool = False) -> None: ...
        def cp(
            self,
            path1: Paths,
            path2: Paths,
            *,
            recursive: bool = False,
            maxdepth: int | None = None,
            on_error: Literal["raise", "ignore"] | None = None,
            **kwargs: Unpack[CopyEach],
        ) -> None: ...
        def move(
            self,
            path1: Paths,
            path2: Paths,
            *,
            recursive: bool = False,
            maxdepth: int | None = None,
            **kwargs: Unpack[CopyEach],
        ) -> None: ...
        def rename(
            self,
            path1: Paths,
            path2: Paths,
            *,
            recursive: bool = False,
            maxdepth: int | None = None,
            **kwargs: Unpack[CopyEach],
        ) -> None: ...
        def delete(
            self, path: Path | Iterable[Path], recursive: bool = False, maxdepth: int | None = None
        ) -> None: ...
        def download(
            self,
            rpath: Paths,
            lpath: Paths,
            recursive: bool = False,
            *,
            callback: Any = DEFAULT_CALLBACK,
            maxdepth: int | None = None,
            **kwargs: Unpack[GetEach],
        ) -> None: ...
        def upload(
            self,
            lpath: Paths,
            rpath: Paths,
            recursive: bool = False,
            *,
            callback: Any = DEFAULT_CALLBACK,
            maxdepth: int | None = None,
            **kwargs: Unpack[PutEach],
        ) -> None: ...
        def tree(self, path: str = "/", recursion_limit: int = 2, max_display: int = 25) -> str: ...

else:
    InheritedVerbs = AbstractFileSystem
