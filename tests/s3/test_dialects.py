"""Stores that call things otherwise: what they ignore in S3's words works in theirs, and is tried first."""

import gzip
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    ConfigurationError,
    GuardedS3FileSystem,
    ObjectChangedError,
    OperationUnsupportedError,
    PreconditionUnsupportedError,
    WriteOutcomeUnknownError,
)
from fsspec_guarded_s3._auth.signer import Signer
from fsspec_guarded_s3._s3.headers import object_checksum
from fsspec_guarded_s3._values.dialects import GCS, R2, S3, dialect_of
from fsspec_guarded_s3.integrations.commit import Table
from fsspec_guarded_s3.options import Options
from tests.data import period_free
from tests.fake_dialects import FakeGCS, FakeR2
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close
from tests.single_faults import is_probe, short_pauses  # noqa: F401

KEY = "bucket/folder/key"
SLOT = ("bucket", "folder/key")
LARGE = period_free(12 * MIB)


class Opened:
    """A fake store of a kind, its server, and a filesystem that tries what it needs."""

    def __init__(self, fake: Any, server: ScriptedServer, dialect: str) -> None:
        self.fake, self.server = fake, server
        self.fs = self.filesystem(dialect=dialect)

    def filesystem(self, **options: Any) -> GuardedS3FileSystem:
        chosen = {"probe": "auto", "part_size": 5 * MIB, "region": None, **options}
        return filesystem(self.server.url, **chosen)

    def requests(self) -> list[Request]:
        """Those that no probe made."""
        return [request for request in self.server.requests if not is_probe(request)]


@pytest.fixture
def gcs() -> Iterator[Opened]:
    fake = FakeGCS("bucket")
    with ScriptedServer(handler=fake) as server:
        yield Opened(fake, server, "gcs")
    assert [key for _, key in fake.objects if ".gs3-probe-" in key] == []


@pytest.fixture
def r2() -> Iterator[Opened]:
    fake = FakeR2("bucket")
    with ScriptedServer(handler=fake) as server:
        yield Opened(fake, server, "r2")
    assert [key for _, key in fake.objects if ".gs3-probe-" in key] == []


# --- which dialect ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "host", "found"),
    [
        ("auto", "storage.googleapis.com", GCS),
        ("auto", "bucket.storage.googleapis.com", GCS),
        ("auto", "storage.europe-west3.rep.googleapis.com", GCS),
        ("auto", "0123456789abcdef.r2.cloudflarestorage.com", R2),
        ("auto", "0123456789abcdef.eu.r2.cloudflarestorage.com", R2),
        ("auto", "evilstorage.googleapis.com.example", S3),
        ("auto", "notr2.cloudflarestorage.com", S3),
        ("auto", "s3.eu-west-1.amazonaws.com", S3),
        ("s3", "storage.googleapis.com", S3),
        ("gcs", "localhost", GCS),
        ("r2", "localhost", R2),
    ],
)
def test_a_dialect_is_that_of_the_option_or_else_of_the_host(wanted: str, host: str, found: Any) -> None:
    assert dialect_of(wanted, host) is found


