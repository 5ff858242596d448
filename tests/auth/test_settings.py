"""AWS's settings, from environment and profile: each does what it does for botocore, or is logged."""

import logging
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.config
import botocore.configprovider
import botocore.exceptions
import botocore.session
import pytest

from fsspec_guarded_s3 import ConfigurationError, GuardedS3Error
from fsspec_guarded_s3._auth import settings
from fsspec_guarded_s3._auth.settings import SETTINGS
from fsspec_guarded_s3._auth.signer import Signer
from fsspec_guarded_s3.options import Options
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer, s3_error

ARN = "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine"
MRAP = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"
EXPRESS = "mine--use1-az4--x-s3"


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What another test was told does not keep this one from being told."""
    monkeypatch.setattr(settings, "_said", set())
    yield


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Puts a setting where it belongs: text of the profile, or variables."""

    def put(profile: str = "", **variables: str) -> None:
        path = tmp_path / "aws-config"
        path.write_text("[default]\n" + textwrap.dedent(profile), encoding="utf-8")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def ours(bucket: str) -> str:
    endpoint = Signer(Options(key="k", secret="s")).endpoint(bucket)
    return endpoint.netloc


class Sent(Exception):
    """Raised in place of sending."""


def theirs(bucket: str) -> str:
    """Where botocore's own client goes."""

    def stop(request: Any, **_: Any) -> None:
        raise Sent(urlsplit(request.url).netloc)

    client = botocore.session.Session().create_client(
        "s3",
        aws_access_key_id="k",
        aws_secret_access_key="s",
        # Without it botocore goes to the old global endpoint for us-east-1.
        config=botocore.config.Config(s3={"us_east_1_regional_endpoint": "regional"}),
    )
    client.meta.events.register("before-send.s3", stop)
    with pytest.raises(Sent) as caught:
        client.get_object(Bucket=bucket, Key="k")
    return str(caught.value)


HONOURED: dict[str, tuple[str, str, dict[str, str]]] = {
    "region": ("bucket", "", {"AWS_DEFAULT_REGION": "eu-west-1"}),
    "dual-stack": ("bucket", "region = eu-west-1", {"AWS_USE_DUALSTACK_ENDPOINT": "true"}),
    "dual-stack of the profile": ("bucket", "region = eu-west-1\nuse_dualstack_endpoint = true", {}),
    "dual-stack of S3": ("bucket", "region = eu-west-1\ns3 =\n  use_dualstack_endpoint = true", {}),
    "FIPS": ("bucket", "region = us-east-2", {"AWS_USE_FIPS_ENDPOINT": "true"}),
    "FIPS, switched off": ("bucket", "region = us-east-2", {"AWS_USE_FIPS_ENDPOINT": "false"}),
    "path style": ("bucket", "region = eu-west-1\ns3 =\n  addressing_style = path", {}),
    "virtual style": ("bucket", "region = eu-west-1\ns3 =\n  addressing_style = virtual", {}),
    "accelerate": ("bucket", "region = eu-west-1\ns3 =\n  use_accelerate_endpoint = true", {}),
    "endpoint": ("bucket", "region = eu-west-1\nendpoint_url = https://a.test", {}),
    "endpoint of S3": (
        "bucket",
        "region = x\nservices = v\n[services v]\ns3 =\n  endpoint_url = https://b.test",
        {},
    ),
    "endpoint that is ignored": (
        "bucket",
        "region = eu-west-1\nendpoint_url = https://a.test\nignore_configured_endpoint_urls = true",
        {},
    ),
    "region of the ARN": (ARN, "region = us-east-1", {"AWS_S3_USE_ARN_REGION": "true"}),
    "no region of the ARN": (ARN, "region = us-east-1", {"AWS_S3_USE_ARN_REGION": "false"}),
    "no region of the ARN, profile": (ARN, "region = us-east-1\ns3 =\n  use_arn_region = false", {}),
    "no multi-region access points": (
        MRAP,
        "region = us-east-1",
        {"AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS": "true"},
    ),
    "directory bucket without sessions": (
        EXPRESS,
        "region = us-east-1",
        {"AWS_S3_DISABLE_EXPRESS_SESSION_AUTH": "true"},
    ),
}


@pytest.mark.parametrize("case", HONOURED)
def test_bucket_is_where_botocores_client_finds_it(case: str, place: Any) -> None:
    """Or nowhere, as botocore has it."""
    bucket, profile, variables = HONOURED[case]
    place(profile, **variables)
    try:
        expected = theirs(bucket)
    except botocore.exceptions.BotoCoreError:
        with pytest.raises(ConfigurationError):
            ours(bucket)
    else:
        assert ours(bucket) == expected


