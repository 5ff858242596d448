"""Trees are copied and moved by what the listing told, and lose nothing that a look would have kept."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from fsspec_guarded_s3 import GuardedS3Error, GuardedS3FileSystem
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.requests_table import kind_of
from tests.scripted_server import Request, ScriptedServer, s3_error

SSE = "x-amz-server-side-encryption"
KMS = {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": "arn:aws:kms:us-east-1:1:key/one"}
OPAQUE = '"0123456789abcdef0123456789abcdef"'  # no MD5, as where a KMS encrypts
NAMES = [f"tree/{number}" for number in range(8)]

VERBS: dict[str, Callable[[GuardedS3FileSystem], object]] = {
    "copy": lambda fs: fs.copy("bucket/tree", "bucket/new", recursive=True),
    "copy a pattern": lambda fs: fs.copy("bucket/tree/*", "bucket/new/"),
    "mv": lambda fs: fs.mv("bucket/tree", "bucket/new", recursive=True),
}
verbs = pytest.mark.parametrize("call", VERBS.values(), ids=VERBS)


def filled() -> FakeS3:
    """A folder of objects with metadata and tags; the last is the newest."""
    fake = FakeS3("bucket")
    for number, name in enumerate(NAMES):
        stored = fake.put("bucket", name, name.encode() * 9, owner="me")
        when = datetime(2026, 1, 1 + number, tzinfo=timezone.utc)
        fake.objects["bucket", name] = replace(stored, tags={"team": "x"}, modified=when)
    return fake


def change(fake: FakeS3, name: str, etag: str = "", **headers: str) -> None:
    stored = fake.objects["bucket", name]
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    fake.objects["bucket", name] = replace(
        stored, headers={**stored.headers, **named}, etag=etag or stored.etag
    )


@contextmanager
def served(fake: FakeS3) -> Iterator[tuple[ScriptedServer, GuardedS3FileSystem]]:
    fake.counts_tags = False
    with ScriptedServer(handler=fake) as server:
        yield server, filesystem(server.url)


def made(server: ScriptedServer, *kinds: str) -> Counter[str]:
    found = Counter(kind_of(request) for request in server.requests)
    return Counter({kind: found[kind] for kind in kinds})


def copies(fake: FakeS3) -> dict[str, bytes]:
    return {key: stored.body for (_, key), stored in fake.objects.items() if key.startswith("new/")}


@verbs
def test_one_object_of_a_tree_is_looked_at(call: Callable[[GuardedS3FileSystem], object]) -> None:
    with served(fake := filled()) as (server, fs):
        call(fs)
    assert made(server, "HEAD", "COPY", "GET") == {"HEAD": 1, "COPY": 8, "GET": 0}
    assert copies(fake) == {name.replace("tree", "new"): name.encode() * 9 for name in NAMES}
    for stored in (fake.objects["bucket", name] for name in copies(fake)):
        assert stored.tags == {"team": "x"}
        assert stored.headers["x-amz-meta-owner"] == "me"


@verbs
def test_a_copy_is_bound_to_the_version_that_was_listed(
    call: Callable[[GuardedS3FileSystem], object],
) -> None:
    with served(filled()) as (server, fs):
        call(fs)
    pins = {r.headers["x-amz-copy-source-if-match"] for r in server.requests if kind_of(r) == "COPY"}
    assert len(pins) == len(NAMES)


@verbs
@pytest.mark.parametrize(
    "more", [KMS, {"x-amz-website-redirect-location": "/other"}], ids=["KMS", "redirection"]
)
def test_all_are_looked_at_where_the_newest_has_what_a_copy_has_to_name(
    more: dict[str, str], call: Callable[[GuardedS3FileSystem], object]
) -> None:
    fake = filled()
    for name in (NAMES[2], NAMES[-1]):
        change(fake, name, **more)
    with served(fake) as (server, fs):
        call(fs)
    assert made(server, "COPY") == {"COPY": 8}
    for name in (NAMES[2], NAMES[-1]):
        assert more.items() <= fake.objects["bucket", name.replace("tree", "new")].headers.items()


@verbs
def test_encryption_that_only_an_older_object_has_is_kept(
    call: Callable[[GuardedS3FileSystem], object],
) -> None:
    """Its copy has another ETag than the listing told."""
    fake = filled()
    change(fake, NAMES[3], OPAQUE, **KMS)
    with served(fake) as (server, fs):
        call(fs)
    assert made(server, "HEAD", "COPY") == {"HEAD": 2, "COPY": 9}
    assert KMS.items() <= fake.objects["bucket", "new/3"].headers.items()
    assert fake.objects["bucket", "new/3"].body == NAMES[3].encode() * 9


def test_a_move_whose_encryption_cannot_be_kept_deletes_nothing_and_says_so() -> None:
    fake = filled()
    change(fake, NAMES[3], OPAQUE, **KMS)
    fake.fault = lambda request, _: s3_error(403, "AccessDenied") if SSE in request.headers else None
    with (
        served(fake) as (_, fs),
        pytest.raises(GuardedS3Error, match="perhaps without its encryption") as caught,
    ):
        fs.mv("bucket/tree", "bucket/new", recursive=True)
    assert caught.value.maybe_applied
    assert {key for _, key in fake.objects} >= set(NAMES)


@verbs
def test_an_object_in_parts_is_looked_at(call: Callable[[GuardedS3FileSystem], object]) -> None:
    fake = filled()
    change(fake, NAMES[1], '"0123456789abcdef0123456789abcdef-2"', **KMS)
    with served(fake) as (server, fs):
        call(fs)
    assert made(server, "HEAD", "COPY") == {"HEAD": 2, "COPY": 8}
    assert KMS.items() <= fake.objects["bucket", "new/1"].headers.items()


@verbs
def test_what_is_replaced_behind_the_listing_is_copied_as_it_is_then(
    call: Callable[[GuardedS3FileSystem], object],
) -> None:
    fake = filled()

    def replaced(request: Request, _: object) -> None:
        if request.method == "HEAD" and request.path.endswith(NAMES[-1]):
            fake.put("bucket", NAMES[4], b"newer")

    fake.fault = replaced
    with served(fake) as (_, fs):
        call(fs)
    assert copies(fake)["new/4"] == b"newer"


def test_what_vanishes_behind_the_listing_is_left_out_by_a_copy_and_told_by_a_move() -> None:
    for recursive_copy in (True, False):
        fake = filled()

        def vanished(request: Request, _: object, fake: FakeS3 = fake) -> None:
            if request.method == "HEAD" and request.path.endswith(NAMES[-1]):
                fake.objects.pop(("bucket", NAMES[4]), None)

        fake.fault = vanished
        with served(fake) as (_, fs):
            if recursive_copy:
                fs.copy("bucket/tree", "bucket/new", recursive=True)
                assert len(copies(fake)) == len(NAMES) - 1
            else:
                with pytest.raises(FileNotFoundError):
                    fs.mv("bucket/tree", "bucket/new", recursive=True)


def test_attributes_that_are_given_are_those_of_all_copies() -> None:
    with served(fake := filled()) as (_, fs):
        fs.copy("bucket/tree", "bucket/new", recursive=True, ContentType="a/b")
    assert {fake.objects["bucket", name].headers["content-type"] for name in copies(fake)} == {"a/b"}


def test_a_verb_of_a_subclass_copies_each_object() -> None:
    seen = []

    class Own(GuardedS3FileSystem):
        def cp_file(self, path1, path2, **kwargs):  # type: ignore[no-untyped-def,override]
            seen.append(path1)
            return super().cp_file(path1, path2, **kwargs)

    with ScriptedServer(handler=filled()) as server:
        fs = Own(endpoint_url=server.url, key="k", secret="s", probe="never", skip_instance_cache=True)
        fs.copy("bucket/tree", "bucket/new", recursive=True)
    assert sorted(seen) == [f"bucket/{name}" for name in NAMES]
