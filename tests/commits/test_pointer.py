"""The pointer: of rivals one swaps, the same value is another version, and a lost answer is settled."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    AccessDeniedError,
    ObjectChangedError,
    PreconditionUnsupportedError,
    WriteOutcomeUnknownError,
)
from fsspec_guarded_s3.integrations.commit import CommitLog, Pointer, PointerState
from tests.commits.lost import losing
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer
from tests.servers import MotoServer
from tests.stores import new_store

PATH = "bucket/pointer"


def test_values_and_versions(moto: MotoServer) -> None:
    store = new_store(moto)
    pointer = Pointer(store.fs, store.path("pointer"))
    with pytest.raises(FileNotFoundError, match=r"there is no pointer: Pointer\.create makes one"):
        pointer.read()
    with pytest.raises(FileNotFoundError, match="bucket does not exist"):
        Pointer(store.fs, "no-such-bucket/pointer").read()
    first = pointer.create({"at": 1})
    assert (first.value, first.version) == ({"at": 1}, 1) and pointer.read() == first
    with pytest.raises(FileExistsError):
        pointer.create({"at": 2})
    second = pointer.swap([2, "ü"], first)
    assert (second.version, second.before) == (2, {1: first.token}) and pointer.read() == second
    third = pointer.update(lambda value: [*value, 3])
    assert (third.value, third.version, third.origin) == ([2, "ü", 3], 3, first.token)
    assert third == pointer.read() and third.etag == store.fs.info(store.path("pointer"))["ETag"]


def test_the_same_value_again_is_another_version() -> None:
    """ABA. With the value alone in the object, the last swap would be done."""
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        pointer, rival = Pointer(fs, PATH), Pointer(fs, PATH)
        seen = pointer.create("A")
        rival.swap("A", rival.swap("B", rival.read()))
        with pytest.raises(ObjectChangedError):
            pointer.swap("C", seen)
        assert rival.read().value == "A"
        plain = fs.pipe_file("bucket/plain", b"A")["ETag"]
        fs.pipe_file("bucket/plain", b"B")
        fs.pipe_file("bucket/plain", b"A")
        fs.pipe_file("bucket/plain", b"C", if_match=plain)  # as an ETag alone allows


def test_two_who_write_the_same_value_are_two() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        pointer = Pointer(fs, PATH)
        seen = pointer.create(0)
        pointer.swap(1, seen)
        with pytest.raises(ObjectChangedError):
            Pointer(fs, PATH).swap(1, seen)


def test_created_again_is_another_pointer() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        pointer = Pointer(fs, PATH)
        seen = pointer.create(0)
        fs.rm_file(PATH)
        with pytest.raises(FileNotFoundError):
            pointer.swap(1, seen)
        pointer.create(0)
        with pytest.raises(ObjectChangedError):
            pointer.swap(1, seen)


# --- answers that are lost ---------------------------------------------------------------------------


@pytest.mark.parametrize("puts", [[True], [False], [False, True], [False, False], [True, True]], ids=str)
@pytest.mark.parametrize("verb", ["create", "swap", "update"])
def test_a_lost_answer_is_settled(puts: list[bool], verb: str) -> None:
    with losing() as (fs, store, _):
        pointer = Pointer(fs, PATH)
        seen = None if verb == "create" else pointer.create("old")
        store.puts = list(puts)
        if seen is None:
            state = pointer.create("new")
        elif verb == "swap":
            state = pointer.swap("new", seen)
        else:
            state = pointer.update(lambda value: "new")
        assert state.value == "new" and state == pointer.read()
        assert state.version == (1 if seen is None else 2)
        assert store.lost >= 1


@pytest.mark.parametrize("swaps", [1, 2, 31, 32])
def test_our_swap_counts_also_where_others_have_built_upon_it(swaps: int) -> None:
    with losing() as (fs, store, _):
        pointer = Pointer(fs, PATH)
        seen = pointer.create(0)
        store.puts, store.meanwhile = [True], lambda: _build(store, pointer, swaps)
        state = pointer.swap(1, seen)
        assert (state.version, state.value, state.etag) == (2, 1, "")
        with pytest.raises(ValueError, match="read"):
            pointer.swap(2, state)
        assert pointer.read().value == 1 + swaps and pointer.read().before[2] == state.token


@pytest.mark.parametrize("swaps", [1, 2, 32])
def test_our_swap_is_known_to_have_failed(swaps: int) -> None:
    """Others were faster, and remember by whom the version was written that ours was to be."""
    with losing() as (fs, store, _):
        pointer = Pointer(fs, PATH)
        seen = pointer.create(0)
        store.puts, store.meanwhile = [False], lambda: _build(store, pointer, swaps)
        with pytest.raises(ObjectChangedError, match=f"version {1 + swaps} ") as caught:
            pointer.swap(1, seen)
        assert not caught.value.maybe_applied and pointer.read().value == swaps


@pytest.mark.parametrize("applied", [True, False])
def test_what_nobody_remembers_is_unknown(applied: bool) -> None:
    with losing() as (fs, store, _):
        pointer = Pointer(fs, PATH)
        seen = pointer.create(0)
        store.puts, store.meanwhile = [applied], lambda: _build(store, pointer, 34)
        with pytest.raises(WriteOutcomeUnknownError, match="version 2 ") as caught:
            pointer.swap(1, seen)
        error: Any = caught.value
        assert error.maybe_applied and error.version == 2 and len(error.token) == 32


def _build(store: Any, pointer: Pointer, swaps: int) -> None:
    """Others swap while our answer is being lost: another thread, since this one serves our request."""
    store.meanwhile = lambda: None
    store.hides = False
    rival = Pointer(filesystem(pointer.fs.endpoint_url or ""), PATH)

    def swap() -> None:
        for _ in range(swaps):
            rival.update(lambda value: value + 1)

    thread = threading.Thread(target=swap)
    thread.start()
    thread.join()
    store.hides = True


@pytest.mark.parametrize("applied", [True, False])
def test_a_create_that_a_rival_may_have_won(applied: bool) -> None:
    with losing() as (fs, store, _):
        pointer = Pointer(fs, PATH)
        other = FakeS3("bucket")
        with ScriptedServer(handler=other) as server:
            Pointer(filesystem(server.url), PATH).create("theirs")
        theirs = other.objects["bucket", "pointer"].body

        def rival() -> None:
            if not store.fake.objects:
                store.fake.put("bucket", "pointer", theirs)

        store.puts, store.meanwhile = [applied], rival
        if applied:
            assert pointer.create("ours").value == "ours" == pointer.read().value
        else:
            with pytest.raises(FileExistsError):
                pointer.create("ours")


def test_deleted_after_a_lost_answer_is_unknown() -> None:
    with losing() as (fs, store, _):
        pointer = Pointer(fs, PATH)
        seen = pointer.create(0)
        store.puts, store.meanwhile = [True], store.fake.objects.clear
        with pytest.raises(WriteOutcomeUnknownError):
            pointer.swap(1, seen)


def test_created_again_after_a_lost_answer_is_unknown() -> None:
    """Another pointer's version 2 says nothing about ours."""
    with losing() as (fs, store, _):
        pointer = Pointer(fs, PATH)
        other = Pointer(fs, "bucket/other")
        other.swap("x", other.create("x"))
        body = store.fake.objects["bucket", "other"].body
        seen = pointer.create(0)
        store.puts, store.meanwhile = [True], lambda: store.fake.put("bucket", "pointer", body)
        with pytest.raises(WriteOutcomeUnknownError):
            pointer.swap(1, seen)


