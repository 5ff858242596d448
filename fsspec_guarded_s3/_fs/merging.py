"""Making one object of several: by the store where it copies parts, else by what is read and sent.

Invariants: each source is of the one version that was looked at first, or it is ObjectChangedError; nothing
half-made is published; memory is bounded whatever the sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from .._read.download import read_range
from .._s3.client import S3Client
from .._values.attributes import Attributes
from .._values.keywords import check_type
from .._values.models import ObjectInfo
from .._values.parameters import Path
from .._values.paths import S3Path
from .._write.guards import honours
from .._write.parts import PartBuffer, publish_in_parts
from .._write.upload import Upload
from ..errors import InvalidRequestError, PreconditionUnsupportedError, ProtocolError
from ..options import MAX_PARTS, MIB, MIN_PART_SIZE
from .conditions import write_condition
from .copy_in_parts import ranges
from .gathering import gather
from .object_headers import ObjectHeaders
from .path_rules import PathRules
from .rows import Answer

_COPY_PART = 128 * MIB  # of parts that the store copies
_READ_PIECE = 16 * MIB  # of what is read and sent


class Piece(NamedTuple):
    """A source, and the version of it that is copied."""

    path: S3Path
    info: ObjectInfo


class Merger:
    """Makes one object of several."""

    def __init__(self, client: S3Client, paths: PathRules, headers: ObjectHeaders) -> None:
        self._client = client
        self._paths = paths
        self._headers = headers

    def merge(
        self, path: Path, filelist: Sequence[Path], mode: str, if_match: str | None, **kwargs: Any
    ) -> Answer:
        """Publish the bytes of `filelist`, in this order, as the object `path`. UploadPartCopy."""
        if isinstance(filelist, str):
            raise TypeError("filelist must be a list of paths, not a str")
        check_type("filelist", filelist, Sequence)
        if not filelist:
            raise ValueError("filelist is empty: name the objects that are to be merged")
        condition = write_condition(mode, if_match)
        given = Attributes.parse(kwargs, self.merge)
        target = self._paths.target(path)
        sources = [self._paths.object(name) for name in filelist]
        reader = self._headers.client_for(given.of_source())
        pieces = gather(self._client, [partial(_looked_at, reader, source) for source in sources])
        upload = self._headers.new_upload(target, condition, given)
        if self._is_copied_by_store(target, pieces):
            try:
                written = publish_in_parts(
                    self._client, upload, partial(_copy, self._client, upload, pieces), lambda: None
                )
                return {"ETag": written.etag, "VersionId": written.version_id}
            except (ProtocolError, InvalidRequestError):
                upload = self._headers.new_upload(target, condition, given)  # it copies no parts, after all
        written = _send(reader, upload, pieces)
        return {"ETag": written.etag, "VersionId": written.version_id}

    def _is_copied_by_store(self, target: S3Path, pieces: Sequence[Piece]) -> bool:
        """Whether every source can be parts of its own, which must not be small, but for the last."""
        if pieces[-1].info.size == 0 or any(piece.info.size < MIN_PART_SIZE for piece in pieces[:-1]):
            return False
        count = sum(len(ranges(piece.info.size, _COPY_PART)) for piece in pieces)
        return count <= MAX_PARTS and bool(honours(self._client, target, "copy_source_parts"))


def _looked_at(client: S3Client, source: S3Path) -> Piece:
    info = client.reads.head_object(source)
    if not info.etag:
        raise PreconditionUnsupportedError(
            "the store tells no ETag: what is merged could be of any version",
            bucket=source.bucket,
            key=source.key,
        )
    return Piece(client.reads.pinned(source, info), info)


def _copy(client: S3Client, upload: Upload, pieces: Sequence[Piece]) -> None:
    parts = [(piece, part) for piece in pieces for part in ranges(piece.info.size, _COPY_PART)]
    client.scheduler.run(
        partial(upload.copy_part, number, piece.path, part, piece.info.etag)
        for number, (piece, part) in enumerate(parts, 1)
    )


def _send(client: S3Client, upload: Upload, pieces: Sequence[Piece]) -> Any:
    """Read each source under its pin, and send what was read."""
    buffer = PartBuffer(upload, client.options)
    try:
        for path, info in pieces:
            for start in range(0, info.size, _READ_PIECE):
                with memoryview(read_range(client, path, info, start, start + _READ_PIECE)) as data:
                    buffer.write(data)
        return buffer.finish()
    except BaseException:
        upload.abort()
        raise
