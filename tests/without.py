"""Runs tests where what only some systems have was taken away before the package is imported.

`python -m tests.without TESTS`. The names are of those that CPython 3.13 has for Linux and not for Windows,
but for what the standard library and pytest go on using here.
"""

import asyncio
import concurrent.futures.thread
import contextlib
import http.server
import logging.handlers
import multiprocessing.connection
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid

import pytest

LOADED = (asyncio, concurrent.futures.thread, http.server, logging.handlers, multiprocessing.connection)
LOADED += (random, subprocess, tempfile, uuid)

LACKING = {
    os: """
        pread preadv pwrite pwritev readv writev sendfile splice copy_file_range posix_fadvise posix_fallocate
        fork forkpty register_at_fork posix_spawn posix_spawnp killpg setsid wait3 wait4
        fchmod fchown chown lchown fchdir chroot mkfifo mknod getxattr setxattr listxattr
        statvfs fstatvfs pathconf fpathconf sysconf uname getloadavg sched_getaffinity sched_yield nice
        memfd_create eventfd pidfd_open lockf sync fdatasync
        O_TMPFILE O_NOFOLLOW O_DIRECTORY O_CLOEXEC O_NONBLOCK O_DIRECT O_PATH O_SYNC SEEK_DATA SEEK_HOLE
    """,
    socket: """
        AF_UNIX MSG_DONTWAIT MSG_NOSIGNAL MSG_MORE SO_REUSEPORT SO_PEERCRED SOCK_NONBLOCK SOCK_CLOEXEC
        TCP_USER_TIMEOUT TCP_QUICKACK TCP_INFO TCP_CORK TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT
        send_fds recv_fds
    """,
    select: "poll epoll POLLIN POLLOUT POLLERR POLLHUP POLLPRI",
    signal: """
        SIGALRM SIGHUP SIGPIPE SIGUSR1 SIGUSR2 SIGCHLD SIGCONT SIGSTOP SIGQUIT SIGTSTP
        alarm pause setitimer getitimer siginterrupt pthread_kill pthread_sigmask sigwait ITIMER_REAL
    """,
    time: "clock_gettime clock_gettime_ns clock_getres clock_settime CLOCK_MONOTONIC CLOCK_REALTIME tzset",
}
MODULES = ("fcntl", "termios", "resource", "pwd", "grp", "tty", "pty", "syslog")


def take_away() -> None:
    """What Windows lacks is not there any more."""
    sysconfig.get_config_vars()  # kept: they are read from a module that is named by the system
    for module, names in LACKING.items():
        for name in names.split():
            vars(module).pop(name, None)
    for module in MODULES:
        sys.modules[module] = None  # type: ignore[assignment]
    vars(shutil)["_USE_CP_SENDFILE"] = False
    vars(tempfile)["_O_TMPFILE_WORKS"] = False
    sys.platform = "unknown"


if __name__ == "__main__":
    import tests.scripted_server  # noqa: F401 - a server of the tests, which may use what is there

    with contextlib.suppress(ImportError):  # it would load what only Windows has
        import click._compat  # noqa: F401

    assert not any(name.startswith("fsspec_guarded_s3") for name in sys.modules)
    take_away()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # others' plugins may need what is gone
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", *sys.argv[1:]]))
