"""`mv` in a directory bucket: one guarded RenameObject for each object; a lost answer is settled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from fsspec_guarded_s3 import (
    GuardedS3FileSystem,
    ObjectChangedError,
    ObjectExistsError,
    WriteOutcomeUnknownError,
)
from fsspec_guarded_s3._auth.signer import Signer
from fsspec_guarded_s3._s3 import store_facts
from tests.directory_bucket import BUCKET, Directory, directory
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close, s3_error
from tests.single_faults import is_probe, short_pauses  # noqa: F401

A, B = f"{BUCKET}/d/a", f"{BUCKET}/d/b"
Hook = Callable[[Request, Any], Answer | None]


def holding(*keys: str) -> FakeS3:
    fake = FakeS3(BUCKET)
    for key in keys:
        fake.put(BUCKET, key, f"of {key}".encode(), kind="1")
    return fake


def keys(store: Directory) -> dict[str, bytes]:
    return {key: stored.body for (_, key), stored in store.fake.objects.items()}


def renames(request: Request) -> bool:
    return "renameObject" in request.query and not is_probe(request)


def asked(store: Directory) -> list[str]:
    """The requests that change something, those of probes left out."""
    found = [request for request in store.asked if not is_probe(request)]
    changing = [request for request in found if request.method not in ("GET", "HEAD")]
    return ["RenameObject" if renames(request) else request.method for request in changing]


def of_the_first(action: Callable[[Request, Any], Answer | None]) -> Hook:
    """What happens at the first rename alone."""
    left = [action]
    return lambda request, about: left.pop()(request, about) if left and renames(request) else None


def of_each(answer: Answer) -> Hook:
    return lambda request, about: answer if renames(request) else None


def test_an_object_is_moved_by_one_request() -> None:
    """Under the ETag that was seen, with a token, and with its metadata, time and ETag."""
    with directory(fake=holding("d/a", "d/b")) as (fs, store):
        before = store.fake.objects[BUCKET, "d/a"]
        fs.mv(A, B)
        assert store.fake.objects == {(BUCKET, "d/b"): before}
        assert asked(store) == ["RenameObject"]
        (request,) = filter(renames, store.asked)
        assert request.headers["x-amz-rename-source"] == "d/a"
        assert request.headers["x-amz-rename-source-if-match"] == before.etag
        assert 1 <= len(request.headers["x-amz-client-token"]) <= 64
        assert "if-match" not in request.headers and "if-none-match" not in request.headers


@pytest.mark.parametrize("key", ["d/a b+c", "d/ümlaut ✓", "d/a?b=c&d#e%20"])
def test_names_are_url_encoded(key: str) -> None:
    with directory(fake=holding(key)) as (fs, store):
        fs.mv(f"{BUCKET}/{key}", f"{BUCKET}/{key}-new")
        assert keys(store) == {f"{key}-new": f"of {key}".encode()}
        (request,) = filter(renames, store.asked)
        assert request.headers["x-amz-rename-source"].isascii()


def test_a_tree_is_renamed_object_by_object() -> None:
    """As the listing told of them, without a look at each; markers of directories are copied and deleted."""
    names = [f"d/{n}" for n in range(5)] + ["d/deep/one"]
    fake = holding(*names)
    fake.put(BUCKET, "d/empty/", b"")
    with directory(fake=fake) as (fs, store):
        fs.mv(f"{BUCKET}/d", f"{BUCKET}/e", recursive=True)
        expected = {name.replace("d/", "e/", 1): f"of {name}".encode() for name in names}
        assert keys(store) == {**expected, "e/empty/": b""}
        assert asked(store).count("RenameObject") == len(names)
        looked = {r.path.removeprefix(f"/{BUCKET}/") for r in store.asked if r.method == "HEAD"}
        assert not looked & set(names)


def test_patterns_and_lists() -> None:
    with directory(fake=holding("d/a", "d/b", "c")) as (fs, store):
        fs.mv(f"{BUCKET}/d/*", f"{BUCKET}/to/")
        fs.mv([f"{BUCKET}/c", f"{BUCKET}/to/a"], [f"{BUCKET}/x", f"{BUCKET}/y"])
        assert set(keys(store)) == {"to/b", "x", "y"}
        assert asked(store) == ["RenameObject"] * 4


def test_listings_that_are_kept_are_dropped_on_both_sides() -> None:
    with directory(fake=holding("d/a", "e/b"), use_listings_cache=True) as (fs, _):
        assert fs.ls(f"{BUCKET}/d", detail=False) == [A]
        assert fs.ls(f"{BUCKET}/e", detail=False) == [f"{BUCKET}/e/b"]
        fs.mv(A, f"{BUCKET}/e/a")
        assert fs.ls(f"{BUCKET}/e", detail=False) == [f"{BUCKET}/e/a", f"{BUCKET}/e/b"]
        assert not fs.exists(A)


def test_a_missing_source_is_named() -> None:
    with directory(fake=holding("d/b")) as (fs, store):
        with pytest.raises(FileNotFoundError, match="d/a"):
            fs.mv(A, B)
        assert keys(store) == {"d/b": b"of d/b"}


# --- conditions and rivals ---


def test_create_does_not_replace() -> None:
    with directory(fake=holding("d/a", "d/b")) as (fs, store):
        with pytest.raises(ObjectExistsError) as caught:
            fs.mv(A, B, mode="create")
        assert not caught.value.maybe_applied
        assert set(keys(store)) == {"d/a", "d/b"}
        fs.mv(A, f"{BUCKET}/d/c", mode="create")
        assert set(keys(store)) == {"d/b", "d/c"}
        assert "DELETE" not in asked(store)


def test_if_match_is_a_condition_of_the_target() -> None:
    with directory(fake=holding("d/a", "d/b")) as (fs, store):
        etag = fs.info(B)["ETag"]
        with pytest.raises(ObjectChangedError):
            fs.mv(A, B, if_match='"other"')
        assert set(keys(store)) == {"d/a", "d/b"}
        fs.mv(A, B, if_match=etag)
        assert keys(store) == {"d/b": b"of d/a"}


def test_a_rival_replaces_the_source_right_before() -> None:
    """Its object stays where it is, and the error names it. Nothing is moved."""
    fake = holding("d/a")
    fake.fault = of_the_first(lambda request, fake: fake.put(BUCKET, "d/a", b"rival") and None)
    with directory(fake=fake) as (fs, store):
        with pytest.raises(ObjectChangedError, match="d/a") as caught:
            fs.mv(A, B)
        assert (caught.value.key, caught.value.maybe_applied) == ("d/a", False)
        assert keys(store) == {"d/a": b"rival"}


def test_a_rival_replaces_the_source_after_the_listing() -> None:
    """Then what is there now is moved, as a copy would copy it."""
    fake = holding("d/a", "d/b")
    fake.fault = of_the_first(lambda request, fake: fake.put(BUCKET, "d/a", b"rival") and None)
    with directory(fake=fake, max_concurrency=1) as (fs, store):
        fs.mv(f"{BUCKET}/d", f"{BUCKET}/e", recursive=True)
        assert keys(store) == {"e/a": b"rival", "e/b": b"of d/b"}


def test_a_rival_takes_the_source_away() -> None:
    fake = holding("d/a")
    fake.fault = of_the_first(lambda request, fake: fake.objects.clear())
    with directory(fake=fake) as (fs, store):
        with pytest.raises(FileNotFoundError, match="d/a"):
            fs.mv(A, B)
        assert keys(store) == {}


def test_after_an_error_every_object_is_at_one_of_its_places() -> None:
    fake = holding(*[f"d/{n}" for n in range(6)])
    fake.put(BUCKET, "e/3", b"taken")
    with directory(fake=fake, max_concurrency=1) as (fs, store):
        with pytest.raises(ObjectExistsError):
            fs.mv(f"{BUCKET}/d/*", f"{BUCKET}/e/", mode="create")
        found = keys(store)
        assert found.pop("e/3") == b"taken"
        assert sorted(found.values()) == [f"of d/{n}".encode() for n in range(6)]


# --- lost answers ---


@pytest.mark.parametrize("lost", [close(), s3_error(500, "InternalError"), s3_error(503, "SlowDown")])
@pytest.mark.parametrize("mode", ["overwrite", "create"])
def test_a_lost_answer_is_repeated_with_its_token(lost: Answer, mode: str) -> None:
    fake = holding("d/a")
    fake.after = of_the_first(lambda request, reply: lost)
    with directory(fake=fake) as (fs, store):
        fs.mv(A, B, mode=mode)
        assert keys(store) == {"d/b": b"of d/a"}
        tokens = {request.headers["x-amz-client-token"] for request in filter(renames, store.asked)}
        assert len(tokens) == 1 and asked(store) == ["RenameObject"] * 2


def test_each_rename_has_a_token_of_its_own() -> None:
    with directory(fake=holding("d/0", "d/1", "d/2")) as (fs, store):
        fs.mv(f"{BUCKET}/d", f"{BUCKET}/e", recursive=True)
        assert len({request.headers["x-amz-client-token"] for request in filter(renames, store.asked)}) == 3


def test_when_all_answers_are_lost_a_look_proves_the_rename() -> None:
    fake = holding("d/a")
    fake.after = of_each(close())
    with directory(fake=fake, max_attempts=2) as (fs, store):
        fs.mv(A, B)
        assert keys(store) == {"d/b": b"of d/a"}


def test_when_no_request_arrives_nothing_is_claimed() -> None:
    """The source is still there: a request that is on its way may rename it yet."""
    fake = holding("d/a")
    fake.fault = of_each(close())
    with directory(fake=fake, max_attempts=2) as (fs, store):
        with pytest.raises(WriteOutcomeUnknownError, match="still there") as caught:
            fs.mv(A, B)
        assert (caught.value.maybe_applied, caught.value.operation) == (True, "RenameObject")
        assert keys(store) == {"d/a": b"of d/a"}


def test_a_rival_moves_on_what_was_renamed() -> None:
    """Neither key shows it: nothing proves that we were first."""
    fake = holding("d/a")

    def moved_on(request: Request, reply: Reply) -> Answer:
        fake.objects.clear()
        return close()

    fake.after = of_the_first(moved_on)
    with (
        directory(fake=fake, max_attempts=1) as (fs, _),
        pytest.raises(WriteOutcomeUnknownError, match="gone"),
    ):
        fs.mv(A, B)


def test_a_rival_writes_to_the_source_of_what_was_renamed() -> None:
    """The target has our version: it was renamed, and what is at the source is the rival's."""
    fake = holding("d/a")

    def written(request: Request, reply: Reply) -> Answer:
        fake.put(BUCKET, "d/a", b"rival")
        return close()

    fake.after = of_the_first(written)
    with directory(fake=fake, max_attempts=1) as (fs, store):
        fs.mv(A, B)
        assert keys(store) == {"d/a": b"rival", "d/b": b"of d/a"}