@pytest.mark.parametrize(("region", "signed"), [(None, "auto"), ("weur", "weur")])
def test_the_region_of_a_dialect_comes_before_that_of_the_machine(
    region: str | None, signed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    url = "https://0123.r2.cloudflarestorage.com"
    endpoint = Signer(Options(key="k", secret="s", endpoint_url=url, region=region)).endpoint("bucket")
    assert (endpoint.region, endpoint.dialect) == (signed, R2)


def test_a_dialect_needs_an_endpoint() -> None:
    with pytest.raises(ConfigurationError, match="dialect='gcs' needs endpoint_url"):
        Signer(Options(key="k", secret="s", dialect="gcs")).endpoint("bucket")


def test_google_behind_another_name_is_known_by_its_answers() -> None:
    fake = FakeGCS("bucket")
    with ScriptedServer(handler=fake) as server:
        opened = Opened(fake, server, "auto")
        assert opened.fs.put_if_absent(KEY, b"one")
        assert not opened.fs.put_if_absent(KEY, b"two")
        opened.fs.update(KEY, lambda old: old + b"!")
    assert fake.objects[SLOT].body == b"one!"


def test_what_was_found_out_in_one_dialect_does_not_count_in_another(gcs: Opened) -> None:
    """In S3's words the same store ignores the condition."""
    gcs.fs.put_if_absent(KEY, b"one")
    with pytest.raises(PreconditionUnsupportedError):
        gcs.filesystem(dialect="s3").put_if_absent("bucket/folder/other", b"two")
    assert ("bucket", "folder/other") not in gcs.fake.objects


@pytest.mark.parametrize("dialect", ["gcs", "r2"])
def test_a_bucket_is_made_where_the_store_likes(dialect: str) -> None:
    """ "auto" is what requests are signed for, and no place."""
    fake = FakeGCS() if dialect == "gcs" else FakeR2()
    with ScriptedServer(handler=fake) as server:
        Opened(fake, server, dialect).fs.mkdir("made")
        (made,) = [request for request in server.requests if request.method == "PUT"]
    assert (made.body, list(fake.buckets)) == (b"", ["made"])


# --- Google Cloud Storage --------------------------------------------------------------------------


def test_google_has_the_guards_of_single_requests(gcs: Opened) -> None:
    missing = ("create_on_complete", "swap_on_complete", "delete_many", "copy_source_parts")
    assert gcs.fs.probe("bucket/folder").missing() == missing
    assert gcs.filesystem(dialect="s3").probe("bucket/folder").missing() == (
        *("create", "swap", "create_on_complete", "swap_on_complete", "delete", "delete_many"),
        *("copy_source_parts", "copy_create", "copy_swap"),
    )


def test_a_store_that_ignores_generations_is_found_out() -> None:
    class Ignoring(FakeGCS):
        def _check_generation(self, headers: Any, bucket: str, key: str) -> None:
            """Nothing holds it back."""

    fake = Ignoring("bucket")
    fake.put(*SLOT, b"theirs")
    with ScriptedServer(handler=fake) as server:
        fs = Opened(fake, server, "gcs").fs
        etag = fs.info(KEY)["ETag"]
        for write in (
            lambda: fs.put_if_absent(KEY, b"mine"),
            lambda: fs.pipe_file(KEY, b"mine", if_match=etag),
            lambda: fs.rm_file(KEY, if_match=etag),
        ):
            with pytest.raises(PreconditionUnsupportedError):
                write()
    assert fake.objects[SLOT].body == b"theirs"


def test_create_swap_update_and_delete_work_on_generations(gcs: Opened) -> None:
    fs = gcs.fs
    with fs.open(KEY, "xb") as file:
        file.write(b"one")
    with pytest.raises(FileExistsError):
        fs.pipe_file(KEY, b"two", mode="create")
    first = fs.info(KEY)["ETag"]
    fs.pipe_file(KEY, b"two", if_match=first)
    with pytest.raises(ObjectChangedError):
        fs.pipe_file(KEY, b"three", if_match=first)
    with pytest.raises(ObjectChangedError):
        fs.rm_file(KEY, if_match=first)
    with fs.open(KEY, "ab") as file:
        file.write(b"!")
    assert fs.cat_file(KEY) == b"two!"
    fs.rm_file(KEY, if_match=fs.info(KEY)["ETag"])
    assert not fs.exists(KEY)
    with pytest.raises(FileNotFoundError):
        fs.pipe_file(KEY, b"four", if_match=first)


def rival_before(fake: Any, is_meant: Callable[[Request], bool], body: bytes = b"rival") -> None:
    """Another writer replaces the object right before the first request that is meant."""
    once = threading.Lock()

    def fault(request: Request, _fake: Any) -> Answer | None:
        if is_meant(request) and not is_probe(request) and once.acquire(blocking=False):
            fake.put(*SLOT, body)
        return None

    fake.fault = fault


@pytest.mark.parametrize("rival", [b"rival", b"one"], ids=["other bytes", "the same bytes again"])
def test_a_writer_between_look_and_write_is_not_overwritten(gcs: Opened, rival: bytes) -> None:
    fs = gcs.fs
    fs.pipe_file(KEY, b"one")
    etag = fs.info(KEY)["ETag"]
    rival_before(gcs.fake, lambda request: "x-goog-if-generation-match" in request.headers, rival)
    with pytest.raises(ObjectChangedError):
        fs.pipe_file(KEY, b"two", if_match=etag)
    assert gcs.fake.objects[SLOT].body == rival


def test_an_object_that_is_gone_meanwhile_is_not_found(gcs: Opened) -> None:
    """Google says 412 where S3 says 404."""
    fs = gcs.fs
    once = threading.Lock()

    def fault(request: Request, fake: Any) -> Answer | None:
        meant = "x-goog-if-generation-match" in request.headers and not is_probe(request)
        if meant and once.acquire(blocking=False):
            fake.objects.pop(SLOT)
        return None

    for write in (
        lambda etag: fs.pipe_file(KEY, b"two", if_match=etag),
        lambda etag: fs.rm_file(KEY, if_match=etag),
        lambda etag: fs.cp_file("bucket/source", KEY, if_match=etag),
    ):
        fs.pipe("bucket/source", b"source")
        fs.pipe_file(KEY, b"one")
        etag, gcs.fake.fault, once = fs.info(KEY)["ETag"], fault, threading.Lock()
        with pytest.raises(FileNotFoundError):
            write(etag)
        gcs.fake.fault = None
        assert SLOT not in gcs.fake.objects


def test_update_starts_again_behind_a_rival(gcs: Opened) -> None:
    gcs.fs.pipe_file(KEY, b"one")
    rival_before(gcs.fake, lambda request: "x-goog-if-generation-match" in request.headers)
    gcs.fs.update(KEY, lambda old: old + b"+")
    assert gcs.fake.objects[SLOT].body == b"rival+"


def test_a_move_leaves_what_somebody_wrote_meanwhile(gcs: Opened) -> None:
    fs = gcs.fs
    fs.pipe_file(KEY, b"one")
    rival_before(gcs.fake, lambda request: request.method == "DELETE")
    with pytest.raises(ObjectChangedError):
        fs.mv(KEY, "bucket/moved")
    assert (fs.cat_file("bucket/moved"), fs.cat_file(KEY)) == (b"one", b"rival")
    fs.mv(KEY, "bucket/again")
    assert not fs.exists(KEY)


def test_copies_have_conditions_on_both_ends_and_keep_metadata(gcs: Opened) -> None:
    fs = gcs.fs
    fs.pipe_file(KEY, b"one", Metadata={"who": "me"}, ContentType="text/x-one")
    fs.cp_file(KEY, "bucket/copy", mode="create")
    with pytest.raises(FileExistsError):
        fs.cp_file(KEY, "bucket/copy", mode="create")
    fs.pipe_file(KEY, b"two")
    fs.cp_file(KEY, "bucket/copy", if_match=fs.info("bucket/copy")["ETag"])
    fs.setxattr(KEY, who="you")
    assert (fs.cat_file("bucket/copy"), fs.metadata(KEY)) == (b"two", {"who": "you"})
    copies = [request for request in gcs.requests() if "x-goog-copy-source" in request.headers]
    assert len(copies) >= 3
    assert all("x-goog-copy-source-if-match" in request.headers for request in copies)
    rival_before(gcs.fake, lambda request: "x-goog-copy-source" in request.headers)
    with pytest.raises(ObjectChangedError):
        fs.cp_file(KEY, "bucket/other", mode="create")
    assert not fs.exists("bucket/other")


def test_metadata_of_a_conditional_write_is_read_again(gcs: Opened) -> None:
    gcs.fs.pipe_file(KEY, b"one", mode="create", Metadata={"who": "me"}, StorageClass="NEARLINE")
    (written,) = [request for request in gcs.requests() if request.method == "PUT"]
    assert written.headers["x-goog-storage-class"] == "NEARLINE"
    assert "content-md5" in written.headers
    assert gcs.fs.metadata(KEY) == {"who": "me"}


def test_a_lost_answer_is_settled_by_the_token(gcs: Opened) -> None:
    lost = threading.Lock()

    def after(request: Request, reply: Reply) -> Answer | None:
        conditional = "x-goog-if-generation-match" in request.headers and not is_probe(request)
        return close() if conditional and lost.acquire(blocking=False) else None

    gcs.fake.after = after
    assert gcs.fs.put_if_absent(KEY, b"mine")
    assert gcs.fake.objects[SLOT].body == b"mine"


def test_a_lost_answer_to_a_delete_is_told(gcs: Opened) -> None:
    gcs.fs.pipe_file(KEY, b"one")
    etag = gcs.fs.info(KEY)["ETag"]
    lost = threading.Lock()

    def after(request: Request, reply: Reply) -> Answer | None:
        meant = request.method == "DELETE" and not is_probe(request)
        return close() if meant and lost.acquire(blocking=False) else None

    gcs.fake.after = after
    with pytest.raises(WriteOutcomeUnknownError):
        gcs.fs.rm_file(KEY, if_match=etag)


def test_a_condition_on_an_upload_in_parts_is_refused_with_the_reason(gcs: Opened) -> None:
    fs = gcs.filesystem(dialect="gcs", multipart_threshold=5 * MIB)
    with pytest.raises(PreconditionUnsupportedError, match="raise multipart_threshold"):
        fs.pipe_file(KEY, LARGE, mode="create")
    with (
        pytest.raises(PreconditionUnsupportedError, match="raise multipart_threshold"),
        fs.open(KEY, "xb") as file,
    ):
        file.write(LARGE)
    assert (gcs.fake.objects, gcs.fake.uploads) == ({}, {})
    fs.pipe_file(KEY, LARGE)
    gcs.fs.pipe_file("bucket/whole", LARGE, mode="create")
    assert fs.cat_file(KEY) == fs.cat_file("bucket/whole") == LARGE


def test_an_append_is_one_request_up_to_the_threshold(gcs: Opened) -> None:
    """Where the condition is on single requests alone, the old bytes are read and sent."""
    gcs.fs.pipe_file(KEY, LARGE)
    with gcs.fs.open(KEY, "ab") as file:
        file.write(b"more")
    assert gcs.fake.objects[SLOT].body == LARGE + b"more"
    with pytest.raises(ObjectChangedError), gcs.fs.open(KEY, "ab") as file:
        file.write(b"lost")
        gcs.fake.put(*SLOT, b"rival")
    assert gcs.fake.objects[SLOT].body == b"rival"
    gcs.fs.pipe_file(KEY, LARGE)
    fs = gcs.filesystem(dialect="gcs", multipart_threshold=5 * MIB)
    with (
        pytest.raises(PreconditionUnsupportedError, match="raise multipart_threshold"),
        fs.open(KEY, "ab") as file,
    ):
        file.write(b"lost")
    assert (gcs.fake.objects[SLOT].body, gcs.fake.uploads) == (LARGE, {})


@pytest.mark.parametrize("mode", ["r+b", "a+b"])
def test_a_file_that_could_not_be_published_is_not_opened(gcs: Opened, mode: str) -> None:
    """What somebody writes for an hour is not refused at its end."""
    gcs.fs.pipe_file(KEY, LARGE)
    with pytest.raises(PreconditionUnsupportedError, match="raise multipart_threshold"):
        gcs.filesystem(dialect="gcs", multipart_threshold=5 * MIB).open(KEY, mode)
    with gcs.fs.open(KEY, mode) as file:
        file.write(b"more")
    assert b"more" in gcs.fake.objects[SLOT].body


@pytest.mark.parametrize("threshold", [5 * MIB, 500 * MIB], ids=["in parts", "whole"])
def test_a_table_takes_objects_of_every_size(gcs: Opened, threshold: int, tmp_path: Path) -> None:
    """Objects of a table have names that nobody else has: parts need no condition."""
    (tmp_path / "file").write_bytes(LARGE)
    table = Table.create(gcs.filesystem(dialect="gcs", multipart_threshold=threshold), "bucket/table")
    with table.transaction() as t:
        t.pipe_file("piped", LARGE)
        t.pipe_file("small", b"1")
        t.put_file(tmp_path / "file", "put")
        with t.open("written", "wb") as file:
            file.write(LARGE)
        with t.open("sought", "w+b") as file:
            file.write(LARGE)
    snapshot = table.snapshot()
    assert {name: snapshot.cat_file(name) for name in snapshot} == {
        **dict.fromkeys(("piped", "put", "written", "sought"), LARGE),
        "small": b"1",
    }
    (small,) = [request for request in gcs.requests() if request.path.endswith("/small") and request.body]
    assert small.headers["x-goog-if-generation-match"] == "0"


def test_bodies_are_compared_by_md5(gcs: Opened) -> None:
    gcs.filesystem(dialect="gcs", multipart_threshold=5 * MIB).pipe_file(KEY, LARGE)
    gcs.fs.pipe_file(KEY, b"one")
    sent = [request for request in gcs.requests() if request.body and request.method == "PUT"]
    assert len(sent) == 4
    assert all("content-md5" in request.headers for request in sent)
    assert not any(name.startswith("x-amz-checksum") for request in sent for name in request.headers)


def test_what_google_has_no_word_for_is_refused(gcs: Opened) -> None:
    with pytest.raises(OperationUnsupportedError, match="no x-amz-tagging with a condition"):
        gcs.fs.pipe_file(KEY, b"one", mode="create", Tagging="a=b")
    with pytest.raises(OperationUnsupportedError, match="nothing was signed"):
        gcs.fs.sign(KEY, client_method="put_object", IfNoneMatch="*")
    assert gcs.fake.objects == {}


def test_listings_and_deletes_of_many(gcs: Opened) -> None:
    keys = [f"bucket/tree/{n:04}" for n in range(30)]
    gcs.fs.pipe(dict.fromkeys(keys, b"1"))
    assert gcs.fs.find("bucket/tree") == keys
    assert len(gcs.fs.ls("bucket/tree")) == 30
    gcs.fs.mv("bucket/tree", "bucket/moved", recursive=True)
    gcs.fs.rm("bucket/moved", recursive=True)
    assert gcs.fs.find("bucket") == []


def test_a_delete_whose_answer_was_lost_finds_nothing_the_next_time(gcs: Opened) -> None:
    """S3 answers 204 to a delete of what is not there, Google 404."""
    gcs.fs.pipe_file(KEY, b"one")
    lost = threading.Lock()

    def after(request: Request, reply: Reply) -> Answer | None:
        return close() if request.method == "DELETE" and lost.acquire(blocking=False) else None

    gcs.fake.after = after
    gcs.fs.rm_file(KEY)
    assert gcs.fake.objects == {}


def test_an_anonymous_reader_sees_metadata_by_googles_names() -> None:
    fake = FakeGCS("bucket", anonymous=True)
    fake.put(*SLOT, b"one", who="me")
    with ScriptedServer(handler=fake) as server:
        fs = GuardedS3FileSystem(endpoint_url=server.url, anon=True, skip_instance_cache=True)
        assert fs.metadata(KEY) == {"who": "me"}


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"x-goog-hash": "crc32c=n03x6A==,md5=Ojk9c3dhfxgoKVVHYwFbHQ=="}, ("crc32c", "n03x6A==")),
        ({"x-goog-hash": "md5=Ojk9c3dhfxgoKVVHYwFbHQ==, crc32c=n03x6A=="}, ("crc32c", "n03x6A==")),
        ({"x-goog-hash": "md5=Ojk9c3dhfxgoKVVHYwFbHQ=="}, None),
        ({"x-goog-hash": "crc32c=n03x6A==", "x-goog-stored-content-encoding": "gzip"}, None),
        ({}, None),
    ],
)
def test_googles_checksum_of_the_whole_object(told: dict[str, str], found: Any) -> None:
    assert object_checksum({"x-goog-generation": "17", **told}) == found


