"""Credentials that a program brings along: asked for once, renewed ahead of time and when refused."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import pickle
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import botocore.credentials
import botocore.session
import fsspec
import numpy as np
import pytest

from fsspec_guarded_s3 import AccessDeniedError, ConfigurationError, CredentialsError, GuardedS3FileSystem
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
        ({"access_key": "k", "secret_key": "s", "expiry_time": 1.8e12}, "seconds since 1970"),
        ({"access_key": "k", "secret_key": "s", "expiry_time": float("nan")}, "seconds since 1970"),
        ({"access_key": "k", "secret_key": "s", "expiry_time": True}, "seconds since 1970"),
        ({"access_key": "k", "secret_key": "s", "expiry_time": datetime(2030, 1, 1)}, "time zone"),
    ],
)
def test_what_is_no_credentials_is_told(world: World, returned: Any, words: str) -> None:
    with pytest.raises(CredentialsError, match=words):
        world.fs(credential_provider=lambda: returned).cat_file("bucket/key")
    assert not world.used


def test_a_coroutine_is_told(world: World, recwarn: pytest.WarningsRecorder) -> None:
    async def provider() -> dict[str, str]:
        return module_level_provider()

    with pytest.raises(CredentialsError, match="must not be a coroutine"):
        world.fs(credential_provider=provider).cat_file("bucket/key")
    assert not [warning for warning in recwarn if "never awaited" in str(warning.message)]


def _in_a_thread(fs: GuardedS3FileSystem) -> Any:
    async def call() -> Any:
        return await asyncio.to_thread(fs.cat_file, "bucket/key")

    return asyncio.run(call())


OWN_USES: dict[str, Callable[[GuardedS3FileSystem], Any]] = {
    "cat_file": lambda fs: fs.cat_file("bucket/key"),
    "cat of many, by threads": lambda fs: fs.cat(["bucket/key"] * 40),
    "open": lambda fs: fs.open("bucket/key").read(),
    "pipe_file": lambda fs: fs.pipe_file("bucket/new", b"data", mode="create"),
    "a coroutine": lambda fs: asyncio.run(fs._cat_file("bucket/key")),
    "a thread of asyncio": _in_a_thread,
}
CALLS: dict[str, Callable[[GuardedS3FileSystem], Any]] = {
    "verb": lambda fs: fs.cat_file("bucket/key"),
    "verb of many": lambda fs: fs.cat(["bucket/key"] * 40),
    "coroutine": lambda fs: asyncio.run(fs._cat_file("bucket/key")),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("use", OWN_USES)
def test_a_function_that_uses_its_own_filesystem_is_told(world: World, use: str, call: str) -> None:
    """It recursed, or waited for itself for good. The next call works if the function does."""
    is_wrong = [True]

    def provider() -> dict[str, str]:
        if is_wrong:
            OWN_USES[use](fs)
        return module_level_provider()

    fs = world.fs(credential_provider=provider)
    with pytest.raises(CredentialsError, match="from the same credential_provider") as raised:
        CALLS[call](fs)
    assert not isinstance(raised.value.__cause__, RecursionError)
    assert not world.used
    is_wrong.clear()
    CALLS[call](fs)
    assert set(world.used) == {"pickled"}


@pytest.mark.parametrize("use", OWN_USES)
@pytest.mark.parametrize("kind", ["refused", "about to end", "of botocore"])
def test_a_function_that_uses_its_own_filesystem_when_asked_again_is_told(
    world: World, caplog: pytest.LogCaptureFixture, kind: str, use: str
) -> None:
    """If the store has refused, the error is its own, and the log says why there are no others."""
    given = Provider(None if kind == "refused" else timedelta(seconds=-1))

    def provider() -> dict[str, Any]:
        if given.calls:
            OWN_USES[use](fs)
        return given()

    def renew() -> Any:
        OWN_USES[use](fs)

    source: Any = provider
    if kind == "of botocore":
        over = datetime.now(timezone.utc) - timedelta(minutes=1)
        first = {"access_key": "old", "secret_key": "s", "token": "t", "expiry_time": over.isoformat()}
        source = botocore.credentials.RefreshableCredentials.create_from_metadata(
            first, refresh_using=renew, method="test"
        )
    fs = world.fs(credential_provider=source)
    if kind == "refused":
        fs.cat_file("bucket/key")
        world.taken = {"key2"}
    with pytest.raises(AccessDeniedError if kind == "refused" else CredentialsError) as raised:
        fs.cat_file("bucket/key")
    assert "from the same credential_provider" in (caplog.text if kind == "refused" else str(raised.value))


def test_a_function_may_use_a_filesystem_with_credentials_of_its_own(world: World) -> None:
    own = world.fs(key="own", secret="s")

    def provider() -> dict[str, str]:
        assert own.cat(["bucket/key"] * 3) == {"bucket/key": b"data"}
        assert asyncio.run(own._cat_file("bucket/key")) == b"data"
        return module_level_provider()

    assert world.fs(credential_provider=provider).cat_file("bucket/key") == b"data"
    assert (world.used[0], world.used[-1]) == ("own", "pickled")


def test_a_function_that_waits_for_a_thread_that_waits_for_it_is_seen_in_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing says that such a thread is the function's. It may be any other, which does right to wait."""
    monkeypatch.setattr("fsspec_guarded_s3._work.Lock.LONG", 0.5)

    def provider() -> dict[str, str]:
        thread = threading.Thread(target=fs.cat_file, args=("bucket/key",))
        thread.start()
        threads.append(thread)
        for _ in range(600):
            if "waits for itself" in caplog.text:
                break
            time.sleep(0.1)
        return module_level_provider()

    threads: list[threading.Thread] = []
    fs = world.fs(credential_provider=provider)
    assert fs.cat_file("bucket/key") == b"data"
    threads[0].join()
    assert "waits for itself" in caplog.text


