"""Data sets that need no library: text, lines, archives, and trees of small files."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from .shapes import Shapes

WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "harbour", "Zürich", "Ærø", "naïve")
_LEAST = 50  # the smallest small file is this part of the largest


def csv_text(generator: random.Random, size: int) -> str:
    """Lines of a CSV with a head, of about `size` characters."""
    lines = ["id,name,place,value,price,flag"]
    total = 0
    while total < size:
        name = generator.choice(WORDS)
        place = f"{generator.choice(WORDS)} {generator.randrange(10**6)}"
        figures = f"{generator.gauss(0, 1):.9f},{generator.uniform(1, 999):.2f},{generator.randrange(2)}"
        lines.append(f"{len(lines)},{name},{place},{figures}")
        total += len(lines[-1]) + 1
    return "\n".join(lines) + "\n"


def csv(shapes: Shapes, folder: Path) -> None:
    text = csv_text(random.Random(shapes.seed + 1), shapes.csv)
    (folder / "table.csv").write_text(text, encoding="utf-8")


def loopback(shapes: Shapes, folder: Path) -> None:
    """Blocks of rows, each of which comes again and again."""
    generator = random.Random(shapes.seed + 18)
    blocks = [csv_text(generator, 2_000_000).partition("\n")[2].encode() for _ in range(6)]
    with open(folder / "table.csv", "wb") as file:
        file.write(b"id,name,place,value,price,flag\n")
        while file.tell() < shapes.loopback:
            file.write(generator.choice(blocks))


def lines(shapes: Shapes, folder: Path) -> None:
    generator = random.Random(shapes.seed + 2)
    with open(folder / "lines.bin", "wb") as file:
        for _ in range(shapes.lines):
            size = generator.randint(shapes.line // 10, shapes.line * 19 // 10)
            file.write(generator.randbytes(size // 2).hex().encode() + b"\n")  # obstore needs UTF-8


def gzip_text(shapes: Shapes, folder: Path) -> None:
    text = csv_text(random.Random(shapes.seed + 3), shapes.gzip_text)
    with gzip.open(folder / "text.csv.gz", "wt", compresslevel=6, encoding="utf-8") as file:
        file.write(text)


def json_lines(shapes: Shapes, folder: Path) -> None:
    generator = random.Random(shapes.seed + 10)
    with open(folder / "events.jsonl", "w", encoding="utf-8") as file:
        while file.tell() < shapes.json:
            tags = [generator.choice(WORDS) for _ in range(generator.randrange(6))]
            event = {"id": generator.randrange(10**9), "at": generator.random(), "tags": tags}
            file.write(json.dumps(event, ensure_ascii=False) + "\n")


def big(shapes: Shapes, folder: Path) -> None:
    (folder / "big.bin").write_bytes(random.Random(shapes.seed + 4).randbytes(shapes.big))


def _contents(seed: int, count: int, largest: int) -> list[bytes]:
    generator = random.Random(seed)
    return [generator.randbytes(generator.randint(largest // _LEAST, largest)) for _ in range(count)]


def tar(shapes: Shapes, folder: Path) -> None:
    with tarfile.open(folder / "members.tar", "w") as archive:
        for n, content in enumerate(_contents(shapes.seed + 11, shapes.members, shapes.largest)):
            head = tarfile.TarInfo(f"member-{n:03d}.bin")
            head.size = len(content)
            archive.addfile(head, io.BytesIO(content))


def zipped(shapes: Shapes, folder: Path) -> None:
    with zipfile.ZipFile(folder / "members.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for n, content in enumerate(_contents(shapes.seed + 12, shapes.members, shapes.largest)):
            archive.writestr(zipfile.ZipInfo(f"member-{n:03d}.bin"), content)


def _files(folder: Path, contents: list[bytes], name: Callable[[int], str]) -> None:
    for n, content in enumerate(contents):
        path = folder / name(n)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def singles(shapes: Shapes, folder: Path) -> None:
    contents = _contents(shapes.seed + 8, shapes.singles, shapes.largest)
    _files(folder, contents, lambda n: f"single-{n:03d}.bin")


def tree(shapes: Shapes, folder: Path) -> None:
    contents = _contents(shapes.seed + 9, shapes.tree, shapes.largest)
    _files(folder, contents, lambda n: f"{n % 7}/{n % 3}/leaf-{n:03d}.bin")
