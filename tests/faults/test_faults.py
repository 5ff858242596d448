"""What the guards promise while the store, the network or a rival misbehaves."""

import contextlib
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from hashlib import md5
from pathlib import Path

import pytest

from fsspec_guarded_s3 import (
    AccessDeniedError,
    ConflictError,
    IncompleteBodyError,
    ObjectChangedError,
    PreconditionUnsupportedError,
    ProtocolError,
    ReadTimeoutError,
    SendTimeoutError,
    ServerError,
    WriteOutcomeUnknownError,
)
from fsspec_guarded_s3._http import transport
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.faults.inject import STALLS, Broken, let_time_pass_where_the_fault_is
from tests.opening import MIB, filesystem
from tests.scripted_server import (
    Answer,
    Reply,
    Request,
    ScriptedServer,
    Step,
    close,
    close_before_body,
    cut,
    dont_read,
    expects,
    respond,
    s3_error,
    stall,
    stall_body,
    trickle,
)
from tests.single_faults import always, changed, lose, named, once, operation, short_pauses  # noqa: F401

PATH = "bucket/key"
TEN = b"0123456789"
LARGE = bytes(range(256)) * (6 * MIB // 256)
PARTS = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}


# --- conditional PUT ---


@pytest.mark.parametrize("max_attempts", [1, 5])
def test_create_whose_response_is_lost_succeeds_by_the_write_token(max_attempts: int) -> None:
    fake = FakeS3("bucket", after=lose("PUT"))
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, max_attempts=max_attempts).pipe_file(PATH, TEN, mode="create")
        assert fake.objects["bucket", "key"].body == TEN
        assert len(named(server, "HEAD")) == 1
        assert {request.headers["if-none-match"] for request in named(server, "PUT")} == {"*"}
        assert len({request.headers["x-amz-meta-gs3-write-token"] for request in named(server, "PUT")}) == 1


def test_swap_whose_response_is_lost_succeeds_by_the_write_token() -> None:
    fake = FakeS3("bucket", after=lose("PUT"))
    old = fake.put("bucket", "key", b"old")
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).pipe_file(PATH, TEN, if_match=old.etag)
    assert fake.objects["bucket", "key"].body == TEN


@pytest.mark.parametrize("max_attempts", [1, 5])
def test_create_lost_and_a_rival_there_is_file_exists_error(max_attempts: int) -> None:
    """Same bytes or not: without our token it is the rival's object."""

    def rival_wins(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "PUT" and not fake.objects:
            fake.put("bucket", "key", TEN)
            return close()
        return None

    fake = FakeS3("bucket", fault=rival_wins)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_attempts=max_attempts)
        with pytest.raises(FileExistsError):
            fs.pipe_file(PATH, TEN, mode="create")
        assert not fs.put_if_absent(PATH, TEN)
    assert "gs3-write-token" not in fake.objects["bucket", "key"].metadata


def test_swap_lost_and_a_rival_there_is_object_changed_or_unknown() -> None:
    """A rival replaced the object while our answer was lost: never success."""

    def rival_wins(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "PUT" and fake.objects["bucket", "key"].body == b"old":
            fake.put("bucket", "key", b"rival")
            return close()
        return None

    fake = FakeS3("bucket", fault=rival_wins)
    old = fake.put("bucket", "key", b"old")
    with ScriptedServer(handler=fake) as server, pytest.raises(ObjectChangedError):
        filesystem(server.url).pipe_file(PATH, TEN, if_match=old.etag)
    assert fake.objects["bucket", "key"].body == b"rival"


@pytest.mark.parametrize(
    "looks",
    [
        [
            Step(s3_error(404, "NoSuchKey"), expects("HEAD")),
            Step(s3_error(403, "AccessDenied"), expects("GET")),
        ],
        [
            Step(s3_error(403, "AccessDenied"), expects("HEAD")),
            Step(s3_error(403, "AccessDenied"), expects("GET")),
        ],
        [Step(s3_error(500, "InternalError"), expects("HEAD"))],
    ],
    ids=["404", "403", "500"],
)
def test_lost_create_without_proof_is_write_outcome_unknown(looks: list[Step]) -> None:
    """A 404 to HEAD, which has no body, is looked into: a listing tells that it is a store that answers."""
    steps = [Step(close(), expects("PUT", "/bucket/key")), *looks]
    with ScriptedServer(steps) as server:
        with pytest.raises(WriteOutcomeUnknownError) as caught:
            filesystem(server.url, max_attempts=1).pipe_file(PATH, TEN, mode="create")
        assert caught.value.maybe_applied
        assert caught.value.key == "key"
        assert isinstance(caught.value.__cause__, IncompleteBodyError)


def test_plain_complete_that_is_lost_beside_equal_bytes_leaves_no_upload() -> None:
    """Another writer published the same bytes in the same parts: that is success, and our upload goes."""

    def rival_writes_the_same(request: Request, fake: FakeS3) -> Answer | None:
        if operation(request) != "Complete":
            return None
        digests = b"".join(md5(piece).digest() for piece in (data[: 5 * MIB], data[5 * MIB :]))
        same = fake.put("bucket", "key", data)
        fake.objects["bucket", "key"] = replace(same, etag=f'"{md5(digests).hexdigest()}-2"')
        return close()

    data = period_free(6 * MIB)
    fake = FakeS3("bucket", fault=rival_writes_the_same)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_attempts=1, part_size=5 * MIB, multipart_threshold=5 * MIB)
        fs.pipe_file(PATH, data)
    assert not fake.uploads


