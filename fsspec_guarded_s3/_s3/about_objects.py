"""Operations that ask for something about an object: its tags, attributes, lock, annotations.

Which of them is meant stands in the query alone. A store that ignores what it does not know there answers
with the object, whatever its size. So no more of an answer is read than S3 can say, and such an answer is an
OperationUnsupportedError, which is not asked for again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from .._values.checksums import body_md5
from .._values.conditions import same_etag
from .._values.models import Request, Response
from ..errors import OperationUnsupportedError, ProtocolError

if TYPE_CHECKING:
    from .._http.response import HTTPBody
    from .exchange import Exchange

T = TypeVar("T")
# Bytes. The longest answers are a page of 1,000 parts with their checksums, one of 1,000 annotations with
# names of 512 bytes, all of them escaped, and an annotation of 1 MiB.
MOST = 8 * 2**20


def ask(
    exchange: Exchange, request: Request, parse: Callable[[Response], T], *, of_document: bool = True
) -> T:
    """What `parse` makes of the answer to `request`; OperationUnsupportedError where that is the object.

    Without `of_document` the answer is any text: then only one that is too long is known to be the object.
    """

    def look(answer: Response) -> T:
        if not of_document:
            return parse(answer)
        if _is_object(answer):
            raise _unknown(request)
        try:
            return parse(answer)
        except ProtocolError as error:
            if "etag" not in answer.headers:
                raise
            raise _unknown(request) from error

    return exchange.ask(request, look, read=lambda body: _read(request, body))


def _read(request: Request, body: HTTPBody) -> bytes:
    if body.length is not None and body.length > MOST:
        raise _unknown(request)
    try:
        return body.read(MOST)
    except ProtocolError as error:
        if body.received <= MOST:
            raise
        raise _unknown(request) from error


def _is_object(answer: Response) -> bool:
    """Whether the body has the ETag of the object, and there is a time, which only some answers have.

    S3Mock sends the ETag of the object with its tags too, so headers alone do not tell.
    """
    etag = answer.headers.get("etag", "") if "last-modified" in answer.headers else ""
    return bool(answer.body and etag) and same_etag(etag, body_md5(answer.body).hex())


def _unknown(request: Request) -> OperationUnsupportedError:
    return OperationUnsupportedError(
        f"the store does not know {request.operation}: it answered with the object",
        bucket=request.bucket,
        key=request.key,
        operation=request.operation,
    )
