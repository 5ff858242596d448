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
from ._fs.async_files import AsyncReader, AsyncWriter, check_async_mode, opened
from ._fs.awaiting import AwaitedCalls
from ._fs.buckets import Buckets
from ._fs.content_reader import ContentReader
from ._fs.content_writer import ContentWriter
from ._fs.copy_many import ManyCopier
from ._fs.copy_object import Copier
from ._fs.coroutines import (
    EitherWay,
    KeptByProvider,
    ThisProvider,
    ThisThread,
    asked_coroutine,
    asynchronous_iterator,
    coroutine,
    filling_coroutine,
    settled_coroutine,
)
from ._fs.downloads import Downloads
from ._fs.inherited_verbs import InheritedVerbs
from ._fs.listing import Lister
from ._fs.listing_cache import ListingCache
from ._fs.listing_stream import ListingStream, Wanted, in_lists
from ._fs.lookups import Lookups
from ._fs.merging import Merger
from ._fs.metadata import Metadata
from ._fs.named_tree import NamedTrees
from ._fs.object_annotations import AnnotationInfo, Annotations
from ._fs.object_headers import ObjectHeaders
from ._fs.opening import Opener, known_cache
from ._fs.path_rules import PathRules
from ._fs.patterns import Patterns
from ._fs.posted_forms import PostedForms, PostForm
from ._fs.recent_directories import RecentDirectories
from ._fs.recent_rows import RecentRows
from ._fs.removal import Remover
from ._fs.rows import (
    Answer,
    Info,
    ListedInfo,
    ObjectAttributes,
    ObjectPart,
    ObjectParts,
    UploadInfo,
    VersionDetails,
    VersionInfo,
)
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
from ._s3.early import Asked
from ._s3.events import Event, Listening, listen
from ._s3.store import Store
from ._s3.trace import Trace
from ._values import paths as _paths
from ._values.annotations import Buffer, Unpack, Writable
from ._values.fsspec_rules import token_of
from ._values.keywords import SignatureOfInit, Verb, check_integer, keeping_what_is_given
from ._values.parameters import (
    AttributeName,
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
from ._values.tracebacks import verbs_with_short_tracebacks
from ._write.compressed_writer import CompressedWriter
from ._write.guards import Guards, probe
from ._write.seekable import GuardedFile
from ._write.text_writer import TextWriter
from ._write.writer import GuardedWriter
from .options import (
    FSSPEC_OPTIONS,
    MAX_CONCURRENCY,
    MIB,
    REQUESTS,
    Options,
    OtherOptions,
    keys_as_text,
    without_secrets,
)

__all__ = [
    "AnnotationInfo",
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
    "ObjectAttributes",
    "ObjectPart",
    "ObjectParts",
    "PinnedReader",
    "PostForm",
    "TextWriter",
    "UploadInfo",
    "VersionDetails",
    "VersionInfo",
]


@verbs_with_short_tracebacks
class GuardedS3FileSystem(InheritedVerbs, metaclass=KeptByProvider):
    """S3 as a filesystem, with conditional create, pinned reads and guarded writers.

    - A create (`put_if_absent`, `open(path, "xb")`, `mode="create"`) tells you whether it created the object.
    - A read returns bytes of one version of the object, or raises ObjectChangedError.
    - A writer publishes a file that was closed cleanly. After an exception it publishes nothing.

    Paths are "bucket/key", with or without "gs3://" in front. Each method has a coroutine of the same name
    with an underscore in front. Errors are subclasses of `GuardedS3Error` and of the builtin that you would
    catch.

    Storage options are keywords. They are checked when the filesystem is made: ValueError for a name that is
    unknown or a value out of range, TypeError for a wrong type. None stands for the default. Without `key`,
    `profile` and `anon`, botocore finds credentials (environment, profile, SSO, container, IMDS). The names
    of s3fs's options are taken too.

    Storage options:

    - key: access key id (default: botocore's chain)
    - secret: secret access key (default: botocore's chain)
    - token: session token (default: botocore's chain)
    - anon: do not sign requests, even if there are credentials
    - profile: profile of the AWS configuration (default: AWS_PROFILE)
    - credential_provider: a function that returns credentials, credentials of botocore, or a session of
      botocore or boto3 (default: botocore's chain)
    - role_arn: role to assume with the credentials, by STS
    - external_id: external id that the owner of the role demands; needs `role_arn`
    - session_name: name of the role's session in AWS's logs (default: botocore's own)
    - web_identity_token_file: file with the token of an identity provider, in place of credentials; needs
      `role_arn`
    - endpoint_url: where the store is, with https:// or http:// (default: AWS configuration)
    - region: region of the buckets; if a bucket is in another one, the store's answer tells it (default: AWS
      configuration)
    - dialect: whose names the requests use: s3, r2 (Cloudflare R2), gcs (Google Cloud Storage), or auto:
      decided by the host, or by what the store says
    - addressing_style: the bucket in the path or in the name of the host: auto, path or virtual
    - use_dualstack: AWS endpoints with IPv6
    - use_accelerate: S3 Transfer Acceleration
    - use_fips: AWS endpoints with FIPS 140 cryptography
    - allow_http: allow plain http to hosts other than loopback
    - sign_payload: sign bodies too, for stores that demand it over plain http
    - ca_bundle: PEM file or folder of trusted certificates (default: AWS_CA_BUNDLE, the profile's,
      REQUESTS_CA_BUNDLE)
    - client_cert: PEM file with client certificate and key; the key must not be encrypted
    - connect_timeout, in seconds: longest wait for TCP, for each address of the host, and for TLS
    - send_timeout, in seconds: longest wait of a single send
    - read_timeout, in seconds: longest wait of a single receive
    - request_deadline, in seconds: how long one S3 request may take with its retries; time in which a body
      moves at `min_rate` does not count
    - min_rate, in bytes per second: lowest rate over `min_rate_window`, in both directions; 0: any rate
    - min_rate_window, in seconds: over how long `min_rate` is measured
    - idle_timeout, in seconds: an idle connection that is older is not used again
    - max_attempts: attempts per request (default: AWS_MAX_ATTEMPTS, else 5)
    - max_concurrency: how many ranges, parts or objects are requested in parallel
    - requester_pays: pay for requests and traffic of a requester-pays bucket
    - s3_additional_kwargs: attributes of everything that is written or read, in S3's names
    - block_size, in bytes: how far open files read ahead
    - range_size, in bytes: size of one ranged GET of a large read; less on a slow line
    - part_size, in bytes: size of a part of a multipart upload, 5 MiB to 5 GiB
    - multipart_threshold, in bytes: size from which an upload is multipart
    - fixed_upload_size: all parts have one size, as Cloudflare R2 demands
    - cache_type: the cache of open files: prefetch (of this package), or fsspec's readahead, bytes, block,
      all, none ...
    - use_listings_cache: keep directory listings
    - listings_expiry_time, in seconds: how long a listing is kept; None: until it is dropped
    - max_paths: how many listings are kept; None: any number
    - recent_listings, in seconds: how long the results of `ls`, `find`, `glob` and `walk` also answer `info`,
      `exists`, `isfile`, `isdir`, `ukey` and `modified`; 0: these always ask the store
    - fsync: flush downloads and their folder to disk
    - verify_checksums: compare whole objects with the stored CRC, where there is one (default: AWS
      configuration, else True)
    - request_checksum_calculation: when_required: bodies carry Content-MD5 in place of a CRC, for stores that
      refuse `x-amz-checksum-*` (default: AWS configuration, else when_supported)
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
    dircache: Any  # the listing cache, or without one what recent listings told
    # fsspec returns a filesystem again while these are the same, and its options.
    _this_thread = ThisThread()
    _this_provider = ThisProvider()
    _surroundings = SurroundingsOfNow()
    _extra_tokenize_attributes = ("_this_thread", "_this_provider", "_surroundings")
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
        credential_provider: Any = None,
        role_arn: str | None = None,
        external_id: str | None = None,
        session_name: str | None = None,
        web_identity_token_file: str | None = None,
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
        self._awaited = self._make_awaited("max_concurrency" in storage_options)
        self._loop = self.storage_options.get("loop")
        self._forget_outdated()

    def _make_awaited(self, is_bounded: bool) -> AwaitedCalls:
        """`is_bounded` is whether the user has said how many requests there may be at a time."""
        limit = self._options.max_concurrency
        most = MAX_CONCURRENCY if limit == REQUESTS and not is_bounded else limit
        return AwaitedCalls(limit, most, self._client.scheduler)

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
        self._posted_forms = PostedForms(client, paths)
        self._annotations = Annotations(client, paths)

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
        """True with the option `asynchronous=True`, else an object that equals both True and False.

        It changes nothing here: you can call each method, and await its coroutine in any loop. Libraries that
        look at the attribute find what they need.
        """
        return True if self.storage_options.get("asynchronous") else EitherWay()

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The option `loop`, else the event loop of fsspec; None with `asynchronous=True`.

        Coroutines run in whichever loop awaits them, and need none of these. The loop of fsspec starts in a
        thread when this attribute is first read.
        """
        if self._loop is None and not self.storage_options.get("asynchronous"):
            from fsspec.asyn import AsyncFileSystem

            return cast("AbstractEventLoop", AsyncFileSystem(skip_instance_cache=True).loop)
        return cast("AbstractEventLoop | None", self._loop)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._options.endpoint_url or 'AWS'}>"

    if not TYPE_CHECKING:  # type checkers would take every name for one that is there

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)

    def to_dict(self, *, include_password: bool = False) -> dict[str, Any]:
        """Class and storage options as a dict, from which `from_dict` makes an equal filesystem.

        `key`, `secret` and `token` are left out, unless you pass `include_password=True`. TypeError for a
        filesystem with a `credential_provider`, which only a pickle can hold.
        """
        if self._options.credential_provider is not None:
            raise TypeError("credential_provider cannot be written as text: pickle the filesystem")
        found = dict(super().to_dict(include_password=include_password))
        return keys_as_text(found) if include_password else without_secrets(found)

    def to_json(self, *, include_password: bool = False) -> str:
        """`to_dict` as JSON, from which `from_json` makes an equal filesystem.

        Credentials are left out, unless you pass `include_password=True`. If they were left out, `from_json`
        looks for them as AWS's tools do. If an encryption key (`SSECustomerKey`) was left out, `from_json`
        raises a ValueError that says so.
        """
        return str(super().to_json(include_password=include_password))

    def close(self) -> None:
        """Close idle connections, and drop kept listings and credentials. `with fs:` does so at its end.

        Filesystems with equal options share connections. Running requests of all of them go on, and you can
        use all of them afterwards, this one too: they connect again. Without `close`, connections are closed
        when the last of these filesystems and of their open files is gone, and at the end of the process.
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
        quick. It may use this filesystem, and is not called for its own requests. An exception of it is
        logged, once; the request goes on.

        Returns a `Listening`: call its `close()`, or use it in a `with`. A child of a fork goes on calling
        the callback. Copies of the filesystem, pickled or made anew in another thread, are not listened to:
        `fsspec_guarded_s3.events` is for all filesystems of the process. TypeError for a `callback` that
        cannot be called.
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
        """The bucket, the key and the version id (or None) of a path or URL.

        Only a filesystem that is `version_aware` takes "?versionId=..." for a version.
        """
        return self._paths.split(path)

    def info(
        self, path: Path, version_id: str | None = None, refresh: bool = False, **kwargs: Unpack[NoMore]
    ) -> Info:
        """What is known of `path`: a dict with name, size (bytes) and type ("file" or "directory").

        For an object the dict also has ETag, LastModified, content headers, metadata and more: see `Info`.
        `version_id` names an older version; so does "?versionId=" at the end of `path` if the filesystem is
        `version_aware`.

        Raises FileNotFoundError, also for a delete marker. What a listing said in the last seconds (option
        `recent_listings`) or what a kept listing says is not asked for again; HeadObject is sent when you
        look at a key that no listing has, such as `metadata`. `refresh` asks the store. HeadObject,
        ListObjectsV2.
        """
        return cast("Info", self._lookups.info(path, version_id, refresh, **kwargs))

    def sizes(self, paths: Iterable[Path], batch_size: int | None = None) -> list[int | None]:
        """The size of each of `paths` in bytes, 0 of a directory; in parallel, `batch_size` at a time.

        FileNotFoundError where there is nothing.
        """
        return self._lookups.sizes(self._client.in_batches(batch_size), self.size, paths)

    def exists(
        self, path: Path, version_id: str | None = None, refresh: bool = False, **kwargs: Unpack[NoMore]
    ) -> bool:
        """Whether `path` is an object, a directory or a bucket; `version_id` asks for that version.

        Every error but "not found" is raised, so a refusal is never a False. `refresh` asks the store,
        whatever a listing said. HeadObject, ListObjectsV2.
        """
        return self._lookups.exists(path, version_id, refresh, **kwargs)

    def isfile(self, path: Path) -> bool:
        """Whether `path` is an object. HeadObject."""
        return self._lookups.isfile(path)

    def isdir(self, path: Path) -> bool:
        """Whether `path` is a bucket, or a directory: keys begin with it and a slash. ListObjectsV2."""
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
        """The sorted names directly below `path`; `path` itself if it is an object; buckets for the root.

        `detail` returns a list of dicts as `info` has them. `versions` lists every version of each object,
        named with "?versionId=..."; delete markers have the type "other" and `DeleteMarker`. It needs a
        filesystem that is `version_aware`, else it is a ValueError.

        If a listing is kept, the result is from there; `refresh` asks the store. Raises FileNotFoundError.
        ListObjectsV2, ListBuckets, ListObjectVersions.
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
        """The names of all objects below `path`, or of `path` itself if it is an object, as a sorted list.

        `detail` returns a dict {name: info}. `withdirs` adds directories. `maxdepth` is the number of levels,
        and `prefix` is how the names must begin, counted from `path`.

        It is one flat listing; only `maxdepth=1` lists a single level. If a listing is kept, the result is
        from there; `refresh` asks the store. ValueError for the root, which is all of S3, unless `maxdepth`
        is 1. ListObjectsV2.
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
        """Yield all objects below `path` while they are listed: memory does not grow with their number.

        Yields names; with `detail`, rows as `find` has them; with `batch_size`, lists of that many. If `path`
        is an object, it is yielded too. `start_after` is a name, and only later names are listed, so a
        program that stopped can go on. `prefix` is how the names must begin, counted from `path`. Objects are
        left out if they were not modified between `modified_after` and `modified_before` (with a time zone),
        or do not have `min_size` to `max_size` bytes; they are listed all the same.

        Names come in the order of the store, on S3 that of their bytes. Kept listings are not used, and
        nothing is kept. ValueError and TypeError for wrong arguments come at once, errors of the store while
        you iterate. ListObjectsV2.
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
        """What `iter_find` yields, as Arrow record batches of `batch_size` rows. It needs pyarrow.

        Columns: name and etag (string), size (int64, bytes), last_modified (timestamp in UTC),
        storage_class (string). `pyarrow.Table.from_batches` and `polars.from_arrow` take them.
        `start_after`, `prefix`, `modified_after`, `modified_before`, `min_size` and `max_size` are as there.
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
        """The bytes of all objects at and below `path`; or {name: bytes} if `total` is False.

        `maxdepth` counts only objects at most that many levels deep. `withdirs` adds directories to the dict,
        with 0 bytes. Only listings are read. `refresh` asks the store, whatever a kept listing says.
        ListObjectsV2.
        """
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
        """Like `os.walk`: yields (directory, names of directories, names of files), level by level.

        `detail` yields dicts {name: info} in the place of the lists. With `topdown`, directories that you
        remove from the second item are not visited. `maxdepth` is the number of levels.

        `on_error` is "omit" (skip directories that are gone, and those below the first that you may not
        list), "raise", or a function of the OSError. A ConfigurationError, and a store that cannot be
        reached, are always raised. If a listing is kept, the result is from there; `refresh` asks the store.
        ValueError for the root, which is all of S3, unless `maxdepth` is 1. ListObjectsV2.
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
        """The sorted names that match a pattern of `*`, `?`, `[...]` and `**`.

        A pattern that ends in a slash matches only directories. `detail` returns a dict {name: info}.
        `maxdepth` limits how many levels `**` matches. To get a name with such characters as a pattern, use
        `glob.escape` of the standard library.

        Everything below the last directory that the pattern writes out is listed; of buckets, only those that
        match. If a listing is kept, the result is from there; `refresh` asks the store. ListObjectsV2.
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
        """The names that a path, a pattern or a list of them stands for, as a sorted list.

        With `recursive` it includes everything below them, at most `maxdepth` levels deep. `assume_literal`,
        which s3fs has, has no effect: a name that exists is never taken for a pattern.

        Raises FileNotFoundError if a pattern matches nothing, or if a path with `recursive` has nothing
        below.
        """
        return self._selector.expand_path(path, recursive, maxdepth, assume_literal, **kwargs)

    def modified(self, path: Path, version_id: str | None = None, refresh: bool = False) -> datetime:
        """When the current version of an object, or `version_id`, was written: a datetime in UTC.

        What a listing said in the last seconds (option `recent_listings`) is not asked for again; `refresh`
        asks the store. Raises FileNotFoundError, and IsADirectoryError for a directory. HeadObject.
        """
        return self._lookups.modified(path, version_id, refresh)

    def created(self, path: Path, version_id: str | None = None, refresh: bool = False) -> datetime:
        """When the current version of an object, or `version_id`, was written: a datetime in UTC.

        S3 keeps no other time, so `modified` returns the same. `refresh` asks the store, whatever a listing
        said. HeadObject.
        """
        return self.modified(path, version_id, refresh)

    def checksum(self, path: Path, refresh: bool = False) -> int:
        """An integer that changes when the object does: `ukey` as a number. `refresh` asks the store."""
        return int(self._lookups.ukey(path, refresh=True) if refresh else self.ukey(path), 16)

    def ukey(self, path: Path) -> str:
        """A hash of name, ETag and size as text: it changes when the object does.

        What a listing said in the last seconds (option `recent_listings`) is not asked for again. HeadObject.
        """
        return self._lookups.ukey(path)

    def invalidate_cache(self, path: Path | None = None) -> None:
        """Drop the kept listings that may show `path`; None: all. Writes of this process do so themselves."""
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
        """Open an object as a file. `mode` is "r", "w", "x" or "a", for text; or with "b", for bytes.

        - "r" reads one version of the object: every byte has the ETag of the first, else ObjectChangedError.
        - "w" writes a new object, which appears when the file is closed cleanly. After an exception in the
          `with` block, or `discard()`, it does not appear.
        - "x" does the same, and raises FileExistsError if there is an object by then: the store decides.
        - "a" appends. The old bytes are copied inside the store if it can do so; in a directory bucket (S3
          Express) only the new bytes are sent. Raises ObjectChangedError if somebody else writes in the
          meantime.
        - With "+", as in "r+b", it is a local temporary file that reads, writes and seeks, and is published
          as a whole. "r+" begins with the object, and raises ObjectChangedError if somebody else replaces it.
          In "wb" and "xb" `seek` works while nothing was sent: up to `multipart_threshold` bytes.

        `block_size`, in bytes, is the read-ahead of a reader and the part size of a writer. `compression` is
        a name that fsspec knows, such as "gzip" or "infer". `cache_options` go to a cache of fsspec's
        (`cache_type`). `if_match` is the ETag that a write expects the object to have. `version_id` reads an
        older version. `size`, in bytes, is what a reader expects, else ObjectChangedError. `encoding`,
        `errors` and `newline` are those of a text file. Further keywords are attributes in S3's names: of the
        object that is written, such as `ContentType="text/csv"` or `Metadata={"a": "b"}`, or what a read
        needs, such as `SSECustomerKey`.

        A reader has `etag` and `version_id` of what it reads; a text reader has them at `file.buffer`. A
        writer has `commit()`, `discard()`, and `etag` and `version_id` of what it published. Raises
        FileNotFoundError. GetObject; PutObject, or CreateMultipartUpload, UploadPart and
        CompleteMultipartUpload.
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
        """Open a binary file whose methods you await.

        `async with await fs.open_async(path) as file: data = await file.read()`

        `mode` is "rb", "wb", "xb" or "ab". It takes what `open` takes, except text, "+" and `compression`
        (ValueError): call `open` in a thread for those. A reader is pinned to one version. A writer publishes
        only what is closed cleanly: nothing after an exception, nor when its task is cancelled.
        """
        check_async_mode(mode, kwargs.get("compression"))
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
        """The bytes of one version of the object `path`, or of its slice `[start, end)`.

        `start` and `end` count bytes as slices of Python do: negative numbers count from the end.
        `version_id` names an older version. A large object is read in ranges of `chunksize` bytes,
        `max_concurrency` of them at a time (None: the options `range_size` and `max_concurrency`). Further
        keywords are what a read needs, such as `SSECustomerKey`.

        Raises FileNotFoundError, and ObjectChangedError if the object is replaced during the read. GetObject.
        """
        return self._reader.cat_file(
            path, start, end, version_id, chunksize=chunksize, max_concurrency=max_concurrency, **kwargs
        )

    def head(self, path: Path, size: int = 1024) -> bytes:
        """The first `size` bytes of an object. GetObject."""
        return self.cat_file(path, 0, check_integer("size", size, 0))

    def tail(self, path: Path, size: int = 1024) -> bytes:
        """The last `size` bytes of an object. GetObject."""
        return self.cat_file(path, -size, None) if check_integer("size", size, 0) else b""

    @overload
    def cat(
        self,
        path: Path,
        recursive: bool = False,
        on_error: Literal["raise", "return", "omit"] = "raise",
        batch_size: int | None = None,
        **kwargs: Unpack[CatEach],
    ) -> Any: ...

    @overload
    def cat(
        self,
        path: Iterable[Path],
        recursive: bool = False,
        on_error: Literal["raise", "omit"] = "raise",
        batch_size: int | None = None,
        **kwargs: Unpack[CatEach],
    ) -> dict[str, bytes]: ...

    @overload
    def cat(
        self,
        path: Iterable[Path],
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
        """The bytes of one object; or {path: bytes} for a list, a pattern, or a tree (`recursive=True`).

        With `recursive=True`, the path of an object that is no directory too gives its bytes, as in fsspec.

        Objects are read in parallel, at most `batch_size` at a time (None: the option `max_concurrency`),
        each from one version.

        `on_error` says what happens when an object cannot be read: "raise"; "return", which puts the
        exception in the place of the bytes; or "omit", which leaves out objects that are missing, and raises
        all other errors. A ConfigurationError is always raised. Further keywords are what a read needs, such
        as `SSECustomerKey`. GetObject.
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
        """Slices of many objects, as a list of bytes in the order of `paths`; read in parallel.

        `paths`, `starts` and `ends` have the same length; one number in place of a list counts for all paths,
        and None means the beginning or the end. All slices of one object are of one version of it. Slices of
        an object that are at most `max_gap` bytes apart (None: 128 KiB) are read by one request.

        `on_error` is "return", which puts an exception in the place of the bytes of a slice that failed, or
        "raise". At most `batch_size` requests run at a time. Further keywords are what a read needs, such as
        `SSECustomerKey`. GetObject.
        """
        return self._reader.cat_ranges(
            self._own("cat_file"), paths, starts, ends, max_gap, on_error, batch_size, **kwargs
        )

    @overload
    def cat_ranges_into(
        self,
        paths: list[str],
        starts: int | Iterable[int | None] | None,
        ends: int | Iterable[int | None] | None,
        buffers: Writable | Sequence[Writable],
        max_gap: int | None = None,
        on_error: Literal["raise"] = "raise",
        batch_size: int | None = None,
        **kwargs: Unpack[Reading],
    ) -> list[int]: ...

    @overload
    def cat_ranges_into(
        self,
        paths: list[str],
        starts: int | Iterable[int | None] | None,
        ends: int | Iterable[int | None] | None,
        buffers: Writable | Sequence[Writable],
        max_gap: int | None = None,
        *,
        on_error: Literal["return"],
        batch_size: int | None = None,
        **kwargs: Unpack[Reading],
    ) -> list[int | Exception]: ...

    def cat_ranges_into(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        buffers: Any,
        max_gap: int | None = None,
        on_error: str = "raise",
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Read slices of many objects into memory that you own; returns how many bytes each slice has.

        `paths`, `starts`, `ends`, `max_gap` and `batch_size` are those of `cat_ranges`, and all slices of one
        object are of one version. `buffers` is a list with a writable buffer for each slice: an array of
        numpy, a tensor of torch on the CPU, a mutable buffer of pyarrow, a bytearray. Or it is one of these
        for all slices: with one dimension it takes them back to back, each at the place that full slices
        give it; with more dimensions it takes one slice in each row.

        A slice ends where its object ends, so fewer bytes may come than it asks for; what is behind them in
        its buffer has no meaning. The bytes of a slice go from the socket into its buffer, without a copy. If
        one request brings several slices, those below 64 KiB are copied once.

        `on_error` is "raise", or "return", which puts an exception in the place of the number of a slice that
        failed. After an error the buffers hold anything. When the call has ended, also by an interrupt,
        nothing writes into them any more. Raises TypeError for a buffer that is read-only or none, and
        ValueError if it is too small, not contiguous, on another device, or shared by two slices. GetObject.
        """
        return self._reader.cat_ranges_into(
            self._own("cat_file"), paths, starts, ends, buffers, max_gap, on_error, batch_size, **kwargs
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
        """Download the object `rpath` to the local file `lpath`, which is replaced at the end.

        The bytes go to a temporary file beside it. So `lpath` is the old file or the new one, and never half
        of one. If `lpath` is a link, the file behind it is replaced; a pipe, a socket or a device is a
        SpecialFileError, an OSError. `outfile`, or `lpath` itself, may be a binary file that is open for
        writing.

        `version_id` names an older version. `callback` counts bytes. `chunksize` is the number of bytes of
        one range, and `max_concurrency` the number of ranges that are read in parallel. If the object is
        replaced during the download, the download starts again. Raises FileNotFoundError. GetObject.
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
        """Download objects: one name, a list, a pattern, or a tree (`recursive=True`).

        They are downloaded from `rpath` to `lpath`; an `lpath` that ends in a slash is a folder. `maxdepth`
        is the number of levels of a tree. Files are downloaded in parallel, at most `batch_size` at a time,
        each as by `get_file`. Folders are created when they are needed. `callback` counts files, and its
        branches count bytes. Further keywords are what a read needs, such as `SSECustomerKey`.

        Raises ValueError before anything is written if a key would be placed outside of `lpath`, by its name
        or by a link, or if two keys would become one file. Raises SpecialFileError, an OSError, if there is a
        pipe, a socket or a device in the place of a file. GetObject.
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
        """Write the bytes `value` as one object.

        `mode="create"` raises FileExistsError if there is an object: the store decides. `if_match` is the
        ETag that the object must have, else ObjectChangedError. Further keywords are attributes of the object
        in S3's names, such as `ContentType="text/csv"`, `Metadata={"a": "b"}` or `Tagging={"a": "b"}`. With
        `chunksize`, in bytes, it is multipart from two chunks on, with `max_concurrency` parts at a time.
        `data` is s3fs's name for `value`.

        PutObject, or a multipart upload from the option `multipart_threshold` on. Returns a dict with ETag
        and VersionId of what was written. In a transaction the object is published at the end of it, and the
        dict is empty. Raises WriteOutcomeUnknownError if the answer was lost and nothing proves what
        happened, and PreconditionUnsupportedError, before anything is sent, if the store ignores the
        condition.
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
        """Write the bytes `value` to one path; or, of a dict {path: bytes}, each value to its path.

        At most `batch_size` objects are written at a time. Further keywords are those of `pipe_file`. Raises
        IsADirectoryError for a path that ends with a slash.
        """
        self._writer.pipe(self.pipe_file, path, value, batch_size, **kwargs)

    def update(self, path: Path, fn: Callable[[bytes], bytes], max_attempts: int = 10) -> str:
        """Replace the content of an object by `fn(content)`, and return the new ETag.

        The object is read, and the new bytes are written under its ETag (`If-Match`). After a conflict it
        starts again, with a pause, `max_attempts` times in all; then it raises ObjectChangedError. So `fn`
        may be called several times. Content headers, metadata and tags stay.

        Raises FileNotFoundError; and WriteOutcomeUnknownError if an answer was lost and another version is
        there by then, because the swap may have been done and built upon. GetObject, PutObject.
        """
        return self._writer.update(path, fn, max_attempts)

    def put_if_absent(self, path: Path, data: Buffer, **kwargs: Unpack[Writing]) -> bool:
        """Create the object `path` with the bytes `data`. True if this call created it.

        False: there was an object, and it is unchanged. Of several callers at the same time, one gets True,
        because the store decides (`If-None-Match`). Further keywords are attributes of the object as in
        `pipe_file`. In a transaction it is done at once, too.

        Raises WriteOutcomeUnknownError if an answer was lost and nothing proves what happened; also if the
        object of another writer is there by then, since it may have replaced yours. Raises
        PreconditionUnsupportedError, before anything is sent, if the store ignores the condition.
        """
        with outside():
            return self._writer.put_if_absent(self.pipe_file, path, data, **kwargs)

    def touch(self, path: Path, truncate: bool = True, **kwargs: Unpack[Writing]) -> Answer:
        """Write an empty object; with `truncate=False`, only if there is no object.

        The store decides that. If there is one, it raises TouchUnsupportedError, a NotImplementedError and a
        ValueError, because S3 cannot change the time of an object. A path that ends in a slash writes the
        marker of a directory. Further keywords, and what is returned, are as in `pipe_file`. PutObject.
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
        """Upload the file `lpath` to `rpath`. PutObject, or multipart from `multipart_threshold` on.

        `mode`, `if_match`, `chunksize`, `max_concurrency`, further keywords, and what is returned and raised
        are as in `pipe_file`. `callback` counts bytes.

        `resume` is the id of an unfinished multipart upload (see `list_uploads`). Its parts are compared with
        the file and are not sent again; ValueError if they differ.

        Raises FileChangedError if the file is rewritten or becomes shorter during the upload: nothing is
        published then. Bytes that are appended to it meanwhile are left out. A pipe, a socket or a device is
        a SpecialFileError, an OSError.
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
        """Upload local files: one name, a list, a pattern, or a folder (`recursive=True`).

        They are uploaded from `lpath` to `rpath`; an `rpath` that ends in a slash is a directory. `maxdepth`
        is the number of levels of a folder. At most `batch_size` files are uploaded at a time, each as by
        `put_file`. `callback` counts files, and its branches count bytes. Further keywords are those of
        `put_file`. With the option `create_buckets`, a folder creates the bucket that it goes to, if it is
        missing.

        Raises ValueError before anything is sent if two files would become one object, and SpecialFileError,
        an OSError, for pipes, sockets and devices.
        """
        makedirs = self.makedirs if self._options.create_buckets else None
        self._uploads.put(
            self.put_file, makedirs, lpath, rpath, recursive, callback, maxdepth, batch_size, **kwargs
        )

    if not TYPE_CHECKING:  # `InheritedVerbs` has its type, with those of fsspec's attributes

        @property
        def transaction(self) -> GuardedTransaction:
            """For `with fs.transaction:`: what you write in the block is published at its end.

            After an exception in the block, none of them is published. It holds the files that this thread or
            task writes. It is the running transaction, or a new one.
            """
            return under_way(self) or self.transaction_type(self)

    def start_transaction(self) -> GuardedTransaction:
        """Begin a transaction without a `with` block; `end_transaction` ends it. Returns the transaction.

        ValueError inside another transaction of this thread or task.
        """
        if self._intrans:
            raise nested_error()
        begun = self.transaction
        begun.begin()
        return begun

    def end_transaction(self) -> None:
        """Publish the files written since `start_transaction`; or discard them, after an exception.

        Call it in the thread or task that called `start_transaction`; in another one it is a RuntimeError.
        TransactionError names the files that are published if one fails.
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
        """Copy one object inside S3, pinned to one version of the source `path1`.

        Content headers, metadata, tags, storage class and encryption of the source are copied. ACL and object
        lock are not. `mode="create"` raises FileExistsError if there is an object at `path2`; `if_match` is
        the ETag that the object at `path2` must have, else ObjectChangedError. Further keywords are
        attributes of the copy in S3's names, such as `StorageClass="GLACIER_IR"`.

        Raises FileNotFoundError, and ObjectChangedError if the source is replaced during the copy.
        HeadObject, CopyObject; UploadPartCopy above 5 GiB. If the store does not keep the pin, the bytes are
        read and sent.
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
        """Copy objects inside S3: one name, a list, a pattern, or a tree (`recursive=True`).

        They are copied from `path1` to `path2`; a `path2` that ends in a slash is a directory. `maxdepth` is
        the number of levels of a tree. Each copy is of one version of its source. At most `batch_size` copies
        run at a time (None: the option `max_concurrency`). `on_error` is "raise", or "ignore" for sources
        that vanished in the meantime, which is the default for trees. Further keywords are those of
        `cp_file`.

        Raises FileNotFoundError if a source is missing, and ObjectChangedError if one is replaced during its
        copy. ListObjectsV2, HeadObject, CopyObject.
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
        """Move objects from `path1` to `path2`: copy them, and delete the versions that were copied.

        `path1` is a name, a list, a pattern, or a tree (`recursive=True`) at most `maxdepth` levels deep. At
        most `batch_size` copies run at a time. Further keywords are those of `cp_file`. If a copy fails,
        nothing is deleted.

        An object that somebody replaced after it was copied stays, and is named by ObjectChangedError, or by
        DeleteObjectsError if there are several objects. The delete carries the condition that the store
        honours; if it honours none, a look right before each delete takes its place. Raises IsADirectoryError
        for a directory without `recursive`, and ValueError for a pattern in the place of a bucket.
        CopyObject, DeleteObjects or DeleteObject.

        Within a directory bucket (S3 Express) each object is renamed in one step instead, without a copy:
        RenameObject, under the ETag of the source, and `mode` or `if_match` for the target. After an error
        each object is at its old name or at its new one. WriteOutcomeUnknownError if an answer is lost, and
        nothing proves whether the object was renamed.
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
        """Join the objects of `filelist`, in this order, to one object at `path`. The sources stay.

        Each source is read from the one version that was looked at first, else ObjectChangedError. `mode`,
        `if_match` and further keywords are those of `pipe_file`, and so is what is returned: a dict with ETag
        and VersionId.

        UploadPartCopy, if each source but the last has at least 5 MiB and the store keeps the pin. Otherwise
        the bytes are read and sent.
        """
        return self._merger.merge(path, filelist, mode, if_match, **kwargs)

    # --- removing ----------------------------------------------------------------------------------------

    def rm_file(self, path: Path, if_match: str | None = None, version_id: str | None = None) -> None:
        """Delete one object. DeleteObject.

        `version_id` deletes that version for good; if it is a delete marker, the object comes back.
        `if_match` deletes only the version that has this ETag, else ObjectChangedError.

        Raises FileNotFoundError if there is no object and your credentials may look, and
        WriteOutcomeUnknownError if the answer to a conditional delete was lost and the version is gone.
        """
        self._remover.rm_file(path, if_match, version_id)

    def rm(
        self,
        path: Path | Iterable[Path],
        recursive: bool = False,
        maxdepth: int | None = None,
        versions: bool = False,
    ) -> list[str]:
        """Delete objects: one name, a list, what a pattern matches, or a tree (`recursive=True`).

        A tree may be a bucket, which is deleted too. Everything is looked for before the first delete:
        FileNotFoundError if something is missing, IsADirectoryError for a directory without `recursive`,
        ValueError for a pattern in the place of a bucket. `maxdepth` limits how many levels are deleted. A
        pattern without `recursive` leaves directories alone.

        In a bucket with versions, every version stays behind a delete marker. `versions=True` deletes all
        versions and delete markers for good.

        Returns the names of the objects, or versions, that were deleted. DeleteObjectsError says which keys
        could not be deleted, and why. DeleteObjects, 1,000 keys in a request.
        """
        return self._remover.rm(path, recursive, maxdepth, versions)

    def rmdir(self, path: Path) -> None:
        """Delete an empty bucket, or the marker of a directory that has no other key.

        Raises DirectoryNotEmptyError if there is more, and FileNotFoundError if there is nothing.
        DeleteBucket, DeleteObject.
        """
        self._remover.rmdir(path)

    # --- versions ----------------------------------------------------------------------------------------

    def object_version_info(self, path: Path) -> list[VersionDetails]:
        """All versions and delete markers of the object `path`, the newest first. ListObjectVersions.

        Each is a dict with Key, VersionId, IsLatest, DeleteMarker, Size (bytes), ETag, LastModified (a
        datetime in UTC) and StorageClass. In a bucket that never had versions, an object has the one version
        "null". Raises FileNotFoundError if there are none.
        """
        return self._versions.object_version_info(path)

    def restore_version(
        self, path: Path, version_id: str | None = None, if_match: str | None = None
    ) -> str | None:
        """Make an old version of an object the current one again, by a copy of it onto its own key.

        `version_id` may stand in `path` instead, as "?versionId=...". `if_match` is the ETag that the current
        version must have, else ObjectChangedError. Metadata and tags are copied.

        Returns the id of the new version; or of the old one, if it is still the current one and nothing had
        to be done. CopyObject; UploadPartCopy above 5 GiB.
        """
        return self._copier.restore_version(path, version_id, if_match)

    # --- what an object has beside its bytes -------------------------------------------------------------

    def metadata(self, path: Path, refresh: bool = False, **kwargs: Unpack[Reading]) -> dict[str, str]:
        """The user metadata of an object as a dict; names are in lower case, with hyphens. HeadObject.

        The store is always asked, so `refresh` has no effect.
        """
        return self._object_metadata.metadata(path, refresh, **kwargs)

    def getxattr(self, path: Path, attr_name: str, **kwargs: Unpack[Reading]) -> str | None:
        """The value of the user metadata named `attr_name`, None if there is none. HeadObject."""
        return self._object_metadata.getxattr(path, attr_name, **kwargs)

    def setxattr(
        self, /, path: Path, copy_kwargs: Mapping[str, Any] | None = None, **kw_args: str | None
    ) -> None:
        """Change user metadata: `fs.setxattr(path, owner="me", draft=None)`; None removes a name.

        All other names and attributes stay. `copy_kwargs` are further attributes in S3's names, such as
        {"ContentType": "text/csv"}.

        It is a copy of the object onto itself, pinned to the version that was looked at: ObjectChangedError
        if another version is there by then, PreconditionUnsupportedError if the store could not tell. An ETag
        does not cover metadata, so of two such changes at the same time, the later one wins. HeadObject,
        CopyObject.
        """
        self._object_metadata.setxattr(path, copy_kwargs, kw_args)

    def object_attributes(
        self,
        path: Path,
        attributes: Iterable[AttributeName] | None = None,
        version_id: str | None = None,
        **kwargs: Unpack[Reading],
    ) -> ObjectAttributes:
        """The checksum of an object and of its parts, their sizes, and more, without its bytes.

        `attributes` are names of S3: "ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"; None
        asks for all of them. `version_id` names an older version. Returns a dict: see `ObjectAttributes`. S3
        tells of single parts only if they were written with checksums, as this package does.

        Raises FileNotFoundError, OperationUnsupportedError if the store does not have the operation, and
        ObjectChangedError if the object is replaced while its parts are listed. GetObjectAttributes, once for
        each 1,000 parts.
        """
        return self._object_metadata.object_attributes(path, attributes, version_id, **kwargs)

    def get_tags(self, path: Path) -> dict[str, str]:
        """The tags of an object as a dict, empty if there are none. GetObjectTagging."""
        return self._object_metadata.get_tags(path)

    def put_tags(self, path: Path, tags: Mapping[str, str], mode: Literal["o", "m"] = "o") -> None:
        """Give an object `tags` and no others (`mode="o"`), or merge them into its tags (`mode="m"`).

        S3 has no condition for tags: of two merges at the same time, one can get lost. Raises
        OperationUnsupportedError, before anything is sent, if the store does not know tags. PutObjectTagging.
        """
        self._object_metadata.put_tags(path, tags, mode)

    def put_annotation(
        self, path: Path, name: str, text: str, if_match: str | None = None, version_id: str | None = None
    ) -> None:
        """Attach `text` to an object as the annotation `name`, in place of the one with this name.

        The object stays as it is, with its ETag and its time. `name` has 1 to 512 bytes of UTF-8 and does not
        begin with "aws" or "s3"; `text` has 1 byte to 1 MiB. `if_match` is the ETag that the object must
        have, else ObjectChangedError. `version_id` names an older version. An object has up to 1,000
        annotations.

        Raises OperationUnsupportedError, before anything is sent, if the store does not know annotations, as
        directory buckets. PutObjectAnnotation.
        """
        self._annotations.put(path, name, text, if_match, version_id)

    def get_annotation(self, path: Path, name: str, version_id: str | None = None) -> str:
        """The text of the annotation `name` of an object. GetObjectAnnotation.

        `version_id` names an older version. Raises FileNotFoundError if there is no such annotation or no
        such object, and OperationUnsupportedError if the store does not know annotations.
        """
        return self._annotations.get(path, name, version_id)

    def list_annotations(
        self, path: Path, prefix: str = "", version_id: str | None = None
    ) -> list[AnnotationInfo]:
        """The annotations of an object whose names begin with `prefix`: dicts, see `AnnotationInfo`.

        `version_id` names an older version. Raises as `get_annotation` does. ListObjectAnnotations.
        """
        return self._annotations.list(path, prefix, version_id)

    def delete_annotation(
        self, path: Path, name: str, if_match: str | None = None, version_id: str | None = None
    ) -> None:
        """Delete the annotation `name` of an object, for good: annotations have no versions.

        `if_match` is the ETag that the object must have, else ObjectChangedError. `version_id` names an older
        version. Raises OperationUnsupportedError, before anything is sent, if the store does not know
        annotations. DeleteObjectAnnotation.
        """
        self._annotations.delete(path, name, if_match, version_id)

    def chmod(self, path: Path, acl: CannedAcl, recursive: bool = False) -> None:
        """Give an object, a tree (`recursive=True`) or a bucket the canned ACL `acl`, say "public-read".

        Raises AccessDeniedError or InvalidRequestError if the bucket has ACLs switched off, and
        OperationUnsupportedError if the store does not know ACLs. PutObjectAcl, PutBucketAcl.
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
        """Create the bucket that `path` names; a path below a bucket needs nothing. CreateBucket.

        `region_name` is the region of the bucket (None: the option `region`). `acl` is private, public-read,
        public-read-write or authenticated-read. Raises FileExistsError if the bucket exists. With the option
        `create_buckets`, a path below a bucket creates the bucket if it is missing, or raises
        FileNotFoundError if `create_parents` is False.

        `mode` is taken because callers of pathlib pass it. S3 has no such permissions.
        """
        self._buckets.mkdir(path, create_parents, acl, region_name, mode, **kwargs)

    def makedirs(self, path: Path, exist_ok: bool = False) -> None:
        """Nothing, and no request: S3 needs no directories, and `mkdir` creates buckets.

        With the option `create_buckets` it creates the bucket of `path` if it is missing, and raises
        FileExistsError for a bucket that exists, unless `exist_ok`.
        """
        self._buckets.makedirs(path, exist_ok)

    def is_bucket_versioned(self, bucket: str) -> bool:
        """Whether versioning of a bucket is on. False if it is suspended. GetBucketVersioning."""
        return self._buckets.is_bucket_versioned(bucket)

    def make_bucket_versioned(self, bucket: str, versioned: bool = True) -> None:
        """Switch versioning of a bucket on, or suspend it (`versioned=False`).

        Existing versions stay. PutBucketVersioning. Raises OperationUnsupportedError if the store does not
        know versions.
        """
        self._buckets.make_bucket_versioned(bucket, versioned)

    def bucket_region(self, bucket: str) -> str:
        """The region of `bucket`, wherever the bucket is. HeadBucket.

        Raises FileNotFoundError if there is no such bucket.
        """
        return self._buckets.bucket_region(bucket)

    # --- uploads that were left behind, what the store honours, URLs -------------------------------------

    def list_uploads(self, path: Path) -> list[UploadInfo]:
        """The unfinished multipart uploads to `path` and below, the oldest first.

        Each is a dict with `name`, `upload_id`, `initiated` (a datetime in UTC), `age` (seconds), `size`
        (bytes), `parts` (their number) and `live` (whether a writer of this process holds it).
        ListMultipartUploads, ListParts.
        """
        return self._stale_uploads.list_uploads(path)

    def abort_uploads(self, path: Path, older_than: float | timedelta) -> list[UploadInfo]:
        """Abort the unfinished multipart uploads to `path` and below that are older than `older_than`.

        `older_than` is a number of seconds or a timedelta; a negative one is a ValueError. Uploads of running
        writers of this process are never aborted. Choose an age that no writer of another process can have: a
        writer whose upload is aborted fails.

        Returns those that were aborted, as `list_uploads` does. ListMultipartUploads, ListParts,
        AbortMultipartUpload; a last ListParts proves that no part is left.
        """
        return self._stale_uploads.abort_uploads(path, older_than)

    def list_multipart_uploads(self, bucket: str) -> list[dict[str, Any]]:
        """The unfinished multipart uploads to a bucket, each with Key, UploadId and Initiated, as in s3fs.

        `list_uploads` also tells their sizes and ages. ListMultipartUploads.
        """
        return self._stale_uploads.of_bucket(bucket)

    def clear_multipart_uploads(self, bucket: str) -> None:
        """Abort the unfinished multipart uploads to a bucket, except those of writers of this process.

        Writers of other processes fail when their upload is aborted. `abort_uploads` spares young uploads.
        ListMultipartUploads, AbortMultipartUpload.
        """
        self._stale_uploads.abort_uploads(bucket, 0)

    def abort_mpu(self, bucket: str, key: str, mpu: str) -> None:
        """Abort the multipart upload with the id `mpu` to `key` in `bucket`. AbortMultipartUpload.

        Raises ValueError for an upload that a writer of this process holds: call `discard()` of that file.
        """
        self._stale_uploads.abort_upload(bucket, key, mpu)

    def probe(self, path: Path) -> Guards:
        """Find out which conditions the store honours, by trying all on temporary keys beside `path`.

        Returns `Guards`, whose `missing()` names those that it does not honour. The temporary keys are
        removed. It takes some sixty requests. Raises AccessDeniedError if the credentials may not write or
        delete there.
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
        """A presigned URL for an object; `method` is GET, HEAD, PUT or DELETE.

        It is valid for `expiration` seconds (1 to 604,800); the name `expires` is taken too. `parameters` are
        those of the S3 operation, in boto3's names: `VersionId`, `ResponseContentType`,
        `ResponseContentDisposition` and so on for GET; `UploadId` and `PartNumber` for a part; `IfMatch`,
        `IfNoneMatch`, `ContentType`, `Metadata` and so on. The last ones are headers: they are signed, and
        whoever uses the URL has to send them. In a directory bucket a URL is valid for 300 seconds at most.
        Nothing is sent.
        """
        return self._signed_urls.sign(path, expiration, method, **parameters)

    def url(
        self, /, path: Path, expires: int = 3600, client_method: str = "get_object", **parameters: Any
    ) -> str:
        """A presigned URL for the operation `client_method` on an object, named as in boto3.

        It is valid for `expires` seconds: 1 to 604,800, in a directory bucket 300 at most. The name
        `expiration` is taken too. `parameters` are those of the operation, as for `sign`. Nothing is sent.
        """
        return self._signed_urls.url(path, expires, client_method, **parameters)

    def sign_post(
        self,
        path: Path,
        expires: int = 3600,
        fields: Mapping[str, str] | None = None,
        conditions: Iterable[Mapping[str, str] | Sequence[Any]] | None = None,
        min_size: int = 0,
        max_size: int | None = None,
        *,
        expiration: int | None = None,
    ) -> PostForm:
        """A signed HTML form by which somebody without credentials may upload one file to `path`.

        Returns a dict: `url` is where the form is sent (POST, multipart/form-data), and `fields` are its
        hidden fields, behind which the file comes as the field `file`. It is valid for `expires` seconds: 1
        to 604,800, and no longer than the credentials. `expiration` is another name of that. A `path` that
        ends with "${filename}" gets the name of the file there.

        `fields` are further fields with fixed values, such as Content-Type, acl, success_action_status or
        x-amz-meta-*. `conditions` are those of an S3 policy for fields that the sender fills in, such as
        ["starts-with", "$Content-Type", "image/"] or {"acl": "private"}; S3 refuses all other fields. The
        file may have `min_size` to `max_size` bytes (None: up to the 5 GiB that S3 takes).

        Raises OperationUnsupportedError where no form can upload: in directory buckets, by multi-region
        access points, at Cloudflare R2 and Google Cloud Storage. A form replaces what is at the key: it can
        carry no condition on that. Nothing is sent.
        """
        return self._posted_forms.sign_post(path, expires, fields, conditions, min_size, max_size, expiration)

    # --- coroutines: each is the verb of its name, made by a thread while the event loop goes on ----------

    def _reading(self) -> Callable[..., Asked[bytes] | None]:
        return self._reader.ask_file

    def _writing(self) -> Callable[..., Asked[Answer] | None]:
        return partial(self._writer.ask_file, self._intrans)

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
    _cat_file = asked_coroutine(cat_file, _reading, is_settled=False)
    _cat = coroutine(cat)
    _cat_ranges = coroutine(cat_ranges)
    _cat_ranges_into = filling_coroutine(cat_ranges_into)
    _object_version_info = coroutine(object_version_info)
    _getxattr = coroutine(getxattr)
    _object_attributes = coroutine(object_attributes)
    _get_tags = coroutine(get_tags)
    _get_annotation = coroutine(get_annotation)
    _list_annotations = coroutine(list_annotations)
    _is_bucket_versioned = coroutine(is_bucket_versioned)
    _bucket_region = coroutine(bucket_region)
    _list_uploads = coroutine(list_uploads)
    _sign = coroutine(sign)
    _url = coroutine(url)
    _sign_post = coroutine(sign_post)
    _metadata = coroutine(metadata)
    _walk = asynchronous_iterator(walk)
    _iter_find = asynchronous_iterator(iter_find)
    _iter_find_batches = asynchronous_iterator(iter_find_batches)
    # What these write, or read from a local file, is settled before a task that is cancelled goes on.
    _get_file = settled_coroutine(get_file)
    _get = settled_coroutine(get)
    _pipe_file = asked_coroutine(pipe_file, _writing, is_settled=True)
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
    _put_annotation = settled_coroutine(put_annotation)
    _delete_annotation = settled_coroutine(delete_annotation)
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

    _sizes = coroutine(sizes)

    # --- sessions, for callers of s3fs ---------------------------------------------------------------------

    def connect(self, refresh: bool = False, kwargs: Mapping[str, Any] | None = None) -> Session:
        """`set_session`, without an event loop. Returns a `Session`, which you can close.

        `refresh=True` reads the credentials again. `kwargs` has no effect, as in s3fs. Nothing is sent.
        """
        if refresh:
            self._client.close()
            self._session = Session(self._client)
        return self.session

    async def set_session(self, refresh: bool = False, kwargs: Mapping[str, Any] | None = None) -> Session:
        """Read the credentials again and connect again, if `refresh=True`. Without it, nothing is to be done.

        Connections are made when they are needed, and credentials are renewed before they expire. Returns a
        `Session` that you can close by `await session.close()`. `kwargs` has no effect, as in s3fs.
        """
        return self.connect(refresh, kwargs)

    async def _connect(self, refresh: bool = False, kwargs: Mapping[str, Any] | None = None) -> Session:
        """`set_session`, by its older name."""
        return self.connect(refresh, kwargs)

    @staticmethod
    def close_session(loop: object = None, s3: Session | None = None) -> None:
        """Close the idle connections of the filesystem whose `set_session` returned the session `s3`.

        `loop` is taken for s3fs's sake, and has no effect.
        """
        if s3 is not None:
            s3.close_now()

    def invalidate_region_cache(self) -> None:
        """Forget in which regions buckets are. The next answers of the store tell it again."""
        self._client.store.signer.forget_regions()

    _invalidate_region_cache = coroutine(invalidate_region_cache)

    def get_delegated_s3pars(self, exp: int = 3600) -> dict[str, Any]:
        """Storage options for workers, with temporary credentials in place of the key that was passed.

        They are valid for `exp` seconds, 900 at least. A key that has a `token` already is returned as it is,
        and so are the present credentials of `role_arn` and `credential_provider`, until they end.
        Without a key the answer is {"anon": False}, and workers find credentials themselves. GetSessionToken
        of STS; if the store is not AWS, of the STS that AWS_ENDPOINT_URL_STS names (ConfigurationError
        without it).
        """
        return delegated_options(self._client, self._options, exp)

    _get_delegated_s3pars = coroutine(get_delegated_s3pars)

    # --- what it was made with, in s3fs's names ------------------------------------------------------------

    @property
    def session(self) -> Session:
        """An object with a `close` method, for code that closes s3fs's session; no botocore session."""
        return self._session

    @property
    def key(self) -> str | None:
        """The access key id that was passed as an option, None if there was none."""
        return self._options.key

    @property
    def secret(self) -> str | None:
        """The secret access key that was passed as an option, None if there was none."""
        return self._options.secret

    @property
    def token(self) -> str | None:
        """The session token that was passed as an option, None if there was none."""
        return self._options.token

    @property
    def anon(self) -> bool:
        """Whether requests are sent without a signature: the option `anon`."""
        return self._options.anon

    @property
    def kwargs(self) -> dict[str, Any]:
        """What s3fs passes to its session: {"profile": ...} if a profile was passed, else an empty dict."""
        return {"profile": self._options.profile} if self._options.profile else {}

    @property
    def endpoint_url(self) -> str | None:
        """The address of the store. None for AWS, or if AWS's configuration says where the store is."""
        return self._options.endpoint_url

    @property
    def use_ssl(self) -> bool:
        """Whether the store is reached by https."""
        return not (self._options.endpoint_url or "").lower().startswith("http://")

    @property
    def client_kwargs(self) -> dict[str, Any]:
        """The option `client_kwargs` as it was passed, an empty dict if it was not."""
        return given_dict(self.storage_options, "client_kwargs")

    @property
    def config_kwargs(self) -> dict[str, Any]:
        """The option `config_kwargs` as it was passed, an empty dict if it was not."""
        return given_dict(self.storage_options, "config_kwargs")

    @property
    def s3_additional_kwargs(self) -> dict[str, Any]:
        """The option `s3_additional_kwargs` as it was passed, an empty dict if it was not."""
        return given_dict(self.storage_options, "s3_additional_kwargs")

    @property
    def req_kw(self) -> dict[str, str]:
        """The parameters that go with every request, in S3's names."""
        return {"RequestPayer": "requester"} if self._options.requester_pays else {}

    @property
    def requester_pays(self) -> bool:
        """Whether you pay for requests to requester-pays buckets: the option `requester_pays`."""
        return self._options.requester_pays

    @property
    def version_aware(self) -> bool:
        """Whether "?versionId=..." at the end of a path names a version: the option `version_aware`."""
        return self._options.version_aware

    @property
    def cache_regions(self) -> bool:
        """The option of s3fs, True if it was not passed. Regions of buckets are always remembered."""
        return bool(given(self.storage_options, "cache_regions", True))

    @property
    def max_concurrency(self) -> int:
        """How many ranges, parts or objects are requested in parallel: the option `max_concurrency`."""
        return self._options.max_concurrency

    @property
    def default_block_size(self) -> int:
        """How many bytes an open file reads ahead: the option `block_size`."""
        return self._options.block_size

    @property
    def default_cache_type(self) -> str:
        """The kind of cache of open files: the option `cache_type`."""
        return self._options.cache_type

    @property
    def default_fill_cache(self) -> bool:
        """The option of s3fs, True if it was not passed. It has no effect: `cache_type` decides."""
        return bool(given(self.storage_options, "default_fill_cache", True))

    @property
    def fixed_upload_size(self) -> bool:
        """Whether all parts of an upload have the same size: the option `fixed_upload_size`."""
        return self._options.fixed_upload_size


mapping.tell_failures(GuardedS3FileSystem)

# What help, tracebacks and pickles call them: where they can be imported from.
for _kind in (
    AsyncReader,
    AsyncWriter,
    CompressedWriter,
    GuardedFile,
    GuardedTransaction,
    GuardedWriter,
    Guards,
    PinnedReader,
    TextWriter,
):
    _kind.__module__ = __name__
