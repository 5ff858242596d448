"""DeleteObject and DeleteObjects: of a key, of a version, and of many of them by one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .._values.checksums import body_crc, md5_header
from .._values.conditions import UNCONDITIONAL, Condition
from .._values.deadline import Deadline
from .._values.models import Request
from .._values.paths import S3Path, is_directory_bucket
from ..errors import GuardedS3Error, ObjectNotFoundError, ServerError, ThrottledError
from . import xml_answers, xml_bodies
from .exchange import Exchange
from .generations import Generations
from .refusals import refusal_of

_PASSING = (ServerError, ThrottledError)  # of one key: the next attempt may fare better


class Deletions:
    """DeleteObject and DeleteObjects. Thread-safe."""

    def __init__(self, exchange: Exchange, generations: Generations) -> None:
        self._exchange = exchange
        self._generations = generations

    def delete_object(self, path: S3Path, condition: Condition = UNCONDITIONAL) -> str | None:
        """DeleteObject; a key that is not there is no error, unless `condition` names the ETag of an object.

        Returns the version id of the delete marker or of the version that was deleted, where there is one.
        """
        condition = self._generations.pinned(path, condition)
        request = Request(
            "DeleteObject",
            "DELETE",
            path.bucket,
            path.key,
            path.version_query,
            condition.headers(),
            idempotent=not condition,
            retry_on_conflict=True,
            condition=condition,
        )
        try:
            with self._generations.explained(path, condition):
                return self._exchange.send(request).headers.get("x-amz-version-id")
        except ObjectNotFoundError as error:  # Google Cloud Storage; S3 says 204
            if condition or path.version_id is not None or error.code != "NoSuchKey":
                raise
            return None

    def delete_objects(self, bucket: str, etags: Mapping[str, str | None]) -> dict[str, GuardedS3Error]:
        """DeleteObjects of up to 1,000 keys; where an ETag is given only of that version, if the store
        honours it.

        Returns the error of each key that was not deleted; those that may pass are tried again before, within
        the attempts that the request has.
        """
        left, failed, made = dict(etags), dict[str, GuardedS3Error](), 0
        request = _delete_request(bucket, b"")

        def attempt(deadline: Deadline) -> None:
            nonlocal made
            made += 1
            errors = self._delete_once(bucket, xml_bodies.delete_body(left), deadline, made)
            for key in left:
                failed.pop(key, None)
            failed.update({error.key: error for error in errors})
            passing = {error.key: error for error in errors if isinstance(error, _PASSING)}
            for key in left.keys() - passing.keys():
                del left[key]
            if passing:
                error = next(iter(passing.values()))
                self._exchange.refused(request, error)
                raise error

        try:
            self._exchange.repeat(request, attempt)
        except GuardedS3Error as error:
            if not failed:  # the request itself, the first time
                raise
            for key in left if error.maybe_applied else ():
                failed[key].maybe_applied = True
        return failed

    def delete_versions(self, bucket: str, versions: Sequence[tuple[str, str]]) -> list[GuardedS3Error]:
        """DeleteObjects of up to 1,000 (key, version id), for good; returns the error of each that stayed."""
        body, made = xml_bodies.delete_versions_body(versions), 0

        def attempt(deadline: Deadline) -> list[GuardedS3Error]:
            nonlocal made
            made += 1
            return self._delete_once(bucket, body, deadline, made)

        return self._exchange.repeat(_delete_request(bucket, body), attempt)

    def _delete_once(self, bucket: str, body: bytes, deadline: Deadline, made: int) -> list[GuardedS3Error]:
        """The attempt number `made` at DeleteObjects; the error of each key that stayed."""
        request = _delete_request(bucket, body)
        rows = self._exchange.once(request, lambda answer: xml_answers.parse_deleted(answer.body), deadline)
        errors: list[GuardedS3Error] = []
        for key, code, text in rows:
            error = refusal_of(replace(request, key=key), 200, {"Code": code, "Message": text}, {})
            # An attempt before may have deleted it, and somebody written it again.
            error.maybe_applied = made > 1
            errors.append(error)
        return errors


def _delete_request(bucket: str, body: bytes) -> Request:
    headers = {"content-type": "application/xml"}
    if is_directory_bucket(bucket):  # which knows no MD5
        headers |= body_crc(body).headers()
    else:
        headers |= md5_header(body)
    return Request("DeleteObjects", "POST", bucket, query=(("delete", ""),), headers=headers, body=body)
