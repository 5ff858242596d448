"""Calls in threads that begin together."""

from __future__ import annotations

import threading
from collections.abc import Callable


def at_once(call: Callable[[int], None], threads: int) -> None:
    """Make the call in that many `threads`, which begin together; the first error is raised."""
    together = threading.Barrier(threads)
    failed: list[BaseException] = []

    def run(number: int) -> None:
        try:
            together.wait(60)
            call(number)
        except BaseException as error:
            failed.append(error)

    begun = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in begun:
        thread.start()
    for thread in begun:
        thread.join()
    if failed:
        raise failed[0]
