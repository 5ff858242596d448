"""Whoever loses bytes is told by a line on stderr, without any configuration, once for each writer."""

import contextlib
import gc
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.compression import compr

from tests.fake_s3 import FakeS3
from tests.opening import MIB, filesystem
from tests.scripted_server import ScriptedServer, s3_error

ROOT = Path(__file__).parents[2]
NOTHING = "nothing was published"
BEGIN = """
import gc, sys
from tests.opening import MIB, filesystem
fs = filesystem(sys.argv[1], part_size=5 * MIB, multipart_threshold=5 * MIB)
def opens(mode="wb", **options):
    return fs.open("bucket/key", mode, **options)
"""
# Programs that lose a writer, in the standard library's ways and in those of others.
DROPPED = {
    "pickle": "import pickle; pickle.dump(list(range(9)), opens())",
    "json": "import json; json.dump([1], opens('w'))",
    "text": "opens('w').write('text')",
    "gzip": "opens('wb', compression='gzip').write(b'data')",
    "zipfile": "import zipfile\nwith zipfile.ZipFile(opens(), 'w') as z: z.writestr('a', 'b')\ndel z",
    "tarfile": "import tarfile\nwith tarfile.open(fileobj=opens(), mode='w|') as t: pass\ndel t",
    "csv": "import csv; csv.writer(opens('w')).writerow([1])",
    "large": "opens().write(bytes(6 * MIB))",
    "nothing written": "opens()",
    "cycle": "cycle = [opens()]; cycle[0].write(b'data'); cycle.append(cycle); del cycle; gc.collect()",
    "autocommit": "file = opens(autocommit=False); file.write(b'data'); file.close(); del file",
    "generator": """
        def rows():
            with opens() as file:
                for number in range(9):
                    file.write(b"row")
                    yield number
        for number in rows():
            if number == 3:
                break
    """,
    "at the end": "kept = opens(); kept.write(b'data')",
    "at the end, large": "kept = opens(); kept.write(bytes(6 * MIB))",
    "at the end, text": "kept = opens('w'); kept.write('text')",
    "at the end, gzip": "kept = opens('wt', compression='gzip'); kept.write('text')",
    "at the end, in a cycle": "kept = opens(); cycle = [kept]; cycle.append(cycle); kept.write(b'data')",
    "at the end, autocommit": "kept = opens(autocommit=False); kept.write(b'data'); kept.close()",
    "at the end, zipfile": "import zipfile; kept = zipfile.ZipFile(opens(), 'w'); kept.writestr('a', 'b')",
    "at the end, user's gzip": "import gzip; kept = gzip.open(opens(), 'wt'); kept.write('text')",
    "zipfile in a cycle": """
        import zipfile
        cycle = [zipfile.ZipFile(opens(), "w")]
        cycle[0].writestr("a", "b")
        cycle.append(cycle)
        del cycle
        gc.collect()
    """,
    "at the end, by an exit": "kept = opens(); kept.write(b'data'); sys.exit(0)",
}
OF_LIBRARIES = {
    "pandas": "import pandas; pandas.DataFrame({'a': [1]}).to_csv(opens('w'))",
    "pandas, bytes": "import pandas; pandas.DataFrame({'a': [1]}).to_csv(opens(), mode='wb')",
    "numpy": "import numpy; numpy.save(opens(), numpy.arange(9))",
    "pyarrow": """
        import pyarrow, pyarrow.parquet
        table = pyarrow.table({"a": [1]})
        with pyarrow.parquet.ParquetWriter(opens(), table.schema) as writer:
            writer.write_table(table)
        del writer
    """,
}


def stderr_of(script: str, fake: FakeS3) -> str:
    """What a process that runs `script` says; it must succeed, and publish nothing."""
    with ScriptedServer(handler=fake) as server:
        command = [sys.executable, "-c", BEGIN + textwrap.dedent(script), server.url]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("script", [*DROPPED.values(), *OF_LIBRARIES.values()], ids=[*DROPPED, *OF_LIBRARIES])
