"""What the store honours, found out by trying: which guards it lacks, and what that means for which verbs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict

from .._write.guards import Guards, probe
from .._write.races import Race
from .._write.races import race as run_race
from .findings import Patient, Seen, ok, skipped, warning

REFUSED = "refused with PreconditionUnsupportedError, and nothing is sent"
# By the names in `Guards`: what needs the guard, and what happens to it where the guard is missing.
MEANING: dict[str, tuple[str, str]] = {
    "create": ("mode='create', put_if_absent, open 'xb'", REFUSED),
    "swap": ("if_match= of a write, update, open 'ab', setxattr", REFUSED),
    "create_on_complete": ("mode='create' and open 'xb' from multipart_threshold on", REFUSED),
    "swap_on_complete": ("if_match= and open 'ab' from multipart_threshold on", REFUSED),
    "delete": ("rm_file(if_match=)", f"{REFUSED}; mv looks right before each delete"),
    "delete_many": ("mv of many", "one delete per object, under If-Match where that is honoured"),
    "pinned_get": ("reads", "as safe as elsewhere: the ETag of each answer is compared here"),
    "copy_source": ("cp_file, mv, setxattr", "the bytes are read under the pin, and sent"),
    "copy_source_parts": ("open 'ab', copies above 5 GiB", "the bytes are read under the pin, and sent"),
    "copy_create": ("cp_file(mode='create')", "the bytes are read and sent under the condition of a write"),
    "copy_swap": ("cp_file(if_match=)", "the bytes are read and sent under the condition of a write"),
    "token": ("a write whose answer was lost", "WriteOutcomeUnknownError, since nothing can prove it"),
}


def guards(patient: Patient) -> Seen:
    """Which conditions the store honours."""
    if patient.read_only:
        return skipped("read-only")
    patient.guards = found = probe(patient.client, patient.trial)
    missing = found.missing()
    meaning = {name: {"verbs": MEANING[name][0], "then": _then(name, missing)} for name in missing}
    patient.details = {"honoured": asdict(found), "missing": meaning}
    if not missing:
        return ok("all are honoured")
    lines = [f"{name}: {told['verbs']}: {told['then']}" for name, told in meaning.items()]
    return warning(f"not honoured: {', '.join(missing)}", "\n".join(lines))


def _then(name: str, missing: Collection[str]) -> str:
    """What happens to the verbs of a missing guard. Copies have another way by the guard of a write alone."""
    return REFUSED if name.startswith("copy_") and name.removeprefix("copy_") in missing else MEANING[name][1]


def race(patient: Patient) -> Seen:
    """Whether conditions hold between writers that come at once, where they are honoured at all."""
    if patient.read_only:
        return skipped("read-only")
    if patient.client.store.is_aws(patient.path.bucket):
        return skipped("AWS decides one after the other")
    found = patient.guards or Guards()
    wanted = {"create": found.create, "swap": found.swap}
    races = {name: _run(patient, create=name == "create") for name, honoured in wanted.items() if honoured}
    patient.details = {name: {"rounds": result.rounds, "lost": result.lost} for name, result in races.items()}
    if not races:
        return skipped("no condition of a write is honoured")
    lost = [f"{name}: in {result.lost} of {result.rounds}" for name, result in races.items() if result.lost]
    if lost:
        return warning(
            f"several writers at once are told that they succeeded ({'; '.join(lost)} rounds)",
            "the store compares and writes in two steps: rely on its conditions with one writer per key only",
        )
    if not any(result.rounds for result in races.values()):
        return skipped("the store answered too little to tell")
    return ok(f"one writer of several at once wins ({', '.join(races)})")


def _run(patient: Patient, *, create: bool) -> Race:
    name = "create" if create else "swap"
    unquoted = name in patient.client.store.facts(patient.trial.bucket).unquoted
    return run_race(patient.client, patient.trial, create=create, unquoted=unquoted and not create)
