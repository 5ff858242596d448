"""docs/pytorch.md says what is true: its lines run as printed. PyTorch is large, so few machines have it."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.documents import DOCS, ENDPOINT, python_blocks, run
from tests.stores import Store

torch: Any = pytest.importorskip("torch", reason="torch is large: the tests run without it too")
DOCUMENT = (DOCS / "pytorch.md").read_text()

# How a program has it: classes in a module, the work behind the question which process this is.
PROGRAM = """
import json, sys
import torch
from torch.utils.data import DataLoader
from page import Files, Lines, Records, as_it_is, fs


def main(method, bucket):
    rows = torch.arange(64 * 100, dtype=torch.float32).reshape(64, 100)
    with fs.open(f"{bucket}/more.bin", "wb") as file:
        file.write(rows.numpy())
    more = {"num_workers": 2, "multiprocessing_context": method, "shuffle": True, "batch_size": 8}
    records = Records(fs, f"{bucket}/more.bin", (100,), torch.float32)
    found = torch.cat(list(DataLoader(records, collate_fn=as_it_is, **more)))
    assert torch.equal(found[found[:, 0].argsort()], rows)
    fs.pipe({f"{bucket}/more/{number}": rows[number].numpy().tobytes() for number in range(64)})
    found = torch.cat(list(DataLoader(Files(fs, f"{bucket}/more"), **more)))
    assert torch.equal(found[found[:, 0].argsort()], rows)
    files = Files(fs, f"{bucket}/more")
    files.names[5] = f"{bucket}/none"
    try:
        list(DataLoader(files, **more))
    except FileNotFoundError as error:
        print(json.dumps(["done", "Traceback" in str(error)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
"""


def test_examples_run_as_printed(store: Store) -> None:
    """All blocks in order in one namespace; only the endpoint, the keys and the bucket are the test's."""
    assert len(python_blocks(DOCUMENT)) == 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # fork in a process with threads
        space = run(DOCUMENT, store)

    assert sorted(space["lines"])[:2] == ["0 0\n", "0 1\n"]
    assert len(space["lines"]) == 400
    assert torch.equal(space["state"]["weight"], space["model"].weight)
    assert torch.equal(space["loaded"]["model"]["weight"], space["model"].weight)
    assert space["loaded"]["step"] == 100
    kind = pytest.importorskip("torch.distributed.checkpoint.api").CheckpointException
    again = space["FsspecWriter"](space["folder"], overwrite=False, sync_files=False, **space["options"])
    with pytest.raises(kind, match="Checkpoint already exists"):
        space["dcp"].save({"step": 101}, storage_writer=again)
    assert store.pending() == []


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_workers_are_started_in_each_way(store: Store, tmp_path: Path, method: str) -> None:
    first, *rest = python_blocks(DOCUMENT)
    classes = [
        block.split("\n\n\nfs.pipe")[0].split("\n\n\nrows =")[0].split("\n\n\nfor ")[0] for block in rest[:3]
    ]
    page = "\n\n".join([first, *classes]).replace(ENDPOINT, store.options["endpoint_url"])
    for name in ("key", "secret"):
        page = page.replace(f'"{name}": "..."', f'"{name}": {json.dumps(store.options[name])}')
    (tmp_path / "page.py").write_text(page)
    (tmp_path / "program.py").write_text(PROGRAM)
    out = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), method, store.bucket],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        stdout=subprocess.PIPE,
        check=True,
        timeout=600,
    ).stdout
    assert json.loads(out) == ["done", True]


def test_a_tensor_is_filled_by_torch_load_without_a_copy(store: Store) -> None:
    """`torch.load` calls `readinto` with the memory of each tensor: this is what the page says."""
    state = {"weight": torch.rand(300, 1000)}
    with store.fs.open(store.path("model.pt"), "wb") as file:
        torch.save(state, file)
    sizes: list[int] = []

    class Seen(io.RawIOBase):
        def __init__(self, file: Any) -> None:
            self.file = file

        def readinto(self, buffer: Any) -> int:
            count: int = self.file.readinto(buffer)
            sizes.append(count)
            return count

        def __getattribute__(self, name: str) -> Any:
            own = name in ("file", "readinto") or name.startswith("__")
            return object.__getattribute__(self, name) if own else getattr(self.file, name)

    with store.fs.open(store.path("model.pt")) as file:
        found = torch.load(Seen(file), weights_only=True)
    assert torch.equal(found["weight"], state["weight"])
    assert 300 * 1000 * 4 in sizes
