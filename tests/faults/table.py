"""The promises read as cells, each of which is a test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fsspec_guarded_s3 import errors
from tests.faults.operations import OPERATIONS, Operation
from tests.faults.promises import FAULTS, GROUPS

OUTCOMES: dict[str, type[BaseException]] = {
    "Lost": errors.IncompleteBodyError,
    "Timeout": errors.ReadTimeoutError,
    "Connect": errors.ConnectError,
    "Protocol": errors.ProtocolError,
    "Sum": errors.ChecksumMismatchError,
    "Range": errors.RangeNotSatisfiableError,
    "Server": errors.ServerError,
    "Throttled": errors.ThrottledError,
    "Conflict": errors.ConflictError,
    "Failed": errors.PreconditionFailedError,
    "Exists": FileExistsError,
    "Missing": FileNotFoundError,
    "Changed": errors.ObjectChangedError,
    "Unsupported": errors.PreconditionUnsupportedError,
    "Unknown": errors.WriteOutcomeUnknownError,
    "Partly": errors.TransactionError,
    "Invalid": errors.InvalidRequestError,
    "Denied": errors.AccessDeniedError,
}


@dataclass(frozen=True)
class Outcome:
    """The `names` that are allowed: "ok", or those of `OUTCOMES`; "?" asks for `maybe_applied`."""

    names: tuple[str, ...]

    def allows(self, error: BaseException | None) -> bool:
        """Whether a call may end with `error` (None: it returned)."""
        if error is None:
            return "ok" in self.names
        for name in self.names:
            if name == "ok" or not isinstance(error, OUTCOMES[name.rstrip("?")]):
                continue
            if not name.endswith("?") or getattr(error, "maybe_applied", False):
                return True
        return False


@dataclass(frozen=True)
class Cell:
    """One call under one fault. `target` is the request that is hit, "" the first of all (or all)."""

    operation: Operation
    target: str
    fault: str
    lasting: bool
    outcome: Outcome

    @property
    def id(self) -> str:
        parts = (self.operation.name, self.target.replace(" ", "-") or "any", self.fault)
        return "/".join((*parts, "all" if self.lasting else "first"))


def rows(group: str) -> list[list[str]]:
    """The table of a group, its head first."""
    return [[entry.strip() for entry in line.split("|")] for line in GROUPS[group].strip().splitlines()]


def _promises() -> dict[tuple[str, str], str]:
    """(column, fault) -> entry."""
    found: dict[tuple[str, str], str] = {}
    for group in GROUPS:
        head, *lines = rows(group)
        for fault, *entries in lines:
            found.update({(column, fault): entry for column, entry in zip(head[1:], entries, strict=True)})
    return found


def cells() -> Iterator[Cell]:
    """The whole matrix."""
    promises = _promises()
    for operation in OPERATIONS:
        for target, column in {**operation.calls, "": "any request"}.items():
            for fault in FAULTS:
                entry = promises.get((column, fault), "-")
                if entry == "-":
                    continue
                first, _, every = entry.partition(" / ")
                for lasting, names in ((False, first), (True, every or first)):
                    if names == "-":
                        continue
                    yield Cell(operation, target, fault, lasting, Outcome(tuple(names.split(","))))
