"""The peers: one class each, all with the same verbs. A verb that a peer does not offer is not there.

Nothing heavy is imported here before a peer is made, since what importing costs is measured too.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

BUCKET = "bench"
KEY, SECRET, REGION = "k", "s", "us-east-1"
BLOCK = 2**20
Sink = Callable[[Any], object]

PLAIN = "ours, no isal"
# In the order of the table's columns.
LOCAL = "local file"
PEERS = {
    LOCAL: ("peers", "LocalFiles"),
    "ours": ("peers", "Ours"),
    PLAIN: ("peers", "OursPlain"),
    "s3fs": ("peers", "S3fs"),
    "obstore.fsspec": ("peers", "ObstoreFsspec"),
    "obstore native": ("natives", "ObstoreNative"),
    "boto3": ("natives", "Boto3"),
    "pyarrow": ("peers", "Pyarrow"),
    "floor": ("floor", "Floor"),
}


def peer_class(name: str) -> Any:
    """The class of a peer by its name in the table."""
    module, attribute = PEERS[name]
    return getattr(importlib.import_module(f"benchmarks.{module}"), attribute)


class Fsspec:
    """The verbs through an fsspec filesystem, which a subclass makes."""

    protocol = ""

    def __init__(self, url: str, ca: str) -> None:
        self.options = self.storage_options(url, ca)
        self.fs = self.filesystem()

    @staticmethod
    def storage_options(url: str, ca: str) -> dict[str, Any]:
        """What the filesystem is opened with; all else is as the peer has it."""
        raise NotImplementedError

    def filesystem(self) -> Any:
        """The peer's filesystem."""
        raise NotImplementedError

    def get_ready(self) -> None:
        """Make one request, so that modules, credentials and a connection are there."""
        self.one_by_one(["small/warm-4096"])

    def path(self, key: str) -> str:
        return f"{BUCKET}/{key}"

    def url(self, key: str) -> str:
        return f"{self.protocol}://{self.path(key)}"

    def open(self, key: str, mode: str = "rb", **options: Any) -> Any:
        return self.fs.open(self.path(key), mode, **options)

    def read(self, key: str) -> Any:
        """A small file, opened and read."""
        with self.open(key) as file:
            return file.read()

    def small_ranges(self, keys: Sequence[str], starts: Sequence[int], ends: Sequence[int]) -> list[Any]:
        found: list[Any] = self.fs.cat_ranges([self.path(key) for key in keys], list(starts), list(ends))
        return found

    def read_csv(self, key: str) -> Any:
        import pandas as pd

        return pd.read_csv(self.url(key), storage_options=self.options or None)

    def arrow(self) -> Any:
        """What pyarrow takes as a filesystem."""
        return self.fs

    def for_duckdb(self) -> Any:
        """What DuckDB registers."""
        return self.fs

    @property
    def duckdb_protocol(self) -> str:
        """That of the names by which DuckDB is asked."""
        return self.protocol

    def asynchronous(self) -> Any:
        """The filesystem for a running event loop: the peer's own, or fsspec's wrapper."""
        from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

        if self.fs.async_impl:
            return type(self.fs)(asynchronous=True, skip_instance_cache=True, **self.options)
        return AsyncFileSystemWrapper(self.fs, asynchronous=True)

    def gather(self, keys: Sequence[str]) -> list[Any]:
        import asyncio

        async def all_of_them() -> list[Any]:
            fs = self.asynchronous()
            return await asyncio.gather(*(fs._cat_file(self.path(key)) for key in keys))

        return asyncio.run(all_of_them())

    def zarr_store(self, key: str, *, read_only: bool = True) -> Any:
        from zarr.storage import FsspecStore

        return FsspecStore.from_url(self.url(key), storage_options=self.options, read_only=read_only)

    def whole(self, key: str) -> Any:
        return self.fs.cat_file(f"{BUCKET}/{key}")

    def one_by_one(self, keys: Iterable[str]) -> list[Any]:
        return [self.fs.cat_file(f"{BUCKET}/{key}") for key in keys]

    def cat(self, keys: Iterable[str]) -> list[Any]:
        paths = [f"{BUCKET}/{key}" for key in keys]
        found = self.fs.cat(paths)
        return [found[path] for path in paths]

    def ranges(self, key: str, starts: Sequence[int], ends: Sequence[int]) -> list[Any]:
        found: list[Any] = self.fs.cat_ranges([f"{BUCKET}/{key}"] * len(starts), list(starts), list(ends))
        return found

    def download(self, key: str, local: str) -> None:
        self.fs.get_file(f"{BUCKET}/{key}", local)

    def stream(self, key: str, sink: Sink) -> None:
        with self.fs.open(f"{BUCKET}/{key}", "rb") as file:
            while piece := file.read(BLOCK):
                sink(piece)

    def upload(self, local: str, key: str) -> None:
        self.fs.put_file(local, f"{BUCKET}/{key}")

    def put_many(self, contents: dict[str, bytes]) -> None:
        self.fs.pipe({f"{BUCKET}/{key}": content for key, content in contents.items()})

    def find(self, prefix: str) -> Sequence[Any]:
        found: list[str] = self.fs.find(f"{BUCKET}/{prefix}")
        return found

    def read_parquet(self, key: str, columns: list[str] | None) -> Any:
        import pandas as pd

        return pd.read_parquet(self.path(key), filesystem=self.fs, columns=columns)


