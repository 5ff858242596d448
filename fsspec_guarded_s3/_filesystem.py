"""fsspec's verbs for content: reading and writing it as a whole; no HTTP, no XML."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any, Literal, cast

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.config import conf as fsspec_configuration
from fsspec.utils import isfilelike, tokenize

from . import _listing_cache, _mapping
from ._attributes import NONE, Attributes
from ._client import S3Client
from ._download import download, read_range, read_whole
from ._errors import (
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    PreconditionFailedError,
    WriteOutcomeUnknownError,
)
from ._keywords import (
    SignatureOfInit,
    check_bytes,
    check_local_path,
    check_type,
    keeping_what_is_given,
    span,
    whole,
)
from ._listing import nothing_at
from ._listing_cache import ListingCache
from ._models import Condition
from ._namespace import write_condition
from ._opening import Opening, known_cache
from ._options import FSSPEC_OPTIONS, MIB, Options, without_secrets
from ._parameters import Mode, OpenReading, OpenWriting, Path, Paths, PipeEach, Reading, Writing
from ._resume import resume_file
from ._rows import Info
from ._s3fs_names import no_attribute
from ._source_file import SourceFile
from ._sources import copy_file, upload_bytes, upload_file
from ._store import Store
from ._target_file import write_whole
from ._transaction import GuardedTransaction, under_way
from ._upload import Upload

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem, FSMap
    from typing_extensions import Buffer, Self, Unpack

    from ._options import OtherOptions


class GuardedS3FileSystem(Opening):
    """S3 with conditional create, pinned reads and guarded writers.

    Storage options are keywords. They are checked here: ValueError for one that is unknown or out of range,
    TypeError for a wrong type. None stands for the default. Without `key`, `profile` and `anon` credentials
    are found by botocore (environment, profile, SSO, container, IMDS). s3fs's names of options are taken
    too: see docs/options.md.

    Storage options:

    - key: access key id (default: botocore's chain)
    - secret: secret access key (default: botocore's chain)
    - token: session token (default: botocore's chain)
    - anon: do not sign, whatever credentials there are
    - profile: profile of the AWS configuration (default: AWS_PROFILE)
    - endpoint_url: where the store is, with https:// or http:// (default: AWS configuration)
    - region: region of the buckets; that of another bucket is learned (default: AWS configuration)
    - addressing_style: the bucket in the path or in the name of the host: auto, path or virtual
    - use_dualstack: AWS endpoints with IPv6
    - use_accelerate: S3 Transfer Acceleration
    - use_fips: AWS endpoints with FIPS 140 cryptography
    - allow_http: allow plain http to hosts other than loopback
    - sign_payload: sign bodies (stores that demand it over plain http)
    - ca_bundle: PEM file or folder of trusted certificates (default: AWS_CA_BUNDLE, the profile's,
      REQUESTS_CA_BUNDLE)
    - client_cert: PEM file with client certificate and key; the key must not be encrypted
    - connect_timeout, in seconds: TCP, for each address of the host, and TLS
    - send_timeout, in seconds: every single send
    - read_timeout, in seconds: every single receive
    - request_deadline, in seconds: one S3 request with its retries, without the time in which a body moves at
      `min_rate`
    - min_rate, in bytes per second: least rate over `min_rate_window`, both ways; 0 switches it off
    - min_rate_window, in seconds: see `min_rate`
    - idle_timeout, in seconds: an idle connection older than that is replaced
    - max_attempts: attempts per request (default: AWS_MAX_ATTEMPTS, else 5)
    - max_concurrency: ranges, parts or objects side by side
    - requester_pays: pay for requests and traffic of a requester-pays bucket
    - s3_additional_kwargs: attributes of everything that is written or read, in S3's names
    - block_size, in bytes: read-ahead of open files
    - range_size, in bytes: one ranged GET of a large read; less on a slow line
    - part_size, in bytes: one part of a multipart upload, 5 MiB to 5 GiB
    - multipart_threshold, in bytes: size from which an upload is multipart
    - fixed_upload_size: all parts of one size, as Cloudflare R2 wants them
    - cache_type: the cache of open files: prefetch (ours), or fsspec's readahead, bytes, block, all, none ...
    - use_listings_cache: keep directory listings
    - listings_expiry_time, in seconds: how long a listing is kept; none: until it is dropped
    - max_paths: how many listings are kept; none: any number
    - fsync: flush downloads and their folder to disk
    - verify_checksums: compare whole objects with the stored CRC, where there is one (default: AWS
      configuration, else True)
    - request_checksum_calculation: when_required: bodies go with Content-MD5 in place of a CRC, for stores
      that refuse `x-amz-checksum-*` (default: AWS configuration, else when_supported)
    - probe: find out which conditions the store honours: auto (not on AWS), always, never
    - version_aware: "?versionId=..." at the end of a path names a version, and readers are pinned to their
      version
    - create_buckets: `makedirs`, and `mkdir` of a path below a bucket, create the bucket where it is missing,
      as in s3fs
    """

    transaction_type = GuardedTransaction

    __signature__ = SignatureOfInit()

    @keeping_what_is_given
    def __init__(
        self,
        *,
        key: str | None = None,
        secret: str | None = None,
        token: str | None = None,
        anon: bool = False,
        profile: str | None = None,
        endpoint_url: str | None = None,
        region: str | None = None,
        addressing_style: Literal["auto", "path", "virtual"] = "auto",
        use_dualstack: bool = False,
        use_accelerate: bool = False,
        use_fips: bool = False,
        allow_http: bool = False,
        sign_payload: bool = False,
        ca_bundle: str | None = None,
        client_cert: str | None = None,
        connect_timeout: float = 3.1,
        send_timeout: float = 30.0,
        read_timeout: float = 30.0,
        request_deadline: float = 900.0,
        min_rate: float = 1024.0,
        min_rate_window: float = 30.0,
        idle_timeout: float = 30.0,
        max_attempts: int | None = None,
        max_concurrency: int = 64,
        requester_pays: bool = False,
        s3_additional_kwargs: Mapping[str, Any] | None = None,
        block_size: int = 5 * MIB,
        range_size: int = 16 * MIB,
        part_size: int = 16 * MIB,
        multipart_threshold: int = 64 * MIB,
        fixed_upload_size: bool = False,
        cache_type: str = "prefetch",
        use_listings_cache: bool = False,
        listings_expiry_time: float | None = None,
        max_paths: int | None = None,
        fsync: bool = False,
        verify_checksums: bool | None = None,
        request_checksum_calculation: Literal["when_supported", "when_required"] | None = None,
        probe: Literal["auto", "always", "never"] = "auto",
        version_aware: bool = False,
        create_buckets: bool = False,
        **others: Unpack[OtherOptions],
    ) -> None:
        if self._cached:
            return
        # All of the parameters, in the names that were given: two names of one option must not contradict.
        storage_options = self._read_configured(self.storage_options)
        self._options = Options.parse(storage_options)
        known_cache(self._options.cache_type)
        super().__init__(
            use_listings_cache=self._options.use_listings_cache,
            listings_expiry_time=self._options.listings_expiry_time,
            max_paths=self._options.max_paths,
            **{name: storage_options[name] for name in storage_options if name in FSSPEC_OPTIONS},
        )
        self._listings = ListingCache(self.dircache)
        self.blocksize = self._options.block_size
        self._attributes = self._options.attributes()
        self._client = S3Client(Store(self._options, _listing_cache.forget))

    @classmethod
    def _read_configured(cls, storage_options: dict[str, Any]) -> dict[str, Any]:
        """The options, with those that fsspec took from its configuration in their proper types."""
        protocols = (cls.protocol,) if isinstance(cls.protocol, str) else cls.protocol
        found = dict(storage_options)
        for protocol in protocols:
            for name, value in fsspec_configuration.get(protocol, {}).items():
                if found.get(name) is value:
                    found[name] = Options.from_text(name, value)
        return found

    @property
    def _fs_token(self) -> str:
        # fsspec's own holds pid and thread id, so dask's tokens would differ between processes.
        return str(tokenize(type(self).__name__, self._options.identity()))

    def __repr__(self) -> str:
        return f"<GuardedS3FileSystem {self._options.endpoint_url or 'AWS'}>"

    if TYPE_CHECKING:  # what fsspec's class has beside the verbs here; it says nothing of types
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
        def end_transaction(self) -> None: ...
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
        def sizes(self, paths: Iterable[Path]) -> list[int | None]: ...
        def stat(self, path: Path, **kwargs: Any) -> Info: ...
        def lexists(self, path: Path, **kwargs: Any) -> bool: ...
        def listdir(self, path: Path, detail: bool = True, **kwargs: Any) -> list[Any]: ...
        def disk_usage(self, path: Path, total: bool = True, maxdepth: int | None = None) -> Any: ...
        def makedir(self, path: Path, create_parents: bool = True, **kwargs: Any) -> None: ...
        def mkdirs(self, path: Path, exist_ok: bool = False) -> None: ...
        def cp(self, path1: Paths, path2: Paths, **kwargs: Any) -> None: ...
        def move(self, path1: Paths, path2: Paths, **kwargs: Any) -> None: ...
        def rename(self, path1: Paths, path2: Paths, **kwargs: Any) -> None: ...
        def delete(self, path: Paths, recursive: bool = False, maxdepth: int | None = None) -> None: ...
        def download(self, rpath: Paths, lpath: Paths, recursive: bool = False, **kwargs: Any) -> None: ...
        def upload(self, lpath: Paths, rpath: Paths, recursive: bool = False, **kwargs: Any) -> None: ...
        def tree(self, path: str = "/", recursion_limit: int = 2, max_display: int = 25) -> str: ...
    else:  # type checkers would take every name for one that is there

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)

    def to_dict(self, *, include_password: bool = False) -> dict[str, Any]:
        """fsspec's dict of class and storage options; with `key`, `secret` and `token` only if asked for."""
        found = dict(super().to_dict(include_password=include_password))
        return found if include_password else without_secrets(found)

    def to_json(self, *, include_password: bool = False) -> str:
        """`to_dict` as JSON. Where credentials are left out, `from_json` looks for them as AWS's tools do."""
        return str(super().to_json(include_password=include_password))

    def close(self) -> None:
        """Close the idle connections to the store, and drop kept listings. `with fs:` does so at its end.

        Filesystems with the same options share connections: what is under way on any of them goes on, and all
        of them, this one too, can be used afterwards and connect anew. Without it connections are closed when
        the last of these filesystems and of their open files is gone, and at the end of the process.
        """
        self._client.close()
        self._listings.clear()

    def __enter__(self) -> GuardedS3FileSystem:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # --- reading ---

    @staticmethod
    def _get_kwargs_from_urls(urlpath: str) -> dict[str, Any]:
        """A URL that names a version, as `fsspec.open` gets it, means `version_aware=True`, as in s3fs."""
        return {"version_aware": True} if "?versionId=" in urlpath else {}

    def cat_file(
        self,
        path: Path,
        start: int | None = None,
        end: int | None = None,
        version_id: str | None = None,
        **kwargs: Unpack[Reading],
    ) -> bytes:
        """The bytes of one version of `path`, or of its slice [start, end) by Python's rules.

        Raises FileNotFoundError, ObjectChangedError.
        """
        location = self._object(path, version_id)
        client = self._client_for(Attributes.parse_reading(kwargs, self.cat_file)) if kwargs else self._client
        if start in (None, 0) and end is None:
            return read_whole(client, location)
        info = client.reads.head_object(location)
        first, stop, _ = span(start, end).indices(info.size)
        return read_range(client, location, info, first, stop)

    def head(self, path: Path, size: int = 1024) -> bytes:
        """The first `size` bytes."""
        return self.cat_file(path, 0, whole("size", size, 0))

    def tail(self, path: Path, size: int = 1024) -> bytes:
        """The last `size` bytes."""
        return self.cat_file(path, -size, None) if whole("size", size, 0) else b""

    def get_file(
        self,
        rpath: Path,
        lpath: Path | IO[bytes] | None = None,
        callback: Any = DEFAULT_CALLBACK,
        outfile: IO[bytes] | None = None,
        version_id: str | None = None,
        **kwargs: Unpack[Reading],
    ) -> None:
        """Download to a temporary file that is renamed then: `lpath` is old or new, never half.

        Of a link, the file behind it is replaced. A pipe, a socket or a device is SpecialFileError, an
        OSError. `outfile` is an open binary file, which is written to instead; `lpath` may be one, too.
        """
        target: Any = lpath
        outfile = target if outfile is None and isfilelike(target) else outfile
        if outfile is not None:
            data = self.cat_file(rpath, version_id=version_id, **kwargs)
            callback.set_size(len(data))
            write_whole(outfile, data)
            callback.relative_update(len(data))
            return
        if not self._get_object(rpath, target, callback, version_id, **kwargs):
            os.makedirs(target, exist_ok=True)

    def _get_object(
        self,
        rpath: Path,
        lpath: Any,
        callback: Any = DEFAULT_CALLBACK,
        version_id: str | None = None,
        **kwargs: Any,
    ) -> bool:
        """Download an object; False when `rpath` is no object, but a directory.

        The folder of `lpath` is made when the object is known to be there. IsADirectoryError for a `lpath`
        that is a folder itself.
        """
        check_local_path("lpath", lpath)
        lpath = os.fspath(lpath)
        client = self._client_for(Attributes.parse_reading(kwargs, self.get_file)) if kwargs else self._client

        def begin(size: int) -> None:
            if os.path.isdir(lpath):
                raise IsADirectoryError(errno.EISDIR, "the target is a folder: name a file in it", lpath)
            os.makedirs(os.path.dirname(os.path.abspath(lpath)), exist_ok=True)
            # First: where it begins anew, since the object was replaced meanwhile, this one may be smaller.
            callback.absolute_update(0)
            callback.set_size(size)

        location, only_directory = self._location(rpath, version_id)
        if location.key and not only_directory:
            try:
                download(client, location, lpath, begin, _progress(callback))
            except ObjectNotFoundError:
                if location.version_id is not None or not self.isdir(rpath):
                    raise
            else:
                return True
        elif not self.isdir(rpath):
            raise nothing_at(location)
        return False

    # --- writing ---

    def start_transaction(self) -> GuardedTransaction:
        """Begin a transaction without `with`; `end_transaction` ends it. ValueError inside of another."""
        if self._intrans:
            raise under_way()
        return cast("GuardedTransaction", super().start_transaction())

    def pipe_file(
        self,
        path: Path,
        value: Buffer,
        mode: Mode = "overwrite",
        if_match: str | None = None,
        **kwargs: Unpack[Writing],
    ) -> None:
        """Write bytes; "create" raises FileExistsError when the key is taken, `if_match` swaps by ETag.

        PutObject, or a multipart upload from `multipart_threshold` on. Raises ObjectChangedError when
        the object has another ETag, WriteOutcomeUnknownError when the answer was lost and nothing proves
        what became of the write. Further keywords are attributes of the object in S3's names: for example
        `ContentType="text/csv"`, `Metadata={"a": "b"}`, `Tagging={"a": "b"}`. In a transaction it is
        published at the end of that.
        """
        check_bytes("value", value)
        condition = write_condition(mode, if_match)
        given = Attributes.parse(kwargs, self.pipe_file)
        if self._intrans:
            with self.open(path, "xb" if condition.create else "wb", if_match=if_match, **kwargs) as file:
                file.write(value)
            return
        location = self._target(path)
        upload_bytes(self._client, self._new_upload(location, condition, given), value)

    def update(self, path: Path, fn: Callable[[bytes], bytes], max_attempts: int = 10) -> str:
        """Replace the content by `fn(content)`, unless somebody else did so meanwhile; returns the new ETag.

        Reads pinned and writes under If-Match. On a conflict it starts again, with a pause, `max_attempts`
        times in all; then ObjectChangedError. `fn` may therefore be called more than once. When an answer
        was lost and another version is there now, it is WriteOutcomeUnknownError and not another attempt:
        the swap may have been done and built upon.
        """
        whole("max_attempts", max_attempts, 1)
        location = self._target(path)
        failed: dict[str, BaseException] = {}

        def once() -> str:
            info = self._client.reads.head_object(location)
            old = read_range(self._client, location, info, 0, info.size)
            try:
                new = fn(old)
            except BaseException as error:
                failed["fn"] = error
                raise
            if not isinstance(new, (bytes, bytearray, memoryview)):
                raise TypeError(f"fn must return bytes, not {type(new).__name__}; nothing was written")
            headers = self._kept_headers(location, info, NONE)
            headers |= self._tagging(location, info, headers)
            upload = Upload(self._client, location, Condition(if_match=info.etag), headers)
            try:
                return upload_bytes(self._client, upload, new).etag
            except ObjectChangedError as error:
                _refuse_doubt(error, "the answer to the swap was lost and another version is there now")
                raise

        def conflict(error: BaseException) -> bool:
            return isinstance(error, ObjectChangedError) and error is not failed.get("fn")

        etag = self._client.store.retry.repeat_while(conflict, once, max_attempts)
        return etag

    def put_if_absent(self, path: Path, data: Buffer, **kwargs: Unpack[Writing]) -> bool:
        """Create the object with `data`. True when it was created, False when the key was taken.

        Raises WriteOutcomeUnknownError when an answer was lost and nothing proves either, also when another
        writer's object is there now: it may have replaced ours. Further keywords as in `pipe_file`.
        """
        try:
            self.pipe_file(path, data, mode="create", **kwargs)
        except ObjectExistsError as error:
            _refuse_doubt(error, "the answer to the create was lost and another object is there now")
            return False
        return True

    def put_file(
        self,
        lpath: Path,
        rpath: Path,
        callback: Any = DEFAULT_CALLBACK,
        mode: Mode = "overwrite",
        if_match: str | None = None,
        resume: str | None = None,
        **kwargs: Unpack[Writing],
    ) -> None:
        """Upload a local file; `mode`, `if_match` and further keywords as in `pipe_file`.

        `resume` is the id of a multipart upload that a killed process left (see `list_uploads`): parts that
        are there are compared with the file and not sent again. ValueError when they differ.

        FileChangedError when the file is rewritten or becomes shorter meanwhile: nothing was published. What
        it grows by (a log) is left out. A pipe, a socket or a device is SpecialFileError, an OSError.
        """
        check_local_path("lpath", lpath)
        condition = write_condition(mode, if_match)
        given = Attributes.parse(kwargs, self.put_file)
        if os.path.isdir(lpath):
            return
        location = self._target(rpath)
        with SourceFile(lpath) as file:
            callback.set_size(file.size)
            progress = _progress(callback)
            if self._intrans:
                if resume is not None:
                    raise ValueError("resume is not possible in a transaction")
                with self.open(
                    rpath, "xb" if condition.create else "wb", if_match=if_match, **kwargs
                ) as target:
                    copy_file(file, target.write, progress)
                return
            upload = self._new_upload(location, condition, given)
            if resume is not None:
                resume_file(self._client_for(given), upload, location, resume, file, progress)
            else:
                upload_file(self._client, upload, file, progress)

    def touch(self, path: Path, truncate: bool = True, **kwargs: Unpack[Writing]) -> None:
        """An empty object. With truncate=False only when there is none, which is checked by the store.

        Further keywords as in `pipe_file`.
        """
        Attributes.parse(kwargs, self.touch)
        check_type("truncate", truncate, bool)
        try:
            self.pipe_file(path, b"", mode="overwrite" if truncate else "create", **kwargs)
        except ObjectExistsError as error:
            _refuse_doubt(error, "the answer to the create was lost and another object is there now")
            raise NotImplementedError(
                "S3 cannot change the time of an object: truncate=True replaces it"
            ) from None


_mapping.tell_failures(GuardedS3FileSystem)


def _refuse_doubt(error: PreconditionFailedError, said: str) -> None:
    """Raise WriteOutcomeUnknownError where our write may have been applied before, and built upon."""
    if error.maybe_applied:
        raise WriteOutcomeUnknownError(
            f"{said}, which may have come after it",
            bucket=error.bucket,
            key=error.key,
            operation=error.operation,
            status=error.status,
            maybe_applied=True,
        ) from error


def _progress(callback: Any) -> Callable[[int], None]:
    """Tell fsspec's callback, which is not thread-safe, of bytes that arrive in several threads."""
    lock = threading.Lock()

    def progress(count: int) -> None:
        with lock:
            callback.relative_update(count)

    return progress
