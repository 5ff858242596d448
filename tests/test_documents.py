"""The pages of docs/ say what is true: their Python runs as printed, and they build into a site."""

from __future__ import annotations

import builtins
import io
import json
import logging
import os
import re
import subprocess
import sys
import urllib.request
import zipfile
from importlib import import_module
from pathlib import Path

import fsspec
import nbclient
import nbformat
import pytest

import fsspec_guarded_s3
from fsspec_guarded_s3 import GuardedS3FileSystem, errors, filesystem
from tests.documents import DOCS, ENDPOINT, ROOT, run
from tests.servers import MotoServer
from tests.stores import Store, new_store

RUN_HERE = {"commits.md", "coroutines.md", "guarantees.md", "howto.md", "index.md", "options.md", "s3fs.md"}
RUN_ELSEWHERE = {
    "README.md": "tests/test_readme.py",
    "express.md": "tests/s3/test_express.py",
    "store-setup.md": "tests/test_store_setup.py",
    "pytorch.md": "tests/tools/test_pytorch.py",
    "tools.md": "tests/tools/test_document.py",
}
# What is no Python: which test runs it, or why none does.
OTHER_BLOCKS = {
    ("cli.md", "console"): "tests/cli/test_cli_docs.py",
    ("cli.md", "indented"): "installs this package: the workflows do",
    ("CONTRIBUTING.md", "indented"): "tests/test_documents.py",
    ("README.md", "indented"): "tests/test_documents.py, and the workflows install the package",
    ("design.md", "indented"): "a picture",
    ("howto.md", "indented"): "tests/fs/test_annotations.py: no store but AWS knows annotations",
    ("iam.md", "json"): "tests/test_iam.py",
    ("options.md", "ini"): "tests/test_options.py",
    ("store-setup.md", "bash"): "tests/test_store_setup.py",
    ("store-setup.md", "ini"): "tests/test_store_setup.py",
}
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.glob("*.md"))]


@pytest.fixture
def store(moto: MotoServer) -> Store:
    return new_store(moto)


def blocks(page: Path) -> set[str]:
    """The kinds of code that a page has: the word behind the fence, or "indented"."""
    text = page.read_text(encoding="utf-8")
    parts = re.split(r"^```", text, flags=re.M)
    kinds = {part.partition("\n")[0] for part in parts[1::2]}
    indented = any(re.search(r"\n\n    \S", part) for part in parts[::2])
    return kinds | ({"indented"} if indented else set())


def test_all_code_is_run_or_it_is_said_why_not() -> None:
    found = {(page.name, kind) for page in PAGES for kind in blocks(page)}
    python = {(name, "python") for name in RUN_HERE | set(RUN_ELSEWHERE)}
    assert found == python | set(OTHER_BLOCKS)


@pytest.mark.parametrize(
    ("page", "test"), [*RUN_ELSEWHERE.items(), *((page, test) for (page, _), test in OTHER_BLOCKS.items())]
)
def test_the_test_that_runs_it_names_the_page(page: str, test: str) -> None:
    for path in re.findall(r"tests/[\w/]+\.py", test):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert page in text or "DOCUMENT" in text, path


def test_every_target_that_is_named_is_one_of_make() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"(?:^    |`)make ([a-z]+)", text, re.M)
        assert set(named) <= targets, page.name


def test_the_test_that_contributors_run_first_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    ((file, name),) = re.findall(r"pytest (tests/\S+\.py) -k (\w+)", text)
    assert f"def {name}" in (ROOT / file).read_text(encoding="utf-8")


def test_the_front_page_creates_once(store: Store) -> None:
    space = run((DOCS / "index.md").read_text(), store)
    assert (space["first"], space["again"], space["text"]) == (True, False, b"hello")


def test_the_recipes_do_what_they_say(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "fsspec_guarded_s3")  # which it sets, and is put back afterwards
    space = run((DOCS / "howto.md").read_text(), store)
    assert store.fs.info(store.path("large.bin"))["size"] == 3_000_000
    assert (space["drafts"], space["log"]) == ([], "first\nsecond\n")
    assert json.dumps(space["state"]) == '{"runs": 1, "checked": true}'
    assert store.fs.cat_file(store.path("set/index")) == b"..."
    assert (space["folder"] / "back" / "deep" / "b.txt").read_text() == "b"
    assert space["done"] == (2, 2)
    assert (space["first"], space["last"]) == (bytes(4), b"\2" * 4)
    assert space["slices"] == [b"\0\1", b"\1\2"]
    assert space["about"]["metadata"] == {"made-by": "job-17", "reviewed": "yes"}
    assert space["about"]["ContentType"] == "text/html; charset=utf-8"
    assert store.fs.get_tags(store.path("page.html")) == {"keep": "yes"}
    assert space["before"] == store.fs.cat_file(f"{store.bucket}-old/a") == b"one"
    assert urllib.request.urlopen(space["reading"]).read() == b"<p>hello</p>"
    assert (space["status"], store.fs.cat_file(store.path("inbox/1"))) == (200, b"mail")
    assert store.fs.glob(store.path("jobs/*")) == store.fs.glob(store.path("copy/*")) == []
    assert not store.fs.exists(store.path("state.json"))
    assert (space["left"], space["removed"], space["outcome"]) == ([], [], "not written")
    with zipfile.ZipFile(io.BytesIO(store.fs.cat_file(store.path("archive.zip")))) as archive:
        assert archive.namelist() == ["one.txt", "two.txt"]
    assert (space["trace"].requests, space["trace"].received) == (1, 8)
    space["instrumentation"].close()


