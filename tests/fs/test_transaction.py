"""`with fs.transaction:` publishes all files at its end, and none after an exception."""

import asyncio
import bz2
import gzip
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from fsspec import AbstractFileSystem
from fsspec.compression import compr

from fsspec_guarded_s3 import GuardedS3FileSystem, TransactionError, WriteOutcomeUnknownError
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, close, s3_error
from tests.single_faults import lose, short_pauses  # noqa: F401

A, B, C = "bucket/a", "bucket/b", "bucket/c"
LARGE = period_free(11 * MIB)
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}


@contextmanager
def store(fake: FakeS3, **options: Any) -> Iterator[GuardedS3FileSystem]:
    """A filesystem on `fake`; no upload may be left, and it must work afterwards outside of transactions."""
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, **PARTS, **options)
        yield fs
        assert not fake.uploads
        fake.fault = fake.after = None
        fs.pipe_file("bucket/afterwards", b"at once")
        assert fake.objects.pop(("bucket", "afterwards")).body == b"at once"


def bodies(fake: FakeS3) -> dict[str, bytes]:
    return {key: stored.body for (_, key), stored in fake.objects.items()}


def fails(key: str, answer: Answer) -> Any:
    """Writes that would publish `key` get `answer`."""
    return lambda request, fake: answer if publishes(request, key) else None


def publishes(request: Request, key: str) -> bool:
    complete = request.method == "POST" and "uploadId" in request.query
    return request.path == f"/bucket/{key}" and (complete or (request.method == "PUT" and not request.query))


