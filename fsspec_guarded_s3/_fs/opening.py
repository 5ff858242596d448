"""Opening files: readers that are pinned, writers that are guarded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from fsspec import available_compressions

from .._read.download import download_into
from .._read.pinned_file import Opened, PutOff
from .._read.read_ahead import MIN_REQUEST, PrefetchCache, caches
from .._read.reader import PinnedReader
from .._s3.client import S3Client
from .._s3.pinned import SMALL_OBJECT, check_etag
from .._values.attributes import Attributes
from .._values.conditions import Condition
from .._values.keywords import Verb, check_integer, check_type, closest_name, keywords_of, unknown
from .._values.local_files import NO_ROOM
from .._values.models import ObjectInfo
from .._values.parameters import Path
from .._values.paths import S3Path
from .._values.s3_parameters import PARAMETERS
from .._write.appending import Appending
from .._write.compressed_writer import adopt_compressors, refuse_to_seek
from .._write.guards import require_guard
from .._write.local_contents import LocalContents
from .._write.parts import PartBuffer
from .._write.seekable import GuardedFile
from .._write.spool import TemporaryFile, unusable
from .._write.text_writer import TextWriter, adopt_text
from .._write.writer import GuardedWriter
from ..errors import GuardedS3Error, ObjectChangedError, ObjectExistsError, ObjectNotFoundError
from ..options import Options
from .conditions import check_if_match, check_version
from .copy_version import prepare_append, prepare_at_end
from .directories import look_before_write
from .listing import Lister
from .object_headers import ObjectHeaders
from .path_rules import PathRules
from .recent_rows import RecentRows
from .rows import object_row
from .transaction import GuardedTransaction

# What callers of s3fs, dask and text modes pass; `acl` and `requester_pays` have a meaning.
_TOLERATED = frozenset({"default_cache", "fill_cache", "encoding", "errors", "newline"})
_OF_S3FS = frozenset({"acl", "requester_pays"})
# Caches of fsspec whose first read sends a request, which their opening does not. "all" asks at once,
# "parts" never, and those of programs do what they like.
_ASK_WHEN_READ = frozenset({"none", "readahead", "bytes", "blockcache", "background", "first", "mmap"})


class Opener:
    """Opens objects for reading and for writing."""

    def __init__(
        self,
        client: S3Client,
        options: Options,
        paths: PathRules,
        lister: Lister,
        recent: RecentRows,
        headers: ObjectHeaders,
    ) -> None:
        self._client = client
        self._options = options
        self._paths = paths
        self._lister = lister
        self._recent = recent
        self._headers = headers

    def open(
        self,
        opening: Verb,
        transaction: GuardedTransaction | None,
        /,
        path: Path,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """A file, as text and compressed where that is asked for.

        `opening` is fsspec's `open`, which opens binary files by `open_binary`, decompresses what is read
        and adds to a transaction; `transaction` is the one that is under way.
        """
        self._paths.object(path)  # fsspec would drop a slash at the end, which names no object
        plain = _purpose(mode)
        if plain == "r":
            opened = "rb" if "b" in mode else "r"
            reader = opening(path, opened, block_size, cache_options, compression, **kwargs)
            if "b" not in mode:
                reader.mode = mode  # as files of Python's own have it
            return reader
        if transaction is not None:
            transaction.refuse_child()
        text = {name: kwargs.pop(name) for name in ("encoding", "errors", "newline") if name in kwargs}
        _check_compression(compression, adopt_compressors())
        if compression is not None and "+" in plain:
            refuse_to_seek(mode)
        adopt_text()
        file = opening(path, plain + "b", block_size, cache_options, compression, **kwargs)
        if transaction is not None and "r" in plain:  # fsspec takes it for a reader
            transaction.files.append(file)
        return file if "b" in mode else TextWriter(file, **text, mode=mode)

    def open_binary(
        self,
        owner: object,
        /,
        path: Path,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        cache_type: str | None = None,
        if_match: str | None = None,
        version_id: str | None = None,
        size: int | None = None,
        blocksize: int | None = None,
        **kwargs: Any,
    ) -> PinnedReader | GuardedWriter:
        """A binary file without compression; `owner` is the filesystem that a reader shows as its `fs`.

        GetObject of the first bytes pins a reader, HeadObject one with a cache of fsspec's. A listing that
        has just told of the object pins either until it is read. A writer that may not overwrite looks first,
        which decides nothing.
        """
        if size is not None:
            check_integer("size", size, 0)
        if blocksize:  # as fsspec's files call it; its GenericFileSystem passes 0 for "any"
            if block_size not in (None, blocksize):
                raise ValueError("block_size and blocksize contradict each other: pass one of them")
            block_size = blocksize
        mode = f"{_purpose(mode)}b"
        if mode != "rb":
            if version_id is not None:
                raise ValueError("version_id is for reading: versions are never written")
            return self._open_writer(owner, path, mode, block_size, autocommit, if_match, kwargs)
        location = self._paths.object(path, version_id)
        given = Attributes.parse_reading(self._parameters(kwargs, writing=False), "open for reading")
        client = self._headers.client_for(given)
        check_type("cache_options", cache_options or {}, Mapping)
        cache_type = known_cache(cache_type or self._options.cache_type)
        block = self._options.block_size if block_size is None else _read_ahead(block_size)
        reader = partial(
            PinnedReader,
            owner,
            str(location),
            client,
            location,
            block_size=block,
            cache_type=cache_type,
            cache_options=cache_options,
            fill_cache=_flag(kwargs.get("fill_cache"), owner),
        )
        is_own = cache_type == PrefetchCache.name
        listed = self._recent.pin(location) if if_match is None and size is None else None
        if (
            listed is not None
            and (is_own or cache_type in _ASK_WHEN_READ)
            and not self._options.version_aware
        ):
            # Not where versions are told: a listing has no version id.
            forget = partial(self._recent.forget, location.bucket, location.key)
            open_now = partial(self._open_now, client, location, is_own, listed_size=listed.size)
            put_off = PutOff(open_now, forget)
            return reader(listed, None, put_off=put_off)
        pin, first, details = self._open_now(client, location, is_own, if_match, size)
        return reader(pin, details, first=first)

    def _open_now(
        self,
        client: S3Client,
        location: S3Path,
        is_own: bool,
        if_match: str | None = None,
        size: int | None = None,
        listed_size: int = 0,
    ) -> Opened:
        """What the first bytes tell, which are kept if the cache `is_own`; HeadObject for one of fsspec's."""
        count = max(MIN_REQUEST, listed_size if _is_worth_it(client, listed_size) else 0) if is_own else 0
        pin, first = self._pin(client, location, if_match, size, count)
        return Opened(pin, first, object_row(location, pin))

    def _pin(
        self, client: S3Client, location: S3Path, if_match: str | None, size: int | None, count: int
    ) -> tuple[ObjectInfo, bytes]:
        """The version that a reader is to read, and its first `count` bytes."""
        check_if_match(if_match)
        first = b""
        try:
            if count:
                pin, first = client.reads.get_first(location, count)
            else:
                pin = client.reads.head_object(location)
        except ObjectNotFoundError:
            if location.version_id is None and self._lister.isdir(str(location)):
                raise IsADirectoryError(f"{location} is a directory and cannot be read") from None
            raise
        check_etag(pin.etag)
        check_version(location, pin, if_match)
        if size is not None and size != pin.size:
            raise ObjectChangedError(
                f"the object has {pin.size} bytes, and not {size} as the argument size says",
                bucket=location.bucket,
                key=location.key,
            )
        return pin, first

    def _open_writer(
        self,
        owner: object,
        path: Path,
        mode: str,
        block_size: int | None,
        autocommit: bool,
        if_match: str | None,
        kwargs: dict[str, Any],
    ) -> GuardedWriter:
        location = self._paths.target(path)
        given = Attributes.parse(self._parameters(kwargs, writing=True), "open")
        about: dict[str, Any] = {
            "options": self._options if block_size is None else self._options.with_part_size(block_size),
            "fs": owner,
            "path": str(location),
            "mode": mode,
            "autocommit": autocommit,
        }
        client = self._headers.client_for(given).in_pieces(block_size, None, writing=True)
        if "+" in mode:
            return self._open_seekable(client, location, mode, if_match, given, about)
        if mode == "ab":
            return self._appending(location, if_match, given, about)
        condition = Condition(create=mode == "xb", if_match=if_match)
        if condition.create:
            self._refuse_taken(location)
        upload = self._headers.new_upload(location, condition, given)
        to_file = partial(LocalContents, client, upload, appends=False, is_changed=True)
        return GuardedWriter(upload, to_file=to_file, **about)

    def _refuse_taken(self, location: S3Path) -> None:
        """ObjectExistsError by an early look, which decides nothing: the condition of the write does."""
        with suppress(ObjectNotFoundError):
            if look_before_write(self._client, location) is not None:
                raise ObjectExistsError("the key is taken", bucket=location.bucket, key=location.key)

    def _appending(
        self,
        location: S3Path,
        if_match: str | None,
        given: Attributes,
        about: dict[str, Any],
    ) -> GuardedWriter:
        check_if_match(if_match)
        client = self._headers.client_for(given)
        try:
            info = client.reads.head_object(location)
        except ObjectNotFoundError:
            if if_match is not None:
                raise
            return GuardedWriter(self._headers.new_upload(location, Condition(create=True), given), **about)
        check_version(location, info, if_match)
        upload = self._headers.next_upload(location, info, given)
        # What is to change beside the bytes has to go with a new object.
        at_end = Appending.suits(location) and not given and self._headers.are_plain
        how = prepare_at_end if at_end else prepare_append
        prepare: Callable[[PartBuffer], None] = partial(how, client, upload, location, info)
        return GuardedWriter(upload, position=info.size, prepare=prepare, **about)

    def _open_seekable(
        self,
        client: S3Client,
        location: S3Path,
        mode: str,
        if_match: str | None,
        given: Attributes,
        about: dict[str, Any],
    ) -> GuardedFile:
        """A file that is a local temporary file until it is closed.

        A condition that the store does not honour is told of now, and not when all is written.
        """
        check_if_match(if_match)
        file, info = TemporaryFile(), None
        try:
            if mode[0] in "ra":
                must_exist = mode[0] == "r" or bool(if_match)
                info = self._load(client, location, if_match, file, must_exist=must_exist)
            if info is not None:
                upload = self._headers.next_upload(location, info, given)
                condition = Condition(if_match=info.etag)
            else:
                condition = Condition(create=mode[0] in "xa", if_match=if_match)
                if mode[0] == "x":
                    self._refuse_taken(location)
                upload = self._headers.new_upload(location, condition, given)
            is_large = info is not None and info.size >= client.options.multipart_threshold
            require_guard(client, location, condition, multipart=is_large)
            contents = LocalContents(client, upload, file, appends=mode[0] == "a", is_changed=info is None)
            return GuardedFile(upload, contents=contents, **about)
        except BaseException:
            file.release()
            raise

    def _load(
        self,
        client: S3Client,
        location: S3Path,
        if_match: str | None,
        file: TemporaryFile,
        *,
        must_exist: bool,
    ) -> ObjectInfo | None:
        """Bring the object into `file`; None where there is none, and there need not be one."""
        try:
            info = download_into(client, location, file.descriptor)
        except ObjectNotFoundError:
            if not must_exist:
                return None
            if self._lister.isdir(str(location)):
                raise IsADirectoryError(f"{location} is a directory and cannot be opened") from None
            raise
        except OSError as error:
            if error.errno not in NO_ROOM or isinstance(error, GuardedS3Error):
                raise
            raise unusable(error) from error
        check_version(location, info, if_match)
        file.size = info.size
        return info

    def _parameters(self, kwargs: dict[str, Any], *, writing: bool) -> dict[str, Any]:
        """The parameters of S3 among the keywords of `open`.

        TypeError for others when writing, since something would get lost. Libraries pass more of them to
        readers, where only those are refused that look like one of ours.
        """
        found = {name: value for name, value in kwargs.items() if name[:1].isupper()}
        for name in kwargs.keys() - found.keys() - _TOLERATED - _OF_S3FS:
            known = [*PARAMETERS, *keywords_of(self.open, self.open_binary), *_TOLERATED]
            if writing or closest_name(name, known):
                raise unknown("open", name, known)
        if kwargs.get("acl"):
            found.setdefault("ACL", kwargs["acl"])
        if kwargs.get("requester_pays"):
            found.setdefault("RequestPayer", "requester")
        return found


