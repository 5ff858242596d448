"""The doctor: what it says of each state, that it goes on where it can, and that it leaves nothing."""

import json
import re
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest

pytest.importorskip("click")

from fsspec_guarded_s3._cli import commands, guard_report, reaching
from fsspec_guarded_s3._write import races
from fsspec_guarded_s3._write.guards import GUARDS
from tests.fake_dialects import FakeGCS
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, respond, s3_error
from tests.servers import MotoServer, RcloneServer, reserved_port

NAMES = (
    "endpoint dns tcp tls credentials answer store clock region accepted "
    "bucket list read delete write guards race"
)
SECRET = "a-secret-that-must-not-be-seen"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch)


def use(monkeypatch: pytest.MonkeyPatch, key: str = "AKIAKEYOFTHETEST", secret: str = SECRET) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


class Seen:
    """What one run of the doctor said."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], *arguments: str, url: str = "gs3://bucket"
    ) -> None:
        self.code = commands.main(["doctor", url, "--json", *arguments])
        printed = capsys.readouterr()
        assert SECRET not in printed.out + printed.err
        document = json.loads(printed.out)
        assert document["ok"] == (self.code == 0)
        self.checks = {check["name"]: check for check in document["checks"]}
        assert list(self.checks) == NAMES.split()

    def names(self, status: str) -> list[str]:
        return [name for name, check in self.checks.items() if check["status"] == status]

    def failed(self, name: str) -> str:
        """What was seen and the remedy of the only check that failed."""
        assert self.code == 1
        assert self.names("failed") == [name]
        assert self.checks[name]["remedy"]
        return f"{self.checks[name]['seen']} -> {self.checks[name]['remedy']}"

    def warned(self, name: str) -> str:
        """The same of the only check that warned, where none failed."""
        assert self.code == 0
        assert self.names("failed") == []
        assert self.names("warning") == [name]
        assert self.checks[name]["remedy"]
        return f"{self.checks[name]['seen']} -> {self.checks[name]['remedy']}"

    def skipped_after(self, name: str) -> bool:
        after = NAMES.split()[NAMES.split().index(name) + 1 :]
        return all(self.checks[later]["status"] == "skipped" for later in after)


def look(
    capsys: pytest.CaptureFixture[str], fake: Callable[[Request], Answer], *more: str, **url: str
) -> Seen:
    with ScriptedServer(handler=fake) as server:
        return Seen(capsys, "--endpoint-url", server.url, *more, **url)


def test_all_is_fine_and_nothing_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "there", b"x")
    seen = look(capsys, fake)
    assert seen.code == 0
    assert seen.names("skipped") == ["tls", "clock"]
    assert seen.names("warning") == []
    assert seen.checks["credentials"]["seen"] == "key AKIA... from env"
    assert set(fake.objects) == {("bucket", "there")}
    assert fake.uploads == {}


def test_read_only_sends_no_write(capsys: pytest.CaptureFixture[str]) -> None:
    methods = set()

    def fault(request: Request, _: FakeS3) -> None:
        methods.add(request.method)

    seen = look(capsys, FakeS3("bucket", fault=fault), "--read-only")
    assert seen.code == 0
    assert {"delete", "write", "guards"} <= set(seen.names("skipped"))
    assert methods <= {"GET", "HEAD"}


def test_moto_lacks_guards(moto: MotoServer, capsys: pytest.CaptureFixture[str]) -> None:
    fs = filesystem(moto.url)
    fs.mkdir("doctor-bucket")
    seen = Seen(capsys, "--endpoint-url", moto.url, url="gs3://doctor-bucket/folder/")
    assert "copy_create" in seen.warned("guards")
    assert "a wrong secret is taken" in seen.checks["accepted"]["seen"]
    assert fs.find("doctor-bucket") == []
    assert fs.list_uploads("doctor-bucket") == []
    seen = Seen(capsys, "--endpoint-url", moto.url, url="gs3://no-such-bucket")
    assert "no-such-bucket" in seen.failed("bucket")
    assert "does not refuse" in seen.checks["accepted"]["seen"]
    assert seen.skipped_after("bucket")


def test_rclone_wants_other_credentials(
    monkeypatch: pytest.MonkeyPatch, rclone: RcloneServer, capsys: pytest.CaptureFixture[str]
) -> None:
    filesystem(rclone.url, key=rclone.key, secret=rclone.secret).mkdir("doctor-bucket")
    for key, secret, expected in (
        ("other", SECRET, "InvalidAccessKeyId"),
        (rclone.key, SECRET, "SignatureDoesNotMatch"),
    ):
        use(monkeypatch, key, secret)
        seen = Seen(capsys, "--endpoint-url", rclone.url, url="gs3://doctor-bucket")
        assert expected in seen.failed("accepted")
        assert seen.skipped_after("accepted")
    use(monkeypatch, rclone.key, rclone.secret)
    seen = Seen(capsys, "--endpoint-url", rclone.url, url="gs3://doctor-bucket")
    assert "create, swap" in seen.warned("guards")
    assert "the signature is right" in seen.checks["accepted"]["seen"]
    assert list((rclone.root / "doctor-bucket").iterdir()) == []


def test_server_is_down(capsys: pytest.CaptureFixture[str]) -> None:
    with reserved_port() as port:
        seen = Seen(capsys, "--endpoint-url", f"http://127.0.0.1:{port}")
    assert "start the server" in seen.failed("tcp")
    assert seen.checks["credentials"]["status"] == "ok"
    assert seen.checks["guards"]["seen"] == "needs write"


def test_name_does_not_resolve(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(reaching.socket, "getaddrinfo", unknown)
    seen = Seen(capsys, "--endpoint-url", "https://no-such-host.invalid")
    assert "no-such-host.invalid" in seen.failed("dns")
    assert seen.checks["tcp"]["seen"] == "needs dns"


def test_proxy_that_is_none_is_a_wrong_configuration(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"socks5://user:{SECRET}@127.0.0.1:1")
    seen = Seen(capsys, "--endpoint-url", "https://store.test")
    assert "HTTPS_PROXY must be http://" in seen.failed("endpoint")
    assert SECRET not in seen.failed("endpoint")


def test_proxy_is_named_without_its_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with reserved_port() as port:
        monkeypatch.setenv("https_proxy", f"http://user:{SECRET}@127.0.0.1:{port}")
        seen = Seen(capsys, "--endpoint-url", "https://store.test")
    assert f"through the proxy 127.0.0.1:{port}" in seen.checks["endpoint"]["seen"]
    assert f"127.0.0.1:{port}" in seen.failed("tcp")


def test_certificate_is_not_trusted(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(handler=FakeS3("bucket"), tls=True) as server:
        seen = Seen(capsys, "--endpoint-url", server.url)
        assert "AWS_CA_BUNDLE" in seen.failed("tls")
        assert seen.checks["answer"]["seen"] == "needs tls"
        assert server.ca_path is not None
        seen = Seen(capsys, "--endpoint-url", server.url, "-o", f"ca_bundle={server.ca_path}")
        assert seen.code == 0
        assert "TLSv1" in seen.checks["tls"]["seen"]


@pytest.mark.parametrize("place", ["-o ca_bundle", "-o client_cert", "AWS_CA_BUNDLE"])
def test_the_remedy_names_the_setting_that_is_wrong(
    place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer(handler=FakeS3("bucket"), tls=True) as server:
        options = ["-o", f"ca_bundle={server.ca_path}"]
        if place.startswith("-o"):
            options = ["-o", f"{place[3:]}=/nowhere/file.pem"]
        else:
            monkeypatch.setenv(place, "/nowhere/file.pem")
            options = []
        seen = Seen(capsys, "--endpoint-url", server.url, *options)
    assert seen.failed("tls").endswith(f" -> correct {place}")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_remedy_of_a_wrong_proxy_is_its_variable(
    scheme: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", f"http://user:{SECRET}@[::1")
    seen = Seen(capsys, "--endpoint-url", f"{scheme}://store.test", "-o", "allow_http=true")
    assert seen.failed("endpoint").endswith(f" -> correct {scheme.upper()}_PROXY in the environment")


def test_the_remedy_of_a_refusing_proxy_is_not_another_endpoint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer(handler=lambda request: respond(407)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", f"//user:{SECRET}@"))
        seen = Seen(capsys, "--endpoint-url", "http://store.test", "-o", "allow_http=true")
    assert "answered 407" in seen.failed("answer")
    assert "the proxy in the environment" in seen.failed("answer")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--endpoint-url", "http://store.test"], "allow_http"),
        (["--profile", "nobody"], "nobody"),
    ],
)
def test_configuration_is_wrong(
    capsys: pytest.CaptureFixture[str], options: list[str], expected: str
) -> None:
    seen = Seen(capsys, *options)
    assert expected in seen.failed("endpoint")
    assert seen.skipped_after("endpoint")


def test_no_credentials(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "--profile" in look(capsys, FakeS3("bucket")).failed("credentials")
    assert look(capsys, FakeS3("bucket"), "--anon").code == 0


def test_token_has_expired(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", SECRET)
    fake = FakeS3("bucket", fault=lambda *_: s3_error(400, "ExpiredToken", "The provided token has expired."))
    seen = look(capsys, fake)
    assert "sign in again" in seen.failed("accepted")
    assert seen.skipped_after("accepted")


def test_clock_is_wrong(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """The store refuses an old date; the doctor says so, corrects itself and goes on."""
    date = formatdate(time.time() + 7200, usegmt=True)
    skewed = s3_error(403, "RequestTimeTooSkewed", headers={"Date": date})
    asked: list[str] = []

    def fault(request: Request, _: FakeS3) -> Answer | None:
        asked.append(request.method)
        return skewed if len(asked) == 1 else None

    def after(request: Request, reply: Reply) -> Answer:
        return respond(reply.status, reply.body, headers={**reply.headers, "Date": date})

    seen = look(capsys, FakeS3("bucket", fault=fault, after=after), "--read-only")
    told = seen.warned("clock")
    assert re.search(r"71[5-9]\d s behind the store|7200 s behind the store", told)
    assert "NTP" in told
    assert seen.checks["list"]["status"] == "ok"


def test_region_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = s3_error(301, "PermanentRedirect", headers={"x-amz-bucket-region": "eu-west-1"})

    def fault(request: Request, _: FakeS3) -> Answer | None:
        return None if "/eu-west-1/" in request.headers["authorization"] else elsewhere

    seen = look(capsys, FakeS3("bucket", fault=fault), "--read-only")
    assert "--region eu-west-1" in seen.warned("region")


@pytest.mark.parametrize(
    ("denied", "check", "skipped"),
    [
        (lambda request: "list-type" in request.query, "list", []),
        (lambda request: request.method == "PUT", "write", ["guards"]),
        (lambda request: request.method == "DELETE", "delete", ["write", "guards"]),
    ],
)
def test_permission_is_missing(
    capsys: pytest.CaptureFixture[str],
    denied: Callable[[Request], bool],
    check: str,
    skipped: list[str],
) -> None:
    """The action is named, what does not depend on it is checked still, and nothing is left."""
    fake = FakeS3(
        "bucket", fault=lambda request, _: s3_error(403, "AccessDenied") if denied(request) else None
    )
    seen = look(capsys, fake)
    assert "policy" in seen.failed(check)
    assert set(skipped) == set(seen.names("skipped")) & {"delete", "write", "guards"}
    assert fake.objects == {}


def test_reading_is_not_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    def fault(request: Request, _: FakeS3) -> Answer | None:
        return s3_error(403, "AccessDenied") if request.path == "/bucket/there" else None

    fake = FakeS3("bucket", fault=fault)
    fake.put("bucket", "there", b"x")
    assert "s3:GetObject" in look(capsys, fake).failed("read")


def test_what_cannot_be_removed_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A store that lets the first delete pass, and refuses the one that matters."""
    deletes: list[str] = []

    def fault(request: Request, _: FakeS3) -> Answer | None:
        deletes.extend([request.path] * (request.method == "DELETE"))
        return s3_error(403, "AccessDenied") if len(deletes) > 1 else None

    fake = FakeS3("bucket", fault=fault)
    told = look(capsys, fake).failed("write")
    ((_, key),) = fake.objects
    assert f"delete bucket/{key} by hand" in told


