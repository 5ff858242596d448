"""Credentials that a program brings along: asked for once, renewed ahead of time and when refused."""

from __future__ import annotations

import functools
import pickle
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import botocore.credentials
import botocore.session
import fsspec
import pytest

from fsspec_guarded_s3 import ConfigurationError, CredentialsError, GuardedS3FileSystem
from tests.fake_s3 import FakeS3
from tests.scripted_server import Request, ScriptedServer, respond, s3_error

FAR = timedelta(hours=5)


class World:
    """A store that takes the keys in `taken`, or all where that is None, and refuses others as expired."""

    def __init__(self) -> None:
        self.fake = FakeS3("bucket")
        self.fake.put("bucket", "key", b"data")
        self.taken: set[str] | None = None
        self.server = ScriptedServer(handler=self.answer)
        self.used: list[str] = []
        self.tokens: list[str] = []

    def answer(self, request: Request) -> Any:
        key = request.headers["authorization"].partition("Credential=")[2].partition("/")[0]
        self.used.append(key)
        self.tokens.append(request.headers.get("x-amz-security-token", ""))
        if self.taken is not None and key not in self.taken:
            return s3_error(400, "ExpiredToken")
        return self.fake(request)

    def fs(self, **options: Any) -> GuardedS3FileSystem:
        return GuardedS3FileSystem(
            endpoint_url=self.server.url, region="us-east-1", skip_instance_cache=True, **options
        )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    world = World()
    with world.server:
        yield world


class Provider:
    """Returns key1, key2, ... with each call."""

    def __init__(self, ends: timedelta | None = FAR) -> None:
        self.calls = 0
        self.ends = ends
        self.lock = threading.Lock()

    def __call__(self) -> dict[str, Any]:
        with self.lock:
            self.calls += 1
            found: dict[str, Any] = {
                "access_key": f"key{self.calls}",
                "secret_key": "s",
                "token": f"t{self.calls}",
            }
            if self.ends is not None:
                found["expiry_time"] = datetime.now(timezone.utc) + self.ends
            return found


def module_level_provider() -> dict[str, str]:
    return {"key": "pickled", "secret": "s"}


