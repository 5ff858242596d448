"""`update`: no increment is lost, and a failure writes nothing."""

import threading
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from fsspec_guarded_s3 import (
    ObjectChangedError,
    PreconditionUnsupportedError,
    WriteOutcomeUnknownError,
)
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close, s3_error
from tests.single_faults import always, lose, named, once, short_pauses  # noqa: F401

PATH = "bucket/key"
SLOT = ("bucket", "key")


def increment(data: bytes) -> bytes:
    return str(int(data) + 1).encode()


def together(calls: list[Callable[[], object]]) -> list[BaseException]:
    """Make all calls at the same time; returns their errors."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def rival_on_each(name: str, bodies: list[bytes]) -> Callable[[Request, FakeS3], Answer | None]:
    """Before each request of that method a rival writes the next of `bodies`."""

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == name and bodies:
            fake.put(*SLOT, bodies.pop(0))
        return None

    return fault


def test_update_writes_what_the_function_returns_and_gives_the_new_etag() -> None:
    fake = FakeS3("bucket")
    fake.put(*SLOT, b"41")
    with ScriptedServer(handler=fake) as server:
        etag = filesystem(server.url).update(PATH, increment)
    assert fake.objects[SLOT].body == b"42"
    assert fake.objects[SLOT].etag == etag


def test_update_keeps_tags_in_the_words_that_every_store_reads() -> None:
    """In a header a blank as "+" is one to S3, and a plus to Ceph RGW, which then keeps another tag."""
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fs.pipe_file(PATH, b"1", Tagging={"a b": "c + d"})
        fs.update(PATH, increment)
        puts = [request for request in server.requests if request.method == "PUT"]
        first, second = (request.headers["x-amz-tagging"] for request in puts)
        assert first == second == "a%20b=c%20%2B%20d"
        assert fs.get_tags(PATH) == {"a b": "c + d"}


def test_update_reads_and_writes_under_the_etag_it_saw() -> None:
    fake = FakeS3("bucket")
    old = fake.put(*SLOT, b"1")
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).update(PATH, increment)
        pinned = [request.headers["if-match"] for request in server.requests if request.method != "HEAD"]
        assert pinned == [old.etag, old.etag]


@pytest.mark.parametrize("size", [0, 1, 6 * MIB])
def test_update_of_any_size_gives_the_function_all_bytes(size: int) -> None:
    data = period_free(size)
    fake = FakeS3("bucket")
    fake.put(*SLOT, data)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB, range_size=MIB)
        fs.update(PATH, lambda old: old[::-1] + b"!")
    assert fake.objects[SLOT].body == data[::-1] + b"!"
    assert not fake.uploads


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_update_takes_every_kind_of_bytes(kind: type) -> None:
    fake = FakeS3("bucket")
    fake.put(*SLOT, b"old")
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).update(PATH, lambda old: kind(b"new"))
    assert fake.objects[SLOT].body == b"new"


def test_counter_of_many_threads_loses_no_increment() -> None:
    fake = FakeS3("bucket")
    fake.put(*SLOT, b"0")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)

        def count() -> None:
            for _ in range(5):
                fs.update(PATH, increment, max_attempts=1000)

        assert together([count] * 8) == []
    assert fake.objects[SLOT].body == b"40"


def test_counter_of_many_threads_on_moto_loses_no_increment(moto: Any) -> None:
    fs = filesystem(moto.url, key=moto.key, secret=moto.secret, probe="auto")
    bucket = f"update-{uuid.uuid4().hex}"
    fs.mkdir(bucket)
    fs.pipe_file(f"{bucket}/n", b"0")
    calls = [lambda: fs.update(f"{bucket}/n", increment, max_attempts=1000)] * 12
    assert together(calls) == []
    assert fs.cat_file(f"{bucket}/n") == b"12"


def test_update_on_rclone_is_refused_since_it_ignores_if_match(rclone: Any) -> None:
    fs = filesystem(rclone.url, key=rclone.key, secret=rclone.secret, probe="auto")
    bucket = f"update-{uuid.uuid4().hex}"
    fs.mkdir(bucket)
    fs.pipe_file(f"{bucket}/n", b"0")
    with pytest.raises(PreconditionUnsupportedError):
        fs.update(f"{bucket}/n", increment)
    assert fs.cat_file(f"{bucket}/n") == b"0"
    assert fs.find(bucket) == [f"{bucket}/n"]


def test_update_after_a_conflict_starts_from_the_rivals_content() -> None:
    fake = FakeS3("bucket", fault=rival_on_each("PUT", [b"10", b"20"]))
    fake.put(*SLOT, b"1")
    seen: list[bytes] = []
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).update(PATH, lambda old: seen.append(old) or increment(old))
    assert seen == [b"1", b"10", b"20"]
    assert fake.objects[SLOT].body == b"21"


def test_update_of_an_object_replaced_between_head_and_get_starts_again() -> None:
    fake = FakeS3("bucket", fault=rival_on_each("GET", [b"10"]))
    fake.put(*SLOT, b"1")
    seen: list[bytes] = []
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).update(PATH, lambda old: seen.append(old) or increment(old))
    assert seen == [b"10"]
    assert fake.objects[SLOT].body == b"11"


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_update_ends_after_max_attempts_with_object_changed(max_attempts: int) -> None:
    """The rival's last content stays."""
    fake = FakeS3("bucket", fault=rival_on_each("PUT", [b"%d" % n for n in range(100, 200)]))
    fake.put(*SLOT, b"1")
    calls: list[bytes] = []
    with ScriptedServer(handler=fake) as server, pytest.raises(ObjectChangedError):
        filesystem(server.url).update(
            PATH, lambda old: calls.append(old) or increment(old), max_attempts=max_attempts
        )
    assert len(calls) == max_attempts
    assert fake.objects[SLOT].body == b"%d" % (99 + max_attempts)


