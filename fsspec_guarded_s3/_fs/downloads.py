"""From S3 to files here: `get_file`, `get`."""

from __future__ import annotations

import errno
import os
import warnings
from functools import partial
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK

from .._read.download import download
from .._read.target_file import refuse_stream, write_all
from .._s3.client import S3Client
from .._values.attributes import Attributes, check_names
from .._values.fsspec_rules import absolute, is_file_like
from .._values.keywords import Verb, check_local_path
from .._values.local_files import extended
from .._values.parameters import Path
from ..errors import ObjectNotFoundError
from .content_reader import ContentReader
from .directories import nothing_at
from .listing import Lister
from .object_headers import ObjectHeaders
from .path_rules import PathRules
from .placement import (
    Pairs,
    also_folders,
    check_paths,
    local_path,
    meeting_here,
    outside,
    placed,
    refuse,
    say_passed_over,
    unnameable,
)
from .selection import Selector, is_one
from .transfer import callback_of, counting, transfer


class Downloads:
    """Downloads objects, each to a temporary file that is renamed when it is complete."""

    def __init__(
        self,
        client: S3Client,
        paths: PathRules,
        lister: Lister,
        selector: Selector,
        headers: ObjectHeaders,
        contents: ContentReader,
    ) -> None:
        self._client = client
        self._paths = paths
        self._lister = lister
        self._selector = selector
        self._headers = headers
        self._contents = contents

    def get_file(
        self,
        cat_file: Verb,
        /,
        rpath: Path,
        lpath: Any = None,
        callback: Any = DEFAULT_CALLBACK,
        outfile: Any = None,
        version_id: str | None = None,
        *,
        chunksize: int | None = None,
        max_concurrency: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Download an object to a file, or by `cat_file` into the open `outfile`; a directory is a folder."""
        callback = callback_of(callback)
        pieces = {"chunksize": chunksize, "max_concurrency": max_concurrency}
        kwargs |= {name: value for name, value in pieces.items() if value is not None}
        outfile = lpath if outfile is None and is_file_like(lpath) else outfile
        if outfile is not None:
            data = cat_file(rpath, version_id=version_id, **kwargs)
            callback.set_size(len(data))
            write_all(outfile, data)
            callback.relative_update(len(data))
            return
        if not self._get_object(rpath, lpath, callback, version_id, **kwargs):
            os.makedirs(extended(local_path(lpath)), exist_ok=True)

    def _get_named(self, rpath: Path, *args: Any, **kwargs: Any) -> None:
        """Download the object that a path names, or that was listed."""
        if not self._get_object(rpath, *args, **kwargs):
            say_passed_over(rpath)

    def _get_object(
        self,
        rpath: Path,
        lpath: Any,
        callback: Any = DEFAULT_CALLBACK,
        version_id: str | None = None,
        *,
        chunksize: int | None = None,
        max_concurrency: int | None = None,
        **kwargs: Any,
    ) -> bool:
        """Download an object; False when `rpath` is no object, but a directory.

        The folder of `lpath` is made when the object is known to be there. IsADirectoryError for a `lpath`
        that is a folder itself.
        """
        check_local_path("lpath", lpath)
        local = local_path(lpath)
        refuse(unnameable([(str(rpath), os.fsdecode(local))], None))
        client = self._client
        if kwargs:
            client = self._headers.client_for(Attributes.parse_reading(kwargs, self.get_file))
        client = client.in_pieces(chunksize, max_concurrency)

        def begin(size: int) -> None:
            if os.path.isdir(local):
                raise IsADirectoryError(errno.EISDIR, "the target is a folder: name a file in it", local)
            os.makedirs(extended(os.path.dirname(os.path.abspath(local))), exist_ok=True)
            # First: where it begins anew, since the object was replaced meanwhile, this one may be smaller.
            callback.absolute_update(0)
            callback.set_size(size)

        location, only_directory = self._paths.location(rpath, version_id)
        if location.key and not only_directory:
            try:
                if os.path.isdir(local):  # no byte is asked for that has no place
                    begin(client.reads.head_object(location).size)
                download(client, location, local, begin, counting(callback))
            except ObjectNotFoundError:
                if location.version_id is not None or not self._lister.isdir(rpath):
                    raise
            else:
                return True
        elif not self._lister.isdir(rpath):
            raise nothing_at(location)
        return False

    def get(
        self,
        own: Verb | None,
        /,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Download files, globs or trees; in parallel. All places are checked before the first is written.

        `own` is the `get_file` of a subclass, which is called for each object.
        """
        check_names(kwargs, self.get, own or self.get_file)
        client = self._client.in_batches(batch_size)
        callback = callback_of(callback)
        check_paths("lpath", lpath)
        sources = self._selector.sources(rpath, lpath, recursive, maxdepth)
        if not (sources or recursive or not is_one(rpath)):
            say_passed_over(rpath)
        if is_one(lpath):
            lpath = absolute(local_path(lpath))
        into = partial(is_local_directory, lpath)
        pairs = placed(rpath, self._paths.name, sources, lpath, into)
        each = own or (self._get_named if is_one(rpath) else partial(self.get_file, self._contents.cat_file))
        get_placed(client, pairs, lpath, each, callback, kwargs)


def get_placed(
    client: S3Client, pairs: Pairs, root: Any, each: Verb, callback: Any, kwargs: dict[str, Any]
) -> None:
    """Download by `each` what has its place here, in parallel, once all places were checked.

    Errors as of `_checked_here`. A warning names what was left out.
    """
    files, left_out = _checked_here(pairs, root)
    transfer(client, files, each, callback, kwargs)
    if left_out:
        _warn_left_out(left_out)


def _checked_here(pairs: Pairs, root: Any) -> tuple[list[tuple[str, str]], list[str]]:
    """The files, each with its place here, and names of those left out, whose place has to be a folder.

    Raises ValueError, before anything is written, where two would be one file, or one none or outside of
    `root`. Then the folders are made.
    """
    files = [(source.name, target) for source, target in pairs if source.kind != "directory"]
    refuse(unnameable([(source.name, target) for source, target in pairs], root))
    refuse(outside([target for _, target in pairs], root))
    no_file = {target for source, target in pairs if source.kind == "directory"}
    no_file |= also_folders(target for _, target in pairs)
    left_out = [source for source, target in files if target in no_file]
    files = [(source, target) for source, target in files if target not in no_file]
    refuse(meeting_here([target for _, target in files]))
    for _, target in files:
        refuse_stream(target)
    for source, target in pairs:
        if source.kind == "directory":
            os.makedirs(extended(target), exist_ok=True)
    return files, left_out


def _warn_left_out(names: list[str]) -> None:
    """Warn of objects that could not be files here, since a directory has the same name."""
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    warnings.warn(
        f"{names[0]}{others}: not downloaded, since there is a directory of the same name, which became a "
        "folder; get_file gets it under another name",
        UserWarning,
        stacklevel=5,
    )


def is_local_directory(path: str) -> bool:
    """Whether a local path is a folder, or says so by a slash at its end."""
    return path.endswith("/") or os.path.isdir(path)
