import io
from typing import Any, ClassVar

from fsspec.dircache import DirCache
from fsspec.transaction import Transaction

class _Cached(type): ...

class AbstractFileSystem(metaclass=_Cached):
    protocol: str | tuple[str, ...]
    root_marker: str
    transaction_type: type[Transaction]
    _cached: bool
    _intrans: bool
    _transaction: Transaction | None
    blocksize: int
    dircache: DirCache
    storage_options: dict[str, Any]
    open: Any  # overloads may override it

    def __init__(self, *args: Any, **storage_options: Any) -> None: ...
    @property
    def transaction(self) -> Transaction: ...
    def start_transaction(self) -> Transaction: ...
    def end_transaction(self) -> None: ...
    @classmethod
    def _strip_protocol(cls, path: Any) -> Any: ...
    def expand_path(self, path: Any, recursive: bool = ..., maxdepth: int | None = ...) -> list[str]: ...
    def invalidate_cache(self, path: Any = ...) -> None: ...
    def to_dict(self, *, include_password: bool = ...) -> dict[str, Any]: ...
    def to_json(self, *, include_password: bool = ...) -> str: ...

class AbstractBufferedFile(io.IOBase):
    DEFAULT_BLOCK_SIZE: ClassVar[int]
    fs: Any
    path: str
    mode: str
    blocksize: int
    loc: int
    size: int
    _details: dict[str, Any] | None

    def __init__(
        self,
        fs: Any,
        path: str,
        mode: str = ...,
        block_size: int | str | None = ...,
        autocommit: bool = ...,
        cache_type: str = ...,
        cache_options: dict[str, Any] | None = ...,
        size: int | None = ...,
        **kwargs: Any,
    ) -> None: ...
    def read(self, length: int | None = ...) -> bytes: ...
    def readuntil(self, char: bytes = ..., blocks: int | None = ...) -> bytes: ...
    def seek(self, loc: int, whence: int = ...) -> int: ...
    def flush(self, force: bool = ...) -> None: ...
    def close(self) -> None: ...
