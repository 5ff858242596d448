"""The probe finds out what a store honours, leaves no trace, and comes before any write that it forbids."""

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest

from fsspec_guarded_s3 import (
    AccessDeniedError,
    GuardedS3Error,
    GuardedS3FileSystem,
    PreconditionFailedError,
    PreconditionUnsupportedError,
    WriteOutcomeUnknownError,
)
from fsspec_guarded_s3._s3.client import S3Client
from fsspec_guarded_s3._s3.store import Store
from fsspec_guarded_s3._values.paths import S3Path
from fsspec_guarded_s3._write import guards as _probe
from fsspec_guarded_s3._write import trials
from fsspec_guarded_s3._write.guards import Guards
from fsspec_guarded_s3.options import Options
from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close, respond, s3_error
from tests.single_faults import is_probe, short_pauses  # noqa: F401

PATH = "bucket/folder/key"
SLOT = ("bucket", "folder/key")
LARGE = period_free(6 * MIB)
NONE = Guards(*[False] * 11, token=True)


@contextlib.contextmanager
def store(fake: FakeS3, **options: Any) -> Iterator[tuple[ScriptedServer, GuardedS3FileSystem]]:
    """A filesystem that probes on `fake`, of which nothing but what the test wrote may be left."""
    with ScriptedServer(handler=fake) as server:
        yield server, filesystem(server.url, **{"probe": "auto", "part_size": 5 * MIB, **options})
    assert [key for _, key in fake.objects if ".gs3-probe-" in key] == []
    assert not fake.uploads


@pytest.mark.parametrize("path", ["bucket", PATH, "bucket/folder"])
def test_store_that_keeps_all_conditions_has_all_guards(path: str) -> None:
    with store(FakeS3("bucket")) as (_, fs):
        assert fs.probe(path) == Guards()
        assert fs.probe(path).missing() == ()


def test_store_that_ignores_conditions_has_none_but_keeps_tokens() -> None:
    with store(FakeS3("bucket", ignore_conditions=True)) as (_, fs):
        assert fs.probe(PATH) == NONE


def test_probe_writes_beside_the_path_and_nowhere_else() -> None:
    fake = FakeS3("bucket")
    stored = fake.put(*SLOT, b"mine")
    with store(fake) as (server, fs):
        fs.probe(PATH)
        of_keys = [request for request in server.requests if "delete" not in request.query]
        assert {request.path.rpartition("/")[0] for request in of_keys} == {"/bucket/folder"}
        assert all(is_probe(request) for request in of_keys)
    assert fake.objects == {SLOT: stored}


@pytest.mark.parametrize(
    ("guard", "ignored"),
    [
        ("create", lambda r: r.method == "PUT" and "if-none-match" in r.headers and not copies(r)),
        ("swap", lambda r: r.method == "PUT" and "if-match" in r.headers and not copies(r)),
        ("create_on_complete", lambda r: r.method == "POST" and "if-none-match" in r.headers),
        ("swap_on_complete", lambda r: r.method == "POST" and "if-match" in r.headers),
        ("delete", lambda r: r.method == "DELETE" and "if-match" in r.headers),
        ("delete_many", lambda r: r.method == "POST" and "delete" in r.query),
        ("pinned_get", lambda r: r.method == "GET" and "if-match" in r.headers),
        ("copy_source", lambda r: copies(r) and "partNumber" not in r.query),
        ("copy_source_parts", lambda r: copies(r) and "partNumber" in r.query),
        ("copy_create", lambda r: copies(r) and "if-none-match" in r.headers),
        ("copy_swap", lambda r: copies(r) and "if-match" in r.headers),
    ],
)
def test_each_guard_that_alone_is_ignored_is_found_missing(
    guard: str, ignored: Callable[[Request], bool]
) -> None:
    class Partly(FakeS3):
        def __call__(self, request: Request) -> Answer:
            with self.lock:
                pin = guard == "copy_source" and not {"if-match", "if-none-match"} & set(request.headers)
                self.ignore_conditions = ignored(request) and (guard != "copy_source" or pin)
                return super().__call__(request)

    with store(Partly("bucket")) as (_, fs):
        assert fs.probe(PATH).missing() == (guard,)