def test_nothing_is_there_before_the_end_and_all_is_afterwards(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(LARGE)
    fake = FakeS3("bucket")
    with store(fake) as fs:
        with fs.transaction:
            fs.pipe_file(A, b"piped")
            fs.put_file(tmp_path / "f", B)
            fs.touch("bucket/touched")
            with fs.open(C, "wb") as file:
                file.write(LARGE)
            assert not fake.objects
        assert bodies(fake) == {"a": b"piped", "b": LARGE, "touched": b"", "c": LARGE}


def test_nothing_is_published_after_an_exception(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(LARGE)
    fake = FakeS3("bucket")
    old = fake.put("bucket", "a", b"old")
    with store(fake) as fs:
        with pytest.raises(KeyError), fs.transaction:
            fs.pipe_file(A, b"new")
            fs.put_file(tmp_path / "f", B)
            fs.touch("bucket/touched")
            raise KeyError
        assert fake.objects == {("bucket", "a"): old}


def test_exception_inside_of_an_open_file_publishes_nothing() -> None:
    fake = FakeS3("bucket")
    with store(fake) as fs:
        with pytest.raises(KeyError), fs.transaction:  # noqa: SIM117
            with fs.open(A, "wb") as one, fs.open(B, "wb") as other:
                one.write(LARGE)
                other.write(LARGE)
                raise KeyError
        assert not fake.objects


def test_start_and_end_without_with_do_the_same() -> None:
    fake = FakeS3("bucket")
    with store(fake) as fs:
        fs.start_transaction()
        fs.pipe_file(A, b"1")
        assert not fake.objects
        fs.end_transaction()
        assert bodies(fake) == {"a": b"1"}


ENDS: dict[str, tuple[BaseException, bool, bool]] = {  # whether the file is published, and whether it is told
    "sys.exit(0)": (SystemExit(0), True, False),
    "sys.exit()": (SystemExit(), True, False),
    "sys.exit(1)": (SystemExit(1), False, False),
    "error": (OSError(), False, False),
    "generator closed": (GeneratorExit(), False, True),
    "input ended": (StopIteration(), False, True),
    "key": (KeyError(), False, True),
}


@pytest.mark.parametrize("error, published, told", ENDS.values(), ids=ENDS)
def test_an_exception_out_of_the_block_means_what_it_means_to_a_writer(
    error: BaseException, published: bool, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeS3("bucket")
    with store(fake) as fs:
        with pytest.raises(type(error)), fs.transaction:
            fs.pipe_file(A, b"data")
            raise error
        assert bodies(fake) == ({"a": b"data"} if published else {})
    assert (f"nothing was published of {A}" in caplog.text) is told


def test_ending_it_in_finally_publishes_nothing_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeS3("bucket")
    with store(fake) as fs:
        with pytest.raises(ZeroDivisionError):
            fs.start_transaction()
            try:
                fs.pipe_file(A, LARGE)
                raise ZeroDivisionError
            finally:
                fs.end_transaction()
        assert not fake.objects
    assert f"nothing was published of {A}" in caplog.text


def test_an_exception_from_before_it_says_nothing_about_it() -> None:
    fake = FakeS3("bucket")
    with store(fake) as fs:
        try:
            raise ValueError
        except ValueError:
            fs.start_transaction()
            fs.pipe_file(A, b"1")
            fs.end_transaction()
            with fs.transaction:
                fs.pipe_file(B, b"2")
        assert bodies(fake) == {"a": b"1", "b": b"2"}


@pytest.mark.parametrize("begins", ["with", "start"])
@pytest.mark.parametrize("nested", ["with", "start"])
def test_one_inside_of_another_is_refused_before_anything_is_published(begins: str, nested: str) -> None:
    fake = FakeS3("bucket")

    def within(fs: GuardedS3FileSystem) -> None:
        fs.pipe_file(A, b"1")
        if nested == "start":
            fs.start_transaction()
        else:
            with fs.transaction:
                fs.pipe_file(B, b"2")

    with store(fake) as fs:
        with pytest.raises(ValueError, match="a transaction of this filesystem is under way"):
            if begins == "with":
                with fs.transaction:
                    within(fs)
            else:
                fs.start_transaction()
                within(fs)
        assert not fake.objects
        if begins == "start":
            fs.end_transaction()
            assert bodies(fake) == {"a": b"1"}


def test_empty_transaction_does_nothing() -> None:
    fake = FakeS3("bucket")
    with store(fake) as fs:
        with fs.transaction:
            pass
        assert not fake.objects


def test_transactions_one_after_another_do_not_mix() -> None:
    fake = FakeS3("bucket")
    with store(fake) as fs:
        with pytest.raises(KeyError), fs.transaction:
            fs.pipe_file(A, b"never")
            raise KeyError
        with fs.transaction:
            fs.pipe_file(B, b"second")
        with fs.transaction:
            fs.pipe_file(C, b"third")
        assert bodies(fake) == {"b": b"second", "c": b"third"}


def test_text_and_compressed_files_are_published_whole() -> None:
    fake = FakeS3("bucket")
    with store(fake) as fs:
        with fs.transaction:
            with fs.open(A, "wt", encoding="utf-8") as text:
                text.write("ä" * 1000)
            with fs.open(B, "wb", compression="gzip") as packed:
                packed.write(LARGE)
            with fs.open("bucket/c.gz", "wt", compression="infer", encoding="utf-8") as both:
                both.write("ö")
            assert not fake.objects
        found = bodies(fake)
    assert found["a"].decode() == "ä" * 1000
    assert gzip.decompress(found["b"]) == LARGE
    assert gzip.decompress(found["c.gz"]).decode() == "ö"


def open_as_in_2025(
    fs: Any, path: str, mode: str, block_size: int | None, cache: Any, compression: str | None, **kwargs: Any
) -> Any:
    """`open` in the order of fsspec until 2025: a transaction gets what is around the file."""
    own = kwargs.pop("autocommit", not fs._intrans)
    file = fs._open(path, mode=mode, block_size=block_size, autocommit=own, cache_options=cache, **kwargs)
    if compression is not None:
        file = compr[compression](file, mode="w")
    if not own:
        fs.transaction.files.append(file)
    return file


@pytest.mark.parametrize("compression, unpack", [("gzip", gzip.decompress), ("bz2", bz2.decompress)])
@pytest.mark.parametrize("mode", ["wb", "xb", "ab", "wt"])
@pytest.mark.parametrize("is_good", [True, False])
def test_compressed_files_belong_to_it_with_older_releases_of_fsspec(
    monkeypatch: pytest.MonkeyPatch,
    compression: str,
    unpack: Callable[[bytes], bytes],
    mode: str,
    is_good: bool,
) -> None:
    monkeypatch.setattr(AbstractFileSystem, "open", open_as_in_2025)
    fake = FakeS3("bucket")
    with store(fake) as fs:
        with suppress(KeyError), fs.transaction:
            with fs.open(A, mode, compression=compression) as file:
                file.write("text" if "t" in mode else b"text")
            assert not fake.objects
            if not is_good:
                raise KeyError
        found = {key: unpack(body) for key, body in bodies(fake).items()}
    assert found == ({"a": b"text"} if is_good else {})


@pytest.mark.parametrize("options", [{"mode": "wt"}, {"mode": "wb", "compression": "gzip"}, {"mode": "wb"}])
def test_file_that_is_still_open_at_the_end_is_never_published_in_part(options: dict[str, str]) -> None:
    """Its last bytes may be in the buffers of wrappers: an error, or all of it."""
    fake = FakeS3("bucket")
    text = "line\n" * 10
    with store(fake) as fs:
        failed = False
        try:
            with fs.transaction:
                file = fs.open(A, **options)
                file.write(text if options["mode"] == "wt" else text.encode())
        except (OSError, ValueError):
            failed = True
        body = bodies(fake).get("a")
        if "compression" in options and body:
            body = gzip.decompress(body)
        assert failed or body == text.encode()
        fake.objects.pop(("bucket", "a"), None)
        with suppress(ValueError):  # it may be closed by now
            file.discard() if options["mode"] == "wb" else file.detach()


def test_append_inside_is_published_at_the_end() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "a", b"old")
    with store(fake) as fs:
        with fs.transaction:
            with fs.open(A, "ab") as file:
                file.write(b"+new")
            assert bodies(fake) == {"a": b"old"}
        assert bodies(fake) == {"a": b"old+new"}


def test_discarded_file_is_skipped_and_the_others_are_published() -> None:
    fake = FakeS3("bucket")
    with store(fake) as fs:
        with fs.transaction:
            fs.pipe_file(A, b"1")
            dropped = fs.open(B, "wb")
            dropped.write(LARGE)
            dropped.discard()
            fs.pipe_file(C, b"3")
        assert bodies(fake) == {"a": b"1", "c": b"3"}


def test_first_file_that_finds_its_key_taken_is_that_error_and_nothing_is_published() -> None:
    """Nothing was published, so it needs no TransactionError."""
    fake = FakeS3("bucket")
    with store(fake) as fs:
        with pytest.raises(FileExistsError), fs.transaction:
            fs.pipe_file(A, b"mine", mode="create")
            fs.pipe_file(B, LARGE)
            fake.put("bucket", "a", b"rival")
        assert bodies(fake) == {"a": b"rival"}


def test_key_that_is_taken_when_it_is_opened_ends_the_transaction() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "b", b"rival")
    with store(fake) as fs:
        with pytest.raises(FileExistsError), fs.transaction:
            fs.pipe_file(A, LARGE)
            fs.pipe_file(B, b"mine", mode="create")
        assert bodies(fake) == {"b": b"rival"}


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "parts"])
def test_failure_in_the_middle_says_what_is_published_and_what_is_not(data: bytes) -> None:
    fake = FakeS3("bucket", fault=fails("b", s3_error(403, "AccessDenied")))
    with store(fake) as fs:
        with pytest.raises(TransactionError) as caught, fs.transaction:
            for path in (A, B, C):
                fs.pipe_file(path, data)
        assert bodies(fake) == {"a": data}
    assert tuple(caught.value.published) == (A,)
    assert tuple(caught.value.unpublished) == (B, C)
    assert A in str(caught.value) and B in str(caught.value) and C in str(caught.value)
    assert isinstance(caught.value.__cause__, PermissionError)


