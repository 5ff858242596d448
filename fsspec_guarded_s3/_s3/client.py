"""The operations of S3 that a filesystem needs, in groups, for one store and one set of attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .._values.attributes import Attributes
from .._values.paths import S3Path
from .buckets import Buckets
from .checks import Checks
from .deletions import Deletions
from .exchange import Exchange
from .generations import Generations
from .listings import Listings
from .multipart import Multipart
from .reads import Reads
from .scheduler import Scheduler
from .slices import Slices
from .store import Store
from .subresources import Subresources
from .writes import Writes


class S3Client:
    """Operations by their names in S3, in groups: `client.reads.head_object(path)`. Thread-safe."""

    def __init__(self, store: Store, attributes: Attributes | None = None) -> None:
        """`attributes`, by default those of the options, go with every request that takes them."""
        self.store = store
        self.options = store.options
        self.attributes = store.options.attributes() if attributes is None else attributes
        self.scheduler = Scheduler(store)
        checks = Checks(store, self.attributes)
        exchange = Exchange(store, self.attributes)
        self.reads = Reads(store, exchange, checks, self.scheduler)
        self.slices = Slices(store, exchange, self.reads)
        generations = Generations(store, self.reads.head_object)
        self.writes = Writes(store, exchange, checks, generations)
        self.deletions = Deletions(exchange, generations)
        self.multipart = Multipart(exchange, checks, generations)
        self.listings = Listings(store, exchange, self.scheduler)
        self.buckets = Buckets(store, exchange)
        self.subresources = Subresources(exchange)
        self._exchange = exchange

    def __repr__(self) -> str:
        return f"<S3Client {self.options.endpoint_url or 'AWS'}>"

    def carrying(self, attributes: Attributes) -> S3Client:
        """A client of the same store with other attributes: the key of one object, say."""
        return S3Client(self.store, attributes)

    def presigned_url(self, method: str, path: S3Path, expires: int, parameters: Mapping[str, Any]) -> str:
        """A presigned URL of an operation, both named as botocore does; valid for `expires` seconds."""
        request = self.store.signer.request_of(method, path, parameters)
        if self.options.requester_pays:
            request = replace(request, query=(*request.query, ("x-amz-request-payer", "requester")))
        return self._exchange.presign(request, expires)

    def close(self) -> None:
        """Close the idle connections of the store, and forget its credentials; later requests begin anew."""
        self.store.close()