@pytest.mark.parametrize("replaces", [False, True], ids=["removed", "replaced"])
def test_a_rival_that_spoils_one_trial_takes_no_guard_away(replaces: bool) -> None:
    """At every request of the probe, by a job that cleans up, say."""
    with store(FakeS3("bucket")) as (server, fs):
        fs.probe(PATH)
        count = sum(map(is_probe, server.requests))
    for at in range(count):
        seen: list[Request] = []
        fake = FakeS3("bucket")

        def spoil(
            request: Request, reply: Reply, at: int = at, seen: list[Request] = seen, fake: FakeS3 = fake
        ) -> None:
            seen.append(request)
            if len(seen) == at + 1:
                for bucket, key in [slot for slot in fake.objects if ".gs3-probe-" in slot[1]]:
                    if replaces:
                        fake.put(bucket, key, b"another")
                    else:
                        del fake.objects[bucket, key]

        fake.after = spoil
        with store(fake) as (_, fs):
            assert fs.probe(PATH).missing() == (), at


def copies(request: Request) -> bool:
    return "x-amz-copy-source" in request.headers


def test_copies_that_are_refused_and_spoil_their_target_count_as_no_guard() -> None:
    """LocalStack 4.14 answers 412 and writes the source's bytes into the target: `mode="create"` lost it."""
    fake = FakeS3("bucket")

    def spoil(request: Request, reply: Reply) -> None:
        if copies(request) and "partNumber" not in request.query and reply.status == 412:
            slot = ("bucket", request.path.removeprefix("/bucket/"))
            if slot in fake.objects:
                stored = fake.objects[slot]
                fake.objects[slot] = replace(stored, body=b"#" * len(stored.body))

    fake.after = spoil
    fake.put("bucket", "source", b"new")
    stored = fake.put(*SLOT, b"old")
    with store(fake) as (_, fs):
        assert fs.probe(PATH).missing() == ("copy_create", "copy_swap")
        with pytest.raises(FileExistsError):
            fs.cp_file("bucket/source", PATH, mode="create")
        with pytest.raises(PreconditionFailedError):
            fs.cp_file("bucket/source", PATH, if_match='"another"')
        assert fs.cat_file(PATH) == b"old"
        fs.cp_file("bucket/source", PATH, if_match=stored.etag)
        assert fs.cat_file(PATH) == b"new"


def test_store_without_copy_lacks_only_the_guards_of_copies() -> None:
    fake = FakeS3(
        "bucket", fault=lambda request, fake: s3_error(501, "NotImplemented") if copies(request) else None
    )
    with store(fake) as (_, fs):
        assert fs.probe(PATH).missing() == (
            "copy_source",
            "copy_source_parts",
            "copy_create",
            "copy_swap",
        )


class Forgetful(FakeS3):
    """Drops user metadata; loses the answers of requests to keys that are not of the probe."""

    lost = 0

    def __call__(self, request: Request) -> Answer:
        answer = super().__call__(request)
        with self.lock:
            for slot, stored in self.objects.items():
                kept = {name: text for name, text in stored.headers.items() if "x-amz-meta" not in name}
                self.objects[slot] = replace(stored, headers=kept)
        if request.method == "PUT" and not is_probe(request) and self.lost:
            self.lost -= 1
            return close()
        return answer


def test_store_that_drops_metadata_keeps_no_tokens() -> None:
    with store(Forgetful("bucket")) as (_, fs):
        assert fs.probe(PATH).missing() == ("token",)


@pytest.mark.parametrize("max_attempts", [1, 5])
def test_lost_create_on_a_store_that_drops_tokens_is_unknown_and_not_file_exists(max_attempts: int) -> None:
    """Our own object is there, without the token that would prove it."""
    fake = Forgetful("bucket")
    fake.lost = 1
    with store(fake, max_attempts=max_attempts) as (_, fs), pytest.raises(WriteOutcomeUnknownError):
        fs.pipe_file(PATH, b"mine", mode="create")
    assert fake.objects[SLOT].body == b"mine"


def test_create_on_a_store_that_drops_tokens_works_while_nothing_is_lost() -> None:
    fake = Forgetful("bucket")
    with store(fake) as (_, fs):
        fs.pipe_file(PATH, b"mine", mode="create")
        with pytest.raises(FileExistsError):
            fs.pipe_file(PATH, b"again", mode="create")
    assert fake.objects[SLOT].body == b"mine"


# --- no trace ---


def signature(request: Request) -> tuple[object, ...]:
    """What tells one request of a probe from the others, over several probes."""
    names = ("if-match", "if-none-match", "x-amz-copy-source-if-match")
    kind = "copy" if request.path.endswith("-copy") else "key"
    given = tuple((name, request.headers[name]) for name in names if name in request.headers)
    return request.method, kind, tuple(sorted(request.query.keys())), given


