"""Faults for the tests of commits: answers that are lost, and nothing that proves what happened."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close, s3_error


@dataclass
class Losing:
    """A store that loses answers; one request is one attempt.

    The next `puts` requests of the method PUT get no answer: each is applied where the list says True. A HEAD
    that would prove what happened is refused while any was lost (`hides`). `meanwhile` is called when a PUT
    was lost.
    """

    fake: FakeS3
    puts: list[bool] = field(default_factory=list)
    hides: bool = True
    denies: str = ""  # a method that is refused
    meanwhile: Callable[[], object] = lambda: None
    lost: int = 0

    def fault(self, request: Request, fake: FakeS3) -> Answer | None:
        if request.method == self.denies:
            return s3_error(403, "AccessDenied")
        if request.method == "HEAD" and self.lost and self.hides:
            return s3_error(403, "AccessDenied")
        if request.method == "PUT" and self.puts and not self.puts[0]:
            return self._lose()
        return None

    def after(self, request: Request, reply: Reply) -> Answer | None:
        return self._lose() if request.method == "PUT" and self.puts else None

    def _lose(self) -> Answer:
        self.puts.pop(0)
        self.lost += 1
        self.meanwhile()
        return close()


@contextlib.contextmanager
def losing(*puts: bool, **options: Any) -> Iterator[tuple[GuardedS3FileSystem, Losing, ScriptedServer]]:
    """A filesystem on such a store, which makes one attempt; the store, and its server."""
    fake = FakeS3("bucket")
    store = Losing(fake, list(puts), **options)
    with ScriptedServer(handler=fake) as server:
        fs = filesystem(server.url, max_attempts=1)
        fs.isfile("bucket/warm")  # else the first lost answer is looked into: perhaps the server speaks TLS
        fake.fault, fake.after = store.fault, store.after
        yield fs, store, server
