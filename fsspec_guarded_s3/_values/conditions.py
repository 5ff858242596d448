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
        return {"if-match": self.if_match.strip('"') if self.unquoted else quoted(self.if_match)}

    @property
    def failure(self) -> type[PreconditionFailedError]:
        """The exception for a 412 under this condition."""
        return ObjectExistsError if self.create else ObjectChangedError


UNCONDITIONAL = Condition()


def quoted(etag: str | None) -> str:
    """An ETag as RFC 9110, 8.8.3 writes it; some stores leave the quotes out."""
    text = etag or ""
    return text if text.startswith(('"', "W/")) else f'"{text}"'


def same_etag(one: str, other: str) -> bool:
    """Whether two ETags name the same version, with or without their quotes."""
    return bool(one) and one.strip('"') == other.strip('"')
