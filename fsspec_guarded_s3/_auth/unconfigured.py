"""What AWS's configuration says where it says nothing: known without botocore, which takes long to load.

Two questions, each answered from environment and files as botocore reads them. `is_unconfigured`: is there
nothing that would make a difference? Whatever this module does not know, makes one: botocore is asked then.
`keys_of_environment`: are the credentials in plain variables, the first source of botocore's chain?
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from .._forks import importing
from .._values.surroundings import FILES
from ..options import Options

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")  # in the order in which botocore takes them
_KEY, _SECRET, _TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
_REGION = "AWS_DEFAULT_REGION"
# Variables that are read here, or where they count, or that say nothing about S3.
_KNOWN = frozenset(
    {
        _KEY,
        _SECRET,
        _TOKEN,
        _REGION,
        "AWS_REGION",
        "AWS_CA_BUNDLE",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_EXECUTION_ENV",
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        "AWS_RESPONSE_CHECKSUM_VALIDATION",
        *ENDPOINTS,
        *(variable for variable, _ in FILES),
    }
)
_OF_LAMBDA = ("AWS_LAMBDA_", "AWS_XRAY_")
# Names in the files that say nothing more to who has credentials and a region.
_SILENT = frozenset(
    {"aws_access_key_id", "aws_secret_access_key", "aws_session_token", "region", "output", "cli_pager"}
)


class Configuration(Protocol):
    """What is asked of botocore's session."""

    def get_config_variable(self, name: str) -> Any:
        """The value of a setting by its name in botocore, None or its default where it is not set."""

    def get_scoped_config(self) -> Mapping[str, Any]:
        """All that the profile says."""


class Unconfigured:
    """The `Configuration` of which `is_unconfigured` is true."""

    def __repr__(self) -> str:
        return "<Unconfigured>"

    def get_config_variable(self, name: str) -> Any:
        """None, but for the region that the environment names."""
        return os.environ.get(_REGION) if name == "region" else None

    def get_scoped_config(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}


class Keys(NamedTuple):
    """Credentials that do not end, with botocore's names; `method` is the source they are from."""

    access_key: str
    secret_key: str | None
    token: str | None
    method: str

    def __repr__(self) -> str:
        return f"<Keys from {self.method}>"


def is_unconfigured(options: Options) -> bool:
    """Whether neither environment nor files have a setting that these options leave open."""
    names = [name for name in os.environ if name.startswith("AWS_") and not name.startswith(_OF_LAMBDA)]
    if options.profile is not None or not _KNOWN.issuperset(names):
        return False
    has_region = bool(options.region or os.environ.get(_REGION))
    return all(_is_silent(os.environ.get(variable) or usual, has_region) for variable, usual in FILES)


def keys_of_environment() -> Keys | None:
    """The credentials in environment variables; None where they are not whole, or elsewhere.

    Ask only where `is_unconfigured`: a time at which they end, say, is left to botocore.
    """
    key, secret = os.environ.get(_KEY), os.environ.get(_SECRET)
    return Keys(key, secret, os.environ.get(_TOKEN), "env") if key and secret else None


def _is_silent(path: str, has_region: bool) -> bool:
    """Whether the file at `path` is not there, or has nothing but names that are `_SILENT`."""
    path = os.path.expanduser(os.path.expandvars(path))
    if not os.path.isfile(path):
        return True
    with importing():
        import configparser
    parser = configparser.RawConfigParser()
    try:
        parser.read([path])
    except (configparser.Error, UnicodeDecodeError):  # botocore says what is wrong with it
        return False
    names = {name for section in parser.sections() for name in parser.options(section)}
    return _SILENT.issuperset(names) and (has_region or "region" not in names)