def test_lost_plain_put_without_proof_is_write_outcome_unknown() -> None:
    fake = FakeS3("bucket", fault=always("PUT", close()))
    fake.put("bucket", "key", b"old")
    with ScriptedServer(handler=fake) as server, pytest.raises(WriteOutcomeUnknownError):
        filesystem(server.url, max_attempts=2).pipe_file(PATH, TEN)


@pytest.mark.parametrize(
    "answer",
    [
        s3_error(409, "ConditionalRequestConflict"),
        s3_error(500, "InternalError"),
        s3_error(503, "SlowDown"),
        s3_error(503, "ServiceUnavailable"),
        s3_error(400, "RequestTimeout"),
        close(),
        close_before_body(),
    ],
)
def test_put_that_failed_once_is_retried(answer: Answer) -> None:
    fake = FakeS3("bucket", fault=once("PUT", answer))
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url).pipe_file(PATH, TEN, mode="create")
        assert len(named(server, "PUT")) == 2
    assert fake.objects["bucket", "key"].body == TEN


@pytest.mark.parametrize("answer", [s3_error(500, "InternalError"), s3_error(503, "SlowDown"), close()])
def test_get_that_failed_once_is_retried(answer: Answer) -> None:
    fake = FakeS3("bucket", fault=once("GET", answer))
    fake.put("bucket", "key", TEN)
    with ScriptedServer(handler=fake) as server:
        assert filesystem(server.url).cat_file(PATH) == TEN
        assert len(named(server, "GET")) == 2


def test_attempts_end_at_max_attempts() -> None:
    fake = FakeS3("bucket", fault=always("GET", s3_error(500, "InternalError")))
    with ScriptedServer(handler=fake) as server:
        with pytest.raises(ServerError):
            filesystem(server.url, max_attempts=3).cat_file(PATH)
        assert len(named(server, "GET")) == 3


# --- multipart ---


@pytest.mark.parametrize("mode", ["create", "overwrite"])
@pytest.mark.parametrize("replay_ok", [True, False])
def test_complete_whose_response_is_lost_succeeds(mode: str, replay_ok: bool) -> None:
    """Also where the replay of Complete is answered with NoSuchUpload."""
    fake = FakeS3("bucket", after=lose("Complete"), replay_ok=replay_ok)
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, **PARTS).pipe_file(PATH, LARGE, mode=mode)
        assert len(named(server, "Complete")) == 2
        assert not named(server, "Abort")
    assert fake.objects["bucket", "key"].body == LARGE
    assert not fake.uploads


def test_complete_that_finds_the_key_taken_is_file_exists_and_leaves_no_upload() -> None:
    def rival(request: Request, fake: FakeS3) -> Answer | None:
        if operation(request) == "Complete":
            fake.put("bucket", "key", b"rival")
        return None

    fake = FakeS3("bucket", fault=rival)
    with ScriptedServer(handler=fake) as server, pytest.raises(FileExistsError):
        filesystem(server.url, **PARTS).pipe_file(PATH, LARGE, mode="create")
    assert fake.objects["bucket", "key"].body == b"rival"
    assert not fake.uploads