SHAPES: dict[str, Callable[[], Any]] = {
    "botocore's names": lambda: {"access_key": "k", "secret_key": "s", "token": "t"},
    "our names": lambda: {"key": "k", "secret": "s", "token": "t"},
    "STS": lambda: {
        "Credentials": {
            "AccessKeyId": "k",
            "SecretAccessKey": "s",
            "SessionToken": "t",
            "Expiration": datetime.now(timezone.utc) + FAR,
        }
    },
    "of a program": lambda: {
        "AccessKeyId": "k",
        "SecretAccessKey": "s",
        "SessionToken": "t",
        "Expiration": (datetime.now(timezone.utc) + FAR).isoformat(),
    },
    "seconds": lambda: {
        "access_key": "k",
        "secret_key": "s",
        "token": "t",
        "expiry_time": (datetime.now(timezone.utc) + FAR).timestamp(),
    },
    "botocore's credentials": lambda: botocore.credentials.Credentials("k", "s", "t"),
    "frozen ones": lambda: botocore.credentials.ReadOnlyCredentials("k", "s", "t"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_a_function_may_return(world: World, shape: str) -> None:
    fs = world.fs(credential_provider=SHAPES[shape])
    assert fs.cat_file("bucket/key") == b"data"
    assert (world.used, world.tokens) == (["k"], ["t"])


def _session() -> Any:
    session = botocore.session.Session()
    session.set_credentials("k", "s", "t")
    return session


@pytest.mark.parametrize("kind", ["credentials", "session", "boto3"])
def test_objects_of_botocore_and_boto3(world: World, kind: str) -> None:
    provider: Any = botocore.credentials.Credentials("k", "s", "t")
    if kind == "session":
        provider = _session()
    if kind == "boto3":
        provider = pytest.importorskip("boto3").Session("k", "s", "t", region_name="us-east-1")
    assert world.fs(credential_provider=provider).cat_file("bucket/key") == b"data"
    assert (world.used, world.tokens) == (["k"], ["t"])


@pytest.mark.parametrize("ends", [None, FAR])
def test_it_is_asked_once(world: World, ends: timedelta | None) -> None:
    provider = Provider(ends)
    fs = world.fs(credential_provider=provider)
    fs.cat(["bucket/key"] * 3)
    threads = [threading.Thread(target=fs.cat_file, args=("bucket/key",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert provider.calls == 1
    assert set(world.used) == {"key1"}


def test_what_lives_for_minutes_is_not_renewed_by_each_request(world: World) -> None:
    """botocore's own times, 15 and 10 minutes before the end, would have it be."""
    provider = Provider(timedelta(minutes=5))
    fs = world.fs(credential_provider=provider)
    for _ in range(5):
        fs.cat_file("bucket/key")
    assert provider.calls == 1


def test_it_is_asked_again_before_the_end(world: World) -> None:
    provider = Provider(timedelta(seconds=-1))  # over already

    def then_longer() -> dict[str, Any]:
        found = provider()
        provider.ends = FAR
        return found

    fs = world.fs(credential_provider=then_longer)
    fs.cat_file("bucket/key")
    fs.cat_file("bucket/key")
    assert provider.calls == 2
    assert set(world.used) == {"key2"}


@pytest.mark.parametrize("ends", [None, FAR])
def test_it_is_asked_again_when_the_store_refuses(world: World, ends: timedelta | None) -> None:
    provider = Provider(ends)
    fs = world.fs(credential_provider=provider)
    fs.cat_file("bucket/key")
    world.taken = {"key2"}
    threads = [threading.Thread(target=fs.cat_file, args=("bucket/key",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fs.cat_file("bucket/key") == b"data"
    assert provider.calls == 2
    assert world.used[-1] == "key2"


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "must return"),
        ({}, "must return"),
        ({"access_key": "k"}, "must return"),
        ("k", "must return"),
        ({"access_key": "k\n", "secret_key": "s"}, "the access key"),
        ({"access_key": "k", "secret_key": "s", "expiry_time": "soon"}, "time zone"),
        ({"access_key": "k", "secret_key": "s", "expiry_time": datetime(2030, 1, 1)}, "time zone"),
    ],
)
def test_what_is_no_credentials_is_told(world: World, returned: Any, words: str) -> None:
    with pytest.raises(CredentialsError, match=words):
        world.fs(credential_provider=lambda: returned).cat_file("bucket/key")
    assert not world.used


def test_its_error_is_told_and_not_kept(world: World) -> None:
    failing = [True]

    def provider() -> dict[str, str]:
        if failing:
            raise RuntimeError("the vault is closed")
        return module_level_provider()

    fs = world.fs(credential_provider=provider)
    with pytest.raises(CredentialsError, match="the vault is closed"):
        fs.cat_file("bucket/key")
    failing.clear()
    assert fs.cat_file("bucket/key") == b"data"


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"credential_provider": "k"}, TypeError, "must be a function"),
        (
            {"credential_provider": module_level_provider, "key": "k", "secret": "s"},
            ValueError,
            "excludes key",
        ),
        ({"credential_provider": module_level_provider, "anon": True}, ValueError, "excludes anon"),
        ({"external_id": "x"}, ValueError, "needs role_arn"),
        ({"session_name": "x"}, ValueError, "needs role_arn"),
        ({"web_identity_token_file": "x"}, ValueError, "needs role_arn"),
        ({"role_arn": "arn:aws:iam::123456789012:role/r", "anon": True}, ValueError, "excludes anon"),
        ({"role_arn": 5}, TypeError, "role_arn"),
    ],
)
def test_options_that_contradict_each_other(
    options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        GuardedS3FileSystem(skip_instance_cache=True, **options)


def test_it_goes_to_workers_and_is_not_shown(world: World) -> None:
    fs = world.fs(credential_provider=module_level_provider)
    copy: GuardedS3FileSystem = pickle.loads(pickle.dumps(fs))
    assert copy.cat_file("bucket/key") == b"data"
    assert world.used == ["pickled"]
    hidden = world.fs(credential_provider=partial(dict, key="k", secret="shown-nowhere"))
    assert hidden.cat_file("bucket/key") == b"data"
    assert "shown-nowhere" not in repr(hidden) + repr(hidden._options)
    for include_password in (False, True):
        with pytest.raises(TypeError, match="pickle the filesystem") as raised:
            hidden.to_json(include_password=include_password)
        assert "shown-nowhere" not in str(raised.value)


def test_two_filesystems_with_one_provider_ask_once(world: World) -> None:
    provider = Provider()
    first, second = (world.fs(credential_provider=provider) for _ in range(2))
    first.cat_file("bucket/key")
    second.cat_file("bucket/key")
    other = Provider()
    world.fs(credential_provider=other).cat_file("bucket/key")
    assert (provider.calls, other.calls) == (1, 1)


class Alike:
    """A provider that shows nothing, as those do that hide what they hold."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "<Alike>"

    def __call__(self) -> dict[str, str]:
        return {"access_key": self._key, "secret_key": "s"}

    def get(self) -> dict[str, str]:
        return self()


def _boto3(key: str) -> Any:
    boto3 = pytest.importorskip("boto3")
    return boto3.Session(aws_access_key_id=key, aws_secret_access_key="s", region_name="us-east-1")


def _decorated(key: str) -> Any:
    return functools.wraps(module_level_provider)(Alike(key))


@pytest.mark.parametrize("kind", [Alike, _boto3, _decorated, lambda key: Alike(key).get])
def test_providers_that_look_alike_are_not_taken_for_each_other(world: World, kind: Any) -> None:
    first, second = kind("one"), kind("two")
    options = {"endpoint_url": world.server.url, "region": "us-east-1"}
    filesystems = [
        GuardedS3FileSystem(**options, credential_provider=provider) for provider in (first, second, first)
    ]
    for fs in filesystems:
        fs.cat_file("bucket/key")
    assert world.used == ["one", "two", "one"]
    assert filesystems[0] is filesystems[2]
    assert filesystems[0] != filesystems[1]
    assert filesystems[0]._fs_token != filesystems[1]._fs_token
    assert GuardedS3FileSystem(**options, key="k", secret="s") is GuardedS3FileSystem(
        **options, key="k", secret="s"
    )


def test_configured_providers_that_look_alike_are_not_taken_for_each_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("one", "two", "one"):
        section = {
            "credential_provider": Alike(key),
            "endpoint_url": world.server.url,
            "region": "us-east-1",
        }
        monkeypatch.setitem(fsspec.config.conf, "gs3", section)
        fsspec.filesystem("gs3").cat_file("bucket/key")
    assert world.used == ["one", "two", "one"]


def test_a_bound_method_is_the_same_provider_each_time(world: World) -> None:
    alike = Alike("one")
    options = {"endpoint_url": world.server.url, "region": "us-east-1"}
    first, second = (GuardedS3FileSystem(**options, credential_provider=alike.get) for _ in range(2))
    assert first is second


def test_workers_get_what_a_function_returned(world: World) -> None:
    fs = world.fs(credential_provider=Alike("one"))
    assert fs.get_delegated_s3pars() == {"key": "one", "secret": "s", "token": None, "anon": False}


# --- roles ---

ROLE = "arn:aws:iam::123456789012:role/reader"


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    """An STS that gives role1, role2, ...; what it was asked."""
    from urllib.parse import parse_qsl

    asked: list[dict[str, str]] = []

    def answer(request: Request) -> Any:
        form = dict(parse_qsl(request.body.decode()))
        form["signed by"] = (
            request.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
        )
        asked.append(form)
        action = form["Action"]
        ends = (datetime.now(timezone.utc) + FAR).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = f"""<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>
            <Credentials><AccessKeyId>role{len(asked)}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
            <SessionToken>t</SessionToken><Expiration>{ends}</Expiration></Credentials>
            <AssumedRoleUser><Arn>{ROLE}</Arn><AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>
            </{action}Result></{action}Response>"""
        return respond(200, body.encode(), headers={"content-type": "text/xml"})

    with ScriptedServer(handler=answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        yield asked


def test_a_role_is_assumed_with_the_key(world: World, sts: list[dict[str, str]]) -> None:
    fs = world.fs(key="own", secret="s", role_arn=ROLE, external_id="partner", session_name="job-17")
    fs.cat_file("bucket/key")
    fs.cat_file("bucket/key")
    (form,) = sts
    assert (form["Action"], form["RoleArn"], form["ExternalId"]) == ("AssumeRole", ROLE, "partner")
    assert (form["RoleSessionName"], form["signed by"]) == ("job-17", "own")
    assert (set(world.used), set(world.tokens)) == ({"role1"}, {"t"})


def test_a_role_is_assumed_with_what_a_function_returns(world: World, sts: list[dict[str, str]]) -> None:
    world.fs(credential_provider=module_level_provider, role_arn=ROLE).cat_file("bucket/key")
    assert sts[0]["signed by"] == "pickled"
    assert world.used == ["role1"]


def test_a_role_is_assumed_with_a_token(world: World, sts: list[dict[str, str]], tmp_path: Any) -> None:
    (tmp_path / "token").write_text("of-the-provider")
    fs = world.fs(role_arn=ROLE, web_identity_token_file=str(tmp_path / "token"), session_name="job")
    fs.cat_file("bucket/key")
    assert (sts[0]["Action"], sts[0]["WebIdentityToken"]) == ("AssumeRoleWithWebIdentity", "of-the-provider")
    assert world.used == ["role1"]


def test_a_role_whose_session_has_ended_is_assumed_again(world: World, sts: list[dict[str, str]]) -> None:
    fs = world.fs(key="own", secret="s", role_arn=ROLE)
    fs.cat_file("bucket/key")
    world.taken = {"role2"}
    assert fs.cat_file("bucket/key") == b"data"
    assert len(sts) == 2


def test_a_token_file_that_is_missing_is_told(world: World, sts: list[dict[str, str]]) -> None:
    with pytest.raises(CredentialsError):
        world.fs(role_arn=ROLE, web_identity_token_file="/none/token").cat_file("bucket/key")


@pytest.mark.parametrize("source", ["key", "function", "token", "delegated"])
def test_credentials_of_another_store_do_not_go_to_aws(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, source: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_STS", raising=False)
    (tmp_path / "token").write_text("of-the-provider")
    fs = _asking_sts(world, source, str(tmp_path / "token"))
    with pytest.raises((ConfigurationError, CredentialsError), match="AWS_ENDPOINT_URL_STS"):
        fs.get_delegated_s3pars() if source == "delegated" else fs.cat_file("bucket/key")


def _asking_sts(world: World, source: str, token_file: str, **options: Any) -> GuardedS3FileSystem:
    given: dict[str, dict[str, Any]] = {
        "key": {"key": "own", "secret": "s", "role_arn": ROLE},
        "function": {"credential_provider": module_level_provider, "role_arn": ROLE},
        "token": {"web_identity_token_file": token_file, "role_arn": ROLE},
        "delegated": {"key": "own", "secret": "s"},
    }
    return world.fs(**given[source], **options)


@pytest.mark.parametrize("source", ["key", "function", "token", "delegated"])
def test_sts_is_not_asked_in_the_clear(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, source: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://sts.invalid")
    (tmp_path / "token").write_text("of-the-provider")
    fs = _asking_sts(world, source, str(tmp_path / "token"))
    with pytest.raises((ConfigurationError, CredentialsError), match="allow_http"):
        fs.get_delegated_s3pars() if source == "delegated" else fs.cat_file("bucket/key")


def test_aws_by_its_address_has_its_own_sts(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec_guarded_s3._auth.chain import load
    from fsspec_guarded_s3._auth.provided import sts_endpoint
    from fsspec_guarded_s3.options import Options

    for name in ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for url in (
        None,
        "https://s3.eu-west-1.amazonaws.com",
        "https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com",
    ):
        options = Options(key="k", secret="s", role_arn=ROLE, endpoint_url=url)
        assert sts_endpoint(options, load(options)) is None


def test_workers_have_the_rights_of_the_role(world: World, sts: list[dict[str, str]]) -> None:
    given = world.fs(key="own", secret="s", role_arn=ROLE).get_delegated_s3pars()
    assert given == {"key": "role1", "secret": "s", "token": "t", "anon": False}
    assert [form["Action"] for form in sts] == ["AssumeRole"]
