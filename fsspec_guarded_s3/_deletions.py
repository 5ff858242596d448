"""DeleteObject and DeleteObjects: of a key, of a version, and of many of them by one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from . import _xml
from ._checksums import body_crc
from ._deadline import Deadline
from ._errors import GuardedS3Error, ServerError, ThrottledError
from ._exchange import Exchange
from ._models import Request, quoted
from ._optional_headers import md5_header
from ._paths import S3Path, is_directory_bucket
from ._refusals import refusal_of
from ._store import Store


class Deletions:
    """DeleteObject and DeleteObjects. Thread-safe."""

    def __init__(self, store: Store, exchange: Exchange) -> None:
        self._store = store
        self._exchange = exchange

    def delete_object(self, path: S3Path, if_match: str | None = None) -> str | None:
        """DeleteObject; a key that is not there is no error to S3, unless `if_match` names its ETag.

        Returns the version id of the delete marker or of the version that was deleted, where there is one.
        """
        headers = {"if-match": quoted(if_match)} if if_match else {}
        request = Request(
            "DeleteObject",
            "DELETE",
            path.bucket,
            path.key,
            path.version_query,
            headers,
            idempotent=not if_match,
            retry_on_conflict=True,
        )
        return self._exchange.send(request).headers.get("x-amz-version-id")

    def delete_objects(self, bucket: str, etags: Mapping[str, str | None]) -> dict[str, GuardedS3Error]:
        """DeleteObjects of up to 1,000 keys; where an ETag is given only of that version, if the store
        honours it.

        Returns the error of each key that was not deleted; those that may pass are tried again before.
        """
        left, failed = dict(etags), dict[str, GuardedS3Error]()

        def once() -> None:
            errors = self._delete_once(bucket, left)
            for key in left:
                before = failed.pop(key, None)
                if before is not None and key in errors:
                    errors[key].maybe_applied = True
            failed.update(errors)
            passing = [
                key for key, error in errors.items() if isinstance(error, (ServerError, ThrottledError))
            ]
            for key in left.keys() - set(passing):
                del left[key]
            if passing:
                raise errors[passing[0]]

        try:
            self._store.retry.repeat_while(lambda error: error in failed.values(), once)
        except GuardedS3Error:
            if not failed:  # the request itself, the first time
                raise
        return failed

    def _delete_once(self, bucket: str, etags: Mapping[str, str | None]) -> dict[str, GuardedS3Error]:
        rows = self._delete(bucket, _xml.delete_body(etags))
        return {error.key: error for error in rows}

    def delete_versions(self, bucket: str, versions: Sequence[tuple[str, str]]) -> list[GuardedS3Error]:
        """DeleteObjects of up to 1,000 (key, version id), for good; returns the error of each that stayed."""
        return self._delete(bucket, _xml.delete_versions_body(versions))

    def _delete(self, bucket: str, body: bytes) -> list[GuardedS3Error]:
        headers = {"content-type": "application/xml"}
        if is_directory_bucket(bucket):  # which knows no MD5
            headers |= body_crc(body).headers()
        else:
            headers |= md5_header(body)
        request = Request(
            "DeleteObjects", "POST", bucket, query=(("delete", ""),), headers=headers, body=body
        )
        attempts: list[Deadline] = []

        def attempt(deadline: Deadline) -> list[tuple[str, str, str]]:
            attempts.append(deadline)
            return self._exchange.once(request, lambda answer: _xml.parse_deleted(answer.body), deadline)

        rows = self._exchange.repeat(request, attempt)
        errors = [
            refusal_of(replace(request, key=key), 200, {"Code": code, "Message": said}, {})
            for key, code, said in rows
        ]
        for error in errors:  # an attempt before may have deleted it, and somebody written it again
            error.maybe_applied = len(attempts) > 1
        return list(errors)
