"""The command line: what it does, prints and exits with, and that it ends well when it is stopped."""

import json
import os
import shlex
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("click")

from click.testing import CliRunner, Result

from fsspec_guarded_s3._cli.commands import cli
from tests.data import period_free
from tests.fake_s3 import FakeS3, Part, Upload, md5_etag
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, close, eventually, s3_error
from tests.servers import MotoServer, reserved_port

SECRET = "a-secret-that-must-not-be-seen"
SMALL = ["-o", "part_size=5242880", "-o", "multipart_threshold=5242880"]


class Store:
    """A store with a bucket, and the command line beside it."""

    def __init__(self, fake: FakeS3, url: str) -> None:
        self.fake = fake
        self.url = url

    def run(self, *arguments: str, data: bytes = b"") -> Result:
        result = CliRunner().invoke(cli, [*arguments, "--endpoint-url", self.url], input=data)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert SECRET not in result.output
        return result

    def ok(self, *arguments: str, data: bytes = b"") -> str:
        result = self.run(*arguments, data=data)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    def fails(self, code: int, *arguments: str) -> str:
        """What is said on standard error; nothing is on standard output."""
        result = self.run(*arguments)
        assert result.exit_code == code, result.output
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        return result.stderr

    def bodies(self) -> dict[str, bytes]:
        return {key: stored.body for (_, key), stored in self.fake.objects.items()}

    def start(self, *arguments: str, **keywords: Any) -> subprocess.Popen[bytes]:
        """The real process."""
        command = [sys.executable, "-m", "fsspec_guarded_s3", *arguments, "--endpoint-url", self.url]
        return subprocess.Popen(command, **keywords)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAKEYOFTHETEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def store() -> Iterator[Store]:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        yield Store(fake, server.url)


# --- what a script passes where a variable is not set ---


