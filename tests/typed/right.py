# pyright: strict, reportPrivateUsage=false
"""A program that is right: no type checker finds anything in it. It is not run."""

import csv
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3.errors import ObjectChangedError
from fsspec_guarded_s3.filesystem import GuardedWriter, Info, ListedInfo, PinnedReader, TextWriter

fs = GuardedS3FileSystem(
    endpoint_url="http://127.0.0.1:9000",
    key="key",
    secret="secret",
    addressing_style="path",
    allow_http=True,
    read_timeout=5,
    part_size=8 * 2**20,
    s3_additional_kwargs={"ServerSideEncryption": "AES256"},
    skip_instance_cache=True,
)
from_s3fs = GuardedS3FileSystem(
    username="key",
    password="secret",
    use_ssl=False,
    client_kwargs={"endpoint_url": "http://127.0.0.1:9000"},
    config_kwargs={"s3": {"addressing_style": "path"}},
    default_block_size=5 * 2**20,
)
anything: dict[str, Any] = {"anon": True, "region": "eu-west-1"}
public = GuardedS3FileSystem(**anything)


class Mine(GuardedS3FileSystem):
    """A subclass with an option of its own."""

    def __init__(self, prefix: str, **options: Any) -> None:
        super().__init__(**options)
        self.prefix = prefix

    def cat_file(
        self,
        path: str | os.PathLike[str],
        start: int | None = None,
        end: int | None = None,
        version_id: str | None = None,
        **kwargs: Any,
    ) -> bytes:
        return super().cat_file(f"{self.prefix}/{path}", start, end, version_id, **kwargs)


mine = Mine("bucket", key="key", secret="secret")


def read(path: str) -> tuple[str, int]:
    with fs.open(path) as file:
        etag: str = file.etag
        version: str | None = file.version_id
        head: bytes = file.read(16)
        line: bytes = file.readline()
        lines: list[bytes] = [line for line in file]
        file.seek(0)
        where: int = file.tell() + len(head) + len(line) + len(lines)
    with fs.open(path, "rb", if_match=etag, version_id=version, SSECustomerKey=b"0" * 32) as file:
        value: Any = pickle.load(file)
    with fs.open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        names: list[str] = archive.namelist()
    with fs.open(path, "r", encoding="utf-8") as text:
        for row in csv.reader(text):
            names += row
    with fs.open(path, "rt", compression="gzip") as text:
        document: Any = json.load(text)
    with fs.open(path, "rb", compression="infer") as unpacked:
        names.append(unpacked.read().decode())
    wrapped = io.TextIOWrapper(fs.open(path, "rb"), "utf-8")
    names.append(wrapped.read())
    return etag, where + len(str(value) + str(document) + "".join(names))


def write(path: str, mode: str) -> str:
    with fs.open(path, "xb", ContentType="text/csv", Metadata={"a": "b"}, Tagging={"c": "d"}) as file:
        file.write(b"bytes")
        file.write(bytearray(5))
        file.write(memoryview(b"view"))
        pickle.dump({}, file)
        shutil.copyfileobj(fs.open(path), file)
    tag: str = file.etag
    made: str | None = file.version_id
    with (
        fs.open(path, "wb", if_match=tag, block_size=2**23) as swapped,
        zipfile.ZipFile(swapped, "w") as archive,
    ):
        archive.writestr("name", "text")
    with fs.open(path, "w", encoding="utf-8", newline="", CacheControl="no-cache") as text:
        text.write("text")
        csv.writer(text).writerow([1, 2])
        json.dump({}, text)
    kept: TextWriter = fs.open(path, "xt")
    kept.commit()
    other = fs.open(path, "ab", autocommit=False)
    other.discard()
    packed = fs.open(path, "wb", compression="gzip")
    packed.discard()
    with fs.open(path, mode) as whatever:
        whatever.write(b"")
    return text.etag + tag + str(made) + str(text.version_id)


def take(reader: BinaryIO, writer: IO[bytes], text: TextIO) -> None:
    writer.write(reader.read())
    text.write("")


take(fs.open("bucket/a"), fs.open("bucket/b", "wb"), fs.open("bucket/c", "w"))


def annotated(reader: PinnedReader, writer: GuardedWriter) -> None:
    writer.write(reader.read())


annotated(fs.open("bucket/a", "rb"), fs.open("bucket/b", "ab"))


