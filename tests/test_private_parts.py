"""Parts of other libraries that nobody promises and the package uses: all are listed here, with their shapes.

Where a test fails, it names the part that is not what it was. What then becomes of it stands beside it.
"""

import ast
import importlib
import inspect
import pkgutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import fsspec.core
import pytest

import fsspec_guarded_s3
from fsspec_guarded_s3 import ConfigurationError, GuardedS3FileSystem
from fsspec_guarded_s3._auth import rules
from fsspec_guarded_s3._auth.session import Session
from fsspec_guarded_s3._auth.signer import Signer
from fsspec_guarded_s3._http import plain, timed_socket, trust
from fsspec_guarded_s3._http.timed_socket import Channel, channel_of
from fsspec_guarded_s3._write.text_writer import adopt_text
from fsspec_guarded_s3.options import Options

PACKAGE = Path(fsspec_guarded_s3.__file__).parent
LIBRARIES = {"fsspec", "botocore", "urllib3", "tenacity", "http", "ssl"}
# What these libraries document, or import in their own examples, and what Python itself documents.
DOCUMENTED = {
    *("fsspec", "fsspec.AbstractFileSystem", "fsspec.FSMap", "fsspec.mapping.FSMap", "fsspec.config.conf"),
    *("fsspec.available_compressions", "fsspec.asyn.AsyncFileSystem"),
    *("fsspec.callbacks.Callback", "fsspec.callbacks.DEFAULT_CALLBACK", "fsspec.callbacks.TqdmCallback"),
    *("fsspec.caching.BaseCache", "fsspec.caching.MMapCache", "fsspec.spec.AbstractBufferedFile"),
    *("fsspec.dircache.DirCache", "fsspec.transaction.Transaction"),
    *("fsspec.implementations.local.LocalFileSystem",),
    *("botocore.config", "botocore.credentials", "botocore.exceptions", "botocore.session"),
    *("tenacity", "http.client", "ssl", "urllib3"),
    *(f"urllib3.exceptions.{name}" for name in ("ConnectTimeoutError", "NewConnectionError", "ProxyError")),
    "urllib3.exceptions.HTTPError",
}
# Nothing promises these: what of their parameters is used, None for what is no function. What is done without
# each is below, in WITHOUT.
UNDOCUMENTED: dict[str, tuple[str, ...] | None] = {
    "botocore.endpoint_provider.EndpointProvider": ("ruleset_data", "partition_data"),
    "fsspec.compression.compr": None,
    "fsspec.core.PickleableTextIOWrapper": ("buffer",),  # without it text files of fsspec's are not ours
    # Without it, or where it is another one: `_http.plain`, urllib3's own exchange.
    "urllib3.util.ssltransport.SSLTransport": ("socket", "ssl_context", "server_hostname"),
}
# Names with an underscore, by where they are read.
UNDERSCORES = {
    "_cached": "fsspec's metaclass sets it on a filesystem that was made before",
    "_check_writable": "zarr's stores have it",
    "_ensure_open": "zarr's stores have it",
    "_fs": "pyiceberg's files have it",
    "_getframe": "of sys: documented, and not promised by each Python",
    "_refresh_lock": "botocore's credentials that end have it; without it a child reads them anew",
    "_replace": "documented for named tuples",
    "_scheme_to_fs": "pyiceberg's FileIO looks up a filesystem in it",
    "_server": "moto's, in the demo",
    "_socket": "without it `Channel` waits by Python's documented calls alone",
    "_thread": "documented",
}
# Names with an underscore of classes that ours inherit from, which ours replace.
REPLACED = {
    "fsspec.caching": {"_fetch"},
    "fsspec.spec": {
        *("_cache", "_extra_tokenize_attributes", "_fs_token", "_get_kwargs_from_urls"),
        *("_instantiation_lock", "_latest", "_open", "_parent", "_pid", "_rm", "_strip_protocol"),
    },
}


def trees() -> Iterator[ast.Module]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield ast.parse(path.read_text(encoding="utf-8"))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def imported() -> set[str]:
    """All that the package imports of these libraries; what it reads of `fsspec.core`, which it changes."""
    found = set()
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and not node.level:
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Attribute):
                found.add(ast.unparse(node))
    found = {name for name in found if name.partition(".")[0] in LIBRARIES and is_imported_name(name)}
    modules = {name for name in found if any(other.startswith(f"{name}.") for other in found)}
    return found - modules | (modules & {"fsspec", "botocore.config", "botocore.session"})


def is_imported_name(name: str) -> bool:
    """Whether it is a module, or what a module has: not a method of what it has."""
    try:
        importlib.import_module(name)
    except ImportError:
        module, _, last = name.rpartition(".")
        try:
            return hasattr(importlib.import_module(module), last)
        except ImportError:
            return False
    return True


