"""Memory of this process, from proc(5)."""

from __future__ import annotations


def forget_peak() -> None:
    """Let the peak begin anew."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak() -> int:
    """The peak of the resident set, in bytes."""
    return _status("VmHWM")


def resident() -> int:
    """The resident set now, in bytes."""
    return _status("VmRSS")


def _status(name: str) -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(name))
    return int(line.split()[1]) * 1024
