"""What the promises have to know of a history. It is part of the state that the search compares."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """What one call of ours did and saw. Nothing but `applied` changes after the call is over."""

    over: bool = False
    applied: int = 0  # changes of the key that are ours, also those that land later
    created: bool = False  # one of them was a conditional create
    deleted: bool = False  # one of them was a delete
    published: frozenset[str] = frozenset()  # the ETags of our objects
    moved: frozenset[bytes] = frozenset()  # what we published at the target of a move
    wanted_there: bool = False  # somebody, whoever it was, published bytes that we were to publish
    others: bool = False  # somebody else's object was there
    replaced: bool = False  # and it was not the one from before the call
    gone: bool = False  # there was no object for a time
    ours_at_the_end: bool = False
    ambiguous: bool = False  # an answer to a request that publishes was lost, and no proof came since
    # Since the last request that could publish:
    saw_ours: bool = False
    saw_others: bool = False
    looked: bool = False  # the last look at the key was answered
    seen: str = ""  # the ETag that it showed
    saw_moved: bool = False  # the last look at the target of a move showed what we moved there
    saw_open: bool = False  # ListParts showed the upload
    was_open: bool = False  # and the abort that followed found it there: it was never completed


@dataclass(frozen=True)
class Ledger:
    """What happened to the key, whoever did it."""

    free: bool
    winner: bool = False  # a create was applied since the key was free
    two_winners: bool = False
    torn: bytes | None = None  # an object that is not all of anybody's bytes
    increments: int = 0
    source_changed: bool = False
    unpinned: bool = False  # a version was copied that was not the one that was looked at
    lost: bool = False  # a move deleted a version that it had not copied
    target_taken: bool = False  # a rival wrote to the target of a move
    target_lost: bool = False  # and a rename replaced that
    lost_seen: bool = False  # and which was there when it looked for the last time
