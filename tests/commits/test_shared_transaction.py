"""Threads that share a transaction: one of them ends it, while another one ends it too or still writes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import WriteOutcomeUnknownError
from fsspec_guarded_s3.integrations.commit import Snapshot, TableTransaction
from tests.commits.tables import contents, data_of, losing_table, new_table, write
from tests.fake_s3 import FakeS3
from tests.scripted_server import Answer, Request


class _Stop:
    """A fault that holds the first request of a kind until `go` is set."""

    def __init__(self, is_meant: Callable[[Request], bool]) -> None:
        self.is_meant = is_meant
        self.is_there, self.go = threading.Event(), threading.Event()

    def __call__(self, request: Request, fake: FakeS3) -> Answer | None:
        if self.is_meant(request) and not self.is_there.is_set():
            self.is_there.set()
            assert self.go.wait(60)
        return None


def _in_a_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """The thread, and a list that has in the end what the call returned or raised."""
    ends: list[Any] = []

    def run() -> None:
        try:
            ends.append(call())
        except BaseException as error:
            ends.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ends


@pytest.mark.parametrize("verb", ["commit", "discard"])
@pytest.mark.parametrize("where", ["list-type", "/_log/"])
def test_one_thread_ends_a_transaction_and_another_does_so_too(verb: str, where: str) -> None:
    """The later one must not remove what the first one publishes."""
    with new_table() as (table, fake, _):
        t = table.transaction()
        with t.open("a") as file:
            file.write(b"1")
        fake.fault = stop = _Stop(lambda request: where in request.target)
        thread, ends = _in_a_thread(t.commit)
        assert stop.is_there.wait(60)
        if verb == "commit":
            with pytest.raises(ValueError, match="being committed"):
                t.commit()
        else:
            t.discard()
        stop.go.set()
        thread.join(60)
        assert isinstance(ends[0], Snapshot) and t.published == ends[0]
        assert contents(table) == {"a": b"1"} and data_of(fake) == ["a"]


def _open(t: TableTransaction) -> None:
    with t.open("slow") as file:
        file.write(b"1")


@pytest.mark.parametrize("ended_by", ["commit", "discard"])
@pytest.mark.parametrize(
    ("writes", "method"),
    [
        (lambda t: t.pipe_file("slow", b"1"), "PUT"),
        (lambda t: t.put_file(__file__, "slow"), "PUT"),
        (_open, "HEAD"),
    ],
    ids=["pipe_file", "put_file", "open"],
)
def test_what_is_still_written_when_another_thread_ends_it_is_no_silent_loss(
    ended_by: str, writes: Callable[[TableTransaction], None], method: str
) -> None:
    with new_table() as (table, fake, _):
        t = table.transaction()
        t.pipe_file("a", b"1")
        fake.fault = stop = _Stop(lambda request: request.method == method and "slow" in request.target)
        thread, ends = _in_a_thread(lambda: writes(t))
        assert stop.is_there.wait(60)
        if ended_by == "commit":
            with pytest.raises(
                ValueError, match="nothing was published: another thread was still writing slow"
            ):
                t.commit()
        else:
            t.discard()
        stop.go.set()
        thread.join(60)
        assert isinstance(ends[0], ValueError) and "slow is not published" in str(ends[0])
        assert contents(table) == {} and data_of(fake) == [] and table.log.latest() == 1


def test_a_file_that_another_thread_still_closes_is_not_closed() -> None:
    with new_table() as (table, fake, _):
        t = table.transaction()
        file = t.open("a")
        file.write(b"1")
        fake.fault = stop = _Stop(lambda request: request.method == "PUT")
        thread, ends = _in_a_thread(file.close)
        assert stop.is_there.wait(60)
        with pytest.raises(ValueError, match="nothing was published: a was not closed"):
            t.commit()
        stop.go.set()
        thread.join(60)
        assert isinstance(ends[0], ValueError) and "discarded" in str(ends[0])
        assert contents(table) == {} and table.log.latest() == 1


@pytest.mark.parametrize("verb", ["commit", "discard"])
def test_a_signal_handler_ends_a_transaction_that_it_interrupts(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the worst moment: while the same thread looks whether there is such an object."""
    with new_table() as (table, fake, _):
        t = table.transaction()
        t.pipe_file("a", b"1")
        monkeypatch.setattr(Snapshot, "__contains__", lambda self, name: getattr(t, verb)() is t)
        thread, ends = _in_a_thread(lambda: t.pipe_file("b", b"1", mode="create"))
        thread.join(60)
        monkeypatch.undo()
        assert isinstance(ends[0], ValueError) and "b is not published" in str(ends[0])
        assert contents(table) == ({"a": b"1"} if verb == "commit" else {})
        assert data_of(fake) == sorted(contents(table))


def test_two_threads_cannot_both_write_a_new_object() -> None:
    with new_table() as (table, fake, _):
        t = table.transaction()
        fake.fault = stop = _Stop(lambda request: request.method == "PUT")
        thread, ends = _in_a_thread(lambda: t.pipe_file("a", b"1", mode="create"))
        assert stop.is_there.wait(60)
        with pytest.raises(FileExistsError):
            t.pipe_file("a", b"2", mode="create")
        stop.go.set()
        thread.join(60)
        t.commit()
        assert ends == [None] and contents(table) == {"a": b"1"}


def test_a_write_that_failed_is_no_change() -> None:
    with new_table() as (table, _, _server):
        write(table, a=b"1")
        with table.transaction() as t:
            with pytest.raises(TypeError):
                t.pipe_file("a", "text")
            with pytest.raises(FileNotFoundError):
                t.put_file("/there/is/no/such/file", "a")
            with pytest.raises(IsADirectoryError, match="takes one file"):
                t.put_file(os.path.dirname(__file__), "a")
            t.pipe_file("b", b"1")
        assert contents(table) == {"a": b"1", "b": b"1"}


@pytest.mark.parametrize("verb", ["pipe_file", "put_file"])
def test_a_write_of_unknown_outcome_is_removed_with_the_rest(verb: str, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"1")
    with losing_table() as (table, store):
        with pytest.raises(WriteOutcomeUnknownError), table.transaction() as t:
            store.puts = [True]
            if verb == "pipe_file":
                t.pipe_file("a", b"1")
            else:
                t.put_file(str(local), "a")
        assert data_of(store.fake) == [] and table.log.latest() == 1


def test_an_interrupted_check_leaves_nothing() -> None:
    def check(now: Snapshot) -> None:
        raise KeyboardInterrupt

    with new_table() as (table, fake, _):
        seen = table.snapshot()
        write(table, a=b"1")
        with pytest.raises(KeyboardInterrupt), table.transaction(expected=seen, check=check) as t:
            t.pipe_file("b", b"1")
        assert data_of(fake) == ["a"] and contents(table) == {"a": b"1"}