@pytest.mark.parametrize("condition", ["create", "if_match"])
def test_equal_etags_prove_nothing_under_a_condition(condition: str) -> None:
    """Outside of AWS an ETag may be the MD5 of the content, which a rival may have written too."""
    fake = holding("d/a")
    if condition == "if_match":
        fake.put(BUCKET, "d/b", b"old")

    def rival(request: Request, fake: FakeS3) -> Answer:
        del fake.objects[BUCKET, "d/a"]
        fake.put(BUCKET, "d/b", b"of d/a")
        return close()

    fake.fault = of_the_first(rival)
    with directory(fake=fake, max_attempts=1) as (fs, _):
        how: dict[str, Any] = {"mode": "create"}
        if condition == "if_match":
            how = {"if_match": fake.objects[BUCKET, "d/b"].etag}
        with pytest.raises(WriteOutcomeUnknownError):
            fs.mv(A, B, **how)


def test_a_condition_that_fails_after_a_lost_answer_is_not_definite() -> None:
    fake = holding("d/a")
    left = [close()]

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if not renames(request) or not left:
            return None
        fake.put(BUCKET, "d/b", b"rival")
        return left.pop()

    fake.fault = fault
    with directory(fake=fake, max_attempts=2) as (fs, store):
        with pytest.raises(ObjectExistsError) as caught:
            fs.mv(A, B, mode="create")
        assert caught.value.maybe_applied
        assert keys(store) == {"d/a": b"of d/a", "d/b": b"rival"}


