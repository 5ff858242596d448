"""Conditions of requests (RFC 9110, 13.1): their headers, and the exception that a 412 becomes."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ObjectChangedError, ObjectExistsError, PreconditionFailedError
from .dialects import GENERATION_MATCH


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold for a write: the key is free (`create`) or holds the ETag `if_match`.

    `unquoted` sends the ETag without its quotes, which RFC 9110 demands and Ceph RGW does not understand.
    `generation` is that of the object with this ETag, "0" of none, where conditions are on generations.
    """

    create: bool = False
    if_match: str | None = None
    unquoted: bool = False
    generation: str = ""

    def __post_init__(self) -> None:
        if self.if_match is not None and not isinstance(self.if_match, str):
            raise TypeError(
                f"if_match must be an ETag as info() gives it, not {type(self.if_match).__name__}"
            )
        if self.if_match == "":
            raise ValueError("if_match must be an ETag, not an empty string")
        if self.create and self.if_match is not None:
            raise ValueError("if_match and mode='create' exclude each other")

    def __bool__(self) -> bool:
        return self.create or self.if_match is not None

    def headers(self) -> dict[str, str]:
        """The conditional headers (RFC 9110, 13.1)."""
        if self.generation:
            return {GENERATION_MATCH: self.generation}
        if self.create:
            return {"if-none-match": "*"}
        if self.if_match is None:
            return {}
        return {"if-match": _bare(self.if_match) if self.unquoted else quoted(self.if_match)}

    @property
    def failure(self) -> type[PreconditionFailedError]:
        """The exception for a 412 under this condition."""
        return ObjectExistsError if self.create else ObjectChangedError


UNCONDITIONAL = Condition()
_WEAK = "W/"


def quoted(etag: str | None) -> str:
    """An ETag as RFC 9110, 8.8.3 writes it, and strong; some stores leave the quotes out."""
    text = strong(etag or "")
    return text if text.startswith('"') else f'"{text}"'


def strong(etag: str) -> str:
    """The ETag that a store compares. S3 has strong ones alone.

    A front end that might change bytes makes a weak one of it, by which no If-Match holds (RFC 9110, 13.1.1).
    """
    return etag.removeprefix(_WEAK)


def is_weak(etag: str) -> bool:
    """Whether somebody on the way, or a store that is none of S3's kind, calls the ETag a weak one."""
    return etag.startswith(_WEAK)


def same_etag(one: str, other: str) -> bool:
    """Whether two ETags name the same version, with or without their quotes, and weak or not.

    That is the weak comparison of RFC 9110, 8.8.3.2: one answer of a store may pass a front end that makes
    its ETag a weak one, and the next not. Sizes and ranges are compared beside.
    """
    return bool(one) and _bare(one) == _bare(other)


def _bare(etag: str) -> str:
    return strong(etag).strip('"')