def _purpose(mode: Any) -> str:
    """The r, w, x or a of a mode, with "+" behind it where that is in the mode.

    One b or t, and the "+", may stand anywhere, as in Python's `open`.
    """
    check_type("mode", mode, str)
    purpose: str = mode.replace("b", "", 1) if "b" in mode else mode.replace("t", "", 1)
    plus = "+" if "+" in purpose else ""
    purpose = purpose.replace("+", "", 1)
    if purpose not in ("r", "w", "x", "a"):
        raise ValueError(
            f"mode {mode!r} is not supported: use r, w, x or a, with b or t, and + to seek in it"
        )
    return purpose + plus


def _flag(fill_cache: bool | None, owner: object) -> bool:
    """What a reader shows as its `fill_cache`: what was passed, else the option `default_fill_cache`."""
    return bool(getattr(owner, "default_fill_cache", True) if fill_cache is None else fill_cache)


def _read_ahead(block_size: Any) -> int:
    if not isinstance(block_size, int):
        raise TypeError(f"block_size must be int, not {type(block_size).__name__}")
    if block_size < 1:  # fsspec's caches would read nothing, and say nothing
        raise ValueError(f"block_size must be at least 1 byte, not {block_size}")
    return block_size


def _is_worth_it(client: S3Client, size: int) -> bool:
    """Whether all of an object of `size` bytes comes much sooner than the answer to one more request."""
    worth = min(SMALL_OBJECT, client.scheduler.worth_of_round_trip() // 2)
    return client.scheduler.is_distant() and size <= worth


def known_cache(cache_type: str) -> str:
    """`cache_type`, which must be one of fsspec's, or "prefetch". ValueError otherwise."""
    if cache_type != PrefetchCache.name and cache_type not in (known := caches()):
        raise ValueError(f"cache_type must be one of {', '.join(sorted(known))}, not {cache_type!r}")
    return cache_type


def _check_compression(compression: str | None, is_guarded: bool) -> None:
    """Raise ValueError for one that is not known, NotImplementedError where none could be published whole."""
    if compression not in (None, "infer", *available_compressions()):
        raise ValueError(f"compression must be one that fsspec knows, not {compression!r}")
    if compression is not None and not is_guarded:
        raise NotImplementedError(
            "this version of fsspec keeps its compressors elsewhere than those before, and would not publish "
            "the file: write by `with fs.open(path, 'wb') as file, gzip.open(file, 'wb') as packed:`"
        )
