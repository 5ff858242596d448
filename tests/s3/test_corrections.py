"""What a refusal teaches about region, clock and credentials: kept when it helped, else forgotten."""

import contextlib
import json
import logging
import os
import re
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from threading import Barrier, Event, Semaphore
from typing import Any

import botocore.utils
import fsspec
import pytest

from fsspec_guarded_s3 import AccessDeniedError, CredentialsError, GuardedS3FileSystem, InvalidRequestError
from fsspec_guarded_s3._auth.session import Session
from fsspec_guarded_s3._auth.signer import Signer
from fsspec_guarded_s3._s3.corrections import Corrections
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Request, ScriptedServer, respond, s3_error

SIGNED_DATE = "%Y%m%dT%H%M%SZ"
Fault = Callable[[Request], Answer | None]


def stored(fault: Fault) -> FakeS3:
    """A store with one object, where `fault` answers first."""
    fake = FakeS3("bucket", fault=lambda request, _: fault(request))
    fake.put("bucket", "key", b"content")
    return fake


VERBS: dict[str, Callable[[GuardedS3FileSystem], Any]] = {
    "cat_file": lambda fs: fs.cat_file("bucket/key"),
    "info": lambda fs: fs.info("bucket/key"),
    "exists": lambda fs: fs.exists("bucket/key"),
    "exists of a bucket": lambda fs: fs.exists("bucket"),
    "open": lambda fs: fs.open("bucket/key").read(),
    "ls": lambda fs: fs.ls("bucket"),
    "pipe_file": lambda fs: fs.pipe_file("bucket/new", b"new", mode="create"),
    "cp_file": lambda fs: fs.cp_file("bucket/key", "bucket/copy"),
    "rm_file": lambda fs: fs.rm_file("bucket/key"),
}


def refused(request: Request, code: str, status: int = 400, **headers: str) -> Answer:
    """An error, which has no body where a HEAD is answered."""
    if request.method == "HEAD":
        return respond(status, headers=headers)
    return s3_error(status, code, headers=headers)


# --- region ----------------------------------------------------------------------------------------


def region_of(request: Request) -> str:
    return request.headers["authorization"].split("/")[2]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("lie", ["eu-north-1", "mars-1", "Region_One"])
def test_region_that_did_not_help_is_forgotten(verb: str, lie: str) -> None:
    """One wrong answer, which asks for another region, spoils neither this one nor a later one."""
    lies = [True]

    def fault(request: Request) -> Answer | None:
        if lies or region_of(request) != "us-east-1":
            lies.clear()
            return refused(request, "AuthorizationHeaderMalformed", **{"x-amz-bucket-region": lie})
        return None

    fake = stored(fault)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url)
        assert VERBS[verb](fs) is not False
        seen = len(server.requests)
        fs.ls("bucket")
        assert {region_of(request) for request in server.requests[seen:]} == {"us-east-1"}


@pytest.mark.parametrize(
    "region",
    [
        "evil.test",
        "evil.test/",
        "a@b",
        "x#",
        "*",
        "us-east-1,eu-west-1",
        "a b",
        "\u00e9",
        "-",
        "aws-global",
        "x" * 99,
    ],
)
def test_region_that_is_no_name_is_not_tried(region: str) -> None:
    body = f"<Error><Code>AuthorizationHeaderMalformed</Code><Region>{region}</Region></Error>".encode()
    with ScriptedServer(handler=lambda request: respond(400, body)) as server:
        with pytest.raises(InvalidRequestError):
            filesystem(server.url).cat_file("bucket/key")
        assert len(server.requests) == 1


def test_region_that_helped_is_kept_when_the_object_is_forbidden() -> None:
    """AccessDenied comes after the region was right: the next request does not learn it again."""

    def fault(request: Request) -> Answer | None:
        if region_of(request) != "eu-west-1":
            return refused(request, "PermanentRedirect", 301, **{"x-amz-bucket-region": "eu-west-1"})
        return refused(request, "AccessDenied", 403) if request.path.endswith("secret") else None

    with ScriptedServer(handler=stored(fault)) as server:
        fs = filesystem(server.url)
        with pytest.raises(AccessDeniedError):
            fs.cat_file("bucket/secret")
        assert fs.cat_file("bucket/key") == b"content"
        assert [region_of(request) for request in server.requests] == ["us-east-1", "eu-west-1", "eu-west-1"]