def takes_an_argument(session: object) -> dict[str, str]:
    return {}


def reads_a_page() -> Any:
    return json.loads("<html>secret</html>")


def reads_nothing() -> Any:
    raise KeyError("MY_KEY")


@pytest.mark.parametrize("is_refresh", [False, True])
@pytest.mark.parametrize(
    ("provider", "words"),
    [
        (takes_an_argument, r"TypeError: takes_an_argument\(\) missing 1 required positional argument"),
        (functools.partial(dict.__getitem__, {}, "MY_KEY"), "KeyError: 'MY_KEY'"),
        (iter, "TypeError: iter expected"),
        (reads_a_page, r"JSONDecodeError: Expecting value: line 1 column 1 \(char 0\)"),
        (reads_nothing, "KeyError: 'MY_KEY'"),
    ],
)
def test_a_fault_of_the_function_is_not_passed_off_as_an_answer_of_sts(
    world: World, provider: Any, words: str, is_refresh: bool
) -> None:
    first = Provider()

    def later() -> Any:
        return provider() if first.calls else first()

    fs = world.fs(credential_provider=later if is_refresh else provider)
    if is_refresh:
        fs.cat_file("bucket/key")
        credentials: Any = fs._client.store.signer._session._credentials
        credentials._expiry_time = datetime.now(timezone.utc)
    with pytest.raises(CredentialsError, match=words) as raised:
        fs.cat_file("bucket/key")
    assert not re.search("STS|gateway|credential_process|html", str(raised.value))


@pytest.mark.parametrize("kind", [int, float, Decimal, np.int64, np.float64, np.float32])
def test_seconds_since_1970_may_be_any_number(world: World, kind: Any) -> None:
    ends = kind(time.time() + 86_400)
    found = {"access_key": "k", "secret_key": "s", "token": "t", "expiry_time": ends}
    fs = world.fs(credential_provider=lambda: found)
    assert fs.cat_file("bucket/key") == b"data"


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


def test_credentials_that_have_ended_are_told(world: World) -> None:
    provider = Provider(timedelta(seconds=-10))
    fs = world.fs(credential_provider=provider)
    with pytest.raises(CredentialsError, match=r"returned credentials that ended at 20\d\d-"):
        fs.cat_file("bucket/key")
    provider.ends = FAR
    assert fs.cat_file("bucket/key") == b"data"
    assert not set(world.used) & {"key1", "key2"}


