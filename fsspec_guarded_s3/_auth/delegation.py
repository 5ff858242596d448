"""Credentials that end, in place of those of the options: what a program passes on to its workers.

Loaded when it is asked for, since it has `provided` make a client of STS.
Invariant: nothing that STS says or logs shows a secret.
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import Any

from .._work import uninterruptible
from ..errors import ConfigurationError
from ..options import Options
from .chain import failed, fetching
from .provided import sts_client
from .unconfigured import Keys


def delegated(options: Options, session: Any, seconds: int, region: str) -> Keys:
    """The key of `options`, as credentials that end after `seconds`. GetSessionToken of STS.

    CredentialsError where STS gives none; ConfigurationError as of `provided.sts_endpoint`.
    """
    failure: Exception
    try:
        with uninterruptible(), fetching():
            client = sts_client(
                options,
                session,
                region=region,
                aws_access_key_id=options.key,
                aws_secret_access_key=options.secret,
            )
            given = client.get_session_token(DurationSeconds=seconds)
            found = given["Credentials"]
            return Keys(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"], "sts")
    except (CancelledError, ConfigurationError):
        raise
    except Exception as error:
        failure = error
    raise failed("delegated", failure)
