"""botocore's session: AWS's configuration, and the chain of sources that credentials may be from.

Loaded when it is wanted (`session`), since botocore takes longer to load than all the rest.
Invariant: nothing that a source says or logs shows a secret.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

import botocore.credentials
import botocore.exceptions
import botocore.session

from .._work import uninterruptible
from ..errors import ConfigurationError, CredentialsError
from ..options import Options
from .settings import check_values, say_ignored

_INSTEAD = "perhaps a gateway or a login page answered in its place"
# What the endpoint of a container refuses with, which is a page where a gateway answers.
_BODY = re.compile(r"(Received non 200 response \S+ from container metadata): .*", re.DOTALL)
_OF_BOTOCORE = re.compile("Missing required key")  # what is said of a program, and is none of its own words


# What older versions of botocore do not look for: the name in a profile, the variable, default, conversion.
_LATER_SETTINGS: dict[str, tuple[str, str, None, Callable[[str], bool] | None]] = {
    "auth_scheme_preference": ("auth_scheme_preference", "AWS_AUTH_SCHEME_PREFERENCE", None, None),
    "s3_disable_express_session_auth": (
        "s3_disable_express_session_auth",
        "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH",
        None,
        lambda text: text.strip().lower() == "true",
    ),
}


_CREDENTIALS = "botocore.credentials"


class _Discretion(logging.Filter):
    """Drops botocore's debug records of a thread that fetches credentials, and shortens what failed there.

    The clients of STS and SSO log their requests and answers whole: tokens, secrets, signatures. So do those
    of containers and instances (`botocore.utils`), and the traceback of an answer that cannot be read.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()
        for name in (
            _CREDENTIALS,
            "botocore.auth",
            "botocore.endpoint",
            "botocore.parsers",
            "botocore.utils",
        ):
            logging.getLogger(name).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        if not getattr(self._thread, "fetching", False):
            return True
        failed = record.exc_info[1] if record.exc_info else None
        if isinstance(failed, Exception):
            told = _BODY.sub(r"\1", record.getMessage())
            record.msg, record.args, record.exc_info = f"{told} {_said(failed)}", (), None
        return record.levelno > logging.DEBUG or record.name == _CREDENTIALS

    @contextmanager
    def fetching(self) -> Iterator[None]:
        self._thread.fetching = True
        try:
            yield
        finally:
            self._thread.fetching = False


_discretion = _Discretion()
fetching = _discretion.fetching  # while it lasts, this thread's clients log nothing that is secret


def load(options: Options) -> Any:
    """A session of botocore's. ConfigurationError for an unknown profile or a broken file.

    It has no cause and no context: those of a file that cannot be parsed hold the line, which may be a
    secret.
    """
    try:
        # The handlers are for clients, which only the chain of credential sources makes.
        chain = not (options.key or options.anon)
        known = getattr(botocore.session.Session, "SESSION_VARIABLES", ())  # theirs, where there are any
        later = {name: setting for name, setting in _LATER_SETTINGS.items() if name not in known}
        session = botocore.session.Session(
            session_vars=later, include_builtin_handlers=chain, profile=options.profile
        )
        session.get_scoped_config()  # names a profile that does not exist
        check_values(session)
        say_ignored(session)
        return session
    except botocore.exceptions.ProfileNotFound as error:
        fault = f"{_who_named_the_profile(options)}: {error}"
    except botocore.exceptions.BotoCoreError as error:
        fault = f"the AWS configuration cannot be used: {error}"
    raise ConfigurationError(fault)


def _who_named_the_profile(options: Options) -> str:
    if options.profile is not None:
        return "storage option profile"
    named = (name for name in ("AWS_DEFAULT_PROFILE", "AWS_PROFILE") if name in os.environ)
    return next(named, "AWS_PROFILE")