def _due(renew: Callable[[], Any]) -> Any:
    """Credentials of botocore that are good for ten minutes, and to be renewed ahead of that."""
    soon = datetime.now(timezone.utc) + timedelta(minutes=10)
    first = {"access_key": "old", "secret_key": "s", "token": "t", "expiry_time": soon.isoformat()}
    return botocore.credentials.RefreshableCredentials.create_from_metadata(
        first, refresh_using=renew, method="test", advisory_timeout=3600, mandatory_timeout=60
    )


class Holding:
    """Returns credentials once `go_on` is set; only the first call waits for that."""

    def __init__(self) -> None:
        self.held, self.go_on = threading.Event(), threading.Event()
        self.calls = 0

    def __call__(self) -> dict[str, Any]:
        self.calls += 1
        if self.calls == 1:
            self.held.set()
            assert self.go_on.wait(60)
        ends = (datetime.now(timezone.utc) + FAR).isoformat()
        return {"access_key": "new", "secret_key": "s", "token": "t", "expiry_time": ends}


def test_one_thread_renews_ahead_while_the_others_go_on(world: World) -> None:
    holding = Holding()
    fs = world.fs(credential_provider=_due(holding))
    thread = threading.Thread(target=fs.cat_file, args=("bucket/key",))
    thread.start()
    assert holding.held.wait(60)
    for _ in range(3):
        assert fs.cat_file("bucket/key") == b"data"
    fs.cat(["bucket/key"] * 3)
    assert set(world.used) == {"old"} and thread.is_alive()
    holding.go_on.set()
    thread.join()
    fs.cat_file("bucket/key")
    assert (world.used[-1], holding.calls) == ("new", 1)


@pytest.mark.parametrize("failure", ["raises", "nonsense", "ended"])
def test_what_fails_ahead_of_time_does_not_matter_yet(world: World, failure: str) -> None:
    provider = Provider(timedelta(minutes=10))

    def failing() -> Any:
        if provider.calls == 0 or failure == "ended":
            return provider()
        if failure == "raises":
            raise RuntimeError("the vault is closed")
        return {"access_key": "new"}

    fs = world.fs(credential_provider=failing)
    assert fs.cat_file("bucket/key") == b"data"
    provider.ends = timedelta(seconds=-10)
    credentials: Any = fs._client.store.signer._session._credentials
    soon = datetime.now(timezone.utc) + timedelta(
        seconds=150
    )  # renewed ahead from 200 s on, must be from 100
    credentials._expiry_time = soon
    assert fs.cat_file("bucket/key") == b"data"
    credentials._expiry_time = soon - timedelta(seconds=149)
    words = {"raises": "the vault is closed", "nonsense": "must return", "ended": "that ended at"}
    with pytest.raises(CredentialsError, match=words[failure]):
        fs.cat_file("bucket/key")
    assert set(world.used) == {"key1"}


def test_a_function_that_hangs_keeps_up_nobody_else(world: World) -> None:
    holding = Holding()
    fs, other = world.fs(credential_provider=holding), world.fs(key="static", secret="s")

    async def give_up() -> None:
        task = asyncio.create_task(fs._cat_file("bucket/key"))
        while not holding.held.is_set():
            await asyncio.sleep(0.01)
        assert await other._cat_file("bucket/key") == b"data"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    assert world.used == ["static"]
    assert other.cat_file("bucket/key") == b"data"
    holding.go_on.set()
    assert fs.cat_file("bucket/key") == b"data"
    assert world.used[-1] == "new"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_asks_itself_while_a_thread_of_its_parent_waits(world: World) -> None:
    holding = Holding()
    fs = world.fs(credential_provider=holding)
    thread = threading.Thread(target=fs.cat_file, args=("bucket/key",))
    thread.start()
    assert holding.held.wait(60)
    child = os.fork()
    if child == 0:
        good = False
        with suppress(BaseException):
            good = fs.cat_file("bucket/key") == b"data"
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    holding.go_on.set()
    thread.join()
    assert world.used == ["new", "new"]


