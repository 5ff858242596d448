"""Which guards a store honours: found out by trials when a write needs to know, one guard at a time.

A store that ignores a condition answers 200 and overwrites, so trying is the only way to know. Answers are
kept by where the requests go; a fault that passes is no answer and is not kept. Invariant: nobody waits for a
trial but those who need its answer.
"""

from __future__ import annotations

import copy
import logging
import time
from concurrent.futures import Future, wait
from dataclasses import dataclass, fields, replace

from .._s3.client import S3Client
from .._s3.store_facts import StoreFacts
from .._values.conditions import Condition
from .._values.paths import S3Path
from .._work import TURN, check
from ..errors import (
    AccessDeniedError,
    EncryptionUnsupportedError,
    GuardedS3Error,
    ObjectNotFoundError,
    OperationUnsupportedError,
    PreconditionUnsupportedError,
)
from .trials import Trial

logger = logging.getLogger("fsspec_guarded_s3")
_MAX_TRIALS = 3  # trials of a bucket that changes meanwhile


@dataclass(frozen=True, slots=True)
class Guards:
    """What a store honours. False: it ignores the condition, or refuses the request that carries it.

    `create` and `swap` are If-None-Match and If-Match on PutObject, the same `_on_complete` and `copy_`;
    `delete` is If-Match on DeleteObject, `delete_many` the ETags in DeleteObjects, `pinned_get` If-Match on
    GetObject; `copy_source` is the pin of CopyObject, `copy_source_parts` that of UploadPartCopy; `token`
    says that user metadata is kept, by which a write whose answer was lost is recognised.
    """

    create: bool = True
    swap: bool = True
    create_on_complete: bool = True
    swap_on_complete: bool = True
    delete: bool = True
    delete_many: bool = True
    pinned_get: bool = True
    copy_source: bool = True
    copy_source_parts: bool = True
    copy_create: bool = True
    copy_swap: bool = True
    token: bool = True

    def missing(self) -> tuple[str, ...]:
        """The names of the guards that are not there."""
        return tuple(field.name for field in fields(self) if not getattr(self, field.name))


GUARDS = tuple(field.name for field in fields(Guards))


def require_guard(
    client: S3Client, path: S3Path, condition: Condition, *, multipart: bool, copy: bool = False
) -> Condition:
    """`condition` as this store understands it on this kind of write.

    Raises PreconditionUnsupportedError when the store would ignore it.
    """
    if not condition:
        return condition
    name = "create" if condition.create else "swap"
    name = f"copy_{name}" if copy else f"{name}_on_complete" if multipart else name
    require(client, path, name)
    unquoted = not condition.create and name in client.store.facts(path.bucket).unquoted
    return replace(condition, unquoted=True) if unquoted else condition


def require(client: S3Client, path: S3Path, name: str) -> None:
    """Raise PreconditionUnsupportedError when the store does not honour the guard `name`."""
    if not _known(client, path, name):
        reason = client.store.dialect(path.bucket).lacking.get(name, "")
        raise PreconditionUnsupportedError(
            f"the store does not honour the condition of this request ({name}, as a probe found out): "
            "nothing was sent, since it could have overwritten another writer's object"
            + (f". {reason}" if reason else ""),
            bucket=path.bucket,
            key=path.key,
        )


def require_operation(client: S3Client, path: S3Path, operation: str) -> None:
    """Raise OperationUnsupportedError when the store takes `operation` for one on the object itself."""
    if not _known(client, path, operation):
        raise OperationUnsupportedError(
            f"the store does not know {operation}, as a probe found out: nothing was sent, since it would "
            "have replaced or deleted the object",
            bucket=path.bucket,
            key=path.key,
            operation=operation,
        )


def honours(client: S3Client, path: S3Path, name: str) -> bool | None:
    """Whether the store honours the guard `name`, for callers that have another way where it does not.

    None where the credentials may not find out. Raises the error of a store that cannot say at the moment;
    nothing of the caller's was sent then.
    """
    try:
        return _known(client, path, name)
    except AccessDeniedError as error:
        logger.info("what the store honours cannot be found out: %s", error)
        return None


def has_operation(client: S3Client, path: S3Path, operation: str) -> bool:
    """Whether the store has `operation`, for callers that have another way where it does not.

    False also where the credentials may not find out. Raises as `honours` does.
    """
    if client.store.facts(path.bucket).guard(operation) is False:  # also where nothing is tried
        return False
    return bool(honours(client, path, operation))


