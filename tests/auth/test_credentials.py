"""Credentials: every source of botocore's chain, for real, and what a request does when none works."""

import hashlib
import json
import logging
import os
import pickle
import re
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import botocore.utils
import pytest

from fsspec_guarded_s3 import ConfigurationError, CredentialsError, GuardedS3FileSystem
from tests.scripted_server import Answer, Request, ScriptedServer, respond, s3_error

LATER = "2099-01-01T00:00:00Z"
SECRETS = ("hush-secret", "hush-session", "hush-token")
Source = Callable[[Request], Answer]


@pytest.fixture(autouse=True)
def nobody_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What lies in the home directory of the machine does not reach a test, nor do waits of botocore's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BOTO_CONFIG", str(tmp_path / "no-boto-config"))
    monkeypatch.setattr(botocore.utils.ContainerMetadataFetcher, "SLEEP_TIME", 0)
    monkeypatch.setattr(botocore.utils.ContainerMetadataFetcher, "TIMEOUT_SECONDS", 60)  # else 2


def no_source(request: Request) -> Answer:
    raise AssertionError(f"nobody should ask for {request.target}")


def store(source: Source = no_source) -> ScriptedServer:
    """A server with the objects of "bucket"; whatever else is asked for goes to `source`."""
    stored = respond(200, b"body", etag="one")
    return ScriptedServer(
        handler=lambda request: stored if request.path.startswith("/bucket/") else source(request)
    )


def opened(server: ScriptedServer, **options: Any) -> GuardedS3FileSystem:
    """A filesystem that has to find its credentials itself."""
    return GuardedS3FileSystem(
        endpoint_url=server.url, skip_instance_cache=True, **{"region": "us-east-1", **options}
    )


def keys(server: ScriptedServer) -> list[str]:
    """The access key ids by which the requests to the store were signed."""
    found = []
    for request in server.requests:
        if request.path.startswith("/bucket/"):
            signed = re.match(r"AWS4-HMAC-SHA256 Credential=([^/]+)/", request.headers["authorization"])
            assert signed
            found.append(signed[1])
    return found


def tokens(server: ScriptedServer) -> list[str | None]:
    """The session tokens that came with the requests to the store."""
    asked = [request for request in server.requests if request.path.startswith("/bucket/")]
    return [request.headers.get("x-amz-security-token") for request in asked]


def issued(key: str, expiration: str = LATER) -> dict[str, str]:
    """Credentials as containers, instances and processes hand them out."""
    return {
        "AccessKeyId": key,
        "SecretAccessKey": "hush-secret",
        "Token": "hush-session",
        "SessionToken": "hush-session",
        "Expiration": expiration,
    }


def as_json(data: object) -> Answer:
    return respond(200, json.dumps(data).encode(), headers={"Content-Type": "application/json"})


def sts_answer(operation: str, key: str) -> Answer:
    """What STS answers to AssumeRole and its kin."""
    body = (
        f'<{operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{operation}Result>'
        f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>hush-secret</SecretAccessKey>"
        f"<SessionToken>hush-session</SessionToken><Expiration>{LATER}</Expiration></Credentials>"
        f"</{operation}Result></{operation}Response>"
    )
    return respond(200, body.encode(), headers={"Content-Type": "text/xml"})


def write_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **files: str) -> None:
    """Write the `config` and `credentials` files, and point botocore to them."""
    variables = {"config": "AWS_CONFIG_FILE", "credentials": "AWS_SHARED_CREDENTIALS_FILE"}
    for name, text in files.items():
        path = tmp_path / f"aws-{name}"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        monkeypatch.setenv(variables[name], str(path))


@pytest.fixture
def no_credential_shown(caplog: pytest.LogCaptureFixture, recwarn: Any) -> Iterator[None]:
    """No logger, botocore's included, shows a credential, and no warning does."""
    caplog.set_level("DEBUG")
    yield
    logged = [logging.Formatter().format(record) for record in caplog.get_records("call")]
    assert logged, "nothing was logged: this fixture would always hold"
    shown = "\n".join([*logged, *(str(warning.message) for warning in recwarn)])
    assert not [secret for secret in (*SECRETS, "Signature=") if secret in shown]