def test_reads_cost_what_they_cost_elsewhere(gcs: Opened) -> None:
    gcs.fake.put(*SLOT, b"one")
    before = len(gcs.server.requests)
    assert gcs.fs.cat_file(KEY) == b"one"
    with gcs.fs.open(KEY, "rb") as file:
        assert file.read() == b"one"
    assert len(gcs.server.requests) - before == 2


# --- Cloudflare R2 ---------------------------------------------------------------------------------


def test_r2_has_conditions_on_the_targets_of_copies(r2: Opened) -> None:
    assert r2.fs.probe("bucket/folder").missing() == ("delete", "delete_many")
    in_s3 = r2.filesystem(dialect="s3", region="auto")
    missing = ("delete", "delete_many", "copy_create", "copy_swap")
    assert in_s3.probe("bucket/folder").missing() == missing


def test_a_copy_on_r2_overwrites_nothing(r2: Opened) -> None:
    fs = r2.fs
    fs.pipe_file(KEY, b"one")
    fs.cp_file(KEY, "bucket/copy", mode="create")
    with pytest.raises(FileExistsError):
        fs.cp_file(KEY, "bucket/copy", mode="create")
    etag = fs.info("bucket/copy")["ETag"]
    fs.pipe_file(KEY, b"two")
    fs.cp_file(KEY, "bucket/copy", if_match=etag)
    with pytest.raises(ObjectChangedError):
        fs.cp_file(KEY, "bucket/copy", if_match=etag)
    assert fs.cat_file("bucket/copy") == b"two"
    assert not any(
        request.method == "GET" and request.path == "/bucket/folder/key" for request in r2.requests()
    )


