"""Text over a guarded writer.

fsspec's `OpenFile` makes its text wrapper after `fs.open` has given it the file. Over a guarded writer that
is ours too: its `close()` is looked up where it is called, threads may share it, and it has `commit`.
"""

from __future__ import annotations

import io
from types import TracebackType
from typing import Any, cast

import fsspec.core

from .compressed_writer import CompressedWriter
from .endings import judged
from .small_writes import MANY, SMALL, SmallWrites
from .writer import GuardedWriter

# What is done with characters that cannot be encoded, where doing it twice does not matter.
_PURE = frozenset(
    (
        *("strict", "ignore", "replace", "backslashreplace", "namereplace", "xmlcharrefreplace"),
        *("surrogateescape", "surrogatepass"),
    )
)


class TextWriter(io.TextIOWrapper):
    """Text over a guarded writer, with its `commit` and `discard`. Threads may share it."""

    def __init__(
        self, buffer: GuardedWriter | CompressedWriter, *args: Any, mode: str = "", **kwargs: Any
    ) -> None:
        """`mode` is what the file was opened with; further arguments are those of `io.TextIOWrapper`."""
        super().__init__(buffer, *args, **kwargs)
        self._lock = buffer.lock
        self._guarded = buffer.guarded
        self._small: SmallWrites[str] = SmallWrites()
        self._is_writing = False
        self.mode = mode or buffer.mode.replace("b", "")  # type: ignore[misc]  # open() sets it too

    @property
    def _below(self) -> GuardedWriter | CompressedWriter:
        return cast("GuardedWriter | CompressedWriter", self.buffer)

    def __repr__(self) -> str:
        return f"<TextWriter {self.buffer!r}>"

    @property
    def etag(self) -> str:
        """The ETag of the published object, "" before."""
        return self._below.etag

    @property
    def version_id(self) -> str | None:
        """The version that was published, None before, and where the bucket has no versions."""
        return self._below.version_id

    @property
    def known_exceptions(self) -> list[BaseException]:
        """What was being handled when the file was opened."""
        return self._below.known_exceptions

    def write(self, text: str, /) -> int:
        """Take text; returns its characters. Threads take turns. Raises as `GuardedWriter.write` does."""
        guarded = self._guarded
        if (
            guarded.gathers
            and type(text) is str
            and len(text) < SMALL
            and (text.isascii() or self._can_encode(text))
        ):
            small = self._small
            small.append(text)
            if len(small) >= MANY or not guarded.gathers:
                self._hand_on()
            return len(text)
        guarded.check_process()  # here: what Python's own class gathers first is not seen below
        with self._lock:
            if self._is_writing:
                raise RuntimeError(
                    f"{guarded.path} is in the middle of a write, which a signal handler interrupts"
                )
            self._hand_on()
            return super().write(text)

    def _can_encode(self, text: str) -> bool:
        """Whether text can be encoded later. UnicodeEncodeError where it never can."""
        if self.errors not in _PURE:
            return False
        text.encode(self.encoding, self.errors)
        return True

    def _hand_on(self) -> None:
        """Hand on what small writes left. Raises as `write` does; nothing is published where some is lost."""
        with self._lock:
            if not self._small or self._is_writing:  # which a signal's handler interrupts
                return
            self._is_writing = True
            try:
                super().write("".join(self._small.take()))
            except BaseException as error:
                self._guarded.spoil(error)
                raise
            finally:
                self._is_writing = False

    def seek(self, cookie: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place that `tell` told of, in a mode with "+". io.UnsupportedOperation in others."""
        if self._below is self._guarded and "+" not in self.mode:
            raise io.UnsupportedOperation(
                f"{self._guarded.path} is text that is sent while it is written, so it cannot seek: open it "
                f"with mode {self.mode.replace('t', '') + '+'!r} to keep it in a local temporary file"
            )
        return super().seek(cookie, whence)

    def flush(self) -> None:
        """Hand on what was written so far. S3 shows an object whole or not at all."""
        with self._lock:
            self._hand_on()
            super().flush()

    def detach(self) -> Any:
        """The file below, which is written to from then on."""
        with self._lock:
            self.flush()
            self._guarded.gathers = False
            return super().detach()

    def commit(self) -> None:
        """Publish, whatever else is going on."""
        with self._lock:
            self._guarded.gathers = False
            self.flush()
            self._below.commit()

    def discard(self) -> None:
        """Publish nothing."""
        self._below.discard()

    def is_spoilt_by(self, error: BaseException) -> bool:
        """Whether nothing is to be published where `error` leaves the `with` block."""
        return self._below.is_spoilt_by(error)

    @judged
    def close(self, failure: BaseException | None) -> None:
        """Publish what was written, unless an exception is propagating; harmless when repeated."""
        if failure is not None and not self.closed and not getattr(self, "_finalizing", False):
            self._below.refuse(failure)
        if self._below.closed:  # nothing is written any more
            super().close()
            return
        self._guarded.gathers = False
        with self._lock:
            super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self.is_spoilt_by(error):
            self._below.leave(error)
        self.close()


def adopt_text() -> None:
    """Let the text files of fsspec's `OpenFile` be ours, where they are over a guarded writer."""
    wrapper = getattr(fsspec.core, "PickleableTextIOWrapper", None)  # undocumented: without it, its own
    if isinstance(wrapper, type) and not issubclass(wrapper, _Adopting):
        fsspec.core.PickleableTextIOWrapper = _adopting(wrapper)


class _Adopting:
    """What `adopt_text` puts in the place of fsspec's wrapper."""

    def __new__(cls, buffer: Any = None, *args: Any, **kwargs: Any) -> Any:
        if isinstance(buffer, (GuardedWriter, CompressedWriter)):
            return TextWriter(buffer, *args, **kwargs)
        return super().__new__(cls)


def _adopting(wrapper: type) -> type:
    """A class that is `wrapper` in all but the files of ours; pickles name it as they name `wrapper`."""
    named = {"__module__": wrapper.__module__, "__qualname__": wrapper.__qualname__}
    return type(wrapper.__name__, (_Adopting, wrapper), named)