def test_conditions_are_ignored(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeS3("bucket", ignore_conditions=True)
    assert "create, swap" in look(capsys, fake).warned("guards")
    assert fake.objects == {}


@pytest.mark.parametrize(
    "answer",
    [
        respond(200, b"<html>a console</html>"),
        respond(302, b"", headers={"Location": "/login"}),
        s3_error(500, "InternalError"),
    ],
)
def test_what_answers_is_no_s3(capsys: pytest.CaptureFixture[str], answer: Answer) -> None:
    seen = look(capsys, lambda request: answer)
    assert seen.failed("answer")
    assert seen.skipped_after("answer")


def test_a_page_is_called_one(capsys: pytest.CaptureFixture[str]) -> None:
    page = respond(200, b"<!DOCTYPE html><html><head><meta charset=utf-8><br></head></html>")
    assert "HTML page" in look(capsys, lambda request: page).failed("answer")


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "XAdminUserNotFound"), (403, "UnknownKey"), (401, "Unauthorized"), (403, "RequestTimeTooSkewed")],
)
def test_a_key_that_is_refused_in_any_words_is_not_accepted(
    capsys: pytest.CaptureFixture[str], status: int, code: str
) -> None:
    """versitygw has a code of its own for a key that it does not know; some tell no time beside a skew."""
    refusal = s3_error(status, code)

    def without_date(request: Request) -> Answer:
        return replace(refusal, headers={**refusal.headers, "Date": ""})

    seen = look(capsys, without_date)
    assert code in seen.failed("accepted")
    assert seen.skipped_after("accepted")


