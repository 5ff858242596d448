"""The table of docs/requests.md, one row per verb: `python -m tests.requests_table` writes it.

Each row says which requests a call makes, by round trips: "LIST, 20 GET" is a listing, and 20 GetObjects at
once when it has been answered. tests/test_requests.py makes the calls and compares. `python -m
tests.requests_table s3fs`, in an environment with s3fs, prints what s3fs makes of the same calls.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.documents import between
from tests.fake_s3 import FakeS3
from tests.scripted_server import Request, ScriptedServer

DOCUMENT = Path(__file__).parent.parent / "docs" / "requests.md"
COUNT = 20  # objects of a folder
FILE = "bucket/folder/file-00"
FOLDER = "bucket/folder"
DIRECTORY = "name--use1-az4--x-s3"
NAMES = [f"{FOLDER}/file-{number:02}" for number in range(COUNT)]
S3FS = "2026.9.0"  # whose requests the table has
MIB = 2**20
# What S3 bills: PUT, COPY, POST and LIST as one class of requests, GET and all others as another.
DEAR = {"PUT", "COPY", "POST", "LIST", "RENAME"}
Call = Callable[[Any, Path], object]


@dataclass(frozen=True)
class Row:
    """A call as the table shows it, what it asks, and how many requests s3fs makes (None: it fails)."""

    title: str
    call: Call
    asks: str
    s3fs: int | None
    before: Call | None = None

    @property
    def waves(self) -> list[Counter[str]]:
        """The requests of each round trip."""
        return [_counted(wave) for wave in self.asks.split(", ")] if self.asks else []

    @property
    def total(self) -> int:
        return sum(wave.total() for wave in self.waves)


def _counted(wave: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for text in wave.split(" + "):
        count, _, kind = text.rpartition(" ")
        found[kind] += int(count or 1)
    return found


def kind_of(request: Request) -> str:
    """What a request asks for, in the words of the table."""
    if request.method == "GET" and ("list-type" in request.query or request.path.count("/") < 2):
        return "LIST"
    if "renameObject" in request.query:
        return "RENAME"
    return "COPY" if "x-amz-copy-source" in request.headers else request.method


def filled() -> FakeS3:
    """A store with a folder of small objects and a large one."""
    fake = FakeS3("bucket", "other", DIRECTORY, min_part_size=1)
    fake.put(DIRECTORY, "a", b"1")
    for name in NAMES:
        fake.put("bucket", name.removeprefix("bucket/"), name.encode() * 100)
    fake.put("bucket", "large", bytes(40 * MIB))
    return fake


def _opened(fs: Any, folder: Path) -> bytes:
    with fs.open(FILE, "rb") as file:
        data: bytes = file.read(100)
        return data


def _written(fs: Any, folder: Path) -> None:
    with fs.open("bucket/new", "wb") as file:
        file.write(b"1")


def _gone_back(fs: Any, folder: Path) -> None:
    with fs.open("bucket/new", "wb") as file:
        file.write(b"12")
        file.seek(0)
        file.write(b"3")


def _changing(name: str, mode: str = "r+b") -> Call:
    def change(fs: Any, folder: Path) -> None:
        with fs.open(name, mode) as file:
            file.write(b"1")

    return change


def _looked_at(fs: Any, folder: Path) -> None:
    with fs.open(FILE, "r+b") as file:
        assert file.read(10)


def _local(folder: Path) -> str:
    """A folder with files to upload."""
    (folder / "up").mkdir(exist_ok=True)
    for name in NAMES:
        (folder / "up" / name.rpartition("/")[2]).write_bytes(b"1")
    return str(folder / "up")


def _each(ask: Callable[[Any, str], object]) -> Call:
    return lambda fs, folder: [ask(fs, name) for name in NAMES]


def _listed(fs: Any, folder: Path) -> None:
    fs.glob(f"{FOLDER}/*")


def _asked(fs: Any, name: str) -> None:
    """What libraries ask about a file before they open it."""
    assert fs.isfile(name) and not fs.isdir(name) and fs.info(name)["size"] and fs.ukey(name)


def _distant_ranges(fs: Any, folder: Path) -> None:
    starts = list(range(0, COUNT * MIB, MIB))
    fs.cat_ranges(["bucket/large"] * COUNT, starts, [start + 9 for start in starts])


def _got(fs: Any, folder: Path) -> None:
    fs.get(FOLDER, str(folder / "tree"), recursive=True)


def _put(fs: Any, folder: Path) -> None:
    fs.put(_local(folder), "bucket/new", recursive=True)


def _copied(fs: Any, folder: Path) -> None:
    fs.copy(FOLDER, "other/tree", recursive=True)


def _moved(fs: Any, folder: Path) -> None:
    fs.mv(FOLDER, "other/tree", recursive=True)


def _removed(fs: Any, folder: Path) -> None:
    fs.rm(FOLDER, recursive=True)


def _known(fs: Any, folder: Path) -> None:
    """The session of the directory bucket is there."""
    fs.exists(f"{DIRECTORY}/a")


def _appended(fs: Any, folder: Path) -> None:
    with fs.open(f"{DIRECTORY}/a", "ab") as file:
        file.write(b"2")


_ALL = "20 files"
ROWS = (
    Row("`info(file)`, `exists`, `isfile`, `size`", lambda fs, d: fs.info(FILE), "HEAD", 1),
    Row("`info(folder)`, `exists`", lambda fs, d: fs.info(FOLDER), "HEAD, LIST", 2),
    Row("`isdir(folder)`", lambda fs, d: fs.isdir(FOLDER), "LIST", 1),
    Row("`ls(folder)`, `find`, `glob`, `du`", lambda fs, d: fs.find(FOLDER), "LIST", 1),
    Row(f"`isfile`, `isdir`, `info`, `ukey` of {_ALL} after a `glob`", _each(_asked), "", 0, _listed),
    Row("`open(file)` and a small read", _opened, "GET", 2),
    Row("`cat_file(file)`", lambda fs, d: fs.cat_file(FILE), "GET", 2),
    Row("`cat_file(file, start, end)`", lambda fs, d: fs.cat_file(FILE, start=10, end=20), "GET", 1),
    Row("`cat_file(file, -10)`", lambda fs, d: fs.cat_file(FILE, start=-10), "GET", 1),
    Row("`cat_file` of 40 MiB", lambda fs, d: fs.cat_file("bucket/large"), "GET, 2 GET", 2),
    Row(f"`cat` of {_ALL}", lambda fs, d: fs.cat(NAMES), "20 GET", 40),
    Row("`cat` of a pattern that 20 files match", lambda fs, d: fs.cat(f"{FOLDER}/*"), "LIST, 20 GET", 21),
    Row(
        f"`cat_ranges`, one range of each of {_ALL}", lambda fs, d: fs.cat_ranges(NAMES, 10, 20), "20 GET", 20
    ),
    Row("`cat_ranges`, 20 distant ranges of one file", _distant_ranges, "GET, 19 GET", 20),
    Row(
        f"`cat_ranges_into`, one range of each of {_ALL}",
        lambda fs, d: fs.cat_ranges_into(NAMES, 10, 20, bytearray(10 * COUNT)),
        "20 GET",
        None,
    ),
    Row("`get_file(file)`", lambda fs, d: fs.get_file(FILE, str(d / "got")), "GET", 1),
    Row(f"`get(folder)`, a tree of {_ALL}", _got, "LIST, 20 GET", 21),
    Row('`pipe_file`, `open(file, "wb")`, `touch`', _written, "PUT", 1),
    Row('`open(file, "wb")`, and a `seek` back', _gone_back, "PUT", None),
    Row('`open(file, "r+b")`, and a change', _changing(FILE), "GET, PUT", None),
    Row('`open(file, "r+b")` of 40 MiB, and a change', _changing("bucket/large"), "GET, 2 GET, PUT", None),
    Row('`open(file, "r+b")`, and no change', _looked_at, "GET", None),
    Row('`open(file, "w+b")`', _changing("bucket/new", "w+b"), "PUT", None),
    Row('`open(file, "x+b")`', _changing("bucket/new", "x+b"), "HEAD, PUT", None),
    Row(f"`put(folder)`, a tree of {_ALL}", _put, "LIST, 20 PUT", 22),
    Row("`cp_file(file)`", lambda fs, d: fs.cp_file(FILE, "other/file"), "HEAD, COPY", 2),
    Row(f"`copy(folder)`, a tree of {_ALL}", _copied, "LIST, LIST, HEAD, 20 COPY", 23),
    Row("`mv(file)`", lambda fs, d: fs.mv(FILE, "other/file"), "LIST + HEAD, COPY, POST", 5),
    Row(f"`mv(folder)`, a tree of {_ALL}", _moved, "LIST, LIST, HEAD, 20 COPY, LIST, POST", None),
    Row(
        "`mv(file)` in a directory bucket",
        lambda fs, d: fs.mv(f"{DIRECTORY}/a", f"{DIRECTORY}/b"),
        "LIST + HEAD, RENAME",
        5,
        _known,
    ),
    Row('`open(file, "ab")` in a directory bucket', _appended, "HEAD, PUT", 5, _known),
    Row("`rm(file)`", lambda fs, d: fs.rm(FILE), "HEAD, POST", 1),
    Row(f"`rm` of a list of {_ALL}", lambda fs, d: fs.rm(NAMES), "LIST, POST", 1),
    Row("`rm` of a pattern that 20 files match", lambda fs, d: fs.rm(f"{FOLDER}/*"), "LIST, POST", 2),
    Row(f"`rm(folder)`, a tree of {_ALL}", _removed, "LIST, POST", 2),
)


def table() -> Iterator[str]:
    """The table, line by line."""
    yield f"| call | requests | in all | round trips | billed | s3fs {S3FS} |"
    yield "|---|---|---|---|---|---|"
    for row in ROWS:
        kinds = sum(row.waves, Counter[str]())
        dear = sum(count for kind, count in kinds.items() if kind in DEAR)
        billed = " + ".join(f"{n} {name}" for n, name in ((dear, "PUT"), (row.total - dear, "GET")) if n)
        theirs = "fails" if row.s3fs is None else row.s3fs
        asks = row.asks or "none"
        yield f"| {row.title} | {asks} | {row.total} | {len(row.waves)} | {billed or '-'} | {theirs} |"


def document() -> str:
    """The document as it should be."""
    return between(DOCUMENT.read_text(), "<!-- table:begin -->", "<!-- table:end -->", "\n".join(table()))


def count(opened: Callable[[str], Any], row: Row, folder: Path) -> Counter[str]:
    """The requests that a call of `row` makes by the filesystem that `opened` makes for a URL."""
    with ScriptedServer(handler=filled()) as server:
        fs = opened(server.url)
        fs.exists("bucket/large")  # what is asked once, whoever is there, is no part of a call
        if row.before is not None:
            row.before(fs, folder)
        seen = len(server.requests)
        row.call(fs, folder)
        return Counter(map(kind_of, server.requests[seen:]))


def _of_s3fs(url: str) -> Any:
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    return S3FileSystem(key="k", secret="s", endpoint_url=url, client_kwargs={"region_name": "us-east-1"})


def _print_s3fs() -> None:
    for row in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                found: object = count(_of_s3fs, row, Path(folder))
            except Exception as error:
                found = error
            print(row.title, found.total() if isinstance(found, Counter) else "", found)


if __name__ == "__main__":
    if sys.argv[1:] == ["s3fs"]:
        _print_s3fs()
    else:
        DOCUMENT.write_text(document())