# --- where it cannot be renamed ---


def test_a_store_that_says_that_it_cannot_rename_copies() -> None:
    """It is asked once. Nothing is lost on the way."""
    fake = holding("d/a", "d/b", "d/c")
    fake.renames = False
    with directory(fake=fake, max_concurrency=1) as (fs, store):
        fs.mv(A, f"{BUCKET}/e/a")
        assert asked(store) == ["RenameObject", "PUT", "POST"]
        fs.mv(f"{BUCKET}/d/*", f"{BUCKET}/e/")
        assert set(keys(store)) == {"e/a", "e/b", "e/c"}
        assert asked(store).count("RenameObject") == 1


def test_a_store_that_takes_it_for_a_put_loses_nothing() -> None:
    """A trial on keys of its own finds out, and removes what it made."""
    fake = holding("d/a", "d/b")
    fake.unknown_names = {"renameObject"}
    with directory(fake=fake, probe="auto") as (fs, store):
        fs.mv(A, f"{BUCKET}/e/a")
        assert keys(store) == {"d/b": b"of d/b", "e/a": b"of d/a"}
        assert "RenameObject" not in asked(store)


@pytest.mark.parametrize("guard", ["rename_source", "rename_create", "rename_swap"])
def test_a_store_that_ignores_a_condition_copies(guard: str) -> None:
    fake = holding("d/a")
    fake.ignored = frozenset({guard})
    with directory(fake=fake, probe="auto") as (fs, store):
        fs.mv(A, B)
        assert keys(store) == {"d/b": b"of d/a"}
        assert "RenameObject" not in asked(store)