def all_signatures() -> list[tuple[object, ...]]:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        filesystem(server.url).probe(PATH)
        return list(dict.fromkeys(signature(request) for request in server.requests))


# Those of the cleaning up cannot be missed without a trace.
BREAKABLE = [s for s in all_signatures() if not (s[0] == "DELETE" and not s[3])]


@pytest.mark.parametrize("applied", [False, True], ids=["refused", "applied and lost"])
@pytest.mark.parametrize("broken", BREAKABLE, ids=lambda s: f"{s[0]}-{s[1]}-{s[2]}-{len(s[3])}")
def test_probe_that_breaks_in_the_middle_leaves_no_trace(broken: tuple[object, ...], applied: bool) -> None:
    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return s3_error(500, "InternalError") if not applied and signature(request) == broken else None

    def after(request: Request, reply: Reply) -> Answer | None:
        return close() if applied and signature(request) == broken else None

    fake = FakeS3("bucket", fault=fault, after=after)
    with store(fake, max_attempts=1) as (server, fs):
        with contextlib.suppress(OSError):
            fs.probe(PATH)
        assert any(signature(request) == broken for request in server.requests)


def test_copy_that_is_answered_with_nothing_leaves_no_trace() -> None:
    """A store that copies, and answers 200 without a word."""
    fake = FakeS3("bucket", after=lambda request, reply: respond(200) if copies(request) else None)
    with store(fake) as (_, fs):
        assert not fs.probe(PATH).copy_create


def test_interrupted_probe_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(trials._TRIALS, "token", interrupt)
    with store(FakeS3("bucket")) as (_, fs), pytest.raises(KeyboardInterrupt):
        fs.probe(PATH)


def test_probe_of_a_missing_bucket_is_file_not_found(caplog: pytest.LogCaptureFixture) -> None:
    with store(FakeS3("other")) as (_, fs), pytest.raises(FileNotFoundError):
        fs.probe(PATH)
    assert not [
        line for line in caplog.messages if "left" in line
    ]  # there is nothing that it could have left


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET", "HEAD", "POST"])
def test_probe_without_permission_names_the_remedy_and_leaves_nothing(method: str) -> None:
    denied = s3_error(403, "AccessDenied")
    fake = FakeS3("bucket", fault=lambda request, fake: denied if request.method == method else None)
    with store(fake) as (_, fs), pytest.raises(AccessDeniedError, match="probe='never'"):
        fs.probe(PATH)
    assert not fake.objects


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_conditional_write_whose_probe_is_forbidden_writes_nothing(method: str) -> None:
    denied = s3_error(403, "AccessDenied")
    fake = FakeS3(
        "bucket",
        fault=lambda request, fake: denied if request.method == method and is_probe(request) else None,
    )
    with store(fake) as (_, fs), pytest.raises(PermissionError, match="probe='never'"):
        fs.pipe_file(PATH, b"new", mode="create")
    assert not fake.objects


# --- when it runs ---


def test_conditional_write_to_an_ignoring_store_sends_only_the_probe() -> None:
    """Every kind of it; the victim is not even looked at by a write."""
    fake = FakeS3("bucket", ignore_conditions=True)
    stored = fake.put(*SLOT, b"victim")
    source = fake.put("bucket", "a", b"source")
    with store(fake, multipart_threshold=5 * MIB) as (server, fs):
        for attempt in (
            lambda: fs.pipe_file(PATH, b"new", mode="create"),
            lambda: fs.pipe_file(PATH, LARGE, mode="create"),
            lambda: fs.pipe_file(PATH, b"new", if_match=stored.etag),
            lambda: fs.pipe_file(PATH, LARGE, if_match="stale"),
            lambda: fs.cp_file("bucket/a", PATH, mode="create"),
            lambda: fs.cp_file("bucket/a", PATH, if_match="stale"),
            lambda: fs.rm_file(PATH, if_match="stale"),
            lambda: fs.update(PATH, lambda old: old + b"!"),
            lambda: fs.put_if_absent(PATH, b"new"),
            lambda: fs.touch(PATH, truncate=False),
        ):
            with pytest.raises(PreconditionUnsupportedError):
                attempt()
        writes = [request for request in server.requests if request.method not in ("GET", "HEAD")]
        assert all(is_probe(request) for request in writes)
    assert fake.objects == {SLOT: stored, ("bucket", "a"): source}