def whole(path: str) -> str:
    fs.pipe_file(path, b"data", mode="create", StorageClass="STANDARD_IA")
    fs.pipe_file(Path("bucket") / "key", bytearray(1), if_match='"etag"')
    fs.pipe({path: b"data"}, ContentType="text/plain")
    fs.pipe(path, b"data")
    text: str = fs.cat_file(path, 0, 4).decode()
    one: bytes = fs.cat(path)
    many: dict[str, bytes] = fs.cat([path, path])
    tree: dict[str, bytes] = fs.cat(path, recursive=True, on_error="omit")
    some: list[bytes] = fs.cat_ranges([path], 0, [4], on_error="raise")
    parts = [part for part in fs.cat_ranges([path], [0], [4]) if isinstance(part, bytes)]
    count: int = fs.cat_ranges_into([path], 0, [4], bytearray(4))[0]
    either = fs.cat_ranges_into([path], 0, 4, [memoryview(bytearray(4))], on_error="return")
    count += sum(one for one in either if isinstance(one, int))
    created: bool = fs.put_if_absent(path, b"data", Metadata={"a": "b"})
    etag: str = fs.update(path, lambda old: old + b"more")
    fs.get(path, "/tmp/file")
    fs.get([path], ["/tmp/file"])
    fs.put("/tmp/file", path, mode="create", Tagging="a=b")
    fs.get_file(path, Path("/tmp/file"))
    fs.put_file("/tmp/file", path, resume="id")
    fs.cp_file(path, path, MetadataDirective="REPLACE", Metadata={})
    fs.copy([path], [path], on_error="ignore")
    fs.mv(path, path, recursive=True)
    fs.touch(path, truncate=True, ContentType="text/plain")
    fs.rm([path], recursive=True)
    fs.rm_file(path, if_match=etag)
    return text + str((one, many, tree, some, parts, created))


def look(path: str) -> Iterator[str]:
    yield from fs.ls(path)
    yield from (row["name"] for row in fs.ls(path, detail=True))
    yield from (row["VersionId"] for row in fs.ls(path, detail=True, versions=True))
    names: list[str] = fs.find(path, prefix="a")
    rows: dict[str, ListedInfo] = fs.find(path, detail=True)
    yield from sorted(names) + [row["ETag"] for row in rows.values() if row["type"] == "file"]
    yield from fs.glob(f"{path}/*.csv")
    yield from fs.glob(f"{path}/*.csv", detail=True)
    for folder, folders, files in fs.walk(path, on_error="raise"):
        yield from (f"{folder}/{name}" for name in [*folders, *files])
    for _, _, infos in fs.walk(path, detail=True, on_error=print):
        yield from (info["name"] for info in infos.values())
    info: Info = fs.info(path, refresh=True)
    size: int = info["size"] + fs.du(path) + sum(fs.du(path, total=False).values())
    yield info["metadata"].get("a", "") + info["ETag"] + str(size) + str(info["VersionId"])
    when: datetime = max(fs.modified(path), info["LastModified"])
    yield when.isoformat() if fs.exists(path) and fs.isfile(path) and not fs.isdir(path) else ""
    yield from fs.metadata(path)
    yield from fs.get_tags(path).values()
    fs.put_tags(path, {"a": "b"}, mode="m")
    fs.chmod(path, "public-read")
    yield fs.url(path, expires=60) + fs.sign(path, 60, "PUT", ContentType="text/csv")
    for upload in fs.abort_uploads(path, timedelta(days=1)):
        yield upload["upload_id"] + upload["name"]
    yield from fs.expand_path([path], recursive=True)
    for version in fs.object_version_info(path):
        yield version["VersionId"]
    yield from fs.probe(path).missing()
    fs.mkdir("bucket", acl="private", region_name="eu-west-1")
    fs.makedirs("bucket/folder", exist_ok=True)
    fs.setxattr(path, {"ContentType": "text/csv"}, name="value", gone=None)


async def coroutines(path: str) -> list[str]:
    """They have the types of their verbs, and so have the files to await."""
    data: bytes = await fs._cat_file(path, 0, 10)
    await fs._pipe_file(path, data, "create", ContentType="text/csv")
    row = await fs._info(path)
    several: dict[str, bytes] = await fs._cat([path, row["name"]])
    await fs._pipe(several)
    rows = await fs._ls(path, detail=True)
    async for _, directories, names in fs._walk(path):
        directories.clear()
        await fs._get(names, "/tmp/folder/", recursive=True)
    async with await fs.open_async(path) as old, await fs.open_async(path, "xb", ACL="private") as new:
        async for piece in old.chunks(2**20):
            await new.write(piece)
        print(old.etag, new.tell(), await old.read(10))
    sizes: list[int | None] = await fs._sizes([path])
    return [item["name"] for item in rows] + [str(size) for size in sizes]


def inherited(path: str) -> None:
    """What fsspec's class has."""
    text: str = fs.read_text(path)
    fs.write_text(path, text)
    data: bytes = fs.read_bytes(path)
    fs.write_bytes(path, data)
    size: int | None = fs.size(path)
    fs.rename(path, f"{path}{size}", recursive=True)
    fs.cp(path, path, on_error="ignore", StorageClass="STANDARD_IA")
    fs.move(path, path, maxdepth=1)
    fs.delete(path)
    fs.download(path, "/tmp/file", recursive=True)
    fs.upload("/tmp/file", path, ContentType="text/csv")
    when: datetime = fs.created(path)
    used: int = fs.disk_usage(path) + fs.stat(path)["size"] + when.year
    print([row["name"] for row in fs.listdir(path)], fs.listdir(path, detail=False), used)
    with fs.transaction:
        fs.pipe_file(path, b"data")
    fs.get_mapper(path)["key"] = b"value"
    blob: str = fs.to_json(include_password=False)
    GuardedS3FileSystem.from_json(blob)
    GuardedS3FileSystem.clear_instance_cache()


try:
    whole("bucket/key")
except ObjectChangedError as error:
    print(error.bucket, error.key, error.status, error.maybe_applied)
