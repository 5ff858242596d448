"""`python -m fsspec_guarded_s3`, and the script `guarded-s3`."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run the command line, or say what it needs."""
    try:
        from ._cli.commands import main as run
    except ModuleNotFoundError as error:
        if error.name not in ("click", "tqdm"):
            raise
        sys.stderr.write("guarded-s3 needs click and tqdm: pip install 'click>=8.2' 'tqdm>=4.66'\n")
        return 1
    signal.signal(signal.SIGTERM, _end)
    return run()


def _end(*_: object) -> None:
    """Unwind what is under way, so that no upload is left behind (`timeout`, a job that is stopped)."""
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
