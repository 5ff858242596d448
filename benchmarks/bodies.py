"""Request bodies of the benchmark server: decoded, and checked against what their sender said."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping

from .streams import Chunks, Length, Socket, Stream
from .uploads import Refused


class Body:
    """One request's body: by length or chunked, and `aws-chunked` inside of either."""

    def __init__(self, source: Socket, headers: Mapping[str, str]) -> None:
        self._headers = headers
        if "chunked" in headers.get("transfer-encoding", "").lower():
            self._outer: Stream = Chunks(source)
        else:
            self._outer = Length(source, int(headers.get("content-length", 0)))
        coded = "aws-chunked" in headers.get("content-encoding", "")
        coded = coded or headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
        self._inner: Stream = Chunks(self._outer) if coded else self._outer
        self._md5 = hashlib.md5(usedforsecurity=False) if "content-md5" in headers else None

    def pieces(self) -> Iterator[memoryview]:
        """The content, piece by piece; each is valid until the next."""
        for piece in self._inner.pieces():
            if self._md5:
                self._md5.update(piece)
            yield piece
        self.drain()

    def text(self) -> str:
        """The content of a small body."""
        return b"".join(bytes(piece) for piece in self.pieces()).decode()

    def drain(self) -> None:
        """Read what is left, so that the next request begins where it should."""
        for _ in self._outer.pieces():
            pass

    def check(self, crc: int) -> None:
        """Refuse a body that is not what its headers and trailers say."""
        said = {**self._headers, **(self._inner.trailers if isinstance(self._inner, Chunks) else {})}
        found = {"x-amz-checksum-crc32": crc.to_bytes(4, "big")}
        if self._md5:
            found["content-md5"] = self._md5.digest()
        for name, digest in found.items():
            if said.get(name) not in (None, base64.b64encode(digest).decode()):
                raise Refused(400, "BadDigest")
