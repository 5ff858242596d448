"""A store as the options reach it: connections, signatures, the budget of retries, and what was found out.

Shared by all clients of one filesystem, whatever attributes they send. Invariant: it holds no client, so that
the connections of a filesystem that is gone are closed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .._auth.endpoints import Endpoint
from .._auth.signer import Signer
from .._http.transport import shared_transport
from .._values.dialects import Dialect
from .._work import Patience, must_wait, this_thread
from ..options import ATTEMPTS, Options
from .express import Sessions
from .listeners import Listeners
from .retry import RetryPolicy
from .store_facts import StoreFacts, facts_of

Changed = Callable[[str, str], None]


class Store:
    """What a request needs on its way. Thread-safe."""

    def __init__(self, options: Options, changed: Changed | None = None) -> None:
        """`changed` is called with bucket and key after each request that may have changed something."""
        self.options = options
        self.changed = changed
        self.signer = Signer(options)
        self.transport = shared_transport(options, self.signer.ca_bundle)
        self.lanes = self.transport.lanes
        # Not a method of ours: the cycle would keep the connections of a filesystem that is gone.
        self.retry = RetryPolicy(partial(_attempts, options, self.signer))
        self.sessions = Sessions()
        self.listeners = Listeners(self.signer.endpoint)
        self.welcome = False  # whether a request was granted
        self.patience = Patience()  # with aborts of uploads

    def __repr__(self) -> str:
        return f"<Store {self.options.endpoint_url or 'AWS'}>"

    def is_aws(self, bucket: str) -> bool:
        """Whether `bucket` is on AWS itself, which honours every condition."""
        return self.signer.is_aws(bucket)

    def endpoint(self, bucket: str) -> Endpoint:
        """Where `bucket` is reached, as far as is known. Raises ConfigurationError for a wrong one."""
        return self.signer.endpoint(bucket)

    def dialect(self, bucket: str) -> Dialect:
        """What the store of `bucket` calls differently, as far as is known."""
        return self.signer.endpoint(bucket).dialect

    def is_at_hand(self, bucket: str) -> bool:
        """Whether a request about `bucket` may be sent for an event loop, which is going to take its answer.

        Nobody listens, who would be told in the loop, and might take long. There may be a second attempt: a
        thread makes it, if what comes behind the first one has to wait. MustWaitError where a connection has
        to be made first, or something has to be found out.
        """
        if self.listeners.is_anybody():
            return False
        if this_thread.may_wait:
            return self.retry.may_repeat
        endpoint = self.signer.known_endpoint(bucket)
        place = (endpoint.scheme, endpoint.host, endpoint.port) if endpoint else ("", "", 0)
        if not self.transport.has_idle(*place):
            if not self.transport.is_prepared(*place):
                must_wait(prepare=partial(self._prepare, bucket))
            must_wait(connect=partial(self.transport.connecting, *place))
        return self.retry.may_repeat

    def _prepare(self, bucket: str) -> None:
        """Find out what all requests about `bucket` need, once for all that wait for it."""
        endpoint = self.signer.endpoint(bucket)
        self.transport.prepare(endpoint.scheme, endpoint.host, endpoint.port)
        if not self.options.anon:
            self.signer.credentials()

    def facts(self, bucket: str) -> StoreFacts:
        """What is known of `bucket` at the endpoint where its requests go."""
        return facts_of(self.signer.endpoint(bucket), bucket)

    def identity(self) -> tuple[str, str]:
        """The access key's id and the source it is from. Raises CredentialsError."""
        return self.signer.identity()

    def close(self) -> None:
        """Close the idle connections of this process for these options; later requests connect anew.

        Credentials are read anew too.
        """
        self.transport.close()
        self.signer.close()


def _attempts(options: Options, signer: Signer) -> int:
    """How often a request is tried: the option `max_attempts`, AWS's setting, or 5."""
    return options.max_attempts or signer.configured_attempts() or ATTEMPTS
