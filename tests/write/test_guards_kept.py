"""What was found out about a store: for whom it counts, how long, what it costs, and what it leaves."""

import contextlib
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError, PreconditionUnsupportedError
from fsspec_guarded_s3._s3 import store_facts
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import (
    Answer,
    Request,
    ScriptedServer,
    close,
    respond,
    s3_error,
    stall,
)
from tests.single_faults import short_pauses  # noqa: F401

PATH = "bucket/folder/key"
SLOT = ("bucket", "folder/key")
LARGE = period_free(6 * MIB)


def of_probe(request: Request) -> bool:
    return ".gs3-probe-" in request.target or b".gs3-probe-" in request.body


@contextlib.contextmanager
def store(fake: FakeS3, **options: Any) -> Iterator[tuple[ScriptedServer, GuardedS3FileSystem]]:
    given = {"probe": "auto", "part_size": 5 * MIB, "multipart_threshold": 5 * MIB, **options}
    with ScriptedServer(handler=fake) as server:
        yield server, filesystem(server.url, **given)
    assert [key for _, key in fake.objects if ".gs3-probe-" in key] == []
    assert not fake.uploads


# --- how long ---


def test_a_store_that_changes_its_mind_is_found_out_within_the_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """A "yes" and a "no" are tried again; until then the answer counts, and costs nothing."""

    def let_time_pass() -> None:
        for facts in store_facts._all.values():
            facts.guards = {
                name: (found, when - store_facts.GUARD_SECONDS)
                for name, (found, when) in facts.guards.items()
            }

    fake = FakeS3("bucket")
    with store(fake) as (server, fs):
        assert fs.put_if_absent(PATH, b"1")
        tried = sum(map(of_probe, server.requests))
        assert not fs.put_if_absent(PATH, b"2")
        assert sum(map(of_probe, server.requests)) == tried
        let_time_pass()
        fake.ignore_conditions = True
        with pytest.raises(PreconditionUnsupportedError):
            fs.put_if_absent(PATH, b"3")
        let_time_pass()
        fake.ignore_conditions = False
        assert not fs.put_if_absent(PATH, b"4")
        assert fs.put_if_absent("bucket/folder/another", b"5")
    assert fake.objects[SLOT].body == b"1"


# --- for whom ---


