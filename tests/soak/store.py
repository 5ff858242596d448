"""The store of a soak: FakeS3 behind a server that spoils requests and answers at random."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from dataclasses import dataclass

from tests.fake_s3 import FakeS3
from tests.scripted_server import (
    Answer,
    Link,
    Reply,
    Request,
    ScriptedServer,
    close,
    close_before_body,
    cut,
    delay,
    respond,
    s3_error,
    stall,
)
from tests.soak.records import BUCKET, COUNTERS, LARGE_LOG, SMALL_LOG, line

READ_TIMEOUT = 2.0  # of the clients
STALL = 3.0  # longer than that: the client gives up
PAUSE = 0.3  # shorter: it waits
RATE, STORM_RATE = 0.05, 0.5
STORM_REQUESTS, STORM_EVERY = 60, 600
WEIGHTS = {
    "closed before": 4,
    "closed after": 6,
    "500 before": 3,
    "500 after": 4,
    "503": 1,
    "409": 3,
    "200 with error": 3,
    "cut": 6,
    "stalled before": 0.3,
    "stalled after": 0.3,
    "paused": 2,
}
BODY_RESET = "reset in body"


class Faults:
    """Decides which request suffers what. Every `STORM_EVERY` requests there is a storm.

    The abort of one upload suffers once at most, so that a client which tries again can always clean up.
    """

    def __init__(self, seed: int) -> None:
        self.on = False
        self.counts: Counter[str] = Counter()
        self.requests = 0
        self._dice = random.Random(seed)
        self._lock = threading.Lock()
        self._aborts: set[str] = set()

    def choose(self, request: Request) -> str | None:
        """The fault of this request, or None."""
        with self._lock:
            self.requests += 1
            storm = self.requests % STORM_EVERY < STORM_REQUESTS
            if not self.on or self._dice.random() >= (STORM_RATE if storm else RATE) or self._spared(request):
                return None
            kinds = [kind for kind in WEIGHTS if _applies(kind, request)]
            kind = self._dice.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
            self.counts[kind] += 1
            return kind

    def before_body(self, request: Request) -> Answer | None:
        """Now and then, a connection is reset while the body is under way."""
        if not self.on or int(request.headers.get("content-length", "0")) == 0:
            return None
        with self._lock:
            if self._dice.random() >= 0.01:
                return None
            self.counts[BODY_RESET] += 1
            return close_before_body()

    def _spared(self, request: Request) -> bool:
        upload_id = request.query.get("uploadId", "")
        if request.method != "DELETE" or not upload_id:
            return False
        spared = upload_id in self._aborts
        self._aborts.add(upload_id)
        return spared


def _applies(kind: str, request: Request) -> bool:
    publishing = request.method == "PUT" and "uploadId" not in request.query
    completing = request.method == "POST" and "uploadId" in request.query
    if kind == "409":
        return publishing or completing or (request.method == "DELETE" and "uploadId" not in request.query)
    if kind == "200 with error":
        return completing or (publishing and "x-amz-copy-source" in request.headers)
    return True


class Store:
    """The handler: applies what reaches it, and knows which new uploads their makers cannot know of."""

    def __init__(self, seed: int) -> None:
        self.fake = FakeS3(BUCKET)
        self.faults = Faults(seed)
        self.lost_uploads: set[str] = set()
        for path in COUNTERS:
            self.fake.put(*path.split("/", 1), line("0"))
        self.fake.put(*SMALL_LOG.split("/", 1), b"")
        self.fake.put(*LARGE_LOG.split("/", 1), line("#" * 5 * 2**20))

    def __call__(self, request: Request) -> Answer:
        return _Turn(self)

    def play(self, link: Link, request: Request) -> bool:
        kind = self.faults.choose(request)
        early = _unapplied(kind)
        if early is not None:
            return early.play(link, request)
        if request.method not in ("GET", "HEAD"):
            link.wait(0.001)  # ends here when the client has given up: nothing is applied late
        reply = self.fake(request)
        assert isinstance(reply, Reply)
        started = (
            re.search(rb"<UploadId>(.*?)</UploadId>", reply.body) if "uploads" in request.query else None
        )
        if started is None or request.method != "POST":
            return _spoiled(kind, reply).play(link, request)
        upload_id = started[1].decode()
        self.lost_uploads.add(upload_id)
        alive = _spoiled(kind, reply).play(link, request)
        if kind in (None, "paused"):
            self.lost_uploads.discard(upload_id)
        return alive


@dataclass(frozen=True)
class _Turn(Answer):
    store: Store

    def play(self, link: Link, request: Request) -> bool:
        return self.store.play(link, request)


def _unapplied(kind: str | None) -> Answer | None:
    """The answer to a request that is not applied; None when it is."""
    internal = s3_error(500, "InternalError")
    answers = {
        "closed before": close(),
        "500 before": internal,
        "503": s3_error(503, "SlowDown"),
        "409": s3_error(409, "ConditionalRequestConflict"),
        "200 with error": respond(200, internal.body),
        "stalled before": stall(STALL),
    }
    return answers.get(kind or "")


def _spoiled(kind: str | None, reply: Reply) -> Answer:
    """The answer to a request that was applied."""
    if kind == "closed after":
        return close()
    if kind == "500 after":
        return s3_error(500, "InternalError")
    if kind == "cut":
        return cut(reply.status, reply.body, after=len(reply.body) // 2, headers=reply.headers)
    if kind == "stalled after":
        return stall(STALL)
    return delay(PAUSE, reply) if kind == "paused" else reply


class SoakServer(ScriptedServer):
    """A server that does not remember requests and threads that ended: there are too many."""

    def __init__(self, store: Store) -> None:
        super().__init__(handler=store, before_body=store.faults.before_body)

    def _finish_reading(self, link: Link, request: Request, answer: Answer | None) -> Request:
        request = super()._finish_reading(link, request, answer)
        with self._lock:
            del self._requests[request.number]
        return request

    def _start(self, *arguments: object, **keywords: object) -> None:
        with self._lock:
            if len(self._threads) > 500:
                self._threads[1:] = [thread for thread in self._threads[1:] if thread.is_alive()]
        super()._start(*arguments, **keywords)  # type: ignore[arg-type]