@pytest.mark.parametrize(
    "arguments",
    [
        ["cp", "{here}", "s3://bucket/a", "--if-match", ""],
        ["rm", "s3://bucket/a", "--if-match", ""],
        ["cp", "{here}", "s3://bucket/a", "--resume", ""],
        ["cp", "{here}", "s3://bucket/a", "--content-type", ""],
        ["cp", "{here}", "s3://bucket/a", "--storage-class", ""],
        ["cp", "{here}", "s3://bucket/a", "-o", "probe="],
        ["cp", "", "s3://bucket/a"],
        ["cp", "s3://bucket/a", ""],
        ["cp", "-r", "s3://bucket/", ""],
        ["mv", "s3://bucket/a", ""],
        ["sync", "s3://bucket/", "", "--delete"],
        ["sync", "", "s3://bucket/", "--delete"],
        ["find", "s3://bucket", "--name", ""],
    ],
)
def test_an_empty_argument_is_not_ignored(
    store: Store, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.fake.put("bucket", "a", b"old")
    (tmp_path / "here").write_text("new")
    monkeypatch.chdir(tmp_path)
    told = store.fails(2, *[word.format(here="here") for word in arguments])
    assert "empty" in told or "an ETag, not an empty string" in told
    assert store.bodies() == {"a": b"old"}
    assert os.listdir(tmp_path) == ["here"]


# --- ls, cat, rm ---


def test_ls_prints_urls_that_other_commands_take(store: Store) -> None:
    for key in ("a", "folder/b", "folder/deep/c"):
        store.fake.put("bucket", key, b"xyz")
    assert store.ok("ls").split() == ["s3://bucket/"]
    assert store.ok("ls", "s3://bucket").split() == ["s3://bucket/a", "s3://bucket/folder/"]
    assert store.ok("ls", "gs3://bucket/folder/").split() == [
        "gs3://bucket/folder/b",
        "gs3://bucket/folder/deep/",
    ]
    assert store.ok("ls", "-r", "s3://bucket/folder").split() == [
        "s3://bucket/folder/b",
        "s3://bucket/folder/deep/c",
    ]


def test_ls_long_shows_what_if_match_takes(store: Store) -> None:
    stored = store.fake.put("bucket", "a", b"xyz")
    size, moment, etag, url = store.ok("ls", "-l", "s3://bucket/a").split()
    assert (size, etag, url) == ("3", stored.etag, "s3://bucket/a")
    assert moment.endswith("Z")
    store.ok("rm", "s3://bucket/a", "--if-match", etag)
    assert store.bodies() == {}


@pytest.mark.parametrize("root", [[], ["s3://"], ["s3a://"], ["gs3://"]])
def test_ls_of_no_bucket_shows_the_buckets(store: Store, root: list[str]) -> None:
    assert store.ok("ls", *root) == "s3://bucket/\n"


def test_ls_json(store: Store) -> None:
    stored = store.fake.put("bucket", "a\nb", b"xyz")
    document = json.loads(store.ok("ls", "s3://bucket", "--json"))
    (entry,) = document["entries"]
    assert document["ok"] is True
    assert (entry["url"], entry["size"], entry["etag"]) == ("s3://bucket/a\nb", 3, stored.etag)


def test_key_cannot_forge_a_line_or_an_escape_sequence(store: Store) -> None:
    store.fake.put("bucket", "a\ns3:b\x1b[31m", b"")
    assert store.ok("ls", "s3://bucket") == "s3://bucket/a\\ns3:b\\x1b[31m\n"


def test_ls_of_an_empty_bucket_is_empty_and_of_nothing_is_not_found(store: Store) -> None:
    assert store.ok("ls", "s3://bucket") == ""
    assert "not found" in store.fails(3, "ls", "s3://bucket/nothing")
    assert "there is nothing at" in store.fails(3, "ls", "-r", "s3://bucket/nothing")
    assert "bucket" in store.fails(3, "ls", "s3://no-such-bucket")


def test_cat_writes_bytes_and_nothing_else(store: Store) -> None:
    data = period_free(100_000)
    store.fake.put("bucket", "a", data)
    store.fake.put("bucket", "b", b"\0tail")
    assert store.run("cat", "s3://bucket/a", "s3://bucket/b").stdout_bytes == data + b"\0tail"


def test_rm_takes_names_literally(store: Store) -> None:
    for key in ("a*", "ab", "t*/1", "tx/1"):
        store.fake.put("bucket", key, b"")
    store.ok("rm", "s3://bucket/a*")
    store.ok("rm", "-r", "s3://bucket/t*")
    assert set(store.bodies()) == {"ab", "tx/1"}


def test_rm_of_what_it_should_not(store: Store) -> None:
    store.fake.put("bucket", "folder/a", b"")
    assert "-r" in store.fails(1, "rm", "s3://bucket/folder")
    assert "not found" in store.fails(3, "rm", "s3://bucket/nothing")
    assert "with -r, 's3://bucket/*' is all that is in it" in store.fails(2, "rm", "-r", "s3://bucket/")
    assert "another version" in store.fails(4, "rm", "s3://bucket/folder/a", "--if-match", "other")
    assert set(store.bodies()) == {"folder/a"}


# --- cp ---


def test_cp_there_and_back(store: Store, tmp_path: Path) -> None:
    data = period_free(300_000)
    source = tmp_path / "source.bin"
    source.write_bytes(data)
    assert store.ok("cp", str(source), "s3://bucket") == ""
    store.ok("cp", "s3://bucket/source.bin", "s3://bucket/copies/")
    store.ok("cp", "s3://bucket/copies/source.bin", str(tmp_path / "back"))
    store.ok("cp", "s3://bucket/copies/source.bin", str(tmp_path / "new" / "folder") + "/")
    assert set(store.bodies()) == {"source.bin", "copies/source.bin"}
    assert (tmp_path / "back").read_bytes() == (tmp_path / "new/folder/source.bin").read_bytes() == data


def test_cp_standard_input_and_output(store: Store) -> None:
    data = period_free(200_000)
    store.ok("cp", "-", "s3://bucket/key", data=data)
    assert store.run("cp", "s3://bucket/key", "-").stdout_bytes == data
    assert "has no name" in store.fails(2, "cp", "-", "s3://bucket/")


def test_cp_if_absent_creates_once(store: Store, tmp_path: Path) -> None:
    """From a file, from standard input, from another object; what is there stays."""
    (tmp_path / "file").write_bytes(b"new")
    store.ok("cp", "-", "s3://bucket/key", "--if-absent", data=b"first")
    for source in (str(tmp_path / "file"), "-", "s3://bucket/key"):
        assert "s3://bucket/key exists already" in store.fails(
            4, "cp", source, "s3://bucket/key", "--if-absent"
        )
    assert store.bodies() == {"key": b"first"}


def test_cp_if_match_replaces_that_version_only(store: Store) -> None:
    etag = store.fake.put("bucket", "key", b"old").etag
    store.fails(4, "cp", "-", "s3://bucket/key", "--if-match", "other")
    assert store.bodies() == {"key": b"old"}
    store.ok("cp", "-", "s3://bucket/key", "--if-match", etag, data=b"new")
    assert store.bodies() == {"key": b"new"}


def test_cp_trees(store: Store, tmp_path: Path) -> None:
    """Under its name into what is a folder; what is in it after a slash; else as the new name."""
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "a").write_bytes(b"a")
    (tree / "deep" / "b").write_bytes(b"b")
    store.ok("cp", "-r", str(tree), "s3://bucket/into/")
    store.ok("cp", "-r", f"{tree}/", "s3://bucket/flat/")
    store.ok("cp", "-r", "s3://bucket/into/tree", "s3://bucket/named")
    assert set(store.bodies()) == {
        *("into/tree/a", "into/tree/deep/b"),
        *("flat/a", "flat/deep/b"),
        *("named/a", "named/deep/b"),
    }
    store.ok("cp", "-r", "s3://bucket/named", str(tmp_path))
    assert (tmp_path / "named/deep/b").read_bytes() == b"b"