def test_directory_bucket_is_signed_without_a_session_where_these_are_switched_off(place: Any) -> None:
    signer = Signer(Options(key="k", secret="s", region="us-east-1"))
    assert signer.needs_session(EXPRESS)
    place(AWS_S3_DISABLE_EXPRESS_SESSION_AUTH="true")
    signer = Signer(Options(key="k", secret="s", region="us-east-1"))
    assert not signer.needs_session(EXPRESS)
    assert (signer.endpoint(EXPRESS).signature, signer.endpoint(EXPRESS).service) == ("sigv4", "s3express")


def test_aws_region_counts_where_nothing_else_names_one(place: Any) -> None:
    """Lambda and other SDKs set it; boto3 does not read it."""
    place(AWS_REGION="eu-north-1")
    assert Signer(Options(key="k", secret="s")).endpoint("bucket").region == "eu-north-1"
    place("region = eu-west-1", AWS_REGION="eu-north-1")
    assert Signer(Options(key="k", secret="s")).endpoint("bucket").region == "eu-west-1"


def test_addressing_style_that_is_none_is_a_configuration_error(place: Any) -> None:
    place("s3 =\n  addressing_style = pathh\n")
    with pytest.raises(ConfigurationError, match="addressing_style"):
        ours("bucket")


@pytest.mark.parametrize(
    ("profile", "variables", "options", "attempts"),
    [
        ("", {}, {}, 5),
        ("", {"AWS_MAX_ATTEMPTS": "2"}, {}, 2),
        ("max_attempts = 3", {}, {}, 3),
        ("max_attempts = 3", {"AWS_MAX_ATTEMPTS": "1"}, {}, 1),
        ("", {"AWS_MAX_ATTEMPTS": "2"}, {"max_attempts": 4}, 4),
    ],
)
def test_request_is_tried_as_often_as_the_settings_say(
    place: Any, profile: str, variables: dict[str, str], options: dict[str, Any], attempts: int
) -> None:
    place(profile, **variables)
    with ScriptedServer(handler=lambda request: s3_error(500, "InternalError")) as server:
        with pytest.raises(GuardedS3Error):
            filesystem(server.url, **options).cat_file("bucket/key")
        assert len(server.requests) == attempts


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_number_of_attempts_that_is_none_is_found_before_anything_is_sent(place: Any, value: str) -> None:
    """A request that fails is too late: it may have been applied."""
    place(AWS_MAX_ATTEMPTS=value)
    verbs: list[Any] = [
        lambda fs: fs.cat_file("bucket/key"),
        lambda fs: fs.put_if_absent("bucket/key", b"1"),
        lambda fs: fs.rm_file("bucket/key", if_match="e"),
        lambda fs: fs.exists("bucket/key"),
    ]
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        for verb in verbs:
            with pytest.raises(ConfigurationError, match="max_attempts"):
                verb(filesystem(server.url))
        assert server.requests == []
        assert not filesystem(server.url, max_attempts=2).exists("bucket/key"), "the option goes before"


