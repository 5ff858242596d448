"""docs/cli.md says what is true: its commands run in order and print what it shows."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("click")

from tests.opening import filesystem
from tests.servers import moto_server

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
SCRIPT = '#!/bin/sh\nexec "{python}" -m fsspec_guarded_s3 "$@"\n'


def documented() -> list[tuple[str, str]]:
    """Each command of the page, and what it is to print."""
    text = "".join(re.findall(r"```console\n(.*?)```", PAGE, re.S))
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.M)


@pytest.mark.timeout(1200)  # some thirty processes, each of which loads the package
def test_commands_run_as_printed(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "guarded-s3"
    program.parent.mkdir()
    program.write_text(SCRIPT.format(python=sys.executable))
    program.chmod(0o755)
    mark = "--- next ---"
    commands = [command for command, _ in documented()]
    lines = [f'{command}\nc=$?; [ $c = 0 ] || echo "[exit code $c]"; echo "{mark}"' for command in commands]
    with moto_server() as server:
        filesystem(server.url).mkdir("my-bucket")
        environment = {
            **os.environ,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "AKIAKEYOFTHETEST",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "COLUMNS": "80",
        }
        ran = subprocess.run(
            ["bash", "-c", "exec 2>&1\n" + "\n".join(lines)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        printed = ran.stdout.replace(server.url.rpartition(":")[2], "9000").split(f"{mark}\n")
    assert len(commands) > 20
    assert len(printed) == len(commands) + 1
    for (command, expected), got in zip(documented(), printed, strict=False):
        same = doctest.OutputChecker().check_output(expected, got, doctest.ELLIPSIS)
        assert same, f"$ {command}\n{got}"
