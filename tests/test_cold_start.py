"""A new process loads what its first byte needs, and no more: most of a cold start is what it imports."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import botocore.configprovider
import botocore.session
import pytest

from fsspec_guarded_s3._auth import unconfigured
from fsspec_guarded_s3._auth.session import Session
from fsspec_guarded_s3.options import Options
from tests.fake_s3 import FakeS3
from tests.scripted_server import ScriptedServer

ROOT = Path(__file__).parent.parent
KEYS = {"key": "k", "secret": "s"}
IN_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
# Each takes milliseconds to load. What fsspec itself loads is not ours to leave out.
NEVER = {"botocore", "urllib3", "tenacity", "awscrt", "dateutil", "jmespath", "urllib.request", "fsspec.asyn"}
NEVER |= {"xml.etree.ElementTree", "html", "difflib"}
PROGRAM = """
    import json, sys
    import fsspec
    before = set(sys.modules)
    from fsspec_guarded_s3 import GuardedS3FileSystem
    fs = GuardedS3FileSystem(**json.loads(sys.argv[1]))
    assert fs.cat_file("bucket/key") == b"data"
    print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded(home: Path, options: dict[str, Any], variables: dict[str, str]) -> set[str]:
    """What a new process has loaded beyond fsspec when it has read its first byte."""
    fake = FakeS3("bucket")
    fake.put("bucket", "key", b"data")
    with ScriptedServer(handler=fake) as server:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment = {**kept, "HOME": str(home), "USERPROFILE": str(home), "PYTHONPATH": str(ROOT)}
        chosen = {"endpoint_url": server.url, **options}
        if "AWS_ENDPOINT_URL" in variables:
            variables = {**variables, "AWS_ENDPOINT_URL": chosen.pop("endpoint_url")}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), json.dumps(chosen)],
            capture_output=True,
            text=True,
            env={**environment, **variables},
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def write_aws(home: Path, config: str) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(textwrap.dedent(config), encoding="utf-8")


