"""Mistakes that a type checker is to find: one in each line that says so. It is not run."""

from fsspec_guarded_s3 import GuardedS3FileSystem

fs = GuardedS3FileSystem(endpoint_ulr="http://127.0.0.1:9000")  # mistake: a misspelt option
fs = GuardedS3FileSystem(max_concurrency="8")  # mistake: an option of another type
fs = GuardedS3FileSystem(addressing_style="host")  # mistake: a choice that there is not
fs = GuardedS3FileSystem(username="key", passwd="secret")  # mistake: a misspelt option of s3fs
path = "bucket/key"

fs.pipe_file(path, "text")  # mistake: text where bytes belong
fs.pipe_file(path, b"", mode="exclusive")  # mistake: a mode that there is not
fs.pipe_file(path, b"", Metadata=["a"])  # mistake: metadata that are no dict
fs.pipe_file(path, b"", Metadata={"a": 1})  # mistake: a number in the metadata
fs.pipe_file(path, b"", ContentTyp="text/csv")  # mistake: a misspelt attribute
fs.pipe_file(path, b"", ACL="secret")  # mistake: no canned ACL
fs.pipe({path: "text"})  # mistake: text where bytes belong
fs.put_if_absent(path, "text")  # mistake: text where bytes belong
fs.update(path, lambda old: old.decode())  # mistake: a function that returns text

with fs.open(path, "wb") as file:
    file.write("text")  # mistake: text into a binary file
    file.comit()  # mistake: a misspelt verb of a writer
print(file.etga)  # mistake: a misspelt attribute of a writer
with fs.open(path, "w") as text:
    text.write(b"bytes")  # mistake: bytes into a text file
    text.discrad()  # mistake: a misspelt verb of a text writer
with fs.open(path, "rb") as reader:
    reader.read().split(",")  # mistake: bytes are split by bytes
    reader.read("all")  # mistake: a length that is no number
    for line in reader:
        line.split(",")  # mistake: lines of bytes
with fs.open(path, "r") as lines:
    lines.read().split(b",")  # mistake: text is split by text
fs.open(path, "wb", if_mach="etag")  # mistake: a misspelt keyword
fs.open(path, "rb", ContentType="text/csv")  # mistake: an attribute of writes
fs.open(path, "wb", version_id="v")  # mistake: versions are not written

fs.find(path).items()  # mistake: a list of names
fs.find(path, detail=True).sort()  # mistake: a dict of rows
fs.glob(path).values()  # mistake: a list of names
fs.cat_file(path).split(",")  # mistake: bytes are split by bytes
fs.cat([path]).decode()  # mistake: a dict of contents
fs.ls(path)[0]["name"]  # mistake: a list of names
print(fs.ls(path, detail=True)[0].name)  # mistake: a row is a dict
fs.ls(path, detail=True)[0]["nmae"]  # mistake: a misspelt key
fs.info(path)["etag"]  # mistake: S3 writes it ETag
fs.info(path, refesh=True)  # mistake: a misspelt keyword
fs.exists(path, versoin_id="v")  # mistake: a misspelt keyword
fs.find(path, max_depth=1)  # mistake: a misspelt keyword
fs.du(path).items()  # mistake: a number
fs.cat_file(path, strat=1)  # mistake: a misspelt keyword
fs.get(path, "/tmp/file", recursiv=True)  # mistake: a misspelt keyword
fs.cp_file(path, path, MetadataDirective="replace")  # mistake: upper case in S3
fs.chmod(path, "public")  # mistake: no canned ACL
fs.abort_uploads(path)  # mistake: how old?
fs.cp(path, path, recursiv=True)  # mistake: a misspelt keyword
fs.upload("/tmp/file", path, ContentTyp="text/csv")  # mistake: a misspelt attribute
fs.write_bytes(path, "text")  # mistake: text where bytes belong
fs.read_bytes(path).split(",")  # mistake: bytes are split by bytes
fs.open(path, "wb").close(None)  # mistake: it takes nothing


async def coroutines() -> None:
    (await fs._cat_file(path)).split(",")  # mistake: bytes are split by bytes
    fs._cat_file(path).split(b",")  # mistake: it was not awaited
    await fs._cat_file(path, strat=1)  # mistake: a misspelt keyword
    (await fs._ls(path))[0]["name"]  # mistake: a list of names
    await fs._pipe_file(path, b"", contenttype="text/csv")  # mistake: a misspelt keyword
    for _ in fs._walk(path):  # mistake: an asynchronous generator
        pass
    (await fs.open_async(path)).write(b"")  # mistake: it reads
    await fs.open_async(path, "wb", if_mach="etag")  # mistake: a misspelt keyword
