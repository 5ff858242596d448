"""Copying and moving files, globs and trees inside S3: `copy`, `mv`; in parallel."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from .._s3.client import S3Client
from .._values.attributes import NONE, Attributes, check_names
from .._values.conditions import Condition
from .._values.keywords import Verb, check_choice
from .._values.models import ObjectInfo
from .._values.paths import S3Path
from .conditions import write_condition
from .copy_listed import Listed, ListedCopier
from .copy_object import Copier
from .directories import look_at
from .gathering import gather
from .listing import Lister
from .lookalikes import refuse_one_object
from .object_headers import ObjectHeaders
from .path_rules import PathRules, refuse_version
from .patterns import MAGIC
from .placement import (
    check_paths,
    into_itself,
    is_below,
    meeting,
    overwriting,
    placed,
    refuse,
    say_passed_over,
)
from .removal import Remover
from .renaming import Renamer
from .selection import Selector, Source, is_one

Pairs = list[tuple[Source, str]]


class _Looks:
    """The look at a source that is alone, made while another question is on its way."""

    def __init__(self, client: S3Client, source: S3Path | None) -> None:
        self._client = client
        self._source = source
        self.seen: list[Any] = []  # what HeadObject told, or its error

    def beside(self, ask: Callable[[], bool]) -> bool:
        """What `ask` returns; HeadObject of the source beside it."""
        if self._source is None:
            return ask()
        head = partial(self._client.reads.head_object, self._source)
        answer, *self.seen = gather(self._client, [ask, head], raising=False)
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    def take(self) -> ObjectInfo:
        """What was seen. Raises the error of HeadObject."""
        (found,) = self.seen
        if isinstance(found, Exception):
            raise found
        info: ObjectInfo = found
        return info


class ManyCopier:
    """Copies and moves many objects. `own` is the `cp_file` of a subclass, which is called for each."""

    def __init__(
        self,
        client: S3Client,
        paths: PathRules,
        lister: Lister,
        selector: Selector,
        headers: ObjectHeaders,
        copier: Copier,
        remover: Remover,
    ) -> None:
        self._client = client
        self._paths = paths
        self._lister = lister
        self._selector = selector
        self._headers = headers
        self._copier = copier
        self._listed = ListedCopier(client, headers, copier)
        self._renamer = Renamer(client, headers)
        self._remover = remover

    def copy(
        self,
        own: Verb | None,
        /,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: str | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy files, globs or trees; `on_error` is "raise", or "ignore" for sources that vanished."""
        check_names(kwargs, self.copy, own or self._copier.cp_file)
        on_error = on_error or ("ignore" if recursive else "raise")
        check_choice("on_error", on_error, ("raise", "ignore"))
        client = self._client.in_batches(batch_size)
        looks = _Looks(self._client, None if own or kwargs else self._lone(path1, recursive))
        files, _ = self._pairs(path1, path2, recursive, maxdepth, looks)
        copied = self._copy(client, own, files, on_error, kwargs, looks)
        if is_one(path1) and not recursive and (copied or not files) and not any(copied.values()):
            say_passed_over(path1)

    def mv(
        self,
        own: Verb | None,
        /,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy, then delete the versions that were copied; not after a failed copy, and nothing newer.

        In a directory bucket the store renames objects, if nothing has to be changed on the way.
        """
        check_names(kwargs, self.mv, own or self._copier.cp_file)
        client = self._client.in_batches(batch_size)
        path1 = self._selector.in_named_buckets(path1, "mv")
        looks = _Looks(self._client, None if own or kwargs else self._lone(path1, recursive))
        pairs, directories = self._pairs(path1, path2, recursive, maxdepth, looks)
        if path1 and not pairs and not recursive:
            raise IsADirectoryError(errno.EISDIR, "a directory is moved with recursive=True", str(path1))
        moved = [
            (source, target)
            for source, target in pairs
            if self._paths.name(source.name) != self._paths.name(target)
        ]
        places = [
            (self._paths.location(source.name)[0], self._paths.location(target)[0])
            for source, target in moved
        ]
        for place, _ in places:
            refuse_version(place)
        refuse_one_object(self._client, places)
        if not own and kwargs.keys() <= {"mode", "if_match"}:
            condition = write_condition(kwargs.get("mode", "overwrite"), kwargs.get("if_match"))
            moved = self._rename(client, moved, condition, looks)
        etags: dict[S3Path, str] = {}
        for source, info in self._copy(client, own, moved, "raise", kwargs, looks).items():
            if info is None:
                raise IsADirectoryError(errno.EISDIR, "a directory is moved with recursive=True", source)
            etags[self._paths.object(source)] = info.etag
        etags |= self._copy_markers(directories)
        self._remover.delete_exactly(etags)
        if recursive and maxdepth is None:
            for name in map(self._paths.name, [path1] if is_one(path1) else path1):
                if not MAGIC.search(name):
                    self._remover.remove_kept(self._paths.location(name)[0])

    def _rename(
        self, client: S3Client, pairs: Pairs, condition: Condition, looks: _Looks
    ) -> list[tuple[Source, str]]:
        """Rename what the store can rename; returns the others, which have to be copied.

        After the first error no more are renamed.
        """
        left: list[tuple[Source, str]] = []

        def one(source: Source, target: str, place: S3Path, there: S3Path) -> None:
            if source.row is not None and source.kind == "file":
                renamed = self._renamer.rename_listed(place, there, source.row, condition)
            else:
                look = looks.take if looks.seen else partial(look_at, client, place)
                info = self._copier.found(place, look)
                renamed = info is not None and self._renamer.rename(place, there, info, condition)
            if not renamed:
                left.append((source, target))

        calls = []
        for source, target in pairs:
            place, only_directory = self._paths.location(source.name)
            there, into_directory = self._paths.location(target)
            if only_directory or into_directory or not self._renamer.can(place, there):
                left.append((source, target))
            else:
                calls.append(partial(one, source, target, place, there))
        client.scheduler.run(calls)
        return left

    def _copy_markers(self, directories: Pairs) -> dict[S3Path, str]:
        """Copy the markers of directories that are moved; returns the version of each.

        They are shown by no verb. One that stayed would be a directory that was not moved.
        """
        places = {
            self._paths.name(source.name): self._paths.location(target)[0] for source, target in directories
        }
        roots = [name for name in places if name.rpartition("/")[0] not in places]
        found = {marker for root in roots for marker in self._lister.markers(self._paths.location(root)[0])}
        etags: dict[S3Path, str] = {}

        def one(marker: S3Path, place: S3Path) -> None:
            info = self._client.reads.head_object(marker)
            target = S3Path(place.bucket, place.prefix)
            if target.key:  # a bucket needs none
                headers = self._headers.copied(target, info, NONE)
                self._copier.publish(marker, info, target, Condition(), NONE, headers)
            etags[marker] = info.etag

        named = [(marker, places.get(marker.directory(marker.key))) for marker in found]
        moved = [
            (marker, place)
            for marker, place in named
            if place and (place.bucket, place.prefix) != (marker.bucket, marker.key)
        ]
        self._client.scheduler.run(partial(one, *pair) for pair in moved)
        return etags

    def _lone(self, path: Any, recursive: bool) -> S3Path | None:
        """The object that a path names, where it is one path and can be that of one object alone."""
        if recursive or not is_one(path) or MAGIC.search(self._paths.name(path)):
            return None
        location, only_directory = self._paths.location(path)
        return location if location.key and not only_directory else None

    def _pairs(
        self, path1: Any, path2: Any, recursive: bool, maxdepth: int | None, looks: _Looks
    ) -> tuple[Pairs, Pairs]:
        """Files, and directories, each with its place; nothing is overwritten before it was read."""
        check_paths("path2", path2)
        sources = self._selector.sources(path1, path2, recursive, maxdepth)
        stripped = self._paths.name(path2) if is_one(path2) else path2
        into = partial(looks.beside, partial(self._lister.is_directory, path2))
        pairs = placed(path1, self._paths.name, sources, stripped, into)
        files = [pair for pair in pairs if pair[0].kind != "directory"]
        names = [(self._paths.name(source.name), self._paths.name(target)) for source, target in files]
        refuse(meeting([target for _, target in names]))
        refuse(overwriting(names))
        directories = [pair for pair in pairs if pair[0].kind == "directory"]
        trees = [(self._paths.name(source.name), self._paths.name(target)) for source, target in directories]
        if is_one(path1) and is_one(path2) and files:
            trees += self._deep(self._paths.name(path1), self._paths.name(path2), recursive, maxdepth, names)
        refuse(into_itself(trees))
        return files, directories

    def _deep(
        self, path1: str, path2: str, recursive: bool, maxdepth: int | None, names: Sequence[tuple[str, str]]
    ) -> Iterator[tuple[str, str]]:
        """The directory from which a path takes files of several levels, with the target.

        With `maxdepth` or `**` it is not among the sources itself.
        """
        pattern = MAGIC.search(path1) if all(source != path1 for source, _ in names) else None
        top = path1[: pattern.start()].rpartition("/")[0] if pattern else path1
        is_deep = "**" in path1 if pattern else recursive and maxdepth != 1
        if is_deep and any(is_below(source, top) for source, _ in names):
            yield top, path2

    def _copy(
        self,
        client: S3Client,
        own: Verb | None,
        pairs: Sequence[tuple[Source, str]],
        on_error: str,
        kwargs: Mapping[str, Any],
        looks: _Looks,
    ) -> dict[str, ObjectInfo | None]:
        """Copy in parallel; returns what each source was when it was copied, None for a directory."""
        copied: dict[str, ObjectInfo | None] = {}
        copy = partial(self._copy_by, own) if own else self._copier.cp_file
        listed = {} if own or kwargs else self._alike(pairs)

        def one(source: str, target: str) -> None:
            item = listed.get((source, target))
            try:
                if item:
                    copied[source] = self._listed.copy(item)
                elif looks.seen:
                    copied[source] = self._copy_seen(source, target, looks.take)
                else:
                    copied[source] = copy(source, target, **kwargs)
            except FileNotFoundError:
                if on_error == "raise":
                    raise

        client.scheduler.run(partial(one, source.name, target) for source, target in pairs)
        return copied

    def _copy_seen(self, source: str, target: str, look: Callable[[], ObjectInfo]) -> ObjectInfo | None:
        """`cp_file` of a source that was looked at."""
        location, place = self._paths.location(source)[0], self._paths.target(target)
        info = self._copier.found(location, look)
        return info and self._copier.copy_known(location, place, info)

    def _alike(self, pairs: Sequence[tuple[Source, str]]) -> dict[tuple[str, str], Listed]:
        """Those that can be copied as the listing told of them, without a look at each."""
        items = {
            (source.name, target): Listed(
                self._paths.location(source.name)[0], self._paths.target(target), source.row
            )
            for source, target in pairs
            if source.row is not None and source.kind == "file"
        }
        return self._listed.alike(items)

    def _copy_by(self, cp_file: Verb, source: str, target: str, **kwargs: Any) -> ObjectInfo | None:
        """Call a subclass's verb; returns what the source was before, so that `mv` deletes nothing newer."""
        location, only_directory = self._paths.location(source)
        parameters = {name: value for name, value in kwargs.items() if name[:1].isupper()}
        client = self._headers.client_for(Attributes.parse(parameters, cp_file).of_source())
        info = None
        if not only_directory and location.key:
            info = self._copier.found(location, lambda: client.reads.head_object(location))
        cp_file(source, target, **kwargs)
        return info