def test_a_store_that_renames_is_tried_once() -> None:
    with directory(fake=holding("d/a"), probe="auto") as (fs, store):
        fs.mv(A, B)
        assert keys(store) == {"d/b": b"of d/a"}
        assert asked(store) == ["RenameObject"]
        probes = len(store.asked)
        fs.mv(B, A)
        assert len(store.asked) - probes <= 3


def test_what_is_to_change_on_the_way_is_copied() -> None:
    """Metadata of the call, encryption of the filesystem: a rename has no room for either."""
    with directory(fake=holding("d/a")) as (fs, store):
        fs.mv(A, B, Metadata={"new": "1"}, MetadataDirective="REPLACE")
        assert store.fake.objects[BUCKET, "d/b"].metadata["new"] == "1"
        assert "RenameObject" not in asked(store)
    encrypted = {"ServerSideEncryption": "aws:kms"}
    with directory(fake=holding("d/a"), s3_additional_kwargs=encrypted) as (fs, store):
        fs.mv(A, B)
        assert "RenameObject" not in asked(store)


def test_other_buckets_are_copied() -> None:
    """From and to them, and within one."""
    fake = holding("d/a")
    fake.buckets["plain"] = fake.buckets[BUCKET]
    fake.put("plain", "a", b"plain")

    def handler(request: Request) -> Answer:
        return fake(request)

    with ScriptedServer(handler=handler) as server:
        fs = filesystem(server.url, key=None, secret=None, anon=True)
        fs.mv("plain/a", "plain/b")
        fs.mv("plain/b", f"{BUCKET}/b")
        fs.mv(A, "plain/c")
        assert not [request for request in server.requests if renames(request)]
    assert set(fake.objects) == {(BUCKET, "b"), ("plain", "c")}


def test_a_subclass_with_its_own_copy_keeps_it() -> None:
    class Own(GuardedS3FileSystem):
        copied: ClassVar[list[str]] = []

        def cp_file(self, path1: Any, path2: Any, *args: Any, **kwargs: Any) -> Any:
            self.copied.append(path1)
            return super().cp_file(path1, path2, *args, **kwargs)

    with directory(fake=holding("d/a")) as (fs, store):
        own = Own(**fs.storage_options)
        own.mv(A, B)
        assert own.copied == [A]
        assert "RenameObject" not in asked(store)


def test_on_aws_nothing_is_tried_and_an_etag_proves(monkeypatch: pytest.MonkeyPatch) -> None:
    """There an object with the ETag of the source can only be the one that was renamed."""
    monkeypatch.setattr(Signer, "is_aws", lambda self, bucket: True)
    fake = holding("d/a")
    fake.after = of_each(close())
    with directory(fake=fake, probe="auto", max_attempts=1) as (fs, store):
        fs.mv(A, B, mode="create")
        assert keys(store) == {"d/b": b"of d/a"}
        assert not [request for request in store.asked if is_probe(request)]


def test_a_region_without_the_operation_is_remembered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked again after an hour, as for every answer about a store."""
    monkeypatch.setattr(Signer, "is_aws", lambda self, bucket: True)
    fake = holding("d/a")
    fake.renames = False
    now = [0.0]
    monkeypatch.setattr(store_facts.time, "monotonic", lambda: now[0])
    with directory(fake=fake, probe="auto") as (fs, store), caplog.at_level(logging.WARNING):
        fs.mv(A, B)
        fs.mv(B, A)
        assert asked(store).count("RenameObject") == 1
    assert not caplog.records
