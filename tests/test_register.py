"""Protocols: the names that fsspec knows us by, and taking over another one."""

import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path

import fsspec
import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem, register, s3fs_alias
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


# --- code that imports s3fs --------------------------------------------------------------------------

AS_S3FS = """
    import importlib.util, json, pickle, sys
    import fsspec, fsspec_guarded_s3
    fsspec_guarded_s3.register("s3", s3fs=True)
    fsspec_guarded_s3.register("s3", s3fs=True)
    assert "s3fs" not in sys.modules
    spec = importlib.util.find_spec("s3fs")
    assert spec is not None and spec.name == "s3fs" and spec.loader is not None
    import s3fs
    from s3fs import S3FileSystem, S3File, S3Map
    from s3fs.core import S3FileSystem as OfCore
    from s3fs.mapping import S3Map as OfMapping
    from s3fs.utils import SSEParams, ignoring
    assert s3fs.__spec__ is not None and s3fs.core.S3FileSystem is OfCore is S3FileSystem
    assert importlib.util.find_spec("s3fs").loader is s3fs.__spec__.loader  # as Lightning looks for it
    assert OfMapping is S3Map and importlib.util.find_spec("s3fs.none") is None
    assert issubclass(S3FileSystem, fsspec_guarded_s3.GuardedS3FileSystem)
    options = dict(client_kwargs={"endpoint_url": sys.argv[1]}, key="k", secret="s")
    fs = fsspec.filesystem("s3", **options)
    assert type(fs) is S3FileSystem and fs is S3FileSystem(**options)
    fs.makedirs("new-bucket/a/b")
    with fs.open("s3://new-bucket/a/b/c", "wb") as writer, fs.open("s3a://bucket/a/key") as reader:
        writer.write(reader.read())
        assert isinstance(writer, S3File) and isinstance(reader, S3File) and not isinstance(fs, S3File)
    assert S3Map("new-bucket/a", s3=fs)["b/c"] == b"content"
    assert pickle.loads(pickle.dumps(fs)) == fs
    assert type(fsspec.AbstractFileSystem.from_json(fs.to_json())) is S3FileSystem
    sse = SSEParams(server_side_encryption="aws:kms", sse_kms_key_id="id")
    assert sse.to_kwargs() == {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "id"}
    with ignoring(KeyError):
        raise KeyError
    print(s3fs.__version__)
"""


def test_code_that_imports_s3fs_gets_ours() -> None:
    fake = FakeS3("bucket")
    fake.put("bucket", "a/key", b"content")
    with ScriptedServer(handler=fake) as server:
        assert run(AS_S3FS, server.url) == f"{s3fs_alias.VERSION}\n"
    assert fake.objects["new-bucket", "a/b/c"].body == b"content"


def test_the_alias_has_the_protocols_of_s3fs_and_understands_ours() -> None:
    """Libraries know s3fs by them: pyarrow by both, others by the URLs that it makes."""
    fs = s3fs_alias.S3FileSystem(anon=True)
    assert fs.protocol == ("s3", "s3a") and fs.unstrip_protocol("bucket/k") == "s3://bucket/k"
    for path in ("s3://bucket/k", "s3a://bucket/k", "gs3://bucket/k", "bucket/k"):
        assert fs._strip_protocol(path) == "bucket/k"
        assert fs.split_path(path) == ("bucket", "k", None)
    assert type(fs.from_json(fs.to_json())) is s3fs_alias.S3FileSystem
    assert GuardedS3FileSystem(anon=True).unstrip_protocol("bucket/k").startswith("gs3://")


def test_a_bucket_is_not_created_where_that_is_switched_off() -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        options = {"endpoint_url": server.url, "key": "k", "secret": "s", "skip_instance_cache": True}
        s3fs_alias.S3FileSystem(**options, create_buckets=False).makedirs("other/a", exist_ok=True)
        assert server.requests == []
        s3fs_alias.S3FileSystem(**options).makedirs("other/a", exist_ok=True)
        assert [request.method for request in server.requests] == ["HEAD", "PUT"]


def test_s3fs_that_is_imported_is_not_taken_over(tmp_path: Path) -> None:
    """Nothing is registered then."""
    (tmp_path / "s3fs.py").write_text("class S3FileSystem: pass\n")
    code = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import s3fs, fsspec_guarded_s3
        from fsspec.registry import registry
        try:
            fsspec_guarded_s3.register("s3", s3fs=True)
        except RuntimeError as error:
            known = fsspec_guarded_s3.GuardedS3FileSystem.protocol
            print(str(error).partition(",")[0], "s3" in registry, known)
    """
    assert run(code, str(tmp_path)) == f"s3fs itself is imported already False {PROTOCOLS}\n"


def test_only_the_protocols_of_s3fs_go_with_it() -> None:
    before = list(sys.meta_path)
    with pytest.raises(ValueError, match="for the protocols s3 and s3a"):
        register("gs3", s3fs=True)
    assert sys.meta_path == before
