"""What a check is, and what became of it: yes, no with the reason, or WRONG where a promise broke.

A check is a function of a place. It returns None for yes, or the words of a yes that needs some. It raises
`No`, or an error of the filesystem that says what the store does not do: that is a no. A failed assertion,
and any other error, is WRONG: then a promise of ours, or of S3, did not hold.
"""

from __future__ import annotations

import re
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from botocore.exceptions import ClientError

from fsspec_guarded_s3 import (
    GuardedS3Error,
    OperationNotImplementedError,
    OperationUnsupportedError,
    PreconditionUnsupportedError,
    WriteOutcomeUnknownError,
)
from tests.real_stores.place import Place

SECONDS = 420  # of one check; it would take a tenth of that on an idle machine
Run = Callable[[Place], "str | None"]


class No(Exception):
    """The store does not do it; the message says what it does instead."""


class TookTooLong(BaseException):
    """A check that hangs."""


@dataclass(frozen=True)
class Check:
    """One row of the table."""

    title: str
    run: Run
    is_quick: bool = False
    needs_buckets: bool = False


@dataclass(frozen=True)
class Outcome:
    """What one check found: `word` is yes, no or WRONG."""

    title: str
    word: str
    reason: str = ""
    seconds: float = 0.0


CHECKS: list[Check] = []


def check(title: str, *, quick: bool = False, needs_buckets: bool = False) -> Callable[[Run], Run]:
    """Make a function a row. `quick` ones run with the tests; `needs_buckets` ones make buckets."""

    def register(run: Run) -> Run:
        CHECKS.append(Check(title, run, quick, needs_buckets))
        return run

    return register


def outcome_of(checked: Check, place: Place) -> Outcome:
    """Run one check."""
    began = time.monotonic()
    word, reason = _verdict(checked, place)
    return Outcome(checked.title, word, _plain(reason, place), round(time.monotonic() - began, 1))


def _verdict(checked: Check, place: Place) -> tuple[str, str]:
    try:
        with _Bounded():
            return "yes", checked.run(place) or ""
    except No as no:
        return "no", str(no)
    except OperationNotImplementedError as error:
        return "no", f"`{type(error).__name__}`: {said(error)}"
    except (PreconditionUnsupportedError, OperationUnsupportedError) as error:
        return "no", f"refused before anything is sent: `{type(error).__name__}`"
    except WriteOutcomeUnknownError as error:
        return "no", f"`WriteOutcomeUnknownError`, after {said(error.__cause__ or error)}"
    except GuardedS3Error as error:
        return "no", f"`{type(error).__name__}`: {said(error)}"
    except ClientError as error:
        return "no", f"{error.operation_name} by boto3: {code_of(error)}"
    except AssertionError as error:
        return "WRONG", f"{error}" or _where(error)
    except TookTooLong:
        return "WRONG", f"it did not end within {SECONDS} s"
    except Exception as error:
        return "WRONG", f"`{type(error).__name__}`: {error} ({_where(error)})"


def said(error: BaseException) -> str:
    """The store's own words, in short."""
    told = [getattr(error, name, None) for name in ("status", "code")]
    return " ".join(str(word) for word in told if word) or getattr(error, "message", str(error))


def code_of(error: ClientError) -> str:
    """Status and code of an error of boto3."""
    answer = error.response
    status, code = answer["ResponseMetadata"].get("HTTPStatusCode", ""), answer["Error"].get("Code", "")
    return str(code) if str(code) == str(status) else f"{status} {code}"


def _where(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.name}: {last.line}"


def _plain(reason: str, place: Place) -> str:
    """One short line without what differs from run to run."""
    text = " ".join(reason.split())
    text = re.sub(r"check-[0-9a-f]{12}", "bucket", text)
    text = re.sub(r"\b[0-9a-f]{12}/", "", text)
    if place.root:
        text = text.replace(place.root.partition("/")[0], "bucket")
    return text.replace("|", r"\|")[:300]


class _Bounded:
    """Ends a check that hangs, in the main thread of POSIX systems."""

    def __enter__(self) -> None:
        self.is_on = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGALRM")
        if self.is_on:
            self.before = signal.signal(signal.SIGALRM, self._end)
            signal.alarm(SECONDS)

    def __exit__(self, *_: object) -> None:
        if self.is_on:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, self.before)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        raise TookTooLong