def test_complete_that_answers_200_with_internal_error_is_retried() -> None:
    spoiled = replace(s3_error(200, "InternalError"), status=200)
    fake = FakeS3("bucket", fault=once("Complete", spoiled))
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, **PARTS).pipe_file(PATH, LARGE, mode="create")
        assert len(named(server, "Complete")) == 2
    assert fake.objects["bucket", "key"].body == LARGE


def test_complete_that_answers_200_with_another_error_is_that_error_and_aborts() -> None:
    fake = FakeS3("bucket", fault=always("Complete", s3_error(200, "AccessDenied")))
    with ScriptedServer(handler=fake) as server, pytest.raises(PermissionError):
        filesystem(server.url, **PARTS).pipe_file(PATH, LARGE)
    assert not fake.objects
    assert not fake.uploads


@pytest.mark.parametrize("answer", [s3_error(500, "InternalError"), close()])
def test_complete_that_was_never_applied_is_a_definite_failure(answer: Answer) -> None:
    """The upload is still open, which proves that it was not completed; once aborted it never will be."""
    fake = FakeS3("bucket", fault=always("Complete", answer))
    with ScriptedServer(handler=fake) as server, pytest.raises((ServerError, IncompleteBodyError)) as caught:
        filesystem(server.url, max_attempts=2, **PARTS).pipe_file(PATH, LARGE, mode="create")
    assert not caught.value.maybe_applied
    assert not fake.objects
    assert not fake.uploads


def test_complete_without_proof_is_write_outcome_unknown_and_leaves_no_upload() -> None:
    """The answer is lost, the upload is gone, and so is the object by the time that we look."""

    def after(request: Request, reply: Reply) -> Answer | None:
        if operation(request) != "Complete":
            return None
        fake.objects.clear()
        return close()

    fake = FakeS3("bucket", after=after)
    with ScriptedServer(handler=fake) as server, pytest.raises(WriteOutcomeUnknownError):
        filesystem(server.url, max_attempts=2, **PARTS).pipe_file(PATH, LARGE, mode="create")
    assert not fake.objects
    assert not fake.uploads


@pytest.mark.parametrize("mode", ["create", "overwrite"])
def test_conflict_on_complete_starts_the_upload_again(mode: str) -> None:
    """409 on Complete: that upload is lost for good; the parts are sent again from memory."""
    fake = FakeS3("bucket", fault=once("Complete", s3_error(409, "ConditionalRequestConflict")))
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, **PARTS).pipe_file(PATH, LARGE, mode=mode)
        assert len(named(server, "CreateMultipartUpload")) == 2
    assert fake.objects["bucket", "key"].body == LARGE
    assert not fake.uploads


def test_conflict_on_complete_of_a_stream_says_that_the_parts_are_gone() -> None:
    fake = FakeS3("bucket", fault=once("Complete", s3_error(409, "ConditionalRequestConflict")))
    with ScriptedServer(handler=fake) as server:
        file = filesystem(server.url, **PARTS).open(PATH, "xb")
        file.write(LARGE)
        with pytest.raises(ConflictError, match="write the object again"):
            file.close()
    assert not fake.objects
    assert not fake.uploads


def test_part_that_fails_once_is_sent_again() -> None:
    fake = FakeS3("bucket", fault=once("UploadPart", s3_error(500, "InternalError")))
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, **PARTS).pipe_file(PATH, LARGE)
    assert fake.objects["bucket", "key"].body == LARGE


def test_part_that_fails_for_good_aborts_and_the_first_error_stays() -> None:
    """A later close() raises the same error and publishes nothing."""

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        bad = operation(request) == "UploadPart" and request.query["partNumber"] == "2"
        return s3_error(403, "AccessDenied") if bad else None

    fake = FakeS3("bucket", fault=fault)
    with ScriptedServer(handler=fake) as server:
        file = filesystem(server.url, max_concurrency=1, **PARTS).open(PATH, "wb")
        with pytest.raises(PermissionError) as first:
            for _ in range(6):
                file.write(bytes(5 * MIB))
        with pytest.raises(PermissionError) as again:
            file.write(b"more")
        with pytest.raises(PermissionError) as last:
            file.close()
        assert first.value is again.value is last.value
        assert file.state == "ABORTED"
        assert not named(server, "Complete")
    assert not fake.objects
    assert not fake.uploads


