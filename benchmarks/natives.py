"""Peers without fsspec: obstore's own interface and boto3, eight threads where there are many requests."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

from .peers import BLOCK, BUCKET, KEY, REGION, SECRET, Sink, client_options, object_store

THREADS = 8
Given = TypeVar("Given")


def _side_by_side(call: Callable[[Given], Any], given: Iterable[Given]) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, given))


class ObstoreNative:
    """obstore's functions on its S3Store."""

    def __init__(self, url: str, ca: str) -> None:
        import obstore
        from obstore.store import S3Store

        self._obstore = obstore
        self._options = {**object_store(url), "client_options": client_options(url, ca)}
        self._store: Any = S3Store(BUCKET, **self._options)

    def get_ready(self) -> None:
        """Make one request, so that a connection is there."""
        self.whole("small/warm-4096")

    def open(self, key: str) -> Any:
        """obstore's file for reading; it has nothing that would have to be closed."""
        return nullcontext(self._obstore.open_reader(self._store, key))

    def read(self, key: str) -> Any:
        """A small file; there is no need to open it."""
        return self.whole(key)

    def small_ranges(self, keys: Sequence[str], starts: Sequence[int], ends: Sequence[int]) -> list[Any]:
        def one(asked: tuple[str, int, int]) -> Any:
            return self._obstore.get_range(self._store, asked[0], start=asked[1], end=asked[2])

        return _side_by_side(one, zip(keys, starts, ends, strict=True))

    def gather(self, keys: Sequence[str]) -> list[Any]:
        import asyncio

        async def one(key: str) -> Any:
            return await (await self._obstore.get_async(self._store, key)).bytes_async()

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*map(one, keys))

        return asyncio.run(all_of_them())

    def zarr_store(self, key: str, *, read_only: bool = True) -> Any:
        from obstore.store import S3Store
        from zarr.storage import ObjectStore

        return ObjectStore(S3Store(BUCKET, prefix=key, **self._options), read_only=read_only)

    own_zarr_store = zarr_store

    def whole(self, key: str) -> Any:
        return self._obstore.get(self._store, key).bytes()

    def one_by_one(self, keys: Iterable[str]) -> list[Any]:
        return [self.whole(key) for key in keys]

    def cat(self, keys: Iterable[str]) -> list[Any]:
        return _side_by_side(self.whole, keys)

    def ranges(self, key: str, starts: Sequence[int], ends: Sequence[int]) -> list[Any]:
        def one(bounds: tuple[int, int]) -> Any:
            return self._obstore.get_range(self._store, key, start=bounds[0], end=bounds[1])

        return _side_by_side(one, zip(starts, ends, strict=True))

    def download(self, key: str, local: str) -> None:
        with open(local, "wb") as file:
            for piece in self._obstore.get(self._store, key).stream(min_chunk_size=BLOCK):
                file.write(piece)

    def stream(self, key: str, sink: Sink) -> None:
        for piece in self._obstore.get(self._store, key).stream(min_chunk_size=BLOCK):
            sink(piece)

    def upload(self, local: str, key: str) -> None:
        self._obstore.put(self._store, key, Path(local))

    def put_many(self, contents: dict[str, bytes]) -> None:
        _side_by_side(lambda item: self._obstore.put(self._store, *item), contents.items())

    def find(self, prefix: str) -> Sequence[Any]:
        return [found for page in self._obstore.list(self._store, prefix) for found in page]


class Boto3:
    """boto3's client and its transfer functions."""

    def __init__(self, url: str, ca: str) -> None:
        import boto3
        from botocore.config import Config

        self._client: Any = boto3.client(
            "s3",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name=REGION,
            endpoint_url=url,
            verify=ca,
            config=Config(max_pool_connections=10),
        )

    def whole(self, key: str) -> Any:
        into = io.BytesIO()
        self._client.download_fileobj(BUCKET, key, into)
        return into.getvalue()

    def _get(self, key: str, **more: str) -> bytes:
        body: bytes = self._client.get_object(Bucket=BUCKET, Key=key, **more)["Body"].read()
        return body

    def one_by_one(self, keys: Iterable[str]) -> list[Any]:
        return [self._get(key) for key in keys]

    def cat(self, keys: Iterable[str]) -> list[Any]:
        return _side_by_side(self._get, keys)

    def ranges(self, key: str, starts: Sequence[int], ends: Sequence[int]) -> list[Any]:
        def one(bounds: tuple[int, int]) -> bytes:
            return self._get(key, Range=f"bytes={bounds[0]}-{bounds[1] - 1}")

        return _side_by_side(one, zip(starts, ends, strict=True))

    def download(self, key: str, local: str) -> None:
        self._client.download_file(BUCKET, key, local)

    def stream(self, key: str, sink: Sink) -> None:
        body = self._client.get_object(Bucket=BUCKET, Key=key)["Body"]
        while piece := body.read(BLOCK):
            sink(piece)

    def upload(self, local: str, key: str) -> None:
        self._client.upload_file(local, BUCKET, key)

    def put_many(self, contents: dict[str, bytes]) -> None:
        def one(item: tuple[str, bytes]) -> None:
            self._client.put_object(Bucket=BUCKET, Key=item[0], Body=item[1])

        _side_by_side(one, contents.items())

    def find(self, prefix: str) -> Sequence[Any]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [found for page in pages for found in page.get("Contents", ())]