def test_a_function_that_cannot_be_pickled_is_told_of_where_it_is_sent(world: World) -> None:
    fs = world.fs(credential_provider=lambda: module_level_provider())
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(fs)
    cloudpickle = pytest.importorskip("cloudpickle")
    copy: GuardedS3FileSystem = pickle.loads(cloudpickle.dumps(fs))
    assert copy.cat_file("bucket/key") == b"data"


def test_the_grants_of_the_document(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of options.md, with an S3 control server that is scripted."""
    for name, value in (("AWS_ACCESS_KEY_ID", "own"), ("AWS_SECRET_ACCESS_KEY", "s")):
        monkeypatch.setenv(name, value)
    text = (Path(__file__).parents[2] / "docs" / "options.md").read_text(encoding="utf-8")
    (block,) = (code for code in re.findall(r"```python\n(.*?)```", text, re.S) if "get_data_access" in code)
    asked: list[Request] = []

    def answer(request: Request) -> Any:
        asked.append(request)
        ends = (datetime.now(timezone.utc) + FAR).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = f"""<GetDataAccessResult xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/">
            <Credentials><AccessKeyId>granted{len(asked)}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
            <SessionToken>t</SessionToken><Expiration>{ends}</Expiration></Credentials>
            <MatchedGrantTarget>s3://my-bucket/team/*</MatchedGrantTarget></GetDataAccessResult>"""
        return respond(200, body.encode(), headers={"content-type": "application/xml"})

    with ScriptedServer(handler=answer) as server:
        names: dict[str, Any] = {"fsspec": fsspec}
        exec(block, names)

        def to_the_server(request: Any, **about: Any) -> None:
            request.url = server.url + request.url.partition("amazonaws.com")[2]

        names["control"].meta.events.register("before-send.s3-control", to_the_server)
        fs = world.fs(credential_provider=names["grant"])
        assert fs.cat_file("bucket/key") == b"data"
        assert (len(asked), world.used, world.tokens) == (1, ["granted1"], ["t"])
        world.taken = {"granted2"}
        assert fs.cat_file("bucket/key") == b"data"
    assert len(asked) == 2
    assert asked[0].query == {"permission": "READWRITE", "target": "s3://my-bucket/team/*"}
    assert "Credential=own/" in asked[0].headers["authorization"]


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


NO_ANSWERS = {
    "a portal": b"<html>sign in</html>",
    "another document": b"<Strange><Secret>hushhush</Secret></Strange>",
    "no keys": (
        b"<AssumeRoleResponse><AssumeRoleResult><Credentials/></AssumeRoleResult></AssumeRoleResponse>"
    ),
    "nothing": b"",
    "no credentials": b"<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>",
    "cut": b"<AssumeRoleResponse><AssumeRoleResult><Credentials><SecretAccessKey>hushhush</SecretAcc",
    "no time": (
        b"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>role0</AccessKeyId>"
        b"<SecretAccessKey>hushhush</SecretAccessKey><SessionToken>hushhush</SessionToken>"
        b"<Expiration>soon</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    ),
}


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_an_sts_that_answers_nonsense_is_asked_again_and_nothing_of_it_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    wrong = [NO_ANSWERS[name]] * 2
    ends = (datetime.now(timezone.utc) + FAR).strftime("%Y-%m-%dT%H:%M:%SZ")
    good = NO_ANSWERS["no time"].replace(b"soon", ends.encode())
    with ScriptedServer(handler=lambda request: respond(200, wrong.pop() if wrong else good)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        fs = world.fs(key="base", secret="s", role_arn=ROLE)
        for _ in range(2):
            with pytest.raises(CredentialsError) as raised:
                fs.cat_file("bucket/key")
            assert "hushhush" not in str(raised.value)
            words = (
                "the time at which they end is none" if name == "no time" else "answered what cannot be read"
            )
            assert words in str(raised.value)
        assert fs.cat_file("bucket/key") == b"data"
    assert "hushhush" not in caplog.text
    assert "Traceback" not in caplog.text