def test_cp_several_sources_need_a_folder(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    sources = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert "end it with a slash" in store.fails(2, "cp", *sources, "s3://bucket/key")
    store.ok("cp", *sources, "s3://bucket/folder/")
    assert store.bodies() == {"folder/a": b"a", "folder/b": b"b"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs os.mkfifo")
def test_cp_tree_goes_on_after_a_failure(store: Store, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(b"new")
    os.mkfifo(tmp_path / "pipe")
    store.fake.put("bucket", "t/b", b"old")
    result = store.run("cp", "-r", f"{tmp_path}/", "s3://bucket/t", "--if-absent", "--json")
    assert store.bodies() == {"t/a": b"new", "t/b": b"old", "t/c": b"new"}
    document = json.loads(result.stdout)
    failed = {row["target"]: row["error"]["exit_code"] for row in document["copies"] if "error" in row}
    assert (document["ok"], result.exit_code) == (False, 1)
    assert failed == {"s3://bucket/t/b": 4, "s3://bucket/t/pipe": 1}
    assert "2 of 4 files were not copied" in result.stderr


def test_cp_key_does_not_lead_out_of_the_folder(store: Store, tmp_path: Path) -> None:
    for key in ("t/../../outside", "t//absolute", "t/fine"):
        store.fake.put("bucket", key, b"x")
    target = tmp_path / "in"
    said = store.fails(1 + 1, "cp", "-r", "s3://bucket/t", str(target))
    assert said.count("would lead elsewhere") == 2
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["fine"]


def test_cp_copies_nothing_to_where_two_sources_meet(store: Store, tmp_path: Path) -> None:
    """The last would win by chance. Others are copied."""
    for key in ("a/x", "b/x", "c/y", "both/k", "both/k/x"):
        store.fake.put("bucket", key, key.encode())
    sources = ["s3://bucket/a/x", "s3://bucket/b/x", "s3://bucket/c/y"]
    said = store.fails(2, "cp", *sources, "s3://bucket/into/")
    assert said.count("would both become") == 2
    assert "into/x" not in store.bodies() and store.bodies()["into/y"] == b"c/y"
    said = store.fails(2, "cp", *sources, str(tmp_path))
    assert said.count("would both become") == 2
    said = store.fails(2, "cp", "-r", "s3://bucket/both", str(tmp_path / "down"))
    assert said.count("would have to be a file and a folder") == 2
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["y"]


def test_cp_does_not_overwrite_what_it_is_still_to_copy(store: Store) -> None:
    for key in ("t/f", "t/t/f", "t/t/t/f"):
        store.fake.put("bucket", key, key.encode())
    said = store.fails(2, "cp", "-r", "s3://bucket/t/t/", "s3://bucket/t")
    assert "is a source and a target at once" in said
    assert store.bodies() == {"t/f": b"t/t/f", "t/t/f": b"t/t/f", "t/t/t/f": b"t/t/t/f"}


@pytest.mark.parametrize(
    "command", [("cp", "-r"), ("mv", "-r"), ("sync",), ("sync", "--delete"), ("sync", "-n")]
)
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("s3://bucket/t", "s3://bucket/t/sub"),
        ("s3://bucket/t/", "s3://bucket/t/new/"),
        ("s3://bucket", "s3://bucket/copy"),
        ("s3://bucket/", "s3a://bucket/t"),
    ],
)
def test_a_tree_is_not_copied_into_itself(
    store: Store, command: tuple[str, ...], source: str, target: str
) -> None:
    for key in ("t", "t/f", "t/sub/f"):
        store.fake.put("bucket", key, key.encode())
    before = store.bodies()
    said = " ".join(store.fails(2, *command, source, target).split())
    assert "cannot be copied or moved into itself" in said
    assert source.partition("://")[2].rstrip("/") in said and target.partition("://")[2].rstrip("/") in said
    assert store.bodies() == before


def test_what_only_looks_like_a_copy_into_itself_is_made(store: Store) -> None:
    for key in ("t/f", "t/sub/g", "alone"):
        store.fake.put("bucket", key, key.encode())
    store.ok("cp", "-r", "s3://bucket/t", "s3://bucket/t2")  # a name that begins alike
    store.ok("cp", "-r", "s3://bucket/alone", "s3://bucket/alone/copy")  # an object has nothing in it
    store.ok("cp", "-r", "s3://bucket/t/sub/", "s3://bucket/t")
    store.ok("sync", "s3://bucket/t/sub", "s3://bucket/t")
    assert {"t2/f", "t2/sub/g", "alone/copy", "t/g"} <= store.bodies().keys()


def test_sync_does_not_delete_its_own_source(store: Store) -> None:
    for key in ("t/old", "t/sub/new"):
        store.fake.put("bucket", key, key.encode())
    before = store.bodies()
    said = store.fails(2, "sync", "--delete", "s3://bucket/t/sub", "s3://bucket/t")
    assert "s3://bucket/t/sub" in said and "--delete would delete it" in " ".join(said.split())
    assert "--delete" in store.fails(2, "sync", "--delete", "s3://bucket/t", "s3://bucket")
    assert store.bodies() == before


@pytest.fixture
def links(tmp_path: Path) -> None:
    """A system that makes links: Windows does so for some users, Wine says so and does not."""
    try:
        (tmp_path / "is link").symlink_to("nothing")
    except OSError as error:
        pytest.skip(f"no links here: {error}")
    if not (tmp_path / "is link").is_symlink():
        pytest.skip("no links here")
    (tmp_path / "is link").unlink()


def test_cp_tree_is_not_written_through_a_link_out_of_its_folder(
    store: Store, links: None, tmp_path: Path
) -> None:
    for key in ("t/link/x", "t/fine"):
        store.fake.put("bucket", key, b"x")
    (tmp_path / "in").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "in" / "link").symlink_to(Path("../elsewhere"))
    said = store.fails(2, "cp", "-r", "s3://bucket/t/", str(tmp_path / "in"))
    assert said.count("behind a link that leads out of") == 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["fine"]


def test_cp_links(store: Store, links: None, tmp_path: Path) -> None:
    """Links are followed, a circle of them is an error; a link as target stays one."""
    tree = tmp_path / "tree"
    (tree / "real").mkdir(parents=True)
    (tree / "real" / "file").write_bytes(b"x")
    (tree / "link").symlink_to("real")
    store.ok("cp", "-r", f"{tree}/", "s3://bucket/t")
    assert set(store.bodies()) == {"t/real/file", "t/link/file"}
    (tree / "real" / "up").symlink_to("..")
    assert "symbolic links" in store.fails(1, "cp", "-r", f"{tree}/", "s3://bucket/u")
    (tmp_path / "pointer").symlink_to("target")
    store.ok("cp", "s3://bucket/t/real/file", str(tmp_path / "pointer"))
    assert (tmp_path / "pointer").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"x"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs os.mkfifo")
