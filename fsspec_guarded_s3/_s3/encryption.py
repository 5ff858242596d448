"""Whether an answer confirms the encryption that its request asked for.

S3 names it in the answer to everything that reads or writes bytes. A store that knows nothing of it stores or
reads them as they are, and answers 200. https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from .._values.models import Request
from ..errors import EncryptionUnsupportedError

logger = logging.getLogger("fsspec_guarded_s3")
SSE = "x-amz-server-side-encryption"
KEY_MD5 = SSE + "-customer-key-md5"
_ALGORITHM = SSE + "-customer-algorithm"
_PUBLISHING = frozenset({"PutObject", "CopyObject"})
_TELLING = _PUBLISHING | {"CreateMultipartUpload", "UploadPart", "UploadPartCopy", "GetObject", "HeadObject"}
_warned: set[str] = set()  # buckets


def confirm(request: Request, key_md5: str, headers: Mapping[str, str]) -> None:
    """Compare what was asked for with `headers` of the answer; `key_md5` is that of a customer's key, or "".

    Raises EncryptionUnsupportedError for a customer's key, and for a KMS, of which nothing is said: both are
    about who may read. SSE-S3 (AES256) is about the disks of the store: there it is a warning, once a bucket.
    """
    if request.operation not in _TELLING:
        return
    if key_md5 and not (headers.get(_ALGORITHM) and _is_each(key_md5, headers.get(KEY_MD5, key_md5))):
        raise _refusal(request, "SSECustomerKey")
    asked, confirmed = request.headers.get(SSE, ""), headers.get(SSE, "")
    if asked.startswith("aws:kms") and not confirmed.startswith("aws:kms"):
        raise _refusal(request, f"ServerSideEncryption={asked!r}")
    if asked and not confirmed and request.bucket not in _warned:
        _warned.add(request.bucket)
        logger.warning(
            "the store said nothing of ServerSideEncryption=%r in %s: it may not know it",
            asked,
            request.bucket,
        )


def _is_each(wanted: str, said: str) -> bool:
    """Whether a header says this; SeaweedFS sends it twice, which arrives as one with a comma."""
    return all(value.strip() == wanted for value in said.split(","))


def _refusal(request: Request, asked: str) -> EncryptionUnsupportedError:
    published = request.operation in _PUBLISHING
    consequence = (
        "the object was written, and is not encrypted so: delete it" if published else "nothing was written"
    )
    if request.method in ("GET", "HEAD"):
        consequence = "the object is not encrypted so, or the store ignores it"
    return EncryptionUnsupportedError(
        f"the store did not confirm {asked}: {consequence}",
        bucket=request.bucket,
        key=request.key,
        operation=request.operation,
        maybe_applied=published,
    )