def test_wrong_region_after_a_right_one_goes_back_to_the_right_one() -> None:
    lies = []

    def fault(request: Request) -> Answer | None:
        if lies:
            return refused(request, "AuthorizationHeaderMalformed", **{"x-amz-bucket-region": lies.pop()})
        if region_of(request) != "eu-west-1":
            return refused(request, "PermanentRedirect", 301, **{"x-amz-bucket-region": "eu-west-1"})
        return None

    with ScriptedServer(handler=stored(fault)) as server:
        fs = filesystem(server.url)
        assert fs.cat_file("bucket/key") == b"content"
        lies.extend(["mars-2", "mars-1"])
        assert fs.cat_file("bucket/key") == b"content"
        seen = len(server.requests)
        assert fs.cat_file("bucket/key") == b"content"
        assert [region_of(request) for request in server.requests[seen:]] == ["eu-west-1"]


@pytest.mark.parametrize("verb", ["info", "exists", "exists of a bucket", "cat_file", "pipe_file"])
def test_region_is_learned_where_the_answer_to_a_head_does_not_tell_it(verb: str) -> None:
    """AWS names it by a header. MinIO, for one, only in a document, which a HEAD has not."""

    def fault(request: Request) -> Answer | None:
        if region_of(request) == "eu-west-1":
            return None
        if request.method == "HEAD":
            return respond(400)
        document = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"
        return respond(400, document)

    with ScriptedServer(handler=stored(fault)) as server:
        fs = filesystem(server.url)
        assert VERBS[verb](fs) is not False
        assert region_of(server.requests[-1]) == "eu-west-1"
        assert len(server.requests) <= 4
        assert not filesystem(server.url).exists("bucket/missing")


def test_head_that_is_no_good_request_says_why() -> None:
    """An object under a customer's key, say, which the request did not have."""
    with ScriptedServer(handler=stored(lambda request: refused(request, "InvalidRequest"))) as server:
        with pytest.raises(InvalidRequestError) as caught:
            filesystem(server.url).info("bucket/key")
        assert caught.value.code == "InvalidRequest"
        assert caught.value.operation == "HeadObject"
        assert [request.method for request in server.requests] == ["HEAD", "GET"]


# --- clock -----------------------------------------------------------------------------------------