def test_a_refusal_alone_is_told_as_it_is() -> None:
    with losing() as (fs, store, _):
        pointer = Pointer(fs, PATH)
        seen = pointer.create(0)
        store.denies = "PUT"
        with pytest.raises(AccessDeniedError) as caught:
            pointer.swap(1, seen)
        assert not caught.value.maybe_applied


# --- stores, programs --------------------------------------------------------------------------------


def test_a_store_that_ignores_conditions_is_refused() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        pointer = Pointer(filesystem(server.url, probe="always"), PATH)
        seen = pointer.create(0)
        fake.ignore_conditions = True
        with pytest.raises(PreconditionUnsupportedError):
            pointer.swap(1, seen)
        assert pointer.read() == seen


def test_in_a_transaction_it_is_done_at_once() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        pointer = Pointer(fs, PATH)
        with pytest.raises(KeyError), fs.transaction:
            pointer.swap(1, pointer.create(0))
            raise KeyError
        assert pointer.read().value == 1


def test_no_update_is_lost(moto: MotoServer) -> None:
    store = new_store(moto)
    pointer = Pointer(store.fs, store.path("pointer"))
    pointer.create(0)

    def work() -> None:
        for _ in range(5):
            pointer.update(lambda value: value + 1, max_attempts=1000)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (pointer.read().value, pointer.read().version) == (20, 21)