def test_stores_behind_profiles_with_endpoints_of_their_own_are_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One name of a bucket, no option `endpoint_url`: the answer of one says nothing about the other."""
    honest, other = FakeS3("bucket"), FakeS3("bucket", ignore_conditions=True)
    rival = other.put(*SLOT, b"rival")
    with ScriptedServer(handler=honest) as one, ScriptedServer(handler=other) as two:
        lines = [
            f"[profile {name}]\nendpoint_url={server.url}\nregion=us-east-1\n"
            "aws_access_key_id=x\naws_secret_access_key=y\n"
            for name, server in (("one", one), ("two", two))
        ]
        (tmp_path / "config").write_text("".join(lines))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        first = GuardedS3FileSystem(profile="one", skip_instance_cache=True)
        second = GuardedS3FileSystem(profile="two", skip_instance_cache=True)
        assert first.put_if_absent(PATH, b"ours")
        with pytest.raises(PreconditionUnsupportedError):
            second.put_if_absent(PATH, b"ours")
    assert other.objects == {SLOT: rival}


def test_an_answer_counts_for_every_filesystem_that_goes_to_the_same_place() -> None:
    with store(FakeS3("bucket")) as (server, fs):
        assert fs.put_if_absent(PATH, b"x")
        seen = len(server.requests)
        other = filesystem(server.url, probe="auto", region="eu-west-1")
        assert not other.put_if_absent(PATH, b"y")
        assert not any(of_probe(request) for request in server.requests[seen:])


# --- how long ---


@pytest.mark.parametrize(
    "answer",
    [
        s3_error(503, "SlowDown"),
        s3_error(500, "InternalError"),
        s3_error(403, "AccessDenied"),
        s3_error(409, "OperationAborted"),
        close(),
        respond(200, b"<html>sign in</html>"),
        respond(407, b"<html>the proxy wants a password</html>"),
        respond(302, b""),
        respond(451, b"not from here"),
    ],
    ids=["503", "500", "403", "409", "closed", "login page", "407", "302", "451"],
)
@pytest.mark.parametrize("verb", ["create", "swap", "large create", "delete", "copy"])
def test_a_fault_that_passes_during_a_probe_is_not_remembered(answer: Answer, verb: str) -> None:
    fake = FakeS3("bucket")
    etag = fake.put("bucket", "there", b"there").etag
    down = True
    calls: dict[str, Callable[[GuardedS3FileSystem], Any]] = {
        "create": lambda fs: fs.pipe_file(PATH, b"x", mode="create"),
        "large create": lambda fs: fs.pipe_file(PATH, LARGE, mode="create"),
        "swap": lambda fs: fs.pipe_file("bucket/there", b"x", if_match=etag),
        "delete": lambda fs: fs.rm_file("bucket/there", if_match=etag),
        "copy": lambda fs: fs.cp_file("bucket/there", PATH, mode="create"),
    }

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return answer if down and of_probe(request) and request.method in ("PUT", "POST") else None

    fake.fault = fault
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, probe="auto", max_attempts=1, part_size=5 * MIB)
        before = dict(fake.objects)
        with pytest.raises(OSError, match="probe") as failed:
            calls[verb](fs)
        assert not isinstance(failed.value, (FileExistsError, PreconditionUnsupportedError))
        assert not getattr(failed.value, "maybe_applied", False)
        assert {slot for slot in fake.objects if ".gs3-probe" not in slot[1]} == set(before)
        down = False
        calls[verb](fs)
    assert fake.objects != before


def test_an_answer_of_a_probe_that_was_lost_after_it_was_applied_proves_nothing() -> None:
    """The repetition finds the object of the first attempt: 412, for a store that ignores nothing."""
    lost = [close()]
    fake = FakeS3("bucket", after=lambda request, reply: lost.pop() if lost and creates(request) else None)
    with store(fake) as (_, fs):
        with pytest.raises(OSError, match="probe"):
            fs.put_if_absent(PATH, b"x")
        assert fs.put_if_absent(PATH, b"x")


def creates(request: Request) -> bool:
    return of_probe(request) and request.method == "PUT" and "if-none-match" in request.headers


class Gateway(FakeS3):
    """As Ceph RGW: conditions end where versions begin."""

    def __call__(self, request: Request) -> Answer:
        self.tells_versions = self.ignore_conditions = self.versioning.get("bucket") == "Enabled"
        return super().__call__(request)


def test_answers_go_when_the_bucket_gets_versions() -> None:
    fake = Gateway("bucket")
    with store(fake) as (_, fs):
        assert fs.put_if_absent(PATH, b"mine")
        fs.make_bucket_versioned("bucket")
        with pytest.raises(PreconditionUnsupportedError):
            fs.put_if_absent(PATH, b"other")
    assert fake.objects[SLOT].body == b"mine"


@pytest.mark.parametrize("seen", ["write", "HEAD"])
def test_answers_go_when_an_answer_carries_a_version_for_the_first_time(seen: str) -> None:
    """Somebody else switched versions on."""
    fake = Gateway("bucket")
    with store(fake) as (_, fs):
        assert fs.put_if_absent(PATH, b"mine")
        fake.versioning["bucket"] = "Enabled"
        if seen == "write":
            fs.pipe_file("bucket/plain", b"x")
        else:
            fake.after = lambda request, reply: (
                respond(200, headers={**reply.headers, "x-amz-version-id": "v", "Content-Length": "4"})
                if request.method == "HEAD"
                else None
            )
            fs.info(PATH)
            fake.after = None
        with pytest.raises(PreconditionUnsupportedError):
            fs.put_if_absent(PATH, b"other")
    assert fake.objects[SLOT].body == b"mine"


# --- who waits ---


def test_a_store_that_stalls_during_its_probe_delays_no_other() -> None:
    def write() -> None:
        with contextlib.suppress(OSError):
            stalled.put_if_absent(PATH, b"x")

    with ScriptedServer(handler=FakeS3("bucket")) as good:
        healthy = filesystem(good.url, probe="auto")
        healthy.put_if_absent("bucket/a", b"1")
        with ScriptedServer(handler=lambda request: stall(None)) as bad:
            stalled = filesystem(bad.url, probe="auto", read_timeout=60, max_attempts=1)
            thread = threading.Thread(target=write, daemon=True)
            thread.start()
            while not bad.requests:
                thread.join(0.01)
            assert healthy.put_if_absent("bucket/b", b"1")  # known by now
            healthy.pipe_file("bucket/b", b"2", if_match=healthy.info("bucket/b")["ETag"])  # to be tried
            assert thread.is_alive()
        thread.join()


def test_threads_that_wait_for_one_probe_share_how_it_fails() -> None:
    """Else each would wait for a store that is down, one after the other."""
    fake = FakeS3("bucket")
    begun, go_on = threading.Event(), threading.Event()

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        begun.set()
        go_on.wait(60)
        return s3_error(503, "SlowDown")

    fake.fault = fault
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, probe="auto", max_attempts=1)
        errors: list[BaseException] = []

        def write(number: int) -> None:
            try:
                fs.pipe_file(f"bucket/{number}", b"x", mode="create")
            except OSError as error:
                errors.append(error)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        begun.wait(60)
        for thread in threads:
            thread.join(0.2)  # time to arrive; those that come later try by themselves
        go_on.set()
        for thread in threads:
            thread.join()
        assert len(errors) == 8
        assert len({id(error) for error in errors}) == 8
        assert len(server.requests) < 8


# --- what it costs ---


@pytest.mark.parametrize(
    ("verb", "most"), [("create", 4), ("swap", 6), ("large create", 10), ("delete", 4), ("copy", 6)]
)
def test_a_write_tries_what_it_needs_and_no_more(verb: str, most: int) -> None:
    fake = FakeS3("bucket")
    etag = fake.put("bucket", "there", b"there").etag
    with store(fake) as (server, fs):
        if verb == "create":
            fs.put_if_absent(PATH, b"x")
        elif verb == "large create":
            fs.pipe_file(PATH, LARGE, mode="create")
        elif verb == "swap":
            fs.pipe_file("bucket/there", b"x", if_match=etag)
        elif verb == "delete":
            fs.rm_file("bucket/there", if_match=etag)
        else:
            fs.cp_file("bucket/there", PATH, mode="create")
        tried = [request for request in server.requests if of_probe(request)]
        if verb == "copy":  # the pin of the source may be tried too
            tried = [request for request in tried if "if-none-match" in request.headers]
        assert 0 < len(tried) <= most


# --- each trial stands alone ---


def without_pin(request: Request) -> bool:
    """Honours the pin of a copy's source and nothing else, as Garage."""
    return not any(name.startswith("x-amz-copy-source-if") for name in request.headers) or bool(
        {"if-match", "if-none-match"} & set(request.headers)
    )


