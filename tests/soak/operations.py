"""What one thread of a soak does: one random operation after the other, each written to its journal."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3.errors import (
    ConflictError,
    GuardedS3Error,
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    ServerError,
    ThrottledError,
    TransactionError,
    TransportError,
    WriteOutcomeUnknownError,
)
from tests.soak.records import (
    BUCKET,
    COMMITS,
    COUNTERS,
    LARGE_LOG,
    SMALL_LOG,
    Journal,
    OwnKeys,
    Record,
    commit_path,
    identify,
    line,
    payload,
    text_of,
)

MIB = 2**20
KEYS = [f"key-{number}" for number in range(10)]
LARGE_KEYS = ["large-0", "large-1"]
# Others would mean that we sent nonsense, or misread an answer.
EXPECTED = (
    ConflictError,
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    ServerError,
    ThrottledError,
    TransportError,
    WriteOutcomeUnknownError,
)


class _OnPurpose(Exception):
    """Ends a transaction that is to publish nothing."""


class Actor:
    """One thread. `shared` is used by all threads of the process, `own` by this one, for transactions.

    Its keys are written by nobody else, so their content is known; counters, logs and commits are shared.
    """

    def __init__(
        self,
        name: str,
        everybody: list[str],
        shared: GuardedS3FileSystem,
        own: GuardedS3FileSystem,
        folder: Path,
        seed: int,
    ) -> None:
        self.name, self.everybody, self.shared, self.own = name, everybody, shared, own
        self.local = folder / f"{name}.bin"
        self.journal = Journal(folder / f"{name}.jsonl")
        self.keys = OwnKeys()
        self.dice = random.Random(f"{seed} {name}")
        self.made = 0
        self.commit_number = 1
        self.kinds: dict[str, tuple[Callable[[], None], float]] = {
            "read": (self.read, 20),
            "list": (self.list, 4),
            "write": (self.write, 14),
            "multipart": (self.multipart, 2),
            "create": (self.create, 7),
            "commit": (self.commit, 14),
            "swap": (self.swap, 6),
            "update": (self.update, 10),
            "append": (self.append, 8),
            "delete": (self.delete, 6),
            "copy": (self.copy, 6),
            "transaction": (self.transaction, 4),
        }

    def step(self, kind: str | None = None) -> None:
        """One operation, of a random kind unless `kind` says which."""
        if kind is None:
            kind = self.dice.choices(list(self.kinds), [weight for _, weight in self.kinds.values()])[0]
        try:
            self.kinds[kind][0]()
        except Exception as error:  # to be told at the end; the soak goes on
            self.violation(kind, f"{type(error).__name__}: {error}")

    def violation(self, operation: str, text: str) -> None:
        self.journal.write(Record(operation, "violation", error=text))

    # Helpers

    def _identity(self) -> str:
        self.made += 1
        return f"{self.name}-{self.made}"

    def _path(self, key: str | None = None) -> str:
        return f"{BUCKET}/own/{self.name}/{key or self.dice.choice(KEYS)}"

    def _known(self) -> list[tuple[str, str]]:
        """Own keys of which the content is certain, with its identity; not the large ones."""
        certain = [(path, self.keys.possible(path)) for path in self.keys.paths() if "large" not in path]
        return [
            (path, found)
            for path, names in certain
            if len(names) == 1
            for found in names
            if found is not None
        ]

    def _size(self) -> int:
        return self.dice.choice((0, 1, 100, 5_000, 20_000, MIB + 7))

    def _judged(self, operation: str, call: Callable[[], object]) -> tuple[str, str]:
        """Make the call; returns its outcome and the class of its error."""
        try:
            call()
        except GuardedS3Error as error:
            if not isinstance(error, EXPECTED):
                self.violation(operation, f"{type(error).__name__}: {error}")
            unknown = isinstance(error, WriteOutcomeUnknownError) or error.maybe_applied
            return ("unknown" if unknown else "failed"), type(error).__name__
        return "ok", ""

    def _note(self, record: Record) -> None:
        self.journal.write(record)
        if record.path.startswith(f"{BUCKET}/own/"):
            self.keys.apply(record)

    def _change(
        self, operation: str, path: str, identity: str | None, call: Callable[[], object], needs: str = ""
    ) -> None:
        """A change of an own key."""
        outcome, error = self._judged(operation, call)
        self._note(Record(operation, outcome, path, identity, error, needs))

    # Kinds

    def read(self) -> None:
        fs, name = self.shared, self.dice.choice(self.everybody)
        path = f"{BUCKET}/own/{name}/{self.dice.choice(KEYS if self.dice.random() < 0.95 else LARGE_KEYS)}"
        content: list[bytes] = []

        def opened() -> None:
            with fs.open(path, "rb") as file:
                content.append(file.read(7) + file.read())

        def downloaded() -> None:
            fs.get_file(path, self.local)
            content.append(self.local.read_bytes())

        def ranges() -> None:
            content.append(b"".join(fs.cat_ranges([path, path], [0, 9], [9, None], 0, on_error="raise")))

        def whole() -> None:
            content.append(fs.cat_file(path))

        outcome, error = self._judged("read", self.dice.choice((opened, downloaded, ranges, whole)))
        identity = identify(content[0]) if content else None
        failed = "failed" if outcome == "unknown" else outcome
        if name == self.name:
            self._note(Record("read", failed, path, identity, error))
        else:
            self.journal.write(Record("read", failed, error=error))

    def list(self) -> None:
        """All commits, which must be there without a gap, or the own keys."""
        found: list[str] = []
        folder = self.dice.choice((COMMITS, f"{BUCKET}/own/{self.name}"))
        outcome, error = self._judged("list", lambda: found.extend(self.shared.find(folder)))
        self.journal.write(Record("list", "failed" if outcome == "unknown" else outcome, error=error))
        if outcome != "ok":
            return
        if folder == COMMITS:
            if found != [commit_path(number) for number in range(1, len(found) + 1)]:
                self.violation("list", f"a gap in {len(found)} commits")
            self.commit_number = max(self.commit_number, len(found) + 1)
            return
        for path in self.keys.paths():
            possible = self.keys.possible(path)
            if (path in found and possible == {None}) or (path not in found and None not in possible):
                self.violation("list", f"{path} is {'' if path in found else 'not '}listed: {possible}")

    def write(self) -> None:
        identity, path, fs = self._identity(), self._path(), self.shared
        data = payload(identity, self._size())

        def opened() -> None:
            with fs.open(path, "wb") as file:
                file.write(data[:10])
                file.write(data[10:])

        call = self.dice.choice((partial(fs.pipe_file, path, data), self._put_file(path, data), opened))
        self._change("write", path, identity, call)

    def _put_file(self, path: str, data: bytes) -> Callable[[], None]:
        self.local.write_bytes(data)
        return partial(self.shared.put_file, str(self.local), path)

    def multipart(self) -> None:
        identity, path, fs = self._identity(), self._path(self.dice.choice(LARGE_KEYS)), self.shared
        data = payload(identity, self.dice.randint(5 * MIB, 11 * MIB))
        needs = "absent" if self.dice.random() < 0.3 else ""

        def opened() -> None:
            with fs.open(path, "xb" if needs else "wb") as file:
                file.write(data)

        piped = partial(fs.pipe_file, path, data, mode="create" if needs else "overwrite")
        put = self._put_file(path, data)
        self._change(
            "multipart", path, identity, self.dice.choice((opened, piped) if needs else (put, opened)), needs
        )

    def create(self) -> None:
        identity, path = self._identity(), self._path()
        data = payload(identity, self._size())
        self._change(
            "create", path, identity, partial(self.shared.pipe_file, path, data, mode="create"), "absent"
        )

    def commit(self) -> None:
        """Race for the next number, as writers of a table do: who loses takes the one after it."""
        for _ in range(4):
            identity, path = self._identity(), commit_path(self.commit_number)
            won: list[bool] = []
            outcome, error = self._judged(
                "commit",
                lambda path=path, identity=identity, won=won: won.append(
                    self.shared.put_if_absent(path, payload(identity, 20))
                ),
            )
            if won == [False]:
                outcome, error = "failed", "taken"
            self.journal.write(Record("commit", outcome, path, identity, error))
            self.commit_number += bool(won)  # after an error the number may still be free
            if won == [True]:
                return

    def swap(self) -> None:
        known = self._known()
        if not known:
            return self.write()
        path, _before = self.dice.choice(known)
        identity, fs = self._identity(), self.shared
        data = payload(identity, self._size())
        etag = ""

        def look() -> None:
            nonlocal etag
            etag = fs.info(path)["ETag"]

        outcome, error = self._judged("swap", look)
        if outcome != "ok":
            self._note(Record("swap", "failed", path, identity, error))
            return
        self._change("swap", path, identity, partial(fs.pipe_file, path, data, if_match=etag), "present")

    def update(self) -> None:
        """Add one to a counter that all share."""
        path, identity = self.dice.choice(COUNTERS), self._identity()
        call = partial(self.shared.update, path, lambda old: line(str(int(text_of(old)) + 1)))
        outcome, error = self._judged("update", call)
        self.journal.write(Record("update", outcome, path, identity, error))

    def append(self) -> None:
        """One line to a log that all share; again when somebody else was faster."""
        path = LARGE_LOG if self.dice.random() < 0.1 else SMALL_LOG
        mode = "a+b" if path == SMALL_LOG and self.dice.random() < 0.3 else "ab"  # in a local file, or not

        def add(identity: str) -> None:
            with self.shared.open(path, mode) as file:
                file.write(line(identity))

        for _ in range(6):
            identity = self._identity()
            outcome, error = self._judged("append", partial(add, identity))
            self.journal.write(Record("append", outcome, path, identity, error))
            if error != "ObjectChangedError":
                return

    def delete(self) -> None:
        path, fs = self._path(), self.shared
        if self.dice.random() < 0.5:
            self._change("delete", path, None, partial(fs.rm_file, path), "present")
            return
        self._change(
            "delete", path, None, lambda: fs.rm_file(path, if_match=fs.info(path)["ETag"]), "present"
        )

    def copy(self) -> None:
        known, path = self._known(), self._path()
        sources = [entry for entry in known if entry[0] != path]
        if not sources:
            return self.write()
        source, identity = self.dice.choice(sources)
        create = self.dice.random() < 0.3
        outcome, error = self._judged(
            "copy",
            partial(self.shared.cp_file, source, path, mode="create" if create else "overwrite"),
        )
        if error in ("ObjectNotFoundError", "ObjectChangedError"):
            self.violation("copy", f"{error} although {source} is there and nobody else writes it")
        self._note(Record("copy", outcome, path, identity, error, "absent" if create else ""))

    def transaction(self) -> None:
        """Three files at once; now and then it is given up."""
        paths = [self._path(key) for key in self.dice.sample(KEYS, 3)]
        identities = [self._identity() for _ in paths]
        give_up = self.dice.random() < 0.2
        fs, inside, outcomes = self.own, True, ["ok"] * 3
        error_name = ""
        try:
            with fs.transaction:
                for path, identity in zip(paths, identities, strict=True):
                    fs.pipe_file(path, payload(identity, self._size()))
                if give_up:
                    raise _OnPurpose
                inside = False
        except _OnPurpose:
            outcomes, error_name = ["failed"] * 3, "_OnPurpose"
        except GuardedS3Error as error:
            error_name = type(error).__name__
            if not isinstance(error, (*EXPECTED, TransactionError)):
                self.violation("transaction", f"{error_name}: {error}")
            published = error.published if isinstance(error, TransactionError) else ()
            if list(published) != paths[: len(published)]:
                self.violation("transaction", f"published {published} of {paths}")
            unknown = not inside and error.maybe_applied
            outcomes = ["ok"] * len(published) + ["unknown" if unknown else "failed"] + ["failed"] * 2
        for path, identity, outcome in zip(paths, identities, outcomes, strict=False):
            self._note(Record("transaction", outcome, path, identity, error_name))