def test_cp_pipe_is_streamed_both_ways(store: Store, tmp_path: Path) -> None:
    """A pipe has no size of its own, and is not replaced by a file."""
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    writer = subprocess.Popen(["sh", "-c", f"echo streamed > {pipe}"])
    store.ok("cp", pipe, "s3://bucket/key")
    assert writer.wait() == 0
    assert store.bodies() == {"key": b"streamed\n"}
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    store.ok("cp", "s3://bucket/key", pipe)
    assert reader.communicate()[0] == b"streamed\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["here", "there"], "must be in S3"),
        (["s3://bucket/folder", "."], "-r takes all"),
        (["s3://bucket/folder/a", "-", "--if-absent"], "target in S3"),
        (["x", "s3://bucket/y", "--if-absent", "--if-match", "e"], "excludes"),
        (["s3://bucket/folder/a", "-", "--json"], "standard output"),
        (["nowhere", "s3://bucket/y"], "nowhere: No such file"),
        (["ftp://host/x", "s3://bucket/y"], "no URL of S3"),
    ],
)
def test_cp_of_what_makes_no_sense(store: Store, arguments: list[str], said: str) -> None:
    store.fake.put("bucket", "folder/a", b"")
    result = store.run("cp", *arguments)
    assert result.exit_code in (1, 2, 3)
    assert said in result.stderr
    assert result.stdout == ""


# --- uploads ---


def test_uploads_are_listed_and_the_old_ones_aborted(moto: MotoServer) -> None:
    """moto dates every upload to 2010."""
    fs = filesystem(moto.url)
    fs.mkdir("cli-uploads")
    store = Store(FakeS3(), moto.url)
    assert store.run("uploads", "s3://cli-uploads").stderr == "none at s3://cli-uploads\n"
    client: Any = fs._client
    from fsspec_guarded_s3._values.paths import S3Path

    upload_id = client.multipart.create_multipart_upload(S3Path("cli-uploads", "key"), {})
    client.multipart.upload_part(S3Path("cli-uploads", "key"), upload_id, 1, b"12345")
    line = store.ok("uploads", "s3://cli-uploads")
    assert line.split()[1:] == ["5", "1", "parts", upload_id, "s3://cli-uploads/key"]
    assert "none aborted" in store.run("uploads", "abort", "s3://cli-uploads", "--older-than", "5000w").stderr
    document = json.loads(store.ok("uploads", "abort", "s3://cli-uploads", "--older-than", "7d", "--json"))
    assert [row["upload_id"] for row in document["aborted"]] == [upload_id]
    assert json.loads(store.ok("uploads", "list", "s3://cli-uploads", "--json")) == {
        "ok": True,
        "uploads": [],
    }


@pytest.mark.parametrize("age", ["1y", "-1d", "", "nan", "1e99"])
def test_age_that_is_none(store: Store, age: str) -> None:
    assert "like 90s" in store.fails(2, "uploads", "abort", "s3://bucket", f"--older-than={age}")
    assert "--older-than" in store.fails(2, "uploads", "abort", "s3://bucket")


# --- failures ---


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (s3_error(403, "AccessDenied"), 5),
        (s3_error(403, "InvalidAccessKeyId"), 5),
        (s3_error(400, "InvalidRequest"), 1),
        (s3_error(503, "SlowDown"), 7),
        (close(), 7),
    ],
)
def test_exit_codes_of_the_stores_refusals(answer: Answer, code: int) -> None:
    with ScriptedServer(handler=lambda request: answer) as server:
        store = Store(FakeS3(), server.url)
        said = store.fails(code, "ls", "s3://bucket", "-o", "max_attempts=1")
        assert said.startswith("guarded-s3: ")
        assert ("guarded-s3 doctor" in said) == (code in (5, 7))
        document = json.loads(store.run("ls", "s3://bucket", "-o", "max_attempts=1", "--json").stdout)
    assert document["ok"] is False
    assert document["error"]["exit_code"] == code


def test_unknown_outcome_has_a_code_of_its_own(store: Store) -> None:
    """The write and the look at it are both lost."""

    written: list[str] = []

    def lose(request: Request, _: Any) -> Answer | None:
        written.extend([request.path] * (request.method == "PUT"))
        return close() if written else None

    store.fake.after = lose
    options = ["-o", "max_attempts=2", "-o", "probe=never"]
    assert "nothing proves" in store.fails(6, "cp", "-", "s3://bucket/key", "--if-absent", *options)


def test_a_create_that_may_have_been_applied_and_replaced_is_no_plain_refusal(store: Store) -> None:
    """Our object was there, and somebody else's is now."""

    def replaced(request: Request, reply: Any) -> Answer | None:
        if request.method == "PUT" and request.path == "/bucket/key" and reply.status == 200:
            store.fake.put("bucket", "key", b"rival's")
            return close()
        return None

    store.fake.after = replaced
    said = store.fails(6, "cp", "-", "s3://bucket/key", "--if-absent", "-o", "probe=never")
    assert "ours may have been there" in said


@pytest.mark.parametrize("to_store", [True, False])
def test_the_doctor_is_not_sent_for_where_a_local_file_is_the_reason(
    store: Store, to_store: bool, tmp_path: Path
) -> None:
    store.fake.put("bucket", "a", b"1")
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "f").write_text("1")
    locked.chmod(0)
    try:
        if os.access(locked / "f", os.R_OK):
            pytest.skip("who is root may read and write anything")
        here, there = str(locked / "f"), "s3://bucket/a"
        told = store.fails(5, "cp", *((here, there) if to_store else (there, here)))
    finally:
        locked.chmod(0o700)
    assert "Permission denied" in told and "guarded-s3 doctor" not in told


def test_server_that_is_down() -> None:
    with reserved_port() as port:
        gone = Store(FakeS3(), f"http://127.0.0.1:{port}")
        assert "no connection to 127.0.0.1" in gone.fails(7, "ls", "s3://bucket")


def test_no_credentials(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "no credentials" in store.fails(5, "ls", "s3://bucket")
    assert store.ok("ls", "s3://bucket", "--anon") == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "key=AKIA"], "not taken from the command line"),
        (["-o", f"secret={SECRET}"], "not taken from the command line"),
        (["-o", "part_size=many"], "part_size must be int, not str: a number, without a unit"),
        (["-o", "part_size=1"], "part_size must be 5 MiB"),
        (["-o", "part_syze=1"], "did you mean 'part_size'"),
        (["-o", "fsync"], "name=value"),
        (["-o", "fsync=perhaps"], "fsync must be bool, not str"),
        (["--profile", "nobody"], "nobody"),
        (["--addressing-style", "odd"], "'odd' is not one of"),
    ],
)
def test_options_are_checked(store: Store, options: list[str], said: str) -> None:
    assert said in store.fails(2, "ls", "s3://bucket", *options)