def test_update_gives_up() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        fs = filesystem(server.url)
        pointer = Pointer(fs, PATH)
        pointer.create(0)
        calls: list[Any] = []

        def slow(value: Any) -> Any:
            calls.append(value)
            Pointer(fs, PATH).swap(value + 1, pointer.read())
            return "never"

        with pytest.raises(ObjectChangedError):
            pointer.update(slow, max_attempts=3)
        assert calls == [0, 1, 2] and pointer.read().value == 3


def test_what_fn_raises_is_raised_and_nothing_is_written() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        pointer = Pointer(filesystem(server.url), PATH)
        seen = pointer.create(0)

        def fails(value: Any) -> Any:
            raise ObjectChangedError("of the caller")

        with pytest.raises(ObjectChangedError, match="of the caller"):
            pointer.update(fails)
        with pytest.raises(TypeError, match="JSON"):
            pointer.update(lambda value: {1, 2})
        assert pointer.read() == seen


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"kind":"pointer","format":1}', b'{"kind":"entry","format":1}']
)
def test_what_is_no_pointer_is_said_to_be_none(body: bytes) -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "pointer", body)
    with ScriptedServer(handler=fake) as server, pytest.raises(ValueError, match="bucket/pointer"):
        Pointer(filesystem(server.url), PATH).read()


def test_keys_that_stay_different_are_kept() -> None:
    """JSON makes text of them, as Python's `json` does. A value that is there twice is no circle."""
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        twice = {1: "a", "2": "b"}
        state = Pointer(filesystem(server.url), PATH).create([twice, twice])
    assert state.value == [{"1": "a", "2": "b"}] * 2


def test_a_pointer_and_its_states_are_pickled() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        pointer = Pointer(filesystem(server.url), PATH)
        pointer, state = pickle.loads(pickle.dumps((pointer, pointer.create(0))))
        assert isinstance(state, PointerState)
        assert pointer.swap(1, state).version == 2
        assert repr(pointer) == "<Pointer bucket/pointer>"


STATE = PointerState(1, 1, "token", '"etag"', "token", {})


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda fs: Pointer(fs, "bucket"), ValueError, "path"),
        (lambda fs: Pointer(None, PATH), TypeError, "fs must be"),
        (lambda fs: Pointer(fs, PATH).create(object()), TypeError, "JSON"),
        (lambda fs: Pointer(fs, PATH).swap(1, '"etag"'), TypeError, "expected must be PointerState, not str"),
        (lambda fs: Pointer(fs, PATH).update(str, max_attempts=0), ValueError, "max_attempts"),
        (lambda fs: Pointer(fs, PATH).update(3), TypeError, "fn must be a function of the value, not int"),
        (lambda fs: Pointer(fs, PATH).update(None), TypeError, "fn must be a function"),
        (
            lambda fs: Pointer(fs, PATH).create({1: "a", "1": "b"}),
            ValueError,
            "value has a dict with the keys",
        ),
        (lambda fs: Pointer(fs, PATH).create([({None: 1, "null": 2},)]), ValueError, "None and 'null'"),
        (lambda fs: Pointer(fs, PATH).create({"a": {1.5: 1, "1.5": 2}}), ValueError, "lost"),
        (lambda fs: Pointer(fs, PATH).create({(1, 2): 1, "a": 2}), TypeError, "JSON"),
        (lambda fs: Pointer(fs, PATH).swap({True: 1, "true": 2}, STATE), ValueError, "True and 'true'"),
        (
            lambda fs: CommitLog(fs, PATH).append({1: "a", "1": "b"}),
            ValueError,
            "data has a dict with the keys",
        ),
    ],
)
def test_bad_input_is_told_before_anything_is_sent(call: Any, error: type[Exception], words: str) -> None:
    with ScriptedServer([]) as server, pytest.raises(error, match=words):
        call(filesystem(server.url))
