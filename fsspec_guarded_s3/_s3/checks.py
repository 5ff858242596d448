"""Checksums that travel with bodies: which are sent, and which are compared.

As the options say, and as a store was found to take them.
"""

from __future__ import annotations

from functools import cached_property

from .._values.attributes import Attributes
from .._values.bodies import RequestBody
from .._values.checksums import Crc, body_crc, is_digest, md5_header
from .._values.paths import is_directory_bucket
from .store import Store
from .store_facts import is_any_refusing


class Checks:
    """The checksum headers of one client. Thread-safe."""

    def __init__(self, store: Store, attributes: Attributes) -> None:
        self._store = store
        self.algorithm = attributes.checksum_algorithm()
        self.is_named = "ChecksumAlgorithm" in attributes.names  # by the user: it is never left out
        self._comparing_buckets: set[str] = set()  # buckets whose store compares the CRC of whole objects

    def __repr__(self) -> str:
        return f"<Checks {self.algorithm}>"

    @cached_property
    def verifies(self) -> bool:
        """Whether what is read is compared with the stored checksum. Raises ConfigurationError."""
        wanted = self._store.options.verify_checksums
        if wanted is None:
            return not self._store.signer.is_when_required("response_checksum_validation")
        return wanted

    @cached_property
    def _md5_instead(self) -> bool:
        """Whether Content-MD5 is to take the place of the CRCs, for stores that refuse these."""
        wanted = self._store.options.request_checksum_calculation
        if wanted is None:
            return self._store.signer.is_when_required("request_checksum_calculation")
        return wanted == "when_required"

    def of_body(
        self, operation: str, bucket: str, data: RequestBody, *, by_md5: bool = False
    ) -> tuple[Crc | None, dict[str, str]]:
        """The CRC of a body and the headers by which the store compares it; no CRC where MD5 stands in.

        It does where the store takes no CRC, and with `by_md5`, unless an algorithm was asked for by name.
        """
        by_md5 = (by_md5 and not self.is_named) or self._has_no_crc(operation, bucket)
        if by_md5 and not is_directory_bucket(bucket):
            return None, md5_header(data)
        crc = body_crc(data, self.algorithm)
        headers = crc.headers()
        if operation == "PutObject":  # as botocore sends it: buckets with Object Lock look for this name
            headers["x-amz-sdk-checksum-algorithm"] = self.algorithm.upper()
        return crc, headers

    def _has_no_crc(self, operation: str, bucket: str) -> bool:
        """Whether the store takes no CRC with a body, as it is configured or was found out."""
        if self.is_named or self._md5_instead or not self._store.dialect(bucket).compares_crc:
            return not self.is_named
        refused = self._store.facts(bucket).refused.get(operation, ()) if is_any_refusing() else ()
        return f"x-amz-checksum-{self.algorithm}" in refused

    def of_upload(self, bucket: str) -> dict[str, str]:
        """The headers of CreateMultipartUpload that ask for the CRC of the whole object to be compared.

        AWS says in its answer that it will; other stores take that CRC for one of CRCs (MinIO #20944), or
        refuse to be asked.
        """
        if not self.is_named and (self._md5_instead or not self._store.dialect(bucket).combines_crc):
            return {}
        kind = "COMPOSITE" if is_digest(self.algorithm) else "FULL_OBJECT"
        return {"x-amz-checksum-algorithm": self.algorithm.upper(), "x-amz-checksum-type": kind}

    def learn(self, bucket: str, checksum_type: str) -> None:
        """An answer about an upload to `bucket` named the type of its checksum, "" where it named none."""
        if checksum_type == "FULL_OBJECT":
            self._comparing_buckets.add(bucket)
        else:
            self._comparing_buckets.discard(bucket)

    def of_complete(self, bucket: str, crc: Crc | None) -> dict[str, str]:
        """The headers of CompleteMultipartUpload with the CRC of all parts, where the store compares it."""
        if crc is None or bucket not in self._comparing_buckets:
            return {}
        return {**crc.headers(), "x-amz-checksum-type": "FULL_OBJECT"}
