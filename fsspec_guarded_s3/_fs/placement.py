"""Where each source of `get`, `put`, `copy` and `mv` goes, by fsspec's rules.

fsspec's documentation has them under "Copying files and directories". Invariant: no two sources go to one
place, and none of a tree goes outside of its target. All of that is checked before the first byte moves. The
command line places its sources by rules of its own (`_cli.transfers`), and uses the checks of this module.
"""

from __future__ import annotations

import glob
import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from .._values.descriptors import NONE_LEFT, refuse_none_left
from .._values.fsspec_rules import absolute, text_of
from .._values.keywords import flag
from .._values.local_names import Spellings, refusal_of_key, refusal_of_path
from .patterns import MAGIC
from .selection import Source, is_one

logger = logging.getLogger("fsspec_guarded_s3")

Pairs = list[tuple[Source, str]]
Misplaced = Iterator[tuple[str, str]]


def check_paths(name: str, paths: Any) -> None:
    """Raise TypeError when an argument is neither a path nor a list of them."""
    if not is_one(paths) and (isinstance(paths, bytes) or not isinstance(paths, Collection)):
        raise TypeError(f"{name} must be a path or a list of them, not {type(paths).__name__}")


def local_path(path: Any) -> Any:
    """The path of a local file in a call of one: `~` and `file://` mean what they do in those of many."""
    path = os.fspath(path)
    if isinstance(path, str) and path.startswith(("~", "file://", "local://")):
        return absolute(path.removeprefix("file://").removeprefix("local://"))
    return path


def local_sources(path: Any, recursive: bool, maxdepth: int | None) -> list[Source]:
    """The local files and folders that a path, a glob or a list of them stands for.

    A path that is there is no pattern. FileNotFoundError when nothing matches.
    """
    recursive = flag("recursive", recursive)
    paths = [text_of(p) for p in ([path] if is_one(path) else path)]
    patterns = [glob.escape(p) if MAGIC.search(p) and os.path.lexists(p) else p for p in paths]
    names = LocalFileSystem().expand_path(
        patterns, recursive=recursive, maxdepth=maxdepth, on_error=_tell_left_out
    )
    sources = [Source(name, "directory" if os.path.isdir(name) else "file") for name in names]
    if recursive and maxdepth is None:
        _say_left_out(sources)
    return sources


def _tell_left_out(error: OSError) -> None:
    """Log which folder cannot be read, which fsspec leaves out. ConnectError where no descriptor is left."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):  # a file, as fsspec finds out so
        return
    if error.errno in NONE_LEFT:
        refuse_none_left(error)
    logger.warning("%s: the folder cannot be read, and is left out of the tree", error)


def _say_left_out(sources: list[Source]) -> None:
    """Log which links to folders of a tree were not followed."""
    parents = {os.path.dirname(source.name) for source in sources}
    folders = (source.name for source in sources if source.kind == "directory")
    links = [name for name in folders if os.path.islink(name) and name not in parents and os.listdir(name)]
    if links:
        others = f" and {len(links) - 1} more" if len(links) > 1 else ""
        logger.warning("%s%s: links to folders are not followed, and left out of the tree", links[0], others)


def say_passed_over(path: Any) -> None:
    """Log that a path is that of a directory, which fsspec's rule passes over without `recursive`."""
    logger.warning("nothing was copied: %s is a directory, and recursive=True was not passed", path)


def placed(
    path: Any, strip: Callable[[Any], Any], sources: list[Source], target: Any, into: Callable[[], bool]
) -> Pairs:
    """Each source with its place at `target`.

    `path` is what the caller gave for the sources, `strip` takes its protocol off; `into` tells whether the
    target is a directory, and is asked only where that matters.
    """
    names = [source.name for source in sources]
    if not is_one(target):
        if len(target) != len(names):
            raise ValueError(
                f"{len(names)} sources, but {len(target)} targets: the lists must be equally long"
            )
        return list(zip(sources, target, strict=True))
    if not names:
        return []
    if not is_one(path):
        return [(source, _join(target, source.name.rpartition("/")[2])) for source in sources]
    common = _common(names)
    if MAGIC.search(strip(path)) and strip(path) not in names:  # it was taken as a pattern
        within = len(set(names)) == 1
    else:
        within = not text_of(path).endswith("/") and into()
    if within:
        common = common.rsplit("/", 1)[0]  # a bucket is in no directory: what is in it goes (fsspec's rule)
    return [(source, _join(target, source.name[len(common) :].removeprefix("/"))) for source in sources]


