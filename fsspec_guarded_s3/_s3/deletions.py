"""DeleteObject and DeleteObjects: of a key, of a version, and of many of them by one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .._values.checksums import body_crc
from .._values.deadline import Deadline
from .._values.models import Request, quoted
from .._values.paths import S3Path, is_directory_bucket
from ..errors import GuardedS3Error, ServerError, ThrottledError
from . import xml_answers, xml_bodies
from .exchange import Exchange
from .optional_headers import md5_header
from .refusals import refusal_of
from .store import Store

_PASSING = (ServerError, ThrottledError)  # of one key: the next attempt may fare better


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

        Returns the error of each key that was not deleted; those that may pass are tried again before, within
        the attempts that the request has.
        """
        left, failed, attempts = dict(etags), dict[str, GuardedS3Error](), 0

        def attempt(deadline: Deadline) -> None:
            nonlocal attempts
            attempts += 1
            errors = {
                error.key: error
                for error in self._delete_once(bucket, xml_bodies.delete_body(left), deadline)
            }
            for (
                error
            ) in errors.values():  # an attempt before may have deleted it, and somebody written it again
                error.maybe_applied = attempts > 1
            passing = {key: error for key, error in errors.items() if isinstance(error, _PASSING)}
            for key in left:
                failed.pop(key, None)
            failed.update(errors)
            for key in left.keys() - passing.keys():
                del left[key]
            if passing:
                raise next(iter(passing.values()))

        try:
            self._exchange.repeat(_many(bucket, b""), attempt)
        except GuardedS3Error as error:
            if not failed:  # the request itself, the first time
                raise
            for key in left if error.maybe_applied else ():
                failed[key].maybe_applied = True
        return failed

    def delete_versions(self, bucket: str, versions: Sequence[tuple[str, str]]) -> list[GuardedS3Error]:
        """DeleteObjects of up to 1,000 (key, version id), for good; returns the error of each that stayed."""
        attempts = 0

        def attempt(deadline: Deadline) -> list[GuardedS3Error]:
            nonlocal attempts
            attempts += 1
            return self._delete_once(bucket, xml_bodies.delete_versions_body(versions), deadline)

        errors = self._exchange.repeat(_many(bucket, b""), attempt)
        for error in errors:
            error.maybe_applied = attempts > 1
        return errors

    def _delete_once(self, bucket: str, body: bytes, deadline: Deadline) -> list[GuardedS3Error]:
        """One attempt of DeleteObjects; the error of each key that stayed."""
        request = _many(bucket, body)
        rows = self._exchange.once(request, lambda answer: xml_answers.parse_deleted(answer.body), deadline)
        return [
            refusal_of(replace(request, key=key), 200, {"Code": code, "Message": message}, {})
            for key, code, message in rows
        ]


def _many(bucket: str, body: bytes) -> Request:
    headers = {"content-type": "application/xml"}
    if is_directory_bucket(bucket):  # which knows no MD5
        headers |= body_crc(body).headers()
    else:
        headers |= md5_header(body)
    return Request("DeleteObjects", "POST", bucket, query=(("delete", ""),), headers=headers, body=body)