def test_what_a_store_does_not_tell_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Garage denies a key that it does not know in the words of a policy."""
    seen = look(capsys, lambda request: s3_error(403, "AccessDenied", "Forbidden: Invalid signature"))
    assert {"accepted", "bucket"} <= set(seen.names("skipped"))
    assert "'Forbidden: Invalid signature'" in seen.checks["accepted"]["seen"]
    assert {"list", "delete"} <= set(seen.names("failed"))
    assert "correct key and secret" in seen.checks["list"]["remedy"]


def test_the_remedies_are_those_of_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen(capsys, "--endpoint-url", "http://s3.example.com")
    assert "--allow-http" in seen.failed("endpoint")
    with reserved_port() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        assert "HTTPS_PROXY" in Seen(capsys, "--endpoint-url", "https://s3.example.com").failed("tcp")


def test_a_store_is_not_what_an_option_says(capsys: pytest.CaptureFixture[str]) -> None:
    seen = look(capsys, FakeS3("bucket"), "--read-only", "-o", "dialect=r2")
    assert seen.checks["store"]["seen"] == "it does not say which, talked to as Cloudflare R2"


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Not a terminal: no colour; the remedy below the check that failed."""
    with ScriptedServer(handler=FakeS3()) as server:
        assert commands.main(["doctor", "s3://bucket", "--endpoint-url", server.url]) == 1
    output = capsys.readouterr().out
    assert "\x1b" not in output
    lines = output.splitlines()
    place = lines.index("failed   bucket       there is no bucket bucket")
    assert lines[place + 1].startswith(" " * 22 + "-> correct the name")
    assert lines[place + 2] == "skipped  list         needs bucket"


