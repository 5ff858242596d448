"""The fault matrix as a document for readers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.faults.operations import OPERATIONS
from tests.faults.promises import FAULTS, GROUPS
from tests.faults.table import OUTCOMES, cells, rows

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"

PREFACE = """---
hide: [toc]
---

# Under faults

This page says what each call does when something goes wrong on its way: an answer is lost, a body is cut,
the store answers 503. It is made from the tests by `python -m tests.faults`: `tests/faults/promises.py` has
the promises, and `tests/faults/test_matrix.py` tests each of them on a real socket, for every call that a
column names. That makes {cells} cells.

How to read the tables:

- A **row** is a fault, and a **column** is a kind of request. The list above a table says which S3
  operation of which calls a column stands for. A name such as `open-xb-parts` is a call with what matters
  about it: `open(path, "xb")` of a file that is sent in parts.
- A **cell** has two words, because each fault is tried twice: once on the first request of its kind, and
  once on all of them. `ok / Lost` means that the call succeeds if the fault comes once, and raises
  `IncompleteBodyError` if it comes every time. One word stands for both.
- [The words](#the-words) and [the faults](#the-faults) have their own tables.

These rules hold in every cell:

- The object is in its old state or in its new one, never in between.
- A call reports success only if exactly the right bytes are there, or were returned.
- If `maybe_applied` of an error is False, nothing was changed.
- No multipart upload is left behind, with one exception: if the answer to CreateMultipartUpload is lost,
  nobody knows the id of the upload, and the empty upload stays. `abort_uploads` finds it.
- The local file of `get_file` is the old one or the new one, and no temporary file is left.
- Nothing hangs.

Some cells are not `ok` for these reasons:

- **A plain write** whose answers were all lost is decided by content: if the object has the same bytes, the
  write counts as done. A conditional write is proved by its token. Without such a proof the outcome is
  unknown, and the error says so.
- **A multipart upload that is still open** was not completed. It is aborted, and the error is definite.
- **A resumed upload** is kept for the next attempt. It is not aborted for a proof, so its outcome can be
  unknown.
- **A rename** has a token, by which the store knows a repetition. If all answers were lost, a target with the
  ETag of the source proves it. Under a condition on the target that counts on AWS alone, where no two
  versions have one ETag, and not on the server of these tests.
- **An append** in a directory bucket has no token either: it changes the bytes alone. If its answer was lost,
  bytes at the end may be another writer's who appended the same.
- **A delete** has no token. If its answer was lost and the version is gone, nothing proves who deleted it.
- **A bucket** has no token either. If an answer is lost, `mkdir` says that the bucket exists and that this
  call may have created it. `rmdir` says that the bucket is missing and that this call may have removed it.
- **The answer to a HEAD** has no body, so only its status says what is wrong: an expired token looks like a
  bad request (400), and a wrong clock like a refusal (403). A GET then asks for the reason. The faults of
  these tables hit the HEAD alone, so the GET finds nothing wrong here.
- **A stream** is not kept. After a 409 on its completion, your program has to write it again.
"""


def document() -> str:
    """The whole text."""
    return "\n".join([PREFACE.format(cells=f"{len(list(cells())):,}"), *_faults(), *_words(), *_groups()])


def _faults() -> Iterator[str]:
    yield "## The faults\n\n| fault | what happens |\n|---|---|"
    yield from (f"| {name} | {said} |" for name, said in FAULTS.items())
    yield ""


def _words() -> Iterator[str]:
    yield "## The words\n\n| word | outcome |\n|---|---|"
    yield "| ok | the call returns, and the result is right |"
    yield from (f"| {name} | `{kind.__name__}` |" for name, kind in OUTCOMES.items())
    yield "| A? | A, with `maybe_applied` set |"
    yield "| A or B | either of the two |"
    yield "| - | the fault cannot occur there |"
    yield ""


def _groups() -> Iterator[str]:
    for group in GROUPS:
        head, *lines = rows(group)
        yield f"## {group}\n"
        for column in head[1:]:
            yield f"- **{column}**: {_covered(column)}"
        yield f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}"
        for fault, *entries in lines:
            yield f"| {' | '.join([fault, *(entry.replace(',', ' or ') for entry in entries)])} |"
        yield ""


def _covered(column: str) -> str:
    if column == "any request":
        return "every operation of this document"
    found: dict[str, list[str]] = {}
    for operation in OPERATIONS:
        for target, name in operation.calls.items():
            if name == column:
                found.setdefault(target, []).append(f"`{operation.name}`")
    return "; ".join(f"{target} of {', '.join(names)}" for target, names in found.items())