def test_transaction_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(TransactionError("m", published=("a",), unpublished=("b", "c"))))
    assert (error.published, error.unpublished) == (("a",), ("b", "c"))


def test_condition_that_fails_in_the_middle_keeps_the_rivals_object() -> None:
    fake = FakeS3("bucket")
    etag = fake.put("bucket", "b", b"old").etag
    with store(fake) as fs:
        with pytest.raises(TransactionError) as caught, fs.transaction:
            fs.pipe_file(A, b"1")
            fs.pipe_file(B, b"2", if_match=etag)
            fs.pipe_file(C, b"3")
            fake.put("bucket", "b", b"rival")
        assert bodies(fake) == {"a": b"1", "b": b"rival"}
    assert tuple(caught.value.unpublished) == (B, C)


def test_second_write_to_the_same_key_that_fails_is_listed_as_unpublished() -> None:
    refused = iter([None, s3_error(403, "AccessDenied")])
    fake = FakeS3("bucket", fault=lambda request, fake: next(refused) if publishes(request, "a") else None)
    with store(fake) as fs:
        with pytest.raises(TransactionError) as caught, fs.transaction:
            fs.pipe_file(A, b"first")
            fs.pipe_file(A, b"second")
        assert bodies(fake) == {"a": b"first"}
    assert tuple(caught.value.published) == (A,)
    assert tuple(caught.value.unpublished) == (A,)


