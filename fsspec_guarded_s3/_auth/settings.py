"""Settings of AWS, from environment and profile, that botocore's clients read: what becomes of each here.

docs/options.md shows the table (`python -m tests.options_table`). One without effect is logged once, when it
is set to something that would make a difference.
"""

from __future__ import annotations

import logging
import os
from typing import Any, NamedTuple

from ..errors import ConfigurationError

logger = logging.getLogger("fsspec_guarded_s3")

CHECKSUMS = ("when_supported", "when_required")
BY_BOTOCORE = "honoured, by botocore itself"


class Setting(NamedTuple):
    """One setting: its variable, its place in the profile, and what it does here.

    `name` is what botocore's sessions call it, with a section before a dot; empty where it need not be looked
    at. A setting whose value is not in `harmless` is without effect, and `instead` says what to do.
    """

    variable: str
    place: str
    meaning: str
    name: str = ""
    harmless: tuple[Any, ...] = ()
    instead: str = ""


SETTINGS = (
    Setting("AWS_PROFILE, AWS_DEFAULT_PROFILE", "", "honoured; the option `profile` goes before"),
    Setting("AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE", "", BY_BOTOCORE),
    Setting(
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_CREDENTIAL_EXPIRATION",
        "`aws_access_key_id` ..., `credential_process`, `role_arn`, `web_identity_token_file`, `sso_...`",
        BY_BOTOCORE,
    ),
    Setting("AWS_CONTAINER_..., AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_...", "", BY_BOTOCORE),
    Setting("AWS_EC2_METADATA_..., AWS_METADATA_SERVICE_...", "`ec2_metadata_...`", BY_BOTOCORE),
    Setting("AWS_STS_REGIONAL_ENDPOINTS", "`sts_regional_endpoints`", BY_BOTOCORE),
    Setting("AWS_DATA_PATH", "`data_path`", BY_BOTOCORE),
    Setting("AWS_DEFAULT_REGION", "`region`", "honoured"),
    Setting(
        "AWS_REGION",
        "",
        "honoured if neither `AWS_DEFAULT_REGION` nor `region` is set; boto3 does not read it",
    ),
    Setting(
        "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL",
        "`endpoint_url`; `services` and its section `s3`",
        "honoured; of the profile too",
    ),
    Setting("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "`ignore_configured_endpoint_urls`", "honoured"),
    Setting("AWS_USE_DUALSTACK_ENDPOINT", "`use_dualstack_endpoint`, also in `s3`", "honoured"),
    Setting("AWS_USE_FIPS_ENDPOINT", "`use_fips_endpoint`", "honoured"),
    Setting("", "`s3`: `addressing_style`, `use_accelerate_endpoint`", "honoured"),
    Setting("", "`s3`: `payload_signing_enabled`", "true: as `sign_payload=True`"),
    Setting("AWS_S3_USE_ARN_REGION", "`s3_use_arn_region`; `s3`: `use_arn_region`", "honoured"),
    Setting(
        "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS", "`s3`: `s3_disable_multiregion_access_points`", "honoured"
    ),
    Setting("AWS_S3_DISABLE_EXPRESS_SESSION_AUTH", "`s3_disable_express_session_auth`", "honoured"),
    Setting("AWS_MAX_ATTEMPTS", "`max_attempts`", "honoured if the option `max_attempts` is not given"),
    Setting(
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        "`request_checksum_calculation`",
        "honoured if the option of that name is not given",
    ),
    Setting(
        "AWS_RESPONSE_CHECKSUM_VALIDATION",
        "`response_checksum_validation`",
        "honoured if `verify_checksums` is not given: when_required means False",
    ),
    Setting("AWS_SDK_UA_APP_ID", "`sdk_ua_app_id`", "honoured: it goes into the user agent"),
    Setting(
        "AWS_RETRY_MODE",
        "`retry_mode`",
        "no effect: retries have full jitter and a budget, and the rate always adapts "
        "to a store that refuses too many requests",
    ),
    Setting(
        "AWS_DEFAULTS_MODE",
        "`defaults_mode`",
        "without effect",
        "defaults_mode",
        ("legacy",),
        "set connect_timeout, read_timeout and max_attempts",
    ),
    Setting(
        "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT",
        "`s3`: `us_east_1_regional_endpoint`",
        "legacy: without effect, the regional endpoint is always used",
        "s3.us_east_1_regional_endpoint",
        ("regional",),
        "set endpoint_url where the global endpoint is needed",
    ),
    Setting(
        "AWS_AUTH_SCHEME_PREFERENCE",
        "`auth_scheme_preference`",
        "without effect",
        "auth_scheme_preference",
        (),
        "leave it out: the endpoint decides how requests are signed",
    ),
    Setting(
        "AWS_SIGV4A_SIGNING_REGION_SET",
        "`sigv4a_signing_region_set`",
        "without effect but for `*`",
        "sigv4a_signing_region_set",
        ("*",),
        "leave it out: multi-region access points are signed for all regions",
    ),
    Setting(
        "",
        "`s3`: `signature_version`",
        "without effect but for `s3v4`",
        "s3.signature_version",
        ("s3v4", "v4"),
        "leave it out: requests are signed by Signature Version 4",
    ),
    Setting(
        "AWS_CSM_ENABLED",
        "`csm_enabled`",
        "without effect",
        "csm_enabled",
        (False,),
        "watch the logger fsspec_guarded_s3",
    ),
    Setting(
        "",
        "`proxy_ca_bundle`",
        "without effect",
        "proxies_config.proxy_ca_bundle",
        (),
        "pass ca_bundle, which counts for proxies too",
    ),
    Setting(
        "",
        "`proxy_client_cert`, `proxy_use_forwarding_for_https`",
        "without effect",
        "proxies_config.proxy_client_cert",
        (),
        "set HTTPS_PROXY to a proxy that needs neither",
    ),
    Setting("BOTOCORE_TCP_KEEPALIVE", "`tcp_keepalive`", "no effect: keep-alive is always on"),
    Setting("", "`parameter_validation`", "no effect: parameters are always checked"),
    Setting(
        "AWS_ACCOUNT_ID_ENDPOINT_MODE, AWS_DISABLE_HOST_PREFIX_INJECTION, AWS_ENDPOINT_DISCOVERY_ENABLED, "
        "AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES, AWS_DISABLE_REQUEST_COMPRESSION",
        "the same in lower case; `api_versions`",
        "no effect: S3 has none of these",
    ),
    Setting(
        "",
        "`s3`: `max_concurrent_requests`, `multipart_threshold`, `multipart_chunksize`, `max_bandwidth` ...",
        "of the AWS CLI alone: boto3 does not read them either. Here: `max_concurrency`, "
        "`multipart_threshold`, `part_size`",
    ),
)

_said: set[str] = set()


# Those that say yes or no: whatever is not "true" is no to botocore, so that "yes" asks for FIPS in vain.
_SWITCHES = (
    ("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
    ("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
    ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls"),
    ("AWS_S3_DISABLE_EXPRESS_SESSION_AUTH", "s3_disable_express_session_auth"),
    ("AWS_S3_USE_ARN_REGION", "s3.use_arn_region"),
    ("AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS", "s3.s3_disable_multiregion_access_points"),
    ("", "s3.use_accelerate_endpoint"),
    ("", "s3.use_dualstack_endpoint"),
    ("", "s3.payload_signing_enabled"),
)


def check_values(session: Any) -> None:
    """Raise ConfigurationError for a switch of botocore's `session` that is neither true nor false."""
    profile = session.get_scoped_config()
    for name, place in _SWITCHES:
        section, _, key = place.rpartition(".")
        found = profile.get(section) if section else profile
        value = os.environ.get(name) or (found.get(key) if isinstance(found, dict) else None)
        if value and str(value).lower() not in ("true", "false"):
            where = name if os.environ.get(name) else f"{place} of the AWS profile"
            raise ConfigurationError(f"{where} must be true or false, not {value!r}")


def say_ignored(session: Any) -> None:
    """Log each setting of botocore's `session` that is set and without effect, once per process."""
    for setting in SETTINGS:
        if not setting.name or setting.name in _said:
            continue
        value = _value(session, setting.name)
        if value is not None and value not in setting.harmless:
            _said.add(setting.name)
            where = setting.variable or setting.place.replace("`", "")
            logger.warning("%s has no effect here (it is %r): %s", where, value, setting.instead)


def variable(session: Any, name: str) -> Any:
    """A setting of botocore's `session`. Raises ConfigurationError when its value is of a wrong kind."""
    try:
        return session.get_config_variable(name)
    except ValueError as error:
        raise ConfigurationError(f"AWS's setting {name} cannot be used: {error}") from error


def attempts(session: Any) -> int | None:
    """AWS_MAX_ATTEMPTS, or max_attempts of the profile. Raises ConfigurationError when it is none."""
    found: int | None = variable(session, "max_attempts")
    if found is not None and found < 1:
        raise ConfigurationError(f"AWS_MAX_ATTEMPTS or max_attempts must be at least 1, not {found}")
    return found


def is_when_required(session: Any, name: str) -> bool:
    """Whether request_checksum_calculation or response_checksum_validation is "when_required".

    Raises ConfigurationError when it is nothing that botocore takes. Read here, since botocore knows both
    from 1.36 on only.
    """
    found = os.environ.get(f"AWS_{name.upper()}") or session.get_scoped_config().get(name, CHECKSUMS[0])
    if str(found).lower() not in CHECKSUMS:
        raise ConfigurationError(
            f"AWS_{name.upper()} or {name} must be {' or '.join(CHECKSUMS)}, not {found!r}"
        )
    return str(found).lower() == CHECKSUMS[1]


def _value(session: Any, name: str) -> Any:
    section, _, key = name.rpartition(".")
    if not section:
        return variable(session, key)
    return (variable(session, section) or {}).get(key)
