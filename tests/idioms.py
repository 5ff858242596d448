"""Ways in which programs end the writing of a file, and what becomes of the object.

Each `act` is given a function that opens a binary file for writing. `ours`: whether the object is there
afterwards. `elsewhere`: whether local files and s3fs 2026.9 have something there, half or whole. `told`:
whether a warning of ours says that nothing was published.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import io
import pickle
import queue
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

Opens = Callable[[], Any]


class Idiom(NamedTuple):
    """One way, by the name of `act`."""

    act: Callable[[Opens], None]
    ours: bool
    told: bool
    elsewhere: bool = True


IDIOMS: list[Idiom] = []


def idiom(*, ours: bool, told: bool, elsewhere: bool = True) -> Callable[[Callable[[Opens], None]], None]:
    """Add the function to the table."""

    def add(act: Callable[[Opens], None]) -> None:
        IDIOMS.append(Idiom(act, ours, told, elsewhere))

    return add


class RowsFailed(Exception):
    """The error of a program in the middle of writing."""


# --- clean ends ---


@idiom(ours=True, told=False)
def with_block(opens: Opens) -> None:
    with opens() as file:
        file.write(b"data")


@idiom(ours=True, told=False)
def finally_closes(opens: Opens) -> None:
    file = opens()
    try:
        file.write(b"data")
    finally:
        file.close()


@idiom(ours=True, told=False)
def opened_and_closed_in_an_except_block(opens: Opens) -> None:
    try:
        raise RowsFailed
    except RowsFailed:
        file = opens()
        file.write(b"what went wrong")
        file.close()


@idiom(ours=True, told=False)
def closed_after_an_except_block(opens: Opens) -> None:
    file = opens()
    file.write(b"data")
    with contextlib.suppress(RowsFailed):
        raise RowsFailed
    file.close()


@idiom(ours=True, told=False)
def closed_in_a_thread(opens: Opens) -> None:
    file = opens()
    file.write(b"data")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(file.close).result()


# --- the exceptions by which an input ends, caught ---


@idiom(ours=True, told=False)
def except_stop_iteration_closes(opens: Opens) -> None:
    file, rows = opens(), iter([b"1", b"2"])
    try:
        while True:
            file.write(next(rows))
    except StopIteration:
        file.close()


@idiom(ours=True, told=False)
def except_empty_closes_and_returns(opens: Opens) -> None:
    jobs: queue.Queue[bytes] = queue.Queue()
    jobs.put(b"1")
    file = opens()
    while True:
        try:
            file.write(jobs.get_nowait())
        except queue.Empty:
            file.close()
            return


@idiom(ours=True, told=False)
def except_key_error_closes_and_breaks(opens: Opens) -> None:
    file, rows, number = opens(), {0: b"0", 1: b"1"}, 0
    while True:
        try:
            file.write(rows[number])
        except KeyError as error:
            number = error.args[0]
            file.close()
            break
        number += 1
    if number != 2:
        raise RowsFailed


@idiom(ours=True, told=False)
def except_eof_closes(opens: Opens) -> None:
    source = io.BytesIO(pickle.dumps(1) + pickle.dumps(2))
    file = opens()
    while True:
        try:
            number = pickle.load(source)
        except EOFError:
            file.close()
            break
        file.write(b"%d\n" % number)


@idiom(ours=True, told=False)
def a_function_closes_for_the_except_block(opens: Opens) -> None:
    def finish(files: list[Any]) -> None:
        for file in files:
            file.close()

    file, rows = opens(), [b"1"]
    try:
        while True:
            file.write(rows.pop())
    except IndexError:
        finish([file])


@idiom(ours=True, told=False)
def iterator_that_ends_by_an_error_of_its_own(opens: Opens) -> None:
    class Rows:
        def __init__(self) -> None:
            self.left = ["1", "2", "none"]

        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            try:
                return int(self.left.pop(0))
            except ValueError:
                raise StopIteration from None

    file, rows = opens(), Rows()
    try:
        while True:
            file.write(b"%d" % next(rows))
    except StopIteration:
        try:
            file.close()
        finally:
            rows.left.clear()


@idiom(ours=True, told=False)
def generator_catches_its_end(opens: Opens) -> None:
    def rows() -> Iterator[int]:
        file = opens()
        try:
            for number in range(9):
                file.write(b"%d" % number)
                yield number
        except GeneratorExit:
            file.close()

    generator = rows()
    next(generator)
    generator.close()  # type: ignore[attr-defined]


@idiom(ours=True, told=False)
def async_input_ends_and_a_thread_closes(opens: Opens) -> None:
    async def numbers() -> AsyncIterator[bytes]:
        yield b"1"

    async def main() -> None:
        file, rows = opens(), numbers()
        try:
            while True:
                file.write(await anext(rows))
        except StopAsyncIteration:
            await asyncio.to_thread(file.close)

    asyncio.run(main())


# --- the end of the program ---


@idiom(ours=True, told=False)
def exit_0_in_with(opens: Opens) -> None:
    with opens() as file:
        file.write(b"report")
        sys.exit(0)


@idiom(ours=True, told=False)
def exit_in_closing(opens: Opens) -> None:
    with contextlib.closing(opens()) as file:
        file.write(b"report")
        sys.exit()


@idiom(ours=False, told=False)
def exit_1_in_with(opens: Opens) -> None:
    with opens() as file:
        file.write(b"half")
        sys.exit(1)


@idiom(ours=False, told=False)
def exit_0_because_of_an_error(opens: Opens) -> None:
    with opens() as file:
        file.write(b"half")
        try:
            raise RowsFailed
        except RowsFailed:
            sys.exit(0)


@idiom(ours=False, told=True)
def except_keyboard_interrupt_closes(opens: Opens) -> None:
    file = opens()
    try:
        file.write(b"half")
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        file.close()


# --- an error on its way ---


@idiom(ours=False, told=False)
def error_in_with(opens: Opens) -> None:
    with opens() as file:
        file.write(b"half")
        raise RowsFailed


@idiom(ours=False, told=True)
def error_and_finally(opens: Opens) -> None:
    file = opens()
    try:
        file.write(b"half")
        raise RowsFailed
    finally:
        file.close()


@idiom(ours=False, told=True)
def error_that_is_raised_again(opens: Opens) -> None:
    file = opens()
    try:
        file.write(b"half")
        raise RowsFailed
    except RowsFailed:
        file.close()
        raise


@idiom(ours=False, told=True)
def error_that_is_swallowed(opens: Opens) -> None:
    file = opens()
    try:
        file.write(b"half")
        raise RowsFailed
    except RowsFailed:
        file.close()


@idiom(ours=False, told=True)
def error_in_closing(opens: Opens) -> None:
    with contextlib.closing(opens()) as file:
        file.write(b"half")
        raise RowsFailed


@idiom(ours=False, told=True)
def error_and_exit_stack(opens: Opens) -> None:
    with contextlib.ExitStack() as stack:
        file = opens()
        stack.callback(file.close)
        file.write(b"half")
        raise RowsFailed


@idiom(ours=False, told=True)
def error_in_a_generator_of_contextlib(opens: Opens) -> None:
    @contextlib.contextmanager
    def output() -> Iterator[Any]:
        file = opens()
        try:
            yield file
        finally:
            file.close()

    with output() as file:
        file.write(b"half")
        raise RowsFailed


@idiom(ours=False, told=True)
def error_under_buffered_writer(opens: Opens) -> None:
    with io.BufferedWriter(opens()) as file:
        file.write(b"half")
        raise RowsFailed


@idiom(ours=False, told=True)
def error_under_text(opens: Opens) -> None:
    with io.TextIOWrapper(opens()) as file:
        file.write("half")
        raise RowsFailed


@idiom(ours=False, told=True)
def error_under_gzip(opens: Opens) -> None:
    with contextlib.closing(opens()) as file, gzip.open(file, "wb") as packed:
        packed.write(b"half")
        raise RowsFailed


@idiom(ours=False, told=True)
def error_and_a_thread_closes(opens: Opens) -> None:
    async def main() -> None:
        file = await asyncio.to_thread(opens)
        try:
            await asyncio.to_thread(file.write, b"half")
            raise RowsFailed
        finally:
            await asyncio.to_thread(file.close)

    asyncio.run(main())


@idiom(ours=False, told=True)
def error_and_an_executor_closes(opens: Opens) -> None:
    file = opens()
    with ThreadPoolExecutor(1) as pool:
        try:
            file.write(b"half")
            raise RowsFailed
        finally:
            pool.submit(file.close).result()


@idiom(ours=False, told=True)
def error_and_async_exit(opens: Opens) -> None:
    class Output:
        async def __aenter__(self) -> Any:
            self.file = opens()
            return self.file

        async def __aexit__(self, *exception: object) -> None:
            self.file.close()

    async def main() -> None:
        async with Output() as file:
            file.write(b"half")
            raise RowsFailed

    asyncio.run(main())


@idiom(ours=False, told=True)
def end_of_input_within_an_error(opens: Opens) -> None:
    file, rows = opens(), iter([b"1"])
    try:
        file.write(b"half")
        raise RowsFailed
    finally:
        try:
            while True:
                file.write(next(rows))
        except StopIteration:
            file.close()


# --- the exceptions by which an input ends, not caught ---


@idiom(ours=False, told=True)
def end_of_input_raised_again(opens: Opens) -> None:
    file = opens()
    try:
        file.write(next(iter([])))
    except StopIteration:
        file.close()
        raise


@idiom(ours=False, told=True)
def end_of_input_made_an_error(opens: Opens) -> None:
    file = opens()
    try:
        file.write({}[b"row"])
    except KeyError as error:
        file.close()
        raise RowsFailed from error


@idiom(ours=False, told=True)
def end_of_input_leaves_with(opens: Opens) -> None:
    with contextlib.suppress(KeyError), opens() as file:
        file.write(b"half")
        file.write({}[b"row"])


@idiom(ours=False, told=True)
def generator_is_closed(opens: Opens) -> None:
    def rows() -> Iterator[int]:
        with opens() as file:
            for number in range(9):
                file.write(b"%d" % number)
                yield number

    for number in rows():
        if number == 3:
            break
    gc.collect()


# --- nobody closes ---


@idiom(ours=False, told=True)
def dropped(opens: Opens) -> None:
    pickle.dump(list(range(99)), opens())
    gc.collect()


@idiom(ours=False, told=True)
def dropped_below_gzip(opens: Opens) -> None:
    with gzip.open(opens(), "wb") as packed:
        packed.write(b"data")
    del packed
    gc.collect()
