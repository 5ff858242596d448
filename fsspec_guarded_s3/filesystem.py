"""The filesystem: every verb of fsspec and of s3fs with its signature, what it promises, and who does it.

The work is done by collaborators, which are given what they need when they are made and know nothing of this
class. Verbs for many objects call a subclass's own verb for each: this class hands it in.
"""

from __future__ import annotations

import io
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal, cast, overload

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.config import conf as fsspec_configuration

from ._fs import listing_cache, mapping
from ._fs.async_files import AsyncReader, AsyncWriter, opened
from ._fs.awaiting import AwaitedCalls
from ._fs.buckets import Buckets
from ._fs.content_reader import ContentReader
from ._fs.content_writer import ContentWriter
from ._fs.copy_many import ManyCopier
from ._fs.copy_object import Copier
from ._fs.coroutines import EitherWay, ThisThread, asynchronous_iterator, coroutine, settled_coroutine
from ._fs.downloads import Downloads
from ._fs.inherited_verbs import InheritedVerbs
from ._fs.listing import Lister
from ._fs.listing_cache import ListingCache
from ._fs.listing_stream import ListingStream, Wanted, in_lists
from ._fs.lookups import Lookups
from ._fs.merging import Merger
from ._fs.metadata import Metadata
from ._fs.named_tree import NamedTrees
from ._fs.object_headers import ObjectHeaders
from ._fs.opening import Opener, known_cache
from ._fs.path_rules import PathRules
from ._fs.patterns import Patterns
from ._fs.recent_directories import RecentDirectories
from ._fs.recent_rows import RecentRows
from ._fs.removal import Remover
from ._fs.rows import Answer, Info, ListedInfo, UploadInfo, VersionDetails, VersionInfo
from ._fs.s3fs_names import no_attribute
from ._fs.s3fs_session import Session, delegated_options, given, given_dict
from ._fs.selection import Selector
from ._fs.signed_urls import SignedUrls
from ._fs.stale_uploads import StaleUploads
from ._fs.transaction import GuardedTransaction, end, nested_error, outside, under_way
from ._fs.trees import OnError, Trees
from ._fs.uploads import Uploads
from ._fs.versions import Versions
from ._read.reader import PinnedReader
from ._s3.client import S3Client
from ._s3.events import Event, Listening, listen
from ._s3.store import Store
from ._s3.trace import Trace
from ._values import paths as _paths
from ._values.annotations import Buffer, Unpack
from ._values.fsspec_rules import token_of
from ._values.keywords import SignatureOfInit, Verb, check_integer, keeping_what_is_given
from ._values.parameters import (
    BucketAcl,
    CannedAcl,
    CatEach,
    CopyEach,
    Copying,
    GetEach,
    Mode,
    NoMore,
    OpenAny,
    OpenReading,
    OpenText,
    OpenTextReading,
    OpenWriting,
    Path,
    Paths,
    PipeEach,
    PutEach,
    Reading,
    Writing,
)
from ._values.surroundings import SurroundingsOfNow, is_recent, remember
from ._write.compressed_writer import CompressedWriter
from ._write.guards import Guards, probe
from ._write.seekable import GuardedFile
from ._write.text_writer import TextWriter
from ._write.writer import GuardedWriter
from .options import FSSPEC_OPTIONS, MIB, Options, OtherOptions, keys_as_text, without_secrets

__all__ = [
    "Answer",
    "AsyncReader",
    "AsyncWriter",
    "CompressedWriter",
    "GuardedFile",
    "GuardedS3FileSystem",
    "GuardedTransaction",
    "GuardedWriter",
    "Guards",
    "Info",
    "ListedInfo",
    "PinnedReader",
    "TextWriter",
    "UploadInfo",
    "VersionDetails",
    "VersionInfo",
]