class Clock:
    """This machine's clock, which the test moves; the store has the right time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.off = timedelta()
        monkeypatch.setattr(Signer, "_now", lambda _: time.time() + self.off.total_seconds())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def strict(request: Request) -> Answer | None:
    """Refuses what is dated more than 15 minutes off, as S3 does."""
    signed = datetime.strptime(request.headers["x-amz-date"], SIGNED_DATE).replace(tzinfo=timezone.utc)
    there = datetime.now(timezone.utc)
    if abs(signed - there) > timedelta(minutes=15):
        return refused(request, "RequestTimeTooSkewed", 403, Date=format_datetime(there, usegmt=True))
    return None


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("hours", [-5, 5, 24 * 365 * 30])
def test_clock_that_is_off_is_corrected_for_every_verb(verb: str, hours: int, clock: Clock) -> None:
    """A HEAD too, whose refusal says nothing but the date."""
    clock.off = timedelta(hours=hours)
    with ScriptedServer(handler=stored(strict)) as server:
        assert VERBS[verb](filesystem(server.url)) is not False


@pytest.mark.parametrize("verb", VERBS)
def test_clock_that_is_set_right_while_we_run_is_noticed(verb: str, clock: Clock) -> None:
    with ScriptedServer(handler=stored(strict)) as server:
        fs = filesystem(server.url, recent_listings=0)
        clock.off = timedelta(hours=-5)
        assert fs.cat_file("bucket/key") == b"content"
        clock.off = timedelta()
        assert VERBS[verb](fs) is not False
        seen = len(server.requests)
        assert fs.exists("bucket")
        assert len(server.requests) == seen + 1


@pytest.mark.parametrize(
    "told",
    [
        datetime(1970, 1, 1, tzinfo=timezone.utc),
        datetime(2200, 1, 1, tzinfo=timezone.utc),
        datetime(9999, 12, 31, 23, 59, 59),
    ],
)
def test_clock_that_a_proxy_tells_wrong_is_forgotten(told: datetime) -> None:
    """A proxy's date is no date of the store: the same request and those after it are dated right.

    A century off is not even tried: the store's word is believed, by that request.
    """
    date = format_datetime(told.replace(tzinfo=timezone.utc), usegmt=True)
    lies, credible = [True], []

    def fault(request: Request) -> Answer | None:
        if lies:
            lies.clear()
            return s3_error(403, "RequestTimeTooSkewed", headers={"Date": date})
        return strict(request)

    with ScriptedServer(handler=stored(fault)) as server:
        fs = filesystem(server.url)
        with contextlib.suppress(AccessDeniedError):
            assert fs.cat_file("bucket/key") == b"content"
            credible.append(told)
        assert credible == ([told] if told.year < 2100 else [])
        assert fs.cat_file("bucket/key") == b"content"
        seen = len(server.requests)
        assert fs.info("bucket/key")["size"] == 7
        assert len(server.requests) == seen + 1


def test_clock_of_the_error_goes_before_that_of_the_header(clock: Clock) -> None:
    """<ServerTime> is the store's; Date may be a proxy's."""
    clock.off = timedelta(hours=3)

    def fault(request: Request) -> Answer | None:
        if strict(request) is None:
            return None
        there = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = f"<Error><Code>RequestTimeTooSkewed</Code><ServerTime>{there}</ServerTime></Error>"
        return respond(403, body.encode(), headers={"Date": "Thu, 01 Jan 1970 00:00:00 GMT"})

    with ScriptedServer(handler=stored(fault)) as server:
        assert filesystem(server.url).cat_file("bucket/key") == b"content"


def test_head_that_is_forbidden_is_asked_once_when_the_clocks_agree() -> None:
    now = datetime.now(timezone.utc) - timedelta(minutes=2)
    denied = respond(403, headers={"Date": format_datetime(now, usegmt=True)})
    with ScriptedServer(handler=lambda request: denied) as server:
        with pytest.raises(AccessDeniedError):
            filesystem(server.url).info("bucket/key")
        assert [request.method for request in server.requests] in (["HEAD"], ["HEAD", "GET"])


# --- credentials -----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def nobody_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(botocore.utils.ContainerMetadataFetcher, "SLEEP_TIME", 0)
    monkeypatch.setattr(botocore.utils.ContainerMetadataFetcher, "TIMEOUT_SECONDS", 60)  # else 2


def key_of(request: Request) -> str:
    found = re.search(r"Credential=([^/]+)/", request.headers["authorization"])
    assert found
    return found[1]


class Source:
    """Where credentials come from: "OLD" until `renew()`, which the store takes no longer; then "NEW"."""

    def __init__(self, kind: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.kind, self._patch, self._folder = kind, monkeypatch, folder
        self.asked = folder / "asked"
        self._write("OLD")
        if kind == "process":
            program = folder / "credentials.py"
            program.write_text(
                textwrap.dedent(f"""
                import json
                open({str(self.asked)!r}, "a").write("x")
                key = open({str(folder / "key")!r}).read()
                print(json.dumps({{"Version": 1, "AccessKeyId": key, "SecretAccessKey": "hush-secret",
                    "SessionToken": "hush-token"}}))
                """)
            )
            config = folder / "config"
            config.write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
            monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    def _write(self, key: str) -> None:
        if self.kind == "file":
            path = self._folder / "credentials"
            lines = ["aws_secret_access_key = hush-secret", "aws_session_token = hush-token"]
            path.write_text("\n".join(["[default]", f"aws_access_key_id = {key}", *lines]))
            self._patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
        elif self.kind == "environment":
            self._patch.setenv("AWS_ACCESS_KEY_ID", key)
            self._patch.setenv("AWS_SECRET_ACCESS_KEY", "hush-secret")
            self._patch.setenv("AWS_SESSION_TOKEN", "hush-token")
        else:
            (self._folder / "key").write_text(key)

    def renew(self) -> None:
        self._write("NEW")

    def answer(self, request: Request) -> Answer:
        """The container's endpoint."""
        with self.asked.open("a") as log:
            log.write("x")
        answer = {
            "AccessKeyId": (self._folder / "key").read_text(),
            "SecretAccessKey": "hush-secret",
            "Token": "hush-token",
            "Expiration": "2099-01-01T00:00:00Z",
        }
        return respond(200, json.dumps(answer).encode(), headers={"Content-Type": "application/json"})