def test_a_store_that_honours_pins_of_copies_only_has_no_other_guard_of_copies() -> None:
    fake = FakeS3("bucket")
    fake.ignores = without_pin
    with store(fake) as (_, fs):
        guards = fs.probe(PATH)
        assert (guards.copy_source, guards.copy_source_parts) == (True, True)
        assert not any((guards.copy_create, guards.copy_swap, guards.create_on_complete, guards.create))
        stored = fake.put(*SLOT, b"rival")
        fake.put("bucket", "a", b"a")
        with pytest.raises(PreconditionUnsupportedError):
            fs.cp_file("bucket/a", PATH, mode="create")
        assert fake.objects[SLOT] == stored


def ceph() -> FakeS3:
    """RGW of release 16, as far as copies go."""
    fake = FakeS3("bucket", ignored=("copy_create", "copy_swap", "delete", "delete_many"))
    fake.pins_as_rgw = fake.unquoted_if_match = True
    return fake


def test_a_store_that_pins_copies_by_a_header_of_its_own_gets_that() -> None:
    fake = ceph()
    fake.put(*SLOT, b"one")
    with store(fake) as (server, fs):
        fs.cp_file(PATH, "bucket/copy")
        (copied,) = [
            request for request in server.requests if not of_probe(request) and request.method == "PUT"
        ]
        assert copied.headers["x-amz-copy-if-match"] == copied.headers["x-amz-copy-source-if-match"]
        guards = fs.probe(PATH)
        assert (guards.copy_source, guards.copy_source_parts) == (True, False)

        def replaced(request: Request, fake: FakeS3) -> None:
            if "x-amz-copy-source" in request.headers and not of_probe(request):
                fake.put(*SLOT, b"rival")

        fake.fault = replaced
        with pytest.raises(ObjectChangedError):
            fs.cp_file(PATH, "bucket/other")
    assert ("bucket", "other") not in fake.objects


