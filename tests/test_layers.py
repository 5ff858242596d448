"""The architecture: imports go downward by folder and in no circle, and a library has its few importers."""

import ast
import graphlib
import inspect
from functools import cache
from pathlib import Path

import fsspec
import pytest

import fsspec_guarded_s3

PACKAGE = Path(fsspec_guarded_s3.__file__).parent
# From top to bottom. A folder or a module of the root imports what stands in a line below its own.
ORDER = (
    {"__main__"},
    {"_cli", "integrations"},
    {"__init__"},
    {"s3fs_alias"},
    {"filesystem"},
    {"_fs"},
    {"_read", "_write"},
    {"_s3"},
    {"_auth", "_http"},
    {"options"},
    {"_values"},
    {"_runs"},
    {"errors", "_threads"},
    {"_work"},
    {"_forks"},
    {"_program"},
)
RANK = {unit: rank for rank, units in enumerate(ORDER) for unit in units}
FOLDERS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
# Foreign libraries, and the folders or modules that import them.
IMPORTERS = {
    "botocore": {"_auth.chain", "_auth.provided", "_auth.rules", "_auth.rules_by_client"},
    "urllib3": {"_http.nested_tls", "_http.plain"},
    "tenacity": {"_s3.retry"},
    "awscrt": {"_values.checksums", "_auth.sigv4a"},
    "isal": {"_values.checksums"},
    "fsspec": {
        "__init__",
        "filesystem",
        "_fs",
        "_read",
        "_write.compressed_writer",
        "_write.text_writer",
        "_cli",
        "integrations",
    },
    "upath": {"integrations.upath"},
    "zarr": {"integrations.zarr"},
    "pyiceberg": {"integrations.pyiceberg"},
    "click": {"_cli"},
    # The doctor tries the steps before HTTP one by one, with sockets of its own.
    "socket": {"_http", "_cli.reaching"},
    "ssl": {"_http", "_cli.reaching"},
    "select": {"_http"},
    "http": {"_http"},
}
NOT_USED = {"requests", "httpx", "aiohttp", "boto3", "s3transfer"}
WIRE = {"_auth", "_http", "_s3.headers", "_s3.encryption", "_s3.retry"} | {
    f"_s3.xml{part}" for part in ("", "_answers", "_bodies", "_listings")
}


def _name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = sorted(map(_name_of, PACKAGE.rglob("*.py")))


def unit(module: str) -> str:
    """The folder of a module, or itself where it is in the root."""
    return module.partition(".")[0]


def is_in(module: str, names: set[str]) -> bool:
    """Whether a module, or its folder, is among `names`."""
    return module in names or unit(module) in names


@cache
def imports(module: str) -> tuple[frozenset[str], frozenset[str]]:
    """What a module imports, anywhere in it: modules of this package, and the roots of the rest.

    That includes what is imported for type checkers only: a circle of types is a circle for a reader.
    """
    own: set[str] = set()
    foreign: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            foreign |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(module, node)
            if origin is None:
                foreign.add(node.module or "")
            else:
                own |= {_module_at(f"{origin}.{alias.name}".lstrip("."), origin) for alias in node.names}
    assert not [name for name in foreign if name.partition(".")[0] == PACKAGE.name], "by its full name"
    return frozenset(own - {module}), frozenset(name.partition(".")[0] for name in foreign)


def _origin(module: str, node: ast.ImportFrom) -> str | None:
    """Where `from ... import` looks, within the package ("" is its root); None outside of it."""
    if not node.level:
        return None
    base = module.split(".")[: -node.level]
    return ".".join([*base, *([node.module] if node.module else [])])


def _module_at(name: str, origin: str) -> str:
    """The module of a name: a module itself, or that which defines it."""
    if name in MODULES:
        return name
    return origin if origin in MODULES else f"{origin}.__init__".lstrip(".")


def test_modules_are_found() -> None:
    """The tests below would hold for no modules too."""
    assert {"_s3.client", "_http.transport", "filesystem", "__init__", "_s3.__init__"} <= set(MODULES)
    assert {"options", "errors", "_values.models", "_http.pace"} <= imports("_http.transport")[0]
    assert "botocore" in imports("_auth.chain")[1]


def test_each_folder_and_each_module_of_the_root_has_its_place() -> None:
    assert {unit(module) for module in MODULES} == set(RANK)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downward_only(module: str) -> None:
    here = unit(module)
    others = {name for name in imports(module)[0] if unit(name) != here}
    assert {name for name in others if RANK[unit(name)] <= RANK[here]} == set()


def test_no_circle_of_modules() -> None:
    graphlib.TopologicalSorter({module: imports(module)[0] for module in MODULES}).prepare()


def test_the_longest_path_through_folders_is_six() -> None:
    below: dict[str, set[str]] = {name: set() for name in RANK}
    for module in MODULES:
        below[unit(module)] |= {unit(name) for name in imports(module)[0]} - {unit(module)}

    @cache
    def longest(name: str) -> int:
        return (name in FOLDERS) + max(map(longest, below[name]), default=0)

    assert max(map(longest, below)) <= 6


