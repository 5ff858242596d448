"""Protocols: the names that fsspec knows us by, and taking over another one."""

import subprocess
import sys
import textwrap
from importlib import import_module

import fsspec
import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, register
from fsspec_guarded_s3._values.paths import PROTOCOLS
from tests.fake_s3 import FakeS3
from tests.scripted_server import ScriptedServer


def run(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints: registrations last as long as the process."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


OPEN = """
    options = dict(endpoint_url=sys.argv[1], key="k", secret="s", region="us-east-1")
    with fsspec.open(sys.argv[2], "wb", **options) as file:
        file.write(b"content")
    fs, path = fsspec.core.url_to_fs(sys.argv[2], **options)
    print(type(fs).__name__, path, fs.cat_file(sys.argv[2]), fs._strip_protocol(sys.argv[2]))
"""
SEEN = "GuardedS3FileSystem bucket/a/key b'content' bucket/a/key\n"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_fsspec_finds_us_by_the_entry_points(protocol: str) -> None:
    """fsspec.open works without an import of this package."""
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        code = "import sys, fsspec\n" + textwrap.dedent(OPEN)
        assert run(code, server.url, f"{protocol}://bucket/a/key") == SEEN


def test_register_takes_over_s3() -> None:
    """After register("s3"), s3:// and s3a:// URLs are ours, and those of our own protocols still are."""
    code = 'import sys, fsspec, fsspec_guarded_s3\nfsspec_guarded_s3.register("s3")\n' + textwrap.dedent(OPEN)
    fake = FakeS3("bucket")
    with ScriptedServer(handler=fake) as server:
        for protocol in ("s3", "s3a", "gs3"):
            assert run(code, server.url, f"{protocol}://bucket/a/key") == SEEN
    assert fake.objects["bucket", "a/key"].body == b"content"


def test_register_takes_over_what_is_loaded_already() -> None:
    """Also from an implementation that somebody registered before, and twice is no harm."""
    code = """
        import fsspec, fsspec_guarded_s3
        from fsspec.implementations.memory import MemoryFileSystem
        fsspec.register_implementation("s3", MemoryFileSystem, clobber=True)
        fsspec_guarded_s3.register("s3")
        fsspec_guarded_s3.register("s3")
        fsspec_guarded_s3.register("gs3")
        print(fsspec.get_filesystem_class("s3").__name__, fsspec_guarded_s3.GuardedS3FileSystem.protocol)
    """
    assert run(code) == "GuardedS3FileSystem ('gs3', 'guarded-s3', 's3', 's3a')\n"


def test_registered_name_is_stripped_and_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in this process, undone at the end."""
    monkeypatch.setattr(GuardedS3FileSystem, "protocol", "gs3")
    monkeypatch.setattr(import_module("fsspec.registry"), "_registry", dict(fsspec.registry))
    register("guarded-test")
    assert GuardedS3FileSystem.protocol == ("gs3", "guarded-test")
    assert GuardedS3FileSystem._strip_protocol("guarded-test://bucket/key/") == "bucket/key"
    register("guarded-test")
    assert GuardedS3FileSystem.protocol == ("gs3", "guarded-test")


def test_without_register_s3_is_not_ours() -> None:
    """Importing the package does not take over s3://."""
    code = """
        import fsspec_guarded_s3
        from fsspec.registry import known_implementations, registry
        print("s3" in registry, known_implementations["s3"]["class"])
    """
    assert run(code) == "False s3fs.S3FileSystem\n"


def test_strip_protocol_of_another_protocol_is_refused_later() -> None:
    """s3:// is not silently taken for a bucket by a filesystem that was not registered for it."""
    with pytest.raises(ValueError, match="another protocol"):
        GuardedS3FileSystem(anon=True, endpoint_url="http://127.0.0.1:9").info("s3://bucket/key")


@pytest.mark.parametrize("protocol", ["", "-", "s3://", "s_3", "s3:", "a b", "a/b", "s3\n", "é"])
def test_protocol_that_is_no_name_is_a_value_error(protocol: str) -> None:
    """And nothing is registered by the attempt."""
    before = GuardedS3FileSystem.protocol
    with pytest.raises(ValueError, match="protocol"):
        register(protocol)
    assert GuardedS3FileSystem.protocol == before
    assert protocol not in fsspec.registry
