"""Resuming the multipart upload of a local file that another process started.

Its parts are trusted as far as their checksums prove that they hold the bytes of the file: where a store
tells none, the part is sent again. Its write token is not known any more, so a lost answer of Complete is
settled by the upload that is open, and by ETags.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import parse_qsl

from .._s3.client import S3Client
from .._values.answer_fields import described
from .._values.models import Part, Written
from .._values.paths import S3Path
from ..errors import ConflictError, EncryptionUnsupportedError, GuardedS3Error
from ..options import Options, part_size_for
from .parts import Progress, may_start_again, send_slices
from .source_file import SourceFile, check_unchanged, is_equal
from .sources import upload_file
from .upload import Upload

logger = logging.getLogger("fsspec_guarded_s3")
_SSE = "x-amz-server-side-encryption"
# What a HEAD tells, and S3 takes from CreateMultipartUpload, beside what describes the content.
_TOLD = (
    _SSE,
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-legal-hold",
)


def resume_file(
    client: S3Client,
    upload: Upload,
    path: S3Path,
    upload_id: str,
    file: SourceFile,
    progress: Progress,
    asked: Mapping[str, str],
) -> Written:
    """Finish the multipart upload `upload_id` of a local file, sending only what is missing.

    Every part that is there is compared with the file before it is trusted. Raises ValueError when one
    differs (the upload is kept), FileNotFoundError when there is no such upload. The object has the
    attributes with which the upload was begun. Where those that are `asked` for are others, a warning says
    so, and a KMS that is not used is EncryptionUnsupportedError.
    """
    size = file.size
    parts = client.multipart.list_parts(path, upload_id)
    part_size = _part_size_of(parts, size, client.options)
    trusted = []
    for part in parts:
        start = (part.number - 1) * part_size
        stop = min(start + part_size, size)
        equal = is_equal(part, file.piece(start, stop)) if 0 <= start < stop else False
        if equal is False:
            raise ValueError(
                f"resume: part {part.number} of upload {upload_id} does not match the local file. Nothing "
                "was sent, the upload is kept; abort_uploads removes it, a put without resume starts anew"
            )
        if equal:
            trusted.append(part)
            progress(stop - start)
    trusted_numbers = {part.number for part in trusted}
    missing = [
        number for number in range(1, max(1, -(-size // part_size)) + 1) if number not in trusted_numbers
    ]
    upload.resume(upload_id, trusted)
    try:
        with file.watched():
            send_slices(client, upload, missing, size, part_size, file.piece, progress)
        check_unchanged(file, upload.parts)
    except BaseException:
        upload.abort()
        raise
    try:
        written = upload.complete()
    except ConflictError as error:
        if not may_start_again(error, upload):
            raise
        progress(-size)
        return upload_file(client, upload, file, progress)
    _compare(client, path, asked)
    return written


def _compare(client: S3Client, path: S3Path, asked: Mapping[str, str]) -> None:
    """Say which attributes that are `asked` for an object has not."""
    wanted = {**described(asked), **{name: asked[name] for name in _TOLD if name in asked}}
    tags = parse_qsl(asked.get("x-amz-tagging", ""), keep_blank_values=True)
    if not (wanted or tags):
        return
    try:
        found = client.reads.head_object(path)
    except GuardedS3Error as error:
        logger.warning("could not look whether %s has the attributes that were asked for: %s", path, error)
        return
    told = {"x-amz-storage-class": "STANDARD", "x-amz-object-lock-legal-hold": "OFF", **found.headers}
    missing = sorted(name for name, text in wanted.items() if told.get(name) != text)
    if client.store.is_aws(path.bucket) and found.tag_count < len(tags):  # elsewhere `dropped` has looked
        missing.append("x-amz-tagging")
    if _SSE in missing and wanted[_SSE].startswith("aws:kms"):
        raise EncryptionUnsupportedError(
            "the upload was begun without the KMS that was asked for: the object was written, and is not "
            "encrypted so: delete it",
            bucket=path.bucket,
            key=path.key,
            maybe_applied=True,
        )
    if missing:
        logger.warning(
            "%s does not show what was asked for (%s): it has the attributes with which its upload was begun",
            path,
            ", ".join(missing),
        )


def _part_size_of(parts: list[Part], size: int, options: Options) -> int:
    """The part size of the process that started the upload: that of any part but the last."""
    full = [part.size for part in parts if part.number < max(p.number for p in parts)]
    if not full and parts:  # one part alone may be the last one, which is shorter
        only = parts[0]
        full = [only.size] if only.number == 1 and only.size < size else []
    return full[0] if full else part_size_for(size, options.part_size)
