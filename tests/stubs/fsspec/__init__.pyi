from typing import Any

from fsspec.spec import AbstractFileSystem as AbstractFileSystem

def __getattr__(name: str) -> Any: ...
