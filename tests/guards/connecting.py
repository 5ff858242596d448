"""Scenarios of connections: stalls, trickles, idle connections that were closed, and processes that fork."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tests.guards.peers import OURS, Peer
from tests.guards.reading import SIZE, cat_file, spoiled, stalled
from tests.guards.scenario import PATH, Client, Scenario, after, bytes_state, holding, name_of, nothing
from tests.scripted_server import Answer, Reply, close, stall, trickle


def _drip(reply: Reply) -> Answer:
    return trickle(reply.status, reply.body, interval=1.0, chunk=10, headers=reply.headers)


def _slow(reply: Reply) -> Answer:
    return trickle(reply.status, reply.body, interval=0.1, chunk=SIZE // 70, headers=reply.headers)


def _idle_then_read(client: Client) -> str:
    first = client.fs.cat_file(PATH)
    time.sleep(0.3)
    return bytes_state(first and client.fs.cat_file(PATH), SIZE)


def in_a_fork(client: Client, call: Callable[[], str]) -> str:
    """What `call` returns in a child process, or what became of it."""
    answer = client.folder / "forked"
    pid = os.fork()
    if pid == 0:
        try:
            said = call()
        except Exception as error:
            said = name_of(error)
        answer.write_text(said)
        os._exit(0)
    limit = 120.0 if client.peer.name == OURS else 8.0  # ours ends, however busy the machine is
    deadline = time.monotonic() + limit
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return f"no end within {limit:.0f} s"
        time.sleep(0.02)
    return answer.read_text() if answer.exists() else "died"


def _forked(client: Client, anew: bool = False) -> str:
    """Read, fork, read in the child (`anew`: with an instance of its own), and read again."""
    client.fs.cat_file(PATH)

    def read() -> str:
        peer = Peer.open(client.peer.name, client.url, {}) if anew else client.peer
        return bytes_state(peer.fs.cat_file(PATH), SIZE)

    said = in_a_fork(client, read)
    return f"{said} in the child, {bytes_state(client.fs.cat_file(PATH), SIZE)} in the parent"


SCENARIOS = (
    Scenario(
        "stall before the first byte, once",
        lambda: after(holding(SIZE), ("GET",), lambda *_: stall()),
        cat_file(SIZE),
        "old bytes",
        nothing,
        SIZE,
        limit=30.0,
        timed=True,
    ),
    Scenario(
        "stall in mid-body, once",
        spoiled(stalled),
        cat_file(SIZE),
        "old bytes",
        nothing,
        SIZE,
        limit=30.0,
        timed=True,
    ),
    Scenario(
        "trickle of 10 B/s, once",
        spoiled(_drip),
        cat_file(SIZE),
        "old bytes",
        nothing,
        SIZE,
        limit=30.0,
        timed=True,
    ),
    Scenario(
        "slow but healthy body, 7 s",
        spoiled(_slow, times=None),
        cat_file(SIZE),
        "old bytes",
        nothing,
        SIZE,
        limit=30.0,
        timed=True,
    ),
    Scenario(
        "read on a connection that the store has closed",
        lambda: after(holding(SIZE), ("GET",), lambda _, reply: replace(reply, then_close=True), times=None),
        _idle_then_read,
        "old bytes",
        nothing,
        SIZE,
    ),
    Scenario(
        "connection lost before the answer, once",
        lambda: after(holding(SIZE), ("GET",), lambda *_: close()),
        cat_file(SIZE),
        "old bytes",
        nothing,
        SIZE,
    ),
    Scenario(
        "used after fork",
        lambda: holding(SIZE),
        _forked,
        "old bytes in the child, old bytes in the parent",
        nothing,
        SIZE,
    ),
    Scenario(
        "opened anew after fork",
        lambda: holding(SIZE),
        partial(_forked, anew=True),
        "old bytes in the child, old bytes in the parent",
        nothing,
        SIZE,
    ),
)