def test_writer_on_an_ignoring_store_is_refused_at_the_latest_at_close() -> None:
    fake = FakeS3("bucket", ignore_conditions=True)
    stored = fake.put(*SLOT, b"victim")
    with store(fake, multipart_threshold=5 * MIB) as (_, fs):
        for data in (b"new", LARGE):
            file = fs.open(PATH, "wb", if_match="stale")
            with pytest.raises(PreconditionUnsupportedError):
                file.write(data)
                file.close()
    assert fake.objects == {SLOT: stored}


def test_unconditional_verbs_do_not_probe() -> None:
    """But for copies, which need the pin of their source."""
    fake = FakeS3("bucket", ignore_conditions=True)
    with store(fake, probe="always") as (server, fs):
        fs.pipe_file(PATH, b"data")
        fs.pipe_file("bucket/b", b"data")
        assert fs.cat_file(PATH) == b"data"
        fs.rm_file("bucket/b")
        assert not any(is_probe(request) for request in server.requests)
    assert set(fake.objects) == {SLOT}


def probes(server: ScriptedServer) -> int:
    """How many probes were run."""
    of_keys = [request for request in server.requests if ".gs3-probe-" in request.path]
    keys = {request.path.rpartition("-")[0] for request in of_keys}
    return len(keys)


def test_one_probe_per_process_and_bucket_whatever_the_threads_and_filesystems() -> None:
    fake = FakeS3("bucket", "other")
    with store(fake) as (server, fs):
        another = filesystem(server.url, probe="always")
        barrier = threading.Barrier(8)
        errors: list[BaseException] = []

        def write(number: int) -> None:
            barrier.wait()
            try:
                (fs if number % 2 else another).pipe_file(f"bucket/{number}", b"x", mode="create")
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert probes(server) == 1
        fs.pipe_file("other/a", b"x", mode="create")
        assert probes(server) == 2
    assert len(fake.objects) == 9


def test_probe_never_sends_none_and_trusts_the_store() -> None:
    fake = FakeS3("bucket", ignore_conditions=True)
    fake.put(*SLOT, b"old")
    with store(fake, probe="never") as (server, fs):
        fs.pipe_file(PATH, b"new", mode="create")
        assert not any(is_probe(request) for request in server.requests)
    assert fake.objects[SLOT].body == b"new"


def test_probe_that_failed_is_run_again_by_the_next_write() -> None:
    left = [s3_error(403, "AccessDenied")]
    fake = FakeS3("bucket", fault=lambda request, fake: left.pop() if left and is_probe(request) else None)
    with store(fake) as (_, fs):
        with pytest.raises(PermissionError):
            fs.pipe_file(PATH, b"new", mode="create")
        fs.pipe_file(PATH, b"new", mode="create")
    assert fake.objects[SLOT].body == b"new"


@pytest.mark.parametrize("mode", ["sometimes", "", "Auto"])
def test_unknown_mode_of_the_probe_is_a_value_error(mode: str) -> None:
    with pytest.raises(ValueError, match="probe must be one of auto, always, never"):
        filesystem("http://127.0.0.1:1", probe=mode)


