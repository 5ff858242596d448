"""Credentials that end, in place of those of the options: what a program passes on to its workers.

Loaded when it is asked for, since it has botocore make a client of STS.
Invariant: nothing that STS says or logs shows a secret.
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import Any

import botocore.config
import botocore.session

from .._work import uninterruptible
from ..errors import ConfigurationError
from ..options import Options
from .chain import failed, fetching
from .rules import configured_endpoint
from .unconfigured import Keys


def delegated(options: Options, seconds: int, region: str, *, is_aws: bool) -> Keys:
    """The key of `options`, as credentials that end after `seconds`. GetSessionToken of STS.

    CredentialsError where STS gives none. ConfigurationError where the store is not AWS (`is_aws`) and
    nothing says which STS knows its keys: AWS is not to see them.
    """
    session = botocore.session.Session(profile=options.profile)
    url = configured_endpoint(session, "sts")
    if url is None and not is_aws:
        raise ConfigurationError(
            "the store is not AWS: set AWS_ENDPOINT_URL_STS to the STS that knows its keys, or pass on "
            "key and secret themselves"
        )
    failure: Exception
    try:
        with uninterruptible(), fetching():
            given = _client(session, options, url, region).get_session_token(DurationSeconds=seconds)
            found = given["Credentials"]
            return Keys(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"], "sts")
    except CancelledError:
        raise
    except Exception as error:
        failure = error
    raise failed("delegated", failure)


def _client(session: Any, options: Options, url: str | None, region: str) -> Any:
    timeouts = botocore.config.Config(
        connect_timeout=options.connect_timeout, read_timeout=options.read_timeout
    )
    return session.create_client(
        "sts",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=options.key,
        aws_secret_access_key=options.secret,
        verify=options.ca_bundle,
        config=timeouts,
    )
