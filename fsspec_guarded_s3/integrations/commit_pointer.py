"""A pointer: one object whose value changes by compare-and-swap, and whose version never comes again.

Theory of operation. An ETag stands for content, so a swap by ETag alone does not notice a value that changed
and changed back (ABA). Here the object holds the value, a version number that grows by one, and a random
token of the writer. So no content comes again, and no ETag does.

A swap whose answer was lost is settled by reading. Each version also has the tokens of the versions before
it, the last 32: so a writer finds out whether its swap was done also where others have built upon it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._fs.transaction import outside
from .._values.keywords import check_integer, check_type
from .._values.tracebacks import short_tracebacks
from .._work import pause
from ..errors import (
    GuardedS3Error,
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    PreconditionFailedError,
    WriteOutcomeUnknownError,
)
from ..filesystem import GuardedS3FileSystem
from .commit_records import ATTRIBUTES, check_keys, name_of, new_token, parsed, record

_REMEMBERED = 32  # tokens of versions before
_TRIES = 3  # of one swap whose answers are lost; each has the attempts of the filesystem
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0  # seconds between two swaps of `update`


@dataclass(frozen=True)
class PointerState:
    """What a pointer held: its `value`, its number `version`, the writer's `token`, and the `etag`.

    `before` has the tokens of earlier versions, {version: token}, and `origin` is that of version 1. `etag`
    is "" of a swap that was done and replaced before anybody looked.
    """

    value: Any
    version: int
    token: str
    etag: str
    origin: str
    before: dict[int, str]

    @property
    def tokens(self) -> dict[int, str]:
        """The tokens of this version and of those before it that it remembers."""
        return {**self.before, self.version: self.token}


class Pointer:
    """A value in one object, `path`, that changes by compare-and-swap. The same value again is a new version.

    `fs` is a GuardedS3FileSystem. Values are what JSON can hold. Nothing is sent before the first call. A
    pointer can be pickled, shared between threads, and used after a fork. Nobody else may write the object.
    """

    def __init__(self, fs: GuardedS3FileSystem, path: str) -> None:
        self.path = name_of(fs, path)
        self.fs = fs

    def __repr__(self) -> str:
        return f"<Pointer {self.path}>"

    @short_tracebacks
    def read(self) -> PointerState:
        """What it holds now. FileNotFoundError before it was created. GetObject."""
        try:
            with self.fs.open(self.path) as file:
                body = file.read()
                etag = file.etag
        except ObjectNotFoundError as error:
            if error.code == "NoSuchKey":  # and not that there is no bucket
                error.message = "there is no pointer: Pointer.create makes one"
            raise
        return _state(self.path, body, etag)

    @short_tracebacks
    def create(self, value: Any) -> PointerState:
        """Create it with `value`, as version 1. FileExistsError if it is there. PutObject."""
        check_keys("value", value)
        token = new_token()
        return self._write(PointerState(value, 1, token, "", token, {}), mode="create")

    @short_tracebacks
    def swap(self, value: Any, expected: PointerState) -> PointerState:
        """Replace the state `expected` by `value`. Returns the new state.

        Raises ObjectChangedError if another writer was faster: yours was not written, and never will be.
        FileNotFoundError if the pointer was deleted. WriteOutcomeUnknownError if answers were lost, and what
        is there now does not say what became of yours: it was deleted, or changed more than 32 times since,
        or cannot be read. PreconditionUnsupportedError, before anything is sent, if the store ignores
        conditions. PutObject.
        """
        check_type("expected", expected, PointerState)
        check_keys("value", value)
        if not expected.etag:
            raise ValueError("expected has no etag: it was replaced already, and read() tells by what")
        before = dict(list(expected.tokens.items())[-_REMEMBERED:])
        new = PointerState(value, expected.version + 1, new_token(), "", expected.origin, before)
        return self._write(new, if_match=expected.etag)

    @short_tracebacks
    def update(self, fn: Callable[[Any], Any], max_attempts: int = 10) -> PointerState:
        """Replace the value by `fn(value)`, and return the new state. `fn` may be called several times.

        After a conflict it starts again, with a pause, `max_attempts` times in all; then it raises
        ObjectChangedError. Raises what `swap` raises. GetObject, PutObject.
        """
        if not callable(fn):
            raise TypeError(f"fn must be a function of the value, not {type(fn).__name__}")
        check_integer("max_attempts", max_attempts, 1)
        for attempt in range(max_attempts):
            if attempt:
                pause(random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)))
            state = self.read()
            value = fn(state.value)
            try:
                return self.swap(value, state)
            except ObjectChangedError as error:
                last = error
        raise last

    def _write(self, new: PointerState, **condition: Any) -> PointerState:
        """Write `new` under the condition. The error of the store if it is not there and never will be."""
        body = _body(new)
        doubt: GuardedS3Error | None = None
        for _ in range(_TRIES):
            try:
                with outside():
                    etag = self.fs.pipe_file(self.path, body, **condition, **ATTRIBUTES)["ETag"]
                return _state(self.path, body, etag)
            except GuardedS3Error as error:
                if doubt is None and not error.maybe_applied:
                    raise
                doubt = doubt or error
                refusal = error
            try:
                found = self.read()
            except ObjectNotFoundError:
                if new.version == 1:  # the request may still arrive: it is sent again, with the same token
                    continue
                break
            except GuardedS3Error:
                break
            if found.tokens.get(new.version) == new.token:
                return _state(self.path, body, found.etag if found.version == new.version else "")
            if new.version == 1 and found.version == 1:
                raise self._lost(ObjectExistsError, found, refusal) from doubt
            if found.origin != new.origin:  # it was deleted, and created again
                break
            if new.version in found.tokens:  # of another: the state that ours was to replace is gone for ever
                raise self._lost(ObjectChangedError, found, refusal) from doubt
            if found.version != new.version - 1:
                break
        raise self._unknown(new) from doubt

    def _lost(
        self, kind: type[PreconditionFailedError], found: PointerState, refusal: GuardedS3Error
    ) -> PreconditionFailedError:
        bucket, key, _ = self.fs.split_path(self.path)
        return kind(
            f"another writer was faster: version {found.version} is there now",
            bucket=bucket,
            key=key,
            operation=refusal.operation,
            status=refusal.status,
        )

    def _unknown(self, new: PointerState) -> WriteOutcomeUnknownError:
        bucket, key, _ = self.fs.split_path(self.path)
        return WriteOutcomeUnknownError(
            f"answers were lost, and nothing says whether version {new.version} was written: it was if that "
            f"version has, or had, the token {new.token}",
            bucket=bucket,
            key=key,
            maybe_applied=True,
            version=new.version,
            token=new.token,
        )


def _body(state: PointerState) -> bytes:
    before = [[version, token] for version, token in state.before.items()]
    tokens = {"token": state.token, "origin": state.origin, "before": before}
    return record("pointer", version=state.version, **tokens, value=state.value)


def _state(path: str, body: bytes, etag: str) -> PointerState:
    fields = parsed("pointer", path, body)
    try:
        before = {int(version): str(token) for version, token in fields["before"]}
        version, token, origin = int(fields["version"]), str(fields["token"]), str(fields["origin"])
        return PointerState(fields["value"], version, token, etag, origin, before)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path} is not a pointer: something else has written it") from None
