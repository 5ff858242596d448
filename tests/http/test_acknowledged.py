"""An answer that a server sends in pieces does not wait for a delayed acknowledgement of the first.

Ceph RGW, Garage and s3s send head and body by two calls and without TCP_NODELAY (RFC 896; RFC 1122, 4.2.3.2).
"""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._http import timed_socket
from tests.data import period_free
from tests.opening import filesystem
from tests.scripted_server import Answer, Link, Reply, Request, ScriptedServer, respond

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="Linux has TCP_QUICKACK")
COUNT = 12
DELAYED = 0.02  # seconds; the kernel takes 40 ms, unless it delays nothing


@dataclass(frozen=True)
class InPieces(Reply):
    """Head and body by several calls, `at` these bytes of both together."""

    at: Callable[[int], list[int]] = lambda head: [head]

    def play(self, link: Link, request: Request) -> bool:
        head = self.head()
        whole = head + (b"" if request.method == "HEAD" else self.body)
        bounds = [0, *self.at(len(head)), len(whole)]
        for start, stop in itertools.pairwise(bounds):
            link.send(whole[start:stop])
        return True


SMALL, MEDIUM = period_free(4096), period_free(20_000)
PATTERNS: dict[str, tuple[bytes, Callable[[int], list[int]]]] = {
    "head and body": (SMALL, lambda head: [head]),
    "a head in two pieces": (SMALL, lambda head: [head - 5]),
    "the rest of a body": (MEDIUM, lambda head: [head + 12_000]),
    "a body in two pieces": (MEDIUM, lambda head: [head, head + 12_000]),
}


def quickest(fs: GuardedS3FileSystem, body: bytes) -> float:
    """Seconds that the quickest of some reads takes: a busy machine makes none of them quicker."""
    taken = []
    for _ in range(COUNT):
        since = time.perf_counter()
        assert fs.cat_file("bucket/key") == body
        taken.append(time.perf_counter() - since)
    return min(taken)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_comes_in_pieces_waits_for_no_timer(
    pattern: str, tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared with the same reads where nothing is acknowledged early."""
    body, at = PATTERNS[pattern]
    answer = respond(200, body, etag="e")

    def handler(request: Request) -> Answer:
        return InPieces(200, body, answer.headers, at=at)

    with ScriptedServer(handler=handler, tls=tls, delays=True) as server:
        options = {"ca_bundle": server.ca_path} if tls else {}
        now = quickest(filesystem(server.url, **options), body)
        monkeypatch.setattr(timed_socket, "_QUICKACK", 0)
        before = quickest(filesystem(server.url, **options), body)
    if before < DELAYED:
        pytest.skip("the kernel delays no acknowledgement here")
    assert now < before / 2


def test_what_comes_in_one_piece_asks_the_kernel_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    real = timed_socket.Channel.acknowledge

    def acknowledge(channel: timed_socket.Channel, at_once: bool) -> None:
        asked.append(at_once)
        real(channel, at_once)

    monkeypatch.setattr(timed_socket.Channel, "acknowledge", acknowledge)

    def handler(request: Request) -> Answer:
        return InPieces(200, SMALL, respond(200, SMALL, etag="e").headers, at=lambda head: [])

    with ScriptedServer(handler=handler) as server:
        quickest(filesystem(server.url), SMALL)
    assert asked == []
