"""The calls on a connected socket: each ends in time, and says so."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3._http import timed_socket
from fsspec_guarded_s3._http.connect import dial
from fsspec_guarded_s3._http.pace import Pace
from fsspec_guarded_s3._http.timed_socket import Channel, KernelTimed, channel_of
from fsspec_guarded_s3._values.deadline import Deadline
from fsspec_guarded_s3.options import Options
from tests.opening import MIB

SOON, LONG = 0.05, 30.0  # seconds


def within(seconds: float) -> Pace:
    """The time that one call may take."""
    return Pace(Options(min_rate=0.0), seconds, Deadline(60), False)


def kernel_timed(sock: socket.socket) -> Channel:
    """As the transport makes it."""
    return KernelTimed(sock, turn=1.0)


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Python keeps the time")
KINDS = [Channel, pytest.param(kernel_timed, marks=ON_LINUX)]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = socket.create_connection(listener.getsockname())
        there, _ = listener.accept()
    with here, there:
        yield here, there


@ON_LINUX
def test_kernel_keeps_the_time_of_plain_sockets_only(pair: tuple[socket.socket, socket.socket]) -> None:
    class Green(socket.socket):
        """As gevent's: another thing to the kernel."""

        def recv_into(self, *arguments: object) -> int:
            raise NotImplementedError

    with Green() as green:
        assert type(channel_of(pair[0], Options())) is KernelTimed
        assert type(channel_of(green, Options())) is Channel


@ON_LINUX
@pytest.mark.parametrize("option", [socket.SO_RCVTIMEO, socket.SO_SNDTIMEO])
def test_the_kernel_takes_the_time_as_it_is_meant(
    pair: tuple[socket.socket, socket.socket], option: int
) -> None:
    channel = KernelTimed(pair[0], turn=3.0)  # it rounds fractions
    found = channel.sock.getsockopt(socket.SOL_SOCKET, option, 16)
    assert struct.unpack({8: "ii", 16: "qq"}[len(found)], found) == (3, 0)


@pytest.mark.parametrize(
    "size, expected", [(8, struct.pack("=ii", 1, 250_000)), (16, struct.pack("=qq", 1, 250_000))]
)
def test_a_time_has_the_size_that_the_kernel_tells(size: int, expected: bytes) -> None:
    """32-bit systems have one of 8 bytes, or of 16 where their `time_t` is one of 64 bits."""

    class Sized:
        def getsockopt(self, level: int, option: int, limit: int) -> bytes:
            return bytes(min(size, limit))

    assert timed_socket._timeval(Sized(), socket.SO_RCVTIMEO, 1.25) == expected


@ON_LINUX
@pytest.mark.parametrize("refused", [socket.SO_RCVTIMEO, socket.SO_SNDTIMEO, "size"])
def test_a_sandbox_without_such_times_is_no_obstacle(
    pair: tuple[socket.socket, socket.socket], refused: object
) -> None:
    class Sandboxed(socket.socket):
        def setsockopt(self, level: int, option: int, *value: object) -> None:
            if option == refused:
                raise OSError(errno.ENOPROTOOPT, "Protocol not available")
            super().setsockopt(level, option, *value)  # type: ignore[call-overload]

        def getsockopt(self, *arguments: int) -> Any:
            return b"" if refused == "size" else super().getsockopt(*arguments)

    with Sandboxed(fileno=pair[0].detach()) as sock:
        channel = channel_of(sock, Options())
        assert type(channel) is Channel
        pair[1].send(b"abc")
        assert channel.receive(memoryview(bytearray(10)), within(LONG)) == 3
        with pytest.raises(TimeoutError):
            channel.receive(memoryview(bytearray(10)), within(SOON))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["receive", "send"])