# --- the sources -----------------------------------------------------------------------------------


def test_options_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key and secret in the options win over the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-secret")
    with store() as server:
        opened(server, key="OPTIONKEY", secret="hush-secret", token="hush-session").cat_file("bucket/key")
        assert keys(server) == ["OPTIONKEY"]
        assert tokens(server) == ["hush-session"]


@pytest.mark.usefixtures("no_credential_shown")
def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_ACCESS_KEY_ID and its companions sign the request, with the session token."""
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "app")  # which has botocore read them, and log
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "hush-session")
    with store() as server:
        assert opened(server).cat_file("bucket/key") == b"body"
        assert keys(server) == ["ENVKEY"]
        assert tokens(server) == ["hush-session"]


@pytest.mark.parametrize("by_option", [True, False])
def test_profile_of_the_credentials_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by_option: bool
) -> None:
    """A profile is chosen by the option or by AWS_PROFILE."""
    text = """
        [default]
        aws_access_key_id = DEFAULTKEY
        aws_secret_access_key = hush-secret
        [work]
        aws_access_key_id = WORKKEY
        aws_secret_access_key = hush-secret
    """
    write_config(monkeypatch, tmp_path, credentials=text)
    if not by_option:
        monkeypatch.setenv("AWS_PROFILE", "work")
    with store() as server:
        opened(server, profile="work" if by_option else None).cat_file("bucket/key")
        assert keys(server) == ["WORKKEY"]


def test_default_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a word the default profile is taken, from the config file too."""
    text = "[default]\naws_access_key_id = DEFAULTKEY\naws_secret_access_key = hush-secret\n"
    write_config(monkeypatch, tmp_path, config=text)
    with store() as server:
        opened(server).cat_file("bucket/key")
        assert keys(server) == ["DEFAULTKEY"]


def test_a_profile_by_option_wins_over_keys_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = "[work]\naws_access_key_id = WORKKEY\naws_secret_access_key = hush-secret\n"
    write_config(monkeypatch, tmp_path, credentials=text)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-secret")
    with store() as server:
        opened(server, profile="work").cat_file("bucket/key")
        assert keys(server) == ["WORKKEY"]


def process(tmp_path: Path, code: str) -> str:
    """A profile whose credentials come from a Python program."""
    program = tmp_path / "credentials.py"
    program.write_text(code, encoding="utf-8")
    return f'[default]\ncredential_process = "{sys.executable}" "{program}"\n'


@pytest.mark.usefixtures("no_credential_shown")
def test_credential_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """credential_process is run, and what it prints signs the request."""
    answer = {"Version": 1, **issued("PROCESSKEY")}
    write_config(monkeypatch, tmp_path, config=process(tmp_path, f"print({json.dumps(answer)!r})"))
    with store() as server:
        opened(server).cat_file("bucket/key")
        assert keys(server) == ["PROCESSKEY"]
        assert tokens(server) == ["hush-session"]


def use_container(monkeypatch: pytest.MonkeyPatch, server: ScriptedServer) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/creds")


@pytest.mark.usefixtures("no_credential_shown")
def test_container(monkeypatch: pytest.MonkeyPatch) -> None:
    """The container's endpoint is asked, with its authorization token."""
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hush-token")
    with store(lambda request: as_json(issued("CONTAINERKEY"))) as server:
        use_container(monkeypatch, server)
        opened(server).cat_file("bucket/key")
        assert keys(server) == ["CONTAINERKEY"]
        assert server.requests[0].headers["authorization"] == "hush-token"


