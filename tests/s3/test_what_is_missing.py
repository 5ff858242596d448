"""What is missing is named, the bucket or the object; what is answered by no store counts for nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fsspec_guarded_s3 import GuardedS3Error, GuardedS3FileSystem, ResponseError
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, respond, s3_error

Call = Callable[[GuardedS3FileSystem], object]

IN_MISSING_BUCKET: dict[str, Call] = {
    "cp_file from": lambda fs: fs.cp_file("missing/a", "bucket/b"),
    "cp_file into": lambda fs: fs.cp_file("bucket/a", "missing/b"),
    "copy from": lambda fs: fs.copy("missing/d", "bucket/b", recursive=True),
    "copy into": lambda fs: fs.copy("bucket/a", "missing/b"),
    "mv from": lambda fs: fs.mv("missing/a", "bucket/b"),
    "mv into": lambda fs: fs.mv("bucket/a", "missing/b"),
    "rm_file": lambda fs: fs.rm_file("missing/a"),
    "setxattr": lambda fs: fs.setxattr("missing/a", name="1"),
    "restore_version": lambda fs: fs.restore_version("missing/a", version_id="v"),
    "info": lambda fs: fs.info("missing/a"),
    "cat_file": lambda fs: fs.cat_file("missing/a"),
    "pipe_file": lambda fs: fs.pipe_file("missing/a", b"1"),
}


@pytest.mark.parametrize("call", IN_MISSING_BUCKET.values(), ids=IN_MISSING_BUCKET)
def test_a_missing_bucket_is_said_to_be_missing(call: Call) -> None:
    """Though an answer to HEAD has no words for it."""
    fake = FakeS3("bucket")
    fake.put("bucket", "a", b"1")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert fs.exists("bucket/a")
        with pytest.raises(FileNotFoundError, match="bucket does not exist") as caught:
            call(fs)
    assert getattr(caught.value, "bucket", "") == "missing"


@pytest.mark.parametrize("name", ["cp_file from", "mv from", "rm_file", "setxattr", "restore_version"])
def test_a_missing_object_is_not_said_to_be_a_missing_bucket(name: str) -> None:
    with ScriptedServer(handler=FakeS3("bucket", "missing")) as server:
        fs = filesystem(server.url)
        assert not fs.exists("bucket/a")
        with pytest.raises(FileNotFoundError, match="not found") as caught:
            IN_MISSING_BUCKET[name](fs)
    assert getattr(caught.value, "code", "") != "NoSuchBucket"


# What each does with a key, a bucket or an upload that is there.
OF_NO_STORE: dict[str, tuple[str, Call]] = {
    "get_tags": ("GET tagging", lambda fs: fs.get_tags("bucket/a")),
    "put_tags": ("PUT tagging", lambda fs: fs.put_tags("bucket/a", {"a": "b"})),
    "rm_file": ("DELETE", lambda fs: fs.rm_file("bucket/a")),
    "rm": ("POST delete", lambda fs: fs.rm("bucket/a")),
    "rm of many": ("POST delete", lambda fs: fs.rm(["bucket/a", "bucket/b"])),
    "ls": ("GET list-type", lambda fs: fs.ls("bucket")),
    "find": ("GET list-type", lambda fs: fs.find("bucket")),
    "isdir": ("GET list-type", lambda fs: fs.isdir("bucket/d")),
    "list_uploads": ("GET uploads", lambda fs: fs.list_uploads("bucket")),
    "a write": ("PUT", lambda fs: fs.pipe_file("bucket/a", b"1")),
    "a write in parts": ("POST uploads", lambda fs: fs.pipe_file("bucket/a", bytes(6 * MIB))),
}


@pytest.mark.parametrize(("what", "call"), OF_NO_STORE.values(), ids=OF_NO_STORE)
def test_an_empty_404_of_nobody_is_no_missing_object(what: str, call: Call) -> None:
    method, _, name = what.partition(" ")

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        is_meant = request.method == method and (name in request.query if name else True)
        return Reply(404, b"") if is_meant else None

    fake = FakeS3("bucket", fault=fault)
    fake.put("bucket", "a", b"old")
    fake.put("bucket", "b", b"old")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_attempts=1, part_size=5 * MIB, multipart_threshold=5 * MIB)
        with pytest.raises(GuardedS3Error, match="look at endpoint_url") as caught:
            call(fs)
    assert isinstance(caught.value, ResponseError) and not isinstance(caught.value, FileNotFoundError)
    assert fake.objects["bucket", "a"].body == b"old"


@pytest.mark.parametrize("told", ["HEAD", "GET", "nobody"])
def test_a_head_that_is_sent_elsewhere_finds_the_region_or_says_what_to_do(told: str) -> None:
    """By the header of its own answer, or by the words that a GET gets."""
    region = {"x-amz-bucket-region": "eu-west-1"}

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if "/eu-west-1/s3/" in request.headers["authorization"]:
            return None
        if request.method == "HEAD":
            return respond(301, headers=region if told == "HEAD" else {})
        return s3_error(301, "PermanentRedirect", headers=region if told == "GET" else {})

    fake = FakeS3("bucket", fault=fault)
    fake.put("bucket", "a", b"1")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        if told == "nobody":
            with pytest.raises(ResponseError, match="set region"):
                fs.info("bucket/a")
        else:
            assert fs.info("bucket/a")["size"] == 1


# Bytes that are no UTF-8, in a key and in the name of a directory; one more that would look the same.
ODD = ["d/\udcff", "d/\udcfe", "\udcfc/a", "d/\udce4b+c d%", "d/\ufffd", "d/\x01\x0b"]


def test_keys_that_are_not_utf_8_or_no_xml_are_what_they_are(tmp_path: Path) -> None:
    """They are listed, read, copied, downloaded and removed: none stands for another."""
    fake = FakeS3("bucket")
    for number, key in enumerate(ODD):
        fake.put("bucket", key, b"%d" % number)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        found = fs.find("bucket")
        assert found == sorted(f"bucket/{key}" for key in ODD)
        assert fs.cat("bucket", recursive=True) == {f"bucket/{key}": b"%d" % n for n, key in enumerate(ODD)}
        for number, key in enumerate(ODD):
            assert fs.info(f"bucket/{key}")["size"] == 1
            fs.cp_file(f"bucket/{key}", f"bucket/copy/{number}")
            assert fs.cat_file(f"bucket/copy/{number}") == b"%d" % number
        fs.rm_file("bucket/d/\udcff")
        assert ("bucket", "d/\udcfe") in fake.objects and ("bucket", "d/\udcff") not in fake.objects
        fs.get("bucket/d/", str(tmp_path / "d"), recursive=True)
        assert (tmp_path / "d" / "\udcfe").read_bytes() == b"1"
        fs.rm(["bucket/d", "bucket/\udcfc"], recursive=True)
        assert {key for _, key in fake.objects} == {f"copy/{number}" for number in range(len(ODD))}


def test_a_key_that_the_store_shows_otherwise_is_not_said_to_be_removed() -> None:
    """As moto and versitygw show bytes that are no UTF-8. One that has U+FFFD itself is removed."""
    shown = b"%EF%BF%BD"

    def after(request: Request, reply: Reply) -> Answer | None:
        if "list-type" not in request.query:
            return None
        return replace(reply, body=reply.body.replace(b"%FF", shown))

    fake = FakeS3("bucket", after=after)
    for key in ("d/plain", "d/\udcff", "d/own\ufffd"):
        fake.put("bucket", key, b"1")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert fs.find("bucket") == ["bucket/d/own\ufffd", "bucket/d/plain", "bucket/d/\ufffd"]
        with pytest.raises(FileNotFoundError, match="U\\+FFFD"):
            fs.rm("bucket/d", recursive=True)
    assert set(fake.objects) == {("bucket", "d/\udcff")}


WRITES: dict[str, Call] = {
    "pipe_file": lambda fs: fs.pipe_file("bucket/a\udcff", b"1"),
    "put_if_absent": lambda fs: fs.put_if_absent("bucket/\udcff/a", b"1"),
    "open": lambda fs: fs.open("bucket/a\udcff", "wb"),
    "cp_file": lambda fs: fs.cp_file("bucket/a", "bucket/a\udcff"),
    "put_file": lambda fs: fs.put_file(__file__, "bucket/a\udcff"),
    "put": lambda fs: fs.put(__file__, "bucket/a\udcff"),
    "touch": lambda fs: fs.touch("bucket/a\udcff"),
}


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
def test_no_key_is_written_that_is_not_utf_8(call: Call) -> None:
    """S3's keys are UTF-8, and versitygw lists no bucket any more that has a folder of such a name."""
    fake = FakeS3("bucket")
    fake.put("bucket", "a", b"1")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        with pytest.raises(ValueError, match="not valid Unicode"):
            call(fs)
        assert {request.method for request in server.requests} <= {"HEAD", "GET"}
    assert set(fake.objects) == {("bucket", "a")}