def test_options_reach_the_filesystem(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr("fsspec_guarded_s3._cli.looking.open_filesystem", seen.update)
    given = ["--endpoint-url", "http://store.test", "--region", "r", "--profile", "p", "--allow-http"]
    more = [
        "--addressing-style",
        "path",
        "-o",
        "fsync=true",
        "-o",
        "read_timeout=2.5",
        "-o",
        "max_attempts=3",
    ]
    for line in (["ls", *given, *more], [*given, *more, "ls"], [*given, "ls", *more]):
        seen.clear()
        CliRunner().invoke(cli, line)
        assert seen == EXPECTED, line


def test_an_option_behind_the_command_goes_before_one_in_front_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr("fsspec_guarded_s3._cli.looking.open_filesystem", seen.update)
    CliRunner().invoke(cli, ["--region", "a", "-o", "max_attempts=3", "ls", "--region", "b"])
    assert seen == {"region": "b", "max_attempts": 3}


EXPECTED = {
    "endpoint_url": "http://store.test",
    "region": "r",
    "profile": "p",
    "allow_http": True,
    "addressing_style": "path",
    "fsync": True,
    "read_timeout": 2.5,
    "max_attempts": 3,
}


# --- the real process ---


def test_process_keeps_data_and_messages_apart(store: Store) -> None:
    store.fake.put("bucket", "a", b"data")
    process = store.start("cat", "s3://bucket/a", "s3://bucket/b", stdout=-1, stderr=-1)
    out, err = process.communicate()
    assert (process.returncode, out) == (3, b"data")
    assert err.startswith(b"guarded-s3: not found")


def test_process_whose_reader_has_gone(store: Store) -> None:
    """As other tools: silent, and the code of a broken pipe."""
    store.fake.put("bucket", "big", period_free(MIB))
    process = store.start("cat", *["s3://bucket/big"] * 3, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() == 141


def test_process_shows_progress_on_a_terminal_only(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))
    monkeypatch.setenv("TQDM_MININTERVAL", "0")  # else it shows nothing of what is done in no time
    (tmp_path / "file").write_bytes(period_free(11 * MIB))
    arguments = ["cp", str(tmp_path / "file"), "s3://bucket", *SMALL]
    process = store.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.communicate() == (b"", b"")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = store.start(*arguments, stdout=subprocess.PIPE, stderr=slave)
    os.close(slave)
    shown = b""
    while True:
        try:
            shown += os.read(master, 65536)
        except OSError:  # the other side is closed
            break
    os.close(master)
    assert process.communicate()[0] == b""
    assert process.returncode == 0
    assert b"/11.0M" in shown


STOPPING = {
    name: 128 + number
    for name, number in (("SIGINT", 2), ("SIGTERM", 15), ("SIGHUP", 1))
    if hasattr(signal, name)  # Windows has no SIGHUP
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals")
@pytest.mark.parametrize(("name", "code"), STOPPING.items())
def test_process_that_is_stopped_leaves_nothing(store: Store, name: str, code: int) -> None:
    """A stream that has no end: its upload is aborted, nothing is published."""
    arguments = ["cp", "-", "s3://bucket/key", *SMALL]
    with open("/dev/zero", "rb") as zeros:
        process = store.start(*arguments, stdin=zeros, stdout=-1, stderr=-1)
    eventually(lambda: any(upload.parts for upload in store.fake.uploads.values()))
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (code, b"")
    assert b"Traceback" not in err
    assert store.bodies() == {}
    assert store.fake.uploads == {}


INTERRUPTING = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(60)
"""
SCRIPT = "import sys; from fsspec_guarded_s3.__main__ import main; sys.exit(main())"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals")
@pytest.mark.parametrize("is_script", [True, False])
@pytest.mark.parametrize("loading", ["fsspec", "http.client", "click"])
def test_an_interrupt_while_the_command_line_is_loaded_is_no_traceback(
    tmp_path: Path, loading: str, is_script: bool
) -> None:
    """By what is loaded first, later, and by the commands; shells call both ends 130."""
    module = tmp_path / f"{loading.replace('.', '/')}.py"
    module.parent.mkdir(exist_ok=True)
    if "." in loading:
        (module.parent / "__init__.py").write_text("")
    module.write_text(INTERRUPTING)
    (tmp_path / "guarded-s3").write_text(SCRIPT)
    how = [str(tmp_path / "guarded-s3")] if is_script else ["-m", "fsspec_guarded_s3"]
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")]), os.getcwd()]
    process = subprocess.run(
        [sys.executable, *how, "ls", "s3://bucket"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        timeout=50,
    )
    assert (process.stdout, process.stderr) == ("", "")
    assert process.returncode in (130, -signal.SIGINT)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals")
def test_other_programs_and_handlers_keep_their_interrupts() -> None:
    for before, handler in (
        ("", "signal.default_int_handler"),
        ("signal.signal(signal.SIGINT, print); ", "print"),
        ("sys.argv[0] = 'guarded-s3'; signal.signal(signal.SIGINT, print); ", "print"),
        ("sys.argv[0] = 'guarded-s3'; signal.signal(signal.SIGINT, signal.SIG_IGN); ", "signal.SIG_IGN"),
    ):
        code = f"import signal, sys; {before}import fsspec_guarded_s3; "
        code += f"assert signal.getsignal(signal.SIGINT) is {handler}"
        subprocess.run([sys.executable, "-c", code], check=True)


HANDLES_CLOSED = "exec {python} -m fsspec_guarded_s3 {words} {how}"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell that closes standard streams")
@pytest.mark.parametrize(
    ("words", "how", "code", "said"),
    [
        ("cp - s3://bucket/key", "<&-", 1, "standard input is closed"),
        ("cat s3://bucket/there", ">&-", 1, "standard output is closed"),
        ("ls s3://bucket", ">&-", 1, "standard output is closed"),
        ("ls s3://bucket --json", ">&-", 1, "standard output is closed"),
        ("ls --help", ">&-", 1, "standard output is closed"),
        ("nonsense --json", ">&-", 1, "standard output is closed"),
        ("cat s3://bucket/nothing", "2>&-", 3, ""),
        ("cp {file} s3://bucket/key", "<&- >&- 2>&-", 0, ""),
    ],
)
def test_process_whose_standard_streams_are_closed(
    store: Store, tmp_path: Path, words: str, how: str, code: int, said: str
) -> None:
    """As of a daemon. Their numbers are not given to sockets."""
    store.fake.put("bucket", "there", b"1")
    (tmp_path / "file").write_bytes(b"1")
    command = HANDLES_CLOSED.format(
        python=shlex.quote(sys.executable),
        words=words.format(file=shlex.quote(str(tmp_path / "file"))),
        how=how,
    )
    process = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        env={**os.environ, "AWS_ENDPOINT_URL": store.url},
    )
    assert (process.returncode, process.stdout) == (code, "")
    assert process.stderr == (f"guarded-s3: {said}\n" if said else "")
    assert ("key" in store.bodies()) == (code == 0)


def test_process_without_click_says_what_to_install() -> None:
    program = "import sys; sys.modules['click'] = None; "
    program += "from fsspec_guarded_s3.__main__ import main; sys.exit(main())"
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert process.returncode == 1
    assert process.stderr == "guarded-s3 needs click and tqdm: pip install 'click>=8.2' 'tqdm>=4.66'\n"


def test_library_needs_no_click() -> None:
    program = "import sys, fsspec_guarded_s3; sys.exit(len({'click', 'tqdm'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


# --- patterns, and the commands that look ---


def fill(store: Store, *keys: str) -> None:
    for key in keys:
        store.fake.put("bucket", key, key.encode())


@pytest.mark.parametrize("scheme", ["s3", "s3a", "gs3", "guarded-s3"])
def test_a_pattern_stands_for_what_it_matches(store: Store, scheme: str, tmp_path: Path) -> None:
    fill(store, "a.txt", "b.txt", "c.csv", "deep/d.txt")
    shown = store.ok("ls", f"{scheme}://bucket/*.txt").split()
    assert shown == [f"{scheme}://bucket/a.txt", f"{scheme}://bucket/b.txt"]
    assert store.ok("cat", f"{scheme}://bucket/?.txt") == "a.txtb.txt"
    store.ok("cp", f"{scheme}://bucket/**/*.txt", f"{tmp_path}/")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt", "d.txt"]
    store.ok("mv", f"{scheme}://bucket/[ab].txt", f"{scheme}://bucket/moved/")
    store.ok("rm", f"{scheme}://bucket/moved/a*")
    assert sorted(store.bodies()) == ["c.csv", "deep/d.txt", "moved/b.txt"]


def test_cat_of_a_pattern_writes_the_objects_and_no_folder(store: Store) -> None:
    fill(store, "d/a", "d/e/b", "f/g/c")
    assert store.ok("cat", "s3://bucket/d/**") == "d/ad/e/b"
    assert store.ok("cat", "s3://bucket/d/*") == "d/a"
    assert store.fails(3, "cat", "s3://bucket/f/*") == (
        "guarded-s3: s3://bucket/f/* matches folders alone, and no object\n"
    )


def test_a_missing_bucket_is_said_in_words_of_the_shell(store: Store) -> None:
    assert "are created by guarded-s3 mb only" in store.fails(3, "ls", "s3://no-such-bucket")


@pytest.mark.parametrize("command", ["ls", "cat", "stat", "du", "rm"])
def test_a_pattern_that_matches_nothing_is_not_found(store: Store, command: str) -> None:
    assert "nothing matches s3://bucket/*.txt" in store.fails(3, command, "s3://bucket/*.txt")


def test_stat_shows_what_head_tells(store: Store) -> None:
    store.ok("cp", "-", "s3://bucket/a", "--content-type", "text/x", "--metadata", "made-by=me", data=b"xyz")
    (row,) = json.loads(store.ok("stat", "s3://bucket/a", "--json"))["objects"]
    assert (row["url"], row["size"], row["ContentType"]) == ("s3://bucket/a", 3, "text/x")
    assert row["metadata made-by"] == "me"
    told = store.ok("stat", "s3://bucket/a")
    assert "made-by" in told and "LastModified" in told and "mtime" not in told


def test_stat_shows_what_there_is_before_what_there_is_not(store: Store) -> None:
    store.ok("cp", "-", "s3://bucket/a", data=b"xyz")
    result = store.run("stat", "s3://bucket/a", "s3://bucket/none")
    assert result.exit_code == 3
    assert "s3://bucket/a\n" in result.stdout and "bucket/none" in result.stderr
    assert not json.loads(store.run("stat", "s3://bucket/a", "s3://bucket/none", "--json").stdout)["ok"]


def test_find_filters(store: Store) -> None:
    fill(store, "a.csv", "deep/long-name.csv", "deep/b.txt")
    assert store.ok("find", "s3://bucket", "--name", "*.csv").split() == [
        "s3://bucket/a.csv",
        "s3://bucket/deep/long-name.csv",
    ]
    assert store.ok("find", "s3://bucket", "--larger", "10").split() == ["s3://bucket/deep/long-name.csv"]
    assert store.ok("find", "s3://bucket", "--older-than", "1h") == ""


@pytest.mark.parametrize(
    ("size", "bytes_"),
    [
        ("2000", 2_000),
        ("2kB", 2_000),
        ("2KB", 2_000),
        ("2K", 2_048),
        ("2KiB", 2_048),
        ("2 KiB", 2_048),
        ("1.5MB", 1_500_000),
        ("1MiB", 2**20),
        ("10B", 10),
    ],
)
def test_a_size_may_have_a_unit(store: Store, size: str, bytes_: int) -> None:
    store.fake.put("bucket", "same", bytes(bytes_))
    store.fake.put("bucket", "larger", bytes(bytes_ + 1))
    assert store.ok("find", "s3://bucket", "--larger", size).split() == ["s3://bucket/larger"]


@pytest.mark.parametrize("size", ["", "-1", "many", "1XB", "1 0", "1iB", "1e3", "MB"])
def test_what_is_no_size_is_refused(store: Store, size: str) -> None:
    assert "is no size, like 5000, 10MB or 64MiB" in store.fails(2, "find", "s3://bucket", "--larger", size)


def test_du_adds_up_and_tree_draws(store: Store) -> None:
    store.fake.put("bucket", "d/a", bytes(2000))
    store.fake.put("bucket", "d/e/b", bytes(48))
    assert store.ok("du", "s3://bucket/d").split() == ["2048", "2", "objects", "s3://bucket/d"]
    assert "2 KiB" in store.ok("du", "-h", "s3://bucket")
    assert store.ok("tree", "s3://bucket/d") == "s3://bucket/d\n    a\n    e/\n        b\n"
    assert store.ok("tree", "-L", "1", "s3://bucket/d") == "s3://bucket/d\n    a\n    e/\n"


def test_ls_shows_sizes_with_units(store: Store) -> None:
    for key, size in (("a", 999), ("b", 1536), ("c", 5 * MIB)):
        store.fake.put("bucket", key, bytes(size))
    lines = store.ok("ls", "-l", "-h", "s3://bucket").splitlines()
    assert [line.split("  ")[0:4] and line[:14].strip() for line in lines] == ["999 B", "1.5 KiB", "5 MiB"]


def test_tags_are_shown_merged_and_replaced(store: Store) -> None:
    fill(store, "a")
    assert store.ok("tag", "s3://bucket/a", "kind=raw", "year=2026").split() == ["kind=raw", "year=2026"]
    store.ok("tag", "s3://bucket/a", "kind=clean")
    assert store.ok("tag", "s3://bucket/a").split() == ["kind=clean", "year=2026"]
    assert store.ok("tag", "s3://bucket/a", "--replace", "only=1").split() == ["only=1"]
    assert "name=value" in store.fails(2, "tag", "s3://bucket/a", "kind")


def test_a_signed_url_is_printed_without_the_secret(store: Store) -> None:
    fill(store, "a")
    url = store.ok("sign", "s3://bucket/a", "--expires", "90s").strip()
    assert url.startswith(store.url) and "X-Amz-Expires=90" in url and "X-Amz-Signature=" in url


def test_buckets_are_made_and_removed(store: Store) -> None:
    store.ok("mb", "s3://another")
    assert "another" in store.fake.buckets
    assert "another" in store.fails(4, "mb", "s3://another")
    store.ok("rb", "s3://another")
    assert "another" not in store.fake.buckets
    for command in ("mb", "rb"):
        assert "no bucket" in store.fails(2, command, "s3://bucket/key")


# --- mv, sync, attributes ---


def test_mv_moves_between_here_and_there(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    store.ok("mv", str(tmp_path / "a"), "s3://bucket/a")
    assert store.bodies() == {"a": b"1"} and not (tmp_path / "a").exists()
    store.ok("mv", "s3://bucket/a", "s3://bucket/d/b")
    assert store.bodies() == {"d/b": b"1"}
    store.ok("mv", "-R", "s3://bucket/d", str(tmp_path / "back"))
    assert store.bodies() == {} and (tmp_path / "back" / "b").read_bytes() == b"1"


def test_mv_to_here_keeps_what_a_rival_wrote_meanwhile(store: Store, tmp_path: Path) -> None:
    store.fake.put("bucket", "a", b"old")

    def rival(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "DELETE":
            fake.put("bucket", "a", b"rival's")
        return None

    store.fake.fault = rival
    result = store.run("mv", "s3://bucket/a", str(tmp_path / "a"), "-o", "probe=never")
    assert result.exit_code == 4
    assert store.bodies() == {"a": b"rival's"}
    assert (tmp_path / "a").read_bytes() == b"old"


def test_mv_of_what_cannot_be_copied_removes_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    store.fake.fault = lambda request, fake: (
        s3_error(403, "AccessDenied") if request.method == "PUT" else None
    )
    assert store.run("mv", str(tmp_path / "a"), "s3://bucket/a").exit_code == 5
    assert (tmp_path / "a").read_bytes() == b"1"


@pytest.mark.parametrize("upwards", [True, False], ids=["up", "down"])
def test_sync_copies_what_differs_and_nothing_twice(store: Store, tmp_path: Path, upwards: bool) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "same").write_bytes(b"1")
    (folder / "deep" / "b").write_bytes(b"22")
    here, there = str(folder), "s3://bucket/tree"
    store.ok("sync", here, there)
    assert store.bodies() == {"tree/same": b"1", "tree/deep/b": b"22"}
    source, target = (here, there) if upwards else (there, here)
    if upwards:
        (folder / "deep" / "b").write_bytes(b"333")
        for path in (folder / "same", folder / "deep" / "b"):
            os.utime(path, (0, 0))  # S3's times are whole seconds: in doubt a file is copied again
    else:
        os.utime(folder / "same")  # else it is older than the object that was made of it, if seconds passed
        store.fake.put("bucket", "tree/deep/b", b"333")
    plan = store.ok("sync", source, target, "--dry-run").split("\n")
    assert len(plan) == 2 and "deep/b" in plan[0]
    document = json.loads(store.ok("sync", source, target, "--json"))
    assert [row["size"] for row in document["copies"]] == [3]
    assert store.bodies()["tree/deep/b"] == (folder / "deep" / "b").read_bytes() == b"333"
    assert json.loads(store.ok("sync", source, target, "--json")) == {
        "ok": True,
        "copies": [],
        "deleted": [],
        "same": 2,
    }


def test_sync_deletes_only_when_asked_and_when_all_was_copied(store: Store, tmp_path: Path) -> None:
    fill(store, "tree/extra", "tree/a", "other")
    (tmp_path / "a").write_bytes(b"new content")
    (tmp_path / "b").write_bytes(b"1")
    refuse = {"tree/b"}
    store.fake.fault = lambda request, fake: (
        s3_error(403, "AccessDenied")
        if request.method == "PUT" and request.path.partition("/bucket/")[2] in refuse
        else None
    )
    assert store.run("sync", str(tmp_path), "s3://bucket/tree", "--delete").exit_code == 5
    assert "tree/extra" in store.bodies()
    refuse.clear()
    store.ok("sync", str(tmp_path), "s3://bucket/tree")
    assert "tree/extra" in store.bodies()
    store.ok("sync", str(tmp_path), "s3://bucket/tree", "--delete")
    assert sorted(store.bodies()) == ["other", "tree/a", "tree/b"]


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_sync_tells_no_deletion_that_a_failed_copy_keeps_from_being_made(
    store: Store, tmp_path: Path, links: None, dry_run: list[str]
) -> None:
    """Also where that is known before anything is copied."""
    fill(store, "tree/extra")
    (tmp_path / "good").write_bytes(b"1")
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling")
    command = ["sync", str(tmp_path), "s3://bucket/tree", "--delete", *dry_run]
    result = store.run(*command, "--json")
    told = json.loads(result.stdout)
    assert (told["ok"], told["deleted"], result.exit_code) == (False, [], 1)
    assert {copy["source"].rpartition("/")[2] for copy in told["copies"] if "error" in copy} == {"dangling"}
    assert "tree/extra" in store.bodies()
    assert ("tree/good" in store.bodies()) is not bool(dry_run)
    plan = store.run(*command)
    assert (plan.exit_code, "delete" in plan.stdout, "copy" in plan.stdout) == (1, False, bool(dry_run))
    assert f"copy {tmp_path}/dangling" not in plan.stdout
    assert "dangling: not a regular file" in plan.stderr
    (tmp_path / "dangling").unlink()
    told = json.loads(store.run(*command, "--json").stdout)
    assert (told["ok"], told["deleted"]) == (True, ["s3://bucket/tree/extra"])
    assert ("tree/extra" in store.bodies()) is bool(dry_run)


def test_sync_by_etag_finds_other_bytes_of_the_same_size_and_age(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    store.ok("sync", str(tmp_path), "s3://bucket/tree")
    (tmp_path / "a").write_bytes(b"xyz")
    os.utime(tmp_path / "a", (0, 0))
    for compare in ("time", "size"):
        store.ok("sync", str(tmp_path), "s3://bucket/tree", "--compare", compare)
        assert store.bodies()["tree/a"] == b"abc"
    store.ok("sync", str(tmp_path), "s3://bucket/tree", "--compare", "etag")
    assert store.bodies()["tree/a"] == b"xyz"


def test_cp_gives_attributes_and_tells_what_it_does(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    result = store.run(
        "cp", "-v", str(tmp_path / "a"), "s3://bucket/a", "--content-type", "x/y", "--metadata", "k=v"
    )
    assert (result.exit_code, result.stderr) == (0, f"{tmp_path / 'a'} -> s3://bucket/a\n")
    stored = store.fake.objects["bucket", "a"]
    assert stored.headers["content-type"] == "x/y"
    assert {key: value for key, value in stored.metadata.items() if key == "k"} == {"k": "v"}
    assert "for a target in S3" in store.fails(2, "cp", "s3://bucket/a", "b", "--content-type", "x/y")


@pytest.mark.parametrize("source", ["-", "s3://bucket/b"])
def test_only_a_local_file_can_be_resumed(store: Store, source: str) -> None:
    told = store.fails(2, "cp", source, "s3://bucket/a", "--resume", "upload-1")
    assert "--resume is about one local file" in told


def test_cp_resumes_the_upload_of_a_killed_process(store: Store, tmp_path: Path) -> None:
    data = period_free(11 * MIB)
    (tmp_path / "a").write_bytes(data)
    upload = Upload("bucket", "a", {}, composite=False)
    store.fake.uploads["left"] = upload
    part = data[: 5 * MIB]
    upload.parts[1] = Part(part, md5_etag(part))
    store.ok("cp", str(tmp_path / "a"), "s3://bucket/a", "--resume", "left", *SMALL)
    assert store.bodies() == {"a": data}


def test_findings_are_words_where_the_terminal_is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    told = CliRunner().invoke(cli, ["doctor", "s3://bucket", "--endpoint-url", "http://127.0.0.1:9"])
    assert "ok       endpoint     http://127.0.0.1:9\n" in told.output


def test_no_colour_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value, coloured in (
        ("NO_COLOR", "", True),
        ("NO_COLOR", "1", False),
        ("TERM", "xterm", True),
        ("TERM", "dumb", False),
    ):
        monkeypatch.setenv("NO_COLOR", "")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv(name, value)
        told = CliRunner().invoke(
            cli, ["doctor", "s3://bucket", "--endpoint-url", "http://127.0.0.1:9"], color=True
        )
        assert ("\x1b[" in told.output) is coloured