class GuardedS3FileSystem(InheritedVerbs):
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
    - dialect: what the store calls differently: s3 (nothing), r2 (Cloudflare R2), gcs (Google Cloud Storage),
      or auto: by its host, or by what it says
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
    - request_deadline, in seconds: how long one S3 request may take with its retries; time in which a body
      moves at `min_rate` is free
    - min_rate, in bytes per second: least rate over `min_rate_window`, both ways; 0 switches it off
    - min_rate_window, in seconds: see `min_rate`
    - idle_timeout, in seconds: an idle connection older than that is replaced
    - max_attempts: attempts per request (default: AWS_MAX_ATTEMPTS, else 5)
    - max_concurrency: how many ranges, parts or objects are requested in parallel
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
    - recent_listings, in seconds: how long what `ls`, `find`, `glob` or `walk` told answers `info`, `exists`,
      `isfile`, `isdir`, `ukey` and `modified`; 0: they always ask
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

    protocol: str | tuple[str, ...] = _paths.PROTOCOLS
    root_marker = ""
    async_impl: bool = True
    blocksize: int
    # fsspec returns a filesystem again while these are the same, and its options.
    _this_thread = ThisThread()
    _surroundings = SurroundingsOfNow()
    _extra_tokenize_attributes = ("_this_thread", "_surroundings")
    transaction_type = GuardedTransaction
    _defaults: ClassVar[Mapping[str, Any]] = {}  # options of a subclass, where they are not passed

    __signature__: SignatureOfInit = SignatureOfInit()

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
        dialect: Literal["auto", "s3", "r2", "gcs"] = "auto",
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
        recent_listings: float = 5.0,
        fsync: bool = False,
        verify_checksums: bool | None = None,
        request_checksum_calculation: Literal["when_supported", "when_required"] | None = None,
        probe: Literal["auto", "always", "never"] = "auto",
        version_aware: bool = False,
        create_buckets: bool = False,
        **others: Unpack[OtherOptions],
    ) -> None:
        """Make a filesystem from storage options.

        The docstring of the class says what each option means, docs/options.md says more. Nothing is sent
        yet: a wrong address or key is an error of the first request. fsspec keeps the filesystem, and returns
        it again for the same options in the same thread, unless `skip_instance_cache` is True, or AWS's
        variables or files have changed.
        """
        if self._cached:
            return
        self._made_in = self._surroundings
        # All of the parameters, in the names that were given: two names of one option must not contradict.
        storage_options = self._read_configured(self.storage_options)
        self._options = Options.parse({**self._defaults, **storage_options})
        known_cache(self._options.cache_type)
        super().__init__(
            use_listings_cache=self._options.use_listings_cache,
            listings_expiry_time=self._options.listings_expiry_time,
            max_paths=self._options.max_paths,
            **{name: storage_options[name] for name in storage_options if name in FSSPEC_OPTIONS},
        )
        self.blocksize = self._options.block_size
        self._client = S3Client(Store(self._options, listing_cache.forget))
        self._session = Session(self._client)
        self._listings = ListingCache(self.dircache)
        self._paths = PathRules(type(self)._protocols, version_aware=self._options.version_aware)
        self._make_finders()
        self._make_transfers()
        self._awaited = AwaitedCalls(self._options.max_concurrency)
        self._loop = self.storage_options.get("loop")
        self._forget_outdated()

    def _forget_outdated(self) -> None:
        """Take filesystems out of fsspec's cache that nobody gets again, since the settings have changed.

        It would keep them, and their connections, for the life of the process.
        """
        remember(self._made_in)
        cache: dict[str, GuardedS3FileSystem] = vars(type(self))["_cache"]
        for token, kept in list(cache.items()):
            if not is_recent(vars(kept)["_made_in"]):
                cache.pop(token, None)

    def _make_finders(self) -> None:
        """Make the collaborators that find, and those that need no others."""
        client, paths, listings = self._client, self._paths, self._listings
        self._versions = Versions(client, paths)
        self._recent = recent = RecentRows(self._options.recent_listings)
        self._lister = Lister(client, paths, listings, recent, self._versions)
        self._lookups = Lookups(paths, self._lister, recent)
        if not listings.enabled:
            self.dircache = RecentDirectories(recent)
        self._named_trees = NamedTrees(client, recent)
        self._listing_stream = ListingStream(client, paths)
        self._trees = Trees(client, paths, listings, recent, self._lister, self._named_trees)
        self._patterns = Patterns(paths, self._lister, self._trees)
        self._selector = Selector(client, paths, recent, self._lister, self._trees, self._patterns)
        self._buckets = Buckets(client, paths, create_below=self._options.create_buckets)
        self._stale_uploads = StaleUploads(client, paths)
        self._signed_urls = SignedUrls(client, paths)

    def _make_transfers(self) -> None:
        """Make the collaborators that read, write, copy and remove."""
        client, paths, lister, selector = self._client, self._paths, self._lister, self._selector
        headers = ObjectHeaders(client, self._options.attributes())
        self._opener = Opener(client, self._options, paths, lister, self._recent, headers)
        self._reader = ContentReader(client, paths, selector, self._recent, headers)
        self._writer = ContentWriter(client, paths, headers)
        self._downloads = Downloads(client, paths, lister, selector, headers, self._reader)
        self._uploads = Uploads(client, paths, lister, headers)
        self._copier = Copier(client, paths, lister, headers)
        self._remover = Remover(client, paths, lister, self._named_trees, selector, self._versions)
        self._many_copier = ManyCopier(client, paths, lister, selector, headers, self._copier, self._remover)
        self._merger = Merger(client, paths, headers)
        self._object_metadata = Metadata(client, paths, self._trees, headers, self._copier)

    @classmethod
    def _protocols(cls) -> tuple[str, ...]:
        return (cls.protocol,) if isinstance(cls.protocol, str) else cls.protocol

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(p) for p in path]
        return PathRules(cls._protocols).name(path)

    @classmethod
    def _parent(cls, path: Any) -> str:
        return _paths.parent(cls._strip_protocol(path))

    def _own(self, verb: str) -> Verb | None:
        """The `verb` of a subclass, which verbs for many objects are to call for each; None without one."""
        owner = next(kind for kind in type(self).__mro__ if verb in vars(kind))
        has_own = verb in vars(self) or owner is not GuardedS3FileSystem
        return cast("Verb", getattr(self, verb)) if has_own else None

    @classmethod
    def _read_configured(cls, storage_options: dict[str, Any]) -> dict[str, Any]:
        """The options, with those that fsspec took from its configuration in their proper types."""
        found = dict(storage_options)
        for protocol in cls._protocols():
            for name, value in fsspec_configuration.get(protocol, {}).items():
                if found.get(name) is value:
                    found[name] = Options.from_text(name, value)
        return found

    @property
    def _fs_token(self) -> str:
        # fsspec's own holds pid and thread id, so dask's tokens would differ between processes.
        return token_of(type(self).__name__, self._options.identity())

    @property
    def asynchronous(self) -> bool | EitherWay:
        """True with the option `asynchronous=True`; else what is true, and agrees with True and with False.

        It makes no difference: each verb can be called, and its coroutine awaited in any loop.
        """
        return True if self.storage_options.get("asynchronous") else EitherWay()

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The event loop that was passed as the option `loop`, else fsspec's own; None if `asynchronous`.

        Coroutines run in whichever loop awaits them. fsspec's own runs in a thread, from the first call of
        this on: nothing here needs it.
        """
        if self._loop is None and not self.storage_options.get("asynchronous"):
            from fsspec.asyn import AsyncFileSystem

            return cast("AbstractEventLoop", AsyncFileSystem(skip_instance_cache=True).loop)
        return cast("AbstractEventLoop | None", self._loop)

    def __repr__(self) -> str:
        return f"<GuardedS3FileSystem {self._options.endpoint_url or 'AWS'}>"

    if not TYPE_CHECKING:  # type checkers would take every name for one that is there

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)

    def to_dict(self, *, include_password: bool = False) -> dict[str, Any]:
        """fsspec's dict of class and storage options; with `key`, `secret` and `token` only if asked for."""
        found = dict(super().to_dict(include_password=include_password))
        return keys_as_text(found) if include_password else without_secrets(found)

    def to_json(self, *, include_password: bool = False) -> str:
        """`to_dict` as JSON. Where credentials are left out, `from_json` looks for them as AWS's tools do.

        Where a customer's key was left out, `from_json` is a ValueError that says so.
        """
        return str(super().to_json(include_password=include_password))

    def close(self) -> None:
        """Close the idle connections to the store, and drop kept listings. `with fs:` does so at its end.

        Filesystems with the same options share connections: what is under way on any of them goes on, and all
        of them, this one too, can be used afterwards and connect anew. Without it connections are closed when
        the last of these filesystems and of their open files is gone, and at the end of the process.
        """
        self._client.close()
        self._listings.clear()
        self._recent.clear()

    def events(self, callback: Callable[[Event], None], *, hash_keys: bool = False) -> Listening:
        """Have `callback` called with what becomes of each request that this filesystem makes from now on.

        It gets an `AttemptEvent` at the end of each attempt, when the body of the answer was read, and an
        `OperationEvent` at the end of each operation, all attempts together. Events hold no credentials, no
        headers and no texts of errors. With `hash_keys` they have the first 16 hexadecimal digits of the
        key's SHA-256 in the place of the key.

        The callback is called in the thread that made the request, several threads at a time: it should be
        quick, and must not use this filesystem. An exception of it is logged, once; the request goes on.

        Returns a `Listening`: call its `close()`, or use it in a `with`. Copies of the filesystem (pickled,
        or of another thread or process) are not listened to: `fsspec_guarded_s3.events` is for all
        filesystems of the process. TypeError for a `callback` that cannot be called.
        """
        return listen(callback, self._client.store.listeners.own, hash_keys=hash_keys)

    def trace(self) -> Trace:
        """Count the requests that this filesystem makes from now on: `with fs.trace() as trace: ...`.

        Returns a `Trace`: requests, repetitions, errors, bytes, seconds and an estimate of what the requests
        cost, for each operation of S3. `print(trace)` shows a table, so does the last line of a notebook's
        cell. It counts until its `close()`, or the end of the `with`. It counts what all threads do by
        this filesystem; `fsspec_guarded_s3.trace` counts for all filesystems of the process.
        """
        return Trace(self._client.store.listeners.own)

    def __enter__(self) -> GuardedS3FileSystem:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @staticmethod
    def _get_kwargs_from_urls(urlpath: str) -> dict[str, Any]:
        """A URL that names a version, as `fsspec.open` gets it, means `version_aware=True`, as in s3fs."""
        return {"version_aware": True} if "?versionId=" in urlpath else {}

    # --- what is there -----------------------------------------------------------------------------------

    def split_path(self, path: Path) -> tuple[str, str, str | None]:
        """(bucket, key, version id) of a path or URL; only a `version_aware` filesystem sees a version."""
        return self._paths.split(path)

    def info(
        self, path: Path, version_id: str | None = None, refresh: bool = False, **kwargs: Unpack[NoMore]
    ) -> Info:
        """Name, size, type; for objects ETag, time, content type and metadata too. Or FileNotFoundError.

        `version_id` names an older version, as "?versionId=" at the end of `path` does when the filesystem is
        `version_aware`. A delete marker is not found, as current version or by its id. With a listing cache
        what the listing of its directory said, so without content type and metadata, if that is known.
        What a listing has told in the last seconds (option `recent_listings`) is not asked for again: what
        only HeadObject tells, such as `metadata`, is asked for when it is looked at. `refresh` asks the
        store.
        """
        return cast("Info", self._lookups.info(path, version_id, refresh, **kwargs))

    def exists(
        self, path: Path, version_id: str | None = None, refresh: bool = False, **kwargs: Unpack[NoMore]
    ) -> bool:
        """Whether there is an object or directory; errors other than "not found" are raised."""
        return self._lookups.exists(path, version_id, refresh, **kwargs)

    def isfile(self, path: Path) -> bool:
        """Whether `path` is an object."""
        return self._lookups.isfile(path)

    def isdir(self, path: Path) -> bool:
        """Whether `path` is a bucket or a prefix of keys."""
        return self._lookups.isdir(path)

    @overload
    def ls(
        self, path: Path, detail: Literal[False] = False, refresh: bool = False, versions: bool = False
    ) -> list[str]: ...

    @overload
    def ls(
        self, path: Path, detail: Literal[True], refresh: bool = False, versions: Literal[False] = False
    ) -> list[ListedInfo]: ...

    @overload
    def ls(
        self, path: Path, detail: Literal[True], refresh: bool = False, *, versions: Literal[True]
    ) -> list[VersionInfo]: ...

    @overload
    def ls(
        self, path: Path, detail: bool, refresh: bool = False, versions: bool = False
    ) -> list[str] | list[ListedInfo] | list[VersionInfo]: ...

    def ls(
        self, path: Path, detail: bool = False, refresh: bool = False, versions: bool = False, **kwargs: Any
    ) -> list[str] | list[ListedInfo] | list[VersionInfo]:
        """The entries directly below `path`, or the object itself; buckets for the root.

        Their names, as s3fs and most filesystems of fsspec do; with `detail` what `info` tells of them. With
        a listing cache as they were when they were listed; `refresh` asks the store.
        With `versions` every version of each object, its name with "?versionId=..."; delete markers have the
        type "other" and `DeleteMarker`. ValueError when the filesystem is not `version_aware`, since it would
        not understand these names.
        """
        return self._lister.ls(path, detail, refresh, versions, **kwargs)

    @overload
    def find(
        self,
        path: Path,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: Literal[False] = False,
        prefix: str | None = None,
        refresh: bool = False,
    ) -> list[str]: ...

    @overload
    def find(
        self,
        path: Path,
        maxdepth: int | None = None,
        withdirs: bool = False,
        *,
        detail: Literal[True],
        prefix: str | None = None,
        refresh: bool = False,
    ) -> dict[str, ListedInfo]: ...

    @overload
    def find(
        self,
        path: Path,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str | None = None,
        refresh: bool = False,
    ) -> list[str] | dict[str, ListedInfo]: ...

    def find(
        self,
        path: Path,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str | None = None,
        refresh: bool = False,
        **kwargs: Any,
    ) -> list[str] | dict[str, ListedInfo]:
        """All objects below `path`, or `path` itself when it is one; with their directories when `withdirs`.

        In one flat listing; level by level only for `maxdepth=1`. `prefix` is what the names below `path`
        begin with; `path` itself is none of them. With a listing cache as they were when they were listed;
        `refresh` asks the store. ValueError for the root, which is all of S3, unless `maxdepth` is 1.
        """
        found: list[str] | dict[str, ListedInfo] = self._trees.find(
            path, maxdepth, withdirs, detail, prefix, refresh, **kwargs
        )
        return found

    @overload
    def iter_find(
        self,
        path: Path,
        start_after: str | None = None,
        detail: Literal[False] = False,
        batch_size: None = None,
        *,
        prefix: str = "",
        modified_after: datetime | None = None,
        modified_before: datetime | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
    ) -> Iterator[str]: ...

    @overload
    def iter_find(
        self,
        path: Path,
        start_after: str | None = None,
        *,
        detail: Literal[True],
        batch_size: None = None,
        prefix: str = "",
        modified_after: datetime | None = None,
        modified_before: datetime | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
    ) -> Iterator[ListedInfo]: ...

    @overload
    def iter_find(
        self,
        path: Path,
        start_after: str | None = None,
        detail: bool = False,
        batch_size: int | None = None,
        *,
        prefix: str = "",
        modified_after: datetime | None = None,
        modified_before: datetime | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
    ) -> Iterator[Any]: ...

    def iter_find(
        self,
        path: Path,
        start_after: str | None = None,
        detail: bool = False,
        batch_size: int | None = None,
        *,
        prefix: str = "",
        modified_after: datetime | None = None,
        modified_before: datetime | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
    ) -> Iterator[Any]:
        """All objects below `path` while they are listed: memory does not grow with their number.

        ListObjectsV2, page by page, in the order of the store: on S3 that of the names' bytes. Yields names,
        with `detail` rows as `find` has them, with `batch_size` lists of that many. It begins behind the name
        `start_after`, so a program that has stopped can go on. Only objects are told of that were modified
        between `modified_after` and `modified_before`, which need a time zone, and that have `min_size` to
        `max_size` bytes; the listing is read all the same. Nothing is kept: see `find` for a listing that is
        answered from the listing cache, or made in parallel. `path` itself is told of when it is an object.

        ValueError and TypeError for wrong arguments come at once, errors of the store while you iterate.
        """
        wanted = Wanted(modified_after, modified_before, min_size, max_size)
        if batch_size is not None:
            check_integer("batch_size", batch_size, 1)
        rows = self._listing_stream.iter_find(path, start_after, detail, prefix, wanted)
        return rows if batch_size is None else in_lists(rows, batch_size)

    def iter_find_batches(
        self,
        path: Path,
        start_after: str | None = None,
        batch_size: int = 10_000,
        *,
        prefix: str = "",
        modified_after: datetime | None = None,
        modified_before: datetime | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
    ) -> Iterator[Any]:
        """What `iter_find` tells, as Arrow record batches of `batch_size` rows. It needs pyarrow.

        Columns: name and etag (string), size (int64, bytes), last_modified (timestamp in UTC),
        storage_class (string). `pyarrow.Table.from_batches` and `polars.from_arrow` take them.
        """
        wanted = Wanted(modified_after, modified_before, min_size, max_size)
        check_integer("batch_size", batch_size, 1)
        return self._listing_stream.batches(path, start_after, batch_size, prefix, wanted)

    @overload
    def du(
        self,
        path: Path,
        total: Literal[True] = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        refresh: bool = False,
    ) -> int: ...

    @overload
    def du(
        self,
        path: Path,
        total: Literal[False],
        maxdepth: int | None = None,
        withdirs: bool = False,
        refresh: bool = False,
    ) -> dict[str, int]: ...

    @overload
    def du(
        self,
        path: Path,
        total: bool,
        maxdepth: int | None = None,
        withdirs: bool = False,
        refresh: bool = False,
    ) -> int | dict[str, int]: ...

    def du(
        self,
        path: Path,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        refresh: bool = False,
        **kwargs: Any,
    ) -> int | dict[str, int]:
        """Bytes used below `path`, from the listing alone; by name when `total` is False."""
        found: int | dict[str, int] = self._trees.du(path, total, maxdepth, withdirs, refresh, **kwargs)
        return found

    @overload
    def walk(
        self,
        path: Path,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: OnError = "omit",
        detail: Literal[False] = False,
        refresh: bool = False,
    ) -> Iterator[tuple[str, list[str], list[str]]]: ...

    @overload
    def walk(
        self,
        path: Path,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: OnError = "omit",
        *,
        detail: Literal[True],
        refresh: bool = False,
    ) -> Iterator[tuple[str, dict[str, ListedInfo], dict[str, ListedInfo]]]: ...

    @overload
    def walk(
        self,
        path: Path,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: OnError = "omit",
        detail: bool = False,
        refresh: bool = False,
    ) -> Iterator[tuple[str, Any, Any]]: ...

    def walk(
        self,
        path: Path,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: OnError = "omit",
        detail: bool = False,
        refresh: bool = False,
        **kwargs: Any,
    ) -> Iterator[tuple[str, Any, Any]]:
        """Like `os.walk`: (directory, names of directories, names of files), level by level.

        `on_error` is "omit" (directories that are gone, and those below that may not be listed), "raise" or a
        function of the OSError; a wrong configuration, and a store that cannot be reached, are always raised.
        With `detail` the names are the keys of dicts of `info`s. From the top down, directories that are
        removed from the second are not walked into.
        With a listing cache as it was when it was listed; `refresh` asks the store. ValueError for the root,
        which is all of S3, unless `maxdepth` is 1.
        """
        return self._trees.walk(path, maxdepth, topdown, on_error, detail, refresh, **kwargs)

    @overload
    def glob(
        self,
        path: Path,
        maxdepth: int | None = None,
        detail: Literal[False] = False,
        refresh: bool = False,
    ) -> list[str]: ...

    @overload
    def glob(
        self,
        path: Path,
        maxdepth: int | None = None,
        *,
        detail: Literal[True],
        refresh: bool = False,
    ) -> dict[str, ListedInfo]: ...

    @overload
    def glob(
        self,
        path: Path,
        maxdepth: int | None = None,
        detail: bool = False,
        refresh: bool = False,
    ) -> list[str] | dict[str, ListedInfo]: ...

    def glob(
        self,
        path: Path,
        maxdepth: int | None = None,
        detail: bool = False,
        refresh: bool = False,
        **kwargs: Any,
    ) -> list[str] | dict[str, ListedInfo]:
        """Names that match a pattern of `*`, `?`, `[...]` and `**`; with a slash at its end directories only.

        In one listing below the last directory that is written out; of buckets, only those that match are
        listed. `maxdepth` bounds `**`. `glob.escape` of the standard library writes a name as a pattern.
        With a listing cache as it was when it was listed; `refresh` asks the store.
        """
        found: list[str] | dict[str, ListedInfo] = self._patterns.glob(
            path, maxdepth, detail, refresh, **kwargs
        )
        return found

    def expand_path(
        self,
        path: Path | Iterable[Path],
        recursive: bool = False,
        maxdepth: int | None = None,
        assume_literal: bool = False,
        **kwargs: Unpack[NoMore],
    ) -> list[str]:
        """The names that a path, a glob or a list of them stands for; with what is below them if `recursive`.

        FileNotFoundError when a glob matches nothing, or there is nothing to recurse into. `assume_literal`,
        which s3fs has, changes nothing: a name that is there is no pattern.
        """
        return self._selector.expand_path(path, recursive, maxdepth, assume_literal, **kwargs)

    def modified(self, path: Path, version_id: str | None = None, refresh: bool = False) -> datetime:
        """When the current version, or the one named, was written, in UTC. `refresh` asks the store.

        What a listing has just told of it is not asked for again (option `recent_listings`).
        IsADirectoryError for a directory.
        """
        return self._lookups.modified(path, version_id, refresh)

    def created(self, path: Path, version_id: str | None = None, refresh: bool = False) -> datetime:
        """When the current version, or the one named, was written, in UTC; `modified` has the same time."""
        return self.modified(path, version_id, refresh)

    def checksum(self, path: Path, refresh: bool = False) -> int:
        """A number that changes with the content: `ukey` as an integer. `refresh` asks the store."""
        return int(self._lookups.ukey(path, refresh=True) if refresh else self.ukey(path), 16)

    def ukey(self, path: Path) -> str:
        """A hash of name, ETag and size: changes when the object does.

        What a listing has just told of it is not asked for again (option `recent_listings`).
        """
        return self._lookups.ukey(path)

    def invalidate_cache(self, path: Path | None = None) -> None:
        """Drop the listings that may show `path`, or all; own writes have done so already."""
        place = None if path is None else self._paths.place(path)
        self._listings.invalidate(place)
        if place is None:
            self._recent.clear()
        else:
            self._recent.forget(place.bucket, place.key)
        super().invalidate_cache(path)

    # --- reading -----------------------------------------------------------------------------------------

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
        mode: Literal["r+b", "rb+", "w+b", "wb+", "x+b", "xb+", "a+b", "ab+"],
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: None = None,
        **kwargs: Unpack[OpenWriting],
    ) -> GuardedFile: ...

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
        mode: Literal["w", "wt", "x", "xt", "a", "at", "r+", "w+", "x+", "a+"],
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

        With "+" it reads, writes and seeks in a local temporary file, which is published whole: "r+" begins
        with the object, and replaces that version or raises ObjectChangedError.

        `block_size` is the read-ahead of a reader and the part size of a writer, in bytes.
        Further keywords are attributes in S3's names: of the object that is written, such as
        `ContentType="text/csv"` or `Metadata={"a": "b"}`, or what a read needs (`SSECustomerKey`).
        `if_match=` makes a write a compare-and-swap by ETag. `version_id=` reads that version; a filesystem
        that is `version_aware` pins every reader to the version it opened, so that it can be read to its end
        after it was replaced. `size=`, which fsspec's callers may pass, is what a reader expects, in bytes:
        ObjectChangedError where the object has another.
        Appending copies the old bytes inside the store where it can, and fails with ObjectChangedError when
        somebody else writes meanwhile.

        A reader has `etag` and `version_id` of what it reads; for "r" they are at `file.buffer`. A writer has
        `commit()` to publish, `discard()` to give up, and `etag` and `version_id` of what it published.
        """
        return self._opener.open(
            super().open, under_way(self), path, mode, block_size, cache_options, compression, **kwargs
        )

    @overload
    async def open_async(
        self, path: Path, mode: Literal["rb"] = "rb", **kwargs: Unpack[OpenReading]
    ) -> AsyncReader: ...

    @overload
    async def open_async(
        self,
        path: Path,
        mode: Literal["wb", "xb", "ab"],
        *,
        block_size: int | None = None,
        **kwargs: Unpack[OpenWriting],
    ) -> AsyncWriter: ...

    @overload
    async def open_async(
        self, path: Path, mode: str, **kwargs: Unpack[OpenAny]
    ) -> AsyncReader | AsyncWriter: ...

    async def open_async(self, path: Path, mode: str = "rb", **kwargs: Any) -> AsyncReader | AsyncWriter:
        """A binary file to await: `async with await fs.open_async(path) as file: await file.read()`.

        What `open` takes, but for text and compression (ValueError). A reader is pinned. A writer publishes
        only what is closed cleanly: not after an exception, nor when its task is cancelled.
        """
        if "b" not in mode or "+" in mode or kwargs.get("compression"):
            raise ValueError(
                "open_async opens binary files without compression or a plus in the mode: use open for others"
            )
        file: Any = await self._awaited.make(partial(opened, partial(self.open, path, mode, **kwargs)))
        return AsyncReader(self._awaited, file) if "r" in mode else AsyncWriter(self._awaited, file)

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
        return self._opener.open_binary(
            self,
            path,
            mode,
            block_size,
            autocommit,
            cache_options,
            cache_type,
            if_match,
            version_id,
            size,
            **kwargs,
        )

    def cat_file(
        self,
        path: Path,
        start: int | None = None,
        end: int | None = None,
        version_id: str | None = None,
        *,
        chunksize: int | None = None,
        max_concurrency: int | None = None,
        **kwargs: Unpack[Reading],
    ) -> bytes:
        """The bytes of one version of `path`, or of its slice [start, end) by Python's rules.

        A large one is read in ranges of `chunksize` bytes, `max_concurrency` of them at a time; None: as the
        options `range_size` and `max_concurrency` say. Raises FileNotFoundError, ObjectChangedError.
        """
        return self._reader.cat_file(
            path, start, end, version_id, chunksize=chunksize, max_concurrency=max_concurrency, **kwargs
        )

    def head(self, path: Path, size: int = 1024) -> bytes:
        """The first `size` bytes."""
        return self.cat_file(path, 0, check_integer("size", size, 0))

    def tail(self, path: Path, size: int = 1024) -> bytes:
        """The last `size` bytes."""
        return self.cat_file(path, -size, None) if check_integer("size", size, 0) else b""

    @overload
    def cat(
        self,
        path: Path,
        recursive: Literal[False] = False,
        on_error: Literal["raise", "return", "omit"] = "raise",
        batch_size: int | None = None,
        **kwargs: Unpack[CatEach],
    ) -> Any: ...

    @overload
    def cat(
        self,
        path: Path | Iterable[Path],
        recursive: bool = False,
        on_error: Literal["raise", "omit"] = "raise",
        batch_size: int | None = None,
        **kwargs: Unpack[CatEach],
    ) -> dict[str, bytes]: ...

    @overload
    def cat(
        self,
        path: Path | Iterable[Path],
        recursive: bool = False,
        *,
        on_error: Literal["return"],
        batch_size: int | None = None,
        **kwargs: Unpack[CatEach],
    ) -> dict[str, bytes | Exception]: ...

    def cat(
        self,
        path: Any,
        recursive: bool = False,
        on_error: str = "raise",
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """One object's bytes, or {path: bytes} for a list, a glob or a tree; in parallel.

        `on_error` is "raise", "return" (the exception stands for the bytes) or "omit", which leaves out
        what is not there; what cannot be read is an error then. A wrong configuration is always raised.
        `batch_size` bounds how many are read at a time, as `max_concurrency` of the options does.
        """
        return self._reader.cat(self._own("cat_file"), path, recursive, on_error, batch_size, **kwargs)

    @overload
    def cat_ranges(
        self,
        paths: list[str],
        starts: int | Iterable[int | None] | None,
        ends: int | Iterable[int | None] | None,
        max_gap: int | None = None,
        on_error: Literal["return"] = "return",
        batch_size: int | None = None,
        **kwargs: Unpack[Reading],
    ) -> list[bytes | Exception]: ...

    @overload
    def cat_ranges(
        self,
        paths: list[str],
        starts: int | Iterable[int | None] | None,
        ends: int | Iterable[int | None] | None,
        max_gap: int | None = None,
        *,
        on_error: Literal["raise"],
        batch_size: int | None = None,
        **kwargs: Unpack[Reading],
    ) -> list[bytes]: ...

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Slices of many objects, read in parallel, in the order asked for; each object's are of one version.

        Ranges of one object that are at most `max_gap` bytes apart (128 KiB if None) are read by one request.
        With `on_error="return"` an exception stands for the bytes of a range that failed. Further keywords
        are what a read needs, such as `SSECustomerKey`. `batch_size` bounds how many are read at a time.
        """
        return self._reader.cat_ranges(
            self._own("cat_file"), paths, starts, ends, max_gap, on_error, batch_size, **kwargs
        )

    def get_file(
        self,
        rpath: Path,
        lpath: Path | IO[bytes] | None = None,
        callback: Any = DEFAULT_CALLBACK,
        outfile: IO[bytes] | None = None,
        version_id: str | None = None,
        *,
        chunksize: int | None = None,
        max_concurrency: int | None = None,
        **kwargs: Unpack[Reading],
    ) -> None:
        """Download to a temporary file that is renamed then: `lpath` is old or new, never half.

        Of a link, the file behind it is replaced. A pipe, a socket or a device is SpecialFileError, an
        OSError. `outfile` is an open binary file, which is written to instead; `lpath` may be one, too.
        `chunksize` and `max_concurrency` are those of `cat_file`.
        """
        self._downloads.get_file(
            self.cat_file,
            rpath,
            lpath,
            callback,
            outfile,
            version_id,
            chunksize=chunksize,
            max_concurrency=max_concurrency,
            **kwargs,
        )

    def get(
        self,
        rpath: Paths,
        lpath: Paths,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        **kwargs: Unpack[GetEach],
    ) -> None:
        """Download files, globs or trees; in parallel. `callback` counts files, its branches bytes.

        Folders are made as they are needed. ValueError, before anything is written, when a key would be
        placed outside of `lpath`, by its name or by a link that is there, or two at the same place;
        SpecialFileError (an OSError) where a pipe, a socket or a device is.
        """
        self._downloads.get(
            self._own("get_file"), rpath, lpath, recursive, callback, maxdepth, batch_size, **kwargs
        )

    # --- writing -----------------------------------------------------------------------------------------

    @overload
    def pipe_file(
        self,
        path: Path,
        value: Buffer,
        mode: Mode = "overwrite",
        if_match: str | None = None,
        *,
        chunksize: int | None = None,
        max_concurrency: int | None = None,
        **kwargs: Unpack[Writing],
    ) -> Answer: ...

    @overload
    def pipe_file(
        self,
        path: Path,
        *,
        data: Buffer,
        mode: Mode = "overwrite",
        if_match: str | None = None,
        chunksize: int | None = None,
        max_concurrency: int | None = None,
        **kwargs: Unpack[Writing],
    ) -> Answer: ...

    def pipe_file(
        self,
        path: Path,
        value: Buffer | None = None,
        mode: Mode = "overwrite",
        if_match: str | None = None,
        *,
        data: Buffer | None = None,
        chunksize: int | None = None,
        max_concurrency: int | None = None,
        **kwargs: Any,
    ) -> Answer:
        """Write bytes; "create" raises FileExistsError when the key is taken, `if_match` swaps by ETag.

        PutObject, or a multipart upload from `multipart_threshold` on. Raises ObjectChangedError when
        the object has another ETag, WriteOutcomeUnknownError when the answer was lost and nothing proves
        what became of the write. Further keywords are attributes of the object in S3's names: for example
        `ContentType="text/csv"`, `Metadata={"a": "b"}`, `Tagging={"a": "b"}`. In a transaction it is
        published at the end of that.

        With `chunksize`, in bytes, it is multipart from two of them on, `max_concurrency` parts at a time;
        None: as the options say. Returns `ETag` and `VersionId` of what was written, {} in a transaction.
        `data` is s3fs's name of `value`.
        """
        return self._writer.pipe_file(
            self._open_in_transaction,
            path,
            value,
            mode,
            if_match,
            data=data,
            chunksize=chunksize,
            max_concurrency=max_concurrency,
            **kwargs,
        )

    @overload
    def pipe(
        self, path: Path, value: Buffer, batch_size: int | None = None, **kwargs: Unpack[PipeEach]
    ) -> None: ...

    @overload
    def pipe(
        self,
        path: Mapping[str, Buffer],
        value: None = None,
        batch_size: int | None = None,
        **kwargs: Unpack[PipeEach],
    ) -> None: ...

    def pipe(self, path: Any, value: Any = None, batch_size: int | None = None, **kwargs: Any) -> None:
        """Write bytes to one path, or each value of a dict to its path; `batch_size` of them at a time."""
        self._writer.pipe(self.pipe_file, path, value, batch_size, **kwargs)

    def update(self, path: Path, fn: Callable[[bytes], bytes], max_attempts: int = 10) -> str:
        """Replace the content by `fn(content)`, unless somebody else did so meanwhile; returns the new ETag.

        Reads pinned and writes under If-Match. On a conflict it starts again, with a pause, `max_attempts`
        times in all; then ObjectChangedError. `fn` may therefore be called more than once. When an answer
        was lost and another version is there now, it is WriteOutcomeUnknownError and not another attempt:
        the swap may have been done and built upon.
        """
        return self._writer.update(path, fn, max_attempts)

    def put_if_absent(self, path: Path, data: Buffer, **kwargs: Unpack[Writing]) -> bool:
        """Create the object with `data`. True when it was created, False when the key was taken.

        Raises WriteOutcomeUnknownError when an answer was lost and nothing proves either, also when another
        writer's object is there now: it may have replaced ours. Further keywords as in `pipe_file`. In a
        transaction it is done at once too: the store decides.
        """
        with outside():
            return self._writer.put_if_absent(self.pipe_file, path, data, **kwargs)

    def touch(self, path: Path, truncate: bool = True, **kwargs: Unpack[Writing]) -> Answer:
        """Write an empty object. With truncate=False only when there is none, which is checked by the store.

        TouchUnsupportedError, which is a NotImplementedError and a ValueError, where there is one then: S3
        cannot change its time. Further keywords, and what is returned, as in `pipe_file`.
        """
        return self._writer.touch(self.pipe_file, path, truncate, **kwargs)

    def put_file(
        self,
        lpath: Path,
        rpath: Path,
        callback: Any = DEFAULT_CALLBACK,
        mode: Mode = "overwrite",
        if_match: str | None = None,
        resume: str | None = None,
        *,
        chunksize: int | None = None,
        max_concurrency: int | None = None,
        **kwargs: Unpack[Writing],
    ) -> None:
        """Upload a local file; `mode`, `if_match`, `chunksize`, `max_concurrency` and further keywords as in
        `pipe_file`.

        `resume` is the id of a multipart upload that a killed process left (see `list_uploads`): parts that
        are there are compared with the file and not sent again. ValueError when they differ.

        FileChangedError when the file is rewritten or becomes shorter meanwhile: nothing was published. What
        it grows by (a log) is left out. A pipe, a socket or a device is SpecialFileError, an OSError.
        """
        self._uploads.put_file(
            self._open_in_transaction,
            lpath,
            rpath,
            callback,
            mode,
            if_match,
            resume,
            chunksize=chunksize,
            max_concurrency=max_concurrency,
            **kwargs,
        )

    def put(
        self,
        lpath: Paths,
        rpath: Paths,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        **kwargs: Unpack[PutEach],
    ) -> None:
        """Upload files, globs or trees, `batch_size` at a time. `callback` counts files, its branches bytes.

        With the option `create_buckets` a tree creates the bucket that it goes to, where that is missing.
        ValueError, before anything is sent, when two files would become the same object; SpecialFileError
        (an OSError) for pipes, sockets and devices.
        """
        makedirs = self.makedirs if self._options.create_buckets else None
        self._uploads.put(
            self.put_file, makedirs, lpath, rpath, recursive, callback, maxdepth, batch_size, **kwargs
        )

    if not TYPE_CHECKING:  # `InheritedVerbs` has its type, with those of fsspec's attributes

        @property
        def transaction(self) -> GuardedTransaction:
            """What collects the files of `with fs.transaction:`: those that this thread or task writes.

            The one that is under way here, or a new one.
            """
            return under_way(self) or self.transaction_type(self)

    def start_transaction(self) -> GuardedTransaction:
        """Begin a transaction without `with`; `end_transaction` ends it. ValueError inside of another."""
        if self._intrans:
            raise nested_error()
        begun = self.transaction
        begun.begin()
        return begun

    def end_transaction(self) -> None:
        """Publish what was written since `start_transaction`, by the thread or task that called that.

        RuntimeError in another one.
        """
        end(self)

    @property
    def _intrans(self) -> bool:
        return under_way(self) is not None

    @_intrans.setter
    def _intrans(self, value: bool) -> None:
        """Nothing, for fsspec, which has one transaction for all threads."""

    @property
    def _open_in_transaction(self) -> Verb | None:
        """`open` while a transaction is under way, which publishes what is written; else None."""
        return self.open if self._intrans else None

    # --- from one key to another -------------------------------------------------------------------------

    def cp_file(
        self,
        path1: Path,
        path2: Path,
        mode: Mode = "overwrite",
        if_match: str | None = None,
        **kwargs: Unpack[Copying],
    ) -> None:
        """Copy inside S3, pinned to the source's version.

        Attributes and tags go along, ACL and object lock do not, as S3 has it.
        `mode="create"` and `if_match` are conditions on `path2`, as in `pipe_file`; further keywords are
        attributes of the copy in S3's names, such as `StorageClass="GLACIER_IR"`. Raises ObjectChangedError
        when the source is replaced meanwhile.
        """
        self._copier.cp_file(path1, path2, mode, if_match, **kwargs)

    def copy(
        self,
        path1: Paths,
        path2: Paths,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: Literal["raise", "ignore"] | None = None,
        batch_size: int | None = None,
        **kwargs: Unpack[CopyEach],
    ) -> None:
        """Copy files, globs or trees inside S3, `batch_size` at a time.

        `on_error` is "raise", or "ignore" for sources that vanished meanwhile (the default of trees).
        """
        self._many_copier.copy(
            self._own("cp_file"), path1, path2, recursive, maxdepth, on_error, batch_size, **kwargs
        )

    def mv(
        self,
        path1: Paths,
        path2: Paths,
        recursive: bool = False,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        **kwargs: Unpack[CopyEach],
    ) -> None:
        """Copy, then delete the versions that were copied, and nothing newer. A failed copy deletes nothing.

        An object that somebody replaced after it was copied stays, and is ObjectChangedError, or one of
        DeleteObjectsError's `errors` when there are several: by the condition of the delete where the store
        honours one, else by a look right before the delete. IsADirectoryError for a directory without
        `recursive`, ValueError for a pattern in the place of a bucket.
        """
        self._many_copier.mv(self._own("cp_file"), path1, path2, recursive, maxdepth, batch_size, **kwargs)

    def merge(
        self,
        path: Path,
        filelist: Sequence[Path],
        mode: Mode = "overwrite",
        if_match: str | None = None,
        **kwargs: Unpack[Copying],
    ) -> Answer:
        """Make one object of several, in this order; these stay. Returns what `pipe_file` does.

        Each is of the one version that was looked at first: ObjectChangedError otherwise. UploadPartCopy
        where each but the last has 5 MiB and the store keeps that pin; else their bytes are read and sent.
        `mode`, `if_match` and further keywords as in `pipe_file`.
        """
        return self._merger.merge(path, filelist, mode, if_match, **kwargs)

    # --- removing ----------------------------------------------------------------------------------------

    def rm_file(self, path: Path, if_match: str | None = None, version_id: str | None = None) -> None:
        """DeleteObject; FileNotFoundError when there is none, as far as the credentials may look.

        A version that is named is deleted for good, and so is a delete marker, which brings the object back.
        With `if_match` only the version that has this ETag: ObjectChangedError for another one,
        WriteOutcomeUnknownError when the answer was lost and the object is gone or another one by now.
        """
        self._remover.rm_file(path, if_match, version_id)

    def rm(
        self,
        path: Path | Iterable[Path],
        recursive: bool = False,
        maxdepth: int | None = None,
        versions: bool = False,
    ) -> list[str]:
        """Delete objects, a list of them, or what a glob matches; with `recursive` what is below, and the
        buckets that `path` names. ValueError for a pattern in the place of a bucket. Returns the names of
        the objects, or versions, that were deleted.

        DeleteObjects, 1,000 keys per request. All are looked for before the first is deleted:
        FileNotFoundError when one is not there, IsADirectoryError for a directory without `recursive` (a glob
        leaves those alone). DeleteObjectsError says which keys could not be deleted, and why.

        In a bucket with versioning every version stays behind a delete marker, unless `versions` asks to
        delete all versions and delete markers, for good.
        """
        return self._remover.rm(path, recursive, maxdepth, versions)

    def rmdir(self, path: Path) -> None:
        """Delete an empty bucket, or the marker of a directory that has no other key.

        DirectoryNotEmptyError when there is more; FileNotFoundError when there is nothing.
        """
        self._remover.rmdir(path)

    # --- versions ----------------------------------------------------------------------------------------

    def object_version_info(self, path: Path) -> list[VersionDetails]:
        """All versions and delete markers of the object `path`, the newest first. ListObjectVersions.

        Each with Key, VersionId, IsLatest, DeleteMarker, Size (bytes), ETag, LastModified (UTC) and
        StorageClass. FileNotFoundError when there are none; an object of a bucket that never had versions has
        the one version "null".
        """
        return self._versions.object_version_info(path)

    def restore_version(
        self, path: Path, version_id: str | None = None, if_match: str | None = None
    ) -> str | None:
        """Make an old version the current one again: a copy of it onto its key, which becomes a new version.

        The copy is made inside S3, pinned to the version, with its metadata and tags. Returns the id of the
        new version, or of the old one when it is the current one still and nothing had to be done. `if_match`
        is the ETag that the current version must have: ObjectChangedError otherwise. CopyObject,
        UploadPartCopy above 5 GiB.
        """
        return self._copier.restore_version(path, version_id, if_match)

    # --- what an object has beside its bytes -------------------------------------------------------------

    def metadata(self, path: Path, refresh: bool = False, **kwargs: Unpack[Reading]) -> dict[str, str]:
        """The user metadata of an object, by name in lower case with hyphens.

        It is asked for each time, so `refresh` changes nothing. HeadObject.
        """
        return self._object_metadata.metadata(path, refresh, **kwargs)

    def getxattr(self, path: Path, attr_name: str, **kwargs: Unpack[Reading]) -> str | None:
        """One name of the user metadata, None where there is none."""
        return self._object_metadata.getxattr(path, attr_name, **kwargs)

    def setxattr(
        self, /, path: Path, copy_kwargs: Mapping[str, Any] | None = None, **kw_args: str | None
    ) -> None:
        """Change names of the user metadata, None removes one; all that is not named stays.

        `copy_kwargs` are further attributes in S3's names, such as {"ContentType": "text/csv"}. One copy of
        the object onto itself, pinned to the version that was looked at: ObjectChangedError when another
        version is there by then, PreconditionUnsupportedError where the store could not tell. An ETag does
        not cover metadata, so of two such changes to the same bytes at the same time the later one wins.
        """
        self._object_metadata.setxattr(path, copy_kwargs, kw_args)

    def get_tags(self, path: Path) -> dict[str, str]:
        """The tags of an object. GetObjectTagging."""
        return self._object_metadata.get_tags(path)

    def put_tags(self, path: Path, tags: Mapping[str, str], mode: Literal["o", "m"] = "o") -> None:
        """Give an object these tags and no others, or with mode "m" merge them into those it has.

        PutObjectTagging. S3 has no condition for it: of two merges at the same time one may get lost.
        """
        self._object_metadata.put_tags(path, tags, mode)

    def chmod(self, path: Path, acl: CannedAcl, recursive: bool = False) -> None:
        """Give an object, all objects below a path, or a bucket a canned ACL such as "public-read".

        PutObjectAcl, PutBucketAcl. AccessDeniedError or InvalidRequestError where the bucket has ACLs off.
        """
        self._object_metadata.chmod(path, acl, recursive)

    # --- buckets -----------------------------------------------------------------------------------------

    def mkdir(
        self,
        path: Path,
        create_parents: bool = True,
        acl: BucketAcl | None = None,
        region_name: str | None = None,
        mode: int | None = None,
        **kwargs: Unpack[NoMore],
    ) -> None:
        """Create a bucket when `path` names one; directories below need no creating. CreateBucket.

        `region_name` is where to (that of the options if None), `acl` a canned one: private, public-read,
        public-read-write or authenticated-read. FileExistsError when the bucket is there. With the option
        `create_buckets` a path below a bucket creates the bucket where it is missing, and is
        FileNotFoundError there without `create_parents`.
        `mode`, which pathlib's callers pass, is for stores that have permissions of POSIX; S3 has none.
        """
        self._buckets.mkdir(path, create_parents, acl, region_name, mode, **kwargs)

    def makedirs(self, path: Path, exist_ok: bool = False) -> None:
        """Nothing to do below a bucket, and no request there; a bucket is created by `mkdir` only.

        With the option `create_buckets` a bucket that is missing is created.
        """
        self._buckets.makedirs(path, exist_ok)

    def is_bucket_versioned(self, bucket: str) -> bool:
        """Whether versioning is on; False when it was suspended. GetBucketVersioning."""
        return self._buckets.is_bucket_versioned(bucket)

    def make_bucket_versioned(self, bucket: str, versioned: bool = True) -> None:
        """Switch versioning on, or suspend it: versions that are there stay. PutBucketVersioning."""
        self._buckets.make_bucket_versioned(bucket, versioned)

    def bucket_region(self, bucket: str) -> str:
        """The region of a bucket, wherever it is. HeadBucket; FileNotFoundError without such a bucket."""
        return self._buckets.bucket_region(bucket)

    # --- uploads that were left behind, what the store honours, URLs -------------------------------------

    def list_uploads(self, path: Path) -> list[UploadInfo]:
        """Multipart uploads to `path` and below that are neither completed nor aborted, oldest first.

        Each with name, upload_id, initiated (UTC), age (seconds), size (bytes), parts, and `live`: whether a
        writer of this process holds it. ListMultipartUploads and ListParts.
        """
        return self._stale_uploads.list_uploads(path)

    def abort_uploads(self, path: Path, older_than: float | timedelta) -> list[UploadInfo]:
        """Abort the uploads at and below `path` that are older than `older_than` (seconds, or a timedelta).

        Never one of a live writer of this process. Returns those that were aborted; ListParts proved that
        nothing of them is left. ValueError for a negative age.
        """
        return self._stale_uploads.abort_uploads(path, older_than)

    def list_multipart_uploads(self, bucket: str) -> list[dict[str, Any]]:
        """Multipart uploads to a bucket that are neither completed nor aborted, in S3's names, as of s3fs.

        Each with Key, UploadId and Initiated. `list_uploads` tells their sizes, and whose they are.
        ListMultipartUploads.
        """
        return self._stale_uploads.of_bucket(bucket)

    def clear_multipart_uploads(self, bucket: str) -> None:
        """Abort every multipart upload to a bucket, but those that writers of this process hold.

        Other programs that are writing to the bucket fail by it: `abort_uploads` spares those that are young.
        """
        self._stale_uploads.abort_uploads(bucket, 0)

    def abort_mpu(self, bucket: str, key: str, mpu: str) -> None:
        """Abort the multipart upload `mpu`. ValueError for one that a writer of this process holds."""
        self._stale_uploads.abort_upload(bucket, key, mpu)

    def probe(self, path: Path) -> Guards:
        """Find out which guards the store honours, by trying them on temporary keys beside `path`.

        Nothing is left of these keys. Raises AccessDeniedError when they may not be written or deleted.
        """
        return probe(self._client, self._paths.place(path))

    def sign(
        self,
        /,
        path: Path,
        expiration: int = 100,
        method: Literal["GET", "HEAD", "PUT", "DELETE"] = "GET",
        **parameters: Any,
    ) -> str:
        """A presigned URL for GET, HEAD, PUT or DELETE, valid for `expiration` seconds (1 to 604,800).

        `parameters` are those of the S3 operation by their names in boto3: VersionId (as a versioned path),
        ResponseContentType, ResponseContentDisposition ... of GET; UploadId and PartNumber for a part;
        IfMatch, IfNoneMatch, ContentType, Metadata ... These last are headers: they are signed, and whoever
        uses the URL has to send them. In a directory bucket a URL lives for 300 seconds at most.
        """
        return self._signed_urls.sign(path, expiration, method, **parameters)

    def url(
        self, /, path: Path, expires: int = 3600, client_method: str = "get_object", **parameters: Any
    ) -> str:
        """A presigned URL for any operation on an object by its name in boto3, valid for `expires` seconds.

        1 to 604,800 of them, in a directory bucket 300 at most. `parameters` are those of the operation, as
        for `sign`.
        """
        return self._signed_urls.url(path, expires, client_method, **parameters)

    # --- coroutines: each is the verb of its name, made by a thread while the event loop goes on ----------

    _info = coroutine(info)
    _exists = coroutine(exists)
    _isfile = coroutine(isfile)
    _isdir = coroutine(isdir)
    _ls = coroutine(ls)
    _find = coroutine(find)
    _du = coroutine(du)
    _glob = coroutine(glob)
    _expand_path = coroutine(expand_path)
    _modified = coroutine(modified)
    _created = coroutine(created)
    _checksum = coroutine(checksum)
    _ukey = coroutine(ukey)
    _head = coroutine(head)
    _tail = coroutine(tail)
    _cat_file = coroutine(cat_file)
    _cat = coroutine(cat)
    _cat_ranges = coroutine(cat_ranges)
    _object_version_info = coroutine(object_version_info)
    _getxattr = coroutine(getxattr)
    _get_tags = coroutine(get_tags)
    _is_bucket_versioned = coroutine(is_bucket_versioned)
    _bucket_region = coroutine(bucket_region)
    _list_uploads = coroutine(list_uploads)
    _sign = coroutine(sign)
    _url = coroutine(url)
    _metadata = coroutine(metadata)
    _walk = asynchronous_iterator(walk)
    _iter_find = asynchronous_iterator(iter_find)
    _iter_find_batches = asynchronous_iterator(iter_find_batches)
    # What these write, or read from a local file, is settled before a task that is cancelled goes on.
    _get_file = settled_coroutine(get_file)
    _get = settled_coroutine(get)
    _pipe_file = settled_coroutine(pipe_file)
    _pipe = settled_coroutine(pipe)
    _update = settled_coroutine(update)
    _put_if_absent = settled_coroutine(put_if_absent)
    _touch = settled_coroutine(touch)
    _put_file = settled_coroutine(put_file)
    _put = settled_coroutine(put)
    _cp_file = settled_coroutine(cp_file)
    _copy = settled_coroutine(copy)
    _mv = settled_coroutine(mv)
    _rm_file = settled_coroutine(rm_file)
    _rm = settled_coroutine(rm)
    _rmdir = settled_coroutine(rmdir)
    _restore_version = settled_coroutine(restore_version)
    _setxattr = settled_coroutine(setxattr)
    _put_tags = settled_coroutine(put_tags)
    _chmod = settled_coroutine(chmod)
    _mkdir = settled_coroutine(mkdir)
    _makedirs = settled_coroutine(makedirs)
    _make_bucket_versioned = settled_coroutine(make_bucket_versioned)
    _abort_uploads = settled_coroutine(abort_uploads)
    _probe = settled_coroutine(probe)
    _merge = settled_coroutine(merge)
    _list_multipart_uploads = coroutine(list_multipart_uploads)
    _clear_multipart_uploads = settled_coroutine(clear_multipart_uploads)
    _abort_mpu = settled_coroutine(abort_mpu)

    async def _size(self, path: Path) -> int | None:
        """The size in bytes, None of a directory. HeadObject."""
        return await self._awaited.make(partial(self.size, path))

    async def _sizes(self, paths: Iterable[Path]) -> list[int | None]:
        """The size of each path in bytes, None of a directory. HeadObject of each, in parallel."""
        from asyncio import gather

        return list(await gather(*[self._size(path) for path in paths]))

    # --- sessions, for callers of s3fs ---------------------------------------------------------------------

    def connect(self, refresh: bool = False, kwargs: Mapping[str, Any] | None = None) -> Session:
        """What `set_session` does, without an event loop."""
        if refresh:
            self._client.close()
        return self.session

    async def set_session(self, refresh: bool = False, kwargs: Mapping[str, Any] | None = None) -> Session:
        """Nothing but what `refresh` asks for: to read the credentials anew, and to connect anew.

        Connections are made when they are needed, and credentials are renewed before they end. Returns what
        can be closed by `await session.close()`. `kwargs` has no effect, as in s3fs.
        """
        return self.connect(refresh, kwargs)

    async def _connect(self, refresh: bool = False, kwargs: Mapping[str, Any] | None = None) -> Session:
        """`set_session`, by its older name."""
        return self.connect(refresh, kwargs)

    @staticmethod
    def close_session(loop: object = None, s3: Session | None = None) -> None:
        """Close the idle connections of the filesystem whose session is `s3`; `loop` has no effect."""
        if s3 is not None:
            s3.close_now()

    def invalidate_region_cache(self) -> None:
        """Forget which regions buckets are in: the store tells them again."""
        self._client.store.signer.forget_regions()

    _invalidate_region_cache = coroutine(invalidate_region_cache)

    def get_delegated_s3pars(self, exp: int = 3600) -> dict[str, Any]:
        """Options for workers, as of s3fs: a key for `exp` seconds in place of the one that was passed.

        GetSessionToken of STS, 900 seconds at least; where the store is not AWS, of the STS that
        AWS_ENDPOINT_URL_STS names (ConfigurationError without it). A key with a `token` is returned as it is.
        Without a key workers find credentials themselves: {"anon": False}.
        """
        return delegated_options(self._client, self._options, exp)

    _get_delegated_s3pars = coroutine(get_delegated_s3pars)

    # --- what it was made with, in s3fs's names ------------------------------------------------------------

    @property
    def session(self) -> Session:
        """What can be closed; nothing else of a botocore session is here."""
        return self._session

    @property
    def key(self) -> str | None:
        """The access key's id, as far as it was an option."""
        return self._options.key

    @property
    def secret(self) -> str | None:
        """The secret access key, as far as it was an option."""
        return self._options.secret

    @property
    def token(self) -> str | None:
        """The session token, as far as it was an option."""
        return self._options.token

    @property
    def anon(self) -> bool:
        """Whether nothing is signed."""
        return self._options.anon

    @property
    def kwargs(self) -> dict[str, Any]:
        """What s3fs makes its session with: `profile`."""
        return {"profile": self._options.profile} if self._options.profile else {}

    @property
    def endpoint_url(self) -> str | None:
        """Where the store is, None for AWS or what its configuration says."""
        return self._options.endpoint_url

    @property
    def use_ssl(self) -> bool:
        """Whether that is https."""
        return not (self._options.endpoint_url or "").lower().startswith("http://")

    @property
    def client_kwargs(self) -> dict[str, Any]:
        """The option `client_kwargs` as it was passed."""
        return given_dict(self.storage_options, "client_kwargs")

    @property
    def config_kwargs(self) -> dict[str, Any]:
        """The option `config_kwargs` as it was passed."""
        return given_dict(self.storage_options, "config_kwargs")

    @property
    def s3_additional_kwargs(self) -> dict[str, Any]:
        """The option `s3_additional_kwargs` as it was passed."""
        return given_dict(self.storage_options, "s3_additional_kwargs")

    @property
    def req_kw(self) -> dict[str, str]:
        """What is sent with every request, in S3's names."""
        return {"RequestPayer": "requester"} if self._options.requester_pays else {}

    @property
    def requester_pays(self) -> bool:
        """Whether requests to requester-pays buckets are paid for."""
        return self._options.requester_pays

    @property
    def version_aware(self) -> bool:
        """Whether paths may name versions."""
        return self._options.version_aware

    @property
    def cache_regions(self) -> bool:
        """The option of s3fs, True if it was not passed: regions are always kept."""
        return bool(given(self.storage_options, "cache_regions", True))

    @property
    def max_concurrency(self) -> int:
        """How many ranges, parts or objects are moved at a time."""
        return self._options.max_concurrency

    @property
    def default_block_size(self) -> int:
        """How far readers read ahead, in bytes."""
        return self._options.block_size

    @property
    def default_cache_type(self) -> str:
        """The cache of readers."""
        return self._options.cache_type

    @property
    def default_fill_cache(self) -> bool:
        """The option of s3fs, True if it was not passed: `cache_type` decides."""
        return bool(given(self.storage_options, "default_fill_cache", True))

    @property
    def fixed_upload_size(self) -> bool:
        """Whether all parts of an upload have one size."""
        return self._options.fixed_upload_size


mapping.tell_failures(GuardedS3FileSystem)
