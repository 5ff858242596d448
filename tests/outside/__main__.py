"""`python -m tests.outside [SUITE ...] [--write]`: exit code 1 when a test fails that should pass."""

from __future__ import annotations

import argparse
import sys

from tests.outside import place
from tests.outside.run import Result, run
from tests.outside.suites import SUITES
from tests.outside.table import DOCUMENT, rows, written


def main() -> int:
    """Run the suites that are named, else all."""
    known = [suite.name for suite in SUITES]
    parser = argparse.ArgumentParser(prog="python -m tests.outside", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(known))
    parser.add_argument("--write", action="store_true", help="write the table of all into docs/s3fs.md")
    given = parser.parse_args()
    if unknown := sorted(set(given.suites) - set(known)):
        parser.error(f"there is no suite {', '.join(unknown)}")
    if given.write and given.suites:
        parser.error("--write needs all suites")
    if sys.platform == "win32":
        parser.error("these tests need links and commands of POSIX systems")
    python = place.environment()
    results = []
    for suite in SUITES:
        if not given.suites or suite.name in given.suites:
            print(f"{suite.name} {suite.version} ...", flush=True)
            results.append(run(suite, python))
            tell(results[-1])
    print("\n".join(rows(results)))
    if given.write:
        DOCUMENT.write_text(written(results))
    return int(any(result.failed for result in results))


def tell(result: Result) -> None:
    """Print what nobody expected."""
    for name in result.failed:
        print(f"  FAILED {name}: {result.said.get(name, '')}")
    for name in result.better:
        print(f"  passes, although it is listed as different: {name}")


if __name__ == "__main__":
    sys.exit(main())