def find(session: Any) -> Any:
    """The credentials of the first source that has any. Raises CredentialsError."""
    failure: Exception | None = None
    try:
        with uninterruptible(), fetching():
            found = session.get_credentials()
    except CancelledError:
        raise
    except Exception as error:  # a token file that is missing must not look like an object that is
        failure = error
    if failure is not None:
        raise failed("loaded", failure)
    if found is None:
        raise CredentialsError(
            "no credentials found: pass key and secret, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "choose a profile, or pass anon=True for a public bucket"
        )
    return found


def is_static(credentials: Any) -> bool:
    """Whether nothing will refresh them."""
    return type(credentials) is botocore.credentials.Credentials


def is_at_hand(credentials: Any) -> bool:
    """Whether their values are known, and none of them is about to be refreshed."""
    if is_static(credentials):
        return True
    is_due = getattr(credentials, "refresh_needed", None)
    return is_due is not None and not is_due()


def frozen(credentials: Any) -> Any:
    """Their values at this moment. Raises CredentialsError, ConfigurationError."""
    try:
        with uninterruptible(), fetching():
            return credentials.get_frozen_credentials()
    except (CancelledError, CredentialsError, ConfigurationError):
        raise
    except Exception as error:  # botocore's sources raise RuntimeError, KeyError, OSError ... too
        failure = error
    raise failed("refreshed", failure)


def failed(what: str, error: Exception) -> CredentialsError:
    """The error for credentials that could not be loaded, refreshed or delegated.

    It has no cause: a JSONDecodeError holds the text that could not be read, botocore's errors the output of
    programs. Call it when `error` is handled no longer, so that it does not become the context either.
    """
    return CredentialsError(f"the credentials could not be {what}: {_said(error)}")


def _said(error: Exception) -> str:
    """What botocore says, but for the output of a program; texts of others are nothing without their type."""
    told = getattr(error, "kwargs", {})
    if told.get("provider") == "custom-process" and not _OF_BOTOCORE.match(str(told.get("error_msg"))):
        return "credential_process of the AWS profile failed: run it by hand to see why"
    if isinstance(error, botocore.exceptions.ClientError):
        return _said_by_a_service(error)
    if isinstance(error, botocore.exceptions.BotoCoreError):
        return _BODY.sub(r"\1", str(error))
    if isinstance(error, json.JSONDecodeError):
        return "credential_process, a container or a kept token told what is no JSON (JSONDecodeError)"
    if type(error).__module__ == "botocore.parsers" or _is_of_an_answer(error):
        # A parser's error repeats the answer, which may have the secret in it.
        # A KeyError has the name that botocore looks for, which is from its model.
        why = f"there is no {error}" if type(error) is KeyError else type(error).__name__
        return f"STS, SSO or another source answered what cannot be read ({why}): {_INSTEAD}"
    is_of_a_time = str(error).startswith("Invalid timestamp")  # of botocore.utils
    if is_of_a_time or type(error).__module__.startswith("dateutil."):  # it repeats what a source told
        return "the time at which they end is none"
    return f"{type(error).__name__}: {error}"


def _said_by_a_service(error: botocore.exceptions.ClientError) -> str:
    """What STS or SSO says.

    Of a page that came in its place it is the status: botocore repeats the page, or says "Unknown".
    """
    answer: Any = error.response
    told = answer.get("Error", {})
    if told.get("Code") not in (None, "", "Unknown") and "<" not in str(told.get("Message")):
        return str(error)
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return f"{error.operation_name} was answered with HTTP {status} and nothing that can be read: {_INSTEAD}"


def _is_of_an_answer(error: Exception) -> bool:
    """Whether botocore, or this package, failed because an answer lacks what it must have.

    Its parser of XML and its sources take elements and fields for given: of a login page they raise
    "KeyError: 'AssumeRoleResult'". Errors of a user's own function are from other modules.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    is_ours = module.partition(".")[0] in ("botocore", __package__.partition(".")[0])
    return is_ours and isinstance(error, (LookupError, TypeError, AttributeError, UnicodeDecodeError))
