"""docs/requests.md says what each call asks: each row is made, and its requests and round trips counted."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.opening import filesystem
from tests.requests_table import DOCUMENT, ROWS, Row, count, document, filled, kind_of
from tests.scripted_server import Answer, Request, ScriptedServer

rows = pytest.mark.parametrize("row", ROWS, ids=[row.title.replace("`", "") for row in ROWS])


def test_the_document_has_the_table() -> None:
    """`python -m tests.requests_table` writes it."""
    assert DOCUMENT.read_text() == document()


class Waves:
    """Answers the requests of one round trip when all of them are there, as the row says, and not before."""

    def __init__(self, waves: list[Counter[str]]) -> None:
        self._waves = [wave.copy() for wave in waves]
        self._gates = [threading.Event() for _ in waves]
        self._lock = threading.Lock()
        self.more: list[str] = []

    def __call__(self, request: Request, fake: object) -> Answer | None:
        kind = kind_of(request)
        with self._lock:
            now = next((at for at, gate in enumerate(self._gates) if not gate.is_set()), None)
            if now is None or not self._waves[now][kind]:
                self.more.append(kind)
                return None
            self._waves[now][kind] -= 1
            if not self._waves[now].total():
                self._gates[now].set()
        assert self._gates[now].wait(30), f"round trip {now + 1} lacks {self._waves[now]}"
        return None

    @property
    def are_over(self) -> bool:
        return all(gate.is_set() for gate in self._gates)


@rows
def test_a_call_to_a_distant_store_takes_these_round_trips(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsspec_guarded_s3._s3.scheduler.DISTANT", -1.0)
    fake = filled()
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fs.exists("bucket/large")
        if row.before is not None:
            row.before(fs, tmp_path)
        waves = Waves(row.waves)
        fake.fault = waves
        row.call(fs, tmp_path)
    assert waves.more == []
    assert waves.are_over


@rows
def test_a_call_to_a_near_store_makes_the_same_requests(row: Row, tmp_path: Path) -> None:
    assert count(filesystem, row, tmp_path) == sum(row.waves, Counter[str]())