def test_its_pin_does_not_stand_for_a_swap() -> None:
    """An object that is copied onto itself is written under If-Match."""
    fake = ceph()
    fake.put(*SLOT, b"one")
    with store(fake) as (server, fs):
        fs.setxattr(PATH, who="me")
        mine = [request for request in server.requests if not of_probe(request) and request.method == "PUT"]
        assert [("if-match" in request.headers, request.body) for request in mine] == [(True, b"one")]
        assert fs.metadata(PATH) == {"who": "me"}


def test_stores_that_pin_as_s3_get_no_header_of_others() -> None:
    fake = FakeS3("bucket")
    fake.put(*SLOT, b"one")
    with store(fake) as (server, fs):
        fs.cp_file(PATH, "bucket/copy")
        assert not any("x-amz-copy-if-match" in request.headers for request in server.requests)


@pytest.mark.parametrize("refusal", [412, 500])
def test_a_store_that_refuses_every_condition_has_no_guard(refusal: int) -> None:
    """412 to all that carries a condition is no proof that it is compared."""
    names = {"if-match", "if-none-match", "x-amz-copy-source-if-match"}

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        if names & set(request.headers) and request.method != "DELETE":
            return s3_error(refusal, "PreconditionFailed" if refusal == 412 else "NotImplemented")
        return None

    with store(FakeS3("bucket", fault=fault)) as (_, fs):
        missing = fs.probe(PATH).missing()
    assert {"create", "swap", "create_on_complete", "swap_on_complete", "copy_create"} <= set(missing)
    assert {"copy_swap", "copy_source", "copy_source_parts", "pinned_get"} <= set(missing)


def test_a_swap_that_brings_back_a_deleted_object_is_none() -> None:
    class Careless(FakeS3):
        def _check_write(self, headers: Any, bucket: str, key: str, *names: str, **guards: str) -> None:
            if (bucket, key) in self.objects or "if-match" not in headers:
                super()._check_write(headers, bucket, key, *names, **guards)

    with store(Careless("bucket")) as (_, fs):
        assert "swap" in fs.probe(PATH).missing()


def test_a_store_that_knows_etags_without_quotes_only_gets_them_so() -> None:
    fake = FakeS3("bucket")
    fake.unquoted_if_match = True
    with store(fake) as (server, fs):
        fs.pipe_file(PATH, b"1")
        fs.pipe_file(PATH, b"2", if_match=fs.info(PATH)["ETag"])
        fs.update(PATH, lambda old: old + b"3")
        fs.pipe_file(PATH, LARGE, if_match=fs.info(PATH)["ETag"])
        assert fs.cat_file(PATH) == LARGE
        sent = [request for request in server.requests if "if-match" in request.headers]
        mine = [r for r in sent if not of_probe(r) and r.method in ("PUT", "POST")]
        assert mine
        assert not any('"' in request.headers["if-match"] for request in mine)
        with pytest.raises(OSError, match="PreconditionFailed"):
            fs.pipe_file(PATH, b"4", if_match="stale")
    assert fake.objects[SLOT].body == LARGE


# --- what it leaves ---