def test_who_loses_bytes_is_told_once(script: str, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.id
    if name in OF_LIBRARIES:
        pytest.importorskip(name.split(",")[0])
    fake = FakeS3("bucket")
    said = stderr_of(script, fake)
    assert not fake.objects
    assert not fake.uploads
    assert said.count("bucket/key") == 1, said
    assert NOTHING in said
    # gzip itself, of Python 3.14 or without its lock, complains when the interpreter has emptied its modules.
    ours = said.partition("Exception ignored")[0] if "gzip" in name else said
    assert "Traceback" not in ours
    assert "with fs.open(...)" in said or "commit()" in said


@pytest.mark.parametrize(
    "script",
    ["with opens() as file: file.write(b'data')", "file = opens(); file.write(b'data'); file.discard()"],
    ids=["published", "discarded"],
)
@pytest.mark.parametrize("end", ["", "del file", "raise SystemExit"])
def test_nobody_is_told_who_loses_nothing(script: str, end: str) -> None:
    assert stderr_of(f"{script}\n{end}", FakeS3("bucket")) == ""


@pytest.mark.parametrize(
    "end", ["", "del kept", "threading.Thread(target=lambda kept=kept: time.sleep(60), daemon=True).start()"]
)
def test_who_makes_errors_of_warnings_is_told_of_every_writer(end: str) -> None:
    script = f"""
        import threading, time, warnings
        warnings.simplefilter("error")
        kept = [fs.open(f"bucket/{{number}}", "wb") for number in range(3)]
        for file in kept:
            file.write(bytes(6 * MIB))
        del file
        {end}
    """
    fake = FakeS3("bucket")
    lines = stderr_of(script, fake).splitlines()
    told = [line.partition(" ")[0] for line in lines if line.startswith("bucket/")]
    assert sorted(told) == ["bucket/0", "bucket/1", "bucket/2"]
    assert not fake.uploads


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_process_is_not_told_of_the_writers_of_its_parent() -> None:
    script = """
        import os, warnings
        warnings.simplefilter("ignore")
        file, packed, text = opens(), opens(compression="gzip"), opens("w")
        child = os.fork()
        if child == 0:
            del file, packed
            gc.collect()
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        for kept in (file, packed, text):
            kept.discard()
    """
    assert stderr_of(script, FakeS3("bucket")) == ""


def test_a_writer_that_failed_before_it_was_dropped_has_said_so(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedServer(handler=lambda request: s3_error(403, "AccessDenied")) as server:
        file = filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB).open("bucket/key", "wb")
        with pytest.raises(PermissionError):
            file.write(bytes(10 * MIB))
        del file
        gc.collect()
    assert NOTHING not in caplog.text


# --- compressors ---


@pytest.fixture
def fake() -> FakeS3:
    return FakeS3("bucket")


@pytest.fixture
def options(fake: FakeS3) -> Iterator[dict[str, Any]]:
    with ScriptedServer(handler=fake) as server:
        yield {"endpoint_url": server.url, "key": "k", "secret": "s", "region": "us-east-1", "probe": "never"}


COMPRESSIONS = pytest.mark.parametrize("compression", [name for name in compr if name is not None])
URL = "gs3://bucket/key"


def through_open_file(options: dict[str, Any], mode: str, compression: str) -> Any:
    """A file whose `OpenFile` is gone, as from `fsspec.open(...).open()`."""
    return fsspec.open(URL, mode, compression=compression, **options).open()


def through_filesystem(options: dict[str, Any], mode: str, compression: str) -> Any:
    return fsspec.filesystem("gs3", **options).open("bucket/key", mode, compression=compression)


WAYS = pytest.mark.parametrize(
    "opens", [through_open_file, through_filesystem], ids=["fsspec.open", "fs.open"]
)
Opens = Callable[[dict[str, Any], str, str], Any]


def content(options: dict[str, Any], compression: str) -> bytes:
    """What is read back."""
    with fsspec.open(URL, "rb", compression=compression, **options) as file:
        return bytes(file.read())


@WAYS
@COMPRESSIONS
@pytest.mark.parametrize("mode", ["wb", "xb", "wt"])
def test_close_of_a_compressed_file_publishes(
    opens: Opens, compression: str, mode: str, options: dict[str, Any], fake: FakeS3
) -> None:
    file = opens(options, mode, compression)
    for number in range(100):
        file.write(f"{number},".encode() if "b" in mode else f"{number},")
    assert not fake.objects
    file.close()
    file.close()
    assert content(options, compression) == "".join(f"{number}," for number in range(100)).encode()


@WAYS
@COMPRESSIONS
@pytest.mark.parametrize("mode", ["wb", "wt"])
@pytest.mark.parametrize("ending", ["with", "finally", "drop"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_compressed_file_that_is_not_closed_cleanly_publishes_nothing(
    opens: Opens,
    compression: str,
    mode: str,
    ending: str,
    options: dict[str, Any],
    fake: FakeS3,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = opens(options, mode, compression)
    with contextlib.suppress(ArithmeticError):
        file.write(b"half" if mode == "wb" else "half")
        if ending == "with":
            with file as entered:
                assert entered is file
                raise ArithmeticError
        elif ending == "finally":
            try:
                raise ArithmeticError
            finally:
                file.close()
        del file
        gc.collect()
    assert not fake.objects
    warned = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warned) == 1 if ending != "with" else len(warned) <= 1  # some wrappers only call close()


@COMPRESSIONS
def test_compressors_of_other_filesystems_stay_as_they_are(
    compression: str, options: dict[str, Any], tmp_path: Path
) -> None:
    through_filesystem(options, "wb", compression).close()
    place = str(tmp_path / "file")
    with fsspec.open(place, "wb", compression=compression) as file:
        file.write(b"data")
    with fsspec.open(place, "rb", compression=compression) as file:
        assert file.read() == b"data"


def test_a_compression_that_is_registered_later_is_known_too(
    options: dict[str, Any], fake: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(compr, "later", compr["bz2"])
    file = through_open_file(options, "wb", "later")
    file.write(b"data")
    file.close()
    assert content(options, "bz2") == b"data"


def test_an_unknown_compression_is_refused_before_anything_is_opened(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        fsspec.filesystem("gs3", **options).open("bucket/key", "wb", compression="nonsense")