def test_an_upload_to_r2_does_not_ask_for_what_it_does_not_have(r2: Opened) -> None:
    fs = r2.filesystem(dialect="r2", multipart_threshold=5 * MIB)
    fs.pipe_file(KEY, LARGE, mode="create")
    begun = [request for request in r2.requests() if "uploads" in request.query]
    assert len(begun) == 1
    assert not any(name.startswith("x-amz-checksum") for name in begun[0].headers)


@pytest.mark.parametrize("old", [3 * MIB, 5 * MIB, 7 * MIB, 12 * MIB + 1, 15 * MIB])
@pytest.mark.parametrize("copied", [True, False], ids=["copied by the store", "sent"])
@pytest.mark.parametrize("kind", ["r2", "option"])
def test_what_is_appended_to_has_parts_of_one_size(old: int, copied: bool, kind: str) -> None:
    fake = FakeR2("bucket")
    fake.ignored |= set() if copied else {"copy_source_parts"}
    before, more = period_free(old), period_free(8 * MIB)[::-1]
    fake.put(*SLOT, before)
    options = (
        {"dialect": "r2"} if kind == "r2" else {"dialect": "s3", "region": "auto", "fixed_upload_size": True}
    )
    with ScriptedServer(handler=fake) as server:
        fs = Opened(fake, server, "r2").filesystem(multipart_threshold=5 * MIB, **options)
        with fs.open(KEY, "ab") as file:
            file.write(more)
    assert fake.objects[SLOT].body == before + more


