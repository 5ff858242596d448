"""From files here to S3: `put_file`, `put`."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.implementations.local import LocalFileSystem

from .._s3.client import S3Client
from .._values.attributes import Attributes, check_names
from .._values.keywords import Verb, check_local_path, check_type
from .._values.parameters import Path
from .._write.resume import resume_file
from .._write.source_file import SourceFile, refuse_special
from .._write.sources import copy_file, upload_file
from .conditions import write_condition
from .listing import Lister
from .object_headers import ObjectHeaders
from .path_rules import PathRules
from .placement import check_paths, local_path, local_sources, meeting, placed, refuse, say_passed_over
from .selection import Source, is_one, without_directories
from .transaction import joined
from .transfer import callback_of, counting, transfer


class Uploads:
    """Uploads local files."""

    def __init__(self, client: S3Client, paths: PathRules, lister: Lister, headers: ObjectHeaders) -> None:
        self._client = client
        self._paths = paths
        self._lister = lister
        self._headers = headers

    def put_file(
        self,
        opening: Verb | None,
        /,
        lpath: Any,
        rpath: Path,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        if_match: str | None = None,
        resume: str | None = None,
        *,
        chunksize: int | None = None,
        max_concurrency: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Upload a local file under a condition, or the rest of it to the upload `resume`. A folder: nothing.

        In a transaction by the file that `opening` opens, which is published with the others.
        """
        callback = callback_of(callback)
        check_local_path("lpath", lpath)
        lpath = local_path(lpath)
        condition = write_condition(mode, if_match)
        client = self._client.in_pieces(chunksize, max_concurrency, writing=True)
        given = Attributes.parse(kwargs, self.put_file)
        if resume is not None:
            check_type("resume", resume, str)
            if not resume:
                raise ValueError("resume must be the id of an upload, not an empty string")
        if os.path.isdir(lpath):
            return
        location = self._paths.target(rpath)
        with SourceFile(lpath) as file:
            callback.set_size(file.size)
            progress = counting(callback)
            if opening is not None:
                if resume is not None:
                    raise ValueError("resume is not possible in a transaction")
                writing = "xb" if condition.create else "wb"
                with opening(rpath, writing, if_match=if_match, **kwargs) as target:
                    copy_file(file, target.write, progress)
                return
            upload = self._headers.new_upload(location, condition, given)
            if resume is not None:
                client = self._headers.client_for(given).in_pieces(chunksize, max_concurrency, writing=True)
                asked = self._headers.asked(given)
                resume_file(client, upload, location, resume, file, progress, asked)
            else:
                upload_file(client, upload, file, progress)

    def put(
        self,
        put_file: Verb,
        makedirs: Verb | None,
        /,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Upload files, globs or trees by `put_file`; in parallel. All keys are known before any is sent.

        `makedirs` is called for the buckets that folders go to, where it is given. ValueError when two files
        would become the same object.
        """
        check_names(kwargs, self.put, put_file)
        client = self._client.in_batches(batch_size)
        callback = callback_of(callback)
        check_paths("lpath", lpath)
        check_paths("rpath", rpath)
        if isinstance(lpath, list) and isinstance(rpath, list):
            sources = [Source(local_path(p), "") for p in lpath]
        else:
            found = local_sources(lpath, recursive, maxdepth)
            sources = without_directories(lpath, found, recursive and maxdepth is None)
            if not (sources or recursive or not is_one(lpath)):
                say_passed_over(lpath)
        into = partial(self._lister.is_directory, rpath)
        stripped = self._paths.name(rpath) if is_one(rpath) else rpath
        pairs = placed(lpath, LocalFileSystem._strip_protocol, sources, stripped, into)
        files = [(source.name, target) for source, target in pairs if source.kind != "directory"]
        refuse(meeting([self._paths.name(target) for _, target in files]))
        for source, _ in files:
            refuse_special(source)
        if makedirs is not None:
            folders = [target for source, target in pairs if source.kind == "directory"]
            for bucket in {self._paths.location(target)[0].bucket for target in folders}:
                makedirs(bucket, exist_ok=True)
        transfer(client, files, joined(put_file), callback, kwargs)
