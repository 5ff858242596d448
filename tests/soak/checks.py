"""What must hold when a soak has ended: the journals against what the store holds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from tests.fake_s3 import FakeS3
from tests.soak.records import (
    BUCKET,
    COMMITS,
    COUNTERS,
    LARGE_LOG,
    SMALL_LOG,
    OwnKeys,
    Record,
    commit_path,
    identify,
    text_of,
)
from tests.soak.store import Store
from tests.soak.worker import soak_filesystem

SHARED = ("commit", "update", "append")


def check(journals: Iterable[Iterable[Record]], store: Store) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Count (operation, outcome), and list every violation."""
    counts: Counter[tuple[str, str]] = Counter()
    found: list[str] = []
    shared: dict[str, list[Record]] = defaultdict(list)
    for journal in journals:
        keys = OwnKeys()
        for record in journal:
            counts[record.operation, record.outcome] += 1
            if record.outcome == "violation":
                found.append(f"{record.operation}: {record.error}")
            elif record.operation in SHARED:
                shared[record.path].append(record)
            elif record.path:
                found += filter(None, [keys.apply(record)])
        found += _own_keys(keys, store.fake)
    found += _commits({path: shared[path] for path in shared if path.startswith(COMMITS)}, store.fake)
    for path in COUNTERS:
        found += _counter(path, shared[path], store.fake)
    for path in (SMALL_LOG, LARGE_LOG):
        found += _log(path, shared[path], store.fake)
    return counts, found


def _stored(path: str, fake: FakeS3) -> bytes | None:
    bucket, _, key = path.partition("/")
    stored = fake.objects.get((bucket, key))
    return None if stored is None else stored.body


def _identity(content: bytes | None) -> str | None:
    if content is None:
        return None
    try:
        return identify(content)
    except ValueError as error:
        return str(error)


def _identities(records: list[Record], outcome: str) -> set[str]:
    return {record.identity for record in records if record.outcome == outcome and record.identity}


def _own_keys(keys: OwnKeys, fake: FakeS3) -> list[str]:
    found = []
    for path in keys.paths():
        identity, possible = _identity(_stored(path, fake)), keys.possible(path)
        if identity not in possible:
            found.append(f"{path} holds {identity}, it should be one of {sorted(map(str, possible))}")
    return found


def _commits(records: dict[str, list[Record]], fake: FakeS3) -> list[str]:
    """One winner a number, it is there, and no number is left out."""
    found = []
    prefix = COMMITS.partition("/")[2] + "/"
    there = sorted(key for bucket, key in list(fake.objects) if bucket == BUCKET and key.startswith(prefix))
    if [f"{BUCKET}/{key}" for key in there] != [commit_path(number) for number in range(1, len(there) + 1)]:
        found.append(f"the {len(there)} commits have a gap")
    for path, tries in records.items():
        identity = _identity(_stored(path, fake))
        won, unknown = _identities(tries, "ok"), _identities(tries, "unknown")
        if len(won) > 1:
            found.append(f"{path} was won by {sorted(won)}")
        if identity not in (won or unknown or {None}):
            found.append(
                f"{path} holds {identity}; it was won by {sorted(won)}, unknown are {sorted(unknown)}"
            )
    return found


def _counter(path: str, records: list[Record], fake: FakeS3) -> list[str]:
    value = int(text_of(_stored(path, fake) or b""))
    least = len(_identities(records, "ok"))
    most = least + len(_identities(records, "unknown"))
    return [] if least <= value <= most else [f"{path} is {value}, not from {least} to {most}"]


def _log(path: str, records: list[Record], fake: FakeS3) -> list[str]:
    """Every acknowledged line once, every failed one never, every unknown one once at most."""
    try:
        lines = Counter(text_of(stored) for stored in (_stored(path, fake) or b"").splitlines(keepends=True))
    except ValueError as error:
        return [f"{path}: {error}"]
    found = [f"{path} has {text} {count} times" for text, count in lines.items() if count > 1]
    known = _identities(records, "ok") | _identities(records, "unknown")
    filler = {text for text in lines if text.startswith("#")}
    found += [f"{path} lost {text}" for text in sorted(_identities(records, "ok") - set(lines))]
    found += [f"{path} has {text}, which failed" for text in sorted(set(lines) - known - filler)]
    return found


def check_uploads(url: str, store: Store) -> tuple[int, list[str]]:
    """How many uploads are left: only empty ones whose id nobody got may be, and they can be aborted."""
    found = []
    left = dict(store.fake.uploads)
    for upload_id, upload in left.items():
        if upload.parts or upload_id not in store.lost_uploads:
            found.append(f"{upload_id} of {upload.key} is left with {len(upload.parts)} parts")
    aborted = soak_filesystem(url).abort_uploads(BUCKET, older_than=0)
    if len(aborted) != len(left) or store.fake.uploads:
        found.append(f"abort_uploads removed {len(aborted)} of {len(left)} uploads")
    return len(left), found
