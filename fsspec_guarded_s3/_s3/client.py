"""The operations of S3 that a filesystem needs, in groups, for one store and one set of attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._values.attributes import Attributes
from .._values.keywords import check_integer
from .._values.paths import S3Path
from ..options import MAX_CONCURRENCY, Options
from .buckets import Buckets
from .checks import Checks
from .deletions import Deletions
from .exchange import Exchange
from .generations import Generations
from .listings import Listings
from .multipart import Multipart
from .object_annotations import ObjectAnnotations
from .reads import Reads
from .scheduler import Scheduler
from .slices import Slices
from .store import Store
from .subresources import Subresources
from .writes import Writes


class S3Client:
    """Operations by their names in S3, in groups: `client.reads.head_object(path)`. Thread-safe."""

    def __init__(
        self, store: Store, attributes: Attributes | None = None, options: Options | None = None
    ) -> None:
        """`attributes`, by default those of the options, go with every request that takes them.

        `options`, by default those of the store, say in which pieces bodies go, and how many at a time.
        """
        self.store = store
        self.options = store.options if options is None else options
        self.attributes = store.options.attributes() if attributes is None else attributes
        self.scheduler = Scheduler(store, self.options)
        checks = Checks(store, self.attributes)
        exchange = Exchange(store, self.attributes)
        self.reads = Reads(store, exchange, checks, self.scheduler)
        self.slices = Slices(store, exchange, self.reads)
        generations = Generations(store, self.reads.head_object)
        self.writes = Writes(store, exchange, checks, generations)
        self.deletions = Deletions(exchange, generations)
        self.multipart = Multipart(store, exchange, checks, generations)
        self.listings = Listings(store, exchange, self.scheduler)
        self.buckets = Buckets(store, exchange)
        self.subresources = Subresources(exchange)
        self.annotations = ObjectAnnotations(exchange, checks)
        self._exchange = exchange

    def __repr__(self) -> str:
        return f"<S3Client {self.options.endpoint_url or 'AWS'}>"

    def carrying(self, attributes: Attributes) -> S3Client:
        """A client of the same store with other attributes: the key of one object, say."""
        return S3Client(self.store, attributes, self.options)

    def in_pieces(
        self, chunksize: int | None, max_concurrency: int | None, *, writing: bool = False
    ) -> S3Client:
        """A client for one call, whose bodies go in pieces of `chunksize` bytes, `max_concurrency` at a time.

        None leaves what the options say. Raises TypeError, ValueError.
        """
        if chunksize is None and max_concurrency is None:
            return self
        options = _in_pieces(self.options, chunksize, max_concurrency, writing)
        return S3Client(self.store, self.attributes, options)

    def in_batches(self, batch_size: int | None) -> S3Client:
        """A client for one call about many objects, `batch_size` at a time; None and -1: as many as may be.

        Raises TypeError, ValueError.
        """
        return self if batch_size in (None, -1) else self.in_pieces(None, batch_size)

    def presigned_url(self, method: str, path: S3Path, expires: int, parameters: Mapping[str, Any]) -> str:
        """A presigned URL of an operation, both named as botocore does; valid for `expires` seconds."""
        request = self.store.signer.request_of(method, path, parameters)
        if self.options.requester_pays:
            request = replace(request, query=(*request.query, ("x-amz-request-payer", "requester")))
        return self._exchange.presign(request, expires)

    def presigned_post(
        self, path: S3Path, expires: int, conditions: Sequence[Any]
    ) -> tuple[str, dict[str, str]]:
        """Where a form is sent that uploads to `path`, and its signed fields; valid for `expires` seconds."""
        return self.store.signer.presign_post(path.bucket, expires, conditions)

    def close(self) -> None:
        """Close the idle connections of the store, and forget its credentials; later requests begin anew."""
        self.store.close()


def _in_pieces(
    options: Options, chunksize: int | None, max_concurrency: int | None, writing: bool
) -> Options:
    """`options` for one call. A piece is a range of what is read, or a part of what is written, which is
    multipart from two pieces on. Raises TypeError, ValueError.
    """
    if max_concurrency is not None:
        if check_integer("max_concurrency", max_concurrency, 1) > MAX_CONCURRENCY:
            raise ValueError(f"max_concurrency must be 1 to {MAX_CONCURRENCY}, not {max_concurrency}")
        options = replace(options, max_concurrency=max_concurrency)
    if chunksize is None:
        return options
    check_integer("chunksize", chunksize, 1)
    if not writing:
        return replace(options, range_size=chunksize)
    threshold = min(options.multipart_threshold, 2 * chunksize)
    return replace(options.with_part_size(chunksize, "chunksize"), multipart_threshold=threshold)
