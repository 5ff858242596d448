"""The calls on a connected socket: each ends in time, and says so."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsspec_guarded_s3._channel import Channel, KernelTimed, channel_of

SOON, LONG = 0.05, 30.0  # seconds
KINDS = [
    Channel,
    pytest.param(KernelTimed, marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux")),
]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = socket.create_connection(listener.getsockname())
        there, _ = listener.accept()
    with here, there:
        yield here, there


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel keeps the time on Linux")
def test_kernel_keeps_the_time_of_plain_sockets_only(pair: tuple[socket.socket, socket.socket]) -> None:
    class Green(socket.socket):
        """As gevent's: another thing to the kernel."""

        def recv_into(self, *arguments: object) -> int:
            raise NotImplementedError

    with Green() as green:
        assert type(channel_of(pair[0])) is KernelTimed
        assert type(channel_of(green)) is Channel


@pytest.mark.parametrize("kind", KINDS)
def test_receive_brings_what_there_is(kind: type[Channel], pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    channel, buffer = kind(here), bytearray(10)
    there.send(b"abc")
    assert channel.receive(memoryview(buffer), LONG) == 3
    assert buffer[:3] == b"abc"
    with pytest.raises(TimeoutError):
        channel.receive(memoryview(buffer), SOON)
    there.close()
    assert channel.receive(memoryview(buffer), LONG) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_fill_loses_nothing_that_came_in_time(
    kind: type[Channel], pair: tuple[socket.socket, socket.socket]
) -> None:
    here, there = pair
    channel, buffer = kind(here), bytearray(10)
    there.send(b"abc")
    assert channel.fill(memoryview(buffer), SOON) == 3
    with pytest.raises(TimeoutError):
        channel.fill(memoryview(buffer)[3:], SOON)
    there.send(b"defghijklm")
    assert channel.fill(memoryview(buffer)[3:], LONG) == 7
    assert buffer == b"abcdefghij"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it brings what there is")
def test_kernel_waits_for_all_that_is_to_come(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    content = os.urandom(2**20)
    sender = threading.Thread(
        target=lambda: [there.send(content[n : n + 4096]) for n in range(0, 2**20, 4096)]
    )
    sender.start()
    buffer = bytearray(2**20)
    assert KernelTimed(here).fill(memoryview(buffer), LONG) == 2**20
    sender.join()
    assert buffer == content


@pytest.mark.parametrize("kind", KINDS)
def test_send_ends_when_nobody_reads(
    kind: type[Channel], pair: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    channel = kind(pair[0])
    block = memoryview(bytes(2**16))
    with pytest.raises(TimeoutError):
        while True:
            assert channel.send(block, SOON) > 0
    (tmp_path / "file").write_bytes(block)
    with open(tmp_path / "file", "rb") as file, pytest.raises(TimeoutError):
        while True:
            assert channel.send_file(file.fileno(), 0, 2**16, SOON) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_file_is_sent_in_pieces_up_to_its_end(
    kind: type[Channel], pair: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    here, there = pair
    channel = kind(here)
    (tmp_path / "file").write_bytes(b"0123456789")
    with open(tmp_path / "file", "rb") as file:
        assert channel.send_file(file.fileno(), 4, 100, LONG) == 6
        assert channel.send_file(file.fileno(), 10, 100, LONG) == 0
    assert there.recv(100) == b"456789"
    assert channel.send(memoryview(b"x"), LONG) == 1, "the socket is in the mode that it had"
    with pytest.raises(TimeoutError):
        channel.receive(memoryview(bytearray(1)), SOON)