def _append(fs: GuardedS3FileSystem, data: bytes) -> None:
    with fs.open(A, "ab") as file:
        file.write(data)


def _change(fs: GuardedS3FileSystem, data: bytes) -> None:
    with fs.open(A, "r+b") as file:
        file.write(data)


def _create(fs: GuardedS3FileSystem, data: bytes) -> None:
    fs.pipe_file(A, data, mode="create")


def _overwrite(fs: GuardedS3FileSystem, data: bytes) -> None:
    fs.pipe_file(A, data)


@pytest.mark.parametrize("size", [1, 6 * MIB])
@pytest.mark.parametrize(
    ("was_there", "first", "second"),
    [
        (True, _append, _append),
        (True, _append, _change),
        (True, _change, _append),
        (True, _change, _change),
        (True, _overwrite, _append),
        (True, _overwrite, _change),
        (False, _append, _append),
        (False, _create, _append),
        (False, _create, _create),
        (False, _overwrite, _create),
    ],
)
def test_second_write_that_its_own_first_one_would_make_fail_publishes_nothing(
    was_there: bool, first: Any, second: Any, size: int
) -> None:
    fake = FakeS3("bucket")
    if was_there:
        fake.put("bucket", "a", b"old")
    before = bodies(fake)
    with store(fake) as fs:
        with pytest.raises(ValueError, match=f"nothing was published: {A} is written twice"), fs.transaction:
            fs.pipe_file(B, b"another")
            first(fs, b"1" * size)
            second(fs, b"2" * size)
        assert bodies(fake) == before


def test_the_same_key_may_be_written_twice_where_that_works() -> None:
    fake = FakeS3("bucket")
    with store(fake) as fs:
        fs.pipe_file(A, b"old")
        with fs.transaction:
            with fs.open(A, "r+b") as file:
                old = file.read()  # and nothing is changed
            with fs.open(A, "ab"):
                pass
            dropped = fs.open(A, "wb")
            dropped.write(b"no good")
            dropped.discard()
            _append(fs, b"+1")
            _overwrite(fs, b"whatever is there")
        assert old == b"old"
        assert bodies(fake) == {"a": b"whatever is there"}


def test_part_that_failed_publishes_nothing_at_all() -> None:
    """Also when the error was swallowed inside of the transaction."""

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        bad = request.path == "/bucket/b" and "partNumber" in request.query
        return s3_error(403, "AccessDenied") if bad else None

    fake = FakeS3("bucket", fault=fault)
    with store(fake) as fs:
        with pytest.raises(PermissionError), fs.transaction:
            fs.pipe_file(A, b"1")
            file = fs.open(B, "wb")
            for _ in range(10):
                try:
                    file.write(LARGE)
                except PermissionError:
                    break
        assert not fake.objects


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "parts"])
def test_lost_answer_in_the_middle_is_resolved_and_all_is_published(data: bytes) -> None:
    fake = FakeS3("bucket", after=lose("Complete" if data is LARGE else "PUT"))
    with store(fake) as fs:
        with fs.transaction:
            fs.pipe_file(A, data, mode="create")
            fs.pipe_file(B, data, mode="create")
        assert bodies(fake) == {"a": data, "b": data}


