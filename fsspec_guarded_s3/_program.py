"""What has to be done before anything else is loaded, where this process is the command line.

To load the package takes tenths of a second, in which Ctrl-C would end in a traceback: no code of the command
line runs yet that could catch it. So the process then ends by the signal itself, as programs do that have
nothing to clean up; shells report 130.
"""

from __future__ import annotations

import os
import signal
import sys


def _is_command_line() -> bool:
    """Whether the script `guarded-s3` runs, or `python -m fsspec_guarded_s3`."""
    first = sys.argv[0] if getattr(sys, "argv", None) else ""
    if first == "-m":  # so it is called until the module is found
        words = sys.orig_argv
        at = next((number for number, word in enumerate(words) if word.startswith("-m")), 0)
        return "".join(words[at : at + 2]).startswith("-mfsspec_guarded_s3")
    name = os.path.basename(first)
    return name.removesuffix(".exe").removesuffix("-script.py") == "guarded-s3"


def end_by_interrupt() -> None:
    """Have Ctrl-C end the process at once, if it is the command line, and nothing else handles that."""
    if _is_command_line() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_interrupts() -> None:
    """Have Ctrl-C raise KeyboardInterrupt again: from here on the command line handles it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


end_by_interrupt()
