"""The servers of tests: each gets a port that no other has meanwhile."""

import contextlib
import socket
import sys

import pytest

from tests.servers import reserved_port


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port cannot be held for somebody else")
def test_a_reserved_port_is_had_by_the_server_that_it_is_for_alone() -> None:
    with reserved_port() as port:
        with socket.socket() as another, pytest.raises(OSError, match="in use"):
            another.bind(("127.0.0.1", port))  # as without a port: the system looks for one that can be had
        with socket.socket() as client, pytest.raises(ConnectionRefusedError):
            client.connect(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", port)), contextlib.closing(socket.socket()) as client:
            client.connect(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port), reuse_port=False):
        pass
