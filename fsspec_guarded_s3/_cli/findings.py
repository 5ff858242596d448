"""What the doctor knows and says: the one that is examined, and a finding."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .._auth.endpoints import Endpoint
from .._s3.client import S3Client
from .._s3.store import Store
from .._values.models import ListPage
from .._values.paths import S3Path
from .._write.guards import Guards
from ..errors import ResponseError
from ..options import Options

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"
_ATTEMPTS, _DEADLINE = 2, 30.0  # of one request: a doctor must not keep one waiting


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: `status` is ok, warning, failed or skipped; `remedy` may be "".

    `details` are for programs.
    """

    name: str
    status: str
    seen: str
    remedy: str = ""
    details: Mapping[str, object] = field(default_factory=dict)


Seen = tuple[str, str, str]  # status, what was seen, the remedy


def ok(seen: str) -> Seen:
    """All is as it should be."""
    return OK, seen, ""


def skipped(seen: str) -> Seen:
    """It was not looked at; `seen` says why."""
    return SKIPPED, seen, ""


def failed(seen: object, remedy: str) -> Seen:
    """What needs this cannot work."""
    return FAILED, str(seen), remedy


def warning(seen: str, remedy: str) -> Seen:
    """It works, and there is something to know."""
    return WARNING, seen, remedy


class Patient:
    """The one that is examined, and what was learned so far."""

    def __init__(self, options: Options, path: S3Path, read_only: bool) -> None:
        attempts = min(_ATTEMPTS, options.max_attempts or _ATTEMPTS)
        options = replace(
            options, max_attempts=attempts, request_deadline=min(_DEADLINE, options.request_deadline)
        )
        self.options = options
        self.path = path
        self.read_only = read_only
        self.client = S3Client(Store(options))
        self.transport = self.client.store.transport
        folder = path.key.rpartition("/")[0]
        name = f".gs3-doctor-{secrets.token_hex(8)}"
        self.trial = path.child(f"{folder}/{name}" if folder else name)
        self.endpoint: Endpoint
        self.hop: tuple[str, int]  # the first machine on the way: the store's, or a proxy
        self.proxied = False
        self.page: ListPage | None = None
        self.refusal: ResponseError | None = None
        self.headers: Mapping[str, str] = {}  # of the answer to HeadBucket
        self.request_id = ""
        self.server_date = ""
        self.guards: Guards | None = None
        self.details: Mapping[str, object] = {}  # of the check that is under way

    @property
    def code(self) -> str:
        """The code with which the store refused the first request, "" when it did not."""
        return self.refusal.code if self.refusal else ""

    def is_denied_without_reason(self) -> bool:
        """Whether nothing was granted so far, by a store of which nobody knows what else AccessDenied means.

        AWS says it after it has found the key, the signature and the bucket to be right.
        """
        is_known = bool(self.headers) or self.client.store.is_aws(self.path.bucket)
        return self.code == "AccessDenied" and not is_known