def test_other_stores_are_talked_to_as_before() -> None:
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).cp_file(*_two_keys(filesystem(server.url)), mode="create")
        names = {name for request in server.requests for name in request.headers}
    assert not any(name.startswith(("x-goog-", "cf-")) for name in names)


def _two_keys(fs: GuardedS3FileSystem) -> tuple[str, str]:
    fs.pipe_file(KEY, b"one")
    return KEY, "bucket/copy"


class Decompressing(FakeGCS):
    """Google Cloud Storage, to a client that accepts no gzip: what is stored so comes decompressed."""

    def _told(self, request: Request, reply: Reply, bucket: str, key: str, own: bool) -> Reply:
        told = super()._told(request, reply, bucket, key, own)
        stored = self.objects.get((bucket, key))
        if stored is None or stored.headers.get("content-encoding") != "gzip":
            return told
        fields = {name: text for name, text in told.headers.items() if name.lower() != "content-encoding"}
        fields["x-goog-stored-content-encoding"] = "gzip"
        return replace(told, status=200, headers=fields, body=gzip.decompress(stored.body))


READS: dict[str, Callable[[GuardedS3FileSystem], Any]] = {
    "cat_file": lambda fs: fs.cat_file(KEY),
    "slice": lambda fs: fs.cat_file(KEY, 0, 4),
    "open": lambda fs: fs.open(KEY).read(),
    "update": lambda fs: fs.update(KEY, lambda old: old),
}


@pytest.mark.parametrize("name", READS)
def test_what_google_decompresses_is_not_read(name: str) -> None:
    fake = Decompressing("bucket")
    packed = gzip.compress(b"text" * 1000)
    with ScriptedServer(handler=fake) as server:
        fs = Opened(fake, server, "gcs").fs
        fs.pipe_file(KEY, packed, ContentEncoding="gzip")
        with pytest.raises(PreconditionUnsupportedError, match="decompress"):
            READS[name](fs)
        assert fs.info(KEY)["size"] == len(packed)
        assert fake.objects[SLOT].body == packed