def test_what_came_while_the_process_stood_still_counts(
    pair: tuple[socket.socket, socket.socket],
    kind: Callable[[Any], Channel],
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine that sleeps, or is busy: the time is over, and the store was not to blame."""
    here, there = pair
    channel, full = kind(here), bytes(MIB)
    moves: list[Callable[[], object]] = []
    if way == "receive":
        moves.append(lambda: there.send(b"abc"))
    else:
        there.settimeout(SOON)
        moves.append(lambda: drained(there))

    def stands_still() -> None:
        if moves:
            moves.pop()()
            time.sleep(0.5)

    monkeypatch.setattr(timed_socket, "check", stands_still)
    if way == "receive":
        assert channel.receive(memoryview(bytearray(10)), within(0.3)) == 3
    else:
        while moves:
            assert channel.send(memoryview(full), within(0.3)) > 0
    assert not moves


def drained(sock: socket.socket) -> None:
    with suppress(TimeoutError):
        while sock.recv(MIB):
            pass


def test_an_option_that_a_system_does_not_know_is_no_obstacle() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        unknown = [(socket.IPPROTO_TCP, 9999, 1), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        with dial(*listener.getsockname(), Options(), unknown, Deadline(60)) as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("kind", KINDS)
def test_receive_brings_what_there_is(
    kind: Callable[[socket.socket], Channel], pair: tuple[socket.socket, socket.socket]
) -> None:
    here, there = pair
    channel, buffer = kind(here), bytearray(10)
    there.send(b"abc")
    assert channel.receive(memoryview(buffer), within(LONG)) == 3
    assert buffer[:3] == b"abc"
    with pytest.raises(TimeoutError):
        channel.receive(memoryview(buffer), within(SOON))
    there.close()
    assert channel.receive(memoryview(buffer), within(LONG)) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_fill_loses_nothing_that_came_in_time(
    kind: Callable[[socket.socket], Channel], pair: tuple[socket.socket, socket.socket]
) -> None:
    here, there = pair
    channel, buffer = kind(here), bytearray(10)
    there.send(b"abc")
    assert channel.fill(memoryview(buffer), within(SOON)) == 3
    with pytest.raises(TimeoutError):
        channel.fill(memoryview(buffer)[3:], within(SOON))
    there.send(b"defghijklm")
    assert channel.fill(memoryview(buffer)[3:], within(LONG)) == 7
    assert buffer == b"abcdefghij"


@ON_LINUX
def test_kernel_waits_for_all_that_is_to_come(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    content = os.urandom(2**20)
    sender = threading.Thread(
        target=lambda: [there.send(content[n : n + 4096]) for n in range(0, 2**20, 4096)]
    )
    sender.start()
    buffer = bytearray(2**20)
    assert kernel_timed(here).fill(memoryview(buffer), within(LONG)) == 2**20
    sender.join()
    assert buffer == content


@ON_LINUX
def test_what_trickles_in_is_told_at_every_turn(pair: tuple[socket.socket, socket.socket]) -> None:
    """Else nobody could judge the rate before the time-out."""
    here, there = pair
    done = threading.Event()

    def trickle() -> None:
        while not done.wait(0.05):
            there.send(b"x")

    sender = threading.Thread(target=trickle)
    sender.start()
    try:
        assert 0 < kernel_timed(here).fill(memoryview(bytearray(2**20)), within(LONG)) < 2**10
    finally:
        done.set()
        sender.join()


@ON_LINUX
def test_kernel_waits_for_more_than_a_turn(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    channel, buffer = KernelTimed(here, turn=SOON), bytearray(5)
    threading.Timer(SOON * 5, lambda: there.send(b"later")).start()
    assert channel.fill(memoryview(buffer), within(LONG)) == 5
    with pytest.raises(TimeoutError):
        channel.receive(memoryview(buffer), within(SOON * 3))


@pytest.mark.parametrize("kind", KINDS)
def test_send_ends_when_nobody_reads(
    kind: Callable[[socket.socket], Channel], pair: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    channel = kind(pair[0])
    block = memoryview(bytes(2**16))
    with pytest.raises(TimeoutError):
        while True:
            assert channel.send(block, within(SOON)) > 0
    (tmp_path / "file").write_bytes(block)
    with open(tmp_path / "file", "rb") as file, pytest.raises(TimeoutError):
        while True:
            assert channel.send_file(file.fileno(), 0, 2**16, within(SOON)) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_file_is_sent_in_pieces_up_to_its_end(
    kind: Callable[[socket.socket], Channel], pair: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    here, there = pair
    channel = kind(here)
    (tmp_path / "file").write_bytes(b"0123456789")
    with open(tmp_path / "file", "rb") as file:
        assert channel.send_file(file.fileno(), 4, 100, within(LONG)) == 6
        assert channel.send_file(file.fileno(), 10, 100, within(LONG)) == 0
    assert there.recv(100) == b"456789"
    assert channel.send(memoryview(b"x"), within(LONG)) == 1, "the socket is in the mode that it had"
    with pytest.raises(TimeoutError):
        channel.receive(memoryview(bytearray(1)), within(SOON))


@pytest.mark.parametrize("kind", KINDS)
def test_file_is_sent_where_many_are_open(
    kind: Callable[[socket.socket], Channel], pair: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    """select() refuses descriptors above 1,023."""
    fcntl, resource = pytest.importorskip("fcntl"), pytest.importorskip("resource")
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2048, most) if most > 0 else 2048, most))
    try:
        here, there = pair
        (tmp_path / "file").write_bytes(b"0123456789")
        with (
            socket.socket(fileno=fcntl.fcntl(here.fileno(), fcntl.F_DUPFD, 1100)) as high,
            open(tmp_path / "file", "rb") as file,
        ):
            assert high.fileno() >= 1100
            assert kind(high).send_file(file.fileno(), 0, 10, within(LONG)) == 10
        assert there.recv(100) == b"0123456789"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))
