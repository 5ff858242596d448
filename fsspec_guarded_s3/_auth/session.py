"""Who we are: botocore's session, its configuration and the chain of credential sources.

Invariant: nothing that a source says or logs shows a secret.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any

import botocore.credentials
import botocore.exceptions
import botocore.session

from .._forks import PerProcess, renew_after_fork
from .._work import Lock, uninterruptible
from ..errors import ConfigurationError, CredentialsError
from ..options import Options
from .settings import check_values, say_ignored

logger = logging.getLogger("fsspec_guarded_s3")


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


_shared: weakref.WeakValueDictionary[object, Session] = weakref.WeakValueDictionary()
_shared_lock = PerProcess(threading.Lock)


def shared_session(options: Options) -> Session:
    """The session of all who ask by the same options, environment and files.

    fsspec makes a filesystem per thread, and a chain of sources may end in a program that takes seconds or
    asks a person: it runs once.
    """
    key = options.profile, options.key, options.secret, options.token, options.anon, _surroundings()
    with _shared_lock():
        session = _shared.get(key)
        if session is None:
            session = _shared[key] = Session(options)
        return session


_OF_BOTOCORE = re.compile("Missing required key")  # what is said of a program, and is none of its own words
_VISIBLE = re.compile(r"[!-~]+")  # ASCII without blanks
_READ = ("AWS_", "BOTO_CONFIG", "HOME", "USERPROFILE")


def _surroundings() -> bytes:
    """A digest of what the chain of sources reads: a renewed file or variable makes a new session."""
    variables = sorted(item for item in os.environ.items() if item[0].startswith(_READ))
    digest = hashlib.sha256(repr(variables).encode("utf-8", "surrogatepass"))
    for variable, usual in (
        ("AWS_CONFIG_FILE", "~/.aws/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ):
        try:
            found = os.stat(os.path.expanduser(os.environ.get(variable) or usual))
        except (OSError, ValueError):
            continue
        digest.update(f"{variable} {found.st_ino} {found.st_size} {found.st_mtime_ns}".encode())
    return digest.digest()


class Session:
    """Configuration and credentials for one `Options`, found on first use. Thread-safe.

    `reading` counts how often credentials were replaced or forgotten.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._session: Any = None
        self._credentials: Any = None
        self._static: Any = None
        self._checked: Any = None
        self._renewed_at = 0.0
        self._failure: tuple[float, CredentialsError | None] = (0.0, None)  # of the last reading, and when
        self.reading = 0
        self._renew()
        renew_after_fork(self._renew)

    def __repr__(self) -> str:
        return f"<Session profile={self._options.profile}>"

    def _renew(self) -> None:
        self.lock = threading.RLock()  # of the configuration
        self._chain = Lock()  # of the credentials, which may take long
        if hasattr(self._credentials, "_refresh_lock"):  # of botocore, for credentials that end
            self._credentials._refresh_lock = threading.Lock()

    def botocore(self) -> Any:
        """botocore's session. ConfigurationError for an unknown profile or a broken file."""
        with self.lock:
            if self._session is None:
                self._session = self._load()
            return self._session

    def _load(self) -> Any:
        try:
            # The handlers are for clients, which only the chain of credential sources makes.
            chain = not (self._options.key or self._options.anon)
            session = botocore.session.Session(include_builtin_handlers=chain, profile=self._options.profile)
            session.get_scoped_config()  # names a profile that does not exist
            check_values(session)
            say_ignored(session)
        except botocore.exceptions.ProfileNotFound as error:
            raise ConfigurationError(f"{self._who_named_the_profile()}: {error}") from error
        except botocore.exceptions.BotoCoreError as error:
            raise ConfigurationError(f"the AWS configuration cannot be used: {error}") from error
        return session

    def _who_named_the_profile(self) -> str:
        if self._options.profile is not None:
            return "storage option profile"
        named = (name for name in ("AWS_DEFAULT_PROFILE", "AWS_PROFILE") if name in os.environ)
        return next(named, "AWS_PROFILE")

    def ca_bundle(self) -> str | None:
        """The file of trusted certificates that the profile names. Raises what `botocore` raises."""
        found: str | None = self.botocore().get_scoped_config().get("ca_bundle")
        return found

    def frozen(self) -> Any:
        """The credentials of this moment; botocore refreshes them when they are about to expire."""
        if self._static is not None:
            return self._static
        found = self._credentials
        if found is None:
            found = self._read(time.monotonic())
        frozen = _frozen(found)
        if frozen is not self._checked:
            try:
                _check(frozen, found.method)
            except CredentialsError:
                self.forget()  # whoever corrects them needs no new process
                raise
            self._checked = frozen
        if type(found) is botocore.credentials.Credentials:  # nothing will refresh them
            with self._chain:
                if found is self._credentials:
                    self._static = frozen
        return frozen

    def _read(self, since: float) -> Any:
        """The credentials, read once. A failure is that of all who waited for the reading, since `since`."""
        with self._chain:
            if self._credentials is None:
                failed, failure = self._failure
                if failure is not None and failed >= since:
                    raise CredentialsError(failure.message) from failure
                try:
                    self._credentials = self._find_credentials(self.botocore)
                except CredentialsError as error:
                    self._failure = time.monotonic(), error
                    raise
            return self._credentials

    def renew(self, used: int, since: float) -> bool:
        """The store took those of the reading `used` no longer: read the whole chain of sources anew.

        Returns whether there are others now. Once for all threads: not when that was done after `since`, by
        `time.monotonic()`. Raises CredentialsError when a source fails; the old ones are kept.
        """
        if self._options.key or self._options.anon:
            return False
        with self._chain:
            if self.reading != used:
                return True
            if self._renewed_at >= since:
                return False
            before = None
            with suppress(CredentialsError):
                before = self._credentials and self.frozen()
            self._renewed_at = time.monotonic()
            # A session of its own, since botocore keeps what it has read: files, tokens, roles.
            found = self._find_credentials(self._load)
            if _frozen(found) == before:
                return False
            self._credentials, self._static = found, None
            self.reading += 1
            logger.info("the credentials had expired; others were found by way of %s", found.method)
            return True

    def forget(self) -> None:
        """Read the chain of sources anew when credentials are wanted again."""
        with self._chain:
            self._credentials = self._static = None
            self.reading += 1
            with self.lock:
                self._session = None

    def identity(self) -> tuple[str, str]:
        """The access key's id and the source it is from; nothing secret. Raises CredentialsError."""
        return str(self.frozen().access_key), str(self._credentials.method)

    def _find_credentials(self, session: Callable[[], Any]) -> Any:
        options = self._options
        failure: Exception | None = None
        if options.key:
            return botocore.credentials.Credentials(options.key, options.secret, options.token, "options")
        try:
            with uninterruptible(), _discretion.fetching():
                found = session().get_credentials()
        except CancelledError:
            raise
        except Exception as error:  # a token file that is missing must not look like an object that is
            failure = error
        if failure is not None:
            raise _failed("loaded", failure)
        if found is None:
            raise CredentialsError(
                "no credentials found: pass key and secret, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "choose a profile, or pass anon=True for a public bucket"
            )
        return found


