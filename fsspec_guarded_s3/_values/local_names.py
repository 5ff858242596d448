"""Which keys are names of files here, and which of them are one file.

Windows takes some names for something else: `a:b` is a stream of the file `a`, `NUL` a device, `a.` the file
`a`. File systems of Windows and macOS, and some of Linux (vfat, SMB, folders of ext4 with casefold), take two
names for one that differ in case only, or in the way that an accent is written (Unicode's NFC and NFD).
"""

from __future__ import annotations

import ntpath
import os
import re
import tempfile
from unicodedata import normalize

from . import local_files

_DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
_DEVICES |= {f"{device}{number}" for device in ("COM", "LPT") for number in "123456789¹²³"}
_REFUSED = re.compile(r'[\x00-\x1f"*:<>?|\\/]')


def refusal_of_key(key: str) -> str:
    """Why `key`, or its part below a folder, can be no path of a file on this system; "" where it can."""
    return _refusal(key.split("/")) if local_files.WINDOWS else _refusal_elsewhere(key)


def refusal_of_path(path: str) -> str:
    """Why `path`, as a user wrote it, can be no path of a file on this system; "" where it can."""
    if not local_files.WINDOWS:
        return _refusal_elsewhere(path)
    if path.startswith("\\\\?\\"):  # it turns off the rules
        return ""
    return _refusal(ntpath.splitdrive(path)[1].replace("\\", "/").split("/"))


def _refusal_elsewhere(path: str) -> str:
    """Other systems take all bytes but one; letters become bytes by the locale that Python was started in."""
    if "\0" in path:
        return "no file has a NUL in its name"
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        letters = path[error.start : error.end]
        return (
            f"names of files are {error.encoding} in this locale, which has no {letters!r}: set PYTHONUTF8=1 "
            "before Python starts"
        )
    return ""


def _refusal(names: list[str]) -> str:
    """By the rules of Windows, as its documentation has them under "Naming Files, Paths, and Namespaces"."""
    for name in names:
        if name in ("", ".", ".."):
            continue
        refused = _REFUSED.search(name)
        if refused:
            return f"Windows has no file with {refused[0]!r} in its name"
        if name[-1] in ". ":
            return f"Windows would leave out the {name[-1]!r} at the end of {name!r}"
        if name.partition(".")[0].rstrip(" ").upper() in _DEVICES:
            return f"{name!r} is a device on Windows"
    return ""


class Spellings:
    """One spelling for all those of a path that are one file. A folder is only asked where that matters."""

    def __init__(self) -> None:
        self._spelt: dict[str, str] = {}
        self._siblings: dict[tuple[str, str], list[str]] = {}

    def of(self, path: str) -> str:
        """The spelling of the absolute `path`, or of the one before that is the same file."""
        unknown = []
        while path not in self._spelt and (split := os.path.split(path))[1]:
            unknown.append((path, split[1]))
            path = split[0]
        found = self._spelt.get(path, path)
        for longer, name in reversed(unknown):
            found = self._spelt[longer] = os.path.join(found, self._name(found, name))
        return found

    def _name(self, folder: str, name: str) -> str:
        names = self._siblings.setdefault((folder, _plain(name)), [])
        if name not in names:
            for other in names:
                if is_one_name(folder, other, name):
                    return other
            names.append(name)
        return name


def _plain(name: str) -> str:
    """Without what any file system leaves out of account."""
    return name.lower() if name.isascii() else normalize("NFC", normalize("NFC", name).casefold())


def is_one_name(folder: str, first: str, second: str) -> bool:
    """Whether `folder`, which need not be there yet, has one file by both names.

    It is tried out, since one system may have folders of each kind. False where nothing can be made there.
    """
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".gs3-", dir=folder) as trial:
            os.mkdir(os.path.join(trial, first))
            return os.path.lexists(os.path.join(trial, second))
    except OSError:
        return False
