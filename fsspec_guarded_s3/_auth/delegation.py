"""Credentials that end, in place of those of the options: what a program passes on to its workers.

Loaded when it is asked for, since it has botocore make a client of STS.
Invariant: nothing that STS says or logs shows a secret.
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import Any

import botocore.config

from .._work import uninterruptible
from ..options import Options
from .chain import failed, fetching
from .provided import sts_endpoint
from .unconfigured import Keys


def delegated(options: Options, session: Any, seconds: int, region: str) -> Keys:
    """The key of `options`, as credentials that end after `seconds`. GetSessionToken of STS.

    CredentialsError where STS gives none; ConfigurationError as of `provided.sts_endpoint`.
    """
    url = sts_endpoint(options, session)
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
