"""The layers: imports go downward only, and each foreign library has one importer."""

import ast
from pathlib import Path

import pytest

import fsspec_guarded_s3

PACKAGE = Path(fsspec_guarded_s3.__file__).parent
LAYERS = (
    {
        "_paths",
        "_keywords",
        "_options",
        "_parameters",
        "_s3fs_options",
        "_s3fs_names",
        "_attributes",
        "_attribute_values",
        "_models",
        "_errors",
        "_error_codes",
        "_bodies",
        "_checksums",
        "_deadline",
        "_work",
        "_forks",
    },
    {
        "_xml",
        "_encryption",
        "_headers",
        "_session",
        "_settings",
        "_endpoints",
        "_sigv4",
        "_sigv4a",
        "_operations",
        "_signing",
        "_channel",
        "_connect",
        "_http",
        "_lanes",
        "_sending",
        "_transport",
        "_trust",
        "_retry",
    },
    {
        "_client",
        "_checks",
        "_deletions",
        "_early",
        "_listings",
        "_reads",
        "_refusals",
        "_scheduler",
        "_store",
        "_writes",
        "_multipart",
        "_pages",
        "_pinned",
        "_buckets",
        "_corrections",
        "_exchange",
        "_express",
        "_subresources",
        "_threads",
        "_store_facts",
        "_optional_headers",
    },
    {
        "_reader",
        "_prefetch",
        "_blocks",
        "_download",
        "_writer",
        "_endings",
        "_compressed_writer",
        "_text_writer",
        "_upload",
        "_dropped_tags",
        "_outcome",
        "_aborting",
        "_parts",
        "_sources",
        "_resume",
        "_copy_in_parts",
        "_copying",
        "_exact_delete",
        "_ranges",
        "_probe",
        "_trials",
        "_janitor",
        "_transaction",
        "_source_file",
        "_spool",
        "_target_file",
    },
    {
        "_filesystem",
        "_opening",
        "_bulk",
        "_placement",
        "_namespace",
        "_properties",
        "_removal",
        "_selection",
        "_versions",
        "_listing",
        "_listing_cache",
        "_mapping",
        "_rows",
    },
    {"__init__", "__main__", "_cli", "_arguments", "_failures", "_transfers", "_demo", "_doctor", "_upath"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
WITHIN = {
    ("_buckets", "_optional_headers"),
    ("_buckets", "_store"),
    ("_checks", "_optional_headers"),
    ("_checks", "_store"),
    ("_checks", "_store_facts"),
    ("_client", "_checks"),
    ("_client", "_deletions"),
    ("_client", "_listings"),
    ("_client", "_reads"),
    ("_client", "_scheduler"),
    ("_client", "_store"),
    ("_client", "_writes"),
    ("_corrections", "_optional_headers"),
    ("_corrections", "_store"),
    ("_deletions", "_exchange"),
    ("_deletions", "_optional_headers"),
    ("_deletions", "_refusals"),
    ("_deletions", "_store"),
    ("_exchange", "_early"),
    ("_exchange", "_refusals"),
    ("_exchange", "_store"),
    ("_listings", "_exchange"),
    ("_listings", "_pages"),
    ("_listings", "_scheduler"),
    ("_listings", "_store"),
    ("_listings", "_threads"),
    ("_multipart", "_checks"),
    ("_reads", "_checks"),
    ("_reads", "_early"),
    ("_reads", "_exchange"),
    ("_reads", "_pinned"),
    ("_reads", "_scheduler"),
    ("_reads", "_store"),
    ("_scheduler", "_store"),
    ("_scheduler", "_threads"),
    ("_store", "_express"),
    ("_store", "_store_facts"),
    ("_subresources", "_optional_headers"),
    ("_writes", "_checks"),
    ("_writes", "_exchange"),
    ("_writes", "_optional_headers"),
    ("_filesystem", "_rows"),
    ("_namespace", "_rows"),
    ("_models", "_errors"),
    ("_work", "_forks"),
    ("_models", "_bodies"),
    ("_models", "_checksums"),
    ("_attribute_values", "_checksums"),
    ("_checksums", "_bodies"),
    ("_checksums", "_errors"),
    ("_error_codes", "_errors"),
    ("_options", "_s3fs_options"),
    ("_attribute_values", "_models"),
    ("_attributes", "_attribute_values"),
    ("_attributes", "_keywords"),
    ("_options", "_attributes"),
    ("_subresources", "_exchange"),
    ("_client", "_subresources"),
    ("_properties", "_listing"),
    ("_endpoints", "_session"),
    ("_endpoints", "_settings"),
    ("_session", "_settings"),
    ("_signing", "_settings"),
    ("_sigv4", "_endpoints"),
    ("_signing", "_session"),
    ("_signing", "_endpoints"),
    ("_signing", "_sigv4"),
    ("_signing", "_sigv4a"),
    ("_signing", "_operations"),
    ("_sigv4a", "_endpoints"),
    ("_sigv4a", "_sigv4"),
    ("_operations", "_session"),
    ("_exchange", "_corrections"),
    ("_exchange", "_store_facts"),
    ("_exchange", "_optional_headers"),
    ("_transport", "_http"),
    ("_transport", "_channel"),
    ("_transport", "_connect"),
    ("_transport", "_lanes"),
    ("_transport", "_sending"),
    ("_transport", "_trust"),
    ("_connect", "_channel"),
    ("_connect", "_http"),
    ("_sending", "_channel"),
    ("_sending", "_http"),
    ("_http", "_channel"),
    ("_multipart", "_exchange"),
    ("_buckets", "_exchange"),
    ("_multipart", "_pages"),
    ("_client", "_multipart"),
    ("_client", "_exchange"),
    ("_client", "_buckets"),
    ("_reader", "_download"),
    ("_reader", "_prefetch"),
    ("_reader", "_blocks"),
    ("_upload", "_probe"),
    ("_upload", "_dropped_tags"),
    ("_upload", "_outcome"),
    ("_outcome", "_probe"),
    ("_outcome", "_aborting"),
    ("_probe", "_trials"),
    ("_parts", "_upload"),
    ("_upload", "_aborting"),
    ("_copying", "_download"),
    ("_copying", "_parts"),
    ("_copying", "_probe"),
    ("_copying", "_upload"),
    ("_exact_delete", "_probe"),
    ("_namespace", "_listing"),
    ("_parts", "_spool"),
    ("_sources", "_parts"),
    ("_sources", "_source_file"),
    ("_sources", "_upload"),
    ("_resume", "_parts"),
    ("_resume", "_source_file"),
    ("_resume", "_sources"),
    ("_resume", "_upload"),
    ("_copy_in_parts", "_download"),
    ("_copy_in_parts", "_spool"),
    ("_copy_in_parts", "_upload"),
    ("_copying", "_copy_in_parts"),
    ("_target_file", "_source_file"),
    ("_download", "_target_file"),
    ("_writer", "_parts"),
    ("_writer", "_upload"),
    ("_writer", "_endings"),
    ("_compressed_writer", "_endings"),
    ("_compressed_writer", "_writer"),
    ("_text_writer", "_compressed_writer"),
    ("_text_writer", "_endings"),
    ("_text_writer", "_writer"),
    ("_janitor", "_upload"),
    ("_transaction", "_endings"),
    ("_transaction", "_writer"),
    ("_transaction", "_upload"),
    ("_listing", "_listing_cache"),
    ("_listing", "_rows"),
    ("_versions", "_rows"),
    ("_selection", "_rows"),
    ("_opening", "_rows"),
    ("_filesystem", "_listing_cache"),
    ("_filesystem", "_mapping"),
    ("_selection", "_listing"),
    ("_selection", "_versions"),
    ("_versions", "_properties"),
    ("_removal", "_listing"),
    ("_removal", "_selection"),
    ("_placement", "_selection"),
    ("_namespace", "_removal"),
    ("_bulk", "_placement"),
    ("_bulk", "_selection"),
    ("_filesystem", "_listing"),
    ("_bulk", "_namespace"),
    ("_filesystem", "_namespace"),
    ("_filesystem", "_opening"),
    ("_opening", "_bulk"),
    ("_ranges", "_download"),
    ("__main__", "_cli"),
    ("_cli", "_arguments"),
    ("_cli", "_failures"),
    ("_cli", "_transfers"),
    ("_cli", "_demo"),
    ("_cli", "_doctor"),
    ("_arguments", "_transfers"),
}
ONLY = {
    "botocore": {"_session", "_endpoints", "_sigv4", "_signing", "_trust"},
    "urllib3": {"_transport", "_connect"},
    "tenacity": {"_retry"},
    "awscrt": {"_checksums", "_sigv4a"},
    "isal": {"_checksums"},
    "fsspec": {
        "_compressed_writer",
        "_blocks",
        "_reader",
        "_prefetch",
        "_transaction",
        "_filesystem",
        "_opening",
        "_bulk",
        "_placement",
        "_selection",
        "_listing",
        "_listing_cache",
        "_mapping",
        "__init__",
        "_cli",
        "_transfers",
        "_demo",
        "_upath",
    },
    "upath": {"_upath"},
    "click": {"_cli", "_arguments", "_failures"},
}
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))


