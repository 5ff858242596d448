"""What must hold after every history: one function per promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fsspec_guarded_s3.errors import (
    GuardedS3Error,
    ObjectChangedError,
    PreconditionFailedError,
    WriteOutcomeUnknownError,
)

from .calls import Operation
from .facts import Facts
from .program import Outcome
from .search import Judge
from .store import KEY, SOURCE, SimulatedS3


@dataclass(frozen=True)
class Ending:
    """One call that is over: what it said, and what is known of it."""

    operation: Operation
    store: SimulatedS3
    caller: str
    outcome: Outcome

    @property
    def facts(self) -> Facts:
        return self.store.facts[self.caller]

    def failed_by(self, *kinds: type[Exception]) -> bool:
        return self.outcome.error is not None and issubclass(self.outcome.error, kinds)

    @property
    def taken(self) -> bool:
        """Whether the call said that the key was taken."""
        return self.failed_by(FileExistsError) or self.outcome.result is False

    @property
    def succeeded(self) -> bool:
        return self.outcome.error is None and self.outcome.result is not False

    @property
    def creates(self) -> bool:
        return self.operation.conditional and not self.operation.swaps

    @property
    def left(self) -> list[str]:
        """Open uploads of the call, but for those whose abort met a fault."""
        uploads = self.store.uploads.items()
        return [name for name, it in uploads if it.caller == self.caller and not it.abort_failed]


def judge(operation: Operation) -> Judge:
    """Which promises a history of `operation` breaks."""

    def broken(store: SimulatedS3, outcomes: Sequence[Outcome]) -> list[str]:
        endings = [
            Ending(operation, store, caller, outcome)
            for caller, outcome in zip(store.world.callers, outcomes, strict=True)
        ]
        found = list(the_store_is_sound(store))
        return found + [message for it in endings for promise in PROMISES for message in promise(it)]

    return broken


def the_store_is_sound(store: SimulatedS3) -> Iterator[str]:
    """At most one creator wins; every version that was ever readable is all of somebody's bytes."""
    if store.ledger.two_winners:
        yield "two creators won"
    if store.ledger.torn is not None:
        yield f"a torn object was there: {store.ledger.torn!r}"
    if store.ledger.unpinned:
        yield "a version was copied that is not the one that was looked at"


def a_winner_created(it: Ending) -> Iterator[str]:
    """Who was told to have created the object did."""
    if it.creates and it.succeeded and not it.facts.created:
        yield "a creator won who created nothing"


def success_is_true(it: Ending) -> Iterator[str]:
    """Our bytes were published by this call; those of a plain write may have been published by anybody."""
    if not it.succeeded or it.operation.moves:
        return
    facts, operation = it.facts, it.operation
    if operation.deletes:
        if not facts.deleted:
            yield "success, but we deleted nothing"
        return
    by_anybody = facts.wanted_there and not operation.conditional
    if not facts.published and not by_anybody:
        yield "success, but our bytes were never published"
    if isinstance(it.outcome.result, str) and it.outcome.result not in facts.published:
        yield "success with an ETag that is not ours"


def only_what_was_copied_is_deleted(it: Ending) -> Iterator[str]:
    """Where no condition of a delete is honoured: of what was there at the last look."""
    looks = "delete" in it.operation.ignored
    if it.operation.moves and (it.store.ledger.lost_seen if looks else it.store.ledger.lost):
        yield "a move deleted a version that it had not copied"


def what_moved_has_moved(it: Ending) -> Iterator[str]:
    """The target has a copy of ours, and the original was deleted by us, or gone."""
    if not it.operation.moves:
        return
    if it.succeeded and not (it.facts.moved and it.facts.gone):
        yield "a move succeeded, but nothing was moved"
    if it.facts.deleted and not it.facts.moved:
        yield "a move deleted what it had not copied"


def what_is_at_the_target_is_spared(it: Ending) -> Iterator[str]:
    """By a move that may only create; and it says that the target is taken only if it is."""
    if not it.operation.spares_target:
        return
    if it.store.ledger.target_lost:
        yield "a move replaced a rival's object, which it was not to"
    if it.failed_by(FileExistsError) and not it.store.ledger.target_taken:
        yield "the target was said to be taken, and was not"


def a_rename_that_shows_is_known(it: Ending) -> Iterator[str]:
    """Not unknown, where the last looks showed the original gone and ours at the target.

    Under a condition on the target equal ETags prove nothing, since here they are MD5s.
    """
    proved = it.facts.saw_moved and it.facts.looked and not it.facts.seen
    proves = it.operation.renames and not it.operation.spares_target
    if proves and proved and it.failed_by(WriteOutcomeUnknownError):
        yield "unknown, but the object was seen where it was moved to"


def false_is_definite(it: Ending) -> Iterator[str]:
    """Where False says that we created nothing, we did not."""
    if it.operation.answers and it.outcome.result is False and it.facts.applied:
        yield "the answer was False, but our write was applied"