SWITCHES = [
    ({"AWS_USE_FIPS_ENDPOINT": "maybe"}, "", "AWS_USE_FIPS_ENDPOINT must be true or false, not 'maybe'"),
    ({"AWS_USE_FIPS_ENDPOINT": "1"}, "", "AWS_USE_FIPS_ENDPOINT"),
    ({"AWS_USE_DUALSTACK_ENDPOINT": "yes"}, "", "AWS_USE_DUALSTACK_ENDPOINT"),
    ({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "on"}, "", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"),
    ({"AWS_S3_DISABLE_EXPRESS_SESSION_AUTH": "y"}, "", "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH"),
    ({"AWS_S3_USE_ARN_REGION": "no"}, "", "AWS_S3_USE_ARN_REGION"),
    ({}, "use_fips_endpoint = yes\n", "use_fips_endpoint of the AWS profile"),
    ({}, "s3 =\n  use_accelerate_endpoint = 1\n", "s3.use_accelerate_endpoint of the AWS profile"),
    ({}, "s3 =\n  payload_signing_enabled = on\n", "s3.payload_signing_enabled of the AWS profile"),
]


@pytest.mark.parametrize(("variables", "profile", "said"), SWITCHES)
def test_a_switch_that_is_neither_true_nor_false_is_told(
    place: Any, variables: dict[str, str], profile: str, said: str
) -> None:
    """botocore takes it for false: whoever asked for FIPS would not get it, and not hear of it."""
    place(profile, **variables)
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        with pytest.raises(ConfigurationError, match=said):
            filesystem(server.url).exists("bucket/key")
        assert server.requests == []


@pytest.mark.parametrize("value", ["true", "True", "FALSE", ""])
def test_a_switch_may_be_written_in_any_case(place: Any, value: str) -> None:
    place(AWS_USE_FIPS_ENDPOINT=value)
    assert ("fips" in ours("bucket")) is (value.lower() == "true")


@pytest.mark.parametrize("signs", ["true", "false"])
def test_payload_is_signed_where_the_profile_says_so(place: Any, signs: str) -> None:
    place(f"s3 =\n  payload_signing_enabled = {signs}\n")
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        filesystem(server.url).pipe_file("bucket/key", b"content")
        (put,) = [request for request in server.requests if request.method == "PUT"]
    assert (put.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD") is (signs == "false")


@pytest.mark.parametrize(
    ("app", "agent"),
    [("my-app", "fsspec_guarded_s3 app/my-app"), ("a b\u00fc/c", "fsspec_guarded_s3 app/a-b--c")],
)
def test_application_is_named_by_the_user_agent(place: Any, app: str, agent: str) -> None:
    place(AWS_SDK_UA_APP_ID=app)
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        filesystem(server.url).ls("bucket")
        assert server.requests[0].headers["user-agent"] == agent


IGNORED: dict[str, tuple[str, dict[str, str]]] = {
    "AWS_DEFAULTS_MODE": ("defaults_mode = in-region", {}),
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": ("", {"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "legacy"}),
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT, profile": ("s3 =\n  us_east_1_regional_endpoint = legacy", {}),
    "AWS_AUTH_SCHEME_PREFERENCE": ("", {"AWS_AUTH_SCHEME_PREFERENCE": "sigv4a"}),
    "AWS_SIGV4A_SIGNING_REGION_SET": ("", {"AWS_SIGV4A_SIGNING_REGION_SET": "us-west-2"}),
    "s3: signature_version": ("s3 =\n  signature_version = s3", {}),
    "AWS_CSM_ENABLED": ("", {"AWS_CSM_ENABLED": "true"}),
    "proxy_ca_bundle": ("proxy_ca_bundle = /x.pem", {}),
    "proxy_client_cert": ("proxy_client_cert = /x.pem", {}),
}


@pytest.mark.parametrize("case", IGNORED)
def test_setting_without_effect_is_said_once(case: str, place: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the number of filesystems, with what to do instead."""
    profile, variables = IGNORED[case]
    place(profile, **variables)
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        filesystem(server.url).ls("bucket")
        filesystem(server.url, secret="another").ls("bucket")
    (said,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert said.getMessage().startswith(case.partition(", ")[0])
    assert "has no effect here" in said.getMessage()


def test_every_ignored_setting_is_tried_here() -> None:
    named = {
        setting.variable or setting.place.replace("`", "").partition(", ")[0]
        for setting in SETTINGS
        if setting.name
    }
    assert {case.partition(", ")[0] for case in IGNORED} == named


@pytest.mark.parametrize(
    "profile",
    [
        "",
        "retry_mode = adaptive\nsigv4a_signing_region_set = *\ntcp_keepalive = true",
        "s3 =\n  signature_version = s3v4\n  us_east_1_regional_endpoint = regional\n  max_bandwidth = 1MB/s",
    ],
)
def test_setting_that_changes_nothing_is_not_mentioned(
    profile: str, place: Any, caplog: pytest.LogCaptureFixture
) -> None:
    place(profile)
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        filesystem(server.url).ls("bucket")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_every_setting_of_botocore_is_in_the_table() -> None:
    """A botocore that learns a new one makes this fail: decide what becomes of it."""
    elsewhere = {"AWS_CA_BUNDLE", "AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION"}
    text = " ".join(f"{setting.variable} {setting.place}" for setting in SETTINGS)
    prefixes = ("AWS_EC2_METADATA_", "AWS_METADATA_SERVICE_", "AWS_IMDS_USE_IPV6", "AWS_CSM_")
    known = botocore.configprovider.BOTOCORE_DEFAUT_SESSION_VARIABLES
    for mapping in (known, botocore.configprovider.DEFAULT_S3_CONFIG_VARS):
        for _, variables, _, _ in mapping.values():
            for variable in [variables] if isinstance(variables, str) else variables or []:
                known_here = variable in elsewhere or variable.startswith(prefixes) or variable in text
                assert known_here, variable