def test_upload_file_whose_part_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(LARGE)
    fake = FakeS3("bucket", fault=always("UploadPart", s3_error(403, "AccessDenied")))
    with ScriptedServer(handler=fake) as server, pytest.raises(PermissionError):
        filesystem(server.url, **PARTS).put_file(tmp_path / "local", PATH)
    assert not fake.objects
    assert not fake.uploads


# --- pinned reads ---


def test_body_cut_half_way_is_resumed_at_the_next_byte_under_the_same_pin() -> None:
    headers = {"Content-Range": "bytes 0-9/10"}
    rest = {"Content-Range": "bytes 4-9/10"}
    steps = [
        Step(respond(200, TEN, etag="one"), expects("HEAD")),
        Step(
            cut(206, TEN, after=4, etag="one", headers=headers),
            expects("GET", headers={"range": "bytes=0-9", "if-match": '"one"'}),
        ),
        Step(
            respond(206, TEN[4:], etag="one", headers=rest),
            expects("GET", headers={"range": "bytes=4-9", "if-match": '"one"'}),
        ),
    ]
    with ScriptedServer(steps) as server:
        with filesystem(server.url).open(PATH, cache_type="none") as file:
            assert file.read() == TEN
        assert len(server.requests) == 3


def test_body_cut_half_way_of_a_whole_read_gives_whole_bytes() -> None:
    steps = [
        Step(cut(200, TEN, after=4, etag="one")),
        Step(
            respond(206, TEN[4:], etag="one", headers={"Content-Range": "bytes 4-9/10"}),
            expects("GET", headers={"range": "bytes=4-9", "if-match": '"one"'}),
        ),
    ]
    with ScriptedServer(steps) as server:
        assert filesystem(server.url).cat_file(PATH) == TEN


def test_object_replaced_after_the_cut_is_object_changed() -> None:
    steps = [
        Step(cut(206, TEN, after=4, etag="one", headers={"Content-Range": "bytes 0-9/10"})),
        Step(s3_error(412, "PreconditionFailed")),
    ]
    with ScriptedServer(steps) as server:
        with pytest.raises(ObjectChangedError):
            filesystem(server.url).open(PATH).read()
        assert len(server.requests) == 2


def replaced_at(start: int) -> Callable[[Request, FakeS3], Answer | None]:
    """The object gets new bytes of equal length before the range from `start` is read."""

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "GET" and request.headers.get("range", "").startswith(f"bytes={start}-"):
            fake.put("bucket", "key", b"x" * 100)
        return None

    return fault


@pytest.mark.parametrize("ignore_conditions", [False, True])
def test_object_replaced_under_an_open_file_is_object_changed(ignore_conditions: bool) -> None:
    """Also on a store that ignores If-Match: the ETag of the response shows it."""
    fake = FakeS3("bucket", ignore_conditions=ignore_conditions)
    fake.put("bucket", "key", TEN * 10)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        with fs.open(PATH, block_size=10, cache_type="none") as file:
            assert file.read(10) == TEN
            fake.put("bucket", "key", b"x" * 100)
            with pytest.raises(ObjectChangedError):
                file.read(10)


@pytest.mark.parametrize("ignore_conditions", [False, True])
def test_object_replaced_during_a_large_cat_file_is_object_changed(ignore_conditions: bool) -> None:
    fake = FakeS3("bucket", fault=replaced_at(40), ignore_conditions=ignore_conditions)
    fake.put("bucket", "key", TEN * 10)
    with ScriptedServer(handler=fake) as server, pytest.raises(ObjectChangedError):
        filesystem(server.url, range_size=20, max_concurrency=1).cat_file(PATH)


def test_object_replaced_during_cat_ranges_is_object_changed() -> None:
    fake = FakeS3("bucket", fault=replaced_at(40))
    fake.put("bucket", "key", TEN * 10)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_concurrency=1)
        with pytest.raises(ObjectChangedError):
            fs.cat_ranges([PATH] * 2, [0, 40], [10, 50], on_error="raise", max_gap=0)
        fake.put("bucket", "key", TEN * 10)
        first, second = fs.cat_ranges([PATH] * 2, [0, 40], [10, 50], max_gap=0)
        assert first == TEN
        assert isinstance(second, ObjectChangedError)


