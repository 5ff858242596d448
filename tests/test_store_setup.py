"""docs/store-setup.md says what is true: its lines work as pasted, and its tables are those of the runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.documents import ROOT, python_blocks
from tests.real_stores.catalogue import PROGRAMS
from tests.real_stores.honours import DOCUMENT, STORES, begin, document
from tests.servers import MotoServer
from tests.stores import new_store

PAGE = DOCUMENT.read_text(encoding="utf-8")
SECTIONS = {text.partition("\n")[0]: text for text in PAGE.split("\n## ")[1:]}
WANTED = {
    "AWS",
    "MinIO",
    "Ceph RGW",
    "Cloudflare R2",
    "Google Cloud Storage",
    "SeaweedFS",
    "Versity",
    "LocalStack",
    "Garage",
}
URL = re.compile(r"https?://[\w.:-]+")
PROGRAM = '#!/bin/sh\nexec "{python}" -m fsspec_guarded_s3 "$@"\n'


def fenced(section: str, kind: str) -> str:
    """The one block of that kind."""
    (block,) = re.findall(rf"^```{kind}\n(.*?)^```$", SECTIONS[section], re.S | re.M)
    return block


def made(section: str) -> GuardedS3FileSystem:
    """The filesystem that the Python of a section makes. Nothing is sent for that."""
    space: dict[str, GuardedS3FileSystem] = {}
    (code,) = python_blocks(SECTIONS[section])
    exec(compile(code, section, "exec"), space)
    return space["fs"]


def place(fs: GuardedS3FileSystem) -> tuple[str, str, str]:
    """Where requests go, for which region they are signed, and in whose words they are."""
    endpoint = fs._client.store.endpoint("my-bucket")
    return endpoint.host, endpoint.region, endpoint.dialect.name


def test_every_store_has_a_section() -> None:
    assert set(SECTIONS) == WANTED | {"Other stores"}


def test_every_store_that_was_tried_is_named() -> None:
    for program in PROGRAMS:
        assert program.heading.split()[0].lower() in PAGE.lower(), program.heading


def test_the_tables_are_those_of_the_runs() -> None:
    """`python -m tests.real_stores --write` makes them so."""
    assert document(PAGE) == PAGE


@pytest.mark.parametrize("section", sorted(WANTED))
def test_a_section_says_how_far_it_was_tried(section: str) -> None:
    text = SECTIONS[section]
    tried = any(begin(name) in text for name in STORES)
    assert tried or "**By documentation**" in text or "**Not tried**" in text
    assert "| you call | what happens |" in text


@pytest.mark.parametrize("section", sorted(WANTED))
def test_python_and_profile_lead_to_the_same_place(
    section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    config = tmp_path / "config"
    config.write_text(fenced(section, "ini"), encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    (name,) = re.findall(r"\[profile (\w+)\]", config.read_text())
    if section == "AWS":
        monkeypatch.setenv("AWS_PROFILE", name)
    fs = made(section)
    assert place(fs) == place(GuardedS3FileSystem(profile=name, skip_instance_cache=True))
    assert place(fs)[2] == {"Cloudflare R2": "r2", "Google Cloud Storage": "gcs"}.get(section, "s3")


@pytest.mark.parametrize("section", sorted(WANTED))
def test_the_lines_for_a_shell_run(section: str, tmp_path: Path, moto: MotoServer) -> None:
    """As printed, but for the address, the keys that are left out, and the bucket."""
    pytest.importorskip("click")
    store = new_store(moto)
    program = tmp_path / "guarded-s3"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    lines = URL.sub(store.options["endpoint_url"], fenced(section, "bash")).replace("my-bucket", store.bucket)
    given = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    config = tmp_path / "config"
    config.write_text("[profile work]\naws_access_key_id = a\naws_secret_access_key = b\n")
    given |= {
        "AWS_CONFIG_FILE": str(config),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    if section == "AWS":
        given["AWS_ENDPOINT_URL"] = store.options["endpoint_url"]
    done = subprocess.run(["bash", "-ec", lines], env=given, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search("^ok +store +moto", done.stdout, re.M)


def test_the_lines_of_fsspecs_configuration_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"^```ini\n(.*?)^```$", PAGE.partition("\n## ")[0], re.S | re.M)
    (tmp_path / "gs3.ini").write_text(block)
    code = "import fsspec; print(fsspec.filesystem('gs3').storage_options['endpoint_url'])"
    given = {**os.environ, "FSSPEC_CONFIG_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=given, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.split() == ["http://127.0.0.1:9000"], done.stderr
