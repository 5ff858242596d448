"""What was uploaded to the benchmark server: a folder of small files that the workers share.

Of an object the size and the CRC32 of each part is kept, for the check after the clock has stopped. The bytes
are kept only below `KEPT`, where the Parquet and dask benchmarks read them back.
"""

from __future__ import annotations

import json
import os
import secrets
import zlib
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote

KEPT = "kept/"
Part = dict[str, int]  # "size" and "crc"


class Refused(Exception):
    """A request that S3 refuses: status and code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Uploads:
    """Objects and multipart uploads in the folder `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("objects", "uploads", "bytes"):
            (folder / name).mkdir(exist_ok=True)

    def receive(self, key: str, pieces: Iterable[memoryview]) -> tuple[Part, str]:
        """Take in a body: its size and CRC32, and the name of the file of its bytes ("" below no `KEPT`)."""
        size = crc = 0
        name = secrets.token_hex(8) if key.startswith(KEPT) else ""
        path = self._folder / "bytes" / name if name else Path(os.devnull)
        with open(path, "wb") as file:
            for piece in pieces:
                size += len(piece)
                crc = zlib.crc32(piece, crc)
                if name:
                    file.write(piece)
        return {"size": size, "crc": crc}, name

    def publish(self, key: str, parts: list[Part], name: str) -> None:
        """Make the object be there; the last one wins."""
        self._write(self._object(key), {"parts": parts, "bytes": name})

    def find(self, key: str) -> tuple[list[Part], str] | None:
        """The parts of an object and the path of its bytes ("" when they were dropped); None when missing."""
        try:
            found = json.loads(self._object(key).read_text())
        except FileNotFoundError:
            return None
        return found["parts"], str(self._folder / "bytes" / found["bytes"]) if found["bytes"] else ""

    def remove(self, key: str) -> None:
        """Remove the object `key` if it is there."""
        self._object(key).unlink(missing_ok=True)

    def below(self, prefix: str) -> list[str]:
        """The keys that begin with `prefix`, in order."""
        names = (unquote(name) for name in os.listdir(self._folder / "objects") if name[0] != ".")
        return sorted(name for name in names if name.startswith(prefix))

    def start(self) -> str:
        """A new multipart upload."""
        upload = secrets.token_hex(16)
        (self._folder / "uploads" / upload).mkdir()
        return upload

    def put_part(self, upload: str, number: int, part: Part, name: str) -> None:
        """Remember a part that arrived."""
        self._write(self._upload(upload) / str(number), {**part, "bytes": name})

    def complete(self, key: str, upload: str, named: list[tuple[int, str]]) -> None:
        """Publish the parts of `named` (number and ETag): each must have been uploaded just so."""
        folder = self._upload(upload)
        parts, names = [], []
        if not named or [n for n, _ in named] != sorted({n for n, _ in named}):
            raise Refused(400, "InvalidPartOrder")
        for number, tag in named:
            try:
                found = json.loads((folder / str(number)).read_text())
            except FileNotFoundError:
                raise Refused(400, "InvalidPart") from None
            part = {"size": found["size"], "crc": found["crc"]}
            if tag != etag([part]):
                raise Refused(400, "InvalidPart")
            parts.append(part)
            names.append(found["bytes"])
        whole = ""
        if names[0]:
            whole = secrets.token_hex(8)
            with open(self._folder / "bytes" / whole, "wb") as file:
                for name in names:
                    file.write((self._folder / "bytes" / name).read_bytes())
        self.publish(key, parts, whole)
        self.abort(upload)

    def abort(self, upload: str) -> None:
        """Forget an upload and its parts."""
        folder = self._upload(upload)
        for path in folder.iterdir():
            name = json.loads(path.read_text())["bytes"]
            if name:
                (self._folder / "bytes" / name).unlink()
            path.unlink()
        folder.rmdir()

    def _upload(self, upload: str) -> Path:
        folder = self._folder / "uploads" / upload
        if not upload.isalnum() or not folder.is_dir():
            raise Refused(404, "NoSuchUpload")
        return folder

    def _object(self, key: str) -> Path:
        return self._folder / "objects" / quote(key, safe="")

    def _write(self, path: Path, value: object) -> None:
        temporary = path.with_name(f".{secrets.token_hex(8)}")
        temporary.write_text(json.dumps(value))
        temporary.rename(path)


def etag(parts: list[Part]) -> str:
    """A tag of content: CRC32s and sizes, in the shape of S3's."""
    text = json.dumps([[part["size"], part["crc"]] for part in parts]).encode()
    return f"{zlib.crc32(text):08x}{sum(part['size'] for part in parts):024x}"


def deposit(folder: Path, key: str, content: Path) -> None:
    """Put the local file `content` under `key` without a request."""
    uploads = Uploads(folder)

    def pieces() -> Iterable[memoryview]:
        with open(content, "rb") as file:
            while piece := file.read(2**20):
                yield memoryview(piece)

    part, name = uploads.receive(key, pieces())
    uploads.publish(key, [part], name)


def discard(folder: Path, prefix: str) -> None:
    """Remove all objects below `prefix`, and their bytes."""
    uploads = Uploads(folder)
    for key in uploads.below(prefix):
        found = uploads.find(key)
        if found and found[1]:
            Path(found[1]).unlink()
        uploads.remove(key)