@pytest.mark.parametrize("ignore_conditions", [False, True])
def test_store_whose_get_claims_another_etag_is_object_changed(ignore_conditions: bool) -> None:
    fake = FakeS3("bucket", ignore_conditions=ignore_conditions, etag_override="other")
    fake.put("bucket", "key", TEN)
    with ScriptedServer(handler=fake) as server:
        file = filesystem(server.url).open(PATH, cache_type="none")  # HeadObject tells the pin
        with pytest.raises(ObjectChangedError):
            file.read(3)


def test_store_that_ignores_ranges_gives_an_error_and_never_wrong_bytes(tmp_path: Path) -> None:
    fake = FakeS3("bucket", ignore_range=True)
    fake.put("bucket", "key", TEN * 10)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_attempts=1, range_size=20)
        with pytest.raises(ProtocolError):
            fs.cat_file(PATH, 2, 5)
        with pytest.raises(ProtocolError):
            fs.cat_file(PATH)
        with pytest.raises(ProtocolError):
            fs.get_file(PATH, tmp_path / "local")
        assert filesystem(server.url, max_attempts=1).cat_file(PATH) == TEN * 10
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["HEAD", "GET"])
def test_missing_etag_is_precondition_unsupported(name: str) -> None:
    fake = FakeS3("bucket", after=changed(name, etag=None))
    fake.put("bucket", "key", TEN)
    reads = {"HEAD": lambda fs: fs.open(PATH, cache_type="none"), "GET": lambda fs: fs.cat_file(PATH, 2, 5)}
    with ScriptedServer(handler=fake) as server, pytest.raises(PreconditionUnsupportedError):
        reads[name](filesystem(server.url))


def test_missing_etag_of_a_large_whole_read_is_precondition_unsupported() -> None:
    fake = FakeS3("bucket", after=changed("GET", etag=None))
    fake.put("bucket", "key", TEN * 10)
    with ScriptedServer(handler=fake) as server, pytest.raises(PreconditionUnsupportedError):
        filesystem(server.url, range_size=20).cat_file(PATH)


@pytest.mark.parametrize(
    "wrong", ["bytes 3-5/10", "bytes 2-5/10", "bytes 2-3/10", "bytes */10", "nonsense", "items 2-4/10", None]
)
def test_wrong_content_range_is_protocol_error(wrong: str | None) -> None:
    fake = FakeS3("bucket", after=changed("GET", content_range=wrong))
    fake.put("bucket", "key", TEN)
    with ScriptedServer(handler=fake) as server, pytest.raises(ProtocolError):
        filesystem(server.url, max_attempts=1).cat_file(PATH, 2, 5)


def test_first_range_of_a_whole_read_that_is_another_is_protocol_error() -> None:
    """The bytes of another range must not be taken for the first ones."""
    fake = FakeS3("bucket", after=changed("GET", content_range="bytes 5-14/100"))
    fake.put("bucket", "key", TEN * 10)
    with ScriptedServer(handler=fake) as server, pytest.raises(ProtocolError):
        filesystem(server.url, max_attempts=1).cat_file(PATH)


# --- get_file ---


def test_get_file_restarts_once_when_the_object_is_replaced(tmp_path: Path) -> None:
    left = [b"new" * 40]

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.headers.get("if-match") and left:  # a range behind the first answer
            fake.put("bucket", "key", left.pop())
        return None

    fake = FakeS3("bucket", fault=fault)
    fake.put("bucket", "key", TEN * 10)
    with ScriptedServer(handler=fake) as server:
        filesystem(server.url, range_size=50).get_file(PATH, tmp_path / "local")
        assert not left
    assert (tmp_path / "local").read_bytes() == b"new" * 40
    assert [entry.name for entry in tmp_path.iterdir()] == ["local"]


def test_get_file_replaced_twice_is_object_changed_and_keeps_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"old")
    count = [0]

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if request.method == "GET":
            count[0] += 1
            fake.put("bucket", "key", b"%d" % count[0] * 100)
        return None

    fake = FakeS3("bucket", fault=fault)
    fake.put("bucket", "key", TEN * 10)
    with ScriptedServer(handler=fake) as server, pytest.raises(ObjectChangedError):
        filesystem(server.url, range_size=50, max_concurrency=1).get_file(PATH, tmp_path / "local")
    assert (tmp_path / "local").read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["local"]


