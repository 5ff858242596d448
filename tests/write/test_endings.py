"""What `close()` makes of an exception, by the ways in which programs end the writing of a file."""

import asyncio
import contextlib
import logging
import queue
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3._write import endings
from tests.fake_s3 import FakeS3
from tests.idioms import IDIOMS, Idiom
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer

PATH = "bucket/key"
EVERY_IDIOM = pytest.mark.parametrize("idiom", IDIOMS, ids=lambda idiom: idiom.act.__name__)


@pytest.fixture
def fake() -> FakeS3:
    return FakeS3("bucket")


@pytest.fixture
def fs(fake: FakeS3) -> Iterator[Any]:
    with ScriptedServer(handler=fake) as server:
        yield filesystem(server.url)


@EVERY_IDIOM
@pytest.mark.parametrize("mode", ["wb", "xb"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_idiom(idiom: Idiom, mode: str, fs: Any, fake: FakeS3, caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.suppress(Exception, SystemExit, KeyboardInterrupt):
        idiom.act(lambda: fs.open(PATH, mode))
    assert (("bucket", "key") in fake.objects) is idiom.ours
    assert not fake.uploads
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warned) == idiom.told
    assert all(PATH in text and "nothing was published" in text for text in warned)


@EVERY_IDIOM
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_idiom_with_local_files(idiom: Idiom, tmp_path: Path) -> None:
    """The table says truly what happens elsewhere."""
    place = tmp_path / "file"
    with contextlib.suppress(Exception, SystemExit, KeyboardInterrupt):
        idiom.act(lambda: place.open("wb"))
    assert place.exists() is idiom.elsewhere


@pytest.mark.parametrize(
    "options", [{"mode": "w"}, {"mode": "wt", "compression": "gzip"}], ids=["text", "gzip"]
)
@pytest.mark.parametrize("error", [StopIteration, KeyError, ValueError])
@pytest.mark.parametrize("closed_by", ["except", "finally", "thread"])
def test_wrappers_of_ours_decide_as_the_file_below(
    options: dict[str, Any], error: type[Exception], closed_by: str, fs: Any, fake: FakeS3
) -> None:
    file = fs.open(PATH, **options)
    file.write("text")
    with contextlib.suppress(error):
        if closed_by == "except":
            try:
                raise error
            except error:
                file.close()
        elif closed_by == "finally":
            try:
                raise error
            finally:
                file.close()
        else:
            asyncio.run(_fail_and_close_in_a_thread(file, error))
    assert file.closed
    assert bool(fake.objects) is (closed_by == "except" and error is not ValueError)


@pytest.mark.parametrize("options", [{"mode": "w"}, {"mode": "wt", "compression": "gzip"}], ids=str)
@pytest.mark.parametrize("code", [0, None, 1, "message"])
@pytest.mark.parametrize("closes", ["with", "closing"])
def test_a_program_that_ends_with_success_publishes(
    options: dict[str, Any], code: Any, closes: str, fs: Any, fake: FakeS3
) -> None:
    with contextlib.suppress(SystemExit):
        file = fs.open(PATH, **options)
        with file if closes == "with" else contextlib.closing(file):
            file.write("text")
            sys.exit(code)
    assert file.closed
    assert bool(fake.objects) is (code in (0, None))


async def _fail_and_close_in_a_thread(file: Any, error: type[Exception]) -> None:
    async def rows() -> None:
        raise error if error is not StopIteration else StopAsyncIteration

    with contextlib.suppress(StopAsyncIteration):
        try:
            await rows()
        finally:
            await asyncio.to_thread(file.close)


def test_the_source_of_the_caller_is_not_needed(fs: Any, fake: FakeS3) -> None:
    for number, code in enumerate(("except StopIteration: file.close()", "finally: file.close()")):
        file = fs.open(f"bucket/{number}", "wb")
        with contextlib.suppress(StopIteration):
            exec(f"try: next(iter([]))\n{code}", {"file": file})
    assert list(fake.objects) == [("bucket", "0")]


def test_an_exception_without_a_traceback_is_taken_for_a_failure(fs: Any, fake: FakeS3) -> None:
    file = fs.open(PATH, "wb")
    try:
        raise StopIteration
    except StopIteration as error:
        error.__traceback__ = None
        file.close()
    assert not fake.objects


def test_instructions_that_cannot_be_read_are_taken_for_a_failure(
    fs: Any, fake: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "_following", lambda code, start: {}[start])
    file = fs.open(PATH, "wb")
    try:
        raise StopIteration
    except StopIteration:
        file.close()
    assert not fake.objects


def test_every_exception_of_an_end_is_one_of_the_standard_library() -> None:
    assert {queue.Empty, asyncio.QueueEmpty, KeyError, IndexError} <= set(endings.ENDS) | set(
        LookupError.__subclasses__()
    )
    assert all(issubclass(error, BaseException) for error in endings.ENDS)
    assert not any(issubclass(error, (OSError, ValueError, ArithmeticError)) for error in endings.ENDS)


def test_the_code_of_a_caller_is_read_once() -> None:
    """A loop that closes a file for each key may not read its own instructions each time."""
    endings._following.cache_clear()
    code = compile("try: f()\nexcept KeyError: g()", "nowhere", "exec")
    assert isinstance(code, types.CodeType)
    for _ in range(3):
        endings._following(code, 0)
    assert endings._following.cache_info().misses == 1


def ended_by_the_loop(opens: Any) -> None:
    async def write() -> None:
        with opens() as file:
            file.write(b"data")
            await asyncio.sleep(60)

    async def main() -> None:
        tasks.append(asyncio.create_task(write()))  # nobody awaits it
        await asyncio.sleep(0)

    tasks: list[Any] = []
    asyncio.run(main())


def left_by_its_reader(opens: Any) -> None:
    async def rows() -> Any:
        with opens() as file:
            while True:
                file.write(b"data")
                yield

    async def main() -> None:
        async for _ in rows():
            break

    asyncio.run(main())


def given_up_by_its_caller(opens: Any) -> None:
    async def write() -> None:
        with opens() as file:
            file.write(b"data")
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(write())
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())


@pytest.mark.parametrize("program", [ended_by_the_loop, left_by_its_reader, given_up_by_its_caller])
@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}], ids=["plain", "gzip"])
def test_a_task_that_is_cancelled_unseen_is_told_of(
    program: Any, options: dict[str, str], fs: Any, fake: FakeS3, caplog: pytest.LogCaptureFixture
) -> None:
    def opens() -> Any:
        return fs.open(PATH, "wb", **options)

    program(opens)
    assert not fake.objects
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1
    assert "nothing was published" in told[0]


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_help_knows_close(mode: str, fs: Any) -> None:
    with fs.open(PATH, mode) as file:
        for close in (file.close, type(file).close):
            assert close.__name__ == "close"
            assert close.__doc__.startswith("Publish what was written")