class LocalFiles(Fsspec):
    """The same files in a local folder: what a program costs without any network."""

    protocol = "file"

    def __init__(self, url: str, ca: str) -> None:
        self._root = url
        super().__init__(url, ca)

    @staticmethod
    def storage_options(url: str, ca: str) -> dict[str, Any]:
        return {}

    def filesystem(self) -> Any:
        from fsspec.implementations.local import LocalFileSystem

        return LocalFileSystem()

    def get_ready(self) -> None:
        """There is nothing to warm up."""

    def path(self, key: str) -> str:
        return f"{self._root}/{key}"


class Ours(Fsspec):
    """This package, every guard on."""

    protocol = "gs3"

    @staticmethod
    def storage_options(url: str, ca: str) -> dict[str, Any]:
        secure = {"ca_bundle": ca} if url.startswith("https:") else {}
        return {"key": KEY, "secret": SECRET, "endpoint_url": url, "region": REGION, **secure}

    def filesystem(self) -> Any:
        from fsspec_guarded_s3 import GuardedS3FileSystem

        return GuardedS3FileSystem(**self.options)

    def for_duckdb(self) -> Any:
        """The class of docs/tools.md, whose names tell DuckDB that its files are remote."""
        from fsspec_guarded_s3 import GuardedS3FileSystem

        class ForDuckDB(GuardedS3FileSystem):
            protocol = (self.duckdb_protocol, *GuardedS3FileSystem.protocol)

        return ForDuckDB(**self.options)

    @property
    def duckdb_protocol(self) -> str:
        return "s3"

    def own_zarr_store(self, key: str, *, read_only: bool = True) -> Any:
        """The store that the package has for zarr."""
        from fsspec_guarded_s3.integrations.zarr import GuardedS3Store

        return GuardedS3Store.from_url(self.url(key), storage_options=self.options, read_only=read_only)


class OursPlain(Ours):
    """The same without the extra `fast`: CRC32 by zlib."""

    def filesystem(self) -> Any:
        sys.modules["isal.isal_zlib"] = None  # type: ignore[assignment]
        return super().filesystem()


class S3fs(Fsspec):
    """s3fs."""

    protocol = "s3"

    @staticmethod
    def storage_options(url: str, ca: str) -> dict[str, Any]:
        client = {"region_name": REGION, "verify": ca}
        return {"key": KEY, "secret": SECRET, "endpoint_url": url, "client_kwargs": client}

    def filesystem(self) -> Any:
        import s3fs

        return s3fs.S3FileSystem(**self.options)


class ObstoreFsspec(Fsspec):
    """obstore through its fsspec layer."""

    protocol = "s3"

    @staticmethod
    def storage_options(url: str, ca: str) -> dict[str, Any]:
        return {**object_store(url), "client_options": client_options(url, ca)}

    def filesystem(self) -> Any:
        from obstore.fsspec import FsspecStore

        return FsspecStore("s3", **self.options)

    def get_ready(self) -> None:
        import fsspec
        from obstore.fsspec import register

        register("s3")
        self.fs = fsspec.filesystem("s3", **self.options)
        super().get_ready()


class Pyarrow(Fsspec):
    """pyarrow's filesystem through fsspec's wrapper."""

    protocol = "s3"

    @staticmethod
    def storage_options(url: str, ca: str) -> dict[str, Any]:
        scheme, _, host = url.partition("://")
        names = {"access_key": KEY, "secret_key": SECRET, "region": REGION, "tls_ca_file_path": ca}
        return {**names, "endpoint_override": host, "scheme": scheme}

    def filesystem(self) -> Any:
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow.fs import S3FileSystem

        return ArrowFSWrapper(S3FileSystem(**self.options))

    def arrow(self) -> Any:
        return self.fs.fs

    def read_csv(self, key: str) -> Any:
        import pandas as pd

        with self.open(key) as file:
            return pd.read_csv(file)

    def read_parquet(self, key: str, columns: list[str] | None) -> Any:
        import pandas as pd

        return pd.read_parquet(f"{BUCKET}/{key}", filesystem=self.fs.fs, columns=columns)


def object_store(url: str) -> dict[str, Any]:
    """obstore's names for where the store is and who asks."""
    who = {"access_key_id": KEY, "secret_access_key": SECRET, "region": REGION}
    return {**who, "endpoint": url, "virtual_hosted_style_request": False}


def client_options(url: str, ca: str) -> Any:
    """obstore's options of its HTTP client."""
    if url.startswith("http:"):
        return {"allow_http": True}
    with open(ca, "rb") as file:
        return {"root_certificate": file.read()}
