"""What became of an append by an offset when its answer was lost.

Theory of operation. The request has the ETag of the version that it appends to as its condition, and that
version's size as its offset. So it is applied once at most, and by no attempt once the object has another
ETag. But an append changes nothing that describes the object: it has no room for a write token, and bytes
that equal ours may be those of another writer, who appended the same line. Size and content prove nothing
about who wrote. What a HEAD can prove is that our bytes are not there:

- another ETag, and fewer bytes than ours would have made: somebody replaced the object, and no attempt that
  is on its way can succeed. TAKEN, although ours may have been there in between.
- In all other cases UNKNOWN: the object as it was may still be appended to by a request that is on its way.
"""

from __future__ import annotations

from .._s3.client import S3Client
from .._values.conditions import same_etag
from .._values.models import ObjectInfo
from ..errors import GuardedS3Error
from .outcome import Outcome, PendingWrite, Settled, look


def settle_append(client: S3Client, info: ObjectInfo, write: PendingWrite, error: GuardedS3Error) -> Settled:
    """Find out what became of an append to the version `info`. HeadObject."""
    found, evidence = look(client, write.path)
    if found is None:
        return Settled(Outcome.UNKNOWN, evidence=evidence)
    if same_etag(found.etag, info.etag):
        evidence = "the object is as it was, and a request that is on its way may still append to it"
        return Settled(Outcome.UNKNOWN, evidence=evidence)
    if found.size < write.content.size:
        return Settled(Outcome.TAKEN, maybe_applied=True)
    evidence = (
        f"the object had {info.size} bytes, would have {write.content.size}, and has {found.size}, which may "
        "be another writer's doing: look at its end before you append again"
    )
    return Settled(Outcome.UNKNOWN, evidence=evidence)