@pytest.mark.usefixtures("no_credential_shown")
def test_instance_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """The role of the instance (IMDSv2) signs the request."""
    where = "/latest/meta-data/iam/security-credentials/"

    def metadata(request: Request) -> Answer:
        if (request.method, request.path) == ("PUT", "/latest/api/token"):
            return respond(200, b"hush-token")
        assert request.headers["x-aws-ec2-metadata-token"] == "hush-token"
        if request.path == where:
            return respond(200, b"the-role")
        assert request.path == f"{where}the-role"
        return as_json({"Code": "Success", **issued("IMDSKEY")})

    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    with store(metadata) as server:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url)
        monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", "60")  # else botocore gives up after a second
        opened(server).cat_file("bucket/key")
        assert keys(server) == ["IMDSKEY"]


@pytest.mark.usefixtures("no_credential_shown")
def test_web_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The token of a file is exchanged at STS for the role's credentials."""
    token = tmp_path / "token"
    token.write_text("hush-token", encoding="utf-8")

    def sts(request: Request) -> Answer:
        asked = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        assert asked["Action"] == "AssumeRoleWithWebIdentity"
        assert asked["WebIdentityToken"] == "hush-token"
        return sts_answer("AssumeRoleWithWebIdentity", "WEBKEY")

    with store(sts) as server:
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/test")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        opened(server).cat_file("bucket/key")
        assert keys(server) == ["WEBKEY"]