def test_unknown_outcome_in_the_middle_is_not_passed_off_as_a_definite_one() -> None:
    """The cause says that B may be there, and so does `maybe_applied` of the error itself."""
    fake = FakeS3("bucket", fault=fails("b", close()))
    with store(fake, max_attempts=2) as fs:
        with pytest.raises(TransactionError) as caught, fs.transaction:
            fs.pipe_file(A, b"1")
            fs.pipe_file(B, b"2", mode="create")
        assert bodies(fake) == {"a": b"1"}
    assert isinstance(caught.value.__cause__, WriteOutcomeUnknownError)
    assert caught.value.maybe_applied


def test_files_are_published_in_the_order_in_which_they_were_opened() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        with fs.transaction:
            for path in (C, A, B):
                fs.pipe_file(path, b"x")
        assert [request.path for request in server.requests] == ["/bucket/c", "/bucket/a", "/bucket/b"]


def test_resume_inside_a_transaction_is_not_ignored_in_silence(tmp_path: Path) -> None:
    """Refused, or continued: never a second upload beside the one that was named."""
    (tmp_path / "f").write_bytes(LARGE)
    fake = FakeS3("bucket")
    with (
        store(fake) as fs,
        pytest.raises((ValueError, NotImplementedError, FileNotFoundError)),
        fs.transaction,
    ):
        fs.put_file(tmp_path / "f", A, resume="upload-77")


# --- other threads and tasks ------------------------------------------------------------------------