def taken_is_true(it: Ending) -> Iterator[str]:
    """FileExistsError (and False) only if somebody else's object was there during the call."""
    if it.taken and not it.facts.others:
        yield "the key was said to be taken, but nobody else had an object there"


def _is_changed(it: Ending) -> bool:
    """Whether the object was replaced; a refused generation does not tell that from a deletion."""
    return it.operation.swaps and (it.facts.replaced or (it.operation.generations and it.facts.gone))


def changed_is_true(it: Ending) -> Iterator[str]:
    """ObjectChangedError and FileNotFoundError only if the object was replaced, or gone."""
    source_changed = it.store.ledger.source_changed
    if it.failed_by(ObjectChangedError):
        about_source = it.outcome.key == SOURCE or ("source" in it.outcome.said and it.outcome.key != KEY)
        if about_source and not source_changed:
            yield "the source was said to be replaced, and was not"
        elif not about_source and not _is_changed(it) and not source_changed:
            yield "the object was said to be replaced, and was not"
    elif it.failed_by(FileNotFoundError) and not it.facts.gone:
        yield "the object was said to be gone, and was not"


def definite_is_definite(it: Ending) -> Iterator[str]:
    """An error that leaves no doubt: our bytes were not published and never will be."""
    if it.outcome.error is None:
        return
    if not it.failed_by(GuardedS3Error):
        yield f"an error that is not ours: {it.outcome.error.__name__}: {it.outcome.said}"
    elif not it.failed_by(WriteOutcomeUnknownError) and not it.outcome.maybe_applied and it.facts.applied:
        yield f"{it.outcome.error.__name__} is definite, but our write was applied"


def doubt_is_said(it: Ending) -> Iterator[str]:
    """A write that may have been published is unknown, or lost a condition; a raw error would not tell."""
    doubtful = it.failed_by(GuardedS3Error) and it.outcome.maybe_applied and it.facts.ambiguous
    said = it.failed_by(WriteOutcomeUnknownError, PreconditionFailedError)
    if doubtful and not said and not (it.operation.deletes or it.operation.moves):
        yield f"{it.outcome} came out of a write that may have been published"


def unknown_is_needed(it: Ending) -> Iterator[str]:
    """WriteOutcomeUnknownError only where no proof could be had.

    There was an ambiguous answer; and of what was asked after the last request that could publish

    - no HEAD showed our object (by author; by content for a plain write), nor, for a create, another's;
    - an upload was not seen open (ListParts) and then aborted (204), which would prove that it never was
      completed;
    - and where our object is the current version, the last look at the key was not answered.

    A resumed upload has no token that we know: there an object of ours on condition is no proof.
    """
    if not it.failed_by(WriteOutcomeUnknownError):
        return
    facts = it.facts
    if not facts.ambiguous:
        yield "unknown, but no answer was lost"
    if it.operation.deletes or it.operation.moves or it.operation.at_end:  # bytes at the end have no author
        return
    if facts.was_open:
        yield "unknown, but the upload was proved to be open and was aborted"
    if it.operation.resumed and it.operation.conditional:
        return
    if facts.saw_ours:
        yield "unknown, but our object was seen"
    if it.creates and facts.saw_others and not it.operation.answers:  # another's may have replaced ours
        yield "unknown, but another's object was seen"
    if facts.ours_at_the_end and facts.looked:
        yield "unknown, but our object is there"


def no_upload_is_left(it: Ending) -> Iterator[str]:
    """After a definite outcome no upload is open, unless its id was lost or its abort met a fault.

    One that was resumed is kept for another try, as long as that could publish it.
    """
    if it.failed_by(WriteOutcomeUnknownError):
        return
    if it.operation.resumed and not it.succeeded and not it.failed_by(PreconditionFailedError):
        return
    for name in it.left:
        yield f"{name} was left open after a definite outcome"


def nothing_is_done_twice(it: Ending) -> Iterator[str]:
    """An increment counts once; what was acknowledged counts, and what definitely failed does not."""
    if not it.operation.counts:
        return
    final = it.store.objects.get(KEY)
    if final is None or int(final.body) != 10 + it.store.ledger.increments:
        yield "an increment was lost"
    if it.facts.applied > 1 or (it.succeeded and it.facts.applied != 1):
        yield f"one increment was acknowledged or asked for, and {it.facts.applied} were made"


PROMISES: tuple[Callable[[Ending], Iterator[str]], ...] = (
    a_winner_created,
    success_is_true,
    only_what_was_copied_is_deleted,
    what_moved_has_moved,
    what_is_at_the_target_is_spared,
    a_rename_that_shows_is_known,
    false_is_definite,
    taken_is_true,
    changed_is_true,
    definite_is_definite,
    doubt_is_said,
    unknown_is_needed,
    no_upload_is_left,
    nothing_is_done_twice,
)