def _frozen(credentials: Any) -> Any:
    try:
        with uninterruptible(), _discretion.fetching():
            return credentials.get_frozen_credentials()
    except CancelledError:
        raise
    except Exception as error:  # botocore's sources raise RuntimeError, KeyError, OSError ... too
        failure = error
    raise _failed("refreshed", failure)


def _check(frozen: Any, source: str) -> None:
    """Raise CredentialsError for what was read with its line break, say; it is not shown."""
    for name, value in (
        ("access key", frozen.access_key),
        ("secret key", frozen.secret_key),
        ("session token", frozen.token or "-"),
    ):
        # A secret is not sent: some stores let their users choose any. The others go into headers.
        if not isinstance(value, str):  # a program may tell null, or a number
            raise CredentialsError(f"the {name} (from {source}) is no text")
        good = value.isprintable() if name == "secret key" else _VISIBLE.fullmatch(value)
        if not good or value != value.strip():
            raise CredentialsError(
                f"the {name} (from {source}) is empty, or has blanks, line breaks or letters that none has"
            )


def _failed(what: str, error: Exception) -> CredentialsError:
    """The error for credentials that could not be loaded or refreshed.

    It has no cause: a JSONDecodeError holds the text that could not be read, botocore's errors the output of
    programs. Call it when `error` is handled no longer, so that it does not become the context either.
    """
    return CredentialsError(f"the credentials could not be {what}: {_said(error)}")


def _said(error: Exception) -> str:
    """What botocore says, but for the output of a program; texts of others are nothing without their type."""
    told = getattr(error, "kwargs", {})
    if told.get("provider") == "custom-process" and not _OF_BOTOCORE.match(str(told.get("error_msg"))):
        return "credential_process of the AWS profile failed: run it by hand to see why"
    if isinstance(error, (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)):
        return str(error)
    if type(error).__module__.startswith("dateutil."):  # it repeats what a source told
        return "the time at which they end is none"
    return f"{type(error).__name__}: {error}"
