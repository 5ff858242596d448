"""The tables of docs/store-setup.md: what your calls do on a store that was tried, from what was kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.documents import DOCS, between
from tests.real_stores.checking import Outcome
from tests.real_stores.table import Result, read

DOCUMENT = DOCS / "store-setup.md"
STORES = ("ceph", "garage", "localstack", "seaweedfs", "versitygw")
END = "<!-- honours:end -->"
REFUSED = "no: `PreconditionUnsupportedError`, and nothing is sent"
READ_AND_SENT = "this filesystem reads the bytes under the pin, and sends them"


class _Row(NamedTuple):
    """What is called, the row of the results that decides, and what to say where that is not `yes`.

    Without `otherwise`, the kind of failure is said.
    """

    call: str
    title: str
    otherwise: str = ""
    honoured: str = "yes"


ROWS = (
    _Row(
        '`put_if_absent`, `open(path, "xb")`, `mode="create"`',
        "create: `If-None-Match` on PUT",
        REFUSED,
    ),
    _Row("the same for objects of `multipart_threshold` or more", "create on Complete", REFUSED),
    _Row('`if_match=` of a write, `update`, `open(path, "ab")`', "swap: `If-Match` on PUT", REFUSED),
    _Row(
        "the same for objects of `multipart_threshold` or more, also before an append",
        "swap on Complete",
        REFUSED,
    ),
    _Row("`rm_file(path, if_match=)`", "`If-Match` on DELETE", REFUSED),
    _Row("`cp_file`, `copy`", "pin of CopyObject", READ_AND_SENT, "the store copies, under the pin"),
    _Row(
        "copies above 5 GiB",
        "pin of UploadPartCopy",
        READ_AND_SENT,
        "the store copies, part by part, under the pin",
    ),
    _Row("versions of objects", "versions: read, listed, restored, removed"),
    _Row("tags", "tags: set, merged, kept by copies, `update` and parts"),
    _Row("encryption by a key of the store (SSE-S3)", "encryption by the store's key (SSE-S3)"),
    _Row("encryption by a key of yours (SSE-C)", "encryption by your key (SSE-C)"),
)


def begin(name: str) -> str:
    """The mark before the table of a store."""
    return f"<!-- honours:{name} -->"


def table(result: Result) -> str:
    """What was tried, and a row for each kind of call."""
    found = {outcome.title: outcome for group in result.outcomes.values() for outcome in group}
    rows = [*_rows(found)]
    rows.insert(5, f"| `mv` | {_move(found)} |")
    tried = f"**Tried** with {' '.join(result.heading.split())}, built and run by `make stores`."
    return "\n".join([tried, "", "| you call | what happens |", "|---|---|", *rows])


def _rows(found: dict[str, Outcome]) -> Iterator[str]:
    for row in ROWS:
        outcome = found[row.title]
        yield f"| {row.call} | {_said(row, outcome)} |"


def _said(row: _Row, outcome: Outcome) -> str:
    if outcome.word == "yes":
        return row.honoured
    no = row.otherwise or f"no: {_failure(outcome.reason)}"
    return f"yes; of an upload in parts {no}" if "of an upload in parts" in outcome.reason else no


def _failure(reason: str) -> str:
    """In a few words what became of it, of a `reason` in the results."""
    if "log warning" in reason:
        return "the store does not confirm it, and a warning in the log says so"
    status = re.search(r"[45]\d\d \w+", reason)
    errors = re.findall(r"`(\w+Error)`", reason)
    if not errors:
        raise ValueError(f"say what {reason!r} is")
    return f"`{errors[0]}`" + (f", because the store answers {status[0]}" if status else "")


def _move(found: dict[str, Outcome]) -> str:
    if found["ETags in DeleteObjects"].word == "yes":
        return "deletes only the versions that it copied, up to 1,000 in a request"
    if found["`If-Match` on DELETE"].word == "yes":
        return "deletes only the version that it copied, one in a request"
    return "looks right before each delete; an object that is written in between is deleted"


def document(before: str) -> str:
    """`before` with each table made anew. Raises ValueError where a mark or a result is missing."""
    for name in STORES:
        result = read(name)
        if result is None or result.missing:
            raise ValueError(f"there is no run of {name}")
        before = between(before, begin(name), END, table(result))
    return before