@pytest.mark.parametrize("max_attempts", [0, -1])
def test_less_than_one_attempt_is_a_value_error_and_asks_nothing(max_attempts: int) -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        with pytest.raises(ValueError, match="max_attempts"):
            filesystem(server.url).update(PATH, increment, max_attempts=max_attempts)
        assert server.requests == []


def test_error_of_the_function_passes_and_nothing_is_written() -> None:
    fake = FakeS3("bucket")
    stored = fake.put(*SLOT, b"not a number")
    with ScriptedServer(handler=fake) as server:
        with pytest.raises(ValueError, match="invalid literal"):
            filesystem(server.url).update(PATH, increment)
        assert not named(server, "PUT")
    assert fake.objects[SLOT] is stored


def test_object_changed_error_of_the_function_itself_passes_at_once() -> None:
    """It speaks of something else, of which another attempt knows no more."""
    calls: list[bytes] = []

    def fails(old: bytes) -> bytes:
        calls.append(old)
        raise ObjectChangedError("of another object")

    fake = FakeS3("bucket")
    fake.put(*SLOT, b"1")
    with ScriptedServer(handler=fake) as server, pytest.raises(ObjectChangedError, match="of another"):
        filesystem(server.url).update(PATH, fails, max_attempts=3)
    assert len(calls) == 1


@pytest.mark.parametrize("result", ["text", None, 5, [b"a"]])
def test_function_that_returns_no_bytes_is_a_type_error_and_nothing_is_written(result: Any) -> None:
    fake = FakeS3("bucket")
    stored = fake.put(*SLOT, b"1")
    with ScriptedServer(handler=fake) as server:
        with pytest.raises(TypeError, match=f"must return bytes, not {type(result).__name__}"):
            filesystem(server.url).update(PATH, lambda old: result)
        assert not named(server, "PUT")
    assert fake.objects[SLOT] is stored


def test_update_of_a_missing_key_is_file_not_found_and_creates_nothing() -> None:
    fake = FakeS3("bucket")
    called: list[bytes] = []
    with ScriptedServer(handler=fake) as server, pytest.raises(FileNotFoundError):
        filesystem(server.url).update(PATH, lambda old: called.append(old) or b"new")
    assert called == []
    assert not fake.objects


