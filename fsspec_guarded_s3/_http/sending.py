"""How a request is sent, and what is told when that ends early.

Invariants: every send is bounded; an answer that comes before the whole request is sent is found; what the
local file says is never taken for what the network says.
"""

from __future__ import annotations

import errno

from .._values.bodies import Buffer, FileSlice, WatchedSlice, body_chunks, body_size
from .._values.models import WireRequest
from .._work import is_of_a_handler
from ..errors import FileChangedError, SendTimeoutError
from .incoming import Incoming
from .pace import Pace
from .timed_socket import Channel, EarlyAnswerError

_SLICE = 256 * 1024
_SMALL = 64 * 1024  # bytes of a body that is copied behind the head


class _BrokenOffError(Exception):
    """The connection broke, or is not to be used for more of the request."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def _broken_off(error: OSError) -> Exception:
    """That `error` broke the connection; the error itself where it is of a signal's handler."""
    return error if is_of_a_handler(error) else _BrokenOffError(error)


class Sender:
    """Sends one request on one connection."""

    def __init__(self, channel: Channel, incoming: Incoming, pace: Pace) -> None:
        self._channel = channel
        self._incoming = incoming
        self._pace = pace

    def send(self, head: bytes, wire: WireRequest) -> OSError | None:
        """Send `head` and the body of `wire`. Returns what broke the connection: an answer may be there.

        Raises SendTimeoutError where none is, FileChangedError, and the OSError of a local file that cannot
        be read.
        """
        try:
            if not isinstance(wire.body, FileSlice) and body_size(wire.body) <= _SMALL:
                self._send_buffer(b"".join((head, wire.body)))  # one call, for which the store wakes up once
                return None
            self._send_buffer(head)
            # The kernel sends from its page cache, so a file that is watched goes through our memory.
            by_kernel = self._channel.sends_files and not isinstance(wire.body, WatchedSlice)
            if isinstance(wire.body, FileSlice) and by_kernel:
                self._send_file(wire.body)
            elif body_size(wire.body):
                self._send_pieces(wire.body)
        except _BrokenOffError as broken:
            error = broken.error
            if isinstance(error, TimeoutError) and not self._is_answered():
                message = f"the store stopped taking the request: {error}"
                raise SendTimeoutError(message, request_sent=False) from error
            return error
        return None

    def _send_buffer(self, data: Buffer) -> None:
        view = memoryview(data)
        while True:
            try:
                count = self._channel.send(view[:_SLICE], self._pace, self._incoming.answered)
            except OSError as error:
                raise _broken_off(error) from None
            view = view[count:]
            if not view.nbytes:
                return
            self._check_for_answer()

    def _check_for_answer(self) -> None:
        """Between two pieces: a store that refuses need not get the rest."""
        try:
            early = not self._channel.is_quiet() and self._incoming.answered()
        except OSError as error:  # a reset, say: it is the connection's, not the local file's
            raise _broken_off(error) from None
        if early:
            raise _BrokenOffError(EarlyAnswerError("the store answered before it had the whole request"))

    def _is_answered(self) -> bool:
        try:
            return self._incoming.answered()
        except OSError:  # the connection has ended
            return True

    def _send_pieces(self, body: Buffer | FileSlice) -> None:
        meter = body.meter if isinstance(body, WatchedSlice) else None
        if meter is not None:
            meter.restart()
        for piece in body_chunks(body):  # reads the file: its errors are its own
            self._send_buffer(piece)
            if meter is not None:
                meter.add(len(piece))

    def _send_file(self, body: FileSlice) -> None:
        position = body.start
        while position < body.stop:
            try:
                count = self._channel.send_file(
                    body.descriptor, position, body.stop - position, self._pace, self._incoming.answered
                )
            except OSError as error:
                if isinstance(error, (ConnectionError, TimeoutError)) and error.errno != errno.ETIMEDOUT:
                    raise _broken_off(error) from None
                # This file system has no sendfile(2), or the file cannot be read, which read(2) will tell.
                try:
                    self._send_pieces(FileSlice(body.descriptor, position, body.stop))
                except _BrokenOffError:
                    if error.errno == errno.ETIMEDOUT:  # of the connection, which is closed by now
                        raise _broken_off(error) from None
                    raise
                return
            if not count:
                raise FileChangedError("the local file became shorter while it was uploaded")
            position += count
            if position < body.stop:
                self._check_for_answer()