def imports(module: str) -> tuple[set[str], set[str]]:
    """What a module imports, anywhere in it: from this package, and the packages of the rest."""
    own: set[str] = set()
    foreign: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            foreign |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            own |= {node.module} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            foreign.add(node.module or "")
    roots = {name.partition(".")[0] for name in foreign}
    absolute = {name for name in foreign if name.partition(".")[0] == PACKAGE.name}
    own |= {name.partition(".")[2] or "__init__" for name in absolute}
    return own, roots


def test_modules_are_found() -> None:
    """The tests below would hold for no modules too."""
    assert {"_client", "_transport", "_filesystem", "__init__"} <= set(MODULES)
    assert "_errors" in imports("_reads")[0]


@pytest.mark.parametrize("module", MODULES)
def test_module_has_a_layer(module: str) -> None:
    assert module in LEVEL


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downward_only(module: str) -> None:
    own, _ = imports(module)
    upward = {
        name
        for name in own
        if LEVEL[name] > LEVEL[module] or (LEVEL[name] == LEVEL[module] and (module, name) not in WITHIN)
    }
    assert not upward


@pytest.mark.parametrize("module", sorted((LAYERS[3] | LAYERS[4]) & set(MODULES)))
def test_upper_layers_do_not_import_the_wire(module: str) -> None:
    """Files and verbs know the client, and nothing of XML, signatures, sockets and retries."""
    assert not imports(module)[0] & LAYERS[1]


@pytest.mark.parametrize("library", sorted(ONLY))
def test_library_is_imported_where_it_belongs_only(library: str) -> None:
    importers = {module for module in MODULES if library in imports(module)[1]}
    assert importers
    assert importers <= ONLY[library]


def test_no_module_does_http_beside_the_transport() -> None:
    """The doctor tries the steps before HTTP one by one, with sockets of its own."""
    clients = {"http", "socket", "ssl", "select", "requests", "httpx", "aiohttp", "boto3"}
    assert {module for module in MODULES if imports(module)[1] & clients} == {
        "_channel",
        "_connect",
        "_http",
        "_transport",
        "_trust",
        "_doctor",
    }
