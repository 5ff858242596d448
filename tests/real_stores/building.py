"""How a program of a store is had: by the package client that its language has, always one exact version.

Each class is data. `build()` returns the folder with the program, from the cache or after building it there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.real_stores.cache import build_once, cache_folder, kept

LAST_LINES = 15


class NotBuilt(RuntimeError):
    """The program cannot be had here; the message is the reason, in one line."""


@dataclass(frozen=True)
class Source:
    """Where a program comes from. `minutes` are those of its first build on two cores."""

    name: str
    version: str
    minutes: int = 1

    def told_version(self) -> str:
        """The version, as people say it: of a Go module without one it is the day of its commit."""
        day = re.fullmatch(r"v0\.0\.0-(\d{4})(\d\d)(\d\d)\d{6}-[0-9a-f]+", self.version)
        return "of " + "-".join(day.groups()) if day else self.version.removeprefix("v")

    @property
    def label(self) -> str:
        """Its folder in the cache."""
        return f"{self.name}-{self.version}"

    def is_here(self) -> bool:
        """Whether nothing has to be built."""
        return kept(self.label) is not None

    def build(self) -> Path:
        """The folder with the program. Raises NotBuilt."""
        return build_once(self.label, self._fill)

    def _fill(self, folder: Path) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Go(Source):
    """A Go command, built in a module of its own, since `go install` refuses a go.mod with replacements."""

    module: str = ""
    command: str = ""  # its import path below `module`
    replace: Mapping[str, str] = field(default_factory=dict)

    def _fill(self, folder: Path) -> None:
        need("go")
        module = folder / "module"
        module.mkdir()
        replaced = "".join(f"replace {old} => {new}\n" for old, new in self.replace.items())
        (module / "go.mod").write_text(
            f"module stores.test/{self.name}\n\ngo {_go_version()}\n\n"
            f"tool {self.command}\n\nrequire {self.module} {self.version}\n\n{replaced}"
        )
        environment = {"GOFLAGS": "-mod=mod -buildvcs=false -p=2", "GOTOOLCHAIN": "local"}
        run(["go", "mod", "tidy"], module, environment)
        program = folder / Path(self.command).name
        run(["go", "build", "-ldflags=-s -w", "-o", str(program), self.command], module, environment)
        shutil.rmtree(module)


@dataclass(frozen=True)
class Cargo(Source):
    """A crate with a program. What was compiled is kept until it is done, so that it can be resumed."""

    flags: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def _fill(self, folder: Path) -> None:
        need("cargo")
        compiled = cache_folder() / f".{self.label}-target"
        command = ["cargo", "install", self.name, "--version", self.version, "--root", str(folder)]
        run([*command, *self.flags], folder, {"CARGO_TARGET_DIR": str(compiled), **self.environment})
        shutil.rmtree(compiled, ignore_errors=True)


@dataclass(frozen=True)
class Maven(Source):
    """Jars of an artifact and of all that it needs, in `jars`; `added` is a class of ours beside them."""

    group: str = ""
    classifier: str = ""
    beside: Sequence[str] = ()  # "group:artifact:version", where it wants another version than Maven picks
    added: Path | None = None

    def _fill(self, folder: Path) -> None:
        need("mvn")
        need("java")
        beside = "".join(_dependency(*named.split(":")) for named in self.beside)
        classifier = f"<classifier>{self.classifier}</classifier>" if self.classifier else ""
        # A jar "with dependencies" has all in it: what it names as its dependencies is not fetched.
        alone = (
            "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
        )
        (folder / "pom.xml").write_text(
            textwrap.dedent(f"""\
            <project xmlns="http://maven.apache.org/POM/4.0.0">
              <modelVersion>4.0.0</modelVersion>
              <groupId>stores.test</groupId><artifactId>{self.name}-run</artifactId><version>1</version>
              <dependencies><dependency>
                <groupId>{self.group}</groupId><artifactId>{self.name}</artifactId>
                <version>{self.version}</version>{classifier}{alone if classifier else ""}
              </dependency>{beside}</dependencies>
            </project>
            """)
        )
        copy = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
        jars = f"-DoutputDirectory={folder / 'jars'}"
        run(["mvn", "-q", "-B", copy, jars, "-DincludeScope=runtime"], folder)
        if self.added is not None:
            need("javac")
            classes = ["-d", str(folder / "classes"), "-cp", f"{folder / 'jars'}/*"]
            run(["javac", "-proc:none", "-nowarn", *classes, str(self.added)], folder)


@dataclass(frozen=True)
class Pip(Source):
    """A Python package in an environment of its own: it may pin what the tests need in other versions.

    `package` is its name there, where the store has another. `beside` is what it wants in other versions than
    pip picks, and `python` the oldest Python that it runs on.
    """

    package: str = ""
    beside: Sequence[str] = ()
    python: tuple[int, int] = (3, 10)

    @property
    def label(self) -> str:
        """Its folder in the cache: each Python has one."""
        major, minor = max(self.python, sys.version_info[:2])
        return f"{self.name}-{self.version}-py{major}{minor}"

    def _fill(self, folder: Path) -> None:
        is_new_enough = sys.version_info[:2] >= self.python
        python = sys.executable if is_new_enough else need("python{}.{}".format(*self.python))
        run([python, "-m", "venv", str(folder)], folder)
        pip = [str(venv_python(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, f"{self.package or self.name}=={self.version}", *self.beside], folder)


@dataclass(frozen=True)
class Npm(Source):
    """A package of npm, with what it needs below `node_modules`."""

    def _fill(self, folder: Path) -> None:
        need("npm")
        need("node")
        (folder / "package.json").write_text('{"private": true}\n')
        run(
            ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"{self.name}@{self.version}"],
            folder,
        )


@dataclass(frozen=True)
class Apt(Source):
    """Packages of Debian. They are installed on this machine, which takes root."""

    packages: Sequence[str] = ()
    program: str = ""

    def told_version(self) -> str:
        """The version that is installed, which is Debian's choice."""
        if not self.is_here():
            return self.version
        said = subprocess.run([self.program, "--version"], stdout=subprocess.PIPE, text=True).stdout
        found = re.search(r"\d+(\.\d+)+", said)
        return found.group() if found else self.version

    def is_here(self) -> bool:
        """Whether the program is installed."""
        return shutil.which(self.program) is not None

    def build(self) -> Path:
        """The folder of the program. Raises NotBuilt."""
        if not self.is_here():
            need("apt-get")
            if os.geteuid() != 0:
                raise NotBuilt(f"apt-get install {self.packages[0]} takes root")
            quiet = {"DEBIAN_FRONTEND": "noninteractive"}
            run(["apt-get", "-q", "update"], Path("/"), quiet)
            install = ["apt-get", "-q", "-y", "install", "--no-install-recommends"]
            run([*install, *self.packages], Path("/"), quiet)
        found = shutil.which(self.program)
        if found is None:
            raise NotBuilt(f"{self.program} is not there after the installation")
        return Path(found).parent


def _dependency(group: str, artifact: str, version: str) -> str:
    named = f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
    return f"<dependency>{named}</dependency>"


def venv_python(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def need(program: str) -> str:
    """The path of a program that builds others. Raises NotBuilt when it is not installed."""
    found = shutil.which(program)
    if found is None:
        raise NotBuilt(f"{program} is not installed")
    return found


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a step of a build. Raises NotBuilt with what it said last."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        said = "\n".join(done.stdout.strip().splitlines()[-LAST_LINES:])
        print(said, file=sys.stderr)
        last = said.splitlines()[-1][:160] if said else ""
        raise NotBuilt(f"{Path(command[0]).name} {command[1]} failed: {last}")


def _go_version() -> str:
    said = subprocess.run(["go", "env", "GOVERSION"], stdout=subprocess.PIPE, text=True, check=True).stdout
    major, minor = said.strip().removeprefix("go").split(".")[:2]
    return f"{major}.{minor}"
