"""`make stores`: every store that can be had here, tried, and the table of docs/stores.md made from that.

Exit code 1 when a store was asked for by name and could not be had.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.real_stores import honours, table
from tests.real_stores.building import NotBuilt
from tests.real_stores.cache import cache_folder
from tests.real_stores.catalogue import BY_NAME, PROGRAMS, Program
from tests.real_stores.checking import Outcome
from tests.real_stores.run import run_store


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def tell(outcome: Outcome) -> None:
    """Print one outcome."""
    reason = f": {outcome.reason}" if outcome.reason else ""
    say(f"  {outcome.seconds:6.1f} s  {outcome.word:5} {outcome.title}{reason}")


def announce(program: Program) -> None:
    """Say what will take long, before it does."""
    if not program.source.is_here():
        say(f"{program.heading}: built once, some {program.source.minutes} minutes, into {cache_folder()}")


def fetch(programs: list[Program]) -> int:
    """Build what is not there yet."""
    for program in programs:
        announce(program)
        try:
            program.source.build()
        except NotBuilt as error:
            say(f"{program.heading}: not built: {error}")
    return 0


def keep(result: table.Result, program: Program, only: str, is_kept: bool) -> None:
    """Keep what happened: never that a store is missing here, where it was tried before."""
    before = table.read(program.name)
    if only:
        if not is_kept or before is None or result.missing:
            return
        result = before.with_rows_of(result)
    if before is not None:
        result = result.with_lost_races_of(before)
    if not result.missing or before is None or before.missing:
        result.write()
        write()


def try_all(programs: list[Program], only: str, is_asked: bool, is_kept: bool) -> int:
    """Run on each store, keep what happened, and write the document."""
    failed = False
    for program in programs:
        announce(program)
        began = time.monotonic()
        say(program.heading)
        result = run_store(program, tell, only)
        if result.missing:
            say(f"{program.heading}: not tried: {result.missing}")
            failed = True
        say(f"{program.heading}: {time.monotonic() - began:.0f} s")
        keep(result, program, only, is_kept)
    return 1 if failed and is_asked else 0


def write() -> None:
    """Make the part of docs/stores.md, and the tables of docs/store-setup.md, from what was kept."""
    found = [table.read(program.name) for program in PROGRAMS]
    before = table.DOCUMENT.read_text(encoding="utf-8")
    text = table.document([result for result in found if result is not None], before)
    table.DOCUMENT.write_text(text, encoding="utf-8")
    setup = honours.document(honours.DOCUMENT.read_text(encoding="utf-8"))
    honours.DOCUMENT.write_text(setup, encoding="utf-8")


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.real_stores", description=__doc__)
    parser.add_argument("store", nargs="*", choices=[[], *BY_NAME], help="by default all")
    parser.add_argument("--only", default="", help="part of the titles of checks; nothing is kept then")
    parser.add_argument("--keep", action="store_true", help="keep these rows nevertheless")
    parser.add_argument("--fetch", action="store_true", help="build, and try nothing")
    parser.add_argument("--write", action="store_true", help="write both documents from what was kept")
    given = parser.parse_args()
    programs = [BY_NAME[name] for name in given.store] or list(PROGRAMS)
    if given.fetch:
        return fetch(programs)
    if given.write:
        write()
        return 0
    return try_all(programs, given.only, bool(given.store), given.keep)


if __name__ == "__main__":
    sys.exit(main())
