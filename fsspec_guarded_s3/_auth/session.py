"""Who we are: the credentials that are kept, and when they are read anew.

Those of the options, and those in plain environment variables, are taken as they are. All others are found by
botocore's chain of sources (`chain`), which is loaded when it is asked.
Invariant: nothing that a source says or logs shows a secret.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, TypeVar

from .._forks import PerProcess, importing, renew_after_fork
from .._values.private_parts import say_once
from .._values.surroundings import surroundings
from .._work import Lock, Work, current, must_wait, this_thread, uninterruptible
from ..errors import ConfigurationError, CredentialsError
from ..options import Options
from .unconfigured import (
    Configuration,
    Keys,
    Unconfigured,
    is_unconfigured,
    keys_of_environment,
)

logger = logging.getLogger("fsspec_guarded_s3")

T = TypeVar("T")

_UNCONFIGURED = Unconfigured()


_shared: weakref.WeakValueDictionary[object, Session] = weakref.WeakValueDictionary()
_shared_lock = PerProcess(threading.Lock)


def shared_session(options: Options) -> Session:
    """The session of all who ask by the same options, environment and files.

    fsspec makes a filesystem per thread, and a chain of sources may end in a program that takes seconds or
    asks a person: it runs once.
    """
    chosen = options.profile, options.key, options.secret, options.token, options.anon
    key = (*chosen, _source_of(options), surroundings())
    with _shared_lock():
        session = _shared.get(key)
        if session is None:
            session = _shared[key] = Session(options)
        return session


def _source_of(options: Options) -> tuple[Any, ...]:
    """What else decides which credentials there are: equal where the same object is asked."""
    provider = options.credential_provider
    role = options.role_arn, options.external_id, options.session_name, options.web_identity_token_file
    times = options.connect_timeout, options.read_timeout
    way = options.endpoint_url, options.region, options.ca_bundle, *times
    return (None if provider is None else id(provider), *role, *(way if any(role) else ()))


_VISIBLE = re.compile(r"[!-~]+")  # ASCII without blanks

# The readings of credentials that this context is within. Threads of the pool know them by their work; what a
# provider starts by itself (`asyncio.to_thread`, a coroutine in another thread's loop) by its context.
_within: ContextVar[tuple[Work, ...]] = ContextVar("fsspec_guarded_s3 credentials", default=())


def _say_that_they_are_awaited() -> None:
    logger.warning(
        "a thread has waited %.0f s for credentials that another thread gets. If credential_provider uses a "
        "filesystem that has the same credential_provider, it waits for itself and never returns",
        Lock.LONG,
    )


class Session:
    """Configuration and credentials for one `Options`, found on first use. Thread-safe.

    `reading` counts how often credentials were replaced or forgotten.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._session: Any = None
        self._is_silent: bool | None = None  # whether environment and files say nothing
        self._credentials: Any = None
        self._static: Any = None
        self._checked: Any = None
        self._renewed_at = 0.0
        self._failure: tuple[float, CredentialsError | None] = (0.0, None)  # of the last reading, and when
        self._readings: list[Work] = []  # that are under way
        self.reading = 0
        self._renew()
        renew_after_fork(self._renew)

    def __repr__(self) -> str:
        return f"<Session profile={self._options.profile}>"

    def _renew(self) -> None:
        self.lock = threading.RLock()  # of the configuration
        self._chain = Lock(_say_that_they_are_awaited)  # of the credentials, which may take long
        found = self._credentials
        if hasattr(found, "_refresh_lock"):  # of botocore, for credentials that end
            found._refresh_lock = threading.Lock()
        elif not (found is None or isinstance(found, Keys) or _chain().is_static(found)):
            lock = "RefreshableCredentials._refresh_lock of botocore"
            say_once(lock, "credentials that end are read anew in each process that was forked")
            self._credentials = self._session = None
            self.reading += 1

    def botocore(self) -> Any:
        """botocore's session. ConfigurationError for an unknown profile or a broken file."""
        with self.lock:
            if self._session is None:
                self._session = _chain().load(self._options)
            return self._session

    def configuration(self) -> Configuration:
        """What environment and files say; botocore is asked only where they say something."""
        with self.lock:
            if self._is_silent is None:
                self._is_silent = is_unconfigured(self._options)
        return _UNCONFIGURED if self._is_silent else self.botocore()

    def ca_bundle(self) -> str | None:
        """The file of trusted certificates that the profile names. Raises what `configuration` raises."""
        found: str | None = self.configuration().get_scoped_config().get("ca_bundle")
        return found

    def frozen(self) -> Any:
        """The credentials of this moment; botocore refreshes them when they are about to expire."""
        if self._static is not None:
            return self._static
        self._refuse_from_within()
        found = self._credentials
        if not (this_thread.may_wait or self._is_at_hand(found)):
            must_wait(prepare=self.frozen)
        if found is None:
            found = self._read(time.monotonic())
        frozen = self._frozen(found)
        if frozen is not self._checked:
            try:
                _check(frozen, found.method)
            except CredentialsError:
                self.forget()  # whoever corrects them needs no new process
                raise
            self._checked = frozen
        if isinstance(found, Keys) or _chain().is_static(found):
            with self._chain:
                if found is self._credentials:
                    self._static = frozen
        return frozen

    @staticmethod
    def _is_at_hand(credentials: Any) -> bool:
        if credentials is None or isinstance(credentials, Keys):
            return credentials is not None
        return bool(_chain().is_at_hand(credentials))

    def _ask(self, source: Callable[[], T]) -> T:
        """What `source` returns. What it does in its turn is known as part of that."""
        work, before = Work(current()), this_thread.work
        token = _within.set((*_within.get(), work))
        try:
            this_thread.work = work
            self._readings.append(work)
            return source()
        finally:
            this_thread.work = before
            with suppress(ValueError):  # an interrupt came before it was there
                self._readings.remove(work)
            _within.reset(token)

    def _refuse_from_within(self) -> None:
        """Raises CredentialsError where a source uses the credentials it is asked for: it would never end."""
        if not self._readings:
            return
        work, within = current(), _within.get()
        for reading in self._readings.copy():
            if reading in within or (work is not None and work.is_part_of(reading)):
                raise CredentialsError(
                    "credential_provider used a filesystem that gets its credentials from the same "
                    "credential_provider. Within the function, use a filesystem that has credentials of its "
                    "own (key and secret, profile, or anon=True), or no filesystem"
                )

    def _read(self, since: float) -> Any:
        """The credentials, read once. A failure is that of all who waited for the reading, since `since`."""
        with self._chain:
            if self._credentials is None:
                failed, failure = self._failure
                if failure is not None and failed >= since:
                    raise CredentialsError(failure.message) from failure
                try:
                    self._credentials = self._ask(self._find_credentials)
                except CredentialsError as error:
                    self._failure = time.monotonic(), error
                    raise
            return self._credentials

    def renew(self, used: int, since: float) -> bool:
        """The store took those of the reading `used` no longer: read the whole chain of sources anew.

        Returns whether there are others now. Once for all threads: not when that was done after `since`, by
        `time.monotonic()`. Raises CredentialsError when a source fails; the old ones are kept.
        """
        options = self._options
        if options.anon or (options.key and not options.role_arn):
            return False
        self._refuse_from_within()
        with self._chain:
            if self.reading != used:
                return True
            if self._renewed_at >= since:
                return False
            before = None
            with suppress(CredentialsError):
                before = self._credentials and _values(self.frozen())
            self._renewed_at = time.monotonic()
            found = self._ask(partial(self._find_credentials, anew=True))
            if _values(self._frozen(found)) == before:
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
                self._session = self._is_silent = None

    def delegated(self, seconds: int, region: str) -> Keys:
        """The key of the options as credentials that end; errors as of `delegation.delegated`."""
        with importing():
            from .delegation import delegated
        return delegated(self._options, self.botocore(), seconds, region)

    def identity(self) -> tuple[str, str]:
        """The access key's id and the source it is from; nothing secret. Raises CredentialsError."""
        return str(self.frozen().access_key), str(self._credentials.method)

    def _find_credentials(self, anew: bool = False) -> Any:
        """Those of the options, or of the first source that has any; `anew`: nothing that was kept."""
        options = self._options
        if options.role_arn:
            session = _chain().load(options) if anew else self.botocore()
            source = partial(self._asking_for_role, anew)
            return _provided(lambda module: module.of_role(options, session, source))
        return self._find_own(anew)

    def _asking_for_role(self, anew: bool) -> Any:
        return _provided(lambda module: module.botocores(self._find_own(anew)))

    def _find_own(self, anew: bool) -> Any:
        options = self._options
        if options.key:
            return Keys(options.key, options.secret, options.token, "options")
        if options.credential_provider is not None:
            return _provided(lambda module: module.of_provider(options.credential_provider))
        silent = is_unconfigured(options) if anew else self.configuration() is _UNCONFIGURED
        if silent and (keys := keys_of_environment()):
            return keys
        # Anew by another session, since botocore keeps what it has read: files, tokens, roles.
        return _chain().find(_chain().load(options) if anew else self.botocore())

    def _frozen(self, credentials: Any) -> Any:
        if isinstance(credentials, Keys):
            return credentials
        if self._is_at_hand(credentials):
            return _chain().frozen(credentials)
        return self._ask(partial(_chain().frozen, credentials))


@cache
def _chain() -> Any:
    """The module `chain`, which loads botocore."""
    with importing():
        from . import chain
    return chain


def _provided(ask: Callable[[Any], Any]) -> Any:
    """What `ask` gets from the module `provided`. CredentialsError, which shows nothing of the cause."""
    with importing():
        from . import provided
    try:
        with uninterruptible(), _chain().fetching():
            return ask(provided)
    except (CancelledError, CredentialsError, ConfigurationError):
        raise
    except Exception as error:
        failure = error
    raise _chain().failed("loaded", failure)


def _values(frozen: Any) -> tuple[Any, ...]:
    return frozen.access_key, frozen.secret_key, frozen.token


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
