"""`open(path, "ab")` in a directory bucket: only new bytes are sent, and no rival's write is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fsspec_guarded_s3 import (
    GuardedS3FileSystem,
    ObjectChangedError,
    PreconditionUnsupportedError,
    WriteOutcomeUnknownError,
)
from fsspec_guarded_s3._auth.signer import Signer
from tests.data import period_free
from tests.directory_bucket import BUCKET, Directory, directory
from tests.fake_s3 import FakeS3, crc32
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, close, s3_error
from tests.single_faults import is_probe, short_pauses  # noqa: F401

PATH, SLOT = f"{BUCKET}/d/log", (BUCKET, "d/log")
OLD = period_free(10_000)
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}
Hook = Callable[[Request, Any], Answer | None]


def holding(body: bytes = OLD) -> FakeS3:
    fake = FakeS3(BUCKET)
    fake.opaque_etags = True
    fake.put(*SLOT, body, kind="log")
    return fake


def append(fs: GuardedS3FileSystem, data: bytes, **options: Any) -> None:
    with fs.open(PATH, "ab", **options) as file:
        file.write(data)


def appends(request: Request) -> bool:
    return "x-amz-write-offset-bytes" in request.headers and not is_probe(request)


def sent(store: Directory) -> list[Request]:
    """The requests that write, those of probes left out."""
    return [r for r in store.asked if r.method in ("PUT", "POST") and not is_probe(r)]


def of_the_first(action: Hook) -> Hook:
    left = [action]
    return lambda request, about: left.pop()(request, about) if left and appends(request) else None


def of_each(answer: Answer) -> Hook:
    return lambda request, about: answer if appends(request) else None


@pytest.mark.parametrize("old", [b"", OLD], ids=["empty", "some"])
@pytest.mark.parametrize("new", [b"x", period_free(100_000, seed=1)], ids=["byte", "more"])
def test_only_the_new_bytes_are_sent(old: bytes, new: bytes) -> None:
    """Under the ETag and to the size of what was looked at. The object keeps what describes it."""
    fake = holding(old)
    before = fake.objects[SLOT]
    with directory(fake=fake) as (fs, store):
        append(fs, new)
        (request,) = sent(store)
        assert request.body == new
        assert request.headers["x-amz-write-offset-bytes"] == str(len(old))
        assert request.headers["if-match"] == before.etag
        assert request.headers["x-amz-checksum-crc32"] == crc32(new)
        assert not [name for name in request.headers if name.startswith("x-amz-meta-")]
        assert not [r for r in store.asked if r.method == "GET"]
    found = fake.objects[SLOT]
    assert (found.body, found.headers) == (old + new, before.headers)
    assert found.crc32 == crc32(old + new)


def test_what_was_appended_can_be_read_and_appended_to() -> None:
    with directory(fake=holding(b"0\n")) as (fs, store):
        for n in range(1, 5):
            with fs.open(PATH, "a") as file:
                file.write(f"{n}\n")
        assert fs.cat_file(PATH) == b"0\n1\n2\n3\n4\n"
        assert [len(request.body) for request in sent(store)] == [2] * 4


def test_the_writer_tells_where_it_is_and_what_it_published() -> None:
    with directory(fake=holding()) as (fs, store):
        with fs.open(PATH, "ab") as file:
            assert file.tell() == len(OLD)
            file.write(b"one")
            file.write(b"two")
            assert file.tell() == len(OLD) + 6
        assert file.etag == store.fake.objects[SLOT].etag == fs.info(PATH)["ETag"]
        assert file.state == "COMPLETED"


def test_an_exception_appends_nothing() -> None:
    with directory(fake=holding()) as (fs, store):
        with pytest.raises(KeyError), fs.open(PATH, "ab") as file:
            file.write(b"half")
            raise KeyError
        file = fs.open(PATH, "ab")
        file.write(b"half")
        file.discard()
        assert store.fake.objects[SLOT].body == OLD and not sent(store)


def test_appending_nothing_sends_nothing() -> None:
    with directory(fake=holding()) as (fs, store):
        append(fs, b"")
        assert not sent(store)


def test_a_missing_object_is_created() -> None:
    with directory() as (fs, store):
        append(fs, b"first")
        (request,) = sent(store)
        assert request.headers["if-none-match"] == "*" and not appends(request)
        assert store.fake.objects[SLOT].body == b"first"


def test_a_transaction_appends_at_its_end() -> None:
    with directory(fake=holding()) as (fs, store), fs.transaction:
        append(fs, b"more")
        assert not sent(store)
    assert store.fake.objects[SLOT].body == OLD + b"more"
    assert [appends(request) for request in sent(store)] == [True]


@pytest.mark.parametrize("old", [OLD, period_free(6 * MIB, seed=3)], ids=["small", "large"])
def test_more_than_one_request_takes_goes_in_parts(old: bytes) -> None:
    """And is published at once, as elsewhere."""
    new = period_free(11 * MIB, seed=2)
    with directory(fake=holding(old), **PARTS) as (fs, store):
        with fs.open(PATH, "ab") as file:
            for at in range(0, len(new), 700_001):
                file.write(new[at : at + 700_001])
            assert store.fake.objects[SLOT].body == old
        same = store.fake.objects[SLOT].body == old + new
        assert same and not store.fake.uploads
        assert not any(map(appends, sent(store)))


# --- rivals ---


@pytest.mark.parametrize("rival", [OLD + b"theirs", b"shorter", b""], ids=["appends", "replaces", "empties"])
def test_a_rival_was_faster(rival: bytes) -> None:
    fake = holding()
    with directory(fake=fake) as (fs, _):
        with pytest.raises(ObjectChangedError) as caught, fs.open(PATH, "ab") as file:
            file.write(b"mine")
            fake.put(*SLOT, rival)
        assert not caught.value.maybe_applied
        assert fake.objects[SLOT].body == rival


def test_an_offset_that_is_refused_is_a_rivals_doing() -> None:
    """AWS says InvalidWriteOffset with status 400."""
    fake = holding()
    fake.fault = of_each(s3_error(400, "InvalidWriteOffset"))
    with directory(fake=fake) as (fs, _):
        with pytest.raises(ObjectChangedError) as caught:
            append(fs, b"mine")
        assert (caught.value.code, caught.value.status) == ("InvalidWriteOffset", 400)


def test_a_rival_deletes() -> None:
    fake = holding()
    with directory(fake=fake) as (fs, _):
        with pytest.raises(FileNotFoundError), fs.open(PATH, "ab") as file:
            file.write(b"mine")
            fake.objects.clear()
        assert not fake.objects


def test_if_match_is_what_the_object_must_be() -> None:
    fake = holding()
    with directory(fake=fake) as (fs, store):
        with pytest.raises(ObjectChangedError):
            append(fs, b"mine", if_match='"other"')
        append(fs, b"mine", if_match=fake.objects[SLOT].etag)
        assert [appends(request) for request in sent(store)] == [True]


# --- lost answers ---


def test_a_request_that_did_not_arrive_is_repeated() -> None:
    fake = holding()
    fake.fault = of_the_first(lambda request, fake: close())
    with directory(fake=fake) as (fs, store):
        append(fs, b"mine")
        assert store.fake.objects[SLOT].body == OLD + b"mine"


@pytest.mark.parametrize("lost", [close(), s3_error(500, "InternalError"), s3_error(503, "SlowDown")])
def test_a_lost_answer_appends_once(lost: Answer) -> None:
    """The repetition is refused. Who wrote the bytes at the end cannot be proved, and the error says so."""
    fake = holding()
    fake.after = of_the_first(lambda request, reply: lost)
    with directory(fake=fake) as (fs, store):
        with pytest.raises(WriteOutcomeUnknownError, match="look at its end") as caught:
            append(fs, b"mine")
        assert caught.value.maybe_applied
        assert store.fake.objects[SLOT].body == OLD + b"mine"


def test_when_nothing_arrives_nothing_is_claimed() -> None:
    fake = holding()
    fake.fault = of_each(close())
    with directory(fake=fake, max_attempts=2) as (fs, store):
        with pytest.raises(WriteOutcomeUnknownError, match="as it was"):
            append(fs, b"mine")
        assert store.fake.objects[SLOT].body == OLD


def test_a_shorter_object_of_a_rival_proves_a_change() -> None:
    fake = holding()

    def replaced(request: Request, fake: FakeS3) -> Answer:
        fake.put(*SLOT, b"short")
        return close()

    fake.fault = of_the_first(replaced)
    with directory(fake=fake, max_attempts=1) as (fs, _):
        with pytest.raises(ObjectChangedError) as caught:
            append(fs, b"mine")
        assert caught.value.maybe_applied


# --- where it cannot be appended ---


@pytest.mark.parametrize("code", ["TooManyParts", "EncryptionTypeMismatch", "InvalidRequest"])
@pytest.mark.parametrize("old", [OLD, period_free(6 * MIB, seed=3)], ids=["small", "large"])
def test_what_is_refused_is_published_as_elsewhere(code: str, old: bytes) -> None:
    """By a copy of the old bytes, under the same ETag; nothing is lost."""
    fake = holding(old)
    fake.fault = of_each(s3_error(400, code))
    etag = fake.objects[SLOT].etag
    with directory(fake=fake, **PARTS) as (fs, store):
        append(fs, b"mine")
        same = store.fake.objects[SLOT].body == old + b"mine"
        assert same and not store.fake.uploads
        assert store.fake.objects[SLOT].metadata["kind"] == "log"
        assert sent(store)[-1].headers["if-match"] == etag


def test_after_ten_thousand_appends_the_count_begins_again() -> None:
    fake = holding(b"")
    fake.most_appends = 3
    with directory(fake=fake) as (fs, store):
        for n in range(5):
            append(fs, b"%d" % n)
            if n == 3:
                fake.appended.clear()  # as a new object has it
        assert store.fake.objects[SLOT].body == b"01234"


@pytest.mark.parametrize("how", ["ignored", "refused", "unguarded"])
def test_a_store_that_cannot_append_copies(how: str) -> None:
    """A trial finds out. Without one, an append would have replaced the object by its end."""
    fake = holding()
    fake.ignored = frozenset({"append"} if how == "ignored" else {"swap"} if how == "unguarded" else ())
    fake.appends = how != "refused"
    with directory(fake=fake, probe="auto") as (fs, store):
        if how == "unguarded":
            with pytest.raises(PreconditionUnsupportedError):
                append(fs, b"mine")
        else:
            append(fs, b"mine")
        assert store.fake.objects[SLOT].body == (OLD if how == "unguarded" else OLD + b"mine")
        assert not any(map(appends, sent(store)))
        assert set(store.fake.objects) == {SLOT}


def test_a_store_that_appends_is_tried_once() -> None:
    with directory(fake=holding(), probe="auto") as (fs, store):
        append(fs, b"one")
        probes = sum(map(is_probe, store.asked))
        append(fs, b"two")
        assert store.fake.objects[SLOT].body == OLD + b"onetwo"
        assert sum(map(is_probe, store.asked)) == probes
        assert len(sent(store)) == 2 and set(store.fake.objects) == {SLOT}


def test_on_aws_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Signer, "is_aws", lambda self, bucket: True)
    with directory(fake=holding(), probe="auto") as (fs, store):
        append(fs, b"one")
        assert not any(map(is_probe, store.asked)) and len(sent(store)) == 1


@pytest.mark.parametrize("where", ["call", "filesystem"])
def test_what_is_to_change_beside_the_bytes_goes_with_a_copy(where: str) -> None:
    kept = {"ContentType": "text/csv"}
    with directory(fake=holding(), **({"s3_additional_kwargs": kept} if where == "filesystem" else {})) as (
        fs,
        store,
    ):
        append(fs, b"mine", **(kept if where == "call" else {}))
        assert not any(map(appends, sent(store)))
        assert store.fake.objects[SLOT].body == OLD + b"mine"


def test_other_buckets_are_as_before() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "key", OLD)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        with fs.open("bucket/key", "ab") as file:
            file.write(b"mine")
        assert not [request for request in server.requests if appends(request)]
    assert fake.objects["bucket", "key"].body == OLD + b"mine"
