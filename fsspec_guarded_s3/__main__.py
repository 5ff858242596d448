"""`python -m fsspec_guarded_s3`, and the script `guarded-s3`."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from typing import Any

from ._program import raise_interrupts


def main() -> int:
    """Run the command line, or say what it needs."""
    try:
        from ._cli.commands import main as run

        raise_interrupts()
        _stand_in_for_closed_streams()
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # else nohup ignores it
                signal.signal(number, _end)
        return run()
    except ModuleNotFoundError as error:
        if error.name not in ("click", "tqdm"):
            raise
        sys.stderr.write("guarded-s3 needs click and tqdm: pip install 'click>=8.2' 'tqdm>=4.66'\n")
        return 1
    except KeyboardInterrupt:  # before a command had begun
        return 128 + signal.SIGINT


def _end(number: int, _: object) -> None:
    """Unwind what is under way, so that no upload is left behind (`timeout`, a terminal that is closed)."""
    raise SystemExit(128 + number)


class _Closed(io.RawIOBase):
    """A standard stream that was closed before the program began: to use it is an error that says so."""

    def __init__(self, name: str) -> None:
        self._name = name

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise self._error()

    def write(self, data: Any) -> int:
        raise self._error()

    def _error(self) -> OSError:
        return OSError(errno.EBADF, f"standard {self._name} is closed")


def _stand_in_for_closed_streams() -> None:
    """Python has None where a standard stream is closed. Its number is taken, so that no socket gets it."""
    for stream, name in (("stdin", "input"), ("stdout", "output"), ("stderr", "error")):
        if getattr(sys, stream) is not None:
            continue
        number = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
        if stream == "stderr":  # nobody is there to be told
            sys.stderr = open(number, "w", encoding="utf-8")  # noqa: SIM115
        else:
            setattr(sys, stream, io.TextIOWrapper(_Closed(name), encoding="utf-8", write_through=True))


if __name__ == "__main__":
    sys.exit(main())