def in_another_thread(call: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as executor:
        executor.submit(call).result(timeout=60)


@pytest.mark.parametrize("fails", [True, False])
def test_what_other_threads_write_meanwhile_is_published_at_once(fails: bool, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(LARGE)
    fake = FakeS3("bucket")

    def others(fs: GuardedS3FileSystem) -> None:
        fs.pipe_file(A, b"piped")
        fs.put_file(tmp_path / "f", B)
        with fs.open(C, "wt") as file:
            file.write("text")
        fs.pipe({"bucket/d": b"d", "bucket/e": b"e"})
        assert fs.put_if_absent("bucket/f", b"f") and not fs.put_if_absent("bucket/f", b"f")
        fs.pipe_file("bucket/g", b"g", mode="create")

    expected = {"a": b"piped", "b": LARGE, "c": b"text", "d": b"d", "e": b"e", "f": b"f", "g": b"g"}
    with store(fake) as fs:
        with suppress(ZeroDivisionError), fs.transaction:
            fs.pipe_file("bucket/own", b"own")
            in_another_thread(lambda: others(fs))
            assert bodies(fake) == expected
            assert not fails or 1 / 0
        assert bodies(fake) == expected | ({} if fails else {"own": b"own"})


def test_two_threads_have_transactions_of_their_own() -> None:
    fake = FakeS3("bucket")

    def other(fs: GuardedS3FileSystem) -> None:
        with fs.transaction:
            fs.pipe_file(B, b"2")
            assert not fake.objects
        assert bodies(fake) == {"b": b"2"}

    with store(fake) as fs:
        with fs.transaction:
            fs.pipe_file(A, b"1")
            in_another_thread(lambda: other(fs))
        assert bodies(fake) == {"a": b"1", "b": b"2"}


def test_two_tasks_have_transactions_of_their_own_and_their_threads_belong_to_them() -> None:
    fake = FakeS3("bucket")

    async def failing(fs: GuardedS3FileSystem, began: asyncio.Event, go_on: asyncio.Event) -> None:
        with fs.transaction:
            await asyncio.to_thread(fs.pipe_file, A, b"never")
            await asyncio.create_task(fs._pipe_file(B, b"never"))
            began.set()
            await go_on.wait()
            raise ZeroDivisionError

    async def other(fs: GuardedS3FileSystem, began: asyncio.Event, go_on: asyncio.Event) -> None:
        await began.wait()
        await fs._pipe_file(C, b"there")
        assert bodies(fake) == {"c": b"there"}
        go_on.set()

    async def main(fs: GuardedS3FileSystem) -> list[Any]:
        events = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(failing(fs, *events), other(fs, *events), return_exceptions=True)

    with store(fake) as fs:
        assert [type(end) for end in asyncio.run(main(fs))] == [ZeroDivisionError, type(None)]
        assert bodies(fake) == {"c": b"there"}


@pytest.mark.parametrize("verb", ["pipe", "put", "copied context"])
def test_the_threads_of_one_call_belong_to_its_transaction(verb: str, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).write_bytes(b"data")
    fake = FakeS3("bucket")
    with store(fake) as fs:
        with pytest.raises(ZeroDivisionError), fs.transaction:
            if verb == "pipe":
                fs.pipe({f"bucket/{number}": b"data" for number in range(20)})
            elif verb == "put":
                fs.put(f"{tmp_path}/", "bucket/", recursive=True)
            else:
                with ThreadPoolExecutor(4) as executor:
                    for number in range(20):
                        executor.submit(copy_context().run, fs.pipe_file, f"bucket/{number}", b"data")
            raise ZeroDivisionError
        assert not fake.objects


def test_put_if_absent_is_decided_at_once_and_so_is_update() -> None:
    """They return what the store has decided."""
    fake = FakeS3("bucket")
    with store(fake) as fs:
        with pytest.raises(ZeroDivisionError), fs.transaction:
            assert fs.put_if_absent(A, b"1")
            assert not fs.put_if_absent(A, b"2")
            fs.update(A, lambda old: old + b"+")
            fs.pipe_file(B, b"never")
            raise ZeroDivisionError
        assert bodies(fake) == {"a": b"1+"}


def test_a_task_that_has_ended_leaves_its_transaction_to_its_thread() -> None:
    """As the cells of a notebook do: each is a task."""
    fake = FakeS3("bucket")
    seen: list[dict[str, bytes]] = []

    async def cells(fs: GuardedS3FileSystem) -> None:
        async def begin() -> None:
            fs.start_transaction()

        async def write() -> None:
            fs.pipe({f"bucket/{n}": b"1" for n in range(40)})
            seen.append(bodies(fake))

        async def end() -> None:
            fs.end_transaction()

        for cell in (begin, write, end):
            await asyncio.create_task(cell())

    with store(fake) as fs:
        asyncio.run(cells(fs))
        assert seen == [{}]
        assert len(bodies(fake)) == 40


def test_only_who_began_it_ends_it() -> None:
    fake = FakeS3("bucket")
    with store(fake) as fs:
        fs.start_transaction()
        fs.pipe_file(A, b"1")
        with pytest.raises(RuntimeError, match="begun by another thread"):
            in_another_thread(fs.end_transaction)
        assert not fake.objects
        fs.end_transaction()
        assert bodies(fake) == {"a": b"1"}


# --- a child process --------------------------------------------------------------------------------


@contextmanager
def begun(fs: GuardedS3FileSystem, how: str) -> Iterator[None]:
    """A transaction that is begun by `with`, or by a call."""
    if how == "with":
        with fs.transaction:
            yield
        return
    fs.start_transaction()
    try:
        yield
    finally:
        fs.end_transaction()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("how", ["with", "call"])
@pytest.mark.parametrize("act", ["sys.exit(0)", "error", "end", "open", "pipe_file", "put_file", "leave"])
def test_a_child_neither_writes_in_nor_publishes_the_transaction_of_its_parent(
    act: str, how: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(b"data")
    fake = FakeS3("bucket")
    expected = {"sys.exit(0)": 0, "leave": 0, "error": 5}.get(act, 1)

    def child() -> None:
        if act == "sys.exit(0)":
            raise SystemExit(0)
        if act == "error":
            raise LookupError
        if act == "open":
            fs.open(B, "wb")
        elif act == "pipe_file":
            fs.pipe_file(B, b"data")
        elif act == "put_file":
            fs.put_file(tmp_path / "f", B)
        elif act == "leave":
            fs.transaction.complete(commit=False)
            fs.pipe_file(C, b"of the child")

    with store(fake) as fs:
        pid = 1
        try:
            with begun(fs, how):
                fs.pipe_file(A, LARGE)
                pid = os.fork()
                if pid == 0:
                    child()
                else:
                    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == expected
                    assert set(bodies(fake)) == ({"c"} if act == "leave" else set())
        except BaseException as error:
            if pid:
                raise
            refused = isinstance(error, RuntimeError) and "which began it" in str(error)
            os._exit(1 if refused else 5 if isinstance(error, LookupError) else error.args[0])
        if not pid:
            os._exit(0)
        assert bodies(fake)["a"] == LARGE
    assert "nothing was published" not in capfd.readouterr().err