KINDS = ["file", "environment", "process", "container"]


@pytest.fixture
def expiring(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[tuple[Source, ScriptedServer, list[str]]]:
    """A source, a store that takes its keys, and the list of keys that it takes."""
    source = Source(request.param, monkeypatch, tmp_path)
    good = ["OLD"]

    def expired(asked: Request) -> Answer | None:
        if asked.path == "/credentials":
            return source.answer(asked)
        return None if key_of(asked) in good else refused(asked, CODE[0])

    with ScriptedServer(handler=stored(expired)) as server:
        if request.param == "container":
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/credentials")
        yield source, server, good


CODE = ["ExpiredToken"]


def opened(server: ScriptedServer, **options: Any) -> GuardedS3FileSystem:
    chosen = {
        "region": "us-east-1",
        "probe": "never",
        "recent_listings": 0,
        "skip_instance_cache": True,
        **options,
    }
    return GuardedS3FileSystem(endpoint_url=server.url, **chosen)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("expiring", KINDS, indirect=True)
def test_expired_credentials_are_read_anew_within_the_request(expiring: Any, verb: str) -> None:
    """The chain is read once more, and the request goes out again; the verb does not notice."""
    source, server, good = expiring
    fs = opened(server)
    fs.ls("bucket")
    source.renew()
    good[:] = ["NEW"]
    assert VERBS[verb](fs) is not False
    assert key_of(server.requests[-1]) == "NEW"


@pytest.mark.parametrize(
    "code", ["ExpiredTokenException", "InvalidAccessKeyId", "TokenRefreshRequired", "InvalidToken"]
)
@pytest.mark.parametrize("expiring", ["file"], indirect=True)
def test_every_code_that_says_so_counts(expiring: Any, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, server, good = expiring
    monkeypatch.setattr(sys.modules[__name__], "CODE", [code])
    fs = opened(server)
    fs.ls("bucket")
    source.renew()
    good[:] = ["NEW"]
    assert fs.cat_file("bucket/key") == b"content"


@pytest.mark.parametrize("expiring", KINDS, indirect=True)
def test_credentials_that_are_expired_when_first_read_are_read_again(expiring: Any) -> None:
    source, server, good = expiring
    good[:] = ["NEW"]
    fs = opened(server)
    with pytest.raises(AccessDeniedError, match="sign in again"):
        fs.cat_file("bucket/key")
    assert len([request for request in server.requests if request.path.startswith("/bucket")]) == 1
    source.renew()
    assert fs.cat_file("bucket/key") == b"content"


@pytest.mark.parametrize("expiring", ["file", "process"], indirect=True)
def test_head_that_is_refused_for_expired_credentials_says_so(expiring: Any) -> None:
    """Not "HTTP status 400": a GET is asked for the reason."""
    _, server, good = expiring
    good.clear()
    with pytest.raises(AccessDeniedError, match="sign in again") as caught:
        opened(server).info("bucket/key")
    assert (caught.value.code, caught.value.operation) == ("ExpiredToken", "HeadObject")


def test_head_that_is_forbidden_says_what_a_get_says() -> None:
    """With credentials that can expire the reason is looked for, and then it is told."""
    message = "User: me is not authorized to perform: s3:GetObject on resource"

    def deny(request: Request) -> Answer:
        if request.method == "HEAD":
            return respond(403)
        return respond(403, f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>".encode())

    with ScriptedServer(handler=deny) as server:
        with pytest.raises(AccessDeniedError, match="allow s3:GetObject") as caught:
            filesystem(server.url, token="hush-token").info("bucket/key")
        assert [request.method for request in server.requests] == ["HEAD", "GET"]
        assert server.requests[1].headers["range"] == "bytes=0-0"
    assert (caught.value.code, caught.value.operation) == ("AccessDenied", "HeadObject")


@pytest.mark.parametrize("status", [404, 500])
def test_head_whose_reason_cannot_be_found_keeps_its_own_error(status: int) -> None:
    def deny(request: Request) -> Answer:
        return respond(403) if request.method == "HEAD" else s3_error(status, "NoSuchKey")

    with ScriptedServer(handler=deny) as server, pytest.raises(AccessDeniedError, match="access denied"):
        filesystem(server.url, token="hush-token").info("bucket/key")


@pytest.mark.parametrize("how", ["close", "another filesystem", "fsspec.filesystem", "a URL"])
@pytest.mark.parametrize("expiring", ["file", "environment"], indirect=True)
def test_renewed_credentials_are_found_by(expiring: Any, how: str) -> None:
    """Whatever a user does to start again, also when the store says nothing of an expiry."""
    source, server, good = expiring
    options = {"endpoint_url": server.url, "region": "us-east-1", "probe": "never"}
    fs = fsspec.filesystem("gs3", **options)
    assert fs.cat_file("bucket/key") == b"content"
    source.renew()
    good[:] = ["NEW"] if how in ("fsspec.filesystem", "a URL") else ["OLD", "NEW"]
    if how == "close":
        fs.close()
    elif how == "another filesystem":
        fs = opened(server)
    elif how == "fsspec.filesystem":
        fs = fsspec.filesystem("gs3", **options)
    else:
        assert fsspec.open("gs3://bucket/key", **options).open().read() == b"content"
    assert fs.cat_file("bucket/key") == b"content"
    assert key_of(server.requests[-1]) == "NEW"


@pytest.mark.parametrize("expiring", ["file", "process"], indirect=True)
def test_what_is_not_there_is_not_there_when_the_credentials_were_renewed(expiring: Any) -> None:
    """Why the first HEAD was refused is no answer to the second one."""
    source, server, good = expiring
    fs = opened(server)
    assert fs.exists("bucket/key")
    source.renew()
    good[:] = ["NEW"]
    assert not fs.exists("bucket/missing")
    with pytest.raises(FileNotFoundError):
        fs.info("bucket/missing")


@pytest.mark.parametrize("expiring", ["process", "container"], indirect=True)
def test_chain_is_read_once_for_all_threads(expiring: Any) -> None:
    """Each thread has a filesystem of its own; all meet the end of the credentials together."""
    source, server, good = expiring
    together = Barrier(8)

    def work(_: int) -> bytes:
        fs = fsspec.filesystem("gs3", endpoint_url=server.url, region="us-east-1", probe="never")
        first = fs.cat_file("bucket/key")
        if together.wait(timeout=300) == 0:
            source.renew()
            good[:] = ["NEW"]
        together.wait(timeout=300)
        return first + fs.cat_file("bucket/key")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [b"contentcontent"] * 8
    assert source.asked.read_text() == "xx"


@pytest.mark.parametrize("verb", ["info", "cat_file", "pipe_file"])
@pytest.mark.parametrize("expiring", ["file", "process"], indirect=True)
def test_threads_whose_credentials_expire_together_all_succeed(
    expiring: Any, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is refused, and does not learn why before another has found the credentials that are valid now.

    The refusal of a HEAD says no reason. That of a GET is asked for, and is granted by then.
    """
    source, server, good = expiring
    fs = opened(server)
    assert fs.cat_file("bucket/key") == b"content"
    source.renew()
    good[:] = ["NEW"]
    together, found = Barrier(2), Event()
    renew, look = Session.renew, Corrections._reason_of

    def late(self: Corrections) -> Any:
        """The reason, asked for when the other thread has renewed them, but for the thread that does so."""
        if together.wait(timeout=300):
            assert found.wait(timeout=300)
        return look(self)

    def renewing(self: Session, used: int, since: float) -> bool:
        try:
            return renew(self, used, since)
        finally:
            found.set()

    monkeypatch.setattr(Session, "renew", renewing)
    monkeypatch.setattr(Corrections, "_reason_of", late)
    calls = [lambda: VERBS[verb](fs)] * 2 if verb == "info" else [lambda: VERBS[verb](fs)]
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(call) for call in calls]
        assert all(call.exception() is None for call in done)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_request_that_met_the_trial_of_another_one_is_repeated(method: str) -> None:
    """A wrong region is tried by one thread, and signs for another one, which is told nothing of a region."""
    lies, tried, met = [True], Event(), Event()

    def fault(request: Request) -> Answer | None:
        if request.path.endswith("first") and lies:
            lies.clear()
            return refused(request, "AuthorizationHeaderMalformed", **{"x-amz-bucket-region": "eu-north-1"})
        if region_of(request) == "us-east-1":
            return None
        if request.path.endswith("first"):
            tried.set()
            assert met.wait(timeout=300)
        return refused(request, "SignatureDoesNotMatch", 403)

    fake = stored(fault)
    fake.put("bucket", "first", b"content")
    with ScriptedServer(handler=fake) as server, ThreadPoolExecutor(1) as pool:
        fs = filesystem(server.url)
        first = pool.submit(fs.cat_file, "bucket/first")
        assert tried.wait(timeout=300)
        try:
            assert (fs.exists if method == "HEAD" else fs.cat_file)("bucket/key")
        finally:
            met.set()
        assert first.result() == b"content"
        assert fs.cat_file("bucket/key") == b"content"
        assert region_of(server.requests[-1]) == "us-east-1"


def test_secret_that_is_wrong_is_told_although_a_region_was_learned() -> None:
    """The repetition says more than the answer that asked for another region."""

    def fault(request: Request) -> Answer | None:
        if region_of(request) != "eu-west-1":
            return refused(request, "PermanentRedirect", 301, **{"x-amz-bucket-region": "eu-west-1"})
        return refused(request, "SignatureDoesNotMatch", 403)

    with ScriptedServer(handler=stored(fault)) as server:
        with pytest.raises(AccessDeniedError) as caught:
            filesystem(server.url).pipe_file("bucket/key", b"1")
        assert caught.value.code == "SignatureDoesNotMatch"
        assert [region_of(request) for request in server.requests] == ["us-east-1", "eu-west-1", "us-east-1"]


def test_given_credentials_are_not_read_anew() -> None:
    with ScriptedServer(handler=lambda request: refused(request, "ExpiredToken")) as server:
        with pytest.raises(AccessDeniedError, match="pass fresh key"):
            filesystem(server.url, token="hush-token").cat_file("bucket/key")
        assert len(server.requests) == 1


@pytest.mark.parametrize("expiring", ["process"], indirect=True)
def test_source_that_fails_leaves_the_error_of_the_store(
    expiring: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """With a line in the log that says why there are no others, and no secret in it."""
    source, server, good = expiring
    fs = opened(server)
    fs.ls("bucket")
    good.clear()
    os.remove(source._folder / "key")
    caplog.set_level(logging.DEBUG)
    with pytest.raises(AccessDeniedError, match="sign in"):
        fs.cat_file("bucket/key")
    assert [record for record in caplog.records if "no others were found" in record.getMessage()]
    assert "hush" not in caplog.text


def test_source_that_fails_is_asked_once_for_all_who_wait(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Eight threads do not wait for eight runs of a program that takes its time; the next one asks."""
    asked, go_on = tmp_path / "asked", tmp_path / "go-on"
    program = tmp_path / "credentials.py"
    program.write_text(
        textwrap.dedent(f"""
        import os, sys, time
        open({str(asked)!r}, "a").write("x")
        while not os.path.exists({str(go_on)!r}):
            time.sleep(0.01)
        sys.exit("sign in first")
        """)
    )
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    waiting = Semaphore(0)
    read = Session._read

    def announced(self: Session, since: float) -> Any:
        waiting.release()
        return read(self, since)

    monkeypatch.setattr(Session, "_read", announced)
    with ScriptedServer(handler=FakeS3("bucket")) as server, ThreadPoolExecutor(8) as pool:
        filesystems = [opened(server) for _ in range(8)]
        calls = [pool.submit(fs.ls, "bucket") for fs in filesystems]
        for _ in calls:
            assert waiting.acquire(timeout=300)
        go_on.touch()
        for call in calls:
            with pytest.raises(CredentialsError, match="credential_process"):
                call.result(timeout=300)
        assert asked.read_text() == "x"
        with pytest.raises(CredentialsError):
            filesystems[0].ls("bucket")
        assert asked.read_text() == "xx"
        assert server.requests == []
