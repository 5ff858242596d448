"""What an open file knows of the version that it reads; and openings that are put off.

A listing has just told of an object: then opening it sends nothing until something is read. The reader is
pinned to the ETag of the listing. The first read has that pin, or compares it with what came: no byte is
given out under a pin that the store was not asked about. Where the object is another one by then, the reader
takes the new version, unless it has told something of the old one: its size, its ETag. Then it is
ObjectChangedError.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar

from fsspec.spec import AbstractBufferedFile

from .._forks import PerProcess
from .._s3.client import S3Client
from .._s3.pinned import SMALL_OBJECT, replaced_error
from .._values.annotations import Buffer, Self
from .._values.attribute_values import decoded
from .._values.conditions import same_etag
from .._values.models import ObjectInfo
from .._values.paths import S3Path
from .._work import Lock
from ..errors import ObjectChangedError, ObjectNotFoundError, RangeNotSatisfiableError
from .read_ahead import MIN_REQUEST, PrefetchCache

T = TypeVar("T")

if TYPE_CHECKING:

    class _BufferedFile(AbstractBufferedFile, BinaryIO):
        """What fsspec's class has, which says nothing of types; a `BinaryIO` as Python's own files are."""

        fs: Any
        path: str
        mode: str
        blocksize: int
        cache: Any
        closed: bool

        def __enter__(self) -> Self: ...
        def __iter__(self) -> Iterator[bytes]: ...
        def seek(self, loc: int, whence: int = 0) -> int: ...
        def tell(self) -> int: ...
        def read(self, length: int | None = -1) -> bytes: ...
        def readable(self) -> bool: ...
        def seekable(self) -> bool: ...
        def writable(self) -> bool: ...
        def readinto(self, b: Buffer) -> int: ...
        def info(self) -> dict[str, Any]: ...
else:
    _BufferedFile = AbstractBufferedFile


class Opened(NamedTuple):
    """What opening an object told: its version, its first bytes, and its row."""

    pin: ObjectInfo
    first: bytes
    details: dict[str, Any]


class PutOff:
    """How a reader is opened later, and what it has told meanwhile."""

    def __init__(self, open_now: Callable[[], Opened], forget: Callable[[], None]) -> None:
        """`forget` is called when the object turns out to be another than the listing said."""
        self.open_now = open_now
        self.forget = forget
        self.lock = PerProcess(Lock)
        self.is_told = False  # something of the version that the listing told of
        self.is_checked = False  # a read has shown that it is there
        self.is_opened = False

    def __repr__(self) -> str:
        return f"<PutOff {'opened' if self.is_opened else 'checked' if self.is_checked else 'unread'}>"


def before_beginning(bucket: str, key: str) -> RangeNotSatisfiableError:
    """What a seek to a place before the first byte raises; zipfile and others expect an OSError there."""
    return RangeNotSatisfiableError("seek to a place before the beginning", bucket=bucket, key=key)


def _since_listed(error: ObjectChangedError) -> ObjectChangedError:
    """`error`, met by the first read of a file: nobody was reading when the object was replaced."""
    return ObjectChangedError(
        "the object was replaced after it was listed, which told its size or ETag: open it again",
        bucket=error.bucket,
        key=error.key,
        operation=error.operation,
        status=error.status,
        code=error.code,
        request_id=error.request_id,
    )


class PinnedFile(_BufferedFile):
    """What is known of the version that is read. `_put_off` is there where that is what a listing told."""

    _client: S3Client
    _location: S3Path
    _pin: ObjectInfo
    _details: dict[str, Any] | None
    _put_off: PutOff | None = None
    _rewritten: ObjectInfo | None = None  # what the object has since this file changed its attributes
    fill_cache = True  # of s3fs, where it has no effect either
    when_gone: str | None = None  # what whoever opened it says where the object is there no longer
    why_read_only: str | None = None  # and why its attributes cannot be changed

    def _take(self, pin: ObjectInfo, first: bytes, *, is_other: bool) -> None:
        """Read the version `pin`, whose first bytes are known; `is_other` than that of the listing."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """The size in bytes of the version that is read."""
        self._tell()
        return self._pin.size

    @size.setter
    def size(self, size: int) -> None:
        """fsspec sets what it was given."""

    @property
    def etag(self) -> str:
        """The ETag that every read is pinned to."""
        self._tell()
        return self._pin.etag

    @property
    def version_id(self) -> str | None:
        """The version that was opened, None where the bucket has none."""
        self._open_now()
        return self._pin.version_id

    @property
    def details(self) -> dict[str, Any]:
        """What `fs.info` tells of the version that is read."""
        self._open_now()
        assert self._details is not None
        return self._details

    @property
    def bucket(self) -> str:
        """The bucket of the object."""
        return self._location.bucket

    @property
    def key(self) -> str:
        """The key of the object."""
        return self._location.key

    @property
    def req_kw(self) -> dict[str, str]:
        """What is sent with every request, in S3's names, as s3fs has it."""
        return self._client.attributes.payer()

    def metadata(self) -> dict[str, str]:
        """The user metadata of the version that was opened, as `fs.metadata` has it.

        After `setxattr` of this file what that wrote.
        """
        self._open_now()
        told = self._rewritten or self._pin
        return {name.replace("_", "-"): decoded(value) for name, value in told.metadata.items()}

    def getxattr(self, attr_name: str) -> str | None:
        """The value of one name of the user metadata, None where there is none."""
        return self.metadata().get(attr_name.replace("_", "-").lower())

    def setxattr(self, copy_kwargs: Mapping[str, Any] | None = None, **kw_args: str | None) -> None:
        """`fs.setxattr`; `metadata` and `getxattr` tell what it wrote. HeadObject beside its requests.

        It writes the object anew: this reader goes on where that has the same ETag, or versions are kept.
        OSError with `errno` EROFS for a file of a snapshot.
        """
        if self.why_read_only is not None:
            raise OSError(errno.EROFS, self.why_read_only, self.path)
        self._open_now()
        self.fs.setxattr(str(self._location), copy_kwargs, **kw_args)
        self._rewritten = self._client.reads.head_object(S3Path(self.bucket, self.key))

    def url(self, **kwargs: Any) -> str:
        """`fs.url` of the object."""
        return str(self.fs.url(str(self._location), **kwargs))

    def _tell(self) -> None:
        """Something of this version is told: no other one may take its place."""
        if self._put_off is not None:
            self._put_off.is_told = True

    def _open_now(self) -> None:
        """Ask for the first bytes, which tell all of the object, unless that was done."""
        put_off = self._put_off
        if put_off is None or put_off.is_opened:
            return
        with put_off.lock():
            if put_off.is_opened:
                return
            pin, first, details = put_off.open_now()
            is_other = not same_etag(pin.etag, self._pin.etag)
            if is_other:
                put_off.forget()
                if put_off.is_told:
                    raise _since_listed(replaced_error(self._location, self._pin.etag, pin.etag, 200))
            self._details = details
            self._take(pin, first, is_other=is_other)
            put_off.is_opened = put_off.is_checked = put_off.is_told = True

    def _first(self, put_off: PutOff, read: Callable[[], T], position: int, count: int) -> T:
        """What the first read brings, from the version that the listing told of, or from a newer one."""
        with put_off.lock():
            cache, size, is_at_end = self.cache, self._pin.size, position >= self._pin.size
            is_own = isinstance(cache, PrefetchCache)
            if not is_own:  # opening brings none of the bytes that are to be read
                if is_at_end:
                    self._open_now()
            elif (
                size <= MIN_REQUEST or position + count <= MIN_REQUEST or (is_at_end and size > SMALL_OBJECT)
            ):
                self._open_now()
            try:
                if is_at_end and not put_off.is_opened:
                    cache.piece(0, 0)  # all of it: `read_block` looks at the end first
                found = read()
            except ObjectChangedError as error:
                if put_off.is_told:
                    raise _since_listed(error) from error
                self._open_now()
                found = read()
            put_off.is_checked = put_off.is_told = True
            return found

    def _asked(self, read: Callable[[], T], position: int, count: int = 1) -> T:
        """What `read` returns, which sends requests under the pin: for `count` bytes from `position` on."""
        put_off = self._put_off
        try:
            if put_off is None or put_off.is_checked:
                return read()
            return self._first(put_off, read, position, count)
        except (ObjectChangedError, ObjectNotFoundError) as error:
            if put_off is not None:
                put_off.forget()
            if self.when_gone is not None and isinstance(error, ObjectNotFoundError):
                error.message = self.when_gone
            raise