def learn_missing(client: S3Client, path: S3Path, operation: str) -> None:
    """The store itself said that it does not have `operation`: it is not asked again for a while."""
    facts = client.store.facts(path.bucket)
    with facts.lock:
        facts.guards[operation] = False, time.monotonic()


def trusts(client: S3Client, bucket: str) -> bool:
    """Whether nothing is to be tried: the option `probe` says so."""
    mode = client.options.probe
    return mode == "never" or (mode == "auto" and client.store.is_aws(bucket))


def _known(client: S3Client, path: S3Path, name: str) -> bool:
    if trusts(client, path.bucket):
        return True
    facts = client.store.facts(path.bucket)
    found = facts.guard(name)
    return _find_out(client, path, name, facts) if found is None else found


def keeps_tokens(client: S3Client, path: S3Path) -> bool:
    """Whether an object without a token proves that another writer made it; False when that is not known."""
    try:
        return _known(client, path, "token")
    except GuardedS3Error:
        return False


def probe(client: S3Client, path: S3Path) -> Guards:
    """Try every condition on small temporary objects beside `path`, and remove them.

    Raises AccessDeniedError when the credentials may not write, read or delete there, and the error of a
    store that cannot say at the moment.
    """
    with _Explained(path), Trial(client, path) as trial:
        return Guards(**{name: _answer(client, path, name, trial) for name in GUARDS})


def _find_out(client: S3Client, path: S3Path, name: str, facts: StoreFacts) -> bool:
    """Try the guard, or wait for whoever does so already."""
    while True:
        with facts.lock:
            found = facts.guard(name)
            if found is not None:
                return found
            whose, future = facts.running.setdefault(name, (client.options, Future()))
            is_first = not future.running() and future.set_running_or_notify_cancel()
        if is_first:
            return _try_for_all(client, path, name, facts, future)
        while not wait([future], TURN).done:
            check()
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, GuardedS3Error) and whose == client.options:  # else it may be theirs alone
            raise copy.copy(error)


def _try_for_all(client: S3Client, path: S3Path, name: str, facts: StoreFacts, future: Future[bool]) -> bool:
    try:
        with _Explained(path), Trial(client, path) as trial:
            found = _answer(client, path, name, trial)
    except BaseException as error:
        _end(name, facts, future)
        # A copy has no traceback, which would keep all frames of the caller alive.
        future.set_exception(copy.copy(error) if isinstance(error, GuardedS3Error) else RuntimeError())
        raise
    _end(name, facts, future)
    future.set_result(found)
    return found


def _end(name: str, facts: StoreFacts, future: Future[bool]) -> None:
    with facts.lock:
        if facts.running.get(name, (None, None))[1] is future:
            del facts.running[name]


def _answer(client: S3Client, path: S3Path, name: str, trial: Trial) -> bool:
    """The answer of a trial, kept while the bucket is what it was."""
    for _ in range(_MAX_TRIALS):
        facts = client.store.facts(path.bucket)
        found = _shown(trial, name)
        if client.store.facts(path.bucket) is not facts:  # an answer showed that it is talked to otherwise
            continue
        with facts.lock:
            if trial.age not in (facts.age, -1):
                continue
            facts.guards[name] = found, time.monotonic()
            (facts.unquoted.add if trial.unquoted else facts.unquoted.discard)(name)
            return found
    return False


def _shown(trial: Trial, name: str) -> bool:
    """What trials of a guard show together: "no" only if the second shows it, too.

    Somebody who removes or replaces temporary objects (a job that cleans up) spoils a trial. Where one trial
    stands against another, a third decides: a guard that holds now and then is none.
    """
    try:
        if trial.run(name):
            return True
    except ObjectNotFoundError as error:
        if error.code == "NoSuchBucket":
            raise
        logger.info("a probe is made again, since what it made is not there: %s", error)
    return trial.run(name) and trial.run(name)


class _Explained:
    """Says of an error that a probe had it, and that nothing of the caller's was written."""

    def __init__(self, path: S3Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, GuardedS3Error):
            return
        error.maybe_applied = False
        if isinstance(error, AccessDeniedError):
            error.message = (
                f"the probe of the store's guards was refused ({error.message}): it has to put, get and "
                f"delete temporary keys beside {self._path}. Allow that, or pass probe='never' where the "
                "store is known to honour conditions"
            )
        elif isinstance(error, EncryptionUnsupportedError):  # it speaks of a temporary object, which is gone
            error.message = f"{error.message.partition(':')[0]} of a temporary object: nothing was written"
        else:
            error.message = (
                f"the probe of the store's guards failed, and nothing was written: {error.message}"
            )