def test_all_that_is_imported_is_listed() -> None:
    known = DOCUMENTED | set(UNDOCUMENTED)
    found = {name for name in imported() if not covered(name, known)}
    assert found == set(), (
        "documented, or a private part? Say so above, and what becomes of it when it is gone"
    )
    assert set(UNDOCUMENTED) - imported() == set(), "no longer used"


def covered(name: str, known: set[str]) -> bool:
    """Listed by itself, or as what a documented module has."""
    return name in known or name.rpartition(".")[0] in DOCUMENTED


@pytest.mark.parametrize("name", sorted(UNDOCUMENTED))
def test_an_undocumented_part_has_its_shape(name: str) -> None:
    module, _, last = name.rpartition(".")
    part = getattr(importlib.import_module(module), last, None)
    assert part is not None, f"{name} is gone"
    wanted = UNDOCUMENTED[name]
    if wanted is not None:
        assert set(wanted) <= set(inspect.signature(part).parameters), f"{name} takes other arguments"


def test_all_names_with_an_underscore_are_listed() -> None:
    """Those of the package itself are what it defines."""
    own, read = set(), set()
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                own.add(node.name)
            elif isinstance(node, ast.Attribute):
                (own if isinstance(node.ctx, ast.Store) else read).add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                own.add(node.id)
            elif isinstance(node, ast.Import):
                read |= {part for alias in node.names for part in alias.name.split(".")}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                read |= {node.value} & set(UNDERSCORES)
    foreign = {name for name in read if is_private(name)} - (own - set(UNDERSCORES))
    slots = {name for name in foreign if name in slots_of_the_package()}
    assert foreign - slots == set(UNDERSCORES)


def slots_of_the_package() -> set[str]:
    return {name for _, kind in classes() for name in vars(kind).get("__slots__", ())}


def classes() -> Iterator[tuple[str, type]]:
    for module in pkgutil.walk_packages([str(PACKAGE)], "fsspec_guarded_s3."):
        if "__main__" in module.name or ".integrations" in module.name or "._cli" in module.name:
            continue
        for name, kind in vars(importlib.import_module(module.name)).items():
            if isinstance(kind, type) and kind.__module__ == module.name:
                yield name, kind


def test_all_that_is_replaced_of_other_classes_is_listed() -> None:
    found: dict[str, set[str]] = {}
    for _, kind in classes():
        for base in kind.__mro__[1:]:
            if base.__module__.partition(".")[0] in LIBRARIES:
                names = {name for name in vars(kind) if is_private(name) and name in vars(base)} - {
                    "_abc_impl"
                }
                if names:
                    found.setdefault(base.__module__, set()).update(names)
    assert {module for module in found} == set(REPLACED)
    for module, names in found.items():  # older versions of fsspec have fewer
        assert names <= REPLACED[module], "a library has got a private name that ours has"
        assert {"_open", "_strip_protocol"} <= names or module != "fsspec.spec", "fsspec calls it otherwise"


def test_the_attributes_of_objects_are_what_they_were() -> None:
    assert plain.missing_part() == "", "TLS within TLS is made by urllib3's own exchange now"
    assert hasattr(GuardedS3FileSystem(anon=True, skip_instance_cache=True), "_cached")
    credentials = importlib.import_module("botocore.credentials").RefreshableCredentials
    made = inspect.getsource(credentials.__init__)
    assert "_refresh_lock" in made, "the lock of credentials that end is another one: see Session._renew"


# --- without them ---