@pytest.mark.parametrize(
    "options, variables",
    [
        (KEYS, {}),
        ({**KEYS, "region": "eu-west-1", "token": "t"}, {"AWS_EC2_METADATA_DISABLED": "true"}),
        ({}, {**IN_ENVIRONMENT, "AWS_SESSION_TOKEN": "t", "AWS_DEFAULT_REGION": "eu-west-1"}),
        (
            {"anon": True},
            {
                "AWS_LAMBDA_FUNCTION_NAME": "f",
                "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
                "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            },
        ),
        ({}, {**IN_ENVIRONMENT, "AWS_ENDPOINT_URL": "that of the server"}),
    ],
    ids=["options", "region", "environment", "anonymous", "endpoint of the environment"],
)
def test_nothing_is_loaded_that_the_first_byte_does_not_need(
    tmp_path: Path, options: dict[str, Any], variables: dict[str, str]
) -> None:
    assert loaded(tmp_path, options, variables) & NEVER == set()


def test_files_of_aws_that_say_nothing_more_load_nothing(tmp_path: Path) -> None:
    write_aws(
        tmp_path, "[default]\nregion = eu-west-1\noutput = json\n[profile other]\naws_access_key_id = o\n"
    )
    assert loaded(tmp_path, {**KEYS, "region": "us-east-1"}, {}) & NEVER == set()


@pytest.mark.parametrize(
    "config",
    [
        "[default]\ns3 =\n  addressing_style = path\n",
        "[default]\nmax_attempts = 3\n",
        "[default]\nregion = eu-west-1\n",
    ],
    ids=["section", "setting", "region"],
)
def test_files_of_aws_that_say_more_are_read_by_botocore(tmp_path: Path, config: str) -> None:
    write_aws(tmp_path, config)
    assert "botocore" in loaded(tmp_path, KEYS, {})


# --- when botocore need not be asked ---


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither variables nor files of AWS; the folder of the files that are missing."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for variable, _ in unconfigured.FILES:
        monkeypatch.setenv(variable, str(tmp_path / variable))
    return tmp_path


def test_answers_without_botocore_are_its_own(silent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ours is None it may have a default, but none that makes a difference."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    ours, theirs = Session(Options()).configuration(), botocore.session.Session()
    assert isinstance(ours, unconfigured.Unconfigured)
    asked = [
        "region",
        "s3",
        "max_attempts",
        "user_agent_appid",
        "use_dualstack_endpoint",
        "use_fips_endpoint",
    ]
    for name in [*asked, "s3_disable_express_session_auth", "ignore_configured_endpoint_urls"]:
        assert (ours.get_config_variable(name) or None) == (theirs.get_config_variable(name) or None), name
    assert ours.get_scoped_config() == theirs.get_scoped_config() == {}


VARIABLES = sorted(
    {
        name
        for _, names, *_ in botocore.configprovider.BOTOCORE_DEFAUT_SESSION_VARIABLES.values()
        for name in ([names] if isinstance(names, str) else names or [])
        if name.startswith("AWS_")
    }
    | {"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CREDENTIAL_EXPIRATION", "AWS_SECURITY_TOKEN", "AWS_NEW_ONE"}
)


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_is_read_here_or_by_botocore(
    silent: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """One that nobody here knows, of a botocore to come, is left to botocore."""
    assert unconfigured.is_unconfigured(Options())
    monkeypatch.setenv(name, "us-east-1" if "REGION" in name else str(silent / "missing"))
    here = unconfigured._KNOWN
    assert unconfigured.is_unconfigured(Options()) == (name in here)


@pytest.mark.parametrize(
    "text, is_silent",
    [
        ("", True),
        ("# nothing\n[default]\naws_access_key_id=k\naws_secret_access_key=s\n", True),
        ("[default]\nregion = eu-west-1\n", False),  # which region is it, where none is given?
        ("[default]\nca_bundle = /a.pem\n", False),
        ("[default]\ncredential_process = show\n", False),
        ("[default]\n[default]\n", False),  # botocore says what is wrong
        ("no section\n", False),
    ],
)
@pytest.mark.parametrize("variable", [variable for variable, _ in unconfigured.FILES])
def test_a_file_is_silent_or_read_by_botocore(
    silent: Path, variable: str, text: str, is_silent: bool
) -> None:
    (silent / variable).write_text(text, encoding="utf-8")
    assert unconfigured.is_unconfigured(Options()) == is_silent
    assert not unconfigured.is_unconfigured(Options(profile="other"))


def test_region_of_a_file_does_not_matter_to_who_has_one(
    silent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (silent / "AWS_CONFIG_FILE").write_text("[default]\nregion = eu-west-1\n", encoding="utf-8")
    assert unconfigured.is_unconfigured(Options(region="us-east-1"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert unconfigured.is_unconfigured(Options())


@pytest.mark.parametrize("missing", list(IN_ENVIRONMENT))
def test_keys_of_the_environment_are_taken_whole(
    silent: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name, value in {**IN_ENVIRONMENT, "AWS_SESSION_TOKEN": "t"}.items():
        monkeypatch.setenv(name, value)
    session = Session(Options())
    frozen = session.frozen()
    assert (frozen.access_key, frozen.secret_key, frozen.token) == ("k", "s", "t")
    assert session.identity() == ("k", "env") and "s" not in repr(frozen).split()
    monkeypatch.delenv(missing)
    assert unconfigured.keys_of_environment() is None


def test_keys_of_the_environment_that_were_replaced_are_read_anew(
    silent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in IN_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    session = Session(Options())
    assert session.frozen().secret_key == "s"
    assert not session.renew(session.reading, time.monotonic())  # they are the same
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    assert session.renew(session.reading, time.monotonic())
    assert session.frozen().secret_key == "another"


def test_the_parser_of_listings_is_loaded_while_the_first_answer_is_on_its_way(tmp_path: Path) -> None:
    program = """
        import sys
        from fsspec_guarded_s3 import GuardedS3FileSystem
        from fsspec_guarded_s3._http.transport import Transport
        from fsspec_guarded_s3._s3 import xml
        from tests.fake_s3 import FakeS3
        from tests.scripted_server import ScriptedServer

        fake = FakeS3("bucket")
        fake.put("bucket", "folder/key", b"data")
        with ScriptedServer(handler=fake) as server:
            fs = GuardedS3FileSystem(key="k", secret="s", endpoint_url=server.url)
            for name in [name for name in sys.modules if name.startswith("xml.")]:
                del sys.modules[name]
            order = []
            load, send = xml.load, Transport.send
            xml.load = lambda: (order.append("load"), load())
            def sending(self, wire, deadline, **how):
                order.append("send")
                return send(self, wire, deadline, **how)
            Transport.send = sending
            for _ in range(2):
                assert fs.ls("bucket/folder", detail=False) == ["bucket/folder/key"]
            assert order == ["send", "load", "send"], order
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