def test_object_deleted_while_the_function_runs_is_file_not_found_and_stays_deleted() -> None:
    fake = FakeS3("bucket")
    fake.put(*SLOT, b"1")

    def deletes(old: bytes) -> bytes:
        fake.objects.clear()
        return b"2"

    with ScriptedServer(handler=fake) as server, pytest.raises(FileNotFoundError):
        filesystem(server.url).update(PATH, deletes)
    assert not fake.objects


@pytest.mark.parametrize("max_attempts", [1, 5])
def test_update_whose_answer_is_lost_is_applied_once(max_attempts: int) -> None:
    calls: list[bytes] = []
    fake = FakeS3("bucket", after=lose("PUT"))
    fake.put(*SLOT, b"1")
    with ScriptedServer(handler=fake) as server:
        etag = filesystem(server.url, max_attempts=max_attempts).update(
            PATH, lambda old: calls.append(old) or increment(old)
        )
    assert fake.objects[SLOT].body == b"2"
    assert fake.objects[SLOT].etag == etag
    assert calls == [b"1"]


def test_lost_answer_and_another_version_there_is_unknown_and_not_tried_again() -> None:
    """A rival may have built upon our increment: another attempt could count it twice."""

    def after(request: Request, reply: Reply) -> Answer | None:
        if request.method != "PUT" or reply.status != 200:
            return None
        fake.put(*SLOT, increment(fake.objects[SLOT].body))  # the rival counts on from our 2
        return close()

    fake = FakeS3("bucket", after=after)
    fake.put(*SLOT, b"1")
    calls: list[bytes] = []
    with ScriptedServer(handler=fake) as server, pytest.raises(WriteOutcomeUnknownError) as caught:
        filesystem(server.url).update(PATH, lambda old: calls.append(old) or increment(old))
    assert caught.value.maybe_applied
    assert calls == [b"1"]
    assert fake.objects[SLOT].body == b"3"


@pytest.mark.parametrize(
    "answer", [s3_error(409, "ConditionalRequestConflict"), s3_error(500, "InternalError"), close()]
)
def test_put_that_fails_once_is_sent_again_and_counted_once(answer: Answer) -> None:
    fake = FakeS3("bucket", fault=once("PUT", answer))
    fake.put(*SLOT, b"1")
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).update(PATH, increment)
    assert fake.objects[SLOT].body == b"2"


def test_put_that_is_forbidden_is_permission_error_and_not_repeated() -> None:
    fake = FakeS3("bucket", fault=always("PUT", s3_error(403, "AccessDenied")))
    stored = fake.put(*SLOT, b"1")
    with ScriptedServer(handler=fake) as server:
        with pytest.raises(PermissionError):
            filesystem(server.url).update(PATH, increment)
        assert len(named(server, "PUT")) == 1
    assert fake.objects[SLOT] is stored


def test_update_keeps_metadata_and_type_and_shows_no_token() -> None:
    fake = FakeS3("bucket")
    stored = fake.put(*SLOT, b"1", owner="me")
    stored.headers["content-type"] = "application/x-counter"  # type: ignore[index]
    stored.headers["content-encoding"] = "identity"  # type: ignore[index]
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        fs.update(PATH, increment)
        fs.update(PATH, increment)
        info = fs.info(PATH)
    assert info["metadata"] == {"owner": "me"}
    assert info["ContentType"] == "application/x-counter"
    assert fake.objects[SLOT].headers["content-encoding"] == "identity"


def test_update_keeps_tags_on_moto(moto: Any) -> None:
    fs = filesystem(moto.url, key=moto.key, secret=moto.secret)
    bucket = f"update-{uuid.uuid4().hex}"
    fs.mkdir(bucket)
    s3 = boto3.client(
        "s3",
        endpoint_url=moto.url,
        region_name="us-east-1",
        aws_access_key_id=moto.key,
        aws_secret_access_key=moto.secret,
    )
    s3.put_object(Bucket=bucket, Key="n", Body=b"1", Tagging="team=x")
    fs.update(f"{bucket}/n", increment)
    assert s3.get_object_tagging(Bucket=bucket, Key="n")["TagSet"] == [{"Key": "team", "Value": "x"}]
