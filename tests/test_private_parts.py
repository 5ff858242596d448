"""Parts of other libraries that nobody promises and the package uses: all are listed here, with their shapes.

Where a test fails, it names the part that is not what it was. What then becomes of it stands beside it.
"""

import ast
import importlib
import inspect
import pkgutil
import socket
from collections.abc import Iterator
from pathlib import Path

import fsspec.core
import pytest

import fsspec_guarded_s3
from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3._http import plain, timed_socket
from fsspec_guarded_s3._http.timed_socket import Channel, channel_of
from fsspec_guarded_s3._write.text_writer import adopt_text
from fsspec_guarded_s3.options import Options

PACKAGE = Path(fsspec_guarded_s3.__file__).parent
LIBRARIES = {"fsspec", "botocore", "urllib3", "tenacity", "http", "ssl"}
# What these libraries document, or import in their own examples, and what Python itself documents.
DOCUMENTED = {
    *("fsspec", "fsspec.AbstractFileSystem", "fsspec.FSMap", "fsspec.mapping.FSMap", "fsspec.config.conf"),
    *("fsspec.callbacks.Callback", "fsspec.callbacks.DEFAULT_CALLBACK", "fsspec.callbacks.TqdmCallback"),
    *("fsspec.caching.BaseCache", "fsspec.caching.MMapCache", "fsspec.spec.AbstractBufferedFile"),
    *("fsspec.dircache.DirCache", "fsspec.transaction.Transaction"),
    *("fsspec.implementations.local.LocalFileSystem",),
    *("botocore.credentials", "botocore.exceptions", "botocore.session"),
    *("tenacity", "http.client", "ssl", "urllib3"),
    *(f"urllib3.exceptions.{name}" for name in ("ConnectTimeoutError", "NewConnectionError", "ProxyError")),
    "urllib3.exceptions.HTTPError",
}
# Nothing promises these: what of their parameters is used, None for what is no function.
UNDOCUMENTED: dict[str, tuple[str, ...] | None] = {
    "botocore.configprovider.ConfiguredEndpointProvider": ("full_config", "scoped_config", "client_name"),
    "botocore.endpoint_provider.EndpointProvider": ("ruleset_data", "partition_data"),
    "botocore.httpsession.get_cert_path": ("verify",),
    "fsspec.asyn.get_loop": (),
    "fsspec.caching.caches": None,
    "fsspec.caching.register_cache": ("cls",),
    "fsspec.compression.compr": None,
    "fsspec.core.get_compression": ("urlpath", "compression"),
    "fsspec.core.PickleableTextIOWrapper": ("buffer",),  # without it text files of fsspec's are not ours
    "fsspec.implementations.local.make_path_posix": ("path",),
    "fsspec.utils.glob_translate": ("pat",),
    "fsspec.utils.isfilelike": ("f",),
    "fsspec.utils.stringify_path": ("filepath",),
    "fsspec.utils.tokenize": ("args", "kwargs"),
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
    "_refresh_lock": "botocore's credentials that end have it; without it nothing is renewed after a fork",
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
    return found - modules | (modules & {"fsspec", "botocore.session"})


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


def test_sockets_are_waited_for_without_the_private_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed_socket, "_RECV_INTO", None)
    with socket.socket() as sock:
        assert type(channel_of(sock, Options())) is Channel


def test_text_files_are_fsspecs_own_without_its_wrapper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(fsspec.core, "PickleableTextIOWrapper")
    adopt_text()
    assert not hasattr(fsspec.core, "PickleableTextIOWrapper")