# Stands before the programs below: to the package the library has no such name, to itself it has.
HIDDEN = """
import builtins, importlib, io, logging, sys
logging.basicConfig(format="said: %(message)s")
HIDDEN = sys.argv[1].rpartition(".")

def hiding(name, globals=None, locals=None, fromlist=(), level=0, real=builtins.__import__):
    asking = str((globals or {}).get("__name__", ""))
    if asking.startswith("fsspec_guarded_s3") and name == HIDDEN[0] and HIDDEN[2] in (fromlist or ()):
        raise ImportError(f"{name} has no {HIDDEN[2]}")
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = hiding
if HIDDEN[0] == "fsspec.core":
    setattr(
        importlib.import_module(HIDDEN[0]), HIDDEN[2], lambda *args, **named: io.TextIOWrapper(*args, **named)
    )
import fsspec, fsspec_guarded_s3
from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3.options import Options
from tests.fake_s3 import FakeS3
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer
"""
EVERYDAY = """
with ScriptedServer(handler=FakeS3("bucket")) as server:
    fs = filesystem(server.url)
    with fs.open("bucket/d/a", "wb") as file:
        file.write(b"one" * 1000)
    assert fs.put_if_absent("bucket/d/a", b"two") is False
    with fs.open("bucket/d/t", "w") as text:
        text.write("three")
    assert fs.cat("bucket/d/*") == {"bucket/d/a": b"one" * 1000, "bucket/d/t": b"three"}
    with fs.open("bucket/d/a") as file:
        assert file.read(3) == b"one"
"""
ENDPOINTS = """
from tests.auth.test_endpoints import CASES, ours, scheme_of, theirs
for name, (bucket, options, config) in CASES.items():
    url, headers = ours(bucket, **options)
    their_url, their_headers = theirs(bucket, options.get("region", "us-east-1"), **config)
    assert (url, scheme_of(headers)) == (their_url, scheme_of(their_headers)), name
"""
COMPRESSION = """
import gzip
with ScriptedServer(handler=FakeS3("bucket")) as server:
    fs = filesystem(server.url)
    try:
        fs.open("bucket/a.gz", "wb", compression="gzip")
    except NotImplementedError as error:
        assert "gzip.open" in str(error)
    else:
        raise SystemExit("it was opened")
    with fs.open("bucket/a.gz", "wb") as file, gzip.open(file, "wb") as packed:
        packed.write(b"one")
    with fs.open("bucket/a.gz", compression="gzip") as file:
        assert file.read() == b"one"
"""
TEXT = """
with ScriptedServer(handler=FakeS3("bucket")) as server:
    given = {"endpoint_url": server.url, "key": "k", "secret": "s"}
    with fsspec.open("gs3://bucket/t", "w", **given) as text:
        text.write("three")
    with fsspec.open("gs3://bucket/t", "r", **given) as text:
        assert text.read() == "three"
"""
# What is tried without each, and whether the log says so.
WITHOUT = {
    "botocore.endpoint_provider.EndpointProvider": (ENDPOINTS, True),
    "fsspec.compression.compr": (COMPRESSION, True),
    "fsspec.core.PickleableTextIOWrapper": (TEXT, False),
    "urllib3.util.ssltransport.SSLTransport": ("", False),  # test_proxies.py has what needs it
}


def test_each_part_is_tried_without() -> None:
    assert set(WITHOUT) == set(UNDOCUMENTED)


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_what_needs_a_part_works_without_it(name: str) -> None:
    """Or raises an error that says what to do. Why is said once."""
    program, is_said = WITHOUT[name]
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN + EVERYDAY + program, name],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"{name.rpartition('.')[2]} is not as this version knows it") == is_said


def test_sockets_are_waited_for_without_the_private_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed_socket, "_RECV_INTO", None)
    with socket.socket() as sock:
        assert type(channel_of(sock, Options())) is Channel


def test_text_files_are_fsspecs_own_without_its_wrapper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(fsspec.core, "PickleableTextIOWrapper")
    adopt_text()
    assert not hasattr(fsspec.core, "PickleableTextIOWrapper")


def test_the_domains_of_aws_are_known_without_botocores_data(monkeypatch: pytest.MonkeyPatch) -> None:
    known = rules.Rules(botocore.session.Session()).domains()
    monkeypatch.setattr(rules.Rules, "_load", lambda *_: {})
    assert rules.Rules(botocore.session.Session()).domains() >= known  # older versions have fewer


def test_a_provider_of_rules_that_is_called_otherwise_is_one_that_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def other(self: object, **_: object) -> None:
        raise TypeError("another signature")

    provider = importlib.import_module("botocore.endpoint_provider").EndpointProvider
    monkeypatch.setattr(provider, "resolve_endpoint", other)
    signer = Signer(Options(key="k", secret="s", region="us-east-1", use_fips=True))
    monkeypatch.setattr(rules.Rules, "_asked_client", staticmethod(AskedAlone))
    assert signer.endpoint("bucket").host == "asked.test"


class AskedAlone:
    """Stands for a client of botocore's, whose own rules are those that were just broken."""

    def resolve_endpoint(self, **_: object) -> Any:
        return SimpleNamespace(url="https://asked.test", properties={})


def test_credentials_without_the_lock_are_read_anew_in_a_child() -> None:
    session = Session(Options())
    session._credentials = SimpleNamespace(method="a source")
    before = session.reading
    session._renew()  # as `_forks` calls it there
    assert (session._credentials, session._session, session.reading) == (None, None, before + 1)


def test_a_system_without_certificates_uses_a_librarys_or_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trust, "_trusts_nobody", lambda _: True)
    for variable in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    assert trust.ssl_context(Options(), lambda: None).cert_store_stats()["x509_ca"] > 50
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="install certifi"):
        trust.ssl_context(Options(), lambda: None)