def test_troubleshooting_has_every_error_with_the_builtin_that_it_is() -> None:
    text = (DOCS / "troubleshooting.md").read_text()
    rows = [
        re.findall(r"`(\w+)`", line.split("|")[1]) for line in text.splitlines() if line.startswith("| `")
    ]
    named = {name for row in rows for name in row} | set(re.findall(r"`(\w+)` is the base", text))
    named |= set(re.findall(r"`(\w+Error)` of (?:all|everything)", text))
    assert {name for name in errors.__all__ if name not in named} == set()
    for names in rows:
        kinds = [getattr(errors, name) for name in names if hasattr(errors, name)]
        builtin = [getattr(builtins, name) for name in names if not hasattr(errors, name)]
        assert kinds and all(issubclass(kind, tuple(builtin) or OSError) for kind in kinds), names


def _mistakes() -> list[tuple[str, str, str]]:
    """The call of each row of the table of mistakes, the exception of this package, and its first words."""
    text = (DOCS / "troubleshooting.md").read_text().split("## The same mistake in s3fs")[1]
    rows = re.findall(r"^\| [a-z][^|`]*: `([^|]+)` \| `(\w+)`[^|:]*: ([^|]+) \|", text, re.M)
    assert len(rows) == 10
    return rows


@pytest.mark.parametrize(("call", "error", "words"), _mistakes())
def test_a_mistake_is_answered_as_troubleshooting_says(
    store: Store, call: str, error: str, words: str
) -> None:
    host = store.options["endpoint_url"].partition("//")[2]
    store.fs.pipe_file(store.path("folder/a.csv"), b"a,b")
    call, words = (
        text.replace(ENDPOINT.partition("//")[2], host).replace("my-bucket", store.bucket)
        for text in (call, words)
    )
    with pytest.raises(getattr(builtins, error)) as caught:
        eval(call, {"fs": store.fs, "fsspec": fsspec})
    assert str(caught.value).startswith(words)


def test_options_of_objects_are_set(store: Store) -> None:
    space = run((DOCS / "options.md").read_text(), store)
    about = space["about"]
    assert (about["CacheControl"], about["StorageClass"]) == ("max-age=60", "STANDARD_IA")
    assert about["metadata"] == {"owner": "me"}
    assert store.fs.get_tags(store.path("a.csv")) == {"a": "b"}


def test_the_getting_started_notebook_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(DOCS / "getting-started.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute(cwd=str(tmp_path))
    # By cell: how a kernel cuts what is printed into messages is a matter of its pace.
    told = [
        "".join(output.get("text") or output["data"]["text/plain"] for output in cell["outputs"]).strip()
        for cell in notebook.cells
        if cell.get("outputs")
    ]
    assert told[1:5] == ["np.int64(4005)", "(True, False)", "half-way - published: False", "b'3'"]
    assert "the object was replaced" in told[5]
    assert "my-bucket/days.parquet" in told[6] and told[6].endswith("[]")
    assert len(told) == 7


def test_the_guarantees_hold(store: Store) -> None:
    space = run((DOCS / "guarantees.md").read_text(), store)
    assert (space["created"], space["raised"], space["published"]) == (True, True, False)
    assert store.fs.cat_file(store.path("once")) == b"23"
    assert space["removed"] == []


def test_commits_do_what_they_say(store: Store) -> None:
    space = run((DOCS / "commits.md").read_text(), store)
    assert space["names"] == ["2024/feb.csv", "2024/jan.csv"]
    assert (space["january"], space["february"]) == (b"a,b\n1,2\n", "a,b\n3,4\n")
    assert (space["before"], list(space["after"])) == (b"a,b\n3,4\n", ["2024/jan.csv"])
    assert space["version_2"] == space["snapshot"] and space["frame"]["a"].tolist() == [5]
    assert space["removed"] == []
    assert space["t"].published.cat_file("total") == b"12"
    assert space["events"] == [(1, "started"), (2, "done")]
    assert (space["newest"], space["taken"], space["third"].version) == (2, 2, 3)
    assert space["now"] == space["state"]
    assert (space["now"].version, space["now"].value) == (3, {"model": "b", "checked": True})


def test_the_coroutines_do_what_they_say(store: Store) -> None:
    pytest.importorskip("zarr", reason="zarr 3 is not installed")
    testclient = pytest.importorskip("fastapi.testclient", reason="fastapi and httpx are not installed")
    space = run((DOCS / "coroutines.md").read_text(), store)
    assert sorted(space["chunks"]) == [bytes([n]) for n in range(100)]
    assert space["chunk"] == b"\1"
    assert store.fs.cat_file(store.path("doubled")) == b"\7\7"
    assert space["total"] == 10_000
    with testclient.TestClient(space["app"]) as client:
        body = bytes(range(256)) * 10_000
        created = client.put("/files/one", content=body)
        got = client.get("/files/one")
        assert (created.status_code, got.content) == (201, body)
        assert got.headers["etag"] == created.json()["etag"]
        assert client.put("/files/one", content=b"2").status_code == 409
        assert client.get("/files/none").status_code == 404


def test_code_for_s3fs_runs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedS3FileSystem, "protocol", GuardedS3FileSystem.protocol)
    monkeypatch.setitem(import_module("fsspec.registry")._registry, "s3", GuardedS3FileSystem)
    space = run((DOCS / "s3fs.md").read_text(), store)
    assert space["names"] == [store.path("a/b.txt")]
    assert space["kind"] == "text/plain"