@pytest.mark.usefixtures("no_credential_shown")
def test_role_of_a_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """role_arn with source_profile: STS is asked as the source, the store as the role."""
    config = """
        [profile work]
        role_arn = arn:aws:iam::123456789012:role/test
        source_profile = base
        region = us-east-1
    """
    base = """
        [base]
        aws_access_key_id = BASEKEY
        aws_secret_access_key = hush-secret
        aws_session_token = hush-token
    """
    write_config(monkeypatch, tmp_path, config=config, credentials=base)
    with store(lambda request: sts_answer("AssumeRole", "ROLEKEY")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        opened(server, profile="work").cat_file("bucket/key")
        assert "Credential=BASEKEY/" in server.requests[0].headers["authorization"]
        assert keys(server) == ["ROLEKEY"]


SSO_PROFILE = """
    [profile work]
    sso_account_id = 123456789012
    sso_role_name = reader
"""
SSO_PLACE = "sso_start_url = https://example.test/start\n    sso_region = us-east-1\n"
SSO_CONFIGS = {
    "legacy": (f"{SSO_PROFILE}    {SSO_PLACE}", "https://example.test/start"),
    "session": (f"{SSO_PROFILE}    sso_session = corp\n    [sso-session corp]\n    {SSO_PLACE}", "corp"),
}


@pytest.mark.parametrize("kind", SSO_CONFIGS)
def test_sso(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str) -> None:
    """The cached token of `aws sso login` is exchanged for the role's credentials; no log shows them.

    In a process of its own: botocore looks up the home directory when it is imported.
    """
    config, cached_as = SSO_CONFIGS[kind]
    write_config(monkeypatch, tmp_path, config=config)
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = {"accessToken": "hush-token", "expiresAt": LATER, "region": "us-east-1"}
    name = hashlib.sha1(cached_as.encode()).hexdigest()
    (cache / f"{name}.json").write_text(json.dumps(token), encoding="utf-8")

    def sso(request: Request) -> Answer:
        assert request.path == "/federation/credentials"
        assert request.headers["x-amz-sso_bearer_token"] == "hush-token"
        role = {"accessKeyId": "SSOKEY", "secretAccessKey": "hush-secret", "sessionToken": "hush-session"}
        return as_json({"roleCredentials": {**role, "expiration": 4_070_908_800_000}})

    code = """
        import logging, sys
        logging.basicConfig(level=logging.DEBUG)
        from fsspec_guarded_s3 import GuardedS3FileSystem
        fs = GuardedS3FileSystem(endpoint_url=sys.argv[1], profile="work", region="us-east-1")
        print(fs.cat_file("bucket/key"))
    """
    with store(sso) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", server.url)
        command = [sys.executable, "-c", textwrap.dedent(code), server.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=os.environ.copy())
        assert done.stdout == "b'body'\n", done.stderr
        assert keys(server) == ["SSOKEY"]
    assert "botocore.credentials" in done.stderr
    assert not [secret for secret in SECRETS if secret in done.stderr]


@pytest.mark.parametrize("given", [{}, {"key": "GIVEN", "secret": "hush-secret", "token": "hush-token"}])
def test_anonymous_requests_look_for_no_credentials(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    """anon=True signs nothing, although the environment has credentials, or the caller passes some (pandas
    asks again so when it was refused)."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-secret")
    with store() as server:
        assert opened(server, anon=True, **given).cat_file("bucket/key") == b"body"
        headers = server.requests[0].headers
        assert not [name for name in headers if name in ("authorization", "x-amz-date")]


# --- refresh ---------------------------------------------------------------------------------------


def numbered(expires_in: timedelta) -> Source:
    """A container that issues KEY1, KEY2 ..., each valid for `expires_in`."""
    count = 0

    def source(request: Request) -> Answer:
        nonlocal count
        count += 1
        expiration = (datetime.now(timezone.utc) + expires_in).strftime("%Y-%m-%dT%H:%M:%SZ")
        return as_json(issued(f"KEY{count}", expiration))

    return source


def test_credentials_that_are_about_to_expire_are_renewed_in_mid_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same filesystem signs the second request by a newer key."""
    with store(numbered(timedelta(minutes=5))) as server:
        use_container(monkeypatch, server)
        fs = opened(server)
        fs.cat_file("bucket/key")
        fs.cat_file("bucket/key")
        first, second = keys(server)
        assert int(second.removeprefix("KEY")) > int(first.removeprefix("KEY"))


def test_credentials_are_renewed_between_the_attempts_of_one_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A retry is signed anew, by the credentials of that moment."""
    source = numbered(timedelta(minutes=5))
    answers = [s3_error(500, "InternalError"), respond(200, b"body", etag="one")]

    def handler(request: Request) -> Answer:
        return answers.pop(0) if request.path.startswith("/bucket/") else source(request)

    with ScriptedServer(handler=handler) as server:
        use_container(monkeypatch, server)
        assert opened(server).cat_file("bucket/key") == b"body"
        first, second = keys(server)
        assert first != second


def test_credentials_that_last_are_fetched_once_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    with store(numbered(timedelta(hours=6))) as server:
        use_container(monkeypatch, server)
        fs = opened(server)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(fs.cat_file, ["bucket/key"] * 16))
        assert keys(server) == ["KEY1"] * 16
        assert len(server.requests) == 17


def test_a_refresh_that_fails_is_a_credentials_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials ran out and the source is gone: nothing is sent any more, and the error says why."""
    working = True
    source = numbered(timedelta(minutes=5))
    with store(lambda request: source(request) if working else respond(404)) as server:
        use_container(monkeypatch, server)
        fs = opened(server)
        fs.cat_file("bucket/key")
        working = False
        with pytest.raises(CredentialsError, match="could not be refreshed"):
            fs.cat_file("bucket/key")
        assert len(keys(server)) == 1


def test_credentials_that_are_expired_when_issued_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore raises a bare RuntimeError there."""
    with store(numbered(timedelta(minutes=-5))) as server:
        use_container(monkeypatch, server)
        with pytest.raises(CredentialsError, match="still expired"):
            opened(server).cat_file("bucket/key")
        assert keys(server) == []


# --- no credentials --------------------------------------------------------------------------------


def test_no_credentials_at_all() -> None:
    """The error names the remedies, and nothing is sent."""
    with store() as server:
        with pytest.raises(CredentialsError) as caught:
            opened(server).cat_file("bucket/key")
        assert server.requests == []
    for remedy in ("key and secret", "AWS_ACCESS_KEY_ID", "profile", "anon=True"):
        assert remedy in str(caught.value)
    assert isinstance(caught.value, PermissionError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def break_token_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "gone"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def break_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVKEY")


def break_process(code: str) -> Callable[[pytest.MonkeyPatch, Path], None]:
    def prepare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        write_config(monkeypatch, tmp_path, config=process(tmp_path, code))

    return prepare


def break_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = f"[default]\ncredential_process = {tmp_path / 'no-such-program'}\n"
    write_config(monkeypatch, tmp_path, config=config)


def break_sso(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_config(monkeypatch, tmp_path, config="[default]\nsso_account_id = 1\nsso_role_name = reader\n")


BROKEN = {
    "the token file is missing": (break_token_file, "gone"),
    "half of the keys": (break_environment, "AWS_SECRET_ACCESS_KEY"),
    "the process fails": (
        break_process("import sys; sys.exit('hush-secret')"),
        "credential_process of the AWS",
    ),
    "the process prints no JSON": (break_process("print('{hush-secret')"), "JSONDecodeError"),
    "the process prints a half": (break_process("print('{\"Version\": 1}')"), "AccessKeyId"),
    "the process tells no secret": (
        break_process("""print('{"Version": 1, "AccessKeyId": "K", "SecretAccessKey": null}')"""),
        "secret key .* is no text",
    ),
    "the process tells numbers": (
        break_process("""print('{"Version": 1, "AccessKeyId": 1, "SecretAccessKey": 2}')"""),
        "access key .* is no text",
    ),
    "the process tells another version": (
        break_process("""print('{"Version": "hush-secret"}')"""),
        "credential_process of",
    ),
    "the process tells no time": (
        break_process(
            """print('{"Version": 1, "AccessKeyId":"K","SecretAccessKey":"S", "Expiration": "hush-token"}')"""
        ),
        "the time at which they end is none",
    ),
    "the process tells a list": (break_process("print('[\"hush-secret\"]')"), "AttributeError"),
    "there is no such program": (break_program, "no-such-program"),
    "SSO without a place": (break_sso, "sso_start_url"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_source_that_fails_is_a_credentials_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str
) -> None:
    """It says which, shows no secret, and sends nothing: never a FileNotFoundError, which means the key."""
    prepare, said = BROKEN[case]
    prepare(monkeypatch, tmp_path)
    with store() as server:
        with pytest.raises(CredentialsError, match=said) as caught:
            opened(server).cat_file("bucket/key")
        assert server.requests == []
    assert not isinstance(caught.value, FileNotFoundError)
    shown = "".join(traceback.format_exception(caught.value))
    error: BaseException | None = caught.value
    while error is not None:  # what it holds is shown by tools that report errors
        shown += f"{error!r} {vars(error)}"
        error = error.__cause__ or error.__context__
    assert not [secret for secret in SECRETS if secret in shown.replace("{hush-secret'", "")]


def test_a_process_that_fails_later_shows_nothing_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """botocore asks it again when the credentials are about to end."""
    once = tmp_path / "once"
    expires = (datetime.now(timezone.utc) + timedelta(seconds=60)).isoformat()
    told = {"Version": 1, "AccessKeyId": "K", "SecretAccessKey": "hush-secret", "Expiration": expires}
    code = (
        f"import os, sys\nif os.path.exists({str(once)!r}): sys.exit('hush-token')\n"
        f"open({str(once)!r}, 'w').close()\nprint({json.dumps(told)!r})"
    )
    break_process(code)(monkeypatch, tmp_path)
    with store() as server, pytest.raises(CredentialsError, match="refreshed: credential_process") as caught:
        opened(server).cat_file("bucket/key")
    assert not [secret for secret in SECRETS if secret in "".join(traceback.format_exception(caught.value))]
    assert caught.value.__cause__ is None and caught.value.__context__ is None


@pytest.mark.parametrize("variable", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", ""])
def test_a_profile_that_is_not_there_is_named_by_who_asked_for_it(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "nope")
    options = {} if variable else {"profile": "nope"}
    with store() as server, pytest.raises(ConfigurationError, match=r"\(nope\)") as caught:
        opened(server, **options).cat_file("bucket/key")
    assert str(caught.value).startswith(f"{variable or 'storage option profile'}: ")


def test_a_missing_token_file_is_not_a_missing_object(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """exists() raises; False would be a lie."""
    break_token_file(monkeypatch, tmp_path)
    with store() as server, pytest.raises(CredentialsError):
        opened(server).exists("bucket/key")


# What a gateway, a login page or a broken service answers. None of it is shown: it may be half of an answer.
STRANGE = {
    "page": (200, b"<html><body>sign in hush-secret</body></html>"),
    "document": (200, b"<Strange><Secret>hush-secret</Secret></Strange>"),
    "nothing": (200, b""),
    "null": (200, b"null"),
    "list": (200, b'["hush-secret"]'),
    "other JSON": (200, b'{"secret": "hush-secret", "roleCredentials": {"secretAccessKey": "hush-secret"}}'),
    "no UTF-8": (200, b"\xff\xfehush-secret"),
    "page of a 403": (403, b"<html>hush-secret</html>"),
    "document of a 400": (400, b"<Strange>hush-secret</Strange>"),
}
SERVICES = ("role", "token", "profile", "delegated", "container", "sso")


def use_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, server: ScriptedServer
) -> dict[str, Any]:
    """The options of a filesystem whose credentials come from `server`."""
    role = "arn:aws:iam::123456789012:role/test"
    (tmp_path / "token").write_text("hush-token", encoding="utf-8")
    for variable in ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_SSO"):
        monkeypatch.setenv(variable, server.url)
    if name == "container":
        use_container(monkeypatch, server)
    if name == "profile":
        text = f"[profile work]\nrole_arn = {role}\nsource_profile = base\nregion = us-east-1\n"
        base = "[base]\naws_access_key_id = BASEKEY\naws_secret_access_key = hush-secret\n"
        write_config(monkeypatch, tmp_path, config=text, credentials=base)
    if name == "sso":
        config, cached_as = SSO_CONFIGS["legacy"]
        write_config(monkeypatch, tmp_path, config=config)
        token = {"accessToken": "hush-token", "expiresAt": LATER, "region": "us-east-1"}
        cached = {hashlib.sha1(cached_as.encode()).hexdigest(): token}
        monkeypatch.setattr("botocore.utils.JSONFileCache.__contains__", lambda self, key: key in cached)
        monkeypatch.setattr("botocore.utils.JSONFileCache.__getitem__", lambda self, key: cached[key])
    options: dict[str, dict[str, Any]] = {
        "role": {"key": "k", "secret": "hush-secret", "role_arn": role},
        "token": {"web_identity_token_file": str(tmp_path / "token"), "role_arn": role},
        "delegated": {"key": "k", "secret": "hush-secret"},
    }
    return options.get(name, {} if name == "container" else {"profile": "work"})


@pytest.mark.usefixtures("no_credential_shown")
@pytest.mark.parametrize("answer", STRANGE)
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_answers_what_is_no_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, service: str, answer: str
) -> None:
    """It was "KeyError: 'AssumeRoleResult'", or the page."""
    status, body = STRANGE[answer]
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with store(lambda request: respond(status, body, headers={"Content-Type": "text/html"})) as server:
        fs = opened(server, **use_service(monkeypatch, tmp_path, service, server))
        with pytest.raises(CredentialsError) as caught:
            fs.get_delegated_s3pars() if service == "delegated" else fs.cat_file("bucket/key")
    text = str(caught.value)
    assert "hush" not in "".join(traceback.format_exception(caught.value))
    assert "KeyError: " not in text
    assert "cannot be read" in text or "nothing that can be read" in text or "container metadata" in text


def test_a_container_that_says_nonsense_is_a_credentials_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with store(lambda request: as_json({"AccessKeyId": "hush-secret"})) as server:
        use_container(monkeypatch, server)
        with pytest.raises(CredentialsError, match="SecretAccessKey") as caught:
            opened(server).cat_file("bucket/key")
        assert "hush" not in str(caught.value)


def test_a_source_that_failed_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is not remembered: the next request works when the source does."""
    working = False
    source = numbered(timedelta(hours=6))
    with store(lambda request: source(request) if working else respond(404)) as server:
        use_container(monkeypatch, server)
        fs = opened(server)
        with pytest.raises(CredentialsError):
            fs.cat_file("bucket/key")
        working = True
        assert fs.cat_file("bucket/key") == b"body"


def test_a_profile_that_does_not_exist_is_a_value_error() -> None:
    with store() as server, pytest.raises(ValueError, match=r"profile.*nobody"):
        opened(server, profile="nobody").cat_file("bucket/key")


def test_a_config_file_that_cannot_be_parsed_is_a_value_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each time it is used, and the file is named."""
    write_config(monkeypatch, tmp_path, config="no section = here\n")
    with store() as server:
        fs = opened(server)
        for _ in range(2):
            with pytest.raises(ValueError, match="aws-config"):
                fs.cat_file("bucket/key")


@pytest.mark.parametrize("file", ["config", "credentials"])
@pytest.mark.parametrize(
    "text",
    [
        "aws_secret_access_key=hush-secret\n",
        "[default]\naws_session_token hush-token\n",
        "[default\nhush-secret",
    ],
)
def test_a_file_that_cannot_be_parsed_shows_none_of_its_lines(
    text: str, file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does what the error holds, which a traceback or a tool that reports errors would show."""
    caplog.set_level("DEBUG")
    write_config(monkeypatch, tmp_path, **{file: text})
    with store() as server, pytest.raises(ConfigurationError, match=f"aws-{file}") as caught:
        opened(server).cat_file("bucket/key")
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert not [secret for secret in SECRETS if secret in shown]


@pytest.mark.parametrize(
    "text",
    [
        "[default]\nservices = gone\n",
        "[default]\nservices = mine\n[services mine]\ns3 = text\n",
    ],
)
def test_a_section_of_services_that_is_none_is_a_wrong_configuration(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-secret")
    write_config(monkeypatch, tmp_path, config=text)
    fs = GuardedS3FileSystem(skip_instance_cache=True)
    for look in (fs.exists, fs.cat_file, fs.ls):
        with pytest.raises(ConfigurationError, match="services"):
            look("bucket/key")


# --- credentials of a wrong shape -------------------------------------------------------------------

GOOD = {"key": "AKIDEXAMPLE", "secret": "hush-secret", "token": "hush-token"}
MISSHAPEN = {
    "a key with its line break": ({"key": "AKID\n"}, "access key"),
    "a key with a blank": ({"key": "AKID EXAMPLE"}, "access key"),
    "a key that is a placeholder": ({"key": "\u2026"}, "access key"),
    "a secret with its line break": ({"secret": "hush-secret\n"}, "secret key"),
    "a secret with a blank before": ({"secret": " hush-secret"}, "secret key"),
    "a token with its line break": ({"token": "hush-token\n"}, "session token"),
    "a token with another header": ({"token": "hush-token\r\nX-Evil: 1"}, "session token"),
    "a token in two lines": ({"token": "hush-\ntoken"}, "session token"),
    "a token that is no ASCII": ({"token": "hush-t\u00f6ken"}, "session token"),
}


@pytest.mark.parametrize("case", MISSHAPEN)
@pytest.mark.parametrize("place", ["options", "environment"])
def test_credentials_of_a_wrong_shape_are_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, case: str, place: str
) -> None:
    """Most were read from a file with its line break. Nothing is sent, and no URL is signed."""
    given, said = MISSHAPEN[case]
    values = {**GOOD, **given}
    options = values if place == "options" else {}
    if place == "environment":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", values["key"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", values["secret"])
        monkeypatch.setenv("AWS_SESSION_TOKEN", values["token"])
    with store() as server:
        for use in ("cat_file", "sign", "exists"):
            with pytest.raises(CredentialsError, match=said) as caught:
                getattr(opened(server, **options), use)("bucket/key")
            assert "hush" not in f"{caught.value} {caught.value!r}"
        assert server.requests == []


def test_secret_that_a_person_chose_is_taken() -> None:
    """MinIO and others let their users choose any text, which is never sent."""
    with store() as server:
        assert opened(server, key="me", secret="correct h\u00f6rse battery").cat_file("bucket/key") == b"body"
