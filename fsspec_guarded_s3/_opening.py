"""fsspec's verb `open`: readers that are pinned, writers that are guarded; no HTTP, no XML."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Literal, overload

from fsspec.caching import caches
from fsspec.core import get_compression

from ._attributes import PARAMETERS, Attributes
from ._bulk import Bulk
from ._client import S3Client
from ._compressed_writer import CompressedWriter, adopt_compressors
from ._copying import prepare_append
from ._errors import ObjectChangedError, ObjectExistsError, ObjectNotFoundError
from ._keywords import check_type, keywords_of, meant, unknown, whole
from ._models import Condition, ObjectInfo, same_etag
from ._parameters import OpenAny, OpenReading, OpenText, OpenTextReading, OpenWriting, Path
from ._parts import PartBuffer
from ._paths import S3Path
from ._pinned import check_etag
from ._prefetch import LEAST, PrefetchCache
from ._reader import PinnedReader
from ._rows import object_row
from ._text_writer import TextWriter
from ._upload import Upload
from ._writer import GuardedWriter

if TYPE_CHECKING:
    from typing_extensions import Unpack


_READ_MODES = ("rb", "r", "rt")
# What callers of s3fs, dask and text modes pass; `acl` and `requester_pays` have a meaning.
_TOLERATED = frozenset({"default_cache", "fill_cache", "encoding", "errors", "newline"})
_OF_S3FS = frozenset({"acl", "requester_pays"})


class Opening(Bulk):
    """The part of the filesystem that opens. Use `GuardedS3FileSystem`."""

    @overload
    def open(
        self,
        path: Path,
        mode: Literal["rb"] = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: None = None,
        **kwargs: Unpack[OpenReading],
    ) -> PinnedReader: ...

    @overload
    def open(
        self,
        path: Path,
        mode: Literal["wb", "xb", "ab"],
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: None = None,
        **kwargs: Unpack[OpenWriting],
    ) -> GuardedWriter: ...

    @overload
    def open(
        self,
        path: Path,
        mode: Literal["r", "rt"],
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Unpack[OpenTextReading],
    ) -> io.TextIOWrapper: ...

    @overload
    def open(
        self,
        path: Path,
        mode: Literal["w", "wt", "x", "xt", "a", "at"],
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Unpack[OpenText],
    ) -> TextWriter: ...

    @overload
    def open(
        self,
        path: Path,
        mode: Literal["rb"] = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        *,
        compression: str,
        **kwargs: Unpack[OpenReading],
    ) -> IO[bytes]: ...

    @overload
    def open(
        self,
        path: Path,
        mode: Literal["wb", "xb", "ab"],
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        *,
        compression: str,
        **kwargs: Unpack[OpenWriting],
    ) -> GuardedWriter | CompressedWriter: ...

    @overload
    def open(
        self,
        path: Path,
        mode: str,
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Unpack[OpenAny],
    ) -> Any: ...

    def open(
        self,
        path: Path,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """A file: "r" pinned, "w" guarded, "x" guarded and conditional, "a" appends.

        `block_size` is the read-ahead of a reader and the part size of a writer, in bytes.
        Further keywords are attributes in S3's names: of the object that is written, such as
        `ContentType="text/csv"` or `Metadata={"a": "b"}`, or what a read needs (`SSECustomerKey`).
        `if_match=` makes a write a compare-and-swap by ETag. `version_id=` reads that version; a filesystem
        that is `version_aware` pins every reader to the version it opened, so that it can be read to its end
        after it was replaced. `size=`, which fsspec's callers may pass, is what a reader expects, in bytes:
        ObjectChangedError where the object has another.
        Appending copies the old bytes inside the store where it can, and fails with ObjectChangedError when
        somebody else writes meanwhile.
        """
        self._object(path)  # fsspec would drop a slash at the end, which names no object
        check_type("mode", mode, str)
        plain = mode.replace("b", "", 1) if "b" in mode else mode.replace("t", "", 1)
        if plain not in ("r", "w", "x", "a"):
            raise ValueError(f"mode {mode!r} is not supported: use r, w, x or a, with b or t")
        if plain == "r":
            return super().open(path, mode, block_size, cache_options, compression, **kwargs)
        if self._intrans:
            self.transaction.refuse_child()
        text = {name: kwargs.pop(name) for name in ("encoding", "errors", "newline") if name in kwargs}
        get_compression(self._strip_protocol(path), compression)  # ValueError for one that is not known
        adopt_compressors()
        file = super().open(path, plain + "b", block_size, cache_options, compression, **kwargs)
        return file if "b" in mode else TextWriter(file, **text)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        cache_type: str | None = None,
        if_match: str | None = None,
        version_id: str | None = None,
        size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        if size is not None:
            whole("size", size, 0)
        if mode in _READ_MODES:
            location = self._object(path, version_id)
            client = self._client_for(
                Attributes.parse_reading(self._parameters(kwargs, writing=False), "open for reading")
            )
            check_type("cache_options", cache_options or {}, Mapping)
            cache_type = known_cache(cache_type or self._options.cache_type)
            early = client.reads.ask_first(location, LEAST) if cache_type == PrefetchCache.name else None
            pin = self._pin(client, location, if_match, size)
            check_etag(pin.etag)
            first = client.reads.take_first(location, LEAST, early, pin) if early is not None else b""
            details = object_row(location, pin)
            block = self._options.block_size if block_size is None else _read_ahead(block_size)
            return PinnedReader(
                self, str(location), client, location, pin, details, block, cache_type, cache_options, first
            )
        if version_id is not None:
            raise ValueError("version_id is for reading: versions are never written")
        location = self._target(path)
        given = Attributes.parse(self._parameters(kwargs, writing=True), "open")
        writer = partial(
            GuardedWriter,
            options=self._options if block_size is None else self._options.with_part_size(block_size),
            path=str(location),
            mode=mode,
            autocommit=autocommit,
        )
        if mode == "ab":
            return self._appending(location, if_match, given, writer)
        condition = Condition(create=mode == "xb", if_match=if_match)
        if condition.create and self._looks_taken(location):
            raise ObjectExistsError("the key is taken", bucket=location.bucket, key=location.key)
        return writer(self._new_upload(location, condition, given))

    def _looks_taken(self, location: S3Path) -> bool:
        """An early look, which decides nothing: the condition of the write does."""
        try:
            return self._look(location) is not None
        except ObjectNotFoundError:
            return False

    def _pin(
        self, client: S3Client, location: S3Path, if_match: str | None, size: int | None = None
    ) -> ObjectInfo:
        """The version that a reader is to read."""
        Condition(if_match=if_match)  # refuses what is no ETag
        try:
            pin = client.reads.head_object(location)
        except ObjectNotFoundError:
            if location.version_id is None and self.isdir(str(location)):
                raise IsADirectoryError(f"{location} is a directory and cannot be read") from None
            raise
        if if_match is not None and not same_etag(pin.etag, if_match):
            raise ObjectChangedError(
                f"the object has ETag {pin.etag}", bucket=location.bucket, key=location.key
            )
        if size is not None and size != pin.size:
            raise ObjectChangedError(
                f"the object has {pin.size} bytes, and not {size} as the argument size says",
                bucket=location.bucket,
                key=location.key,
            )
        return pin

    def _parameters(self, kwargs: dict[str, Any], *, writing: bool) -> dict[str, Any]:
        """The parameters of S3 among the keywords of `open`.

        TypeError for others when writing, since something would get lost. Libraries pass more of them to
        readers, where only those are refused that look like one of ours.
        """
        found = {name: value for name, value in kwargs.items() if name[:1].isupper()}
        for name in kwargs.keys() - found.keys() - _TOLERATED - _OF_S3FS:
            known = [*PARAMETERS, *keywords_of(self.open, self._open), *_TOLERATED]
            if name == "blocksize" and kwargs[name] == 0:  # so fsspec's GenericFileSystem of 2024 says "any"
                continue
            if writing or meant(name, known):
                raise unknown("open", name, known)
        if kwargs.get("acl"):
            found.setdefault("ACL", kwargs["acl"])
        if kwargs.get("requester_pays"):
            found.setdefault("RequestPayer", "requester")
        return found

    def _appending(
        self,
        location: S3Path,
        if_match: str | None,
        given: Attributes,
        writer: Callable[..., GuardedWriter],
    ) -> GuardedWriter:
        Condition(if_match=if_match)  # refuses what is no ETag
        client = self._client_for(given)
        try:
            info = client.reads.head_object(location)
        except ObjectNotFoundError:
            if if_match is not None:
                raise
            return writer(self._new_upload(location, Condition(create=True), given))
        if if_match is not None and not same_etag(info.etag, if_match):
            raise ObjectChangedError(
                f"the object has ETag {info.etag}", bucket=location.bucket, key=location.key
            )
        headers = self._kept_headers(location, info, given)
        headers |= self._tagging(location, info, headers)
        upload = Upload(client, location, Condition(if_match=info.etag), headers)
        prepare: Callable[[PartBuffer], None] = partial(prepare_append, client, upload, location, info)
        return writer(upload, position=info.size, prepare=prepare)

    def _new_upload(self, location: S3Path, condition: Condition, given: Attributes) -> Upload:
        return Upload(self._client_for(given), location, condition, self._new_headers(location, given))


def _read_ahead(block_size: Any) -> int:
    if not isinstance(block_size, int):
        raise TypeError(f"block_size must be int, not {type(block_size).__name__}")
    if block_size < 1:  # fsspec's caches would read nothing, and say nothing
        raise ValueError(f"block_size must be at least 1 byte, not {block_size}")
    return block_size


def known_cache(cache_type: str) -> str:
    """`cache_type`, which must be one of fsspec's, or "prefetch". ValueError otherwise."""
    if cache_type not in caches:
        names = ", ".join(sorted(name for name in caches if name))
        raise ValueError(f"cache_type must be one of {names}, not {cache_type!r}")
    return cache_type