def test_the_design_names_every_folder_and_every_module_beside_them() -> None:
    text = (DOCS / "design.md").read_text()
    package = ROOT / "fsspec_guarded_s3"
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    assert folders | modules <= set(re.findall(r"\w+", text))


def test_what_the_design_says_of_files_and_names_is_there() -> None:
    """Rows of `file` and `name`, and in the text `file`, `Class.method` or `function`."""
    text = " ".join((DOCS / "design.md").read_text().split())
    table = re.findall(r"\| `([\w/]+\.py)` \| `([\w.]+)` \|", text)
    steps = re.findall(r"`([\w/]+\.py)`, `([\w.]+)`:", text)
    assert len(table) > 20 and len(steps) > 10
    for file, name in [*table, *steps]:
        try:
            here: object = import_module("fsspec_guarded_s3." + file.removesuffix(".py").replace("/", "."))
        except ModuleNotFoundError as error:  # zarr, which is not there for Python 3.10
            assert not str(error.name).startswith("fsspec_guarded_s3")
            continue
        for part in name.split("."):
            assert hasattr(here, part), f"{file} has no {name}"
            here = getattr(here, part)
    files = set(re.findall(r"`([\w/]+\.py)`", text))
    missing = {file for file in files if not (ROOT / "fsspec_guarded_s3" / file).exists()}
    assert {file for file in missing if not (ROOT / file).exists() and file != "__init__.py"} == set()


def test_links_lead_somewhere() -> None:
    """Those of README.md, which mkdocs does not see; it checks those between the pages itself."""
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", (ROOT / "README.md").read_text())
    assert len(targets) > 5
    assert [target for target in targets if not (ROOT / target).exists()] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages; a warning of mkdocs, of a plugin or of Python fails the build."""
    if sys.version_info < (3, 11):
        pytest.skip("mkdocstrings and pymdown-extensions for Python 3.10 do not go together")
    pytest.importorskip("material", reason="the extra [docs] is not installed: `make docs` does so")
    pytest.importorskip("mkdocstrings_handlers.python", reason="the extra [docs] is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower()
    return folder


def test_the_site_has_every_page(site: Path) -> None:
    for page in DOCS.glob("*.md"):
        name = "" if page.stem == "index" else page.stem
        assert (site / name / "index.html").exists(), page


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    """So they can be read offline, and nobody is told who reads them. Links are for the reader to follow."""
    loaded = r'<(?:script|img|iframe)[^>]* src="(https?:|//)|<link[^>]* rel="(?!canonical)[^>]*href="https?:'
    for page in site.rglob("*.html"):
        assert not re.search(loaded, page.read_text()), page


def test_the_api_page_has_every_public_name(site: Path) -> None:
    """Of the package, and what the filesystem has of its own."""
    anchors = set(re.findall(r'id="(fsspec_guarded_s3\.[^"]*)"', (site / "api" / "index.html").read_text()))
    names = {f"fsspec_guarded_s3.{name}" for name in fsspec_guarded_s3.__all__}
    others = {*filesystem.__all__} - {"GuardedS3FileSystem", "GuardedTransaction"}
    names |= {f"fsspec_guarded_s3.filesystem.{name}" for name in others}
    ours = {
        name
        for kind in GuardedS3FileSystem.__mro__
        if kind.__module__.startswith("fsspec_guarded_s3.")
        for name, value in vars(kind).items()
        if getattr(value, "__qualname__", "") == f"{kind.__name__}.{name}" and not name.startswith("_")
    }
    assert {"open", "update", "abort_uploads"} <= ours
    assert names | {f"fsspec_guarded_s3.GuardedS3FileSystem.{name}" for name in ours} <= anchors