def test_get_file_that_breaks_keeps_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"old")
    fake = FakeS3("bucket", fault=always("GET", close()))
    fake.put("bucket", "key", TEN)
    with ScriptedServer(handler=fake) as server, pytest.raises(IncompleteBodyError):
        filesystem(server.url, max_attempts=2).get_file(PATH, tmp_path / "local")
    assert (tmp_path / "local").read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["local"]


# --- stalls ---


# By handlers, and not by steps: who gives up soon may have left before the server has seen the connection.


@pytest.mark.parametrize("answer", [stall(), stall_body(200, TEN, after=4, etag="one")])
def test_stall_before_the_head_or_in_the_body_is_read_timeout(answer: Answer) -> None:
    with ScriptedServer(handler=lambda _: answer) as server, pytest.raises(ReadTimeoutError) as caught:
        filesystem(server.url, read_timeout=0.3, max_attempts=1).cat_file(PATH)
    assert isinstance(caught.value, TimeoutError)


def test_stall_in_the_body_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    let_time_pass_where_the_fault_is(monkeypatch)
    stalls = iter([True])
    fake = FakeS3("bucket", after=lambda _, reply: Broken(reply, "stall") if next(stalls, False) else None)
    fake.put("bucket", "key", TEN)
    with ScriptedServer(handler=fake) as server:
        assert filesystem(server.url, **STALLS).cat_file(PATH, 0, 10) == TEN
        _first, resumed = named(server, "GET")
        assert (resumed.headers["range"], "if-match" in resumed.headers) == ("bytes=5-9", True)


def test_trickle_is_ended_by_the_minimum_rate() -> None:
    """No single read times out, yet the body would take for ever."""
    answer = trickle(200, bytes(100_000), interval=0.02, etag="one")
    with (
        ScriptedServer(handler=lambda _: answer) as server,
        pytest.raises(ReadTimeoutError, match="min_rate"),
    ):
        filesystem(server.url, min_rate=1024.0, min_rate_window=0.3, max_attempts=1).cat_file(PATH)


def test_trickle_is_ended_by_the_deadline_of_the_request() -> None:
    answer = trickle(200, bytes(100_000), interval=0.02, etag="one")
    with ScriptedServer(handler=lambda _: answer) as server, pytest.raises(ReadTimeoutError):
        filesystem(server.url, min_rate=0.0, request_deadline=0.5).cat_file(PATH)