def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The guards that are tried from here on; none of them is there."""

    def run(trial: trials.Trial, name: str) -> bool:
        tried.append(name)
        return False

    tried: list[str] = []
    monkeypatch.setattr(trials.Trial, "run", run)
    return tried


@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        "https://s3.eu-central-1.amazonaws.com",
        "https://s3.cn-north-1.amazonaws.com.cn",
        "https://s3.us-iso-east-1.c2s.ic.gov",
        "https://s3.eu-central-1.api.aws",
    ],
)
def test_aws_is_not_probed_in_auto(monkeypatch: pytest.MonkeyPatch, endpoint: str | None) -> None:
    tried = asked(monkeypatch)
    given: dict[str, Any] = {"key": "k", "secret": "s", "region": "eu-central-1", "endpoint_url": endpoint}
    path = S3Path(f"bucket-{uuid.uuid4().hex}", "key")
    assert _probe.honours(S3Client(Store(Options(**given))), path, "create")
    assert tried == []
    assert not _probe.honours(S3Client(Store(Options(**given, probe="always"))), path, "create")
    assert set(tried) == {"create"}


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://amazonaws.com.evil.example",
        "https://s3.myamazonaws.com",
        "https://minio.example",
        "https://myapi.aws",
    ],
)
def test_other_hosts_are_probed_in_auto_whatever_their_name(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    tried = asked(monkeypatch)
    client = S3Client(Store(Options(key="k", secret="s", region="us-east-1", endpoint_url=endpoint)))
    assert not _probe.honours(client, S3Path(f"bucket-{uuid.uuid4().hex}", "key"), "swap")
    assert set(tried) == {"swap"}


# --- stores that share no code with FakeS3 ---


def open_on(server: Any) -> tuple[GuardedS3FileSystem, str]:
    fs = filesystem(server.url, key=server.key, secret=server.secret, probe="auto")
    bucket = f"probe-{uuid.uuid4().hex}"
    fs.mkdir(bucket)
    return fs, bucket


def test_moto_has_the_guards_that_were_measured_and_nothing_is_left(moto: Any) -> None:
    """moto 5.2.5: no If-Match on Complete, no pin of a copy's source, no If-None-Match on a copy."""
    fs, bucket = open_on(moto)
    fs.pipe_file(f"{bucket}/d/mine", b"x")
    guards = fs.probe(f"{bucket}/d/mine")
    assert guards.create and guards.swap and guards.create_on_complete and guards.delete
    assert guards.pinned_get and guards.token
    assert {"swap_on_complete", "copy_source", "copy_create"} <= set(guards.missing())
    assert fs.find(bucket) == [f"{bucket}/d/mine"]
    assert fs.list_uploads(bucket) == []


def test_versioned_bucket_keeps_no_version_and_no_delete_marker_of_a_probe(moto: Any) -> None:
    fs, bucket = open_on(moto)
    keys = {"aws_access_key_id": moto.key, "aws_secret_access_key": moto.secret}
    s3 = boto3.client("s3", endpoint_url=moto.url, region_name="us-east-1", **keys)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    fs.probe(bucket)
    found = s3.list_object_versions(Bucket=bucket)
    assert (found.get("Versions", []), found.get("DeleteMarkers", [])) == ([], [])


def test_rclone_has_no_guard_and_nothing_is_left(rclone: Any) -> None:
    fs, bucket = open_on(rclone)
    fs.pipe_file(f"{bucket}/d/mine", b"x")
    guards = fs.probe(f"{bucket}/d/mine")
    assert not any((guards.create, guards.swap, guards.create_on_complete, guards.swap_on_complete))
    assert not any((guards.delete, guards.pinned_get, guards.copy_source, guards.copy_create))
    assert fs.find(bucket) == [f"{bucket}/d/mine"]
    assert fs.list_uploads(bucket) == []


# --- an answer that is no store's ---


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 405, 407, 411, 412, 413, 421, 451, 501, 502])
@pytest.mark.parametrize("guard", ["create", "swap", "delete", "copy_create", "create_on_complete"])
def test_what_answers_everything_alike_is_no_store_and_decides_nothing(status: int, guard: str) -> None:
    """A proxy, a portal, a console: when it is gone, the store behind it is asked."""
    fake = FakeS3("bucket")
    portal = [True]

    def answer(request: Request) -> Answer:
        return Reply(status, b"" if request.method == "HEAD" else b"<html>") if portal else fake(request)

    with ScriptedServer(handler=answer) as server:
        fs = filesystem(server.url, probe="auto", max_attempts=1)
        path = S3Path("bucket", "folder/key")
        for _ in range(2):
            with pytest.raises(GuardedS3Error) as caught:
                _probe.require(fs._client, path, guard)
            assert not isinstance(caught.value, (PreconditionUnsupportedError, PreconditionFailedError))
            assert not caught.value.maybe_applied
        with pytest.raises(GuardedS3Error) as caught:
            fs.put_if_absent("bucket/folder/key", b"1")
        assert not isinstance(caught.value, PreconditionUnsupportedError)
        portal.clear()
        _probe.require(fs._client, path, guard)
        assert fs.put_if_absent("bucket/folder/key", b"1")


@pytest.mark.parametrize("status", [400, 405, 501])
def test_a_bare_refusal_beside_a_write_that_is_taken_is_the_stores(status: int) -> None:
    """Some stores have no error document for a header that they do not know."""

    def fault(request: Request, fake: FakeS3) -> Answer | None:
        return respond(status) if "if-none-match" in request.headers else None

    with store(FakeS3("bucket", fault=fault)) as (_, fs):
        with pytest.raises(PreconditionUnsupportedError, match="create, as a probe found out"):
            fs.put_if_absent(PATH, b"1")
        assert not fs.exists(PATH)
