"""The command line where other programs have taught people something else; sync where others write too."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("click")

from fsspec_guarded_s3._cli.commands import cli
from fsspec_guarded_s3._cli.failures import in_words_of_the_shell
from fsspec_guarded_s3._cli.guesses import COMMANDS_OF_OTHERS, OPTIONS_OF_OTHERS
from tests.cli.test_cli import Store
from tests.fake_s3 import FakeS3
from tests.folding_folder import FoldingFolder
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, respond


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")


@pytest.fixture
def store() -> Iterator[Store]:
    fake = FakeS3("bucket", "other")
    with ScriptedServer(handler=fake) as server:
        yield Store(fake, server.url)


# --- what people guess ---


def _usage(store: Store, *arguments: str) -> str:
    return store.fails(2, *arguments)


@pytest.mark.parametrize(("guess", "ours"), [*COMMANDS_OF_OTHERS.items(), ("syn", "sync"), ("fnd", "find")])
def test_a_command_of_others_is_answered_with_ours(guess: str, ours: str, store: Store) -> None:
    assert f"did you mean {ours}?" in _usage(store, guess)
    assert ours.partition(" ")[0] in cli.commands
    assert guess not in cli.commands


@pytest.mark.parametrize(("guess", "words"), OPTIONS_OF_OTHERS.items())
def test_an_option_of_others_is_answered_with_ours(guess: str, words: str, store: Store) -> None:
    assert words in " ".join(_usage(store, "tree", "s3://bucket", f"--{guess}").split())
    flags = {flag for command in cli.commands.values() for item in command.params for flag in item.opts}
    for word in words.replace(",", " ").replace(":", " ").split():
        if word.startswith("-"):
            assert word in flags


@pytest.mark.parametrize(
    ("misspelt", "ours"),
    [("--recursiv", "--recursive"), ("--endpoint-ur", "--endpoint-url"), ("--if-abset", "--if-absent")],
)
def test_a_misspelt_option_is_answered_with_the_nearest(misspelt: str, ours: str, store: Store) -> None:
    assert ours in _usage(store, "cp", "a", "s3://bucket/a", misspelt)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("use https:// in endpoint_url", "use https:// in --endpoint-url"),
        ("pass anon=True for a public bucket", "pass --anon for a public bucket"),
        ("or pass allow_http=True", "or pass --allow-http"),
        ("the bucket is in another region: set region", "the bucket is in another region: set --region"),
        ("a region of its own", "a region of its own"),
    ],
)
def test_messages_speak_the_words_of_the_shell(said: str, shown: str) -> None:
    assert in_words_of_the_shell(said) == shown


def test_a_terminal_of_another_encoding_gets_escapes(store: Store) -> None:
    store.fake.put("bucket", "été/☃", b"1")
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    run = subprocess.run(
        [sys.executable, "-m", "fsspec_guarded_s3", "ls", "-r", "s3://bucket", "--endpoint-url", store.url],
        capture_output=True,
        env=environment,
        timeout=300,
    )
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout.splitlines() == [b"s3://bucket/\xe9t\xe9/\\u2603"]


# --- sync beside others ---


def _tree(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return str(folder)


def test_sync_lists_each_side_once(store: Store, tmp_path: Path) -> None:
    store.fake.put("bucket", "a/1", b"1")
    store.fake.put("bucket", "a/2", b"2")
    listed: list[str] = []

    def see(request: Request, fake: FakeS3) -> Answer | None:
        if "list-type" in request.query:
            listed.append(request.query.get("prefix", ""))
        return None

    store.fake.fault = see
    store.ok("sync", "s3://bucket/a", "s3://other/b")
    assert sorted(listed) == ["a/", "b/"]
    assert store.fake.objects["other", "b/1"].body == b"1"


def test_sync_of_a_bucket_puts_nothing_under_its_name(store: Store) -> None:
    store.fake.put("bucket", "a/1", b"1")
    store.ok("sync", "s3://bucket", "s3://other")
    assert ("other", "a/1") in store.fake.objects


def test_sync_deletes_nothing_behind_a_link_to_another_folder(store: Store, tmp_path: Path) -> None:
    store.fake.put("bucket", "x/one", b"1")
    elsewhere, here = Path(_tree(tmp_path / "elsewhere", precious="1")), tmp_path / "here"
    (here / "sub").mkdir(parents=True)
    (here / "sub" / "old").write_text("1")
    (here / "link").symlink_to(elsewhere, target_is_directory=True)
    (tmp_path / "also").symlink_to(here, target_is_directory=True)
    for target in (here, tmp_path / "also"):
        store.ok("sync", "s3://bucket/x", str(target), "--delete")
        assert (elsewhere / "precious").exists()
        assert [name for _, _, names in os.walk(here) for name in names] == ["one"]
        (here / "sub" / "old").write_text("1")


def test_sync_leaves_a_prefix_that_begins_alike(store: Store, tmp_path: Path) -> None:
    store.fake.put("bucket", "ab/keep", b"1")
    store.fake.put("bucket", "a/gone", b"1")
    source = _tree(tmp_path / "here", new="1")
    store.ok("sync", source, "s3://bucket/a", "--delete")
    assert store.bodies() == {"ab/keep": b"1", "a/new": b"1"}


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_slash_behind_a_place_of_sync_means_nothing(slash: str, store: Store, tmp_path: Path) -> None:
    source = _tree(tmp_path / "here", one="1")
    store.ok("sync", source + slash, f"s3://bucket/x{slash}")
    assert store.bodies() == {"x/one": b"1"}


def test_sync_does_not_take_a_folder_without_a_name_for_the_one_above(store: Store, tmp_path: Path) -> None:
    store.fake.put("bucket", "x/keep", b"1")
    source = _tree(tmp_path / "here", one="1")
    assert "no name" in store.fails(2, "sync", source, "s3://bucket/x//", "--delete")
    assert store.bodies() == {"x/keep": b"1"}


@pytest.mark.parametrize("missing", [b"LastModified", b"ETag"])
def test_a_store_that_tells_less_in_listings_is_copied_from_and_to(
    store: Store, tmp_path: Path, missing: bytes
) -> None:
    def without(request: Request) -> Answer:
        answer = store.fake(request)
        if isinstance(answer, Reply) and b"<ListBucketResult" in answer.body:
            field = re.compile(b"<%s>.*?</%s>" % (missing, missing))
            return respond(200, field.sub(b"", answer.body))
        return answer

    store.fake.put("bucket", "t/a", b"1")
    here = str(tmp_path / "here")
    with ScriptedServer(handler=without) as server:
        told_less = Store(store.fake, server.url)
        told_less.ok("cp", "-r", "s3://bucket/t", here)
        Path(here, "a").write_text("22")
        Path(here, "b").write_text("3")
        store.fake.put("bucket", "t/extra", b"1")
        told_less.ok("sync", here, "s3://bucket/t", "--delete")
    assert store.bodies() == {"t/a": b"22", "t/b": b"3"}


def test_sync_knows_names_that_differ_in_case(store: Store, tmp_path: Path) -> None:
    store.fake.put("bucket", "x/Name", b"old")
    store.ok("sync", _tree(tmp_path / "here", name="new"), "s3://bucket/x")
    assert store.bodies() == {"x/Name": b"old", "x/name": b"new"}


@pytest.mark.parametrize(
    ("key", "name"),
    [("README", "readme"), ("Dir/x", "dir/x"), ("caf\u00e9", "cafe\u0301")],
    ids=["case", "a folder", "an accent"],
)
@pytest.mark.parametrize("text", ["same!", "other"])
def test_sync_keeps_a_file_that_has_another_name_here(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, name: str, text: str
) -> None:
    """A folder of macOS or Windows: what was downloaded is not deleted as what only the folder has."""
    store.fake.put("bucket", f"x/{key}", b"same!")
    here = tmp_path / "here"
    os.utime(Path(_tree(here, **{name: text, "extra": "1"}), name), (1, 1))
    FoldingFolder(here, monkeypatch)
    for copied in (1, 0):
        document = json.loads(store.ok("sync", "s3://bucket/x", str(here), "--delete", "--json"))
        assert (len(document["copies"]), document["same"]) == (copied, 1 - copied)
        assert document["deleted"] == ([str(here / "extra")] if copied else [])
        assert [path.read_text() for path in here.rglob("*") if path.is_file()] == ["same!"]


def test_sync_of_an_empty_folder_copies_nothing_and_deletes_the_rest(store: Store, tmp_path: Path) -> None:
    store.fake.put("bucket", "x/old", b"1")
    (tmp_path / "here" / "empty").mkdir(parents=True)
    store.ok("sync", str(tmp_path / "here"), "s3://bucket/x")
    assert store.bodies() == {"x/old": b"1"}
    store.ok("sync", str(tmp_path / "here"), "s3://bucket/x", "--delete")
    assert store.bodies() == {}


@pytest.mark.parametrize("before", [b"old", None], ids=["there", "absent"])
def test_sync_does_not_replace_what_was_written_meanwhile(
    before: bytes | None, store: Store, tmp_path: Path
) -> None:
    if before is not None:
        store.fake.put("bucket", "x/a", before)
    source = _tree(tmp_path / "here", a="longer than before", b="b")

    def write(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "PUT" and request.path == "/bucket/x/a":
            fake.fault = None
            fake.put("bucket", "x/a", b"of somebody else")
        return None

    store.fake.fault = write
    result = store.run("sync", source, "s3://bucket/x", "--delete", "-o", "probe=never")
    assert result.exit_code == 4
    assert "s3://bucket/x/a" in result.stderr
    assert store.bodies() == {"x/a": b"of somebody else", "x/b": b"b"}


def test_sync_does_not_delete_what_was_written_meanwhile(store: Store, tmp_path: Path) -> None:
    for name in ("a", "b"):
        store.fake.put("bucket", f"x/{name}", b"old")
    (tmp_path / "here").mkdir()

    def write(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "DELETE" and request.path == "/bucket/x/a":
            fake.fault = None
            fake.put("bucket", "x/a", b"new")
        return None

    store.fake.fault = write
    result = store.run("sync", str(tmp_path / "here"), "s3://bucket/x", "--delete", "-o", "probe=never")
    assert result.exit_code == 4
    assert store.bodies() == {"x/a": b"new"}


def test_sync_goes_on_where_a_source_is_gone_meanwhile(store: Store, tmp_path: Path) -> None:
    for name in ("a", "b"):
        store.fake.put("bucket", f"x/{name}", b"1")

    def remove(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "GET" and request.path == "/bucket/x/a":
            fake.objects.pop(("bucket", "x/a"), None)
        return None

    store.fake.fault = remove
    result = store.run("sync", "s3://bucket/x", str(tmp_path / "here"))
    assert result.exit_code == 3
    assert "1 of 2 files were not copied" in result.stderr
    assert os.listdir(tmp_path / "here") == ["b"]


def test_sync_that_was_interrupted_copies_the_rest(store: Store, tmp_path: Path) -> None:
    source = _tree(tmp_path / "here", a="1", b="2", c="3")
    old = time.time() - 1000
    for name in "abc":
        os.utime(os.path.join(source, name), (old, old))
    store.ok("cp", f"{source}/a", "s3://bucket/x/a")
    puts: list[str] = []

    def see(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "PUT":
            puts.append(request.path)
        return None

    store.fake.fault = see
    store.ok("sync", source, "s3://bucket/x", "-o", "probe=never")
    assert sorted(puts) == ["/bucket/x/b", "/bucket/x/c"]
    store.ok("sync", source, "s3://bucket/x", "-o", "probe=never")
    assert len(puts) == 2