def _common(names: list[str]) -> str:
    """The path that all names have in common, whole segments only."""
    shared: list[str] = []
    for column in zip(*(name.split("/") for name in names), strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return "/".join(shared)


def _join(directory: str, name: str) -> str:
    if not name:
        return directory
    return f"{directory}{name}" if directory.endswith("/") else f"{directory}/{name}"


# --- where nothing is to be written: each such place, and why ---


def refuse(misplaced: Misplaced) -> None:
    """Raise ValueError for the first place where nothing is to be written."""
    for _, why in misplaced:
        raise ValueError(why)


def meeting(targets: Sequence[str]) -> Misplaced:
    """Objects that two of the sources would become, where the last would win by chance."""
    counts = Counter(targets)
    return ((target, _both_become(target)) for target in counts if counts[target] > 1)


def overwriting(pairs: Iterable[tuple[str, str]]) -> Misplaced:
    """Targets that are a source of another copy too: which comes first is chance."""
    pairs = [(source, target) for source, target in pairs if source != target]
    overwritten = {source for source, _ in pairs} & {target for _, target in pairs}
    return ((name, f"{name!r} is a source and a target at once: copy step by step") for name in overwritten)


def into_itself(trees: Iterable[tuple[str, str]]) -> Misplaced:
    """Places of directories that are within these directories: each run would copy the copies of the last."""
    for source, target in trees:
        if is_below(target, source):
            yield (
                target,
                f"the directory {source!r} cannot be copied or moved into itself, to {target!r}: name a "
                "target that is not in it",
            )


def is_below(name: str, directory: str) -> bool:
    """Whether a bucket and key, both without a slash at the end, is in `directory`."""
    return name.startswith(f"{directory}/")


def outside(targets: Iterable[str], root: Any) -> Misplaced:
    """Places in a tree that are outside of `root`, by their name or by a link that is there.

    `root` itself is what the caller named: it may be a link, and lead anywhere.
    """
    if not is_one(root):
        return
    top = os.path.normcase(os.path.abspath(root))
    real_top = os.path.realpath(root)
    folders: dict[str, str] = {}
    for target in targets:
        place = os.path.abspath(target)
        if os.path.normcase(place) == top:
            continue
        if not _is_below(place, top):
            yield target, f"a key with '..' in it would be written to {target!r}, outside of {root!r}"
            continue
        folder, name = os.path.split(place)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        real = os.path.realpath(place) if os.path.islink(place) else os.path.join(folders[folder], name)
        if real != real_top and not _is_below(real, real_top):
            yield target, f"{target!r} is behind a link that leads out of {root!r}, to {real!r}"


def unnameable(pairs: Iterable[tuple[str, str]], root: Any) -> Misplaced:
    """Places, each behind its source, that are no names of files on this system.

    In what the caller named a backslash may part folders; in a key it is a character like others.
    """
    for source, target in pairs:
        end = len(root) if is_one(root) and target.startswith(root) else len(target)
        why = refusal_of_path(target[:end]) or refusal_of_key(target[end:])
        if why:
            yield target, f"{source!r} cannot become the file {target!r}: {why}"


def _is_below(place: str, top: str) -> bool:
    return os.path.normcase(place).startswith(os.path.normcase(top).rstrip(os.sep) + os.sep)


def meeting_here(targets: Sequence[str]) -> Misplaced:
    """Local files that two of the sources would become, or one a folder that another one is in.

    Also where the names differ, and the folder has one file by both.
    """
    places: dict[str, list[str]] = {}
    spellings = Spellings()
    for target in targets:
        place = spellings.of(os.path.normcase(os.path.abspath(target)))
        places.setdefault(place, []).append(target)
    for place, names in places.items():
        if len(names) > 1:
            yield from ((name, _both_become(place, names)) for name in names)
        above = os.path.dirname(place)
        while len(above) > 1 and above not in places and above != os.path.dirname(above):
            above = os.path.dirname(above)
        if above in places:
            why = f"{places[above][0]!r} would have to be a file and a folder"
            yield from ((name, why) for name in (*places[above], *names))


def also_folders(targets: Iterable[str]) -> set[str]:
    """Those of `targets` that have to be a folder, since others of them are in it: no file can be there."""
    spellings = Spellings()
    places = {spellings.of(os.path.normcase(os.path.abspath(target))): target for target in targets}
    seen: set[str] = set()
    for place in places:
        above = os.path.dirname(place)
        while above not in seen:
            seen.add(above)
            above = os.path.dirname(above)
    return {places[place] for place in seen & places.keys()}


def _both_become(target: str, spelt: Sequence[str] = ()) -> str:
    others = sorted({name for name in spelt if os.path.abspath(name) != target})
    also = f", which {', '.join(map(repr, others))} is here too" if others else ""
    return f"two of the sources would both become {target!r}{also}"