@pytest.mark.parametrize("mode", ["create", "overwrite"])
def test_send_stall_is_send_timeout(mode: str) -> None:
    """What was not sent to its end cannot have been applied: no doubt is left, and no HEAD is needed."""
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake, before_body=lambda _: dont_read(), receive_buffer=4096) as server:
        fs = filesystem(server.url, send_timeout=0.3, max_attempts=1)
        with pytest.raises(SendTimeoutError) as caught:
            fs.pipe_file(PATH, bytes(16 * MIB), mode=mode)
        assert not caught.value.maybe_applied
        assert [request.method for request in server.requests] in ([], ["PUT"])


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="needs Linux")
@pytest.mark.parametrize("verb", ["pipe_file", "put_file"])
def test_send_stall_that_the_kernel_sees_first_is_send_timeout(
    verb: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It counts the same seconds from a moment before, and closes the connection."""
    soon = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100)
    monkeypatch.setattr(transport, "socket_options_of", lambda options: [soon])
    data, local = bytes(16 * MIB), tmp_path / "local"
    local.write_bytes(data)
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake, before_body=lambda _: dont_read(), receive_buffer=4096) as server:
        fs = filesystem(server.url, max_attempts=1, multipart_threshold=64 * MIB)
        with pytest.raises(SendTimeoutError, match="stopped taking the request") as caught:
            fs.pipe_file(PATH, data) if verb == "pipe_file" else fs.put_file(local, PATH)
        assert not caught.value.maybe_applied


# --- corrections ---


@pytest.mark.parametrize(
    "wrong",
    [
        s3_error(301, "PermanentRedirect", headers={"x-amz-bucket-region": "eu-west-1"}),
        s3_error(400, "AuthorizationHeaderMalformed", headers={"x-amz-bucket-region": "eu-west-1"}),
        respond(
            400,
            b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>",
        ),
    ],
)
def test_wrong_region_is_followed_once_and_remembered(wrong: Answer) -> None:
    right = Step(respond(200, TEN, etag="one"))
    with ScriptedServer([Step(wrong), right, right]) as server:
        fs = filesystem(server.url)
        assert fs.cat_file(PATH) == TEN
        assert fs.cat_file(PATH) == TEN
        regions = [request.headers["authorization"].split("/")[2] for request in server.requests]
        assert regions == ["us-east-1", "eu-west-1", "eu-west-1"]


def test_wrong_region_twice_is_an_error() -> None:
    first, second = (
        s3_error(301, "PermanentRedirect", headers={"x-amz-bucket-region": region})
        for region in ("eu-west-1", "eu-west-2")
    )
    with ScriptedServer([Step(first), Step(second), Step(first)]) as server:
        with pytest.raises(OSError, match="region"):
            filesystem(server.url).cat_file(PATH)
        assert len(server.requests) == 3  # the last as the first: what was told did not help


def test_wrong_clock_is_corrected_once() -> None:
    theirs = datetime.now(timezone.utc) + timedelta(hours=3)
    skewed = s3_error(403, "RequestTimeTooSkewed", headers={"Date": format_datetime(theirs, usegmt=True)})
    right = Step(respond(200, TEN, etag="one"))
    # The second call learns nothing new from the same answer: it is not repeated.
    with ScriptedServer([Step(skewed), right, Step(skewed)]) as server:
        fs = filesystem(server.url)
        assert fs.cat_file(PATH) == TEN
        stamp = datetime.strptime(server.requests[1].headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
        assert abs(stamp.replace(tzinfo=timezone.utc) - theirs) < timedelta(minutes=2)
        with pytest.raises(PermissionError, match="clock"):
            fs.cat_file(PATH)


@pytest.mark.parametrize("correction", ["clock", "region"])
def test_lost_create_is_remembered_when_clock_or_region_are_corrected(correction: str) -> None:
    """The first attempt was applied and its answer lost; the 412 after the correction is our own object."""
    theirs = format_datetime(datetime.now(timezone.utc) + timedelta(hours=3), usegmt=True)
    refusal = {
        "clock": s3_error(403, "RequestTimeTooSkewed", headers={"Date": theirs}),
        "region": s3_error(301, "PermanentRedirect", headers={"x-amz-bucket-region": "eu-west-1"}),
    }[correction]
    puts: list[Request] = []

    def second_is_refused(request: Request, fake: FakeS3) -> Answer | None:
        puts.extend([request] if request.method == "PUT" else [])
        return refusal if request is puts[-1] and len(puts) == 2 else None

    fake = FakeS3("bucket", fault=second_is_refused, after=lose("PUT"))
    with ScriptedServer(handler=fake) as server:
        assert filesystem(server.url).put_if_absent(PATH, TEN) is True
        assert len(named(server, "PUT")) == 3 and len(named(server, "HEAD")) == 1


# --- denials ---


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException"])
def test_expired_token_is_permission_error_that_names_the_remedy(code: str) -> None:
    with ScriptedServer([Step(s3_error(400, code))]) as server:
        with pytest.raises(PermissionError, match="sign in again") as caught:
            filesystem(server.url).cat_file(PATH)
        assert caught.value.code == code
        assert caught.value.request_id == "SCRIPTED"


def test_403_is_permission_error_and_never_absent() -> None:
    refusal = s3_error(403, "AccessDenied")
    fake = FakeS3(
        "bucket", fault=lambda request, fake: refusal if request.method in ("HEAD", "GET") else None
    )
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        for ask in (fs.info, fs.exists, fs.isfile, fs.open, fs.size):
            with pytest.raises(AccessDeniedError):
                ask(PATH)
        fs.open(PATH, "xb").discard()  # who may write need not be allowed to look
    assert not fake.objects


def test_failed_write_keeps_the_old_object() -> None:
    fake = FakeS3("bucket", fault=always("PUT", s3_error(403, "AccessDenied")))
    fake.put("bucket", "key", b"old")
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        with pytest.raises(PermissionError):
            fs.pipe_file(PATH, TEN)
        with contextlib.suppress(PermissionError), fs.open(PATH, "wb") as file:
            file.write(TEN)
        assert fs.cat_file(PATH) == b"old"
