"""A notebook, executed by a real kernel: its event loop is running, its failed cells keep their variables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from tests.stores import Store

Run = Callable[..., list[Any]]


@pytest.fixture
def run(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run cells in a fresh kernel; the outputs of each. `options` and `bucket` are there for them."""
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))

    def execute(*cells: str, failing: tuple[int, ...] = ()) -> list[Any]:
        first = f"import fsspec\noptions, bucket = {store.options!r}, {store.bucket!r}"
        notebook = nbformat.v4.new_notebook()
        notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in (first, *cells)]
        for number in failing:
            notebook.cells[number].metadata["tags"] = ["raises-exception"]
        nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
        return [cell.outputs for cell in notebook.cells]

    return execute


def text(outputs: Any) -> str:
    return "".join(
        output.get("text")
        or output.get("data", {}).get("text/plain", "")
        or "\n".join(output.get("traceback", []))
        for output in outputs
    )


def test_cells_write_list_and_read(store: Store, run: Run) -> None:
    """Also in a cell that awaits: the kernel's loop is running, and our calls need none of it."""
    outputs = run(
        'with fsspec.open(f"gs3://{bucket}/d/a.txt", "w", **options) as file:\n    file.write("grün")',
        'fs = fsspec.filesystem("gs3", **options)\nfs',
        'fs.ls(f"{bucket}/d", detail=False)',
        'import asyncio\nawait asyncio.sleep(0)\nfs.cat_file(f"{bucket}/d/a.txt").decode()',
        'import pandas as pd\nurl = f"gs3://{bucket}/n.csv"\n'
        'pd.DataFrame({"n": [1, 2]}).to_csv(url, storage_options=options)\n'
        "len(pd.read_csv(url, storage_options=options))",
    )
    assert text(outputs[2]) == f"<GuardedS3FileSystem {store.options['endpoint_url']}>"
    assert text(outputs[3]) == f"['{store.path('d/a.txt')}']"
    assert (text(outputs[4]), text(outputs[5])) == ("'grün'", "2")
    assert store.fs.cat_file(store.path("d/a.txt")) == "grün".encode()


def test_a_cell_that_fails_or_is_interrupted_publishes_nothing(store: Store, run: Run) -> None:
    """Its traceback keeps the file alive, and the next cell begins anew."""
    write = (
        'with fsspec.open(f"gs3://{bucket}/a", "wb", **options) as file:\n    file.write(bytes(6 * 2**20))\n'
    )
    outputs = run(
        write + "    raise RuntimeError('first')",
        write + "    import os, signal, time\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(30)",
        'fs = fsspec.filesystem("gs3", **options)\nfs.exists(f"{bucket}/a"), fs.list_uploads(bucket)',
        write,
        failing=(1, 2),
    )
    assert "RuntimeError" in text(outputs[1])
    assert "KeyboardInterrupt" in text(outputs[2])
    assert text(outputs[3]) == "(False, [])"
    assert store.fs.size(store.path("a")) == 6 * 2**20


def test_a_kernel_that_ends_with_an_open_file_publishes_nothing(store: Store, run: Run) -> None:
    run('file = fsspec.open(f"gs3://{bucket}/a", "wb", **options).open()\nfile.write(bytes(12 * 2**20))')
    store.assert_nothing_left("a")


def test_no_secret_is_shown_in_a_notebook(store: Store, run: Run) -> None:
    """Not when a cell ends with the filesystem or a file, and not in the traceback of an error."""
    outputs = run(
        'fs = fsspec.filesystem("gs3", **options)\nfs',
        'fsspec.open(f"gs3://{bucket}/a", "wb", **options)',
        'fs.open(f"{bucket}/none")',
        'fs.open(f"{bucket}/a", "wb")',
        failing=(3,),
    )
    shown = "".join(map(text, outputs))
    assert "ObjectNotFoundError" in shown
    assert "GuardedWriter" in shown
    assert store.options["secret"] not in shown