def client_of(moto: Any) -> Any:
    keys = {"aws_access_key_id": moto.key, "aws_secret_access_key": moto.secret}
    return boto3.client("s3", endpoint_url=moto.url, region_name="us-east-1", **keys)


def versions_of(s3: Any, bucket: str) -> tuple[int, int]:
    found = s3.list_object_versions(Bucket=bucket)
    return len(found.get("Versions", [])), len(found.get("DeleteMarkers", []))


@pytest.fixture
def versioned(moto: Any) -> tuple[Any, str]:
    bucket = f"versioned-{uuid.uuid4().hex}"
    s3 = client_of(moto)
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return s3, bucket


def test_a_probe_for_one_write_leaves_no_version(moto: Any, versioned: tuple[Any, str]) -> None:
    s3, bucket = versioned
    fs = filesystem(moto.url, key=moto.key, secret=moto.secret, probe="auto")
    assert fs.put_if_absent(f"{bucket}/a", b"x")
    assert versions_of(s3, bucket) == (1, 0)


def test_where_versions_may_not_be_deleted_a_probe_hides_one_and_names_it(
    moto: Any,
    versioned: tuple[Any, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    s3, bucket = versioned
    fs = filesystem(moto.url, key=moto.key, secret=moto.secret, probe="auto")
    deny_versions(monkeypatch, fs)
    with caplog.at_level(logging.WARNING, "fsspec_guarded_s3"):
        assert fs.put_if_absent(f"{bucket}/a", b"x")
        assert not fs.put_if_absent(f"{bucket}/a", b"y")
    assert [row["Key"] for row in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a"]
    assert versions_of(s3, bucket) == (2, 1)
    assert [("s3:DeleteObjectVersion" in record.getMessage()) for record in caplog.records] == [True]


def deny_versions(monkeypatch: pytest.MonkeyPatch, fs: GuardedS3FileSystem) -> None:
    """As a policy with s3:DeleteObject and without s3:DeleteObjectVersion."""
    from fsspec_guarded_s3 import AccessDeniedError
    from fsspec_guarded_s3._s3.deletions import Deletions

    allowed = Deletions.delete_object

    def delete(self: Deletions, path: Any, *condition: Any) -> str | None:
        if path.version_id:
            raise AccessDeniedError("denied", status=403)
        return allowed(self, path, *condition)

    monkeypatch.setattr(Deletions, "delete_object", delete)


def test_a_version_that_is_told_and_does_not_exist_leaves_no_object() -> None:
    """gofakes3 tells one for a copy, in a bucket without versions, and deletes nothing by it."""
    fake = FakeS3("bucket")
    fake.tells_versions = True
    fake.fault = lambda request, fake: respond(204) if "versionId" in request.query else None
    with store(fake) as (_, fs):
        fs.probe(PATH)
        fake.put("bucket", "a", b"a")
        fs.cp_file("bucket/a", PATH, mode="create")


@pytest.mark.parametrize("condition", [{"mode": "create"}, {"if_match": '"0"'}], ids=["create", "swap"])
@pytest.mark.parametrize("verb", ["pipe_file", "cp_file"])
def test_no_condition_in_parts_where_the_abort_of_a_refused_upload_deletes_the_object(
    verb: str, condition: dict[str, str]
) -> None:
    fake = FakeS3("bucket", ignored=("copy_create", "copy_swap"))
    fake.abort_deletes = True
    fake.put("bucket", "source", LARGE)
    before = fake.put(*SLOT, b"before")
    with store(fake) as (server, fs):
        with pytest.raises(PreconditionUnsupportedError):
            if verb == "pipe_file":
                fs.pipe_file(PATH, LARGE, **condition)
            else:
                fs.cp_file("bucket/source", PATH, **condition, StorageClass="STANDARD")
        assert not [r for r in server.requests if r.method == "POST" and not of_probe(r)]
        with pytest.raises((FileExistsError, ObjectChangedError)):
            fs.pipe_file(PATH, b"small", **condition)
    assert fake.objects[SLOT] == before