@pytest.mark.parametrize("module", [name for name in MODULES if RANK[unit(name)] in (3, 4, 5)])
def test_verbs_and_files_do_not_import_the_wire(module: str) -> None:
    """They know the client, and nothing of XML, signatures, sockets and retries."""
    assert {name for name in imports(module)[0] if is_in(name, WIRE)} == set()


@pytest.mark.parametrize("library", sorted(IMPORTERS))
def test_a_library_is_imported_where_it_belongs_only(library: str) -> None:
    importers = {module for module in MODULES if library in imports(module)[1]}
    assert importers
    assert {module for module in importers if not is_in(module, IMPORTERS[library])} == set()
    unused = {name for name in IMPORTERS[library] if not any(is_in(module, {name}) for module in importers)}
    assert unused == set()


def test_other_clients_are_not_imported() -> None:
    assert {module for module in MODULES if imports(module)[1] & NOT_USED} == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_what_it_is_for(folder: str) -> None:
    """In 5 to 20 lines, with its modules and its neighbours; and importing it runs nothing."""
    tree = ast.parse((PACKAGE / folder / "__init__.py").read_text(encoding="utf-8"))
    said = ast.get_docstring(tree) or ""
    assert 5 <= len(said.splitlines()) <= 20
    assert [word for word in ("Imported by:", "Imports:", "Never imports:") if word not in said] == []
    modules = {path.stem for path in (PACKAGE / folder).glob("*.py")} - {"__init__"}
    assert {module for module in modules if f"`{module}`" not in said} == set()
    assert len(tree.body) == 1


def test_the_root_is_public_but_for_what_works() -> None:
    """And within a folder, which is private itself, no name begins with an underscore."""
    private = {module for module in MODULES if module.rpartition(".")[2].startswith("_")}
    assert {module for module in private if not module.endswith("__")} == {
        "_forks",
        "_program",
        "_runs",
        "_threads",
        "_work",
    }


def _bases() -> dict[str, list[str]]:
    """The classes of this package, and what each inherits from, by the last part of the name."""
    found: dict[str, list[str]] = {}
    for module in MODULES:
        tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                named = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
                found[node.name] = [ast.unparse(base).rpartition(".")[2] for base in named]
    return found


def test_objects_have_each_other_and_inherit_little() -> None:
    """No class has two bases of ours, exceptions aside, and the filesystem has none."""
    bases = _bases()
    ours = {name: [base for base in of if base in bases] for name, of in bases.items()}
    assert {name: of for name, of in ours.items() if len(of) > 1 and not name.endswith("Error")} == {}
    filesystems = {name for name, of in bases.items() if "AbstractFileSystem" in of}
    assert filesystems == {"InheritedVerbs", "SnapshotFileSystem"}
    assert {name for name, of in bases.items() if "InheritedVerbs" in of} == {"GuardedS3FileSystem"}
    assert fsspec_guarded_s3.GuardedS3FileSystem.__mro__[1:] == (fsspec.AbstractFileSystem, object)


# Private names of others that are used: of libraries, which have no public ones for it; the client of the
# filesystem that a reader was pickled with; and what a class has just made by `cls(...)`.
FOREIGN = {
    ("integrations.commit_log", "_client"),
    ("integrations.commit_snapshot", "_reader"),
    ("integrations.commit_snapshot", "_client"),
    ("integrations.commit_transaction", "_client"),
    ("integrations.commit_transaction", "_remover"),
    ("integrations.commit_vacuum", "_remover"),
    ("integrations.zarr", "_awaited"),
    ("integrations.zarr", "_reader"),
    ("integrations.zarr", "_strip_protocol"),
    ("_auth.session", "_refresh_lock"),
    ("_cli.demo", "_server"),
    ("_fs.uploads", "_strip_protocol"),
    ("_read.reader", "_client"),
    ("_values.attributes", "_check_combinations"),
    ("_read.reader", "_fetch"),
    ("_write.compressed_writer", "_dealloc_warn"),
    ("_write.endings", "_getframe"),
}
COROUTINES = {
    name for name, _ in inspect.getmembers(fsspec_guarded_s3.GuardedS3FileSystem, inspect.iscoroutinefunction)
}  # as fsspec calls them
PUBLIC = {"_make", "_replace"} | COROUTINES  # of named tuples, whose public names are the fields


def test_no_private_attribute_of_another_object_is_used() -> None:
    found = set()
    for module in MODULES:
        tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr[:1] == "_" and not node.attr.endswith("__"):
                is_own = ast.unparse(node.value) in ("self", "cls", "super()", "type(self)")
                if not is_own and node.attr not in PUBLIC:
                    found.add((module, node.attr))
    assert found == FOREIGN
