"""Who we are: botocore's session, its configuration and the chain of credential sources.

Invariant: nothing that a source says or logs shows a secret.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.credentials
import botocore.exceptions
import botocore.session

from ._errors import ConfigurationError, CredentialsError
from ._options import Options


class _Discretion(logging.Filter):
    """Drops botocore's debug records of a thread that fetches credentials.

    The clients of STS and SSO log their requests and answers whole: tokens, secrets, signatures.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()
        for name in ("botocore.auth", "botocore.endpoint", "botocore.parsers"):
            logging.getLogger(name).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG or not getattr(self._thread, "fetching", False)

    @contextmanager
    def fetching(self) -> Iterator[None]:
        self._thread.fetching = True
        try:
            yield
        finally:
            self._thread.fetching = False


_discretion = _Discretion()


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def _after_fork() -> None:
    for session in list(_sessions):
        session.lock = threading.RLock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Session:
    """Configuration and credentials for one `Options`, found on first use. Thread-safe."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.lock = threading.RLock()
        self._session: Any = None
        self._credentials: Any = None
        self._static: Any = None
        _sessions.add(self)

    def __repr__(self) -> str:
        return f"<Session profile={self._options.profile}>"

    def botocore(self) -> Any:
        """botocore's session. ConfigurationError for an unknown profile or a broken file."""
        with self.lock:
            if self._session is None:
                try:
                    # The handlers are for clients, which only the chain of credential sources makes.
                    chain = not (self._options.key or self._options.anon)
                    session = botocore.session.Session(
                        include_builtin_handlers=chain, profile=self._options.profile
                    )
                    session.get_scoped_config()  # names a profile that does not exist
                except botocore.exceptions.ProfileNotFound as error:
                    raise ConfigurationError(f"storage option profile: {error}") from error
                except botocore.exceptions.BotoCoreError as error:
                    raise ConfigurationError(f"the AWS configuration cannot be used: {error}") from error
                self._session = session
            return self._session

    def frozen(self) -> Any:
        """The credentials of this moment; botocore refreshes them when they are about to expire."""
        if self._static is not None:
            return self._static
        with _discretion.fetching():
            if self._credentials is None:
                with self.lock:
                    self._credentials = self._credentials or self._find_credentials()
            try:
                frozen = self._credentials.get_frozen_credentials()
            except Exception as error:  # botocore's sources raise RuntimeError, KeyError, OSError ... too
                raise CredentialsError(f"the credentials could not be refreshed: {_said(error)}") from error
        if type(self._credentials) is botocore.credentials.Credentials:  # nothing will refresh them
            self._static = frozen
        return frozen

    def identity(self) -> tuple[str, str]:
        """The access key's id and the source it is from; nothing secret. Raises CredentialsError."""
        return str(self.frozen().access_key), str(self._credentials.method)

    def _find_credentials(self) -> Any:
        options = self._options
        if options.key:
            return botocore.credentials.Credentials(options.key, options.secret, options.token, "options")
        try:
            found = self.botocore().get_credentials()
        except Exception as error:  # a token file that is missing must not look like an object that is
            raise CredentialsError(f"the credentials could not be loaded: {_said(error)}") from error
        if found is None:
            raise CredentialsError(
                "no credentials found: pass key and secret, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "choose a profile, or pass anon=True for a public bucket"
            )
        return found


def _said(error: Exception) -> str:
    """What botocore says; the texts of other exceptions are nothing without their type."""
    if isinstance(error, (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)):
        return str(error)
    return f"{type(error).__name__}: {error}"