@pytest.mark.parametrize("url", ["gs3://", "ftp://bucket/key", "gs3://b"])
def test_url_is_no_bucket(capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert commands.main(["doctor", url]) == 2
    printed: Any = capsys.readouterr()
    assert printed.out == ""
    assert "Invalid value for 'URL'" in printed.err


def test_port_speaks_no_tls(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(handler=FakeS3("bucket"), before_body=lambda request: None) as server:
        url = server.url.replace("http://", "https://")
        assert "http://" in Seen(capsys, "--endpoint-url", url).failed("tls")


def test_versions_are_removed_too(capsys: pytest.CaptureFixture[str], moto: MotoServer) -> None:
    """In a bucket with versions neither an old version nor a delete marker stays."""
    fs = filesystem(moto.url)
    fs.mkdir("doctor-versions")
    fs.make_bucket_versioned("doctor-versions", True)
    assert Seen(capsys, "--endpoint-url", moto.url, url="gs3://doctor-versions").code == 0
    client: Any = fs._client
    pages = list(client.listings.list_object_versions("doctor-versions"))
    assert [page.versions for page in pages if page.versions] == []


# --- which store, and what it means ---


def told(fake: FakeS3, headers: dict[str, str], request_id: str = "") -> Callable[[Request], Answer]:
    """`fake` with other headers in its answers, and another request id."""

    def answer(request: Request) -> Answer:
        reply = fake(request)
        assert isinstance(reply, Reply)
        kept = {name: text for name, text in reply.headers.items() if name.lower() != "x-amz-request-id"}
        return replace(
            reply, headers={**kept, **headers, **({"x-amz-request-id": request_id} if request_id else {})}
        )

    return answer


@pytest.mark.parametrize(
    ("headers", "request_id", "expected"),
    [
        ({"Server": "VERSITYGW"}, "T5IPF3VWK7S4ZTS0", "versitygw: a delete under If-Match can lose a race"),
        (
            {},
            "tx00000c2d5e7a4f1b-00656789ab-1234-default",
            "Ceph RGW: it honours no condition in a bucket with",
        ),
        ({"Server": "Ceph Object Gateway (squid)"}, "", "Ceph RGW"),
        ({"Server": "MinIO"}, "17D5A8", "MinIO"),
        ({"Server": "SeaweedFS 30GB 3.97"}, "", "SeaweedFS"),
        ({"Server": "AmazonS3"}, "0000000000000003", "gofakes3: a test double"),
        ({"Server": "AmazonS3"}, "N87PUO32PGEOBE1J", "it calls itself AmazonS3, and is not at a host of AWS"),
        ({"Server": "nginx"}, "1", "nginx"),
        ({}, "1", "it does not say which"),
    ],
)
def test_the_store_is_told_by_what_it_says(
    capsys: pytest.CaptureFixture[str], headers: dict[str, str], request_id: str, expected: str
) -> None:
    seen = look(capsys, told(FakeS3("bucket"), headers, request_id), "--read-only")
    assert seen.checks["store"]["seen"].startswith(expected)
    assert seen.checks["store"]["status"] == "ok"


@pytest.mark.parametrize(("dialect", "name"), [("r2", "Cloudflare R2"), ("gcs", "Google Cloud Storage")])
def test_a_dialect_is_named(capsys: pytest.CaptureFixture[str], dialect: str, name: str) -> None:
    seen = look(capsys, FakeS3("bucket"), "--read-only", "-o", f"dialect={dialect}")
    assert name in seen.checks["store"]["seen"]


def test_each_missing_guard_says_what_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    seen = look(capsys, FakeS3("bucket", ignored=("create", "copy_source", "delete_many")))
    assert seen.checks["guards"]["seen"] == "not honoured: create, delete_many, copy_source"
    assert len(seen.checks["guards"]["remedy"].splitlines()) == 3
    details = seen.checks["guards"]["details"]
    assert details["honoured"]["swap"] and not details["honoured"]["create"]
    assert list(details["missing"]) == ["create", "delete_many", "copy_source"]
    assert details["missing"]["create"]["verbs"] == "mode='create', put_if_absent, open 'xb'"
    assert details["missing"]["create"]["then"].startswith("refused")
    assert list(seen.checks["race"]["details"]) == ["swap"]


def test_every_guard_has_a_meaning() -> None:
    assert list(guard_report.MEANING) == list(GUARDS)


def test_a_store_that_compares_and_writes_in_two_steps_is_found_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake = FakeS3("bucket")
    fake.two_steps = 0.2
    seen = look(capsys, fake)
    assert "one writer per key only" in seen.warned("race")
    assert {name: row["lost"] > 0 for name, row in seen.checks["race"]["details"].items()} == {
        "create": True,
        "swap": True,
    }
    assert fake.objects == {}


def test_a_store_that_decides_wins_the_race(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(races, "_SECONDS", 300.0)  # so that all rounds are run, however busy this machine is
    fake = FakeS3("bucket")
    seen = look(capsys, fake)
    assert seen.checks["race"]["status"] == "ok"
    assert seen.checks["race"]["details"] == {name: {"rounds": 20, "lost": 0} for name in ("create", "swap")}
    assert fake.objects == {}


def test_a_store_without_conditions_runs_no_race(capsys: pytest.CaptureFixture[str]) -> None:
    seen = look(capsys, FakeS3("bucket", ignore_conditions=True))
    assert seen.checks["race"]["status"] == "skipped"


def test_lines_of_missing_guards(capsys: pytest.CaptureFixture[str]) -> None:
    """One for each guard."""
    with ScriptedServer(handler=FakeS3("bucket", ignored=("create", "copy_swap"))) as server:
        assert commands.main(["doctor", "s3://bucket", "--endpoint-url", server.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "warning  guards       not honoured: create, copy_swap" in lines
    assert [line.split()[1] for line in lines if line.lstrip().startswith("->")] == ["create:", "copy_swap:"]


@pytest.mark.parametrize("also", ["create", "swap", None])
def test_copies_have_another_way_only_by_the_condition_of_a_write(
    capsys: pytest.CaptureFixture[str], also: str | None
) -> None:
    """Garage honours neither: there `cp_file(mode="create")` is refused, as the write is."""
    ignored = ("copy_create", "copy_swap", *([also] if also else []))
    told = look(capsys, FakeS3("bucket", ignored=ignored)).checks["guards"]["details"]["missing"]
    for name in ("create", "swap"):
        assert told[f"copy_{name}"]["then"].startswith("refused") == (name == also)


def test_google_cloud_storage_is_examined_in_its_own_words(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeGCS("bucket", secret=SECRET)
    seen = look(capsys, fake, "-o", "dialect=gcs")
    assert seen.names("failed") == []
    assert seen.checks["store"]["seen"] == "Google Cloud Storage"
    missing = "create_on_complete, swap_on_complete, delete_many, copy_source_parts"
    assert seen.checks["guards"]["seen"] == f"not honoured: {missing}"
    assert seen.checks["race"]["status"] == "ok"
    assert fake.objects == {}
